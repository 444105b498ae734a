//! The speaker task: it owns the configuration, the services and the routes, and is told what the
//! BGP and BFD threads see. It never waits for a network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bfd::engine::EngineError;
use bgp::{BgpIdentifier, Cause, Event, Routes, SessionConfig, State, Transition};
use ipnet::IpNet;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

use crate::additions::{Kept, StateDir, StateError, addresses};
use crate::announcer::{self, Announcement};
use crate::bfd_thread::BfdThread;
use crate::bgp_thread::{BgpEvent, BgpThread, ListenError, PeerSetup, Transport};
use crate::config::{
    Config, PeerConfig, PeerName, RouteConfig, ServiceConfig, ServiceName, is_link_local, nearest,
};
use crate::control::{Command, Control, Refusal, Reloaded, Snapshot, Stored};
use crate::history::{History, Novelty, Record, Subject};
use crate::logging::LevelSwitch;
use crate::plan::{self, Change};
use crate::router_id;

/// How many commands may wait.
const COMMANDS: usize = 64;
/// How long until it is looked again whether an interface that a peer needs is there.
const INTERFACE_CHECK: Duration = Duration::from_secs(1);

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory does not serve.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is nothing that a router id could be made of.
    #[error("{}: [speaker]: router-id: is missing, and this host has no IPv4 address to derive one from; must be four octets written as an IPv4 address, such as \"192.0.2.1\"", .0.display())]
    NoRouterId(PathBuf),
    /// The port of BGP cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// BFD cannot run.
    #[error(transparent)]
    Bfd(#[from] EngineError),
    /// The system has no thread left.
    #[error("cannot start the BGP thread: {0}")]
    Thread(std::io::Error),
}

/// A thread ended that runs as long as the daemon: a fault of ours. Routes must not be announced by
/// what cannot withdraw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} thread has ended unexpectedly; what it wrote before tells why")]
pub struct ThreadEnded(&'static str);

/// The task's state.
#[derive(Debug)]
pub struct Speaker {
    file: PathBuf,
    config: Arc<Config>,
    router_id: BgpIdentifier,
    kept: Kept,
    state_dir: StateDir,
    level: LevelSwitch,
    announcements: Arc<BTreeMap<IpNet, Announcement>>,
    told: BTreeMap<PeerName, Arc<Routes>>,
    /// The interface index that each link-local peer was last given.
    scopes: BTreeMap<PeerName, u32>,
    /// Whose BGP session is Established.
    established: BTreeSet<PeerName>,
    bgp: BgpThread,
    bfd: BfdThread,
    history: History,
    started: SystemTime,
    commands: mpsc::Receiver<Command>,
    bgp_events: UnboundedReceiver<BgpEvent>,
    bfd_changes: UnboundedReceiver<bfd::StateChange>,
}

impl Speaker {
    /// Opens what the configuration asks for and starts its sessions. `file` is what a reload
    /// reads.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the state directory cannot be used.
    pub async fn start(
        file: PathBuf,
        mut config: Config,
        level: LevelSwitch,
    ) -> Result<(Self, Control), StartError> {
        let state_dir = StateDir::open(&config.speaker.state_dir)?;
        let mut kept = state_dir.load()?;
        let gone = kept.additions.give_way(&config);
        let router_id = settle_router_id(&mut config, &mut kept)
            .ok_or_else(|| StartError::NoRouterId(file.clone()))?;
        state_dir.save(&kept)?;

        let (bgp_sender, bgp_events) = mpsc::unbounded_channel();
        let (bfd_sender, bfd_changes) = mpsc::unbounded_channel();
        let bgp = BgpThread::start(bgp_sender).map_err(StartError::Thread)?;
        bgp.listen(config.speaker.listen.clone()).await?;
        let bfd = BfdThread::start(&config.bfd, bgp.clone(), bfd_sender)?;
        let (sender, commands) = mpsc::channel(COMMANDS);
        let control = Control {
            commands: sender,
            bgp: bgp.clone(),
        };
        let mut speaker = Self {
            file,
            config: Arc::new(config),
            router_id,
            kept,
            state_dir,
            level,
            announcements: Arc::default(),
            told: BTreeMap::new(),
            scopes: BTreeMap::new(),
            established: BTreeSet::new(),
            bgp,
            bfd,
            history: History::default(),
            started: SystemTime::now(),
            commands,
            bgp_events,
            bfd_changes,
        };
        speaker.start_peers()?;
        for what in gone {
            warn!("{what} was added at run time and is in the file as well: the file counts");
        }
        speaker.note("started".to_owned());
        Ok((speaker, control))
    }

    /// Runs until somebody says stop, and then until every neighbor has been told.
    ///
    /// # Errors
    /// When a thread has ended that must not; the others are stopped then.
    pub async fn run(mut self) -> Result<(), ThreadEnded> {
        let mut check = interval(INTERFACE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.next_command(&mut check).await {
                Ok(Some(Command::Stop {
                    communication,
                    reply,
                })) => {
                    self.shutdown(communication).await;
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                    return Ok(());
                }
                Ok(Some(command)) => self.handle(command).await,
                Ok(None) => {
                    self.shutdown(None).await;
                    return Ok(());
                }
                Err(ended) => {
                    self.shutdown(None).await;
                    return Err(ended);
                }
            }
        }
    }

    /// Handles what the threads report until a command comes; `None` when nobody can send one any
    /// more.
    async fn next_command(&mut self, check: &mut Interval) -> Result<Option<Command>, ThreadEnded> {
        loop {
            tokio::select! {
                // A BFD change comes before what BGP makes of it, in the log too.
                biased;
                change = self.bfd_changes.recv() => {
                    self.handle_bfd(&change.ok_or(ThreadEnded("BFD"))?);
                }
                event = self.bgp_events.recv() => {
                    self.handle_bgp(event.ok_or(ThreadEnded("BGP"))?);
                }
                command = self.commands.recv() => return Ok(command),
                _ = check.tick(), if self.depends_on_interfaces() => self.check_interfaces(),
            }
        }
    }

    /// A receive address that cannot be bound is a reason not to start; an interface that is not
    /// there yet may come.
    fn start_peers(&mut self) -> Result<(), StartError> {
        let config = Arc::clone(&self.config);
        // No session of BGP begins before it is known that the daemon will run.
        for (name, peer) in &config.peers {
            if let Err(error) = self.bfd.set_peer(name, peer)
                && let EngineError::Listen { .. } | EngineError::NotListening { .. } = error
            {
                return Err(error.into());
            }
        }
        for (name, peer) in &config.peers {
            // What went wrong is logged, shown, and tried again.
            let _ = self.set_peer(name, peer);
        }
        self.announce();
        Ok(())
    }

    async fn handle(&mut self, command: Command) {
        // Whoever asked may have gone; what was asked for is done all the same.
        match command {
            Command::Snapshot(reply) => drop(reply.send(self.snapshot())),
            Command::Events(peer, reply) => drop(reply.send(self.events(peer.as_ref()))),
            Command::PutService(name, service, reply) => {
                drop(reply.send(self.put_service(name, service)));
            }
            Command::DeleteService(name, reply) => drop(reply.send(self.delete_service(&name))),
            Command::PutRoute(prefix, route, reply) => {
                drop(reply.send(self.put_route(prefix, route)));
            }
            Command::DeleteRoute(prefix, reply) => drop(reply.send(self.delete_route(&prefix))),
            Command::ResetPeer(name, communication, reply) => {
                drop(reply.send(self.reset_peer(&name, communication)));
            }
            Command::Reload { dry_run, reply } => {
                let result = self.reload(dry_run).await;
                if let Err(refusal) = &result
                    && !dry_run
                {
                    error!("reload refused, the running configuration stays: {refusal}");
                }
                drop(reply.send(result));
            }
            Command::Stop { .. } => unreachable!("stopping is the loop's affair"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            now: (Instant::now(), SystemTime::now()),
            started: self.started,
            config: Arc::clone(&self.config),
            added_services: self.kept.additions.services.clone(),
            announcements: Arc::clone(&self.announcements),
            bgp: BTreeMap::new(),
            bfd: self.bfd.status(),
            bfd_discards: self.bfd.discards(),
        }
    }

    fn events(&self, peer: Option<&PeerName>) -> Result<Vec<Record>, Refusal> {
        if let Some(name) = peer {
            self.refuse_unknown(name)?;
        }
        Ok(self.history.records(peer))
    }

    fn refuse_unknown(&self, name: &PeerName) -> Result<(), Refusal> {
        if self.config.peers.contains_key(name) {
            return Ok(());
        }
        let known = self.config.peers.keys().map(PeerName::as_str);
        Err(not_found("peer", name.as_str(), known))
    }

    fn put_service(
        &mut self,
        name: ServiceName,
        service: ServiceConfig,
    ) -> Result<Stored, Refusal> {
        if self.config.services.contains_key(&name) {
            return Err(self.is_in_the_file("service", name.as_str()));
        }
        for address in &service.addresses {
            self.refuse_taken(&name, *address)?;
        }
        let mut kept = self.kept.clone();
        let former = kept.additions.services.insert(name.clone(), service);
        self.keep(kept)?;
        self.announce();
        self.note(format!("service {name}: added at run time"));
        Ok(former.map_or(Stored::Created, |_| Stored::Replaced))
    }

    fn refuse_taken(&self, name: &ServiceName, address: IpAddr) -> Result<(), Refusal> {
        let services = self.config.services.iter();
        let mut services = services.chain(&self.kept.additions.services);
        let user =
            services.find(|(user, service)| *user != name && service.addresses.contains(&address));
        if let Some((user, _)) = user {
            return Err(Refusal::Conflict(format!(
                "service {name}: {address} is an address of service {user}; must be in no other service"
            )));
        }
        let prefix = IpNet::from(address);
        if self.config.routes.contains_key(&prefix)
            || self.kept.additions.routes.contains_key(&prefix)
        {
            return Err(Refusal::Conflict(format!(
                "service {name}: {prefix} is announced as a route; withdraw that first"
            )));
        }
        Ok(())
    }

    fn delete_service(&mut self, name: &ServiceName) -> Result<(), Refusal> {
        if self.config.services.contains_key(name) {
            return Err(self.is_in_the_file("service", name.as_str()));
        }
        let mut kept = self.kept.clone();
        if kept.additions.services.remove(name).is_none() {
            let known = self.kept.additions.services.keys().map(ServiceName::as_str);
            return Err(not_found("service", name.as_str(), known));
        }
        self.keep(kept)?;
        self.announce();
        self.note(format!("service {name}: removed at run time"));
        Ok(())
    }

    fn put_route(&mut self, prefix: IpNet, route: RouteConfig) -> Result<Stored, Refusal> {
        if self.config.routes.contains_key(&prefix) {
            return Err(self.is_in_the_file("route", &prefix.to_string()));
        }
        for name in route.peers.iter().flatten() {
            self.refuse_unknown(name)?;
        }
        let services = self.config.services.iter();
        let mut services = services.chain(&self.kept.additions.services);
        let user = services.find(|(_, service)| {
            service
                .addresses
                .iter()
                .any(|address| IpNet::from(*address) == prefix)
        });
        if let Some((user, _)) = user {
            return Err(Refusal::Conflict(format!(
                "route {prefix}: service {user} announces this already"
            )));
        }
        let mut kept = self.kept.clone();
        let former = kept.additions.routes.insert(prefix, route);
        self.keep(kept)?;
        self.announce();
        self.note(format!("route {prefix}: added at run time"));
        Ok(former.map_or(Stored::Created, |_| Stored::Replaced))
    }

    fn delete_route(&mut self, prefix: &IpNet) -> Result<(), Refusal> {
        if self.config.routes.contains_key(prefix) {
            return Err(self.is_in_the_file("route", &prefix.to_string()));
        }
        let mut kept = self.kept.clone();
        if kept.additions.routes.remove(prefix).is_none() {
            return Err(Refusal::NotFound(format!(
                "route {prefix} was not announced at run time"
            )));
        }
        self.keep(kept)?;
        self.announce();
        self.note(format!("route {prefix}: removed at run time"));
        Ok(())
    }

    fn reset_peer(
        &mut self,
        name: &PeerName,
        communication: Option<String>,
    ) -> Result<(), Refusal> {
        self.refuse_unknown(name)?;
        self.bgp.reset_peer(name, communication);
        self.note(format!("peer {name}: reset by command"));
        Ok(())
    }

    /// Everything that can fail comes before the first step is taken.
    async fn reload(&mut self, dry_run: bool) -> Result<Reloaded, Refusal> {
        let checked =
            Config::load(&self.file).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let mut wanted = checked.config;
        let router_id = wanted.speaker.router_id.or(self.kept.router_id);
        wanted.speaker.router_id = Some(router_id.unwrap_or(self.router_id));
        self.refuse_added(&wanted)?;
        let changes = plan::plan(&self.config, &wanted);
        if !dry_run {
            if self.config.speaker.listen != wanted.speaker.listen {
                let listening = self.bgp.listen(wanted.speaker.listen.clone()).await;
                listening.map_err(|error| Refusal::Failed(error.to_string()))?;
            }
            for warning in &checked.warnings {
                warn!("{}", warning.in_file(&self.file));
            }
            self.apply(&wanted, &changes);
        }
        Ok(Reloaded {
            changes,
            warnings: checked.warnings,
        })
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

    fn apply(&mut self, wanted: &Config, changes: &[Change]) {
        let mut config = Config::clone(&self.config);
        plan::apply(&mut config, wanted, changes);
        self.router_id = config.speaker.router_id.unwrap_or(self.router_id);
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
                Change::UpdateLog(_) => self.level.set(config.log.level),
                Change::UpdateSpeaker(_)
                | Change::AddService(_)
                | Change::RemoveService(_)
                | Change::UpdateService(_)
                | Change::AddRoute(_)
                | Change::RemoveRoute(_)
                | Change::UpdateRoute(_)
                | Change::UpdateAdvertisements
                | Change::NextStart(_) => {}
            }
        }
        if changes.is_empty() {
            info!("reload: nothing changed");
            return;
        }
        self.announce();
    }

    /// Gives both threads what they must know of a peer. A BFD session that cannot be opened does
    /// not keep BGP from running.
    fn set_peer(&mut self, name: &PeerName, peer: &PeerConfig) -> Result<(), EngineError> {
        if is_link_local(peer.address.ip) && peer.interface().is_some() {
            self.scopes.insert(name.clone(), scope_id(peer));
        } else {
            self.scopes.remove(name);
        }
        if !peer.enabled {
            // BGP goes first: a router that sees BFD go may think that the path has failed.
            self.bgp
                .set_peer(name.clone(), peer_setup(peer, self.router_id, None));
        }
        let bfd = self.bfd.set_peer(name, peer);
        if let Err(error) = &bfd {
            warn!(peer = %name, "no BFD session: {error}");
            self.note(format!("peer {name}: no BFD session: {error}"));
        }
        if peer.enabled {
            let session = bfd.as_ref().ok().copied().flatten();
            self.bgp
                .set_peer(name.clone(), peer_setup(peer, self.router_id, session));
        }
        bfd.map(|_| ())
    }

    fn remove_peer(&mut self, name: &PeerName) {
        self.bgp.remove_peer(name);
        self.bfd.remove_peer(name);
        self.told.remove(name);
        self.scopes.remove(name);
        self.established.remove(name);
        self.history.forget(name);
    }

    fn depends_on_interfaces(&self) -> bool {
        self.bfd.is_incomplete() || !self.scopes.is_empty()
    }

    /// An interface that comes, or comes anew with another index, is used from then on. A session
    /// that found its way already is left alone.
    fn check_interfaces(&mut self) {
        let config = Arc::clone(&self.config);
        let mut changed = self.bfd.retry();
        for name in &changed {
            info!(peer = %name, "BFD session opened");
        }
        changed.extend(self.scopes.iter().filter_map(|(name, scope)| {
            let peer = config.peers.get(name)?;
            let stale = scope_id(peer) != *scope && !self.established.contains(name);
            stale.then(|| name.clone())
        }));
        for name in changed {
            if let Some(peer) = config.peers.get(&name) {
                // What went wrong is logged, shown, and tried again.
                let _ = self.set_peer(&name, peer);
            }
        }
    }

    /// Works out what each peer is to be told, and tells those for whom it changed.
    fn announce(&mut self) {
        let announcements = announcer::announcements(&self.config, &self.kept.additions);
        let mut routes = announcer::routes(&self.config, &announcements);
        self.announcements = Arc::new(announcements);
        for (name, routes) in &mut routes {
            match self.told.get(name) {
                Some(told) if told == routes => {}
                _ => self.bgp.set_routes(name, Arc::clone(routes)),
            }
        }
        self.told = routes;
    }

    fn handle_bgp(&mut self, BgpEvent { peer, event }: BgpEvent) {
        match event {
            Event::StateChanged(transition) => self.handle_transition(&peer, &transition),
            Event::Established(negotiated) => info!(
                %peer,
                remote_as = %negotiated.remote_as,
                remote_id = %negotiated.remote_identifier,
                hold_time = ?negotiated.hold_time.unwrap_or_default(),
                "BGP session established"
            ),
            _ => {}
        }
    }

    fn handle_transition(&mut self, peer: &PeerName, transition: &Transition) {
        let Transition {
            from, to, cause, ..
        } = transition;
        let lost = *from == State::Established;
        if *to == State::Established {
            self.established.insert(peer.clone());
        } else {
            self.established.remove(peer);
        }
        if !lost && *to != State::Established && !is_failure(cause) {
            debug!(%peer, %from, %to, "BGP: {cause}");
            return;
        }
        let states = [from.to_string(), to.to_string()];
        let novelty = self.history.transition(
            SystemTime::now(),
            peer,
            Subject::Bgp,
            states,
            cause.to_string(),
        );
        match (lost, novelty) {
            (true, _) if is_our_will(cause) => info!(%peer, "BGP session ended: {cause}"),
            (true, _) => warn!(%peer, "BGP session lost: {cause}"),
            (false, _) if *to == State::Established => {}
            (false, Novelty::New) => {
                warn!(%peer, %from, "BGP session not established: {cause}; further attempts are logged when this changes");
            }
            (false, Novelty::Repeated) => debug!(%peer, %from, %to, "BGP: {cause}"),
        }
    }

    fn handle_bfd(&mut self, change: &bfd::StateChange) {
        let Some(peer) = self.bfd.peer(change.session).cloned() else {
            return;
        };
        let (from, to) = (change.from, change.to);
        let cause = bfd_cause(change);
        let states = [from.to_string(), to.to_string()];
        match (from, to) {
            (_, bfd::State::Up) => info!(%peer, "BFD session up"),
            (bfd::State::Up, _) if change.remote_state == bfd::State::AdminDown => {
                info!(%peer, "BFD session ended: {cause}");
            }
            (bfd::State::Up, bfd::State::Down) => warn!(%peer, "BFD session DOWN: {cause}"),
            _ => debug!(%peer, %from, %to, "BFD: {cause}"),
        }
        let at = SystemTime::now();
        self.history
            .transition(at, &peer, Subject::Bfd, states, cause);
    }

    /// Writes to disk first: what was acknowledged survives.
    fn keep(&mut self, kept: Kept) -> Result<(), Refusal> {
        self.state_dir
            .save(&kept)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        self.kept = kept;
        Ok(())
    }

    fn is_in_the_file(&self, what: &str, name: &str) -> Refusal {
        Refusal::Conflict(format!(
            "{what} {name} is in {}; change it there and run `herald reload`",
            self.file.display()
        ))
    }

    fn note(&mut self, text: String) {
        self.history.note(SystemTime::now(), text);
    }

    /// BGP first, then BFD: a router that sees BFD go first may think that the path has failed.
    async fn shutdown(self, communication: Option<String>) {
        info!("stopping: telling every peer");
        self.bgp.stop(communication).await;
        let bfd = self.bfd;
        // It waits for a Detection Time, and other tasks have something to do meanwhile.
        let _ = tokio::task::spawn_blocking(move || bfd.shutdown()).await;
        info!("stopped");
    }
}

/// The file's router id, or the kept one, or one that is derived and kept from then on.
fn settle_router_id(config: &mut Config, kept: &mut Kept) -> Option<BgpIdentifier> {
    let id = match config.speaker.router_id {
        Some(id) => id,
        None => {
            let taken = addresses(&kept.additions.services).collect();
            let id = kept
                .router_id
                .or_else(|| router_id::derive(config, &taken))?;
            if kept.router_id.is_none() {
                info!("router-id {id} was derived from the host's addresses, and is kept");
            }
            kept.router_id = Some(id);
            id
        }
    };
    config.speaker.router_id = Some(id);
    Some(id)
}

pub(crate) fn peer_setup(
    peer: &PeerConfig,
    router_id: BgpIdentifier,
    bfd: Option<bfd::SessionId>,
) -> PeerSetup {
    PeerSetup {
        session: SessionConfig {
            hold_time: peer.hold_time,
            keepalive_time: peer.keepalive_time,
            connect_retry_time: peer.connect_retry_time,
            passive: peer.passive,
            families: peer.families.clone(),
            send_hold_time: peer.send_hold_time,
            ..SessionConfig::new(peer.local_as, router_id, peer.remote_as)
        },
        transport: Transport {
            remote: match peer.address.ip {
                IpAddr::V4(ip) => SocketAddrV4::new(ip, peer.port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, peer.port, 0, scope_id(peer)).into(),
            },
            local: peer.source_address,
            interface: peer.interface().map(str::to_owned),
            ttl: peer.ebgp_multihop.map(std::num::NonZeroU8::get),
        },
        bfd,
        enabled: peer.enabled,
    }
}

/// The index of the interface on which a link-local peer is; 0 for others, and while there is no
/// such interface.
fn scope_id(peer: &PeerConfig) -> u32 {
    let scope = peer.interface().filter(|_| is_link_local(peer.address.ip));
    scope.map_or(0, |name| nix::net::if_::if_nametoindex(name).unwrap_or(0))
}

/// Whether a session that was not there yet did not come about.
const fn is_failure(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectFailed(_)
            | Cause::ConnectionLost
            | Cause::NotificationReceived(_)
            | Cause::NotificationSent(_)
            | Cause::SendHoldTimerExpired
    )
}

/// Whether the operator of this host wanted it: Cease, other than for BFD Down.
fn is_our_will(cause: &Cause) -> bool {
    use bgp::wire::code;
    use bgp::wire::subcode::cease;
    matches!(
        cause,
        Cause::NotificationSent(notification) if notification.code == code::CEASE
            && matches!(notification.subcode, cease::ADMINISTRATIVE_SHUTDOWN..=cease::ADMINISTRATIVE_RESET
                | cease::OTHER_CONFIGURATION_CHANGE)
    )
}

fn bfd_cause(change: &bfd::StateChange) -> String {
    match (change.to, change.remote_state) {
        (bfd::State::Up, _) => "both ends hear each other".to_owned(),
        (_, bfd::State::AdminDown) => {
            format!("the peer took it down ({})", change.remote_diag)
        }
        (bfd::State::Down, bfd::State::Down) if change.remote_diag != bfd::Diagnostic::NONE => {
            format!("{} (its reason: {})", change.local_diag, change.remote_diag)
        }
        _ => change.local_diag.to_string(),
    }
}

fn not_found<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Refusal {
    let hint = match nearest(name, known) {
        Some(near) => format!("; the nearest name is {near}"),
        None => format!("; `herald show {what}s` lists those there are"),
    };
    Refusal::NotFound(format!("there is no {what} {name}{hint}"))
}
