//! How routes are written on one session, and the UPDATEs that say them (RFC 4271 §4.3, RFC 4760).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use bytes::{BufMut, BytesMut};

use super::table::Path;
use crate::route::RouteAttributes;
use crate::types::{Asn, Community, Family};
use crate::wire::{
    self, Aggregator, AsPath, Attribute, AttributeFlags, MessageType, MpNextHop, WireContext,
};

/// LOCAL_PREF of a route that asks for none, towards internal peers (RFC 4271 §5.1.5 leaves it to
/// local policy; everyone says 100).
const DEFAULT_LOCAL_PREF: u32 = 100;
/// LOCAL_PREF of a route that is about to go (RFC 8326 §4).
const LAST_RESORT: u32 = 0;

/// How this session writes routes: everything that makes its octets differ from another session's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) local_as: Asn,
    pub(crate) wire: WireContext,
    /// Octets that a message may have.
    pub(crate) limit: usize,
    pub(crate) next_hop_v4: Option<Ipv4Addr>,
    pub(crate) next_hop_v6: Option<MpNextHop>,
    /// IPv4 routes that have no next hop of their own family may have one of the other (RFC 8950).
    pub(crate) extended_next_hop: bool,
    /// The AS that Only To Customer names (RFC 9234 §5).
    pub(crate) only_to_customer: Option<Asn>,
    /// Every route is said to be about to go (RFC 8326 §4).
    pub(crate) graceful_shutdown: bool,
    /// Families of which the neighbor takes several paths to a prefix (RFC 7911).
    pub(crate) add_path: Vec<Family>,
    /// Negotiated families, in the order in which they are sent.
    pub(crate) families: Vec<Family>,
}

impl Dialect {
    pub(super) fn next_hop(&self, family: Family) -> Option<IpAddr> {
        if family != Family::IPV4_UNICAST {
            return self.next_hop_v6.map(|next_hop| next_hop.address());
        }
        let extended = self.next_hop_v6.filter(|_| self.extended_next_hop);
        self.next_hop_v4
            .map(IpAddr::V4)
            .or(extended.map(|next_hop| next_hop.address()))
    }

    /// Whether a route of `family` stands in MP_REACH_NLRI: with IPv4, if its next hop is not.
    fn is_multiprotocol(&self, family: Family, route: &RouteAttributes) -> bool {
        family != Family::IPV4_UNICAST || route.next_hop_v4.or(self.next_hop_v4).is_none()
    }

    /// Whether several paths are told of this family; each has an identifier then.
    pub(super) fn says_several(&self, family: Family) -> bool {
        self.add_path.contains(&family)
    }

    /// Whether this path is told: the first is to everybody.
    pub(super) fn says(&self, path: &Path) -> bool {
        path.is_first() || self.says_several(path.family())
    }

    /// Whether routes of `family` can be said: it was negotiated, and there is a next hop to name.
    pub(super) fn speaks(&self, family: Family) -> bool {
        self.next_hop(family).is_some() && self.families.contains(&family)
    }
}

/// Octets of a withdrawal before its prefixes, of the family that needs most: header, two section
/// lengths, the attribute's head and its family.
const WITHDRAWAL_OVERHEAD: usize = wire::HEADER_LENGTH + 4 + 4 + 3;
/// Octets of an announcement beside its attributes and prefixes: as above, with the longest next
/// hop, its length and the reserved octet.
const ANNOUNCEMENT_OVERHEAD: usize = WITHDRAWAL_OVERHEAD + 1 + 32 + 1;

impl Dialect {
    /// Octets that prefixes may take in a withdrawal.
    pub(super) const fn withdrawal_room(&self) -> usize {
        self.limit.saturating_sub(WITHDRAWAL_OVERHEAD)
    }

    /// Octets that prefixes may take beside encoded attributes.
    pub(super) const fn announcement_room(&self, attributes: &[u8]) -> usize {
        self.limit
            .saturating_sub(ANNOUNCEMENT_OVERHEAD + attributes.len())
    }
}

/// IPv4 prefixes stand in NLRI, others, and those with an IPv6 next hop, in MP_REACH_NLRI.
pub(super) fn put_announcement(
    family: Family,
    route: &RouteAttributes,
    attributes: &[u8],
    prefixes: &[u8],
    dialect: &Dialect,
    out: &mut BytesMut,
) {
    if !dialect.is_multiprotocol(family, route) {
        return put_update(&[], &[attributes], prefixes, out);
    }
    let reach = mp_reach(family, route, dialect, prefixes.len());
    put_update(&[], &[&reach, prefixes, attributes], &[], out);
}

/// IPv4 prefixes stand in Withdrawn Routes, others, and those that had an IPv6 next hop, in
/// MP_UNREACH_NLRI.
pub(super) fn put_withdrawal(
    family: Family,
    prefixes: &[u8],
    dialect: &Dialect,
    out: &mut BytesMut,
) {
    if family == Family::IPV4_UNICAST
        && !(dialect.extended_next_hop && dialect.next_hop_v4.is_none())
    {
        return put_update(prefixes, &[], &[], out);
    }
    put_unreach(family, prefixes, out);
}

/// A withdrawal of nothing; of IPv4 an UPDATE that says nothing at all (RFC 4724 §2).
pub(super) fn put_end_of_rib(family: Family, out: &mut BytesMut) {
    if family == Family::IPV4_UNICAST {
        return put_update(&[], &[], &[], out);
    }
    put_unreach(family, &[], out);
}

fn put_unreach(family: Family, prefixes: &[u8], out: &mut BytesMut) {
    let unreach = mp_attribute(wire::type_code::MP_UNREACH_NLRI, family, 3 + prefixes.len());
    put_update(&[], &[&unreach, prefixes], &[], out);
}

fn put_update(withdrawn_routes: &[u8], attributes: &[&[u8]], nlri: &[u8], out: &mut BytesMut) {
    let start = out.len();
    let attributes_length = attributes.iter().map(|part| part.len()).sum();
    wire::put_header(out, MessageType::Update);
    out.put_u16(length_field(withdrawn_routes.len()));
    out.put_slice(withdrawn_routes);
    out.put_u16(length_field(attributes_length));
    attributes.iter().for_each(|part| out.put_slice(part));
    out.put_slice(nlri);
    wire::set_length(out, start);
}

/// Every length here is below that of the message, which fits.
fn length_field(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Head of an optional attribute with extended length, and the family its value begins with.
fn mp_attribute(code: u8, family: Family, length: usize) -> BytesMut {
    let mut head = BytesMut::new();
    head.put_slice(&[0x90, code]);
    head.put_u16(length_field(length));
    head.put_u16(family.afi);
    head.put_u8(family.safi);
    head
}

/// MP_REACH_NLRI up to where its prefixes begin.
fn mp_reach(
    family: Family,
    route: &RouteAttributes,
    dialect: &Dialect,
    prefixes_length: usize,
) -> BytesMut {
    let mut next_hop = BytesMut::new();
    let of_route = route.next_hop_v6.map(MpNextHop::V6);
    if let Some(address) = of_route.or(dialect.next_hop_v6) {
        address.encode(&mut next_hop);
    }
    let length = 3 + 1 + next_hop.len() + 1 + prefixes_length;
    let mut reach = mp_attribute(wire::type_code::MP_REACH_NLRI, family, length);
    reach.put_u8(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
    reach.put_slice(&next_hop);
    reach.put_u8(0);
    reach
}

pub(super) fn encode_attributes(
    family: Family,
    route: &RouteAttributes,
    dialect: &Dialect,
) -> BytesMut {
    let mut octets = BytesMut::new();
    for attribute in path_attributes(family, route, dialect) {
        attribute.encode(dialect.wire, &mut octets);
    }
    octets
}

/// What is said of a route that begins here, by ascending type code (RFC 4271 §5). MP_REACH_NLRI is
/// not among them: it goes first (RFC 7606 §5.1).
pub(super) fn path_attributes(
    family: Family,
    route: &RouteAttributes,
    dialect: &Dialect,
) -> Vec<Attribute> {
    let RouteAttributes {
        origin,
        multi_exit_disc,
        local_pref,
        as_path_prepend,
        next_hop_v4,
        next_hop_v6: _, // in MP_REACH_NLRI
        atomic_aggregate,
        aggregator,
        communities,
        large_communities,
        extended_communities,
        ipv6_extended_communities,
        unknown,
        additional_paths: _, // routes of their own
    } = route;
    let only_to_customer = dialect.only_to_customer.map(Asn::value);
    let as_path = as_path(*as_path_prepend, dialect);
    let as4_path =
        (!dialect.wire.four_octet_as && as_path.needs_four_octets()).then(|| as_path.clone());
    let next_hop = next_hop_v4
        .or(dialect.next_hop_v4)
        .filter(|_| family == Family::IPV4_UNICAST);
    // RFC 8326 §4: the least there is, so that any other path is better.
    let local_pref = match dialect.graceful_shutdown {
        true => LAST_RESORT,
        false => local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
    };
    // RFC 4271 §5.1.5: always to internal peers, never to external ones.
    let local_pref = dialect.wire.internal.then_some(local_pref);
    let aggregator = aggregator.map(|by| Aggregator {
        asn: by.asn.value(),
        address: by.address,
    });
    // RFC 6793 §4.2.2: the same for AGGREGATOR.
    let needs_four_octets = |by: &Aggregator| by.asn > u32::from(u16::MAX);
    let as4_aggregator =
        aggregator.filter(|by| !dialect.wire.four_octet_as && needs_four_octets(by));
    let known = [
        Some(Attribute::Origin(*origin)),
        Some(Attribute::AsPath(as_path)),
        next_hop.map(Attribute::NextHop),
        multi_exit_disc.map(Attribute::MultiExitDisc),
        local_pref.map(Attribute::LocalPref),
        atomic_aggregate.then_some(Attribute::AtomicAggregate),
        aggregator.map(Attribute::Aggregator),
        list(
            &communities_said(communities, dialect),
            Attribute::Communities,
        ),
        list(extended_communities, Attribute::ExtendedCommunities),
        as4_path.map(Attribute::As4Path),
        as4_aggregator.map(Attribute::As4Aggregator),
        list(
            ipv6_extended_communities,
            Attribute::Ipv6ExtendedCommunities,
        ),
        list(large_communities, Attribute::LargeCommunities),
        only_to_customer.map(Attribute::OnlyToCustomer),
    ];
    let known = known.into_iter().flatten();
    if unknown.is_empty() {
        return known.collect();
    }
    let unknown = unknown.iter().map(|attribute| Attribute::Unknown {
        flags: AttributeFlags::OPTIONAL_TRANSITIVE,
        code: attribute.code(),
        value: attribute.value().clone(),
    });
    let by_code = known
        .chain(unknown)
        .map(|attribute| (attribute.code(), attribute));
    // Of two of a type the second would be discarded by whoever receives them.
    by_code
        .rev()
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

/// Those of the route, and GRACEFUL_SHUTDOWN where it is about to go.
fn communities_said<'r>(communities: &'r [Community], dialect: &Dialect) -> Cow<'r, [Community]> {
    if !dialect.graceful_shutdown {
        return Cow::Borrowed(communities);
    }
    let leaving = [Community::GRACEFUL_SHUTDOWN];
    Cow::Owned([communities, &leaving].concat())
}

/// A list of communities, sorted and each once; nothing for an empty one, which would be malformed
/// (RFC 7606 §7.8).
fn list<T: Ord + Copy>(values: &[T], attribute: impl Fn(Vec<T>) -> Attribute) -> Option<Attribute> {
    (!values.is_empty()).then(|| attribute(sorted(values)))
}

/// Empty towards internal peers, the own AS towards external ones (RFC 4271 §5.1.2), once more for
/// each prepend.
fn as_path(prepend: u8, dialect: &Dialect) -> AsPath {
    if dialect.wire.internal {
        return AsPath::default();
    }
    AsPath::sequence(&vec![dialect.local_as.value(); 1 + usize::from(prepend)])
}

fn sorted<T: Ord + Copy>(values: &[T]) -> Vec<T> {
    values
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
