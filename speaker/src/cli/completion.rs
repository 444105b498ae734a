//! What a shell completes: commands, options, and the names that the running daemon knows.

use std::path::{Path, PathBuf};

use clap::{Command, ValueEnum};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::Client;
use super::{FAILURE, SUCCESS, command_line, complain};
use crate::{config, output};

/// The variable by which a shell's script asks for completions.
const ASKS: &str = "HERALD_COMPLETE";

/// Shells that there are completions for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

/// Answers a shell that asks for completions, and ends the process then.
pub(super) fn answer() {
    CompleteEnv::with_factory(|| with_silent_aliases(command_line()))
        .var(ASKS)
        .complete();
}

/// Understands what other speakers call our commands, and proposes our own names.
pub(super) fn with_silent_aliases(command: Command) -> Command {
    // They must be there for the rest of the process, which has little left to do.
    let aliases = command.get_visible_aliases().map(str::to_owned);
    let aliases: Vec<&'static str> = aliases.map(|alias| &*alias.leak()).collect();
    let command = command.visible_alias(None::<&'static str>).aliases(aliases);
    command.mut_subcommands(with_silent_aliases)
}

/// Writes the script by which a shell asks.
pub(super) fn script(shell: Shell) -> u8 {
    let value = shell.to_possible_value();
    let name = value.as_ref().map_or("", |value| value.get_name());
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(name) else {
        complain(format_args!("there are no completions for {name}"));
        return FAILURE;
    };
    let mut script = Vec::new();
    // Writing to memory cannot fail.
    let _ = completer.write_registration(ASKS, "herald", "herald", "herald", &mut script);
    let _ = output::put(&script);
    SUCCESS
}

/// Writes the manual: a page for each command.
pub(super) fn manual(directory: &Path) -> u8 {
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command_line(), directory));
    match written {
        Ok(()) => SUCCESS,
        Err(error) => {
            complain(format_args!(
                "{}: cannot write the manual: {error}; name a directory that can be written",
                directory.display()
            ));
            FAILURE
        }
    }
}

/// Something that has a name.
#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    source: String,
}

#[derive(Deserialize)]
struct BfdSession {
    bfd_session: Option<String>,
}

#[derive(Deserialize)]
struct Route {
    prefix: String,
    services: Vec<String>,
    source: String,
}

#[derive(Deserialize)]
struct Peer {
    name: String,
    state: String,
    enabled: bool,
    shutdown: Option<IgnoredAny>,
    draining: Option<String>,
}

impl Peer {
    const fn is_to_run(&self) -> bool {
        self.enabled && self.shutdown.is_none()
    }
}

/// What was added at run time, and can be removed there.
const API: &str = "api";

pub(super) fn peers() -> Vec<CompletionCandidate> {
    names("/v1/peers", |Named { name }| Some(name))
}

/// Those that can be shut down or reset.
pub(super) fn running_peers() -> Vec<CompletionCandidate> {
    peers_that(Peer::is_to_run)
}

/// Those that can be enabled.
pub(super) fn shut_down_peers() -> Vec<CompletionCandidate> {
    peers_that(|peer| peer.enabled && peer.shutdown.is_some())
}

/// Those that can be asked for something.
pub(super) fn established_peers() -> Vec<CompletionCandidate> {
    peers_that(|peer| peer.state == "Established")
}

/// Those that can be undrained by name.
pub(super) fn drained_peers() -> Vec<CompletionCandidate> {
    peers_that(|peer| peer.draining.as_deref() == Some("peer"))
}

fn peers_that(can: impl Fn(&Peer) -> bool) -> Vec<CompletionCandidate> {
    names("/v1/peers", |peer: Peer| can(&peer).then_some(peer.name))
}

/// All, also those of peers.
pub(super) fn bfd_sessions() -> Vec<CompletionCandidate> {
    names("/v1/bfd", |Named { name }| Some(name))
}

/// Those that are named for themselves.
pub(super) fn own_bfd_sessions() -> Vec<CompletionCandidate> {
    names("/v1/bfd", |BfdSession { bfd_session }| bfd_session)
}

pub(super) fn services() -> Vec<CompletionCandidate> {
    names("/v1/services", |Named { name }| Some(name))
}

/// Those that can be removed.
pub(super) fn added_services() -> Vec<CompletionCandidate> {
    names("/v1/services", |service: Service| {
        (service.source == API).then_some(service.name)
    })
}

pub(super) fn pools() -> Vec<CompletionCandidate> {
    names("/v1/pools", |Named { name }| Some(name))
}

pub(super) fn routes() -> Vec<CompletionCandidate> {
    names("/v1/routes", |Route { prefix, .. }| Some(prefix))
}

/// Those that can be withdrawn.
pub(super) fn added_routes() -> Vec<CompletionCandidate> {
    names("/v1/routes", |route: Route| {
        (route.source == API && route.services.is_empty()).then_some(route.prefix)
    })
}

/// Those of all that are of use. None without a daemon: whoever types learns of that soon enough.
fn names<T: for<'de> Deserialize<'de>>(
    path: &str,
    name: impl Fn(T) -> Option<String>,
) -> Vec<CompletionCandidate> {
    let socket = std::env::var_os("HERALD_SOCKET");
    let socket = socket.map_or_else(|| config::DEFAULT_SOCKET.into(), PathBuf::from);
    let known: Vec<T> = Client::hasty(socket).get(path).unwrap_or_default();
    let names = known.into_iter().filter_map(name);
    names.map(CompletionCandidate::new).collect()
}
