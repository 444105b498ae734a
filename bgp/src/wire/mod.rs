//! Messages, to and from octets (RFC 4271 §4).
//!
//! Values own what they hold and are in the order of the wire, so that decoding what was encoded
//! gives the same value. What cannot be decoded is a [`Notification`] to send; what RFC 7606 lets
//! pass is data in [`Update::errors`].

mod as4;
mod as_path;
mod attribute;
mod attribute_list;
mod capability;
mod framing;
mod nlri;
mod notification;
mod open;
mod parse;
pub mod route_refresh;
mod update;

use bytes::{BufMut, BytesMut};

pub use as_path::AsPath;
pub use attribute::{Aggregator, Attribute, AttributeFlags, MpNextHop, MpReach, MpUnreach};
pub use capability::{
    AddPath, AddPathDirection, Capability, ExtendedNextHop, GracefulRestart, GracefulRestartFamily,
    Hostname, LongLivedGracefulRestart, LongLivedStaleTime, RestartTime,
};
pub use framing::Framer;
pub use nlri::{PathIds, Prefixes};
pub use notification::{Notification, code, subcode};
pub use open::Open;
pub use route_refresh::RouteRefresh;
pub use update::{AttributeAction, AttributeError, Update};

pub(crate) use attribute::type_code;
pub(crate) use attribute_list::decode_attributes;
pub(crate) use nlri::{encoded_length as prefix_length, put as put_prefix};

/// Octets of marker, length and type.
pub const HEADER_LENGTH: usize = 19;
/// Octets of the longest message, unless both sides agreed on extended messages.
pub const MAX_LENGTH: usize = 4096;
/// Octets of the longest extended message (RFC 8654 §3).
pub const MAX_EXTENDED_LENGTH: usize = 65_535;

/// What the OPENs decided about how the octets after them are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireContext {
    /// AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793).
    pub four_octet_as: bool,
    /// The neighbor is in our AS, so that LOCAL_PREF means something (RFC 7606 §7.5).
    pub internal: bool,
    /// Prefixes of IPv4 unicast have a path identifier each (RFC 7911 §3).
    pub path_ids_v4: bool,
    /// Prefixes of IPv6 unicast have a path identifier each (RFC 7911 §3).
    pub path_ids_v6: bool,
}

/// A message of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Type 1.
    Open(Open),
    /// Type 2.
    Update(Update),
    /// Type 3.
    Notification(Notification),
    /// Type 4: nothing but the header.
    Keepalive,
    /// Type 5.
    RouteRefresh(RouteRefresh),
}

/// The type of a message, with what its header alone can promise about its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum MessageType {
    /// RFC 4271 §4.2.
    Open = 1,
    /// RFC 4271 §4.3.
    Update = 2,
    /// RFC 4271 §4.5.
    Notification = 3,
    /// RFC 4271 §4.4.
    Keepalive = 4,
    /// RFC 2918 §3.
    RouteRefresh = 5,
}

impl MessageType {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// Lengths, header included, that a message of this type may have (RFC 4271 §6.1, RFC 8654 §4).
    fn lengths(self, limit: usize) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Open => 29..=MAX_LENGTH,
            Self::Update => 23..=limit,
            Self::Notification => 21..=limit,
            Self::Keepalive => 19..=19,
            // One that is too long is judged by its subtype (RFC 7313 §5).
            Self::RouteRefresh => 23..=limit,
        }
    }
}

/// An attribute or a list of them does not fit a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message would have {length} octets, {limit} are allowed")]
pub struct TooLong {
    /// What it would take.
    pub length: usize,
    /// What there is.
    pub limit: usize,
}

impl Message {
    /// Reads one whole message, header included. Of a stream, [`Framer`] makes messages.
    ///
    /// # Errors
    /// The NOTIFICATION that says what is wrong with it; Bad Message Length where `octets` are not
    /// as many as the header says.
    #[inline]
    pub fn from_octets(
        octets: &[u8],
        context: WireContext,
        limit: usize,
    ) -> Result<Self, Notification> {
        match framing::split_message(octets, limit)? {
            Some((kind, body)) if HEADER_LENGTH + body.len() == octets.len() => {
                Self::decode(kind, body, context)
            }
            _ => Err(framing::bad_length(octets)),
        }
    }

    /// Reads the body of a message, which is what follows the header.
    ///
    /// # Errors
    /// The NOTIFICATION that says what is wrong with it.
    #[inline]
    pub fn decode(
        kind: MessageType,
        body: &[u8],
        context: WireContext,
    ) -> Result<Self, Notification> {
        Ok(match kind {
            MessageType::Open => return Self::decode_open(body),
            MessageType::Update => return Self::decode_update(body, context),
            MessageType::Notification => return Ok(Self::decode_notification(body)),
            MessageType::Keepalive => Self::Keepalive,
            MessageType::RouteRefresh => Self::RouteRefresh(RouteRefresh::decode(body)?),
        })
    }

    // Apart from each other, so that a KEEPALIVE need not make room for what an UPDATE takes.

    #[inline(never)]
    fn decode_open(body: &[u8]) -> Result<Self, Notification> {
        Open::decode(body).map(Self::Open)
    }

    #[inline(never)]
    fn decode_update(body: &[u8], context: WireContext) -> Result<Self, Notification> {
        Update::decode(body, context).map(Self::Update)
    }

    #[inline(never)]
    fn decode_notification(body: &[u8]) -> Self {
        Self::Notification(Notification::decode(body))
    }

    /// Appends the message, header included, to `out`.
    ///
    /// # Errors
    /// [`TooLong`] when it would exceed `limit` octets; `out` is as before.
    pub fn encode(
        &self,
        context: WireContext,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), TooLong> {
        let start = out.len();
        put_header(out, self.kind());
        match self {
            Self::Open(open) => open.encode(out),
            Self::Update(update) => update.encode(context, out),
            Self::Notification(notification) => notification.encode(out),
            Self::Keepalive => {}
            Self::RouteRefresh(refresh) => refresh.encode(out),
        }
        let length = out.len() - start;
        if length > limit {
            out.truncate(start);
            return Err(TooLong { length, limit });
        }
        set_length(out, start);
        Ok(())
    }

    /// Which of the five it is.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Open(_) => MessageType::Open,
            Self::Update(_) => MessageType::Update,
            Self::Notification(_) => MessageType::Notification,
            Self::Keepalive => MessageType::Keepalive,
            Self::RouteRefresh(_) => MessageType::RouteRefresh,
        }
    }
}

/// Appends a header whose length is filled in by [`set_length`] when the body stands behind it.
pub(crate) fn put_header(out: &mut BytesMut, kind: MessageType) {
    let mut header = [0xFF; HEADER_LENGTH];
    let [_marker @ .., length_high, length_low, octet] = &mut header;
    (*length_high, *length_low, *octet) = (0, 0, kind as u8);
    out.put_slice(&header);
}

/// Fills in the length of the message that begins at `start` and ends where `out` does.
pub(crate) fn set_length(out: &mut BytesMut, start: usize) {
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    set_u16(out, start + 16, length);
}

/// Appends what `put` does, behind its length of two octets.
fn put_section(out: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u16(0);
    put(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX);
    set_u16(out, at, length);
}

/// Overwrites two octets that were put as a place holder.
pub(crate) fn set_u16(out: &mut BytesMut, at: usize, value: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
