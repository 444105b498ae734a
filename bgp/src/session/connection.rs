//! One TCP connection: its octets in both directions, its timers, and what was
//! agreed on it.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::bfd_strict::BfdPending;
use super::config::{LinkLocalNextHop, SessionConfig};
use super::event::{Addresses, ConnId, Direction};
use super::negotiation;
use super::opening::Waiting;
use super::status::{Negotiated, State};
use crate::adj_rib_out::Dialect;
use crate::types::{Asn, Family, Role};
use crate::wire::{
    Capability, Framer, MAX_EXTENDED_LENGTH, MAX_LENGTH, Message, MpNextHop, WireContext,
};

/// How long an OPEN may take to come (RFC 4271 §8.2.2 suggests a large value, 4 minutes).
const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) direction: Direction,
    pub(super) addresses: Addresses,
    /// OpenSent, OpenConfirm or Established; Connect or Active, by the direction, before our OPEN.
    pub(super) state: State,
    /// Why our OPEN is not out yet.
    pub(super) waiting: Option<Waiting>,
    /// What our OPEN has offered, once it is out.
    pub(super) offered: Option<Vec<Capability>>,
    pub(super) negotiated: Option<Negotiated>,
    /// In OpenSent, with the neighbor's OPEN in: our KEEPALIVE waits for BFD.
    pub(super) pending: Option<BfdPending>,
    pub(super) framer: Framer,
    /// Messages that wait for the driver; they go before any UPDATE.
    pub(super) outbox: BytesMut,
    /// Octets that the driver has and TCP has not accepted.
    pub(super) unwritten: usize,
    /// HoldTimer.
    pub(super) hold: Option<Instant>,
    /// KeepaliveTimer.
    pub(super) keepalive: Option<Instant>,
    /// SendHoldTimer (RFC 9687 §3); runs while octets are unwritten.
    pub(super) send_hold: Option<Instant>,
}

impl Connection {
    pub(super) fn new(id: ConnId, direction: Direction, addresses: Addresses) -> Self {
        Self {
            id,
            direction,
            addresses,
            state: State::Idle,
            waiting: None,
            offered: None,
            negotiated: None,
            pending: None,
            framer: Framer::default(),
            outbox: BytesMut::new(),
            unwritten: 0,
            hold: None,
            keepalive: None,
            send_hold: None,
        }
    }

    /// Our OPEN goes out, and offers this; theirs is awaited.
    pub(super) fn opened(&mut self, now: Instant, offered: Vec<Capability>) {
        self.waiting = None;
        self.offered = Some(offered);
        self.state = State::OpenSent;
        self.hold = Some(now + OPEN_HOLD_TIME);
    }

    /// Their OPEN is answered. Without a hold time their KEEPALIVE may take as long as it did: what
    /// never comes up is not to stay for ever.
    pub(super) fn confirmed(&mut self, now: Instant) {
        if self.hold_time().is_none() {
            self.hold = Some(now + OPEN_HOLD_TIME);
        }
    }

    /// Whether nothing is said or heard here yet, for another connection got further.
    pub(super) const fn stands_by(&self) -> bool {
        matches!(self.waiting, Some(Waiting::StandBy(_)))
    }

    /// Queues a message that is not an UPDATE.
    pub(super) fn push(&mut self, message: &Message) {
        // None of them can be longer than every speaker accepts, save an OPEN of a hundred
        // capabilities.
        let too_long = message.encode(WireContext::default(), MAX_LENGTH, &mut self.outbox);
        debug_assert_eq!(too_long, Ok(()));
    }

    /// How octets are read here: as we have offered (RFC 8654 §4, RFC 6793 §4.1).
    pub(super) fn wire_context(&self, config: &SessionConfig) -> WireContext {
        self.negotiated
            .as_ref()
            .map_or_else(WireContext::default, |negotiated| WireContext {
                four_octet_as: negotiated.four_octet_as,
                internal: negotiated.remote_as == config.local_as,
                path_ids_v4: negotiated.add_path_receive.contains(&Family::IPV4_UNICAST),
                path_ids_v6: negotiated.add_path_receive.contains(&Family::IPV6_UNICAST),
            })
    }

    /// How routes are written here.
    pub(super) fn dialect(&self, config: &SessionConfig) -> Dialect {
        let negotiated = self.negotiated.as_ref();
        let extended_message = negotiated.is_some_and(|negotiated| negotiated.extended_message);
        let extended_next_hop = negotiated.is_some_and(|negotiated| negotiated.extended_next_hop);
        Dialect {
            local_as: config.local_as,
            wire: self.wire_context(config),
            limit: if extended_message {
                MAX_EXTENDED_LENGTH
            } else {
                MAX_LENGTH
            },
            next_hop_v4: config
                .next_hop_v4
                .or_else(|| match self.addresses.local.ip() {
                    IpAddr::V4(address) => Some(address),
                    // Whoever agrees on IPv6 next hops has them, whatever else there is.
                    IpAddr::V6(_) if extended_next_hop => None,
                    IpAddr::V6(_) => self.addresses.interface_v4,
                }),
            next_hop_v6: config
                .next_hop_v6
                .map(MpNextHop::V6)
                .or_else(|| self.own_next_hop_v6(config.link_local_next_hop)),
            extended_next_hop,
            only_to_customer: self.only_to_customer(config),
            graceful_shutdown: config.graceful_shutdown,
            add_path: negotiated
                .map(|negotiated| negotiated.add_path_send.clone())
                .unwrap_or_default(),
            families: negotiated
                .map(|negotiated| negotiated.families.clone())
                .unwrap_or_default(),
        }
    }

    /// RFC 9234 §5: what we announce to customers, peers and clients of a route server goes on to
    /// their customers only.
    fn only_to_customer(&self, config: &SessionConfig) -> Option<Asn> {
        let is_external = !self.wire_context(config).internal;
        let goes_down = matches!(config.role?, Role::Provider | Role::Peer | Role::RsServer);
        (is_external && goes_down).then_some(config.local_as)
    }

    /// RFC 2545 §3: a link-local next hop goes beside a global one; where there is none, as
    /// configured.
    fn own_next_hop_v6(&self, alone: LinkLocalNextHop) -> Option<MpNextHop> {
        let global = self.addresses.interface_v6;
        match self.addresses.local.ip() {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(match (global, alone) {
                (Some(global), _) => MpNextHop::V6WithLinkLocal(global, address),
                (None, LinkLocalNextHop::Double) => MpNextHop::V6WithLinkLocal(address, address),
                (None, LinkLocalNextHop::Single) => MpNextHop::V6(address),
                (None, LinkLocalNextHop::Native) => {
                    MpNextHop::V6WithLinkLocal(Ipv6Addr::UNSPECIFIED, address)
                }
            }),
            IpAddr::V6(address) => Some(MpNextHop::V6(address)),
            IpAddr::V4(_) => global.map(MpNextHop::V6),
        }
    }

    /// `count` octets went to the driver, which must get rid of some of them within SendHoldTime.
    pub(super) fn handed_out(&mut self, now: Instant, count: usize, config: &SessionConfig) {
        if self.unwritten == 0 {
            self.send_hold = self.send_hold_time(config).map(|limit| now + limit);
        }
        self.unwritten += count;
    }

    /// TCP accepted `count` octets.
    pub(super) fn written(&mut self, now: Instant, count: usize, config: &SessionConfig) {
        self.unwritten = self.unwritten.saturating_sub(count);
        let limit = self.send_hold_time(config).filter(|_| self.unwritten > 0);
        self.send_hold = limit.map(|limit| now + limit);
    }

    /// What was agreed upon; `None` where it is 0, or nothing has been agreed upon yet.
    pub(super) fn hold_time(&self) -> Option<Duration> {
        self.negotiated.as_ref()?.hold_time
    }

    pub(super) fn keepalive_time(&self, config: &SessionConfig) -> Option<Duration> {
        Some(negotiation::keepalive_time(config, self.hold_time()?))
    }

    /// RFC 9687 §5: 8 minutes or twice the hold time, whichever is longer; none where there is no
    /// hold time.
    fn send_hold_time(&self, config: &SessionConfig) -> Option<Duration> {
        let hold_time = match &self.negotiated {
            Some(_) => self.hold_time(),
            None => config.hold_time.duration(),
        };
        hold_time.map(|hold_time| config.send_hold_time(hold_time))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.map(Waiting::deadline);
        [waiting, self.hold, self.keepalive, self.send_hold]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The connections of a session: at most one of each direction, beside the one that is Established,
/// if one is.
#[derive(Debug, Default)]
pub(super) struct Connections(Vec<Connection>);

impl Connections {
    pub(super) fn push(&mut self, connection: Connection) {
        self.0.push(connection);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.0.iter()
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.iter().map(|connection| connection.id).collect()
    }

    pub(super) fn by_id(&self, id: ConnId) -> Option<&Connection> {
        self.iter().find(|connection| connection.id == id)
    }

    pub(super) fn by_id_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.0.iter_mut().find(|connection| connection.id == id)
    }

    /// The one that got furthest.
    pub(super) fn furthest(&self) -> Option<&Connection> {
        self.iter()
            .max_by_key(|connection| (connection.state, connection.negotiated.is_some()))
    }

    pub(super) fn furthest_mut(&mut self) -> Option<&mut Connection> {
        self.0
            .iter_mut()
            .max_by_key(|connection| (connection.state, connection.negotiated.is_some()))
    }

    pub(super) fn take(&mut self, id: ConnId) -> Option<Connection> {
        let index = self.0.iter().position(|connection| connection.id == id)?;
        Some(self.0.swap_remove(index))
    }

    pub(super) fn take_if(&mut self, is_meant: impl Fn(&Connection) -> bool) -> Option<Connection> {
        let index = self.0.iter().position(is_meant)?;
        Some(self.0.swap_remove(index))
    }
}
