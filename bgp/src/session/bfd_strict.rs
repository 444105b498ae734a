//! Strict mode: no session without BFD (draft-ietf-idr-bgp-bfd-strict-mode). After the neighbor's
//! OPEN, our KEEPALIVE waits until BFD finds the path working, or one side has taken BFD out of
//! service. Where only we want that, the neighbor sees an OPEN whose KEEPALIVE is late.

use std::fmt;
use std::time::{Duration, Instant};

use super::event::{ConnId, Liveness};
use super::status::Cause;
use super::{BackOff, Session};
use crate::wire::{Notification, subcode};

/// How far a connection is that waits for BFD: the draft's substates of OpenSent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BfdPending {
    /// The neighbor's OPEN is in.
    OpenSentBfdUpPending,
    /// The neighbor's KEEPALIVE is in too; with BFD's Up the session is Established.
    OpenSentConfirmedBfdUpPending,
}

impl fmt::Display for BfdPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Session {
    /// How long a KEEPALIVE must wait for BFD; `None` if it need not.
    pub(super) fn wait_for_path(&self, hold_time: Option<Duration>) -> Option<Duration> {
        let patience = self.config.bfd_strict?;
        let state = self.liveness.map(|(liveness, _)| liveness);
        let is_settled = matches!(state, Some(Liveness::Up | Liveness::AdminDown));
        (!is_settled).then(|| hold_time.map_or(patience, |hold_time| patience.min(hold_time)))
    }

    /// The neighbor's OPEN is good, and BFD is not up.
    pub(super) fn await_path(&mut self, now: Instant, conn: ConnId, patience: Duration) {
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.pending = Some(BfdPending::OpenSentBfdUpPending);
            connection.hold = Some(now + patience);
        }
    }

    /// The neighbor's KEEPALIVE came before BFD's Up; false if that is not what is waited for.
    pub(super) fn confirm_pending(&mut self, conn: ConnId) -> bool {
        let connection = self.connections.by_id_mut(conn);
        let pending = connection.and_then(|connection| connection.pending.as_mut());
        let is_pending = pending.is_some();
        if let Some(pending) = pending {
            *pending = BfdPending::OpenSentConfirmedBfdUpPending;
        }
        is_pending
    }

    /// BFD has found the path working, or is out of service: what waited for it goes on.
    pub(super) fn path_is_settled(&mut self, now: Instant) {
        for conn in self.connections.ids() {
            let connection = self.connections.by_id_mut(conn);
            let Some(pending) = connection.and_then(|connection| connection.pending.take()) else {
                continue;
            };
            self.confirm(now, conn);
            self.settle(now, Cause::BfdUp);
            if pending == BfdPending::OpenSentConfirmedBfdUpPending {
                self.establish(now, conn);
            }
        }
    }

    /// BFD did not come up in time (RFC 9384).
    pub(super) fn path_did_not_settle(&mut self, now: Instant, conn: ConnId) {
        let notification = Notification::cease(subcode::cease::BFD_DOWN);
        self.fail(now, conn, notification, BackOff::Keep);
    }
}
