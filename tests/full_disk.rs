//! A disk that takes nothing: what makes the daemon announce less is done all the same, and what makes it announce more is refused.
//! Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use support::daemon::{Herald, binary, socket_in};
use support::host::Host;
use support::{ensure, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);
const ROUTER: &str = "[[peer]]\nname = \"tor\"\naddress = \"127.0.0.8\"\nremote-as = 64521\n";

/// Starts the daemon with a state directory of its own on a small disk, which goes when it ends.
fn start_on_a_small_disk(host: &Host) -> Herald {
    let state = host.directory().join("state");
    fs::create_dir(&state).unwrap();
    let script = host.directory().join("on-a-small-disk");
    let text = format!(
        "#!/bin/sh\nmount -t tmpfs -o size=256k,mode=0700 tmpfs {} && exec {} \"$@\"\n",
        state.display(),
        binary().display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = host.config("", ROUTER);
    Herald::start_from(&script, &host.namespace, host.directory(), &config)
}

/// The state directory as the daemon sees it.
fn disk(host: &Host, herald: &Herald) -> PathBuf {
    let inside = host.directory().join("state");
    let pid = herald.pid().as_raw_nonzero();
    PathBuf::from(format!("/proc/{pid}/root{}", inside.display()))
}

#[track_caller]
fn fill(file: &PathBuf) {
    let mut file = File::create(file).unwrap();
    let is_full = (0..10_000).any(|_| file.write_all(&[0; 1024]).is_err());
    assert!(is_full);
}

/// What a command prints that does what it says and does not keep it.
#[track_caller]
fn warned(herald: &Herald, arguments: &[&str]) {
    let output = herald.try_command(arguments).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("warning: this is done but not kept"),
        "{arguments:?}: {said:?}"
    );
    assert!(said.contains("No space left"), "{arguments:?}: {said:?}");
}

#[track_caller]
fn refused(herald: &Herald, arguments: &[&str]) {
    let said = herald.try_command(arguments).unwrap_err();
    assert!(said.contains("No space left"), "{arguments:?}: {said}");
}

fn announced(herald: &Herald) -> String {
    herald.show("routes").to_string()
}

#[test]
fn what_makes_us_announce_less_is_done_on_a_full_disk_and_the_rest_refused() {
    let Some(host) = Host::create("full-disk") else {
        return;
    };
    let herald = start_on_a_small_disk(&host);
    herald.command(&["service", "add", "web", "192.0.2.1"]);
    herald.command(&["announce", "198.51.100.0/24"]);
    let filler = disk(&host, &herald).join("filler");
    fill(&filler);
    // What has been allocated takes a few lines more.
    let last = (0..500).find(|_| {
        let drained = herald.try_command(&["drain"]);
        assert!(drained.is_ok(), "{drained:?}");
        herald.try_command(&["undrain"]).is_err()
    });
    assert!(last.is_some(), "the disk is never full");

    let reason = "the hall is on fire, and somebody has to say so in many words";
    warned(&herald, &["peer", "shutdown", "tor", "--message", reason]);
    warned(&herald, &["drain", "tor"]);
    refused(&herald, &["undrain"]);
    refused(&herald, &["peer", "enable", "tor"]);
    refused(&herald, &["service", "add", "mail", "192.0.2.2"]);
    refused(&herald, &["announce", "203.0.113.0/24"]);
    let routes = announced(&herald);
    assert!(
        routes.contains("192.0.2.1/32") && routes.contains("198.51.100.0/24"),
        "{routes}"
    );
    assert!(!routes.contains("192.0.2.2") && !routes.contains("203.0.113.0"));

    warned(&herald, &["service", "remove", "web"]);
    let mut http = UnixStream::connect(socket_in(host.directory())).unwrap();
    let request =
        "DELETE /v1/routes/198.51.100.0%2F24 HTTP/1.1\r\nhost: herald\r\nconnection: close\r\n\r\n";
    http.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains(r#"{"warning":"this is done but not kept"#));
    assert_eq!(announced(&herald), "[]");
    let status = herald.show("status");
    assert_eq!(status["draining"], "all", "{status}");

    // When there is room, all of it is kept, without anybody asking.
    fs::remove_file(&filler).unwrap();
    wait_until("the daemon has kept it", PATIENCE, || {
        let events = herald.show("events").to_string();
        ensure(
            events.contains("while the disk took nothing is kept"),
            || events,
        )
    });
    let kept = fs::read_to_string(disk(&host, &herald).join("state.json")).unwrap();
    assert!(kept.contains("on fire"), "{kept}");
    assert!(
        !kept.contains("192.0.2.1") && !kept.contains("198.51.100"),
        "{kept}"
    );
    herald.command(&["undrain"]);
    herald.command(&["service", "add", "mail", "192.0.2.2"]);
}
