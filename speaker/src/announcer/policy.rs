//! Who is told what, as the configuration has it. Few things are said, however many prefixes they
//! are said of: each is worked out once, and there is one copy of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::{Family, RouteAttributes};
use ipnet::IpNet;

use super::Addressees;
use super::members::{Members, Places};
use crate::config::{
    AggregationLengths, Config, Conflict, PeerConfig, PeerName, RouteConfig, ServiceName,
};

#[derive(Clone, Debug)]
pub(super) struct Policy {
    config: Arc<Config>,
    /// As which prefixes addresses may be announced, however many advertisements say so.
    lengths: BTreeSet<(Family, u8)>,
    /// Advertisements that fit a prefix together, and whether they can.
    fitting: BTreeMap<(Family, Places), Option<Conflict>>,
    told: BTreeMap<(Family, Places), Arc<Addressees>>,
    told_of_routes: BTreeMap<(Family, Arc<RouteConfig>), Arc<Addressees>>,
    attributes: BTreeSet<Arc<RouteAttributes>>,
    addressees: BTreeSet<Arc<Addressees>>,
}

impl Policy {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let advertisements = config.advertisements.iter();
        let mut aggregations: Vec<_> = advertisements.map(|it| it.aggregation).collect();
        if aggregations.is_empty() {
            aggregations.push(AggregationLengths::default());
        }
        let lengths = aggregations.iter().flat_map(|lengths| {
            let v4 = (Family::IPV4_UNICAST, lengths.v4);
            [v4, (Family::IPV6_UNICAST, lengths.v6)]
        });
        Self {
            lengths: lengths.collect(),
            config,
            fitting: BTreeMap::new(),
            told: BTreeMap::new(),
            told_of_routes: BTreeMap::new(),
            attributes: BTreeSet::new(),
            addressees: BTreeSet::new(),
        }
    }

    pub(super) fn adopt(&mut self, config: &Arc<Config>) -> bool {
        let is_same = self.config.peers == config.peers
            && self.config.ranges == config.ranges
            && self.config.advertisements == config.advertisements
            && self.config.pools == config.pools;
        if is_same {
            self.config = Arc::clone(config);
        }
        is_same
    }

    /// Every prefix that an address may be announced as, whosever it is.
    pub(super) fn possible_prefixes(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = IpNet> + use<'_> {
        let family = Family::of(&IpNet::from(address));
        let lengths = self.lengths.iter().filter(move |(of, _)| *of == family);
        lengths.map(move |(_, length)| {
            let lengths = AggregationLengths {
                v4: *length,
                v6: *length,
            };
            lengths.prefix_of(address)
        })
    }

    /// The prefixes that an address of a service is announced as, and by which advertisements.
    pub(super) fn prefixes(
        &mut self,
        service: &ServiceName,
        address: IpAddr,
    ) -> Result<BTreeMap<IpNet, Places>, Conflict> {
        let prefixes = self.config.advertised_as(service, address).into_iter();
        prefixes
            .map(|(prefix, places)| Ok((prefix, self.fitting(Family::of(&prefix), places)?)))
            .collect()
    }

    /// The one copy of these places.
    fn fitting(&mut self, family: Family, places: Vec<usize>) -> Result<Places, Conflict> {
        let key = (family, Places::from(places));
        if let Some((known, conflict)) = self.fitting.get_key_value(&key) {
            return conflict.clone().map_or(Ok(Arc::clone(&known.1)), Err);
        }
        let conflict = self.config.conflict(family, &key.1);
        self.fitting.insert(key.clone(), conflict.clone());
        conflict.map_or(Ok(key.1), Err)
    }

    /// Who is told of a prefix with these addresses in it.
    pub(super) fn told_of(&mut self, prefix: &IpNet, members: &Members) -> Arc<Addressees> {
        let Some(places) = members.places() else {
            return Arc::default();
        };
        let key = (Family::of(prefix), places);
        if let Some(known) = self.told.get(&key) {
            return Arc::clone(known);
        }
        let (family, places) = &key;
        let config = Arc::clone(&self.config);
        let told = self.addressees(*family, |name, peer| config.said_to(name, peer, places));
        self.told.insert(key, Arc::clone(&told));
        told
    }

    /// Who is told of a prefix that belongs to no service.
    pub(super) fn told_of_route(
        &mut self,
        prefix: &IpNet,
        route: &Arc<RouteConfig>,
    ) -> Arc<Addressees> {
        let key = (Family::of(prefix), Arc::clone(route));
        if let Some(known) = self.told_of_routes.get(&key) {
            return Arc::clone(known);
        }
        let filter = route.peers.as_ref();
        let told = self.addressees(key.0, |name, peer| {
            let is_named = filter.is_none_or(|filter| peer.is_one_of(name, filter));
            is_named.then(|| route.attributes.clone())
        });
        self.told_of_routes.insert(key, Arc::clone(&told));
        told
    }

    /// Memory stays bounded, whatever was said once: once there is more than for this many prefixes,
    /// what was worked out is forgotten, and worked out again where it is needed.
    pub(super) fn forget_unused(&mut self, prefixes: usize) {
        if self.told.len() + self.told_of_routes.len() <= 2 * prefixes + 64 {
            return;
        }
        // Readers do not tell what is needed: several places here may have the same copy.
        self.told.clear();
        self.told_of_routes.clear();
        self.addressees.retain(|told| Arc::strong_count(told) > 1);
        self.attributes.retain(|said| Arc::strong_count(said) > 1);
    }

    /// The peers that speak a family, and what is said to each.
    fn addressees(
        &mut self,
        family: Family,
        said: impl Fn(&PeerName, &PeerConfig) -> Option<RouteAttributes>,
    ) -> Arc<Addressees> {
        let config = Arc::clone(&self.config);
        let speaking = config.peers.iter();
        let speaking = speaking.filter(|(_, peer)| peer.families.contains(&family));
        let told = speaking.filter_map(|(name, peer)| {
            let attributes = share(&mut self.attributes, said(name, peer)?);
            Some((name.clone(), attributes))
        });
        let told = told.collect();
        share(&mut self.addressees, told)
    }
}

/// The one copy of `value` among those seen.
fn share<T: Ord>(seen: &mut BTreeSet<Arc<T>>, value: T) -> Arc<T> {
    match seen.get(&value) {
        Some(first) => Arc::clone(first),
        None => {
            let first = Arc::new(value);
            seen.insert(Arc::clone(&first));
            first
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_several_ask_for_alike_is_forgotten_as_well() {
        let file = Path::new("herald.toml");
        let config = Config::parse(file, "[speaker]\nlocal-as = 64520").unwrap();
        let mut policy = Policy::new(Arc::new(config.config));
        let prefix: IpNet = "192.0.2.1/32".parse().unwrap();
        for number in 0..100 {
            // No peer is there: all of them are told to the same, nobody.
            let name = PeerName::new(&format!("peer-{number}")).unwrap();
            let route = RouteConfig {
                attributes: RouteAttributes::default(),
                peers: Some([name].into()),
            };
            policy.told_of_route(&prefix, &Arc::new(route));
        }
        assert_eq!(policy.told_of_routes.len(), 100);
        policy.forget_unused(100);
        assert_eq!(policy.told_of_routes.len(), 100, "so many prefixes may be");
        policy.forget_unused(1);
        assert!(policy.told_of_routes.is_empty());
        assert!(policy.addressees.is_empty());
    }
}
