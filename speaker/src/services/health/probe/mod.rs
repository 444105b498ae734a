//! One check, from its start to its outcome. Nothing of it is left afterwards: no connection, no
//! program, no file.

mod exec;
mod http;
mod tcp;

use std::io;

use super::checker::{Kind, Outcome, Start};
use crate::config::Probe;

/// How much of what somebody says goes into an outcome, in characters.
const SAID: usize = 200;

/// Checks. Ends in time.
pub(super) async fn check(start: &Start) -> Outcome {
    let timeout = start.config.timeout;
    let checking = async {
        match &start.config.probe {
            Probe::Http(http) => http::check(http).await,
            Probe::Tcp(address) => tcp::check(*address).await,
            Probe::Exec(program) => exec::check(program, start).await,
        }
    };
    match tokio::time::timeout(timeout, checking).await {
        Ok(Ok(text)) => Outcome {
            kind: Kind::Success,
            text,
        },
        Ok(Err(text)) => Outcome {
            kind: Kind::Failure,
            text,
        },
        Err(_) => Outcome {
            kind: Kind::Timeout,
            text: format!(
                "{} within {}",
                match start.config.probe {
                    Probe::Http(_) => "no HTTP answer",
                    Probe::Tcp(_) => "no TCP connection",
                    Probe::Exec(_) => "did not end",
                },
                humantime::format_duration(timeout)
            ),
        },
    }
}

/// The system's words, without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// The first line with something in it, fit for one line of a log.
fn first_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = line.chars().take(SAID).map(printable).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    Some(short)
}

#[cfg(test)]
mod tests;
