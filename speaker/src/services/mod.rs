//! What is to be announced, whoever said so: services by name and routes by prefix, merged from the
//! configuration file and the API.
//!
//! A service has addresses and a [`Verdict`]; the [`announcer`](crate::announcer) reads nothing
//! else of it. Whoever finds out something about a service (that it was configured, which addresses
//! it was assigned, how it is) says so here, with one call.

pub mod health;
pub mod pools;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::additions::Additions;
use crate::config::{BfdName, Config, RouteConfig, ServiceConfig, ServiceName};

/// Who says that something is to be announced. A name is of one source at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The configuration file.
    File,
    /// Somebody at run time; it is kept in the state directory.
    Api,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Api => "api",
        })
    }
}

/// Whether a service may be announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It may: nothing is known that speaks against it.
    #[default]
    Healthy,
    /// It may not, for it does not work.
    Unhealthy,
    /// It may not, for it is not known yet whether it works.
    Unknown,
}

impl Verdict {
    /// What may be assumed of a part of something that stands so: who works has all parts working; of
    /// who does not, nobody knows which part is to blame.
    #[must_use]
    pub const fn or_unknown(self) -> Self {
        match self {
            Self::Healthy => Self::Healthy,
            Self::Unhealthy | Self::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        })
    }
}

/// A service, wherever it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Who says that it is there.
    pub source: Source,
    /// What was said of it.
    pub spec: Arc<ServiceConfig>,
    /// The addresses it was given, where its specification names none.
    pub assigned: BTreeSet<IpAddr>,
    /// Whether it may be announced.
    pub verdict: Verdict,
}

impl Service {
    /// As it is before anything more is known of it.
    #[must_use]
    pub fn new(source: Source, spec: Arc<ServiceConfig>) -> Self {
        Self {
            source,
            spec,
            assigned: BTreeSet::new(),
            verdict: Verdict::default(),
        }
    }

    /// The addresses it has, in order: those of its specification, or else those it was assigned.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let fixed = self.spec.addresses.iter();
        fixed.chain(&self.assigned).copied()
    }

    /// Whether nothing speaks against announcing it.
    #[must_use]
    pub const fn may_be_announced(&self) -> bool {
        matches!(self.verdict, Verdict::Healthy)
    }
}

/// A prefix that belongs to no service, wherever it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Who says that it is there.
    pub source: Source,
    /// What was said of it.
    pub spec: Arc<RouteConfig>,
}

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    services: BTreeMap<ServiceName, Service>,
    routes: BTreeMap<IpNet, Route>,
    /// Whose each address is.
    users: BTreeMap<IpAddr, ServiceName>,
    /// Where addresses are added to this host, those that are on it.
    hosted: Option<BTreeSet<IpAddr>>,
    changed: Changed,
    /// Addresses that services have come to have or have no more.
    moved: BTreeSet<IpAddr>,
}

/// What may have to be announced otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Addresses that services have come to have or have no more, whose services are judged
    /// otherwise, or that have come to this host or left it.
    pub addresses: BTreeSet<IpAddr>,
    /// Prefixes of routes.
    pub routes: BTreeSet<IpNet>,
}

impl Services {
    /// What the file and the API say; neither has a name of the other.
    #[must_use]
    pub fn new(config: &Config, additions: &Additions) -> Self {
        let mut services = Self::default();
        let from_file = config.services.iter().map(|it| (Source::File, it));
        let added = additions.services.iter().map(|it| (Source::Api, it));
        for (source, (name, spec)) in from_file.chain(added) {
            services.put(name, source, Arc::clone(spec));
        }
        let from_file = config.routes.iter().map(|it| (Source::File, it));
        let added = additions.routes.iter().map(|it| (Source::Api, it));
        for (source, (prefix, spec)) in from_file.chain(added) {
            services.put_route(*prefix, source, Arc::clone(spec));
        }
        services
    }

    /// Adds a service, or says otherwise what one is. One that was there keeps its verdict and,
    /// unless it names addresses itself, those it was assigned.
    pub fn put(&mut self, name: &ServiceName, source: Source, spec: Arc<ServiceConfig>) {
        let mut service = Service::new(source, spec);
        if let Some(former) = self.services.remove(name) {
            self.forget_addresses(name, &former);
            service.verdict = former.verdict;
            if service.spec.addresses.is_empty() {
                service.assigned = former.assigned;
            }
        }
        self.insert(name, service);
    }

    /// Gives a service that names no address itself these ones.
    pub fn assign(&mut self, name: &ServiceName, addresses: BTreeSet<IpAddr>) {
        if let Some(mut service) = self.services.remove(name) {
            self.forget_addresses(name, &service);
            service.assigned = addresses;
            self.insert(name, service);
        }
    }

    /// Says whether a service may be announced.
    pub fn judge(&mut self, name: &ServiceName, verdict: Verdict) {
        if let Some(service) = self.services.get_mut(name)
            && service.verdict != verdict
        {
            service.verdict = verdict;
            self.changed.addresses.extend(service.addresses());
        }
    }

    /// Forgets a service.
    pub fn remove(&mut self, name: &ServiceName) -> Option<Service> {
        let service = self.services.remove(name)?;
        self.forget_addresses(name, &service);
        Some(service)
    }

    /// Says which addresses are on this host: no others are announced. `None`: that does not
    /// matter, for it is not us who adds them.
    pub fn host(&mut self, hosted: Option<BTreeSet<IpAddr>>) {
        let former = std::mem::replace(&mut self.hosted, hosted);
        let was_hosted = |address: &IpAddr| former.as_ref().is_none_or(|it| it.contains(address));
        let all = self.users.keys().copied();
        let moved = all.filter(|address| was_hosted(address) != self.is_hosted(*address));
        let moved: Vec<IpAddr> = moved.collect();
        self.changed.addresses.extend(moved);
    }

    /// Adds a route, or says otherwise what one is.
    pub fn put_route(&mut self, prefix: IpNet, source: Source, spec: Arc<RouteConfig>) {
        self.routes.insert(prefix, Route { source, spec });
        self.changed.routes.insert(prefix);
    }

    /// Forgets a route.
    pub fn remove_route(&mut self, prefix: &IpNet) -> Option<Route> {
        self.changed.routes.insert(*prefix);
        self.routes.remove(prefix)
    }

    /// The addresses that services have come to have or have no more since this was asked last.
    pub fn take_moved(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.moved)
    }

    /// What has changed since this was asked last.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// The service of this name.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&Service> {
        self.services.get(name)
    }

    /// Every service, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ServiceName, &Service)> {
        self.services.iter()
    }

    /// The route to exactly this prefix.
    #[must_use]
    pub fn route(&self, prefix: &IpNet) -> Option<&Route> {
        self.routes.get(prefix)
    }

    /// Every route, by prefix.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = (&IpNet, &Route)> {
        self.routes.iter()
    }

    /// Whether a service is there, and nothing speaks against announcing it.
    #[must_use]
    pub fn may_announce(&self, name: &ServiceName) -> bool {
        let service = self.services.get(name);
        service.is_some_and(Service::may_be_announced)
    }

    /// The path without which a service is of no use.
    #[must_use]
    pub fn path(&self, name: &ServiceName) -> Option<&BfdName> {
        self.services.get(name)?.spec.path()
    }

    /// Whether nothing is known of this address that speaks against announcing it.
    #[must_use]
    pub fn is_hosted(&self, address: IpAddr) -> bool {
        let hosted = self.hosted.as_ref();
        hosted.is_none_or(|hosted| hosted.contains(&address))
    }

    /// The service that has this address.
    #[must_use]
    pub fn user(&self, address: IpAddr) -> Option<&ServiceName> {
        self.users.get(&address)
    }

    fn insert(&mut self, name: &ServiceName, service: Service) {
        let users = service.addresses().map(|address| (address, name.clone()));
        self.users.extend(users);
        self.moved.extend(service.addresses());
        self.changed.addresses.extend(service.addresses());
        self.services.insert(name.clone(), service);
    }

    /// Those that another service has got meanwhile are that one's.
    fn forget_addresses(&mut self, name: &ServiceName, service: &Service) {
        for address in service.addresses() {
            if self.users.get(&address) == Some(name) {
                self.users.remove(&address);
                self.changed.addresses.insert(address);
                self.moved.insert(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn with(addresses: &[&str]) -> Arc<ServiceConfig> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Arc::new(ServiceConfig {
            addresses: addresses.collect(),
            ..ServiceConfig::default()
        })
    }

    fn users(services: &Services) -> Vec<String> {
        let users = services.users.iter();
        users.map(|(ip, name)| format!("{ip} {name}")).collect()
    }

    #[test]
    fn an_address_is_known_by_its_service() {
        let mut services = Services::default();
        let web = name("web");
        services.put(&web, Source::File, with(&["192.0.2.1", "192.0.2.2"]));
        assert_eq!(users(&services), ["192.0.2.1 web", "192.0.2.2 web"]);
        services.put(&web, Source::File, with(&["192.0.2.2"]));
        assert_eq!(users(&services), ["192.0.2.2 web"]);
        services.remove(&web);
        assert_eq!(users(&services), [""; 0]);
    }

    #[test]
    fn an_address_that_is_not_on_the_host_is_not_announced() {
        let addresses = |texts: &[&str]| -> BTreeSet<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mut services = Services::default();
        services.put(
            &name("web"),
            Source::File,
            with(&["192.0.2.1", "192.0.2.2"]),
        );
        services.take_changed();
        let one = "192.0.2.1".parse().unwrap();
        assert!(services.is_hosted(one), "it is not us who adds it");

        services.host(Some(addresses(&["192.0.2.2"])));
        assert!(!services.is_hosted(one));
        let changed = services.take_changed();
        assert_eq!(changed.addresses, addresses(&["192.0.2.1"]));

        // What comes is not there before somebody says so; what stays is.
        services.put(
            &name("web"),
            Source::File,
            with(&["192.0.2.2", "192.0.2.3"]),
        );
        assert!(services.is_hosted("192.0.2.2".parse().unwrap()));
        assert!(!services.is_hosted("192.0.2.3".parse().unwrap()));
        services.take_changed();

        services.host(None);
        let changed = services.take_changed();
        assert_eq!(changed.addresses, addresses(&["192.0.2.3"]));
    }

    #[test]
    fn it_is_known_which_addresses_come_and_go() {
        let addresses = |texts: &[&str]| -> BTreeSet<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mut services = Services::default();
        services.put(&name("web"), Source::File, with(&["192.0.2.1"]));
        assert_eq!(services.take_moved(), addresses(&["192.0.2.1"]));
        services.judge(&name("web"), Verdict::Unhealthy);
        assert_eq!(
            services.take_moved(),
            addresses(&[]),
            "a verdict moves none"
        );
        services.put(&name("web"), Source::File, with(&["192.0.2.2"]));
        let both = addresses(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(services.take_moved(), both);
        services.remove(&name("web"));
        assert_eq!(services.take_moved(), addresses(&["192.0.2.2"]));
    }

    #[test]
    fn it_is_known_what_has_changed() {
        let mut services = Services::default();
        let web = name("web");
        let mut changed = |change: &dyn Fn(&mut Services)| {
            change(&mut services);
            let addresses = services.take_changed().addresses.into_iter();
            let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
            addresses.join(" ")
        };
        let put = |addresses| {
            move |it: &mut Services| it.put(&name("web"), Source::File, with(addresses))
        };
        assert_eq!(changed(&put(&["192.0.2.1"])), "192.0.2.1");
        assert_eq!(changed(&put(&["192.0.2.2"])), "192.0.2.1 192.0.2.2");
        assert_eq!(
            changed(&|it| it.judge(&web, Verdict::Unhealthy)),
            "192.0.2.2"
        );
        assert_eq!(changed(&|it| it.judge(&web, Verdict::Unhealthy)), "");
        assert_eq!(changed(&|it| drop(it.remove(&web))), "192.0.2.2");
        services.put_route("10.0.0.0/8".parse().unwrap(), Source::Api, Arc::default());
        services.remove_route(&"10.0.0.0/8".parse().unwrap());
        assert_eq!(services.take_changed().routes.len(), 1);
        assert_eq!(services.take_changed(), Changed::default());
    }

    #[test]
    fn what_was_assigned_stays_until_the_service_names_addresses_itself() {
        let mut services = Services::default();
        let web = name("web");
        services.put(&web, Source::Api, with(&[]));
        services.assign(&web, ["192.0.2.9".parse().unwrap()].into());
        services.put(&web, Source::File, with(&[]));
        assert_eq!(users(&services), ["192.0.2.9 web"]);
        services.put(&web, Source::File, with(&["192.0.2.1"]));
        assert_eq!(users(&services), ["192.0.2.1 web"]);
    }

    #[test]
    fn an_address_may_pass_from_one_service_to_another_in_either_order() {
        let mut services = Services::default();
        let (old, new) = (name("old"), name("new"));
        services.put(&old, Source::File, with(&[]));
        services.put(&new, Source::File, with(&[]));
        let address = ["192.0.2.9".parse().unwrap()];
        services.assign(&old, address.into());
        services.assign(&new, address.into());
        services.assign(&old, BTreeSet::new());
        assert_eq!(users(&services), ["192.0.2.9 new"]);
    }

    #[test]
    fn a_verdict_outlives_a_change_of_addresses() {
        let mut services = Services::default();
        let web = name("web");
        services.put(&web, Source::File, with(&["192.0.2.1"]));
        assert!(services.get(&web).unwrap().may_be_announced());
        for verdict in [Verdict::Unhealthy, Verdict::Unknown] {
            services.judge(&web, verdict);
            services.put(&web, Source::File, with(&["192.0.2.2"]));
            assert!(!services.get(&web).unwrap().may_be_announced());
        }
    }
}
