//! How late a failure is noticed: a session is muted at a random time, and what counts is the time from its last packet to the
//! speaker's first that says Down, less the Detection Time.

use std::thread;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::floor;
use crate::load::{Busy, Load};
use crate::network::Network;
use crate::responder::{Responder, Setup};
use crate::speakers::Kind;
use crate::support::Lab;
use crate::table::{Cell, Table};
use crate::{Common, milliseconds, quantile};

const SESSIONS: u16 = 20;
const DETECT_MULT: u8 = 3;
/// Until timers have been negotiated.
const WARM_UP: Duration = Duration::from_secs(2);
/// Sessions of one round are muted within this many intervals.
const SPREAD: u32 = 40;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    load: Load,
    /// How many failures for each speaker and interval.
    #[arg(long, default_value_t = 60)]
    samples: usize,
    /// At which intervals, in ms.
    #[arg(long, value_delimiter = ',', default_values = ["10ms", "50ms", "300ms"], value_parser = milliseconds)]
    intervals: Vec<Duration>,
}

pub fn run(lab: &Lab, network: &Network, options: &Options) -> Vec<Table> {
    let samples = if options.common.quick {
        20
    } else {
        options.samples
    };
    let _busy = Busy::start(options.load);
    let mut table = Table::new(format!(
        "Detection latency beyond the detection time, {SESSIONS} sessions, x{DETECT_MULT}, n = {samples}, {}",
        options.load.describe()
    ));
    let floor = floor::timers(network, options.load, options.common.quick);
    for interval in &options.intervals {
        let setup = Setup {
            sessions: SESSIONS,
            interval: *interval,
            detect_mult: DETECT_MULT,
        };
        for kind in options.common.kinds() {
            for _ in 0..options.common.rounds {
                table.add(measure(lab, network, *kind, setup, options.load, samples));
            }
        }
    }
    vec![floor, table]
}

fn measure(
    lab: &Lab,
    network: &Network,
    kind: Kind,
    setup: Setup,
    load: Load,
    samples: usize,
) -> Vec<Cell> {
    let responder = Responder::start(&network.responder, setup);
    let speaker = kind.start(lab, network, setup, load);
    let mut is_prioritized = false;
    let mut chance = SmallRng::seed_from_u64(1);
    let (mut latencies, mut missed, mut false_downs) = (Vec::new(), 0, 0);
    while latencies.len() + missed < samples {
        assert!(
            responder.wait_until_up(&setup, Duration::from_secs(60)),
            "{kind}: sessions do not come up"
        );
        if !std::mem::replace(&mut is_prioritized, true) {
            load.prioritize(speaker.as_ref(), &responder);
        }
        thread::sleep(WARM_UP);
        while let Some(down) = responder.next_down(Duration::ZERO) {
            false_downs += u64::from(down.is_false(&setup));
        }
        mute_all(&responder, &setup, &mut chance);
        let mut waiting = usize::from(SESSIONS);
        while waiting > 0 {
            let patience = setup.detection_time() + Duration::from_secs(1);
            match responder.next_down(patience) {
                Some(down) if down.was_muted && down.is_detected() => {
                    latencies.push(down.latency(&setup));
                    waiting -= 1;
                }
                Some(down) => false_downs += u64::from(down.is_false(&setup)),
                None => {
                    missed += waiting;
                    break;
                }
            }
        }
        responder.unmute();
    }
    row(kind, setup, latencies, missed, false_downs)
}

/// Each at its own random time, in random order.
pub fn mute_all(responder: &Responder, setup: &Setup, chance: &mut SmallRng) {
    let mut sessions: Vec<u16> = (0..setup.sessions).collect();
    sessions.shuffle(chance);
    let mean_pause = setup.interval * SPREAD / u32::from(setup.sessions);
    for session in sessions {
        thread::sleep(mean_pause.mul_f64(chance.random_range(0.0..2.0)));
        responder.mute(session);
    }
}

fn row(
    kind: Kind,
    setup: Setup,
    mut latencies: Vec<f64>,
    missed: usize,
    false_downs: u64,
) -> Vec<Cell> {
    latencies.sort_by(f64::total_cmp);
    let quantile = |part| quantile(&latencies, part);
    vec![
        Cell::new("speaker", kind.name(), kind.name()),
        Cell::number("interval, ms", Some(setup.interval.as_secs_f64() * 1e3), 0),
        Cell::number("p50, ms", quantile(0.5), 3),
        Cell::number("p99", quantile(0.99), 3),
        Cell::number("max", quantile(1.0), 3),
        Cell::number("min", quantile(0.0), 3),
        Cell::count("samples", latencies.len() as u64),
        Cell::count("missed", missed as u64),
        Cell::count("false Downs", false_downs),
    ]
}
