//! The Herald daemon, as a library: what `herald run` is made of.
//!
//! One [`speaker`] task owns configuration, services and routes; all BGP sessions run on one thread
//! ([`bgp_thread`]), all BFD sessions on another ([`bfd_thread`]). [`control`] is how the task is
//! spoken to, [`api`] the same over HTTP, and [`cli`] the commands that use it.

pub mod additions;
pub mod addresses;
mod allocator;
pub mod announcer;
pub mod api;
pub mod bfd_thread;
pub mod bgp_thread;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod drain;
pub mod history;
pub mod hooks;
mod host_addresses;
mod hostname;
pub mod last_run;
pub mod logging;
pub mod malformed;
pub mod metrics;
pub mod on_link;
mod output;
pub mod plan;
pub mod privileges;
mod program;
mod program_text;
pub mod router_id;
pub mod service_manager;
pub mod services;
pub mod speaker;
pub mod status;
pub mod story;
pub mod tcp_drops;
pub mod unnumbered;
mod watch;
