//! From a dead path to the end of the BGP session: the daemon, with a BGP and a BFD session to each of several neighbors, of which one
//! after the other falls silent in BFD. What counts is the time beyond the Detection Time until the NOTIFICATION, or the end of the
//! connection, has come to the neighbor.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rustix::process::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use crate::latency::mute_all;
use crate::load::{Busy, Load};
use crate::message::{self, KEEPALIVE, OPEN};
use crate::network::{self, Network, SPEAKER};
use crate::observer::{Observer, Seen};
use crate::responder::session::Nanoseconds;
use crate::responder::{Down, Responder, Setup};
use crate::speakers::Speaker;
use crate::support::daemon::{self, Herald, socket_in};
use crate::support::{Lab, announce};
use crate::table::{Cell, Table};
use crate::{floor, milliseconds, quantile};

const NEIGHBORS: u16 = 20;
const DETECT_MULT: u8 = 3;
const SPEAKER_AS: u16 = 65000;
const NEIGHBOR_AS: u16 = 65001;
const BGP_PORT: u16 = 179;
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a session may take to come up, again and again refused.
const PATIENCE: Duration = Duration::from_secs(60);

const TCP: u8 = 6;
const FIN_OR_RST: u8 = 0x01 | 0x04;
const NOTIFICATION: u8 = 3;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    load: Load,
    /// At which intervals, in ms.
    #[arg(long, value_delimiter = ',', default_values = ["10ms", "50ms"], value_parser = milliseconds)]
    intervals: Vec<Duration>,
    /// How many failures at each.
    #[arg(long, default_value_t = 60)]
    samples: usize,
    /// 20 failures at each.
    #[arg(long)]
    quick: bool,
}

pub fn run(lab: &Lab, network: &Network, options: &Options) -> Vec<Table> {
    let samples = if options.quick { 20 } else { options.samples };
    // Building it is no part of the load.
    daemon::binary();
    let _busy = Busy::start(options.load);
    let floor = floor::timers(network, options.load, options.quick);
    let mut table = Table::new(format!(
        "From the detection time to the end of the BGP session, ms; {NEIGHBORS} neighbors, x{DETECT_MULT}, n = {samples}, {}",
        options.load.describe()
    ));
    for interval in &options.intervals {
        let setup = Setup {
            sessions: NEIGHBORS,
            interval: *interval,
            detect_mult: DETECT_MULT,
        };
        table.add(measure(lab, network, setup, options.load, samples));
    }
    vec![floor, table]
}

struct Daemon(Herald);

impl Daemon {
    fn start(lab: &Lab, network: &Network, setup: Setup, load: Load) -> Self {
        let directory = lab.directory("herald");
        let state = directory.join("state");
        let _ = std::fs::remove_dir_all(&state);
        let mut config = format!(
            "[speaker]\nlocal-as = {SPEAKER_AS}\nrouter-id = \"{SPEAKER}\"\nlisten = [\"{SPEAKER}:{BGP_PORT}\"]\nstate-dir = \"{}\"\n\n[api]\nsocket = \"{}\"\n\n[bfd]\nrealtime = {realtime}\nlock-memory = {realtime}\n\n[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"{interval}ms\"\nreceive-interval = \"{interval}ms\"\ndetect-multiplier = {}\n\n[peer-defaults]\npassive = true\nremote-as = {NEIGHBOR_AS}\nbfd-profile = \"fast\"\n\n",
            state.display(),
            socket_in(&directory).display(),
            setup.detect_mult,
            interval = setup.interval.as_millis(),
            realtime = load.realtime,
        );
        for neighbor in 0..setup.sessions {
            let _ = writeln!(
                config,
                "[[peer]]\naddress = \"{}\"\n",
                network::peer(neighbor)
            );
        }
        Self(Herald::start(&network.speaker, &directory, &config))
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        vec![self.0.pid()]
    }

    /// Its configuration says so.
    fn prioritize(&self) {}
}

fn measure(lab: &Lab, network: &Network, setup: Setup, load: Load, samples: usize) -> Vec<Cell> {
    let ends = vec![Vec::new(); setup.sessions.into()];
    let observer = Observer::start(&network.responder, ends, |ends: &mut Vec<_>, seen| {
        note(ends, &seen);
    });
    let responder = Responder::start(&network.responder, setup);
    let daemon = Daemon::start(lab, network, setup, load);
    load.prioritize(&daemon, &responder);

    let mut chance = SmallRng::seed_from_u64(1);
    let (mut downs, mut missed) = (Vec::new(), 0);
    while downs.len() + missed < samples {
        assert!(
            responder.wait_until_up(&setup, PATIENCE),
            "BFD sessions do not come up"
        );
        let connections = network
            .responder
            .enter(move || (0..setup.sessions).map(establish).collect::<Vec<_>>());
        thread::sleep(WARM_UP);
        while responder.next_down(Duration::ZERO).is_some() {}
        mute_all(&responder, &setup, &mut chance);
        let detected = detected(&responder, &setup);
        missed += usize::from(setup.sessions) - detected.len();
        downs.extend(detected);
        thread::sleep(Duration::from_millis(200));
        drop(connections);
        responder.unmute();
        announce(&format!("    {} of {samples}", downs.len()));
    }
    drop(daemon);
    row(setup, &downs, missed, &observer.stop())
}

/// The sessions that the speaker has found dead.
fn detected(responder: &Responder, setup: &Setup) -> Vec<Down> {
    let mut downs = Vec::new();
    let patience = setup.detection_time() + Duration::from_secs(1);
    while downs.len() < usize::from(setup.sessions) {
        match responder.next_down(patience) {
            Some(down) if down.was_muted && down.is_detected() => downs.push(down),
            Some(_) => {}
            None => break,
        }
    }
    downs
}

/// A BGP session of a neighbor, Established.
fn establish(neighbor: u16) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_establish(network::peer(neighbor)) {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < deadline, "no BGP session: {error}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn try_establish(from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    socket.connect(&SocketAddrV4::new(SPEAKER, BGP_PORT).into())?;
    let mut connection = TcpStream::from(socket);
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(&message::open(NEIGHBOR_AS, from))?;
    let (mut octets, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        octets.extend_from_slice(&buffer[..read]);
        let mut rest = octets.as_slice();
        while let Some((kind, _, behind)) = message::split(rest) {
            match kind {
                OPEN => connection.write_all(&message::of(KEEPALIVE, &[]))?,
                KEEPALIVE => return Ok(connection),
                kind => return Err(io::Error::other(format!("a message of type {kind}"))),
            }
            rest = behind;
        }
        octets = rest.to_vec();
    }
}

/// Notes when the speaker has ended a BGP session, by neighbor.
fn note(ends: &mut [Vec<Nanoseconds>], seen: &Seen<'_>) {
    let neighbor = network::session(seen.destination).map(usize::from);
    let ends = neighbor.and_then(|neighbor| ends.get_mut(neighbor));
    if let Some(ends) = ends
        && seen.source == SPEAKER
        && seen.protocol == TCP
        && is_end(seen.payload).unwrap_or(false)
    {
        ends.push(seen.at);
    }
}

/// Whether a TCP segment closes the connection, or begins with a NOTIFICATION.
fn is_end(segment: &[u8]) -> Option<bool> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    let flags = segment.get(13)?;
    let has_notification =
        message::split(segment.get(header..)?).is_some_and(|(kind, _, _)| kind == NOTIFICATION);
    Some(flags & FIN_OR_RST != 0 || has_notification)
}

fn row(setup: Setup, downs: &[Down], missed: usize, ends: &[Vec<Nanoseconds>]) -> Vec<Cell> {
    let (mut beyond, mut after_down, mut open) = (Vec::new(), Vec::new(), 0);
    for down in downs {
        let mut ends = ends[usize::from(down.session)].iter();
        match ends.find(|end| **end > down.last_sent) {
            Some(end) => {
                let later = (*end as f64 - down.at as f64) / 1e6;
                beyond.push(down.latency(&setup) + later);
                after_down.push(later);
            }
            None => open += 1,
        }
    }
    beyond.sort_by(f64::total_cmp);
    after_down.sort_by(f64::total_cmp);
    vec![
        Cell::number("interval, ms", Some(setup.interval.as_secs_f64() * 1e3), 0),
        Cell::number("p50, ms", quantile(&beyond, 0.5), 3),
        Cell::number("p99", quantile(&beyond, 0.99), 3),
        Cell::number("max", quantile(&beyond, 1.0), 3),
        Cell::number("after BFD says Down, p50", quantile(&after_down, 0.5), 3),
        Cell::number("after BFD says Down, max", quantile(&after_down, 1.0), 3),
        Cell::count("samples", beyond.len() as u64),
        Cell::count("missed", missed as u64),
        Cell::count("BGP stays", open),
    ]
}
