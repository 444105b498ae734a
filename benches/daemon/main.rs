//! The daemon under measurement, as its operator meets it: how soon a verdict is on the wire, what a reload costs, how soon a dead path
//! takes a service along, what it keeps resident, and how soon it is there.
//!
//! ```console
//! # cargo bench --bench daemon -- PART [--help]
//! ```
//!
//! The router is a thread of this process in a namespace of its own, which waits to be connected to and notes when it is told what.
//! BIRD, FRR and GoBGP do the same in the same run where they can. Progress goes to standard error, the tables (Markdown) to standard
//! output; beside each figure stands its ratio to Herald's.
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

mod cut;
mod footprint;
mod path;
mod reload;
mod router;
mod speakers;
mod start;
mod table;
mod verdict;

#[path = "../common/message.rs"]
mod message;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../common/usage.rs"]
mod usage;

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::{Parser, Subcommand};

use support::{Lab, Namespace};

/// The speaker and its AS.
const SPEAKER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const SPEAKER_AS: u16 = 65000;
/// The routers, all in one AS.
const ROUTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 99, 0, 2), Ipv4Addr::new(10, 99, 0, 3)];
const ROUTER_AS: u16 = 65001;
/// Who has a BFD session with the speaker, and no BGP.
const FAR_END: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 9);

#[derive(Parser, Debug)]
#[command(
    name = "cargo bench --bench daemon --",
    about = "Measures the daemon beside others"
)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Fewer samples.
    #[arg(long, global = true)]
    quick: bool,
    /// What cargo adds.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum Part {
    /// From what a health check answers, or the API is told, to the UPDATE at the router, among 10,000 services.
    Verdict,
    /// Another configuration with 10,000 services: until it is in force, and what goes over the wire.
    Reload,
    /// From a dead path to the withdrawal of the service that needs it.
    Cut,
    /// What is resident with two peers and 1,000 services, and how large the programs are.
    Footprint,
    /// From the start to the first route at the router.
    Start,
    /// One after the other.
    All,
}

fn main() {
    let arguments = Arguments::parse();
    let Some(lab) = Lab::open_alone("daemon") else {
        return;
    };
    // Building it is no part of what is measured.
    support::daemon::binary();
    let network = Network::build(&lab);
    let parts = match arguments.part {
        Part::All => &[
            Part::Verdict,
            Part::Reload,
            Part::Cut,
            Part::Footprint,
            Part::Start,
        ][..],
        _ => std::slice::from_ref(&arguments.part),
    };
    for part in parts {
        let tables = match part {
            Part::Verdict => vec![verdict::run(&lab, &network, arguments.quick)],
            Part::Reload => reload::run_all(&lab, &network, arguments.quick),
            Part::Cut => vec![cut::run(&lab, &network, arguments.quick)],
            Part::Footprint => footprint::run(&lab, &network),
            Part::Start => vec![start::run(&lab, &network, arguments.quick)],
            Part::All => unreachable!("taken apart"),
        };
        tables.iter().for_each(table::Table::print);
    }
}

/// The speaker's namespace and the routers', and the cable between them.
struct Network {
    speaker: Namespace,
    routers: Namespace,
}

impl Network {
    fn build(lab: &Lab) -> Self {
        let (speaker, routers) = (lab.namespace("speaker"), lab.namespace("routers"));
        let addresses = [ROUTERS[0], ROUTERS[1], FAR_END].map(|address| format!("{address}/24"));
        support::namespace::connect(
            (&speaker, "eth0", &[&format!("{SPEAKER}/24")]),
            (&routers, "eth0", &addresses.each_ref().map(String::as_str)),
        );
        Self { speaker, routers }
    }
}

/// So many addresses of services.
fn services(count: u32) -> Vec<Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(11, 0, 0, 1));
    (first..first + count).map(Ipv4Addr::from).collect()
}

/// The time that this part (0 to 1) of the times do not exceed.
fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let rank = (times.len() as f64 * part).ceil() as usize;
    times[rank.max(1) - 1]
}
