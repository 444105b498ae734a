//! Octets as a stream of BGP messages: whatever is read is written again, and read as the same.
#![no_main]

use bgp::wire::{Framer, MAX_EXTENDED_LENGTH, Message, WireContext};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (four_octet_as, internal, octets) = input;
    let context = WireContext {
        four_octet_as,
        internal,
        path_ids_v4: false,
        path_ids_v6: false,
    };
    let mut framer = Framer::default();
    framer.push(octets);
    while let Ok(Some((kind, body))) = framer.next_message(MAX_EXTENDED_LENGTH) {
        if let Ok(message) = Message::decode(kind, body, context) {
            round_trip(&message, context);
        }
    }
});

fn round_trip(message: &Message, context: WireContext) {
    // An UPDATE with errors has left something out.
    if matches!(message, Message::Update(update) if !update.errors.is_empty()) {
        return;
    }
    let mut octets = BytesMut::new();
    if message
        .encode(context, MAX_EXTENDED_LENGTH, &mut octets)
        .is_ok()
    {
        let again = Message::from_octets(&octets, context, MAX_EXTENDED_LENGTH);
        assert_eq!(again.as_ref(), Ok(message));
    }
}
