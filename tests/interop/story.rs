//! "Why did it flap last night?": a session with FRR that is lost in each of the ways in which one is, and what is told of that
//! afterwards.

use std::time::Duration;

use serde_json::Value;

use super::pair::{HOST_V4, Pair, ROUTER_V4, peer, status, wait_established};
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

const NAME: &str = "tor";
/// How long it may take until the loss is noticed.
const NOTICED: Duration = Duration::from_secs(30);

/// Words of the causes of the losses.
const SHUTDOWN: [&str; 2] = ["received 6/2 ", "rack 12 moves"];
const RESET: [&str; 2] = ["received 6/4 ", "Administrative Reset"];
const BFD_DOWN: [&str; 2] = ["sent 6/10 ", "BFD Down"];
const EXPIRED: [&str; 2] = ["sent 4/0 ", "Hold Timer Expired"];

const FAST: &str =
    "[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\nreceive-interval = \"50ms\"\n";

#[test]
fn each_loss_of_a_session_is_told_with_its_cause_and_time() {
    let Some(pair) = Pair::build("each_loss_of_a_session_is_told_with_its_cause_and_time") else {
        return;
    };
    let neighbors = [
        format!("{HOST_V4} remote-as 64520"),
        format!("{HOST_V4} timers connect 1"),
    ];
    let frr = pair.frr(&neighbors, &[HOST_V4]);
    frr.configure(&[
        "bfd",
        &format!("peer {HOST_V4} local-address {ROUTER_V4} interface eth0"),
    ]);
    let keys = "bfd-profile = \"fast\"\nhold-time = \"3s\"\nconnect-retry-time = \"500ms\"\n";
    let herald = pair.herald(&(peer(NAME, ROUTER_V4, keys) + FAST));
    let comes_up = || {
        wait_established(&herald, &frr, NAME, HOST_V4);
        wait_until("BFD is up", NOTICED, || {
            let bfd = status(&herald, NAME)["bfd"]["state"].clone();
            ensure(bfd == "Up", || bfd.to_string())
        });
    };
    let lost_by = |cause: [&str; 2]| losses(&herald, "bgp", &cause);
    let wait_for_loss = |cause: [&str; 2]| {
        wait_until("the session is lost", NOTICED, || {
            lost_by(cause)
                .pop()
                .ok_or_else(|| format!("{:#?}", losses(&herald, "bgp", &[])))
        })
    };
    let of_frr = |line: &str| frr.configure(&["router bgp 64521", line]);
    comes_up();

    // Its operator shuts it down, with a word for us, and later clears it.
    of_frr(&format!(
        "neighbor {HOST_V4} shutdown message rack 12 moves"
    ));
    let shut_down = wait_for_loss(SHUTDOWN);
    of_frr(&format!("no neighbor {HOST_V4} shutdown"));
    comes_up();
    frr.vtysh(&format!("clear bgp {HOST_V4}"));
    let reset = wait_for_loss(RESET);
    comes_up();

    // The path swallows packets of BFD.
    // On a machine that stands still for a moment, BFD may have lost it before.
    let before = lost_by(BFD_DOWN).len();
    pair.host.drop_incoming("udp dport 3784");
    let bfd_down = wait_until("the path is lost", NOTICED, || {
        let mut lost = lost_by(BFD_DOWN);
        ensure(lost.len() > before, || format!("{lost:#?}"))?;
        Ok(lost.remove(before))
    });
    pair.host.drop_nothing();
    comes_up();

    // And those of BGP alone.
    pair.host.drop_incoming("ip protocol tcp");
    let expired = wait_for_loss(EXPIRED);
    pair.host.drop_nothing();
    comes_up();

    let lost = [shut_down, reset, bfd_down, expired];
    assert!(lost.is_sorted_by_key(|it| it["at"].as_str().map(str::to_owned)));
    let seen = losses(&herald, "bfd", &["control detection time expired"]);
    assert!(!seen.is_empty());

    let page = words(&herald.command(&["show", "peer", NAME]));
    let events = words(&herald.command(&["show", "events", "--peer", NAME]));
    let shown = herald.command(&["show", "peer", NAME, "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let said: Vec<&str> = shown["story"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let said = said.join(" ");
    for told in [&page, &said] {
        for part in [
            "Established for ",
            "nothing came from it for the hold time, so we closed with Hold Timer Expired",
            &format!(
                "It went down {} times in the last 24 hours",
                losses(&herald, "bgp", &[]).len()
            ),
            "Cease/Administrative Shutdown from it at ",
            "Cease/Administrative Reset from it at ",
            "Cease/BFD Down from us at ",
            "Hold Timer Expired from us at ",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        for loss in &lost {
            // 2024-05-01T02:14:07.123Z
            let (date, time) = loss["at"].as_str().unwrap().split_once('T').unwrap();
            let time = &time[..8];
            // Of another day, the date is told as well.
            let ways = [format!("at {time} UTC"), format!("at {date} {time} UTC")];
            assert!(
                ways.iter().any(|way| told.contains(way)),
                "{time} is not in {told}"
            );
        }
    }
    for loss in &lost {
        let cause = loss["cause"].as_str().unwrap();
        assert!(events.contains(&words(cause)), "{cause} is not in {events}");
    }
    // When both dial anew, FRR may end one of two connections by Connection Collision Resolution.
    let received = &shown["last_notification_received"];
    assert_eq!(received["code"], 6, "{received:#}");
    assert!(
        [4, 7].map(Value::from).contains(&received["subcode"]),
        "{received:#}"
    );
}

/// What went down for a cause that has these words, the oldest first.
fn losses(herald: &Herald, subject: &str, cause: &[&str]) -> Vec<Value> {
    let events = herald.command(&["show", "events", "--peer", NAME, "-o", "json"]);
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    let is_loss = |event: &Value| {
        let told = event["cause"].as_str().unwrap_or_default();
        event["subject"] == subject
            && event["kind"] == "down"
            && cause.iter().all(|words| told.contains(words))
    };
    events.into_iter().filter(is_loss).collect()
}

/// Without the breaks of lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
