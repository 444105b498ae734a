//! The main job, end to end: two hosts announce a service to a real router, and leave it in milliseconds when their path dies.
//!
//! It is the set-up in which MetalLB runs FRR on each node, with `herald` in FRR's place.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::failover::{Outcome, fail_over};
use super::support::daemon::{Herald, socket_in};
use super::support::routes::{self, NextHops};
use super::support::{Lab, announce, http};
use super::topology::{Host, SERVICE_V4, SERVICE_V6, SERVICES, Topology, Transport, server_of};
use super::upstream::{Upstream, wait_for_routes};

/// 50 ms × 3 and what it takes to act on it, with room for a busy machine.
const NOTICED: Duration = Duration::from_millis(500);

/// What nobody waits for in vain.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_router_sees_both_hosts_as_they_are_configured() {
    let Some(scenario) = Scenario::start("the_router_sees_both_hosts_as_they_are_configured")
    else {
        return;
    };
    for host in &scenario.topology.hosts {
        let neighbor = scenario.router.neighbor(host);
        assert_eq!(neighbor.hold_time(), Duration::from_secs(15));
        assert_eq!(neighbor.keepalive_interval(), Duration::from_secs(3));
        for capability in ["4byteAs", "routeRefresh", "extendedMessage"] {
            assert_eq!(
                neighbor.capability(capability),
                "advertisedAndReceived",
                "{capability}"
            );
        }
        for family in ["ipv4Unicast", "ipv6Unicast"] {
            assert_eq!(
                neighbor.capability("multiprotocolExtensions")[family]["advertisedAndReceived"],
                true,
                "{family}"
            );
            assert_eq!(neighbor.accepted_prefixes(family), 1, "{family}");
        }
        assert_eq!(neighbor.messages("opensRecv"), 1);
        assert_eq!(neighbor.messages("notificationsRecv"), 0);
        // One route and one End-of-RIB in each family.
        assert_eq!(neighbor.messages("updatesRecv"), 4);
        assert_eq!(neighbor.connections_established(), 1);

        let bfd = scenario.router.bfd_peer(host);
        assert_eq!(bfd.number("remote-transmit-interval"), 50);
        assert_eq!(bfd.number("remote-receive-interval"), 50);
        assert_eq!(bfd.number("remote-detect-multiplier"), 3);
    }

    for herald in &scenario.heralds {
        let peer = &herald.show("peers")[0];
        assert_eq!(peer["state"], "Established");
        assert_eq!(peer["timers"]["hold_time_ms"], 15_000);
        let bfd = &herald.show("bfd")[0];
        assert_eq!(bfd["state"], "Up");
        assert_eq!(bfd["session"]["detection_time_ms"], 150.0);
        for route in herald.show("routes").as_array().unwrap() {
            assert_eq!(route["peers"][0]["state"], "announced", "{route:#}");
        }
    }
    scenario.assert_undisturbed(scenario.topology.hosts.each_ref());
}

#[test]
fn both_hosts_answer_for_the_service() {
    let Some(scenario) = Scenario::start("both_hosts_answer_for_the_service") else {
        return;
    };
    for service in SERVICES {
        let answers = http::survey(
            &scenario.topology.client,
            server_of(service),
            10_000..10_200,
        );
        for host in &scenario.topology.hosts {
            let answered = answers
                .values()
                .filter(|name| **name == host.name())
                .count();
            assert!(
                answered >= 40,
                "{} answers its share of 200 requests for {service}: {answered}",
                host.v4
            );
        }
    }
}

#[test]
fn a_cut_link_is_noticed_at_both_ends() {
    let Some(scenario) = Scenario::start("a_cut_link_is_noticed_at_both_ends") else {
        return;
    };
    let [failing, kept] = &scenario.topology.hosts;

    let outcomes = fail_over(&scenario.topology, failing, kept, || failing.link.cut());
    report("link cut", &outcomes);
    report_noticed(&scenario.heralds[0], outcomes[0].failed_at);
    assert!(
        outcomes.iter().all(|outcome| outcome.failed_requests > 0),
        "the cut must hurt until it is noticed"
    );

    failing.link.restore();
    scenario.router.wait_for_sessions(&[failing]);
    wait_for_routes(&scenario.topology, &[failing, kept]);
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_cut_link_is_noticed_over_ipv6_too() {
    let Some(scenario) = Scenario::start_over("a_cut_link_is_noticed_over_ipv6_too", Transport::V6)
    else {
        return;
    };
    let [failing, kept] = &scenario.topology.hosts;

    let outcomes = fail_over(&scenario.topology, failing, kept, || failing.link.cut());
    report("link cut, IPv6 sessions", &outcomes);
    report_noticed(&scenario.heralds[0], outcomes[0].failed_at);

    failing.link.restore();
    scenario.router.wait_for_sessions(&[failing]);
    wait_for_routes(&scenario.topology, &[failing, kept]);
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_path_that_only_bfd_knows_to_be_dead_is_left() {
    let Some(scenario) = Scenario::start("a_path_that_only_bfd_knows_to_be_dead_is_left") else {
        return;
    };
    let [failing, kept] = &scenario.topology.hosts;

    let block_bfd = || failing.namespace.drop_packets("udp dport 3784");
    report(
        "BFD lost, TCP alive",
        &fail_over(&scenario.topology, failing, kept, block_bfd),
    );
    let reset = scenario.router.neighbor(failing).last_reset();
    assert!(reset.contains("BFD"), "{reset}");

    failing.namespace.drop_nothing();
    scenario.router.wait_for_sessions(&[failing]);
    wait_for_routes(&scenario.topology, &[failing, kept]);
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_killed_daemon_loses_its_routes() {
    let Some(mut scenario) = Scenario::start("a_killed_daemon_loses_its_routes") else {
        return;
    };
    let [failing, kept] = &scenario.topology.hosts;

    report(
        "daemon killed",
        &fail_over(&scenario.topology, failing, kept, || {
            scenario.heralds[0].signal(Signal::KILL)
        }),
    );

    scenario.heralds[0] = scenario.start_herald(failing);
    wait_for_routes(&scenario.topology, &[failing, kept]);
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_frozen_daemon_loses_its_routes() {
    let Some(scenario) = Scenario::start("a_frozen_daemon_loses_its_routes") else {
        return;
    };
    let [failing, kept] = &scenario.topology.hosts;

    report(
        "daemon frozen",
        &fail_over(&scenario.topology, failing, kept, || {
            scenario.heralds[0].signal(Signal::STOP)
        }),
    );

    scenario.heralds[0].signal(Signal::CONT);
    scenario.router.wait_for_sessions(&[failing]);
    wait_for_routes(&scenario.topology, &[failing, kept]);
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_stopped_daemon_says_so() {
    let Some(mut scenario) = Scenario::start("a_stopped_daemon_says_so") else {
        return;
    };
    let [leaving, kept] = &scenario.topology.hosts;

    let stop = || scenario.heralds[0].signal(Signal::TERM);
    let outcomes = fail_over(&scenario.topology, leaving, kept, stop);
    report("daemon stopped", &outcomes);
    assert!(
        outcomes.iter().all(|outcome| outcome.route_changes == 1),
        "one next hop leaves, and nothing else moves: {outcomes:?}"
    );

    let status = scenario.heralds[0].wait_exit(Duration::from_secs(5));
    assert!(status.success(), "{status}");
    let neighbor = scenario.router.neighbor(leaving);
    assert!(
        neighbor.last_reset().contains("Administrative Shutdown"),
        "{}",
        neighbor.last_reset()
    );
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_reload_touches_no_session() {
    let Some(scenario) = Scenario::start("a_reload_touches_no_session") else {
        return;
    };
    let herald = &scenario.heralds[0];
    let original = scenario.config(&scenario.topology.hosts[0]);

    for prefix in ["192.168.133.151", "2001:db8:133::151"] {
        let more = format!("\n[[service]]\nname = \"more\"\naddresses = [\"{prefix}\"]\n");
        herald.write_config(&(original.clone() + &more));
        herald.command(&["reload"]);
        scenario.wait_for_route_of_first_host(prefix);

        herald.write_config(&original);
        herald.signal(Signal::HUP);
        scenario.wait_for_no_route(prefix);
    }
    scenario.assert_undisturbed(scenario.topology.hosts.each_ref());
}

#[test]
fn what_the_api_adds_and_removes_touches_no_session() {
    let Some(scenario) = Scenario::start("what_the_api_adds_and_removes_touches_no_session") else {
        return;
    };
    let herald = &scenario.heralds[0];

    for (prefix, length) in [("192.168.133.152", 32), ("2001:db8:133::152", 128)] {
        let route = format!("{prefix}/{length}");
        herald.command(&["announce", &route]);
        scenario.wait_for_route_of_first_host(prefix);
        herald.command(&["withdraw", &route]);
        scenario.wait_for_no_route(prefix);

        herald.command(&["service", "add", "more", prefix]);
        scenario.wait_for_route_of_first_host(prefix);
        herald.command(&["service", "remove", "more"]);
        scenario.wait_for_no_route(prefix);
    }
    scenario.assert_undisturbed(scenario.topology.hosts.each_ref());
}

/// The network with everything up: both hosts announce both services.
struct Scenario {
    router: Upstream,
    heralds: Vec<Herald>,
    topology: Topology,
    transport: Transport,
    lab: Lab,
}

impl Scenario {
    /// With the sessions over IPv4, as in most networks.
    fn start(test: &str) -> Option<Self> {
        Self::start_over(test, Transport::V4)
    }

    fn start_over(test: &str, transport: Transport) -> Option<Self> {
        let lab = Lab::open_alone(test)?;
        let topology = Topology::build(&lab);
        let router = Upstream::start(&lab, &topology, transport);
        let mut scenario = Self {
            router,
            heralds: Vec::new(),
            topology,
            transport,
            lab,
        };
        let hosts = scenario.topology.hosts.each_ref();
        scenario.heralds = hosts.map(|host| scenario.start_herald(host)).into();
        scenario.router.wait_for_sessions(&hosts);
        wait_for_routes(&scenario.topology, &hosts);
        Some(scenario)
    }

    #[track_caller]
    fn wait_for_route_of_first_host(&self, prefix: &str) {
        let next_hops = Topology::next_hops(prefix, &[&self.topology.hosts[0]]);
        routes::wait_for(&self.topology.router, prefix, &next_hops, PATIENCE);
    }

    #[track_caller]
    fn wait_for_no_route(&self, prefix: &str) {
        routes::wait_for(&self.topology.router, prefix, &NextHops::new(), PATIENCE);
    }

    fn start_herald(&self, host: &Host) -> Herald {
        Herald::start(&host.namespace, &self.directory(host), &self.config(host))
    }

    /// Where a host's daemon keeps its files.
    fn directory(&self, host: &Host) -> PathBuf {
        self.lab.directory(&format!("herald-{}", host.name()))
    }

    fn config(&self, host: &Host) -> String {
        let directory = self.directory(host);
        format!(
            r#"[speaker]
local-as = 64520
router-id = "{router_id}"
state-dir = "{state}"

[api]
socket = "{socket}"

[[bfd-profile]]
name = "fast"
transmit-interval = "50ms"
receive-interval = "50ms"
detect-multiplier = 3

[[peer]]
address = "{router}"
remote-as = 64521
connect-retry-time = "1s"
bfd-profile = "fast"
families = ["ipv4-unicast", "ipv6-unicast"]

[[service]]
name = "web"
addresses = ["{SERVICE_V4}", "{SERVICE_V6}"]
"#,
            router_id = host.v4,
            state = directory.join("state").display(),
            socket = socket_in(&directory).display(),
            router = self.transport.router(),
        )
    }

    /// Asserts that the sessions with these hosts have come up once and are still up.
    #[track_caller]
    fn assert_undisturbed<'a>(&self, hosts: impl IntoIterator<Item = &'a Host>) {
        for host in hosts {
            let neighbor = self.router.neighbor(host);
            assert_eq!(neighbor.state(), "Established", "{}", host.name());
            assert_eq!(
                neighbor.connections_established(),
                1,
                "{}: {}",
                host.name(),
                neighbor.last_reset()
            );
            assert_eq!(self.router.bfd_peer(host).status(), "up", "{}", host.name());
        }
    }
}

/// Prints what a failure did, and asserts that it was noticed in time.
#[track_caller]
fn report(failure: &str, outcomes: &[Outcome]) {
    for outcome in outcomes {
        announce(&format!("{failure}: {outcome}"));
        assert!(outcome.time_to_gone() < NOTICED, "{failure}: {outcome}");
    }
}

/// Prints when the daemon of the host that was cut off noticed, and asserts that it was in time.
#[track_caller]
fn report_noticed(herald: &Herald, cut_at: Instant) {
    let mut log = herald.log().into_iter().filter(|line| line.at >= cut_at);
    let noticed = log.find(|line| line.text.contains("BFD session DOWN"));
    let after = noticed.expect("the daemon logs that BFD is down").at - cut_at;
    announce(&format!("link cut: noticed on the host after {after:.1?}"));
    assert!(after < NOTICED, "{after:?}");
    let peer = &herald.show("peers")[0];
    assert_ne!(peer["state"], "Established", "{peer:#}");
}
