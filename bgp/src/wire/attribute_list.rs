//! The list of path attributes in an UPDATE, with what is wrong with it (RFC 7606).

use ipnet::Ipv4Net;

use super::WireContext;
use super::attribute::{Attribute, AttributeFlags, MpReach, MpUnreach, type_code};
use super::notification::{Notification, code, subcode};
use super::parse::{Parsed, long_value, short_value};
use super::update::{AttributeAction, AttributeError, malformed};

/// What of a list has been read.
#[derive(Default)]
pub(super) struct AttributeList {
    pub(super) attributes: Vec<Attribute>,
    pub(super) errors: Vec<AttributeError>,
    seen: CodeSet,
    /// Places of `attributes` that are not vacant.
    filled: usize,
}

/// The list ends within the attribute of this type.
pub(super) struct Truncated {
    pub(super) code: u8,
}

impl AttributeList {
    /// Reads the whole list.
    ///
    /// # Errors
    /// The outer one ends the session.
    pub(super) fn read(
        &mut self,
        mut input: &[u8],
        context: WireContext,
    ) -> Result<Result<(), Truncated>, Notification> {
        self.attributes = (0..count(input)).map(|_| Attribute::VACANT).collect();
        while let Some((raw, rest)) = split_attribute(input) {
            if self.seen.insert(raw.code) {
                self.read_attribute(&raw, context)?;
            } else if is_multiprotocol(raw.code) {
                return Err(malformed()); // RFC 7606 §3g
            } else {
                self.error(raw.code, AttributeAction::Discard);
            }
            input = rest;
        }
        self.attributes.truncate(self.filled);
        Ok(if input.is_empty() {
            Ok(())
        } else {
            let code = input.get(1).copied().unwrap_or_default();
            Err(Truncated { code })
        })
    }

    fn read_attribute(
        &mut self,
        raw: &RawAttribute<'_>,
        context: WireContext,
    ) -> Result<(), Notification> {
        let flags = AttributeFlags::from_octet(raw.flags);
        let flags_agree = match Attribute::expected_flags(raw.code) {
            Some(expected) => flags.agree_with(expected),
            // A well-known attribute that is not known (RFC 4271 §6.3 would end the session over
            // it).
            None => flags.is_optional(),
        };
        if !flags_agree {
            self.error(raw.code, AttributeAction::TreatAsWithdraw); // RFC 7606 §3c
        }
        let Some(place) = self.attributes.get_mut(self.filled) else {
            return Ok(());
        };
        let read = match raw.code {
            type_code::MP_REACH_NLRI | type_code::MP_UNREACH_NLRI => {
                read_multiprotocol(flags, raw, place, context).ok_or_else(|| unreadable(raw))?;
                Ok(())
            }
            _ if !flags_agree => return Ok(()),
            code => place.decode(flags, code, raw.value, context),
        };
        match read {
            Ok(()) => self.filled += 1,
            Err(action) => {
                *place = Attribute::VACANT;
                self.error(raw.code, action);
            }
        }
        Ok(())
    }

    pub(super) fn error(&mut self, code: u8, action: AttributeAction) {
        self.errors.push(AttributeError { code, action });
    }

    /// Whether any prefix is said to be reachable, here or in `nlri`.
    pub(super) fn announces(&self, nlri: &[Ipv4Net]) -> bool {
        let in_list = |attribute: &Attribute| match attribute {
            Attribute::MpReach(reach) => !reach.nlri.is_empty(),
            _ => false,
        };
        !nlri.is_empty() || self.attributes.iter().any(in_list)
    }

    /// Without them, what is announced means nothing (RFC 7606 §3d). Of one that is there and
    /// cannot be used, the error says so already.
    pub(super) fn require_mandatory(&mut self, nlri: &[Ipv4Net]) {
        let mandatory = [
            (type_code::ORIGIN, true),
            (type_code::AS_PATH, true),
            (type_code::NEXT_HOP, !nlri.is_empty()),
        ];
        for (code, is_mandatory) in mandatory {
            if is_mandatory && !self.seen.contains(code) && self.announces(nlri) {
                self.error(code, AttributeAction::TreatAsWithdraw);
            }
        }
    }
}

/// Reads a list of attributes that this crate has written. What cannot be read is left out.
pub(crate) fn decode_attributes(octets: &[u8], context: WireContext) -> Vec<Attribute> {
    let mut list = AttributeList::default();
    match list.read(octets, context) {
        Ok(_) => list.attributes,
        Err(_) => Vec::new(),
    }
}

/// `None` when it cannot be read.
fn read_multiprotocol(
    flags: AttributeFlags,
    raw: &RawAttribute<'_>,
    place: &mut Attribute,
    context: WireContext,
) -> Option<()> {
    let attribute = if raw.code == type_code::MP_REACH_NLRI {
        MpReach::decode(raw.value, context)?.map(|reach| Attribute::MpReach(Box::new(reach)))
    } else {
        MpUnreach::decode(raw.value, context)?
            .map(|unreach| Attribute::MpUnreach(Box::new(unreach)))
    };
    place.fill(attribute.unwrap_or_else(|| Attribute::unknown(flags, raw.code, raw.value)));
    Some(())
}

pub(super) const fn is_multiprotocol(code: u8) -> bool {
    matches!(code, type_code::MP_REACH_NLRI | type_code::MP_UNREACH_NLRI)
}

struct RawAttribute<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    whole: &'a [u8],
}

/// How many attributes are all there.
fn count(mut input: &[u8]) -> usize {
    let mut count = 0;
    while let Some((_, rest)) = split_attribute(input) {
        input = rest;
        count += 1;
    }
    count
}

fn split_attribute(input: &[u8]) -> Parsed<'_, RawAttribute<'_>> {
    const EXTENDED_LENGTH: u8 = 0x10;
    let ([flags, code], rest) = input.split_first_chunk()?;
    let (value, rest) = if flags & EXTENDED_LENGTH == 0 {
        short_value(rest)
    } else {
        long_value(rest)
    }?;
    let attribute = RawAttribute {
        flags: *flags,
        code: *code,
        value,
        whole: input.get(..input.len() - rest.len())?,
    };
    Some((attribute, rest))
}

/// RFC 4760 §7, RFC 7606 §5.3: the prefixes cannot be told from the rest.
fn unreadable(raw: &RawAttribute<'_>) -> Notification {
    let optional_attribute_error = subcode::update::OPTIONAL_ATTRIBUTE_ERROR;
    Notification::with_data(code::UPDATE_MESSAGE, optional_attribute_error, raw.whole)
}

/// A set of type codes, a bit for each.
#[derive(Default)]
struct CodeSet([u64; 4]);

impl CodeSet {
    /// Whether `code` was not in it.
    fn insert(&mut self, code: u8) -> bool {
        let is_new = !self.contains(code);
        if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
            *word |= 1 << (code % 64);
        }
        is_new
    }

    fn contains(&self, code: u8) -> bool {
        let word = self.0.get(usize::from(code / 64));
        word.is_some_and(|word| word >> (code % 64) & 1 == 1)
    }
}
