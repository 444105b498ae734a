//! `[[bfd-session]]`: a path that is watched without BGP.

use std::net::IpAddr;

use super::{BfdHops, BfdProfile};

/// One BFD session that belongs to no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdSessionConfig {
    /// Where the other end is.
    pub address: IpAddr,
    /// The interface that it runs over, where that is not left to routing; a link-local address has
    /// one.
    pub interface: Option<String>,
    /// Where it receives BFD packets.
    pub port: u16,
    /// Our end.
    pub source_address: Option<IpAddr>,
    /// How far the other end is.
    pub hops: BfdHops,
    /// The timers.
    pub profile: BfdProfile,
    /// False: configured, and kept down.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
}
