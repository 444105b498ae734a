//! How far apart packets are: jitter (RFC 5880 §6.8.7), on a grid that the sessions of a host share, so that one wake-up of the
//! thread sends for many of them.

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

/// The widest grid. A wider one would make long bursts and save nothing any more.
const WIDEST: u64 = 1 << 20;

/// The points in time at which packets are sent periodically: multiples of a step after a beginning.
///
/// The step is a power of two of nanoseconds, so that the points of a wider grid are points of every narrower one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) beginning: Instant,
}

impl Grid {
    /// A random point that is 75 to 100 % of `interval` after `from`, and up to 90 % where one packet gone missing is enough to
    /// be declared down.
    ///
    /// One step is left free before the end, for a thread that wakes late.
    pub(super) fn draw(
        self,
        rng: &mut SmallRng,
        from: Instant,
        interval: Duration,
        detect_mult: NonZeroU8,
    ) -> Instant {
        let nanos = saturating_nanos(interval);
        let step = step(nanos);
        let longest = if detect_mult == NonZeroU8::MIN {
            nanos - nanos.div_ceil(10)
        } else {
            nanos
        };
        let shortest = nanos - nanos / 4;
        let after = rng.random_range(shortest..=longest.saturating_sub(2 * step).max(shortest));
        self.at_or_after(from + Duration::from_nanos(after), step)
    }

    fn at_or_after(self, at: Instant, step: u64) -> Instant {
        let since = saturating_nanos(at.saturating_duration_since(self.beginning));
        at + Duration::from_nanos(since.wrapping_neg() & (step - 1))
    }
}

/// Between a 64th and a 32nd of the interval: some eight points to choose from.
fn step(interval: u64) -> u64 {
    match (interval / 32).checked_ilog2() {
        Some(log) => (1 << log).min(WIDEST),
        None => 1,
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    fn draws(interval: Duration, detect_mult: u8) -> Vec<(Duration, Duration)> {
        let beginning = Instant::now();
        let grid = Grid { beginning };
        let mut rng = SmallRng::seed_from_u64(1);
        let detect_mult = NonZeroU8::new(detect_mult).unwrap();
        (0..10_000_u64)
            .map(|count| {
                let from = beginning + Duration::from_nanos(count * 1_000_003);
                let at = grid.draw(&mut rng, from, interval, detect_mult);
                (at - from, at - beginning)
            })
            .collect()
    }

    #[test]
    fn c_135_every_interval_stays_in_the_window_of_the_rfc() {
        let intervals = [1, 7, 100, 999, 1000, 10_000, 50_000, 300_000, 1_000_000];
        for interval in intervals.map(Duration::from_micros) {
            for (detect_mult, most) in [(1, interval * 9 / 10), (3, interval)] {
                for (gap, _) in draws(interval, detect_mult) {
                    assert!(gap >= interval * 3 / 4, "{gap:?} of {interval:?}");
                    assert!(gap <= most, "{gap:?} of {interval:?}");
                }
            }
        }
        let longest = Duration::from_micros(u32::MAX.into());
        assert!(draws(longest, 3).iter().all(|(gap, _)| *gap <= longest));
    }

    #[test]
    fn sessions_with_different_intervals_meet_at_the_same_points() {
        for (interval, step) in [
            (10, 1 << 18),
            (50, 1 << 20),
            (300, 1 << 20),
            (1000, 1 << 20),
        ] {
            for (_, since) in draws(Duration::from_millis(interval), 3) {
                assert_eq!(since.as_nanos() % step, 0);
            }
        }
    }

    #[test]
    fn there_is_a_choice_at_every_interval() {
        for interval in [1, 10, 50, 300].map(Duration::from_millis) {
            let from = Instant::now();
            let grid = Grid { beginning: from };
            let mut rng = SmallRng::seed_from_u64(1);
            let three = NonZeroU8::new(3).unwrap();
            let points: BTreeSet<Instant> = (0..1000)
                .map(|_| grid.draw(&mut rng, from, interval, three))
                .collect();
            assert!(points.len() >= 6, "{} at {interval:?}", points.len());
        }
    }
}
