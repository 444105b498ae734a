//! Who is who on the BGP thread: routes commands, connections and what BFD says to the peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::{Liveness, StopReason};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::listener::{ListenError, Listeners};
use super::peer::PeerTask;
use super::{BgpEvent, Command, PeerCommand, PeerSetup};
use crate::config::PeerName;

/// Runs until it is told to stop, or nobody is left who could tell.
pub(super) async fn run(mut inbox: UnboundedReceiver<Command>, events: UnboundedSender<BgpEvent>) {
    let (accepted, mut incoming) = mpsc::unbounded_channel();
    let mut roster = Roster::new(events, Listeners::new(accepted));
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Stop(communication, done)) => {
                    roster.stop(communication).await;
                    let _ = done.send(());
                    return;
                }
                Some(command) => roster.carry_out(command).await,
                None => return roster.stop(None).await,
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
    listeners: Listeners,
    events: UnboundedSender<BgpEvent>,
}

struct Entry {
    remote: IpAddr,
    /// Of a link-local address.
    scope: u32,
    bfd: Option<bfd::SessionId>,
    commands: UnboundedSender<PeerCommand>,
}

impl Roster {
    fn new(events: UnboundedSender<BgpEvent>, listeners: Listeners) -> Self {
        Self {
            peers: BTreeMap::new(),
            liveness: BTreeMap::new(),
            tasks: JoinSet::new(),
            leaving: BTreeMap::new(),
            listeners,
            events,
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Listen(addresses, reply) => {
                let outcome: Result<(), ListenError> = self.listeners.set(&addresses).await;
                let _ = reply.send(outcome);
            }
            Command::SetPeer(name, setup) => self.set_peer(name, setup),
            Command::RemovePeer(name) => self.remove_peer(name),
            Command::Settled(name, reply) => self.settled(&name, reply),
            Command::Peer(name, command) => {
                if let Some(entry) = self.peers.get(&name) {
                    let _ = entry.commands.send(command);
                }
            }
            Command::Bfd(change) => self.bfd_changed(&change),
            Command::Status(reply) => {
                for entry in self.peers.values() {
                    let _ = entry.commands.send(PeerCommand::Status(reply.clone()));
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
                let task = PeerTask::new(name.clone(), *setup, inbox, self.events.clone());
                self.tasks.spawn_local(task.run());
                self.peers.insert(
                    name.clone(),
                    Entry {
                        remote,
                        scope,
                        bfd,
                        commands,
                    },
                );
                false
            }
        };
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
    }

    /// A connection from an address that no peer has is closed without a word: whoever it is has no
    /// business here, and costs nothing.
    fn accept(&mut self, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr() else {
            return;
        };
        let (address, from_scope) = (remote.ip().to_canonical(), socket_scope(&remote));
        let peer = self.peers.iter().find(|(_, entry)| {
            entry.remote == address && (entry.scope == from_scope || entry.scope == 0)
        });
        match peer {
            Some((_, entry)) => {
                let _ = entry.commands.send(PeerCommand::Accepted(stream));
            }
            None => {
                tracing::debug!(%remote, "refused a BGP connection from an address that is no peer's")
            }
        }
    }

    async fn stop(&mut self, communication: Option<String>) {
        self.listeners.close().await;
        for (_, entry) in std::mem::take(&mut self.peers) {
            let reason = StopReason::AdministrativeShutdown(communication.clone());
            let _ = entry
                .commands
                .send(PeerCommand::Stop(reason, oneshot::channel().0));
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What a change of BFD's state says of the path. That one side took BFD out of service says
/// nothing (RFC 5882 §4.2).
fn liveness(change: &bfd::StateChange) -> Liveness {
    match change.to {
        bfd::State::Up => Liveness::Up,
        bfd::State::AdminDown => Liveness::AdminDown,
        _ if change.remote_state == bfd::State::AdminDown => Liveness::AdminDown,
        _ if change.local_diag == bfd::Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN => {
            Liveness::SignaledDown
        }
        _ => Liveness::Down,
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
