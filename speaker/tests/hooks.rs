//! Programs that are run when something comes up or goes down: real daemons, real programs.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;
use support::{Daemon, eventually, loopback};

fn config(own: Ipv4Addr, other: Ipv4Addr, asn: u32, other_as: u32) -> String {
    format!(
        "[speaker]\nlocal-as = {asn}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n[[peer]]\nname = \"tor\"\naddress = \"{other}\"\n\
         port = 11179\nremote-as = {other_as}\nsource-address = \"{own}\"\n\
         connect-retry-time = \"500ms\"\nbfd-profile = \"default\"\nbfd-port = 13784\n"
    )
}

fn hook(file: &Path, more: &str) -> String {
    let script = format!("cat >> {}; echo told >&2", file.display());
    format!(
        "[[hook]]\nname = \"log\"\non = [\"peer\", \"bfd\"]\nexec = [\"/bin/sh\", \"-c\", {script:?}]\n{more}\n"
    )
}

fn told(file: &Path) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let line = |line: &str| -> (String, String, String) {
        let told: Value = serde_json::from_str(line).unwrap();
        (
            text(&told["subject"]),
            text(&told["event"]),
            text(&told["name"]),
        )
    };
    let lines = std::fs::read_to_string(file).unwrap_or_default();
    lines.lines().map(line).collect()
}

fn is_told(file: &Path, subject: &str, event: &str) -> bool {
    let wanted = (subject.to_owned(), event.to_owned(), "tor".to_owned());
    told(file).contains(&wanted)
}

#[test]
fn programs_are_told_of_peers_and_of_bfd() {
    let [one, two] = [loopback(), loopback()];
    let directory = tempfile::tempdir().unwrap();
    let (all, none) = (directory.path().join("all"), directory.path().join("none"));
    let others = hook(&none, "names = [\"other\"]").replace("\"log\"", "\"others\"")
        + &format!("[[bfd-session]]\nname = \"other\"\naddress = \"{two}\"\nport = 1\n");
    let here = config(one, two, 64520, 64521) + &hook(&all, "") + &others;
    let mut here = Daemon::start(&here);
    let there = Daemon::start(&config(two, one, 64521, 64520));
    here.wait_until_up("tor");
    eventually("it is told that both are up", || {
        is_told(&all, "peer", "up") && is_told(&all, "bfd", "up")
    });
    eventually("what it writes is in the log", || {
        here.log().contains("told hook=\"log\"")
    });
    drop(there);
    eventually("it is told that both are down", || {
        is_told(&all, "peer", "down") && is_told(&all, "bfd", "down")
    });
    assert_eq!(told(&none), []);

    // Nothing that happens while the daemon ends is lost.
    let there = Daemon::start(&config(two, one, 64521, 64520));
    here.wait_until_up("tor");
    std::fs::remove_file(&all).unwrap();
    here.ok(&["stop"]);
    assert!(here.wait().success());
    assert!(is_told(&all, "peer", "down"), "{:?}", told(&all));
    drop(there);
}

#[test]
fn other_programs_are_run_after_a_reload() {
    let [one, two] = [loopback(), loopback()];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("told");
    let plain = config(one, two, 64520, 64521);
    let here = Daemon::start(&plain);
    here.write(&(plain + &hook(&file, "")));
    let applied = here.ok(&["reload"]);
    assert!(applied.contains("hooks: changed"), "{applied}");
    let _there = Daemon::start(&config(two, one, 64521, 64520));
    eventually("it is told", || is_told(&file, "peer", "up"));
}

/// What our own configuration ends was up before, and is down: who counts both must not go wrong.
#[test]
fn programs_are_told_what_the_configuration_ends() {
    let [one, two] = [loopback(), loopback()];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("told");
    let _there = Daemon::start(&config(two, one, 64521, 64520));
    let plain = config(one, two, 64520, 64521);
    let with_hook = plain.clone() + &hook(&file, "");
    let here = Daemon::start(&with_hook);
    let up_and_told = || {
        here.wait_until_up("tor");
        eventually("it is told that both are up", || {
            is_told(&file, "peer", "up") && is_told(&file, "bfd", "up")
        });
        std::fs::remove_file(&file).unwrap();
    };
    let down = |what: &str| {
        eventually(what, || {
            is_told(&file, "peer", "down") && is_told(&file, "bfd", "down")
        });
        assert_eq!(told(&file).len(), 2, "{:?}", told(&file));
        std::fs::remove_file(&file).unwrap();
    };
    up_and_told();

    here.ok(&["peer", "shutdown", "tor"]);
    down("it is told that the peer was shut down");
    let events = here.show(&["events", "--peer", "tor"]);
    let is_end = |event: &Value| {
        event["subject"] == "bfd"
            && event["to"] == "AdminDown"
            && event["cause"] == "ended by our configuration or command"
    };
    let events = events.as_array().unwrap();
    assert!(events.iter().any(is_end), "{events:?}");
    here.ok(&["peer", "enable", "tor"]);
    up_and_told();

    let disabled = plain.replace("name = \"tor\"", "name = \"tor\"\nenabled = false");
    here.write(&(disabled + &hook(&file, "")));
    here.ok(&["reload"]);
    down("it is told that the peer was disabled");
    here.write(&with_hook);
    here.ok(&["reload"]);
    up_and_told();

    let alone = plain.split("[[peer]]").next().unwrap().to_owned();
    here.write(&(alone + &hook(&file, "")));
    here.ok(&["reload"]);
    down("it is told that the peer was removed");
}

#[test]
fn a_program_that_fails_is_told_of_once() {
    let [one, two] = [loopback(), loopback()];
    let failing = "[[hook]]\nname = \"page\"\non = [\"peer\", \"bfd\"]\nexec = [\"/bin/sh\", \"-c\", \"exit 3\"]\n";
    let here = Daemon::start(&(config(one, two, 64520, 64521) + failing));
    let _there = Daemon::start(&config(two, one, 64521, 64520));
    here.wait_until_up("tor");
    let failures = || {
        let metrics = here.ok(&["show", "status", "-o", "json"]);
        let status: Value = serde_json::from_str(&metrics).unwrap();
        status["hooks"][0].clone()
    };
    eventually("both runs have failed", || failures()["failures"] == 2);
    assert_eq!(failures()["name"], "page");
    assert_eq!(failures()["runs"], 2);
    let table = here.ok(&["show", "status"]);
    assert!(
        table.contains("hook page: runs 2, failures 2, timeouts 0, dropped 0, waiting 0"),
        "{table}"
    );
    let log = here.log();
    assert_eq!(log.matches("exit status: 3").count(), 1, "{log}");
}
