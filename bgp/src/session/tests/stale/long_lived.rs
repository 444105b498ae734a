//! Routes of a neighbor that is away for longer than its restart time (RFC 9494 §4).

use super::*;
use crate::wire::LongLivedGracefulRestart;

fn long_lived(stale_time: u32) -> SessionConfig {
    SessionConfig {
        graceful_restart: Some(RestartConfig {
            restart_time: RestartTime::from_secs(120).unwrap(),
            long_lived_stale_time: LongLivedStaleTime::from_secs(stale_time).unwrap(),
        }),
        ..helping()
    }
}

fn lasts(seconds: u32, forwarding: bool) -> LongLivedGracefulRestart {
    LongLivedGracefulRestart {
        family: Family::IPV4_UNICAST,
        forwarding,
        stale_time: LongLivedStaleTime::from_secs(seconds).unwrap(),
    }
}

/// What the neighbor's OPEN has beside multiprotocol.
fn says(restart: Says, long_lived: &[LongLivedGracefulRestart]) -> Message {
    let Message::Open(mut open) = open_that(restart) else {
        panic!("an OPEN");
    };
    let capability = Capability::LongLivedGracefulRestart(long_lived.into());
    open.capabilities.push(capability);
    Message::Open(open)
}

fn says_hour(forwarding: bool) -> Message {
    says(RESTARTS, &[lasts(3600, forwarding)])
}

fn lose(script: &mut Script, conn: ConnId) {
    script.session.handle_closed(script.now, conn);
}

/// Two routes came, and TCP was lost.
fn away(config: SessionConfig, open: &Message) -> Script {
    let mut script = Script::started(config);
    let conn = connect(&mut script, open);
    announce(&mut script, conn, ONE);
    announce(&mut script, conn, TWO);
    end_of_rib(&mut script, conn);
    lose(&mut script, conn);
    script
}

/// The same, and the restart time of 60 s is over: 3,600 s are left.
fn long_away() -> Script {
    let mut script = away(long_lived(7200), &says_hour(true));
    script.pass(seconds(60));
    assert_eq!(marked(&script), [ONE, TWO]);
    script
}

/// The routes that are long-lived stale, which their communities say too.
fn marked(script: &Script) -> Vec<String> {
    let mut marked = Vec::new();
    for route in script.session.received_routes() {
        let attributes = route.attributes.decode();
        let is_said = attributes.iter().any(|attribute| match attribute {
            Attribute::Communities(communities) => communities.contains(&Community::LLGR_STALE),
            _ => false,
        });
        assert_eq!(is_said, route.long_lived_stale, "{}", route.prefix);
        assert!(route.stale || !route.long_lived_stale);
        if route.long_lived_stale {
            marked.push(route.prefix.to_string());
        }
    }
    marked
}

#[test]
fn c_110_stale_routes_outlive_the_restart_time_with_a_mark() {
    let mut script = away(long_lived(7200), &says_hour(true));
    script.pass(Duration::from_millis(59_999));
    assert_eq!(marked(&script), [""; 0]);
    script.pass(Duration::from_millis(1));
    assert_eq!(marked(&script), [ONE, TWO]);
    script.pass(Duration::from_millis(3_599_999));
    assert_eq!(marked(&script), [ONE, TWO]);
    script.pass(Duration::from_millis(1));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_the_lesser_stale_time_counts_if_both_offer_one() {
    let ipv6 = LongLivedGracefulRestart {
        family: Family::IPV6_UNICAST,
        ..lasts(3600, true)
    };
    for (ours, theirs, expected) in [
        (600, &[lasts(3600, true)][..], 600),
        (7200, &[lasts(900, true)], 900),
        (7200, &[lasts(900, true), lasts(300, true)], 300),
        (0, &[lasts(3600, true)], 0),
        (7200, &[lasts(0, true)], 0),
        (7200, &[ipv6], 0),
        (7200, &[], 0),
    ] {
        let mut script = away(long_lived(ours), &says(RESTARTS, theirs));
        script.pass(Duration::from_millis(60_000 + expected * 1000 - 1));
        assert_eq!(kept(&script).len(), 2, "{ours} {theirs:?}");
        script.pass(Duration::from_millis(1));
        assert_eq!(kept(&script), [], "{ours} {theirs:?}");
    }
}

#[test]
fn c_110_of_several_capabilities_the_last_counts() {
    let Message::Open(mut open) = says_hour(true) else {
        panic!("an OPEN");
    };
    let last = Capability::LongLivedGracefulRestart([lasts(30, true)].into());
    open.capabilities.push(last);
    let mut script = away(long_lived(7200), &Message::Open(open));
    script.pass(seconds(89));
    assert_eq!(kept(&script).len(), 2);
    script.pass(seconds(1));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_without_graceful_restart_it_says_nothing() {
    let Message::Open(mut open) = says_hour(true) else {
        panic!("an OPEN");
    };
    let is_other = |capability: &Capability| capability.code() != 64;
    open.capabilities.retain(is_other);
    let script = away(long_lived(7200), &Message::Open(open));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_without_a_restart_time_it_begins_at_once() {
    let Message::Open(mut none) = says_hour(true) else {
        panic!("an OPEN");
    };
    for capability in &mut none.capabilities {
        if let Capability::GracefulRestart(restart) = capability {
            restart.restart_time = RestartTime::from_secs(0).unwrap();
        }
    }
    let other_family = Says {
        families: &[Family::IPV6_UNICAST],
        ..RESTARTS
    };
    let unnamed = says(other_family, &[lasts(3600, true)]);
    for open in [Message::Open(none), unnamed] {
        let mut script = away(long_lived(7200), &open);
        assert_eq!(marked(&script), [ONE, TWO]);
        script.pass(seconds(3599));
        assert_eq!(marked(&script), [ONE, TWO]);
        script.pass(seconds(1));
        assert_eq!(kept(&script), []);
    }
}

#[test]
fn c_110_what_is_not_to_be_long_lived_goes_with_the_restart_time() {
    let mut script = Script::started(long_lived(7200));
    let conn = connect(&mut script, &says_hour(true));
    let other = Community(0xFC08_0064);
    announce_with(&mut script, conn, ONE, &[other, Community::NO_LLGR]);
    announce_with(&mut script, conn, TWO, &[other]);
    lose(&mut script, conn);
    script.pass(seconds(59));
    assert_eq!(kept(&script), routes(&[(ONE, true), (TWO, true)]));
    script.pass(seconds(1));
    assert_eq!(marked(&script), [TWO]);
    let routes = script.session.received_routes();
    let communities = Attribute::Communities(vec![other, Community::LLGR_STALE]);
    assert!(routes[0].attributes.decode().contains(&communities));
}

#[test]
fn c_110_the_mark_is_there_once() {
    let mut script = Script::started(long_lived(7200));
    let conn = connect(&mut script, &says_hour(true));
    announce_with(&mut script, conn, ONE, &[Community::LLGR_STALE]);
    lose(&mut script, conn);
    script.pass(seconds(60));
    let routes = script.session.received_routes();
    let communities = Attribute::Communities(vec![Community::LLGR_STALE]);
    assert!(routes[0].attributes.decode().contains(&communities));
}

#[test]
fn c_110_end_of_rib_ends_it() {
    let mut script = long_away();
    script.pass(seconds(1800));
    let conn = connect(&mut script, &says_hour(true));
    assert_eq!(marked(&script), [ONE, TWO]);
    announce(&mut script, conn, ONE);
    assert_eq!(marked(&script), [TWO]);
    let status = script.session.status();
    let ipv4 = status.families.iter().find_map(|family| family.kept);
    let held = ipv4.map(|kept| (kept.routes, kept.stale, kept.long_lived_stale));
    assert_eq!(held, Some((2, 1, 1)));
    end_of_rib(&mut script, conn);
    assert_eq!(kept(&script), routes(&[(ONE, false)]));
    // And the next time begins anew.
    lose(&mut script, conn);
    script.pass(seconds(59));
    assert_eq!((kept(&script).len(), marked(&script).len()), (1, 0));
    script.pass(seconds(3600));
    assert_eq!(marked(&script), [ONE]);
}

#[test]
fn c_110_end_of_rib_that_never_comes_is_not_waited_for() {
    let mut script = long_away();
    let conn = connect(&mut script, &says_hour(true));
    for _ in 0..6 {
        assert_eq!(marked(&script), [ONE, TWO]);
        script.pass(seconds(60));
        script.receive(conn, &Message::Keepalive);
    }
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_routes_go_when_the_neighbor_did_not_forward() {
    for open in [
        says_hour(false),
        says(RESTARTS, &[]),
        open_that(RESTARTS),
        open(1),
    ] {
        let mut script = long_away();
        connect(&mut script, &open);
        assert_eq!(kept(&script), [], "{open:?}");
    }
    // Within the restart time the other capability's F bit counts.
    let mut script = away(long_lived(7200), &says_hour(true));
    script.pass(seconds(59));
    connect(&mut script, &says_hour(false));
    assert_eq!(kept(&script).len(), 2);
}

#[test]
fn c_110_a_second_restart_neither_ends_nor_lengthens_it() {
    let mut script = long_away();
    script.pass(seconds(3000));
    let conn = connect(&mut script, &says_hour(true));
    announce(&mut script, conn, ONE);
    script.pass(seconds(10));
    lose(&mut script, conn);
    assert_eq!(marked(&script), [ONE, TWO]);
    script.pass(seconds(589));
    assert_eq!(marked(&script), [ONE, TWO]);
    script.pass(seconds(1));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_nor_does_one_within_the_restart_time() {
    let mut script = away(long_lived(7200), &says_hour(true));
    script.pass(seconds(50));
    let conn = connect(&mut script, &says_hour(true));
    announce(&mut script, conn, ONE);
    lose(&mut script, conn);
    assert_eq!(kept(&script), routes(&[(ONE, true), (TWO, true)]));
    script.pass(seconds(10));
    assert_eq!(marked(&script), [ONE, TWO]);
    script.pass(seconds(3600));
    assert_eq!(kept(&script), []);
}

#[test]
fn c_110_what_costs_the_routes_costs_these_too() {
    let mut script = long_away();
    let conn = connect(&mut script, &says_hour(true));
    let reset = Notification::hard_reset(&Notification::cease(2));
    script.receive(conn, &Message::Notification(reset));
    assert_eq!(kept(&script), []);
}
