//! What one peer has from us.

use bgp::{Family, Routes};
use serde::{Deserialize, Serialize};

use super::routes::route_spec;
use super::text;
use crate::additions::RouteSpec;
use crate::config::PeerName;
use crate::control::Snapshot;

/// An element of `GET /v1/peers/NAME/advertised`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvertisedRouteStatus {
    /// What is announced.
    pub prefix: String,
    /// The next hop that we have for the peer, where the route has none of its own.
    pub session_next_hop: Option<String>,
    /// What is said of it.
    #[serde(flatten)]
    pub attributes: RouteSpec,
}

impl Snapshot {
    /// `GET /v1/peers/NAME/advertised`
    #[must_use]
    pub fn advertised(&self, name: &PeerName, routes: &Routes) -> Vec<AdvertisedRouteStatus> {
        let families = self.bgp.get(name).map(|session| &session.families);
        let next_hop = |family| {
            let mut families = families.into_iter().flatten();
            families.find(|status| status.family == family)?.next_hop
        };
        routes
            .iter()
            .map(|(prefix, attributes)| AdvertisedRouteStatus {
                prefix: prefix.to_string(),
                session_next_hop: text(next_hop(Family::of(prefix))),
                attributes: route_spec(attributes),
            })
            .collect()
    }
}
