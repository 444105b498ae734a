//! Whether a program ends with 0. What it writes first is the reason.

use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::checker::Start;
use super::{first_line, words};
use crate::program::Group;

/// How much of what a program writes is looked at.
const LOOKED_AT: usize = 4096;
/// How much it may write; one that does not stop is not well.
const ENOUGH: u64 = 1024 * 1024;
/// How long is waited for output that is there already, when the program has ended. Only what has
/// left its process group can make it last.
const REST: Duration = Duration::from_millis(20);

/// What came of it, or what is wrong. The program and what it has started is killed when nobody
/// waits for this any more.
pub(super) async fn check(exec: &[String], start: &Start) -> Result<String, String> {
    let group = Group::start(exec, variables(start), Stdio::null());
    let mut group = group.map_err(|error| format!("cannot be run: {}", words(&error)))?;
    let (stdout, stderr) = (group.leader.stdout.take(), group.leader.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let mut reading = pin!(async {
            tokio::try_join!(read(stdout, &mut said), read(stderr, &mut complained)).map(|_| ())
        });
        let mut end = pin!(group.wait_and_kill_the_rest());
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                biased;
                status = &mut end => break status,
                read = &mut reading, if !is_read => { read?; is_read = true; }
            }
        };
        if !is_read && let Ok(read) = tokio::time::timeout(REST, reading).await {
            read?;
        }
        status.map_err(|error| format!("cannot be waited for: {}", words(&error)))?
    };
    let line = first_line(&said).or_else(|| first_line(&complained));
    let text = match line {
        Some(line) => format!("{}: {line}", ended(status)),
        None => ended(status),
    };
    if status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

fn variables(start: &Start) -> [(&'static str, String); 3] {
    let addresses: Vec<String> = start.addresses.iter().map(ToString::to_string).collect();
    [
        ("HERALD_SERVICE", start.service.to_string()),
        ("HERALD_ADDRESSES", addresses.join(" ")),
        ("HERALD_STATE", start.verdict.to_string()),
    ]
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => format!("killed by signal {number}"),
        (None, None) => status.to_string(),
    }
}

/// Keeps the beginning, and reads the rest so that the program does not block.
async fn read(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), String> {
    let Some(output) = output else { return Ok(()) };
    let mut output = output.take(ENOUGH);
    let mut chunk = [0; 4096];
    // Who cannot be read any more has nothing to say.
    while let Ok(octets @ 1..) = output.read(&mut chunk).await {
        let room = LOOKED_AT.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(octets.min(room)));
    }
    match output.limit() {
        0 => Err(format!(
            "killed, for it wrote more than {} KiB",
            ENOUGH >> 10
        )),
        _ => Ok(()),
    }
}
