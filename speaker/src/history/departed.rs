//! Who came by a range and has gone: neighbors whom no file names. What happened to them is kept for
//! when somebody asks, or they come back. Strangers may come and go as often as they like: those that
//! have been gone the longest are forgotten first.

use std::collections::VecDeque;

use crate::config::Party;

/// How many records there may be of all who have gone.
pub(super) const RECORDS: usize = 4096;

/// Who has gone, the longest first, and how many records there are of each.
#[derive(Debug, Default)]
pub(super) struct Departed {
    parties: VecDeque<(Party, usize)>,
    records: usize,
}

impl Departed {
    /// Who is to be forgotten, for there are too many.
    pub(super) fn push(&mut self, party: Party, records: usize) -> Vec<Party> {
        self.remove(&party);
        if records > 0 {
            self.parties.push_back((party, records));
            self.records += records;
        }
        let mut gone = Vec::new();
        while self.records > RECORDS
            && let Some((party, records)) = self.parties.pop_front()
        {
            self.records -= records;
            gone.push(party);
        }
        gone
    }

    pub(super) fn remove(&mut self, party: &Party) {
        // Services are many, and none of them comes by a range.
        if party.service().is_some() {
            return;
        }
        let place = self.parties.iter().position(|(other, _)| other == party);
        let gone = place.and_then(|place| self.parties.remove(place));
        self.records -= gone.map_or(0, |(_, records)| records);
    }
}
