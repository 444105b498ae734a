//! Authentication of control packets (RFC 5880 §6.7): whether a packet was made by somebody who has one of our keys, and is new.
//!
//! A session has a list of keys. The first is used to send, any is accepted, and so keys are changed without a gap: the new one
//! joins the list at both ends, then comes first, and then the old one leaves. All have one type, for bfd.AuthType is one variable.

mod authenticator;
mod digest;
mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

pub use self::authenticator::AuthenticationStatus;
pub(crate) use self::authenticator::Authenticator;
use self::digest::Hash;
pub use self::key::{AuthenticationKey, KeyError};

/// How packets are authenticated (RFC 5880 §4.1, `Auth Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthType {
    /// 1: the key is in the packet for everybody to read. It keeps mistakes out, not attackers (RFC 5880 §6.7.2).
    SimplePassword,
    /// 2: a digest, and a sequence number that grows when a packet says something new (RFC 5880 §6.7.3).
    KeyedMd5,
    /// 3: a digest, and a sequence number that grows with each packet, so that none is accepted twice (RFC 5880 §6.7.3).
    MeticulousKeyedMd5,
    /// 4: as 2, with SHA1 (RFC 5880 §6.7.4).
    KeyedSha1,
    /// 5: as 3, with SHA1 (RFC 5880 §6.7.4).
    MeticulousKeyedSha1,
}

impl AuthType {
    /// Every type, by its number.
    pub const ALL: [Self; 5] = [
        Self::SimplePassword,
        Self::KeyedMd5,
        Self::MeticulousKeyedMd5,
        Self::KeyedSha1,
        Self::MeticulousKeyedSha1,
    ];

    /// The number on the wire, 1 to 5.
    pub const fn code(self) -> u8 {
        match self {
            Self::SimplePassword => 1,
            Self::KeyedMd5 => 2,
            Self::MeticulousKeyedMd5 => 3,
            Self::KeyedSha1 => 4,
            Self::MeticulousKeyedSha1 => 5,
        }
    }

    /// How many octets a key may have; it has one at least. A shorter one than a digest is filled up with zeros.
    pub const fn longest_key(self) -> usize {
        match self {
            Self::SimplePassword | Self::KeyedMd5 | Self::MeticulousKeyedMd5 => 16,
            Self::KeyedSha1 | Self::MeticulousKeyedSha1 => 20,
        }
    }

    const fn hash(self) -> Option<Hash> {
        match self {
            Self::SimplePassword => None,
            Self::KeyedMd5 | Self::MeticulousKeyedMd5 => Some(Hash::Md5),
            Self::KeyedSha1 | Self::MeticulousKeyedSha1 => Some(Hash::Sha1),
        }
    }

    /// Whether every packet has a sequence number of its own.
    pub const fn is_meticulous(self) -> bool {
        matches!(self, Self::MeticulousKeyedMd5 | Self::MeticulousKeyedSha1)
    }
}

impl fmt::Display for AuthType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SimplePassword => "simple",
            Self::KeyedMd5 => "keyed-md5",
            Self::MeticulousKeyedMd5 => "meticulous-keyed-md5",
            Self::KeyedSha1 => "keyed-sha1",
            Self::MeticulousKeyedSha1 => "meticulous-keyed-sha1",
        })
    }
}

/// The keys of a session: one at least, all of one type, no two with one id.
///
/// Copies share the keys. Their octets are in no `Debug` output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    first: AuthenticationKey,
    others: Arc<[AuthenticationKey]>,
}

impl Authentication {
    /// Authentication with these keys: the first is used to send, each is accepted.
    ///
    /// # Errors
    ///
    /// Names what is wrong with the list.
    pub fn new(
        keys: impl IntoIterator<Item = AuthenticationKey>,
    ) -> Result<Self, AuthenticationError> {
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(AuthenticationError::NoKey)?;
        let mut authentication = Self::from(first);
        let mut others = Vec::new();
        for key in keys {
            let (one, other) = (authentication.auth_type(), key.auth_type());
            if one != other {
                return Err(AuthenticationError::Types { one, other });
            }
            let mut before = std::iter::once(&authentication.first).chain(&others);
            if before.any(|other| other.id() == key.id()) {
                return Err(AuthenticationError::KeyIdTwice(key.id()));
            }
            others.push(key);
        }
        authentication.others = others.into();
        Ok(authentication)
    }

    /// bfd.AuthType.
    pub fn auth_type(&self) -> AuthType {
        self.first.auth_type()
    }

    /// The key that packets are sent with.
    pub fn first(&self) -> &AuthenticationKey {
        &self.first
    }

    /// Every key, the one that packets are sent with first.
    pub fn keys(&self) -> impl Iterator<Item = &AuthenticationKey> {
        std::iter::once(&self.first).chain(self.others.iter())
    }

    fn key(&self, id: u8) -> Option<&AuthenticationKey> {
        self.keys().find(|key| key.id() == id)
    }
}

impl From<AuthenticationKey> for Authentication {
    fn from(key: AuthenticationKey) -> Self {
        Self {
            first: key,
            others: Arc::new([]),
        }
    }
}

/// What is wrong with a list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthenticationError {
    /// There is none.
    #[error("there is no key, and one is needed")]
    NoKey,
    /// Two keys have different types.
    #[error("{one} and {other} are two types, and all keys of a session have one")]
    Types {
        /// That of the first key.
        one: AuthType,
        /// That of another.
        other: AuthType,
    },
    /// Two keys have one id: a packet that names it would not say which is meant.
    #[error("two keys have the id {0}, and each needs one of its own")]
    KeyIdTwice(u8),
}
