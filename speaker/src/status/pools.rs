//! Pools, and what services were given of them.

use serde::{Deserialize, Serialize};

use super::text;
use crate::config::IpFamily;
use crate::control::{Given, Snapshot, Stored};
use crate::services::pools::{Holder, PoolUse};

/// An element of `GET /v1/pools`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Whether services that name no pool may have addresses of it.
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end in .0 or .255 are left out.
    pub avoid_buggy_ips: bool,
    /// The families that it has addresses of, IPv4 first.
    pub families: Vec<PoolFamilyStatus>,
}

/// The addresses of a pool that are of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PoolFamilyStatus {
    /// `ipv4` or `ipv6`.
    pub ip_family: String,
    /// Its ranges, the lowest first.
    pub addresses: Vec<String>,
    /// How many addresses can be assigned in all; 2^63-1 if there are more.
    pub size: u64,
    /// How many addresses somebody has.
    pub in_use: u64,
    /// How many addresses can still be assigned; 2^63-1 if there are more.
    pub free: u64,
    /// Who has which, the lowest address first.
    pub holders: Vec<HolderStatus>,
}

/// An address of a pool that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HolderStatus {
    /// The address.
    pub address: String,
    /// The service that has it; null: `holder` says who does.
    pub service: Option<String>,
    /// Who has it, in words: `service web`, `peer tor-a`, `bfd-session storage-path`, `a route`, or `this host`,
    /// where it is an address of one of its links or names their network.
    pub holder: String,
    /// Whether it was assigned, rather than named by the service or the route.
    pub assigned: bool,
}

/// The answer to `PUT /v1/services/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GivenStatus {
    /// The addresses that the service has: those that it names, or else those it was assigned.
    pub addresses: Vec<String>,
    /// The pool that they belong to, if they belong to one.
    pub pool: Option<String>,
    /// Why the service has not every address that it asks for; null if it has.
    pub lack: Option<String>,
    /// `added`, `changed` or `unchanged`.
    pub outcome: String,
    /// What changed, in words; null if nothing did, or the service is new.
    pub changed: Option<String>,
}

impl GivenStatus {
    /// Of a service that was put.
    #[must_use]
    pub fn new(stored: Stored, given: &Given) -> Self {
        let StoredStatus { outcome, changed } = stored.into();
        Self {
            addresses: given.addresses.iter().map(ToString::to_string).collect(),
            pool: text(given.pool.as_ref()),
            lack: text(given.lack.as_ref()),
            outcome,
            changed,
        }
    }
}

/// The answer to `PUT /v1/routes/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoredStatus {
    /// `added`, `changed` or `unchanged`.
    pub outcome: String,
    /// What changed, in words; null if nothing did, or the route is new.
    pub changed: Option<String>,
}

impl From<Stored> for StoredStatus {
    fn from(stored: Stored) -> Self {
        let (outcome, changed) = match stored {
            Stored::Created => ("added", None),
            Stored::Replaced(changed) => ("changed", Some(changed)),
            Stored::Unchanged => ("unchanged", None),
        };
        Self {
            outcome: outcome.to_owned(),
            changed,
        }
    }
}

impl Snapshot {
    /// `GET /v1/pools`
    #[must_use]
    pub fn pool_statuses(&self) -> Vec<PoolStatus> {
        self.pools
            .uses()
            .map(|pool| PoolStatus::from(&pool))
            .collect()
    }
}

impl From<&PoolUse<'_>> for PoolStatus {
    fn from(pool: &PoolUse<'_>) -> Self {
        let families = IpFamily::ALL.into_iter();
        let families = families.filter_map(|family| family_status(pool, family));
        Self {
            name: pool.name.to_string(),
            auto_assign: pool.config.auto_assign,
            avoid_buggy_ips: pool.config.avoid_buggy_ips,
            families: families.collect(),
        }
    }
}

fn family_status(pool: &PoolUse<'_>, family: IpFamily) -> Option<PoolFamilyStatus> {
    let ranges = pool.config.addresses.iter();
    let ranges = ranges.filter(|range| range.family() == family);
    let holders = pool.holders.iter();
    let holders = holders.filter(|(ip, _)| IpFamily::of(*ip) == family);
    let status = PoolFamilyStatus {
        ip_family: family.to_string(),
        addresses: ranges.map(ToString::to_string).collect(),
        size: countable(pool.config.size(family)),
        in_use: countable(pool.in_use(family)),
        free: countable(pool.free(family)),
        holders: holders
            .map(|(ip, holder)| HolderStatus {
                address: ip.to_string(),
                service: text(holder.service()),
                holder: holder.to_string(),
                assigned: matches!(holder, Holder::Assigned(_)),
            })
            .collect(),
    };
    (!status.addresses.is_empty()).then_some(status)
}

/// As JSON and metrics can have it.
pub(crate) fn countable(number: u128) -> u64 {
    const MOST: u64 = i64::MAX.unsigned_abs();
    u64::try_from(number).map_or(MOST, |number| number.min(MOST))
}
