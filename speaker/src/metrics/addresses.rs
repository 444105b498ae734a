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
    service: String,
    address: String,
}

/// Nothing, unless addresses are to be added somewhere.
pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let report = &snapshot.addresses;
    if report.interface.is_none() {
        return;
    }
    let present = Gauges::<Address>::default();
    for (name, service) in snapshot.services.iter() {
        for address in service.addresses() {
            let is_there = match report.addresses.get(&address) {
                Some(Presence::Added | Presence::Foreign(_) | Presence::Elsewhere { .. }) => true,
                Some(Presence::Missing(_)) => false,
                // Nothing is said that may be wrong.
                Some(Presence::Unknown(_)) | None => continue,
            };
            let label = Address {
                service: name.to_string(),
                address: address.to_string(),
            };
            present.get_or_create(&label).set(i64::from(is_there));
        }
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
