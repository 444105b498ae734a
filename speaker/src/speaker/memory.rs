//! What is remembered: in the history, and in the journal that survives the daemon.

use std::time::SystemTime;

use super::Speaker;
use crate::config::Party;
use crate::history::{Novelty, Subject, What};

impl Speaker {
    /// What happened to somebody.
    pub(super) fn remember(
        &mut self,
        at: SystemTime,
        party: Party,
        subject: Subject,
        what: What,
    ) -> Novelty {
        let novelty = self.history.happened(at, party.clone(), subject, what);
        if novelty == Novelty::New
            && let Some(record) = self.history.latest(&party, subject)
        {
            self.journal.tell(record);
        }
        novelty
    }

    /// What the daemon itself did.
    pub(super) fn note(&mut self, text: impl AsRef<str>) {
        let record = self.history.note(SystemTime::now(), text.as_ref());
        self.journal.tell(&record);
    }

    /// What somebody did to a route that belongs to no service.
    pub(super) fn note_of_route(&mut self, text: impl AsRef<str>) {
        let at = SystemTime::now();
        let record = self
            .history
            .note_about(at, None, Subject::Service, text.as_ref());
        self.journal.tell(&record);
    }

    /// What the daemon, or somebody through it, did to somebody.
    pub(super) fn note_about(
        &mut self,
        party: impl Into<Party>,
        subject: Subject,
        text: impl AsRef<str>,
    ) {
        let (at, party) = (SystemTime::now(), Some(party.into()));
        let record = self.history.note_about(at, party, subject, text.as_ref());
        self.journal.tell(&record);
    }

    /// Somebody has gone who came by a range.
    pub(super) fn remember_departed(&mut self, party: Party) {
        for gone in self.history.depart(party) {
            self.journal.tell_forgotten(&gone);
        }
    }

    /// Who comes back under this name is another.
    pub(super) fn forget_history(&mut self, party: &Party) {
        self.history.forget(party.clone());
        self.journal.tell_forgotten(party);
    }
}
