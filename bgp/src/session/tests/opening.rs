//! When the OPEN goes out: DelayOpen, and a connection that stands by for another.

use super::*;

fn delayed() -> SessionConfig {
    SessionConfig {
        delay_open_time: seconds(20),
        ..config()
    }
}

/// In OpenConfirm on a connection that the neighbor has opened, and with one of ours just there.
fn standing_by(remote_identifier: u8) -> (Script, ConnId, ConnId) {
    let mut script = Script::started(config());
    let incoming = script.connect(Direction::Incoming);
    script.receive(incoming, &open(remote_identifier));
    let outgoing = script.connect(Direction::Outgoing);
    script.sent(incoming);
    script.events();
    (script, incoming, outgoing)
}

#[test]
fn c_033_with_delay_open_the_open_waits_for_the_timer() {
    for (direction, state) in [
        (Direction::Outgoing, State::Connect),
        (Direction::Incoming, State::Active),
    ] {
        let mut script = Script::started(delayed());
        let conn = script.connect(direction);
        assert_eq!(script.session.state(), state);
        script.pass(Duration::from_millis(19_999));
        assert_eq!(script.sent(conn), []);
        script.pass(Duration::from_millis(1));
        assert_eq!(script.session.state(), State::OpenSent);
        assert!(matches!(script.sent(conn).as_slice(), [Message::Open(_)]));
        script.pass(seconds(240));
        assert_eq!(script.last_word(conn), Some(Notification::new(4, 0)));
    }
}

#[test]
fn c_033_the_neighbors_open_ends_the_wait() {
    let mut script = Script::started(delayed());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &open(1));
    assert_eq!(script.session.state(), State::OpenConfirm);
    let sent = script.sent(conn);
    assert!(
        matches!(sent.as_slice(), [Message::Open(_), Message::Keepalive]),
        "{sent:?}"
    );
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_033_a_connection_that_is_lost_while_the_timer_runs_costs_nothing() {
    let mut script = Script::started(delayed());
    let conn = script.connect(Direction::Outgoing);
    script.session.handle_closed(script.now, conn);
    assert_eq!(script.session.state(), State::Active);
    assert_eq!(script.session.status().connect_retry_counter, 0);
    script.pass(seconds(5));
    assert_eq!(script.session.state(), State::Connect);
}

#[test]
fn c_033_a_message_before_any_open_ends_the_connection() {
    let mut script = Script::started(delayed());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &Message::Keepalive);
    assert_eq!(
        script.last_word(conn),
        Some(Notification::with_data(5, 0, &[4]))
    );
    assert_eq!(script.session.state(), State::Idle);
}

#[test]
fn c_034_no_timer_to_connect_runs_beside_a_session() {
    let passive = SessionConfig {
        passive: true,
        ..delayed()
    };
    let mut script = Script::started(passive.clone());
    let conn = script.connect(Direction::Incoming);
    script.session.set_config(script.now, delayed());
    script.session.set_config(script.now, passive);
    script.session.set_config(script.now, delayed());
    assert_eq!(script.session.state(), State::Active);
    script.receive(conn, &open(1));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    script.pass(seconds(60));
    assert!(!script.events().contains(&Event::Connect));
}

#[test]
fn c_043_a_version_error_before_established_is_no_failure() {
    let version = Message::Notification(Notification::with_data(2, 1, &[0, 4]));
    for (config, state) in [(delayed(), State::Connect), (config(), State::OpenSent)] {
        let mut script = Script::started(config);
        let conn = script.connect(Direction::Outgoing);
        assert_eq!(script.session.state(), state);
        script.receive(conn, &version);
        assert_eq!(script.session.state(), State::Idle);
        assert_eq!(script.session.status().connect_retry_counter, 0);
    }
    let (mut script, conn) = Script::established(config());
    script.receive(conn, &version);
    assert_eq!(script.session.status().connect_retry_counter, 1);
}

#[test]
fn c_058_of_two_delayed_connections_the_first_open_decides() {
    for (remote_identifier, survivor_is_ours) in [(1, true), (200, false)] {
        let mut script = Script::started(delayed());
        let outgoing = script.connect(Direction::Outgoing);
        let incoming = script.connect(Direction::Incoming);
        let (survivor, loser) = match survivor_is_ours {
            true => (outgoing, incoming),
            false => (incoming, outgoing),
        };
        script.receive(loser, &open(remote_identifier));
        assert_eq!(script.last_word(loser), Some(Notification::cease(7)));
        script.receive(survivor, &open(remote_identifier));
        script.receive(survivor, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Established);
    }
}

#[test]
fn c_052_a_connection_stands_by_while_another_is_confirmed() {
    let (mut script, incoming, outgoing) = standing_by(1);
    script.receive(outgoing, &open(1));
    assert_eq!(script.sent(outgoing), [], "neither said nor heard");
    assert_eq!(script.session.state(), State::OpenConfirm);
    script.receive(incoming, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(script.last_word(outgoing), Some(Notification::cease(7)));
    assert!(!script.events().contains(&closes(incoming, true)));
}

#[test]
fn c_052_a_connection_that_stood_by_goes_on_when_the_other_is_gone() {
    for notified in [true, false] {
        let (mut script, incoming, outgoing) = standing_by(1);
        script.receive(outgoing, &open(1));
        match notified {
            true => script.receive(incoming, &Message::Notification(Notification::cease(7))),
            false => script.session.handle_closed(script.now, incoming),
        }
        assert_eq!(script.session.state(), State::OpenConfirm);
        let sent = script.sent(outgoing);
        assert!(
            matches!(sent.as_slice(), [Message::Open(_), Message::Keepalive]),
            "{sent:?}"
        );
        script.receive(outgoing, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Established);
        assert_eq!(script.session.status().last_reset, None);
    }
}

#[test]
fn c_107_bfd_down_ends_what_stands_by_too() {
    let (mut script, incoming, outgoing) = standing_by(1);
    script.liveness(Liveness::Up, 1);
    script.liveness(Liveness::Down(Fate::Shared), 1);
    let changes = script.events().into_iter();
    let changes = changes.filter(|event| matches!(event, Event::StateChanged(_)));
    assert_eq!(changes.count(), 1);
    assert_eq!(script.session.state(), State::Idle);
    for conn in [incoming, outgoing] {
        let expected = Message::Notification(Notification::cease(10));
        assert_eq!(script.sent(conn), [expected], "and no OPEN");
    }
    assert_eq!(script.session.status().connect_retry_counter, 1);
}

#[test]
fn c_051_a_connection_does_not_stand_by_for_ever() {
    let (mut script, incoming, outgoing) = standing_by(1);
    script.receive(outgoing, &open(1));
    script.pass(seconds(5));
    assert_eq!(
        script.last_word(incoming),
        Some(Notification::cease(7)),
        "ours is the higher identifier"
    );
    script.receive(outgoing, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_051_nor_does_it_hold_all_that_a_neighbor_may_say() {
    let (mut script, _, outgoing) = standing_by(200);
    script
        .session
        .handle_bytes(script.now, outgoing, &[0xFF; 5000]);
    assert_eq!(
        script.last_word(outgoing).map(|last_word| last_word.code),
        Some(1),
        "and what it says is no BGP"
    );
}

#[test]
fn c_052_who_loses_a_collision_listens_and_goes_on_connecting() {
    let mut script = Script::started(config());
    let incoming = script.connect(Direction::Incoming);
    script.receive(incoming, &open(1));
    script.events();
    script.receive(incoming, &Message::Notification(Notification::cease(7)));
    assert_eq!(script.session.state(), State::Connect);
    assert!(!script.events().contains(&Event::AbortConnect));
    assert_eq!(script.session.status().last_reset, None);
    // Some close without a word.
    let incoming = script.connect(Direction::Incoming);
    script.receive(incoming, &open(1));
    script.session.handle_closed(script.now, incoming);
    assert_eq!(script.session.state(), State::Connect);
    // And nobody is asked again and again.
    let outgoing = script.connect(Direction::Outgoing);
    script.receive(outgoing, &Message::Notification(Notification::cease(7)));
    assert_eq!(script.session.state(), State::Active);
    script.events();
    script.pass(Duration::from_millis(3700));
    assert!(!script.events().contains(&Event::Connect));
}
