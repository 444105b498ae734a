//! The addresses of one family that nobody has, as ranges: a pool of any size takes as much memory
//! as it has gaps.

use std::collections::BTreeMap;

use crate::config::{IpFamily, PoolConfig, is_buggy};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FreeSpace {
    family: IpFamily,
    avoid_buggy_ips: bool,
    /// The last number of each free range, by its first. None touches another.
    ranges: BTreeMap<u128, u128>,
}

impl FreeSpace {
    /// Everything that a pool has of a family.
    pub(super) fn new(pool: &PoolConfig, family: IpFamily) -> Self {
        let mut space = Self {
            family,
            avoid_buggy_ips: pool.avoid_buggy_ips,
            ranges: BTreeMap::new(),
        };
        for range in pool.addresses.iter().filter(|it| it.family() == family) {
            let (first, last) = range.ends();
            space.add(first, last);
        }
        space
    }

    /// The lowest number that may be assigned.
    pub(super) fn lowest(&self) -> Option<u128> {
        self.ranges.iter().find_map(|(first, last)| {
            // At most two in a row are left out: .255 and .0.
            let mut numbers = (*first..=*last).take(3);
            numbers.find(|number| !(self.avoid_buggy_ips && is_buggy(self.family, *number)))
        })
    }

    /// Takes a number out; whether it was there.
    pub(super) fn take(&mut self, number: u128) -> bool {
        let Some((first, last)) = self.range_of(number) else {
            return false;
        };
        self.ranges.remove(&first);
        if first < number {
            self.ranges.insert(first, number - 1);
        }
        if number < last {
            self.ranges.insert(number + 1, last);
        }
        true
    }

    /// Puts a number back that was taken out.
    pub(super) fn put_back(&mut self, number: u128) {
        self.add(number, number);
    }

    fn range_of(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.ranges.range(..=number).next_back()?;
        (number <= *last).then_some((*first, *last))
    }

    /// Joins what it touches. It must be disjoint from what is there.
    fn add(&mut self, first: u128, last: u128) {
        let before = first
            .checked_sub(1)
            .and_then(|number| self.range_of(number));
        let after = last.checked_add(1).and_then(|number| self.range_of(number));
        let first = before.map_or(first, |(first, _)| first);
        let last = match after {
            Some((joined, last)) => {
                self.ranges.remove(&joined);
                last
            }
            None => last,
        };
        self.ranges.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::config::AddressRange;

    fn pool(ranges: &[&str], avoid_buggy_ips: bool) -> PoolConfig {
        let ranges = ranges.iter().map(|text| AddressRange::parse(text).unwrap());
        PoolConfig {
            addresses: ranges.collect(),
            auto_assign: true,
            avoid_buggy_ips,
        }
    }

    #[test]
    fn touching_ranges_are_one() {
        let pool = pool(&["10.0.0.0/9", "10.128.0.0/9"], false);
        let mut space = FreeSpace::new(&pool, IpFamily::V4);
        assert_eq!(space.ranges.len(), 1);
        let whole = space.clone();
        let middle = 0x0A80_0000;
        assert!(space.take(middle) && !space.take(middle));
        assert_eq!(space.ranges.len(), 2);
        space.put_back(middle);
        assert_eq!(space, whole);
    }

    #[test]
    fn buggy_addresses_are_passed_over_wherever_a_range_begins() {
        for (range, lowest) in [
            ("192.0.2.255-192.0.3.9", Some(0xC000_0301)),
            ("192.0.2.0/31", Some(0xC000_0201)),
            ("192.0.2.255-192.0.3.0", None),
        ] {
            let space = FreeSpace::new(&pool(&[range], true), IpFamily::V4);
            assert_eq!(space.lowest(), lowest, "{range}");
        }
    }

    #[test]
    fn the_ends_of_all_numbers_are_numbers_like_others() {
        let mut space = FreeSpace {
            family: IpFamily::V6,
            avoid_buggy_ips: false,
            ranges: [(0, u128::MAX)].into(),
        };
        for number in [0, u128::MAX] {
            assert!(space.take(number) && space.range_of(number).is_none());
            space.put_back(number);
        }
        assert_eq!(space.ranges, [(0, u128::MAX)].into());
    }

    proptest! {
        #[test]
        fn it_is_a_set(operations in prop::collection::vec((any::<bool>(), 0_u8..32), 0..200)) {
            let mut space = FreeSpace::new(&pool(&["192.0.2.0/27"], false), IpFamily::V4);
            let mut set: BTreeSet<u128> = (0xC000_0200..0xC000_0220).collect();
            for (take, offset) in operations {
                let number = 0xC000_0200 + u128::from(offset);
                if take {
                    prop_assert_eq!(space.take(number), set.remove(&number));
                } else if set.insert(number) {
                    space.put_back(number);
                }
                prop_assert_eq!(space.lowest(), set.first().copied());
                prop_assert_eq!(space.range_of(number).is_some(), set.contains(&number));
            }
            let gaps = set.iter().filter(|number| !set.contains(&(*number + 1))).count();
            prop_assert_eq!(space.ranges.len(), gaps);
        }
    }
}
