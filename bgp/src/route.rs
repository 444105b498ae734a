//! What a caller wants said: prefixes with their attributes, in a speaker's words rather than the
//! wire's.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::types::{Community, LargeCommunity, Origin};

/// The attributes of a route that is announced from here. What the session itself decides (AS_PATH,
/// NEXT_HOP, whether LOCAL_PREF may be said at all) is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteAttributes {
    /// ORIGIN (RFC 4271 §5.1.1).
    pub origin: Origin,
    /// MULTI_EXIT_DISC (RFC 4271 §5.1.4): the lower wins, among routes of one neighboring AS.
    pub multi_exit_disc: Option<u32>,
    /// LOCAL_PREF (RFC 4271 §5.1.5): said to internal peers only, where it defaults to 100.
    pub local_pref: Option<u32>,
    /// How many times the own AS is prepended beyond what the protocol asks for. External peers
    /// only.
    pub as_path_prepend: u8,
    /// COMMUNITIES (RFC 1997); sorted and without duplicates on the wire.
    pub communities: Vec<Community>,
    /// LARGE_COMMUNITY (RFC 8092); sorted and without duplicates on the wire.
    pub large_communities: Vec<LargeCommunity>,
}

/// Everything one session should have announced: the desired Adj-RIB-Out. Routes with equal
/// attributes should share them, for that is how they are packed into one UPDATE.
pub type Routes = BTreeMap<IpNet, Arc<RouteAttributes>>;
