//! What else is known of our end of a connection: the addresses of the interface it uses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use tokio::net::TcpStream;

/// Where the kernel tells the state of IPv6 addresses.
const IPV6_ADDRESSES: &str = "/proc/net/if_inet6";

/// Both ends of `stream`, and addresses of the interface that carries ours, for the next hops of
/// the other family.
pub(super) fn of(stream: &TcpStream) -> std::io::Result<bgp::Addresses> {
    let addresses = bgp::Addresses::new(stream.local_addr()?, stream.peer_addr()?);
    let standings = std::fs::read_to_string(IPV6_ADDRESSES).unwrap_or_default();
    Ok(completed(
        addresses,
        &interface_addresses(),
        &Standing::read(&standings),
    ))
}

/// Neighbors reach us by an address of the interface that they know; the one that will stay the
/// longest is the best (RFC 6724 §5, rules 3 and 7).
fn completed(
    mut addresses: bgp::Addresses,
    all: &[InterfaceAddress],
    standings: &BTreeMap<Ipv6Addr, Standing>,
) -> bgp::Addresses {
    let local = addresses.local.ip().to_canonical();
    let interface = all
        .iter()
        .find(|found| found.address == local)
        .map(|found| &found.interface);
    let on_interface = all.iter().filter(|found| {
        Some(&found.interface) == interface
            && !found.is_host_address
            // A neighbor would reach itself by it.
            && found.address.is_loopback() == local.is_loopback()
    });
    let mut best_v6 = None;
    for found in on_interface {
        match found.address {
            IpAddr::V4(address) => {
                addresses.interface_v4.get_or_insert(address);
            }
            IpAddr::V6(address) if is_global(address) => {
                let standing = standings.get(&address).copied().unwrap_or_default();
                if standing.is_usable() && best_v6.is_none_or(|(best, _)| standing < best) {
                    best_v6 = Some((standing, address));
                }
            }
            IpAddr::V6(_) => {}
        }
    }
    addresses.interface_v6 = best_v6.map(|(_, address)| address);
    addresses
}

fn is_global(address: Ipv6Addr) -> bool {
    !(address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast())
}

/// What may become of an IPv6 address; the least is the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    /// It may be somebody else's (RFC 4862 §5.4).
    is_tentative: bool,
    /// It is about to go (RFC 4862 §5.5.4).
    is_deprecated: bool,
    /// It changes with time (RFC 8981).
    is_temporary: bool,
}

impl Standing {
    /// The flags of `linux/if_addr.h`.
    const TEMPORARY: u8 = 0x01;
    const DETECTION_FAILED: u8 = 0x08;
    const DEPRECATED: u8 = 0x20;
    const TENTATIVE: u8 = 0x40;

    fn is_usable(self) -> bool {
        !self.is_tentative
    }

    /// A line is 32 digits of an address, interface, length, scope, flags and a name.
    fn read(table: &str) -> BTreeMap<Ipv6Addr, Self> {
        let line = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let address = u128::from_str_radix(words.next()?, 16).ok()?;
            let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
            let has = |flag: u8| flags & u32::from(flag) != 0;
            let standing = Self {
                is_tentative: has(Self::TENTATIVE | Self::DETECTION_FAILED),
                is_deprecated: has(Self::DEPRECATED),
                is_temporary: has(Self::TEMPORARY),
            };
            Some((Ipv6Addr::from_bits(address), standing))
        };
        table.lines().filter_map(line).collect()
    }
}

struct InterfaceAddress {
    interface: String,
    address: IpAddr,
    /// A /32 or /128: an address that is served, rather than one that neighbors reach us by.
    is_host_address: bool,
}

fn interface_addresses() -> Vec<InterfaceAddress> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    let read = |entry: nix::ifaddrs::InterfaceAddress| {
        let (address, mask) = (entry.address?, entry.netmask);
        let ip = |storage: &nix::sys::socket::SockaddrStorage| {
            let v4 = storage
                .as_sockaddr_in()
                .map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| {
                storage
                    .as_sockaddr_in6()
                    .map(|address| IpAddr::V6(address.ip()))
            })
        };
        let is_host_address = match mask.as_ref().and_then(ip) {
            Some(IpAddr::V4(mask)) => mask == Ipv4Addr::BROADCAST,
            Some(IpAddr::V6(mask)) => mask.to_bits() == u128::MAX,
            None => false,
        };
        let address = ip(&address)?;
        // ::1 is a /128 by nature.
        let is_host_address = is_host_address && !address.is_loopback();
        Some(InterfaceAddress {
            // An IPv4 address may have a label, such as eth0:1.
            interface: entry.interface_name.split(':').next()?.to_owned(),
            address,
            is_host_address,
        })
    };
    all.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(interface: &str, address: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
            is_host_address: false,
        }
    }

    fn found(local: &str, all: &[InterfaceAddress], table: &str) -> bgp::Addresses {
        let local: IpAddr = local.parse().unwrap();
        let addresses = bgp::Addresses::new((local, 179).into(), (local, 179).into());
        completed(addresses, all, &Standing::read(table))
    }

    #[test]
    fn an_address_that_stays_is_the_next_hop() {
        const TABLE: &str = "\
20010db8000000000000000000000001 02 40 00 41    eth0
20010db8000000000000000000000002 02 40 00 01    eth0
20010db8000000000000000000000003 02 40 00 20    eth0
20010db8000000000000000000000004 02 40 00 80    eth0
";
        let all = [
            "192.0.2.1",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
            "2001:db8::4",
        ]
        .map(|address| on("eth0", address));
        let best = |count: usize| found("192.0.2.1", &all[..count], TABLE).interface_v6;
        let expected = |address: &str| Some(address.parse::<Ipv6Addr>().unwrap());
        assert_eq!(best(2), None, "one that may be somebody else's is none");
        assert_eq!(
            best(3),
            expected("2001:db8::2"),
            "temporary, for lack of a better one"
        );
        assert_eq!(best(4), expected("2001:db8::2"), "rather than deprecated");
        assert_eq!(best(5), expected("2001:db8::4"));
    }

    #[test]
    fn loopback_is_nobodys_next_hop_but_its_own() {
        let all = ["127.0.0.1", "2001:db8::2"].map(|address| on("lo", address));
        assert_eq!(found("2001:db8::2", &all, "").interface_v4, None);
        let all = ["127.0.0.1", "::1"].map(|address| on("lo", address));
        let expected = Some(Ipv4Addr::LOCALHOST);
        assert_eq!(found("::1", &all, "").interface_v4, expected);
    }
}
