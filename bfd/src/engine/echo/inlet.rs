//! What the sockets that echo packets come in at have in common: room for what waits, and pauses between wake-ups while much comes.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::Socket;

use super::super::moderation::Moderation;
use super::super::sys;

/// What may wait, as the kernel counts memory, which doubles it.
const BUFFER_SIZE: usize = 2 << 20;

/// A socket that echo packets come in at.
#[derive(Debug)]
pub(super) struct Inlet {
    socket: Socket,
    moderation: Moderation,
    /// Until when it is no reason to wake, however much it has.
    rests_until: Option<Instant>,
    /// What the turn has read so far.
    read: usize,
    /// The drops that the kernel has told of so far.
    known_drops: u32,
}

impl Inlet {
    pub(super) fn new(socket: Socket) -> Self {
        // Beyond the system's limit if we may. It may grant less, and that is enough for fewer sessions.
        if set_socket_recv_buffer_size_force(&socket, BUFFER_SIZE).is_err() {
            let _ = socket.set_recv_buffer_size(BUFFER_SIZE);
        }
        Self {
            socket,
            moderation: Moderation::default(),
            rests_until: None,
            read: 0,
            known_drops: 0,
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|at| now < *at)
    }

    pub(super) fn count_read(&mut self, datagrams: usize) {
        self.read += datagrams;
    }

    /// Takes note that a turn has read what there was.
    pub(super) fn was_read(&mut self, now: Instant) {
        let read = std::mem::take(&mut self.read);
        self.rests_until = self.moderation.rest(now, read);
    }

    /// What the kernel has dropped since the last call, by its filter or for want of room.
    pub(super) fn take_drops(&mut self) -> u64 {
        let Ok(drops) = sys::drops(self.socket.as_fd()) else {
            return 0;
        };
        let since = drops.wrapping_sub(self.known_drops);
        self.known_drops = drops;
        u64::from(since)
    }
}
