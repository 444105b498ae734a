//! From results to a verdict: `fall` failures in a row, or `rise` successes, turn it. The first
//! result decides at once, for until then nothing was announced that could flap, and nobody wants
//! to wait for several.

use std::num::NonZeroU8;

use crate::services::Verdict;

/// How many results of a kind it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures in a row, of a healthy service.
    pub fall: NonZeroU8,
    /// Successes in a row, of an unhealthy one.
    pub rise: NonZeroU8,
}

/// What the results of one check say so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    verdict: Verdict,
    /// In a row; of one of both there is none.
    successes: u64,
    failures: u64,
}

impl Tally {
    /// Before any result.
    #[must_use]
    pub const fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            successes: 0,
            failures: 0,
        }
    }

    /// What has been found.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Successes in a row, up to the last result.
    #[must_use]
    pub const fn successes(&self) -> u64 {
        self.successes
    }

    /// Failures in a row, up to the last result.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// The verdict stays; what counts from here on is another matter than before.
    pub const fn restart(&mut self) {
        (self.successes, self.failures) = (0, 0);
    }

    /// Takes a result. Tells whether it turns the verdict.
    pub fn count(&mut self, success: bool, thresholds: Thresholds) -> bool {
        match success {
            true => (self.successes, self.failures) = (self.successes.saturating_add(1), 0),
            false => (self.successes, self.failures) = (0, self.failures.saturating_add(1)),
        }
        let Thresholds { fall, rise } = thresholds;
        let verdict = match (self.verdict, success) {
            (Verdict::Unknown, true) => Verdict::Healthy,
            (Verdict::Unknown, false) => Verdict::Unhealthy,
            (Verdict::Healthy, false) if self.failures >= u64::from(fall.get()) => {
                Verdict::Unhealthy
            }
            (Verdict::Unhealthy, true) if self.successes >= u64::from(rise.get()) => {
                Verdict::Healthy
            }
            (verdict, _) => verdict,
        };
        std::mem::replace(&mut self.verdict, verdict) != verdict
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds(fall: u8, rise: u8) -> Thresholds {
        Thresholds {
            fall: NonZeroU8::new(fall).unwrap(),
            rise: NonZeroU8::new(rise).unwrap(),
        }
    }

    /// The verdicts after each result; `+` is a success.
    fn verdicts(results: &str, fall: u8, rise: u8) -> String {
        let mut tally = Tally::new(Verdict::Unknown);
        let results = results.chars().map(|result| {
            tally.count(result == '+', thresholds(fall, rise));
            match tally.verdict() {
                Verdict::Healthy => 'h',
                Verdict::Unhealthy => 'u',
                Verdict::Unknown => '?',
            }
        });
        results.collect()
    }

    #[test]
    fn the_first_result_decides_at_once() {
        assert_eq!(verdicts("+", 3, 2), "h");
        assert_eq!(verdicts("-", 3, 2), "u");
    }

    #[test]
    fn it_takes_fall_failures_in_a_row_to_be_unhealthy() {
        assert_eq!(verdicts("+--+---", 3, 2), "hhhhhhu");
        assert_eq!(verdicts("+-", 1, 1), "hu");
    }

    #[test]
    fn it_takes_rise_successes_in_a_row_to_be_healthy() {
        assert_eq!(verdicts("-+-++", 3, 2), "uuuuh");
        assert_eq!(verdicts("-+", 1, 1), "uh");
    }

    #[test]
    fn what_counted_for_another_check_does_not_count_for_the_next() {
        let mut tally = Tally::new(Verdict::Healthy);
        tally.count(false, thresholds(2, 1));
        tally.restart();
        assert!(!tally.count(false, thresholds(2, 1)));
        assert!(tally.count(false, thresholds(2, 1)));
    }

    #[test]
    fn a_lower_threshold_counts_from_the_next_result_on() {
        let mut tally = Tally::new(Verdict::Healthy);
        for _ in 0..3 {
            assert!(!tally.count(false, thresholds(9, 1)));
        }
        assert!(tally.count(false, thresholds(2, 1)));
        assert_eq!(tally.verdict(), Verdict::Unhealthy);
    }

    proptest! {
        /// A verdict only turns upon a run of its length, and after such a run it is what the run
        /// says.
        #[test]
        fn a_verdict_is_what_the_last_long_run_of_results_says(
            results in prop::collection::vec(any::<bool>(), 1..200),
            fall in 1_u8..6,
            rise in 1_u8..6,
        ) {
            let mut tally = Tally::new(Verdict::Unknown);
            let mut expected = Verdict::Unknown;
            for (index, result) in results.iter().enumerate() {
                let before = tally.verdict();
                let turned = tally.count(*result, thresholds(fall, rise));
                let run = results[..=index].iter().rev().take_while(|other| *other == result);
                let run = run.count();
                let needed = if *result { rise } else { fall };
                if index == 0 || run >= usize::from(needed) {
                    expected = if *result { Verdict::Healthy } else { Verdict::Unhealthy };
                }
                prop_assert_eq!(tally.verdict(), expected);
                prop_assert_eq!(turned, before != expected);
                prop_assert_eq!(tally.successes().min(tally.failures()), 0);
                prop_assert_eq!(tally.successes() + tally.failures(), run as u64);
            }
        }
    }
}
