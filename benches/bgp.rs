//! The BGP engine: messages to and from octets, and from wanted routes to octets.
//!
//! `cargo bench --bench bgp`. Times serve to compare two runs on one machine, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may panic"
)]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use bgp::wire::{AsPath, Attribute, MAX_LENGTH, Message, WireContext};
use bgp::{
    Addresses, Asn, BgpIdentifier, Community, ConnId, Direction, Origin, RemoteAs, RouteAttributes,
    Routes, Session, SessionConfig, State, Update,
};
use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ipnet::{IpNet, Ipv4Net};

const CONTEXT: WireContext = WireContext {
    four_octet_as: true,
    internal: false,
    path_ids_v4: false,
    path_ids_v6: false,
};

fn hosts(count: u32) -> impl Iterator<Item = Ipv4Net> {
    (0..count).map(|index| Ipv4Net::from(Ipv4Addr::from_bits(0x0A00_0000 + index)))
}

fn update(prefixes: u32, communities: u32) -> Message {
    let communities = (0..communities).map(Community).collect::<Vec<_>>();
    let attributes = [
        Some(Attribute::Origin(Origin::Igp)),
        Some(Attribute::AsPath(AsPath::sequence(&[
            64520, 64521, 64522, 64523,
        ]))),
        Some(Attribute::NextHop([192, 0, 2, 1].into())),
        (!communities.is_empty()).then_some(Attribute::Communities(communities)),
    ];
    Message::Update(Update {
        attributes: attributes.into_iter().flatten().collect(),
        nlri: hosts(prefixes).collect(),
        ..Update::default()
    })
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for (name, message) in [
        ("keepalive", Message::Keepalive),
        ("update of one prefix", update(1, 0)),
        ("update with 10 communities", update(4, 10)),
        ("full update", update(790, 0)),
    ] {
        let mut octets = BytesMut::new();
        message.encode(CONTEXT, MAX_LENGTH, &mut octets).unwrap();
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function(format!("decode {name}"), |bencher| {
            bencher.iter(|| {
                let message = Message::from_octets(black_box(&octets), CONTEXT, MAX_LENGTH);
                black_box(message.unwrap())
            });
        });
        let mut out = BytesMut::with_capacity(MAX_LENGTH);
        group.bench_function(format!("encode {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&message)
                    .encode(CONTEXT, MAX_LENGTH, &mut out)
                    .unwrap();
            });
        });
    }
    group.finish();
}

fn routes(count: u32) -> Routes {
    let attributes = Arc::new(RouteAttributes::default());
    hosts(count)
        .map(|prefix| (IpNet::V4(prefix), Arc::clone(&attributes)))
        .collect()
}

/// A session in Established that has nothing left to send.
fn established(wanted: Routes) -> (Session, ConnId) {
    let config = |asn, last| {
        let identifier = BgpIdentifier::new([192, 0, 2, last].into()).unwrap();
        SessionConfig::new(Asn::new(asn).unwrap(), identifier, RemoteAs::External)
    };
    let now = Instant::now();
    let addresses = Addresses::new(
        "192.0.2.71:179".parse().unwrap(),
        "192.0.2.1:179".parse().unwrap(),
    );
    let start = |mut session: Session| {
        session.start(now);
        let conn = session.handle_connected(now, Direction::Outgoing, addresses);
        (session, conn)
    };
    let [ours, theirs] =
        [config(64520, 71), config(64521, 1)].map(|config| Session::new(config, 1));
    let mut sessions = [ours, theirs].map(start);
    sessions[0].0.set_routes(now, wanted);
    let mut octets = BytesMut::new();
    for (from, to) in [(0, 1), (1, 0), (0, 1), (1, 0), (0, 1)] {
        let (session, conn) = &mut sessions[from];
        while session.poll_transmit(now, *conn, &mut octets) {}
        let (session, conn) = &mut sessions[to];
        session.handle_bytes(now, *conn, &octets.split());
    }
    let [ours, _] = sessions;
    assert_eq!(ours.0.state(), State::Established);
    ours
}

fn adj_rib_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes to octets");
    let now = Instant::now();
    for (name, before, after) in [
        ("10,000 at once", 0, 10_000),
        ("one more beside 10,000", 10_000, 10_001),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (established(routes(before)), routes(after)),
                |((mut session, conn), wanted)| {
                    session.set_routes(now, wanted);
                    let mut out = BytesMut::new();
                    while session.poll_transmit(now, conn, &mut out) {}
                    (session, out)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, codec, adj_rib_out);
criterion_main!(benches);
