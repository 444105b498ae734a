//! One neighbor: the state machine of RFC 4271 §8 over zero, one or two TCP connections.
//!
//! A [`Session`] is a value. It opens no socket and reads no clock: its driver tells it what
//! happened and when, carries out the [`Event`]s it answers with, and moves octets. No input can
//! fail; what is wrong with a neighbor becomes a NOTIFICATION to it.
//!
//! The RFC gives each connection a state machine of its own. Here the connections are in OpenSent
//! and beyond, and the session is where the furthest of them is; without any it is in Idle, Connect
//! or Active.

mod bfd_strict;
mod collision;
mod config;
mod connection;
mod event;
mod graceful_restart;
mod import;
mod messages;
mod negotiation;
mod opening;
mod prefix_limit;
mod refresh;
mod semantics;
mod stale;
mod status;
mod transitions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use self::connection::{Connection, Connections};
use self::graceful_restart::Past;
use self::opening::Waiting;
use self::prefix_limit::LimitedPrefixes;
use self::stale::Stale;
use crate::adj_rib_in::{AdjRibIn, ReceivedRoute};
use crate::adj_rib_out::{AdjRibOut, Table, Unsendable};
use crate::route::Routes;
use crate::types::Family;
use crate::wire::{MAX_EXTENDED_LENGTH, Message, Notification, code, subcode};

pub use bfd_strict::BfdPending;
pub use config::{LinkLocalNextHop, ReceivedRoutes, RemoteAs, SessionConfig};
pub use event::{Addresses, ConnId, Direction, Event, Fate, Liveness, MalformedUpdate, StopReason};
pub use graceful_restart::RestartConfig;
pub use prefix_limit::PrefixLimits;
pub use refresh::RefreshError;
pub use status::{
    Cause, FamilyStatus, KeptStatus, MessageCounters, Negotiated, SessionStatus, State, Transition,
};

/// IdleHoldTime after the first failure (RFC 4271 §8.1.1, DampPeerOscillations); doubles with each
/// further one.
const MIN_IDLE_HOLD_TIME: Duration = Duration::from_secs(1);
/// How long after Established a neighbor may take down its BFD session without ending BGP, if it
/// brings it up again (a hysteresis as of RFC 5882 §3.1). FRR recreates the session as soon as BGP
/// has told it the local address.
const SETTLING_TIME: Duration = Duration::from_secs(3);
/// Octets that are handed out at once: one large write, and no more memory than that for a neighbor
/// that reads slowly.
const TRANSMIT_CHUNK: usize = 64 * 1024;

/// See the [module](self).
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    rng: SmallRng,
    /// The latest time that was told; time does not go back.
    now: Option<Instant>,
    started: bool,
    /// A connection attempt of ours is under way.
    connecting: bool,
    /// At most one of each direction, beside the one that is Established, if one is.
    connections: Connections,
    /// What is left to write on connections that have ended otherwise.
    closing: BTreeMap<ConnId, BytesMut>,
    next_conn: u64,
    /// ConnectRetryTimer.
    connect_retry: Option<Instant>,
    /// IdleHoldTimer; in Idle, when the session is to leave it by itself.
    idle_hold: Option<Instant>,
    idle_hold_time: Duration,
    /// In Idle, after an end that was no failure of the neighbor: if it connects, it need not wait.
    welcomes: bool,
    liveness: Option<(Liveness, u64)>,
    /// The wait in Idle is over as soon as BFD finds the path working.
    waiting_for_liveness: bool,
    /// The neighbor took BFD down while the session was settling; when this comes, it counts.
    path_doubted_until: Option<Instant>,
    past: Past,
    rib: AdjRibOut,
    /// Empty unless routes are to be kept.
    adj_rib_in: AdjRibIn,
    stale: Stale,
    /// Families that are being repeated, and whose End-of-RR is still to be sent (RFC 7313).
    refreshed: BTreeSet<Family>,
    /// Empty unless there is a limit.
    limited: LimitedPrefixes,
    /// The neighbor has announced more prefixes of this family than it may; the session stays in
    /// Idle.
    over_limit: Option<Family>,
    events: VecDeque<Event>,
    record: Record,
}

/// What happened so far, for [`SessionStatus`].
#[derive(Debug, Default)]
struct Record {
    state: State,
    since: Option<Instant>,
    sent: MessageCounters,
    received: MessageCounters,
    established: u64,
    dropped: u64,
    connect_retry_counter: u64,
    last_reset: Option<Transition>,
    last_notification_sent: Option<(Instant, Notification)>,
    last_notification_received: Option<(Instant, Notification)>,
    update_errors: u64,
    last_read: Option<Instant>,
    last_write: Option<Instant>,
    families: BTreeMap<Family, FamilyRecord>,
}

/// What a neighbor sent of one family on the present connection.
#[derive(Clone, Copy, Debug, Default)]
struct FamilyRecord {
    received: u64,
    loops: u64,
    leaks: u64,
    end_of_rib_received: bool,
}

/// Whether a failure makes the next wait in Idle longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BackOff {
    Lengthen,
    Keep,
}

/// Inputs.
impl Session {
    /// A session in Idle, which stays there until it is started. `seed` decides about jitter, and
    /// nothing else is random.
    #[must_use]
    pub fn new(config: SessionConfig, seed: u64) -> Self {
        Self {
            config,
            rng: SmallRng::seed_from_u64(seed),
            now: None,
            started: false,
            connecting: false,
            connections: Connections::default(),
            closing: BTreeMap::new(),
            next_conn: 0,
            connect_retry: None,
            idle_hold: None,
            idle_hold_time: MIN_IDLE_HOLD_TIME,
            welcomes: false,
            liveness: None,
            waiting_for_liveness: false,
            path_doubted_until: None,
            past: Past::default(),
            rib: AdjRibOut::default(),
            adj_rib_in: AdjRibIn::default(),
            stale: Stale::default(),
            refreshed: BTreeSet::new(),
            limited: LimitedPrefixes::default(),
            over_limit: None,
            events: VecDeque::new(),
            record: Record::default(),
        }
    }

    /// ManualStart (RFC 4271 §8.1.2, Event 1). A session that is started already goes on.
    pub fn start(&mut self, now: Instant) {
        let now = self.advance(now);
        if !std::mem::replace(&mut self.started, true) {
            self.connect(now, Cause::Start);
        }
    }

    /// ManualStop (Event 2): Cease to the neighbor, and Idle. A session that was reset rather than
    /// shut down starts again by itself. Where the neighbor would keep our routes although it should
    /// not, a Hard Reset goes around the Cease (RFC 8538 §3).
    pub fn stop(&mut self, now: Instant, reason: StopReason) {
        let now = self.advance(now);
        let notification = match &reason {
            StopReason::AdministrativeShutdown(text) | StopReason::Restart(text) => {
                cease_with(subcode::cease::ADMINISTRATIVE_SHUTDOWN, text)
            }
            StopReason::AdministrativeReset(text) => {
                cease_with(subcode::cease::ADMINISTRATIVE_RESET, text)
            }
            StopReason::PeerDeconfigured => Notification::cease(subcode::cease::PEER_DECONFIGURED),
            StopReason::OtherConfigurationChange => {
                Notification::cease(subcode::cease::OTHER_CONFIGURATION_CHANGE)
            }
        };
        let purges = matches!(
            reason,
            StopReason::AdministrativeShutdown(_) | StopReason::PeerDeconfigured
        );
        let restarts = matches!(
            reason,
            StopReason::AdministrativeReset(_) | StopReason::OtherConfigurationChange
        ) && self.started;
        self.started = false;
        self.record.connect_retry_counter = 0;
        self.idle_hold_time = MIN_IDLE_HOLD_TIME;
        self.abort_connect();
        self.connect_retry = None;
        self.idle_hold = None;
        self.welcomes = false;
        self.over_limit = None;
        self.waiting_for_liveness = false;
        let mut cause = Cause::Stopped;
        for conn in self.connections.ids() {
            let last_word = match reason {
                StopReason::Restart(_) if self.is_kept(conn) => None,
                _ if purges => Some(self.purging(conn, notification.clone())),
                _ => Some(notification.clone()),
            };
            cause = last_word
                .clone()
                .map_or(Cause::Restarting, Cause::NotificationSent);
            self.end(conn, last_word);
        }
        self.settle(now, cause);
        if restarts {
            self.started = true;
            self.idle_hold = Some(now + MIN_IDLE_HOLD_TIME.mul_f64(self.jitter()));
            self.welcomes = true;
        }
    }

    /// Takes a new configuration. What the OPEN says cannot change while a session is up: then it
    /// is ended with Cease/6 and starts again. Everything else changes in place.
    /// [`SessionConfig::needs_reset`] tells which it will be.
    pub fn set_config(&mut self, now: Instant, config: SessionConfig) {
        let now = self.advance(now);
        let before = std::mem::replace(&mut self.config, config);
        if before.needs_reset(&self.config) {
            return self.stop(now, StopReason::OtherConfigurationChange);
        }
        if let Some(connection) = self.connections.furthest()
            && connection.state == State::Established
        {
            self.rib.set_dialect(connection.dialect(&self.config));
        }
        if before.keepalive_time != self.config.keepalive_time {
            for conn in self.connections.ids() {
                self.restart_keepalive_timer(now, conn);
            }
        }
        // Before our OPEN (DelayOpen) a connection has these states too, and nothing is sought.
        let is_seeking = matches!(self.record.state, State::Connect | State::Active)
            && self.connections.is_empty();
        if is_seeking && before.passive != self.config.passive {
            self.connect(now, Cause::Start);
        }
        self.import_anew(now, &before);
    }

    /// Replaces the routes that the neighbor should have, whatever the state. The difference to
    /// what it has is sent.
    pub fn set_routes(&mut self, now: Instant, routes: Routes) {
        self.advance(now);
        self.rib.set_routes(&routes);
    }

    /// Has the neighbor get the routes of `table`, which other sessions may share: what is encoded
    /// for one of them is encoded for all that have agreed on the same things. The difference to
    /// what the neighbor has is sent.
    ///
    /// The table's changes are seen by [`poll_transmit`](Self::poll_transmit); it is for whoever
    /// changes the table to have it called.
    pub fn set_table(&mut self, now: Instant, table: Table) {
        self.advance(now);
        self.rib.set_table(table);
    }

    /// What BFD says of the path (RFC 5882). `generation` counts the times it came up; a Down of an
    /// older one is stale and ignored. Down ends the session only if the path was known to be Up,
    /// and does not lengthen the wait in Idle. A Down that the neighbor signals in the first 3 s of
    /// a session ends it only if BFD is not Up again by the end of them. The routes of a neighbor that
    /// may be restarting (RFC 4724) stay for the restart time if its BFD may have gone with its control
    /// plane, and go at once if it has not (RFC 5882 §4.3.2).
    pub fn handle_liveness(&mut self, now: Instant, liveness: Liveness, generation: u64) {
        let now = self.advance(now);
        let before = self.liveness;
        if before.is_some_and(|(_, latest)| generation < latest) {
            return;
        }
        self.liveness = Some((liveness, generation));
        let was_up = before == Some((Liveness::Up, generation));
        if matches!(liveness, Liveness::Up | Liveness::AdminDown) {
            self.path_doubted_until = None;
        }
        if matches!(liveness, Liveness::Up | Liveness::AdminDown) {
            self.path_is_settled(now);
        }
        match liveness {
            Liveness::Up => self.path_is_up(now),
            Liveness::Down(_) if was_up => self.path_is_down(now),
            Liveness::SignaledDown(_) if was_up => match self.settled_at(now) {
                Some(settled_at) => self.path_doubted_until = Some(settled_at),
                None => self.path_is_down(now),
            },
            Liveness::Down(_) | Liveness::SignaledDown(_) | Liveness::AdminDown => {}
        }
    }

    /// BFD is not asked about the path any more, or another BFD session will be, whose generations
    /// begin anew.
    pub fn forget_liveness(&mut self) {
        self.liveness = None;
        self.path_doubted_until = None;
        self.waiting_for_liveness = false;
    }

    /// A TCP connection is established, by whoever. If it is not wanted, the answer is an
    /// [`Event::Close`] for the id returned.
    pub fn handle_connected(
        &mut self,
        now: Instant,
        direction: Direction,
        addresses: Addresses,
    ) -> ConnId {
        let now = self.advance(now);
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        if direction == Direction::Outgoing {
            self.connecting = false;
        }
        let connection = Connection::new(id, direction, addresses);
        let is_welcome = self.welcomes && direction == Direction::Incoming;
        match self.record.state {
            State::Idle if !is_welcome => self.close(connection, None), // RFC 4271 §8.2.2
            // RFC 4271 §6.8
            State::Established if !self.may_have_restarted() => {
                self.close(connection, Some(collision::notification()));
            }
            _ => {
                self.replace_same_direction(direction);
                self.leave_idle();
                self.connect_retry = None;
                self.open(now, connection);
                self.settle(now, Cause::Connected);
            }
        }
        id
    }

    /// The connection attempt that [`Event::Connect`] asked for came to nothing, for a `reason`
    /// that is only shown. The session goes
    /// on listening, and tries again when ConnectRetryTime is over.
    ///
    /// RFC 4271 §8.2.2 goes to Idle here, and would refuse a neighbor that connects meanwhile;
    /// everybody goes to Active.
    pub fn handle_connect_failed(&mut self, now: Instant, reason: &str) {
        let now = self.advance(now);
        if std::mem::replace(&mut self.connecting, false) {
            self.record.connect_retry_counter += 1;
            self.settle(now, Cause::ConnectFailed(reason.to_owned()));
        }
    }

    /// Octets came in on `conn`.
    pub fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let now = self.advance(now);
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        connection.framer.push(bytes);
        if self.is_to_be_read(now, conn) {
            self.read_messages(now, conn);
        }
    }

    /// Handles the messages that have come in whole.
    fn read_messages(&mut self, now: Instant, conn: ConnId) {
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        let mut framer = std::mem::take(&mut connection.framer);
        // A message may end the connection, and with it what is behind the message.
        while self.connections.by_id(conn).is_some() {
            match framer.next_message(MAX_EXTENDED_LENGTH) {
                Ok(None) => break,
                Ok(Some((kind, body))) => self.handle_message(now, conn, kind, body),
                Err(notification) => self.fail(now, conn, notification, BackOff::Lengthen),
            }
        }
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.framer = framer;
        }
    }

    /// TCP accepted `count` octets of what [`poll_transmit`](Self::poll_transmit) handed out. Feeds
    /// the send hold timer.
    pub fn handle_written(&mut self, now: Instant, conn: ConnId, count: usize) {
        let now = self.advance(now);
        self.record.last_write = Some(now);
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        connection.written(now, count, &self.config);
    }

    /// The connection is gone: closed by the neighbor, reset, or timed out by TCP.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        let now = self.advance(now);
        self.closing.remove(&conn);
        let Some(connection) = self.connections.take(conn) else {
            return;
        };
        // RFC 4271 §8.2.2, Connect, Active and OpenSent, Event 18. In OpenConfirm it may be how a
        // neighbor resolves a collision with the attempt that is under way.
        if connection.state <= State::OpenSent
            || connection.state == State::OpenConfirm && self.connecting
        {
            return self.fall_back(now, Cause::ConnectionLost);
        }
        self.record.connect_retry_counter += 1;
        self.retreat(now, Cause::ConnectionLost, BackOff::Lengthen);
    }

    /// Some time that [`poll_timeout`](Self::poll_timeout) named has come. Does nothing if it has
    /// not. Before the hold timer is believed, octets that have arrived should have been handed to
    /// [`handle_bytes`](Self::handle_bytes).
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        let expired = |timer: Option<Instant>| timer.is_some_and(|deadline| deadline <= now);
        if expired(self.idle_hold) {
            self.connect(now, Cause::Start);
        }
        if expired(self.connect_retry) {
            self.connect(now, Cause::ConnectRetry);
        }
        if expired(self.path_doubted_until) {
            self.path_is_down(now);
        }
        self.give_up_stale(now);
        for conn in self.connections.ids() {
            self.handle_connection_timeout(now, conn);
        }
    }

    fn handle_connection_timeout(&mut self, now: Instant, conn: ConnId) {
        let expired = |timer: Option<Instant>| timer.is_some_and(|deadline| deadline <= now);
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        if expired(connection.waiting.map(Waiting::deadline)) {
            // RFC 4271 §8.2.2, Connect and Active, Event 12
            self.send_open(now, conn);
            self.settle(now, Cause::DelayOpen);
            return self.read_messages(now, conn);
        }
        if expired(connection.hold) && connection.pending.is_some() {
            return self.path_did_not_settle(now, conn);
        }
        if expired(connection.hold) {
            return self.fail(
                now,
                conn,
                Notification::new(code::HOLD_TIMER_EXPIRED, 0),
                BackOff::Lengthen,
            );
        }
        if expired(connection.send_hold) {
            return self.send_hold_timer_expired(now, conn);
        }
        if expired(connection.keepalive) {
            self.send_keepalive(now, conn);
        }
    }
}

/// Outputs.
impl Session {
    /// Appends what is to be written on `conn` to `out`, up to some 64 KiB; `false` when there is
    /// nothing. To be called when the socket is writable and everything before has been written.
    pub fn poll_transmit(&mut self, now: Instant, conn: ConnId, out: &mut BytesMut) -> bool {
        let now = self.advance(now);
        if let Some(rest) = self.closing.remove(&conn) {
            out.extend_from_slice(&rest);
            return !rest.is_empty();
        }
        let start = out.len();
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return false;
        };
        out.unsplit(connection.outbox.split());
        if connection.state == State::Established {
            self.put_updates(now, conn, start, out);
        }
        let handed_out = out.len() - start;
        let connection = self.connections.by_id_mut(conn);
        if let Some(connection) = connection.filter(|_| handed_out > 0) {
            connection.handed_out(now, handed_out, &self.config);
        }
        handed_out > 0
    }

    /// The next thing to do or to know, in order. To be drained after every input.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). May change with every input and every
    /// `poll_transmit`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connections = self.connections.iter().filter_map(Connection::next_timeout);
        connections
            .chain(self.idle_hold)
            .chain(self.connect_retry)
            .chain(self.path_doubted_until)
            .chain(self.stale.next_timeout())
            .min()
    }

    /// The state of the connection that got furthest.
    #[must_use]
    pub const fn state(&self) -> State {
        self.record.state
    }

    /// What the session was told to be.
    #[must_use]
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The routes that the neighbor has, or will have once everything that was handed out has
    /// reached it.
    #[must_use]
    pub fn advertised(&self) -> Routes {
        self.rib.advertised()
    }

    /// The routes that the neighbor has announced and not withdrawn, as far as they are
    /// [kept](ReceivedRoutes::Kept); by family and prefix.
    #[must_use]
    pub fn received_routes(&self) -> Vec<ReceivedRoute> {
        self.adj_rib_in.routes()
    }

    /// Everything there is to tell.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        let furthest = self.connections.furthest();
        let negotiated = furthest.and_then(|connection| {
            let keepalive_time = connection.keepalive_time(&self.config);
            Some(Negotiated {
                keepalive_time,
                ..connection.negotiated.clone()?
            })
        });
        let is_up = self.record.state == State::Established;
        let families = negotiated
            .iter()
            .filter(|_| is_up)
            .flat_map(|negotiated| &negotiated.families);
        SessionStatus {
            state: self.record.state,
            since: self.record.since,
            families: families.map(|family| self.family_status(*family)).collect(),
            negotiated,
            local: furthest.map(|connection| connection.addresses.local),
            remote: furthest.map(|connection| connection.addresses.remote),
            sent: self.record.sent,
            received: self.record.received,
            established: self.record.established,
            dropped: self.record.dropped,
            connect_retry_counter: self.record.connect_retry_counter,
            bfd_pending: furthest.and_then(|connection| connection.pending),
            idle_until: self.idle_hold,
            over_limit: self.over_limit,
            last_reset: self.record.last_reset.clone(),
            last_notification_sent: self.record.last_notification_sent.clone(),
            last_notification_received: self.record.last_notification_received.clone(),
            update_errors: self.record.update_errors,
            last_read: self.record.last_read,
            last_write: self.record.last_write,
        }
    }

    fn family_status(&self, family: Family) -> FamilyStatus {
        let progress = self.rib.progress(family);
        let heard = self
            .record
            .families
            .get(&family)
            .copied()
            .unwrap_or_default();
        FamilyStatus {
            family,
            next_hop: progress.next_hop,
            advertised: progress.advertised,
            pending: progress.pending,
            received: heard.received,
            loops: heard.loops,
            leaks: heard.leaks,
            prefixes: self.prefixes(family),
            prefix_limit: self.config.prefix_limits.families.get(&family).copied(),
            kept: self.kept(family),
            end_of_rib_sent: progress.end_of_rib_sent,
            end_of_rib_received: heard.end_of_rib_received,
        }
    }

    fn kept(&self, family: Family) -> Option<KeptStatus> {
        let held = self.adj_rib_in.held(family);
        matches!(self.config.received_routes, ReceivedRoutes::Kept(_)).then_some(KeptStatus {
            routes: held.routes,
            stale: held.stale,
            long_lived_stale: held.long_lived_stale,
            not_kept: held.not_kept,
        })
    }

    /// How many prefixes the neighbor has announced and not withdrawn, where that is known.
    fn prefixes(&self, family: Family) -> Option<usize> {
        let limited = self.limited.count(&self.config.prefix_limits, family);
        let held = || {
            let held = self.adj_rib_in.held(family);
            // What was not kept may have been withdrawn since.
            (self.kept(family).is_some() && held.not_kept == 0).then_some(held.prefixes)
        };
        limited.map(|count| count as usize).or_else(held)
    }

    fn put_updates(&mut self, now: Instant, conn: ConnId, start: usize, out: &mut BytesMut) {
        let before = self.record.sent.update;
        while out.len() - start < TRANSMIT_CHUNK {
            match self.rib.next_update(out) {
                Ok(true) => self.record.sent.update += 1,
                Ok(false) => {
                    self.put_end_of_refresh(out);
                    break;
                }
                Err(Unsendable { prefix }) => self.events.push_back(Event::Unsendable(prefix)),
            }
        }
        if self.record.sent.update > before {
            self.restart_keepalive_timer(now, conn); // RFC 4271 §8.2.2, Established, Event 27
        }
    }
}

/// Connections and their timers.
impl Session {
    /// Ends a connection, behind a last word if there is one.
    fn end(&mut self, conn: ConnId, last_word: Option<Notification>) {
        if let Some(connection) = self.connections.take(conn) {
            self.close(connection, last_word);
        }
    }

    /// Has the driver close a connection that is no longer among
    /// [`connections`](Self::connections), behind a last word if there is one.
    fn close(&mut self, mut connection: Connection, last_word: Option<Notification>) {
        let conn = connection.id;
        let after_flush = last_word.is_some();
        if let Some(notification) = last_word {
            let said = self.now.map(|now| (now, notification.clone()));
            self.record.last_notification_sent = said;
            connection.push(&Message::Notification(notification));
            self.record.sent.notification += 1;
            self.closing.insert(conn, connection.outbox);
        }
        self.events.push_back(Event::Close { conn, after_flush });
    }

    /// A second connection of the same direction: the neighbor has lost the first one.
    fn replace_same_direction(&mut self, direction: Direction) {
        // The one that is up stays until the neighbor's OPEN comes (RFC 4724 §4.2).
        let same = self.connections.take_if(|connection| {
            connection.direction == direction && connection.state < State::Established
        });
        if let Some(same) = same {
            self.close(same, Some(collision::notification()));
        }
    }

    fn send_keepalive(&mut self, now: Instant, conn: ConnId) {
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        // One that still waits says as much as two.
        if connection.state < State::Established || connection.outbox.is_empty() {
            connection.push(&Message::Keepalive);
            self.record.sent.keepalive += 1;
        }
        self.restart_keepalive_timer(now, conn);
    }

    fn restart_keepalive_timer(&mut self, now: Instant, conn: ConnId) {
        let jitter = self.jitter();
        if let Some(connection) = self.connections.by_id_mut(conn) {
            let keepalive_time = connection.keepalive_time(&self.config);
            connection.keepalive = keepalive_time.map(|time| now + time.mul_f64(jitter));
        }
    }

    fn restart_hold_timer(&mut self, now: Instant, conn: ConnId) {
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.hold = connection.hold_time().map(|hold_time| now + hold_time);
        }
    }

    /// What a timer's time is multiplied with: three quarters to one (RFC 4271 §10).
    fn jitter(&mut self) -> f64 {
        self.rng.random_range(0.75..=1.0)
    }

    /// Time does not go back, whatever the driver says.
    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.now.map_or(now, |latest| latest.max(now));
        self.now = Some(now);
        now
    }
}

fn cease_with(subcode: u8, text: &Option<String>) -> Notification {
    match text {
        Some(text) => Notification::cease_with_communication(subcode, text),
        None => Notification::cease(subcode),
    }
}

#[cfg(test)]
mod tests;
