//! Who is who on the BGP thread: routes commands, connections and what BFD says to the peers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::{Fate, Liveness, RouteAttributes, Routes, StopReason, Table};
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::listener::{Demand, ListenError, Listeners, scope_of};
use super::paths::Paths;
use super::peer::PeerTask;
use super::{Addressees, BgpEvent, Command, PeerCommand, PeerSetup, RangeSetup};
use crate::config::PeerName;
use crate::services::health::has_failed;

/// Connections that are accepted and have not found their peer yet; others wait in the kernel.
const ACCEPTED: usize = 64;
/// Connections that wait for the speaker to make a peer for them.
const WAITING: usize = 256;

/// Runs until it is told to stop, or nobody is left who could tell.
pub(super) async fn run(mut inbox: UnboundedReceiver<Command>, events: UnboundedSender<BgpEvent>) {
    let (accepted, mut incoming) = mpsc::channel(ACCEPTED);
    let mut roster = Roster::new(events, Listeners::new(accepted));
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Stop(reason, done)) => {
                    roster.stop(reason).await;
                    let _ = done.send(());
                    return;
                }
                Some(command) => roster.carry_out(command).await,
                None => return roster.stop(StopReason::AdministrativeShutdown(None)).await,
            },
            Some(stream) = incoming.recv() => roster.accept(stream),
            // Peers that were removed take a moment to say good-bye.
            Some(ended) = roster.tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    // A peer that is there and not there is worse than a daemon that ends.
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
}

struct Roster {
    peers: BTreeMap<PeerName, Entry>,
    /// The last word of each BFD session, also for a peer that is yet to come.
    liveness: BTreeMap<bfd::SessionId, (Liveness, u64)>,
    tasks: JoinSet<()>,
    /// Peers that were removed: answered when they have said good-bye.
    leaving: BTreeMap<PeerName, oneshot::Receiver<()>>,
    /// What is withdrawn when a path is dead.
    paths: Paths,
    withheld: Option<UnboundedSender<BTreeSet<IpNet>>>,
    listeners: Listeners,
    ranges: Vec<RangeSetup>,
    /// Connections from ranges, one for an address, until there is a peer for them.
    waiting: BTreeMap<IpAddr, TcpStream>,
    arrivals: Option<UnboundedSender<IpAddr>>,
    events: UnboundedSender<BgpEvent>,
}

struct Entry {
    remote: IpAddr,
    /// Of a link-local address.
    scope: u32,
    bfd: Option<bfd::SessionId>,
    /// What it should have; shared with whoever is to have the same.
    table: Table,
    commands: UnboundedSender<PeerCommand>,
}

/// A prefix, and what is said of it to one peer, if anything.
type Heard<'c> = (&'c IpNet, Option<&'c Arc<RouteAttributes>>);

impl Entry {
    /// Has the peer look at a table, which may have changed.
    fn give(&mut self, table: &Table) {
        let command = match self.table.is(table) {
            true => PeerCommand::TableChanged,
            false => PeerCommand::Table(table.clone()),
        };
        self.table = table.clone();
        // A task that has ended has nobody to tell.
        let _ = self.commands.send(command);
    }
}

impl Roster {
    fn new(events: UnboundedSender<BgpEvent>, listeners: Listeners) -> Self {
        Self {
            peers: BTreeMap::new(),
            liveness: BTreeMap::new(),
            tasks: JoinSet::new(),
            leaving: BTreeMap::new(),
            paths: Paths::default(),
            withheld: None,
            listeners,
            ranges: Vec::new(),
            waiting: BTreeMap::new(),
            arrivals: None,
            events,
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Listen(addresses, reply) => {
                let outcome: Result<(), ListenError> = self.listeners.set(&addresses).await;
                let _ = reply.send(outcome);
            }
            Command::SetPeer(name, setup) => {
                // Before its first connection can come.
                self.listeners.demand(&name, Some(demand(&setup))).await;
                self.set_peer(name, setup);
            }
            Command::RemovePeer(name) => {
                self.listeners.demand(&name, None).await;
                self.remove_peer(name);
            }
            Command::SetRanges(ranges) => self.set_ranges(ranges).await,
            Command::Arrivals(arrivals) => self.arrivals = Some(arrivals),
            Command::TurnAway(ip) => drop(self.waiting.remove(&ip)),
            Command::SetRoutes(routes) => self.set_routes(routes),
            Command::AddToFellows(name, fellows, routes) => {
                let mut fellows = fellows.iter().filter_map(|fellow| self.peers.get(fellow));
                match fellows.next().map(|fellow| fellow.table.clone()) {
                    Some(table) => self.set_table(&name, &table),
                    None => self.set_routes(vec![(name, routes)]),
                }
            }
            Command::ChangeRoutes(changes) => {
                let changes = self.paths.admit(changes);
                self.change_routes(&changes);
            }
            Command::Complete => {
                for entry in self.peers.values() {
                    let _ = entry.commands.send(PeerCommand::Complete);
                }
            }
            // Whoever asked may have gone.
            Command::Ping(reply) => drop(reply.send(())),
            Command::Settled(name, reply) => self.settled(&name, reply),
            Command::Peer(name, command) => {
                if let Some(entry) = self.peers.get(&name) {
                    let _ = entry.commands.send(command);
                }
            }
            Command::Bfd(change) => self.bfd_changed(&change),
            Command::SetPaths(sessions) => {
                let released = self.paths.set_sessions(sessions);
                self.release(released);
            }
            Command::SetDependents(dependents) => {
                let released = self.paths.set_dependents(dependents);
                self.release(released);
            }
            Command::Withheld(withheld) => self.withheld = Some(withheld),
            Command::Status(reply) => {
                for entry in self.peers.values() {
                    let _ = entry.commands.send(PeerCommand::Status(reply.clone()));
                }
            }
            Command::Transports(reply) => {
                for (name, entry) in &self.peers {
                    let trouble = self.listeners.trouble(name).cloned();
                    let command = PeerCommand::Transport(trouble, reply.clone());
                    let _ = entry.commands.send(command);
                }
            }
            Command::Stop(..) => unreachable!("the loop has ended with it"),
        }
    }

    fn set_peer(&mut self, name: PeerName, setup: Box<PeerSetup>) {
        let (remote, scope) = (
            setup.transport.remote.ip().to_canonical(),
            scope(&setup.transport),
        );
        let bfd = setup.bfd;
        self.leaving.remove(&name);
        let known = match self.peers.get_mut(&name) {
            Some(entry) => {
                let same_bfd = entry.bfd == bfd;
                (entry.remote, entry.scope, entry.bfd) = (remote, scope, bfd);
                let _ = entry.commands.send(PeerCommand::Setup(setup));
                same_bfd
            }
            None => {
                let (commands, inbox) = mpsc::unbounded_channel();
                let table = Table::default();
                let events = self.events.clone();
                let task = PeerTask::new(name.clone(), *setup, table.clone(), inbox, events);
                self.tasks.spawn_local(task.run());
                self.peers.insert(
                    name.clone(),
                    Entry {
                        remote,
                        scope,
                        bfd,
                        table,
                        commands,
                    },
                );
                false
            }
        };
        if scope == 0
            && let Some(stream) = self.waiting.remove(&remote)
            && let Some(entry) = self.peers.get(&name)
        {
            let _ = entry.commands.send(PeerCommand::Accepted(stream));
        }
        if let Some((liveness, generation)) = bfd
            .and_then(|bfd| self.liveness.get(&bfd))
            .filter(|_| !known)
            && let Some(entry) = self.peers.get(&name)
        {
            let _ = entry
                .commands
                .send(PeerCommand::Liveness(*liveness, *generation));
        }
    }

    fn set_routes(&mut self, routes: Vec<(PeerName, Arc<Routes>)>) {
        let mut alike: Vec<(Arc<Routes>, BTreeSet<PeerName>)> = Vec::new();
        for (name, routes) in routes {
            match alike
                .iter_mut()
                .find(|(same, _)| Arc::ptr_eq(same, &routes))
            {
                Some((_, names)) => drop(names.insert(name)),
                None => alike.push((routes, BTreeSet::from([name]))),
            }
        }
        let is_set = |name: &PeerName| alike.iter().any(|(_, names)| names.contains(name));
        let others = self.peers.iter().filter(|(name, _)| !is_set(name));
        let mut taken: Vec<Table> = others.map(|(_, entry)| entry.table.clone()).collect();
        // Where some have to move to another table, those who are fewer.
        alike.sort_by_key(|(_, names)| Reverse(names.len()));
        for (routes, names) in alike {
            let table = self.table_for(&names, &taken);
            table.set_routes(&routes);
            taken.push(table.clone());
            for name in &names {
                self.set_table(name, &table);
            }
        }
        let cut = self.paths.cut();
        self.paths.withhold(&cut);
        self.withdraw(&cut);
    }

    /// The table has all that the peer is to have; a change of some routes says nothing about the
    /// others.
    fn set_table(&mut self, name: &PeerName, table: &Table) {
        if let Some(entry) = self.peers.get_mut(name) {
            entry.give(table);
            let _ = entry.commands.send(PeerCommand::RoutesSet);
        }
    }

    /// That of most of these peers, if nobody else has it; else a new one.
    fn table_for(&self, names: &BTreeSet<PeerName>, taken: &[Table]) -> Table {
        let mut users: Vec<(&Table, usize)> = Vec::new();
        for entry in names.iter().filter_map(|name| self.peers.get(name)) {
            match users.iter_mut().find(|(table, _)| table.is(&entry.table)) {
                Some((_, count)) => *count += 1,
                None => users.push((&entry.table, 1)),
            }
        }
        let is_free = |table: &Table| !taken.iter().any(|other| other.is(table));
        let free = users.into_iter().filter(|(table, _)| is_free(table));
        let best = free.max_by_key(|(_, count)| *count);
        best.map(|(table, _)| table.clone()).unwrap_or_default()
    }

    fn change_routes(&mut self, changes: &BTreeMap<IpNet, Arc<Addressees>>) {
        let mut tables: Vec<Table> = Vec::new();
        for entry in self.peers.values() {
            if !tables.iter().any(|table| table.is(&entry.table)) {
                tables.push(entry.table.clone());
            }
        }
        for table in tables {
            self.change_table(&table, changes);
        }
    }

    /// Those who are to have the same go on sharing the table; if not all are, the others get copies.
    fn change_table(&mut self, table: &Table, changes: &BTreeMap<IpNet, Arc<Addressees>>) {
        let mut alike: Vec<(Vec<Heard<'_>>, Vec<&mut Entry>)> = Vec::new();
        let users = self.peers.iter_mut();
        for (name, entry) in users.filter(|(_, entry)| entry.table.is(table)) {
            let heard = changes.iter().map(|(prefix, to)| (prefix, to.get(name)));
            let heard: Vec<Heard<'_>> = heard.collect();
            match alike.iter_mut().find(|(same, _)| *same == heard) {
                Some((_, users)) => users.push(entry),
                None => alike.push((heard, vec![entry])),
            }
        }
        alike.sort_by_key(|(_, users)| Reverse(users.len()));
        let copies = alike.iter().skip(1).map(|_| {
            let copy = Table::default();
            copy.set_routes(&table.routes());
            copy
        });
        let copies: Vec<Table> = copies.collect();
        let tables = std::iter::once(table).chain(&copies);
        for ((heard, users), table) in alike.into_iter().zip(tables) {
            let mut is_changed = false;
            for (prefix, attributes) in heard {
                is_changed |= match attributes {
                    Some(attributes) => table.announce(*prefix, Arc::clone(attributes)),
                    None => table.withdraw(prefix),
                };
            }
            // What is no news for a peer wakes it not.
            let concerned = users.into_iter();
            for entry in concerned.filter(|entry| is_changed || !entry.table.is(table)) {
                entry.give(table);
            }
        }
    }

    fn remove_peer(&mut self, name: PeerName) {
        if let Some(entry) = self.peers.remove(&name) {
            let (ended, end) = oneshot::channel();
            let _ = entry
                .commands
                .send(PeerCommand::Stop(StopReason::PeerDeconfigured, ended));
            self.leaving.insert(name, end);
        }
    }

    fn settled(&mut self, name: &PeerName, reply: oneshot::Sender<()>) {
        if let Some(entry) = self.peers.get(name) {
            let _ = entry.commands.send(PeerCommand::Settled(reply));
        } else if let Some(end) = self.leaving.remove(name) {
            self.tasks.spawn_local(async move {
                let _ = end.await;
                let _ = reply.send(());
            });
        }
    }

    fn bfd_changed(&mut self, change: &bfd::StateChange) {
        let liveness = liveness(change);
        if change.to == bfd::State::AdminDown {
            self.liveness.remove(&change.session);
        } else {
            self.liveness
                .insert(change.session, (liveness, change.generation));
        }
        for entry in self
            .peers
            .values()
            .filter(|entry| entry.bfd == Some(change.session))
        {
            let _ = entry
                .commands
                .send(PeerCommand::Liveness(liveness, change.generation));
        }
        if has_failed(change) {
            let lost = self.paths.handle_failed(change.session);
            self.withdraw(&lost);
        } else if matches!(change.to, bfd::State::Up | bfd::State::AdminDown) {
            self.paths.handle_recovered(change.session);
        }
    }

    /// Has the speaker say again what is to become of these.
    fn release(&self, prefixes: BTreeSet<IpNet>) {
        if !prefixes.is_empty()
            && let Some(withheld) = &self.withheld
        {
            let _ = withheld.send(prefixes);
        }
    }

    fn withdraw(&mut self, prefixes: &BTreeSet<IpNet>) {
        if prefixes.is_empty() {
            return;
        }
        let nobody: Arc<Addressees> = Arc::default();
        let changes = prefixes.iter().map(|prefix| (*prefix, Arc::clone(&nobody)));
        let changes: BTreeMap<_, _> = changes.collect();
        self.change_routes(&changes);
    }

    async fn set_ranges(&mut self, ranges: Vec<RangeSetup>) {
        let kept = |range: &RangeSetup| ranges.iter().any(|other| other.name == range.name);
        for range in self.ranges.iter().filter(|range| !kept(range)) {
            self.listeners.demand(&range.name, None).await;
        }
        for range in &ranges {
            let demand = Demand {
                from: range.prefix,
                interface: None,
                password: range.password.clone(),
                minimum_ttl: range.minimum_ttl,
            };
            self.listeners.demand(&range.name, Some(demand)).await;
        }
        self.ranges = ranges;
    }

    /// Has a peer made for a neighbor, if a range has its address. The speaker decides, and knows
    /// limits; until then little is held.
    fn introduce(&mut self, ip: IpAddr, stream: TcpStream) -> bool {
        let mut ranges = self.ranges.iter();
        let in_range = ranges.any(|range| {
            range.prefix.contains(&ip) && self.listeners.trouble(&range.name).is_none()
        });
        if !in_range || self.waiting.len() >= WAITING || self.waiting.contains_key(&ip) {
            return false;
        }
        let arrivals = self.arrivals.as_ref();
        let told = arrivals.is_some_and(|arrivals| arrivals.send(ip).is_ok());
        if told {
            self.waiting.insert(ip, stream);
        }
        told
    }

    /// A connection from an address that no peer and no range has is closed without a word: whoever
    /// it is has no business here, and costs nothing.
    fn accept(&mut self, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr() else {
            return;
        };
        let (address, from_scope) = (remote.ip().to_canonical(), socket_scope(&remote));
        let peer = self.peers.iter().find(|(_, entry)| {
            entry.remote == address && (entry.scope == from_scope || entry.scope == 0)
        });
        if let Some((name, entry)) = peer {
            // A listener that could not be given the key lets in what is not signed.
            if self.listeners.trouble(name).is_none() {
                let _ = entry.commands.send(PeerCommand::Accepted(stream));
            }
        } else if from_scope != 0 || !self.introduce(address, stream) {
            tracing::debug!(%remote, "refused a BGP connection from an address that is no peer's");
        }
    }

    async fn stop(&mut self, reason: StopReason) {
        self.listeners.close().await;
        for (_, entry) in std::mem::take(&mut self.peers) {
            let _ = entry
                .commands
                .send(PeerCommand::Stop(reason.clone(), oneshot::channel().0));
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

fn demand(setup: &PeerSetup) -> Demand {
    let transport = &setup.transport;
    let ip = transport.remote.ip().to_canonical();
    Demand {
        from: ip.into(),
        interface: scope_of(ip, transport.interface.as_deref()),
        password: setup.password.clone(),
        minimum_ttl: transport.minimum_ttl.unwrap_or(0),
    }
}

/// What a change of BFD's state says of the path. That one side took BFD out of service says
/// nothing (RFC 5882 §4.2).
fn liveness(change: &bfd::StateChange) -> Liveness {
    let fate = match change.remote_control_plane_independent {
        true => Fate::Independent,
        false => Fate::Shared,
    };
    match change.to {
        bfd::State::Up => Liveness::Up,
        bfd::State::AdminDown => Liveness::AdminDown,
        _ if change.remote_state == bfd::State::AdminDown => Liveness::AdminDown,
        _ if change.local_diag == bfd::Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN => {
            Liveness::SignaledDown(fate)
        }
        _ => Liveness::Down(fate),
    }
}

fn scope(transport: &super::Transport) -> u32 {
    socket_scope(&transport.remote)
}

/// The interface of a link-local address; 0 for any other.
fn socket_scope(address: &std::net::SocketAddr) -> u32 {
    match address {
        std::net::SocketAddr::V6(address) if address.ip().is_unicast_link_local() => {
            address.scope_id()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use std::num::NonZeroU32;
    use std::time::Instant;

    use bfd::{Diagnostic, SessionId, State};

    use super::*;

    #[test]
    fn c_167_the_c_bit_reaches_bgp() {
        let expired = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
        let signaled = Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN;
        for (c_bit, fate) in [(false, Fate::Shared), (true, Fate::Independent)] {
            let change = bfd::StateChange {
                session: SessionId::new(NonZeroU32::MIN),
                from: State::Up,
                to: State::Down,
                local_diag: expired,
                remote_diag: Diagnostic::NONE,
                remote_state: State::Up,
                remote_control_plane_independent: c_bit,
                at: Instant::now(),
                silence: None,
                detection_time: None,
                generation: 1,
            };
            assert_eq!(liveness(&change), Liveness::Down(fate));
            let signaled = bfd::StateChange {
                local_diag: signaled,
                ..change
            };
            assert_eq!(liveness(&signaled), Liveness::SignaledDown(fate));
        }
    }

    #[test]
    fn what_is_told_to_one_peer_wakes_no_other() {
        let (events, _events) = mpsc::unbounded_channel();
        let (accepted, _incoming) = mpsc::channel(1);
        let mut roster = Roster::new(events, Listeners::new(accepted));
        let mut add = |name: &str| {
            let (commands, inbox) = mpsc::unbounded_channel();
            let entry = Entry {
                remote: IpAddr::from([192, 0, 2, 1]),
                scope: 0,
                bfd: None,
                table: Table::default(),
                commands,
            };
            let name = PeerName::new(name).unwrap();
            roster.peers.insert(name.clone(), entry);
            (name, inbox)
        };
        let ((told, mut of_told), (_, mut of_other)) = (add("told"), add("other"));
        let prefix = "203.0.113.1/32".parse().unwrap();
        let said = Addressees::from([(told, Arc::default())]);
        let mut change = |peers| roster.change_routes(&[(prefix, Arc::new(peers))].into());
        for peers in [said, Addressees::new()] {
            change(peers);
            let command = of_told.try_recv();
            assert!(matches!(command, Ok(PeerCommand::TableChanged)));
            assert!(of_other.try_recv().is_err());
        }
        change(Addressees::new());
        assert!(of_told.try_recv().is_err(), "it is withdrawn already");
    }
}
