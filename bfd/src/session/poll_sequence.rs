//! Whether a Poll Sequence runs (RFC 5880 §6.5).

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
        /// A parameter has changed since; start again after the Final.
        again: bool,
    },
}

impl PollSequence {
    /// A parameter has changed.
    pub(crate) fn start(&mut self) {
        *self = match self {
            Self::Idle | Self::Pending => Self::Pending,
            Self::Polling { .. } => Self::Polling { again: true },
        };
    }

    /// A packet with the Poll bit has been sent.
    pub(crate) fn sent(&mut self) {
        if *self == Self::Pending {
            *self = Self::Polling { again: false };
        }
    }

    /// A Final has come. True if it ends the sequence, with nothing changed since.
    pub(crate) fn finish(&mut self) -> bool {
        match *self {
            Self::Idle | Self::Pending => false,
            Self::Polling { again: true } => {
                *self = Self::Pending;
                false
            }
            Self::Polling { again: false } => {
                *self = Self::Idle;
                true
            }
        }
    }

    /// Whether packets are to carry the Poll bit.
    pub(crate) fn is_active(self) -> bool {
        self != Self::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_145_a_change_during_a_poll_causes_a_second_one() {
        let mut poll = PollSequence::default();
        assert!(!poll.finish(), "a Final without a Poll is ignored");
        poll.start();
        assert!(!poll.finish(), "no Poll has been sent yet");
        assert!(poll.is_active());
        poll.sent();
        poll.start();
        assert!(!poll.finish(), "this Final may answer the older value");
        assert!(poll.is_active());
        poll.sent();
        assert!(poll.finish());
        assert!(!poll.is_active());
    }
}
