//! Who is measured. Each has as many sessions as the responder, with the same intervals, from the moment it starts.

mod bird;
mod cgroup;
mod engine;
mod frr;

use std::fmt;

use clap::ValueEnum;
use rustix::process::Pid;

use crate::load::{self, Load};
use crate::network::Network;
use crate::responder::Setup;
use crate::support::Lab;

/// Whom to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `bfd::engine::Engine` in a process of its own.
    Herald,
    Bird,
    /// Its `bfdd`, with `zebra` and `mgmtd`.
    Frr,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Herald, Self::Bird, Self::Frr];

    pub fn name(self) -> &'static str {
        match self {
            Self::Herald => "herald",
            Self::Bird => "BIRD",
            Self::Frr => "FRR",
        }
    }

    pub fn start(self, lab: &Lab, network: &Network, setup: Setup, load: Load) -> Box<dyn Speaker> {
        match self {
            Self::Herald => Box::new(engine::Child::start(&network.speaker, setup, load)),
            Self::Bird => Box::new(bird::Daemon::start(lab, &network.speaker, setup)),
            Self::Frr => Box::new(frr::Daemon::start(lab, &network.speaker, setup)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running speaker; gone when dropped.
pub trait Speaker {
    /// What counts as its own when processor time is counted.
    fn processes(&self) -> Vec<Pid>;

    /// Gives it real-time priority, unless it has taken that itself.
    fn prioritize(&self) {
        load::prioritize_processes(&self.processes());
    }
}

pub use engine::{Arguments as EngineArguments, run as run_engine};
