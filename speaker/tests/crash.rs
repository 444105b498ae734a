//! What was acknowledged survives `kill -9` at any instant, and nothing is half there.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use herald::additions::{Change, Kept, StateDir, Store};
use herald::config::{ServiceConfig, ServiceName};
use support::http::ask;
use support::{Daemon, eventually};

/// Set, it makes this program one that writes until it is killed.
const DIRECTORY: &str = "HERALD_CRASH_DIRECTORY";
/// How often a program that only writes is killed.
const KILLS: u64 = 1000;
/// How often the daemon is.
const KILLS_OF_DAEMON: u64 = 20;
/// Every so many changes a snapshot is taken, also of a log that is short.
const SNAPSHOTS_APART: u64 = 5;
/// How many services there are at a time.
const SERVICES: u64 = 40;

/// What is kept after so many steps: each moves one service to another address.
fn kept_after(step: u64) -> Kept {
    let mut kept = Kept::default();
    for number in 0..SERVICES {
        // The last step that was about this service.
        let last = (step + SERVICES - number) / SERVICES;
        kept.apply(&[moved(number, last)]);
    }
    kept
}

fn moved(number: u64, times: u64) -> Change {
    let name = ServiceName::new(&format!("service-{number}")).unwrap();
    let address = Ipv4Addr::from_bits(0x0A00_0000 + (times * SERVICES + number) as u32);
    let service = ServiceConfig {
        addresses: BTreeSet::from([IpAddr::V4(address)]),
        ..ServiceConfig::default()
    };
    Change::PutService(name, Arc::new(service))
}

fn open(directory: &Path) -> (Store, Kept) {
    // What another test has begun to start holds a copy of the lock until it is a program of its own.
    let state_dir = (0..1000).find_map(|_| {
        let opened = StateDir::open(directory).ok();
        if opened.is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        opened
    });
    Store::open(Arc::new(state_dir.expect("nobody else uses it"))).unwrap()
}

/// Which step this is what is kept of; there is none of what is half there.
fn step_of(kept: &Kept, near: u64) -> Option<u64> {
    (near..near + 3).find(|step| kept_after(*step) == *kept)
}

/// Not a test by itself: goes on until it is killed, and tells each step that is done.
#[test]
fn writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let (mut store, _) = open(Path::new(&directory));
    let mut step: u64 = std::env::var("STEP").unwrap().parse().unwrap();
    loop {
        step += 1;
        let number = step % SERVICES;
        match store.wants_snapshot() || step.is_multiple_of(SNAPSHOTS_APART) {
            true => store.replace(&kept_after(step)).unwrap(),
            false => {
                let times = (step + SERVICES - number) / SERVICES;
                store.append(&[moved(number, times)]).unwrap();
            }
        }
        let mut out = std::io::stdout().lock();
        out.write_all(format!("step {step}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_a_thousand_kills() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).0.replace(&kept_after(0)).unwrap();
    let mut step = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "writes_until_it_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIRECTORY, directory.path())
            .env("STEP", step.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut acknowledged = step;
        let mut line = String::new();
        while acknowledged == step {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended by itself");
            if let Some((_, number)) = line.trim_end().rsplit_once("step ") {
                acknowledged = number.parse().unwrap();
            }
        }
        thread::sleep(Duration::from_micros(kill * 7919 % 3000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.lines() {
            if let Some(number) = line.unwrap().strip_prefix("step ") {
                acknowledged = number.parse().unwrap_or(acknowledged);
            }
        }
        let (_, kept) = open(directory.path());
        // The step that was not acknowledged any more may be done or not.
        let found = step_of(&kept, acknowledged);
        step = found.unwrap_or_else(|| panic!("kill {kill}: not what step {acknowledged} left"));
    }
}

/// Over the API: each name is put once, and each second one deleted again.
#[test]
fn what_the_api_acknowledged_survives_kills_of_the_daemon() {
    let config = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n";
    let mut daemon = Daemon::start(config);
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for kill in 0..KILLS_OF_DAEMON {
        let socket = daemon.socket();
        let writing = thread::spawn(move || {
            let mut done = Vec::new();
            for number in 0.. {
                let name = format!("service-{kill}-{number}");
                let body = format!("{{\"addresses\":[\"10.{kill}.0.{}\"]}}", number % 250);
                let requests = [("PUT", body.as_str(), 201), ("DELETE", "", 204)];
                for (method, body, status) in requests.into_iter().take(1 + number % 2) {
                    let path = format!("/v1/services/{name}");
                    let Ok(stream) = UnixStream::connect(&socket) else {
                        return (done, name);
                    };
                    let answer = std::panic::catch_unwind(|| ask(stream, method, &path, "", body));
                    match answer {
                        Ok(answer) if answer.status == status => done.push((method, name.clone())),
                        _ => return (done, name),
                    }
                }
                if number == 240 {
                    return (done, name);
                }
            }
            unreachable!("it returns")
        });
        thread::sleep(Duration::from_millis(5 + kill * 13 % 60));
        daemon.kill();
        let (done, uncertain) = writing.join().unwrap();
        for (method, name) in done {
            match method {
                "PUT" => wanted.insert(name),
                _ => wanted.remove(&name),
            };
        }
        daemon.launch();
        let services = daemon.show(&["services"]);
        let names = services.as_array().unwrap().iter();
        let mut found: BTreeSet<String> = names
            .map(|service| service["name"].as_str().unwrap().to_owned())
            .collect();
        let is_there = found.remove(&uncertain);
        wanted.remove(&uncertain);
        assert_eq!(found, wanted, "kill {kill}");
        if is_there {
            wanted.insert(uncertain);
        }
    }
    eventually("it goes on", || {
        daemon.herald(&["show", "status"]).status.success()
    });
}

#[test]
fn what_is_put_once_more_is_no_event() {
    let daemon = Daemon::start("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n");
    let put = |path: &str, body: &str| {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        ask(stream, "PUT", path, "", body).status
    };
    let (web, addresses) = ("/v1/services/web", "{\"addresses\":[\"192.0.2.150\"]}");
    let (route, med) = ("/v1/routes/198.51.100.0%2F24", "{\"med\":10}");
    assert_eq!((put(web, addresses), put(route, med)), (201, 201));
    let events = daemon.show(&["events"]);
    let state = daemon.path("state");
    let written = || {
        ["state.json", "changes.log"].map(|name| std::fs::read_to_string(state.join(name)).unwrap())
    };
    let before = written();
    assert_eq!((put(web, addresses), put(route, med)), (200, 200));
    assert_eq!(daemon.show(&["events"]), events);
    assert_eq!(written(), before);
    assert_eq!(put(route, ""), 200);
    assert_ne!(daemon.show(&["events"]), events);
}

/// As of a disk that is full: a write ends in the middle of a line.
#[test]
fn a_disk_that_takes_no_more_leaves_nothing_half_written() {
    let mut daemon = Daemon::start("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n");
    let request = |daemon: &Daemon, method: &str, name: &str, body: &str| {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        ask(stream, method, &format!("/v1/services/{name}"), "", body)
    };
    let put = |daemon: &Daemon, name: &str, address: &str| {
        request(
            daemon,
            "PUT",
            name,
            &format!("{{\"addresses\":[\"{address}\"]}}"),
        )
    };
    let names = |daemon: &Daemon| -> Vec<String> {
        let services = daemon.show(&["services"]);
        let services = services.as_array().unwrap().iter();
        services
            .map(|service| service["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (name, address) in [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")] {
        assert_eq!(put(&daemon, name, address).status, 201);
    }
    let log = daemon.path("state").join("changes.log");
    let length = || std::fs::metadata(&log).unwrap().len();
    let before = length();
    let limit = |octets| {
        let pid = rustix::process::Pid::from_raw(daemon.id() as i32);
        let limit = rustix::process::Rlimit {
            current: octets,
            maximum: None,
        };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    };
    limit(Some(before + 20));
    for _ in 0..2 {
        let refused = put(&daemon, "d", "192.0.2.4").refusal(500);
        assert!(
            refused.contains("changes.log: cannot be written"),
            "{refused}"
        );
        assert_eq!(names(&daemon), ["a", "b", "c"]);
        assert_eq!(length(), before, "nothing half written is left");
    }
    // What makes us announce less is done all the same.
    let done = request(&daemon, "DELETE", "a", "");
    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.body.contains("this is done but not kept"), "{done:?}");
    assert_eq!(names(&daemon), ["b", "c"]);
    assert_eq!(length(), before, "nothing half written is left");
    limit(None);
    assert_eq!(put(&daemon, "d", "192.0.2.4").status, 201);
    daemon.kill();
    daemon.launch();
    assert_eq!(names(&daemon), ["b", "c", "d"]);
}
