//! Routes that come in: what is believed of them, counted, limited, kept and reported.

use std::num::NonZeroU32;
use std::time::Instant;

use bytes::Bytes;

use super::config::{ReceivedRoutes, SessionConfig};
use super::event::{ConnId, Event, MalformedUpdate};
use super::prefix_limit::{self, Reached};
use super::refresh::RefreshError;
use super::status::{Cause, Negotiated};
use super::{FamilyRecord, Session, semantics};
use crate::types::Family;
use crate::wire::{
    AsPath, Attribute, AttributeAction, AttributeError, MpUnreach, PathIds, Update, type_code,
};

impl Session {
    pub(super) fn handle_update(
        &mut self,
        now: Instant,
        conn: ConnId,
        mut update: Update,
        body: &[u8],
    ) {
        self.restart_hold_timer(now, conn);
        let Some(connection) = self.connections.by_id(conn) else {
            return;
        };
        let Some(agreed) = connection.negotiated.as_ref() else {
            return;
        };
        let addresses = &connection.addresses;
        let ignored = ignore_families(&mut update, |family| !agreed.families.contains(&family));
        let is_loop = semantics::is_loop(&update, &self.config, addresses);
        if !is_loop {
            demand_first_as(&mut update, &self.config, agreed);
            semantics::demand_next_hops(&mut update, addresses, agreed);
        }
        let is_leak = semantics::is_leak(&update, &self.config, agreed);
        semantics::mark_only_to_customer(&mut update, &self.config, agreed);
        self.report_errors(&update, body);
        // What is left may look like an End-of-RIB.
        if ignored && prefix_count(&update) == 0 {
            return;
        }
        if is_loop {
            self.leave_out(&mut update, |record| &mut record.loops);
        } else if is_leak {
            self.leave_out(&mut update, |record| &mut record.leaks);
        }
        if let Some(family) = update.end_of_rib() {
            self.family_record(family).end_of_rib_received = true;
            self.sweep_restarted(family);
        }
        self.count(&update);
        self.keep(&update);
        if let Some((family, limit)) = self.limit(&update) {
            return self.too_many_prefixes(now, family, limit);
        }
        if self.config.received_routes == ReceivedRoutes::Reported {
            self.events.push_back(Event::Update(Box::new(update)));
        }
    }

    /// RFC 7606 §8
    fn report_errors(&mut self, update: &Update, body: &[u8]) {
        if update.errors.is_empty() {
            return;
        }
        self.record.update_errors += 1;
        let malformed = MalformedUpdate {
            errors: update.errors.clone(),
            prefixes: update.announced().chain(update.withdrawn()).collect(),
            body: Bytes::copy_from_slice(body),
        };
        self.events
            .push_back(Event::MalformedUpdate(Box::new(malformed)));
    }

    /// A route that is of no use to us takes the place of what was announced before, and so what was
    /// before is gone.
    fn leave_out(&mut self, update: &mut Update, counter: fn(&mut FamilyRecord) -> &mut u64) {
        for prefix in update.announced() {
            *counter(self.family_record(Family::of(&prefix))) += 1;
        }
        withdraw_what_is_announced(update);
    }

    fn count(&mut self, update: &Update) {
        for prefix in update.announced() {
            self.family_record(Family::of(&prefix)).received += 1;
        }
    }

    fn keep(&mut self, update: &Update) {
        let ReceivedRoutes::Kept(limit) = self.config.received_routes else {
            return;
        };
        // What is announced in the same message is not withdrawn (RFC 4271 §4.3).
        for (prefix, path_id) in update.withdrawn_paths() {
            self.adj_rib_in.withdraw(prefix, path_id);
        }
        let announced = update.announced_paths();
        self.adj_rib_in
            .announce(limit, announced, &update.attributes);
    }

    /// The limit that is exceeded, if one is.
    fn limit(&mut self, update: &Update) -> Option<(Family, NonZeroU32)> {
        let limits = &self.config.prefix_limits;
        for (prefix, path_id) in update.withdrawn_paths() {
            self.limited.withdraw(prefix, path_id);
        }
        for (prefix, path_id) in update.announced_paths() {
            let family = Family::of(&prefix);
            match self.limited.announce(limits, prefix, path_id) {
                None => {}
                Some(Reached::Near { count, limit }) => {
                    self.events.push_back(Event::PrefixLimitNear {
                        family,
                        count,
                        limit,
                    });
                }
                Some(Reached::Exceeded { limit }) => return Some((family, limit)),
            }
        }
        None
    }

    /// RFC 4486 §4: Cease/1, and Idle for as long as was configured. That is long: a neighbor that
    /// would keep our routes is not to (RFC 8538 §5.1).
    pub(super) fn too_many_prefixes(&mut self, now: Instant, family: Family, limit: NonZeroU32) {
        let cause = self.end_all(&prefix_limit::exceeded(family, limit));
        self.record.connect_retry_counter += 1;
        self.abort_connect();
        self.connect_retry = None;
        self.over_limit = Some(family);
        self.idle_hold = self.config.prefix_limits.restart.map(|time| now + time);
        self.settle(now, cause);
    }

    /// What comes in is treated otherwise from here on. Where that takes routes that have gone by,
    /// the neighbor is asked for them once more.
    pub(super) fn import_anew(&mut self, now: Instant, before: &SessionConfig) {
        let (kept_before, kept) = (before.received_routes, self.config.received_routes);
        let begins_to_keep = match (kept_before, kept) {
            (ReceivedRoutes::Kept(_), ReceivedRoutes::Kept(_)) => false,
            (ReceivedRoutes::Kept(_), _) => {
                self.adj_rib_in.clear();
                false
            }
            (_, kept) => matches!(kept, ReceivedRoutes::Kept(_)),
        };
        let has_more_room = self.keep_within(kept_before);
        let limits_before = &before.prefix_limits.families;
        let limits = &self.config.prefix_limits.families;
        let newly_limited =
            |family| limits.contains_key(family) && !limits_before.contains_key(family);
        let families: Vec<Family> = self
            .config
            .families
            .iter()
            .filter(|family| {
                let is_partial = self.adj_rib_in.held(**family).not_kept > 0;
                begins_to_keep || has_more_room && is_partial || newly_limited(family)
            })
            .copied()
            .collect();
        for family in families {
            match self.request_refresh(now, family) {
                Ok(()) => self.adj_rib_in.forget_not_kept(family),
                // What it has said is not known, and that is all.
                Err(RefreshError::NotOffered) => self.limited.miss(family),
                Err(_) => {}
            }
        }
        if before.prefix_limits == self.config.prefix_limits {
            return;
        }
        if self.over_limit.is_some() {
            return self.connect(now, Cause::Start);
        }
        for (family, reached) in self.limited.limit_anew(&self.config.prefix_limits) {
            match reached {
                Reached::Near { count, limit } => self.warn_of_limit(family, count, limit),
                Reached::Exceeded { limit } => {
                    return self.too_many_prefixes(now, family, limit);
                }
            }
        }
    }

    /// Where routes are kept on, lets go of those that there is no room for any more. Whether there
    /// is room for more than before.
    fn keep_within(&mut self, before: ReceivedRoutes) -> bool {
        let (ReceivedRoutes::Kept(before), ReceivedRoutes::Kept(limit)) =
            (before, self.config.received_routes)
        else {
            return false;
        };
        self.adj_rib_in.trim(limit);
        limit.routes > before.routes || limit.attribute_octets > before.attribute_octets
    }

    fn warn_of_limit(&mut self, family: Family, count: u32, limit: NonZeroU32) {
        self.events.push_back(Event::PrefixLimitNear {
            family,
            count,
            limit,
        });
    }

    fn family_record(&mut self, family: Family) -> &mut FamilyRecord {
        self.record.families.entry(family).or_default()
    }
}

/// Leaves out what is said of families that were not agreed upon (RFC 4760 §8). True if there was
/// anything.
fn ignore_families(update: &mut Update, is_ignored: impl Fn(Family) -> bool) -> bool {
    let before = (update.attributes.len(), prefix_count(update));
    if is_ignored(Family::IPV4_UNICAST) {
        update.withdrawn_routes.clear();
        update.withdrawn_path_ids = PathIds::default();
        update.nlri.clear();
        update.nlri_path_ids = PathIds::default();
    }
    update.attributes.retain(|attribute| match attribute {
        Attribute::MpReach(reach) => !is_ignored(reach.nlri.family()),
        Attribute::MpUnreach(unreach) => !is_ignored(unreach.withdrawn_routes.family()),
        _ => true,
    });
    before != (update.attributes.len(), prefix_count(update))
}

/// How many prefixes it names, whatever it says of them.
fn prefix_count(update: &Update) -> usize {
    let multiprotocol = update.attributes.iter().map(|attribute| match attribute {
        Attribute::MpReach(reach) => reach.nlri.len(),
        Attribute::MpUnreach(unreach) => unreach.withdrawn_routes.len(),
        _ => 0,
    });
    update.withdrawn_routes.len() + update.nlri.len() + multiprotocol.sum::<usize>()
}

/// RFC 4271 §6.3, RFC 7606 §7.2: the path of an external neighbor's route begins with its AS.
fn demand_first_as(update: &mut Update, config: &SessionConfig, agreed: &Negotiated) {
    let external = agreed.remote_as != config.local_as;
    if !config.enforce_first_as || !external || update.announced().next().is_none() {
        return;
    }
    if as_path(update).and_then(AsPath::leftmost) != Some(agreed.remote_as.value()) {
        update.errors.push(AttributeError {
            code: type_code::AS_PATH,
            action: AttributeAction::TreatAsWithdraw,
        });
    }
}

fn as_path(update: &Update) -> Option<&AsPath> {
    update
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            Attribute::AsPath(path) => Some(path),
            _ => None,
        })
}

/// Makes a withdrawal of it, which has no attributes of its own.
fn withdraw_what_is_announced(update: &mut Update) {
    update.withdrawn_routes.append(&mut update.nlri);
    let path_ids = [
        std::mem::take(&mut update.withdrawn_path_ids),
        std::mem::take(&mut update.nlri_path_ids),
    ];
    update.withdrawn_path_ids = path_ids.concat().into();
    let withdrawals = std::mem::take(&mut update.attributes).into_iter();
    let withdrawals = withdrawals.filter_map(|attribute| match attribute {
        Attribute::MpReach(reach) => {
            let unreach = MpUnreach {
                withdrawn_routes: reach.nlri,
                path_ids: reach.path_ids,
            };
            Some(Attribute::MpUnreach(Box::new(unreach)))
        }
        unreach @ Attribute::MpUnreach(_) => Some(unreach),
        _ => None,
    });
    update.attributes = withdrawals.collect();
}
