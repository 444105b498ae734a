//! The interfaces of this host, with their networks: whom unsolicited sessions may be accepted from (RFC 9468 §2).

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use nix::sys::socket::SockaddrStorage;

use super::sockets::interface_index;
use crate::endpoint::Link;
use crate::network::Network;

/// What there is.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let mut networks: BTreeMap<String, Vec<Network>> = BTreeMap::new();
    for found in nix::ifaddrs::getifaddrs()? {
        let (Some(address), Some(netmask)) =
            (found.address.and_then(ip), found.netmask.and_then(ip))
        else {
            continue;
        };
        // An IPv4 address may have a label, such as eth0:1.
        let name = found.interface_name.split(':').next().unwrap_or_default();
        let networks = networks.entry(name.to_owned()).or_default();
        networks.extend(Network::new(address, prefix_length(netmask)));
        // At the other end of a point-to-point link is one host.
        let end = found.destination.and_then(ip);
        networks
            .extend(end.and_then(|end| Network::new(end, if end.is_ipv4() { 32 } else { 128 })));
    }
    let links = networks.into_iter().filter_map(|(name, networks)| {
        let index = interface_index(&name).ok()?;
        Some(Link {
            index,
            name,
            networks,
        })
    });
    Ok(links.collect())
}

fn prefix_length(netmask: IpAddr) -> u8 {
    let ones = match netmask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or(u8::MAX)
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_networks() {
        let links = links().unwrap();
        let loopback = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(loopback.index, 1);
        let has = |ip: &str| {
            let ip = ip.parse().unwrap();
            loopback.networks.iter().any(|network| network.contains(ip))
        };
        assert!(has("127.1.2.3"));
        assert!(!has("192.0.2.1"));
    }
}
