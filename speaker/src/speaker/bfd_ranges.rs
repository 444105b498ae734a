//! BFD sessions that neighbors begin, and the ranges that let them.

use std::sync::Arc;
use std::time::SystemTime;

use bfd::SessionId;
use bfd::engine::{EngineError, EngineEvent};
use tracing::{debug, warn};

use super::Speaker;
use crate::config::{BfdName, Party};
use crate::history::{Subject, What};

impl Speaker {
    /// Has BFD accept whom the configuration names.
    pub(super) fn set_bfd_ranges(&mut self) -> Result<(), EngineError> {
        let config = Arc::clone(&self.config);
        let set = self.bfd.set_ranges(&config.bfd_ranges);
        if let Err(error) = &set {
            let what = format!("BFD sessions are not accepted as configured: {error}");
            warn!("{what}");
            self.note(what);
        }
        set
    }

    /// What the BFD thread reports.
    pub(super) fn handle_bfd(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::StateChanged(change) => self.handle_bfd_change(&change),
            EngineEvent::Accepted {
                session,
                key,
                range,
            } => {
                debug!(bfd_range = %range, "BFD session begun: {key}");
                if let Some(party) = self.bfd.accepted(session, key, &range) {
                    self.history.arrive(&party);
                    self.note_of_bfd_range(&range, format!("session {}: begun", party.name()));
                }
            }
            EngineEvent::Removed(session) => {
                for party in self.bfd.accepted_users(session).to_vec() {
                    self.forget_bfd(session, &party);
                }
            }
            EngineEvent::RangeFull { range } => {
                let limit = BfdName::new(&range)
                    .and_then(|name| self.config.bfd_ranges.get(&name))
                    .map_or(0, |range| range.max_sessions.get());
                let what =
                    format!("refused BFD sessions: there are {limit} already, its max-sessions");
                self.warn_of_range(&range, what);
            }
            EngineEvent::AcceptFailed { key, range, error } => {
                self.warn_of_range(&range, format!("cannot accept BFD session {key}: {error}"));
            }
        }
    }

    fn warn_of_range(&mut self, range: &str, what: String) {
        warn!(bfd_range = %range, "{what}");
        self.note_of_bfd_range(range, what);
    }

    /// Sessions come and go: what is remembered of that has a place of its own, and pushes nothing out.
    fn note_of_bfd_range(&mut self, range: &str, what: String) {
        if let Some(name) = BfdName::new(range) {
            let at = SystemTime::now();
            self.remember(at, (&name).into(), Subject::Bfd, What::note(&what));
        }
    }

    fn forget_bfd(&mut self, session: SessionId, party: &Party) {
        // A session whose place another takes has said nothing of its end.
        self.note_bfd_end(party, "a session that is configured takes its place");
        if let Some(range) = self.bfd.forget_accepted(session) {
            let what = format!("session {}: gone", party.name());
            self.note_of_bfd_range(range.as_str(), what);
        }
        if party.bfd_session().is_some() {
            self.remember_departed(party.clone());
        }
    }
}
