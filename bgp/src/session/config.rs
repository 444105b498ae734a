//! What a session is told: who both sides are, what may be said, and how patient to be.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::graceful_restart::RestartConfig;
use super::prefix_limit::PrefixLimits;
use crate::adj_rib_in::AdjRibInLimit;
use crate::types::{Asn, BgpIdentifier, Family, HoldTime, Role};
use crate::wire::{AddPathDirection, Hostname};

/// RFC 9687 §5: the least SendHoldTime by default.
const MIN_SEND_HOLD_TIME: Duration = Duration::from_secs(480);

/// The AS that the neighbor must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Is(Asn),
    /// The same as ours (iBGP), whatever that is.
    Internal,
    /// Any but ours (eBGP).
    External,
}

/// What becomes of the routes that the neighbor announces. They are counted either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceivedRoutes {
    /// They are thrown away.
    #[default]
    Counted,
    /// They are reported as [`Event::Update`](super::Event::Update), and not kept.
    Reported,
    /// They are kept in an Adj-RIB-In (RFC 4271 §3.2), as many as it may hold; see
    /// [`Session::received_routes`](super::Session::received_routes).
    Kept(AdjRibInLimit),
}

/// What a next hop of 32 octets is whose owner has no global address on the link. RFC 2545 does not
/// say, and neighbors differ in what they understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkLocalNextHop {
    /// The link-local address in both places.
    #[default]
    Double,
    /// The link-local address alone, in 16 octets.
    Single,
    /// `::` in the place of the global address.
    Native,
}

/// Configuration of one [`Session`](super::Session).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Our AS, as this neighbor sees it.
    pub local_as: Asn,
    /// Our BGP Identifier.
    pub local_identifier: BgpIdentifier,
    /// Whom we expect.
    pub remote_as: RemoteAs,
    /// The hold time we propose; the lower of both sides' is used (RFC 4271 §4.2).
    pub hold_time: HoldTime,
    /// How often we say KEEPALIVE, before jitter; never more than a third of the negotiated hold
    /// time, which is the default.
    pub keepalive_time: Option<Duration>,
    /// ConnectRetryTime (RFC 4271 §10), before jitter.
    pub connect_retry_time: Duration,
    /// DelayOpenTime (RFC 4271 §8.1.1): how long to wait for the neighbor's OPEN on a new connection
    /// before sending ours; zero: not at all.
    pub delay_open_time: Duration,
    /// Wait for the neighbor to connect; never connect ourselves (PassiveTcpEstablishment).
    pub passive: bool,
    /// The families we offer.
    pub families: Vec<Family>,
    /// NEXT_HOP of IPv4 routes; default: the connection's own IPv4 address.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Next hop of IPv6 routes; default: the connection's own IPv6 address.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// How a next hop is written that has a link-local address only.
    pub link_local_next_hop: LinkLocalNextHop,
    /// Offer IPv6 next hops for IPv4 routes (RFC 8950). With a neighbor that offers them too, they
    /// are used on connections over IPv6, unless `next_hop_v4` is set.
    pub extended_next_hop: bool,
    /// Which way several paths to a prefix may go (RFC 7911), in every family.
    pub add_path: Option<AddPathDirection>,
    /// What we are to the neighbor (RFC 9234). It counts towards external neighbors only.
    pub role: Option<Role>,
    /// Refuse a neighbor that does not say its role, if `role` is set (RFC 9234 §4.2).
    pub role_strict: bool,
    /// Ask the neighbor to take other paths while ours still work, for traffic will be cut: every route
    /// goes with GRACEFUL_SHUTDOWN, and towards an internal neighbor with LOCAL_PREF 0 (RFC 8326 §4).
    /// A change is told at once, in place.
    pub graceful_shutdown: bool,
    /// Close the connection when TCP took no byte for so long (RFC 9687 §3); `None`: the greater of
    /// 8 min and twice the hold time.
    pub send_hold_time: Option<Duration>,
    /// No session before BFD is up (draft-ietf-idr-bgp-bfd-strict-mode), and how long to wait for it
    /// after the neighbor's OPEN; `None`: BFD may come later, or not at all.
    pub bfd_strict: Option<Duration>,
    /// Have the neighbor keep our routes while we restart (RFC 4724); `None`: it is not asked to.
    pub graceful_restart: Option<RestartConfig>,
    /// What becomes of the routes that the neighbor announces.
    pub received_routes: ReceivedRoutes,
    /// How many prefixes the neighbor may announce.
    pub prefix_limits: PrefixLimits,
    /// Believe no route of an external neighbor whose path does not begin with the neighbor's AS
    /// (RFC 4271 §6.3). Not for route servers, which leave themselves out (RFC 7947 §2.2.2.1).
    pub enforce_first_as: bool,
    /// What we call ourselves, for the neighbor's operator (draft-walton-bgp-hostname-capability);
    /// `None`: nothing.
    pub hostname: Option<Hostname>,
}

impl SessionConfig {
    /// A session with every default: hold time 90 s, connect retry 5 s, active, both unicast
    /// families, own address as next hop.
    #[must_use]
    pub fn new(local_as: Asn, local_identifier: BgpIdentifier, remote_as: RemoteAs) -> Self {
        Self {
            local_as,
            local_identifier,
            remote_as,
            hold_time: HoldTime::DEFAULT,
            keepalive_time: None,
            connect_retry_time: Duration::from_secs(5),
            delay_open_time: Duration::ZERO,
            passive: false,
            families: vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST],
            next_hop_v4: None,
            next_hop_v6: None,
            link_local_next_hop: LinkLocalNextHop::default(),
            extended_next_hop: false,
            add_path: None,
            role: None,
            role_strict: false,
            graceful_shutdown: false,
            send_hold_time: None,
            bfd_strict: None,
            graceful_restart: None,
            received_routes: ReceivedRoutes::Counted,
            prefix_limits: PrefixLimits::default(),
            enforce_first_as: true,
            hostname: None,
        }
    }
}

impl SessionConfig {
    /// SendHoldTime on a session with this hold time: what is configured, or 8 minutes or twice the
    /// hold time, whichever is longer (RFC 9687 §5).
    #[must_use]
    pub fn send_hold_time(&self, hold_time: Duration) -> Duration {
        self.send_hold_time
            .unwrap_or(MIN_SEND_HOLD_TIME.max(2 * hold_time))
    }

    /// Whether a session with this configuration must be ended and opened anew to have that of
    /// `wanted`: whether their OPENs differ, or whom they accept.
    #[must_use]
    pub fn needs_reset(&self, wanted: &Self) -> bool {
        // Every field is named, so that a new one does not compile until somebody decides.
        let Self {
            local_as,
            local_identifier,
            remote_as,
            hold_time,
            families,
            extended_next_hop,
            add_path,
            role,
            role_strict: _, // of their next OPEN
            graceful_restart,
            bfd_strict,
            keepalive_time: _,
            connect_retry_time: _,
            delay_open_time: _,
            passive: _,
            next_hop_v4: _,
            next_hop_v6: _,
            link_local_next_hop: _,
            graceful_shutdown: _, // in UPDATEs
            send_hold_time: _,
            received_routes: _,
            prefix_limits: _,
            enforce_first_as: _,
            // Worth no reset: the next OPEN says it.
            hostname: _,
        } = wanted;
        (
            self.local_as,
            self.local_identifier,
            self.remote_as,
            self.hold_time,
            self.extended_next_hop,
            self.add_path,
            self.role,
        ) != (
            *local_as,
            *local_identifier,
            *remote_as,
            *hold_time,
            *extended_next_hop,
            *add_path,
            *role,
        ) || self.families != *families
            || self.graceful_restart != *graceful_restart
            || self.bfd_strict.is_some() != bfd_strict.is_some()
    }
}
