//! Routes of a neighbor that restarts, or repeats itself.

use super::*;
use crate::adj_rib_in::AdjRibInLimit;
use crate::types::Community;
use crate::wire::{
    Capability, GracefulRestart, GracefulRestartFamily, LongLivedStaleTime, Open, RestartTime,
    route_refresh,
};

mod long_lived;

fn helping() -> SessionConfig {
    SessionConfig {
        graceful_restart: Some(RestartConfig {
            restart_time: RestartTime::from_secs(120).unwrap(),
            long_lived_stale_time: LongLivedStaleTime::default(),
        }),
        received_routes: ReceivedRoutes::Kept(AdjRibInLimit::default()),
        ..config()
    }
}

/// What the neighbor says of its restarts in its OPEN.
#[derive(Clone, Copy)]
struct Says {
    families: &'static [Family],
    forwarding: bool,
    notification: bool,
}

const RESTARTS: Says = Says {
    families: &[Family::IPV4_UNICAST],
    forwarding: true,
    notification: false,
};

fn open_that(says: Says) -> Message {
    let Message::Open(open) = open(1) else {
        panic!("an OPEN");
    };
    let family = |family: &Family| GracefulRestartFamily {
        family: *family,
        forwarding: says.forwarding,
    };
    let restart = GracefulRestart {
        restarting: false,
        notification: says.notification,
        restart_time: RestartTime::from_secs(60).unwrap(),
        families: says.families.iter().map(family).collect(),
    };
    let capability = Capability::GracefulRestart(Box::new(restart));
    let capabilities = open.capabilities.into_iter().chain([capability]).collect();
    Message::Open(Open {
        capabilities,
        ..open
    })
}

fn come_up(script: &mut Script, says: Says) -> ConnId {
    connect(script, &open_that(says))
}

fn connect(script: &mut Script, open: &Message) -> ConnId {
    let conn = script.connect(Direction::Incoming);
    script.receive(conn, open);
    script.receive(conn, &Message::Keepalive);
    assert_eq!(script.session.state(), State::Established);
    conn
}

fn announce(script: &mut Script, conn: ConnId, prefix: &str) {
    announce_with(script, conn, prefix, &[]);
}

fn announce_with(script: &mut Script, conn: ConnId, prefix: &str, communities: &[Community]) {
    let mut attributes = vec![
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::sequence(&[64521])),
        Attribute::NextHop([192, 0, 2, 1].into()),
    ];
    if !communities.is_empty() {
        attributes.push(Attribute::Communities(communities.to_vec()));
    }
    let nlri = vec![prefix.parse().unwrap()];
    let update = Update {
        attributes,
        nlri,
        ..Update::default()
    };
    script.receive(conn, &Message::Update(update));
}

fn end_of_rib(script: &mut Script, conn: ConnId) {
    script.receive(conn, &Message::Update(Update::default()));
}

/// Each route that is kept, and whether it is stale.
fn kept(script: &Script) -> Vec<(String, bool)> {
    let routes = script.session.received_routes().into_iter();
    routes
        .map(|route| (route.prefix.to_string(), route.stale))
        .collect()
}

fn routes(routes: &[(&str, bool)]) -> Vec<(String, bool)> {
    let routes = routes.iter();
    routes
        .map(|(prefix, stale)| ((*prefix).to_owned(), *stale))
        .collect()
}

const ONE: &str = "198.51.100.0/25";
const TWO: &str = "198.51.100.128/25";

/// Up, with two routes of the neighbor.
fn established(says: Says) -> (Script, ConnId) {
    let mut script = Script::started(helping());
    let conn = come_up(&mut script, says);
    announce(&mut script, conn, ONE);
    announce(&mut script, conn, TWO);
    end_of_rib(&mut script, conn);
    assert_eq!(kept(&script), routes(&[(ONE, false), (TWO, false)]));
    (script, conn)
}

/// The same, and then TCP was lost.
fn lost(says: Says) -> Script {
    let (mut script, conn) = established(says);
    script.session.handle_closed(script.now, conn);
    script
}

#[test]
fn c_103_routes_stay_stale_until_end_of_rib() {
    let mut script = lost(RESTARTS);
    assert_eq!(kept(&script), routes(&[(ONE, true), (TWO, true)]));
    script.pass(seconds(59));
    let conn = come_up(&mut script, RESTARTS);
    announce(&mut script, conn, ONE);
    script.pass(seconds(60));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(kept(&script), routes(&[(ONE, false), (TWO, true)]));
    end_of_rib(&mut script, conn);
    assert_eq!(kept(&script), routes(&[(ONE, false)]));
}

#[test]
fn c_103_routes_go_when_the_restart_time_is_over() {
    let mut script = lost(RESTARTS);
    script.pass(Duration::from_millis(59_999));
    assert_eq!(kept(&script).len(), 2);
    script.pass(Duration::from_millis(1));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_103_routes_go_when_the_neighbor_did_not_forward() {
    for says in [
        Says {
            forwarding: false,
            ..RESTARTS
        },
        Says {
            families: &[Family::IPV6_UNICAST],
            ..RESTARTS
        },
    ] {
        let mut script = lost(RESTARTS);
        script.pass(seconds(10));
        come_up(&mut script, says);
        assert_eq!(kept(&script), []);
    }
    let mut script = lost(RESTARTS);
    script.pass(seconds(10));
    let conn = script.connect(Direction::Incoming);
    script.receive(conn, &open(1));
    script.receive(conn, &Message::Keepalive);
    assert_eq!(kept(&script), [], "without the capability");
}

#[test]
fn c_103_routes_of_other_families_go_at_once() {
    let script = lost(Says {
        families: &[Family::IPV6_UNICAST],
        ..RESTARTS
    });
    assert_eq!(kept(&script), []);
}

#[test]
fn c_103_end_of_rib_that_never_comes_is_not_waited_for() {
    let mut script = lost(RESTARTS);
    let hold_time = HoldTime::ZERO;
    script.session.set_config(
        script.now,
        SessionConfig {
            hold_time,
            ..helping()
        },
    );
    script.pass(seconds(10));
    come_up(&mut script, RESTARTS);
    script.pass(seconds(359));
    assert_eq!(kept(&script).len(), 2);
    script.pass(seconds(1));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_104_what_is_stale_does_not_survive_a_second_restart() {
    let mut script = lost(RESTARTS);
    script.pass(seconds(10));
    let conn = come_up(&mut script, RESTARTS);
    announce(&mut script, conn, ONE);
    script.session.handle_closed(script.now, conn);
    assert_eq!(kept(&script), routes(&[(ONE, true)]));
}

#[test]
fn c_105_a_notification_keeps_routes_where_both_set_the_n_bit() {
    let graceful = Says {
        notification: true,
        ..RESTARTS
    };
    let cease = Notification::cease(4);
    for (says, notification, stay) in [
        (graceful, cease.clone(), true),
        (RESTARTS, cease.clone(), false),
        (graceful, Notification::hard_reset(&cease), false),
        (graceful, Notification::cease(10), false),
    ] {
        let (mut script, conn) = established(says);
        script.receive(conn, &Message::Notification(notification.clone()));
        let count = if stay { 2 } else { 0 };
        assert_eq!(kept(&script).len(), count, "{notification}");
    }
    for (says, count) in [(graceful, 2), (RESTARTS, 0)] {
        let (mut script, conn) = established(says);
        script.pass(seconds(90));
        assert_eq!(script.last_word(conn), Some(Notification::new(4, 0)));
        assert_eq!(kept(&script).len(), count);
    }
}

#[test]
fn c_167_bfd_down_is_a_restart_where_the_c_bit_is_clear() {
    let graceful = Says {
        notification: true,
        ..RESTARTS
    };
    for says in [RESTARTS, graceful] {
        for down in [Liveness::Down, Liveness::SignaledDown] {
            for (fate, count) in [(Fate::Shared, 2), (Fate::Independent, 0)] {
                let (mut script, conn) = established(says);
                script.pass(seconds(10));
                script.liveness(Liveness::Up, 1);
                script.liveness(down(fate), 1);
                assert!(
                    script.last_word(conn).is_some(),
                    "the session ends either way"
                );
                assert_eq!(kept(&script).len(), count, "{fate:?}");
                assert!(kept(&script).iter().all(|(_, stale)| *stale));
                script.pass(seconds(60));
                assert_eq!(kept(&script), [], "no longer than the restart time");
            }
        }
    }
}

#[test]
fn c_167_without_graceful_restart_bfd_down_costs_the_routes() {
    let mut script = Script::started(helping());
    let conn = connect(&mut script, &open(1));
    announce(&mut script, conn, ONE);
    assert_eq!(kept(&script).len(), 1);
    script.liveness(Liveness::Up, 1);
    script.liveness(Liveness::Down(Fate::Shared), 1);
    assert_eq!(kept(&script), []);
}

#[test]
fn c_167_what_else_ends_the_session_is_judged_as_ever() {
    let (mut script, conn) = established(RESTARTS);
    script.liveness(Liveness::Down(Fate::Shared), 0);
    script.receive(conn, &Message::Notification(Notification::cease(4)));
    assert_eq!(kept(&script), []);
}

/// With a neighbor that repeats itself in so many words.
fn enhanced(config: SessionConfig) -> (Script, ConnId) {
    let mut script = Script::started(config);
    let conn = script.connect(Direction::Outgoing);
    let Message::Open(open) = open(1) else {
        panic!("an OPEN");
    };
    assert!(
        open.capabilities
            .contains(&Capability::EnhancedRouteRefresh)
    );
    script.receive(conn, &Message::Open(open));
    script.receive(conn, &Message::Keepalive);
    script.route("192.0.2.150/32");
    script.sent(conn);
    (script, conn)
}

fn says(script: &mut Script, conn: ConnId, subtype: u8) {
    let family = Family::IPV4_UNICAST;
    script.receive(
        conn,
        &Message::RouteRefresh(RouteRefresh { family, subtype }),
    );
}

#[test]
fn c_062_what_is_asked_for_once_more_has_a_beginning_and_an_end() {
    let (mut script, conn) = enhanced(config());
    says(&mut script, conn, route_refresh::REQUEST);
    let sent = script.sent(conn);
    let family = Family::IPV4_UNICAST;
    let mark = |subtype| Message::RouteRefresh(RouteRefresh { family, subtype });
    assert!(
        matches!(
            &sent[..],
            [begin, Message::Update(_), end]
                if *begin == mark(route_refresh::BEGIN) && *end == mark(route_refresh::END)
        ),
        "{sent:?}"
    );
    says(&mut script, conn, 9);
    assert_eq!(script.sent(conn), [], "a subtype that nobody knows");
}

#[test]
fn c_062_who_asks_without_end_is_answered_once() {
    let (mut script, conn) = enhanced(config());
    for _ in 0..1_000 {
        says(&mut script, conn, route_refresh::REQUEST);
    }
    assert_eq!(script.sent(conn).len(), 3, "a beginning, a route, an end");
    says(&mut script, conn, route_refresh::REQUEST);
    assert_eq!(script.sent(conn).len(), 3);
}

#[test]
fn c_062_a_mark_of_another_length_ends_the_session() {
    for (subtype, expected) in [(1, 7), (2, 7), (0, 1)] {
        let (mut script, conn) = enhanced(config());
        let message = [&[0xFF; 16][..], &[0, 24, 5, 0, 1, subtype, 1, 0]].concat();
        script.session.handle_bytes(script.now, conn, &message);
        let last_word = script.last_word(conn).unwrap();
        assert_eq!(last_word.code, expected);
        if expected == 7 {
            assert_eq!((last_word.subcode, &last_word.data[..]), (1, &message[..]));
        }
    }
}

#[test]
fn c_063_begin_marks_and_end_sweeps() {
    let (mut script, conn) = enhanced(SessionConfig {
        graceful_restart: None,
        ..helping()
    });
    announce(&mut script, conn, ONE);
    announce(&mut script, conn, TWO);
    says(&mut script, conn, route_refresh::END);
    assert_eq!(kept(&script).len(), 2, "an end without a beginning");
    says(&mut script, conn, route_refresh::BEGIN);
    announce(&mut script, conn, ONE);
    end_of_rib(&mut script, conn);
    assert_eq!(kept(&script), routes(&[(ONE, false), (TWO, true)]));
    says(&mut script, conn, route_refresh::BEGIN);
    assert_eq!(kept(&script), routes(&[(ONE, true), (TWO, true)]));
    announce(&mut script, conn, TWO);
    says(&mut script, conn, route_refresh::END);
    assert_eq!(kept(&script), routes(&[(TWO, false)]));
}

#[test]
fn c_063_an_end_that_never_comes_is_not_waited_for() {
    let (mut script, conn) = enhanced(SessionConfig {
        graceful_restart: None,
        ..helping()
    });
    announce(&mut script, conn, ONE);
    says(&mut script, conn, route_refresh::BEGIN);
    for _ in 0..6 {
        script.pass(seconds(60));
        script.receive(conn, &Message::Keepalive);
    }
    assert_eq!(kept(&script), []);
}

#[test]
fn c_063_a_beginning_before_end_of_rib_counts_for_nothing() {
    let mut script = Script::started(helping());
    let conn = come_up(&mut script, RESTARTS);
    announce(&mut script, conn, ONE);
    says(&mut script, conn, route_refresh::BEGIN);
    assert_eq!(kept(&script), routes(&[(ONE, false)]));
}
