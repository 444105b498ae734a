//! From services, routes and advertisements to what each peer is told. Pure; the sessions work out
//! the difference.
//!
//! What is announced is a function of the configuration and of the services: [`Announcer::new`]. A
//! change of some services is carried over into it at the cost of those alone:
//! [`Announcer::update`].

mod members;
mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::{Family, RouteAttributes, Routes};
use ipnet::IpNet;

pub use self::members::{Member, Members};
use self::policy::Policy;
pub use crate::bgp_thread::Addressees;
use crate::bgp_thread::{Dependents, RouteChange};
use crate::config::{BfdName, Config, Conflict, PeerConfig, PeerName, ServiceName};
use crate::services::{Changed, Services, Source};

/// One prefix that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Who has said that there is a route to it. Then nothing else counts.
    pub route: Option<Source>,
    /// The addresses in it that have it announced.
    pub members: Members,
    /// To whom, and what is said of it. Prefixes of which the same is said to the same peers share
    /// this, for there may be many of both.
    pub peers: Arc<Addressees>,
    /// The path without which it is of no use, whoever of its members is asked.
    pub path: Option<BfdName>,
}

impl Announcement {
    /// What the BGP thread has to know of it.
    #[must_use]
    pub fn as_change(&self) -> RouteChange {
        RouteChange {
            peers: Arc::clone(&self.peers),
            path: self.path.clone(),
        }
    }

    /// The services that have addresses in it, by name.
    #[must_use]
    pub fn services(&self) -> Vec<&ServiceName> {
        let mut services: Vec<_> = self.members.iter().map(|member| &member.service).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// The service that it is all about; `None` for a route, and for an aggregate of several.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        let mut services = self.members.iter().map(|member| &member.service);
        let first = services.next()?;
        let is_alone = self.route.is_none() && services.all(|service| service == first);
        is_alone.then_some(first)
    }
}

/// Everything that is to be announced, by prefix.
pub type Announcements = BTreeMap<IpNet, Announcement>;

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Announcer {
    policy: Policy,
    announcements: Arc<Announcements>,
    /// Addresses that are not announced, for two advertisements disagree about them.
    conflicts: BTreeMap<IpAddr, Conflict>,
}

impl Announcer {
    /// What is to be announced.
    #[must_use]
    pub fn new(config: Arc<Config>, services: &Services) -> Self {
        let mut announcer = Self {
            policy: Policy::new(config),
            announcements: Arc::default(),
            conflicts: BTreeMap::new(),
        };
        let addresses = services.iter().flat_map(|(_, service)| service.addresses());
        let routes = services.routes().map(|(prefix, _)| *prefix);
        announcer.update(
            services,
            Changed {
                addresses: addresses.collect(),
                routes: routes.collect(),
            },
        );
        announcer
    }

    /// Goes on with another configuration, if it says the same of who is told what; whether it does.
    pub fn adopt(&mut self, config: &Arc<Config>) -> bool {
        self.policy.adopt(config)
    }

    /// Peers have come or gone; nothing else is new in the configuration. What is announced stays, and
    /// to whom is worked out anew.
    pub fn set_peers(&mut self, config: &Arc<Config>, services: &Services) {
        self.policy = Policy::new(Arc::clone(config));
        for (prefix, announcement) in Arc::make_mut(&mut self.announcements) {
            announcement.peers = match services.route(prefix) {
                Some(route) => self.policy.told_of_route(prefix, &route.spec),
                None => self.policy.told_of(prefix, &announcement.members),
            };
        }
    }

    /// What is announced, or would be to a peer that listened.
    #[must_use]
    pub const fn announcements(&self) -> &Arc<Announcements> {
        &self.announcements
    }

    /// Addresses that are not announced, for two advertisements disagree about them.
    #[must_use]
    pub const fn conflicts(&self) -> &BTreeMap<IpAddr, Conflict> {
        &self.conflicts
    }

    /// Two advertisements that disagree about what is to be said of a service.
    pub fn conflict(
        &mut self,
        service: &ServiceName,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Option<Conflict> {
        let mut addresses = addresses.into_iter();
        addresses.find_map(|address| self.policy.prefixes(service, address).err())
    }

    /// Carries over what has changed of these services. Those prefixes of which something else is
    /// said from here on, or to others, or that depend on another path; nobody is told any more of
    /// those that are gone.
    pub fn update(
        &mut self,
        services: &Services,
        changed: Changed,
    ) -> BTreeMap<IpNet, RouteChange> {
        let mut touched = changed.routes;
        for address in changed.addresses {
            touched.extend(self.place(services, address));
        }
        let settled = touched.into_iter().filter_map(|prefix| {
            let change = self.settle(services, prefix)?;
            Some((prefix, change))
        });
        let settled = settled.collect();
        self.policy.forget_unused(self.announcements.len());
        settled
    }

    /// Has an address where it belongs; the prefixes that it has come to, or gone from.
    fn place(&mut self, services: &Services, address: IpAddr) -> Vec<IpNet> {
        self.conflicts.remove(&address);
        let service = services.user(address);
        let service =
            service.filter(|name| services.may_announce(name) && services.is_hosted(address));
        let mut wanted = match service.map(|name| self.policy.prefixes(name, address)) {
            None => BTreeMap::new(),
            Some(Ok(prefixes)) => prefixes,
            Some(Err(conflict)) => {
                self.conflicts.insert(address, conflict);
                BTreeMap::new()
            }
        };
        let announcements = Arc::make_mut(&mut self.announcements);
        let mut touched = Vec::new();
        for prefix in self.policy.possible_prefixes(address) {
            let member = wanted.remove(&prefix).zip(service);
            let member = member.map(|(by, service)| Member {
                address,
                service: service.clone(),
                by,
                path: services.path(service).cloned(),
            });
            if replace(announcements, prefix, address, member) {
                touched.push(prefix);
            }
        }
        touched
    }

    /// Works out who is told of a prefix; `None` when that has not changed.
    fn settle(&mut self, services: &Services, prefix: IpNet) -> Option<RouteChange> {
        let route = services.route(&prefix);
        let announcements = Arc::make_mut(&mut self.announcements);
        let announcement = match route {
            Some(_) => announcements.entry(prefix).or_insert_with(nothing),
            None => announcements.get_mut(&prefix)?,
        };
        announcement.route = route.map(|route| route.source);
        let peers = match route {
            Some(route) => self.policy.told_of_route(&prefix, &route.spec),
            None => self.policy.told_of(&prefix, &announcement.members),
        };
        let before = announcement.as_change();
        announcement.peers = peers;
        announcement.path = match route {
            Some(_) => None,
            None => announcement.members.path().cloned(),
        };
        let after = announcement.as_change();
        if announcement.route.is_none() && announcement.members.is_empty() {
            announcements.remove(&prefix);
        }
        (before != after).then_some(after)
    }
}

fn nothing() -> Announcement {
    Announcement {
        route: None,
        members: Members::default(),
        peers: Arc::default(),
        path: None,
    }
}

/// Puts an address into a prefix, otherwise than it was, or takes it out; whether that is a change.
fn replace(
    announcements: &mut Announcements,
    prefix: IpNet,
    address: IpAddr,
    member: Option<Member>,
) -> bool {
    match member {
        Some(member) => {
            let announcement = announcements.entry(prefix).or_insert_with(nothing);
            announcement.members.put(member)
        }
        None => announcements
            .get_mut(&prefix)
            .is_some_and(|announcement| announcement.members.remove(address)),
    }
}

/// What is of no use without which path.
#[must_use]
pub fn dependents(announcements: &Announcements) -> Dependents {
    let mut dependents: BTreeMap<BfdName, BTreeSet<IpNet>> = BTreeMap::new();
    for (prefix, announcement) in announcements {
        if let Some(path) = &announcement.path {
            let prefixes = dependents.entry(path.clone()).or_default();
            prefixes.insert(*prefix);
        }
    }
    dependents
}

/// What is announced by peer, with an entry for each, be it empty. Peers that are told the same
/// whatever happens to services share it; that two others are told the same for the moment only is
/// no reason, for they would part with the next verdict.
#[must_use]
pub fn routes(config: &Config, announcements: &Announcements) -> BTreeMap<PeerName, Arc<Routes>> {
    let said = said(announcements);
    let mut alike: BTreeMap<Audience<'_>, Arc<Routes>> = BTreeMap::new();
    let peers = config.peers.iter();
    peers
        .map(|(name, peer)| {
            let routes = alike
                .entry(audience(config, &said, name, peer))
                .or_insert_with(|| Arc::new(heard_of(&said, name)));
            (name.clone(), Arc::clone(routes))
        })
        .collect()
}

/// What is announced to one peer, and the others that are told the same whatever happens to services.
#[must_use]
pub fn routes_of(
    config: &Config,
    announcements: &Announcements,
    name: &PeerName,
) -> (Arc<Routes>, Vec<PeerName>) {
    let said = said(announcements);
    let own = config.peers.get_key_value(name);
    let own = own.map(|(name, peer)| audience(config, &said, name, peer));
    let others = config.peers.iter().filter(|(other, _)| *other != name);
    let fellows = others
        .filter(|(name, peer)| own.as_ref() == Some(&audience(config, &said, name, peer)))
        .map(|(name, _)| name.clone());
    (Arc::new(heard_of(&said, name)), fellows.collect())
}

/// What decides what a peer is told: the families that it speaks, the advertisements that are for it,
/// and what it hears of routes that are of no service.
type Audience<'a> = (
    &'a [Family],
    Vec<usize>,
    Vec<Option<&'a Arc<RouteAttributes>>>,
);

fn audience<'a>(
    config: &Config,
    said: &[Said<'a>],
    name: &PeerName,
    peer: &'a PeerConfig,
) -> Audience<'a> {
    let all: Vec<usize> = (0..config.advertisements.len()).collect();
    let advertisements = config.advertisements_for(name, peer, &all);
    let of_routes = said.iter().filter(|said| said.of_routes);
    (
        &peer.families,
        advertisements.map(|(place, _)| place).collect(),
        of_routes.map(|said| said.to.get(name)).collect(),
    )
}

/// The same said to the same peers, and of which prefixes.
struct Said<'a> {
    to: &'a Addressees,
    /// Of prefixes that belong to no service, or of the others.
    of_routes: bool,
    of: Vec<&'a IpNet>,
}

/// Few things are said, however many prefixes there are of which they are said.
fn said(announcements: &Announcements) -> Vec<Said<'_>> {
    let mut said: BTreeMap<(bool, *const Addressees), Said<'_>> = BTreeMap::new();
    for (prefix, announcement) in announcements {
        let (to, of_routes) = (&announcement.peers, announcement.route.is_some());
        let key = (of_routes, Arc::as_ptr(to));
        let of = Vec::new();
        let same = said.entry(key).or_insert(Said { to, of_routes, of });
        same.of.push(prefix);
    }
    said.into_values().collect()
}

fn heard_of(said: &[Said<'_>], name: &PeerName) -> Routes {
    let heard = said.iter();
    let heard = heard.filter_map(|said| Some((said, said.to.get(name)?)));
    heard
        .flat_map(|(said, attributes)| {
            let prefixes = said.of.iter();
            prefixes.map(|prefix| (**prefix, Arc::clone(attributes)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
