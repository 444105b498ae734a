use super::*;
use crate::types::Community;
use crate::wire::{Framer, MAX_EXTENDED_LENGTH, MAX_LENGTH, Message, Update};

fn dialect() -> Dialect {
    Dialect {
        local_as: Asn::new(64520).unwrap(),
        wire: WireContext {
            four_octet_as: true,
            internal: false,
        },
        limit: MAX_LENGTH,
        next_hop_v4: Some([192, 0, 2, 71].into()),
        next_hop_v6: Some(MpNextHop::V6("2001:db8::71".parse().unwrap())),
        families: vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST],
    }
}

fn established(wanted: Routes) -> AdjRibOut {
    let mut rib = AdjRibOut::default();
    rib.set_wanted(wanted);
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

fn drain(rib: &mut AdjRibOut) -> Vec<Update> {
    let mut out = BytesMut::new();
    while rib.next_update(&mut out) != Ok(false) {}
    let mut framer = Framer::default();
    framer.push(&out);
    let mut updates = Vec::new();
    while let Some((kind, body)) = framer.next_message(MAX_EXTENDED_LENGTH).unwrap() {
        match Message::decode(kind, body, dialect().wire).unwrap() {
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
    rib.set_wanted([(prefix, Arc::new(huge))].into());
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
    rib.set_wanted(many(5000));
    assert_eq!(words(&drain(&mut rib))[0], "-192.0.2.1/32");
}

#[test]
fn c_080_a_change_of_mind_before_it_is_sent_costs_nothing() {
    let mut rib = established(routes(&["192.0.2.1/32"]));
    drain(&mut rib);
    rib.set_wanted(routes(&["192.0.2.1/32", "192.0.2.2/32"]));
    rib.set_wanted(routes(&["192.0.2.1/32"]));
    rib.set_wanted(Routes::new());
    rib.set_wanted(routes(&["192.0.2.1/32"]));
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
    rib.set_wanted([("192.0.2.1/32".parse().unwrap(), Arc::new(changed))].into());
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
fn a_family_without_next_hop_is_not_announced() {
    let mut rib = AdjRibOut::default();
    rib.set_wanted(routes(&["192.0.2.1/32", "2001:db8:5::1/128"]));
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
    rib.set_wanted(routes(&["192.0.2.2/32"]));
    rib.begin(dialect());
    assert_eq!(words(&drain(&mut rib))[0], "+192.0.2.2/32");
}
