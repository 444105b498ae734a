//! From what a health check answers to the UPDATE at the router: the check itself belongs to us, and what counts begins as its answer
//! is written. Beside it what the API is told.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::router::Router;
use crate::support::daemon::{Herald, socket_in};
use crate::support::{Lab, Namespace};
use crate::table::{Cell, Table};
use crate::{Network, ROUTERS, quantile, services, speakers};

const SERVICES: u32 = 10_000;
/// At rest, as at a time when nothing else happens.
const REST: Duration = Duration::from_millis(60);

pub fn run(lab: &Lab, network: &Network, is_quick: bool) -> Table {
    let samples = if is_quick { 30 } else { 300 };
    let mut table = Table::new(
        format!("One service among {SERVICES:}: until the router is told, ms; n = {samples}"),
        ["p50", "p99", "max"],
    )
    .alone();
    let router = Router::listen(&network.routers, ROUTERS[0]);
    let health = Health::start(&network.speaker);
    let directory = speakers::herald_directory(lab);
    let all = services(SERVICES);
    let mut config = speakers::herald(&directory, &ROUTERS[..1], &all[1..]);
    let _ = write!(
        config,
        "[[service]]\nname = \"checked\"\naddresses = [\"{}\"]\n[service.health]\nhttp = \"http://127.0.0.1:8080/\"\n\
         interval = \"20ms\"\ntimeout = \"15ms\"\nfall = 1\nrise = 1\n",
        all[0]
    );
    let _herald = Herald::start(&network.speaker, &directory, &config);
    router.wait_for(u64::from(SERVICES), 0);

    let (mut falls, mut rises) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        thread::sleep(REST);
        let said = health.say(false);
        falls.push(router.wait_for_withdrawal() - said);
        thread::sleep(REST);
        let said = health.say(true);
        rises.push(router.wait_for_route() - said);
    }

    let mut api = UnixStream::connect(socket_in(&directory)).unwrap();
    let address = Ipv4Addr::new(12, 0, 0, 1);
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        thread::sleep(REST);
        let began = Instant::now();
        let body = format!("{{\"addresses\": [\"{address}\"]}}");
        send(&mut api, "PUT", &body);
        added.push(router.wait_for_route() - began);
        receive(&mut api);
        thread::sleep(REST);
        let began = Instant::now();
        send(&mut api, "DELETE", "");
        removed.push(router.wait_for_withdrawal() - began);
        receive(&mut api);
    }
    for (name, times) in [
        ("a check fails", &mut falls),
        ("a check succeeds", &mut rises),
        ("the API adds a service", &mut added),
        ("the API removes it", &mut removed),
    ] {
        let cells = [0.5, 0.99, 1.0].map(|part| Cell::time(quantile(times, part)));
        table.add(name, cells);
    }
    table
}

fn send(api: &mut UnixStream, method: &str, body: &str) {
    let request = format!(
        "{method} /v1/services/added HTTP/1.1\r\nHost: herald\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    api.write_all(request.as_bytes()).unwrap();
}

/// The answer comes in one piece: it is short.
fn receive(api: &mut UnixStream) {
    let mut answer = [0; 4096];
    let read = api.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
}

/// What the service's check asks.
struct Health {
    is_well: Arc<AtomicBool>,
    changed: Receiver<Instant>,
}

impl Health {
    fn start(namespace: &Namespace) -> Self {
        let is_well = Arc::new(AtomicBool::new(true));
        let (sender, changed) = mpsc::channel();
        let listener = namespace.enter(|| TcpListener::bind("127.0.0.1:8080").unwrap());
        let (answer, was_well) = (Arc::clone(&is_well), Arc::new(AtomicBool::new(true)));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (answer, was_well) = (Arc::clone(&answer), Arc::clone(&was_well));
                let sender = sender.clone();
                thread::spawn(move || serve(connection, &answer, &was_well, &sender));
            }
        });
        Self { is_well, changed }
    }

    /// Answers otherwise: when it was about to do so for the first time.
    fn say(&self, is_well: bool) -> Instant {
        self.is_well.store(is_well, Ordering::SeqCst);
        let changed = self.changed.recv_timeout(Duration::from_secs(10));
        changed.expect("the daemon asks")
    }
}

fn serve(
    mut connection: TcpStream,
    is_well: &AtomicBool,
    was_well: &AtomicBool,
    changed: &Sender<Instant>,
) {
    let _ = connection.set_nodelay(true);
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = connection.read(&mut buffer) {
        request.extend_from_slice(&buffer[..read]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let is_well = is_well.load(Ordering::SeqCst);
        let status = if is_well {
            "200 OK"
        } else {
            "503 Service Unavailable"
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if was_well.swap(is_well, Ordering::SeqCst) != is_well {
            let _ = changed.send(Instant::now());
        }
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
