//! When our OPEN goes out on a new connection: at once; after DelayOpenTime (RFC 4271 §8.1.1); or
//! when another connection that had got further has come to nothing.

use std::time::{Duration, Instant};

use super::Session;
use super::connection::Connection;
use super::event::{ConnId, Direction};
use super::negotiation;
use super::status::State;
use crate::wire::{Capability, MAX_LENGTH, Message};

/// How long a connection stands by for another at most. A KEEPALIVE or a NOTIFICATION comes within
/// a round trip, or the other connection is dead.
const STAND_BY_TIME: Duration = Duration::from_secs(5);

/// Why our OPEN is not out yet, and until when it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The DelayOpenTimer runs. The neighbor's OPEN ends the wait.
    DelayOpen(Instant),
    /// Another connection is in OpenConfirm: the neighbor has our KEEPALIVE there, and may be
    /// Established by it. An OPEN here would have it close that connection, or this one, depending
    /// on which came first, and we could not know. So nothing is said or heard here until the other
    /// connection is Established or gone.
    StandBy(Instant),
}

impl Waiting {
    pub(super) const fn deadline(self) -> Instant {
        match self {
            Self::DelayOpen(deadline) | Self::StandBy(deadline) => deadline,
        }
    }
}

impl Session {
    /// A connection is there and wanted.
    pub(super) fn open(&mut self, now: Instant, mut connection: Connection) {
        connection.waiting = self.reason_to_wait(now);
        connection.state = match connection.direction {
            Direction::Outgoing => State::Connect,
            Direction::Incoming => State::Active,
        };
        let (conn, waits) = (connection.id, connection.waiting.is_some());
        self.connections.push(connection);
        if !waits {
            self.send_open(now, conn);
        }
    }

    fn reason_to_wait(&self, now: Instant) -> Option<Waiting> {
        if self.has_confirmed() {
            return Some(Waiting::StandBy(now + STAND_BY_TIME));
        }
        let delay_open_time = self.config.delay_open_time;
        (!delay_open_time.is_zero()).then(|| Waiting::DelayOpen(now + delay_open_time))
    }

    /// Whether the neighbor has our KEEPALIVE on some connection.
    fn has_confirmed(&self) -> bool {
        self.connections
            .iter()
            .any(|connection| connection.state == State::OpenConfirm)
    }

    pub(super) fn send_open(&mut self, now: Instant, conn: ConnId) {
        let open = negotiation::open(&self.config, self.past());
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.opened(now, open.capabilities.clone());
            connection.push(&Message::Open(open));
            self.record.sent.open += 1;
        }
    }

    /// What our OPEN on a connection has offered, or will offer if it goes out now.
    pub(super) fn offered(&self, conn: ConnId) -> Vec<Capability> {
        let connection = self.connections.by_id(conn);
        let offered = connection.and_then(|connection| connection.offered.clone());
        offered.unwrap_or_else(|| negotiation::open(&self.config, self.past()).capabilities)
    }

    /// Octets came in on a connection that stands by. A neighbor says no more than its OPEN before
    /// it has ours; one that does is answered.
    pub(super) fn is_to_be_read(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(connection) = self.connections.by_id(conn) else {
            return false;
        };
        if !connection.stands_by() {
            return true;
        }
        let says_more = connection.framer.waiting() > MAX_LENGTH;
        if says_more {
            self.send_open(now, conn);
        }
        says_more
    }

    /// Sends the OPEN on the connection that stood by, if what it stood by for is gone. What came
    /// in there meanwhile is to be read then.
    pub(super) fn end_stand_by(&mut self, now: Instant) -> Option<ConnId> {
        let waiting = self
            .connections
            .iter()
            .find(|connection| connection.stands_by());
        let conn = waiting.map(|connection| connection.id)?;
        (!self.has_confirmed()).then(|| {
            self.send_open(now, conn);
            conn
        })
    }
}
