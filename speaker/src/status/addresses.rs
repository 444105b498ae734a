//! What the API says of the addresses of services on this host.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::addresses::{Presence, Report};

/// An address of a service on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostedStatus {
    /// The address.
    pub address: String,
    /// `added`: by us; `foreign`: it was there before us, and is left as it is; `elsewhere`: on an interface that
    /// we have added it to before, while it cannot be where it is wanted; `missing`, and not
    /// announced; `unknown`: the kernel does not say.
    pub state: String,
    /// Where it is, or is to be.
    pub interface: String,
    /// Why it is missing, elsewhere, or unknown.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Of those that are wanted on this host.
pub(super) fn hosted(
    report: &Report,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> Vec<HostedStatus> {
    let wanted = report.interface.clone().unwrap_or_default();
    let found = addresses.into_iter().filter_map(|address| {
        let (state, interface, reason) = match report.addresses.get(&address)? {
            Presence::Added => ("added", wanted.clone(), None),
            Presence::Foreign(interface) => ("foreign", interface.clone(), None),
            Presence::Elsewhere { interface, reason } => {
                ("elsewhere", interface.clone(), Some(reason.clone()))
            }
            Presence::Missing(reason) => ("missing", wanted.clone(), Some(reason.clone())),
            Presence::Unknown(reason) => ("unknown", wanted.clone(), Some(reason.clone())),
        };
        Some(HostedStatus {
            address: address.to_string(),
            state: state.to_owned(),
            interface,
            reason,
        })
    });
    found.collect()
}
