//! One test per rule; the names are those of the rows of the conformance list, and of its regression inputs.
#![allow(clippy::disallowed_methods)]

mod authentication;
mod demand;
mod echo;
mod reception;
mod timers;

use super::*;
use crate::packet::AuthenticationSection;

const SECOND: Duration = Duration::from_secs(1);
const LOCAL: u32 = 0x1111;
const REMOTE: u32 = 0x7777;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn discr(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).unwrap()
}

fn mult(value: u8) -> NonZeroU8 {
    NonZeroU8::new(value).unwrap()
}

fn config(tx_millis: u32, rx_millis: u32) -> SessionConfig {
    SessionConfig {
        desired_min_tx_interval: Micros::from_millis(tx_millis),
        required_min_rx_interval: Micros::from_millis(rx_millis),
        ..SessionConfig::default()
    }
}

/// What the remote system says: 300 ms, 300 ms, ×3.
fn heard(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll_final: PollFinal::Neither,
        control_plane_independent: false,
        demand: false,
        detect_mult: mult(3),
        my_discriminator: discr(REMOTE),
        your_discriminator: Some(discr(LOCAL)),
        desired_min_tx_interval: Micros::from_millis(300),
        required_min_rx_interval: Micros::from_millis(300),
        required_min_echo_rx_interval: Micros::ZERO,
        authentication: None,
    }
}

fn with(state: State, poll_final: PollFinal) -> ControlPacket {
    ControlPacket {
        poll_final,
        ..heard(state)
    }
}

/// A session, and the time it is there.
struct Rig {
    session: Session,
    now: Instant,
}

impl Rig {
    fn with_config(config: SessionConfig) -> Self {
        let now = Instant::now();
        let id = SessionId::new(discr(LOCAL));
        Self {
            session: Session::new(now, id, config, 1),
            now,
        }
    }

    fn new() -> Self {
        Self::with_config(SessionConfig::default())
    }

    /// A session in this state; what it had to say has been said, and its polls have been answered.
    fn in_state(state: State) -> Self {
        Self::with_config_in_state(SessionConfig::default(), state)
    }

    fn with_config_in_state(config: SessionConfig, state: State) -> Self {
        let mut rig = Self::with_config(config);
        rig.sent();
        match state {
            State::AdminDown => rig.session.disable(rig.now),
            State::Down => {}
            State::Init => drop(rig.hear(&heard(State::Down))),
            State::Up => {
                rig.hear(&heard(State::Down));
                rig.hear(&heard(State::Up));
            }
        }
        rig.sent();
        if rig.session.poll.is_active() {
            rig.answer_poll(state);
        }
        while rig.session.poll_event().is_some() {}
        assert_eq!(rig.session.state(), state);
        rig
    }

    fn answer_poll(&mut self, state: State) {
        let remote_state = if state == State::Up {
            State::Up
        } else {
            State::Down
        };
        self.run_until_sent();
        self.hear(&with(remote_state, PollFinal::Final));
    }

    fn sent(&mut self) -> Vec<ControlPacket> {
        std::iter::from_fn(|| self.session.poll_transmit(self.now)).collect()
    }

    fn hear(&mut self, packet: &ControlPacket) -> Vec<ControlPacket> {
        self.session.handle_packet(self.now, packet).unwrap();
        self.sent()
    }

    fn refuse(&mut self, packet: &ControlPacket) -> Discard {
        self.session.handle_packet(self.now, packet).unwrap_err()
    }

    fn configure(&mut self, config: SessionConfig) -> Vec<ControlPacket> {
        self.session.set_config(self.now, config);
        self.sent()
    }

    /// Lets time pass, doing what is due when it is due.
    fn pass(&mut self, time: Duration) -> Vec<(Instant, ControlPacket)> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            sent.extend(self.sent().into_iter().map(|packet| (self.now, packet)));
        }
        self.now = end;
        sent
    }

    /// Lets time pass until packets are sent.
    fn run_until_sent(&mut self) -> Vec<ControlPacket> {
        loop {
            self.now = self.session.poll_timeout().unwrap().max(self.now);
            self.session.handle_timeout(self.now);
            let sent = self.sent();
            if !sent.is_empty() {
                return sent;
            }
        }
    }

    /// The times between the next packets, while the remote system goes on saying Up.
    fn gaps(&mut self, count: usize) -> Vec<Duration> {
        let mut gaps = Vec::new();
        self.run_until_sent();
        for _ in 0..count {
            let before = self.now;
            let state = self.session.remote.session_state;
            self.hear(&ControlPacket {
                state,
                desired_min_tx_interval: self.session.remote.desired_min_tx_interval,
                required_min_rx_interval: self.session.remote.min_rx_interval,
                ..heard(state)
            });
            self.run_until_sent();
            gaps.push(self.now - before);
        }
        gaps
    }

    fn change(&mut self) -> StateChange {
        let change = self.session.poll_event().unwrap();
        assert_eq!(self.session.poll_event(), None, "exactly one event");
        change
    }

    fn status(&self) -> SessionStatus {
        let key = SessionKey::single_hop([192, 0, 2, 1].into());
        self.session.status(key)
    }
}
