//! Watches the path to a neighbor with BFD, and prints what happens.
//!
//! ```text
//! cargo run --example bfd_probe -- 192.0.2.1
//! cargo run --example bfd_probe -- fe80::1 --interface eth0 --interval 50 --multiplier 3
//! cargo run --example bfd_probe -- 203.0.113.1 --multihop --minimum-ttl 250
//! ```
//!
//! The neighbor must run BFD and expect us. Press Enter to stop; the neighbor is told that it is on purpose.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use bfd::engine::{Engine, EngineConfig};
use bfd::{Encapsulation, HopKind, Micros, SessionConfig, SessionKey, SessionStatus, StateChange};

const USAGE: &str = "usage: bfd_probe ADDRESS[:PORT] [--interface NAME] [--local ADDRESS] [--listen ADDRESS:PORT]
                 [--interval MILLISECONDS] [--multiplier NUMBER] [--passive] [--multihop] [--minimum-ttl NUMBER]";

fn main() -> ExitCode {
    match Arguments::parse(env::args().skip(1)).and_then(|arguments| probe(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bfd_probe: {error}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    key: SessionKey,
    config: SessionConfig,
    engine: EngineConfig,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut remote = None;
        let (mut interface, mut local, mut listen) = (None, None, None);
        let (mut multihop, mut minimum_ttl) = (false, 254);
        let mut config = SessionConfig::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--interface" => interface = Some(value()?),
                "--local" => local = Some(value()?.parse()?),
                "--listen" => listen = Some(value()?.parse::<SocketAddr>()?),
                "--interval" => {
                    let interval = Micros::from_millis(value()?.parse()?);
                    config.desired_min_tx_interval = interval;
                    config.required_min_rx_interval = interval;
                }
                "--multiplier" => config.detect_mult = value()?.parse()?,
                "--passive" => config.passive = true,
                "--multihop" => multihop = true,
                "--minimum-ttl" => minimum_ttl = value()?.parse()?,
                _ if word.starts_with("--") => return Err(format!("{word}?\n{USAGE}").into()),
                _ => remote = Some(word),
            }
        }
        let hop = if multihop {
            HopKind::Multi { minimum_ttl }
        } else {
            HopKind::Single
        };
        let remote = remote.ok_or(USAGE)?;
        let mut engine = EngineConfig::default();
        if let Some(listen) = listen {
            engine.single_hop_listen = vec![listen];
            engine.multihop_listen = vec![listen];
        }
        Ok(Self {
            key: SessionKey {
                remote: remote_address(&remote, hop.encapsulation())?,
                local,
                interface,
                hop,
            },
            config,
            engine,
        })
    }
}

fn remote_address(text: &str, encapsulation: Encapsulation) -> Result<SocketAddr, Box<dyn Error>> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let ip: IpAddr = text.parse().map_err(|_| {
        format!("{text:?} is no address: write 192.0.2.1, fe80::1 or 192.0.2.1:3784")
    })?;
    Ok(SocketAddr::new(ip, encapsulation.port()))
}

fn probe(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let engine = Engine::start(arguments.engine.clone(), move |change| {
        print_change(started, change);
    })?;
    engine.add(arguments.key.clone(), arguments.config.clone())?;
    println!("{}: press Enter to stop", arguments.key);

    let (sender, enter) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        drop(sender);
    });
    while let Err(mpsc::RecvTimeoutError::Timeout) = enter.recv_timeout(Duration::from_secs(5)) {
        engine.status().iter().for_each(print_status);
    }
    engine.status().iter().for_each(print_status);
    for (reason, count) in engine.discards().iter() {
        println!("{count} datagrams for no session: {reason}");
    }
    engine.shutdown();
    Ok(())
}

fn print_change(started: Instant, change: &StateChange) {
    println!(
        "{:10.3} s  {} -> {}: {}; the neighbor says {}, {}",
        (change.at - started).as_secs_f64(),
        change.from,
        change.to,
        change.local_diag,
        change.remote_state,
        change.remote_diag,
    );
}

fn print_status(status: &SessionStatus) {
    let counters = &status.counters;
    println!(
        "{} {}: sending every {:?}, detection in {:?} (worst margin {:?}), {} in, {} out, {} late timers",
        status.key,
        status.session_state,
        status.tx_interval,
        status.detection_time,
        counters.detection_margin.map(|margin| margin.left()),
        counters.packets_in,
        counters.packets_out,
        counters.late_timers,
    );
    for (reason, count) in counters.discarded.iter() {
        println!("  discarded {count}: {reason}");
    }
}
