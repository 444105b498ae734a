//! What is done with the routes that a peer announces.

use std::collections::BTreeMap;

use bgp::ReceivedRoutes;
use serde::{Deserialize, Serialize};

use super::millis;
use crate::config::ImportConfig;

/// As it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImportStatus {
    /// They are kept, to be looked at; false: they are counted and thrown away.
    pub kept: bool,
    /// How many routes are kept at most; null: none are.
    pub kept_limit: Option<usize>,
    /// How many octets of path attributes are kept at most; null: none are.
    pub kept_attributes_limit: Option<usize>,
    /// How many prefixes it may announce, by family; any number of a family that is not there.
    pub max_prefixes: BTreeMap<String, u32>,
    /// From how much of that on there is a warning, in percent.
    pub max_prefixes_warning: u8,
    /// After what time a session that was ended for too many starts again; null: not by itself.
    pub max_prefixes_restart_ms: Option<u64>,
    /// Only paths that begin with the peer's AS are believed.
    pub enforce_first_as: bool,
}

impl From<&ImportConfig> for ImportStatus {
    fn from(import: &ImportConfig) -> Self {
        let limit = match import.received_routes {
            ReceivedRoutes::Kept(limit) => Some(limit),
            ReceivedRoutes::Counted | ReceivedRoutes::Reported => None,
        };
        let limits = &import.prefix_limits;
        let max_prefixes = limits.families.iter();
        Self {
            kept: limit.is_some(),
            kept_limit: limit.map(|limit| limit.routes),
            kept_attributes_limit: limit.map(|limit| limit.attribute_octets),
            max_prefixes: max_prefixes
                .map(|(family, limit)| (family.to_string(), limit.get()))
                .collect(),
            max_prefixes_warning: limits.warning_percent,
            max_prefixes_restart_ms: limits.restart.map(millis),
            enforce_first_as: import.enforce_first_as,
        }
    }
}
