#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "engine"), forbid(unsafe_code))]

mod authentication;
mod discard;
mod echo_packet;
mod endpoint;
mod key;
mod network;
mod packet;
mod session;
mod session_map;
mod timers;

#[cfg(all(feature = "engine", not(target_os = "linux")))]
compile_error!(
    "herald-bfd: the feature `engine` needs Linux; without it the crate works everywhere"
);
#[cfg(all(feature = "engine", target_os = "linux"))]
pub mod engine;

pub use crate::authentication::{
    AuthType, Authentication, AuthenticationError, AuthenticationKey, AuthenticationStatus,
    KeyError,
};
pub use crate::discard::{Discard, DiscardCounters};
pub use crate::echo_packet::{ECHO_PORT, RETURNED_TTL};
pub use crate::endpoint::{
    AddError, EchoMeta, Endpoint, Event, Link, Range, RangeStatus, RxMeta, Transmit, TransmitKind,
};
pub use crate::key::{
    Encapsulation, HopKind, MULTIHOP_PORT, SINGLE_HOP_PORT, SessionId, SessionKey, TRANSMIT_TTL,
};
pub use crate::network::Network;
pub use crate::packet::{
    AuthenticationSection, ControlPacket, Diagnostic, Micros, ParseError, PollFinal, State,
};
pub use crate::session::{
    DetectionMargin, EchoConfig, EchoObstacles, EchoStatus, ReceiveGaps, Session, SessionConfig,
    SessionCounters, SessionStatus, StateChange,
};
