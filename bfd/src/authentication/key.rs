//! One key. Its octets leave this file in packets and digests only.

use std::fmt;

use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

use super::AuthType;
use super::digest::LONGEST;

/// A key, or a password: its type, its id, and 1 to 16 octets, or 20 with SHA1 (RFC 5880 §4.2 to §4.4).
///
/// The octets are in no `Debug` output, are compared in constant time, and are overwritten when the key is dropped.
#[derive(Clone)]
pub struct AuthenticationKey {
    auth_type: AuthType,
    id: u8,
    /// Filled up with zeros.
    octets: [u8; LONGEST],
    length: usize,
}

/// What is wrong with the octets of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// There are none.
    #[error("a key has one octet at least")]
    Empty,
    /// There are more than fit into a packet.
    #[error("a key for {auth_type} has at most {} octets, not {length}", .auth_type.longest_key())]
    TooLong {
        /// What the key is for.
        auth_type: AuthType,
        /// How many there are.
        length: usize,
    },
}

impl AuthenticationKey {
    /// The key with this id (`Auth Key ID`) and these octets.
    ///
    /// # Errors
    ///
    /// When there are no octets, or more than [`AuthType::longest_key`].
    pub fn new(auth_type: AuthType, id: u8, octets: &[u8]) -> Result<Self, KeyError> {
        let length = octets.len();
        if length == 0 {
            return Err(KeyError::Empty);
        }
        let mut key = Self {
            auth_type,
            id,
            octets: [0; LONGEST],
            length,
        };
        match key.octets.get_mut(..length) {
            Some(place) if length <= auth_type.longest_key() => place.copy_from_slice(octets),
            _ => return Err(KeyError::TooLong { auth_type, length }),
        }
        Ok(key)
    }

    /// What the key is for.
    pub fn auth_type(&self) -> AuthType {
        self.auth_type
    }

    /// The key's id, as sent in `Auth Key ID`.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// A password, as it is sent: not filled up.
    pub(super) fn password(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// Whether somebody knows the password.
    pub(super) fn is_password(&self, password: &[u8]) -> bool {
        self.password().ct_eq(password).into()
    }

    /// The octets, filled up with zeros to what a digest takes.
    pub(super) fn filled_up(&self) -> &[u8; LONGEST] {
        &self.octets
    }
}

impl PartialEq for AuthenticationKey {
    fn eq(&self, other: &Self) -> bool {
        // The octets behind the length are zeros: keys that differ in them alone would make the same digests.
        let same_octets: bool = self.octets.ct_eq(&other.octets).into();
        (self.auth_type, self.id, self.length) == (other.auth_type, other.id, other.length)
            && same_octets
    }
}

impl Eq for AuthenticationKey {}

impl Drop for AuthenticationKey {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for AuthenticationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationKey")
            .field("auth_type", &self.auth_type)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
