//! What is to survive is on disk before anybody hears of it. The disk may be slow; paths and checks are
//! not kept waiting for it. It may also be full, which is no reason to go on announcing.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle};
use tracing::{info, warn};

use super::Speaker;
use crate::additions::{Change, Kept, StateError, Store};
use crate::control::{Command, Lasting, Refusal};

/// Until the disk is asked once more to take what it has refused.
const RETRY: Duration = Duration::from_secs(10);
/// How long the disk may take when the daemon is told to stop.
const LAST_CHANCE: Duration = Duration::from_secs(2);
/// How many commands may wait for the disk, beside those that wait in their channel.
const POSTPONED: usize = 1024;

impl Speaker {
    /// Keeps these changes, all or none. What the threads report meanwhile is handled as ever; it
    /// changes nothing that a command asks about before it changes something.
    pub(super) async fn keep(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), Refusal> {
        let changes: Vec<Change> = changes.into_iter().collect();
        self.refuse_without_disk()?;
        let writing = self.begin_to_keep(&changes);
        written(self.attend_until(writing).await)?;
        self.kept.apply(&changes);
        self.all_is_kept();
        Ok(())
    }

    /// As [`keep`](Self::keep), for what makes us announce less: that is done even if the disk takes
    /// nothing, and kept as soon as it does.
    pub(super) async fn keep_if_possible(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Lasting {
        let changes: Vec<Change> = changes.into_iter().collect();
        let Err(refusal) = self.keep(changes.clone()).await else {
            return Lasting::Kept;
        };
        self.kept.apply(&changes);
        if !self.has_given_up {
            self.store().fall_behind();
        }
        self.retry_keeping_at = Some(Instant::now() + RETRY);
        let warning = format!(
            "this is done but not kept, and is lost if the daemon ends before the disk takes it: {refusal}"
        );
        warn!("{warning}");
        Lasting::Unkept(warning)
    }

    /// Tries again what the disk has not taken.
    pub(super) async fn keep_what_is_not(&mut self) {
        if self.retry_keeping_at.is_some_and(|at| at <= Instant::now()) {
            // It was logged when it failed first.
            let _ = self.keep([]).await;
        }
        if self.retry_keeping_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_keeping_at = Some(Instant::now() + RETRY);
        }
    }

    fn all_is_kept(&mut self) {
        if self.retry_keeping_at.take().is_some() {
            let text = "what was commanded while the disk took nothing is kept";
            info!("{text}");
            self.note(text);
        }
    }

    /// Before the end: what the disk has refused, it is asked to take once more.
    pub(super) async fn keep_before_the_end(&mut self) {
        if self.retry_keeping_at.is_none() || self.has_given_up {
            return;
        }
        let writing = self.begin_to_keep(&[]);
        match tokio::time::timeout(LAST_CHANCE, writing).await {
            Ok(Ok(Ok(()))) => self.all_is_kept(),
            _ => warn!("what was commanded while the disk took nothing is lost"),
        }
    }

    /// Keeps this, and nothing that was kept before.
    pub(super) async fn keep_all(&mut self, kept: Kept) -> Result<(), Refusal> {
        self.refuse_without_disk()?;
        let snapshot = kept.clone();
        let writing = self.write(move |store| store.replace(&snapshot));
        written(self.attend_until(writing).await)?;
        self.kept = kept;
        self.all_is_kept();
        Ok(())
    }

    /// Whoever writes has the store for as long as it takes.
    fn refuse_without_disk(&self) -> Result<(), Refusal> {
        match self.has_given_up {
            true => written(Err(Unfinished::Ending)),
            false => Ok(()),
        }
    }

    fn begin_to_keep(&self, changes: &[Change]) -> JoinHandle<Result<(), StateError>> {
        let changes = changes.to_vec();
        let is_due = self.store().wants_snapshot();
        if is_due {
            let mut kept = self.kept.clone();
            kept.apply(&changes);
            return self.write(move |store| store.replace(&kept));
        }
        self.write(move |store| store.append(&changes))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time, for whoever begins waits for the end.
    fn write(
        &self,
        job: impl FnOnce(&mut Store) -> Result<(), StateError> + Send + 'static,
    ) -> JoinHandle<Result<(), StateError>> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            job(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// Until this is done, what the threads report is handled, and questions are answered; commands that
    /// change something wait. A thread that has ended is the loop's affair.
    ///
    /// # Errors
    /// When the work has failed, or the daemon is to end and can wait for it no longer.
    pub(super) async fn attend_until<T>(
        &mut self,
        mut work: JoinHandle<T>,
    ) -> Result<T, Unfinished> {
        let mut gives_up_at = self.is_ending().then(|| Instant::now() + LAST_CHANCE);
        loop {
            self.note_bfd_moves();
            self.tell_paths();
            let stops_at = self.leaving.as_ref().map(|leaving| leaving.at);
            let drain_is_over = Self::drain_is_over(stops_at, !self.established.is_empty());
            let assumption_is_over = Self::assumption_is_over(self.standings.poll_timeout());
            let may_wait = self.postponed.len() < POSTPONED;
            tokio::select! {
                biased;
                Some(event) = self.bfd_events.recv() => self.handle_bfd(event),
                Some(event) = self.bgp_events.recv() => self.handle_bgp(event),
                Some(prefixes) = self.withheld.recv() => self.say_again(prefixes),
                () = assumption_is_over => self.end_assumptions(),
                Some(news) = self.verdicts.recv() => self.handle_checked(news),
                Some(()) = self.addresses.changed() => self.handle_hosted(),
                result = &mut work => return result.map_err(Unfinished::Failed),
                () = Self::at(gives_up_at) => {
                    self.has_given_up = true;
                    return Err(Unfinished::Ending);
                }
                () = drain_is_over, if gives_up_at.is_none() => {
                    gives_up_at = Some(Instant::now() + LAST_CHANCE);
                }
                Some(command) = self.commands.recv(), if may_wait => {
                    if let Some(command) = self.answer(command) {
                        if matches!(command, Command::Stop { .. }) {
                            gives_up_at.get_or_insert(Instant::now() + LAST_CHANCE);
                        }
                        self.postponed.push_back(command);
                    }
                }
            }
        }
    }

    /// Whether somebody waits for the daemon to end.
    fn is_ending(&self) -> bool {
        let mut postponed = self.postponed.iter();
        postponed.any(|command| matches!(command, Command::Stop { .. }))
    }

    async fn at(time: Option<Instant>) {
        match time {
            Some(time) => tokio::time::sleep_until(time.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// Why something has not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    #[error(transparent)]
    Failed(JoinError),
    #[error("the disk has not answered, and the daemon is told to stop")]
    Ending,
}

fn written(result: Result<Result<(), StateError>, Unfinished>) -> Result<(), Refusal> {
    let result = result.map_err(|error| Refusal::Failed(format!("nothing is kept: {error}")))?;
    result.map_err(|error| Refusal::Failed(error.to_string()))
}
