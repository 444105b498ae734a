//! Prefixes as they stand in UPDATE: a length in bits, and as many octets as it takes (RFC 4271
//! §4.3).

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

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
        self.iter().map(|prefix| encoded_length(&prefix)).sum()
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::V4(prefixes) => encode_v4(prefixes, out),
            Self::V6(prefixes) => prefixes
                .iter()
                .for_each(|prefix| put(IpNet::V6(*prefix), out)),
        }
    }
}

/// The prefix length says more than the family allows, or more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPrefix;

pub(super) fn decode_v4(mut input: &[u8]) -> Result<Vec<Ipv4Net>, BadPrefix> {
    let mut prefixes = Vec::with_capacity(input.len() / 5);
    while let Some((length, octets, rest)) = split_prefix::<4>(input)? {
        // Bits beyond the length say nothing (RFC 4271 §4.3).
        let prefix = Ipv4Net::new(Ipv4Addr::from(octets), length).map_err(|_| BadPrefix)?;
        prefixes.push(prefix.trunc());
        input = rest;
    }
    Ok(prefixes)
}

pub(super) fn decode_v6(mut input: &[u8]) -> Result<Vec<Ipv6Net>, BadPrefix> {
    let mut prefixes = Vec::with_capacity(input.len() / 17);
    while let Some((length, octets, rest)) = split_prefix::<16>(input)? {
        let prefix = Ipv6Net::new(Ipv6Addr::from(octets), length).map_err(|_| BadPrefix)?;
        prefixes.push(prefix.trunc());
        input = rest;
    }
    Ok(prefixes)
}

/// The first prefix of `input`, its octets filled up with zeros, and what is behind it.
type Split<'a, const N: usize> = Option<(u8, [u8; N], &'a [u8])>;

fn split_prefix<const N: usize>(input: &[u8]) -> Result<Split<'_, N>, BadPrefix> {
    let Some((&length, rest)) = input.split_first() else {
        return Ok(None);
    };
    let octet_count = usize::from(length).div_ceil(8);
    let (value, rest) = rest.split_at_checked(octet_count).ok_or(BadPrefix)?;
    let mut octets = [0; N];
    octets
        .get_mut(..octet_count)
        .ok_or(BadPrefix)?
        .copy_from_slice(value);
    Ok(Some((length, octets, rest)))
}

pub(super) fn encode_v4(prefixes: &[Ipv4Net], out: &mut BytesMut) {
    prefixes
        .iter()
        .for_each(|prefix| put(IpNet::V4(*prefix), out));
}

/// Octets that `prefix` takes.
pub(crate) fn encoded_length(prefix: &IpNet) -> usize {
    1 + usize::from(prefix.prefix_len()).div_ceil(8)
}

pub(crate) fn put(prefix: IpNet, out: &mut BytesMut) {
    let octet_count = encoded_length(&prefix) - 1;
    out.put_u8(prefix.prefix_len());
    match prefix {
        IpNet::V4(prefix) => out.put_slice(
            prefix
                .addr()
                .octets()
                .get(..octet_count)
                .unwrap_or_default(),
        ),
        IpNet::V6(prefix) => out.put_slice(
            prefix
                .addr()
                .octets()
                .get(..octet_count)
                .unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_075_length_beyond_the_family_or_the_field() {
        assert_eq!(decode_v4(&[33, 1, 2, 3, 4, 5]), Err(BadPrefix));
        assert_eq!(decode_v4(&[24, 1, 2]), Err(BadPrefix));
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
    }
}
