//! The last messages of a peer's sessions, kept all the time in a few KiB, to be looked at with
//! Wireshark when something has gone wrong.
//!
//! What is kept is what TCP carried, cut at the ends of messages, with its time and the connection's
//! addresses. [`pcapng`] makes packets of it; their headers are made up, and their sequence numbers
//! count the octets of the connection.

mod frames;
mod pcapng;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bgp::{ConnId, Transition};

use self::frames::Frames;
pub use self::pcapng::{CONTENT_TYPE, render};
use crate::config::CaptureSize;

/// Whose octets they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We sent them.
    Sent,
    /// The neighbor did.
    Received,
}

/// Octets of one direction of a connection, a message or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Counts the pieces of a peer.
    pub number: u64,
    /// When it was given to TCP, or came from it.
    pub at: Instant,
    /// Our end, and the neighbor's.
    pub ends: [SocketAddr; 2],
    /// Who sent it.
    pub side: Side,
    /// How many octets the sender had sent before, on this connection.
    pub offset: u32,
    /// How many octets the other had sent.
    pub other_offset: u32,
    /// A message begins with it.
    pub begins: bool,
    /// How many octets there were; not all are kept of a very long one.
    pub length: usize,
    /// The octets.
    pub octets: Vec<u8>,
    /// What the session made of it.
    pub comments: Vec<String>,
}

/// What is kept of one piece; its octets are in a buffer that all share.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    conn: ConnId,
    side: Side,
    offset: u32,
    other_offset: u32,
    /// How many pieces before this one its message began; none, where it is the beginning.
    after_beginning: u32,
    length: u32,
    kept: u32,
}

/// A connection that something is kept of, or that is open.
#[derive(Debug)]
struct Stream {
    ends: [SocketAddr; 2],
    sent: Way,
    received: Way,
    is_open: bool,
    /// How many entries are of it.
    entries: usize,
}

/// One direction of it.
#[derive(Debug, Default)]
struct Way {
    frames: Frames,
    /// The number of the piece that its present message began with.
    beginning: u64,
}

/// A change of state, and the piece that was the latest then.
#[derive(Clone, Debug)]
struct Comment {
    after: u64,
    at: Instant,
    text: Box<str>,
}

/// How many changes of state are kept.
const COMMENTS: usize = 32;

/// What is kept of one peer.
#[derive(Debug)]
pub struct Capture {
    /// What may be kept, in octets: messages and what is noted of each.
    capacity: usize,
    entries: VecDeque<Entry>,
    octets: VecDeque<u8>,
    streams: BTreeMap<ConnId, Stream>,
    comments: VecDeque<Comment>,
    /// Pieces that there have been.
    total: u64,
}

/// A copy of what is kept, that pieces can be made of elsewhere.
#[derive(Debug, Default)]
pub struct Excerpt {
    /// The number of the first entry, and of the oldest that was kept.
    first: u64,
    oldest: u64,
    entries: Vec<Entry>,
    octets: Vec<u8>,
    ends: BTreeMap<ConnId, [SocketAddr; 2]>,
    comments: Vec<Comment>,
    next: u64,
}

impl Capture {
    /// Of nothing yet.
    #[must_use]
    pub fn new(size: CaptureSize) -> Self {
        Self {
            capacity: size.octets(),
            entries: VecDeque::new(),
            octets: VecDeque::new(),
            streams: BTreeMap::new(),
            comments: VecDeque::new(),
            total: 0,
        }
    }

    /// Keeps so much from here on.
    pub fn resize(&mut self, size: CaptureSize) {
        if std::mem::replace(&mut self.capacity, size.octets()) > self.capacity {
            self.make_room();
            self.octets.shrink_to_fit();
            self.entries.shrink_to_fit();
        }
    }

    /// A connection is there.
    pub fn opened(&mut self, conn: ConnId, ends: [SocketAddr; 2]) {
        let stream = Stream {
            ends,
            sent: Way::default(),
            received: Way::default(),
            is_open: true,
            entries: 0,
        };
        self.streams.insert(conn, stream);
    }

    /// A connection is gone; what it carried stays.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(stream) = self.streams.get_mut(&conn) else {
            return;
        };
        stream.is_open = false;
        if stream.entries == 0 {
            self.streams.remove(&conn);
        }
    }

    /// Octets that TCP has carried.
    pub fn carried(&mut self, at: Instant, conn: ConnId, side: Side, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let Some(stream) = self.streams.get_mut(&conn) else {
                return;
            };
            let (way, other) = match side {
                Side::Sent => (&mut stream.sent, &stream.received),
                Side::Received => (&mut stream.received, &stream.sent),
            };
            let other_offset = other.frames.offset();
            let (offset, frame) = (way.frames.offset(), way.frames.next(rest));
            let (piece, behind) = rest.split_at_checked(frame.length).unwrap_or((rest, &[]));
            rest = behind;
            let number = self.total;
            self.total += 1;
            if frame.begins {
                way.beginning = number;
            }
            // Of what is to give way to the end of the same octets at once, nothing is copied.
            if behind.len() >= self.capacity {
                continue;
            }
            stream.entries += 1;
            // Of a message that is longer than this, no more is kept.
            let kept = piece.get(..self.capacity / 2).unwrap_or(piece);
            self.octets.extend(kept);
            self.entries.push_back(Entry {
                at,
                conn,
                side,
                offset,
                other_offset,
                after_beginning: u32::try_from(number - way.beginning).unwrap_or(u32::MAX),
                length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                kept: u32::try_from(kept.len()).unwrap_or(u32::MAX),
            });
            self.make_room();
        }
    }

    /// The session is in another state.
    pub fn changed(&mut self, transition: &Transition) {
        if self.comments.len() == COMMENTS {
            self.comments.pop_front();
        }
        let Transition {
            at,
            from,
            to,
            cause,
        } = transition;
        self.comments.push_back(Comment {
            after: self.total,
            at: *at,
            text: format!("{from} -> {to}: {cause}").into(),
        });
    }

    /// What is kept, from this number on. It is copied as it is: pieces are made of it by whoever
    /// asks.
    #[must_use]
    pub fn excerpt(&self, from: u64) -> Excerpt {
        let first = self.total - self.entries.len() as u64;
        // A number that is yet to come is of a former capture.
        let from = if from > self.total { 0 } else { from };
        let passed = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let passed_entries = self.entries.iter().take(passed);
        let passed_octets = passed_entries.map(|entry| entry.kept as usize).sum();
        let ends = |(conn, stream): (&ConnId, &Stream)| (*conn, stream.ends);
        Excerpt {
            first: from.max(first),
            oldest: first,
            entries: copied(&self.entries, passed),
            octets: copied(&self.octets, passed_octets),
            ends: self.streams.iter().map(ends).collect(),
            comments: self.comments.iter().cloned().collect(),
            next: self.total,
        }
    }

    fn make_room(&mut self) {
        while self.octets.len() + self.entries.len() * size_of::<Entry>() > self.capacity {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.octets.drain(..oldest.kept as usize);
            self.forget_entry_of(oldest.conn);
        }
    }

    fn forget_entry_of(&mut self, conn: ConnId) {
        let Some(stream) = self.streams.get_mut(&conn) else {
            return;
        };
        stream.entries -= 1;
        if stream.entries == 0 && !stream.is_open {
            self.streams.remove(&conn);
        }
    }
}

/// What comes behind the first ones.
fn copied<T: Copy>(queue: &VecDeque<T>, passed: usize) -> Vec<T> {
    let (front, back) = queue.as_slices();
    let front_rest = front.get(passed..).unwrap_or_default();
    let back_rest = back.get(passed.saturating_sub(front.len())..);
    [front_rest, back_rest.unwrap_or_default()].concat()
}

impl Excerpt {
    /// The number of the piece that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Its pieces. What goes on from something that is not kept is left out, so that each direction
    /// begins with a message.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.entries.len());
        let mut rest = self.octets.as_slice();
        for (number, entry) in (self.first..).zip(&self.entries) {
            let split = rest.split_at_checked(entry.kept as usize);
            let (octets, behind) = split.unwrap_or((rest, &[]));
            rest = behind;
            // The oldest give way first: where the beginning is kept, all behind it is.
            let beginning = number.checked_sub(entry.after_beginning.into());
            let is_whole = beginning.is_some_and(|beginning| beginning >= self.oldest);
            if let Some(ends) = self.ends.get(&entry.conn)
                && is_whole
            {
                pieces.push(Piece {
                    number,
                    at: entry.at,
                    ends: *ends,
                    side: entry.side,
                    offset: entry.offset,
                    other_offset: entry.other_offset,
                    begins: entry.after_beginning == 0,
                    length: entry.length as usize,
                    octets: octets.to_vec(),
                    comments: Vec::new(),
                });
            }
        }
        self.comment(&mut pieces);
        pieces
    }

    /// A change of state belongs to the piece nearest in time: it came of what was received, or what
    /// was sent came of it.
    fn comment(&self, pieces: &mut [Piece]) {
        for comment in &self.comments {
            let next = pieces.partition_point(|piece| piece.number < comment.after);
            let distance = |index: &usize| {
                let at = pieces.get(*index).map(|piece| piece.at);
                at.map(|at| {
                    at.saturating_duration_since(comment.at)
                        .max(comment.at.saturating_duration_since(at))
                })
            };
            let around = next.checked_sub(1).into_iter().chain([next]);
            let around = around.filter(|index| *index < pieces.len());
            if let Some(piece) = around
                .min_by_key(distance)
                .and_then(|index| pieces.get_mut(index))
            {
                piece.comments.push(comment.text.to_string());
            }
        }
    }
}
