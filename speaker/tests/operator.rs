//! What an operator does to a peer by command, seen from both sides: two daemons on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, eventually, loopback, words};

const WEB: &str = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n";

/// A host that announces, and its router.
struct Pair {
    host: Daemon,
    router: Daemon,
    host_config: String,
}

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, more: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"1s\"\n{more}\n"
    )
}

impl Pair {
    fn start() -> Self {
        let [own, other] = [loopback(), loopback()];
        let router = Daemon::start(&config(
            other,
            64521,
            own,
            64520,
            "received-routes = \"kept\"",
        ));
        let host_config = config(own, 64520, other, 64521, WEB);
        let host = Daemon::start(&host_config);
        let pair = Self {
            host,
            router,
            host_config,
        };
        pair.host.wait_until_established("other");
        pair.router.wait_until_established("other");
        pair
    }

    fn host_peer(&self) -> Value {
        self.host.show(&["peer", "other"])
    }

    fn router_peer(&self) -> Value {
        self.router.show(&["peer", "other"])
    }

    #[track_caller]
    fn wait_for_reset(&self, cause: &str) {
        eventually(cause, || self.router_peer()["last_reset"]["cause"] == cause);
    }
}

#[test]
fn a_peer_that_is_shut_down_stays_so_until_it_is_enabled() {
    let mut pair = Pair::start();
    let text = "replacing the switch, zurück um 15:00";
    assert_eq!(
        pair.host.ok(&["peer", "shutdown", "other", "-m", text]),
        "other: shut down; `herald peer enable other` lets it start again\n"
    );
    pair.wait_for_reset(&format!(
        "received 6/2 Cease, Administrative Shutdown: {text:?}"
    ));
    let is_down = |pair: &Pair| {
        let peer = pair.host_peer();
        assert_eq!(peer["state"], "Idle");
        assert_eq!(peer["enabled"], true);
        assert_eq!(peer["shutdown"]["communication"], text);
        let peers = pair.host.ok(&["show", "peers"]);
        assert!(peers.contains("shut down"), "{peers}");
        let page = pair.host.ok(&["show", "peer", "other"]);
        // The page may break the line anywhere in the text.
        let line = format!("State Idle (shut down by command: {text:?})");
        assert!(words(&page).contains(&line), "{page}");
    };
    is_down(&pair);
    let complaint = pair.host.fails(1, &["peer", "reset", "other"]);
    assert_eq!(
        complaint,
        "herald: peer other was shut down by command; `herald peer enable other` lets it start again\n"
    );

    // Neither another life of the daemon nor a reload changes that.
    pair.host.signal(Signal::SIGKILL);
    pair.host.wait();
    pair.host.launch();
    is_down(&pair);
    let other_hold_time = pair.host_config.replace(
        "port = 11179\nremote",
        "port = 11179\nhold-time = \"30s\"\nremote",
    );
    pair.host.write(&other_hold_time);
    pair.host.ok(&["reload"]);
    is_down(&pair);

    assert_eq!(
        pair.host.ok(&["peer", "enable", "other"]),
        "other: enabled; `herald show peer other` tells how it comes back\n"
    );
    pair.host.wait_until_established("other");
    assert_eq!(pair.host_peer()["shutdown"], Value::Null);
    pair.host.ok(&["peer", "enable", "other"]);
    let events = pair.host.ok(&["show", "events"]);
    assert!(
        events.contains("other  bgp     enabled by command"),
        "{events}"
    );
}

#[test]
fn one_route_tells_who_has_it_and_who_has_not_and_why() {
    let pair = Pair::start();
    let Pair { host, .. } = &pair;
    let away = loopback();
    host.write(&format!(
        "{}[[peer]]\nname = \"away\"\naddress = \"{away}\"\nremote-as = 64521\nfamilies = [\"ipv4-unicast\"]\n\
         passive = true\n\
         [[bfd-session]]\nname = \"path\"\naddress = \"{away}\"\nenabled = false\n\
         [[service]]\nname = \"sick\"\naddresses = [\"192.0.2.151\"]\nhealth = {{ bfd = \"path\" }}\n",
        pair.host_config
    ));
    host.ok(&["reload"]);
    let other_only = ["--peer", "other", "--med", "10"];
    host.ok(&[&["announce", "198.51.100.0/24"][..], &other_only].concat());
    let of = |what: &str| words(&host.ok(&["show", "routes", what]));
    eventually("other has the route", || {
        of("198.51.100.0/24").contains("Announced to other, with med 10")
    });
    assert_eq!(
        of("198.51.100.7"),
        "Route 198.51.100.0/24 From a route, added at run time Announced to other, with med 10 \
         Not to away: the route is for other peers"
    );
    let web = of("192.0.2.150");
    let begin = "Route 192.0.2.150/32 From service web, in the file Announced to other, with no attributes of its own Not to away: its session is ";
    assert!(web.starts_with(begin), "{web}");
    let detail = host.show(&["routes", "192.0.2.150/32"]);
    assert_eq!(detail["peers"][0]["state"], "down", "{detail:#}");
    assert_eq!(detail["lacking"][0]["peer"], "away");
    for (what, code, why) in [
        (
            "192.0.2.151",
            1,
            "192.0.2.151 is not announced: it is an address of service sick, which is unhealthy: BFD session path is disabled",
        ),
        (
            "198.51.100.0/25",
            1,
            "198.51.100.0/25 is not announced; 198.51.100.0/24 is, which has it in it",
        ),
        (
            "203.0.113.9",
            1,
            "203.0.113.9 is not announced: no service and no route has it; `herald show routes` lists what is",
        ),
        (
            "198.51.100.7/24",
            2,
            "prefix: found \"198.51.100.7/24\"; must be \"198.51.100.0/24\", for a prefix has no host bits",
        ),
    ] {
        let complaint = host.fails(code, &["show", "route", what]);
        assert!(complaint.contains(why), "{complaint}");
    }
}

/// What a shell proposes behind these words.
fn proposed(daemon: &Daemon, words: &[&str]) -> String {
    let output = support::run(
        support::herald()
            .env("HERALD_COMPLETE", "fish")
            .env("HERALD_SOCKET", daemon.socket())
            .args(["--", "herald"])
            .args(words)
            .arg(""),
    );
    // Options are proposed everywhere.
    let names = support::stdout(&output);
    let names = names.lines().filter(|line| !line.starts_with('-'));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn completion_offers_what_can_be_done() {
    let pair = Pair::start();
    let Pair { host, .. } = &pair;
    host.ok(&["announce", "198.51.100.0/24"]);
    host.ok(&["service", "add", "extra", "192.0.2.151"]);
    let offered = |words: &[&str]| proposed(host, words);
    assert_eq!(offered(&["withdraw"]), "198.51.100.0/24");
    assert_eq!(offered(&["service", "remove"]), "extra");
    assert_eq!(offered(&["show", "service"]), "extra web");
    assert_eq!(offered(&["peer", "enable"]), "");
    assert_eq!(offered(&["undrain"]), "");
    for command in ["shutdown", "reset", "refresh"] {
        assert_eq!(offered(&["peer", command]), "other", "{command}");
    }
    host.ok(&["drain", "other"]);
    assert_eq!(offered(&["undrain"]), "other");
    host.ok(&["peer", "shutdown", "other"]);
    assert_eq!(offered(&["peer", "enable"]), "other");
    for command in ["shutdown", "reset"] {
        assert_eq!(offered(&["peer", command]), "", "{command}");
    }
}

#[test]
fn a_peer_is_called_by_its_address_too() {
    let pair = Pair::start();
    let Pair { host, .. } = &pair;
    let address = host.show(&["peer", "other"])["address"].clone();
    let address = address.as_str().unwrap();
    assert_eq!(host.show(&["peer", address])["name"], "other");
    assert!(
        host.ok(&["show", "peer", address])
            .starts_with("Peer other")
    );
    let has_web = host.ok(&["show", "routes", "--advertised", address]);
    assert!(has_web.contains("192.0.2.150/32"), "{has_web}");
    assert_eq!(
        host.ok(&["events", "--peer", address]),
        host.ok(&["events", "--peer", "other"])
    );
    assert!(host.herald(&["capture", address]).status.success());
    host.ok(&["announce", "198.51.100.0/24", "--peer", address]);
    let routes = host.show(&["routes"]);
    assert_eq!(routes[1]["peers"][0]["peer"], "other", "{routes:#}");
    host.ok(&["drain", address]);
    assert_eq!(pair.host_peer()["draining"], "peer");
    host.ok(&["undrain", address]);
    assert_eq!(pair.host_peer()["draining"], Value::Null);
    for command in ["shutdown", "enable", "reset", "refresh"] {
        host.ok(&["peer", command, address]);
        if command != "shutdown" {
            host.wait_until_established("other");
        }
    }
    let complaint = host.fails(1, &["show", "peer", "192.0.2.9"]);
    assert!(
        complaint.contains("there is no peer 192.0.2.9"),
        "{complaint}"
    );
}

#[test]
fn a_peer_that_leaves_the_file_is_not_remembered_as_shut_down() {
    let pair = Pair::start();
    pair.host.ok(&["peer", "shutdown", "other"]);
    pair.wait_for_reset("received 6/2 Cease, Administrative Shutdown");
    let (without, _) = pair.host_config.split_once("[[peer]]").unwrap();
    pair.host.write(without);
    pair.host.ok(&["reload"]);
    pair.host.write(&pair.host_config);
    pair.host.ok(&["reload"]);
    pair.host.wait_until_established("other");
}

#[test]
fn a_peer_that_the_file_keeps_down_is_enabled_there() {
    let pair = Pair::start();
    let disabled = pair.host_config.replace(
        "port = 11179\nremote",
        "port = 11179\nenabled = false\nremote",
    );
    pair.host.write(&disabled);
    pair.host.ok(&["reload"]);
    for command in ["enable", "reset"] {
        let complaint = pair.host.fails(1, &["peer", command, "other"]);
        let file = pair.host.file();
        let start = format!(
            "herald: peer other has enabled = false in {}",
            file.display()
        );
        assert!(complaint.starts_with(&start), "{complaint}");
    }
}

#[test]
fn a_dynamic_peer_that_is_shut_down_stays_so_too() {
    let [own, other] = [loopback(), loopback()];
    let mut router = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64521\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer-range]]\nname = \"hosts\"\nprefix = \"{other}/32\"\nremote-as = 64520\n"
    ));
    let host = Daemon::start(&config(other, 64520, own, 64521, WEB));
    host.wait_until_established("other");
    let name = format!("hosts@{other}");
    router.wait_until_established(&name);
    router.ok(&["peer", "shutdown", &name, "-m", "out of order"]);
    let cause = "received 6/2 Cease, Administrative Shutdown: \"out of order\"";
    eventually(cause, || {
        host.show(&["peer", "other"])["last_reset"]["cause"] == cause
    });
    router.signal(Signal::SIGKILL);
    router.wait();
    router.launch();
    eventually("it is there again, and kept down", || {
        let peers = router.show(&["peers"]);
        peers[0]["name"] == name.as_str() && peers[0]["shutdown"]["communication"] == "out of order"
    });
    router.ok(&["peer", "enable", &name]);
    router.wait_until_established(&name);
}

#[test]
fn the_peer_repeats_its_routes_when_asked() {
    let pair = Pair::start();
    let received = || pair.router_peer()["families"][0]["received"].as_u64();
    eventually("the route has come", || received() == Some(1));
    assert_eq!(
        pair.router
            .ok(&["peer", "refresh", "other", "--family", "ipv4-unicast"]),
        "other: asked for ipv4-unicast\n"
    );
    eventually("it comes again", || received() == Some(2));
    assert_eq!(
        pair.router.ok(&["peer", "refresh", "other"]),
        "other: asked for ipv4-unicast and ipv6-unicast\n"
    );
    eventually("and again", || received() == Some(3));
    assert_eq!(pair.router_peer()["messages"]["sent"]["route_refresh"], 3);
    assert_eq!(pair.router_peer()["families"][0]["prefixes"], 1);
    assert_eq!(pair.host_peer()["messages"]["received"]["route_refresh"], 3);
}

#[test]
fn what_a_peer_has_from_us_is_shown() {
    let pair = Pair::start();
    pair.host.ok(&[
        "announce",
        "198.51.100.0/24",
        "--med",
        "7",
        "--community",
        "64520:1",
    ]);
    eventually("both have been announced", || {
        pair.host_peer()["families"][0]["advertised"] == 2
    });
    let routes = pair.host.show(&["routes", "--advertised", "other"]);
    assert_eq!(routes[0]["prefix"], "192.0.2.150/32");
    assert_eq!(routes[1]["prefix"], "198.51.100.0/24");
    assert_eq!(routes[1]["med"], 7);
    assert_eq!(
        routes[1]["session_next_hop"],
        pair.host_peer()["families"][0]["next_hop"]
    );
    let table = pair.host.ok(&["show", "routes", "--advertised", "other"]);
    assert!(table.contains("med 7 64520:1"), "{table}");
    // The router has what the host says it has.
    let received = pair.router.show(&["routes", "--received", "other"]);
    assert_eq!(received[1]["prefix"], "198.51.100.0/24");
    assert_eq!(received[1]["med"], 7);
    assert_eq!(received[1]["communities"], serde_json::json!(["64520:1"]));
    assert_eq!(received[1]["next_hop"], routes[1]["session_next_hop"]);
    let none = pair.router.ok(&["show", "routes", "--advertised", "other"]);
    assert!(none.starts_with("other has no routes from us"), "{none}");
}

#[test]
fn what_a_repeated_command_changes_is_said() {
    let host =
        Daemon::start("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.9\"\nlisten = []\n");
    let add = ["service", "add", "web"];
    let checked = ["192.0.2.50", "--health-tcp", "127.0.0.1:9"];
    host.ok(&[&add[..], &checked].concat());
    assert_eq!(
        host.ok(&[&add[..], &checked].concat()),
        "web: unchanged with 192.0.2.50\n"
    );
    assert_eq!(
        host.ok(&["service", "add", "web", "192.0.2.51"]),
        "web: changed: addresses +192.0.2.51 -192.0.2.50; no longer checked (it has 192.0.2.51)\n"
    );
    let announce = ["announce", "198.51.100.0/24"];
    let attributes = ["--med", "5", "--community", "no-export"];
    let said = host.ok(&[&announce[..], &attributes].concat());
    assert!(said.starts_with("198.51.100.0/24: announced; "), "{said}");
    assert_eq!(
        host.ok(&[&announce[..], &attributes].concat()),
        "198.51.100.0/24: unchanged\n"
    );
    let changed = "changed: med 5 -> none, communities no-export -> none";
    assert_eq!(host.ok(&announce), format!("198.51.100.0/24: {changed}\n"));
    let events = host.show(&["events"]);
    let texts = events.as_array().unwrap().iter();
    let texts = texts.filter_map(|event| event["text"].as_str());
    let notes: Vec<&str> = texts
        .filter(|text| text.contains("changed: ") || text.ends_with("added at run time"))
        .collect();
    assert_eq!(
        notes,
        [
            "service web: added at run time",
            "service web: changed: addresses +192.0.2.51 -192.0.2.50; no longer checked",
            "route 198.51.100.0/24: added at run time",
            &format!("route 198.51.100.0/24: {changed}"),
        ]
    );
}

#[test]
fn what_cannot_be_done_to_a_peer_is_said() {
    let pair = Pair::start();
    for command in ["shutdown", "enable", "refresh", "reset"] {
        assert_eq!(
            pair.host.fails(1, &["peer", command, "othr"]),
            "herald: there is no peer othr; the nearest name is other\n"
        );
    }
    assert_eq!(
        pair.host
            .fails(2, &["peer", "refresh", "other", "--family", "ipv4"]),
        "herald: family: found \"ipv4\"; must be \"ipv4-unicast\" or \"ipv6-unicast\"\n"
    );
    let long = "ä".repeat(128);
    assert_eq!(
        pair.host
            .fails(2, &["peer", "shutdown", "other", "-m", &long]),
        "herald: communication: found 256 octets; must be at most 255 (RFC 9003)\n"
    );
    assert_eq!(pair.host_peer()["state"], "Established");
    pair.host.ok(&["peer", "shutdown", "other"]);
    assert_eq!(
        pair.host.fails(1, &["peer", "refresh", "other"]),
        "herald: peer other: the session is not established\n"
    );
}
