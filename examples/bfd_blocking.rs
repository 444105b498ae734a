//! One BFD session with nothing but the standard library's sockets: no engine, no runtime, no threads.
//!
//! ```text
//! cargo run --example bfd_blocking -- 192.0.2.1
//! cargo run --example bfd_blocking -- 127.0.0.1:4000 127.0.0.1:4001 10
//! ```
//!
//! The arguments: the neighbor, where to listen (0.0.0.0:3784 by default), and for how many seconds (30). Then the neighbor is told
//! that the end is on purpose. IPv4 only: the standard library cannot set the hop limit of IPv6.
//!
//! It cannot read the TTL of what it receives either, and a neighbor on the link is only believed with 255 (RFC 5881 §5): whoever
//! can route a packet to us could end the session. A driver in earnest sets `IP_RECVTTL` and `IP_PKTINFO` (`IPV6_RECVHOPLIMIT` and
//! `IPV6_RECVPKTINFO`) on the socket, say with rustix or nix, receives with `recvmsg`, and hands on what the control messages say;
//! `bfd/src/engine/receiver.rs` and `bfd/src/engine/sys.rs` do so.
#![allow(clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "a driver looks at the clock")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use std::{env, io};

use bfd::{
    Discard, Encapsulation, Endpoint, Event, RxMeta, SINGLE_HOP_PORT, SessionConfig, SessionKey,
    TRANSMIT_TTL,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [remote, rest @ ..] = arguments.as_slice() else {
        return Err("usage: bfd_blocking ADDRESS[:PORT] [LISTEN-ADDRESS:PORT] [SECONDS]".into());
    };
    let remote = match remote.parse::<SocketAddr>() {
        Ok(remote) => remote,
        Err(_) => SocketAddr::new(remote.parse()?, SINGLE_HOP_PORT),
    };
    let listen = match rest.first() {
        Some(listen) => listen.parse()?,
        None => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), SINGLE_HOP_PORT),
    };
    let seconds = rest.get(1).map_or(Ok(30), |seconds| seconds.parse())?;
    let mut driver = Driver::new(remote, listen)?;
    driver.run_until(Instant::now() + Duration::from_secs(seconds))?;
    // AdminDown for a detection time: the neighbor does not take it for a failure.
    driver.endpoint.remove_all(Instant::now());
    driver.run_until(Instant::now() + Duration::from_secs(5))?;
    Ok(())
}

struct Driver {
    endpoint: Endpoint,
    receiver: UdpSocket,
    transmitter: UdpSocket,
}

impl Driver {
    fn new(remote: SocketAddr, listen: SocketAddr) -> io::Result<Self> {
        let receiver = UdpSocket::bind(listen)?;
        let transmitter = bind_source_port(listen.ip())?;
        transmitter.set_ttl(TRANSMIT_TTL.into())?;
        // Discriminators and jitter come from the seed: who can guess it can guess them.
        let mut endpoint = Endpoint::new(rand::random());
        let key = SessionKey {
            remote,
            ..SessionKey::single_hop(remote.ip())
        };
        endpoint
            .add(Instant::now(), key, None, SessionConfig::default())
            .map_err(io::Error::other)?;
        Ok(Self {
            endpoint,
            receiver,
            transmitter,
        })
    }

    fn run_until(&mut self, end: Instant) -> io::Result<()> {
        while Instant::now() < end && !self.endpoint.is_empty() {
            self.receive(end)?;
            self.endpoint.handle_timeout(Instant::now());
            while let Some(transmit) = self.endpoint.poll_transmit(Instant::now()) {
                // A neighbor that is not there yet is no reason to stop.
                let sent = self
                    .transmitter
                    .send_to(&transmit.payload, transmit.destination);
                if sent.is_err() {
                    self.endpoint.count_transmit_error(transmit.session);
                }
            }
            while let Some(event) = self.endpoint.poll_event() {
                if let Event::StateChanged(change) = event {
                    println!("{} -> {}: {}", change.from, change.to, change.local_diag);
                }
            }
        }
        Ok(())
    }

    /// Waits for a datagram, no longer than until something is due.
    fn receive(&mut self, end: Instant) -> io::Result<()> {
        let until = self.endpoint.poll_timeout().map_or(end, |at| at.min(end));
        let timeout = until.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none at all.
        self.receiver
            .set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
        let mut payload = [0; 512];
        let (length, source) = match self.receiver.recv_from(&mut payload) {
            Ok(received) => received,
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let meta = RxMeta {
            source,
            destination: self.receiver.local_addr()?.ip(),
            interface_index: None,
            // Not known, and taken for good: see above.
            ttl: Some(TRANSMIT_TTL),
            encapsulation: Encapsulation::SingleHop,
        };
        let payload = payload.get(..length).unwrap_or_default();
        let outcome = self
            .endpoint
            .handle_datagram(Instant::now(), &meta, payload);
        if let Err(discard) = outcome
            && discard != Discard::AdminDown
        {
            println!("discarded a datagram from {source}: {discard}");
        }
        Ok(())
    }
}

/// RFC 5881 §4: one source port from this range, for as long as the session lasts.
fn bind_source_port(local: IpAddr) -> io::Result<UdpSocket> {
    (49152..=u16::MAX)
        .find_map(|port| UdpSocket::bind((local, port)).ok())
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
