//! What Prometheus is told of those who ask.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Counters, count};

/// What the API has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiLoad {
    /// Connections that are open.
    pub connections: usize,
    /// Connections that were cut off because an answer took too long to be read.
    pub slow: u64,
    /// Connections that were cut off because the events that they follow were left unread.
    pub unread: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

pub(super) fn add(registry: &mut Registry, load: ApiLoad) {
    let connections = Gauge::<i64>::default();
    connections.set(count(load.connections));
    registry.register(
        "api_connections",
        "Connections to the API that are open",
        connections,
    );
    let cut_off = Counters::<Reason>::default();
    for (reason, number) in [("slow", load.slow), ("unread", load.unread)] {
        cut_off.get_or_create(&Reason { reason }).inc_by(number);
    }
    registry.register(
        "api_connections_cut_off",
        "Connections to the API that were cut off for a client that did not read",
        cut_off,
    );
}
