//! What a peer has announced, as far as it is kept.

use bgp::wire::{Attribute, MpNextHop};
use bgp::{ReceivedRoute, ReceivedRoutes};
use serde::{Deserialize, Serialize};

use crate::config::{Config, PeerName};
use crate::control::Refusal;
use crate::malformed;
use crate::speaker::unknown_peer;

/// An element of `GET /v1/peers/NAME/received`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReceivedRouteStatus {
    /// What can be reached.
    pub prefix: String,
    /// Which of several paths (RFC 7911).
    pub path_id: Option<u32>,
    /// By way of whom.
    pub next_hop: Option<String>,
    /// The same on the link that both are on (RFC 2545 §3).
    pub link_local_next_hop: Option<String>,
    /// `igp`, `egp` or `incomplete`.
    pub origin: Option<String>,
    /// The ASes on the way, nearest first.
    pub as_path: Vec<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF, of internal peers.
    pub local_pref: Option<u32>,
    /// As in the file: `64520:100`, `no-export`, `large:64520:1:2`.
    pub communities: Vec<String>,
    /// Any other attribute, by name and type code.
    pub other_attributes: Vec<String>,
    /// It was not announced since the session or the refresh began.
    pub stale: bool,
    /// It is, and the peer has been away for longer than its restart time (RFC 9494).
    pub long_lived_stale: bool,
}

impl Config {
    /// Refuses to look for the routes of a peer whose routes are not kept.
    ///
    /// # Errors
    /// What to do about it.
    pub fn keeps_routes(&self, name: &PeerName) -> Result<(), Refusal> {
        let Some(peer) = self.peers.get(name) else {
            return Err(unknown_peer(self, name.as_str()));
        };
        match peer.import.received_routes {
            ReceivedRoutes::Kept(_) => Ok(()),
            ReceivedRoutes::Counted | ReceivedRoutes::Reported => Err(Refusal::Conflict(format!(
                "the routes of peer {name} are counted, not kept; give it received-routes = \"kept\" and run `herald reload`, which asks it for them once more"
            ))),
        }
    }
}

impl From<&ReceivedRoute> for ReceivedRouteStatus {
    fn from(route: &ReceivedRoute) -> Self {
        let mut status = Self {
            prefix: route.prefix.to_string(),
            path_id: route.path_id,
            stale: route.stale,
            long_lived_stale: route.long_lived_stale,
            ..Self::default()
        };
        for attribute in route.attributes.decode() {
            status.add(&attribute);
        }
        status
    }
}

impl ReceivedRouteStatus {
    fn add(&mut self, attribute: &Attribute) {
        match attribute {
            Attribute::Origin(origin) => self.origin = Some(origin.to_string()),
            Attribute::AsPath(path) => self.as_path = path.asns().collect(),
            Attribute::NextHop(address) => self.next_hop = Some(address.to_string()),
            Attribute::MultiExitDisc(med) => self.med = Some(*med),
            Attribute::LocalPref(local_pref) => self.local_pref = Some(*local_pref),
            Attribute::Communities(communities) => {
                let texts = communities.iter().map(ToString::to_string);
                self.communities.extend(texts);
            }
            Attribute::LargeCommunities(communities) => {
                let texts = communities.iter().map(|large| format!("large:{large}"));
                self.communities.extend(texts);
            }
            Attribute::MpReach(reach) => self.set_next_hop(reach.next_hop),
            Attribute::Unknown { code, value, .. } => {
                let name = malformed::attribute(*code);
                self.other_attributes
                    .push(format!("{name} ({code}): {value:x}"));
            }
            other => {
                let code = other.code();
                let name = malformed::attribute(code);
                self.other_attributes.push(format!("{name} ({code})"));
            }
        }
    }

    fn set_next_hop(&mut self, next_hop: MpNextHop) {
        let (global, link_local) = match next_hop {
            MpNextHop::V4(address) => (address.to_string(), None),
            MpNextHop::V6(address) => (address.to_string(), None),
            MpNextHop::V6WithLinkLocal(address, link_local) => {
                (address.to_string(), Some(link_local.to_string()))
            }
        };
        self.next_hop = Some(global);
        self.link_local_next_hop = link_local;
    }
}
