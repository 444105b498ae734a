//! An ICMPv6 socket on one interface.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::message::Message;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// RFC 4861 §6.1: anything less has crossed a router, and is discarded.
const HOP_LIMIT: u32 = 255;
/// Longer advertisements than a link carries there are none.
const BUFFER: usize = 1500;

#[derive(Debug)]
pub(super) struct LinkSocket {
    /// By another name, for tokio has none for sockets of this kind.
    socket: UdpSocket,
    index: u32,
    link_layer: Option<[u8; 6]>,
}

impl LinkSocket {
    /// # Errors
    /// In words; without CAP_NET_RAW with advice.
    pub(super) fn open(interface: &str, index: u32) -> Result<Self, String> {
        Self::try_open(interface, index).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "; it takes CAP_NET_RAW, for router advertisements are ICMPv6"
                }
                _ => "",
            };
            format!("cannot look for a neighbor on {interface}: {error}{advice}")
        })
    }

    fn try_open(interface: &str, index: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_if_v6(index)?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_recv_hoplimit_v6(true)?;
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            index,
            link_layer: link_layer_address(interface),
        })
    }

    /// Sends to everybody whom the message concerns.
    pub(super) fn send(&self, message: Message) -> io::Result<()> {
        let to = match message {
            Message::Solicitation => ALL_ROUTERS,
            Message::Advertisement => ALL_NODES,
        };
        let to = SocketAddrV6::new(to, 0, 0, self.index);
        let octets = message.octets(self.link_layer);
        SockRef::from(&self.socket)
            .send_to(&octets, &to.into())
            .map(drop)
    }

    /// The next message of a neighbor, and who that is.
    pub(super) async fn receive(&self) -> io::Result<(Message, Ipv6Addr)> {
        loop {
            let receive = || receive(&self.socket);
            if let Some(received) = self.socket.async_io(Interest::READABLE, receive).await? {
                return Ok(received);
            }
        }
    }
}

/// `None`: a message of no interest.
fn receive(socket: &UdpSocket) -> io::Result<Option<(Message, Ipv6Addr)>> {
    let mut buffer = [0; BUFFER];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut control = cmsg_space!(i32);
    let received = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let source = received.address.map(|source| source.ip());
    let hop_limit = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6HopLimit(hops) => u8::try_from(hops).ok(),
        _ => None,
    });
    let length = received.bytes;
    let octets = buffer.get(..length).unwrap_or_default();
    Ok((|| {
        // RFC 4861 §6.1.2: a router speaks from its link-local address.
        let source = source.filter(Ipv6Addr::is_unicast_link_local)?;
        Some((Message::read(octets, hop_limit?)?, source))
    })())
}

/// The interface's Ethernet address, if it has one.
fn link_layer_address(interface: &str) -> Option<[u8; 6]> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?;
    let octets = text.trim().split(':');
    let octets: Option<Vec<u8>> = octets
        .map(|octet| u8::from_str_radix(octet, 16).ok())
        .collect();
    let address: [u8; 6] = octets?.try_into().ok()?;
    (address != [0; 6]).then_some(address)
}
