use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{CheckConfig, HttpProbe, ServiceName};
use crate::services::Verdict;
use crate::services::health::checker::{Action, Checker, Setup, WatchId};

const PATIENCE: Duration = Duration::from_secs(30);

/// What comes of one check.
fn outcome(probe: Probe, timeout: Duration) -> Outcome {
    let mut checker = Checker::new(1);
    let setup = Setup {
        config: Arc::new(CheckConfig {
            probe,
            interval: timeout,
            timeout,
            fall: CheckConfig::DEFAULT_FALL,
            rise: CheckConfig::DEFAULT_RISE,
        }),
        addresses: ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into(),
        assumed: Verdict::Unknown,
        watch: WatchId::default(),
    };
    let now = Instant::now();
    checker.set(now, &ServiceName::new("web").unwrap(), setup);
    let Some(Action::Start(start)) = checker.poll_action(now) else {
        panic!("nothing is to be done");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(check(&start))
}

fn text(outcome: Outcome) -> String {
    format!("{:?}: {}", outcome.kind, outcome.text)
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What comes of asking a server that says this; and what it was asked.
fn http(answer: &'static [u8], path: &str, host: Option<&str>) -> (String, String) {
    let (listener, address) = listener();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let octets = stream.read(&mut request).unwrap();
        // Who does not like the answer need not read all of it.
        let _ = stream.write_all(answer);
        request.truncate(octets);
        String::from_utf8(request).unwrap()
    });
    let probe = HttpProbe::new(&format!("http://{address}{path}")).unwrap();
    let probe = probe.with_host(host.map(str::to_owned));
    let came = text(outcome(Probe::Http(probe), PATIENCE));
    let asked = server.join().unwrap();
    (
        came.replace(&address.to_string(), "ADDRESS"),
        asked.replace(&address.to_string(), "ADDRESS"),
    )
}

fn answered(answer: &'static [u8]) -> String {
    http(answer, "/", None).0
}

#[test]
fn an_http_check_asks_in_few_words() {
    let (_, asked) = http(b"HTTP/1.1 200 OK\r\n\r\n", "/healthz?deep=1", None);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        asked,
        format!(
            "GET /healthz?deep=1 HTTP/1.1\r\nhost: ADDRESS\r\nuser-agent: herald/{version}\r\naccept: */*\r\nconnection: close\r\n\r\n"
        )
    );
    let (_, asked) = http(b"HTTP/1.1 200 OK\r\n\r\n", "", Some("www.example.com"));
    assert!(
        asked.starts_with("GET / HTTP/1.1\r\nhost: www.example.com\r\n"),
        "{asked}"
    );
}

#[test]
fn http_2xx_and_3xx_are_good_and_no_redirect_is_followed() {
    for (answer, came) in [
        (
            &b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nx"[..],
            "Success: HTTP 200",
        ),
        (b"HTTP/1.0 204 No Content\r\n\r\n", "Success: HTTP 204"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\n\r\n",
            "Success: HTTP 302",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "Success: HTTP 200",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "Failure: HTTP 404"),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "Failure: HTTP 503",
        ),
    ] {
        assert_eq!(answered(answer), came);
    }
}

#[test]
fn what_is_not_http_is_a_failure_that_says_so() {
    assert_eq!(
        answered(b"SSH-2.0-OpenSSH\r\n"),
        "Failure: the answer is not HTTP"
    );
    assert_eq!(
        answered(b""),
        "Failure: the connection was closed without an HTTP answer"
    );
    let endless: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 1 << 20]]
            .concat()
            .into(),
    );
    let came = answered(endless);
    assert!(
        came.starts_with("Failure: the head of the HTTP answer is longer"),
        "{came}"
    );
}

#[test]
fn who_is_not_there_is_refused_and_who_says_nothing_is_not_waited_for() {
    let (listener, address) = listener();
    let url = format!("http://{address}/");
    let probe = || Probe::Http(HttpProbe::new(&url).unwrap());
    let short = Duration::from_millis(100);
    assert_eq!(
        text(outcome(probe(), short)),
        "Timeout: no HTTP answer within 100ms"
    );
    assert_eq!(
        text(outcome(Probe::Tcp(address), PATIENCE)),
        "Success: connected"
    );
    drop(listener);
    let refused = format!("Failure: {address}: Connection refused");
    assert_eq!(text(outcome(probe(), PATIENCE)), refused);
    assert_eq!(text(outcome(Probe::Tcp(address), PATIENCE)), refused);
}

#[test]
fn a_check_over_ipv6_and_over_localhost() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(
        text(outcome(Probe::Tcp(address), PATIENCE)),
        "Success: connected"
    );
    // Nothing listens on 127.0.0.1 there, so the other address of localhost is tried.
    let url = format!("http://localhost:{}/", address.port());
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            // The first connection is that of before, which is over.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    let probe = Probe::Http(HttpProbe::new(&url).unwrap());
    assert_eq!(text(outcome(probe, PATIENCE)), "Success: HTTP 200");
    server.join().unwrap();
}

fn shell(script: &str, timeout: Duration) -> (String, Duration) {
    let exec = ["/bin/sh", "-c", script].map(str::to_owned);
    let start = Instant::now();
    let came = text(outcome(Probe::Exec(exec.into()), timeout));
    (came, start.elapsed())
}

fn says(script: &str) -> String {
    shell(script, PATIENCE).0
}

#[test]
fn a_program_decides_by_its_exit_status_and_says_why() {
    for (script, came) in [
        ("exit 0", "Success: exit status 0"),
        ("echo; echo fine; echo more", "Success: exit status 0: fine"),
        ("echo broken >&2; exit 2", "Failure: exit status 2: broken"),
        (
            "echo out; echo err >&2; exit 1",
            "Failure: exit status 1: out",
        ),
        ("kill -TERM $$", "Failure: killed by signal 15"),
        (
            "echo $HERALD_SERVICE $HERALD_STATE $HERALD_ADDRESSES",
            "Success: exit status 0: web unknown 192.0.2.1 2001:db8::1",
        ),
        ("pwd; cat", "Success: exit status 0: /"),
    ] {
        assert_eq!(says(script), came, "{script}");
    }
    let missing = Probe::Exec(vec!["/nonexistent".to_owned()]);
    assert_eq!(
        text(outcome(missing, PATIENCE)),
        "Failure: cannot be run: No such file or directory"
    );
}

#[test]
fn a_program_that_hangs_is_killed_with_what_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let child = directory.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; wait", child.display());
    let (came, _) = shell(&script, Duration::from_millis(500));
    assert_eq!(came, "Timeout: did not end within 500ms");
    assert_gone(&child);
}

#[test]
fn what_a_program_leaves_behind_is_not_waited_for_and_killed() {
    let directory = tempfile::tempdir().unwrap();
    let child = directory.path().join("child");
    // It keeps the output open.
    let script = format!("sleep 1000 & echo $! > {}; echo done", child.display());
    let (came, took) = shell(&script, PATIENCE);
    assert_eq!(came, "Success: exit status 0: done");
    assert!(took < PATIENCE, "{took:?}");
    assert_gone(&child);
}

#[track_caller]
fn assert_gone(child: &std::path::Path) {
    let id = std::fs::read_to_string(child).unwrap();
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let start = Instant::now();
    while is_alive() {
        assert!(start.elapsed() < PATIENCE, "the child {id} lives");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_may_write_much_but_not_without_end() {
    let came = says(
        "i=0; while [ $i -lt 2000 ]; do echo a line of thirty-two characters; i=$((i+1)); done; exit 3",
    );
    assert_eq!(
        came,
        "Failure: exit status 3: a line of thirty-two characters"
    );
    assert_eq!(
        says("yes"),
        "Failure: killed, for it wrote more than 1024 KiB"
    );
}

#[test]
fn a_line_of_output_is_short_and_printable() {
    let line = first_line(b"\n \nCRITICAL\x1b[31m - down\nmore");
    assert_eq!(line.as_deref(), Some("CRITICAL [31m - down"));
    assert_eq!(first_line(b"\n\n"), None);
    let long = "x".repeat(500);
    let short = first_line(long.as_bytes()).unwrap();
    assert_eq!(short.chars().count(), SAID + 1);
}
