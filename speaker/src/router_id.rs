//! A router id for who did not name one: an IPv4 address of this host, chosen once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use bgp::BgpIdentifier;

use crate::additions::addresses;
use crate::config::Config;

/// An address that names this host: the one it speaks to the first IPv4 peer with, or else its
/// highest. Loopback and announced addresses, which other hosts have too, do not count, nor do
/// those of pools and those in `taken`, such as what another configuration has left on this host. `None` when there is no other.
#[must_use]
pub fn derive(config: &Config, taken: &BTreeSet<IpAddr>) -> Option<BgpIdentifier> {
    let announced: BTreeSet<IpAddr> = addresses(&config.services).collect();
    let names_us = |address: &Ipv4Addr| {
        !address.is_loopback()
            && !address.is_link_local()
            && !announced.contains(&IpAddr::V4(*address))
            && !config
                .pools
                .values()
                .any(|pool| pool.contains(IpAddr::V4(*address)))
            && !taken.contains(&IpAddr::V4(*address))
    };
    let towards_peer = config
        .peers
        .values()
        .filter_map(|peer| source_towards(peer.address.ip?))
        .find(|address| names_us(address));
    towards_peer
        .or_else(|| host_addresses().into_iter().filter(names_us).max())
        .and_then(BgpIdentifier::new)
}

/// What the system would send from. Connecting a UDP socket sends nothing.
fn source_towards(remote: IpAddr) -> Option<Ipv4Addr> {
    if remote.is_ipv6() {
        return None;
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, 179)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn host_addresses() -> Vec<Ipv4Addr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .collect()
}
