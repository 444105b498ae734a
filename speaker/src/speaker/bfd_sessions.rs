//! BFD sessions that belong to no peer.

use std::time::SystemTime;

use bfd::engine::EngineError;
use tracing::warn;

use super::{Speaker, not_found};
use crate::config::{BfdName, BfdSessionConfig, Party};
use crate::control::Refusal;
use crate::history::Subject;

impl Speaker {
    /// Has it run as configured.
    pub(super) fn set_bfd_session(
        &mut self,
        name: &BfdName,
        session: &BfdSessionConfig,
    ) -> Result<(), EngineError> {
        let set = self.bfd.set_session(name, session);
        if let Err(error) = &set {
            warn!(bfd_session = %name, "no BFD session: {error}");
            let what = format!("no BFD session: {error}");
            let at = SystemTime::now();
            self.history.happened(at, name, Subject::Bfd, what);
        }
        if let Ok(Some(id)) = set
            && session.profile.has_echo()
        {
            for obstacle in self.bfd.new_echo_obstacles(id) {
                warn!(bfd_session = %name, "BFD without echo: {obstacle}");
            }
        }
        set.map(drop)
    }

    /// Ends it with AdminDown, unless a peer has it too.
    pub(super) fn remove_bfd_session(&mut self, name: &BfdName) {
        self.bfd.remove(&Party::from(name));
        self.history.forget(name);
    }

    pub(super) fn refuse_unknown_session(&self, name: &BfdName) -> Result<(), Refusal> {
        if self.config.bfd_sessions.contains_key(name) {
            return Ok(());
        }
        let known = self.config.bfd_sessions.keys().map(BfdName::as_str);
        Err(not_found("bfd-session", "bfd", name.as_str(), known))
    }
}
