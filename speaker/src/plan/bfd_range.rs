//! What a new `[[bfd-range]]` costs: sessions that it would accept still follow it in place, others end.

use std::collections::BTreeMap;

use super::bfd::compare_profile;
use super::{Change, Difference, Differences, Effect, plan_map};
use crate::config::{BfdName, BfdRangeConfig};

pub(super) fn plan(
    running: &BTreeMap<BfdName, BfdRangeConfig>,
    wanted: &BTreeMap<BfdName, BfdRangeConfig>,
) -> Vec<Change> {
    plan_map(
        running,
        wanted,
        Change::AddBfdRange,
        Change::RemoveBfdRange,
        |name, running, wanted| {
            let found = differences(running, wanted);
            (!found.is_empty()).then(|| Change::UpdateBfdRange(name.clone(), found))
        },
    )
}

fn differences(running: &BfdRangeConfig, wanted: &BfdRangeConfig) -> Vec<Difference> {
    use Effect::InPlace;
    let BfdRangeConfig {
        prefix,
        interface,
        port,
        profile,
        max_sessions,
        enabled,
        description,
    } = wanted;
    let mut found = Differences::default();
    found.compare(InPlace, "enabled", &running.enabled, enabled);
    found.compare(InPlace, "prefix", &running.prefix, prefix);
    found.compare(InPlace, "interface", &running.interface, interface);
    found.compare(InPlace, "port", &running.port, port);
    compare_profile(&mut found, &running.profile, profile);
    found.compare(InPlace, "max-sessions", &running.max_sessions, max_sessions);
    found.compare(InPlace, "description", &running.description, description);
    found.found
}
