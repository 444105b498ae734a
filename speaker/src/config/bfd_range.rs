//! `[[bfd-range]]`: neighbors that may begin BFD sessions with us (RFC 9468).

use std::num::NonZeroU16;

use ipnet::IpNet;

use super::{BfdProfile, RangeConfig};

/// Whom single-hop BFD sessions are accepted from that are configured nowhere here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdRangeConfig {
    /// Where they are.
    pub prefix: IpNet,
    /// The interface that they are at; `None`: any.
    pub interface: Option<String>,
    /// Where they receive BFD packets.
    pub port: u16,
    /// Timers and keys of the sessions.
    pub profile: BfdProfile,
    /// How many sessions there may be at a time.
    pub max_sessions: NonZeroU16,
    /// False: configured, and nobody is accepted.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
}

impl BfdRangeConfig {
    /// As many as neighbors of a `[[peer-range]]`.
    pub const DEFAULT_MAX_SESSIONS: NonZeroU16 = RangeConfig::DEFAULT_LIMIT;
}
