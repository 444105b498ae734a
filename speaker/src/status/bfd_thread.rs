//! What the API says of the BFD thread.

use std::collections::BTreeMap;

use ::bfd::engine::EngineStatus;
use serde::{Deserialize, Serialize};

/// The BFD thread itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BfdThreadStatus {
    /// Real-time priority: `off`, `granted`, or `refused: ` and why.
    pub realtime: String,
    /// Memory that is not swapped out: `off`, `granted`, or `refused: ` and why.
    pub lock_memory: String,
    /// Datagrams that were for no session, by reason.
    pub discarded: BTreeMap<String, u64>,
    /// Datagrams that sessions might have accepted, and that the kernel dropped because BFD was late to read them.
    pub dropped_late: u64,
    /// Datagrams that no session may accept, and that the kernel dropped because they came too fast to be looked at.
    pub dropped_rejected: u64,
    /// Datagrams at the echo port that the kernel dropped: of others than neighbors, or faster than they were read.
    pub dropped_echo: u64,
}

impl From<&EngineStatus> for BfdThreadStatus {
    fn from(engine: &EngineStatus) -> Self {
        Self {
            realtime: engine.realtime.to_string(),
            lock_memory: engine.lock_memory.to_string(),
            discarded: engine
                .discards
                .iter()
                .map(|(reason, number)| (reason.to_owned(), number))
                .collect(),
            dropped_late: engine.kernel_drops.late,
            dropped_rejected: engine.kernel_drops.rejected,
            dropped_echo: engine.kernel_drops.echo,
        }
    }
}
