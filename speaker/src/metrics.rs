//! What Prometheus is told: gathered from a snapshot for each scrape, so that nothing is counted
//! twice.

mod addresses;
mod api;
mod bfd;
mod classic;
mod health;
mod hooks;
mod pools;
mod received;
mod reload;
mod services;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use bgp::State;

use crate::control::{ByPeer, Snapshot};

pub use api::ApiLoad;

/// How the text of a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The one that Prometheus had before.
    Classic,
}

impl Format {
    /// The one that whoever sends this `Accept` prefers.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        match classic::is_preferred(accept) {
            true => Self::Classic,
            false => Self::OpenMetrics,
        }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

const STATES: [State; 6] = [
    State::Idle,
    State::Connect,
    State::Active,
    State::OpenSent,
    State::OpenConfirm,
    State::Established,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Peer {
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Range {
    range: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerInState {
    peer: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    peer: String,
    direction: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerFamily {
    peer: String,
    family: String,
}

type Gauges<L> = Family<L, Gauge>;
type Counters<L> = Family<L, Counter<u64, AtomicU64>>;
type Seconds<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The text of a scrape; `advertised` is what each peer has from us, `api` what the API has to do.
#[must_use]
pub fn render(
    snapshot: &Snapshot,
    advertised: &ByPeer<Arc<bgp::Routes>>,
    api: ApiLoad,
    format: Format,
) -> String {
    let mut registry = Registry::with_prefix("herald");
    add_daemon(&mut registry, snapshot);
    reload::add(&mut registry, snapshot);
    add_bgp(&mut registry, snapshot);
    received::add(&mut registry, snapshot);
    bfd::add(&mut registry, snapshot);
    services::add(&mut registry, snapshot, advertised);
    health::add(&mut registry, snapshot);
    hooks::add(&mut registry, snapshot);
    pools::add(&mut registry, snapshot);
    addresses::add(&mut registry, snapshot);
    api::add(&mut registry, api);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut out, &registry);
    match format {
        Format::OpenMetrics => out,
        Format::Classic => classic::from_openmetrics(&out),
    }
}

fn add_daemon(registry: &mut Registry, snapshot: &Snapshot) {
    registry.register(
        "build",
        "The program",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    let uptime = Gauge::<f64, AtomicU64>::default();
    uptime.set(snapshot.uptime().as_secs_f64());
    registry.register_with_unit(
        "uptime",
        "How long the daemon has run",
        Unit::Seconds,
        uptime,
    );
    let routes = Gauge::<i64>::default();
    routes.set(count(snapshot.announcements.len()));
    registry.register("routes", "Prefixes that are to be announced", routes);
    let services = Gauge::<i64>::default();
    services.set(count(snapshot.services.iter().len()));
    registry.register(
        "services",
        "Services that are configured or were added",
        services,
    );
    let peers = Gauge::<i64>::default();
    peers.set(count(snapshot.config.peers.len()));
    registry.register(
        "peers",
        "Peers that are configured or have come from a range",
        peers,
    );
    let dynamic = Gauges::<Range>::default();
    let limit = Gauges::<Range>::default();
    for (name, range) in &snapshot.config.ranges {
        let label = Range {
            range: name.to_string(),
        };
        let peers = snapshot.config.peers.values();
        let of_range = peers.filter(|peer| peer.range.as_ref() == Some(name));
        dynamic.get_or_create(&label).set(count(of_range.count()));
        let most = limit.get_or_create(&label);
        most.set(i64::from(range.limit.get()));
    }
    registry.register(
        "peer_range_peers",
        "Peers that have come from a range",
        dynamic,
    );
    registry.register(
        "peer_range_limit",
        "How many peers a range lets in at a time",
        limit,
    );
}

fn add_bgp(registry: &mut Registry, snapshot: &Snapshot) {
    let up = Gauges::<Peer>::default();
    let draining = Gauges::<Peer>::default();
    let state = Gauges::<PeerInState>::default();
    let in_state = Seconds::<Peer>::default();
    let established = Counters::<Peer>::default();
    let dropped = Counters::<Peer>::default();
    let messages = Counters::<Message>::default();
    let advertised = Gauges::<PeerFamily>::default();
    let pending = Gauges::<PeerFamily>::default();
    let update_errors = Counters::<Peer>::default();
    for name in snapshot.config.peers.keys() {
        let peer = name.to_string();
        let label = Peer { peer: peer.clone() };
        let session = snapshot.bgp.get(name);
        let now = session.map_or(State::Idle, |session| session.state);
        up.get_or_create(&label)
            .set(i64::from(now == State::Established));
        let is_drained = snapshot.draining.reason(name).is_some();
        draining.get_or_create(&label).set(i64::from(is_drained));
        for one in STATES {
            let label = PeerInState {
                peer: peer.clone(),
                state: one.to_string(),
            };
            state.get_or_create(&label).set(i64::from(one == now));
        }
        let Some(session) = session else { continue };
        if let Some(since) = session.since {
            let duration = snapshot.now.0.saturating_duration_since(since);
            in_state.get_or_create(&label).set(duration.as_secs_f64());
        }
        established
            .get_or_create(&label)
            .inc_by(session.established);
        dropped.get_or_create(&label).inc_by(session.dropped);
        update_errors
            .get_or_create(&label)
            .inc_by(session.update_errors);
        for (direction, counters) in [("sent", &session.sent), ("received", &session.received)] {
            for (r#type, number) in [
                ("open", counters.open),
                ("update", counters.update),
                ("notification", counters.notification),
                ("keepalive", counters.keepalive),
                ("route-refresh", counters.route_refresh),
            ] {
                let label = Message {
                    peer: peer.clone(),
                    direction,
                    r#type,
                };
                messages.get_or_create(&label).inc_by(number);
            }
        }
        for family in &session.families {
            let label = PeerFamily {
                peer: peer.clone(),
                family: family.family.to_string(),
            };
            advertised
                .get_or_create(&label)
                .set(count(family.advertised));
            pending.get_or_create(&label).set(count(family.pending));
        }
    }
    registry.register("peer_up", "1 while the BGP session is Established", up);
    registry.register(
        "peer_draining",
        "1 while the peer is asked to take other paths",
        draining,
    );
    registry.register(
        "peer_state",
        "1 for the state that the BGP session is in",
        state,
    );
    registry.register_with_unit(
        "peer_in_state",
        "How long the BGP session has been in its state",
        Unit::Seconds,
        in_state,
    );
    registry.register(
        "peer_established",
        "How often the BGP session was Established",
        established,
    );
    registry.register(
        "peer_dropped",
        "How often the BGP session ceased to be Established",
        dropped,
    );
    registry.register(
        "peer_messages",
        "BGP messages by direction and type",
        messages,
    );
    registry.register(
        "peer_advertised_prefixes",
        "Prefixes that the peer has from us",
        advertised,
    );
    registry.register(
        "peer_pending_prefixes",
        "Prefixes on their way to the peer",
        pending,
    );
    registry.register(
        "peer_update_errors",
        "UPDATEs with an error that RFC 7606 lets pass",
        update_errors,
    );
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
