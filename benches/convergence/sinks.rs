//! Neighbors that count prefixes: as many as wanted, on one thread, and nothing but counting is done there.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::{SPEAKER, SPEAKER_AS};
use crate::message::{self, KEEPALIVE, OPEN, UPDATE};

/// The AS of every sink.
pub const SINK_AS: u16 = 65001;

/// How long nothing may come in before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The address of a sink, counted from 0.
pub fn address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, index + 1)
}

/// Established sessions or such to be.
pub struct Sinks {
    sinks: Vec<Sink>,
    buffer: Vec<u8>,
    kept_alive: Instant,
}

struct Sink {
    stream: TcpStream,
    /// The beginning of a message whose end has not come.
    rest: Vec<u8>,
    established: Option<Instant>,
    announced: u64,
    withdrawn: u64,
    /// When the last prefix came, or went.
    changed: Instant,
}

/// From the first session to the last prefix.
pub struct Dump {
    pub took: Duration,
}

impl Sinks {
    /// Connects this many to the speaker. To be called where the sinks' addresses are.
    pub fn connect(count: u8) -> Self {
        let sinks = (0..count).map(|index| Sink::connect(address(index)));
        Self {
            sinks: sinks.collect(),
            buffer: vec![0; 256 * 1024],
            kept_alive: Instant::now(),
        }
    }

    /// Waits until every sink has this many prefixes.
    pub fn wait_for_table(&mut self, prefixes: u32) -> Dump {
        self.read_until("the table", |sink| sink.announced >= u64::from(prefixes));
        let first = self.sinks.iter().filter_map(|sink| sink.established).min();
        let last = self.sinks.iter().map(|sink| sink.changed).max();
        Dump {
            took: last.unwrap() - first.unwrap(),
        }
    }

    /// Waits until every sink has been told of one prefix more (or less): when the last one was.
    pub fn wait_for_one(&mut self, is_more: bool) -> Instant {
        let count = |sink: &Sink| {
            if is_more {
                sink.announced
            } else {
                sink.withdrawn
            }
        };
        self.read_until("one route", |sink| count(sink) > 0);
        let last = self.sinks.iter().map(|sink| sink.changed).max().unwrap();
        self.forget();
        last
    }

    /// Counts from zero.
    pub fn forget(&mut self) {
        for sink in &mut self.sinks {
            (sink.announced, sink.withdrawn) = (0, 0);
        }
    }

    fn read_until(&mut self, what: &str, done: impl Fn(&Sink) -> bool) {
        let mut last_heard = Instant::now();
        while !self.sinks.iter().all(&done) {
            if self.kept_alive.elapsed() > KEEPALIVE_INTERVAL {
                self.keep_alive();
            }
            if self.read(Duration::from_secs(1)) {
                last_heard = Instant::now();
            }
            let missing = || self.sinks.iter().filter(|sink| !done(sink)).count();
            assert!(
                last_heard.elapsed() < PATIENCE,
                "nothing for {PATIENCE:?}, and {} sinks have not {what}",
                missing()
            );
        }
    }

    /// Reads what there is, waiting for it if need be; whether there was anything.
    fn read(&mut self, timeout: Duration) -> bool {
        let mut ready: Vec<PollFd<'_>> = self
            .sinks
            .iter()
            .map(|sink| PollFd::new(&sink.stream, PollFlags::IN))
            .collect();
        let timeout = Timespec::try_from(timeout).unwrap();
        if poll(&mut ready, Some(&timeout)).unwrap() == 0 {
            return false;
        }
        let ready: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (sink, _) in self.sinks.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            sink.read(&mut self.buffer);
        }
        true
    }

    fn keep_alive(&mut self) {
        for sink in &mut self.sinks {
            sink.send(&message::of(KEEPALIVE, &[]));
        }
        self.kept_alive = Instant::now();
    }
}

impl Sink {
    fn connect(from: Ipv4Addr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket
            .connect(&SocketAddr::from((SPEAKER, 179)).into())
            .unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut sink = Self {
            stream: socket.into(),
            rest: Vec::new(),
            established: None,
            announced: 0,
            withdrawn: 0,
            changed: Instant::now(),
        };
        sink.send(&message::open(SINK_AS, from));
        sink
    }

    fn send(&mut self, message: &[u8]) {
        // A few octets on a socket that hardly anything is written to.
        self.stream.write_all(message).unwrap();
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        let read = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => panic!("the speaker, AS {SPEAKER_AS}, has closed a connection"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        };
        let mut octets = &buffer[..kept + read];
        let before = (self.announced, self.withdrawn);
        while let Some((kind, body, rest)) = message::split(octets) {
            self.handle(kind, body);
            octets = rest;
        }
        if (self.announced, self.withdrawn) != before {
            self.changed = Instant::now();
        }
        self.rest.clear();
        self.rest.extend_from_slice(octets);
    }

    fn handle(&mut self, kind: u8, body: &[u8]) {
        match kind {
            OPEN => self.send(&message::of(KEEPALIVE, &[])),
            KEEPALIVE => {
                self.established.get_or_insert_with(Instant::now);
            }
            UPDATE => {
                let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                let withdrawn = length(0);
                let attributes = length(2 + withdrawn);
                // Every prefix is a /32.
                self.withdrawn += withdrawn as u64 / 5;
                self.announced += (body.len() - 4 - withdrawn - attributes) as u64 / 5;
            }
            other => panic!("a message of type {other}: {body:?}"),
        }
    }
}
