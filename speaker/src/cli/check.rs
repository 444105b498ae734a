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
            let peers = count(config.peers.len(), "peer");
            let services = count(config.services.len(), "service");
            say(format_args!("{}: ok ({peers}, {services})", file.display()));
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
