//! Draining (RFC 8326), seen from the router: two daemons on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{Daemon, eventually, loopback};

const LEAVING: &str = "graceful-shutdown";

/// A host that announces two services, and its router.
struct Pair {
    host: Daemon,
    router: Daemon,
}

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, speaker: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n{speaker}\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"1s\"\nreceived-routes = \"kept\"\n"
    )
}

impl Pair {
    fn start(host_as: u32, router_as: u32, speaker: &str) -> Self {
        let [own, other] = [loopback(), loopback()];
        let router = Daemon::start(&config(other, router_as, own, host_as, ""));
        let host = Daemon::start(&format!(
            "{}[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n\
             [[route]]\nprefix = \"198.51.100.0/24\"\ncommunities = [\"64520:1\"]\nlocal-pref = 300\n",
            config(own, host_as, other, router_as, speaker)
        ));
        let pair = Self { host, router };
        pair.wait_for(&[("192.0.2.150/32", &[]), ("198.51.100.0/24", &["64520:1"])]);
        pair
    }

    fn received(&self) -> Value {
        self.router.show(&["routes", "--received", "other"])
    }

    /// Until the router has these routes with these communities, and no others.
    #[track_caller]
    fn wait_for(&self, wanted: &[(&str, &[&str])]) {
        let wanted: Vec<Value> = wanted
            .iter()
            .map(|(prefix, communities)| json!([prefix, communities]))
            .collect();
        eventually("the router has the routes", || {
            let received = self.received();
            let routes = received.as_array().unwrap().iter();
            let routes: Vec<Value> = routes
                .map(|route| json!([route["prefix"], route["communities"]]))
                .collect();
            routes == wanted
        });
    }

    #[track_caller]
    fn wait_until_drained(&self) {
        self.wait_for(&[
            ("192.0.2.150/32", &[LEAVING]),
            ("198.51.100.0/24", &["64520:1", LEAVING]),
        ]);
    }

    #[track_caller]
    fn wait_until_undrained(&self) {
        self.wait_for(&[("192.0.2.150/32", &[]), ("198.51.100.0/24", &["64520:1"])]);
    }

    fn established(&self) -> Value {
        self.router.show(&["peer", "other"])["established_count"].clone()
    }
}

#[test]
fn c_085_a_drained_speaker_says_so_of_every_route_until_it_is_undrained() {
    let mut pair = Pair::start(64520, 64521, "");
    assert_eq!(
        pair.host.ok(&["drain"]),
        "every peer: drained; `herald show peers` tells what is still on its way\n"
    );
    pair.wait_until_drained();
    assert_eq!(pair.established(), 1);
    // Everything that shows it.
    assert_eq!(pair.host.show(&["status"])["draining"], "all");
    assert_eq!(pair.host.show(&["peer", "other"])["draining"], "all");
    let page = pair.host.ok(&["show", "peer", "other"]);
    assert!(
        page.contains("Drained       by command, as every peer"),
        "{page}"
    );
    let peers = pair.host.ok(&["show", "peers"]);
    assert!(peers.contains("Established (drained)"), "{peers}");
    let routes = pair.host.show(&["routes"]);
    assert_eq!(routes[0]["peers"][0]["communities"], json!([LEAVING]));
    let advertised = pair.host.show(&["routes", "--advertised", "other"]);
    assert_eq!(advertised[1]["communities"], json!(["64520:1", LEAVING]));
    let events = pair.host.ok(&["show", "events"]);
    assert!(
        events.contains("every peer is drained by command"),
        "{events}"
    );
    let refused = pair.host.fails(1, &["undrain", "other"]);
    assert!(
        refused.starts_with("herald: every peer is drained;"),
        "{refused}"
    );

    // What comes later is drained too, and so is another life of the daemon.
    pair.host.ok(&["announce", "203.0.113.0/24"]);
    let three: &[(&str, &[&str])] = &[
        ("192.0.2.150/32", &[LEAVING]),
        ("198.51.100.0/24", &["64520:1", LEAVING]),
        ("203.0.113.0/24", &[LEAVING]),
    ];
    pair.wait_for(three);
    pair.host.ok(&["withdraw", "203.0.113.0/24"]);
    pair.host.signal(Signal::SIGKILL);
    pair.host.wait();
    pair.wait_for(&[]);
    pair.host.launch();
    pair.wait_until_drained();

    assert_eq!(
        pair.host.ok(&["undrain"]),
        "every peer: drained no longer\n"
    );
    pair.wait_until_undrained();
    assert_eq!(pair.host.show(&["status"])["draining"], Value::Null);
    pair.host.ok(&["undrain"]);
}

#[test]
fn one_peer_may_be_drained() {
    let pair = Pair::start(64520, 64521, "");
    pair.host.ok(&["drain", "other"]);
    pair.wait_until_drained();
    assert_eq!(pair.host.show(&["status"])["draining"], Value::Null);
    assert_eq!(pair.host.show(&["peer", "other"])["draining"], "peer");
    let refused = pair.host.fails(1, &["drain", "other", "othr"]);
    assert_eq!(
        refused,
        "herald: there is no peer othr; the nearest name is other\n"
    );
    // A reload does not end it.
    pair.host.ok(&["reload"]);
    assert_eq!(pair.host.show(&["peer", "other"])["draining"], "peer");
    assert_eq!(
        pair.host.ok(&["undrain", "other"]),
        "other: drained no longer\n"
    );
    pair.wait_until_undrained();
    assert_eq!(pair.established(), 1);
}

#[test]
fn c_085_an_internal_peer_is_told_the_least_local_pref() {
    let pair = Pair::start(64520, 64520, "");
    let local_prefs = || {
        let received = pair.received();
        let routes = received.as_array().unwrap().iter();
        routes
            .map(|route| route["local_pref"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(local_prefs(), [100, 300]);
    pair.host.ok(&["drain"]);
    pair.wait_until_drained();
    assert_eq!(local_prefs(), [0, 0]);
    let advertised = pair.host.show(&["routes", "--advertised", "other"]);
    assert_eq!(advertised[1]["local_pref"], 0);
}

#[test]
fn c_108_a_stop_drains_before_it_withdraws() {
    let mut pair = Pair::start(64520, 64521, "drain-time = \"3s\"");
    pair.host.signal(Signal::SIGTERM);
    pair.wait_until_drained();
    let status = pair.host.show(&["status"]);
    assert_eq!(status["draining"], "stop");
    assert!(status["stops_in_ms"].as_u64().unwrap() <= 3000, "{status}");
    assert_eq!(pair.host.show(&["peer", "other"])["draining"], "stop");
    pair.host.wait();
    eventually("the session has ended", || {
        let cause = &pair.router.show(&["peer", "other"])["last_reset"]["cause"];
        cause == "received 6/2 Cease, Administrative Shutdown"
    });
    // The drain was that of the stop.
    pair.host.launch();
    pair.wait_until_undrained();
}

#[test]
fn whoever_says_stop_twice_does_not_wait() {
    for twice_by_command in [false, true] {
        let mut pair = Pair::start(64520, 64521, "drain-time = \"1h\"");
        pair.host.signal(Signal::SIGTERM);
        pair.wait_until_drained();
        match twice_by_command {
            false => pair.host.signal(Signal::SIGTERM),
            true => assert_eq!(pair.host.ok(&["stop"]), "stopped\n"),
        }
        assert!(pair.host.wait().success());
        pair.wait_for(&[]);
    }
}

#[test]
fn the_command_waits_until_a_drained_daemon_has_ended() {
    let mut pair = Pair::start(64520, 64521, "drain-time = \"1s\"");
    let said = pair.host.ok(&["stop", "-m", "new kernel"]);
    assert_eq!(
        said,
        "draining for 1s; another `herald stop` skips the rest\nstopped\n"
    );
    pair.host.wait();
    eventually("the operator is told", || {
        let cause = &pair.router.show(&["peer", "other"])["last_reset"]["cause"];
        cause == "received 6/2 Cease, Administrative Shutdown: \"new kernel\""
    });
}

#[test]
fn there_is_no_wait_where_nobody_has_to_move() {
    // Nobody is there; routes stay; the drain was commanded in time.
    let mut alone = Daemon::start(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.1\"\ndrain-time = \"1h\"\n",
    );
    assert_eq!(alone.ok(&["stop"]), "stopped\n");
    alone.wait();
    let mut pair = Pair::start(64520, 64521, "drain-time = \"1h\"");
    assert_eq!(pair.host.ok(&["stop", "--restart"]), "stopped\n");
    pair.host.wait();
    // Nobody types the next command as fast as that.
    let mut pair = Pair::start(64520, 64521, "drain-time = \"1ms\"");
    pair.host.ok(&["drain"]);
    assert_eq!(pair.host.ok(&["stop"]), "stopped\n");
    pair.host.wait();
}
