//! What two neighbors in different ASes are to each other (RFC 9234 §4.1).

use std::fmt;
use std::str::FromStr;

use super::UnknownName;

/// The part that the sender of an OPEN plays towards the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// It carries the other's traffic to everywhere.
    Provider = 0,
    /// It is the route server of an exchange.
    RsServer = 1,
    /// It is a client of the other, a route server.
    RsClient = 2,
    /// Its traffic is carried by the other to everywhere.
    Customer = 3,
    /// Both exchange what they and their customers have.
    Peer = 4,
}

impl Role {
    const NAMES: [(&'static str, Self); 5] = [
        ("provider", Self::Provider),
        ("rs-server", Self::RsServer),
        ("rs-client", Self::RsClient),
        ("customer", Self::Customer),
        ("peer", Self::Peer),
    ];

    /// `None` for the values that are not assigned.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        let named = Self::NAMES.iter().find(|(_, role)| *role as u8 == octet);
        named.map(|(_, role)| *role)
    }

    /// The one role that goes with this one at the other end (RFC 9234 §4.2, table 2).
    #[must_use]
    pub const fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RsServer => Self::RsClient,
            Self::RsClient => Self::RsServer,
            Self::Peer => Self::Peer,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, role)| role == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, role)| *role).ok_or_else(|| UnknownName {
            found: text.to_owned(),
            expected: "a role: \"customer\", \"provider\", \"peer\", \"rs-server\" or \"rs-client\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_they_are_written_and_go_in_pairs() {
        for octet in 0..=4 {
            let role = Role::from_octet(octet).unwrap();
            assert_eq!(role as u8, octet);
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(role.counterpart().counterpart(), role);
        }
        assert_eq!(Role::from_octet(5), None);
        assert!("upstream".parse::<Role>().is_err());
    }
}
