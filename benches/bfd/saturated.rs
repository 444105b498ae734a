//! A machine with more work than it can do: does the speaker declare sessions down whose packets have come in time?
//!
//! What came, and when, an observer in the speaker's namespace says by the kernel's time stamps: a Down is false if no gap between the
//! packets of its session, the one still open included, was as long as the Detection Time.

use std::iter;
use std::thread;
use std::time::Duration;

use crate::load::{Busy, Load};
use crate::network::{self, Network};
use crate::observer::{Observer, Seen};
use crate::responder::session::{Nanoseconds, Packet, State};
use crate::responder::{Down, Report, Responder, Setup};
use crate::speakers::Kind;
use crate::support::{Lab, announce};
use crate::table::{Cell, Table};

const DETECT_MULT: u8 = 3;
/// How far back a gap may be that a Down is put down to.
const MEMORY: Nanoseconds = 1_000_000_000;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// With real-time priority and without it.
const CASES: [(u64, bool); 2] = [(10, true), (50, false)];

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Whom to measure.
    #[arg(long, value_delimiter = ',', default_value = "herald")]
    only: Vec<Kind>,
    /// How many sessions.
    #[arg(long, default_value_t = 20)]
    sessions: u16,
    /// Busy processes for each processor.
    #[arg(long, default_value_t = 4)]
    busy: usize,
    /// For how long, each with real-time priority at 10 ms and without it at 50 ms.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Ten seconds each.
    #[arg(long)]
    quick: bool,
}

pub fn run(lab: &Lab, network: &Network, options: &Options) -> Vec<Table> {
    let seconds = if options.quick { 10 } else { options.seconds };
    let mut table = Table::new(format!(
        "Saturated: {} sessions, x{DETECT_MULT}, {} busy processes per processor, {seconds} s each",
        options.sessions, options.busy
    ));
    for kind in &options.only {
        for (interval, realtime) in CASES {
            let setup = Setup {
                sessions: options.sessions,
                interval: Duration::from_millis(interval),
                detect_mult: DETECT_MULT,
            };
            let load = Load {
                busy: options.busy,
                realtime,
            };
            table.add(measure(lab, network, *kind, setup, load, seconds));
        }
    }
    vec![table]
}

fn measure(
    lab: &Lab,
    network: &Network,
    kind: Kind,
    setup: Setup,
    load: Load,
    seconds: u64,
) -> Vec<Cell> {
    let arrivals = vec![Arrivals::default(); setup.sessions.into()];
    let observer = Observer::start(&network.speaker, arrivals, |arrivals: &mut Vec<_>, seen| {
        note(arrivals, seen);
    });
    let responder = Responder::start(&network.responder, setup);
    let speaker = kind.start(lab, network, setup, load);
    assert!(
        responder.wait_until_up(&setup, Duration::from_secs(60)),
        "{kind}: sessions do not come up"
    );
    load.prioritize(speaker.as_ref(), &responder);
    let _busy = Busy::start(load);
    thread::sleep(Duration::from_secs(2));

    while responder.next_down(Duration::ZERO).is_some() {}
    responder.watch();
    thread::sleep(Duration::from_secs(seconds));
    let report = responder.report();
    // What the speaker says as it ends is not looked at.
    let downs: Vec<Down> = iter::from_fn(|| responder.next_down(Duration::ZERO))
        .filter(|down| down.at < report.until)
        .collect();
    let arrivals = observer.stop();
    drop(speaker);
    let downs = downs
        .into_iter()
        .map(|down| Judged::new(down, &arrivals, &setup));
    let downs: Vec<Judged> = downs.collect();
    for down in &downs {
        announce(&down.describe(&report));
    }
    row(kind, setup, load, &report, &downs, &arrivals)
}

/// A Down, and whether there was reason for it.
struct Judged {
    down: Down,
    /// The longest time without a packet that preceded it.
    worst_gap: Nanoseconds,
    is_false: bool,
}

impl Judged {
    fn new(down: Down, arrivals: &[Arrivals], setup: &Setup) -> Self {
        let worst_gap = arrivals[usize::from(down.session)].worst_gap_before(down.at);
        let is_in_time = u128::from(worst_gap) < setup.detection_time().as_nanos();
        Self {
            down,
            worst_gap,
            is_false: down.is_detected() && is_in_time,
        }
    }

    fn describe(&self, report: &Report) -> String {
        let Down {
            session,
            at,
            diagnostic,
            ..
        } = self.down;
        let verdict = match (self.down.is_detected(), self.is_false) {
            (false, _) => "told by the remote system",
            (true, true) => "FALSE",
            (true, false) => "deserved",
        };
        format!(
            "    after {:.3} s session {session} down, diagnostic {diagnostic}: {verdict}; the worst gap before it was {:.2} ms",
            seconds(at.saturating_sub(report.since)),
            seconds(self.worst_gap) * 1e3
        )
    }
}

/// When the packets of one session came while it was up, in order.
#[derive(Clone, Default)]
struct Arrivals {
    times: Vec<Nanoseconds>,
    /// Where in `times` a time of being up begins.
    beginnings: Vec<usize>,
    was_up: bool,
}

impl Arrivals {
    fn note(&mut self, at: Nanoseconds, is_up: bool) {
        if is_up {
            if !self.was_up {
                self.beginnings.push(self.times.len());
            }
            self.times.push(at);
        }
        self.was_up = is_up;
    }

    /// The longest gap within the [`MEMORY`] before `at`, the one that is open then included.
    fn worst_gap_before(&self, at: Nanoseconds) -> Nanoseconds {
        let end = self.times.partition_point(|time| *time <= at);
        let begin = self.times.partition_point(|time| time + MEMORY < at);
        let begin = begin.min(end.saturating_sub(1));
        let open = self.times[..end].last().map_or(0, |last| at - last);
        self.worst_gap(begin, end).max(open)
    }

    /// The longest gap between packets of a range.
    fn worst_gap(&self, begin: usize, end: usize) -> Nanoseconds {
        let is_within = |later: &usize| self.beginnings.binary_search(later).is_err();
        let gaps = (begin + 1..end).filter(is_within);
        gaps.map(|later| self.times[later] - self.times[later - 1])
            .max()
            .unwrap_or(0)
    }

    fn worst_gap_since(&self, since: Nanoseconds) -> Nanoseconds {
        let begin = self.times.partition_point(|time| *time < since);
        self.worst_gap(begin, self.times.len())
    }
}

/// Takes a packet for the speaker into the notes.
fn note(arrivals: &mut [Arrivals], seen: Seen<'_>) {
    let port = seen.payload.get(2..4).map(|port| [port[0], port[1]]);
    if seen.protocol != UDP || port != Some(network::PORT.to_be_bytes()) {
        return;
    }
    let session = network::session(seen.source).map(usize::from);
    let session = session.and_then(|session| arrivals.get_mut(session));
    let packet = seen.payload.get(UDP_HEADER..).and_then(Packet::read);
    if let (Some(session), Some(packet)) = (session, packet) {
        session.note(seen.at, packet.state == State::Up);
    }
}

fn row(
    kind: Kind,
    setup: Setup,
    load: Load,
    report: &Report,
    downs: &[Judged],
    arrivals: &[Arrivals],
) -> Vec<Cell> {
    let count = |what: &dyn Fn(&Judged) -> bool| downs.iter().filter(|down| what(down)).count();
    let count = |name, what: &dyn Fn(&Judged) -> bool| Cell::count(name, count(what) as u64);
    let worst = arrivals
        .iter()
        .map(|arrivals| arrivals.worst_gap_since(report.since));
    let worst = worst.max().map(|worst| seconds(worst) * 1e3);
    let priority = if load.realtime {
        "real-time"
    } else {
        "ordinary"
    };
    vec![
        Cell::new("speaker", kind.name(), kind.name()),
        Cell::number("interval, ms", Some(setup.interval.as_secs_f64() * 1e3), 0),
        Cell::new("priority", priority, priority),
        count("false Downs", &|down| down.is_false),
        count("deserved Downs", &|down| {
            down.down.is_detected() && !down.is_false
        }),
        count("other Downs", &|down| !down.down.is_detected()),
        Cell::number("worst gap of the responder, ms", worst, 2),
        Cell::count("silences", report.silences),
        Cell::number("gap p50, %", report.gaps.quantile(0.5), 0),
        Cell::number("p99", report.gaps.quantile(0.99), 0),
        Cell::number("p99.9", report.gaps.quantile(0.999), 0),
        Cell::number("max", Some(report.gaps.longest()), 0),
    ]
}

fn seconds(time: Nanoseconds) -> f64 {
    time as f64 / 1e9
}
