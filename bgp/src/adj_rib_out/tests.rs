use std::net::Ipv4Addr;
use std::sync::Arc;

use proptest::prelude::*;

use super::dialect::path_attributes;
use super::table::FAMILIES;
use super::*;
use crate::route::{AggregatedBy, RouteAttributes, UnknownAttribute};
use crate::types::{Asn, Community, ExtendedCommunity, Ipv6ExtendedCommunity};
use crate::wire::{Aggregator, AsPath, Attribute, MpNextHop, WireContext};
use crate::wire::{Framer, MAX_EXTENDED_LENGTH, MAX_LENGTH, Message, Update};

fn dialect() -> Dialect {
    Dialect {
        local_as: Asn::new(64520).unwrap(),
        wire: WireContext {
            four_octet_as: true,
            internal: false,
            path_ids_v4: false,
            path_ids_v6: false,
        },
        limit: MAX_LENGTH,
        next_hop_v4: Some([192, 0, 2, 71].into()),
        next_hop_v6: Some(MpNextHop::V6("2001:db8::71".parse().unwrap())),
        extended_next_hop: false,
        only_to_customer: None,
        graceful_shutdown: false,
        add_path: Vec::new(),
        families: vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST],
    }
}

fn established(wanted: Routes) -> AdjRibOut {
    let mut rib = AdjRibOut::default();
    rib.set_routes(&wanted);
    rib.begin(dialect());
    rib
}

fn routes(prefixes: &[&str]) -> Routes {
    let attributes = Arc::new(RouteAttributes::default());
    prefixes
        .iter()
        .map(|prefix| (prefix.parse().unwrap(), Arc::clone(&attributes)))
        .collect()
}

/// Hosts of 10/8, `count` of them.
fn many(count: u32) -> Routes {
    let attributes = Arc::new(RouteAttributes::default());
    let prefix = |index| IpNet::new(Ipv4Addr::from_bits(0x0A00_0000 + index).into(), 32).unwrap();
    (0..count)
        .map(|index| (prefix(index), Arc::clone(&attributes)))
        .collect()
}

#[test]
fn the_routes_of_a_table_are_gathered_once_for_all_who_look() {
    let table = Table::default();
    table.set_routes(&routes(&["192.0.2.1/32", "2001:db8::1/128"]));
    let first = table.routes();
    assert!(Arc::ptr_eq(&first, &table.routes()));
    table.withdraw(&"192.0.2.1/32".parse().unwrap());
    assert_eq!(*table.routes(), routes(&["2001:db8::1/128"]));
    table.announce("192.0.2.2/32".parse().unwrap(), Arc::default());
    assert_eq!(
        *table.routes(),
        routes(&["192.0.2.2/32", "2001:db8::1/128"])
    );
}

fn drain(rib: &mut AdjRibOut) -> Vec<Update> {
    drain_as(rib, dialect().wire)
}

/// For a neighbor that reads it so.
fn drain_as(rib: &mut AdjRibOut, wire: WireContext) -> Vec<Update> {
    let mut out = BytesMut::new();
    while rib.next_update(&mut out) != Ok(false) {}
    let mut framer = Framer::default();
    framer.push(&out);
    let mut updates = Vec::new();
    while let Some((kind, body)) = framer.next_message(MAX_EXTENDED_LENGTH).unwrap() {
        match Message::decode(kind, body, wire).unwrap() {
            Message::Update(update) => updates.push(update),
            other => panic!("{other:?}"),
        }
    }
    updates
}

fn words(updates: &[Update]) -> Vec<String> {
    let describe = |update: &Update| {
        let announced = update.announced().map(|prefix| format!("+{prefix}"));
        let withdrawn = update.withdrawn().map(|prefix| format!("-{prefix}"));
        let end_of_rib = update.end_of_rib().map(|family| format!("end {family}"));
        announced
            .chain(withdrawn)
            .chain(end_of_rib)
            .collect::<Vec<_>>()
            .join(" ")
    };
    updates.iter().map(describe).collect()
}

#[test]
fn c_078_end_of_rib_follows_the_first_routes_of_both_families() {
    let mut rib = established(routes(&["192.0.2.150/32", "2001:db8:5::1/128"]));
    assert_eq!(
        words(&drain(&mut rib)),
        [
            "+192.0.2.150/32",
            "+2001:db8:5::1/128",
            "end ipv4-unicast",
            "end ipv6-unicast"
        ]
    );
    assert_eq!(drain(&mut rib), []);
}

#[test]
fn c_060_mp_reach_first_then_ascending() {
    let attributes = RouteAttributes {
        multi_exit_disc: Some(5),
        communities: vec![
            Community::NO_EXPORT,
            Community::new(1, 1),
            Community::NO_EXPORT,
        ],
        ..RouteAttributes::default()
    };
    let mut rib =
        established([("2001:db8:5::1/128".parse().unwrap(), Arc::new(attributes))].into());
    let updates = drain(&mut rib);
    assert_eq!(
        updates[0]
            .attributes
            .iter()
            .map(Attribute::code)
            .collect::<Vec<_>>(),
        [14, 1, 2, 4, 8]
    );
    // C-086: sorted, without duplicates.
    assert_eq!(
        updates[0].attributes[4],
        Attribute::Communities(vec![Community::new(1, 1), Community::NO_EXPORT])
    );
}

#[test]
fn c_067_external_and_internal_peers_hear_different_attributes() {
    let route = RouteAttributes {
        as_path_prepend: 2,
        local_pref: Some(200),
        ..RouteAttributes::default()
    };
    let external = path_attributes(Family::IPV4_UNICAST, &route, &dialect());
    assert!(external.contains(&Attribute::AsPath(AsPath::sequence(&[64520; 3]))));
    assert!(!external.contains(&Attribute::LocalPref(200)));
    let mut to_internal = dialect();
    to_internal.wire.internal = true;
    let internal = path_attributes(Family::IPV4_UNICAST, &route, &to_internal);
    assert!(internal.contains(&Attribute::AsPath(AsPath::default())));
    assert!(internal.contains(&Attribute::LocalPref(200)));
}

#[test]
fn c_064_two_octet_neighbor_hears_as_trans_and_as4_path() {
    let mut two_octets = dialect();
    two_octets.wire.four_octet_as = false;
    let code = Attribute::code;
    let small = path_attributes(
        Family::IPV4_UNICAST,
        &RouteAttributes::default(),
        &two_octets,
    );
    assert_eq!(small.iter().map(code).collect::<Vec<_>>(), [1, 2, 3]);
    two_octets.local_as = Asn::new(4_200_000_000).unwrap();
    let large = path_attributes(
        Family::IPV4_UNICAST,
        &RouteAttributes::default(),
        &two_octets,
    );
    assert_eq!(large.iter().map(code).collect::<Vec<_>>(), [1, 2, 3, 17]);
}

#[test]
fn c_079_updates_are_full_and_never_too_long() {
    let mut rib = established(many(2000));
    let mut lengths = Vec::new();
    let mut out = BytesMut::new();
    while rib.next_update(&mut out).unwrap() {
        lengths.push(out.len());
        out.clear();
    }
    assert_eq!(
        lengths.len(),
        3 + 2,
        "three UPDATEs and two End-of-RIBs: {lengths:?}"
    );
    assert!(lengths.iter().all(|length| *length <= MAX_LENGTH));
    assert!(lengths[0] > MAX_LENGTH - 60);
}

#[test]
fn c_079_attributes_that_no_message_can_hold() {
    let huge = RouteAttributes {
        communities: (0..1100).map(Community).collect(),
        ..RouteAttributes::default()
    };
    let prefix = "192.0.2.1/32".parse().unwrap();
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    rib.set_routes(&[(prefix, Arc::new(huge))].into());
    let mut out = BytesMut::new();
    assert_eq!(rib.next_update(&mut out), Err(Unsendable { prefix }));
    assert!(out.is_empty());
    assert_eq!(
        words(&drain(&mut rib)),
        ["-192.0.2.1/32"],
        "the neighbor keeps nothing that is not wanted"
    );
}

#[test]
fn c_080_withdrawals_do_not_wait_behind_announcements() {
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    rib.set_routes(&many(5000));
    assert_eq!(words(&drain(&mut rib))[0], "-192.0.2.1/32");
}

#[test]
fn c_080_a_change_of_mind_before_it_is_sent_costs_nothing() {
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    rib.table
        .set_routes(&routes(&["192.0.2.1/32", "192.0.2.2/32"]));
    rib.set_routes(&routes(&["192.0.2.1/32"]));
    rib.set_routes(&Routes::new());
    rib.set_routes(&routes(&["192.0.2.1/32"]));
    assert_eq!(drain(&mut rib), []);
}

#[test]
fn a_changed_attribute_is_announced_without_a_withdrawal() {
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    let changed = RouteAttributes {
        multi_exit_disc: Some(1),
        ..RouteAttributes::default()
    };
    rib.table
        .set_routes(&[("192.0.2.1/32".parse().unwrap(), Arc::new(changed))].into());
    assert_eq!(words(&drain(&mut rib)), ["+192.0.2.1/32"]);
}

#[test]
fn route_refresh_sends_one_family_again() {
    let mut rib = established(routes(&["192.0.2.1/32", "2001:db8:5::1/128"]));
    drain(&mut rib);
    rib.refresh(Family::IPV6_UNICAST);
    assert_eq!(words(&drain(&mut rib)), ["+2001:db8:5::1/128"]);
}

#[test]
fn however_often_a_neighbor_asks_it_gets_everything_once_more() {
    let hosts = |count: u32| (0..count).map(|host| (host_route(host), Arc::default()));
    let mut rib = established(hosts(10_000).collect());
    let first = words(&drain(&mut rib));
    // Each a walk through the table, these would take minutes.
    for _ in 0..100_000 {
        rib.refresh(Family::IPV4_UNICAST);
    }
    let again = words(&drain(&mut rib));
    let announced = first.iter().filter(|word| word.starts_with('+'));
    assert!(again.iter().eq(announced));
    assert_eq!(drain(&mut rib), []);
}

fn host_route(host: u32) -> IpNet {
    let address = Ipv4Addr::from_bits(0x0A00_0000 | host);
    IpAddr::from(address).into()
}

#[test]
fn a_refresh_outlives_a_change_of_table() {
    let mut rib = established(routes(&["192.0.2.1/32", "2001:db8:5::1/128"]));
    drain(&mut rib);
    rib.refresh(Family::IPV6_UNICAST);
    let table = Table::default();
    table.set_routes(&routes(&["192.0.2.1/32", "2001:db8:5::1/128"]));
    rib.set_table(table);
    assert_eq!(words(&drain(&mut rib)), ["+2001:db8:5::1/128"]);
}

#[test]
fn a_family_without_next_hop_is_not_announced() {
    let mut rib = AdjRibOut::default();
    rib.table
        .set_routes(&routes(&["192.0.2.1/32", "2001:db8:5::1/128"]));
    rib.begin(Dialect {
        next_hop_v6: None,
        ..dialect()
    });
    assert_eq!(
        words(&drain(&mut rib)),
        ["+192.0.2.1/32", "end ipv4-unicast", "end ipv6-unicast"]
    );
    rib.set_dialect(dialect());
    assert_eq!(
        words(&drain(&mut rib)),
        ["+192.0.2.1/32", "+2001:db8:5::1/128"]
    );
    rib.set_dialect(Dialect {
        next_hop_v6: None,
        ..dialect()
    });
    assert_eq!(
        words(&drain(&mut rib)),
        ["-2001:db8:5::1/128", "+192.0.2.1/32"]
    );
}

#[test]
fn a_new_session_starts_from_nothing() {
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    rib.end();
    assert_eq!(drain(&mut rib), []);
    rib.set_routes(&routes(&["192.0.2.2/32"]));
    rib.begin(dialect());
    assert_eq!(words(&drain(&mut rib))[0], "+192.0.2.2/32");
}

/// Octets of every UPDATE that is due, as they are.
fn octets(rib: &mut AdjRibOut) -> BytesMut {
    let mut out = BytesMut::new();
    while rib.next_update(&mut out) != Ok(false) {}
    out
}

fn sharing(table: &Table) -> AdjRibOut {
    let mut rib = AdjRibOut::default();
    rib.set_table(table.clone());
    rib.begin(dialect());
    rib
}

#[test]
fn a_table_says_whether_anything_has_changed() {
    let table = Table::default();
    let prefix = "192.0.2.1/32".parse().unwrap();
    assert!(!table.withdraw(&prefix));
    assert!(table.announce(prefix, Arc::default()));
    assert!(!table.announce(prefix, Arc::default()));
    let other = RouteAttributes {
        multi_exit_disc: Some(7),
        ..RouteAttributes::default()
    };
    assert!(table.announce(prefix, Arc::new(other)));
    assert!(table.withdraw(&prefix));
    assert!(!table.withdraw(&prefix));
}

#[test]
fn sessions_that_share_a_table_say_the_same_at_their_own_pace() {
    let table = Table::default();
    table.set_routes(&many(2000));
    let (mut fast, mut slow) = (sharing(&table), sharing(&table));
    let first = octets(&mut fast);
    let mut out = BytesMut::new();
    assert_eq!(slow.next_update(&mut out), Ok(true));
    table.withdraw(&"10.0.0.1/32".parse().unwrap());
    table.withdraw(&"10.0.7.0/32".parse().unwrap());
    table.announce("192.0.2.1/32".parse().unwrap(), Arc::default());
    assert_eq!(
        words(&drain(&mut fast)),
        ["-10.0.0.1/32 -10.0.7.0/32", "+192.0.2.1/32"]
    );
    let rest = words(&drain(&mut slow));
    assert_eq!(rest[0], "-10.0.0.1/32", "the other was never said");
    assert!(!rest.iter().any(|words| words.contains("+10.0.7.0/32 ")));
    assert!(rest.iter().any(|words| words.contains("192.0.2.1/32")));
    assert_eq!(fast.advertised(), slow.advertised());
    assert_eq!(sharing(&table).advertised().len(), 0);
    assert!(first.len() > out.len());
}

#[test]
fn a_table_that_all_have_keeps_nothing_for_them() {
    let table = Table::default();
    table.set_routes(&many(2000));
    let (mut one, mut other) = (sharing(&table), sharing(&table));
    octets(&mut one);
    table.set_routes(&routes(&["192.0.2.1/32"]));
    octets(&mut one);
    assert!(table.lock().keeps_anything());
    octets(&mut other);
    assert!(!table.lock().keeps_anything());
    drop((one, other));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_session_that_changes_tables_sends_the_difference() {
    let (one, other) = (Table::default(), Table::default());
    one.set_routes(&routes(&["192.0.2.1/32", "192.0.2.2/32"]));
    other.set_routes(&routes(&["192.0.2.2/32", "192.0.2.3/32"]));
    let mut rib = sharing(&one);
    drain(&mut rib);
    rib.set_table(other.clone());
    other.announce("192.0.2.4/32".parse().unwrap(), Arc::default());
    assert_eq!(
        words(&drain(&mut rib)),
        ["-192.0.2.1/32", "+192.0.2.3/32", "+192.0.2.4/32"]
    );
    rib.set_table(one);
    rib.set_table(other);
    rib.set_routes(&routes(&["192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"]));
    drain(&mut rib);
    assert_eq!(rib.advertised().len(), 3);
}

/// What can happen to two tables and the three sessions that read them.
#[derive(Clone, Debug)]
enum Operation {
    Announce(bool, u8, u32),
    Withdraw(bool, u8),
    Replace(bool, u8, u32),
    /// So many messages of one session are sent.
    Send(usize, u8),
    Begin(usize),
    End(usize),
    Switch(usize, bool),
    Refresh(usize, bool),
    NextHop(usize, u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    let med = 0..3u32;
    let who = 0..3usize;
    let prefix = 0..12u8;
    prop_oneof![
        4 => (any::<bool>(), prefix.clone(), med.clone()).prop_map(|(t, p, m)| Operation::Announce(t, p, m)),
        3 => (any::<bool>(), prefix.clone()).prop_map(|(t, p)| Operation::Withdraw(t, p)),
        1 => (any::<bool>(), prefix, med).prop_map(|(t, p, m)| Operation::Replace(t, p, m)),
        6 => (who.clone(), 0..4u8).prop_map(|(who, count)| Operation::Send(who, count)),
        1 => who.clone().prop_map(Operation::Begin),
        1 => who.clone().prop_map(Operation::End),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, to)| Operation::Switch(who, to)),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, family)| Operation::Refresh(who, family)),
        1 => (who, 0..3u8).prop_map(|(who, last)| Operation::NextHop(who, last)),
    ]
}

/// Even numbers are IPv4, odd ones IPv6.
fn prefix(number: u8) -> IpNet {
    match number % 2 {
        0 => format!("10.0.0.{number}/32").parse().unwrap(),
        _ => format!("2001:db8::{number}/128").parse().unwrap(),
    }
}

/// With up to two additional paths, of other MEDs.
fn with_med(med: u32) -> Arc<RouteAttributes> {
    let path = |med| RouteAttributes {
        multi_exit_disc: Some(med),
        ..RouteAttributes::default()
    };
    Arc::new(RouteAttributes {
        additional_paths: (0..med % 3)
            .map(|index| Arc::new(path(1000 * (index + 1))))
            .collect(),
        ..path(med)
    })
}

/// Room for a few prefixes only, so that there are many messages.
fn narrow(last: u8, several: bool) -> Dialect {
    let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    Dialect {
        limit: 130,
        add_path: families.into_iter().filter(|_| several).collect(),
        next_hop_v6: (last != 2).then(|| MpNextHop::V6(u128::from(last).into())),
        ..dialect()
    }
}

/// A session and its neighbor's table: prefixes and paths with their MED and next hop.
#[derive(Default)]
struct Neighbor {
    rib: AdjRibOut,
    /// It takes several paths to a prefix.
    several: bool,
    has: std::collections::BTreeMap<(IpNet, Option<u32>), (u32, String)>,
}

impl Neighbor {
    fn hear(&mut self, messages: usize) {
        let mut out = BytesMut::new();
        for _ in 0..messages {
            self.rib.next_update(&mut out).unwrap();
        }
        let mut framer = Framer::default();
        framer.push(&out);
        while let Some((kind, body)) = framer.next_message(MAX_LENGTH).unwrap() {
            let context = WireContext {
                path_ids_v4: self.several,
                path_ids_v6: self.several,
                ..dialect().wire
            };
            let Ok(Message::Update(update)) = Message::decode(kind, body, context) else {
                panic!("only UPDATEs");
            };
            assert_eq!(update.errors, []);
            let med = update
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    Attribute::MultiExitDisc(med) => Some(*med),
                    _ => None,
                });
            let next_hop = update
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    Attribute::NextHop(address) => Some(address.to_string()),
                    Attribute::MpReach(reach) => Some(format!("{:?}", reach.next_hop)),
                    _ => None,
                });
            for path in update.withdrawn_paths() {
                self.has.remove(&path);
            }
            for path in update.announced_paths() {
                self.has
                    .insert(path, (med.unwrap(), next_hop.clone().unwrap()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_each_neighbor_comes_to_have_its_table(
        operations in proptest::collection::vec(operation(), 1..80)
    ) {
        let tables = [Table::default(), Table::default()];
        let mut wanted = [Routes::new(), Routes::new()];
        let mut neighbors: [Neighbor; 3] = Default::default();
        neighbors[2].several = true;
        let mut reads = [0usize; 3];
        let mut next_hops = [None; 3];
        for neighbor in &mut neighbors {
            neighbor.rib.set_table(tables[0].clone());
        }
        for operation in operations {
            match operation {
                Operation::Announce(table, number, med) => {
                    tables[usize::from(table)].announce(prefix(number), with_med(med));
                    wanted[usize::from(table)].insert(prefix(number), with_med(med));
                }
                Operation::Withdraw(table, number) => {
                    tables[usize::from(table)].withdraw(&prefix(number));
                    wanted[usize::from(table)].remove(&prefix(number));
                }
                Operation::Replace(table, count, med) => {
                    let routes = (0..count).map(|number| (prefix(number), with_med(med))).collect();
                    tables[usize::from(table)].set_routes(&routes);
                    wanted[usize::from(table)] = routes;
                }
                Operation::Send(who, count) => neighbors[who].hear(count.into()),
                Operation::Begin(who) => {
                    neighbors[who].has.clear();
                    neighbors[who].rib.begin(narrow(0, who == 2));
                    next_hops[who] = Some(0);
                }
                Operation::End(who) => {
                    neighbors[who].has.clear();
                    neighbors[who].rib.end();
                    next_hops[who] = None;
                }
                Operation::Switch(who, to) => {
                    reads[who] = usize::from(to);
                    neighbors[who].rib.set_table(tables[usize::from(to)].clone());
                }
                Operation::Refresh(who, v6) => {
                    let family = if v6 { Family::IPV6_UNICAST } else { Family::IPV4_UNICAST };
                    neighbors[who].rib.refresh(family);
                }
                Operation::NextHop(who, last) => {
                    if next_hops[who].is_some() {
                        neighbors[who].rib.set_dialect(narrow(last, who == 2));
                        next_hops[who] = Some(last);
                    }
                }
            }
        }
        for (who, neighbor) in neighbors.iter_mut().enumerate() {
            neighbor.hear(200);
            let Some(last) = next_hops[who] else {
                prop_assert!(neighbor.has.is_empty());
                continue;
            };
            let speaks = |prefix: &IpNet| narrow(last, false).speaks(Family::of(prefix));
            let expected = wanted[reads[who]].iter().filter(|(prefix, _)| speaks(prefix));
            let several = neighbor.several;
            let expected = expected.flat_map(|(prefix, route)| {
                let next_hop = match prefix {
                    IpNet::V4(_) => dialect().next_hop_v4.unwrap().to_string(),
                    IpNet::V6(_) => format!("{:?}", narrow(last, false).next_hop_v6.unwrap()),
                };
                let count = if several { usize::MAX } else { 1 };
                let paths = std::iter::once(route).chain(&route.additional_paths).take(count);
                let paths = paths.zip(1..).map(move |(path, id)| {
                    let said = (path.multi_exit_disc.unwrap(), next_hop.clone());
                    ((*prefix, several.then_some(id)), said)
                });
                paths.collect::<Vec<_>>()
            });
            prop_assert_eq!(&neighbor.has, &expected.collect());
            let advertised = neighbor.rib.advertised();
            let prefixes: std::collections::BTreeSet<_> =
                neighbor.has.keys().map(|(prefix, _)| prefix).collect();
            prop_assert_eq!(advertised.keys().collect::<Vec<_>>(), prefixes.into_iter().collect::<Vec<_>>());
            for family in FAMILIES {
                prop_assert_eq!(neighbor.rib.progress(family).pending, 0);
                let count = neighbor.has.keys().filter(|(prefix, _)| Family::of(prefix) == family).count();
                prop_assert_eq!(neighbor.rib.progress(family).advertised, count);
            }
        }
        for table in &tables {
            prop_assert!(!table.lock().keeps_anything());
        }
    }
}

#[test]
fn c_086_communities_of_every_kind_are_sorted_and_said_once() {
    let extended = |text: &str| text.parse::<ExtendedCommunity>().unwrap();
    let ipv6 = |text: &str| text.parse::<Ipv6ExtendedCommunity>().unwrap();
    let route = RouteAttributes {
        extended_communities: ["soo:1:1", "rt:64520:1", "soo:1:1"].map(extended).into(),
        ipv6_extended_communities: ["rt:[::2]:1", "rt:[::1]:1", "rt:[::2]:1"].map(ipv6).into(),
        ..RouteAttributes::default()
    };
    let said = path_attributes(Family::IPV4_UNICAST, &route, &dialect());
    assert_eq!(
        said.get(3..),
        Some(
            &[
                Attribute::ExtendedCommunities(["rt:64520:1", "soo:1:1"].map(extended).into()),
                Attribute::Ipv6ExtendedCommunities(["rt:[::1]:1", "rt:[::2]:1"].map(ipv6).into()),
            ][..]
        )
    );
}

#[test]
fn an_aggregate_says_who_formed_it() {
    let aggregated_by = |asn| RouteAttributes {
        atomic_aggregate: true,
        aggregator: Some(AggregatedBy {
            asn: Asn::new(asn).unwrap(),
            address: [192, 0, 2, 71].into(),
        }),
        ..RouteAttributes::default()
    };
    let aggregator = |asn| Aggregator {
        asn,
        address: [192, 0, 2, 71].into(),
    };
    let said = |asn, dialect: &Dialect| {
        path_attributes(Family::IPV4_UNICAST, &aggregated_by(asn), dialect).split_off(3)
    };
    let of = |asn| {
        [
            Attribute::AtomicAggregate,
            Attribute::Aggregator(aggregator(asn)),
        ]
    };
    assert_eq!(said(4_200_000_000, &dialect()), of(4_200_000_000));
    // C-066, RFC 6793 §4.2.2: beside AS_TRANS, the AS that two octets cannot say.
    let mut narrow = dialect();
    narrow.wire.four_octet_as = false;
    assert_eq!(said(64521, &narrow), of(64521));
    let both = said(4_200_000_000, &narrow);
    assert_eq!(both.get(..2), Some(&of(4_200_000_000)[..]));
    assert_eq!(
        both.get(2),
        Some(&Attribute::As4Aggregator(aggregator(4_200_000_000)))
    );
    let mut octets = BytesMut::new();
    both[1].encode(narrow.wire, &mut octets);
    assert_eq!(octets[..], [0xC0, 7, 6, 0x5B, 0xA0, 192, 0, 2, 71]);
}

#[test]
fn a_route_may_name_its_own_next_hop() {
    let route = RouteAttributes {
        next_hop_v4: Some([198, 51, 100, 1].into()),
        next_hop_v6: Some("2001:db8::99".parse().unwrap()),
        ..RouteAttributes::default()
    };
    let wanted = ["192.0.2.150/32", "2001:db8:5::1/128"]
        .map(|prefix| (prefix.parse().unwrap(), Arc::new(route.clone())));
    let updates = drain(&mut established(wanted.into()));
    assert!(
        updates[0]
            .attributes
            .contains(&Attribute::NextHop([198, 51, 100, 1].into()))
    );
    let Attribute::MpReach(reach) = &updates[1].attributes[0] else {
        panic!("{updates:?}");
    };
    assert_eq!(
        reach.next_hop,
        MpNextHop::V6("2001:db8::99".parse().unwrap())
    );
}

#[test]
fn c_081_an_unknown_attribute_is_carried_in_its_place() {
    let unknown = |code, value: &'static [u8]| UnknownAttribute::new(code, value.into());
    assert_eq!(unknown(8, &[0; 4]), None);
    let route = RouteAttributes {
        large_communities: vec!["64520:1:2".parse().unwrap()],
        unknown: vec![
            unknown(200, &[1]).unwrap(),
            unknown(28, &[]).unwrap(),
            unknown(200, &[2]).unwrap(),
        ],
        ..RouteAttributes::default()
    };
    let said = path_attributes(Family::IPV4_UNICAST, &route, &dialect());
    let codes = said.iter().map(Attribute::code).collect::<Vec<_>>();
    assert_eq!(codes, [1, 2, 3, 28, 32, 200]);
    let Some(Attribute::Unknown { flags, value, .. }) = said.last() else {
        panic!("{said:?}");
    };
    assert!(flags.is_optional() && flags.is_transitive() && !flags.is_partial());
    assert_eq!(value[..], [1]);
}

#[test]
fn c_074_ipv4_routes_have_an_ipv6_next_hop_where_that_was_agreed_upon() {
    let link_local = "fe80::71".parse().unwrap();
    let extended = Dialect {
        next_hop_v4: None,
        next_hop_v6: Some(MpNextHop::V6WithLinkLocal(link_local, link_local)),
        extended_next_hop: true,
        ..dialect()
    };
    let with_its_own = RouteAttributes {
        next_hop_v4: Some([198, 51, 100, 1].into()),
        ..RouteAttributes::default()
    };
    let mut wanted = routes(&["192.0.2.150/32"]);
    wanted.insert("192.0.2.151/32".parse().unwrap(), Arc::new(with_its_own));
    let mut rib = AdjRibOut::default();
    rib.set_routes(&wanted);
    rib.begin(extended);
    let updates = drain(&mut rib);
    let said = words(&updates);
    assert_eq!(
        said,
        [
            "+192.0.2.150/32",
            "+192.0.2.151/32",
            "end ipv4-unicast",
            "end ipv6-unicast"
        ]
    );
    let Attribute::MpReach(reach) = &updates[0].attributes[0] else {
        panic!("{updates:?}");
    };
    assert_eq!(reach.nlri.family(), Family::IPV4_UNICAST);
    assert_eq!(reach.next_hop.address(), IpAddr::V6(link_local));
    assert!(updates[0].nlri.is_empty());
    // A next hop of its own family stands where it always does.
    assert_eq!(updates[1].nlri.len(), 1);
    assert_eq!(
        rib.progress(Family::IPV4_UNICAST).next_hop,
        Some(IpAddr::V6(link_local))
    );
    rib.set_routes(&Routes::new());
    let updates = drain(&mut rib);
    assert_eq!(words(&updates), ["-192.0.2.150/32 -192.0.2.151/32"]);
    assert!(updates[0].withdrawn_routes.is_empty(), "in MP_UNREACH_NLRI");
}

#[test]
fn c_074_without_agreement_ipv4_routes_wait_for_a_next_hop() {
    let mut rib = AdjRibOut::default();
    rib.set_routes(&routes(&["192.0.2.150/32"]));
    rib.begin(Dialect {
        next_hop_v4: None,
        ..dialect()
    });
    let updates = drain(&mut rib);
    assert_eq!(words(&updates), ["end ipv4-unicast", "end ipv6-unicast"]);
    assert_eq!(rib.progress(Family::IPV4_UNICAST).next_hop, None);
}

/// Two next hops for IPv4, one for IPv6.
fn several() -> Arc<RouteAttributes> {
    let path = |last| RouteAttributes {
        next_hop_v4: Some([192, 0, 2, last].into()),
        ..RouteAttributes::default()
    };
    Arc::new(RouteAttributes {
        additional_paths: vec![Arc::new(path(72)), Arc::new(path(73))],
        ..path(71)
    })
}

/// `+prefix/id` and `-prefix/id`.
fn paths(rib: &mut AdjRibOut, wire: WireContext) -> Vec<String> {
    let updates = drain_as(rib, wire);
    let said = updates.iter().flat_map(|update| {
        let text = |sign, (prefix, id): (IpNet, Option<u32>)| match id {
            Some(id) => format!("{sign}{prefix} {id}"),
            None => format!("{sign}{prefix}"),
        };
        let announced = update.announced_paths().map(move |path| text('+', path));
        let withdrawn = update.withdrawn_paths().map(move |path| text('-', path));
        withdrawn.chain(announced).collect::<Vec<_>>()
    });
    said.collect()
}

#[test]
fn c_077_several_paths_go_to_who_takes_them() {
    let prefix: IpNet = "198.51.100.0/24".parse().unwrap();
    let v6: IpNet = "2001:db8:5::/48".parse().unwrap();
    let wanted: Routes = [(prefix, several()), (v6, several())].into();
    let several_of_ipv4 = Dialect {
        add_path: vec![Family::IPV4_UNICAST],
        ..dialect()
    };
    let with_ids = WireContext {
        path_ids_v4: true,
        ..dialect().wire
    };
    let table = Table::default();
    table.set_routes(&wanted);
    assert_eq!(table.len(), 2);
    let mut ribs = [AdjRibOut::default(), AdjRibOut::default()];
    for rib in &mut ribs {
        rib.set_table(table.clone());
    }
    let [one, all] = &mut ribs;
    one.begin(dialect());
    all.begin(several_of_ipv4);
    assert_eq!(
        paths(one, dialect().wire),
        ["+198.51.100.0/24", "+2001:db8:5::/48"]
    );
    assert_eq!(
        paths(all, with_ids),
        [
            "+198.51.100.0/24 1",
            "+198.51.100.0/24 2",
            "+198.51.100.0/24 3",
            "+2001:db8:5::/48"
        ]
    );
    assert_eq!(one.progress(Family::IPV4_UNICAST).advertised, 1);
    assert_eq!(all.progress(Family::IPV4_UNICAST).advertised, 3);
    assert_eq!(all.advertised(), wanted);
    // The second path goes, the third becomes it.
    let mut fewer = (*several()).clone();
    fewer.additional_paths.remove(0);
    table.announce(prefix, Arc::new(fewer));
    assert_eq!(paths(one, dialect().wire), ["+198.51.100.0/24"]);
    assert_eq!(
        paths(all, with_ids),
        [
            "-198.51.100.0/24 3",
            "+198.51.100.0/24 1",
            "+198.51.100.0/24 2"
        ]
    );
    table.withdraw(&prefix);
    assert_eq!(paths(one, dialect().wire), ["-198.51.100.0/24"]);
    assert_eq!(
        paths(all, with_ids),
        ["-198.51.100.0/24 1", "-198.51.100.0/24 2"]
    );
    assert!(!table.lock().keeps_anything());
}

#[test]
fn c_077_a_thousand_routes_of_two_paths_take_few_messages() {
    let mut rib = AdjRibOut::default();
    rib.set_routes(
        &many(1000)
            .into_keys()
            .map(|prefix| (prefix, several()))
            .collect(),
    );
    rib.begin(Dialect {
        add_path: vec![Family::IPV4_UNICAST],
        ..dialect()
    });
    let wire = WireContext {
        path_ids_v4: true,
        ..dialect().wire
    };
    let updates = drain_as(&mut rib, wire);
    let count: usize = updates.iter().map(|update| update.nlri.len()).sum();
    assert_eq!(count, 3000);
    assert!(updates.len() < 15, "{} messages", updates.len());
}

#[test]
fn c_085_a_route_that_is_about_to_go_is_the_last_resort_of_internal_peers() {
    let route = RouteAttributes {
        local_pref: Some(200),
        communities: vec![Community::BLACKHOLE, Community::GRACEFUL_SHUTDOWN],
        ..RouteAttributes::default()
    };
    let said = |internal, graceful_shutdown| {
        let mut dialect = dialect();
        (dialect.wire.internal, dialect.graceful_shutdown) = (internal, graceful_shutdown);
        let said = path_attributes(Family::IPV4_UNICAST, &route, &dialect);
        let local_pref = said.iter().find_map(|attribute| match attribute {
            Attribute::LocalPref(local_pref) => Some(*local_pref),
            _ => None,
        });
        (local_pref, said)
    };
    assert_eq!(said(true, false).0, Some(200));
    let (local_pref, attributes) = said(true, true);
    assert_eq!(local_pref, Some(0));
    let communities = vec![Community::GRACEFUL_SHUTDOWN, Community::BLACKHOLE];
    assert!(attributes.contains(&Attribute::Communities(communities)));
    assert_eq!(said(false, true).0, None);
}
