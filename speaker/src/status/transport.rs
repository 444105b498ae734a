//! What there is to say of a peer's TCP connections, and of those that do not come about.

use bgp::State;
use serde::{Deserialize, Serialize};

use crate::bgp_thread::TransportReport;
use crate::config::{PeerConfig, minimum_ttl};
use crate::speaker::Neighbor;
use crate::tcp_drops::TcpDrops;

/// The part of `GET /v1/peers/NAME` that is about TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TransportStatus {
    /// Unnumbered: the interface that it is on; null: it has a configured address.
    pub interface: Option<String>,
    /// Unnumbered: the address that it has there, as far as it is known.
    pub neighbor: Option<String>,
    /// GTSM: how many hops away it may be; null: any TTL is accepted.
    pub ttl_security: Option<u8>,
    /// GTSM: the least TTL or hop limit that is accepted.
    pub minimum_ttl: Option<u8>,
    /// TCP MD5: the file that the key is from; null: segments are not signed.
    pub password_file: Option<String>,
    /// Connection attempts without any answer, since the last that had one.
    pub unanswered_attempts: u64,
    /// Events that are in no history, for too many came at once; what they count is counted.
    pub lost_events: u64,
    /// What keeps connections from coming about, as far as can be told from here.
    pub hints: Vec<String>,
}

impl TransportStatus {
    pub(super) fn new(
        peer: &PeerConfig,
        sought_in: Option<State>,
        report: &TransportReport,
        neighbor: Option<&Neighbor>,
        drops: &TcpDrops,
    ) -> Self {
        let mut hints = match sought_in {
            Some(state) => hints(peer, state, report, drops),
            None => Vec::new(),
        };
        if let Some(trouble) = neighbor.and_then(|neighbor| neighbor.trouble.as_ref()) {
            hints.insert(0, trouble.clone());
        }
        let address = neighbor.and_then(|neighbor| neighbor.address);
        Self {
            interface: peer.unnumbered().map(str::to_owned),
            neighbor: address.map(|address| address.to_string()),
            ttl_security: peer.ttl_security.map(std::num::NonZeroU8::get),
            minimum_ttl: peer.ttl_security.map(minimum_ttl),
            password_file: peer.password.as_ref().map(ToString::to_string),
            unanswered_attempts: report.unanswered_attempts,
            lost_events: report.lost_events,
            hints,
        }
    }
}

/// A neighbor that is too far is met with silence, as is one that is not there: only the kernel's
/// counters tell them apart, and those are of the whole host.
fn hints(
    peer: &PeerConfig,
    state: State,
    report: &TransportReport,
    drops: &TcpDrops,
) -> Vec<String> {
    let mut hints: Vec<String> = report.trouble.iter().cloned().collect();
    let silent = report.unanswered_attempts > 0;
    // Of a neighbor that is only waited for, or whose OPEN is, the counters are all there is to go
    // by.
    let is_awaited = peer.passive || state == State::OpenSent;
    let silent_or = |dropped: u64| silent || is_awaited && dropped > 0;
    if let Some(hops) = peer.ttl_security
        && silent_or(drops.minimum_ttl)
    {
        let ttl = minimum_ttl(hops);
        let away = match hops.get() {
            1 => "1 hop".to_owned(),
            hops => format!("{hops} hops"),
        };
        hints.push(format!(
            "ttl-security = {hops}: packets from the neighbor count only with a TTL of {ttl} and more; it must send 255 (GTSM on) and be at most {away} away; this host has dropped {} TCP segments with a lower TTL",
            drops.minimum_ttl,
        ));
    }
    let TcpDrops {
        md5_unexpected,
        md5_not_found,
        md5_failure,
        ..
    } = drops;
    if peer.password.is_some() && silent_or(md5_not_found + md5_failure) {
        hints.push(format!(
            "password-file: segments that are not signed with this key are dropped at either end, without a word; both ends must have the same key; this host has dropped {md5_not_found} TCP segments without a signature and {md5_failure} with another key"
        ));
    }
    if peer.password.is_none() && silent && *md5_unexpected > 0 {
        hints.push(format!(
            "password-file is not set, and this host has dropped {md5_unexpected} TCP segments that were signed (TCP MD5): the neighbor may have a key for us"
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

    fn status(keys: &str, unanswered_attempts: u64, drops: TcpDrops) -> TransportStatus {
        let report = TransportReport {
            unanswered_attempts,
            trouble: None,
            lost_events: 0,
        };
        TransportStatus::new(&peer(keys), Some(State::Connect), &report, None, &drops)
    }

    #[test]
    fn silence_with_gtsm_is_explained() {
        let drops = TcpDrops {
            minimum_ttl: 7,
            ..TcpDrops::default()
        };
        let none = TcpDrops::default();
        assert!(status("", 3, drops).hints.is_empty());
        assert!(status("ttl-security = 2", 0, none).hints.is_empty());
        let status = status("ttl-security = 2", 3, drops);
        assert_eq!(status.minimum_ttl, Some(254));
        let [hint] = &*status.hints else {
            panic!("one hint: {:?}", status.hints)
        };
        assert!(hint.contains("TTL of 254 and more"), "{hint}");
        assert!(hint.contains("dropped 7 TCP segments"), "{hint}");
    }

    /// The handshake may come through where nothing else does.
    #[test]
    fn silence_after_the_handshake_is_explained_too() {
        let report = TransportReport::default();
        let drops = TcpDrops {
            minimum_ttl: 7,
            ..TcpDrops::default()
        };
        let peer = peer("ttl-security = 1");
        let hints = |state| {
            TransportStatus::new(&peer, state, &report, None, &drops)
                .hints
                .len()
        };
        assert_eq!(hints(Some(State::OpenSent)), 1);
        assert_eq!(hints(Some(State::Active)), 0);
        assert_eq!(hints(None), 0);
    }

    #[test]
    fn silence_with_a_key_is_explained_at_either_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tor.key");
        std::fs::write(&file, "s3cret").unwrap();
        let keyed = format!("password-file = {file:?}");
        let drops = TcpDrops {
            md5_unexpected: 1,
            md5_not_found: 2,
            md5_failure: 3,
            ..TcpDrops::default()
        };
        let hints = status(&keyed, 1, drops).hints;
        assert!(
            hints[0].contains("2 TCP segments without a signature and 3 with another key"),
            "{hints:?}"
        );
        let hints = status("", 1, drops).hints;
        assert!(
            hints[0].contains("dropped 1 TCP segments that were signed"),
            "{hints:?}"
        );
        assert!(status("", 0, drops).hints.is_empty());
    }
}
