//! The Herald daemon.
