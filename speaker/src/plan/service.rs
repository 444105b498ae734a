//! What another `[[service]]` costs: routes come and go, and no session is touched.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::shown::{Named, Shown};
use super::{Change, Difference, Listed, compare};
use crate::config::{CheckConfig, HealthConfig, PoolRequest, Probe, ServiceConfig, ServiceName};

const ADDRESSES: &str = "addresses";
const POOL: &str = "pool";
const IP_FAMILIES: &str = "ip-families";

pub(super) fn update(
    name: &ServiceName,
    running: &Arc<ServiceConfig>,
    wanted: &Arc<ServiceConfig>,
) -> Option<Change> {
    if running == wanted {
        return None;
    }
    let found = differences(running, wanted);
    (!found.is_empty()).then(|| Change::UpdateService(name.clone(), found))
}

fn differences(running: &ServiceConfig, wanted: &ServiceConfig) -> Vec<Difference> {
    let ServiceConfig {
        addresses,
        request,
        health,
    } = wanted;
    let mut found = Vec::new();
    let list = |service: &ServiceConfig| service.addresses.iter().copied().collect::<Vec<_>>();
    if running.addresses != *addresses {
        compare(&mut found, ADDRESSES, &list(running), &list(wanted));
    }
    let PoolRequest { pool, ip_families } = request;
    let asked = &running.request;
    compare(&mut found, POOL, &Named(&asked.pool), &Named(pool));
    compare(
        &mut found,
        IP_FAMILIES,
        &Named(&asked.ip_families),
        &Named(ip_families),
    );
    match (&running.health, health) {
        (Some(running), Some(wanted)) => compare_health(&mut found, running, wanted),
        (running, wanted) => compare(&mut found, "health", running, wanted),
    }
    found
}

fn compare_health(found: &mut Vec<Difference>, running: &HealthConfig, wanted: &HealthConfig) {
    let HealthConfig { check, bfd } = wanted;
    compare(found, "bfd", &Named(&running.bfd), &Named(bfd));
    match (&running.check, check) {
        (Some(running), Some(wanted)) => {
            let CheckConfig {
                probe,
                interval,
                timeout,
                fall,
                rise,
            } = &**wanted;
            compare(found, "check", &running.probe, probe);
            compare(found, "interval", &running.interval, interval);
            compare(found, "timeout", &running.timeout, timeout);
            compare(found, "fall", &running.fall, fall);
            compare(found, "rise", &running.rise, rise);
        }
        (running, wanted) => {
            let probe = |check: &Option<Arc<CheckConfig>>| {
                let probe = check.as_ref().map(|check| check.probe.to_string());
                probe.unwrap_or_else(|| "none".to_owned())
            };
            compare(found, "check", &probe(running), &probe(wanted));
        }
    }
}

/// Which of its addresses are announced and how it is checked are two things.
pub(super) fn write_update(
    f: &mut fmt::Formatter<'_>,
    name: &ServiceName,
    differences: &[Difference],
) -> fmt::Result {
    let (addresses, health): (Vec<_>, Vec<_>) = differences
        .iter()
        .cloned()
        .partition(|difference| [ADDRESSES, POOL, IP_FAMILIES].contains(&difference.key));
    write!(f, "service {name}: ")?;
    let (named, asked): (Vec<_>, Vec<_>) = addresses
        .iter()
        .cloned()
        .partition(|difference| difference.key == ADDRESSES);
    if let Some(difference) = named.first() {
        write_addresses(f, difference)?;
    }
    if !asked.is_empty() {
        let and = if named.is_empty() { "" } else { ", " };
        write!(f, "{and}{}", Listed(&asked))?;
    }
    if health.is_empty() {
        return Ok(());
    }
    let and = if addresses.is_empty() { "" } else { ", and " };
    let health = Listed(&health);
    write!(
        f,
        "{and}health check changes: {health}; no session is touched"
    )
}

/// How many addresses are named that come, or that go, before they are counted.
const NAMED: usize = 8;

/// `addresses +192.0.2.151 -192.0.2.150`
fn write_addresses(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    let items = |list: &str| -> BTreeSet<String> {
        let list = list.trim_matches(['[', ']']).split(", ");
        let list = list.filter(|item| !item.is_empty());
        list.map(str::to_owned).collect()
    };
    let (from, to) = (items(&difference.from), items(&difference.to));
    f.write_str("addresses")?;
    for (sign, some, others) in [('+', &to, &from), ('-', &from, &to)] {
        let moved: Vec<&String> = some.difference(others).collect();
        match moved.len() {
            0..=NAMED => moved.iter().try_for_each(|it| write!(f, " {sign}{it}"))?,
            number => write!(f, " {sign}{number}")?,
        }
    }
    Ok(())
}

impl Shown for Probe {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Option<HealthConfig> {
    fn shown(&self) -> String {
        let Some(HealthConfig { check, bfd }) = self else {
            return "none".to_owned();
        };
        let check = check.as_ref().map(|check| check.probe.to_string());
        let bfd = bfd.as_ref().map(|name| format!("bfd {name}"));
        let parts: Vec<String> = check.into_iter().chain(bfd).collect();
        parts.join(" and ")
    }
}
