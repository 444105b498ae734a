//! What a caller wants said: prefixes with their attributes, in a speaker's words rather than the
//! wire's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use bytes::Bytes;

use crate::types::{
    Asn, Community, ExtendedCommunity, Family, Ipv6ExtendedCommunity, LargeCommunity, Origin,
};
use crate::wire::Attribute;

/// The attributes of a route that is announced from here. What the session itself decides (AS_PATH,
/// whether LOCAL_PREF may be said at all, the next hop unless there is one here) is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteAttributes {
    /// ORIGIN (RFC 4271 §5.1.1).
    pub origin: Origin,
    /// MULTI_EXIT_DISC (RFC 4271 §5.1.4): the lower wins, among routes of one neighboring AS.
    pub multi_exit_disc: Option<u32>,
    /// LOCAL_PREF (RFC 4271 §5.1.5): said to internal peers only, where it defaults to 100.
    pub local_pref: Option<u32>,
    /// How many times the own AS is prepended beyond what the protocol asks for. External peers
    /// only.
    pub as_path_prepend: u8,
    /// NEXT_HOP of an IPv4 route (RFC 4271 §5.1.3), in place of the session's.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Next hop of an IPv6 route (RFC 2545 §3), in place of the session's.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// ATOMIC_AGGREGATE (RFC 4271 §5.1.6): more specific routes are hidden behind this one.
    pub atomic_aggregate: bool,
    /// AGGREGATOR (RFC 4271 §5.1.7): who formed it out of more specific ones.
    pub aggregator: Option<AggregatedBy>,
    /// COMMUNITIES (RFC 1997); sorted and without duplicates on the wire.
    pub communities: Vec<Community>,
    /// LARGE_COMMUNITY (RFC 8092); sorted and without duplicates on the wire.
    pub large_communities: Vec<LargeCommunity>,
    /// EXTENDED COMMUNITIES (RFC 4360), sent to all as they are, also those that are not transitive;
    /// sorted and without duplicates on the wire.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// IPv6 EXTENDED COMMUNITIES (RFC 5701), likewise.
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// Attributes that this crate has no words for; one of each type.
    pub unknown: Vec<UnknownAttribute>,
    /// Further paths to the same prefix, for neighbors that take several (RFC 7911): at most 255.
    /// One that names a next hop of another family than the prefix's alone is none of its paths. The
    /// paths' own further paths do not count.
    pub additional_paths: Vec<Arc<Self>>,
}

impl RouteAttributes {
    /// Whether these can be the attributes of a path in `family`.
    pub(crate) const fn is_for(&self, family: Family) -> bool {
        let (own, other) = match family {
            Family::IPV4_UNICAST => (self.next_hop_v4.is_some(), self.next_hop_v6.is_some()),
            _ => (self.next_hop_v6.is_some(), self.next_hop_v4.is_some()),
        };
        own || !other
    }
}

/// Who formed an aggregate (RFC 4271 §5.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregatedBy {
    /// Its AS.
    pub asn: Asn,
    /// Its BGP Identifier, by convention.
    pub address: Ipv4Addr,
}

/// An optional transitive attribute of a type that this crate does not know (RFC 4271 §5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAttribute {
    code: u8,
    value: Bytes,
}

impl UnknownAttribute {
    /// `None` for a type that is known, and for a value longer than any attribute's, 65,535 octets.
    #[must_use]
    pub fn new(code: u8, value: Bytes) -> Option<Self> {
        let is_free = !Attribute::is_known(code) && value.len() <= usize::from(u16::MAX);
        is_free.then_some(Self { code, value })
    }

    /// Its type code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> &Bytes {
        &self.value
    }
}

/// Everything one session should have announced: the desired Adj-RIB-Out. Routes with equal
/// attributes should share them, for that is how they are packed into one UPDATE.
pub type Routes = BTreeMap<IpNet, Arc<RouteAttributes>>;
