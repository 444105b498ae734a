//! The sockets that sessions send from: what RFC 5881 §4 and §5 and RFC 5883 §5 say about a datagram is set here, before first use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{EngineError, sys};
use crate::key::{SessionKey, TRANSMIT_TTL};

/// Traffic class CS6, network control.
pub(super) const CLASS_SELECTOR_6: u32 = 0xc0;
/// The highest priority that needs no privilege.
pub(super) const PRIORITY: u32 = 6;

/// How long a socket stays connected: so long may packets take a source address that routing would not choose any more.
const CONNECTION: Duration = Duration::from_secs(1);

/// A port that RFC 5881 §4 allows to send from: 49152 to 65535.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourcePort(u16);

impl SourcePort {
    const FIRST: u16 = 49152;
    const COUNT: u16 = u16::MAX - Self::FIRST + 1;

    pub(super) fn random(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed).random_range(Self::FIRST..=u16::MAX))
    }

    /// Every port there is, beginning with this one.
    fn and_following(self) -> impl Iterator<Item = Self> {
        let first = self.0 - Self::FIRST;
        (0..Self::COUNT).map(move |offset| Self(Self::FIRST + (first + offset) % Self::COUNT))
    }
}

/// The socket that one session sends from, always from the same port.
#[derive(Debug)]
pub(super) struct Transmitter {
    socket: Socket,
    pub(super) port: SourcePort,
    /// The interface that the socket is bound to, if the session names one.
    pub(super) interface_index: Option<u32>,
    /// Whether that interface has one system on its other end.
    pub(super) is_point_to_point: bool,
    /// Until when it stays connected, if it is.
    connected_until: Option<Instant>,
}

impl Transmitter {
    /// Opens a socket for this session, at `port` if that is free and else at the next one that is.
    pub(super) fn open(key: &SessionKey, port: SourcePort) -> Result<Self, EngineError> {
        check_addresses(key)?;
        let interface_index = key.interface.as_deref().map(interface_index).transpose()?;
        let is_point_to_point = key.interface.as_deref().is_some_and(is_point_to_point);
        let local = local_address(key, interface_index);
        let socket = configured(key, local).map_err(|source| match &key.interface {
            Some(name) => EngineError::Interface {
                name: name.clone(),
                source,
            },
            None => EngineError::Socket(source),
        })?;
        let port = bind_to_source_port(&socket, local, port)?;
        Ok(Self {
            socket,
            port,
            interface_index,
            is_point_to_point,
            connected_until: None,
        })
    }

    /// Sends a packet; a second time if the first failed for a reason that may have passed.
    pub(super) fn send(
        &mut self,
        now: Instant,
        payload: &[u8],
        destination: SocketAddr,
    ) -> io::Result<()> {
        if self.connected_until.is_none_or(|until| until <= now) {
            self.connect(now, destination)?;
        }
        match self.socket.send(payload) {
            Err(error) if !is_congestion(&error) => {
                // Either ICMP's word about an earlier packet, or the address or the route has gone that it was connected by.
                self.connect(now, destination)?;
                self.socket.send(payload)
            }
            sent => sent,
        }
        .map(|_| ())
    }

    /// The index of the interface with this name.
    pub(super) fn index_of(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    /// Lets the system choose route and source address anew. They are kept for a while: to choose them for each packet takes a
    /// tenth of the time that sending takes.
    fn connect(&mut self, now: Instant, destination: SocketAddr) -> io::Result<()> {
        if self.connected_until.take().is_some() {
            rustix::net::connect_unspec(&self.socket)?;
        }
        self.socket.connect(&destination.into())?;
        self.connected_until = Some(now + CONNECTION);
        Ok(())
    }
}

/// Whether the system had no room for a packet, which the next one may find.
pub(super) fn is_congestion(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    [Some(Errno::AGAIN), Some(Errno::NOBUFS)].contains(&error)
}

fn check_addresses(key: &SessionKey) -> Result<(), EngineError> {
    let remote = key.remote.ip();
    if let Some(local) = key.local
        && local.is_ipv4() != remote.is_ipv4()
    {
        return Err(EngineError::AddressFamilies { local, remote });
    }
    if remote.is_unspecified() || remote.is_multicast() || key.remote.port() == 0 {
        return Err(EngineError::Remote(key.remote));
    }
    if let SocketAddr::V6(remote) = key.remote
        && remote.ip().is_unicast_link_local()
        && remote.scope_id() == 0
        && key.interface.is_none()
    {
        return Err(EngineError::LinkLocalWithoutInterface(*remote.ip()));
    }
    Ok(())
}

/// The index of the interface with this name.
pub(super) fn interface_index(name: &str) -> Result<u32, EngineError> {
    let lookup = || -> io::Result<u32> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
    };
    lookup().map_err(|source| EngineError::Interface {
        name: name.to_owned(),
        source,
    })
}

/// What cannot be found out is taken for a link with more than two systems.
fn is_point_to_point(name: &str) -> bool {
    Socket::new(Domain::UNIX, Type::DGRAM, None)
        .and_then(|socket| sys::is_point_to_point(socket.as_fd(), name))
        .unwrap_or(false)
}

fn local_address(key: &SessionKey, interface_index: Option<u32>) -> IpAddrWithScope {
    let scope_id = match key.remote {
        SocketAddr::V6(remote) => interface_index.unwrap_or(remote.scope_id()),
        SocketAddr::V4(_) => 0,
    };
    let any: IpAddr = if key.remote.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    IpAddrWithScope {
        address: key.local.unwrap_or(any),
        scope_id,
    }
}

#[derive(Clone, Copy)]
struct IpAddrWithScope {
    address: IpAddr,
    scope_id: u32,
}

impl IpAddrWithScope {
    fn with_port(self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                SocketAddrV6::new(address, port, 0, self.scope_id).into()
            }
            address => SocketAddr::new(address, port),
        }
    }
}

fn configured(key: &SessionKey, local: IpAddrWithScope) -> io::Result<Socket> {
    let domain = Domain::for_address(local.with_port(0));
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_priority(PRIORITY)?;
    if domain == Domain::IPV4 {
        socket.set_ttl_v4(u32::from(TRANSMIT_TTL))?;
        socket.set_tos_v4(CLASS_SELECTOR_6)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(u32::from(TRANSMIT_TTL))?;
        socket.set_tclass_v6(CLASS_SELECTOR_6)?;
    }
    // Nobody sends to it and nobody reads it.
    let _ = socket.set_recv_buffer_size(0);
    if let Some(name) = &key.interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    Ok(socket)
}

/// RFC 5881 §4: one port for the whole life of the session, and another for every session.
fn bind_to_source_port(
    socket: &Socket,
    local: IpAddrWithScope,
    first: SourcePort,
) -> Result<SourcePort, EngineError> {
    for port in first.and_following() {
        match socket.bind(&local.with_port(port.0).into()) {
            Ok(()) => return Ok(port),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ADDRINUSE) => {}
            Err(source) => {
                return Err(EngineError::LocalAddress {
                    address: local.address,
                    source,
                });
            }
        }
    }
    Err(EngineError::NoSourcePort(local.address))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn transmitter(remote: SocketAddr) -> Transmitter {
        let key = SessionKey {
            remote,
            ..SessionKey::single_hop(remote.ip())
        };
        Transmitter::open(&key, SourcePort::random(remote.port().into())).unwrap()
    }

    #[test]
    fn a_port_that_nobody_listens_at_is_no_reason_not_to_send() {
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let listener = UdpSocket::bind((ip, 0)).unwrap();
            let remote = listener.local_addr().unwrap();
            drop(listener);
            let mut transmitter = transmitter(remote);
            for _ in 0..5 {
                // The system tells of each packet when the next one is sent.
                transmitter.send(Instant::now(), &[0; 24], remote).unwrap();
            }
        }
    }

    #[test]
    fn c_153_the_source_port_stays_when_the_route_is_chosen_anew() {
        let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let remote = listener.local_addr().unwrap();
        let mut transmitter = transmitter(remote);
        let start = Instant::now();
        for turn in 0..3 {
            let now = start + turn * CONNECTION;
            transmitter.send(now, &[0; 24], remote).unwrap();
            let (_, source) = listener.recv_from(&mut [0; 24]).unwrap();
            assert_eq!(source.port(), transmitter.port.0);
        }
    }
}
