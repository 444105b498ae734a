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

use std::collections::VecDeque;
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
    begins: bool,
    length: u32,
    kept: u32,
}

/// A connection that something is kept of, or that is open.
#[derive(Debug)]
struct Stream {
    conn: ConnId,
    ends: [SocketAddr; 2],
    sent: Frames,
    received: Frames,
    is_open: bool,
}

/// A change of state, and the piece that was the latest then.
#[derive(Debug)]
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
    streams: Vec<Stream>,
    comments: VecDeque<Comment>,
    /// Pieces that there have been.
    total: u64,
}

impl Capture {
    /// Of nothing yet.
    #[must_use]
    pub fn new(size: CaptureSize) -> Self {
        Self {
            capacity: size.octets(),
            entries: VecDeque::new(),
            octets: VecDeque::new(),
            streams: Vec::new(),
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
            self.forget_streams();
        }
    }

    /// A connection is there.
    pub fn opened(&mut self, conn: ConnId, ends: [SocketAddr; 2]) {
        self.streams.push(Stream {
            conn,
            ends,
            sent: Frames::default(),
            received: Frames::default(),
            is_open: true,
        });
    }

    /// A connection is gone; what it carried stays.
    pub fn closed(&mut self, conn: ConnId) {
        for stream in &mut self.streams {
            stream.is_open &= stream.conn != conn;
        }
        self.forget_streams();
    }

    /// Octets that TCP has carried.
    pub fn carried(&mut self, at: Instant, conn: ConnId, side: Side, octets: &[u8]) {
        let Some(stream) = self.streams.iter_mut().find(|it| it.conn == conn) else {
            return;
        };
        let (frames, other) = match side {
            Side::Sent => (&mut stream.sent, &stream.received),
            Side::Received => (&mut stream.received, &stream.sent),
        };
        let other_offset = other.offset();
        let mut rest = octets;
        while !rest.is_empty() {
            let (offset, frame) = (frames.offset(), frames.next(rest));
            let (piece, behind) = rest.split_at_checked(frame.length).unwrap_or((rest, &[]));
            rest = behind;
            self.total += 1;
            // Of what is to give way to the end of the same octets at once, nothing is copied.
            if behind.len() >= self.capacity {
                continue;
            }
            // Of a message that is longer than this, no more is kept.
            let kept = piece.get(..self.capacity / 2).unwrap_or(piece);
            self.octets.extend(kept);
            self.entries.push_back(Entry {
                at,
                conn,
                side,
                offset,
                other_offset,
                begins: frame.begins,
                length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                kept: u32::try_from(kept.len()).unwrap_or(u32::MAX),
            });
            make_room(&mut self.entries, &mut self.octets, self.capacity);
        }
        self.forget_streams();
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

    /// The pieces that are kept, from this number on, and the number of the next that comes. What
    /// goes on from something that is not kept is left out, so that each direction begins with a
    /// message.
    #[must_use]
    pub fn pieces(&self, from: u64) -> (Vec<Piece>, u64) {
        let first = self.total - self.entries.len() as u64;
        // A number that is yet to come is of a former capture.
        let from = if from > self.total { 0 } else { from };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut start = 0;
        let mut begun: Vec<(ConnId, Side)> = Vec::new();
        for (number, entry) in (first..).zip(&self.entries) {
            let end = start + entry.kept as usize;
            let octets = || self.octets.range(start..end).copied().collect();
            let way = (entry.conn, entry.side);
            if entry.begins && !begun.contains(&way) {
                begun.push(way);
            }
            let ends = self.streams.iter().find(|it| it.conn == entry.conn);
            if number >= from
                && begun.contains(&way)
                && let Some(stream) = ends
            {
                pieces.push(Piece {
                    number,
                    at: entry.at,
                    ends: stream.ends,
                    side: entry.side,
                    offset: entry.offset,
                    other_offset: entry.other_offset,
                    begins: entry.begins,
                    length: entry.length as usize,
                    octets: octets(),
                    comments: Vec::new(),
                });
            }
            start = end;
        }
        self.comment(&mut pieces);
        (pieces, self.total)
    }

    /// A change of state belongs to the piece nearest in time: it came of what was received, or what
    /// was sent came of it.
    fn comment(&self, pieces: &mut [Piece]) {
        for comment in &self.comments {
            let next = pieces
                .iter()
                .position(|piece| piece.number >= comment.after);
            let before = next.unwrap_or(pieces.len()).checked_sub(1);
            let distance = |index: &usize| {
                let at = pieces.get(*index).map(|piece| piece.at);
                at.map(|at| {
                    at.saturating_duration_since(comment.at)
                        .max(comment.at.saturating_duration_since(at))
                })
            };
            let nearest = before.into_iter().chain(next).min_by_key(distance);
            if let Some(piece) = nearest.and_then(|index| pieces.get_mut(index)) {
                piece.comments.push(comment.text.to_string());
            }
        }
    }

    fn make_room(&mut self) {
        make_room(&mut self.entries, &mut self.octets, self.capacity);
    }

    /// Connections that nothing is kept of.
    fn forget_streams(&mut self) {
        let entries = &self.entries;
        let has_some = |conn| entries.iter().any(|entry| entry.conn == conn);
        if self.streams.iter().any(|stream| !stream.is_open) {
            self.streams
                .retain(|stream| stream.is_open || has_some(stream.conn));
        }
    }
}

fn make_room(entries: &mut VecDeque<Entry>, octets: &mut VecDeque<u8>, capacity: usize) {
    while octets.len() + entries.len() * size_of::<Entry>() > capacity {
        let Some(oldest) = entries.pop_front() else {
            return;
        };
        octets.drain(..oldest.kept as usize);
    }
}
