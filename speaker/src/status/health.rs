//! Whether services work, and how that is known.

use serde::{Deserialize, Serialize};

use super::{millis, time};
use crate::config::{CheckConfig, ServiceName};
use crate::control::Snapshot;
use crate::services::Service;
use crate::services::health::{CheckReport, Kind, Standing};

/// What a service depends on, and how that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HealthStatus {
    /// Why the service is in its state: `HTTP 503 after 3 failures`.
    pub cause: String,
    /// Since when.
    pub since: String,
    /// For how long.
    pub in_state_ms: u64,
    /// How often it has become healthy or ceased to be; the first verdict does not count.
    pub transitions: u64,
    /// What is checked; null: nothing.
    pub check: Option<CheckStatus>,
    /// The path that it depends on; null: none.
    pub bfd: Option<PathStatus>,
}

/// A path that a service depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathStatus {
    /// The `[[bfd-session]]`.
    pub bfd_session: String,
    /// `healthy`, `unhealthy`, or `unknown` while it has not been up.
    pub state: String,
    /// Why.
    pub cause: String,
}

/// A check, and how it has fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckStatus {
    /// `http`, `tcp` or `exec`, and what: `tcp 127.0.0.1:8080`.
    pub probe: String,
    /// What it says: `healthy`, `unhealthy`, or `unknown` before the first result.
    pub state: String,
    /// How often.
    pub interval_ms: u64,
    /// How long it may take.
    pub timeout_ms: u64,
    /// Failures in a row until it is unhealthy.
    pub fall: u8,
    /// Successes in a row until it is healthy again.
    pub rise: u8,
    /// Successes in a row, up to the last result.
    pub successes_in_a_row: u64,
    /// Failures in a row, up to the last result.
    pub failures_in_a_row: u64,
    /// Checks that went well, since the daemon was started.
    pub successes: u64,
    /// Checks that did not.
    pub failures: u64,
    /// Checks that did not end in time; not among the failures.
    pub timeouts: u64,
    /// Checks that began late, for too many were under way or this host was busy.
    pub late: u64,
    /// The last check that has ended.
    pub last: Option<LastCheckStatus>,
}

/// A check that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LastCheckStatus {
    /// When.
    pub at: String,
    /// How long ago.
    pub ago_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// `success`, `failure` or `timeout`.
    pub result: String,
    /// What came of it: `HTTP 503`.
    pub text: String,
}

impl Snapshot {
    /// `None` for a service that depends on nothing.
    pub(super) fn health(&self, name: &ServiceName, service: &Service) -> Option<HealthStatus> {
        let standing = self.standings.get(name)?;
        let config = service.spec.health.as_ref()?;
        let (_, now) = self.now;
        let in_state = now.duration_since(standing.since).unwrap_or_default();
        Some(HealthStatus {
            cause: standing.cause.clone(),
            since: time(standing.since),
            in_state_ms: millis(in_state),
            transitions: standing.transitions,
            check: config.check.as_ref().map(|config| {
                let report = self.checks.get(name).cloned().unwrap_or_default();
                self.check(config, standing, &report)
            }),
            bfd: standing.path.as_ref().map(|(path, aspect)| PathStatus {
                bfd_session: path.to_string(),
                state: aspect.verdict.to_string(),
                cause: aspect.cause.clone(),
            }),
        })
    }

    fn check(
        &self,
        config: &CheckConfig,
        standing: &Standing,
        report: &CheckReport,
    ) -> CheckStatus {
        let CheckConfig {
            probe,
            interval,
            timeout,
            fall,
            rise,
        } = config;
        let verdict = standing.check.as_ref().map(|check| check.verdict);
        CheckStatus {
            probe: probe.to_string(),
            state: verdict.unwrap_or_default().to_string(),
            interval_ms: millis(*interval),
            timeout_ms: millis(*timeout),
            fall: fall.get(),
            rise: rise.get(),
            successes_in_a_row: report.successes_in_a_row,
            failures_in_a_row: report.failures_in_a_row,
            successes: report.successes,
            failures: report.failures,
            timeouts: report.timeouts,
            late: report.late,
            last: report.last.as_ref().map(|last| LastCheckStatus {
                at: self.time(last.at),
                ago_ms: millis(self.ago(last.at)),
                took_us: u64::try_from(last.took.as_micros()).unwrap_or(u64::MAX),
                result: result(last.outcome.kind).to_owned(),
                text: last.outcome.text.clone(),
            }),
        }
    }
}

/// In a word, for people and for metrics.
pub(crate) const fn result(kind: Kind) -> &'static str {
    match kind {
        Kind::Success => "success",
        Kind::Failure => "failure",
        Kind::Timeout => "timeout",
    }
}
