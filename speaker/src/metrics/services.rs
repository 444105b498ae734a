//! What Prometheus is told of every service, whatever it depends on.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::{Gauges, count};
use crate::control::{ByPeer, Snapshot};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    service: String,
}

pub(super) fn add(
    registry: &mut Registry,
    snapshot: &Snapshot,
    advertised: &ByPeer<Arc<bgp::Routes>>,
) {
    let announced = Gauges::<Service>::default();
    let lacks = Gauges::<Service>::default();
    let holders = snapshot.service_holders(advertised);
    for (name, _) in snapshot.services.iter() {
        let label = Service {
            service: name.to_string(),
        };
        let peers = holders.get(name).copied().unwrap_or_default();
        announced.get_or_create(&label).set(count(peers));
        let client = snapshot.pools.client(name);
        let does_lack = client.is_some_and(|client| client.lack.is_some());
        lacks.get_or_create(&label).set(i64::from(does_lack));
    }
    registry.register(
        "service_announced_peers",
        "Peers that have every route of the service",
        announced,
    );
    registry.register(
        "service_lacks_addresses",
        "1 while the service has not every address that it asks a pool for",
        lacks,
    );
}
