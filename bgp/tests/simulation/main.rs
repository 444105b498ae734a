//! Sessions in virtual time, over TCP that is slow, resets, half-closes, forgets, and sometimes
//! carries nothing at all, in one direction or in both.
//!
//! Whatever happens, once the paths are well again every session is Established and both sides have
//! each other's routes. A failure names its seed: `HERALD_SEED=n` runs that one alone, and prints what
//! happens; `HERALD_SEEDS=n` runs so many.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic"
)]

mod world;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use herald_bgp::State;

use self::world::World;

#[test]
fn c_057_c_058_both_sides_always_come_to_agree() {
    for_each_seed(10_000, |seed, verbose| {
        let mut world = World::troubled(2, seed, verbose);
        world.run();
        everybody_agrees(&world);
    });
}

#[test]
fn three_speakers_always_come_to_agree() {
    for_each_seed(1000, |seed, verbose| {
        let mut world = World::troubled(3, seed, verbose);
        world.run();
        everybody_agrees(&world);
    });
}

/// On a path that always works, nothing is lost by starting at the same moment.
#[test]
fn c_052_c_057_a_collision_costs_the_winner_nothing() {
    for_each_seed(1000, |seed, verbose| {
        let mut world = World::undisturbed(2, seed, verbose);
        world.run();
        everybody_agrees(&world);
        nobody_was_harmed(&world);
    });
}

/// Neither is it where everything takes no time, and both sides do the same at the same moment.
#[test]
fn c_052_c_057_two_sides_that_start_at_once_on_a_quick_path_are_up_at_once() {
    for_each_seed(5000, |seed, verbose| {
        let mut world = World::quick(2, seed, verbose);
        let started = world.now();
        world.run_until(started + Duration::from_secs(15));
        everybody_agrees(&world);
        nobody_was_harmed(&world);
        for status in world.statuses() {
            let wait = status.since.unwrap() - started;
            assert!(wait < Duration::from_millis(3), "{wait:?}");
        }
    });
}

fn nobody_was_harmed(world: &World) {
    for status in world.statuses() {
        assert_eq!(
            (status.established, status.dropped, &status.last_reset),
            (1, 0, &None)
        );
    }
}

fn everybody_agrees(world: &World) {
    for status in world.statuses() {
        assert_eq!(status.state, State::Established, "{status:#?}");
    }
    for (announced, heard) in world.tables() {
        assert_eq!(*announced, heard);
    }
}

/// Runs a scenario for each of the seeds, on every processor, and says how many these were.
fn for_each_seed(count: u64, scenario: impl Fn(u64, bool) + Sync) -> u64 {
    let (seeds, verbose) = seeds(count);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let _failure = NameSeed(seed);
            scenario(seed, verbose);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    seeds.end - seeds.start
}

/// The seeds to run, and whether to print what happens.
fn seeds(count: u64) -> (Range<u64>, bool) {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse().unwrap());
    match number("HERALD_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("HERALD_SEEDS").unwrap_or(count), false),
    }
}

/// Says which seed it was that failed.
struct NameSeed(u64);

impl Drop for NameSeed {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("failed with HERALD_SEED={}", self.0);
        }
    }
}
