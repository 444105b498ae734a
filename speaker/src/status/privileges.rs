//! What the API says of the daemon's capabilities.

use serde::{Deserialize, Serialize};

use crate::privileges::Privileges;

/// What the daemon may do, and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PrivilegesStatus {
    /// The capabilities that it has, of those that Herald has a use for.
    pub held: Vec<String>,
    /// Those that the running configuration needs.
    pub needed: Vec<NeedStatus>,
    /// Programs that it starts gain nothing by sudo and the like.
    pub no_new_privs: bool,
}

/// A capability that the running configuration needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NeedStatus {
    /// `CAP_NET_RAW` and so on.
    pub capability: String,
    /// Whether the daemon has it.
    pub held: bool,
    /// The keys that need it.
    pub reasons: Vec<String>,
}

impl From<&Privileges> for PrivilegesStatus {
    fn from(privileges: &Privileges) -> Self {
        let Privileges {
            held,
            needs,
            no_new_privs,
        } = privileges;
        let needed = needs.iter().map(|(capability, reasons)| NeedStatus {
            capability: capability.to_string(),
            held: held.contains(capability),
            reasons: reasons.iter().cloned().collect(),
        });
        Self {
            held: held.iter().map(ToString::to_string).collect(),
            needed: needed.collect(),
            no_new_privs: *no_new_privs,
        }
    }
}
