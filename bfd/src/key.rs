//! What names a session: to its user a [`SessionKey`], to both systems on the wire a discriminator.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

/// TTL or hop limit of every packet sent, single hop or not (RFC 5881 §5, RFC 5883 §5).
pub const TRANSMIT_TTL: u8 = 255;
/// UDP destination port of single-hop control packets (RFC 5881 §4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// UDP destination port of multihop control packets (RFC 5883 §5).
pub const MULTIHOP_PORT: u16 = 4784;

/// A session of an [`Endpoint`](crate::Endpoint): its local discriminator, random, unique on the system and never zero.
///
/// It is not used again before twice the session's Detection Time has passed since the session was freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(NonZeroU32);

impl SessionId {
    /// The session with this local discriminator.
    pub const fn new(local_discr: NonZeroU32) -> Self {
        Self(local_discr)
    }

    /// The discriminator, as sent in My Discriminator.
    pub const fn local_discr(self) -> NonZeroU32 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How far away the remote system may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HopKind {
    /// On the same link (RFC 5881): a packet must come in with TTL 255.
    Single,
    /// Anywhere (RFC 5883): a packet must come in with at least this TTL.
    Multi {
        /// The smallest TTL or hop limit accepted. 254 allows one router in between.
        minimum_ttl: u8,
    },
}

impl HopKind {
    /// The smallest TTL or hop limit accepted.
    pub fn minimum_ttl(self) -> u8 {
        match self {
            Self::Single => TRANSMIT_TTL,
            Self::Multi { minimum_ttl } => minimum_ttl,
        }
    }

    /// The encapsulation that packets of such sessions use.
    pub fn encapsulation(self) -> Encapsulation {
        match self {
            Self::Single => Encapsulation::SingleHop,
            Self::Multi { .. } => Encapsulation::Multihop,
        }
    }
}

/// Which of BFD's ports a datagram came in at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encapsulation {
    /// The port of RFC 5881, 3784 unless configured otherwise.
    SingleHop,
    /// The port of RFC 5883, 4784 unless configured otherwise.
    Multihop,
}

impl Encapsulation {
    /// The port that the RFC assigns.
    pub const fn port(self) -> u16 {
        match self {
            Self::SingleHop => SINGLE_HOP_PORT,
            Self::Multihop => MULTIHOP_PORT,
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SingleHop => "single hop",
            Self::Multihop => "multihop",
        })
    }
}

/// Between whom a session runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Where packets are sent: usually port 3784, or 4784 for multihop; an IPv6 link-local address has its scope id, or an
    /// `interface` beside it. The port plays no part in receiving (RFC 5881 §4).
    pub remote: SocketAddr,
    /// Our address; `None` leaves the choice to the system, and accepts packets to any.
    pub local: Option<IpAddr>,
    /// The interface to send from and to receive at; `None` leaves both to routing.
    pub interface: Option<String>,
    /// Single hop or multihop.
    pub hop: HopKind,
}

impl SessionKey {
    /// A single-hop session with `remote` at the port of RFC 5881, with local address and interface left to the system.
    pub fn single_hop(remote: IpAddr) -> Self {
        Self {
            remote: SocketAddr::new(remote, SINGLE_HOP_PORT),
            local: None,
            interface: None,
            hop: HopKind::Single,
        }
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.remote)?;
        if let Some(local) = self.local {
            write!(f, " from {local}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " at {interface}")?;
        }
        write!(f, " ({})", self.hop.encapsulation())
    }
}
