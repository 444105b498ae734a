//! The history in a file, so that it survives the daemon: each new record is a line that is
//! appended, off the speaker's task. There are two files, the present and the former one, so that
//! neither grows without bound and nothing is rewritten.
//!
//! Nothing waits for it and nothing depends on it: what cannot be written or read is said in the log,
//! and the daemon goes on.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use super::stored::{Line, Stored};
use super::{History, Record};
use crate::additions::{StateDir, open_to_append};
use crate::config::Party;

const FILE: &str = "history.jsonl";
const FORMER: &str = "history.former.jsonl";
/// When the present file becomes the former one.
const LIMIT: u64 = 128 * 1024;
/// How many lines may wait to be written; further ones are not.
const QUEUE: usize = 256;
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
    lines: mpsc::Sender<News>,
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
        let mut history = History::beginning(now);
        for name in [FORMER, FILE] {
            match state_dir.read(name) {
                Ok(octets) => history.recall(&octets.unwrap_or_default(), &is_known),
                Err(error) => warn!("what happened before is not known: {error}"),
            }
        }
        history
    }

    /// When a daemon was there for the last time, before this one begins to write.
    pub(crate) fn last_sign_of_life(state_dir: &StateDir) -> Option<SystemTime> {
        let changed = |name| {
            let file = std::fs::symlink_metadata(state_dir.path(name)).ok()?;
            file.modified().ok()
        };
        [FILE, FORMER].into_iter().filter_map(changed).max()
    }

    /// Goes on writing in this directory.
    pub(crate) fn start(state_dir: &StateDir) -> Self {
        let files = [FILE, FORMER].map(|name| state_dir.path(name));
        let (lines, waiting) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write(files, waiting));
        Self { lines, task }
    }

    /// Never waits.
    pub(crate) fn tell(&self, record: &Record) {
        self.put(News::Happened(record.clone()));
    }

    /// Never waits.
    pub(crate) fn tell_forgotten(&self, party: &Party) {
        self.put(News::Forgotten(party.clone()));
    }

    fn put(&self, news: News) {
        // Where more happens than can be written, the log has it.
        let _ = self.lines.try_send(news);
    }

    /// Writes what waits.
    pub(crate) async fn finish(self) {
        let Self { lines, task } = self;
        drop(lines);
        if tokio::time::timeout(FAREWELL, task).await.is_err() {
            warn!("the last that happened is not kept: writing took longer than {FAREWELL:?}");
        }
    }
}

impl History {
    /// What a crash has left of a last line, or another version has written, is passed over.
    pub(super) fn recall(&mut self, octets: &[u8], is_known: impl Fn(&Party) -> bool) {
        for line in octets.split(|octet| *octet == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Happened(stored)) => self.recall_one(stored, &is_known),
                Ok(Line::Forgotten(party)) => self.forget(party),
                Err(_) => {}
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
            party if stored.is_note => drop(self.note_about(at, party, subject, &what.to_string())),
            Some(party) if is_known(&party) => drop(self.happened(at, party, subject, what)),
            _ => {}
        }
    }
}

async fn write(files: [PathBuf; 2], mut waiting: mpsc::Receiver<News>) {
    let mut well = true;
    let mut news = Vec::new();
    loop {
        let some = waiting.recv_many(&mut news, QUEUE);
        // Elapsed: nothing happened.
        if let Ok(0) = tokio::time::timeout(SIGN_OF_LIFE, some).await {
            return;
        }
        let (files, news) = (files.clone(), std::mem::take(&mut news));
        let append = move || append(&files, &lines(news));
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

fn lines(news: Vec<News>) -> Vec<u8> {
    let mut text = Vec::new();
    for news in news {
        let line = match news {
            News::Happened(record) => Line::Happened(Stored::from(&record)),
            News::Forgotten(party) => Line::Forgotten(party),
        };
        // Names, numbers and texts always serialize.
        let _ = serde_json::to_writer(&mut text, &line);
        text.push(b'\n');
    }
    text
}

fn append([present, former]: &[PathBuf; 2], text: &[u8]) -> io::Result<()> {
    let mut file = open_to_append(present)?;
    match text {
        [] => rustix::fs::futimens(&file, &PRESENT_TIME)?,
        text => file.write_all(text)?,
    }
    if file.metadata()?.len() >= LIMIT {
        std::fs::rename(present, former)?;
    }
    Ok(())
}
