//! Whether services work, as the checks and BFD tell it, and what follows: only who works is
//! announced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use tracing::{info, warn};

use super::{Speaker, not_found};
use crate::additions::Additions;
use crate::config::{
    BfdName, BfdProfile, BfdSessionConfig, Config, HookSubject, Party, ServiceConfig, ServiceName,
};
use crate::control::Refusal;
use crate::history::{Subject, What};
use crate::services::health::{Crowded, News, Setup, Standings, Turn, has_failed};
use crate::services::{Source, Verdict};

/// How many verdicts are carried out in one step.
pub(super) const AT_ONCE: usize = 256;
/// RFC 5880 §6.8.3: before a session is Up, either end sends one packet a second at most, and it takes
/// three to come up.
const HANDSHAKE: Duration = Duration::from_secs(3);

impl Speaker {
    /// Adds a service, or says otherwise what one is. One that is new is not announced before it is
    /// known to work; one that is there keeps its verdict.
    pub(super) fn set_service(
        &mut self,
        name: &ServiceName,
        source: Source,
        spec: Arc<ServiceConfig>,
    ) {
        let former = self.services.get(name).map(|former| former.verdict);
        self.services_mut().put(name, source, spec);
        self.watch_service(name, former.unwrap_or(Verdict::Unknown));
    }

    /// Forgets a service.
    pub(super) fn remove_service(&mut self, name: &ServiceName) {
        let is_watched = self.standings.get(name).is_some();
        self.services_mut().remove(name);
        self.standings_mut().remove(name);
        self.health.remove(name);
        if is_watched {
            let states = [Verdict::Healthy, Verdict::Unknown].map(|verdict| verdict.to_string());
            let (party, cause) = (Party::from(name), "the service was removed");
            self.tell_hooks(HookSubject::Service, &party, false, &states, &cause);
        }
        self.forget_history(&name.into());
    }

    /// Nothing is known of any service when the daemon starts.
    pub(super) fn watch_services(&mut self) {
        let services = self.services.iter();
        let dependent = services.filter(|(_, service)| service.spec.health.is_some());
        let dependent: Vec<_> = dependent
            .map(|(name, service)| (name.clone(), Arc::clone(&service.spec)))
            .collect();
        for (name, spec) in dependent {
            self.watch_service(&name, Verdict::Unknown);
            if let Err(refusal) = self.refuse_unknown_path(&name, &spec) {
                warn!("{refusal}; the service is not announced before there is one");
            }
        }
    }

    /// Has a service checked as it says from here on, also where its addresses are others.
    pub(super) fn watch_service(&mut self, name: &ServiceName, assumed: Verdict) {
        // A second handle on all services would have the next change copy them.
        let Some(service) = self.services.get(name) else {
            return;
        };
        let spec = Arc::clone(&service.spec);
        let addresses = service.addresses().collect();
        let health = spec.health.as_ref();
        let (now, at) = (Instant::now(), SystemTime::now());
        let turn = self.standings_mut().set(now, at, name, health, assumed);
        let watch = self.standings.get(name).map(|standing| standing.watch);
        let check = health.and_then(|health| health.check.as_ref());
        match check.zip(watch) {
            Some((config, watch)) => self.health.set(
                name,
                Setup {
                    config: Arc::clone(config),
                    addresses,
                    assumed: assumed.or_unknown(),
                    watch,
                },
            ),
            None => self.health.remove(name),
        }
        if let Some(turn) = turn {
            self.judge(&turn);
            self.tell_of(turn);
            return;
        }
        let standing = self.standings.get(name);
        // What depends on nothing works.
        let verdict = standing.map_or(Verdict::Healthy, |standing| standing.verdict);
        let key = (HookSubject::Service, Party::from(name));
        if standing.is_none() {
            self.up.remove(&key);
        } else if verdict == Verdict::Healthy {
            // It was up already, and nobody need be told of that.
            self.up.entry(key).or_default();
        }
        self.services_mut().judge(name, verdict);
    }

    /// Whatever else has been found meanwhile is carried out in the same step.
    pub(super) fn handle_checked(&mut self, first: News) {
        let rest = std::iter::from_fn(|| self.verdicts.try_recv().ok());
        let rest: Vec<News> = rest.take(AT_ONCE - 1).collect();
        let mut turns = Vec::new();
        for news in std::iter::once(first).chain(rest) {
            match news {
                News::Found(found) => {
                    let at = SystemTime::now();
                    turns.extend(self.standings_mut().handle_check(at, found));
                }
                News::Crowded(crowded) => self.tell_of_crowd(&crowded),
            }
        }
        self.carry_out(turns);
    }

    fn tell_of_crowd(&mut self, crowded: &Crowded) {
        let service = &crowded.service;
        // It may have been removed since its check waited.
        if self.standings.get(service).is_none() {
            return;
        }
        warn!(%service, "{crowded}");
        let (at, what) = (SystemTime::now(), What::note(&crowded.to_string()));
        self.remember(at, service.into(), Subject::Service, what);
    }

    pub(super) fn note_path(&mut self, party: &Party, change: &bfd::StateChange, cause: &str) {
        let Some(name) = party.bfd_session() else {
            return;
        };
        if change.to == bfd::State::Up {
            self.path_changed(name, true, cause);
        } else if has_failed(change) {
            self.path_changed(name, false, cause);
        } else if (change.from, change.remote_state) == (bfd::State::Up, bfd::State::AdminDown) {
            let turns = self
                .standings_mut()
                .handle_admin_down(SystemTime::now(), name);
            self.carry_out(turns);
        }
    }

    /// What the BGP thread must know to withdraw on its own, when it hears from BFD, what depends on
    /// a path.
    pub(super) fn tell_paths(&mut self) {
        if !std::mem::take(&mut self.paths_changed) {
            return;
        }
        let names = self.config.bfd_sessions.keys();
        let watched = names.filter_map(|name| {
            let session = self.bfd.session_of(&Party::from(name))?;
            Some((name.clone(), session))
        });
        self.bgp.set_paths(watched.collect());
    }

    /// What the BGP thread has withdrawn on its own, it announces again if that is still wanted.
    pub(super) fn say_again(&self, prefixes: BTreeSet<IpNet>) {
        let announcements = self.announcer.announcements();
        let wanted = prefixes.into_iter().filter_map(|prefix| {
            let announcement = announcements.get(&prefix)?;
            Some((prefix, announcement.as_change()))
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        if !wanted.is_empty() {
            self.bgp.change_routes(wanted);
        }
    }

    pub(super) fn path_changed(&mut self, name: &BfdName, up: bool, why: &str) {
        // What neighbors have begun themselves, nothing can depend on.
        if !self.config.bfd_sessions.contains_key(name) {
            return;
        }
        let at = SystemTime::now();
        let turns = self.standings_mut().handle_path(at, name, up, why);
        self.carry_out(turns);
    }

    /// What is between other ends from here on, or runs no more, has nothing to say of the path.
    pub(super) fn begin_path(&mut self, name: &BfdName, session: &BfdSessionConfig) {
        let (now, at) = (Instant::now(), SystemTime::now());
        let patience = session.enabled.then(|| patience(&session.profile));
        let standings = self.standings_mut();
        let turns = standings.begin_path(now, at, name, patience);
        for turn in turns {
            self.judge(&turn);
            self.tell_of(turn);
        }
    }

    /// It goes on as it is, with other timers.
    pub(super) fn update_path(&mut self, name: &BfdName, session: &BfdSessionConfig) {
        let patience = patience(&session.profile);
        self.standings_mut().set_patience(name, patience);
    }

    /// Waits until something that was assumed of a path is not assumed any more.
    pub(super) async fn assumption_is_over(until: Option<Instant>) {
        match until {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Sessions that had their time have not come up.
    pub(super) fn end_assumptions(&mut self) {
        let (now, at) = (Instant::now(), SystemTime::now());
        let turns = self.standings_mut().handle_timeout(now, at);
        self.carry_out(turns);
    }

    pub(super) fn forget_path(&mut self, name: &BfdName) {
        self.standings_mut().forget_path(name);
    }

    /// A service can only depend on a path that is in the file.
    pub(super) fn refuse_unknown_path(
        &self,
        name: &ServiceName,
        service: &ServiceConfig,
    ) -> Result<(), Refusal> {
        let Some(path) = service.path() else {
            return Ok(());
        };
        let sessions = &self.config.bfd_sessions;
        if sessions.contains_key(path) {
            return Ok(());
        }
        if self.config.peers.contains_key(path.as_str()) {
            return Err(Refusal::Invalid(format!(
                "service {name}: health: {path} is a peer, not a bfd-session: add a [[bfd-session]] of another name with its address"
            )));
        }
        let known = sessions.keys().map(BfdName::as_str);
        let unknown = not_found("bfd-session", "bfd", path.as_str(), known);
        Err(Refusal::Invalid(format!(
            "service {name}: health: {unknown}"
        )))
    }

    /// What was added at run time must not lose what it depends on.
    pub(super) fn refuse_lost_paths(
        &self,
        wanted: &Config,
        added: &Additions,
    ) -> Result<(), Refusal> {
        for (name, service) in &added.services {
            if let Some(path) = service.path()
                && self.config.bfd_sessions.contains_key(path)
                && !wanted.bfd_sessions.contains_key(path)
            {
                return Err(Refusal::Conflict(format!(
                    "{}: [[bfd-session]] {path:?} would be gone, and service {name}, which was added at run time, depends on it; remove that with `herald service remove {name}` first",
                    self.file.display()
                )));
            }
        }
        Ok(())
    }

    /// The routers hear of it first: to write a line may take as long as it likes.
    fn carry_out(&mut self, turns: Vec<Turn>) {
        if turns.is_empty() {
            return;
        }
        for turn in &turns {
            self.judge(turn);
        }
        self.announce();
        for turn in turns {
            self.tell_of(turn);
        }
    }

    /// It is announced, or withdrawn, with the next [`announce`](Self::announce).
    fn judge(&mut self, turn: &Turn) {
        self.services_mut().judge(&turn.service, turn.to);
    }

    fn tell_of(&mut self, turn: Turn) {
        let Turn {
            service,
            from,
            to,
            cause,
        } = turn;
        match (from, to) {
            (_, Verdict::Healthy) => info!(%service, "service healthy: {cause}"),
            (Verdict::Healthy, _) => warn!(%service, "service {to}, withdrawn: {cause}"),
            _ => warn!(%service, "service {to}, not announced: {cause}"),
        }
        let states = [from.to_string(), to.to_string()];
        let (party, up) = (Party::from(&service), to == Verdict::Healthy);
        self.tell_hooks(HookSubject::Service, &party, up, &states, &cause);
        let what = What::Service {
            from,
            to,
            cause: cause.into(),
        };
        self.remember(SystemTime::now(), party, Subject::Service, what);
    }

    fn standings_mut(&mut self) -> &mut Standings {
        Arc::make_mut(&mut self.standings)
    }
}

/// How long a session may take to come up while services are announced that depend on it.
fn patience(profile: &BfdProfile) -> Duration {
    let interval = profile.transmit_interval.max(profile.receive_interval);
    let detection_time = interval * u32::from(profile.detect_multiplier.get());
    detection_time.max(HANDSHAKE)
}
