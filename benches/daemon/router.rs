//! A router that waits to be connected to, and notes when it is told what.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::ROUTER_AS;
use crate::message::{self, KEEPALIVE, OPEN, UPDATE};
use crate::support::Namespace;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What came in one piece.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub at: Instant,
    pub is_established: bool,
    pub announced: u64,
    pub withdrawn: u64,
    /// Of UPDATE messages.
    pub octets: u64,
}

pub struct Router {
    told: Receiver<Told>,
}

/// What was told in the course of something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// When the last of it came.
    pub at: Option<Instant>,
    pub announced: u64,
    pub withdrawn: u64,
    pub octets: u64,
}

impl Router {
    /// Listens; every connection is answered until it ends.
    pub fn listen(namespace: &Namespace, address: Ipv4Addr) -> Self {
        let (sender, told) = mpsc::channel();
        let listener = namespace.enter(move || TcpListener::bind((address, 179)).unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || serve(connection, address, &sender));
            }
        });
        Self { told }
    }

    /// Waits for a session and, if there are to be any, for its first route: when either came.
    pub fn wait_for_start(&self, has_routes: bool) -> (Instant, Instant) {
        let first = self.next_that("a session", |told| told.is_established);
        if !has_routes || first.announced > 0 {
            return (first.at, first.at);
        }
        (first.at, self.wait_for_route())
    }

    /// Waits for the first route: when it came.
    pub fn wait_for_route(&self) -> Instant {
        self.next_that("a route", |told| told.announced > 0).at
    }

    /// Waits for one route that is withdrawn: when it was.
    pub fn wait_for_withdrawal(&self) -> Instant {
        self.next_that("a withdrawal", |told| told.withdrawn > 0).at
    }

    fn next_that(&self, what: &str, is_wanted: impl Fn(&Told) -> bool) -> Told {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(told) if is_wanted(&told) => return told,
                Ok(_) => {}
                Err(_) => panic!("{what} has not come in {PATIENCE:?}"),
            }
        }
    }

    /// Waits for so many routes that are announced and withdrawn.
    pub fn wait_for(&self, announced: u64, withdrawn: u64) -> Sum {
        let mut sum = Sum::default();
        while sum.announced < announced || sum.withdrawn < withdrawn {
            let told = self.told.recv_timeout(PATIENCE);
            sum.add(told.unwrap_or_else(|_| panic!("nothing for {PATIENCE:?}: {sum:?}")));
        }
        sum
    }

    /// What comes until nothing has come for so long.
    pub fn listen_for(&self, quiet: Duration) -> Sum {
        let mut sum = Sum::default();
        loop {
            match self.told.recv_timeout(quiet) {
                Ok(told) => sum.add(told),
                Err(RecvTimeoutError::Timeout) => return sum,
                Err(RecvTimeoutError::Disconnected) => panic!("the router has ended"),
            }
        }
    }
}

impl Sum {
    pub fn add(&mut self, told: Told) {
        self.announced += told.announced;
        self.withdrawn += told.withdrawn;
        self.octets += told.octets;
        if told.octets > 0 {
            self.at = Some(told.at);
        }
    }

    pub fn with(mut self, other: Self) -> Self {
        self.announced += other.announced;
        self.withdrawn += other.withdrawn;
        self.octets += other.octets;
        self.at = self.at.max(other.at);
        self
    }
}

/// Speaks BGP with whoever has connected, until the connection ends.
fn serve(mut connection: TcpStream, own: Ipv4Addr, sender: &Sender<Told>) {
    let _ = connection.set_nodelay(true);
    let _ = connection.set_read_timeout(Some(KEEPALIVE_INTERVAL));
    let keepalive = message::of(KEEPALIVE, &[]);
    if connection
        .write_all(&message::open(ROUTER_AS, own))
        .is_err()
    {
        return;
    }
    let (mut octets, mut buffer) = (Vec::new(), vec![0; 256 * 1024]);
    let mut kept_alive = Instant::now();
    loop {
        let read = match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return,
        };
        let mut told = Told {
            at: Instant::now(),
            is_established: false,
            announced: 0,
            withdrawn: 0,
            octets: 0,
        };
        octets.extend_from_slice(&buffer[..read]);
        let mut rest = octets.as_slice();
        let mut is_opened = false;
        while let Some((kind, body, behind)) = message::split(rest) {
            match kind {
                OPEN => is_opened = true,
                KEEPALIVE => told.is_established = true,
                UPDATE => note(body, &mut told),
                _ => {}
            }
            rest = behind;
        }
        octets = rest.to_vec();
        if sender.send(told).is_err() {
            return;
        }
        if is_opened || kept_alive.elapsed() > KEEPALIVE_INTERVAL {
            kept_alive = Instant::now();
            if connection.write_all(&keepalive).is_err() {
                return;
            }
        }
    }
}

/// Every prefix is an IPv4 /32.
fn note(body: &[u8], told: &mut Told) {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = length(0);
    let attributes = length(2 + withdrawn);
    told.withdrawn += withdrawn as u64 / 5;
    told.announced += (body.len() - 4 - withdrawn - attributes) as u64 / 5;
    told.octets += 19 + body.len() as u64;
}
