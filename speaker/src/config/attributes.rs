//! What is said of a route, in the words that the file, the API and the command line share.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp::{
    AggregatedBy, Asn, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity,
    RouteAttributes,
};
use ipnet::IpNet;

/// A community of any kind.
#[derive(Clone, Copy, Debug)]
pub enum AnyCommunity {
    /// RFC 1997.
    Plain(Community),
    /// RFC 8092, written with "large:" in front.
    Large(LargeCommunity),
    /// RFC 4360, written with "rt:", "soo:" or "ext:" in front.
    Extended(ExtendedCommunity),
    /// RFC 5701, as above with an IPv6 address in brackets, or with "ext6:" in front.
    Ipv6Extended(Ipv6ExtendedCommunity),
}

/// Reads `64520:100`, `no-export`, `large:64520:1:2`, `rt:64520:1` and the like. The error
/// completes "must be …".
///
/// # Errors
/// In words, when it is something else.
pub fn parse_community(text: &str) -> Result<AnyCommunity, String> {
    let kind = text.split_once(':').map(|(kind, _)| kind);
    let parsed = match kind {
        Some("large") => {
            let value = text.strip_prefix("large:").unwrap_or_default();
            value.parse().map(AnyCommunity::Large)
        }
        Some("ext6") => text.parse().map(AnyCommunity::Ipv6Extended),
        Some("rt" | "soo") if text.contains('[') => text.parse().map(AnyCommunity::Ipv6Extended),
        Some("ext" | "rt" | "soo") => text.parse().map(AnyCommunity::Extended),
        _ => text.parse().map(AnyCommunity::Plain),
    };
    parsed.map_err(|error| match kind {
        Some("large") => {
            "a large community: \"large:\" and three numbers of 0-4294967295, as in \"large:64520:1:2\"".to_owned()
        }
        Some("ext" | "ext6" | "rt" | "soo") => error.expected.to_owned(),
        _ => "a community, such as \"64520:100\" or \"no-export\", or one of another kind, such as \"large:64520:1:2\" or \"rt:64520:1\"".to_owned(),
    })
}

/// The communities of a route as [`parse_community`] reads them.
pub(crate) fn community_texts(attributes: &RouteAttributes) -> Vec<String> {
    let plain = attributes.communities.iter().map(ToString::to_string);
    let large = attributes.large_communities.iter();
    let large = large.map(|large| format!("large:{large}"));
    let extended = attributes.extended_communities.iter();
    let ipv6 = attributes.ipv6_extended_communities.iter();
    plain
        .chain(large)
        .chain(extended.map(ToString::to_string))
        .chain(ipv6.map(ToString::to_string))
        .collect()
}

/// Adds a community where its kind belongs, in order and once.
pub(crate) fn add_community(attributes: &mut RouteAttributes, community: AnyCommunity) {
    fn insert<T: Ord>(list: &mut Vec<T>, value: T) {
        if let Err(at) = list.binary_search(&value) {
            list.insert(at, value);
        }
    }
    match community {
        AnyCommunity::Plain(community) => insert(&mut attributes.communities, community),
        AnyCommunity::Large(community) => insert(&mut attributes.large_communities, community),
        AnyCommunity::Extended(community) => {
            insert(&mut attributes.extended_communities, community)
        }
        AnyCommunity::Ipv6Extended(community) => {
            insert(&mut attributes.ipv6_extended_communities, community);
        }
    }
}

/// Reads an address that traffic can be sent to. The error completes "must be …".
pub(crate) fn parse_next_hop(text: &str) -> Result<IpAddr, String> {
    let is_host = |address: &IpAddr| {
        let is_link_local = match address {
            IpAddr::V4(address) => address.octets()[0] == 0 || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let is_special =
            address.is_unspecified() || address.is_loopback() || address.is_multicast();
        !is_link_local && !is_special
    };
    text.parse().ok().filter(is_host).ok_or_else(|| {
        "\"self\", or addresses that routers can reach, such as [\"192.0.2.71\", \"2001:db8::71\"]".to_owned()
    })
}

/// As many paths as one list of next hops may ask for, in both families together.
const MAX_NEXT_HOPS: usize = 32;

/// Gives the routes this next hop: to the path that everybody is told where its family has none
/// yet, else to a further path, which is like that one otherwise. So what is said beside next hops
/// must be there already. The error completes "must be …".
pub(crate) fn add_next_hop(
    attributes: &mut RouteAttributes,
    next_hop: IpAddr,
) -> Result<(), String> {
    let known = next_hops(attributes);
    if known.contains(&next_hop) {
        return Err("named once".to_owned());
    }
    if known.len() >= MAX_NEXT_HOPS {
        return Err(format!("one of at most {MAX_NEXT_HOPS}"));
    }
    put_next_hop(attributes, next_hop);
    Ok(())
}

/// The same for what has been checked.
pub(super) fn put_next_hop(attributes: &mut RouteAttributes, next_hop: IpAddr) {
    let mut path = RouteAttributes {
        next_hop_v4: None,
        next_hop_v6: None,
        additional_paths: Vec::new(),
        ..attributes.clone()
    };
    match next_hop {
        IpAddr::V4(address) if attributes.next_hop_v4.is_none() => {
            attributes.next_hop_v4 = Some(address);
            return;
        }
        IpAddr::V6(address) if attributes.next_hop_v6.is_none() => {
            attributes.next_hop_v6 = Some(address);
            return;
        }
        IpAddr::V4(address) => path.next_hop_v4 = Some(address),
        IpAddr::V6(address) => path.next_hop_v6 = Some(address),
    }
    attributes.additional_paths.push(Arc::new(path));
}

/// The next hops of a route, as [`add_next_hop`] takes them; none: the session's own.
pub(super) fn next_hops(attributes: &RouteAttributes) -> Vec<IpAddr> {
    let additional = attributes.additional_paths.iter().map(|path| &**path);
    let paths = std::iter::once(attributes).chain(additional);
    let next_hops = paths.flat_map(|path| {
        let v4 = path.next_hop_v4.map(IpAddr::V4);
        v4.into_iter().chain(path.next_hop_v6.map(IpAddr::V6))
    });
    next_hops.collect()
}

/// The next hops of a route in words.
pub(crate) fn next_hop_texts(attributes: &RouteAttributes) -> Vec<String> {
    let next_hops = next_hops(attributes).into_iter();
    next_hops.map(|address| address.to_string()).collect()
}

/// Reads `64520 192.0.2.71`. The error completes "must be …".
pub(crate) fn parse_aggregator(text: &str) -> Result<AggregatedBy, String> {
    let parts = text.split_once(' ').and_then(|(asn, address)| {
        let asn = asn.parse().ok().and_then(Asn::new)?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(AggregatedBy { asn, address })
    });
    parts.ok_or_else(|| {
        "the AS and the BGP Identifier of who formed the aggregate: \"64520 192.0.2.71\"".to_owned()
    })
}

/// As [`parse_aggregator`] reads it.
pub(crate) fn aggregator_text(AggregatedBy { asn, address }: AggregatedBy) -> String {
    format!("{asn} {address}")
}

/// The shortest prefixes that BLACKHOLE may go with (RFC 7999 §3.3): whoever believes it drops all
/// traffic to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlackholeLengths {
    /// Of IPv4 prefixes.
    pub v4: u8,
    /// Of IPv6 prefixes.
    pub v6: u8,
}

impl Default for BlackholeLengths {
    /// Host routes alone.
    fn default() -> Self {
        Self { v4: 32, v6: 128 }
    }
}

impl BlackholeLengths {
    /// Whether `prefix` may be announced with these attributes.
    ///
    /// # Errors
    /// In words, when it has BLACKHOLE and is too short.
    pub fn check(&self, prefix: &IpNet, attributes: &RouteAttributes) -> Result<(), String> {
        let (length, key) = match prefix {
            IpNet::V4(_) => (self.v4, "blackhole-length"),
            IpNet::V6(_) => (self.v6, "blackhole-length-v6"),
        };
        if prefix.prefix_len() >= length || !attributes.communities.contains(&Community::BLACKHOLE)
        {
            return Ok(());
        }
        Err(format!(
            "\"blackhole\" goes with /{length} and longer: routers drop all traffic to such a prefix; {prefix} can have it with {key} = {} in [speaker]",
            prefix.prefix_len()
        ))
    }
}
