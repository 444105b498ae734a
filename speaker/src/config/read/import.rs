//! What a `[[peer]]` says of the routes that come in.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use bgp::{AdjRibInLimit, Family, PrefixLimits, ReceivedRoutes};

use super::SECOND;
use crate::config::document::{Located, Section};
use crate::config::{ImportConfig, value};

/// The keys, as far as they are there.
pub(super) struct ImportKeys {
    received_routes: Option<Located<value::Received>>,
    received_routes_limit: Option<Located<u32>>,
    received_attributes_limit: Option<Located<u32>>,
    max_prefixes: Option<Located<value::MaxPrefixes>>,
    max_prefixes_warning: Option<Located<u8>>,
    max_prefixes_restart: Option<Located<Option<Duration>>>,
    enforce_first_as: Option<Located<bool>>,
}

impl ImportKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            received_routes: section.take("received-routes", value::received_routes),
            received_routes_limit: section.take(
                "received-routes-limit",
                value::number_between(1, 10_000_000),
            ),
            received_attributes_limit: section.take(
                "received-attributes-limit",
                value::number_between(4096, 1 << 30),
            ),
            max_prefixes: section.take("max-prefixes", value::max_prefixes),
            max_prefixes_warning: section
                .take("max-prefixes-warning", value::number_between(1, 100)),
            max_prefixes_restart: section.take(
                "max-prefixes-restart",
                value::never_or(value::duration_between(SECOND, 24 * 3600 * SECOND)),
            ),
            enforce_first_as: section.take("enforce-first-as", value::boolean),
        }
    }

    pub(super) fn or(self, defaults: &Self) -> Self {
        macro_rules! merged {
            ($($field:ident)*) => {
                Self { $($field: self.$field.or_else(|| defaults.$field.clone()),)* }
            };
        }
        merged! {
            received_routes received_routes_limit received_attributes_limit max_prefixes
            max_prefixes_warning max_prefixes_restart enforce_first_as
        }
    }
}

/// What the keys amount to; `families` are those that the peer offers.
pub(super) fn check(keys: &ImportKeys, section: &Section<'_>, families: &[Family]) -> ImportConfig {
    let standard = AdjRibInLimit::default();
    let number = |key: &Option<Located<u32>>, standard: usize| {
        key.as_ref()
            .map_or(standard, |number| number.value as usize)
    };
    let limit = AdjRibInLimit {
        routes: number(&keys.received_routes_limit, standard.routes),
        attribute_octets: number(&keys.received_attributes_limit, standard.attribute_octets),
    };
    let received = keys.received_routes.as_ref().map(|key| key.value);
    let limits = PrefixLimits::default();
    ImportConfig {
        received_routes: match received.unwrap_or_default() {
            value::Received::Counted => ReceivedRoutes::Counted,
            value::Received::Kept => ReceivedRoutes::Kept(limit),
        },
        prefix_limits: PrefixLimits {
            families: check_max_prefixes(keys, section, families),
            warning_percent: keys
                .max_prefixes_warning
                .as_ref()
                .map_or(limits.warning_percent, |percent| percent.value),
            restart: keys
                .max_prefixes_restart
                .as_ref()
                .map_or(limits.restart, |time| time.value),
        },
        enforce_first_as: keys.enforce_first_as.as_ref().is_none_or(|key| key.value),
    }
}

fn check_max_prefixes(
    keys: &ImportKeys,
    section: &Section<'_>,
    families: &[Family],
) -> BTreeMap<Family, NonZeroU32> {
    let Some(max_prefixes) = &keys.max_prefixes else {
        return BTreeMap::new();
    };
    let by_family: BTreeMap<Family, u32> = match &max_prefixes.value {
        value::MaxPrefixes::Each(limit) => {
            families.iter().map(|family| (*family, *limit)).collect()
        }
        value::MaxPrefixes::ByFamily(limits) => limits.clone(),
    };
    for family in by_family.keys().filter(|family| !families.contains(family)) {
        section.warning(
            max_prefixes.line,
            "max-prefixes",
            format!("has a limit for {family}, which is not among the peer's families"),
        );
    }
    let limits = by_family.into_iter();
    limits
        .filter_map(|(family, limit)| Some((family, NonZeroU32::new(limit)?)))
        .collect()
}
