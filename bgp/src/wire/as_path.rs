//! AS_PATH (RFC 4271 §5.1.2), and AS4_PATH, which has its form (RFC 6793 §3).

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::parse::{octet, octets};
use super::update::AttributeAction;
use crate::types::Asn;

/// The type of the only segments there are here: AS_SETs are not accepted (RFC 9774 §3), and those
/// of confederations never leave one (RFC 5065 §4).
const AS_SEQUENCE: u8 = 2;

/// AS_PATH: the ASes that a route went through, nearest first; AS_TRANS may be among them when a
/// two-octet speaker had its hands on the path.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AsPath(Segments);

/// Most paths are one segment of a few ASes. Equal paths are held the same way.
#[derive(Clone, PartialEq, Eq)]
enum Segments {
    /// None or one, of the first `count` ASes; the others are 0.
    Short { count: u8, asns: [u32; SHORT] },
    /// One that is longer, or several.
    Long(Vec<Vec<u32>>),
}

/// ASes that take no more room than a vector does.
const SHORT: usize = 7;

impl Default for Segments {
    fn default() -> Self {
        Self::Short {
            count: 0,
            asns: [0; SHORT],
        }
    }
}

impl AsPath {
    /// A single AS_SEQUENCE, in as many segments as it takes; none for no AS.
    #[must_use]
    pub fn sequence(asns: &[u32]) -> Self {
        let segments = asns.chunks(usize::from(u8::MAX));
        Self(
            Segments::short(asns.iter().copied())
                .unwrap_or_else(|| Segments::Long(segments.map(<[u32]>::to_vec).collect())),
        )
    }

    /// AS_SEQUENCEs of 1 to 255 ASes each, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u32]> {
        let (short, long) = match &self.0 {
            Segments::Short { count, asns } => {
                let asns = asns
                    .get(..usize::from(*count))
                    .filter(|asns| !asns.is_empty());
                (asns, [].as_slice())
            }
            Segments::Long(segments) => (None, segments.as_slice()),
        };
        short.into_iter().chain(long.iter().map(Vec::as_slice))
    }

    /// Every AS, nearest first.
    pub fn asns(&self) -> impl Iterator<Item = u32> {
        self.segments().flatten().copied()
    }

    /// The neighbor that handed on the route; `None` when the path is empty.
    #[must_use]
    pub fn leftmost(&self) -> Option<u32> {
        self.asns().next()
    }

    /// Whether any AS number needs four octets.
    #[must_use]
    pub fn needs_four_octets(&self) -> bool {
        self.asns().any(|asn| asn > u32::from(u16::MAX))
    }

    pub(super) fn decode(value: &[u8], four_octets: bool) -> Result<Self, AttributeAction> {
        let segments = if four_octets {
            decode_segments(value, u32::from_be_bytes)
        } else {
            decode_segments(value, |octets| u32::from(u16::from_be_bytes(octets)))
        };
        segments.map(Self).ok_or(AttributeAction::TreatAsWithdraw)
    }

    pub(super) fn encoded_length(&self, four_octets: bool) -> usize {
        let width = if four_octets { 4 } else { 2 };
        self.segments()
            .map(|segment| 2 + width * segment.len())
            .sum()
    }

    pub(super) fn encode(&self, four_octets: bool, out: &mut BytesMut) {
        for segment in self.segments() {
            let count = u8::try_from(segment.len()).unwrap_or(u8::MAX);
            out.put_slice(&[AS_SEQUENCE, count]);
            for asn in segment {
                if four_octets {
                    out.put_u32(*asn);
                } else {
                    out.put_u16(two_octets(*asn));
                }
            }
        }
    }
}

impl Segments {
    /// `None` when there are too many ASes.
    fn short(from: impl ExactSizeIterator<Item = u32>) -> Option<Self> {
        let count = from.len();
        let mut asns = [0; SHORT];
        let places = asns.get_mut(..count)?;
        places
            .iter_mut()
            .zip(from)
            .for_each(|(place, asn)| *place = asn);
        Some(Self::Short {
            count: u8::try_from(count).ok()?,
            asns,
        })
    }
}

/// `None` when the path cannot be read or has something that no path may have.
fn decode_segments<const WIDTH: usize>(
    value: &[u8],
    asn: impl Fn([u8; WIDTH]) -> u32,
) -> Option<Segments> {
    let mut long = Vec::new();
    let mut input = value;
    while !input.is_empty() {
        let (segment, rest) = split_segment::<WIDTH>(input)?;
        let asns = segment.iter().map(|octets| asn(*octets));
        if asns.clone().any(|asn| asn == 0) {
            return None; // RFC 7607 §2
        }
        if long.is_empty()
            && rest.is_empty()
            && let Some(short) = Segments::short(asns.clone())
        {
            return Some(short);
        }
        long.push(asns.collect());
        input = rest;
    }
    Some(if long.is_empty() {
        Segments::default()
    } else {
        Segments::Long(long)
    })
}

/// The AS numbers of the first segment, and what is behind it (RFC 7606 §7.2).
fn split_segment<const WIDTH: usize>(input: &[u8]) -> Option<(&[[u8; WIDTH]], &[u8])> {
    let (kind, rest) = octet(input)?;
    let (count, rest) = octet(rest)?;
    let (asns, rest) = octets(rest, usize::from(count) * WIDTH)?;
    (kind == AS_SEQUENCE && count > 0).then_some((asns.as_chunks().0, rest))
}

/// An AS number for a speaker that knows two octets only (RFC 6793 §4.2.2).
pub(super) fn two_octets(asn: u32) -> u16 {
    u16::try_from(asn).unwrap_or(Asn::AS_TRANS)
}

impl fmt::Display for AsPath {
    /// `64520 64521`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, asn) in self.asns().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{asn}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath {
    /// `AsPath([64520, 64521], [64522])`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("AsPath");
        self.segments().for_each(|segment| {
            tuple.field(&segment);
        });
        tuple.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: &[u8]) -> AsPath {
        AsPath::decode(value, false).unwrap()
    }

    #[test]
    fn equal_paths_are_equal_however_they_were_made() {
        for count in [0, 1, 7, 8, 255, 256, 600] {
            let asns = (1..=count).collect::<Vec<u32>>();
            let path = AsPath::sequence(&asns);
            assert_eq!(path.asns().collect::<Vec<_>>(), asns);
            let mut out = BytesMut::new();
            path.encode(true, &mut out);
            assert_eq!(out.len(), path.encoded_length(true));
            assert_eq!(AsPath::decode(&out, true), Ok(path), "{count}");
        }
    }

    #[test]
    fn segments_stay_as_they_came() {
        let value = [2, 1, 0, 1, 2, 2, 0, 2, 0, 3];
        let path = decode(&value);
        assert_eq!(path.segments().collect::<Vec<_>>(), [&[1][..], &[2, 3]]);
        assert_ne!(path, AsPath::sequence(&[1, 2, 3]));
        assert_eq!(path.to_string(), "1 2 3");
        assert_eq!(path.leftmost(), Some(1));
        let mut out = BytesMut::new();
        path.encode(false, &mut out);
        assert_eq!(out, value[..]);
    }
}
