//! "Why did it flap last night?": a session with FRR that is lost in each of the ways in which one is, and what is told of that
//! afterwards.

use std::time::Duration;

use serde_json::Value;

use super::pair::{HOST_V4, Pair, ROUTER_V4, peer, status, wait_established};
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

const NAME: &str = "tor";
/// How long it may take until the loss is noticed.
const NOTICED: Duration = Duration::from_secs(20);

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
    let wait_for_losses = |number: usize| {
        wait_until("the session is lost", NOTICED, || {
            let lost = losses(&herald, "bgp");
            ensure(lost.len() == number, || format!("{lost:#?}"))
        });
    };
    let of_frr = |line: &str| frr.configure(&["router bgp 64521", line]);
    comes_up();

    // Its operator shuts it down, with a word for us, and later clears it.
    of_frr(&format!(
        "neighbor {HOST_V4} shutdown message rack 12 moves"
    ));
    wait_for_losses(1);
    of_frr(&format!("no neighbor {HOST_V4} shutdown"));
    comes_up();
    frr.vtysh(&format!("clear bgp {HOST_V4}"));
    wait_for_losses(2);
    comes_up();

    // The path swallows packets of BFD.
    pair.host.drop_incoming("udp dport 3784");
    wait_for_losses(3);
    pair.host.drop_nothing();
    comes_up();

    // And those of BGP alone.
    pair.host.drop_incoming("ip protocol tcp");
    wait_for_losses(4);
    pair.host.drop_nothing();
    comes_up();

    let lost = losses(&herald, "bgp");
    let causes: Vec<&str> = lost
        .iter()
        .map(|it| it["cause"].as_str().unwrap())
        .collect();
    let expected = [
        ["received 6/2 ", "rack 12 moves"],
        ["received 6/4 ", "Administrative Reset"],
        ["sent 6/10 ", "BFD Down"],
        ["sent 4/0 ", "Hold Timer Expired"],
    ];
    for (cause, words) in causes.iter().zip(expected) {
        assert!(words.iter().all(|word| cause.contains(word)), "{causes:?}");
    }
    assert!(lost.is_sorted_by_key(|it| it["at"].as_str().map(str::to_owned)));
    let bfd = losses(&herald, "bfd");
    assert_eq!(bfd.len(), 1, "{bfd:#?}");
    assert_eq!(bfd[0]["cause"], "control detection time expired");

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
            "It went down 4 times in the last 24 hours",
            "Cease/Administrative Shutdown from it at ",
            "Cease/Administrative Reset from it at ",
            "Cease/BFD Down from us at ",
            "Hold Timer Expired from us at ",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        for loss in &lost {
            // 2024-05-01T02:14:07.123Z
            let time = &loss["at"].as_str().unwrap()[11..19];
            assert!(
                told.contains(&format!("at {time} UTC")),
                "{time} is not in {told}"
            );
        }
    }
    for cause in causes {
        assert!(events.contains(&words(cause)), "{cause} is not in {events}");
    }
    let received = &shown["last_notification_received"];
    assert_eq!(received["subcode"], 4, "{received:#}");
}

/// What went down, the oldest first.
fn losses(herald: &Herald, subject: &str) -> Vec<Value> {
    let events = herald.command(&["show", "events", "--peer", NAME, "-o", "json"]);
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    let is_loss = |event: &Value| event["subject"] == subject && event["kind"] == "down";
    events.into_iter().filter(is_loss).collect()
}

/// Without the breaks of lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
