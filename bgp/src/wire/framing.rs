//! From a stream of octets to messages (RFC 4271 §4.1, §6.1).

use bytes::{Buf, Bytes, BytesMut};

use super::notification::{Notification, code, subcode};
use super::{HEADER_LENGTH, MAX_LENGTH, MessageType};

/// Cuts a byte stream into messages. It holds at most one incomplete message beyond what was
/// pushed.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// Appends octets as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message's type and body; `None` when more octets are needed. The header is judged
    /// as soon as it is there, before any wait for a body.
    ///
    /// # Errors
    /// A Message Header Error; nothing behind it can be read.
    pub fn next_message(
        &mut self,
        limit: usize,
    ) -> Result<Option<(MessageType, Bytes)>, Notification> {
        let Some(header) = self.buffer.first_chunk::<HEADER_LENGTH>() else {
            return Ok(None);
        };
        let (kind, length) = decode_header(header, limit)?;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(length);
        message.advance(HEADER_LENGTH);
        Ok(Some((kind, message.freeze())))
    }
}

fn decode_header(
    header: &[u8; HEADER_LENGTH],
    limit: usize,
) -> Result<(MessageType, usize), Notification> {
    let [marker @ .., length_high, length_low, octet] = header;
    if marker.iter().any(|octet| *octet != 0xFF) {
        return Err(Notification::new(
            code::MESSAGE_HEADER,
            subcode::header::CONNECTION_NOT_SYNCHRONIZED,
        ));
    }
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    let bad_length = || {
        Notification::with_data(
            code::MESSAGE_HEADER,
            subcode::header::BAD_MESSAGE_LENGTH,
            &[*length_high, *length_low],
        )
    };
    if !(HEADER_LENGTH..=limit.max(MAX_LENGTH)).contains(&length) {
        return Err(bad_length());
    }
    let Some(kind) = MessageType::from_octet(*octet) else {
        return Err(Notification::with_data(
            code::MESSAGE_HEADER,
            subcode::header::BAD_MESSAGE_TYPE,
            &[*octet],
        ));
    };
    if !kind.lengths(limit).contains(&length) {
        return Err(bad_length());
    }
    Ok((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MAX_EXTENDED_LENGTH;

    fn header(length: u16, kind: u8) -> Vec<u8> {
        let mut octets = vec![0xFF; 16];
        octets.extend_from_slice(&length.to_be_bytes());
        octets.push(kind);
        octets
    }

    fn judge(octets: &[u8], limit: usize) -> Result<Option<(MessageType, Bytes)>, Notification> {
        let mut framer = Framer::default();
        framer.push(octets);
        framer.next_message(limit)
    }

    #[test]
    fn c_001_marker_is_all_ones() {
        let mut octets = header(19, 4);
        octets[7] = 0xFE;
        assert_eq!(judge(&octets, MAX_LENGTH), Err(Notification::new(1, 1)));
    }

    #[test]
    fn c_002_length_outside_19_to_4096() {
        for length in [0, 18, 4097, 65_535] {
            let wrong = judge(&header(length, 2), MAX_LENGTH).unwrap_err();
            assert_eq!(wrong, Notification::with_data(1, 2, &length.to_be_bytes()));
        }
        assert_eq!(judge(&header(65_535, 2), MAX_EXTENDED_LENGTH), Ok(None));
    }

    #[test]
    fn c_003_minimum_length_by_type() {
        for (kind, wrong) in [(1, 28), (2, 22), (3, 20), (4, 20), (5, 22), (5, 24)] {
            let error = judge(&header(wrong, kind), MAX_LENGTH).unwrap_err();
            assert_eq!(
                error,
                Notification::with_data(1, 2, &wrong.to_be_bytes()),
                "type {kind}"
            );
        }
    }

    #[test]
    fn c_004_unknown_type() {
        for kind in [0, 6, 128, 255] {
            assert_eq!(
                judge(&header(19, kind), MAX_LENGTH),
                Err(Notification::with_data(1, 3, &[kind]))
            );
        }
    }

    #[test]
    fn c_005_header_is_judged_before_the_body_comes() {
        let mut framer = Framer::default();
        framer.push(&header(4096, 4));
        assert!(framer.next_message(MAX_LENGTH).is_err());
    }

    #[test]
    fn c_028_open_and_keepalive_stay_short_with_extended_messages() {
        assert!(judge(&header(4097, 1), MAX_EXTENDED_LENGTH).is_err());
        assert!(judge(&header(4097, 4), MAX_EXTENDED_LENGTH).is_err());
    }
}
