//! Sockets: those that receive with the kernel's time stamps, and for each session of the responder a connected one to send from, which
//! is the cheapest way to send from many addresses.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::session::{LENGTH, Nanoseconds};
use crate::network::{self, PORT};

const BATCH: usize = 256;
/// What a namespace full of 10 ms sessions sends in seconds: a responder that was kept from running loses nothing.
const RECEIVE_BUFFER: usize = 64 << 20;
/// Longer packets are cut: what matters is at their beginning.
const SLOT: usize = 128;

/// A packet as the kernel hands it over.
pub struct Received<'a> {
    /// Where a datagram was sent to.
    pub destination: Option<Ipv4Addr>,
    /// When it came.
    pub at: Nanoseconds,
    pub payload: &'a [u8],
}

/// A socket that tells when packets came.
pub struct Receiver {
    socket: OwnedFd,
    headers: MultiHeaders<()>,
    buffer: Vec<u8>,
}

impl Receiver {
    /// One for the datagrams of every session.
    pub fn of_sessions() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        setsockopt(&socket, Ipv4PacketInfo, &true).unwrap();
        Self::of(socket.into())
    }

    /// One for a copy of each IPv4 packet that comes into this namespace.
    pub fn of_everything() -> Self {
        const ETH_P_IP: u16 = 0x0800;
        let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).unwrap();
        Self::of(socket.into())
    }

    fn of(socket: OwnedFd) -> Self {
        setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).unwrap();
        setsockopt(&socket, ReceiveTimestampns, &true).unwrap();
        // Room for all there is; `cmsg_space!` wants types of libc.
        let control = Vec::with_capacity(128);
        Self {
            socket,
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
            buffer: vec![0; BATCH * SLOT],
        }
    }

    /// Hands over what is there, a batch at most; whether there may be more.
    pub fn receive(&mut self, mut take: impl FnMut(Received<'_>)) -> bool {
        let mut slots: Vec<[IoSliceMut<'_>; 1]> = self
            .buffer
            .chunks_exact_mut(SLOT)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            slots.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            Err(error) => panic!("cannot receive: {error}"),
        };
        let mut count = 0;
        for message in received {
            count += 1;
            let (mut destination, mut at) = (None, None);
            for control in message.cmsgs().unwrap() {
                match control {
                    ControlMessageOwned::Ipv4PacketInfo(information) => {
                        let octets = information.ipi_addr.s_addr.to_ne_bytes();
                        destination = Some(Ipv4Addr::from(octets));
                    }
                    ControlMessageOwned::ScmTimestampns(stamp) => at = Some(nanoseconds(stamp)),
                    _ => {}
                }
            }
            take(Received {
                destination,
                at: at.expect("the kernel says when"),
                payload: message.iovs().next().unwrap_or_default(),
            });
        }
        count == BATCH
    }
}

/// Datagrams of sessions that found the buffer full.
pub fn dropped() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    let port = format!(":{PORT:04X}");
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|words| words.get(1).is_some_and(|local| local.ends_with(&port)));
    line.and_then(|words| words.last()?.parse().ok()).unwrap()
}

/// What one session sends from.
pub struct Sender(UdpSocket);

impl Sender {
    pub fn open(session: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let local = SocketAddrV4::new(network::peer(session), 49152 + session);
        socket.bind(&local.into()).unwrap();
        let speaker = SocketAddrV4::new(network::SPEAKER, PORT);
        socket.connect(&speaker.into()).unwrap();
        // RFC 5881 §5.
        socket.set_ttl_v4(255).unwrap();
        socket.set_recv_buffer_size(0).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket.into())
    }

    pub fn send(&self, packet: &[u8; LENGTH]) {
        // While the speaker does not listen yet, or does not any more, the kernel says so here: it is one packet lost.
        let _ = self.0.send(packet);
    }
}

/// By the clock that stamps packets.
pub fn now() -> Nanoseconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_nanos() as Nanoseconds
}

fn nanoseconds(stamp: TimeSpec) -> Nanoseconds {
    Duration::from(stamp).as_nanos() as Nanoseconds
}
