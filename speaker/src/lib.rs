//! The Herald daemon.

pub mod additions;
pub mod announcer;
pub mod cli;
pub mod config;
pub mod plan;
