//! `herald events`: what happened, and what happens while one looks.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use super::client::{Client, ClientError, segment};
use super::{EventsOf, FAILURE, Follow, Output, SUCCESS, complain, show};
use crate::status::EventStatus;
use crate::{logging, output};

/// With how many of the past `--follow` begins.
const BEGIN: usize = 10;

/// What the API calls the events that are asked for.
pub(super) fn path(of: &EventsOf) -> String {
    let EventsOf {
        peer,
        bfd_session,
        service,
        lines: _,
        since: _,
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

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Ago(Duration),
    Time(SystemTime),
}

/// `10m`, `2026-11-22T22:05:00Z`, or that without the Z.
pub(super) fn since(text: &str) -> Result<Since, String> {
    let ago = humantime::parse_duration(text).ok().map(Since::Ago);
    let time = || humantime::parse_rfc3339_weak(text).ok().map(Since::Time);
    ago.or_else(time).ok_or_else(|| {
        "must be how long ago, such as 10m, or a time in UTC, such as 2026-11-22T22:05:00Z"
            .to_owned()
    })
}

/// Those of these events that are asked for, the oldest first; `at` tells when one was.
pub(super) fn wanted<E>(of: &EventsOf, mut events: Vec<E>, at: impl Fn(&E) -> &str) -> Vec<E> {
    let since = of.since.and_then(|since| match since {
        Since::Ago(time) => SystemTime::now().checked_sub(time),
        Since::Time(time) => Some(time),
    });
    if let Some(since) = since {
        let time = |event: &E| humantime::parse_rfc3339(at(event)).ok();
        events.retain(|event| time(event).is_none_or(|at| at >= since));
    }
    let skipped = of
        .lines
        .map_or(0, |lines| events.len().saturating_sub(lines));
    events.split_off(skipped)
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
    let mut of = follow.of.clone();
    if of.since.is_none() {
        of.lines.get_or_insert(BEGIN);
    }
    for event in wanted(&of, events, |event| &event.at) {
        if write(&event, follow.output).is_break() {
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
    fn the_last_and_the_latest_are_told() {
        let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
        let at = |seconds| humantime::format_rfc3339_millis(ago(seconds)).to_string();
        let events = vec![at(7200), at(300), at(5)];
        let told = |since: Option<&str>, lines| {
            let of = EventsOf {
                since: since.map(|text| super::since(text).unwrap()),
                lines,
                ..EventsOf::default()
            };
            wanted(&of, events.clone(), |event| event)
        };
        assert_eq!(told(None, None), events);
        assert_eq!(told(None, Some(2)), events[1..]);
        assert_eq!(told(None, Some(0)), events[3..]);
        assert_eq!(told(Some("10m"), None), events[1..]);
        assert_eq!(told(Some("10m"), Some(1)), events[2..]);
        assert_eq!(told(Some(&events[2]), None), events[2..]);
        let error = since("yesterday").unwrap_err();
        assert!(error.contains("such as 10m"), "{error}");
    }

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
