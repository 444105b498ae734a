//! BFD sessions that a neighbor begins: real daemons on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use serde_json::Value;
use support::{Daemon, eventually, loopback, words};

#[test]
fn a_neighbor_begins_a_session_and_is_told_of_its_end() {
    let [one, two] = [loopback(), loopback()];
    let accepting = |more: &str| {
        format!(
            "[speaker]\n[bfd]\nlisten = [\"{one}:13784\"]\n\
             [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"100ms\"\n\
             [[bfd-range]]\nname = \"fabric\"\nprefix = \"{two}/32\"\nport = 13784\ndescription = \"rack 12\"\n{more}\n"
        )
    };
    let here = Daemon::start(&accepting(""));
    assert_eq!(here.show(&["bfd"]), serde_json::json!([]));
    let there = Daemon::start(&format!(
        "[speaker]\n[bfd]\nlisten = [\"{two}:13784\"]\n\
         [[bfd-session]]\nname = \"path\"\naddress = \"{one}\"\nsource-address = \"{two}\"\nport = 13784\n"
    ));
    let name = format!("fabric@{two}");
    let shown = || here.show(&["bfd"]).as_array().unwrap().first().cloned();
    let is_up = || shown().is_some_and(|shown| shown["state"] == "Up");
    eventually("the session is up", is_up);
    let session = here.show(&["bfd", &name]);
    assert_eq!(session["name"], name.as_str());
    assert_eq!(session["bfd_range"], "fabric");
    assert_eq!(session["description"], "rack 12");
    assert_eq!(session["profile"], "default");
    assert_eq!(session["session"]["passive"], true);
    let page = words(&here.ok(&["show", "bfd", &name]));
    assert!(page.contains("Dynamic of bfd-range fabric"), "{page}");
    let events = here.show(&["events", "--bfd-session", &name]);
    assert_eq!(events[1]["to"], "Up", "{events:#}");
    let events = here.show(&["events", "--bfd-session", "fabric"]);
    assert_eq!(
        events[0]["cause"],
        format!("session {name}: begun"),
        "{events:#}"
    );

    // Another profile, and it stays up.
    here.write(&accepting("bfd-profile = \"fast\""));
    let applied = here.ok(&["reload"]);
    assert!(
        applied.contains("bfd-range fabric: updated: bfd-profile default -> fast"),
        "{applied}"
    );
    eventually("it has other timers", || {
        here.show(&["bfd", &name])["session"]["transmit_interval_configured_ms"] == 100.0
    });
    let session = here.show(&["bfd", &name]);
    assert_eq!(session["profile"], "fast");
    assert_eq!(session["session"]["down_count"], 0, "{session:#}");

    here.write(&accepting("enabled = false"));
    here.ok(&["reload"]);
    let remote_state = || there.show(&["bfd", "path"])["session"]["remote_state"].clone();
    eventually("the neighbor is told", || remote_state() == "AdminDown");
    eventually("there is none", || shown().is_none());
    assert_eq!(here.show(&["bfd"]), Value::Array(Vec::new()));
}
