//! What an UPDATE that can be read says, and must not: next hops that nobody can send to (RFC 4271
//! §6.3), routes that lead back to us (§9.1.2), and those that were not meant for us (RFC 9234 §5).

use std::net::{IpAddr, Ipv4Addr};

use super::config::SessionConfig;
use super::event::Addresses;
use super::status::Negotiated;
use crate::types::Role;
use crate::wire::{Attribute, AttributeAction, AttributeError, MpNextHop, Prefixes, Update};

/// Whether the routes lead back to us: through our AS (RFC 4271 §9.1.2), or at once, with an address
/// of ours as next hop (§6.3). That is what becomes of our own routes at many a neighbor, and nobody
/// has made a mistake.
pub(super) fn is_loop(update: &Update, config: &SessionConfig, addresses: &Addresses) -> bool {
    let own = config.local_as.value();
    let is_ours = |address: IpAddr| {
        address == addresses.local.ip()
            || Some(address) == addresses.interface_v4.map(IpAddr::V4)
            || Some(address) == addresses.interface_v6.map(IpAddr::V6)
    };
    update.attributes.iter().any(|attribute| match attribute {
        Attribute::AsPath(path) => path.asns().any(|asn| asn == own),
        _ => next_hop(update, attribute)
            .is_some_and(|address| !is_same_host(address, addresses) && is_ours(address)),
    })
}

/// Two speakers on one host name its loopback addresses, which may be the same.
fn is_same_host(address: IpAddr, addresses: &Addresses) -> bool {
    addresses.local.ip().is_loopback() && address.is_loopback()
}

/// The next hop that an attribute names, if it counts.
fn next_hop(update: &Update, attribute: &Attribute) -> Option<IpAddr> {
    match attribute {
        // Beside IPv6 prefixes alone it says nothing (RFC 4760 §3).
        Attribute::NextHop(address) => (!update.nlri.is_empty()).then_some((*address).into()),
        Attribute::MpReach(reach) => Some(reach.next_hop.address()),
        _ => None,
    }
}

/// RFC 4271 §6.3: a route with a next hop that is none is ignored, and what there was before it is
/// gone. Nothing else happens.
pub(super) fn demand_next_hops(update: &mut Update, addresses: &Addresses, agreed: &Negotiated) {
    let is_wrong = |address: IpAddr| !is_same_host(address, addresses) && !is_host(address);
    let wrong = update.attributes.iter().filter_map(|attribute| {
        // RFC 8950 §4
        let is_extended = match attribute {
            Attribute::MpReach(reach) => {
                matches!(reach.nlri, Prefixes::V4(_)) && !matches!(reach.next_hop, MpNextHop::V4(_))
            }
            _ => false,
        };
        let is_wrong = is_extended && !agreed.extended_next_hop
            || next_hop(update, attribute).is_some_and(is_wrong);
        is_wrong.then(|| attribute.code())
    });
    let errors = wrong.map(|code| AttributeError {
        code,
        action: AttributeAction::TreatAsWithdraw,
    });
    let errors: Vec<_> = errors.collect();
    update.errors.extend(errors);
}

/// Whether packets can be sent to it.
fn is_host(address: IpAddr) -> bool {
    match address {
        // 0/8 is this network; from 224/4 on there are groups, and what is reserved.
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first != 0 && !address.is_loopback() && address < Ipv4Addr::new(224, 0, 0, 0)
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && address.to_ipv4_mapped().is_none()
        }
    }
}

/// Whether the neighbor leaks what it announces: a route that somebody before it has sent to
/// customers only, and we are none of the neighbor's (RFC 9234 §5).
pub(super) fn is_leak(update: &Update, config: &SessionConfig, agreed: &Negotiated) -> bool {
    let Some(from) = only_to_customer(update) else {
        return false;
    };
    match role(config, agreed) {
        Some(Role::Provider | Role::RsServer) => true,
        Some(Role::Peer) => from != agreed.remote_as.value(),
        _ => false,
    }
}

/// RFC 9234 §5: what comes from a provider, a peer or a route server goes to customers only, from
/// here on at the latest.
pub(super) fn mark_only_to_customer(
    update: &mut Update,
    config: &SessionConfig,
    agreed: &Negotiated,
) {
    let comes_down = matches!(
        role(config, agreed),
        Some(Role::Customer | Role::Peer | Role::RsClient)
    );
    let says_something = update.announced().next().is_some();
    if comes_down && says_something && only_to_customer(update).is_none() {
        let from = agreed.remote_as.value();
        update.attributes.push(Attribute::OnlyToCustomer(from));
    }
}

/// Ours; it says nothing within an AS (RFC 9234 §4.1).
fn role(config: &SessionConfig, agreed: &Negotiated) -> Option<Role> {
    config.role.filter(|_| agreed.remote_as != config.local_as)
}

fn only_to_customer(update: &Update) -> Option<u32> {
    let mut attributes = update.attributes.iter();
    attributes.find_map(|attribute| match attribute {
        Attribute::OnlyToCustomer(asn) => Some(*asn),
        _ => None,
    })
}
