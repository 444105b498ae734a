//! What peers announce, and what becomes of it.

use prometheus_client::registry::Registry;

use super::{Counters, Gauges, Peer, PeerFamily, count};
use crate::control::Snapshot;

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let prefixes = Gauges::<PeerFamily>::default();
    let max_prefixes = Gauges::<PeerFamily>::default();
    let announcements = Counters::<PeerFamily>::default();
    let loops = Counters::<PeerFamily>::default();
    let leaks = Counters::<PeerFamily>::default();
    let kept = Gauges::<PeerFamily>::default();
    let stale = Gauges::<PeerFamily>::default();
    let not_kept = Counters::<PeerFamily>::default();
    let over = Gauges::<Peer>::default();
    let shut_down = Gauges::<Peer>::default();
    let lost_events = Counters::<Peer>::default();
    for (name, config) in &snapshot.config.peers {
        let peer = name.to_string();
        let label = Peer { peer: peer.clone() };
        let is_shut_down = !config.enabled || snapshot.shutdowns.contains_key(name);
        shut_down.get_or_create(&label).set(i64::from(is_shut_down));
        if let Some(report) = snapshot.transports.get(name) {
            lost_events.get_or_create(&label).inc_by(report.lost_events);
        }
        let Some(session) = snapshot.bgp.get(name) else {
            continue;
        };
        let is_over = session.over_limit.is_some();
        over.get_or_create(&label).set(i64::from(is_over));
        for family in &session.families {
            let label = PeerFamily {
                peer: peer.clone(),
                family: family.family.to_string(),
            };
            announcements.get_or_create(&label).inc_by(family.received);
            loops.get_or_create(&label).inc_by(family.loops);
            leaks.get_or_create(&label).inc_by(family.leaks);
            if let Some(number) = family.prefixes {
                prefixes.get_or_create(&label).set(count(number));
            }
            if let Some(limit) = family.prefix_limit {
                max_prefixes.get_or_create(&label).set(limit.get().into());
            }
            if let Some(status) = family.kept {
                kept.get_or_create(&label).set(count(status.routes));
                stale.get_or_create(&label).set(count(status.stale));
                not_kept.get_or_create(&label).inc_by(status.not_kept);
            }
        }
    }
    registry.register(
        "peer_received_prefixes",
        "Prefixes that the peer announces, each once; where routes are kept or limited",
        prefixes,
    );
    registry.register(
        "peer_max_prefixes",
        "Prefixes that the peer may announce",
        max_prefixes,
    );
    registry.register(
        "peer_over_max_prefixes",
        "1 while the session is down for the peer has announced more prefixes than it may",
        over,
    );
    registry.register(
        "peer_received_announcements",
        "Prefixes announced on the present session, each time anew",
        announcements,
    );
    registry.register(
        "peer_received_loops",
        "Prefixes announced on the present session that lead back to us and were left out",
        loops,
    );
    registry.register(
        "peer_received_leaks",
        "Prefixes announced on the present session that were not meant for us and were left out (RFC 9234)",
        leaks,
    );
    registry.register("peer_kept_routes", "Routes of the peer that are kept", kept);
    registry.register(
        "peer_stale_routes",
        "Kept routes that the peer has not announced anew since its session came back",
        stale,
    );
    registry.register(
        "peer_not_kept",
        "Announcements that were not kept for want of room",
        not_kept,
    );
    registry.register(
        "peer_shut_down",
        "1 while the peer is shut down on purpose, by command or with enabled = false",
        shut_down,
    );
    registry.register(
        "peer_lost_events",
        "Events of the peer that are in no history, for too many came at once",
        lost_events,
    );
}
