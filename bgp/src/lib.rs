#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adj_rib_in;
mod adj_rib_out;
pub mod route;
pub mod session;
pub mod types;
pub mod wire;

pub use adj_rib_in::{AdjRibInLimit, ReceivedAttributes, ReceivedRoute};
pub use adj_rib_out::Table;
pub use route::{AggregatedBy, RouteAttributes, Routes, UnknownAttribute};
pub use session::{
    Addresses, BfdPending, Cause, ConnId, Direction, Event, FamilyStatus, Fate, KeptStatus,
    LinkLocalNextHop, Liveness, MalformedUpdate, MessageCounters, Negotiated, PrefixLimits,
    ReceivedRoutes, RefreshError, RemoteAs, RestartConfig, Session, SessionConfig, SessionStatus,
    State, StopReason, Transition,
};
pub use types::{
    Asn, BgpIdentifier, Community, ExtendedCommunity, Family, HoldTime, Ipv6ExtendedCommunity,
    LargeCommunity, Origin, Role, UnknownName,
};
pub use wire::{Capability, LongLivedStaleTime, Notification, RestartTime, Update};
