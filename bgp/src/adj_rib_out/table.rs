//! Routes that one or several sessions announce, and how far each session is.
//!
//! Every change gets a version, and stands in one of two sequences: of what is announced and of
//! what is withdrawn, each by version. A session is a position in both. So it costs next to nothing
//! that it lags: a prefix that changes a hundred times meanwhile is one entry, at its latest
//! version.
//!
//! What is encoded for one session is kept for the others that write in the same dialect and are at
//! the same position, until all of them have had it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::{BufMut, Bytes, BytesMut};
use ipnet::IpNet;

use super::dialect::{
    Dialect, encode_attributes, put_announcement, put_end_of_rib, put_withdrawal,
};
use super::{Progress, Unsendable};
use crate::route::{RouteAttributes, Routes};
use crate::types::Family;
use crate::wire::{prefix_length, put_prefix};

pub(super) const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

/// Routes that sessions announce. Clones are the same table: give one to every session that should
/// announce the same, and each change is encoded once for all of them.
///
/// After a change, have the drivers of its sessions call
/// [`poll_transmit`](crate::Session::poll_transmit).
///
/// ```
/// use std::sync::Arc;
/// use herald_bgp::{RouteAttributes, Table};
///
/// let table = Table::default();
/// table.announce("192.0.2.150/32".parse()?, Arc::new(RouteAttributes::default()));
/// assert_eq!(table.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table(Arc<Mutex<Inner>>);

impl Table {
    /// Replaces all routes. Only what differs is sent.
    pub fn set_routes(&self, routes: &Routes) {
        self.lock().set_routes(routes);
    }

    /// Adds or changes one route; whether that is a change.
    pub fn announce(&self, prefix: IpNet, attributes: Arc<RouteAttributes>) -> bool {
        self.lock().announce_route(prefix, &attributes)
    }

    /// Removes one route; whether it was there.
    pub fn withdraw(&self, prefix: &IpNet) -> bool {
        self.lock().withdraw_route(prefix)
    }

    /// All routes. Whoever asks while another still has the answer, and nothing has changed, gets the
    /// same one.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        self.lock().routes()
    }

    /// How many routes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock()
            .families
            .iter()
            .map(|family| family.announced.len() - family.additional)
            .sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both are the same table.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked with the lock held has left every map in a state that can be read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a change was made, in changes; 0 is before all of them.
type Version = u64;

/// A prefix and which of the paths to it: 0 is the one that everybody is told, the others go to
/// those who take several (RFC 7911).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) prefix: IpNet,
    pub(super) id: u8,
}

impl Path {
    const fn first(prefix: IpNet) -> Self {
        Self { prefix, id: 0 }
    }

    /// Each path of a route, with its attributes.
    fn all_of<'r>(
        prefix: &'r IpNet,
        route: &'r Arc<RouteAttributes>,
    ) -> impl Iterator<Item = (Self, &'r Arc<RouteAttributes>)> {
        let family = Family::of(prefix);
        let additional = (1..=u8::MAX).zip(&route.additional_paths);
        let additional = additional.filter(move |(_, path)| path.is_for(family));
        let ids = std::iter::once((0, route)).chain(additional);
        ids.map(|(id, attributes)| {
            (
                Self {
                    prefix: *prefix,
                    id,
                },
                attributes,
            )
        })
    }

    pub(super) const fn is_first(&self) -> bool {
        self.id == 0
    }

    pub(super) const fn family(&self) -> Family {
        Family::of(&self.prefix)
    }

    const fn family_index(&self) -> usize {
        matches!(self.prefix, IpNet::V6(_)) as usize
    }
}

/// What a neighbor has; `None` stands for attributes that are not known.
pub(super) type Held = BTreeMap<Path, Option<Arc<RouteAttributes>>>;

/// Who reads a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(u64);

#[derive(Debug, Default)]
pub(super) struct Inner {
    latest: Version,
    families: [FamilyTable; 2],
    readers: BTreeMap<ReaderId, Reader>,
    next_reader: u64,
    encodings: Vec<Encoding>,
    /// The routes as somebody has them, unless they have changed since.
    known: Weak<Routes>,
}

#[derive(Debug, Default)]
struct FamilyTable {
    entries: BTreeMap<Path, Entry>,
    announced: BTreeMap<Version, Path>,
    /// How many of those announced are not the first.
    additional: usize,
    /// What some reader has yet to withdraw.
    withdrawn: BTreeMap<Version, Path>,
}

#[derive(Debug)]
struct Entry {
    state: EntryState,
    version: Version,
    /// When the prefix was first announced, as far as any reader may still have it from then.
    since: Version,
}

#[derive(Debug)]
enum EntryState {
    Announced(Arc<RouteAttributes>),
    /// With what it was before, and when that came.
    Withdrawn {
        attributes: Arc<RouteAttributes>,
        version: Version,
    },
}

/// How far a session is, and what it has to say beyond the table's changes.
#[derive(Debug)]
struct Reader {
    dialect: Arc<Dialect>,
    /// By family: all changes up to these versions have been handed out.
    announced: [Version; 2],
    withdrawn: [Version; 2],
    extra: Extra,
    /// Families that the neighbor has asked for once more.
    refresh_due: BTreeSet<Family>,
    /// Routes that no message can hold, as they were in this version.
    unsendable: BTreeMap<Path, Version>,
    /// Families whose End-of-RIB is still to be sent.
    end_of_rib_due: BTreeSet<Family>,
}

/// What one session has to say alone: after a refresh, or a change of its dialect or its table.
#[derive(Debug, Default)]
struct Extra {
    withdrawals: BTreeSet<Path>,
    announcements: BTreeMap<(Family, Arc<RouteAttributes>), BTreeSet<Path>>,
}

/// What has been encoded in one dialect, by the position it goes on from.
#[derive(Debug)]
struct Encoding {
    dialect: Arc<Dialect>,
    announcements: [BTreeMap<Version, Segment>; 2],
    withdrawals: [BTreeMap<Version, Segment>; 2],
}

/// One message, which takes a reader from one position to another.
#[derive(Clone, Debug)]
struct Segment {
    to: Version,
    /// Only for who has had the announcements up to here: otherwise it withdraws what was not said.
    requires: Version,
    octets: Bytes,
}

/// A route as the caller gives it.
type Wanted<'a> = (&'a IpNet, &'a Arc<RouteAttributes>);

/// Changes.
impl Inner {
    fn set_routes(&mut self, routes: &Routes) {
        let (gone, mut changed) = self.difference(routes);
        for prefix in gone {
            self.withdraw_route(&prefix);
        }
        // What has the same attributes goes into the same messages.
        changed.sort_by(|(_, one), (_, other)| match Arc::ptr_eq(one, other) {
            true => std::cmp::Ordering::Equal,
            false => one.cmp(other),
        });
        let mut additional = Vec::new();
        for (prefix, attributes) in changed {
            additional.extend(self.announce_first(*prefix, attributes));
        }
        additional.sort_by_key(|(path, _)| path.id);
        for (path, attributes) in additional {
            self.announce(path, attributes);
        }
    }

    fn routes(&mut self) -> Arc<Routes> {
        if let Some(known) = self.known.upgrade() {
            return known;
        }
        let first = self.announced().filter(|(path, _)| path.is_first());
        let routes = first.map(|(path, attributes)| (path.prefix, Arc::clone(attributes)));
        let routes = Arc::new(routes.collect());
        self.known = Arc::downgrade(&routes);
        routes
    }

    fn announce_route(&mut self, prefix: IpNet, attributes: &Arc<RouteAttributes>) -> bool {
        if self.attributes(&Path::first(prefix)) == Some(attributes) {
            return false;
        }
        for (path, attributes) in self.announce_first(prefix, attributes) {
            self.announce(path, attributes);
        }
        true
    }

    /// Announces the first path and withdraws those that are no more; the others, to be announced.
    fn announce_first(
        &mut self,
        prefix: IpNet,
        attributes: &Arc<RouteAttributes>,
    ) -> Vec<(Path, Arc<RouteAttributes>)> {
        let first = Path::first(prefix);
        let before = self.attributes(&first).cloned();
        self.announce(first, Arc::clone(attributes));
        let has_others = |route: &Arc<RouteAttributes>| !route.additional_paths.is_empty();
        if !has_others(attributes) && !before.as_ref().is_some_and(has_others) {
            return Vec::new();
        }
        let paths = Path::all_of(&prefix, attributes).skip(1);
        let paths: Vec<_> = paths
            .map(|(path, attributes)| (path, Arc::clone(attributes)))
            .collect();
        for (former, _) in before.iter().flat_map(|route| Path::all_of(&prefix, route)) {
            if !former.is_first() && !paths.iter().any(|(path, _)| *path == former) {
                self.withdraw(&former);
            }
        }
        paths
    }

    fn withdraw_route(&mut self, prefix: &IpNet) -> bool {
        let first = Path::first(*prefix);
        let Some(route) = self.attributes(&first).cloned() else {
            return false;
        };
        for (path, _) in Path::all_of(prefix, &route) {
            self.withdraw(&path);
        }
        true
    }

    fn announce(&mut self, path: Path, attributes: Arc<RouteAttributes>) {
        self.known = Weak::new();
        let index = path.family_index();
        let Some(family) = self.families.get_mut(index) else {
            return;
        };
        let next = self.latest + 1;
        let Some(entry) = family.entries.get_mut(&path) else {
            let state = EntryState::Announced(attributes);
            family.entries.insert(
                path,
                Entry {
                    state,
                    version: next,
                    since: next,
                },
            );
            family.announced.insert(next, path);
            family.additional += usize::from(!path.is_first());
            self.latest = next;
            return;
        };
        let before = entry.version;
        match &entry.state {
            EntryState::Announced(same) if *same == attributes => return,
            EntryState::Announced(_) => {
                family.announced.remove(&before);
                entry.version = next;
                self.forget_announcement(index, before);
            }
            EntryState::Withdrawn {
                attributes: former,
                version,
            } => {
                family.withdrawn.remove(&before);
                let positions = self
                    .readers
                    .values()
                    .filter_map(|reader| reader.withdrawn.get(index));
                let has_been_said = positions.clone().any(|position| *position >= before);
                let is_still_to_be_said = positions.clone().any(|position| *position < before);
                // A change of mind that nobody has heard of costs nothing.
                entry.version = if *former == attributes && !has_been_said {
                    *version
                } else {
                    next
                };
                entry.since = if is_still_to_be_said {
                    entry.since
                } else {
                    next
                };
                let version = entry.version;
                self.forget_withdrawal(index, before);
                // A session that had heard of it, and is gone, may have left messages without it.
                self.forget_announcement(index, version);
            }
        }
        self.finish_announcement(index, path, attributes);
    }

    fn finish_announcement(&mut self, index: usize, path: Path, attributes: Arc<RouteAttributes>) {
        let Some(family) = self.families.get_mut(index) else {
            return;
        };
        let Some(entry) = family.entries.get_mut(&path) else {
            return;
        };
        let was_withdrawn = matches!(entry.state, EntryState::Withdrawn { .. });
        family.additional += usize::from(was_withdrawn && !path.is_first());
        entry.state = EntryState::Announced(attributes);
        family.announced.insert(entry.version, path);
        self.latest = self.latest.max(entry.version);
    }

    fn withdraw(&mut self, path: &Path) {
        self.known = Weak::new();
        let index = path.family_index();
        let Some(family) = self.families.get_mut(index) else {
            return;
        };
        let Some(entry) = family.entries.get_mut(path) else {
            return;
        };
        let EntryState::Announced(attributes) = &entry.state else {
            return;
        };
        let before = entry.version;
        family.announced.remove(&before);
        family.additional -= usize::from(!path.is_first());
        if self.readers.is_empty() {
            family.entries.remove(path);
            return;
        }
        self.latest += 1;
        entry.state = EntryState::Withdrawn {
            attributes: Arc::clone(attributes),
            version: before,
        };
        entry.version = self.latest;
        family.withdrawn.insert(self.latest, *path);
        self.forget_announcement(index, before);
    }

    fn attributes(&self, path: &Path) -> Option<&Arc<RouteAttributes>> {
        match &self
            .families
            .get(path.family_index())?
            .entries
            .get(path)?
            .state
        {
            EntryState::Announced(attributes) => Some(attributes),
            EntryState::Withdrawn { .. } => None,
        }
    }

    /// What is announced and not wanted, and what is wanted and not announced so. Both are in order: one walk beside each other finds it.
    fn difference<'a>(&self, routes: &'a Routes) -> (Vec<IpNet>, Vec<Wanted<'a>>) {
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        let mut wanted = routes.iter().peekable();
        for (path, attributes) in self.announced().filter(|(path, _)| path.is_first()) {
            while let Some(new) = wanted.next_if(|(prefix, _)| **prefix < path.prefix) {
                changed.push(new);
            }
            match wanted.next_if(|(prefix, _)| **prefix == path.prefix) {
                Some((_, same)) if same == attributes => {}
                Some(other) => changed.push(other),
                None => gone.push(path.prefix),
            }
        }
        changed.extend(wanted);
        (gone, changed)
    }

    fn announced(&self) -> impl Iterator<Item = (Path, &Arc<RouteAttributes>)> {
        let entries = self.families.iter().flat_map(|family| &family.entries);
        entries.filter_map(|(path, entry)| match &entry.state {
            EntryState::Announced(attributes) => Some((*path, attributes)),
            EntryState::Withdrawn { .. } => None,
        })
    }

    /// A message that says this is no longer right.
    fn forget_announcement(&mut self, index: usize, version: Version) {
        for encoding in &mut self.encodings {
            forget(encoding.announcements.get_mut(index), version);
        }
    }

    fn forget_withdrawal(&mut self, index: usize, version: Version) {
        for encoding in &mut self.encodings {
            forget(encoding.withdrawals.get_mut(index), version);
        }
    }
}

fn forget(segments: Option<&mut BTreeMap<Version, Segment>>, version: Version) {
    if let Some(segments) = segments {
        // Segments may overlap: sessions that lag take other steps than those that keep up.
        segments.retain(|from, segment| version <= *from || segment.to < version);
    }
}

/// Readers.
impl Inner {
    /// A session is up, whose neighbor has nothing.
    pub(super) fn begin(&mut self, dialect: Dialect) -> ReaderId {
        let end_of_rib_due = dialect.families.iter().copied().collect();
        self.add_reader(dialect, 0, end_of_rib_due)
    }

    /// A session that is up changes over to this table: its neighbor has `held`, and should have
    /// what is here.
    pub(super) fn take_over(
        &mut self,
        dialect: Dialect,
        held: &Held,
        end_of_rib_due: BTreeSet<Family>,
    ) -> ReaderId {
        let mut extra = Extra::default();
        let says = |path: &Path| dialect.speaks(path.family()) && dialect.says(path);
        for (path, attributes) in self.announced().filter(|(path, _)| says(path)) {
            if held
                .get(&path)
                .is_none_or(|held| held.as_ref() != Some(attributes))
            {
                extra.announce(path, attributes);
            }
        }
        let stays = |path: &&Path| says(path) && self.attributes(path).is_some();
        extra
            .withdrawals
            .extend(held.keys().filter(|path| !stays(path)));
        let id = self.add_reader(dialect, self.latest, end_of_rib_due);
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.extra = extra;
        }
        id
    }

    fn add_reader(
        &mut self,
        dialect: Dialect,
        announced: Version,
        end_of_rib_due: BTreeSet<Family>,
    ) -> ReaderId {
        let id = ReaderId(self.next_reader);
        self.next_reader += 1;
        let reader = Reader {
            // Of a family that cannot be said, nothing has been.
            announced: FAMILIES.map(|family| if dialect.speaks(family) { announced } else { 0 }),
            withdrawn: [self.latest; 2],
            extra: Extra::default(),
            refresh_due: BTreeSet::new(),
            unsendable: BTreeMap::new(),
            end_of_rib_due,
            dialect: self.share(dialect),
        };
        self.readers.insert(id, reader);
        id
    }

    /// The one copy of a dialect, beside which its encodings are kept.
    fn share(&mut self, dialect: Dialect) -> Arc<Dialect> {
        if let Some(encoding) = self
            .encodings
            .iter()
            .find(|encoding| *encoding.dialect == dialect)
        {
            return Arc::clone(&encoding.dialect);
        }
        let dialect = Arc::new(dialect);
        self.encodings.push(Encoding {
            dialect: Arc::clone(&dialect),
            announcements: Default::default(),
            withdrawals: Default::default(),
        });
        dialect
    }

    /// The session is down, or reads another table.
    pub(super) fn end(&mut self, id: ReaderId) {
        self.readers.remove(&id);
        self.forget_what_all_have();
    }

    /// The neighbor asks for a family once more (RFC 2918 §4). However often it asks before it gets
    /// the next message, the table is gone through once.
    pub(super) fn refresh(&mut self, id: ReaderId, family: Family) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.refresh_due.insert(family);
        }
    }

    fn take_up_refresh(&mut self, id: ReaderId) {
        while let Some(reader) = self.readers.get_mut(&id)
            && let Some(family) = reader.refresh_due.pop_first()
        {
            self.announce_anew(id, family);
        }
    }

    fn announce_anew(&mut self, id: ReaderId, family: Family) {
        let Some(reader) = self.readers.get(&id) else {
            return;
        };
        let position = FAMILIES.iter().position(|known| *known == family);
        let handed_out = position
            .and_then(|index| reader.announced.get(index))
            .copied()
            .unwrap_or_default();
        let mut extra = Extra::default();
        for (path, attributes) in self.announced() {
            let is_out = self.entry(&path).is_some_and(|entry| {
                entry.version <= handed_out && !reader.is_unsendable(&path, entry)
            });
            if path.family() == family && is_out && reader.dialect.says(&path) {
                extra.announce(path, attributes);
            }
        }
        if let Some(reader) = self.readers.get_mut(&id) {
            for (key, paths) in extra.announcements {
                let announcements = &mut reader.extra.announcements;
                announcements.entry(key).or_default().extend(paths);
            }
        }
    }

    /// What the neighbor has once everything that was handed out has reached it; `None` where it is
    /// not known with which attributes.
    pub(super) fn held(&self, id: ReaderId) -> Held {
        let Some(reader) = self.readers.get(&id) else {
            return BTreeMap::new();
        };
        let mut held = BTreeMap::new();
        for (index, family) in self.families.iter().enumerate() {
            let announced = reader.announced.get(index).copied().unwrap_or_default();
            let withdrawn = reader.withdrawn.get(index).copied().unwrap_or_default();
            let entries = family.entries.iter();
            for (path, entry) in entries.filter(|(path, _)| reader.dialect.says(path)) {
                let attributes = match &entry.state {
                    EntryState::Announced(attributes) if entry.version <= announced => {
                        Some(attributes)
                    }
                    EntryState::Announced(_) => None,
                    EntryState::Withdrawn { .. } if entry.version <= withdrawn => continue,
                    EntryState::Withdrawn {
                        attributes,
                        version,
                    } if *version <= announced => Some(attributes),
                    EntryState::Withdrawn { .. } => None,
                };
                let is_out = entry.since <= announced && !reader.is_unsendable(path, entry);
                if is_out {
                    held.insert(*path, attributes.cloned());
                }
            }
        }
        // What is to be said is not known to have been heard.
        let announcements = reader.extra.announcements.values().flatten();
        let unknown = reader.extra.withdrawals.iter().chain(announcements);
        held.extend(unknown.map(|path| (*path, None)));
        for (path, attributes) in &mut held {
            if reader.refresh_due.contains(&path.family()) {
                *attributes = None;
            }
        }
        held
    }

    pub(super) fn end_of_rib_due(&self, id: ReaderId) -> BTreeSet<Family> {
        self.readers
            .get(&id)
            .map(|reader| reader.end_of_rib_due.clone())
            .unwrap_or_default()
    }

    pub(super) fn dialect(&self, id: ReaderId) -> Option<&Dialect> {
        self.readers.get(&id).map(|reader| &*reader.dialect)
    }

    /// Where a reader stands with a family.
    pub(super) fn progress(&self, id: ReaderId, family: Family) -> Progress {
        let index = FAMILIES.iter().position(|known| *known == family);
        let (Some(reader), Some(index)) = (self.readers.get(&id), index) else {
            return Progress::default();
        };
        let (Some(table), Some(announced), Some(withdrawn)) = (
            self.families.get(index),
            reader.announced.get(index),
            reader.withdrawn.get(index),
        ) else {
            return Progress::default();
        };
        let next_hop = reader.dialect.next_hop(family);
        let extra = reader.extra.pending(family);
        let end_of_rib_sent = !reader.end_of_rib_due.contains(&family);
        if !reader.dialect.speaks(family) {
            return Progress {
                next_hop,
                advertised: 0,
                pending: extra,
                end_of_rib_sent,
            };
        }
        let says = |(_, path): &(&Version, &Path)| reader.dialect.says(path);
        let ahead = table.announced.range((Excluded(*announced), Unbounded));
        let (mut pending, mut unheard) = (0, 0);
        for (_, path) in ahead.filter(says) {
            pending += 1;
            let entry = table.entries.get(path);
            unheard += usize::from(entry.is_none_or(|entry| entry.since > *announced));
        }
        let is_unsendable = |path: &&Path| {
            let entry = table.entries.get(*path);
            entry.is_some_and(|entry| reader.is_unsendable(path, entry))
        };
        let unsendable = reader.unsendable.keys().filter(is_unsendable).count();
        let withdrawals = table.withdrawn.range((Excluded(*withdrawn), Unbounded));
        let withdrawals = withdrawals.filter(says).filter(|(_, path)| {
            let entry = table.entries.get(*path);
            entry.is_some_and(|entry| entry.since <= *announced)
        });
        let withdrawals = withdrawals.count();
        let additional = if reader.dialect.says_several(family) {
            0
        } else {
            table.additional
        };
        let announced = table.announced.len() - additional;
        Progress {
            next_hop,
            advertised: (announced + withdrawals).saturating_sub(unheard + unsendable),
            pending: pending + withdrawals + extra,
            end_of_rib_sent,
        }
    }

    /// Whether there is more than the routes themselves.
    #[cfg(test)]
    pub(super) fn keeps_anything(&self) -> bool {
        let is_encoded = |encoding: &Encoding| {
            let mut segments = encoding.announcements.iter().chain(&encoding.withdrawals);
            segments.any(|segments| !segments.is_empty())
        };
        self.encodings.iter().any(is_encoded)
            || self
                .families
                .iter()
                .any(|family| family.entries.len() != family.announced.len())
    }

    fn entry(&self, path: &Path) -> Option<&Entry> {
        self.families.get(path.family_index())?.entries.get(path)
    }

    /// What no reader needs any more: withdrawals that all have said, messages that all have had.
    fn forget_what_all_have(&mut self) {
        let readers = &self.readers;
        for (index, family) in self.families.iter_mut().enumerate() {
            let positions = readers
                .values()
                .filter_map(|reader| reader.withdrawn.get(index));
            let all_have = positions.min().copied().unwrap_or(Version::MAX);
            while let Some(entry) = family
                .withdrawn
                .first_entry()
                .filter(|entry| *entry.key() <= all_have)
            {
                family.entries.remove(&entry.remove());
            }
        }
        self.encodings.retain_mut(|encoding| {
            let dialect = Arc::clone(&encoding.dialect);
            let users = readers
                .values()
                .filter(|reader| Arc::ptr_eq(&reader.dialect, &dialect));
            encoding.forget_up_to(users)
        });
    }
}

impl Encoding {
    /// Whether there are users left.
    fn forget_up_to<'r>(&mut self, users: impl Iterator<Item = &'r Reader>) -> bool {
        let mut slowest: Option<([Version; 2], [Version; 2])> = None;
        for user in users {
            let (announced, withdrawn) = slowest.get_or_insert((user.announced, user.withdrawn));
            for (slowest, position) in announced.iter_mut().zip(user.announced) {
                *slowest = position.min(*slowest);
            }
            for (slowest, position) in withdrawn.iter_mut().zip(user.withdrawn) {
                *slowest = position.min(*slowest);
            }
        }
        let Some((announced, withdrawn)) = slowest else {
            return false;
        };
        for (segments, position) in self.announcements.iter_mut().zip(announced) {
            *segments = segments.split_off(&position);
        }
        for (segments, position) in self.withdrawals.iter_mut().zip(withdrawn) {
            *segments = segments.split_off(&position);
        }
        true
    }
}

impl Reader {
    fn is_unsendable(&self, path: &Path, entry: &Entry) -> bool {
        self.unsendable.get(path) == Some(&entry.version)
    }
}

impl Extra {
    fn announce(&mut self, path: Path, attributes: &Arc<RouteAttributes>) {
        let key = (path.family(), Arc::clone(attributes));
        self.announcements.entry(key).or_default().insert(path);
    }

    fn pending(&self, family: Family) -> usize {
        let announcements = self
            .announcements
            .iter()
            .filter(|((of, _), _)| *of == family);
        let withdrawals = self
            .withdrawals
            .iter()
            .filter(|path| path.family() == family);
        announcements.map(|(_, paths)| paths.len()).sum::<usize>() + withdrawals.count()
    }
}

/// Messages.
impl Inner {
    /// Appends a reader's next UPDATE: withdrawals first, then announcements, then End-of-RIB.
    /// `false` when the neighbor has everything.
    pub(super) fn next_update(
        &mut self,
        id: ReaderId,
        may_end: bool,
        out: &mut BytesMut,
    ) -> Result<bool, Unsendable> {
        self.take_up_refresh(id);
        if self.put_extra_withdrawals(id, out)
            || self.put_withdrawals(id, out)
            || self.put_extra_announcements(id, out)?
            || self.put_announcements(id, out)?
            || may_end && self.put_end_of_rib(id, out)
        {
            return Ok(true);
        }
        self.forget_what_all_have();
        Ok(false)
    }

    fn put_extra_withdrawals(&mut self, id: ReaderId, out: &mut BytesMut) -> bool {
        let Some(reader) = self.readers.get_mut(&id) else {
            return false;
        };
        let Some(first) = reader.extra.withdrawals.first() else {
            return false;
        };
        let family = first.family();
        let mut block = Block::new(
            reader.dialect.withdrawal_room(),
            reader.dialect.says_several(family),
        );
        while let Some(path) = reader.extra.withdrawals.first().copied() {
            if path.family() != family || !block.add(path) {
                break;
            }
            reader.extra.withdrawals.pop_first();
        }
        put_withdrawal(family, &block.octets, &reader.dialect, out);
        true
    }

    fn put_extra_announcements(
        &mut self,
        id: ReaderId,
        out: &mut BytesMut,
    ) -> Result<bool, Unsendable> {
        loop {
            let Some(reader) = self.readers.get_mut(&id) else {
                return Ok(false);
            };
            let Some(((family, route), mut paths)) = reader.extra.announcements.pop_first() else {
                return Ok(false);
            };
            let dialect = Arc::clone(&reader.dialect);
            let announced = reader.announced;
            // What has changed since is in the table's own sequence.
            let is_current = |path: &Path| {
                let handed_out = announced.get(path.family_index());
                let is_old = self.entry(path).map(|entry| entry.version) <= handed_out.copied();
                is_old && self.attributes(path) == Some(&route)
            };
            paths.retain(|path| is_current(path) && dialect.speaks(family));
            let Some(first) = paths.first().copied() else {
                continue;
            };
            let attributes = encode_attributes(family, &route, &dialect);
            let mut block = Block::new(
                dialect.announcement_room(&attributes),
                dialect.says_several(family),
            );
            while let Some(path) = paths.first().copied().filter(|path| block.add(*path)) {
                paths.remove(&path);
            }
            if block.is_empty() {
                paths.remove(&first);
            }
            let version = self.entry(&first).map(|entry| entry.version);
            if let Some(reader) = self.readers.get_mut(&id) {
                if !paths.is_empty() {
                    let key = (family, Arc::clone(&route));
                    reader.extra.announcements.insert(key, paths);
                }
                if block.is_empty() {
                    reader
                        .unsendable
                        .extend(version.map(|version| (first, version)));
                    reader.extra.withdrawals.insert(first);
                    return Err(Unsendable {
                        prefix: first.prefix,
                    });
                }
            }
            put_announcement(family, &route, &attributes, &block.octets, &dialect, out);
            return Ok(true);
        }
    }

    fn put_withdrawals(&mut self, id: ReaderId, out: &mut BytesMut) -> bool {
        let Some(reader) = self.readers.get_mut(&id) else {
            return false;
        };
        let encoding = self
            .encodings
            .iter_mut()
            .find(|encoding| Arc::ptr_eq(&encoding.dialect, &reader.dialect));
        let Some(encoding) = encoding else {
            return false;
        };
        for (index, table) in self.families.iter().enumerate() {
            let (Some(family), Some(position), Some(has), Some(segments)) = (
                FAMILIES.get(index),
                reader.withdrawn.get_mut(index),
                reader.announced.get(index),
                encoding.withdrawals.get_mut(index),
            ) else {
                continue;
            };
            while let Some(segment) =
                withdrawal(table, segments, *family, *position, *has, &reader.dialect)
            {
                *position = segment.to;
                if !segment.octets.is_empty() {
                    out.extend_from_slice(&segment.octets);
                    return true;
                }
            }
        }
        false
    }

    fn put_announcements(&mut self, id: ReaderId, out: &mut BytesMut) -> Result<bool, Unsendable> {
        let Some(reader) = self.readers.get_mut(&id) else {
            return Ok(false);
        };
        let encoding = self
            .encodings
            .iter_mut()
            .find(|encoding| Arc::ptr_eq(&encoding.dialect, &reader.dialect));
        let Some(encoding) = encoding else {
            return Ok(false);
        };
        for (index, table) in self.families.iter().enumerate() {
            let (Some(family), Some(position), Some(segments)) = (
                FAMILIES.get(index),
                reader.announced.get_mut(index),
                encoding.announcements.get_mut(index),
            ) else {
                continue;
            };
            if !reader.dialect.speaks(*family) {
                continue;
            }
            loop {
                let next = match segments.get(position) {
                    Some(segment) => Some(Ok(segment.clone())),
                    None => announcement(table, *family, *position, &reader.dialect),
                };
                match next {
                    None => break,
                    // Nothing but what is not for this neighbor.
                    Some(Ok(segment)) if segment.octets.is_empty() => *position = segment.to,
                    Some(Ok(segment)) => {
                        out.extend_from_slice(&segment.octets);
                        let from = std::mem::replace(position, segment.to);
                        segments.insert(from, segment);
                        return Ok(true);
                    }
                    Some(Err((path, version))) => {
                        let entry = table.entries.get(&path);
                        let had_older = entry.is_some_and(|entry| entry.since <= *position);
                        *position = version;
                        reader.unsendable.insert(path, version);
                        if had_older {
                            reader.extra.withdrawals.insert(path);
                        }
                        let prefix = path.prefix;
                        return Err(Unsendable { prefix });
                    }
                }
            }
        }
        Ok(false)
    }

    fn put_end_of_rib(&mut self, id: ReaderId, out: &mut BytesMut) -> bool {
        let reader = self.readers.get_mut(&id);
        let Some(family) = reader.and_then(|reader| reader.end_of_rib_due.pop_first()) else {
            return false;
        };
        put_end_of_rib(family, out);
        true
    }
}

/// The withdrawals behind `from`, for a reader that `has` the announcements up to there; without
/// octets if it never had any of them. `None` when there are none.
fn withdrawal(
    table: &FamilyTable,
    segments: &mut BTreeMap<Version, Segment>,
    family: Family,
    from: Version,
    has: Version,
    dialect: &Dialect,
) -> Option<Segment> {
    if let Some(segment) = segments
        .get(&from)
        .filter(|segment| segment.requires <= has)
    {
        return Some(segment.clone());
    }
    let mut block = Block::new(dialect.withdrawal_room(), dialect.says_several(family));
    let (mut to, mut requires, mut is_whole) = (from, 0, true);
    for (version, path) in table.withdrawn.range((Excluded(from), Unbounded)) {
        if dialect.says(path) {
            let entry = table.entries.get(path);
            let since = entry.map_or(Version::MAX, |entry| entry.since);
            if since <= has && !block.add(*path) {
                break;
            }
            is_whole &= since <= has;
            requires = since.max(requires);
        }
        to = *version;
    }
    if to == from {
        return None;
    }
    let mut octets = BytesMut::new();
    if !block.is_empty() {
        put_withdrawal(family, &block.octets, dialect, &mut octets);
    }
    let segment = Segment {
        to,
        requires,
        octets: octets.freeze(),
    };
    if is_whole {
        segments.insert(from, segment.clone());
    }
    Some(segment)
}

/// The announcements behind `from`, as many as have the same attributes and fit a message; or the
/// first of them and its version, if its attributes leave it no room.
fn announcement(
    table: &FamilyTable,
    family: Family,
    from: Version,
    dialect: &Dialect,
) -> Option<Result<Segment, (Path, Version)>> {
    let attributes_of = |path| match &table.entries.get(path)?.state {
        EntryState::Announced(attributes) => Some(attributes),
        EntryState::Withdrawn { .. } => None,
    };
    let mut ahead = table
        .announced
        .range((Excluded(from), Unbounded))
        .peekable();
    let mut to = from;
    // What is not for this neighbor is passed over.
    while let Some((version, _)) = ahead.next_if(|(_, path)| !dialect.says(path)) {
        to = *version;
    }
    let Some((version, first)) = ahead.peek().copied() else {
        let octets = Bytes::new();
        let requires = 0;
        return (to > from).then_some(Ok(Segment {
            to,
            requires,
            octets,
        }));
    };
    let route = attributes_of(first)?;
    let attributes = encode_attributes(family, route, dialect);
    let room = dialect.announcement_room(&attributes);
    let mut block = Block::new(room, dialect.says_several(family));
    for (version, path) in ahead {
        if dialect.says(path) && (attributes_of(path) != Some(route) || !block.add(*path)) {
            break;
        }
        to = *version;
    }
    if block.is_empty() {
        return Some(Err((*first, *version)));
    }
    let mut octets = BytesMut::new();
    put_announcement(
        family,
        route,
        &attributes,
        &block.octets,
        dialect,
        &mut octets,
    );
    Some(Ok(Segment {
        to,
        requires: 0,
        octets: octets.freeze(),
    }))
}

/// Prefixes of one message.
struct Block {
    octets: BytesMut,
    room: usize,
    /// Each has a path identifier before it (RFC 7911 §3).
    has_path_ids: bool,
}

impl Block {
    fn new(room: usize, has_path_ids: bool) -> Self {
        Self {
            octets: BytesMut::new(),
            room,
            has_path_ids,
        }
    }

    fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Whether it fitted.
    fn add(&mut self, path: Path) -> bool {
        let id_length = if self.has_path_ids { 4 } else { 0 };
        let length = id_length + prefix_length(&path.prefix);
        let fits = self.octets.len() + length <= self.room;
        if fits {
            if self.has_path_ids {
                // Some take 0 for no identifier at all.
                self.octets.put_u32(u32::from(path.id) + 1);
            }
            put_prefix(path.prefix, &mut self.octets);
        }
        fits
    }
}
