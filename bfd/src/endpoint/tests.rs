//! Demultiplexing, encapsulation and the life of sessions. One test per rule, named as in the conformance list.
#![allow(clippy::disallowed_methods)]

mod unsolicited;

use std::num::NonZeroU8;

use super::*;
use crate::key::{HopKind, TRANSMIT_TTL};
use crate::packet::{Diagnostic, Micros, ParseError, PollFinal};

const SECOND: Duration = Duration::from_secs(1);
const PEER: &str = "192.0.2.1";
const OURS: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(peer: &str) -> SessionKey {
    SessionKey::single_hop(ip(peer))
}

fn multihop(peer: &str, minimum_ttl: u8) -> SessionKey {
    SessionKey {
        remote: SocketAddr::new(ip(peer), 4784),
        hop: HopKind::Multi { minimum_ttl },
        ..key(peer)
    }
}

fn meta(source: &str) -> RxMeta {
    RxMeta {
        source: SocketAddr::new(ip(source), 49152),
        destination: ip(OURS),
        interface_index: Some(2),
        ttl: Some(TRANSMIT_TTL),
        encapsulation: Encapsulation::SingleHop,
    }
}

fn packet(state: State, your_discriminator: Option<SessionId>) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll_final: PollFinal::Neither,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(0x7777).unwrap(),
        your_discriminator: your_discriminator.map(SessionId::local_discr),
        desired_min_tx_interval: Micros::from_millis(300),
        required_min_rx_interval: Micros::from_millis(300),
        required_min_echo_rx_interval: Micros::ZERO,
        authentication: None,
    }
}

struct Rig {
    endpoint: Endpoint,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self {
            endpoint: Endpoint::new(1),
            now: Instant::now(),
        }
    }

    fn add(&mut self, key: SessionKey) -> SessionId {
        self.add_at(key, None)
    }

    fn add_at(&mut self, key: SessionKey, interface_index: Option<u32>) -> SessionId {
        self.endpoint
            .add(self.now, key, interface_index, SessionConfig::default())
            .unwrap()
    }

    fn hear(&mut self, meta: &RxMeta, packet: &ControlPacket) -> Result<SessionId, Discard> {
        self.endpoint
            .handle_datagram(self.now, meta, &packet.encode())
    }

    fn bring_up(&mut self, meta: &RxMeta, id: SessionId) {
        self.hear(meta, &packet(State::Down, Some(id))).unwrap();
        self.hear(meta, &packet(State::Up, Some(id))).unwrap();
        assert_eq!(self.state(id), State::Up);
    }

    fn state(&self, id: SessionId) -> State {
        self.endpoint.session(id).unwrap().state()
    }

    fn sent(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.endpoint.poll_transmit(self.now)).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<Transmit> {
        let end = self.now + time;
        let mut sent = self.sent();
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }
}

#[test]
fn c_118_your_discriminator_selects_alone() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let other = rig.add(key("192.0.2.9"));
    // Sent from an address that belongs to another session, or to none.
    for source in ["192.0.2.9", "198.51.100.1"] {
        assert_eq!(
            rig.hear(&meta(source), &packet(State::Down, Some(id))),
            Ok(id)
        );
    }
    assert_eq!(rig.state(other), State::Down);
}

#[test]
fn a_session_with_ourselves_never_comes_up() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let own = |your| ControlPacket {
        my_discriminator: id.local_discr(),
        ..packet(State::Down, your)
    };
    // The peer's address has become one of this host.
    let looped = RxMeta {
        destination: ip(PEER),
        ..meta(PEER)
    };
    for your in [None, Some(id)] {
        assert_eq!(rig.hear(&looped, &own(your)), Err(Discard::OwnPacket));
    }
    assert_eq!(rig.state(id), State::Down);
    let status = rig.endpoint.session_status(id).unwrap();
    assert_eq!(status.counters.discarded.get("own-packet"), 2);
    // Another system may have chosen the same number, and another session may be at this address.
    assert_eq!(rig.hear(&meta(PEER), &own(None)), Ok(id));
    assert_eq!(rig.hear(&looped, &packet(State::Down, None)), Ok(id));
}

#[test]
fn c_148_nobody_waits_for_who_was_never_heard() {
    let mut rig = Rig::new();
    rig.add(key("192.0.2.9"));
    assert_eq!(rig.endpoint.longest_detection_time(), Duration::ZERO);
    let id = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), id);
    assert!(rig.endpoint.longest_detection_time() > Duration::ZERO);
}

#[test]
fn c_118_an_unknown_discriminator_never_falls_back_to_addresses() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let stale = SessionId::new(NonZeroU32::new(id.local_discr().get() ^ 1).unwrap());
    assert_eq!(
        rig.hear(&meta(PEER), &packet(State::Down, Some(stale))),
        Err(Discard::UnknownDiscriminator(stale.local_discr().get()))
    );
    assert_eq!(rig.state(id), State::Down);
    assert_eq!(rig.endpoint.discards().get("unknown-discriminator"), 1);
}

#[test]
fn c_119_f_62_without_your_discriminator_only_down_and_admin_down_may_come() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    for state in [State::Init, State::Up] {
        assert_eq!(
            rig.hear(&meta(PEER), &packet(state, None)),
            Err(Discard::YourDiscriminatorZero(state))
        );
    }
    for state in [State::AdminDown, State::Down] {
        assert_eq!(rig.hear(&meta(PEER), &packet(state, None)), Ok(id));
    }
    assert_eq!(
        rig.hear(&meta("192.0.2.9"), &packet(State::Down, None)),
        Err(Discard::NoSession)
    );
}

#[test]
fn c_119_interface_and_local_address_choose_among_sessions_with_one_peer() {
    let mut rig = Rig::new();
    let anywhere = rig.add(key(PEER));
    let at = |interface: &str| SessionKey {
        interface: Some(interface.to_owned()),
        ..key(PEER)
    };
    let eth0 = rig.add_at(at("eth0"), Some(2));
    let eth1 = rig.add_at(at("eth1"), Some(3));
    let to_ours = rig.add(SessionKey {
        local: Some(ip(OURS)),
        ..key(PEER)
    });
    let down = packet(State::Down, None);
    let mut select = |interface_index, destination| {
        let meta = RxMeta {
            interface_index: Some(interface_index),
            destination: ip(destination),
            ..meta(PEER)
        };
        rig.hear(&meta, &down).unwrap()
    };
    assert_eq!(select(2, OURS), eth0);
    assert_eq!(select(3, OURS), eth1);
    assert_eq!(select(4, OURS), to_ours);
    assert_eq!(select(4, "192.0.2.3"), anywhere);
}

#[test]
fn c_133_f_75_single_hop_demands_ttl_255() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let before = rig.endpoint.status();
    for ttl in [Some(254), Some(64), Some(1), Some(0), None] {
        for your in [None, Some(id)] {
            let far = RxMeta { ttl, ..meta(PEER) };
            let discard = rig.hear(&far, &packet(State::Down, your)).unwrap_err();
            assert_eq!(
                discard,
                Discard::Ttl {
                    got: ttl,
                    minimum: 255
                }
            );
        }
    }
    let mut after = rig.endpoint.status();
    assert_eq!(after[0].counters.discarded.get("ttl"), 10);
    after[0].counters.discarded = DiscardCounters::default();
    assert_eq!(after, before, "nothing else was touched");
}

#[test]
fn c_133_f_76_the_wrong_interface_is_refused() {
    let mut rig = Rig::new();
    let id = rig.add_at(
        SessionKey {
            interface: Some("eth0".to_owned()),
            ..key(PEER)
        },
        Some(2),
    );
    for got in [Some(3), None] {
        let meta = RxMeta {
            interface_index: got,
            ..meta(PEER)
        };
        assert_eq!(
            rig.hear(&meta, &packet(State::Down, Some(id))),
            Err(Discard::Interface { got, expected: 2 })
        );
        assert_eq!(
            rig.hear(&meta, &packet(State::Down, None)),
            Err(Discard::NoSession)
        );
    }
    assert_eq!(rig.hear(&meta(PEER), &packet(State::Down, None)), Ok(id));
}

#[test]
fn c_154_c_155_f_91_f_92_source_port_and_address_may_change() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    for (source, port) in [(PEER, 1024), (PEER, 3784), ("192.0.2.77", 50000)] {
        let meta = RxMeta {
            source: SocketAddr::new(ip(source), port),
            ..meta(PEER)
        };
        assert_eq!(rig.hear(&meta, &packet(State::Down, Some(id))), Ok(id));
    }
    assert!(
        rig.sent()
            .iter()
            .all(|transmit| transmit.destination == SocketAddr::new(ip(PEER), 3784)),
        "what comes in does not move where we send"
    );
}

#[test]
fn c_155_on_a_point_to_point_link_any_source_is_accepted() {
    let mut rig = Rig::new();
    let at_tunnel = SessionKey {
        interface: Some("tun0".to_owned()),
        ..key(PEER)
    };
    let add = |rig: &mut Rig, key| {
        let config = SessionConfig::default();
        rig.endpoint.add(rig.now, key, Some(5), config).unwrap()
    };
    let id = add(&mut rig, at_tunnel.clone());
    let elsewhere = rig.add(key("192.0.2.9"));
    let stranger = RxMeta {
        interface_index: Some(5),
        ..meta("198.51.100.1")
    };
    let first = packet(State::Down, None);
    assert_eq!(rig.hear(&stranger, &first), Err(Discard::NoSession));
    rig.endpoint.set_point_to_point(id, true);
    // That one has no interface of which it could be true.
    rig.endpoint.set_point_to_point(elsewhere, true);
    assert_eq!(
        rig.hear(&meta("198.51.100.1"), &first),
        Err(Discard::NoSession)
    );
    let over_ipv6 = RxMeta {
        source: "[2001:db8::1]:49152".parse().unwrap(),
        ..stranger
    };
    assert_eq!(rig.hear(&over_ipv6, &first), Err(Discard::NoSession));
    assert_eq!(rig.hear(&stranger, &first), Ok(id));
    assert_eq!(rig.hear(&stranger, &packet(State::Init, Some(id))), Ok(id));
    assert_eq!(rig.endpoint.session(id).unwrap().state(), State::Up);
    let sent = rig.sent();
    let ours = sent.iter().filter(|transmit| transmit.session == id);
    for transmit in ours {
        assert_eq!(transmit.destination, SocketAddr::new(ip(PEER), 3784));
    }
    // The TTL counts all the same, and of two sessions neither is meant.
    let from_afar = RxMeta {
        ttl: Some(254),
        ..stranger
    };
    assert!(matches!(
        rig.hear(&from_afar, &first),
        Err(Discard::Ttl { .. })
    ));
    let other = add(
        &mut rig,
        SessionKey {
            remote: SocketAddr::new(ip("192.0.2.8"), 3784),
            ..at_tunnel
        },
    );
    rig.endpoint.set_point_to_point(other, true);
    assert_eq!(rig.hear(&stranger, &first), Err(Discard::NoSession));
    rig.endpoint.remove(rig.now, other);
    assert_eq!(rig.hear(&stranger, &first), Ok(id));
}

#[test]
fn c_156_multihop_has_a_minimum_ttl() {
    for minimum_ttl in [254, 1] {
        let mut rig = Rig::new();
        let id = rig.add(multihop(PEER, minimum_ttl));
        let at = |ttl| RxMeta {
            ttl: Some(ttl),
            encapsulation: Encapsulation::Multihop,
            ..meta(PEER)
        };
        assert_eq!(
            rig.hear(&at(minimum_ttl), &packet(State::Down, None)),
            Ok(id)
        );
        assert_eq!(
            rig.hear(&at(minimum_ttl - 1), &packet(State::Down, Some(id))),
            Err(Discard::Ttl {
                got: Some(minimum_ttl - 1),
                minimum: minimum_ttl
            })
        );
    }
}

#[test]
fn c_157_f_77_ports_do_not_leak() {
    let mut rig = Rig::new();
    let single = rig.add(key(PEER));
    let multi = rig.add(multihop(PEER, 1));
    let at_multihop = RxMeta {
        encapsulation: Encapsulation::Multihop,
        ..meta(PEER)
    };
    assert_eq!(
        rig.hear(&at_multihop, &packet(State::Down, Some(single))),
        Err(Discard::HopKind)
    );
    assert_eq!(
        rig.hear(&meta(PEER), &packet(State::Down, Some(multi))),
        Err(Discard::HopKind)
    );
    assert_eq!(
        rig.hear(&meta(PEER), &packet(State::Down, None)),
        Ok(single)
    );
    assert_eq!(
        rig.hear(&at_multihop, &packet(State::Down, None)),
        Ok(multi)
    );
}

#[test]
fn c_158_link_local_sessions_belong_to_their_interface() {
    let mut rig = Rig::new();
    let scoped = |scope_id| SessionKey {
        remote: format!("[fe80::1%{scope_id}]:3784").parse().unwrap(),
        ..key("fe80::1")
    };
    let (two, three) = (rig.add(scoped(2)), rig.add(scoped(3)));
    for (index, id) in [(2, two), (3, three)] {
        let meta = RxMeta {
            source: format!("[fe80::1%{index}]:50000").parse().unwrap(),
            destination: ip("fe80::2"),
            interface_index: Some(index),
            ..meta(PEER)
        };
        assert_eq!(rig.hear(&meta, &packet(State::Down, None)), Ok(id));
    }
}

#[test]
fn c_158_a_session_follows_its_interface_to_another_index() {
    let mut rig = Rig::new();
    let id = rig.add_at(
        SessionKey {
            interface: Some("eth0".to_owned()),
            ..key("fe80::1")
        },
        Some(2),
    );
    let scope = |sent: Vec<Transmit>| match sent[0].destination {
        SocketAddr::V6(destination) => destination.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    assert_eq!(scope(rig.sent()), 2);
    rig.endpoint.set_interface_index(id, Some(9));
    assert_eq!(scope(rig.pass(SECOND)), 9);
    let meta = RxMeta {
        interface_index: Some(9),
        ..meta("fe80::1")
    };
    assert_eq!(rig.hear(&meta, &packet(State::Down, None)), Ok(id));
}

#[test]
fn c_148_removal_says_admin_down_for_a_detection_time_and_frees() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), id);
    rig.sent();
    rig.events();
    rig.endpoint.remove(rig.now, id);
    let sent = rig.pass(SECOND * 3 - Duration::from_nanos(1));
    assert!(sent.len() >= 3);
    for transmit in sent {
        let packet = ControlPacket::parse(&transmit.payload).unwrap();
        assert_eq!(packet.state, State::AdminDown);
        assert_eq!(packet.diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    }
    assert!(!rig.endpoint.is_empty());
    assert_eq!(rig.endpoint.status(), [], "already gone for its user");
    rig.pass(Duration::from_nanos(1));
    assert!(rig.endpoint.is_empty());
    let events = rig.events();
    assert!(matches!(events[0], Event::StateChanged(change) if change.to == State::AdminDown));
    assert_eq!(events[1..], [Event::Removed(id)]);
    assert_eq!(rig.pass(SECOND * 60), []);
}

#[test]
fn c_148_a_remote_system_does_not_keep_a_removed_session_for_long() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let slow = ControlPacket {
        required_min_rx_interval: Micros::new(u32::MAX),
        detect_mult: NonZeroU8::MAX,
        ..packet(State::Down, None)
    };
    rig.hear(&meta(PEER), &slow).unwrap();
    assert!(rig.endpoint.longest_detection_time() > SECOND * 3600);
    rig.endpoint.remove(rig.now, id);
    rig.pass(SECOND * 59);
    assert!(!rig.endpoint.is_empty());
    rig.pass(SECOND);
    assert!(rig.endpoint.is_empty());
}

#[test]
fn c_148_a_session_without_a_listener_says_it_once() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    rig.sent();
    rig.endpoint.remove(rig.now, id);
    rig.endpoint.handle_timeout(rig.now);
    assert!(!rig.endpoint.is_empty(), "it has not spoken yet");
    assert_eq!(rig.pass(SECOND).len(), 1);
    assert!(rig.endpoint.is_empty());
}

#[test]
fn a_session_being_removed_gives_way_to_a_new_one() {
    let mut rig = Rig::new();
    let old = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), old);
    let exists = rig
        .endpoint
        .add(rig.now, key(PEER), None, SessionConfig::default());
    assert_eq!(exists, Err(AddError::Exists(old)));
    rig.endpoint.remove(rig.now, old);
    rig.sent();
    let new = rig.add(key(PEER));
    assert_ne!(new, old);
    assert!(rig.endpoint.session(old).is_none());
    assert!(rig.events().contains(&Event::Removed(old)));
    assert_eq!(rig.hear(&meta(PEER), &packet(State::Down, None)), Ok(new));
}

#[test]
fn c_148_a_session_that_comes_back_at_once_has_said_admin_down() {
    let mut rig = Rig::new();
    let old = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), old);
    rig.sent();
    rig.endpoint.remove(rig.now, old);
    let new = rig.add(key(PEER));
    let said = rig.sent().into_iter().map(|transmit| {
        let packet = ControlPacket::parse(&transmit.payload).unwrap();
        (transmit.session, packet.state)
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said, [(old, State::AdminDown), (new, State::Down)]);
    rig.endpoint.handle_timeout(rig.now);
    assert!(rig.endpoint.session(old).is_none());
}

#[test]
fn c_148_what_is_being_removed_stays_administratively_down() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), id);
    rig.endpoint.remove(rig.now, id);
    rig.endpoint.set_admin_down(rig.now, id, false);
    rig.endpoint.take_down(rig.now, id, Diagnostic::PATH_DOWN);
    rig.endpoint
        .set_config(rig.now, id, SessionConfig::default());
    rig.endpoint.remove(rig.now, id);
    assert_eq!(
        rig.hear(&meta(PEER), &packet(State::Init, Some(id))),
        Err(Discard::AdminDown)
    );
    assert_eq!(rig.state(id), State::AdminDown);
    rig.pass(SECOND * 3);
    assert!(rig.endpoint.is_empty());
}

#[test]
fn c_150_discriminators_are_random_unique_and_rest_before_they_return() {
    let mut rig = Rig::new();
    let ids: BTreeSet<_> = (0..2000)
        .map(|n| rig.add(key(&format!("10.0.{}.{}", n / 250, n % 250))))
        .collect();
    assert_eq!(ids.len(), 2000);
    let above_half = ids
        .iter()
        .filter(|id| id.local_discr().get() > u32::MAX / 2)
        .count();
    assert!((800..1200).contains(&above_half));

    let id = *ids.first().unwrap();
    rig.bring_up(&meta(PEER), id);
    rig.endpoint.remove(rig.now, id);
    rig.pass(SECOND * 3);
    assert!(rig.endpoint.session(id).is_none());
    rig.now += SECOND * 6 - Duration::from_nanos(1);
    rig.add(key("10.1.0.1"));
    assert!(rig.endpoint.retired.contains_key(&id));
    rig.now += Duration::from_nanos(1);
    rig.add(key("10.1.0.2"));
    assert!(!rig.endpoint.retired.contains_key(&id));
}

#[test]
fn f_81_a_down_without_discriminator_counts_only_from_where_the_session_is() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), id);
    let down = packet(State::Down, None);
    let far = RxMeta {
        ttl: Some(254),
        ..meta(PEER)
    };
    assert!(rig.hear(&far, &down).is_err());
    assert!(rig.hear(&meta("192.0.2.66"), &down).is_err());
    assert_eq!(rig.state(id), State::Up);
    assert_eq!(rig.hear(&meta(PEER), &down), Ok(id));
    assert_eq!(rig.state(id), State::Down);
}

#[test]
fn f_81_a_down_without_discriminator_counts_only_at_the_link_of_a_session_that_is_up() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    let down = packet(State::Down, None);
    let at = |interface_index| RxMeta {
        interface_index,
        ..meta(PEER)
    };
    // Nobody has been heard yet.
    assert_eq!(rig.hear(&at(Some(7)), &down), Ok(id));
    rig.bring_up(&at(Some(2)), id);
    for got in [Some(7), None] {
        let expected = 2;
        let refused = rig.hear(&at(got), &down);
        assert_eq!(refused, Err(Discard::Interface { got, expected }));
    }
    assert_eq!(rig.state(id), State::Up);
    // Who knows our discriminator may come another way, and is expected there from then on.
    rig.hear(&at(Some(7)), &packet(State::Up, Some(id)))
        .unwrap();
    assert_eq!(rig.hear(&at(Some(7)), &down), Ok(id));
    assert_eq!(rig.state(id), State::Down);
}

#[test]
fn f_85_a_peer_restarted_with_another_discriminator_comes_back() {
    let mut rig = Rig::new();
    let id = rig.add(key(PEER));
    rig.bring_up(&meta(PEER), id);
    let renamed = |state, your| ControlPacket {
        my_discriminator: NonZeroU32::new(0x8888).unwrap(),
        ..packet(state, your)
    };
    rig.hear(&meta(PEER), &renamed(State::Down, None)).unwrap();
    assert_eq!(rig.state(id), State::Down);
    rig.hear(&meta(PEER), &renamed(State::Down, Some(id)))
        .unwrap();
    rig.hear(&meta(PEER), &renamed(State::Up, Some(id)))
        .unwrap();
    assert_eq!(rig.state(id), State::Up);
    assert_eq!(
        rig.endpoint.status()[0].remote_discr,
        NonZeroU32::new(0x8888)
    );
}

#[test]
fn garbage_is_counted_with_nobody() {
    let mut rig = Rig::new();
    rig.add(key(PEER));
    let outcome = rig
        .endpoint
        .handle_datagram(rig.now, &meta(PEER), &[0x20; 23]);
    assert_eq!(
        outcome,
        Err(Discard::Malformed(ParseError::TooShort { payload: 23 }))
    );
    assert_eq!(rig.endpoint.discards().get("too-short"), 1);
    assert_eq!(rig.endpoint.status()[0].counters.discarded.total(), 0);
}

#[test]
fn many_sessions_keep_one_timer_each() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..1000)
        .map(|n| rig.add(key(&format!("10.0.{}.{}", n / 250, n % 250))))
        .collect();
    for round in 0..50 {
        for id in &ids {
            // Intervals that come and go move the timers both ways.
            let millis = if round % 2 == 0 { 10 } else { 3_000_000 };
            let packet = ControlPacket {
                desired_min_tx_interval: Micros::from_millis(millis),
                required_min_rx_interval: Micros::from_millis(millis),
                ..packet(State::Up, Some(*id))
            };
            rig.hear(&meta(PEER), &packet).unwrap();
        }
        rig.pass(Duration::from_millis(5));
        assert!(rig.endpoint.agenda.timers.len() <= ids.len());
        assert_eq!(rig.endpoint.agenda.transmit_queue.len(), 0);
    }
}

#[test]
fn a_backlog_of_packets_to_send_hides_no_silence() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..1000)
        .map(|n| rig.add(key(&format!("10.0.{}.{}", n / 250, n % 250))))
        .collect();
    for id in &ids {
        rig.bring_up(&meta(PEER), *id);
    }
    rig.sent();
    rig.events();
    let end = rig.now + SECOND * 3;
    // Everything is due, and nothing can be sent.
    while let Some(at) = rig.endpoint.poll_timeout().filter(|at| *at <= end) {
        rig.now = rig.now.max(at);
        rig.endpoint.handle_timeout(rig.now);
    }
    let down = ids.iter().filter(|id| rig.state(**id) == State::Down);
    assert!(down.count() >= ids.len() - BACKLOG);
}

#[test]
fn unknown_sessions_are_ignored() {
    let mut rig = Rig::new();
    let id = SessionId::new(NonZeroU32::MIN);
    rig.endpoint.remove(rig.now, id);
    rig.endpoint.set_admin_down(rig.now, id, true);
    rig.endpoint
        .set_config(rig.now, id, SessionConfig::default());
    rig.endpoint.set_interface_index(id, None);
    assert!(rig.endpoint.is_empty());
    assert_eq!(rig.endpoint.poll_timeout(), None);
}
