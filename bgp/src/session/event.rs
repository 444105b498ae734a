//! What a session asks of its driver, and what it reports.

use super::status::{Negotiated, Transition};
use crate::wire::{Notification, Update};

/// One TCP connection of a session. Never reused within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) u64);

/// Who opened a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The neighbor did; it came in at our listener.
    Incoming,
    /// We did.
    Outgoing,
}

/// What BFD says of the path (RFC 5882).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// It works.
    Up,
    /// It worked and has failed.
    Down,
    /// One side has taken BFD out of service, which says nothing about the path (RFC 5882 §4.2).
    AdminDown,
}

/// Why a session is stopped: the subcode of Cease (RFC 4486) and, where RFC 9003 allows one, a text for the neighbor's operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Cease/2.
    AdministrativeShutdown(Option<String>),
    /// Cease/3.
    PeerDeconfigured,
    /// Cease/4; the session starts again by itself.
    AdministrativeReset(Option<String>),
    /// Cease/6: the configuration changed; the session starts again by itself.
    OtherConfigurationChange,
}

/// What a driver must do, or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Open a TCP connection to the neighbor, then say `handle_connected` or `handle_connect_failed`.
    Connect,
    /// Give up the connection attempt under way, if there is one.
    AbortConnect,
    /// Close this connection. With `after_flush`, what `poll_transmit` still has is to be written first, within a second or so (it ends with a NOTIFICATION).
    Close {
        /// Which.
        conn: ConnId,
        /// First write what is left.
        after_flush: bool,
    },
    /// The state changed.
    StateChanged(Transition),
    /// Both sides agreed; the state is Established.
    Established(Negotiated),
    /// The neighbor sent routes. Nothing of them is kept here.
    Update(Box<Update>),
    /// The neighbor ended the session.
    NotificationReceived(Notification),
}
