//! The story of a BFD session.

use std::time::Duration;

use super::peer::sentence;
use super::words::{brief, clock, lasting, sight};
use super::{Course, Plot, between, for_so_long};
use crate::history::{BfdCause, Record, What};
use crate::status::{BfdSessionStatus, BfdStatus};

/// Tells of a BFD session, sentence by sentence.
#[must_use]
pub fn of_bfd(bfd: &BfdStatus, plot: &Plot<'_>) -> Vec<String> {
    let course = Course::of(plot.bfd);
    let mut story = Vec::new();
    if !bfd.enabled {
        return vec!["It is disabled in the configuration (enabled = false).".to_owned()];
    }
    if let Some(error) = &bfd.error {
        story.push(format!(
            "There is no session: {error}. It is tried again every second."
        ));
    }
    match bfd.state.as_str() {
        "Up" => up(&mut story, bfd, plot, &course),
        _ => down(&mut story, bfd, plot, &course),
    }
    story.extend(course.flaps(plot.now, brief));
    story
}

fn up(story: &mut Vec<String>, bfd: &BfdStatus, plot: &Plot<'_>, course: &Course<'_>) {
    let lasted = Duration::from_millis(bfd.in_state_ms.unwrap_or_default());
    let since = plot.now.checked_sub(lasted).unwrap_or(plot.now);
    story.push(format!("{}.", for_so_long("Up", since, plot.now)));
    let before = course.record(course.down_before_up());
    if let Some((down, up)) = before.zip(course.record(course.up)) {
        story.push(format!(
            "Before that it was down for {}, since {}: {}.",
            lasting(between(down.last, up.last)),
            clock(down.last, plot.now),
            why(down)
        ));
    }
    story.extend(bfd.session.as_ref().and_then(margin));
}

fn down(story: &mut Vec<String>, bfd: &BfdStatus, plot: &Plot<'_>, course: &Course<'_>) {
    match course.record(course.lasting_down()) {
        Some(lost) => story.push(format!(
            "{}: {}.",
            for_so_long(&bfd.state, lost.last, plot.now),
            why(lost)
        )),
        None => story.push(format!(
            "{}, and not up since the daemon was started {} ago.",
            bfd.state,
            lasting(between(plot.started, plot.now))
        )),
    }
    story.extend(bfd.warning.as_ref().map(|warning| sentence(warning)));
    if bfd.state == "Init" {
        story.push(
            "Packets come from the neighbor, and it does not say that ours arrive.".to_owned(),
        );
    }
}

fn why(lost: &Record) -> String {
    match &lost.what {
        What::Bfd {
            cause: BfdCause::Protocol(saw),
            ..
        } => sight(saw),
        other => other.to_string(),
    }
}

/// How close it came.
fn margin(session: &BfdSessionStatus) -> Option<String> {
    let left = session.worst_detection_margin_ms?;
    let percent = session.worst_detection_margin_percent?;
    let ago = Duration::from_millis(session.worst_detection_margin_ago_ms?);
    Some(format!(
        "The closest that it came to detection since: {left:.1} ms ({percent} % of the Detection Time) were left, {} ago.",
        lasting(ago)
    ))
}
