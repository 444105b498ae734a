//! Where messages begin and end in one direction of a connection (RFC 4271 §4.1).

const HEADER: usize = 19;
/// Where the length is in a header.
const LENGTH: std::ops::Range<usize> = 16..18;

/// How far one direction is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Octets so far; it wraps around, as TCP's sequence numbers do.
    offset: u32,
    /// What is there of a header that is not complete.
    header: Vec<u8>,
    /// How many octets of a message are still to come, once its header is there.
    remaining: usize,
}

/// A message, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: usize,
    /// It is the beginning of one.
    pub(super) begins: bool,
}

impl Frames {
    pub(super) const fn offset(&self) -> u32 {
        self.offset
    }

    /// What of these octets, which are not none, belongs to one message.
    pub(super) fn next(&mut self, octets: &[u8]) -> Frame {
        let begins = self.remaining == 0 && self.header.is_empty();
        let mut length = 0;
        if self.remaining == 0 {
            let wanted = HEADER - self.header.len();
            let head = octets.get(..wanted).unwrap_or(octets);
            self.header.extend_from_slice(head);
            length = head.len();
            if self.header.len() == HEADER {
                let said = self.header.get(LENGTH).and_then(|it| it.try_into().ok());
                let said = usize::from(said.map_or(0, u16::from_be_bytes));
                // What is no message ends the session; until then it is one as long as its header.
                self.remaining = said.saturating_sub(HEADER);
                self.header.clear();
            }
        }
        let body = self.remaining.min(octets.len() - length);
        self.remaining -= body;
        length += body;
        self.offset = self
            .offset
            .wrapping_add(u32::try_from(length).unwrap_or_default());
        Frame { length, begins }
    }
}
