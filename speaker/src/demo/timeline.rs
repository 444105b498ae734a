//! What happened when, for a reader or for a program.

use std::time::{Duration, Instant};

use super::node::{BFD_DETECT_MULT, BFD_INTERVAL, SERVICE};
use crate::output::say;

/// The steps of the demonstration, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Established,
    BfdUp,
    Announced,
    RouteSeen,
    PathCut,
    BfdDown,
    RouteGone,
    PathBack,
    RouteBack,
}

impl Step {
    const fn key(self) -> &'static str {
        match self {
            Self::Established => "established_ms",
            Self::Announced => "announced_ms",
            Self::RouteSeen => "route_seen_ms",
            Self::BfdUp => "bfd_up_ms",
            Self::PathCut => "path_cut_ms",
            Self::BfdDown => "bfd_down_ms",
            Self::RouteGone => "route_gone_ms",
            Self::PathBack => "path_back_ms",
            Self::RouteBack => "route_back_ms",
        }
    }

    fn words(self) -> String {
        match self {
            Self::Established => "BGP session established".into(),
            Self::Announced => format!("service announced: {}", SERVICE.join(" and ")),
            Self::RouteSeen => "route seen by the router".into(),
            Self::BfdUp => format!("BFD up, {BFD_INTERVAL:?} x {BFD_DETECT_MULT}"),
            Self::PathCut => "path cut: every packet is lost".into(),
            Self::BfdDown => "BFD down at the router".into(),
            Self::RouteGone => "route gone from the router".into(),
            Self::PathBack => "path back".into(),
            Self::RouteBack => "route back at the router".into(),
        }
    }

    /// The step that this one answers.
    const fn cause(self) -> Option<(Self, &'static str)> {
        match self {
            Self::RouteSeen => Some((Self::Announced, "after the announcement")),
            Self::BfdDown | Self::RouteGone => Some((Self::PathCut, "after the cut")),
            Self::RouteBack => Some((Self::PathBack, "after the path came back")),
            _ => None,
        }
    }
}

pub(super) struct Timeline {
    start: Instant,
    json: bool,
    steps: Vec<(Step, Instant)>,
}

impl Timeline {
    pub(super) fn new(json: bool) -> Self {
        let timeline = Self {
            start: Instant::now(),
            json,
            steps: Vec::new(),
        };
        timeline.tell(
            "A speaker and a router on loopback, with a relay between them that can cut the path.",
        );
        timeline
    }

    pub(super) fn record(&mut self, step: Step, at: Instant) {
        self.steps.push((step, at));
        let since_cause = step.cause().and_then(|(cause, words)| {
            let (_, cause_at) = self.steps.iter().rev().find(|(step, _)| *step == cause)?;
            let time = milliseconds(at.saturating_duration_since(*cause_at));
            Some(format!("  ({time:.1} ms {words})"))
        });
        let time = milliseconds(at.saturating_duration_since(self.start));
        self.tell(&format!(
            "{time:>9.1} ms  {}{}",
            step.words(),
            since_cause.unwrap_or_default()
        ));
    }

    pub(super) fn finish(&self) {
        if self.json {
            say(self.to_json());
        } else {
            say("Every step succeeded.");
        }
    }

    /// Milliseconds since the beginning, by step.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let entry = |(step, at): &(Step, Instant)| {
            let time = milliseconds(at.saturating_duration_since(self.start));
            (
                step.key().to_owned(),
                serde_json::Value::from((time * 1000.0).round() / 1000.0),
            )
        };
        serde_json::Value::Object(self.steps.iter().map(entry).collect())
    }

    fn tell(&self, line: &str) {
        if !self.json {
            say(line);
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
