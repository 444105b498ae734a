//! Inputs that have crashed, blocked or reset some BGP speaker, one test for each.
//!
//! Every one must leave the process alive, cost memory in proportion to its length, and end the
//! session or not as the RFCs say; a session that has ended comes up again.

use allocation_counter::measure;
use herald_bgp::wire::{Message, MessageType};
use herald_bgp::{Direction, Event, Session, State};

use crate::inputs::Outcome::{self, Ends, GoesOn};
use crate::inputs::{
    ANNOUNCED, AS_PATH, IGNORED, NEXT_HOP, ORIGIN, PREFIX, WITHDRAWN, discarded, established, hex,
    message, open, open_sent, update, with_attribute,
};
use crate::script::{Script, config, routes, seconds};

/// An UPDATE with one attribute and nothing else.
fn attribute_alone(attribute: &str) -> Vec<u8> {
    update(&[], &hex(attribute), &[])
}

#[test]
fn f_01_attribute_length_beyond_the_end() {
    // CVE-2017-15865: the NOTIFICATION held what was behind the message in memory.
    assert_eq!(established(&attribute_alone("c0 63 ff 01")), Ends(3, 1));
    assert_eq!(established(&with_attribute("c0 63 ff 01")), WITHDRAWN);
    assert_eq!(
        established(&attribute_alone("80 0e ff 0002 01 10")),
        Ends(3, 1)
    );
}

#[test]
fn f_02_attribute_255() {
    // CVE-2019-5892
    assert_eq!(established(&with_attribute("c0 ff 04 deadbeef")), ANNOUNCED);
}

#[test]
fn f_03_f_04_extended_parameters_that_are_cut_off() {
    // CVE-2022-36440, CVE-2022-40302; the first is AS 57005's, hold time 5.
    let mut cut_off = hex("04 dead 0005 c0a83901 ff ff 0002 0001");
    assert_eq!(open_sent(&message(MessageType::Open, &cut_off)), Ends(2, 0));
    cut_off.truncate(11);
    cut_off.extend(hex("ff 0003 41 0000"));
    assert_eq!(open_sent(&message(MessageType::Open, &cut_off)), Ends(2, 0));
    for parameters in [
        "ff ff",
        "ff ff 00",
        "ff ff 0001",
        "ff ff 0002 02 00",
        "ff 41",
    ] {
        assert_eq!(open_sent(&open(parameters)), Ends(2, 0), "{parameters}");
    }
}

#[test]
fn f_05_extended_parameter_shorter_than_its_capability() {
    // CVE-2022-40318
    assert_eq!(
        open_sent(&open("ff ff 0007 02 0004 41 04 0000")),
        Ends(2, 0)
    );
    assert_eq!(open_sent(&open("ff ff 0005 02 0002 41 04")), Ends(2, 0));
}

#[test]
fn f_06_parameters_that_are_not_there() {
    // CVE-2022-43681
    for parameters in ["6b", "ff"] {
        assert_eq!(open_sent(&open(parameters)), Ends(2, 0));
    }
}

#[test]
fn f_07_f_08_f_09_dynamic_capability_is_refused() {
    // CVE-2022-37032, CVE-2024-31949: a message type that nobody has agreed upon.
    for body in ["", "01 01 00", "01 40 00 00", "01 4b 00"] {
        let mut input = message(MessageType::Keepalive, &hex(body));
        input[18] = 6;
        assert_eq!(established(&input), Ends(1, 3));
    }
}

#[test]
fn f_10_a_connection_has_one_owner() {
    // CVE-2022-37035: two threads wrote a NOTIFICATION at once. Closing in the midst of it is nothing.
    let mut script = Script::established(config());
    script.receive_octets(&[0; 19]);
    script.session.handle_closed(script.now, script.conn);
    script.session.handle_closed(script.now, script.conn);
    script.receive_octets(&[0; 19]);
    assert!(script.sent().is_empty());
    script.establish_again();
}

#[test]
fn f_11_long_lived_graceful_restart_of_an_odd_length() {
    // CVE-2023-31489
    for parameters in ["07 02 05 47 03 0001 01", "0a 02 08 47 06 000101 800000"] {
        assert_eq!(open_sent(&open(parameters)), Ends(2, 0));
    }
    assert_eq!(open_sent(&open("0b 02 09 47 07 000101 80 00003c")), IGNORED);
}

#[test]
fn f_12_software_version_longer_than_what_is_left() {
    // CVE-2023-41361
    assert_eq!(open_sent(&open("06 02 04 4b 40 0141")), Ends(2, 0));
    assert_eq!(open_sent(&open("06 02 04 4b 02 ff41")), IGNORED);
}

#[test]
fn f_13_f_14_prefix_sid_is_not_looked_into() {
    // CVE-2023-31490, CVE-2024-31948
    for value in [
        "c0 28 00",
        "c0 28 03 01 ffff",
        "c0 28 05 05 0022 00 01",
        "c0 28 08 0000000000000000",
    ] {
        assert_eq!(established(&with_attribute(value)), ANNOUNCED, "{value}");
    }
}

#[test]
fn f_15_f_16_f_17_flowspec_is_not_looked_into() {
    // CVE-2023-38406, CVE-2026-37457, CVE-2023-41909
    for attribute in [
        "80 0e 06 0001 85 00 00 00",
        "80 0e 0a 0001 85 00 00 04 03 81 06 ff",
        "80 0f 04 0001 85 f0",
    ] {
        assert_eq!(established(&with_attribute(attribute)), ANNOUNCED);
        assert_eq!(established(&attribute_alone(attribute)), IGNORED);
    }
}

#[test]
fn f_18_labelled_prefixes_are_not_looked_into() {
    // CVE-2023-38407: a prefix shorter than its stack of labels.
    let input = attribute_alone("80 0e 0c 0001 04 04 c0000201 00 08 00 00");
    assert_eq!(established(&input), IGNORED);
}

#[test]
fn f_19_prefixes_without_any_attribute() {
    // CVE-2023-41358
    assert_eq!(established(&update(&[], &[], &hex(PREFIX))), WITHDRAWN);
}

#[test]
fn f_20_f_21_f_52_f_53_tunnel_encapsulation_is_not_looked_into() {
    // CVE-2023-38802, CVE-2024-44070, CVE-2023-4481, CVE-2023-38283, CVE-2023-40457, VU#347067
    for value in [
        "c0 17 00",
        "c0 17 04 0008 ffff",
        "c0 17 06 0001 0002 ff 00",
        "e0 17 01 00",
    ] {
        assert_eq!(established(&with_attribute(value)), ANNOUNCED, "{value}");
    }
}

#[test]
fn f_22_accumulated_igp_metric_is_not_looked_into() {
    // CVE-2023-41359
    for value in ["80 1a 00", "80 1a 03 01 0000", "80 1a 03 01 ffff"] {
        assert_eq!(established(&with_attribute(value)), ANNOUNCED, "{value}");
    }
}

#[test]
fn f_23_f_24_route_refresh_with_outbound_filters() {
    // CVE-2023-41360: we have not offered to take any.
    for body in [
        "0001 00 01 01",
        "0001 00 01 01 40 0004 00",
        "0001 00 01 01 80 ffff 80 00",
    ] {
        let input = message(MessageType::RouteRefresh, &hex(body));
        assert_eq!(established(&input), Ends(1, 2));
    }
}

#[test]
fn f_25_multiprotocol_reach_that_is_cut_off() {
    // CVE-2023-46752
    for attribute in [
        "80 0e 00",
        "80 0e 02 0002",
        "80 0e 03 0002 01",
        "80 0e 05 0002 01 10 20",
    ] {
        assert_eq!(
            established(&attribute_alone(attribute)),
            Ends(3, 9),
            "{attribute}"
        );
    }
}

#[test]
fn f_26_unknown_attribute_and_no_mandatory_ones() {
    // CVE-2023-46753
    assert_eq!(established(&attribute_alone("c0 63 01 00")), IGNORED);
    let input = update(&[], &hex("c0 63 01 00"), &hex(PREFIX));
    assert_eq!(established(&input), WITHDRAWN);
}

#[test]
fn f_27_multiprotocol_unreach_and_prefixes_without_mandatory_attributes() {
    // CVE-2023-47234
    let unreach = hex("80 0f 08 0002 01 20 20010db8");
    let expected = GoesOn {
        announced: 0,
        withdrawn: 2,
    };
    assert_eq!(established(&update(&[], &unreach, &hex(PREFIX))), expected);
}

#[test]
fn f_28_malformed_update_that_looks_like_an_end_of_rib() {
    // CVE-2023-47235
    let mut script = Script::established(config());
    for attributes in ["40 01 01 09", "80 04 01 00"] {
        script.receive_octets(&update(&[], &hex(attributes), &[]));
    }
    let status = script.session.status();
    assert_eq!(status.state, State::Established);
    assert!(
        status
            .families
            .iter()
            .all(|family| !family.end_of_rib_received)
    );
    assert_eq!(status.update_errors, 2);
}

#[test]
fn f_29_path_identifiers_that_nobody_has_asked_for() {
    // 0.0.0.0/0 three times, 32.0.0.0/1 and 203.0.113.0/24, as the octets say.
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat();
    let nlri = [hex("00000001 20"), hex(PREFIX)].concat();
    let expected = GoesOn {
        announced: 5,
        withdrawn: 0,
    };
    assert_eq!(established(&update(&[], &attributes, &nlri)), expected);
}

#[test]
fn f_31_unknown_attribute_of_almost_64_kilobytes() {
    let length = 65_400_u16;
    let attribute = [
        &[0xD0, 99][..],
        &length.to_be_bytes(),
        &vec![7; usize::from(length)],
    ]
    .concat();
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP), attribute].concat();
    assert_eq!(
        established(&update(&[], &attributes, &hex(PREFIX))),
        ANNOUNCED
    );
}

#[test]
fn f_34_shutdown_communication_longer_than_128_octets() {
    // CVE-2019-16159
    for length in [129_u8, 255] {
        let body = [&[6, 2, length][..], &vec![b'a'; usize::from(length)]].concat();
        let input = message(MessageType::Notification, &body);
        assert_eq!(established(&input), Outcome::EndsSilently);
        let mut script = Script::established(config());
        script.receive_octets(&input);
        let events = script.events();
        let text = events.iter().find_map(|event| match event {
            Event::NotificationReceived(notification) => notification.communication(),
            _ => None,
        });
        assert_eq!(text.map(str::len), Some(usize::from(length)));
    }
    let longer_than_the_message = message(MessageType::Notification, &[6, 2, 255, b'a']);
    assert_eq!(established(&longer_than_the_message), Outcome::EndsSilently);
}

#[test]
fn f_35_f_104_as_path_of_many_segments() {
    // CVE-2026-49943: more than 2048 ASes; here as many as a message holds.
    let segment = [&[2, 255][..], &[0, 0, 0xFC, 9].repeat(255)].concat();
    for count in [9, 63] {
        let path = segment.repeat(count);
        let length = u16::try_from(path.len()).unwrap();
        let path = [&[0x50, 2][..], &length.to_be_bytes(), &path].concat();
        let attributes = [hex(ORIGIN), path, hex(NEXT_HOP)].concat();
        assert_eq!(
            established(&update(&[], &attributes, &hex(PREFIX))),
            ANNOUNCED
        );
    }
}

#[test]
fn f_36_connection_to_a_session_that_is_not_started() {
    let started = Script::established(config());
    let mut session = Session::new(config(), 1);
    let mut stopped = Script {
        conn: started.conn,
        now: started.now,
        session: {
            session.stop(started.now, herald_bgp::StopReason::PeerDeconfigured);
            session
        },
    };
    let conn = stopped.connect(Direction::Incoming);
    stopped.session.handle_bytes(stopped.now, conn, &open("00"));
    assert_eq!(stopped.session.state(), State::Idle);
    let closes = Event::Close {
        conn,
        after_flush: false,
    };
    assert_eq!(stopped.events(), [closes]);
}

#[test]
fn f_38_only_to_customer_of_a_bad_length() {
    for value in ["c0 23 00", "c0 23 03 010203", "c0 23 05 0102030405"] {
        assert_eq!(established(&with_attribute(value)), WITHDRAWN, "{value}");
    }
}

#[test]
fn f_39_bodies_of_zeros_and_ones() {
    // CVE-2023-46565 and its relatives: whatever the lengths say, no panic.
    for octet in [0, 1, 0x40, 0x80, 0xFF] {
        for length in 0..64 {
            for kind in [
                MessageType::Open,
                MessageType::Update,
                MessageType::RouteRefresh,
            ] {
                let input = message(kind, &vec![octet; length]);
                Script::open_sent(config()).receive_octets(&input);
                Script::established(config()).receive_octets(&input);
            }
        }
    }
}

#[test]
fn f_40_f_41_software_version_of_an_inner_length_that_does_not_fit() {
    // CVE-2025-43971
    for inner_length in ["0a", "00"] {
        let version = format!("0b 02 09 4b 07 {inner_length} 000000000000");
        assert_eq!(open_sent(&open(&version)), IGNORED);
    }
}

#[test]
fn f_45_next_hop_shorter_than_an_address() {
    // CVE-2026-30405
    for next_hop in ["40 03 00", "40 03 01 c0", "40 03 03 c00002"] {
        let attributes = [hex(ORIGIN), hex(AS_PATH), hex(next_hop)].concat();
        let input = update(&[], &attributes, &hex(PREFIX));
        assert_eq!(established(&input), WITHDRAWN, "{next_hop}");
    }
}

#[test]
fn f_47_withdrawn_routes_longer_than_the_message() {
    // CVE-2026-37462
    for body in [
        "ffff 0000",
        "0001 0000",
        "0000 0001",
        "0005 20 c0000201",
        "0000 ffff",
    ] {
        let input = message(MessageType::Update, &hex(body));
        assert_eq!(established(&input), Ends(3, 1), "{body}");
    }
}

#[test]
fn f_48_well_known_attribute_that_is_not_known() {
    // CVE-2026-41642
    assert_eq!(established(&with_attribute("40 63 01 00")), WITHDRAWN);
}

#[test]
fn f_49_malformed_as4_path_before_as_path() {
    // CVE-2026-41643
    let attributes = [
        hex("c0 11 03 02 05 00"),
        hex(ORIGIN),
        hex(AS_PATH),
        hex(NEXT_HOP),
    ]
    .concat();
    let input = update(&[], &attributes, &hex(PREFIX));
    assert_eq!(established(&input), ANNOUNCED);
    assert_eq!(discarded(&input), [17]);
}

#[test]
fn f_50_origin_without_the_transitive_bit() {
    let attributes = [hex("00 01 01 00"), hex(AS_PATH), hex(NEXT_HOP)].concat();
    assert_eq!(
        established(&update(&[], &attributes, &hex(PREFIX))),
        WITHDRAWN
    );
}

#[test]
fn f_51_four_octet_as_of_no_octets() {
    // GHSA-gjrg-jjr3-56cm: the next capability was taken for the AS.
    assert_eq!(
        open_sent(&open("0a 02 08 41 00 01 04 00010001")),
        Ends(2, 0)
    );
}

#[test]
fn f_54_corrupt_attributes_in_transit_end_nothing() {
    for value in [
        "c0 63 01 ff",
        "c0 ff 01 ff",
        "e0 1c 02 ffff",
        "c0 28 14 00000000000000000000000000000000000000 00",
    ] {
        assert_eq!(established(&with_attribute(value)), ANNOUNCED, "{value}");
    }
}

#[test]
fn f_55_lengths_below_a_header_and_as_numbers_at_the_edge() {
    for length in ["0000", "0001", "0012"] {
        let input = [vec![0xFF; 16], hex(length), vec![4]].concat();
        assert_eq!(established(&input), Ends(1, 2));
    }
    for four_octets in ["0000ffff", "00010000", "ffffffff"] {
        let my_as = if four_octets == "0000ffff" {
            "ffff"
        } else {
            "5ba0"
        };
        let body = hex(&format!(
            "04 {my_as} 005a c0000201 08 02 06 41 04 {four_octets}"
        ));
        assert_eq!(open_sent(&message(MessageType::Open, &body)), IGNORED);
    }
}

#[test]
fn f_94_a_stream_cut_anywhere_says_the_same() {
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat();
    let announcement = update(&[], &attributes, &hex(PREFIX));
    let stream = [
        open("08 02 06 41 04 0000fc09"),
        message(MessageType::Keepalive, &[]),
        announcement.clone(),
        with_attribute("40 01 01 09"),
        update(&hex(PREFIX), &[], &[]),
        message(MessageType::Notification, &[6, 2]),
        announcement,
    ]
    .concat();
    // Events of one script and another: their times differ, and nothing else may.
    let happened = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let mut script = Script::open_sent(config());
        parts.for_each(|part| script.receive_octets(part));
        let without_time = |event| match event {
            Event::StateChanged(change) => {
                format!("{} {} {}", change.from, change.to, change.cause)
            }
            other => format!("{other:?}"),
        };
        script
            .events()
            .into_iter()
            .map(without_time)
            .collect::<Vec<_>>()
    };
    let whole = happened(&mut [&stream[..]].into_iter());
    assert!(
        whole
            .iter()
            .any(|event| event.contains("Administrative Shutdown"))
    );
    for size in 1..stream.len() {
        assert_eq!(
            happened(&mut stream.chunks(size)),
            whole,
            "pieces of {size}"
        );
        let (before, after) = stream.split_at(size);
        assert_eq!(
            happened(&mut [before, after].into_iter()),
            whole,
            "cut at {size}"
        );
    }
}

#[test]
fn f_95_longest_message_from_a_neighbor_that_has_not_offered_it() {
    // RFC 8654 §4: we have offered to take it.
    let mut script = Script::established_with(config(), Vec::new());
    let nlri = hex(PREFIX).repeat(16_374);
    let input = update(&[], &[], &nlri);
    assert!(input.len() > 65_000);
    script.receive_octets(&input);
    assert_eq!(script.session.state(), State::Established);
    assert_eq!(script.session.status().update_errors, 1);
}

#[test]
fn f_96_keepalives_without_end() {
    let mut script = Script::established(config());
    let storm = message(MessageType::Keepalive, &[]).repeat(10_000);
    script.receive_octets(&storm);
    let allocated = measure(|| (0..20).for_each(|_| script.receive_octets(&storm)));
    assert_eq!(allocated.bytes_current, 0, "nothing is kept of them");
    assert_eq!(script.events(), []);
    assert!(script.sent().is_empty());
    assert_eq!(script.session.state(), State::Established);
}

#[test]
fn f_97_a_connection_on_which_nothing_comes() {
    let mut script = Script::open_sent(config());
    script.pass(seconds(239));
    assert_eq!(script.session.state(), State::OpenSent);
    script.pass(seconds(1));
    assert_eq!(
        script.last_word().map(|word| (word.code, word.subcode)),
        Some((4, 0))
    );

    let mut script = Script::open_confirm(config());
    script.pass(seconds(90));
    assert_eq!(
        script.last_word().map(|word| (word.code, word.subcode)),
        Some((4, 0))
    );
}

#[test]
fn f_98_a_neighbor_that_takes_nothing() {
    let mut script = Script::established(config());
    script.session.set_routes(script.now, routes(1000));
    let mut out = bytes::BytesMut::new();
    assert!(
        script
            .session
            .poll_transmit(script.now, script.conn, &mut out)
    );
    let mut ended_after = seconds(0);
    while script.session.state() == State::Established {
        assert!(ended_after <= seconds(480), "for ever");
        script.receive(&Message::Keepalive);
        script.pass(seconds(10));
        ended_after += seconds(10);
    }
    assert_eq!(ended_after, seconds(480));
    script.establish_again();
}

#[test]
fn f_99_a_reset_in_every_state() {
    for (state, script) in [
        (State::OpenSent, Script::open_sent(config())),
        (State::OpenConfirm, Script::open_confirm(config())),
        (State::Established, Script::established(config())),
    ] {
        let mut script = script;
        assert_eq!(script.session.state(), state);
        script.session.handle_closed(script.now, script.conn);
        assert!(script.session.state() < State::OpenSent);
        script.establish_again();
    }
}

#[test]
fn f_101_open_twice() {
    let twice = open("00").repeat(2);
    assert_eq!(open_sent(&twice), Ends(5, 2));
    assert_eq!(established(&open("00")), Ends(5, 3));
}

#[test]
fn f_102_notification_of_19_and_20_octets() {
    // RFC 4271 §6.1 names the message among those whose length is to be answered.
    for body in [&[][..], &[6]] {
        let input = message(MessageType::Notification, body);
        assert_eq!(established(&input), Ends(1, 2));
    }
}

#[test]
fn f_103_attribute_255_with_the_longest_length() {
    assert_eq!(established(&with_attribute("d0 ff ffff")), WITHDRAWN);
    assert_eq!(established(&attribute_alone("d0 ff ffff")), Ends(3, 1));
}

#[test]
fn f_105_the_default_route_four_thousand_times() {
    let attributes = [hex(ORIGIN), hex(AS_PATH), hex(NEXT_HOP)].concat();
    let expected = |count| GoesOn {
        announced: count,
        withdrawn: 0,
    };
    let ipv4 = update(&[], &attributes, &[0; 4000]);
    assert_eq!(established(&ipv4), expected(4000));
    let mut ipv6 = hex("90 0e 0fb5 0002 01 10 20010db8000000000000000000000001 00");
    ipv6.resize(4 + 0x0FB5, 0);
    let ipv6 = update(&[], &[ipv6, attributes].concat(), &[]);
    assert_eq!(established(&ipv6), expected(4000));
}

#[test]
fn f_106_a_path_with_our_own_as() {
    let attributes = [
        hex(ORIGIN),
        hex("40 02 0a 02 02 0000fc09 0000fc08"),
        hex(NEXT_HOP),
    ]
    .concat();
    assert_eq!(
        established(&update(&[], &attributes, &hex(PREFIX))),
        WITHDRAWN
    );
}

#[test]
fn f_107_graceful_restart_of_two_hundred_families() {
    let capability = [vec![64, 2 + 4 * 50, 0x80, 120], [0, 1, 1, 0x80].repeat(50)].concat();
    let parameter = |capability: &[u8]| {
        let length = u16::try_from(capability.len()).unwrap();
        [&[2][..], &length.to_be_bytes(), capability].concat()
    };
    let parameters = parameter(&capability).repeat(4);
    let length = u16::try_from(parameters.len()).unwrap();
    let body = [
        hex("04 fc09 005a c0000201 ff ff"),
        length.to_be_bytes().to_vec(),
        parameters,
    ]
    .concat();
    assert_eq!(open_sent(&message(MessageType::Open, &body)), IGNORED);
}
