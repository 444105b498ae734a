//! BFD as the RFC tells it, read aloud: RFC 5880 §6.8, in asynchronous mode, with the remote system's demand mode.
//!
//! Written for clarity, from the text and not from the crate: time is a number of microseconds, nothing is jittered, nothing is
//! scheduled. It knows what a session is, what it has to say at once, and when silence has lasted too long.

use std::num::NonZeroU32;

use herald_bfd::{ControlPacket, Diagnostic, Micros, PollFinal, SessionConfig, State};

const SECOND: Micros = Micros::ONE_SECOND;

#[derive(Debug, Clone)]
pub struct Model {
    pub config: SessionConfig,
    pub local_discr: NonZeroU32,
    pub state: State,
    pub diag: Diagnostic,
    /// The last packet from the remote system; `None` after a Detection Time without one.
    pub remote: Option<ControlPacket>,
    pub heard_at: u64,
    /// What §6.8.3 holds back until a Poll Sequence ends.
    pub tx: Micros,
    pub rx: Micros,
    pub polling: bool,
    poll_is_out: bool,
    changed_since: bool,
    last_sent: Option<ControlPacket>,
    answer_due: bool,
    /// Up periods so far.
    generation: u64,
    /// Changes of state, for the comparison to take.
    pub changes: Vec<Change>,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: State,
    pub to: State,
    pub diag: Diagnostic,
    /// The number of the Up period that it begins, or belongs to, or ends.
    pub generation: u64,
}

impl Model {
    pub fn new(local_discr: NonZeroU32, config: SessionConfig) -> Self {
        Self {
            tx: config.desired_min_tx_interval.max(SECOND),
            rx: config.required_min_rx_interval,
            config,
            local_discr,
            state: State::Down,
            diag: Diagnostic::NONE,
            remote: None,
            heard_at: 0,
            polling: false,
            poll_is_out: false,
            changed_since: false,
            last_sent: None,
            answer_due: false,
            generation: 0,
            changes: Vec::new(),
        }
    }

    /// §6.8.6, behind the checks of the packet itself. False: discarded.
    pub fn receive(&mut self, now: u64, packet: &ControlPacket) -> bool {
        if packet.authentication.is_some() {
            return false;
        }
        self.remote = Some(packet.clone());
        self.heard_at = now;
        if packet.poll_final == PollFinal::Final && self.polling && self.poll_is_out {
            // §6.5, and of a parameter changed meanwhile nothing is known yet.
            (self.poll_is_out, self.polling) = (false, self.changed_since);
            self.changed_since = false;
            if !self.polling {
                (self.tx, self.rx) = (self.advertised_tx(), self.config.required_min_rx_interval);
            }
        }
        if self.state == State::AdminDown {
            return false;
        }
        match (packet.state, self.state) {
            (State::AdminDown, State::Down) => {}
            (State::AdminDown, _) | (State::Down, State::Up) => {
                self.change(State::Down, Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN);
            }
            (State::Down, State::Down) => self.change(State::Init, self.diag),
            (State::Init, State::Down) | (State::Init | State::Up, State::Init) => {
                self.change(State::Up, Diagnostic::NONE);
            }
            _ => {}
        }
        self.answer_due |= packet.poll_final == PollFinal::Poll;
        true
    }

    /// §6.8.4, and §6.8.1 on bfd.RemoteDiscr.
    pub fn expire(&mut self, now: u64) {
        if self.deadline().is_some_and(|at| at <= now) {
            if matches!(self.state, State::Init | State::Up) {
                self.change(State::Down, Diagnostic::CONTROL_DETECTION_TIME_EXPIRED);
            }
            self.remote = None;
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        Some(self.heard_at + self.detection_time()?)
    }

    /// §6.8.4: the remote system's multiplier, and the slower of what it sends and what we take.
    pub fn detection_time(&self) -> Option<u64> {
        let remote = self.remote.as_ref()?;
        let agreed = self.rx.max(remote.desired_min_tx_interval);
        Some(u64::from(remote.detect_mult.get()) * u64::from(agreed.get()))
    }

    /// §6.8.7: `None` while nothing may be sent periodically.
    pub fn tx_interval(&self) -> Option<Micros> {
        let unheard = Micros::new(1);
        let remote_min_rx = self
            .remote
            .as_ref()
            .map_or(unheard, |it| it.required_min_rx_interval);
        let may_send = remote_min_rx != Micros::ZERO
            && !(self.config.passive && self.remote.is_none())
            && (self.polling || !self.remote_demands());
        may_send.then_some(self.tx.max(remote_min_rx))
    }

    fn remote_demands(&self) -> bool {
        let remote = self.remote.as_ref();
        self.state == State::Up && remote.is_some_and(|it| it.demand && it.state == State::Up)
    }

    pub fn configure(&mut self, config: SessionConfig) {
        let before = (self.advertised_tx(), self.config.required_min_rx_interval);
        self.config = config;
        self.timers_may_have_changed(before);
    }

    /// §6.8.16, and back.
    pub fn administrate(&mut self, down: bool) {
        match (down, self.state) {
            (true, State::AdminDown) => {}
            (true, _) => self.change(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN),
            (false, State::AdminDown) => self.change(State::Down, self.diag),
            (false, _) => {}
        }
    }

    /// §6.5: verifies the path.
    pub fn poll(&mut self) {
        let remote = self.remote.as_ref();
        let both_up = self.state == State::Up && remote.is_some_and(|it| it.state == State::Up);
        self.polling |= both_up;
    }

    fn change(&mut self, state: State, diag: Diagnostic) {
        let before = (self.advertised_tx(), self.config.required_min_rx_interval);
        self.generation += u64::from(state == State::Up);
        self.changes.push(Change {
            from: self.state,
            to: state,
            diag,
            generation: self.generation,
        });
        (self.state, self.diag) = (state, diag);
        self.timers_may_have_changed(before);
    }

    /// §6.8.3: while not Up, not less than one second.
    fn advertised_tx(&self) -> Micros {
        match self.state {
            State::Up => self.config.desired_min_tx_interval,
            _ => self.config.desired_min_tx_interval.max(SECOND),
        }
    }

    /// §6.8.3: polled; and what makes us slower or less patient waits for the end of that while Up.
    fn timers_may_have_changed(&mut self, before: (Micros, Micros)) {
        let (tx, rx) = (self.advertised_tx(), self.config.required_min_rx_interval);
        if (tx, rx) != before {
            self.start_poll();
        }
        let up = self.state == State::Up;
        self.tx = if up { self.tx.min(tx) } else { tx };
        self.rx = if up { self.rx.max(rx) } else { rx };
    }

    fn start_poll(&mut self) {
        self.changed_since = self.polling && self.poll_is_out;
        self.polling = true;
    }

    /// §6.8.7
    fn contents(&self) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diag,
            state: self.state,
            poll_final: PollFinal::Neither,
            control_plane_independent: self.config.control_plane_independent,
            demand: false,
            detect_mult: self.config.detect_mult,
            my_discriminator: self.local_discr,
            your_discriminator: self.remote.as_ref().map(|it| it.my_discriminator),
            desired_min_tx_interval: self.advertised_tx(),
            required_min_rx_interval: self.config.required_min_rx_interval,
            required_min_echo_rx_interval: Micros::ZERO,
            authentication: None,
        }
    }

    /// What is to be sent at once: the answer to a Poll, or whatever is new (§6.5, §6.8.7).
    pub fn immediate(&mut self) -> Option<ControlPacket> {
        let is_new = self.last_sent.as_ref() != Some(&self.contents());
        if is_new && self.remote_demands() {
            self.start_poll(); // §6.6
        }
        if std::mem::take(&mut self.answer_due) {
            self.last_sent = Some(self.contents());
            let poll_final = PollFinal::Final;
            return Some(ControlPacket {
                poll_final,
                ..self.contents()
            });
        }
        let is_silent = self.config.passive && self.remote.is_none();
        (is_new && !is_silent).then(|| self.periodic())
    }

    /// What is sent when its time has come.
    pub fn periodic(&mut self) -> ControlPacket {
        self.last_sent = Some(self.contents());
        self.poll_is_out = self.polling;
        let poll_final = if self.polling {
            PollFinal::Poll
        } else {
            PollFinal::Neither
        };
        ControlPacket {
            poll_final,
            ..self.contents()
        }
    }
}
