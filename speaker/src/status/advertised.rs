//! What one peer has from us.

use bgp::{Family, Routes};
use serde::{Deserialize, Serialize};

use super::text;
use crate::additions::RouteSpec;
use crate::config::PeerName;
use crate::control::Snapshot;

/// An element of `GET /v1/peers/NAME/advertised`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    pub fn advertised(
        &self,
        name: &PeerName,
        routes: &Routes,
    ) -> impl Iterator<Item = AdvertisedRouteStatus> + Send {
        let families = self.bgp.get(name).map(|session| &session.families);
        let next_hop = move |family| {
            let mut families = families.into_iter().flatten();
            families.find(|status| status.family == family)?.next_hop
        };
        routes
            .iter()
            .map(move |(prefix, attributes)| AdvertisedRouteStatus {
                prefix: prefix.to_string(),
                session_next_hop: text(next_hop(Family::of(prefix))),
                attributes: self.said_to(name, attributes),
            })
    }
}
