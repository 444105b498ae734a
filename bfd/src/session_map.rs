//! Sessions by their discriminators.

// What is iterated over here is sorted, or the order plays no part.
#![allow(clippy::disallowed_types)]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::key::SessionId;

/// A hash table of sessions. Its order means nothing: sort what leaves the crate.
pub(crate) type SessionMap<T> = HashMap<SessionId, T, BuildHasherDefault<DiscriminatorHasher>>;

/// Spreads discriminators over the whole word, and no more.
///
/// Nobody else can choose what is in the table: discriminators of sessions are drawn from a cryptographic generator. What a
/// packet asks for may be chosen by its sender, but asking for what is not there costs no more than the table is full.
#[derive(Debug, Default)]
pub(crate) struct DiscriminatorHasher(u64);

impl Hasher for DiscriminatorHasher {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u32(u32::from(*octet));
        }
    }

    fn write_u32(&mut self, word: u32) {
        // The golden ratio: table positions come from the low bits, fingerprints from the high ones.
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
