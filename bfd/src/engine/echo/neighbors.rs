//! The link-layer addresses of neighbors, from the kernel's own table (rtnetlink(7)).

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// struct nlmsghdr
const MESSAGE_HEADER: usize = 16;
/// struct ndmsg
const NEIGHBOR_HEADER: usize = 12;
/// struct nlattr
const ATTRIBUTE_HEADER: usize = 4;

/// Asks the kernel. It keeps what it tells up to date, because control packets go to the same neighbor all the time.
#[derive(Debug)]
pub(super) struct Neighbors {
    socket: OwnedFd,
    /// Of the latest question: its answer has the same.
    sequence: Cell<u32>,
}

impl Neighbors {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol means NETLINK_ROUTE, which is 0.
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
    }

    /// The link-layer address of a neighbor at an interface; empty where the link has none.
    pub(super) fn link_address(
        &self,
        interface_index: u32,
        neighbor: Ipv4Addr,
    ) -> io::Result<Vec<u8>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let request = request(sequence, interface_index, neighbor);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &kernel)?;
        // A request of this kind has been answered when it has been sent.
        let mut answer = [0; 1024];
        let received = loop {
            let flags = RecvFlags::DONTWAIT;
            let (received, _) = rustix::net::recv(&self.socket, &mut answer[..], flags)?;
            if answer.get(8..12) == Some(sequence.to_ne_bytes().as_slice()) {
                break received;
            }
        };
        let answer = answer.get(..received).unwrap_or_default();
        read_answer(answer).map_err(|error| {
            let neighbor = IpAddr::V4(neighbor);
            match error {
                Errno::NOENT => io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("the kernel knows no neighbor {neighbor} at the interface"),
                ),
                error => error.into(),
            }
        })
    }
}

fn request(sequence: u32, interface_index: u32, neighbor: Ipv4Addr) -> Vec<u8> {
    let length = MESSAGE_HEADER + NEIGHBOR_HEADER + ATTRIBUTE_HEADER + 4;
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(RTM_GETNEIGH.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    // The port, which the kernel fills in.
    message.extend([0; 4]);
    // Family and padding, interface, state, flags and type.
    message.extend([libc::AF_INET as u8, 0, 0, 0]);
    message.extend(interface_index.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(((ATTRIBUTE_HEADER + 4) as u16).to_ne_bytes());
    message.extend(NDA_DST.to_ne_bytes());
    message.extend(neighbor.octets());
    message
}

fn read_answer(answer: &[u8]) -> Result<Vec<u8>, Errno> {
    let malformed = Errno::BADMSG;
    let kind = answer.get(4..6).ok_or(malformed)?;
    let body = answer.get(MESSAGE_HEADER..).ok_or(malformed)?;
    match u16::from_ne_bytes(kind.try_into().map_err(|_| malformed)?) {
        RTM_NEWNEIGH => {
            let attributes = body.get(NEIGHBOR_HEADER..).ok_or(malformed)?;
            Ok(attribute(attributes, NDA_LLADDR)
                .unwrap_or_default()
                .to_vec())
        }
        NLMSG_ERROR => {
            let code = body.first_chunk().ok_or(malformed)?;
            Err(Errno::from_raw_os_error(-i32::from_ne_bytes(*code)))
        }
        _ => Err(malformed),
    }
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let header = attributes.first_chunk::<ATTRIBUTE_HEADER>()?;
        let [a, b, c, d] = *header;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        if u16::from_ne_bytes([c, d]) == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = ((MESSAGE_HEADER + body.len()) as u32)
            .to_ne_bytes()
            .to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    fn with_attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut attribute = ((ATTRIBUTE_HEADER + value.len()) as u16)
            .to_ne_bytes()
            .to_vec();
        attribute.extend(kind.to_ne_bytes());
        attribute.extend(value);
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        attribute
    }

    #[test]
    fn the_address_is_found_among_the_attributes() {
        let mut body = vec![0; NEIGHBOR_HEADER];
        body.extend(with_attribute(NDA_DST, &[192, 0, 2, 1]));
        body.extend(with_attribute(NDA_LLADDR, &[2, 0, 0, 0, 0, 1]));
        let whole = answer(RTM_NEWNEIGH, &body);
        assert_eq!(read_answer(&whole), Ok(vec![2, 0, 0, 0, 0, 1]));
        for length in 0..whole.len() {
            let _ = read_answer(&whole[..length]);
        }
        let without = answer(RTM_NEWNEIGH, &[0; NEIGHBOR_HEADER]);
        assert_eq!(read_answer(&without), Ok(Vec::new()));
        let unknown = answer(NLMSG_ERROR, &(-libc::ENOENT).to_ne_bytes());
        assert_eq!(read_answer(&unknown), Err(Errno::NOENT));
    }

    #[test]
    fn the_kernel_understands_the_question() {
        let neighbors = Neighbors::open().unwrap();
        let nobody = neighbors.link_address(1, Ipv4Addr::new(192, 0, 2, 77));
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
