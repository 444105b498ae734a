//! The BFD sessions of the peers. What the engine reports goes to the BGP thread at once, and a
//! copy to the speaker task, which only remembers it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bfd::engine::{Engine, EngineConfig, EngineError};
use bfd::{DiscardCounters, HopKind, Micros, SessionConfig, SessionId, SessionKey, StateChange};
use tokio::sync::mpsc::UnboundedSender;

use crate::bgp_thread::BgpThread;
use crate::config::{BfdConfig, BfdHops, BfdProfile, PeerBfd, PeerConfig, PeerName};

/// The engine, and which of its sessions belongs to whom.
#[derive(Debug)]
pub struct BfdThread {
    engine: Engine,
    sessions: BTreeMap<PeerName, PeerSession>,
}

#[derive(Debug)]
struct PeerSession {
    key: SessionKey,
    config: SessionConfig,
    profile: String,
    /// The session, or why there is none.
    running: Result<SessionId, String>,
}

/// What there is to say of a peer's BFD session.
#[derive(Clone, Debug)]
pub struct PeerBfdStatus {
    /// The profile that its timers come from.
    pub profile: String,
    /// Between whom it runs.
    pub key: SessionKey,
    /// The session, or why there is none.
    pub session: Result<bfd::SessionStatus, String>,
}

impl BfdThread {
    /// Starts the engine's thread. No socket is opened before the first session needs it.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        config: &BfdConfig,
        bgp: BgpThread,
        changes: UnboundedSender<StateChange>,
    ) -> Result<Self, EngineError> {
        let everywhere = EngineConfig::default();
        let config = EngineConfig {
            single_hop_listen: config
                .listen
                .clone()
                .unwrap_or(everywhere.single_hop_listen),
            multihop_listen: config
                .multihop_listen
                .clone()
                .unwrap_or(everywhere.multihop_listen),
            ..everywhere
        };
        let engine = Engine::start(config, move |change| {
            bgp.bfd_changed(change);
            // Without a speaker task there is nobody left who would remember.
            let _ = changes.send(*change);
        })?;
        Ok(Self {
            engine,
            sessions: BTreeMap::new(),
        })
    }

    /// Gives a peer the session that its configuration asks for: a new one, the same with other
    /// timers, or none.
    ///
    /// # Errors
    /// When the session cannot be opened; [`retry`](Self::retry) tries again.
    pub fn set_peer(
        &mut self,
        name: &PeerName,
        peer: &PeerConfig,
    ) -> Result<Option<SessionId>, EngineError> {
        let Some(wanted) = peer.bfd.as_ref().filter(|_| peer.enabled) else {
            self.remove_peer(name);
            return Ok(None);
        };
        let key = session_key(peer, wanted);
        let config = session_config(&wanted.profile);
        self.take_over(name, &key);
        if let Some(session) = self.sessions.get_mut(name)
            && let Ok(id) = session.running
            && session.key == key
        {
            session.profile.clone_from(&wanted.profile.name);
            if session.config != config {
                self.engine.set_config(id, config.clone());
                session.config = config;
            }
            return Ok(Some(id));
        }
        self.remove_peer(name);
        let added = self.engine.add(key.clone(), config.clone());
        let session = PeerSession {
            key,
            config,
            profile: wanted.profile.name.clone(),
            running: added.as_ref().copied().map_err(ToString::to_string),
        };
        self.sessions.insert(name.clone(), session);
        added.map(Some)
    }

    /// A neighbor that has another name from here on keeps its session.
    fn take_over(&mut self, name: &PeerName, key: &SessionKey) {
        let mut sessions = self.sessions.iter();
        let former = sessions.find(|(other, session)| *other != name && session.key == *key);
        if let Some(former) = former.map(|(former, _)| former.clone())
            && let Some(session) = self.sessions.remove(&former)
        {
            self.remove_peer(name);
            self.sessions.insert(name.clone(), session);
        }
    }

    /// Ends a peer's session with AdminDown.
    pub fn remove_peer(&mut self, name: &PeerName) {
        if let Some(session) = self.sessions.remove(name)
            && let Ok(id) = session.running
        {
            self.engine.remove(id);
        }
    }

    /// Tries to open what could not be opened. Says for whom it worked.
    pub fn retry(&mut self) -> Vec<PeerName> {
        let mut opened = Vec::new();
        for (name, session) in &mut self.sessions {
            if session.running.is_ok() {
                continue;
            }
            session.running = self
                .engine
                .add(session.key.clone(), session.config.clone())
                .map_err(|error| error.to_string());
            if session.running.is_ok() {
                opened.push(name.clone());
            }
        }
        opened
    }

    /// Whether [`retry`](Self::retry) has something to do.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.sessions
            .values()
            .any(|session| session.running.is_err())
    }

    /// Whose session it is.
    #[must_use]
    pub fn peer(&self, id: SessionId) -> Option<&PeerName> {
        let mut sessions = self.sessions.iter();
        let (name, _) = sessions.find(|(_, session)| session.running.as_ref() == Ok(&id))?;
        Some(name)
    }

    /// Every peer's session.
    #[must_use]
    pub fn status(&self) -> BTreeMap<PeerName, PeerBfdStatus> {
        let running: BTreeMap<SessionId, bfd::SessionStatus> = self
            .engine
            .status()
            .into_iter()
            .map(|status| (status.id, status))
            .collect();
        let status = |session: &PeerSession| PeerBfdStatus {
            profile: session.profile.clone(),
            key: session.key.clone(),
            session: session.running.clone().and_then(|id| {
                let found = running.get(&id).cloned();
                found.ok_or_else(|| "the BFD thread does not answer".to_owned())
            }),
        };
        self.sessions
            .iter()
            .map(|(name, session)| (name.clone(), status(session)))
            .collect()
    }

    /// Datagrams that belonged to no session, by reason.
    #[must_use]
    pub fn discards(&self) -> DiscardCounters {
        self.engine.discards()
    }

    /// Says AdminDown to everybody for a Detection Time, a second at most, and ends. Blocks
    /// meanwhile.
    pub fn shutdown(self) {
        self.engine.shutdown();
    }
}

fn session_key(peer: &PeerConfig, bfd: &PeerBfd) -> SessionKey {
    SessionKey {
        remote: SocketAddr::new(peer.ip(), bfd.port),
        local: peer.source_address,
        interface: peer.interface().map(str::to_owned),
        hop: match bfd.hops {
            BfdHops::Single => HopKind::Single,
            BfdHops::Multi { minimum_ttl } => HopKind::Multi {
                minimum_ttl: minimum_ttl.get(),
            },
        },
    }
}

fn session_config(profile: &BfdProfile) -> SessionConfig {
    // A profile's intervals are far below what the field can hold.
    let micros = |interval| Micros::from_duration(interval).unwrap_or(Micros::new(u32::MAX));
    SessionConfig {
        desired_min_tx_interval: micros(profile.transmit_interval),
        required_min_rx_interval: micros(profile.receive_interval),
        detect_mult: profile.detect_multiplier,
        passive: profile.passive_mode,
        demand_mode: profile.demand_mode,
        demand_poll_interval: Some(profile.demand_poll_interval),
        // Both live and die with the daemon.
        control_plane_independent: false,
        authentication: None,
    }
}
