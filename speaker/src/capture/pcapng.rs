//! Pieces as a file that Wireshark reads: pcapng with raw IP packets
//! (draft-ietf-opsawg-pcapng).

use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Piece, Side};

/// The media type of the file.
pub const CONTENT_TYPE: &str = "application/x-pcapng";

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// IPv4 and IPv6 without anything below.
const LINKTYPE_RAW: u16 = 101;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
const PSH_ACK: u8 = 0x18;
/// A packet is no longer than its length field can say.
const MAX_PAYLOAD: usize = 65_535 - 60;

/// A section with these pieces. `now` is one time by both clocks.
#[must_use]
pub fn render(peer: &str, now: (Instant, SystemTime), pieces: &[Piece]) -> Vec<u8> {
    let mut file = Vec::new();
    section_header(&mut file, peer);
    interface(&mut file, peer);
    for piece in pieces {
        packet(&mut file, now, piece);
    }
    file
}

fn section_header(file: &mut Vec<u8>, peer: &str) {
    let mut body = Vec::new();
    body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // The length of the section is not said.
    body.extend((-1_i64).to_le_bytes());
    let application = concat!("herald ", env!("CARGO_PKG_VERSION"));
    option(&mut body, SHB_USERAPPL, application.as_bytes());
    let comment = format!(
        "the last BGP messages of peer {peer}; the headers of IP and TCP are made up, addresses, ports and times are real"
    );
    option(&mut body, OPT_COMMENT, comment.as_bytes());
    end_of_options(&mut body);
    block(file, SECTION_HEADER, &body);
}

fn interface(file: &mut Vec<u8>, peer: &str) {
    let mut body = Vec::new();
    body.extend(LINKTYPE_RAW.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // Whole packets.
    body.extend(0_u32.to_le_bytes());
    option(&mut body, IF_NAME, format!("herald {peer}").as_bytes());
    // Nanoseconds.
    option(&mut body, IF_TSRESOL, &[9]);
    end_of_options(&mut body);
    block(file, INTERFACE_DESCRIPTION, &body);
}

fn packet(file: &mut Vec<u8>, (instant, time): (Instant, SystemTime), piece: &Piece) {
    let at = match instant.checked_duration_since(piece.at) {
        Some(ago) => time.checked_sub(ago),
        None => time.checked_add(piece.at.duration_since(instant)),
    };
    let at = at.unwrap_or(UNIX_EPOCH);
    let nanos = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    let payload = piece.octets.get(..MAX_PAYLOAD).unwrap_or(&piece.octets);
    let packet = ip_packet(piece, payload);
    let original = packet.len() + piece.length - payload.len();
    let mut body = Vec::new();
    body.extend(0_u32.to_le_bytes());
    body.extend(((nanos >> 32) as u32).to_le_bytes());
    body.extend((nanos as u32).to_le_bytes());
    body.extend(length(packet.len()).to_le_bytes());
    body.extend(length(original).to_le_bytes());
    padded(&mut body, &packet);
    for comment in &piece.comments {
        option(&mut body, OPT_COMMENT, comment.as_bytes());
    }
    end_of_options(&mut body);
    block(file, ENHANCED_PACKET, &body);
}

fn ip_packet(piece: &Piece, payload: &[u8]) -> Vec<u8> {
    let [ours, theirs] = piece.ends;
    let (from, to) = match piece.side {
        Side::Sent => (ours, theirs),
        Side::Received => (theirs, ours),
    };
    let mut segment = Vec::with_capacity(TCP_HEADER + payload.len());
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    // Sequence numbers begin with 1, after a SYN that is not shown.
    segment.extend(piece.offset.wrapping_add(1).to_be_bytes());
    segment.extend(piece.other_offset.wrapping_add(1).to_be_bytes());
    segment.extend([0x50, PSH_ACK]);
    segment.extend(u16::MAX.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(payload);
    // Of what was cut off too, so that whoever reads finds the next one where it is.
    let whole = segment.len() + piece.length - payload.len();
    let (mut packet, pseudo) = ip_header(from, to, whole);
    let sum = checksum(&[&pseudo, &segment]);
    if let Some(field) = segment.get_mut(16..18) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    packet.extend(segment);
    packet
}

/// The header of IP, and what TCP's checksum counts of it (RFC 9293 §3.1).
fn ip_header(from: SocketAddr, to: SocketAddr, whole: usize) -> (Vec<u8>, Vec<u8>) {
    let mut header = Vec::new();
    let mut pseudo = Vec::new();
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x45, 0xc0]);
            header.extend(short(whole + 20).to_be_bytes());
            // Don't fragment.
            header.extend([0, 0, 0x40, 0, 255, TCP, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&[&header]);
            if let Some(field) = header.get_mut(10..12) {
                field.copy_from_slice(&sum.to_be_bytes());
            }
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
            pseudo.extend([0, TCP]);
            pseudo.extend(short(whole).to_be_bytes());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            header.extend([0x6c, 0, 0, 0]);
            header.extend(short(whole).to_be_bytes());
            header.extend([TCP, 255]);
            header.extend(octets(from));
            header.extend(octets(to));
            pseudo.extend(octets(from));
            pseudo.extend(octets(to));
            pseudo.extend(length(whole).to_be_bytes());
            pseudo.extend([0, 0, 0, TCP]);
        }
    }
    (header, pseudo)
}

/// RFC 1071, over parts of which each but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let word = match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        };
        sum += u32::from(word);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let total = length(body.len() + 12);
    file.extend(kind.to_le_bytes());
    file.extend(total.to_le_bytes());
    file.extend(body);
    file.extend(total.to_le_bytes());
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend(short(value.len()).to_le_bytes());
    padded(body, value);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn padded(body: &mut Vec<u8>, octets: &[u8]) {
    body.extend(octets);
    body.extend(std::iter::repeat_n(
        0,
        octets.len().next_multiple_of(4) - octets.len(),
    ));
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn length(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
