//! Names of peers, services, pools and BFD sessions.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that can stand in a URL, a log line and a metric: 1 to 64 printable characters, without
/// spaces, quotes and slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    pub(crate) const EXPECTED: &'static str =
        "a name of 1 to 64 printable characters, without spaces, quotes and slashes";

    /// `None` for what is not a name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_quote_or_slash = |c: char| matches!(c, '/' | '\\' | '"' | '\'' | '`');
        let legal = |c: char| !(c.is_whitespace() || c.is_control() || is_quote_or_slash(c));
        // The length in octets is that in characters, or more.
        let fits = (1..=64).contains(&text.len()) || (1..=64).contains(&text.chars().count());
        (fits && text.chars().all(legal)).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// `None` for what is not a name: see [`Name`].
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                Name::new(text).map(Self::from)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<Name> for $name {
            fn from(Name(text): Name) -> Self {
                Self(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Name".into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).ok_or_else(|| {
                    serde::de::Error::custom(format!("found {text:?}; must be {}", Name::EXPECTED))
                })
            }
        }
    )*};
}

names! {
    /// The name of a configured neighbor.
    PeerName
    /// The name of a service.
    ServiceName
    /// The name of a pool of addresses.
    PoolName
    /// The name of a BFD session that belongs to no peer, or of a range of them.
    BfdName
}

/// Whom something concerns. Peers come first: their keys count where a BFD session is shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// A peer.
    Peer(PeerName),
    /// A `[[bfd-session]]`, or a session of a `[[bfd-range]]`.
    BfdSession(BfdName),
    /// A service.
    Service(ServiceName),
}

impl Party {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Peer(name) => name.as_str(),
            Self::BfdSession(name) => name.as_str(),
            Self::Service(name) => name.as_str(),
        }
    }

    /// The peer, if it is one.
    #[must_use]
    pub const fn peer(&self) -> Option<&PeerName> {
        match self {
            Self::Peer(name) => Some(name),
            Self::BfdSession(_) | Self::Service(_) => None,
        }
    }

    /// The `[[bfd-session]]`, if it is one.
    #[must_use]
    pub const fn bfd_session(&self) -> Option<&BfdName> {
        match self {
            Self::Peer(_) | Self::Service(_) => None,
            Self::BfdSession(name) => Some(name),
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Peer(_) | Self::BfdSession(_) => None,
            Self::Service(name) => Some(name),
        }
    }
}

impl From<&PeerName> for Party {
    fn from(name: &PeerName) -> Self {
        Self::Peer(name.clone())
    }
}

impl From<&BfdName> for Party {
    fn from(name: &BfdName) -> Self {
        Self::BfdSession(name.clone())
    }
}

impl From<&ServiceName> for Party {
    fn from(name: &ServiceName) -> Self {
        Self::Service(name.clone())
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => write!(f, "peer {name}"),
            Self::BfdSession(name) => write!(f, "bfd-session {name}"),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
