//! What is announced, and who has it: decided for each prefix from what the sessions have sent, not
//! from what they were asked to send.

use std::collections::BTreeSet;
use std::sync::Arc;

use bgp::{Community, Family, FamilyStatus, RouteAttributes, State};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::additions::RouteSpec;
use crate::announcer::Announcement;
use crate::config::{PeerConfig, PeerName, RouteConfig};
use crate::control::{ByPeer, Snapshot};
use crate::services::Source;

/// An element of `GET /v1/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RouteStatus {
    /// What is announced.
    pub prefix: String,
    /// The service whose address it is; null for a route, and for an aggregate of several services.
    pub service: Option<String>,
    /// The services that have addresses in it; none for a route.
    #[serde(default)]
    pub services: Vec<String>,
    /// `file` or `api`; of an aggregate, that of its first service.
    pub source: String,
    /// Those it is for.
    pub peers: Vec<RoutePeerStatus>,
}

/// A route at one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoutePeerStatus {
    /// Who.
    pub peer: String,
    /// `announced`: the peer has it; `pending`: it is on its way; `too long`: its attributes leave
    /// no room for it in a message, and the peer does not have it; `no next hop`: we have no
    /// address of this family to name to this peer; `down`: the session is not established or does
    /// not carry the family.
    pub state: String,
    /// The advertisements that say so, in the order of the file; none for a route, and where there
    /// are no advertisements at all.
    #[serde(default)]
    pub advertisements: Vec<String>,
    /// What is said of it.
    #[serde(flatten)]
    pub attributes: RouteSpec,
}

impl Snapshot {
    /// `GET /v1/routes`; `advertised` is what [`Control::advertised`](crate::control::Control::advertised) answers.
    pub fn routes(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> impl Iterator<Item = RouteStatus> + Send {
        self.announcements
            .iter()
            .map(move |(prefix, announcement)| self.route(advertised, prefix, announcement))
    }

    pub(super) fn route(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
        prefix: &IpNet,
        announcement: &Announcement,
    ) -> RouteStatus {
        let at_peer = |(peer, attributes): (&PeerName, &Arc<RouteAttributes>)| RoutePeerStatus {
            peer: peer.to_string(),
            state: self
                .route_state(advertised, peer, prefix, attributes)
                .to_owned(),
            advertisements: self.advertisements(announcement, peer),
            attributes: self.said_to(peer, attributes),
        };
        RouteStatus {
            prefix: prefix.to_string(),
            service: announcement.service().map(ToString::to_string),
            services: texts(announcement.services()),
            source: self.source(announcement).to_string(),
            peers: announcement.peers.iter().map(at_peer).collect(),
        }
    }

    fn source(&self, announcement: &Announcement) -> Source {
        let first = announcement.services().first().copied();
        let of_service = first.and_then(|name| self.services.get(name));
        let of_service = of_service.map(|service| service.source);
        announcement.route.or(of_service).unwrap_or(Source::File)
    }

    /// By which advertisements a peer is told.
    fn advertisements(&self, announcement: &Announcement, name: &PeerName) -> Vec<String> {
        let Some(peer) = self.config.peers.get(name) else {
            return Vec::new();
        };
        let members = announcement.members.iter();
        let all = members.flat_map(|member| member.by.iter().copied());
        // Those that say the same prefix stand for one another, of however many members.
        let all: Vec<usize> = match announcement.route {
            Some(_) => Vec::new(),
            None => all.collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let those = self.config.advertisements_for(name, peer, &all);
        those
            .map(|(place, _)| self.config.advertisement_label(place))
            .collect()
    }

    pub(super) fn route_state(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
        peer: &PeerName,
        prefix: &IpNet,
        attributes: &Arc<RouteAttributes>,
    ) -> &'static str {
        let says_so = |routes: Option<&bgp::Routes>| {
            routes.and_then(|routes| routes.get(prefix)) == Some(attributes)
        };
        match self.family_status(peer, Family::of(prefix)) {
            None => "down",
            Some(family) if family.next_hop.is_none() => "no next hop",
            Some(_) if says_so(self.unsendable.get(peer)) => "too long",
            Some(family) if family.pending == 0 => "announced",
            Some(_) if says_so(advertised.get(peer).map(Arc::as_ref)) => "announced",
            Some(_) => "pending",
        }
    }

    /// What a peer is told of a route with these attributes.
    pub(super) fn said_to(&self, peer: &PeerName, attributes: &RouteAttributes) -> RouteSpec {
        let mut attributes = attributes.clone();
        if self.draining.reason(peer).is_some() {
            let communities = &mut attributes.communities;
            if !communities.contains(&Community::GRACEFUL_SHUTDOWN) {
                communities.push(Community::GRACEFUL_SHUTDOWN);
            }
            let config = self.config.peers.get(peer);
            if config.is_some_and(PeerConfig::is_internal) {
                attributes.local_pref = Some(0);
            }
        }
        RouteSpec::from(&RouteConfig {
            attributes,
            peers: None,
        })
    }

    /// `None` while the session does not carry the family.
    pub(super) fn family_status(&self, peer: &PeerName, family: Family) -> Option<&FamilyStatus> {
        let session = self.bgp.get(peer)?;
        let mut families = session.families.iter();
        let status = families.find(|status| status.family == family)?;
        (session.state == State::Established).then_some(status)
    }
}

fn texts(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}
