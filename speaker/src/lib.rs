//! The Herald daemon.

pub mod additions;
pub mod announcer;
pub mod bgp_thread;
pub mod cli;
pub mod config;
pub mod demo;
pub mod plan;
