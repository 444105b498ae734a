//! What there is to say of a peer's TCP connections, and of those that do not come about.

use serde::{Deserialize, Serialize};

use crate::bgp_thread::TransportReport;
use crate::config::{PeerConfig, minimum_ttl};
use crate::tcp_drops::TcpDrops;

/// The part of `GET /v1/peers/NAME` that is about TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransportStatus {
    /// GTSM: how many hops away it may be; null: any TTL is accepted.
    pub ttl_security: Option<u8>,
    /// GTSM: the least TTL or hop limit that is accepted.
    pub minimum_ttl: Option<u8>,
    /// Connection attempts without any answer, since the last that had one.
    pub unanswered_attempts: u64,
    /// What keeps connections from coming about, as far as can be told from here.
    pub hints: Vec<String>,
}

impl TransportStatus {
    pub(super) fn new(
        peer: &PeerConfig,
        established: bool,
        report: &TransportReport,
        drops: &TcpDrops,
    ) -> Self {
        let hints = match established {
            true => Vec::new(),
            false => hints(peer, report, drops),
        };
        Self {
            ttl_security: peer.ttl_security.map(std::num::NonZeroU8::get),
            minimum_ttl: peer.ttl_security.map(minimum_ttl),
            unanswered_attempts: report.unanswered_attempts,
            hints,
        }
    }
}

/// A neighbor that is too far is met with silence, as is one that is not there: only the kernel's
/// counters tell them apart, and those are of the whole host.
fn hints(peer: &PeerConfig, report: &TransportReport, drops: &TcpDrops) -> Vec<String> {
    let mut hints = Vec::new();
    let silent = report.unanswered_attempts > 0;
    if let Some(hops) = peer.ttl_security
        && (silent || drops.minimum_ttl > 0)
    {
        let ttl = minimum_ttl(hops);
        hints.push(format!(
            "ttl-security = {hops}: packets from the neighbor count only with a TTL of {ttl} and more; it must send 255 (GTSM on) and be at most {hops} hops away; this host has dropped {} TCP segments with a lower TTL",
            drops.minimum_ttl,
        ));
    }
    hints
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn peer(keys: &str) -> PeerConfig {
        let text = format!(
            "[speaker]\nlocal-as = 64520\n[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n{keys}"
        );
        let config = Config::parse(Path::new("herald.toml"), &text);
        config.unwrap().config.peers["tor"].clone()
    }

    fn status(keys: &str, unanswered_attempts: u64, minimum_ttl: u64) -> TransportStatus {
        let report = TransportReport {
            unanswered_attempts,
        };
        let drops = TcpDrops { minimum_ttl };
        TransportStatus::new(&peer(keys), false, &report, &drops)
    }

    #[test]
    fn silence_with_gtsm_is_explained() {
        assert!(status("", 3, 7).hints.is_empty());
        assert!(status("ttl-security = 2", 0, 0).hints.is_empty());
        let status = status("ttl-security = 2", 3, 7);
        assert_eq!(status.minimum_ttl, Some(254));
        let [hint] = &*status.hints else {
            panic!("one hint: {:?}", status.hints)
        };
        assert!(hint.contains("TTL of 254 and more"), "{hint}");
        assert!(hint.contains("dropped 7 TCP segments"), "{hint}");
    }
}
