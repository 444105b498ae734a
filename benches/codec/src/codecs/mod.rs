//! Each codec behind the same three functions.

pub mod bgpkit;
pub mod floor;
pub mod herald;
pub mod netgauze;
pub mod routecore;
pub mod rustbgpd;
pub mod zettabgp;

/// One way to read and write messages.
pub trait Codec {
    const NAME: &'static str;
    /// A message as this codec likes to be given it.
    type Octets;
    /// What decoding gives, a `Result` included: taking the message out of it would be a move that
    /// a caller may do without.
    type Message;

    fn octets(message: &[u8]) -> Self::Octets;

    fn decode(&mut self, octets: &Self::Octets) -> Self::Message;

    /// The checksum over everything that was read.
    fn walk(message: &Self::Message) -> u64;

    /// Writes into `out`, which is empty; `false` where the codec has no encoder for values.
    fn encode(&mut self, message: &Self::Message, out: &mut Out) -> bool;
}

/// Where messages are written to: what each codec is made for, reused from message to message.
pub struct Out {
    pub vec: Vec<u8>,
    pub bytes: bytes::BytesMut,
    pub array: Box<[u8; 4096]>,
    pub allocated: bytes::Bytes,
    /// Octets of `array` that were written.
    pub length: usize,
}

impl Default for Out {
    fn default() -> Self {
        Self {
            vec: Vec::with_capacity(4096),
            bytes: bytes::BytesMut::with_capacity(4096),
            array: Box::new([0; 4096]),
            allocated: bytes::Bytes::new(),
            length: 0,
        }
    }
}

impl Out {
    pub fn clear(&mut self) {
        self.vec.clear();
        self.bytes.clear();
        self.allocated = bytes::Bytes::new();
        self.length = 0;
    }

    pub fn written(&self) -> Vec<u8> {
        [
            &self.vec[..],
            &self.bytes,
            &self.allocated,
            &self.array[..self.length],
        ]
        .concat()
    }
}
