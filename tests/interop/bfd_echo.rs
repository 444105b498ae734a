//! The echo function of BFD (RFC 5880 §6.4, RFC 5881 §4) with FRR at the other end.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::pair::{
    BOTH, COMES_UP, HOST_V4, HOST_V6, Pair, ROUTER_V4, ROUTER_V6, peer, wait_established,
};
use super::support::daemon::Herald;
use super::support::frr::Frr;
use super::support::{ensure, wait_until};

const PROFILE: &str = "[[bfd-profile]]
name = \"echo\"
echo-mode = true
echo-interval = \"50ms\"
";

/// Each sends echo packets, which the other returns: IPv4 by its kernel, IPv6 by its socket.
#[test]
fn echo_both_ways_with_frr() {
    let Some(pair) = Pair::build("echo_both_ways_with_frr") else {
        return;
    };
    pair.host.sysctl("net/ipv4/ip_forward", "1");
    let frr = start_frr(&pair, &["echo-mode"]);
    let herald = pair.herald(&peers(PROFILE));
    for (router, host) in BOTH {
        wait_for_echo(&herald, router);
        wait_until(&format!("FRR's echo to {host}"), COMES_UP, || {
            let counters = frr_counters(&frr, host);
            ensure(counters["echo-packet-input"].as_u64() > Some(20), || {
                format!("{counters:#}")
            })
        });
        wait_established(&herald, &frr, router, host);
    }
    let before = BOTH.map(|(router, _)| bfd(&herald, router)["down_count"].clone());
    thread::sleep(Duration::from_secs(3));
    for ((router, host), before) in BOTH.into_iter().zip(before) {
        let session = bfd(&herald, router);
        assert_eq!(session["down_count"], before, "{session:#}");
        let echo = &session["echo"];
        assert_eq!(echo["packets_lost"], 0, "{echo:#}");
        let round_trip = echo["round_trip_ms"].as_f64();
        assert!(round_trip.is_some_and(|ms| ms < 50.0), "{echo:#}");
        assert_eq!(frr.bfd_peer(address(host)).status(), "up");
        let returned = echo["packets_returned"].as_u64().unwrap();
        // Over IPv4 the kernel does it.
        assert_eq!(returned > 20, router != ROUTER_V4, "{echo:#}");
    }
}

/// Control packets pass, echo packets do not.
#[test]
fn a_path_that_returns_no_echo_goes_down() {
    let Some(pair) = Pair::build("a_path_that_returns_no_echo_goes_down") else {
        return;
    };
    pair.host.sysctl("net/ipv4/ip_forward", "1");
    let frr = start_frr(&pair, &["echo-mode"]);
    let herald = pair.herald(&peers(PROFILE));
    for (router, host) in BOTH {
        wait_for_echo(&herald, router);
        wait_established(&herald, &frr, router, host);
    }
    // Ours alone: those of FRR, which come back with one hop less, pass. Or else it might be the first to notice.
    pair.router.nft(
        "table inet echo_test { chain before {
            type filter hook prerouting priority -300;
            ip ttl 255 udp dport 3785 drop;
            ip6 hoplimit 255 udp dport 3785 drop;
        }; }",
    );
    for (router, _) in BOTH {
        wait_for_echo_failure(&herald, router);
    }
    pair.router.nft("delete table inet echo_test");
    for (router, host) in BOTH {
        wait_for_echo(&herald, router);
        wait_established(&herald, &frr, router, host);
    }
}

/// FRR says 50 ms all the same, and listens at port 3785 only while some session of its own has `echo-mode`.
#[test]
fn frr_without_echo_mode_returns_ipv4_alone() {
    let Some(pair) = Pair::build("frr_without_echo_mode_returns_ipv4_alone") else {
        return;
    };
    let frr = start_frr(&pair, &["no echo-mode"]);
    let herald = pair.herald(&peers(PROFILE));
    wait_for_echo(&herald, ROUTER_V4);
    wait_for_echo_failure(&herald, ROUTER_V6);
    frr.configure(&["bfd", "profile echo", "echo-mode"]);
    wait_for_echo(&herald, ROUTER_V6);
    wait_established(&herald, &frr, ROUTER_V6, HOST_V6);
}

/// What a MetalLB user writes: everything in it is accepted, and runs.
#[test]
fn the_profile_with_everything_works_as_written() {
    let Some(pair) = Pair::build("the_profile_with_everything_works_as_written") else {
        return;
    };
    pair.host.sysctl("net/ipv4/ip_forward", "1");
    let frr = start_frr(&pair, &["echo-mode"]);
    let herald = pair.herald(&peers(
        "[[bfd-profile]]
name = \"echo\"
detect-multiplier = 37
transmit-interval = \"35ms\"
receive-interval = \"35ms\"
echo-mode = true
passive-mode = true
minimum-ttl = 10
",
    ));
    for (router, host) in BOTH {
        wait_for_echo(&herald, router);
        wait_established(&herald, &frr, router, host);
        wait_until("FRR knows our timers", COMES_UP, || {
            let seen = frr.bfd_peer(address(host));
            seen.ensure_up()?;
            let said = ["remote-transmit-interval", "remote-receive-interval"];
            let said = said.map(|key| seen.number(key));
            ensure(said == [35, 35], || format!("{:#}", seen.0))
        });
        let seen = frr.bfd_peer(address(host));
        assert_eq!(seen.number("remote-detect-multiplier"), 37);
        assert_eq!(seen.number("remote-echo-receive-interval"), 50);
    }
}

/// A kernel that does not forward would not return the neighbor's echo packets: it is asked for none, and the reason is told.
#[test]
fn without_forwarding_no_echo_is_asked_for() {
    let Some(pair) = Pair::build("without_forwarding_no_echo_is_asked_for") else {
        return;
    };
    pair.host.sysctl("net/ipv4/ip_forward", "0");
    let frr = start_frr(&pair, &["echo-mode"]);
    let herald = pair.herald(&peers(PROFILE));
    wait_for_echo(&herald, ROUTER_V4);
    let echo = &bfd(&herald, ROUTER_V4)["echo"];
    let obstacle = echo["receive_obstacle"].as_str().unwrap();
    assert!(obstacle.contains("net.ipv4.ip_forward"), "{obstacle}");
    wait_for_lines(&herald, "BFD without echo: net.ipv4.ip_forward", 1);
    thread::sleep(Duration::from_secs(2));
    let seen = frr.bfd_peer(address(HOST_V4));
    assert_eq!(seen.status(), "up", "{:#}", seen.0);
    assert_eq!(seen.number("remote-echo-receive-interval"), 0);

    pair.host.sysctl("net/ipv4/ip_forward", "1");
    wait_until("FRR may send echo packets", COMES_UP, || {
        let counters = frr_counters(&frr, HOST_V4);
        ensure(counters["echo-packet-input"].as_u64() > Some(20), || {
            format!("{counters:#}")
        })
    });
    wait_for_lines(&herald, "BFD echo is possible; it was not", 1);

    pair.host.sysctl("net/ipv4/ip_forward", "0");
    wait_for_lines(&herald, "BFD without echo: net.ipv4.ip_forward", 2);
    wait_until("FRR may send none", COMES_UP, || {
        let seen = frr.bfd_peer(address(HOST_V4));
        seen.ensure_up()?;
        let allowed = seen.number("remote-echo-receive-interval");
        ensure(allowed == 0, || format!("{:#}", seen.0))
    });
    wait_for_lines(&herald, "BFD echo is possible; it was not", 1);
}

/// So many lines of the log say this, and no more.
#[track_caller]
fn wait_for_lines(herald: &Herald, text: &str, wanted: usize) {
    wait_until(&format!("{wanted} times {text:?}"), COMES_UP, || {
        let log = herald.log();
        let found = log.iter().filter(|line| line.text.contains(text)).count();
        assert!(found <= wanted, "{log:#?}");
        ensure(found == wanted, || format!("{log:#?}"))
    });
}

fn peers(profile: &str) -> String {
    let peers = BOTH.map(|(router, _)| peer(router, router, "bfd-profile = \"echo\""));
    format!("{profile}{}", peers.concat())
}

/// FRR that returns echo packets, with these lines in its profile.
fn start_frr(pair: &Pair, profile: &[&str]) -> Frr {
    pair.router.become_router();
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    let mut lines = vec!["bfd", "profile echo"];
    lines.extend(profile);
    lines.extend(["echo transmit-interval 50", "echo receive-interval 50"]);
    frr.configure(&lines);
    let bfd = [HOST_V4, HOST_V6].map(|host| format!("neighbor {host} bfd profile echo"));
    frr.configure(&["router bgp 64521", &bfd[0], &bfd[1]]);
    frr
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the daemon tells of the BFD session with a peer.
#[track_caller]
fn bfd(herald: &Herald, peer: &str) -> Value {
    let sessions = herald.show("bfd");
    let mut sessions = sessions.as_array().unwrap().iter();
    let found = sessions.find(|session| session["peer"] == peer);
    found
        .map(|found| found["session"].clone())
        .unwrap_or_default()
}

#[track_caller]
fn wait_for_echo(herald: &Herald, router: &str) {
    let before = bfd(herald, router)["echo"]["packets_in"].as_u64();
    let enough = before.unwrap_or(0) + 20;
    wait_until(&format!("echo from {router}"), COMES_UP, || {
        let session = bfd(herald, router);
        ensure(
            session["echo"]["packets_in"].as_u64() > Some(enough),
            || format!("{session:#}"),
        )
    });
}

#[track_caller]
fn wait_for_echo_failure(herald: &Herald, router: &str) {
    wait_until(&format!("{router} is down"), COMES_UP, || {
        let log = herald.log();
        let mut lines = log.iter().map(|line| line.text.as_str());
        let down = lines.any(|line| {
            line.contains("BFD session DOWN")
                && line.contains("echo function failed")
                && line.contains(router)
        });
        ensure(down, || format!("{log:#?}"))
    });
}

fn frr_counters(frr: &Frr, peer: &str) -> Value {
    let counters = frr.vtysh_json("show bfd peers counters json");
    let mut counters = counters.as_array().into_iter().flatten();
    let found = counters.find(|counters| counters["peer"] == peer);
    found.cloned().unwrap_or_default()
}
