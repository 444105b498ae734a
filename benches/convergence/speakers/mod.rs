//! Who is measured. Each has one table to announce, and as many neighbors as there are sinks; it waits for them to connect.

mod bare;
mod bird;
mod child;
mod engine;
mod frr;
mod gobgp;
mod herald;

use std::net::Ipv4Addr;

use rustix::process::Pid;

use crate::support::{Lab, Namespace};

/// Whom to measure, and for FRR how it is told of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The daemon.
    Herald,
    /// Its BGP thread alone, without the rest of the daemon.
    Engine,
    WriteLoop,
    Bird,
    Gobgp,
    Frr,
    /// As MetalLB tells it.
    FrrReload,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::WriteLoop,
        Self::Herald,
        Self::Engine,
        Self::Bird,
        Self::Gobgp,
        Self::Frr,
        Self::FrrReload,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Herald => "herald",
            Self::Engine => "herald-engine",
            Self::WriteLoop => "write-loop",
            Self::Bird => "BIRD",
            Self::Gobgp => "GoBGP",
            Self::Frr => "FRR",
            Self::FrrReload => "FRR-reload",
        }
    }

    /// Starts it with the table of so many prefixes, and neighbors for so many sinks.
    pub fn start(self, lab: &Lab, at: &Namespace, prefixes: u32, sinks: u8) -> Box<dyn Speaker> {
        match self {
            Self::Herald => Box::new(herald::Daemon::start(lab, at, prefixes, sinks)),
            Self::Engine => Box::new(child::Child::start("engine", at, prefixes, sinks)),
            Self::WriteLoop => Box::new(child::Child::start("write-loop", at, prefixes, sinks)),
            Self::Bird => Box::new(bird::Daemon::start(lab, at, prefixes, sinks)),
            Self::Gobgp => Box::new(gobgp::Daemon::start(lab, at, prefixes, sinks)),
            Self::Frr => Box::new(frr::Daemon::start(lab, at, prefixes, sinks, false)),
            Self::FrrReload => Box::new(frr::Daemon::start(lab, at, prefixes, sinks, true)),
        }
    }
}

/// A running speaker that knows the table.
pub trait Speaker {
    /// What counts as its own when processor time and memory are counted.
    fn processes(&self) -> Vec<Pid>;

    /// Has it announce [`one_more`], or withdraw it, in the fastest way it offers; returns when it has been told.
    fn change(&mut self, is_more: bool);

    /// Waits until the tool that told it has ended.
    fn settle(&mut self) {}

    /// How many single routes it makes sense to wait for.
    fn most_singles(&self) -> u32 {
        u32::MAX
    }
}

/// What a process of this program does that was started as a speaker.
pub fn child(role: &str, arguments: &[String]) {
    let number = |at: usize| arguments[at].parse::<u32>().unwrap();
    let (prefixes, sinks) = (number(0), u8::try_from(number(1)).unwrap());
    match role {
        "engine" => engine::run(prefixes, sinks),
        "write-loop" => bare::run(prefixes, sinks),
        other => panic!("there is no role {other}"),
    }
}

/// The table, as addresses.
pub fn table(prefixes: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..prefixes).map(|index| Ipv4Addr::from_bits(0x0A00_0000 + index))
}

/// The address of the single route.
pub fn one_more() -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 1)
}
