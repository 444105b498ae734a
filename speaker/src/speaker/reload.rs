//! Reloading: the file is read and checked, the difference is worked out, and only that is done.

use std::sync::Arc;
use std::time::SystemTime;

use bfd::engine::EngineError;
use tokio::task::spawn_blocking;
use tracing::{debug, error, info, warn};

use super::{Speaker, StartError, pools};
use crate::additions::{Additions, Kept};
use crate::allocator;
use crate::bgp_thread::BgpThread;
use crate::config::{Checked, Config};
use crate::control::{Refusal, Reloaded};
use crate::history::Subject;
use crate::plan::{self, Change};
use crate::services::Source;
use crate::services::pools::Pools;

impl Speaker {
    /// Somebody wants the file read again.
    pub(super) async fn reload_on_request(&mut self, dry_run: bool) -> Result<Reloaded, Refusal> {
        if dry_run {
            return self.reload(true).await;
        }
        self.reload_and_tell(true).await
    }

    /// The file has another content.
    pub(super) async fn reload_on_change(&mut self) {
        let result = self.reload_and_tell(false).await;
        drop(result);
    }

    /// An editor may write what was there: that nothing changed is for whoever asked, unless a refusal
    /// would stay the last word.
    async fn reload_and_tell(&mut self, asked: bool) -> Result<Reloaded, Refusal> {
        self.manager.reloading();
        let result = self.reload(false).await;
        self.manager.ready();
        self.last_reload.ended(&result, SystemTime::now());
        let was_refused = std::mem::replace(&mut self.reload_was_refused, result.is_err());
        match &result {
            Err(refusal) => self.tell_of_refused_reload(refusal),
            Ok(reloaded) if !reloaded.changes.is_empty() => {}
            Ok(_) if was_refused => {
                let mended = "reload: the file is accepted again; nothing changed";
                info!("{mended}");
                self.note(mended);
            }
            Ok(_) if asked => info!("reload: nothing changed"),
            Ok(_) => debug!("the file says what it said"),
        }
        result
    }

    fn tell_of_refused_reload(&mut self, refusal: &Refusal) {
        let problems = refusal.to_string();
        // A line for each mistake.
        for problem in problems.lines() {
            error!("reload refused, the running configuration stays: {problem}");
        }
        let first = problems.lines().next().unwrap_or_default();
        let more = match problems.lines().count() {
            0 | 1 => String::new(),
            lines => format!(" (and {} more)", lines - 1),
        };
        self.note(format!("reload refused: {first}{more}"));
    }

    async fn reload(&mut self, dry_run: bool) -> Result<Reloaded, Refusal> {
        let checked = self.read().await?;
        let mut wanted = self.complete(checked.config)?;
        let unprivileged = self.unprivileged(&wanted);
        self.defer_listening(&mut wanted);
        let mut kept = self.kept.clone();
        let superseded = kept.additions.give_way(&wanted);
        self.refuse_lost_paths(&wanted, &kept.additions)?;
        let superseded = superseded.into_iter().map(Change::Supersede);
        let mut changes: Vec<Change> = superseded
            .chain(plan::plan(&self.config, &wanted))
            .collect();
        let (books, reassigned) = pools::settle(&wanted, &mut kept, Some(&self.pools));
        plan::add_reassignments(&mut changes, reassigned);
        changes.extend(self.contradictions(&wanted, &kept.additions, &books));
        changes.extend(self.absent_interface(&wanted));
        changes.extend(unprivileged);
        let mut failures = Vec::new();
        if dry_run {
            let before = &self.config.speaker.listen;
            let tried = BgpThread::try_listen(before, &wanted.speaker.listen);
            tried.map_err(|error| Refusal::Failed(error.to_string()))?;
        }
        if !dry_run && !changes.is_empty() {
            self.secure(&wanted, kept).await?;
            for warning in &checked.warnings {
                warn!("{}", warning.in_file(&self.file));
            }
            failures = self.apply(&wanted, &changes, books);
            let awaited = |change: &&Change| matches!(change, Change::AwaitInterface(_));
            let awaited = changes.iter().filter(awaited);
            failures.extend(awaited.map(ToString::to_string));
        }
        // Nobody waits until it has been freed bit by bit.
        spawn_blocking(move || drop(wanted));
        Ok(Reloaded {
            changes,
            warnings: checked.warnings,
            failures,
        })
    }

    /// Very many services take a while to read, and a verdict about one of them is not kept waiting for it.
    async fn read(&mut self) -> Result<Checked, Refusal> {
        let file = self.file.clone();
        let reading = spawn_blocking(move || Config::load(&file));
        let read = self.attend_until(reading).await;
        allocator::much_was_used();
        let read =
            read.map_err(|error| Refusal::Failed(format!("the file is not read: {error}")))?;
        read.map_err(|error| Refusal::Invalid(error.to_string()))
    }

    /// What a file says, with what it leaves to the running daemon.
    fn complete(&self, mut wanted: Config) -> Result<Config, Refusal> {
        let router_id = wanted.speaker.router_id.or(self.kept.router_id);
        wanted.speaker.router_id = router_id.or(self.router_id);
        if wanted.speaker.router_id.is_none() && wanted.speaks_bgp() {
            let missing = StartError::NoRouterId(self.file.clone());
            return Err(Refusal::Invalid(missing.to_string()));
        }
        Ok(plan::with_dynamic_peers(&self.config, wanted))
    }

    /// What the system may refuse as a whole comes before the first step: after a refusal, everything is
    /// as it was.
    async fn secure(&mut self, wanted: &Config, mut kept: Kept) -> Result<(), Refusal> {
        let before = self.config.speaker.listen.clone();
        let moves = before != wanted.speaker.listen;
        if moves {
            let listening = self.bgp.listen(wanted.speaker.listen.clone()).await;
            listening.map_err(|error| Refusal::Failed(error.to_string()))?;
        }
        // A peer that comes back later is another one.
        kept.forget_peers_but(wanted);
        if kept == self.kept {
            return Ok(());
        }
        let former = self.kept.additions.clone();
        let refused = self.keep_all(kept).await;
        if refused.is_err()
            && moves
            && let Err(error) = self.bgp.listen(before).await
        {
            warn!("no longer listening as before: {error}");
        }
        refused?;
        self.forget_superseded(&former, wanted);
        Ok(())
    }

    /// Services and routes of the API that gave way to something of another name. What has the same
    /// name is changed into what the file says.
    fn forget_superseded(&mut self, former: &Additions, wanted: &Config) {
        for name in former.services.keys() {
            let stays = self.kept.additions.services.contains_key(name);
            if !stays && !wanted.services.contains_key(name) {
                self.remove_service(name);
            }
        }
        for prefix in former.routes.keys() {
            let stays = self.kept.additions.routes.contains_key(prefix);
            if !stays && !wanted.routes.contains_key(prefix) {
                self.services_mut().remove_route(prefix);
            }
        }
    }

    /// Takes every step. What one of them meets is told, and tried again; the others are taken all the same.
    fn apply(&mut self, wanted: &Config, changes: &[Change], books: Pools) -> Vec<String> {
        let mut config = Config::clone(&self.config);
        plan::apply(&mut config, wanted, changes);
        self.router_id = config.speaker.router_id.or(self.router_id);
        self.config = Arc::new(config);
        let config = Arc::clone(&self.config);
        for line in plan::summary(changes) {
            info!("reload: {line}");
            self.note(format!("reload: {line}"));
        }
        let mut failures = Vec::new();
        let mut privileges = Vec::new();
        let mut failed = |what: &str, result: Result<(), EngineError>| {
            if let Err(error) = result {
                failures.push(format!(
                    "{what}: no BFD session: {error}; it is tried again"
                ));
            }
        };
        for change in changes {
            match change {
                Change::RemovePeer(name) => self.remove_peer(name),
                Change::AddPeer(name)
                | Change::UpdatePeer(name, _)
                | Change::RestartPeer(name, _)
                | Change::SwitchPeer(name, _) => {
                    if let Some(peer) = config.peers.get(name) {
                        failed(&format!("peer {name}"), self.set_peer(name, peer));
                    }
                }
                Change::AddBfdSession(name)
                | Change::UpdateBfdSession(name, _)
                | Change::RestartBfdSession(name, _)
                | Change::SwitchBfdSession(name, _) => {
                    if let Some(session) = config.bfd_sessions.get(name) {
                        match change {
                            Change::UpdateBfdSession(..) => self.update_path(name, session),
                            _ => self.begin_path(name, session),
                        }
                        let set = self.set_bfd_session(name, session);
                        failed(&format!("bfd-session {name}"), set);
                    }
                }
                Change::AddService(name)
                | Change::RemoveService(name)
                | Change::UpdateService(name, _) => match config.services.get(name) {
                    Some(spec) => self.set_service(name, Source::File, Arc::clone(spec)),
                    None => self.remove_service(name),
                },
                Change::AddRoute(prefix)
                | Change::RemoveRoute(prefix)
                | Change::UpdateRoute(prefix) => match config.routes.get(prefix) {
                    Some(spec) => {
                        let spec = Arc::clone(spec);
                        self.services_mut().put_route(*prefix, Source::File, spec);
                    }
                    None => drop(self.services_mut().remove_route(prefix)),
                },
                Change::UpdateHooks => self.hooks.set(&config.hooks),
                Change::RemoveBfdSession(_) => {}
                Change::UpdateLog(_) => self.level.set(config.log.level),
                Change::UpdateBfd(_) => {
                    self.bfd.set_privileges(&config.bfd);
                    privileges = self.warn_of_refused_privileges();
                }
                Change::UpdateSpeaker(_) => self.watch.set(config.speaker.reload_on_change),
                Change::Supersede(_)
                | Change::AddRange(_)
                | Change::RemoveRange(_)
                | Change::UpdateRange(..)
                | Change::AddBfdRange(_)
                | Change::RemoveBfdRange(_)
                | Change::UpdateBfdRange(..)
                | Change::AddPool(_)
                | Change::RemovePool(_)
                | Change::UpdatePool(..)
                | Change::AddAdvertisement(_)
                | Change::RemoveAdvertisement(_)
                | Change::UpdateAdvertisement(..)
                | Change::ReorderAdvertisements
                | Change::Contradict(..)
                | Change::AwaitInterface(_)
                | Change::Unprivileged(_)
                | Change::NextStart(_) => {}
                Change::Reassign(name, reassignment) => {
                    self.note_about(name, Subject::Service, reassignment.to_string());
                }
            }
        }
        // What has another name from here on goes on under that.
        for change in changes {
            if let Change::RemoveBfdSession(name) = change {
                self.remove_bfd_session(name);
            }
        }
        self.set_ranges();
        let of_bfd_range = |change: &Change| {
            use Change::{AddBfdRange, RemoveBfdRange, UpdateBfdRange};
            matches!(
                change,
                AddBfdRange(_) | RemoveBfdRange(_) | UpdateBfdRange(..)
            )
        };
        if changes.iter().any(of_bfd_range) {
            failed("bfd-range", self.set_bfd_ranges());
        }
        self.look_for_neighbors();
        self.adopt_pools(books);
        self.announce_and_host(|it| match it.announcer.adopt(&it.config) {
            true => it.announce(),
            false => it.announce_all(),
        });
        failures.extend(privileges);
        failures
    }
}
