//! What a session tells about itself.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{DetectionMargin, EchoStatus, ReceiveGaps, SessionConfig};
use crate::authentication::AuthenticationStatus;
use crate::discard::DiscardCounters;
use crate::key::{SessionId, SessionKey};
use crate::packet::{Diagnostic, Micros, State};

/// A change of bfd.SessionState.
///
/// A failure of the path is a change from Up to Down whose `remote_state` is not AdminDown: AdminDown, on either side, is
/// never a failure (RFC 5882 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// Whose state.
    pub session: SessionId,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// bfd.LocalDiag: why, as we see it.
    pub local_diag: Diagnostic,
    /// The diagnostic in the remote system's latest packet: why it last changed its own state.
    pub remote_diag: Diagnostic,
    /// bfd.RemoteSessionState: the remote system's state, as last heard.
    pub remote_state: State,
    /// The C bit, as last heard: the remote system's BFD shares no fate with its control plane (RFC 5882 §4.3).
    pub remote_control_plane_independent: bool,
    /// When.
    pub at: Instant,
    /// How long it was then since the latest packet of the remote system; `None` before the first, or when it was forgotten.
    pub silence: Option<Duration>,
    /// The Detection Time that was in force before the change; `None` while the remote system was unknown.
    pub detection_time: Option<Duration>,
    /// The number of the Up period that this change begins (`to` is Up), or else belongs to or ends; 0 before the first.
    pub generation: u64,
}

/// What happened to a session since it was added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionCounters {
    /// Valid packets received.
    pub packets_in: u64,
    /// Packets handed to the driver for transmission.
    pub packets_out: u64,
    /// Packets among them that the system refused to send.
    pub transmit_errors: u64,
    /// Packets for this session that were discarded, by reason.
    pub discarded: DiscardCounters,
    /// Transitions to Up.
    pub ups: u64,
    /// Transitions from Up.
    pub downs: u64,
    /// Transmissions that the driver was asked for later than half an interval after they were due: a sign of a starved host.
    pub late_timers: u64,
    /// The time between packets of the remote system while Up.
    pub receive_gaps: ReceiveGaps,
    /// How close detection came in the latest Up period; `None` before its second packet.
    pub detection_margin: Option<DetectionMargin>,
}

/// A snapshot of a session: every variable of RFC 5880 §6.8.1, what follows from them, and counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// The session.
    pub id: SessionId,
    /// Between whom it runs.
    pub key: SessionKey,
    /// The [`Range`](crate::Range) that it was accepted from; `None`: it was added.
    pub range: Option<Arc<str>>,
    /// What was asked for.
    pub config: SessionConfig,
    /// bfd.SessionState.
    pub session_state: State,
    /// bfd.RemoteSessionState.
    pub remote_session_state: State,
    /// bfd.LocalDiscr.
    pub local_discr: NonZeroU32,
    /// bfd.RemoteDiscr; `None` (zero) while unknown.
    pub remote_discr: Option<NonZeroU32>,
    /// bfd.LocalDiag.
    pub local_diag: Diagnostic,
    /// The diagnostic in the remote system's latest packet.
    pub remote_diag: Diagnostic,
    /// bfd.DesiredMinTxInterval in force: one second or more while not Up, and the former value while a Poll Sequence
    /// announces a longer one.
    pub desired_min_tx_interval: Micros,
    /// bfd.RequiredMinRxInterval in force: the former value while a Poll Sequence announces a shorter one.
    pub required_min_rx_interval: Micros,
    /// bfd.RemoteMinRxInterval.
    pub remote_min_rx_interval: Micros,
    /// Desired Min TX Interval in the remote system's latest packet.
    pub remote_desired_min_tx_interval: Micros,
    /// Whether we ask the remote system to cease periodic packets: bfd.DemandMode, while both are Up.
    pub demand_mode: bool,
    /// bfd.RemoteDemandMode.
    pub remote_demand_mode: bool,
    /// The C bit in the remote system's latest packet.
    pub remote_control_plane_independent: bool,
    /// bfd.DetectMult.
    pub detect_mult: NonZeroU8,
    /// Detect Mult in the remote system's latest packet; `None` while there is no such packet.
    pub remote_detect_mult: Option<NonZeroU8>,
    /// Required Min Echo RX Interval in the remote system's latest packet; zero means that it sends no echo packets back.
    pub remote_min_echo_rx_interval: Micros,
    /// The echo function; `None` where none is configured.
    pub echo: Option<EchoStatus>,
    /// Whether a Poll Sequence of ours runs.
    pub polling: bool,
    /// The interval at which we transmit, before jitter; `None` while we do not transmit periodically.
    pub tx_interval: Option<Duration>,
    /// The time without packets after which we declare the session down; in demand mode of ours, that without an answer to a
    /// Poll. `None` while the remote system is unknown.
    pub detection_time: Option<Duration>,
    /// What packets are sent and accepted with; `None` (bfd.AuthType zero): no authentication.
    pub authentication: Option<AuthenticationStatus>,
    /// What happened so far.
    pub counters: SessionCounters,
    /// The latest change of state; `None` while the session is as it was created.
    pub last_change: Option<StateChange>,
    /// The number of the latest Up period; 0 before the first.
    pub generation: u64,
}
