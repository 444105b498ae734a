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
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    Datagram {
        multihop: bool,
        ttl: Option<u8>,
        /// Write the discriminator of this session into Your Discriminator, or else fuzzing would never find it.
        your_discriminator: Option<bool>,
        payload: Vec<u8>,
    },
    Pass(u32),
    Timer,
    SetConfig(bool, u32, u32, NonZeroU8, bool),
    SetAdminDown(bool, bool),
    TakeDown(bool, u8),
    Remove(bool),
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fuzz_target!(|ops: Vec<Op>| {
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
    for op in ops {
        apply(&mut endpoint, ids, &mut now, op);
        while endpoint.poll_transmit(now).is_some() {}
        while endpoint.poll_event().is_some() {}
        endpoint.handle_timeout(now);
        let sent = std::iter::from_fn(|| endpoint.poll_transmit(now)).count();
        assert!(sent <= ids.len());
        endpoint.handle_timeout(now);
        assert!(endpoint.poll_timeout().is_none_or(|at| at > now), "nothing is due any more");
    }
});

fn apply(endpoint: &mut Endpoint, ids: [SessionId; 2], now: &mut Instant, op: Op) {
    let id = |second: bool| ids[usize::from(second)];
    match op {
        Op::Datagram {
            multihop,
            ttl,
            your_discriminator,
            mut payload,
        } => {
            if let Some(second) = your_discriminator
                && let Some(field) = payload.get_mut(8..12)
            {
                field.copy_from_slice(&id(second).local_discr().get().to_be_bytes());
            }
            let meta = RxMeta {
                source: SocketAddr::new(PEER, 49152),
                destination: LOCAL,
                interface_index: Some(1),
                ttl: ttl.or(Some(255)),
                encapsulation: match multihop {
                    true => Encapsulation::Multihop,
                    false => Encapsulation::SingleHop,
                },
            };
            let _ = endpoint.handle_datagram(*now, &meta, &payload);
        }
        Op::Pass(micros) => *now += Duration::from_micros(micros.into()),
        Op::Timer => *now = endpoint.poll_timeout().map_or(*now, |at| at.max(*now)),
        Op::SetConfig(second, tx, rx, detect_mult, passive) => {
            let config = SessionConfig {
                desired_min_tx_interval: Micros::new(tx),
                required_min_rx_interval: Micros::new(rx),
                detect_mult,
                passive,
            };
            endpoint.set_config(*now, id(second), config);
        }
        Op::SetAdminDown(second, down) => endpoint.set_admin_down(*now, id(second), down),
        Op::TakeDown(second, code) => {
            let diagnostic = Diagnostic::new(code & 31).unwrap_or_default();
            endpoint.take_down(*now, id(second), diagnostic);
        }
        Op::Remove(second) => endpoint.remove(*now, id(second)),
    }
}
