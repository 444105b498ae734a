//! What the API says of BFD.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{fine_millis, millis, text, time};
use crate::bfd_thread::BfdReport;
use crate::config::{BfdHops, BfdName, BfdSessionConfig, Party, PeerBfd, PeerConfig, PeerHops};
use crate::control::{Refusal, Snapshot};
use crate::history::{BfdCause, Record, What};
use crate::on_link;
use crate::story;

/// How long a session may take to come up before that is remarkable.
const PATIENCE: Duration = Duration::from_secs(15);

/// An element of `GET /v1/bfd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BfdStatus {
    /// What it is like, what it was like before, and why: in sentences.
    #[serde(default)]
    pub story: Vec<String>,
    /// How it was lost the last time; null: that is not remembered.
    #[serde(default)]
    pub last_down: Option<BfdDownStatus>,
    /// What it is called: the name of its peer, or else its own.
    pub name: String,
    /// The peer that it runs for; null: none.
    pub peer: Option<String>,
    /// The `[[bfd-session]]` that it runs for; null: none. A session may run for both.
    #[serde(default)]
    pub bfd_session: Option<String>,
    /// The `[[bfd-range]]` that the neighbor has begun it from; null: it is configured.
    #[serde(default)]
    pub bfd_range: Option<String>,
    /// For people; that of the `[[bfd-session]]`.
    #[serde(default)]
    pub description: Option<String>,
    /// False: configured, and kept down.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The profile that its timers come from.
    pub profile: String,
    /// `AdminDown`, `Down`, `Init`, `Up`, or `Failed` when there could be no session.
    pub state: String,
    /// What somebody should look at.
    #[serde(default)]
    pub warning: Option<String>,
    /// Why there is no session.
    pub error: Option<String>,
    /// Where packets are sent.
    pub remote: String,
    /// Where from, if that is not left to routing.
    pub local: Option<String>,
    /// Which interface, if that is not left to routing.
    pub interface: Option<String>,
    /// False: on-link, TTL 255 required.
    pub multihop: bool,
    /// What of the configuration decided that: `ebgp-multihop`, `ttl-security`, `bfd-multihop`,
    /// `on-link` for an external peer without any, `default` for an internal one; `multihop` or
    /// `default` where it runs for no peer.
    pub hops_because: String,
    /// The BGP session is not up before this one is, and waits for it so long; null: it need not.
    pub strict_hold_time_ms: Option<u64>,
    /// The least TTL that is accepted.
    pub minimum_ttl: u8,
    /// When the state was entered.
    pub since: Option<String>,
    /// How long ago.
    pub in_state_ms: Option<u64>,
    /// Everything else; null when there is no session.
    pub session: Option<BfdSessionStatus>,
}

/// How a BFD session ceased to be Up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BfdDownStatus {
    /// When.
    pub at: String,
    /// Why, in words.
    pub cause: String,
    /// Our diagnostic, and the neighbor's; null: we have ended it ourselves.
    pub local_diag: Option<String>,
    /// Why the neighbor last changed its own state, as it said then.
    pub remote_diag: Option<String>,
    /// How long nothing had come from the neighbor.
    pub silence_ms: Option<f64>,
    /// After how long silence that means that the path is down.
    pub detection_time_ms: Option<f64>,
}

impl Eq for BfdDownStatus {}

impl From<&Record> for BfdDownStatus {
    fn from(record: &Record) -> Self {
        let sight = match &record.what {
            What::Bfd {
                cause: BfdCause::Protocol(sight),
                ..
            } => Some(sight),
            _ => None,
        };
        Self {
            at: time(record.last),
            cause: record.what.to_string(),
            local_diag: text(sight.map(|sight| sight.local_diag)),
            remote_diag: text(sight.map(|sight| sight.remote_diag)),
            silence_ms: sight.and_then(|sight| sight.silence).map(fine_millis),
            detection_time_ms: sight
                .and_then(|sight| sight.detection_time)
                .map(fine_millis),
        }
    }
}

/// The variables of RFC 5880 §6.8.1, what follows from them, and counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names are those of RFC 5880")]
pub struct BfdSessionStatus {
    #[serde(default)]
    pub state: String,
    pub remote_state: String,
    pub local_discr: u32,
    pub remote_discr: u32,
    pub local_diag: String,
    pub remote_diag: String,
    pub transmit_interval_configured_ms: f64,
    pub receive_interval_configured_ms: f64,
    pub desired_min_tx_interval_ms: f64,
    pub required_min_rx_interval_ms: f64,
    pub remote_desired_min_tx_interval_ms: f64,
    pub remote_min_rx_interval_ms: f64,
    /// We ask the neighbor to cease periodic packets, and are both Up.
    pub demand_mode: bool,
    /// The neighbor asks us to.
    pub remote_demand_mode: bool,
    /// What packets are authenticated with; null: nothing.
    pub authentication: Option<BfdAuthenticationStatus>,
    /// The C bit: the neighbor's BFD shares no fate with its control plane.
    pub remote_control_plane_independent: bool,
    pub detect_mult: u8,
    pub remote_detect_mult: Option<u8>,
    pub passive: bool,
    pub polling: bool,
    /// How often we send; null while we do not.
    pub transmit_interval_ms: Option<f64>,
    /// After how long silence the session is down; null while nothing was heard.
    pub detection_time_ms: Option<f64>,
    pub packets_in: u64,
    pub packets_out: u64,
    pub transmit_errors: u64,
    pub discarded: BTreeMap<String, u64>,
    pub up_count: u64,
    pub down_count: u64,
    /// Transmissions that the host was late for.
    pub late_timers: u64,
    /// The least time that was left to detection when a packet came, in the latest Up period.
    pub worst_detection_margin_ms: Option<f64>,
    /// The same in percent of the Detection Time that was in force.
    #[serde(default)]
    pub worst_detection_margin_percent: Option<u8>,
    /// How long ago that was.
    #[serde(default)]
    pub worst_detection_margin_ago_ms: Option<u64>,
    /// For how long it was measured: since the beginning of the Up period.
    #[serde(default)]
    pub detection_margin_measured_ms: Option<u64>,
    /// How long it was between packets while Up.
    #[serde(default)]
    pub receive_gaps: Vec<ReceiveGapsStatus>,
    /// The echo function; null where there is none.
    #[serde(default)]
    pub echo: Option<BfdEchoStatus>,
}

impl Eq for BfdSessionStatus {}

/// The echo function of a BFD session (RFC 5880 §6.8.9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BfdEchoStatus {
    /// How often we send echo packets; null while we do not.
    pub transmit_interval_ms: Option<f64>,
    /// After how long without one that came back the session is down; null while we send none.
    pub detection_time_ms: Option<f64>,
    /// How often the neighbor may send its own, as we say; 0: not at all.
    pub receive_interval_ms: f64,
    /// How often the neighbor says that we may; 0: not at all.
    pub remote_receive_interval_ms: f64,
    /// Ours that were sent.
    pub packets_out: u64,
    /// Ours that came back.
    pub packets_in: u64,
    /// Ours that did not come back in time.
    pub packets_lost: u64,
    /// The neighbor's that we sent back; over IPv4 the kernel does so, uncounted.
    pub packets_returned: u64,
    /// How long the latest was on its way there and back.
    pub round_trip_ms: Option<f64>,
    /// Why ours are not sent, if something is in the way.
    pub transmit_obstacle: Option<String>,
    /// Why the neighbor's would not be sent back, if something is in the way.
    pub receive_obstacle: Option<String>,
}

/// Which keys a BFD session uses, and its sequence numbers (RFC 5880 §6.8.1). The keys themselves are nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BfdAuthenticationStatus {
    /// As `type` in the configuration.
    #[serde(rename = "type")]
    pub auth_type: String,
    /// The key that we send with.
    pub sent_key_id: u8,
    /// Every key that we accept.
    pub accepted_key_ids: Vec<u8>,
    /// The key in the latest packet accepted; null: none was.
    pub received_key_id: Option<u8>,
    /// bfd.RcvAuthSeq; null while bfd.AuthSeqKnown is 0, and with type `simple`.
    pub rcv_auth_seq: Option<u32>,
    /// bfd.XmitAuthSeq; null with type `simple`.
    pub xmit_auth_seq: Option<u32>,
}

impl From<&bfd::AuthenticationStatus> for BfdAuthenticationStatus {
    fn from(status: &bfd::AuthenticationStatus) -> Self {
        Self {
            auth_type: status.auth_type.to_string(),
            sent_key_id: status.sent_key_id,
            accepted_key_ids: status.accepted_key_ids.clone(),
            received_key_id: status.received_key_id,
            rcv_auth_seq: status.rcv_auth_seq,
            xmit_auth_seq: status.xmit_auth_seq,
        }
    }
}

/// A bucket of a histogram of the time between packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReceiveGapsStatus {
    /// Up to which share of the interval that both ends agreed upon, in percent; null: longer ones.
    pub up_to_percent: Option<u16>,
    /// How many there were that the bucket before does not hold.
    pub count: u64,
}

const fn yes() -> bool {
    true
}

impl Snapshot {
    /// `GET /v1/bfd`
    #[must_use]
    pub fn bfd(&self) -> Vec<BfdStatus> {
        let running = self.bfd.sessions.iter().map(|bfd| self.bfd_status(bfd));
        let sessions = self.config.bfd_sessions.iter();
        let disabled = sessions
            .filter(|(_, session)| !session.enabled)
            .map(|(name, session)| disabled(name, session));
        let mut all: Vec<BfdStatus> = running.chain(disabled).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// `GET /v1/bfd/NAME`: of a peer or a `[[bfd-session]]`.
    ///
    /// # Errors
    /// When there is none of that name, or the peer has none.
    pub fn bfd_of(&self, name: &str) -> Result<BfdStatus, Refusal> {
        let mut all = self.bfd();
        let is_called = |status: &BfdStatus| {
            [&status.peer, &status.bfd_session]
                .into_iter()
                .any(|of| of.as_deref() == Some(name))
        };
        match all.iter().position(is_called) {
            Some(index) => Ok(all.swap_remove(index)),
            None if self
                .config
                .peers
                .get(name)
                .is_some_and(|peer| peer.bfd.is_some()) =>
            {
                Err(Refusal::NotFound(format!(
                    "peer {name} is kept down, and its BFD session with it; `herald peer enable {name}` or \
                     enabled = true lets both begin"
                )))
            }
            None if self.config.peers.contains_key(name) => Err(Refusal::NotFound(format!(
                "peer {name} has no BFD session; give it a bfd-profile"
            ))),
            None => {
                let known = all.iter().flat_map(|it| [&it.peer, &it.bfd_session]);
                Err(crate::speaker::not_found(
                    "BFD session",
                    "bfd",
                    name,
                    known.flatten().map(String::as_str),
                ))
            }
        }
    }

    pub(super) fn bfd_status(&self, bfd: &BfdReport) -> BfdStatus {
        let mut status = self.bfd_status_untold(bfd);
        if let Some(party) = bfd.users.first() {
            (status.story, status.last_down) = self.told_of(party, |plot| {
                let lost = plot.bfd.iter().rev().find(|record| record.what.is_down());
                (story::of_bfd(&status, plot), lost.map(BfdDownStatus::from))
            });
        }
        status
    }

    fn bfd_status_untold(&self, bfd: &BfdReport) -> BfdStatus {
        let session = bfd.session.as_ref().ok();
        let since = session
            .and_then(|session| session.last_change)
            .map(|change| change.at);
        let peer_name = bfd.users.iter().find_map(Party::peer);
        let own_name = bfd.users.iter().find_map(Party::bfd_session);
        let peer = peer_name.and_then(|name| self.config.peers.get(name));
        let own = own_name.and_then(|name| self.config.bfd_sessions.get(name));
        let range = bfd.range.as_ref();
        let range = range.and_then(|name| self.config.bfd_ranges.get(name));
        let multihop = matches!(bfd.key.hop, bfd::HopKind::Multi { .. });
        BfdStatus {
            story: Vec::new(),
            last_down: None,
            name: bfd.users.first().map_or("", Party::name).to_owned(),
            peer: text(peer_name),
            bfd_session: text(own_name),
            bfd_range: text(bfd.range.as_ref()),
            description: own
                .and_then(|own| own.description.clone())
                .or_else(|| range.and_then(|range| range.description.clone())),
            enabled: true,
            profile: bfd.profile.clone(),
            state: session.map_or_else(
                || "Failed".to_owned(),
                |session| session.session_state.to_string(),
            ),
            warning: session.and_then(|session| self.warning(bfd, session)),
            error: bfd.session.as_ref().err().cloned(),
            remote: bfd.key.remote.to_string(),
            local: text(bfd.key.local),
            interface: bfd.key.interface.clone(),
            multihop,
            strict_hold_time_ms: peer.and_then(|peer| peer.bfd.as_ref()?.strict).map(millis),
            hops_because: match (peer_name, peer) {
                (Some(_), Some(peer)) => hops_because(peer, multihop),
                (Some(_), None) => "peer removed",
                (None, _) => standalone_hops_because(multihop),
            }
            .to_owned(),
            minimum_ttl: bfd.key.hop.minimum_ttl(),
            since: since.map(|at| self.time(at)),
            in_state_ms: self.ago_ms(since),
            session: session.map(|session| self.bfd_session_status(session)),
        }
    }

    fn bfd_session_status(&self, session: &bfd::SessionStatus) -> BfdSessionStatus {
        let margin = session.counters.detection_margin;
        BfdSessionStatus {
            worst_detection_margin_ago_ms: self.ago_ms(margin.map(|margin| margin.at)),
            detection_margin_measured_ms: self.ago_ms(margin.map(|margin| margin.since)),
            ..BfdSessionStatus::from(session)
        }
    }

    /// A session that was never up may be missing at the other end.
    fn warning(&self, bfd: &BfdReport, session: &bfd::SessionStatus) -> Option<String> {
        let waiting = self.ago(bfd.opened?);
        if session.counters.ups > 0 || waiting < PATIENCE {
            return None;
        }
        let waiting = humantime::format_duration(Duration::from_secs(waiting.as_secs()));
        let counters = &session.counters;
        let discarded = counters.discarded.iter().max_by_key(|(_, count)| *count);
        let why = match discarded {
            Some((reason, count)) => {
                format!("{count} packets from there were discarded ({reason})")
            }
            None if counters.packets_in > 0 => {
                "packets come from there, but ours may not arrive".to_owned()
            }
            None if session.config.passive => {
                "no packet has come from there, and passive-mode waits for one".to_owned()
            }
            None => "no packet has come from there".to_owned(),
        };
        let far = route_trouble(&bfd.key).unwrap_or_default();
        Some(format!("has not been up in {waiting}: {why}{far}"))
    }
}

/// RFC 5881 §2: who is on no link of ours needs multihop.
fn route_trouble(key: &bfd::SessionKey) -> Option<String> {
    let ip = key.remote.ip();
    match on_link::is_on_link(ip, key.interface.as_deref()) {
        None => Some(format!("; there is no route to {ip}")),
        Some(false) if key.hop == bfd::HopKind::Single => Some(format!(
            "; it is single hop, and {ip} is behind a gateway: is multihop meant?"
        )),
        Some(_) => None,
    }
}

fn disabled(name: &BfdName, session: &BfdSessionConfig) -> BfdStatus {
    let multihop = session.hops != BfdHops::Single;
    BfdStatus {
        story: vec!["It is disabled in the configuration (enabled = false).".to_owned()],
        last_down: None,
        name: name.to_string(),
        peer: None,
        bfd_session: Some(name.to_string()),
        bfd_range: None,
        description: session.description.clone(),
        enabled: false,
        profile: session.profile.name.clone(),
        state: bfd::State::AdminDown.to_string(),
        warning: None,
        error: None,
        remote: std::net::SocketAddr::new(session.address, session.port).to_string(),
        local: text(session.source_address),
        interface: session.interface.clone(),
        multihop,
        hops_because: standalone_hops_because(multihop).to_owned(),
        strict_hold_time_ms: None,
        minimum_ttl: match session.hops {
            BfdHops::Single => u8::MAX,
            BfdHops::Multi { minimum_ttl } => minimum_ttl.get(),
        },
        since: None,
        in_state_ms: None,
        session: None,
    }
}

const fn standalone_hops_because(multihop: bool) -> &'static str {
    if multihop { "multihop" } else { "default" }
}

/// What of the configuration decided how far a BFD session reaches.
fn hops_because(peer: &PeerConfig, multihop: bool) -> &'static str {
    let by_route = |bfd: &PeerBfd| matches!(bfd.hops, PeerHops::ByRoute { .. });
    if peer.bfd.as_ref().is_some_and(by_route) {
        return if multihop { "not on-link" } else { "on-link" };
    }
    // Other hops mean nothing for an internal peer.
    let says = |key: Option<NonZeroU8>| key.is_some_and(|hops| (hops.get() > 1) == multihop);
    let internal = peer.is_internal();
    match multihop {
        _ if says(peer.ttl_security) && (multihop || internal) => "ttl-security",
        true if says(peer.ebgp_multihop) && !internal => "ebgp-multihop",
        false if peer.is_link_local() => "interface",
        false if !internal && peer.hops().get() == 1 => "on-link",
        _ => "bfd-multihop",
    }
}

impl From<&bfd::SessionStatus> for BfdSessionStatus {
    fn from(session: &bfd::SessionStatus) -> Self {
        let ms = |micros: bfd::Micros| fine_millis(micros.as_duration());
        let counters = &session.counters;
        Self {
            state: session.session_state.to_string(),
            remote_state: session.remote_session_state.to_string(),
            local_discr: session.local_discr.get(),
            remote_discr: session.remote_discr.map_or(0, std::num::NonZeroU32::get),
            local_diag: session.local_diag.to_string(),
            remote_diag: session.remote_diag.to_string(),
            transmit_interval_configured_ms: ms(session.config.desired_min_tx_interval),
            receive_interval_configured_ms: ms(session.config.required_min_rx_interval),
            desired_min_tx_interval_ms: ms(session.desired_min_tx_interval),
            required_min_rx_interval_ms: ms(session.required_min_rx_interval),
            remote_desired_min_tx_interval_ms: ms(session.remote_desired_min_tx_interval),
            remote_min_rx_interval_ms: ms(session.remote_min_rx_interval),
            demand_mode: session.demand_mode,
            remote_demand_mode: session.remote_demand_mode,
            authentication: session
                .authentication
                .as_ref()
                .map(BfdAuthenticationStatus::from),
            remote_control_plane_independent: session.remote_control_plane_independent,
            detect_mult: session.detect_mult.get(),
            remote_detect_mult: session.remote_detect_mult.map(NonZeroU8::get),
            passive: session.config.passive,
            polling: session.polling,
            transmit_interval_ms: session.tx_interval.map(fine_millis),
            detection_time_ms: session.detection_time.map(fine_millis),
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            transmit_errors: counters.transmit_errors,
            discarded: counters
                .discarded
                .iter()
                .map(|(label, count)| (label.to_owned(), count))
                .collect(),
            up_count: counters.ups,
            down_count: counters.downs,
            late_timers: counters.late_timers,
            echo: session.echo.as_ref().map(|echo| BfdEchoStatus {
                transmit_interval_ms: echo.tx_interval.map(fine_millis),
                detection_time_ms: echo.detection_time.map(fine_millis),
                receive_interval_ms: ms(echo.required_min_rx_interval),
                remote_receive_interval_ms: ms(session.remote_min_echo_rx_interval),
                packets_out: echo.packets_out,
                packets_in: echo.packets_in,
                packets_lost: echo.packets_lost,
                packets_returned: echo.packets_returned,
                round_trip_ms: echo.last_round_trip.map(fine_millis),
                transmit_obstacle: echo.obstacles.transmit.clone(),
                receive_obstacle: echo.obstacles.receive.clone(),
            }),
            worst_detection_margin_ms: counters
                .detection_margin
                .map(|margin| fine_millis(margin.left())),
            worst_detection_margin_percent: counters
                .detection_margin
                .map(|margin| margin.percent_left()),
            worst_detection_margin_ago_ms: None,
            detection_margin_measured_ms: None,
            receive_gaps: counters
                .receive_gaps
                .buckets()
                .map(|(bound, count)| ReceiveGapsStatus {
                    up_to_percent: bound.map(|thousandths| thousandths / 10),
                    count,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{BfdHops, Config};

    #[test]
    fn the_key_that_decided_the_hops_is_named() {
        let cases = [
            ("remote-as = 64521", "on-link"),
            ("remote-as = 64521\nebgp-multihop = 1", "on-link"),
            ("remote-as = \"internal\"", "on-link"),
            ("remote-as = 64520", "on-link"),
            ("remote-as = 64520\nbfd-multihop = false", "bfd-multihop"),
            ("remote-as = 64520\nbfd-multihop = true", "bfd-multihop"),
            ("remote-as = 64520\nttl-security = 1", "ttl-security"),
            ("remote-as = 64520\nttl-security = 3", "ttl-security"),
            ("remote-as = 64520\nebgp-multihop = 3", "on-link"),
            ("remote-as = 64521\nebgp-multihop = 2", "ebgp-multihop"),
            ("remote-as = 64521\nttl-security = 1", "on-link"),
            ("remote-as = 64521\nttl-security = 2", "ttl-security"),
            ("remote-as = 64521\nbfd-multihop = true", "bfd-multihop"),
            (
                "remote-as = 64521\nebgp-multihop = 2\nbfd-multihop = false",
                "bfd-multihop",
            ),
        ];
        for (keys, because) in cases {
            let text = format!(
                "[speaker]\nlocal-as = 64520\n[[peer]]\naddress = \"192.0.2.1\"\nbfd-profile = \"default\"\n{keys}\n"
            );
            let config = Config::parse(Path::new("herald.toml"), &text)
                .unwrap()
                .config;
            let peer = &config.peers["192.0.2.1"];
            let multihop = peer.bfd.as_ref().unwrap().hops.when(true) != BfdHops::Single;
            assert_eq!(hops_because(peer, multihop), because, "{keys}");
        }
    }
}
