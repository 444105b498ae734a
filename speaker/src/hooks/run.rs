//! One run of a program: what it is told, what becomes of what it says, and its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;
use tracing::{info, warn};

use super::Occurrence;
use crate::config::HookConfig;
use crate::program::Group;

/// How much of what a program writes goes to the log; the rest is thrown away.
const OUTPUT: u64 = 16 * 1024;

/// How a run went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot be run: {0}")]
    Start(#[source] io::Error),
    #[error("cannot be waited for: {0}")]
    Wait(#[source] io::Error),
    #[error("ended with {0}")]
    Status(ExitStatus),
    #[error("was killed with all that it started, for it took longer than {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

/// What a program reads, as one line of JSON.
#[derive(Debug, Serialize)]
struct Told<'o> {
    at: String,
    hook: &'o str,
    subject: String,
    event: &'static str,
    name: &'o str,
    peer: Option<&'o str>,
    peer_range: Option<&'o str>,
    bfd_session: Option<&'o str>,
    bfd_range: Option<&'o str>,
    service: Option<&'o str>,
    from: &'o str,
    to: &'o str,
    cause: &'o str,
}

impl<'o> Told<'o> {
    fn new(config: &'o HookConfig, occurrence: &'o Occurrence) -> Self {
        let [from, to] = &occurrence.states;
        let party = &occurrence.party;
        Self {
            at: humantime::format_rfc3339_millis(occurrence.at).to_string(),
            hook: config.name.as_str(),
            subject: occurrence.subject.to_string(),
            event: if occurrence.up { "up" } else { "down" },
            name: party.name(),
            peer: party.peer().map(|_| party.name()),
            peer_range: occurrence.range.as_ref().map(|range| range.as_str()),
            bfd_session: party.bfd_session().map(|name| name.as_str()),
            bfd_range: occurrence.bfd_range.as_ref().map(|range| range.as_str()),
            service: party.service().map(|name| name.as_str()),
            from,
            to,
            cause: &occurrence.cause,
        }
    }

    /// For scripts that read no JSON.
    fn variables(&self) -> [(&'static str, String); 12] {
        // A variable ends at a NUL, which a neighbor may have sent us in a text.
        let text = |text: &str| text.replace('\0', " ");
        [
            ("HERALD_AT", self.at.clone()),
            ("HERALD_HOOK", text(self.hook)),
            ("HERALD_SUBJECT", self.subject.clone()),
            ("HERALD_EVENT", self.event.to_owned()),
            ("HERALD_NAME", text(self.name)),
            ("HERALD_PEER", text(self.peer.unwrap_or_default())),
            (
                "HERALD_PEER_RANGE",
                text(self.peer_range.unwrap_or_default()),
            ),
            (
                "HERALD_BFD_SESSION",
                text(self.bfd_session.unwrap_or_default()),
            ),
            ("HERALD_SERVICE", text(self.service.unwrap_or_default())),
            ("HERALD_FROM", text(self.from)),
            ("HERALD_TO", text(self.to)),
            ("HERALD_CAUSE", text(self.cause)),
        ]
    }
}

/// Runs the program, tells it what happened, and waits for its end and that of its output.
pub(super) async fn run(config: &HookConfig, occurrence: &Occurrence) -> Result<(), Failure> {
    let told = Told::new(config, occurrence);
    let group = Group::start(&config.exec, told.variables(), Stdio::piped());
    let mut group = group.map_err(Failure::Start)?;
    let talk = communicate(&mut group, config, &told);
    let ended = tokio::time::timeout(config.timeout, talk).await;
    let Ok(status) = ended else {
        group.kill();
        // The kernel has nothing left to wait for.
        let _ = group.leader.wait().await;
        return Err(Failure::Timeout(config.timeout));
    };
    let status = status.map_err(Failure::Wait)?;
    status
        .success()
        .then_some(())
        .ok_or(Failure::Status(status))
}

async fn communicate(
    group: &mut Group,
    config: &HookConfig,
    told: &Told<'_>,
) -> io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (
        group.leader.stdin.take(),
        group.leader.stdout.take(),
        group.leader.stderr.take(),
    );
    let name = config.name.as_str();
    tokio::join!(
        write(stdin, told),
        log(stdout, |line| info!(hook = name, "{line}")),
        log(stderr, |line| warn!(hook = name, "{line}")),
    );
    // Not before: what has left the group may keep the output open for longer than the group
    // lives, and its number must stay ours as long as it may have to be killed.
    group.wait().await
}

/// A program need not read it.
async fn write(stdin: Option<ChildStdin>, told: &Told<'_>) {
    if let (Some(mut stdin), Ok(mut line)) = (stdin, serde_json::to_vec(told)) {
        line.push(b'\n');
        let _ = stdin.write_all(&line).await;
    }
}

/// Hands on what a program writes, line by line, and reads the rest so that it does not block.
async fn log(output: Option<impl AsyncRead + Unpin>, say: impl Fn(&str)) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output.take(OUTPUT));
    let mut line = Vec::new();
    while lines
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|octets| octets > 0)
    {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            say(text);
        }
        line.clear();
    }
    let mut rest = lines.into_inner().into_inner();
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
}
