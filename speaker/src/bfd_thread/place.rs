//! Who wants a BFD session with one remote system, and the sessions that come of it. Between the same
//! ends there is one only (RFC 5881 §3), so that a peer and a `[[bfd-session]]` may have it together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bfd::engine::{Engine, EngineError};
use bfd::{Encapsulation, SessionConfig, SessionId, SessionKey};

use crate::config::Party;

/// What sessions have in common that may be one.
pub(super) type Remote = (Encapsulation, SocketAddr);

pub(super) const fn remote_of(key: &SessionKey) -> Remote {
    let encapsulation = match key.hop {
        bfd::HopKind::Single => Encapsulation::SingleHop,
        bfd::HopKind::Multi { .. } => Encapsulation::Multihop,
    };
    (encapsulation, key.remote)
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) key: SessionKey,
    pub(super) config: SessionConfig,
    pub(super) profile: String,
}

/// A session, and whom it runs for: the first of them decides about its timers.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) users: Vec<Party>,
    pub(super) config: SessionConfig,
    pub(super) profile: String,
    pub(super) opened: Option<Instant>,
    /// The session, or why there is none.
    pub(super) id: Result<SessionId, String>,
}

/// All that concerns one remote system.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) wishes: BTreeMap<Party, Wish>,
    pub(super) sessions: BTreeMap<SessionKey, Running>,
}

impl Place {
    pub(super) fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.sessions.is_empty()
    }

    /// The session that somebody has.
    pub(super) fn session_of(&self, user: &Party) -> Option<(&SessionKey, &Running)> {
        let mut sessions = self.sessions.iter();
        sessions.find(|(_, running)| running.users.contains(user))
    }

    /// Who else of its kind wants just the same: there is one of each kind only, so that it had
    /// another name before.
    pub(super) fn former_names(&self, user: &Party, key: &SessionKey) -> Vec<Party> {
        let same_kind =
            |other: &Party| std::mem::discriminant(other) == std::mem::discriminant(user);
        let others = self
            .wishes
            .iter()
            .filter(|(other, wish)| *other != user && same_kind(other) && wish.key == *key);
        others.map(|(other, _)| other.clone()).collect()
    }

    /// Has the engine run what is wanted, and nothing else. A session that is wanted still goes on,
    /// whoever wants it. Tells what could not be opened.
    pub(super) fn settle(&mut self, engine: &Engine) -> Vec<(SessionKey, EngineError)> {
        let wanted = self.wanted();
        self.sessions.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if let (false, Ok(id)) = (stays, &running.id) {
                engine.remove(*id);
            }
            stays
        });
        let mut failed = Vec::new();
        for (key, users) in wanted {
            let Some(decisive) = users.first().and_then(|user| self.wishes.get(user)) else {
                continue;
            };
            let (config, profile) = (decisive.config.clone(), decisive.profile.clone());
            match self.sessions.get_mut(&key) {
                Some(running) => running.change(engine, users, config, profile),
                None => {
                    let id = engine.add(key.clone(), config.clone()).map_err(|error| {
                        let text = error.to_string();
                        failed.push((key.clone(), error));
                        text
                    });
                    let running = Running {
                        users,
                        config,
                        profile,
                        opened: id.is_ok().then(Instant::now),
                        id,
                    };
                    self.sessions.insert(key, running);
                }
            }
        }
        failed
    }

    /// The sessions that there ought to be, and for whom.
    fn wanted(&self) -> BTreeMap<SessionKey, Vec<Party>> {
        let of_peers = self
            .wishes
            .iter()
            .filter(|(user, _)| matches!(user, Party::Peer(_)))
            .map(|(_, wish)| &wish.key);
        let mut wanted: BTreeMap<SessionKey, Vec<Party>> = BTreeMap::new();
        for (user, wish) in &self.wishes {
            let shared = match user {
                Party::Peer(_) => None,
                Party::BfdSession(_) => of_peers.clone().find(|key| leaves_open(&wish.key, key)),
            };
            let key = shared.unwrap_or(&wish.key);
            wanted.entry(key.clone()).or_default().push(user.clone());
        }
        wanted
    }
}

impl Running {
    fn change(
        &mut self,
        engine: &Engine,
        users: Vec<Party>,
        config: SessionConfig,
        profile: String,
    ) {
        if let (Ok(id), true) = (&self.id, self.config != config) {
            engine.set_config(*id, config.clone());
        }
        (self.users, self.config, self.profile) = (users, config, profile);
    }
}

/// Whether one key says nothing that the other contradicts. How far the TTL may have gone down is
/// for the other to say.
fn leaves_open(one: &SessionKey, other: &SessionKey) -> bool {
    remote_of(one) == remote_of(other)
        && (one.local.is_none() || one.local == other.local)
        && (one.interface.is_none() || one.interface == other.interface)
}
