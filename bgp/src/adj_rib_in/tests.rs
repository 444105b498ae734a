use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::types::{Community, Origin};
use crate::wire::{AsPath, MpNextHop, MpUnreach};

const ROOM: AdjRibInLimit = AdjRibInLimit {
    routes: 1000,
    attribute_octets: 10_000,
};

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn attributes(med: u32) -> Vec<Attribute> {
    vec![
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::sequence(&[64521, 4_200_000_000])),
        Attribute::NextHop(Ipv4Addr::new(192, 0, 2, 1)),
        Attribute::MultiExitDisc(med),
    ]
}

fn announce(rib: &mut AdjRibIn, limit: AdjRibInLimit, prefixes: &[&str], med: u32) {
    let routes = prefixes.iter().map(|text| (prefix(text), None));
    rib.announce(limit, routes, &attributes(med));
}

fn held(rib: &AdjRibIn) -> Vec<String> {
    let routes = rib.routes().into_iter();
    routes.map(|route| route.prefix.to_string()).collect()
}

#[test]
fn what_was_announced_and_not_withdrawn_is_there_as_it_came() {
    let mut rib = AdjRibIn::default();
    announce(&mut rib, ROOM, &["192.0.2.0/24", "198.51.100.0/24"], 1);
    announce(&mut rib, ROOM, &["192.0.2.0/24"], 2);
    rib.withdraw(prefix("198.51.100.0/24"), None);
    let [route] = &rib.routes()[..] else {
        panic!("one route")
    };
    assert_eq!(route.prefix, prefix("192.0.2.0/24"));
    assert_eq!(route.attributes.decode(), attributes(2));
    assert_eq!(rib.attributes.len(), 1);
}

#[test]
fn a_next_hop_of_ipv6_is_kept_without_its_prefixes() {
    let next_hop =
        MpNextHop::V6WithLinkLocal("2001:db8::1".parse().unwrap(), "fe80::1".parse().unwrap());
    let reach = |nlri: Vec<ipnet::Ipv6Net>| {
        let nlri = Prefixes::V6(nlri);
        Attribute::MpReach(Box::new(MpReach::new(next_hop, nlri)))
    };
    let unreach = Attribute::MpUnreach(Box::new(MpUnreach::new(Prefixes::V6(vec![
        "2001:db8:9::/48".parse().unwrap(),
    ]))));
    let came = [
        reach(vec!["2001:db8:5::/48".parse().unwrap()]),
        unreach,
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::EMPTY),
        Attribute::LocalPref(200),
    ];
    let mut rib = AdjRibIn::default();
    let route = (prefix("2001:db8:5::/48"), None);
    rib.announce(ROOM, [route].into_iter(), &came);
    let expected = [
        reach(Vec::new()),
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::EMPTY),
        Attribute::LocalPref(200),
    ];
    assert_eq!(rib.routes()[0].attributes.decode(), expected);
}

#[test]
fn c_099_withdrawing_what_is_not_there_is_nothing() {
    let mut rib = AdjRibIn::default();
    rib.withdraw(prefix("192.0.2.0/24"), None);
    announce(&mut rib, ROOM, &["192.0.2.0/24"], 1);
    rib.withdraw(prefix("192.0.2.0/25"), None);
    rib.withdraw(prefix("192.0.2.0/24"), Some(1));
    rib.withdraw(prefix("2001:db8::/32"), None);
    assert_eq!(held(&rib), ["192.0.2.0/24"]);
}

#[test]
fn no_more_routes_than_allowed_and_the_others_are_counted() {
    let limit = AdjRibInLimit { routes: 2, ..ROOM };
    let mut rib = AdjRibIn::default();
    announce(
        &mut rib,
        limit,
        &["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"],
        1,
    );
    announce(&mut rib, limit, &["10.0.0.0/8"], 2);
    assert_eq!(held(&rib), ["10.0.0.0/8", "11.0.0.0/8"]);
    assert_eq!(rib.held(Family::IPV4_UNICAST).not_kept, 1);
    rib.withdraw(prefix("11.0.0.0/8"), None);
    announce(&mut rib, limit, &["13.0.0.0/8"], 1);
    assert_eq!(held(&rib), ["10.0.0.0/8", "13.0.0.0/8"]);
}

#[test]
fn no_more_attributes_than_allowed_and_what_is_not_so_any_more_is_gone() {
    let one = ReceivedAttributes::new(&attributes(1)).octets();
    let limit = AdjRibInLimit {
        attribute_octets: one,
        ..ROOM
    };
    let mut rib = AdjRibIn::default();
    announce(&mut rib, limit, &["10.0.0.0/8", "11.0.0.0/8"], 1);
    announce(&mut rib, limit, &["11.0.0.0/8"], 2);
    assert_eq!(held(&rib), ["10.0.0.0/8"]);
    assert_eq!(rib.held(Family::IPV4_UNICAST).not_kept, 1);
    assert_eq!(rib.attribute_octets, one);
}

#[test]
fn who_looks_takes_no_room() {
    let mut rib = AdjRibIn::default();
    announce(&mut rib, ROOM, &["10.0.0.0/8"], 1);
    let looked_at = rib.routes();
    rib.withdraw(prefix("10.0.0.0/8"), None);
    drop(looked_at);
    assert_eq!((rib.attributes.len(), rib.attribute_octets), (0, 0));
}

#[test]
fn what_is_not_announced_again_is_swept() {
    let mut rib = AdjRibIn::default();
    announce(
        &mut rib,
        ROOM,
        &["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"],
        1,
    );
    announce(&mut rib, ROOM, &["2001:db8::/32"], 1);
    rib.mark_stale(Family::IPV4_UNICAST);
    announce(&mut rib, ROOM, &["11.0.0.0/8"], 1);
    rib.withdraw(prefix("12.0.0.0/8"), None);
    assert_eq!(rib.held(Family::IPV4_UNICAST).stale, 1);
    assert!(rib.routes()[0].stale && !rib.routes()[1].stale);
    assert_eq!(rib.sweep_stale(Family::IPV4_UNICAST), 1);
    assert_eq!(rib.sweep_stale(Family::IPV4_UNICAST), 0);
    assert_eq!(held(&rib), ["11.0.0.0/8", "2001:db8::/32"]);
}

fn with_mark(attributes: &[Attribute]) -> Vec<Attribute> {
    let [Attribute::Communities(communities)] = attributes else {
        panic!("communities: {attributes:?}");
    };
    let mark = [Community::LLGR_STALE];
    vec![Attribute::Communities([&communities[..], &mark].concat())]
}

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Op {
    Announce(Vec<u8>, Option<u32>, u8),
    Withdraw(u8, Option<u32>),
    MarkStale,
    MarkLongLived,
    Sweep,
    /// Somebody looks, and takes a while.
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    let path_id = || prop::option::of(0u32..3);
    prop_oneof![
        8 => (prop::collection::vec(0u8..20, 1..6), path_id(), 0u8..8)
            .prop_map(|(prefixes, path_id, set)| Op::Announce(prefixes, path_id, set)),
        4 => (0u8..20, path_id()).prop_map(|(prefix, path_id)| Op::Withdraw(prefix, path_id)),
        1 => Just(Op::MarkStale),
        1 => Just(Op::MarkLongLived),
        1 => Just(Op::Sweep),
        2 => Just(Op::Look),
    ]
}

proptest! {
    /// The counts are those of what is there, and what is there is what was said last.
    #[test]
    fn whatever_comes_it_holds_the_last_word_within_its_limits(
        ops in prop::collection::vec(op(), 1..80),
        routes in 1usize..30,
        octets in 20usize..200,
    ) {
        let limit = AdjRibInLimit { routes, attribute_octets: octets };
        let net = |octet: u8| IpNet::from(std::net::IpAddr::from([10, 0, 0, octet]));
        let mut rib = AdjRibIn::default();
        let mut looked_at = Vec::new();
        let mut said: BTreeMap<(IpNet, Option<u32>), Vec<Attribute>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Announce(octets, path_id, set) => {
                    let community = Community(u32::from(set));
                    let attributes = vec![Attribute::Communities(vec![community; 1 + usize::from(set)])];
                    let keys = octets.iter().map(|octet| (net(*octet), path_id));
                    said.extend(keys.clone().map(|key| (key, attributes.clone())));
                    rib.announce(limit, keys, &attributes);
                }
                Op::Withdraw(octet, path_id) => {
                    said.remove(&(net(octet), path_id));
                    rib.withdraw(net(octet), path_id);
                }
                Op::MarkStale => rib.mark_stale(Family::IPV4_UNICAST),
                Op::MarkLongLived => rib.mark_long_lived_stale(Family::IPV4_UNICAST),
                Op::Sweep => {
                    rib.sweep_stale(Family::IPV4_UNICAST);
                }
                Op::Look => looked_at.push(rib.routes()),
            }
            let held = rib.held(Family::IPV4_UNICAST);
            let all = rib.routes();
            for route in &all {
                let last = said.get(&(route.prefix, route.path_id)).cloned();
                let last = match route.long_lived_stale {
                    true => last.map(|last| with_mark(&last)),
                    false => last,
                };
                prop_assert_eq!(Some(route.attributes.decode()), last);
            }
            let prefixes: BTreeSet<IpNet> = all.iter().map(|route| route.prefix).collect();
            let entries = rib.families.values().flat_map(|family| family.routes.values());
            let sets: BTreeSet<&ReceivedAttributes> = entries.map(|entry| &entry.attributes).collect();
            prop_assert!(all.len() <= limit.routes && rib.attribute_octets <= limit.attribute_octets);
            prop_assert_eq!(held.routes, all.len());
            prop_assert_eq!(held.prefixes, prefixes.len());
            prop_assert_eq!(held.stale, all.iter().filter(|route| route.stale).count());
            let long_lived = all.iter().filter(|route| route.long_lived_stale);
            prop_assert_eq!(held.long_lived_stale, long_lived.count());
            prop_assert_eq!(rib.attributes.len(), sets.len());
            prop_assert_eq!(
                rib.attribute_octets,
                sets.iter().map(|set| set.octets()).sum::<usize>()
            );
        }
        for route in rib.routes() {
            rib.withdraw(route.prefix, route.path_id);
        }
        prop_assert_eq!((rib.attributes.len(), rib.attribute_octets), (0, 0));
    }
}
