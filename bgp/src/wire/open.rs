//! OPEN (RFC 4271 §4.2, §6.2): who is there, and what both can do.

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use super::capability::{BadCapability, Capability};
use super::notification::{Notification, code, subcode};
use super::parse::{Parsed, be_u16, be_u32, long_value, octet, octets, short_value};
use super::put_section;
use crate::types::{Asn, BgpIdentifier, HoldTime};

const VERSION: u8 = 4;
const PARAMETER_CAPABILITIES: u8 = 2;
/// Marks the extended form of the optional parameters (RFC 9072 §2).
const PARAMETER_EXTENDED: u8 = 255;
/// As many capabilities as most speakers have.
const USUAL_CAPABILITIES: usize = 12;

/// An OPEN whose values are legal; whether they are the expected ones is the session's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// My Autonomous System: two octets, AS_TRANS when the AS needs four.
    pub my_as: u16,
    /// The proposed hold time.
    pub hold_time: HoldTime,
    /// Who sent it.
    pub bgp_identifier: BgpIdentifier,
    /// Every capability of every Capabilities parameter, in order.
    pub capabilities: Vec<Capability>,
}

fn error(subcode: u8) -> Notification {
    Notification::new(code::OPEN_MESSAGE, subcode)
}

fn unspecific() -> Notification {
    error(subcode::open::UNSPECIFIC)
}

impl Open {
    /// The sender's AS: the four-octet one if it says so, else My Autonomous System (RFC 6793
    /// §4.1).
    ///
    /// # Errors
    /// Bad Peer AS, when the number is reserved or the two fields contradict each other.
    pub fn asn(&self) -> Result<Asn, Notification> {
        let bad_peer_as = || error(subcode::open::BAD_PEER_AS);
        let four_octets = self
            .capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::FourOctetAs(asn) => Some(*asn),
                _ => None,
            });
        let Some(asn) = four_octets else {
            return Asn::new(u32::from(self.my_as)).ok_or_else(bad_peer_as);
        };
        if self.my_as == asn.two_octets() || self.my_as == Asn::AS_TRANS {
            Ok(asn)
        } else {
            Err(bad_peer_as())
        }
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let (fixed, rest) = fixed_part(body).ok_or_else(unspecific)?;
        if fixed.version != VERSION {
            let supported = u16::from(VERSION).to_be_bytes();
            let unsupported = subcode::open::UNSUPPORTED_VERSION_NUMBER;
            return Err(Notification::with_data(
                code::OPEN_MESSAGE,
                unsupported,
                &supported,
            ));
        }
        if fixed.my_as == 0 {
            return Err(error(subcode::open::BAD_PEER_AS));
        }
        let hold_time = HoldTime::from_secs(fixed.hold_time)
            .ok_or_else(|| error(subcode::open::UNACCEPTABLE_HOLD_TIME))?;
        let bgp_identifier = BgpIdentifier::new(fixed.bgp_identifier)
            .ok_or_else(|| error(subcode::open::BAD_BGP_IDENTIFIER))?;
        let capabilities = decode_parameters(rest)?;
        Ok(Self {
            my_as: fixed.my_as,
            hold_time,
            bgp_identifier,
            capabilities,
        })
    }

    /// All capabilities stand in one parameter each, in the short form as long as it lasts: some
    /// speakers cannot read the extended one.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let [as_high, as_low] = self.my_as.to_be_bytes();
        let [hold_high, hold_low] = self.hold_time.as_secs().to_be_bytes();
        let [a, b, c, d] = self.bgp_identifier.to_bits().to_be_bytes();
        out.put_slice(&[VERSION, as_high, as_low, hold_high, hold_low, a, b, c, d]);
        let start = out.len();
        if self.encode_short(out).is_none() {
            out.truncate(start);
            self.encode_extended(out);
        }
    }

    /// `None` when a length exceeds its octet; a capability of 254 or 255 octets alone makes one.
    fn encode_short(&self, out: &mut BytesMut) -> Option<()> {
        let start = out.len();
        out.put_u8(0);
        for capability in &self.capabilities {
            let at = out.len();
            out.put_slice(&[PARAMETER_CAPABILITIES, 0]);
            capability.encode(out);
            *out.get_mut(at + 1)? = u8::try_from(out.len() - at - 2).ok()?;
        }
        *out.get_mut(start)? = u8::try_from(out.len() - start - 1).ok()?;
        Some(())
    }

    fn encode_extended(&self, out: &mut BytesMut) {
        out.put_slice(&[PARAMETER_EXTENDED, PARAMETER_EXTENDED]);
        put_section(out, |out| {
            for capability in &self.capabilities {
                out.put_u8(PARAMETER_CAPABILITIES);
                put_section(out, |out| capability.encode(out));
            }
        });
    }
}

struct Fixed {
    version: u8,
    my_as: u16,
    hold_time: u16,
    bgp_identifier: Ipv4Addr,
}

fn fixed_part(input: &[u8]) -> Parsed<'_, Fixed> {
    let (version, rest) = octet(input)?;
    let (my_as, rest) = be_u16(rest)?;
    let (hold_time, rest) = be_u16(rest)?;
    let (identifier, rest) = be_u32(rest)?;
    let fixed = Fixed {
        version,
        my_as,
        hold_time,
        bgp_identifier: Ipv4Addr::from_bits(identifier),
    };
    Some((fixed, rest))
}

/// A list of parameters: what stands where the type does, and how wide their lengths are.
fn parameter_list(input: &[u8]) -> Parsed<'_, (bool, &[u8])> {
    let (length, rest) = octet(input)?;
    if length != 0
        && let Some((PARAMETER_EXTENDED, extended)) = octet(rest)
    {
        // RFC 9072 §2: the one-octet length says nothing once the type is 255.
        let (parameters, rest) = long_value(extended)?;
        return Some(((true, parameters), rest));
    }
    let (parameters, rest) = octets(rest, usize::from(length))?;
    Some(((false, parameters), rest))
}

fn decode_parameters(input: &[u8]) -> Result<Vec<Capability>, Notification> {
    let ((extended, parameters), behind) = parameter_list(input).ok_or_else(unspecific)?;
    if !behind.is_empty() {
        return Err(unspecific());
    }
    let mut capabilities = Vec::with_capacity(USUAL_CAPABILITIES.min(parameters.len() / 2));
    if extended {
        decode_list(parameters, long_value, &mut capabilities)?;
    } else {
        decode_list(parameters, short_value, &mut capabilities)?;
    }
    Ok(capabilities)
}

fn decode_list<'a>(
    mut input: &'a [u8],
    value_of: impl Fn(&'a [u8]) -> Parsed<'a, &'a [u8]>,
    into: &mut Vec<Capability>,
) -> Result<(), Notification> {
    while let Some((kind, rest)) = octet(input) {
        let (value, rest) = value_of(rest).ok_or_else(unspecific)?;
        if kind != PARAMETER_CAPABILITIES {
            return Err(error(subcode::open::UNSUPPORTED_OPTIONAL_PARAMETER));
        }
        decode_capabilities(value, into)?;
        input = rest;
    }
    Ok(())
}

fn decode_capabilities(mut input: &[u8], into: &mut Vec<Capability>) -> Result<(), Notification> {
    while let Some((code, rest)) = octet(input) {
        let (value, rest) = short_value(rest).ok_or_else(unspecific)?;
        let capability = Capability::decode(code, value).map_err(|bad| {
            error(match bad {
                BadCapability::Length => subcode::open::UNSPECIFIC,
                BadCapability::Asn => subcode::open::BAD_PEER_AS,
            })
        })?;
        into.push(capability);
        input = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Family;

    fn body(my_as: u16, hold_time: u16, identifier: u32, parameters: &[u8]) -> Vec<u8> {
        let mut body = vec![4];
        body.extend_from_slice(&my_as.to_be_bytes());
        body.extend_from_slice(&hold_time.to_be_bytes());
        body.extend_from_slice(&identifier.to_be_bytes());
        body.extend_from_slice(parameters);
        body
    }

    fn decode(parameters: &[u8]) -> Result<Open, Notification> {
        Open::decode(&body(64520, 90, 1, parameters))
    }

    #[test]
    fn c_010_version_is_4() {
        let mut octets = body(64520, 90, 1, &[0]);
        octets[0] = 5;
        assert_eq!(
            Open::decode(&octets),
            Err(Notification::with_data(2, 1, &[0, 4]))
        );
    }

    #[test]
    fn c_011_as_zero_and_as_trans_are_nobody() {
        assert_eq!(
            Open::decode(&body(0, 90, 1, &[0])),
            Err(Notification::new(2, 2))
        );
        assert_eq!(
            decode(&[8, 2, 6, 65, 4, 0, 0, 0, 0]),
            Err(Notification::new(2, 2))
        );
        assert_eq!(
            decode(&[8, 2, 6, 65, 4, 0, 0, 0x5B, 0xA0]),
            Err(Notification::new(2, 2))
        );
        let two_octets = Open::decode(&body(23456, 90, 1, &[0])).unwrap();
        assert_eq!(two_octets.asn(), Err(Notification::new(2, 2)));
    }

    #[test]
    fn c_012_my_as_agrees_with_the_four_octet_as() {
        let capability = [8, 2, 6, 65, 4, 0, 0, 0xFC, 0x08];
        assert_eq!(
            decode(&capability).unwrap().asn(),
            Ok(Asn::new(64520).unwrap())
        );
        let as_trans = Open::decode(&body(23456, 90, 1, &capability)).unwrap();
        assert_eq!(as_trans.asn(), Ok(Asn::new(64520).unwrap()));
        let contradiction = Open::decode(&body(64521, 90, 1, &capability)).unwrap();
        assert_eq!(contradiction.asn(), Err(Notification::new(2, 2)));
    }

    #[test]
    fn c_013_identifier_is_not_zero() {
        assert_eq!(
            Open::decode(&body(64520, 90, 0, &[0])),
            Err(Notification::new(2, 3))
        );
        assert!(Open::decode(&body(64520, 90, 0xE000_0001, &[0])).is_ok());
    }

    #[test]
    fn c_014_hold_time_of_one_or_two_seconds() {
        for (seconds, legal) in [(0, true), (1, false), (2, false), (3, true)] {
            assert_eq!(
                Open::decode(&body(64520, seconds, 1, &[0])).is_ok(),
                legal,
                "{seconds}"
            );
        }
        assert_eq!(
            Open::decode(&body(64520, 2, 1, &[0])),
            Err(Notification::new(2, 6))
        );
    }

    #[test]
    fn c_016_parameters_agree_with_the_message() {
        assert_eq!(decode(&[1]), Err(Notification::new(2, 0)));
        assert_eq!(decode(&[0, 9]), Err(Notification::new(2, 0)));
        assert_eq!(decode(&[0x6B]), Err(Notification::new(2, 0)));
        assert_eq!(decode(&[3, 1, 1, 0]), Err(Notification::new(2, 4)));
    }

    #[test]
    fn c_017_lengths_that_overrun_their_container() {
        assert_eq!(decode(&[4, 2, 5, 1, 4]), Err(Notification::new(2, 0)));
        assert_eq!(decode(&[4, 2, 2, 1, 4]), Err(Notification::new(2, 0)));
        assert_eq!(decode(&[3, 2, 1, 1]), Err(Notification::new(2, 0)));
    }

    #[test]
    fn c_018_known_capability_of_wrong_length() {
        for capability in [
            &[65, 0][..],
            &[65, 3, 1, 2, 3],
            &[1, 3, 0, 1, 0],
            &[2, 1, 0],
            &[6, 1, 0],
        ] {
            let length = u8::try_from(capability.len()).unwrap();
            let mut parameters = vec![length + 2, 2, length];
            parameters.extend_from_slice(capability);
            assert_eq!(
                decode(&parameters),
                Err(Notification::new(2, 0)),
                "{capability:?}"
            );
        }
    }

    #[test]
    fn c_019_c_020_unknown_and_repeated_capabilities_are_kept() {
        let open = decode(&[18, 2, 6, 1, 4, 0, 1, 0, 1, 2, 8, 1, 4, 0, 1, 0, 1, 200, 0]).unwrap();
        let ipv4 = Capability::Multiprotocol(Family::IPV4_UNICAST);
        let unknown = Capability::Unknown {
            code: 200,
            value: Box::default(),
        };
        assert_eq!(open.capabilities, [ipv4.clone(), ipv4, unknown]);
    }

    #[test]
    fn c_022_c_023_extended_parameters() {
        for short_length in [255, 4, 1] {
            let open = decode(&[short_length, 255, 0, 5, 2, 0, 2, 2, 0]).unwrap();
            assert_eq!(open.capabilities, [Capability::RouteRefresh]);
        }
        assert_eq!(
            decode(&[255, 255, 0, 6, 2, 0, 2, 2, 0]),
            Err(Notification::new(2, 0))
        );
        assert_eq!(decode(&[255, 255, 0]), Err(Notification::new(2, 0)));
    }

    #[test]
    fn c_024_extended_parameters_are_sent_only_when_needed() {
        for (count, extended) in [(1, false), (60, false), (70, true)] {
            let open = Open {
                my_as: 64520,
                hold_time: HoldTime::DEFAULT,
                bgp_identifier: BgpIdentifier::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap(),
                capabilities: vec![Capability::RouteRefresh; count],
            };
            let mut out = BytesMut::new();
            open.encode(&mut out);
            assert_eq!(out[9] == 255, extended);
            assert_eq!(Open::decode(&out), Ok(open));
        }
    }
}
