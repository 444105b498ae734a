//! From services, routes and advertisements to what each peer is told. Pure; the sessions work out
//! the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::{Family, RouteAttributes, Routes};
use ipnet::IpNet;

use crate::additions::Additions;
use crate::config::{AdvertisementConfig, Config, PeerName, ServiceName};

/// One prefix that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The service whose address it is; `None` for a route.
    pub service: Option<ServiceName>,
    /// It was added at run time.
    pub added: bool,
    /// To whom, and what is said of it.
    pub peers: BTreeMap<PeerName, Arc<RouteAttributes>>,
}

/// Everything that is to be announced, by prefix.
#[must_use]
pub fn announcements(config: &Config, additions: &Additions) -> BTreeMap<IpNet, Announcement> {
    let mut shared = BTreeSet::new();
    let advertised = Advertised::new(config, &mut shared);
    let mut announced = BTreeMap::new();
    let from_file = config.services.iter().map(|service| (service, false));
    let added = additions.services.iter().map(|service| (service, true));
    for ((name, service), added) in from_file.chain(added) {
        for address in &service.addresses {
            let prefix = IpNet::from(*address);
            let announcement = Announcement {
                service: Some(name.clone()),
                added,
                peers: addressees(config, &prefix, |peer| advertised.attributes(name, peer)),
            };
            announced.insert(prefix, announcement);
        }
    }
    let from_file = config.routes.iter().map(|route| (route, false));
    let added = additions.routes.iter().map(|route| (route, true));
    for ((prefix, route), added) in from_file.chain(added) {
        let attributes = share(&mut shared, route.attributes.clone());
        let announcement = Announcement {
            service: None,
            added,
            peers: addressees(config, prefix, |peer| {
                names(route.peers.as_ref(), peer).then_some(&attributes)
            }),
        };
        announced.insert(*prefix, announcement);
    }
    announced
}

/// The same by peer, with an entry for each, be it empty. Peers that are told the same share it.
#[must_use]
pub fn routes(
    config: &Config,
    announcements: &BTreeMap<IpNet, Announcement>,
) -> BTreeMap<PeerName, Arc<Routes>> {
    let mut by_peer: BTreeMap<&PeerName, Routes> = config
        .peers
        .keys()
        .map(|name| (name, Routes::new()))
        .collect();
    for (prefix, announcement) in announcements {
        for (peer, attributes) in &announcement.peers {
            if let Some(routes) = by_peer.get_mut(peer) {
                routes.insert(*prefix, Arc::clone(attributes));
            }
        }
    }
    let mut same = BTreeSet::new();
    by_peer
        .into_iter()
        .map(|(name, routes)| (name.clone(), share(&mut same, routes)))
        .collect()
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

    fn attributes(&self, service: &ServiceName, peer: &PeerName) -> Option<&Arc<RouteAttributes>> {
        let mut advertisements = self.advertisements.iter();
        let first = advertisements.find(|(advertisement, _)| {
            names(advertisement.services.as_ref(), service)
                && names(advertisement.peers.as_ref(), peer)
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

/// The peers that speak the prefix's family and are to have it.
fn addressees<'a>(
    config: &Config,
    prefix: &IpNet,
    attributes: impl Fn(&PeerName) -> Option<&'a Arc<RouteAttributes>>,
) -> BTreeMap<PeerName, Arc<RouteAttributes>> {
    let family = Family::of(prefix);
    let speaking = config
        .peers
        .iter()
        .filter(|(_, peer)| peer.families.contains(&family));
    speaking
        .filter_map(|(name, _)| Some((name.clone(), Arc::clone(attributes(name)?))))
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
    use crate::additions::ServiceSpec;
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
        let routes = routes(config, &announcements(config, additions));
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
        let announced = announcements(&config, &Additions::default());
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
        };
        let additions = Additions {
            services: [(
                ServiceName::new("new").unwrap(),
                ServiceConfig::try_from(&spec).unwrap(),
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
        let announced = announcements(&config(""), &additions);
        assert!(announced[&"10.0.0.0/8".parse::<IpNet>().unwrap()].added);
    }

    #[test]
    fn equal_attributes_and_equal_routes_are_shared() {
        let config = config("[[peer]]\nname = \"c\"\naddress = \"192.0.2.3\"\n");
        let routes = routes(&config, &announcements(&config, &Additions::default()));
        assert!(Arc::ptr_eq(&routes["a"], &routes["c"]));
        let mut attributes = routes["a"].values();
        let first = attributes.next().unwrap();
        assert!(attributes.all(|other| Arc::ptr_eq(first, other)));
    }
}
