//! What else is known of our end of a connection: the addresses of the interface it uses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use tokio::net::TcpStream;

/// Both ends of `stream`, and addresses of the interface that carries ours, for the next hops of
/// the other family.
pub(super) fn of(stream: &TcpStream) -> std::io::Result<bgp::Addresses> {
    let mut addresses = bgp::Addresses::new(stream.local_addr()?, stream.peer_addr()?);
    let all = interface_addresses();
    let local = addresses.local.ip().to_canonical();
    let interface = all
        .iter()
        .find(|found| found.address == local)
        .map(|found| &found.interface);
    let on_interface = all
        .iter()
        .filter(|found| Some(&found.interface) == interface);
    for found in on_interface.filter(|found| !found.is_host_address) {
        match found.address {
            IpAddr::V4(address) => set_first(&mut addresses.interface_v4, address),
            IpAddr::V6(address) if is_global(address) => {
                set_first(&mut addresses.interface_v6, address)
            }
            IpAddr::V6(_) => {}
        }
    }
    Ok(addresses)
}

fn set_first<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

fn is_global(address: Ipv6Addr) -> bool {
    !(address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast())
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
