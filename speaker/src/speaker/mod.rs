//! The speaker task: it owns the configuration, the services and the routes, and is told what the
//! BGP and BFD threads see. It never waits for a network.
//!
//! `additions` has the commands that add and remove at run time, `peers` those about one peer, and
//! `events` what the threads report.

mod additions;
mod addresses;
mod bfd_ranges;
mod bfd_sessions;
mod conflicts;
mod drain;
mod events;
mod health;
mod keeping;
mod memory;
mod neighbors;
mod peers;
mod pools;
mod privileges;
mod ranges;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bfd::engine::{EngineError, EngineEvent};
use bgp::{BgpIdentifier, Cause, Event, Routes, SessionConfig, StopReason};
use ipnet::IpNet;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use self::drain::Leaving;
pub use self::neighbors::{Neighbor, Neighbors};
use self::ranges::Absent;
use crate::additions::{Kept, StateDir, StateError, Store};
use crate::addresses::Addresses;
use crate::allocator;
use crate::announcer::{self, Announcer};
use crate::bfd_thread::BfdThread;
use crate::bgp_thread::{BgpEvent, BgpThread, ListenError, PeerSetup, Transport};
use crate::config::{
    Config, Conflict, HookSubject, OnExit, Party, PeerConfig, PeerName, minimum_ttl, nearest,
};
use crate::control::{ByPeer, Command, Control, LastReload, Refusal, Snapshot, Stopping, Vitals};
use crate::history::{History, Journal, Record, Subject};
use crate::hooks::Hooks;
use crate::hostname;
use crate::last_run::{LastRun, Resumption};
use crate::logging::LevelSwitch;
use crate::malformed::Malformed;
use crate::privileges::Host;
use crate::router_id;
use crate::service_manager::ServiceManager;
use crate::services::Services;
use crate::services::health::{HealthThread, News, Standings};
use crate::services::pools::Pools;
use crate::tcp_drops::TcpDrops;
use crate::unnumbered::{Discovery, Sighting};
use crate::watch::FileWatch;

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
    /// Addresses cannot be added at all.
    #[error("[speaker] address-interface: cannot ask the kernel for its addresses: {0}")]
    Addresses(std::io::Error),
    /// Addresses must not be added.
    #[error(
        "[speaker] address-interface = {interface:?}: it takes CAP_NET_ADMIN to add addresses, which the daemon does not have; give it that (a systemd unit: AmbientCapabilities=CAP_NET_ADMIN), or remove the key"
    )]
    Forbidden {
        /// Where they were to be added.
        interface: String,
    },
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
    /// `None`: there is no BGP, and nothing that it could be made of.
    router_id: Option<BgpIdentifier>,
    kept: Kept,
    store: Arc<Mutex<Store>>,
    /// When the disk, which has refused something that counts, is asked again.
    retry_keeping_at: Option<Instant>,
    /// The disk has not answered in the time that was left before the end: it is asked no more.
    has_given_up: bool,
    /// Commands that came while one before them waited for the disk.
    postponed: VecDeque<Command>,
    state_dir: Arc<StateDir>,
    level: LevelSwitch,
    services: Arc<Services>,
    pools: Arc<Pools>,
    manager: ServiceManager,
    host: Host,
    addresses: Addresses,
    announcer: Announcer,
    /// Addresses of which it was told that advertisements contradict each other about them.
    conflicts: BTreeMap<IpAddr, Conflict>,
    /// Since the start it has not been known of every service whether it works.
    awaits_verdicts: bool,
    /// The interface index that each link-local peer was last given.
    scopes: ByPeer<u32>,
    /// Routes whose attributes leave no room for them in a message, since the session is there.
    unsendable: ByPeer<Routes>,
    /// The last UPDATE of each peer with errors that RFC 7606 lets pass.
    malformed: ByPeer<Arc<Malformed>>,
    /// When a peer's errors were last said to be new.
    errors_said: ByPeer<Instant>,
    /// How many sessions each peer has had, to tell them apart in the log.
    sessions: ByPeer<u64>,
    /// Whose BGP session is Established.
    established: BTreeSet<PeerName>,
    /// What is up as far as it was told, and the range that the peer has come from.
    up: BTreeMap<(HookSubject, Party), Option<PeerName>>,
    bgp: BgpThread,
    bfd: BfdThread,
    /// Peers whose BFD session ends when BGP has said its last word.
    settling: JoinSet<PeerName>,
    /// Who has not been told yet that we have restarted.
    resumption: Resumption,
    /// Since when every peer has been drained by command.
    drained_since: Option<Instant>,
    /// The daemon was told to stop, and drains its peers before.
    leaving: Option<Leaving>,
    /// How services stand that depend on something.
    standings: Arc<Standings>,
    health: HealthThread,
    verdicts: mpsc::Receiver<News>,
    /// The BGP thread does not know which session watches which path.
    paths_changed: bool,
    /// What the BGP thread has withdrawn, and wants to hear of again.
    withheld: UnboundedReceiver<BTreeSet<IpNet>>,
    history: History,
    journal: Journal,
    hooks: Hooks,
    started: SystemTime,
    last_reload: LastReload,
    /// Its refusal is the last that was said of the file.
    reload_was_refused: bool,
    commands: mpsc::Receiver<Command>,
    /// Dynamic peers without a connection.
    absent: Absent,
    /// Neighbors that a range may let in.
    arrivals: UnboundedReceiver<IpAddr>,
    /// Who is on the interfaces of unnumbered peers.
    neighbors: Neighbors,
    /// Which of them each unnumbered peer was told to speak to.
    placed: ByPeer<Ipv6Addr>,
    discovery: Discovery,
    sightings: UnboundedReceiver<Sighting>,
    /// Tells when the file has changed, if that is wanted.
    watch: FileWatch,
    file_changes: UnboundedReceiver<()>,
    bgp_events: UnboundedReceiver<BgpEvent>,
    bfd_events: UnboundedReceiver<EngineEvent>,
}

/// What is to be done.
enum Next {
    Command(Command),
    /// Nobody can send a command any more.
    Abandoned,
    /// The daemon has been drained, and ends.
    Drained,
    /// The file says something else.
    FileChanged,
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
        let state_dir = Arc::new(StateDir::open(&config.speaker.state_dir)?);
        let (mut store, loaded) = Store::open(Arc::clone(&state_dir))?;
        let mut kept = loaded.clone();
        let last_run = LastRun::read(&state_dir);
        let gone = kept.additions.give_way(&config);
        kept.forget_peers_but(&config);
        let router_id = settle_router_id(&mut config, &mut kept, &state_dir);
        if router_id.is_none() && config.speaks_bgp() {
            return Err(StartError::NoRouterId(file));
        }
        let mut services = Services::new(&config, &kept.additions);
        let (books, reassigned) = pools::settle(&config, &mut kept, None);
        books.assign_to(&mut services);
        // What was assigned is written down before anybody hears of it. Writing is slow, and an unchanged
        // file is good as it is.
        if kept != loaded {
            store.replace(&kept)?;
        }
        let started = SystemTime::now();
        let is_known =
            |party: &Party| config.knows(party) || kept.knows(party) || config.may_come(party);
        let mut history = Journal::read(&state_dir, started, is_known);
        let last_sign = Journal::last_sign_of_life(&state_dir).unwrap_or(started);
        let cut_off = history.cut_off(last_sign.min(started), LastRun::last_word(&state_dir));
        let journal = Journal::start(&state_dir);
        for end in &cut_off {
            journal.tell(end);
        }
        for party in history.parties() {
            if !config.knows(&party) && config.may_come(&party) {
                for gone in history.depart(party) {
                    journal.tell_forgotten(&gone);
                }
            }
        }

        let drained_since = kept.drain.all.then(Instant::now);
        let (bgp_sender, bgp_events) = mpsc::unbounded_channel();
        let (bfd_sender, bfd_events) = mpsc::unbounded_channel();
        let bgp = BgpThread::start(bgp_sender).map_err(StartError::Thread)?;
        let (seen, sightings) = mpsc::unbounded_channel();
        let (newcomers, arrivals) = mpsc::unbounded_channel();
        bgp.report_arrivals(newcomers);
        let (reported, withheld) = mpsc::unbounded_channel();
        bgp.report_withheld(reported);
        bgp.listen(config.speaker.listen.clone()).await?;
        let bfd = BfdThread::start(&config.bfd, bgp.clone(), bfd_sender)?;
        let wish = addresses::wish(&config, &services);
        let hosted = Addresses::start(Arc::clone(&state_dir), wish).await;
        let hosted = hosted.map_err(StartError::Addresses)?;
        let addresses = addresses::refuse_forbidden(hosted).await?;
        services.host(addresses.report().hosted());
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (health, verdicts) = HealthThread::new();
        let control = Control {
            commands: sender,
            bgp: bgp.clone(),
            health: health.clone(),
        };
        let config = Arc::new(config);
        let announcer = Announcer::new(Arc::clone(&config), &Services::default());
        let (changed, file_changes) = mpsc::unbounded_channel();
        let mut speaker = Self {
            watch: FileWatch::new(file.clone(), changed),
            file_changes,
            file,
            config,
            router_id,
            kept,
            store: Arc::new(Mutex::new(store)),
            retry_keeping_at: None,
            has_given_up: false,
            postponed: VecDeque::new(),
            state_dir,
            level,
            awaits_verdicts: false,
            services: Arc::new(services),
            pools: Arc::new(books),
            manager: ServiceManager::default(),
            host: Host::here(),
            addresses,
            announcer,
            conflicts: BTreeMap::new(),
            scopes: BTreeMap::new(),
            unsendable: BTreeMap::new(),
            malformed: BTreeMap::new(),
            errors_said: BTreeMap::new(),
            sessions: BTreeMap::new(),
            established: BTreeSet::new(),
            up: BTreeMap::new(),
            bgp,
            bfd,
            settling: JoinSet::new(),
            resumption: Resumption::new(last_run, Instant::now()),
            drained_since,
            leaving: None,
            standings: Arc::default(),
            health,
            verdicts,
            paths_changed: false,
            withheld,
            history,
            journal,
            hooks: Hooks::default(),
            started,
            last_reload: LastReload::started(started),
            reload_was_refused: false,
            commands,
            bgp_events,
            bfd_events,
            absent: Absent::default(),
            arrivals,
            neighbors: Neighbors::default(),
            placed: BTreeMap::new(),
            discovery: Discovery::new(seen),
            sightings,
        };
        speaker.warn_of_refused_privileges();
        speaker.hooks.set(&speaker.config.hooks);
        speaker.watch_services();
        speaker.awaits_verdicts = !speaker.standings.are_known();
        if let Err(error) = speaker.start_peers() {
            speaker.addresses.end(OnExit::Withdraw).await;
            return Err(error);
        }
        LastRun::begin(&speaker.state_dir);
        allocator::much_was_used();
        speaker.watch.set(speaker.config.speaker.reload_on_change);
        speaker.note(format!("herald {} started", env!("CARGO_PKG_VERSION")));
        for what in gone {
            warn!("{what}");
            speaker.note(what);
        }
        for (name, change) in &reassigned {
            speaker.note_reassignment(name, change);
        }
        Ok((speaker, control))
    }

    /// Whom to tell of reloads and of the end.
    #[must_use]
    pub fn with_service_manager(mut self, manager: ServiceManager) -> Self {
        self.manager = manager;
        self
    }

    /// Runs until somebody says stop, and then until every neighbor has been told.
    ///
    /// # Errors
    /// When a thread has ended that must not; the others are stopped then.
    pub async fn run(mut self) -> Result<(), ThreadEnded> {
        let mut check = interval(INTERFACE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.next(&mut check).await {
                Ok(Next::Command(Command::Stop {
                    how,
                    communication,
                    reply,
                })) => {
                    let how = how.unwrap_or(self.config.speaker.on_exit);
                    // Whoever asked may have gone.
                    if let Some(left) = self.put_off(how, communication.as_ref()) {
                        let _ = reply.send(Stopping::After(left));
                        continue;
                    }
                    let said = self.leaving.take().and_then(|it| it.communication);
                    let losing = self.shutdown(how, communication.or(said)).await;
                    let _ = reply.send(Stopping::Done { losing });
                    return Ok(());
                }
                Ok(Next::Command(command)) => self.handle(command).await,
                Ok(Next::FileChanged) => self.reload_on_change().await,
                Ok(Next::Drained) => {
                    let said = self.leaving.take().and_then(|it| it.communication);
                    self.shutdown(OnExit::Withdraw, said).await;
                    return Ok(());
                }
                Ok(Next::Abandoned) => {
                    let how = self.config.speaker.on_exit;
                    self.shutdown(how, None).await;
                    return Ok(());
                }
                Err(ended) => {
                    self.shutdown(OnExit::Withdraw, None).await;
                    return Err(ended);
                }
            }
        }
    }

    /// Handles what the threads report until there is something else to do.
    async fn next(&mut self, check: &mut Interval) -> Result<Next, ThreadEnded> {
        loop {
            self.note_bfd_moves();
            self.tell_paths();
            let stops_at = self.leaving.as_ref().map(|leaving| leaving.at);
            let drain_is_over = Self::drain_is_over(stops_at, !self.established.is_empty());
            let assumption_is_over = Self::assumption_is_over(self.standings.poll_timeout());
            tokio::select! {
                // A BFD change comes before what BGP makes of it, in the log too.
                biased;
                event = self.bfd_events.recv() => {
                    self.handle_bfd(event.ok_or(ThreadEnded("BFD"))?);
                }
                event = self.bgp_events.recv() => {
                    self.handle_bgp(event.ok_or(ThreadEnded("BGP"))?);
                }
                Some(prefixes) = self.withheld.recv() => self.say_again(prefixes),
                Some(Ok(name)) = self.settling.join_next() => self.handle_settled(&name),
                () = assumption_is_over => self.end_assumptions(),
                news = self.verdicts.recv() => {
                    self.handle_checked(news.ok_or(ThreadEnded("health"))?);
                }
                () = drain_is_over => return Ok(Next::Drained),
                Some(()) = self.file_changes.recv() => return Ok(Next::FileChanged),
                changed = self.addresses.changed() => {
                    changed.ok_or(ThreadEnded("addresses"))?;
                    self.handle_hosted();
                }
                Some(ip) = self.arrivals.recv() => self.handle_arrival(ip),
                Some(sighting) = self.sightings.recv() => self.handle_sighting(sighting),
                _ = check.tick(), if self.has_checks() => {
                    self.check_interfaces();
                    self.health.retry();
                    self.check_echo();
                    self.check_routes();
                    self.dismiss_absent();
                    self.place_peers();
                    self.keep_what_is_not().await;
                }
                // A command may write to disk, and however many there are, all else has its turn.
                command = next_command(&mut self.postponed, &mut self.commands) => {
                    return Ok(command.map_or(Next::Abandoned, Next::Command));
                }
            }
        }
    }

    /// BFD runs without what it is refused; whoever asked for it wants to know.
    fn warn_of_refused_privileges(&self) -> Vec<String> {
        let mut refused = Vec::new();
        let engine = self.bfd.engine_status();
        for (key, grant) in [
            ("realtime", engine.realtime),
            ("lock-memory", engine.lock_memory),
        ] {
            if let Some(reason) = grant.refusal() {
                let what = format!("[bfd] {key} is refused, and BFD runs without: {reason}");
                warn!("{what}");
                refused.push(what);
            }
        }
        refused
    }

    /// A receive address that cannot be bound is a reason not to start; an interface that is not
    /// there yet may come.
    fn start_peers(&mut self) -> Result<(), StartError> {
        let config = Arc::clone(&self.config);
        // No session of BGP begins before it is known that the daemon will run.
        for (name, peer) in &config.peers {
            let peer = self.in_force(name, peer);
            // The neighbor of an unnumbered one has yet to be found.
            let Some(peer) = self.located(&peer) else {
                continue;
            };
            if let Err(error) = self.bfd.set_peer(name, &peer)
                && let EngineError::Listen { .. } | EngineError::NotListening { .. } = error
            {
                return Err(error.into());
            }
        }
        for (name, session) in &config.bfd_sessions {
            self.begin_path(name, session);
            if let Err(error) = self.set_bfd_session(name, session)
                && let EngineError::Listen { .. } | EngineError::NotListening { .. } = error
            {
                return Err(error.into());
            }
        }
        if let Err(error) = self.set_bfd_ranges()
            && let EngineError::Listen { .. } | EngineError::NotListening { .. } = error
        {
            return Err(error.into());
        }
        for (name, peer) in &config.peers {
            // What went wrong is logged, shown, and tried again.
            let _ = self.set_peer(name, peer);
        }
        self.set_ranges();
        self.look_for_neighbors();
        self.announce_all();
        Ok(())
    }

    async fn handle(&mut self, command: Command) {
        // Whoever asked may have gone; what was asked for is done all the same.
        let Some(command) = self.answer(command) else {
            return;
        };
        match command {
            Command::PutService(name, service, reply) => {
                drop(reply.send(self.put_service(name, service).await));
            }
            Command::DeleteService(name, reply) => {
                drop(reply.send(self.delete_service(&name).await))
            }
            Command::PutRoute(prefix, route, reply) => {
                drop(reply.send(self.put_route(prefix, *route).await));
            }
            Command::DeleteRoute(prefix, reply) => {
                drop(reply.send(self.delete_route(&prefix).await))
            }
            Command::ResetPeer(name, communication, reply) => {
                drop(reply.send(self.reset_peer(&name, communication)));
            }
            Command::ShutDownPeer(name, communication, reply) => {
                drop(reply.send(self.shut_down_peer(&name, communication).await));
            }
            Command::EnablePeer(name, reply) => drop(reply.send(self.enable_peer(&name).await)),
            Command::Drain(peers, reply) => drop(reply.send(self.drain(&peers).await)),
            Command::Undrain(peers, reply) => drop(reply.send(self.undrain(&peers).await)),
            Command::Reload { dry_run, reply } => {
                drop(reply.send(self.reload_on_request(dry_run).await));
            }
            Command::Stop { .. } => unreachable!("stopping is the loop's affair"),
            Command::Snapshot(_)
            | Command::Config(_)
            | Command::Vitals(_)
            | Command::Events(..)
            | Command::Follow(..) => unreachable!("it is answered"),
        }
    }

    /// What only asks is answered; what changes something comes back.
    fn answer(&self, command: Command) -> Option<Command> {
        match command {
            Command::Snapshot(reply) => drop(reply.send(self.snapshot())),
            Command::Config(reply) => drop(reply.send(Arc::clone(&self.config))),
            Command::Vitals(reply) => drop(reply.send(self.vitals())),
            Command::Events(party, reply) => drop(reply.send(self.events(party.as_ref()))),
            Command::Follow(party, since, reply) => {
                let followed = self.refuse_unknown_party(party.as_ref());
                drop(reply.send(followed.map(|()| self.history.follow(party.as_ref(), since))));
            }
            command => return Some(command),
        }
        None
    }

    /// The BFD thread has answered when this returns.
    fn vitals(&self) -> Vitals {
        let _ = self.bfd.engine_status();
        Vitals {
            peers: self.config.peers.len(),
            established: self.established.len(),
            services: self.services.iter().len(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            now: (Instant::now(), SystemTime::now()),
            started: self.started,
            last_reload: self.last_reload,
            config: Arc::clone(&self.config),
            shutdowns: self.kept.shutdowns.clone(),
            services: Arc::clone(&self.services),
            draining: self.draining(),
            standings: Arc::clone(&self.standings),
            checks: BTreeMap::new(),
            pools: Arc::clone(&self.pools),
            announcements: Arc::clone(self.announcer.announcements()),
            conflicts: self.announcer.conflicts().clone(),
            unsendable: self.unsendable.clone(),
            malformed: self.malformed.clone(),
            history: self.history.of_sessions(),
            bgp: BTreeMap::new(),
            transports: BTreeMap::new(),
            tcp_drops: TcpDrops::default(),
            neighbors: self.neighbors.clone(),
            bfd: self.bfd.report(),
            bfd_engine: self.bfd.engine_status(),
            hooks: self.hooks.counts(),
            addresses: self.addresses.report(),
        }
    }

    fn events(&self, party: Option<&Party>) -> Result<Vec<Record>, Refusal> {
        self.refuse_unknown_party(party)?;
        Ok(self.history.records(party))
    }

    /// Somebody who has gone, and came by a range, may be asked about too.
    fn refuse_unknown_party(&self, party: Option<&Party>) -> Result<(), Refusal> {
        if party.is_some_and(|party| self.history.remembers(party)) {
            return Ok(());
        }
        match party {
            Some(Party::Peer(name)) => self.refuse_unknown(name),
            Some(Party::BfdSession(name)) => self.refuse_unknown_session(name),
            Some(Party::Service(name)) => self.refuse_unknown_service(name),
            None => Ok(()),
        }
    }

    /// Gives both threads what they must know of a peer. A BFD session that cannot be opened does
    /// not keep BGP from running.
    fn set_peer(&mut self, name: &PeerName, peer: &PeerConfig) -> Result<(), EngineError> {
        self.note_place(name, peer);
        let peer = self.in_force(name, peer);
        let Some(peer) = &self.located(&peer) else {
            // It may have been somebody else before.
            self.bgp.remove_peer(name);
            self.end_bfd_after_bgp(name);
            return Ok(());
        };
        if peer.is_link_local() && peer.interface().is_some() {
            self.scopes.insert(name.clone(), scope_id(peer));
        } else {
            self.scopes.remove(name);
        }
        let Some(router_id) = self.router_id else {
            warn!(peer = %name, "no BGP session: there is no router-id");
            return Ok(());
        };
        if !peer.enabled {
            self.bgp
                .set_peer(name.clone(), peer_setup(peer, router_id, None));
            self.end_bfd_after_bgp(name);
            return Ok(());
        }
        let bfd = self.bfd.set_peer(name, peer);
        if let Err(error) = &bfd {
            warn!(peer = %name, "no BFD session: {error}");
            self.note_about(name, Subject::Bfd, format!("no BFD session: {error}"));
        }
        let session = bfd.as_ref().ok().copied().flatten();
        let now = Instant::now();
        let restart = peer
            .graceful_restart
            .filter(|restart| self.resumption.begins(now, name, restart.restart_time));
        // RFC 4724 §4.1: what is not announced by End-of-RIB is lost. Waiting longer than this is of
        // no use: the neighbor drops everything when the restart time is over.
        let seconds = restart.map(|restart| restart.restart_time.as_secs());
        let incomplete_until = seconds
            .filter(|_| self.awaits_verdicts)
            .map(|seconds| now + Duration::from_secs(seconds.into()) / 2);
        let mut setup = PeerSetup {
            restarted: restart.is_some(),
            incomplete_until,
            ..peer_setup(peer, router_id, session)
        };
        setup.session.graceful_shutdown = self.draining().reason(name).is_some();
        self.bgp.set_peer(name.clone(), setup);
        bfd.map(|_| ())
    }

    fn remove_peer(&mut self, name: &PeerName) {
        self.end_peer(name);
        self.forget_history(&name.into());
    }

    /// What happened to it is remembered.
    fn end_peer(&mut self, name: &PeerName) {
        self.bgp.remove_peer(name);
        self.end_bfd_after_bgp(name);
        self.scopes.remove(name);
        self.unsendable.remove(name);
        self.malformed.remove(name);
        self.errors_said.remove(name);
        self.established.remove(name);
        self.sessions.remove(name);
        self.tell_hooks_of_removal(name);
        self.forget_presence(name);
        self.placed.remove(name);
    }

    /// A router that sees BFD go before it has read BGP's last word may think that the path has
    /// failed.
    fn end_bfd_after_bgp(&mut self, name: &PeerName) {
        let (bgp, name) = (self.bgp.clone(), name.clone());
        self.settling.spawn(async move {
            bgp.settled(&name).await;
            name
        });
    }

    /// The peer may have come back meanwhile.
    fn handle_settled(&mut self, name: &PeerName) {
        let peer = self.config.peers.get(name);
        if peer.is_none_or(|peer| !self.in_force(name, peer).enabled) {
            self.bfd.remove(&name.into());
        }
    }

    /// Whether there is something to look at each second.
    fn has_checks(&self) -> bool {
        self.bfd.is_incomplete()
            || self.bfd.has_echo()
            || self.unproven_peers().next().is_some()
            || !self.scopes.is_empty()
            || self.health.lacks_thread()
            || !self.absent.is_empty()
            || !self.placed.is_empty()
            || self.retry_keeping_at.is_some()
    }

    /// An interface that comes, or comes anew with another index, is used from then on. A session
    /// that found its way already is left alone.
    fn check_interfaces(&mut self) {
        let config = Arc::clone(&self.config);
        let opened = self.bfd.retry();
        for party in &opened {
            info!("BFD session of {party} opened");
        }
        self.paths_changed |= !opened.is_empty();
        let of_peers = opened.iter().filter_map(Party::peer);
        let mut changed: Vec<PeerName> = of_peers.cloned().collect();
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

    /// A route that comes, or changes, before a peer's BFD session has ever been up decides anew whether
    /// that is single hop.
    fn check_routes(&mut self) {
        let config = Arc::clone(&self.config);
        let is_misplaced = |name: &PeerName, peer| self.bfd.is_misplaced(name, peer);
        let misplaced: Vec<PeerName> = self
            .unproven_peers()
            .filter(|(name, peer)| is_misplaced(name, peer))
            .map(|(name, _)| name.clone())
            .collect();
        for name in misplaced {
            if let Some(peer) = config.peers.get(&name) {
                info!(peer = %name, "BFD begins anew: the route says how far the peer is");
                // What went wrong is logged, shown, and tried again.
                let _ = self.set_peer(&name, peer);
            }
        }
    }

    fn unproven_peers(&self) -> impl Iterator<Item = (&PeerName, &PeerConfig)> {
        let peers = self.config.peers.iter();
        peers.filter(|(name, peer)| self.bfd.is_unproven(name, peer))
    }

    /// What is to be announced, to change it; [`announce`](Self::announce) is what carries it out.
    fn services_mut(&mut self) -> &mut Services {
        Arc::make_mut(&mut self.services)
    }

    /// Tells the peers what has changed of the services.
    fn announce(&mut self) {
        self.tell_paths();
        let changed = self.services_mut().take_changed();
        let changes = self.announcer.update(&self.services, changed);
        if !changes.is_empty() {
            self.forget_unsendable();
            self.bgp.change_routes(changes);
        }
        self.tell_of_conflicts();
        self.tell_when_complete();
    }

    /// Works out anew what each peer is to be told: who is told, or by which rules, may have changed.
    fn announce_all(&mut self) {
        self.tell_paths();
        // What has changed of the services is part of the whole.
        drop(self.services_mut().take_changed());
        self.announcer = Announcer::new(Arc::clone(&self.config), &self.services);
        self.forget_unsendable();
        let announcements = self.announcer.announcements();
        self.bgp
            .set_dependents(announcer::dependents(announcements));
        let routes = announcer::routes(&self.config, announcements);
        self.bgp.set_routes(routes.into_iter().collect());
        self.tell_of_conflicts();
        self.tell_when_complete();
    }

    /// What was too long for a message is another route when something else is said of it.
    fn forget_unsendable(&mut self) {
        let announcements = self.announcer.announcements();
        for (name, unsendable) in &mut self.unsendable {
            unsendable.retain(|prefix, attributes| {
                let said = announcements.get(prefix);
                said.and_then(|said| said.peers.get(name)) == Some(attributes)
            });
        }
    }

    /// As soon as each service has been judged once, the routes that were set are all there are.
    fn tell_when_complete(&mut self) {
        if self.awaits_verdicts && self.standings.are_known() {
            self.awaits_verdicts = false;
            self.bgp.routes_are_complete();
        }
    }

    /// BGP first, then BFD: a router that sees BFD go first may think that the path has failed.
    /// Says who had our routes and has lost them, where they were to stay.
    async fn shutdown(mut self, how: OnExit, communication: Option<String>) -> BTreeSet<PeerName> {
        self.manager.stopping();
        let reason = match how {
            OnExit::Withdraw => {
                info!("stopping: telling every peer");
                StopReason::AdministrativeShutdown(communication)
            }
            OnExit::Restart => {
                info!("stopping for a restart: who keeps our routes is not told");
                StopReason::Restart(communication)
            }
        };
        // A program that checks is not to outlive us, and nobody wants to know any more.
        self.verdicts.close();
        tokio::join!(self.bgp.stop(reason), self.health.stop());
        let mut losing = match how {
            OnExit::Withdraw => BTreeSet::new(),
            OnExit::Restart => self.established.clone(),
        };
        // What the sessions said last is an event like any other.
        while let Ok(event) = self.bgp_events.try_recv() {
            if keeps_our_routes(&event) {
                losing.remove(&event.peer);
            }
            self.handle_bgp(event);
        }
        for peer in &losing {
            warn!(%peer, "our routes are withdrawn: no graceful-restart is negotiated");
        }
        self.keep_before_the_end().await;
        self.note("stopped");
        LastRun::end(&self.state_dir, how);
        let bfd = self.bfd;
        // It waits for a Detection Time, and other tasks have something to do meanwhile.
        let farewell = tokio::task::spawn_blocking(move || bfd.shutdown());
        let _ = tokio::join!(farewell, self.hooks.finish(), self.journal.finish());
        // What was on its way when routers took other paths has arrived by then.
        self.addresses.end(how).await;
        info!("stopped");
        losing
    }
}

/// Whether a session ended so that the neighbor waits for us (RFC 4724 §4.2).
const fn keeps_our_routes(event: &BgpEvent) -> bool {
    matches!(&event.event, Event::StateChanged(transition) if matches!(transition.cause, Cause::Restarting))
}

/// Those that had to wait come first.
async fn next_command(
    postponed: &mut VecDeque<Command>,
    commands: &mut mpsc::Receiver<Command>,
) -> Option<Command> {
    match postponed.pop_front() {
        Some(command) => Some(command),
        None => commands.recv().await,
    }
}

/// The file's router id, or the kept one, or one that is derived and kept from then on.
fn settle_router_id(
    config: &mut Config,
    kept: &mut Kept,
    state_dir: &Arc<StateDir>,
) -> Option<BgpIdentifier> {
    let id = match config.speaker.router_id {
        Some(id) => id,
        None => {
            let added = crate::additions::addresses(&kept.additions.services);
            let derive = || {
                let on_host = crate::addresses::of_services(state_dir);
                router_id::derive(config, &added.chain(on_host).collect())
            };
            let id = kept.router_id.or_else(derive)?;
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
            delay_open_time: peer.delay_open_time,
            passive: peer.passive,
            families: peer.families.clone(),
            send_hold_time: peer.send_hold_time,
            bfd_strict: peer.bfd.as_ref().and_then(|bfd| bfd.strict),
            graceful_restart: peer.graceful_restart,
            received_routes: peer.import.received_routes,
            prefix_limits: peer.import.prefix_limits.clone(),
            enforce_first_as: peer.import.enforce_first_as,
            hostname: peer.hostname.then(hostname::own).flatten(),
            next_hop_v4: peer.export.next_hop_v4,
            next_hop_v6: peer.export.next_hop_v6,
            link_local_next_hop: peer.export.link_local_next_hop,
            extended_next_hop: peer.export.extended_next_hop,
            add_path: peer.export.add_path,
            role: peer.export.role,
            role_strict: peer.export.role_strict,
            ..SessionConfig::new(peer.local_as, router_id, peer.remote_as)
        },
        transport: Transport {
            remote: match peer.ip() {
                IpAddr::V4(ip) => SocketAddrV4::new(ip, peer.port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, peer.port, 0, scope_id(peer)).into(),
            },
            local: peer.source_address,
            interface: peer.interface().map(str::to_owned),
            ttl: match peer.ttl_security {
                Some(_) => Some(u8::MAX),
                None => peer.ebgp_multihop.map(NonZeroU8::get),
            },
            minimum_ttl: peer.ttl_security.map(minimum_ttl),
            dscp: peer.dscp,
        },
        password: peer.password.clone(),
        bfd,
        enabled: peer.enabled,
        capture: peer.capture,
        restarted: false,
        incomplete_until: None,
    }
}

/// The index of the interface on which a link-local peer is; 0 for others, and while there is no
/// such interface.
fn scope_id(peer: &PeerConfig) -> u32 {
    let scope = peer.interface().filter(|_| peer.is_link_local());
    scope.map_or(0, |name| nix::net::if_::if_nametoindex(name).unwrap_or(0))
}

/// That there is no such peer, and which one may have been meant.
pub(crate) fn unknown_peer(config: &Config, name: &str) -> Refusal {
    let known = config.peers.keys().map(PeerName::as_str);
    not_found("peer", "peers", name, known)
}

/// That there is nothing of that name; `list` is what `herald show` lists them by.
pub(crate) fn not_found<'n>(
    what: &str,
    list: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> Refusal {
    let hint = match nearest(name, known) {
        Some(near) => format!("; the nearest name is {near}"),
        None => format!("; `herald show {list}` lists those there are"),
    };
    Refusal::NotFound(format!("there is no {what} {name}{hint}"))
}
