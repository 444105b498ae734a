//! What a user chooses about a session.

use std::num::NonZeroU8;
use std::time::Duration;

use super::EchoConfig;
use crate::authentication::Authentication;
use crate::packet::Micros;

/// The timers, the role, the mode and the keys of a session.
///
/// All of it may change while the session is Up; the session does not flap (RFC 5880 §6.8.3). Intervals below one millisecond,
/// zero among them, are run as one millisecond; but for [`EchoConfig::required_min_rx_interval`], where zero has a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// bfd.DesiredMinTxInterval while Up: the shortest interval at which we would like to transmit. While not Up, one second
    /// or more is used.
    pub desired_min_tx_interval: Micros,
    /// bfd.RequiredMinRxInterval: the shortest interval at which we can receive.
    pub required_min_rx_interval: Micros,
    /// bfd.DetectMult: after how many packets of ours gone missing the remote system declares the session down.
    pub detect_mult: NonZeroU8,
    /// Wait for the remote system to speak first (RFC 5880 §6.1). At least one of the two must be active.
    pub passive: bool,
    /// bfd.DemandMode: ask the remote system to cease periodic packets while both are Up (RFC 5880 §6.6).
    ///
    /// Silence then means nothing, and a path that has died is found by a Poll Sequence only: by those of
    /// `demand_poll_interval`, and of [`Session::poll`](crate::Session::poll).
    pub demand_mode: bool,
    /// In demand mode of ours: how long after one verification of the path the next one begins, less jitter; `None` leaves it
    /// to the caller.
    pub demand_poll_interval: Option<Duration>,
    /// The C bit: whether BFD goes on when the control plane restarts (RFC 5880 §4.1). It tells the remote system that a session
    /// that goes Down means a dead path, also during a graceful restart (RFC 5882 §4.3.2). Set it only if that is so: a program
    /// that runs both in one process may not.
    pub control_plane_independent: bool,
    /// The keys that packets are sent and accepted with (RFC 5880 §6.7); `None`: only packets without authentication are
    /// accepted, bfd.AuthType is zero.
    ///
    /// A change of keys costs nothing as long as each end accepts the key that the other sends with. To begin or to end
    /// authentication, or to change its type, both ends have a Detection Time.
    pub authentication: Option<Authentication>,
    /// The echo function, of single-hop sessions; `None` neither sends echo packets nor asks for any.
    pub echo: Option<EchoConfig>,
}

impl SessionConfig {
    /// What intervals below it are run as.
    pub const MIN_INTERVAL: Micros = Micros::from_millis(1);

    /// The same, with every interval one that can be run.
    pub(crate) fn runnable(self) -> Self {
        Self {
            desired_min_tx_interval: self.desired_min_tx_interval.max(Self::MIN_INTERVAL),
            required_min_rx_interval: self.required_min_rx_interval.max(Self::MIN_INTERVAL),
            demand_poll_interval: self
                .demand_poll_interval
                .map(|interval| interval.max(Self::MIN_INTERVAL.as_duration())),
            echo: self.echo.map(|echo| EchoConfig {
                desired_min_tx_interval: echo
                    .desired_min_tx_interval
                    .map(|interval| interval.max(Self::MIN_INTERVAL)),
                required_min_rx_interval: match echo.required_min_rx_interval {
                    Micros::ZERO => Micros::ZERO,
                    interval => interval.max(Self::MIN_INTERVAL),
                },
            }),
            ..self
        }
    }
}

impl Default for SessionConfig {
    /// 300 ms, 300 ms, ×3, active: what routers ship.
    fn default() -> Self {
        const THREE: NonZeroU8 = match NonZeroU8::new(3) {
            Some(three) => three,
            None => NonZeroU8::MIN,
        };
        Self {
            desired_min_tx_interval: Micros::from_millis(300),
            required_min_rx_interval: Micros::from_millis(300),
            detect_mult: THREE,
            passive: false,
            demand_mode: false,
            demand_poll_interval: None,
            control_plane_independent: false,
            authentication: None,
            echo: None,
        }
    }
}
