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
