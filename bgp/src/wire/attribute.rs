//! Path attributes (RFC 4271 §4.3, §5), one by one; the list of them is
//! [`Update`](super::Update)'s.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, Bytes, BytesMut};

use super::WireContext;
use super::as_path::{AsPath, two_octets};
use super::nlri::{self, PathIds, Prefixes};
use super::parse::{Parsed, be_u16, be_u32, octet, short_value};
use super::update::AttributeAction;
use crate::types::{
    Community, ExtendedCommunity, Family, Ipv6ExtendedCommunity, LargeCommunity, Origin,
};

/// Type codes (IANA, "BGP Path Attributes").
pub(crate) mod type_code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MULTI_EXIT_DISC: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH_NLRI: u8 = 14;
    pub(crate) const MP_UNREACH_NLRI: u8 = 15;
    pub(crate) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
    pub(crate) const LARGE_COMMUNITY: u8 = 32;
    pub(crate) const ONLY_TO_CUSTOMER: u8 = 35;
}

/// The high four bits of an attribute's first octet; the low four say nothing (RFC 4271 §4.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AttributeFlags(u8);

impl AttributeFlags {
    /// Every speaker knows it.
    pub const WELL_KNOWN: Self = Self(0x40);
    /// Not every speaker knows it, and one that does not drops it.
    pub const OPTIONAL_NON_TRANSITIVE: Self = Self(0x80);
    /// Not every speaker knows it, and one that does not hands it on.
    pub const OPTIONAL_TRANSITIVE: Self = Self(0xC0);

    const EXTENDED_LENGTH: u8 = 0x10;
    const PARTIAL: u8 = 0x20;

    pub(super) const fn from_octet(octet: u8) -> Self {
        Self(octet & 0xE0)
    }

    /// Whether an attribute that is not recognized can be ignored.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Whether an attribute that is not recognized is handed on.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Whether some speaker on the way handed it on without recognizing it.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.0 & Self::PARTIAL != 0
    }

    const fn without_partial(self) -> Self {
        Self(self.0 & !Self::PARTIAL)
    }
}

impl fmt::Debug for AttributeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// One path attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// Type 1, RFC 4271 §5.1.1.
    Origin(Origin),
    /// Type 2, RFC 4271 §5.1.2.
    AsPath(AsPath),
    /// Type 3, RFC 4271 §5.1.3.
    NextHop(Ipv4Addr),
    /// Type 4, RFC 4271 §5.1.4.
    MultiExitDisc(u32),
    /// Type 5, RFC 4271 §5.1.5.
    LocalPref(u32),
    /// Type 6, RFC 4271 §5.1.6.
    AtomicAggregate,
    /// Type 7, RFC 4271 §5.1.7.
    Aggregator(Aggregator),
    /// Type 8, RFC 1997.
    Communities(Vec<Community>),
    /// Type 14, RFC 4760 §3, of a unicast family.
    MpReach(Box<MpReach>),
    /// Type 15, RFC 4760 §4, of a unicast family.
    MpUnreach(Box<MpUnreach>),
    /// Type 16, RFC 4360.
    ExtendedCommunities(Vec<ExtendedCommunity>),
    /// Type 17: the path in four octets, beside an AS_PATH in two (RFC 6793 §3).
    As4Path(AsPath),
    /// Type 18: AGGREGATOR in four octets, beside one in two (RFC 6793 §3).
    As4Aggregator(Aggregator),
    /// Type 25, RFC 5701.
    Ipv6ExtendedCommunities(Vec<Ipv6ExtendedCommunity>),
    /// Type 32, RFC 8092.
    LargeCommunities(Vec<LargeCommunity>),
    /// Type 35: the AS from which on the route goes to customers only (RFC 9234 §5).
    OnlyToCustomer(u32),
    /// Any other, and what families other than unicast put into types 14 and 15.
    Unknown {
        /// Its flags.
        flags: AttributeFlags,
        /// Its type code.
        code: u8,
        /// Its value.
        value: Bytes,
    },
}

/// AGGREGATOR: who formed an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregator {
    /// Its AS, or AS_TRANS.
    pub asn: u32,
    /// Its BGP Identifier, by convention.
    pub address: Ipv4Addr,
}

/// Where to send what is for the prefixes of an MP_REACH_NLRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpNextHop {
    /// Four octets.
    V4(Ipv4Addr),
    /// Sixteen octets.
    V6(Ipv6Addr),
    /// Thirty-two octets: a global address and, on a shared link, the link-local one (RFC 2545 §3).
    V6WithLinkLocal(Ipv6Addr, Ipv6Addr),
}

/// MP_REACH_NLRI: prefixes of a unicast family and their next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpReach {
    /// The next hop; IPv6 for IPv4 prefixes too where RFC 8950 was agreed upon.
    pub next_hop: MpNextHop,
    /// The prefixes; they say the family.
    pub nlri: Prefixes,
    /// Which paths to them.
    pub path_ids: PathIds,
}

/// MP_UNREACH_NLRI: prefixes of a unicast family that are no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpUnreach {
    /// The prefixes; none at all is End-of-RIB (RFC 4724 §2).
    pub withdrawn_routes: Prefixes,
    /// Which paths to them.
    pub path_ids: PathIds,
}

impl Prefixes {
    /// The family they are of.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::IPV4_UNICAST,
            Self::V6(_) => Family::IPV6_UNICAST,
        }
    }
}

fn be_address(value: &[u8]) -> Option<Ipv4Addr> {
    value.try_into().ok().map(<Ipv4Addr as From<[u8; 4]>>::from)
}

impl Attribute {
    /// The flags that an attribute of this type has; `None` when the type is not known.
    pub(super) const fn expected_flags(code: u8) -> Option<AttributeFlags> {
        Some(match code {
            type_code::ORIGIN
            | type_code::AS_PATH
            | type_code::NEXT_HOP
            | type_code::LOCAL_PREF
            | type_code::ATOMIC_AGGREGATE => AttributeFlags::WELL_KNOWN,
            type_code::MULTI_EXIT_DISC
            | type_code::ORIGINATOR_ID
            | type_code::CLUSTER_LIST
            | type_code::MP_REACH_NLRI
            | type_code::MP_UNREACH_NLRI => AttributeFlags::OPTIONAL_NON_TRANSITIVE,
            type_code::AGGREGATOR
            | type_code::COMMUNITIES
            | type_code::EXTENDED_COMMUNITIES
            | type_code::AS4_PATH
            | type_code::AS4_AGGREGATOR
            | type_code::IPV6_EXTENDED_COMMUNITIES
            | type_code::LARGE_COMMUNITY
            | type_code::ONLY_TO_CUSTOMER => AttributeFlags::OPTIONAL_TRANSITIVE,
            _ => return None,
        })
    }

    /// Whether attributes of this type have a form of their own here.
    pub(crate) const fn is_known(code: u8) -> bool {
        Self::expected_flags(code).is_some()
    }

    pub(super) fn unknown(flags: AttributeFlags, code: u8, value: &[u8]) -> Self {
        let value = Bytes::copy_from_slice(value);
        Self::Unknown { flags, code, value }
    }

    /// What stands in a place until an attribute is read into it: the one that takes most to make
    /// and is nearly always there.
    pub(super) const VACANT: Self = Self::AsPath(AsPath::EMPTY);

    /// Makes an attribute where it will stand, in a vacant place: moving it there would take longer
    /// than reading it.
    #[inline(always)]
    pub(super) fn fill(&mut self, attribute: Self) {
        // A vacant place owns nothing, and need not be asked.
        std::mem::forget(std::mem::replace(self, attribute));
    }

    /// Reads a value whose flags are those of its type into this place, which is
    /// [`VACANT`](Self::VACANT). MP_REACH_NLRI and MP_UNREACH_NLRI are read by their own functions.
    ///
    /// # Errors
    /// What RFC 7606 §7 says to do about it.
    pub(super) fn decode(
        &mut self,
        flags: AttributeFlags,
        code: u8,
        value: &[u8],
        context: WireContext,
    ) -> Result<(), AttributeAction> {
        use AttributeAction::{Discard, TreatAsWithdraw};
        match code {
            type_code::ORIGIN => self.fill(Self::Origin(origin(value).ok_or(TreatAsWithdraw)?)),
            type_code::AS_PATH => {
                if let Self::AsPath(path) = self {
                    path.decode(value, context.four_octet_as)
                        .ok_or(TreatAsWithdraw)?;
                }
            }
            type_code::NEXT_HOP => {
                self.fill(Self::NextHop(be_address(value).ok_or(TreatAsWithdraw)?));
            }
            type_code::MULTI_EXIT_DISC => {
                self.fill(Self::MultiExitDisc(number(value).ok_or(TreatAsWithdraw)?));
            }
            // RFC 7606 §7.5, §7.9, §7.10: from an external neighbor these say nothing.
            type_code::LOCAL_PREF | type_code::ORIGINATOR_ID | type_code::CLUSTER_LIST
                if !context.internal =>
            {
                return Err(Discard);
            }
            type_code::LOCAL_PREF => {
                self.fill(Self::LocalPref(number(value).ok_or(TreatAsWithdraw)?));
            }
            type_code::ATOMIC_AGGREGATE if value.is_empty() => self.fill(Self::AtomicAggregate),
            type_code::ATOMIC_AGGREGATE => return Err(Discard),
            type_code::AGGREGATOR => {
                let aggregator = aggregator(value, context.four_octet_as).ok_or(Discard)?;
                self.fill(Self::Aggregator(aggregator));
            }
            type_code::COMMUNITIES => {
                let community = |octets| Community(u32::from_be_bytes(octets));
                let communities = list(value, community).ok_or(TreatAsWithdraw)?;
                self.fill(Self::Communities(communities));
            }
            type_code::LARGE_COMMUNITY => {
                let communities = list(value, large_community).ok_or(TreatAsWithdraw)?;
                self.fill(Self::LargeCommunities(communities));
            }
            type_code::AS4_PATH if context.four_octet_as => return Err(Discard), // RFC 6793 §4.1
            type_code::AS4_PATH => {
                self.fill(Self::As4Path(AsPath::EMPTY));
                if let Self::As4Path(path) = self {
                    path.decode_as4(value)?;
                }
            }
            type_code::AS4_AGGREGATOR if context.four_octet_as => return Err(Discard),
            type_code::AS4_AGGREGATOR => {
                self.fill(Self::As4Aggregator(aggregator(value, true).ok_or(Discard)?));
            }
            // RFC 9234 §5
            type_code::ONLY_TO_CUSTOMER => {
                self.fill(Self::OnlyToCustomer(number(value).ok_or(TreatAsWithdraw)?));
            }
            type_code::ORIGINATOR_ID if value.len() != 4 => return Err(TreatAsWithdraw),
            type_code::CLUSTER_LIST if value.is_empty() || !value.len().is_multiple_of(4) => {
                return Err(TreatAsWithdraw);
            }
            type_code::EXTENDED_COMMUNITIES => {
                let communities = list(value, ExtendedCommunity).ok_or(TreatAsWithdraw)?;
                self.fill(Self::ExtendedCommunities(communities));
            }
            type_code::IPV6_EXTENDED_COMMUNITIES => {
                let communities = list(value, Ipv6ExtendedCommunity).ok_or(TreatAsWithdraw)?;
                self.fill(Self::Ipv6ExtendedCommunities(communities));
            }
            _ => self.fill(Self::unknown(flags, code, value)),
        }
        Ok(())
    }

    /// Its type code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Origin(_) => type_code::ORIGIN,
            Self::AsPath(_) => type_code::AS_PATH,
            Self::NextHop(_) => type_code::NEXT_HOP,
            Self::MultiExitDisc(_) => type_code::MULTI_EXIT_DISC,
            Self::LocalPref(_) => type_code::LOCAL_PREF,
            Self::AtomicAggregate => type_code::ATOMIC_AGGREGATE,
            Self::Aggregator(_) => type_code::AGGREGATOR,
            Self::Communities(_) => type_code::COMMUNITIES,
            Self::MpReach(_) => type_code::MP_REACH_NLRI,
            Self::MpUnreach(_) => type_code::MP_UNREACH_NLRI,
            Self::ExtendedCommunities(_) => type_code::EXTENDED_COMMUNITIES,
            Self::As4Path(_) => type_code::AS4_PATH,
            Self::As4Aggregator(_) => type_code::AS4_AGGREGATOR,
            Self::Ipv6ExtendedCommunities(_) => type_code::IPV6_EXTENDED_COMMUNITIES,
            Self::LargeCommunities(_) => type_code::LARGE_COMMUNITY,
            Self::OnlyToCustomer(_) => type_code::ONLY_TO_CUSTOMER,
            Self::Unknown { code, .. } => *code,
        }
    }

    fn flags(&self) -> AttributeFlags {
        match self {
            Self::Unknown { flags, .. } => *flags,
            known => {
                Self::expected_flags(known.code()).unwrap_or(AttributeFlags::OPTIONAL_TRANSITIVE)
            }
        }
    }

    /// Appends flags, type, length and value. A length above 255 takes the extended form.
    pub(crate) fn encode(&self, context: WireContext, out: &mut BytesMut) {
        let length = self.value_length(context);
        match u8::try_from(length) {
            Ok(length) => out.put_slice(&[self.flags().0, self.code(), length]),
            Err(_) => {
                let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
                let flags = self.flags().0 | AttributeFlags::EXTENDED_LENGTH;
                out.put_slice(&[flags, self.code(), high, low]);
            }
        }
        self.encode_value(context, out);
    }

    fn value_length(&self, context: WireContext) -> usize {
        match self {
            Self::Origin(_) => 1,
            Self::AsPath(path) => path.encoded_length(context.four_octet_as),
            Self::As4Path(path) => path.encoded_length(true),
            Self::NextHop(_)
            | Self::MultiExitDisc(_)
            | Self::LocalPref(_)
            | Self::OnlyToCustomer(_) => 4,
            Self::AtomicAggregate => 0,
            Self::Aggregator(_) => {
                if context.four_octet_as {
                    8
                } else {
                    6
                }
            }
            Self::Communities(communities) => 4 * communities.len(),
            Self::ExtendedCommunities(communities) => 8 * communities.len(),
            Self::As4Aggregator(_) => 8,
            Self::Ipv6ExtendedCommunities(communities) => 20 * communities.len(),
            Self::LargeCommunities(communities) => 12 * communities.len(),
            Self::MpReach(reach) => {
                5 + reach.next_hop.encoded_length()
                    + reach.nlri.encoded_length()
                    + 4 * reach.path_ids.len()
            }
            Self::MpUnreach(unreach) => {
                3 + unreach.withdrawn_routes.encoded_length() + 4 * unreach.path_ids.len()
            }
            Self::Unknown { value, .. } => value.len(),
        }
    }

    fn encode_value(&self, context: WireContext, out: &mut BytesMut) {
        match self {
            Self::Origin(origin) => out.put_u8(*origin as u8),
            Self::AsPath(path) => path.encode(context.four_octet_as, out),
            Self::As4Path(path) => path.encode(true, out),
            Self::NextHop(address) => out.put_slice(&address.octets()),
            Self::MultiExitDisc(value) | Self::LocalPref(value) | Self::OnlyToCustomer(value) => {
                out.put_u32(*value);
            }
            Self::AtomicAggregate => {}
            Self::Aggregator(Aggregator { asn, address }) => {
                if context.four_octet_as {
                    out.put_u32(*asn)
                } else {
                    out.put_u16(two_octets(*asn))
                }
                out.put_slice(&address.octets());
            }
            Self::Communities(communities) => communities
                .iter()
                .for_each(|community| out.put_u32(community.0)),
            Self::ExtendedCommunities(communities) => communities
                .iter()
                .for_each(|community| out.put_slice(&community.0)),
            Self::As4Aggregator(Aggregator { asn, address }) => {
                out.put_u32(*asn);
                out.put_slice(&address.octets());
            }
            Self::Ipv6ExtendedCommunities(communities) => communities
                .iter()
                .for_each(|community| out.put_slice(&community.0)),
            Self::LargeCommunities(communities) => {
                for community in communities {
                    out.put_u32(community.global_administrator);
                    out.put_u32(community.local_data_1);
                    out.put_u32(community.local_data_2);
                }
            }
            Self::MpReach(reach) => reach.encode(out),
            Self::MpUnreach(unreach) => {
                put_family(unreach.withdrawn_routes.family(), out);
                unreach.withdrawn_routes.encode(&unreach.path_ids, out);
            }
            Self::Unknown { value, .. } => out.put_slice(value),
        }
    }
}

fn origin(value: &[u8]) -> Option<Origin> {
    match value {
        [0] => Some(Origin::Igp),
        [1] => Some(Origin::Egp),
        [2] => Some(Origin::Incomplete),
        _ => None,
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn aggregator(value: &[u8], four_octets: bool) -> Option<Aggregator> {
    let (asn, address) = if four_octets {
        be_u32(value)?
    } else {
        let (asn, address) = be_u16(value)?;
        (u32::from(asn), address)
    };
    let aggregator = Aggregator {
        asn,
        address: be_address(address)?,
    };
    (aggregator.asn != 0).then_some(aggregator) // RFC 7607 §2
}

/// A list of values of `N` octets, one at least (RFC 7606 §7.8, RFC 8092 §5).
fn list<T, const N: usize>(value: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (values, rest) = value.as_chunks::<N>();
    (!values.is_empty() && rest.is_empty())
        .then(|| values.iter().map(|octets| read(*octets)).collect())
}

fn large_community(octets: [u8; 12]) -> LargeCommunity {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = octets;
    LargeCommunity {
        global_administrator: u32::from_be_bytes([a0, a1, a2, a3]),
        local_data_1: u32::from_be_bytes([b0, b1, b2, b3]),
        local_data_2: u32::from_be_bytes([c0, c1, c2, c3]),
    }
}

fn put_family(family: Family, out: &mut BytesMut) {
    out.put_u16(family.afi);
    out.put_u8(family.safi);
}

fn family(input: &[u8]) -> Parsed<'_, Family> {
    let (afi, rest) = be_u16(input)?;
    let (safi, rest) = octet(rest)?;
    Some((Family { afi, safi }, rest))
}

fn prefixes(family: Family, input: &[u8], context: WireContext) -> Option<(Prefixes, PathIds)> {
    match family {
        Family::IPV4_UNICAST => {
            let (prefixes, path_ids) = nlri::decode_paths(input, context.path_ids_v4).ok()?;
            Some((Prefixes::V4(prefixes), path_ids))
        }
        Family::IPV6_UNICAST => {
            let (prefixes, path_ids) = nlri::decode_paths(input, context.path_ids_v6).ok()?;
            Some((Prefixes::V6(prefixes), path_ids))
        }
        _ => None,
    }
}

impl MpNextHop {
    /// The address to send to. Of a pair it is the link-local one where the other is none, or
    /// link-local too; that means something on the link of the connection only (RFC 2545 §3).
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match *self {
            Self::V4(address) => address.into(),
            Self::V6(address) => address.into(),
            Self::V6WithLinkLocal(global, link_local)
                if global.is_unspecified() || global.is_unicast_link_local() =>
            {
                link_local.into()
            }
            Self::V6WithLinkLocal(global, _) => global.into(),
        }
    }

    const fn encoded_length(&self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 16,
            Self::V6WithLinkLocal(..) => 32,
        }
    }

    fn decode(value: &[u8]) -> Option<Self> {
        match value.len() {
            4 => be_address(value).map(Self::V4),
            16 => Some(Self::V6(v6_address(value)?)),
            32 => {
                let (global, link_local) = value.split_at_checked(16)?;
                Some(Self::V6WithLinkLocal(
                    v6_address(global)?,
                    v6_address(link_local)?,
                ))
            }
            _ => None,
        }
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::V4(address) => out.put_slice(&address.octets()),
            Self::V6(address) => out.put_slice(&address.octets()),
            Self::V6WithLinkLocal(global, link_local) => {
                out.put_slice(&global.octets());
                out.put_slice(&link_local.octets());
            }
        }
    }
}

fn v6_address(value: &[u8]) -> Option<Ipv6Addr> {
    value
        .try_into()
        .ok()
        .map(<Ipv6Addr as From<[u8; 16]>>::from)
}

impl MpReach {
    /// Prefixes of which there is one path each.
    #[must_use]
    pub fn new(next_hop: MpNextHop, nlri: Prefixes) -> Self {
        Self {
            next_hop,
            nlri,
            path_ids: PathIds::default(),
        }
    }

    /// `None` when it cannot be read (RFC 4760 §7, RFC 7606 §7.11); nothing in it when it is of a
    /// family that is not read here.
    pub(super) fn decode(value: &[u8], context: WireContext) -> Option<Option<Self>> {
        let (family, rest) = family(value)?;
        if !matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST) {
            return Some(None);
        }
        let (next_hop, rest) = short_value(rest)?;
        let next_hop = MpNextHop::decode(next_hop)?;
        if family == Family::IPV6_UNICAST && matches!(next_hop, MpNextHop::V4(_)) {
            return None;
        }
        let (_reserved, nlri) = octet(rest)?;
        let (nlri, path_ids) = prefixes(family, nlri, context)?;
        Some(Some(Self {
            next_hop,
            nlri,
            path_ids,
        }))
    }

    fn encode(&self, out: &mut BytesMut) {
        put_family(self.nlri.family(), out);
        out.put_u8(u8::try_from(self.next_hop.encoded_length()).unwrap_or(u8::MAX));
        self.next_hop.encode(out);
        out.put_u8(0);
        self.nlri.encode(&self.path_ids, out);
    }
}

impl MpUnreach {
    /// Prefixes of which there is one path each.
    #[must_use]
    pub fn new(withdrawn_routes: Prefixes) -> Self {
        Self {
            withdrawn_routes,
            path_ids: PathIds::default(),
        }
    }

    /// `None` when it cannot be read; nothing in it when it is of a family that is not read here.
    pub(super) fn decode(value: &[u8], context: WireContext) -> Option<Option<Self>> {
        let (family, rest) = family(value)?;
        if !matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST) {
            return Some(None);
        }
        let (withdrawn_routes, path_ids) = prefixes(family, rest, context)?;
        Some(Some(Self {
            withdrawn_routes,
            path_ids,
        }))
    }
}

impl AttributeFlags {
    /// Whether Optional and Transitive are as `expected`; Partial does not count (RFC 7606 §3c).
    pub(super) fn agree_with(self, expected: Self) -> bool {
        self.without_partial() == expected
    }
}
