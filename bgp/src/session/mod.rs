//! One neighbor: RFC 4271 §8 over zero, one or two TCP connections.

mod config;
mod event;
mod status;

pub use config::{RemoteAs, SessionConfig};
pub use event::{ConnId, Direction, Event, Liveness, StopReason};
pub use status::{
    Cause, FamilyStatus, MessageCounters, Negotiated, SessionStatus, State, Transition,
};
