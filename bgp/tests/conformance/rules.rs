//! One test for each rule that shows at a session's boundary and has none beside the code that keeps
//! it.

use bytes::BytesMut;
use herald_bgp::wire::{
    AddPath, AddPathDirection, AsPath, Attribute, ExtendedNextHop, Message, MessageType, MpNextHop,
    MpReach, Prefixes, RouteRefresh, WireContext,
};
use herald_bgp::{
    Addresses, BgpIdentifier, Capability, Community, Direction, Event, Family, HoldTime,
    LinkLocalNextHop, Notification, ReceivedRoutes, Role, Session, SessionConfig, State,
    StopReason, Update,
};

use crate::inputs::{
    ANNOUNCED, AS_PATH, NEXT_HOP, ORIGIN, Outcome, PREFIX, WITHDRAWN, discarded, established, hex,
    message, open_sent, update, with_attribute,
};
use crate::script::{CONTEXT, Script, capabilities, config, open, routes, seconds};

#[test]
fn c_007_a_malformed_notification_is_not_answered() {
    // Codes and subcodes that nobody has heard of, and a text that is none.
    for body in ["ff ff", "00 00 01", "06 02 ff 41", "06 09 06"] {
        let input = message(MessageType::Notification, &hex(body));
        assert_eq!(established(&input), Outcome::EndsSilently, "{body}");
        assert_eq!(open_sent(&input), Outcome::EndsSilently, "{body}");
    }
}

#[test]
fn c_009_data_is_of_the_message_that_it_is_about() {
    let attribute = hex("80 0e 05 0002 01 10 20");
    let mut script = Script::established(config());
    script.receive_octets(&update(&[], &attribute, &[]));
    let last_word = script.last_word().unwrap();
    assert_eq!(last_word, Notification::with_data(3, 9, &attribute));
}

#[test]
fn c_021_a_neighbor_that_refuses_our_open_is_not_pestered() {
    for refusal in ["02 04", "02 07 01 04 0002 00 01"] {
        let mut script = Script::open_sent(config());
        let mut waits = Vec::new();
        for _ in 0..4 {
            script.receive_octets(&message(MessageType::Notification, &hex(refusal)));
            assert_eq!(script.session.state(), State::Idle);
            let wait = script.session.status().idle_until.unwrap() - script.now;
            waits.push(wait);
            script.pass(wait);
            script.conn = script.connect(Direction::Outgoing);
        }
        assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    }
}

#[test]
fn c_025_without_a_common_family_the_session_is_up_and_empty() {
    let evpn = Capability::Multiprotocol(Family { afi: 25, safi: 70 });
    let mut script = Script::open_sent(config());
    script.session.set_routes(script.now, routes(3));
    script.receive(&open(vec![evpn, capabilities().pop().unwrap()]));
    script.receive(&Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    assert!(script.session.status().families.is_empty());
    let sent = script.sent();
    assert!(
        sent.iter()
            .all(|message| message.kind() != MessageType::Update),
        "{sent:?}"
    );
}

#[test]
fn c_027_long_messages_go_only_to_who_has_offered_to_take_them() {
    let longest = |capabilities: Vec<Capability>| {
        let mut script = Script::established_with(config(), capabilities);
        script.session.set_routes(script.now, routes(5000));
        let octets = script.sent_octets();
        let mut rest = &octets[..];
        let mut longest = 0;
        while let Some(length) = rest.get(16..18) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            longest = longest.max(length);
            rest = &rest[length..];
        }
        longest
    };
    assert!(longest(capabilities()) > 20_000);
    let mut short_only = capabilities();
    short_only.retain(|capability| *capability != Capability::ExtendedMessage);
    assert!((4000..=4096).contains(&longest(short_only)));
}

#[test]
fn c_037_an_open_that_does_not_come_is_counted() {
    let mut script = Script::open_sent(config());
    script.pass(seconds(240));
    assert_eq!(script.session.state(), State::Idle);
    assert_eq!(script.last_word(), Some(Notification::new(4, 0)));
    assert_eq!(script.session.status().connect_retry_counter, 1);
}

#[test]
fn c_041_hold_time_runs_out_in_open_confirm() {
    let mut script = Script::open_confirm(config());
    script.pass(seconds(89));
    assert_eq!(script.session.state(), State::OpenConfirm);
    script.pass(seconds(1));
    assert_eq!(script.last_word(), Some(Notification::new(4, 0)));
}

#[test]
fn c_044_what_has_arrived_counts_before_the_hold_timer() {
    let mut script = Script::established(config());
    // The driver was held up: the timer is overdue, and a KEEPALIVE waits in the socket.
    script.now += seconds(120);
    script.receive(&Message::Keepalive);
    script.session.handle_timeout(script.now);
    assert_eq!(script.session.state(), State::Established);
    script.now += seconds(120);
    script.session.handle_timeout(script.now);
    assert_eq!(script.session.state(), State::Idle);
}

#[test]
fn c_046_send_hold_time_by_default() {
    let config = config();
    assert_eq!(config.send_hold_time(seconds(3)), seconds(480));
    assert_eq!(config.send_hold_time(seconds(240)), seconds(480));
    assert_eq!(config.send_hold_time(seconds(600)), seconds(1200));
    let configured = SessionConfig {
        send_hold_time: Some(seconds(20)),
        ..config.clone()
    };
    assert_eq!(configured.send_hold_time(seconds(9)), seconds(20));

    let without_hold_time = SessionConfig {
        hold_time: HoldTime::ZERO,
        ..config
    };
    let mut script = Script::established(without_hold_time);
    script.session.set_routes(script.now, routes(1));
    let mut out = BytesMut::new();
    assert!(
        script
            .session
            .poll_transmit(script.now, script.conn, &mut out)
    );
    script.pass(seconds(100_000));
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_047_reconnecting_is_jittered() {
    let mut waits = Vec::new();
    for seed in 0..100 {
        let script = Script::open_sent(config());
        let mut session = Session::new(config(), seed);
        session.start(script.now);
        waits.push((session.poll_timeout().unwrap() - script.now).as_secs_f64());
    }
    assert!(
        waits.iter().all(|wait| (3.75..=5.0).contains(wait)),
        "{waits:?}"
    );
    assert!(waits.iter().any(|wait| *wait < 4.0) && waits.iter().any(|wait| *wait > 4.75));
}

#[test]
fn c_055_the_first_open_decides_while_the_other_is_awaited() {
    let mut script = Script::open_sent(config());
    let ours = script.conn;
    let theirs = script.connect(Direction::Incoming);
    script.receive(&open(capabilities()));
    script.conn = theirs;
    assert_eq!(script.last_word(), Some(Notification::cease(7)));
    script.conn = ours;
    script.receive(&Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_060_attributes_are_accepted_in_any_order() {
    for order in [[NEXT_HOP, AS_PATH, ORIGIN], [AS_PATH, ORIGIN, NEXT_HOP]] {
        let attributes = hex(&order.concat());
        assert_eq!(
            established(&update(&[], &attributes, &hex(PREFIX))),
            ANNOUNCED
        );
    }
}

#[test]
fn c_062_marks_without_a_repetition_and_unknown_subtypes_mean_nothing() {
    for subtype in [1, 2, 3, 255] {
        let mut script = Script::established(config());
        script.session.set_routes(script.now, routes(1));
        script.sent();
        let family = Family::IPV4_UNICAST;
        script.receive(&Message::RouteRefresh(RouteRefresh { family, subtype }));
        assert_eq!(script.sent(), []);
        assert_eq!(script.session.state(), State::Established);
    }
}

#[test]
fn c_067_c_074_what_an_external_neighbor_hears_of_a_route() {
    let mut script = Script::established(config());
    script.session.set_routes(script.now, routes(1));
    let sent = script.sent();
    let [Message::Update(update)] = &sent[..] else {
        panic!("{sent:?}");
    };
    let codes: Vec<u8> = update.attributes.iter().map(Attribute::code).collect();
    assert_eq!(codes, [1, 2, 3], "ORIGIN, AS_PATH and the classic NEXT_HOP");
    assert_eq!(
        update.attributes[2],
        Attribute::NextHop([192, 0, 2, 71].into())
    );
}

#[test]
fn c_070_no_route_of_the_neighbor_ends_the_session() {
    // 0/8, 127/8, 224/4, and the address of our own end.
    for next_hop in ["00000001", "7f000001", "e0000001", "c0000247"] {
        let attributes = [hex(ORIGIN), hex(AS_PATH), hex("40 03 04"), hex(next_hop)].concat();
        let outcome = established(&update(&[], &attributes, &hex(PREFIX)));
        assert_eq!(outcome, WITHDRAWN, "{next_hop}");
    }
}

#[test]
fn c_070_next_hops_that_are_no_hosts() {
    let v6 = |text: &str| MpNextHop::V6(text.parse().unwrap());
    for next_hop in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        assert_eq!(
            heard_by(config(), &reach_v6(v6(next_hop))),
            (0, 1),
            "{next_hop}"
        );
    }
    assert_eq!(heard_by(config(), &reach_v6(v6("2001:db8::1"))), (1, 0));
    assert_eq!(heard_by(config(), &reach_v6(v6("fe80::1"))), (1, 0));
}

#[test]
fn c_073_of_a_pair_the_link_local_half_counts_where_the_other_is_none() {
    let pair = |first: &str, second: &str| {
        MpNextHop::V6WithLinkLocal(first.parse().unwrap(), second.parse().unwrap())
    };
    for (first, second, address) in [
        ("::", "fe80::1", "fe80::1"),
        ("fe80::2", "fe80::1", "fe80::1"),
        ("2001:db8::1", "fe80::1", "2001:db8::1"),
    ] {
        let next_hop = pair(first, second);
        assert_eq!(next_hop.address().to_string(), address);
        assert_eq!(heard_by(config(), &reach_v6(next_hop)), (1, 0));
    }
    assert_eq!(heard_by(config(), &reach_v6(pair("::", "::"))), (0, 1));
}

#[test]
fn c_074_ipv6_next_hops_of_ipv4_routes_are_believed_where_they_were_agreed_upon() {
    let next_hop = MpNextHop::V6("2001:db8::1".parse().unwrap());
    let nlri = Prefixes::V4(vec!["198.51.100.0/24".parse().unwrap()]);
    let reach = Message::Update(Update {
        attributes: vec![
            Attribute::MpReach(Box::new(MpReach::new(next_hop, nlri))),
            Attribute::Origin(herald_bgp::Origin::Igp),
            Attribute::AsPath(AsPath::sequence(&[64521])),
        ],
        ..Update::default()
    });
    assert_eq!(heard_by(config(), &reach), (0, 1));
    let extended = SessionConfig {
        extended_next_hop: true,
        ..config()
    };
    assert_eq!(
        heard_by(extended.clone(), &reach),
        (0, 1),
        "the neighbor did not offer it"
    );
    let mut script = Script::established_with(extended, {
        let offer = Capability::ExtendedNextHop([ExtendedNextHop::IPV4_OVER_IPV6].into());
        [capabilities(), vec![offer]].concat()
    });
    assert_eq!(heard(&mut script, &reach), (1, 0));
}

/// An IPv6 route of AS 64521.
fn reach_v6(next_hop: MpNextHop) -> Message {
    reach_with(next_hop, &[])
}

fn reach_with(next_hop: MpNextHop, more: &[Attribute]) -> Message {
    let nlri = Prefixes::V6(vec!["2001:db8:5::/48".parse().unwrap()]);
    let mut attributes = vec![
        Attribute::MpReach(Box::new(MpReach::new(next_hop, nlri))),
        Attribute::Origin(herald_bgp::Origin::Igp),
        Attribute::AsPath(AsPath::sequence(&[64521])),
    ];
    attributes.extend_from_slice(more);
    Message::Update(Update {
        attributes,
        ..Update::default()
    })
}

/// How many prefixes an embedder sees announced and withdrawn.
fn heard_by(config: SessionConfig, message: &Message) -> (usize, usize) {
    heard(&mut Script::established(config), message)
}

fn heard(script: &mut Script, message: &Message) -> (usize, usize) {
    match &updates(script, message)[..] {
        [update] => (update.announced().count(), update.withdrawn().count()),
        other => panic!("{other:?}"),
    }
}

fn updates(script: &mut Script, message: &Message) -> Vec<Update> {
    script.receive(message);
    let events = script.events().into_iter();
    let updates = events.filter_map(|event| match event {
        Event::Update(update) => Some(*update),
        _ => None,
    });
    updates.collect()
}

#[test]
fn c_077_paths_of_a_neighbor_come_and_go_one_by_one() {
    let several = SessionConfig {
        add_path: Some(AddPathDirection::Both),
        received_routes: ReceivedRoutes::Kept(Default::default()),
        ..config()
    };
    let tuple = AddPath {
        family: Family::IPV4_UNICAST,
        direction: AddPathDirection::Both,
    };
    let offer = Capability::AddPath([tuple].into());
    let mut script = Script::established_with(several, [capabilities(), vec![offer]].concat());
    let context = WireContext {
        path_ids_v4: true,
        ..CONTEXT
    };
    let mut hear = |update: Update| {
        let mut octets = BytesMut::new();
        let message = Message::Update(update);
        message.encode(context, 4096, &mut octets).unwrap();
        script.receive_octets(&octets);
        let kept = script.session.received_routes().into_iter();
        kept.filter_map(|route| route.path_id).collect::<Vec<_>>()
    };
    let prefix: ipnet::Ipv4Net = "198.51.100.0/24".parse().unwrap();
    let announced = Update {
        attributes: vec![
            Attribute::Origin(herald_bgp::Origin::Igp),
            Attribute::AsPath(AsPath::sequence(&[64521])),
            Attribute::NextHop([192, 0, 2, 1].into()),
        ],
        nlri: vec![prefix; 3],
        nlri_path_ids: [0, 1, 2].into(),
        ..Update::default()
    };
    assert_eq!(hear(announced), [0, 1, 2]);
    let withdrawn = |path_id| Update {
        withdrawn_routes: vec![prefix],
        withdrawn_path_ids: [path_id].into(),
        ..Update::default()
    };
    assert_eq!(hear(withdrawn(1)), [0, 2]);
    assert_eq!(hear(withdrawn(1)), [0, 2], "nothing, the second time");
    assert_eq!(hear(withdrawn(0)), [2]);
    // Ours have identifiers too.
    script.session.set_routes(script.now, routes(1));
    let mut sent = BytesMut::new();
    script
        .session
        .poll_transmit(script.now, script.conn, &mut sent);
    let Ok(Message::Update(update)) = Message::from_octets(&sent, context, 4096) else {
        panic!("{sent:?}");
    };
    assert_eq!(update.nlri_path_ids.len(), 1);
}

fn with_role(role: Role) -> SessionConfig {
    SessionConfig {
        role: Some(role),
        ..config()
    }
}

#[test]
fn c_083_routes_that_were_not_meant_for_us_are_left_out() {
    let next_hop = MpNextHop::V6("2001:db8::1".parse().unwrap());
    let marked = |asn| reach_with(next_hop, &[Attribute::OnlyToCustomer(asn)]);
    for (role, asn, is_leak) in [
        (Role::Provider, 64521, true),
        (Role::RsServer, 64530, true),
        (Role::Peer, 64530, true),
        (Role::Peer, 64521, false),
        (Role::Customer, 64530, false),
        (Role::RsClient, 64530, false),
    ] {
        let expected = if is_leak { (0, 1) } else { (1, 0) };
        let mut script = Script::established(with_role(role));
        assert_eq!(heard(&mut script, &marked(asn)), expected, "{role} {asn}");
        let leaks = script
            .session
            .status()
            .families
            .iter()
            .map(|family| family.leaks)
            .sum::<u64>();
        assert_eq!(leaks, u64::from(is_leak));
        assert_eq!(script.session.state(), State::Established);
    }
    assert_eq!(
        heard_by(config(), &marked(64530)),
        (1, 0),
        "no role, no opinion"
    );
}

#[test]
fn c_083_what_comes_down_is_marked_and_what_goes_down_too() {
    let next_hop = MpNextHop::V6("2001:db8::1".parse().unwrap());
    let mark = |attributes: &[Attribute]| {
        attributes.iter().find_map(|attribute| match attribute {
            Attribute::OnlyToCustomer(asn) => Some(*asn),
            _ => None,
        })
    };
    for (role, received, sent) in [
        (Role::Customer, Some(64521), None),
        (Role::RsClient, Some(64521), None),
        (Role::Peer, Some(64521), Some(64520)),
        (Role::Provider, None, Some(64520)),
        (Role::RsServer, None, Some(64520)),
    ] {
        let mut script = Script::established(with_role(role));
        let heard = updates(&mut script, &reach_v6(next_hop));
        assert_eq!(
            mark(&heard[0].attributes),
            received,
            "from our {role}'s side"
        );
        script.session.set_routes(script.now, routes(1));
        let said = script.sent();
        let [Message::Update(update)] = &said[..] else {
            panic!("{said:?}");
        };
        assert_eq!(mark(&update.attributes), sent, "as {role}");
    }
}

#[test]
fn c_072_next_hop_of_a_link_local_connection() {
    let link_local = "fe80::71".parse().unwrap();
    let global = "2001:db8::71".parse().unwrap();
    let address = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let written = |local: &str, interface_v6, link_local_next_hop| {
        let mut script = Script::open_sent(SessionConfig {
            link_local_next_hop,
            ..config()
        });
        let addresses = Addresses {
            interface_v6,
            ..Addresses::new(address(local), address("[fe80::1]:179"))
        };
        let (now, direction) = (script.now, Direction::Outgoing);
        script.conn = script.session.handle_connected(now, direction, addresses);
        script.receive(&open(capabilities()));
        script.receive(&Message::Keepalive);
        let route = ["2001:db8:5::1/128".parse().unwrap()];
        let route = route.map(|prefix| (prefix, std::sync::Arc::default()));
        script.session.set_routes(script.now, route.into());
        let reach = script.sent().into_iter().find_map(|message| match message {
            Message::Update(update) => match update.attributes.into_iter().next()? {
                Attribute::MpReach(reach) => Some(reach.next_hop),
                _ => None,
            },
            _ => None,
        });
        reach.unwrap()
    };
    let next_hop = |local, interface| written(local, interface, LinkLocalNextHop::Double);
    let both = MpNextHop::V6WithLinkLocal(global, link_local);
    assert_eq!(next_hop("[fe80::71%2]:50000", Some(global)), both);
    let twice = MpNextHop::V6WithLinkLocal(link_local, link_local);
    assert_eq!(next_hop("[fe80::71%2]:50000", None), twice);
    assert_eq!(
        next_hop("[2001:db8::71]:50000", None),
        MpNextHop::V6(global)
    );
    for (form, expected) in [
        (LinkLocalNextHop::Single, MpNextHop::V6(link_local)),
        (
            LinkLocalNextHop::Native,
            MpNextHop::V6WithLinkLocal("::".parse().unwrap(), link_local),
        ),
    ] {
        assert_eq!(written("[fe80::71%2]:50000", None, form), expected);
        assert_eq!(written("[fe80::71%2]:50000", Some(global), form), both);
    }
}

#[test]
fn c_076_withdrawn_and_announced_in_one_message_is_announced() {
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat();
    let mut script = Script::established(config());
    script.receive_octets(&update(&hex(PREFIX), &attributes, &hex(PREFIX)));
    let mut table = std::collections::BTreeSet::new();
    for event in script.events() {
        if let Event::Update(update) = event {
            for prefix in update.withdrawn() {
                table.remove(&prefix);
            }
            table.extend(update.announced());
        }
    }
    assert_eq!(table.len(), 1);
}

#[test]
fn c_082_as_sets_are_not_accepted() {
    for path in [
        "40 02 06 01 01 0000fc09",
        "40 02 0c 02 01 0000fc09 01 01 00000001",
        "40 02 06 04 01 0000fc09",
    ] {
        let attributes = [hex(ORIGIN), hex(path), hex(NEXT_HOP)].concat();
        assert_eq!(
            established(&update(&[], &attributes, &hex(PREFIX))),
            WITHDRAWN,
            "{path}"
        );
    }
}

#[test]
fn c_085_a_drained_session_says_so_of_every_route_and_withdraws_none() {
    let mut script = Script::established(config());
    script.session.set_routes(script.now, routes(3));
    let said = |script: &mut Script| -> Vec<(usize, usize, Vec<Community>)> {
        let updates = script
            .sent()
            .into_iter()
            .filter_map(|message| match message {
                Message::Update(update) if update.end_of_rib().is_none() => Some(update),
                _ => None,
            });
        let said = updates.map(|update| {
            let communities = update
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    Attribute::Communities(communities) => Some(communities.clone()),
                    _ => None,
                });
            (
                update.announced().count(),
                update.withdrawn().count(),
                communities.unwrap_or_default(),
            )
        });
        said.collect()
    };
    assert_eq!(said(&mut script), [(3, 0, vec![])]);
    let drained = SessionConfig {
        graceful_shutdown: true,
        ..config()
    };
    script.session.set_config(script.now, drained.clone());
    let leaving = vec![Community::GRACEFUL_SHUTDOWN];
    assert_eq!(said(&mut script), [(3, 0, leaving.clone())]);
    // What is announced meanwhile is about to go too.
    script.session.set_routes(script.now, routes(4));
    assert_eq!(said(&mut script), [(1, 0, leaving.clone())]);
    script.session.set_config(script.now, config());
    assert_eq!(said(&mut script), [(4, 0, vec![])]);
    assert_eq!(script.session.state(), State::Established);
    // A session that comes up while it is drained says so from the beginning.
    let mut script = Script::open_sent(drained);
    script.session.set_routes(script.now, routes(2));
    script.receive(&open(capabilities()));
    script.receive(&Message::Keepalive);
    assert_eq!(said(&mut script), [(2, 0, leaving)]);
}

#[test]
fn c_087_nothing_is_said_or_kept_unless_asked_for() {
    let quiet = SessionConfig {
        received_routes: ReceivedRoutes::Counted,
        ..config()
    };
    let mut script = Script::open_sent(quiet);
    script.receive(&open(capabilities()));
    script.receive(&Message::Keepalive);
    let announced = script.sent().into_iter().any(|message| match message {
        Message::Update(update) => update.announced().count() > 0,
        _ => false,
    });
    assert!(!announced);
    script.events();
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat();
    script.receive_octets(&update(&[], &attributes, &hex(PREFIX)));
    assert_eq!(script.events(), []);
    assert_eq!(
        script.session.status().families[0].received,
        1,
        "it is counted"
    );
}

#[test]
fn c_097_what_is_not_read_is_carried_as_it_came() {
    // AIGP, PREFIX_SID, BGP-LS, PMSI_TUNNEL and TUNNEL_ENCAPSULATION, each malformed.
    for attribute in [
        "80 1a 01 ff",
        "c0 28 01 ff",
        "80 1d 01 ff",
        "c0 16 01 ff",
        "c0 17 01 ff",
    ] {
        assert_eq!(
            established(&with_attribute(attribute)),
            ANNOUNCED,
            "{attribute}"
        );
        assert_eq!(discarded(&with_attribute(attribute)), []);
    }
}

#[test]
fn c_098_treat_as_withdraw_keeps_what_is_withdrawn_anyway() {
    let attributes = [hex("40 01 01 09"), hex(AS_PATH), hex(NEXT_HOP)].concat();
    let other = hex("18 c63364");
    let expected = Outcome::GoesOn {
        announced: 0,
        withdrawn: 2,
    };
    assert_eq!(
        established(&update(&other, &attributes, &hex(PREFIX))),
        expected
    );
}

#[test]
fn c_013_every_identifier_but_zero_is_somebody() {
    for bits in [1, 0x7F00_0001, 0xE000_0001, u32::MAX] {
        let mut script = Script::open_sent(config());
        let Message::Open(mut open) = open(capabilities()) else {
            unreachable!("it is an OPEN");
        };
        open.bgp_identifier = BgpIdentifier::new(bits.into()).unwrap();
        script.receive(&Message::Open(open));
        assert_eq!(script.session.state(), State::OpenConfirm);
    }
}

#[test]
fn c_048_stopping_forgets_failures() {
    let mut script = Script::established(config());
    script.receive_octets(&[0; 19]);
    assert_eq!(script.session.status().connect_retry_counter, 1);
    script
        .session
        .stop(script.now, StopReason::PeerDeconfigured);
    assert_eq!(script.session.status().connect_retry_counter, 0);
}
