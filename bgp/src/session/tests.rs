//! One session and a neighbor that follows a script, in virtual time.

use std::sync::Arc;

use super::graceful_restart::Past;
use super::*;
use crate::route::RouteAttributes;
use crate::types::Family;
use crate::types::{Asn, BgpIdentifier, HoldTime, Origin};
use crate::wire::{
    AsPath, Attribute, Framer, MpNextHop, MpReach, MpUnreach, Prefixes, WireContext,
};
use crate::wire::{RouteRefresh, Update};

const CONTEXT: WireContext = WireContext {
    four_octet_as: true,
    internal: false,
    path_ids_v4: false,
    path_ids_v6: false,
};

fn identifier(last: u8) -> BgpIdentifier {
    BgpIdentifier::new([192, 0, 2, last].into()).unwrap()
}

fn config() -> SessionConfig {
    let remote_as = RemoteAs::Is(Asn::new(64521).unwrap());
    SessionConfig::new(Asn::new(64520).unwrap(), identifier(71), remote_as)
}

/// The OPEN of a neighbor with the identifier 192.0.2.`last`.
fn open(last: u8) -> Message {
    let remote = SessionConfig::new(
        Asn::new(64521).unwrap(),
        identifier(last),
        RemoteAs::External,
    );
    Message::Open(negotiation::open(&remote, Past::default()))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

struct Script {
    session: Session,
    now: Instant,
}

impl Script {
    fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config, 1),
            now: Instant::now_for_tests(),
        }
    }

    fn started(config: SessionConfig) -> Self {
        let mut script = Self::new(config);
        script.session.start(script.now);
        script
    }

    /// Established over a connection of ours, with a neighbor whose identifier is lower.
    fn established(config: SessionConfig) -> (Self, ConnId) {
        let mut script = Self::started(config);
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &open(1));
        script.receive(conn, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Established);
        script.sent(conn);
        script.events();
        (script, conn)
    }

    fn connect(&mut self, direction: Direction) -> ConnId {
        let addresses = Addresses::new(
            "192.0.2.71:50000".parse().unwrap(),
            "192.0.2.1:179".parse().unwrap(),
        );
        self.session
            .handle_connected(self.now, direction, addresses)
    }

    fn receive(&mut self, conn: ConnId, message: &Message) {
        let mut octets = BytesMut::new();
        message
            .encode(CONTEXT, MAX_EXTENDED_LENGTH, &mut octets)
            .unwrap();
        self.session.handle_bytes(self.now, conn, &octets);
    }

    /// Lets time pass, with every timer on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self
            .session
            .poll_timeout()
            .filter(|deadline| *deadline <= end)
        {
            self.now = deadline.max(self.now);
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// The messages that the session sends on `conn`, all of which TCP accepts.
    fn sent(&mut self, conn: ConnId) -> Vec<Message> {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(self.now, conn, &mut out) {}
        self.session.handle_written(self.now, conn, out.len());
        let mut framer = Framer::default();
        framer.push(&out);
        let mut messages = Vec::new();
        while let Some((kind, body)) = framer.next_message(MAX_EXTENDED_LENGTH).unwrap() {
            messages.push(Message::decode(kind, body, CONTEXT).unwrap());
        }
        messages
    }

    /// The NOTIFICATION with which the session has ended `conn`.
    fn last_word(&mut self, conn: ConnId) -> Option<Notification> {
        match self.sent(conn).pop() {
            Some(Message::Notification(notification)) => Some(notification),
            _ => None,
        }
    }

    fn liveness(&mut self, liveness: Liveness, generation: u64) {
        self.session.handle_liveness(self.now, liveness, generation);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn route(&mut self, prefix: &str) {
        let routes = [(
            prefix.parse().unwrap(),
            Arc::new(RouteAttributes::default()),
        )]
        .into();
        self.session.set_routes(self.now, routes);
    }
}

trait ForTests {
    fn now_for_tests() -> Self;
}

impl ForTests for Instant {
    /// The one moment that everything else is counted from.
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has no other beginning"
    )]
    fn now_for_tests() -> Self {
        Self::now()
    }
}

fn closes(conn: ConnId, after_flush: bool) -> Event {
    Event::Close { conn, after_flush }
}

#[test]
fn c_031_idle_refuses_connections_and_start_connects() {
    let mut script = Script::new(config());
    let refused = script.connect(Direction::Incoming);
    assert_eq!(script.events(), [closes(refused, false)]);
    script.session.start(script.now);
    assert_eq!(script.events()[0], Event::Connect);
    assert_eq!(script.session.state(), State::Connect);
}

#[test]
fn c_031_a_passive_session_waits() {
    let mut script = Script::started(SessionConfig {
        passive: true,
        ..config()
    });
    assert_eq!(script.session.state(), State::Active);
    script.pass(seconds(600));
    assert!(!script.events().contains(&Event::Connect));
}

#[test]
fn c_032_connected_sends_open_and_waits_four_minutes() {
    let mut script = Script::started(config());
    let conn = script.connect(Direction::Outgoing);
    assert_eq!(script.session.state(), State::OpenSent);
    assert!(matches!(script.sent(conn).as_slice(), [Message::Open(_)]));
    script.pass(seconds(239));
    assert_eq!(script.session.state(), State::OpenSent);
    script.pass(seconds(1));
    assert_eq!(
        script.last_word(conn),
        Some(Notification::new(4, 0)),
        "c_037"
    );
}

#[test]
fn c_034_connect_retry_gives_up_one_attempt_for_the_next() {
    let mut script = Script::started(config());
    script.events();
    script.pass(seconds(5));
    assert_eq!(script.events(), [Event::AbortConnect, Event::Connect]);
    assert_eq!(script.session.state(), State::Connect);
}

#[test]
fn c_035_a_failed_attempt_leaves_the_session_listening_and_never_spins() {
    let mut script = Script::started(config());
    script.events();
    script.session.handle_connect_failed(script.now, "refused");
    assert_eq!(script.session.state(), State::Active);
    script.pass(Duration::from_millis(3700));
    assert!(!script.events().contains(&Event::Connect));
    script.pass(Duration::from_millis(1300));
    assert!(script.events().contains(&Event::Connect));
}

#[test]
fn c_036_tcp_closed_in_open_sent_goes_to_active() {
    let mut script = Script::started(config());
    let conn = script.connect(Direction::Outgoing);
    script.session.handle_closed(script.now, conn);
    assert_eq!(script.session.state(), State::Active);
    script.pass(seconds(5));
    assert_eq!(script.session.state(), State::Connect);
}

#[test]
fn c_038_c_041_open_and_keepalive_establish() {
    let mut script = Script::started(config());
    let conn = script.connect(Direction::Outgoing);
    script.sent(conn);
    script.receive(conn, &open(1));
    assert_eq!(script.session.state(), State::OpenConfirm);
    assert_eq!(script.sent(conn), [Message::Keepalive]);
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_039_unexpected_messages_by_state() {
    let update = || Message::Update(Update::default());
    let mut in_open_sent = Script::started(config());
    let conn = in_open_sent.connect(Direction::Outgoing);
    in_open_sent.receive(conn, &Message::Keepalive);
    assert_eq!(
        in_open_sent.last_word(conn),
        Some(Notification::with_data(5, 1, &[4]))
    );

    let mut in_open_confirm = Script::started(config());
    let conn = in_open_confirm.connect(Direction::Outgoing);
    in_open_confirm.receive(conn, &open(1));
    in_open_confirm.receive(conn, &update());
    assert_eq!(
        in_open_confirm.last_word(conn),
        Some(Notification::with_data(5, 2, &[2]))
    );

    let (mut script, conn) = Script::established(config());
    script.receive(conn, &open(1));
    assert_eq!(
        script.last_word(conn),
        Some(Notification::with_data(5, 3, &[1]))
    );
}

#[test]
fn c_040_second_open_in_open_confirm() {
    let mut script = Script::started(config());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &open(1));
    script.receive(conn, &open(1));
    assert_eq!(
        script.last_word(conn),
        Some(Notification::with_data(5, 2, &[1]))
    );
}

#[test]
fn c_042_keepalive_and_update_restart_the_hold_timer() {
    for message in [Message::Keepalive, Message::Update(Update::default())] {
        let (mut script, conn) = Script::established(config());
        script.pass(seconds(89));
        script.receive(conn, &message);
        script.pass(seconds(89));
        assert_eq!(script.session.state(), State::Established);
        script.pass(seconds(1));
        assert_eq!(script.last_word(conn), Some(Notification::new(4, 0)));
        assert_eq!(script.session.state(), State::Idle);
    }
}

#[test]
fn c_042_c_007_a_notification_is_not_answered() {
    let (mut script, conn) = Script::established(config());
    let notification = Notification::cease_with_communication(2, "maintenance");
    script.receive(conn, &Message::Notification(notification.clone()));
    assert_eq!(script.session.state(), State::Idle);
    assert_eq!(script.sent(conn), []);
    let events = script.events();
    assert!(events.contains(&closes(conn, false)));
    assert!(events.contains(&Event::NotificationReceived(notification)));
}

#[test]
fn c_015_keepalives_come_at_a_third_of_the_hold_time_with_jitter() {
    let (mut script, conn) = Script::established(config());
    let mut gaps = Vec::new();
    for _ in 0..50 {
        let before = script.now;
        script.now = script.session.poll_timeout().unwrap();
        script.session.handle_timeout(script.now);
        assert_eq!(script.sent(conn), [Message::Keepalive]);
        script.receive(conn, &Message::Keepalive);
        gaps.push((script.now - before).as_secs_f64());
    }
    assert!(
        gaps.iter().all(|gap| (22.5..=30.0).contains(gap)),
        "{gaps:?}"
    );
    assert!(gaps.iter().any(|gap| *gap < 27.0) && gaps.iter().any(|gap| *gap > 27.0));
}

#[test]
fn c_015_hold_time_zero_runs_no_timer() {
    let (mut script, conn) = Script::established(SessionConfig {
        hold_time: HoldTime::ZERO,
        ..config()
    });
    assert_eq!(script.session.poll_timeout(), None);
    script.pass(seconds(100_000));
    assert_eq!(script.sent(conn), []);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_041_without_a_hold_time_the_first_keepalive_must_come_all_the_same() {
    let mut script = Script::started(SessionConfig {
        hold_time: HoldTime::ZERO,
        ..config()
    });
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &open(1));
    script.pass(seconds(239));
    assert_eq!(script.session.state(), State::OpenConfirm);
    script.pass(seconds(1));
    assert_eq!(script.last_word(conn), Some(Notification::new(4, 0)));
    assert_eq!(script.session.state(), State::Idle);
}

#[test]
fn c_045_c_046_send_hold_timer_runs_while_tcp_takes_nothing() {
    let (mut script, conn) = Script::established(config());
    script.route("192.0.2.150/32");
    let mut out = BytesMut::new();
    assert!(script.session.poll_transmit(script.now, conn, &mut out));
    for _ in 0..20 {
        script.pass(seconds(23));
        script.receive(conn, &Message::Keepalive);
    }
    script.session.handle_written(script.now, conn, 1);
    for _ in 0..20 {
        script.pass(seconds(23));
        script.receive(conn, &Message::Keepalive);
    }
    assert_eq!(
        script.session.state(),
        State::Established,
        "a single octet is progress"
    );
    script.pass(seconds(20));
    assert_eq!(script.session.state(), State::Idle);
    assert!(script.events().contains(&closes(conn, false)));
    let last_reset = script.session.status().last_reset.unwrap();
    assert_eq!(last_reset.cause, Cause::SendHoldTimerExpired);
}

#[test]
fn c_047_idle_hold_time_doubles_to_a_limit() {
    let mut script = Script::started(config());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Idle);
        let idle_until = script.session.status().idle_until.unwrap();
        waits.push((idle_until - script.now).as_secs_f64());
        script.pass(idle_until - script.now);
        assert_eq!(script.session.state(), State::Connect);
    }
    let expected = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0];
    for (wait, longest) in waits.iter().zip(expected) {
        assert!((longest * 0.75..=longest).contains(wait), "{waits:?}");
    }
}

#[test]
fn c_047_a_stable_session_has_no_past() {
    let mut script = Script::started(config());
    for _ in 0..3 {
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &Message::Keepalive);
        script.pass(seconds(30));
    }
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &open(1));
    script.receive(conn, &Message::Keepalive);
    script.pass(seconds(61));
    script.session.handle_closed(script.now, conn);
    let wait = script.session.status().idle_until.unwrap() - script.now;
    assert!(wait <= seconds(1), "{wait:?}");
}

#[test]
fn c_047_who_ends_a_session_in_an_orderly_way_may_come_back_at_once() {
    for subcode in [2, 3, 4, 6] {
        let reason = Notification::cease(subcode);
        for reason in [Notification::hard_reset(&reason), reason] {
            let passive = SessionConfig {
                passive: true,
                ..config()
            };
            let mut script = Script::started(passive);
            for round in 0..4 {
                let conn = script.connect(Direction::Incoming);
                script.receive(conn, &open(1));
                script.receive(conn, &Message::Keepalive);
                assert_eq!(script.session.state(), State::Established, "{round}");
                script.receive(conn, &Message::Notification(reason.clone()));
                assert_eq!(script.session.state(), State::Idle);
                assert_eq!(script.session.idle_hold_time, MIN_IDLE_HOLD_TIME);
            }
        }
    }
}

#[test]
fn c_047_a_neighbor_that_closed_the_connection_may_come_back_at_once() {
    let (mut script, conn) = Script::established(config());
    script.session.handle_closed(script.now, conn);
    assert_eq!(script.session.state(), State::Idle);
    assert!(!script.events().contains(&Event::Connect), "ours waits");
    let conn = script.connect(Direction::Incoming);
    assert_eq!(script.session.state(), State::OpenSent);
    assert_eq!(script.session.status().idle_until, None);
    script.receive(conn, &open(1));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_047_whom_we_reset_may_come_back_at_once() {
    let (mut script, _) = Script::established(config());
    script
        .session
        .stop(script.now, StopReason::AdministrativeReset(None));
    script.connect(Direction::Incoming);
    assert_eq!(script.session.state(), State::OpenSent);
}

#[test]
fn c_047_after_a_failure_the_neighbor_waits_as_well() {
    // It complains; it ends what was not up yet; it makes a mistake.
    let complaint = Notification::new(code::UPDATE_MESSAGE, 1);
    let shutdown = Notification::cease(2);
    for (is_up, message) in [
        (true, Message::Notification(complaint)),
        (false, Message::Notification(shutdown)),
        (true, open(1)),
    ] {
        let mut script = Script::started(config());
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &open(1));
        if is_up {
            script.receive(conn, &Message::Keepalive);
        }
        script.receive(conn, &message);
        assert_eq!(script.session.state(), State::Idle);
        script.events();
        let refused = script.connect(Direction::Incoming);
        assert_eq!(script.events(), [closes(refused, false)]);
        assert!(script.session.idle_hold_time > MIN_IDLE_HOLD_TIME);
    }
}

#[test]
fn c_048_stop_says_why() {
    for (reason, expected) in [
        (
            StopReason::AdministrativeShutdown(None),
            Notification::cease(2),
        ),
        (StopReason::PeerDeconfigured, Notification::cease(3)),
        (
            StopReason::AdministrativeReset(Some("racks move".into())),
            Notification::cease_with_communication(4, "racks move"),
        ),
        (StopReason::OtherConfigurationChange, Notification::cease(6)),
    ] {
        let (mut script, conn) = Script::established(config());
        let resets = expected.subcode == 4 || expected.subcode == 6;
        script.session.stop(script.now, reason);
        assert_eq!(script.session.state(), State::Idle);
        assert!(script.events().contains(&closes(conn, true)));
        assert_eq!(script.last_word(conn), Some(expected));
        assert_eq!(script.session.status().connect_retry_counter, 0);
        script.pass(seconds(1));
        assert_eq!(script.session.state() == State::Connect, resets);
    }
}

#[test]
fn c_051_c_052_collision_leaves_the_connection_of_the_higher_identifier() {
    for (remote_identifier, survivor_is_ours) in [(1, true), (200, false)] {
        for first_open_on_ours in [true, false] {
            let mut script = Script::started(config());
            let incoming = script.connect(Direction::Incoming);
            let outgoing = script.connect(Direction::Outgoing);
            let (survivor, loser) = if survivor_is_ours {
                (outgoing, incoming)
            } else {
                (incoming, outgoing)
            };
            let first = if first_open_on_ours {
                outgoing
            } else {
                incoming
            };
            script.receive(first, &open(remote_identifier));
            if first == loser {
                assert_eq!(script.session.state(), State::OpenSent);
                script.receive(survivor, &open(remote_identifier));
            }
            assert_eq!(script.last_word(loser), Some(Notification::cease(7)));
            script.receive(survivor, &Message::Keepalive);
            assert_eq!(script.session.state(), State::Established);
            assert_eq!(script.session.status().idle_until, None);
        }
    }
}

#[test]
fn c_054_an_established_connection_wins_over_a_newer_one() {
    let (mut script, conn) = Script::established(config());
    let newer = script.connect(Direction::Incoming);
    assert_eq!(script.last_word(newer), Some(Notification::cease(7)));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn f_100_a_neighbor_that_connects_again_and_again_has_one_connection() {
    let mut script = Script::started(SessionConfig {
        passive: true,
        ..config()
    });
    let mut connections = Vec::new();
    for _ in 0..1000 {
        connections.push(script.connect(Direction::Incoming));
    }
    let last = connections.pop().unwrap();
    let events = script.events();
    assert!(
        connections
            .iter()
            .all(|conn| events.contains(&closes(*conn, true)))
    );
    script.receive(last, &open(1));
    script.receive(last, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_006_any_split_of_the_stream_gives_the_same() {
    let mut octets = BytesMut::new();
    for message in [
        open(1),
        Message::Keepalive,
        Message::Update(Update::default()),
    ] {
        message
            .encode(CONTEXT, MAX_EXTENDED_LENGTH, &mut octets)
            .unwrap();
    }
    let outcome = |sizes: usize| {
        let mut script = Script::started(config());
        let conn = script.connect(Direction::Outgoing);
        for part in octets.chunks(sizes) {
            script.session.handle_bytes(script.now, conn, part);
        }
        let events = script.events();
        events
            .iter()
            .map(|event| format!("{event:?}"))
            .collect::<Vec<_>>()
            .len()
    };
    let whole = outcome(octets.len());
    for sizes in 1..octets.len() {
        assert_eq!(outcome(sizes), whole);
    }
}

#[test]
fn c_061_route_refresh_repeats_a_negotiated_family_only() {
    let (mut script, conn) = Script::established(config());
    script.route("192.0.2.150/32");
    assert_eq!(script.sent(conn).len(), 1);
    for (family, subtype, repeats) in [
        // Between a beginning and an end.
        (Family::IPV4_UNICAST, 0, 3),
        (Family::IPV6_UNICAST, 0, 2),
        (Family { afi: 25, safi: 70 }, 0, 0),
        (Family::IPV4_UNICAST, 9, 0),
    ] {
        script.receive(
            conn,
            &Message::RouteRefresh(RouteRefresh { family, subtype }),
        );
        assert_eq!(script.sent(conn).len(), repeats, "{family} {subtype}");
    }
}

#[test]
fn c_107_bfd_down_closes_with_cease_10_and_does_not_lengthen_the_wait() {
    let (mut script, conn) = Script::established(config());
    script.session.handle_liveness(script.now, Liveness::Up, 1);
    assert_eq!(script.events(), []);
    script
        .session
        .handle_liveness(script.now, Liveness::Down(Fate::Shared), 1);
    assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
    assert_eq!(script.session.state(), State::Idle);
    assert_eq!(script.session.idle_hold_time, MIN_IDLE_HOLD_TIME, "c_047");
    script.session.handle_liveness(script.now, Liveness::Up, 2);
    assert_eq!(
        script.session.state(),
        State::Connect,
        "the path works: no reason to wait"
    );
}

#[test]
fn c_164_bfd_that_was_never_up_does_not_end_bgp() {
    let (mut script, _) = Script::established(config());
    script
        .session
        .handle_liveness(script.now, Liveness::Down(Fate::Shared), 0);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_165_admin_down_is_not_a_failure() {
    let (mut script, _) = Script::established(config());
    script.session.handle_liveness(script.now, Liveness::Up, 1);
    script
        .session
        .handle_liveness(script.now, Liveness::AdminDown, 1);
    script
        .session
        .handle_liveness(script.now, Liveness::Down(Fate::Shared), 1);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_166_a_stale_down_is_ignored() {
    let (mut script, _) = Script::established(config());
    script.session.handle_liveness(script.now, Liveness::Up, 2);
    script
        .session
        .handle_liveness(script.now, Liveness::Down(Fate::Shared), 1);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn a_neighbor_may_begin_its_bfd_session_anew_once_bgp_is_up() {
    let (mut script, _) = Script::established(config());
    script.liveness(Liveness::Up, 1);
    script.liveness(Liveness::SignaledDown(Fate::Shared), 1);
    script.liveness(Liveness::Up, 2);
    script.pass(SETTLING_TIME * 2);
    assert_eq!(script.session.state(), State::Established);

    // The news of BFD may overtake the KEEPALIVE.
    let mut script = Script::started(config());
    let conn = script.connect(Direction::Outgoing);
    script.liveness(Liveness::Up, 1);
    script.receive(conn, &open(1));
    script.liveness(Liveness::SignaledDown(Fate::Shared), 1);
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn a_path_that_is_still_down_when_the_session_has_settled_ends_it() {
    let (mut script, conn) = Script::established(config());
    script.liveness(Liveness::Up, 1);
    script.liveness(Liveness::SignaledDown(Fate::Shared), 1);
    script.pass(SETTLING_TIME - Duration::from_millis(1));
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(
        script.session.poll_timeout(),
        Some(script.now + Duration::from_millis(1))
    );
    script.pass(Duration::from_millis(1));
    assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
}

#[test]
fn a_neighbor_that_signals_down_later_is_believed_at_once() {
    let (mut script, conn) = Script::established(config());
    script.liveness(Liveness::Up, 1);
    script.pass(SETTLING_TIME);
    script.liveness(Liveness::SignaledDown(Fate::Shared), 1);
    assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
}

#[test]
fn only_what_the_open_says_resets_the_session() {
    let (mut script, conn) = Script::established(config());
    let next_hop = Some([192, 0, 2, 99].into());
    script.route("192.0.2.150/32");
    script.sent(conn);
    let in_place = SessionConfig {
        next_hop_v4: next_hop,
        connect_retry_time: seconds(60),
        keepalive_time: Some(seconds(10)),
        passive: true,
        send_hold_time: Some(seconds(20)),
        ..config()
    };
    script.session.set_config(script.now, in_place.clone());
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(
        script.sent(conn).len(),
        1,
        "announced once more, with the other next hop"
    );
    let hold_time = HoldTime::from_secs(30).unwrap();
    script.session.set_config(
        script.now,
        SessionConfig {
            hold_time,
            ..in_place
        },
    );
    assert_eq!(script.last_word(conn), Some(Notification::cease(6)));
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    for octets in [
        &[0; 19][..],
        &[0xFF; 19],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let (mut script, conn) = Script::established(config());
        script.session.handle_bytes(script.now, conn, octets);
        assert_eq!(
            script.last_word(conn).map(|notification| notification.code),
            Some(1)
        );
        assert_eq!(script.session.state(), State::Idle);
    }
}

#[test]
fn routes_wait_for_the_session_and_survive_it() {
    let (mut script, conn) = Script::established(config());
    script.route("192.0.2.150/32");
    assert_eq!(script.sent(conn).len(), 1);
    assert_eq!(script.session.advertised().len(), 1);
    script.session.handle_closed(script.now, conn);
    assert!(script.session.advertised().is_empty());
    script.pass(seconds(1));
    let again = script.connect(Direction::Outgoing);
    script.receive(again, &open(1));
    script.receive(again, &Message::Keepalive);
    script.sent(again);
    assert_eq!(script.session.advertised().len(), 1);
    let status = script.session.status();
    assert_eq!((status.established, status.dropped), (2, 1));
    assert_eq!(status.families[0].advertised, 1);
}

#[test]
fn a_changed_keepalive_time_counts_at_once() {
    let (mut script, conn) = Script::established(config());
    let keepalive_time = Some(seconds(1));
    script.session.set_config(
        script.now,
        SessionConfig {
            keepalive_time,
            ..config()
        },
    );
    script.pass(seconds(1));
    assert_eq!(script.sent(conn), [Message::Keepalive]);
    let negotiated = script.session.status().negotiated.unwrap();
    assert_eq!(negotiated.keepalive_time, keepalive_time);
}

#[test]
fn a_session_that_is_no_longer_passive_connects() {
    let mut script = Script::started(SessionConfig {
        passive: true,
        ..config()
    });
    script.session.set_config(script.now, config());
    assert_eq!(script.session.state(), State::Connect);
    assert!(script.events().contains(&Event::Connect));
    script.session.set_config(
        script.now,
        SessionConfig {
            passive: true,
            ..config()
        },
    );
    assert_eq!(script.session.state(), State::Active);
    assert!(script.events().contains(&Event::AbortConnect));
}

#[test]
fn c_099_a_malformed_update_can_be_looked_at() {
    let (mut script, conn) = Script::established(config());
    // ORIGIN 9, for 192.0.2.0/24
    let body = [0, 0, 0, 4, 0x40, 1, 1, 9, 24, 192, 0, 2];
    let header = [&[0xFF; 16][..], &[0, 31, 2]].concat();
    script
        .session
        .handle_bytes(script.now, conn, &[&header[..], &body].concat());
    assert_eq!(script.session.state(), State::Established);
    let [Event::MalformedUpdate(malformed)] = &script.events()[..] else {
        panic!("one event");
    };
    assert_eq!(malformed.body, body[..]);
    assert_eq!(malformed.prefixes, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(malformed.errors[0].code, 1);
    assert_eq!(script.session.status().update_errors, 1);
}

#[test]
fn nothing_is_kept_of_a_connection_that_could_not_be_flushed() {
    let (mut script, conn) = Script::established(config());
    script
        .session
        .stop(script.now, StopReason::AdministrativeReset(None));
    assert!(!script.session.closing.is_empty());
    script.session.handle_closed(script.now, conn);
    assert!(script.session.closing.is_empty());
}

#[test]
fn c_026_routes_of_a_family_that_was_not_agreed_upon_are_ignored() {
    let ipv4_only = SessionConfig {
        families: vec![Family::IPV4_UNICAST],
        received_routes: ReceivedRoutes::Reported,
        ..config()
    };
    let (mut script, conn) = Script::established(ipv4_only);
    let ipv6 = Prefixes::V6(vec!["2001:db8::/32".parse().unwrap()]);
    let unreach = Attribute::MpUnreach(Box::new(MpUnreach::new(ipv6.clone())));
    let withdrawal = Update {
        attributes: vec![unreach],
        ..Update::default()
    };
    script.receive(conn, &Message::Update(withdrawal));
    assert_eq!(script.events(), [], "nor is what is left an End-of-RIB");

    let reach = MpReach::new(MpNextHop::V6("2001:db8::1".parse().unwrap()), ipv6);
    let attributes = vec![
        Attribute::MpReach(Box::new(reach)),
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::sequence(&[64521])),
        Attribute::NextHop([192, 0, 2, 1].into()),
    ];
    let both = Update {
        attributes,
        nlri: vec!["192.0.2.0/24".parse().unwrap()],
        ..Update::default()
    };
    script.receive(conn, &Message::Update(both));
    let [Event::Update(update)] = &script.events()[..] else {
        panic!("one event");
    };
    let announced: Vec<_> = update
        .announced()
        .map(|prefix| prefix.to_string())
        .collect();
    assert_eq!(announced, ["192.0.2.0/24"]);
    let status = script.session.status();
    assert_eq!(status.state, State::Established);
    assert!(!status.families[0].end_of_rib_received);
    assert_eq!(status.families[0].received, 1);
}

mod bfd_strict;
mod graceful_restart;
mod opening;
mod stale;
