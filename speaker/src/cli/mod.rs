//! The command line. Every command but `run`, `check` and `demo` speaks to the daemon over its API.

mod capture;
mod check;
mod client;
mod command;
mod completion;
mod follow;
mod run;
mod show;
mod watch;

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use crate::config;
use crate::demo::{self, DemoOptions};
use crate::output::{self, say};

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
  herald show                          everything at a glance
  herald show peers --watch            who is up, since when, and their BFD
  herald show peer tor-a               everything about one neighbor
  herald show events                   why did it flap last night?
  herald events --follow               what happens at this moment?
  herald announce 198.51.100.0/24      announce a prefix until it is withdrawn
  herald reload --dry-run              what would the changed file do?
  herald demo                          see it work, without root or a router

Exit codes: 0 done; 1 failed, or the daemon is not running; 2 wrong usage or configuration.";

/// Announces service addresses to routers over BGP, and withdraws them in milliseconds over BFD.
#[derive(Debug, Parser)]
#[command(name = "herald", version, max_term_width = 90, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    /// The Unix socket of the daemon that is asked
    #[arg(long, global = true, display_order = 1000, value_name = "PATH", env = "HERALD_SOCKET", default_value = config::DEFAULT_SOCKET, value_hint = ValueHint::FilePath)]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    #[command(after_help = "\
Example: herald run -c /etc/herald/herald.toml

SIGHUP reloads the file, as `herald reload` does. SIGTERM and SIGINT end it as [speaker] on-exit \
says, by default with all routes withdrawn: BGP sessions with Cease/Administrative Shutdown, then \
BFD sessions with AdminDown. With drain-time, routes are drained before; a second signal skips that. \
The environment variable RUST_LOG overrides [log] level.")]
    Run(File),
    /// Check a configuration file, without touching anything
    #[command(after_help = "\
Every mistake is reported, each with its line. Exit codes: 0 it is right; 2 it is not.
Example: herald check -c herald.toml && herald reload")]
    Check(File),
    /// Show what the daemon does and knows; alone, everything at a glance
    #[command(
        visible_alias = "status",
        subcommand_value_name = "WHAT",
        after_help = "\
Examples:
  herald show                        everything at a glance
  herald show peers --watch          once more every two seconds
  herald show routes -o json         as the API says it, for a program
Add --watch 500ms for another interval. Colours appear on a terminal, unless NO_COLOR is set."
    )]
    Show(Show),
    /// What happened to whom, and why; with --follow, what happens from here on too
    #[command(after_help = "\
What repeats itself is counted. --follow ends when the daemon does; -o json writes a line for each.
Examples:
  herald events --peer tor-a
  herald events --since 10m
  herald events --follow
  herald events --follow --lines 0 -o json | jq -r .text")]
    Events(Follow),
    /// Announce a prefix that belongs to no service, until it is withdrawn; it survives restarts
    #[command(
        visible_alias = "advertise",
        after_help = "\
Examples:
  herald announce 198.51.100.0/24
  herald announce 2001:db8:5::/48 --med 10 --community large:64520:1:2
  herald announce 203.0.113.7/32 --community blackhole --peer upstream"
    )]
    Announce(Announce),
    /// Withdraw a prefix that was announced with `announce`
    #[command(after_help = "Example: herald withdraw 198.51.100.0/24")]
    Withdraw {
        /// The prefix, such as 198.51.100.0/24
        #[arg(add = ArgValueCandidates::new(completion::added_routes))]
        prefix: String,
    },
    /// Add and remove services at run time; they survive restarts
    #[command(subcommand, after_help = "Example: herald service add web 192.0.2.150")]
    Service(Service),
    /// Act on one peer
    #[command(
        subcommand,
        visible_alias = "neighbor",
        after_help = "Example: herald peer reset tor-a"
    )]
    Peer(Peer),
    /// Read the configuration file again and apply what changed, and only that
    #[command(
        visible_alias = "configure",
        after_help = "\
A file that is wrong changes nothing. A ! marks what costs a session.
Example: herald reload --dry-run"
    )]
    Reload {
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
        /// Tell every step, also where more than ten are of one kind
        #[arg(long)]
        all: bool,
    },
    /// Ask neighbors to take other paths while ours still work (RFC 8326), until `undrain`
    #[command(after_help = "\
Examples:
  herald drain                       before maintenance of this host
  herald drain tor-a tor-b           before maintenance of these routers

Every route is announced anew with the community graceful-shutdown (65535:0), to internal peers also \
with LOCAL_PREF 0; nothing is withdrawn, and no session ends. It survives restarts of the daemon.")]
    Drain {
        /// Only these; none: every peer, also those to come
        #[arg(value_name = "PEER", add = ArgValueCandidates::new(completion::peers))]
        peers: Vec<String>,
    },
    /// Announce routes again as they are; ends what `drain` began
    #[command(after_help = "\
Examples:
  herald undrain                     every peer
  herald undrain tor-a               this one, if it was drained by name")]
    Undrain {
        /// Only these; none: every peer
        #[arg(value_name = "PEER", add = ArgValueCandidates::new(completion::drained_peers))]
        peers: Vec<String>,
    },
    /// End the daemon, as on-exit says: by default, withdraw every route and tell every peer
    #[command(after_help = "\
Examples:
  herald stop --message \"moving racks\"
  herald stop --restart              before an upgrade, with graceful-restart

With [speaker] drain-time, routes that are to be withdrawn are drained for so long before. Another \
`herald stop`, or another SIGTERM, skips the rest of that.")]
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
    #[command(after_help = "\
A speaker, a router, and a cut between them that only BFD notices. Exit codes: 0 it went as it \
should; 1 it did not.
Example: herald demo --json | jq .route_gone_ms")]
    Demo {
        /// One JSON object at the end instead of a line for each step
        #[arg(long)]
        json: bool,
    },
    /// Write the last messages of a peer's sessions as a file for Wireshark (pcapng)
    #[command(after_help = "\
Examples:
  herald capture tor-a -w tor-a.pcapng
  herald capture tor-a | tshark -V -r -
  herald capture tor-a --follow | wireshark -k -i -
The last messages of each peer are kept, as much as its key capture says. Changes of state are comments of packets.")]
    Capture {
        /// The peer's name
        #[arg(add = ArgValueCandidates::new(completion::peers))]
        name: String,
        /// Where to; standard output unless that is a terminal
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        write: Option<PathBuf>,
        /// Go on with what comes, until interrupted
        #[arg(short, long)]
        follow: bool,
    },
    /// Write what a shell needs to complete commands, options, and names of peers and services
    #[command(after_help = "\
Examples:
  herald completions bash > /etc/bash_completion.d/herald
  herald completions zsh > /usr/local/share/zsh/site-functions/_herald
  herald completions fish > ~/.config/fish/completions/herald.fish
Names are those that the daemon at HERALD_SOCKET, or the usual socket, knows.")]
    Completions {
        /// The shell
        shell: completion::Shell,
    },
    /// Write the manual: a page for each command
    #[command(after_help = "Example: herald man /usr/local/share/man/man1 && man herald-show")]
    Man {
        /// Where to
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE", default_value = config::DEFAULT_FILE, value_hint = ValueHint::FilePath)]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Show {
    #[command(subcommand)]
    what: Option<What>,
    /// How it is written
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
    /// Show it once more every INTERVAL, such as 500ms; on a terminal in place of the former
    #[arg(short, long, global = true, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s", value_parser = watch::interval)]
    watch: Option<Duration>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every neighbor: state, since when, prefixes, BFD
    #[command(visible_aliases = ["neighbors", "protocols", "summary"], after_help = "\
PFX is how many prefixes it has from us. -o wide adds messages, addresses and the last reset.
Example: herald show peers -o wide")]
    Peers,
    /// Everything about one neighbor: timers, capabilities, messages, BFD, what happened to it
    #[command(visible_aliases = ["neighbor", "protocol"], after_help = "Example: herald show peer tor-a")]
    Peer {
        /// Its name; the address unless configured
        #[arg(add = ArgValueCandidates::new(completion::peers))]
        name: String,
    },
    /// Every BFD session: state, how far and why, timers, diagnostics; or everything about one
    #[command(after_help = "\
Examples:
  herald show bfd --watch 200ms
  herald show bfd tor-a")]
    Bfd {
        /// Its name, or that of its peer
        #[arg(add = ArgValueCandidates::new(completion::bfd_sessions))]
        name: Option<String>,
    },
    /// Every prefix that is announced, and who has it; or one, and who has it not and why
    #[command(
        visible_alias = "route",
        after_help = "\
Examples:
  herald show routes -o wide
  herald show route 192.0.2.150
  herald show routes --advertised tor-a
  herald show routes --received tor-a"
    )]
    Routes {
        /// Only this one; of an address: the longest prefix that it is in
        #[arg(conflicts_with_all = ["advertised", "received"], add = ArgValueCandidates::new(completion::routes))]
        prefix: Option<String>,
        /// What this peer has from us
        #[arg(long, value_name = "PEER", conflicts_with = "received", add = ArgValueCandidates::new(completion::peers))]
        advertised: Option<String>,
        /// What this peer has announced to us, if it has received-routes = "kept"
        #[arg(long, value_name = "PEER", add = ArgValueCandidates::new(completion::peers))]
        received: Option<String>,
    },
    /// Every service, its addresses and its health; or everything about one
    #[command(
        visible_alias = "service",
        after_help = "\
Examples:
  herald show services --watch
  herald show service web"
    )]
    Services {
        /// Of which everything is to be told
        #[arg(add = ArgValueCandidates::new(completion::services))]
        name: Option<String>,
    },
    /// Every pool: its addresses, how many are free, and who has which with -o wide
    #[command(
        visible_alias = "pool",
        after_help = "Example: herald show pools -o wide"
    )]
    Pools,
    /// What happened to whom, and why; the latest last
    #[command(visible_aliases = ["log", "history"], after_help = "\
`herald events --follow` goes on with what happens from here on.
Example: herald show events --peer tor-a --since 2h")]
    Events(EventsOf),
    /// The configuration in force, with all defaults
    #[command(
        visible_alias = "running-config",
        after_help = "\
Example: herald show config > running.toml"
    )]
    Config,
    /// The daemon itself: version, uptime, router id
    #[command(
        visible_alias = "version",
        after_help = "Example: herald show status -o json | jq .uptime_ms"
    )]
    Status,
}

/// Whose events, and which.
#[derive(Clone, Debug, Default, Args)]
struct EventsOf {
    /// Of this peer only
    #[arg(long, value_name = "NAME", conflicts_with_all = ["bfd_session", "service"], add = ArgValueCandidates::new(completion::peers))]
    peer: Option<String>,
    /// Of this [[bfd-session]] only
    #[arg(long, value_name = "NAME", conflicts_with = "service", add = ArgValueCandidates::new(completion::own_bfd_sessions))]
    bfd_session: Option<String>,
    /// Of this service only
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completion::services))]
    service: Option<String>,
    /// The last so many only
    #[arg(short = 'n', long, value_name = "NUMBER")]
    lines: Option<usize>,
    /// Since then only: 10m ago, such as 90s, 2h or 1day, or at 2026-11-22T22:05:00Z
    #[arg(long, value_name = "TIME", value_parser = follow::since)]
    since: Option<follow::Since>,
}

#[derive(Debug, Args)]
struct Follow {
    #[command(flatten)]
    of: EventsOf,
    /// Go on with what happens from here on; begin with the last 10, unless -n or --since says more
    #[arg(short, long)]
    follow: bool,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
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
    #[arg(long = "peer", value_name = "NAME", add = ArgValueCandidates::new(completion::peers))]
    peers: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// Add a service, or change one that was added
    #[command(
        visible_alias = "set",
        after_help = "\
Examples:
  herald service add web 192.0.2.150 2001:db8::150
  herald service add web                    addresses of a pool with auto-assign
  herald service add web --pool public --ip-family ipv4
  herald service add web 192.0.2.150 --health-tcp 127.0.0.1:80 --interval 500ms"
    )]
    Add {
        /// Its name
        name: String,
        #[command(flatten)]
        service: AddService,
    },
    /// Remove a service that was added
    #[command(
        visible_alias = "delete",
        after_help = "Example: herald service remove web"
    )]
    Remove {
        /// Its name
        #[arg(add = ArgValueCandidates::new(completion::added_services))]
        name: String,
    },
}

#[derive(Debug, Args)]
struct AddService {
    /// Its addresses; without any it is assigned some of a pool
    addresses: Vec<String>,
    /// Addresses of this pool
    #[arg(long, value_name = "NAME", conflicts_with = "addresses", add = ArgValueCandidates::new(completion::pools))]
    pool: Option<String>,
    /// An address of this family, ipv4 or ipv6; may be repeated. Without it: of each that the pool has
    #[arg(long = "ip-family", value_name = "FAMILY", value_parser = ["ipv4", "ipv6"], conflicts_with = "addresses")]
    ip_families: Vec<String>,
    #[command(flatten)]
    health: ServiceHealth,
}

/// Which check, and how; programs are named in the file only.
#[derive(Debug, Args)]
struct ServiceHealth {
    /// Announce it while this URL, with an address in it, answers with 2xx or 3xx
    #[arg(long, value_name = "URL", conflicts_with = "health_tcp")]
    health_http: Option<String>,
    /// Announce it while this address and port accepts connections
    #[arg(long, value_name = "ADDRESS:PORT")]
    health_tcp: Option<String>,
    /// Announce it while this [[bfd-session]] is up
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completion::own_bfd_sessions))]
    health_bfd: Option<String>,
    /// How often it is checked, such as 500ms; 1s unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// How long a check may take; the interval, at most 5s, unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Failures in a row until it is unhealthy; 3 unless said otherwise
    #[arg(long, value_name = "NUMBER")]
    fall: Option<NonZeroU8>,
    /// Successes in a row until it is healthy again; 2 unless said otherwise
    #[arg(long, value_name = "NUMBER")]
    rise: Option<NonZeroU8>,
}

#[derive(Debug, Subcommand)]
enum Peer {
    /// End the session with Cease/Administrative Shutdown, and keep it down until it is enabled
    #[command(
        visible_alias = "disable",
        after_help = "\
It stays down when the daemon is started anew. In the file, enabled = false does the same.
Example: herald peer shutdown tor-a --message \"replacing the switch, back at 15:00\""
    )]
    Shutdown {
        /// The peer's name
        #[arg(add = ArgValueCandidates::new(completion::running_peers))]
        name: String,
        /// A text for the neighbor's operator (RFC 9003), at most 255 octets
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Let a session that was shut down start again
    #[command(after_help = "Example: herald peer enable tor-a")]
    Enable {
        /// The peer's name
        #[arg(add = ArgValueCandidates::new(completion::shut_down_peers))]
        name: String,
    },
    /// Ask the peer for its routes once more (RFC 2918)
    #[command(after_help = "Example: herald peer refresh tor-a --family ipv4-unicast")]
    Refresh {
        /// The peer's name
        #[arg(add = ArgValueCandidates::new(completion::established_peers))]
        name: String,
        /// Of this family only: ipv4-unicast or ipv6-unicast
        #[arg(long)]
        family: Option<String>,
    },
    /// End the session with Cease/Administrative Reset; it starts again by itself
    #[command(visible_aliases = ["clear", "restart"], after_help = "\
Example: herald peer reset tor-a --message \"new keys\"")]
    Reset {
        /// The peer's name
        #[arg(add = ArgValueCandidates::new(completion::running_peers))]
        name: String,
        /// A text for the neighbor's operator (RFC 9003)
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    completion::answer();
    let mut line = command_line();
    let matches = line.get_matches_mut();
    if let Some(name) = of_no_daemon(&matches) {
        let because = match name {
            "run" => "the daemon opens the one that [api] socket in its file names",
            _ => "it asks no daemon",
        };
        let text = format!("--socket is of no use to `herald {name}`: {because}");
        line.error(ErrorKind::ArgumentConflict, text).exit();
    }
    match Arguments::from_arg_matches(&matches) {
        Ok(Arguments { socket, command }) => output::checked(obey(socket, command)),
        Err(error) => error.format(&mut line).exit(),
    }
}

/// What asks no daemon over its socket.
const WITHOUT_DAEMON: [&str; 5] = ["run", "check", "demo", "completions", "man"];

/// Everything that can be typed; `--socket` is offered where it is of use.
fn command_line() -> clap::Command {
    let hidden = || Arg::new("socket").long("socket").hide(true);
    let hidden = || hidden().value_parser(clap::value_parser!(PathBuf));
    let line = Arguments::command();
    let names = WITHOUT_DAEMON.into_iter();
    names.fold(line, |line, name| {
        line.mut_subcommand(name, |command| command.arg(hidden()))
    })
}

/// Which of these commands it is, with a `--socket` beside it.
fn of_no_daemon(matches: &clap::ArgMatches) -> Option<&str> {
    let is_typed = matches.value_source("socket") == Some(ValueSource::CommandLine);
    let name = matches.subcommand_name().filter(|_| is_typed);
    name.filter(|name| WITHOUT_DAEMON.contains(name))
}

fn obey(socket: PathBuf, command: Command) -> ExitCode {
    let client = client::Client::new(socket);
    let code = match command {
        Command::Run(file) => run::run(&file.config),
        Command::Check(file) => check::run(&file.config),
        Command::Demo { json } => return demo::run(DemoOptions { json }),
        Command::Show(Show {
            what,
            output,
            watch,
        }) => show::run(&client, what.as_ref(), output, watch),
        Command::Events(follow) if follow.follow => follow::run(&client, &follow),
        Command::Events(Follow { of, output, .. }) => {
            show::run(&client, Some(&What::Events(of)), output, None)
        }
        Command::Completions { shell } => completion::script(shell),
        Command::Man { directory } => completion::manual(&directory),
        Command::Announce(announce) => command::announce(&client, announce),
        Command::Withdraw { prefix } => command::withdraw(&client, &prefix),
        Command::Service(Service::Add { name, service }) => {
            command::add_service(&client, &name, service)
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
        Command::Capture {
            name,
            write,
            follow,
        } => capture::run(&client, &name, write, follow),
        Command::Reload { dry_run, all } => command::reload(&client, dry_run, all),
        Command::Drain { peers } => command::drain(&client, peers),
        Command::Undrain { peers } => command::undrain(&client, peers),
        Command::Stop {
            restart,
            withdraw,
            message,
        } => command::stop(&client, restart, withdraw, message),
    };
    ExitCode::from(code)
}

/// Says what went wrong, on standard error.
fn complain(text: impl std::fmt::Display) {
    eprintln!("herald: {text}");
}

#[cfg(test)]
mod tests;
