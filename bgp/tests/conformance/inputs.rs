//! Octets that a neighbor sends, and what must come of them.
//!
//! With `HERALD_WRITE_SEEDS=fuzz/seeds` in the environment, each input becomes a seed of the fuzz
//! targets.

use std::fs;
use std::path::Path;

use allocation_counter::measure;
use herald_bgp::wire::{AttributeAction, MessageType};
use herald_bgp::{Event, State};

use crate::script::{Script, config, routes};

pub(crate) const ORIGIN: &str = "40 01 01 00";
pub(crate) const AS_PATH: &str = "40 02 06 02 01 0000fc09";
pub(crate) const NEXT_HOP: &str = "40 03 04 c0000201";
/// 203.0.113.0/24
pub(crate) const PREFIX: &str = "18 cb0071";

/// The most that an octet may cost. The dearest is an IPv6 default route: one on the wire, 17 in memory.
const ALLOCATED_PER_OCTET: usize = 32;

/// What an input does to a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Ended with a NOTIFICATION of this code and subcode.
    Ends(u8, u8),
    /// Ended without a word.
    EndsSilently,
    /// Goes on, with so many prefixes announced and withdrawn.
    GoesOn { announced: usize, withdrawn: usize },
}

/// The input says nothing, or nothing that is understood.
pub(crate) const IGNORED: Outcome = Outcome::GoesOn {
    announced: 0,
    withdrawn: 0,
};
/// The prefix is announced, whatever else there is.
pub(crate) const ANNOUNCED: Outcome = Outcome::GoesOn {
    announced: 1,
    withdrawn: 0,
};
/// The announcement is treated as a withdrawal (RFC 7606 §2).
pub(crate) const WITHDRAWN: Outcome = Outcome::GoesOn {
    announced: 0,
    withdrawn: 1,
};

/// Octets from hexadecimal digits; blanks say nothing.
pub(crate) fn hex(text: &str) -> Vec<u8> {
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

/// A message with a right header.
pub(crate) fn message(kind: MessageType, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16], &length.to_be_bytes()[..], &[kind as u8], body].concat()
}

/// An UPDATE of these withdrawn routes, attributes and prefixes, with right lengths.
pub(crate) fn update(withdrawn_routes: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let section = |octets: &[u8]| {
        let length = u16::try_from(octets.len()).unwrap();
        [&length.to_be_bytes()[..], octets].concat()
    };
    let body = [&section(withdrawn_routes)[..], &section(attributes), nlri].concat();
    message(MessageType::Update, &body)
}

/// An UPDATE that announces a prefix with the mandatory attributes and this one.
pub(crate) fn with_attribute(attribute: &str) -> Vec<u8> {
    let attribute = hex(attribute);
    write_seed("bgp_attribute", &[&[1, 0][..], &attribute].concat());
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP), attribute].concat();
    update(&[], &attributes, &hex(PREFIX))
}

/// An OPEN of AS 64521 with these optional parameters, their length included.
pub(crate) fn open(parameters: &str) -> Vec<u8> {
    let body = [hex("04 fc09 005a c0000201"), hex(parameters)].concat();
    message(MessageType::Open, &body)
}

/// What comes of octets on an established session that has told its neighbor a route.
pub(crate) fn established(input: &[u8]) -> Outcome {
    let mut script = Script::established(config());
    script.session.set_routes(script.now, routes(1));
    script.sent();
    write_seed("bgp_session", &session_seed(true, input));
    outcome(script, State::Established, input)
}

/// What comes of octets while an OPEN is awaited. One that goes on is in OpenConfirm.
pub(crate) fn open_sent(input: &[u8]) -> Outcome {
    let script = Script::open_sent(config());
    write_seed("bgp_session", &session_seed(false, input));
    outcome(script, State::OpenConfirm, input)
}

fn outcome(mut script: Script, goes_on_in: State, input: &[u8]) -> Outcome {
    write_seed("bgp_message", &[&[1, 0][..], input].concat());
    script.events();
    let advertised = script.session.advertised().len();
    let allocated = measure(|| script.receive_octets(input));
    let limit = ALLOCATED_PER_OCTET * input.len() + 4096;
    assert!(
        allocated.bytes_max <= u64::try_from(limit).unwrap(),
        "{} octets allocated for {}",
        allocated.bytes_max,
        input.len()
    );
    let events = script.events();
    if script.session.state() == goes_on_in {
        assert_eq!(script.session.advertised().len(), advertised);
        return heard(&events);
    }
    let outcome = match script.last_word() {
        Some(last_word) => {
            assert!(last_word.data.len() <= input.len(), "of the input only");
            Outcome::Ends(last_word.code, last_word.subcode)
        }
        None => Outcome::EndsSilently,
    };
    script.establish_again();
    outcome
}

fn heard(events: &[Event]) -> Outcome {
    let (mut announced, mut withdrawn) = (0, 0);
    for event in events {
        match event {
            Event::Update(update) => {
                announced += update.announced().count();
                withdrawn += update.withdrawn().count();
                assert_eq!(update.errors.is_empty(), !tells_of_errors(events));
            }
            Event::MalformedUpdate(malformed) => assert!(!malformed.errors.is_empty()),
            _ => {}
        }
    }
    Outcome::GoesOn {
        announced,
        withdrawn,
    }
}

fn tells_of_errors(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::MalformedUpdate(_)))
}

/// The attributes that an UPDATE is left without, by type code.
pub(crate) fn discarded(input: &[u8]) -> Vec<u8> {
    let mut script = Script::established(config());
    script.receive_octets(input);
    let events = script.events();
    let errors = events.iter().flat_map(|event| match event {
        Event::MalformedUpdate(malformed) => malformed.errors.clone(),
        _ => Vec::new(),
    });
    errors
        .filter(|error| error.action == AttributeAction::Discard)
        .map(|error| error.code)
        .collect()
}

/// The operations of `fuzz/fuzz_targets/bgp_session.rs` that lead to the input.
fn session_seed(established: bool, input: &[u8]) -> Vec<u8> {
    const START: u8 = 0;
    const CONNECTED: u8 = 2;
    const OCTETS: u8 = 4;
    const OPEN: u8 = 6;
    const KEEPALIVE: u8 = 7;
    let mut operations = vec![START, CONNECTED, 0];
    if established {
        operations.extend([OPEN, 0, KEEPALIVE, 0]);
    }
    let length = u16::try_from(input.len()).unwrap_or(u16::MAX);
    operations.extend([OCTETS, 0]);
    operations.extend(length.to_be_bytes());
    operations.extend(input);
    operations
}

/// Writes a seed that is named after the test it is from. One that is longer than the fuzzer's inputs
/// is left out.
fn write_seed(target: &str, octets: &[u8]) {
    let Ok(directory) = std::env::var("HERALD_WRITE_SEEDS") else {
        return;
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let name = test.rsplit("::").next().unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = root.join(directory).join(target);
    fs::create_dir_all(&directory).unwrap();
    let unused =
        |path: &std::path::PathBuf| fs::read(path).map_or(true, |present| present == octets);
    let path = (1..).map(|number| match number {
        1 => directory.join(name),
        _ => directory.join(format!("{name}_{number}")),
    });
    if octets.len() <= 8192 {
        fs::write(path.into_iter().find(unused).unwrap(), octets).unwrap();
    }
}
