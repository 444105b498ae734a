//! The main job, end to end: two hosts announce a service to a real router, and leave it in milliseconds when their path dies.
//!
//! It is the set-up in which MetalLB runs FRR on each node, with `herald` in FRR's place.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::failover::{Outcome, fail_over};
use super::support::daemon::{Herald, socket_in};
use super::support::{Lab, announce, http, routes};
use super::topology::{Host, SERVICE_V4, SERVICE_V6, SERVICES, Topology, Transport, server_of};
use super::upstream::{Upstream, wait_for_routes};

/// 50 ms × 3 and what it takes to act on it, with room for a busy machine.
const NOTICED: Duration = Duration::from_millis(500);

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

    // Keepalives go both ways for longer than the hold time.
    let keepalives = |scenario: &Scenario| {
        let neighbors = scenario
            .topology
            .hosts
            .each_ref()
            .map(|host| scenario.router.neighbor(host));
        neighbors.map(|neighbor| neighbor.messages("keepalivesRecv"))
    };
    let before = keepalives(&scenario);
    thread::sleep(Duration::from_secs(16));
    for (before, after) in before.into_iter().zip(keepalives(&scenario)) {
        assert!(
            (3..=6).contains(&(after - before)),
            "one keepalive in a third of the hold time: {before} → {after} in 16 s"
        );
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

    report(
        "link cut, IPv6 sessions",
        &fail_over(&scenario.topology, failing, kept, || failing.link.cut()),
    );

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

    scenario.heralds[0] = start_herald(&scenario.lab, failing, scenario.transport);
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

    report(
        "daemon stopped",
        &fail_over(&scenario.topology, leaving, kept, || {
            scenario.heralds[0].signal(Signal::TERM)
        }),
    );

    let status = scenario.heralds[0].wait_exit(Duration::from_secs(5));
    assert!(status.success(), "{status}");
    let neighbor = scenario.router.neighbor(leaving);
    println!("{:#}", neighbor.0);
    assert!(
        neighbor.last_reset().contains("Administrative Shutdown"),
        "{}",
        neighbor.last_reset()
    );
    scenario.assert_undisturbed([kept]);
}

#[test]
fn a_route_comes_and_goes_without_touching_a_session() {
    let Some(scenario) = Scenario::start("a_route_comes_and_goes_without_touching_a_session")
    else {
        return;
    };
    let Scenario {
        topology, heralds, ..
    } = &scenario;
    let (host, herald) = (&topology.hosts[0], &heralds[0]);
    let comes_and_goes = |prefix: &str, come: &dyn Fn(), go: &dyn Fn()| {
        come();
        routes::wait_for(
            &topology.router,
            prefix,
            &Topology::next_hops(prefix, &[host]),
            Duration::from_secs(5),
        );
        go();
        routes::wait_for(
            &topology.router,
            prefix,
            &Topology::next_hops(prefix, &[]),
            Duration::from_secs(5),
        );
    };

    for prefix in ["192.168.133.151", "2001:db8:133::151"] {
        let reload = |config: &str| {
            herald.write_config(config);
            herald.command(&["reload"]);
        };
        let original = config(&scenario.lab, host, scenario.transport);
        let extended =
            format!("{original}\n[[service]]\nname = \"more\"\naddresses = [\"{prefix}\"]\n");
        comes_and_goes(prefix, &|| reload(&extended), &|| reload(&original));
    }
    for (prefix, length) in [("192.168.133.152", 32), ("2001:db8:133::152", 128)] {
        let route = format!("{prefix}/{length}");
        let run = |command: &str| drop(herald.command(&[command, &route]));
        comes_and_goes(prefix, &|| run("announce"), &|| run("withdraw"));
    }
    scenario.assert_undisturbed(topology.hosts.each_ref());
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
        let lab = Lab::open(test)?;
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
        scenario
            .heralds
            .extend(hosts.map(|host| start_herald(&scenario.lab, host, transport)));
        scenario.router.wait_for_sessions(&hosts);
        wait_for_routes(&scenario.topology, &hosts);
        Some(scenario)
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

fn start_herald(lab: &Lab, host: &Host, transport: Transport) -> Herald {
    Herald::start(
        &host.namespace,
        &directory(lab, host),
        &config(lab, host, transport),
    )
}

/// Where a host's daemon keeps its files.
fn directory(lab: &Lab, host: &Host) -> PathBuf {
    lab.directory(&format!("herald-{}", host.name()))
}

fn config(lab: &Lab, host: &Host, transport: Transport) -> String {
    let directory = directory(lab, host);
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
bfd-profile = "fast"
families = ["ipv4-unicast", "ipv6-unicast"]

[[service]]
name = "web"
addresses = ["{SERVICE_V4}", "{SERVICE_V6}"]
"#,
        router_id = host.v4,
        state = directory.join("state").display(),
        socket = socket_in(&directory).display(),
        router = transport.router(),
    )
}

/// Prints what a failure did, and asserts that it was noticed in time.
#[track_caller]
fn report(failure: &str, outcomes: &[Outcome]) {
    for outcome in outcomes {
        announce(&format!("{failure}: {outcome}"));
        assert!(outcome.time_to_gone() < NOTICED, "{failure}: {outcome}");
    }
}
