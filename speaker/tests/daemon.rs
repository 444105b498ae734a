//! Daemons that peer with each other on loopback: the real binary, real sockets.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, eventually, loopback};

/// One side of a pair.
fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, more: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n\
         [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\nreceive-interval = \"50ms\"\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nbfd-profile = \"fast\"\nbfd-port = 13784\nconnect-retry-time = \"1s\"\n{more}\n"
    )
}

const WEB: &str = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n";

/// A host that announces, and its router.
struct Pair {
    host: Daemon,
    router: Daemon,
    addresses: [Ipv4Addr; 2],
}

impl Pair {
    fn start(more: &str) -> Self {
        let addresses = [loopback(), loopback()];
        let [own, other] = addresses;
        let router = Daemon::start(&config(other, 64521, own, 64520, ""));
        let host = Daemon::start(&config(own, 64520, other, 64521, more));
        let pair = Self {
            host,
            router,
            addresses,
        };
        pair.host.wait_until_up("other");
        pair.router.wait_until_up("other");
        pair
    }

    fn host_config(&self, more: &str) -> String {
        let [own, other] = self.addresses;
        config(own, 64520, other, 64521, more)
    }

    fn host_peer(&self) -> Value {
        self.host.show(&["peer", "other"])
    }

    /// IPv4 prefixes that the host has announced to the router.
    fn advertised(&self) -> u64 {
        self.host_peer()["families"][0]["advertised"]
            .as_u64()
            .unwrap_or(0)
    }

    /// Waits until the router has lost its session for this reason.
    #[track_caller]
    fn wait_for_loss(&self, cause: &str) {
        eventually(cause, || {
            let events = self.router.show(&["events", "--peer", "other"]);
            let mut events = events.as_array().into_iter().flatten();
            events.any(|event| event["from"] == "Established" && event["cause"] == cause)
        });
    }

    /// Waits until the router has heard the last word of both. Which of the two its log has first is
    /// chance, for they come from two threads; what matters is that BGP ended by our word.
    #[track_caller]
    fn wait_for_bgp_and_bfd(&self, cause: &str) {
        self.wait_for_loss(cause);
        eventually("BFD ends too", || {
            self.router.log().contains("BFD session ended")
        });
        let log = self.router.log();
        assert!(!log.contains("BFD session DOWN"), "{log}");
    }

    #[track_caller]
    fn wait_for_advertised(&self, number: u64) {
        eventually("the prefixes are announced", || self.advertised() == number);
    }
}

#[test]
fn a_service_reaches_the_peer() {
    let pair = Pair::start(WEB);
    pair.wait_for_advertised(1);
    eventually("the router has counted it", || {
        pair.router.show(&["peer", "other"])["families"][0]["received"] == 1
    });
    let routes = pair.host.show(&["routes"]);
    assert_eq!(routes[0]["prefix"], "192.0.2.150/32");
    assert_eq!(routes[0]["service"], "web");
    assert_eq!(routes[0]["peers"][0]["state"], "announced");
    let services = pair.host.ok(&["show", "services"]);
    assert!(services.contains("1 of 1 peers"), "{services}");
    let page = pair.host.ok(&["show", "peer", "other"]);
    for part in [
        "AS 64521, external",
        "State         Established",
        "Hold time     1m 30s (configured 1m 30s)",
        "route-refresh                sent and received",
        "ipv4-unicast: 1 advertised, 0 pending",
        "End-of-RIB sent: yes, received: yes",
        "BFD           Up",
        "Established   1 times, dropped 0 times",
    ] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
}

#[test]
fn a_reload_changes_routes_and_bfd_without_a_reset() {
    let mut pair = Pair::start(WEB);
    pair.wait_for_advertised(1);
    let more = format!("{WEB}[[route]]\nprefix = \"198.51.100.0/24\"\n");
    let wanted = pair.host_config(&more).replace("50ms", "100ms");
    pair.host.write(&wanted);
    let planned = pair.host.ok(&["reload", "--dry-run"]);
    assert_eq!(
        planned,
        "  peer other: updated in place: transmit-interval 50ms -> 100ms, receive-interval 50ms -> 100ms\n\
         \u{20} route 198.51.100.0/24: added\n\
         2 to apply; nothing was changed (--dry-run)\n"
    );
    assert_eq!(pair.advertised(), 1);
    pair.host.signal(Signal::SIGHUP);
    pair.wait_for_advertised(2);
    eventually("the new BFD timers are agreed on", || {
        pair.host_peer()["bfd"]["session"]["detection_time_ms"] == 300.0
    });
    let peer = pair.host_peer();
    assert_eq!(peer["established_count"], 1);
    assert_eq!(peer["dropped_count"], 0);
    assert_eq!(peer["bfd"]["session"]["up_count"], 1);
    assert_eq!(pair.host.ok(&["reload"]), "nothing changed\n");

    pair.host.write(&wanted.replace(
        "connect-retry-time",
        "hold-time = \"9s\"\nconnect-retry-time",
    ));
    let applied = pair.host.ok(&["reload"]);
    assert_eq!(
        applied,
        "! peer other: session restarts: hold-time 90s -> 9s\n1 applied\n"
    );
    eventually("the session is back", || {
        let peer = pair.host_peer();
        peer["established_count"] == 2 && peer["timers"]["hold_time_ms"] == 9000
    });
    pair.wait_for_loss("received 6/6 Cease, Other Configuration Change");
    pair.host.signal(Signal::SIGTERM);
    assert!(pair.host.wait().success());
}

#[test]
fn a_route_that_fits_no_message_is_named_and_not_said_to_be_announced() {
    let pair = Pair::start(WEB);
    // RFC 8654: 65,535 octets at most. Of these many communities nothing is left for a prefix.
    let communities: Vec<String> = (0..16_370).map(|n| format!("\"64520:{n}\"")).collect();
    let routes: String = ["198.51.100.0/24", "203.0.113.0/24"]
        .iter()
        .map(|prefix| {
            let list = communities.join(",");
            format!("[[route]]\nprefix = \"{prefix}\"\ncommunities = [{list}]\n")
        })
        .collect();
    pair.host
        .write(&pair.host_config(&format!("{WEB}{routes}")));
    pair.host.ok(&["reload"]);
    let state_of = |routes: &Value, prefix: &str| {
        let mut routes = routes.as_array().unwrap().iter();
        let route = routes.find(|route| route["prefix"] == prefix).unwrap();
        route["peers"][0]["state"].clone()
    };
    eventually("it is known that they cannot be announced", || {
        let routes = pair.host.show(&["routes"]);
        ["198.51.100.0/24", "203.0.113.0/24"]
            .iter()
            .all(|prefix| state_of(&routes, prefix) == "too long")
    });
    let routes = pair.host.show(&["routes"]);
    assert_eq!(state_of(&routes, "192.0.2.150/32"), "announced");
    let events = pair.host.show(&["events", "--peer", "other"]).to_string();
    assert!(
        events.contains("route 198.51.100.0/24 is not announced"),
        "{events}"
    );
    // One warning for both, which have the same attributes.
    let log = pair.host.log();
    assert_eq!(log.matches("is not announced").count(), 1, "{log}");
    assert_eq!(pair.host_peer()["dropped_count"], 0);

    pair.host.write(&pair.host_config(WEB));
    pair.host.ok(&["reload"]);
    assert_eq!(pair.host.show(&["routes"]).as_array().unwrap().len(), 1);
}

/// Behind a marker, with length and type (RFC 4271 §4.1).
fn message(r#type: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[r#type], body].concat()
}

#[test]
fn an_update_with_errors_can_be_looked_at() {
    let [own, other] = [loopback(), loopback()];
    let router = TcpListener::bind((other, 11179)).unwrap();
    let daemon = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[[peer]]\nname = \"other\"\n\
         address = \"{other}\"\nport = 11179\nremote-as = 64521\nsource-address = \"{own}\"\n"
    ));
    let (mut session, _) = router.accept().unwrap();
    let [high, low] = 64521_u16.to_be_bytes();
    let open = message(1, &[4, high, low, 0, 90, 192, 0, 2, 1, 0]);
    session
        .write_all(&[open, message(4, &[])].concat())
        .unwrap();
    // ORIGIN 9, for 192.0.2.0/24.
    let malformed = message(2, &[0, 0, 0, 4, 0x40, 1, 1, 9, 24, 192, 0, 2]);
    for _ in 0..3 {
        session.write_all(&malformed).unwrap();
    }
    eventually("all three have come", || {
        daemon.show(&["peer", "other"])["update_errors"] == 3
    });
    let peer = daemon.show(&["peer", "other"]);
    assert_eq!(peer["state"], "Established");
    let last = &peer["last_update_error"];
    assert_eq!(last["errors"][0], "ORIGIN (1): treat-as-withdraw");
    assert_eq!(last["prefixes"][0], "192.0.2.0/24");
    assert_eq!(last["message_octets"], malformed.len());
    let hex: String = malformed
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert_eq!(last["message"], hex.as_str());
    let page = daemon.ok(&["show", "peer", "other"]);
    for part in [
        "3 UPDATEs with errors that RFC 7606 lets pass",
        "for 192.0.2.0/24, in 31 octets:",
        "(3 times since ",
        &hex,
    ] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    // RFC 7606 §8 wants all of it in the log, and once is enough.
    let log = daemon.log();
    assert_eq!(log.matches(&hex).count(), 1, "{log}");
}

#[test]
fn a_bad_file_changes_nothing() {
    let pair = Pair::start(WEB);
    pair.wait_for_advertised(1);
    pair.host
        .write(&pair.host_config("[[service]]\nname = \"web\"\naddresses = [\"x\"]\nfoo = 1\n"));
    let message = pair.host.fails(2, &["reload"]);
    assert!(
        message.contains("[[service]] \"web\": addresses: found \"x\"; must be an address"),
        "{message}"
    );
    let log = pair.host.log();
    let refused = |line: &&str| line.contains("ERROR reload refused, the running");
    let mistakes: Vec<&str> = log.lines().filter(refused).collect();
    assert_eq!(mistakes.len(), 2, "{log}");
    assert!(mistakes[0].contains("addresses: found"), "{log}");
    assert!(mistakes[1].contains("foo: unknown key"), "{log}");
    assert_eq!(pair.advertised(), 1);
    assert_eq!(pair.host_peer()["established_count"], 1);
}

#[test]
fn what_was_added_survives_kill_9_and_bfd_notices_it() {
    let mut pair = Pair::start(WEB);
    pair.host.ok(&[
        "announce",
        "198.51.100.0/24",
        "--med",
        "5",
        "--community",
        "no-export",
    ]);
    pair.host.ok(&["service", "add", "dns", "192.0.2.53"]);
    pair.wait_for_advertised(3);
    pair.host.signal(Signal::SIGKILL);
    pair.host.wait();
    eventually("the router sees BFD go down", || {
        pair.router.show(&["peer", "other"])["bfd"]["state"] == "Down"
    });
    assert!(
        pair.host.socket().exists(),
        "a killed daemon leaves its socket"
    );
    pair.host.launch();
    pair.host.wait_until_up("other");
    pair.wait_for_advertised(3);
    let routes = pair.host.show(&["routes"]);
    let route = routes
        .as_array()
        .unwrap()
        .iter()
        .find(|route| route["prefix"] == "198.51.100.0/24");
    let told = &route.unwrap()["peers"][0];
    assert_eq!(
        (&told["med"], &told["communities"][0]),
        (&5.into(), &"no-export".into())
    );
    let events = pair.router.ok(&["show", "events"]);
    assert!(events.contains("control detection time"), "{events}");

    pair.host.ok(&["withdraw", "198.51.100.0/24"]);
    pair.host.ok(&["service", "remove", "dns"]);
    pair.wait_for_advertised(1);
}

#[test]
fn a_frozen_neighbor_is_given_up_and_taken_back() {
    let pair = Pair::start(WEB);
    pair.wait_for_advertised(1);
    pair.router.signal(Signal::SIGSTOP);
    eventually("BFD Down closes BGP", || {
        let events = pair.host.show(&["events", "--peer", "other"]);
        let mut events = events.as_array().into_iter().flatten();
        events.any(|event| event["cause"] == "sent 6/10 Cease, BFD Down")
    });
    assert_eq!(pair.host.show(&["routes"])[0]["peers"][0]["state"], "down");
    pair.router.signal(Signal::SIGCONT);
    pair.host.wait_until_up("other");
    pair.wait_for_advertised(1);
    assert_eq!(pair.host_peer()["dropped_count"], 1);
}

#[test]
fn what_is_in_the_file_is_not_changed_at_run_time() {
    let pair = Pair::start(WEB);
    let message = pair.host.fails(1, &["service", "add", "web", "192.0.2.9"]);
    assert!(message.contains("service web is in"), "{message}");
    let message = pair
        .host
        .fails(1, &["service", "add", "other", "192.0.2.150"]);
    assert!(
        message.contains("192.0.2.150 is an address of service web"),
        "{message}"
    );
    let message = pair.host.fails(1, &["announce", "192.0.2.150/32"]);
    assert!(
        message.contains("service web announces this already"),
        "{message}"
    );
    let message = pair.host.fails(1, &["show", "events", "--peer", "othr"]);
    assert!(message.contains("the nearest name is other"), "{message}");
    let message = pair.host.fails(2, &["announce", "198.51.100.7/24"]);
    assert!(message.contains("must be \"198.51.100.0/24\""), "{message}");
    let message = pair
        .host
        .fails(1, &["announce", "198.51.100.0/24", "--peer", "othr"]);
    assert!(
        message.contains("there is no peer othr; the nearest name is other"),
        "{message}"
    );

    pair.host.ok(&["service", "add", "dns", "192.0.2.53"]);
    let dns = "[[service]]\nname = \"dns\"\naddresses = [\"192.0.2.54\"]\n";
    pair.host.write(&pair.host_config(&format!("{WEB}{dns}")));
    let plan = pair.host.ok(&["reload", "--dry-run"]);
    assert!(
        plan.contains(
            "  service dns: was added at run time, and gives way to the one in the file; 192.0.2.53 is withdrawn\n"
        ),
        "{plan}"
    );
}

#[test]
fn sigterm_tells_every_peer_and_removes_the_socket() {
    let mut pair = Pair::start(WEB);
    pair.host.signal(Signal::SIGTERM);
    assert_eq!(pair.host.wait().code(), Some(0));
    assert!(!pair.host.socket().exists());
    pair.wait_for_loss("received 6/2 Cease, Administrative Shutdown");
    // AdminDown is no failure: BFD goes Down because the neighbor said so.
    let peer = pair.router.show(&["peer", "other"]);
    assert_eq!(
        peer["bfd"]["session"]["remote_diag"],
        "administratively down"
    );
    assert!(
        !pair.router.log().contains("BFD session DOWN"),
        "{}",
        pair.router.log()
    );
}

#[test]
fn stop_and_reset_carry_a_text_to_the_neighbor() {
    let mut pair = Pair::start(WEB);
    pair.host
        .ok(&["peer", "reset", "other", "-m", "moving racks"]);
    pair.wait_for_loss("received 6/4 Cease, Administrative Reset: \"moving racks\"");
    eventually("the session is back", || {
        pair.host_peer()["established_count"] == 2
    });
    assert_eq!(pair.host.ok(&["stop", "-m", "going home"]), "stopped\n");
    assert!(pair.host.wait().success());
    pair.wait_for_loss("received 6/2 Cease, Administrative Shutdown: \"going home\"");
}

#[test]
fn a_text_goes_with_a_restart_to_who_is_told() {
    let mut pair = Pair::start(WEB);
    let stop = ["stop", "--restart", "-m", "back at noon"];
    let output = pair.host.herald(&stop);
    assert_eq!(support::stdout(&output), "stopped\n");
    assert_eq!(
        support::stderr(&output),
        "warning: our routes are withdrawn from other: no graceful-restart is negotiated\n"
    );
    assert!(pair.host.wait().success());
    pair.wait_for_loss("received 6/2 Cease, Administrative Shutdown: \"back at noon\"");
}

#[test]
fn a_disabled_peer_is_down_until_it_is_enabled() {
    let pair = Pair::start(WEB);
    let enabled = pair.host_config(WEB);
    pair.host
        .write(&enabled.replace("port = 11179", "port = 11179\nenabled = false"));
    assert_eq!(
        pair.host.ok(&["reload"]),
        "! peer other: enabled true -> false, its session ends and stays down\n1 applied\n"
    );
    pair.wait_for_bgp_and_bfd("received 6/2 Cease, Administrative Shutdown");
    assert_eq!(pair.host.show(&["bfd"]), serde_json::json!([]));
    pair.host.write(&enabled);
    pair.host.ok(&["reload"]);
    pair.host.wait_until_up("other");
}

#[test]
fn a_removed_peer_is_told_so() {
    let pair = Pair::start(WEB);
    let alone = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n";
    let [own, _] = pair.addresses;
    pair.host
        .write(&alone.replace("192.0.2.71", &own.to_string()));
    let applied = pair.host.ok(&["reload"]);
    assert!(
        applied.contains("! peer other: removed, its session ends"),
        "{applied}"
    );
    pair.wait_for_bgp_and_bfd("received 6/3 Cease, Peer De-configured");
    assert_eq!(pair.host.show(&["bfd"]), serde_json::json!([]));
    assert_eq!(pair.host.show(&["peers"]), serde_json::json!([]));
    // What its session said last is not held against a peer that is gone.
    let events = pair.host.show(&["events"]);
    let of_peer = |event: &&Value| !event["peer"].is_null();
    assert_eq!(events.as_array().unwrap().iter().find(of_peer), None);
    assert!(
        !pair.host.log().contains("BGP session lost"),
        "{}",
        pair.host.log()
    );
}

#[test]
fn a_peer_that_is_given_another_name_keeps_its_bfd_session() {
    let pair = Pair::start(WEB);
    let renamed = pair.host_config(WEB).replace("\"other\"", "\"tor-a\"");
    pair.host.write(&renamed);
    pair.host.ok(&["reload"]);
    pair.wait_for_loss("received 6/3 Cease, Peer De-configured");
    pair.host.wait_until_up("tor-a");
    let sessions = pair.host.show(&["bfd"]);
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    assert_eq!(sessions[0]["peer"], "tor-a");
    assert_eq!(sessions[0]["session"]["down_count"], 0);
}

#[test]
fn ipv6_does_the_same() {
    let config = |own_as: u32,
                  bgp: u16,
                  bfd: u16,
                  other_as: u32,
                  other_bgp: u16,
                  other_bfd: u16| {
        format!(
            "[speaker]\nlocal-as = {own_as}\nrouter-id = \"192.0.2.{}\"\nlisten = [\"[::1]:{bgp}\"]\n\
             [bfd]\nlisten = [\"[::1]:{bfd}\"]\n\
             [[peer]]\nname = \"other\"\naddress = \"::1\"\nport = {other_bgp}\nremote-as = {other_as}\n\
             source-address = \"::1\"\nbfd-profile = \"default\"\nbfd-port = {other_bfd}\nconnect-retry-time = \"1s\"\n\
             [[service]]\nname = \"web\"\naddresses = [\"2001:db8::{bgp:x}\"]\n",
            own_as % 250 + 1
        )
    };
    let ports = || {
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let [a_bgp, a_bfd, b_bgp, b_bfd] = [ports(), ports(), ports(), ports()];
    let a = Daemon::start(&config(64520, a_bgp, a_bfd, 64521, b_bgp, b_bfd));
    let b = Daemon::start(&config(64521, b_bgp, b_bfd, 64520, a_bgp, a_bfd));
    a.wait_until_up("other");
    b.wait_until_up("other");
    for daemon in [&a, &b] {
        eventually("the route is announced and received", || {
            let family = daemon.show(&["peer", "other"])["families"][1].clone();
            family["family"] == "ipv6-unicast"
                && family["advertised"] == 1
                && family["received"] == 1
                && family["next_hop"] == "::1"
        });
    }
}

/// One request over TCP.
fn http(address: &str, request: &str) -> String {
    ask(TcpStream::connect(address).unwrap(), request)
}

/// One request, without a client library.
fn ask(mut stream: impl Read + Write, request: &str) -> String {
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: herald\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every refusal is one that programs understand (RFC 9457).
#[track_caller]
fn assert_problem(answer: &str, status: u16, detail: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains(detail), "{detail:?} is not in\n{answer}");
}

#[test]
fn a_request_that_cannot_be_understood_is_a_problem() {
    let api = format!("{}:19120", loopback());
    let _daemon = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[api]\nlisten = \"{api}\"\n"
    ));
    let ask = |path: &str| http(&api, &format!("GET {path}"));
    assert_problem(
        &ask("/v1/events?peer=a&peer=b"),
        400,
        "duplicate field `peer`",
    );
    assert_problem(&ask("/v1/events?pear=a"), 400, "unknown field `pear`");
    assert_problem(
        &ask("/v1/events?peer=a%20b"),
        422,
        "must be a name of 1 to 64",
    );
    assert_problem(&ask("/v1/peers/%FF"), 400, "Invalid UTF-8");
}

/// The names of a page's metrics, as they are scraped.
fn metric_names(metrics: &str) -> std::collections::BTreeSet<String> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, r#type)| match r#type {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect()
}

#[test]
fn metrics_tell_of_sessions_that_are_up() {
    let pair = Pair::start(WEB);
    pair.wait_for_advertised(1);
    let socket = std::os::unix::net::UnixStream::connect(pair.host.socket()).unwrap();
    let metrics = ask(socket, "GET /metrics");
    for line in [
        "herald_peers 1\n",
        "herald_peer_up{peer=\"other\"} 1\n",
        "herald_peer_state{peer=\"other\",state=\"Established\"} 1\n",
        "herald_peer_state{peer=\"other\",state=\"Idle\"} 0\n",
        "herald_peer_established_total{peer=\"other\"} 1\n",
        "herald_peer_dropped_total{peer=\"other\"} 0\n",
        // How many depends on who connects first: both do.
        "herald_peer_messages_total{peer=\"other\",direction=\"received\",type=\"open\"} ",
        "herald_peer_advertised_prefixes{peer=\"other\",family=\"ipv4-unicast\"} 1\n",
        "herald_peer_pending_prefixes{peer=\"other\",family=\"ipv4-unicast\"} 0\n",
        "herald_peer_update_errors_total{peer=\"other\"} 0\n",
        "herald_bfd_up{session=\"other\",peer=\"other\",bfd_session=\"\"} 1\n",
        "herald_bfd_ups_total{session=\"other\",peer=\"other\",bfd_session=\"\"} 1\n",
        "herald_bfd_downs_total{session=\"other\",peer=\"other\",bfd_session=\"\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line:?} is not in\n{metrics}");
    }
    let documented = include_str!("../../docs/metrics.md");
    let names = metric_names(&metrics);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(
            documented.contains(&format!("`{name}`")),
            "docs/metrics.md says nothing about {name}"
        );
    }
}

/// Whatever is said of a session says of which.
#[test]
fn lines_of_the_log_tell_which_session_they_are_about() {
    let pair = Pair::start("[log]\nformat = \"json\"\n");
    let [_, other] = pair.addresses;
    for (message, name) in [
        ("BGP session established", "bgp"),
        ("BFD session up", "bfd"),
    ] {
        let said = || {
            let log = pair.host.log();
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == message)
        };
        eventually(message, || said().is_some());
        let found = said().unwrap();
        assert_eq!(found["peer"], "other", "{found}");
        assert_eq!(found["span"]["name"], name, "{found}");
        let remote = found["span"]["remote"].as_str().unwrap();
        assert!(remote.starts_with(&other.to_string()), "{found}");
        assert!(found["span"]["session"].is_u64(), "{found}");
    }
}

#[test]
fn over_tcp_everything_is_read_only() {
    let own = loopback();
    let api = format!("{own}:19120");
    let daemon = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[api]\nlisten = \"{api}\"\n{WEB}\
         [[peer]]\nname = \"gone\"\naddress = \"{}\"\nremote-as = 64521\ndescription = \"<b>\"\n",
        loopback()
    ));
    let mode = std::fs::metadata(daemon.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let metrics = http(&api, "GET /metrics");
    for line in [
        "herald_build_info{version=\"0.1.0\"} 1\n",
        "herald_routes 1\n",
        "herald_services 1\n",
        "herald_peer_up{peer=\"gone\"} 0\n",
        "herald_peer_established_total{peer=\"gone\"} 0\n",
        "herald_peer_messages_total{peer=\"gone\",direction=\"sent\",type=\"open\"} 0\n",
        "# EOF\n",
    ] {
        assert!(metrics.contains(line), "{line:?} is not in\n{metrics}");
    }
    assert!(http(&api, "GET /healthz").starts_with("HTTP/1.1 200 "));
    let ready = http(&api, "GET /readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(
        ready.contains("no BGP session is established; peer gone is"),
        "{ready}"
    );
    assert!(http(&api, "GET /").contains("<td>gone</td>"));
    assert!(http(&api, "GET /v1/peers").contains("\"name\":\"gone\""));
    for request in [
        "PUT /v1/services/web",
        "DELETE /v1/services/web",
        "PUT /v1/routes/10.0.0.0%2F8",
        "DELETE /v1/routes/10.0.0.0%2F8",
        "POST /v1/reload",
        "POST /v1/peers/gone/reset",
        "POST /v1/peers/gone/shutdown",
        "POST /v1/peers/gone/enable",
        "POST /v1/peers/gone/refresh",
        "POST /v1/stop",
        "POST /v1/peers",
    ] {
        let answer = http(&api, request);
        assert_problem(&answer, 405, "control is at the Unix socket");
    }
    let answer = http(&api, "GET /v1/pears");
    assert_problem(&answer, 404, "there is nothing at /v1/pears");
}

#[test]
fn a_derived_router_id_is_kept() {
    let own = loopback();
    let config = format!("[speaker]\nlocal-as = 64520\nlisten = [\"{own}:11179\"]\n");
    // On a host without any address but loopback there is nothing to derive one from.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("herald.toml");
    let text = config.replace(
        "[speaker]",
        &format!(
            "[speaker]\nstate-dir = {:?}",
            directory.path().join("state")
        ),
    );
    std::fs::write(
        &path,
        format!("{text}[api]\nsocket = {:?}\n", directory.path().join("s")),
    )
    .unwrap();
    if herald::router_id::derive(
        &herald::config::Config::load(&path).unwrap().config,
        &std::collections::BTreeSet::new(),
    )
    .is_none()
    {
        let output = support::run(support::herald().args(["run", "-c"]).arg(&path));
        assert_eq!(output.status.code(), Some(1));
        assert!(
            support::stderr(&output)
                .contains("router-id: is missing, and this host has no IPv4 address")
        );
        return;
    }
    let mut daemon = Daemon::start(&config);
    let first = daemon.show(&["status"])["router_id"].clone();
    let kept = std::fs::read_to_string(daemon.path("state").join("state.json")).unwrap();
    assert!(kept.contains(first.as_str().unwrap()), "{kept}");
    // Whatever the host's addresses become, the id stays.
    std::fs::write(
        daemon.path("state").join("state.json"),
        kept.replace(first.as_str().unwrap(), "198.51.100.99"),
    )
    .unwrap();
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    daemon.launch();
    assert_eq!(daemon.show(&["status"])["router_id"], "198.51.100.99");
}
