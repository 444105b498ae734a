//! Announces a prefix until the session ends: `cargo run --example announce_tokio -- 192.0.2.1:179`
use bgp::{Addresses, Asn, BgpIdentifier, Direction, Event, RemoteAs, Session, SessionConfig};
use bytes::BytesMut;
use std::time::{Duration, Instant};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream, time::timeout_at};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = std::env::args().nth(1).ok_or("expected ROUTER:PORT")?;
    let local_as = Asn::new(64520).ok_or("a reserved AS")?;
    let identifier = BgpIdentifier::new([192, 0, 2, 71].into()).ok_or("all zeros")?;
    let config = SessionConfig::new(local_as, identifier, RemoteAs::External);
    let mut session = Session::new(config, std::process::id().into());
    let route = ("198.51.100.0/24".parse()?, Default::default());
    session.set_routes(Instant::now(), [route].into());
    session.start(Instant::now());
    let mut tcp = TcpStream::connect(&router).await?;
    let ends = Addresses::new(tcp.local_addr()?, tcp.peer_addr()?);
    let conn = session.handle_connected(Instant::now(), Direction::Outgoing, ends);
    let (mut out, mut read) = (BytesMut::new(), BytesMut::new());
    loop {
        while session.poll_transmit(Instant::now(), conn, &mut out) {
            tcp.write_all(&out).await?;
            session.handle_written(Instant::now(), conn, out.split().len());
        }
        while let Some(event) = session.poll_event() {
            eprintln!("{event:?}");
            let Event::Close { .. } = event else { continue };
            return Err("the session has ended".into());
        }
        let far = Instant::now() + Duration::from_secs(60);
        let deadline = session.poll_timeout().unwrap_or(far).into();
        match timeout_at(deadline, tcp.read_buf(&mut read)).await {
            Ok(Ok(1..)) => session.handle_bytes(Instant::now(), conn, &read.split()),
            Ok(_) => return Err("the router has closed the connection".into()),
            Err(_) => session.handle_timeout(Instant::now()),
        }
    }
}
