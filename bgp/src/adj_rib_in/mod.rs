//! The Adj-RIB-In of one session (RFC 4271 §3.2): the routes that the neighbor has announced, where
//! somebody wants to see them.
//!
//! It holds no more than its limit, whatever the neighbor sends: what does not fit is counted and
//! thrown away. Equal path attributes are held once, as octets, and read when somebody looks.
//! Nothing is chosen among the routes, and none is handed on.

use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use ipnet::IpNet;

use crate::types::{Community, Family};
use crate::wire::{Attribute, MpReach, Prefixes, WireContext, decode_attributes};

/// How much an Adj-RIB-In may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdjRibInLimit {
    /// Routes of all families together; each path of a prefix is one (RFC 7911 §2).
    pub routes: usize,
    /// Octets of path attributes, as on the wire; those that routes share count once.
    pub attribute_octets: usize,
}

impl Default for AdjRibInLimit {
    /// 100,000 routes and 16 MiB of path attributes.
    fn default() -> Self {
        Self {
            routes: 100_000,
            attribute_octets: 16 << 20,
        }
    }
}

/// A route that a neighbor has announced and not withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// What can be reached.
    pub prefix: IpNet,
    /// Which of several paths, where the neighbor tells them apart (RFC 7911 §3).
    pub path_id: Option<u32>,
    /// How.
    pub attributes: ReceivedAttributes,
    /// It is of a session that has ended, or from before a refresh, and has not been announced
    /// since.
    pub stale: bool,
    /// It is stale, and the neighbor has been away for longer than its restart time: a route of last
    /// resort, with LLGR_STALE among its communities (RFC 9494 §4.2).
    pub long_lived_stale: bool,
}

/// Path attributes as they are held. To clone them is cheap, and to read them is for whoever looks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceivedAttributes(Arc<[u8]>);

/// How attributes are held, whatever was agreed upon with the neighbor.
const HELD: WireContext = WireContext {
    four_octet_as: true,
    internal: true,
    path_ids_v4: false,
    path_ids_v6: false,
};

impl ReceivedAttributes {
    /// MP_REACH_NLRI stands for its next hop, without prefixes; MP_UNREACH_NLRI is left out.
    fn new(attributes: &[Attribute]) -> Self {
        let mut octets = BytesMut::new();
        for attribute in attributes {
            match attribute {
                Attribute::MpUnreach(_) => {}
                Attribute::MpReach(reach) => {
                    let nlri = match reach.nlri {
                        Prefixes::V4(_) => Prefixes::V4(Vec::new()),
                        Prefixes::V6(_) => Prefixes::V6(Vec::new()),
                    };
                    let next_hop = reach.next_hop;
                    Attribute::MpReach(Box::new(MpReach::new(next_hop, nlri)))
                        .encode(HELD, &mut octets);
                }
                attribute => attribute.encode(HELD, &mut octets),
            }
        }
        Self(octets.as_ref().into())
    }

    /// The attributes, in the order in which they came. Next hops of an MP_REACH_NLRI are in one
    /// without prefixes.
    #[must_use]
    pub fn decode(&self) -> Vec<Attribute> {
        decode_attributes(&self.0, HELD)
    }

    /// The same with LLGR_STALE, which is there once.
    fn with_llgr_stale(&self) -> Self {
        let mut attributes = self.decode();
        let communities = attributes.iter_mut().find_map(communities_mut);
        match communities {
            Some(communities) if communities.contains(&Community::LLGR_STALE) => {}
            Some(communities) => communities.push(Community::LLGR_STALE),
            None => attributes.push(Attribute::Communities(vec![Community::LLGR_STALE])),
        }
        Self::new(&attributes)
    }

    fn has_no_llgr(&self) -> bool {
        let mut attributes = self.decode();
        let mut communities = attributes.iter_mut().filter_map(communities_mut);
        communities.any(|communities| communities.contains(&Community::NO_LLGR))
    }

    /// How many octets they take.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.0.len()
    }
}

const fn communities_mut(attribute: &mut Attribute) -> Option<&mut Vec<Community>> {
    match attribute {
        Attribute::Communities(communities) => Some(communities),
        _ => None,
    }
}

impl fmt::Debug for ReceivedAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.decode()).finish()
    }
}

/// How much of one family there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) routes: usize,
    pub(crate) prefixes: usize,
    pub(crate) stale: usize,
    pub(crate) long_lived_stale: usize,
    pub(crate) not_kept: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct AdjRibIn {
    families: BTreeMap<Family, FamilyRoutes>,
    /// Each that a route has, once, and how many have it. Clones that somebody else has do not count.
    attributes: BTreeMap<ReceivedAttributes, usize>,
    attribute_octets: usize,
}

#[derive(Debug, Default)]
struct FamilyRoutes {
    routes: BTreeMap<(IpNet, Option<u32>), Entry>,
    held: Held,
}

#[derive(Debug)]
struct Entry {
    attributes: ReceivedAttributes,
    age: Age,
}

/// RFC 4724 §4.2, RFC 9494 §4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Fresh,
    Stale,
    LongLivedStale,
}

impl AdjRibIn {
    /// Takes routes that have these attributes in common, in the place of what there was for the
    /// same prefix and path. What does not fit is counted, and what there was is gone all the same,
    /// for it is not so any more.
    pub(crate) fn announce(
        &mut self,
        limit: AdjRibInLimit,
        routes: impl Iterator<Item = (IpNet, Option<u32>)>,
        attributes: &[Attribute],
    ) {
        // Held for as long as routes are put in and out.
        let attributes = self.share(limit, ReceivedAttributes::new(attributes));
        for (prefix, path_id) in routes {
            self.withdraw(prefix, path_id);
            let is_full = self.len() >= limit.routes;
            let family = self.families.entry(Family::of(&prefix)).or_default();
            match &attributes {
                Some(attributes) if !is_full => {
                    family.insert((prefix, path_id), attributes);
                    if let Some(uses) = self.attributes.get_mut(attributes) {
                        *uses += 1;
                    }
                }
                _ => family.held.not_kept += 1,
            }
        }
        if let Some(attributes) = attributes {
            self.release(&attributes);
        }
    }

    /// Forgets a route; nothing, if there is none (RFC 7606 §2).
    pub(crate) fn withdraw(&mut self, prefix: IpNet, path_id: Option<u32>) {
        let family = self.families.get_mut(&Family::of(&prefix));
        if let Some(entry) = family.and_then(|family| family.remove((prefix, path_id))) {
            self.release(&entry.attributes);
        }
    }

    /// Marks every route of a family; one that is announced anew is not marked any more.
    pub(crate) fn mark_stale(&mut self, family: Family) {
        if let Some(family) = self.families.get_mut(&family) {
            for entry in family.routes.values_mut() {
                entry.age = entry.age.max(Age::Stale);
            }
            family.held.stale = family.routes.len();
        }
    }

    /// Marks what is stale of a family as long-lived, and forgets what is not to be that.
    pub(crate) fn mark_long_lived_stale(&mut self, family: Family) {
        let sets = self.attributes.keys();
        let unwanted: BTreeSet<_> = sets.filter(|set| set.has_no_llgr()).cloned().collect();
        self.withdraw_all(family, |entry| {
            entry.age >= Age::Stale && unwanted.contains(&entry.attributes)
        });
        if let Some(family) = self.families.get_mut(&family) {
            let entries = family.routes.values_mut();
            for entry in entries.filter(|entry| entry.age == Age::Stale) {
                entry.age = Age::LongLivedStale;
            }
            family.held.long_lived_stale = family.held.stale;
        }
    }

    /// Forgets every route of a family that is still marked, and says how many these were.
    pub(crate) fn sweep_stale(&mut self, family: Family) -> usize {
        self.withdraw_all(family, |entry| entry.age >= Age::Stale)
    }

    fn withdraw_all(&mut self, family: Family, is_over: impl Fn(&Entry) -> bool) -> usize {
        let routes = self.families.get(&family).map(|family| &family.routes);
        let routes = routes.into_iter().flatten();
        let over = routes.filter(|(_, entry)| is_over(entry));
        let over: Vec<_> = over.map(|(key, _)| *key).collect();
        for (prefix, path_id) in &over {
            self.withdraw(*prefix, *path_id);
        }
        over.len()
    }

    /// Lets go of the last routes, until what is left is within the limit.
    pub(crate) fn trim(&mut self, limit: AdjRibInLimit) {
        while self.len() > limit.routes || self.attribute_octets > limit.attribute_octets {
            let last = |family: &FamilyRoutes| family.routes.keys().next_back().copied();
            let Some((prefix, path_id)) = self.families.values().rev().find_map(last) else {
                return;
            };
            self.withdraw(prefix, path_id);
            let family = self.families.entry(Family::of(&prefix)).or_default();
            family.held.not_kept += 1;
        }
    }

    /// All routes of a family will be announced once more: what does not fit then is counted anew.
    pub(crate) fn forget_not_kept(&mut self, family: Family) {
        if let Some(family) = self.families.get_mut(&family) {
            family.held.not_kept = 0;
        }
    }

    /// The families of which there is, or was, something.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.families.keys().copied().collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How much of a family there is.
    pub(crate) fn held(&self, family: Family) -> Held {
        self.families
            .get(&family)
            .map_or_else(Held::default, |family| family.held)
    }

    /// Every route, by family and prefix.
    pub(crate) fn routes(&self) -> Vec<ReceivedRoute> {
        let mut marked = BTreeMap::new();
        let mut shown = |entry: &Entry| match entry.age {
            Age::Fresh | Age::Stale => entry.attributes.clone(),
            Age::LongLivedStale => marked
                .entry(entry.attributes.clone())
                .or_insert_with_key(ReceivedAttributes::with_llgr_stale)
                .clone(),
        };
        let entries = self.families.values().flat_map(|family| &family.routes);
        entries
            .map(|((prefix, path_id), entry)| ReceivedRoute {
                prefix: *prefix,
                path_id: *path_id,
                attributes: shown(entry),
                stale: entry.age >= Age::Stale,
                long_lived_stale: entry.age == Age::LongLivedStale,
            })
            .collect()
    }

    fn len(&self) -> usize {
        self.families
            .values()
            .map(|family| family.routes.len())
            .sum()
    }

    /// The one copy of these attributes, to be [released](Self::release) once; `None` when there is no
    /// room for them.
    fn share(
        &mut self,
        limit: AdjRibInLimit,
        attributes: ReceivedAttributes,
    ) -> Option<ReceivedAttributes> {
        match self.attributes.entry(attributes) {
            btree_map::Entry::Occupied(mut known) => {
                *known.get_mut() += 1;
                Some(known.key().clone())
            }
            btree_map::Entry::Vacant(unknown) => {
                let octets = self.attribute_octets + unknown.key().octets();
                if octets > limit.attribute_octets {
                    return None;
                }
                self.attribute_octets = octets;
                let attributes = unknown.key().clone();
                unknown.insert(1);
                Some(attributes)
            }
        }
    }

    /// One use less of attributes, which are forgotten with the last.
    fn release(&mut self, attributes: &ReceivedAttributes) {
        let Some(uses) = self.attributes.get_mut(attributes) else {
            return;
        };
        *uses -= 1;
        if *uses == 0 {
            self.attributes.remove(attributes);
            self.attribute_octets -= attributes.octets();
        }
    }
}

impl FamilyRoutes {
    fn insert(&mut self, key: (IpNet, Option<u32>), attributes: &ReceivedAttributes) {
        if !self.has_path(key.0) {
            self.held.prefixes += 1;
        }
        let attributes = attributes.clone();
        let age = Age::Fresh;
        self.routes.insert(key, Entry { attributes, age });
        self.held.routes = self.routes.len();
    }

    fn remove(&mut self, key: (IpNet, Option<u32>)) -> Option<Entry> {
        let entry = self.routes.remove(&key)?;
        if !self.has_path(key.0) {
            self.held.prefixes -= 1;
        }
        if entry.age >= Age::Stale {
            self.held.stale -= 1;
        }
        if entry.age == Age::LongLivedStale {
            self.held.long_lived_stale -= 1;
        }
        self.held.routes = self.routes.len();
        Some(entry)
    }

    fn has_path(&self, prefix: IpNet) -> bool {
        let paths = (prefix, None)..=(prefix, Some(u32::MAX));
        self.routes.range(paths).next().is_some()
    }
}

#[cfg(test)]
mod tests;
