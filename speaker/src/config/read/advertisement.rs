//! `[[advertisement]]`, and whether all of them can be followed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::{Community, Family};
use ipnet::IpNet;

use super::peer::Peers;
use super::pool::Pools;
use super::{one_of, read_attributes, read_peer_names};
use crate::config::attributes::BlackholeLengths;
use crate::config::document::{Located, Section, nearest};
use crate::config::{
    AdvertisementConfig, AggregationLengths, Config, Conflict, IpFamily, PoolName, ServiceConfig,
    ServiceName, value,
};

/// The advertisements, and the sections that they were read from.
pub(super) fn read_advertisements<'d>(
    sections: Vec<Section<'d>>,
    peers: &Peers,
    pools: &Pools,
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
) -> (Vec<AdvertisementConfig>, Vec<Section<'d>>) {
    let mut advertisements = Vec::new();
    let mut read = Vec::new();
    let mut lines = BTreeMap::new();
    for mut section in sections {
        let name = section.take("name", value::text);
        let attributes = read_attributes(&mut section);
        let peers = read_peer_names(&mut section, peers);
        let wanted = section.take_list("services", value::name::<ServiceName>);
        let wanted_pools = read_pool_names(&mut section, pools);
        let aggregation = read_aggregation(&mut section);
        section.finish();
        if let Some(name) = &name {
            super::unique(&section, "name", name, name.value.clone(), &mut lines);
        }
        for service in wanted.iter().flatten() {
            warn_if_unknown(&section, service, services);
        }
        advertisements.push(AdvertisementConfig {
            name: name.map(|name| name.value),
            peers,
            services: wanted.map(|names| names.into_iter().map(|name| name.value).collect()),
            pools: wanted_pools,
            aggregation,
            attributes,
        });
        read.push(section);
    }
    (advertisements, read)
}

fn read_pool_names(section: &mut Section<'_>, pools: &Pools) -> Option<BTreeSet<PoolName>> {
    let wanted = section.take_list("pools", value::name::<PoolName>)?;
    for name in &wanted {
        if pools.names.contains_key(name.value.as_str()) {
            continue;
        }
        let known = pools.names.keys().map(String::as_str);
        let expected = one_of("the name of a [[pool]]", name.value.as_str(), known);
        section.refuse("pools", name, &expected);
    }
    Some(wanted.into_iter().map(|name| name.value).collect())
}

fn read_aggregation(section: &mut Section<'_>) -> AggregationLengths {
    let v4 = section.take("aggregation-length", value::number_between::<u8>(1, 32));
    let v6 = section.take("aggregation-length-v6", value::number_between::<u8>(1, 128));
    let host = AggregationLengths::default();
    AggregationLengths {
        v4: v4.map_or(host.v4, |length| length.value),
        v6: v6.map_or(host.v6, |length| length.value),
    }
}

/// A service may be added at run time, so that a name which the file does not have is no error.
fn warn_if_unknown(
    section: &Section<'_>,
    wanted: &Located<ServiceName>,
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
) {
    if services.contains_key(&wanted.value) {
        return;
    }
    let near = nearest(
        wanted.value.as_str(),
        services.keys().map(ServiceName::as_str),
    );
    let hint = near.map_or_else(String::new, |near| {
        format!("; the nearest name is {near:?}")
    });
    section.warning(
        wanted.line,
        "services",
        format!("{} is no [[service]] of this file{hint}", wanted.found),
    );
}

/// What no single advertisement is wrong about; `sections` are those that they were read from.
pub(super) fn check_advertisements(config: &Config, sections: &[Section<'_>]) {
    if config.advertisements.is_empty() {
        return;
    }
    check_blackhole(config, sections);
    check_aggregates(config, sections);
    let mut conflicts = BTreeMap::new();
    let mut reported = BTreeSet::new();
    let mut hidden = BTreeSet::new();
    let mut fitting = BTreeSet::new();
    let mut lonely = Vec::new();
    for (name, service) in &config.services {
        let mut fits = false;
        for address in possible_addresses(config, service) {
            for (prefix, places) in config.advertised_as(name, address) {
                if prefix != IpNet::from(address)
                    && config.routes.contains_key(&prefix)
                    && hidden.insert(prefix)
                {
                    warn_of_route(sections, &places, &prefix);
                }
                fitting.extend(places.iter().copied());
                fits = true;
                let key = (Family::of(&prefix), places);
                let conflict = conflicts
                    .entry(key)
                    .or_insert_with_key(|(family, places)| config.conflict(*family, places));
                if let Some(conflict) = conflict
                    && reported.insert(conflict.advertisements)
                {
                    report(sections, name, conflict);
                }
            }
        }
        if !fits {
            lonely.push(name);
        }
    }
    warn_of_lonely(sections, &lonely);
    warn_if_idle(config, sections, &fitting);
}

/// Where there is one advertisement, those that it does not fit are announced to nobody.
fn warn_of_lonely(sections: &[Section<'_>], lonely: &[&ServiceName]) {
    if let (Some(section), Some(first)) = (sections.first(), lonely.first()) {
        let more = match lonely.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        section.warning(
            section.line,
            "services",
            format!("neither this nor another [[advertisement]] fits service {first}{more}: announced to nobody"),
        );
    }
}

/// Services may be added at run time, so that this is no error; with a name that the file does not have it is said already.
fn warn_if_idle(config: &Config, sections: &[Section<'_>], fitting: &BTreeSet<usize>) {
    for (place, (advertisement, section)) in config.advertisements.iter().zip(sections).enumerate()
    {
        let is_about = |name| match &advertisement.services {
            Some(services) => services.contains(name),
            None => true,
        };
        if !fitting.contains(&place) && config.services.keys().any(is_about) {
            section.warning(
                section.line,
                "pools",
                "no [[service]] of this file has, or may be given, an address of these; only services that are added at run time can be announced by it"
                    .to_owned(),
            );
        }
    }
}

/// Those that a service names, or one of each range that it may be given some of: what is said of
/// addresses is the same for a whole pool.
fn possible_addresses(config: &Config, service: &ServiceConfig) -> Vec<IpAddr> {
    let Some(request) = service.request() else {
        return service.addresses.iter().copied().collect();
    };
    let pools = config
        .pools
        .iter()
        .filter(|(name, pool)| match &request.pool {
            Some(wanted) => wanted == *name,
            None => pool.auto_assign,
        });
    let ranges = pools.flat_map(|(_, pool)| pool.addresses.iter());
    let ranges = ranges.filter(|range| match request.ip_families {
        Some(families) => families.contains(range.family()),
        None => true,
    });
    ranges.map(|range| range.first()).collect()
}

/// An aggregate that no range of a pool has whole would draw traffic for addresses that are somebody
/// else's; at least one must lie in each range of the pools.
fn check_aggregates(config: &Config, sections: &[Section<'_>]) {
    for (advertisement, section) in config.advertisements.iter().zip(sections) {
        let is_about = |name: &PoolName| match &advertisement.pools {
            Some(pools) => pools.contains(name),
            None => advertisement.services.is_none(),
        };
        for (name, pool) in config.pools.iter().filter(|(name, _)| is_about(name)) {
            for range in &pool.addresses {
                let (key, length) = match range.family() {
                    IpFamily::V4 => ("aggregation-length", advertisement.aggregation.v4),
                    IpFamily::V6 => ("aggregation-length-v6", advertisement.aggregation.v6),
                };
                if !range.has_prefix_of(length) {
                    let text = format!(
                        "found {length}; must be the length of a prefix within each range of the pools, and {range} of [[pool]] {:?} has none so short",
                        name.as_str(),
                    );
                    section.error(section.line, key, text);
                }
            }
        }
    }
}

/// RFC 7999 §3.3
fn check_blackhole(config: &Config, sections: &[Section<'_>]) {
    let BlackholeLengths { v4, v6 } = config.speaker.blackhole;
    for (advertisement, section) in config.advertisements.iter().zip(sections) {
        let communities = &advertisement.attributes.communities;
        if !communities.contains(&Community::BLACKHOLE) {
            continue;
        }
        let lengths = advertisement.aggregation;
        for (key, length, allowed, allowing) in [
            ("aggregation-length", lengths.v4, v4, "blackhole-length"),
            (
                "aggregation-length-v6",
                lengths.v6,
                v6,
                "blackhole-length-v6",
            ),
        ] {
            if length < allowed {
                let text = format!(
                    "found {length}; must be {allowed} or more with \"blackhole\", for routers drop all traffic to such a prefix; {allowing} = {length} in [speaker] allows it"
                );
                section.error(section.line, key, text);
            }
        }
    }
}

fn warn_of_route(sections: &[Section<'_>], places: &[usize], prefix: &IpNet) {
    let section = places.first().and_then(|place| sections.get(*place));
    if let Some(section) = section {
        let text = format!(
            "makes {prefix} of a service's address, and there is a [[route]] {prefix}: what that says counts"
        );
        section.warning(section.line, "aggregation-length", text);
    }
}

fn report(sections: &[Section<'_>], service: &ServiceName, conflict: &Conflict) {
    let Conflict {
        key,
        advertisements: [first, second],
        peer,
    } = conflict;
    let (Some(one), Some(section)) = (sections.get(*first), sections.get(*second)) else {
        return;
    };
    let text = format!(
        "differs from that of {} (line {}), and both fit service {service} at peer {peer}; must be the same, or be said in one of them only",
        one.label, one.line,
    );
    section.error(section.line, key, text);
}
