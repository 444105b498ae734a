//! Authentication (RFC 5880 §6.7): what is accepted, what is sent, and what a change of keys does.

use super::*;
use crate::authentication::{
    AuthType, Authentication, AuthenticationKey, AuthenticationStatus, Authenticator,
};

const KEYED: [AuthType; 4] = [
    AuthType::KeyedMd5,
    AuthType::MeticulousKeyedMd5,
    AuthType::KeyedSha1,
    AuthType::MeticulousKeyedSha1,
];

fn key(auth_type: AuthType, id: u8) -> AuthenticationKey {
    let octets = format!("s3cret {id}");
    AuthenticationKey::new(auth_type, id, octets.as_bytes()).unwrap()
}

fn keys(auth_type: AuthType, ids: &[u8]) -> Authentication {
    Authentication::new(ids.iter().map(|id| key(auth_type, *id))).unwrap()
}

fn authenticated(authentication: Authentication) -> SessionConfig {
    SessionConfig {
        authentication: Some(authentication),
        ..SessionConfig::default()
    }
}

/// A session with keys, and a remote system that has some.
struct Pair {
    rig: Rig,
    remote: Authenticator,
}

impl Pair {
    /// The remote system sends with the first of `remote`, and begins with this sequence number.
    fn new(local: Authentication, remote: Authentication, sequence: u32) -> Self {
        Self {
            rig: Rig::with_config(authenticated(local)),
            remote: Authenticator::new(remote, sequence),
        }
    }

    fn up(local: Authentication, remote: Authentication, sequence: u32) -> Self {
        let mut pair = Self::new(local, remote, sequence);
        pair.hear(heard(State::Down)).unwrap();
        pair.hear(heard(State::Up)).unwrap();
        assert_eq!(pair.rig.session.state(), State::Up);
        while pair.rig.session.poll_event().is_some() {}
        pair
    }

    fn with_type(auth_type: AuthType) -> Self {
        Self::up(keys(auth_type, &[1]), keys(auth_type, &[1]), 1000)
    }

    fn signed(&mut self, packet: ControlPacket) -> ControlPacket {
        self.remote.sign(self.rig.now, packet)
    }

    fn hear(&mut self, packet: ControlPacket) -> Result<Vec<ControlPacket>, Discard> {
        let signed = self.signed(packet);
        self.hear_as_it_is(&signed)
    }

    fn hear_as_it_is(&mut self, packet: &ControlPacket) -> Result<Vec<ControlPacket>, Discard> {
        self.rig.session.handle_packet(self.rig.now, packet)?;
        Ok(self.rig.sent())
    }

    /// The same packet with another sequence number, and the digest for it.
    fn with_sequence(&self, sequence: u32) -> ControlPacket {
        let authentication = self.rig.session.config().authentication.clone().unwrap();
        let first = match authentication.auth_type().is_meticulous() {
            true => sequence,
            false => sequence.wrapping_sub(1),
        };
        Authenticator::new(authentication, first).sign(self.rig.now, heard(State::Up))
    }

    fn status(&self) -> AuthenticationStatus {
        self.rig.status().authentication.unwrap()
    }

    /// Asserts that a packet is discarded for this reason, and that nothing but the counter of it has changed.
    fn discards(&mut self, packet: &ControlPacket, label: &str) {
        let before = self.rig.status();
        let count = before.counters.discarded.get(label);
        let discard = self.rig.refuse(packet);
        assert_eq!(discard.label(), label, "{discard}");
        let mut after = self.rig.status();
        assert_eq!(after.counters.discarded.get(label), count + 1);
        after.counters.discarded = before.counters.discarded.clone();
        assert_eq!(after, before, "{label}");
        assert!(self.rig.sent().is_empty(), "nothing is answered");
    }
}

/// The packet with something done to the data of its Authentication Section.
fn tampered(packet: &ControlPacket, change: impl FnOnce(&mut Vec<u8>)) -> ControlPacket {
    let section = packet.authentication.as_ref().unwrap();
    let mut data = section.data().to_vec();
    change(&mut data);
    ControlPacket {
        authentication: AuthenticationSection::new(section.auth_type(), data),
        ..packet.clone()
    }
}

fn sequence_of(packet: &ControlPacket) -> u32 {
    let data = packet.authentication.as_ref().unwrap().data();
    u32::from_be_bytes(data[2..6].try_into().unwrap())
}

#[test]
fn c_121_a_session_with_keys_accepts_nothing_without() {
    for auth_type in AuthType::ALL {
        let mut pair = Pair::with_type(auth_type);
        pair.discards(&heard(State::Down), "missing-authentication");
        let forged = ControlPacket {
            state: State::Down,
            ..tampered(&pair.with_sequence(1003), |data| {
                *data.last_mut().unwrap() ^= 1
            })
        };
        pair.discards(&forged, "authentication-digest");
        assert_eq!(pair.rig.session.state(), State::Up);
    }
}

#[test]
fn c_121_every_type_comes_up() {
    for auth_type in AuthType::ALL {
        let mut pair = Pair::with_type(auth_type);
        let status = pair.status();
        assert_eq!(status.auth_type, auth_type);
        assert_eq!(status.received_key_id, Some(1));
        // What we send is what the remote system's rules accept.
        let mut remote = Authenticator::new(keys(auth_type, &[1]), 0);
        for _ in 0..20 {
            for packet in pair.rig.run_until_sent() {
                assert_eq!(remote.verify(&packet), Ok(()));
            }
            pair.hear(heard(State::Up)).unwrap();
        }
        assert_eq!(pair.rig.session.poll_event(), None);
    }
}

#[test]
fn c_159_a_simple_password_is_compared_with_that_of_the_key_id() {
    let auth_type = AuthType::SimplePassword;
    let ours = keys(auth_type, &[1, 2]);
    let mut pair = Pair::up(ours, keys(auth_type, &[2]), 0);
    let right = pair.signed(heard(State::Up));
    assert_eq!(pair.hear_as_it_is(&right), Ok(vec![]));
    assert_eq!(pair.status().rcv_auth_seq, None);
    let discards = |pair: &mut Pair, change: fn(&mut Vec<u8>), label| {
        pair.discards(&tampered(&right, change), label);
    };
    discards(&mut pair, |data| data[0] = 3, "authentication-key-id");
    discards(&mut pair, |data| data[0] = 1, "authentication-digest");
    discards(&mut pair, |data| data[1] ^= 1, "authentication-digest");
    discards(&mut pair, |data| data.truncate(4), "authentication-length");
    discards(&mut pair, |data| data.truncate(1), "authentication-length");
    discards(&mut pair, |data| data.push(0), "authentication-length");
    discards(&mut pair, Vec::clear, "authentication-length");
}

#[test]
fn c_160_a_digest_is_compared_with_that_of_the_key_id() {
    for auth_type in KEYED {
        let mut pair = Pair::up(keys(auth_type, &[1, 2]), keys(auth_type, &[2]), 1000);
        let right = pair.signed(heard(State::Up));
        let discards = |pair: &mut Pair, change: fn(&mut Vec<u8>), label| {
            pair.discards(&tampered(&right, change), label);
        };
        discards(&mut pair, |data| data[0] = 3, "authentication-key-id");
        discards(&mut pair, |data| data[0] = 1, "authentication-digest");
        discards(&mut pair, |data| data[1] = 1, "authentication-digest");
        discards(&mut pair, |data| data[6] ^= 1, "authentication-digest");
        discards(&mut pair, |data| data.push(0), "authentication-length");
        discards(
            &mut pair,
            |data| data.truncate(data.len() - 1),
            "authentication-length",
        );
        discards(&mut pair, |data| data.truncate(1), "authentication-length");
        discards(&mut pair, Vec::clear, "authentication-length");
        assert_eq!(pair.hear_as_it_is(&right), Ok(vec![]));
    }
}

#[test]
fn c_160_any_bit_that_changes_on_the_way_is_noticed() {
    for auth_type in KEYED {
        let mut pair = Pair::with_type(auth_type);
        let octets = pair.signed(heard(State::Up)).encode();
        for bit in 0..octets.len() * 8 {
            let mut octets = octets.clone();
            octets[bit / 8] ^= 1 << (bit % 8);
            if let Ok(packet) = ControlPacket::parse(&octets) {
                let before = pair.status();
                pair.rig.refuse(&packet);
                assert_eq!(pair.status(), before, "bit {bit}");
            }
        }
    }
}

#[test]
fn f_70_another_type_is_discarded() {
    for ours in AuthType::ALL {
        let mut pair = Pair::with_type(ours);
        for theirs in AuthType::ALL.into_iter().filter(|it| *it != ours) {
            let mut stranger = Authenticator::new(keys(theirs, &[1]), 1003);
            let packet = stranger.sign(pair.rig.now, heard(State::Up));
            pair.discards(&packet, "authentication-type");
        }
        for unassigned in [0, 6, 255] {
            let packet = ControlPacket {
                authentication: AuthenticationSection::new(unassigned, vec![1; 22]),
                ..heard(State::Up)
            };
            pair.discards(&packet, "authentication-type");
        }
    }
}

#[test]
fn c_161_f_71_sequence_numbers_lie_within_their_window() {
    for auth_type in KEYED {
        // Circular: the last time across the end.
        for last in [1000, u32::MAX - 9, u32::MAX] {
            let least = u32::from(auth_type.is_meticulous());
            // 3 × Detect Mult, which is 3.
            for (ahead, accepted) in [
                (0_u32.wrapping_sub(1), false),
                (0, least == 0),
                (1, true),
                (9, true),
                (10, false),
                (u32::MAX / 2, false),
            ] {
                let mut pair = Pair::with_type(auth_type);
                pair.rig.session.authenticator =
                    Some(Box::new(Authenticator::new(keys(auth_type, &[1]), 0)));
                let seeds = pair.with_sequence(last);
                pair.hear_as_it_is(&seeds).unwrap();
                let packet = pair.with_sequence(last.wrapping_add(ahead));
                if accepted {
                    pair.hear_as_it_is(&packet).unwrap();
                    assert_eq!(pair.status().rcv_auth_seq, Some(last.wrapping_add(ahead)));
                } else {
                    pair.discards(&packet, "authentication-sequence");
                }
            }
        }
    }
}

#[test]
fn c_161_the_window_has_the_multiplier_of_the_sender() {
    let mut pair = Pair::with_type(AuthType::MeticulousKeyedSha1);
    for (detect_mult, lost, accepted) in [(3, 9, false), (20, 59, true), (20, 60, false)] {
        for _ in 0..lost {
            pair.signed(heard(State::Up));
        }
        let packet = pair.signed(ControlPacket {
            detect_mult: mult(detect_mult),
            ..heard(State::Up)
        });
        let outcome = pair.hear_as_it_is(&packet);
        assert_eq!(outcome.is_ok(), accepted, "{lost} lost of ×{detect_mult}");
        pair.rig
            .session
            .authenticator
            .as_mut()
            .unwrap()
            .forget_sequence();
        pair.hear(heard(State::Up)).unwrap();
    }
}

#[test]
fn c_161_only_what_is_proven_seeds_the_window() {
    for auth_type in KEYED {
        let mut pair = Pair::new(keys(auth_type, &[1]), keys(auth_type, &[1]), 1000);
        pair.rig.sent();
        let forged = tampered(&pair.with_sequence(77), |data| {
            *data.last_mut().unwrap() ^= 1
        });
        pair.discards(&forged, "authentication-digest");
        assert_eq!(pair.status().rcv_auth_seq, None);
        pair.hear(heard(State::Down)).unwrap();
        pair.rig.sent();
        assert!(pair.status().rcv_auth_seq.is_some());
        // Nor does it move the window.
        let forged = tampered(&pair.with_sequence(1009), |data| data[10] ^= 1);
        pair.discards(&forged, "authentication-digest");
    }
}

#[test]
fn f_71_what_was_recorded_is_worth_nothing() {
    for auth_type in KEYED {
        let mut pair = Pair::with_type(auth_type);
        let recorded = pair.signed(heard(State::Down));
        pair.rig
            .session
            .handle_packet(pair.rig.now, &recorded)
            .unwrap();
        pair.hear(heard(State::Down)).unwrap();
        pair.hear(heard(State::Up)).unwrap();
        assert_eq!(pair.rig.session.state(), State::Up);
        pair.rig.sent();
        for _ in 0..3 {
            pair.discards(&recorded, "authentication-sequence");
        }
        assert_eq!(pair.rig.session.state(), State::Up);
    }
}

#[test]
fn c_142_the_sequence_number_is_forgotten_after_two_detection_times() {
    let mut pair = Pair::with_type(AuthType::MeticulousKeyedSha1);
    let detection_time = pair.rig.session.detection_time().unwrap();
    let restarted = |pair: &Pair| {
        let packet = pair.with_sequence(0x8000_0000);
        tampered(&packet, |_| {})
    };
    pair.rig.pass(detection_time);
    assert_eq!(pair.rig.session.state(), State::Down);
    assert!(pair.status().rcv_auth_seq.is_some());
    let packet = restarted(&pair);
    pair.discards(&packet, "authentication-sequence");
    pair.rig.pass(detection_time - millis(1));
    pair.discards(&packet, "authentication-sequence");
    pair.rig.pass(millis(1));
    assert_eq!(pair.status().rcv_auth_seq, None);
    pair.hear_as_it_is(&packet).unwrap();
    assert_eq!(pair.status().rcv_auth_seq, Some(0x8000_0000));
    // It is a window again.
    pair.rig.pass(detection_time - millis(1));
    let packet = pair.with_sequence(5);
    pair.discards(&packet, "authentication-sequence");
}

#[test]
fn c_142_a_packet_that_is_read_before_the_timers_have_run_is_accepted() {
    let mut pair = Pair::with_type(AuthType::KeyedMd5);
    pair.rig.now += pair.rig.session.detection_time().unwrap() * 2;
    let packet = pair.with_sequence(0x8000_0000);
    pair.hear_as_it_is(&packet).unwrap();
}

#[test]
fn c_142_discarded_packets_do_not_keep_the_sequence_number() {
    let mut pair = Pair::with_type(AuthType::KeyedSha1);
    let detection_time = pair.rig.session.detection_time().unwrap();
    let restarted = pair.with_sequence(0x8000_0000);
    for _ in 0..20 {
        pair.discards(&restarted, "authentication-sequence");
        pair.rig.pass(detection_time / 10);
        if pair.status().rcv_auth_seq.is_none() {
            break;
        }
    }
    pair.hear_as_it_is(&restarted).unwrap();
}

#[test]
fn c_142_the_silence_of_demand_mode_does_not_make_recorded_packets_acceptable() {
    for auth_type in KEYED {
        let mut pair = Pair::with_type(auth_type);
        let recorded = pair.signed(heard(State::Down));
        pair.rig.configure(SessionConfig {
            demand_mode: true,
            ..authenticated(keys(auth_type, &[1]))
        });
        while pair.rig.status().polling {
            pair.hear(with(State::Up, PollFinal::Final)).unwrap();
            pair.rig.run_until_sent();
        }
        assert!(pair.rig.status().demand_mode);
        pair.rig.pass(SECOND * 100);
        pair.hear(with(State::Up, PollFinal::Poll)).unwrap();
        pair.rig.pass(SECOND * 100);
        pair.discards(&recorded, "authentication-sequence");
        assert_eq!(pair.rig.session.state(), State::Up);
        // It ends here, and two Detection Times later the number is forgotten.
        pair.rig
            .session
            .take_down(pair.rig.now, Diagnostic::PATH_DOWN);
        pair.rig.pass(millis(1799));
        pair.discards(&recorded, "authentication-sequence");
        pair.rig.pass(millis(1));
        assert_eq!(pair.status().rcv_auth_seq, None);
    }
}

#[test]
fn c_162_a_meticulous_sequence_number_grows_with_each_packet() {
    for auth_type in [AuthType::MeticulousKeyedMd5, AuthType::MeticulousKeyedSha1] {
        let mut pair = Pair::with_type(auth_type);
        let mut last = None;
        for turn in 0..30 {
            let poll_final = [PollFinal::Neither, PollFinal::Poll][usize::from(turn % 5 == 0)];
            let mut sent = pair.hear(with(State::Up, poll_final)).unwrap();
            sent.extend(pair.rig.run_until_sent());
            for sequence in sent.iter().map(sequence_of) {
                assert!(last.is_none_or(|last: u32| last.wrapping_add(1) == sequence));
                last = Some(sequence);
            }
        }
        let next = last.map(|last| last.wrapping_add(1));
        assert_eq!(pair.status().xmit_auth_seq, next);
    }
}

#[test]
fn c_162_a_keyed_sequence_number_grows_with_what_is_new_and_once_a_second() {
    for auth_type in [AuthType::KeyedMd5, AuthType::KeyedSha1] {
        let mut pair = Pair::with_type(auth_type);
        pair.rig.run_until_sent();
        pair.hear(with(State::Up, PollFinal::Final)).unwrap();
        let mut sequences = Vec::new();
        let start = pair.rig.now;
        while pair.rig.now < start + SECOND * 10 {
            sequences.extend(pair.rig.run_until_sent().iter().map(sequence_of));
            pair.hear(heard(State::Up)).unwrap();
        }
        let grown = sequences.last().unwrap().wrapping_sub(sequences[0]);
        assert!((7..=10).contains(&grown), "{grown} in ten seconds");
        assert!(
            sequences
                .windows(2)
                .all(|pair| pair[1].wrapping_sub(pair[0]) <= 1)
        );
        // An answer to a Poll differs from what was sent before, and so does what comes after it.
        let answer = pair.hear(with(State::Up, PollFinal::Poll)).unwrap();
        let last = *sequences.last().unwrap();
        assert_eq!(sequence_of(&answer[0]), last.wrapping_add(1));
        let next = pair.rig.run_until_sent();
        assert_eq!(sequence_of(&next[0]), last.wrapping_add(2));
    }
}

#[test]
fn c_162_sequence_numbers_begin_at_random() {
    let first = |seed| {
        let config = authenticated(keys(AuthType::MeticulousKeyedSha1, &[1]));
        let id = SessionId::new(discr(LOCAL));
        let now = Instant::now();
        let mut session = Session::new(now, id, config, seed);
        sequence_of(&session.poll_transmit(now).unwrap())
    };
    assert_ne!(first(1), first(2));
    assert_ne!(first(1), first(3));
}

#[test]
fn c_163_keys_roll_over_without_a_flap() {
    for auth_type in AuthType::ALL {
        let mut pair = Pair::with_type(auth_type);
        let turn = |pair: &mut Pair, sent_key_id: u8| {
            for _ in 0..10 {
                for packet in pair.rig.run_until_sent() {
                    assert_eq!(packet.authentication.unwrap().data()[0], sent_key_id);
                }
                pair.hear(heard(State::Up)).unwrap();
            }
        };
        turn(&mut pair, 1);
        // Ours first: the new key is accepted, then the remote system has both and sends with it, then we do.
        pair.rig.configure(authenticated(keys(auth_type, &[1, 2])));
        turn(&mut pair, 1);
        pair.remote.set_authentication(&keys(auth_type, &[2, 1]));
        turn(&mut pair, 1);
        assert_eq!(pair.status().received_key_id, Some(2));
        pair.rig.configure(authenticated(keys(auth_type, &[2, 1])));
        turn(&mut pair, 2);
        pair.rig.configure(authenticated(keys(auth_type, &[2])));
        turn(&mut pair, 2);
        assert_eq!(pair.status().accepted_key_ids, [2]);
        assert_eq!(pair.rig.session.poll_event(), None);
        assert_eq!(pair.rig.status().counters.discarded.total(), 0);
        // What is retired is not accepted.
        pair.remote.set_authentication(&keys(auth_type, &[1]));
        let packet = pair.signed(heard(State::Up));
        pair.discards(&packet, "authentication-key-id");
    }
}

#[test]
fn a_new_key_does_not_make_what_was_recorded_acceptable() {
    let auth_type = AuthType::MeticulousKeyedSha1;
    let mut pair = Pair::with_type(auth_type);
    let recorded = pair.signed(heard(State::Down));
    pair.rig
        .session
        .handle_packet(pair.rig.now, &recorded)
        .unwrap();
    pair.rig.configure(authenticated(keys(auth_type, &[2, 1])));
    pair.discards(&recorded, "authentication-sequence");
}

#[test]
fn authentication_begins_and_ends_within_a_detection_time_of_each_other() {
    let mut rig = Rig::in_state(State::Up);
    rig.configure(authenticated(keys(AuthType::KeyedSha1, &[1])));
    assert_eq!(
        rig.refuse(&heard(State::Up)),
        Discard::MissingAuthentication
    );
    assert_eq!(rig.session.state(), State::Up);
    let mut remote = Authenticator::new(keys(AuthType::KeyedSha1, &[1]), 1);
    rig.hear(&remote.sign(rig.now, heard(State::Up)));
    rig.configure(SessionConfig::default());
    let authenticated = remote.sign(rig.now, heard(State::Up));
    assert_eq!(
        rig.refuse(&authenticated),
        Discard::UnexpectedAuthentication
    );
    rig.hear(&heard(State::Up));
    assert_eq!(rig.status().authentication, None);
    assert_eq!(rig.session.poll_event(), None);
    assert_eq!(rig.run_until_sent()[0].authentication, None);
}

#[test]
fn a_change_of_type_begins_a_new_sequence() {
    let mut pair = Pair::with_type(AuthType::KeyedMd5);
    let sha1 = keys(AuthType::MeticulousKeyedSha1, &[1]);
    pair.rig.configure(authenticated(sha1.clone()));
    assert_eq!(pair.status().rcv_auth_seq, None);
    pair.remote = Authenticator::new(sha1, 0x8000_0000);
    pair.hear(heard(State::Up)).unwrap();
    assert_eq!(pair.rig.session.poll_event(), None);
}

#[test]
fn nothing_but_the_section_differs_from_a_session_without_keys() {
    let mut plain = Rig::new();
    let mut keyed = Rig::with_config(authenticated(keys(AuthType::KeyedMd5, &[1])));
    let without = |packets: Vec<ControlPacket>| -> Vec<ControlPacket> {
        let authentication = None;
        packets
            .into_iter()
            .map(|packet| ControlPacket {
                authentication: authentication.clone(),
                ..packet
            })
            .collect()
    };
    assert_eq!(plain.sent(), without(keyed.sent()));
}
