//! Two daemons, of which one comes back, or waits for BFD.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use support::{Daemon, eventually, loopback};

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, keys: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n\
         [[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n\
         [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\nreceive-interval = \"50ms\"\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"1s\"\n{keys}\n"
    )
}

/// Two daemons, with these keys for the peer on either side.
fn pair(one_keys: &str, other_keys: &str) -> [Daemon; 2] {
    let [one, other] = [loopback(), loopback()];
    [
        Daemon::start(&config(one, 64520, other, 64521, one_keys)),
        Daemon::start(&config(other, 64521, one, 64520, other_keys)),
    ]
}

fn has_event(daemon: &Daemon, cause: &str) -> bool {
    let events = daemon.show(&["events"]);
    let mut events = events.as_array().into_iter().flatten();
    events.any(|event| event["cause"] == cause)
}

const BFD: &str = "bfd-profile = \"fast\"\nbfd-port = 13784\n";

#[test]
fn both_sides_may_wait_for_bfd() {
    let strict = format!("{BFD}bfd-strict = true");
    let [one, other] = pair(&strict, &strict);
    for daemon in [&one, &other] {
        daemon.wait_until_up("other");
        let peer = daemon.show(&["peer", "other"]);
        assert_eq!(peer["negotiated"]["bfd_strict"], true);
        assert_eq!(peer["bfd"]["strict_hold_time_ms"], 30_000);
    }
}

#[test]
fn a_planned_restart_is_said_to_be_one_and_a_crash_too() {
    const KEEP: &str = "graceful-restart = { restart-time = \"60s\" }";
    let [mut one, other] = pair(KEEP, KEEP);
    for planned in [true, false] {
        one.wait_until_established("other");
        other.wait_until_established("other");
        match planned {
            true => drop(one.ok(&["stop", "--restart"])),
            false => one.signal(Signal::SIGKILL),
        }
        one.wait();
        eventually("TCP is lost without a word", || {
            let reset = &other.show(&["peer", "other"])["last_reset"]["cause"];
            reset == "TCP connection lost"
        });
        one.launch();
        one.wait_until_established("other");
        other.wait_until_established("other");
        let restart = &other.show(&["peer", "other"])["negotiated"]["graceful_restart"];
        assert_eq!(restart["remote_restarting"], true, "{restart}");
        assert_eq!(restart["remote_restart_time_ms"], 60_000);
    }
    one.ok(&["stop", "--withdraw"]);
    one.wait();
    eventually("the routes are to go", || {
        has_event(
            &other,
            "received 6/9 Cease, Hard Reset: 6/2 Cease, Administrative Shutdown",
        )
    });
    one.launch();
    other.wait_until_established("other");
    let restart = &other.show(&["peer", "other"])["negotiated"]["graceful_restart"];
    assert_eq!(restart["remote_restarting"], false, "{restart}");
}
