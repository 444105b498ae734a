//! BFD sessions without BGP, and such that a peer has too: real daemons on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::net::Ipv4Addr;

use serde_json::Value;
use support::{Daemon, eventually, loopback, words};

/// A daemon without BGP that watches the path to `other`.
fn watcher(own: Ipv4Addr, other: Ipv4Addr, more: &str) -> String {
    format!(
        "[speaker]\n[bfd]\nlisten = [\"{own}:13784\"]\n\
         [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"100ms\"\nreceive-interval = \"100ms\"\n\
         [[bfd-session]]\nname = \"path\"\naddress = \"{other}\"\nsource-address = \"{own}\"\nport = 13784\n{more}\n"
    )
}

fn path(daemon: &Daemon) -> Value {
    daemon.show(&["bfd", "path"])
}

fn wait_until_up(daemon: &Daemon) {
    eventually("the path is up", || path(daemon)["state"] == "Up");
}

fn cause_of_last_change(daemon: &Daemon) -> String {
    let events = daemon.show(&["events", "--bfd-session", "path"]);
    let last = events.as_array().unwrap().last().cloned();
    last.map_or_else(String::new, |last| {
        last["cause"].as_str().unwrap().to_owned()
    })
}

#[test]
fn a_path_is_watched_without_bgp() {
    let [one, two] = [loopback(), loopback()];
    let here = Daemon::start(&watcher(one, two, "description = \"rack 12\""));
    let there = Daemon::start(&watcher(two, one, ""));
    wait_until_up(&here);
    wait_until_up(&there);
    let status = here.show(&["status"]);
    assert_eq!(status["local_as"], Value::Null);
    assert_eq!(here.show(&["peers"]), serde_json::json!([]));
    let shown = path(&here);
    assert_eq!(shown["bfd_session"], "path");
    assert_eq!(shown["peer"], Value::Null);
    assert_eq!(shown["session"]["remote_state"], "Up");

    let table = here.ok(&["show", "bfd"]);
    assert!(table.contains("path"), "{table}");
    assert!(table.contains("single: default"), "{table}");
    let page = words(&here.ok(&["show", "bfd", "path"]));
    for text in [
        "rack 12",
        "Runs for bfd-session path",
        "LocalDiscr",
        "AuthType none",
        "AuthSeqKnown 0",
        "RemoteMinRxInterval",
        "Init -> Up: both ends hear each other",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }

    // Other timers cost nothing.
    here.write(&watcher(one, two, "bfd-profile = \"fast\""));
    let applied = here.ok(&["reload"]);
    assert!(
        applied.contains("bfd-session path: updated in place: bfd-profile default -> fast"),
        "{applied}"
    );
    eventually("both have agreed", || {
        path(&there)["session"]["remote_desired_min_tx_interval_ms"] == 100.0
    });
    assert_eq!(path(&there)["session"]["down_count"], 0);

    // One that goes, says so.
    here.write(&format!("[speaker]\n[bfd]\nlisten = [\"{one}:13784\"]\n[[bfd-session]]\nname = \"other\"\naddress = \"{one}\"\nport = 1\nenabled = false\n"));
    here.ok(&["reload"]);
    eventually("it is told", || path(&there)["state"] == "Down");
    let cause = cause_of_last_change(&there);
    assert!(cause.contains("took it down"), "{cause}");
    let missing = here.fails(1, &["show", "bfd", "path"]);
    assert!(
        missing.contains("there is no BFD session path"),
        "{missing}"
    );
    assert_eq!(here.show(&["bfd", "other"])["enabled"], false);
}

#[test]
fn a_path_that_dies_is_told_of() {
    let [one, two] = [loopback(), loopback()];
    let here = Daemon::start(&watcher(one, two, "bfd-profile = \"fast\""));
    let there = Daemon::start(&watcher(two, one, "bfd-profile = \"fast\""));
    wait_until_up(&here);
    there.signal(nix::sys::signal::Signal::SIGSTOP);
    eventually("it is down", || path(&here)["state"] == "Down");
    assert_eq!(
        cause_of_last_change(&here),
        "control detection time expired"
    );
    assert_eq!(path(&here)["session"]["down_count"], 1);
    there.signal(nix::sys::signal::Signal::SIGCONT);
    wait_until_up(&here);
}

/// RFC 5881 §3: there is one session between the same ends.
#[test]
fn a_peer_and_a_bfd_session_share_one() {
    let [one, two] = [loopback(), loopback()];
    let bgp = |own: Ipv4Addr, other: Ipv4Addr, asn: u32, other_as: u32| {
        format!(
            "[speaker]\nlocal-as = {asn}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
             [bfd]\nlisten = [\"{own}:13784\"]\n[[peer]]\nname = \"tor\"\naddress = \"{other}\"\n\
             port = 11179\nremote-as = {other_as}\nsource-address = \"{own}\"\n\
             connect-retry-time = \"500ms\"\nbfd-profile = \"default\"\nbfd-port = 13784\n"
        )
    };
    let watched =
        |own| format!("[[bfd-session]]\nname = \"path\"\naddress = \"{own}\"\nport = 13784\n");
    let there = Daemon::start(&bgp(two, one, 64521, 64520));
    let both = bgp(one, two, 64520, 64521) + &watched(two);
    let here = Daemon::start(&both);
    here.wait_until_up("tor");
    let sessions = here.show(&["bfd"]);
    assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions:#}");
    assert_eq!(
        (&sessions[0]["peer"], &sessions[0]["bfd_session"]),
        (&"tor".into(), &"path".into())
    );
    assert_eq!(
        path(&here)["session"]["local_discr"],
        here.show(&["bfd", "tor"])["session"]["local_discr"]
    );
    assert_eq!(cause_of_last_change(&here), "both ends hear each other");

    // The peer goes, and the session stays, whether its keys leave the source open or not.
    let discr = path(&here)["session"]["local_discr"].clone();
    here.write(&(both.split("[[peer]]").next().unwrap().to_owned() + &watched(two)));
    here.ok(&["reload"]);
    eventually("the peer is gone", || path(&here)["peer"].is_null());
    assert_eq!(path(&here)["session"]["local_discr"], discr);
    here.write(&both);
    here.ok(&["reload"]);
    here.wait_until_up("tor");
    assert_eq!(path(&here)["session"]["local_discr"], discr);
    assert_eq!(path(&here)["session"]["down_count"], 0);
    let same_source = watched(two).replace("port", &format!("source-address = \"{one}\"\nport"));
    here.write(&(bgp(one, two, 64520, 64521) + &same_source));
    here.ok(&["reload"]);
    assert_eq!(path(&here)["session"]["local_discr"], discr);
    let alone = both.split("[[peer]]").next().unwrap().to_owned() + &same_source;
    here.write(&alone);
    here.ok(&["reload"]);
    eventually("the peer is gone", || path(&here)["peer"].is_null());
    let shown = path(&here);
    assert_eq!(shown["state"], "Up");
    assert_eq!(shown["session"]["local_discr"], discr);
    assert_eq!(shown["session"]["down_count"], 0);

    // And comes again, to the session that is there.
    here.write(&(bgp(one, two, 64520, 64521) + &same_source));
    here.ok(&["reload"]);
    here.wait_until_up("tor");
    assert_eq!(path(&here)["session"]["local_discr"], discr);
    assert_eq!(there.show(&["bfd", "tor"])["session"]["down_count"], 0);
}

#[test]
fn the_least_ttl_changes_while_the_session_is_up() {
    let [one, two] = [loopback(), loopback()];
    let far = |own, other, ttl: u8| {
        watcher(own, other, &format!("multihop = true\nminimum-ttl = {ttl}"))
            .replace("listen", "multihop-listen")
    };
    let here = Daemon::start(&far(one, two, 254));
    let there = Daemon::start(&far(two, one, 254));
    wait_until_up(&here);
    wait_until_up(&there);
    let discr = path(&here)["session"]["local_discr"].clone();
    here.write(&far(one, two, 200));
    let planned = here.ok(&["reload", "--dry-run"]);
    assert!(!planned.contains('!'), "{planned}");
    here.ok(&["reload"]);
    assert_eq!(path(&here)["minimum_ttl"], 200);
    assert_eq!(path(&here)["session"]["local_discr"], discr);
    for daemon in [&here, &there] {
        assert_eq!(path(daemon)["state"], "Up");
        assert_eq!(path(daemon)["session"]["down_count"], 0);
    }
    // What ends it is marked.
    here.write("[speaker]\nlocal-as = 64520\n");
    let planned = here.ok(&["reload", "--dry-run"]);
    assert!(planned.contains("! bfd-session path: removed"), "{planned}");
}

#[test]
fn who_was_never_up_is_pointed_at() {
    let [one, two] = [loopback(), loopback()];
    let here = Daemon::start(&watcher(one, two, "bfd-profile = \"fast\""));
    assert_eq!(path(&here)["warning"], Value::Null);
    eventually("it is remarkable", || {
        let warning = path(&here)["warning"].as_str().map(str::to_owned);
        warning.is_some_and(|warning| warning.contains("no packet has come from there"))
    });
    let page = words(&here.ok(&["show", "bfd", "path"]));
    assert!(page.contains("warning: has not been up in"), "{page}");
}
