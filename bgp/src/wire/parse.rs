//! The few readers that everything is made of: each gives what it read and what is left, or `None`
//! when the input is too short.

pub(super) type Parsed<'a, T> = Option<(T, &'a [u8])>;

pub(super) fn octet(input: &[u8]) -> Parsed<'_, u8> {
    let (value, rest) = input.split_first()?;
    Some((*value, rest))
}

pub(super) fn be_u16(input: &[u8]) -> Parsed<'_, u16> {
    let (value, rest) = input.split_first_chunk()?;
    Some((u16::from_be_bytes(*value), rest))
}

pub(super) fn be_u32(input: &[u8]) -> Parsed<'_, u32> {
    let (value, rest) = input.split_first_chunk()?;
    Some((u32::from_be_bytes(*value), rest))
}

pub(super) fn octets(input: &[u8], count: usize) -> Parsed<'_, &[u8]> {
    input.split_at_checked(count)
}

/// A value behind its length of one octet.
pub(super) fn short_value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (length, rest) = octet(input)?;
    octets(rest, usize::from(length))
}

/// A value behind its length of two octets.
pub(super) fn long_value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (length, rest) = be_u16(input)?;
    octets(rest, usize::from(length))
}
