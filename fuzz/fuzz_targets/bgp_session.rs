//! Anything that can happen to a BGP session, in any order: it never panics, and never holds more
//! than it should.
#![no_main]

use std::time::{Duration, Instant};

use bgp::{
    Addresses, Asn, BgpIdentifier, ConnId, Direction, Event, HoldTime, Liveness, RemoteAs,
    RouteAttributes, Session, SessionConfig, StopReason,
};
use bytes::BytesMut;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Operation {
    Start,
    Stop(u8),
    Connected(bool),
    ConnectFailed,
    /// Raw octets.
    Bytes(u8, Vec<u8>),
    /// A message with a right header.
    Message(u8, u8, Vec<u8>),
    /// The OPEN that is expected.
    Open(u8),
    Keepalive(u8),
    Written(u8, u16),
    Transmit(u8),
    Closed(u8),
    Pass(u16),
    Liveness(u8, u8),
    Routes(u8),
    HoldTime(u16),
}

fuzz_target!(|operations: Vec<Operation>| {
    let mut now = Instant::now();
    let identifier = BgpIdentifier::new([192, 0, 2, 71].into()).unwrap();
    let local_as = Asn::new(64520).unwrap();
    let config = SessionConfig {
        received_routes: true,
        ..SessionConfig::new(local_as, identifier, RemoteAs::External)
    };
    let mut session = Session::new(config, 1);
    let mut conns: Vec<ConnId> = Vec::new();
    for operation in operations {
        let conn = |which: u8| conns.get(usize::from(which)).or(conns.last()).copied();
        match operation {
            Operation::Start => session.start(now),
            Operation::Stop(reason) => session.stop(now, stop_reason(reason)),
            Operation::Connected(incoming) => {
                let direction = if incoming {
                    Direction::Incoming
                } else {
                    Direction::Outgoing
                };
                let (local, remote) = ("192.0.2.71:179", "192.0.2.1:179");
                let addresses = Addresses::new(local.parse().unwrap(), remote.parse().unwrap());
                conns.push(session.handle_connected(now, direction, addresses));
            }
            Operation::ConnectFailed => session.handle_connect_failed(now, "refused"),
            Operation::Bytes(which, octets) => {
                if let Some(conn) = conn(which) {
                    session.handle_bytes(now, conn, &octets);
                }
            }
            Operation::Message(which, kind, body) => {
                if let Some(conn) = conn(which) {
                    session.handle_bytes(now, conn, &message(kind, &body));
                }
            }
            Operation::Open(which) => {
                if let Some(conn) = conn(which) {
                    session.handle_bytes(
                        now,
                        conn,
                        &message(1, &[4, 0xFC, 9, 0, 90, 192, 0, 2, 1, 0]),
                    );
                }
            }
            Operation::Keepalive(which) => {
                if let Some(conn) = conn(which) {
                    session.handle_bytes(now, conn, &message(4, &[]));
                }
            }
            Operation::Written(which, count) => {
                if let Some(conn) = conn(which) {
                    session.handle_written(now, conn, usize::from(count));
                }
            }
            Operation::Transmit(which) => {
                if let Some(conn) = conn(which) {
                    let mut out = BytesMut::new();
                    session.poll_transmit(now, conn, &mut out);
                    assert!(out.len() < 256 * 1024);
                }
            }
            Operation::Closed(which) => {
                if let Some(conn) = conn(which) {
                    session.handle_closed(now, conn);
                }
            }
            Operation::Pass(milliseconds) => {
                now += Duration::from_millis(u64::from(milliseconds) * 10);
                session.handle_timeout(now);
                assert!(session.poll_timeout().is_none_or(|deadline| deadline > now));
            }
            Operation::Liveness(liveness, generation) => {
                let liveness = match liveness % 4 {
                    0 => Liveness::Up,
                    1 => Liveness::Down,
                    2 => Liveness::SignaledDown,
                    _ => Liveness::AdminDown,
                };
                session.handle_liveness(now, liveness, generation.into());
            }
            Operation::Routes(count) => {
                let route = |host| {
                    let prefix = std::net::Ipv4Addr::from_bits(0x0A00_0000 + u32::from(host));
                    (
                        std::net::IpAddr::from(prefix).into(),
                        RouteAttributes::default().into(),
                    )
                };
                session.set_routes(now, (0..count).map(route).collect());
            }
            Operation::HoldTime(seconds) => {
                if let Some(hold_time) = HoldTime::from_secs(seconds) {
                    let config = SessionConfig {
                        hold_time,
                        ..session.config().clone()
                    };
                    session.set_config(now, config);
                }
            }
        }
        while let Some(event) = session.poll_event() {
            if let Event::Close { conn, .. } = event {
                let mut out = BytesMut::new();
                session.poll_transmit(now, conn, &mut out);
            }
        }
    }
});

fn stop_reason(number: u8) -> StopReason {
    match number % 4 {
        0 => StopReason::AdministrativeShutdown(None),
        1 => StopReason::PeerDeconfigured,
        2 => StopReason::AdministrativeReset(Some("text".into())),
        _ => StopReason::OtherConfigurationChange,
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&[0xFF; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}
