//! The words that every layer shares: AS numbers, identifiers, families, communities, hold time.
//!
//! Each type holds legal values only; what can be out of range has a fallible constructor.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

mod extended_community;
mod role;

pub use extended_community::{ExtendedCommunity, Ipv6ExtendedCommunity};
pub use role::Role;

/// An autonomous system number, never 0 (RFC 7607) and, being four octets wide, never a stand-in
/// (RFC 6793).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// The two-octet stand-in for AS numbers that need four (RFC 6793 §9). Legal in My Autonomous
    /// System only.
    pub const AS_TRANS: u16 = 23456;

    /// `None` for 0, which no AS may use (RFC 7607), and for AS_TRANS, which stands for another
    /// (RFC 6793).
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value == Self::AS_TRANS as u32 {
            return None;
        }
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0.get()
    }

    /// What the two-octet My Autonomous System field says of this AS (RFC 6793 §4.2.1).
    #[must_use]
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.value()).unwrap_or(Self::AS_TRANS)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// The BGP Identifier: four octets, not zero, unique within an AS (RFC 6286 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BgpIdentifier(NonZeroU32);

impl BgpIdentifier {
    /// `None` for 0.0.0.0.
    #[must_use]
    pub fn new(address: Ipv4Addr) -> Option<Self> {
        NonZeroU32::new(address.to_bits()).map(Self)
    }

    /// As an unsigned integer in host order, the form in which identifiers are compared (RFC 6286
    /// §2.3).
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0.get()
    }
}

impl From<BgpIdentifier> for Ipv4Addr {
    fn from(identifier: BgpIdentifier) -> Self {
        Self::from_bits(identifier.to_bits())
    }
}

impl fmt::Display for BgpIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(*self).fmt(f)
    }
}

impl fmt::Debug for BgpIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long a session may be silent: 0 for ever, or 3 to 65,535 whole seconds (RFC 4271 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(u16);

impl HoldTime {
    /// Neither the hold timer nor the keepalive timer runs.
    pub const ZERO: Self = Self(0);
    /// 90 s, what RFC 4271 §10 suggests.
    pub const DEFAULT: Self = Self(90);

    /// `None` for 1 and 2 s, which RFC 4271 §4.2 forbids.
    #[must_use]
    pub const fn from_secs(seconds: u16) -> Option<Self> {
        match seconds {
            1 | 2 => None,
            _ => Some(Self(seconds)),
        }
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u16 {
        self.0
    }

    /// `None` for 0, when the timer does not run.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        (self.0 != 0).then(|| Duration::from_secs(u64::from(self.0)))
    }
}

impl Default for HoldTime {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for HoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// An address family and what of it: AFI and SAFI (RFC 4760). Any pair can be said; two of them can
/// be used here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// Address Family Identifier: 1 is IPv4, 2 is IPv6.
    pub afi: u16,
    /// Subsequent Address Family Identifier: 1 is unicast.
    pub safi: u8,
}

impl Family {
    /// AFI 1, SAFI 1.
    pub const IPV4_UNICAST: Self = Self { afi: 1, safi: 1 };
    /// AFI 2, SAFI 1.
    pub const IPV6_UNICAST: Self = Self { afi: 2, safi: 1 };

    /// The unicast family that `prefix` belongs to.
    #[must_use]
    pub const fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::IPV4_UNICAST,
            IpNet::V6(_) => Self::IPV6_UNICAST,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4_UNICAST => f.write_str("ipv4-unicast"),
            Self::IPV6_UNICAST => f.write_str("ipv6-unicast"),
            Self { afi, safi } => write!(f, "afi-{afi}-safi-{safi}"),
        }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Family {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ipv4-unicast" => Ok(Self::IPV4_UNICAST),
            "ipv6-unicast" => Ok(Self::IPV6_UNICAST),
            _ => Err(UnknownName {
                found: text.to_owned(),
                expected: "\"ipv4-unicast\" or \"ipv6-unicast\"",
            }),
        }
    }
}

/// A text that names nothing known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not {expected}")]
pub struct UnknownName {
    /// What was there.
    pub found: String,
    /// What would be right.
    pub expected: &'static str,
}

/// Where a route came from (RFC 4271 §4.3, ORIGIN). Receivers prefer the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Origin {
    /// Interior to the originating AS: what a service announced by configuration is.
    #[default]
    Igp = 0,
    /// Learned by EGP (RFC 904).
    Egp = 1,
    /// Learned by other means.
    Incomplete = 2,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

/// A community: four octets, by convention an AS and a value of its choosing (RFC 1997).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// The receiver lowers its preference before the link goes away (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xFFFF_0000);
    /// Import a route that began in the importing router (RFC 7611).
    pub const ACCEPT_OWN: Self = Self(0xFFFF_0001);
    /// The route is stale, and kept for want of a better one (RFC 9494).
    pub const LLGR_STALE: Self = Self(0xFFFF_0006);
    /// The route is not to be kept when it is stale (RFC 9494).
    pub const NO_LLGR: Self = Self(0xFFFF_0007);
    /// The receiver discards traffic to the prefix (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xFFFF_029A);
    /// Not beyond the receiving AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xFFFF_FF01);
    /// To no peer at all (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xFFFF_FF02);
    /// Not beyond the receiving member AS of a confederation (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xFFFF_FF03);

    /// Not to peers: to customers and providers only (RFC 3765).
    pub const NO_PEER: Self = Self(0xFFFF_FF04);

    const NAMES: [(&'static str, Self); 9] = [
        ("graceful-shutdown", Self::GRACEFUL_SHUTDOWN),
        ("accept-own", Self::ACCEPT_OWN),
        ("llgr-stale", Self::LLGR_STALE),
        ("no-llgr", Self::NO_LLGR),
        ("blackhole", Self::BLACKHOLE),
        ("no-export", Self::NO_EXPORT),
        ("no-advertise", Self::NO_ADVERTISE),
        ("no-export-subconfed", Self::NO_EXPORT_SUBCONFED),
        ("no-peer", Self::NO_PEER),
    ];

    /// `high:low`.
    #[must_use]
    pub const fn new(high: u16, low: u16) -> Self {
        Self((high as u32) << 16 | low as u32)
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, value)| value == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xFFFF),
        }
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Community {
    type Err = UnknownName;

    /// `64520:100`, or a well-known name such as `no-export`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, value)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let parts = text
            .split_once(':')
            .and_then(|(high, low)| Some(Self::new(high.parse().ok()?, low.parse().ok()?)));
        parts.ok_or_else(|| UnknownName {
            found: text.to_owned(),
            expected: "a community: \"0-65535:0-65535\", or one of \"no-export\", \"no-advertise\", \
                       \"no-export-subconfed\", \"no-peer\", \"graceful-shutdown\", \"blackhole\", \
                       \"accept-own\", \"llgr-stale\", \"no-llgr\"",
        })
    }
}

/// A large community: three times four octets, the first an AS (RFC 8092).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// The Global Administrator: the AS whose meaning the others have.
    pub global_administrator: u32,
    /// Local Data Part 1.
    pub local_data_1: u32,
    /// Local Data Part 2.
    pub local_data_2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.global_administrator, self.local_data_1, self.local_data_2
        )
    }
}

impl fmt::Debug for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LargeCommunity {
    type Err = UnknownName;

    /// `64520:1:2`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':').map(|part| part.parse().ok());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (
                Some(Some(global_administrator)),
                Some(Some(local_data_1)),
                Some(Some(local_data_2)),
                None,
            ) => Ok(Self {
                global_administrator,
                local_data_1,
                local_data_2,
            }),
            _ => Err(UnknownName {
                found: text.to_owned(),
                expected: "a large community: three numbers of 0-4294967295, as in \"64520:1:2\"",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asn_is_neither_zero_nor_as_trans() {
        assert_eq!(Asn::new(0), None);
        assert_eq!(Asn::new(23456), None);
        assert_eq!(Asn::new(64520).map(Asn::two_octets), Some(64520));
        assert_eq!(
            Asn::new(4_200_000_000).map(Asn::two_octets),
            Some(Asn::AS_TRANS)
        );
    }

    #[test]
    fn hold_time_is_zero_or_three_and_more() {
        assert_eq!(HoldTime::from_secs(1), None);
        assert_eq!(HoldTime::from_secs(2), None);
        assert_eq!(HoldTime::from_secs(0), Some(HoldTime::ZERO));
        assert_eq!(
            HoldTime::from_secs(3).and_then(HoldTime::duration),
            Some(Duration::from_secs(3))
        );
    }

    #[test]
    fn communities_read_as_they_are_written() {
        for text in [
            "64520:100",
            "no-export",
            "graceful-shutdown",
            "no-llgr",
            "0:0",
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!(
            "64520:1:2".parse::<LargeCommunity>().unwrap().to_string(),
            "64520:1:2"
        );
        for text in ["", "1", "65536:1", "1:2:3", "no-exports"] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
        for text in ["1:2", "1:2:3:4", "1:2:4294967296"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
    }
}
