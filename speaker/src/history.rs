//! What happened to whom, and why: the answer to "why did it flap last night?". Bounded, and not
//! pushed out by what repeats.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use crate::config::Party;

/// How many records of a peer, or of a BFD session without one, are kept.
const PER_PARTY: usize = 64;
/// How many records of the daemon itself are kept.
const OF_SPEAKER: usize = 256;
/// How far back the same record is looked for.
const REPEATS_WITHIN: usize = 4;

/// What it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A BGP session.
    Bgp,
    /// A BFD session.
    Bfd,
    /// The daemon.
    Herald,
}

/// Something that happened, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
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
#[derive(Debug, Default)]
pub struct History {
    parties: BTreeMap<Party, VecDeque<Record>>,
    speaker: VecDeque<Record>,
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
        let party = party.into();
        let records = self.parties.entry(party.clone()).or_default();
        let record = Record {
            first: at,
            last: at,
            count: 1,
            party: Some(party),
            subject,
            from,
            to,
            cause,
        };
        let mut latest = records.iter_mut().rev().take(REPEATS_WITHIN);
        if let Some(same) = latest.find(|other| other.says_the_same(&record)) {
            same.count += 1;
            same.last = at;
            return Novelty::Repeated;
        }
        push(records, record, PER_PARTY);
        Novelty::New
    }

    /// Remembers what happened to somebody other than a change of state, in the same way.
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
        let record = Record {
            first: at,
            last: at,
            count: 1,
            party: None,
            subject: Subject::Herald,
            from: String::new(),
            to: String::new(),
            cause: text,
        };
        push(&mut self.speaker, record, OF_SPEAKER);
    }

    /// Forgets somebody.
    pub fn forget(&mut self, party: impl Into<Party>) {
        self.parties.remove(&party.into());
    }

    /// What is remembered of one party, or of all and of the daemon; the oldest first.
    #[must_use]
    pub fn records(&self, party: Option<&Party>) -> Vec<Record> {
        let mut records: Vec<Record> = match party {
            Some(party) => self
                .parties
                .get(party)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            None => {
                let all = self.parties.values().flatten().chain(&self.speaker);
                all.cloned().collect()
            }
        };
        records.sort_by_key(|record| record.last);
        records
    }
}

impl Record {
    fn says_the_same(&self, other: &Self) -> bool {
        (self.subject, &self.from, &self.to, &self.cause)
            == (other.subject, &other.from, &other.to, &other.cause)
    }
}

fn push(records: &mut VecDeque<Record>, record: Record, limit: usize) {
    if records.len() == limit {
        records.pop_front();
    }
    records.push_back(record);
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
}
