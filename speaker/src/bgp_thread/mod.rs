//! All BGP sessions, on one thread of their own.
//!
//! Nothing else runs there, so that neither the API nor a health check can delay a KEEPALIVE. The
//! rest of the daemon talks to it over a channel; [`BgpThread`] is the sending end. Inside, each
//! peer is a task that drives a [`bgp::Session`] over its sockets.

mod addresses;
mod listener;
mod paths;
mod peer;
mod reports;
mod roster;
mod socket;
mod sys;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bgp::{Family, RefreshError};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use crate::capture::Excerpt;
use crate::config::{BfdName, CaptureSize, DEFAULT_DSCP, Password, PeerName};

pub use listener::ListenError;

/// How the TCP connections of a peer are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Where the peer listens, and whom connections are accepted from. A link-local address has its
    /// scope.
    pub remote: SocketAddr,
    /// Our address; default: the kernel's choice.
    pub local: Option<IpAddr>,
    /// Connections leave by this interface only.
    pub interface: Option<String>,
    /// TTL or hop limit of what we send; default: 1 to external peers, which are on the link, and
    /// 255 to internal ones.
    pub ttl: Option<u8>,
    /// The least TTL or hop limit that is accepted (RFC 5082 §3); default: any.
    pub minimum_ttl: Option<u8>,
    /// What our packets are marked with (RFC 2474).
    pub dscp: u8,
}

impl Transport {
    /// To this neighbor, with every default.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self {
            remote,
            local: None,
            interface: None,
            ttl: None,
            minimum_ttl: None,
            dscp: DEFAULT_DSCP,
        }
    }
}

/// Everything the BGP thread needs to know of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSetup {
    /// What the protocol is told.
    pub session: bgp::SessionConfig,
    /// What TCP is told.
    pub transport: Transport,
    /// What signs its TCP segments (RFC 2385). A change does not end the session.
    pub password: Option<Password>,
    /// The BFD session whose changes concern the peer.
    pub bfd: Option<bfd::SessionId>,
    /// Whether the session is to run at all.
    pub enabled: bool,
    /// How much of what its sessions carry is kept.
    pub capture: CaptureSize,
    /// The daemon was started anew, and the neighbor may still have the routes of its last session.
    /// Of interest where the peer is new.
    pub restarted: bool,
    /// Until then the routes that are set may not be all there are, unless it is said that they are:
    /// End-of-RIB waits (RFC 4724 §4.1). `None`: the first that are set are all. Of interest where the
    /// peer is new.
    pub incomplete_until: Option<Instant>,
}

/// What there is to say of a peer's TCP connections, and of what became of its reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportReport {
    /// Attempts of ours without any answer, since the last that had one.
    pub unanswered_attempts: u64,
    /// Why connections of the peer's are refused.
    pub trouble: Option<String>,
    /// Events of which nobody was told, for too many came at once.
    pub lost_events: u64,
}

/// Whom connections are taken from that belong to no peer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSetup {
    /// What the range is called; peers have other names.
    pub name: PeerName,
    /// Where they come from.
    pub prefix: IpNet,
    /// What signs their TCP segments.
    pub password: Option<Password>,
    /// The least TTL of theirs; 0: any.
    pub minimum_ttl: u8,
}

/// Peers, and what is said of a prefix to each.
pub type Addressees = BTreeMap<PeerName, Arc<bgp::RouteAttributes>>;

/// What becomes of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChange {
    /// Who is to have it.
    pub peers: Arc<Addressees>,
    /// The `[[bfd-session]]` without whose path it is of no use.
    pub path: Option<BfdName>,
}

/// What is of no use without a path, by the name of its `[[bfd-session]]`.
pub type Dependents = BTreeMap<BfdName, BTreeSet<IpNet>>;

/// Something happened to a peer.
#[derive(Clone, Debug)]
pub struct BgpEvent {
    /// To whom.
    pub peer: PeerName,
    /// What. What is between the session and its sockets is left out.
    pub event: bgp::Event,
    /// While this is there, the peer has so much less room for what happens next.
    _taken: reports::Taken,
}

/// A handle to the BGP thread. Calls return at once and take effect in their order.
#[derive(Clone, Debug)]
pub struct BgpThread {
    commands: mpsc::UnboundedSender<Command>,
}

/// What a peer's task is told.
#[derive(Debug)]
enum PeerCommand {
    Setup(Box<PeerSetup>),
    /// From here on the peer gets the routes of this table.
    Table(bgp::Table),
    /// The table has changed.
    TableChanged,
    /// The table has everything that was to be announced when this was sent.
    RoutesSet,
    /// The routes that are set are all there are.
    Complete,
    Liveness(bgp::Liveness, u64),
    Accepted(tokio::net::TcpStream),
    Reset(Option<String>),
    ShutDown(Option<String>),
    Refresh(
        Option<Family>,
        oneshot::Sender<Result<Vec<Family>, RefreshError>>,
    ),
    Status(mpsc::UnboundedSender<(PeerName, bgp::SessionStatus)>),
    Transport(
        Option<String>,
        mpsc::UnboundedSender<(PeerName, TransportReport)>,
    ),
    Advertised(oneshot::Sender<Arc<bgp::Routes>>),
    Received(oneshot::Sender<Vec<bgp::ReceivedRoute>>),
    /// What was captured, from the piece with this number on.
    Capture(u64, oneshot::Sender<Excerpt>),
    /// Answered when no connection is being closed any more.
    Settled(oneshot::Sender<()>),
    /// The last command; answered when every connection is closed.
    Stop(bgp::StopReason, oneshot::Sender<()>),
}

#[derive(Debug)]
enum Command {
    Listen(Vec<SocketAddr>, oneshot::Sender<Result<(), ListenError>>),
    SetPeer(PeerName, Box<PeerSetup>),
    RemovePeer(PeerName),
    SetRanges(Vec<RangeSetup>),
    Arrivals(mpsc::UnboundedSender<IpAddr>),
    TurnAway(IpAddr),
    SetRoutes(Vec<(PeerName, Arc<bgp::Routes>)>),
    AddToFellows(PeerName, Vec<PeerName>, Arc<bgp::Routes>),
    ChangeRoutes(BTreeMap<IpNet, RouteChange>),
    Complete,
    Peer(PeerName, PeerCommand),
    Bfd(bfd::StateChange),
    SetPaths(BTreeMap<BfdName, bfd::SessionId>),
    SetDependents(Dependents),
    Withheld(mpsc::UnboundedSender<BTreeSet<IpNet>>),
    Status(mpsc::UnboundedSender<(PeerName, bgp::SessionStatus)>),
    Transports(mpsc::UnboundedSender<(PeerName, TransportReport)>),
    Settled(PeerName, oneshot::Sender<()>),
    Ping(oneshot::Sender<()>),
    Stop(bgp::StopReason, oneshot::Sender<()>),
}

impl BgpThread {
    /// Starts the thread. What happens to peers is told to `events`.
    ///
    /// # Errors
    /// The thread or its runtime could not be created.
    pub fn start(events: mpsc::UnboundedSender<BgpEvent>) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("bgp".into())
            .spawn(move || {
                tokio::task::LocalSet::new().block_on(&runtime, roster::run(inbox, events));
            })?;
        Ok(Self { commands })
    }

    /// Replaces the addresses where neighbors may connect to.
    ///
    /// # Errors
    /// The first address that cannot be listened on; the others before are as they were.
    pub async fn listen(&self, addresses: Vec<SocketAddr>) -> Result<(), ListenError> {
        let (reply, outcome) = oneshot::channel();
        self.tell(Command::Listen(addresses, reply));
        outcome.await.unwrap_or(Err(ListenError::Ended))
    }

    /// Whether [`listen`](Self::listen) would work that listens at `before` at the moment, as far as that can be
    /// seen without doing it.
    ///
    /// # Errors
    /// The first address that could not be listened on.
    pub fn try_listen(before: &[SocketAddr], addresses: &[SocketAddr]) -> Result<(), ListenError> {
        for address in addresses.iter().filter(|address| !before.contains(address)) {
            let overlaps = |other: &SocketAddr| {
                let is_wide = other.ip().is_unspecified() || address.ip().is_unspecified();
                is_wide && other.port() == address.port()
            };
            let is_ours = before.iter().any(overlaps);
            // Our own sockets are in the way of none, for they are closed before.
            let port = if is_ours { 0 } else { address.port() };
            let tried = socket::try_address(SocketAddr::new(address.ip(), port));
            tried.map_err(|source| ListenError::Bind {
                address: *address,
                source,
            })?;
        }
        Ok(())
    }

    /// Adds a peer, or changes one: in place as far as its OPEN and its TCP connection stay as they
    /// are, else with Cease/6 and a new session.
    pub fn set_peer(&self, name: PeerName, setup: PeerSetup) {
        self.tell(Command::SetPeer(name, Box::new(setup)));
    }

    /// Ends a peer's session with Cease/3 and forgets the peer.
    pub fn remove_peer(&self, name: &PeerName) {
        self.tell(Command::RemovePeer(name.clone()));
    }

    /// Replaces the ranges that connections are taken from beside those of peers.
    pub fn set_ranges(&self, ranges: Vec<RangeSetup>) {
        self.tell(Command::SetRanges(ranges));
    }

    /// Tells `arrivals` of each connection from a range that is no peer's. It waits until a peer
    /// with its address is set, or it is [turned away](Self::turn_away).
    pub fn report_arrivals(&self, arrivals: mpsc::UnboundedSender<IpAddr>) {
        self.tell(Command::Arrivals(arrivals));
    }

    /// Closes a connection that waits for its peer.
    pub fn turn_away(&self, ip: IpAddr) {
        self.tell(Command::TurnAway(ip));
    }

    /// Replaces the routes that these peers should have. Give peers that are to have the same routes,
    /// also after changes, the same `Arc`, in one call: they share a table, and what is sent to them is
    /// encoded once. Others do not, whatever they have at the moment.
    pub fn set_routes(&self, routes: Vec<(PeerName, Arc<bgp::Routes>)>) {
        self.tell(Command::SetRoutes(routes));
    }

    /// Says what a new peer should have: what these have already, or if none of them is there, these
    /// routes.
    pub fn add_to_fellows(
        &self,
        name: &PeerName,
        fellows: Vec<PeerName>,
        routes: Arc<bgp::Routes>,
    ) {
        self.tell(Command::AddToFellows(name.clone(), fellows, routes));
    }

    /// Replaces the peers that should have these prefixes, and what is said of each. Costs nothing for
    /// prefixes that are not among them. Peers share tables as [`set_routes`](Self::set_routes) has
    /// found; those that begin to differ part, and meet again when all routes are set.
    pub fn change_routes(&self, changes: BTreeMap<IpNet, RouteChange>) {
        self.tell(Command::ChangeRoutes(changes));
    }

    /// The routes that were set are all there are: End-of-RIB waits for no more.
    pub fn routes_are_complete(&self) {
        self.tell(Command::Complete);
    }

    /// Says which session watches each path.
    pub fn set_paths(&self, paths: BTreeMap<BfdName, bfd::SessionId>) {
        self.tell(Command::SetPaths(paths));
    }

    /// Replaces the prefixes that are withdrawn from everybody as soon as BFD finds a path dead, and
    /// that are not announced before it is up again. A path that has never been up withholds nothing.
    /// To announce one again is for the caller, who hears of the path too. Call it before the routes are set that go with it;
    /// [`change_routes`](Self::change_routes) says the same of single prefixes.
    pub fn set_dependents(&self, dependents: Dependents) {
        self.tell(Command::SetDependents(dependents));
    }

    /// Tells `withheld` of prefixes that were withdrawn because of a path, and that depend on it no
    /// more: what is to become of them is to be said again.
    pub fn report_withheld(&self, withheld: mpsc::UnboundedSender<BTreeSet<IpNet>>) {
        self.tell(Command::Withheld(withheld));
    }

    /// What BFD has found out. Meant to be called from the BFD engine itself: it only sends.
    pub fn bfd_changed(&self, change: &bfd::StateChange) {
        self.tell(Command::Bfd(*change));
    }

    /// Ends a peer's session with Cease/4, and a word to its operator; it starts again by itself.
    pub fn reset_peer(&self, name: &PeerName, communication: Option<String>) {
        self.tell(Command::Peer(
            name.clone(),
            PeerCommand::Reset(communication),
        ));
    }

    /// Ends a peer's session with Cease/2, and a word to its operator. It stays down if the peer is
    /// set up so.
    pub fn shut_down_peer(&self, name: &PeerName, communication: Option<String>) {
        self.tell(Command::Peer(
            name.clone(),
            PeerCommand::ShutDown(communication),
        ));
    }

    /// Asks a peer for its routes of a family once more, or of all that were agreed upon; `None` if
    /// there is no such peer.
    pub async fn refresh_peer(
        &self,
        name: &PeerName,
        family: Option<Family>,
    ) -> Option<Result<Vec<Family>, RefreshError>> {
        let (reply, asked) = oneshot::channel();
        self.tell(Command::Peer(
            name.clone(),
            PeerCommand::Refresh(family, reply),
        ));
        asked.await.ok()
    }

    /// What each session tells of itself, by the name of its peer.
    pub async fn status(&self) -> Vec<(PeerName, bgp::SessionStatus)> {
        let (reply, mut replies) = mpsc::unbounded_channel();
        self.tell(Command::Status(reply));
        let mut statuses = Vec::new();
        while let Some(status) = replies.recv().await {
            statuses.push(status);
        }
        statuses.sort_by(|(one, _), (other, _)| one.cmp(other));
        statuses
    }

    /// What there is to say of the TCP connections of each peer.
    pub async fn transports(&self) -> BTreeMap<PeerName, TransportReport> {
        let (reply, mut replies) = mpsc::unbounded_channel();
        self.tell(Command::Transports(reply));
        let mut transports = BTreeMap::new();
        while let Some((name, transport)) = replies.recv().await {
            transports.insert(name, transport);
        }
        transports
    }

    /// The routes that a peer has from us; `None` if there is no such peer.
    pub async fn advertised(&self, name: &PeerName) -> Option<Arc<bgp::Routes>> {
        let (reply, routes) = oneshot::channel();
        self.tell(Command::Peer(name.clone(), PeerCommand::Advertised(reply)));
        routes.await.ok()
    }

    /// The routes of a peer that are kept; `None` if there is no such peer.
    pub async fn received_routes(&self, name: &PeerName) -> Option<Vec<bgp::ReceivedRoute>> {
        let (reply, routes) = oneshot::channel();
        self.tell(Command::Peer(name.clone(), PeerCommand::Received(reply)));
        routes.await.ok()
    }

    /// The last messages of a peer, from the piece with this number on; `None` if there is no such
    /// peer.
    pub async fn captured(&self, name: &PeerName, from: u64) -> Option<Excerpt> {
        let (reply, excerpt) = oneshot::channel();
        let command = PeerCommand::Capture(from, reply);
        self.tell(Command::Peer(name.clone(), command));
        excerpt.await.ok()
    }

    /// Returns when no connection of a peer is being closed any more, which is a second or so after
    /// it was told to stop at the latest; at once if there is no such peer.
    pub async fn settled(&self, name: &PeerName) {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Settled(name.clone(), reply));
        // An error means that the peer's task has ended, and with it every connection.
        let _ = done.await;
    }

    /// Returns when the thread has come to do so; true unless it has ended.
    pub async fn answers(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Ping(reply));
        answer.await.is_ok()
    }

    /// Ends every session for this reason. Returns when every neighbor has been told, or a second or
    /// so has passed.
    pub async fn stop(&self, reason: bgp::StopReason) {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Stop(reason, reply));
        // An error means that the thread has ended already, and with it every session.
        let _ = done.await;
    }

    fn tell(&self, command: Command) {
        // The thread ends only when it was told to stop; then there is nobody left to tell.
        let _ = self.commands.send(command);
    }
}

#[cfg(test)]
mod tests;
