//! What an operator does to one peer: shut it down, enable it, reset it. A peer that was shut down
//! stays so until it is enabled, also across a restart of the daemon.

use tracing::info;

use super::{Speaker, unknown_peer};
use crate::additions::Change;
use crate::config::{Config, PeerConfig, PeerName};
use crate::control::{Lasting, Refusal};
use crate::history::Subject;

impl Speaker {
    /// Ends the session with Cease/4; it starts again by itself.
    pub(super) fn reset_peer(
        &mut self,
        name: &PeerName,
        communication: Option<String>,
    ) -> Result<(), Refusal> {
        self.refuse_unknown(name)?;
        self.refuse_down(name)?;
        self.bgp.reset_peer(name, communication);
        self.act(name, "reset by command");
        Ok(())
    }

    /// Ends the session with Cease/2, and keeps it down.
    pub(super) async fn shut_down_peer(
        &mut self,
        name: &PeerName,
        communication: Option<String>,
    ) -> Result<Lasting, Refusal> {
        self.refuse_unknown(name)?;
        let shut_down = Change::ShutDown(name.clone(), communication.clone());
        let lasting = self.keep_if_possible([shut_down]).await;
        let text = match &communication {
            Some(text) => format!("shut down by command: {text:?}"),
            None => "shut down by command".to_owned(),
        };
        self.bgp.shut_down_peer(name, communication);
        self.set_known_peer(name);
        self.act(name, &text);
        Ok(lasting)
    }

    /// Lets a session that was shut down start again.
    pub(super) async fn enable_peer(&mut self, name: &PeerName) -> Result<(), Refusal> {
        // A dynamic peer may not be there at the time.
        if !self.kept.shutdowns.contains_key(name) {
            self.refuse_unknown(name)?;
        }
        let peer = self.config.peers.get(name);
        if peer.is_some_and(|peer| !peer.enabled) {
            return Err(Refusal::Conflict(format!(
                "peer {name} has enabled = false in {}; change it there and run `herald reload`",
                self.file.display()
            )));
        }
        if !self.kept.shutdowns.contains_key(name) {
            return Ok(());
        }
        self.keep([Change::Enable(name.clone())]).await?;
        self.set_known_peer(name);
        self.act(name, "enabled by command");
        Ok(())
    }

    /// A peer as it is to run: the file, and what was commanded.
    pub(super) fn in_force(&self, name: &PeerName, peer: &PeerConfig) -> PeerConfig {
        let mut peer = peer.clone();
        peer.enabled &= !self.kept.shutdowns.contains_key(name);
        peer
    }

    /// Refuses what needs a session that may run.
    fn refuse_down(&self, name: &PeerName) -> Result<(), Refusal> {
        if self.kept.shutdowns.contains_key(name) {
            return Err(Refusal::Conflict(format!(
                "peer {name} was shut down by command; `herald peer enable {name}` lets it start again"
            )));
        }
        let peer = self.config.peers.get(name);
        if peer.is_some_and(|peer| !peer.enabled) {
            return Err(Refusal::Conflict(format!(
                "peer {name} has enabled = false in {}",
                self.file.display()
            )));
        }
        Ok(())
    }

    fn set_known_peer(&mut self, name: &PeerName) {
        if let Some(peer) = self.config.peers.get(name).cloned() {
            // What went wrong is logged, shown, and tried again.
            let _ = self.set_peer(name, &peer);
        }
    }

    pub(super) fn refuse_unknown(&self, name: &PeerName) -> Result<(), Refusal> {
        match self.config.peers.contains_key(name) {
            true => Ok(()),
            false => Err(unknown_peer(&self.config, name.as_str())),
        }
    }

    pub(super) fn act(&mut self, name: &PeerName, what: &str) {
        info!(peer = %name, "{what}");
        self.note_about(name, Subject::Bgp, what);
    }
}

impl crate::additions::Kept {
    /// Forgets commands about peers that are not in the file, and cannot come by a range either.
    pub(super) fn forget_peers_but(&mut self, config: &Config) {
        let is_or_comes =
            |name: &PeerName| config.peers.contains_key(name) || config.may_come(&name.into());
        self.shutdowns.retain(|name, _| is_or_comes(name));
        self.drain.peers.retain(is_or_comes);
    }
}
