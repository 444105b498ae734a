//! When to leave waiting datagrams alone for a moment, so that one wake-up takes many of them.

use std::time::{Duration, Instant};

/// How long datagrams may wait while many come: two steps of the grid that packets at 10 ms are sent on.
const PAUSE: Duration = Duration::from_micros(512);
/// Datagrams are counted over this time.
const WINDOW: Duration = Duration::from_millis(1);
/// As many in a window are many: below, the wake-up of each costs little.
const MANY: usize = 8;

/// Interrupt moderation for a socket that the packets of sessions come in at.
///
/// While datagrams come one by one, each wakes the thread. Once many have come within a millisecond, and for as long as they
/// keep coming, those that follow wait up to half a millisecond for each other. Timers and commands wake the thread at
/// any time, and whatever woke it, everything that waits is read.
#[derive(Debug, Default)]
pub(super) struct Moderation {
    window_ends: Option<Instant>,
    in_window: usize,
    busy_until: Option<Instant>,
}

impl Moderation {
    /// Takes note of what a turn has read, and says until when further datagrams are no reason to wake.
    pub(super) fn rest(&mut self, now: Instant, datagrams: usize) -> Option<Instant> {
        if self.window_ends.is_none_or(|at| at <= now) {
            self.window_ends = Some(now + WINDOW);
            self.in_window = 0;
        }
        self.in_window += datagrams;
        if self.in_window >= MANY {
            self.busy_until = Some(now + 2 * WINDOW);
        }
        self.busy_until.filter(|at| now < *at).map(|_| now + PAUSE)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// How many of these datagrams wait for others.
    fn paused(datagrams: u32, apart: Duration) -> u32 {
        let mut now = Instant::now();
        let mut moderation = Moderation::default();
        let mut paused = 0;
        for _ in 0..datagrams {
            now += apart;
            paused += u32::from(moderation.rest(now, 1).is_some());
        }
        paused
    }

    #[test]
    fn datagrams_now_and_then_wake_the_thread() {
        assert_eq!(paused(1000, Duration::from_micros(200)), 0);
    }

    #[test]
    fn many_datagrams_wait_for_each_other() {
        assert!(paused(1000, Duration::from_micros(20)) > 980);
    }

    #[test]
    fn a_pause_ends_by_itself_and_none_follows_when_it_was_quiet() {
        let start = Instant::now();
        let mut moderation = Moderation::default();
        assert_eq!(moderation.rest(start, 100), Some(start + PAUSE));
        assert!(moderation.rest(start + PAUSE, 0).is_some());
        assert_eq!(moderation.rest(start + 3 * WINDOW, 0), None);
    }
}
