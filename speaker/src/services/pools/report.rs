//! What the books say: who has what, and what differs from what was before.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::{Assigned, Client, Holder, Lack, Pools};
use crate::config::{IpFamily, PoolConfig, PoolName, ServiceName};

/// A pool and who has what of it.
#[derive(Clone, Debug)]
pub struct PoolUse<'a> {
    /// Its name.
    pub name: &'a PoolName,
    /// What it is.
    pub config: &'a PoolConfig,
    /// Its addresses that somebody has, IPv4 first, the lowest first.
    pub holders: Vec<(IpAddr, &'a Holder)>,
}

impl PoolUse<'_> {
    /// How many of its addresses of a family somebody has.
    #[must_use]
    pub fn in_use(&self, family: IpFamily) -> u128 {
        self.number(family, |_| true)
    }

    /// How many of its addresses of a family can still be assigned.
    #[must_use]
    pub fn free(&self, family: IpFamily) -> u128 {
        let taken = self.number(family, |ip| self.config.may_assign(ip));
        self.config.size(family).saturating_sub(taken)
    }

    fn number(&self, family: IpFamily, counts: impl Fn(IpAddr) -> bool) -> u128 {
        let holders = self.holders.iter().map(|(ip, _)| *ip);
        let of_family = holders.filter(|ip| IpFamily::of(*ip) == family);
        of_family.filter(|ip| counts(*ip)).count() as u128
    }
}

impl Pools {
    /// Every pool, by name.
    pub fn uses(&self) -> impl ExactSizeIterator<Item = PoolUse<'_>> {
        self.pools.iter().map(|(name, pool)| {
            let ranges = pool.config.addresses.iter();
            let holders = ranges.flat_map(|range| self.holders.range(range.first()..=range.last()));
            PoolUse {
                name,
                config: &pool.config,
                holders: holders.map(|(ip, holder)| (*ip, holder)).collect(),
            }
        })
    }
}

/// What services have that they had not before, or have no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// What it has no more, each with the reason.
    pub lost: Vec<String>,
    /// What it has been given, and of which pool.
    pub gained: Vec<IpAddr>,
    /// The pool that this is from.
    pub pool: Option<PoolName>,
    /// Why it has not every address that it asks for.
    pub lack: Option<Lack>,
}

impl fmt::Display for Reassignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.lost.is_empty() {
            parts.push(self.lost.join(", "));
        }
        if !self.gained.is_empty() {
            let gained: Vec<String> = self.gained.iter().map(ToString::to_string).collect();
            let from = self.pool.as_ref().map(|pool| format!(" of pool {pool}"));
            parts.push(format!(
                "gets {}{}",
                gained.join(" and "),
                from.unwrap_or_default()
            ));
        }
        if let Some(lack) = &self.lack {
            parts.push(format!("lacks an address: {lack}"));
        }
        f.write_str(&parts.join("; "))
    }
}

impl Pools {
    /// What is other than `before`, by service; `running` are the books until then. Services that
    /// are there no more are not named.
    #[must_use]
    pub fn reassignments(
        &self,
        before: &BTreeMap<ServiceName, Assigned>,
        running: Option<&Self>,
    ) -> BTreeMap<ServiceName, Reassignment> {
        let clients = self.clients.iter();
        let all = clients.filter_map(|(name, client)| {
            let had = before.get(name).copied().unwrap_or_default();
            let was = running.and_then(|running| running.client(name));
            let was_lacking = was.is_some_and(|was| was.lack == client.lack);
            if had == client.assigned && (was_lacking || client.lack.is_none()) {
                return None;
            }
            let reassignment = self.reassignment(name, client, had, running);
            Some((name.clone(), reassignment))
        });
        all.collect()
    }

    fn reassignment(
        &self,
        name: &ServiceName,
        client: &Client,
        had: Assigned,
        running: Option<&Self>,
    ) -> Reassignment {
        let has = client.assigned;
        let lost = had
            .addresses()
            .filter(|ip| !has.addresses().any(|it| it == *ip));
        let gained = has
            .addresses()
            .filter(|ip| !had.addresses().any(|it| it == *ip));
        let home = has.addresses().next();
        Reassignment {
            lost: lost
                .map(|ip| self.why_lost(name, client, ip, running))
                .collect(),
            gained: gained.collect(),
            pool: home.and_then(|ip| self.pool_of(ip)).cloned(),
            lack: client.lack.clone(),
        }
    }

    fn why_lost(
        &self,
        name: &ServiceName,
        client: &Client,
        ip: IpAddr,
        running: Option<&Self>,
    ) -> String {
        match self.holder(ip) {
            Some(Holder::Fixed(holder)) => {
                return format!("{ip} is an address of service {holder}");
            }
            Some(Holder::Route) => return format!("{ip} is announced as a route"),
            Some(Holder::Neighbor(party)) => return format!("{ip} is the address of {party}"),
            Some(Holder::Host) => return format!("{ip} names this host or its network"),
            Some(Holder::Assigned(holder)) if holder != name => {
                return format!("{ip} was assigned to service {holder}");
            }
            _ => {}
        }
        let Some((pool, config)) = self.pool_with(ip).map(|(name, pool)| (name, &pool.config))
        else {
            return match running.and_then(|running| running.pool_of(ip)) {
                Some(pool) if self.pools.contains_key(pool) => {
                    format!("{ip} is no longer in pool {pool}")
                }
                Some(pool) => format!("{ip} was of pool {pool}, which is gone"),
                None => format!("{ip} is in no pool"),
            };
        };
        let other_pool = client
            .request
            .pool
            .as_ref()
            .filter(|wanted| *wanted != pool);
        if let Some(wanted) = other_pool {
            return format!("{ip} is in pool {pool}, not in {wanted}");
        }
        if !config.may_assign(ip) {
            return format!("{ip} is left out by avoid-buggy-ips of pool {pool}");
        }
        let families = client.request.ip_families;
        if families.is_some_and(|families| !families.contains(IpFamily::of(ip))) {
            return format!("{ip} is not of ip-families");
        }
        format!("{ip} is in pool {pool}, and its other address is not")
    }
}
