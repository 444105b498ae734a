//! What Prometheus is told of hooks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::{Counters, Gauges, count};
use crate::control::Snapshot;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hook {
    hook: String,
}

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let runs = Counters::<Hook>::default();
    let failures = Counters::<Hook>::default();
    let timeouts = Counters::<Hook>::default();
    let dropped = Counters::<Hook>::default();
    let waiting = Gauges::<Hook>::default();
    for (name, counts) in &snapshot.hooks {
        let label = Hook { hook: name.clone() };
        runs.get_or_create(&label).inc_by(counts.runs);
        failures.get_or_create(&label).inc_by(counts.failures);
        timeouts.get_or_create(&label).inc_by(counts.timeouts);
        dropped.get_or_create(&label).inc_by(counts.dropped);
        waiting.get_or_create(&label).set(count(counts.waiting));
    }
    registry.register("hook_runs", "Runs of a hook that were begun", runs);
    registry.register(
        "hook_failures",
        "Runs of a hook that could not be begun, or ended with something other than 0",
        failures,
    );
    registry.register(
        "hook_timeouts",
        "Runs of a hook that took too long and were killed",
        timeouts,
    );
    registry.register(
        "hook_dropped",
        "Events that a hook was not told of, for too many waited",
        dropped,
    );
    registry.register("hook_waiting", "Events that wait for a hook", waiting);
}
