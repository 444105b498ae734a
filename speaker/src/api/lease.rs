//! How long a connection may last, and what it may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::metrics::ApiLoad;

/// What each listener allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections are served at once; others wait.
    pub(super) connections: usize,
    /// How much of a request's head, or of an answer, waits in memory, in octets.
    pub(super) buffer: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub(super) head: Duration,
    /// How long the body of a request may take.
    pub(super) body: Duration,
    /// How long a connection may last, unless it follows the events.
    pub(super) connection: Duration,
    /// How long the last answer may take after that.
    pub(super) answer: Duration,
    /// How long whoever follows the events may leave them unread.
    pub(super) unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            buffer: 16 * 1024,
            head: Duration::from_secs(5),
            body: Duration::from_secs(5),
            connection: Duration::from_secs(60),
            answer: Duration::from_secs(10),
            unread: Duration::from_secs(60),
        }
    }
}

/// What all listeners have to do.
#[derive(Debug, Default)]
pub(super) struct Load {
    connections: AtomicUsize,
    slow: AtomicU64,
    unread: AtomicU64,
}

impl Load {
    pub(super) fn cut_off_slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cut_off_unread(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }
}

/// Of one connection; a request on it may have it extended, or ended.
#[derive(Clone, Debug)]
pub(super) struct Lease(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    load: Arc<Load>,
    term: watch::Sender<Term>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// What the limits say.
    Limited,
    /// Until the answer ends.
    Extended,
    /// It has ended.
    Revoked,
}

impl Lease {
    pub(super) fn new(limits: Limits, load: Arc<Load>) -> Self {
        load.connections.fetch_add(1, Ordering::Relaxed);
        let term = watch::Sender::new(Term::Limited);
        Self(Arc::new(Shared { limits, load, term }))
    }

    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(super) fn load(&self) -> &Load {
        &self.0.load
    }

    /// For a scrape.
    pub(super) fn metrics(&self) -> ApiLoad {
        let Load {
            connections,
            slow,
            unread,
        } = self.load();
        ApiLoad {
            connections: connections.load(Ordering::Relaxed),
            slow: slow.load(Ordering::Relaxed),
            unread: unread.load(Ordering::Relaxed),
        }
    }

    /// Until the answer to this request ends.
    pub(super) fn extend(&self) {
        self.0.term.send_replace(Term::Extended);
    }

    /// The connection is cut off, whatever is still to be written.
    pub(super) fn revoke(&self) {
        self.0.term.send_replace(Term::Revoked);
    }

    /// Returns when its time is over; never where it was extended.
    pub(super) async fn expired(&self) {
        tokio::time::sleep(self.0.limits.connection).await;
        if *self.0.term.borrow() == Term::Extended {
            std::future::pending().await
        }
    }

    pub(super) async fn revoked(&self) {
        let mut term = self.0.term.subscribe();
        // It cannot be closed: the sender is ours.
        let _ = term.wait_for(|term| *term == Term::Revoked).await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
