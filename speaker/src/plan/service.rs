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
    let (addresses, health) = parted(differences);
    write!(f, "service {name}: {addresses}")?;
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

/// What differs: `addresses +192.0.2.51 -192.0.2.50; no longer checked`.
pub(crate) fn words(running: &ServiceConfig, wanted: &ServiceConfig) -> String {
    let (addresses, health) = parted(&differences(running, wanted));
    let health = match (&running.health, &wanted.health) {
        (Some(former), None) => without(former),
        _ => Listed(&health).to_string(),
    };
    let parts = [addresses, health].into_iter();
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

fn without(HealthConfig { check, bfd }: &HealthConfig) -> String {
    let check = check.as_ref().map(|_| "no longer checked".to_owned());
    let path = bfd.as_ref();
    let path = path.map(|name| format!("no longer depends on BFD session {name}"));
    let parts: Vec<String> = check.into_iter().chain(path).collect();
    parts.join(", ")
}

/// Which addresses it has, in words, and how it is checked.
fn parted(differences: &[Difference]) -> (String, Vec<Difference>) {
    let (addresses, health): (Vec<_>, Vec<_>) = differences
        .iter()
        .cloned()
        .partition(|difference| [ADDRESSES, POOL, IP_FAMILIES].contains(&difference.key));
    let (named, asked): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|difference| difference.key == ADDRESSES);
    let asked = (!asked.is_empty()).then(|| Listed(&asked).to_string());
    let parts = named.iter().map(moved_addresses).chain(asked);
    (parts.collect::<Vec<_>>().join(", "), health)
}

/// How many addresses are named that come, or that go, before they are counted.
const NAMED: usize = 8;

/// `addresses +192.0.2.151 -192.0.2.150`
fn moved_addresses(difference: &Difference) -> String {
    let items = |list: &str| -> BTreeSet<String> {
        let list = list.trim_matches(['[', ']']).split(", ");
        let list = list.filter(|item| !item.is_empty());
        list.map(str::to_owned).collect()
    };
    let (from, to) = (items(&difference.from), items(&difference.to));
    let mut parts = vec![ADDRESSES.to_owned()];
    for (sign, some, others) in [('+', &to, &from), ('-', &from, &to)] {
        let moved: Vec<&String> = some.difference(others).collect();
        match moved.len() {
            0..=NAMED => parts.extend(moved.iter().map(|it| format!("{sign}{it}"))),
            number => parts.push(format!("{sign}{number}")),
        }
    }
    parts.join(" ")
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::additions::{HealthSpec, ServiceSpec};
    use crate::config::BfdName;

    fn service(address: &str, health: Option<HealthSpec>) -> ServiceSpec {
        ServiceSpec {
            addresses: vec![address.to_owned()],
            health,
            ..ServiceSpec::default()
        }
    }

    fn tcp(fall: u8) -> HealthSpec {
        HealthSpec {
            tcp: Some("127.0.0.1:80".to_owned()),
            fall: NonZeroU8::new(fall),
            ..HealthSpec::default()
        }
    }

    fn told(running: &ServiceSpec, wanted: &ServiceSpec) -> String {
        let read = |spec: &ServiceSpec| ServiceConfig::try_from(spec).unwrap();
        words(&read(running), &read(wanted))
    }

    #[test]
    fn a_check_that_goes_is_said_beside_the_addresses() {
        let checked = service("192.0.2.50", Some(tcp(3)));
        assert_eq!(
            told(&checked, &service("192.0.2.51", None)),
            "addresses +192.0.2.51 -192.0.2.50; no longer checked"
        );
        assert_eq!(
            told(&checked, &service("192.0.2.50", None)),
            "no longer checked"
        );
        let with_path = HealthSpec {
            bfd: BfdName::new("tor"),
            ..tcp(3)
        };
        assert_eq!(
            told(
                &service("192.0.2.50", Some(with_path)),
                &service("192.0.2.50", None)
            ),
            "no longer checked, no longer depends on BFD session tor"
        );
        assert_eq!(told(&checked, &checked), "");
    }

    #[test]
    fn a_check_that_comes_or_changes_is_said() {
        let checked = service("192.0.2.50", Some(tcp(3)));
        assert_eq!(
            told(&service("192.0.2.50", None), &checked),
            "health none -> tcp 127.0.0.1:80"
        );
        assert_eq!(
            told(&checked, &service("192.0.2.50", Some(tcp(5)))),
            "fall 3 -> 5"
        );
    }
}
