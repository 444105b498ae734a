//! What a session tells about itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::bfd_strict::BfdPending;
use crate::types::{Asn, BgpIdentifier, Family};
use crate::wire::{Capability, GracefulRestart, Hostname, LongLivedGracefulRestart, Notification};

/// The six states of RFC 4271 §8.2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Refuses every connection: not started, or waiting out IdleHoldTime.
    #[default]
    Idle,
    /// Waiting for our TCP connection attempt.
    Connect,
    /// Listening for the neighbor's.
    Active,
    /// Our OPEN is out, theirs is awaited.
    OpenSent,
    /// OPENs agree, the first KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a session left a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was started, or IdleHoldTime is over.
    Start,
    /// It was stopped while no connection was there to say so on.
    Stopped,
    /// TCP is connected.
    Connected,
    /// TCP could not be connected, in the driver's words.
    ConnectFailed(String),
    /// ConnectRetryTime is over.
    ConnectRetry,
    /// DelayOpenTime is over, and the OPEN goes out.
    DelayOpen,
    /// The neighbor's OPEN was accepted.
    OpenReceived,
    /// BFD is up, or out of service, and the OPEN that waited for it is accepted.
    BfdUp,
    /// The neighbor's first KEEPALIVE came.
    KeepaliveReceived,
    /// The neighbor closed TCP without a word, or TCP failed.
    ConnectionLost,
    /// The neighbor said so.
    NotificationReceived(Notification),
    /// We said so.
    NotificationSent(Notification),
    /// TCP accepted no byte for the send hold time (RFC 9687).
    SendHoldTimerExpired,
    /// We closed TCP without a word, for a restart after which we come back (RFC 4724 §4.1).
    Restarting,
    /// The neighbor opened a new connection beside the one that was up (RFC 4724 §4.2).
    NeighborRestarted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("started"),
            Self::Stopped => f.write_str("stopped"),
            Self::Connected => f.write_str("TCP connected"),
            Self::ConnectFailed(reason) => write!(f, "TCP connection failed: {reason}"),
            Self::ConnectRetry => f.write_str("connect retry"),
            Self::DelayOpen => f.write_str("delay open"),
            Self::OpenReceived => f.write_str("OPEN received"),
            Self::BfdUp => f.write_str("BFD up"),
            Self::KeepaliveReceived => f.write_str("KEEPALIVE received"),
            Self::ConnectionLost => f.write_str("TCP connection lost"),
            Self::NotificationReceived(notification) => write!(f, "received {notification}"),
            Self::NotificationSent(notification) => write!(f, "sent {notification}"),
            Self::SendHoldTimerExpired => f.write_str("send hold timer expired"),
            Self::Restarting => f.write_str("closed for a graceful restart"),
            Self::NeighborRestarted => f.write_str("the neighbor has restarted"),
        }
    }
}

/// One step of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// Left.
    pub from: State,
    /// Entered.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// What both OPENs together allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The neighbor's AS.
    pub remote_as: Asn,
    /// The neighbor's BGP Identifier.
    pub remote_identifier: BgpIdentifier,
    /// The lower of both hold times; `None` when it is 0.
    pub hold_time: Option<Duration>,
    /// How often we say KEEPALIVE, before jitter; `None` when the hold time is 0.
    pub keepalive_time: Option<Duration>,
    /// Families both sides offered.
    pub families: Vec<Family>,
    /// AS numbers are four octets wide in both directions (RFC 6793).
    pub four_octet_as: bool,
    /// The neighbor answers a ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950), in both directions.
    pub extended_next_hop: bool,
    /// Families of which we tell several paths to a prefix (RFC 7911).
    pub add_path_send: Vec<Family>,
    /// Families of which the neighbor may tell several paths to a prefix.
    pub add_path_receive: Vec<Family>,
    /// A repetition has a beginning and an end, in both directions (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// The neighbor takes messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// Both sides wait for BFD before the session is up (draft-ietf-idr-bgp-bfd-strict-mode).
    pub bfd_strict: bool,
    /// What the neighbor says of its restarts, where both sides speak of them (RFC 4724). It keeps
    /// our routes when TCP is lost.
    pub graceful_restart: Option<GracefulRestart>,
    /// The families of which routes outlive the restart time, where both sides speak of that, each
    /// with the lesser of both stale times (RFC 9494).
    pub long_lived_graceful_restart: Vec<LongLivedGracefulRestart>,
    /// Capabilities in our OPEN.
    pub sent: Vec<Capability>,
    /// Capabilities in theirs.
    pub received: Vec<Capability>,
}

impl Negotiated {
    /// What the neighbor calls itself, if it says so.
    #[must_use]
    pub fn remote_hostname(&self) -> Option<&Hostname> {
        self.received
            .iter()
            .find_map(|capability| match capability {
                Capability::Hostname(hostname) => Some(hostname.as_ref()),
                _ => None,
            })
    }

    /// Whether routes survive a NOTIFICATION too, unless it is a Hard Reset (RFC 8538 §2). Our own N
    /// bit is always set.
    #[must_use]
    pub fn notification_restart(&self) -> bool {
        let theirs = self.graceful_restart.as_ref();
        theirs.is_some_and(|restart| restart.notification)
    }
}

/// Messages of one direction, by type, since the session was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounters {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl MessageCounters {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

/// What there is to say of one family on an established session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyStatus {
    /// Which.
    pub family: Family,
    /// What routes of this family have as next hop; `None` when there is none to name, and they
    /// cannot be announced.
    pub next_hop: Option<IpAddr>,
    /// Prefixes the neighbor has from us.
    pub advertised: usize,
    /// Prefixes on their way: to be announced or withdrawn.
    pub pending: usize,
    /// How many prefixes the neighbor has announced; one that it announces again counts again.
    pub received: u64,
    /// Announcements that lead back to us, through our AS (RFC 4271 §9.1.2) or with our own address as
    /// next hop (§6.3), and were left out.
    pub loops: u64,
    /// Prefixes that were left out because they were not meant for us (RFC 9234 §5): a neighbor has
    /// leaked them.
    pub leaks: u64,
    /// How many prefixes the neighbor has announced and not withdrawn, each once, or by the count of
    /// a limit, for which each path of a prefix is one (RFC 7911). `None` where that
    /// is not known: neither are routes kept, nor is there a limit.
    pub prefixes: Option<usize>,
    /// How many prefixes it may announce; `None`: any number.
    pub prefix_limit: Option<NonZeroU32>,
    /// What of it is kept; `None` where nothing is.
    pub kept: Option<KeptStatus>,
    /// Our End-of-RIB is out (RFC 4724 §2).
    pub end_of_rib_sent: bool,
    /// Theirs is in.
    pub end_of_rib_received: bool,
}

/// What an Adj-RIB-In holds of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptStatus {
    /// Routes; each path of a prefix is one.
    pub routes: usize,
    /// Those that have not been announced since the session or the refresh began.
    pub stale: usize,
    /// And of these, those that have outlived the restart time (RFC 9494).
    pub long_lived_stale: usize,
    /// Announcements that were not kept for want of room, since the session is there.
    pub not_kept: u64,
}

/// A snapshot of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// The state, of the connection that got furthest.
    pub state: State,
    /// Since when; `None` before the first transition.
    pub since: Option<Instant>,
    /// What was agreed; in OpenConfirm and Established.
    pub negotiated: Option<Negotiated>,
    /// By family; in Established.
    pub families: Vec<FamilyStatus>,
    /// Our end of the TCP connection.
    pub local: Option<SocketAddr>,
    /// Their end.
    pub remote: Option<SocketAddr>,
    /// Messages sent.
    pub sent: MessageCounters,
    /// Messages received.
    pub received: MessageCounters,
    /// How often the session was Established.
    pub established: u64,
    /// How often it ceased to be.
    pub dropped: u64,
    /// ConnectRetryCounter (RFC 4271 §8.1.1).
    pub connect_retry_counter: u64,
    /// In OpenSent: what waits for BFD, in strict mode.
    pub bfd_pending: Option<BfdPending>,
    /// When the state machine leaves Idle by itself, if it waits there.
    pub idle_until: Option<Instant>,
    /// The family of which the neighbor has announced more prefixes than it may: the session is in
    /// Idle for it.
    pub over_limit: Option<Family>,
    /// The last time an Established session ended; before there was one, the last time that a
    /// session failed to get there.
    pub last_reset: Option<Transition>,
    /// The last NOTIFICATION that we sent, on whatever connection, and when.
    pub last_notification_sent: Option<(Instant, Notification)>,
    /// The last one that came.
    pub last_notification_received: Option<(Instant, Notification)>,
    /// UPDATE messages with attribute errors that RFC 7606 let pass, by treating them as withdraws
    /// or discarding the attribute.
    pub update_errors: u64,
    /// When the last message came.
    pub last_read: Option<Instant>,
    /// When the last message went.
    pub last_write: Option<Instant>,
}
