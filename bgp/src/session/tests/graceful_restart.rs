//! Graceful restart: what is offered, how a session ends for one, and who has restarted.

use super::*;
use crate::wire::{
    Capability, GracefulRestart, GracefulRestartFamily, LongLivedGracefulRestart,
    LongLivedStaleTime, Open, RestartTime,
};

fn restarting() -> SessionConfig {
    SessionConfig {
        graceful_restart: Some(RestartConfig {
            restart_time: RestartTime::from_secs(120).unwrap(),
            long_lived_stale_time: LongLivedStaleTime::default(),
        }),
        ..config()
    }
}

/// The OPEN of a neighbor that keeps our routes, and restarts itself.
fn helper(notification: bool) -> Message {
    let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    let families = families.map(|family| GracefulRestartFamily {
        family,
        forwarding: true,
    });
    open_with([GracefulRestart {
        notification,
        families: families.into(),
        ..GracefulRestart::default()
    }])
}

/// The neighbor's OPEN, with so many capabilities of graceful restart.
fn open_with<const N: usize>(restarts: [GracefulRestart; N]) -> Message {
    let Message::Open(open) = open(1) else {
        panic!("an OPEN");
    };
    let restarts = restarts.map(|restart| Capability::GracefulRestart(Box::new(restart)));
    let capabilities = open.capabilities.into_iter().chain(restarts).collect();
    Message::Open(Open {
        capabilities,
        ..open
    })
}

/// Established and settled, with a neighbor that keeps our routes.
fn established_with_helper(notification: bool) -> (Script, ConnId) {
    let mut script = Script::started(restarting());
    let conn = come_up(&mut script, notification);
    (script, conn)
}

fn come_up(script: &mut Script, notification: bool) -> ConnId {
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &helper(notification));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    script.pass(SETTLING_TIME);
    script.sent(conn);
    script.events();
    conn
}

/// What our OPEN on a new connection says of restarts.
fn offered(script: &mut Script) -> GracefulRestart {
    let conn = script.connect(Direction::Outgoing);
    let sent = script.sent(conn);
    script.session.handle_closed(script.now, conn);
    let [Message::Open(open)] = sent.as_slice() else {
        panic!("an OPEN: {sent:?}");
    };
    let restarts = open
        .capabilities
        .iter()
        .find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(GracefulRestart::clone(restart)),
            _ => None,
        });
    restarts.unwrap()
}

#[test]
fn c_100_the_offer_has_every_family_and_is_made_only_when_asked_for() {
    let mut script = Script::started(restarting());
    let offer = offered(&mut script);
    assert!(offer.notification && !offer.restarting);
    assert_eq!(offer.restart_time.as_secs(), 120);
    assert_eq!(
        offer.families,
        [Family::IPV4_UNICAST, Family::IPV6_UNICAST].map(|family| GracefulRestartFamily {
            family,
            forwarding: false
        })
    );
    let (script, _) = Script::established(config());
    let sent = script.session.status().negotiated.unwrap().sent;
    assert!(
        !sent
            .iter()
            .any(|capability| matches!(capability, Capability::GracefulRestart(_)))
    );
}

#[test]
fn c_101_r_and_f_are_set_after_a_restart_until_the_session_is_up() {
    let mut script = Script::new(restarting());
    script.session.restarted(script.now);
    script.session.start(script.now);
    let offer = offered(&mut script);
    assert!(offer.restarting);
    assert!(offer.families.iter().all(|family| family.forwarding));
    let conn = come_up(&mut script, true);
    script.session.handle_closed(script.now, conn);
    script.pass(seconds(1));
    let offer = offered(&mut script);
    assert!(!offer.restarting, "it is not the program that ended");
    assert!(offer.families.iter().all(|family| family.forwarding));
}

#[test]
fn c_101_r_is_not_set_when_the_restart_time_is_over() {
    let mut script = Script::new(restarting());
    script.session.restarted(script.now);
    script.session.start(script.now);
    script.pass(seconds(120));
    assert!(!offered(&mut script).restarting);
}

#[test]
fn c_101_what_was_said_is_remembered_as_it_was_said() {
    let mut script = Script::new(restarting());
    script.session.restarted(script.now);
    script.session.start(script.now);
    let conn = script.connect(Direction::Outgoing);
    let sent = script.sent(conn);
    let [Message::Open(open)] = sent.as_slice() else {
        panic!("an OPEN: {sent:?}");
    };
    // The neighbor's OPEN comes when the restart time is over.
    script.pass(seconds(130));
    script.receive(conn, &helper(true));
    let agreed = script.session.status().negotiated.unwrap();
    assert_eq!(agreed.sent, open.capabilities);
}

#[test]
fn c_102_end_of_rib_waits_until_the_routes_are_complete() {
    let (mut script, conn) = {
        let mut script = Script::new(restarting());
        script.session.restarted(script.now);
        script.session.hold_end_of_rib();
        script.session.start(script.now);
        let conn = script.connect(Direction::Outgoing);
        script.receive(conn, &helper(true));
        script.receive(conn, &Message::Keepalive);
        script.sent(conn);
        (script, conn)
    };
    script.route("192.0.2.150/32");
    let sent = script.sent(conn);
    assert!(
        matches!(&sent[..], [Message::Update(update)] if update.end_of_rib().is_none()),
        "{sent:?}"
    );
    script.session.release_end_of_rib();
    let ends = script.sent(conn).into_iter().filter_map(|message| {
        let Message::Update(update) = message else {
            return None;
        };
        update.end_of_rib()
    });
    assert_eq!(
        ends.collect::<Vec<_>>(),
        [Family::IPV4_UNICAST, Family::IPV6_UNICAST]
    );
}

#[test]
fn c_102_a_restart_closes_without_a_word_where_the_routes_are_kept() {
    let reason = StopReason::Restart(Some("back soon".to_owned()));
    let (mut script, conn) = established_with_helper(false);
    script.session.stop(script.now, reason.clone());
    assert_eq!(script.sent(conn), []);
    let events = script.events();
    assert_eq!(events[0], closes(conn, false));
    assert!(
        matches!(&events[1], Event::StateChanged(change) if change.cause == Cause::Restarting),
        "{events:?}"
    );

    let (mut script, conn) = Script::established(restarting());
    script.session.stop(script.now, reason);
    assert_eq!(
        script.last_word(conn),
        Some(Notification::cease_with_communication(2, "back soon"))
    );
}

#[test]
fn c_056_a_new_connection_means_that_the_old_one_is_dead() {
    for direction in [Direction::Incoming, Direction::Outgoing] {
        let (mut script, old) = established_with_helper(true);
        script.route("192.0.2.150/32");
        script.sent(old);
        let new = script.connect(direction);
        assert_eq!(
            script.session.state(),
            State::Established,
            "not by TCP alone"
        );
        assert!(matches!(script.sent(new).as_slice(), [Message::Open(_)]));
        script.receive(new, &helper(true));
        assert_eq!(script.session.state(), State::OpenConfirm);
        assert!(script.events().contains(&closes(old, false)));
        script.receive(new, &Message::Keepalive);
        assert_eq!(script.session.state(), State::Established);
        let status = script.session.status();
        assert_eq!((status.established, status.dropped), (2, 1));
        let sent = script.sent(new);
        assert_eq!(
            sent.len(),
            4,
            "KEEPALIVE, the route, two End-of-RIB: {sent:?}"
        );
    }
}

#[test]
fn c_056_a_neighbor_that_names_no_family_has_not_restarted() {
    let no_family = open_with([GracefulRestart::default()]);
    let mut script = Script::started(restarting());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &no_family);
    script.receive(conn, &Message::Keepalive);
    script.pass(SETTLING_TIME);
    let new = script.connect(Direction::Incoming);
    assert_eq!(script.last_word(new), Some(Notification::cease(7)));
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_100_of_several_capabilities_the_last_counts() {
    let restart = |seconds| GracefulRestart {
        restart_time: RestartTime::from_secs(seconds).unwrap(),
        ..GracefulRestart::default()
    };
    let mut script = Script::started(restarting());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &open_with([restart(30), restart(60)]));
    let agreed = script.session.status().negotiated.unwrap();
    assert_eq!(agreed.graceful_restart, Some(restart(60)));
}

#[test]
fn c_056_a_new_connection_without_an_open_costs_nothing() {
    let (mut script, old) = established_with_helper(true);
    let new = script.connect(Direction::Incoming);
    let newer = script.connect(Direction::Incoming);
    assert_eq!(script.last_word(new), Some(Notification::cease(7)));
    script.session.handle_closed(script.now, newer);
    let newest = script.connect(Direction::Incoming);
    script.receive(newest, &Message::Keepalive);
    assert_eq!(
        script.last_word(newest),
        Some(Notification::with_data(5, 1, &[4]))
    );
    script.receive(old, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(script.session.status().dropped, 0);
}

#[test]
fn c_054_what_is_left_of_a_collision_does_not_look_like_a_restart() {
    let mut script = Script::started(restarting());
    let conn = script.connect(Direction::Outgoing);
    script.receive(conn, &helper(true));
    script.receive(conn, &Message::Keepalive);
    let late = script.connect(Direction::Incoming);
    assert_eq!(script.last_word(late), Some(Notification::cease(7)));
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn c_106_what_is_to_cost_the_routes_is_a_hard_reset() {
    let shutdown = Notification::cease_with_communication(2, "moves");
    for (reason, inner) in [
        (
            StopReason::AdministrativeShutdown(Some("moves".to_owned())),
            shutdown,
        ),
        (StopReason::PeerDeconfigured, Notification::cease(3)),
    ] {
        let (mut script, conn) = established_with_helper(true);
        script.session.stop(script.now, reason.clone());
        let last_word = script.last_word(conn).unwrap();
        assert_eq!(last_word.hard_reset_reason(), Some(inner.clone()));

        let (mut script, conn) = established_with_helper(false);
        script.session.stop(script.now, reason);
        assert_eq!(script.last_word(conn), Some(inner), "without the N bit");
    }
    let (mut script, conn) = established_with_helper(true);
    script
        .session
        .stop(script.now, StopReason::AdministrativeReset(None));
    assert_eq!(
        script.last_word(conn),
        Some(Notification::cease(4)),
        "we are back at once"
    );
}

#[test]
fn c_106_so_is_what_keeps_the_session_down_for_long() {
    let prefix_limits = PrefixLimits {
        families: [(Family::IPV4_UNICAST, std::num::NonZeroU32::MIN)].into(),
        ..PrefixLimits::default()
    };
    let config = SessionConfig {
        prefix_limits,
        ..restarting()
    };
    let too_many = Message::Update(Update {
        attributes: vec![
            Attribute::Origin(Origin::Igp),
            Attribute::AsPath(AsPath::sequence(&[64521])),
            Attribute::NextHop([192, 0, 2, 1].into()),
        ],
        nlri: vec![
            "192.0.2.0/24".parse().unwrap(),
            "198.51.100.0/24".parse().unwrap(),
        ],
        ..Update::default()
    });
    let reason = Notification::with_data(6, 1, &[0, 1, 1, 0, 0, 0, 1]);
    for notification in [true, false] {
        let mut script = Script::started(config.clone());
        let conn = come_up(&mut script, notification);
        script.receive(conn, &too_many);
        let last_word = script.last_word(conn).unwrap();
        match notification {
            true => assert_eq!(last_word.hard_reset_reason(), Some(reason.clone())),
            false => assert_eq!(last_word, reason),
        }
        let last_reset = script.session.status().last_reset.unwrap();
        assert_eq!(last_reset.cause, Cause::NotificationSent(last_word));
    }
}

#[test]
fn c_107_bfd_down_is_a_hard_reset_where_the_neighbor_would_keep_the_routes() {
    let (mut script, conn) = established_with_helper(true);
    script.liveness(Liveness::Up, 1);
    script.liveness(Liveness::Down(Fate::Shared), 1);
    let last_word = script.last_word(conn).unwrap();
    assert_eq!(last_word.hard_reset_reason(), Some(Notification::cease(10)));
}

#[test]
fn c_110_long_lived_stale_time_is_offered_beside_the_restart_time() {
    let config = restarting();
    let long_lived = SessionConfig {
        graceful_restart: config.graceful_restart.map(|restart| RestartConfig {
            long_lived_stale_time: LongLivedStaleTime::from_secs(3600).unwrap(),
            ..restart
        }),
        ..config.clone()
    };
    for (config, expected) in [(config, 0), (long_lived, 3600)] {
        let mut script = Script::started(config);
        let conn = script.connect(Direction::Outgoing);
        let sent = script.sent(conn);
        let [Message::Open(open)] = sent.as_slice() else {
            panic!("an OPEN: {sent:?}");
        };
        let families: Vec<LongLivedGracefulRestart> = open
            .capabilities
            .iter()
            .filter_map(|capability| match capability {
                Capability::LongLivedGracefulRestart(families) => Some(families.to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(families.len(), if expected == 0 { 0 } else { 2 });
        assert!(
            families
                .iter()
                .all(|family| family.stale_time.as_secs() == expected)
        );
    }
}
