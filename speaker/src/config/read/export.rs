//! What a `[[peer]]` says of the routes that it is told, and of what we are to it.

use std::net::IpAddr;

use bgp::wire::AddPathDirection;
use bgp::{Asn, LinkLocalNextHop, RemoteAs, Role};

use crate::config::document::{Located, Section};
use crate::config::{ExportConfig, PeerAddress, value};

/// The keys, as far as they are there.
pub(super) struct ExportKeys {
    next_hop: Option<Located<Vec<IpAddr>>>,
    link_local_next_hop: Option<Located<LinkLocalNextHop>>,
    extended_next_hop: Option<Located<bool>>,
    add_path: Option<Located<AddPathDirection>>,
    role: Option<Located<Role>>,
    role_strict: Option<Located<bool>>,
}

impl ExportKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            next_hop: section.take("next-hop", value::next_hops),
            link_local_next_hop: section.take("link-local-next-hop", value::link_local_next_hop),
            extended_next_hop: section.take("extended-next-hop", value::boolean),
            add_path: section.take("add-path", value::add_path),
            role: section.take("role", value::role),
            role_strict: section.take("role-strict", value::boolean),
        }
    }

    pub(super) fn or(self, defaults: &Self) -> Self {
        macro_rules! merged {
            ($($field:ident)*) => {
                Self { $($field: self.$field.or_else(|| defaults.$field.clone()),)* }
            };
        }
        merged! { next_hop link_local_next_hop extended_next_hop add_path role role_strict }
    }
}

/// What the keys amount to for a peer with this address.
pub(super) fn check(
    keys: &ExportKeys,
    section: &Section<'_>,
    address: &PeerAddress,
    local_as: Asn,
    remote_as: RemoteAs,
) -> ExportConfig {
    check_role(keys, section, local_as, remote_as);
    let (mut next_hop_v4, mut next_hop_v6) = (None, None);
    for next_hop in keys.next_hop.iter().flat_map(|key| &key.value) {
        let is_second = match next_hop {
            IpAddr::V4(address) => next_hop_v4.replace(*address).is_some(),
            IpAddr::V6(address) => next_hop_v6.replace(*address).is_some(),
        };
        if let (true, Some(key)) = (is_second, &keys.next_hop) {
            let text = format!("found {next_hop}; must be the only address of its family");
            section.error(key.line, "next-hop", text);
        }
    }
    let extended = keys.extended_next_hop.as_ref().map(|key| key.value);
    ExportConfig {
        next_hop_v4,
        next_hop_v6,
        link_local_next_hop: keys
            .link_local_next_hop
            .as_ref()
            .map(|key| key.value)
            .unwrap_or_default(),
        // Where nobody has IPv4 addresses, this is how IPv4 routes are said at all.
        extended_next_hop: extended.unwrap_or(address.is_link_local()),
        add_path: keys.add_path.as_ref().map(|key| key.value),
        role: keys.role.as_ref().map(|key| key.value),
        role_strict: keys.role_strict.as_ref().is_some_and(|key| key.value),
    }
}

fn check_role(keys: &ExportKeys, section: &Section<'_>, local_as: Asn, remote_as: RemoteAs) {
    if let (None, Some(strict)) = (&keys.role, &keys.role_strict)
        && strict.value
    {
        let expected = "false as long as role is not set, for then the peer's is not looked at";
        section.refuse("role-strict", strict, expected);
    }
    if let Some(role) = &keys.role
        && [RemoteAs::Internal, RemoteAs::Is(local_as)].contains(&remote_as)
    {
        let text = format!(
            "{} says nothing here: the peer is in our AS (RFC 9234)",
            role.found
        );
        section.warning(role.line, "role", text);
    }
}
