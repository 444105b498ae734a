//! The session beside a model of it that is short enough to be read with RFC 5880 in hand.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "the model is shared with a fuzz target"
)]

mod compare;
mod model;

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Instant;

use compare::{Comparison, Operation};
use herald_bfd::{
    AuthenticationSection, ControlPacket, Diagnostic, Micros, PollFinal, SessionConfig, State,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn interval() -> impl Strategy<Value = Micros> {
    prop_oneof![
        1 => Just(0),
        1 => Just(1),
        6 => prop::sample::select(vec![10_000, 50_000, 300_000, 1_000_000, 3_000_000]),
        1 => any::<u32>(),
    ]
    .prop_map(Micros::new)
}

fn multiplier() -> impl Strategy<Value = NonZeroU8> {
    prop_oneof![1..6_u8, 1..=255_u8].prop_map(|mult| NonZeroU8::new(mult).unwrap())
}

prop_compose! {
    fn packet()(
        state in prop::sample::select(vec![
            State::AdminDown, State::Down, State::Init, State::Init, State::Up, State::Up, State::Up,
        ]),
        poll_final in prop::sample::select(vec![PollFinal::Neither, PollFinal::Poll, PollFinal::Final]),
        (control_plane_independent, demand) in any::<(bool, bool)>(),
        diagnostic in 0..32_u8,
        detect_mult in multiplier(),
        my_discriminator in 1..4_u32,
        (desired, required, echo) in (interval(), interval(), interval()),
        authenticated in prop::bool::weighted(0.02),
    ) -> ControlPacket {
        ControlPacket {
            diagnostic: Diagnostic::new(diagnostic).unwrap(),
            state,
            poll_final,
            control_plane_independent,
            demand,
            detect_mult,
            my_discriminator: NonZeroU32::new(my_discriminator).unwrap(),
            your_discriminator: NonZeroU32::new(0x1111),
            desired_min_tx_interval: desired,
            required_min_rx_interval: required,
            required_min_echo_rx_interval: echo,
            authentication: authenticated.then(|| AuthenticationSection::new(1, vec![1, b'x']).unwrap()),
        }
    }
}

prop_compose! {
    fn config()(
        (desired, required) in (interval(), interval()),
        detect_mult in multiplier(),
        passive in prop::bool::weighted(0.2),
        control_plane_independent in any::<bool>(),
    ) -> SessionConfig {
        SessionConfig {
            desired_min_tx_interval: desired,
            required_min_rx_interval: required,
            detect_mult,
            passive,
            control_plane_independent,
            ..SessionConfig::default()
        }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => packet().prop_map(Operation::Hear),
        3 => (0..2_000_000_u32).prop_map(Operation::Pass),
        4 => Just(Operation::Wait),
        2 => (0..2_u8).prop_map(Operation::AwaitDetection),
        2 => config().prop_map(Operation::Configure),
        1 => any::<bool>().prop_map(|down| Operation::Administrate { down }),
        1 => Just(Operation::Poll),
    ]
}

proptest! {
    #[test]
    fn a_session_does_what_the_model_does(
        seed in any::<u64>(),
        config in config(),
        operations in vec(operation(), 1..100),
    ) {
        let mut comparison = Comparison::new(Instant::now(), seed, config);
        for operation in operations {
            comparison.apply(operation);
        }
    }
}
