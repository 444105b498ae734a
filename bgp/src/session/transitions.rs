//! Ways up and down between the states (RFC 4271 §8.2.2).

use std::time::{Duration, Instant};

use super::event::{ConnId, Event};
use super::status::{Cause, State, Transition};
use super::{BackOff, MIN_IDLE_HOLD_TIME, SETTLING_TIME, Session, collision};
use crate::wire::{Notification, code, subcode};

/// What a neighbor says that ends a session because somebody wants that, not because of a failure (RFC 4486 §3).
const ORDERLY_ENDS: [u8; 4] = [
    subcode::cease::ADMINISTRATIVE_SHUTDOWN,
    subcode::cease::PEER_DECONFIGURED,
    subcode::cease::ADMINISTRATIVE_RESET,
    subcode::cease::OTHER_CONFIGURATION_CHANGE,
];
/// IdleHoldTime grows no further than this.
const MAX_IDLE_HOLD_TIME: Duration = Duration::from_secs(30);
/// A session that was Established for so long has no past.
const STABLE_TIME: Duration = Duration::from_secs(60);

impl Session {
    /// To Connect, or to Active for who waits to be connected. An attempt under way is given up for
    /// a new one.
    pub(super) fn connect(&mut self, now: Instant, cause: Cause) {
        self.leave_idle();
        self.abort_connect();
        self.connecting = !self.config.passive;
        if self.connecting {
            self.events.push_back(Event::Connect);
        }
        self.restart_connect_retry_timer(now);
        self.settle(now, cause);
    }

    /// Nothing holds the session in Idle any more.
    pub(super) fn leave_idle(&mut self) {
        self.idle_hold = None;
        self.welcomes = false;
        self.over_limit = None;
        self.waiting_for_liveness = false;
    }

    pub(super) fn restart_connect_retry_timer(&mut self, now: Instant) {
        let connect_retry_time = self.config.connect_retry_time.mul_f64(self.jitter());
        self.connect_retry = (!self.config.passive).then(|| now + connect_retry_time);
    }

    pub(super) fn abort_connect(&mut self) {
        if std::mem::replace(&mut self.connecting, false) {
            self.events.push_back(Event::AbortConnect);
        }
    }

    /// Ends a connection with a NOTIFICATION.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        conn: ConnId,
        notification: Notification,
        back_off: BackOff,
    ) {
        self.end(conn, Some(notification.clone()));
        self.record.connect_retry_counter += 1;
        self.retreat(now, Cause::NotificationSent(notification), back_off);
    }

    /// RFC 9687 §3: there is no room for a NOTIFICATION in a connection that takes nothing.
    pub(super) fn send_hold_timer_expired(&mut self, now: Instant, conn: ConnId) {
        self.end(conn, None);
        self.record.connect_retry_counter += 1;
        self.retreat(now, Cause::SendHoldTimerExpired, BackOff::Lengthen);
    }

    /// A connection came to nothing, and there is no fault in that. Unless another one is left, the
    /// session goes on listening, and with the attempt that is under way.
    pub(super) fn fall_back(&mut self, now: Instant, cause: Cause) {
        if self.connections.is_empty() {
            self.restart_connect_retry_timer(now);
        }
        self.settle(now, cause);
    }

    /// A connection has failed. Unless another one is left, back to Idle, for IdleHoldTime.
    pub(super) fn retreat(&mut self, now: Instant, cause: Cause, back_off: BackOff) {
        if self.connections.is_empty() && self.started {
            self.abort_connect();
            self.connect_retry = None;
            let was_stable = self.record.state == State::Established
                && self
                    .record
                    .since
                    .is_some_and(|since| now.saturating_duration_since(since) >= STABLE_TIME);
            if was_stable {
                self.idle_hold_time = MIN_IDLE_HOLD_TIME;
            }
            self.idle_hold = Some(now + self.idle_hold_time.mul_f64(self.jitter()));
            self.welcomes =
                self.record.state == State::Established && is_of_the_neighbors_will(&cause);
            if back_off == BackOff::Lengthen {
                self.idle_hold_time = (self.idle_hold_time * 2).min(MAX_IDLE_HOLD_TIME);
            }
        }
        self.settle(now, cause);
    }

    pub(super) fn path_is_up(&mut self, now: Instant) {
        // SYNs that were lost while the path was down would be repeated by TCP much later.
        let is_trying = self.may_connect() && self.connections.is_empty();
        if self.waiting_for_liveness || is_trying {
            self.connect(now, Cause::Start);
        }
    }

    /// When a session that is coming up or has just come up will have settled; `None` if it has, or
    /// there is none. An OPEN counts too: BFD's news may overtake the KEEPALIVE that it follows from.
    pub(super) fn settled_at(&self, now: Instant) -> Option<Instant> {
        let since = match self.record.state {
            State::Idle | State::Connect | State::Active => return None,
            State::OpenSent | State::OpenConfirm => now,
            State::Established => self.record.since?,
        };
        Some(since + SETTLING_TIME).filter(|settled_at| now < *settled_at)
    }

    /// RFC 5882 §4.1, RFC 9384
    pub(super) fn path_is_down(&mut self, now: Instant) {
        self.path_doubted_until = None;
        if !self.connections.is_empty() {
            // RFC 9384 §3. All at once: none is to go on for the other's sake.
            let cause = self.end_all(&Notification::cease(subcode::cease::BFD_DOWN));
            self.record.connect_retry_counter += 1;
            self.retreat(now, cause, BackOff::Keep);
        }
        self.waiting_for_liveness = self.idle_hold.is_some() && self.over_limit.is_none();
    }

    /// Whether the session is not to stay in Idle.
    fn may_connect(&self) -> bool {
        self.started && self.idle_hold.is_none() && self.over_limit.is_none()
    }

    /// Something happened to a connection: if another stood by for it, that one goes on. Takes note
    /// of the state that the connections amount to.
    pub(super) fn settle(&mut self, now: Instant, cause: Cause) {
        let goes_on = self.end_stand_by(now);
        self.note_state(now, cause);
        if let Some(conn) = goes_on {
            self.read_messages(now, conn);
        }
    }

    fn note_state(&mut self, now: Instant, cause: Cause) {
        let from = self.record.state;
        let to = self.present_state();
        if from == to {
            return;
        }
        self.record.state = to;
        self.record.since = Some(now);
        let transition = Transition {
            at: now,
            from,
            to,
            cause,
        };
        if from == State::Established {
            self.record.dropped += 1;
            self.rib.end();
            self.keep_stale(now, &transition.cause);
            self.refreshed.clear();
            self.limited.clear();
        }
        if from >= State::OpenSent && to < State::OpenSent {
            self.remember_reset(&transition);
            self.path_doubted_until = None;
        }
        self.events.push_back(Event::StateChanged(transition));
    }

    /// That a later attempt came to nothing does not explain why the session ended.
    fn remember_reset(&mut self, transition: &Transition) {
        let ended = transition.from == State::Established;
        let collided = match &transition.cause {
            Cause::NotificationReceived(notification) | Cause::NotificationSent(notification) => {
                collision::is_notification(notification)
            }
            _ => false,
        };
        if ended || self.record.established == 0 && !collided {
            self.record.last_reset = Some(transition.clone());
        }
    }

    fn present_state(&self) -> State {
        let furthest = self
            .connections
            .furthest()
            .map(|connection| connection.state);
        furthest.unwrap_or(match (self.may_connect(), self.connecting) {
            (false, _) => State::Idle,
            (true, true) => State::Connect,
            (true, false) => State::Active,
        })
    }
}

/// Whether the neighbor ended a session that was up without a complaint, so that it may be back at any moment: it
/// said so, or it closed the connection, as for a restart (RFC 4724 §3).
fn is_of_the_neighbors_will(cause: &Cause) -> bool {
    match cause {
        Cause::ConnectionLost => true,
        Cause::NotificationReceived(notification) => is_orderly_end(notification),
        _ => false,
    }
}

/// Whether the neighbor ended the session without complaining of it, which is no reason to wait longer for the next.
pub(super) fn is_orderly_end(notification: &Notification) -> bool {
    let inner = notification.hard_reset_reason();
    let reason = inner.as_ref().unwrap_or(notification);
    reason.code == code::CEASE && ORDERLY_ENDS.contains(&reason.subcode)
}
