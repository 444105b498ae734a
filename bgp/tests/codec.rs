//! Properties of the codec over arbitrary messages and arbitrary octets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use allocation_counter::measure;
use bytes::BytesMut;
use herald_bgp::wire::{
    AddPath, AddPathDirection, Aggregator, AsPath, Attribute, ExtendedNextHop, Framer,
    GracefulRestart, GracefulRestartFamily, Hostname, LongLivedGracefulRestart, LongLivedStaleTime,
    MAX_EXTENDED_LENGTH, Message, MessageType, MpNextHop, MpReach, MpUnreach, Open, PathIds,
    Prefixes, RestartTime, RouteRefresh, WireContext,
};
use herald_bgp::{
    Asn, BgpIdentifier, Capability, Community, ExtendedCommunity, Family, HoldTime,
    Ipv6ExtendedCommunity, LargeCommunity, Notification, Origin, Role, Update,
};
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;

fn asn() -> impl Strategy<Value = Asn> {
    any::<u32>().prop_filter_map("reserved", Asn::new)
}

fn family() -> impl Strategy<Value = Family> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family { afi, safi })
}

fn capability() -> impl Strategy<Value = Capability> {
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        asn().prop_map(Capability::FourOctetAs),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::BfdStrict),
        (0u8..=4).prop_map(|octet| Capability::Role(Role::from_octet(octet).unwrap())),
        vec(extended_next_hop(), 0..9)
            .prop_map(|tuples| Capability::ExtendedNextHop(tuples.into())),
        graceful_restart().prop_map(|restart| Capability::GracefulRestart(restart.into())),
        vec(add_path(), 0..9).prop_map(|tuples| Capability::AddPath(tuples.into())),
        vec(long_lived(), 0..9)
            .prop_map(|families| Capability::LongLivedGracefulRestart(families.into())),
        ("\\PC{0,30}", "\\PC{0,30}").prop_map(|(host, domain)| {
            Capability::Hostname(Hostname::new(host, domain).unwrap().into())
        }),
        (100u8..128, vec(any::<u8>(), 0..=255)).prop_map(|(code, value)| Capability::Unknown {
            code,
            value: value.into()
        }),
    ]
}

fn extended_next_hop() -> impl Strategy<Value = ExtendedNextHop> {
    (family(), any::<u16>()).prop_map(|(family, next_hop_afi)| ExtendedNextHop {
        family,
        next_hop_afi,
    })
}

fn graceful_restart() -> impl Strategy<Value = GracefulRestart> {
    let families = (family(), any::<bool>())
        .prop_map(|(family, forwarding)| GracefulRestartFamily { family, forwarding });
    (any::<(bool, bool)>(), 0u16..4096, vec(families, 0..9)).prop_map(
        |((restarting, notification), seconds, families)| GracefulRestart {
            restarting,
            notification,
            restart_time: RestartTime::from_secs(seconds).unwrap(),
            families,
        },
    )
}

fn add_path() -> impl Strategy<Value = AddPath> {
    let direction = prop_oneof![
        Just(AddPathDirection::Receive),
        Just(AddPathDirection::Send),
        Just(AddPathDirection::Both),
    ];
    (family(), direction).prop_map(|(family, direction)| AddPath { family, direction })
}

fn long_lived() -> impl Strategy<Value = LongLivedGracefulRestart> {
    (family(), any::<bool>(), 0u32..1 << 24).prop_map(|(family, forwarding, seconds)| {
        LongLivedGracefulRestart {
            family,
            forwarding,
            stale_time: LongLivedStaleTime::from_secs(seconds).unwrap(),
        }
    })
}

fn open() -> impl Strategy<Value = Message> {
    let hold_time = any::<u16>().prop_filter_map("forbidden", HoldTime::from_secs);
    let identifier = any::<u32>().prop_filter_map("zero", |bits| BgpIdentifier::new(bits.into()));
    (
        1..=u16::MAX,
        hold_time,
        identifier,
        vec(capability(), 0..12),
    )
        .prop_map(|(my_as, hold_time, bgp_identifier, capabilities)| {
            Message::Open(Open {
                my_as,
                hold_time,
                bgp_identifier,
                capabilities,
            })
        })
}

fn v4() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 0u8..=32)
        .prop_map(|(bits, length)| Ipv4Net::new(bits.into(), length).unwrap().trunc())
}

fn v6() -> impl Strategy<Value = Ipv6Net> {
    (any::<u128>(), 0u8..=128)
        .prop_map(|(bits, length)| Ipv6Net::new(bits.into(), length).unwrap().trunc())
}

fn as_path() -> impl Strategy<Value = AsPath> {
    vec(1..=u32::MAX, 0..600).prop_map(|asns| AsPath::sequence(&asns))
}

fn mp_reach() -> impl Strategy<Value = MpReach> {
    let next_hop = prop_oneof![
        any::<u128>().prop_map(|bits| MpNextHop::V6(bits.into())),
        any::<(u128, u128)>()
            .prop_map(|(one, other)| MpNextHop::V6WithLinkLocal(one.into(), other.into())),
    ];
    let nlri = prop_oneof![
        vec(v4(), 0..20).prop_map(Prefixes::V4),
        vec(v6(), 0..20).prop_map(Prefixes::V6)
    ];
    (next_hop, nlri).prop_map(|(next_hop, nlri)| MpReach::new(next_hop, nlri))
}

/// Attributes of an UPDATE that announces: the mandatory ones, and any others once.
fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let large = any::<(u32, u32, u32)>().prop_map(|(a, b, c)| LargeCommunity {
        global_administrator: a,
        local_data_1: b,
        local_data_2: c,
    });
    let extended = any::<[u8; 8]>().prop_map(ExtendedCommunity);
    let ipv6 = any::<[u8; 20]>().prop_map(Ipv6ExtendedCommunity);
    let aggregator = (1..=u32::MAX, any::<u32>()).prop_map(|(asn, bits)| Aggregator {
        asn,
        address: bits.into(),
    });
    let optional = (
        proptest::option::of(any::<u32>().prop_map(Attribute::MultiExitDisc)),
        proptest::option::of(any::<u32>().prop_map(Attribute::LocalPref)),
        proptest::option::of(Just(Attribute::AtomicAggregate)),
        proptest::option::of(aggregator.prop_map(Attribute::Aggregator)),
        proptest::option::of(
            vec(any::<u32>().prop_map(Community), 1..100).prop_map(Attribute::Communities),
        ),
        proptest::option::of(mp_reach().prop_map(|reach| Attribute::MpReach(Box::new(reach)))),
        proptest::option::of(
            vec(v6(), 0..9)
                .prop_map(|v6| Attribute::MpUnreach(Box::new(MpUnreach::new(Prefixes::V6(v6))))),
        ),
        proptest::option::of(vec(large, 1..40).prop_map(Attribute::LargeCommunities)),
        proptest::option::of(vec(extended, 1..40).prop_map(Attribute::ExtendedCommunities)),
        proptest::option::of(vec(ipv6, 1..40).prop_map(Attribute::Ipv6ExtendedCommunities)),
        proptest::option::of(any::<u32>().prop_map(Attribute::OnlyToCustomer)),
    );
    let origin = prop_oneof![
        Just(Origin::Igp),
        Just(Origin::Egp),
        Just(Origin::Incomplete)
    ];
    (origin, as_path(), any::<u32>(), optional).prop_map(
        |(origin, path, next_hop, (a, b, c, d, e, f, g, h, i, j, k))| {
            let mandatory = [
                Attribute::Origin(origin),
                Attribute::AsPath(path),
                Attribute::NextHop(next_hop.into()),
            ];
            let optional = [a, b, c, d, e, f, g, h, i, j, k].into_iter().flatten();
            mandatory.into_iter().chain(optional).collect()
        },
    )
}

fn update() -> impl Strategy<Value = Message> {
    (vec(v4(), 0..50), attributes(), vec(v4(), 0..50)).prop_map(
        |(withdrawn_routes, attributes, nlri)| {
            Message::Update(Update {
                withdrawn_routes,
                attributes,
                nlri,
                ..Update::default()
            })
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        open(),
        update(),
        (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(code, subcode, data)| {
            Message::Notification(Notification::with_data(code, subcode, &data))
        }),
        Just(Message::Keepalive),
        (family(), any::<u8>()).prop_map(|(family, subcode)| Message::RouteRefresh(RouteRefresh {
            family,
            subtype: subcode
        })),
    ]
}

/// An internal neighbor may say everything.
const CONTEXT: WireContext = WireContext {
    four_octet_as: true,
    internal: true,
    path_ids_v4: false,
    path_ids_v6: false,
};

fn decode_all(octets: &[u8]) -> Vec<Result<Message, Notification>> {
    let mut framer = Framer::default();
    framer.push(octets);
    let mut messages = Vec::new();
    loop {
        match framer.next_message(MAX_EXTENDED_LENGTH) {
            Ok(None) => return messages,
            Ok(Some((kind, body))) => messages.push(Message::decode(kind, body, CONTEXT)),
            Err(notification) => {
                messages.push(Err(notification));
                return messages;
            }
        }
    }
}

fn apart<P>(paths: Vec<(P, u32)>) -> (Vec<P>, PathIds) {
    let (prefixes, path_ids): (Vec<_>, Vec<_>) = paths.into_iter().unzip();
    (prefixes, path_ids.into())
}

/// Bodies of an UPDATE that are dear: attributes with right heads, and many short prefixes.
fn dear_body() -> impl Strategy<Value = Vec<u8>> {
    let short_prefixes = || vec(0u8..9, 0..2000);
    (short_prefixes(), short_prefixes(), vec(any::<u8>(), 0..300)).prop_map(
        |(ipv6, ipv4, communities)| {
            let family_and_next_hop = [&[0, 2, 1, 16][..], &[0x20; 16], &[0]].concat();
            let attribute = |code: u8, value: &[u8]| {
                let length = u16::try_from(value.len()).unwrap().to_be_bytes();
                [&[0xD0, code][..], &length, value].concat()
            };
            let mut reach = attribute(14, &[family_and_next_hop, ipv6].concat());
            reach[0] = 0x90;
            let attributes = [reach, attribute(8, &communities)].concat();
            let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
            [&[0, 0][..], &length, &attributes, &ipv4].concat()
        },
    )
}

proptest! {
    #[test]
    fn decoding_costs_memory_in_proportion(body in prop_oneof![dear_body(), vec(any::<u8>(), 0..600)]) {
        for several in [false, true] {
            let context = WireContext {
                path_ids_v4: several,
                path_ids_v6: several,
                ..CONTEXT
            };
            let allocated = measure(|| {
                let _ = Message::decode(MessageType::Update, &body, context);
            });
            let limit = u64::try_from(32 * body.len() + 1024).unwrap();
            prop_assert!(allocated.bytes_max <= limit, "{allocated:?} for {}", body.len());
        }
    }

    #[test]
    fn decoding_what_was_encoded_gives_the_same(message in message()) {
        let mut octets = BytesMut::new();
        prop_assume!(message.encode(CONTEXT, MAX_EXTENDED_LENGTH, &mut octets).is_ok());
        prop_assume!(octets.len() <= 4096 || message.kind() == MessageType::Update);
        prop_assert_eq!(decode_all(&octets), [Ok(message)]);
    }

    #[test]
    fn several_paths_are_read_as_they_are_written(
        withdrawn in vec((v4(), any::<u32>()), 0..20),
        nlri in vec((v4(), any::<u32>()), 0..20),
        reach in vec((v6(), any::<u32>()), 0..20),
        unreach in vec((v6(), any::<u32>()), 0..20),
    ) {
        let several = WireContext { path_ids_v4: true, path_ids_v6: true, ..CONTEXT };
        let (withdrawn_routes, withdrawn_path_ids) = apart(withdrawn);
        let (nlri, nlri_path_ids) = apart(nlri);
        let (reach, reach_path_ids) = apart(reach);
        let (unreach, unreach_path_ids) = apart(unreach);
        let next_hop = MpNextHop::V6("2001:db8::1".parse().unwrap());
        let attributes = vec![
            Attribute::MpReach(Box::new(MpReach {
                path_ids: reach_path_ids,
                ..MpReach::new(next_hop, Prefixes::V6(reach))
            })),
            Attribute::MpUnreach(Box::new(MpUnreach {
                path_ids: unreach_path_ids,
                ..MpUnreach::new(Prefixes::V6(unreach))
            })),
            Attribute::Origin(Origin::Igp),
            Attribute::AsPath(AsPath::sequence(&[64520])),
            Attribute::NextHop([192, 0, 2, 1].into()),
        ];
        let message = Message::Update(Update {
            withdrawn_routes,
            withdrawn_path_ids,
            attributes,
            nlri,
            nlri_path_ids,
            ..Update::default()
        });
        let mut octets = BytesMut::new();
        prop_assert!(message.encode(several, MAX_EXTENDED_LENGTH, &mut octets).is_ok());
        let read = Message::from_octets(&octets, several, MAX_EXTENDED_LENGTH);
        prop_assert_eq!(read, Ok(message));
    }

    #[test]
    fn two_octet_neighbors_hear_the_whole_path(update in update()) {
        let narrow = WireContext { four_octet_as: false, ..CONTEXT };
        let Message::Update(update) = update else { unreachable!() };
        let mut octets = BytesMut::new();
        let message = Message::Update(update.clone());
        prop_assume!(message.encode(narrow, MAX_EXTENDED_LENGTH, &mut octets).is_ok());
        let Ok(Message::Update(heard)) = Message::from_octets(&octets, narrow, MAX_EXTENDED_LENGTH)
        else {
            panic!("{octets:?}");
        };
        prop_assert_eq!(heard.attributes, update.attributes);
    }

    #[test]
    fn no_body_makes_decoding_panic(kind in 1u8..=5, body in vec(any::<u8>(), 0..600)) {
        let kinds = [
            MessageType::Open,
            MessageType::Update,
            MessageType::Notification,
            MessageType::Keepalive,
            MessageType::RouteRefresh,
        ];
        let kind = kinds[usize::from(kind) - 1];
        for internal in [true, false] {
            for four_octet_as in [true, false] {
                for several in [true, false] {
                    let context = WireContext {
                        four_octet_as,
                        internal,
                        path_ids_v4: several,
                        path_ids_v6: several,
                    };
                    let _ = Message::decode(kind, &body, context);
                }
            }
        }
    }

    #[test]
    fn a_damaged_message_does_not_make_decoding_panic(
        message in message(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut octets = BytesMut::new();
        prop_assume!(message.encode(CONTEXT, MAX_EXTENDED_LENGTH, &mut octets).is_ok());
        for (place, octet) in damage {
            let place = place.index(octets.len());
            octets[place] = octet;
        }
        decode_all(&octets);
    }

    #[test]
    fn what_does_not_fit_leaves_nothing_behind(message in message(), limit in 19usize..200) {
        let mut octets = BytesMut::from(&b"before"[..]);
        match message.encode(CONTEXT, limit, &mut octets) {
            Ok(()) => prop_assert!(octets.len() - 6 <= limit),
            Err(too_long) => {
                prop_assert!(too_long.length > limit);
                prop_assert_eq!(&octets[..], b"before");
            }
        }
    }
}
