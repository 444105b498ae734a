//! The addresses that have a prefix announced. Most prefixes have one; an aggregate may have
//! thousands, and a change of one of them is no matter of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{BfdName, ServiceName};

/// Places of advertisements in the file.
pub(super) type Places = Arc<[usize]>;

/// An address that has a prefix announced which it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The address.
    pub address: IpAddr,
    /// Whose it is.
    pub service: ServiceName,
    /// The places in the file of the advertisements that say so.
    pub by: Arc<[usize]>,
    /// The path without which it is of no use.
    pub path: Option<BfdName>,
}

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Few);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Few {
    #[default]
    None,
    One(Member),
    Many(Box<Crowd>),
}

/// Two and more, and how many of them say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Crowd {
    members: BTreeMap<IpAddr, Member>,
    by: BTreeMap<Places, usize>,
    paths: BTreeMap<Option<BfdName>, usize>,
}

impl Members {
    /// Each of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        let (one, many) = match &self.0 {
            Few::None => (None, None),
            Few::One(member) => (Some(member), None),
            Few::Many(crowd) => (None, Some(crowd.members.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Whether nobody has the prefix announced.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Few::None)
    }

    /// The advertisements by which it is announced, of all members together; `None` if nobody has
    /// it announced.
    pub(super) fn places(&self) -> Option<Places> {
        match &self.0 {
            Few::None => None,
            Few::One(member) => Some(Arc::clone(&member.by)),
            Few::Many(crowd) => {
                let mut by = crowd.by.keys();
                let first = by.next()?;
                let mut others = by.flat_map(|places| places.iter()).peekable();
                if others.peek().is_none() {
                    return Some(Arc::clone(first));
                }
                let all: BTreeSet<usize> = others.chain(first.iter()).copied().collect();
                Some(all.into_iter().collect())
            }
        }
    }

    /// The path without which none of them is of use.
    pub(super) fn path(&self) -> Option<&BfdName> {
        match &self.0 {
            Few::None => None,
            Few::One(member) => member.path.as_ref(),
            Few::Many(crowd) => {
                let mut paths = crowd.paths.keys();
                let first = paths.next()?.as_ref();
                first.filter(|_| paths.next().is_none())
            }
        }
    }

    /// Adds an address, or says otherwise what it is; whether that is a change.
    pub(super) fn put(&mut self, member: Member) -> bool {
        match &mut self.0 {
            Few::None => self.0 = Few::One(member),
            Few::One(known) if *known == member => return false,
            Few::One(known) if known.address == member.address => *known = member,
            Few::One(known) => {
                let mut crowd = Crowd::default();
                crowd.put(known.clone());
                crowd.put(member);
                self.0 = Few::Many(Box::new(crowd));
            }
            Few::Many(crowd) => return crowd.put(member),
        }
        true
    }

    /// Takes an address out; whether it was there.
    pub(super) fn remove(&mut self, address: IpAddr) -> bool {
        match &mut self.0 {
            Few::One(known) if known.address == address => self.0 = Few::None,
            Few::Many(crowd) => {
                if !crowd.remove(address) {
                    return false;
                }
                if let Some(last) = crowd.last() {
                    self.0 = Few::One(last.clone());
                }
            }
            Few::None | Few::One(_) => return false,
        }
        true
    }
}

impl Crowd {
    fn put(&mut self, member: Member) -> bool {
        if self.members.get(&member.address) == Some(&member) {
            return false;
        }
        self.remove(member.address);
        *self.by.entry(Arc::clone(&member.by)).or_default() += 1;
        *self.paths.entry(member.path.clone()).or_default() += 1;
        self.members.insert(member.address, member);
        true
    }

    fn remove(&mut self, address: IpAddr) -> bool {
        let Some(member) = self.members.remove(&address) else {
            return false;
        };
        uncount(&mut self.by, &member.by);
        uncount(&mut self.paths, &member.path);
        true
    }

    /// The only one that is left.
    fn last(&self) -> Option<&Member> {
        let mut members = self.members.values();
        members.next().filter(|_| self.members.len() == 1)
    }
}

fn uncount<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    fn member(number: u8, by: &[usize], path: Option<&str>) -> Member {
        Member {
            address: address(number),
            service: ServiceName::new("web").unwrap(),
            by: by.into(),
            path: path.and_then(BfdName::new),
        }
    }

    fn said(members: &Members) -> (usize, Vec<usize>, Option<&str>) {
        let places = members.places();
        (
            members.iter().count(),
            places.map_or_else(Vec::new, |places| places.to_vec()),
            members.path().map(BfdName::as_str),
        )
    }

    #[test]
    fn what_members_say_is_what_those_say_who_are_there() {
        let mut members = Members::default();
        assert_eq!(said(&members), (0, vec![], None));
        assert!(members.put(member(1, &[0, 2], Some("a"))));
        assert_eq!(said(&members), (1, vec![0, 2], Some("a")));
        assert!(members.put(member(2, &[0, 2], Some("a"))));
        assert_eq!(said(&members), (2, vec![0, 2], Some("a")));
        assert!(members.put(member(3, &[1], Some("b"))));
        assert_eq!(said(&members), (3, vec![0, 1, 2], None));
        assert!(members.put(member(3, &[1], Some("a"))));
        assert_eq!(said(&members), (3, vec![0, 1, 2], Some("a")));
        assert!(members.put(member(3, &[2], None)));
        assert_eq!(said(&members), (3, vec![0, 2], None));
        assert!(members.remove(address(3)));
        assert!(members.remove(address(1)));
        assert_eq!(said(&members), (1, vec![0, 2], Some("a")));
        assert!(members.remove(address(2)));
        assert_eq!(members, Members::default());
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let mut members = Members::default();
        assert!(!members.remove(address(1)));
        for number in 1..=3 {
            assert!(members.put(member(number, &[0], None)));
            assert!(!members.put(member(number, &[0], None)));
            assert!(!members.remove(address(9)));
        }
    }
}
