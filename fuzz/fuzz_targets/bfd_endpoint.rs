//! An endpoint with a session of each hop kind, one with keys, and ranges to accept others from, takes datagrams, time and orders
//! in any sequence: it does not panic, answers nothing more than once, does what is due with one call, and believes no signed
//! packet that was changed. Orders change one thing about a configuration, so that all meet all others.
#![no_main]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use bfd::{
    AuthType, Authentication, AuthenticationKey, ControlPacket, Diagnostic, EchoConfig, EchoMeta,
    Encapsulation, Endpoint, HopKind, Link, Micros, Network, Range, RxMeta, Session, SessionConfig,
    SessionId, SessionKey, Transmit, TransmitKind,
};
use herald_fuzz::Input;
use libfuzzer_sys::fuzz_target;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const KEYED_PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// Where ranges are: behind no session that is configured.
const STRANGERS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 64));

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let mut now = Instant::now();
    let mut endpoint = Endpoint::new(1);
    let single = SessionKey::single_hop(PEER);
    let multi = SessionKey {
        remote: SocketAddr::new(PEER, bfd::MULTIHOP_PORT),
        hop: HopKind::Multi { minimum_ttl: 254 },
        ..single.clone()
    };
    let ids = [single, multi].map(|key| {
        endpoint
            .add(now, key, None, SessionConfig::default())
            .expect("the keys differ")
    });
    let mut keyed = Keyed::new(&mut endpoint, now);
    let ids = [ids[0], ids[1], keyed.id];
    while let Some(operation) = input.operation() {
        match operation {
            7 => keyed.speak(&mut endpoint, now, &mut input),
            8 => keyed.change_keys(&mut endpoint, now, input.octet()),
            _ => apply(&mut endpoint, ids, &mut now, operation, &mut input),
        }
        while let Some(transmit) = endpoint.poll_transmit(now) {
            keyed.hear(now, &transmit);
        }
        while endpoint.poll_event().is_some() {}
        endpoint.handle_timeout(now);
        let mut sent = BTreeSet::new();
        while let Some(transmit) = endpoint.poll_transmit(now) {
            let is_control = transmit.kind == TransmitKind::Control;
            assert!(sent.insert((transmit.session, is_control)), "once of each");
        }
        endpoint.handle_timeout(now);
        assert!(
            endpoint.poll_timeout().is_none_or(|at| at > now),
            "nothing is due any more"
        );
    }
});

/// A session with keys, and the remote system that it runs with.
struct Keyed {
    id: SessionId,
    auth_type: AuthType,
    remote: Session,
}

impl Keyed {
    fn new(endpoint: &mut Endpoint, now: Instant) -> Self {
        let auth_type = AuthType::MeticulousKeyedSha1;
        let config = SessionConfig {
            authentication: Some(keys(auth_type, false)),
            ..SessionConfig::default()
        };
        let id = endpoint
            .add(
                now,
                SessionKey::single_hop(KEYED_PEER),
                None,
                config.clone(),
            )
            .expect("the keys differ");
        Self {
            id,
            auth_type,
            // Both may have one discriminator: they are two systems.
            remote: Session::new(now, id, config, 2),
        }
    }

    /// Bits 0 and 1 say which key either end sends with, the others the type.
    fn change_keys(&mut self, endpoint: &mut Endpoint, now: Instant, what: u8) {
        self.auth_type = AuthType::ALL[usize::from(what >> 2) % AuthType::ALL.len()];
        let local = keys(self.auth_type, what & 1 != 0);
        reconfigure(endpoint, now, self.id, |config| {
            config.authentication = Some(local);
        });
        self.remote.set_config(
            now,
            SessionConfig {
                authentication: Some(keys(self.auth_type, what & 2 != 0)),
                ..self.remote.config().clone()
            },
        );
    }

    fn hear(&mut self, now: Instant, transmit: &Transmit) {
        if transmit.session == self.id && transmit.kind == TransmitKind::Control {
            let packet = ControlPacket::parse(&transmit.payload).expect("what is sent is valid");
            let _ = self.remote.handle_packet(now, &packet);
            while self.remote.poll_event().is_some() {}
        }
    }

    /// The remote system sends what it has to; on the way, the octet at the first argument is changed by the second.
    fn speak(&mut self, endpoint: &mut Endpoint, now: Instant, input: &mut Input<'_>) {
        self.remote.handle_timeout(now);
        let meta = RxMeta {
            source: SocketAddr::new(KEYED_PEER, 49152),
            destination: LOCAL,
            interface_index: Some(1),
            ttl: Some(255),
            encapsulation: Encapsulation::SingleHop,
        };
        while let Some(packet) = self.remote.poll_transmit(now) {
            let mut payload = packet.encode();
            let place = usize::from(input.octet()) % payload.len();
            let change = input.octet();
            payload[place] ^= change;
            let outcome = endpoint.handle_datagram(now, &meta, &payload);
            let digest = self.auth_type != AuthType::SimplePassword;
            assert!(!(digest && change != 0 && outcome.is_ok()), "a forgery");
        }
    }
}

/// With two keys, in this order or that.
fn keys(auth_type: AuthType, second_first: bool) -> Authentication {
    let key = |id| AuthenticationKey::new(auth_type, id, &[id, 7]).expect("short enough");
    let first = 1 + u8::from(second_first);
    Authentication::new([key(first), key(3 - first)]).expect("two ids, one type")
}

/// All else stays as it is.
fn reconfigure(
    endpoint: &mut Endpoint,
    now: Instant,
    id: SessionId,
    change: impl FnOnce(&mut SessionConfig),
) {
    if let Some(session) = endpoint.session(id) {
        let mut config = session.config().clone();
        change(&mut config);
        endpoint.set_config(now, id, config);
    }
}

/// The numbers are part of the seeds.
fn apply(
    endpoint: &mut Endpoint,
    ids: [SessionId; 3],
    now: &mut Instant,
    operation: u8,
    input: &mut Input<'_>,
) {
    let session = |input: &mut Input<'_>| ids[usize::from(input.octet()) % ids.len()];
    match operation {
        0 => hear(endpoint, ids, *now, input),
        1 => *now += Duration::from_micros(input.u32().into()),
        2 => *now = endpoint.poll_timeout().map_or(*now, |at| at.max(*now)),
        3 => {
            let id = session(input);
            reconfigure(endpoint, *now, id, |config| {
                config.desired_min_tx_interval = Micros::new(input.u32());
                config.required_min_rx_interval = Micros::new(input.u32());
                config.detect_mult = NonZeroU8::new(input.octet()).unwrap_or(NonZeroU8::MIN);
                config.passive = input.flag();
            });
        }
        4 => {
            let id = session(input);
            endpoint.set_admin_down(*now, id, input.flag());
        }
        5 => {
            let id = session(input);
            let diagnostic = Diagnostic::new(input.octet() & 31).unwrap_or_default();
            endpoint.take_down(*now, id, diagnostic);
        }
        6 => endpoint.remove(*now, session(input)),
        9 => endpoint.poll(*now, session(input)),
        10 => {
            let id = session(input);
            let interval = Duration::from_micros(input.u32().into());
            reconfigure(endpoint, *now, id, |config| {
                config.demand_mode = interval != Duration::ZERO;
                config.demand_poll_interval = Some(interval);
            });
        }
        11 => {
            let echo = EchoConfig {
                desired_min_tx_interval: input.flag().then(|| Micros::new(input.u32())),
                required_min_rx_interval: Micros::new(input.u32()),
            };
            let id = session(input);
            let echo = (!input.flag()).then_some(echo);
            reconfigure(endpoint, *now, id, |config| config.echo = echo);
        }
        12 => {
            let meta = EchoMeta {
                source: SocketAddr::new(PEER, bfd::ECHO_PORT),
                destination: None,
                interface_index: Some(1),
                ttl: Some(255 - u8::from(input.flag())),
            };
            let _ = endpoint.handle_echo_datagram(*now, &meta, input.octets());
        }
        13 => {
            let ranges = input.octet();
            let named = |name: u8| (ranges >> name & 1 != 0).then(|| range(name, ranges >> 2));
            let ranges = [0, 1].into_iter().filter_map(named).collect();
            endpoint.set_ranges(*now, ranges);
        }
        14 => endpoint.set_links(if input.flag() { vec![] } else { vec![link()] }),
        15 => hear_stranger(endpoint, *now, input),
        _ => {}
    }
}

/// The second has a longer prefix.
fn range(name: u8, what: u8) -> Range {
    Range {
        name: name.to_string().into(),
        networks: Network::new(STRANGERS, 26 + name).into_iter().collect(),
        interface: (what & 1 != 0).then(|| "eth0".to_owned()),
        port: bfd::SINGLE_HOP_PORT,
        config: SessionConfig {
            demand_mode: what & 2 != 0,
            echo: (what & 4 != 0).then_some(EchoConfig::both_ways(Micros::ONE_SECOND)),
            ..SessionConfig::default()
        },
        max_sessions: usize::from(what >> 3 & 3),
    }
}

fn link() -> Link {
    Link {
        index: 1,
        name: "eth0".to_owned(),
        networks: Network::new(LOCAL, 24).into_iter().collect(),
    }
}

/// A datagram of one that a range may accept: the first octet tells which, and whether it names the session there is with it.
fn hear_stranger(endpoint: &mut Endpoint, now: Instant, input: &mut Input<'_>) {
    let how = input.octet();
    let IpAddr::V4(first) = STRANGERS else {
        return;
    };
    let source = IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + u32::from(how & 63)));
    let mut payload = input.octets().to_vec();
    if how & 64 != 0
        && let Some(id) = endpoint.find(&SessionKey::single_hop(source))
        && let Some(field) = payload.get_mut(8..12)
    {
        field.copy_from_slice(&id.local_discr().get().to_be_bytes());
    }
    let meta = RxMeta {
        source: SocketAddr::new(source, 49152),
        destination: LOCAL,
        interface_index: Some(1),
        ttl: Some(255),
        encapsulation: Encapsulation::SingleHop,
    };
    let _ = endpoint.handle_datagram(now, &meta, &payload);
}

/// A datagram. Its first octet tells how it came: bit 0, at the multihop port; bit 1, with the TTL that follows; bit 2, with the
/// discriminator of a session written into Your Discriminator, or else fuzzing would never find it; bit 3, of the second one.
fn hear(endpoint: &mut Endpoint, ids: [SessionId; 3], now: Instant, input: &mut Input<'_>) {
    let how = input.octet();
    let ttl = if how & 2 == 0 { 255 } else { input.octet() };
    let mut payload = input.octets().to_vec();
    if how & 4 != 0
        && let Some(field) = payload.get_mut(8..12)
    {
        let id = ids[usize::from(how & 8 != 0)];
        field.copy_from_slice(&id.local_discr().get().to_be_bytes());
    }
    let meta = RxMeta {
        source: SocketAddr::new(PEER, 49152),
        destination: LOCAL,
        interface_index: Some(1),
        ttl: Some(ttl),
        encapsulation: match how & 1 {
            0 => Encapsulation::SingleHop,
            _ => Encapsulation::Multihop,
        },
    };
    let _ = endpoint.handle_datagram(now, &meta, &payload);
}
