//! `[[advertisement]]`: which services are announced to whom, and how.
//!
//! All advertisements that fit a service and a peer count together. Each says as which prefix an
//! address is announced; those that say the same prefix are merged into one route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::{Family, RouteAttributes};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::attributes::{next_hops, put_next_hop};
use super::{Config, PeerConfig, PeerName, PoolName, ServiceName};

/// Which services are announced to whom, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvertisementConfig {
    /// For people.
    pub name: Option<String>,
    /// `None`: to every peer.
    pub peers: Option<BTreeSet<PeerName>>,
    /// `None`: every service.
    pub services: Option<BTreeSet<ServiceName>>,
    /// `None`: whatever pool an address belongs to, if any.
    pub pools: Option<BTreeSet<PoolName>>,
    /// How much of an address is announced.
    pub aggregation: AggregationLengths,
    /// What is said of them.
    pub attributes: RouteAttributes,
}

/// The lengths of the prefixes that addresses are announced as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationLengths {
    /// Of IPv4 addresses, 1 to 32.
    pub v4: u8,
    /// Of IPv6 addresses, 1 to 128.
    pub v6: u8,
}

impl Default for AggregationLengths {
    /// Host routes.
    fn default() -> Self {
        Self { v4: 32, v6: 128 }
    }
}

impl AggregationLengths {
    /// The prefix that an address is announced as.
    #[must_use]
    pub fn prefix_of(self, address: IpAddr) -> IpNet {
        let host = IpNet::from(address);
        let prefix = match address {
            IpAddr::V4(address) => Ipv4Net::new(address, self.v4).map(IpNet::from),
            IpAddr::V6(address) => Ipv6Net::new(address, self.v6).map(IpNet::from),
        };
        prefix.map_or(host, |prefix| prefix.trunc())
    }
}

impl AdvertisementConfig {
    /// Whether it is about a service's address in a pool.
    fn fits(&self, service: &ServiceName, pool: Option<&PoolName>) -> bool {
        let (services, pools) = (self.services.as_ref(), self.pools.as_ref());
        services.is_none_or(|services| services.contains(service))
            && pools.is_none_or(|pools| pool.is_some_and(|pool| pools.contains(pool)))
    }

    fn is_for(&self, name: &PeerName, peer: &PeerConfig) -> bool {
        let named = self.peers.as_ref();
        named.is_none_or(|peers| peer.is_one_of(name, peers))
    }
}

/// Two advertisements that one route cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The key that they disagree about.
    pub key: &'static str,
    /// Their places in the file, from 0.
    pub advertisements: [usize; 2],
    /// To whom both are said.
    pub peer: PeerName,
}

impl Config {
    /// What an advertisement is called, by its place in the file, from 0.
    #[must_use]
    pub fn advertisement_label(&self, place: usize) -> String {
        let advertisement = self.advertisements.get(place);
        let name = advertisement.and_then(|advertisement| advertisement.name.clone());
        name.unwrap_or_else(|| format!("advertisement {}", place + 1))
    }

    /// A conflict in words.
    #[must_use]
    pub fn explain(&self, conflict: &Conflict) -> String {
        let Conflict {
            key,
            advertisements: [one, other],
            peer,
        } = conflict;
        format!(
            "[[advertisement]] {:?} and {:?} both fit it at peer {peer}, and differ in {key}; it must be the same in both, or be said in one of them only",
            self.advertisement_label(*one),
            self.advertisement_label(*other),
        )
    }

    /// The pool that an address belongs to.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<&PoolName> {
        let mut pools = self.pools.iter();
        let pool = pools.find(|(_, pool)| pool.contains(address));
        pool.map(|(name, _)| name)
    }

    /// The prefixes that an address of a service is announced as, each with the places of the
    /// advertisements that say so. Without any advertisement it is announced as it is.
    #[must_use]
    pub fn advertised_as(
        &self,
        service: &ServiceName,
        address: IpAddr,
    ) -> BTreeMap<IpNet, Vec<usize>> {
        if self.advertisements.is_empty() {
            return BTreeMap::from([(IpNet::from(address), Vec::new())]);
        }
        let pool = self.pool_of(address);
        let mut prefixes = BTreeMap::<_, Vec<_>>::new();
        for (place, advertisement) in self.advertisements.iter().enumerate() {
            if advertisement.fits(service, pool) {
                let prefix = advertisement.aggregation.prefix_of(address);
                prefixes.entry(prefix).or_default().push(place);
            }
        }
        prefixes
    }

    /// Those of these advertisements that are for a peer.
    pub fn advertisements_for<'c>(
        &'c self,
        name: &'c PeerName,
        peer: &'c PeerConfig,
        places: &'c [usize],
    ) -> impl Iterator<Item = (usize, &'c AdvertisementConfig)> {
        let places = places.iter().copied();
        let advertisements =
            places.filter_map(|place| Some((place, self.advertisements.get(place)?)));
        advertisements.filter(|(_, advertisement)| advertisement.is_for(name, peer))
    }

    /// What these advertisements say to a peer, all together; `None`: nothing.
    #[must_use]
    pub fn said_to(
        &self,
        name: &PeerName,
        peer: &PeerConfig,
        places: &[usize],
    ) -> Option<RouteAttributes> {
        if self.advertisements.is_empty() {
            return Some(RouteAttributes::default());
        }
        let advertisements = self.advertisements_for(name, peer, places);
        let said: Vec<&RouteAttributes> = advertisements.map(|(_, it)| &it.attributes).collect();
        match said.as_slice() {
            [] => None,
            [one] => Some((*one).clone()),
            several => Some(merged(several)),
        }
    }

    /// Whether a peer that speaks the family is told what these advertisements say.
    pub(crate) fn is_told(&self, name: &PeerName, peer: &PeerConfig, places: &[usize]) -> bool {
        let mut advertisements = self.advertisements_for(name, peer, places);
        self.advertisements.is_empty() || advertisements.next().is_some()
    }

    /// Two of these advertisements that say of one route of this family to one peer what cannot both
    /// be true. Who may come by a range counts as well.
    #[must_use]
    pub fn conflict(&self, family: Family, places: &[usize]) -> Option<Conflict> {
        let of_ranges = self.ranges.iter().map(|(name, range)| (name, &range.peer));
        let audience = self.peers.iter().chain(of_ranges);
        let audience = audience.filter(|(_, peer)| peer.families.contains(&family));
        for (name, peer) in audience {
            let said: Vec<_> = self.advertisements_for(name, peer, places).collect();
            for (index, (one, first)) in said.iter().enumerate() {
                for (other, second) in said.iter().skip(index + 1) {
                    if let Some(key) = disagreement(family, &first.attributes, &second.attributes) {
                        return Some(Conflict {
                            key,
                            advertisements: [*one, *other],
                            peer: name.clone(),
                        });
                    }
                }
            }
        }
        None
    }
}

/// The key that can have one value only, and has two; that one of them leaves it open is none.
fn disagreement(
    family: Family,
    one: &RouteAttributes,
    other: &RouteAttributes,
) -> Option<&'static str> {
    fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
        matches!((one, other), (Some(one), Some(other)) if one != other)
    }
    let prepended = |it: &RouteAttributes| Some(it.as_path_prepend).filter(|times| *times > 0);
    let hops = |it: &RouteAttributes| {
        let hops = next_hops(it).into_iter();
        let hops: Vec<_> = hops.filter(|hop| is_of(family, hop)).collect();
        Some(hops).filter(|hops| !hops.is_empty())
    };
    let differing = [
        ("local-pref", differ(one.local_pref, other.local_pref)),
        ("med", differ(one.multi_exit_disc, other.multi_exit_disc)),
        ("as-path-prepend", differ(prepended(one), prepended(other))),
        ("next-hop", differ(hops(one), hops(other))),
        ("aggregator", differ(one.aggregator, other.aggregator)),
    ];
    let mut differing = differing.into_iter().filter(|(_, differ)| *differ);
    differing.next().map(|(key, _)| key)
}

const fn is_of(family: Family, address: &IpAddr) -> bool {
    match family {
        Family::IPV4_UNICAST => address.is_ipv4(),
        _ => address.is_ipv6(),
    }
}

/// One route out of several: all communities, and of what can be said once only, what the first of
/// them says that says anything.
fn merged(said: &[&RouteAttributes]) -> RouteAttributes {
    let mut all = RouteAttributes::default();
    let (mut hops_v4, mut hops_v6) = (Vec::new(), Vec::new());
    for attributes in said {
        let RouteAttributes {
            origin: _,
            multi_exit_disc,
            local_pref,
            as_path_prepend,
            next_hop_v4: _,
            next_hop_v6: _,
            atomic_aggregate,
            aggregator,
            communities,
            large_communities,
            extended_communities,
            ipv6_extended_communities,
            unknown: _,
            additional_paths: _,
        } = attributes;
        all.multi_exit_disc = all.multi_exit_disc.or(*multi_exit_disc);
        all.local_pref = all.local_pref.or(*local_pref);
        if all.as_path_prepend == 0 {
            all.as_path_prepend = *as_path_prepend;
        }
        all.atomic_aggregate |= atomic_aggregate;
        all.aggregator = all.aggregator.or(*aggregator);
        unite(&mut all.communities, communities);
        unite(&mut all.large_communities, large_communities);
        unite(&mut all.extended_communities, extended_communities);
        unite(
            &mut all.ipv6_extended_communities,
            ipv6_extended_communities,
        );
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
            next_hops(attributes).into_iter().partition(IpAddr::is_ipv4);
        for (all, own) in [(&mut hops_v4, v4), (&mut hops_v6, v6)] {
            if all.is_empty() {
                *all = own;
            }
        }
    }
    // Each path is like the first but for its next hop, so they come last.
    for next_hop in hops_v4.into_iter().chain(hops_v6) {
        put_next_hop(&mut all, next_hop);
    }
    all
}

/// Both are in order, and stay so.
fn unite<T: Ord + Copy>(all: &mut Vec<T>, more: &[T]) {
    for value in more {
        if let Err(at) = all.binary_search(value) {
            all.insert(at, *value);
        }
    }
}
