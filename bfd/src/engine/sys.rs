//! Receiving datagrams in batches with their control messages, the socket options that this needs, a filter
//! program, and the thread's priority.
//!
//! `unsafe` because neither rustix nor socket2 has `recvmmsg`, the control messages `IP_TTL`, `IP_PKTINFO`, `IPV6_HOPLIMIT` and
//! `IPV6_PKTINFO`, the options that ask for them, `SO_ATTACH_REUSEPORT_CBPF` or `SO_MEMINFO`, nor `SIOCGIFFLAGS` or
//! `sched_setscheduler`. Nothing else is done here.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// A control packet has at most 255 octets; what is behind them is padding and may be cut off.
const PAYLOAD_SIZE: usize = 512;
/// Room for a TTL and for packet information of either family, in units of the alignment of a control message.
const CONTROL_SIZE: usize = 128 / size_of::<u64>();
/// Datagrams taken with one system call.
pub(super) const BATCH_SIZE: usize = 64;

/// Socket options, each a switch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Switch {
    /// Tell the TTL of each datagram.
    Ipv4ReceiveTtl,
    /// Tell destination and interface of each datagram.
    Ipv4PacketInformation,
    /// Tell the hop limit of each datagram.
    Ipv6ReceiveHopLimit,
    /// Tell destination and interface of each datagram.
    Ipv6PacketInformation,
    /// Accept a UDP checksum of zero over IPv6, which some routers send.
    Ipv6ZeroChecksum,
}

impl Switch {
    fn level_and_name(self) -> (libc::c_int, libc::c_int) {
        match self {
            Self::Ipv4ReceiveTtl => (libc::IPPROTO_IP, libc::IP_RECVTTL),
            Self::Ipv4PacketInformation => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            Self::Ipv6ReceiveHopLimit => (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
            Self::Ipv6PacketInformation => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            Self::Ipv6ZeroChecksum => (libc::IPPROTO_UDP, UDP_NO_CHECK6_RX),
        }
    }
}

/// From `linux/udp.h`; the libc crate does not have it.
const UDP_NO_CHECK6_RX: libc::c_int = 102;

/// Whether an interface has one system on its other end, as a tunnel has.
pub(super) fn is_point_to_point(socket: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    // SAFETY: a struct of numbers and characters, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last octet stays zero.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([octet]);
    }
    // SAFETY: `request` is the struct that this call reads and writes, and outlives it.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            ptr::from_mut(&mut request),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so has written this field of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_POINTOPOINT != 0)
}

/// Turns an option on.
pub(super) fn switch_on(socket: BorrowedFd<'_>, switch: Switch) -> io::Result<()> {
    let (level, name) = switch.level_and_name();
    let on: libc::c_int = 1;
    // SAFETY: `on` is a valid int for the length given, and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&on).cast(),
            length(size_of::<libc::c_int>()),
        )
    };
    done(result)
}

/// From `asm-generic/socket.h`; the libc crate does not have them.
const SO_ATTACH_REUSEPORT_CBPF: libc::c_int = 51;
const SO_MEMINFO: libc::c_int = 55;
/// From `linux/sock_diag.h`: how many numbers `SO_MEMINFO` tells, and which of them is the drops.
const MEMINFO_LEN: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// A step of a filter program: it works on one number, and ends the program with a result where that is not as it must be. A
/// load from beyond the end ends it with 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum FilterStep {
    /// Loads the octet at this offset of the UDP payload.
    Load(u32),
    /// Loads the length of the UDP payload.
    LoadPayloadLength,
    /// Loads the octet at this offset of the IP header.
    LoadFromIpHeader(u32),
    ShiftRight(u32),
    /// Keeps the number for a later comparison.
    Keep,
    /// The result is the second value, unless the number is at least the first.
    UnlessAtLeast(u32, u32),
    /// The result is the value, unless the number is at least what was kept.
    UnlessAtLeastKept(u32),
    /// The result is the second value, unless the number equals the first.
    UnlessEqual(u32, u32),
    Return(u32),
}

impl FilterStep {
    fn instructions(self) -> Vec<libc::sock_filter> {
        let one = |code: u32, k: u32| instruction(code, 0, k);
        // Passes over the instruction that follows it, which ends the program.
        let test = |code: u32, k: u32, result: u32| {
            let test = instruction(libc::BPF_JMP | code, 1, k);
            vec![test, one(libc::BPF_RET | libc::BPF_K, result)]
        };
        match self {
            Self::Load(offset) => vec![one(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, offset)],
            Self::LoadPayloadLength => vec![one(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0)],
            Self::LoadFromIpHeader(offset) => {
                let offset = libc::SKF_NET_OFF.cast_unsigned().wrapping_add(offset);
                vec![one(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, offset)]
            }
            Self::ShiftRight(bits) => {
                vec![one(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, bits)]
            }
            Self::Keep => vec![one(libc::BPF_MISC | libc::BPF_TAX, 0)],
            Self::UnlessAtLeast(least, result) => test(libc::BPF_JGE | libc::BPF_K, least, result),
            Self::UnlessAtLeastKept(result) => test(libc::BPF_JGE | libc::BPF_X, 0, result),
            Self::UnlessEqual(value, result) => test(libc::BPF_JEQ | libc::BPF_K, value, result),
            Self::Return(result) => vec![one(libc::BPF_RET | libc::BPF_K, result)],
        }
    }
}

fn instruction(code: u32, jt: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    }
}

/// Has the kernel choose with this program among the sockets that share an address: its result is the number of the socket, in
/// the order in which they were bound. Before `bind`, it also makes the socket the first of its address.
pub(super) fn choose_by(socket: BorrowedFd<'_>, steps: &[FilterStep]) -> io::Result<()> {
    let mut instructions: Vec<_> = steps.iter().flat_map(|step| step.instructions()).collect();
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(io::Error::other)?,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: the option takes a `sock_fprog`; it points to as many instructions as it says, and all outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            ptr::from_ref(&program).cast(),
            length(size_of::<libc::sock_fprog>()),
        )
    };
    done(result)
}

/// How many datagrams the kernel has dropped at this socket since it was opened, modulo 2^32.
pub(super) fn drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut numbers = [0_u32; MEMINFO_LEN];
    let mut size = length(size_of_val(&numbers));
    // SAFETY: the kernel writes at most `size` octets, which is what the array has, and any bit pattern is a number.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    done(result)?;
    Ok(numbers.get(MEMINFO_DROPS).copied().unwrap_or_default())
}

/// Gives the calling thread this real-time priority (`SCHED_FIFO`), or with `None` an ordinary one. What it starts has an
/// ordinary one in any case.
pub(super) fn set_realtime_priority(priority: Option<libc::c_int>) -> io::Result<()> {
    let policy = match priority {
        Some(_) => libc::SCHED_FIFO,
        None => libc::SCHED_OTHER,
    };
    // To take the flag off again would need a privilege.
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: a plain C struct, for which zeroes are valid.
    let mut parameters: libc::sched_param = unsafe { zeroed() };
    parameters.sched_priority = priority.unwrap_or(0);
    // SAFETY: the system call reads `parameters`, which outlives it. musl's wrapper for it does nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy,
            ptr::from_ref(&parameters),
        )
    };
    done(result as libc::c_int)
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A datagram, and what the system says about it.
#[derive(Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: Option<IpAddr>,
    pub(super) interface_index: Option<u32>,
    pub(super) ttl: Option<u8>,
    pub(super) payload: &'a [u8],
}

/// Buffers for a batch of datagrams.
pub(super) struct Batch {
    slots: Box<[Slot]>,
    received: usize,
}

struct Slot {
    name: MaybeUninit<libc::sockaddr_storage>,
    name_len: usize,
    payload: [u8; PAYLOAD_SIZE],
    payload_len: usize,
    control: [u64; CONTROL_SIZE],
    control_len: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        let slot = || Slot {
            name: MaybeUninit::zeroed(),
            name_len: 0,
            payload: [0; PAYLOAD_SIZE],
            payload_len: 0,
            control: [0; CONTROL_SIZE],
            control_len: 0,
        };
        Self {
            slots: (0..BATCH_SIZE).map(|_| slot()).collect(),
            received: 0,
        }
    }

    /// Takes what is there, up to [`BATCH_SIZE`] datagrams, without waiting, and says how many.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received = 0;
        // SAFETY: both are plain C structs, for which zeroes are valid.
        let mut vectors: [libc::iovec; BATCH_SIZE] = unsafe { zeroed() };
        let mut messages: [libc::mmsghdr; BATCH_SIZE] = unsafe { zeroed() };
        for ((message, vector), slot) in messages.iter_mut().zip(&mut vectors).zip(&mut self.slots)
        {
            vector.iov_base = slot.payload.as_mut_ptr().cast();
            vector.iov_len = PAYLOAD_SIZE;
            let header = &mut message.msg_hdr;
            header.msg_name = slot.name.as_mut_ptr().cast();
            header.msg_namelen = length(size_of::<libc::sockaddr_storage>());
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.as_mut_ptr().cast();
            header.msg_controllen = (CONTROL_SIZE * size_of::<u64>()) as _;
        }
        // SAFETY: each header points to buffers of the sizes it states; buffers and headers outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH_SIZE as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (message, slot) in messages.iter().zip(&mut self.slots).take(received) {
            slot.payload_len = message.msg_len as usize;
            slot.name_len = message.msg_hdr.msg_namelen as usize;
            slot.control_len = message.msg_hdr.msg_controllen as _;
        }
        self.received = received;
        Ok(received)
    }

    /// The datagrams that the latest call of [`receive`](Self::receive) has taken.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots
            .iter()
            .take(self.received)
            .filter_map(Slot::datagram)
    }
}

impl Slot {
    fn datagram(&self) -> Option<Datagram<'_>> {
        let mut datagram = Datagram {
            source: self.source()?,
            destination: None,
            interface_index: None,
            ttl: None,
            payload: self.payload.get(..self.payload_len.min(PAYLOAD_SIZE))?,
        };
        self.read_control_messages(&mut datagram);
        Some(datagram)
    }

    fn source(&self) -> Option<SocketAddr> {
        // SAFETY: zeroed at first and since written by the kernel only; every bit pattern is valid.
        let name = unsafe { self.name.assume_init_ref() };
        let pointer = ptr::from_ref(name);
        match libc::c_int::from(name.ss_family) {
            libc::AF_INET if self.name_len >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: the storage is large enough and aligned for every address type, and the kernel wrote this one.
                let name = unsafe { &*pointer.cast::<libc::sockaddr_in>() };
                let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
                Some(SocketAddrV4::new(address, u16::from_be(name.sin_port)).into())
            }
            libc::AF_INET6 if self.name_len >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above.
                let name = unsafe { &*pointer.cast::<libc::sockaddr_in6>() };
                let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                let scope_id = name.sin6_scope_id;
                Some(SocketAddrV6::new(address, port, name.sin6_flowinfo, scope_id).into())
            }
            _ => None,
        }
    }

    fn read_control_messages(&self, datagram: &mut Datagram<'_>) {
        // SAFETY: a plain C struct, for which zeroes are valid.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_control = self.control.as_ptr().cast_mut().cast();
        header.msg_controllen = self.control_len.min(CONTROL_SIZE * size_of::<u64>()) as _;
        // SAFETY: `header` describes the control buffer, aligned as control messages must be, as the kernel has filled it;
        // the macros stay within its length. The data are read only where their length has been checked, and nothing is written.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(&header);
            while !message.is_null() {
                let (level, kind) = ((*message).cmsg_level, (*message).cmsg_type);
                let data = libc::CMSG_DATA(message);
                let data_len =
                    ((*message).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                match (level, kind) {
                    (libc::IPPROTO_IP, libc::IP_TTL)
                    | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                        if data_len >= size_of::<libc::c_int>() =>
                    {
                        let ttl = ptr::read_unaligned(data.cast::<libc::c_int>());
                        datagram.ttl = u8::try_from(ttl).ok();
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO)
                        if data_len >= size_of::<libc::in_pktinfo>() =>
                    {
                        let info = ptr::read_unaligned(data.cast::<libc::in_pktinfo>());
                        let address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                        datagram.destination = Some(address.into());
                        datagram.interface_index = u32::try_from(info.ipi_ifindex).ok();
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                        if data_len >= size_of::<libc::in6_pktinfo>() =>
                    {
                        let info = ptr::read_unaligned(data.cast::<libc::in6_pktinfo>());
                        let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                        datagram.destination = Some(address.into());
                        datagram.interface_index = Some(info.ipi6_ifindex as u32);
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(&header, message);
            }
        }
    }
}

/// The size of a small struct, as the socket calls want it.
fn length(size: usize) -> libc::socklen_t {
    size as libc::socklen_t
}
