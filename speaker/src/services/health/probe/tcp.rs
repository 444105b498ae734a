//! Whether a connection is accepted.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::words;

/// What came of it, or what is wrong.
pub(super) async fn check(address: SocketAddr) -> Result<String, String> {
    connect(address).await.map(|_| "connected".to_owned())
}

/// Whoever checks often would soon have no port left to connect from, if each waited for a minute
/// after its connection: so the connection is reset, not closed.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("{address}: {}", words(&error)))?;
    // Without it the port waits, and that is all.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(stream)
}
