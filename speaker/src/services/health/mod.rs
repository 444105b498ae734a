//! Whether services work: what they are checked by, and the paths that they depend on.
//!
//! [`tally`] turns results into verdicts and [`checker`] says when to check; both are values without
//! a clock. [`thread`] drives them, with a [`probe`] for each check, and [`standing`] puts together
//! what a service's check and its path say. What comes out of all this is a
//! [`Verdict`](super::Verdict) for each service, as soon as it turns.

pub mod checker;
pub mod crowd;
mod probe;
pub mod standing;
pub mod tally;
pub mod thread;

pub use checker::{CheckReport, Found, Kind, Setup};
pub use crowd::Crowded;
pub use standing::{Standing, Standings, Turn, has_failed};
pub use thread::{HealthThread, News};
