//! What a new `[[bfd-session]]` costs: what names the session begins it anew, the rest is changed in
//! place.

use std::collections::BTreeMap;

use super::bfd::compare_profile;
use super::{Change, Differences, Effect, plan_map};
use crate::config::{BfdHops, BfdName, BfdSessionConfig};

pub(super) fn plan(
    running: &BTreeMap<BfdName, BfdSessionConfig>,
    wanted: &BTreeMap<BfdName, BfdSessionConfig>,
) -> Vec<Change> {
    plan_map(
        running,
        wanted,
        Change::AddBfdSession,
        Change::RemoveBfdSession,
        |name, running, wanted| {
            let Differences { effect, found } = differences(running, wanted);
            let name = name.clone();
            Some(match effect? {
                Effect::InPlace => Change::UpdateBfdSession(name, found),
                Effect::Restart => Change::RestartBfdSession(name, found),
                Effect::Switch => Change::SwitchBfdSession(name, found),
            })
        },
    )
}

fn differences(running: &BfdSessionConfig, wanted: &BfdSessionConfig) -> Differences {
    use Effect::{InPlace, Restart, Switch};
    let BfdSessionConfig {
        address,
        interface,
        port,
        source_address,
        hops,
        profile,
        enabled,
        description,
    } = wanted;
    let mut found = Differences::default();
    found.compare(Switch, "enabled", &running.enabled, enabled);
    // A session is named by its ends (RFC 5881 §3).
    found.compare(Restart, "address", &running.address, address);
    found.compare(Restart, "interface", &running.interface, interface);
    found.compare(Restart, "port", &running.port, port);
    found.compare(
        Restart,
        "source-address",
        &running.source_address,
        source_address,
    );
    let minimum_ttl = |hops: BfdHops| match hops {
        BfdHops::Single => None,
        BfdHops::Multi { minimum_ttl } => Some(minimum_ttl.get()),
    };
    let (ttl_before, ttl) = (minimum_ttl(running.hops), minimum_ttl(*hops));
    found.compare(Restart, "multihop", &ttl_before.is_some(), &ttl.is_some());
    compare_profile(&mut found, &running.profile, profile);
    if ttl_before.is_some() && ttl.is_some() && !found.names("minimum-ttl") {
        found.compare(InPlace, "minimum-ttl", &ttl_before, &ttl);
    }
    found.compare(InPlace, "description", &running.description, description);
    found
}
