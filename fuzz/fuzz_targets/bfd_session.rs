//! A session takes packets with any fields, time and orders in any sequence, beside a model that is BFD as the RFC tells it: both
//! are in the same state at all times, say the same, and find silence too long at the same moment.
#![no_main]

extern crate bfd as herald_bfd;

#[path = "../../bfd/tests/reference/compare.rs"]
mod compare;
#[path = "../../bfd/tests/reference/model.rs"]
mod model;

use std::num::NonZeroU8;
use std::time::Instant;

use bfd::{ControlPacket, Micros, SessionConfig};
use compare::{Comparison, Operation};
use herald_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let config = config(&mut input);
    let mut comparison = Comparison::new(Instant::now(), 1, config);
    while let Some(number) = input.operation() {
        if let Some(operation) = operation(number, &mut input) {
            comparison.apply(operation);
        }
    }
});

/// The numbers are part of the seeds.
fn operation(number: u8, input: &mut Input<'_>) -> Option<Operation> {
    Some(match number {
        0 => Operation::Hear(ControlPacket::parse(input.octets()).ok()?),
        1 => Operation::Pass(input.u32()),
        2 => Operation::Wait,
        3 => Operation::AwaitDetection(input.octet()),
        4 => Operation::Configure(config(input)),
        5 => Operation::Administrate { down: input.flag() },
        6 => Operation::Poll,
        _ => return None,
    })
}

fn config(input: &mut Input<'_>) -> SessionConfig {
    SessionConfig {
        desired_min_tx_interval: Micros::new(input.u32()),
        required_min_rx_interval: Micros::new(input.u32()),
        detect_mult: NonZeroU8::new(input.octet()).unwrap_or(NonZeroU8::MIN),
        passive: input.flag(),
        control_plane_independent: input.flag(),
        ..SessionConfig::default()
    }
}
