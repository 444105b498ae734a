//! Anything that can happen to a BGP session, in any order: it never panics, and never holds more
//! than it should.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bgp::wire::AddPathDirection;
use bgp::{
    Addresses, AdjRibInLimit, Asn, BgpIdentifier, ConnId, Direction, Event, Family, Fate, HoldTime,
    Liveness, LongLivedStaleTime, PrefixLimits, ReceivedRoute, ReceivedRoutes, RemoteAs,
    RestartConfig, RestartTime, Role, RouteAttributes, Routes, Session, SessionConfig, StopReason,
};
use bytes::BytesMut;
use herald_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let mut world = World::new();
    while let Some(operation) = input.operation() {
        world.apply(operation, &mut input);
        world.carry_out_events();
    }
});

/// What is kept of a neighbor's routes.
const KEPT: AdjRibInLimit = AdjRibInLimit {
    routes: 16,
    attribute_octets: 256,
};
/// How many prefixes of IPv6 it may announce.
const PREFIXES: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);
/// An OPEN of AS 64521 that offers everything: both families, route refresh and the enhanced one,
/// graceful restart with the N bit, four octets, several paths both ways, and that it is a provider.
const RICH_OPEN: &[u8] = &[
    4, 0xFC, 9, 0, 90, 192, 0, 2, 1, 49, 2, 47, //
    1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 70, 0, //
    64, 10, 0x40, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80, //
    65, 4, 0, 0, 0xFC, 9, 69, 8, 0, 1, 1, 3, 0, 2, 1, 3, 9, 1, 0,
];

struct World {
    session: Session,
    now: Instant,
    conns: Vec<ConnId>,
    /// What somebody has looked at, and has in his hands yet.
    looked_at: Vec<ReceivedRoute>,
}

impl World {
    fn new() -> Self {
        let identifier = BgpIdentifier::new([192, 0, 2, 71].into()).expect("not zero");
        let local_as = Asn::new(64520).expect("not reserved");
        let config = SessionConfig {
            received_routes: ReceivedRoutes::Kept(KEPT),
            prefix_limits: PrefixLimits {
                families: BTreeMap::from([(Family::IPV6_UNICAST, PREFIXES)]),
                ..PrefixLimits::default()
            },
            ..SessionConfig::new(local_as, identifier, RemoteAs::External)
        };
        Self {
            session: Session::new(config, 1),
            now: Instant::now(),
            conns: Vec::new(),
            looked_at: Vec::new(),
        }
    }

    /// The numbers are part of the seeds.
    fn apply(&mut self, operation: u8, input: &mut Input<'_>) {
        let now = self.now;
        match operation {
            0 => self.session.start(now),
            1 => self.session.stop(now, stop_reason(input.octet())),
            2 => self.connect(input.flag()),
            3 => self.session.handle_connect_failed(now, "refused"),
            4..=10 | 20 => self.apply_to_connection(operation, input),
            11 => {
                self.now += Duration::from_millis(u64::from(input.u16()) * 10);
                self.session.handle_timeout(self.now);
                let next = self.session.poll_timeout();
                assert!(next.is_none_or(|deadline| deadline > self.now));
            }
            12 => {
                let (liveness, generation) = (liveness(input.octet()), input.octet());
                self.session
                    .handle_liveness(now, liveness, generation.into());
            }
            13 => self.session.set_routes(now, routes(input.octet())),
            14 => {
                if let Some(hold_time) = HoldTime::from_secs(input.u16()) {
                    let config = SessionConfig {
                        hold_time,
                        ..self.session.config().clone()
                    };
                    self.session.set_config(now, config);
                }
            }
            15 => {
                let config = self.configured(input.octet(), input.octet());
                self.session.set_config(now, config);
            }
            16 => {
                let family = match input.flag() {
                    true => Family::IPV6_UNICAST,
                    false => Family::IPV4_UNICAST,
                };
                let _ = self.session.request_refresh(now, family);
            }
            17 if input.flag() => self.session.hold_end_of_rib(),
            17 => self.session.release_end_of_rib(),
            18 => self.looked_at = self.session.received_routes(),
            19 => self.session.restarted(now),
            _ => {}
        }
    }

    /// The configuration with these things on and off.
    fn configured(&self, first: u8, second: u8) -> SessionConfig {
        let is_on = |octet: u8, bit: u8| octet >> bit & 1 == 1;
        let restart = RestartConfig {
            restart_time: RestartTime::from_secs(120).expect("in range"),
            long_lived_stale_time: LongLivedStaleTime::from_secs(u32::from(is_on(first, 1)))
                .expect("in range"),
        };
        SessionConfig {
            graceful_restart: is_on(first, 0).then_some(restart),
            delay_open_time: Duration::from_secs(if is_on(first, 2) { 20 } else { 0 }),
            passive: is_on(first, 3),
            role: is_on(first, 4).then_some(Role::Customer),
            role_strict: is_on(first, 5),
            graceful_shutdown: is_on(first, 3) != is_on(first, 4),
            bfd_strict: is_on(first, 6).then_some(Duration::from_secs(30)),
            extended_next_hop: is_on(first, 7),
            add_path: [
                None,
                Some(AddPathDirection::Send),
                Some(AddPathDirection::Receive),
                Some(AddPathDirection::Both),
            ][usize::from(second & 3)],
            received_routes: match second >> 2 & 3 {
                0 => ReceivedRoutes::Counted,
                1 => ReceivedRoutes::Reported,
                2 => ReceivedRoutes::Kept(AdjRibInLimit {
                    routes: 4,
                    attribute_octets: 64,
                }),
                _ => ReceivedRoutes::Kept(KEPT),
            },
            enforce_first_as: is_on(second, 4),
            ..self.session.config().clone()
        }
    }

    fn apply_to_connection(&mut self, operation: u8, input: &mut Input<'_>) {
        let now = self.now;
        let which = usize::from(input.octet());
        let Some(conn) = self.conns.get(which).or(self.conns.last()).copied() else {
            return;
        };
        let mut hear = |octets: &[u8]| self.session.handle_bytes(now, conn, octets);
        match operation {
            4 => hear(input.octets()),
            5 => hear(&message(input.octet(), input.octets())),
            // The one that is expected.
            6 => hear(&message(1, &[4, 0xFC, 9, 0, 90, 192, 0, 2, 1, 0])),
            20 => hear(&message(1, RICH_OPEN)),
            7 => hear(&message(4, &[])),
            8 => self.session.handle_written(now, conn, input.u16().into()),
            9 => {
                let mut out = BytesMut::new();
                self.session.poll_transmit(now, conn, &mut out);
                assert!(out.len() < 256 * 1024);
            }
            _ => self.session.handle_closed(now, conn),
        }
    }

    fn connect(&mut self, incoming: bool) {
        let direction = match incoming {
            true => Direction::Incoming,
            false => Direction::Outgoing,
        };
        let [local, remote] =
            ["192.0.2.71:179", "192.0.2.1:179"].map(|address| address.parse().expect("valid"));
        let addresses = Addresses::new(local, remote);
        let conn = self
            .session
            .handle_connected(self.now, direction, addresses);
        self.conns.push(conn);
    }

    fn carry_out_events(&mut self) {
        let kept = self.session.received_routes();
        let sets: BTreeSet<_> = kept.iter().map(|route| &route.attributes).collect();
        let octets: usize = sets.iter().map(|set| set.octets()).sum();
        assert!(kept.len() <= KEPT.routes && octets <= KEPT.attribute_octets);
        while let Some(event) = self.session.poll_event() {
            if let Event::Close { conn, .. } = event {
                let mut out = BytesMut::new();
                self.session.poll_transmit(self.now, conn, &mut out);
            }
        }
    }
}

fn stop_reason(number: u8) -> StopReason {
    match number % 5 {
        0 => StopReason::AdministrativeShutdown(None),
        1 => StopReason::PeerDeconfigured,
        2 => StopReason::AdministrativeReset(Some("text".into())),
        3 => StopReason::OtherConfigurationChange,
        _ => StopReason::Restart(Some("text".into())),
    }
}

fn liveness(number: u8) -> Liveness {
    match number % 6 {
        0 => Liveness::Up,
        1 => Liveness::Down(Fate::Shared),
        2 => Liveness::SignaledDown(Fate::Shared),
        3 => Liveness::AdminDown,
        4 => Liveness::Down(Fate::Independent),
        _ => Liveness::SignaledDown(Fate::Independent),
    }
}

fn routes(count: u8) -> Routes {
    let host = |index| std::net::Ipv4Addr::from_bits(0x0A00_0000 + u32::from(index));
    (0..count)
        .map(|index| {
            (
                std::net::IpAddr::from(host(index)).into(),
                RouteAttributes::default().into(),
            )
        })
        .collect()
}

/// A message with a right header.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&[0xFF; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}
