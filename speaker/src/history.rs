//! What happened to whom, and why: the answer to "why did it flap last night?". Bounded, and not
//! pushed out by what repeats.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast;

use crate::config::Party;

/// How many records of a peer, or of a BFD session without one, are kept.
const PER_PARTY: usize = 64;
/// How many records of the daemon itself are kept.
const OF_SPEAKER: usize = 256;
/// How far back the same record is looked for.
const REPEATS_WITHIN: usize = 4;
/// How many records may wait for the slowest who follows them.
const FEED: usize = 1024;

/// What it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A BGP session.
    Bgp,
    /// A BFD session.
    Bfd,
    /// A service.
    Service,
    /// The daemon.
    Herald,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session, or a service, came up.
    Up,
    /// One that was up is so no more.
    Down,
    /// An attempt to bring one up failed.
    Failed,
    /// Another change of state.
    State,
    /// It goes on, and something is wrong.
    Warning,
    /// Somebody did something, or the daemon did.
    Note,
}

/// Something that happened, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Grows with each thing that happens, also from one run of the daemon to the next; that of the
    /// last time, if it repeated itself.
    pub id: u64,
    /// Of what sort.
    pub kind: Kind,
    /// When it happened first.
    pub first: SystemTime,
    /// When it happened last.
    pub last: SystemTime,
    /// How often.
    pub count: u64,
    /// To whom; `None` for the daemon itself.
    pub party: Option<Party>,
    /// To what.
    pub subject: Subject,
    /// The state left, if it is a change of state.
    pub from: String,
    /// The state entered, if it is a change of state.
    pub to: String,
    /// What, or why.
    pub cause: String,
}

/// Whether a record was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It was.
    New,
    /// It only repeats one of the last.
    Repeated,
}

/// The last records, by party.
#[derive(Debug)]
pub struct History {
    parties: BTreeMap<Party, VecDeque<Record>>,
    speaker: VecDeque<Record>,
    /// The last record's.
    last_id: u64,
    /// The greatest of a record that is not kept any more, or of a former run.
    forgotten: u64,
    feed: broadcast::Sender<Arc<Record>>,
}

impl Default for History {
    /// Ids begin with the time in microseconds: the next run's are greater.
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = now.map_or(0, |now| now.as_micros());
        let last_id = u64::try_from(micros).unwrap_or_default();
        Self {
            parties: BTreeMap::new(),
            speaker: VecDeque::new(),
            last_id,
            forgotten: last_id,
            feed: broadcast::Sender::new(FEED),
        }
    }
}

/// What happened since, and what happens from here on.
#[derive(Debug)]
pub struct Followed {
    /// The oldest first.
    pub before: Vec<Record>,
    /// Something happened in between that is not remembered.
    pub is_incomplete: bool,
    /// Of everybody. Whoever does not keep up is told how many it missed; when the daemon ends, so
    /// does this.
    pub live: broadcast::Receiver<Arc<Record>>,
}

impl History {
    /// Remembers a change of state. One that repeats one of the last is counted there.
    pub fn transition(
        &mut self,
        at: SystemTime,
        party: impl Into<Party>,
        subject: Subject,
        [from, to]: [String; 2],
        cause: String,
    ) -> Novelty {
        self.last_id += 1;
        let party = party.into();
        let record = Record {
            id: self.last_id,
            kind: Kind::of(subject, &from, &to),
            first: at,
            last: at,
            count: 1,
            party: Some(party.clone()),
            subject,
            from,
            to,
            cause,
        };
        let records = self.parties.entry(party).or_default();
        let mut latest = records.iter_mut().rev().take(REPEATS_WITHIN);
        if let Some(same) = latest.find(|other| other.says_the_same(&record)) {
            same.count += 1;
            same.last = record.last;
            same.id = record.id;
            tell(&self.feed, same);
            return Novelty::Repeated;
        }
        tell(&self.feed, &record);
        let gone = push(records, record, PER_PARTY);
        self.forgotten = self.forgotten.max(gone);
        Novelty::New
    }

    /// Remembers that something is wrong with somebody, in the same way.
    pub fn happened(
        &mut self,
        at: SystemTime,
        party: impl Into<Party>,
        subject: Subject,
        what: String,
    ) -> Novelty {
        self.transition(at, party, subject, Default::default(), what)
    }

    /// Remembers what the daemon itself did.
    pub fn note(&mut self, at: SystemTime, text: String) {
        self.note_about(at, None, Subject::Herald, text);
    }

    /// Remembers what the daemon, or somebody through it, did to somebody. It outlives whom it is
    /// about.
    pub fn note_about(
        &mut self,
        at: SystemTime,
        party: Option<Party>,
        subject: Subject,
        text: String,
    ) {
        self.last_id += 1;
        let record = Record {
            id: self.last_id,
            kind: Kind::Note,
            first: at,
            last: at,
            count: 1,
            party,
            subject,
            from: String::new(),
            to: String::new(),
            cause: text,
        };
        tell(&self.feed, &record);
        let gone = push(&mut self.speaker, record, OF_SPEAKER);
        self.forgotten = self.forgotten.max(gone);
    }

    /// Forgets somebody.
    pub fn forget(&mut self, party: impl Into<Party>) {
        let gone = self.parties.remove(&party.into()).into_iter().flatten();
        let gone = gone.map(|record| record.id).max().unwrap_or_default();
        self.forgotten = self.forgotten.max(gone);
    }

    /// What happened to one party, or to all and to the daemon, after the record with the id
    /// `since`, and what happens from here on.
    #[must_use]
    pub fn follow(&self, party: Option<&Party>, since: Option<u64>) -> Followed {
        let mut before = Vec::new();
        if let Some(since) = since {
            before = self.records(party);
            // One that is greater than all is not of this daemon, or its clock was set back.
            before.retain(|record| record.id > since || since > self.last_id);
        }
        Followed {
            before,
            is_incomplete: since
                .is_some_and(|since| since < self.forgotten || since > self.last_id),
            live: self.feed.subscribe(),
        }
    }

    /// What is remembered of one party, or of all and of the daemon; the oldest first.
    #[must_use]
    pub fn records(&self, party: Option<&Party>) -> Vec<Record> {
        let mut records: Vec<Record> = match party {
            Some(party) => {
                let own = self.parties.get(party).into_iter().flatten();
                let notes = self.speaker.iter();
                let notes = notes.filter(|record| record.party.as_ref() == Some(party));
                own.chain(notes).cloned().collect()
            }
            None => {
                let all = self.parties.values().flatten().chain(&self.speaker);
                all.cloned().collect()
            }
        };
        records.sort_by_key(|record| record.id);
        records
    }
}

impl Record {
    fn says_the_same(&self, other: &Self) -> bool {
        (self.subject, &self.from, &self.to, &self.cause)
            == (other.subject, &other.from, &other.to, &other.cause)
    }
}

impl Kind {
    fn of(subject: Subject, from: &str, to: &str) -> Self {
        let is_up = |state: &str| match subject {
            Subject::Bgp => state == "Established",
            Subject::Bfd => state == "Up",
            Subject::Service => state == "healthy",
            Subject::Herald => false,
        };
        match (is_up(from), is_up(to)) {
            _ if from.is_empty() && to.is_empty() => Self::Warning,
            (false, true) => Self::Up,
            (true, false) => Self::Down,
            (false, false) if subject == Subject::Bgp => Self::Failed,
            _ => Self::State,
        }
    }
}

/// Tells those who follow, if there are any.
fn tell(feed: &broadcast::Sender<Arc<Record>>, record: &Record) {
    if feed.receiver_count() > 0 {
        // The last of them may have gone just before.
        let _ = feed.send(Arc::new(record.clone()));
    }
}

/// Tells the id of the record that had to make room; 0 when there was room.
fn push(records: &mut VecDeque<Record>, record: Record, limit: usize) -> u64 {
    let gone = match records.len() == limit {
        true => records.pop_front(),
        false => None,
    };
    records.push_back(record);
    gone.map_or(0, |gone| gone.id)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::config::PeerName;

    fn peer() -> Party {
        Party::Peer(PeerName::new("tor").unwrap())
    }

    fn tell(history: &mut History, second: u64, from: &str, to: &str, cause: &str) -> Novelty {
        let at = UNIX_EPOCH + Duration::from_secs(second);
        let states = [from.to_owned(), to.to_owned()];
        history.transition(at, peer(), Subject::Bgp, states, cause.to_owned())
    }

    #[test]
    fn what_repeats_pushes_nothing_out() {
        let mut history = History::default();
        tell(&mut history, 1, "Established", "Idle", "BFD Down");
        for second in 2..1000 {
            tell(&mut history, second, "Connect", "Active", "refused");
            tell(&mut history, second, "OpenSent", "Idle", "lost");
        }
        let records = history.records(Some(&peer()));
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].cause, "BFD Down");
        assert_eq!(records[1].count, 998);
        assert_eq!(records[2].last, UNIX_EPOCH + Duration::from_secs(999));
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for second in 0..1000 {
            let cause = format!("cause {second}");
            assert_eq!(
                tell(&mut history, second, "Established", "Idle", &cause),
                Novelty::New
            );
            history.note(UNIX_EPOCH, cause);
        }
        assert_eq!(history.records(Some(&peer())).len(), PER_PARTY);
        assert_eq!(history.records(None).len(), PER_PARTY + OF_SPEAKER);
        history.forget(peer());
        assert_eq!(history.records(None).len(), OF_SPEAKER);
    }

    #[test]
    fn ids_grow_and_go_with_the_last_time() {
        let mut history = History::default();
        tell(&mut history, 1, "Connect", "Active", "refused");
        history.note(UNIX_EPOCH, "started".to_owned());
        tell(&mut history, 2, "Connect", "Active", "refused");
        let records = history.records(None);
        let causes: Vec<&str> = records.iter().map(|record| record.cause.as_str()).collect();
        assert_eq!(causes, ["started", "refused"]);
        assert_eq!(records[1].id, records[0].id + 1);
        assert!(records[0].id > 1_700_000_000_000_000, "{}", records[0].id);
    }

    #[test]
    fn kinds_are_told_by_the_states() {
        let mut history = History::default();
        tell(&mut history, 1, "OpenConfirm", "Established", "both agree");
        tell(&mut history, 2, "Established", "Idle", "BFD Down");
        tell(&mut history, 3, "Connect", "Active", "refused");
        tell(&mut history, 4, "", "", "nearly too many prefixes");
        let kinds = history.records(None).into_iter().map(|record| record.kind);
        let expected = [Kind::Up, Kind::Down, Kind::Failed, Kind::Warning];
        assert!(kinds.eq(expected));
    }

    #[test]
    fn who_follows_gets_what_was_missed_and_then_the_rest() {
        let mut history = History::default();
        for second in 0..3 {
            tell(
                &mut history,
                second,
                "Established",
                "Idle",
                &second.to_string(),
            );
        }
        let first = history.records(None)[0].id;
        let mut followed = history.follow(Some(&peer()), Some(first));
        let causes = followed.before.iter().map(|record| record.cause.as_str());
        assert!(causes.eq(["1", "2"]));
        assert!(!followed.is_incomplete);
        tell(&mut history, 3, "Established", "Idle", "3");
        assert_eq!(followed.live.try_recv().unwrap().cause, "3");
        assert!(history.follow(None, None).before.is_empty());
    }

    #[test]
    fn what_cannot_be_made_up_for_is_said() {
        let mut history = History::default();
        tell(&mut history, 0, "Established", "Idle", "first");
        let first = history.records(None)[0].id;
        assert!(!history.follow(None, Some(first)).is_incomplete);
        // An id of a former run, and one of a clock that was set back since.
        assert!(history.follow(None, Some(first - 2)).is_incomplete);
        let later = history.follow(None, Some(first + 1));
        assert!(later.is_incomplete);
        assert_eq!(later.before.len(), 1);
        for second in 0..1000 {
            tell(&mut history, 1, "Established", "Idle", &second.to_string());
        }
        assert!(history.follow(None, Some(first)).is_incomplete);
    }

    #[test]
    fn a_slow_follower_slows_nobody_and_is_told_what_it_lost() {
        let mut history = History::default();
        let mut followed = history.follow(None, None);
        for number in 0..FEED + 10 {
            history.note(UNIX_EPOCH, number.to_string());
        }
        let lost = followed.live.try_recv().unwrap_err();
        assert_eq!(lost, broadcast::error::TryRecvError::Lagged(10));
        assert_eq!(followed.live.try_recv().unwrap().cause, "10");
    }

    #[test]
    fn notes_about_somebody_outlive_it() {
        let mut history = History::default();
        let at = UNIX_EPOCH;
        history.note_about(at, Some(peer()), Subject::Bgp, "reset".to_owned());
        history.forget(peer());
        assert_eq!(history.records(Some(&peer())).len(), 1);
    }
}
