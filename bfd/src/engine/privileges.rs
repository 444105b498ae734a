//! What keeps the thread on time on a busy machine, where the system permits it: a real-time priority, and memory that stays.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::sys;

/// The `SCHED_FIFO` priority of the thread: above everything ordinary, and below the 50 at which the kernel's own interrupt
/// threads run, which bring the packets.
pub const REALTIME_PRIORITY: u8 = 40;

/// What became of a wish for a privilege. What is refused changes nothing: the engine runs without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Grant {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// The engine has it.
    Granted,
    /// The system does not permit it, or cannot do it.
    Refused(String),
}

impl Grant {
    /// Why not, if it was refused: which capability or limit is missing.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused(reason) => Some(reason),
            Self::NotAsked | Self::Granted => None,
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.pad("off"),
            Self::Granted => f.pad("granted"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// Makes the calling thread a real-time thread, or an ordinary one again.
pub(super) fn set_realtime(wanted: bool) -> Grant {
    let priority = wanted.then_some(REALTIME_PRIORITY.into());
    match sys::set_realtime_priority(priority) {
        Ok(()) if wanted => Grant::Granted,
        Err(error) if wanted => Grant::Refused(realtime_refusal(&error)),
        // To be ordinary is always permitted.
        _ => Grant::NotAsked,
    }
}

fn realtime_refusal(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "it takes the capability CAP_SYS_NICE or a limit RLIMIT_RTPRIO of at least {REALTIME_PRIORITY} \
             (systemd: AmbientCapabilities=CAP_SYS_NICE or LimitRTPRIO={REALTIME_PRIORITY}), and a control group with \
             real-time budget where the kernel has such budgets"
        ),
        _ => error.to_string(),
    }
}

/// Keeps the memory of the process from being swapped out, from here on too; or permits it again.
pub(super) fn set_lock_memory(wanted: bool) -> Grant {
    if !wanted {
        // Nothing that was locked is no error.
        let _ = munlockall();
        return Grant::NotAsked;
    }
    if !may_lock_memory() {
        return Grant::Refused(lock_memory_refusal());
    }
    // Only what is in use: whole stacks and arenas would be brought in otherwise.
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => Grant::Granted,
        Err(Errno::PERM | Errno::NOMEM) => Grant::Refused(lock_memory_refusal()),
        Err(error) => Grant::Refused(error.to_string()),
    }
}

/// A limit that is not infinite would let the lock succeed, and then any allocation fail that goes beyond it.
fn may_lock_memory() -> bool {
    let has_capability =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    has_capability || getrlimit(Resource::Memlock).current.is_none()
}

fn lock_memory_refusal() -> String {
    "it takes the capability CAP_IPC_LOCK or an infinite limit RLIMIT_MEMLOCK (systemd: \
     AmbientCapabilities=CAP_IPC_LOCK or LimitMEMLOCK=infinity)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_missing() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let reason = realtime_refusal(&denied);
        assert!(reason.contains("CAP_SYS_NICE"), "{reason}");
        assert!(reason.contains("LimitRTPRIO=40"), "{reason}");
        let grant = Grant::Refused(lock_memory_refusal());
        assert!(
            grant
                .refusal()
                .is_some_and(|reason| reason.contains("CAP_IPC_LOCK"))
        );
        assert!(grant.to_string().starts_with("refused: it takes"));
        assert_eq!(Grant::Granted.refusal(), None);
    }
}
