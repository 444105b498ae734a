//! NOTIFICATION (RFC 4271 §4.5, §6): why a connection is closed. A decode error *is* the
//! NOTIFICATION to send.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use self::subcode::cease;
use super::{HEADER_LENGTH, MAX_LENGTH};
use crate::types::Family;

/// An error or a reason, as it is told to the other side.
#[derive(Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub struct Notification {
    /// What it is about; see the constants of [`code`].
    pub code: u8,
    /// The reason within the code; 0 is "unspecific".
    pub subcode: u8,
    /// What the code and subcode define, often the offending octets.
    pub data: Bytes,
}

/// Error codes (RFC 4271 §4.5 and later).
pub mod code {
    /// Message Header Error.
    pub const MESSAGE_HEADER: u8 = 1;
    /// OPEN Message Error.
    pub const OPEN_MESSAGE: u8 = 2;
    /// UPDATE Message Error.
    pub const UPDATE_MESSAGE: u8 = 3;
    /// Hold Timer Expired.
    pub const HOLD_TIMER_EXPIRED: u8 = 4;
    /// Finite State Machine Error.
    pub const FINITE_STATE_MACHINE: u8 = 5;
    /// Cease.
    pub const CEASE: u8 = 6;
    /// ROUTE-REFRESH Message Error (RFC 7313).
    pub const ROUTE_REFRESH_MESSAGE: u8 = 7;
    /// Send Hold Timer Expired (RFC 9687).
    pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;
}

/// Subcodes, by code.
pub mod subcode {
    /// Subcodes of Message Header Error (RFC 4271 §6.1).
    pub mod header {
        /// The marker is not all ones.
        pub const CONNECTION_NOT_SYNCHRONIZED: u8 = 1;
        /// The length is impossible for the type.
        pub const BAD_MESSAGE_LENGTH: u8 = 2;
        /// No such type.
        pub const BAD_MESSAGE_TYPE: u8 = 3;
    }

    /// Subcodes of OPEN Message Error (RFC 4271 §6.2, RFC 5492, RFC 9234).
    pub mod open {
        /// Anything that has no subcode of its own, such as bad lengths.
        pub const UNSPECIFIC: u8 = 0;
        /// The version is not 4.
        pub const UNSUPPORTED_VERSION_NUMBER: u8 = 1;
        /// Not the AS that was configured.
        pub const BAD_PEER_AS: u8 = 2;
        /// The identifier is zero, or our own.
        pub const BAD_BGP_IDENTIFIER: u8 = 3;
        /// An optional parameter that is not Capabilities.
        pub const UNSUPPORTED_OPTIONAL_PARAMETER: u8 = 4;
        /// The hold time is 1 or 2 s, or not acceptable.
        pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
        /// A capability that is required is missing.
        pub const UNSUPPORTED_CAPABILITY: u8 = 7;
        /// The roles of both sides do not go together (RFC 9234 §4.2).
        pub const ROLE_MISMATCH: u8 = 11;
    }

    /// Subcodes of UPDATE Message Error (RFC 4271 §6.3). The others are treated as withdraw (RFC
    /// 7606) and never said.
    pub mod update {
        /// The framing of the message or of its attributes hides what the message says.
        pub const MALFORMED_ATTRIBUTE_LIST: u8 = 1;
        /// The NLRI of an MP_REACH_NLRI or MP_UNREACH_NLRI, or the attribute itself.
        pub const OPTIONAL_ATTRIBUTE_ERROR: u8 = 9;
        /// The prefixes cannot be read.
        pub const INVALID_NETWORK_FIELD: u8 = 10;
    }

    /// Subcodes of Finite State Machine Error (RFC 6608).
    pub mod fsm {
        /// In OpenSent.
        pub const UNEXPECTED_MESSAGE_IN_OPEN_SENT: u8 = 1;
        /// In OpenConfirm.
        pub const UNEXPECTED_MESSAGE_IN_OPEN_CONFIRM: u8 = 2;
        /// In Established.
        pub const UNEXPECTED_MESSAGE_IN_ESTABLISHED: u8 = 3;
    }

    /// Subcodes of ROUTE-REFRESH Message Error (RFC 7313 §5).
    pub mod route_refresh {
        /// A beginning or an end that is longer or shorter than it can be.
        pub const INVALID_MESSAGE_LENGTH: u8 = 1;
    }

    /// Subcodes of Cease (RFC 4486 and later).
    pub mod cease {
        /// More prefixes than allowed.
        pub const MAXIMUM_PREFIXES: u8 = 1;
        /// The operator shut the session down; may carry a text (RFC 9003).
        pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
        /// The operator removed the neighbor.
        pub const PEER_DECONFIGURED: u8 = 3;
        /// The operator reset the session; may carry a text (RFC 9003).
        pub const ADMINISTRATIVE_RESET: u8 = 4;
        /// The neighbor is not configured.
        pub const CONNECTION_REJECTED: u8 = 5;
        /// Anything else in the configuration changed.
        pub const OTHER_CONFIGURATION_CHANGE: u8 = 6;
        /// The other connection of the two survives (RFC 4271 §6.8).
        pub const CONNECTION_COLLISION_RESOLUTION: u8 = 7;
        /// No room.
        pub const OUT_OF_RESOURCES: u8 = 8;
        /// Forget the routes, graceful restart or not (RFC 8538).
        pub const HARD_RESET: u8 = 9;
        /// BFD says the path is down (RFC 9384).
        pub const BFD_DOWN: u8 = 10;
    }
}

/// A NOTIFICATION is never longer than what every speaker accepts.
const MAX_DATA: usize = MAX_LENGTH - HEADER_LENGTH - 2;

/// The longest text that RFC 9003 §2 allows, in octets.
const MAX_COMMUNICATION: usize = 255;

impl Notification {
    /// Without data.
    #[must_use]
    pub const fn new(code: u8, subcode: u8) -> Self {
        Self {
            code,
            subcode,
            data: Bytes::new(),
        }
    }

    /// With data, cut to what fits a message.
    #[must_use]
    pub fn with_data(code: u8, subcode: u8, data: &[u8]) -> Self {
        let data = data.get(..MAX_DATA).unwrap_or(data);
        Self {
            code,
            subcode,
            data: Bytes::copy_from_slice(data),
        }
    }

    /// Cease without data.
    #[must_use]
    pub const fn cease(subcode: u8) -> Self {
        Self::new(code::CEASE, subcode)
    }

    /// Cease with a text for the neighbor's operator, cut at a character to the 255 octets that RFC
    /// 9003 §2 allows.
    #[must_use]
    pub fn cease_with_communication(subcode: u8, text: &str) -> Self {
        let mut end = text.len().min(MAX_COMMUNICATION);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        let mut data = Vec::with_capacity(1 + end);
        data.push(u8::try_from(end).unwrap_or(u8::MAX));
        data.extend_from_slice(text.as_bytes());
        Self::with_data(code::CEASE, subcode, &data)
    }

    /// A Hard Reset for a reason: the neighbor is to forget the routes, graceful restart or not (RFC
    /// 8538 §3).
    #[must_use]
    pub fn hard_reset(reason: &Self) -> Self {
        let data = [&[reason.code, reason.subcode][..], &reason.data].concat();
        Self::with_data(code::CEASE, cease::HARD_RESET, &data)
    }

    /// The reason of a Hard Reset (RFC 8538 §3), if this is one and has one. A Hard Reset that is
    /// one's reason has none.
    #[must_use]
    pub fn hard_reset_reason(&self) -> Option<Self> {
        let (code, subcode, data) = self.inner()?;
        let is_reason = (code, subcode) != (code::CEASE, cease::HARD_RESET);
        let data = if is_reason { data } else { &[] };
        Some(Self::with_data(code, subcode, data))
    }

    /// Code, subcode and data of the reason of a Hard Reset.
    fn inner(&self) -> Option<(u8, u8, &[u8])> {
        let is_hard_reset = (self.code, self.subcode) == (code::CEASE, cease::HARD_RESET);
        let (&[code, subcode], data) = self.data.split_first_chunk()?;
        is_hard_reset.then_some((code, subcode, data))
    }

    /// The family that has more prefixes than allowed, and how many are (RFC 4486 §4), if it is
    /// told.
    #[must_use]
    pub fn prefix_limit(&self) -> Option<(Family, u32)> {
        let &[afi_high, afi_low, safi, a, b, c, d] = self.data.as_ref() else {
            return None;
        };
        let afi = u16::from_be_bytes([afi_high, afi_low]);
        let is_told = (self.code, self.subcode) == (code::CEASE, cease::MAXIMUM_PREFIXES);
        is_told.then_some((Family { afi, safi }, u32::from_be_bytes([a, b, c, d])))
    }

    /// The text of an administrative shutdown or reset (RFC 9003 §2), also where it is the reason of
    /// a Hard Reset, if there is a legible one.
    #[must_use]
    pub fn communication(&self) -> Option<&str> {
        let (code, subcode, data) =
            self.inner()
                .unwrap_or((self.code, self.subcode, self.data.as_ref()));
        if code != code::CEASE
            || !matches!(
                subcode,
                cease::ADMINISTRATIVE_SHUTDOWN | cease::ADMINISTRATIVE_RESET
            )
        {
            return None;
        }
        let (length, rest) = data.split_first()?;
        let text = rest.get(..usize::from(*length))?;
        std::str::from_utf8(text)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// The code in words, as the RFCs title it.
    #[must_use]
    pub const fn code_name(&self) -> &'static str {
        match self.code {
            code::MESSAGE_HEADER => "Message Header Error",
            code::OPEN_MESSAGE => "OPEN Message Error",
            code::UPDATE_MESSAGE => "UPDATE Message Error",
            code::HOLD_TIMER_EXPIRED => "Hold Timer Expired",
            code::FINITE_STATE_MACHINE => "Finite State Machine Error",
            code::CEASE => "Cease",
            code::ROUTE_REFRESH_MESSAGE => "ROUTE-REFRESH Message Error",
            code::SEND_HOLD_TIMER_EXPIRED => "Send Hold Timer Expired",
            _ => "Unknown Error",
        }
    }

    /// The subcode in words; empty when it has none.
    #[must_use]
    pub const fn subcode_name(&self) -> &'static str {
        match (self.code, self.subcode) {
            (code::MESSAGE_HEADER, 1) => "Connection Not Synchronized",
            (code::MESSAGE_HEADER, 2) => "Bad Message Length",
            (code::MESSAGE_HEADER, 3) => "Bad Message Type",
            (code::OPEN_MESSAGE, 1) => "Unsupported Version Number",
            (code::OPEN_MESSAGE, 2) => "Bad Peer AS",
            (code::OPEN_MESSAGE, 3) => "Bad BGP Identifier",
            (code::OPEN_MESSAGE, 4) => "Unsupported Optional Parameter",
            (code::OPEN_MESSAGE, 6) => "Unacceptable Hold Time",
            (code::OPEN_MESSAGE, 11) => "Role Mismatch",
            (code::OPEN_MESSAGE, 7) => "Unsupported Capability",
            (code::UPDATE_MESSAGE, 1) => "Malformed Attribute List",
            (code::UPDATE_MESSAGE, 2) => "Unrecognized Well-known Attribute",
            (code::UPDATE_MESSAGE, 3) => "Missing Well-known Attribute",
            (code::UPDATE_MESSAGE, 4) => "Attribute Flags Error",
            (code::UPDATE_MESSAGE, 5) => "Attribute Length Error",
            (code::UPDATE_MESSAGE, 6) => "Invalid ORIGIN Attribute",
            (code::UPDATE_MESSAGE, 8) => "Invalid NEXT_HOP Attribute",
            (code::UPDATE_MESSAGE, 9) => "Optional Attribute Error",
            (code::UPDATE_MESSAGE, 10) => "Invalid Network Field",
            (code::UPDATE_MESSAGE, 11) => "Malformed AS_PATH",
            (code::FINITE_STATE_MACHINE, 1) => "Receive Unexpected Message in OpenSent State",
            (code::FINITE_STATE_MACHINE, 2) => "Receive Unexpected Message in OpenConfirm State",
            (code::FINITE_STATE_MACHINE, 3) => "Receive Unexpected Message in Established State",
            (code::CEASE, cease::MAXIMUM_PREFIXES) => "Maximum Number of Prefixes Reached",
            (code::CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => "Administrative Shutdown",
            (code::CEASE, cease::PEER_DECONFIGURED) => "Peer De-configured",
            (code::CEASE, cease::ADMINISTRATIVE_RESET) => "Administrative Reset",
            (code::CEASE, cease::CONNECTION_REJECTED) => "Connection Rejected",
            (code::CEASE, cease::OTHER_CONFIGURATION_CHANGE) => "Other Configuration Change",
            (code::CEASE, cease::CONNECTION_COLLISION_RESOLUTION) => {
                "Connection Collision Resolution"
            }
            (code::CEASE, cease::OUT_OF_RESOURCES) => "Out of Resources",
            (code::CEASE, cease::HARD_RESET) => "Hard Reset",
            (code::CEASE, cease::BFD_DOWN) => "BFD Down",
            (code::ROUTE_REFRESH_MESSAGE, 1) => "Invalid Message Length",
            _ => "",
        }
    }

    pub(super) fn decode(body: &[u8]) -> Self {
        // A body of two octets at least is the header's minimum length for this type.
        let ([code, subcode], data) = body.split_first_chunk().unwrap_or((&[0, 0], &[]));
        Self {
            code: *code,
            subcode: *subcode,
            data: Bytes::copy_from_slice(data),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&[self.code, self.subcode]);
        out.put_slice(self.data.get(..MAX_DATA).unwrap_or(&self.data));
    }
}

impl fmt::Display for Notification {
    /// `6/2 Cease, Administrative Shutdown: "maintenance"`, `6/9 Cease, Hard Reset: 6/10 Cease, BFD
    /// Down`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.code, self.subcode, self.code_name())?;
        match self.subcode_name() {
            "" => {}
            name => write!(f, ", {name}")?,
        }
        if let Some((family, limit)) = self.prefix_limit() {
            write!(f, ": at most {limit} of {family}")?;
        }
        if let Some(reason) = self.hard_reset_reason() {
            return write!(f, ": {reason}");
        }
        match self.communication() {
            Some(text) => write!(f, ": {text:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{:x}]", self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_106_a_hard_reset_tells_its_reason() {
        let reason = Notification::cease_with_communication(2, "rack 12 moves");
        let hard_reset = Notification::hard_reset(&reason);
        assert_eq!(hard_reset.data[..3], [6, 2, 13]);
        assert_eq!(hard_reset.hard_reset_reason(), Some(reason));
        assert_eq!(hard_reset.communication(), Some("rack 12 moves"));
        assert_eq!(
            hard_reset.to_string(),
            "6/9 Cease, Hard Reset: 6/2 Cease, Administrative Shutdown: \"rack 12 moves\""
        );
        for data in [&[][..], &[6]] {
            let bare = Notification::with_data(6, 9, data);
            assert_eq!(bare.hard_reset_reason(), None);
            assert_eq!(bare.to_string(), "6/9 Cease, Hard Reset");
        }
        let nested = Notification::with_data(6, 9, &[6, 9].repeat(2000));
        assert_eq!(
            nested.to_string(),
            "6/9 Cease, Hard Reset: 6/9 Cease, Hard Reset"
        );
    }

    #[test]
    fn c_109_communication_is_cut_at_a_character_and_read_back() {
        let notification = Notification::cease_with_communication(2, &"ä".repeat(200));
        assert_eq!(notification.communication(), Some("ä".repeat(127).as_str()));
        let plain =
            Notification::cease_with_communication(cease::ADMINISTRATIVE_RESET, "moving racks");
        assert_eq!(
            plain.to_string(),
            r#"6/4 Cease, Administrative Reset: "moving racks""#
        );
    }

    #[test]
    fn c_109_illegible_communication_is_dropped() {
        for data in [&b"\x05abc"[..], b"\x02\xff\xfe", b"", b"\x00"] {
            assert_eq!(
                Notification::with_data(6, 2, data).communication(),
                None,
                "{data:?}"
            );
        }
    }

    #[test]
    fn c_009_data_never_makes_the_message_longer_than_4096() {
        let mut out = BytesMut::new();
        Notification::with_data(1, 1, &[0; 70_000]).encode(&mut out);
        assert_eq!(out.len(), MAX_LENGTH - HEADER_LENGTH);
    }
}
