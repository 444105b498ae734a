//! Our IPv4 echo packets at one interface (RFC 5881 §4): addressed to ourselves, handed to the neighbor, forwarded back by it.
//!
//! They come back with our own address as their source, which the kernel drops before any UDP socket sees them. So there is a
//! packet socket, and its filter is attached before it is bound: it never sees anything else, and costs other traffic nothing
//! but the filter.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::super::sockets::PRIORITY;
use super::super::sys::BATCH_SIZE;
use super::inlet::Inlet;
use super::sys;
use crate::echo_packet::{ECHO_PORT, RETURNED_TTL};
use crate::endpoint::EchoMeta;
use crate::key::TRANSMIT_TTL;

const UDP: u8 = 17;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// Traffic class CS6, network control.
const CLASS_SELECTOR_6: u8 = 0xc0;
/// Longer than any echo packet of ours.
const MAX_PACKET: usize = 256;

/// The packet socket of an interface.
#[derive(Debug)]
pub(super) struct Link {
    inlet: Inlet,
    interface_index: u32,
}

impl Link {
    pub(super) fn open(interface_index: u32) -> io::Result<Self> {
        let socket = packet_socket()?;
        // Before it is bound, when no packet can have come in yet.
        socket.attach_filter(&filter())?;
        socket.bind(&sys::packet_address(interface_index, &[])?)?;
        Ok(Self {
            inlet: Inlet::new(socket),
            interface_index,
        })
    }

    /// Whether such a socket may be opened at all.
    pub(super) fn probe() -> io::Result<()> {
        packet_socket().map(|_| ())
    }

    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    pub(super) fn inlet_mut(&mut self) -> &mut Inlet {
        &mut self.inlet
    }

    /// Sends an echo packet from `local` to itself, by way of the neighbor with this link-layer address.
    pub(super) fn send(
        &self,
        payload: &[u8],
        local: Ipv4Addr,
        link_address: &[u8],
    ) -> io::Result<()> {
        let neighbor = sys::packet_address(self.interface_index, link_address)?;
        let socket = self.inlet.socket();
        SockRef::from(&socket).send_to(&packet(local, payload), &neighbor)?;
        Ok(())
    }

    /// Takes some of the packets that have come back, and says whether there may be more.
    pub(super) fn receive(&mut self, take: &mut impl FnMut(EchoMeta, &[u8])) -> bool {
        let mut buffer = [0; MAX_PACKET];
        for received in 0..BATCH_SIZE {
            let flags = RecvFlags::DONTWAIT;
            let Ok((length, _)) = rustix::net::recv(self.inlet.socket(), &mut buffer[..], flags)
            else {
                // Nothing there; or an error that sending meets too.
                self.inlet.count_read(received);
                return false;
            };
            let packet = buffer.get(..length).unwrap_or_default();
            if let Some((meta, payload)) = read_packet(packet, self.interface_index) {
                take(meta, payload);
            }
        }
        self.inlet.count_read(BATCH_SIZE);
        true
    }
}

/// No protocol: it receives nothing until it is bound.
fn packet_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    socket.set_priority(PRIORITY)?;
    Ok(socket)
}

/// IPv4 packets, not fragmented, UDP to the echo port, from a host to itself, forwarded once.
fn filter() -> [SockFilter; 15] {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_OCTET: u16 = 0x30;
    const LOAD_HALF_INDEXED: u16 = 0x48;
    const HEADER_LENGTH_TO_INDEX: u16 = 0xb1;
    const TO_INDEX: u16 = 0x07;
    const IF_EQUAL: u16 = 0x15;
    const IF_EQUAL_INDEX: u16 = 0x1d;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// The index of the instruction that drops the packet.
    const DROP: u8 = 14;
    let plain = |code, operand| SockFilter::new(code, 0, 0, operand);
    let drop_unless = |at: u8, code, value| SockFilter::new(code, 0, DROP - at - 1, value);
    let drop_if = |at: u8, code, value| SockFilter::new(code, DROP - at - 1, 0, value);
    [
        plain(LOAD_OCTET, 9),
        drop_unless(1, IF_EQUAL, UDP.into()),
        plain(LOAD_OCTET, 8),
        drop_unless(3, IF_EQUAL, RETURNED_TTL.into()),
        plain(LOAD_HALF, 6),
        drop_if(5, IF_ANY_BIT, 0x3fff),
        plain(LOAD_WORD, 12),
        plain(TO_INDEX, 0),
        plain(LOAD_WORD, 16),
        drop_unless(9, IF_EQUAL_INDEX, 0),
        plain(HEADER_LENGTH_TO_INDEX, 0),
        plain(LOAD_HALF_INDEXED, 2),
        drop_unless(12, IF_EQUAL, ECHO_PORT.into()),
        plain(RETURN, MAX_PACKET as u32),
        plain(RETURN, 0),
    ]
}

fn packet(address: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp_length = UDP_HEADER + payload.len();
    let length = IP_HEADER + udp_length;
    let mut ip = Vec::with_capacity(length);
    ip.extend([0x45, CLASS_SELECTOR_6]);
    ip.extend((length as u16).to_be_bytes());
    // Identification, and no fragmentation.
    ip.extend([0, 0, 0x40, 0]);
    ip.extend([TRANSMIT_TTL, UDP, 0, 0]);
    ip.extend(address.octets());
    ip.extend(address.octets());
    let checksum = checksum([ip.as_slice()]);
    if let Some(field) = ip.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let mut udp = Vec::with_capacity(udp_length);
    udp.extend(ECHO_PORT.to_be_bytes());
    udp.extend(ECHO_PORT.to_be_bytes());
    udp.extend((udp_length as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let mut pseudo_header = [address.octets(), address.octets()].concat();
    pseudo_header.extend([0, UDP]);
    pseudo_header.extend((udp_length as u16).to_be_bytes());
    // RFC 768: zero would mean that there is none.
    let checksum = match self::checksum([pseudo_header.as_slice(), &udp]) {
        0 => u16::MAX,
        checksum => checksum,
    };
    if let Some(field) = udp.get_mut(6..8) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    ip.extend(udp);
    ip
}

/// RFC 1071, over pieces of even length save the last.
fn checksum<const N: usize>(pieces: [&[u8]; N]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let sum: u32 = words
        .map(|word| {
            let high = word.first().copied().unwrap_or(0);
            let low = word.get(1).copied().unwrap_or(0);
            u32::from(u16::from_be_bytes([high, low]))
        })
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !(folded as u16)
}

/// Source, TTL and UDP payload; `None` if this is no UDP packet.
fn read_packet(packet: &[u8], interface_index: u32) -> Option<(EchoMeta, &[u8])> {
    let header = packet.first_chunk::<IP_HEADER>()?;
    let [first, _, _, _, _, _, _, _, ttl, protocol, ..] = *header;
    let header_length = usize::from(first & 0x0f) * 4;
    let source: [u8; 4] = header.get(12..16)?.try_into().ok()?;
    let udp = packet.get(header_length..)?;
    let udp_length = u16::from_be_bytes(udp.get(4..6)?.try_into().ok()?);
    if first >> 4 != 4 || header_length < IP_HEADER || protocol != UDP {
        return None;
    }
    let meta = EchoMeta {
        source: SocketAddr::new(Ipv4Addr::from(source).into(), ECHO_PORT),
        // From ourselves to ourselves.
        destination: Some(Ipv4Addr::from(source).into()),
        interface_index: Some(interface_index),
        ttl: Some(ttl),
    };
    Some((meta, udp.get(UDP_HEADER..usize::from(udp_length))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let packet = packet(address, b"an echo packet");
        let (meta, payload) = read_packet(&packet, 7).unwrap();
        assert_eq!(payload, b"an echo packet");
        assert_eq!(meta.source, "192.0.2.1:3785".parse().unwrap());
        assert_eq!((meta.interface_index, meta.ttl), (Some(7), Some(255)));
        assert_eq!(checksum([&packet[..20]]), 0, "it sums up");
        for length in 0..packet.len() {
            assert_eq!(read_packet(&packet[..length], 7), None);
        }
    }

    #[test]
    fn the_udp_checksum_covers_the_addresses() {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let packet = packet(address, b"odd");
        let mut covered = [address.octets(), address.octets()].concat();
        covered.extend([0, UDP, 0, 11]);
        assert_eq!(checksum([covered.as_slice(), &packet[20..]]), 0);
    }
}
