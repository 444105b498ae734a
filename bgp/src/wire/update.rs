//! UPDATE (RFC 4271 §4.3, RFC 4760), and what its errors lead to (RFC 7606).

use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net};

use super::attribute::{Attribute, AttributeFlags, MpReach, MpUnreach, Multiprotocol, type_code};
use super::notification::{Notification, code, subcode};
use super::parse::{Parsed, long_value, short_value};
use super::{Prefixes, WireContext, nlri, set_u16};
use crate::types::Family;

/// An UPDATE, everything in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4 prefixes that are no more.
    pub withdrawn_routes: Vec<Ipv4Net>,
    /// What is said of the others, MP_REACH_NLRI and MP_UNREACH_NLRI included.
    pub attributes: Vec<Attribute>,
    /// IPv4 prefixes that it is said of.
    pub nlri: Vec<Ipv4Net>,
    /// What was wrong and could be let pass. Always empty in an UPDATE to be sent.
    pub errors: Vec<AttributeError>,
}

/// An attribute that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeError {
    /// Its type code.
    pub code: u8,
    /// What follows from it.
    pub action: AttributeAction,
}

/// What RFC 7606 §2 makes of an attribute error that does not end the session. The later is the
/// stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeAction {
    /// The attribute is left out.
    Discard,
    /// Every prefix of the UPDATE is withdrawn.
    TreatAsWithdraw,
}

/// Flags, type and a length of one octet.
const MIN_ATTRIBUTE_LENGTH: usize = 3;
/// As many attributes as most UPDATEs have.
const USUAL_ATTRIBUTES: usize = 8;

impl Update {
    /// Whether errors turn everything that is announced here into withdrawals (RFC 7606 §2).
    #[must_use]
    pub fn is_treated_as_withdraw(&self) -> bool {
        self.errors
            .iter()
            .any(|error| error.action == AttributeAction::TreatAsWithdraw)
    }

    /// The family whose initial routes are complete with this message (RFC 4724 §2).
    #[must_use]
    pub fn end_of_rib(&self) -> Option<Family> {
        // What looks empty because of an error is none.
        if !self.withdrawn_routes.is_empty() || !self.nlri.is_empty() || !self.errors.is_empty() {
            return None;
        }
        match self.attributes.as_slice() {
            [] => Some(Family::IPV4_UNICAST),
            [Attribute::MpUnreach(unreach)] if unreach.withdrawn_routes.is_empty() => {
                Some(unreach.withdrawn_routes.family())
            }
            _ => None,
        }
    }

    /// Prefixes that can be reached, with errors taken into account.
    pub fn announced(&self) -> impl Iterator<Item = IpNet> + '_ {
        let count = if self.is_treated_as_withdraw() {
            0
        } else {
            usize::MAX
        };
        self.reachable().take(count)
    }

    /// Prefixes that cannot be reached any more, with errors taken into account. One that is
    /// announced in the same message is not meant (RFC 4271 §4.3).
    pub fn withdrawn(&self) -> impl Iterator<Item = IpNet> + '_ {
        let count = if self.is_treated_as_withdraw() {
            usize::MAX
        } else {
            0
        };
        let multiprotocol = self
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::MpUnreach(unreach) => Some(&unreach.withdrawn_routes),
                _ => None,
            });
        let explicit = self.withdrawn_routes.iter().copied().map(IpNet::V4);
        explicit
            .chain(multiprotocol.flat_map(Prefixes::iter))
            .chain(self.reachable().take(count))
    }

    fn reachable(&self) -> impl Iterator<Item = IpNet> + '_ {
        let multiprotocol = self
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::MpReach(reach) => Some(&reach.nlri),
                _ => None,
            });
        self.nlri
            .iter()
            .copied()
            .map(IpNet::V4)
            .chain(multiprotocol.flat_map(Prefixes::iter))
    }

    pub(super) fn decode(body: &[u8], context: WireContext) -> Result<Self, Notification> {
        let (withdrawn_routes, rest) = long_value(body).ok_or_else(malformed)?;
        let (attributes, nlri) = long_value(rest).ok_or_else(malformed)?;
        let mut update = Self {
            withdrawn_routes: nlri::decode(withdrawn_routes)
                .map_err(|_| invalid_network_field())?,
            nlri: nlri::decode(nlri).map_err(|_| invalid_network_field())?,
            ..Self::default()
        };
        update.decode_attributes(attributes, context)?;
        update.require_mandatory_attributes();
        Ok(update)
    }

    fn decode_attributes(
        &mut self,
        mut input: &[u8],
        context: WireContext,
    ) -> Result<(), Notification> {
        let most = input.len() / MIN_ATTRIBUTE_LENGTH;
        self.attributes = Vec::with_capacity(most.min(USUAL_ATTRIBUTES));
        let mut seen = CodeSet::default();
        while !input.is_empty() {
            let Some((raw, rest)) = split_attribute(input) else {
                return self.truncated(input);
            };
            let repeated = !seen.insert(raw.code);
            match (repeated, raw.code) {
                // RFC 7606 §3g
                (true, type_code::MP_REACH_NLRI | type_code::MP_UNREACH_NLRI) => {
                    return Err(malformed());
                }
                (true, code) => self.error(code, AttributeAction::Discard),
                (false, _) => self.decode_attribute(&raw, context)?,
            }
            input = rest;
        }
        Ok(())
    }

    fn decode_attribute(
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
        let unreadable = || {
            let optional_attribute_error = subcode::update::OPTIONAL_ATTRIBUTE_ERROR;
            Notification::with_data(code::UPDATE_MESSAGE, optional_attribute_error, raw.whole)
        };
        let multiprotocol = match raw.code {
            type_code::MP_REACH_NLRI => MpReach::decode(raw.value)
                .ok_or_else(unreadable)?
                .map(|reach| Attribute::MpReach(Box::new(reach))),
            type_code::MP_UNREACH_NLRI => MpUnreach::decode(raw.value)
                .ok_or_else(unreadable)?
                .map(Attribute::MpUnreach),
            _ if !flags_agree => return Ok(()),
            _ => None,
        };
        let attribute = match multiprotocol {
            Some(attribute) => Ok(attribute),
            None => Attribute::decode(flags, raw.code, raw.value, context),
        };
        match attribute {
            Ok(attribute) => self.attributes.push(attribute),
            Err(action) => self.error(raw.code, action),
        }
        Ok(())
    }

    fn error(&mut self, code: u8, action: AttributeAction) {
        self.errors.push(AttributeError { code, action });
    }

    /// An attribute that overruns the list: what is behind Total Path Attribute Length is still
    /// legible (RFC 7606 §4), unless the prefixes may be in what is not.
    fn truncated(&mut self, input: &[u8]) -> Result<(), Notification> {
        let code = input.get(1).copied().unwrap_or_default();
        let hides_prefixes = matches!(code, type_code::MP_REACH_NLRI | type_code::MP_UNREACH_NLRI);
        let says_something = !self.withdrawn_routes.is_empty() || self.reachable().next().is_some();
        if hides_prefixes || !says_something {
            return Err(malformed());
        }
        self.error(code, AttributeAction::TreatAsWithdraw);
        Ok(())
    }

    /// Without them, what is announced means nothing (RFC 7606 §3d).
    fn require_mandatory_attributes(&mut self) {
        if self.reachable().next().is_none() {
            return;
        }
        let next_hop = (!self.nlri.is_empty()).then_some(type_code::NEXT_HOP);
        let always = [type_code::ORIGIN, type_code::AS_PATH];
        for code in always.into_iter().chain(next_hop) {
            let mut codes = self.attributes.iter().map(Attribute::code);
            if !codes.any(|present| present == code) {
                self.error(code, AttributeAction::TreatAsWithdraw);
            }
        }
    }

    pub(super) fn encode(&self, context: WireContext, out: &mut BytesMut) {
        put_section(out, |out| nlri::encode(&self.withdrawn_routes, out));
        put_section(out, |out| {
            for attribute in &self.attributes {
                attribute.encode(context, out);
            }
        });
        nlri::encode(&self.nlri, out);
    }
}

impl<T> Multiprotocol<T> {
    fn map(self, wrap: impl FnOnce(T) -> Attribute) -> Option<Attribute> {
        match self {
            Self::Unicast(value) => Some(wrap(value)),
            Self::Opaque => None,
        }
    }
}

/// Appends what `put` does, behind its length of two octets.
fn put_section(out: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u16(0);
    put(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX);
    set_u16(out, at, length);
}

fn malformed() -> Notification {
    Notification::new(
        code::UPDATE_MESSAGE,
        subcode::update::MALFORMED_ATTRIBUTE_LIST,
    )
}

fn invalid_network_field() -> Notification {
    Notification::new(code::UPDATE_MESSAGE, subcode::update::INVALID_NETWORK_FIELD)
}

struct RawAttribute<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    whole: &'a [u8],
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

/// A set of type codes, a bit for each.
#[derive(Default)]
struct CodeSet([u64; 4]);

impl CodeSet {
    /// Whether `code` was not in it.
    fn insert(&mut self, code: u8) -> bool {
        let bit = 1 << (code % 64);
        self.0
            .get_mut(usize::from(code / 64))
            .is_some_and(|word| std::mem::replace(word, *word | bit) & bit == 0)
    }
}

#[cfg(test)]
#[path = "update/tests.rs"]
mod tests;
