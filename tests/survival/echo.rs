//! The echo function between two of ours: IPv4 by packet sockets and both kernels, IPv6 by the sockets at port 3785.

use std::thread;
use std::time::Duration;

use bfd::{Diagnostic, EchoConfig, Micros, SessionConfig, SessionId, State};

use super::host::{Cable, Host, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, brisk, over, to};

fn echoing() -> SessionConfig {
    SessionConfig {
        echo: Some(EchoConfig::both_ways(Micros::from_millis(50))),
        ..brisk()
    }
}

/// Two hosts that forward, as the echo function over IPv4 needs it. Strict reverse path filtering is not in its way.
fn cable(label: &str) -> Option<Cable> {
    let cable = Cable::lay(label)?;
    for end in [&cable.left, &cable.right] {
        end.sysctl("net/ipv4/ip_forward", "1");
        end.sysctl("net/ipv4/conf/all/rp_filter", "1");
    }
    Some(cable)
}

/// Both hosts, and their sessions: over IPv4, over IPv6, and between link-local addresses.
fn start(cable: &Cable) -> (Host, Host, [(SessionId, SessionId); 3]) {
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let keys = [
        (to(RIGHT_V4), to(LEFT_V4)),
        (to(RIGHT_V6), to(LEFT_V6)),
        (over("eth0", "fe80::2"), over("eth0", "fe80::1")),
    ];
    let pairs = keys.map(|(l, r)| {
        let l = left.engine.add(l, echoing()).unwrap();
        let r = right.engine.add(r, echoing()).unwrap();
        (l, r)
    });
    (left, right, pairs)
}

#[track_caller]
fn wait_for_echo(host: &Host, id: SessionId) {
    let before = host.status(id).echo.map_or(0, |echo| echo.packets_in);
    host.wait_until(id, "echo packets that come back", |status| {
        let echo = status.echo.as_ref().unwrap();
        echo.packets_in > before + 20
    });
}

#[test]
fn echo_packets_come_back_both_ways() {
    let Some(cable) = cable("echo") else {
        return;
    };
    let (left, right, pairs) = start(&cable);
    for (l, r) in pairs {
        wait_for_echo(&left, l);
        wait_for_echo(&right, r);
    }
    for (l, r) in pairs {
        for (host, id) in [(&left, l), (&right, r)] {
            host.assert_downs(id, 0);
            let status = host.status(id);
            assert_eq!(status.counters.transmit_errors, 0, "{status:#?}");
            let echo = status.echo.unwrap();
            assert_eq!(echo.packets_lost, 0, "{echo:#?}");
            assert!(echo.last_round_trip.is_some(), "{echo:#?}");
            // Over IPv4 the kernel does it.
            let is_ipv6 = status.key.remote.is_ipv6();
            assert_eq!(echo.packets_returned > 20, is_ipv6, "{echo:#?}");
        }
    }
}

/// §6.8.5: control packets pass, the left one's echo packets do not.
#[test]
fn a_path_without_echo_is_down_and_comes_back() {
    let Some(cable) = cable("echohole") else {
        return;
    };
    let (left, right, pairs) = start(&cable);
    for (l, _) in pairs {
        wait_for_echo(&left, l);
    }
    cable.right.nft(
        "table inet echo_hole { chain before {
            type filter hook prerouting priority -300;
            ip ttl 255 udp dport 3785 drop;
            ip6 hoplimit 255 udp dport 3785 drop;
        }; }",
    );
    for (l, r) in pairs {
        let failed = Diagnostic::ECHO_FUNCTION_FAILED;
        assert_eq!(left.wait_for(l, State::Down).local_diag, failed);
        let signaled = Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN;
        assert_eq!(right.wait_for(r, State::Down).local_diag, signaled);
    }
    cable.right.nft("delete table inet echo_hole");
    for (l, r) in pairs {
        wait_for_echo(&left, l);
        wait_for_echo(&right, r);
    }
}

/// The packet socket and the neighbor's link-layer address are others than before.
#[test]
fn echo_outlives_its_interface() {
    let Some(cable) = cable("echoanew") else {
        return;
    };
    let (left, right, pairs) = start(&cable);
    for (l, r) in pairs {
        wait_for_echo(&left, l);
        wait_for_echo(&right, r);
    }
    cable.left.ip("link del eth0");
    for (l, r) in pairs {
        left.wait_for(l, State::Down);
        right.wait_for(r, State::Down);
    }
    // Takes the place of the former index.
    for end in [&cable.left, &cable.right] {
        end.ip("link add other0 type bridge");
    }
    thread::sleep(Duration::from_secs(1));
    cable.plug("eth0");
    for (l, r) in pairs {
        wait_for_echo(&left, l);
        wait_for_echo(&right, r);
        left.assert_downs(l, 1);
        right.assert_downs(r, 1);
    }
}
