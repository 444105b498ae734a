//! The keys of a BFD profile (RFC 5880 §6.7), each from a file of its own: they are in no log, no dump and no page.

use std::fmt;
use std::path::{Path, PathBuf};

use bfd::{AuthType, Authentication, AuthenticationError, AuthenticationKey};

use super::password::read_key;

/// One key, and the file that it comes from. Whoever prints it prints the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdKey {
    file: PathBuf,
    key: AuthenticationKey,
}

impl BfdKey {
    /// Reads a key: as many octets as its type can have, on one line.
    ///
    /// # Errors
    /// In words, what is wrong with the file.
    pub fn load(auth_type: AuthType, id: u8, file: &Path) -> Result<Self, String> {
        let octets = read_key(file, auth_type.longest_key())?;
        let key = AuthenticationKey::new(auth_type, id, &octets)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self {
            file: file.to_owned(),
            key,
        })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it is for.
    #[must_use]
    pub fn auth_type(&self) -> AuthType {
        self.key.auth_type()
    }

    /// Its number in packets.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.key.id()
    }
}

/// The keys of a profile: the first is used to send, each is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdAuth {
    authentication: Authentication,
    keys: Vec<BfdKey>,
}

impl BfdAuth {
    /// # Errors
    /// When there is no key, or they do not go together.
    pub fn new(keys: Vec<BfdKey>) -> Result<Self, AuthenticationError> {
        let authentication = Authentication::new(keys.iter().map(|key| key.key.clone()))?;
        Ok(Self {
            authentication,
            keys,
        })
    }

    /// For the engine and nobody else.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The keys, the one that is used to send first.
    #[must_use]
    pub fn keys(&self) -> &[BfdKey] {
        &self.keys
    }

    pub(crate) fn has_type_of(&self, other: &Self) -> bool {
        self.authentication.auth_type() == other.authentication.auth_type()
    }

    /// Whether a key of `running` is not here, or is another: a neighbor may still send with it.
    pub(crate) fn lacks_what_is_in(&self, running: &Self) -> bool {
        let mut before = running.authentication.keys();
        before.any(|key| !self.authentication.keys().any(|own| own == key))
    }

    /// Whether the first key is none of `running`, of the same type: a neighbor that has what we had does not accept it.
    pub(crate) fn sends_what_is_new_to(&self, running: &Self) -> bool {
        let first = self.authentication.first();
        self.has_type_of(running) && !running.authentication.keys().any(|key| key == first)
    }
}

impl fmt::Display for BfdAuth {
    /// `keyed-sha1 7 (/etc/herald/new.key), 6 (/etc/herald/old.key)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.authentication.auth_type())?;
        for (index, key) in self.keys.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma} {} ({})", key.id(), key.file().display())?;
        }
        Ok(())
    }
}
