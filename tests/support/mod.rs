//! What the interop tests stand on: namespaces joined by a bridge, routers in containers, the `herald` binary, and a client that counts.
//!
//! [`Lab`] comes first: it says whether this machine can run such a test at all, and makes everything else. Each thing cleans up after
//! itself when it is dropped, also when a test panics; what a killed test left behind is swept when the next [`Lab`] opens.
//!
//! Failures here are panics with the whole story in them: the caller is a test.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]
#![allow(
    unreachable_pub,
    reason = "shared by several test binaries, which have no outside"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

pub mod agreement;
pub mod bfd;
pub mod bird;
pub mod container;
pub mod daemon;
pub mod frr;
pub mod gobgp;
pub mod host;
pub mod http;
pub mod lab;
pub mod namespace;
pub mod process;
pub mod router;
pub mod routes;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub use lab::Lab;
pub use namespace::{Lan, Link, Namespace};

/// Asks `poll` until it answers, and returns the answer. Its error is what it saw instead; the last one is shown when time runs out.
#[track_caller]
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut poll: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match poll() {
            Ok(answer) => return answer,
            Err(seen) if Instant::now() >= deadline => {
                panic!("not within {timeout:?}: {what}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// `Ok` when the condition holds, else what was seen: for [`wait_until`].
pub fn ensure(condition: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen()) }
}

/// Prints a line that is seen whether or not the test runner captures output: measured figures, and what was skipped.
pub fn announce(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What a test needs of the machine; without it, the test is skipped, with a word to the user, or fails if `HERALD_TESTS_NO_SKIP=1`.
#[track_caller]
pub fn or_skip<T>(test: &str, found: Result<T, String>) -> Option<T> {
    let no_skip = std::env::var_os("HERALD_TESTS_NO_SKIP").is_some_and(|value| value == "1");
    match found {
        Ok(found) => Some(found),
        Err(reason) if no_skip => panic!("{test} cannot be run here: {reason}"),
        Err(reason) => {
            announce(&format!("skipped: {test}: {reason}"));
            None
        }
    }
}

/// Prints the last lines of a log while a test fails: what a router said goes with the test's own words.
fn announce_log(name: &str, log: &Path) {
    if !std::thread::panicking() {
        return;
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(80)..].join("\n");
    announce(&format!("---- {name} said last:\n{last}\n----"));
}

/// Runs a command to its end and returns its standard output; panics with everything it said when it fails.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = try_run(command).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end; an error is a whole sentence.
fn try_run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Err(format!(
        "{command:?}: {}\n{}{}",
        output.status,
        stdout.trim_end(),
        stderr.trim_end()
    ))
}
