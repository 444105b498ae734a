//! A failure under load: how long the dead next hop stays, and who suffers meanwhile.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::Namespace;
use super::support::http::{Load, Request};
use super::support::routes::{self, RouteMonitor};
use super::topology::{Host, SERVICE_V4, SERVICE_V6, SERVICES, Topology, server_of};

/// One request begins this long after the other.
const INTERVAL: Duration = Duration::from_millis(5);
/// More than a failure lasts.
const MAX_REQUESTS: u16 = 800;
/// Until a request has failed: before TCP's first retransmission, after 1 s, could save it.
const PATIENCE: Duration = Duration::from_millis(800);

/// What a failure did to one service.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub service: &'static str,
    pub failed_at: Instant,
    /// When the kernel of the router stopped using the dead next hop.
    pub gone_at: Instant,
    pub requests: usize,
    pub failed_requests: usize,
    /// How often the route changed; once is enough.
    pub route_changes: usize,
}

impl Outcome {
    /// From the failure until the next hop was gone.
    pub(crate) fn time_to_gone(&self) -> Duration {
        self.gone_at - self.failed_at
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            requests,
            failed_requests,
            ..
        } = self;
        write!(
            f,
            "{service}: next hop gone after {:.1?}; {failed_requests} of {requests} requests failed",
            self.time_to_gone()
        )
    }
}

/// Makes `failing` fail while a client asks for each service without pause, and checks that
///
/// - the route moves to `kept` alone,
/// - no request fails that began after that, and before that only such as the router had sent to `failing`.
#[track_caller]
pub(crate) fn fail_over(
    topology: &Topology,
    failing: &Host,
    kept: &Host,
    fail: impl FnOnce(),
) -> Vec<Outcome> {
    let watch = Watch::start(topology, failing);
    let monitor = RouteMonitor::start(&topology.router);
    let ports = fresh_ports();
    let loads = SERVICES.map(|service| {
        Load::start(
            &topology.client,
            server_of(service),
            ports.clone(),
            INTERVAL,
            PATIENCE,
        )
    });
    thread::sleep(Duration::from_millis(300));

    let failed_at = Instant::now();
    fail();
    let gone_at = SERVICES.map(|service| {
        let wanted = Topology::next_hops(service, &[kept]);
        let gone_at = monitor.wait_for(service, &wanted, failed_at, Duration::from_secs(20));
        assert_eq!(
            routes::next_hops(&topology.router, service),
            wanted,
            "and stays so"
        );
        gone_at
    });
    thread::sleep(Duration::from_millis(500));

    let mut outcomes = Vec::new();
    for ((service, load), gone_at) in SERVICES.into_iter().zip(loads).zip(gone_at) {
        let requests = load.stop();
        check(
            service,
            &requests,
            &watch.ports_sent_to_failing(service),
            kept,
            gone_at,
        );
        let failed_requests = requests
            .iter()
            .filter(|request| request.answer.is_err())
            .count();
        outcomes.push(Outcome {
            service,
            failed_at,
            gone_at,
            requests: requests.len(),
            failed_requests,
            route_changes: monitor.changes_since(service, failed_at).len(),
        });
    }
    outcomes
}

/// Source ports that no earlier failure has used: a host that was cut off may remember their connections.
fn fresh_ports() -> Range<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let first = NEXT.fetch_add(MAX_REQUESTS, Ordering::Relaxed);
    first..first + MAX_REQUESTS
}

#[track_caller]
fn check(
    service: &str,
    requests: &[Request],
    sent_to_failing: &BTreeSet<u16>,
    kept: &Host,
    gone_at: Instant,
) {
    for request in requests {
        let was_after = request.began > gone_at;
        match &request.answer {
            Ok(name) if was_after => assert_eq!(
                *name,
                kept.name(),
                "{service}: who answers after the change: {request:?}"
            ),
            Ok(_) => {}
            Err(_) => {
                assert!(
                    !was_after,
                    "{service}: failed, and began {:?} after the route had changed: {request:?}",
                    request.began - gone_at
                );
                assert!(
                    sent_to_failing.contains(&request.source_port),
                    "{service}: failed on its way to a healthy host: {request:?}"
                );
            }
        }
    }
    let after = requests
        .iter()
        .filter(|request| request.began > gone_at)
        .count();
    assert!(
        after >= 20,
        "{service}: too few requests after the change to tell: {after} of {}",
        requests.len()
    );
}

/// Writes down in the router which connections it sends to the failing host: once they have failed nobody can tell.
///
/// Source ports do not tell either: a packet that comes from a socket on the same machine carries that socket's own random hash, and the
/// kernel prefers it to hashing the ports.
struct Watch<'a> {
    router: &'a Namespace,
}

impl<'a> Watch<'a> {
    fn start(topology: &'a Topology, failing: &Host) -> Self {
        let Host { v4, v6, .. } = failing;
        topology.router.nft(&format!(
            "table inet watch {{
                set v4 {{ type inet_service; flags dynamic; size 65535; }}
                set v6 {{ type inet_service; flags dynamic; size 65535; }}
                chain out {{
                    type filter hook postrouting priority 0;
                    ip daddr {SERVICE_V4} tcp flags & (syn | ack) == syn rt ip nexthop {v4} add @v4 {{ tcp sport }}
                    ip6 daddr {SERVICE_V6} tcp flags & (syn | ack) == syn rt ip6 nexthop {v6} add @v6 {{ tcp sport }}
                }}
            }}"
        ));
        Self {
            router: &topology.router,
        }
    }

    fn ports_sent_to_failing(&self, service: &str) -> BTreeSet<u16> {
        let set = if service == SERVICE_V4 { "v4" } else { "v6" };
        let listed: Value = serde_json::from_str(
            &self
                .router
                .exec(&format!("nft -j list set inet watch {set}")),
        )
        .unwrap();
        let sets = listed["nftables"].as_array().into_iter().flatten();
        let ports = sets.flat_map(|object| object["set"]["elem"].as_array().into_iter().flatten());
        ports
            .map(|port| u16::try_from(port.as_u64().unwrap()).unwrap())
            .collect()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self
            .router
            .command("nft")
            .args(["delete", "table", "inet", "watch"])
            .status();
    }
}
