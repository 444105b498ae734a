//! Whether a Poll Sequence runs (RFC 5880 §6.5).

use std::time::Instant;

/// The state of the local system's Poll Sequence.
///
/// A parameter that changes while a sequence runs needs another one after it: the Final on its way may answer a packet with the
/// older value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PollSequence {
    /// None runs.
    #[default]
    Idle,
    /// The next packet is the first with the Poll bit: a Final that comes before it answers nothing of ours.
    Pending,
    /// Packets carry the Poll bit until a Final comes.
    Polling {
        /// When the first of them was sent: the initiation of the sequence (§6.8.4).
        since: Instant,
        /// A parameter has changed since; start again after the Final.
        again: bool,
    },
}

impl PollSequence {
    /// A parameter has changed.
    pub(crate) fn start(&mut self) {
        *self = match *self {
            Self::Idle | Self::Pending => Self::Pending,
            Self::Polling { since, .. } => Self::Polling { since, again: true },
        };
    }

    /// The path is to be verified: a sequence that runs does that as well.
    pub(crate) fn verify(&mut self) {
        if *self == Self::Idle {
            *self = Self::Pending;
        }
    }

    /// A packet with the Poll bit has been sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        if *self == Self::Pending {
            *self = Self::Polling {
                since: now,
                again: false,
            };
        }
    }

    /// A Final has come. True if it ends the sequence, with nothing changed since.
    pub(crate) fn finish(&mut self) -> bool {
        match *self {
            Self::Idle | Self::Pending => false,
            Self::Polling { again: true, .. } => {
                *self = Self::Pending;
                false
            }
            Self::Polling { again: false, .. } => {
                *self = Self::Idle;
                true
            }
        }
    }

    /// Whether packets are to carry the Poll bit.
    pub(crate) fn is_active(self) -> bool {
        self != Self::Idle
    }

    /// When the first packet of the sequence was sent; `None` before that, and if none runs.
    pub(crate) fn initiated_at(self) -> Option<Instant> {
        match self {
            Self::Polling { since, .. } => Some(since),
            Self::Idle | Self::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;

    #[test]
    fn c_145_a_change_during_a_poll_causes_a_second_one() {
        let now = Instant::now();
        let mut poll = PollSequence::default();
        assert!(!poll.finish(), "a Final without a Poll is ignored");
        poll.start();
        assert!(!poll.finish(), "no Poll has been sent yet");
        assert!(poll.is_active());
        poll.sent(now);
        poll.start();
        assert!(!poll.finish(), "this Final may answer the older value");
        assert!(poll.is_active());
        poll.sent(now);
        assert!(poll.finish());
        assert!(!poll.is_active());
    }
}
