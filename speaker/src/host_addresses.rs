//! The addresses that name this host on its links: no pool gives them to a service.
//!
//! Those of loopback and dummy interfaces do not count: that is where addresses of services are, whoever has
//! put them there.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

/// Each address on a link of this host, and those that mean something else in its network: the network itself
/// and its broadcast address (RFC 1122 §3.2.1.3), the routers of an IPv6 subnet (RFC 4291 §2.6.1). None where
/// the system does not say.
pub(crate) fn reserved() -> BTreeSet<IpAddr> {
    let Ok(found) = getifaddrs() else {
        return BTreeSet::new();
    };
    let on_links = found.filter(|found| is_link(found.flags));
    on_links
        .filter_map(|found| addresses(&found))
        .flatten()
        .collect()
}

/// A tunnel has no ARP either, but an end.
fn is_link(flags: InterfaceFlags) -> bool {
    let is_dummy = flags.contains(InterfaceFlags::IFF_NOARP)
        && !flags.contains(InterfaceFlags::IFF_POINTOPOINT);
    !flags.contains(InterfaceFlags::IFF_LOOPBACK) && !is_dummy
}

fn addresses(found: &InterfaceAddress) -> Option<Vec<IpAddr>> {
    let (address, mask) = (found.address.as_ref()?, found.netmask.as_ref());
    if let Some(address) = address.as_sockaddr_in() {
        let mask = mask.and_then(|mask| mask.as_sockaddr_in());
        return Some(around_v4(address.ip(), mask.map(|mask| mask.ip())));
    }
    let address = address.as_sockaddr_in6()?;
    let mask = mask.and_then(|mask| mask.as_sockaddr_in6());
    Some(around_v6(address.ip(), mask.map(|mask| mask.ip())))
}

/// A network of two addresses or one has no others (RFC 3021).
fn around_v4(address: Ipv4Addr, mask: Option<Ipv4Addr>) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let Some(mask) = mask.filter(|mask| mask.to_bits().count_ones() <= 30) {
        all.push(address & mask);
        all.push(address | !mask);
    }
    all.into_iter().map(IpAddr::V4).collect()
}

/// The same between two routers (RFC 6164).
fn around_v6(address: Ipv6Addr, mask: Option<Ipv6Addr>) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let Some(mask) = mask.filter(|mask| mask.to_bits().count_ones() <= 126) {
        all.push(address & mask);
    }
    all.into_iter().map(IpAddr::V6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(addresses: Vec<IpAddr>) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_network_has_a_name_and_a_broadcast_address() {
        let around = |address: &str, mask: &str| {
            texts(around_v4(
                address.parse().unwrap(),
                Some(mask.parse().unwrap()),
            ))
        };
        assert_eq!(
            around("10.9.0.2", "255.255.255.248"),
            ["10.9.0.2", "10.9.0.0", "10.9.0.7"]
        );
        assert_eq!(around("10.9.0.2", "255.255.255.254"), ["10.9.0.2"]);
        assert_eq!(around("10.9.0.2", "255.255.255.255"), ["10.9.0.2"]);
    }

    #[test]
    fn an_ipv6_network_has_an_address_of_its_routers() {
        let around = |mask: &str| {
            texts(around_v6(
                "2001:db8::2".parse().unwrap(),
                Some(mask.parse().unwrap()),
            ))
        };
        assert_eq!(
            around("ffff:ffff:ffff:ffff::"),
            ["2001:db8::2", "2001:db8::"]
        );
        let point_to_point = Ipv6Addr::from_bits(!1);
        assert_eq!(around(&point_to_point.to_string()), ["2001:db8::2"]);
    }

    #[test]
    fn where_services_are_is_no_link() {
        use InterfaceFlags as F;
        assert!(is_link(F::IFF_UP | F::IFF_BROADCAST));
        assert!(is_link(F::IFF_POINTOPOINT | F::IFF_NOARP));
        assert!(!is_link(F::IFF_LOOPBACK | F::IFF_UP));
        assert!(!is_link(F::IFF_BROADCAST | F::IFF_NOARP));
    }
}
