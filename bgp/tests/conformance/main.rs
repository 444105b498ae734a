//! What RFCs demand, and what has gone wrong elsewhere, held against a session as its driver sees it.
//!
//! Tests are named after the rules in `docs/rfc/`: `c_` and the number of a rule, `f_` and the number
//! of an input that has broken some speaker.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod inputs;
mod received;
mod regressions;
mod rules;
mod script;
