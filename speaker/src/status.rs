//! What the API says, as JSON. Keys are snake_case; durations are numbers with their unit in the
//! key (`_ms`), times are RFC 3339 in UTC, AS numbers and counters are numbers, addresses and
//! prefixes are texts. A key whose value is unknown is null or absent.

mod addresses;
mod advertised;
mod bfd;
mod bfd_thread;
mod event;
mod health;
mod hooks;
mod import;
mod lookup;
mod peer;
mod pools;
mod privileges;
mod received;
mod remembered;
mod routes;
mod services;
#[cfg(test)]
mod tests;
mod transport;

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::config::{Party, PeerName};
use crate::control::{Refusal, Reloaded, Snapshot};
use crate::drain::{DrainReason, Draining};
use crate::history::{Records, Subject};
use crate::plan;
use crate::privileges::Privileges;
use crate::speaker::unknown_peer;
use crate::story::Plot;

pub use self::bfd::{
    BfdAuthenticationStatus, BfdDownStatus, BfdEchoStatus, BfdSessionStatus, BfdStatus,
    ReceiveGapsStatus,
};
pub use addresses::HostedStatus;
pub use advertised::AdvertisedRouteStatus;
pub use bfd_thread::BfdThreadStatus;
pub use event::EventStatus;
pub(crate) use health::result as check_result;
pub use health::{CheckStatus, HealthStatus, LastCheckStatus, PathStatus};
pub use hooks::HookStatus;
pub use import::ImportStatus;
pub use lookup::{RouteDetailStatus, RouteLackStatus, RouteQuery};
pub use peer::{
    FamilyStatus, GracefulRestartStatus, HeldBackStatus, KeptStatus, MessageCounts, MessagesStatus,
    NegotiatedStatus, NotificationStatus, PeerStatus, ResetStatus, ShutdownStatus, TimersStatus,
    UpdateErrorStatus,
};
pub(crate) use pools::countable;
pub use pools::{GivenStatus, HolderStatus, PoolFamilyStatus, PoolStatus, StoredStatus};
pub use privileges::{NeedStatus, PrivilegesStatus};
pub use received::ReceivedRouteStatus;
pub use routes::{RoutePeerStatus, RouteStatus};
pub use services::{LackingStatus, ServiceStatus};
pub use transport::TransportStatus;

/// `GET /v1/status`: the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DaemonStatus {
    /// The version of the program.
    pub version: String,
    /// Since when it runs.
    pub started: String,
    /// For how long.
    pub uptime_ms: u64,
    /// Our AS, where a peer has no other; null: there is no BGP.
    pub local_as: Option<u32>,
    /// Our BGP Identifier.
    pub router_id: Option<String>,
    /// Every peer is drained: `all` by command, `stop` before the daemon ends; null: not every one is.
    #[serde(default)]
    pub draining: Option<String>,
    /// It was told to stop, and does so after this time.
    #[serde(default)]
    pub stops_in_ms: Option<u64>,
    /// The BFD thread.
    #[serde(default)]
    pub bfd: BfdThreadStatus,
    /// What the daemon may do, and what it needs.
    #[serde(default)]
    pub privileges: PrivilegesStatus,
    /// Programs that are run on events, in the order of the file.
    #[serde(default)]
    pub hooks: Vec<HookStatus>,
}

/// The answer to `POST /v1/reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReloadStatus {
    /// Nothing was changed.
    pub dry_run: bool,
    /// In words.
    pub changes: Vec<ChangeStatus>,
    /// Legal, and perhaps not meant.
    pub warnings: Vec<String>,
    /// What could not be done, and is tried again; everything else was.
    #[serde(default)]
    pub failures: Vec<String>,
}

/// One step of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangeStatus {
    /// In words.
    pub text: String,
    /// Routers lose our routes for a moment.
    pub interrupts: bool,
    /// What it is, where a reload may have thousands of them: `services added`, `routes removed`; else null.
    #[serde(default)]
    pub kind: Option<String>,
    /// To whom it happens; only with a kind.
    #[serde(default)]
    pub name: Option<String>,
}

impl DaemonStatus {
    /// Of this snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, privileges: &Privileges) -> Self {
        let speaker = &snapshot.config.speaker;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: time(snapshot.started),
            uptime_ms: millis(snapshot.uptime()),
            local_as: speaker.local_as.map(bgp::Asn::value),
            router_id: speaker.router_id.map(|id| id.to_string()),
            draining: match &snapshot.draining {
                Draining { stops_at, .. } if stops_at.is_some() => Some(DrainReason::Stop),
                Draining { commanded, .. } => commanded.all.then_some(DrainReason::All),
            }
            .map(|reason| reason.name().to_owned()),
            stops_in_ms: snapshot
                .draining
                .stops_at
                .map(|at| millis(at.saturating_duration_since(snapshot.now.0))),
            bfd: (&snapshot.bfd_engine).into(),
            privileges: privileges.into(),
            hooks: snapshot.hooks.iter().map(HookStatus::from).collect(),
        }
    }
}

impl Snapshot {
    /// How long the daemon has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        let (_, now) = self.now;
        now.duration_since(self.started).unwrap_or_default()
    }

    /// How long ago.
    fn ago(&self, at: Instant) -> Duration {
        let (now, _) = self.now;
        now.saturating_duration_since(at)
    }

    /// The time of day.
    fn time(&self, at: Instant) -> String {
        let (_, now) = self.now;
        time(now.checked_sub(self.ago(at)).unwrap_or(now))
    }

    fn ago_ms(&self, at: Option<Instant>) -> Option<u64> {
        at.map(|at| millis(self.ago(at)))
    }

    /// That there is no such peer, and which one may have been meant.
    pub(crate) fn unknown_peer(&self, name: &str) -> Refusal {
        let departed = PeerName::new(name).map(Party::Peer);
        if departed.is_some_and(|party| self.history.contains_key(&(party, Subject::Bgp))) {
            return Refusal::NotFound(format!(
                "peer {name} came by a range and is not there; `herald show events --peer {name}` tells what happened to it"
            ));
        }
        unknown_peer(&self.config, name)
    }

    /// What `tell` makes of what happened to somebody.
    fn told_of<T>(&self, party: &Party, tell: impl FnOnce(&Plot<'_>) -> T) -> T {
        let records = |subject| self.history.get(&(party.clone(), subject));
        let none = Records::default();
        tell(&Plot {
            now: self.now.1,
            started: self.started,
            bgp: records(Subject::Bgp).unwrap_or(&none),
            bfd: records(Subject::Bfd).unwrap_or(&none),
        })
    }
}

impl ReloadStatus {
    /// Of this reload.
    #[must_use]
    pub fn new(file: &std::path::Path, dry_run: bool, reloaded: &Reloaded) -> Self {
        let changes = reloaded.changes.iter().map(|change| {
            let (kind, name) = plan::of_many(change).unzip();
            ChangeStatus {
                text: change.to_string(),
                interrupts: change.interrupts(),
                kind: kind.map(str::to_owned),
                name,
            }
        });
        let warnings = reloaded.warnings.iter();
        Self {
            dry_run,
            changes: changes.collect(),
            warnings: warnings
                .map(|warning| warning.in_file(file).to_string())
                .collect(),
            failures: reloaded.failures.clone(),
        }
    }
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// With the microseconds that BFD counts in.
fn fine_millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
