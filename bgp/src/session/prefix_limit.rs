//! How many prefixes a neighbor may announce (RFC 4486 §4), and how many it has.
//!
//! A limit needs to know the prefixes, kept or not: a prefix that is announced twice counts once.
//! So as many are remembered as the limit allows, and none where there is no limit.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use crate::types::Family;
use crate::wire::{Notification, code, subcode};

/// How many prefixes the neighbor may announce, and what happens when it announces more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixLimits {
    /// The most prefixes of each family; any number of a family that is not named.
    pub families: BTreeMap<Family, NonZeroU32>,
    /// From how much of a limit on, in percent, an [`Event::PrefixLimitNear`] warns of it.
    ///
    /// [`Event::PrefixLimitNear`]: super::Event::PrefixLimitNear
    pub warning_percent: u8,
    /// How long after Cease/1 the session starts again; `None`: not before somebody has it.
    pub restart: Option<Duration>,
}

impl Default for PrefixLimits {
    /// Any number; with limits, a warning at 75 %, and no restart.
    fn default() -> Self {
        Self {
            families: BTreeMap::new(),
            warning_percent: 75,
            restart: None,
        }
    }
}

/// A limit, and how much of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The share that warrants a warning, for the first time.
    Near { count: u32, limit: NonZeroU32 },
    /// More than it allows.
    Exceeded { limit: NonZeroU32 },
}

/// The prefixes of families that are limited.
#[derive(Debug, Default)]
pub(super) struct LimitedPrefixes {
    known: BTreeMap<Family, BTreeSet<(IpNet, Option<u32>)>>,
    warned: BTreeSet<Family>,
    /// Of these there may be more than are known.
    missed: BTreeSet<Family>,
}

impl LimitedPrefixes {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A prefix can be reached; each path of it counts. Tells what that means for its family's limit.
    pub(super) fn announce(
        &mut self,
        limits: &PrefixLimits,
        prefix: IpNet,
        path_id: Option<u32>,
    ) -> Option<Reached> {
        let family = Family::of(&prefix);
        let limit = *limits.families.get(&family)?;
        let known = self.known.entry(family).or_default();
        if !known.insert((prefix, path_id)) {
            return None;
        }
        self.check(limits, family, limit)
    }

    /// A prefix cannot be reached any more by this path.
    pub(super) fn withdraw(&mut self, prefix: IpNet, path_id: Option<u32>) {
        if let Some(known) = self.known.get_mut(&Family::of(&prefix)) {
            known.remove(&(prefix, path_id));
        }
    }

    /// A family is limited from here on, and what was announced before will not be said again.
    pub(super) fn miss(&mut self, family: Family) {
        self.missed.insert(family);
    }

    /// Other limits: what is known means for each.
    pub(super) fn limit_anew(&mut self, limits: &PrefixLimits) -> Vec<(Family, Reached)> {
        let is_limited = |family: &Family| limits.families.contains_key(family);
        self.known.retain(|family, _| is_limited(family));
        self.missed.retain(is_limited);
        self.warned.clear();
        let families = limits.families.iter();
        let reached =
            families.map(|(family, limit)| Some((*family, self.check(limits, *family, *limit)?)));
        reached.flatten().collect()
    }

    /// How many there are; `None` where that is not known.
    pub(super) fn count(&self, limits: &PrefixLimits, family: Family) -> Option<u32> {
        limits.families.get(&family)?;
        (!self.missed.contains(&family)).then(|| self.known(family))
    }

    fn known(&self, family: Family) -> u32 {
        let known = self.known.get(&family).map_or(0, BTreeSet::len);
        u32::try_from(known).unwrap_or(u32::MAX)
    }

    fn check(
        &mut self,
        limits: &PrefixLimits,
        family: Family,
        limit: NonZeroU32,
    ) -> Option<Reached> {
        let count = self.known(family);
        if count > limit.get() {
            return Some(Reached::Exceeded { limit });
        }
        let near = u64::from(limit.get()) * u64::from(limits.warning_percent);
        let is_near = u64::from(count) * 100 >= near && limits.warning_percent < 100;
        (is_near && self.warned.insert(family)).then_some(Reached::Near { count, limit })
    }
}

/// Cease/1, with the family and its limit (RFC 4486 §4).
pub(super) fn exceeded(family: Family, limit: NonZeroU32) -> Notification {
    let [afi_high, afi_low] = family.afi.to_be_bytes();
    let [a, b, c, d] = limit.get().to_be_bytes();
    let data = [afi_high, afi_low, family.safi, a, b, c, d];
    Notification::with_data(code::CEASE, subcode::cease::MAXIMUM_PREFIXES, &data)
}
