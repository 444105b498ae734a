//! `[[hook]]`: a program that is run when something comes up or goes down.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Name;

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// What it is called in logs and metrics.
    pub name: Name,
    /// What it is told of, at least one.
    pub on: BTreeSet<HookSubject>,
    /// Of whom; `None`: of everybody. Names of peers, ranges, BFD sessions and services.
    pub names: Option<BTreeSet<String>>,
    /// The program, and its arguments.
    pub exec: Vec<String>,
    /// How long a run may take.
    pub timeout: Duration,
}

impl HookConfig {
    /// How long a run may take where nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
}

/// What comes up and goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookSubject {
    /// A peer's BGP session.
    Peer,
    /// A BFD session.
    Bfd,
    /// A service that has health checks, or depends on a path.
    Service,
}

impl std::fmt::Display for HookSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Peer => "peer",
            Self::Bfd => "bfd",
            Self::Service => "service",
        })
    }
}
