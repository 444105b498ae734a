//! Routes of a neighbor that are kept although they may not be so any more: while it restarts (RFC
//! 4724 §4.2, RFC 8538 §4), and while it repeats itself (RFC 7313 §4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Session;
use super::config::ReceivedRoutes;
use super::status::{Cause, Negotiated};
use crate::types::Family;
use crate::wire::subcode::cease;
use crate::wire::{GracefulRestart, Notification, code};

/// How long a neighbor that is back may take to announce everything, and how long to repeat it, if
/// it never says that it is through (RFC 4724 §4.2, RFC 7313 §4).
const STALE_TIME: Duration = Duration::from_secs(360);

/// What is stale, and until when at most.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// What the neighbor said of its restarts in the session that is up, of families that were
    /// agreed upon.
    restart: Option<GracefulRestart>,
    /// From before a restart; End-of-RIB ends it.
    restarting: BTreeMap<Family, Instant>,
    /// From before a Begin-of-RR; End-of-RR ends it.
    refreshing: BTreeMap<Family, Instant>,
}

impl Stale {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let deadlines = self.restarting.values().chain(self.refreshing.values());
        deadlines.min().copied()
    }
}

/// Whether the way in which a session ended costs the routes, where the neighbor speaks of restarts.
fn is_purged(cause: &Cause, restart: &GracefulRestart) -> bool {
    match cause {
        Cause::ConnectionLost | Cause::SendHoldTimerExpired | Cause::NeighborRestarted => false,
        // RFC 8538 §4
        Cause::NotificationReceived(notification) | Cause::NotificationSent(notification) => {
            !restart.notification || purges(notification)
        }
        _ => true,
    }
}

/// RFC 8538 §3; and BFD knows that the neighbor's routes lead nowhere.
fn purges(notification: &Notification) -> bool {
    let said = (notification.code, notification.subcode);
    let purging = [cease::HARD_RESET, cease::BFD_DOWN, cease::MAXIMUM_PREFIXES];
    purging
        .map(|subcode| (code::CEASE, subcode))
        .contains(&said)
}

impl Session {
    /// The session is up: what the neighbor did not keep forwarding to is forgotten, the rest is to
    /// be announced anew.
    pub(super) fn begin_to_refresh_stale(&mut self, now: Instant, negotiated: &Negotiated) {
        let restart = negotiated.graceful_restart.clone().map(|restart| {
            let agreed = |family: &Family| negotiated.families.contains(family);
            let families = restart.families.into_iter();
            GracefulRestart {
                families: families.filter(|family| agreed(&family.family)).collect(),
                ..restart
            }
        });
        let forwarding: BTreeSet<Family> = restart
            .iter()
            .flat_map(|restart| &restart.families)
            .filter(|family| family.forwarding)
            .map(|family| family.family)
            .collect();
        let lost = self.stale.restarting.keys().copied();
        let lost: Vec<Family> = lost.filter(|family| !forwarding.contains(family)).collect();
        for family in lost {
            self.sweep_restarted(family);
        }
        for deadline in self.stale.restarting.values_mut() {
            *deadline = now + STALE_TIME;
        }
        self.stale.restart = restart;
    }

    /// The session that was up has ended: routes of a neighbor that restarts stay for a while.
    pub(super) fn keep_stale(&mut self, now: Instant, cause: &Cause) {
        self.stale.refreshing.clear();
        let restart = self.stale.restart.take();
        let is_kept = matches!(self.config.received_routes, ReceivedRoutes::Kept(_));
        let kept = restart.filter(|restart| is_kept && !is_purged(cause, restart));
        let Some(restart) = kept else {
            self.stale.restarting.clear();
            return self.adj_rib_in.clear();
        };
        let time = Duration::from_secs(restart.restart_time.as_secs().into());
        let families: BTreeSet<Family> = restart
            .families
            .iter()
            .map(|family| family.family)
            .collect();
        self.stale.restarting.clear();
        for family in self.adj_rib_in.families() {
            // RFC 4724 §4.2: what is stale since an earlier restart does not survive this one.
            self.adj_rib_in.sweep_stale(family);
            self.adj_rib_in.mark_stale(family);
            if families.contains(&family) {
                self.stale.restarting.insert(family, now + time);
            } else {
                self.adj_rib_in.sweep_stale(family);
            }
        }
    }

    /// End-of-RIB: the neighbor has announced everything.
    pub(super) fn sweep_restarted(&mut self, family: Family) {
        if self.stale.restarting.remove(&family).is_some() {
            self.adj_rib_in.sweep_stale(family);
        }
    }

    /// Begin-of-RR. Before End-of-RIB it counts for nothing (RFC 7313 §4).
    pub(super) fn begin_refresh(&mut self, now: Instant, family: Family) {
        let heard = self.record.families.get(&family);
        let is_through = heard.is_some_and(|heard| heard.end_of_rib_received);
        if self.stale.restart.is_some() && !is_through {
            return;
        }
        self.adj_rib_in.mark_stale(family);
        self.stale.refreshing.insert(family, now + STALE_TIME);
    }

    /// End-of-RR. Without a beginning it counts for nothing.
    pub(super) fn end_refresh(&mut self, family: Family) {
        if self.stale.refreshing.remove(&family).is_some() {
            self.adj_rib_in.sweep_stale(family);
        }
    }

    /// Nobody has said that it is through.
    pub(super) fn give_up_stale(&mut self, now: Instant) {
        let expired = |stale: &BTreeMap<Family, Instant>| -> Vec<Family> {
            let expired = stale.iter().filter(|(_, deadline)| **deadline <= now);
            expired.map(|(family, _)| *family).collect()
        };
        for family in expired(&self.stale.restarting) {
            self.sweep_restarted(family);
        }
        for family in expired(&self.stale.refreshing) {
            self.end_refresh(family);
        }
    }
}
