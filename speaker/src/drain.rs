//! Whom we ask to take other paths while ours still work (RFC 8326), and why.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::PeerName;

/// What was drained by command, and stays so until a command says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Every peer, also those to come.
    pub all: bool,
    /// These peers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub peers: BTreeSet<PeerName>,
}

impl Drain {
    pub(crate) fn is_nothing(&self) -> bool {
        !self.all && self.peers.is_empty()
    }
}

/// What keeps a peer drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// The daemon is about to end.
    Stop,
    /// A command about every peer.
    All,
    /// A command about this one.
    Peer,
}

impl DrainReason {
    /// As the API says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::All => "all",
            Self::Peer => "peer",
        }
    }
}

/// Who is drained at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draining {
    /// By command.
    pub commanded: Drain,
    /// The daemon ends then, and drains every peer until it does.
    pub stops_at: Option<Instant>,
}

impl Draining {
    /// Why this peer is drained; `None`: it is not.
    #[must_use]
    pub fn reason(&self, peer: &PeerName) -> Option<DrainReason> {
        match &self.commanded {
            _ if self.stops_at.is_some() => Some(DrainReason::Stop),
            Drain { all: true, .. } => Some(DrainReason::All),
            Drain { peers, .. } => peers.contains(peer).then_some(DrainReason::Peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_reason_counts() {
        let [tor, other] = ["tor", "other"].map(|name| PeerName::new(name).unwrap());
        let mut draining = Draining::default();
        assert_eq!(draining.reason(&tor), None);
        draining.commanded.peers.insert(tor.clone());
        assert_eq!(draining.reason(&tor), Some(DrainReason::Peer));
        assert_eq!(draining.reason(&other), None);
        draining.commanded.all = true;
        assert_eq!(draining.reason(&other), Some(DrainReason::All));
        draining.stops_at = Some(Instant::now());
        assert_eq!(draining.reason(&tor), Some(DrainReason::Stop));
    }
}
