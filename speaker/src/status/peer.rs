//! What there is to say of a neighbor.

use std::time::Duration;

use bgp::{Family, MessageCounters, Negotiated, RemoteAs, State};
use serde::{Deserialize, Serialize};

use super::{BfdStatus, ImportStatus, TransportStatus, millis, text, texts, time};
use crate::config::{PeerConfig, PeerName};
use crate::control::Snapshot;
use crate::malformed::Malformed;
use crate::story;

/// `GET /v1/peers/NAME`, and an element of `GET /v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PeerStatus {
    /// What it is like, what it was like before, and why: in sentences.
    #[serde(default)]
    pub story: Vec<String>,
    /// Its name; the address unless configured.
    pub name: String,
    /// The `[[peer-range]]` that it has come from; null: it is in the file.
    #[serde(default)]
    pub range: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// False: configured, and kept down.
    pub enabled: bool,
    /// It was shut down by command; null: it was not.
    pub shutdown: Option<ShutdownStatus>,
    /// It is asked to take other paths (RFC 8326): `peer` or `all` by command, about it or every peer;
    /// `stop` before the daemon ends; null: it is not.
    #[serde(default)]
    pub draining: Option<String>,
    /// Where it is.
    pub address: String,
    /// Where it accepts connections.
    pub port: u16,
    /// `internal` or `external`; null until known.
    pub kind: Option<String>,
    /// Our AS towards it.
    pub local_as: u32,
    /// Our BGP Identifier.
    pub local_id: Option<String>,
    /// The AS it must have: a number, `internal` or `external`.
    pub remote_as_configured: String,
    /// The AS it said, or must have.
    pub remote_as: Option<u32>,
    /// Its BGP Identifier.
    pub remote_id: Option<String>,
    /// What it calls itself.
    pub remote_hostname: Option<String>,
    /// `Idle`, `Connect`, `Active`, `OpenSent`, `OpenConfirm` or `Established` (RFC 4271 §8.2.2).
    pub state: String,
    /// When it was entered.
    pub since: Option<String>,
    /// How long ago.
    pub in_state_ms: Option<u64>,
    /// For how long it has been without the session that it had, whatever states it went through in
    /// the meantime; null: it is Established, or is not remembered to have been.
    #[serde(default)]
    pub down_ms: Option<u64>,
    /// In OpenSent: `OpenSentBfdUpPending` or `OpenSentConfirmedBfdUpPending` while the session waits
    /// for BFD.
    pub bfd_pending: Option<String>,
    /// How long until Idle is left, if it waits there.
    pub idle_for_ms: Option<u64>,
    /// Our end of the connection.
    pub local_address: Option<String>,
    /// Its end.
    pub remote_address: Option<String>,
    /// The address we were told to connect from.
    pub source_address: Option<String>,
    /// The interface we were told to use.
    pub source_interface: Option<String>,
    /// We wait for it to connect.
    pub passive: bool,
    /// How many hops away it may be; null: on-link, or internal.
    pub ebgp_multihop: Option<u8>,
    /// What we are to it (RFC 9234): `customer`, `provider`, `peer`, `rs-server`, `rs-client`; null:
    /// nothing is said of that.
    pub role: Option<String>,
    /// It is refused unless it says its role.
    pub role_strict: bool,
    /// More about its TCP connections.
    #[serde(default)]
    pub transport: TransportStatus,
    /// Timers.
    pub timers: TimersStatus,
    /// What both OPENs together allow; null unless they did.
    pub negotiated: Option<NegotiatedStatus>,
    /// The families that we offer.
    pub families_configured: Vec<String>,
    /// By family both sides offered; in Established.
    pub families: Vec<FamilyStatus>,
    /// What is for it and cannot be sent to it; nothing while the session is not established.
    #[serde(default)]
    pub held_back: Vec<HeldBackStatus>,
    /// Messages by direction and type, since the peer was added.
    pub messages: MessagesStatus,
    /// What is done with the routes that it announces.
    pub import: ImportStatus,
    /// The family of which it has announced more prefixes than `max-prefixes` allows: the session
    /// stays in Idle for it, until it is reset or `max-prefixes-restart` is over.
    pub over_max_prefixes: Option<String>,
    /// UPDATEs with an error that RFC 7606 lets pass.
    pub update_errors: u64,
    /// The last one of them.
    pub last_update_error: Option<UpdateErrorStatus>,
    /// How often the session was Established.
    pub established_count: u64,
    /// How often it ceased to be.
    pub dropped_count: u64,
    /// ConnectRetryCounter.
    pub connect_retry_counter: u64,
    /// How the last session ended, or why the last attempt failed.
    pub last_reset: Option<ResetStatus>,
    /// The last NOTIFICATION that we sent.
    pub last_notification_sent: Option<NotificationStatus>,
    /// The last one that it sent.
    pub last_notification_received: Option<NotificationStatus>,
    /// How long ago the last message came.
    pub last_read_ms: Option<u64>,
    /// How long ago the last message went.
    pub last_write_ms: Option<u64>,
    /// BFD beside it.
    pub bfd: Option<BfdStatus>,
}

/// A peer that was shut down by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShutdownStatus {
    /// What its operator was told (RFC 9003).
    pub communication: Option<String>,
}

impl PeerStatus {
    /// Whether neither the file nor a command keeps it down.
    #[must_use]
    pub const fn is_to_run(&self) -> bool {
        self.enabled && self.shutdown.is_none()
    }
}

/// What is configured and what is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimersStatus {
    /// What we propose.
    pub hold_time_configured_ms: u64,
    /// What both agreed on; 0: no keepalives.
    pub hold_time_ms: Option<u64>,
    /// Null: a third of the hold time.
    pub keepalive_time_configured_ms: Option<u64>,
    /// What is in force; 0: no keepalives.
    pub keepalive_time_ms: Option<u64>,
    /// ConnectRetryTime.
    pub connect_retry_time_ms: u64,
    /// DelayOpenTime; 0: our OPEN does not wait.
    pub delay_open_time_ms: u64,
    /// RFC 9687; null: the greater of 8 min and twice the hold time.
    pub send_hold_time_configured_ms: Option<u64>,
}

/// What both OPENs together allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NegotiatedStatus {
    /// Families both offered.
    pub families: Vec<String>,
    /// RFC 6793.
    pub four_octet_as: bool,
    /// RFC 2918.
    pub route_refresh: bool,
    /// RFC 8950: IPv4 routes may have IPv6 next hops.
    pub extended_next_hop: bool,
    /// RFC 7911: families of which we tell it several paths.
    pub add_path_send: Vec<String>,
    /// RFC 7911: families of which it may tell us several paths.
    pub add_path_receive: Vec<String>,
    /// RFC 8654.
    pub extended_message: bool,
    /// Both sides wait for BFD before the session is up.
    pub bfd_strict: bool,
    /// RFC 4724; null unless both sides speak of it.
    pub graceful_restart: Option<GracefulRestartStatus>,
    /// In our OPEN.
    pub capabilities_sent: Vec<String>,
    /// In its OPEN.
    pub capabilities_received: Vec<String>,
}

/// That routes survive a restart, and what the peer says of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GracefulRestartStatus {
    /// A NOTIFICATION does not cost the routes either, unless it is a Hard Reset (RFC 8538).
    pub notification: bool,
    /// The peer said that it had restarted.
    pub remote_restarting: bool,
    /// How long the peer takes to come back at most.
    pub remote_restart_time_ms: u64,
    /// The families whose routes the peer wants kept while it restarts; none: it only keeps ours.
    pub remote_families: Vec<String>,
}

/// One family on an established session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FamilyStatus {
    /// `ipv4-unicast` or `ipv6-unicast`.
    pub family: String,
    /// What routes of this family have as next hop; null: there is none to name, and they cannot be
    /// announced.
    pub next_hop: Option<String>,
    /// Prefixes it has from us.
    pub advertised: usize,
    /// Prefixes on their way.
    pub pending: usize,
    /// How many prefixes it announced; one that is announced again counts again.
    pub received: u64,
    /// Announcements that lead back to us, and were left out.
    pub loops: u64,
    /// Prefixes left out because they were not meant for us: it leaks them (RFC 9234 §5).
    pub leaks: u64,
    /// How many prefixes it announces, each once; null where that is not known, for neither are
    /// routes kept nor is there a limit.
    pub prefixes: Option<usize>,
    /// How many it may announce; null: any number.
    pub max_prefixes: Option<u32>,
    /// What is kept of them; null where nothing is.
    pub kept: Option<KeptStatus>,
    /// Our End-of-RIB is out.
    pub end_of_rib_sent: bool,
    /// Its End-of-RIB is in.
    pub end_of_rib_received: bool,
}

/// Routes of one family that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KeptStatus {
    /// How many.
    pub routes: usize,
    /// How many of them have not been announced since the session or the refresh began.
    pub stale: usize,
    /// And of these, how many have outlived the peer's restart time (RFC 9494).
    pub long_lived_stale: usize,
    /// Announcements that were not kept for want of room.
    pub not_kept: u64,
}

/// Prefixes that are for a peer and are not sent to it while its session is established.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HeldBackStatus {
    /// The family; null: of any.
    pub family: Option<String>,
    /// How many.
    pub prefixes: usize,
    /// Why.
    pub reason: String,
}

/// Messages of both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MessagesStatus {
    /// By us.
    pub sent: MessageCounts,
    /// By the peer.
    pub received: MessageCounts,
}

/// Messages of one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names are those of RFC 4271")]
pub struct MessageCounts {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
    pub total: u64,
}

/// An UPDATE with errors that RFC 7606 lets pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpdateErrorStatus {
    /// When it came.
    pub at: String,
    /// Attributes and what was made of each: `ORIGIN (1): treat-as-withdraw`.
    pub errors: Vec<String>,
    /// The first of the prefixes that it is about.
    pub prefixes: Vec<String>,
    /// How many prefixes there are.
    pub prefix_count: usize,
    /// The first 4096 octets of the message, header included, in hexadecimal digits.
    pub message: String,
    /// How long the message was.
    pub message_octets: usize,
}

/// A NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotificationStatus {
    /// When.
    pub at: String,
    /// How long ago.
    pub ago_ms: u64,
    /// Code, subcode, their names, and what came with them: `6/2 Cease, Administrative Shutdown`.
    pub text: String,
    /// The code (RFC 4271 §4.5).
    #[serde(default)]
    pub code: u8,
    /// The subcode.
    #[serde(default)]
    pub subcode: u8,
    /// What a Hard Reset says in addition (RFC 8538 §3.1); null: it is none.
    #[serde(default)]
    pub hard_reset_reason: Option<String>,
    /// The operator's text (RFC 9003); null: there is none.
    #[serde(default)]
    pub communication: Option<String>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ResetStatus {
    /// When.
    pub at: String,
    /// How long ago.
    pub ago_ms: u64,
    /// The state it left.
    pub from: String,
    /// Why.
    pub cause: String,
}

impl Snapshot {
    /// `GET /v1/peers`
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.config
            .peers
            .iter()
            .map(|(name, peer)| self.peer_status(name, peer))
            .collect()
    }

    /// `GET /v1/peers/NAME`
    #[must_use]
    pub fn peer(&self, name: &PeerName) -> Option<PeerStatus> {
        let peer = self.config.peers.get(name)?;
        Some(self.peer_status(name, peer))
    }

    fn peer_status(&self, name: &PeerName, peer: &PeerConfig) -> PeerStatus {
        let mut status = self.peer_status_untold(name, peer);
        (status.story, status.down_ms) = self.told_of(&name.into(), |plot| {
            let since = (status.state != "Established").then(|| story::down_since(plot));
            let down = since.flatten().map(|at| plot.now.duration_since(at));
            let down = down.map(|down| millis(down.unwrap_or_default()));
            (story::of_peer(&status, plot), down)
        });
        status
    }

    fn peer_status_untold(&self, name: &PeerName, peer: &PeerConfig) -> PeerStatus {
        let session = self.bgp.get(name);
        let negotiated = session.and_then(|session| session.negotiated.as_ref());
        let remote_as =
            negotiated
                .map(|negotiated| negotiated.remote_as)
                .or(match peer.remote_as {
                    RemoteAs::Is(asn) => Some(asn),
                    RemoteAs::Internal => Some(peer.local_as),
                    RemoteAs::External => None,
                });
        let kind = match (peer.remote_as, remote_as) {
            (_, Some(asn)) if asn == peer.local_as => Some("internal"),
            (RemoteAs::External, _) | (_, Some(_)) => Some("external"),
            _ => None,
        };
        let no_messages = MessageCounters::default();
        PeerStatus {
            story: Vec::new(),
            name: name.to_string(),
            range: text(peer.range.as_ref()),
            description: peer.description.clone(),
            enabled: peer.enabled,
            shutdown: self
                .shutdowns
                .get(name)
                .map(|communication| ShutdownStatus {
                    communication: communication.clone(),
                }),
            draining: self
                .draining
                .reason(name)
                .map(|reason| reason.name().to_owned()),
            address: peer.address.to_string(),
            port: peer.port,
            kind: kind.map(str::to_owned),
            local_as: peer.local_as.value(),
            local_id: self.config.speaker.router_id.map(|id| id.to_string()),
            remote_as_configured: match peer.remote_as {
                RemoteAs::Is(asn) => asn.to_string(),
                RemoteAs::Internal => "internal".to_owned(),
                RemoteAs::External => "external".to_owned(),
            },
            remote_as: remote_as.map(bgp::Asn::value),
            remote_hostname: text(negotiated.and_then(Negotiated::remote_hostname)),
            remote_id: negotiated.map(|negotiated| negotiated.remote_identifier.to_string()),
            state: session
                .map_or(State::Idle, |session| session.state)
                .to_string(),
            since: session
                .and_then(|session| session.since)
                .map(|at| self.time(at)),
            in_state_ms: self.ago_ms(session.and_then(|session| session.since)),
            down_ms: None,
            bfd_pending: text(session.and_then(|session| session.bfd_pending)),
            idle_for_ms: session
                .and_then(|session| session.idle_until)
                .map(|until| millis(until.saturating_duration_since(self.now.0))),
            local_address: session.and_then(|session| text(session.local)),
            remote_address: session.and_then(|session| text(session.remote)),
            source_address: text(peer.source_address),
            source_interface: peer.interface().map(str::to_owned),
            passive: peer.passive,
            ebgp_multihop: peer.ebgp_multihop.map(std::num::NonZeroU8::get),
            role: text(peer.export.role),
            role_strict: peer.export.role_strict,
            transport: TransportStatus::new(
                peer,
                self.sought_in(name, peer),
                &self.transports.get(name).cloned().unwrap_or_default(),
                peer.unnumbered().and_then(|it| self.neighbors.get(it)),
                &self.tcp_drops,
            ),
            timers: timers(peer, negotiated),
            negotiated: negotiated.map(NegotiatedStatus::from),
            families_configured: texts(&peer.families),
            families: session.map_or_else(Vec::new, |session| {
                session.families.iter().map(FamilyStatus::from).collect()
            }),
            held_back: self.held_back(name, peer),
            messages: MessagesStatus {
                sent: session.map_or(&no_messages, |session| &session.sent).into(),
                received: session
                    .map_or(&no_messages, |session| &session.received)
                    .into(),
            },
            import: ImportStatus::from(&peer.import),
            over_max_prefixes: session.and_then(|session| text(session.over_limit)),
            update_errors: session.map_or(0, |session| session.update_errors),
            last_update_error: self
                .malformed
                .get(name)
                .map(|last| UpdateErrorStatus::from(&**last)),
            established_count: session.map_or(0, |session| session.established),
            dropped_count: session.map_or(0, |session| session.dropped),
            connect_retry_counter: session.map_or(0, |session| session.connect_retry_counter),
            last_reset: self.last_reset(name, session),
            last_notification_sent: self.last_notification_sent(name, session),
            last_notification_received: self.last_notification_received(name, session),
            last_read_ms: self.ago_ms(session.and_then(|session| session.last_read)),
            last_write_ms: self.ago_ms(session.and_then(|session| session.last_write)),
            bfd: self.bfd.of(&name.into()).map(|bfd| self.bfd_status(bfd)),
        }
    }

    /// What is for a peer, and its session cannot carry.
    fn held_back(&self, name: &PeerName, peer: &PeerConfig) -> Vec<HeldBackStatus> {
        let Some(session) = self.bgp.get(name) else {
            return Vec::new();
        };
        if session.state != State::Established {
            return Vec::new();
        }
        let stuck = peer.families.iter().filter_map(|family| {
            let mut carried = session.families.iter();
            let reason = match carried.find(|carried| carried.family == *family) {
                None => "its session does not carry them",
                Some(carried) if carried.next_hop.is_none() => "there is no next hop",
                Some(_) => return None,
            };
            Some((Some(*family), self.prefixes_for(name, *family), reason))
        });
        let too_long = self.unsendable.get(name).map_or(0, bgp::Routes::len);
        let too_long = (None, too_long, "the attributes leave no room in a message");
        stuck
            .chain([too_long])
            .filter(|(_, prefixes, _)| *prefixes > 0)
            .map(|(family, prefixes, reason)| HeldBackStatus {
                family: text(family),
                prefixes,
                reason: reason.to_owned(),
            })
            .collect()
    }

    /// How many prefixes of a family are for a peer.
    fn prefixes_for(&self, name: &PeerName, family: Family) -> usize {
        let all = self.announcements.iter();
        let of_family = all.filter(|(prefix, _)| Family::of(prefix) == family);
        of_family
            .filter(|(_, announcement)| announcement.peers.contains_key(name))
            .count()
    }

    /// The state in which a neighbor is that should speak to us and does not.
    fn sought_in(&self, name: &PeerName, peer: &PeerConfig) -> Option<State> {
        let session = self.bgp.get(name)?;
        let is_to_run = peer.enabled && !self.shutdowns.contains_key(name);
        let is_sought = session.state != State::Established && session.over_limit.is_none();
        (is_to_run && is_sought).then_some(session.state)
    }
}

impl From<&Malformed> for UpdateErrorStatus {
    fn from(malformed: &Malformed) -> Self {
        Self {
            at: time(malformed.at),
            errors: malformed.errors.clone(),
            prefixes: texts(&malformed.prefixes),
            prefix_count: malformed.prefix_count,
            message: malformed.hex(),
            message_octets: malformed.length,
        }
    }
}

impl From<&Negotiated> for NegotiatedStatus {
    fn from(negotiated: &Negotiated) -> Self {
        Self {
            families: texts(&negotiated.families),
            four_octet_as: negotiated.four_octet_as,
            route_refresh: negotiated.route_refresh,
            extended_next_hop: negotiated.extended_next_hop,
            add_path_send: texts(&negotiated.add_path_send),
            add_path_receive: texts(&negotiated.add_path_receive),
            extended_message: negotiated.extended_message,
            bfd_strict: negotiated.bfd_strict,
            graceful_restart: negotiated.graceful_restart.as_ref().map(Into::into),
            capabilities_sent: texts(&negotiated.sent),
            capabilities_received: texts(&negotiated.received),
        }
    }
}

impl From<&bgp::wire::GracefulRestart> for GracefulRestartStatus {
    fn from(restart: &bgp::wire::GracefulRestart) -> Self {
        let families = restart.families.iter();
        Self {
            notification: restart.notification,
            remote_restarting: restart.restarting,
            remote_restart_time_ms: u64::from(restart.restart_time.as_secs()) * 1000,
            remote_families: families.map(|family| family.family.to_string()).collect(),
        }
    }
}

impl From<&bgp::FamilyStatus> for FamilyStatus {
    fn from(status: &bgp::FamilyStatus) -> Self {
        Self {
            family: status.family.to_string(),
            next_hop: text(status.next_hop),
            advertised: status.advertised,
            pending: status.pending,
            received: status.received,
            loops: status.loops,
            leaks: status.leaks,
            prefixes: status.prefixes,
            max_prefixes: status.prefix_limit.map(std::num::NonZeroU32::get),
            kept: status.kept.map(|kept| KeptStatus {
                routes: kept.routes,
                stale: kept.stale,
                long_lived_stale: kept.long_lived_stale,
                not_kept: kept.not_kept,
            }),
            end_of_rib_sent: status.end_of_rib_sent,
            end_of_rib_received: status.end_of_rib_received,
        }
    }
}

impl From<&MessageCounters> for MessageCounts {
    fn from(counters: &MessageCounters) -> Self {
        Self {
            open: counters.open,
            update: counters.update,
            notification: counters.notification,
            keepalive: counters.keepalive,
            route_refresh: counters.route_refresh,
            total: counters.total(),
        }
    }
}

fn timers(peer: &PeerConfig, negotiated: Option<&Negotiated>) -> TimersStatus {
    let in_force = |time: Option<Duration>| time.map_or(0, millis);
    TimersStatus {
        hold_time_configured_ms: u64::from(peer.hold_time.as_secs()) * 1000,
        hold_time_ms: negotiated.map(|negotiated| in_force(negotiated.hold_time)),
        keepalive_time_configured_ms: peer.keepalive_time.map(millis),
        keepalive_time_ms: negotiated.map(|negotiated| in_force(negotiated.keepalive_time)),
        connect_retry_time_ms: millis(peer.connect_retry_time),
        delay_open_time_ms: millis(peer.delay_open_time),
        send_hold_time_configured_ms: peer.send_hold_time.map(millis),
    }
}
