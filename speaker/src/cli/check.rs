//! `herald check`.

use std::path::Path;

use super::{SUCCESS, USAGE, say};
use crate::config::{Checked, Config};

/// Says what is wrong with a file on standard error, or how much is right on standard output.
pub(super) fn run(file: &Path) -> u8 {
    match Config::load(file) {
        Ok(Checked { config, warnings }) => {
            for warning in &warnings {
                eprintln!("warning: {}", warning.in_file(file));
            }
            let counts = [
                Some(count(config.peers.len(), "peer")),
                Some(count(config.ranges.len(), "peer range"))
                    .filter(|_| !config.ranges.is_empty()),
                Some(count(config.bfd_ranges.len(), "BFD range"))
                    .filter(|_| !config.bfd_ranges.is_empty()),
                Some(count(config.services.len(), "service")),
            ];
            let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            say(format_args!("{}: ok ({counts})", file.display()));
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
