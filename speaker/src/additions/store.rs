//! What survives: a snapshot in `state.json`, replaced as a whole, and in `changes.log` a line for each
//! change since then. A change costs one line, however much there is.
//!
//! A line has a CRC-32 of what follows, a number that grows by one, and steps that are taken together.
//! A crash may tear the last one, which nobody was told of; what is wrong before it is damage, and
//! refused. The snapshot says up to which number it has everything: a crash between the two files
//! costs nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bgp::BgpIdentifier;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::change::{Change, ChangeText, prefix};
use super::{Additions, Kept, RouteSpec, ServiceSpec, StateDir, StateError, open_to_append};
use crate::config::{PeerName, RouteConfig, ServiceConfig, ServiceName};
use crate::drain::Drain;
use crate::services::pools::Assigned;

const SNAPSHOT: &str = "state.json";
const LOG: &str = "changes.log";
/// Of the snapshot. 1 was without a log.
const VERSION: u32 = 2;
/// The log may always be as long as this, however short the snapshot is.
const SHORT: u64 = 64 * 1024;

/// What each version of the snapshot says.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

/// What the snapshot holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct Snapshot {
    version: u32,
    /// The number of the last change that it has.
    #[serde(default)]
    changes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    router_id: Option<Ipv4Addr>,
    #[serde(default)]
    services: BTreeMap<ServiceName, ServiceSpec>,
    #[serde(default)]
    routes: BTreeMap<String, RouteSpec>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    shutdowns: BTreeMap<PeerName, Option<String>>,
    #[serde(default, skip_serializing_if = "Drain::is_nothing")]
    drain: Drain,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    assigned: BTreeMap<ServiceName, Assigned>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    released: Vec<(ServiceName, Assigned)>,
}

/// What a line of the log holds, after its checksum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    number: u64,
    changes: Vec<ChangeText>,
}

/// Both files, of a directory that is ours.
#[derive(Debug)]
pub struct Store {
    dir: Arc<StateDir>,
    /// Opened by the first change.
    log: Option<File>,
    /// Of the last change.
    number: u64,
    /// How long the log is as far as it holds; what is behind that was never acknowledged.
    length: u64,
    snapshot_length: u64,
    /// Whether a line can follow; else the next change takes a snapshot.
    is_sound: bool,
}

impl Store {
    /// Reads what was kept; nothing, the first time.
    ///
    /// # Errors
    /// When there is something that cannot be understood. It is not thrown away.
    pub fn open(dir: Arc<StateDir>) -> Result<(Self, Kept), StateError> {
        let unreadable = |name: &str, reason: String| StateError::Unreadable {
            path: dir.path(name),
            reason,
        };
        let snapshot = dir.read(SNAPSHOT)?;
        let log = dir.read(LOG)?.unwrap_or_default();
        let Some(octets) = snapshot else {
            if !log.is_empty() {
                let reason = format!("{SNAPSHOT}, which it goes on from, is not there");
                return Err(unreadable(LOG, reason));
            }
            return Ok((Self::new(dir, 0, 0, false), Kept::default()));
        };
        let unclear = |error: serde_json::Error| unreadable(SNAPSHOT, error.to_string());
        // What another version wrote may have fields of which we know nothing.
        let Versioned { version } = serde_json::from_slice(&octets).map_err(unclear)?;
        if !(1..=VERSION).contains(&version) {
            return Err(unreadable(
                SNAPSHOT,
                format!(
                    "found version {version}; must be {VERSION} or less, so it was written by another version of herald"
                ),
            ));
        }
        let snapshot: Snapshot = serde_json::from_slice(&octets).map_err(unclear)?;
        let number = snapshot.changes;
        let mut kept = snapshot
            .check()
            .map_err(|reason| unreadable(SNAPSHOT, reason))?;
        let replayed = replay(&mut kept, number, &log);
        let Replayed {
            number,
            length,
            is_current,
        } = replayed.map_err(|reason| unreadable(LOG, reason))?;
        let torn = log.len() as u64 - length;
        if torn > 0 {
            warn!(
                "{}: the last {torn} octets are a change that was not written to its end, and not acknowledged: it is left out",
                dir.path(LOG).display()
            );
        }
        let is_sound = version == VERSION && is_current;
        let mut store = Self::new(dir, number, length, is_sound);
        store.snapshot_length = octets.len() as u64;
        Ok((store, kept))
    }

    const fn new(dir: Arc<StateDir>, number: u64, length: u64, is_sound: bool) -> Self {
        Self {
            dir,
            log: None,
            number,
            length,
            snapshot_length: 0,
            is_sound,
        }
    }

    /// Whether the next change should be kept by [`replace`](Self::replace): the log has become longer
    /// than a snapshot, so that on average a change costs the same however much there is.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        !self.is_sound || self.length > self.snapshot_length.max(SHORT)
    }

    /// Keeps these changes, all or none: after this returns they survive a power failure.
    ///
    /// # Errors
    /// When the file system refuses; none of them is kept then.
    pub fn append(&mut self, changes: &[Change]) -> Result<(), StateError> {
        let line = Line {
            number: self.number + 1,
            changes: changes.iter().map(ChangeText::from).collect(),
        };
        let written = text_of(&line).and_then(|text| self.write_line(&text));
        written.map_err(|source| StateError::Unwritable {
            path: self.dir.path(LOG),
            source,
        })
    }

    /// What counts is more than what is kept here: only a snapshot of all of it can follow.
    pub const fn fall_behind(&mut self) {
        self.is_sound = false;
    }

    fn write_line(&mut self, text: &str) -> io::Result<()> {
        let log = match self.log.take() {
            Some(log) => log,
            None => self.open_log()?,
        };
        let written = (&log).write_all(text.as_bytes());
        let written = written.and_then(|()| log.sync_data().inspect_err(|_| self.is_sound = false));
        if let Err(error) = written {
            // What is there of it must not be in front of the next one.
            if log.set_len(self.length).is_err() {
                self.is_sound = false;
            }
            return Err(error);
        }
        self.log = Some(log);
        self.number += 1;
        self.length += text.len() as u64;
        Ok(())
    }

    /// The log as far as it holds; in the directory for good before anything is in it.
    fn open_log(&self) -> io::Result<File> {
        let log = open_to_append(&self.dir.path(LOG))?;
        log.set_len(self.length)?;
        self.dir.sync()?;
        Ok(log)
    }

    /// Keeps this, and nothing that was kept before: after this returns it survives a power failure, and
    /// before, the former content does.
    ///
    /// # Errors
    /// When the file system refuses; what was kept before is still there.
    pub fn replace(&mut self, kept: &Kept) -> Result<(), StateError> {
        let number = self.number + 1;
        let snapshot = Snapshot::of(kept, number);
        let text = serde_json::to_vec(&snapshot).map_err(|error| StateError::Unwritable {
            path: self.dir.path(SNAPSHOT),
            source: error.into(),
        })?;
        // If this fails, it may be there all the same, and no line can follow what is not known.
        self.is_sound = false;
        self.dir.write(SNAPSHOT, &text)?;
        self.number = number;
        self.snapshot_length = text.len() as u64;
        self.empty_log();
        Ok(())
    }

    /// The snapshot has everything that is in it. As long as it cannot be emptied, snapshots follow.
    fn empty_log(&mut self) {
        self.log = None;
        self.length = 0;
        match self.open_log() {
            Ok(log) => {
                self.log = Some(log);
                self.is_sound = true;
            }
            Err(error) => warn!(
                "{}: cannot be emptied, so that each change rewrites everything: {error}",
                self.dir.path(LOG).display()
            ),
        }
    }
}

fn text_of(line: &Line) -> io::Result<String> {
    let json = serde_json::to_string(line)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

/// What a log has led to.
struct Replayed {
    /// Of the last change.
    number: u64,
    /// How long the log is as far as it holds.
    length: u64,
    /// Whether the next change follows its last line. It does not after a crash between a snapshot and
    /// the emptying of the log.
    is_current: bool,
}

/// Takes every step after `number`.
fn replay(kept: &mut Kept, mut number: u64, log: &[u8]) -> Result<Replayed, String> {
    let mut length = 0;
    let mut last = None;
    for (index, octets) in log.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let at = |reason: String| format!("line {}: {reason}", index + 1);
        let end = length + octets.len();
        let json = match checked(octets) {
            Ok(json) => json,
            // It is the last one, torn by a crash.
            Err(_) if end == log.len() => break,
            Err(reason) => return Err(at(reason.to_owned())),
        };
        let line: Line = serde_json::from_slice(json).map_err(|error| at(error.to_string()))?;
        let follows = last.map_or(line.number <= number + 1, |last| line.number == last + 1);
        if !follows {
            let before = last.unwrap_or(number);
            return Err(at(format!(
                "is change {} where {} must follow: something between is missing",
                line.number,
                before + 1
            )));
        }
        last = Some(line.number);
        length = end;
        if line.number <= number {
            continue;
        }
        let changes = line.changes.into_iter().map(Change::try_from);
        let changes: Vec<Change> = changes.collect::<Result<_, _>>().map_err(at)?;
        kept.apply(&changes);
        number = line.number;
    }
    Ok(Replayed {
        number,
        length: length as u64,
        is_current: last.is_none_or(|last| last == number),
    })
}

/// What a line says, if it is what was written.
fn checked(line: &[u8]) -> Result<&[u8], &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let (checksum, json) = line
        .split_at_checked(9)
        .filter(|(checksum, _)| checksum.ends_with(b" "))
        .ok_or("it does not begin with a checksum")?;
    match checksum == format!("{:08x} ", crc32fast::hash(json)).as_bytes() {
        true => Ok(json),
        false => Err("its checksum is wrong: the file is damaged"),
    }
}

impl Snapshot {
    fn of(kept: &Kept, changes: u64) -> Self {
        let services = kept.additions.services.iter();
        let routes = kept.additions.routes.iter();
        Self {
            version: VERSION,
            changes,
            router_id: kept.router_id.map(Ipv4Addr::from),
            services: services
                .map(|(name, service)| (name.clone(), (&**service).into()))
                .collect(),
            routes: routes
                .map(|(prefix, route)| (prefix.to_string(), (&**route).into()))
                .collect(),
            shutdowns: kept.shutdowns.clone(),
            drain: kept.drain.clone(),
            assigned: kept.assigned.clone(),
            released: kept.released.clone(),
        }
    }

    fn check(self) -> Result<Kept, String> {
        let mut additions = Additions::default();
        for (name, spec) in self.services {
            let service = ServiceConfig::try_from(&spec)
                .map_err(|error| format!("service {name}: {error}"))?;
            additions.services.insert(name, Arc::new(service));
        }
        for (text, spec) in self.routes {
            let route =
                RouteConfig::try_from(&spec).map_err(|error| format!("route {text}: {error}"))?;
            additions.routes.insert(prefix(&text)?, Arc::new(route));
        }
        Ok(Kept {
            router_id: self.router_id.and_then(BgpIdentifier::new),
            additions,
            shutdowns: self.shutdowns,
            drain: self.drain,
            assigned: self.assigned,
            released: self.released,
        })
    }
}

#[cfg(test)]
mod tests;
