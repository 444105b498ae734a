//! Inputs that have crashed some BFD speaker, taken a session down, or made it spin, one test for each.
//!
//! With `HERALD_WRITE_SEEDS=fuzz/seeds` in the environment, each datagram becomes a seed of the fuzz targets.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use herald_bfd::{
    AuthType, AuthenticationKey, ControlPacket, Discard, Encapsulation, Endpoint, Event, HopKind,
    MULTIHOP_PORT, Micros, ParseError, PollFinal, RxMeta, Session, SessionConfig, SessionId,
    SessionKey, SessionStatus, State,
};

const SECOND: Duration = Duration::from_secs(1);
const PEER: &str = "192.0.2.1";
const OURS: &str = "192.0.2.2";

/// Up, multiplier 3, My Discriminator 7, both intervals 300 ms, no echo. Your Discriminator is written when it is sent.
const UP: &str = "20 c0 03 18 00000007 00000000 000493e0 000493e0 00000000";
const INIT: &str = "20 80 03 18 00000007 00000000 000493e0 000493e0 00000000";
const DOWN: &str = "20 40 03 18 00000007 00000000 000493e0 000493e0 00000000";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half an octet: {text}");
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

/// The packet of `text` with one octet set.
fn with(text: &str, place: usize, octet: u8) -> Vec<u8> {
    let mut octets = hex(text);
    octets[place] = octet;
    octets
}

fn meta(ttl: u8) -> RxMeta {
    RxMeta {
        source: SocketAddr::new(PEER.parse().unwrap(), 49152),
        destination: OURS.parse().unwrap(),
        interface_index: Some(2),
        ttl: Some(ttl),
        encapsulation: Encapsulation::SingleHop,
    }
}

/// An endpoint with one session.
struct Rig {
    endpoint: Endpoint,
    id: SessionId,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::with_config(SessionConfig::default())
    }

    fn with_config(config: SessionConfig) -> Self {
        let now = Instant::now();
        let mut endpoint = Endpoint::new(1);
        let key = SessionKey::single_hop(PEER.parse().unwrap());
        let id = endpoint.add(now, key, None, config).unwrap();
        Self { endpoint, id, now }
    }

    fn up() -> Self {
        let mut rig = Self::new();
        rig.hear(hex(DOWN)).unwrap();
        rig.hear(hex(UP)).unwrap();
        // The Final of the Poll Sequence that follows.
        rig.sent();
        rig.hear(with(UP, 1, 0xD0)).unwrap();
        rig.sent();
        rig.events();
        rig
    }

    /// Takes octets with our discriminator in the place of Your Discriminator.
    fn hear(&mut self, mut octets: Vec<u8>) -> Result<SessionId, Discard> {
        if let Some(field) = octets.get_mut(8..12) {
            field.copy_from_slice(&self.id.local_discr().get().to_be_bytes());
        }
        self.hear_as_it_is(&meta(255), &octets)
    }

    fn hear_as_it_is(&mut self, meta: &RxMeta, octets: &[u8]) -> Result<SessionId, Discard> {
        write_seeds(meta, octets);
        self.endpoint.handle_datagram(self.now, meta, octets)
    }

    fn status(&self) -> SessionStatus {
        self.endpoint.status().remove(0)
    }

    fn state(&self) -> State {
        self.status().session_state
    }

    fn sent(&mut self) -> Vec<ControlPacket> {
        std::iter::from_fn(|| self.endpoint.poll_transmit(self.now))
            .map(|transmit| ControlPacket::parse(&transmit.payload).unwrap())
            .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// Lets time pass, and says what is sent meanwhile.
    fn pass(&mut self, time: Duration) -> Vec<ControlPacket> {
        let end = self.now + time;
        let mut sent = self.sent();
        let mut turns = 0;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            sent.extend(self.sent());
            turns += 1;
            assert!(turns < 100_000, "it spins");
        }
        self.now = end;
        sent
    }

    /// Asserts that octets are discarded for this reason and change nothing but the counter of it.
    fn discards(&mut self, octets: Vec<u8>, label: &str) {
        let before = self.state_variables();
        let discard = self.hear(octets).unwrap_err();
        assert_eq!(discard.label(), label);
        assert_eq!(self.state_variables(), before);
        assert!(self.sent().is_empty(), "and nothing is answered");
    }

    fn state_variables(&self) -> SessionStatus {
        let mut status = self.status();
        status.counters = Default::default();
        status
    }
}

/// Writes seeds that are named after the test they are from: the datagram on its own, and the operations of
/// `fuzz/fuzz_targets/bfd_endpoint.rs` that lead to it.
fn write_seeds(meta: &RxMeta, octets: &[u8]) {
    const HEAR: u8 = 0;
    const WITH_TTL: u8 = 2;
    const WITH_DISCRIMINATOR: u8 = 4;
    let Ok(root) = std::env::var("HERALD_WRITE_SEEDS") else {
        return;
    };
    let multihop = u8::from(meta.encapsulation == Encapsulation::Multihop);
    let how = |flags| multihop | flags | WITH_TTL;
    let ttl = meta.ttl.unwrap_or(0);
    let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap().to_be_bytes();
    let (down, up) = (hex(DOWN), hex(UP));
    let mut operations = Vec::new();
    for packet in [&down[..], &up, octets] {
        operations.extend([HEAR, how(WITH_DISCRIMINATOR), ttl]);
        operations.extend(length(packet));
        operations.extend(packet);
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default().to_owned();
    for (target, seed) in [("bfd_packet", octets), ("bfd_endpoint", &operations)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&root);
        let directory = root.join(target);
        fs::create_dir_all(&directory).unwrap();
        let path = |number| match number {
            1 => directory.join(&name),
            _ => directory.join(format!("{name}_{number}")),
        };
        let unused = |path: &PathBuf| fs::read(path).map_or(true, |present| present == seed);
        fs::write((1..).map(path).find(unused).unwrap(), seed).unwrap();
    }
}

#[test]
fn f_60_detect_mult_of_zero() {
    Rig::up().discards(with(UP, 2, 0), "detect-mult-zero");
}

#[test]
fn f_61_my_discriminator_of_zero() {
    Rig::up().discards(with(UP, 7, 0), "my-discriminator-zero");
}

#[test]
fn f_62_no_discriminator_and_a_state_that_has_one() {
    for packet in [INIT, UP] {
        let mut rig = Rig::new();
        let discard = rig.hear_as_it_is(&meta(255), &hex(packet)).unwrap_err();
        assert_eq!(discard.label(), "your-discriminator-zero");
        assert_eq!(rig.state(), State::Down);
    }
}

#[test]
fn f_63_poll_and_final() {
    Rig::up().discards(with(UP, 1, 0xF0), "poll-and-final");
}

#[test]
fn f_64_multipoint() {
    Rig::up().discards(with(UP, 1, 0xC1), "multipoint-set");
}

#[test]
fn f_65_f_66_lengths_that_contradict_the_datagram() {
    let mut rig = Rig::up();
    rig.discards(with(UP, 3, 23), "length-too-small");
    rig.discards(with(UP, 3, 0), "length-too-small");
    rig.discards(with(UP, 3, 25), "length-beyond-payload");
    rig.discards(with(UP, 3, 255), "length-beyond-payload");
    for length in [0, 1, 12, 23] {
        rig.discards(hex(UP)[..length].to_vec(), "too-short");
    }
}

#[test]
fn f_67_octets_behind_the_packet_are_padding() {
    let mut rig = Rig::up();
    let mut padded = hex(UP);
    padded.resize(24 + 1400, 0xAA);
    assert_eq!(rig.hear(padded), Ok(rig.id));
    assert_eq!(rig.state(), State::Up);
}

#[test]
fn f_68_authenticated_without_room_for_it() {
    let mut rig = Rig::up();
    for length in [24, 25] {
        let mut octets = with(UP, 1, 0xC4);
        octets[3] = length;
        octets.push(1);
        rig.discards(octets, "length-too-small");
    }
}

#[test]
fn f_69_f_70_authentication_that_nobody_has_configured() {
    let mut rig = Rig::up();
    for (auth_len, label) in [
        (0, "authentication-length"),
        (1, "authentication-length"),
        (3, "authentication-length"),
        (5, "authentication-length"),
        (255, "authentication-length"),
        (4, "unexpected-authentication"),
    ] {
        for auth_type in [0, 1, 6] {
            let mut octets = with(UP, 1, 0xC4);
            octets[3] = 28;
            octets.extend([auth_type, auth_len, 1, b'x']);
            rig.discards(octets, label);
        }
    }
}

/// An endpoint whose session has a key, and what somebody sends who has it too: a meticulous sequence.
fn keyed(auth_type: AuthType) -> (Rig, Vec<Vec<u8>>) {
    let key = AuthenticationKey::new(auth_type, 1, b"s3cret").unwrap();
    let config = SessionConfig {
        authentication: Some(key.into()),
        ..SessionConfig::default()
    };
    let mut rig = Rig::with_config(config.clone());
    rig.sent();
    let mut remote = Session::new(rig.now, SessionId::new(rig.id.local_discr()), config, 1);
    let mut now = rig.now;
    let sent = (0..20).map(|_| {
        let packet = remote.poll_transmit(now).unwrap();
        now = remote.poll_timeout().unwrap();
        remote.handle_timeout(now);
        packet.encode()
    });
    let sent = sent.collect();
    (rig, sent)
}

#[test]
fn f_69_authentication_sections_of_any_form_meet_a_session_with_keys() {
    for keys in AuthType::ALL {
        let (mut rig, sent) = keyed(keys);
        for length in 26..70 {
            for auth_type in 0..8 {
                for auth_len in [0, 1, 2, 3, 4, 24, 28, 255, length - 24] {
                    let mut octets = with(UP, 1, 0xC4);
                    octets[3] = length;
                    octets.extend([auth_type, auth_len]);
                    octets.resize(length.into(), 1);
                    octets[8..12].copy_from_slice(&rig.id.local_discr().get().to_be_bytes());
                    let heard = rig.endpoint.handle_datagram(rig.now, &meta(255), &octets);
                    let discard = heard.unwrap_err();
                    assert!(discard.label().starts_with("authentication-"));
                }
            }
        }
        rig.discards(hex(UP), "missing-authentication");
        assert_eq!(rig.state(), State::Down);
        assert!(rig.hear_as_it_is(&meta(255), &sent[0]).is_ok());
    }
}

#[test]
fn f_71_sequence_numbers_from_before_and_from_far_ahead() {
    let (mut rig, sent) = keyed(AuthType::MeticulousKeyedSha1);
    let label = "authentication-sequence";
    let mut hear = |number: usize| {
        let outcome = rig.hear_as_it_is(&meta(255), &sent[number]);
        outcome.map(|_| ()).map_err(|discard| discard.label())
    };
    assert_eq!(hear(5), Ok(()));
    for old in [5, 4, 0] {
        assert_eq!(hear(old), Err(label));
    }
    // 3 × Detect Mult, which is 3.
    assert_eq!(hear(15), Err(label));
    assert_eq!(hear(14), Ok(()));
    assert_eq!(hear(13), Err(label));
}

#[test]
fn f_72_the_largest_intervals_and_multiplier() {
    let mut rig = Rig::up();
    let octets = hex("20 c0 ff 18 00000007 00000000 ffffffff ffffffff 00000000");
    assert_eq!(rig.hear(octets), Ok(rig.id));
    let status = rig.status();
    let longest = Micros::new(u32::MAX).as_duration();
    assert_eq!(status.detection_time, Some(longest * 255));
    assert_eq!(status.tx_interval, Some(longest));
    assert!(rig.pass(SECOND * 1000).is_empty());
    assert_eq!(rig.state(), State::Up);
}

#[test]
fn f_73_f_74_intervals_of_zero() {
    let mut rig = Rig::up();
    let silence = hex("20 c0 03 18 00000007 00000000 000493e0 00000000 00000000");
    for _ in 0..10 {
        rig.hear(silence.clone()).unwrap();
        assert!(rig.pass(SECOND / 4).is_empty(), "it asked for silence");
    }
    assert_eq!(rig.state(), State::Up);

    let mut rig = Rig::up();
    let eager = hex("20 c0 03 18 00000007 00000000 00000000 000493e0 00000000");
    rig.hear(eager).unwrap();
    assert_eq!(rig.status().detection_time, Some(SECOND * 9 / 10));
    assert!(rig.pass(SECOND / 2).len() <= 3);
}

#[test]
fn f_75_a_packet_from_afar() {
    for ttl in [254, 64, 1] {
        let mut rig = Rig::up();
        let discriminator = rig.id.local_discr().get().to_be_bytes();
        let mut octets = hex(DOWN);
        octets[8..12].copy_from_slice(&discriminator);
        let discard = rig.hear_as_it_is(&meta(ttl), &octets).unwrap_err();
        assert_eq!(discard.label(), "ttl");
        assert_eq!(rig.state(), State::Up);
    }
}

#[test]
fn f_77_at_the_port_of_the_other_hop_kind() {
    let mut rig = Rig::up();
    let at_multihop = RxMeta {
        encapsulation: Encapsulation::Multihop,
        ..meta(255)
    };
    let mut octets = hex(DOWN);
    let discard = rig.hear_as_it_is(&at_multihop, &octets).unwrap_err();
    assert_eq!(discard.label(), "no-session");
    octets[8..12].copy_from_slice(&rig.id.local_discr().get().to_be_bytes());
    let discard = rig.hear_as_it_is(&at_multihop, &octets).unwrap_err();
    assert_eq!(discard.label(), "hop-kind");
    assert_eq!(rig.state(), State::Up);

    let mut endpoint = Endpoint::new(1);
    let peer: IpAddr = PEER.parse().unwrap();
    let key = SessionKey {
        remote: SocketAddr::new(peer, MULTIHOP_PORT),
        hop: HopKind::Multi { minimum_ttl: 1 },
        ..SessionKey::single_hop(peer)
    };
    let id = endpoint
        .add(rig.now, key, None, SessionConfig::default())
        .unwrap();
    octets[8..12].copy_from_slice(&id.local_discr().get().to_be_bytes());
    let outcome = endpoint.handle_datagram(rig.now, &meta(255), &octets);
    assert_eq!(outcome, Err(Discard::HopKind));
}

#[test]
fn f_78_versions_0_and_2() {
    let mut rig = Rig::up();
    for version in [0, 2, 7] {
        rig.discards(with(UP, 0, version << 5), "version");
    }
}

#[test]
fn f_79_unassigned_diagnostics() {
    for code in [9, 16, 31] {
        let mut rig = Rig::up();
        assert_eq!(rig.hear(with(UP, 0, 0x20 | code)), Ok(rig.id));
        assert_eq!(rig.status().remote_diag.code(), code);
        assert_eq!(rig.state(), State::Up);
    }
}

#[test]
fn f_80_f_83_echo_is_neither_sent_nor_taken_for_a_packet() {
    let mut rig = Rig::up();
    let offers_echo = hex("20 c0 03 18 00000007 00000000 000493e0 000493e0 0000c350");
    rig.hear(offers_echo).unwrap();
    let sent = rig.pass(SECOND / 2);
    assert!(
        sent.iter()
            .all(|packet| packet.required_min_echo_rx_interval == Micros::ZERO)
    );
    assert_eq!(rig.state(), State::Up);
}

#[test]
fn f_81_a_spoofed_down_counts_only_from_the_link() {
    let mut rig = Rig::up();
    assert!(rig.hear_as_it_is(&meta(254), &hex(DOWN)).is_err());
    assert_eq!(rig.state(), State::Up);
    assert!(rig.hear_as_it_is(&meta(255), &hex(DOWN)).is_ok());
    assert_eq!(rig.state(), State::Down);
}

#[test]
fn f_82_garbage_costs_a_counter() {
    let mut rig = Rig::up();
    for length in 0..200_u8 {
        let garbage = vec![length; usize::from(length)];
        assert!(
            rig.endpoint
                .handle_datagram(rig.now, &meta(255), &garbage)
                .is_err()
        );
    }
    assert_eq!(rig.endpoint.discards().total(), 200);
    assert_eq!(rig.state(), State::Up);
    assert!(rig.events().is_empty());
}

#[test]
fn f_86_both_sides_in_demand_mode() {
    for demand_mode in [false, true] {
        let mut rig = Rig::up();
        let config = SessionConfig {
            demand_mode,
            ..SessionConfig::default()
        };
        rig.endpoint.set_config(rig.now, rig.id, config);
        rig.sent();
        rig.hear(with(UP, 1, 0xD2)).unwrap();
        rig.sent();
        assert!(rig.pass(SECOND / 2).is_empty(), "both are Up: silence");
        rig.hear(with(UP, 1, 0xE2)).unwrap();
        let answers = rig.sent();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].poll_final, PollFinal::Final);
        assert_eq!(rig.state(), State::Up);
        // For ever, if we have asked for it as well.
        assert!(!rig.pass(SECOND * 60).is_empty() || demand_mode);
        assert_eq!(rig.state() == State::Up, demand_mode);
    }
}

#[test]
fn f_87_a_long_stop_is_one_down() {
    let mut rig = Rig::up();
    rig.now += SECOND * 10;
    rig.endpoint.handle_timeout(rig.now);
    assert_eq!(rig.sent().len(), 1, "no storm");
    assert_eq!(rig.events().len(), 1);
    assert_eq!(rig.state(), State::Down);
}

#[test]
fn f_91_f_92_source_ports_of_any_kind() {
    for port in [0, 1, 3784, 49151, 65535] {
        let mut rig = Rig::new();
        let meta = RxMeta {
            source: SocketAddr::new(PEER.parse().unwrap(), port),
            ..meta(255)
        };
        assert_eq!(rig.hear_as_it_is(&meta, &hex(DOWN)), Ok(rig.id));
        assert_eq!(rig.state(), State::Init);
    }
}

#[test]
fn f_93_a_clock_that_steps_back() {
    let mut rig = Rig::up();
    let before = rig.now;
    rig.now -= SECOND / 100;
    rig.hear(hex(UP)).unwrap();
    rig.endpoint.handle_timeout(rig.now);
    rig.now = before;
    assert!(rig.pass(SECOND / 2).len() <= 3);
    assert_eq!(rig.state(), State::Up);
}

#[test]
fn no_datagram_of_one_octet_more_or_less_is_read_as_another() {
    let whole = hex(UP);
    for length in 0..whole.len() {
        assert_eq!(
            ControlPacket::parse(&whole[..length]),
            Err(ParseError::TooShort { payload: length })
        );
    }
    let multiplier = NonZeroU8::new(3).unwrap();
    assert_eq!(
        ControlPacket::parse(&whole).unwrap().detect_mult,
        multiplier
    );
}
