//! What a session asks of its driver, and what it reports.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use bytes::Bytes;
use ipnet::IpNet;

use super::status::{Negotiated, Transition};
use crate::types::Family;
use crate::wire::{AttributeError, Notification, Update};

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

/// Both ends of a TCP connection, and what else is known of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Our end.
    pub local: SocketAddr,
    /// The neighbor's.
    pub remote: SocketAddr,
    /// An IPv4 address of the interface that the connection uses: the next hop of IPv4 routes over
    /// IPv6.
    pub interface_v4: Option<Ipv4Addr>,
    /// A global IPv6 address of the interface that the connection uses: the next hop of IPv6 routes
    /// over IPv4 or a link-local connection.
    pub interface_v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// Both ends, and nothing else known.
    #[must_use]
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            interface_v4: None,
            interface_v6: None,
        }
    }
}

/// What BFD says of the path (RFC 5882).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// It works.
    Up,
    /// It worked and has failed: nothing came from the neighbor for the detection time, or whatever
    /// else was found on this side.
    Down(Fate),
    /// The neighbor says that its BFD session is down (RFC 5880 §6.8.6): it does not hear us, or it
    /// has begun that session anew.
    SignaledDown(Fate),
    /// One side has taken BFD out of service, which says nothing about the path (RFC 5882 §4.2).
    AdminDown,
}

/// What the neighbor's BFD has in common with its control plane: its C bit (RFC 5880 §4.1, RFC 5882
/// §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// C clear: BFD goes down with the control plane, whose restart the neighbor may survive.
    Shared,
    /// C set: BFD that goes down means a path that does not forward.
    Independent,
}

/// Why a session is stopped: the subcode of Cease (RFC 4486) and, where RFC 9003 allows one, a text
/// for the neighbor's operator.
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
    /// Nothing, so that the neighbor keeps our routes until we are back (RFC 4724); Cease/2 where it
    /// would not, with the text.
    Restart(Option<String>),
}

/// An UPDATE that RFC 7606 lets pass, with what is needed to find out who made it so (RFC 7606 §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedUpdate {
    /// What is wrong with it, and what was made of that.
    pub errors: Vec<AttributeError>,
    /// The prefixes it is about.
    pub prefixes: Vec<IpNet>,
    /// The message behind its header.
    pub body: Bytes,
}

/// What a driver must do, or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Open a TCP connection to the neighbor, then say `handle_connected` or
    /// `handle_connect_failed`.
    Connect,
    /// Give up the connection attempt under way, if there is one.
    AbortConnect,
    /// Close this connection. With `after_flush`, what `poll_transmit` still has is to be written
    /// first, within a second or so (it ends with a NOTIFICATION).
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
    /// The neighbor sent routes, and they were asked for. Nothing of them is kept here. Those that
    /// lead back to us, and those that were not meant for us (RFC 9234 §5), are withdrawn in it.
    Update(Box<Update>),
    /// The neighbor has announced nearly as many prefixes as it may. Said once a session for each
    /// family.
    PrefixLimitNear {
        /// Of which family.
        family: Family,
        /// How many there are.
        count: u32,
        /// How many there may be.
        limit: NonZeroU32,
    },
    /// The neighbor sent an UPDATE with errors that do not end the session.
    MalformedUpdate(Box<MalformedUpdate>),
    /// The neighbor ended the session.
    NotificationReceived(Notification),
    /// A route whose attributes leave no room for a prefix in any message; the neighbor does not
    /// have it.
    Unsendable(IpNet),
}
