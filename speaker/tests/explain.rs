//! What the daemon tells of itself, by the real binary: a capture that Wireshark can read, a log with
//! its sessions, no secrets, and a history that is whole after a crash.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use support::{Daemon, eventually, herald, loopback, words};

const PASSWORD: &str = "md5-s3cret-of-the-tests";
const BFD_KEY: &str = "bfd-s3cret-test";

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, more: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"500ms\"\n{more}\n\
         [[service]]\nname = \"web\"\naddresses = [\"192.0.2.{}\"]\n",
        own_as - 64400
    )
}

/// Two daemons, each other's peer, and their addresses.
fn pair(more: &str) -> ([Daemon; 2], [Ipv4Addr; 2]) {
    let [one, two] = [loopback(), loopback()];
    let daemons = [
        Daemon::start(&config(one, 64520, two, 64521, more)),
        Daemon::start(&config(two, 64521, one, 64520, more)),
    ];
    for daemon in &daemons {
        daemon.wait_until_established("other");
    }
    (daemons, [one, two])
}

fn u16_le(octets: &[u8]) -> u16 {
    u16::from_le_bytes(octets[..2].try_into().unwrap())
}

fn u32_le(octets: &[u8]) -> u32 {
    u32::from_le_bytes(octets[..4].try_into().unwrap())
}

fn u16_be(octets: &[u8]) -> u16 {
    u16::from_be_bytes(octets[..2].try_into().unwrap())
}

/// The packets of a pcapng file, whose blocks must be as the format has them.
fn packets(mut file: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(u32_le(file), 0x0a0d_0d0a, "a section begins it");
    let mut packets = Vec::new();
    let mut interfaces = 0;
    while !file.is_empty() {
        let (kind, length) = (u32_le(file), u32_le(&file[4..]) as usize);
        assert_eq!(length % 4, 0);
        let (block, rest) = file.split_at(length);
        assert_eq!(u32_le(&block[length - 4..]) as usize, length);
        let body = &block[8..length - 4];
        file = rest;
        let options = match kind {
            0x0a0d_0d0a => {
                assert_eq!(u32_le(body), 0x1a2b_3c4d, "the byte order");
                interfaces = 0;
                &body[16..]
            }
            1 => {
                assert_eq!(u16_le(body), 101, "raw IP");
                interfaces += 1;
                &body[8..]
            }
            6 => {
                assert!(u32_le(body) < interfaces, "of a known interface");
                let (kept, whole) = (u32_le(&body[12..]) as usize, u32_le(&body[16..]) as usize);
                assert_eq!(kept, whole, "all of it is kept");
                packets.push(body[20..20 + kept].to_vec());
                &body[20 + kept.next_multiple_of(4)..]
            }
            other => panic!("a block of type {other:#x}"),
        };
        check_options(options);
    }
    packets
}

fn check_options(mut options: &[u8]) {
    while !options.is_empty() {
        let (code, length) = (u16_le(options), usize::from(u16_le(&options[2..])));
        options = &options[4 + length.next_multiple_of(4)..];
        assert!(code != 0 || (length == 0 && options.is_empty()));
    }
}

/// From, to, sequence number, acknowledged, payload.
type Segment = ((Ipv4Addr, u16), (Ipv4Addr, u16), u32, u32, Vec<u8>);

fn segment(packet: &[u8]) -> Segment {
    assert_eq!(packet[0], 0x45);
    assert_eq!(usize::from(u16_be(&packet[2..])), packet.len());
    assert_eq!(packet[9], 6, "TCP");
    assert_eq!(checksum(&packet[..20]), 0);
    let address = |at: usize| {
        let octets: [u8; 4] = packet[at..at + 4].try_into().unwrap();
        Ipv4Addr::from(octets)
    };
    let tcp = &packet[20..];
    let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
    let mut sum = [&packet[12..20], &[0, 6][..]].concat();
    sum.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    sum.extend(tcp);
    assert_eq!(checksum(&sum), 0);
    (
        (address(12), u16_be(tcp)),
        (address(16), u16_be(&tcp[2..])),
        number(4),
        number(8),
        tcp[20..].to_vec(),
    )
}

fn checksum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Each connection's ways: their octets in order, none missing, and how often a sequence number or
/// acknowledgment was not what the other way says.
fn check_session(segments: &[Segment], own: Ipv4Addr, other: Ipv4Addr) -> [Vec<u8>; 2] {
    let mut next: BTreeMap<_, u32> = BTreeMap::new();
    let mut types = [Vec::new(), Vec::new()];
    for (from, to, sequence, acknowledged, payload) in segments {
        let ends = [(from.0, to.0), (to.0, from.0)];
        assert!(ends.contains(&(own, other)), "{from:?} {to:?}");
        assert!(from.1 == 11179 || to.1 == 11179, "{from:?} {to:?}");
        let expected = *next.get(&(from, to)).unwrap_or(sequence);
        assert_eq!(*sequence, expected, "nothing is missing");
        let behind = sequence.wrapping_add(u32::try_from(payload.len()).unwrap());
        next.insert((from, to), behind);
        if let Some(theirs) = next.get(&(to, from)) {
            assert_eq!(acknowledged, theirs, "what was received before");
        }
        assert_eq!(payload[..16], [0xff; 16], "a marker");
        assert_eq!(usize::from(u16_be(&payload[16..])), payload.len());
        types[usize::from(from.0 == other)].push(payload[18]);
    }
    types
}

#[test]
fn a_capture_holds_what_both_sides_said() {
    let ([here, _there], [own, other]) = pair("");
    // UPDATE, of both.
    eventually("both have announced", || {
        let messages = &here.show(&["peer", "other"])["messages"];
        ["sent", "received"].iter().all(|way| {
            let updates = messages[way]["update"].as_u64().unwrap();
            updates >= 1
        })
    });
    let path = here.path("other.pcapng");
    let file = path.to_str().unwrap();
    here.ok(&["capture", "other", "-w", file]);
    let segments: Vec<Segment> = packets(&fs::read(&path).unwrap())
        .iter()
        .map(|packet| segment(packet))
        .collect();
    // OPEN, UPDATE and KEEPALIVE.
    for types in check_session(&segments, own, other) {
        for kind in [1, 2, 4] {
            assert!(types.contains(&kind), "{kind}: {types:?}");
        }
    }
    let spoken = here.fails(1, &["capture", "nobody", "-w", file]);
    assert!(spoken.contains("nobody"), "{spoken}");
    assert!(
        !packets(&fs::read(&path).unwrap()).is_empty(),
        "what was written before stays"
    );
    // How much is kept changes while the session goes on.
    let text = fs::read_to_string(here.file()).unwrap();
    fs::write(
        here.file(),
        text.replace("[[peer]]", "[[peer]]\ncapture = \"off\""),
    )
    .unwrap();
    let said = here.ok(&["reload"]);
    assert!(
        said.contains("updated in place: capture 16KiB -> off"),
        "{said}"
    );
    let spoken = here.fails(1, &["capture", "other", "-w", file]);
    assert!(spoken.contains("capture = \"off\""), "{spoken}");
    assert_eq!(here.show(&["peer", "other"])["established_count"], 1);
}

#[test]
fn a_capture_that_is_followed_goes_on() {
    let ([here, there], [own, other]) = pair("");
    let path = here.path("followed.pcapng");
    let mut following = herald()
        .arg("--socket")
        .arg(here.socket())
        .args(["capture", "other", "--follow"])
        .stdout(fs::File::create(&path).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let taken = || {
        let file = fs::read(&path).unwrap();
        // What is being written is not whole.
        let whole = file.len() >= 12 && u32_le(&file[file.len() - 4..]) > 0;
        whole.then_some(file)
    };
    eventually("what there was is there", || taken().is_some());
    there.ok(&["announce", "198.51.100.0/24"]);
    let prefix = [24, 198, 51, 100];
    let has_come = |file: &[u8]| file.windows(4).any(|octets| octets == prefix);
    eventually("what happens is there", || {
        taken().is_some_and(|file| has_come(&file))
    });
    following.kill().unwrap();
    following.wait().unwrap();
    let segments: Vec<Segment> = packets(&fs::read(&path).unwrap())
        .iter()
        .map(|packet| segment(packet))
        .collect();
    check_session(&segments, own, other);
}

#[test]
fn a_terminal_is_spared_of_a_capture() {
    let here = Daemon::start(&config(loopback(), 64520, loopback(), 64521, ""));
    let terminal = nix::pty::openpty(None, None).unwrap();
    let output = herald()
        .arg("--socket")
        .arg(here.socket())
        .args(["capture", "other"])
        .stdout(terminal.slave)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = support::stderr(&output);
    assert!(said.contains("-w other.pcapng"), "{said}");
}

/// Every file below a directory, as text.
fn texts(directory: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(texts(&path));
        } else if path.is_file() {
            let octets = fs::read(&path).unwrap();
            all.push((
                path.display().to_string(),
                String::from_utf8_lossy(&octets).into_owned(),
            ));
        }
    }
    all
}

#[test]
fn keys_are_told_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("password", PASSWORD), ("bfd", BFD_KEY)].map(|(name, key)| {
        let path = directory.path().join(name);
        fs::write(&path, key).unwrap();
        path
    });
    let [password, bfd] = &files;
    let [one, two] = [loopback(), loopback()];
    let config = |own: Ipv4Addr, own_as, other, other_as| {
        let more =
            format!("password-file = {password:?}\nbfd-profile = \"keyed\"\nbfd-port = 13784");
        let config = config(own, own_as, other, other_as, &more);
        format!(
            "[log]\nlevel = \"trace\"\n[bfd]\nlisten = [\"{own}:13784\"]\n[[bfd-profile]]\nname = \"keyed\"\n\
             auth = {{ type = \"meticulous-keyed-sha1\", key-id = 7, key-file = {bfd:?} }}\n{config}"
        )
    };
    let here = Daemon::start(&config(one, 64520, two, 64521));
    let there = Daemon::start(&config(two, 64521, one, 64520));
    for daemon in [&here, &there] {
        daemon.wait_until_established("other");
    }
    // Another key, an end, and a new session are told of, too.
    here.ok(&["peer", "reset", "other"]);
    fs::write(password, format!("{PASSWORD}-too")).unwrap();
    here.ok(&["reload"]);
    there.ok(&["reload"]);
    here.wait_until_established("other");
    here.ok(&[
        "capture",
        "other",
        "-w",
        here.path("c.pcapng").to_str().unwrap(),
    ]);

    let ask = |path: &str| {
        let stream = UnixStream::connect(here.socket()).unwrap();
        support::http::ask(stream, "GET", path, "", "")
    };
    let described = ask("/v1/openapi.json").json();
    let mut told = texts(here.file().parent().unwrap());
    assert!(told.iter().any(|(path, _)| path.ends_with("history.jsonl")));
    for path in described["paths"].as_object().unwrap().keys() {
        let path = path.replace("{name}", "other");
        let answer = ask(&path);
        told.push((path, answer.body));
    }
    told.push(("show config".to_owned(), here.ok(&["show", "config"])));
    assert!(here.log().contains("DEBUG"), "{}", here.log());
    let digits = |text: &str| -> String { text.bytes().map(|it| format!("{it:02x}")).collect() };
    let listed = |text: &str| format!("{:?}", text.as_bytes()).replace(['[', ']'], "");
    for secret in [PASSWORD, BFD_KEY] {
        for form in [secret.to_owned(), digits(secret), listed(secret)] {
            for (place, text) in &told {
                assert!(!text.contains(&form), "{place} tells {form}");
            }
        }
    }
}

#[test]
fn lines_of_the_log_name_their_session_and_its_level_changes_at_a_reload() {
    let [one, two] = [loopback(), loopback()];
    let quiet = format!(
        "[log]\nlevel = \"warn\"\n{}",
        config(one, 64520, two, 64521, "")
    );
    let here = Daemon::start(&quiet);
    let there = Daemon::start(&config(two, 64521, one, 64520, ""));
    here.wait_until_established("other");
    assert!(!here.log().contains("INFO"), "{}", here.log());
    here.write(&quiet.replace("\"warn\"", "\"debug\""));
    here.ok(&["reload"]);
    there.ok(&["peer", "reset", "other"]);
    let is_lost = |line: &str| {
        line.contains("BGP session lost")
            && line.contains(&format!("bgp{{remote={two} session="))
            && line.contains("peer=other")
    };
    eventually("the loss is in the log", || here.log().lines().any(is_lost));
    eventually("and the new session, at the new level", || {
        here.log()
            .lines()
            .any(|line| line.contains("INFO") && line.contains("BGP session established"))
    });
    assert!(here.log().contains("DEBUG"), "{}", here.log());
}

#[test]
fn after_a_crash_the_history_says_how_the_sessions_ended() {
    let ([mut here, _there], _) = pair("");
    let up = |daemon: &Daemon| {
        let events = daemon.show(&["events", "--peer", "other"]);
        let events = events.as_array().unwrap();
        events
            .iter()
            .map(|event| {
                (
                    event["from"].clone(),
                    event["to"].clone(),
                    event["cause"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let history = here.path("state").join("history.jsonl");
    eventually("it is written down", || {
        fs::read_to_string(&history).is_ok_and(|text| text.contains("Established"))
    });
    here.kill();
    here.launch();
    here.wait_until_established("other");
    let lost = up(&here);
    let ends: Vec<_> = lost
        .iter()
        .filter(|(from, _, _)| from == "Established")
        .collect();
    assert_eq!(ends.len(), 1, "{lost:?}");
    assert_eq!(ends[0].2, "the daemon ended without a word");
    let page = words(&here.ok(&["show", "peer", "other"]));
    assert!(
        page.contains("the daemon ended without a word. The daemon was started again at"),
        "{page}"
    );
}

#[test]
fn what_both_sides_said_last_is_known_after_a_restart() {
    let ([mut here, there], _) = pair("");
    there.ok(&["peer", "shutdown", "other", "-m", "rack 12 moves"]);
    wait_until_written(&here, "notification_received");
    here.kill();
    drop(there);
    here.launch();
    let status = here.show(&["peer", "other"]);
    let said = &status["last_notification_received"];
    assert_eq!(said["communication"], "rack 12 moves", "{status:#}");
    let page = words(&here.ok(&["show", "peer", "other"]));
    assert!(page.contains("rack 12 moves"), "{page}");
}

#[test]
fn a_neighbor_of_a_range_is_remembered_after_a_restart() {
    let [own, other] = [loopback(), loopback()];
    let mut here = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer-range]]\nname = \"rack\"\nprefix = \"{other}/32\"\nremote-as = 64521\nsource-address = \"{own}\"\n"
    ));
    let name = format!("rack@{other}");
    let neighbor = || Daemon::start(&config(other, 64521, own, 64520, ""));
    let first = neighbor();
    here.wait_until_established(&name);
    first.ok(&["peer", "shutdown", "other", "-m", "rack 13 moves"]);
    wait_until_written(&here, "notification_received");
    drop(first);
    here.kill();
    here.launch();
    let events = words(&here.ok(&["show", "events", "--peer", &name]));
    assert!(events.contains("rack 13 moves"), "{events}");
    let said = here.fails(1, &["show", "peer", &name]);
    assert!(said.contains("came by a range and is not there"), "{said}");
    let second = neighbor();
    second.wait_until_established("other");
    let page = words(&here.ok(&["show", "peer", &name]));
    assert!(page.contains("rack 13 moves"), "{page}");
}

fn wait_until_written(daemon: &Daemon, what: &str) {
    let history = daemon.path("state").join("history.jsonl");
    eventually("it is written down", || {
        fs::read_to_string(&history).is_ok_and(|text| text.contains(what))
    });
}
