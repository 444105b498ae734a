//! What is to survive is on disk before anybody hears of it. The disk may be slow; paths and checks are
//! not kept waiting for it. It may also be full, which is no reason to go on announcing.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle};
use tracing::{info, warn};

use super::Speaker;
use crate::additions::{Change, Kept, StateError, Store};
use crate::control::{Lasting, Refusal};

/// Until the disk is asked once more to take what it has refused.
const RETRY: Duration = Duration::from_secs(10);

impl Speaker {
    /// Keeps these changes, all or none. What the threads report meanwhile is handled as ever; it
    /// changes nothing that a command asks about before it changes something.
    pub(super) async fn keep(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), Refusal> {
        let changes: Vec<Change> = changes.into_iter().collect();
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
        self.store().fall_behind();
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

    /// As [`keep`](Self::keep), in the middle of a step: nothing else is handled meanwhile.
    pub(super) async fn keep_at_once(&mut self, changes: Vec<Change>) -> Result<(), Refusal> {
        written(self.begin_to_keep(&changes).await)?;
        self.kept.apply(&changes);
        self.all_is_kept();
        Ok(())
    }

    /// Keeps this, and nothing that was kept before.
    pub(super) async fn keep_all(&mut self, kept: Kept) -> Result<(), Refusal> {
        let snapshot = kept.clone();
        let writing = self.write(move |store| store.replace(&snapshot));
        written(self.attend_until(writing).await)?;
        self.kept = kept;
        self.all_is_kept();
        Ok(())
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

    /// What the threads report is handled until this is done. A thread that has ended is the loop's affair.
    pub(super) async fn attend_until<T>(
        &mut self,
        mut work: JoinHandle<T>,
    ) -> Result<T, JoinError> {
        loop {
            tokio::select! {
                biased;
                Some(event) = self.bfd_events.recv() => self.handle_bfd(event),
                Some(event) = self.bgp_events.recv() => self.handle_bgp(event),
                Some(news) = self.verdicts.recv() => self.handle_checked(news),
                result = &mut work => return result,
            }
        }
    }
}

fn written(result: Result<Result<(), StateError>, JoinError>) -> Result<(), Refusal> {
    let result = result.map_err(|error| Refusal::Failed(format!("nothing is kept: {error}")))?;
    result.map_err(|error| Refusal::Failed(error.to_string()))
}
