//! UPDATE (RFC 4271 §4.3, RFC 4760), and what its errors lead to (RFC 7606).

use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net};

use super::attribute::Attribute;
use super::attribute_list::{AttributeList, Truncated, is_multiprotocol};
use super::notification::{Notification, code, subcode};
use super::parse::long_value;
use super::{PathIds, WireContext, as4, nlri, put_section};
use crate::types::Family;

/// An UPDATE, everything in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4 prefixes that are no more.
    pub withdrawn_routes: Vec<Ipv4Net>,
    /// Which paths to them.
    pub withdrawn_path_ids: PathIds,
    /// What is said of the others, MP_REACH_NLRI and MP_UNREACH_NLRI included.
    pub attributes: Vec<Attribute>,
    /// IPv4 prefixes that it is said of.
    pub nlri: Vec<Ipv4Net>,
    /// Which paths to them.
    pub nlri_path_ids: PathIds,
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
        self.announced_paths().map(|(prefix, _)| prefix)
    }

    /// As [`announced`](Self::announced), with path identifiers (RFC 7911 §3) where there are any.
    pub fn announced_paths(&self) -> impl Iterator<Item = (IpNet, Option<u32>)> + '_ {
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
        self.withdrawn_paths().map(|(prefix, _)| prefix)
    }

    /// As [`withdrawn`](Self::withdrawn), with path identifiers (RFC 7911 §3) where there are any.
    pub fn withdrawn_paths(&self) -> impl Iterator<Item = (IpNet, Option<u32>)> + '_ {
        let count = if self.is_treated_as_withdraw() {
            usize::MAX
        } else {
            0
        };
        let multiprotocol = self
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::MpUnreach(unreach) => Some(unreach),
                _ => None,
            });
        let multiprotocol = multiprotocol
            .flat_map(|unreach| nlri::paths(unreach.withdrawn_routes.iter(), &unreach.path_ids));
        let explicit = self.withdrawn_routes.iter().copied().map(IpNet::V4);
        nlri::paths(explicit, &self.withdrawn_path_ids)
            .chain(multiprotocol)
            .chain(self.reachable().take(count))
    }

    fn reachable(&self) -> impl Iterator<Item = (IpNet, Option<u32>)> + '_ {
        let multiprotocol = self
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::MpReach(reach) => Some(reach),
                _ => None,
            });
        let multiprotocol =
            multiprotocol.flat_map(|reach| nlri::paths(reach.nlri.iter(), &reach.path_ids));
        let nlri = self.nlri.iter().copied().map(IpNet::V4);
        nlri::paths(nlri, &self.nlri_path_ids).chain(multiprotocol)
    }

    pub(super) fn decode(body: &[u8], context: WireContext) -> Result<Self, Notification> {
        let (withdrawn_routes, rest) = long_value(body).ok_or_else(malformed)?;
        let (attributes, nlri) = long_value(rest).ok_or_else(malformed)?;
        let (withdrawn_routes, withdrawn_path_ids) =
            nlri::decode_paths(withdrawn_routes, context.path_ids_v4)
                .map_err(|_| invalid_network_field())?;
        let (nlri, nlri_path_ids) =
            nlri::decode_paths(nlri, context.path_ids_v4).map_err(|_| invalid_network_field())?;
        let mut list = AttributeList::default();
        if let Err(Truncated { code }) = list.read(attributes, context)? {
            // What is behind Total Path Attribute Length is still legible (RFC 7606 §4), unless the
            // prefixes may be in what is not.
            let hides_prefixes = is_multiprotocol(code);
            let says_something = !withdrawn_routes.is_empty() || list.announces(&nlri);
            if hides_prefixes || !says_something {
                return Err(malformed());
            }
            list.error(code, AttributeAction::TreatAsWithdraw);
        }
        list.require_mandatory(&nlri);
        if !context.four_octet_as {
            as4::merge(&mut list.attributes);
        }
        Ok(Self {
            withdrawn_routes,
            withdrawn_path_ids,
            attributes: list.attributes,
            nlri,
            nlri_path_ids,
            errors: list.errors,
        })
    }

    pub(super) fn encode(&self, context: WireContext, out: &mut BytesMut) {
        put_section(out, |out| {
            nlri::encode_paths(&self.withdrawn_routes, &self.withdrawn_path_ids, out);
        });
        put_section(out, |out| {
            for attribute in &self.attributes {
                attribute.encode(context, out);
            }
            if !context.four_octet_as {
                as4::companions(&self.attributes)
                    .for_each(|attribute| attribute.encode(context, out));
            }
        });
        nlri::encode_paths(&self.nlri, &self.nlri_path_ids, out);
    }
}

pub(super) fn malformed() -> Notification {
    Notification::new(
        code::UPDATE_MESSAGE,
        subcode::update::MALFORMED_ATTRIBUTE_LIST,
    )
}

fn invalid_network_field() -> Notification {
    Notification::new(code::UPDATE_MESSAGE, subcode::update::INVALID_NETWORK_FIELD)
}

#[cfg(test)]
#[path = "update/tests.rs"]
mod tests;
