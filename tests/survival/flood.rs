//! F-82: whoever can reach the port sends there as fast as a processor core can.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bfd::engine::EngineStatus;
use bfd::{EchoConfig, Micros, SessionConfig, State};
use socket2::{Domain, Socket, Type};

use super::host::{
    Cable, Host, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, brisk, packet, single_hop_port, to,
};
use super::support::Namespace;

/// Many Detection Times.
const FLOOD: Duration = Duration::from_secs(3);
/// How many datagrams are sent in any case, however busy the machine is.
const DATAGRAMS: u64 = 10_000;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket in a namespace, from which datagrams leave with this TTL.
fn sender(namespace: &Namespace, from: &str, to: SocketAddr, ttl: u32) -> std::net::UdpSocket {
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    let socket = namespace.enter(move || {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).unwrap();
        socket.bind(&from.into()).unwrap();
        socket
    });
    if to.is_ipv4() {
        socket.set_ttl_v4(ttl).unwrap();
    } else {
        socket.set_unicast_hops_v6(ttl).unwrap();
    }
    socket.connect(&to.into()).unwrap();
    OwnedFd::from(socket).into()
}

fn flood(socket: &std::net::UdpSocket, payloads: &[Vec<u8>]) {
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < FLOOD || sent < DATAGRAMS {
        assert!(start.elapsed() < PATIENCE, "{sent} datagrams are no flood");
        for payload in payloads {
            sent += u64::from(socket.send(payload).is_ok());
        }
    }
}

/// What is thrown away is thrown away for what it is. A busy machine may be late with a few others.
fn assert_rejected(engine: &EngineStatus, rejected: u64) {
    assert!(rejected > 1000, "{engine:#?}");
    assert!(engine.kernel_drops.late < rejected / 100, "{engine:#?}");
}

/// Sessions of both families at 50 ms × 3 while the left host is flooded from `from` with what `payloads` makes of a session;
/// what its engine says in the end.
fn survives(
    label: &str,
    from: &str,
    ttl: u32,
    payloads: impl Fn(bfd::SessionId) -> Vec<Vec<u8>>,
) -> Option<(EngineStatus, Vec<bfd::SessionStatus>)> {
    let cable = Cable::lay(label)?;
    cable.right.add_address("eth0", "10.99.0.66/24");
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let mut sessions = Vec::new();
    for (l, r) in [(LEFT_V4, RIGHT_V4), (LEFT_V6, RIGHT_V6)] {
        let pair = (
            left.engine.add(to(r), brisk()).unwrap(),
            right.engine.add(to(l), brisk()).unwrap(),
        );
        sessions.push(pair);
    }
    for (l, r) in &sessions {
        left.wait_settled(*l);
        right.wait_settled(*r);
    }
    let socket = sender(&cable.right, from, single_hop_port(LEFT_V4), ttl);
    flood(&socket, &payloads(sessions[0].0));
    for (l, r) in &sessions {
        left.assert_downs(*l, 0);
        right.assert_downs(*r, 0);
    }
    let status = left.engine.engine_status();
    Some((status, left.engine.status()))
}

#[test]
fn f_82_garbage_as_fast_as_a_core_can_send_it() {
    let garbage = |_| {
        let mut version_2 = packet(State::Down, 7, None);
        version_2[0] = 0x40;
        vec![Vec::new(), vec![0x20; 23], version_2, vec![0xff; 1400]]
    };
    let Some((engine, _)) = survives("f82garbage", RIGHT_V4, 255, garbage) else {
        return;
    };
    for reason in ["too-short", "version"] {
        assert!(engine.discards.get(reason) > 0, "{engine:#?}");
    }
    assert_rejected(&engine, engine.kernel_drops.rejected);
}

#[test]
fn f_75_f_82_packets_for_the_session_from_too_far_away() {
    let forged = |id| vec![packet(State::Down, 7, Some(id))];
    let Some((engine, sessions)) = survives("f82ttl", RIGHT_V4, 254, forged) else {
        return;
    };
    let refused = sessions
        .iter()
        .map(|status| status.counters.discarded.get("ttl"));
    assert!(refused.sum::<u64>() > 0, "{sessions:#?}");
    assert_rejected(&engine, engine.kernel_drops.rejected);
}

#[test]
fn f_82_newcomers_that_nobody_expects() {
    let newcomer = |_| {
        (1..=16)
            .map(|discr| packet(State::Down, discr, None))
            .collect()
    };
    let Some((engine, _)) = survives("f82down", "10.99.0.66", 255, newcomer) else {
        return;
    };
    assert!(engine.discards.get("no-session") > 0, "{engine:#?}");
}

/// Sessions with the echo function over IPv6 while port 3785 of the left host is flooded with `payload`; what its engine says in
/// the end.
fn echo_survives(label: &str, hop_limit: u32, payload: Vec<u8>) -> Option<EngineStatus> {
    let cable = Cable::lay(label)?;
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let config = SessionConfig {
        echo: Some(EchoConfig::both_ways(Micros::from_millis(50))),
        ..brisk()
    };
    let l = left.engine.add(to(RIGHT_V6), config.clone()).unwrap();
    let r = right.engine.add(to(LEFT_V6), config).unwrap();
    for (host, id) in [(&left, l), (&right, r)] {
        host.wait_until(id, "echo packets that come back", |status| {
            let echo = status.echo.as_ref().unwrap();
            echo.packets_in > 10 && echo.packets_returned > 10
        });
    }
    let port = SocketAddr::new(LEFT_V6.parse().unwrap(), 3785);
    flood(&sender(&cable.right, RIGHT_V6, port, hop_limit), &[payload]);
    left.assert_downs(l, 0);
    right.assert_downs(r, 0);
    Some(left.engine.engine_status())
}

/// GTSM for the echo function: nothing from beyond the link is looked at.
#[test]
fn f_82_echo_packets_from_too_far_away() {
    let Some(engine) = echo_survives("f82echofar", 64, vec![0; 24]) else {
        return;
    };
    assert_rejected(&engine, engine.kernel_drops.echo);
    assert_eq!(engine.discards.get("ttl"), 0, "{engine:#?}");
}

#[test]
fn f_82_echo_packets_of_a_length_that_none_has() {
    let Some(engine) = echo_survives("f82echolong", 255, vec![0; 129]) else {
        return;
    };
    assert_rejected(&engine, engine.kernel_drops.echo);
    assert_eq!(engine.discards.get("echo-unwanted"), 0, "{engine:#?}");
}

#[test]
fn f_82_echo_packets_that_nobody_has_sent() {
    let Some(engine) = echo_survives("f82echoforged", 254, vec![0; 24]) else {
        return;
    };
    assert!(engine.discards.get("echo-unknown") > 0, "{engine:#?}");
}
