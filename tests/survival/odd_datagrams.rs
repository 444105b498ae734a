//! F-88 … F-92: datagrams that ordinary sockets do not send, and routers do.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use bfd::{SINGLE_HOP_PORT, SessionId, State};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::host::{
    Cable, Host, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, packet, patient, single_hop_port, to,
};
use super::support::Namespace;

const UDP_HEADER: usize = 8;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_DESTINATION_OPTIONS: i32 = 60;

/// A UDP datagram. `length` is what its header says.
fn udp(source_port: u16, length: usize, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source_port.to_be_bytes());
    datagram.extend(SINGLE_HOP_PORT.to_be_bytes());
    datagram.extend(u16::try_from(length).unwrap().to_be_bytes());
    // No checksum.
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A packet of IPv4 with this part of a datagram, `offset` octets from its beginning. The kernel adds length and checksum.
fn ipv4(offset: usize, more_fragments: bool, part: &[u8]) -> Vec<u8> {
    let fragment = u16::try_from(offset / 8).unwrap() | if more_fragments { 0x2000 } else { 0 };
    let mut packet = vec![0x45, 0xc0, 0, 0, 0x12, 0x34];
    packet.extend(fragment.to_be_bytes());
    packet.extend([255, PROTOCOL_UDP, 0, 0]);
    packet.extend(RIGHT_V4.parse::<Ipv4Addr>().unwrap().octets());
    packet.extend(LEFT_V4.parse::<Ipv4Addr>().unwrap().octets());
    packet.extend(part);
    packet
}

fn raw_ipv4(namespace: &Namespace) -> Socket {
    namespace.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
        socket.set_header_included_v4(true).unwrap();
        socket
    })
}

/// The left host has a session with an address at the right, where no BFD runs: the test speaks for it.
struct Stage {
    cable: Cable,
    host: Host,
    session: SessionId,
}

impl Stage {
    fn set(label: &str, remote: &str) -> Option<Self> {
        let cable = Cable::lay(label)?;
        let (host, session) = Host::with(&cable.left, to(remote), patient());
        Some(Self {
            cable,
            host,
            session,
        })
    }

    #[track_caller]
    fn assert_believed(&self, what: &str) {
        let is_init = |status: &bfd::SessionStatus| status.session_state == State::Init;
        self.host.wait_until(self.session, what, is_init);
    }

    #[track_caller]
    fn assert_ignored(&self, what: &str) {
        thread::sleep(Duration::from_millis(300));
        let status = self.host.status(self.session);
        assert_eq!(status.session_state, State::Down, "{what}");
        assert_eq!(status.counters.packets_in, 0, "{what}");
    }

    fn udp_socket(&self, address: &str, port: u16) -> UdpSocket {
        let local = SocketAddr::new(address.parse().unwrap(), port);
        let socket = self
            .cable
            .right
            .enter(move || UdpSocket::bind(local).unwrap());
        let socket = Socket::from(socket);
        if local.is_ipv4() {
            socket.set_ttl_v4(255).unwrap();
        } else {
            socket.set_unicast_hops_v6(255).unwrap();
        }
        OwnedFd::from(socket).into()
    }
}

/// Octets of IPv6 from the right host to the left one, behind the fixed header.
fn send_ipv6(stage: &Stage, next_header: i32, octets: &[u8]) {
    let socket = stage.cable.right.enter(move || {
        let protocol = Some(Protocol::from(next_header));
        Socket::new(Domain::IPV6, Type::RAW, protocol).unwrap()
    });
    socket.set_unicast_hops_v6(255).unwrap();
    let local = SocketAddr::new(RIGHT_V6.parse().unwrap(), 0);
    socket.bind(&local.into()).unwrap();
    let remote = SocketAddr::new(LEFT_V6.parse::<Ipv6Addr>().unwrap().into(), 0);
    socket.send_to(octets, &SockAddr::from(remote)).unwrap();
}

#[test]
fn f_88_a_udp_checksum_of_zero_over_ipv6() {
    let Some(stage) = Stage::set("f88", RIGHT_V6) else {
        return;
    };
    let payload = packet(State::Down, 7, None);
    let datagram = udp(49152, UDP_HEADER + payload.len(), &payload);
    send_ipv6(&stage, PROTOCOL_UDP.into(), &datagram);
    stage.assert_believed("Init by a packet without a checksum");
}

#[test]
fn an_ipv6_extension_header_hides_neither_form_nor_hop_limit() {
    let Some(stage) = Stage::set("exthdr", RIGHT_V6) else {
        return;
    };
    let payload = packet(State::Down, 7, None);
    // UDP follows; 8 octets in all, of which 6 are padding (RFC 8200 §4.2).
    let mut octets = vec![PROTOCOL_UDP, 0, 1, 4, 0, 0, 0, 0];
    octets.extend(udp(49152, UDP_HEADER + payload.len(), &payload));
    send_ipv6(&stage, PROTOCOL_DESTINATION_OPTIONS, &octets);
    stage.assert_believed("Init by a packet with destination options");
    assert_eq!(stage.host.engine.engine_status().discards.total(), 0);
}

#[test]
fn f_89_a_udp_length_that_lies() {
    let Some(stage) = Stage::set("f89", RIGHT_V4) else {
        return;
    };
    let socket = raw_ipv4(&stage.cable.right);
    let left = SockAddr::from(single_hop_port(LEFT_V4));
    let payload = packet(State::Down, 7, None);
    let honest = UDP_HEADER + payload.len();
    for (what, length) in [
        ("more than there is", honest + 1),
        ("less than its own header", UDP_HEADER - 1),
        ("less than the packet's Length", honest - 1),
    ] {
        let lie = ipv4(0, false, &udp(49152, length, &payload));
        socket.send_to(&lie, &left).unwrap();
        stage.assert_ignored(what);
    }
    // The kernel keeps the first two to itself; the third has come in, and is counted.
    let discards = stage.host.engine.discards();
    assert_eq!(discards.get("too-short"), 1, "{discards:?}");
    assert_eq!(discards.total(), 1, "{discards:?}");
    let padded = [payload, vec![0; 9]].concat();
    let short = ipv4(0, false, &udp(49152, honest, &padded));
    socket.send_to(&short, &left).unwrap();
    stage.assert_believed("Init by a datagram with octets behind its UDP length");
}

#[test]
fn f_90_a_control_packet_in_fragments() {
    let Some(stage) = Stage::set("f90", RIGHT_V4) else {
        return;
    };
    let socket = raw_ipv4(&stage.cable.right);
    let left = SockAddr::from(single_hop_port(LEFT_V4));
    let payload = packet(State::Down, 7, None);
    let datagram = udp(49152, UDP_HEADER + payload.len(), &payload);
    let (first, second) = datagram.split_at(16);
    socket.send_to(&ipv4(0, true, first), &left).unwrap();
    stage.assert_ignored("half a packet");
    socket.send_to(&ipv4(16, false, second), &left).unwrap();
    stage.assert_believed("Init by both halves");
}

#[test]
fn f_91_f_92_a_low_source_port_and_another_one_later() {
    for (label, local, remote) in [("f91v4", LEFT_V4, RIGHT_V4), ("f91v6", LEFT_V6, RIGHT_V6)] {
        let Some(stage) = Stage::set(label, remote) else {
            return;
        };
        let left = single_hop_port(local);
        let first = stage.udp_socket(remote, 1024);
        first.send_to(&packet(State::Down, 7, None), left).unwrap();
        stage.assert_believed("Init by a packet from port 1024");
        let answer = packet(State::Init, 7, Some(stage.session));
        stage
            .udp_socket(remote, 2000)
            .send_to(&answer, left)
            .unwrap();
        stage.host.wait_for(stage.session, State::Up);
        let before = stage.host.status(stage.session).counters.packets_in;
        let hello = packet(State::Up, 7, Some(stage.session));
        stage
            .udp_socket(remote, 60_000)
            .send_to(&hello, left)
            .unwrap();
        stage
            .host
            .wait_until(stage.session, "a packet from a third port", |status| {
                status.counters.packets_in > before
            });
        stage.host.assert_downs(stage.session, 0);
    }
}
