//! One BFD session: the state variables of RFC 5880 §6.8.1, reception (§6.8.6), and when to transmit what (§6.8.7).
//!
//! A session is a value. Inputs carry the time, and one earlier than the last is taken as the last; packets and events are
//! drained afterwards. Encapsulation, addresses and choosing the session for a packet are the [`Endpoint`](crate::Endpoint)'s.

mod config;
mod demand;
mod echo;
mod jitter;
mod poll_sequence;
mod receive_gaps;
mod status;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub use self::config::SessionConfig;
use self::demand::Demand;
use self::echo::Echo;
pub use self::echo::{EchoConfig, EchoObstacles, EchoStatus};
use self::jitter::Grid;
use self::poll_sequence::PollSequence;
pub use self::receive_gaps::{DetectionMargin, ReceiveGaps};
pub use self::status::{SessionCounters, SessionStatus, StateChange};
use crate::authentication::Authenticator;
use crate::discard::Discard;
use crate::key::{SessionId, SessionKey};
use crate::packet::{ControlPacket, Diagnostic, Micros, PollFinal, State};

/// A BFD session (RFC 5880 §6).
///
/// After each input, drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event); call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has passed.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    config: SessionConfig,
    rng: SmallRng,
    clock: Instant,
    grid: Grid,

    session_state: State,
    local_diag: Diagnostic,
    /// As advertised.
    desired_min_tx_interval: Micros,
    /// As advertised.
    required_min_rx_interval: Micros,
    /// The desired_min_tx_interval that transmission is held to (§6.8.3).
    tx_in_force: Micros,
    /// The required_min_rx_interval that detection is held to (§6.8.3).
    rx_in_force: Micros,
    poll: PollSequence,
    demand: Demand,

    remote: Remote,
    transmission: Transmission,
    /// `None` (bfd.AuthType zero): without authentication, which then costs nothing.
    authenticator: Option<Box<Authenticator>>,
    /// `Some` where it is configured.
    echo: Option<Box<Echo>>,

    generation: u64,
    last_change: Option<StateChange>,
    counters: SessionCounters,
    events: VecDeque<StateChange>,
}

/// What is known of the remote system.
#[derive(Debug)]
struct Remote {
    discr: Option<NonZeroU32>,
    session_state: State,
    diag: Diagnostic,
    desired_min_tx_interval: Micros,
    min_rx_interval: Micros,
    min_echo_rx_interval: Micros,
    demand_mode: bool,
    control_plane_independent: bool,
    detect_mult: Option<NonZeroU8>,
    heard_at: Option<Instant>,
}

impl Remote {
    /// The initial values of §6.8.1.
    fn unknown(diag: Diagnostic) -> Self {
        Self {
            discr: None,
            session_state: State::Down,
            diag,
            desired_min_tx_interval: Micros::ZERO,
            min_rx_interval: Micros::new(1),
            min_echo_rx_interval: Micros::ZERO,
            demand_mode: false,
            control_plane_independent: false,
            detect_mult: None,
            heard_at: None,
        }
    }
}

/// What was sent last, and what is to be sent next.
#[derive(Debug, Default)]
struct Transmission {
    /// The latest packet's contents, its Poll and Final bits aside.
    last_contents: Option<ControlPacket>,
    /// When a packet other than a Final was sent last.
    last_at: Option<Instant>,
    /// The interval that `next_at` was computed from.
    interval: Option<Duration>,
    next_at: Option<Instant>,
    periodic_due: bool,
    final_due: bool,
}

impl Session {
    /// A session in state Down with this local discriminator. `seed` is for jitter: the same inputs and the same seed give the
    /// same outputs.
    pub fn new(now: Instant, id: SessionId, config: SessionConfig, seed: u64) -> Self {
        let config = config.runnable();
        let desired_min_tx_interval = config.desired_min_tx_interval.max(Micros::ONE_SECOND);
        let mut session = Self {
            id,
            rng: SmallRng::seed_from_u64(seed),
            clock: now,
            grid: Grid { beginning: now },
            session_state: State::Down,
            local_diag: Diagnostic::NONE,
            desired_min_tx_interval,
            required_min_rx_interval: config.required_min_rx_interval,
            tx_in_force: desired_min_tx_interval,
            rx_in_force: config.required_min_rx_interval,
            poll: PollSequence::default(),
            demand: Demand::default(),
            remote: Remote::unknown(Diagnostic::NONE),
            transmission: Transmission::default(),
            authenticator: None,
            echo: None,
            generation: 0,
            last_change: None,
            counters: SessionCounters::default(),
            events: VecDeque::new(),
            config,
        };
        session.follow_authentication();
        session.set_up_echo();
        session.reschedule(now);
        session
    }

    /// Sends at points in time that sessions with the same beginning share.
    pub(crate) fn align(&mut self, beginning: Instant) {
        self.grid = Grid { beginning };
    }

    /// Takes a packet that the endpoint has found to be for this session: RFC 5880 §6.8.6 from authentication on.
    ///
    /// # Errors
    ///
    /// The rule by which the packet was discarded.
    pub fn handle_packet(&mut self, now: Instant, packet: &ControlPacket) -> Result<(), Discard> {
        let now = self.advance(now);
        let outcome = self.receive(now, packet);
        if let Err(discard) = &outcome {
            self.counters.discarded.count(discard);
        }
        self.reschedule(now);
        outcome
    }

    /// Does what is due. A call before [`poll_timeout`](Self::poll_timeout) changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.handle_demand_poll_timer(now);
        self.handle_transmit_timer(now);
        if self.detection_deadline().is_some_and(|at| at <= now) {
            self.expire_detection(now);
        }
        self.forget_sequence(now);
        self.expire_echo_detection(now);
        self.reschedule(now);
    }

    /// Does what is due, save that silence of the remote system is not held against it: for a driver that knows of packets it
    /// has not read yet.
    pub fn handle_transmit_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.handle_demand_poll_timer(now);
        self.handle_transmit_timer(now);
        self.reschedule(now);
    }

    /// Changes timers, role, mode or keys. A session that is Up stays Up: a Poll Sequence tells the remote system (§6.8.3), and
    /// keys count from the next packet on.
    pub fn set_config(&mut self, now: Instant, config: SessionConfig) {
        let now = self.advance(now);
        self.config = config.runnable();
        self.follow_authentication();
        self.set_up_echo();
        self.advertise();
        self.reschedule(now);
    }

    /// Takes the session to AdminDown (§6.8.16). The remote system is told at once, and then every second or so.
    pub fn disable(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.session_state != State::AdminDown {
            self.set_state(now, State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN);
        }
        self.reschedule(now);
    }

    /// Takes the session from AdminDown to Down, from where it comes Up if the remote system is there.
    pub fn enable(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.session_state == State::AdminDown {
            self.set_state(now, State::Down, self.local_diag);
        }
        self.reschedule(now);
    }

    /// Takes the session from Init or Up to Down, for a reason found outside BFD: the forwarding plane was reset (§6.8.15), or
    /// the path is known to be down. It comes Up again when the remote system has noticed and is heard.
    pub fn take_down(&mut self, now: Instant, diagnostic: Diagnostic) {
        let now = self.advance(now);
        if matches!(self.session_state, State::Init | State::Up) {
            self.set_state(now, State::Down, diagnostic);
        }
        self.reschedule(now);
    }

    /// The next packet to send, to be handed to the system at once. Ask until there is none.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<ControlPacket> {
        let now = self.advance(now);
        let contents = self.contents();
        // §6.6: in demand mode of either system, each change is acknowledged.
        if self.demand_is_active() && self.would_be_new(&contents) {
            self.poll.start();
            // It may have to be sent where nothing else is.
            self.reschedule(now);
        }
        let poll_final = if self.transmission.final_due {
            self.transmission.final_due = false;
            PollFinal::Final
        } else if self.wants_to_transmit(&contents) {
            self.schedule_after_transmission(now);
            if self.poll.is_active() {
                self.poll.sent(now);
                PollFinal::Poll
            } else {
                PollFinal::Neither
            }
        } else {
            return None;
        };
        self.counters.packets_out += 1;
        self.transmission.last_contents = Some(contents.clone());
        let packet = ControlPacket {
            poll_final,
            ..contents
        };
        Some(match &mut self.authenticator {
            Some(authenticator) => authenticator.sign(now, packet),
            None => packet,
        })
    }

    /// The next change of state, oldest first.
    pub fn poll_event(&mut self) -> Option<StateChange> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), unless another input comes first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let authenticator = self.authenticator.as_ref();
        let timers = [
            self.transmission.next_at,
            self.detection_deadline(),
            self.demand.next_poll_at(),
            authenticator.and_then(|authenticator| authenticator.deadline()),
            self.echo.as_ref().and_then(|echo| echo.poll_timeout()),
        ];
        timers.into_iter().flatten().min()
    }

    /// The session's local discriminator.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// bfd.SessionState.
    pub fn state(&self) -> State {
        self.session_state
    }

    /// Whether the remote system has been heard within the Detection Time (bfd.RemoteDiscr is not zero).
    pub fn hears(&self) -> bool {
        self.remote.discr.is_some()
    }

    /// The configuration in force.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The time without packets after which the session is declared down (§6.8.4), or in demand mode of ours, that without an
    /// answer to a Poll; `None` while the remote system is unknown.
    pub fn detection_time(&self) -> Option<Duration> {
        if self.demand.is_in_force() {
            return Some(self.demand_detection_time());
        }
        let detect_mult = self.remote.detect_mult?.get();
        Some(self.agreed_rx_interval() * u32::from(detect_mult))
    }

    /// The interval between packets before jitter (§6.8.7); `None` while none are sent periodically.
    pub fn tx_interval(&self) -> Option<Duration> {
        let remote_wants_silence = self.remote.min_rx_interval == Micros::ZERO;
        let demanded = self.remote.demand_mode && self.both_up() && !self.poll.is_active();
        if self.must_stay_silent() || remote_wants_silence || demanded {
            return None;
        }
        Some(self.agreed_tx_interval())
    }

    /// The longer of both systems' Detection Times: so long may either believe in a session that has ended.
    pub fn longest_detection_time(&self) -> Duration {
        let at_the_remote = self.agreed_tx_interval() * u32::from(self.config.detect_mult.get());
        self.detection_time().unwrap_or_default().max(at_the_remote)
    }

    /// How long a session that is disabled for good has to go on telling so (§6.8.16); no time if nobody is there to hear it.
    pub fn farewell_time(&self) -> Duration {
        match self.remote.discr {
            Some(_) => self.longest_detection_time(),
            None => Duration::ZERO,
        }
    }

    /// Everything there is to know, for the session with this key.
    pub fn status(&self, key: SessionKey) -> SessionStatus {
        SessionStatus {
            id: self.id,
            key,
            range: None,
            config: self.config.clone(),
            session_state: self.session_state,
            remote_session_state: self.remote.session_state,
            local_discr: self.id.local_discr(),
            remote_discr: self.remote.discr,
            local_diag: self.local_diag,
            remote_diag: self.remote.diag,
            desired_min_tx_interval: self.tx_in_force,
            required_min_rx_interval: self.rx_in_force,
            remote_min_rx_interval: self.remote.min_rx_interval,
            remote_desired_min_tx_interval: self.remote.desired_min_tx_interval,
            remote_min_echo_rx_interval: self.remote.min_echo_rx_interval,
            echo: self.echo_status(),
            demand_mode: self.demand.is_advertised(),
            remote_demand_mode: self.remote.demand_mode,
            remote_control_plane_independent: self.remote.control_plane_independent,
            detect_mult: self.config.detect_mult,
            remote_detect_mult: self.remote.detect_mult,
            polling: self.poll.is_active(),
            tx_interval: self.tx_interval(),
            detection_time: self.detection_time(),
            authentication: self.authenticator.as_ref().map(|it| it.status()),
            counters: self.counters.clone(),
            last_change: self.last_change,
            generation: self.generation,
        }
    }

    /// Counts a packet that the endpoint discarded on the session's behalf.
    pub(crate) fn count_discard(&mut self, discard: &Discard) {
        self.counters.discarded.count(discard);
    }

    /// Counts a packet that the system refused to send.
    pub(crate) fn count_transmit_error(&mut self) {
        self.counters.transmit_errors += 1;
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// RFC 5880 §6.8.6, in its order.
    fn receive(&mut self, now: Instant, packet: &ControlPacket) -> Result<(), Discard> {
        self.authenticate(now, packet)?;
        self.note_receive_gap(now);
        self.note_remote(now, packet);
        if packet.poll_final == PollFinal::Final && self.poll.finish() {
            self.tx_in_force = self.desired_min_tx_interval;
            self.rx_in_force = self.required_min_rx_interval;
            self.demand.acknowledged();
        }
        if self.session_state == State::AdminDown {
            return Err(Discard::AdminDown);
        }
        self.counters.packets_in += 1;
        self.follow(now, packet.state);
        self.advertise();
        // §6.5: answered at once, whatever the timers say.
        if packet.poll_final == PollFinal::Poll {
            self.transmission.final_due = true;
        }
        Ok(())
    }

    /// §6.8.6: before anything else of the packet is believed.
    fn authenticate(&mut self, now: Instant, packet: &ControlPacket) -> Result<(), Discard> {
        if self.authenticator.is_some() {
            // The packet may have come before the timers that have expired meanwhile.
            self.forget_sequence(now);
        }
        match &mut self.authenticator {
            Some(authenticator) => authenticator.verify(packet),
            None if packet.authentication.is_some() => Err(Discard::UnexpectedAuthentication),
            None => Ok(()),
        }
    }

    /// Transmit interval and Detection Time follow from these, and so are computed anew with each packet.
    fn note_remote(&mut self, now: Instant, packet: &ControlPacket) {
        self.remote = Remote {
            discr: Some(packet.my_discriminator),
            session_state: packet.state,
            diag: packet.diagnostic,
            desired_min_tx_interval: packet.desired_min_tx_interval,
            min_rx_interval: packet.required_min_rx_interval,
            min_echo_rx_interval: packet.required_min_echo_rx_interval,
            demand_mode: packet.demand,
            control_plane_independent: packet.control_plane_independent,
            detect_mult: Some(packet.detect_mult),
            heard_at: Some(now),
        };
    }

    /// While Up, the latest change of state is the one to Up.
    fn note_receive_gap(&mut self, now: Instant) {
        let (State::Up, Some(up), false) = (
            self.session_state,
            self.last_change,
            self.demand.is_in_force(),
        ) else {
            return;
        };
        let (Some(heard_at), Some(detection_time)) = (self.remote.heard_at, self.detection_time())
        else {
            return;
        };
        let margin = DetectionMargin {
            gap: now.saturating_duration_since(heard_at),
            detection_time,
            at: now,
            since: up.at,
        };
        let interval = self.agreed_rx_interval();
        self.counters.receive_gaps.count(margin.gap, interval);
        let worst = &mut self.counters.detection_margin;
        if worst.is_none_or(|worst| margin.is_closer_than(&worst)) {
            *worst = Some(margin);
        }
    }

    /// The state machine of §6.2 and §6.8.6.
    fn follow(&mut self, now: Instant, received: State) {
        let signaled_down = Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN;
        match (self.session_state, received) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.set_state(now, State::Down, signaled_down);
            }
            (State::Down, State::Down) => self.set_state(now, State::Init, self.local_diag),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.set_state(now, State::Up, Diagnostic::NONE);
            }
            (State::AdminDown, _)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
    }

    fn set_state(&mut self, now: Instant, to: State, local_diag: Diagnostic) {
        let from = self.session_state;
        let heard_at = self.remote.heard_at;
        let silence = heard_at.map(|heard_at| now.saturating_duration_since(heard_at));
        let detection_time = self.detection_time();
        self.session_state = to;
        self.local_diag = local_diag;
        if to == State::Up {
            self.generation += 1;
            self.counters.ups += 1;
            self.counters.detection_margin = None;
        } else if from == State::Up {
            self.counters.downs += 1;
        }
        let change = StateChange {
            session: self.id,
            from,
            to,
            local_diag,
            remote_diag: self.remote.diag,
            remote_state: self.remote.session_state,
            remote_control_plane_independent: self.remote.control_plane_independent,
            at: now,
            silence,
            detection_time,
            generation: self.generation,
        };
        self.last_change = Some(change);
        self.events.push_back(change);
        self.advertise();
    }

    /// Sets what is advertised to what configuration and state ask for; a difference starts a Poll Sequence (§6.6, §6.8.3).
    fn advertise(&mut self) {
        let up = self.session_state == State::Up;
        let desired_min_tx_interval = if up {
            self.config.desired_min_tx_interval
        } else {
            // §6.8.3: while not Up, not less than one second.
            self.config.desired_min_tx_interval.max(Micros::ONE_SECOND)
        };
        let required_min_rx_interval = self.config.required_min_rx_interval;
        let timers_changed = (desired_min_tx_interval, required_min_rx_interval)
            != (self.desired_min_tx_interval, self.required_min_rx_interval);
        let demand_changed = self
            .demand
            .advertise(self.clock, self.wants_demand(), self.both_up());
        if timers_changed || demand_changed {
            self.poll.start();
        }
        self.desired_min_tx_interval = desired_min_tx_interval;
        self.required_min_rx_interval = required_min_rx_interval;
        if up {
            // §6.8.3: what would make us slower than the remote system expects, or less patient than it knows, waits for the end
            // of the Poll Sequence.
            self.tx_in_force = self.tx_in_force.min(desired_min_tx_interval);
            self.rx_in_force = self.rx_in_force.max(required_min_rx_interval);
        } else {
            self.tx_in_force = desired_min_tx_interval;
            self.rx_in_force = required_min_rx_interval;
        }
    }

    fn both_up(&self) -> bool {
        self.session_state == State::Up && self.remote.session_state == State::Up
    }

    /// §6.8.4: when silence is long enough to mean something.
    fn detection_deadline(&self) -> Option<Instant> {
        if self.demand.is_in_force() {
            self.demand_deadline()
        } else {
            Some(self.silent_since()? + self.detection_time()?)
        }
    }

    /// In asynchronous mode: silence that was asked for does not count.
    fn silent_since(&self) -> Option<Instant> {
        Some(self.demand.silent_since(self.remote.heard_at?))
    }

    /// §6.8.4, and §6.8.1 on bfd.RemoteDiscr. The rest of what is known of the remote system goes with its discriminator: else a
    /// request for silence would outlive the system that made it.
    fn expire_detection(&mut self, now: Instant) {
        let is_heard = self.is_heard_in_demand_mode();
        if matches!(self.session_state, State::Init | State::Up) {
            let expired = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
            self.set_state(now, State::Down, expired);
        }
        if !is_heard {
            let forget_at = self.sequence_deadline();
            if let Some((authenticator, at)) = self.authenticator.as_mut().zip(forget_at) {
                authenticator.forget_at(at);
            }
            self.remote = Remote::unknown(self.remote.diag);
        }
    }

    /// A Poll may go unanswered by a system that is heard.
    fn is_heard_in_demand_mode(&self) -> bool {
        self.demand.is_in_force() && self.remote.heard_at > self.answer_owed_since()
    }

    /// §6.8.1, bfd.AuthSeqKnown: set to 0 after twice the Detection Time without packets. Never while silence is asked for: what
    /// was recorded meanwhile would be believed by a session that is Up.
    fn sequence_deadline(&self) -> Option<Instant> {
        if self.demand.is_in_force() {
            return None;
        }
        Some(self.silent_since()? + self.detection_time()? * 2)
    }

    fn forget_sequence(&mut self, now: Instant) {
        let deadline = self.sequence_deadline();
        if let Some(authenticator) = &mut self.authenticator {
            let deadline = deadline.or(authenticator.deadline());
            if deadline.is_some_and(|at| at <= now) {
                authenticator.forget_sequence();
            }
        }
    }

    /// Makes keys and configuration agree. Sequence numbers begin at random (§6.8.1, bfd.XmitAuthSeq).
    fn follow_authentication(&mut self) {
        let wanted = self.config.authentication.as_ref();
        match (&mut self.authenticator, wanted) {
            (Some(authenticator), Some(wanted)) => authenticator.set_authentication(wanted),
            (None, Some(wanted)) => {
                let sequence = self.rng.random();
                let authenticator = Authenticator::new(wanted.clone(), sequence);
                self.authenticator = Some(Box::new(authenticator));
            }
            (_, None) => self.authenticator = None,
        }
    }

    fn handle_transmit_timer(&mut self, now: Instant) {
        if let Some(echo) = &mut self.echo {
            echo.handle_transmit_timer(now);
        }
        let Some(due_at) = self.transmission.next_at.filter(|at| *at <= now) else {
            return;
        };
        let late_by = now.saturating_duration_since(due_at);
        if self
            .transmission
            .interval
            .is_some_and(|interval| late_by > interval / 2)
        {
            self.counters.late_timers += 1;
        }
        self.transmission.next_at = None;
        self.transmission.periodic_due = true;
    }

    /// §6.8.7: a passive system does not speak before it is spoken to.
    fn must_stay_silent(&self) -> bool {
        self.config.passive && self.remote.discr.is_none()
    }

    /// §6.8.4: the interval at which the remote system has agreed to transmit.
    fn agreed_rx_interval(&self) -> Duration {
        self.rx_in_force
            .max(self.remote.desired_min_tx_interval)
            .as_duration()
    }

    fn agreed_tx_interval(&self) -> Duration {
        self.tx_in_force
            .max(self.remote.min_rx_interval)
            .as_duration()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) or [`poll_echo_transmit`](Self::poll_echo_transmit) has a packet.
    pub(crate) fn has_to_transmit(&self) -> bool {
        let echo_due = self.echo.as_ref().is_some_and(|echo| echo.is_due());
        echo_due || self.transmission.final_due || self.wants_to_transmit(&self.contents())
    }

    /// A packet is due by the clock, or because it would say something new (§6.8.7).
    fn wants_to_transmit(&self, contents: &ControlPacket) -> bool {
        !self.must_stay_silent() && (self.transmission.periodic_due || self.would_be_new(contents))
    }

    fn would_be_new(&self, contents: &ControlPacket) -> bool {
        self.transmission.last_contents.as_ref() != Some(contents)
    }

    fn schedule_after_transmission(&mut self, now: Instant) {
        let interval = self.tx_interval();
        let next_at = interval.map(|interval| self.jittered(now, interval));
        self.transmission.periodic_due = false;
        self.transmission.last_at = Some(now);
        self.transmission.interval = interval;
        self.transmission.next_at = next_at;
    }

    /// Moves the transmit timer if the interval has changed, and only then: counted from the latest transmission.
    fn reschedule(&mut self, now: Instant) {
        self.schedule_demand_poll(now);
        self.follow_echo(now);
        let interval = self.tx_interval();
        if interval == self.transmission.interval {
            return;
        }
        self.transmission.interval = interval;
        let last_at = self.transmission.last_at;
        self.transmission.next_at = interval.map(|interval| match last_at {
            Some(last_at) => self.jittered(last_at, interval).max(now),
            None => now,
        });
        self.transmission.periodic_due &= interval.is_some();
    }

    /// §6.8.7: an interval after this transmission, less a random part of it.
    fn jittered(&mut self, from: Instant, interval: Duration) -> Instant {
        self.grid
            .draw(&mut self.rng, from, interval, self.config.detect_mult)
    }

    /// §6.8.7.
    fn contents(&self) -> ControlPacket {
        ControlPacket {
            diagnostic: self.local_diag,
            state: self.session_state,
            poll_final: PollFinal::Neither,
            control_plane_independent: self.config.control_plane_independent,
            demand: self.demand.is_advertised(),
            detect_mult: self.config.detect_mult,
            my_discriminator: self.id.local_discr(),
            your_discriminator: self.remote.discr,
            desired_min_tx_interval: self.desired_min_tx_interval,
            required_min_rx_interval: self.required_min_rx_interval,
            required_min_echo_rx_interval: self.required_min_echo_rx_interval(),
            authentication: None,
        }
    }
}
