//! Many sessions at short intervals: how long until all are up, what they cost, and how evenly the speaker's packets come.

use std::thread;
use std::time::Duration;

use crate::load::{Busy, Load};
use crate::network::{MOST_SESSIONS, Network};
use crate::responder::{Report, Responder, Setup};
use crate::speakers::Kind;
use crate::support::Lab;
use crate::table::{Cell, Table};
use crate::usage;
use crate::{Common, milliseconds};

const DETECT_MULT: u8 = 3;
/// Between the last session up and the beginning of the measurement.
const WARM_UP: Duration = Duration::from_secs(4);

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    load: Load,
    /// How many sessions [default: 100,500,1000,2000; with --quick 100,500].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_SESSIONS)))]
    sessions: Vec<u16>,
    /// At which intervals, in ms.
    #[arg(long, value_delimiter = ',', default_values = ["50ms", "10ms"], value_parser = milliseconds)]
    intervals: Vec<Duration>,
    /// How long each is watched, in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long sessions may take to come up, in seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

pub fn run(lab: &Lab, network: &Network, options: &Options) -> Vec<Table> {
    let _busy = Busy::start(options.load);
    let mut table = Table::new(format!(
        "Scale, x{DETECT_MULT}, {}, {} s each; gaps between the speaker's packets in % of the interval",
        options.load.describe(),
        options.watched().as_secs()
    ));
    for interval in &options.intervals {
        for &sessions in options.sizes() {
            let setup = Setup {
                sessions,
                interval: *interval,
                detect_mult: DETECT_MULT,
            };
            for kind in options.common.kinds() {
                for _ in 0..options.common.rounds {
                    table.add(measure(lab, network, *kind, setup, options));
                }
            }
        }
    }
    vec![table]
}

impl Options {
    fn sizes(&self) -> &[u16] {
        match (self.sessions.is_empty(), self.common.quick) {
            (false, _) => &self.sessions,
            (true, true) => &[100, 500],
            (true, false) => &[100, 500, 1000, 2000],
        }
    }

    fn watched(&self) -> Duration {
        Duration::from_secs(if self.common.quick { 3 } else { self.seconds })
    }
}

fn measure(lab: &Lab, network: &Network, kind: Kind, setup: Setup, options: &Options) -> Vec<Cell> {
    let responder = Responder::start(&network.responder, setup);
    let speaker = kind.start(lab, network, setup, options.load);
    responder.wait_until_up(&setup, Duration::from_secs(options.patience));
    options.load.prioritize(speaker.as_ref(), &responder);
    thread::sleep(WARM_UP);

    let processes = speaker.processes();
    let cpu = || {
        (
            usage::cpu_of(&processes),
            usage::cpu_of_thread(responder.task()),
        )
    };
    let before = cpu();
    responder.watch();
    thread::sleep(options.watched());
    let report = responder.report();
    let after = cpu();
    let per_cent = |used: Duration| used.as_secs_f64() / watched(&report) * 100.0;
    row(
        kind,
        setup,
        &report,
        per_cent(after.0.saturating_sub(before.0)),
        per_cent(after.1.saturating_sub(before.1)),
    )
}

fn watched(report: &Report) -> f64 {
    (report.until - report.since) as f64 / 1e9
}

fn row(kind: Kind, setup: Setup, report: &Report, speaker: f64, responder: f64) -> Vec<Cell> {
    let all_up_after = report
        .all_up_at
        .zip(report.first_packet)
        .map(|(all, first)| (all - first) as f64 / 1e9);
    let gap = |part| report.gaps.quantile(part);
    vec![
        Cell::new("speaker", kind.name(), kind.name()),
        Cell::count("sessions", setup.sessions.into()),
        Cell::number("interval, ms", Some(setup.interval.as_secs_f64() * 1e3), 0),
        Cell::number("all Up after, s", all_up_after, 2),
        Cell::count("Up at the end", report.up.into()),
        Cell::number("CPU, %", Some(speaker), 1),
        Cell::number("responder CPU, %", Some(responder), 1),
        Cell::count("false Downs", report.false_downs),
        Cell::count("deserved Downs", report.deserved_downs),
        Cell::count("other Downs", report.other_downs),
        Cell::count("silences", report.silences),
        Cell::number("gap p50", gap(0.5), 0),
        Cell::number("p99", gap(0.99), 0),
        Cell::number("p99.9", gap(0.999), 0),
        Cell::number("max", gap(1.0).map(|_| report.gaps.longest()), 0),
        Cell::number(
            "packets/s",
            Some(report.packets as f64 / watched(report)),
            0,
        ),
        Cell::count("dropped", report.dropped),
    ]
}
