use std::time::UNIX_EPOCH;

use ::bfd::Diagnostic;
use ::bfd::State as BfdState;
use bgp::State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};
use bgp::{Cause, Notification};
use serde_json::{Value, json};

use super::*;
use crate::config::{Party, PeerName};
use crate::history::{BfdCause, BfdSight, History, Subject};

/// 2026-01-02 02:14:07 UTC, when the session came up in most stories.
const UP: u64 = 1_767_320_047_000;
const BFD_DOWN: Notification = Notification::new(6, 10);

/// A peer, what happened to it, and when it is told.
struct Tale {
    status: Value,
    history: History,
    now: u64,
    started: u64,
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

fn party() -> Party {
    Party::Peer(PeerName::new("tor-a").unwrap())
}

fn sight(local_diag: Diagnostic) -> BfdSight {
    BfdSight {
        local_diag,
        remote_diag: Diagnostic::NONE,
        remote_state: BfdState::Up,
        silence: Some(Duration::from_micros(153_400)),
        detection_time: Some(Duration::from_millis(150)),
    }
}

fn silent() -> BfdSight {
    sight(Diagnostic::CONTROL_DETECTION_TIME_EXPIRED)
}

impl Tale {
    /// At this time after the session came up, if it has.
    fn told(after: u64) -> Self {
        let status = include_str!("../cli/show/peer/established.json");
        let mut status: Value = serde_json::from_str(status).unwrap();
        status["in_state_ms"] = json!(after);
        status["families"] = json!([]);
        status["bfd"] = json!(null);
        Self {
            status,
            history: History::beginning(UNIX_EPOCH),
            now: UP + after,
            started: UP - 60_000,
        }
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.status[key] = value;
        self
    }

    fn bgp(mut self, millis: u64, from: bgp::State, to: bgp::State, cause: Cause) -> Self {
        let what = What::Bgp { from, to, cause };
        self.history
            .happened(at(millis), party(), Subject::Bgp, what);
        self
    }

    fn up(self, millis: u64) -> Self {
        self.bgp(millis, OpenConfirm, Established, Cause::KeepaliveReceived)
    }

    fn lost(self, millis: u64, cause: Cause) -> Self {
        self.bgp(millis, Established, Idle, cause)
    }

    fn refused(self, millis: u64) -> Self {
        let reason = "Connection refused (os error 111)".to_owned();
        self.bgp(millis, Connect, Active, Cause::ConnectFailed(reason))
    }

    fn bfd(mut self, millis: u64, from: BfdState, to: BfdState, sight: BfdSight) -> Self {
        let cause = BfdCause::Protocol(sight);
        let what = What::Bfd { from, to, cause };
        self.history
            .happened(at(millis), party(), Subject::Bfd, what);
        self
    }

    fn plot<T>(&self, tell: impl FnOnce(&Plot<'_>) -> T) -> T {
        let none = crate::history::Records::default();
        let sessions = self.history.of_sessions();
        let of = |subject| sessions.get(&(party(), subject));
        tell(&Plot {
            now: at(self.now),
            started: at(self.started),
            bgp: of(Subject::Bgp).unwrap_or(&none),
            bfd: of(Subject::Bfd).unwrap_or(&none),
        })
    }

    fn story(&self) -> Vec<String> {
        let status = serde_json::from_value(self.status.clone()).unwrap();
        self.plot(|plot| of_peer(&status, plot))
    }

    fn story_of_bfd(&self, changes: &[(&str, Value)]) -> Vec<String> {
        let status = include_str!("../cli/show/peer/established.json");
        let status: Value = serde_json::from_str(status).unwrap();
        let mut bfd = status["bfd"].clone();
        for (key, value) in changes {
            bfd[*key] = value.clone();
        }
        let status = serde_json::from_value(bfd).unwrap();
        self.plot(|plot| of_bfd(&status, plot))
    }
}

#[test]
fn a_session_that_is_well_while_bfd_is_not_says_so() {
    let status = include_str!("../cli/show/peer/established.json");
    let mut bfd = serde_json::from_str::<Value>(status).unwrap()["bfd"].take();
    let told = |bfd: &Value| {
        let tale = Tale::told(11_520_000).with("bfd", bfd.clone()).up(UP);
        tale.story().get(1).cloned()
    };
    assert_eq!(told(&bfd), None);
    bfd["state"] = json!("Down");
    let said = told(&bfd).unwrap();
    assert!(
        said.starts_with("BFD is Down: until it is Up, only the hold timer"),
        "{said}"
    );
    bfd["enabled"] = json!(false);
    assert_eq!(told(&bfd), None);
}

#[test]
fn a_session_that_has_been_well_all_along() {
    let tale = Tale::told(11_520_000).with("families", json!([])).up(UP);
    assert_eq!(
        tale.story(),
        ["Established for 3h 12m (since 02:14:07 UTC). It has no prefix from us."]
    );
}

#[test]
fn it_came_up_after_attempts_that_failed() {
    let mut tale = Tale::told(60_000);
    for second in 1..=10 {
        tale = tale.refused(UP - 20_000 + second * 1000);
    }
    assert_eq!(
        tale.up(UP).story()[1],
        "Before that 10 attempts had failed, the last at 02:13:57 UTC: TCP connection failed: Connection refused (os error 111); the host is there, and nothing listens at that port or a firewall refuses; see that BGP runs there and has our address as a neighbor."
    );
}

#[test]
fn bfd_saw_the_path_fail_and_bgp_followed() {
    let down = UP - 4_200;
    let tale = Tale::told(11_520_000)
        .up(down - 1_000_000)
        .bfd(down - 1, BfdState::Up, BfdState::Down, silent())
        .lost(
            down,
            Cause::NotificationSent(Notification::hard_reset(&BFD_DOWN)),
        )
        .refused(UP - 2_000)
        .bfd(
            UP - 900,
            BfdState::Init,
            BfdState::Up,
            sight(Diagnostic::NONE),
        )
        .up(UP);
    assert_eq!(
        tale.story()[1..],
        [
            "Before that it was down for 4.2 s: BFD said that nothing came from the neighbor for 153 ms (Detection Time 150 ms), so we closed with Cease/BFD Down, as a Hard Reset: it dropped our routes at once.",
            "Until it came back an attempt failed: TCP connection failed: Connection refused (os error 111); the host is there, and nothing listens at that port or a firewall refuses; see that BGP runs there and has our address as a neighbor.",
            "BFD was up again at 02:14:06 UTC, and BGP 900 ms later.",
        ]
    );
}

#[test]
fn what_bfd_saw_at_another_time_is_not_its_reason() {
    let tale = Tale::told(1_000)
        .up(UP - 100_000)
        .bfd(UP - 50_000, BfdState::Up, BfdState::Down, silent())
        .lost(UP - 4_000, Cause::NotificationSent(BFD_DOWN))
        .up(UP);
    assert!(
        tale.story()[1].contains("BFD said that the path is down, so"),
        "{:?}",
        tale.story()
    );
}

#[test]
fn each_way_to_lose_a_session_has_its_words() {
    let cease = |subcode| Notification::cease(subcode);
    let text = Notification::cease_with_communication(2, "rack 12 moves");
    for (cause, words) in [
        (
            Cause::ConnectionLost,
            "TCP was closed or broke, without a word from it",
        ),
        (
            Cause::NotificationSent(Notification::new(4, 0)),
            "nothing came from it for the hold time, so we closed with Hold Timer Expired",
        ),
        (
            Cause::NotificationReceived(Notification::new(4, 0)),
            "it heard nothing from us for the hold time, and closed with Hold Timer Expired",
        ),
        (
            Cause::NotificationReceived(Notification::hard_reset(&text)),
            "its operator shut the session down and says \"rack 12 moves\"",
        ),
        (
            Cause::NotificationSent(text.clone()),
            "we shut it down, and told it \"rack 12 moves\"",
        ),
        (
            Cause::NotificationReceived(cease(4)),
            "its operator reset the session",
        ),
        (
            Cause::NotificationReceived(cease(3)),
            "we were taken out of its configuration",
        ),
        (
            Cause::NotificationReceived(cease(1)),
            "we announce more prefixes than it allows us",
        ),
        (
            Cause::NotificationReceived(BFD_DOWN),
            "its BFD saw the path fail",
        ),
        (Cause::NotificationSent(cease(4)), "we reset it"),
        (
            Cause::NotificationSent(cease(1)),
            "it announced more prefixes than max-prefixes allows",
        ),
        (
            Cause::NotificationSent(cease(6)),
            "our configuration changed in a way that takes a new session",
        ),
        (
            Cause::NotificationSent(Notification::new(3, 1)),
            "we closed with 3/1 UPDATE Message Error, Malformed Attribute List",
        ),
        (
            Cause::NotificationReceived(cease(8)),
            "it closed with 6/8 Cease, Out of Resources",
        ),
        (
            Cause::SendHoldTimerExpired,
            "it took nothing from us for the send hold time",
        ),
        (Cause::Restarting, "we closed TCP for our own restart"),
        (Cause::NeighborRestarted, "as one does that has restarted"),
        (Cause::Stopped, "it was stopped here"),
    ] {
        let tale = Tale::told(1_000)
            .up(UP - 9_000)
            .lost(UP - 1_500, cause)
            .up(UP);
        let told = &tale.story()[1];
        assert!(
            told.starts_with("Before that it was down for 1.5 s: "),
            "{told}"
        );
        assert!(told.contains(words), "{words:?} is not in {told:?}");
    }
}

#[test]
fn flaps_are_counted_by_cause_within_a_day() {
    let mut tale = Tale::told(60_000).up(UP - 2 * 86_400_000);
    for (ago, cause) in [
        (90_000_000, Cause::ConnectionLost),
        (3_600_000, Cause::NotificationSent(BFD_DOWN)),
        (1_800_000, Cause::NotificationSent(BFD_DOWN)),
        (600_000, Cause::NotificationReceived(Notification::cease(4))),
    ] {
        tale = tale.lost(UP - ago, cause).up(UP - ago + 1000);
    }
    assert_eq!(
        tale.story().last().unwrap(),
        "It went down 3 times in the last 24 hours: Cease/BFD Down from us twice, last at 01:44:07 UTC; Cease/Administrative Reset from it at 02:04:07 UTC."
    );
}

#[test]
fn a_restart_of_the_daemon_is_part_of_the_story() {
    let stopped = Cause::NotificationSent(Notification::cease(2));
    let mut tale = Tale::told(1_000)
        .up(UP - 86_400_000)
        .lost(UP - 12_000, stopped)
        .up(UP);
    tale.started = UP - 3_000;
    assert_eq!(
        tale.story()[1],
        "Before that it was down for 12.0 s: we shut it down. The daemon was started again at 02:14:04 UTC."
    );
}

/// A daemon that crashed saw no end of its session.
#[test]
fn what_was_not_seen_is_not_told() {
    let tale = Tale::told(1_000).up(UP - 86_400_000).up(UP);
    assert_eq!(tale.story().len(), 1);
}

#[test]
fn a_session_that_is_down_says_why_and_what_it_does() {
    let tale = Tale::told(4_000)
        .with("state", json!("Active"))
        .with("passive", json!(false))
        .up(UP - 100_000)
        .lost(UP, Cause::ConnectionLost)
        .refused(UP + 1_000)
        .refused(UP + 2_000);
    let story = tale.story();
    assert_eq!(
        story[0],
        "Down for 4.0 s (since 02:14:07 UTC): TCP was closed or broke, without a word from it."
    );
    assert!(
        story[1].starts_with("2 attempts failed, the last at 02:14:09 UTC: TCP connection failed")
    );
    assert_eq!(
        story[2],
        "It is in Active: we wait for it to connect, and try again ourselves every 5.0 s."
    );
}

#[test]
fn a_session_that_never_came_up_says_where_to_look() {
    let hint = "ttl-security = 1: packets from the neighbor count only with a TTL of 255";
    let as_error = Notification::new(2, 2);
    let tale = Tale::told(0)
        .with("state", json!("Idle"))
        .with("idle_for_ms", json!(2_500))
        .with("transport", json!({ "hints": [hint] }))
        .bgp(UP, OpenSent, Idle, Cause::NotificationReceived(as_error));
    assert_eq!(
        tale.story(),
        [
            "Not established since the daemon was started 1m 00s ago.",
            "An attempt failed at 02:14:07 UTC: it said 2/2 OPEN Message Error, Bad Peer AS; we are AS 64520 here, and it expects another.",
            "The next attempt is in 2.5 s.",
            "ttl-security = 1: packets from the neighbor count only with a TTL of 255.",
        ]
    );
}

#[test]
fn each_state_says_what_is_missing() {
    for (state, words) in [
        ("Connect", "connecting to 192.0.2.1 port 179"),
        ("Active", "passive = true, so we wait"),
        ("OpenSent", "its OPEN has not come"),
        ("OpenConfirm", "its first KEEPALIVE has not come"),
        ("Idle", "It is Idle."),
    ] {
        let story = Tale::told(0).with("state", json!(state)).story();
        assert!(story[1].contains(words), "{story:?}");
    }
    let waiting = Tale::told(0)
        .with("state", json!("OpenSent"))
        .with("bfd_pending", json!("OpenSentBfdUpPending"));
    assert!(
        waiting.story()[1].contains("waits for BFD"),
        "{:?}",
        waiting.story()
    );
    let full = Tale::told(0)
        .with("state", json!("Idle"))
        .with("over_max_prefixes", json!("ipv4-unicast"));
    assert!(
        full.story()[1].contains("`herald peer reset tor-a`"),
        "{:?}",
        full.story()
    );
}

#[test]
fn each_failure_comes_with_advice() {
    let failed = |reason: &str| Cause::ConnectFailed(reason.to_owned());
    let said = |subcode| Cause::NotificationReceived(Notification::new(2, subcode));
    for (cause, advice) in [
        (
            failed("Connection timed out (os error 110)"),
            "nobody answers",
        ),
        (
            failed("Network is unreachable (os error 101)"),
            "`ip route get`",
        ),
        (failed("No route to host (os error 113)"), "`ip route get`"),
        (
            failed("Cannot assign requested address (os error 99)"),
            "source-address",
        ),
        (Cause::ConnectionLost, "may not have us as a neighbor"),
        (
            Cause::NotificationSent(Notification::new(2, 2)),
            "remote-as is external",
        ),
        (said(3), "the same router id"),
        (said(6), "hold-time"),
        (said(7), "families"),
        (said(11), "look at role"),
        (
            Cause::NotificationReceived(Notification::cease(5)),
            "does not have us as a neighbor",
        ),
    ] {
        let tale = Tale::told(0)
            .with("state", json!("Active"))
            .bgp(UP, OpenSent, Idle, cause);
        assert!(tale.story()[1].contains(advice), "{:?}", tale.story());
    }
}

#[test]
fn who_is_kept_down_is_told_how_to_come_back() {
    let tale = Tale::told(0)
        .with("state", json!("Idle"))
        .with("shutdown", json!({ "communication": "moving racks" }))
        .lost(UP, Cause::NotificationSent(Notification::cease(2)));
    assert_eq!(
        tale.story(),
        [
            "It was shut down by command with the words \"moving racks\"; `herald peer enable tor-a` lets it start again.",
            "Down for 0 ms (since 02:14:07 UTC): we shut it down.",
        ]
    );
    let disabled = Tale::told(0)
        .with("state", json!("Idle"))
        .with("enabled", json!(false));
    assert_eq!(
        disabled.story(),
        ["It is disabled in the configuration (enabled = false)."]
    );
}

#[test]
fn the_path_and_bgp_are_told_apart() {
    let bfd = |state: &str, warning: Value| {
        let status = include_str!("../cli/show/peer/established.json");
        let status: Value = serde_json::from_str(status).unwrap();
        let mut bfd = status["bfd"].clone();
        bfd["state"] = json!(state);
        bfd["warning"] = warning;
        let tale = Tale::told(0)
            .with("state", json!("Active"))
            .with("bfd", bfd);
        tale.story().join(" ")
    };
    assert!(bfd("Up", json!(null)).contains("the path is well, so look at BGP"));
    assert!(bfd("Down", json!(null)).contains("look at the path first"));
    assert!(
        bfd("Down", json!("has not been up in 20s"))
            .contains("BFD is Down: has not been up in 20s.")
    );
}

#[test]
fn a_bfd_session_tells_its_story_too() {
    let expired = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
    let tale = Tale::told(60_000)
        .bfd(
            UP - 90_000,
            BfdState::Init,
            BfdState::Up,
            sight(Diagnostic::NONE),
        )
        .bfd(UP - 1_100, BfdState::Up, BfdState::Down, silent())
        .bfd(UP, BfdState::Init, BfdState::Up, sight(Diagnostic::NONE));
    let up = tale.story_of_bfd(&[("state", json!("Up")), ("in_state_ms", json!(60_000))]);
    assert_eq!(
        up[..2],
        [
            "Up for 1m 00s (since 02:14:07 UTC).",
            "Before that it was down for 1.1 s, since 02:14:05 UTC: nothing came from the neighbor for 153 ms (Detection Time 150 ms).",
        ]
    );
    let signaled = BfdSight {
        remote_diag: expired,
        remote_state: BfdState::Down,
        ..sight(Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN)
    };
    let tale = tale.bfd(UP + 59_000, BfdState::Up, BfdState::Down, signaled);
    let down = tale.story_of_bfd(&[("state", json!("Down"))]);
    assert_eq!(
        down,
        [
            "Down for 1.0 s (since 02:15:06 UTC): the neighbor's BFD session went down, for it heard nothing from us (control detection time expired there).",
            "It went down twice in the last 24 hours: neighbor signaled session down at 02:15:06 UTC; control detection time expired at 02:14:05 UTC.",
        ]
    );
}

#[test]
fn a_bfd_session_that_was_never_up_tells_what_is_missing() {
    let warning = json!("has not been up in 20s: no packet has come from there");
    let tale = Tale::told(0);
    let down = tale.story_of_bfd(&[("state", json!("Down")), ("warning", warning)]);
    assert_eq!(
        down,
        [
            "Down, and not up since the daemon was started 1m 00s ago.",
            "Has not been up in 20s: no packet has come from there.",
        ]
    );
    let error = json!("cannot send BFD from interface \"eth9\"");
    let failed = tale.story_of_bfd(&[("state", json!("Failed")), ("error", error)]);
    assert!(failed[0].contains("eth9"), "{failed:?}");
    let disabled = tale.story_of_bfd(&[("enabled", json!(false))]);
    assert_eq!(disabled.len(), 1);
}

#[test]
fn durations_and_times_are_as_people_say_them() {
    for (millis, text) in [
        (153, "153 ms"),
        (4_260, "4.2 s"),
        (725_000, "12m 05s"),
        (11_520_000, "3h 12m"),
        (183_600_000, "2d 03h"),
    ] {
        assert_eq!(lasting(Duration::from_millis(millis)), text);
    }
    assert_eq!(clock(at(UP), at(UP + 1000)), "02:14:07 UTC");
    assert_eq!(
        clock(at(UP), at(UP + 86_400_000)),
        "2026-01-02 02:14:07 UTC"
    );
}

#[test]
fn of_a_drained_peer_the_drain_is_told_first() {
    let told = |reason: &str| {
        Tale::told(60_000)
            .up(UP)
            .with("draining", json!(reason))
            .story()
    };
    for (reason, end) in [
        ("peer", "`herald undrain tor-a` ends that."),
        ("all", "`herald undrain` ends that."),
        ("stop", "to take other paths (RFC 8326)."),
    ] {
        let story = told(reason);
        assert!(story[0].starts_with("It is drained"), "{story:?}");
        assert!(story[0].ends_with(end), "{story:?}");
        assert!(story[1].starts_with("Established"), "{story:?}");
    }
}

#[test]
fn a_neighbor_that_was_shut_down_says_nothing_of_the_path() {
    let said = Cause::NotificationReceived(Notification::new(6, 2));
    let told = |remote_state: &str| {
        let status = include_str!("../cli/show/peer/established.json");
        let mut bfd = serde_json::from_str::<Value>(status).unwrap()["bfd"].clone();
        bfd["state"] = json!("Down");
        bfd["warning"] = json!(null);
        bfd["session"]["remote_state"] = json!(remote_state);
        let tale = Tale::told(60_000).up(UP).lost(UP + 1_000, said.clone());
        tale.with("state", json!("Active"))
            .with("bfd", bfd)
            .story()
            .join("\n")
    };
    let (taken_down, lost) = (told("AdminDown"), told("Down"));
    assert!(
        taken_down.contains("its operator shut the session down"),
        "{taken_down}"
    );
    assert!(
        taken_down.contains("(AdminDown), which says nothing of the path."),
        "{taken_down}"
    );
    assert!(
        !taken_down.contains("look at the path first"),
        "{taken_down}"
    );
    assert!(lost.contains("look at the path first"), "{lost}");
}

#[test]
fn a_neighbor_that_hangs_up_may_wait_for_bfd() {
    let told = |bfd_state: Option<&str>| {
        let status = include_str!("../cli/show/peer/established.json");
        let mut bfd = serde_json::from_str::<Value>(status).unwrap()["bfd"].clone();
        bfd["state"] = json!(bfd_state);
        let bfd = bfd_state.map_or(json!(null), |_| bfd);
        let tale = Tale::told(60_000)
            .with("state", json!("Active"))
            .with("bfd", bfd);
        let tale = tale.bgp(UP, OpenSent, Active, Cause::ConnectionLost);
        tale.story().join("\n")
    };
    assert!(told(None).contains("`neighbor ... bfd`), and the peer has no bfd-profile here"));
    assert!(told(Some("Down")).contains("`neighbor ... bfd`), which is Down"));
    assert!(!told(Some("Up")).contains("waits for BFD"));
    for story in [told(None), told(Some("Down")), told(Some("Up"))] {
        assert!(
            story.contains("it accepted TCP and hung up without a word; it may not have us"),
            "{story}"
        );
    }
}

/// What is over needs no advice.
#[test]
fn whoever_hung_up_before_it_came_back_is_not_suspected() {
    let tale = Tale::told(60_000)
        .lost(UP - 3_000, Cause::Restarting)
        .bgp(UP - 1_000, OpenSent, Active, Cause::ConnectionLost)
        .up(UP);
    let story = tale.story().join("\n");
    assert!(story.contains("hung up without a word."), "{story}");
    assert!(!story.contains("may not have us"), "{story}");
}
