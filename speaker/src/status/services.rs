//! What services there are, who has them, and why somebody has not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::{Family, State};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::addresses::{HostedStatus, hosted};
use super::{HealthStatus, text};
use crate::addresses::Presence;
use crate::config::{PeerName, ServiceName};
use crate::control::{ByPeer, Refusal, Snapshot};
use crate::services::{Service, Verdict};
use crate::speaker::not_found;

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
    /// How many peers it is for, or would be if it were announced.
    pub peers: usize,
    /// Why it is announced to nobody, if the reason lies with itself; null while it is.
    #[serde(default)]
    pub unannounced: Option<String>,
    /// Which of these peers have not all of it; none where `unannounced` tells why nobody has.
    #[serde(default)]
    pub lacking: Vec<LackingStatus>,
}

/// A peer that a service is announced to, and that has not all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LackingStatus {
    /// Who.
    pub peer: String,
    /// The first of its prefixes that the peer has not.
    pub prefix: String,
    /// How it is with that one, as `GET /v1/routes` has it: `pending`, `too long`, `no next hop` or
    /// `down`.
    pub state: String,
    /// In words.
    pub reason: String,
}

/// Of each peer that a service is announced to, the first prefix that it has not, and how that is.
type Lacks<'s> = BTreeMap<&'s PeerName, Option<(&'s IpNet, &'static str)>>;

/// What of a service is announced by which advertisements: those of which this is the same are for
/// the same peers.
type Audience = BTreeSet<(Family, Vec<usize>)>;

impl Snapshot {
    /// `GET /v1/services/NAME`; `advertised` is what [`Control::advertised`](crate::control::Control::advertised) answers.
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

    /// `GET /v1/services`; `advertised` as for [`service`](Self::service).
    #[must_use]
    pub fn services(&self, advertised: &ByPeer<Arc<bgp::Routes>>) -> Vec<ServiceStatus> {
        let lacks = self.lacks(advertised);
        let nobody = Lacks::new();
        let mut sizes = BTreeMap::new();
        let services = self.services.iter();
        services
            .map(|(name, service)| {
                let lacks = lacks.get(name).unwrap_or(&nobody);
                let peers = match lacks.len() {
                    0 => self.audience_size(name, service, &mut sizes),
                    peers => peers,
                };
                let pool = service.addresses().find_map(|ip| self.pools.pool_of(ip));
                let client = self.pools.client(name);
                let lack = text(client.and_then(|client| client.lack.as_ref()));
                let unannounced = lacks.is_empty();
                ServiceStatus {
                    name: name.to_string(),
                    addresses: service.addresses().map(|ip| ip.to_string()).collect(),
                    pool: text(pool),
                    unannounced: unannounced
                        .then(|| self.unannounced(name, service, lack.as_deref())),
                    lack,
                    hosted: hosted(&self.addresses, service.addresses()),
                    source: service.source.to_string(),
                    state: service.verdict.to_string(),
                    health: self.health(name, service),
                    announced_to: lacks.values().filter(|lack| lack.is_none()).count(),
                    peers,
                    lacking: self.lacking(lacks),
                }
            })
            .collect()
    }

    /// How many peers have every route of each service; `advertised` as for [`service`](Self::service).
    pub(crate) fn service_holders(
        &self,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> BTreeMap<&ServiceName, usize> {
        let lacks = self.lacks(advertised).into_iter();
        let counted =
            lacks.map(|(name, peers)| (name, peers.values().filter(|it| it.is_none()).count()));
        counted.collect()
    }

    /// Who each service is announced to, and what they lack of it.
    fn lacks(&self, advertised: &ByPeer<Arc<bgp::Routes>>) -> BTreeMap<&ServiceName, Lacks<'_>> {
        let mut lacks: BTreeMap<_, Lacks<'_>> = BTreeMap::new();
        for (prefix, announcement) in self.announcements.iter() {
            let all = announcement.peers.iter().map(|(peer, attributes)| {
                let state = self.route_state(advertised, peer, prefix, attributes);
                (peer, (state != "announced").then_some((prefix, state)))
            });
            let all: Vec<_> = all.collect();
            for service in announcement.services() {
                let lacks = lacks.entry(service).or_default();
                for (peer, lack) in &all {
                    let known = lacks.entry(peer).or_default();
                    *known = known.or(*lack);
                }
            }
        }
        lacks
    }

    fn lacking(&self, lacks: &Lacks<'_>) -> Vec<LackingStatus> {
        let lacking = lacks.iter();
        let lacking = lacking.filter_map(|(peer, lack)| Some((*peer, (*lack)?)));
        lacking
            .map(|(peer, (prefix, state))| LackingStatus {
                peer: peer.to_string(),
                prefix: prefix.to_string(),
                state: state.to_owned(),
                reason: self.why_lacking(peer, prefix, state),
            })
            .collect()
    }

    /// Why a peer has not got a prefix that it is to have.
    fn why_lacking(&self, peer: &PeerName, prefix: &IpNet, state: &str) -> String {
        let family = Family::of(prefix);
        match state {
            "down" => match self.bgp.get(peer).map_or(State::Idle, |it| it.state) {
                State::Established => format!("its session does not carry {family}"),
                _ if self.shutdowns.contains_key(peer) => "it was shut down by command".to_owned(),
                _ if self.config.peers.get(peer).is_some_and(|it| !it.enabled) => {
                    "it is disabled in the configuration".to_owned()
                }
                state => format!("its session is {state}"),
            },
            "no next hop" => {
                format!("we have no {family} address to name to it as the next hop of {prefix}")
            }
            "too long" => format!("the attributes of {prefix} leave no room for it in a message"),
            _ => format!("{prefix} is on its way"),
        }
    }

    /// How many peers a service would be for, if it were announced.
    fn audience_size(
        &self,
        name: &ServiceName,
        service: &Service,
        sizes: &mut BTreeMap<Audience, usize>,
    ) -> usize {
        let prefixes = service
            .addresses()
            .flat_map(|address| self.config.advertised_as(name, address));
        let audience: Audience = prefixes
            .map(|(prefix, places)| (Family::of(&prefix), places))
            .collect();
        if let Some(size) = sizes.get(&audience) {
            return *size;
        }
        let peers = self.config.peers.iter().filter(|(name, peer)| {
            audience.iter().any(|(family, places)| {
                peer.families.contains(family) && self.config.is_told(name, peer, places)
            })
        });
        let size = peers.count();
        sizes.insert(audience, size);
        size
    }

    /// Why a service is announced to nobody.
    pub(super) fn unannounced(
        &self,
        name: &ServiceName,
        service: &Service,
        lack: Option<&str>,
    ) -> String {
        if service.verdict != Verdict::Healthy {
            let standing = self.standings.get(name);
            let cause = standing.map(|standing| standing.cause.clone());
            return cause.unwrap_or_else(|| format!("it is {}", service.verdict));
        }
        let Some(first) = service.addresses().next() else {
            return match lack {
                Some(lack) => format!("it has no address: {lack}"),
                None => "it has no address".to_owned(),
            };
        };
        if !service.addresses().any(|it| self.services.is_hosted(it)) {
            return match self.addresses.addresses.get(&first) {
                Some(Presence::Missing(reason)) => {
                    format!("{first} is not on this host: {reason}")
                }
                _ => format!("{first} is not on this host yet"),
            };
        }
        let addresses = service.addresses();
        let mut conflicts = addresses.filter_map(|it| self.conflicts.get(&it));
        if let Some(conflict) = conflicts.next() {
            return self.config.explain(conflict);
        }
        let is_fitted = |address| !self.config.advertised_as(name, address).is_empty();
        let reason = match service.addresses().any(is_fitted) {
            false => "no [[advertisement]] fits it",
            true if self.config.peers.is_empty() => "there is no peer",
            true => "no peer that the advertisements are for speaks the family of its addresses",
        };
        reason.to_owned()
    }
}
