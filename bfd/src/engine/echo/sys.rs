//! What the echo function asks of the system.
//!
//! `unsafe` because neither rustix nor socket2 has the address of a packet socket, or sends control messages with the source
//! address and the hop limit of a datagram. Nothing else is done here.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

/// The longest link-layer address that a packet socket takes.
const MAX_LINK_ADDRESS: usize = 8;

/// The address of IPv4 packets at an interface: of those that come in, or of those that go to `link_address`, which is empty
/// where the link has none.
pub(super) fn packet_address(interface_index: u32, link_address: &[u8]) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a storage is large enough and aligned for every address type, and zeroes are valid for this one.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    address.sll_ifindex =
        i32::try_from(interface_index).map_err(|_| io::ErrorKind::InvalidInput)?;
    if link_address.len() > MAX_LINK_ADDRESS {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "link-layer addresses of more than 8 octets are not supported",
        ));
    }
    address.sll_halen = link_address.len() as u8;
    for (to, from) in address.sll_addr.iter_mut().zip(link_address) {
        *to = *from;
    }
    // SAFETY: the storage holds an address of this type, and no more than it.
    Ok(unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) })
}

/// Sends a datagram with this hop limit, from this address and interface of ours; an unspecified one, or 0, leaves it to the
/// system.
pub(super) fn send_ipv6(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    destination: SocketAddrV6,
    (local, interface_index): (Ipv6Addr, u32),
    hop_limit: u8,
) -> io::Result<()> {
    let destination = SockAddr::from(destination);
    let mut vector = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    let information = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr {
            s6_addr: local.octets(),
        },
        ipi6_ifindex: interface_index as _,
    };
    let hop_limit = libc::c_int::from(hop_limit);
    // Aligned as control messages must be, with room for both.
    let mut control = [0_u64; 16];
    // SAFETY: a plain C struct, for which zeroes are valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = destination.as_ptr().cast_mut().cast();
    header.msg_namelen = destination.len();
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control buffer has room for both messages, as `msg_controllen` says, and so the macros lead to places within
    // it; what is written there has the length that was asked for. Name, vector and payload outlive the call, which only reads
    // them.
    let sent = unsafe {
        let space = libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32)
            + libc::CMSG_SPACE(size_of::<libc::c_int>() as u32);
        header.msg_controllen = space as _;
        let message = libc::CMSG_FIRSTHDR(&header);
        (*message).cmsg_level = libc::IPPROTO_IPV6;
        (*message).cmsg_type = libc::IPV6_PKTINFO;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), information);
        let message = libc::CMSG_NXTHDR(&header, message);
        if message.is_null() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        (*message).cmsg_level = libc::IPPROTO_IPV6;
        (*message).cmsg_type = libc::IPV6_HOPLIMIT;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<libc::c_int>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), hop_limit);
        libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_DONTWAIT)
    };
    match sent {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
