//! Capabilities (RFC 5492): what each side can do, in its OPEN.

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::types::{Asn, Family};

/// One capability. Those that are not understood are kept as they came, and ignored (RFC 5492 §3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Code 1: routes of this family (RFC 4760 §8).
    Multiprotocol(Family),
    /// Code 2: ROUTE-REFRESH is answered (RFC 2918).
    RouteRefresh,
    /// Code 6: messages may be up to 65,535 octets long (RFC 8654).
    ExtendedMessage,
    /// Code 65: AS numbers have four octets, and this is ours (RFC 6793).
    FourOctetAs(Asn),
    /// Any other code, or a known one whose value has an impossible length.
    Unknown {
        /// The code.
        code: u8,
        /// Its value.
        value: Box<[u8]>,
    },
}

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_MESSAGE: u8 = 6;
const FOUR_OCTET_AS: u8 = 65;

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
        match (code, value) {
            (MULTIPROTOCOL, &[afi_high, afi_low, _reserved, safi]) => {
                Ok(Self::Multiprotocol(Family {
                    afi: u16::from_be_bytes([afi_high, afi_low]),
                    safi,
                }))
            }
            (ROUTE_REFRESH, []) => Ok(Self::RouteRefresh),
            (EXTENDED_MESSAGE, []) => Ok(Self::ExtendedMessage),
            (FOUR_OCTET_AS, &[a, b, c, d]) => Asn::new(u32::from_be_bytes([a, b, c, d]))
                .map(Self::FourOctetAs)
                .ok_or(BadCapability::Asn),
            (MULTIPROTOCOL | ROUTE_REFRESH | EXTENDED_MESSAGE | FOUR_OCTET_AS, _) => {
                Err(BadCapability::Length)
            }
            (code, _) => Ok(Self::Unknown {
                code,
                value: value.into(),
            }),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let code = self.code();
        match self {
            Self::Multiprotocol(Family { afi, safi }) => {
                let [high, low] = afi.to_be_bytes();
                out.put_slice(&[code, 4, high, low, 0, *safi]);
            }
            Self::RouteRefresh | Self::ExtendedMessage => out.put_slice(&[code, 0]),
            Self::FourOctetAs(asn) => {
                let [a, b, c, d] = asn.value().to_be_bytes();
                out.put_slice(&[code, 4, a, b, c, d]);
            }
            Self::Unknown { value, .. } => {
                let value = value.get(..usize::from(u8::MAX)).unwrap_or(value);
                out.put_slice(&[code, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
                out.put_slice(value);
            }
        }
    }

    /// The code (IANA, "Capability Codes").
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => MULTIPROTOCOL,
            Self::RouteRefresh => ROUTE_REFRESH,
            Self::ExtendedMessage => EXTENDED_MESSAGE,
            Self::FourOctetAs(_) => FOUR_OCTET_AS,
            Self::Unknown { code, .. } => *code,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiprotocol(family) => write!(f, "{family}"),
            Self::RouteRefresh => f.write_str("route-refresh"),
            Self::ExtendedMessage => f.write_str("extended-message"),
            Self::FourOctetAs(asn) => write!(f, "4-octet-as {asn}"),
            Self::Unknown { code, .. } => match code {
                5 => f.write_str("extended-next-hop"),
                9 => f.write_str("role"),
                64 => f.write_str("graceful-restart"),
                67 => f.write_str("dynamic"),
                69 => f.write_str("add-path"),
                70 => f.write_str("enhanced-route-refresh"),
                71 => f.write_str("long-lived-graceful-restart"),
                73 => f.write_str("hostname"),
                74 => f.write_str("bfd-strict"),
                75 => f.write_str("software-version"),
                76 => f.write_str("paths-limit"),
                77 => f.write_str("link-local-next-hop"),
                128 => f.write_str("route-refresh-old"),
                code => write!(f, "capability-{code}"),
            },
        }
    }
}
