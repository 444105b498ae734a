//! Announces one prefix to one router, with blocking sockets and nothing but the engine.
//!
//! `cargo run --example announce -- 192.0.2.1:179 64520 192.0.2.71 198.51.100.0/24`

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::{
    Addresses, Asn, BgpIdentifier, Direction, Event, RemoteAs, RouteAttributes, Session,
    SessionConfig,
};
use bytes::BytesMut;

const TURN: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [router, local_as, identifier, prefix] = arguments.as_slice() else {
        return Err("expected ROUTER:PORT LOCAL-AS IDENTIFIER PREFIX".into());
    };
    let local_as = Asn::new(local_as.parse()?).ok_or("that AS number is reserved")?;
    let identifier = BgpIdentifier::new(identifier.parse::<Ipv4Addr>()?)
        .ok_or("an identifier is not 0.0.0.0")?;
    let mut session = Session::new(
        SessionConfig::new(local_as, identifier, RemoteAs::External),
        seed(),
    );
    let route = (prefix.parse()?, Arc::new(RouteAttributes::default()));
    session.set_routes(Instant::now(), [route].into());
    session.start(Instant::now());
    run(&mut session, router.parse()?)
}

fn run(session: &mut Session, router: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut connection = None;
    let mut out = BytesMut::new();
    loop {
        while let Some(event) = session.poll_event() {
            match event {
                Event::Connect => match TcpStream::connect_timeout(&router, 10 * TURN) {
                    Ok(stream) => {
                        stream.set_read_timeout(Some(TURN))?;
                        let addresses = Addresses::new(stream.local_addr()?, router);
                        let now = Instant::now();
                        let conn = session.handle_connected(now, Direction::Outgoing, addresses);
                        connection = Some((conn, stream));
                    }
                    Err(error) => {
                        session.handle_connect_failed(Instant::now(), &error.to_string());
                    }
                },
                Event::Close { conn, .. } => {
                    if let Some((_, mut stream)) = connection.take_if(|(open, _)| *open == conn) {
                        session.poll_transmit(Instant::now(), conn, &mut out);
                        // The last word; the neighbor may have gone already.
                        let _ = stream.write_all(&out.split());
                    }
                }
                Event::StateChanged(change) => {
                    println!("{} -> {}: {}", change.from, change.to, change.cause);
                }
                _ => {}
            }
        }
        match &mut connection {
            Some((conn, stream)) => {
                while session.poll_transmit(Instant::now(), *conn, &mut out) {
                    stream.write_all(&out)?;
                    session.handle_written(Instant::now(), *conn, out.split().len());
                }
                let mut octets = [0; 4096];
                match stream.read(&mut octets) {
                    Ok(count) if count > 0 => {
                        let octets = octets.get(..count).unwrap_or_default();
                        session.handle_bytes(Instant::now(), *conn, octets);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    _ => {
                        session.handle_closed(Instant::now(), *conn);
                        connection = None;
                    }
                }
            }
            None => std::thread::sleep(TURN),
        }
        session.handle_timeout(Instant::now());
    }
}

/// Jitter should differ from one run to the next.
fn seed() -> u64 {
    std::process::id().into()
}
