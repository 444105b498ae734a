//! What another `[[pool]]` costs: nothing but what services have of it that they cannot keep, which
//! the books of the pools say.

use std::collections::BTreeMap;

use super::{Change, Difference, compare, plan_map};
use crate::config::{PoolConfig, PoolName};

pub(super) fn plan(
    running: &BTreeMap<PoolName, PoolConfig>,
    wanted: &BTreeMap<PoolName, PoolConfig>,
) -> Vec<Change> {
    plan_map(
        running,
        wanted,
        Change::AddPool,
        Change::RemovePool,
        |name, running, wanted| {
            let found = differences(running, wanted);
            (!found.is_empty()).then(|| Change::UpdatePool(name.clone(), found))
        },
    )
}

fn differences(running: &PoolConfig, wanted: &PoolConfig) -> Vec<Difference> {
    let PoolConfig {
        addresses,
        auto_assign,
        avoid_buggy_ips,
    } = wanted;
    let mut found = Vec::new();
    compare(&mut found, "addresses", &running.addresses, addresses);
    compare(&mut found, "auto-assign", &running.auto_assign, auto_assign);
    compare(
        &mut found,
        "avoid-buggy-ips",
        &running.avoid_buggy_ips,
        avoid_buggy_ips,
    );
    found
}
