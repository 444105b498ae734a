//! How fast routes reach many neighbors, and what it costs: a table at the start of the sessions,
//! then one route more and one route less.
//!
//! `cargo bench --bench convergence [-- PREFIXES SINKS]...` (default: 1000 1, 1000 8, 10000 8,
//! 100000 1, 100000 8, 100000 64). The neighbors are sinks in this process that count prefixes. The
//! bare write loop beside it sends the same octets over the same kind of sockets, and is the floor.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench may panic"
)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bgp::wire::{Framer, MAX_EXTENDED_LENGTH, MessageType};
use bgp::{Asn, BgpIdentifier, RemoteAs, RouteAttributes, Routes, SessionConfig};
use herald::bgp_thread::{BgpThread, PeerSetup, Transport};
use herald::config::PeerName;

const DEFAULT: [(u32, u8); 6] = [
    (1000, 1),
    (1000, 8),
    (10_000, 8),
    (100_000, 1),
    (100_000, 8),
    (100_000, 64),
];
const SINGLE_ROUTES: u32 = 200;

fn main() {
    let numbers: Vec<u32> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let mut runs: Vec<(u32, u8)> = numbers
        .chunks_exact(2)
        .map(|pair| (pair[0], u8::try_from(pair[1]).unwrap()))
        .collect();
    if runs.is_empty() {
        runs = DEFAULT.to_vec();
    }
    println!(
        "{:>8} {:>5} {:>12} {:>10} {:>9} | one route: {:>9} {:>9} {:>14}",
        "prefixes", "sinks", "all have it", "CPU", "RSS", "p50", "p99", "write loop p50"
    );
    for (prefixes, sinks) in runs {
        run(prefixes, sinks);
    }
}

fn run(prefixes: u32, sinks: u8) {
    let (report, reports) = mpsc::channel();
    let addresses: Vec<SocketAddr> = (1..=sinks)
        .map(|number| sink(number, report.clone()))
        .collect();
    let (events, mut discarded) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || while discarded.blocking_recv().is_some() {});
    let thread = BgpThread::start(events).unwrap();

    let names: Vec<PeerName> = (1..=sinks)
        .map(|number| PeerName::new(&format!("sink-{number}")).unwrap())
        .collect();
    let all = |routes: Routes| {
        let routes = Arc::new(routes);
        names
            .iter()
            .map(|name| (name.clone(), Arc::clone(&routes)))
            .collect::<Vec<_>>()
    };
    for (name, address) in names.iter().zip(&addresses) {
        thread.set_peer(
            name.clone(),
            PeerSetup {
                enabled: false,
                ..setup(*address)
            },
        );
    }
    let attributes = Arc::new(RouteAttributes::default());
    let table: Routes = (0..prefixes)
        .map(|index| (host(index), Arc::clone(&attributes)))
        .collect();
    thread.set_routes(all(table.clone()));
    thread::sleep(Duration::from_millis(300));

    let cpu_before = cpu_of_bgp_thread();
    for (name, address) in names.iter().zip(&addresses) {
        thread.set_peer(name.clone(), setup(*address));
    }
    let mut established = Vec::new();
    let mut last = None;
    let mut complete = 0;
    let mut counts = vec![0; usize::from(sinks) + 1];
    while complete < usize::from(sinks) {
        match reports.recv_timeout(Duration::from_secs(60)).unwrap() {
            Report::Established(at) => established.push(at),
            Report::Announced(number, count, at) => {
                counts[usize::from(number)] += count;
                if counts[usize::from(number)] == prefixes {
                    complete += 1;
                    last = Some(at);
                }
            }
            Report::Withdrawn(..) => panic!("nothing was withdrawn"),
        }
    }
    let first = established.into_iter().min().unwrap();
    let wall = last.unwrap().saturating_duration_since(first);
    let cpu = cpu_of_bgp_thread().saturating_sub(cpu_before);
    let resident = resident_mib();

    let mut times = Vec::new();
    let mut more = table.clone();
    more.insert(host(prefixes), Arc::clone(&attributes));
    for turn in 0..SINGLE_ROUTES {
        let is_more = turn % 2 == 0;
        let change = all(if is_more { more.clone() } else { table.clone() });
        let start = Instant::now();
        thread.set_routes(change);
        for _ in 0..sinks {
            match reports.recv_timeout(Duration::from_secs(10)).unwrap() {
                Report::Announced(_, 1, _) if is_more => {}
                Report::Withdrawn(1) if !is_more => {}
                _ => panic!("one route at a time"),
            }
        }
        times.push(start.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    times.sort_unstable();
    println!(
        "{prefixes:>8} {sinks:>5} {:>12} {:>10} {resident:>5} MiB | {:>20} {:>9} {:>14}",
        format!("{:.1} ms", milliseconds(wall)),
        format!("{:.3} s", cpu.as_secs_f64()),
        format!("{:.3} ms", milliseconds(times[times.len() / 2])),
        format!("{:.3} ms", milliseconds(times[times.len() * 99 / 100])),
        format!("{:.3} ms", milliseconds(write_loop(sinks))),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(thread.stop(bgp::StopReason::AdministrativeShutdown(None)));
}

fn host(index: u32) -> ipnet::IpNet {
    IpAddr::from(Ipv4Addr::from_bits(0x0A00_0000 + index)).into()
}

fn setup(remote: SocketAddr) -> PeerSetup {
    let identifier = BgpIdentifier::new([10, 0, 0, 71].into()).unwrap();
    PeerSetup {
        session: SessionConfig {
            connect_retry_time: Duration::from_millis(200),
            ..SessionConfig::new(Asn::new(64520).unwrap(), identifier, RemoteAs::External)
        },
        transport: Transport::to(remote),
        password: None,
        bfd: None,
        enabled: true,
        restarted: false,
    }
}

enum Report {
    Established(Instant),
    Announced(u8, u32, Instant),
    Withdrawn(u32),
}

/// A neighbor that says OPEN and KEEPALIVE, and counts from then on.
fn sink(number: u8, report: Sender<Report>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, number), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let parameters = [2, 2, 6, 0]; // extended messages
        let open = [&[4, 0xFC, 9, 0, 0, 10, 0, 1, number, 4][..], &parameters].concat();
        stream
            .write_all(&[message(1, &open), message(4, &[])].concat())
            .unwrap();
        let mut framer = Framer::default();
        let mut octets = vec![0; 64 * 1024];
        loop {
            let count = stream.read(&mut octets).unwrap_or(0);
            if count == 0 {
                return;
            }
            framer.push(&octets[..count]);
            let (mut announced, mut withdrawn) = (0, 0);
            while let Some((kind, body)) = framer.next_message(MAX_EXTENDED_LENGTH).unwrap() {
                match kind {
                    MessageType::Keepalive => {
                        let _ = report.send(Report::Established(Instant::now()));
                    }
                    MessageType::Update => {
                        let length =
                            |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                        let gone = length(0);
                        let attributes = length(2 + gone);
                        withdrawn += gone / 5;
                        announced += (body.len() - 4 - gone - attributes) / 5;
                    }
                    _ => {}
                }
            }
            let now = Instant::now();
            if announced > 0 {
                let _ = report.send(Report::Announced(
                    number,
                    u32::try_from(announced).unwrap(),
                    now,
                ));
            }
            if withdrawn > 0 {
                let _ = report.send(Report::Withdrawn(u32::try_from(withdrawn).unwrap()));
            }
        }
    });
    address
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xFF; 16], &length[..], &[kind], body].concat()
}

/// The median time until so many threads have each read what one loop has written to them.
fn write_loop(sinks: u8) -> Duration {
    let (report, reports): (Sender<()>, Receiver<()>) = mpsc::channel();
    let mut streams: Vec<TcpStream> = Vec::new();
    for number in 1..=sinks {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, number), 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
        let (mut reader, _) = listener.accept().unwrap();
        let report = report.clone();
        thread::spawn(move || {
            let mut octets = [0; 4096];
            while reader.read(&mut octets).is_ok_and(|count| count > 0) && report.send(()).is_ok() {
            }
        });
    }
    let update = message(2, &[0; 40]);
    let mut times = Vec::new();
    for _ in 0..SINGLE_ROUTES {
        let start = Instant::now();
        for stream in &mut streams {
            stream.write_all(&update).unwrap();
        }
        for _ in 0..sinks {
            reports.recv().unwrap();
        }
        times.push(start.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What the threads named "bgp" have used; those of earlier runs have ended.
fn cpu_of_bgp_thread() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let is_bgp = std::fs::read_to_string(path.join("comm")).ok()?.trim() == "bgp";
        let used = std::fs::read_to_string(path.join("schedstat")).ok()?;
        is_bgp
            .then(|| used.split(' ').next()?.parse::<u64>().ok())
            .flatten()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
