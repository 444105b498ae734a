//! `herald events`: what happened, and what happens while one looks.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;

use super::client::{Client, ClientError, segment};
use super::{EventsOf, FAILURE, Follow, Output, SUCCESS, complain, show};
use crate::status::EventStatus;
use crate::{logging, output};

/// What the API calls the events that are asked for.
pub(super) fn path(of: &EventsOf) -> String {
    let EventsOf {
        peer,
        bfd_session,
        service,
    } = of;
    let filter = [
        ("peer", peer),
        ("bfd_session", bfd_session),
        ("service", service),
    ];
    let named = |(key, name): (&str, &Option<String>)| {
        let name = name.as_ref()?;
        Some(format!("/v1/events?{key}={}", segment(name)))
    };
    let path = filter.into_iter().find_map(named);
    path.unwrap_or_else(|| "/v1/events".to_owned())
}

/// Writes what there is, and goes on until the daemon ends or nobody reads.
pub(super) fn run(client: &Client, follow: &Follow) -> u8 {
    match followed(client, follow) {
        Ok(()) => SUCCESS,
        Err(Ended::Daemon) => {
            complain("the daemon has ended; `herald run` starts it");
            FAILURE
        }
        Err(Ended::Client(error)) => {
            complain(&error);
            error.code()
        }
    }
}

enum Ended {
    Daemon,
    Client(ClientError),
}

fn followed(client: &Client, follow: &Follow) -> Result<(), Ended> {
    let path = path(&follow.of);
    let events: Vec<EventStatus> = client.get(&path).map_err(Ended::Client)?;
    // Ids are microseconds at least: 1 is before everything.
    let since = events.last().map_or(1, |event| event.id);
    let skipped = events.len().saturating_sub(follow.lines);
    for event in events.iter().skip(skipped) {
        if write(event, follow.output).is_break() {
            return Ok(());
        }
    }
    let path = match path.contains('?') {
        true => format!("{path}&follow=true"),
        false => format!("{path}?follow=true"),
    };
    let mut outcome = Ok(());
    client
        .follow(&path, since, |kind, data| match kind {
            "end" => {
                outcome = Err(Ended::Daemon);
                ControlFlow::Break(())
            }
            "lost" => lost(data),
            _ => match serde_json::from_str(data) {
                Ok(event) => write(&event, follow.output),
                // Something that a later daemon says, and this command does not know.
                Err(_) => ControlFlow::Continue(()),
            },
        })
        .map_err(Ended::Client)?;
    outcome
}

fn lost(data: &str) -> ControlFlow<()> {
    let value: Option<serde_json::Value> = serde_json::from_str(data).ok();
    match value.as_ref().and_then(|value| value["count"].as_u64()) {
        Some(count) => complain(format_args!(
            "{count} events were lost here: this did not read fast enough"
        )),
        None => complain("events were lost here: the daemon does not remember them any more"),
    }
    ControlFlow::Continue(())
}

/// A line; JSON as one, too.
fn write(event: &EventStatus, output: Output) -> ControlFlow<()> {
    let line = match output {
        Output::Json => serde_json::to_string(event).unwrap_or_default(),
        Output::Table | Output::Wide => {
            let colored = io::stdout().is_terminal() && logging::colors_are_welcome();
            format!(
                "{} {} {}",
                event.at,
                kind(&event.kind, colored),
                show::sentence(event)
            )
        }
    };
    output::put(format!("{line}\n").as_bytes())
}

fn kind(kind: &str, colored: bool) -> String {
    let color = match kind {
        "up" => "32",
        "down" | "failed" | "warning" => "31",
        _ => "2",
    };
    match colored {
        true => format!("\x1b[{color}m{kind:<7}\x1b[0m"),
        false => format!("{kind:<7}"),
    }
}

/// Server-sent events in what comes over the connection.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// The events that are complete with these octets: what they are called, and their data.
    pub(super) fn push(&mut self, octets: &[u8]) -> Vec<(String, String)> {
        self.0.extend_from_slice(octets);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|two| two == b"\n\n") {
            let rest = self.0.split_off(end + 2);
            let frame = std::mem::replace(&mut self.0, rest);
            events.extend(parsed(&String::from_utf8_lossy(&frame)));
        }
        events
    }
}

/// `None` for what is only said to keep the connection alive.
fn parsed(frame: &str) -> Option<(String, String)> {
    let field = |name: &str| {
        let mut lines = frame.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    Some((field("event")?, field("data")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_however_they_come() {
        let text = b": keep-alive\n\nid: 7\nevent: up\ndata: {\"a\":1}\n\nevent: end\ndata: {}\n\n";
        let expected = [("up", "{\"a\":1}"), ("end", "{}")];
        let expected = expected.map(|(kind, data)| (kind.to_owned(), data.to_owned()));
        for size in 1..text.len() {
            let mut frames = Frames::default();
            let events = text.chunks(size).flat_map(|chunk| frames.push(chunk));
            assert_eq!(events.collect::<Vec<_>>(), expected);
        }
    }
}
