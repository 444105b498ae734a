//! How the daemon ended the last time, so that its first OPENs can tell the truth about it (RFC 4724
//! §4.1).
//!
//! A small file in the state directory says that the daemon runs, and is told otherwise when it ends.
//! What still says so belongs to a daemon that crashed. Addresses do not survive a boot, and neither
//! does what is said here: the file names the boot it belongs to, and counts time from there.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use bgp::RestartTime;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::additions::StateDir;
use crate::config::{OnExit, PeerName};
use crate::history::LastWord;

const FILE: &str = "run.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How the last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastRun {
    /// There was none since the host was booted, or it withdrew its routes.
    Over,
    /// For a restart, so long ago.
    Restarting(Duration),
    /// It did not say.
    Crashed,
}

#[derive(Debug, Serialize, Deserialize)]
struct RunFile {
    boot: String,
    /// Since the boot.
    seconds: u64,
    state: RunState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RunState {
    Running,
    Withdrew,
    Restarting,
}

impl LastRun {
    /// What is written about the last run. What cannot be read counts as nothing: an OPEN that says
    /// too little costs a few routes for a moment, one that says too much a black hole.
    pub(crate) fn read(state_dir: &StateDir) -> Self {
        let file = match state_dir.read(FILE) {
            Ok(Some(octets)) => octets,
            Ok(None) => return Self::Over,
            Err(error) => {
                warn!("how the last run ended cannot be read: {error}");
                return Self::Over;
            }
        };
        match serde_json::from_slice(&file) {
            Ok(file) => Self::from_file(&file, &boot(), since_boot()),
            Err(error) => {
                warn!("{FILE} in the state directory is not understood: {error}");
                Self::Over
            }
        }
    }

    /// What the last run wrote of its end, in whichever boot of the host.
    pub(crate) fn last_word(state_dir: &StateDir) -> LastWord {
        let file = state_dir.read(FILE).ok().flatten();
        let file = file.and_then(|file| serde_json::from_slice::<RunFile>(&file).ok());
        match file.map(|file| file.state) {
            Some(RunState::Withdrew | RunState::Restarting) => LastWord::Stopped,
            Some(RunState::Running) | None => LastWord::None,
        }
    }

    fn from_file(file: &RunFile, boot: &str, now: Duration) -> Self {
        match file.state {
            _ if file.boot != boot => Self::Over,
            RunState::Withdrew => Self::Over,
            RunState::Running => Self::Crashed,
            RunState::Restarting => {
                Self::Restarting(now.saturating_sub(Duration::from_secs(file.seconds)))
            }
        }
    }

    /// Whether a neighbor that gave us so long may still have our routes, when this run is so old. Of
    /// a crash it is not known when it was: neighbors watch the clock themselves.
    #[must_use]
    pub fn is_remembered(self, age: Duration, restart_time: Duration) -> bool {
        match self {
            Self::Over => false,
            Self::Restarting(ago) => ago + age <= restart_time,
            Self::Crashed => age <= restart_time,
        }
    }

    /// From here on, who finds this finds a crash.
    pub(crate) fn begin(state_dir: &StateDir) {
        write(state_dir, RunState::Running);
    }

    pub(crate) fn end(state_dir: &StateDir, how: OnExit) {
        let state = match how {
            OnExit::Withdraw => RunState::Withdrew,
            OnExit::Restart => RunState::Restarting,
        };
        write(state_dir, state);
    }
}

/// Who is to be told that we have restarted: each peer once, with its first session. Some peers are
/// found only after the start.
#[derive(Debug)]
pub(crate) struct Resumption {
    last_run: LastRun,
    begun: Instant,
    resumed: BTreeSet<PeerName>,
}

impl Resumption {
    pub(crate) const fn new(last_run: LastRun, begun: Instant) -> Self {
        Self {
            last_run,
            begun,
            resumed: BTreeSet::new(),
        }
    }

    /// Whether this peer's session goes on from the last run; asked once.
    pub(crate) fn begins(&mut self, now: Instant, peer: &PeerName, given: RestartTime) -> bool {
        let age = now.saturating_duration_since(self.begun);
        let seconds = |time: RestartTime| Duration::from_secs(time.as_secs().into());
        if !self.last_run.is_remembered(age, seconds(RestartTime::MAX)) {
            self.last_run = LastRun::Over;
            self.resumed.clear();
            return false;
        }
        self.resumed.insert(peer.clone()) && self.last_run.is_remembered(age, seconds(given))
    }
}

/// That this cannot be written is no reason not to run.
fn write(state_dir: &StateDir, state: RunState) {
    let file = RunFile {
        boot: boot(),
        seconds: since_boot().as_secs(),
        state,
    };
    // Two words and a number have a form in JSON.
    let text = serde_json::to_vec(&file).unwrap_or_default();
    if let Err(error) = state_dir.write(FILE, &text) {
        warn!("the next start will not know how this run ended: {error}");
    }
}

/// Empty where the system has none; then a boot cannot be told from another, and time since the boot
/// has to do.
pub(crate) fn boot() -> String {
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
    boot.trim().to_owned()
}

fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn file(state: RunState) -> RunFile {
        RunFile {
            boot: "this".to_owned(),
            seconds: 1000,
            state,
        }
    }

    #[test]
    fn a_restart_is_remembered_for_the_restart_time() {
        let at = |seconds| {
            let now = Duration::from_secs(seconds);
            LastRun::from_file(&file(RunState::Restarting), "this", now)
        };
        assert_eq!(at(1010), LastRun::Restarting(Duration::from_secs(10)));
        assert!(at(1060).is_remembered(Duration::ZERO, MINUTE));
        assert!(!at(1061).is_remembered(Duration::ZERO, MINUTE));
        assert!(!at(1030).is_remembered(MINUTE / 2 + Duration::from_secs(1), MINUTE));
    }

    #[test]
    fn a_crash_is_remembered_until_the_host_is_booted() {
        let running = file(RunState::Running);
        let now = Duration::from_secs(5000);
        assert!(LastRun::from_file(&running, "this", now).is_remembered(MINUTE, MINUTE));
        assert!(!LastRun::from_file(&running, "another", now).is_remembered(MINUTE, MINUTE));
    }

    #[test]
    fn a_peer_that_comes_later_resumes_too_and_once() {
        let begun = Instant::now();
        let [tor, late] = ["tor", "leafs@10.0.0.7"].map(|name| PeerName::new(name).unwrap());
        let given = RestartTime::from_secs(60).unwrap();
        let ago = LastRun::Restarting(Duration::from_secs(20));
        for (last_run, latest) in [(ago, 40), (LastRun::Crashed, 60)] {
            let mut resumption = Resumption::new(last_run, begun);
            assert!(resumption.begins(begun, &tor, given));
            assert!(!resumption.begins(begun, &tor, given));
            let mut asked =
                |seconds| resumption.begins(begun + Duration::from_secs(seconds), &late, given);
            assert!(asked(latest));
            assert!(!asked(latest));
            let mut resumption = Resumption::new(last_run, begun);
            assert!(!resumption.begins(begun + Duration::from_secs(latest + 1), &late, given));
        }
    }

    #[test]
    fn what_was_withdrawn_is_over() {
        let withdrew = file(RunState::Withdrew);
        let last_run = LastRun::from_file(&withdrew, "this", Duration::from_secs(1001));
        assert_eq!(last_run, LastRun::Over);
    }

    #[test]
    fn each_end_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = StateDir::open(directory.path()).unwrap();
        assert_eq!(LastRun::read(&state_dir), LastRun::Over);
        LastRun::begin(&state_dir);
        assert_eq!(LastRun::read(&state_dir), LastRun::Crashed);
        LastRun::end(&state_dir, OnExit::Restart);
        assert!(LastRun::read(&state_dir).is_remembered(Duration::ZERO, MINUTE));
        LastRun::end(&state_dir, OnExit::Withdraw);
        assert_eq!(LastRun::read(&state_dir), LastRun::Over);
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(LastRun::read(&state_dir), LastRun::Over);
    }
}
