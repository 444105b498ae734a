//! The digests of keyed authentication (RFC 5880 §6.7.3, §6.7.4).

use md5::Md5;
use sha1::Sha1;
use sha1::digest::Digest as _;
use subtle::ConstantTimeEq;

use super::AuthenticationKey;

/// Octets of the longest digest, and of the longest key: the key stands where the digest will be.
pub(super) const LONGEST: usize = 20;

/// Which hash function makes the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Md5,
    Sha1,
}

impl Hash {
    /// Octets of a digest.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
        }
    }

    /// The digest of a whole packet, with the key in the place of the digest. That place is the packet's end; `before` is what
    /// comes before it.
    pub(super) fn digest(self, before: &[u8], key: &AuthenticationKey) -> Digest {
        let key = key.filled_up();
        match self {
            Self::Md5 => {
                let (key, _) = key.split_at(self.len());
                let hash = Md5::new().chain_update(before).chain_update(key);
                Digest::new(&hash.finalize())
            }
            Self::Sha1 => {
                let hash = Sha1::new().chain_update(before).chain_update(key);
                Digest::new(&hash.finalize())
            }
        }
    }
}

/// A digest that we have computed: to be sent, or to compare in constant time.
pub(super) struct Digest {
    octets: [u8; LONGEST],
    length: usize,
}

impl Digest {
    fn new(octets: &[u8]) -> Self {
        let mut digest = Self {
            octets: [0; LONGEST],
            length: octets.len().min(LONGEST),
        };
        for (place, octet) in digest.octets.iter_mut().zip(octets) {
            *place = *octet;
        }
        digest
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    pub(super) fn is(&self, received: &[u8]) -> bool {
        self.as_slice().ct_eq(received).into()
    }
}
