//! `herald check`.

use std::io::{self, Write};
use std::path::Path;

use super::{SUCCESS, USAGE};
use crate::config::{Checked, Config};

/// Says what is wrong with a file on standard error, or how much is right on standard output.
pub(super) fn run(file: &Path) -> u8 {
    match Config::load(file) {
        Ok(Checked { config, warnings }) => {
            for warning in &warnings {
                eprintln!("warning: {}", warning.in_file(file));
            }
            let line = format!(
                "{}: ok ({}, {})",
                file.display(),
                count(config.peers.len(), "peer"),
                count(config.services.len(), "service"),
            );
            // Whoever closed our output has seen enough.
            let _ = writeln!(io::stdout(), "{line}");
            SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            USAGE
        }
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
