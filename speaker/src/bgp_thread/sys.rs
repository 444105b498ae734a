//! Socket options of TCP that rustix, nix and socket2 lack.
//!
//! `unsafe` because `setsockopt` and `getsockopt` take a pointer and a length. Nothing else is done
//! here.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of_val, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use ipnet::IpNet;

/// From `linux/tcp.h`; the libc crate does not have them.
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface_index: libc::c_int,
    key: [u8; libc::TCP_MD5SIG_MAXKEYLEN],
}

/// Has the kernel drop what arrives with a lower TTL or hop limit; 0 lets everything in.
pub(super) fn set_minimum_ttl(socket: BorrowedFd<'_>, is_ipv6: bool, ttl: u8) -> io::Result<()> {
    let (level, name) = match is_ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_MINTTL),
        true => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set_option(socket, level, name, &libc::c_int::from(ttl))
}

/// Has a listening socket keep the SYN of each connection, for [`ttl_of_syn`].
pub(super) fn save_syn(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, &on)
}

/// The TTL or hop limit with which the SYN of an accepted connection came; `None` when the kernel
/// has not kept it, which is so under a flood of SYNs (with SYN cookies). It can be asked once.
pub(super) fn ttl_of_syn(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<Option<u8>> {
    /// Octets of an IPv6 header and as many as options of IPv4 and TCP may take.
    const HEADERS: usize = 120;
    let mut headers = [0_u8; HEADERS];
    let mut length = libc::socklen_t::try_from(HEADERS).map_err(io::Error::other)?;
    // SAFETY: both pointers are to values that outlive the call; the kernel writes no more than
    // `length` octets of the one and then how many these are to the other.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            headers.as_mut_ptr().cast(),
            ptr::from_mut(&mut length),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let place = if is_ipv6 { 7 } else { 8 };
    let headers = headers.get(..length as usize).unwrap_or_default();
    Ok(headers.get(place).copied())
}

/// Has the kernel connect from an address that stays, rather than from a temporary one (RFC 5014
/// §5, RFC 8981): what we announce has it as next hop.
pub(super) fn prefer_stable_source(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(
        socket,
        libc::IPPROTO_IPV6,
        libc::IPV6_ADDR_PREFERENCES,
        &libc::IPV6_PREFER_SRC_PUBLIC,
    )
}

/// Has the kernel sign what goes to these addresses, and drop what comes from them without that
/// signature (RFC 2385). Replaces the key that it had for exactly these; of several prefixes, the
/// longest counts.
///
/// # Errors
/// With advice, where there is some.
pub(super) fn set_md5_key(socket: BorrowedFd<'_>, whom: IpNet, key: &[u8]) -> io::Result<()> {
    md5_key(socket, whom, key).map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::ENOMEM) => {
                "; the kernel's memory for the options of a socket is used up: raise net.core.optmem_max"
            }
            Some(libc::ENOPROTOOPT) => "; the kernel was built without CONFIG_TCP_MD5SIG",
            _ => "",
        };
        let text = format!("the kernel does not take the TCP MD5 key for {whom}: {error}{advice}");
        io::Error::new(error.kind(), text)
    })
}

/// Removes the key for exactly these addresses. That there is none is no error.
pub(super) fn remove_md5_key(socket: BorrowedFd<'_>, whom: IpNet) -> io::Result<()> {
    match md5_key(socket, whom, &[]) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        outcome => outcome,
    }
}

fn md5_key(socket: BorrowedFd<'_>, whom: IpNet, key: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut octets = [0; libc::TCP_MD5SIG_MAXKEYLEN];
    let place = octets.get_mut(..key.len()).ok_or_else(too_long)?;
    place.copy_from_slice(key);
    let signature = TcpMd5Sig {
        address: socket_address(whom.network()),
        flags: TCP_MD5SIG_FLAG_PREFIX,
        prefix_length: whom.prefix_len(),
        key_length: u16::try_from(key.len()).map_err(|_| too_long())?,
        interface_index: 0,
        key: octets,
    };
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG_EXT, &signature)
}

fn socket_address(ip: IpAddr) -> libc::sockaddr_storage {
    let address = socket2::SockAddr::from(std::net::SocketAddr::new(ip, 0));
    // SAFETY: it is a plain C struct, for which zeroes are valid.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    // SAFETY: both are valid for `address.len()` octets, which is at most the size of a
    // `sockaddr_storage`, and they do not overlap.
    unsafe {
        ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            ptr::from_mut(&mut storage).cast::<u8>(),
            address.len() as usize,
        );
    }
    storage
}

fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).map_err(io::Error::other)?;
    // SAFETY: the pointer is to a `T` of that length, which outlives the call and is only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
