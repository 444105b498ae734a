//! BFD under measurement: Herald's engine, FRR's bfdd and BIRD, each against the same responder in the same run.
//!
//! ```console
//! # cargo bench --bench bfd -- PART [--help]
//! ```
//!
//! The speaker under test is in one network namespace, the responder (one thread of this process, which is every remote system) in
//! another. What is measured is taken from the kernel's time stamps of packets, and processor time from its accounts of threads.
//! Progress goes to standard error, the tables to standard output.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::use_self,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    missing_debug_implementations,
    reason = "a bench is a program of its own, and may panic"
)]

mod close;
mod floor;
mod latency;
mod load;
mod network;
mod observer;
mod responder;
mod saturated;
mod scale;
mod speakers;
mod table;

#[path = "../common/message.rs"]
mod message;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../common/usage.rs"]
mod usage;

use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, getrlimit, setrlimit};

use network::Network;
use speakers::Kind;
use support::Lab;

#[derive(Parser, Debug)]
#[command(name = "cargo bench --bench bfd --", about = "Measures BFD speakers")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Print one JSON array instead of tables.
    #[arg(long, global = true)]
    json: bool,
    /// What cargo adds.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand, Debug)]
enum Part {
    /// How late a failure is noticed.
    Latency(latency::Options),
    /// Many sessions: until all are up, what it costs, and how evenly packets come.
    Scale(scale::Options),
    /// Whether a machine with more work than it can do makes a speaker see failures that are none.
    Saturated(saturated::Options),
    /// How soon the daemon ends a BGP session whose path is dead.
    Close(close::Options),
    /// What this machine's timers and sockets take.
    Floor(floor::Options),
    #[command(hide = true)]
    Engine(speakers::EngineArguments),
    #[command(hide = true)]
    Busy,
}

/// What several parts have in common.
#[derive(clap::Args, Debug)]
struct Common {
    /// Whom to measure; all of them unless said.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// How often.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// A taste, in less than a minute for each speaker.
    #[arg(long)]
    quick: bool,
}

impl Common {
    fn kinds(&self) -> &[Kind] {
        if self.only.is_empty() {
            &Kind::ALL
        } else {
            &self.only
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.part {
        Part::Engine(arguments) => return speakers::run_engine(arguments),
        Part::Busy => load::be_busy(),
        _ => {}
    }
    let Some(lab) = Lab::open_alone("bfd") else {
        return;
    };
    raise_limit_of_files();
    let network = Network::build(&lab);
    let tables = match &arguments.part {
        Part::Latency(options) => latency::run(&lab, &network, options),
        Part::Scale(options) => scale::run(&lab, &network, options),
        Part::Saturated(options) => saturated::run(&lab, &network, options),
        Part::Close(options) => close::run(&lab, &network, options),
        Part::Floor(options) => floor::run(&network, options),
        Part::Engine(_) | Part::Busy => unreachable!("a process of its own"),
    };
    table::print(&tables, arguments.json);
}

/// The value that this part (0 to 1) of sorted values do not exceed.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Each session needs a socket.
fn raise_limit_of_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Reads `10` and `10ms` as milliseconds.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").unwrap_or(text);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no number of milliseconds, e.g. 10ms"))?;
    Ok(Duration::from_millis(number))
}
