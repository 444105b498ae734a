//! The timers of many sessions, of which many fire at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::key::SessionId;

/// Sessions by the time at which to look at them.
///
/// Transmissions meet at points in time that sessions share (`session/jitter.rs`): there are few times, with many sessions
/// each, and so a timer costs a search among few.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeMap<Instant, Vec<SessionId>>,
    /// Emptied lists, to be used again.
    spare: Vec<Vec<SessionId>>,
}

impl Timers {
    /// As many emptied lists are kept.
    const SPARE: usize = 64;

    pub(crate) fn insert(&mut self, at: Instant, id: SessionId) {
        let spare = &mut self.spare;
        let ids = self.by_time.entry(at);
        ids.or_insert_with(|| spare.pop().unwrap_or_default())
            .push(id);
    }

    pub(crate) fn remove(&mut self, at: Instant, id: SessionId) {
        let Some(ids) = self.by_time.get_mut(&at) else {
            return;
        };
        if let Some(position) = ids.iter().position(|other| *other == id) {
            ids.swap_remove(position);
        }
        if ids.is_empty()
            && let Some(ids) = self.by_time.remove(&at)
        {
            self.keep(ids);
        }
    }

    /// The earliest time.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|(at, _)| *at)
    }

    /// Takes the sessions whose time has come.
    pub(crate) fn take_due(&mut self, now: Instant, due: &mut Vec<SessionId>) {
        while let Some(first) = self.by_time.first_entry()
            && *first.key() <= now
        {
            let mut ids = first.remove();
            due.append(&mut ids);
            self.keep(ids);
        }
    }

    fn keep(&mut self, emptied: Vec<SessionId>) {
        if self.spare.len() < Self::SPARE {
            self.spare.push(emptied);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_time.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    #[test]
    fn sessions_come_out_in_time_and_once() {
        #[expect(clippy::disallowed_methods)]
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let id = |discr| SessionId::new(NonZeroU32::new(discr).unwrap());
        let mut timers = Timers::default();
        for (millis, discr) in [(5, 1), (3, 2), (5, 3), (9, 4), (5, 5)] {
            timers.insert(at(millis), id(discr));
        }
        timers.remove(at(5), id(3));
        timers.remove(at(9), id(4));
        timers.remove(at(9), id(4));
        assert_eq!(timers.first(), Some(at(3)));
        let mut due = Vec::new();
        timers.take_due(at(4), &mut due);
        assert_eq!(due, [id(2)]);
        timers.take_due(at(5), &mut due);
        assert_eq!(due, [id(2), id(1), id(5)]);
        assert_eq!(timers.first(), None);
        assert_eq!(timers.len(), 0);
    }
}
