//! Keys, and packets whose octets were computed by another implementation: Python's hashlib over the rules of RFC 5880 §6.7.
#![allow(clippy::disallowed_methods)]

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Instant;

use super::*;
use crate::discard::Discard;
use crate::packet::{AuthenticationSection, ControlPacket, Diagnostic, Micros, PollFinal, State};

/// Up, multiplier 3, my 7, your 0x1111, both intervals 300 ms.
fn packet() -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll_final: PollFinal::Neither,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(7).unwrap(),
        your_discriminator: NonZeroU32::new(0x1111),
        desired_min_tx_interval: Micros::from_millis(300),
        required_min_rx_interval: Micros::from_millis(300),
        required_min_echo_rx_interval: Micros::ZERO,
        authentication: None,
    }
}

fn key(auth_type: AuthType, id: u8, octets: &[u8]) -> AuthenticationKey {
    AuthenticationKey::new(auth_type, id, octets).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let octets = text.split_whitespace();
    octets
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect()
}

/// A packet is signed as these octets, and they are believed.
fn assert_signed_as(key: AuthenticationKey, sequence: u32, flags_to_length: &str, section: &str) {
    let octets = hex(&format!(
        "20 {flags_to_length} 00 00 00 07 00 00 11 11 00 04 93 e0 00 04 93 e0 00 00 00 00 {section}"
    ));
    // What is not meticulous counts the first packet as one with something new.
    let first_sequence = match key.auth_type().is_meticulous() {
        true => sequence,
        false => sequence.wrapping_sub(1),
    };
    let mut sender = Authenticator::new(key.clone().into(), first_sequence);
    let signed = sender.sign(Instant::now(), packet());
    assert_eq!(signed.encode(), octets, "{}", key.auth_type());
    let mut receiver = Authenticator::new(key.into(), 0);
    let received = ControlPacket::parse(&octets).unwrap();
    assert_eq!(receiver.verify(&received), Ok(()));
}

#[test]
fn c_159_simple_password_on_the_wire() {
    let simple = |id, password| key(AuthType::SimplePassword, id, password);
    assert_signed_as(
        simple(1, b"password"),
        0,
        "c4 03 23",
        "01 0b 01 70 61 73 73 77 6f 72 64",
    );
    assert_signed_as(
        simple(255, b"0123456789abcdef"),
        0,
        "c4 03 2b",
        "01 13 ff 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66",
    );
}

#[test]
fn c_160_digests_on_the_wire() {
    use AuthType::{KeyedMd5, KeyedSha1, MeticulousKeyedMd5, MeticulousKeyedSha1};
    let sequence = 0x0102_0304;
    for (auth_type, length, section) in [
        (
            KeyedMd5,
            "c4 03 30",
            "02 18 07 00 01 02 03 04 c2 71 bc 15 41 12 ed d3 20 0d 47 aa f5 af 00 a7",
        ),
        (
            MeticulousKeyedMd5,
            "c4 03 30",
            "03 18 07 00 01 02 03 04 7e 8c dd fd c8 e5 dc b5 4e 23 54 36 67 56 47 4d",
        ),
        (
            KeyedSha1,
            "c4 03 34",
            "04 1c 07 00 01 02 03 04 c8 87 c5 95 03 14 a4 11 46 b7 10 d4 88 0f aa fb c7 65 a0 56",
        ),
        (
            MeticulousKeyedSha1,
            "c4 03 34",
            "05 1c 07 00 01 02 03 04 16 ee 6b 80 12 33 53 df b9 71 46 8c 8f 75 1b f6 ba c4 ec e5",
        ),
    ] {
        assert_signed_as(key(auth_type, 7, b"s3cret"), sequence, length, section);
    }
    // The longest keys, and the last sequence number there is.
    assert_signed_as(
        key(MeticulousKeyedMd5, 0, b"0123456789abcdef"),
        u32::MAX,
        "c4 03 30",
        "03 18 00 00 ff ff ff ff 80 ed f8 77 36 97 2d 7a 32 33 98 90 99 30 cd 0f",
    );
    assert_signed_as(
        key(MeticulousKeyedSha1, 0, b"0123456789abcdefghij"),
        u32::MAX,
        "c4 03 34",
        "05 1c 00 00 ff ff ff ff 42 86 f8 36 52 c8 48 d8 6a 04 9f 55 df 94 a2 7b 12 d5 c4 02",
    );
}

#[test]
fn c_160_reserved_is_ignored_but_covered_by_the_digest() {
    let key = key(AuthType::KeyedMd5, 7, b"s3cret");
    let mut signed = Authenticator::new(key.clone().into(), 1).sign(Instant::now(), packet());
    let section = signed.authentication.as_ref().unwrap();
    let mut data = section.data().to_vec();
    data[1] = 0x55;
    signed.authentication = AuthenticationSection::new(section.auth_type(), data.clone());
    let verdict = |packet: &ControlPacket| Authenticator::new(key.clone().into(), 1).verify(packet);
    assert_eq!(verdict(&signed), Err(Discard::AuthenticationDigest));
    let octets = signed.encode();
    let before = octets.len() - Hash::Md5.len();
    let digest = Hash::Md5.digest(&octets[..before], &key);
    signed
        .authentication
        .as_mut()
        .unwrap()
        .set_end(digest.as_slice());
    assert_eq!(verdict(&signed), Ok(()));
}

#[test]
fn keys_have_the_lengths_that_fit_into_a_packet() {
    for auth_type in AuthType::ALL {
        let longest = auth_type.longest_key();
        for length in [1, longest] {
            assert!(AuthenticationKey::new(auth_type, 1, &vec![1; length]).is_ok());
        }
        assert_eq!(
            AuthenticationKey::new(auth_type, 1, b""),
            Err(KeyError::Empty)
        );
        for length in [longest + 1, 1000] {
            let error = AuthenticationKey::new(auth_type, 1, &vec![1; length]).unwrap_err();
            assert_eq!(error, KeyError::TooLong { auth_type, length });
            assert!(error.to_string().contains(&longest.to_string()));
        }
    }
}

#[test]
fn keys_of_a_session_have_one_type_and_different_ids() {
    let md5 = |id| key(AuthType::KeyedMd5, id, b"s3cret");
    assert_eq!(Authentication::new([]), Err(AuthenticationError::NoKey));
    assert_eq!(
        Authentication::new([md5(1), md5(2), md5(1)]),
        Err(AuthenticationError::KeyIdTwice(1))
    );
    let sha1 = key(AuthType::KeyedSha1, 2, b"s3cret");
    assert_eq!(
        Authentication::new([md5(1), sha1]),
        Err(AuthenticationError::Types {
            one: AuthType::KeyedMd5,
            other: AuthType::KeyedSha1
        })
    );
    let all = Authentication::new((0..=255).map(md5)).unwrap();
    assert_eq!(all.first().id(), 0);
    assert_eq!(all.keys().count(), 256);
}

#[test]
fn keys_compare_by_all_they_are() {
    let one = key(AuthType::KeyedMd5, 1, b"s3cret");
    assert_eq!(one, one.clone());
    assert_ne!(one, key(AuthType::KeyedMd5, 1, b"other"));
    assert_ne!(one, key(AuthType::KeyedMd5, 2, b"s3cret"));
    assert_ne!(one, key(AuthType::KeyedSha1, 1, b"s3cret"));
    assert_ne!(one, key(AuthType::KeyedMd5, 1, b"s3cret\0"));
}

#[test]
fn a_key_is_never_shown() {
    let key = key(AuthType::SimplePassword, 1, b"s3cret");
    let authenticator = Authenticator::new(key.clone().into(), 1);
    let authentication = Authentication::from(key.clone());
    let shown = format!("{key:?} {authentication:?} {authenticator:?}");
    assert!(shown.contains("SimplePassword"));
    assert!(
        !shown.contains("s3cret") && !shown.contains("115, 51"),
        "{shown}"
    );
}
