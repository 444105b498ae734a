//! Why a received datagram went no further, and how often.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::authentication::AuthType;
use crate::packet::{ParseError, State};

/// A datagram that was discarded: one variant for each "MUST be discarded" of RFC 5880 §6.8.6 and of the encapsulations.
///
/// A discarded datagram has written no state variable, with one exception that the RFC makes: what meets [`Discard::AdminDown`]
/// has been noted as the remote system's latest word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Discard {
    /// The payload is no valid control packet.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// Your Discriminator names no session of ours.
    #[error("Your Discriminator {0:#010x} belongs to no session here")]
    UnknownDiscriminator(u32),
    /// Your Discriminator is zero, which only Down and AdminDown may have.
    #[error("Your Discriminator is zero in state {0}")]
    YourDiscriminatorZero(State),
    /// Your Discriminator is zero, and no session expects this sender here.
    #[error("no session with this sender is configured")]
    NoSession,
    /// It might begin a session of a range, but comes from no network of the interface it came in at, or went to no address of
    /// ours (RFC 9468 §2).
    #[error("a range has the sender, but the interface it came in at has not")]
    OffLink,
    /// It might begin a session of a range, but that has as many as it may have.
    #[error("there are {limit} sessions of the range already, its limit")]
    RangeFull {
        /// The range's limit.
        limit: usize,
    },
    /// A single-hop packet for a multihop session, or the reverse (RFC 5883 §4).
    #[error("came in at the other hop kind's port")]
    HopKind,
    /// The session is bound to another interface, or is Up at another one and the packet does not name its discriminator.
    #[error("came in at interface {got:?} instead of {expected}")]
    Interface {
        /// Interface index of arrival, if known.
        got: Option<u32>,
        /// Interface index of the session.
        expected: u32,
    },
    /// We have sent it ourselves: the remote system's address has become one of this host. The RFC does not speak of this; a
    /// session with ourselves would say that the path is well.
    #[error("it is our own: the address of the remote system is one of this host")]
    OwnPacket,
    /// Fewer hops left than the session demands (RFC 5881 §5; RFC 5082).
    #[error("TTL {got:?} is below {minimum}")]
    Ttl {
        /// TTL or hop limit of arrival, if the system told it.
        got: Option<u8>,
        /// What the session demands.
        minimum: u8,
    },
    /// The A bit is set, and the session uses no authentication.
    #[error("authenticated, but the session has no authentication")]
    UnexpectedAuthentication,
    /// The A bit is clear, and the session uses authentication.
    #[error("not authenticated, but the session has authentication")]
    MissingAuthentication,
    /// Auth Type is not the session's (RFC 5880 §6.7).
    #[error("Auth Type {got} instead of {} ({expected})", .expected.code())]
    AuthenticationType {
        /// The Auth Type field.
        got: u8,
        /// bfd.AuthType.
        expected: AuthType,
    },
    /// No key of the session has this id (RFC 5880 §6.7).
    #[error("Auth Key ID {0} belongs to no key of the session")]
    AuthenticationKeyId(u8),
    /// Auth Len is not that of the type; with a simple password, not that of the password (RFC 5880 §6.7).
    #[error("Auth Len is wrong for {0}")]
    AuthenticationLength(AuthType),
    /// The sequence number is old, or too far ahead (RFC 5880 §6.7.3, §6.7.4).
    #[error("sequence number {got} is not in the window after {last}")]
    AuthenticationSequence {
        /// The Sequence Number field.
        got: u32,
        /// bfd.RcvAuthSeq.
        last: u32,
    },
    /// Password or digest are not what our key makes (RFC 5880 §6.7): the keys differ, or somebody pretends.
    #[error("password or digest do not fit the key")]
    AuthenticationDigest,
    /// An echo packet that none of ours is, or that has come back already, or too late.
    #[error("no echo packet like this is under way")]
    EchoUnknown,
    /// An echo packet of somebody whose echo packets are not sent back.
    #[error("no session here sends back the echo packets of this sender")]
    EchoUnwanted,
    /// The remote system sends echo packets faster than it was told to.
    #[error("the remote system sends echo packets faster than it may")]
    EchoRate,
    /// The session is administratively down.
    #[error("the session is administratively down")]
    AdminDown,
}

impl Discard {
    /// A short name for counters and metrics, such as `ttl` or `my-discriminator-zero`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed(ParseError::TooShort { .. }) => "too-short",
            Self::Malformed(ParseError::Version(_)) => "version",
            Self::Malformed(ParseError::LengthTooSmall { .. }) => "length-too-small",
            Self::Malformed(ParseError::LengthBeyondPayload { .. }) => "length-beyond-payload",
            Self::Malformed(ParseError::DetectMultZero) => "detect-mult-zero",
            Self::Malformed(ParseError::MultipointSet) => "multipoint-set",
            Self::Malformed(ParseError::MyDiscriminatorZero) => "my-discriminator-zero",
            Self::Malformed(ParseError::PollAndFinal) => "poll-and-final",
            Self::Malformed(ParseError::AuthenticationLength { .. }) => "authentication-length",
            Self::UnknownDiscriminator(_) => "unknown-discriminator",
            Self::YourDiscriminatorZero(_) => "your-discriminator-zero",
            Self::NoSession => "no-session",
            Self::OffLink => "off-link",
            Self::RangeFull { .. } => "range-full",
            Self::HopKind => "hop-kind",
            Self::Interface { .. } => "interface",
            Self::OwnPacket => "own-packet",
            Self::Ttl { .. } => "ttl",
            Self::UnexpectedAuthentication => "unexpected-authentication",
            Self::MissingAuthentication => "missing-authentication",
            Self::AuthenticationType { .. } => "authentication-type",
            Self::AuthenticationKeyId(_) => "authentication-key-id",
            Self::AuthenticationLength(_) => "authentication-length",
            Self::AuthenticationSequence { .. } => "authentication-sequence",
            Self::AuthenticationDigest => "authentication-digest",
            Self::EchoUnknown => "echo-unknown",
            Self::EchoUnwanted => "echo-unwanted",
            Self::EchoRate => "echo-rate",
            Self::AdminDown => "admin-down",
        }
    }
}

/// How many datagrams were discarded, by [`Discard::label`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscardCounters(BTreeMap<&'static str, u64>);

impl DiscardCounters {
    /// Counts one datagram.
    pub fn count(&mut self, discard: &Discard) {
        *self.0.entry(discard.label()).or_default() += 1;
    }

    /// How many met this label.
    pub fn get(&self, label: &str) -> u64 {
        self.0.get(label).copied().unwrap_or(0)
    }

    /// How many there were altogether.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Label and count, ordered by label, without the zeros.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(label, count)| (*label, *count))
    }
}
