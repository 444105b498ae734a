//! The floor: everything encoded beforehand, and written to one socket after another.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{child, one_more, table};
use crate::message::{self, KEEPALIVE, UPDATE};
use crate::{SPEAKER, SPEAKER_AS};

/// ORIGIN, AS_PATH of one AS, NEXT_HOP.
const ATTRIBUTES: [u8; 20] = [
    0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0, 0, 0x40, 3, 4, 10, 99, 255, 1,
];
const LARGEST: usize = 4096;

pub fn run(prefixes: u32, sinks: u8) {
    let messages = Arc::new(messages(prefixes));
    let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let listener = TcpListener::bind((SPEAKER, 179)).unwrap();
    let accepted = Arc::clone(&streams);
    std::thread::spawn(move || {
        for _ in 0..sinks {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            stream
                .write_all(&message::open(SPEAKER_AS, SPEAKER))
                .unwrap();
            greet(&mut stream);
            accepted.lock().unwrap().push(stream.try_clone().unwrap());
            let messages = Arc::clone(&messages);
            stream.write_all(&message::of(KEEPALIVE, &[])).unwrap();
            stream.write_all(&messages).unwrap();
        }
        // A thread that has ended takes its processor time with it.
        std::thread::park();
    });

    let [announce, withdraw] = [
        update(&[], &nlri(one_more())),
        update(&nlri(one_more()), &[]),
    ];
    child::serve(|is_more| {
        for stream in streams.lock().unwrap().iter_mut() {
            stream
                .write_all(if is_more { &announce } else { &withdraw })
                .unwrap();
        }
    });
}

/// Reads the OPEN and the KEEPALIVE of a sink.
fn greet(stream: &mut TcpStream) {
    let open = message::open(crate::sinks::SINK_AS, SPEAKER).len();
    stream.read_exact(&mut vec![0; open]).unwrap();
}

/// The whole table, in as few messages as possible.
fn messages(prefixes: u32) -> Vec<u8> {
    let addresses: Vec<Ipv4Addr> = table(prefixes).collect();
    let room = LARGEST - 19 - 4 - ATTRIBUTES.len();
    let of_message = addresses.chunks(room / 5);
    let nlri = of_message.map(|addresses| addresses.iter().copied().flat_map(nlri).collect());
    nlri.flat_map(|nlri: Vec<u8>| update(&[], &nlri)).collect()
}

fn nlri(address: Ipv4Addr) -> [u8; 5] {
    let [a, b, c, d] = address.octets();
    [32, a, b, c, d]
}

fn update(withdrawn: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
    let attributes: &[u8] = if nlri.is_empty() { &[] } else { &ATTRIBUTES };
    let body = [
        &length(withdrawn.len())[..],
        withdrawn,
        &length(attributes.len()),
        attributes,
        nlri,
    ];
    message::of(UPDATE, &body.concat())
}
