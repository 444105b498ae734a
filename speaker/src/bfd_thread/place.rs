//! Who wants a BFD session with one remote system, and the sessions that come of it. Between the same
//! ends there is one only (RFC 5881 §3), so that a peer and a `[[bfd-session]]` may have it together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
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

/// What tells the sessions with one remote system apart (RFC 5881 §3). How far the TTL may have gone down
/// may change in a living session, and so is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    local: Option<IpAddr>,
    interface: Option<String>,
}

impl Ends {
    pub(super) fn of(key: &SessionKey) -> Self {
        Self {
            local: key.local,
            interface: key.interface.clone(),
        }
    }

    /// Whether these say nothing that the others contradict.
    fn leave_open(&self, other: &Self) -> bool {
        (self.local.is_none() || self.local == other.local)
            && (self.interface.is_none() || self.interface == other.interface)
    }
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) key: SessionKey,
    pub(super) config: SessionConfig,
    pub(super) profile: String,
}

/// A session, and whom it runs for: the first of them decides about its timers and its least TTL.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) key: SessionKey,
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
    pub(super) sessions: BTreeMap<Ends, Running>,
}

impl Place {
    pub(super) fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.sessions.is_empty()
    }

    /// The session that somebody has.
    pub(super) fn session_of(&self, user: &Party) -> Option<&Running> {
        let mut sessions = self.sessions.values();
        sessions.find(|running| running.users.contains(user))
    }

    /// Who else of its kind wants just the same: there is one of each kind only, so that it had
    /// another name before.
    pub(super) fn former_names(&self, user: &Party, key: &SessionKey) -> Vec<Party> {
        let same_kind =
            |other: &Party| std::mem::discriminant(other) == std::mem::discriminant(user);
        let ends = Ends::of(key);
        let others = self.wishes.iter().filter(|(other, wish)| {
            *other != user && same_kind(other) && Ends::of(&wish.key) == ends
        });
        others.map(|(other, _)| other.clone()).collect()
    }

    /// Has the engine run what is wanted, and nothing else. A session that is wanted still goes on,
    /// whoever wants it. Tells what could not be opened.
    pub(super) fn settle(&mut self, engine: &Engine) -> Vec<(SessionKey, EngineError)> {
        let wanted = self.wanted();
        self.sessions.retain(|ends, running| {
            let stays = wanted.contains_key(ends);
            if let (false, Ok(id)) = (stays, &running.id) {
                engine.remove(*id);
            }
            stays
        });
        let mut failed = Vec::new();
        for (ends, users) in wanted {
            let Some(decisive) = users.first().and_then(|user| self.wishes.get(user)) else {
                continue;
            };
            let Wish {
                key,
                config,
                profile,
            } = decisive.clone();
            let key = SessionKey {
                local: ends.local,
                interface: ends.interface.clone(),
                ..key
            };
            match self.sessions.get_mut(&ends) {
                Some(running) => running.change(engine, users, key, config, profile),
                None => {
                    let id = engine.add(key.clone(), config.clone()).map_err(|error| {
                        let text = error.to_string();
                        failed.push((key.clone(), error));
                        text
                    });
                    let running = Running {
                        key,
                        users,
                        config,
                        profile,
                        opened: id.is_ok().then(Instant::now),
                        id,
                    };
                    self.sessions.insert(ends, running);
                }
            }
        }
        failed
    }

    /// The sessions that there ought to be, and for whom.
    fn wanted(&self) -> BTreeMap<Ends, Vec<Party>> {
        let wishes = self.wishes.iter();
        let of_peers: Vec<Ends> = wishes
            .filter(|(user, _)| matches!(user, Party::Peer(_)))
            .map(|(_, wish)| Ends::of(&wish.key))
            .collect();
        let mut wanted: BTreeMap<Ends, Vec<Party>> = BTreeMap::new();
        for (user, wish) in &self.wishes {
            let own = Ends::of(&wish.key);
            let shared = match user {
                Party::Peer(_) => None,
                Party::BfdSession(_) | Party::Service(_) => {
                    of_peers.iter().find(|ends| own.leave_open(ends))
                }
            };
            let ends = match shared {
                Some(ends) => ends.clone(),
                None => self.kept(user, &own).unwrap_or(own),
            };
            wanted.entry(ends).or_default().push(user.clone());
        }
        wanted
    }

    /// What a `[[bfd-session]]` has, under this name or a former one, is as good as any other that it leaves open:
    /// whoever it shared it with may go.
    fn kept(&self, user: &Party, own: &Ends) -> Option<Ends> {
        let is_own = |other: &Party| match (user, other) {
            (Party::BfdSession(_), Party::BfdSession(_)) => {
                other == user || !self.wishes.contains_key(other)
            }
            _ => false,
        };
        let mut sessions = self.sessions.iter();
        let (ends, _) = sessions
            .find(|(ends, running)| own.leave_open(ends) && running.users.iter().any(is_own))?;
        Some(ends.clone())
    }
}

impl Running {
    fn change(
        &mut self,
        engine: &Engine,
        users: Vec<Party>,
        key: SessionKey,
        config: SessionConfig,
        profile: String,
    ) {
        if let (Ok(id), true) = (&self.id, self.key.hop != key.hop) {
            engine.set_minimum_ttl(*id, key.hop.minimum_ttl());
        }
        if let (Ok(id), true) = (&self.id, self.config != config) {
            engine.set_config(*id, config.clone());
        }
        (self.users, self.key) = (users, key);
        (self.config, self.profile) = (config, profile);
    }
}
