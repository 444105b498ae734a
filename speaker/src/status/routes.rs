//! What is announced, and who has it: decided for each prefix from what the sessions have sent, not
//! from what they were asked to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::{Community, Family, FamilyStatus, RouteAttributes, State};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::addresses::{HostedStatus, hosted};
use super::{HealthStatus, text};
use crate::additions::RouteSpec;
use crate::addresses::Presence;
use crate::announcer::Announcement;
use crate::config::{PeerConfig, PeerName, RouteConfig, ServiceName};
use crate::control::{ByPeer, Refusal, Snapshot};
use crate::services::{Service, Source};
use crate::speaker::not_found;

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

/// An element of `GET /v1/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The pool that they belong to, if they belong to one.
    pub pool: Option<String>,
    /// Why it has not every address that it asks for; null if it has.
    pub lack: Option<String>,
    /// Which of them are on this host; none unless `address-interface` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosted: Vec<HostedStatus>,
    /// `file` or `api`.
    pub source: String,
    /// `healthy`: it may be announced; `unhealthy`; `unknown`: it has not had its first verdict.
    #[serde(default)]
    pub state: String,
    /// What it depends on; null: it is taken to work always.
    #[serde(default)]
    pub health: Option<HealthStatus>,
    /// How many of the peers that it is for have all of it.
    pub announced_to: usize,
    /// How many peers it is for.
    pub peers: usize,
    /// Why it is announced to nobody; null while it is, or while its health forbids it.
    #[serde(default)]
    pub unannounced: Option<String>,
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

    /// Why a service that is well is announced to nobody.
    pub(super) fn unannounced(
        &self,
        name: &ServiceName,
        service: &Service,
        peers: usize,
    ) -> Option<String> {
        if peers > 0 || !service.may_be_announced() {
            return None;
        }
        let first = service.addresses().next()?;
        if !service.addresses().any(|it| self.services.is_hosted(it)) {
            return Some(match self.addresses.addresses.get(&first) {
                Some(Presence::Missing(reason)) => {
                    format!("{first} is not on this host: {reason}")
                }
                _ => format!("{first} is not on this host yet"),
            });
        }
        let addresses = service.addresses();
        let mut conflicts = addresses.filter_map(|it| self.conflicts.get(&it));
        if let Some(conflict) = conflicts.next() {
            return Some(self.config.explain(conflict));
        }
        let is_fitted = |address| !self.config.advertised_as(name, address).is_empty();
        let reason = match service.addresses().any(is_fitted) {
            false => "no [[advertisement]] fits it",
            true => "no peer that the advertisements are for speaks the family of its addresses",
        };
        Some(reason.to_owned())
    }

    fn route_state(
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
    fn family_status(&self, peer: &PeerName, family: Family) -> Option<&FamilyStatus> {
        let session = self.bgp.get(peer)?;
        let mut families = session.families.iter();
        let status = families.find(|status| status.family == family)?;
        (session.state == State::Established).then_some(status)
    }

    /// `GET /v1/services/NAME`; `advertised` as for [`routes`](Self::routes).
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn service(
        &self,
        name: &str,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> Result<ServiceStatus, Refusal> {
        let mut all = self.services(advertised);
        match all.iter().position(|service| service.name == name) {
            Some(index) => Ok(all.swap_remove(index)),
            None => {
                let known = all.iter().map(|service| service.name.as_str());
                Err(not_found("service", "services", name, known))
            }
        }
    }

    /// `GET /v1/services`; `advertised` as for [`routes`](Self::routes).
    #[must_use]
    pub fn services(&self, advertised: &ByPeer<Arc<bgp::Routes>>) -> Vec<ServiceStatus> {
        let states = self.service_states(advertised);
        let services = self.services.iter();
        services
            .map(|(name, service)| {
                let peers = states.get(name);
                let have_it = peers.map(|peers| peers.values().filter(|all| **all).count());
                let pool = service.addresses().find_map(|ip| self.pools.pool_of(ip));
                let client = self.pools.client(name);
                ServiceStatus {
                    name: name.to_string(),
                    addresses: service.addresses().map(|ip| ip.to_string()).collect(),
                    pool: text(pool),
                    lack: text(client.and_then(|client| client.lack.as_ref())),
                    hosted: hosted(&self.addresses, service.addresses()),
                    source: service.source.to_string(),
                    state: service.verdict.to_string(),
                    health: self.health(name, service),
                    announced_to: have_it.unwrap_or(0),
                    peers: peers.map_or(0, BTreeMap::len),
                    unannounced: self.unannounced(name, service, peers.map_or(0, BTreeMap::len)),
                }
            })
            .collect()
    }

    /// How many peers have every route of each service; `advertised` as for [`routes`](Self::routes).
    pub(crate) fn service_holders(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> BTreeMap<&ServiceName, usize> {
        let states = self.service_states(advertised).into_iter();
        let counted =
            states.map(|(name, peers)| (name, peers.values().filter(|all| **all).count()));
        counted.collect()
    }

    /// Who each service is for, and whether they have all of it.
    fn service_states(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> BTreeMap<&ServiceName, BTreeMap<&PeerName, bool>> {
        let mut states: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (prefix, announcement) in self.announcements.iter() {
            let all = announcement.peers.iter().map(|(peer, attributes)| {
                let state = self.route_state(advertised, peer, prefix, attributes);
                (peer, state == "announced")
            });
            let all: Vec<_> = all.collect();
            for service in announcement.services() {
                let states = states.entry(service).or_default();
                for (peer, is_announced) in &all {
                    *states.entry(*peer).or_insert(true) &= is_announced;
                }
            }
        }
        states
    }
}

fn texts(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

#[cfg(test)]
mod tests;
