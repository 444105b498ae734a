//! Sessions that neighbors begin (RFC 9468): which there are, and what they are called.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bfd::engine::EngineError;
use bfd::{Network, Range, SessionId, SessionKey};

use super::{BfdReport, BfdThread, session_config};
use crate::config::{BfdName, BfdRangeConfig, Party};

/// A session of a `[[bfd-range]]`.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) users: [Party; 1],
    range: BfdName,
    key: SessionKey,
    opened: Instant,
}

impl Accepted {
    pub(super) const fn remote(&self) -> SocketAddr {
        self.key.remote
    }
}

/// What was asked for, and what has come of it.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    wanted: Vec<Range>,
    /// The profile of each range.
    profiles: BTreeMap<BfdName, String>,
    /// Whether the engine has yet to be given what is wanted.
    is_pending: bool,
    pub(super) accepted: BTreeMap<SessionId, Accepted>,
}

impl BfdThread {
    /// Says whom to accept sessions from.
    ///
    /// # Errors
    /// When nothing can be received; [`retry`](Self::retry) tries again.
    pub fn set_ranges(
        &mut self,
        ranges: &BTreeMap<BfdName, BfdRangeConfig>,
    ) -> Result<(), EngineError> {
        let enabled = ranges.iter().filter(|(_, range)| range.enabled);
        self.ranges.wanted = enabled
            .map(|(name, range)| engine_range(name, range))
            .collect();
        let profiles = ranges.iter();
        self.ranges.profiles = profiles
            .map(|(name, range)| (name.clone(), range.profile.name.clone()))
            .collect();
        self.give_ranges()
    }

    fn give_ranges(&mut self) -> Result<(), EngineError> {
        let given = self.engine.set_ranges(self.ranges.wanted.clone());
        self.ranges.is_pending = given.is_err();
        given
    }

    /// Whether there are ranges that the engine could not be given.
    pub(super) const fn lacks_ranges(&self) -> bool {
        self.ranges.is_pending
    }

    pub(super) fn retry_ranges(&mut self) {
        if self.ranges.is_pending {
            // What was wrong has been said, and is tried again.
            let _ = self.give_ranges();
        }
    }

    /// Remembers a session that a neighbor has begun, and gives it a name.
    pub fn accepted(&mut self, id: SessionId, key: SessionKey, range: &str) -> Option<Party> {
        let range = BfdName::new(range)?;
        let name = self.name_for(id, &key, &range)?;
        let accepted = Accepted {
            users: [Party::BfdSession(name)],
            range,
            key,
            opened: Instant::now(),
        };
        self.ranges.accepted.insert(id, accepted);
        self.accepted_users(id).first().cloned()
    }

    /// What a session is called that a neighbor has begun; nothing if it is none.
    #[must_use]
    pub fn accepted_users(&self, id: SessionId) -> &[Party] {
        let accepted = self.ranges.accepted.get(&id);
        accepted.map_or(&[], |accepted| &accepted.users)
    }

    /// Forgets a session that is gone, and says which range it was of; `None` if it was of none.
    pub fn forget_accepted(&mut self, id: SessionId) -> Option<BfdName> {
        let accepted = self.ranges.accepted.remove(&id)?;
        Some(accepted.range)
    }

    /// The range of a session that a neighbor has begun.
    #[must_use]
    pub fn range_of(&self, party: &Party) -> Option<&BfdName> {
        let mut accepted = self.ranges.accepted.values();
        let found = accepted.find(|accepted| accepted.users.contains(party));
        found.map(|accepted| &accepted.range)
    }

    /// What the sessions are called that neighbors have begun.
    pub fn accepted_names(&self) -> impl Iterator<Item = &str> {
        let accepted = self.ranges.accepted.values();
        accepted.flat_map(|accepted| accepted.users.iter().map(Party::name))
    }

    pub(super) fn report_accepted(&self, status: bfd::SessionStatus) -> Option<BfdReport> {
        let accepted = self.ranges.accepted.get(&status.id)?;
        let profile = self.ranges.profiles.get(&accepted.range);
        Some(BfdReport {
            users: accepted.users.to_vec(),
            range: Some(accepted.range.clone()),
            profile: profile.cloned().unwrap_or_default(),
            key: accepted.key.clone(),
            opened: Some(accepted.opened),
            session: Ok(status),
        })
    }

    /// By range and address; with the interface where the address alone says little, and by the discriminator where a
    /// neighbor has several.
    fn name_for(&self, id: SessionId, key: &SessionKey, range: &BfdName) -> Option<BfdName> {
        let ip = key.remote.ip();
        let interface = key.interface.as_deref().unwrap_or_default();
        let is_local = matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
        let short = (!is_local).then(|| format!("{range}@{ip}"));
        let names = [
            short,
            Some(format!("{range}@{ip}%{interface}")),
            Some(format!("{range}@{id}")),
        ];
        let mut names = names
            .into_iter()
            .flatten()
            .filter_map(|name| BfdName::new(&name));
        names.find(|name| {
            let party = Party::BfdSession(name.clone());
            self.range_of(&party).is_none() && !self.users.contains_key(&party)
        })
    }
}

fn engine_range(name: &BfdName, range: &BfdRangeConfig) -> Range {
    let BfdRangeConfig {
        prefix,
        interface,
        port,
        profile,
        max_sessions,
        ..
    } = range;
    Range {
        name: Arc::from(name.as_str()),
        networks: Network::new(prefix.network(), prefix.prefix_len())
            .into_iter()
            .collect(),
        interface: interface.clone(),
        port: *port,
        config: session_config(profile),
        max_sessions: max_sessions.get().into(),
    }
}
