//! `[[peer-range]]`: neighbors that are known by the prefix that they connect from.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use bgp::Asn;

use super::super::document::{Located, Section};
use super::super::{
    BfdConfig, BfdProfile, PeerAddress, PeerName, RangeConfig, SpeakerConfig, value,
};
use super::peer::{PEER_PLANS, PeerKeys, PeerSection, Peers};
use super::unique;

/// With `@` and the longest address behind it, it is a name still.
const MAX_NAME: usize = 24;

/// Adds the ranges that could be read to the peers.
pub(super) fn read_ranges(
    sections: Vec<Section<'_>>,
    defaults: &PeerKeys,
    speaker: Option<&SpeakerConfig>,
    bfd: &BfdConfig,
    profiles: &BTreeMap<String, BfdProfile>,
    peers: &mut Peers,
) {
    let mut prefixes = BTreeMap::new();
    for section in sections {
        let mut section = section.plans(PEER_PLANS);
        let name = section.require(
            "name",
            "a name, such as \"leafs\"",
            value::name_up_to::<PeerName>(MAX_NAME),
        );
        let prefix = section.require(
            "prefix",
            "where the neighbors are, such as \"10.0.0.0/24\"",
            value::peer_prefix,
        );
        let limit = section.take("limit", value::number_between::<u16>(1, 65535));
        let keys = PeerKeys::read(&mut section).or(defaults);
        let (Some(name), Some(prefix)) = (name, prefix) else {
            continue;
        };
        let text = name.value.to_string();
        let new = unique(&section, "name", &name, text, &mut peers.names)
            & unique(
                &section,
                "prefix",
                &prefix,
                prefix.value.to_string(),
                &mut prefixes,
            );
        let listens = speaker.is_none_or(|speaker| !speaker.listen.is_empty());
        if !listens {
            section.error(
                section.line,
                "prefix",
                "needs [speaker] listen, for these neighbors connect to us".to_owned(),
            );
        }
        let local_as: Option<Asn> = speaker.and_then(|speaker| speaker.local_as);
        // What is demanded of a peer of the prefix's first address is demanded of all.
        let address = Located {
            value: PeerAddress {
                ip: Some(prefix.value.network()),
                scope: None,
            },
            line: prefix.line,
            found: prefix.found.clone(),
        };
        let check = PeerSection {
            section: &section,
            address,
        };
        if let Some(mut peer) = check.check(keys, local_as, listens, bfd, profiles)
            && new
        {
            peer.passive = true;
            peer.range = Some(name.value.clone());
            let range = RangeConfig {
                prefix: prefix.value,
                limit: limit
                    .and_then(|limit| NonZeroU16::new(limit.value))
                    .unwrap_or(RangeConfig::DEFAULT_LIMIT),
                peer,
            };
            peers.ranges.insert(name.value, range);
        }
    }
}

/// The kernel tells keys apart by the longest prefix, and has none for "no key": who is within a
/// range that has one must have one, too.
pub(super) fn check_keys(peers: &Peers, document: &Section<'_>) {
    let inner = peers.configs.iter().filter_map(|(name, peer)| {
        let prefix = ipnet::IpNet::from(peer.address.ip?);
        Some(("peer", name, prefix, &peer.password))
    });
    let ranges = peers.ranges.iter();
    let inner = inner.chain(
        ranges.map(|(name, range)| ("peer-range", name, range.prefix, &range.peer.password)),
    );
    for (kind, name, prefix, password) in inner {
        let mut outer = peers.ranges.iter();
        let keyed = outer.find(|(_, outer)| {
            outer.peer.password.is_some()
                && outer.prefix != prefix
                && outer.prefix.contains(&prefix)
        });
        if let (None, Some((range, _))) = (password, keyed) {
            let line = peers.names.get(name.as_str()).copied().unwrap_or(1);
            let text = format!(
                "is missing in [[{kind}]] {name:?}; must be there, for {prefix} is within the [[peer-range]] {range:?}, which has one, and the kernel knows no exception from a key"
            );
            document.error(line, "password-file", text);
        }
    }
}
