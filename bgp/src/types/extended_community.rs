//! Extended communities: eight octets (RFC 4360), or twenty where an IPv6 address is in them (RFC
//! 5701).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::UnknownName;

/// Types of the first octet; the bit 0x40 would say that it stays within the AS.
const TWO_OCTET_AS: u8 = 0x00;
const IPV4_ADDRESS: u8 = 0x01;
const FOUR_OCTET_AS: u8 = 0x02;

/// What the second octet makes of the types above.
const SUB_TYPES: [(&str, u8); 2] = [("rt", 0x02), ("soo", 0x03)];

fn sub_type_name(octet: u8) -> Option<&'static str> {
    let named = SUB_TYPES.iter().find(|(_, sub_type)| *sub_type == octet);
    named.map(|(name, _)| *name)
}

/// An extended community (RFC 4360 §2). Written `rt:64520:1` (route target) or `soo:64520:1` (site
/// of origin), where an IPv4 address may stand for the AS; anything else in hexadecimal, as in
/// `ext:0x4004fc0849742400`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, sub_type, a, b, c, d, e, g] = self.0;
        let local = u16::from_be_bytes([e, g]);
        match (kind, sub_type_name(sub_type)) {
            (TWO_OCTET_AS, Some(name)) => {
                let asn = u16::from_be_bytes([a, b]);
                write!(f, "{name}:{asn}:{}", u32::from_be_bytes([c, d, e, g]))
            }
            (IPV4_ADDRESS, Some(name)) => {
                write!(f, "{name}:{}:{local}", Ipv4Addr::new(a, b, c, d))
            }
            // A small number in this form would be read back as one in the other.
            (FOUR_OCTET_AS, Some(name)) if (a, b) != (0, 0) => {
                write!(f, "{name}:{}:{local}", u32::from_be_bytes([a, b, c, d]))
            }
            _ => write!(f, "ext:0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

impl fmt::Debug for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ExtendedCommunity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        extended(text).ok_or_else(|| UnknownName {
            found: text.to_owned(),
            expected: "an extended community: \"rt:64520:1\", \"soo:192.0.2.1:1\" (below 65536 \
                       behind an address or an AS above 65535), or \"ext:0x\" and 16 hexadecimal \
                       digits",
        })
    }
}

fn extended(text: &str) -> Option<ExtendedCommunity> {
    let (name, value) = text.split_once(':')?;
    if name == "ext" {
        let octets = hexadecimal::<8>(value)?;
        return Some(ExtendedCommunity(octets));
    }
    let (_, sub_type) = SUB_TYPES.iter().find(|(known, _)| *known == name)?;
    let (administrator, local) = value.rsplit_once(':')?;
    let (kind, [a, b, c, d, e, f]) = if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        let ([a, b, c, d], [e, f]) = (address.octets(), local.parse::<u16>().ok()?.to_be_bytes());
        (IPV4_ADDRESS, [a, b, c, d, e, f])
    } else if let Ok(asn) = administrator.parse::<u16>() {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), local.parse::<u32>().ok()?.to_be_bytes());
        (TWO_OCTET_AS, [a, b, c, d, e, f])
    } else {
        let asn = administrator.parse::<u32>().ok()?;
        let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), local.parse::<u16>().ok()?.to_be_bytes());
        (FOUR_OCTET_AS, [a, b, c, d, e, f])
    };
    Some(ExtendedCommunity([kind, *sub_type, a, b, c, d, e, f]))
}

/// An extended community with an IPv6 address in it (RFC 5701 §2). Written `rt:[2001:db8::1]:1` or
/// `soo:[2001:db8::1]:1`; anything else as `ext6:0x` and 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6ExtendedCommunity(pub [u8; 20]);

impl fmt::Display for Ipv6ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, sub_type, address @ .., high, low] = self.0;
        match (kind, sub_type_name(sub_type)) {
            (0, Some(name)) => {
                let local = u16::from_be_bytes([high, low]);
                write!(f, "{name}:[{}]:{local}", Ipv6Addr::from(address))
            }
            _ => {
                f.write_str("ext6:0x")?;
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Debug for Ipv6ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ipv6ExtendedCommunity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ipv6_extended(text).ok_or_else(|| UnknownName {
            found: text.to_owned(),
            expected: "an IPv6 extended community: \"rt:[2001:db8::1]:1\", \
                       \"soo:[2001:db8::1]:1\", or \"ext6:0x\" and 40 hexadecimal digits",
        })
    }
}

fn ipv6_extended(text: &str) -> Option<Ipv6ExtendedCommunity> {
    let (name, value) = text.split_once(':')?;
    if name == "ext6" {
        return hexadecimal::<20>(value).map(Ipv6ExtendedCommunity);
    }
    let (_, sub_type) = SUB_TYPES.iter().find(|(known, _)| *known == name)?;
    let (address, local) = value.strip_prefix('[')?.split_once("]:")?;
    let address = address.parse::<Ipv6Addr>().ok()?.octets();
    let local = local.parse::<u16>().ok()?.to_be_bytes();
    let mut octets = [0; 20];
    let parts = [0, *sub_type].into_iter().chain(address).chain(local);
    for (place, octet) in octets.iter_mut().zip(parts) {
        *place = octet;
    }
    Some(Ipv6ExtendedCommunity(octets))
}

/// `0x` and two digits for each octet.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; N];
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_communities_read_as_they_are_written() {
        for (text, octets) in [
            ("rt:64520:1", [0, 2, 0xFC, 0x08, 0, 0, 0, 1]),
            (
                "soo:64520:4294967295",
                [0, 3, 0xFC, 0x08, 255, 255, 255, 255],
            ),
            ("rt:192.0.2.1:7", [1, 2, 192, 0, 2, 1, 0, 7]),
            ("rt:4200000000:65535", [2, 2, 0xFA, 0x56, 0xEA, 0, 255, 255]),
            ("ext:0x0202000000010001", [2, 2, 0, 0, 0, 1, 0, 1]),
            (
                "ext:0x4004fc0849742400",
                [0x40, 4, 0xFC, 0x08, 0x49, 0x74, 0x24, 0],
            ),
        ] {
            assert_eq!(text.parse(), Ok(ExtendedCommunity(octets)), "{text}");
            assert_eq!(ExtendedCommunity(octets).to_string(), text);
        }
        for text in [
            "",
            "rt",
            "rt:1",
            "rt:192.0.2.1:65536",
            "rt:4200000000:65536",
            "rt:4294967296:1",
            "rt:-1:1",
            "ext:0x12",
            "ext:4004fc0849742400",
            "ext:0x+004fc0849742400",
            "color:1:1",
        ] {
            assert!(text.parse::<ExtendedCommunity>().is_err(), "{text}");
        }
    }

    #[test]
    fn ipv6_extended_communities_read_as_they_are_written() {
        for text in [
            "rt:[2001:db8::1]:1",
            "soo:[::]:65535",
            "ext6:0x400b20010db8000000000000000000000001abcd",
        ] {
            let community: Ipv6ExtendedCommunity = text.parse().unwrap();
            assert_eq!(community.to_string(), text);
        }
        for text in [
            "rt:2001:db8::1:1",
            "rt:[192.0.2.1]:1",
            "rt:[::1]:65536",
            "ext6:0x00",
        ] {
            assert!(text.parse::<Ipv6ExtendedCommunity>().is_err(), "{text}");
        }
    }
}
