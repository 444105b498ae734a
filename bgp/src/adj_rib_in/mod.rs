//! The Adj-RIB-In of one session (RFC 4271 §3.2): the routes that the neighbor has announced, where
//! somebody wants to see them.
//!
//! It holds no more than its limit, whatever the neighbor sends: what does not fit is counted and
//! thrown away. Equal path attributes are held once, as octets, and read when somebody looks.
//! Nothing is chosen among the routes, and none is handed on.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use ipnet::IpNet;

use crate::types::Family;
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

    /// How many octets they take.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.0.len()
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
    stale: bool,
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
            family
                .routes
                .values_mut()
                .for_each(|entry| entry.stale = true);
            family.held.stale = family.routes.len();
        }
    }

    /// Forgets every route of a family that is still marked, and says how many these were.
    pub(crate) fn sweep_stale(&mut self, family: Family) -> usize {
        let routes = self.families.get(&family).map(|family| &family.routes);
        let stale = routes
            .into_iter()
            .flatten()
            .filter(|(_, entry)| entry.stale);
        let stale: Vec<_> = stale.map(|(key, _)| *key).collect();
        for (prefix, path_id) in &stale {
            self.withdraw(*prefix, *path_id);
        }
        stale.len()
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
        let entries = self.families.values().flat_map(|family| &family.routes);
        entries
            .map(|((prefix, path_id), entry)| ReceivedRoute {
                prefix: *prefix,
                path_id: *path_id,
                attributes: entry.attributes.clone(),
                stale: entry.stale,
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
        let stale = false;
        self.routes.insert(key, Entry { attributes, stale });
        self.held.routes = self.routes.len();
    }

    fn remove(&mut self, key: (IpNet, Option<u32>)) -> Option<Entry> {
        let entry = self.routes.remove(&key)?;
        if !self.has_path(key.0) {
            self.held.prefixes -= 1;
        }
        if entry.stale {
            self.held.stale -= 1;
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
