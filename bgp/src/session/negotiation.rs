//! OPEN, out and in: what is offered, what is acceptable, and what both together mean (RFC 4271
//! §4.2, §6.2; RFC 5492).

use std::time::Duration;

use super::config::{RemoteAs, SessionConfig};
use super::graceful_restart::{self, Past};
use super::status::Negotiated;
use crate::types::{Family, Role};
use crate::wire::{
    AddPath, AddPathDirection, Capability, ExtendedNextHop, Notification, Open, code, subcode,
};

/// The OPEN that `config` asks for.
pub(super) fn open(config: &SessionConfig, past: Past) -> Open {
    let families = config
        .families
        .iter()
        .copied()
        .map(Capability::Multiprotocol);
    let extended_next_hop =
        config.extended_next_hop && config.families.contains(&Family::IPV4_UNICAST);
    let others = [
        Some(Capability::RouteRefresh),
        Some(Capability::EnhancedRouteRefresh),
        extended_next_hop
            .then(|| Capability::ExtendedNextHop([ExtendedNextHop::IPV4_OVER_IPV6].into())),
        Some(Capability::ExtendedMessage),
        role(config).map(Capability::Role),
        Some(Capability::FourOctetAs(config.local_as)),
        config.add_path.map(|direction| {
            let families = config.families.iter().copied();
            Capability::AddPath(
                families
                    .map(|family| AddPath { family, direction })
                    .collect(),
            )
        }),
        config.bfd_strict.map(|_| Capability::BfdStrict),
    ];
    let hostname = config.hostname.clone();
    let hostname = hostname.map(|name| Capability::Hostname(Box::new(name)));
    Open {
        my_as: config.local_as.two_octets(),
        hold_time: config.hold_time,
        bgp_identifier: config.local_identifier,
        capabilities: families
            .chain(others.into_iter().flatten())
            .chain(hostname)
            .chain(graceful_restart::capabilities(config, past))
            .collect(),
    }
}

/// Our role; none towards an internal neighbor (RFC 9234 §4.1).
fn role(config: &SessionConfig) -> Option<Role> {
    let is_internal =
        [RemoteAs::Internal, RemoteAs::Is(config.local_as)].contains(&config.remote_as);
    config.role.filter(|_| !is_internal)
}

/// RFC 9234 §4.2: what the neighbor is to us goes with what we are to it, however often it says so.
fn check_roles(config: &SessionConfig, received: &[Capability]) -> Result<(), Notification> {
    let Some(role) = role(config) else {
        return Ok(());
    };
    let expected = Capability::Role(role.counterpart());
    let mut said = received
        .iter()
        .filter(|capability| capability.code() == expected.code())
        .peekable();
    let is_silent = said.peek().is_none();
    if is_silent && config.role_strict || said.any(|said| *said != expected) {
        let mismatch = subcode::open::ROLE_MISMATCH;
        return Err(Notification::new(code::OPEN_MESSAGE, mismatch));
    }
    Ok(())
}

/// What `received` and our own OPEN, which has offered what is in `sent`, agree on.
///
/// # Errors
/// The OPEN Message Error that refuses `received`.
pub(super) fn negotiate(
    config: &SessionConfig,
    sent: Vec<Capability>,
    received: &Open,
) -> Result<Negotiated, Notification> {
    let error = |subcode| Notification::new(code::OPEN_MESSAGE, subcode);
    let remote_as = received.asn()?;
    let is_expected = match config.remote_as {
        RemoteAs::Is(expected) => remote_as == expected,
        RemoteAs::Internal => remote_as == config.local_as,
        RemoteAs::External => remote_as != config.local_as,
    };
    if !is_expected {
        return Err(error(subcode::open::BAD_PEER_AS));
    }
    // RFC 6286 §2.2: within an AS no two speakers may have the same identifier.
    if remote_as == config.local_as && received.bgp_identifier == config.local_identifier {
        return Err(error(subcode::open::BAD_BGP_IDENTIFIER));
    }
    check_roles(config, &received.capabilities)?;
    let families = common_families(&config.families, &received.capabilities);
    let has = |capability| received.capabilities.contains(&capability);
    let hold_time = config.hold_time.min(received.hold_time).duration();
    Ok(Negotiated {
        remote_as,
        remote_identifier: received.bgp_identifier,
        hold_time,
        keepalive_time: hold_time.map(|hold_time| keepalive_time(config, hold_time)),
        extended_next_hop: takes_extended_next_hop(&sent)
            && takes_extended_next_hop(&received.capabilities),
        add_path_send: several_paths(&sent, &received.capabilities, &families),
        add_path_receive: several_paths(&received.capabilities, &sent, &families),
        graceful_restart: graceful_restart::agreed(config, &received.capabilities),
        long_lived_graceful_restart: graceful_restart::agreed_long_lived(
            config,
            &families,
            &received.capabilities,
        ),
        families,
        four_octet_as: received
            .capabilities
            .iter()
            .any(|capability| matches!(capability, Capability::FourOctetAs(_))),
        route_refresh: has(Capability::RouteRefresh),
        enhanced_route_refresh: has(Capability::EnhancedRouteRefresh),
        extended_message: has(Capability::ExtendedMessage),
        bfd_strict: config.bfd_strict.is_some() && has(Capability::BfdStrict),
        sent,
        received: received.capabilities.clone(),
    })
}

/// RFC 8950 §4
fn takes_extended_next_hop(capabilities: &[Capability]) -> bool {
    capabilities.iter().any(|capability| match capability {
        Capability::ExtendedNextHop(tuples) => tuples.contains(&ExtendedNextHop::IPV4_OVER_IPV6),
        _ => false,
    })
}

/// The families of which `sender` sends several paths and `receiver` takes them (RFC 7911 §4).
fn several_paths(
    sender: &[Capability],
    receiver: &[Capability],
    families: &[Family],
) -> Vec<Family> {
    // Of several tuples for a family the first counts.
    let direction = |capabilities: &[Capability], family: Family| {
        let tuples = capabilities.iter().flat_map(|capability| match capability {
            Capability::AddPath(tuples) => tuples.iter(),
            _ => [].iter(),
        });
        let mut tuples = tuples.filter(|tuple| tuple.family == family);
        tuples.next().map(|tuple| tuple.direction)
    };
    let both = |family: &&Family| {
        direction(sender, **family).is_some_and(AddPathDirection::sends)
            && direction(receiver, **family).is_some_and(AddPathDirection::receives)
    };
    families.iter().filter(both).copied().collect()
}

/// At most a third of the hold time (RFC 4271 §4.4), and no more than one a second.
pub(super) fn keepalive_time(config: &SessionConfig, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    config
        .keepalive_time
        .map_or(third, |configured| configured.min(third))
        .max(Duration::from_secs(1))
}

/// In the order of `ours`. A neighbor that says nothing of families speaks IPv4 unicast (RFC 4760
/// §8).
fn common_families(ours: &[Family], theirs: &[Capability]) -> Vec<Family> {
    let offered = theirs.iter().filter_map(|capability| match capability {
        Capability::Multiprotocol(family) => Some(*family),
        _ => None,
    });
    let mut offered = offered.collect::<Vec<_>>();
    if offered.is_empty() {
        offered.push(Family::IPV4_UNICAST);
    }
    ours.iter()
        .copied()
        .filter(|family| offered.contains(family))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Asn, BgpIdentifier, HoldTime};
    use crate::wire::Hostname;

    fn open(config: &SessionConfig) -> Open {
        super::open(config, Past::default())
    }

    fn negotiate(config: &SessionConfig, received: &Open) -> Result<Negotiated, Notification> {
        super::negotiate(config, open(config).capabilities, received)
    }

    fn config(local_as: u32, remote_as: RemoteAs) -> SessionConfig {
        let identifier = BgpIdentifier::new([192, 0, 2, 71].into()).unwrap();
        SessionConfig::new(Asn::new(local_as).unwrap(), identifier, remote_as)
    }

    fn open_of(asn: u32) -> Open {
        let identifier = BgpIdentifier::new([192, 0, 2, 1].into()).unwrap();
        open(&SessionConfig::new(
            Asn::new(asn).unwrap(),
            identifier,
            RemoteAs::External,
        ))
    }

    #[test]
    fn c_011_the_neighbor_is_in_the_as_that_was_configured() {
        let bad_peer_as = Err(Notification::new(2, 2));
        let is = RemoteAs::Is(Asn::new(64521).unwrap());
        for (expected, remote, accepted) in [
            (is, 64521, true),
            (is, 64522, false),
            (RemoteAs::Internal, 64520, true),
            (RemoteAs::Internal, 64521, false),
            (RemoteAs::External, 4_200_000_000, true),
            (RemoteAs::External, 64520, false),
        ] {
            let outcome = negotiate(&config(64520, expected), &open_of(remote));
            assert_eq!(outcome.is_ok(), accepted, "{expected:?} {remote}");
            assert!(accepted || outcome == bad_peer_as);
        }
    }

    #[test]
    fn c_013_own_identifier_is_refused_within_the_as_only() {
        let mut received = open_of(64520);
        received.bgp_identifier = config(64520, RemoteAs::Internal).local_identifier;
        assert_eq!(
            negotiate(&config(64520, RemoteAs::Internal), &received),
            Err(Notification::new(2, 3))
        );
        let mut external = open_of(64521);
        external.bgp_identifier = received.bgp_identifier;
        assert!(negotiate(&config(64520, RemoteAs::External), &external).is_ok());
    }

    #[test]
    fn c_014_c_015_the_lower_hold_time_and_a_third_of_it() {
        let mut received = open_of(64521);
        received.hold_time = HoldTime::from_secs(15).unwrap();
        let negotiated = negotiate(&config(64520, RemoteAs::External), &received).unwrap();
        assert_eq!(negotiated.hold_time, Some(Duration::from_secs(15)));
        assert_eq!(negotiated.keepalive_time, Some(Duration::from_secs(5)));
        received.hold_time = HoldTime::ZERO;
        let negotiated = negotiate(&config(64520, RemoteAs::External), &received).unwrap();
        assert_eq!(
            (negotiated.hold_time, negotiated.keepalive_time),
            (None, None)
        );
    }

    fn with(mut open: Open, capabilities: &[Capability]) -> Open {
        open.capabilities.extend_from_slice(capabilities);
        open
    }

    #[test]
    fn c_029_roles_go_in_pairs() {
        use Role::{Customer, Peer, Provider, RsClient, RsServer};
        let mismatch = Err(Notification::new(2, 11));
        let all = [Customer, Peer, Provider, RsClient, RsServer];
        for ours in all {
            let config = SessionConfig {
                role: Some(ours),
                ..config(64520, RemoteAs::External)
            };
            let outcome = |capabilities: &[Capability]| {
                negotiate(&config, &with(open_of(64521), capabilities)).map(|_| ())
            };
            for theirs in all {
                let pair = [(ours, theirs), (theirs, ours)];
                let goes = [(Provider, Customer), (RsServer, RsClient), (Peer, Peer)]
                    .iter()
                    .any(|right| pair.contains(right));
                let expected = if goes { Ok(()) } else { mismatch.clone() };
                let said = Capability::Role(theirs);
                assert_eq!(
                    outcome(std::slice::from_ref(&said)),
                    expected,
                    "{ours} {theirs}"
                );
                // Twice the same is once; and one of two is not enough.
                assert_eq!(outcome(&[said.clone(), said.clone()]), expected);
                let other = if theirs == Peer { Customer } else { Peer };
                assert_eq!(outcome(&[said, Capability::Role(other)]), mismatch.clone());
            }
            let unassigned = Capability::Unknown {
                code: 9,
                value: [5].into(),
            };
            assert_eq!(outcome(&[unassigned]), mismatch.clone());
            assert_eq!(outcome(&[]), Ok(()));
        }
    }

    #[test]
    fn c_029_strict_wants_a_role() {
        let strict = SessionConfig {
            role: Some(Role::Customer),
            role_strict: true,
            ..config(64520, RemoteAs::External)
        };
        assert_eq!(
            negotiate(&strict, &open_of(64521)),
            Err(Notification::new(2, 11))
        );
        let provider = [Capability::Role(Role::Provider)];
        assert!(negotiate(&strict, &with(open_of(64521), &provider)).is_ok());
    }

    #[test]
    fn c_030_a_role_says_nothing_within_an_as() {
        for remote_as in [RemoteAs::Internal, RemoteAs::Is(Asn::new(64520).unwrap())] {
            let internal = SessionConfig {
                role: Some(Role::Customer),
                role_strict: true,
                ..config(64520, remote_as)
            };
            let is_role = |capability: &Capability| capability.code() == 9;
            assert!(!open(&internal).capabilities.iter().any(is_role));
            let customer = [Capability::Role(Role::Customer)];
            assert!(negotiate(&internal, &with(open_of(64520), &customer)).is_ok());
            assert!(negotiate(&internal, &open_of(64520)).is_ok());
        }
        // Nor does it where we have none.
        let customer = [Capability::Role(Role::Customer)];
        let received = with(open_of(64521), &customer);
        assert!(negotiate(&config(64520, RemoteAs::External), &received).is_ok());
    }

    #[test]
    fn c_074_ipv6_next_hops_for_ipv4_take_both_sides() {
        let offer = Capability::ExtendedNextHop([ExtendedNextHop::IPV4_OVER_IPV6].into());
        let other = Capability::ExtendedNextHop(
            [ExtendedNextHop {
                family: Family { afi: 1, safi: 128 },
                next_hop_afi: 2,
            }]
            .into(),
        );
        for (offers, capability, agreed) in [
            (true, Some(&offer), true),
            (true, Some(&other), false),
            (true, None, false),
            (false, Some(&offer), false),
        ] {
            let config = SessionConfig {
                extended_next_hop: offers,
                ..config(64520, RemoteAs::External)
            };
            assert_eq!(open(&config).capabilities.contains(&offer), offers);
            let capabilities: Vec<_> = capability.into_iter().cloned().collect();
            let negotiated = negotiate(&config, &with(open_of(64521), &capabilities)).unwrap();
            assert_eq!(negotiated.extended_next_hop, agreed);
        }
    }

    #[test]
    fn our_name_is_in_the_open_if_it_is_to_be_told() {
        let mut config = config(64520, RemoteAs::External);
        let says_name = |config: &SessionConfig| {
            let mut capabilities = open(config).capabilities.into_iter();
            capabilities.find_map(|capability| match capability {
                Capability::Hostname(name) => Some(name.to_string()),
                _ => None,
            })
        };
        assert_eq!(says_name(&config), None);
        config.hostname = Hostname::new("node-1", "rack.example");
        assert_eq!(says_name(&config).as_deref(), Some("node-1.rack.example"));
    }

    #[test]
    fn c_077_several_paths_by_family_and_direction() {
        use AddPathDirection::{Both, Receive, Send};
        let tuple = |family, direction| AddPath { family, direction };
        let of = |direction| tuple(Family::IPV4_UNICAST, direction);
        for (ours, theirs, send, receive) in [
            (Some(Send), Some(Receive), true, false),
            (Some(Send), Some(Both), true, false),
            (Some(Send), Some(Send), false, false),
            (Some(Receive), Some(Send), false, true),
            (Some(Both), Some(Both), true, true),
            (None, Some(Both), false, false),
            (Some(Both), None, false, false),
        ] {
            let config = SessionConfig {
                add_path: ours,
                ..config(64520, RemoteAs::External)
            };
            // The second tuple of a family does not count.
            let theirs: Vec<_> = theirs
                .map(|direction| Capability::AddPath([of(direction), of(Both)].into()))
                .into_iter()
                .collect();
            let negotiated = negotiate(&config, &with(open_of(64521), &theirs)).unwrap();
            let ipv4 = |yes: bool| {
                if yes {
                    vec![Family::IPV4_UNICAST]
                } else {
                    vec![]
                }
            };
            assert_eq!(negotiated.add_path_send, ipv4(send), "{ours:?} {theirs:?}");
            assert_eq!(negotiated.add_path_receive, ipv4(receive));
        }
    }

    #[test]
    fn c_026_without_multiprotocol_there_is_ipv4_unicast() {
        let mut received = open_of(64521);
        received.capabilities.clear();
        let negotiated = negotiate(&config(64520, RemoteAs::External), &received).unwrap();
        assert_eq!(negotiated.families, [Family::IPV4_UNICAST]);
        assert!(
            !negotiated.four_octet_as && !negotiated.route_refresh && !negotiated.extended_message
        );
    }
}
