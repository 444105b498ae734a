//! Which queue the kernel lays a datagram in, over loopback.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use super::*;
use crate::engine::sys::Batch;

const LOCAL: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A packet that only the endpoint can judge: Down, and nobody knows from whom.
fn packet() -> Vec<u8> {
    let mut packet = vec![0x20, 0x40, 3, 24];
    packet.extend([0, 0, 0, 1]);
    packet.extend([0; 16]);
    packet
}

fn sender(to: SocketAddr, ttl: u8) -> UdpSocket {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).unwrap();
    if to.is_ipv4() {
        socket.set_ttl_v4(ttl.into()).unwrap();
    } else {
        socket.set_unicast_hops_v6(ttl.into()).unwrap();
    }
    socket.connect(&to.into()).unwrap();
    OwnedFd::from(socket).into()
}

fn open(local: &str, minimum_ttl: u8) -> Vec<Receiver> {
    let local = local.parse().unwrap();
    Receiver::open(local, Encapsulation::SingleHop, minimum_ttl).unwrap()
}

/// What waits in each queue.
fn waiting(receivers: &[Receiver]) -> Vec<(Queue, usize)> {
    let mut batch = Batch::new();
    receivers
        .iter()
        .map(|receiver| {
            let received = batch.receive(receiver.socket()).unwrap_or(0);
            (receiver.queue, received)
        })
        .collect()
}

#[track_caller]
fn assert_laid_in(queue: Queue, receivers: &[Receiver], what: &str) {
    let expected: Vec<_> = Queue::ALL
        .iter()
        .map(|each| (*each, usize::from(*each == queue)))
        .collect();
    assert_eq!(waiting(receivers), expected, "{what}");
}

#[test]
fn the_kernel_sorts_by_form() {
    for local in LOCAL {
        let receivers = open(local, 255);
        let sender = sender(receivers[0].local, 255);
        let mut wrong_version = packet();
        wrong_version[0] = 0x40;
        let mut short_length = packet();
        short_length[3] = 23;
        let mut long_length = packet();
        long_length[3] = 25;
        for (what, payload) in [
            ("nothing", Vec::new()),
            ("one octet too few", packet()[..23].to_vec()),
            ("version 2", wrong_version),
            ("Length 23", short_length),
            ("Length beyond the payload", long_length.clone()),
        ] {
            sender.send(&payload).unwrap();
            assert_laid_in(Queue::Rejected, &receivers, what);
        }
        sender.send(&packet()).unwrap();
        assert_laid_in(Queue::Sessions, &receivers, "a packet");
        long_length.push(0);
        sender.send(&long_length).unwrap();
        assert_laid_in(Queue::Sessions, &receivers, "Length 25 of 25");
        let padded = [packet(), vec![0xff; 1400]].concat();
        sender.send(&padded).unwrap();
        assert_laid_in(Queue::Sessions, &receivers, "a large packet (RFC 9764)");
    }
}

#[test]
fn the_kernel_sorts_by_ttl_and_follows_a_change() {
    for local in LOCAL {
        let mut receivers = open(local, 255);
        let to = receivers[0].local;
        for ttl in [1, 64, 254] {
            sender(to, ttl).send(&packet()).unwrap();
            assert_laid_in(Queue::Rejected, &receivers, &format!("{local} TTL {ttl}"));
        }
        for receiver in &mut receivers {
            receiver.set_minimum_ttl(250);
        }
        for (ttl, queue) in [
            (249, Queue::Rejected),
            (250, Queue::Sessions),
            (255, Queue::Sessions),
        ] {
            sender(to, ttl).send(&packet()).unwrap();
            assert_laid_in(queue, &receivers, &format!("{local} TTL {ttl}"));
        }
    }
}

#[test]
fn what_no_buffer_holds_is_counted_by_queue() {
    let mut receivers = open(LOCAL[0], 255);
    let sender = sender(receivers[0].local, 1);
    for _ in 0..1000 {
        sender.send(&packet()).unwrap();
    }
    let mut drops = KernelDrops::default();
    for _ in 0..2 {
        for receiver in &mut receivers {
            receiver.take_drops(&mut drops);
        }
    }
    assert_eq!(drops.late, 0);
    assert!((500..1000).contains(&drops.rejected), "{drops:?}");
}

#[test]
fn an_address_that_somebody_has_is_refused() {
    for local in LOCAL {
        let receivers = open(local, 255);
        let taken = receivers[0].local;
        // As a second engine, and as a program that is ready to share.
        assert!(Receiver::open(taken, Encapsulation::SingleHop, 255).is_err());
        assert!(UdpSocket::bind(taken).is_err());
        drop(receivers);
        let sharing = Socket::new(Domain::for_address(taken), Type::DGRAM, None).unwrap();
        sharing.set_reuse_port(true).unwrap();
        sharing.bind(&taken.into()).unwrap();
        assert!(Receiver::open(taken, Encapsulation::SingleHop, 255).is_err());
    }
}

#[test]
fn what_is_rejected_is_read_at_leisure() {
    // Any instant will do.
    #[expect(clippy::disallowed_methods)]
    let now = Instant::now();
    for mut receiver in open(LOCAL[0], 255) {
        receiver.set_ready(true);
        receiver.was_read(now, 1);
        let rests = receiver.rests_until(now).is_some();
        assert_eq!(rests, receiver.queue == Queue::Rejected);
        assert_eq!(receiver.is_ready(), receiver.queue == Queue::Sessions);
        assert_eq!(receiver.rests_until(now + REST), None);
        assert_eq!(receiver.hurry(), rests);
        assert!(receiver.is_ready());
    }
}
