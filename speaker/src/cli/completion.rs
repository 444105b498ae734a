//! What a shell completes: commands, options, and the names that the running daemon knows.

use std::path::{Path, PathBuf};

use clap::{Command, ValueEnum};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use serde::Deserialize;

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
struct Route {
    prefix: String,
}

pub(super) fn peers() -> Vec<CompletionCandidate> {
    names("/v1/peers", |Named { name }| name)
}

pub(super) fn bfd_sessions() -> Vec<CompletionCandidate> {
    names("/v1/bfd", |Named { name }| name)
}

pub(super) fn services() -> Vec<CompletionCandidate> {
    names("/v1/services", |Named { name }| name)
}

pub(super) fn pools() -> Vec<CompletionCandidate> {
    names("/v1/pools", |Named { name }| name)
}

pub(super) fn routes() -> Vec<CompletionCandidate> {
    names("/v1/routes", |Route { prefix }| prefix)
}

/// None without a daemon: whoever types learns of that soon enough.
fn names<T: for<'de> Deserialize<'de>>(
    path: &str,
    name: impl Fn(T) -> String,
) -> Vec<CompletionCandidate> {
    let socket = std::env::var_os("HERALD_SOCKET");
    let socket = socket.map_or_else(|| config::DEFAULT_SOCKET.into(), PathBuf::from);
    let known: Vec<T> = Client::hasty(socket).get(path).unwrap_or_default();
    let names = known.into_iter().map(name);
    names.map(CompletionCandidate::new).collect()
}
