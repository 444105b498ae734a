//! All BFD sessions of a host: which session a datagram is for, whether it may be believed, discriminators, and one timer for all.
//!
//! Nothing here does I/O, and no operation looks at all sessions, save those that name them all.

mod echo;
mod unsolicited;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use thiserror::Error;

pub use self::echo::EchoMeta;
#[cfg(feature = "engine")]
pub(crate) use self::echo::MAX_RETURNED;
use self::unsolicited::{Acceptance, Accepted};
pub use self::unsolicited::{Link, Range, RangeStatus};
use crate::discard::{Discard, DiscardCounters};
use crate::echo_packet::ECHO_PORT;
use crate::key::{Encapsulation, HopKind, SessionId, SessionKey, TRANSMIT_TTL};
use crate::packet::{ControlPacket, Diagnostic, State};
use crate::session::{EchoObstacles, Session, SessionConfig, SessionStatus, StateChange};
use crate::session_map::SessionMap;
use crate::timers::Timers;

/// For how long at most a removed session goes on saying AdminDown: the remote system has a say in its Detection Time, and could
/// keep the session, its socket and its port for days.
const MAX_FAREWELL: Duration = Duration::from_secs(60);
/// When so many sessions wait to send, the rest get timers all the same: silence is noticed before it is their turn.
const BACKLOG: usize = 256;

/// What is known of a datagram besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RxMeta {
    /// Who sent it. The port plays no part.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to.
    pub destination: IpAddr,
    /// The index of the interface it came in at, if known.
    pub interface_index: Option<u32>,
    /// The TTL or hop limit it came in with, if known; unknown is as good as zero.
    pub ttl: Option<u8>,
    /// Which port it came in at.
    pub encapsulation: Encapsulation,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// What it is, and so how it is sent.
    pub kind: TransmitKind,
    /// Whose packet it is. The source port belongs to the session and never changes (RFC 5881 §4).
    pub session: SessionId,
    /// Where to send it, with the scope id if the address is link-local.
    pub destination: SocketAddr,
    /// The source address; `None` leaves it to the system.
    pub local: Option<IpAddr>,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

/// The kinds of datagrams that an endpoint sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransmitKind {
    /// A control packet: TTL or hop limit [`TRANSMIT_TTL`], from the session's own port.
    Control,
    /// An echo packet of ours: the same TTL, to port [`ECHO_PORT`]. It has to come back (RFC 5881 §4): either it
    /// is addressed to ourselves and handed to the remote system on the link, or the remote system is known to send back what it
    /// is sent at that port.
    Echo {
        /// The interface to send from, if known; it always is once a packet has come in with one.
        interface_index: Option<u32>,
    },
    /// An echo packet of the remote system that goes back to it, octet for octet, with hop limit
    /// [`RETURNED_TTL`](crate::RETURNED_TTL).
    EchoReturn {
        /// The interface that it came in at.
        interface_index: Option<u32>,
    },
}

/// What an endpoint reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session changed its state.
    StateChanged(StateChange),
    /// A removed session has said AdminDown for long enough and is gone, or an accepted one has been given up.
    Removed(SessionId),
    /// A remote system of a [`Range`] has begun a session.
    Accepted(SessionId),
    /// A range has as many sessions as it may have, and somebody wanted one more. Told once in a while.
    RangeFull {
        /// The range's name.
        range: Arc<str>,
    },
}

/// Why a session was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddError {
    /// There is a session with this key.
    #[error("there is a BFD session like this, with discriminator {0}")]
    Exists(SessionId),
}

/// All sessions of a host (RFC 5880 §6.3, RFC 5881 §3, RFC 5883 §3).
///
/// After each input, drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event); call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has passed.
#[derive(Debug)]
pub struct Endpoint {
    /// Cryptographic: who has seen some discriminators must not be able to guess the others.
    rng: StdRng,
    /// Since when there are sessions: their transmissions meet at the same points in time, counted from here.
    beginning: Option<Instant>,
    sessions: SessionMap<Entry>,
    /// Where to look for the session of a packet without Your Discriminator. Removed sessions are not here.
    by_remote: BTreeMap<(Encapsulation, IpAddr), Vec<SessionId>>,
    /// Sessions whose interface has one system on its other end: usually few, and looked at only for who is not found above.
    point_to_point: BTreeSet<SessionId>,
    /// Sessions that say AdminDown and are then freed.
    leaving: BTreeSet<SessionId>,
    /// Discriminators of freed sessions, and until when they must not be used.
    retired: BTreeMap<SessionId, Instant>,
    agenda: Agenda,
    /// Room for the sessions that are due.
    due: Vec<SessionId>,
    discards: DiscardCounters,
    acceptance: Acceptance,
}

/// What is to be done, and what is to be told.
#[derive(Debug, Default)]
struct Agenda {
    /// For each session the time at which to look at it: never later than its own timeout, at times earlier. A session in the
    /// transmit queue may have none.
    timers: Timers,
    /// Sessions that have something to send.
    transmit_queue: VecDeque<SessionId>,
    /// Echo packets of remote systems, on their way back.
    echo_returns: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Agenda {
    /// Takes note of what an input has changed in a session.
    fn note(&mut self, id: SessionId, entry: &mut Entry) {
        while let Some(change) = entry.session.poll_event() {
            if let Some(accepted) = &mut entry.accepted {
                accepted.follow(&change, entry.session.longest_detection_time());
            }
            self.events.push_back(Event::StateChanged(change));
        }
        if !entry.in_transmit_queue && entry.session.has_to_transmit() {
            entry.in_transmit_queue = true;
            self.transmit_queue.push_back(id);
        }
        // What is sent next moves the timer; the session has none until it leaves the queue, unless that takes long.
        if !entry.in_transmit_queue || self.transmit_queue.len() > BACKLOG {
            self.register_timer(id, entry);
        }
    }

    /// A deadline that moves away, as detection does with each packet, leaves the timer where it is: it finds out when it fires.
    fn register_timer(&mut self, id: SessionId, entry: &mut Entry) {
        let Some(deadline) = entry.deadline() else {
            return;
        };
        if entry.timer.is_some_and(|at| at <= deadline) {
            return;
        }
        if let Some(at) = entry.timer.replace(deadline) {
            self.timers.remove(at, id);
        }
        self.timers.insert(deadline, id);
    }
}

#[derive(Debug)]
struct Entry {
    session: Session,
    key: SessionKey,
    interface_index: Option<u32>,
    /// Where the latest control packet came in: to which address of ours, and at which interface.
    heard_at: Option<(IpAddr, Option<u32>)>,
    /// Its place in the agenda's timers.
    timer: Option<Instant>,
    /// When a removed session is freed.
    free_at: Option<Instant>,
    /// How long the discriminator of a freed session must not be used.
    rest: Duration,
    in_transmit_queue: bool,
    /// The range that it comes from, if nobody has added it.
    accepted: Option<Accepted>,
}

impl Entry {
    /// Where packets go, and to which interface they must come: a scope id names one as well.
    fn expected_interface(&self) -> Option<u32> {
        let scope_id = match self.key.remote {
            SocketAddr::V6(remote) if remote.scope_id() != 0 => Some(remote.scope_id()),
            _ => None,
        };
        self.interface_index.or(scope_id)
    }

    /// Whether it may receive at this interface.
    fn is_at(&self, interface_index: Option<u32>) -> bool {
        let expected = self.expected_interface();
        expected.is_none() || expected == interface_index
    }

    fn destination(&self) -> SocketAddr {
        let mut destination = self.key.remote;
        if let SocketAddr::V6(remote) = &mut destination
            && remote.ip().is_unicast_link_local()
            && let Some(index) = self.interface_index
        {
            remote.set_scope_id(index);
        }
        destination
    }

    /// RFC 5881 §3 and RFC 5883 §3: whether a packet without Your Discriminator may start this session.
    fn expects(&self, meta: &RxMeta) -> bool {
        self.key.local.is_none_or(|local| local == meta.destination)
            && self.is_at(meta.interface_index)
    }

    /// How narrow the key is: the narrowest of several that fit is meant. The source port decides between sessions that
    /// differ in nothing else.
    fn narrowness(&self, meta: &RxMeta) -> (bool, bool, bool) {
        (
            self.expected_interface().is_some(),
            self.key.local.is_some(),
            self.key.remote.port() == meta.source.port(),
        )
    }

    /// What the encapsulation demands of a packet for this session.
    fn admit(&self, meta: &RxMeta, packet: &ControlPacket) -> Result<(), Discard> {
        // Discriminators are unique within a system only (RFC 5880 §6.3): a remote one may have chosen ours. From our own
        // address it is us.
        if packet.my_discriminator == self.session.id().local_discr()
            && meta.source.ip() == meta.destination
        {
            return Err(Discard::OwnPacket);
        }
        if self.key.hop.encapsulation() != meta.encapsulation {
            return Err(Discard::HopKind);
        }
        let expected = match packet.your_discriminator {
            Some(_) => self.expected_interface(),
            None => self.expected_interface().or(self.heard_interface()),
        };
        if let Some(expected) = expected
            && meta.interface_index != Some(expected)
        {
            let got = meta.interface_index;
            return Err(Discard::Interface { got, expected });
        }
        let minimum = self.key.hop.minimum_ttl();
        if meta.ttl.is_none_or(|ttl| ttl < minimum) {
            let got = meta.ttl;
            return Err(Discard::Ttl { got, minimum });
        }
        Ok(())
    }

    /// Where a session that is Up hears its neighbor. Who does not know our discriminator can only be that neighbor if it is on
    /// the same link: a source address is forged easily, and the TTL says nothing of who sends on another link.
    fn heard_interface(&self) -> Option<u32> {
        let is_up = self.session.state() == State::Up && self.key.hop == HopKind::Single;
        self.heard_at
            .filter(|_| is_up)
            .and_then(|(_, interface)| interface)
    }

    /// A control packet if one is due, or else an echo packet.
    fn poll_transmit(&mut self, now: Instant, id: SessionId) -> Option<Transmit> {
        if let Some(packet) = self.session.poll_transmit(now) {
            return Some(Transmit {
                kind: TransmitKind::Control,
                session: id,
                destination: self.destination(),
                local: self.key.local,
                payload: packet.encode(),
            });
        }
        let payload = self.session.poll_echo_transmit(now)?;
        Some(self.echo_transmit(id, payload))
    }

    fn deadline(&self) -> Option<Instant> {
        let accepted = self.accepted.as_ref();
        let give_up_at = accepted.and_then(|accepted| accepted.give_up_at);
        [self.session.poll_timeout(), self.free_at, give_up_at]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Endpoint {
    /// An endpoint without sessions. Discriminators and jitter come from `seed`, which should be unpredictable.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            beginning: None,
            sessions: SessionMap::default(),
            by_remote: BTreeMap::new(),
            point_to_point: BTreeSet::new(),
            leaving: BTreeSet::new(),
            retired: BTreeMap::new(),
            agenda: Agenda::default(),
            due: Vec::new(),
            discards: DiscardCounters::default(),
            acceptance: Acceptance::default(),
        }
    }

    /// Adds a session, in state Down. `interface_index` is that of the key's interface, if it has one.
    ///
    /// # Errors
    ///
    /// If there is a session with this key; one that is being removed gives way, and so does one that was accepted from a
    /// [`Range`].
    pub fn add(
        &mut self,
        now: Instant,
        key: SessionKey,
        interface_index: Option<u32>,
        config: SessionConfig,
    ) -> Result<SessionId, AddError> {
        if let Some(existing) = self.find(&key) {
            return Err(AddError::Exists(existing));
        }
        self.free_leaving(now, &key);
        self.release_covered(now, &key, interface_index);
        Ok(self.insert(now, key, interface_index, config, None))
    }

    fn insert(
        &mut self,
        now: Instant,
        key: SessionKey,
        interface_index: Option<u32>,
        config: SessionConfig,
        range: Option<&Arc<str>>,
    ) -> SessionId {
        let id = self.unused_discriminator(now);
        let seed = self.rng.random();
        let config = without_multihop_echo(&key, config);
        self.by_remote
            .entry((key.hop.encapsulation(), key.remote.ip()))
            .or_default()
            .push(id);
        let mut session = Session::new(now, id, config, seed);
        session.align(*self.beginning.get_or_insert(now));
        let mut entry = Entry {
            session,
            key,
            interface_index,
            heard_at: None,
            timer: None,
            free_at: None,
            rest: Duration::ZERO,
            in_transmit_queue: false,
            accepted: range.map(|range| Accepted {
                range: Arc::clone(range),
                give_up_at: Some(now + unsolicited::RETENTION),
            }),
        };
        self.agenda.note(id, &mut entry);
        self.sessions.insert(id, entry);
        id
    }

    /// Removes a session: it says AdminDown for a Detection Time, or a minute if that is less, and is then freed (RFC 5880 §6.8.16). Unknown ids are ignored.
    pub fn remove(&mut self, now: Instant, id: SessionId) {
        if !self.leaving.insert(id) {
            return;
        }
        let Some(entry) = self.sessions.get_mut(&id) else {
            self.leaving.remove(&id);
            return;
        };
        entry.session.disable(now);
        entry.free_at = Some(now + entry.session.farewell_time().min(MAX_FAREWELL));
        entry.rest = entry.session.longest_detection_time() * 2;
        self.agenda.note(id, entry);
        self.forget_place(id);
    }

    /// From here on, only its discriminator finds the session.
    fn forget_place(&mut self, id: SessionId) {
        self.point_to_point.remove(&id);
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        let place = (entry.key.hop.encapsulation(), entry.key.remote.ip());
        if let Some(ids) = self.by_remote.get_mut(&place) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_remote.remove(&place);
            }
        }
    }

    /// The longest Detection Time, at either end, of any session whose remote system is there: nobody else has to be told that
    /// it ends.
    pub fn longest_detection_time(&self) -> Duration {
        let sessions = self.sessions.values().map(|entry| &entry.session);
        let heard = sessions.filter(|session| session.hears());
        let times = heard.map(Session::longest_detection_time);
        times.max().unwrap_or_default()
    }

    /// Removes every session.
    pub fn remove_all(&mut self, now: Instant) {
        for id in self.ids() {
            self.remove(now, id);
        }
    }

    /// Changes timers, role or mode of a session, without a flap. Unknown ids are ignored.
    pub fn set_config(&mut self, now: Instant, id: SessionId, config: SessionConfig) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let config = without_multihop_echo(&entry.key, config);
        entry.session.set_config(now, config);
        self.agenda.note(id, entry);
    }

    /// Changes how far the TTL of a multihop session's packets may have gone down (RFC 5883 §5), without a flap: it is no part
    /// of what names the session. Means nothing for a single-hop session; unknown ids are ignored.
    pub fn set_minimum_ttl(&mut self, id: SessionId, minimum_ttl: u8) {
        if let Some(entry) = self.sessions.get_mut(&id)
            && let HopKind::Multi { minimum_ttl: least } = &mut entry.key.hop
        {
            *least = minimum_ttl;
        }
    }

    /// Takes note of what the driver cannot do for a session's echo function. Unknown ids are ignored.
    pub fn set_echo_obstacles(&mut self, now: Instant, id: SessionId, obstacles: EchoObstacles) {
        self.update(id, |session| session.set_echo_obstacles(now, obstacles));
    }

    /// Takes a session to AdminDown, or back from there. Unknown ids are ignored.
    pub fn set_admin_down(&mut self, now: Instant, id: SessionId, admin_down: bool) {
        if self.leaving.contains(&id) {
            return;
        }
        self.update(id, |session| {
            if admin_down {
                session.disable(now);
            } else {
                session.enable(now);
            }
        });
    }

    /// Verifies the path of a session that is Up by a Poll Sequence; see [`Session::poll`]. Unknown ids are ignored.
    pub fn poll(&mut self, now: Instant, id: SessionId) {
        self.update(id, |session| session.poll(now));
    }

    /// Takes a session that is Init or Up to Down, for a reason found outside BFD. Unknown ids are ignored.
    pub fn take_down(&mut self, now: Instant, id: SessionId, diagnostic: Diagnostic) {
        self.update(id, |session| session.take_down(now, diagnostic));
    }

    /// Says that the interface of a session is a point-to-point link: the first packet of the remote system may then have any
    /// source address (RFC 5881 §6). Where we send does not follow it. Means nothing for a session without an interface, and for
    /// multihop; unknown ids are ignored.
    pub fn set_point_to_point(&mut self, id: SessionId, point_to_point: bool) {
        let is_bound = |entry: &Entry| {
            entry.key.hop == HopKind::Single
                && entry.expected_interface().is_some()
                && entry.free_at.is_none()
                // Whom a range accepts is known by its address.
                && entry.accepted.is_none()
        };
        if point_to_point && self.sessions.get(&id).is_some_and(is_bound) {
            self.point_to_point.insert(id);
        } else {
            self.point_to_point.remove(&id);
        }
    }

    /// Follows an interface that has been created anew with another index. Unknown ids are ignored.
    pub fn set_interface_index(&mut self, id: SessionId, interface_index: Option<u32>) {
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.interface_index = interface_index;
            // Its addresses come with it, as a rule; echo packets over IPv4 cannot be sent without one.
            entry.heard_at = entry.heard_at.map(|(local, _)| (local, None));
        }
    }

    /// Counts a packet that the system refused to send. Unknown ids are ignored.
    pub fn count_transmit_error(&mut self, id: SessionId) {
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.session.count_transmit_error();
        }
    }

    /// Takes a datagram, and says for which session it was.
    ///
    /// # Errors
    ///
    /// The rule by which the datagram was discarded. It has been counted: with the session it was for, if one was found.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        payload: &[u8],
    ) -> Result<SessionId, Discard> {
        let packet = match ControlPacket::parse(payload) {
            Ok(packet) => packet,
            Err(error) => return self.discard(error.into()),
        };
        let selected = match self.select(meta, &packet) {
            Err(Discard::NoSession) => self.accept(now, meta, &packet),
            selected => selected,
        };
        let id = match selected {
            Ok(id) => id,
            Err(discard) => return self.discard(discard),
        };
        let Some(entry) = self.sessions.get_mut(&id) else {
            return self.discard(Discard::UnknownDiscriminator(id.local_discr().get()));
        };
        if let Err(discard) = entry.admit(meta, &packet) {
            entry.session.count_discard(&discard);
            return Err(discard);
        }
        let outcome = entry.session.handle_packet(now, &packet);
        if outcome.is_ok() {
            entry.heard_at = Some((meta.destination, meta.interface_index));
        }
        self.agenda.note(id, entry);
        if entry.is_given_up(now) {
            self.release(now, id);
        }
        outcome.map(|()| id)
    }

    fn discard(&mut self, discard: Discard) -> Result<SessionId, Discard> {
        self.discards.count(&discard);
        Err(discard)
    }

    /// Does what is due. A call before [`poll_timeout`](Self::poll_timeout) changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due = self.take_due(now);
        for id in due.drain(..) {
            if self.may_be_freed(now, id) {
                self.free(now, id);
            } else if self.sessions.get(&id).is_some_and(|it| it.is_given_up(now)) {
                self.release(now, id);
            } else {
                self.update(id, |session| session.handle_timeout(now));
            }
        }
        self.due = due;
    }

    /// Does what is due, save that silence of a remote system is not held against it: for a driver that knows of datagrams it
    /// has not read yet.
    pub fn handle_transmit_timeout(&mut self, now: Instant) {
        let mut due = self.take_due(now);
        for id in due.drain(..) {
            self.update(id, |session| session.handle_transmit_timeout(now));
        }
        self.due = due;
    }

    /// The next datagram to send, to be handed to the system at once. Ask until there is none.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some(transmit) = self.agenda.echo_returns.pop_front() {
            return Some(transmit);
        }
        while let Some(&id) = self.agenda.transmit_queue.front() {
            let Some(entry) = self.sessions.get_mut(&id) else {
                self.agenda.transmit_queue.pop_front();
                continue;
            };
            let transmit = entry.poll_transmit(now, id);
            if transmit.is_none() || !entry.session.has_to_transmit() {
                self.agenda.transmit_queue.pop_front();
                entry.in_transmit_queue = false;
                self.agenda.register_timer(id, entry);
            }
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.agenda.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), unless another input comes first. It may turn out to be too early.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.agenda.timers.first()
    }

    /// Whether there are no sessions, not even some that are being removed.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many sessions there are, with those that are being removed.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// A session by its id, also while it is being removed.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).map(|entry| &entry.session)
    }

    /// The key of a session, also while it is being removed.
    pub fn key(&self, id: SessionId) -> Option<&SessionKey> {
        self.sessions.get(&id).map(|entry| &entry.key)
    }

    /// The session that was added with this key, unless it is being removed.
    pub fn find(&self, key: &SessionKey) -> Option<SessionId> {
        let place = (key.hop.encapsulation(), key.remote.ip());
        let ids = self.by_remote.get(&place)?;
        ids.iter().copied().find(|id| {
            let entry = self.sessions.get(id);
            entry.is_some_and(|it| it.accepted.is_none() && same_place(&it.key, key))
        })
    }

    /// The lowest TTL that a session of this encapsulation accepts; 255 without sessions.
    pub fn least_minimum_ttl(&self, encapsulation: Encapsulation) -> u8 {
        self.sessions
            .values()
            .map(|entry| entry.key.hop)
            .filter(|hop| hop.encapsulation() == encapsulation)
            .map(HopKind::minimum_ttl)
            .min()
            .unwrap_or(TRANSMIT_TTL)
    }

    /// A snapshot of every session that is not being removed.
    pub fn status(&self) -> Vec<SessionStatus> {
        let ids = self.ids().into_iter();
        ids.filter_map(|id| self.session_status(id)).collect()
    }

    /// A snapshot of one session, unless it is being removed.
    pub fn session_status(&self, id: SessionId) -> Option<SessionStatus> {
        let entry = self.sessions.get(&id)?;
        let stays = entry.free_at.is_none();
        let accepted = entry.accepted.as_ref();
        stays.then(|| SessionStatus {
            range: accepted.map(|accepted| Arc::clone(&accepted.range)),
            ..entry.session.status(entry.key.clone())
        })
    }

    /// Every session, also those that are being removed, in order.
    pub fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The datagrams that were for no session.
    pub fn discards(&self) -> &DiscardCounters {
        &self.discards
    }

    /// RFC 5880 §6.8.6, from Your Discriminator on.
    fn select(&self, meta: &RxMeta, packet: &ControlPacket) -> Result<SessionId, Discard> {
        if let Some(your_discriminator) = packet.your_discriminator {
            // It selects alone: whoever knows it has been told it.
            return Ok(SessionId::new(your_discriminator));
        }
        if !matches!(packet.state, State::Down | State::AdminDown) {
            return Err(Discard::YourDiscriminatorZero(packet.state));
        }
        self.by_remote
            .get(&(meta.encapsulation, meta.source.ip()))
            .into_iter()
            .flatten()
            .filter_map(|id| Some((id, self.sessions.get(id)?)))
            .filter(|(_, entry)| entry.expects(meta))
            .max_by_key(|(_, entry)| entry.narrowness(meta))
            .map(|(id, _)| *id)
            .or_else(|| self.select_by_link(meta))
            .ok_or(Discard::NoSession)
    }

    /// RFC 5881 §6: on a point-to-point link the source address plays no part. Two sessions of one family on such a link can be
    /// told apart by nothing else, and so get none of it.
    fn select_by_link(&self, meta: &RxMeta) -> Option<SessionId> {
        if meta.encapsulation != Encapsulation::SingleHop {
            return None;
        }
        let is_there = |id: &&SessionId| {
            self.sessions.get(id).is_some_and(|entry| {
                entry.expects(meta) && entry.key.remote.is_ipv4() == meta.source.is_ipv4()
            })
        };
        let mut there = self.point_to_point.iter().filter(is_there);
        match (there.next(), there.next()) {
            (Some(id), None) => Some(*id),
            _ => None,
        }
    }

    /// A number for whatever else about a session is to be random.
    #[cfg(feature = "engine")]
    pub(crate) fn draw_seed(&mut self) -> u64 {
        self.rng.random()
    }

    fn unused_discriminator(&mut self, now: Instant) -> SessionId {
        self.retired.retain(|_, until| *until > now);
        loop {
            let Some(discr) = NonZeroU32::new(self.rng.random()) else {
                continue;
            };
            let id = SessionId::new(discr);
            if !self.sessions.contains_key(&id) && !self.retired.contains_key(&id) {
                return id;
            }
        }
    }

    /// Sessions that leave this place are freed, or as soon as they have said AdminDown: a remote system that has not heard it
    /// would take the new session for the old one with another discriminator.
    fn free_leaving(&mut self, now: Instant, key: &SessionKey) {
        let like_it = |id: &SessionId| self.key(*id).is_some_and(|other| same_place(other, key));
        let ids: Vec<_> = self.leaving.iter().copied().filter(like_it).collect();
        for id in ids {
            match self.sessions.get_mut(&id) {
                Some(entry) if entry.in_transmit_queue => entry.free_at = Some(now),
                _ => self.free(now, id),
            }
        }
    }

    /// What has something left to say is freed after it has said it.
    fn may_be_freed(&self, now: Instant, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|entry| {
            entry.free_at.is_some_and(|at| at <= now) && !entry.in_transmit_queue
        })
    }

    fn free(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.remove(&id) else {
            return;
        };
        if let Some(at) = entry.timer {
            self.agenda.timers.remove(at, id);
        }
        if let Some(accepted) = &entry.accepted {
            self.leave_range(&accepted.range, id);
        }
        self.leaving.remove(&id);
        self.retired.insert(id, now + entry.rest);
        self.agenda.events.push_back(Event::Removed(id));
    }

    fn update(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        if let Some(entry) = self.sessions.get_mut(&id) {
            change(&mut entry.session);
            self.agenda.note(id, entry);
        }
    }

    /// The sessions to look at. Give the list back to `due` when they have been.
    fn take_due(&mut self, now: Instant) -> Vec<SessionId> {
        let mut due = std::mem::take(&mut self.due);
        self.agenda.timers.take_due(now, &mut due);
        for id in &due {
            if let Some(entry) = self.sessions.get_mut(id) {
                entry.timer = None;
            }
        }
        due
    }
}

/// RFC 5883 §4: multihop sessions have no echo function.
fn without_multihop_echo(key: &SessionKey, config: SessionConfig) -> SessionConfig {
    SessionConfig {
        echo: config.echo.filter(|_| key.hop == HopKind::Single),
        ..config
    }
}

/// Two sessions between these would be one: what may change in a living session is no part of what names it.
fn same_place(one: &SessionKey, other: &SessionKey) -> bool {
    one.remote == other.remote
        && one.local == other.local
        && one.interface == other.interface
        && one.hop.encapsulation() == other.hop.encapsulation()
}

#[cfg(test)]
mod tests;
