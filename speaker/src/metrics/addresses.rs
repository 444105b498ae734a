//! What Prometheus is told of the addresses of services on this host.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::Gauges;
use crate::addresses::Presence;
use crate::control::Snapshot;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Address {
    address: String,
    interface: String,
}

/// Nothing, unless addresses are to be added somewhere.
pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let report = &snapshot.addresses;
    let Some(wanted) = &report.interface else {
        return;
    };
    let present = Gauges::<Address>::default();
    for (address, presence) in &report.addresses {
        let interface = match presence {
            Presence::Foreign(interface) => interface,
            Presence::Added | Presence::Missing(_) => wanted,
            // Nothing is said that may be wrong.
            Presence::Unknown(_) => continue,
        };
        let label = Address {
            address: address.to_string(),
            interface: interface.clone(),
        };
        let is_there = !matches!(presence, Presence::Missing(_));
        present.get_or_create(&label).set(i64::from(is_there));
    }
    registry.register(
        "service_address_present",
        "1 while the address of a service is on this host, by us or by others",
        present,
    );
    let restored = Counter::<u64, AtomicU64>::default();
    restored.inc_by(report.restored);
    registry.register(
        "service_addresses_restored",
        "Addresses that somebody else had taken away and that were added again",
        restored,
    );
}
