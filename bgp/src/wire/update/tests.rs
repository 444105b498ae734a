use bytes::BufMut;

use super::*;
use crate::types::{Community, Origin};
use crate::wire::{AsPath, MpNextHop, MpReach, Prefixes};

const EXTERNAL: WireContext = WireContext {
    four_octet_as: true,
    internal: false,
    path_ids_v4: false,
    path_ids_v6: false,
};
const INTERNAL: WireContext = WireContext {
    four_octet_as: true,
    internal: true,
    path_ids_v4: false,
    path_ids_v6: false,
};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xFC, 0x08];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const PREFIX: &[u8] = &[32, 192, 0, 2, 150];

fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    put_section(&mut out, |out| out.put_slice(withdrawn));
    put_section(&mut out, |out| {
        attributes
            .iter()
            .for_each(|attribute| out.put_slice(attribute))
    });
    out.put_slice(nlri);
    out
}

fn decode(attributes: &[&[u8]], nlri: &[u8], context: WireContext) -> Result<Update, Notification> {
    Update::decode(&body(&[], attributes, nlri), context)
}

/// What one more attribute beside the mandatory ones leads to.
fn action(attribute: &[u8], context: WireContext) -> Option<AttributeAction> {
    let update = decode(&[ORIGIN, AS_PATH, NEXT_HOP, attribute], PREFIX, context).unwrap();
    update.errors.iter().map(|error| error.action).max()
}

/// What one attribute in place of the mandatory one of its type leads to.
fn action_instead(attribute: &[u8]) -> Option<AttributeAction> {
    let others = [ORIGIN, AS_PATH, NEXT_HOP]
        .into_iter()
        .filter(|other| other[1] != attribute[1]);
    let attributes = others.chain([attribute]).collect::<Vec<_>>();
    let update = decode(&attributes, PREFIX, EXTERNAL).unwrap();
    assert_eq!(update.announced().count() + update.withdrawn().count(), 1);
    update.errors.iter().map(|error| error.action).max()
}

const WITHDRAW: Option<AttributeAction> = Some(AttributeAction::TreatAsWithdraw);
const DISCARD: Option<AttributeAction> = Some(AttributeAction::Discard);

#[test]
fn a_plain_update_is_read() {
    let update = decode(&[ORIGIN, AS_PATH, NEXT_HOP], PREFIX, EXTERNAL).unwrap();
    assert_eq!(
        update.attributes,
        [
            Attribute::Origin(Origin::Igp),
            Attribute::AsPath(AsPath::sequence(&[64520])),
            Attribute::NextHop([192, 0, 2, 1].into())
        ]
    );
    assert_eq!(
        update
            .announced()
            .map(|prefix| prefix.to_string())
            .collect::<Vec<_>>(),
        ["192.0.2.150/32"]
    );
    assert_eq!(update.errors, []);
}

#[test]
fn c_059_lengths_that_exceed_the_message() {
    for octets in [
        &[0, 1, 0, 0][..],
        &[0, 0, 0, 1],
        &[0xFF, 0xFF, 0, 0],
        &[0, 0, 0],
        &[0],
    ] {
        assert_eq!(
            Update::decode(octets, EXTERNAL),
            Err(malformed()),
            "{octets:?}"
        );
    }
}

#[test]
fn c_071_mp_next_hop_is_16_or_32_octets() {
    let with_length = |length: u8| {
        let mut attribute = vec![0x80, 14, length + 5, 0, 2, 1, length];
        attribute.extend(std::iter::repeat_n(0x20, usize::from(length)));
        attribute.push(0);
        attribute
    };
    for length in [16, 32] {
        assert!(decode(&[&with_length(length)], &[], EXTERNAL).is_ok());
    }
    for length in [0, 4, 15, 17, 24, 48] {
        let attribute = with_length(length);
        let error = decode(&[&attribute], &[], EXTERNAL).unwrap_err();
        assert_eq!(error, Notification::with_data(3, 9, &attribute), "{length}");
    }
}

#[test]
fn c_075_prefix_errors_end_the_session() {
    assert_eq!(
        Update::decode(&body(&[33, 0], &[], &[]), EXTERNAL),
        Err(invalid_network_field())
    );
    assert_eq!(
        decode(&[ORIGIN, AS_PATH, NEXT_HOP], &[24, 1], EXTERNAL),
        Err(invalid_network_field())
    );
    let unreach = [0x80, 15, 4, 0, 2, 1, 129];
    assert_eq!(
        decode(&[&unreach], &[], EXTERNAL),
        Err(Notification::with_data(3, 9, &unreach))
    );
}

#[test]
fn c_078_end_of_rib() {
    assert_eq!(
        decode(&[], &[], EXTERNAL).unwrap().end_of_rib(),
        Some(Family::IPV4_UNICAST)
    );
    let ipv6 = decode(&[&[0x80, 15, 3, 0, 2, 1]], &[], EXTERNAL).unwrap();
    assert_eq!(ipv6.end_of_rib(), Some(Family::IPV6_UNICAST));
    // CVE-2023-47235: a malformed UPDATE that looks like one.
    let lookalike = decode(&[&[0x40, 1, 1, 9]], &[], EXTERNAL).unwrap();
    assert_eq!(lookalike.end_of_rib(), None);
}

#[test]
fn c_081_unknown_attributes() {
    assert_eq!(action(&[0xC0, 99, 2, 1, 2], EXTERNAL), None);
    assert_eq!(action(&[0x80, 99, 0], EXTERNAL), None);
    assert_eq!(action(&[0x40, 99, 0], EXTERNAL), WITHDRAW);
}

#[test]
fn c_088_flags_that_contradict_the_type() {
    assert_eq!(action_instead(&[0xC0, 1, 1, 0]), WITHDRAW);
    assert_eq!(action_instead(&[0x00, 1, 1, 0]), WITHDRAW);
    assert_eq!(
        action_instead(&[0x6F, 1, 1, 0]),
        None,
        "partial and the low bits say nothing"
    );
    assert_eq!(action(&[0x40, 8, 4, 0, 1, 0, 1], EXTERNAL), WITHDRAW);
}

#[test]
fn c_089_attribute_that_overruns_the_list() {
    for tail in [
        &[0x40][..],
        &[0x40, 1],
        &[0xC0, 99, 5, 1],
        &[0xD0, 99, 0],
        &[0xD0, 99, 0xFF, 0xFF],
    ] {
        let update = decode(&[ORIGIN, AS_PATH, NEXT_HOP, tail], PREFIX, EXTERNAL).unwrap();
        assert!(update.is_treated_as_withdraw());
        assert_eq!(update.withdrawn().count(), 1);
        assert_eq!(
            decode(&[ORIGIN, tail], &[], EXTERNAL),
            Err(malformed()),
            "nothing to withdraw is known"
        );
    }
    let withdrawal = Update::decode(&body(PREFIX, &[&[0x40]], &[]), EXTERNAL).unwrap();
    assert_eq!(withdrawal.withdrawn().count(), 1);
    for code in [14, 15] {
        let hidden = [0x80, code, 9, 0, 2, 1];
        assert_eq!(
            decode(&[ORIGIN, AS_PATH, NEXT_HOP, &hidden], PREFIX, EXTERNAL),
            Err(malformed())
        );
    }
}

#[test]
fn c_090_repeated_attributes() {
    let unreach = &[0x80, 15, 3, 0, 2, 1][..];
    assert_eq!(decode(&[unreach, unreach], &[], EXTERNAL), Err(malformed()));
    let update = decode(
        &[ORIGIN, &[0x40, 1, 1, 2], AS_PATH, NEXT_HOP],
        PREFIX,
        EXTERNAL,
    )
    .unwrap();
    assert_eq!(update.attributes[0], Attribute::Origin(Origin::Igp));
    assert_eq!(
        update.errors,
        [AttributeError {
            code: 1,
            action: AttributeAction::Discard
        }]
    );
}

#[test]
fn c_091_mandatory_attributes() {
    let all = [ORIGIN, AS_PATH, NEXT_HOP];
    for missing in 0..3 {
        let mut attributes = all.to_vec();
        attributes.remove(missing);
        let update = decode(&attributes, PREFIX, EXTERNAL).unwrap();
        assert_eq!(update.announced().count(), 0);
        assert_eq!(update.withdrawn().count(), 1);
    }
    let withdrawal = Update::decode(&body(PREFIX, &[], &[]), EXTERNAL).unwrap();
    assert_eq!(withdrawal.errors, []);
}

#[test]
fn c_092_origin_and_as_path() {
    for origin in [&[0x40, 1, 1, 3][..], &[0x40, 1, 0], &[0x40, 1, 2, 0, 0]] {
        assert_eq!(action_instead(origin), WITHDRAW, "{origin:?}");
    }
    let paths: [&[u8]; 8] = [
        &[0x40, 2, 6, 5, 1, 0, 0, 0, 1], // no such segment type
        &[0x40, 2, 6, 0, 1, 0, 0, 0, 1],
        &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], // confederation
        &[0x40, 2, 6, 1, 1, 0, 0, 0, 1], // c_082: AS_SET
        &[0x40, 2, 2, 2, 0],             // empty segment
        &[0x40, 2, 6, 2, 2, 0, 0, 0, 1], // overrun
        &[0x40, 2, 1, 2],                // underrun
        &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], // AS 0
    ];
    for path in paths {
        assert_eq!(action_instead(path), WITHDRAW, "{path:?}");
    }
}

#[test]
fn c_093_attributes_of_four_octets() {
    assert_eq!(action_instead(&[0x40, 3, 3, 1, 2, 3]), WITHDRAW);
    assert_eq!(action_instead(&[0x40, 3, 5, 1, 2, 3, 4, 5]), WITHDRAW);
    assert_eq!(action(&[0x80, 4, 3, 1, 2, 3], EXTERNAL), WITHDRAW);
    assert_eq!(action(&[0x40, 5, 3, 1, 2, 3], INTERNAL), WITHDRAW);
    assert_eq!(action(&[0x40, 5, 4, 0, 0, 0, 100], INTERNAL), None);
}

#[test]
fn c_068_attributes_of_internal_neighbors_from_an_external_one() {
    for attribute in [
        &[0x40, 5, 4, 0, 0, 0, 100][..],
        &[0x80, 9, 4, 1, 1, 1, 1],
        &[0x80, 10, 4, 1, 1, 1, 1],
    ] {
        assert_eq!(action(attribute, EXTERNAL), DISCARD);
        assert_eq!(action(attribute, INTERNAL), None);
    }
}

#[test]
fn c_094_atomic_aggregate_and_aggregator() {
    assert_eq!(action(&[0x40, 6, 0], EXTERNAL), None);
    assert_eq!(action(&[0x40, 6, 1, 0], EXTERNAL), DISCARD);
    assert_eq!(
        action(&[0xC0, 7, 8, 0, 0, 0, 1, 1, 1, 1, 1], EXTERNAL),
        None
    );
    assert_eq!(action(&[0xC0, 7, 6, 0, 1, 1, 1, 1, 1], EXTERNAL), DISCARD);
    assert_eq!(
        action(&[0xC0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1], EXTERNAL),
        DISCARD
    );
}

#[test]
fn c_066_as4_attributes_of_the_wrong_neighbor_or_form_are_discarded() {
    let narrow = WireContext {
        four_octet_as: false,
        internal: false,
        path_ids_v4: false,
        path_ids_v6: false,
    };
    let as4_path = [0xC0, 17, 6, 2, 1, 0xFA, 0x56, 0xEA, 0];
    let as4_aggregator = [0xC0, 18, 8, 0xFA, 0x56, 0xEA, 0, 1, 1, 1, 1];
    for (attribute, context, expected) in [
        (&as4_path[..], EXTERNAL, DISCARD),
        (&as4_aggregator, EXTERNAL, DISCARD),
        (&as4_path, narrow, None),
        (&as4_aggregator, narrow, None),
        (&[0xC0, 17, 2, 2, 1], narrow, DISCARD),
        (&[0xC0, 18, 6, 0xFC, 0x08, 1, 1, 1, 1], narrow, DISCARD),
        (&[0xC0, 18, 8, 0, 0, 0, 0, 1, 1, 1, 1], narrow, DISCARD),
    ] {
        let path: &[u8] = if context.four_octet_as {
            AS_PATH
        } else {
            &[0x40, 2, 4, 2, 1, 0xFC, 0x08]
        };
        let update = decode(&[ORIGIN, path, NEXT_HOP, attribute], PREFIX, context).unwrap();
        let action = update.errors.iter().map(|error| error.action).max();
        assert_eq!(action, expected, "{attribute:?}");
        assert_eq!(update.attributes.len(), 3, "none of them is handed on");
    }
}

#[test]
fn c_066_c_082_segments_of_as4_path_that_have_no_place_there() {
    let narrow = WireContext {
        four_octet_as: false,
        ..EXTERNAL
    };
    const SEQUENCE: [u8; 6] = [2, 1, 0xFA, 0x56, 0xEA, 0];
    const ZERO: [u8; 6] = [2, 1, 0, 0, 0, 0];
    let segment = |kind| [kind, 1, 0, 0, 0xFC, 0x09];
    for (segments, expected) in [
        ([SEQUENCE, segment(1)], WITHDRAW),
        ([segment(4), SEQUENCE], WITHDRAW),
        ([segment(3), SEQUENCE], None),
        ([segment(5), SEQUENCE], DISCARD),
        // What cannot be read is not looked at, whatever is in it.
        ([segment(1), [2, 2, 0, 0, 0xFC, 0x09]], DISCARD),
        ([segment(3), ZERO], DISCARD),
    ] {
        let attribute = [&[0xC0, 17, 12][..], &segments.concat()].concat();
        // Through 64521 and a router that stands for AS 4,200,000,000 there.
        let path = [0x40, 2, 6, 2, 2, 0xFC, 0x09, 0x5B, 0xA0];
        let update = decode(&[ORIGIN, &path, NEXT_HOP, &attribute], PREFIX, narrow).unwrap();
        let action = update.errors.iter().map(|error| error.action).max();
        assert_eq!(action, expected, "{segments:?}");
        if expected.is_none() {
            let merged = Attribute::AsPath(AsPath::sequence(&[64521, 0xFA56_EA00]));
            assert_eq!(update.attributes[1], merged);
        }
    }
}

#[test]
fn c_083_only_to_customer_has_four_octets() {
    assert_eq!(action(&[0xC0, 35, 4, 0, 0, 0xFC, 8], EXTERNAL), None);
    for length in [0, 3, 5] {
        let attribute = [&[0xC0, 35, length][..], &vec![1; length.into()]].concat();
        assert_eq!(action(&attribute, EXTERNAL), WITHDRAW, "{length} octets");
    }
}

#[test]
fn c_095_communities() {
    for (code, right) in [(8, 4), (16, 8), (25, 20), (32, 12)] {
        for (length, expected) in [
            (0, WITHDRAW),
            (right, None),
            (right - 1, WITHDRAW),
            (right + 1, WITHDRAW),
        ] {
            let mut attribute = vec![0xC0, code, length];
            attribute.extend(std::iter::repeat_n(1, usize::from(length)));
            assert_eq!(
                action(&attribute, EXTERNAL),
                expected,
                "type {code}, {length} octets"
            );
        }
    }
}

#[test]
fn c_096_reflection_attributes_of_internal_neighbors() {
    assert_eq!(action(&[0x80, 9, 3, 1, 1, 1], INTERNAL), WITHDRAW);
    assert_eq!(action(&[0x80, 10, 0], INTERNAL), WITHDRAW);
    assert_eq!(action(&[0x80, 10, 5, 1, 1, 1, 1, 1], INTERNAL), WITHDRAW);
}

#[test]
fn c_098_the_strongest_action_wins() {
    let update = decode(
        &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 6, 1, 0], &[0x80, 4, 0]],
        PREFIX,
        EXTERNAL,
    )
    .unwrap();
    assert_eq!(update.errors.len(), 2);
    assert!(update.is_treated_as_withdraw());
}

#[test]
fn other_families_stay_opaque() {
    let flowspec = [0x80, 14, 7, 0, 1, 133, 0, 0, 1, 2];
    let update = decode(&[&flowspec], &[], EXTERNAL).unwrap();
    assert!(matches!(
        update.attributes[0],
        Attribute::Unknown { code: 14, .. }
    ));
    assert_eq!(update.announced().count(), 0);
}

#[test]
fn a_list_above_255_octets_has_an_extended_length() {
    let communities = Attribute::Communities((0..100).map(Community).collect());
    let reach = MpReach::new(
        MpNextHop::V6("2001:db8::1".parse().unwrap()),
        Prefixes::V6(vec!["2001:db8:5::/128".parse().unwrap(); 60]),
    );
    let attributes = vec![
        Attribute::MpReach(Box::new(reach)),
        Attribute::Origin(Origin::Igp),
        Attribute::AsPath(AsPath::sequence(&[1; 300])),
        communities,
    ];
    let update = Update {
        attributes,
        ..Update::default()
    };
    let mut out = BytesMut::new();
    update.encode(EXTERNAL, &mut out);
    assert_eq!(Update::decode(&out, EXTERNAL), Ok(update));
}

#[test]
fn c_077_prefixes_behind_their_path_identifiers() {
    let several = WireContext {
        path_ids_v4: true,
        path_ids_v6: true,
        ..EXTERNAL
    };
    let nlri = [0, 0, 0, 7, 24, 198, 51, 100, 0, 0, 0, 0, 24, 198, 51, 100];
    let update = decode(&[ORIGIN, AS_PATH, NEXT_HOP], &nlri, several).unwrap();
    let prefix: IpNet = "198.51.100.0/24".parse().unwrap();
    assert_eq!(
        update.announced_paths().collect::<Vec<_>>(),
        [(prefix, Some(7)), (prefix, Some(0))]
    );
    // ::/0 by path 9 can be reached, 1::/16 by path 8 cannot.
    let reach = [
        &[0x80, 14, 26, 0, 2, 1, 16][..],
        &[0x20; 16],
        &[0, 0, 0, 0, 9, 0],
    ]
    .concat();
    let unreach = [0x80, 15, 10, 0, 2, 1, 0, 0, 0, 8, 16, 0, 1];
    let update = decode(&[ORIGIN, AS_PATH, &reach, &unreach], &[], several).unwrap();
    assert_eq!(
        update.announced_paths().collect::<Vec<_>>(),
        [("::/0".parse().unwrap(), Some(9))]
    );
    assert_eq!(
        update.withdrawn_paths().collect::<Vec<_>>(),
        [("1::/16".parse().unwrap(), Some(8))]
    );
    // What has none is read as if it had, and ends the session where it cannot be.
    for nlri in [
        &[24, 198, 51, 100][..],
        &[0, 0, 0, 7],
        &[0, 0, 0, 7, 33, 1, 2, 3, 4, 5],
    ] {
        assert_eq!(
            decode(&[ORIGIN, AS_PATH, NEXT_HOP], nlri, several),
            Err(invalid_network_field())
        );
    }
}
