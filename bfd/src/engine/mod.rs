//! The engine: an [`Endpoint`](crate::Endpoint) on an OS thread of its own, with its sockets. Linux only.
//!
//! The thread shares nothing with the rest of the program but a channel of commands, and so nothing slower can delay a packet.
//! It reads its sockets before it believes that a remote system is silent. Nothing is bound while there are no sessions.
//!
//! Packets of different sessions leave together where jitter allows it, and datagrams that come in masses wait up to half a
//! millisecond for each other, so that the thread wakes seldom; detection is exact nonetheless.
//!
//! ```no_run
//! use std::sync::mpsc;
//!
//! use herald_bfd::engine::{Engine, EngineConfig};
//! use herald_bfd::{Micros, SessionConfig, SessionKey, State};
//!
//! let (sender, changes) = mpsc::channel();
//! let engine = Engine::start(EngineConfig::default(), move |change| {
//!     // On the thread: hand it on, and work elsewhere.
//!     let _ = sender.send(*change);
//! })?;
//! let config = SessionConfig {
//!     desired_min_tx_interval: Micros::from_millis(50),
//!     required_min_rx_interval: Micros::from_millis(50),
//!     ..SessionConfig::default()
//! };
//! for host in 1..=200 {
//!     engine.add(SessionKey::single_hop([192, 0, 2, host].into()), config.clone())?;
//! }
//! for change in changes {
//!     if change.from == State::Up && change.remote_state != State::AdminDown {
//!         println!("{} failed: {}", change.session, change.local_diag);
//!     }
//! }
//! # Ok::<(), herald_bfd::engine::EngineError>(())
//! ```

mod echo;
mod links;
mod moderation;
mod privileges;
mod receiver;
mod sockets;
mod sorting;
mod sys;
mod unsolicited;
mod worker;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use thiserror::Error;

pub use self::privileges::{Grant, REALTIME_PRIORITY};
use self::worker::Worker;
use crate::discard::DiscardCounters;
use crate::endpoint::{AddError, Range, RangeStatus};
use crate::key::{Encapsulation, MULTIHOP_PORT, SINGLE_HOP_PORT, SessionId, SessionKey};
use crate::packet::Diagnostic;
use crate::session::{SessionConfig, SessionStatus, StateChange};

/// Where the engine listens, once there are sessions that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Where single-hop packets come in. Only the addresses of families that sessions use are bound; an IPv6 address takes
    /// no IPv4 packets.
    pub single_hop_listen: Vec<SocketAddr>,
    /// Where multihop packets come in.
    pub multihop_listen: Vec<SocketAddr>,
    /// For discriminators, source ports and jitter; `None` takes it from the system.
    pub seed: Option<u64>,
    /// Run the thread with real-time priority [`REALTIME_PRIORITY`], so that ordinary programs cannot keep it from the
    /// processor. Where that is not permitted it runs without; [`EngineStatus::realtime`] says so.
    pub realtime: bool,
    /// Keep the memory of the whole process from being swapped out: a page that is read back from a disk takes longer than a
    /// Detection Time. Where that is not permitted the engine runs without; [`EngineStatus::lock_memory`] says so.
    pub lock_memory: bool,
}

impl EngineConfig {
    fn listen(&self, encapsulation: Encapsulation) -> &[SocketAddr] {
        match encapsulation {
            Encapsulation::SingleHop => &self.single_hop_listen,
            Encapsulation::Multihop => &self.multihop_listen,
        }
    }
}

impl Default for EngineConfig {
    /// Every address, at ports 3784 and 4784.
    fn default() -> Self {
        let everywhere = |port| {
            vec![
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
            ]
        };
        Self {
            single_hop_listen: everywhere(SINGLE_HOP_PORT),
            multihop_listen: everywhere(MULTIHOP_PORT),
            seed: None,
            realtime: false,
            lock_memory: false,
        }
    }
}

/// Why the engine did not do what it was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A receive socket could not be opened.
    #[error("cannot listen for BFD at {address}: {source}{}", listen_hint(.address, .source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration has no listen address that would hear the session.
    #[error("no {encapsulation} BFD listen address for {family} is configured: add one")]
    NotListening {
        /// Which list it is missing from.
        encapsulation: Encapsulation,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// The interface does not exist, or cannot be bound to.
    #[error("cannot send BFD from interface {name:?}: {source}")]
    Interface {
        /// The interface.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The local address cannot be sent from.
    #[error("cannot send BFD from {address}: {source}{}", local_hint(.source))]
    LocalAddress {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Local and remote address belong to different families.
    #[error("BFD cannot run from {local} to {remote}: one is IPv4, the other IPv6")]
    AddressFamilies {
        /// Our address.
        local: IpAddr,
        /// The remote system's.
        remote: IpAddr,
    },
    /// The remote address names no single host, or its port is zero.
    #[error("BFD cannot run with {0}: it must be the address of one host, and a port other than 0")]
    Remote(SocketAddr),
    /// A link-local address means nothing without an interface.
    #[error("{0} is link-local: name the interface, or the scope id")]
    LinkLocalWithoutInterface(Ipv6Addr),
    /// All source ports that RFC 5881 §4 allows are taken.
    #[error("every port from 49152 to 65535 of {0} is in use; each BFD session needs one")]
    NoSourcePort(IpAddr),
    /// There is a session with this key.
    #[error("there is a BFD session like this, with discriminator {0}")]
    Exists(SessionId),
    /// A socket could not be created or set up.
    #[error("cannot set up a BFD socket: {0}{hint}", hint = socket_hint(.0))]
    Socket(#[source] io::Error),
    /// The thread or its wake-up could not be created.
    #[error("cannot start the BFD thread: {0}")]
    Start(#[source] io::Error),
    /// The engine has stopped.
    #[error("the BFD engine has stopped")]
    Stopped,
}

impl From<AddError> for EngineError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Exists(id) => Self::Exists(id),
        }
    }
}

fn listen_hint(address: &SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; another BFD daemon (FRR's bfdd, BIRD, a CNI's BGP agent) likely holds it: `ss -ulnp 'sport = :{}'` names it",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => "; no interface has this address".to_owned(),
        _ => String::new(),
    }
}

fn socket_hint(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::MFILE) => {
            "; each session needs one: raise the limit of open files (RLIMIT_NOFILE, `ulimit -n`)"
        }
        _ => "",
    }
}

fn local_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrNotAvailable => "; no interface has this address",
        _ => "",
    }
}

/// What the engine reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEvent {
    /// A session changed its state.
    StateChanged(StateChange),
    /// A remote system of a [`Range`] has begun a session, which is there from here on; its changes of state follow.
    Accepted {
        /// The session.
        session: SessionId,
        /// Between whom it runs.
        key: SessionKey,
        /// The range's name.
        range: Arc<str>,
    },
    /// A session is gone: what was removed has said so for long enough, or what was accepted has been given up.
    Removed(SessionId),
    /// A range has as many sessions as it may have, and somebody wanted one more. Told once in a while.
    RangeFull {
        /// The range's name.
        range: Arc<str>,
    },
    /// A session that was accepted cannot be sent for, and is removed. Told once in a while.
    AcceptFailed {
        /// Between whom it would have run.
        key: SessionKey,
        /// The range's name.
        range: Arc<str>,
        /// Why.
        error: String,
    },
}

/// What the thread is asked to do.
enum Command {
    Add {
        key: SessionKey,
        config: SessionConfig,
        reply: mpsc::SyncSender<Result<SessionId, EngineError>>,
    },
    SetRanges {
        ranges: Vec<Range>,
        reply: mpsc::SyncSender<Result<(), EngineError>>,
    },
    SetConfig(SessionId, SessionConfig),
    SetMinimumTtl(SessionId, u8),
    SetAdminDown(SessionId, bool),
    TakeDown(SessionId, Diagnostic),
    Poll(SessionId),
    Remove(SessionId),
    Status {
        reply: mpsc::SyncSender<Vec<SessionStatus>>,
    },
    SessionStatus {
        id: SessionId,
        reply: mpsc::SyncSender<Option<SessionStatus>>,
    },
    Discards {
        reply: mpsc::SyncSender<DiscardCounters>,
    },
    SetPrivileges {
        realtime: bool,
        lock_memory: bool,
    },
    EngineStatus {
        reply: mpsc::SyncSender<EngineStatus>,
    },
    Shutdown,
    Quit,
}

/// Datagrams that the kernel has dropped at the engine's ports, since the engine started.
///
/// The kernel sorts what comes in by form and TTL. What no session may accept has a buffer of its own, so that a flood of it
/// leaves the packets of sessions alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelDrops {
    /// Datagrams that sessions might have accepted: the engine was late to read them. A session whose packets are among them
    /// may go down though its path is well.
    pub late: u64,
    /// Datagrams that no session may accept, by form or TTL: they came faster than they are worth reading. Those that were
    /// read are among the discards, by reason.
    pub rejected: u64,
    /// Datagrams at the echo function's port over IPv6 that no session may accept, by hop limit or length, and echo packets that
    /// came faster than they were read. The echo packets of a session are not among the former.
    pub echo: u64,
}

/// What there is to say of the engine itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineStatus {
    /// Whether the thread has real-time priority.
    pub realtime: Grant,
    /// Whether the memory of the process stays where it is.
    pub lock_memory: Grant,
    /// The datagrams that were for no session, by reason.
    pub discards: DiscardCounters,
    /// What the kernel has dropped before the engine could read it.
    pub kernel_drops: KernelDrops,
    /// The ranges that sessions are accepted from.
    pub ranges: Vec<RangeStatus>,
}

/// A handle to the BFD thread.
///
/// Dropping it tells every remote system AdminDown once and stops; [`shutdown`](Self::shutdown) does so with care.
pub struct Engine {
    commands: mpsc::Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread. It binds nothing before the first session is added.
    ///
    /// `on_change` is called on the thread, before the packets that go with the change are sent: what depends on a path is
    /// not to wait for them. It must return at once and not panic: hand the change on and do the work elsewhere.
    ///
    /// # Errors
    ///
    /// [`EngineError::Start`] if the system has no thread or file descriptor left.
    pub fn start(
        config: EngineConfig,
        on_change: impl Fn(&StateChange) + Send + 'static,
    ) -> Result<Self, EngineError> {
        Self::start_observed(config, move |event| {
            if let EngineEvent::StateChanged(change) = event {
                on_change(change);
            }
        })
    }

    /// The same, and tells of sessions that come and go by themselves, too: see [`set_ranges`](Self::set_ranges).
    ///
    /// # Errors
    ///
    /// Likewise.
    pub fn start_observed(
        config: EngineConfig,
        on_event: impl Fn(&EngineEvent) + Send + 'static,
    ) -> Result<Self, EngineError> {
        let seed = match config.seed {
            Some(seed) => seed,
            None => random_seed().map_err(EngineError::Start)?,
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = eventfd(0, flags).map_err(|error| EngineError::Start(error.into()))?;
        let wake = Arc::new(wake);
        let (commands, received) = mpsc::channel();
        let worker_wake = Arc::clone(&wake);
        let thread = thread::Builder::new()
            .name("bfd".to_owned())
            .spawn(move || Worker::new(config, seed, received, worker_wake, on_event).run())
            .map_err(EngineError::Start)?;
        Ok(Self {
            commands,
            wake,
            thread: Some(thread),
        })
    }

    /// Adds a session, opening the sockets it needs.
    ///
    /// # Errors
    ///
    /// If there is a session with this key, if its addresses or its interface do not exist or do not fit each other, or if a
    /// listen address cannot be bound.
    pub fn add(&self, key: SessionKey, config: SessionConfig) -> Result<SessionId, EngineError> {
        self.ask(|reply| Command::Add { key, config, reply })
            .unwrap_or(Err(EngineError::Stopped))
    }

    /// Says whom to accept single-hop sessions from that nobody has added (RFC 9468): see
    /// [`Endpoint::set_ranges`](crate::Endpoint::set_ranges). The ports are open as long as there are ranges.
    ///
    /// # Errors
    ///
    /// If a listen address cannot be bound, or none would hear a range. The ranges are as they were then.
    pub fn set_ranges(&self, ranges: Vec<Range>) -> Result<(), EngineError> {
        self.ask(|reply| Command::SetRanges { ranges, reply })
            .unwrap_or(Err(EngineError::Stopped))
    }

    /// Changes timers, role or mode of a session, without a flap. Unknown ids are ignored.
    pub fn set_config(&self, id: SessionId, config: SessionConfig) {
        self.tell(Command::SetConfig(id, config));
    }

    /// Changes the least TTL that a multihop session believes, without a flap. Means nothing for a single-hop session;
    /// unknown ids are ignored.
    pub fn set_minimum_ttl(&self, id: SessionId, minimum_ttl: u8) {
        self.tell(Command::SetMinimumTtl(id, minimum_ttl));
    }

    /// Removes a session: it says AdminDown for a Detection Time, and is then freed. Unknown ids are ignored.
    pub fn remove(&self, id: SessionId) {
        self.tell(Command::Remove(id));
    }

    /// Takes a session to AdminDown, or back from there. Unknown ids are ignored.
    pub fn set_admin_down(&self, id: SessionId, admin_down: bool) {
        self.tell(Command::SetAdminDown(id, admin_down));
    }

    /// Takes a session that is Init or Up to Down, for a reason that something other than BFD has found: say, the link is
    /// down. It comes back when the remote system is heard again. Unknown ids are ignored.
    pub fn take_down(&self, id: SessionId, diagnostic: Diagnostic) {
        self.tell(Command::TakeDown(id, diagnostic));
    }

    /// Verifies the path of a session that is Up by a Poll Sequence; see [`Session::poll`](crate::Session::poll). Unknown ids
    /// are ignored.
    pub fn poll(&self, id: SessionId) {
        self.tell(Command::Poll(id));
    }

    /// A snapshot of every session that is not being removed.
    ///
    /// However many there are, no packet waits for it: the thread tells of some of them in each turn, and so they are
    /// snapshots of slightly different times.
    pub fn status(&self) -> Vec<SessionStatus> {
        self.ask(|reply| Command::Status { reply })
            .unwrap_or_default()
    }

    /// A snapshot of one session, unless it is being removed. It costs the same however many there are.
    pub fn session_status(&self, id: SessionId) -> Option<SessionStatus> {
        self.ask(|reply| Command::SessionStatus { id, reply })
            .flatten()
    }

    /// The datagrams that were for no session, by reason.
    pub fn discards(&self) -> DiscardCounters {
        self.ask(|reply| Command::Discards { reply })
            .unwrap_or_default()
    }

    /// Takes up or gives up real-time priority and locked memory, as in [`EngineConfig`].
    pub fn set_privileges(&self, realtime: bool, lock_memory: bool) {
        self.tell(Command::SetPrivileges {
            realtime,
            lock_memory,
        });
    }

    /// A snapshot of what does not belong to a session.
    pub fn engine_status(&self) -> EngineStatus {
        self.ask(|reply| Command::EngineStatus { reply })
            .unwrap_or_default()
    }

    /// Whether the thread lives. It ends only when told to, or if `on_change` panics.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Says AdminDown to every remote system for a Detection Time, at least one second and at most five, and
    /// stops. Who has not been heard is told once, and not waited for.
    pub fn shutdown(mut self) {
        self.stop(Command::Shutdown);
    }

    fn stop(&mut self, command: Command) {
        self.tell(command);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by the thread itself.
            let _ = thread.join();
        }
    }

    fn tell(&self, command: Command) {
        // If the thread is gone there is nobody left to do it to.
        if self.commands.send(command).is_ok() {
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn ask<T>(&self, command: impl FnOnce(mpsc::SyncSender<T>) -> Command) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.tell(command(reply));
        answer.recv().ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop(Command::Quit);
        }
    }
}

fn random_seed() -> io::Result<u64> {
    let mut octets = [0; 8];
    rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(octets))
}
