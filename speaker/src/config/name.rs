//! Names of peers and services.

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
        let legal = |c: char| !(c.is_whitespace() || c.is_control() || "/\\\"'`".contains(c));
        ((1..=64).contains(&text.chars().count()) && text.chars().all(legal))
            .then(|| Self(text.into()))
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
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
