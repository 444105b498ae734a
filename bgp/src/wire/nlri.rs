//! Prefixes as they stand in UPDATE: a length in bits, and as many octets as it takes (RFC 4271
//! §4.3).
//!
//! Announcements of services are runs of host routes, each of the same width. They are read and
//! written a run at a time; anything else goes prefix by prefix.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::parse::{be_u32, octet, octets};

/// Prefixes of one unicast family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefixes {
    /// IPv4.
    V4(Vec<Ipv4Net>),
    /// IPv6.
    V6(Vec<Ipv6Net>),
}

impl Prefixes {
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(prefixes) => prefixes.len(),
            Self::V6(prefixes) => prefixes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> + '_ {
        let (v4, v6) = match self {
            Self::V4(prefixes) => (prefixes.as_slice(), [].as_slice()),
            Self::V6(prefixes) => ([].as_slice(), prefixes.as_slice()),
        };
        v4.iter()
            .copied()
            .map(IpNet::V4)
            .chain(v6.iter().copied().map(IpNet::V6))
    }

    pub(super) fn encoded_length(&self) -> usize {
        match self {
            Self::V4(prefixes) => total_length(prefixes),
            Self::V6(prefixes) => total_length(prefixes),
        }
    }

    pub(super) fn encode(&self, path_ids: &[u32], out: &mut BytesMut) {
        match self {
            Self::V4(prefixes) => encode_paths(prefixes, path_ids, out),
            Self::V6(prefixes) => encode_paths(prefixes, path_ids, out),
        }
    }
}

/// Path identifiers (RFC 7911 §3) of prefixes that stand beside them: one for each, in their order,
/// or none at all where several paths were not agreed upon.
pub type PathIds = Box<[u32]>;

/// Each of `prefixes` with its path identifier, if it has one.
pub(super) fn paths<P>(
    prefixes: impl Iterator<Item = P>,
    path_ids: &[u32],
) -> impl Iterator<Item = (P, Option<u32>)> {
    let ids = path_ids.iter().copied().map(Some);
    prefixes.zip(ids.chain(std::iter::repeat(None)))
}

/// The prefix length says more than the family allows, or more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPrefix;

/// A prefix whose address has `N` octets.
pub(super) trait Prefix<const N: usize>: Copy {
    /// Octets of a host route: its length and its address. `N + 1`.
    type Slot: AsRef<[u8]> + AsMut<[u8]>;

    fn slots(octets: &[u8]) -> &[Self::Slot];
    fn slots_mut(octets: &mut [u8]) -> &mut [Self::Slot];
    fn host_in(slot: &Self::Slot) -> Self;
    fn write_host(self, slot: &mut Self::Slot);
    fn is_host_slot(slot: &Self::Slot) -> bool;

    /// Bits beyond the length say nothing (RFC 4271 §4.3) and are cleared. `None` when the length
    /// exceeds the family's.
    fn masked(address: [u8; N], length: u8) -> Option<Self>;
    fn length(self) -> u8;
    fn octets(self) -> [u8; N];
}

impl Prefix<4> for Ipv4Net {
    type Slot = [u8; 5];

    fn slots(octets: &[u8]) -> &[[u8; 5]] {
        octets.as_chunks().0
    }

    fn slots_mut(octets: &mut [u8]) -> &mut [[u8; 5]] {
        octets.as_chunks_mut().0
    }

    fn host_in([_length, a, b, c, d]: &[u8; 5]) -> Self {
        Self::from(Ipv4Addr::new(*a, *b, *c, *d))
    }

    fn write_host(self, [length, address @ ..]: &mut [u8; 5]) {
        *length = 32;
        *address = self.addr().octets();
    }

    fn is_host_slot([length, ..]: &[u8; 5]) -> bool {
        *length == 32
    }

    fn masked(address: [u8; 4], length: u8) -> Option<Self> {
        let host_bits = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        let address = u32::from_be_bytes(address) & !host_bits;
        Self::new(Ipv4Addr::from_bits(address), length).ok()
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }

    fn octets(self) -> [u8; 4] {
        self.addr().octets()
    }
}

impl Prefix<16> for Ipv6Net {
    type Slot = [u8; 17];

    fn slots(octets: &[u8]) -> &[[u8; 17]] {
        octets.as_chunks().0
    }

    fn slots_mut(octets: &mut [u8]) -> &mut [[u8; 17]] {
        octets.as_chunks_mut().0
    }

    fn host_in([_length, address @ ..]: &[u8; 17]) -> Self {
        Self::from(Ipv6Addr::from(*address))
    }

    fn write_host(self, [length, address @ ..]: &mut [u8; 17]) {
        *length = 128;
        *address = self.addr().octets();
    }

    fn is_host_slot([length, ..]: &[u8; 17]) -> bool {
        *length == 128
    }

    fn masked(address: [u8; 16], length: u8) -> Option<Self> {
        let host_bits = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        let address = u128::from_be_bytes(address) & !host_bits;
        Self::new(Ipv6Addr::from_bits(address), length).ok()
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }

    fn octets(self) -> [u8; 16] {
        self.addr().octets()
    }
}

/// Prefixes that fill `input`, in one allocation of just the size they take.
#[inline]
pub(super) fn decode<P: Prefix<N>, const N: usize>(input: &[u8]) -> Result<Vec<P>, BadPrefix> {
    if input.is_empty() {
        return Ok(Vec::new()); // as nearly all Withdrawn Routes are
    }
    decode_some(input)
}

fn decode_some<P: Prefix<N>, const N: usize>(input: &[u8]) -> Result<Vec<P>, BadPrefix> {
    let slots = P::slots(input);
    let run = slots
        .iter()
        .take_while(|slot| P::is_host_slot(slot))
        .count();
    let (hosts, _) = slots.split_at(run);
    let (_, rest) = input.split_at(run * (1 + N));
    if rest.is_empty() {
        return Ok(hosts.iter().map(P::host_in).collect());
    }
    let mut prefixes = Vec::with_capacity(run + count(rest)?);
    prefixes.extend(hosts.iter().map(P::host_in));
    decode_others(rest, &mut prefixes)?;
    Ok(prefixes)
}

/// Prefixes that fill `input`, each behind its path identifier if they have one (RFC 7911 §3).
#[inline]
pub(super) fn decode_paths<P: Prefix<N>, const N: usize>(
    input: &[u8],
    has_path_ids: bool,
) -> Result<(Vec<P>, PathIds), BadPrefix> {
    if has_path_ids {
        return decode_with_path_ids(input);
    }
    Ok((decode(input)?, PathIds::default()))
}

#[inline(never)]
fn decode_with_path_ids<P: Prefix<N>, const N: usize>(
    mut input: &[u8],
) -> Result<(Vec<P>, PathIds), BadPrefix> {
    let (mut prefixes, mut path_ids) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        let (path_id, rest) = be_u32(input).ok_or(BadPrefix)?;
        let (length, _) = octet(rest).ok_or(BadPrefix)?;
        let (prefix, rest) = octets(rest, 1 + octet_count(length)).ok_or(BadPrefix)?;
        path_ids.push(path_id);
        decode_others(prefix, &mut prefixes)?;
        input = rest;
    }
    Ok((prefixes, path_ids.into()))
}

/// Prefixes of any length.
fn decode_others<P: Prefix<N>, const N: usize>(
    mut input: &[u8],
    into: &mut Vec<P>,
) -> Result<(), BadPrefix> {
    while let Some((length, address)) = input.split_first() {
        // What belongs to the next prefix is cleared with the host bits.
        let octets = match address.first_chunk() {
            Some(octets) => *octets,
            None => padded(address),
        };
        into.push(P::masked(octets, *length).ok_or(BadPrefix)?);
        input = address.get(octet_count(*length)..).ok_or(BadPrefix)?;
    }
    Ok(())
}

/// How many prefixes fill `input`.
fn count(mut input: &[u8]) -> Result<usize, BadPrefix> {
    let mut count = 0;
    while let Some((length, address)) = input.split_first() {
        input = address.get(octet_count(*length)..).ok_or(BadPrefix)?;
        count += 1;
    }
    Ok(count)
}

/// Fewer octets than an address has, filled up with zeros.
fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    std::array::from_fn(|index| octets.get(index).copied().unwrap_or(0))
}

/// Octets of an address of which `length` bits count.
const fn octet_count(length: u8) -> usize {
    (length as usize).div_ceil(8)
}

/// Prefixes that are written at a time.
const BLOCK: usize = 64;

/// Appends prefixes, one behind the other.
pub(super) fn encode<P: Prefix<N>, const N: usize>(prefixes: &[P], out: &mut BytesMut) {
    let is_host = |prefix: &P| usize::from(prefix.length()) == 8 * N;
    for block in prefixes.chunks(BLOCK) {
        if block.iter().all(is_host) {
            put_hosts(block, out);
        } else {
            for prefix in block {
                put_parts(prefix.length(), &prefix.octets(), out);
            }
        }
    }
}

/// Appends prefixes, each behind its path identifier if it has one.
pub(super) fn encode_paths<P: Prefix<N>, const N: usize>(
    prefixes: &[P],
    path_ids: &[u32],
    out: &mut BytesMut,
) {
    if path_ids.is_empty() {
        return encode(prefixes, out);
    }
    for (prefix, path_id) in paths(prefixes.iter(), path_ids) {
        out.put_u32(path_id.unwrap_or_default());
        put_parts(prefix.length(), &prefix.octets(), out);
    }
}

fn put_hosts<P: Prefix<N>, const N: usize>(prefixes: &[P], out: &mut BytesMut) {
    let start = out.len();
    out.resize(start + prefixes.len() * (1 + N), 0);
    let slots = P::slots_mut(out.get_mut(start..).unwrap_or_default());
    for (slot, prefix) in slots.iter_mut().zip(prefixes) {
        prefix.write_host(slot);
    }
}

fn total_length<P: Prefix<N>, const N: usize>(prefixes: &[P]) -> usize {
    prefixes
        .iter()
        .map(|prefix| 1 + octet_count(prefix.length()))
        .sum()
}

/// Octets that `prefix` takes.
pub(crate) fn encoded_length(prefix: &IpNet) -> usize {
    1 + octet_count(prefix.prefix_len())
}

pub(crate) fn put(prefix: IpNet, out: &mut BytesMut) {
    match prefix {
        IpNet::V4(prefix) => put_parts(prefix.prefix_len(), &prefix.addr().octets(), out),
        IpNet::V6(prefix) => put_parts(prefix.prefix_len(), &prefix.addr().octets(), out),
    }
}

fn put_parts(length: u8, octets: &[u8], out: &mut BytesMut) {
    out.put_u8(length);
    out.put_slice(octets.get(..octet_count(length)).unwrap_or(octets));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_v4(input: &[u8]) -> Result<Vec<Ipv4Net>, BadPrefix> {
        decode(input)
    }

    fn decode_v6(input: &[u8]) -> Result<Vec<Ipv6Net>, BadPrefix> {
        decode(input)
    }

    #[test]
    fn c_075_length_beyond_the_family_or_the_field() {
        assert_eq!(decode_v4(&[33, 1, 2, 3, 4, 5]), Err(BadPrefix));
        assert_eq!(decode_v4(&[24, 1, 2]), Err(BadPrefix));
        assert_eq!(decode_v4(&[32, 1, 2, 3, 4, 32, 1, 2, 3]), Err(BadPrefix));
        assert_eq!(decode_v6(&[129; 18]), Err(BadPrefix));
        assert_eq!(decode_v6(&[128, 1]), Err(BadPrefix));
    }

    #[test]
    fn c_076_host_bits_are_masked_and_duplicates_are_kept() {
        let prefixes = decode_v4(&[20, 10, 1, 0xFF, 20, 10, 1, 0xF0, 0]).unwrap();
        assert_eq!(
            prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.1.240.0/20", "10.1.240.0/20", "0.0.0.0/0"]
        );
        let prefixes = decode_v6(&[33, 0x20, 1, 0x0D, 0xB8, 0xFF, 128, 1]);
        assert_eq!(prefixes, Err(BadPrefix));
        let prefixes = decode_v6(&[33, 0x20, 1, 0x0D, 0xB8, 0xFF, 0, 3, 0xFF]).unwrap();
        assert_eq!(
            prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["2001:db8:8000::/33", "::/0", "e000::/3"]
        );
    }

    #[test]
    fn host_routes_among_others_stay_in_order() {
        let octets = [
            32, 10, 0, 0, 1, 32, 10, 0, 0, 2, 24, 10, 0, 1, 32, 10, 0, 0, 3, 0, 8, 11,
        ];
        let prefixes = decode_v4(&octets).unwrap();
        assert_eq!(
            prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "10.0.0.1/32",
                "10.0.0.2/32",
                "10.0.1.0/24",
                "10.0.0.3/32",
                "0.0.0.0/0",
                "11.0.0.0/8"
            ]
        );
        assert_eq!(prefixes.capacity(), prefixes.len());
        let mut out = BytesMut::new();
        encode(&prefixes, &mut out);
        assert_eq!(out, octets[..]);
    }
}
