//! The few parsers that everything is made of. nom stays behind these names.

use nom::bytes::complete::take;
use nom::number::complete;

/// What is left and what was read; an error means that the input was too short.
pub(super) type Parsed<'a, T> = nom::IResult<&'a [u8], T, ()>;

pub(super) fn octet(input: &[u8]) -> Parsed<'_, u8> {
    complete::be_u8(input)
}

pub(super) fn be_u16(input: &[u8]) -> Parsed<'_, u16> {
    complete::be_u16(input)
}

pub(super) fn be_u32(input: &[u8]) -> Parsed<'_, u32> {
    complete::be_u32(input)
}

pub(super) fn octets(input: &[u8], count: usize) -> Parsed<'_, &[u8]> {
    take(count)(input)
}

/// A value behind its length of one octet.
pub(super) fn short_value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = octet(input)?;
    octets(rest, usize::from(length))
}

/// A value behind its length of two octets.
pub(super) fn long_value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = be_u16(input)?;
    octets(rest, usize::from(length))
}
