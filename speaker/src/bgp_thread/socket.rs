//! TCP sockets, set up. Every socket goes through here before it carries an octet.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use bgp::{RemoteAs, SessionConfig};
use ipnet::IpNet;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{PeerSetup, sys};
use crate::config::Password;

/// How long beyond SendHoldTime (RFC 9687) the kernel ends what the session could not.
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(5);
const BACKLOG: i32 = 128;

/// Connects as `transport` says. Dropping the future gives the attempt up.
pub(super) async fn connect(setup: PeerSetup) -> io::Result<TcpStream> {
    let transport = &setup.transport;
    let remote = transport.remote;
    let socket = Socket::new(
        Domain::for_address(remote),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    if let Some(interface) = &transport.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(local) = transport.local {
        socket.bind(&with_scope(local, remote).into())?;
    }
    if remote.is_ipv6() {
        // A kernel without the option has no temporary addresses.
        let _ = sys::prefer_stable_source(socket.as_fd());
    }
    configure(SockRef::from(&socket), remote, &setup)?;
    TcpSocket::from_std_stream(socket.into())
        .connect(remote)
        .await
}

/// Sets up a connection that a neighbor has made.
///
/// # Errors
/// It came to another address than the peer is to be spoken to from, or from farther away than GTSM
/// allows.
pub(super) fn accept(stream: &TcpStream, setup: &PeerSetup) -> io::Result<()> {
    let transport = &setup.transport;
    let local = stream.local_addr()?.ip().to_canonical();
    if let Some(expected) = transport.local.filter(|expected| *expected != local) {
        return Err(io::Error::other(format!(
            "it came to {local} instead of {expected}"
        )));
    }
    let remote = stream.peer_addr()?;
    if let Some(minimum_ttl) = transport.minimum_ttl {
        is_near(stream, remote, minimum_ttl)?;
    }
    if let Some(interface) = &transport.interface {
        keep_to(&SockRef::from(stream), interface)?;
    }
    configure(SockRef::from(stream), remote, setup)
}

/// One from a link-local address, or to a listener of one interface, is bound to where it came in, and to
/// bind such a socket anew takes CAP_NET_RAW. Another that came by another interface comes to nothing there.
fn keep_to(socket: &SockRef<'_>, interface: &str) -> io::Result<()> {
    match socket.device()? {
        None => socket.bind_device(Some(interface.as_bytes())),
        Some(bound) if bound == interface.as_bytes() => Ok(()),
        Some(bound) => Err(io::Error::other(format!(
            "it came by {} instead of {interface}",
            String::from_utf8_lossy(&bound)
        ))),
    }
}

/// RFC 5082 §3: what has come before the kernel was told what to demand was not checked by it. The
/// SYN stands for that.
fn is_near(stream: &TcpStream, remote: SocketAddr, minimum_ttl: u8) -> io::Result<()> {
    let ttl = sys::ttl_of_syn(stream.as_fd(), remote.is_ipv6())?;
    if ttl.is_some_and(|ttl| ttl >= minimum_ttl) {
        return Ok(());
    }
    let ttl = ttl.map_or("an unknown TTL".into(), |ttl| format!("a TTL of {ttl}"));
    Err(io::Error::other(format!(
        "it came with {ttl}, less than the {minimum_ttl} that ttl-security demands"
    )))
}

/// Whether this host could listen here, or why not. Nobody is let in.
pub(super) fn try_address(address: SocketAddr) -> io::Result<()> {
    listening_socket(address)?.bind(&address.into())
}

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = listening_socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Listens on one interface only, beside sockets of ours that have the address already. What comes
/// in there, comes to the new socket.
pub(super) fn listen_beside(
    address: SocketAddr,
    interface: &str,
    beside: &[&TcpListener],
) -> io::Result<TcpListener> {
    let socket = listening_socket(address)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    // All of them must share the port while one more takes it. Left on, it would let other
    // speakers in without a word.
    let share = |shared: bool| {
        let others = beside.iter().map(|listener| SockRef::from(*listener));
        let mut all = others.chain([SockRef::from(&socket)]);
        all.try_for_each(|socket| socket.set_reuse_port(shared))
    };
    share(true)?;
    let bound = socket.bind(&address.into());
    let listening = bound.and_then(|()| socket.listen(BACKLOG));
    share(false)?;
    listening?;
    TcpListener::from_std(socket.into())
}

fn listening_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] are two listeners, so that each can be left out.
        socket.set_only_v6(true)?;
    }
    // Neighbors with GTSM take no SYN-ACK of less (RFC 5082 §3), and others do not mind. What we
    // demand of them is set on each connection, for here it holds for all neighbors alike; only
    // what is demanded of all is demanded here too. Otherwise a SYN from afar is answered, and costs
    // a connection that is accepted, and closed when its SYN is looked at.
    set_ttl(&socket, address, 255)?;
    sys::save_syn(socket.as_fd())?;
    Ok(socket)
}

/// Ends a connection whose neighbor has not taken everything: with a reset, so that nothing of it
/// lingers in the kernel.
pub(super) fn abort(stream: TcpStream) {
    // Without the option the close is an ordinary one, which does no harm.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// Says that nothing more will come, and leaves the other direction open.
pub(super) fn finish_writing(stream: &TcpStream) {
    // The only error is that the connection is gone already.
    let _ = SockRef::from(stream).shutdown(std::net::Shutdown::Write);
}

fn configure(socket: SockRef<'_>, remote: SocketAddr, setup: &PeerSetup) -> io::Result<()> {
    let PeerSetup {
        transport, session, ..
    } = setup;
    sign(&socket, remote, setup.password.as_ref())?;
    let ttl = u32::from(transport.ttl.unwrap_or_else(|| default_ttl(session)));
    set_ttl(&socket, remote, ttl)?;
    // RFC 5082 §3: what has come from farther away than the neighbor is not from the neighbor.
    let minimum_ttl = transport.minimum_ttl.unwrap_or(0);
    sys::set_minimum_ttl(socket.as_fd(), remote.is_ipv6(), minimum_ttl)?;
    // RFC 2474 §3: the code point is above the two bits of congestion notification.
    let traffic_class = u32::from(transport.dscp) << 2;
    match remote {
        SocketAddr::V4(_) => socket.set_tos_v4(traffic_class)?,
        SocketAddr::V6(_) => socket.set_tclass_v6(traffic_class)?,
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(user_timeout(session))
}

/// Has a connection signed and checked with this key (RFC 2385), or with none.
fn sign(socket: &SockRef<'_>, remote: SocketAddr, password: Option<&Password>) -> io::Result<()> {
    let whom = IpNet::from(remote.ip());
    match password {
        Some(password) => sys::set_md5_key(socket.as_fd(), whom, password.key()),
        // A kernel without the option has no key to remove.
        None => sys::remove_md5_key(socket.as_fd(), whom).or(Ok(())),
    }
}

/// Gives a connection another key while it runs. What is under way with the former one is dropped
/// by whoever has the new one already, and sent again.
pub(super) fn set_password(stream: &TcpStream, password: Option<&Password>) -> io::Result<()> {
    sign(&SockRef::from(stream), stream.peer_addr()?, password)
}

fn set_ttl(socket: &Socket, address: SocketAddr, ttl: u32) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_ttl_v4(ttl),
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(ttl),
    }
}

/// Sets anew what [`configure`] has set, for a session that has changed.
pub(super) fn set_user_timeout(stream: &TcpStream, session: &SessionConfig) {
    // The only error is that the connection is gone already.
    let _ = SockRef::from(stream).set_tcp_user_timeout(user_timeout(session));
}

/// None where there is no hold time, and so no SendHoldTime. The hold time that is agreed upon can
/// only be shorter.
fn user_timeout(session: &SessionConfig) -> Option<Duration> {
    let hold_time = session.hold_time.duration()?;
    Some(session.send_hold_time(hold_time) + USER_TIMEOUT_MARGIN)
}

/// External peers are on the link unless somebody says otherwise.
fn default_ttl(session: &SessionConfig) -> u8 {
    match session.remote_as {
        RemoteAs::Internal => 255,
        RemoteAs::Is(remote_as) if remote_as == session.local_as => 255,
        RemoteAs::Is(_) | RemoteAs::External => 1,
    }
}

/// Our link-local address is on the interface that the neighbor's is on.
fn with_scope(local: IpAddr, remote: SocketAddr) -> SocketAddr {
    let mut local = SocketAddr::new(local, 0);
    if let (SocketAddr::V6(local), SocketAddr::V6(remote)) = (&mut local, remote)
        && local.ip().is_unicast_link_local()
    {
        local.set_scope_id(remote.scope_id());
    }
    local
}
