//! The history in files, so that it survives the daemon: each new record is a line that is appended,
//! off the speaker's task. Of sessions, and of the daemon, as much is kept as the history remembers:
//! when the present file is full, what it would remember of it and of the former one is written anew.
//! Services, which may be a thousand that fail together, have files of their own, of which the present
//! one becomes the former one.
//!
//! Nothing waits for it and nothing depends on it: what cannot be written or read is said in the log,
//! and the daemon goes on. Where more happens than can be written, it is counted and the number is
//! written.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use super::stored::{Line, Stored};
use super::{History, Record, Subject};
use crate::additions::{StateDir, StateError, open_to_append};
use crate::config::Party;

#[cfg(test)]
mod tests;

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
/// When one that cannot be condensed, as on a full disk, becomes the former one.
const OVERFULL: u64 = 8 * LIMIT;
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
        let pen = Pen::new(volume, Arc::clone(state_dir));
        let task = Writing::new(pen).run(waiting, Arc::clone(&lost));
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
}

/// What a volume is written with.
#[derive(Debug)]
struct Pen {
    volume: Volume,
    state_dir: Arc<StateDir>,
    /// From which length on the present file makes room: further on, where it could not.
    full_at: u64,
}

impl Pen {
    const fn new(volume: Volume, state_dir: Arc<StateDir>) -> Self {
        Self {
            volume,
            state_dir,
            full_at: LIMIT,
        }
    }

    /// All of these lines, or none; none is a sign of life.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut file = open_to_append(&self.state_dir.path(self.volume.present))?;
        if text.is_empty() {
            return Ok(rustix::fs::futimens(&file, &PRESENT_TIME)?);
        }
        if file.metadata()?.len() >= self.full_at {
            self.make_room(&file)?;
            file = open_to_append(&self.state_dir.path(self.volume.present))?;
        }
        let length = file.metadata()?.len();
        let mut lines = Vec::new();
        if is_cut_off(&file, length)? {
            lines.push(b'\n');
        }
        lines.extend(text);
        let written = file.write_all(&lines);
        if written.is_err() {
            // Half a line; where even this fails, the next one begins anew.
            let _ = file.set_len(length);
        }
        written
    }

    fn make_room(&mut self, present: &File) -> io::Result<()> {
        let is_overfull = self.full_at >= OVERFULL;
        match self.volume.when_full {
            WhenFull::Condense => match self.condense(present) {
                Ok(()) => self.full_at = LIMIT,
                Err(_) if is_overfull => self.turn()?,
                Err(error) => {
                    self.full_at += LIMIT;
                    let present = self.state_dir.path(self.volume.present);
                    warn!("{}: cannot be made shorter: {error}", present.display());
                }
            },
            WhenFull::Turn => self.turn()?,
        }
        Ok(())
    }

    fn condense(&self, present: &File) -> io::Result<()> {
        let text = self.volume.condensed(&self.state_dir);
        let written = self.state_dir.write(self.volume.former, &text);
        written.map_err(|error: StateError| io::Error::other(error))?;
        // A crash before this leaves lines in both files, which are recalled once.
        present.set_len(0)
    }

    fn turn(&mut self) -> io::Result<()> {
        let Volume {
            present, former, ..
        } = self.volume;
        std::fs::rename(self.state_dir.path(present), self.state_dir.path(former))?;
        self.full_at = LIMIT;
        Ok(())
    }
}

/// A crash or a full disk has left half a line at its end.
fn is_cut_off(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(false);
    };
    let mut octet = [0];
    file.read_exact_at(&mut octet, last)?;
    Ok(octet != *b"\n")
}

impl History {
    pub(super) fn recall(&mut self, line: Line, is_known: impl Fn(&Party) -> bool) {
        match line {
            Line::Happened(stored) => self.recall_one(stored, is_known),
            Line::Forgotten(party) => self.forget(party),
            Line::Lost { count, .. } => {
                let Some(at) = line.at() else { return };
                let text =
                    format!("{count} events are missing here: they could not be written down");
                if !self.has_note(at, &text) {
                    self.note(at, &text);
                }
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

/// What a volume's lines become.
struct Writing {
    pen: Arc<Mutex<Pen>>,
    /// How many could not be written since it failed for the first time.
    unwritten: u64,
    /// What was done last has not failed.
    well: bool,
}

impl Writing {
    fn new(pen: Pen) -> Self {
        Self {
            pen: Arc::new(Mutex::new(pen)),
            unwritten: 0,
            well: true,
        }
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<News>, overflowed: Arc<AtomicU64>) {
        let mut news = Vec::new();
        loop {
            let some = waiting.recv_many(&mut news, AT_ONCE);
            // Elapsed: nothing happened.
            let has_ended = tokio::time::timeout(SIGN_OF_LIFE, some).await == Ok(0);
            let overflow = overflowed.swap(0, Ordering::Relaxed);
            if overflow > 0 {
                warn!(
                    "{overflow} events are not kept for after a restart: more happened than could be written"
                );
            }
            if !has_ended || overflow + self.unwritten > 0 {
                self.write(std::mem::take(&mut news), overflow).await;
            }
            if has_ended {
                return;
            }
        }
    }

    /// `overflow` lines were lost before these.
    async fn write(&mut self, news: Vec<News>, overflow: u64) {
        let lost = self.unwritten + overflow;
        let count = news.len() as u64;
        let pen = Arc::clone(&self.pen);
        let append = move || {
            let mut pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
            pen.append(&lines(news, lost))
        };
        let outcome = tokio::task::spawn_blocking(append).await;
        match outcome.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.well = true;
                self.unwritten = 0;
            }
            Err(error) => {
                self.unwritten = lost + count;
                // Once, and once more when it has been well meanwhile.
                if std::mem::take(&mut self.well) {
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
