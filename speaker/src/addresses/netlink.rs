//! The kernel's addresses over rtnetlink(7): which there are, adding one, removing one, and that
//! something has changed.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{DecodeError, Emitable};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    Parseable,
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
/// How often the addresses are asked for when they change while they are told.
const ATTEMPTS: usize = 5;

/// A socket for requests.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: OwnedFd,
    /// Of the last request.
    sequence: u32,
}

impl Kernel {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: request_socket()?,
            sequence: 0,
        })
    }

    /// Every address of the host, at one time.
    pub(super) fn addresses(&mut self) -> io::Result<Vec<Found>> {
        for _ in 0..ATTEMPTS {
            let request = Request(RTM_GETADDR, AddressMessage::default());
            let outcome = self.ask(request, NLM_F_DUMP)?;
            if !outcome.is_interrupted {
                return Ok(outcome.found);
            }
        }
        Err(io::Error::other(format!(
            "they have changed while they were told, {ATTEMPTS} times"
        )))
    }

    /// Adds an address as the only one of its prefix, in a way that the host does not choose it as the
    /// source of what it sends.
    pub(super) fn add(&mut self, address: IpAddr, interface_index: u32) -> io::Result<()> {
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

    pub(super) fn remove(&mut self, address: IpAddr, interface_index: u32) -> io::Result<()> {
        let message = message(address, interface_index);
        self.ask(Request(RTM_DELADDR, message), NLM_F_ACK).map(drop)
    }

    /// What the kernel answers to a request; its refusals are errors.
    fn ask(&mut self, request: Request, flags: u16) -> io::Result<Outcome> {
        match self.exchange(request, flags) {
            Ok(outcome) => outcome.refusal.map_or(Ok(outcome.answer), Err),
            Err(error) => {
                // Whatever is still on its way to the former socket cannot be read from this one.
                if let Ok(socket) = request_socket() {
                    self.socket = socket;
                }
                Err(error)
            }
        }
    }

    fn exchange(&mut self, request: Request, flags: u16) -> io::Result<Reply> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.socket, &octets, SendFlags::empty(), &kernel)?;
        let mut reply = Reply::to(self.sequence);
        let mut buffer = vec![0; BUFFER];
        while !reply.is_complete {
            let (length, _) =
                rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty())?;
            reply
                .read(buffer.get(..length).unwrap_or_default())
                .map_err(unreadable)?;
        }
        Ok(reply)
    }
}

/// What the kernel has answered.
#[derive(Debug, Default)]
struct Outcome {
    found: Vec<Found>,
    /// Something has changed meanwhile, so that something may be missing or there twice.
    is_interrupted: bool,
}

/// What has been read of an answer.
#[derive(Debug)]
struct Reply {
    /// Of the request; what answers another one is passed over.
    sequence: u32,
    answer: Outcome,
    refusal: Option<io::Error>,
    is_complete: bool,
}

impl Reply {
    fn to(sequence: u32) -> Self {
        Self {
            sequence,
            answer: Outcome::default(),
            refusal: None,
            is_complete: false,
        }
    }

    fn read(&mut self, mut octets: &[u8]) -> Result<(), DecodeError> {
        while !octets.is_empty() && !self.is_complete {
            let message = NetlinkMessage::<Answer>::deserialize(octets)?;
            let length = message.header.length.next_multiple_of(4) as usize;
            octets = octets.get(length..).unwrap_or_default();
            if message.header.sequence_number == self.sequence {
                self.take(message);
            }
        }
        Ok(())
    }

    fn take(&mut self, message: NetlinkMessage<Answer>) {
        self.answer.is_interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.payload {
            NetlinkPayload::InnerMessage(Answer(Some(address))) => self.answer.found.push(address),
            NetlinkPayload::Error(error) => {
                self.refusal = error.code.map(|_| error.to_io());
                self.is_complete = true;
            }
            NetlinkPayload::Done(done) => {
                // It is an errno, negated, where the rest cannot be told.
                let errno = Some(done.code).filter(|code| *code < 0);
                self.refusal = errno.map(|code| io::Error::from_raw_os_error(code.wrapping_neg()));
                self.is_complete = true;
            }
            _ => {}
        }
    }
}

fn request_socket() -> io::Result<OwnedFd> {
    let socket = socket(SocketFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the kernel: type, flags, sequence number, content.
    fn message(kind: u16, flags: u16, sequence: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + content.len()).unwrap();
        let mut octets = length.to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend(flags.to_ne_bytes());
        octets.extend(sequence.to_ne_bytes());
        octets.extend(0_u32.to_ne_bytes());
        octets.extend(content);
        octets
    }

    const ERROR: u16 = 2;
    const DONE: u16 = 3;

    /// NLMSG_ERROR; 0 is an acknowledgment.
    fn verdict(sequence: u32, errno: i32) -> Vec<u8> {
        let mut content = errno.wrapping_neg().to_ne_bytes().to_vec();
        content.extend(message(RTM_NEWADDR, 0, sequence, &[]));
        message(ERROR, 0, sequence, &content)
    }

    /// 127.0.0.1/8 on the interface of index 1.
    fn loopback(flags: u16, sequence: u32) -> Vec<u8> {
        let mut content = vec![2, 8, 0x80, 254, 1, 0, 0, 0];
        content.extend([8, 0, 2, 0, 127, 0, 0, 1]);
        message(RTM_NEWADDR, flags, sequence, &content)
    }

    #[test]
    fn a_late_answer_to_another_request_is_passed_over() {
        let mut reply = Reply::to(7);
        reply.read(&verdict(6, libc::EPERM)).unwrap();
        reply.read(&loopback(0, 6)).unwrap();
        reply.read(&message(DONE, 0, 6, &[0; 4])).unwrap();
        assert!(!reply.is_complete);
        reply.read(&verdict(7, 0)).unwrap();
        assert!(reply.is_complete && reply.refusal.is_none());
        assert!(reply.answer.found.is_empty());
    }

    #[test]
    fn a_refusal_is_that_of_its_request() {
        let mut reply = Reply::to(7);
        reply.read(&verdict(7, libc::EPERM)).unwrap();
        assert!(reply.is_complete);
        let refusal = reply.refusal.unwrap();
        assert_eq!(refusal.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_dump_is_told_to_its_end() {
        let mut reply = Reply::to(7);
        let mut octets = loopback(0, 7);
        octets.extend(loopback(0, 7));
        reply.read(&octets).unwrap();
        assert!(!reply.is_complete);
        reply.read(&message(DONE, 0, 7, &[0; 4])).unwrap();
        assert!(reply.is_complete && reply.refusal.is_none());
        assert_eq!(reply.answer.found.len(), 2);
        assert!(!reply.answer.is_interrupted);
    }

    #[test]
    fn a_dump_that_was_interrupted_says_so() {
        for flagged in [0, 1] {
            let mut reply = Reply::to(7);
            let flags = [NLM_F_DUMP_INTR, 0];
            let [first, last] = [flags[flagged], flags[1 - flagged]];
            reply.read(&loopback(first, 7)).unwrap();
            reply.read(&message(DONE, last, 7, &[0; 4])).unwrap();
            assert!(reply.is_complete && reply.answer.is_interrupted);
        }
    }

    #[test]
    fn a_dump_that_fails_is_no_short_one() {
        let mut reply = Reply::to(7);
        let code = libc::ENOMEM.wrapping_neg().to_ne_bytes();
        reply.read(&message(DONE, 0, 7, &code)).unwrap();
        let refusal = reply.refusal.unwrap();
        assert_eq!(refusal.raw_os_error(), Some(libc::ENOMEM));
    }

    /// The kernel itself: what is asked first and not listened to is not taken for the next answer.
    #[test]
    fn who_stops_listening_hears_the_next_answer_all_the_same() {
        let mut kernel = Kernel::open().unwrap();
        let mut message = NetlinkMessage::from(Request(RTM_GETADDR, AddressMessage::default()));
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        message.header.sequence_number = 4_000_000_000;
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        let to = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&kernel.socket, &octets, SendFlags::empty(), &to).unwrap();
        // The first dump has not been read to its end: another is refused until it has.
        let again = loop {
            match kernel.addresses() {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                outcome => break outcome.unwrap(),
            }
        };
        let localhost = IpAddr::from([127, 0, 0, 1]);
        assert!(again.iter().any(|found| found.address == localhost));
    }
}
