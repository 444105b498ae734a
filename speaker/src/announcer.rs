//! From services, routes and advertisements to what each peer is told. Pure; the sessions work out
//! the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::{Family, RouteAttributes, Routes};
use ipnet::IpNet;

use crate::config::{AdvertisementConfig, Config, PeerConfig, PeerName, ServiceName};
use crate::services::{Route, Services, Source};

/// Peers, and what is said of a prefix to each.
pub type Addressees = BTreeMap<PeerName, Arc<RouteAttributes>>;

/// One prefix that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The service whose address it is; `None` for a route.
    pub service: Option<ServiceName>,
    /// Who says that it is to be announced.
    pub source: Source,
    /// To whom, and what is said of it. Prefixes of which the same is said to the same peers share
    /// this, for there may be many of both.
    pub peers: Arc<Addressees>,
}

/// Everything that is to be announced, by prefix.
#[must_use]
pub fn announcements(config: &Config, services: &Services) -> BTreeMap<IpNet, Announcement> {
    let mut seen = Seen::default();
    let advertised = Advertised::new(config, &mut seen.attributes);
    let mut announced = BTreeMap::new();
    let mut by_fitting = BTreeMap::new();
    let announceable = services.iter();
    for (name, service) in announceable.filter(|(_, service)| service.may_be_announced()) {
        for address in service.addresses() {
            let prefix = IpNet::from(address);
            let family = Family::of(&prefix);
            let key = (family, advertised.naming(name));
            let peers = by_fitting.entry(key).or_insert_with(|| {
                let to = addressees(config, family, |peer| advertised.attributes(name, peer));
                share(&mut seen.addressees, to)
            });
            let announcement = Announcement {
                service: Some(name.clone()),
                source: service.source,
                peers: Arc::clone(peers),
            };
            announced.insert(prefix, announcement);
        }
    }
    let mut by_route = BTreeMap::new();
    for (prefix, Route { source, spec }) in services.routes() {
        let key = (Family::of(prefix), &spec.attributes, &spec.peers);
        let peers = by_route.entry(key).or_insert_with(|| {
            let (family, attributes, filter) = key;
            let attributes = share(&mut seen.attributes, attributes.clone());
            let to = addressees(config, family, |peer| {
                peer.is_named(filter.as_ref()).then_some(&attributes)
            });
            share(&mut seen.addressees, to)
        });
        let announcement = Announcement {
            service: None,
            source: *source,
            peers: Arc::clone(peers),
        };
        announced.insert(*prefix, announcement);
    }
    announced
}

/// What there is one copy of.
#[derive(Default)]
struct Seen {
    attributes: BTreeSet<Arc<RouteAttributes>>,
    addressees: BTreeSet<Arc<Addressees>>,
}

/// The same by peer, with an entry for each, be it empty. Peers that are told the same share it; if
/// some were `told` so before, that is what is shared.
#[must_use]
pub fn routes(
    config: &Config,
    announcements: &BTreeMap<IpNet, Announcement>,
    told: &BTreeMap<PeerName, Arc<Routes>>,
) -> BTreeMap<PeerName, Arc<Routes>> {
    let said = said(announcements);
    let known = distinct(told);
    let mut alike: BTreeMap<Vec<Option<&Arc<RouteAttributes>>>, Arc<Routes>> = BTreeMap::new();
    let names = config.peers.keys();
    names
        .map(|name| {
            let heard = said.iter().map(|said| said.to.get(name)).collect();
            let routes = alike.entry(heard).or_insert_with_key(|heard| {
                let routes = heard_of(&said, heard);
                match known.iter().find(|known| ****known == routes) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(routes),
                }
            });
            (name.clone(), Arc::clone(routes))
        })
        .collect()
}

/// The same said to the same peers, and of which prefixes.
struct Said<'a> {
    to: &'a Addressees,
    of: Vec<&'a IpNet>,
}

/// Few things are said, however many prefixes there are of which they are said.
fn said(announcements: &BTreeMap<IpNet, Announcement>) -> Vec<Said<'_>> {
    let mut said: BTreeMap<*const Addressees, Said<'_>> = BTreeMap::new();
    for (prefix, announcement) in announcements {
        let to = &announcement.peers;
        let of = Vec::new();
        let same = said.entry(Arc::as_ptr(to)).or_insert(Said { to, of });
        same.of.push(prefix);
    }
    said.into_values().collect()
}

/// The routes of a peer to whom these attributes are said of each.
fn heard_of(said: &[Said<'_>], attributes: &[Option<&Arc<RouteAttributes>>]) -> Routes {
    let heard = said.iter().zip(attributes);
    let heard = heard.filter_map(|(said, attributes)| Some((said, (*attributes)?)));
    heard
        .flat_map(|(said, attributes)| {
            let prefixes = said.of.iter();
            prefixes.map(|prefix| (**prefix, Arc::clone(attributes)))
        })
        .collect()
}

/// Each, once.
fn distinct(told: &BTreeMap<PeerName, Arc<Routes>>) -> Vec<&Arc<Routes>> {
    let by_place = told.values().map(|routes| (Arc::as_ptr(routes), routes));
    let by_place: BTreeMap<_, _> = by_place.collect();
    by_place.into_values().collect()
}

/// What is said of services: by the first advertisement that fits, or plainly if there is none at
/// all.
struct Advertised<'c> {
    plainly: Option<Arc<RouteAttributes>>,
    advertisements: Vec<(&'c AdvertisementConfig, Arc<RouteAttributes>)>,
}

impl<'c> Advertised<'c> {
    fn new(config: &'c Config, shared: &mut BTreeSet<Arc<RouteAttributes>>) -> Self {
        let none = config.advertisements.is_empty();
        let advertisements = config.advertisements.iter();
        Self {
            plainly: none.then(|| share(shared, RouteAttributes::default())),
            advertisements: advertisements
                .map(|advertisement| {
                    let attributes = share(shared, advertisement.attributes.clone());
                    (advertisement, attributes)
                })
                .collect(),
        }
    }

    /// Which of them may fit a service, by number.
    fn naming(&self, service: &ServiceName) -> Vec<usize> {
        let advertisements = self.advertisements.iter().enumerate();
        let naming = advertisements
            .filter(|(_, (advertisement, _))| names(advertisement.services.as_ref(), service));
        naming.map(|(number, _)| number).collect()
    }

    fn attributes(
        &self,
        service: &ServiceName,
        peer: Addressee<'_>,
    ) -> Option<&Arc<RouteAttributes>> {
        let mut advertisements = self.advertisements.iter();
        let first = advertisements.find(|(advertisement, _)| {
            names(advertisement.services.as_ref(), service)
                && peer.is_named(advertisement.peers.as_ref())
        });
        first
            .map(|(_, attributes)| attributes)
            .or(self.plainly.as_ref())
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

/// Somebody who may be told something.
#[derive(Clone, Copy)]
struct Addressee<'p> {
    name: &'p PeerName,
    peer: &'p PeerConfig,
}

impl Addressee<'_> {
    /// Whether a filter of peers and ranges lets it through; without a filter all are let through.
    fn is_named(self, filter: Option<&BTreeSet<PeerName>>) -> bool {
        filter.is_none_or(|filter| self.peer.is_one_of(self.name, filter))
    }
}

/// The peers that speak a family and are to have what is said of it.
fn addressees<'a>(
    config: &Config,
    family: Family,
    attributes: impl Fn(Addressee<'_>) -> Option<&'a Arc<RouteAttributes>>,
) -> Addressees {
    let speaking = config
        .peers
        .iter()
        .filter(|(_, peer)| peer.families.contains(&family));
    speaking
        .filter_map(|(name, peer)| {
            let attributes = attributes(Addressee { name, peer })?;
            Some((name.clone(), Arc::clone(attributes)))
        })
        .collect()
}

/// Whether a filter lets a name through; without a filter all are let through.
fn names<N: Ord>(filter: Option<&BTreeSet<N>>, name: &N) -> bool {
    filter.is_none_or(|filter| filter.contains(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::additions::{Additions, ServiceSpec};
    use crate::config::ServiceConfig;

    const PEERS: &str = r#"
        [speaker]
        local-as = 64520
        [peer-defaults]
        remote-as = 64521
        [[peer]]
        name = "a"
        address = "192.0.2.1"
        [[peer]]
        name = "b"
        address = "2001:db8::1"
        families = ["ipv6-unicast"]
        [[service]]
        name = "web"
        addresses = ["203.0.113.1", "2001:db8:5::1"]
        [[service]]
        name = "dns"
        addresses = ["203.0.113.2"]
    "#;

    fn config(more: &str) -> Config {
        Config::parse(Path::new("herald.toml"), &format!("{PEERS}{more}"))
            .unwrap_or_else(|error| panic!("{error}"))
            .config
    }

    /// `peer: prefix prefix…`
    fn told(config: &Config, additions: &Additions) -> Vec<String> {
        let routes = routes(
            config,
            &announcements(config, &Services::new(config, additions)),
            &BTreeMap::new(),
        );
        routes
            .iter()
            .map(|(peer, routes)| {
                let prefixes: Vec<String> = routes.keys().map(ToString::to_string).collect();
                format!("{peer}: {}", prefixes.join(" "))
            })
            .collect()
    }

    #[test]
    fn without_advertisements_every_service_goes_to_every_peer_that_speaks_its_family() {
        assert_eq!(
            told(&config(""), &Additions::default()),
            [
                "a: 203.0.113.1/32 203.0.113.2/32 2001:db8:5::1/128",
                "b: 2001:db8:5::1/128"
            ]
        );
    }

    #[test]
    fn the_first_advertisement_that_fits_decides() {
        let config = config(
            r#"
            [[advertisement]]
            services = ["dns"]
            peers = ["a"]
            med = 5
            [[advertisement]]
            peers = ["a"]
            med = 10
            "#,
        );
        assert_eq!(
            told(&config, &Additions::default()),
            ["a: 203.0.113.1/32 203.0.113.2/32 2001:db8:5::1/128", "b: "]
        );
        let announced = announcements(&config, &Services::new(&config, &Additions::default()));
        let med =
            |prefix: &str| announced[&prefix.parse::<IpNet>().unwrap()].peers["a"].multi_exit_disc;
        assert_eq!(
            (med("203.0.113.2/32"), med("203.0.113.1/32")),
            (Some(5), Some(10))
        );
    }

    #[test]
    fn routes_need_no_advertisement() {
        let config = config(
            r#"
            [[advertisement]]
            services = ["dns"]
            [[route]]
            prefix = "198.51.100.0/24"
            peers = ["a"]
            [[route]]
            prefix = "2001:db8:6::/48"
            "#,
        );
        assert_eq!(
            told(&config, &Additions::default()),
            [
                "a: 198.51.100.0/24 203.0.113.2/32 2001:db8:6::/48",
                "b: 2001:db8:6::/48"
            ]
        );
    }

    #[test]
    fn what_was_added_is_announced_beside_the_file() {
        let spec = ServiceSpec {
            addresses: vec!["203.0.113.9".to_owned()],
            ..ServiceSpec::default()
        };
        let additions = Additions {
            services: [(
                ServiceName::new("new").unwrap(),
                Arc::new(ServiceConfig::try_from(&spec).unwrap()),
            )]
            .into(),
            routes: [("10.0.0.0/8".parse().unwrap(), Default::default())].into(),
        };
        assert_eq!(
            told(&config(""), &additions),
            [
                "a: 10.0.0.0/8 203.0.113.1/32 203.0.113.2/32 203.0.113.9/32 2001:db8:5::1/128",
                "b: 2001:db8:5::1/128"
            ]
        );
        let announced = announcements(&config(""), &Services::new(&config(""), &additions));
        let source = announced[&"10.0.0.0/8".parse::<IpNet>().unwrap()].source;
        assert_eq!(source, Source::Api);
    }

    #[test]
    fn a_hundred_thousand_routes_to_sixty_four_peers_are_held_once() {
        let peers = (1..=62).map(|number| {
            format!("[[peer]]\nname = \"p{number}\"\naddress = \"192.0.2.1{number:02}\"\n")
        });
        let config = config(&peers.collect::<String>());
        let route = |number: u32| {
            let address = std::net::Ipv4Addr::from_bits(0x0B00_0000 + number);
            (
                IpNet::from(std::net::IpAddr::from(address)),
                Default::default(),
            )
        };
        let additions = Additions {
            routes: (0..100_000).map(route).collect(),
            ..Additions::default()
        };
        let announced = announcements(&config, &Services::new(&config, &additions));
        let mut addressees: Vec<_> = announced
            .values()
            .map(|announcement| Arc::as_ptr(&announcement.peers))
            .collect();
        addressees.sort();
        addressees.dedup();
        assert_eq!(addressees.len(), 2, "one for each family");
        let told = routes(&config, &announced, &BTreeMap::new());
        let mut maps: Vec<_> = told.values().map(Arc::as_ptr).collect();
        maps.sort();
        maps.dedup();
        assert_eq!(
            (told.len(), maps.len()),
            (64, 2),
            "one for \"b\", one for the others"
        );
        assert_eq!(told["p62"].len(), 100_003);
        let again = routes(&config, &announced, &told);
        assert!(
            again
                .iter()
                .all(|(name, routes)| Arc::ptr_eq(routes, &told[name]))
        );
    }

    #[test]
    fn equal_attributes_and_equal_routes_are_shared() {
        let config = config("[[peer]]\nname = \"c\"\naddress = \"192.0.2.3\"\n");
        let routes = routes(
            &config,
            &announcements(&config, &Services::new(&config, &Additions::default())),
            &BTreeMap::new(),
        );
        assert!(Arc::ptr_eq(&routes["a"], &routes["c"]));
        let mut attributes = routes["a"].values();
        let first = attributes.next().unwrap();
        assert!(attributes.all(|other| Arc::ptr_eq(first, other)));
    }
}
