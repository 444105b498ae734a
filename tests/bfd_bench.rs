//! The pieces that `benches/bfd` measures with: a bench that is wrong measures nothing.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "parts of a bench, and a panic is a test's verdict"
)]

#[path = "../benches/bfd/responder/histogram.rs"]
mod histogram;
#[path = "../benches/bfd/responder/session.rs"]
mod session;

use bfd::{ControlPacket, SessionConfig, SessionKey};
use histogram::Histogram;
use session::{DETECTION_TIME_EXPIRED, Nanoseconds, Packet, Session, State};

const MILLISECOND: Nanoseconds = 1_000_000;
const SECOND: Nanoseconds = 1000 * MILLISECOND;
const INTERVAL: Nanoseconds = 10 * MILLISECOND;
const START: Nanoseconds = 1_000 * SECOND;

/// A packet of the remote system, which wants 10 ms both ways.
fn packet(state: State) -> Packet {
    Packet {
        diagnostic: 0,
        state,
        poll: false,
        final_: false,
        detect_mult: 3,
        my_discriminator: 77,
        your_discriminator: 5,
        desired_min_tx: INTERVAL,
        required_min_rx: INTERVAL,
    }
}

/// A session that is Up and has said so.
fn up() -> Session {
    let mut session = Session::new(5, INTERVAL, 3);
    session.handle(START, &packet(State::Down));
    session.transmit(START, 0.5);
    session.handle(START, &packet(State::Up));
    session.transmit(START, 0.5);
    assert_eq!(session.state, State::Up);
    session
}

fn sent(session: &mut Session, now: Nanoseconds) -> Packet {
    Packet::read(&session.transmit(now, 0.5)).unwrap()
}

#[test]
fn the_responder_waits_to_be_spoken_to() {
    let mut session = Session::new(5, INTERVAL, 3);
    assert_eq!(session.due, Nanoseconds::MAX);

    session.handle(START, &packet(State::Down));
    assert_eq!(
        (session.state, session.due),
        (State::Init, START),
        "news goes out at once"
    );
    let answer = sent(&mut session, START);
    assert_eq!(
        (answer.my_discriminator, answer.your_discriminator),
        (5, 77)
    );
    assert_eq!(answer.desired_min_tx, SECOND, "slow while not Up");
}

#[test]
fn the_responder_takes_the_transitions_of_rfc_5880() {
    use State::{AdminDown, Down, Init, Up};
    for (before, heard, after) in [
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
    ] {
        let mut session = Session::new(5, INTERVAL, 3);
        session.state = before;
        session.handle(START, &packet(heard));
        assert_eq!(session.state, after, "{before:?} hears {heard:?}");
    }
}

#[test]
fn the_responder_polls_until_it_has_been_answered() {
    let mut session = up();
    assert!(sent(&mut session, START).poll);
    let answer = Packet {
        final_: true,
        ..packet(State::Up)
    };
    session.handle(START, &answer);
    assert!(!sent(&mut session, START).poll);
}

#[test]
fn the_responder_answers_a_poll_at_once_and_once() {
    let mut session = up();
    let poll = Packet {
        poll: true,
        ..packet(State::Up)
    };
    session.handle(START + MILLISECOND, &poll);
    assert_eq!(session.due, START + MILLISECOND);
    let answer = sent(&mut session, START + MILLISECOND);
    assert!(answer.final_ && !answer.poll);
    assert!(!sent(&mut session, START + 2 * MILLISECOND).final_);
}

#[test]
fn the_responder_keeps_to_its_interval_and_jitters() {
    for (jitter, part) in [(0.0, 0.75), (1.0, 1.0)] {
        let mut session = up();
        let due = session.due;
        session.transmit(due, jitter);
        let wait = (session.due - due) as f64 / INTERVAL as f64;
        assert!((wait - part).abs() < 1e-6, "{wait} of an interval");
    }
}

#[test]
fn the_responder_does_not_wait_for_a_receiver_that_has_become_fast() {
    let mut session = Session::new(5, INTERVAL, 3);
    let slow = Packet {
        required_min_rx: SECOND,
        ..packet(State::Init)
    };
    session.handle(START, &slow);
    session.transmit(START, 0.5);
    assert!(session.due > START + SECOND / 2);
    session.handle(START + MILLISECOND, &packet(State::Up));
    assert_eq!(session.due, START + INTERVAL);
}

#[test]
fn the_responder_notices_silence() {
    let mut session = up();
    session.handle(START + MILLISECOND, &packet(State::Up));
    assert_eq!(session.silent_at, START + MILLISECOND + 3 * INTERVAL);
    session.handle_silence(session.silent_at);
    assert_eq!(session.state, State::Down);
    assert_eq!(session.due, Nanoseconds::MAX, "nobody is known to be there");
    session.handle(START + SECOND, &packet(State::Up));
    let answer = sent(&mut session, START + SECOND);
    assert_eq!(
        (answer.state, answer.diagnostic),
        (State::Down, DETECTION_TIME_EXPIRED)
    );
}

/// What the responder writes, Herald's codec reads, and the other way round.
#[test]
fn the_responder_speaks_bfd() {
    let mut session = up();
    let octets = session.transmit(START, 0.5);
    ControlPacket::parse(&octets).unwrap();

    let mut endpoint = bfd::Endpoint::new(1);
    let now = std::time::Instant::now();
    let key = SessionKey::single_hop("192.0.2.1".parse().unwrap());
    let id = endpoint
        .add(now, key, None, SessionConfig::default())
        .unwrap();
    endpoint.handle_timeout(now);
    let transmit = endpoint
        .poll_transmit(now)
        .expect("an active session speaks first");
    let read = Packet::read(&transmit.payload).unwrap();
    assert_eq!(read.my_discriminator, id.local_discr().get());
    assert_eq!((read.state, read.detect_mult), (State::Down, 3));
    assert_eq!(read.required_min_rx, 300 * MILLISECOND);
    assert_eq!(read.write().as_slice(), &transmit.payload[..]);
}

#[test]
fn the_histogram_tells_quantiles() {
    let mut histogram = Histogram::new(INTERVAL);
    assert_eq!(histogram.quantile(0.5), None);
    for percent in 1..=100 {
        histogram.add(INTERVAL * percent / 100);
    }
    histogram.add(30 * INTERVAL);
    let near = |part, wanted: f64| {
        let found = histogram.quantile(part).unwrap();
        assert!((found - wanted).abs() < 1.5, "{part}: {found}");
    };
    near(0.5, 51.0);
    near(0.99, 100.0);
    assert_eq!(histogram.longest(), 3000.0);
}
