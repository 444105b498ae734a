//! One peer: a task that drives a [`bgp::Session`] over its TCP connections.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bgp::{
    Cause, ConnId, Direction, Event, Family, RefreshError, Routes, Session, State, StopReason,
    Table, Transition,
};
use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::reports::Reports;
use super::{BgpEvent, PeerCommand, PeerSetup, TransportReport, addresses, socket};
use crate::capture::{Capture, Side};
use crate::config::PeerName;

/// How long a neighbor may take to hear the last word on a connection.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// What is read of a connection in one turn; then other peers get theirs.
const READ_SIZE: usize = 64 * 1024;
/// Connections of a peer at a time, those that say good-bye included. Further ones are refused.
const MAX_CONNECTIONS: usize = 8;
/// So many attempts in a row without an answer are worth a word.
const SILENCE: u64 = 3;
/// What the silence may come of.
const MUTE: &str = "the neighbor is not there, a firewall or a missing route swallows the packets, or only one side has this TCP MD5 key (password-file) or GTSM (ttl-security)";

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

pub(super) struct PeerTask {
    name: PeerName,
    setup: PeerSetup,
    session: Session,
    /// What the neighbor should have.
    table: Table,
    /// What was set may not be all there is before this time.
    incomplete_until: Option<Instant>,
    connections: BTreeMap<ConnId, Connection>,
    connecting: Option<Connecting>,
    /// An attempt was given up, perhaps for a new one.
    gave_up: bool,
    /// Attempts that were given up for new ones, in a row.
    unanswered_attempts: u64,
    inbox: UnboundedReceiver<PeerCommand>,
    /// What is answered when that is sent which was commanded before.
    questions: Vec<PeerCommand>,
    reports: Reports,
    /// The last messages.
    capture: Capture,
    read_buffer: Vec<u8>,
    /// Who wants to know when no connection is being closed any more.
    settling: Vec<oneshot::Sender<()>>,
    /// The task ends when its last connection is closed.
    stopping: bool,
}

struct Connection {
    stream: TcpStream,
    /// Octets that the session has handed out and TCP has not accepted.
    out: BytesMut,
    /// The session is through with it; until then what is left may be written, and the neighbor may
    /// close its end.
    closing: Option<Instant>,
}

/// What the task waits for.
enum Wake {
    Command(Option<PeerCommand>),
    Connected(io::Result<TcpStream>),
    /// A socket can be read or written.
    Ready,
    /// What was put off can be told.
    Room,
    Timeout,
}

impl PeerTask {
    pub(super) fn new(
        name: PeerName,
        setup: PeerSetup,
        table: Table,
        inbox: UnboundedReceiver<PeerCommand>,
        events: UnboundedSender<BgpEvent>,
    ) -> Self {
        let reports = Reports::new(name.clone(), events);
        let now = Instant::now();
        let capture = Capture::new(setup.capture);
        let mut session = Session::new(setup.session.clone(), rand::random());
        session.set_table(now, table.clone());
        // Until it is said what is to be announced, which may be after the neighbor was heard of.
        session.hold_end_of_rib();
        if setup.restarted {
            session.restarted(now);
        }
        if setup.enabled {
            session.start(now);
        }
        Self {
            name,
            incomplete_until: setup.incomplete_until,
            setup,
            session,
            table,
            connections: BTreeMap::new(),
            connecting: None,
            gave_up: false,
            unanswered_attempts: 0,
            inbox,
            questions: Vec::new(),
            reports,
            capture,
            read_buffer: vec![0; READ_SIZE],
            settling: Vec::new(),
            stopping: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.carry_out_events();
            // The table may be another's from here on: what tells so may be behind what woke the task.
            self.obey_all();
            self.transmit();
            // Writing may have failed, and that is news for the session.
            self.carry_out_events();
            self.answer_questions();
            self.tell_settled();
            if self.stopping && self.connections.is_empty() {
                return;
            }
            match self.wake().await {
                Wake::Command(Some(command)) => self.obey(command),
                Wake::Command(None) => self.stop(StopReason::AdministrativeShutdown(None)),
                Wake::Connected(outcome) => self.connected(outcome),
                Wake::Ready => {
                    if self.reports.may_read() {
                        self.read();
                    }
                    tokio::task::yield_now().await;
                }
                Wake::Room => self.reports.catch_up(),
                Wake::Timeout => self.handle_timeout(),
            }
        }
    }

    /// Tells who waits for it that every last word has been said.
    fn tell_settled(&mut self) {
        let is_closing = |connection: &Connection| connection.closing.is_some();
        if !self.connections.values().any(is_closing) {
            for reply in self.settling.drain(..) {
                // Who asked may have gone away meanwhile.
                let _ = reply.send(());
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let closing = self
            .connections
            .values()
            .filter_map(|connection| connection.closing);
        let deadlines = closing.chain(self.incomplete_until);
        let deadline = deadlines.chain(self.session.poll_timeout()).min();
        let connections = &self.connections;
        let connecting = &mut self.connecting;
        let may_read = self.reports.may_read();
        let room_again = self.reports.room_again();
        tokio::select! {
            biased;
            command = self.inbox.recv(), if !self.stopping => Wake::Command(command),
            () = sleep_until(deadline) => Wake::Timeout,
            outcome = poll_fn(|context| poll_connecting(connecting, context)) => Wake::Connected(outcome),
            () = room_again, if self.reports.waits() => Wake::Room,
            () = poll_fn(|context| poll_ready(connections, may_read, context)) => Wake::Ready,
        }
    }

    /// Everything that was commanded so far. Nothing may be waited for between this and sending.
    fn obey_all(&mut self) {
        while !self.stopping
            && let Ok(command) = self.inbox.try_recv()
        {
            match command {
                PeerCommand::Status(_) | PeerCommand::Advertised(_) => self.questions.push(command),
                command => self.obey(command),
            }
            self.carry_out_events();
        }
    }

    /// Whoever asks after a change is told what has become of it.
    fn answer_questions(&mut self) {
        for question in std::mem::take(&mut self.questions) {
            self.obey(question);
        }
    }

    fn obey(&mut self, command: PeerCommand) {
        let now = Instant::now();
        match command {
            PeerCommand::Setup(setup) => self.set_up(now, *setup),
            PeerCommand::Table(table) => {
                self.table = table.clone();
                self.session.set_table(now, table);
            }
            // The task is awake, and sends what is new.
            PeerCommand::TableChanged => {}
            PeerCommand::RoutesSet => self.release_end_of_rib(),
            PeerCommand::Complete => {
                self.incomplete_until = None;
                self.session.release_end_of_rib();
            }
            PeerCommand::Liveness(liveness, generation) => {
                self.session.handle_liveness(now, liveness, generation);
            }
            PeerCommand::Accepted(_) if self.connections.len() >= MAX_CONNECTIONS => {}
            PeerCommand::Accepted(stream) => match socket::accept(&stream, &self.setup) {
                Ok(()) => self.add_connection(now, Direction::Incoming, stream),
                Err(error) => {
                    tracing::debug!(peer = %self.name, %error, "refused a connection");
                }
            },
            PeerCommand::Reset(communication) => {
                self.session
                    .stop(now, StopReason::AdministrativeReset(communication));
            }
            PeerCommand::ShutDown(communication) => {
                self.session
                    .stop(now, StopReason::AdministrativeShutdown(communication));
            }
            // Who asked may have gone away meanwhile.
            PeerCommand::Refresh(family, reply) => {
                let _ = reply.send(self.refresh(now, family));
            }
            PeerCommand::Status(reply) => {
                let _ = reply.send((self.name.clone(), self.session.status()));
            }
            PeerCommand::Transport(trouble, reply) => {
                let report = TransportReport {
                    trouble,
                    unanswered_attempts: self.unanswered_attempts,
                    lost_events: self.reports.lost(),
                };
                let _ = reply.send((self.name.clone(), report));
            }
            PeerCommand::Advertised(reply) => {
                let _ = reply.send(self.advertised());
            }
            PeerCommand::Received(reply) => {
                let _ = reply.send(self.session.received_routes());
            }
            PeerCommand::Capture(from, reply) => {
                let _ = reply.send(self.capture.excerpt(from));
            }
            PeerCommand::Settled(reply) => self.settling.push(reply),
            PeerCommand::Stop(reason, ended) => {
                self.settling.push(ended);
                self.stop(reason);
            }
        }
    }

    /// RFC 4724 §4.1: not before the routes are complete, or nobody wants to wait longer.
    fn release_end_of_rib(&mut self) {
        if self.incomplete_until.is_none() {
            self.session.release_end_of_rib();
        }
    }

    /// What the neighbor has. Where that is everything, it is what others have too, and need not be
    /// gathered.
    fn advertised(&self) -> Arc<Routes> {
        let families = self.session.status().families;
        let pending: usize = families.iter().map(|family| family.pending).sum();
        let advertised: usize = families.iter().map(|family| family.advertised).sum();
        match pending == 0 && advertised == self.table.len() {
            true => self.table.routes(),
            false => Arc::new(self.session.advertised()),
        }
    }

    /// Asks for one family, or for all that were agreed upon.
    fn refresh(
        &mut self,
        now: Instant,
        family: Option<Family>,
    ) -> Result<Vec<Family>, RefreshError> {
        let agreed = || {
            self.session
                .status()
                .negotiated
                .map(|agreed| agreed.families)
        };
        let families = match family {
            Some(family) => vec![family],
            None => agreed().ok_or(RefreshError::NotEstablished)?,
        };
        for family in &families {
            self.session.request_refresh(now, *family)?;
        }
        Ok(families)
    }

    fn set_up(&mut self, now: Instant, setup: PeerSetup) {
        let before = std::mem::replace(&mut self.setup, setup);
        self.capture.resize(self.setup.capture);
        if before.bfd != self.setup.bfd {
            self.session.forget_liveness();
        }
        if before.enabled && !self.setup.enabled {
            self.session
                .stop(now, StopReason::AdministrativeShutdown(None));
        }
        self.session.set_config(now, self.setup.session.clone());
        if before.enabled && self.setup.enabled && before.transport != self.setup.transport {
            self.session.stop(now, StopReason::OtherConfigurationChange);
        }
        if self.setup.enabled {
            self.session.start(now);
        }
        for connection in self.connections.values() {
            socket::set_user_timeout(&connection.stream, &self.setup.session);
            let password = self.setup.password.as_ref();
            if before.password.as_ref() != password
                && let Err(error) = socket::set_password(&connection.stream, password)
            {
                tracing::warn!(peer = %self.name, "the session keeps its former password: {error}");
            }
        }
    }

    fn stop(&mut self, reason: StopReason) {
        self.session.stop(Instant::now(), reason);
        self.stopping = true;
    }

    fn connected(&mut self, outcome: io::Result<TcpStream>) {
        let now = Instant::now();
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.count_unanswered(now),
            _ => self.unanswered_attempts = 0,
        }
        match outcome {
            Ok(stream) => self.add_connection(now, Direction::Outgoing, stream),
            Err(error) => {
                self.session.handle_connect_failed(now, &error.to_string());
            }
        }
    }

    /// Silence ends no attempt but the next one does, which is no change of state: it is told once.
    fn count_unanswered(&mut self, now: Instant) {
        self.unanswered_attempts += 1;
        let state = self.session.status().state;
        if self.unanswered_attempts == SILENCE && state != State::Established {
            self.reports.report(Event::StateChanged(Transition {
                at: now,
                from: state,
                to: state,
                cause: Cause::ConnectFailed(format!("{SILENCE} attempts had no answer: {MUTE}")),
            }));
        }
    }

    fn add_connection(&mut self, now: Instant, direction: Direction, stream: TcpStream) {
        match addresses::of(&stream) {
            Ok(addresses) => {
                self.gave_up = false;
                self.unanswered_attempts = 0;
                let ends = [addresses.local, addresses.remote];
                let conn = self.session.handle_connected(now, direction, addresses);
                self.capture.opened(conn, ends);
                let connection = Connection {
                    stream,
                    out: BytesMut::new(),
                    closing: None,
                };
                self.connections.insert(conn, connection);
            }
            // The connection was gone before anything could be asked of it.
            Err(error) if direction == Direction::Outgoing => {
                self.session.handle_connect_failed(now, &error.to_string());
            }
            Err(_) => {}
        }
    }

    fn carry_out_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connect => {
                    if std::mem::take(&mut self.gave_up) {
                        self.count_unanswered(Instant::now());
                    }
                    let attempt = socket::connect(self.setup.clone());
                    self.connecting = Some(Box::pin(attempt));
                }
                Event::AbortConnect => self.gave_up = self.connecting.take().is_some(),
                Event::Close {
                    conn,
                    after_flush: true,
                } => {
                    if let Some(connection) = self.connections.get_mut(&conn) {
                        connection.closing = Some(Instant::now() + FLUSH_TIME);
                    }
                }
                Event::Close {
                    conn,
                    after_flush: false,
                } => self.forget_connection(conn),
                Event::StateChanged(transition) => {
                    self.capture.changed(&transition);
                    self.reports.report(Event::StateChanged(transition));
                }
                event => self.reports.report(event),
            }
        }
    }

    /// Writes what there is to write, until the session has nothing more or TCP takes nothing more.
    fn transmit(&mut self) {
        let conns = self.connections.keys().copied().collect::<Vec<_>>();
        for conn in conns {
            if self.transmit_on(conn).is_err() {
                self.connection_lost(conn);
            }
        }
    }

    fn transmit_on(&mut self, conn: ConnId) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        loop {
            let now = Instant::now();
            if connection.out.is_empty()
                && !self.session.poll_transmit(now, conn, &mut connection.out)
            {
                if connection.closing.is_some() {
                    socket::finish_writing(&connection.stream);
                }
                return Ok(());
            }
            match connection.stream.try_write(&connection.out) {
                Ok(count) => {
                    let written = connection.out.get(..count).unwrap_or_default();
                    self.capture.carried(now, conn, Side::Sent, written);
                    connection.out.advance(count);
                    self.session.handle_written(now, conn, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a little of every connection.
    fn read(&mut self) {
        for conn in self.connections.keys().copied().collect::<Vec<_>>() {
            self.read_from(conn);
            self.carry_out_events();
        }
    }

    fn read_from(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        match connection.stream.try_read(&mut self.read_buffer) {
            Ok(0) => self.connection_lost(conn),
            // What comes after the last word is of no interest, but it must be read: closing over
            // unread octets is a reset, and would destroy the last word (TCP, RFC 9293 §3.10.4).
            Ok(_) if connection.closing.is_some() => {}
            Ok(count) => {
                let now = Instant::now();
                let octets = self.read_buffer.get(..count).unwrap_or_default();
                self.capture.carried(now, conn, Side::Received, octets);
                self.session.handle_bytes(now, conn, octets);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.connection_lost(conn),
        }
    }

    fn forget_connection(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.capture.closed(conn);
    }

    fn connection_lost(&mut self, conn: ConnId) {
        self.forget_connection(conn);
        self.session.handle_closed(Instant::now(), conn);
    }

    fn handle_timeout(&mut self) {
        // Octets that have arrived count before the hold timer is believed.
        self.read();
        let now = Instant::now();
        if self.incomplete_until.is_some_and(|until| until <= now) {
            self.incomplete_until = None;
            self.session.release_end_of_rib();
        }
        self.session.handle_timeout(now);
        let overdue = |connection: &Connection| connection.closing.is_some_and(|at| at <= now);
        let overdue = self
            .connections
            .iter()
            .filter(|(_, connection)| overdue(connection));
        for conn in overdue.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            if let Some(connection) = self.connections.remove(&conn) {
                socket::abort(connection.stream);
                self.capture.closed(conn);
                self.session.handle_closed(now, conn);
            }
        }
    }
}

/// Whether a connection can be read, if it is to be, or written if something is to be written.
fn poll_ready(
    connections: &BTreeMap<ConnId, Connection>,
    is_to_be_read: bool,
    context: &mut Context<'_>,
) -> Poll<()> {
    for connection in connections.values() {
        let readable = is_to_be_read && connection.stream.poll_read_ready(context).is_ready();
        let writable =
            !connection.out.is_empty() && connection.stream.poll_write_ready(context).is_ready();
        if readable || writable {
            return Poll::Ready(());
        }
    }
    Poll::Pending
}

fn poll_connecting(
    connecting: &mut Option<Connecting>,
    context: &mut Context<'_>,
) -> Poll<io::Result<TcpStream>> {
    let Some(attempt) = connecting else {
        return Poll::Pending;
    };
    let outcome = attempt.as_mut().poll(context);
    if outcome.is_ready() {
        *connecting = None;
    }
    outcome
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
