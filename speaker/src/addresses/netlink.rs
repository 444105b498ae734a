//! The kernel's addresses over rtnetlink(7): which there are, adding one, removing one, and that
//! something has changed.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{DecodeError, Emitable};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Parseable,
};
use netlink_packet_route::AddressFamily as Family;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressHeaderFlags, AddressMessage,
    AddressProtocol, AddressScope, CacheInfo,
};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::net::UnixDatagram;

use super::difference::Found;

/// What our addresses are marked with (IFA_PROTO, Linux 5.18); `ip address` shows it as `proto`. Numbers
/// below 4 are the kernel's, and nobody else's is this one.
pub(super) const MARK: u8 = 179;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR.
const CHANGES: u32 = 0x001 | 0x010 | 0x100;
const FOREVER: u32 = u32::MAX;
/// The kernel answers at once; whoever waits longer has lost something.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the kernel fills at most in one go (NLMSG_GOODSIZE and more).
const BUFFER: usize = 32 << 10;

/// A socket for requests.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: OwnedFd,
}

impl Kernel {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(SocketFlags::CLOEXEC)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// Every address of the host.
    pub(super) fn addresses(&self) -> io::Result<Vec<Found>> {
        self.ask(Request(RTM_GETADDR, AddressMessage::default()), NLM_F_DUMP)
    }

    /// Adds an address as the only one of its prefix, in a way that the host does not choose it as the
    /// source of what it sends.
    pub(super) fn add(&self, address: IpAddr, interface_index: u32) -> io::Result<()> {
        let mut message = message(address, interface_index);
        message
            .attributes
            .push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
        match address {
            // Only addresses of a wider scope are chosen for what leaves the host.
            IpAddr::V4(_) => message.header.scope = AddressScope::Host,
            // One whose preferred lifetime is over is chosen last (RFC 6724 §5, rule 3). Nobody else on
            // the link is asked about it: an anycast address is on many hosts.
            IpAddr::V6(_) => {
                message.header.flags = AddressHeaderFlags::Nodad;
                let flags = AddressAttribute::Flags(AddressFlags::Nodad);
                let mut lifetimes = CacheInfo::default();
                lifetimes.ifa_preferred = 0;
                lifetimes.ifa_valid = FOREVER;
                let lifetimes = AddressAttribute::CacheInfo(lifetimes);
                message.attributes.extend([flags, lifetimes]);
            }
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(Request(RTM_NEWADDR, message), flags).map(drop)
    }

    pub(super) fn remove(&self, address: IpAddr, interface_index: u32) -> io::Result<()> {
        let message = message(address, interface_index);
        self.ask(Request(RTM_DELADDR, message), NLM_F_ACK).map(drop)
    }

    fn ask(&self, request: Request, flags: u16) -> io::Result<Vec<Found>> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags;
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.socket, &octets, SendFlags::empty(), &kernel)?;
        let mut found = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, _) =
                rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                let answer = NetlinkMessage::<Answer>::deserialize(rest).map_err(unreadable)?;
                match answer.payload {
                    NetlinkPayload::InnerMessage(Answer(Some(address))) => found.push(address),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(found),
                    _ => {}
                }
                let length = answer.header.length.next_multiple_of(4) as usize;
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

fn unreadable(error: DecodeError) -> io::Error {
    io::Error::other(format!("the kernel's answer is not understood: {error}"))
}

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    // No protocol means NETLINK_ROUTE, which is 0.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    Ok(socket)
}

fn message(address: IpAddr, interface_index: u32) -> AddressMessage {
    let (family, prefix_len) = match address {
        IpAddr::V4(_) => (Family::Inet, 32),
        IpAddr::V6(_) => (Family::Inet6, 128),
    };
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family,
        prefix_len,
        index: interface_index,
        ..AddressHeader::default()
    };
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

/// A message about an address, and what is to be done with it.
struct Request(u16, AddressMessage);

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        self.0
    }

    fn buffer_len(&self) -> usize {
        self.1.buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        self.1.emit(buffer);
    }
}

impl From<Request> for NetlinkPayload<Request> {
    fn from(request: Request) -> Self {
        Self::InnerMessage(request)
    }
}

/// An address, if that is what the kernel speaks of.
struct Answer(Option<Found>);

impl NetlinkDeserializable for Answer {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        if header.message_type != RTM_NEWADDR {
            return Ok(Self(None));
        }
        Ok(Self(found(AddressMessage::parse(payload)?)))
    }
}

fn found(message: AddressMessage) -> Option<Found> {
    let (mut local, mut other_end, mut mark) = (None, None, None);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(address),
            AddressAttribute::Address(address) => other_end = Some(address),
            AddressAttribute::Protocol(protocol) => mark = Some(protocol.into()),
            _ => {}
        }
    }
    Some(Found {
        interface_index: message.header.index,
        address: local.or(other_end)?,
        prefix_len: message.header.prefix_len,
        mark,
    })
}

/// A socket that hears of changes of addresses and interfaces.
#[derive(Debug)]
pub(super) struct Changes {
    /// Of netlink. What is asked of it is the same for every socket of datagrams, and to be woken up
    /// takes one that the runtime knows.
    socket: UnixDatagram,
}

impl Changes {
    /// Everything from here on is heard.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, CHANGES))?;
        let socket = UnixDatagram::from_std(socket.into())?;
        Ok(Self { socket })
    }

    /// Returns when something has changed. What it was is asked for: so nothing that was missed is
    /// missing.
    pub(super) async fn next(&self) {
        let mut buffer = vec![0; BUFFER];
        // ENOBUFS says that there was more than could be told.
        let _ = self.socket.recv(&mut buffer).await;
        while self.socket.try_recv(&mut buffer).is_ok() {}
    }
}
