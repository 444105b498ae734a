//! The kernel's routes: what they are, and when exactly they changed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::namespace::Namespace;
use super::process::{Line, Process};
use super::{ensure, run, wait_until};

/// The next hops of a route: none if there is no route.
pub type NextHops = BTreeSet<IpAddr>;

/// The next hops that the kernel has for exactly this prefix.
#[track_caller]
pub fn next_hops(namespace: &Namespace, prefix: &str) -> NextHops {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    let printed = run(namespace_ip(namespace).args([family, "-j", "route", "show", prefix]));
    let routes: Value = serde_json::from_str(&printed).unwrap_or_default();
    let mut next_hops = NextHops::new();
    for route in routes.as_array().into_iter().flatten() {
        let of_route = std::slice::from_ref(route)
            .iter()
            .chain(route["nexthops"].as_array().into_iter().flatten());
        next_hops
            .extend(of_route.filter_map(|hop| hop["gateway"].as_str()?.parse::<IpAddr>().ok()));
    }
    next_hops
}

/// How many routes the kernel has for exactly this prefix: an equal-cost route is one, with several next hops.
#[track_caller]
pub fn count(namespace: &Namespace, prefix: &str) -> usize {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    let printed = run(namespace_ip(namespace).args([family, "-j", "route", "show", prefix]));
    serde_json::from_str::<Value>(&printed)
        .ok()
        .and_then(|routes| Some(routes.as_array()?.len()))
        .unwrap_or(0)
}

/// Waits until the kernel has exactly these next hops for a prefix.
#[track_caller]
pub fn wait_for(namespace: &Namespace, prefix: &str, wanted: &NextHops, timeout: Duration) {
    wait_until(&format!("{prefix} via {wanted:?}"), timeout, || {
        let seen = next_hops(namespace, prefix);
        ensure(seen == *wanted, || format!("via {seen:?}"))
    });
}

/// Listens to the kernel's route changes in a namespace, so that their times are known exactly.
#[derive(Debug)]
pub struct RouteMonitor {
    process: Process,
}

/// One change of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    pub at: Instant,
    pub prefix: String,
    /// Of the route as it is from this moment on; empty when it is gone.
    pub next_hops: NextHops,
}

impl RouteMonitor {
    #[track_caller]
    pub fn start(namespace: &Namespace) -> Self {
        let mut command = namespace_ip(namespace);
        let process = Process::spawn_tool("ip monitor", command.args(["-o", "monitor", "route"]));
        let monitor = Self { process };
        // It says nothing when it is ready; so a route is moved until it is seen.
        wait_until("the route monitor listens", Duration::from_secs(30), || {
            namespace.ip("route replace blackhole 240.0.0.0/32");
            namespace.ip("route del blackhole 240.0.0.0/32");
            ensure(!monitor.process.lines().is_empty(), || "nothing".into())
        });
        monitor
    }

    /// The changes of one prefix from a moment on, oldest first.
    pub fn changes_since(&self, prefix: &str, since: Instant) -> Vec<RouteChange> {
        let lines = self
            .process
            .lines()
            .into_iter()
            .filter(|line| line.at >= since);
        let changes = lines.filter_map(|line| parse_change(&line));
        changes.filter(|change| change.prefix == prefix).collect()
    }

    /// Waits for a prefix to get exactly these next hops after `since`: when that was.
    #[track_caller]
    pub fn wait_for(
        &self,
        prefix: &str,
        wanted: &NextHops,
        since: Instant,
        timeout: Duration,
    ) -> Instant {
        wait_until(
            &format!("the route {prefix} changes to {wanted:?}"),
            timeout,
            || {
                let changes = self.changes_since(prefix, since);
                let reached = changes.iter().find(|change| change.next_hops == *wanted);
                reached
                    .map(|change| change.at)
                    .ok_or_else(|| format!("{changes:?}"))
            },
        )
    }
}

fn namespace_ip(namespace: &Namespace) -> std::process::Command {
    let mut ip = std::process::Command::new("ip");
    ip.args(["-n", namespace.name()]);
    ip
}

/// A line of `ip -o monitor route`, e.g. `192.0.2.1 nhid 9 proto bgp metric 20 \ nexthop via 10.0.0.1 dev eth0 weight 1 \ nexthop via …`.
fn parse_change(line: &Line) -> Option<RouteChange> {
    let (is_deleted, text) = match line.text.strip_prefix("Deleted ") {
        Some(rest) => (true, rest),
        None => (false, line.text.as_str()),
    };
    let words = text.split_whitespace().collect::<Vec<_>>();
    let prefix = words.iter().find(|word| {
        !matches!(
            **word,
            "blackhole" | "unreachable" | "prohibit" | "unicast" | "local"
        )
    })?;
    let mut next_hops = NextHops::new();
    if !is_deleted {
        let gateways = words
            .windows(2)
            .filter(|pair| pair[0] == "via")
            .map(|pair| pair[1]);
        next_hops.extend(gateways.filter_map(|gateway| gateway.parse::<IpAddr>().ok()));
    }
    Some(RouteChange {
        at: line.at,
        prefix: (*prefix).into(),
        next_hops,
    })
}
