//! `[[pool]]`: addresses that services are given which name none themselves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::PoolName;

/// Which kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of this name, as in the file.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.to_string() == text)
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

/// One family, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamilies {
    /// One.
    Only(IpFamily),
    /// Both.
    Both,
}

impl IpFamilies {
    /// These; `None` if there is none.
    #[must_use]
    pub fn of(families: impl IntoIterator<Item = IpFamily>) -> Option<Self> {
        let add = |sum: Option<Self>, family| match sum {
            None => Some(Self::Only(family)),
            Some(Self::Only(other)) if other == family => sum,
            Some(_) => Some(Self::Both),
        };
        families.into_iter().fold(None, add)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(self, family: IpFamily) -> bool {
        self == Self::Both || self == Self::Only(family)
    }

    /// Each, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpFamily> {
        let all = IpFamily::ALL.into_iter();
        all.filter(move |family| self.contains(*family))
    }
}

impl fmt::Display for IpFamilies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(family) => family.fmt(f),
            Self::Both => f.write_str("ipv4 and ipv6"),
        }
    }
}

/// What a service wants that names no address itself: one address of each family, all from one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRequest {
    /// From this one; `None`: from any with `auto-assign`.
    pub pool: Option<PoolName>,
    /// Of these families; `None`: of those that the pool has.
    pub ip_families: Option<IpFamilies>,
}

/// Consecutive addresses of one family, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    family: IpFamily,
    first: u128,
    last: u128,
}

/// Blocks of which no address can be given to a service.
const NOT_ASSIGNABLE: [(&str, &str); 9] = [
    ("0.0.0.0/8", "this network"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    // The unspecified address, loopback, and what RFC 4291 §2.5.5.1 deprecates.
    ("::/96", "special"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

impl AddressRange {
    const EXPECTED: &'static str = "a range or a prefix, such as \"192.0.2.10-192.0.2.20\", \"198.51.100.0/28\" or \"2001:db8:5::/120\"";

    /// From one address to another of its family that is not below it; `None` for others.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let range = Self {
            family: IpFamily::of(first),
            first: ip_to_number(first),
            last: ip_to_number(last),
        };
        (range.family == IpFamily::of(last) && range.first <= range.last).then_some(range)
    }

    /// Reads `a-b`, a prefix, or one address. The error completes "must be …".
    ///
    /// # Errors
    /// In words, when it is something else, or no addresses for services.
    pub fn parse(text: &str) -> Result<Self, String> {
        let range = match text.split_once('-') {
            Some((first, last)) => Self::parse_ends(first.trim(), last.trim())?,
            None => Self::parse_prefix(text.trim())?,
        };
        let special = NOT_ASSIGNABLE.iter().find(|(block, _)| {
            let block = block.parse::<IpNet>();
            block.is_ok_and(|block| range.overlaps(Self::from(block)))
        });
        match special {
            Some((block, what)) => Err(format!(
                "addresses that services can have: {block} are {what} addresses"
            )),
            None => Ok(range),
        }
    }

    fn parse_ends(first: &str, last: &str) -> Result<Self, String> {
        let (Ok(from), Ok(to)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>()) else {
            return Err(Self::EXPECTED.to_owned());
        };
        if IpFamily::of(from) != IpFamily::of(to) {
            return Err(
                "a range within one family; addresses of the other are a range of their own"
                    .to_owned(),
            );
        }
        Self::new(from, to).ok_or_else(|| {
            format!("a range that ends behind its start, such as \"{last}-{first}\"")
        })
    }

    fn parse_prefix(text: &str) -> Result<Self, String> {
        if let Ok(one) = text.parse::<IpAddr>() {
            return Ok(Self::from(IpNet::from(one)));
        }
        let prefix: IpNet = text.parse().map_err(|_| Self::EXPECTED)?;
        if prefix.trunc() != prefix {
            let right = prefix.trunc();
            return Err(format!("\"{right}\", for a prefix has no host bits"));
        }
        Ok(Self::from(prefix))
    }

    /// The family.
    #[must_use]
    pub const fn family(self) -> IpFamily {
        self.family
    }

    /// The lowest address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        ip_from_number(self.family, self.first)
    }

    /// The highest address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        ip_from_number(self.family, self.last)
    }

    /// Its ends as numbers.
    #[must_use]
    pub(crate) const fn ends(self) -> (u128, u128) {
        (self.first, self.last)
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        self.family == IpFamily::of(ip) && (self.first..=self.last).contains(&ip_to_number(ip))
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// How many addresses there are.
    #[must_use]
    pub const fn size(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// How many of them end in .0 or .255.
    const fn buggy(self) -> u128 {
        match self.family {
            IpFamily::V4 => buggy_below(self.last + 1) - buggy_below(self.first),
            IpFamily::V6 => 0,
        }
    }

    /// Whether a whole prefix of this length is in it.
    pub(crate) fn has_prefix_of(self, length: u8) -> bool {
        let bits = match self.family {
            IpFamily::V4 => 32,
            IpFamily::V6 => 128,
        };
        let host_bits = u32::from(bits - length.min(bits));
        let Some(size) = 1_u128.checked_shl(host_bits) else {
            return false;
        };
        let start = self.first.checked_next_multiple_of(size);
        let end = start.and_then(|start| start.checked_add(size - 1));
        end.is_some_and(|end| end <= self.last)
    }

    /// The prefix with these addresses and no others, if there is one.
    fn prefix(self) -> Option<IpNet> {
        let size = self.size();
        let is_aligned = size.is_power_of_two() && self.first.is_multiple_of(size);
        let bits = match self.family {
            IpFamily::V4 => 32,
            IpFamily::V6 => 128,
        };
        let length = u8::try_from(bits - size.trailing_zeros()).ok()?;
        let prefix = IpNet::new(self.first(), length).ok();
        prefix.filter(|_| is_aligned)
    }
}

/// How many of the addresses below this one end in .0 or .255.
const fn buggy_below(number: u128) -> u128 {
    let (blocks, rest) = (number / 256, number % 256);
    // The last of a block is never below a number in it.
    blocks * 2 + if rest > 0 { 1 } else { 0 }
}

impl From<IpNet> for AddressRange {
    fn from(prefix: IpNet) -> Self {
        Self {
            family: IpFamily::of(prefix.network()),
            first: ip_to_number(prefix.network()),
            last: ip_to_number(prefix.broadcast()),
        }
    }
}

/// As it is written in the file, a prefix where it is one.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix() {
            Some(prefix) => write!(f, "{prefix}"),
            None => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

/// An address as a number.
pub(crate) fn ip_to_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A number as an address.
pub(crate) fn ip_from_number(family: IpFamily, number: u128) -> IpAddr {
    match family {
        // It came from 32 bits.
        IpFamily::V4 => Ipv4Addr::from_bits(number as u32).into(),
        IpFamily::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

/// `[[pool]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// IPv4 first, the lowest first; at least one, and none overlaps another of any pool.
    pub addresses: Vec<AddressRange>,
    /// Services that name no pool may have addresses of it.
    pub auto_assign: bool,
    /// IPv4 addresses that end in .0 or .255 are left out: old equipment takes them for those of a
    /// network.
    pub avoid_buggy_ips: bool,
}

impl PoolConfig {
    /// Whether an address is one of its addresses, be it for assigning or not.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(ip))
    }

    /// Whether a service may be given this address of the pool.
    #[must_use]
    pub fn may_assign(&self, ip: IpAddr) -> bool {
        self.contains(ip) && !(self.avoid_buggy_ips && is_buggy(IpFamily::of(ip), ip_to_number(ip)))
    }

    /// How many addresses of a family may be assigned.
    #[must_use]
    pub fn size(&self, family: IpFamily) -> u128 {
        let ranges = self.addresses.iter();
        let ranges = ranges.filter(|range| range.family == family);
        let sizes = ranges.map(|range| match self.avoid_buggy_ips {
            true => range.size() - range.buggy(),
            false => range.size(),
        });
        sizes.fold(0, u128::saturating_add)
    }

    /// The families that it has addresses of.
    #[must_use]
    pub fn families(&self) -> Option<IpFamilies> {
        IpFamilies::of(IpFamily::ALL.into_iter().filter(|it| self.size(*it) > 0))
    }
}

/// Whether it ends in .0 or .255.
pub(crate) const fn is_buggy(family: IpFamily, number: u128) -> bool {
    matches!(family, IpFamily::V4) && matches!(number % 256, 0 | 255)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).unwrap()
    }

    fn refused(text: &str) -> String {
        AddressRange::parse(text).unwrap_err()
    }

    #[test]
    fn ranges_prefixes_and_single_addresses_are_ranges() {
        for (text, first, last, size) in [
            ("192.0.2.10-192.0.2.20", "192.0.2.10", "192.0.2.20", 11),
            ("192.0.2.10 - 192.0.2.20", "192.0.2.10", "192.0.2.20", 11),
            ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", 1 << 24),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", 1),
            (
                "2001:db8::/64",
                "2001:db8::",
                "2001:db8::ffff:ffff:ffff:ffff",
                1 << 64,
            ),
            ("2001:db8::1-2001:db8::3", "2001:db8::1", "2001:db8::3", 3),
        ] {
            let range = range(text);
            assert_eq!(range.first().to_string(), first);
            assert_eq!(range.last().to_string(), last);
            assert_eq!(range.size(), size);
        }
    }

    #[test]
    fn what_is_no_range_is_refused_in_words() {
        assert!(refused("192.0.2.20-192.0.2.10").contains("\"192.0.2.10-192.0.2.20\""));
        assert!(refused("192.0.2.1-2001:db8::1").contains("one family"));
        assert!(refused("192.0.2.1/24").contains("\"192.0.2.0/24\""));
        for text in ["", "-", "192.0.2.1-", "web", "192.0.2.0/33", "1-2-3"] {
            assert_eq!(refused(text), AddressRange::EXPECTED, "{text}");
        }
    }

    #[test]
    fn addresses_that_mean_nothing_elsewhere_are_refused() {
        for (text, what) in [
            ("0.0.0.0/0", "0.0.0.0/8"),
            ("127.0.0.1", "127.0.0.0/8"),
            ("169.0.0.0-170.0.0.0", "169.254.0.0/16"),
            ("239.0.0.0/24", "224.0.0.0/4"),
            ("255.255.255.255", "240.0.0.0/4"),
            ("::/0", "::/96"),
            ("::1", "::/96"),
            ("::ffff:192.0.2.0/120", "::ffff:0:0/96"),
            ("fe80::/64", "fe80::/10"),
            ("ff02::1", "ff00::/8"),
        ] {
            assert!(refused(text).contains(what), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn it_is_written_as_a_prefix_where_it_is_one() {
        for text in [
            "192.0.2.0/24",
            "192.0.2.7/32",
            "192.0.2.1-192.0.2.2",
            "192.0.2.0-192.0.2.2",
            "2001:db8::/64",
            "2001:db8::1-2001:db8::ffff",
        ] {
            assert_eq!(range(text).to_string(), text);
        }
    }

    #[test]
    fn the_size_leaves_out_what_is_not_assigned() {
        let pool = |avoid_buggy_ips| PoolConfig {
            addresses: vec![range("192.0.2.254-192.0.4.1"), range("2001:db8::/127")],
            auto_assign: true,
            avoid_buggy_ips,
        };
        // .254 .255, .0 to .255, .0 .1
        assert_eq!(pool(false).size(IpFamily::V4), 2 + 256 + 2);
        assert_eq!(pool(true).size(IpFamily::V4), 1 + 254 + 1);
        assert_eq!(pool(true).size(IpFamily::V6), 2);
        assert!(!pool(true).may_assign([192, 0, 3, 0].into()));
        assert!(pool(false).may_assign([192, 0, 3, 0].into()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first: u128, length in 0_u128..70_000, is_v4: bool) {
            let family = if is_v4 { IpFamily::V4 } else { IpFamily::V6 };
            let highest = if is_v4 { u128::from(u32::MAX) } else { u128::MAX };
            let first = first & highest;
            let last = first.saturating_add(length).min(highest);
            let range = AddressRange { family, first, last };
            let read = match range.to_string() {
                text if text.contains('-') => {
                    let (first, last) = text.split_once('-').unwrap();
                    AddressRange::parse_ends(first, last)
                }
                text => AddressRange::parse_prefix(&text),
            };
            prop_assert_eq!(read, Ok(range));
            let buggy = (first..=last).filter(|number| is_buggy(family, *number)).count();
            prop_assert_eq!(range.buggy(), buggy as u128);
        }
    }
}
