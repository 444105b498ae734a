//! Programs that are run when something comes up or goes down. Each hook has a task and a bounded
//! queue of its own: its runs are in order and one at a time, and whatever a program does, the
//! speaker, BGP and BFD do not wait for it.

mod run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::config::{HookConfig, HookSubject, Party, PeerName};

/// How many events may wait for a program. The oldest give way: what is so now matters more.
const QUEUE: usize = 256;
/// How long the daemon waits at its end for what is to be run still.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is told to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When it happened.
    pub at: SystemTime,
    /// To whom.
    pub party: Party,
    /// The range that the peer has come from.
    pub range: Option<PeerName>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
pub struct Hooks(Vec<Hook>);

#[derive(Debug)]
struct Hook {
    config: HookConfig,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What a hook's task shares with the speaker.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Occurrence>>,
    news: Notify,
    closing: AtomicBool,
    runs: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    dropped: AtomicU64,
}

impl Hooks {
    /// Has these hooks, and no others. One that is as before goes on; one that goes still runs what
    /// waits for it.
    pub fn set(&mut self, configs: &[HookConfig]) {
        let mut former = std::mem::take(&mut self.0);
        for config in configs {
            let same = former.iter().position(|hook| hook.config == *config);
            let hook = match same {
                Some(index) => former.swap_remove(index),
                None => Hook::start(config.clone()),
            };
            self.0.push(hook);
        }
        for hook in former {
            hook.shared.close();
        }
    }

    /// Tells those whom it concerns. Never waits.
    pub fn tell(&self, occurrence: &Occurrence) {
        for hook in &self.0 {
            if occurrence.concerns(&hook.config) {
                hook.shared.push(&hook.config, occurrence.clone());
            }
        }
    }

    /// How each has fared.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, HookCounts)> {
        let hooks = self.0.iter();
        let counts = hooks.map(|hook| {
            let name = hook.config.name.as_str().to_owned();
            (name, hook.shared.counts())
        });
        counts.collect()
    }

    /// Runs what waits, for ten seconds at most.
    pub async fn finish(self) {
        for hook in &self.0 {
            hook.shared.close();
        }
        let all = async {
            for hook in self.0 {
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
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(work(config.clone(), Arc::clone(&shared)));
        Self {
            config,
            shared,
            task,
        }
    }
}

impl Occurrence {
    fn concerns(&self, hook: &HookConfig) -> bool {
        let is_named = |names: &std::collections::BTreeSet<String>| {
            names.contains(self.party.name())
                || self
                    .range
                    .as_ref()
                    .is_some_and(|range| names.contains(range.as_str()))
        };
        hook.on.contains(&self.subject) && hook.names.as_ref().is_none_or(is_named)
    }
}

impl Shared {
    fn push(&self, config: &HookConfig, occurrence: Occurrence) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == QUEUE {
            queue.pop_front();
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    hook = config.name.as_str(),
                    "{QUEUE} events wait for this hook, and the oldest are dropped; herald_hook_dropped_total counts them"
                );
            }
        }
        queue.push_back(occurrence);
        self.news.notify_one();
    }

    fn pop(&self) -> Option<Occurrence> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.news.notify_one();
    }

    fn counts(&self) -> HookCounts {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        HookCounts {
            runs: self.runs.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: queue.len(),
        }
    }
}

/// Runs the program for one event after the other.
async fn work(config: HookConfig, shared: Arc<Shared>) {
    loop {
        let Some(occurrence) = shared.pop() else {
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            shared.news.notified().await;
            continue;
        };
        shared.runs.fetch_add(1, Ordering::Relaxed);
        match run::run(&config, &occurrence).await {
            Ok(()) => {}
            Err(failure) => {
                let counter = match failure {
                    run::Failure::Timeout(_) => &shared.timeouts,
                    _ => &shared.failures,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                warn!(hook = config.name.as_str(), "{failure}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
