//! Messages, to and from octets.

mod attribute;
mod capability;
mod notification;
mod update;

use bytes::{BufMut, BytesMut};

pub use attribute::Attribute;
pub use capability::Capability;
pub use notification::{Notification, cease, code, fsm, header, open, update as update_subcode};
pub use update::Update;

/// Marker, length and type.
pub const HEADER_LENGTH: usize = 19;
/// The longest message, unless both sides agreed on extended messages.
pub const MAX_LENGTH: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum MessageType {
    Notification = 3,
}

fn put_header(out: &mut BytesMut, length: usize, kind: MessageType) {
    out.put_bytes(0xFF, 16);
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    out.put_u8(kind as u8);
}
