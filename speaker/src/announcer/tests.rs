use std::path::Path;

use super::*;
use proptest::prelude::*;

use crate::additions::{Additions, RouteSpec, ServiceSpec};
use crate::config::{HealthConfig, RouteConfig, ServiceConfig};
use crate::services::Verdict;

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

fn announced(config: &Config, additions: &Additions) -> Arc<Announcements> {
    let services = Services::new(config, additions);
    let announcer = Announcer::new(Arc::new(config.clone()), &services);
    Arc::clone(announcer.announcements())
}

/// `peer: prefix prefix…`
fn told(config: &Config, additions: &Additions) -> Vec<String> {
    let announced = announced(config, additions);
    let routes = routes(config, &announced);
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

/// `prefix to peer: what is said`
fn said(config: &Config) -> Vec<String> {
    let announced = announced(config, &Additions::default());
    let to = announced
        .iter()
        .flat_map(|(prefix, it)| it.peers.iter().map(move |told| (prefix, told)));
    let said = to.map(|(prefix, (peer, attributes))| {
        let spec = RouteSpec::from(&RouteConfig {
            attributes: (**attributes).clone(),
            peers: None,
        });
        let said = serde_json::to_string(&spec).unwrap();
        format!("{prefix} to {peer}: {}", said.replace('"', ""))
    });
    said.collect()
}

#[test]
fn all_advertisements_that_fit_a_service_and_a_peer_count() {
    let config = config(
        r#"
        [[advertisement]]
        services = ["dns"]
        peers = ["a"]
        communities = ["64520:2", "large:64520:1:1", "rt:64520:1"]
        [[advertisement]]
        peers = ["a"]
        local-pref = 200
        med = 10
        communities = ["no-export", "64520:2", "64520:1"]
        "#,
    );
    assert_eq!(
        said(&config),
        [
            "203.0.113.1/32 to a: {med:10,local_pref:200,communities:[64520:1,64520:2,no-export]}",
            "203.0.113.2/32 to a: {med:10,local_pref:200,communities:[64520:1,64520:2,no-export,large:64520:1:1,rt:64520:1]}",
            "2001:db8:5::1/128 to a: {med:10,local_pref:200,communities:[64520:1,64520:2,no-export]}",
        ]
    );
}

#[test]
fn next_hops_merge_by_family() {
    let config = config(
        r#"
        [[advertisement]]
        services = ["web"]
        peers = ["a"]
        next-hop = ["192.0.2.71", "192.0.2.72"]
        med = 5
        [[advertisement]]
        services = ["web"]
        peers = ["a"]
        next-hop = ["2001:db8::71"]
        "#,
    );
    assert_eq!(
        said(&config)[0],
        "203.0.113.1/32 to a: {med:5,next_hop:[192.0.2.71,2001:db8::71,192.0.2.72]}"
    );
    let announced = announced(&config, &Additions::default());
    let prefix: IpNet = "203.0.113.1/32".parse().unwrap();
    let further = &announced[&prefix].peers["a"].additional_paths;
    assert_eq!(
        further[0].multi_exit_disc,
        Some(5),
        "each path says the same"
    );
}

#[test]
fn two_lengths_are_two_prefixes() {
    let config = config(
        r#"
        [[advertisement]]
        peers = ["a"]
        services = ["web", "dns"]
        aggregation-length = 24
        aggregation-length-v6 = 64
        local-pref = 1
        [[advertisement]]
        peers = ["a"]
        services = ["dns"]
        local-pref = 2
        "#,
    );
    assert_eq!(
        said(&config),
        [
            "203.0.113.0/24 to a: {local_pref:1}",
            "203.0.113.2/32 to a: {local_pref:2}",
            "2001:db8:5::/64 to a: {local_pref:1}",
        ]
    );
}

/// What an aggregate says is what its members say together; the first advertisement of the file goes
/// first where they differ.
#[test]
fn services_in_one_aggregate_are_united() {
    let config = config(
        r#"
        [[advertisement]]
        peers = ["a"]
        services = ["dns"]
        aggregation-length = 24
        local-pref = 200
        communities = ["64520:2"]
        [[advertisement]]
        peers = ["a"]
        services = ["web"]
        aggregation-length = 24
        local-pref = 100
        communities = ["64520:1"]
        "#,
    );
    assert_eq!(
        said(&config)[0],
        "203.0.113.0/24 to a: {local_pref:200,communities:[64520:1,64520:2]}"
    );
    let (mut services, mut announcer) = running(&config);
    let aggregate: IpNet = "203.0.113.0/24".parse().unwrap();
    let mut judge = |name: &str, verdict| {
        services.judge(&ServiceName::new(name).unwrap(), verdict);
        let changed = services.take_changed();
        let changes = announcer.update(&services, changed);
        let told = changes.get(&aggregate).map(|to| {
            let said = to.peers.values().map(|said| said.local_pref);
            said.collect::<Vec<_>>()
        });
        (told, announcer.announcements().contains_key(&aggregate))
    };
    assert_eq!(
        judge("dns", Verdict::Unhealthy),
        (Some(vec![Some(100)]), true)
    );
    assert_eq!(judge("web", Verdict::Unhealthy), (Some(vec![]), false));
    assert_eq!(
        judge("dns", Verdict::Healthy),
        (Some(vec![Some(200)]), true)
    );
    assert_eq!(judge("dns", Verdict::Healthy), (None, true));
}

#[test]
fn a_route_goes_before_an_aggregate_of_the_same_prefix() {
    let config = config(
        r#"
        [[advertisement]]
        peers = ["a"]
        aggregation-length = 24
        [[route]]
        prefix = "203.0.113.0/24"
        med = 7
        "#,
    );
    assert_eq!(said(&config)[0], "203.0.113.0/24 to a: {med:7}");
    let (mut services, mut announcer) = running(&config);
    services.remove_route(&"203.0.113.0/24".parse().unwrap());
    let changed = services.take_changed();
    let changes = announcer.update(&services, changed);
    let said: Vec<_> = changes.values().flat_map(|to| to.peers.values()).collect();
    assert_eq!(said[0].multi_exit_disc, None, "the aggregate was behind it");
}

#[test]
fn a_service_about_which_advertisements_disagree_is_not_announced() {
    let config = config(
        r#"
        [[advertisement]]
        name = "one"
        services = ["late"]
        local-pref = 100
        [[advertisement]]
        name = "other"
        local-pref = 200
        "#,
    );
    let (mut services, mut announcer) = running(&config);
    let late = ServiceName::new("late").unwrap();
    let address: IpAddr = "203.0.113.9".parse().unwrap();
    let conflict = announcer.conflict(&late, [address]).unwrap();
    assert_eq!(
        config.explain(&conflict),
        "[[advertisement]] \"one\" and \"other\" both fit it at peer a, and differ in local-pref; \
         it must be the same in both, or be said in one of them only"
    );
    let spec = Arc::new(ServiceConfig {
        addresses: [address].into(),
        ..ServiceConfig::default()
    });
    services.put(&late, Source::Api, spec);
    let changed = services.take_changed();
    assert_eq!(announcer.update(&services, changed).len(), 0);
    assert_eq!(announcer.conflicts()[&address], conflict);
    services.remove(&late);
    let changed = services.take_changed();
    announcer.update(&services, changed);
    assert!(announcer.conflicts().is_empty());
}

#[test]
fn pools_are_matched_by_address_be_it_assigned_or_fixed() {
    let config = config(
        r#"
        [[pool]]
        name = "public"
        addresses = ["203.0.113.0/30"]
        [[pool]]
        name = "inside"
        addresses = ["10.0.0.0/24"]
        [[advertisement]]
        pools = ["public"]
        peers = ["a"]
        communities = ["64520:1"]
        [[advertisement]]
        pools = ["public", "inside"]
        services = ["dns", "late"]
        peers = ["a"]
        med = 5
        "#,
    );
    assert_eq!(
        said(&config),
        [
            "203.0.113.1/32 to a: {communities:[64520:1]}",
            "203.0.113.2/32 to a: {med:5,communities:[64520:1]}",
        ]
    );
    let (mut services, mut announcer) = running(&config);
    let late = ServiceName::new("late").unwrap();
    services.put(&late, Source::Api, Arc::default());
    for (address, med) in [("10.0.0.9", Some(5)), ("10.1.0.9", None)] {
        services.assign(&late, [address.parse().unwrap()].into());
        let changed = services.take_changed();
        let changes = announcer.update(&services, changed);
        let prefix = IpNet::from(address.parse::<IpAddr>().unwrap());
        let told = changes.get(&prefix).map(|to| to.peers["a"].multi_exit_disc);
        assert_eq!(told.flatten(), med, "{address}");
    }
}

fn running(config: &Config) -> (Services, Announcer) {
    let mut services = Services::new(config, &Additions::default());
    services.take_changed();
    let announcer = Announcer::new(Arc::new(config.clone()), &services);
    (services, announcer)
}

/// Something that happens to services and routes.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Put(u8, [u8; 2]),
    Remove(u8),
    Judge(u8, bool),
    PutRoute(u8, u8),
    RemoveRoute(u8),
    Carried,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (0..6_u8, any::<[u8; 2]>())
            .prop_map(|(name, ips)| Happening::Put(name, ips.map(|ip| ip % 12))),
        (0..6_u8).prop_map(Happening::Remove),
        (0..6_u8, any::<bool>()).prop_map(|(name, well)| Happening::Judge(name, well)),
        (0..4_u8, 0..3_u8).prop_map(|(prefix, med)| Happening::PutRoute(prefix, med)),
        (0..4_u8).prop_map(Happening::RemoveRoute),
        Just(Happening::Carried),
    ];
    proptest::collection::vec(one, 1..60)
}

fn depending_on(path: Option<&str>, addresses: BTreeSet<IpAddr>) -> ServiceConfig {
    let health = path.map(|path| HealthConfig {
        check: None,
        bfd: BfdName::new(path),
    });
    ServiceConfig {
        addresses,
        health,
        ..ServiceConfig::default()
    }
}

/// What depends on one path only goes with that, without anybody being asked.
#[test]
fn an_aggregate_depends_on_the_path_that_all_its_members_depend_on() {
    let config = config("[[advertisement]]\naggregation-length = 24\n");
    let (mut services, mut announcer) = running(&config);
    let aggregate: IpNet = "198.51.100.0/24".parse().unwrap();
    let mut path_after = |change: &dyn Fn(&mut Services)| {
        change(&mut services);
        let changed = services.take_changed();
        let changes = announcer.update(&services, changed);
        let change = changes.get(&aggregate);
        change.map(|change| change.path.as_ref().map(ToString::to_string))
    };
    let put = |name: &'static str, address: &'static str, path: Option<&'static str>| {
        move |services: &mut Services| {
            let spec = depending_on(path, [address.parse().unwrap()].into());
            let name = ServiceName::new(name).unwrap();
            services.put(&name, Source::Api, Arc::new(spec));
        }
    };
    let judge = |name: &'static str, verdict| {
        move |services: &mut Services| services.judge(&ServiceName::new(name).unwrap(), verdict)
    };
    let one = Some(Some("one".to_owned()));
    assert_eq!(path_after(&put("s1", "198.51.100.1", Some("one"))), one);
    assert_eq!(path_after(&put("s2", "198.51.100.2", Some("one"))), None);
    assert_eq!(
        path_after(&put("s3", "198.51.100.3", Some("other"))),
        Some(None)
    );
    assert_eq!(path_after(&judge("s3", Verdict::Unhealthy)), one);
    assert_eq!(path_after(&put("s2", "198.51.100.2", None)), Some(None));
    assert_eq!(path_after(&judge("s1", Verdict::Unhealthy)), None);
}

fn happen(services: &mut Services, happening: Happening) {
    let name = |number: u8| ServiceName::new(&format!("s{number}")).unwrap();
    let prefix = |number: u8| -> IpNet { format!("10.0.{number}.0/24").parse().unwrap() };
    match happening {
        Happening::Put(number, ips) => {
            // Addresses of others are refused before they come here.
            let addresses = ips.map(|ip| IpAddr::from([10, 0, ip % 3, ip]));
            let is_free = |ip: &IpAddr| services.user(*ip).is_none_or(|user| *user == name(number));
            let addresses = addresses.into_iter().filter(is_free).collect();
            let paths = [None, Some("one"), Some("other")];
            let path = paths[usize::from(ips[1] % 3)];
            let spec = Arc::new(depending_on(path, addresses));
            services.put(&name(number), Source::Api, spec);
        }
        Happening::Remove(number) => drop(services.remove(&name(number))),
        Happening::Judge(number, well) => {
            let verdict = if well {
                Verdict::Healthy
            } else {
                Verdict::Unhealthy
            };
            services.judge(&name(number), verdict);
        }
        Happening::PutRoute(number, med) => {
            let mut route = RouteConfig::default();
            route.attributes.multi_exit_disc = Some(med.into());
            services.put_route(prefix(number), Source::Api, Arc::new(route));
        }
        Happening::RemoveRoute(number) => drop(services.remove_route(&prefix(number))),
        Happening::Carried => {}
    }
}

proptest! {
    /// Whatever happens, in whatever portions it is carried over: what is announced is what would be
    /// announced had everything been so from the start, and the differences lead there.
    #[test]
    fn differences_add_up_to_the_whole(happenings in happenings()) {
        let config = config(
            r#"
            [[advertisement]]
            services = ["s0", "s1", "s2"]
            aggregation-length = 24
            communities = ["64520:1"]
            [[advertisement]]
            services = ["s1", "s2", "s3"]
            aggregation-length = 24
            local-pref = 200
            peers = ["a"]
            [[advertisement]]
            services = ["s1", "s3", "s4", "web"]
            med = 5
            [[advertisement]]
            services = ["s4"]
            med = 6
            "#,
        );
        let (mut services, mut announcer) = running(&config);
        let mut told = BTreeMap::new();
        let mut tell = |changes: BTreeMap<IpNet, RouteChange>| {
            for (prefix, to) in changes {
                told.insert(prefix, to);
            }
            told.retain(|_, to: &mut RouteChange| !to.peers.is_empty());
            told.clone()
        };
        let whole = |announcements: &Announcements| -> BTreeMap<IpNet, RouteChange> {
            let all = announcements.iter().filter(|(_, it)| !it.peers.is_empty());
            all.map(|(prefix, it)| (*prefix, it.as_change())).collect()
        };
        tell(whole(announcer.announcements()));
        for happening in happenings.into_iter().chain([Happening::Carried]) {
            happen(&mut services, happening);
            if matches!(happening, Happening::Carried) {
                let changed = services.take_changed();
                let told = tell(announcer.update(&services, changed));
                let anew = Announcer::new(Arc::new(config.clone()), &services);
                prop_assert_eq!(announcer.announcements(), anew.announcements());
                prop_assert_eq!(announcer.conflicts(), anew.conflicts());
                prop_assert_eq!(told, whole(anew.announcements()));
            }
        }
    }
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
    let announced = announced(&config(""), &additions);
    let source = announced[&"10.0.0.0/8".parse::<IpNet>().unwrap()].route;
    assert_eq!(source, Some(Source::Api));
}

#[test]
fn a_hundred_thousand_routes_to_sixty_four_peers_are_held_once() {
    let peers = (1..=62).map(|number| {
        format!("[[peer]]\nname = \"p{number}\"\naddress = \"192.0.2.1{number:02}\"\n")
    });
    let config = config(&peers.collect::<String>());
    let route = |number: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0B00_0000 + number);
        (IpNet::from(IpAddr::from(address)), Default::default())
    };
    let additions = Additions {
        routes: (0..100_000).map(route).collect(),
        ..Additions::default()
    };
    let announced = announced(&config, &additions);
    let mut addressees: Vec<_> = announced
        .values()
        .map(|announcement| Arc::as_ptr(&announcement.peers))
        .collect();
    addressees.sort();
    addressees.dedup();
    assert_eq!(addressees.len(), 2, "one for each family");
    let told = routes(&config, &announced);
    let mut maps: Vec<_> = told.values().map(Arc::as_ptr).collect();
    maps.sort();
    maps.dedup();
    assert_eq!(
        (told.len(), maps.len()),
        (64, 2),
        "one for \"b\", one for the others"
    );
    assert_eq!(told["p62"].len(), 100_003);
}

/// A verdict that only one of them is told would part them again, at the cost of all routes.
#[test]
fn peers_that_are_told_the_same_by_chance_share_nothing() {
    let config = config(
        r#"
        [[peer]]
        name = "c"
        address = "192.0.2.3"
        [[peer]]
        name = "d"
        address = "192.0.2.4"
        [[advertisement]]
        services = ["web"]
        [[advertisement]]
        services = ["dns"]
        peers = ["c"]
        "#,
    );
    let (mut services, _) = running(&config);
    services.judge(&ServiceName::new("dns").unwrap(), Verdict::Unhealthy);
    let announcer = Announcer::new(Arc::new(config.clone()), &services);
    let routes = routes(&config, announcer.announcements());
    assert_eq!(routes["a"], routes["c"]);
    assert!(!Arc::ptr_eq(&routes["a"], &routes["c"]));
    assert!(Arc::ptr_eq(&routes["a"], &routes["d"]));
}

#[test]
fn a_peer_that_comes_or_goes_changes_nothing_for_the_others() {
    let with = r#"
        [[route]]
        prefix = "198.51.100.0/24"
        peers = ["a", "c"]
        [[advertisement]]
        services = ["web"]
        [[advertisement]]
        services = ["dns"]
        peers = ["a", "c", "d"]
        [[peer]]
        name = "c"
        address = "192.0.2.3"
        [[peer]]
        name = "d"
        address = "192.0.2.4"
        "#;
    let all = config(with);
    let mut fewer = all.clone();
    fewer.peers.remove("c");
    let services = Services::new(&all, &Additions::default());
    let anew = |config: &Config| Announcer::new(Arc::new(config.clone()), &services);
    let mut announcer = anew(&fewer);
    announcer.set_peers(&Arc::new(all.clone()), &services);
    assert_eq!(announcer.announcements(), anew(&all).announcements());
    let c = PeerName::new("c").unwrap();
    let (told, fellows) = routes_of(&all, announcer.announcements(), &c);
    assert_eq!(told, routes(&all, announcer.announcements())["c"]);
    assert_eq!(fellows, [PeerName::new("a").unwrap()]);
    announcer.set_peers(&Arc::new(fewer.clone()), &services);
    assert_eq!(announcer.announcements(), anew(&fewer).announcements());
}

#[test]
fn equal_attributes_and_equal_routes_are_shared() {
    let config = config("[[peer]]\nname = \"c\"\naddress = \"192.0.2.3\"\n");
    let routes = routes(&config, &announced(&config, &Additions::default()));
    assert!(Arc::ptr_eq(&routes["a"], &routes["c"]));
    let mut attributes = routes["a"].values();
    let first = attributes.next().unwrap();
    assert!(attributes.all(|other| Arc::ptr_eq(first, other)));
}
