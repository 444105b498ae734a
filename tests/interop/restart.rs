//! A daemon that is away for a moment, and whose routes stay where they are (RFC 4724).

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::support::daemon::{self, Herald, socket_in};
use super::support::http::Load;
use super::support::process::Process;
use super::support::routes::{self, NextHops, RouteMonitor};
use super::support::{Lab, Namespace, announce, ensure, wait_until};
use super::topology::{Host, SERVICE_V4, SERVICE_V6, SERVICES, Topology, Transport, server_of};
use super::upstream::{Upstream, wait_for_routes};

/// Longer than BFD takes to notice, and many times longer than a daemon takes to start.
const AWAY: Duration = Duration::from_millis(1500);
/// How long anything may take to come about: well below the restart time, at whose end stale routes go by themselves.
const PATIENCE: Duration = Duration::from_secs(30);
/// Within which a request must be answered.
const ANSWERED: Duration = Duration::from_secs(5);

#[test]
fn a_planned_restart_costs_no_request() {
    let Some(mut scenario) = Scenario::start("a_planned_restart_costs_no_request", "fast") else {
        return;
    };
    scenario.restart("planned restart", |herald| {
        herald.command(&["stop", "--restart"]);
    });
    let neighbor = scenario.router.neighbor(scenario.host());
    assert_eq!(neighbor.messages("notificationsRecv"), 0);
}

/// What a service manager does: SIGTERM, and another binary; here with a service that is checked at addresses which the daemon itself
/// has put on the host.
#[test]
fn an_upgrade_costs_no_request() {
    let test = "an_upgrade_costs_no_request";
    let Some(mut scenario) = Scenario::start_hosting(test, "fast", Hosting::Daemon) else {
        return;
    };
    let next = scenario.lab.directory("next").join("herald");
    fs::copy(daemon::binary(), &next).unwrap();
    let before = scenario.running_binary();
    scenario.binary.clone_from(&next);
    let monitor = AddressMonitor::start(&scenario.host().namespace);
    scenario.restart("upgrade", |herald| herald.signal(Signal::TERM));
    let changes = monitor.stop(&scenario.host().namespace);
    assert!(changes.is_empty(), "the addresses stay: {changes}");
    let service = &scenario.herald().show("services")[0];
    assert_eq!(service["state"], "healthy", "{service:#}");
    for hosted in service["hosted"].as_array().unwrap() {
        assert_eq!(hosted["state"], "added", "{service:#}");
    }
    assert_eq!(scenario.running_binary(), next);
    assert_ne!(before, next);
    let neighbor = scenario.router.neighbor(scenario.host());
    assert_eq!(neighbor.messages("notificationsRecv"), 0);
    let status = scenario.herald().show("status");
    assert!(status["uptime_ms"].as_u64().unwrap() < 60_000, "{status:#}");
}

/// BFD would tell FRR that the path is down, and FRR would believe it.
#[test]
fn a_crash_costs_no_request_where_bfd_does_not_tell() {
    let test = "a_crash_costs_no_request_where_bfd_does_not_tell";
    let Some(mut scenario) = Scenario::start(test, "none") else {
        return;
    };
    scenario.restart("crash", |herald| herald.signal(Signal::KILL));
}

#[test]
fn what_is_not_announced_anew_goes_with_end_of_rib() {
    let test = "what_is_not_announced_anew_goes_with_end_of_rib";
    let Some(mut scenario) = Scenario::start(test, "fast") else {
        return;
    };
    let herald = scenario.herald.as_mut().unwrap();
    herald.command(&["announce", "192.168.133.151/32"]);
    let next_hops = Topology::next_hops("192.168.133.151", &[scenario.host()]);
    routes::wait_for(
        &scenario.topology.router,
        "192.168.133.151",
        &next_hops,
        PATIENCE,
    );
    scenario.stop(|herald| {
        herald.command(&["stop", "--restart"]);
    });
    fs::remove_file(scenario.directory().join("state/state.json")).unwrap();
    assert_eq!(
        routes::next_hops(&scenario.topology.router, "192.168.133.151"),
        next_hops,
        "it is stale, and stays"
    );
    scenario.come_back();
    routes::wait_for(
        &scenario.topology.router,
        "192.168.133.151",
        &NextHops::new(),
        PATIENCE,
    );
    wait_for_routes(&scenario.topology, &[scenario.host()]);
}

#[test]
fn a_stop_that_withdraws_costs_the_routes_at_once() {
    let test = "a_stop_that_withdraws_costs_the_routes_at_once";
    let Some(mut scenario) = Scenario::start(test, "fast") else {
        return;
    };
    scenario.stop(|herald| {
        herald.command(&["stop", "--withdraw"]);
    });
    for service in SERVICES {
        routes::wait_for(
            &scenario.topology.router,
            service,
            &NextHops::new(),
            PATIENCE,
        );
    }
    let neighbor = scenario.router.neighbor(scenario.host());
    assert!(
        neighbor.last_reset().contains("Administrative Shutdown"),
        "{}",
        neighbor.last_reset()
    );
    assert_eq!(
        neighbor.0["lastNotificationHardReset"], true,
        "{:#}",
        neighbor.0
    );
}

/// Whose the addresses of the services are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hosting {
    /// They are on the host, and nobody looks whether somebody answers there.
    Host,
    /// The daemon adds them, and announces the service while it answers there.
    Daemon,
}

impl Hosting {
    /// In `[speaker]`.
    const fn speaker(self) -> &'static str {
        match self {
            Self::Host => "",
            Self::Daemon => "address-interface = \"lo\"",
        }
    }

    /// Of the service.
    fn health(self) -> String {
        match self {
            Self::Host => String::new(),
            Self::Daemon => {
                format!(
                    "[service.health]\nhttp = \"http://{SERVICE_V4}/\"\ninterval = \"100ms\"\ntimeout = \"10s\"\n"
                )
            }
        }
    }
}

/// What becomes of the addresses of a host.
struct AddressMonitor(Process);

impl AddressMonitor {
    fn start(host: &Namespace) -> Self {
        let mut command = host.command("ip");
        let monitor = Process::spawn_tool("ip monitor", command.args(["monitor", "address"]));
        let monitor = Self(monitor);
        monitor.wait_for_change(host, "192.0.2.98");
        monitor
    }

    /// Has an address come and go, until that is told: what follows is told as well, and what came before has been.
    #[track_caller]
    fn wait_for_change(&self, host: &Namespace, address: &str) {
        wait_until("the address is told of", PATIENCE, || {
            host.add_address("lo", &format!("{address}/32"));
            host.ip(&format!("addr del {address}/32 dev lo"));
            let told = self.0.output();
            let is_end = |line: &str| line.contains("Deleted") && line.contains(address);
            ensure(told.lines().any(is_end), || told.clone())
        });
    }

    /// What was told of the services' addresses.
    #[track_caller]
    fn stop(self, host: &Namespace) -> String {
        self.wait_for_change(host, "192.0.2.99");
        let told = self.0.output();
        let about_them = told
            .lines()
            .filter(|line| SERVICES.iter().any(|service| line.contains(service)));
        about_them.collect::<Vec<_>>().join("\n")
    }
}

/// One host that announces both services to a router which keeps its routes.
struct Scenario {
    herald: Option<Herald>,
    router: Upstream,
    topology: Topology,
    bfd_profile: &'static str,
    hosting: Hosting,
    /// What is started next.
    binary: PathBuf,
    lab: Lab,
}

impl Scenario {
    fn start(test: &str, bfd_profile: &'static str) -> Option<Self> {
        Self::start_hosting(test, bfd_profile, Hosting::Host)
    }

    fn start_hosting(test: &str, bfd_profile: &'static str, hosting: Hosting) -> Option<Self> {
        let lab = Lab::open_alone(test)?;
        let topology = Topology::build(&lab);
        let router = Upstream::start(&lab, &topology, Transport::V4);
        if bfd_profile == "none" {
            let no_bfd = format!("no neighbor {} bfd", topology.hosts[0].v4);
            router.frr.configure(&["router bgp 64521", &no_bfd]);
        }
        if hosting == Hosting::Daemon {
            let host = &topology.hosts[0].namespace;
            host.ip(&format!("addr del {SERVICE_V4}/32 dev lo"));
            host.ip(&format!("addr del {SERVICE_V6}/128 dev lo"));
        }
        let mut scenario = Self {
            herald: None,
            router,
            topology,
            bfd_profile,
            hosting,
            binary: daemon::binary().to_owned(),
            lab,
        };
        scenario.come_back();
        wait_for_routes(&scenario.topology, &[scenario.host()]);
        // FRR disregards what BFD says in the first second.
        thread::sleep(Duration::from_secs(2));
        Some(scenario)
    }

    const fn host(&self) -> &Host {
        &self.topology.hosts[0]
    }

    fn directory(&self) -> PathBuf {
        self.lab.directory("herald")
    }

    /// Has the daemon end and come back while a client asks for both services without pause: no
    /// route changes, and no request fails.
    #[track_caller]
    fn restart(&mut self, what: &str, end: impl FnOnce(&Herald)) {
        let monitor = RouteMonitor::start(&self.topology.router);
        let loads = SERVICES.map(|service| {
            let client = &self.topology.client;
            let interval = Duration::from_millis(20);
            Load::start(
                client,
                server_of(service),
                20_000..21_000,
                interval,
                ANSWERED,
            )
        });
        let ended_at = Instant::now();
        self.stop(end);
        thread::sleep(AWAY);
        let back_at = Instant::now();
        self.come_back();
        announce(&format!(
            "{what}: established after {:.1?}",
            back_at.elapsed()
        ));
        self.wait_for_end_of_rib();
        for (service, load) in SERVICES.into_iter().zip(loads) {
            let requests = load.stop();
            let failed = requests.iter().filter(|request| request.answer.is_err());
            assert_eq!(
                failed.count(),
                0,
                "{service}: of {} requests",
                requests.len()
            );
            assert!(requests.len() > 50, "{service}: {}", requests.len());
            let changes = monitor.changes_since(service, ended_at);
            assert!(changes.is_empty(), "{service}: {changes:?}");
        }
        assert_eq!(
            self.router.neighbor(self.host()).connections_established(),
            2
        );
        let open = &self.herald().show("peers")[0]["negotiated"]["capabilities_sent"];
        let restarting = "graceful-restart 120s restarting notification ipv4-unicast/forwarding ipv6-unicast/forwarding";
        assert!(
            open.as_array()
                .unwrap()
                .iter()
                .any(|sent| sent == restarting),
            "{open:#}"
        );
    }

    /// Waits until what goes with End-of-RIB has gone: routes that are stale and were not refreshed.
    #[track_caller]
    fn wait_for_end_of_rib(&self) {
        wait_until("End-of-RIB", PATIENCE, || {
            let neighbor = self.router.neighbor(self.host());
            let received = &neighbor.0["gracefulRestartInfo"]["endOfRibRecv"];
            let both = received["ipv4Unicast"] == true && received["ipv6Unicast"] == true;
            ensure(both, || received.to_string())
        });
        // What comes behind it is in the table when that has been done.
        let marker = "192.168.133.152";
        let herald = self.herald();
        herald.command(&["announce", &format!("{marker}/32")]);
        let next_hops = Topology::next_hops(marker, &[self.host()]);
        routes::wait_for(&self.topology.router, marker, &next_hops, PATIENCE);
    }

    /// The file that the running daemon was started from.
    fn running_binary(&self) -> PathBuf {
        let process = self.herald().pid().as_raw_nonzero();
        fs::read_link(format!("/proc/{process}/exe")).unwrap()
    }

    fn herald(&self) -> &Herald {
        self.herald.as_ref().unwrap()
    }

    #[track_caller]
    fn stop(&mut self, end: impl FnOnce(&Herald)) {
        let mut herald = self.herald.take().unwrap();
        end(&herald);
        herald.wait_exit(PATIENCE);
    }

    /// Starts the daemon, and waits until its session is up.
    #[track_caller]
    fn come_back(&mut self) {
        let namespace = &self.host().namespace;
        let (directory, config) = (self.directory(), self.config());
        let herald = Herald::start_from(&self.binary, namespace, &directory, &config);
        self.herald = Some(herald);
        let host = self.host();
        wait_until("BGP is up", Duration::from_secs(30), || {
            self.router.neighbor(host).ensure_established()
        });
        if self.bfd_profile != "none" {
            wait_until("BFD is up", Duration::from_secs(30), || {
                self.router.bfd_peer(host).ensure_up()
            });
        }
        wait_until("the daemon agrees", PATIENCE, || {
            let peer = &self.herald().show("peers")[0];
            ensure(peer["state"] == "Established", || peer["state"].to_string())
        });
    }

    fn config(&self) -> String {
        let directory = self.directory();
        format!(
            r#"[speaker]
local-as = 64520
router-id = "192.168.133.71"
state-dir = "{state}"
on-exit = "restart"
{speaker}

[api]
socket = "{socket}"

[[bfd-profile]]
name = "fast"
transmit-interval = "50ms"
receive-interval = "50ms"

[[peer]]
address = "{router}"
remote-as = 64521
connect-retry-time = "1s"
bfd-profile = "{bfd_profile}"
graceful-restart = {{ restart-time = "120s" }}

[[service]]
name = "web"
addresses = ["{SERVICE_V4}", "{SERVICE_V6}"]
{health}"#,
            speaker = self.hosting.speaker(),
            health = self.hosting.health(),
            state = directory.join("state").display(),
            socket = socket_in(&directory).display(),
            router = Transport::V4.router(),
            bfd_profile = self.bfd_profile,
        )
    }
}
