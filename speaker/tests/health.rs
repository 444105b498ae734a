//! Services that are announced only while they work: real daemons, servers and programs.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use support::{Daemon, eventually, loopback, words};

/// A web server that answers with this status.
struct Server {
    address: SocketAddr,
    status: Arc<AtomicU16>,
}

impl Server {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(AtomicU16::new(status));
        let status = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.read(&mut [0; 4096]);
                let status = shared.load(Ordering::SeqCst);
                let _ = write!(stream, "HTTP/1.1 {status} Whatever\r\n\r\n");
            }
        });
        Self { address, status }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

const SERVICE: &str = "203.0.113.1/32";

fn config(own: Ipv4Addr, other: Ipv4Addr, asn: u32, other_as: u32) -> String {
    format!(
        "[speaker]\nlocal-as = {asn}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n[[peer]]\nname = \"tor\"\naddress = \"{other}\"\n\
         port = 11179\nremote-as = {other_as}\nsource-address = \"{own}\"\n\
         connect-retry-time = \"500ms\"\n"
    )
}

/// A daemon that has this service, and the router that it tells.
fn pair(more: &str) -> (Daemon, Daemon, String) {
    let [one, two] = [loopback(), loopback()];
    let router = config(two, one, 64521, 64520) + "received-routes = \"kept\"\n";
    let router = Daemon::start(&router);
    let plain = config(one, two, 64520, 64521);
    let here = Daemon::start(&(plain.clone() + &service(more)));
    here.wait_until_established("tor");
    (here, router, plain)
}

fn service(health: &str) -> String {
    format!(
        "[[service]]\nname = \"web\"\naddresses = [\"203.0.113.1\"]\n[service.health]\n\
         interval = \"50ms\"\ntimeout = \"20s\"\n{health}\n"
    )
}

fn has_route(router: &Daemon) -> bool {
    has_prefix(router, SERVICE)
}

fn has_prefix(router: &Daemon, prefix: &str) -> bool {
    let routes = router.show(&["routes", "--received", "tor"]);
    let routes = routes.as_array().unwrap();
    routes.iter().any(|route| route["prefix"] == prefix)
}

fn web(daemon: &Daemon) -> Value {
    daemon.show(&["service", "web"])
}

fn is(daemon: &Daemon, state: &str) -> bool {
    web(daemon)["state"] == state
}

fn texts_of_events(daemon: &Daemon) -> Vec<String> {
    let events = daemon.show(&["events"]);
    let events = events.as_array().unwrap().iter();
    let of_web = events.filter(|event| event["service"] == "web");
    of_web
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect()
}

fn scrape(daemon: &Daemon) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: herald\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn hook(file: &Path) -> String {
    let script = format!(
        "cat > /dev/null; echo $HERALD_SUBJECT $HERALD_EVENT $HERALD_SERVICE $HERALD_FROM $HERALD_TO >> {}",
        file.display()
    );
    format!(
        "[[hook]]\non = [\"service\"]\nnames = [\"web\"]\nexec = [\"/bin/sh\", \"-c\", {script:?}]\n"
    )
}

#[test]
fn a_service_is_announced_only_while_it_works() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let server = Server::start(503);
    let (here, router, _) = pair(&format!(
        "http = \"http://{}/healthz\"\nfall = 3\nrise = 2\n{}",
        server.address,
        hook(&told)
    ));
    eventually("the first failure decides", || is(&here, "unhealthy"));
    assert_eq!(web(&here)["health"]["cause"], "HTTP 503 at the first check");
    assert!(!has_route(&router), "it is not announced");

    server.answer(200);
    eventually("it is announced", || has_route(&router));
    let page = words(&here.ok(&["show", "service", "web"]));
    for text in [
        "Service web: 203.0.113.1",
        "healthy for",
        "HTTP 200 after 2 successes",
        "/healthz",
        "every 50ms, within 20s; fall 3, rise 2",
        "unhealthy -> healthy: HTTP 200 after 2 successes",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }

    server.answer(500);
    eventually("it is withdrawn", || !has_route(&router));
    let event = "service web: healthy -> unhealthy: HTTP 500 after 3 failures";
    let events = texts_of_events(&here);
    assert!(events.iter().any(|text| text == event), "{events:?}");
    let table = words(&here.ok(&["show", "services"]));
    assert!(table.contains("unhealthy"), "{table}");
    assert!(table.contains("nobody: HTTP 500"), "{table}");
    eventually("a program is told", || {
        let lines = std::fs::read_to_string(&told).unwrap_or_default();
        lines == "service up web unhealthy healthy\nservice down web healthy unhealthy\n"
    });

    server.answer(302);
    eventually("it is announced again", || has_route(&router));
    let metrics = scrape(&here);
    for line in [
        "herald_service_healthy{service=\"web\"} 1",
        "herald_service_health_transitions_total{service=\"web\"} 3",
        "herald_service_checks_total{service=\"web\",result=\"timeout\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // No session has noticed.
    assert_eq!(router.show(&["peer", "tor"])["established_count"], 1);
    assert_eq!(
        here.fails(1, &["show", "service", "wbe"]).lines().count(),
        1
    );
}

#[test]
fn a_reload_keeps_the_verdict_and_touches_no_session() {
    let server = Server::start(200);
    let http = format!("http = \"http://{}/\"\n", server.address);
    let (here, router, plain) = pair(&http);
    eventually("it is announced", || has_route(&router));
    here.write(&(plain.clone() + &service(&http).replace("50ms", "100ms")));
    let planned = here.ok(&["reload", "--dry-run"]);
    let line = "service web: health check changes: interval 50ms -> 100ms; no session is touched";
    assert!(planned.contains(line), "{planned}");
    here.ok(&["reload"]);
    assert!(is(&here, "healthy"));

    // What fails from the beginning takes as many failures as any other check.
    let exec = |script: &str| service(&format!("exec = [\"/bin/sh\", \"-c\", \"{script}\"]"));
    here.write(&(plain.clone() + &exec("echo no; exit 1")));
    here.ok(&["reload"]);
    eventually("the other check has failed", || is(&here, "unhealthy"));
    let cause = &web(&here)["health"]["cause"];
    assert_eq!(cause, "exit status 1: no after 3 failures");
    eventually("it is withdrawn", || !has_route(&router));

    // One that is not checked is taken to work.
    let unchecked = service("")
        .split("[service.health]")
        .next()
        .unwrap()
        .to_owned();
    here.write(&(plain.clone() + &unchecked));
    here.ok(&["reload"]);
    eventually("it is announced unchecked", || has_route(&router));
    assert_eq!(web(&here)["health"], Value::Null);

    // And one that is checked from here on stays until that fails.
    here.write(&(plain + &exec("sleep 1000")));
    here.ok(&["reload"]);
    assert!(is(&here, "healthy"));
    assert!(has_route(&router));
    assert_eq!(router.show(&["peer", "tor"])["established_count"], 1);
}

#[test]
fn a_service_that_nobody_knows_of_yet_is_not_announced() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    // It accepts connections and never answers.
    let (here, router, _) = pair(&format!("http = \"http://{address}/\""));
    here.ok(&["announce", "198.51.100.0/24"]);
    eventually("what needs no check is announced", || {
        let routes = router.show(&["routes", "--received", "tor"]);
        !routes.as_array().unwrap().is_empty()
    });
    assert!(is(&here, "unknown"));
    assert!(!has_route(&router));
}

/// The BFD session `storage` between two ends.
fn watch(own: Ipv4Addr, other: Ipv4Addr) -> String {
    "[[bfd-profile]]\nname = \"default\"\ntransmit-interval = \"100ms\"\nreceive-interval = \"100ms\"\n"
        .to_owned()
        + &session("storage", own, other)
}

fn session(name: &str, own: Ipv4Addr, other: Ipv4Addr) -> String {
    format!(
        "[[bfd-session]]\nname = \"{name}\"\naddress = \"{other}\"\nsource-address = \"{own}\"\nport = 13784\n"
    )
}

/// The other end of it.
fn storage(own: Ipv4Addr, other: Ipv4Addr) -> String {
    format!("[speaker]\n[bfd]\nlisten = [\"{own}:13784\"]\n") + &watch(own, other)
}

const ON_THE_PATH: &str = "[[service]]\nname = \"web\"\naddresses = [\"203.0.113.1\"]\n[service.health]\nbfd = \"storage\"\n";

#[test]
fn a_service_goes_with_the_path_that_it_depends_on() {
    let [one, two, storage_address] = [loopback(), loopback(), loopback()];
    let router = config(two, one, 64521, 64520) + "received-routes = \"kept\"\n";
    let router = Daemon::start(&router);
    let config = config(one, two, 64520, 64521) + &watch(one, storage_address) + ON_THE_PATH;
    let here = Daemon::start(&config);
    here.wait_until_established("tor");
    assert!(is(&here, "unknown"));
    let storage = storage(storage_address, one);
    let mut running = Daemon::start(&storage);
    eventually("it is announced", || has_route(&router));

    // RFC 5882 §4.2: AdminDown is no failure.
    running.ok(&["stop"]);
    running.wait();
    eventually("the session has ended", || {
        here.show(&["bfd", "storage"])["state"] == "Down"
    });
    let cause = || web(&here)["health"]["cause"].to_string();
    eventually("the service says so", || cause().contains("AdminDown"));
    assert!(is(&here, "healthy"));
    running.launch();
    eventually("the path is up", || {
        here.show(&["bfd", "storage"])["state"] == "Up"
    });

    drop(running);
    eventually("it is withdrawn", || !has_route(&router));
    let cause = web(&here)["health"]["cause"].to_string();
    assert!(cause.contains("BFD session storage is down"), "{cause}");
    let _running = Daemon::start(&storage);
    eventually("it is announced again", || has_route(&router));
    assert_eq!(router.show(&["peer", "tor"])["established_count"], 1);

    // What was added at run time keeps what it depends on.
    let added = r#"{"addresses": ["203.0.113.2"], "health": {"bfd": "storage"}}"#;
    assert_eq!(put(&here, "other", added).0, 201);
    here.write(&config.replace("storage", "another"));
    let refused = here.fails(1, &["reload"]);
    assert!(refused.contains("service other"), "{refused}");
}

#[test]
fn the_verdict_of_a_path_does_not_outlive_its_session() {
    let [one, two, storage_address] = [loopback(), loopback(), loopback()];
    let router = config(two, one, 64521, 64520) + "received-routes = \"kept\"\n";
    let router = Daemon::start(&router);
    let _storage = Daemon::start(&storage(storage_address, one));
    let plain = config(one, two, 64520, 64521);
    let here = Daemon::start(&(plain.clone() + &watch(one, storage_address) + ON_THE_PATH));
    eventually("it is announced", || has_route(&router));
    let reload = |watched: String| {
        here.write(&(plain.clone() + &watched + ON_THE_PATH));
        here.ok(&["reload"]);
    };
    let cause = || web(&here)["health"]["cause"].to_string();

    // The other end of the new session is nobody's.
    reload(watch(one, loopback()));
    eventually("it is withdrawn", || !has_route(&router));
    let said = "BFD session storage has not come up within 3s";
    assert!(cause().contains(said), "{}", cause());
    reload(watch(one, storage_address));
    eventually("it is announced again", || has_route(&router));

    reload(watch(one, storage_address) + "enabled = false\n");
    eventually("it is withdrawn", || !has_route(&router));
    assert!(cause().contains("is disabled"), "{}", cause());
    reload(watch(one, storage_address));
    eventually("it is announced again", || has_route(&router));
    assert_eq!(router.show(&["peer", "tor"])["established_count"], 1);
}

/// Services at addresses of 203.0.113.0/24 and 203.0.114.0/24, and the paths that each depends on.
fn aggregated(services: &[(&str, &str)]) -> String {
    let services = services.iter().zip(1..).map(|((address, path), number)| {
        format!(
            "[[service]]\nname = \"web{number}\"\naddresses = [\"{address}\"]\n[service.health]\nbfd = \"{path}\"\n"
        )
    });
    "[[advertisement]]\naggregation-length = 24\n".to_owned() + &services.collect::<String>()
}

#[test]
fn an_aggregate_goes_with_the_last_path_that_its_members_depend_on() {
    const ON_ONE: &str = "203.0.113.0/24";
    const ON_TWO: &str = "203.0.114.0/24";
    let [one, two, storage_address, cache_address] = std::array::from_fn(|_| loopback());
    let router = config(two, one, 64521, 64520) + "received-routes = \"kept\"\n";
    let router = Daemon::start(&router);
    let services = aggregated(&[
        ("203.0.113.1", "storage"),
        ("203.0.113.2", "storage"),
        ("203.0.114.1", "storage"),
        ("203.0.114.2", "cache"),
    ]);
    let here = Daemon::start(
        &(config(one, two, 64520, 64521)
            + &watch(one, storage_address)
            + &session("cache", one, cache_address)
            + &services),
    );
    let [storage, cache] =
        [storage_address, cache_address].map(|address| Daemon::start(&storage(address, one)));
    let are = |on_one: bool, on_two: bool| {
        (has_prefix(&router, ON_ONE), has_prefix(&router, ON_TWO)) == (on_one, on_two)
    };
    let is_healthy =
        |service: &str, is: bool| (here.show(&["service", service])["state"] == "healthy") == is;
    eventually("both are announced", || {
        are(true, true) && is_healthy("web3", true) && is_healthy("web4", true)
    });

    storage.signal(nix::sys::signal::Signal::SIGSTOP);
    eventually("what depends on it alone is withdrawn", || {
        are(false, true) && is_healthy("web3", false)
    });
    cache.signal(nix::sys::signal::Signal::SIGSTOP);
    eventually("nothing is left of the other", || are(false, false));
    storage.signal(nix::sys::signal::Signal::SIGCONT);
    eventually("both come back with one path", || {
        are(true, true) && is_healthy("web4", false)
    });
    cache.signal(nix::sys::signal::Signal::SIGCONT);
    eventually("all is well", || is_healthy("web4", true));
    assert!(are(true, true));
    assert_eq!(router.show(&["peer", "tor"])["established_count"], 1);
}

fn put(daemon: &Daemon, name: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let request = format!(
        "PUT /v1/services/{name} HTTP/1.1\r\nhost: herald\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer)
}

#[test]
fn a_service_that_was_added_is_checked_also_after_a_restart() {
    let [one, two] = [loopback(), loopback()];
    let mut here = Daemon::start(&config(one, two, 64520, 64521));
    let server = Server::start(200);
    let health = format!(
        r#"{{"addresses": ["203.0.113.1"], "health": {{"tcp": "{}", "interval_ms": 50}}}}"#,
        server.address
    );
    assert_eq!(put(&here, "web", &health).0, 201);
    eventually("it works", || is(&here, "healthy"));
    let program = r#"{"addresses": ["203.0.113.1"], "health": {"exec": ["/bin/true"]}}"#;
    let (code, answer) = put(&here, "web", program);
    assert_eq!(code, 422);
    assert!(
        answer.contains("in the configuration file only"),
        "{answer}"
    );
    let path = r#"{"addresses": ["203.0.113.1"], "health": {"bfd": "storage"}}"#;
    assert_eq!(put(&here, "web", path).0, 422);

    here.ok(&["stop"]);
    here.wait();
    here.launch();
    eventually("it works still", || is(&here, "healthy"));
    let shown = web(&here);
    assert_eq!(shown["source"], "api");
    assert_eq!(shown["health"]["check"]["interval_ms"], 50);
    here.ok(&["service", "remove", "web"]);
    assert_eq!(here.show(&["services"]), serde_json::json!([]));
}

#[test]
fn a_check_of_a_service_is_named_at_the_command_line() {
    let [own, other] = [loopback(), loopback()];
    let daemon = Daemon::start(&config(own, other, 64520, 64521));
    let add = ["service", "add", "web", "192.0.2.150"];
    let with = |more: &[&'static str]| [&add[..], more].concat();
    daemon.ok(&with(&[
        "--health-tcp",
        "127.0.0.1:9",
        "--interval",
        "500ms",
        "--fall",
        "1",
    ]));
    let service = daemon.show(&["service", "web"]);
    let check = &service["health"]["check"];
    assert_eq!(check["interval_ms"].as_f64(), Some(500.0), "{service}");
    assert_eq!(check["fall"], 1, "{service}");
    let wrong: [(&[&'static str], &str); 5] = [
        (&["--health-http", "http://example.com/"], "http"),
        (&["--health-bfd", "nobody"], "nobody"),
        (
            &["--health-bfd", "tor"],
            "tor is a peer, not a bfd-session: add a [[bfd-session]]",
        ),
        (&["--interval", "1s"], "must have http, tcp or bfd"),
        (
            &["--health-tcp", "127.0.0.1:9", "--interval", "1us"],
            "interval_ms",
        ),
    ];
    for (more, named) in wrong {
        let refused = daemon.fails(2, &with(more));
        assert!(refused.contains(named), "{refused}");
    }
    daemon.fails(2, &with(&["--health-tcp", "127.0.0.1:9", "--fall", "0"]));
    daemon.ok(&add);
    assert!(daemon.show(&["service", "web"])["health"].is_null());
    let refused = daemon.fails(1, &["show", "events", "--bfd-session", "tor"]);
    let instead = "tor is a peer, not a bfd-session: use --peer tor";
    assert!(refused.contains(instead), "{refused}");
}
