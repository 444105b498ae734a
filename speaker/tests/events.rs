//! Events as they happen: over HTTP as server-sent events, and on the command line.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Daemon, eventually, herald, loopback};

const PATIENCE: Duration = Duration::from_secs(30);

fn viewer() -> SocketAddr {
    TcpListener::bind((loopback(), 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

fn daemon(viewer: SocketAddr) -> Daemon {
    Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[api]\nlisten = \"{viewer}\"\n"
    ))
}

/// One request, and what comes of it.
struct Listener(BufReader<UnixStream>);

impl Listener {
    fn ask(daemon: &Daemon, path: &str, headers: &str) -> Self {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: herald\r\n{headers}\r\n"
        )
        .unwrap();
        Self(BufReader::new(stream))
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "{head}");
        }
        head
    }

    /// The next field of that name.
    fn next(&mut self, field: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            if let Some(value) = line
                .strip_prefix(field)
                .and_then(|rest| rest.strip_prefix(": "))
            {
                return value.trim_end().to_owned();
            }
        }
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.next("data")).unwrap()
    }
}

#[test]
fn events_are_followed_and_resumed() {
    let mut daemon = daemon(viewer());
    let mut listener = Listener::ask(&daemon, "/v1/events?follow=true", "");
    let head = listener.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    let id: u64 = listener.next("id").parse().unwrap();
    assert_eq!(listener.next("event"), "note");
    let event = listener.event();
    assert_eq!(event["id"], id);
    assert_eq!(event["service"], "web");
    assert_eq!(event["text"], "service web: added at run time");

    // Of one service only.
    let mut web = Listener::ask(&daemon, "/v1/events?follow=true&service=web", "");
    web.head();
    daemon.ok(&["service", "add", "dns", "192.0.2.53"]);
    daemon.ok(&["service", "remove", "web"]);
    assert_eq!(web.event()["text"], "service web: removed at run time");

    // Whoever comes back gets what it missed, and only that.
    let resumed = format!("last-event-id: {id}\r\n");
    let mut resumed = Listener::ask(&daemon, "/v1/events?follow=true", &resumed);
    resumed.head();
    let texts: Vec<String> = (0..2)
        .map(|_| resumed.event()["text"].to_string())
        .collect();
    assert!(texts[0].contains("service dns: added"), "{texts:?}");
    assert!(texts[1].contains("service web: removed"), "{texts:?}");

    // An id of a former run: something may be missing, and that is said.
    let mut old = Listener::ask(&daemon, "/v1/events?follow=true", "last-event-id: 7\r\n");
    old.head();
    assert_eq!(old.next("event"), "lost");
    assert_eq!(old.event()["count"], Value::Null);
    let first = old.event()["text"].to_string();
    assert!(first.ends_with(" started\""), "{first}");

    // The end is said, and then it is the end.
    daemon.ok(&["stop"]);
    assert!(daemon.wait().success());
    assert_eq!(listener.next("event"), "note");
    for listener in [&mut listener, &mut web, &mut resumed, &mut old] {
        let mut rest = String::new();
        listener.0.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("event: end\n"), "{rest}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let daemon = daemon(viewer());
    for (query, headers, status, reason) in [
        ("follow=true&peer=tor", "", 404, "there is no peer tor"),
        (
            "follow=true&service=web",
            "",
            404,
            "there is no service web",
        ),
        (
            "peer=a&service=b",
            "",
            400,
            "must be one of peer, bfd_session and service",
        ),
        ("follow=perhaps", "", 400, "follow"),
        (
            "follow=true",
            "last-event-id: x\r\n",
            400,
            "must be the id of an event",
        ),
    ] {
        let mut listener = Listener::ask(&daemon, &format!("/v1/events?{query}"), headers);
        let head = listener.head();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{query}: {head}"
        );
        listener.0.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut body = String::new();
        listener.0.read_to_string(&mut body).unwrap();
        assert!(body.contains(reason), "{query}: {body}");
    }
}

#[test]
fn those_who_follow_leave_room_for_those_who_ask() {
    let address = viewer();
    let daemon = daemon(address);
    let follow = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /v1/events?follow=true HTTP/1.1\r\nhost: herald\r\n\r\n"
        )
        .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line).unwrap();
        (reader, line)
    };
    let mut following = Vec::new();
    for number in 0..32 {
        let (reader, line) = follow();
        assert!(line.starts_with("HTTP/1.1 200"), "{number}: {line}");
        following.push(reader);
    }
    let (_, line) = follow();
    assert!(line.starts_with("HTTP/1.1 503"), "{line}");
    daemon.ok(&["show", "status"]);
    // A place is free again once somebody has gone, and something has happened that it is not told.
    drop(following);
    eventually("somebody else may follow", || {
        daemon.ok(&["service", "add", "web", "192.0.2.150"]);
        daemon.ok(&["service", "remove", "web"]);
        follow().1.starts_with("HTTP/1.1 200")
    });
}

struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follower {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut command = herald();
        command
            .arg("--socket")
            .arg(daemon.socket())
            .args(["events", "--follow"]);
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn the_command_follows_until_the_daemon_ends() {
    let mut daemon = daemon(viewer());
    let mut follower = Follower::start(&daemon, &[]);
    let line = follower.line();
    assert!(line.ends_with(" started"), "{line}");
    let mut json = Follower::start(&daemon, &["-o", "json", "-n", "1"]);
    assert!(json.line().contains(" started\""));
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    let line = follower.line();
    assert!(
        line.ends_with("Z note    service web: added at run time"),
        "{line}"
    );
    let event: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(event["service"], "web");
    for what in [&["events"][..], &["show", "events"]] {
        let told = |more: &[&str]| {
            let events = daemon.ok(&[what, &["-o", "json"], more].concat());
            let events: Vec<Value> = serde_json::from_str(&events).unwrap();
            events
        };
        assert_eq!(told(&["-n", "1"])[0]["service"], "web");
        assert_eq!(told(&["--since", "1day"]).len(), told(&[]).len());
        assert_eq!(told(&["--since", "0s"]), [Value::Null; 0]);
        let line = daemon.ok(&[what, &["-n", "1"]].concat());
        assert_eq!(line.lines().count(), 2, "{line}");
    }
    daemon.ok(&["stop"]);
    assert!(daemon.wait().success());
    let output = follower.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "herald: the daemon has ended; `herald run` starts it\n"
    );
    json.child.kill().unwrap();
    json.child.wait().unwrap();
}

#[test]
fn who_follows_a_daemon_that_is_killed_is_told() {
    let mut daemon = daemon(viewer());
    let mut follower = Follower::start(&daemon, &[]);
    assert!(follower.line().ends_with(" started"));
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    assert!(follower.line().ends_with("added at run time"));
    daemon.signal(nix::sys::signal::Signal::SIGKILL);
    daemon.wait();
    let output = follower.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("herald: the daemon "), "{said}");
    assert!(!said.contains("is this a herald's socket"), "{said}");
}
