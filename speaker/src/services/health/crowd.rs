//! Checks that do not end keep others waiting: there are only so many at a time. That is said, with
//! the names of those that take the longest, and not too often.

use std::fmt;
use std::time::{Duration, Instant};

use crate::config::ServiceName;

/// How much time there is at least between two that tell of the same.
pub(super) const APART: Duration = Duration::from_secs(60);
/// How many of those that take the longest are named.
pub(super) const NAMED: usize = 3;

/// A check begins late, for others take too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowded {
    /// Whose check waits, or has waited.
    pub service: ServiceName,
    /// For how long.
    pub late: Duration,
    /// What there may be at a time, and is.
    pub at_once: usize,
    /// Programs, or connections.
    pub programs: bool,
    /// Whose checks take the longest, and for how long they have been under way.
    pub longest: Vec<(ServiceName, Duration)>,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            late,
            at_once,
            programs,
            longest,
            ..
        } = self;
        let what = if *programs { "programs" } else { "connections" };
        write!(
            f,
            "its check begins {} ms late: {at_once} {what} of checks are under way, the most there may be",
            late.as_millis()
        )?;
        let named = longest
            .iter()
            .map(|(service, took)| format!("{service} ({} ms)", took.as_millis()));
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            write!(f, "; the longest: {}", named.join(", "))?;
        }
        f.write_str("; a shorter timeout of those would make room")
    }
}

/// When it was last said.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastSaid(Option<Instant>);

impl LastSaid {
    pub(super) const fn never() -> Self {
        Self(None)
    }

    /// Whether it may be said, which it is then.
    pub(super) fn may_say(&mut self, now: Instant) -> bool {
        let may = self
            .0
            .is_none_or(|said| now.saturating_duration_since(said) >= APART);
        if may {
            self.0 = Some(now);
        }
        may
    }
}
