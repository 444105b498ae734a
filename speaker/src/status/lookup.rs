//! `GET /v1/routes/PREFIX`: who has one route; who has it not, and why.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::{Family, State};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::RouteStatus;
use crate::announcer::Announcement;
use crate::config::{PeerName, ServiceName, parse_prefix};
use crate::control::{ByPeer, Refusal, Snapshot};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteQuery {
    /// This prefix.
    Exactly(IpNet),
    /// The longest prefix that has this address in it, as a router looks for it.
    Longest(IpAddr),
}

/// `GET /v1/routes/PREFIX`: a route, and who has it not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RouteDetailStatus {
    /// The route.
    #[serde(flatten)]
    pub route: RouteStatus,
    /// Every peer that has it not, also those it is not for.
    pub lacking: Vec<RouteLackStatus>,
}

/// A peer that has not a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RouteLackStatus {
    /// Who.
    pub peer: String,
    /// Why.
    pub reason: String,
}

impl RouteQuery {
    /// `198.51.100.0/24` or `192.0.2.150`. The error completes "must be …".
    ///
    /// # Errors
    /// In words, when it is something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(address) => Ok(Self::Longest(address)),
            Err(_) => parse_prefix(text).map(Self::Exactly),
        }
    }
}

impl Snapshot {
    /// `GET /v1/routes/PREFIX`; `advertised` as for [`routes`](Self::routes).
    ///
    /// # Errors
    /// When there is none; it says why, as far as there is a reason.
    pub fn route_of(
        &self,
        query: RouteQuery,
        advertised: &ByPeer<Arc<bgp::Routes>>,
    ) -> Result<RouteDetailStatus, Refusal> {
        let found = match query {
            RouteQuery::Exactly(prefix) => self.announcements.get_key_value(&prefix),
            RouteQuery::Longest(address) => self.longest(address.into()),
        };
        let (prefix, announcement) = found.ok_or_else(|| self.not_announced(query))?;
        let route = self.route(advertised, prefix, announcement);
        let states = route.peers.iter();
        let states = states.map(|peer| (peer.peer.as_str(), peer.state.as_str()));
        let states: std::collections::BTreeMap<&str, &str> = states.collect();
        let lacking = self.config.peers.keys().filter_map(|peer| {
            let state = states.get(peer.as_str()).copied();
            let reason = self.reason(peer, Family::of(prefix), announcement, state)?;
            let peer = peer.to_string();
            Some(RouteLackStatus { peer, reason })
        });
        let lacking = lacking.collect();
        Ok(RouteDetailStatus { route, lacking })
    }

    /// The longest prefix that is announced with all of this in it.
    fn longest(&self, net: IpNet) -> Option<(&IpNet, &Announcement)> {
        let lengths = (0..=net.prefix_len()).rev();
        let mut prefixes = lengths.filter_map(|length| IpNet::new(net.addr(), length).ok());
        prefixes.find_map(|prefix| self.announcements.get_key_value(&prefix.trunc()))
    }

    /// Why a peer has it not; `None`: it has.
    fn reason(
        &self,
        name: &PeerName,
        family: Family,
        announcement: &Announcement,
        state: Option<&str>,
    ) -> Option<String> {
        let peer = self.config.peers.get(name)?;
        Some(match state {
            Some("announced") => return None,
            Some("pending") => "it is on its way".to_owned(),
            Some("too long") => "its attributes leave no room for it in a message".to_owned(),
            Some("no next hop") => {
                format!("we have no address to name to it as the next hop of {family}")
            }
            _ if !peer.families.contains(&family) => format!("its families have no {family}"),
            Some(_) if !peer.enabled => "it has enabled = false".to_owned(),
            Some(_) if self.shutdowns.contains_key(name) => "it is shut down by command".to_owned(),
            Some(_) => match self.bgp.get(name).map(|session| session.state) {
                Some(State::Established) => format!("its session does not carry {family}"),
                Some(state) => format!("its session is {state}"),
                None => "it has no session".to_owned(),
            },
            None if announcement.route.is_some() => "the route is for other peers".to_owned(),
            None => "no [[advertisement]] of it is for this peer".to_owned(),
        })
    }

    fn not_announced(&self, query: RouteQuery) -> Refusal {
        let (text, net) = match query {
            RouteQuery::Exactly(prefix) => (prefix.to_string(), prefix),
            RouteQuery::Longest(address) => (address.to_string(), address.into()),
        };
        let is_address = net.prefix_len() == net.max_prefix_len();
        let holder = is_address.then(|| self.services.user(net.addr())).flatten();
        let around = self.longest(net);
        let is_part = |(_, around): &(&IpNet, &Announcement)| {
            holder.is_some_and(|name| around.services().contains(&name))
        };
        Refusal::NotFound(match (around, holder) {
            (Some((prefix, _)), _) if around.as_ref().is_some_and(is_part) => {
                format!("{text} is announced as part of {prefix} only")
            }
            (_, Some(name)) => format!(
                "{text} is not announced: it is an address of service {name}, {}",
                self.standing(name)
            ),
            (Some((prefix, _)), None) => {
                format!("{text} is not announced; {prefix} is, which has it in it")
            }
            (None, None) => format!(
                "{text} is not announced: no service and no route has it; `herald show routes` lists what is"
            ),
        })
    }

    /// What keeps a service from being announced.
    fn standing(&self, name: &ServiceName) -> String {
        let Some(service) = self.services.get(name) else {
            return "which is gone".to_owned();
        };
        if service.may_be_announced() {
            let reason = self.unannounced(name, service, None);
            return format!("which is announced to nobody: {reason}");
        }
        match self.health(name, service) {
            Some(health) => format!("which is {}: {}", service.verdict, health.cause),
            None => format!("which is {}", service.verdict),
        }
    }
}
