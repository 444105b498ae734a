//! BFD sessions that belong to no peer, and what is in the way of echo.

use std::time::SystemTime;

use bfd::engine::EngineError;
use tracing::{info, warn};

use super::{Speaker, not_found};
use crate::bfd_thread::EchoNews;
use crate::config::{BfdName, BfdSessionConfig, Config, Party};
use crate::control::Refusal;
use crate::history::{Subject, What};

impl Speaker {
    /// Has it run as configured.
    pub(super) fn set_bfd_session(
        &mut self,
        name: &BfdName,
        session: &BfdSessionConfig,
    ) -> Result<(), EngineError> {
        let set = self.bfd.set_session(name, session);
        self.paths_changed = true;
        if let Err(error) = &set {
            warn!(bfd_session = %name, "no BFD session: {error}");
            let what = format!("no BFD session: {error}");
            let at = SystemTime::now();
            self.remember(at, name.into(), Subject::Bfd, What::note(&what));
        }
        set.map(drop)
    }

    /// The sessions run without what is impossible; whoever asked for it wants to know, and when it
    /// is over.
    pub(super) fn check_echo(&mut self) {
        for (id, news) in self.bfd.echo_news() {
            for party in self.bfd.users(id).to_vec() {
                let peer = party.peer().map(tracing::field::display);
                let bfd_session = party.bfd_session().map(tracing::field::display);
                let what = match &news {
                    EchoNews::Begins(obstacle) => {
                        warn!(peer, bfd_session, "BFD without echo: {obstacle}");
                        format!("{party}: BFD without echo: {obstacle}")
                    }
                    EchoNews::Ends(obstacle) => {
                        info!(
                            peer,
                            bfd_session, "BFD echo is possible; it was not: {obstacle}"
                        );
                        format!("{party}: BFD echo is possible; it was not: {obstacle}")
                    }
                };
                self.note(what);
            }
        }
    }

    /// Ends it with AdminDown, unless a peer has it too.
    pub(super) fn remove_bfd_session(&mut self, name: &BfdName) {
        self.bfd.remove(&Party::from(name));
        self.paths_changed = true;
        self.forget_history(&name.into());
        self.forget_path(name);
    }

    pub(super) fn refuse_unknown_session(&self, name: &BfdName) -> Result<(), Refusal> {
        let Config {
            bfd_sessions,
            bfd_ranges,
            ..
        } = &*self.config;
        if bfd_sessions.contains_key(name)
            || bfd_ranges.contains_key(name)
            || self.bfd.range_of(&name.into()).is_some()
        {
            return Ok(());
        }
        if self.config.peers.contains_key(name.as_str()) {
            return Err(Refusal::NotFound(format!(
                "{name} is a peer, not a bfd-session: use --peer {name}"
            )));
        }
        let known = bfd_sessions.keys().chain(bfd_ranges.keys());
        let known = known.map(BfdName::as_str).chain(self.bfd.accepted_names());
        Err(not_found("bfd-session", "bfd", name.as_str(), known))
    }
}
