//! The story of a session in words: what it is like, what it was like before and why, and where to
//! look if it is not as it should be. Pure: from a status and a history to sentences.

mod bfd;
mod peer;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::history::{Record, What};

use self::words::{clock, lasting, times};

/// How far back one looks when one asks how often.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What there is to tell from, beside the status.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// The time of day.
    pub now: SystemTime,
    /// When the daemon was started.
    pub started: SystemTime,
    /// What happened to the BGP session, the oldest first.
    pub bgp: &'a VecDeque<Record>,
    /// What happened to the BFD session.
    pub bfd: &'a VecDeque<Record>,
}

pub use self::bfd::of_bfd;
pub use self::peer::of_peer;

/// The ups and downs of one session, seen from its end.
#[derive(Clone, Copy, Debug)]
struct Course<'a> {
    records: &'a VecDeque<Record>,
    /// Where the session was last lost; nowhere, if it came up since and that was not seen.
    down: Option<usize>,
    /// Where it last came up.
    up: Option<usize>,
}

impl<'a> Course<'a> {
    fn of(records: &'a VecDeque<Record>) -> Self {
        let last = |is: fn(&What) -> bool, end: usize| {
            let until = records.iter().take(end);
            until.enumerate().filter(|(_, it)| is(&it.what)).last()
        };
        let index = |(index, _)| index;
        let all = records.len();
        let up = last(What::is_up, all).map(index);
        let down = last(What::is_down, all).map(index);
        Self { records, down, up }
    }

    /// Where the session went down before it came up the last time; nowhere if that was not seen.
    fn down_before_up(&self) -> Option<usize> {
        let up = self.up?;
        let until = self.records.iter().enumerate().take(up);
        let (index, record) = until
            .filter(|(_, it)| it.what.is_up() || it.what.is_down())
            .last()?;
        record.what.is_down().then_some(index)
    }

    /// The loss that the session has not come back from.
    fn lasting_down(&self) -> Option<usize> {
        self.down.filter(|down| self.up.is_none_or(|up| up < *down))
    }

    fn record(&self, index: Option<usize>) -> Option<&'a Record> {
        self.records.get(index?)
    }

    /// What came behind this one.
    fn after(&self, index: Option<usize>) -> impl Iterator<Item = &'a Record> + use<'a> {
        self.records.iter().skip(index.map_or(0, |index| index + 1))
    }

    /// How often it was lost within a day, and why, if that was more than once.
    fn flaps(&self, now: SystemTime, brief: impl Fn(&What) -> String) -> Option<String> {
        let is_recent = |record: &&Record| {
            let age = now.duration_since(record.last).unwrap_or_default();
            record.what.is_down() && age <= DAY
        };
        let losses = self.records.iter().filter(is_recent);
        let mut by_cause: BTreeMap<String, (u64, SystemTime)> = BTreeMap::new();
        for loss in losses {
            let (count, last) = by_cause.entry(brief(&loss.what)).or_insert((0, loss.last));
            *count += loss.count;
            *last = loss.last.max(*last);
        }
        let total: u64 = by_cause.values().map(|(count, _)| count).sum();
        let mut causes: Vec<_> = by_cause.into_iter().collect();
        causes.sort_by_key(|(_, (count, last))| std::cmp::Reverse((*count, *last)));
        let causes: Vec<String> = causes
            .into_iter()
            .map(|(cause, (count, last))| match count {
                1 => format!("{cause} at {}", clock(last, now)),
                _ => format!("{cause} {}, last at {}", times(count), clock(last, now)),
            })
            .collect();
        (total > 1).then(|| {
            format!(
                "It went down {} in the last 24 hours: {}.",
                times(total),
                causes.join("; ")
            )
        })
    }
}

/// When a BGP session was lost that has not come back; `None`: it is there, or nobody remembers that
/// it was.
#[must_use]
pub fn down_since(plot: &Plot<'_>) -> Option<SystemTime> {
    let course = Course::of(plot.bgp);
    let lost = course.record(course.lasting_down())?;
    Some(lost.last)
}

/// Between two times of day, of which the later may be the earlier when somebody has set the clock.
fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// `Established for 3h 12m (since 02:14:07 UTC)`
fn for_so_long(what: &str, since: SystemTime, now: SystemTime) -> String {
    format!(
        "{what} for {} (since {})",
        lasting(between(since, now)),
        clock(since, now)
    )
}
