//! What the API says of hooks.

use serde::{Deserialize, Serialize};

use crate::hooks::HookCounts;

/// How a hook has fared since it is in the file under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HookStatus {
    /// What it is called.
    pub name: String,
    /// Runs that were begun.
    pub runs: u64,
    /// Runs that could not be begun, or ended with something other than 0.
    pub failures: u64,
    /// Runs that took too long and were killed; not among the failures.
    pub timeouts: u64,
    /// Events that had to give way to later ones.
    pub dropped: u64,
    /// Events that wait.
    pub waiting: usize,
}

impl From<&(String, HookCounts)> for HookStatus {
    fn from((name, counts): &(String, HookCounts)) -> Self {
        let HookCounts {
            runs,
            failures,
            timeouts,
            dropped,
            waiting,
        } = *counts;
        Self {
            name: name.clone(),
            runs,
            failures,
            timeouts,
            dropped,
            waiting,
        }
    }
}
