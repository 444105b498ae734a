//! Reloading: the file is read and checked, the difference is worked out, and only that is done.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Speaker, StartError, pools};
use crate::additions::Kept;
use crate::config::Config;
use crate::control::{Refusal, Reloaded};
use crate::history::Subject;
use crate::plan::{self, Change};
use crate::services::pools::Pools;
use crate::services::{Services, Source};

impl Speaker {
    /// Everything that can fail comes before the first step is taken.
    pub(super) async fn reload(&mut self, dry_run: bool) -> Result<Reloaded, Refusal> {
        let checked =
            Config::load(&self.file).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let mut wanted = checked.config;
        let router_id = wanted.speaker.router_id.or(self.kept.router_id);
        wanted.speaker.router_id = router_id.or(self.router_id);
        if wanted.speaker.router_id.is_none() && wanted.speaks_bgp() {
            let missing = StartError::NoRouterId(self.file.clone());
            return Err(Refusal::Invalid(missing.to_string()));
        }
        self.refuse_added(&wanted)?;
        self.refuse_lost_paths(&wanted)?;
        let wanted = plan::with_dynamic_peers(&self.config, wanted);
        let mut changes = plan::plan(&self.config, &wanted);
        let services = Services::new(&wanted, &self.kept.additions);
        let mut kept = self.kept.clone();
        let running = Some(&*self.pools);
        let (books, reassigned) = pools::settle(&wanted.pools, &services, &mut kept, running);
        plan::add_reassignments(&mut changes, reassigned);
        if !dry_run {
            let former = self.kept.clone();
            if kept != former {
                self.keep(kept)?;
            }
            if self.config.speaker.listen != wanted.speaker.listen
                && let Err(error) = self.bgp.listen(wanted.speaker.listen.clone()).await
            {
                self.keep_again(former);
                return Err(Refusal::Failed(error.to_string()));
            }
            for warning in &checked.warnings {
                warn!("{}", warning.in_file(&self.file));
            }
            self.apply(&wanted, &changes, books);
        }
        Ok(Reloaded {
            changes,
            warnings: checked.warnings,
        })
    }

    /// Goes back to what was kept before.
    fn keep_again(&mut self, former: Kept) {
        if let Err(refusal) = self.keep(former.clone()) {
            warn!("{refusal}");
            self.kept = former;
        }
    }

    /// What was added at run time must be removed there before the file may say it.
    fn refuse_added(&self, wanted: &Config) -> Result<(), Refusal> {
        match self.kept.additions.clone().give_way(wanted).as_slice() {
            [] => Ok(()),
            added => Err(Refusal::Conflict(format!(
                "{}: {} added at run time and would be in the file as well; remove it with `herald service remove` or `herald withdraw` first",
                self.file.display(),
                match added {
                    [one] => format!("{one} was"),
                    several => format!("{} were", several.join(", ")),
                }
            ))),
        }
    }

    fn apply(&mut self, wanted: &Config, changes: &[Change], books: Pools) {
        let mut config = Config::clone(&self.config);
        plan::apply(&mut config, wanted, changes);
        self.router_id = config.speaker.router_id.or(self.router_id);
        self.config = Arc::new(config);
        let config = Arc::clone(&self.config);
        for change in changes {
            info!("reload: {change}");
            self.note(format!("reload: {change}"));
            match change {
                Change::RemovePeer(name) => self.remove_peer(name),
                Change::AddPeer(name)
                | Change::UpdatePeer(name, _)
                | Change::RestartPeer(name, _)
                | Change::SwitchPeer(name, _) => {
                    if let Some(peer) = config.peers.get(name) {
                        // What went wrong is logged, shown, and tried again.
                        let _ = self.set_peer(name, peer);
                    }
                }
                Change::AddBfdSession(name)
                | Change::UpdateBfdSession(name, _)
                | Change::RestartBfdSession(name, _)
                | Change::SwitchBfdSession(name, _) => {
                    if let Some(session) = config.bfd_sessions.get(name) {
                        // What went wrong is logged, shown, and tried again.
                        let _ = self.set_bfd_session(name, session);
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
                    self.warn_of_refused_privileges();
                }
                Change::UpdateSpeaker(_)
                | Change::AddRange(_)
                | Change::RemoveRange(_)
                | Change::UpdateRange(..)
                | Change::AddBfdRange(_)
                | Change::RemoveBfdRange(_)
                | Change::UpdateBfdRange(..)
                | Change::AddPool(_)
                | Change::RemovePool(_)
                | Change::UpdatePool(..)
                | Change::UpdateAdvertisements
                | Change::NextStart(_) => {}
                Change::Reassign(name, reassignment) => {
                    self.note_about(name, Subject::Service, reassignment.to_string());
                }
            }
        }
        if changes.is_empty() {
            info!("reload: nothing changed");
            return;
        }
        // What has another name from here on goes on under that.
        for change in changes {
            if let Change::RemoveBfdSession(name) = change {
                self.remove_bfd_session(name);
            }
        }
        self.forget_gone_peers();
        self.set_ranges();
        let of_bfd_range = |change: &Change| {
            use Change::{AddBfdRange, RemoveBfdRange, UpdateBfdRange};
            matches!(
                change,
                AddBfdRange(_) | RemoveBfdRange(_) | UpdateBfdRange(..)
            )
        };
        if changes.iter().any(of_bfd_range) {
            // What went wrong is logged, and tried again.
            let _ = self.set_bfd_ranges();
        }
        self.look_for_neighbors();
        self.adopt_pools(books);
        match self.announcer.adopt(&self.config) {
            true => self.announce(),
            false => self.announce_all(),
        }
    }

    /// A peer that comes back later is another one.
    fn forget_gone_peers(&mut self) {
        let mut kept = self.kept.clone();
        kept.forget_peers_but(&self.config);
        if let Err(refusal) = (kept != self.kept).then(|| self.keep(kept)).transpose() {
            warn!("{refusal}");
        }
    }
}
