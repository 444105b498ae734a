//! Demand mode of the local system (RFC 5880 §6.6): the remote system is asked to cease periodic packets, and the path is
//! verified by Poll Sequences.
//!
//! Silence means nothing then, but for a Poll that is not answered. What the other side asks for is in
//! [`Session::tx_interval`].

use std::time::{Duration, Instant};

use super::Session;
use crate::packet::Micros;

/// Whether we ask for silence, and whether we may get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Demand {
    state: DemandState,
    /// When the D bit was last set.
    begun_at: Option<Instant>,
    /// When the remote system was last allowed to be silent: what came before counts for nothing.
    ended_at: Option<Instant>,
    /// How long an answer may take: the longest Detection Time since the Poll Sequence began.
    patience: Duration,
    next_poll_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum DemandState {
    /// Asynchronous mode: the remote system sends periodically.
    #[default]
    Asynchronous,
    /// The D bit is set.
    Demanded,
    /// The D bit is clear again, which the remote system may not know.
    Leaving,
}

impl Demand {
    /// Sets the D bit, or clears it; true if that is a change. While Up, detection changes back with the end of the Poll Sequence
    /// that tells so, and with a packet just received: the remote system was allowed its silence until then.
    pub(super) fn advertise(&mut self, now: Instant, wanted: bool, both_up: bool) -> bool {
        let before = self.state;
        if wanted && before != DemandState::Demanded {
            self.begun_at = Some(now);
        }
        self.state = match before {
            _ if wanted => DemandState::Demanded,
            _ if !both_up => DemandState::Asynchronous,
            DemandState::Demanded => DemandState::Leaving,
            DemandState::Leaving | DemandState::Asynchronous => before,
        };
        if before != DemandState::Asynchronous && self.state == DemandState::Asynchronous {
            self.ended_at = Some(now);
        }
        (before == DemandState::Demanded) != wanted
    }

    /// The Poll Sequence has ended, with nothing changed since.
    pub(super) fn acknowledged(&mut self) {
        if self.state == DemandState::Leaving {
            self.state = DemandState::Asynchronous;
        }
    }

    /// The D bit.
    pub(super) fn is_advertised(self) -> bool {
        self.state == DemandState::Demanded
    }

    /// Whether the remote system may be silent.
    pub(super) fn is_in_force(self) -> bool {
        self.state != DemandState::Asynchronous
    }

    /// Since when there is silence, if the remote system was last heard at this time.
    pub(super) fn silent_since(self, heard_at: Instant) -> Instant {
        self.ended_at.map_or(heard_at, |at| at.max(heard_at))
    }

    /// When to verify the path next.
    pub(super) fn next_poll_at(self) -> Option<Instant> {
        self.next_poll_at
    }
}

impl Session {
    /// Verifies the path by a Poll Sequence (§6.5), unless one runs. In demand mode the session goes Down if it is not answered
    /// within the Detection Time; in asynchronous mode the Poll bit rides on packets that are sent anyway. A session that is not
    /// Up has no path to verify, and ignores it.
    ///
    /// It has ended when [`SessionStatus::polling`](crate::SessionStatus::polling) is false and the session still Up.
    pub fn poll(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.both_up() {
            self.poll.verify();
        }
        self.reschedule(now);
    }

    /// §6.8.7: never unless both are Up. A system that wants no packets at all could not be polled, and so is not asked.
    pub(super) fn wants_demand(&self) -> bool {
        self.config.demand_mode && self.both_up() && self.remote.min_rx_interval != Micros::ZERO
    }

    /// §6.8.4: our multiplier, and the interval at which we send.
    pub(super) fn demand_detection_time(&self) -> Duration {
        self.agreed_tx_interval() * u32::from(self.config.detect_mult.get())
    }

    /// When a Poll has gone unanswered for too long.
    ///
    /// What makes polls more frequent while one runs counts for the next: this one may not have had that many yet.
    pub(super) fn demand_deadline(&self) -> Option<Instant> {
        Some(self.answer_owed_since()? + self.demand.patience)
    }

    /// Since when the remote system owes the answer to a Poll: since no earlier than demand mode.
    pub(super) fn answer_owed_since(&self) -> Option<Instant> {
        Some(self.poll.initiated_at()?.max(self.demand.begun_at?))
    }

    /// §6.6: on either system.
    pub(super) fn demand_is_active(&self) -> bool {
        self.demand.is_in_force() || (self.remote.demand_mode && self.both_up())
    }

    pub(super) fn handle_demand_poll_timer(&mut self, now: Instant) {
        if self.demand.next_poll_at.is_some_and(|at| at <= now) {
            self.demand.next_poll_at = None;
            self.poll.verify();
        }
    }

    /// Counts the time to the next verification from the end of the one before.
    pub(super) fn schedule_demand_poll(&mut self, now: Instant) {
        if !self.demand.is_in_force() {
            self.demand.next_poll_at = None;
            return;
        }
        let detection_time = self.demand_detection_time();
        self.demand.patience = match self.poll.initiated_at() {
            Some(_) => self.demand.patience.max(detection_time),
            None => detection_time,
        };
        let interval = self
            .config
            .demand_poll_interval
            .filter(|_| self.demand.is_advertised() && !self.poll.is_active());
        self.demand.next_poll_at = match (interval, self.demand.next_poll_at) {
            (None, _) => None,
            (Some(interval), None) => Some(self.jittered(now, interval)),
            // A shorter interval takes effect at once.
            (Some(interval), Some(at)) => Some(at.min(now.checked_add(interval).unwrap_or(at))),
        };
    }
}
