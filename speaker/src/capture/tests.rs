use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// A message of this type and length.
fn message(kind: u8, length: usize) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend(u16::try_from(length).unwrap().to_be_bytes());
    octets.push(kind);
    octets.resize(length, kind);
    octets
}

fn ends() -> [SocketAddr; 2] {
    ["192.0.2.71:40000", "192.0.2.1:179"].map(|end| end.parse().unwrap())
}

/// A connection of a session that tells its id.
fn conn() -> ConnId {
    conns()[0]
}

fn second_conn() -> ConnId {
    conns()[1]
}

/// Two connections of a session, as when both ends have opened one.
fn conns() -> [ConnId; 2] {
    let config = bgp::SessionConfig::new(
        bgp::Asn::new(64520).unwrap(),
        bgp::BgpIdentifier::new([192, 0, 2, 71].into()).unwrap(),
        bgp::RemoteAs::External,
    );
    let now = Instant::now();
    let mut session = bgp::Session::new(config, 1);
    session.start(now);
    let [local, remote] = ends();
    let addresses = bgp::Addresses::new(local, remote);
    [bgp::Direction::Outgoing, bgp::Direction::Incoming]
        .map(|direction| session.handle_connected(now, direction, addresses))
}

fn captured(chunks: &[(Side, Vec<u8>)]) -> Capture {
    let mut capture = Capture::new(CaptureSize::default());
    capture.opened(conn(), ends());
    for (side, octets) in chunks {
        capture.carried(Instant::now(), conn(), *side, octets);
    }
    capture
}

/// The pieces from this number on, and the number of the next that comes.
fn kept(capture: &Capture, from: u64) -> (Vec<Piece>, u64) {
    let excerpt = capture.excerpt(from);
    (excerpt.pieces(), excerpt.next())
}

#[test]
fn pieces_are_messages_however_tcp_carries_them() {
    use Side::{Received, Sent};
    let two = [message(1, 45), message(4, 19)].concat();
    let (head, tail) = two.split_at(50);
    let capture = captured(&[
        (Sent, two.clone()),
        (Received, head.to_vec()),
        (Received, tail.to_vec()),
        (Sent, message(2, 23)),
    ]);
    let (pieces, next) = kept(&capture, 0);
    let told: Vec<_> = pieces
        .iter()
        .map(|piece| {
            (
                piece.side,
                piece.offset,
                piece.other_offset,
                piece.octets.len(),
                piece.begins,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Sent, 0, 0, 45, true),
            (Sent, 45, 0, 19, true),
            (Received, 0, 64, 45, true),
            (Received, 45, 64, 5, true),
            (Received, 50, 64, 14, false),
            (Sent, 64, 64, 23, true),
        ]
    );
    assert_eq!(next, 6);
    let (later, _) = kept(&capture, 5);
    assert_eq!(later.len(), 1);
    assert_eq!(kept(&capture, 6).0, []);
    assert_eq!(
        kept(&capture, 99).0.len(),
        6,
        "a number of a former capture"
    );
}

#[test]
fn it_is_bounded_and_keeps_the_last() {
    let mut capture = captured(&[]);
    for number in 0..1000 {
        capture.carried(
            Instant::now(),
            conn(),
            Side::Sent,
            &message(2, 19 + number % 200),
        );
        capture.carried(Instant::now(), conn(), Side::Received, &message(4, 19));
        let entries = capture.entries.len() * size_of::<Entry>();
        assert!(capture.octets.len() + entries <= capture.capacity);
    }
    let all = vec![message(2, 4096); 100].concat();
    capture.carried(Instant::now(), conn(), Side::Sent, &all);
    assert!(
        capture.octets.capacity() <= 4 * capture.capacity,
        "{}",
        capture.octets.capacity()
    );
    let (pieces, next) = kept(&capture, 0);
    assert!(pieces.iter().all(|piece| piece.octets == message(2, 4096)));
    assert_eq!(pieces.last().unwrap().number + 1, next);
    let last = pieces.last().unwrap();
    let before = &pieces[pieces.len() - 2];
    assert_eq!(last.offset, before.offset + 4096);
}

#[test]
fn a_direction_begins_with_a_message() {
    let mut capture = captured(&[]);
    let long = message(2, 60_000);
    for chunk in long.chunks(1400) {
        capture.carried(Instant::now(), conn(), Side::Received, chunk);
    }
    assert_eq!(kept(&capture, 0).0, [], "its beginning is not kept");
    capture.carried(Instant::now(), conn(), Side::Received, &message(4, 19));
    assert_eq!(kept(&capture, 0).0.len(), 1);
}

#[test]
fn changes_of_state_are_told_with_what_is_nearest() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut capture = Capture::new(CaptureSize::default());
    capture.opened(conn(), ends());
    capture.carried(at(0), conn(), Side::Received, &message(4, 19));
    let change = |millis, from, to| Transition {
        at: at(millis),
        from,
        to,
        cause: bgp::Cause::KeepaliveReceived,
    };
    use bgp::State::{Established, Idle, OpenConfirm};
    capture.changed(&change(1, OpenConfirm, Established));
    capture.changed(&change(999, Established, Idle));
    capture.carried(at(1000), conn(), Side::Sent, &message(3, 21));
    let (pieces, _) = kept(&capture, 0);
    assert_eq!(
        pieces[0].comments,
        ["OpenConfirm -> Established: KEEPALIVE received"]
    );
    assert_eq!(
        pieces[1].comments,
        ["Established -> Idle: KEEPALIVE received"]
    );
}

#[test]
fn what_a_closed_connection_carried_stays_until_it_gives_way() {
    let mut capture = captured(&[(Side::Sent, message(1, 45))]);
    capture.closed(conn());
    capture.carried(Instant::now(), conn(), Side::Sent, &message(4, 19));
    assert_eq!(kept(&capture, 0).0.len(), 2);
    let mut empty = captured(&[]);
    empty.closed(conn());
    assert!(empty.streams.is_empty());
}

#[test]
fn a_closed_connection_is_forgotten_with_the_last_of_what_it_carried() {
    let mut capture = captured(&[(Side::Sent, message(1, 45))]);
    capture.closed(conn());
    assert_eq!(capture.streams.len(), 1);
    // Another that is open carries what fills the room.
    let second = second_conn();
    capture.opened(second, ends());
    for _ in 0..1000 {
        capture.carried(Instant::now(), second, Side::Sent, &message(4, 19));
    }
    let left: Vec<_> = capture.streams.keys().copied().collect();
    assert_eq!(left, [second]);
    assert_eq!(capture.streams[&second].entries, capture.entries.len());
    capture.closed(second);
    capture.resize(CaptureSize::OFF);
    assert!(capture.streams.is_empty());
}

#[test]
fn an_excerpt_has_no_more_than_what_is_asked_for() {
    let chunks = vec![(Side::Sent, message(4, 19)); 1000];
    let mut capture = captured(&chunks);
    let last = capture.total - 1;
    let excerpt = capture.excerpt(last);
    assert_eq!((excerpt.entries.len(), excerpt.octets.len()), (1, 19));
    assert_eq!(excerpt.pieces()[0].number, last);
    // What goes on from something that is kept is there, though its beginning is not asked for.
    let long = message(2, 40);
    let (head, tail) = long.split_at(30);
    capture.carried(Instant::now(), conn(), Side::Sent, head);
    let next = capture.excerpt(0).next();
    capture.carried(Instant::now(), conn(), Side::Sent, tail);
    let (later, _) = kept(&capture, next);
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].octets.as_slice(), later[0].begins), (tail, false));
}

/// The blocks of a file: type and body.
fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |octets: &[u8]| u32::from_le_bytes(octets[..4].try_into().unwrap());
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let (kind, total) = (word(file), word(&file[4..]) as usize);
        assert_eq!(total % 4, 0);
        assert_eq!(word(&file[total - 4..]) as usize, total);
        blocks.push((kind, &file[8..total - 4]));
        file = &file[total..];
    }
    blocks
}

fn ones_complement(octets: &[u8]) -> u32 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let sum: u32 = words.sum();
    (sum & 0xffff) + (sum >> 16)
}

#[test]
fn the_file_is_one_that_others_read() {
    let mut capture = captured(&[
        (Side::Sent, message(1, 45)),
        (Side::Received, message(1, 51)),
    ]);
    let end: [SocketAddr; 2] =
        ["[2001:db8::71]:40001", "[2001:db8::1]:179"].map(|end| end.parse().unwrap());
    capture.streams.get_mut(&conn()).unwrap().ends = end;
    let (pieces, _) = kept(&capture, 0);
    let now = (
        Instant::now(),
        UNIX_EPOCH + Duration::from_secs(1_767_320_047),
    );
    let v6 = render("tor-a", now, &pieces);
    capture.streams.get_mut(&conn()).unwrap().ends = ends();
    let v4 = render("tor-a", now, &kept(&capture, 0).0);
    for (file, header) in [(&v4, 20), (&v6, 40)] {
        let blocks = blocks(file);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6]);
        let packet = blocks[2].1;
        let length = u32::from_le_bytes(packet[12..16].try_into().unwrap()) as usize;
        assert_eq!(length, header + 20 + 45);
        let nanos = u64::from(u32::from_le_bytes(packet[4..8].try_into().unwrap())) << 32
            | u64::from(u32::from_le_bytes(packet[8..12].try_into().unwrap()));
        assert_eq!(nanos / 1_000_000_000 / 10, 176_732_004);
        let ip = &packet[20..20 + length];
        let segment = &ip[header..];
        assert_eq!(&segment[20..], message(1, 45));
        assert_eq!(&segment[2..4], 179_u16.to_be_bytes());
        // RFC 1071: with its own checksum, the sum is all ones.
        let addresses = match header {
            20 => &ip[12..20],
            _ => &ip[8..40],
        };
        let pseudo = [
            addresses,
            &[0, 6],
            &u16::try_from(segment.len()).unwrap().to_be_bytes(),
            segment,
        ]
        .concat();
        assert_eq!(ones_complement(&pseudo), 0xffff);
        if header == 20 {
            assert_eq!(ones_complement(&ip[..20]), 0xffff);
        }
    }
}

#[test]
fn its_size_changes_while_a_session_goes_on_and_may_be_nothing() {
    let mut capture = captured(&[]);
    let carry = |capture: &mut Capture| {
        for _ in 0..100 {
            capture.carried(Instant::now(), conn(), Side::Sent, &message(2, 1000));
        }
        kept(capture, 0).0.len()
    };
    let few = carry(&mut capture);
    assert!((10..=16).contains(&few), "{few}");
    capture.resize(CaptureSize::new(64 * 1024).unwrap());
    let many = carry(&mut capture);
    assert!(many >= 4 * few, "{many}");
    capture.resize(CaptureSize::OFF);
    assert_eq!(capture.octets.capacity() + capture.entries.capacity(), 0);
    assert_eq!(carry(&mut capture), 0);
    assert_eq!(capture.octets.capacity(), 0);
    // Messages begin where they do, though nobody has kept those before.
    capture.resize(CaptureSize::default());
    assert_eq!(carry(&mut capture), few);
    let (pieces, _) = kept(&capture, 0);
    assert!(
        pieces
            .iter()
            .all(|piece| piece.begins && piece.length == 1000)
    );
}
