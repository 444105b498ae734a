//! Properties that hold for every input: of the codec, of a session under any sequence of inputs, of an endpoint under any bytes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use herald_bfd::{
    AuthType, Authentication, AuthenticationKey, AuthenticationSection, ControlPacket, Diagnostic,
    Discard, EchoConfig, Encapsulation, Endpoint, Micros, PollFinal, RxMeta, Session,
    SessionConfig, SessionCounters, SessionId, SessionKey, SessionStatus, State, StateChange,
    TRANSMIT_TTL,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::AdminDown),
        Just(State::Down),
        Just(State::Init),
        Just(State::Up)
    ]
}

fn poll_final() -> impl Strategy<Value = PollFinal> {
    prop_oneof![
        3 => Just(PollFinal::Neither),
        1 => Just(PollFinal::Poll),
        1 => Just(PollFinal::Final)
    ]
}

fn authentication() -> impl Strategy<Value = AuthenticationSection> {
    (any::<u8>(), vec(any::<u8>(), 0..=229))
        .prop_map(|(auth_type, data)| AuthenticationSection::new(auth_type, data).unwrap())
}

/// Intervals, with those at the edges often.
fn interval() -> impl Strategy<Value = Micros> {
    prop_oneof![
        1 => Just(0),
        1 => Just(1),
        1 => Just(u32::MAX),
        6 => 10_000..2_000_000_u32,
        1 => any::<u32>()
    ]
    .prop_map(Micros::new)
}

prop_compose! {
    fn packet(authenticated: bool)(
        (diagnostic, state, poll_final) in (0..32_u8, state(), poll_final()),
        (control_plane_independent, demand) in (any::<bool>(), prop::bool::weighted(0.2)),
        (detect_mult, my, your) in (1..=255_u8, 1..=u32::MAX, any::<u32>()),
        (desired, required, echo) in (interval(), interval(), interval()),
        authentication in option::weighted(if authenticated { 0.3 } else { 0.0 }, authentication()),
    ) -> ControlPacket {
        ControlPacket {
            diagnostic: Diagnostic::new(diagnostic).unwrap(),
            state,
            poll_final,
            control_plane_independent,
            demand,
            detect_mult: NonZeroU8::new(detect_mult).unwrap(),
            my_discriminator: NonZeroU32::new(my).unwrap(),
            your_discriminator: NonZeroU32::new(your),
            desired_min_tx_interval: desired,
            required_min_rx_interval: required,
            required_min_echo_rx_interval: echo,
            authentication,
        }
    }
}

prop_compose! {
    fn echo()(
        desired_min_tx_interval in option::of(interval()),
        required_min_rx_interval in interval(),
    ) -> EchoConfig {
        EchoConfig { desired_min_tx_interval, required_min_rx_interval }
    }
}

prop_compose! {
    fn config()(
        (desired, required) in (interval(), interval()),
        detect_mult in prop_oneof![Just(1), Just(3), 1..=255_u8],
        passive in prop::bool::weighted(0.2),
        demand_mode in prop::bool::weighted(0.2),
        demand_poll_interval in option::of(interval().prop_map(Micros::as_duration)),
        echo in option::weighted(0.3, echo()),
    ) -> SessionConfig {
        SessionConfig {
            desired_min_tx_interval: desired,
            required_min_rx_interval: required,
            detect_mult: NonZeroU8::new(detect_mult).unwrap(),
            passive,
            demand_mode,
            demand_poll_interval,
            echo,
            ..SessionConfig::default()
        }
    }
}

/// Bytes that look like a packet more often than chance would have it.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (
        packet(true),
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    )
        .prop_map(|(packet, changes)| {
            let mut octets = packet.encode();
            for (index, octet) in changes {
                let index = index.index(octets.len());
                octets[index] = octet;
            }
            octets
        });
    prop_oneof![vec(any::<u8>(), 0..300), mutated]
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_back(packet in packet(true)) {
        prop_assert_eq!(ControlPacket::parse(&packet.encode()), Ok(packet));
    }

    #[test]
    fn what_is_read_is_encoded_back_without_its_padding(octets in datagram()) {
        if let Ok(packet) = ControlPacket::parse(&octets) {
            let length = usize::from(octets[3]);
            let encoded = packet.encode();
            // Without authentication, Length may count padding.
            let meant = if packet.authentication.is_some() { length } else { 24 };
            prop_assert_eq!(encoded.len(), meant);
            prop_assert_eq!(&encoded[4..], &octets[4..meant]);
            prop_assert_eq!(&encoded[..3], &octets[..3]);
        }
    }

    #[test]
    fn no_datagram_panics_or_is_answered_more_than_once(datagrams in vec(datagram(), 1..20)) {
        let now = Instant::now();
        let mut endpoint = Endpoint::new(1);
        let key = SessionKey::single_hop([192, 0, 2, 1].into());
        let source = SocketAddr::new(key.remote.ip(), 49152);
        endpoint.add(now, key, None, SessionConfig::default()).unwrap();
        while endpoint.poll_transmit(now).is_some() {}
        let meta = RxMeta {
            source,
            destination: [192, 0, 2, 2].into(),
            interface_index: Some(1),
            ttl: Some(TRANSMIT_TTL),
            encapsulation: Encapsulation::SingleHop,
        };
        for datagram in datagrams {
            let _ = endpoint.handle_datagram(now, &meta, &datagram);
            let sent = std::iter::from_fn(|| endpoint.poll_transmit(now)).count();
            prop_assert!(sent <= 1);
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Hear(ControlPacket),
    Pass(Duration),
    /// Sleep until the timer, wake this late.
    Timer(Duration),
    SetConfig(SessionConfig),
    Poll,
    Disable,
    Enable,
    TakeDown,
    /// The oldest echo packet under way comes back.
    EchoReturns,
    EchoOfRemote,
}

fn op() -> impl Strategy<Value = Op> {
    let millis = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    prop_oneof![
        8 => packet(true).prop_map(Op::Hear),
        2 => millis(0..5000).prop_map(Op::Pass),
        6 => millis(0..20).prop_map(Op::Timer),
        1 => config().prop_map(Op::SetConfig),
        1 => Just(Op::Poll),
        1 => Just(Op::Disable),
        1 => Just(Op::Enable),
        1 => Just(Op::TakeDown),
        3 => Just(Op::EchoReturns),
        1 => Just(Op::EchoOfRemote),
    ]
}

fn status_is_silent(status: &SessionStatus) -> bool {
    let echo = status.echo.as_ref();
    echo.is_none_or(|echo| echo.tx_interval.is_none())
}

/// A session under test, and what was seen of it.
struct Observed {
    session: Session,
    now: Instant,
    state: State,
    generation: u64,
    last: Option<(Instant, ControlPacket)>,
    /// The shortest interval that was in force since `last`.
    shortest: Option<Duration>,
    echo: VecDeque<Vec<u8>>,
    last_echo_at: Option<Instant>,
}

impl Observed {
    fn new(config: SessionConfig) -> Self {
        let now = Instant::now();
        let id = SessionId::new(NonZeroU32::new(42).unwrap());
        Self {
            session: Session::new(now, id, config, 7),
            now,
            state: State::Down,
            generation: 0,
            last: None,
            shortest: None,
            echo: VecDeque::new(),
            last_echo_at: None,
        }
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        let before = self.session.state();
        match op {
            Op::Hear(packet) => {
                let outcome = self.session.handle_packet(self.now, &packet);
                prop_assert_eq!(
                    outcome == Err(Discard::UnexpectedAuthentication),
                    packet.authentication.is_some()
                );
            }
            Op::Pass(time) => {
                self.now += time;
                self.session.handle_timeout(self.now);
            }
            Op::Timer(late) => {
                if let Some(at) = self.session.poll_timeout() {
                    self.now = self.now.max(at) + late;
                    self.session.handle_timeout(self.now);
                }
            }
            Op::SetConfig(config) => {
                self.session.set_config(self.now, config);
                prop_assert_eq!(self.session.state(), before, "timers do not make it flap");
            }
            Op::Poll => self.session.poll(self.now),
            Op::Disable => self.session.disable(self.now),
            Op::Enable => self.session.enable(self.now),
            Op::TakeDown => self.session.take_down(self.now, Diagnostic::PATH_DOWN),
            Op::EchoReturns => {
                if let Some(packet) = self.echo.pop_front() {
                    let _ = self.session.handle_echo(self.now, &packet);
                    prop_assert!(
                        self.session.handle_echo(self.now, &packet).is_err(),
                        "each counts once"
                    );
                }
            }
            Op::EchoOfRemote => {
                let outcome = self.session.return_echo(self.now);
                prop_assert!(outcome.is_err() || self.session.config().echo.is_some());
            }
        }
        if before == State::AdminDown && self.session.state() != State::AdminDown {
            prop_assert_eq!(
                self.session.state(),
                State::Down,
                "only by hand, and to Down"
            );
        }
        self.check_transmissions()?;
        self.check_events()?;
        self.check_timers()
    }

    fn check_transmissions(&mut self) -> Result<(), TestCaseError> {
        self.note_interval();
        let sent: Vec<_> = std::iter::from_fn(|| self.session.poll_transmit(self.now)).collect();
        prop_assert!(
            sent.len() <= 2,
            "an answer and a packet at most: {:?}",
            sent
        );
        for packet in sent {
            prop_assert_eq!(packet.state, self.session.state());
            prop_assert!(!packet.control_plane_independent);
            if packet.demand {
                prop_assert!(self.session.config().demand_mode);
                prop_assert_eq!(packet.state, State::Up);
            }
            if packet.state != State::Up {
                prop_assert!(packet.desired_min_tx_interval >= Micros::ONE_SECOND);
            }
            if self.session.config().passive {
                prop_assert!(packet.your_discriminator.is_some());
            }
            if packet.poll_final == PollFinal::Final {
                // It may have told what is new, and so is the reference for what follows.
                self.last = None;
            } else {
                self.check_pace(packet)?;
            }
        }
        self.check_echo()
    }

    /// RFC 5880 §6.8.9: only while Up, and not more often than the remote system can take.
    fn check_echo(&mut self) -> Result<(), TestCaseError> {
        while let Some(packet) = self.session.poll_echo_transmit(self.now) {
            prop_assert_eq!(self.session.state(), State::Up);
            let status = self.status();
            let allowed = status.remote_min_echo_rx_interval.as_duration();
            prop_assert!(!allowed.is_zero());
            if let Some(at) = self.last_echo_at.replace(self.now) {
                let rounding = Duration::from_micros(1);
                let anew = self.state != State::Up;
                prop_assert!(anew || self.now - at + rounding >= allowed * 3 / 4);
            }
            self.echo.push_back(packet);
            self.echo.truncate(512);
        }
        if status_is_silent(&self.status()) {
            self.last_echo_at = None;
        }
        Ok(())
    }

    fn status(&self) -> SessionStatus {
        self.session
            .status(SessionKey::single_hop([192, 0, 2, 1].into()))
    }

    /// What says nothing new keeps its distance from what was sent before.
    fn check_pace(&mut self, packet: ControlPacket) -> Result<(), TestCaseError> {
        let contents = ControlPacket {
            poll_final: PollFinal::Neither,
            ..packet
        };
        if let Some((at, last)) = &self.last
            && *last == contents
        {
            let shortest = self.shortest.unwrap_or_default();
            let rounding = Duration::from_micros(1);
            prop_assert!(self.now - *at + rounding >= shortest * 3 / 4);
        }
        self.last = Some((self.now, contents));
        self.shortest = None;
        self.note_interval();
        Ok(())
    }

    fn note_interval(&mut self) {
        if let Some(interval) = self.session.tx_interval() {
            self.shortest = Some(self.shortest.map_or(interval, |it| it.min(interval)));
        }
    }

    fn check_events(&mut self) -> Result<(), TestCaseError> {
        while let Some(change) = self.session.poll_event() {
            let StateChange { from, to, .. } = change;
            prop_assert_eq!(from, self.state, "no change goes unreported");
            prop_assert_ne!(from, to);
            prop_assert_eq!(change.at, self.now);
            self.generation += u64::from(to == State::Up);
            prop_assert_eq!(change.generation, self.generation);
            self.state = to;
        }
        prop_assert_eq!(self.session.state(), self.state);
        Ok(())
    }

    fn check_timers(&mut self) -> Result<(), TestCaseError> {
        let status = self.status();
        prop_assert_eq!(
            status.remote_discr.is_some(),
            status.detection_time.is_some()
        );
        // What is due is done by one call, or the driver would spin.
        if self.session.poll_timeout().is_some_and(|at| at <= self.now) {
            self.session.handle_timeout(self.now);
            self.check_transmissions()?;
            self.check_events()?;
            prop_assert!(self.session.poll_timeout().is_none_or(|at| at > self.now));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_session_keeps_its_promises_under_any_inputs(
        config in config(),
        ops in vec(op(), 1..80),
    ) {
        let mut observed = Observed::new(config);
        for op in ops {
            observed.apply(op)?;
        }
    }
}

fn auth_type() -> impl Strategy<Value = AuthType> {
    prop::sample::select(AuthType::ALL.to_vec())
}

prop_compose! {
    fn key()(auth_type in auth_type())(
        id in any::<u8>(),
        octets in vec(any::<u8>(), 1..=auth_type.longest_key()),
        auth_type in Just(auth_type),
    ) -> AuthenticationKey {
        AuthenticationKey::new(auth_type, id, &octets).unwrap()
    }
}

/// A session with this key, and with this discriminator.
fn keyed_session(now: Instant, key: &AuthenticationKey, discr: u32) -> Session {
    let config = SessionConfig {
        authentication: Some(Authentication::from(key.clone())),
        ..SessionConfig::default()
    };
    let id = SessionId::new(NonZeroU32::new(discr).unwrap());
    Session::new(now, id, config, discr.into())
}

/// All there is to see of a session but its counters.
fn variables(session: &Session) -> SessionStatus {
    let key = SessionKey::single_hop([192, 0, 2, 1].into());
    SessionStatus {
        counters: SessionCounters::default(),
        ..session.status(key)
    }
}

proptest! {
    #[test]
    fn signed_packets_are_believed_as_they_are_and_only_once(
        key in key(),
        packets in vec((any::<prop::sample::Index>(), 0..8_u8), 1..10),
    ) {
        let mut now = Instant::now();
        let mut sender = keyed_session(now, &key, 1);
        let mut receiver = keyed_session(now, &key, 2);
        for (index, bit) in packets {
            let packet = sender.poll_transmit(now).unwrap();
            let octets = packet.encode();
            prop_assert_eq!(ControlPacket::parse(&octets), Ok(packet.clone()));

            // A password covers nothing but itself.
            if key.auth_type() != AuthType::SimplePassword {
                let mut flipped = octets.clone();
                flipped[index.index(octets.len())] ^= 1 << bit;
                let before = variables(&receiver);
                if let Ok(packet) = ControlPacket::parse(&flipped) {
                    prop_assert!(receiver.handle_packet(now, &packet).is_err());
                }
                prop_assert_eq!(variables(&receiver), before);
            }

            prop_assert_eq!(receiver.handle_packet(now, &packet), Ok(()));
            if key.auth_type().is_meticulous() {
                let again = receiver.handle_packet(now, &packet).map_err(|discard| discard.label());
                prop_assert_eq!(again, Err("authentication-sequence"));
            }
            now = sender.poll_timeout().unwrap();
            sender.handle_timeout(now);
        }
    }

    #[test]
    fn keys_that_differ_believe_nothing_of_each_other(one in key(), other in key()) {
        prop_assume!(one != other);
        let now = Instant::now();
        let packet = keyed_session(now, &one, 1).poll_transmit(now).unwrap();
        let mut receiver = keyed_session(now, &other, 2);
        let before = variables(&receiver);
        prop_assert!(receiver.handle_packet(now, &packet).is_err());
        prop_assert_eq!(variables(&receiver), before);
    }
}
