//! One peer: a task that drives a [`bgp::Session`] over its TCP connections.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bgp::{ConnId, Direction, Event, Session, StopReason};
use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{BgpEvent, PeerCommand, PeerSetup, addresses, socket};
use crate::config::PeerName;

/// How long a neighbor may take to hear the last word on a connection.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Reads of one connection before others get their turn.
const READS_PER_TURN: usize = 16;
const READ_SIZE: usize = 64 * 1024;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

pub(super) struct PeerTask {
    name: PeerName,
    setup: PeerSetup,
    session: Session,
    connections: BTreeMap<ConnId, Connection>,
    connecting: Option<Connecting>,
    inbox: UnboundedReceiver<PeerCommand>,
    events: UnboundedSender<BgpEvent>,
    read_buffer: Vec<u8>,
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
    Ready(ConnId),
    Timeout,
}

impl PeerTask {
    pub(super) fn new(
        name: PeerName,
        setup: PeerSetup,
        inbox: UnboundedReceiver<PeerCommand>,
        events: UnboundedSender<BgpEvent>,
    ) -> Self {
        let mut session = Session::new(setup.session.clone(), rand::random());
        if setup.enabled {
            session.start(Instant::now());
        }
        Self {
            name,
            setup,
            session,
            connections: BTreeMap::new(),
            connecting: None,
            inbox,
            events,
            read_buffer: vec![0; READ_SIZE],
            stopping: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.carry_out_events();
            self.transmit();
            // Writing may have failed, and that is news for the session.
            self.carry_out_events();
            if self.stopping && self.connections.is_empty() {
                return;
            }
            match self.wake().await {
                Wake::Command(Some(command)) => self.obey(command),
                Wake::Command(None) => self.stop(StopReason::AdministrativeShutdown(None)),
                Wake::Connected(outcome) => self.connected(outcome),
                Wake::Ready(conn) => self.read(conn),
                Wake::Timeout => self.handle_timeout(),
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let closing = self
            .connections
            .values()
            .filter_map(|connection| connection.closing);
        let deadline = closing.chain(self.session.poll_timeout()).min();
        let connections = &self.connections;
        let connecting = &mut self.connecting;
        tokio::select! {
            biased;
            command = self.inbox.recv(), if !self.stopping => Wake::Command(command),
            conn = poll_fn(|context| poll_ready(connections, context)) => Wake::Ready(conn),
            outcome = poll_fn(|context| poll_connecting(connecting, context)) => Wake::Connected(outcome),
            () = sleep_until(deadline) => Wake::Timeout,
        }
    }

    fn obey(&mut self, command: PeerCommand) {
        let now = Instant::now();
        match command {
            PeerCommand::Setup(setup) => self.set_up(now, *setup),
            PeerCommand::Routes(routes) => {
                self.session
                    .set_routes(now, std::sync::Arc::unwrap_or_clone(routes));
            }
            PeerCommand::Liveness(liveness, generation) => {
                self.session.handle_liveness(now, liveness, generation);
            }
            PeerCommand::Accepted(stream) => {
                match socket::accept(&stream, &self.setup.transport, &self.setup.session) {
                    Ok(()) => self.add_connection(now, Direction::Incoming, stream),
                    Err(error) => {
                        tracing::debug!(peer = %self.name, %error, "cannot use a connection")
                    }
                }
            }
            PeerCommand::Reset(communication) => {
                self.session
                    .stop(now, StopReason::AdministrativeReset(communication));
            }
            // Who asked may have gone away meanwhile.
            PeerCommand::Status(reply) => {
                let _ = reply.send((self.name.clone(), self.session.status()));
            }
            PeerCommand::Advertised(reply) => {
                let _ = reply.send(self.session.advertised().clone());
            }
            PeerCommand::Stop(reason) => self.stop(reason),
        }
    }

    fn set_up(&mut self, now: Instant, setup: PeerSetup) {
        let before = std::mem::replace(&mut self.setup, setup);
        if before.bfd != self.setup.bfd {
            self.session.forget_liveness();
        }
        self.session.set_config(now, self.setup.session.clone());
        match (before.enabled, self.setup.enabled) {
            (true, false) => self
                .session
                .stop(now, StopReason::AdministrativeShutdown(None)),
            (false, true) => self.session.start(now),
            (true, true) if before.transport != self.setup.transport => {
                self.session.stop(now, StopReason::OtherConfigurationChange);
            }
            _ => {}
        }
    }

    fn stop(&mut self, reason: StopReason) {
        self.session.stop(Instant::now(), reason);
        self.stopping = true;
    }

    fn connected(&mut self, outcome: io::Result<TcpStream>) {
        let now = Instant::now();
        match outcome {
            Ok(stream) => self.add_connection(now, Direction::Outgoing, stream),
            Err(error) => {
                self.session.handle_connect_failed(now, &error.to_string());
            }
        }
    }

    fn add_connection(&mut self, now: Instant, direction: Direction, stream: TcpStream) {
        match addresses::of(&stream) {
            Ok(addresses) => {
                let conn = self.session.handle_connected(now, direction, addresses);
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
                    let (transport, session) = (&self.setup.transport, &self.setup.session);
                    let attempt = socket::connect(transport.clone(), session.clone());
                    self.connecting = Some(Box::pin(attempt));
                }
                Event::AbortConnect => self.connecting = None,
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
                } => {
                    self.connections.remove(&conn);
                }
                event => {
                    let _ = self.events.send(BgpEvent {
                        peer: self.name.clone(),
                        event,
                    });
                }
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
                    connection.out.advance(count);
                    self.session.handle_written(now, conn, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, conn: ConnId) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(&conn) else {
                return;
            };
            match connection.stream.try_read(&mut self.read_buffer) {
                Ok(0) => return self.connection_lost(conn),
                Ok(count) => {
                    let octets = self.read_buffer.get(..count).unwrap_or_default();
                    // What comes after the last word is of no interest, but it must be read:
                    // closing over unread octets is a reset, and would destroy the last word (TCP,
                    // RFC 9293 §3.10.4).
                    if connection.closing.is_none() {
                        self.session.handle_bytes(Instant::now(), conn, octets);
                        self.carry_out_events();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.connection_lost(conn),
            }
        }
    }

    fn connection_lost(&mut self, conn: ConnId) {
        if self
            .connections
            .remove(&conn)
            .is_some_and(|connection| connection.closing.is_none())
        {
            self.session.handle_closed(Instant::now(), conn);
        }
    }

    fn handle_timeout(&mut self) {
        // Octets that have arrived count before the hold timer is believed.
        for conn in self.connections.keys().copied().collect::<Vec<_>>() {
            self.read(conn);
        }
        let now = Instant::now();
        self.session.handle_timeout(now);
        let overdue = |connection: &Connection| connection.closing.is_some_and(|at| at <= now);
        let overdue = self
            .connections
            .iter()
            .filter(|(_, connection)| overdue(connection));
        for conn in overdue.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            if let Some(connection) = self.connections.remove(&conn) {
                socket::abort(connection.stream);
            }
        }
    }
}

/// The first connection that can be read, or written if something is to be written.
fn poll_ready(
    connections: &BTreeMap<ConnId, Connection>,
    context: &mut Context<'_>,
) -> Poll<ConnId> {
    for (conn, connection) in connections {
        let readable = connection.stream.poll_read_ready(context).is_ready();
        let writable =
            !connection.out.is_empty() && connection.stream.poll_write_ready(context).is_ready();
        if readable || writable {
            return Poll::Ready(*conn);
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
