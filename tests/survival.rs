//! BFD sessions on machines and networks that misbehave: real links, real sockets, one kernel.
//!
//! A session may go down when RFC 5880 requires it, once, and then it comes back by itself. These tests need root.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

#[path = "survival/echo.rs"]
mod echo;
#[path = "survival/flood.rs"]
mod flood;
#[path = "survival/host.rs"]
mod host;
#[path = "survival/interfaces.rs"]
mod interfaces;
#[path = "survival/odd_datagrams.rs"]
mod odd_datagrams;
#[path = "survival/stop.rs"]
mod stop;
#[path = "survival/unsolicited.rs"]
mod unsolicited;

mod support;
