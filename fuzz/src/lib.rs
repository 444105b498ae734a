//! How targets read a sequence of operations from the fuzzer's octets.
//!
//! An operation is a number and its arguments, so that seeds can be written by hand, and mean the same
//! after another operation has been added.

/// What is left of an input.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next operation's number; `None` at the end.
    pub fn operation(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// An argument of `N` octets, of zeros where the input ends.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        let count = N.min(self.0.len());
        let (value, rest) = self.0.split_at(count);
        octets[..count].copy_from_slice(value);
        self.0 = rest;
        octets
    }

    /// An octet.
    pub fn octet(&mut self) -> u8 {
        let [octet] = self.array();
        octet
    }

    /// Whether an octet is odd.
    pub fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// A number of two octets.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// A number of four octets.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Octets behind their length of two octets, or what is left of them.
    pub fn octets(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16()).min(self.0.len());
        let (value, rest) = self.0.split_at(length);
        self.0 = rest;
        value
    }
}
