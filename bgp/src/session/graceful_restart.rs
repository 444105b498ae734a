//! Graceful restart (RFC 4724, RFC 8538, RFC 9494): what our OPEN says of it, and how a session ends
//! when the neighbor is to keep our routes, or is not to.

use std::time::{Duration, Instant};

use super::Session;
use super::config::SessionConfig;
use super::event::ConnId;
use super::status::{Cause, State};
use crate::types::Family;
use crate::wire::{
    Capability, GracefulRestart, GracefulRestartFamily, LongLivedGracefulRestart,
    LongLivedStaleTime, Notification, RestartTime,
};

/// That the neighbor should keep our routes while we are away, of every family that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartConfig {
    /// How long we take to come back at most (RFC 4724 §3).
    pub restart_time: RestartTime,
    /// How long the neighbor may keep our routes after that, as ones of last resort (RFC 9494);
    /// zero: not at all.
    pub long_lived_stale_time: LongLivedStaleTime,
}

/// What we can truly say of the past in our OPEN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// The program was started anew: R is set until the session is up, or this time has come.
    pub(super) restarted_until: Option<Instant>,
    /// Traffic was forwarded all the time since the neighbor last had our routes: F.
    pub(super) forwarding: bool,
}

/// The capabilities that the OPEN has for graceful restart.
pub(super) fn capabilities(config: &SessionConfig, past: Past) -> Vec<Capability> {
    let Some(restart) = config.graceful_restart else {
        return Vec::new();
    };
    let families = config.families.iter().map(|family| GracefulRestartFamily {
        family: *family,
        forwarding: past.forwarding,
    });
    let graceful = GracefulRestart {
        restarting: past.restarted_until.is_some(),
        notification: true,
        restart_time: restart.restart_time,
        families: families.collect(),
    };
    let mut capabilities = vec![Capability::GracefulRestart(Box::new(graceful))];
    if restart.long_lived_stale_time > LongLivedStaleTime::default() {
        // RFC 9494 §4.1: only beside the other one.
        let families = config
            .families
            .iter()
            .map(|family| LongLivedGracefulRestart {
                family: *family,
                forwarding: past.forwarding,
                stale_time: restart.long_lived_stale_time,
            });
        capabilities.push(Capability::LongLivedGracefulRestart(families.collect()));
    }
    capabilities
}

/// What the neighbor says of its own restarts; `None` unless both sides speak of them.
pub(super) fn agreed(config: &SessionConfig, received: &[Capability]) -> Option<GracefulRestart> {
    config.graceful_restart?;
    // RFC 4724 §3: the last one counts.
    received
        .iter()
        .rev()
        .find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(GracefulRestart::clone(restart)),
            _ => None,
        })
}

/// Of which families routes outlive the neighbor's restart time, and for how long; none unless both
/// sides speak of it, beside graceful restart (RFC 9494 §4.5).
pub(super) fn agreed_long_lived(
    config: &SessionConfig,
    families: &[Family],
    received: &[Capability],
) -> Vec<LongLivedGracefulRestart> {
    let ours = config.graceful_restart.filter(|restart| {
        restart.long_lived_stale_time > LongLivedStaleTime::default()
            && agreed(config, received).is_some()
    });
    let Some(ours) = ours.map(|restart| restart.long_lived_stale_time) else {
        return Vec::new();
    };
    let theirs = received
        .iter()
        .rev()
        .find_map(|capability| match capability {
            Capability::LongLivedGracefulRestart(theirs) => Some(theirs.as_ref()),
            _ => None,
        });
    let theirs: &[LongLivedGracefulRestart] = theirs.unwrap_or_default();
    let last = |family| theirs.iter().rev().find(|theirs| theirs.family == family);
    let offered = families.iter().filter_map(|family| last(*family));
    offered
        .map(|theirs| LongLivedGracefulRestart {
            // RFC 9494 §4.2: what is configured may bound what is received.
            stale_time: theirs.stale_time.min(ours),
            ..*theirs
        })
        .collect()
}

impl Session {
    /// The program was started anew, and the neighbor may still have the routes of its last session
    /// (RFC 4724 §4.1): OPENs say so until the session is up or the restart time is over. To be
    /// called before [`start`](Self::start). Without graceful restart in the configuration it has
    /// no meaning.
    pub fn restarted(&mut self, now: Instant) {
        let now = self.advance(now);
        let restart = self.config.graceful_restart;
        let time =
            restart.map(|restart| Duration::from_secs(restart.restart_time.as_secs().into()));
        self.past = Past {
            restarted_until: time.map(|time| now + time),
            forwarding: true,
        };
    }

    /// The routes that were set are not all there are yet: what there is, is announced, and
    /// End-of-RIB waits. A neighbor that kept the routes of an earlier session would drop what is
    /// missing with it (RFC 4724 §4.1).
    pub fn hold_end_of_rib(&mut self) {
        self.rib.hold_end_of_rib(true);
    }

    /// The routes are complete, or nobody wants to wait longer.
    pub fn release_end_of_rib(&mut self) {
        self.rib.hold_end_of_rib(false);
    }

    /// What we can say of the past in an OPEN that goes out now.
    pub(super) fn past(&self) -> Past {
        let is_over = |until: &Instant| self.now.is_some_and(|now| *until <= now);
        Past {
            restarted_until: self.past.restarted_until.filter(|until| !is_over(until)),
            forwarding: self.past.forwarding,
        }
    }

    /// The session is up: from here on nothing has restarted, and while this program runs, what it
    /// announces is served.
    pub(super) const fn past_is_over(&mut self) {
        self.past = Past {
            restarted_until: None,
            forwarding: true,
        };
    }

    /// Whether the neighbor keeps our routes when this connection ends without a word.
    pub(super) fn is_kept(&self, conn: ConnId) -> bool {
        let connection = self.connections.by_id(conn);
        let negotiated = connection.and_then(|connection| connection.negotiated.as_ref());
        negotiated.is_some_and(|agreed| agreed.graceful_restart.is_some())
            && connection.is_some_and(|connection| connection.state == State::Established)
    }

    /// A NOTIFICATION after which the neighbor is not to keep our routes: a Hard Reset around it,
    /// where it would keep them otherwise (RFC 8538 §3).
    pub(super) fn purging(&self, conn: ConnId, notification: Notification) -> Notification {
        let connection = self.connections.by_id(conn);
        let negotiated = connection.and_then(|connection| connection.negotiated.as_ref());
        match negotiated.is_some_and(|agreed| agreed.notification_restart()) {
            true => Notification::hard_reset(&notification),
            false => notification,
        }
    }

    /// Ends every connection with a NOTIFICATION after which the neighbor is not to keep our routes.
    /// What the one that got furthest hears is why.
    pub(super) fn end_all(&mut self, notification: &Notification) -> Cause {
        let furthest = self.connections.furthest().map(|furthest| furthest.id);
        let mut cause = Cause::NotificationSent(notification.clone());
        for conn in self.connections.ids() {
            let last_word = self.purging(conn, notification.clone());
            if Some(conn) == furthest {
                cause = Cause::NotificationSent(last_word.clone());
            }
            self.end(conn, Some(last_word));
        }
        cause
    }

    /// RFC 4724 §4.2, §5: whether a new connection while the session is up says that the neighbor has
    /// restarted. One that names no family has nothing to keep over a restart of its own. So soon
    /// after the session came up it rather is what is left of a collision.
    pub(super) fn may_have_restarted(&self) -> bool {
        let established = self
            .connections
            .iter()
            .find(|connection| connection.state == State::Established);
        let negotiated = established.and_then(|connection| connection.negotiated.as_ref());
        let settles = self.now.is_some_and(|now| self.settled_at(now).is_some());
        let restart = negotiated.and_then(|agreed| agreed.graceful_restart.as_ref());
        !settles && restart.is_some_and(|restart| !restart.families.is_empty())
    }

    /// The neighbor's OPEN came on another connection than the one that is up: that one is dead, and
    /// ends without a word (RFC 4724 §4.2).
    pub(super) fn end_outlived(&mut self, conn: ConnId) -> bool {
        let outlived = self
            .connections
            .iter()
            .find(|other| other.id != conn && other.state == State::Established);
        let Some(outlived) = outlived.map(|connection| connection.id) else {
            return false;
        };
        self.end(outlived, None);
        true
    }
}
