//! The command line. Every command but `run`, `check` and `demo` speaks to the daemon over its API.

mod check;
mod client;
mod command;
mod run;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config;
use crate::demo::{self, DemoOptions};

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// It was understood, and it failed.
pub const FAILURE: u8 = 1;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  herald check -c herald.toml          is the file right?
  herald run -c herald.toml            run the daemon in the foreground
  herald show peers                    who is up, since when, with BFD or without
  herald show peer tor-a               everything about one neighbor
  herald show events                   why did it flap last night?
  herald announce 198.51.100.0/24      announce a prefix until it is withdrawn
  herald reload --dry-run              what would the changed file do?
  herald demo                          see it work, without root or a router

Exit codes: 0 done; 1 failed, or the daemon is not running; 2 wrong usage or configuration.";

/// Announces service addresses to routers over BGP, and withdraws them in milliseconds over BFD.
#[derive(Debug, Parser)]
#[command(name = "herald", version, max_term_width = 90, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    /// The daemon's Unix socket
    #[arg(long, global = true, display_order = 1000, value_name = "PATH", env = "HERALD_SOCKET", default_value = config::DEFAULT_SOCKET)]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    #[command(after_help = "\
SIGHUP reloads the file, as `herald reload` does. SIGTERM and SIGINT end it as [speaker] on-exit
says, by default with all routes withdrawn: BGP sessions with Cease/Administrative Shutdown, then
BFD sessions with AdminDown.
The environment variable RUST_LOG overrides [log] level.")]
    Run(File),
    /// Check a configuration file, without touching anything
    #[command(
        after_help = "Every mistake is reported, each with its line. Exit codes: 0 it is right; 2 it is not."
    )]
    Check(File),
    /// Show what the daemon does and knows
    Show(Show),
    /// Announce a prefix that belongs to no service, until it is withdrawn; it survives restarts
    #[command(after_help = "\
Examples:
  herald announce 198.51.100.0/24
  herald announce 2001:db8:5::/48 --med 10 --community large:64520:1:2
  herald announce 203.0.113.7/32 --community blackhole --peer upstream")]
    Announce(Announce),
    /// Withdraw a prefix that was announced with `announce`
    Withdraw {
        /// The prefix, such as 198.51.100.0/24
        prefix: String,
    },
    /// Add and remove services at run time; they survive restarts
    #[command(subcommand)]
    Service(Service),
    /// Act on one peer
    #[command(subcommand)]
    Peer(Peer),
    /// Read the configuration file again and apply what changed, and only that
    Reload {
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// End the daemon, as on-exit says: by default, withdraw every route and tell every peer
    Stop {
        /// Leave the routes with the peers that keep them until the daemon is back (RFC 4724)
        #[arg(long, conflicts_with = "withdraw")]
        restart: bool,
        /// Withdraw every route, whatever on-exit says
        #[arg(long)]
        withdraw: bool,
        /// A text for the neighbors' operators (RFC 9003)
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// See the main job in one process: no root, no router and no file needed
    Demo {
        /// One JSON object at the end instead of a line for each step
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Show {
    #[command(subcommand)]
    what: What,
    /// How it is written
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every neighbor: state, since when, prefixes, BFD
    Peers,
    /// Everything about one neighbor: timers, capabilities, messages, BFD, what happened to it
    Peer {
        /// Its name; the address unless configured
        name: String,
    },
    /// Every BFD session: state, how far and why, timers, diagnostics; or everything about one
    Bfd {
        /// Its name, or that of its peer
        name: Option<String>,
    },
    /// Every prefix that is announced, and who has it
    Routes {
        /// What this peer has from us
        #[arg(long, value_name = "PEER", conflicts_with = "received")]
        advertised: Option<String>,
        /// What this peer has announced to us, if it has received-routes = "kept"
        #[arg(long, value_name = "PEER")]
        received: Option<String>,
    },
    /// Every service and its addresses
    Services,
    /// What happened to whom, and why; the latest last
    Events {
        /// Of this peer only
        #[arg(long, value_name = "NAME", conflicts_with = "bfd_session")]
        peer: Option<String>,
        /// Of this [[bfd-session]] only
        #[arg(long, value_name = "NAME")]
        bfd_session: Option<String>,
    },
    /// The configuration in force, with all defaults
    Config,
    /// The daemon itself: version, uptime, router id
    Status,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table for 80 columns
    #[default]
    Table,
    /// A table with everything that fits no 80 columns
    Wide,
    /// JSON, as the API says it
    Json,
}

#[derive(Debug, Args)]
struct Announce {
    /// The prefix, such as 198.51.100.0/24
    prefix: String,
    /// MULTI_EXIT_DISC: the lower is preferred
    #[arg(long)]
    med: Option<u32>,
    /// LOCAL_PREF, for internal peers
    #[arg(long)]
    local_pref: Option<u32>,
    /// Prepend our AS so many times
    #[arg(long, value_name = "TIMES", default_value_t, value_parser = clap::value_parser!(u8).range(0..=10))]
    as_path_prepend: u8,
    /// 64520:100, no-export, large:64520:1:2, rt:64520:1; may be repeated
    #[arg(long = "community", value_name = "COMMUNITY")]
    communities: Vec<String>,
    /// Send traffic to this address rather than to us; may be repeated: further paths, for peers
    /// that take several
    #[arg(long = "next-hop", value_name = "ADDRESS")]
    next_hops: Vec<String>,
    /// ATOMIC_AGGREGATE: more specific routes are hidden behind this one
    #[arg(long)]
    atomic_aggregate: bool,
    /// AGGREGATOR, such as "64520 192.0.2.71"
    #[arg(long, value_name = "AS ADDRESS")]
    aggregator: Option<String>,
    /// To this peer only; may be repeated
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// Add a service, or change one that was added
    #[command(after_help = "Example: herald service add web 192.0.2.150 2001:db8::150")]
    Add {
        /// Its name
        name: String,
        /// Its addresses
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Remove a service that was added
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Peer {
    /// End the session with Cease/Administrative Shutdown, and keep it down until it is enabled
    #[command(after_help = "\
It stays down when the daemon is started anew. In the file, enabled = false does the same.
Example: herald peer shutdown tor-a --message \"replacing the switch, back at 15:00\"")]
    Shutdown {
        /// The peer's name
        name: String,
        /// A text for the neighbor's operator (RFC 9003), at most 255 octets
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Let a session that was shut down start again
    Enable {
        /// The peer's name
        name: String,
    },
    /// Ask the peer for its routes once more (RFC 2918)
    Refresh {
        /// The peer's name
        name: String,
        /// Of this family only: ipv4-unicast or ipv6-unicast
        #[arg(long)]
        family: Option<String>,
    },
    /// End the session with Cease/Administrative Reset; it starts again by itself
    Reset {
        /// The peer's name
        name: String,
        /// A text for the neighbor's operator (RFC 9003)
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { socket, command } = Arguments::parse();
    let client = client::Client::new(socket);
    let code = match command {
        Command::Run(file) => run::run(&file.config),
        Command::Check(file) => check::run(&file.config),
        Command::Demo { json } => return demo::run(DemoOptions { json }),
        Command::Show(Show { what, output }) => show::run(&client, &what, output),
        Command::Announce(announce) => command::announce(&client, announce),
        Command::Withdraw { prefix } => command::withdraw(&client, &prefix),
        Command::Service(Service::Add { name, addresses }) => {
            command::add_service(&client, &name, addresses)
        }
        Command::Service(Service::Remove { name }) => command::remove_service(&client, &name),
        Command::Peer(Peer::Reset { name, message }) => {
            command::reset_peer(&client, &name, message)
        }
        Command::Peer(Peer::Shutdown { name, message }) => {
            command::shut_down_peer(&client, &name, message)
        }
        Command::Peer(Peer::Enable { name }) => command::enable_peer(&client, &name),
        Command::Peer(Peer::Refresh { name, family }) => {
            command::refresh_peer(&client, &name, family)
        }
        Command::Reload { dry_run } => command::reload(&client, dry_run),
        Command::Stop {
            restart,
            withdraw,
            message,
        } => command::stop(&client, restart, withdraw, message),
    };
    ExitCode::from(code)
}

/// Writes to standard output. Whoever closed it has seen enough.
fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says what went wrong, on standard error.
fn complain(text: impl std::fmt::Display) {
    eprintln!("herald: {text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
