//! A BFD session as either end shows it, in one form: what one end says of itself, the other must have heard.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::ensure;

/// What one end shows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// The other end.
    pub remote_address: IpAddr,
    /// `AdminDown`, `Down`, `Init` or `Up`.
    pub state: String,
    pub local_discr: u64,
    /// 0 while it is unknown.
    pub remote_discr: u64,
    /// The number of the diagnostic (RFC 5880 §4.1).
    pub local_diag: u8,
    pub remote_diag: u8,
    /// What this end asks for.
    pub local: Parameters,
    /// What it has heard that the other end asks for.
    pub remote: Parameters,
    /// How often it came up.
    pub ups: u64,
    /// How often it went down from Up.
    pub downs: u64,
}

/// What an end asks for, as its packets say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub desired_min_tx_interval: Duration,
    pub required_min_rx_interval: Duration,
    pub detect_mult: u32,
}

impl Parameters {
    pub const fn new(
        desired_min_tx_millis: u64,
        required_min_rx_millis: u64,
        detect_mult: u32,
    ) -> Self {
        Self {
            desired_min_tx_interval: Duration::from_millis(desired_min_tx_millis),
            required_min_rx_interval: Duration::from_millis(required_min_rx_millis),
            detect_mult,
        }
    }

    /// How often this end sends to the other, before jitter (RFC 5880 §6.8.7).
    pub fn transmit_interval(&self, other: &Self) -> Duration {
        self.desired_min_tx_interval
            .max(other.required_min_rx_interval)
    }

    /// After how long silence of the other end this one is down (RFC 5880 §6.8.4).
    pub fn detection_time(&self, other: &Self) -> Duration {
        other.transmit_interval(self) * other.detect_mult
    }
}

impl BfdSession {
    pub fn is_up(&self) -> Result<(), String> {
        ensure(self.state == "Up", || format!("{self:?}"))
    }

    /// `Err` unless it is down, or on its way from there, for a reason.
    pub fn is_lost(&self, local_diag: u8) -> Result<(), String> {
        let is = ["Down", "Init"].contains(&self.state.as_str()) && self.local_diag == local_diag;
        ensure(is, || {
            format!("not lost with diagnostic {local_diag}: {self:?}")
        })
    }

    /// `Err` unless the state and the diagnostic are these.
    pub fn is_for(&self, state: &str, local_diag: u8) -> Result<(), String> {
        let is = self.state == state && self.local_diag == local_diag;
        ensure(is, || {
            format!("not {state} with diagnostic {local_diag}: {self:?}")
        })
    }
}

/// What is asked of a router that has BFD sessions with the host.
pub trait BfdRouter: Sync {
    /// `frr` or `bird`.
    fn label(&self) -> &'static str;

    /// All of its sessions.
    fn bfd_sessions(&self) -> Vec<BfdSession>;

    /// Ends the daemon that speaks BFD with SIGKILL.
    fn kill_bfd(&self);

    /// Ends it as an operator does.
    fn stop_bfd(&self);

    /// Starts it after either.
    fn launch_bfd(&self);
}

/// The number of a diagnostic that is written in words, whoever wrote it.
pub(super) fn diagnostic(words: &str) -> u8 {
    const WORDS: [&[&str]; 9] = [
        &["no diagnostic", "ok", "none"],
        &["control detection time expired", "time expired"],
        &["echo function failed", "echo failed"],
        &["neighbor signaled session down", "neighbor down"],
        &["forwarding plane reset", "fwd plane reset"],
        &["path down"],
        &["concatenated path down", "concat path down"],
        &["administratively down", "admin down"],
        &["reverse concatenated path down", "rev concat path down"],
    ];
    let wanted = words.to_lowercase();
    let number = (0..)
        .zip(WORDS)
        .find(|(_, of)| of.contains(&wanted.as_str()));
    number
        .map(|(number, _)| number)
        .unwrap_or_else(|| panic!("a diagnostic: {words:?}"))
}

/// An element of `herald show bfd -o json`; `Err` if there is no session.
pub fn of_herald(shown: &Value) -> Result<BfdSession, String> {
    let session = &shown["session"];
    let number = |key: &str| session[key].as_u64().unwrap_or(0);
    let millis = |key: &str| {
        let millis = session[key].as_f64().unwrap_or(0.0);
        Duration::from_secs_f64(millis / 1000.0)
    };
    let remote = shown["remote"].as_str().unwrap_or_default();
    let remote: std::net::SocketAddr = remote
        .parse()
        .map_err(|_| format!("no session: {shown:#}"))?;
    ensure(session.is_object(), || format!("no session: {shown:#}"))?;
    Ok(BfdSession {
        remote_address: remote.ip(),
        state: shown["state"].as_str().unwrap_or_default().into(),
        local_discr: number("local_discr"),
        remote_discr: number("remote_discr"),
        local_diag: diagnostic(session["local_diag"].as_str().unwrap_or("none")),
        remote_diag: diagnostic(session["remote_diag"].as_str().unwrap_or("none")),
        local: Parameters {
            desired_min_tx_interval: millis("desired_min_tx_interval_ms"),
            required_min_rx_interval: millis("required_min_rx_interval_ms"),
            detect_mult: u32::try_from(number("detect_mult")).unwrap(),
        },
        remote: Parameters {
            desired_min_tx_interval: millis("remote_desired_min_tx_interval_ms"),
            required_min_rx_interval: millis("remote_min_rx_interval_ms"),
            detect_mult: u32::try_from(number("remote_detect_mult")).unwrap(),
        },
        ups: number("up_count"),
        downs: number("down_count"),
    })
}
