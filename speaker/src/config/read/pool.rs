//! `[[pool]]`: addresses for services that name none themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toml::de::DeValue;

use super::super::document::{Expected, Located, Section};
use super::super::{AddressRange, PoolConfig, PoolName, value};
use super::unique;

/// The pools of a file.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// Those that could be read.
    pub(super) configs: BTreeMap<PoolName, PoolConfig>,
    /// The names of all, so that what refers to one with a mistake is no mistake too.
    pub(super) names: BTreeMap<String, usize>,
}

/// A range, and where it is.
struct Place {
    range: AddressRange,
    line: usize,
    pool: String,
}

pub(super) fn read_pools(sections: Vec<Section<'_>>) -> Pools {
    let mut pools = Pools::default();
    let mut places = BTreeMap::new();
    for mut section in sections {
        let name = section.require(
            "name",
            "the name that services refer to, such as \"public\"",
            value::name::<PoolName>,
        );
        let addresses = section.take_list("addresses", address_range);
        let auto_assign = section.take("auto-assign", value::boolean);
        let avoid_buggy_ips = section.take("avoid-buggy-ips", value::boolean);
        section.finish();
        if addresses.as_ref().is_none_or(Vec::is_empty) && !section.has_error("addresses") {
            section.error(
                section.line,
                "addresses",
                "is missing; must be the addresses of the pool, such as [\"192.0.2.10-192.0.2.20\", \"2001:db8:5::/120\"]"
                    .to_owned(),
            );
        }
        let mut ranges = Vec::new();
        for range in addresses.unwrap_or_default() {
            if is_apart(&section, &range, &mut places) {
                ranges.push(range.value);
            }
        }
        ranges.sort();
        let Some(name) = name else { continue };
        let text = name.value.to_string();
        if unique(&section, "name", &name, text, &mut pools.names) && !ranges.is_empty() {
            let pool = PoolConfig {
                addresses: ranges,
                auto_assign: auto_assign.is_none_or(|auto_assign| auto_assign.value),
                avoid_buggy_ips: avoid_buggy_ips.is_some_and(|avoid| avoid.value),
            };
            pools.configs.insert(name.value, pool);
        }
    }
    pools
}

fn address_range(value: &DeValue<'_>) -> value::Parsed<AddressRange> {
    let text = value.as_str().unwrap_or_default();
    AddressRange::parse(text).map_err(Expected)
}

/// Reports a range that overlaps one that was before it; `places` has those, by their first address.
fn is_apart(
    section: &Section<'_>,
    range: &Located<AddressRange>,
    places: &mut BTreeMap<IpAddr, Place>,
) -> bool {
    // Those before it are apart from each other: the highest that begins early enough decides.
    let before = places.range(..=range.value.last()).next_back();
    if let Some((_, place)) = before
        && place.range.overlaps(range.value)
    {
        let Place {
            range: other,
            line,
            pool,
        } = place;
        let expected =
            format!("apart from all others; it overlaps \"{other}\" of {pool} (line {line})");
        section.refuse("addresses", range, &expected);
        return false;
    }
    let place = Place {
        range: range.value,
        line: range.line,
        pool: section.label.to_string(),
    };
    places.insert(range.value.first(), place);
    true
}
