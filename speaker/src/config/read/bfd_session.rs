//! `[[bfd-session]]`: paths that are watched without BGP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;

use super::super::document::{Located, Section};
use super::super::{
    BFD_MULTIHOP_PORT, BFD_PORT, BfdConfig, BfdHops, BfdName, BfdProfile, BfdSessionConfig, Name,
    PeerAddress, PeerBfd, PeerConfig, PeerName, value,
};
use super::peer::{Peers, find_profile, require_multihop_listen, warn_of_multihop_echo};
use super::unique;

/// One router may be on the way.
const DEFAULT_MINIMUM_TTL: NonZeroU8 = NonZeroU8::MIN.saturating_add(253);

/// The sessions that could be read. Their names are other than those of peers, so that a name means
/// one thing.
pub(super) fn read_bfd_sessions(
    sections: Vec<Section<'_>>,
    bfd: &BfdConfig,
    profiles: &BTreeMap<String, BfdProfile>,
    peers: &Peers,
    names: &mut BTreeMap<String, usize>,
) -> BTreeMap<BfdName, BfdSessionConfig> {
    let mut sessions = BTreeMap::new();
    let mut places = BTreeMap::new();
    let mut sharing = BTreeMap::new();
    for mut section in sections {
        let name = section.take("name", value::name::<BfdName>);
        let address = section.require(
            "address",
            "where the other end is, such as \"192.0.2.1\"",
            value::peer_address,
        );
        let keys = Keys::read(&mut section);
        section.finish();
        let Some(address) = address else { continue };
        let Some(name) = name.or_else(|| named_by(&section, &address, names)) else {
            continue;
        };
        let new = unique(&section, "name", &name, name.value.to_string(), names);
        let Some(session) = keys.check(&section, address, bfd, profiles, &mut places) else {
            continue;
        };
        for (peer_name, peer) in &peers.configs {
            let shares = warn_of_peer(&section, &keys, &session, peer_name, peer);
            if shares && let Some(line) = sharing.insert(peer_name, section.line) {
                section.error(
                    section.line,
                    "address",
                    format!("is that of peer {peer_name}, whose BFD session is the one of line {line} too; must be there once"),
                );
            }
        }
        if new {
            sessions.insert(name.value, session);
        }
    }
    sessions
}

/// The address is the name where there is no other, and nothing else is called so.
fn named_by(
    section: &Section<'_>,
    address: &Located<PeerAddress>,
    names: &BTreeMap<String, usize>,
) -> Option<Located<BfdName>> {
    if section.has_error("name") {
        return None;
    }
    let text = address.value.to_string();
    if let Some(line) = names.get(&text) {
        section.error(
            section.line,
            "name",
            format!("is missing; must be there, for {text:?} is the name of something else (line {line})"),
        );
        return None;
    }
    Some(Located {
        value: BfdName::new(&text).unwrap_or_else(|| unreachable!("an address is a name")),
        line: address.line,
        found: address.found.clone(),
    })
}

/// What a section says besides name and address.
struct Keys {
    port: Option<Located<u16>>,
    interface: Option<Located<String>>,
    source_address: Option<Located<IpAddr>>,
    multihop: Option<Located<bool>>,
    minimum_ttl: Option<Located<NonZeroU8>>,
    profile: Option<Located<Name>>,
    enabled: Option<Located<bool>>,
    description: Option<Located<String>>,
}

impl Keys {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            port: section.take("port", value::port),
            interface: section.take("interface", value::interface),
            source_address: section.take("source-address", value::ip),
            multihop: section.take("multihop", value::boolean),
            minimum_ttl: section.take("minimum-ttl", value::nonzero_octet),
            profile: section.take("bfd-profile", value::name),
            enabled: section.take("enabled", value::boolean),
            description: section.take("description", value::text),
        }
    }

    fn is_multihop(&self) -> bool {
        self.multihop
            .as_ref()
            .is_some_and(|multihop| multihop.value)
    }

    fn check(
        &self,
        section: &Section<'_>,
        address: Located<PeerAddress>,
        bfd: &BfdConfig,
        profiles: &BTreeMap<String, BfdProfile>,
        places: &mut BTreeMap<String, usize>,
    ) -> Option<BfdSessionConfig> {
        self.check_source(section, &address.value);
        let profile = match &self.profile {
            Some(wanted) => find_profile(section, wanted, profiles),
            None => profiles.get(BfdProfile::DEFAULT_NAME),
        };
        let hops = self.hops(section, bfd, profile);
        let standard_port = if self.is_multihop() {
            BFD_MULTIHOP_PORT
        } else {
            BFD_PORT
        };
        let interface = self.interface(section, &address);
        let session = BfdSessionConfig {
            address: address.value.ip?,
            interface,
            port: self.port.as_ref().map_or(standard_port, |port| port.value),
            source_address: self.source_address.as_ref().map(|address| address.value),
            hops,
            profile: profile?.clone(),
            enabled: self.enabled.as_ref().is_none_or(|enabled| enabled.value),
            description: self.description.as_ref().map(|text| text.value.clone()),
        };
        let place = format!(
            "{}, {:?}, {}, {:?}, {}",
            session.address,
            session.interface,
            session.port,
            session.source_address,
            self.is_multihop()
        );
        unique(section, "address", &address, place, places).then_some(session)
    }

    /// It may stand behind a link-local address, or be a key of its own.
    fn interface(&self, section: &Section<'_>, address: &Located<PeerAddress>) -> Option<String> {
        let PeerAddress { ip, scope } = &address.value;
        if let (Some(interface), Some(scope)) = (&self.interface, scope)
            && interface.value != *scope
        {
            let expected = format!("{scope:?}, the scope of the address, or absent");
            section.refuse("interface", interface, &expected);
        }
        let own = self.interface.as_ref();
        let interface = scope
            .clone()
            .or(own.map(|interface| interface.value.clone()));
        if let (Some(ip @ IpAddr::V6(v6)), None) = (ip, &interface)
            && v6.is_unicast_link_local()
        {
            let expected =
                format!("followed by its interface, such as \"{ip}%eth0\", for it is link-local");
            section.refuse("address", address, &expected);
        }
        interface
    }

    fn check_source(&self, section: &Section<'_>, PeerAddress { ip, .. }: &PeerAddress) {
        if let (Some(source), Some(ip)) = (&self.source_address, ip)
            && source.value.is_ipv4() != ip.is_ipv4()
        {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let expected = format!("an {family} address, as the address {ip} is");
            section.refuse("source-address", source, &expected);
        }
    }

    fn hops(
        &self,
        section: &Section<'_>,
        bfd: &BfdConfig,
        profile: Option<&BfdProfile>,
    ) -> BfdHops {
        if !self.is_multihop() {
            if let Some(minimum_ttl) = &self.minimum_ttl {
                let expected = "absent without multihop = true: on a link, TTL 255 is required";
                section.refuse("minimum-ttl", minimum_ttl, expected);
            }
            return BfdHops::Single;
        }
        let line = self.multihop.as_ref().map_or(section.line, |it| it.line);
        require_multihop_listen(section, "multihop", line, bfd);
        if let Some(profile) = profile {
            let named = self.profile.as_ref();
            let (key, line) = named.map_or(("multihop", line), |named| ("bfd-profile", named.line));
            warn_of_multihop_echo(section, key, line, profile, "multihop = false");
        }
        let own = self.minimum_ttl.as_ref().map(|ttl| ttl.value);
        let minimum_ttl = own.or(profile.and_then(|profile| profile.minimum_ttl));
        BfdHops::Multi {
            minimum_ttl: minimum_ttl.unwrap_or(DEFAULT_MINIMUM_TTL),
        }
    }
}

/// Between the same ends there is one BFD session only (RFC 5881 §3), and a peer's keys go before. Answers whether both are one.
fn warn_of_peer(
    section: &Section<'_>,
    keys: &Keys,
    session: &BfdSessionConfig,
    name: &PeerName,
    peer: &PeerConfig,
) -> bool {
    let Some(peer_bfd) = &peer.bfd else {
        return false;
    };
    let PeerBfd {
        profile,
        hops,
        port: _,
        strict: _,
    } = peer_bfd;
    // One of them, where that is for the route to say.
    let likely = hops.when(session.hops == BfdHops::Single);
    let is_single = |hops| hops == BfdHops::Single;
    if Some(session.address) != peer.address.ip
        || session.port != peer_bfd.port(likely)
        || is_single(session.hops) != is_single(likely)
    {
        return false;
    }
    let conflict = [
        keys.source_address
            .as_ref()
            .filter(|it| Some(it.value) != peer.source_address)
            .map(|it| ("source-address", it.line)),
        session
            .interface
            .as_deref()
            .filter(|it| Some(*it) != peer.interface())
            .map(|_| ("interface", section.line)),
    ];
    if let Some((key, line)) = conflict.into_iter().flatten().next() {
        section.warning(
            line,
            key,
            format!("is other than that of peer {name}, which has a BFD session with the same address: there will be two, and the other end must tell them apart"),
        );
        return false;
    }
    if session.profile.name == profile.name && session.hops != likely {
        let line = keys.minimum_ttl.as_ref().map_or(section.line, |it| it.line);
        section.warning(
            line,
            "minimum-ttl",
            format!("peer {name} has a BFD session with the same address, and both are one: the peer's minimum TTL counts"),
        );
    } else if session.profile != *profile {
        let (key, line) = keys
            .profile
            .as_ref()
            .map_or(("address", section.line), |it| ("bfd-profile", it.line));
        section.warning(
            line,
            key,
            format!("peer {name} has a BFD session with the same address, and both are one: the peer's bfd-profile {:?} counts", profile.name),
        );
    }
    true
}
