//! An endpoint with a session of each hop kind takes datagrams, time and orders in any sequence: it does not panic, answers nothing
//! more than once, and does what is due with one call.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use bfd::{
    Diagnostic, Encapsulation, Endpoint, HopKind, Micros, RxMeta, SessionConfig, SessionId,
    SessionKey,
};
use herald_fuzz::Input;
use libfuzzer_sys::fuzz_target;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

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
    while let Some(operation) = input.operation() {
        apply(&mut endpoint, ids, &mut now, operation, &mut input);
        while endpoint.poll_transmit(now).is_some() {}
        while endpoint.poll_event().is_some() {}
        endpoint.handle_timeout(now);
        let sent = std::iter::from_fn(|| endpoint.poll_transmit(now)).count();
        assert!(sent <= ids.len());
        endpoint.handle_timeout(now);
        assert!(
            endpoint.poll_timeout().is_none_or(|at| at > now),
            "nothing is due any more"
        );
    }
});

/// The numbers are part of the seeds.
fn apply(
    endpoint: &mut Endpoint,
    ids: [SessionId; 2],
    now: &mut Instant,
    operation: u8,
    input: &mut Input<'_>,
) {
    let session = |input: &mut Input<'_>| ids[usize::from(input.flag())];
    match operation {
        0 => hear(endpoint, ids, *now, input),
        1 => *now += Duration::from_micros(input.u32().into()),
        2 => *now = endpoint.poll_timeout().map_or(*now, |at| at.max(*now)),
        3 => {
            let id = session(input);
            let config = SessionConfig {
                desired_min_tx_interval: Micros::new(input.u32()),
                required_min_rx_interval: Micros::new(input.u32()),
                detect_mult: NonZeroU8::new(input.octet()).unwrap_or(NonZeroU8::MIN),
                passive: input.flag(),
                ..SessionConfig::default()
            };
            endpoint.set_config(*now, id, config);
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
        7 => endpoint.poll(*now, session(input)),
        8 => {
            let id = session(input);
            let config = SessionConfig {
                demand_mode: true,
                demand_poll_interval: Some(Duration::from_micros(input.u32().into())),
                ..SessionConfig::default()
            };
            endpoint.set_config(*now, id, config);
        }
        _ => {}
    }
}

/// A datagram. Its first octet tells how it came: bit 0, at the multihop port; bit 1, with the TTL that follows; bit 2, with the
/// discriminator of a session written into Your Discriminator, or else fuzzing would never find it; bit 3, of the second one.
fn hear(endpoint: &mut Endpoint, ids: [SessionId; 2], now: Instant, input: &mut Input<'_>) {
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
