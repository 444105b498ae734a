//! The commands that change something.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::client::{Client, ClientError, segment};
use super::{AddService, Announce, FAILURE, SUCCESS, ServiceHealth, USAGE, complain, say};
use crate::additions::{HealthSpec, RouteSpec, ServiceSpec};
use crate::api::{
    DrainRequest, Exit, Farewell, RefreshRequest, RefreshStatus, Stop, StopStatus, WarningStatus,
};
use crate::config::{BfdName, PeerName, PoolName};
use crate::plan;
use crate::status::{ChangeStatus, GivenStatus, ReloadStatus, StoredStatus};

/// Whoever waits longer for a stop wants to know for what.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn announce(client: &Client, announce: Announce) -> u8 {
    let mut peers = Vec::new();
    for name in &announce.peers {
        match PeerName::new(name) {
            Some(name) => peers.push(name),
            None => {
                complain(format_args!("--peer: {name:?} is not a peer's name"));
                return USAGE;
            }
        }
    }
    let spec = RouteSpec {
        med: announce.med,
        local_pref: announce.local_pref,
        as_path_prepend: announce.as_path_prepend,
        communities: announce.communities,
        next_hop: announce.next_hops,
        atomic_aggregate: announce.atomic_aggregate,
        aggregator: announce.aggregator,
        peers: (!peers.is_empty()).then_some(peers),
    };
    let prefix = announce.prefix;
    let path = format!("/v1/routes/{}", segment(&prefix));
    let answer = client.put(&path, &spec);
    let answer = answer.and_then(|body| client.understood(&body));
    done(answer, |stored: StoredStatus| {
        let outcome = match (&stored.changed, stored.outcome.as_str()) {
            (Some(changed), _) => format!("changed: {changed}"),
            (None, "added") => "announced; `herald show routes` tells who has it".to_owned(),
            (None, outcome) => outcome.to_owned(),
        };
        say(format_args!("{prefix}: {outcome}"));
    })
}

pub(super) fn withdraw(client: &Client, prefix: &str) -> u8 {
    let path = format!("/v1/routes/{}", segment(prefix));
    done(client.delete(&path), |answer| {
        say(format_args!("{prefix}: withdrawn"));
        warn_if_unkept(&answer);
    })
}

pub(super) fn add_service(client: &Client, name: &str, service: AddService) -> u8 {
    let path = format!("/v1/services/{}", segment(name));
    let AddService {
        addresses,
        pool,
        ip_families,
        health,
    } = service;
    let pool = match pool.as_deref().map(PoolName::new) {
        Some(None) => {
            complain("--pool: that is not a pool's name");
            return USAGE;
        }
        pool => pool.flatten(),
    };
    let health = match health_spec(health) {
        Ok(health) => health,
        Err(problem) => {
            complain(problem);
            return USAGE;
        }
    };
    let spec = ServiceSpec {
        addresses,
        pool,
        ip_families: (!ip_families.is_empty()).then_some(ip_families),
        health,
    };
    let answer = client.put(&path, &spec);
    let answer = answer.and_then(|body| client.understood(&body));
    done(answer, |given: GivenStatus| say(added(name, &given)))
}

/// `None`: it is taken to work always. The daemon says what is wrong with the rest.
fn health_spec(health: ServiceHealth) -> Result<Option<HealthSpec>, &'static str> {
    let ServiceHealth {
        health_http,
        health_tcp,
        health_bfd,
        interval,
        timeout,
        fall,
        rise,
    } = health;
    let bfd = match health_bfd.as_deref().map(BfdName::new) {
        Some(None) => return Err("--health-bfd: that is not a BFD session's name"),
        bfd => bfd.flatten(),
    };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let spec = HealthSpec {
        http: health_http,
        tcp: health_tcp,
        bfd,
        interval_ms: interval.map(millis),
        timeout_ms: timeout.map(millis),
        fall,
        rise,
        ..HealthSpec::default()
    };
    Ok((spec != HealthSpec::default()).then_some(spec))
}

fn added(name: &str, given: &GivenStatus) -> String {
    let addresses = given.addresses.join(" and ");
    let is_new = given.outcome == "added";
    let outcome = match &given.changed {
        Some(changed) if addresses.is_empty() => format!("changed: {changed}"),
        Some(changed) => format!("changed: {changed} (it has {addresses})"),
        None if addresses.is_empty() => given.outcome.clone(),
        None => format!("{} with {addresses}", given.outcome),
    };
    match &given.lack {
        Some(lack) => format!(
            "{name}: {outcome}, and lacks an address: {lack}; it gets one as soon as one is free"
        ),
        None if is_new => format!("{name}: {outcome}; `herald show services` tells who has it"),
        None => format!("{name}: {outcome}"),
    }
}

pub(super) fn remove_service(client: &Client, name: &str) -> u8 {
    let path = format!("/v1/services/{}", segment(name));
    done(client.delete(&path), |answer| {
        say(format_args!("{name}: removed"));
        warn_if_unkept(&answer);
    })
}

pub(super) fn shut_down_peer(client: &Client, name: &str, message: Option<String>) -> u8 {
    let path = format!("/v1/peers/{}/shutdown", segment(name));
    let farewell = farewell(message);
    done(client.post(&path, &farewell), |answer| {
        say(format_args!(
            "{name}: shut down; `herald peer enable {name}` lets it start again"
        ));
        warn_if_unkept(&answer);
    })
}

pub(super) fn enable_peer(client: &Client, name: &str) -> u8 {
    let path = format!("/v1/peers/{}/enable", segment(name));
    done(client.post(&path, &()), |_| {
        say(format_args!(
            "{name}: enabled; `herald show peer {name}` tells how it comes back"
        ));
    })
}

pub(super) fn refresh_peer(client: &Client, name: &str, family: Option<String>) -> u8 {
    let path = format!("/v1/peers/{}/refresh", segment(name));
    let answer = client
        .post(&path, &RefreshRequest { family })
        .and_then(|body| client.understood(&body));
    done(answer, |RefreshStatus { families }| {
        say(format_args!("{name}: asked for {}", families.join(" and ")));
    })
}

/// A text that a neighbor may not understand is worth a word.
fn farewell(communication: Option<String>) -> Farewell {
    let octets = communication.as_ref().map_or(0, String::len);
    if (129..=255).contains(&octets) {
        eprintln!(
            "note: the text has {octets} octets; neighbors that know only RFC 8203 show none of more than 128"
        );
    }
    Farewell { communication }
}

pub(super) fn reset_peer(client: &Client, name: &str, message: Option<String>) -> u8 {
    let path = format!("/v1/peers/{}/reset", segment(name));
    let farewell = farewell(message);
    done(client.post(&path, &farewell), |_| {
        say(format_args!(
            "{name}: reset; `herald show peer {name}` tells how it comes back"
        ));
    })
}

/// What costs a session comes first; each step with `all`, else those of which there are many in one line.
fn steps(changes: Vec<ChangeStatus>, all: bool) -> Vec<String> {
    let (interrupting, quiet): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.interrupts);
    let marked = |mark: char, changes: Vec<ChangeStatus>| {
        let of_many = |change: &ChangeStatus| {
            let kind = change.kind.clone().filter(|_| !all)?;
            Some((kind, change.name.clone()?))
        };
        let steps = changes.into_iter();
        let lines = plan::summarized(steps.map(|change| (change.text.clone(), of_many(&change))));
        lines.into_iter().map(move |line| format!("{mark} {line}"))
    };
    marked('!', interrupting)
        .chain(marked(' ', quiet))
        .collect()
}

pub(super) fn reload(client: &Client, dry_run: bool, all: bool) -> u8 {
    let path = format!("/v1/reload?dry-run={dry_run}");
    let answer = client
        .post(&path, &())
        .and_then(|body| client.understood(&body));
    let mut failures = Vec::new();
    let code = done(answer, |status: ReloadStatus| {
        failures = status.failures;
        for warning in status.warnings {
            eprintln!("warning: {warning}");
        }
        let number = status.changes.len();
        for line in steps(status.changes, all) {
            say(line);
        }
        match (number, dry_run) {
            (0, _) => say("nothing changed"),
            (_, true) => say(format_args!(
                "{number} to apply; nothing was changed (--dry-run)"
            )),
            (_, false) => say(format_args!("{number} applied")),
        }
    });
    for failure in &failures {
        complain(failure);
    }
    match failures.is_empty() {
        true => code,
        false => FAILURE,
    }
}

pub(super) fn stop(client: &Client, restart: bool, withdraw: bool, message: Option<String>) -> u8 {
    let how = match (restart, withdraw) {
        (true, _) => Some(Exit::Restart),
        (_, true) => Some(Exit::Withdraw),
        _ => None,
    };
    let stop = Stop {
        how,
        communication: message,
    };
    let client = client.patient();
    let answered = {
        let _impatience = impatience();
        client.post("/v1/stop", &stop)
    };
    let stopping = answered.and_then(|answer| {
        if answer.is_empty() {
            return Ok(());
        }
        if let Some(warning) = warning(&answer) {
            eprintln!("warning: {warning}");
            return Ok(());
        }
        let StopStatus { draining_ms } = client.understood(&answer)?;
        let drain = Duration::from_millis(draining_ms);
        say(format_args!(
            "draining for {}; another `herald stop` skips the rest",
            humantime::format_duration(drain)
        ));
        client.wait_for_end(drain)
    });
    done(stopping, |()| say("stopped"))
}

pub(super) fn drain(client: &Client, peers: Vec<String>) -> u8 {
    drain_or_not(client, "/v1/drain", peers, |whom| {
        format!("{whom}: drained; `herald show peers` tells what is still on its way")
    })
}

pub(super) fn undrain(client: &Client, peers: Vec<String>) -> u8 {
    drain_or_not(client, "/v1/undrain", peers, |whom| {
        format!("{whom}: drained no longer")
    })
}

fn drain_or_not(
    client: &Client,
    path: &str,
    names: Vec<String>,
    then: impl FnOnce(&str) -> String,
) -> u8 {
    let whom = match names.is_empty() {
        true => "every peer".to_owned(),
        false => names.join(", "),
    };
    let mut peers = BTreeSet::new();
    for name in &names {
        match PeerName::new(name) {
            Some(name) => drop(peers.insert(name)),
            None => {
                complain(format_args!("{name:?} is not a peer's name"));
                return USAGE;
            }
        }
    }
    done(client.post(path, &DrainRequest { peers }), |answer| {
        say(then(&whom));
        warn_if_unkept(&answer);
    })
}

/// Says what a stop waits for, unless what is returned is dropped before.
fn impatience() -> mpsc::Sender<()> {
    let (ended, over) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("stopping: the daemon waits for its neighbors and for hooks that run");
        }
    });
    ended
}

/// What is done may have another side to it.
fn warn_if_unkept(answer: &[u8]) {
    if let Some(warning) = warning(answer) {
        eprintln!("warning: {warning}");
    }
}

fn warning(answer: &[u8]) -> Option<String> {
    let answer: WarningStatus = serde_json::from_slice(answer).ok()?;
    Some(answer.warning)
}

fn done<T>(result: Result<T, ClientError>, then: impl FnOnce(T)) -> u8 {
    match result {
        Ok(value) => {
            then(value);
            SUCCESS
        }
        Err(error) => {
            complain(&error);
            error.code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, interrupts: bool, kind: Option<&str>) -> ChangeStatus {
        ChangeStatus {
            text: text.to_owned(),
            interrupts,
            kind: kind.map(str::to_owned),
            name: kind.map(|_| text.to_owned()),
        }
    }

    #[test]
    fn many_steps_of_a_kind_are_one_line_and_what_interrupts_comes_first() {
        let mut changes: Vec<_> = (0..12)
            .map(|number| change(&format!("s{number:02}"), false, Some("services added")))
            .collect();
        changes.push(change("route 1", false, Some("routes added")));
        changes.push(change("peer tor: restarted", true, None));
        assert_eq!(
            steps(changes.clone(), false),
            [
                "! peer tor: restarted",
                "  route 1",
                "  12 services added, from s00 to s11"
            ]
        );
        let all = steps(changes, true);
        assert_eq!(all.len(), 14);
        assert_eq!(all[..2], ["! peer tor: restarted", "  s00"]);
    }
}
