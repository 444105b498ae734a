//! The BFD sessions, of peers and of paths without BGP. What the engine reports goes to the BGP
//! thread at once, and a copy to the speaker task, which only remembers it.

mod echo;
mod moves;
mod place;
mod ranges;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use bfd::engine::{Engine, EngineConfig, EngineError, EngineEvent, EngineStatus};
use bfd::{EchoConfig, HopKind, Micros, SessionConfig, SessionId, SessionKey};
use tokio::sync::mpsc::UnboundedSender;

pub use self::echo::EchoNews;
use self::echo::EchoWatch;
pub use self::moves::Moves;
use self::moves::users_of;
use self::place::{Ends, Place, Remote, Wish, remote_of};
use self::ranges::Ranges;
use crate::bgp_thread::BgpThread;
use crate::config::{
    BfdConfig, BfdHops, BfdName, BfdProfile, BfdSessionConfig, Party, PeerBfd, PeerConfig,
    PeerHops, PeerName,
};
use crate::on_link;

/// The engine, and which of its sessions runs for whom.
#[derive(Debug)]
pub struct BfdThread {
    engine: Engine,
    places: BTreeMap<Remote, Place>,
    /// With which remote system everybody has a session.
    users: BTreeMap<Party, Remote>,
    keys: BTreeMap<SessionId, SessionKey>,
    echo_watch: EchoWatch,
    /// What has been up.
    proven: BTreeSet<SessionId>,
    /// Whom sessions are accepted from, and those that were.
    ranges: Ranges,
    /// What nobody has asked for yet.
    moves: Vec<Moves>,
}

/// What there is to say of a BFD session.
#[derive(Clone, Debug)]
pub struct BfdReport {
    /// Whom it runs for, peers first.
    pub users: Vec<Party>,
    /// The `[[bfd-range]]` that a neighbor has begun it from.
    pub range: Option<BfdName>,
    /// The profile that its timers come from.
    pub profile: String,
    /// Between whom it runs.
    pub key: SessionKey,
    /// Since when there is a session; `None`: there is none.
    pub opened: Option<Instant>,
    /// The session, or why there is none.
    pub session: Result<bfd::SessionStatus, String>,
}

/// What there is to say of all of them.
#[derive(Clone, Debug, Default)]
pub struct BfdReports {
    /// Each session once.
    pub sessions: Vec<BfdReport>,
    by_user: BTreeMap<Party, usize>,
}

impl BfdReports {
    /// That of one user.
    #[must_use]
    pub fn of(&self, user: &Party) -> Option<&BfdReport> {
        self.sessions.get(*self.by_user.get(user)?)
    }

    fn push(&mut self, report: BfdReport) {
        let index = self.sessions.len();
        let users = report.users.iter();
        self.by_user.extend(users.map(|user| (user.clone(), index)));
        self.sessions.push(report);
    }
}

impl BfdThread {
    /// Starts the engine's thread. No socket is opened before the first session needs it.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        config: &BfdConfig,
        bgp: BgpThread,
        events: UnboundedSender<EngineEvent>,
    ) -> Result<Self, EngineError> {
        let everywhere = EngineConfig::default();
        let config = EngineConfig {
            single_hop_listen: config
                .listen
                .clone()
                .unwrap_or(everywhere.single_hop_listen),
            multihop_listen: config
                .multihop_listen
                .clone()
                .unwrap_or(everywhere.multihop_listen),
            realtime: config.realtime,
            lock_memory: config.lock_memory,
            ..everywhere
        };
        let engine = Engine::start_observed(config, move |event| {
            if let EngineEvent::StateChanged(change) = event {
                bgp.bfd_changed(change);
            }
            // Without a speaker task there is nobody left who would remember.
            let _ = events.send(event.clone());
        })?;
        Ok(Self {
            engine,
            places: BTreeMap::new(),
            users: BTreeMap::new(),
            keys: BTreeMap::new(),
            echo_watch: EchoWatch::default(),
            proven: BTreeSet::new(),
            ranges: Ranges::default(),
            moves: Vec::new(),
        })
    }

    /// Gives a peer the session that its configuration asks for: a new one, the same with other
    /// timers, or none.
    ///
    /// # Errors
    /// When the session cannot be opened; [`retry`](Self::retry) tries again.
    pub fn set_peer(
        &mut self,
        name: &PeerName,
        peer: &PeerConfig,
    ) -> Result<Option<SessionId>, EngineError> {
        let user = Party::Peer(name.clone());
        let wish = peer.bfd.as_ref().filter(|_| peer.enabled).map(|bfd| Wish {
            key: self.key_of(peer, bfd),
            config: session_config(&bfd.profile),
            profile: bfd.profile.name.clone(),
        });
        self.set(user, wish)
    }

    /// The same for a session that belongs to no peer.
    ///
    /// # Errors
    /// Likewise.
    pub fn set_session(
        &mut self,
        name: &BfdName,
        session: &BfdSessionConfig,
    ) -> Result<Option<SessionId>, EngineError> {
        let wish = session.enabled.then(|| Wish {
            key: standalone_key(session),
            config: session_config(&session.profile),
            profile: session.profile.name.clone(),
        });
        self.set(Party::BfdSession(name.clone()), wish)
    }

    /// Whether a session has the echo function.
    #[must_use]
    pub fn has_echo(&self) -> bool {
        let places = self.places.values();
        let mut sessions = places.flat_map(|place| place.sessions.values());
        sessions.any(|running| running.config.echo.is_some())
    }

    /// What has come in the way of the echo function, or out of it, since it was last told.
    pub fn echo_news(&mut self) -> Vec<(SessionId, EchoNews)> {
        if !self.echo_watch.is_due(Instant::now()) {
            return Vec::new();
        }
        let status = self.engine.status().into_iter();
        let with_echo = status.filter_map(|status| Some((status.id, status.echo?.obstacles)));
        self.echo_watch.news(with_echo)
    }

    /// Ends somebody's session with AdminDown, unless somebody else has it too.
    pub fn remove(&mut self, user: &Party) {
        if let Some(remote) = self.users.remove(user)
            && let Some(place) = self.places.get_mut(&remote)
        {
            place.wishes.remove(user);
            self.settle(&remote);
        }
    }

    fn set(&mut self, user: Party, wish: Option<Wish>) -> Result<Option<SessionId>, EngineError> {
        let Some(wish) = wish else {
            self.remove(&user);
            return Ok(None);
        };
        let remote = remote_of(&wish.key);
        if self.users.get(&user).is_some_and(|other| *other != remote) {
            self.remove(&user);
        }
        let place = self.places.entry(remote).or_default();
        for former in place.former_names(&user, &wish.key) {
            place.wishes.remove(&former);
            self.users.remove(&former);
        }
        place.wishes.insert(user.clone(), wish);
        self.users.insert(user.clone(), remote);
        let failed = self.settle(&remote);
        let place = self.places.get(&remote);
        let Some(running) = place.and_then(|place| place.session_of(&user)) else {
            return Ok(None);
        };
        match failed
            .into_iter()
            .find(|(failed, _)| *failed == running.key)
        {
            Some((_, error)) => Err(error),
            None => Ok(running.id.as_ref().ok().copied()),
        }
    }

    /// Between whom a peer's session is to run. One that has been up is proof of how far the neighbor
    /// is: another route does not end it.
    fn key_of(&self, peer: &PeerConfig, bfd: &PeerBfd) -> SessionKey {
        let key = |on_link| peer_key(peer, bfd, bfd.hops.when(on_link));
        if let PeerHops::Fixed(_) = bfd.hops {
            return key(true);
        }
        let running = |on_link: &bool| self.running(&key(*on_link)).is_some();
        let running = [true, false].into_iter().find(running);
        let found = on_link::is_on_link(peer.ip(), peer.interface());
        // Until there is a route, it stays as it is.
        let wanted = found.or(running).unwrap_or(true);
        match running {
            Some(running) if running != wanted && self.was_up(&key(running)) => key(running),
            _ => key(wanted),
        }
    }

    fn running(&self, key: &SessionKey) -> Option<SessionId> {
        let running = self
            .places
            .get(&remote_of(key))?
            .sessions
            .get(&Ends::of(key))?;
        running.id.as_ref().ok().copied()
    }

    fn was_up(&self, key: &SessionKey) -> bool {
        self.running(key).is_some_and(|id| {
            let session = self.engine.session_status(id);
            session.is_some_and(|session| session.counters.ups > 0)
        })
    }

    /// Remembers that a session's place is the right one.
    pub fn note_up(&mut self, id: SessionId) {
        if self.keys.contains_key(&id) {
            self.proven.insert(id);
        }
    }

    /// Whether the route decides how far a peer is, and its session has not been up to prove it.
    #[must_use]
    pub fn is_unproven(&self, name: &PeerName, peer: &PeerConfig) -> bool {
        let by_route = |bfd: &PeerBfd| matches!(bfd.hops, PeerHops::ByRoute { .. });
        peer.bfd.as_ref().is_some_and(by_route)
            && self.key_in_use(name).is_some_and(|key| {
                !self
                    .running(key)
                    .is_some_and(|id| self.proven.contains(&id))
            })
    }

    /// Whether a peer's route says something else than when its session was opened.
    #[must_use]
    pub fn is_misplaced(&self, name: &PeerName, peer: &PeerConfig) -> bool {
        let wanted = peer.bfd.as_ref().map(|bfd| self.key_of(peer, bfd));
        self.key_in_use(name) != wanted.as_ref()
    }

    fn key_in_use(&self, name: &PeerName) -> Option<&SessionKey> {
        let user = Party::Peer(name.clone());
        let place = self.places.get(self.users.get(&user)?)?;
        Some(&place.session_of(&user)?.key)
    }

    fn settle(&mut self, remote: &Remote) -> Vec<(SessionKey, EngineError)> {
        let Some(place) = self.places.get_mut(remote) else {
            return Vec::new();
        };
        let ids = |place: &Place| -> Vec<(SessionId, SessionKey)> {
            let sessions = place.sessions.values();
            let running = sessions.filter_map(|it| Some((*it.id.as_ref().ok()?, it.key.clone())));
            running.collect()
        };
        let ran = ids(place);
        for (id, _) in &ran {
            self.keys.remove(id);
        }
        let before = users_of(place);
        let failed = place.settle(&self.engine);
        self.keys.extend(ids(place));
        let moves = Moves::between(&before, &users_of(place));
        if !moves.is_empty() {
            self.moves.push(moves);
        }
        if place.is_empty() {
            self.places.remove(remote);
        }
        for (id, _) in &ran {
            if !self.keys.contains_key(id) {
                self.proven.remove(id);
            }
        }
        failed
    }

    /// Who has come to a session and who has left one since the last call, step by step.
    pub fn take_moves(&mut self) -> Vec<Moves> {
        std::mem::take(&mut self.moves)
    }

    /// Tries to open what could not be opened. Says for whom it worked.
    pub fn retry(&mut self) -> Vec<Party> {
        self.retry_ranges();
        let mut opened = Vec::new();
        let sessions = self.places.values_mut();
        for running in sessions.flat_map(|place| place.sessions.values_mut()) {
            if running.id.is_ok() {
                continue;
            }
            let added = self.engine.add(running.key.clone(), running.config.clone());
            running.id = added.map_err(|error| error.to_string());
            if let Ok(id) = running.id {
                running.opened = Some(Instant::now());
                self.keys.insert(id, running.key.clone());
                opened.extend(running.users.iter().cloned());
            }
        }
        opened
    }

    /// Whether [`retry`](Self::retry) has something to do.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        let mut sessions = self
            .places
            .values()
            .flat_map(|place| place.sessions.values());
        self.lacks_ranges() || sessions.any(|running| running.id.is_err())
    }

    /// Where a session sends to.
    #[must_use]
    pub fn remote(&self, id: SessionId) -> Option<SocketAddr> {
        let accepted = || Some(self.ranges.accepted.get(&id)?.remote());
        let key = self.keys.get(&id);
        key.map(|key| key.remote).or_else(accepted)
    }

    /// Whom a session runs for.
    #[must_use]
    pub fn users(&self, id: SessionId) -> &[Party] {
        if let Some(accepted) = self.ranges.accepted.get(&id) {
            return &accepted.users;
        }
        let key = self.keys.get(&id);
        let place = key.and_then(|key| self.places.get(&remote_of(key)));
        let running = place
            .zip(key)
            .and_then(|(place, key)| place.sessions.get(&Ends::of(key)));
        running.map_or(&[], |running| &running.users)
    }

    /// The session that somebody has.
    #[must_use]
    pub fn session_of(&self, user: &Party) -> Option<SessionId> {
        let place = self.places.get(self.users.get(user)?)?;
        place.session_of(user)?.id.as_ref().ok().copied()
    }

    /// Every session.
    #[must_use]
    pub fn report(&self) -> BfdReports {
        let mut known: BTreeMap<SessionId, bfd::SessionStatus> = self
            .engine
            .status()
            .into_iter()
            .map(|status| (status.id, status))
            .collect();
        let mut reports = BfdReports::default();
        let places = self.places.values();
        for running in places.flat_map(|place| place.sessions.values()) {
            reports.push(BfdReport {
                users: running.users.clone(),
                range: None,
                profile: running.profile.clone(),
                key: running.key.clone(),
                opened: running.opened,
                session: running.id.clone().and_then(|id| {
                    let found = known.remove(&id);
                    found.ok_or_else(|| "the BFD thread does not answer".to_owned())
                }),
            });
        }
        // What is left has been begun by neighbors.
        for status in known.into_values() {
            if let Some(report) = self.report_accepted(status) {
                reports.push(report);
            }
        }
        reports
    }

    /// What belongs to no session.
    #[must_use]
    pub fn engine_status(&self) -> EngineStatus {
        self.engine.engine_status()
    }

    /// Takes up or gives up what keeps the thread on time.
    pub fn set_privileges(&self, config: &BfdConfig) {
        self.engine
            .set_privileges(config.realtime, config.lock_memory);
    }

    /// Says AdminDown to everybody for a Detection Time, at least one second and at most five, and
    /// ends. Blocks meanwhile.
    pub fn shutdown(self) {
        self.engine.shutdown();
    }
}

fn peer_key(peer: &PeerConfig, bfd: &PeerBfd, hops: BfdHops) -> SessionKey {
    SessionKey {
        remote: SocketAddr::new(peer.ip(), bfd.port(hops)),
        local: peer.source_address,
        interface: peer.interface().map(str::to_owned),
        hop: hop_kind(hops),
    }
}

fn standalone_key(session: &BfdSessionConfig) -> SessionKey {
    SessionKey {
        remote: SocketAddr::new(session.address, session.port),
        local: session.source_address,
        interface: session.interface.clone(),
        hop: hop_kind(session.hops),
    }
}

const fn hop_kind(hops: BfdHops) -> HopKind {
    match hops {
        BfdHops::Single => HopKind::Single,
        BfdHops::Multi { minimum_ttl } => HopKind::Multi {
            minimum_ttl: minimum_ttl.get(),
        },
    }
}

fn session_config(profile: &BfdProfile) -> SessionConfig {
    // A profile's intervals are far below what the field can hold.
    let micros = |interval| Micros::from_duration(interval).unwrap_or(Micros::new(u32::MAX));
    SessionConfig {
        desired_min_tx_interval: micros(profile.transmit_interval),
        required_min_rx_interval: micros(profile.receive_interval),
        detect_mult: profile.detect_multiplier,
        passive: profile.passive_mode,
        demand_mode: profile.demand_mode,
        demand_poll_interval: Some(profile.demand_poll_interval),
        // Both live and die with the daemon.
        control_plane_independent: false,
        authentication: profile
            .auth
            .as_ref()
            .map(|auth| auth.authentication().clone()),
        echo: echo_config(profile),
    }
}

/// What a multihop session makes nothing of.
fn echo_config(profile: &BfdProfile) -> Option<EchoConfig> {
    let micros = |interval| Micros::from_duration(interval).unwrap_or(Micros::new(u32::MAX));
    let receives = !profile.echo_receive_interval.is_zero();
    (profile.echo_mode || receives).then(|| EchoConfig {
        desired_min_tx_interval: profile.echo_mode.then(|| micros(profile.echo_interval)),
        required_min_rx_interval: micros(profile.echo_receive_interval),
    })
}
