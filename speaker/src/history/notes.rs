//! What somebody did, or the daemon. What is done to services, which may be many and change all the
//! time, is no reason to forget what was done to a peer.

use std::collections::VecDeque;

use super::{Record, Subject, push};

/// How many are kept of each sort.
pub(super) const PER_SORT: usize = 256;

/// The latest of each sort.
#[derive(Debug, Default)]
pub(super) struct Notes {
    daemon: VecDeque<Record>,
    sessions: VecDeque<Record>,
    services: VecDeque<Record>,
}

impl Notes {
    /// Tells the id of the record that had to make room; 0 when there was room.
    pub(super) fn push(&mut self, record: Record) -> u64 {
        let sort = match (&record.party, record.subject) {
            (_, Subject::Service) => &mut self.services,
            (Some(_), _) => &mut self.sessions,
            (None, _) => &mut self.daemon,
        };
        push(sort, record, PER_SORT)
    }

    /// Each sort by itself, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        let others = self.sessions.iter().chain(&self.services);
        self.daemon.iter().chain(others)
    }
}
