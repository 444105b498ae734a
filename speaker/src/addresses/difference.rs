//! What is to be added and removed: pure.
//!
//! An address is ours when the ledger has it and, where the kernel keeps marks, it has ours. Anything
//! else was there before us, and is left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::netlink::MARK;

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) interface_index: u32,
    pub(super) address: IpAddr,
    pub(super) prefix_len: u8,
    /// Who says that he has added it.
    pub(super) mark: Option<u8>,
}

impl Found {
    /// Whether it says that a herald has added it.
    pub(super) fn is_marked(&self) -> bool {
        self.mark == Some(MARK) && self.is_alone_in_its_prefix()
    }

    fn is_alone_in_its_prefix(&self) -> bool {
        self.prefix_len == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

/// An address on an interface.
pub(super) type Place = (u32, IpAddr);

/// What becomes of the addresses of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// These are missing.
    pub(super) add: BTreeSet<IpAddr>,
    /// These are ours, and nobody wants them any more.
    pub(super) remove: BTreeSet<Place>,
    /// These are ours, and stay.
    pub(super) keep: BTreeSet<Place>,
    /// These are wanted, and somebody else's; the interface that they are on.
    pub(super) foreign: BTreeMap<IpAddr, u32>,
}

/// From what is on the host to what is wanted on one interface, if on any; `owned` is what the ledger
/// says that we have added.
pub(super) fn difference(
    wanted: &BTreeSet<IpAddr>,
    interface_index: Option<u32>,
    host: &[Found],
    owned: &BTreeSet<Place>,
) -> Difference {
    // The kernel marks addresses of its own on each loopback interface.
    let has_marks = host.iter().any(|found| found.mark.is_some());
    let mut difference = Difference::default();
    for found in host {
        let place = (found.interface_index, found.address);
        let is_wanted = interface_index == Some(place.0) && wanted.contains(&place.1);
        let is_ours = match has_marks {
            // One of a herald that has lost its ledger is adopted where it is wanted.
            true => found.is_marked() && (owned.contains(&place) || is_wanted),
            false => owned.contains(&place) && found.is_alone_in_its_prefix(),
        };
        match (is_ours, is_wanted) {
            (true, true) => drop(difference.keep.insert(place)),
            (true, false) => drop(difference.remove.insert(place)),
            (false, _) if wanted.contains(&place.1) => {
                // The interface that we would use is the better answer.
                let on = difference.foreign.entry(place.1).or_insert(place.0);
                if is_wanted {
                    *on = place.0;
                }
            }
            (false, _) => {}
        }
    }
    let is_there = |address: &IpAddr| {
        let kept = interface_index.is_some_and(|it| difference.keep.contains(&(it, *address)));
        kept || difference.foreign.contains_key(address)
    };
    let missing = wanted.iter().filter(|address| !is_there(address));
    difference.add = missing.copied().collect();
    // What is ours already does not become somebody else's because he has it too.
    difference.foreign.retain(|address, _| {
        interface_index.is_none_or(|it| !difference.keep.contains(&(it, *address)))
    });
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    const LO: u32 = 1;
    const ETH: u32 = 2;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn found(interface_index: u32, text: &str, prefix_len: u8, mark: Option<u8>) -> Found {
        Found {
            interface_index,
            address: address(text),
            prefix_len,
            mark,
        }
    }

    fn kernels_own() -> Found {
        found(LO, "127.0.0.1", 8, Some(1))
    }

    fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<IpAddr> {
        texts.map(address).into()
    }

    fn places<const N: usize>(places: [(u32, &str); N]) -> BTreeSet<Place> {
        places.map(|(on, text)| (on, address(text))).into()
    }

    #[test]
    fn what_is_missing_is_added() {
        let wanted = set(["192.0.2.1", "2001:db8::1"]);
        let found = difference(&wanted, Some(LO), &[kernels_own()], &places([]));
        assert_eq!(found.add, wanted);
        assert_eq!(found.remove, places([]));
    }

    #[test]
    fn what_was_there_before_us_is_neither_added_nor_removed() {
        for (on, mark) in [(LO, None), (ETH, None), (ETH, Some(3))] {
            let host = [kernels_own(), found(on, "192.0.2.1", 32, mark)];
            let there = difference(&set(["192.0.2.1"]), Some(LO), &host, &places([]));
            assert_eq!(there.foreign, [(address("192.0.2.1"), on)].into());
            assert_eq!((there.add, there.remove), (set([]), places([])));
            let gone = difference(&set([]), Some(LO), &host, &places([]));
            assert_eq!(gone, Difference::default());
        }
    }

    #[test]
    fn what_the_ledger_has_and_somebody_else_has_added_since_is_not_ours() {
        let host = [kernels_own(), found(LO, "192.0.2.1", 32, None)];
        let owned = places([(LO, "192.0.2.1")]);
        let found = difference(&set([]), Some(LO), &host, &owned);
        assert_eq!(found, Difference::default());
    }

    #[test]
    fn what_a_crash_left_behind_is_removed_or_kept() {
        let host = [
            kernels_own(),
            found(LO, "192.0.2.1", 32, Some(MARK)),
            found(LO, "2001:db8::1", 128, Some(MARK)),
        ];
        let owned = places([(LO, "192.0.2.1"), (LO, "2001:db8::1")]);
        let found = difference(&set(["192.0.2.1"]), Some(LO), &host, &owned);
        assert_eq!(found.keep, places([(LO, "192.0.2.1")]));
        assert_eq!(found.remove, places([(LO, "2001:db8::1")]));
        assert_eq!(found.add, set([]));
        let without = difference(&set(["192.0.2.1"]), None, &host, &owned);
        assert_eq!(without.remove, owned);
    }

    #[test]
    fn another_herald_s_addresses_are_left_alone() {
        let host = [kernels_own(), found(LO, "192.0.2.9", 32, Some(MARK))];
        let found = difference(&set(["192.0.2.1"]), Some(LO), &host, &places([]));
        assert_eq!(found.remove, places([]));
        assert_eq!(found.add, set(["192.0.2.1"]));
    }

    #[test]
    fn a_lost_ledger_is_no_reason_to_disown_what_is_wanted() {
        let host = [kernels_own(), found(LO, "192.0.2.1", 32, Some(MARK))];
        let found = difference(&set(["192.0.2.1"]), Some(LO), &host, &places([]));
        assert_eq!(found.keep, places([(LO, "192.0.2.1")]));
        assert!(found.foreign.is_empty());
    }

    #[test]
    fn another_interface_takes_over() {
        let host = [kernels_own(), found(LO, "192.0.2.1", 32, Some(MARK))];
        let owned = places([(LO, "192.0.2.1")]);
        let found = difference(&set(["192.0.2.1"]), Some(ETH), &host, &owned);
        assert_eq!(found.add, set(["192.0.2.1"]));
        assert_eq!(found.remove, owned);
    }

    #[test]
    fn without_marks_the_ledger_decides() {
        let host = [
            found(LO, "192.0.2.1", 32, None),
            found(LO, "192.0.2.2", 32, None),
            found(LO, "192.0.2.3", 24, None),
        ];
        let owned = places([(LO, "192.0.2.1"), (LO, "192.0.2.3")]);
        let found = difference(&set(["192.0.2.2"]), Some(LO), &host, &owned);
        assert_eq!(found.remove, places([(LO, "192.0.2.1")]));
        assert_eq!(found.foreign, [(address("192.0.2.2"), LO)].into());
    }
}
