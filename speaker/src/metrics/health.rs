//! What Prometheus is told of services that depend on something.

use std::time::UNIX_EPOCH;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::{Registry, Unit};

use super::{Counters, Gauges, Seconds};
use crate::control::Snapshot;
use crate::services::Verdict;
use crate::services::health::Kind;
use crate::status::check_result;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    service: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    service: String,
    result: &'static str,
}

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let up = Gauges::<Service>::default();
    let known = Gauges::<Service>::default();
    let transitions = Counters::<Service>::default();
    let changed = Seconds::<Service>::default();
    for (name, standing) in snapshot.standings.iter() {
        let label = Service {
            service: name.to_string(),
        };
        let is = |verdict: bool| i64::from(verdict);
        up.get_or_create(&label)
            .set(is(standing.verdict == Verdict::Healthy));
        known
            .get_or_create(&label)
            .set(is(standing.verdict != Verdict::Unknown));
        transitions
            .get_or_create(&label)
            .inc_by(standing.transitions);
        let since = standing.since.duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default().as_secs_f64();
        changed.get_or_create(&label).set(since);
    }
    registry.register(
        "service_healthy",
        "1 while the service is healthy; only of services that have a health check or depend on a path",
        up,
    );
    registry.register(
        "service_health_known",
        "0 until the service has had its first verdict",
        known,
    );
    registry.register(
        "service_health_transitions",
        "How often the service has become healthy or ceased to be, without the first verdict",
        transitions,
    );
    registry.register_with_unit(
        "service_health_changed_timestamp",
        "When the service last became healthy or ceased to be",
        Unit::Seconds,
        changed,
    );
    add_checks(registry, snapshot);
}

fn add_checks(registry: &mut Registry, snapshot: &Snapshot) {
    let checks = Counters::<Check>::default();
    let took = Seconds::<Service>::default();
    let late = Counter::<u64>::default();
    for (name, report) in &snapshot.checks {
        let service = name.to_string();
        for (kind, number) in [
            (Kind::Success, report.successes),
            (Kind::Failure, report.failures),
            (Kind::Timeout, report.timeouts),
        ] {
            let label = Check {
                service: service.clone(),
                result: check_result(kind),
            };
            checks.get_or_create(&label).inc_by(number);
        }
        if let Some(last) = &report.last {
            let took = took.get_or_create(&Service { service });
            took.set(last.took.as_secs_f64());
        }
        late.inc_by(report.late);
    }
    registry.register(
        "service_checks",
        "Health checks of the service by result",
        checks,
    );
    registry.register_with_unit(
        "service_check_duration",
        "How long the last health check of the service took",
        Unit::Seconds,
        took,
    );
    registry.register(
        "service_checks_late",
        "Health checks of all services that began late, for too many were under way or this host was busy",
        late,
    );
}
