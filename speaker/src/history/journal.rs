//! The history in files, so that it survives the daemon: each new record is a line that is appended,
//! off the speaker's task. Of sessions, and of the daemon, as much is kept as the history remembers:
//! when the present file is full, what it would remember of it and of the former one is written anew.
//! Services, which may be a thousand that fail together, have files of their own, of which the present
//! one becomes the former one.
//!
//! Nothing waits for it and nothing depends on it: what cannot be written or read is said in the log,
//! and the daemon goes on. Where more happens than can be written, it is counted and the number is
//! written.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use super::stored::{Line, Stored};
use super::{History, Record, Subject};
use crate::additions::{StateDir, StateError, open_to_append};
use crate::config::Party;

/// What is written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Volume {
    present: &'static str,
    former: &'static str,
    /// What becomes of a present file that is full.
    when_full: WhenFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    /// What is remembered of it and of the former one becomes the former one.
    Condense,
    /// It becomes the former one.
    Turn,
}

const OF_SESSIONS: Volume = Volume {
    present: "history.jsonl",
    former: "history.former.jsonl",
    when_full: WhenFull::Condense,
};
const OF_SERVICES: Volume = Volume {
    present: "history.services.jsonl",
    former: "history.services.former.jsonl",
    when_full: WhenFull::Turn,
};
/// When a present file is full.
const LIMIT: u64 = 128 * 1024;
/// More is not kept of a condensed file: its latest lines.
const CONDENSED: usize = 2 * 1024 * 1024;
/// How many lines may wait to be written; further ones are counted.
const QUEUE: usize = 1024;
/// How many lines are written at once.
const AT_ONCE: usize = 256;
/// How often the file's time of change says that the daemon is there, where nothing happens.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// How long the daemon waits at its end for what is still to be written.
const FAREWELL: Duration = Duration::from_secs(2);

/// By the clock of the file system.
const PRESENT_TIME: Timestamps = {
    let present = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    Timestamps {
        last_access: present,
        last_modification: present,
    }
};

/// Writes what is told to it.
#[derive(Debug)]
pub(crate) struct Journal {
    sessions: Writer,
    services: Writer,
}

/// Writes one volume.
#[derive(Debug)]
struct Writer {
    lines: mpsc::Sender<News>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What is to be written; the text is made of it where it is written.
#[derive(Debug)]
enum News {
    Happened(Record),
    Forgotten(Party),
}

impl Journal {
    /// What is remembered of the last runs, of those who are known still.
    pub(crate) fn read(
        state_dir: &StateDir,
        now: SystemTime,
        is_known: impl Fn(&Party) -> bool,
    ) -> History {
        let mut lines = Vec::new();
        for volume in [OF_SESSIONS, OF_SERVICES] {
            lines.extend(volume.read(state_dir));
        }
        // Each volume is in its order already, and stays so.
        lines.sort_by_key(|(at, _)| *at);
        let mut history = History::beginning(now);
        for (_, line) in lines {
            history.recall(line, &is_known);
        }
        history
    }

    /// When a daemon was there for the last time, before this one begins to write.
    pub(crate) fn last_sign_of_life(state_dir: &StateDir) -> Option<SystemTime> {
        let changed = |name| {
            let file = std::fs::symlink_metadata(state_dir.path(name)).ok()?;
            file.modified().ok()
        };
        let Volume {
            present, former, ..
        } = OF_SESSIONS;
        [present, former].into_iter().filter_map(changed).max()
    }

    /// Goes on writing in this directory.
    pub(crate) fn start(state_dir: &Arc<StateDir>) -> Self {
        Self {
            sessions: Writer::start(state_dir, OF_SESSIONS),
            services: Writer::start(state_dir, OF_SERVICES),
        }
    }

    /// Never waits.
    pub(crate) fn tell(&self, record: &Record) {
        let writer = match record.subject {
            Subject::Service => &self.services,
            Subject::Bgp | Subject::Bfd | Subject::Herald => &self.sessions,
        };
        writer.put(News::Happened(record.clone()));
    }

    /// Never waits.
    pub(crate) fn tell_forgotten(&self, party: &Party) {
        let writer = match party {
            Party::Service(_) => &self.services,
            Party::Peer(_) | Party::BfdSession(_) => &self.sessions,
        };
        writer.put(News::Forgotten(party.clone()));
    }

    /// Writes what waits.
    pub(crate) async fn finish(self) {
        let Self { sessions, services } = self;
        let both = async { tokio::join!(sessions.finish(), services.finish()) };
        if tokio::time::timeout(FAREWELL, both).await.is_err() {
            warn!("the last that happened is not kept: writing took longer than {FAREWELL:?}");
        }
    }
}

impl Writer {
    fn start(state_dir: &Arc<StateDir>, volume: Volume) -> Self {
        let (lines, waiting) = mpsc::channel(QUEUE);
        let lost = Arc::default();
        let task = write(Arc::clone(state_dir), volume, waiting, Arc::clone(&lost));
        Self {
            lines,
            lost,
            task: tokio::spawn(task),
        }
    }

    fn put(&self, news: News) {
        if self.lines.try_send(news).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn finish(self) {
        let Self { lines, task, .. } = self;
        drop(lines);
        // It ends when everything is written, and does not panic.
        let _ = task.await;
    }
}

impl Volume {
    /// The lines with their times. What a crash has left of a last line, or another version has
    /// written, is passed over.
    fn read(self, state_dir: &StateDir) -> Vec<(SystemTime, Line)> {
        let mut lines = Vec::new();
        // A clock that was set back does not change what came before what.
        let mut latest = UNIX_EPOCH;
        for name in [self.former, self.present] {
            let octets = state_dir.read(name).unwrap_or_else(|error| {
                warn!("what happened before is not known: {error}");
                None
            });
            for line in octets.unwrap_or_default().split(|octet| *octet == b'\n') {
                if let Ok(line) = serde_json::from_slice::<Line>(line) {
                    latest = line.at().map_or(latest, |at| at.max(latest));
                    lines.push((latest, line));
                }
            }
        }
        lines
    }

    /// What is to be remembered of both files, as lines.
    fn condensed(self, state_dir: &StateDir) -> Vec<u8> {
        let mut history = History::beginning(UNIX_EPOCH);
        for (_, line) in self.read(state_dir) {
            history.recall(line, |_| true);
        }
        let mut texts = Vec::new();
        let mut length = 0;
        let records = history.records(None);
        // A former version had those of services here too.
        let of_sessions = records.iter().filter(|it| it.subject != Subject::Service);
        for record in of_sessions.rev() {
            let mut text = Vec::new();
            put_line(&mut text, &Line::Happened(Stored::from(record)));
            length += text.len();
            if length > CONDENSED {
                break;
            }
            texts.push(text);
        }
        texts.into_iter().rev().flatten().collect()
    }

    fn append(self, state_dir: &StateDir, text: &[u8]) -> io::Result<()> {
        let mut file = open_to_append(&state_dir.path(self.present))?;
        match text {
            [] => rustix::fs::futimens(&file, &PRESENT_TIME)?,
            text => file.write_all(text)?,
        }
        if file.metadata()?.len() < LIMIT {
            return Ok(());
        }
        match self.when_full {
            WhenFull::Turn => {
                let [present, former] = [self.present, self.former];
                std::fs::rename(state_dir.path(present), state_dir.path(former))
            }
            WhenFull::Condense => {
                let text = self.condensed(state_dir);
                let written = state_dir.write(self.former, &text);
                written.map_err(|error: StateError| io::Error::other(error))?;
                // A crash before this leaves lines in both files, which are recalled once.
                file.set_len(0)
            }
        }
    }
}

impl History {
    pub(super) fn recall(&mut self, line: Line, is_known: impl Fn(&Party) -> bool) {
        match line {
            Line::Happened(stored) => self.recall_one(stored, is_known),
            Line::Forgotten(party) => self.forget(party),
            Line::Lost { count, .. } => {
                let Some(at) = line.at() else { return };
                let text = format!(
                    "{count} events are missing here: more happened than could be written down"
                );
                self.note(at, &text);
            }
        }
    }

    fn recall_one(&mut self, stored: Stored, is_known: impl Fn(&Party) -> bool) {
        let Some(at) = stored.at() else { return };
        let Stored {
            party,
            subject,
            what,
            ..
        } = stored;
        match party {
            party if stored.is_note => {
                let text = what.to_string();
                if !self.has_note(at, &text) {
                    self.note_about(at, party, subject, &text);
                }
            }
            Some(party) if is_known(&party) && !self.has(at, &party, subject, &what) => {
                self.happened(at, party, subject, what);
            }
            _ => {}
        }
    }
}

async fn write(
    state_dir: Arc<StateDir>,
    volume: Volume,
    mut waiting: mpsc::Receiver<News>,
    lost: Arc<AtomicU64>,
) {
    let mut well = true;
    let mut news = Vec::new();
    loop {
        let some = waiting.recv_many(&mut news, AT_ONCE);
        // Elapsed: nothing happened.
        let has_ended = tokio::time::timeout(SIGN_OF_LIFE, some).await == Ok(0);
        let lost = lost.swap(0, Ordering::Relaxed);
        if has_ended && lost == 0 {
            return;
        }
        if lost > 0 {
            warn!(
                "{lost} events are not kept for after a restart: more happened than could be written"
            );
        }
        let (state_dir, news) = (Arc::clone(&state_dir), std::mem::take(&mut news));
        let append = move || volume.append(&state_dir, &lines(news, lost));
        let written = tokio::task::spawn_blocking(append).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => well = true,
            Err(error) => {
                // Once, and once more when it has been well meanwhile.
                if std::mem::take(&mut well) {
                    warn!("what happens is not kept for after a restart: {error}");
                }
            }
        }
    }
}

fn lines(news: Vec<News>, lost: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for news in news {
        let line = match news {
            News::Happened(record) => Line::Happened(Stored::from(&record)),
            News::Forgotten(party) => Line::Forgotten(party),
        };
        put_line(&mut text, &line);
    }
    if lost > 0 {
        put_line(&mut text, &Line::lost(SystemTime::now(), lost));
    }
    text
}

fn put_line(text: &mut Vec<u8>, line: &Line) {
    // Names, numbers and texts always serialize.
    let _ = serde_json::to_writer(&mut *text, line);
    text.push(b'\n');
}
