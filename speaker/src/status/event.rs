//! What happened to whom, and why.

use serde::{Deserialize, Serialize};

use super::{text, time};
use crate::config::Party;
use crate::history::{Kind, Record, Subject};

/// An element of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EventStatus {
    /// Grows with each event, also from one run of the daemon to the next. One that repeats itself
    /// has the id of the last time.
    #[serde(default)]
    pub id: u64,
    /// When it happened, the last time.
    pub at: String,
    /// When it happened first, if it repeated itself.
    pub first_at: String,
    /// How often.
    pub count: u64,
    /// `up`: a session or a service came up; `down`: one that was up is so no more; `failed`: an
    /// attempt to bring one up failed; `state`: another change of state; `warning`: something is
    /// wrong; `note`: something was done.
    #[serde(default)]
    pub kind: String,
    /// `bgp`, `bfd`, `service` (also a route that belongs to none) or `herald`.
    pub subject: String,
    /// To which peer; null for what concerns none.
    pub peer: Option<String>,
    /// To which `[[bfd-session]]`; null for what concerns none.
    #[serde(default)]
    pub bfd_session: Option<String>,
    /// To which service; null for what concerns none.
    #[serde(default)]
    pub service: Option<String>,
    /// The state left.
    pub from: Option<String>,
    /// The state entered.
    pub to: Option<String>,
    /// What, or why.
    pub cause: String,
    /// All of it in a sentence.
    #[serde(default)]
    pub text: String,
}

impl From<&Record> for EventStatus {
    fn from(record: &Record) -> Self {
        let states = record.what.states();
        let (from, to) = states.map(|[from, to]| (from, to)).unzip();
        let party = record.party.as_ref();
        Self {
            id: record.id,
            at: time(record.last),
            first_at: time(record.first),
            count: record.count,
            kind: kind(record.kind).to_owned(),
            subject: subject(record.subject).to_owned(),
            peer: text(party.and_then(Party::peer)),
            bfd_session: text(party.and_then(Party::bfd_session)),
            service: text(party.and_then(Party::service)),
            from,
            to,
            cause: record.what.to_string(),
            text: sentence(record),
        }
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Up => "up",
        Kind::Down => "down",
        Kind::Failed => "failed",
        Kind::State => "state",
        Kind::Warning => "warning",
        Kind::Note => "note",
    }
}

const fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::Bgp => "bgp",
        Subject::Bfd => "bfd",
        Subject::Service => "service",
        Subject::Herald => "herald",
    }
}

fn sentence(record: &Record) -> String {
    let Record {
        party,
        subject,
        what,
        count,
        ..
    } = record;
    let protocol = match subject {
        Subject::Bgp => "BGP ",
        Subject::Bfd => "BFD ",
        Subject::Service | Subject::Herald => "",
    };
    let who = party
        .as_ref()
        .map_or_else(String::new, |party| format!("{party}: "));
    let what = match what.states() {
        None => what.to_string(),
        Some([from, to]) => format!("{protocol}{from} -> {to}: {what}"),
    };
    match count {
        1 => format!("{who}{what}"),
        count => format!("{who}{what} ({count} times)"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::config::PeerName;
    use crate::history::{History, What};

    #[test]
    fn an_event_is_a_sentence_too() {
        let mut history = History::beginning(UNIX_EPOCH);
        let name = PeerName::new("tor-a").unwrap();
        let lost = What::Bgp {
            from: bgp::State::Established,
            to: bgp::State::Idle,
            cause: bgp::Cause::ConnectionLost,
        };
        let failed = What::Bgp {
            from: bgp::State::OpenSent,
            to: bgp::State::Idle,
            cause: bgp::Cause::ConnectionLost,
        };
        for what in [lost, failed.clone(), failed] {
            history.happened(UNIX_EPOCH, &name, Subject::Bgp, what);
        }
        history.note(UNIX_EPOCH, "started");
        let records = history.records(None);
        let events: Vec<EventStatus> = records.iter().map(EventStatus::from).collect();
        assert_eq!(
            events[0].text,
            "peer tor-a: BGP Established -> Idle: TCP connection lost"
        );
        assert_eq!(
            events[1].text,
            "peer tor-a: BGP OpenSent -> Idle: TCP connection lost (2 times)"
        );
        assert_eq!(events[2].text, "started");
        let kinds: Vec<&str> = events.iter().map(|event| &*event.kind).collect();
        assert_eq!(kinds, ["down", "failed", "note"]);
    }
}
