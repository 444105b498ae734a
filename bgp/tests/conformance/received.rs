//! What becomes of the routes that a neighbor announces.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use herald_bgp::wire::{Attribute, Message, RouteRefresh, Update};
use herald_bgp::{
    AdjRibInLimit, Direction, Event, Family, Notification, PrefixLimits, ReceivedRoutes,
    RefreshError, RemoteAs, SessionConfig, State, StopReason,
};
use ipnet::{IpNet, Ipv4Net};

use crate::inputs::{AS_PATH, NEXT_HOP, ORIGIN, PREFIX, hex, update};
use crate::script::{CONTEXT, Script, capabilities, config, seconds};

fn keeping() -> SessionConfig {
    SessionConfig {
        received_routes: ReceivedRoutes::Kept(AdjRibInLimit::default()),
        ..config()
    }
}

/// At most this many prefixes of IPv4.
fn limited(limit: u32) -> SessionConfig {
    let limit = NonZeroU32::new(limit).unwrap();
    SessionConfig {
        received_routes: ReceivedRoutes::Counted,
        prefix_limits: PrefixLimits {
            families: BTreeMap::from([(Family::IPV4_UNICAST, limit)]),
            ..PrefixLimits::default()
        },
        ..config()
    }
}

fn hosts(count: u32) -> Vec<Ipv4Net> {
    let host = |index| std::net::Ipv4Addr::from_bits(0x0A00_0000 + index).into();
    (0..count).map(host).collect()
}

fn attributes() -> Vec<Attribute> {
    let octets = update(
        &[],
        &[hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat(),
        &[],
    );
    match Message::from_octets(&octets, CONTEXT, 4096) {
        Ok(Message::Update(update)) => update.attributes,
        other => panic!("{other:?}"),
    }
}

fn announcement(nlri: Vec<Ipv4Net>) -> Message {
    Message::Update(Update {
        attributes: attributes(),
        nlri,
        ..Update::default()
    })
}

fn withdrawal(withdrawn_routes: Vec<Ipv4Net>) -> Message {
    Message::Update(Update {
        withdrawn_routes,
        ..Update::default()
    })
}

fn kept(script: &Script) -> Vec<String> {
    let routes = script.session.received_routes().into_iter();
    routes.map(|route| route.prefix.to_string()).collect()
}

fn announce(path: &str) -> Vec<u8> {
    let attributes = [hex(ORIGIN), hex(path), hex(NEXT_HOP)].concat();
    update(&[], &attributes, &hex(PREFIX))
}

#[test]
fn routes_are_kept_until_withdrawn_or_until_the_session_ends() {
    let mut script = Script::established(keeping());
    script.receive(&announcement(hosts(3)));
    script.receive(&announcement(hosts(2)));
    script.receive(&withdrawal(hosts(1)));
    assert_eq!(kept(&script), ["10.0.0.1/32", "10.0.0.2/32"]);
    let route = &script.session.received_routes()[0];
    assert_eq!(route.attributes.decode(), attributes());
    let family = script.session.status().families[0].clone();
    assert_eq!((family.received, family.prefixes), (5, Some(2)));
    assert_eq!(family.kept.unwrap().routes, 2);
    script.session.handle_closed(script.now, script.conn);
    assert_eq!(kept(&script), [""; 0]);
}

#[test]
fn routes_beyond_the_limit_are_counted_and_not_kept() {
    let limit = AdjRibInLimit {
        routes: 2,
        ..AdjRibInLimit::default()
    };
    let mut script = Script::established(SessionConfig {
        received_routes: ReceivedRoutes::Kept(limit),
        ..config()
    });
    script.receive(&announcement(hosts(5)));
    assert_eq!(kept(&script).len(), 2);
    let family = script.session.status().families[0].clone();
    assert_eq!((family.received, family.prefixes), (5, None));
    assert_eq!(family.kept.unwrap().not_kept, 3);
}

#[test]
fn c_098_treat_as_withdraw_takes_what_was_announced_and_withdraws_the_rest() {
    let mut script = Script::established(keeping());
    script.receive(&announcement(hosts(2)));
    script.receive_octets(&announce(AS_PATH));
    assert_eq!(kept(&script).len(), 3);
    // 10.0.0.0/32 is withdrawn, 203.0.113.0/24 announced with an ORIGIN that is none.
    let attributes = [hex("40 01 01 09"), hex(AS_PATH), hex(NEXT_HOP)].concat();
    script.receive_octets(&update(&hex("20 0a000000"), &attributes, &hex(PREFIX)));
    assert_eq!(kept(&script), ["10.0.0.1/32"]);
}

#[test]
fn c_099_treat_as_withdraw_of_an_unknown_prefix_is_nothing() {
    let mut script = Script::established(keeping());
    script.receive(&announcement(hosts(1)));
    let attributes = [hex("40 01 01 09"), hex(AS_PATH), hex(NEXT_HOP)].concat();
    script.receive_octets(&update(&[], &attributes, &hex(PREFIX)));
    assert_eq!(kept(&script), ["10.0.0.0/32"]);
    assert_eq!(script.session.status().update_errors, 1);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_069_a_path_that_does_not_begin_with_the_neighbor_is_not_believed() {
    for path in ["40 02 06 02 01 0000fc0a", "40 02 00"] {
        let mut script = Script::established(keeping());
        script.receive_octets(&announce(AS_PATH));
        assert_eq!(kept(&script), ["203.0.113.0/24"]);
        script.receive_octets(&announce(path));
        assert_eq!(kept(&script), [""; 0], "{path}");
        assert_eq!(script.session.status().update_errors, 1);
        assert_eq!(script.session.state(), State::Established);

        let mut trusting = Script::established(SessionConfig {
            enforce_first_as: false,
            ..keeping()
        });
        trusting.receive_octets(&announce(path));
        assert_eq!(kept(&trusting), ["203.0.113.0/24"], "{path}");
    }
}

#[test]
fn c_069_an_internal_neighbor_need_not_be_in_the_path() {
    let mut script = Script::established(SessionConfig {
        local_as: herald_bgp::Asn::new(64521).unwrap(),
        remote_as: RemoteAs::Internal,
        ..keeping()
    });
    script.receive_octets(&announce("40 02 00"));
    assert_eq!(kept(&script), ["203.0.113.0/24"]);
}

#[test]
fn a_path_through_our_own_as_takes_back_what_was_announced() {
    let mut script = Script::established(keeping());
    script.receive_octets(&announce(AS_PATH));
    script.receive_octets(&announce("40 02 0a 02 02 0000fc09 0000fc08"));
    assert_eq!(kept(&script), [""; 0]);
    let status = script.session.status();
    assert_eq!((status.families[0].loops, status.update_errors), (1, 0));
}

#[test]
fn c_070_our_own_routes_that_come_back_are_no_mistake() {
    // Our address 192.0.2.71 is the next hop; at the end of the path we are, or are not.
    for path in ["40 02 0a 02 02 0000fc09 0000fc08", AS_PATH] {
        let mut script = Script::established(keeping());
        script.receive_octets(&announce(AS_PATH));
        script.events();
        let attributes = [hex(ORIGIN), hex(path), hex("40 03 04 c0000247")].concat();
        script.receive_octets(&update(&[], &attributes, &hex(PREFIX)));
        assert_eq!(kept(&script), [""; 0], "{path}");
        assert_eq!(script.events(), [], "{path}");
        let status = script.session.status();
        assert_eq!((status.families[0].loops, status.update_errors), (1, 0));
    }
}

#[test]
fn c_049_more_prefixes_than_allowed_end_the_session_and_it_stays_down() {
    let mut script = Script::established(limited(3));
    script.receive(&announcement(hosts(3)));
    script.receive(&announcement(hosts(3)));
    script.receive(&withdrawal(hosts(1)));
    assert_eq!(script.session.status().families[0].prefixes, Some(2));
    script.receive(&announcement(hosts(3)));
    assert_eq!(
        script.session.state(),
        State::Established,
        "each counts once"
    );
    script.receive(&announcement(hosts(4)));
    // AFI 1, SAFI 1, a limit of 3
    let expected = Notification::with_data(6, 1, &[0, 1, 1, 0, 0, 0, 3]);
    assert_eq!(script.last_word(), Some(expected));
    let status = script.session.status();
    assert_eq!(status.over_limit, Some(Family::IPV4_UNICAST));
    script.pass(seconds(24 * 3600));
    assert_eq!(script.session.state(), State::Idle);
    assert_eq!(script.session.status().idle_until, None);
    let conn = script.connect(Direction::Incoming);
    let refused = Event::Close {
        conn,
        after_flush: false,
    };
    assert!(script.events().contains(&refused));
}

#[test]
fn c_049_it_starts_again_after_the_time_that_was_configured() {
    let mut config = limited(1);
    config.prefix_limits.restart = Some(seconds(600));
    let mut script = Script::established(config);
    script.receive(&announcement(hosts(2)));
    script.pass(seconds(599));
    assert_eq!(script.session.state(), State::Idle);
    script.pass(seconds(1));
    assert_eq!(script.session.state(), State::Connect);
    assert_eq!(script.session.status().over_limit, None);
}

#[test]
fn c_049_a_reset_or_another_limit_lets_it_start_again() {
    let over = || {
        let mut script = Script::established(limited(1));
        script.receive(&announcement(hosts(2)));
        script
    };
    let mut reset = over();
    let reason = StopReason::AdministrativeReset(None);
    reset.session.stop(reset.now, reason);
    reset.pass(seconds(2));
    assert_eq!(reset.session.state(), State::Connect);

    let mut higher = over();
    higher.session.set_config(higher.now, limited(2));
    assert_eq!(higher.session.state(), State::Connect);
}

#[test]
fn c_049_bfd_does_not_wake_what_has_said_too_much() {
    let mut config = limited(1);
    config.prefix_limits.restart = Some(seconds(600));
    let mut script = Script::established(config);
    let now = script.now;
    script
        .session
        .handle_liveness(now, herald_bgp::Liveness::Up, 1);
    script.receive(&announcement(hosts(2)));
    script
        .session
        .handle_liveness(now, herald_bgp::Liveness::Down(herald_bgp::Fate::Shared), 1);
    script
        .session
        .handle_liveness(now, herald_bgp::Liveness::Up, 2);
    assert_eq!(script.session.state(), State::Idle);
}

#[test]
fn c_049_a_limit_that_comes_later_counts_what_is_there() {
    let mut script = Script::established(config());
    script.receive(&announcement(hosts(2)));
    script.session.set_config(script.now, limited(1));
    assert_eq!(script.sent(), [refresh(Family::IPV4_UNICAST)]);
    script.receive(&announcement(hosts(2)));
    assert_eq!(script.session.state(), State::Idle);

    let mut lowered = Script::established(limited(5));
    lowered.receive(&announcement(hosts(5)));
    lowered.session.set_config(lowered.now, limited(4));
    assert_eq!(lowered.session.state(), State::Idle);
}

#[test]
fn c_049_nearly_as_many_prefixes_as_allowed_are_worth_a_warning() {
    let mut script = Script::established(limited(4));
    script.receive(&announcement(hosts(2)));
    assert_eq!(script.events(), []);
    script.receive(&announcement(hosts(4)));
    let near = Event::PrefixLimitNear {
        family: Family::IPV4_UNICAST,
        count: 3,
        limit: NonZeroU32::new(4).unwrap(),
    };
    assert_eq!(script.events(), [near]);
}

#[test]
fn c_049_a_limit_that_is_lowered_warns_too() {
    let mut script = Script::established(limited(8));
    script.receive(&announcement(hosts(4)));
    assert_eq!(script.events(), []);
    script.session.set_config(script.now, limited(5));
    let near = Event::PrefixLimitNear {
        family: Family::IPV4_UNICAST,
        count: 4,
        limit: NonZeroU32::new(5).unwrap(),
    };
    assert_eq!(script.events(), [near]);
}

#[test]
fn c_049_what_was_said_before_the_limit_is_unknown_where_it_cannot_be_said_again() {
    let mut mute = capabilities();
    mute.remove(2);
    let mut script = Script::established_with(config(), mute);
    script.receive(&announcement(hosts(2)));
    script.session.set_config(script.now, limited(2));
    assert_eq!(script.session.status().families[0].prefixes, None);
    script.receive(&announcement(hosts(3)));
    assert_eq!(
        script.session.state(),
        State::Idle,
        "so many there are at least"
    );
}

fn keeping_at_most(routes: usize) -> SessionConfig {
    SessionConfig {
        received_routes: ReceivedRoutes::Kept(AdjRibInLimit {
            routes,
            ..AdjRibInLimit::default()
        }),
        ..config()
    }
}

#[test]
fn room_for_more_or_fewer_routes_costs_no_others() {
    let mut script = Script::established(keeping_at_most(5));
    script.receive(&announcement(hosts(4)));
    script.session.set_config(script.now, keeping_at_most(6));
    assert_eq!((kept(&script).len(), script.sent()), (4, vec![]));
    script.session.set_config(script.now, keeping_at_most(3));
    assert_eq!(kept(&script), ["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"]);
    let family = script.session.status().families[0].clone();
    assert_eq!((family.prefixes, family.kept.unwrap().not_kept), (None, 1));
    assert_eq!(script.sent(), []);
    script.session.set_config(script.now, keeping_at_most(4));
    assert_eq!(script.sent(), [refresh(Family::IPV4_UNICAST)]);
    script.receive(&announcement(hosts(4)));
    let family = script.session.status().families[0].clone();
    assert_eq!(
        (family.prefixes, family.kept.unwrap().not_kept),
        (Some(4), 0)
    );
}

fn refresh(family: Family) -> Message {
    Message::RouteRefresh(RouteRefresh { family, subtype: 0 })
}

#[test]
fn the_neighbor_can_be_asked_for_its_routes_once_more() {
    let ask = |script: &mut Script, family| script.session.request_refresh(script.now, family);
    let mut script = Script::established(config());
    assert_eq!(ask(&mut script, Family::IPV6_UNICAST), Ok(()));
    assert_eq!(script.sent(), [refresh(Family::IPV6_UNICAST)]);
    assert_eq!(script.session.status().sent.route_refresh, 1);

    let mut mute = capabilities();
    mute.remove(2);
    let mut script = Script::established_with(config(), mute);
    let outcome = ask(&mut script, Family::IPV4_UNICAST);
    assert_eq!(outcome, Err(RefreshError::NotOffered));

    let mut ipv4_only = capabilities();
    ipv4_only.remove(1);
    let mut script = Script::established_with(config(), ipv4_only);
    let outcome = ask(&mut script, Family::IPV6_UNICAST);
    let not_negotiated = RefreshError::NotNegotiated(Family::IPV6_UNICAST);
    assert_eq!(outcome, Err(not_negotiated));

    let mut script = Script::open_confirm(config());
    let outcome = ask(&mut script, Family::IPV4_UNICAST);
    assert_eq!(outcome, Err(RefreshError::NotEstablished));
}

#[test]
fn routes_that_are_to_be_kept_from_now_on_are_asked_for() {
    let mut script = Script::established(config());
    script.receive(&announcement(hosts(2)));
    script.session.set_config(script.now, keeping());
    let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    assert_eq!(script.sent(), families.map(refresh));
    script.receive(&announcement(hosts(2)));
    assert_eq!(kept(&script).len(), 2);
    script.session.set_config(script.now, config());
    assert_eq!(kept(&script).len(), 0);
    assert_eq!(script.sent(), []);
}

#[test]
fn both_families_are_kept() {
    let mut script = Script::established(keeping());
    let reach = hex("80 0e 1c 0002 01 10 20010db8000000000000000000000001 00 30 20010db80005");
    script.receive_octets(&update(
        &[],
        &[reach, hex(ORIGIN), hex(AS_PATH)].concat(),
        &[],
    ));
    script.receive(&announcement(hosts(1)));
    assert_eq!(kept(&script), ["10.0.0.0/32", "2001:db8:5::/48"]);
    let prefix: IpNet = "2001:db8:5::/48".parse().unwrap();
    let status = script.session.status();
    let ipv6 = status
        .families
        .iter()
        .find(|family| family.family == Family::of(&prefix));
    assert_eq!(ipv6.unwrap().prefixes, Some(1));
}
