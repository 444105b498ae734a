//! How the speaker task is spoken to: by the API, by signals, by a program that embeds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bfd::engine::EngineStatus;
use bgp::{Family, ReceivedRoute};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::addresses::Report;
use crate::announcer::Announcements;
use crate::bfd_thread::BfdReports;
use crate::bgp_thread::{BgpThread, TransportReport};
use crate::capture::Excerpt;
use crate::config::{
    Config, Conflict, OnExit, Party, PeerName, PoolName, Problem, RouteConfig, ServiceConfig,
    ServiceName,
};
use crate::drain::Draining;
use crate::history::{BySession, Followed, Record};
use crate::hooks::HookCounts;
use crate::malformed::Malformed;
use crate::plan::Change;
use crate::services::Services;
use crate::services::health::{CheckReport, HealthThread, Standings};
use crate::services::pools::{Lack, Pools};
use crate::speaker::{Neighbors, unknown_peer};
use crate::tcp_drops::TcpDrops;

/// Why something was not done. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names something that is not there.
    #[error("{0}")]
    NotFound(String),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// It is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// The system would not have it.
    #[error("{0}")]
    Failed(String),
    /// The daemon is about to end.
    #[error("the daemon is stopping")]
    Stopping,
}

/// Whether what was done outlives the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Lasting {
    /// It is on disk.
    Kept,
    /// It is done, and lost if the daemon ends before the disk takes it: for this reason.
    Unkept(String),
}

/// What became of something that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is new.
    Created,
    /// There was one of that name before, and this changed, in words.
    Replaced(String),
    /// It was there just so.
    Unchanged,
}

impl Stored {
    /// What there is to tell about it, if anything came about.
    pub(crate) fn event(&self) -> Option<String> {
        match self {
            Self::Created => Some("added at run time".to_owned()),
            Self::Replaced(changed) => Some(format!("changed: {changed}")),
            Self::Unchanged => None,
        }
    }
}

/// The addresses of a service that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Those that it names, or else those it was assigned.
    pub addresses: Vec<IpAddr>,
    /// The pool that they belong to, if they belong to one.
    pub pool: Option<PoolName>,
    /// Why it has not every address that it asks for.
    pub lack: Option<Lack>,
}

/// What a reload did, or would do.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The steps.
    pub changes: Vec<Change>,
    /// Legal, and perhaps not meant.
    pub warnings: Vec<Problem>,
    /// What could not be done, and is tried again; everything else was.
    pub failures: Vec<String>,
}

/// Whether the daemon runs what its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReload {
    /// The last one was neither refused nor failed in a step; also before the first.
    pub went_well: bool,
    /// When one last went well; before the first, the start.
    pub last_success: SystemTime,
}

impl LastReload {
    /// Of a daemon that runs its file from the start.
    pub(crate) const fn started(at: SystemTime) -> Self {
        Self {
            went_well: true,
            last_success: at,
        }
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, result: &Result<Reloaded, Refusal>, now: SystemTime) {
        let is_whole = |reloaded: &Reloaded| reloaded.failures.is_empty();
        self.went_well = result.as_ref().is_ok_and(is_whole);
        if self.went_well {
            self.last_success = now;
        }
    }
}

/// How far a stop has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Every neighbor has been told.
    Done {
        /// Who had our routes and keeps none of them, though they were to stay.
        losing: BTreeSet<PeerName>,
    },
    /// Every peer is drained for so long; then they are told.
    After(Duration),
}

/// The daemon in three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Peers that are configured or have come from a range.
    pub peers: usize,
    /// Whose BGP session is Established.
    pub established: usize,
    /// Services, announced or not.
    pub services: usize,
}

/// Something of each peer.
pub type ByPeer<T> = BTreeMap<PeerName, T>;

/// The state of everything, at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When, for durations and for people.
    pub now: (Instant, SystemTime),
    /// When the daemon was started.
    pub started: SystemTime,
    /// Whether it runs what its file says.
    pub last_reload: LastReload,
    /// The running configuration.
    pub config: Arc<Config>,
    /// Peers that were shut down by command, and what their operators were told.
    pub shutdowns: ByPeer<Option<String>>,
    /// Who is drained, and why.
    pub draining: Draining,
    /// What is to be announced, whoever said so.
    pub services: Arc<Services>,
    /// How services stand that depend on something.
    pub standings: Arc<Standings>,
    /// How their checks have fared.
    pub checks: BTreeMap<ServiceName, CheckReport>,
    /// Who has what of the pools.
    pub pools: Arc<Pools>,
    /// What is announced, or would be to a peer that listened.
    pub announcements: Arc<Announcements>,
    /// Addresses that are not announced, for two advertisements disagree about them.
    pub conflicts: BTreeMap<IpAddr, Conflict>,
    /// Routes whose attributes leave no room for them in a message.
    pub unsendable: ByPeer<bgp::Routes>,
    /// The last UPDATE of each peer with errors that RFC 7606 lets pass.
    pub malformed: ByPeer<Arc<Malformed>>,
    /// What happened to each session; what happened to services is no part of it.
    pub history: BySession,
    /// The BGP sessions.
    pub bgp: BTreeMap<PeerName, bgp::SessionStatus>,
    /// Their TCP connections.
    pub transports: BTreeMap<PeerName, TransportReport>,
    /// Who is on the interfaces of unnumbered peers.
    pub neighbors: Neighbors,
    /// What the kernel has dropped of all connections.
    pub tcp_drops: TcpDrops,
    /// The BFD sessions.
    pub bfd: BfdReports,
    /// The BFD thread itself.
    pub bfd_engine: EngineStatus,
    /// Which addresses of services are on this host.
    pub addresses: Arc<Report>,
    /// How each hook has fared, in the order of the file.
    pub hooks: Vec<(String, HookCounts)>,
}

pub(crate) type Reply<T> = oneshot::Sender<T>;

#[derive(Debug)]
pub(crate) enum Command {
    Snapshot(Reply<Snapshot>),
    Config(Reply<Arc<Config>>),
    Vitals(Reply<Vitals>),
    Events(Option<Party>, Reply<Result<Vec<Record>, Refusal>>),
    Follow(Option<Party>, Option<u64>, Reply<Result<Followed, Refusal>>),
    PutService(
        ServiceName,
        ServiceConfig,
        Reply<Result<(Stored, Given), Refusal>>,
    ),
    DeleteService(ServiceName, Reply<Result<Lasting, Refusal>>),
    PutRoute(IpNet, Box<RouteConfig>, Reply<Result<Stored, Refusal>>),
    DeleteRoute(IpNet, Reply<Result<Lasting, Refusal>>),
    ShutDownPeer(PeerName, Option<String>, Reply<Result<Lasting, Refusal>>),
    EnablePeer(PeerName, Reply<Result<(), Refusal>>),
    Drain(BTreeSet<PeerName>, Reply<Result<Lasting, Refusal>>),
    Undrain(BTreeSet<PeerName>, Reply<Result<(), Refusal>>),
    ResetPeer(PeerName, Option<String>, Reply<Result<(), Refusal>>),
    Reload {
        dry_run: bool,
        reply: Reply<Result<Reloaded, Refusal>>,
    },
    Stop {
        how: Option<OnExit>,
        communication: Option<String>,
        reply: Reply<Stopping>,
    },
}

/// A handle to the speaker task.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) bgp: BgpThread,
    pub(crate) health: HealthThread,
}

impl Control {
    /// The state of everything.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn snapshot(&self) -> Result<Snapshot, Refusal> {
        // What holds on to the services comes late: their next change has to copy what is still held.
        let checks = self.health.reports().await;
        let tcp_drops = TcpDrops::read();
        let mut snapshot = self.ask(Command::Snapshot).await?;
        // And the sessions after that: what they have to send is what is announced then, or something newer.
        snapshot.bgp = self.bgp.status().await.into_iter().collect();
        snapshot.transports = self.bgp.transports().await;
        Ok(Snapshot {
            checks,
            tcp_drops,
            ..snapshot
        })
    }

    /// The running configuration.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn config(&self) -> Result<Arc<Config>, Refusal> {
        self.ask(Command::Config).await
    }

    /// The running configuration, in which there is such a peer.
    ///
    /// # Errors
    /// When there is none, or the daemon is stopping.
    pub async fn config_with(&self, peer: &str) -> Result<(Arc<Config>, PeerName), Refusal> {
        let config = self.config().await?;
        let name = PeerName::new(peer).filter(|name| config.peers.contains_key(name));
        match name {
            Some(name) => Ok((config, name)),
            None => Err(unknown_peer(&config, peer)),
        }
    }

    /// How the daemon is; answered when the speaker task and the BGP and BFD threads have come to do so.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn vitals(&self) -> Result<Vitals, Refusal> {
        let vitals = self.ask(Command::Vitals).await?;
        if self.bgp.answers().await {
            Ok(vitals)
        } else {
            Err(Refusal::Stopping)
        }
    }

    /// What the neighbors have from us to whom something is on its way; all others have everything that is announced.
    pub async fn advertised(&self, snapshot: &Snapshot) -> ByPeer<Arc<bgp::Routes>> {
        let mut answers = JoinSet::new();
        for (name, session) in &snapshot.bgp {
            let mut families = session.families.iter();
            if session.state == bgp::State::Established && families.any(|it| it.pending > 0) {
                let (bgp, name) = (self.bgp.clone(), name.clone());
                answers.spawn(async move { Some((bgp.advertised(&name).await?, name)) });
            }
        }
        let answers = answers.join_all().await.into_iter().flatten();
        answers.map(|(routes, name)| (name, routes)).collect()
    }

    /// The routes that a peer has from us; none unless its session is established.
    pub async fn advertised_to(&self, name: &PeerName) -> Arc<bgp::Routes> {
        self.bgp.advertised(name).await.unwrap_or_default()
    }

    /// The last messages of a peer, from the piece with this number on.
    pub async fn captured(&self, name: &PeerName, from: u64) -> Excerpt {
        self.bgp.captured(name, from).await.unwrap_or_default()
    }

    /// The routes that a peer has announced, by family and prefix.
    ///
    /// # Errors
    /// When there is no such peer, or its routes are not kept.
    pub async fn received_routes(&self, name: &PeerName) -> Result<Vec<ReceivedRoute>, Refusal> {
        self.config().await?.keeps_routes(name)?;
        let routes = self.bgp.received_routes(name).await;
        Ok(routes.unwrap_or_default())
    }

    /// What happened to one peer or BFD session, or to all and to the daemon; the oldest first.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn events(&self, party: Option<Party>) -> Result<Vec<Record>, Refusal> {
        self.ask(|reply| Command::Events(party, reply)).await?
    }

    /// What happens from here on, and before it what has happened since the record with that id.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn follow(
        &self,
        party: Option<Party>,
        since: Option<u64>,
    ) -> Result<Followed, Refusal> {
        self.ask(|reply| Command::Follow(party, since, reply))
            .await?
    }

    /// Adds a service, or gives one that was added before other addresses. One that names none is
    /// assigned some of a pool; if none is free, it waits for one.
    ///
    /// # Errors
    /// When the name or an address is in use elsewhere, or the state directory cannot be written.
    pub async fn put_service(
        &self,
        name: ServiceName,
        service: ServiceConfig,
    ) -> Result<(Stored, Given), Refusal> {
        self.ask(|reply| Command::PutService(name, service, reply))
            .await?
    }

    /// Removes a service that was added at run time, whether or not the state directory can be written.
    ///
    /// # Errors
    /// When there is none of that name, or it is in the file.
    pub async fn delete_service(&self, name: ServiceName) -> Result<Lasting, Refusal> {
        self.ask(|reply| Command::DeleteService(name, reply))
            .await?
    }

    /// Announces a prefix, or announces it otherwise.
    ///
    /// # Errors
    /// When the prefix is in the file or belongs to a service, or the state directory cannot be
    /// written.
    pub async fn put_route(&self, prefix: IpNet, route: RouteConfig) -> Result<Stored, Refusal> {
        self.ask(|reply| Command::PutRoute(prefix, Box::new(route), reply))
            .await?
    }

    /// Withdraws a prefix that was announced at run time, whether or not the state directory can be
    /// written.
    ///
    /// # Errors
    /// When it was not, or is in the file.
    pub async fn delete_route(&self, prefix: IpNet) -> Result<Lasting, Refusal> {
        self.ask(|reply| Command::DeleteRoute(prefix, reply))
            .await?
    }

    /// Ends a session with Cease/2 and this text, and keeps it down until it is enabled, also across
    /// restarts of the daemon if the state directory can be written.
    ///
    /// # Errors
    /// When there is no such peer.
    pub async fn shut_down_peer(
        &self,
        name: PeerName,
        communication: Option<String>,
    ) -> Result<Lasting, Refusal> {
        self.ask(|reply| Command::ShutDownPeer(name, communication, reply))
            .await?
    }

    /// Lets a session that was shut down start again; one that was not goes on as it is.
    ///
    /// # Errors
    /// When there is no such peer, the file keeps it down, or the state directory cannot be written.
    pub async fn enable_peer(&self, name: PeerName) -> Result<(), Refusal> {
        self.ask(|reply| Command::EnablePeer(name, reply)).await?
    }

    /// Asks these neighbors to take other paths while ours still work (RFC 8326), until they are
    /// undrained, also across restarts of the daemon if the state directory can be written; all, also
    /// those to come, if none is named.
    ///
    /// # Errors
    /// When one is not there.
    pub async fn drain(&self, peers: BTreeSet<PeerName>) -> Result<Lasting, Refusal> {
        self.ask(|reply| Command::Drain(peers, reply)).await?
    }

    /// Ends that for these peers; for all, if none is named.
    ///
    /// # Errors
    /// When one is not there, or all were drained and only some are named, or the state directory
    /// cannot be written.
    pub async fn undrain(&self, peers: BTreeSet<PeerName>) -> Result<(), Refusal> {
        self.ask(|reply| Command::Undrain(peers, reply)).await?
    }

    /// Asks a peer for its routes of this family once more, or of all that were agreed upon (RFC
    /// 2918). Tells of which.
    ///
    /// # Errors
    /// When there is no such peer, or it cannot be asked.
    pub async fn refresh_peer(
        &self,
        name: &PeerName,
        family: Option<Family>,
    ) -> Result<Vec<Family>, Refusal> {
        self.config_with(name.as_str()).await?;
        let asked = self.bgp.refresh_peer(name, family).await;
        let asked = asked.ok_or(Refusal::Stopping)?;
        asked.map_err(|error| Refusal::Conflict(format!("peer {name}: {error}")))
    }

    /// Ends a session with Cease/4; it starts again by itself.
    ///
    /// # Errors
    /// When there is no such peer, or it is kept down.
    pub async fn reset_peer(
        &self,
        name: PeerName,
        communication: Option<String>,
    ) -> Result<(), Refusal> {
        self.ask(|reply| Command::ResetPeer(name, communication, reply))
            .await?
    }

    /// Reads the configuration file again and applies the difference, or only tells it.
    ///
    /// # Errors
    /// When the file is wrong, or says something that was added at run time.
    pub async fn reload(&self, dry_run: bool) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Command::Reload { dry_run, reply }).await?
    }

    /// Ends all sessions, BGP and then BFD with AdminDown, and returns when that is done. `how`, or
    /// else `on-exit`, tells whether BGP ends with Cease/2 and this text, or without a word to those
    /// who keep our routes until we are back. What is withdrawn is drained for `drain-time` before; then
    /// this returns when that has begun, and calling it once more skips the rest.
    ///
    /// # Errors
    /// When the daemon is stopping already.
    pub async fn stop(
        &self,
        how: Option<OnExit>,
        communication: Option<String>,
    ) -> Result<Stopping, Refusal> {
        self.ask(|reply| Command::Stop {
            how,
            communication,
            reply,
        })
        .await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)
    }
}
