//! Values of the capabilities that have one to speak of.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::super::parse::short_value;
use super::MAX_VALUE;
use crate::types::Family;

/// RFC 8950 §4: next hops of another family than that of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedNextHop {
    /// Of the routes.
    pub family: Family,
    /// Of their next hops: 2 is IPv6.
    pub next_hop_afi: u16,
}

impl ExtendedNextHop {
    /// IPv4 routes with an IPv6 next hop.
    pub const IPV4_OVER_IPV6: Self = Self {
        family: Family::IPV4_UNICAST,
        next_hop_afi: 2,
    };

    /// `None` for what needs more octets than any SAFI has.
    pub(super) fn decode(octets: [u8; 6]) -> Option<Self> {
        let [afi_high, afi_low, safi_high, safi, next_high, next_low] = octets;
        (safi_high == 0).then_some(Self {
            family: family([afi_high, afi_low, safi]),
            next_hop_afi: u16::from_be_bytes([next_high, next_low]),
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.family.afi);
        out.put_u16(u16::from(self.family.safi));
        out.put_u16(self.next_hop_afi);
    }
}

impl fmt::Display for ExtendedNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.next_hop_afi {
            1 => write!(f, "{}/ipv4", self.family),
            2 => write!(f, "{}/ipv6", self.family),
            afi => write!(f, "{}/afi-{afi}", self.family),
        }
    }
}

/// How long a session may take to come back, in seconds: 0 to 4,095 (RFC 4724 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RestartTime(u16);

impl RestartTime {
    /// 4,095 seconds.
    pub const MAX: Self = Self(0x0FFF);

    /// `None` for more than 4,095, which the field cannot hold.
    #[must_use]
    pub const fn from_secs(seconds: u16) -> Option<Self> {
        if seconds > Self::MAX.0 {
            return None;
        }
        Some(Self(seconds))
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u16 {
        self.0
    }
}

/// RFC 4724 §3, with the N bit of RFC 8538 §2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GracefulRestart {
    /// R: the sender has restarted, and does not want to be waited for with End-of-RIB.
    pub restarting: bool,
    /// N: a NOTIFICATION does not cost the routes either.
    pub notification: bool,
    /// How long the sender may take to come back.
    pub restart_time: RestartTime,
    /// Families whose routes survive; none is legal, and offers End-of-RIB alone.
    pub families: Vec<GracefulRestartFamily>,
}

/// A family whose routes survive a restart of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GracefulRestartFamily {
    /// Which.
    pub family: Family,
    /// F: traffic was forwarded all through the last restart.
    pub forwarding: bool,
}

const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const FORWARDING: u8 = 0x80;

impl GracefulRestart {
    /// `None` when the length is not 2 and any number of times 4.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_first_chunk()?;
        let head = u16::from_be_bytes(*head);
        let families = list(rest, |[afi_high, afi_low, safi, flags]| {
            GracefulRestartFamily {
                family: family([afi_high, afi_low, safi]),
                forwarding: flags & FORWARDING != 0,
            }
        })?;
        Some(Self {
            restarting: head & RESTARTING != 0,
            notification: head & NOTIFICATION != 0,
            restart_time: RestartTime(head & RestartTime::MAX.0),
            families: families.into_vec(),
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let restarting = if self.restarting { RESTARTING } else { 0 };
        let notification = if self.notification { NOTIFICATION } else { 0 };
        out.put_u16(restarting | notification | self.restart_time.0);
        let fitting = self.families.iter().take((MAX_VALUE - 2) / 4);
        for GracefulRestartFamily { family, forwarding } in fitting {
            put_family(*family, out);
            out.put_u8(if *forwarding { FORWARDING } else { 0 });
        }
    }
}

impl fmt::Display for GracefulRestart {
    /// `120s restarting notification ipv4-unicast/forwarding ipv6-unicast`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.restart_time.0)?;
        if self.restarting {
            f.write_str(" restarting")?;
        }
        if self.notification {
            f.write_str(" notification")?;
        }
        for GracefulRestartFamily { family, forwarding } in &self.families {
            let forwarding = if *forwarding { "/forwarding" } else { "" };
            write!(f, " {family}{forwarding}")?;
        }
        Ok(())
    }
}

/// What the sender does with several paths to one prefix (RFC 7911 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddPath {
    /// Of the routes.
    pub family: Family,
    /// Which way.
    pub direction: AddPathDirection,
}

/// Which way several paths may go, as the sender of the capability sees it (RFC 7911 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AddPathDirection {
    /// It takes them.
    Receive = 1,
    /// It sends them.
    Send = 2,
    /// Both.
    Both = 3,
}

impl AddPathDirection {
    const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Receive,
            2 => Self::Send,
            3 => Self::Both,
            _ => return None,
        })
    }

    /// Whether its sender takes several paths.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Whether its sender sends several paths.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

impl fmt::Display for AddPathDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Both => "both",
        })
    }
}

impl AddPath {
    /// `None` for a direction that there is not.
    pub(super) fn decode([afi_high, afi_low, safi, direction]: [u8; 4]) -> Option<Self> {
        Some(Self {
            family: family([afi_high, afi_low, safi]),
            direction: AddPathDirection::from_octet(direction)?,
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_family(self.family, out);
        out.put_u8(self.direction as u8);
    }
}

impl fmt::Display for AddPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.direction)
    }
}

/// How long routes may be stale, in seconds: 0 to 16,777,215 (RFC 9494 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongLivedStaleTime(u32);

impl LongLivedStaleTime {
    /// `None` for more than 24 bits can hold.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Option<Self> {
        if seconds > 0x00FF_FFFF {
            return None;
        }
        Some(Self(seconds))
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

/// A family whose routes may outlive the restart time (RFC 9494 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LongLivedGracefulRestart {
    /// Which.
    pub family: Family,
    /// F: traffic was forwarded all through the last restart.
    pub forwarding: bool,
    /// For how long.
    pub stale_time: LongLivedStaleTime,
}

impl LongLivedGracefulRestart {
    pub(super) fn decode([afi_high, afi_low, safi, flags, a, b, c]: [u8; 7]) -> Self {
        Self {
            family: family([afi_high, afi_low, safi]),
            forwarding: flags & FORWARDING != 0,
            stale_time: LongLivedStaleTime(u32::from_be_bytes([0, a, b, c])),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_family(self.family, out);
        out.put_u8(if self.forwarding { FORWARDING } else { 0 });
        let [_, time @ ..] = self.stale_time.0.to_be_bytes();
        out.put_slice(&time);
    }
}

impl fmt::Display for LongLivedGracefulRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forwarding = if self.forwarding { "/forwarding" } else { "" };
        write!(f, "{}/{}s{forwarding}", self.family, self.stale_time.0)
    }
}

/// What the sender calls itself (draft-walton-bgp-hostname-capability). For people to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hostname {
    host: String,
    domain: String,
}

impl Hostname {
    /// Octets of both names together, so that they fit a capability with their lengths.
    const MAX: usize = 253;

    /// `None` when both together have more than 253 octets.
    #[must_use]
    pub fn new(host: impl Into<String>, domain: impl Into<String>) -> Option<Self> {
        let (host, domain) = (host.into(), domain.into());
        (host.len() + domain.len() <= Self::MAX).then_some(Self { host, domain })
    }

    /// The name of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The domain it is in; often empty.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `None` when lengths do not agree or the names are not UTF-8.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (host, rest) = short_value(value)?;
        let (domain, rest) = short_value(rest)?;
        let text = |octets| std::str::from_utf8(octets).ok();
        rest.is_empty()
            .then(|| Self::new(text(host)?, text(domain)?))?
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        for name in [&self.host, &self.domain] {
            out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.put_slice(name.as_bytes());
        }
    }
}

impl fmt::Display for Hostname {
    /// `tor-a.example.net`; what would move a terminal's cursor is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host.escape_debug())?;
        if !self.domain.is_empty() {
            write!(f, ".{}", self.domain.escape_debug())?;
        }
        Ok(())
    }
}

const fn family([afi_high, afi_low, safi]: [u8; 3]) -> Family {
    Family {
        afi: u16::from_be_bytes([afi_high, afi_low]),
        safi,
    }
}

fn put_family(family: Family, out: &mut BytesMut) {
    out.put_u16(family.afi);
    out.put_u8(family.safi);
}

/// Values of `N` octets each; `None` when the last one is cut off.
pub(super) fn list<T, const N: usize>(
    value: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> Option<Box<[T]>> {
    let (values, rest) = value.as_chunks::<N>();
    rest.is_empty()
        .then(|| values.iter().map(|octets| read(*octets)).collect())
}

/// The same of values that may mean nothing; nothing is left of the list if one of them does.
pub(super) fn list_of_known<T, const N: usize>(
    value: &[u8],
    read: impl Fn([u8; N]) -> Option<T>,
) -> Option<Option<Box<[T]>>> {
    let (values, rest) = value.as_chunks::<N>();
    if !rest.is_empty() {
        return None;
    }
    let mut known = Vec::with_capacity(values.len());
    known.extend(values.iter().map_while(|octets| read(*octets)));
    Some((known.len() == values.len()).then(|| known.into()))
}
