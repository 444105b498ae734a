//! The sockets that packets come in at. Each listen address has two, and the kernel sorts among them by form and TTL
//! (`sorting.rs`): a flood of what no session may accept fills a small buffer of its own and leaves the packets of sessions alone.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Protocol, Socket, Type};

use super::moderation::Moderation;
use super::sorting::{self, Queue};
use super::sys::{self, BATCH_SIZE, Switch};
use super::{EngineError, KernelDrops};
use crate::key::Encapsulation;

/// One of the sockets that take packets for all sessions of one encapsulation and family.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: Socket,
    pub(super) local: SocketAddr,
    pub(super) encapsulation: Encapsulation,
    queue: Queue,
    /// What sessions demand at least; what has less is rejected.
    pub(super) minimum_ttl: u8,
    /// It has something, as far as we know.
    ready: Cell<bool>,
    /// Until when it is no reason to wake, however much it has.
    rests_until: Option<Instant>,
    moderation: Moderation,
    /// The drops that the kernel has told of so far.
    known_drops: u32,
}

impl Receiver {
    /// Opens the sockets of a listen address, one for each queue, where sessions demand at least `minimum_ttl`.
    pub(super) fn open(
        local: SocketAddr,
        encapsulation: Encapsulation,
        minimum_ttl: u8,
    ) -> Result<Vec<Self>, EngineError> {
        let opened = || -> io::Result<Vec<Self>> {
            let mut receivers = Vec::new();
            // Whoever binds port 0 learns from the first which port that is.
            let mut address = local;
            for queue in Queue::ALL {
                let socket = configured(address, queue)?;
                socket.set_reuse_port(true)?;
                if queue == Queue::Sessions {
                    // Before it is bound: a socket with a program of its own joins no other's address, so that two programs
                    // never share a port without knowing.
                    sys::choose_by(socket.as_fd(), &sorting::program(local, minimum_ttl))?;
                }
                socket.bind(&address.into())?;
                address = socket.local_addr()?.as_socket().unwrap_or(address);
                receivers.push(Self {
                    socket,
                    local: address,
                    encapsulation,
                    queue,
                    minimum_ttl,
                    ready: Cell::new(false),
                    rests_until: None,
                    moderation: Moderation::default(),
                    known_drops: 0,
                });
            }
            Ok(receivers)
        };
        opened().map_err(|source| EngineError::Listen {
            address: local,
            source,
        })
    }

    /// Changes what sessions demand at least. The kernel goes on with the former value if it has no memory left.
    pub(super) fn set_minimum_ttl(&mut self, minimum_ttl: u8) {
        if self.queue == Queue::Sessions && self.minimum_ttl != minimum_ttl {
            let program = sorting::program(self.local, minimum_ttl);
            let _ = sys::choose_by(self.socket.as_fd(), &program);
        }
        self.minimum_ttl = minimum_ttl;
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// How many batches to read in one turn.
    pub(super) fn batches_per_turn(&self) -> usize {
        let datagrams = match self.queue {
            // More than its buffer holds, so that after a turn all that was waiting at its beginning has been read: silence may
            // be believed then, whatever else keeps coming.
            Queue::Sessions => 8192,
            // All that its buffer holds.
            Queue::Rejected => 256,
        };
        datagrams / BATCH_SIZE
    }

    /// Whether a turn reads it. The packets of sessions are looked for in every turn.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.get() || self.queue == Queue::Sessions
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.set(ready);
    }

    /// Until when it is no reason to wake, if it rests.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|at| now < *at)
    }

    /// Takes note that so many datagrams were read.
    pub(super) fn was_read(&mut self, now: Instant, datagrams: usize) {
        self.ready.set(false);
        self.rests_until = match self.queue {
            Queue::Sessions => self.moderation.rest(now, datagrams),
            Queue::Rejected => Some(now + REST),
        };
    }

    /// Ends the rest of what is read at leisure, and says whether this is such a one.
    pub(super) fn hurry(&mut self) -> bool {
        let is_leisurely = self.queue == Queue::Rejected;
        self.ready.set(self.ready.get() || is_leisurely);
        is_leisurely
    }

    /// Adds what the kernel has dropped since the last call.
    pub(super) fn take_drops(&mut self, total: &mut KernelDrops) {
        let Ok(drops) = sys::drops(self.socket.as_fd()) else {
            return;
        };
        let since = u64::from(drops.wrapping_sub(self.known_drops));
        self.known_drops = drops;
        match self.queue {
            Queue::Sessions => total.late += since,
            Queue::Rejected => total.rejected += since,
        }
    }
}

/// What is rejected wakes the thread ten times a second at most.
const REST: Duration = Duration::from_millis(100);

/// What a queue may hold, as the kernel counts memory: some 800 octets for a control packet.
fn buffer_size(queue: Queue) -> usize {
    match queue {
        // Room for the packets of many sessions while the thread is off the processor. The kernel doubles it.
        Queue::Sessions => 2 << 20,
        Queue::Rejected => 64 << 10,
    }
}

fn configured(local: SocketAddr, queue: Queue) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let switches = if local.is_ipv4() {
        [Switch::Ipv4ReceiveTtl, Switch::Ipv4PacketInformation].as_slice()
    } else {
        socket.set_only_v6(true)?;
        [
            Switch::Ipv6ReceiveHopLimit,
            Switch::Ipv6PacketInformation,
            Switch::Ipv6ZeroChecksum,
        ]
        .as_slice()
    };
    for switch in switches {
        sys::switch_on(socket.as_fd(), *switch)?;
    }
    let size = buffer_size(queue);
    // Beyond the system's limit if we may. It may grant less, and that is enough for fewer sessions.
    if set_socket_recv_buffer_size_force(&socket, size).is_err() {
        let _ = socket.set_recv_buffer_size(size);
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;
