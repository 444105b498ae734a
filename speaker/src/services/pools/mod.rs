//! Which service has which address of a pool. Pure: the books, and the rules by which they are kept.
//!
//! A service that names no address itself asks for one of each family, all from one pool, and gets
//! the lowest free ones of the first pool, by name, that has them all. What it has, it keeps for as
//! long as the pool may give it: across reloads, restarts and changes of other services. Addresses
//! that a service names itself, and those that routes announce, are never given to anybody.
//!
//! `space` holds what is free, `report` says what has changed and who has what.

mod report;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use self::report::{PoolUse, Reassignment};
use self::space::FreeSpace;
use super::Services;
use crate::config::{
    AddressRange, IpFamilies, IpFamily, Party, PoolConfig, PoolName, PoolRequest, ServiceName,
    ip_from_number, ip_to_number,
};

/// What a service was given: at most one address of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// Of IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
}

impl Assigned {
    /// Each address, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (ipv4, ipv6) = (self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6));
        ipv4.into_iter().chain(ipv6)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ipv4.is_none() && self.ipv6.is_none()
    }

    /// Whether there is one of this family.
    #[must_use]
    pub const fn has(&self, family: IpFamily) -> bool {
        match family {
            IpFamily::V4 => self.ipv4.is_some(),
            IpFamily::V6 => self.ipv6.is_some(),
        }
    }

    const fn add(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.ipv4 = Some(ip),
            IpAddr::V6(ip) => self.ipv6 = Some(ip),
        }
    }
}

/// Why an address of a pool cannot be given to a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// It was given to this one.
    Assigned(ServiceName),
    /// This one names it itself.
    Fixed(ServiceName),
    /// It is announced as a route.
    Route,
    /// It is that of a peer or a BFD session.
    Neighbor(Party),
    /// It names this host, or the network that this host is in.
    Host,
}

impl Holder {
    /// The service, if it is one.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Assigned(name) | Self::Fixed(name) => Some(name),
            Self::Route | Self::Neighbor(_) | Self::Host => None,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assigned(name) | Self::Fixed(name) => write!(f, "service {name}"),
            Self::Route => f.write_str("a route"),
            Self::Neighbor(party) => write!(f, "{party}"),
            Self::Host => f.write_str("this host"),
        }
    }
}

/// Why a service has not every address that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Its pool is not configured.
    NoPool(PoolName),
    /// Its pool never has addresses of this family.
    NoFamily(PoolName, IpFamily),
    /// Its pool has none left of this family.
    Exhausted(PoolName, IpFamily),
    /// It names no pool, and none has `auto-assign`.
    NoneAssigns,
    /// It names no pool, and none with `auto-assign` has one of each.
    NoneFits(Option<IpFamilies>),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool(pool) => write!(f, "there is no pool {pool}"),
            Self::NoFamily(pool, family) => write!(f, "pool {pool} has no {family} addresses"),
            Self::Exhausted(pool, family) => {
                write!(f, "pool {pool} has no free {family} address")
            }
            Self::NoneAssigns => f.write_str("there is no pool with auto-assign"),
            Self::NoneFits(None) => f.write_str("no pool with auto-assign has a free address"),
            Self::NoneFits(Some(families)) => {
                write!(
                    f,
                    "no pool with auto-assign has a free address of {families}"
                )
            }
        }
    }
}

/// What a service can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The addresses.
    pub assigned: Assigned,
    /// Why they are not all that it asks for.
    pub lack: Option<Lack>,
}

/// A service that names no address itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it asks for.
    pub request: PoolRequest,
    /// What it has.
    pub assigned: Assigned,
    /// Why that is not all.
    pub lack: Option<Lack>,
}

/// What the books begin with.
#[derive(Clone, Copy, Debug)]
pub struct Former<'a> {
    /// What services have.
    pub assigned: &'a BTreeMap<ServiceName, Assigned>,
    /// What services had that were removed, the latest last.
    pub released: &'a [(ServiceName, Assigned)],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pool {
    config: PoolConfig,
    families: Option<IpFamilies>,
    ipv4: FreeSpace,
    ipv6: FreeSpace,
}

impl Pool {
    fn new(config: &PoolConfig) -> Self {
        Self {
            ipv4: FreeSpace::new(config, IpFamily::V4),
            ipv6: FreeSpace::new(config, IpFamily::V6),
            families: config.families(),
            config: config.clone(),
        }
    }

    const fn space(&self, family: IpFamily) -> &FreeSpace {
        match family {
            IpFamily::V4 => &self.ipv4,
            IpFamily::V6 => &self.ipv6,
        }
    }

    const fn space_mut(&mut self, family: IpFamily) -> &mut FreeSpace {
        match family {
            IpFamily::V4 => &mut self.ipv4,
            IpFamily::V6 => &mut self.ipv6,
        }
    }

    fn lowest(&self, family: IpFamily) -> Option<IpAddr> {
        let lowest = self.space(family).lowest()?;
        Some(ip_from_number(family, lowest))
    }

    /// The families of which it is asked for an address.
    fn wanted(&self, request: &PoolRequest) -> Option<IpFamilies> {
        request.ip_families.or(self.families)
    }
}

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    pools: BTreeMap<PoolName, Pool>,
    /// Whose each range is, by its first address.
    ranges: BTreeMap<IpAddr, (AddressRange, PoolName)>,
    /// Who has an address of a pool.
    holders: BTreeMap<IpAddr, Holder>,
    clients: BTreeMap<ServiceName, Client>,
    /// Those of them that lack something.
    waiting: BTreeSet<ServiceName>,
}

impl Pools {
    /// Opens the books on these services and routes; `barred` is what nobody may be given whatever they say.
    #[must_use]
    pub fn of(
        pools: &BTreeMap<PoolName, PoolConfig>,
        services: &Services,
        barred: impl IntoIterator<Item = (IpAddr, Holder)>,
        former: Former<'_>,
    ) -> Self {
        let named = services.iter().flat_map(|(name, service)| {
            let addresses = service.spec.addresses.iter();
            addresses.map(|ip| (*ip, Holder::Fixed(name.clone())))
        });
        let routes = services.routes().map(|(prefix, _)| *prefix);
        let hosts = routes.filter(|prefix| prefix.prefix_len() == prefix.max_prefix_len());
        let fixed = named.chain(hosts.map(|prefix| (prefix.addr(), Holder::Route)));
        // What is barred stays so when a service that names it is removed.
        let fixed = barred.into_iter().chain(fixed);
        let requests = services
            .iter()
            .filter_map(|(name, service)| Some((name, service.spec.request()?)));
        Self::settle(pools, fixed, &requests.collect::<Vec<_>>(), former)
    }

    /// Opens the books: `fixed` has what nobody may be given, `requests` who asks for what. Services
    /// that have something go first, then those that had something, then all others, by name.
    fn settle(
        pools: &BTreeMap<PoolName, PoolConfig>,
        fixed: impl IntoIterator<Item = (IpAddr, Holder)>,
        requests: &[(&ServiceName, &PoolRequest)],
        former: Former<'_>,
    ) -> Self {
        let mut books = Self::default();
        for (name, config) in pools {
            let ranges = config.addresses.iter();
            let ranges = ranges.map(|range| (range.first(), (*range, name.clone())));
            books.ranges.extend(ranges);
            books.pools.insert(name.clone(), Pool::new(config));
        }
        for (ip, holder) in fixed {
            books.reserve(ip, holder);
        }
        let released: BTreeMap<_, _> = former
            .released
            .iter()
            .map(|(name, it)| (name, it))
            .collect();
        for (name, request) in requests {
            let had = former.assigned.get(*name).copied().unwrap_or_default();
            books.serve(name, request, |books| Choice {
                assigned: books.retained(name, request, had),
                lack: None,
            });
        }
        for (name, request) in requests {
            if let Some(had) = released.get(*name)
                && !former.assigned.contains_key(*name)
            {
                books.serve(name, request, |books| Choice {
                    assigned: books.retained(name, request, **had),
                    lack: None,
                });
            }
        }
        for (name, request) in requests {
            let has = books.assigned(name);
            if !books.is_all(request, has) {
                books.serve(name, request, |books| books.choose(name, request, has));
            }
        }
        // What is left for nobody may have been there for the first of those who lack something.
        books.serve_waiting();
        books
    }

    /// What a service would be given that had `had` until then: that, as far as it fits, and what
    /// is missing from the same pool; without it, the lowest free of the first pool that has them
    /// all.
    #[must_use]
    pub fn choose(&self, name: &ServiceName, request: &PoolRequest, had: Assigned) -> Choice {
        let retained = self.retained(name, request, had);
        let home = retained.addresses().next();
        if let Some((pool_name, pool)) = home.and_then(|ip| self.pool_with(ip)) {
            return complete(pool_name, pool, request, retained);
        }
        let nothing = |lack| Choice {
            assigned: Assigned::default(),
            lack: Some(lack),
        };
        if let Some(pool_name) = &request.pool {
            let Some(pool) = self.pools.get(pool_name) else {
                return nothing(Lack::NoPool(pool_name.clone()));
            };
            return match complete(pool_name, pool, request, Assigned::default()) {
                Choice {
                    lack: Some(lack), ..
                } => nothing(lack),
                whole => whole,
            };
        }
        let mut assigning = self
            .pools
            .iter()
            .filter(|(_, pool)| pool.config.auto_assign);
        let mut whole = assigning.clone().filter_map(|(pool_name, pool)| {
            let choice = complete(pool_name, pool, request, Assigned::default());
            (choice.lack.is_none()).then_some(choice)
        });
        whole.next().unwrap_or_else(|| match assigning.next() {
            None => nothing(Lack::NoneAssigns),
            Some(_) => nothing(Lack::NoneFits(request.ip_families)),
        })
    }

    /// Enters a choice that [`choose`](Self::choose) has just made.
    pub fn enter(&mut self, name: &ServiceName, request: &PoolRequest, choice: &Choice) {
        self.release(name);
        for ip in choice.assigned.addresses() {
            self.hold(ip, Holder::Assigned(name.clone()));
        }
        if choice.lack.is_some() {
            self.waiting.insert(name.clone());
        }
        let client = Client {
            request: request.clone(),
            assigned: choice.assigned,
            lack: choice.lack.clone(),
        };
        self.clients.insert(name.clone(), client);
    }

    /// Strikes a service out; what it had is free.
    pub fn release(&mut self, name: &ServiceName) -> Option<Client> {
        let client = self.clients.remove(name)?;
        self.waiting.remove(name);
        for ip in client.assigned.addresses() {
            self.let_go(ip);
        }
        Some(client)
    }

    /// Takes out an address that nobody may be given. One of no pool is none of ours.
    pub fn reserve(&mut self, ip: IpAddr, holder: Holder) {
        self.hold(ip, holder);
    }

    /// Puts back what was [reserved](Self::reserve), unless somebody else has it.
    pub fn unreserve(&mut self, ip: IpAddr, holder: &Holder) {
        if self.holders.get(&ip) == Some(holder) {
            self.let_go(ip);
        }
    }

    /// Gives those who lack something what there is for them, one after the other by name; those
    /// who got something, and what they have with that.
    pub fn serve_waiting(&mut self) -> BTreeMap<ServiceName, Choice> {
        let mut served = BTreeMap::new();
        for name in self.waiting.clone() {
            let Some(client) = self.clients.get(&name).cloned() else {
                continue;
            };
            let choice = self.choose(&name, &client.request, client.assigned);
            self.enter(&name, &client.request, &choice);
            if choice.assigned != client.assigned {
                served.insert(name, choice);
            }
        }
        served
    }

    /// Gives every service what it was given here.
    pub fn assign_to(&self, services: &mut Services) {
        for (name, client) in &self.clients {
            services.assign(name, client.assigned.addresses().collect());
        }
    }

    /// What a service was given.
    #[must_use]
    pub fn assigned(&self, name: &ServiceName) -> Assigned {
        let client = self.clients.get(name);
        client.map(|client| client.assigned).unwrap_or_default()
    }

    /// A service that names no address itself.
    #[must_use]
    pub fn client(&self, name: &ServiceName) -> Option<&Client> {
        self.clients.get(name)
    }

    /// Each of them, by name.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = (&ServiceName, &Client)> {
        self.clients.iter()
    }

    /// Those that lack something.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &ServiceName> {
        self.waiting.iter()
    }

    /// The pool that an address belongs to.
    #[must_use]
    pub fn pool_of(&self, ip: IpAddr) -> Option<&PoolName> {
        let (_, (range, pool)) = self.ranges.range(..=ip).next_back()?;
        range.contains(ip).then_some(pool)
    }

    /// Who has an address of a pool.
    #[must_use]
    pub fn holder(&self, ip: IpAddr) -> Option<&Holder> {
        self.holders.get(&ip)
    }

    fn pool_with(&self, ip: IpAddr) -> Option<(&PoolName, &Pool)> {
        self.pools.get_key_value(self.pool_of(ip)?)
    }

    fn serve(
        &mut self,
        name: &ServiceName,
        request: &PoolRequest,
        choose: impl FnOnce(&Self) -> Choice,
    ) {
        let choice = choose(self);
        self.enter(name, request, &choice);
    }

    /// Whether these addresses are all that is asked for.
    fn is_all(&self, request: &PoolRequest, has: Assigned) -> bool {
        let home = has.addresses().next();
        let pool = home.and_then(|ip| self.pool_with(ip));
        let wanted = pool.and_then(|(_, pool)| pool.wanted(request));
        wanted.is_some_and(|wanted| wanted.iter().all(|family| has.has(family)))
    }

    /// What of these addresses a service may have still, or again.
    fn retained(&self, name: &ServiceName, request: &PoolRequest, had: Assigned) -> Assigned {
        let mut retained = Assigned::default();
        let mut home = None;
        for ip in had.addresses() {
            let Some((pool_name, pool)) = self.pool_with(ip) else {
                continue;
            };
            let family = IpFamily::of(ip);
            let wanted = pool.wanted(request);
            let is_right = request
                .pool
                .as_ref()
                .is_none_or(|wanted| wanted == pool_name)
                && *home.get_or_insert(pool_name) == pool_name
                && wanted.is_some_and(|wanted| wanted.contains(family))
                && pool.config.may_assign(ip);
            if is_right && self.is_available(name, ip) {
                retained.add(ip);
            }
        }
        retained
    }

    fn is_available(&self, name: &ServiceName, ip: IpAddr) -> bool {
        match self.holders.get(&ip) {
            None => true,
            Some(Holder::Assigned(holder)) => holder == name,
            Some(Holder::Fixed(_) | Holder::Route | Holder::Neighbor(_) | Holder::Host) => false,
        }
    }

    fn hold(&mut self, ip: IpAddr, holder: Holder) {
        if self.take(ip) {
            self.holders.insert(ip, holder);
        }
    }

    fn take(&mut self, ip: IpAddr) -> bool {
        let family = IpFamily::of(ip);
        let pool = self.pool_of(ip).cloned();
        let pool = pool.and_then(|name| self.pools.get_mut(&name));
        pool.is_some_and(|pool| pool.space_mut(family).take(ip_to_number(ip)))
    }

    fn let_go(&mut self, ip: IpAddr) {
        let family = IpFamily::of(ip);
        if self.holders.remove(&ip).is_some()
            && let Some(name) = self.pool_of(ip).cloned()
            && let Some(pool) = self.pools.get_mut(&name)
        {
            pool.space_mut(family).put_back(ip_to_number(ip));
        }
    }
}

/// What a service has, and what of its pool is free for what it lacks.
fn complete(name: &PoolName, pool: &Pool, request: &PoolRequest, has: Assigned) -> Choice {
    let mut choice = Choice {
        assigned: has,
        lack: None,
    };
    let Some(wanted) = pool.wanted(request) else {
        // All that it has is avoided.
        choice.lack = Some(Lack::NoFamily(name.clone(), IpFamily::V4));
        return choice;
    };
    for family in wanted.iter().filter(|family| !has.has(*family)) {
        let lack = match pool.lowest(family) {
            Some(ip) => {
                choice.assigned.add(ip);
                continue;
            }
            None if pool.config.size(family) == 0 => Lack::NoFamily(name.clone(), family),
            None => Lack::Exhausted(name.clone(), family),
        };
        choice.lack.get_or_insert(lack);
    }
    choice
}

#[cfg(test)]
mod tests;
