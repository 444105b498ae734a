//! As much of BGP-4 as a sink and a bare write loop need.
#![allow(dead_code, reason = "each bench uses its part")]

use std::net::Ipv4Addr;

pub const OPEN: u8 = 1;
pub const UPDATE: u8 = 2;
pub const KEEPALIVE: u8 = 4;

const HEADER: usize = 19;

/// A message of this type.
pub fn of(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap().to_be_bytes();
    [&[0xFF; 16], &length[..], &[kind], body].concat()
}

/// An OPEN with IPv4 unicast, four-octet ASes and route refresh; the messages that follow it have 4096 octets at most.
pub fn open(asn: u16, identifier: Ipv4Addr) -> Vec<u8> {
    let [high, low] = asn.to_be_bytes();
    let capabilities = [
        1, 4, 0, 1, 0, 1, // IPv4 unicast
        2, 0, // route refresh
        65, 4, 0, 0, high, low,
    ];
    let length = u8::try_from(capabilities.len()).unwrap();
    let fixed = [4, high, low, 0, 240];
    let parameters = [length + 2, 2, length];
    let body = [&fixed[..], &identifier.octets(), &parameters, &capabilities].concat();
    of(OPEN, &body)
}

/// The first message of these octets, its type and body, and what follows it; `None` if it is not all there.
pub fn split(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header = octets.get(..HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let message = octets.get(..length)?;
    Some((header[18], &message[HEADER..], &octets[length..]))
}
