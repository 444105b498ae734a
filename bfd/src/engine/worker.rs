//! The thread: waits, reads what came in, does what is due, reports, sends; in this order, so that a packet that waits in a
//! socket is read before its absence is believed.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};
use std::vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::echo::{EchoSockets, SendError};
use super::privileges::{self, Grant};
use super::receiver::Receiver;
use super::sockets::{SourcePort, Transmitter, interface_index, is_congestion};
use super::sys::{BATCH_SIZE, Batch};
use super::{Command, EngineConfig, EngineError, EngineEvent, EngineStatus, KernelDrops};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Event, RxMeta, Transmit, TransmitKind};
use crate::key::{Encapsulation, HopKind, SessionId, SessionKey};
use crate::session::{EchoObstacles, SessionConfig, SessionStatus};
use crate::session_map::SessionMap;

/// Packets sent before the receive sockets are looked at again.
const TRANSMISSIONS_PER_TURN: usize = 256;
/// Packets that share a look at the clock.
const TRANSMISSIONS_PER_BATCH: usize = 4;
/// Sessions told about in one turn.
const SNAPSHOTS_PER_TURN: usize = 64;
/// Commands taken in one turn: a caller that adds thousands of sessions does not keep packets waiting.
const COMMANDS_PER_TURN: usize = 32;
/// Batches read from each socket of the echo function in one turn: more than its buffer holds, as with control packets.
const ECHO_BATCHES_PER_TURN: usize = 8192 / BATCH_SIZE;
/// By how much `poll` exceeds a timeout at most, however long it is.
const MAX_POLL_SLACK: Duration = Duration::from_millis(100);
/// How often interfaces are looked at.
const INTERFACE_CHECK: Duration = Duration::from_secs(1);
/// How often what is in the way of the echo function is looked at again.
const ECHO_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// For how long at least [`Engine::shutdown`](super::Engine::shutdown) goes on telling the remote
/// systems: so that a lost packet is repeated, which happens once a second (RFC 5880 §6.8.3).
const MIN_FAREWELL: Duration = Duration::from_secs(1);
/// For how long at most.
const MAX_FAREWELL: Duration = Duration::from_secs(5);

pub(super) struct Worker<F> {
    config: EngineConfig,
    pub(super) endpoint: Endpoint,
    receivers: Vec<Receiver>,
    pub(super) transmitters: SessionMap<Transmitter>,
    echo: EchoSockets,
    /// When to look again at what is in the way of the echo function; `None` where nobody uses it.
    check_echo_at: Option<Instant>,
    commands: mpsc::Receiver<Command>,
    wake: Arc<OwnedFd>,
    pub(super) on_event: F,
    batch: Batch,
    /// Room for what to wait for.
    interest: Vec<PollFd<'static>>,
    realtime: Grant,
    lock_memory: Grant,
    kernel_drops: KernelDrops,
    /// A session has gone that may have been the one that accepted the lowest TTL.
    minimum_ttl_is_stale: bool,
    /// Commands may be waiting that nobody will announce again.
    commands_waiting: bool,
    /// Packets are due that the latest turn did not come to.
    transmissions_waiting: bool,
    /// When to look whether interfaces have been created anew; `None` while no session names one.
    interface_check: Option<Instant>,
    /// When to look at the addresses of interfaces; `None` while there are no ranges.
    pub(super) link_check: Option<Instant>,
    /// Questions that are being answered, a part in each turn.
    inquiries: VecDeque<Inquiry>,
    /// When to leave, come what may.
    pub(super) leave_at: Option<Instant>,
}

/// Somebody wants to know of every session.
struct Inquiry {
    left: vec::IntoIter<SessionId>,
    found: Vec<SessionStatus>,
    reply: mpsc::SyncSender<Vec<SessionStatus>>,
}

impl<F: Fn(&EngineEvent)> Worker<F> {
    pub(super) fn new(
        config: EngineConfig,
        seed: u64,
        commands: mpsc::Receiver<Command>,
        wake: Arc<OwnedFd>,
        on_event: F,
    ) -> Self {
        Self {
            echo: EchoSockets::new(&config.single_hop_listen),
            check_echo_at: None,
            config,
            endpoint: Endpoint::new(seed),
            receivers: Vec::new(),
            transmitters: SessionMap::default(),
            commands,
            wake,
            on_event,
            batch: Batch::new(),
            interest: Vec::new(),
            realtime: Grant::NotAsked,
            lock_memory: Grant::NotAsked,
            kernel_drops: KernelDrops::default(),
            minimum_ttl_is_stale: false,
            commands_waiting: false,
            transmissions_waiting: false,
            interface_check: None,
            link_check: None,
            inquiries: VecDeque::new(),
            leave_at: None,
        }
    }

    pub(super) fn run(mut self) {
        // Timers may otherwise be 50 µs late for the sake of saving power; without it they are, and nothing else is lost.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        self.set_privileges(self.config.realtime, self.config.lock_memory);
        while !self.is_done() {
            self.wait();
            self.handle_commands();
            // What is silent at this time is silent in what had come by this time.
            let now = now();
            self.receive();
            self.receive_echo();
            self.check_echo();
            self.endpoint.handle_timeout(now);
            // Whoever acts on a Down is told before the neighbor: a packet may take longer to send than what there is to do.
            self.report();
            self.transmit();
            self.check_interfaces(now);
            self.check_links(now);
            self.report();
            self.answer();
        }
    }

    /// Every session has said AdminDown once, however many they are, and until `leave_at` repeats it.
    fn is_done(&self) -> bool {
        self.leave_at.is_some_and(|at| {
            self.endpoint.is_empty() || (at <= now() && !self.transmissions_waiting)
        })
    }

    fn wait(&mut self) {
        let now = now();
        let deadlines = [
            self.endpoint.poll_timeout(),
            self.interface_check,
            self.link_check,
            self.leave_at,
            self.check_echo_at,
        ]
        .into_iter();
        let rests = self
            .receivers
            .iter()
            .map(|receiver| receiver.rests_until(now));
        let echo_rests = self.echo.rests_until(now);
        let deadlines = deadlines.chain(rests).chain([echo_rests]);
        let deadline = deadlines.flatten().min();
        let mut timeout = deadline.map(|at| self.punctual(at.saturating_duration_since(now)));
        if self.commands_waiting || self.transmissions_waiting || !self.inquiries.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut interest: Vec<PollFd<'_>> = std::mem::take(&mut self.interest);
        interest.push(PollFd::new(&self.wake, PollFlags::IN));
        let awake = |receiver: &Receiver| receiver.rests_until(now).is_none();
        let awake_receivers = self.receivers.iter().filter(|receiver| awake(receiver));
        interest.extend(
            awake_receivers
                .map(|receiver| PollFd::from_borrowed_fd(receiver.socket(), PollFlags::IN)),
        );
        let echo = self.echo.sockets(now);
        interest.extend(echo.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        // Whatever it answers: what is there is looked at next.
        let _ = poll(&mut interest, timeout.as_ref());
        let receivers = self.receivers.iter().filter(|receiver| awake(receiver));
        for (receiver, fd) in receivers.zip(interest.iter().skip(1)) {
            receiver.set_ready(!fd.revents().is_empty());
        }
        self.interest = emptied(interest);
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// What to ask `poll` for so that it returns on time. It may exceed a timeout by a thousandth, and does, whatever the timer
    /// slack of the thread; only real-time threads are excepted. If it returns early, what is left of the timeout has next to no slack.
    fn punctual(&self, timeout: Duration) -> Duration {
        match self.realtime {
            Grant::Granted => timeout,
            Grant::NotAsked | Grant::Refused(_) => timeout - (timeout / 1000).min(MAX_POLL_SLACK),
        }
    }

    fn handle_commands(&mut self) {
        self.commands_waiting = false;
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(command) => self.handle_command(now(), command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.leave(now(), Duration::ZERO),
            }
        }
        self.commands_waiting = true;
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        // Whoever asked may have gone away; that is no concern of the sessions.
        match command {
            Command::Add { key, config, reply } => {
                let _ = reply.send(self.add(now, key, config));
            }
            Command::SetRanges { ranges, reply } => {
                let _ = reply.send(self.set_ranges(now, ranges));
            }
            Command::SetConfig(id, config) => {
                self.endpoint.set_config(now, id, config);
                self.prepare_echo(now, id);
            }
            Command::SetMinimumTtl(id, minimum_ttl) => {
                self.endpoint.set_minimum_ttl(id, minimum_ttl);
                self.minimum_ttl_is_stale = true;
            }
            Command::SetAdminDown(id, down) => self.endpoint.set_admin_down(now, id, down),
            Command::TakeDown(id, diagnostic) => self.endpoint.take_down(now, id, diagnostic),
            Command::Poll(id) => self.endpoint.poll(now, id),
            Command::Remove(id) => {
                self.endpoint.remove(now, id);
                self.echo.release(id);
            }
            Command::Status { reply } => {
                self.read_rejected();
                self.inquiries.push_back(Inquiry {
                    left: self.endpoint.ids().into_iter(),
                    found: Vec::with_capacity(self.endpoint.len()),
                    reply,
                });
            }
            Command::SessionStatus { id, reply } => {
                self.read_rejected();
                let _ = reply.send(self.endpoint.session_status(id));
            }
            Command::Discards { reply } => {
                self.read_rejected();
                let _ = reply.send(self.endpoint.discards().clone());
            }
            Command::SetPrivileges {
                realtime,
                lock_memory,
            } => self.set_privileges(realtime, lock_memory),
            Command::EngineStatus { reply } => {
                let _ = reply.send(self.status());
            }
            Command::Shutdown => {
                let detection_time = self.endpoint.longest_detection_time();
                self.leave(now, detection_time.clamp(MIN_FAREWELL, MAX_FAREWELL));
            }
            Command::Quit => self.leave(now, Duration::ZERO),
        }
    }

    fn set_privileges(&mut self, realtime: bool, lock_memory: bool) {
        self.realtime = privileges::set_realtime(realtime);
        // What others in this process may have locked is theirs, unless we are told to give up what we have.
        if lock_memory || self.lock_memory == Grant::Granted {
            self.lock_memory = privileges::set_lock_memory(lock_memory);
        } else {
            self.lock_memory = Grant::NotAsked;
        }
    }

    fn status(&mut self) -> EngineStatus {
        self.read_rejected();
        EngineStatus {
            realtime: self.realtime.clone(),
            lock_memory: self.lock_memory.clone(),
            discards: self.endpoint.discards().clone(),
            kernel_drops: self.count_kernel_drops(),
            ranges: self.endpoint.range_status(),
        }
    }

    fn leave(&mut self, now: Instant, limit: Duration) {
        self.endpoint.set_ranges(now, Vec::new());
        self.link_check = None;
        self.endpoint.remove_all(now);
        self.leave_at = Some(now + limit);
    }

    fn add(
        &mut self,
        now: Instant,
        key: SessionKey,
        config: SessionConfig,
    ) -> Result<SessionId, EngineError> {
        if self.leave_at.is_some() {
            return Err(EngineError::Stopped);
        }
        if let Some(id) = self.endpoint.find(&key) {
            return Err(EngineError::Exists(id));
        }
        let port = SourcePort::random(self.endpoint.draw_seed());
        let transmitter = Transmitter::open(&key, port)?;
        self.listen(key.hop, key.remote.is_ipv4())?;
        let id = self
            .endpoint
            .add(now, key, transmitter.interface_index, config)?;
        self.keep(now, id, transmitter);
        self.prepare_echo(now, id);
        Ok(id)
    }

    /// A session is sent for from here on.
    pub(super) fn keep(&mut self, now: Instant, id: SessionId, transmitter: Transmitter) {
        if transmitter.interface_index.is_some() {
            self.interface_check.get_or_insert(now + INTERFACE_CHECK);
        }
        self.endpoint
            .set_point_to_point(id, transmitter.is_point_to_point);
        self.transmitters.insert(id, transmitter);
    }

    /// Opens what receives for such a session, unless it is open: all of it, or none.
    pub(super) fn listen(&mut self, hop: HopKind, is_ipv4: bool) -> Result<(), EngineError> {
        let (encapsulation, minimum_ttl) = (hop.encapsulation(), hop.minimum_ttl());
        let mut is_open = false;
        for receiver in &mut self.receivers {
            if receiver.encapsulation == encapsulation {
                receiver.set_minimum_ttl(minimum_ttl.min(receiver.minimum_ttl));
                is_open |= receiver.local.is_ipv4() == is_ipv4;
            }
        }
        if is_open {
            return Ok(());
        }
        let opened: Vec<_> = self
            .config
            .listen(encapsulation)
            .iter()
            .filter(|local| local.is_ipv4() == is_ipv4)
            .map(|local| Receiver::open(*local, encapsulation, minimum_ttl))
            .collect::<Result<_, _>>()?;
        if opened.is_empty() {
            return Err(EngineError::NotListening {
                encapsulation,
                family: if is_ipv4 { "IPv4" } else { "IPv6" },
            });
        }
        self.receivers.extend(opened.into_iter().flatten());
        Ok(())
    }

    fn receive(&mut self) {
        for index in 0..self.receivers.len() {
            self.receive_at(index);
        }
    }

    fn receive_at(&mut self, index: usize) {
        let Some(receiver) = self.receivers.get(index).filter(|it| it.is_ready()) else {
            return;
        };
        let mut datagrams = 0;
        for _ in 0..receiver.batches_per_turn() {
            let received = match self.receive_batch(index) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing there; or an error that the next turn meets again, if it lasts.
                Err(_) => break,
            };
            datagrams += received;
            if received < BATCH_SIZE {
                break;
            }
            // A flood does not keep our own packets back.
            self.endpoint.handle_transmit_timeout(now());
            self.transmit();
        }
        if let Some(receiver) = self.receivers.get_mut(index) {
            receiver.was_read(now(), datagrams);
        }
    }

    fn receive_batch(&mut self, index: usize) -> io::Result<usize> {
        let Some(receiver) = self.receivers.get(index) else {
            return Ok(0);
        };
        let received = self.batch.receive(receiver.socket())?;
        let now = now();
        let mut new = Vec::new();
        for datagram in self.batch.datagrams() {
            let meta = RxMeta {
                source: datagram.source,
                destination: datagram.destination.unwrap_or(receiver.local.ip()),
                interface_index: datagram.interface_index,
                ttl: datagram.ttl,
                encapsulation: receiver.encapsulation,
            };
            // Discards are counted inside.
            let outcome = self.endpoint.handle_datagram(now, &meta, datagram.payload);
            // Whoever has a session and nothing to send from has just been accepted.
            new.extend(
                outcome
                    .ok()
                    .filter(|id| !self.transmitters.contains_key(id)),
            );
        }
        for id in new {
            self.equip(now, id);
        }
        Ok(received)
    }

    /// Whoever asks for counters finds them true.
    fn read_rejected(&mut self) {
        for index in 0..self.receivers.len() {
            if let Some(receiver) = self.receivers.get_mut(index)
                && receiver.hurry()
            {
                self.receive_at(index);
            }
        }
    }

    fn count_kernel_drops(&mut self) -> KernelDrops {
        for receiver in &mut self.receivers {
            receiver.take_drops(&mut self.kernel_drops);
        }
        self.kernel_drops.echo = self.echo.count_drops();
        self.kernel_drops
    }

    /// What the kernel lets through follows the sessions that are there.
    fn set_minimum_ttl(&mut self, encapsulation: Encapsulation) {
        let minimum_ttl = self.endpoint.least_minimum_ttl(encapsulation);
        for receiver in &mut self.receivers {
            if receiver.encapsulation == encapsulation {
                receiver.set_minimum_ttl(minimum_ttl);
            }
        }
    }

    /// Sends what is due, up to a limit that leaves no datagram waiting for long.
    fn transmit(&mut self) {
        self.transmissions_waiting = true;
        for _ in 0..TRANSMISSIONS_PER_TURN / TRANSMISSIONS_PER_BATCH {
            let now = now();
            for _ in 0..TRANSMISSIONS_PER_BATCH {
                let Some(transmit) = self.endpoint.poll_transmit(now) else {
                    self.transmissions_waiting = false;
                    return;
                };
                self.send(now, &transmit);
            }
        }
    }

    fn send(&mut self, now: Instant, transmit: &Transmit) {
        if transmit.kind != TransmitKind::Control {
            return self.send_echo(transmit);
        }
        let Some(transmitter) = self.transmitters.get_mut(&transmit.session) else {
            return;
        };
        if let Err(error) = transmitter.send(now, &transmit.payload, transmit.destination) {
            self.endpoint.count_transmit_error(transmit.session);
            self.repair(transmit, &error);
        }
    }

    /// Gives a session the sockets of the echo function that its configuration asks for, or takes them away.
    pub(super) fn prepare_echo(&mut self, now: Instant, id: SessionId) {
        let session = self.endpoint.session(id);
        let config = session.and_then(|session| session.config().echo);
        let key = self.endpoint.key(id);
        let Some((key, config)) = key.zip(config) else {
            return self.echo.release(id);
        };
        let obstacles = self.echo.admit(id, key, &config);
        self.endpoint.set_echo_obstacles(now, id, obstacles);
        self.check_echo_at.get_or_insert(now + ECHO_CHECK_INTERVAL);
    }

    /// What was in the way may have been removed, and the reverse.
    fn check_echo(&mut self) {
        let now = now();
        if self.check_echo_at.take_if(|at| *at <= now).is_some() {
            for id in self.echo.users() {
                self.prepare_echo(now, id);
            }
        }
    }

    fn receive_echo(&mut self) {
        for _ in 0..ECHO_BATCHES_PER_TURN {
            let endpoint = &mut self.endpoint;
            let may_have_more = self.echo.receive(&mut self.batch, |meta, payload| {
                // Discards are counted inside.
                let _: Result<SessionId, Discard> =
                    endpoint.handle_echo_datagram(now(), &meta, payload);
            });
            if !may_have_more {
                break;
            }
            // A flood does not keep our own packets back.
            self.endpoint.handle_transmit_timeout(now());
            self.transmit();
        }
        self.echo.was_read(now());
    }

    fn send_echo(&mut self, transmit: &Transmit) {
        let id = transmit.session;
        match self.echo.send(transmit) {
            Ok(()) => {}
            Err(SendError::Refused) => self.endpoint.refuse_echo(transmit),
            Err(SendError::Impossible(reason)) => {
                let obstacles = EchoObstacles {
                    transmit: Some(reason),
                    ..self.echo.obstacles(id)
                };
                self.endpoint.set_echo_obstacles(now(), id, obstacles);
            }
        }
    }

    /// What cannot be sent may have to leave from another place.
    fn repair(&mut self, transmit: &Transmit, error: &io::Error) {
        if is_congestion(error) {
            return;
        }
        let key = self.endpoint.key(transmit.session);
        let interface = key.and_then(|key| key.interface.as_deref());
        if let Some(index) = interface.and_then(|name| interface_index(name).ok()) {
            self.follow_interface(transmit.session, index);
        }
    }

    /// A session that does not send meets no error that would tell of an interface that was created anew.
    fn check_interfaces(&mut self, now: Instant) {
        if self.interface_check.is_none_or(|at| now < at) {
            return;
        }
        let mut indices = BTreeMap::new();
        let mut found = Vec::new();
        for (id, transmitter) in &self.transmitters {
            if let Some(key) = self.endpoint.key(*id)
                && let Some(name) = key.interface.as_deref()
            {
                let index = indices.entry(name);
                let index = index.or_insert_with_key(|name| transmitter.index_of(name).ok());
                found.push((*id, *index));
            }
        }
        self.interface_check = (!found.is_empty()).then_some(now + INTERFACE_CHECK);
        for (id, index) in found {
            if let Some(index) = index {
                self.follow_interface(id, index);
            }
        }
    }

    /// An interface that was removed and created anew has another index: the session moves to it, with all it has.
    fn follow_interface(&mut self, id: SessionId, index: u32) {
        let current = self.transmitters.get(&id);
        let Some(current) = current.filter(|current| current.interface_index != Some(index)) else {
            return;
        };
        if let Some(key) = self.endpoint.key(id)
            && let Ok(transmitter) = Transmitter::open(key, current.port)
        {
            self.endpoint
                .set_interface_index(id, transmitter.interface_index);
            self.endpoint
                .set_point_to_point(id, transmitter.is_point_to_point);
            self.transmitters.insert(id, transmitter);
        }
    }

    /// Answers a part of the oldest question, so that it delays no packet however many sessions it is about.
    fn answer(&mut self) {
        let Some(inquiry) = self.inquiries.front_mut() else {
            return;
        };
        for id in inquiry.left.by_ref().take(SNAPSHOTS_PER_TURN) {
            inquiry.found.extend(self.endpoint.session_status(id));
        }
        if inquiry.left.len() == 0
            && let Some(inquiry) = self.inquiries.pop_front()
        {
            let _ = inquiry.reply.send(inquiry.found);
        }
    }

    fn report(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::StateChanged(change) => {
                    (self.on_event)(&EngineEvent::StateChanged(change));
                }
                Event::Accepted(session) => self.tell_of(session),
                Event::RangeFull { range } => (self.on_event)(&EngineEvent::RangeFull { range }),
                Event::Removed(id) => {
                    self.transmitters.remove(&id);
                    self.echo.release(id);
                    self.minimum_ttl_is_stale = true;
                    (self.on_event)(&EngineEvent::Removed(id));
                }
            }
        }
        let is_expecting = !self.endpoint.is_empty() || self.endpoint.has_ranges();
        if !is_expecting && !self.receivers.is_empty() {
            // Nothing is expected: leave the ports to others.
            self.count_kernel_drops();
            self.receivers.clear();
        }
        if std::mem::take(&mut self.minimum_ttl_is_stale) {
            self.set_minimum_ttl(Encapsulation::Multihop);
        }
    }
}

/// The same list without its contents. Collecting takes over its memory.
#[expect(
    clippy::unnecessary_filter_map,
    reason = "`filter` would keep the lifetime of the contents"
)]
fn emptied(used: Vec<PollFd<'_>>) -> Vec<PollFd<'static>> {
    used.into_iter().filter_map(|_| None).collect()
}

/// The one place where the crate looks at the clock.
#[expect(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_emptied_keeps_its_room() {
        let socket = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
        let mut list = Vec::with_capacity(12);
        list.push(PollFd::new(&socket, PollFlags::IN));
        let room = list.as_ptr().addr();
        let list = emptied(list);
        assert!(list.is_empty());
        assert_eq!((list.as_ptr().addr(), list.capacity()), (room, 12));
    }
}
