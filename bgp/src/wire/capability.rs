//! Capabilities (RFC 5492): what each side can do, in its OPEN.

mod value;

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::types::{Asn, Family, Role};

pub use value::{
    AddPath, AddPathDirection, ExtendedNextHop, GracefulRestart, GracefulRestartFamily, Hostname,
    LongLivedGracefulRestart, LongLivedStaleTime, RestartTime,
};

/// One capability. Those that are not understood are kept as they came, and ignored (RFC 5492 §3).
///
/// Values that take room stand apart, for an OPEN of a few octets can have a hundred capabilities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Code 1: routes of this family (RFC 4760 §8).
    Multiprotocol(Family),
    /// Code 2: ROUTE-REFRESH is answered (RFC 2918).
    RouteRefresh,
    /// Code 5: next hops of another family are understood (RFC 8950 §4).
    ExtendedNextHop(Box<[ExtendedNextHop]>),
    /// Code 6: messages may be up to 65,535 octets long (RFC 8654).
    ExtendedMessage,
    /// Code 9: what the sender is to us (RFC 9234 §4.1).
    Role(Role),
    /// Code 64: routes survive a restart (RFC 4724).
    GracefulRestart(Box<GracefulRestart>),
    /// Code 65: AS numbers have four octets, and this is ours (RFC 6793).
    FourOctetAs(Asn),
    /// Code 69: a prefix may have several paths (RFC 7911).
    AddPath(Box<[AddPath]>),
    /// Code 70: a refresh has a beginning and an end (RFC 7313).
    EnhancedRouteRefresh,
    /// Code 71: routes survive a long absence (RFC 9494).
    LongLivedGracefulRestart(Box<[LongLivedGracefulRestart]>),
    /// Code 73: what the sender calls itself.
    Hostname(Box<Hostname>),
    /// Code 74: the session waits for BFD (draft-ietf-idr-bgp-bfd-strict-mode).
    BfdStrict,
    /// Any other code, and a known one whose value means nothing: a role or a direction of several
    /// paths that there is not, a hostname that cannot be read.
    Unknown {
        /// The code.
        code: u8,
        /// Its value.
        value: Box<[u8]>,
    },
}

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ADD_PATH: u8 = 69;
const ENHANCED_ROUTE_REFRESH: u8 = 70;
const LONG_LIVED_GRACEFUL_RESTART: u8 = 71;
const HOSTNAME: u8 = 73;
const BFD_STRICT: u8 = 74;

/// A capability that cannot be ignored and cannot be accepted either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCapability {
    /// Known, of the wrong length.
    Length,
    /// Four-octet AS with a number that no AS may have.
    Asn,
}

impl Capability {
    pub(super) fn decode(code: u8, value: &[u8]) -> Result<Self, BadCapability> {
        let understood = match (code, value) {
            (MULTIPROTOCOL, &[afi_high, afi_low, _reserved, safi]) => {
                Some(Self::Multiprotocol(Family {
                    afi: u16::from_be_bytes([afi_high, afi_low]),
                    safi,
                }))
            }
            (ROUTE_REFRESH, []) => Some(Self::RouteRefresh),
            (EXTENDED_MESSAGE, []) => Some(Self::ExtendedMessage),
            (ENHANCED_ROUTE_REFRESH, []) => Some(Self::EnhancedRouteRefresh),
            (BFD_STRICT, []) => Some(Self::BfdStrict),
            (ROLE, &[role]) => Role::from_octet(role).map(Self::Role),
            (FOUR_OCTET_AS, &[a, b, c, d]) => {
                let asn = Asn::new(u32::from_be_bytes([a, b, c, d])).ok_or(BadCapability::Asn)?;
                Some(Self::FourOctetAs(asn))
            }
            (EXTENDED_NEXT_HOP, _) => {
                let tuples = value::list(value, ExtendedNextHop::decode);
                let tuples = tuples.ok_or(BadCapability::Length)?;
                Some(Self::ExtendedNextHop(
                    tuples.into_iter().flatten().collect(),
                ))
            }
            (GRACEFUL_RESTART, _) => {
                let restart = GracefulRestart::decode(value).ok_or(BadCapability::Length)?;
                Some(Self::GracefulRestart(Box::new(restart)))
            }
            (ADD_PATH, _) => {
                // RFC 7911 §4: with any other direction the capability is not understood.
                let tuples = value::list_of_known(value, AddPath::decode);
                tuples.ok_or(BadCapability::Length)?.map(Self::AddPath)
            }
            (LONG_LIVED_GRACEFUL_RESTART, _) => {
                let families = value::list(value, LongLivedGracefulRestart::decode);
                let families = families.ok_or(BadCapability::Length)?;
                Some(Self::LongLivedGracefulRestart(families))
            }
            (HOSTNAME, _) => {
                Hostname::decode(value).map(|hostname| Self::Hostname(Box::new(hostname)))
            }
            (
                MULTIPROTOCOL
                | ROUTE_REFRESH
                | EXTENDED_MESSAGE
                | ENHANCED_ROUTE_REFRESH
                | BFD_STRICT
                | ROLE
                | FOUR_OCTET_AS,
                _,
            ) => return Err(BadCapability::Length),
            _ => None,
        };
        Ok(understood.unwrap_or_else(|| Self::Unknown {
            code,
            value: value.into(),
        }))
    }

    /// Appends code, length and value. A list that is too long for its length of one octet loses
    /// its end, at a value's boundary.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&[self.code(), 0]);
        match self {
            Self::Multiprotocol(Family { afi, safi }) => {
                out.put_u16(*afi);
                out.put_slice(&[0, *safi]);
            }
            Self::RouteRefresh
            | Self::ExtendedMessage
            | Self::EnhancedRouteRefresh
            | Self::BfdStrict => {}
            Self::ExtendedNextHop(tuples) => {
                let fitting = tuples.iter().take(MAX_VALUE / 6);
                fitting.for_each(|tuple| tuple.encode(out));
            }
            Self::Role(role) => out.put_u8(*role as u8),
            Self::GracefulRestart(restart) => restart.encode(out),
            Self::FourOctetAs(asn) => out.put_u32(asn.value()),
            Self::AddPath(tuples) => {
                let fitting = tuples.iter().take(MAX_VALUE / 4);
                fitting.for_each(|tuple| tuple.encode(out));
            }
            Self::LongLivedGracefulRestart(families) => {
                let fitting = families.iter().take(MAX_VALUE / 7);
                fitting.for_each(|family| family.encode(out));
            }
            Self::Hostname(hostname) => hostname.encode(out),
            Self::Unknown { value, .. } => {
                out.put_slice(value.get(..MAX_VALUE).unwrap_or(value));
            }
        }
        let length = u8::try_from(out.len() - start - 2).unwrap_or(u8::MAX);
        if let Some(place) = out.get_mut(start + 1) {
            *place = length;
        }
    }

    /// The code (IANA, "Capability Codes").
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => MULTIPROTOCOL,
            Self::RouteRefresh => ROUTE_REFRESH,
            Self::ExtendedNextHop(_) => EXTENDED_NEXT_HOP,
            Self::ExtendedMessage => EXTENDED_MESSAGE,
            Self::Role(_) => ROLE,
            Self::GracefulRestart(_) => GRACEFUL_RESTART,
            Self::FourOctetAs(_) => FOUR_OCTET_AS,
            Self::AddPath(_) => ADD_PATH,
            Self::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
            Self::LongLivedGracefulRestart(_) => LONG_LIVED_GRACEFUL_RESTART,
            Self::Hostname(_) => HOSTNAME,
            Self::BfdStrict => BFD_STRICT,
            Self::Unknown { code, .. } => *code,
        }
    }
}

/// Octets that a length of one octet can count.
const MAX_VALUE: usize = 255;

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiprotocol(family) => write!(f, "{family}"),
            Self::RouteRefresh => f.write_str("route-refresh"),
            Self::ExtendedNextHop(tuples) => put_list(f, "extended-next-hop", tuples),
            Self::ExtendedMessage => f.write_str("extended-message"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::GracefulRestart(restart) => write!(f, "graceful-restart {restart}"),
            Self::FourOctetAs(asn) => write!(f, "4-octet-as {asn}"),
            Self::AddPath(tuples) => put_list(f, "add-path", tuples),
            Self::EnhancedRouteRefresh => f.write_str("enhanced-route-refresh"),
            Self::LongLivedGracefulRestart(families) => {
                put_list(f, "long-lived-graceful-restart", families)
            }
            Self::Hostname(hostname) => write!(f, "hostname {hostname}"),
            Self::BfdStrict => f.write_str("bfd-strict"),
            Self::Unknown { code, value } => match (*code, value.as_ref()) {
                (ROLE, [role]) => write!(f, "role {role}"),
                (ADD_PATH, _) => f.write_str("add-path (not understood)"),
                (HOSTNAME, _) => f.write_str("hostname (not understood)"),
                (67, _) => f.write_str("dynamic"),
                (75, _) => f.write_str("software-version"),
                (76, _) => f.write_str("paths-limit"),
                (77, _) => f.write_str("link-local-next-hop"),
                (128, _) => f.write_str("route-refresh-old"),
                (code, _) => write!(f, "capability-{code}"),
            },
        }
    }
}

fn put_list(f: &mut fmt::Formatter<'_>, name: &str, values: &[impl fmt::Display]) -> fmt::Result {
    f.write_str(name)?;
    values.iter().try_for_each(|value| write!(f, " {value}"))
}

#[cfg(test)]
#[path = "capability/tests.rs"]
mod tests;
