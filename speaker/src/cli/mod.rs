//! The command line.

mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// It was understood, and it failed.
pub const FAILURE: u8 = 1;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 2;

/// Announces service addresses to routers over BGP, and withdraws them in milliseconds over BFD.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file, without touching anything
    Check {
        #[command(flatten)]
        file: File,
    },
}

#[derive(Debug, clap::Args)]
struct File {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ExitCode::from(match arguments.command {
        Command::Check { file } => check::run(&file.config),
    })
}
