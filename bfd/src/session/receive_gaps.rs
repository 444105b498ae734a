//! How regularly the remote system is heard, and how close its silence came to the Detection Time.

use std::time::{Duration, Instant};

const BUCKETS: usize = ReceiveGaps::BOUNDS.len() + 1;

/// A histogram of the time between one packet and the next while Up, in thousandths of the interval that both systems have
/// agreed upon.
///
/// Jitter puts them between 750 and 1000 (RFC 5880 §6.8.7); one lost packet makes a gap of up to 2000. Extra packets, which tell
/// a change or answer a Poll, make short ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiveGaps {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl ReceiveGaps {
    /// The upper bounds of the buckets, in thousandths of the agreed interval; one more bucket holds what is longer.
    pub const BOUNDS: [u16; 11] = [250, 500, 750, 900, 1000, 1100, 1250, 1500, 2000, 3000, 5000];

    /// Counts a gap. `interval` is what both systems have agreed upon.
    pub(super) fn count(&mut self, gap: Duration, interval: Duration) {
        let interval = micros(interval).max(1);
        // Rounded up, so that a gap that is longer than a bound by anything at all is beyond it.
        let gap = micros(gap).saturating_mul(1000).div_ceil(interval);
        let bucket = Self::BOUNDS.partition_point(|bound| u64::from(*bound) < gap);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(gap);
    }

    /// Each bucket's upper bound, and how many gaps it holds; the last one has none.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u16>, u64)> + '_ {
        let bounds = Self::BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }

    /// How many gaps were measured.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all gaps, in thousandths of the agreed interval.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// The longest that the remote system was not heard in an Up period, against the Detection Time that held then.
///
/// With changing intervals, the longest is the one that came closest to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionMargin {
    /// The time between the two packets.
    pub gap: Duration,
    /// The Detection Time in force (RFC 5880 §6.8.4). A gap may be longer where the driver knew of packets that it had not read.
    pub detection_time: Duration,
    /// When it ended.
    pub at: Instant,
    /// Since when gaps were measured: the beginning of the Up period.
    pub since: Instant,
}

impl DetectionMargin {
    /// The time that was left to detection. Close to zero means: about to flap.
    pub fn left(&self) -> Duration {
        self.detection_time.saturating_sub(self.gap)
    }

    /// The same in percent of the Detection Time, rounded down.
    pub fn percent_left(&self) -> u8 {
        let percent = self.left().as_nanos() * 100 / self.detection_time.as_nanos().max(1);
        u8::try_from(percent).unwrap_or(100)
    }

    pub(super) fn is_closer_than(&self, other: &Self) -> bool {
        let share = |gap: &Self, of: &Self| {
            u128::from(micros(gap.gap)) * u128::from(micros(of.detection_time))
        };
        share(self, other) > share(other, self)
    }
}

fn micros(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_up_to_their_bounds() {
        let interval = Duration::from_millis(100);
        let mut gaps = ReceiveGaps::default();
        for millis in [0, 75, 88, 100, 101, 175, 10_000] {
            gaps.count(Duration::from_millis(millis), interval);
        }
        gaps.count(interval + Duration::from_micros(1), interval);
        let counted: Vec<_> = gaps.buckets().filter(|(_, count)| *count > 0).collect();
        let expected = [
            (Some(250), 1),
            (Some(750), 1),
            (Some(900), 1),
            (Some(1000), 1),
            (Some(1100), 2),
            (Some(2000), 1),
            (None, 1),
        ];
        assert_eq!(counted, expected);
        assert_eq!(gaps.total(), 8);
        assert_eq!(gaps.sum(), 750 + 880 + 1000 + 1010 + 1750 + 100_000 + 1001);
    }

    #[test]
    fn extreme_gaps_do_not_overflow() {
        let mut gaps = ReceiveGaps::default();
        for (gap, interval) in [
            (Duration::MAX, Duration::ZERO),
            (Duration::MAX, Duration::MAX),
            (Duration::ZERO, Duration::ZERO),
        ] {
            gaps.count(gap, interval);
        }
        assert_eq!(gaps.total(), 3);
    }
}
