use super::*;

const IPV4: Family = Family::IPV4_UNICAST;
const IPV6: Family = Family::IPV6_UNICAST;

fn encoded(capability: &Capability) -> Vec<u8> {
    let mut out = BytesMut::new();
    capability.encode(&mut out);
    out.to_vec()
}

/// Octets that `capability` has, and what it is called.
fn assert_is(octets: &[u8], capability: &Capability, text: &str) {
    assert_eq!(encoded(capability), octets);
    assert_eq!(octets[1], u8::try_from(octets.len() - 2).unwrap());
    assert_eq!(
        Capability::decode(octets[0], &octets[2..]).as_ref(),
        Ok(capability)
    );
    assert_eq!(capability.to_string(), text);
}

#[test]
fn c_100_graceful_restart_has_flags_a_time_and_families() {
    let mut restart = GracefulRestart {
        restarting: true,
        notification: true,
        restart_time: RestartTime::from_secs(0x0123).unwrap(),
        families: vec![
            GracefulRestartFamily {
                family: IPV4,
                forwarding: true,
            },
            GracefulRestartFamily {
                family: IPV6,
                forwarding: false,
            },
        ],
    };
    assert_is(
        &[64, 10, 0xC1, 0x23, 0, 1, 1, 0x80, 0, 2, 1, 0],
        &Capability::GracefulRestart(Box::new(restart.clone())),
        "graceful-restart 291s restarting notification ipv4-unicast/forwarding ipv6-unicast",
    );
    // Bits that nobody has given a meaning say nothing.
    assert_eq!(
        Capability::decode(64, &[0xF1, 0x23, 0, 1, 1, 0xFF, 0, 2, 1, 0x7F]),
        Ok(Capability::GracefulRestart(Box::new(restart.clone())))
    );
    restart.families.clear();
    restart.notification = false;
    restart.restarting = false;
    assert_is(
        &[64, 2, 0x01, 0x23],
        &Capability::GracefulRestart(Box::new(restart)),
        "graceful-restart 291s",
    );
    assert_eq!(RestartTime::from_secs(4096), None);
}

#[test]
fn other_capabilities_as_their_rfcs_draw_them() {
    assert_is(
        &[5, 6, 0, 1, 0, 1, 0, 2],
        &Capability::ExtendedNextHop(Box::new([ExtendedNextHop::IPV4_OVER_IPV6])),
        "extended-next-hop ipv4-unicast/ipv6",
    );
    assert_is(
        &[9, 1, 3],
        &Capability::Role(Role::Customer),
        "role customer",
    );
    let add_path = |family, direction| AddPath { family, direction };
    assert_is(
        &[69, 8, 0, 1, 1, 3, 0, 2, 1, 1],
        &Capability::AddPath(Box::new([
            add_path(IPV4, AddPathDirection::Both),
            add_path(IPV6, AddPathDirection::Receive),
        ])),
        "add-path ipv4-unicast/both ipv6-unicast/receive",
    );
    assert_is(
        &[70, 0],
        &Capability::EnhancedRouteRefresh,
        "enhanced-route-refresh",
    );
    assert_is(
        &[71, 7, 0, 2, 1, 0x80, 1, 0, 2],
        &Capability::LongLivedGracefulRestart(Box::new([LongLivedGracefulRestart {
            family: IPV6,
            forwarding: true,
            stale_time: LongLivedStaleTime::from_secs(0x01_0002).unwrap(),
        }])),
        "long-lived-graceful-restart ipv6-unicast/65538s/forwarding",
    );
    assert_is(
        b"\x49\x0A\x05tor-a\x03dc1",
        &Capability::Hostname(Box::new(Hostname::new("tor-a", "dc1").unwrap())),
        "hostname tor-a.dc1",
    );
    assert_is(&[74, 0], &Capability::BfdStrict, "bfd-strict");
    assert_eq!(LongLivedStaleTime::from_secs(1 << 24), None);
    assert_eq!(Hostname::new("a".repeat(200), "b".repeat(54)), None);
}

#[test]
fn c_018_lengths_that_no_value_has() {
    for (code, value) in [
        (5, &[0, 1, 0, 1, 0][..]),
        (9, &[]),
        (9, &[3, 3]),
        (64, &[]),
        (64, &[0x80]),
        (64, &[0, 120, 0, 1, 1]),
        (64, &[0, 120, 0, 1, 1, 0, 0]),
        (69, &[0, 1, 1]),
        (70, &[0]),
        // F-11, CVE-2023-31489: not a multiple of seven.
        (71, &[0, 1, 1, 0, 0, 0]),
        (71, &[0, 1, 1, 0, 0, 0, 1, 0]),
        (74, &[0]),
    ] {
        let outcome = Capability::decode(code, value);
        assert_eq!(outcome, Err(BadCapability::Length), "{code} {value:?}");
    }
}

#[test]
fn c_018_what_means_nothing_is_ignored() {
    for (code, value) in [
        (9, &[5][..]),                   // a role that there is not
        (69, &[0, 1, 1, 3, 0, 2, 1, 4]), // RFC 7911 §4: not understood as a whole
        (69, &[0, 1, 1, 0]),
        (73, &[]), // names are for people: no reason to part
        (73, b"\x05tor-a"),
        (73, b"\x06tor-a\x00"),
        (73, b"\x01a\x00extra"),
        (73, b"\x01\xFF\x00"),
    ] {
        let unknown = Capability::Unknown {
            code,
            value: value.into(),
        };
        assert_eq!(Capability::decode(code, value).as_ref(), Ok(&unknown));
        assert_eq!(&encoded(&unknown)[2..], value);
    }
    // A SAFI has one octet; the tuple that has more says nothing, the other does.
    assert_eq!(
        Capability::decode(5, &[0, 1, 1, 1, 0, 2, 0, 1, 0, 1, 0, 2]),
        Ok(Capability::ExtendedNextHop(Box::new([
            ExtendedNextHop::IPV4_OVER_IPV6
        ])))
    );
}

#[test]
fn a_hostname_does_not_move_the_cursor() {
    let hostname = Hostname::new("\u{1b}[2Jtor", "").unwrap();
    assert_eq!(hostname.to_string(), "\\u{1b}[2Jtor");
}

#[test]
fn lists_end_where_their_length_does() {
    let tuples = vec![ExtendedNextHop::IPV4_OVER_IPV6; 60];
    assert_eq!(encoded(&Capability::ExtendedNextHop(tuples.into()))[1], 252);
    let restart = GracefulRestart {
        families: vec![
            GracefulRestartFamily {
                family: IPV4,
                forwarding: true
            };
            200
        ],
        ..GracefulRestart::default()
    };
    assert_eq!(
        encoded(&Capability::GracefulRestart(Box::new(restart)))[1],
        254
    );
}
