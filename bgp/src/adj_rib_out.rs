//! The Adj-RIB-Out of one session (RFC 4271 §3.2): what the neighbor should have, what it has, and
//! the UPDATEs between the two.
//!
//! The caller says what it wants as a whole; the difference is worked out here. Withdrawals go
//! first and never wait behind announcements. A prefix that changes several times before the
//! connection takes an UPDATE costs one UPDATE.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use ipnet::IpNet;

use crate::route::{RouteAttributes, Routes};
use crate::types::{Asn, Family};
use crate::wire::{
    self, AsPath, Attribute, MessageType, MpNextHop, WireContext, prefix_length, put_prefix,
};

/// LOCAL_PREF of a route that asks for none, towards internal peers (RFC 4271 §5.1.5 leaves it to
/// local policy; everyone says 100).
const DEFAULT_LOCAL_PREF: u32 = 100;

/// How this session writes routes: everything that makes its octets differ from another session's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) local_as: Asn,
    pub(crate) wire: WireContext,
    /// Octets that a message may have.
    pub(crate) limit: usize,
    pub(crate) next_hop_v4: Option<Ipv4Addr>,
    pub(crate) next_hop_v6: Option<MpNextHop>,
    /// Negotiated families, in the order in which they are sent.
    pub(crate) families: Vec<Family>,
}

impl Dialect {
    fn next_hop(&self, family: Family) -> Option<IpAddr> {
        if family == Family::IPV4_UNICAST {
            return self.next_hop_v4.map(IpAddr::V4);
        }
        self.next_hop_v6.map(|next_hop| match next_hop {
            MpNextHop::V4(address) => address.into(),
            MpNextHop::V6(address) | MpNextHop::V6WithLinkLocal(address, _) => address.into(),
        })
    }

    /// Whether routes of `family` can be said: it was negotiated, and there is a next hop to name.
    fn speaks(&self, family: Family) -> bool {
        self.next_hop(family).is_some() && self.families.contains(&family)
    }
}

/// Prefixes to announce, by what is said of them; the family is part of the key, for an UPDATE
/// announces one family.
type Announcements = BTreeMap<(Family, Arc<RouteAttributes>), BTreeSet<IpNet>>;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct AdjRibOut {
    wanted: Routes,
    /// What the neighbor has once everything that was handed out has reached it. Empty while there
    /// is no session.
    advertised: Routes,
    announcements: Announcements,
    withdrawals: BTreeSet<IpNet>,
    /// Families whose End-of-RIB is still to be sent.
    end_of_rib_due: BTreeSet<Family>,
    /// `None` while there is no session.
    dialect: Option<Dialect>,
}

/// A route whose attributes leave no room for a prefix in any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsendable {
    pub(crate) prefix: IpNet,
}

/// How far a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) next_hop: Option<IpAddr>,
    pub(crate) advertised: usize,
    pub(crate) pending: usize,
    pub(crate) end_of_rib_sent: bool,
}

impl AdjRibOut {
    /// Replaces the routes that the neighbor should have.
    pub(crate) fn set_wanted(&mut self, wanted: Routes) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        let gone = before
            .keys()
            .filter(|prefix| !self.wanted.contains_key(prefix))
            .copied()
            .collect::<Vec<_>>();
        let changed = self
            .wanted
            .iter()
            .filter(|(prefix, attributes)| before.get(prefix) != Some(attributes));
        let changed = changed
            .map(|(prefix, attributes)| (*prefix, Arc::clone(attributes)))
            .collect::<Vec<_>>();
        for prefix in gone {
            self.forget_announcement(prefix, before.get(&prefix));
            self.want_absent(prefix);
        }
        for (prefix, attributes) in changed {
            self.forget_announcement(prefix, before.get(&prefix));
            self.want_present(prefix, attributes);
        }
    }

    /// A session is up: everything wanted is to be sent, then End-of-RIB.
    pub(crate) fn begin(&mut self, dialect: Dialect) {
        self.end();
        self.end_of_rib_due = dialect.families.iter().copied().collect();
        self.dialect = Some(dialect);
        self.announce_all(|_| true);
    }

    /// The session is down: the neighbor has nothing.
    pub(crate) fn end(&mut self) {
        self.dialect = None;
        self.advertised.clear();
        self.announcements.clear();
        self.withdrawals.clear();
        self.end_of_rib_due.clear();
    }

    /// The neighbor asks for the routes of a family once more (RFC 2918 §4).
    pub(crate) fn refresh(&mut self, family: Family) {
        self.announce_all(|prefix| Family::of(prefix) == family);
    }

    /// The next hops changed: what the neighbor has is no longer what it should have.
    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        if self
            .dialect
            .as_ref()
            .is_none_or(|current| *current == dialect)
        {
            return;
        }
        let spoken_before = self.dialect.replace(dialect);
        let silenced = |family| {
            spoken_before
                .as_ref()
                .is_some_and(|before| before.speaks(family))
                && !self.speaks(family)
        };
        let withdrawn = self
            .advertised
            .keys()
            .filter(|prefix| silenced(Family::of(prefix)))
            .copied();
        self.withdrawals.extend(withdrawn.collect::<Vec<_>>());
        self.announcements.clear();
        self.announce_all(|_| true);
    }

    /// Where `family` stands.
    pub(crate) fn progress(&self, family: Family) -> Progress {
        let of_family = |prefix: &&IpNet| Family::of(prefix) == family;
        let announcements = self
            .announcements
            .iter()
            .filter(|((of, _), _)| *of == family);
        let announced: usize = announcements.map(|(_, prefixes)| prefixes.len()).sum();
        Progress {
            next_hop: self
                .dialect
                .as_ref()
                .and_then(|dialect| dialect.next_hop(family)),
            advertised: self.advertised.keys().filter(of_family).count(),
            pending: announced + self.withdrawals.iter().filter(of_family).count(),
            end_of_rib_sent: self.dialect.is_some() && !self.end_of_rib_due.contains(&family),
        }
    }

    /// The routes that the neighbor has.
    pub(crate) const fn advertised(&self) -> &Routes {
        &self.advertised
    }

    /// Appends the next UPDATE to `out`: a withdrawal if there is any, then announcements, then
    /// End-of-RIB. `false` when the neighbor has everything.
    ///
    /// # Errors
    /// A route that no message can hold; it is withdrawn if the neighbor has an older one. The next
    /// call goes on behind it.
    pub(crate) fn next_update(&mut self, out: &mut BytesMut) -> Result<bool, Unsendable> {
        let Some(dialect) = self.dialect.take() else {
            return Ok(false);
        };
        let outcome = if self.put_withdrawals(&dialect, out) {
            Ok(true)
        } else {
            match self.put_announcements(&dialect, out) {
                Ok(false) => Ok(self.put_end_of_rib(out)),
                outcome => outcome,
            }
        };
        self.dialect = Some(dialect);
        outcome
    }

    fn speaks(&self, family: Family) -> bool {
        self.dialect
            .as_ref()
            .is_some_and(|dialect| dialect.speaks(family))
    }

    fn announce_all(&mut self, which: impl Fn(&IpNet) -> bool) {
        let wanted = self.wanted.iter().filter(|(prefix, _)| which(prefix));
        for (prefix, attributes) in wanted
            .map(|(prefix, attributes)| (*prefix, Arc::clone(attributes)))
            .collect::<Vec<_>>()
        {
            self.announce(prefix, attributes);
        }
    }

    fn announce(&mut self, prefix: IpNet, attributes: Arc<RouteAttributes>) {
        let family = Family::of(&prefix);
        if self.speaks(family) {
            self.announcements
                .entry((family, attributes))
                .or_default()
                .insert(prefix);
        }
    }

    /// Takes back an announcement that is not on its way yet.
    fn forget_announcement(&mut self, prefix: IpNet, attributes: Option<&Arc<RouteAttributes>>) {
        let Some(attributes) = attributes else { return };
        let key = (Family::of(&prefix), Arc::clone(attributes));
        if let Some(prefixes) = self.announcements.get_mut(&key) {
            prefixes.remove(&prefix);
            if prefixes.is_empty() {
                self.announcements.remove(&key);
            }
        }
    }

    fn want_absent(&mut self, prefix: IpNet) {
        if self.advertised.contains_key(&prefix) {
            self.withdrawals.insert(prefix);
        }
    }

    fn want_present(&mut self, prefix: IpNet, attributes: Arc<RouteAttributes>) {
        // An announcement replaces what the neighbor has; there is nothing to withdraw.
        self.withdrawals.remove(&prefix);
        if self.advertised.get(&prefix) != Some(&attributes) {
            self.announce(prefix, attributes);
        }
    }

    fn put_withdrawals(&mut self, dialect: &Dialect, out: &mut BytesMut) -> bool {
        let Some(first) = self.withdrawals.first() else {
            return false;
        };
        let family = Family::of(first);
        let block = Block::take(
            &mut self.withdrawals,
            family,
            dialect.limit - WITHDRAWAL_OVERHEAD,
        );
        put_withdrawal(family, &block.octets, out);
        for prefix in block.prefixes {
            self.advertised.remove(&prefix);
        }
        true
    }

    fn put_announcements(
        &mut self,
        dialect: &Dialect,
        out: &mut BytesMut,
    ) -> Result<bool, Unsendable> {
        let Some(mut entry) = self.announcements.first_entry() else {
            return Ok(false);
        };
        let (family, route) = entry.key().clone();
        let attributes = encode_attributes(family, &route, dialect);
        let room = dialect
            .limit
            .saturating_sub(ANNOUNCEMENT_OVERHEAD + attributes.len());
        let block = Block::take(entry.get_mut(), family, room);
        let unsendable = if block.prefixes.is_empty() {
            entry.get_mut().pop_first()
        } else {
            None
        };
        if entry.get().is_empty() {
            entry.remove();
        }
        if let Some(prefix) = unsendable {
            self.want_absent(prefix);
            return Err(Unsendable { prefix });
        }
        match family {
            Family::IPV4_UNICAST => put_update(&[], &[&attributes], &block.octets, out),
            _ => {
                let reach = mp_reach(family, dialect, block.octets.len());
                put_update(&[], &[&reach, &block.octets, &attributes], &[], out);
            }
        }
        for prefix in block.prefixes {
            self.advertised.insert(prefix, Arc::clone(&route));
        }
        Ok(true)
    }

    fn put_end_of_rib(&mut self, out: &mut BytesMut) -> bool {
        let Some(family) = self.end_of_rib_due.pop_first() else {
            return false;
        };
        put_withdrawal(family, &[], out);
        true
    }
}

/// Octets of a withdrawal before its prefixes, of the family that needs most: header, two section
/// lengths, the attribute's head and its family.
const WITHDRAWAL_OVERHEAD: usize = wire::HEADER_LENGTH + 4 + 4 + 3;
/// Octets of an announcement beside its attributes and prefixes: as above, with the longest next
/// hop, its length and the reserved octet.
const ANNOUNCEMENT_OVERHEAD: usize = WITHDRAWAL_OVERHEAD + 1 + 32 + 1;

/// As many prefixes as fit a message, and their octets.
struct Block {
    prefixes: Vec<IpNet>,
    octets: BytesMut,
}

impl Block {
    /// Takes prefixes of `family` from the front of `from`, until their octets would exceed `room`.
    fn take(from: &mut BTreeSet<IpNet>, family: Family, room: usize) -> Self {
        let mut block = Self {
            prefixes: Vec::new(),
            octets: BytesMut::new(),
        };
        while let Some(prefix) = from.first().copied() {
            if Family::of(&prefix) != family || block.octets.len() + prefix_length(&prefix) > room {
                break;
            }
            put_prefix(prefix, &mut block.octets);
            block.prefixes.push(prefix);
            from.pop_first();
        }
        block
    }
}

/// IPv4 prefixes stand in Withdrawn Routes, others in MP_UNREACH_NLRI. With none of them it is
/// End-of-RIB (RFC 4724 §2).
fn put_withdrawal(family: Family, prefixes: &[u8], out: &mut BytesMut) {
    if family == Family::IPV4_UNICAST {
        return put_update(prefixes, &[], &[], out);
    }
    let unreach = mp_attribute(wire::type_code::MP_UNREACH_NLRI, family, 3 + prefixes.len());
    put_update(&[], &[&unreach, prefixes], &[], out);
}

fn put_update(withdrawn_routes: &[u8], attributes: &[&[u8]], nlri: &[u8], out: &mut BytesMut) {
    let start = out.len();
    let attributes_length = attributes.iter().map(|part| part.len()).sum();
    wire::put_header(out, MessageType::Update);
    out.put_u16(length_field(withdrawn_routes.len()));
    out.put_slice(withdrawn_routes);
    out.put_u16(length_field(attributes_length));
    attributes.iter().for_each(|part| out.put_slice(part));
    out.put_slice(nlri);
    wire::set_length(out, start);
}

/// Every length here is below that of the message, which fits.
fn length_field(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Head of an optional attribute with extended length, and the family its value begins with.
fn mp_attribute(code: u8, family: Family, length: usize) -> BytesMut {
    let mut head = BytesMut::new();
    head.put_slice(&[0x90, code]);
    head.put_u16(length_field(length));
    head.put_u16(family.afi);
    head.put_u8(family.safi);
    head
}

/// MP_REACH_NLRI up to where its prefixes begin.
fn mp_reach(family: Family, dialect: &Dialect, prefixes_length: usize) -> BytesMut {
    let mut next_hop = BytesMut::new();
    if let Some(address) = dialect.next_hop_v6 {
        address.encode(&mut next_hop);
    }
    let length = 3 + 1 + next_hop.len() + 1 + prefixes_length;
    let mut reach = mp_attribute(wire::type_code::MP_REACH_NLRI, family, length);
    reach.put_u8(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
    reach.put_slice(&next_hop);
    reach.put_u8(0);
    reach
}

fn encode_attributes(family: Family, route: &RouteAttributes, dialect: &Dialect) -> BytesMut {
    let mut octets = BytesMut::new();
    for attribute in path_attributes(family, route, dialect) {
        attribute.encode(dialect.wire, &mut octets);
    }
    octets
}

/// What is said of a route that begins here, by ascending type code (RFC 4271 §5). MP_REACH_NLRI is
/// not among them: it goes first (RFC 7606 §5.1).
fn path_attributes(family: Family, route: &RouteAttributes, dialect: &Dialect) -> Vec<Attribute> {
    let RouteAttributes {
        origin,
        multi_exit_disc,
        local_pref,
        as_path_prepend,
        communities,
        large_communities,
    } = route;
    let as_path = as_path(*as_path_prepend, dialect);
    let as4_path =
        (!dialect.wire.four_octet_as && as_path.needs_four_octets()).then(|| as_path.clone());
    let next_hop = dialect
        .next_hop_v4
        .filter(|_| family == Family::IPV4_UNICAST);
    // RFC 4271 §5.1.5: always to internal peers, never to external ones.
    let local_pref = dialect
        .wire
        .internal
        .then_some(local_pref.unwrap_or(DEFAULT_LOCAL_PREF));
    let communities = sorted(communities);
    let large_communities = sorted(large_communities);
    [
        Some(Attribute::Origin(*origin)),
        Some(Attribute::AsPath(as_path)),
        next_hop.map(Attribute::NextHop),
        multi_exit_disc.map(Attribute::MultiExitDisc),
        local_pref.map(Attribute::LocalPref),
        (!communities.is_empty()).then_some(Attribute::Communities(communities)),
        as4_path.map(Attribute::As4Path),
        (!large_communities.is_empty()).then_some(Attribute::LargeCommunities(large_communities)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Empty towards internal peers, the own AS towards external ones (RFC 4271 §5.1.2), once more for
/// each prepend.
fn as_path(prepend: u8, dialect: &Dialect) -> AsPath {
    if dialect.wire.internal {
        return AsPath::default();
    }
    AsPath::sequence(&vec![dialect.local_as.value(); 1 + usize::from(prepend)])
}

fn sorted<T: Ord + Copy>(values: &[T]) -> Vec<T> {
    values
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[cfg(test)]
#[path = "adj_rib_out/tests.rs"]
mod tests;
