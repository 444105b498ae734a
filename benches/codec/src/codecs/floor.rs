//! What no codec can be much faster than: one pass over the octets, every access checked, nothing
//! kept. It is not a codec: it knows only what the corpus has.

use std::net::Ipv4Addr;

use super::{Codec, Out};
use crate::checksum::Checksum;

pub struct Floor;

/// All that reading leaves is the checksum; what is to be written was prepared.
pub struct Prepared {
    checksum: u64,
    /// Octets before the prefixes, which stand last.
    head: Vec<u8>,
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
}

impl Codec for Floor {
    const NAME: &'static str = "floor";
    type Octets = Vec<u8>;
    type Message = Prepared;

    fn octets(message: &[u8]) -> Self::Octets {
        message.to_vec()
    }

    fn decode(&mut self, octets: &Self::Octets) -> Prepared {
        Prepared {
            checksum: walk(octets).unwrap(),
            head: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }

    fn walk(message: &Prepared) -> u64 {
        message.checksum
    }

    fn encode(&mut self, message: &Prepared, out: &mut Out) -> bool {
        out.length = write(message, &mut out.array[..]).unwrap();
        true
    }
}

impl Floor {
    /// A message taken apart for [`Codec::encode`].
    pub fn prepare(octets: &[u8]) -> Prepared {
        let mut prepared = Prepared {
            checksum: walk(octets).unwrap(),
            head: octets.to_vec(),
            v4: Vec::new(),
            v6: Vec::new(),
        };
        if octets[18] != 2 {
            return prepared;
        }
        let attributes_end = 23 + usize::from(u16::from_be_bytes([octets[21], octets[22]]));
        let mut nlri = &octets[attributes_end..];
        let is_v6 = nlri.is_empty();
        if is_v6 {
            nlri = &octets[octets.len() - 1700..];
        }
        prepared.head.truncate(octets.len() - nlri.len());
        while let [length, rest @ ..] = nlri {
            let count = usize::from(*length).div_ceil(8);
            let mut address = [0; 16];
            address[..count].copy_from_slice(&rest[..count]);
            let bits = u128::from_be_bytes(address);
            if is_v6 {
                prepared.v6.push((bits, *length));
            } else {
                prepared.v4.push(((bits >> 96) as u32, *length));
            }
            nlri = &rest[count..];
        }
        prepared
    }
}

fn write(message: &Prepared, out: &mut [u8]) -> Option<usize> {
    let mut at = message.head.len();
    out.get_mut(..at)?.copy_from_slice(&message.head);
    for (bits, length) in &message.v4 {
        let count = usize::from(*length).div_ceil(8);
        let [a, b, c, d] = bits.to_be_bytes();
        // Octets beyond the prefix are overwritten by the next one.
        *out.get_mut(at..at + 5)?.first_chunk_mut()? = [*length, a, b, c, d];
        at += 1 + count;
    }
    for (bits, length) in &message.v6 {
        let count = usize::from(*length).div_ceil(8);
        *out.get_mut(at)? = *length;
        *out.get_mut(at + 1..at + 17)?.first_chunk_mut()? = bits.to_be_bytes();
        at += 1 + count;
    }
    Some(at)
}

fn be_u32(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_be_bytes)
}

fn walk(octets: &[u8]) -> Option<u64> {
    let (marker, rest) = octets.split_first_chunk::<16>()?;
    let (&[length_high, length_low, kind], body) = rest.split_first_chunk::<3>()?;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if u128::from_ne_bytes(*marker) != u128::MAX || length != octets.len() {
        return None;
    }
    let mut sum = Checksum::default();
    match kind {
        1 => walk_open(body, &mut sum)?,
        2 => walk_update(body, &mut sum)?,
        _ => {}
    }
    Some(sum.value())
}

fn walk_open(body: &[u8], sum: &mut Checksum) -> Option<()> {
    let (&[_, as_high, as_low, hold_high, hold_low, a, b, c, d, _], mut parameters) =
        body.split_first_chunk::<10>()?;
    sum.number(u16::from_be_bytes([as_high, as_low]));
    sum.number(u16::from_be_bytes([hold_high, hold_low]));
    sum.v4(Ipv4Addr::new(a, b, c, d));
    while let [_, length, rest @ ..] = parameters {
        let (mut capabilities, rest) = rest.split_at_checked(usize::from(*length))?;
        while let [code, length, rest @ ..] = capabilities {
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            match (code, value) {
                (1, &[afi_high, afi_low, _, safi]) => {
                    sum.number(u32::from_be_bytes([0, afi_high, afi_low, safi]));
                }
                (65, value) => sum.number(be_u32(value)?),
                _ => {}
            }
            capabilities = rest;
        }
        parameters = rest;
    }
    Some(())
}

fn walk_update(body: &[u8], sum: &mut Checksum) -> Option<()> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (_withdrawn, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (mut attributes, nlri) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    while let [flags, code, rest @ ..] = attributes {
        let (length, rest) = if flags & 0x10 == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        match code {
            1 => sum.number(*value.first()?),
            2 => {
                let mut segments = value;
                while let [_, count, rest @ ..] = segments {
                    let (asns, rest) = rest.split_at_checked(4 * usize::from(*count))?;
                    asns.as_chunks::<4>().0.iter().for_each(|asn| {
                        sum.number(u32::from_be_bytes(*asn));
                    });
                    segments = rest;
                }
            }
            3 => sum.number(be_u32(value)?),
            8 => value.as_chunks::<4>().0.iter().for_each(|community| {
                sum.number(u32::from_be_bytes(*community));
            }),
            14 => walk_reach(value, sum)?,
            _ => {}
        }
        attributes = rest;
    }
    walk_v4(nlri, sum)
}

fn walk_reach(value: &[u8], sum: &mut Checksum) -> Option<()> {
    let (_family_and_length, rest) = value.split_first_chunk::<4>()?;
    let (next_hop, rest) = rest.split_first_chunk::<16>()?;
    sum.v6((*next_hop).into());
    let (_reserved, mut nlri) = rest.split_first()?;
    while let Some((length, rest)) = nlri.split_first() {
        if *length == 128 {
            let (address, rest) = rest.split_first_chunk::<16>()?;
            sum.prefix_v6((*address).into(), 128);
            nlri = rest;
        } else {
            let (octets, rest) = rest.split_at_checked(usize::from(*length).div_ceil(8))?;
            let mut address = [0; 16];
            address.get_mut(..octets.len())?.copy_from_slice(octets);
            sum.prefix_v6(address.into(), *length);
            nlri = rest;
        }
    }
    Some(())
}

fn walk_v4(mut nlri: &[u8], sum: &mut Checksum) -> Option<()> {
    while let Some((length, rest)) = nlri.split_first() {
        let (a, b, c, d, rest) = match (length, rest) {
            (25..=32, [a, b, c, d, rest @ ..]) => (*a, *b, *c, *d, rest),
            (17..=24, [a, b, c, rest @ ..]) => (*a, *b, *c, 0, rest),
            (9..=16, [a, b, rest @ ..]) => (*a, *b, 0, 0, rest),
            (1..=8, [a, rest @ ..]) => (*a, 0, 0, 0, rest),
            (0, rest) => (0, 0, 0, 0, rest),
            _ => return None,
        };
        sum.prefix_v4(Ipv4Addr::new(a, b, c, d), *length);
        nlri = rest;
    }
    Some(())
}
