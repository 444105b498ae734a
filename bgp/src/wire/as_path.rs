//! AS_PATH (RFC 4271 §5.1.2), and AS4_PATH, which has its form (RFC 6793 §3).

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::parse::{Parsed, octet, octets};
use super::update::AttributeAction;
use crate::types::Asn;

/// The type of the only segments there are here: AS_SETs are not accepted (RFC 9774 §3), and those
/// of confederations never leave one (RFC 5065 §4).
const AS_SEQUENCE: u8 = 2;
const AS_SET: u8 = 1;
const AS_CONFED_SEQUENCE: u8 = 3;
const AS_CONFED_SET: u8 = 4;

/// AS_PATH: the ASes that a route went through, nearest first; AS_TRANS may be among them when a
/// two-octet speaker had its hands on the path.
#[derive(Clone, PartialEq, Eq)]
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

impl Segments {
    const NONE: Self = Self::Short {
        count: 0,
        asns: [0; SHORT],
    };

    /// Whether the only segment could be held in place.
    #[inline(always)]
    fn fill<T>(&mut self, segment: &[T], asn: impl Fn(&T) -> u32) -> bool {
        match (self, u8::try_from(segment.len())) {
            (Self::Short { count, asns }, Ok(length)) if segment.len() <= SHORT => {
                *count = length;
                *asns = std::array::from_fn(|index| segment.get(index).map_or(0, &asn));
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn decode<const WIDTH: usize>(
        &mut self,
        value: &[u8],
        asn: impl Fn(&[u8; WIDTH]) -> u32,
    ) -> Option<()> {
        if value.is_empty() {
            return Some(());
        }
        let (segment, rest) = split_segment(value)?;
        if rest.is_empty() && self.fill(segment, &asn) {
            return Some(());
        }
        let mut segments = Vec::new();
        let mut input = value;
        while !input.is_empty() {
            let (segment, rest) = split_segment(input)?;
            segments.push(segment.iter().map(&asn).collect());
            input = rest;
        }
        *self = Self::Long(segments);
        Some(())
    }
}

impl Default for AsPath {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl AsPath {
    /// The path of a route that begins in this AS.
    pub const EMPTY: Self = Self(Segments::NONE);

    /// A single AS_SEQUENCE, in as many segments as it takes; none for no AS.
    #[must_use]
    pub fn sequence(asns: &[u32]) -> Self {
        let mut segments = Segments::NONE;
        if !segments.fill(asns, |asn| *asn) {
            let chunks = asns.chunks(usize::from(u8::MAX));
            segments = Segments::Long(chunks.map(<[u32]>::to_vec).collect());
        }
        Self(segments)
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

    /// Reads a value into an empty path; `None` when it cannot be read or has something that no path
    /// may have.
    pub(super) fn decode(&mut self, value: &[u8], four_octets: bool) -> Option<()> {
        if four_octets {
            self.0.decode(value, |octets| u32::from_be_bytes(*octets))?;
        } else {
            self.0
                .decode(value, |octets| u32::from(u16::from_be_bytes(*octets)))?;
        }
        (!self.has_zero()).then_some(()) // RFC 7607 §2
    }

    /// Reads the value of an AS4_PATH into an empty path. Sequences of a confederation, which have no
    /// place there, are dropped, and the rest is used (RFC 6793 §6).
    ///
    /// # Errors
    /// Sets withdraw the routes (RFC 9774 §3); of one that cannot be read, nothing is used.
    pub(super) fn decode_as4(&mut self, value: &[u8]) -> Result<(), AttributeAction> {
        let mut sequences = Vec::with_capacity(value.len());
        let (mut input, mut has_set) = (value, false);
        while !input.is_empty() {
            let ((kind, _), rest) = any_segment::<4>(input).ok_or(AttributeAction::Discard)?;
            let whole = input.get(..input.len() - rest.len()).unwrap_or_default();
            match kind {
                AS_SEQUENCE => sequences.extend_from_slice(whole),
                AS_SET | AS_CONFED_SET => has_set = true,
                AS_CONFED_SEQUENCE => {}
                _ => return Err(AttributeAction::Discard),
            }
            input = rest;
        }
        if has_set {
            return Err(AttributeAction::TreatAsWithdraw);
        }
        self.decode(&sequences, true)
            .ok_or(AttributeAction::Discard)
    }

    fn has_zero(&self) -> bool {
        match &self.0 {
            // Unrolled, which counting to `count` is not.
            Segments::Short { count, asns } => asns
                .iter()
                .zip(0..)
                .any(|(asn, index): (_, u8)| *asn == 0 && index < *count),
            Segments::Long(segments) => segments.iter().flatten().any(|asn| *asn == 0),
        }
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

/// The AS numbers of the first segment, and what is behind it (RFC 7606 §7.2).
fn split_segment<const WIDTH: usize>(input: &[u8]) -> Option<(&[[u8; WIDTH]], &[u8])> {
    let ((kind, asns), rest) = any_segment(input)?;
    (kind == AS_SEQUENCE).then_some((asns, rest))
}

/// The type and the AS numbers of the first segment, and what is behind it.
fn any_segment<const WIDTH: usize>(input: &[u8]) -> Parsed<'_, (u8, &[[u8; WIDTH]])> {
    let (kind, rest) = octet(input)?;
    let (count, rest) = octet(rest)?;
    let (asns, rest) = octets(rest, usize::from(count) * WIDTH)?;
    (count > 0).then_some(((kind, asns.as_chunks().0), rest))
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

    fn decode(value: &[u8], four_octets: bool) -> AsPath {
        let mut path = AsPath::default();
        path.decode(value, four_octets).unwrap();
        path
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
            assert_eq!(decode(&out, true), path, "{count}");
        }
    }

    #[test]
    fn segments_stay_as_they_came() {
        let value = [2, 1, 0, 1, 2, 2, 0, 2, 0, 3];
        let path = decode(&value, false);
        assert_eq!(path.segments().collect::<Vec<_>>(), [&[1][..], &[2, 3]]);
        assert_ne!(path, AsPath::sequence(&[1, 2, 3]));
        assert_eq!(path.to_string(), "1 2 3");
        assert_eq!(path.leftmost(), Some(1));
        let mut out = BytesMut::new();
        path.encode(false, &mut out);
        assert_eq!(out, value[..]);
    }
}
