//! Watches the path to a neighbor with BFD, and shows it live.
//!
//! ```text
//! cargo run --example bfd_probe -- 192.0.2.1
//! cargo run --example bfd_probe -- fe80::1%eth0 --interval 50 --multiplier 3
//! cargo run --example bfd_probe -- 203.0.113.1 --multihop --minimum-ttl 250 --json
//! ```
//!
//! The neighbor must run BFD and expect us. Ctrl-C stops; the neighbor is told that it is on purpose.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fmt};

use bfd::engine::{Engine, EngineConfig};
use bfd::{Encapsulation, HopKind, Micros, SessionConfig, SessionKey, SessionStatus, StateChange};
use serde_json::json;

const USAGE: &str = "\
Watches the path to a neighbor with BFD (RFC 5880).

usage: bfd_probe ADDRESS[%INTERFACE] [OPTIONS]
       bfd_probe ADDRESS:PORT [OPTIONS]

  --interface NAME         send from this interface, and expect packets at it
  --local ADDRESS          send from this address
  --listen ADDRESS:PORT    receive here; default: every address, port 3784, or 4784 with --multihop
  --interval MILLISECONDS  how often to send and to receive; default 300
  --multiplier NUMBER      how many packets of ours may get lost; default 3
  --passive                wait for the neighbor to speak first
  --demand                 ask the neighbor to cease periodic packets, and verify the path every second
  --multihop               the neighbor is farther away than the next hop (RFC 5883)
  --minimum-ttl NUMBER     what packets must have left of their 255 hops with --multihop; default 254
  --json                   one JSON object a line, for programs
  --help                   this text

The neighbor must run BFD and expect us. Ctrl-C stops, and tells it AdminDown.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::args().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&*error),
    };
    match probe(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("bfd_probe: {error}");
    ExitCode::from(2)
}

struct Arguments {
    key: SessionKey,
    config: SessionConfig,
    engine: EngineConfig,
    json: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut remote = None;
        let (mut interface, mut local, mut listen) = (None, None, None);
        let (mut multihop, mut minimum_ttl, mut json) = (false, 254, false);
        let mut config = SessionConfig::default();
        while let Some(word) = words.next() {
            let mut value = |what| {
                let value = words.next();
                value.ok_or(format!("{word} needs {what}; --help tells more"))
            };
            match word.as_str() {
                "--interface" => interface = Some(value("the name of an interface")?),
                "--local" => local = Some(parsed(&word, &value("an address")?)?),
                "--listen" => {
                    listen = Some(parsed::<SocketAddr>(&word, &value("ADDRESS:PORT")?)?);
                }
                "--interval" => {
                    let interval = Micros::from_millis(parsed(&word, &value("milliseconds")?)?);
                    config.desired_min_tx_interval = interval;
                    config.required_min_rx_interval = interval;
                }
                "--multiplier" => config.detect_mult = parsed(&word, &value("1 to 255")?)?,
                "--passive" => config.passive = true,
                "--demand" => {
                    config.demand_mode = true;
                    config.demand_poll_interval = Some(Duration::from_secs(1));
                }
                "--multihop" => multihop = true,
                "--minimum-ttl" => minimum_ttl = parsed(&word, &value("1 to 255")?)?,
                "--json" => json = true,
                _ if word.starts_with('-') => {
                    return Err(format!("there is no {word}; --help tells what there is").into());
                }
                _ if remote.is_some() => return Err("one neighbor at a time".into()),
                _ => remote = Some(word),
            }
        }
        let hop = match multihop {
            true => HopKind::Multi { minimum_ttl },
            false => HopKind::Single,
        };
        let mut remote = remote.ok_or("which neighbor? --help tells more")?;
        if let Some((address, name)) = remote.split_once('%') {
            interface = Some(name.to_owned());
            remote = address.to_owned();
        }
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
            json,
        })
    }
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error| format!("{option} {text}: {error}"))
}

fn remote_address(text: &str, encapsulation: Encapsulation) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let ip: IpAddr = text.parse().map_err(|_| {
        format!("{text:?} is no address: write 192.0.2.1, fe80::1%eth0 or 192.0.2.1:3784")
    })?;
    Ok(SocketAddr::new(ip, encapsulation.port()))
}

async fn probe(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let view = View {
        json: arguments.json,
        live: !arguments.json && io::stdout().is_terminal(),
    };
    let engine = Engine::start(arguments.engine.clone(), move |change| {
        view.change(started, change);
    })?;
    engine.add(arguments.key.clone(), arguments.config.clone())?;
    if !arguments.json {
        println!("{}: Ctrl-C to stop", arguments.key);
    }
    let mut ticks = tokio::time::interval(view.period());
    loop {
        tokio::select! {
            stop = tokio::signal::ctrl_c() => break stop?,
            _ = ticks.tick() => engine.status().iter().for_each(|status| view.status(status)),
        }
    }
    view.end(&engine);
    engine.shutdown();
    Ok(())
}

/// How it is shown: for programs, on a terminal, or into a file.
#[derive(Clone, Copy)]
struct View {
    json: bool,
    live: bool,
}

impl View {
    fn period(self) -> Duration {
        match self.live {
            true => Duration::from_millis(200),
            false => Duration::from_secs(5),
        }
    }

    fn change(self, started: Instant, change: &StateChange) {
        let after = (change.at - started).as_secs_f64();
        if self.json {
            let change = json!({
                "event": "change",
                "after_s": after,
                "from": change.from.to_string(),
                "to": change.to.to_string(),
                "diagnostic": change.local_diag.to_string(),
                "remote_state": change.remote_state.to_string(),
                "remote_diagnostic": change.remote_diag.to_string(),
            });
            return println!("{change}");
        }
        println!(
            "{}{after:10.3} s  {} -> {}: {}; the neighbor says {}, {}",
            self.line_start(),
            change.from,
            change.to,
            change.local_diag,
            change.remote_state,
            change.remote_diag,
        );
    }

    fn status(self, status: &SessionStatus) {
        if self.json {
            return println!("{}", in_json(status));
        }
        let line = in_words(status);
        match self.live {
            true => {
                print!("{}{line}", self.line_start());
                let _ = io::stdout().flush();
            }
            false => println!("{line}"),
        }
    }

    /// Back to the beginning of the line that is written again and again.
    fn line_start(self) -> &'static str {
        match self.live {
            true => "\r\x1b[K",
            false => "",
        }
    }

    fn end(self, engine: &Engine) {
        if self.json {
            return engine
                .status()
                .iter()
                .for_each(|status| self.status(status));
        }
        println!();
        for status in engine.status() {
            println!("{}", in_words(&status));
            let gaps = &status.counters.receive_gaps;
            for (bound, count) in gaps.buckets().filter(|(_, count)| *count > 0) {
                let bound = bound.map_or_else(
                    || "longer".to_owned(),
                    |bound| format!("up to {:4.2}", f64::from(bound) / 1000.0),
                );
                println!("  {count:8} gaps of {bound} intervals");
            }
            for (reason, count) in status.counters.discarded.iter() {
                println!("  {count:8} packets discarded: {reason}");
            }
        }
        for (reason, count) in engine.discards().iter() {
            println!("  {count:8} datagrams for no session: {reason}");
        }
    }
}

fn in_words(status: &SessionStatus) -> String {
    let counters = &status.counters;
    let or_none =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:?}"));
    let margin = counters.detection_margin.map_or_else(
        || "-".to_owned(),
        |margin| format!("{:.1?} ({} %)", margin.left(), margin.percent_left()),
    );
    format!(
        "{} ({}), neighbor {} ({}): sending every {}, detection in {}, least margin {margin}, {} in, {} out",
        status.session_state,
        status.local_diag,
        status.remote_session_state,
        status.remote_diag,
        or_none(status.tx_interval),
        or_none(status.detection_time),
        counters.packets_in,
        counters.packets_out,
    )
}

fn in_json(status: &SessionStatus) -> serde_json::Value {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let counters = &status.counters;
    json!({
        "event": "status",
        "state": status.session_state.to_string(),
        "diagnostic": status.local_diag.to_string(),
        "remote_state": status.remote_session_state.to_string(),
        "remote_diagnostic": status.remote_diag.to_string(),
        "transmit_interval_ms": status.tx_interval.map(ms),
        "detection_time_ms": status.detection_time.map(ms),
        "least_margin_ms": counters.detection_margin.map(|margin| ms(margin.left())),
        "least_margin_percent": counters.detection_margin.map(|margin| margin.percent_left()),
        "packets_in": counters.packets_in,
        "packets_out": counters.packets_out,
        "downs": counters.downs,
        "late_timers": counters.late_timers,
    })
}
