//! Everything at once, for as long as one likes: services that come and go, reloads, sessions that are reset, a link that is cut, and a
//! daemon that is restarted and killed, beside FRR, BIRD and GoBGP; and at the end everybody must agree.
//!
//! A minute by default; `scripts/soak MINUTES` runs it longer. What happens is chance, of a seed that is printed: with it in
//! `HERALD_SOAK_SEED` the same happens again. This test needs root and what `scripts/test` installs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

#[path = "soak/chaos.rs"]
mod chaos;
#[path = "soak/flapper.rs"]
mod flapper;
#[path = "soak/health.rs"]
mod health;
#[path = "soak/model.rs"]
mod model;
#[allow(
    dead_code,
    reason = "the network of the interop tests, of which this is one part"
)]
#[path = "interop/neighborhood.rs"]
mod neighborhood;
#[path = "soak/vitals.rs"]
mod vitals;

mod support;

use std::time::{Duration, Instant};

use chaos::Chaos;
use support::announce;

/// The part of the time after which the daemon is not restarted any more: from here on its memory must not grow.
const LAST_LIFE: f64 = 0.6;

#[test]
fn at_the_end_everybody_agrees() {
    let minutes = number("HERALD_SOAK_MINUTES").unwrap_or(1);
    let seed = number("HERALD_SOAK_SEED").unwrap_or_else(rand::random);
    let Some(mut chaos) = Chaos::start("at_the_end_everybody_agrees", seed) else {
        return;
    };
    announce(&format!("soak: {minutes} min, HERALD_SOAK_SEED={seed}"));
    let (began, wanted) = (Instant::now(), Duration::from_secs(60 * minutes));
    while began.elapsed() < wanted.mul_f64(LAST_LIFE) {
        chaos.turn(true);
    }
    chaos.settle();
    let before = chaos.vitals();
    while began.elapsed() < wanted {
        chaos.turn(false);
    }
    chaos.settle();
    let after = chaos.vitals();
    announce(&format!(
        "soak: {before} after {LAST_LIFE} of the time, {after} at the end"
    ));
    after.assert_not_grown(&before);
    chaos.end();
}

fn number(variable: &str) -> Option<u64> {
    let number = std::env::var(variable).ok()?;
    Some(
        number
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={number} is no number")),
    )
}
