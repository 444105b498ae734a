//! What Prometheus is told of pools.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Gauges, count};
use crate::config::IpFamily;
use crate::control::Snapshot;
use crate::status::countable;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: String,
    ip_family: String,
}

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let addresses = Gauges::<Pool>::default();
    let in_use = Gauges::<Pool>::default();
    let free = Gauges::<Pool>::default();
    for pool in snapshot.pools.uses() {
        for family in IpFamily::ALL {
            if !pool
                .config
                .addresses
                .iter()
                .any(|range| range.family() == family)
            {
                continue;
            }
            let label = Pool {
                pool: pool.name.to_string(),
                ip_family: family.to_string(),
            };
            let set = |gauges: &Gauges<Pool>, number| {
                let number = i64::try_from(countable(number)).unwrap_or(i64::MAX);
                gauges.get_or_create(&label).set(number);
            };
            set(&addresses, pool.config.size(family));
            set(&in_use, pool.in_use(family));
            set(&free, pool.free(family));
        }
    }
    registry.register(
        "pool_addresses",
        "Addresses of a pool that can be assigned in all",
        addresses,
    );
    registry.register(
        "pool_addresses_in_use",
        "Addresses of a pool that somebody has",
        in_use,
    );
    registry.register(
        "pool_addresses_free",
        "Addresses of a pool that can still be assigned",
        free,
    );
    let waiting = Gauge::<i64>::default();
    waiting.set(count(snapshot.pools.waiting().len()));
    registry.register(
        "services_lacking_addresses",
        "Services that have not every address that they ask a pool for",
        waiting,
    );
}
