//! Routes of a neighbor that are kept although they may not be so any more: while it restarts (RFC
//! 4724 §4.2, RFC 8538 §4), for longer than that as routes of last resort (RFC 9494 §4.2), and
//! while it repeats itself (RFC 7313 §4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Session;
use super::config::ReceivedRoutes;
use super::event::{Fate, Liveness};
use super::status::{Cause, Negotiated};
use crate::types::Family;
use crate::wire::subcode::cease;
use crate::wire::{GracefulRestart, LongLivedGracefulRestart, Notification, code};

/// How long a neighbor that is back may take to announce everything, and how long to repeat it, if
/// it never says that it is through (RFC 4724 §4.2, RFC 7313 §4).
const STALE_TIME: Duration = Duration::from_secs(360);

/// What is stale, and until when at most.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// What the neighbor said of its restarts in the session that is up, of families that were
    /// agreed upon.
    restart: Option<GracefulRestart>,
    /// And of what comes after the restart time.
    long_lived: Vec<LongLivedGracefulRestart>,
    /// From before a restart; End-of-RIB ends it.
    restarting: BTreeMap<Family, Restarting>,
    /// From before a Begin-of-RR; End-of-RR ends it.
    refreshing: BTreeMap<Family, Instant>,
}

/// Routes of one family from before a restart.
#[derive(Clone, Copy, Debug)]
struct Restarting {
    period: Period,
    /// Long-Lived Stale Time; zero: nothing outlives the restart time.
    stale_time: Duration,
    /// The neighbor is back, and has until then to announce everything. Meanwhile the period does
    /// not end by itself.
    announced_by: Option<Instant>,
}

/// RFC 9494 §4.2: what a family of a neighbor that is away is in, and until when.
#[derive(Clone, Copy, Debug)]
enum Period {
    Restart(Instant),
    LongLived(Instant),
}

impl Restarting {
    fn deadline(&self) -> Instant {
        let (Period::Restart(until) | Period::LongLived(until)) = self.period;
        self.announced_by.unwrap_or(until)
    }

    /// The neighbor is away once more, before it had announced everything. What is stale is not to
    /// go before the long-lived stale time is over, which goes on as it is (RFC 9494 §4.2); `None`
    /// if it is over, or there is none.
    fn again(self, stale_time: Duration, restart_until: Instant, now: Instant) -> Option<Period> {
        match self.period {
            Period::Restart(_) if stale_time.is_zero() => None,
            Period::Restart(until) => Some(Period::Restart(until.min(restart_until))),
            Period::LongLived(until) => (until > now).then_some(self.period),
        }
    }
}

impl Stale {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let restarting = self.restarting.values().map(Restarting::deadline);
        let deadlines = restarting.chain(self.refreshing.values().copied());
        deadlines.min()
    }

    /// The Long-Lived Stale Time of a family.
    fn stale_time(long_lived: &[LongLivedGracefulRestart], family: Family) -> Duration {
        let of = long_lived.iter().find(|said| said.family == family);
        let seconds = of.map_or(0, |said| said.stale_time.as_secs());
        Duration::from_secs(seconds.into())
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

/// RFC 8538 §3; and BFD that shares no fate with the control plane (RFC 5882 §4.3.2), or the neighbor
/// itself, knows that its routes lead nowhere.
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
        let long_lived = &negotiated.long_lived_graceful_restart;
        let is_forwarding = |family: &Family, period| match period {
            Period::Restart(_) => forwarding.contains(family),
            // RFC 9494 §4.2: the F bit of this capability.
            Period::LongLived(_) => long_lived
                .iter()
                .any(|said| said.family == *family && said.forwarding),
        };
        let restarting = self.stale.restarting.iter();
        let lost = restarting.filter(|(family, stale)| !is_forwarding(family, stale.period));
        let lost: Vec<Family> = lost.map(|(family, _)| *family).collect();
        for family in lost {
            self.sweep_restarted(family);
        }
        for restarting in self.stale.restarting.values_mut() {
            restarting.announced_by = Some(now + STALE_TIME);
        }
        self.stale.restart = restart;
        self.stale.long_lived.clone_from(long_lived);
    }

    /// The session that was up has ended: routes of a neighbor that restarts stay for a while.
    pub(super) fn keep_stale(&mut self, now: Instant, cause: &Cause) {
        self.stale.refreshing.clear();
        let restart = self.stale.restart.take();
        let long_lived = std::mem::take(&mut self.stale.long_lived);
        let is_kept = matches!(self.config.received_routes, ReceivedRoutes::Kept(_));
        let may_restart = self.is_down_with_the_control_plane(cause);
        let kept = restart.filter(|restart| is_kept && (may_restart || !is_purged(cause, restart)));
        let Some(restart) = kept else {
            self.stale.restarting.clear();
            return self.adj_rib_in.clear();
        };
        let restart_time = Duration::from_secs(restart.restart_time.as_secs().into());
        let families: BTreeSet<Family> = restart
            .families
            .iter()
            .map(|family| family.family)
            .collect();
        let before = std::mem::take(&mut self.stale.restarting);
        for family in self.adj_rib_in.families() {
            let stale_time = Stale::stale_time(&long_lived, family);
            // RFC 9494 §4.2: a family that only the long-lived capability names has no restart time.
            let restart_until = match families.contains(&family) {
                true => now + restart_time,
                false => now,
            };
            let before = before.get(&family);
            let period = before.and_then(|before| before.again(stale_time, restart_until, now));
            if period.is_none() {
                // RFC 4724 §4.2: what is stale since an earlier restart does not survive this one.
                self.adj_rib_in.sweep_stale(family);
            }
            self.adj_rib_in.mark_stale(family);
            if let Some(Period::LongLived(_)) = period {
                self.adj_rib_in.mark_long_lived_stale(family);
            }
            let restarting = Restarting {
                period: period.unwrap_or(Period::Restart(restart_until)),
                stale_time,
                announced_by: None,
            };
            self.stale.restarting.insert(family, restarting);
        }
        self.give_up_stale(now);
    }

    /// RFC 5882 §4.3.2: BFD that shares the fate of a control plane cannot tell its restart from a dead
    /// path. We say all the same what BFD Down has us say: our own routes are not to stay.
    fn is_down_with_the_control_plane(&self, cause: &Cause) -> bool {
        let Cause::NotificationSent(notification) = cause else {
            return false;
        };
        let bfd_down = Notification::cease(cease::BFD_DOWN);
        let is_bfd_down = *notification == bfd_down
            || notification.hard_reset_reason().as_ref() == Some(&bfd_down);
        let state = self.liveness.map(|(liveness, _)| liveness);
        is_bfd_down
            && matches!(
                state,
                Some(Liveness::Down(Fate::Shared) | Liveness::SignaledDown(Fate::Shared))
            )
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
        let restarting = self.stale.restarting.iter();
        let expired = restarting.filter(|(_, restarting)| restarting.deadline() <= now);
        let expired: Vec<_> = expired.map(|(family, stale)| (*family, *stale)).collect();
        for (family, restarting) in expired {
            self.end_period(now, family, restarting);
        }
        let refreshing = self.stale.refreshing.iter();
        let expired = refreshing.filter(|(_, deadline)| **deadline <= now);
        let expired: Vec<_> = expired.map(|(family, _)| *family).collect();
        for family in expired {
            self.end_refresh(family);
        }
    }

    /// What is stale is over, or is of last resort from here on (RFC 9494 §4.2).
    fn end_period(&mut self, now: Instant, family: Family, restarting: Restarting) {
        let is_away = restarting.announced_by.is_none();
        let outlives = is_away && !restarting.stale_time.is_zero();
        match restarting.period {
            Period::Restart(_) if outlives => {
                let period = Period::LongLived(now + restarting.stale_time);
                let restarting = Restarting {
                    period,
                    ..restarting
                };
                self.stale.restarting.insert(family, restarting);
                self.adj_rib_in.mark_long_lived_stale(family);
            }
            Period::Restart(_) | Period::LongLived(_) => self.sweep_restarted(family),
        }
    }
}
