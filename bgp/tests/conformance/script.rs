//! One session and a neighbor that follows a script, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use herald_bgp::wire::{Framer, MAX_EXTENDED_LENGTH, Message, Open, WireContext};
use herald_bgp::{
    Addresses, Asn, BgpIdentifier, Capability, ConnId, Direction, Event, Family, HoldTime,
    Notification, ReceivedRoutes, RemoteAs, RouteAttributes, Routes, Session, SessionConfig, State,
};

pub(crate) const CONTEXT: WireContext = WireContext {
    four_octet_as: true,
    internal: false,
    path_ids_v4: false,
    path_ids_v6: false,
};

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// We are AS 64520 with the identifier 192.0.2.71, and take everybody.
pub(crate) fn config() -> SessionConfig {
    let identifier = BgpIdentifier::new([192, 0, 2, 71].into()).unwrap();
    SessionConfig {
        received_routes: ReceivedRoutes::Reported,
        ..SessionConfig::new(Asn::new(64520).unwrap(), identifier, RemoteAs::External)
    }
}

/// The OPEN of the neighbor, AS 64521 with the identifier 192.0.2.1.
pub(crate) fn open(capabilities: Vec<Capability>) -> Message {
    Message::Open(Open {
        my_as: 64521,
        hold_time: HoldTime::DEFAULT,
        bgp_identifier: BgpIdentifier::new([192, 0, 2, 1].into()).unwrap(),
        capabilities,
    })
}

/// What the neighbor can do: everything that we can.
pub(crate) fn capabilities() -> Vec<Capability> {
    vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::Multiprotocol(Family::IPV6_UNICAST),
        Capability::RouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(Asn::new(64521).unwrap()),
    ]
}

pub(crate) fn routes(count: u32) -> Routes {
    let attributes = Arc::new(RouteAttributes::default());
    let host = |index| std::net::Ipv4Addr::from_bits(0x0A00_0000 + index);
    (0..count)
        .map(|index| {
            (
                std::net::IpAddr::from(host(index)).into(),
                Arc::clone(&attributes),
            )
        })
        .collect()
}

pub(crate) struct Script {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) conn: ConnId,
}

impl Script {
    /// Our OPEN is out.
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has no other beginning"
    )]
    pub(crate) fn open_sent(config: SessionConfig) -> Self {
        let now = Instant::now();
        let mut session = Session::new(config, 1);
        session.start(now);
        let conn = connect(&mut session, now, Direction::Outgoing);
        Self { session, now, conn }
    }

    /// The neighbor's OPEN has been accepted.
    pub(crate) fn open_confirm(config: SessionConfig) -> Self {
        let mut script = Self::open_sent(config);
        script.receive(&open(capabilities()));
        script
    }

    pub(crate) fn established(config: SessionConfig) -> Self {
        Self::established_with(config, capabilities())
    }

    pub(crate) fn established_with(config: SessionConfig, capabilities: Vec<Capability>) -> Self {
        let mut script = Self::open_sent(config);
        script.establish(capabilities);
        script
    }

    fn establish(&mut self, capabilities: Vec<Capability>) {
        self.receive(&open(capabilities));
        self.receive(&Message::Keepalive);
        assert_eq!(self.session.state(), State::Established);
        self.sent();
        self.events();
    }

    /// Whatever happened, waits until the session connects, and brings it up.
    pub(crate) fn establish_again(&mut self) {
        self.pass(seconds(60));
        self.conn = self.connect(Direction::Outgoing);
        self.establish(capabilities());
    }

    pub(crate) fn connect(&mut self, direction: Direction) -> ConnId {
        connect(&mut self.session, self.now, direction)
    }

    pub(crate) fn receive(&mut self, message: &Message) {
        let mut octets = BytesMut::new();
        message
            .encode(CONTEXT, MAX_EXTENDED_LENGTH, &mut octets)
            .unwrap();
        self.receive_octets(&octets);
    }

    pub(crate) fn receive_octets(&mut self, octets: &[u8]) {
        self.session.handle_bytes(self.now, self.conn, octets);
    }

    /// Lets time pass, with every timer on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = deadline.max(self.now);
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// The octets that the session sends, all of which TCP accepts.
    pub(crate) fn sent_octets(&mut self) -> BytesMut {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(self.now, self.conn, &mut out) {}
        self.session.handle_written(self.now, self.conn, out.len());
        out
    }

    pub(crate) fn sent(&mut self) -> Vec<Message> {
        let mut framer = Framer::default();
        framer.push(&self.sent_octets());
        let mut messages = Vec::new();
        while let Some((kind, body)) = framer.next_message(MAX_EXTENDED_LENGTH).unwrap() {
            messages.push(Message::decode(kind, body, CONTEXT).unwrap());
        }
        messages
    }

    /// The NOTIFICATION with which the session has ended.
    pub(crate) fn last_word(&mut self) -> Option<Notification> {
        match self.sent().pop() {
            Some(Message::Notification(notification)) => Some(notification),
            _ => None,
        }
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }
}

fn connect(session: &mut Session, now: Instant, direction: Direction) -> ConnId {
    let addresses = Addresses::new(
        "192.0.2.71:50000".parse().unwrap(),
        "192.0.2.1:179".parse().unwrap(),
    );
    session.handle_connected(now, direction, addresses)
}
