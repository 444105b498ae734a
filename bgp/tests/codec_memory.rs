//! What decoding allocates is bounded by what was sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use bytes::BufMut;
use herald_bgp::wire::{MAX_EXTENDED_LENGTH, Message, WireContext};
use proptest::collection::vec;
use proptest::prelude::*;

/// Octets allocated, in all, for each octet of the message.
fn expansion(kind: u8, body: &[u8], context: WireContext) -> f64 {
    let mut octets = vec![0xFF; 16];
    octets.put_u16(u16::try_from(19 + body.len()).unwrap());
    octets.put_u8(kind);
    octets.put_slice(body);
    let counted = allocation_counter::measure(|| {
        drop(Message::from_octets(&octets, context, MAX_EXTENDED_LENGTH));
    });
    counted.bytes_total as f64 / octets.len() as f64
}

/// The most for an UPDATE, in any context.
fn expansion_of_update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> f64 {
    let mut body = Vec::new();
    for section in [withdrawn, attributes] {
        body.put_u16(u16::try_from(section.len()).unwrap());
        body.put_slice(section);
    }
    body.put_slice(nlri);
    let contexts = [(true, true), (true, false), (false, true), (false, false)];
    contexts
        .map(|(four_octet_as, internal)| WireContext {
            four_octet_as,
            internal,
            path_ids_v4: false,
            path_ids_v6: false,
        })
        .map(|context| expansion(2, &body, context))
        .into_iter()
        .fold(0.0, f64::max)
}

const LIMIT: f64 = 32.0;

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![flags | 0x10, code];
    octets.put_u16(u16::try_from(value.len()).unwrap());
    octets.put_slice(value);
    octets
}

#[test]
fn the_most_that_an_octet_can_ask_for() {
    let defaults = vec![0; 4000]; // prefixes of no length
    let mut defaults_v6 = vec![0, 2, 1, 16];
    defaults_v6.extend([0x20; 16]);
    defaults_v6.extend(vec![0; 4000]);
    let empty_attributes = (0..=255)
        .flat_map(|code| [0x80, code, 0])
        .collect::<Vec<_>>();
    let repeated = [0x80, 99, 0].repeat(1300);
    let short_segments = [2, 1, 0, 0, 0, 1].repeat(600);
    let long_segments = [2, 1, 0, 1].repeat(900);
    let communities = attribute(0xC0, 8, &[1; 4000]);
    let cases = [
        expansion_of_update(&defaults, &[], &[]),
        expansion_of_update(&[], &[], &defaults),
        expansion_of_update(&[], &attribute(0x80, 14, &defaults_v6), &[]),
        expansion_of_update(
            &[],
            &attribute(0x80, 15, &[&[0, 2, 1][..], &defaults].concat()),
            &[],
        ),
        expansion_of_update(&[], &empty_attributes, &[]),
        expansion_of_update(&[], &repeated, &defaults),
        expansion_of_update(&[], &attribute(0x40, 2, &short_segments), &[]),
        expansion_of_update(&[], &attribute(0x40, 2, &long_segments), &[]),
        expansion_of_update(&[], &communities, &[]),
        expansion(
            1,
            &[
                &[4, 1, 1, 0, 90, 1, 1, 1, 1, 252, 2, 250][..],
                &[2, 0].repeat(125),
            ]
            .concat(),
            WireContext::default(),
        ),
    ];
    for (index, expansion) in cases.into_iter().enumerate() {
        assert!(expansion > 0.5, "case {index} reads nothing: {expansion}");
        assert!(
            expansion < LIMIT,
            "case {index} allocates {expansion} times its length"
        );
    }
}

fn any_attribute() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![0u8..36, any::<u8>()];
    let flags = prop_oneof![Just(0x40), Just(0x80), Just(0xC0)];
    let value = prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(Just(0), 0..200),
        vec(prop_oneof![Just(2), Just(1), Just(0)], 0..200),
    ];
    (flags, code, value).prop_map(|(flags, code, value)| attribute(flags, code, &value))
}

proptest! {
    #[test]
    fn no_update_allocates_32_times_its_length(
        withdrawn in vec(0u8..33, 0..200),
        attributes in vec(any_attribute(), 0..12),
        nlri in vec(0u8..33, 0..200),
    ) {
        let expansion = expansion_of_update(&withdrawn, &attributes.concat(), &nlri);
        prop_assert!(expansion < LIMIT, "{expansion}");
    }

    #[test]
    fn no_octets_allocate_32_times_their_length(kind in 1u8..=5, body in vec(any::<u8>(), 0..600)) {
        let expansion = expansion(kind, &body, WireContext::default());
        prop_assert!(expansion < LIMIT, "{expansion}");
    }
}
