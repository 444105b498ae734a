//! The story of a peer.

use std::net::SocketAddr;
use std::time::Duration;

use bgp::Cause;

use super::words::{HUNG_UP, brief, clock, failure, lasting, loss};
use super::{Course, Plot, between, for_so_long};
use crate::history::{BfdCause, BfdSight, Record, What};
use crate::status::{HeldBackStatus, PeerStatus};

/// How long BGP takes at most to follow BFD.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);

/// Tells of the peer's session, sentence by sentence.
#[must_use]
pub fn of_peer(peer: &PeerStatus, plot: &Plot<'_>) -> Vec<String> {
    let course = Course::of(plot.bgp);
    let mut story = Vec::new();
    story.extend(drained(peer));
    match peer.state.as_str() {
        "Established" => established(&mut story, peer, plot, &course),
        _ => down(&mut story, peer, plot, &course),
    }
    story.extend(course.flaps(plot.now, brief));
    story
}

/// Whoever asks why there is no traffic is to read this first.
fn drained(peer: &PeerStatus) -> Option<String> {
    let name = &peer.name;
    Some(match peer.draining.as_deref()? {
        "stop" => "It is drained, for the daemon is about to end: it is asked to take other paths (RFC 8326).".to_owned(),
        "all" => "It is drained by command, as every peer: it is asked to take other paths (RFC 8326); `herald undrain` ends that.".to_owned(),
        _ => format!("It is drained by command: it is asked to take other paths (RFC 8326); `herald undrain {name}` ends that."),
    })
}

fn established(story: &mut Vec<String>, peer: &PeerStatus, plot: &Plot<'_>, course: &Course<'_>) {
    let lasted = Duration::from_millis(peer.in_state_ms.unwrap_or_default());
    let since = plot.now.checked_sub(lasted).unwrap_or(plot.now);
    let has: usize = peer.families.iter().map(|family| family.advertised).sum();
    let pending: usize = peer.families.iter().map(|family| family.pending).sum();
    let more = match pending {
        0 => String::new(),
        _ => format!(", and {pending} changes are on their way"),
    };
    let held_back: String = peer.held_back.iter().map(held_back).collect();
    story.push(format!(
        "{}. It has {} from us{more}{held_back}.",
        for_so_long("Established", since, plot.now),
        prefixes(has)
    ));
    story.extend(without_its_bfd(peer));
    let Some(up) = course.record(course.up) else {
        return;
    };
    let down_index = course.down_before_up();
    let Some(down) = course.record(down_index) else {
        let failures = failures_before(course, 0);
        story.extend(failures.map(|(count, last)| {
            let attempts = attempts(count);
            let cause = failure_of(last, peer);
            let the_last = if count > 1 { ", the last" } else { "" };
            let at = clock(last.last, plot.now);
            format!("Before that {attempts} had failed{the_last} at {at}: {cause}.")
        }));
        return;
    };
    let restarted = match plot.started > down.last && plot.started <= up.last {
        true => format!(
            " The daemon was started again at {}.",
            clock(plot.started, plot.now)
        ),
        false => String::new(),
    };
    story.push(format!(
        "Before that it was down for {}: {}.{restarted}",
        lasting(between(down.last, up.last)),
        why(down, plot)
    ));
    let failures = failures_before(course, down_index.map_or(0, |index| index + 1));
    story.extend(failures.map(|(count, last)| {
        let cause = failure_of(last, peer);
        let last = if count > 1 { ", the last" } else { "" };
        format!(
            "Until it came back {} failed{last}: {cause}.",
            attempts(count)
        )
    }));
    let bfd_up = plot
        .bfd
        .iter()
        .find(|record| record.what.is_up() && record.last >= down.last && record.last <= up.last);
    story.extend(bfd_up.map(|bfd| {
        format!(
            "BFD was up again at {}, and BGP {} later.",
            clock(bfd.last, plot.now),
            lasting(between(bfd.last, up.last))
        )
    }));
}

fn down(story: &mut Vec<String>, peer: &PeerStatus, plot: &Plot<'_>, course: &Course<'_>) {
    if !peer.enabled {
        story.push("It is disabled in the configuration (enabled = false).".to_owned());
    } else if let Some(shutdown) = &peer.shutdown {
        let text = shutdown.communication.as_ref();
        let told = text.map_or_else(String::new, |text| format!(" with the words {text:?}"));
        story.push(format!(
            "It was shut down by command{told}; `herald peer enable {}` lets it start again.",
            peer.name
        ));
    }
    let lost = course.record(course.lasting_down());
    match lost {
        Some(lost) => story.push(format!(
            "{}: {}.",
            for_so_long("Down", lost.last, plot.now),
            why(lost, plot)
        )),
        None if peer.is_to_run() => story.push(format!(
            "Not established since the daemon was started {} ago.",
            lasting(between(plot.started, plot.now))
        )),
        None => {}
    }
    if !peer.is_to_run() {
        return;
    }
    let failed = course.after(course.lasting_down().or(course.up));
    let failed: Vec<&Record> = failed.filter(|record| is_failure(record)).collect();
    if let Some(last) = failed.iter().max_by_key(|record| record.last) {
        let count = failed.iter().map(|record| record.count).sum();
        story.push(format!(
            "{} failed{} at {}: {}.",
            capitalized(&attempts(count)),
            if count > 1 { ", the last" } else { "" },
            clock(last.last, plot.now),
            advised(last, peer)
        ));
    }
    story.push(doing(peer));
    story.extend(of_its_bfd(peer));
    story.extend(peer.transport.hints.iter().map(|hint| sentence(hint)));
}

/// What the state machine is at.
fn doing(peer: &PeerStatus) -> String {
    if let Some(family) = &peer.over_max_prefixes {
        return format!(
            "It stays down because it announced more {family} prefixes than max-prefixes allows; `herald peer reset {}` lets it try again.",
            peer.name
        );
    }
    if let Some(pending) = &peer.bfd_pending {
        return format!("It waits for BFD, as bfd-strict demands ({pending}).");
    }
    let retry = lasting(Duration::from_millis(peer.timers.connect_retry_time_ms));
    match peer.state.as_str() {
        "Idle" => match peer.idle_for_ms {
            Some(ms) => format!(
                "The next attempt is in {}.",
                lasting(Duration::from_millis(ms))
            ),
            None => "It is Idle.".to_owned(),
        },
        "Connect" => format!(
            "It is in Connect: we are connecting to {} port {}, and nobody has answered yet.",
            peer.address, peer.port
        ),
        "Active" if peer.passive => {
            "It is in Active: passive = true, so we wait for it to connect.".to_owned()
        }
        "Active" => format!(
            "It is in Active: we wait for it to connect, and try again ourselves every {retry}."
        ),
        "OpenSent" => {
            "It is in OpenSent: TCP is connected and our OPEN is out, and its OPEN has not come."
                .to_owned()
        }
        "OpenConfirm" => {
            "It is in OpenConfirm: the OPENs agree, and its first KEEPALIVE has not come."
                .to_owned()
        }
        other => format!("It is in {other}."),
    }
}

/// A session that looks well, and whose path nobody watches.
fn without_its_bfd(peer: &PeerStatus) -> Option<String> {
    let bfd = peer.bfd.as_ref()?;
    let is_missed = bfd.enabled && bfd.state != "Up";
    is_missed.then(|| {
        format!(
            "BFD is {}: until it is Up, only the hold timer would notice that the path has failed; `herald show bfd {}` tells why.",
            bfd.state, bfd.name
        )
    })
}

/// Whether it is the path or BGP.
fn of_its_bfd(peer: &PeerStatus) -> Option<String> {
    let bfd = peer.bfd.as_ref()?;
    let trouble = bfd.error.as_ref().or(bfd.warning.as_ref());
    let ends = bfd.session.as_ref();
    let is_taken_down = ends.is_some_and(|ends| ends.remote_state == "AdminDown");
    Some(match (bfd.state.as_str(), trouble) {
        // RFC 5882 §3.2: it says nothing of the path.
        (_, None) if is_taken_down => {
            "Its BFD session was taken down there too (AdminDown), which says nothing of the path."
                .to_owned()
        }
        ("Up", _) => "BFD is Up: the path is well, so look at BGP, here and there.".to_owned(),
        (state, Some(trouble)) => format!("BFD is {state}: {trouble}."),
        (state, None) => format!(
            "BFD is {state} too: look at the path first; `herald show bfd {}` tells more.",
            bfd.name
        ),
    })
}

/// Why the session was lost, with what BFD saw at that time.
fn why(lost: &Record, plot: &Plot<'_>) -> String {
    let What::Bgp { cause, .. } = &lost.what else {
        return lost.what.to_string();
    };
    let is_near = |record: &&Record| {
        let before = between(record.last, lost.last);
        let after = between(lost.last, record.last);
        record.what.is_down() && before.max(after) <= FOLLOWS_WITHIN
    };
    let saw = plot.bfd.iter().rev().find(is_near);
    loss(cause, saw.and_then(sight_of))
}

fn sight_of(record: &Record) -> Option<&BfdSight> {
    match &record.what {
        What::Bfd {
            cause: BfdCause::Protocol(sight),
            ..
        } => Some(sight),
        _ => None,
    }
}

/// How many attempts failed between this record and the last that came up, and the last of them.
fn failures_before<'a>(course: &Course<'a>, from: usize) -> Option<(u64, &'a Record)> {
    let until = course.up?;
    let records = course.records.iter().take(until).skip(from);
    let failures: Vec<&Record> = records.filter(|record| is_failure(record)).collect();
    let last = failures.iter().max_by_key(|record| record.last)?;
    Some((failures.iter().map(|record| record.count).sum(), last))
}

/// An attempt that came to nothing.
fn is_failure(record: &Record) -> bool {
    matches!(&record.what, What::Bgp { from, to, .. }
        if *from != bgp::State::Established && *to != bgp::State::Established)
}

fn failure_of(record: &Record, peer: &PeerStatus) -> String {
    match &record.what {
        What::Bgp { cause, .. } => words(cause, peer),
        other => other.to_string(),
    }
}

/// With what to look at, for it lasts.
fn advised(record: &Record, peer: &PeerStatus) -> String {
    let what = failure_of(record, peer);
    if what != HUNG_UP {
        return what;
    }
    let address = peer.local_address.as_deref();
    let address = address.and_then(|text| text.parse::<SocketAddr>().ok());
    let from = address.map_or_else(
        || "the address that we come from".to_owned(),
        |address| address.ip().to_string(),
    );
    let bfd = match peer.bfd.as_ref().map(|bfd| bfd.state.as_str()) {
        None => {
            "; or it waits for BFD (FRR: `neighbor ... bfd`), and the peer has no bfd-profile here"
                .to_owned()
        }
        Some("Up") => String::new(),
        Some(state) => format!("; or it waits for BFD (FRR: `neighbor ... bfd`), which is {state}"),
    };
    format!("{what}; it may not have us as a neighbor, or not with {from}{bfd}")
}

fn words(cause: &Cause, peer: &PeerStatus) -> String {
    failure(cause, peer.local_as, &peer.remote_as_configured)
}

fn attempts(count: u64) -> String {
    match count {
        1 => "an attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}

/// To go on behind what it has.
fn held_back(what: &HeldBackStatus) -> String {
    let of = what.family.as_ref();
    let of = of.map_or_else(String::new, |family| format!(" of {family}"));
    let are = if what.prefixes == 1 { "is" } else { "are" };
    let (count, reason) = (prefixes(what.prefixes), &what.reason);
    format!("; {count}{of} {are} held back, for {reason}")
}

fn prefixes(count: usize) -> String {
    match count {
        0 => "no prefix".to_owned(),
        1 => "1 prefix".to_owned(),
        count => format!("{count} prefixes"),
    }
}

/// With a capital letter, unless it begins with a key, and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let word = text.split(' ').next().unwrap_or_default();
    match word.contains(['-', ':']) {
        true => format!("{text}."),
        false => format!("{}.", capitalized(text)),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
