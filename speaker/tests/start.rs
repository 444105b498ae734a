//! How a daemon starts: what it finds in its state directory, who is there already, and what it tells its neighbors when.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;
use support::{Daemon, eventually, herald, loopback, run, stderr};

const ALONE: &str = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n";

fn service(address: &str) -> String {
    format!("{ALONE}[[service]]\nname = \"web\"\naddresses = [\"{address}\"]\n")
}

fn prefixes(daemon: &Daemon) -> Vec<String> {
    let routes = daemon.show(&["routes"]);
    let routes = routes.as_array().unwrap().iter();
    routes
        .map(|route| route["prefix"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_in_the_file_and_was_added_is_the_files() {
    let mut daemon = Daemon::start(ALONE);
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    daemon.ok(&["service", "add", "dns", "192.0.2.53"]);
    daemon.kill();
    daemon.write(&service("192.0.2.151"));
    daemon.launch();
    assert_eq!(prefixes(&daemon), ["192.0.2.53/32", "192.0.2.151/32"]);
    let told = "service web: was added at run time, and gives way to the one in the file; 192.0.2.150 is withdrawn";
    assert!(daemon.log().contains(told), "{}", daemon.log());
    let events = daemon.show(&["events"]);
    let mut texts = events.as_array().unwrap().iter().map(|it| &it["text"]);
    assert!(texts.any(|text| text == told), "{events:#}");
    // For good.
    daemon.kill();
    daemon.write(ALONE);
    daemon.launch();
    assert_eq!(prefixes(&daemon), ["192.0.2.53/32"]);
}

/// Runs the daemon of this file, which ends by itself, and tells what it complains of.
#[track_caller]
fn refused(file: &Path) -> String {
    let output = run(herald().args(["run", "-c"]).arg(file));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn what_cannot_be_read_is_said_and_not_thrown_away() {
    let mut daemon = Daemon::start(ALONE);
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    daemon.kill();
    let kept = daemon.path("state/state.json");
    let good = fs::read_to_string(&kept).unwrap();
    let newer = good.replacen("\"version\":2", "\"version\":3,\"what_is_new\":[]", 1);
    assert_ne!(newer, good);
    let half = &good[..good.len() / 2];
    let unknown = good.replacen("\"version\":2", "\"version\":2,\"misspelt\":[]", 1);
    for (text, reason) in [
        (&newer[..], "found version 3; must be 2 or less"),
        (half, "EOF while parsing"),
        (&unknown, "unknown field `misspelt`"),
        ("", "EOF while parsing"),
    ] {
        fs::write(&kept, text).unwrap();
        let complaint = refused(&daemon.file());
        let begins = format!("{}: cannot be read: ", kept.display());
        assert!(complaint.contains(&begins), "{complaint}");
        assert!(complaint.contains(reason), "{complaint}");
        assert!(complaint.contains("restore it, or move it away"));
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
    }
    fs::write(&kept, good).unwrap();
    daemon.launch();
    assert_eq!(prefixes(&daemon), ["192.0.2.150/32"]);
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let daemon = Daemon::start(&service("192.0.2.150"));
    let complaint = refused(&daemon.file());
    assert!(
        complaint.contains("another herald answers at this [api] socket"),
        "{complaint}"
    );
    let elsewhere = daemon.path("elsewhere.toml");
    let socket = format!("{:?}", daemon.socket());
    let other_socket = format!("{:?}", daemon.path("other.sock"));
    let text = fs::read_to_string(daemon.file()).unwrap();
    fs::write(&elsewhere, text.replace(&socket, &other_socket)).unwrap();
    let complaint = refused(&elsewhere);
    assert!(
        complaint.contains("another herald uses this [speaker] state-dir"),
        "{complaint}"
    );
    assert_eq!(prefixes(&daemon), ["192.0.2.150/32"]);
}

fn neighbor(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"1s\"\nreceived-routes = \"kept\"\n\
         graceful-restart = {{ restart-time = \"120s\" }}\n"
    )
}

fn received(router: &Daemon) -> Vec<String> {
    let routes = router.show(&["routes", "--received", "other"]);
    let routes = routes.as_array().unwrap().iter();
    routes
        .map(|route| route["prefix"].as_str().unwrap().to_owned())
        .collect()
}

/// RFC 4724 §4.1: who has restarted says End-of-RIB when the routes are complete.
#[test]
fn end_of_rib_waits_for_the_first_verdict_of_each_service() {
    let [own, other] = [loopback(), loopback()];
    let router = Daemon::start(&neighbor(other, 64521, own, 64520));
    let directory = tempfile::tempdir().unwrap();
    let works = directory.path().join("works");
    fs::write(&works, "").unwrap();
    // It has no answer until there is that file.
    let health = format!(
        "[[service]]\nname = \"web\"\naddresses = [\"203.0.113.1\"]\n[service.health]\n\
         exec = [\"/bin/sh\", \"-c\", \"until test -e {}; do sleep 0.1; done\"]\n\
         interval = \"100ms\"\ntimeout = \"60s\"\nrise = 1\n\
         [[service]]\nname = \"dns\"\naddresses = [\"203.0.113.2\"]\n",
        works.display()
    );
    let mut host = Daemon::start(&(neighbor(own, 64520, other, 64521) + &health));
    let both = ["203.0.113.1/32", "203.0.113.2/32"];
    eventually("both are announced", || received(&router) == both);

    host.ok(&["stop", "--restart"]);
    host.wait();
    fs::remove_file(&works).unwrap();
    host.launch();
    host.wait_until_established("other");
    router.wait_until_established("other");
    let family = |key: &str| {
        let peer = router.show(&["peer", "other"]);
        let families = peer["families"].as_array().unwrap();
        let v4 = families.iter().find(|it| it["family"] == "ipv4-unicast");
        v4.map_or(Value::Null, |v4| v4[key].clone())
    };
    eventually("what needs no check is announced", || {
        family("received").as_u64() >= Some(1)
    });
    assert_eq!(host.show(&["service", "web"])["state"], "unknown");
    assert_eq!(family("end_of_rib_received"), false);
    assert_eq!(received(&router), both, "what may come back is kept");

    fs::write(&works, "").unwrap();
    eventually("that is all", || family("end_of_rib_received") == true);
    assert_eq!(received(&router), both);
}
