#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "engine"), forbid(unsafe_code))]

mod discard;
mod endpoint;
mod key;
mod packet;
mod session;

#[cfg(feature = "engine")]
pub mod engine;

pub use crate::discard::{Discard, DiscardCounters};
pub use crate::endpoint::{AddError, Endpoint, Event, RxMeta, Transmit};
pub use crate::key::{
    Encapsulation, HopKind, MULTIHOP_PORT, SINGLE_HOP_PORT, SessionId, SessionKey, TRANSMIT_TTL,
};
pub use crate::packet::{
    AuthenticationSection, ControlPacket, Diagnostic, Micros, ParseError, PollFinal, State,
};
pub use crate::session::{Session, SessionConfig, SessionCounters, SessionStatus, StateChange};
