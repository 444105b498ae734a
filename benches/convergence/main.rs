//! How fast routes reach many neighbors, and what it costs: Herald, FRR, BIRD and GoBGP, each with the same sinks in the same run.
//!
//! ```console
//! # cargo bench --bench convergence [-- [--quick] [--only NAME] [--rounds N] [PREFIXES SINKS]...]
//! ```
//!
//! First a table of /32s at the start of the sessions: from the first session Established to the last prefix at the last sink. Then
//! one route more, and one less, until every sink has been told. The sinks are in this process and in a namespace of their own, the
//! speaker is in another; processor time and memory are those of the speaker's processes alone.
//!
//! `write loop` is the floor: a program that has the messages ready, and writes them to one socket after another.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::use_self,
    missing_docs,
    unreachable_pub,
    reason = "a bench is a program of its own, and may panic"
)]

#[path = "../common/message.rs"]
mod message;
mod sinks;
mod speakers;
#[path = "../common/usage.rs"]
mod usage;

#[path = "../../tests/support/mod.rs"]
mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use sinks::Sinks;
use speakers::Kind;
use support::{Lab, Namespace};
use usage::Usage;

/// Where every speaker listens.
const SPEAKER: Ipv4Addr = Ipv4Addr::new(10, 99, 255, 1);
const SPEAKER_AS: u16 = 65000;

const FULL: [(u32, u8); 9] = [
    (1000, 1),
    (1000, 8),
    (1000, 64),
    (10_000, 1),
    (10_000, 8),
    (10_000, 64),
    (100_000, 1),
    (100_000, 8),
    (100_000, 64),
];
const QUICK: [(u32, u8); 2] = [(1000, 1), (1000, 8)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = arguments
        .first()
        .and_then(|role| role.strip_prefix("child="))
    {
        return speakers::child(role, &arguments[1..]);
    }
    let Some(lab) = Lab::open_alone("convergence") else {
        return;
    };
    let plan = Plan::of(&arguments);
    let network = Network::build(&lab);
    let mut results = Vec::new();
    for &(prefixes, sinks) in &plan.sizes {
        for &kind in &plan.kinds {
            for _ in 0..plan.rounds {
                let result = measure(&lab, &network, kind, prefixes, sinks, plan.singles);
                println!("{}", result.line());
                results.push(result);
            }
        }
    }
    print_tables(&results, &plan);
}

/// What is to be measured.
struct Plan {
    sizes: Vec<(u32, u8)>,
    kinds: Vec<Kind>,
    rounds: u32,
    /// How many single routes are announced and withdrawn.
    singles: u32,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let after = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag)?;
            arguments.get(at + 1).map(String::as_str)
        };
        let is_quick = arguments.iter().any(|argument| argument == "--quick");
        let numbers: Vec<u32> = arguments
            .iter()
            .enumerate()
            .filter(|(at, _)| *at == 0 || arguments[at - 1] != "--rounds")
            .filter_map(|(_, argument)| argument.parse().ok())
            .collect();
        let mut sizes: Vec<(u32, u8)> = numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], u8::try_from(pair[1]).unwrap()))
            .collect();
        if sizes.is_empty() {
            sizes = if is_quick { QUICK.into() } else { FULL.into() };
        }
        let only = after("--only");
        let kinds = Kind::ALL.into_iter();
        Self {
            sizes,
            kinds: kinds
                .filter(|kind| only.is_none_or(|only| kind.name() == only))
                .collect(),
            rounds: after("--rounds").map_or(1, |rounds| rounds.parse().unwrap()),
            singles: if is_quick { 20 } else { 200 },
        }
    }
}

/// The speaker's namespace and the sinks', and the cable between them.
struct Network {
    speaker: Namespace,
    sinks: Namespace,
}

impl Network {
    fn build(lab: &Lab) -> Self {
        let (speaker, sinks) = (lab.namespace("speaker"), lab.namespace("sinks"));
        let addresses: Vec<String> = (0..64)
            .map(|index| format!("{}/16", sinks::address(index)))
            .collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        support::namespace::connect(
            (&speaker, "eth0", &[&format!("{SPEAKER}/16")]),
            (&sinks, "eth0", &addresses),
        );
        Self { speaker, sinks }
    }
}

/// What one speaker did with one table and so many sinks.
struct Measured {
    kind: Kind,
    prefixes: u32,
    sinks: u8,
    took: Duration,
    cpu: Duration,
    peak_kib: u64,
    announced: Quantiles,
    withdrawn: Quantiles,
}

#[derive(Clone, Copy)]
struct Quantiles {
    median: Duration,
    p99: Duration,
}

impl Quantiles {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        Some(Self {
            median: *times.get(times.len() / 2)?,
            p99: *times.get(times.len() * 99 / 100)?,
        })
    }
}

fn measure(
    lab: &Lab,
    network: &Network,
    kind: Kind,
    prefixes: u32,
    count: u8,
    singles: u32,
) -> Measured {
    let mut speaker = kind.start(lab, &network.speaker, prefixes, count);
    usage::wait_until_idle(&speaker.processes());
    let processes = speaker.processes();
    usage::reset_peak(&processes);
    let before = Usage::of(&processes);

    let (dump, mut sinks) = network.sinks.enter(move || {
        let mut sinks = Sinks::connect(count);
        (sinks.wait_for_table(prefixes), sinks)
    });
    let after = Usage::of(&processes);

    sinks.forget();
    let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
    // The first one may make what the others use, and does not count.
    for turn in 0..=singles.min(speaker.most_singles()) {
        for (is_more, times) in [(true, &mut announced), (false, &mut withdrawn)] {
            // At rest, as at a time when nothing else happens.
            std::thread::sleep(Duration::from_millis(5));
            let began = Instant::now();
            speaker.change(is_more);
            let took = sinks.wait_for_one(is_more) - began;
            if turn > 0 {
                times.push(took);
            }
            speaker.settle();
        }
    }
    Measured {
        kind,
        prefixes,
        sinks: count,
        took: dump.took,
        cpu: after.cpu.saturating_sub(before.cpu),
        peak_kib: after.peak_kib,
        announced: Quantiles::of(announced).unwrap(),
        withdrawn: Quantiles::of(withdrawn).unwrap(),
    }
}

impl Measured {
    fn line(&self) -> String {
        format!(
            "{:>6} x {:<2} {:<20} table {:>9} ms, CPU {:>6.3} s, peak {:>6.1} MiB; one route {:>8} / {:>8} ms, gone {:>8} / {:>8} ms",
            self.prefixes,
            self.sinks,
            self.kind.name(),
            milliseconds(self.took),
            self.cpu.as_secs_f64(),
            self.peak_mib(),
            milliseconds(self.announced.median),
            milliseconds(self.announced.p99),
            milliseconds(self.withdrawn.median),
            milliseconds(self.withdrawn.p99),
        )
    }

    fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }
}

/// What a figure is called, how it is written, and what is compared.
type Figure<'a> = (
    &'a str,
    &'a dyn Fn(&Measured) -> String,
    &'a dyn Fn(&Measured) -> f64,
);

/// A table for each figure: a row for each speaker, a column for each size, and beside each figure its ratio to Herald's.
fn print_tables(results: &[Measured], plan: &Plan) {
    let seconds = |time: Duration| time.as_secs_f64();
    let figures: [Figure<'_>; 5] = [
        (
            "all have the table, ms",
            &|of| milliseconds(of.took),
            &|of| seconds(of.took),
        ),
        (
            "processor time for it, s",
            &|of| format!("{:.3}", seconds(of.cpu)),
            &|of| seconds(of.cpu),
        ),
        (
            "peak memory, MiB",
            &|of| format!("{:.1}", of.peak_mib()),
            &|of| of.peak_kib as f64,
        ),
        (
            "one route more, ms: median / p99",
            &|of| {
                format!(
                    "{} / {}",
                    milliseconds(of.announced.median),
                    milliseconds(of.announced.p99)
                )
            },
            &|of| seconds(of.announced.median),
        ),
        (
            "one route less, ms: median / p99",
            &|of| {
                format!(
                    "{} / {}",
                    milliseconds(of.withdrawn.median),
                    milliseconds(of.withdrawn.p99)
                )
            },
            &|of| seconds(of.withdrawn.median),
        ),
    ];
    for (title, text, value) in figures {
        let sizes: Vec<String> = plan
            .sizes
            .iter()
            .map(|(prefixes, sinks)| format!("{prefixes} x {sinks}"))
            .collect();
        println!("\n| {title} | {} |", sizes.join(" | "));
        println!("|---|{}", "---|".repeat(sizes.len()));
        for &kind in &plan.kinds {
            let cells = plan.sizes.iter().map(|&size| {
                // The best of the rounds: what disturbs a run makes it slower only.
                let best = |kind: Kind| {
                    let runs = results
                        .iter()
                        .filter(|run| run.kind == kind && (run.prefixes, run.sinks) == size);
                    runs.min_by(|one, other| value(one).total_cmp(&value(other)))
                };
                let Some(run) = best(kind) else {
                    return "-".into();
                };
                match best(Kind::Herald) {
                    Some(ours) if kind != Kind::Herald && value(ours) > 0.0 => {
                        format!("{} ({:.1}x)", text(run), value(run) / value(ours))
                    }
                    _ => text(run),
                }
            });
            println!(
                "| {} | {} |",
                kind.name(),
                cells.collect::<Vec<String>>().join(" | ")
            );
        }
    }
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..1.0 => format!("{milliseconds:.3}"),
        ..100.0 => format!("{milliseconds:.1}"),
        _ => format!("{milliseconds:.0}"),
    }
}
