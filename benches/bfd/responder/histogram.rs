//! Gaps between packets as parts of their interval, counted in steps of a tenth of a per cent.

use super::session::Nanoseconds;

const STEPS_PER_INTERVAL: u64 = 1000;
/// Gaps of ten intervals and more share the last step; the longest one is known exactly.
const STEPS: usize = 10_000;

#[derive(Clone, Debug)]
pub struct Histogram {
    interval: Nanoseconds,
    counts: Vec<u64>,
    total: u64,
    longest: Nanoseconds,
}

impl Histogram {
    pub fn new(interval: Nanoseconds) -> Self {
        Self {
            interval,
            counts: vec![0; STEPS],
            total: 0,
            longest: 0,
        }
    }

    pub fn add(&mut self, gap: Nanoseconds) {
        let step = usize::try_from(gap * STEPS_PER_INTERVAL / self.interval).unwrap();
        self.counts[step.min(STEPS - 1)] += 1;
        self.total += 1;
        self.longest = self.longest.max(gap);
    }

    /// The gap that this part (0 to 1) of all gaps do not exceed, in per cent of the interval.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(((step + 1) as f64 * 100.0 / STEPS_PER_INTERVAL as f64).min(self.longest()))
    }

    /// In per cent of the interval.
    pub fn longest(&self) -> f64 {
        self.longest as f64 * 100.0 / self.interval as f64
    }
}
