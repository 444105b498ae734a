//! Two daemons with a key between them: the real binary, real sockets.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use support::{Daemon, eventually, loopback};

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, key: &Path) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"500ms\"\nhold-time = \"9s\"\n\
         password-file = {key:?}\n"
    )
}

/// The file has another key, each side reads it when it is told to, and nobody loses a route.
#[test]
fn c_111_a_new_key_needs_no_new_session() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "s3cret-one").unwrap();
    let [one, two] = [loopback(), loopback()];
    let daemons = [
        Daemon::start(&config(one, 64520, two, 64521, &key)),
        Daemon::start(&config(two, 64521, one, 64520, &key)),
    ];
    for daemon in &daemons {
        daemon.wait_until_established("other");
    }
    fs::write(&key, "s3cret-two").unwrap();
    for daemon in &daemons {
        let said = daemon.ok(&["reload"]);
        assert!(said.contains("(with another key)"), "{said}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let keepalives =
        || daemons[0].show(&["peer", "other"])["messages"]["received"]["keepalive"].clone();
    let before = keepalives();
    eventually("they go on", || keepalives() != before);
    for daemon in &daemons {
        let status = daemon.show(&["peer", "other"]);
        assert_eq!(status["state"], "Established");
        assert_eq!(status["established_count"], 1);
        let shown = daemon.ok(&["show", "config"]) + &daemon.ok(&["show", "peer", "other"]);
        assert!(!(shown + &daemon.log()).contains("s3cret"));
    }

    // A connection made from here on has the new key as well.
    daemons[0].ok(&["peer", "reset", "other"]);
    eventually("they meet again", || {
        let counts = daemons
            .each_ref()
            .map(|daemon| daemon.show(&["peer", "other"])["established_count"].clone());
        counts == [2, 2]
    });
}
