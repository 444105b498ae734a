//! What Prometheus is told of the configuration file.

use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::control::Snapshot;

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let last = &snapshot.last_reload;
    let successful = Gauge::<i64>::default();
    successful.set(i64::from(last.went_well));
    registry.register(
        "config_last_reload_successful",
        "0 while the last reload was refused or one of its steps failed; 1 from the start",
        successful,
    );
    let at = Gauge::<f64, AtomicU64>::default();
    let since = last.last_success.duration_since(UNIX_EPOCH);
    at.set(since.unwrap_or_default().as_secs_f64());
    registry.register_with_unit(
        "config_last_reload_success_timestamp",
        "When a reload last went well, or else when the daemon was started",
        Unit::Seconds,
        at,
    );
}
