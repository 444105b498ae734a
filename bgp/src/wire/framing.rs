//! From a stream of octets to messages (RFC 4271 §4.1, §6.1).

use super::notification::{Notification, code, subcode};
use super::{HEADER_LENGTH, MAX_LENGTH, MessageType};

/// Cuts a byte stream into messages. It holds at most one incomplete message beyond what was
/// pushed, and hands out messages from where they lie.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Octets at the front of `buffer` that were handed out.
    consumed: usize,
}

impl Framer {
    /// Appends octets as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// How many octets wait to be handed out.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.consumed
    }

    /// The next message's type and body; `None` when more octets are needed. The header is judged
    /// as soon as it is there, before any wait for a body.
    ///
    /// # Errors
    /// A Message Header Error; nothing behind it can be read.
    pub fn next_message(
        &mut self,
        limit: usize,
    ) -> Result<Option<(MessageType, &[u8])>, Notification> {
        let waiting = self.buffer.get(self.consumed..).unwrap_or_default();
        let Some((kind, body)) = split_message(waiting, limit)? else {
            return Ok(None);
        };
        self.consumed += HEADER_LENGTH + body.len();
        Ok(Some((kind, body)))
    }
}

/// The message that `octets` begin with; `None` when it is not all there.
#[inline]
pub(super) fn split_message(
    octets: &[u8],
    limit: usize,
) -> Result<Option<(MessageType, &[u8])>, Notification> {
    let Some(header) = octets.first_chunk() else {
        return Ok(None);
    };
    let (kind, length) = decode_header(header, limit)?;
    Ok(octets.get(HEADER_LENGTH..length).map(|body| (kind, body)))
}

#[inline]
fn decode_header(
    header: &[u8; HEADER_LENGTH],
    limit: usize,
) -> Result<(MessageType, usize), Notification> {
    let [marker @ .., length_high, length_low, octet] = header;
    if marker != &[0xFF; 16] {
        return Err(Notification::new(
            code::MESSAGE_HEADER,
            subcode::header::CONNECTION_NOT_SYNCHRONIZED,
        ));
    }
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    if !(HEADER_LENGTH..=limit.max(MAX_LENGTH)).contains(&length) {
        return Err(bad_length(header));
    }
    let Some(kind) = MessageType::from_octet(*octet) else {
        return Err(Notification::with_data(
            code::MESSAGE_HEADER,
            subcode::header::BAD_MESSAGE_TYPE,
            &[*octet],
        ));
    };
    if !kind.lengths(limit).contains(&length) {
        return Err(bad_length(header));
    }
    Ok((kind, length))
}

/// Says the length that the header has, as far as there is one.
#[cold]
pub(super) fn bad_length(message: &[u8]) -> Notification {
    Notification::with_data(
        code::MESSAGE_HEADER,
        subcode::header::BAD_MESSAGE_LENGTH,
        message.get(16..18).unwrap_or_default(),
    )
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

    fn judge(octets: &[u8], limit: usize) -> Result<Option<(MessageType, Vec<u8>)>, Notification> {
        let mut framer = Framer::default();
        framer.push(octets);
        let message = framer.next_message(limit)?;
        Ok(message.map(|(kind, body)| (kind, body.to_vec())))
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let stream = [
            header(21, 3),
            vec![6, 2],
            header(19, 4),
            header(23, 2),
            vec![0; 4],
        ]
        .concat();
        for pace in 1..stream.len() {
            let mut framer = Framer::default();
            let mut messages = Vec::new();
            for octets in stream.chunks(pace) {
                framer.push(octets);
                while let Some((kind, body)) = framer.next_message(MAX_LENGTH).unwrap() {
                    messages.push((kind, body.to_vec()));
                }
            }
            let expected = [
                (MessageType::Notification, vec![6, 2]),
                (MessageType::Keepalive, vec![]),
                (MessageType::Update, vec![0; 4]),
            ];
            assert_eq!(messages, expected, "{pace} at a time");
        }
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
        for (kind, wrong) in [(1, 28), (2, 22), (3, 20), (4, 20), (5, 22)] {
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
