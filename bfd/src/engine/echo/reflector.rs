//! UDP port 3785 over IPv6: where the neighbors' echo packets come in, and where ours come back.
//!
//! Its filter lets in what sessions may accept by hop limit and length, so that a flood from beyond the link wakes nobody and
//! takes the room of no packet. It decides nothing: what is read meets all rules again in the endpoint.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::super::sockets::{CLASS_SELECTOR_6, PRIORITY};
use super::super::sys::{BATCH_SIZE, Batch, Switch, switch_on};
use super::inlet::Inlet;
use crate::echo_packet::{ECHO_PORT, EchoPacket, RETURNED_TTL};
use crate::endpoint::{EchoMeta, MAX_RETURNED};
use crate::key::TRANSMIT_TTL;

const UDP_HEADER: usize = 8;

/// The socket at an address of ours, or at all of them.
#[derive(Debug)]
pub(super) struct Reflector {
    inlet: Inlet,
    local: Ipv6Addr,
}

impl Reflector {
    pub(super) fn open(local: Ipv6Addr) -> Result<Self, String> {
        let opened = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            socket.set_only_v6(true)?;
            socket.set_priority(PRIORITY)?;
            socket.set_tclass_v6(CLASS_SELECTOR_6)?;
            switch_on(socket.as_fd(), Switch::Ipv6ReceiveHopLimit)?;
            switch_on(socket.as_fd(), Switch::Ipv6PacketInformation)?;
            // Before it is bound, when no packet can have come in yet.
            socket.attach_filter(&filter())?;
            socket.bind(&SocketAddr::new(local.into(), ECHO_PORT).into())?;
            Ok(socket)
        };
        let socket = opened().map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another BFD daemon (FRR's bfdd) likely holds it: `ss -ulnp 'sport = :3785'` names it"
                }
                _ => "",
            };
            format!("cannot listen for BFD echo at [{local}]:{ECHO_PORT}: {error}{hint}")
        })?;
        Ok(Self {
            inlet: Inlet::new(socket),
            local,
        })
    }

    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    pub(super) fn inlet_mut(&mut self) -> &mut Inlet {
        &mut self.inlet
    }

    pub(super) fn sends_from(&self, local: Ipv6Addr) -> bool {
        self.local.is_unspecified() || self.local == local
    }

    /// Takes a batch, and says whether there may be more.
    pub(super) fn receive(
        &mut self,
        batch: &mut Batch,
        take: &mut impl FnMut(EchoMeta, &[u8]),
    ) -> bool {
        // Nothing there; or an error that sending meets too.
        let received = batch.receive(self.inlet.socket()).unwrap_or(0);
        for datagram in batch.datagrams().take(received) {
            let meta = EchoMeta {
                source: datagram.source,
                destination: datagram.destination,
                interface_index: datagram.interface_index,
                ttl: datagram.ttl,
            };
            take(meta, datagram.payload);
        }
        self.inlet.count_read(received);
        received == BATCH_SIZE
    }
}

/// With the hop limit of a neighbor's echo packet, whatever is short enough to be sent back; with that of one of ours that has
/// come back, what has the length of ours.
fn filter() -> [SockFilter; 9] {
    const LOAD_OCTET: u16 = 0x30;
    const LOAD_LENGTH: u16 = 0x80;
    const IF_EQUAL: u16 = 0x15;
    const IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    /// Of the IPv6 header, from its beginning (`SKF_NET_OFF`); the program is given the datagram from the UDP header on.
    const HOP_LIMIT: u32 = 0xfff0_0000 + 7;
    let longest = (UDP_HEADER + MAX_RETURNED) as u32;
    let ours = (UDP_HEADER + EchoPacket::LEN) as u32;
    [
        SockFilter::new(LOAD_OCTET, 0, 0, HOP_LIMIT),
        SockFilter::new(IF_EQUAL, 3, 0, TRANSMIT_TTL.into()),
        SockFilter::new(IF_EQUAL, 0, 5, RETURNED_TTL.into()),
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(IF_EQUAL, 2, 3, ours),
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(IF_GREATER, 1, 0, longest),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
