//! What happened to whom, and why: the answer to "why did it flap last night?". Bounded for each
//! session, not pushed out by what repeats, and kept over a restart of the daemon by its `journal`.

mod departed;
mod journal;
mod notes;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bfd::Diagnostic;
use bgp::{Cause, Notification};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::config::Party;
use crate::services::Verdict;

use self::departed::Departed;
pub(crate) use self::journal::Journal;
use self::notes::Notes;

/// How many records of one session are kept.
const PER_SESSION: usize = 100;
/// How many records of one service are kept: services may be a thousand, and fail together.
const PER_SERVICE: usize = 16;
/// How far back the same record is looked for.
const REPEATS_WITHIN: usize = 4;
/// How many records may wait for the slowest who follows them.
const FEED: usize = 1024;
/// What is kept of the data of a NOTIFICATION: a Hard Reset with the longest text (RFC 8538 §3.1, RFC
/// 9003 §2).
const NOTIFICATION_DATA: usize = 2 + 1 + 255;

/// What it happened to. `Bgp` is the least and `Herald` the greatest: what is remembered of a party
/// lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A BGP session.
    Bgp,
    /// A BFD session.
    Bfd,
    /// A service, or a route that belongs to none.
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
    /// What, and why.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A BGP session changed its state.
    Bgp {
        /// The state left.
        from: bgp::State,
        /// The state entered.
        to: bgp::State,
        /// Why.
        cause: Cause,
    },
    /// A BFD session changed its state.
    Bfd {
        /// The state left.
        from: bfd::State,
        /// The state entered.
        to: bfd::State,
        /// Why.
        cause: BfdCause,
    },
    /// A service has another verdict.
    Service {
        /// The one before.
        from: Verdict,
        /// The one from here on.
        to: Verdict,
        /// Why.
        cause: Box<str>,
    },
    /// A session was up when a former run of the daemon ended, which wrote nothing of its end.
    CutOff(CutOff),
    /// Something else, in words.
    Note(Box<str>),
}

/// A session that ended with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOff {
    /// A BGP session.
    Bgp(LastWord),
    /// A BFD session.
    Bfd(LastWord),
}

/// What the daemon wrote of its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastWord {
    /// That it was stopped.
    Stopped,
    /// Nothing: it was killed, or has crashed, or the host has.
    None,
}

/// Why a BFD session changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BfdCause {
    /// The protocol has it so.
    Protocol(BfdSight),
    /// We have done something, in words.
    Ours(Box<str>),
}

/// What both ends of a BFD session said when it changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSight {
    /// bfd.LocalDiag: why, as we see it.
    pub local_diag: Diagnostic,
    /// Why the neighbor last changed its own state.
    pub remote_diag: Diagnostic,
    /// bfd.RemoteSessionState.
    pub remote_state: bfd::State,
    /// How long nothing had come from the neighbor.
    pub silence: Option<Duration>,
    /// After how long that means that the path is down.
    pub detection_time: Option<Duration>,
}

/// Whether a record was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It was.
    New,
    /// It only repeats one of the last.
    Repeated,
}

/// The records of one session; a snapshot shares them until the next comes.
pub type Records = Arc<VecDeque<Record>>;

/// What is remembered of each session.
pub type BySession = BTreeMap<(Party, Subject), Records>;

/// The last records, by session.
#[derive(Debug)]
pub struct History {
    sessions: BySession,
    notes: Notes,
    departed: Departed,
    /// The last record's.
    last_id: u64,
    /// The greatest of a record that is not kept any more, or of a former run.
    forgotten: u64,
    feed: broadcast::Sender<Arc<Record>>,
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
    /// Ids begin with the time in microseconds: the next run's are greater.
    #[must_use]
    pub fn beginning(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH);
        let micros = since.map_or(0, |since| since.as_micros());
        let last_id = u64::try_from(micros).unwrap_or_default();
        Self {
            sessions: BTreeMap::new(),
            notes: Notes::default(),
            departed: Departed::default(),
            last_id,
            forgotten: last_id,
            feed: broadcast::Sender::new(FEED),
        }
    }

    /// Remembers what happened to somebody. Coming up and going down are remembered each time; what
    /// else repeats one of the last is counted there.
    pub fn happened(
        &mut self,
        at: SystemTime,
        party: impl Into<Party>,
        subject: Subject,
        what: What,
    ) -> Novelty {
        let party = party.into();
        let what = what.bounded();
        let record = self.record(at, what.kind(), Some(party.clone()), subject, what);
        let records = self.sessions.entry((party, subject)).or_default();
        let records = Arc::make_mut(records);
        if !matches!(record.kind, Kind::Up | Kind::Down) {
            let mut latest = records.iter_mut().rev().take(REPEATS_WITHIN);
            if let Some(same) = latest.find(|other| other.what == record.what) {
                same.count += 1;
                same.last = record.last;
                same.id = record.id;
                tell(&self.feed, same);
                return Novelty::Repeated;
            }
        }
        tell(&self.feed, &record);
        let limit = match subject {
            Subject::Service => PER_SERVICE,
            _ => PER_SESSION,
        };
        let gone = push(records, record, limit);
        self.forgotten = self.forgotten.max(gone);
        Novelty::New
    }

    /// Remembers what the daemon itself did, and returns the record of it.
    pub fn note(&mut self, at: SystemTime, text: &str) -> Record {
        self.note_about(at, None, Subject::Herald, text)
    }

    /// Remembers what the daemon, or somebody through it, did to somebody. It outlives whom it is
    /// about.
    pub fn note_about(
        &mut self,
        at: SystemTime,
        party: Option<Party>,
        subject: Subject,
        text: &str,
    ) -> Record {
        let record = self.record(at, Kind::Note, party, subject, What::note(text));
        tell(&self.feed, &record);
        let gone = self.notes.push(record.clone());
        self.forgotten = self.forgotten.max(gone);
        record
    }

    fn record(
        &mut self,
        at: SystemTime,
        kind: Kind,
        party: Option<Party>,
        subject: Subject,
        what: What,
    ) -> Record {
        self.last_id += 1;
        Record {
            id: self.last_id,
            kind,
            first: at,
            last: at,
            count: 1,
            party,
            subject,
            what,
        }
    }

    /// Forgets somebody.
    pub fn forget(&mut self, party: impl Into<Party>) {
        let party = party.into();
        self.departed.remove(&party);
        let keys: Vec<_> = self.of_party(&party).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let records = self.sessions.remove(&key).unwrap_or_default();
            let ids = records.iter().map(|record| record.id);
            self.forgotten = ids.fold(self.forgotten, u64::max);
        }
    }

    /// Somebody has gone who stands in no file, and may come back: what happened to it is kept, as long
    /// as there are not too many of the kind. Returns those that are forgotten for that.
    pub(crate) fn depart(&mut self, party: Party) -> Vec<Party> {
        let records = self.of_party(&party);
        let count = records.map(|(_, records)| records.len()).sum();
        let gone = self.departed.push(party, count);
        for party in &gone {
            self.forget(party.clone());
        }
        gone
    }

    /// Somebody is there, perhaps again.
    pub(crate) fn arrive(&mut self, party: &Party) {
        self.departed.remove(party);
    }

    /// Whether anything is remembered of a session.
    pub(crate) fn remembers(&self, party: &Party) -> bool {
        self.of_party(party).next().is_some()
    }

    /// Those of whom something is remembered, the latest last.
    pub(crate) fn parties(&self) -> Vec<Party> {
        let mut latest: BTreeMap<&Party, u64> = BTreeMap::new();
        for ((party, _), records) in &self.sessions {
            let id = records.back().map_or(0, |record| record.id);
            let last = latest.entry(party).or_default();
            *last = id.max(*last);
        }
        let mut parties: Vec<_> = latest.into_iter().collect();
        parties.sort_by_key(|(_, id)| *id);
        parties
            .into_iter()
            .map(|(party, _)| party.clone())
            .collect()
    }

    fn of_party(&self, party: &Party) -> btree_map::Range<'_, (Party, Subject), Records> {
        let least = (party.clone(), Subject::Bgp);
        let greatest = (party.clone(), Subject::Herald);
        self.sessions.range(least..=greatest)
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
        let is_wanted = |of: Option<&Party>| party.is_none() || of == party;
        let sessions = self.sessions.iter();
        let sessions = sessions.filter(|((of, _), _)| is_wanted(Some(of)));
        let sessions = sessions.flat_map(|(_, records)| records.iter());
        let notes = self.notes.iter();
        let notes = notes.filter(|record| is_wanted(record.party.as_ref()));
        let mut records: Vec<Record> = sessions.chain(notes).cloned().collect();
        records.sort_by_key(|record| record.id);
        records
    }

    /// What is remembered of each session. Services have none, and there may be very many of them.
    #[must_use]
    pub fn of_sessions(&self) -> BySession {
        let all = self.sessions.iter();
        let is_service = |party: &Party| matches!(party, Party::Service(_));
        // They come last.
        all.take_while(|((party, _), _)| !is_service(party))
            .map(|(session, records)| (session.clone(), records.clone()))
            .collect()
    }

    /// Whether this is remembered of a session already, at this time.
    fn has(&self, at: SystemTime, party: &Party, subject: Subject, what: &What) -> bool {
        let records = self.sessions.get(&(party.clone(), subject));
        records.is_some_and(|records| {
            let mut records = records.iter();
            records.any(|record| record.last == at && record.what == *what)
        })
    }

    fn has_note(&self, at: SystemTime, text: &str) -> bool {
        let is_it = |record: &Record| {
            record.last == at && matches!(&record.what, What::Note(other) if **other == *text)
        };
        self.notes.iter().any(is_it)
    }

    /// Ends the sessions that were up when the former run ended, at its last sign of life, and returns
    /// the records of it.
    pub(crate) fn cut_off(&mut self, at: SystemTime, word: LastWord) -> Vec<Record> {
        let is_turn = |record: &&Record| record.what.is_up() || record.what.is_down();
        let last = |records: &Records| records.iter().rev().find(is_turn).cloned();
        let turns = self.sessions.iter();
        let turns = turns.filter_map(|(key, records)| Some((key.clone(), last(records)?)));
        let turns: Vec<_> = turns.filter(|(_, turn)| turn.what.is_up()).collect();
        let mut ends = Vec::new();
        for ((party, subject), turn) in turns {
            let how = match subject {
                Subject::Bgp => CutOff::Bgp(word),
                Subject::Bfd => CutOff::Bfd(word),
                Subject::Service | Subject::Herald => continue,
            };
            let at = at.max(turn.last);
            self.happened(at, party.clone(), subject, What::CutOff(how));
            ends.extend(self.latest(&party, subject).cloned());
        }
        ends
    }

    /// What was the last to happen to somebody.
    pub(crate) fn latest(&self, party: &Party, subject: Subject) -> Option<&Record> {
        self.sessions.get(&(party.clone(), subject))?.back()
    }
}

impl What {
    /// In words.
    #[must_use]
    pub fn note(text: &str) -> Self {
        Self::Note(text.into())
    }

    /// The state left and the state entered, if it is a change of state.
    #[must_use]
    pub fn states(&self) -> Option<[String; 2]> {
        match self {
            Self::Bgp { from, to, .. } => Some([from.to_string(), to.to_string()]),
            Self::Bfd { from, to, .. } => Some([from.to_string(), to.to_string()]),
            Self::Service { from, to, .. } => Some([from.to_string(), to.to_string()]),
            Self::CutOff(CutOff::Bgp(_)) => {
                Some([bgp::State::Established, bgp::State::Idle].map(|it| it.to_string()))
            }
            Self::CutOff(CutOff::Bfd(_)) => {
                Some([bfd::State::Up, bfd::State::Down].map(|it| it.to_string()))
            }
            Self::Note(_) => None,
        }
    }

    /// Of what sort it is, where it is not what somebody did.
    fn kind(&self) -> Kind {
        match self.was_and_is_up() {
            None => Kind::Warning,
            Some((false, true)) => Kind::Up,
            Some((true, false)) => Kind::Down,
            Some(_) if matches!(self, Self::Bgp { .. }) => Kind::Failed,
            Some(_) => Kind::State,
        }
    }

    /// Whether a session came up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.was_and_is_up() == Some((false, true))
    }

    /// Whether a session that was up ceased to be.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.was_and_is_up() == Some((true, false))
    }

    fn was_and_is_up(&self) -> Option<(bool, bool)> {
        match self {
            Self::Bgp { from, to, .. } => {
                let [was, is] = [from, to].map(|state| *state == bgp::State::Established);
                Some((was, is))
            }
            Self::Bfd { from, to, .. } => {
                let [was, is] = [from, to].map(|state| *state == bfd::State::Up);
                Some((was, is))
            }
            Self::Service { from, to, .. } => {
                let [was, is] = [from, to].map(|verdict| *verdict == Verdict::Healthy);
                Some((was, is))
            }
            Self::CutOff(_) => Some((true, false)),
            Self::Note(_) => None,
        }
    }

    /// A neighbor decides how long the data of its NOTIFICATION is.
    fn bounded(mut self) -> Self {
        if let Self::Bgp { cause, .. } = &mut self
            && let Cause::NotificationSent(said) | Cause::NotificationReceived(said) = cause
            && said.data.len() > NOTIFICATION_DATA
        {
            let data = said.data.get(..NOTIFICATION_DATA).unwrap_or_default();
            *said = Notification {
                data: Bytes::copy_from_slice(data),
                ..*said
            };
        }
        self
    }
}

/// Why.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bgp { cause, .. } => cause.fmt(f),
            Self::Bfd { to, cause, .. } => cause.fmt(*to, f),
            Self::Service { cause, .. } => f.write_str(cause),
            Self::CutOff(CutOff::Bgp(word) | CutOff::Bfd(word)) => f.write_str(match word {
                LastWord::Stopped => "the daemon was stopped",
                LastWord::None => "the daemon ended without a word",
            }),
            Self::Note(text) => f.write_str(text),
        }
    }
}

impl BfdCause {
    fn fmt(&self, to: bfd::State, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sight = match self {
            Self::Protocol(sight) => sight,
            Self::Ours(text) => return f.write_str(text),
        };
        match (to, sight.remote_state) {
            (bfd::State::Up, _) => f.write_str("both ends hear each other"),
            (_, bfd::State::AdminDown) => {
                write!(f, "the peer took it down ({})", sight.remote_diag)
            }
            (bfd::State::Down, bfd::State::Down) if sight.remote_diag != Diagnostic::NONE => {
                write!(
                    f,
                    "{} (its reason: {})",
                    sight.local_diag, sight.remote_diag
                )
            }
            _ => write!(f, "{}", sight.local_diag),
        }
    }
}

impl From<&bfd::StateChange> for What {
    fn from(change: &bfd::StateChange) -> Self {
        Self::Bfd {
            from: change.from,
            to: change.to,
            cause: BfdCause::Protocol(BfdSight {
                local_diag: change.local_diag,
                remote_diag: change.remote_diag,
                remote_state: change.remote_state,
                silence: change.silence,
                detection_time: change.detection_time,
            }),
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
