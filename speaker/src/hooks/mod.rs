//! Programs that are run when something comes up or goes down. Each hook has a task and a bounded
//! queue of its own: its runs are in order and one at a time, and whatever a program does, the
//! speaker, BGP and BFD do not wait for it.

mod run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::config::{BfdName, HookConfig, HookSubject, Name, Party, PeerName};

/// How many events may wait for a program. The oldest give way: what is so now matters more.
const QUEUE: usize = 256;
/// How long the daemon waits at its end for what is to be run still.
pub(crate) const FAREWELL: Duration = Duration::from_secs(10);

/// What is told to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When it happened.
    pub at: SystemTime,
    /// To whom.
    pub party: Party,
    /// The range that the peer has come from.
    pub range: Option<PeerName>,
    /// The range that the BFD session was begun from.
    pub bfd_range: Option<BfdName>,
    /// What came up or went down.
    pub subject: HookSubject,
    /// It came up.
    pub up: bool,
    /// The state left, and the state entered.
    pub states: [String; 2],
    /// Why.
    pub cause: String,
}

/// How a hook has fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// Runs that were begun.
    pub runs: u64,
    /// Runs that could not be begun, or ended with something other than 0.
    pub failures: u64,
    /// Runs that took too long and were killed; not among the failures.
    pub timeouts: u64,
    /// Events that had to give way to later ones.
    pub dropped: u64,
    /// Events that wait.
    pub waiting: usize,
}

/// All hooks.
#[derive(Debug, Default)]
pub struct Hooks {
    current: Vec<Hook>,
    /// Those that were taken away while there was something to run.
    former: Vec<Hook>,
}

#[derive(Debug)]
struct Hook {
    name: Name,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What a hook's task shares with the speaker.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    config: Arc<HookConfig>,
    queue: VecDeque<Occurrence>,
    /// Events have had to give way since the queue was empty.
    overflows: bool,
    stage: Stage,
    counts: HookCounts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// It ends when nothing waits.
    Closing,
    Ended,
}

/// What a hook's task has to do.
enum Next {
    Run(Arc<HookConfig>, Box<Occurrence>),
    Wait,
    End,
}

impl Hooks {
    /// Has these hooks, and no others. One of the same name goes on, with what waits for it and with
    /// its counts, also where it is to run something else from here on. One that goes still runs
    /// what waits for it until the hooks are changed once more.
    pub fn set(&mut self, configs: &[HookConfig]) {
        let mut former = std::mem::take(&mut self.current);
        former.append(&mut self.former);
        former.retain(|hook| !hook.task.is_finished());
        for config in configs {
            let same = former
                .iter()
                .position(|hook| hook.name == config.name && hook.shared.set_config(config));
            let hook = match same {
                Some(index) => former.swap_remove(index),
                None => Hook::start(config.clone()),
            };
            self.current.push(hook);
        }
        for hook in &former {
            hook.shared.close();
        }
        self.former = former;
    }

    /// Tells those whom it concerns. Never waits.
    pub fn tell(&self, occurrence: &Occurrence) {
        for hook in &self.current {
            hook.shared.tell(occurrence);
        }
    }

    /// How each has fared.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, HookCounts)> {
        let hooks = self.current.iter();
        let counts = hooks.map(|hook| (hook.name.as_str().to_owned(), hook.shared.counts()));
        counts.collect()
    }

    /// Runs what waits, for ten seconds at most.
    pub async fn finish(self) {
        for hook in &self.current {
            hook.shared.close();
        }
        let all = async {
            for hook in self.current.into_iter().chain(self.former) {
                let _ = hook.task.await;
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            warn!(
                "hooks did not come to an end within {FAREWELL:?}; what they had to do still is lost"
            );
        }
    }
}

impl Hook {
    fn start(config: HookConfig) -> Self {
        let name = config.name.clone();
        let shared = Arc::new(Shared::new(config));
        let task = tokio::spawn(work(Arc::clone(&shared)));
        Self { name, shared, task }
    }
}

impl Occurrence {
    fn concerns(&self, hook: &HookConfig) -> bool {
        let is_named = |names: &std::collections::BTreeSet<String>| {
            let ranges = [
                self.range.as_ref().map(PeerName::as_str),
                self.bfd_range.as_ref().map(BfdName::as_str),
            ];
            let mut all = ranges.into_iter().flatten().chain([self.party.name()]);
            all.any(|name| names.contains(name))
        };
        hook.on.contains(&self.subject) && hook.names.as_ref().is_none_or(is_named)
    }
}

impl Shared {
    fn new(config: HookConfig) -> Self {
        Self {
            state: Mutex::new(State {
                config: Arc::new(config),
                queue: VecDeque::new(),
                overflows: false,
                stage: Stage::Open,
                counts: HookCounts::default(),
            }),
            news: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, occurrence: &Occurrence) {
        self.state().tell(occurrence);
        self.news.notify_one();
    }

    /// False: its task has ended.
    fn set_config(&self, config: &HookConfig) -> bool {
        self.state().set_config(config)
    }

    fn close(&self) {
        self.state().close();
        self.news.notify_one();
    }

    fn counts(&self) -> HookCounts {
        let state = self.state();
        HookCounts {
            waiting: state.queue.len(),
            ..state.counts
        }
    }

    fn note(&self, result: &Result<(), run::Failure>) {
        let counts = &mut self.state().counts;
        match result {
            Ok(()) => {}
            Err(run::Failure::Timeout(_)) => counts.timeouts += 1,
            Err(_) => counts.failures += 1,
        }
    }
}

impl State {
    fn tell(&mut self, occurrence: &Occurrence) {
        if !occurrence.concerns(&self.config) {
            return;
        }
        if self.queue.len() == QUEUE {
            self.queue.pop_front();
            self.counts.dropped += 1;
            if !std::mem::replace(&mut self.overflows, true) {
                warn!(
                    hook = self.config.name.as_str(),
                    "{QUEUE} events wait for this hook, and the oldest are dropped until it has caught up; herald_hook_dropped_total counts them"
                );
            }
        }
        self.queue.push_back(occurrence.clone());
    }

    fn next(&mut self) -> Next {
        if let Some(occurrence) = self.queue.pop_front() {
            self.counts.runs += 1;
            return Next::Run(Arc::clone(&self.config), Box::new(occurrence));
        }
        self.overflows = false;
        match self.stage {
            Stage::Open => Next::Wait,
            Stage::Closing | Stage::Ended => {
                self.stage = Stage::Ended;
                Next::End
            }
        }
    }

    fn set_config(&mut self, config: &HookConfig) -> bool {
        if self.stage == Stage::Ended {
            return false;
        }
        self.stage = Stage::Open;
        if *self.config != *config {
            self.config = Arc::new(config.clone());
            self.queue.retain(|occurrence| occurrence.concerns(config));
        }
        true
    }

    /// Who closes it once more does not want what waits still.
    fn close(&mut self) {
        match self.stage {
            Stage::Open => self.stage = Stage::Closing,
            Stage::Closing | Stage::Ended => self.queue.clear(),
        }
    }
}

/// Runs the program for one event after the other.
async fn work(shared: Arc<Shared>) {
    let mut trouble = None;
    loop {
        let next = shared.state().next();
        match next {
            Next::Run(config, occurrence) => {
                let result = run::run(&config, &occurrence).await;
                shared.note(&result);
                trouble = say(&config, trouble, result.err());
            }
            Next::Wait => shared.news.notified().await,
            Next::End => return,
        }
    }
}

/// What went wrong with which program.
type Trouble = Option<(Arc<HookConfig>, String)>;

/// A program that always fails in the same way is worth one line.
fn say(config: &Arc<HookConfig>, known: Trouble, failure: Option<run::Failure>) -> Trouble {
    let hook = config.name.as_str();
    let trouble = failure.map(|failure| (Arc::clone(config), failure.to_string()));
    match &trouble {
        None if known.is_some() => info!(hook, "succeeded again"),
        None => {}
        Some((_, failure)) if trouble == known => debug!(hook, "{failure}"),
        Some((_, failure)) => {
            warn!(
                hook,
                "{failure}; the same is only counted until a run succeeds"
            );
        }
    }
    trouble
}

#[cfg(test)]
mod tests;
