use serde_json::{Value, json};

use super::*;

/// A session with everything that there can be.
fn established() -> Value {
    serde_json::from_str(include_str!("established.json")).unwrap()
}

fn shown(status: Value, events: Value) -> String {
    page(
        &serde_json::from_value(status).unwrap(),
        &serde_json::from_value::<Vec<EventStatus>>(events).unwrap(),
    )
}

#[test]
fn an_established_session() {
    let events = json!([{
        "at": "2026-01-02T03:00:00.000Z", "first_at": "2026-01-02T02:00:00.000Z", "count": 2,
        "peer": "tor-a", "subject": "bgp", "from": "Established", "to": "Idle",
        "cause": "hold timer expired",
    }]);
    assert_eq!(
        shown(established(), events),
        include_str!("established.txt")
    );
}

#[test]
fn a_session_that_is_not_there() {
    let mut status = established();
    for (key, value) in [
        ("story", json!([])),
        ("description", json!(null)),
        ("enabled", json!(false)),
        ("kind", json!(null)),
        ("local_id", json!(null)),
        ("remote_as", json!(null)),
        ("remote_id", json!(null)),
        ("remote_hostname", json!(null)),
        ("state", json!("Idle")),
        ("since", json!(null)),
        ("in_state_ms", json!(null)),
        ("idle_for_ms", json!(2_500)),
        ("local_address", json!(null)),
        ("remote_address", json!(null)),
        ("source_address", json!(null)),
        ("source_interface", json!(null)),
        ("passive", json!(false)),
        ("ebgp_multihop", json!(null)),
        ("role", json!(null)),
        ("role_strict", json!(false)),
        ("negotiated", json!(null)),
        ("families", json!([])),
        ("over_max_prefixes", json!("ipv4-unicast")),
        ("update_errors", json!(0)),
        ("last_update_error", json!(null)),
        ("last_reset", json!(null)),
        ("last_read_ms", json!(null)),
        ("last_write_ms", json!(null)),
        ("bfd", json!(null)),
    ] {
        status[key] = value;
    }
    status["timers"]["hold_time_ms"] = json!(null);
    status["timers"]["delay_open_time_ms"] = json!(0);
    status["timers"]["keepalive_time_ms"] = json!(0);
    assert_eq!(shown(status, json!([])), include_str!("idle.txt"));
}

#[test]
fn a_session_that_waits_for_bfd() {
    let mut status = established();
    status["state"] = json!("OpenSent");
    status["bfd_pending"] = json!("OpenSentBfdUpPending");
    let page = shown(status, json!([]));
    assert!(
        page.contains("\n                waiting for BFD (OpenSentBfdUpPending)\n"),
        "{page}"
    );
}

#[test]
fn a_bfd_session_that_could_not_be_opened() {
    let mut status = established();
    status["bfd"]["state"] = json!("Failed");
    status["bfd"]["error"] = json!("cannot send BFD from interface \"eth9\"");
    status["bfd"]["session"] = json!(null);
    let page = shown(status, json!([]));
    assert!(
        page.contains("    cannot send BFD from interface \"eth9\"\n    multihop (ebgp-multihop)"),
        "{page}"
    );
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut status = established();
    let hint = "nothing was heard from 192.0.2.1 since the connection attempt: ".repeat(5);
    status["transport"]["hints"] = json!([hint]);
    let cause = "received 6/2 Cease, Administrative Shutdown: \u{201e}Wartung\u{201c} ".repeat(4);
    status["last_reset"]["cause"] = json!(cause);
    let page = shown(status, json!([]));
    for text in [
        page.as_str(),
        include_str!("established.txt"),
        include_str!("idle.txt"),
    ] {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line:?} in\n{text}");
        }
    }
    // Nothing is lost, and what goes on hangs below.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&page).contains(words(&hint).as_str()), "{page}");
    assert!(words(&page).contains(words(&cause).as_str()), "{page}");
    assert!(page.contains("\n    nothing was heard"), "{page}");
    assert!(page.contains("\n      "), "{page}");
}

#[test]
fn a_word_that_is_wider_than_a_terminal_stays_whole() {
    let mut status = established();
    let long = "x".repeat(100);
    status["description"] = json!(format!("{long} {long} end"));
    let page = shown(status, json!([]));
    let expected = format!("\n  {long}\n    {long}\n    end\n");
    assert!(page.contains(&expected), "{page}");
}
