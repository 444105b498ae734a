//! `[[bfd-range]]`: neighbors that may begin BFD sessions.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use super::super::document::Section;
use super::super::{BFD_PORT, BfdName, BfdProfile, BfdRangeConfig, value};
use super::peer::find_profile;
use super::unique;

/// With `@`, a link-local address and its interface behind it, it is a name still.
const MAX_NAME: usize = 22;

/// The ranges that could be read. Their names are other than those of peers and sessions, so that a name means one thing.
pub(super) fn read_bfd_ranges(
    sections: Vec<Section<'_>>,
    profiles: &BTreeMap<String, BfdProfile>,
    names: &mut BTreeMap<String, usize>,
) -> BTreeMap<BfdName, BfdRangeConfig> {
    let mut ranges = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut section in sections {
        let name = section.require(
            "name",
            "a name, such as \"fabric\"",
            value::name_up_to::<BfdName>(MAX_NAME),
        );
        let prefix = section.require(
            "prefix",
            "where the neighbors are, such as \"10.0.0.0/24\"",
            value::neighbor_prefix,
        );
        let interface = section.take("interface", value::interface);
        let port = section.take("port", value::port);
        let profile = section.take("bfd-profile", value::name);
        let max_sessions = section.take("max-sessions", value::number_between::<u16>(1, 65535));
        let enabled = section.take("enabled", value::boolean);
        let description = section.take("description", value::text);
        section.finish();
        let profile = match &profile {
            Some(wanted) => find_profile(&section, wanted, profiles).cloned(),
            None => profiles.get(BfdProfile::DEFAULT_NAME).cloned(),
        };
        let (Some(name), Some(prefix)) = (name, prefix) else {
            continue;
        };
        let interface = interface.map(|interface| interface.value);
        let place = format!("{} {interface:?}", prefix.value);
        let new = unique(&section, "name", &name, name.value.to_string(), names)
            & unique(&section, "prefix", &prefix, place, &mut places);
        let Some(profile) = profile.filter(|_| new) else {
            continue;
        };
        let limit = max_sessions.and_then(|limit| NonZeroU16::new(limit.value));
        let range = BfdRangeConfig {
            prefix: prefix.value,
            interface,
            port: port.map_or(BFD_PORT, |port| port.value),
            profile,
            max_sessions: limit.unwrap_or(BfdRangeConfig::DEFAULT_MAX_SESSIONS),
            enabled: enabled.is_none_or(|enabled| enabled.value),
            description: description.map(|text| text.value),
        };
        ranges.insert(name.value, range);
    }
    ranges
}
