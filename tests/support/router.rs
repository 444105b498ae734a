//! What tests ask of any router, whoever made it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A route as a router has received it: what tells whether an attribute arrived intact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// The global one first, then the link-local one if there is one.
    pub next_hops: Vec<IpAddr>,
    /// `IGP`, `EGP` or `incomplete`.
    pub origin: String,
    /// E.g. `64520 64520`; empty of a route from within the AS.
    pub as_path: String,
    pub multi_exit_disc: Option<u32>,
    pub local_pref: Option<u32>,
    /// In the order in which the router shows them, e.g. `64520:100`; well-known ones are numbers too.
    pub communities: Vec<String>,
    /// E.g. `64520:1:2`.
    pub large_communities: Vec<String>,
    /// Route targets and sites of origin, e.g. `rt:64520:1` and `soo:192.0.2.1:7`.
    pub extended_communities: Vec<String>,
}

/// A router that is a neighbor of `herald`'s.
///
/// A `neighbor` is named as this router names it: FRR and GoBGP by its address, BIRD by its protocol.
pub trait Router: Sync {
    /// `FRR`, `BIRD` or `GoBGP`.
    fn kind(&self) -> &'static str;

    /// The state of the session in the RFC's words, e.g. `Established`.
    fn state(&self, neighbor: &str) -> String;

    /// All paths to a prefix, whoever sent them; the best one first where the router knows one.
    fn received(&self, prefix: &str) -> Vec<ReceivedRoute>;

    /// All paths to every prefix of both families.
    fn table(&self) -> BTreeMap<String, Vec<ReceivedRoute>>;

    /// Asks the neighbor for its routes once more (RFC 2918), in both families.
    fn request_refresh(&self, neighbor: &str);

    /// Ends the session; it comes back by itself. Where the router can, `text` goes with it (RFC 9003).
    fn reset(&self, neighbor: &str, text: &str);

    /// Ends the session and keeps it down.
    fn disable(&self, neighbor: &str);

    /// Lets the session come up.
    fn enable(&self, neighbor: &str);

    /// Ends its BGP daemon with SIGKILL: nobody is told.
    fn kill(&self);

    /// Starts its BGP daemon after [`Self::kill`].
    fn launch(&self);

    /// Why the session went down last, as far as the router tells.
    fn last_error(&self, neighbor: &str) -> String;

    /// Every prefix of both families that it has a path to.
    fn prefixes(&self) -> BTreeSet<String> {
        self.table().into_keys().collect()
    }

    /// `Err` says what it is instead.
    fn ensure_established(&self, neighbor: &str) -> Result<(), String> {
        let state = self.state(neighbor);
        super::ensure(state == "Established", || {
            format!("{} is {state}: {}", self.kind(), self.last_error(neighbor))
        })
    }
}

/// The last line of a log that tells of an error.
pub(super) fn last_line(log: &str, tells: impl Fn(&str) -> bool) -> String {
    let told = log.lines().rev().find(|line| tells(line));
    told.unwrap_or("no error").into()
}

/// `64520:100` of the four octets of a community.
pub(super) fn community(value: u32) -> String {
    format!("{}:{}", value >> 16, value & 0xFFFF)
}

/// A well-known community by the name that FRR gives it, else as it stands.
pub(super) fn community_by_name(name: &str) -> String {
    match name {
        "graceful-shutdown" => community(0xFFFF_0000),
        "accept-own" => community(0xFFFF_0001),
        "llgr-stale" => community(0xFFFF_0006),
        "no-llgr" => community(0xFFFF_0007),
        "blackhole" => community(0xFFFF_029A),
        "no-export" => community(0xFFFF_FF01),
        "no-advertise" => community(0xFFFF_FF02),
        "local-AS" => community(0xFFFF_FF03),
        "no-peer" => community(0xFFFF_FF04),
        number => number.into(),
    }
}
