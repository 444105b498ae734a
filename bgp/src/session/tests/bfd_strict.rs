//! Strict mode: KEEPALIVE waits for BFD.

use super::*;
use crate::wire::{Capability, Open};

fn strict() -> SessionConfig {
    SessionConfig {
        bfd_strict: Some(seconds(30)),
        ..config()
    }
}

/// The OPEN of a neighbor that is strict too.
fn strict_open() -> Message {
    let Message::Open(open) = open(1) else {
        panic!("an OPEN");
    };
    let strict = [Capability::BfdStrict];
    let capabilities = open.capabilities.into_iter().chain(strict).collect();
    Message::Open(Open {
        capabilities,
        ..open
    })
}

/// The neighbor's OPEN is in, and BFD is not up.
fn pending() -> (Script, ConnId) {
    let mut script = Script::started(strict());
    let conn = script.connect(Direction::Outgoing);
    script.sent(conn);
    script.receive(conn, &strict_open());
    script.events();
    (script, conn)
}

fn substate(script: &Script) -> Option<BfdPending> {
    script.session.status().bfd_pending
}

#[test]
fn c_168_keepalive_waits_for_bfd() {
    for liveness in [Liveness::Up, Liveness::AdminDown] {
        let (mut script, conn) = pending();
        assert_eq!(script.session.state(), State::OpenSent);
        assert_eq!(substate(&script), Some(BfdPending::OpenSentBfdUpPending));
        assert!(script.session.status().negotiated.unwrap().bfd_strict);
        script.liveness(Liveness::Down(Fate::Shared), 0);
        script.pass(seconds(29));
        assert_eq!(script.sent(conn), [], "nor does the KeepaliveTimer run");
        script.liveness(liveness, 1);
        assert_eq!(script.session.state(), State::OpenConfirm);
        assert_eq!(substate(&script), None);
        assert_eq!(script.sent(conn), [Message::Keepalive]);
        script.pass(seconds(89));
        script.receive(conn, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Established);
    }
}

#[test]
fn c_168_a_keepalive_that_came_before_is_remembered() {
    let (mut script, conn) = pending();
    script.receive(conn, &Message::Keepalive);
    assert_eq!(
        substate(&script),
        Some(BfdPending::OpenSentConfirmedBfdUpPending)
    );
    assert_eq!(script.session.state(), State::OpenSent);
    script.liveness(Liveness::Up, 1);
    assert_eq!(script.session.state(), State::Established);
    let sent = script.sent(conn);
    assert_eq!(sent[0], Message::Keepalive);
    assert!(matches!(
        sent[1..],
        [Message::Update(_), Message::Update(_)]
    ));
}

#[test]
fn c_168_without_a_hold_time_no_timer_is_left_when_it_is_up() {
    let mut script = Script::started(SessionConfig {
        hold_time: HoldTime::ZERO,
        ..strict()
    });
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &strict_open());
    script.receive(conn, &Message::Keepalive);
    script.liveness(Liveness::Up, 1);
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(script.session.poll_timeout(), None);
}

#[test]
fn c_168_bfd_that_does_not_come_up_ends_the_connection() {
    let (mut script, conn) = pending();
    script.pass(Duration::from_millis(29_999));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::OpenSent);
    script.pass(Duration::from_millis(1));
    assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
    assert_eq!(script.session.state(), State::Idle);
    assert_eq!(script.session.idle_hold_time, MIN_IDLE_HOLD_TIME, "c_047");
}

#[test]
fn c_168_the_wait_is_no_longer_than_the_hold_time() {
    for (hold_time, patience) in [(9, 9), (0, 30)] {
        let hold_time = HoldTime::from_secs(hold_time).unwrap();
        let mut script = Script::started(SessionConfig {
            hold_time,
            ..strict()
        });
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &strict_open());
        script.pass(seconds(patience) - Duration::from_millis(1));
        assert_eq!(script.session.state(), State::OpenSent);
        script.pass(Duration::from_millis(1));
        assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
    }
}

#[test]
fn c_168_nothing_waits_where_bfd_is_up_already() {
    let mut script = Script::started(strict());
    let conn = script.connect(Direction::Outgoing);
    script.liveness(Liveness::Up, 1);
    script.receive(conn, &strict_open());
    assert_eq!(script.session.state(), State::OpenConfirm);
}

#[test]
fn c_168_only_a_keepalive_may_come_meanwhile() {
    let (mut script, conn) = pending();
    script.receive(conn, &strict_open());
    assert_eq!(
        script.last_word(conn),
        Some(Notification::with_data(5, 1, &[1]))
    );
}

#[test]
fn c_169_strict_alone_the_keepalive_waits_all_the_same() {
    let mut script = Script::started(strict());
    let conn = script.connect(Direction::Incoming);
    script.sent(conn);
    script.receive(conn, &open(1));
    assert!(!script.session.status().negotiated.unwrap().bfd_strict);
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.sent(conn), []);
    script.liveness(Liveness::Up, 1);
    assert_eq!(script.session.state(), State::Established);
    script.liveness(Liveness::Down(Fate::Shared), 1);
    assert_eq!(script.last_word(conn), Some(Notification::cease(10)));
}

#[test]
fn c_047_a_path_that_the_neighbor_found_down_does_not_lengthen_the_wait() {
    let down = Notification::cease(10);
    for notification in [down.clone(), Notification::hard_reset(&down)] {
        let (mut script, conn) = Script::established(config());
        script.receive(conn, &Message::Notification(notification));
        assert_eq!(script.session.idle_hold_time, MIN_IDLE_HOLD_TIME);
    }
}
