//! Unnumbered peers: who is on the other end of their interfaces, as far as that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::Arc;

use tracing::info;

use super::Speaker;
use crate::config::{PeerConfig, PeerName};
use crate::unnumbered::Sighting;

/// The other end of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbor {
    /// The address it has, or had last.
    pub address: Option<Ipv6Addr>,
    /// Why nothing can be heard of it.
    pub trouble: Option<String>,
}

/// By interface.
pub type Neighbors = BTreeMap<String, Neighbor>;

impl Speaker {
    /// Looks at the interfaces of unnumbered peers, and at no others.
    pub(super) fn look_for_neighbors(&mut self) {
        let peers = self.config.peers.values();
        let interfaces: BTreeSet<&str> = peers.filter_map(PeerConfig::unnumbered).collect();
        self.neighbors
            .retain(|interface, _| interfaces.contains(interface.as_str()));
        self.discovery.look_at(interfaces);
    }

    pub(super) fn handle_sighting(&mut self, sighting: Sighting) {
        let Sighting {
            interface,
            neighbor,
        } = sighting;
        let config = Arc::clone(&self.config);
        let on_interface = |peer: &PeerConfig| peer.unnumbered() == Some(interface.as_str());
        if !config.peers.values().any(on_interface) {
            return;
        }
        let known = self.neighbors.entry(interface.clone()).or_default();
        match neighbor {
            Ok(address) => {
                info!(%interface, neighbor = %address, "found a neighbor");
                *known = Neighbor {
                    address: Some(address),
                    trouble: None,
                };
                self.note(format!("interface {interface}: found neighbor {address}"));
                self.place_peers();
            }
            Err(trouble) => {
                info!(%interface, "no neighbor: {trouble}");
                known.trouble = Some(trouble);
            }
        }
    }

    /// A peer with the address that it is spoken to; `None` while that of an unnumbered one is not
    /// known.
    pub(super) fn located(&self, peer: &PeerConfig) -> Option<PeerConfig> {
        let Some(interface) = peer.unnumbered() else {
            return Some(peer.clone());
        };
        let address = self.neighbors.get(interface)?.address?;
        let mut peer = peer.clone();
        peer.address.ip = Some(address.into());
        Some(peer)
    }

    /// Speaks to the neighbors that are there now. A session that found its way is left alone.
    pub(super) fn place_peers(&mut self) {
        let config = Arc::clone(&self.config);
        let mut found = false;
        for (name, peer) in &config.peers {
            let Some(interface) = peer.unnumbered() else {
                continue;
            };
            let address = self.neighbors.get(interface).and_then(|it| it.address);
            if address.is_some()
                && self.placed.get(name).copied() != address
                && !self.established.contains(name)
            {
                found = true;
                // What went wrong is logged, shown, and tried again.
                let _ = self.set_peer(name, peer);
            }
        }
        if found {
            // The BGP thread may hear of some for the first time.
            self.announce_all();
        }
    }

    /// Remembers which neighbor an unnumbered peer was told to speak to.
    pub(super) fn note_place(&mut self, name: &PeerName, peer: &PeerConfig) {
        let interface = peer.unnumbered();
        let address = interface.and_then(|it| self.neighbors.get(it)?.address);
        match address {
            Some(address) => drop(self.placed.insert(name.clone(), address)),
            None => drop(self.placed.remove(name)),
        }
    }
}
