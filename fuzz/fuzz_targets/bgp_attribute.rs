//! One attribute in an UPDATE that is right otherwise: it ends the session only as RFC 7606 allows, never takes the other
//! attributes with it, and what is read of it is written again, and read as the same.
#![no_main]

use bgp::wire::{
    Attribute, Framer, MAX_EXTENDED_LENGTH, Message, MessageType, Update, WireContext,
};
use bytes::{BufMut, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

/// ORIGIN, AS_PATH and NEXT_HOP.
const MANDATORY: [&[u8]; 3] = [&[0x40, 1, 1, 0], &[0x40, 2, 0], &[0x40, 3, 4, 192, 0, 2, 1]];
/// 192.0.2.150/32
const PREFIX: [u8; 5] = [32, 192, 0, 2, 150];
const MP_REACH_NLRI: u8 = 14;
const MP_UNREACH_NLRI: u8 = 15;

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (four_octet_as, internal, attribute) = input;
    let context = WireContext {
        four_octet_as,
        internal,
        path_ids_v4: false,
        path_ids_v6: false,
    };
    let Some(body) = body(attribute) else { return };
    match Message::decode(MessageType::Update, &body, context) {
        Ok(Message::Update(update)) => check(&update, attribute, context),
        Ok(other) => panic!("{other:?}"),
        Err(notification) => {
            let may_end = |code: &u8| matches!(*code, MP_REACH_NLRI | MP_UNREACH_NLRI);
            assert!(
                attribute.iter().any(|octet| may_end(octet)),
                "{notification}"
            );
        }
    }
});

/// `None` when it is too long for a message.
fn body(attribute: &[u8]) -> Option<Bytes> {
    let attributes = [&MANDATORY.concat(), attribute].concat();
    let mut body = BytesMut::new();
    body.put_u16(0);
    body.put_u16(u16::try_from(attributes.len()).ok()?);
    body.put_slice(&attributes);
    body.put_slice(&PREFIX);
    (body.len() + 19 <= MAX_EXTENDED_LENGTH).then(|| body.freeze())
}

fn check(update: &Update, attribute: &[u8], context: WireContext) {
    let kept = update.attributes.iter().map(Attribute::code);
    assert!(kept.take(3).eq([1, 2, 3]), "the first of each counts");
    let prefixes = update.announced().chain(update.withdrawn());
    assert!(
        prefixes.count() >= 1,
        "the prefix is announced or withdrawn"
    );
    if !update.errors.is_empty() || attribute.is_empty() {
        return;
    }
    let mut octets = BytesMut::new();
    let message = Message::Update(update.clone());
    if message
        .encode(context, MAX_EXTENDED_LENGTH, &mut octets)
        .is_ok()
    {
        let mut framer = Framer::default();
        framer.push(&octets);
        let (kind, body) = framer
            .next_message(MAX_EXTENDED_LENGTH)
            .expect("it was encoded")
            .expect("all of it");
        assert_eq!(Message::decode(kind, body, context), Ok(message));
    }
}
