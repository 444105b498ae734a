//! Unsolicited BFD (RFC 9468).

use super::*;
use crate::authentication::{AuthType, Authentication, AuthenticationKey, Authenticator};
use crate::network::Network;

const RETENTION: Duration = crate::endpoint::unsolicited::RETENTION;

fn network(address: &str, prefix_length: u8) -> Network {
    Network::new(ip(address), prefix_length).unwrap()
}

fn range(name: &str, networks: Vec<Network>) -> Range {
    Range {
        name: name.into(),
        networks,
        interface: None,
        port: 3784,
        config: SessionConfig::default(),
        max_sessions: 3,
    }
}

fn fabric() -> Range {
    range("fabric", vec![network("192.0.2.0", 25)])
}

/// An endpoint on a host with eth0 and eth1, that accepts from these ranges.
fn rig(ranges: Vec<Range>) -> Rig {
    let mut rig = Rig::new();
    let link = |index, name: &str, networks| Link {
        index,
        name: name.to_owned(),
        networks,
    };
    rig.endpoint.set_links(vec![
        link(2, "eth0", vec![network(OURS, 24), network("fe80::2", 64)]),
        link(3, "eth1", vec![network("198.51.100.2", 24)]),
    ]);
    rig.endpoint.set_ranges(rig.now, ranges);
    rig
}

fn status(rig: &Rig) -> RangeStatus {
    rig.endpoint.range_status().remove(0)
}

fn down() -> ControlPacket {
    packet(State::Down, None)
}

fn accepted(rig: &mut Rig, source: &str) -> SessionId {
    rig.hear(&meta(source), &down()).unwrap()
}

#[test]
fn c_172_a_down_packet_begins_a_passive_session() {
    let mut rig = rig(vec![fabric()]);
    assert_eq!(rig.pass(SECOND * 10), [], "nobody is spoken to first");
    let id = accepted(&mut rig, PEER);
    let change = |event: &Event| match event {
        Event::StateChanged(change) => Some((change.session, change.to)),
        _ => None,
    };
    let events = rig.events();
    assert_eq!(events[0], Event::Accepted(id));
    assert_eq!(change(&events[1]), Some((id, State::Init)));
    let status = rig.endpoint.session_status(id).unwrap();
    assert!(status.config.passive);
    assert_eq!(status.range.as_deref(), Some("fabric"));
    assert_eq!(
        status.key,
        SessionKey {
            local: Some(ip(OURS)),
            interface: Some("eth0".to_owned()),
            ..key(PEER)
        }
    );
    let answer = ControlPacket::parse(&rig.sent()[0].payload).unwrap();
    assert_eq!(answer.state, State::Init);
    assert_eq!(answer.your_discriminator, NonZeroU32::new(0x7777));
    rig.hear(&meta(PEER), &packet(State::Up, Some(id))).unwrap();
    assert_eq!(rig.state(id), State::Up);
    assert_eq!(rig.hear(&meta(PEER), &down()), Ok(id), "there is one");
}

#[test]
fn c_172_nothing_else_begins_a_session() {
    let mut rig = rig(vec![fabric()]);
    for state in [State::AdminDown, State::Init, State::Up] {
        assert!(rig.hear(&meta(PEER), &packet(state, None)).is_err());
    }
    let unknown = SessionId::new(NonZeroU32::MIN);
    assert!(
        rig.hear(&meta(PEER), &packet(State::Down, Some(unknown)))
            .is_err()
    );
    assert_eq!(
        rig.hear(&meta("192.0.2.129"), &down()),
        Err(Discard::NoSession),
        "out of the range"
    );
    rig.endpoint.set_ranges(rig.now, Vec::new());
    assert_eq!(rig.hear(&meta(PEER), &down()), Err(Discard::NoSession));
    assert!(rig.endpoint.is_empty());
    assert_eq!(rig.events(), []);
}

#[test]
fn c_173_the_sender_is_in_a_network_of_the_interface() {
    let wide = range("wide", vec![network("0.0.0.0", 0), network("::", 0)]);
    let mut rig = rig(vec![wide]);
    let at = |source, interface_index, destination| RxMeta {
        interface_index,
        destination: ip(destination),
        ..meta(source)
    };
    for (stranger, expected) in [
        (at(PEER, Some(3), OURS), Discard::OffLink),
        (at(PEER, Some(9), OURS), Discard::OffLink),
        (at("203.0.113.1", Some(2), OURS), Discard::OffLink),
        (at("2001:db8::1", Some(2), "fe80::2"), Discard::OffLink),
        // A broadcast is for nobody in particular.
        (at(PEER, Some(2), "192.0.2.255"), Discard::OffLink),
        (at(PEER, None, OURS), Discard::NoSession),
    ] {
        assert_eq!(rig.hear(&stranger, &down()), Err(expected), "{stranger:?}");
    }
    assert!(rig.endpoint.is_empty());
    // An address of ours on another interface is ours, too.
    for neighbor in [
        at(PEER, Some(2), "198.51.100.2"),
        at("fe80::1", Some(2), "fe80::2"),
    ] {
        let id = rig.hear(&neighbor, &down()).unwrap();
        assert!(rig.endpoint.session(id).is_some());
    }
    assert_eq!(rig.endpoint.discards().get("off-link"), 5);
}

#[test]
fn c_173_single_hop_and_ttl_255_only() {
    let mut rig = rig(vec![fabric()]);
    for ttl in [Some(254), None] {
        let far = RxMeta { ttl, ..meta(PEER) };
        assert!(matches!(rig.hear(&far, &down()), Err(Discard::Ttl { .. })));
    }
    let multihop = RxMeta {
        encapsulation: Encapsulation::Multihop,
        ..meta(PEER)
    };
    assert_eq!(rig.hear(&multihop, &down()), Err(Discard::NoSession));
    assert!(rig.endpoint.is_empty());
}

#[test]
fn c_173_the_interface_and_the_longest_prefix_choose_the_range() {
    let at_eth1 = Range {
        interface: Some("eth1".to_owned()),
        ..range("eth1", vec![network("192.0.2.0", 26)])
    };
    let one = range("one", vec![network(PEER, 32)]);
    let mut rig = rig(vec![fabric(), at_eth1, one]);
    for (source, expected) in [(PEER, "one"), ("192.0.2.9", "fabric")] {
        let id = accepted(&mut rig, source);
        assert_eq!(rig.endpoint.range_of(id).unwrap().as_ref(), expected);
    }
}

#[test]
fn c_174_who_has_not_the_key_begins_nothing() {
    let keys = |secret: &[u8]| {
        let key = AuthenticationKey::new(AuthType::MeticulousKeyedSha1, 1, secret).unwrap();
        Authentication::new([key]).unwrap()
    };
    let mut rig = rig(vec![Range {
        config: SessionConfig {
            authentication: Some(keys(b"right")),
            ..SessionConfig::default()
        },
        ..fabric()
    }]);
    let now = rig.now;
    let signed = |secret| Authenticator::new(keys(secret), 7).sign(now, down());
    assert_eq!(
        rig.hear(&meta(PEER), &down()),
        Err(Discard::MissingAuthentication)
    );
    assert_eq!(
        rig.hear(&meta(PEER), &signed(b"wrong")),
        Err(Discard::AuthenticationDigest)
    );
    assert!(rig.endpoint.is_empty());
    assert_eq!(rig.events(), []);
    let id = rig.hear(&meta(PEER), &signed(b"right")).unwrap();
    assert_eq!(rig.state(id), State::Init);

    rig.endpoint
        .set_ranges(rig.now, vec![range("open", fabric().networks)]);
    assert_eq!(
        rig.hear(&meta("192.0.2.9"), &signed(b"right")),
        Err(Discard::UnexpectedAuthentication)
    );
}

#[test]
fn c_175_a_flood_of_senders_meets_a_limit() {
    let mut rig = rig(vec![fabric()]);
    let sources: Vec<_> = (1..=120).map(|host| format!("192.0.2.{host}")).collect();
    let hear_all = |rig: &mut Rig| {
        let outcomes = sources.iter().map(|source| {
            // Its own address may be among them, as the sender of what is forged.
            rig.hear(&meta(source), &down())
        });
        outcomes.filter(Result::is_ok).count()
    };
    assert_eq!(hear_all(&mut rig), 3);
    let full = Event::RangeFull {
        range: "fabric".into(),
    };
    let told = rig.events().into_iter().filter(|event| *event == full);
    assert_eq!(told.count(), 1, "one line for all of them");
    assert_eq!(rig.endpoint.len(), 3);
    assert_eq!(status(&rig).refused, 117);
    assert_eq!(rig.endpoint.discards().get("range-full"), 117);
    // Those that are there live on.
    assert_eq!(hear_all(&mut rig), 3);
    assert_eq!(rig.endpoint.len(), 3);
    assert!(!rig.events().contains(&full));
}

#[test]
fn c_175_a_session_that_has_fallen_silent_gives_way() {
    let mut rig = rig(vec![fabric()]);
    let first = accepted(&mut rig, "192.0.2.10");
    let others = ["192.0.2.11", "192.0.2.12"].map(|source| {
        let id = accepted(&mut rig, source);
        rig.bring_up(&meta(source), id);
        id
    });
    assert!(rig.hear(&meta(PEER), &down()).is_err());
    // The Detection Time of what is Init: the remote system's 300 ms, three times.
    rig.pass(SECOND * 4);
    let new = accepted(&mut rig, PEER);
    assert!(rig.endpoint.session(first).is_none());
    assert!(rig.events().contains(&Event::Removed(first)));
    assert!(rig.endpoint.session(new).is_some());
    assert_eq!(status(&rig).sessions, 3);
    // They are Down for lack of packets, and one of them is next.
    accepted(&mut rig, "192.0.2.13");
    let left = others.map(|id| rig.endpoint.session(id).is_some());
    assert_eq!(left.iter().filter(|is_left| **is_left).count(), 1);
}

#[test]
fn c_176_what_goes_down_falls_silent_and_is_deleted_after_a_while() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    rig.bring_up(&meta(PEER), id);
    rig.pass(SECOND);
    assert_eq!(rig.state(id), State::Down, "nothing came");
    rig.sent();
    assert_eq!(rig.pass(SECOND), [], "the passive side stops sending");
    rig.pass(RETENTION - SECOND * 2);
    assert!(rig.endpoint.session_status(id).is_some(), "to be looked at");
    rig.pass(SECOND * 2);
    assert!(rig.endpoint.is_empty());
    assert!(rig.events().contains(&Event::Removed(id)));
    assert_eq!(status(&rig).sessions, 0);
    assert_eq!(rig.endpoint.poll_timeout(), None);
    assert_ne!(accepted(&mut rig, PEER), id, "it may begin again");
}

#[test]
fn c_176_what_does_not_come_up_is_deleted_too() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    // It speaks, and does not hear us.
    for _ in 0..59 {
        rig.pass(SECOND);
        assert_eq!(rig.hear(&meta(PEER), &down()), Ok(id));
    }
    rig.pass(SECOND * 2);
    assert!(rig.endpoint.session(id).is_none());
    assert!(rig.endpoint.is_empty());
}

#[test]
fn c_176_a_session_that_comes_back_stays() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    rig.bring_up(&meta(PEER), id);
    rig.pass(RETENTION / 2);
    assert_eq!(rig.state(id), State::Down);
    rig.bring_up(&meta(PEER), id);
    for _ in 0..1000 {
        rig.pass(Duration::from_millis(300));
        rig.hear(&meta(PEER), &packet(State::Up, Some(id))).unwrap();
    }
    assert_eq!(rig.state(id), State::Up);
}

#[test]
fn c_176_a_remote_system_that_says_admin_down_has_no_session() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    rig.bring_up(&meta(PEER), id);
    rig.sent();
    rig.hear(&meta(PEER), &packet(State::AdminDown, Some(id)))
        .unwrap();
    assert!(rig.endpoint.is_empty());
    assert_eq!(rig.sent(), []);
    assert!(
        rig.hear(&meta(PEER), &packet(State::AdminDown, None))
            .is_err()
    );
}

#[test]
fn c_177_a_session_that_was_added_goes_before() {
    let mut rig = rig(vec![fabric()]);
    let added = rig.add(SessionKey {
        local: Some(ip("192.0.2.3")),
        ..key(PEER)
    });
    assert_eq!(
        rig.hear(&meta(PEER), &down()),
        Err(Discard::NoSession),
        "the address is another, and the session is not the range's"
    );
    rig.endpoint.set_admin_down(rig.now, added, true);
    assert!(rig.hear(&meta(PEER), &down()).is_err());
    assert_eq!(rig.endpoint.len(), 1);
}

#[test]
fn c_177_a_session_that_is_added_takes_the_place() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    rig.bring_up(&meta(PEER), id);
    let added = rig.add(key(PEER));
    assert!(rig.endpoint.session(id).is_none());
    assert_eq!(rig.endpoint.len(), 1);
    assert_eq!(status(&rig).sessions, 0);
    assert_eq!(rig.hear(&meta(PEER), &down()), Ok(added));
    rig.endpoint.remove(rig.now, added);
    assert_eq!(
        rig.hear(&meta(PEER), &down()),
        Err(Discard::AdminDown),
        "it is still being told"
    );
    rig.pass(SECOND * 5);
    accepted(&mut rig, PEER);
}

#[test]
fn c_178_the_end_of_a_range_is_said_to_its_sessions() {
    let mut rig = rig(vec![fabric()]);
    let [inside, outside] = [PEER, "192.0.2.100"].map(|source| {
        let id = accepted(&mut rig, source);
        rig.bring_up(&meta(source), id);
        id
    });
    rig.sent();
    let narrow = range("fabric", vec![network("192.0.2.0", 28)]);
    rig.endpoint.set_ranges(rig.now, vec![narrow]);
    assert_eq!(rig.state(inside), State::Up);
    assert_eq!(rig.state(outside), State::AdminDown);
    rig.endpoint.set_ranges(rig.now, Vec::new());
    assert_eq!(rig.state(inside), State::AdminDown);
    for transmit in rig.sent() {
        let said = ControlPacket::parse(&transmit.payload).unwrap();
        assert_eq!(said.state, State::AdminDown);
    }
    rig.pass(SECOND * 5);
    assert!(rig.endpoint.is_empty());
}

#[test]
fn c_178_the_sessions_follow_the_configuration_of_their_range() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    rig.bring_up(&meta(PEER), id);
    let interval = Micros::from_millis(100);
    rig.endpoint.set_ranges(
        rig.now,
        vec![Range {
            config: SessionConfig {
                desired_min_tx_interval: interval,
                ..SessionConfig::default()
            },
            max_sessions: 0,
            ..fabric()
        }],
    );
    let status = rig.endpoint.session_status(id).unwrap();
    assert_eq!(status.session_state, State::Up);
    assert_eq!(status.config.desired_min_tx_interval, interval);
    assert!(status.config.passive);
    assert!(rig.hear(&meta("192.0.2.9"), &down()).is_err());
}

#[test]
fn what_cannot_be_sent_for_is_released_and_counted() {
    let mut rig = rig(vec![fabric()]);
    let id = accepted(&mut rig, PEER);
    assert!(rig.endpoint.release_failed(rig.now, id));
    assert!(rig.endpoint.is_empty());
    assert_eq!((status(&rig).sessions, status(&rig).failed), (0, 1));
    let again = accepted(&mut rig, PEER);
    assert!(!rig.endpoint.release_failed(rig.now, again), "said once");
    assert_eq!(status(&rig).failed, 2);
    let added = rig.add(key("192.0.2.9"));
    assert!(!rig.endpoint.release_failed(rig.now, added));
    assert!(rig.endpoint.session(added).is_some());
}
