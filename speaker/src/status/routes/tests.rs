use std::path::Path;
use std::time::{Instant, SystemTime};

use super::*;
use crate::additions::Additions;
use crate::announcer::Announcer;
use crate::bfd_thread::BfdReports;
use crate::config::Config;
use crate::control::LastReload;
use crate::services::Services;

const FILE: &str = r#"
    [speaker]
    local-as = 64520
    [[peer]]
    name = "tor"
    address = "192.0.2.1"
    remote-as = 64521
    [[service]]
    name = "web"
    addresses = ["203.0.113.1", "2001:db8:5::1"]
    [[route]]
    prefix = "198.51.100.0/24"
    med = 10
"#;

fn tor() -> PeerName {
    PeerName::new("tor").unwrap()
}

/// An established session over which IPv4 routes have a next hop and IPv6 routes have none, and something is on its
/// way.
fn session() -> bgp::SessionStatus {
    let asn = bgp::Asn::new(64521).unwrap();
    let id = bgp::BgpIdentifier::new([192, 0, 2, 1].into()).unwrap();
    let config = bgp::SessionConfig::new(asn, id, bgp::RemoteAs::External);
    let family = |family, next_hop: Option<[u8; 4]>| FamilyStatus {
        family,
        next_hop: next_hop.map(Into::into),
        advertised: 0,
        pending: 1,
        received: 0,
        loops: 0,
        leaks: 0,
        prefixes: None,
        prefix_limit: None,
        kept: None,
        end_of_rib_sent: true,
        end_of_rib_received: true,
    };
    bgp::SessionStatus {
        state: State::Established,
        families: vec![
            family(Family::IPV4_UNICAST, Some([192, 0, 2, 71])),
            family(Family::IPV6_UNICAST, None),
        ],
        ..bgp::Session::new(config, 0).status()
    }
}

/// What `routes` says, prefix by prefix, and `services` of the one service.
fn states(
    session: bgp::SessionStatus,
    advertised: bgp::Routes,
    unsendable: bgp::Routes,
) -> (Vec<String>, [usize; 2]) {
    let config = Config::parse(Path::new("herald.toml"), FILE)
        .unwrap()
        .config;
    let services = Services::new(&config, &Additions::default());
    let config = Arc::new(config);
    let announcer = Announcer::new(Arc::clone(&config), &services);
    let snapshot = Snapshot {
        now: (Instant::now(), SystemTime::now()),
        started: SystemTime::now(),
        last_reload: LastReload::started(SystemTime::now()),
        config,
        shutdowns: BTreeMap::new(),
        draining: Default::default(),
        services: Arc::new(services),
        standings: Arc::default(),
        checks: BTreeMap::new(),
        pools: Arc::default(),
        announcements: Arc::clone(announcer.announcements()),
        conflicts: BTreeMap::new(),
        unsendable: [(tor(), unsendable)].into(),
        malformed: BTreeMap::new(),
        history: BTreeMap::new(),
        bgp: [(tor(), session)].into(),
        bfd: BfdReports::default(),
        hooks: Vec::new(),
        addresses: Arc::default(),
        transports: BTreeMap::new(),
        neighbors: BTreeMap::new(),
        tcp_drops: crate::tcp_drops::TcpDrops::default(),
        bfd_engine: bfd::engine::EngineStatus::default(),
    };
    let advertised = [(tor(), Arc::new(advertised))].into();
    let routes: Vec<_> = snapshot.routes(&advertised).collect();
    let states = routes
        .iter()
        .map(|route| format!("{} {}", route.prefix, route.peers[0].state));
    let services = snapshot.services(&advertised);
    (
        states.collect(),
        [services[0].announced_to, services[0].peers],
    )
}

fn routes(prefixes: &[(&str, Option<u32>)]) -> bgp::Routes {
    let attributes = |multi_exit_disc| RouteAttributes {
        multi_exit_disc,
        ..RouteAttributes::default()
    };
    prefixes
        .iter()
        .map(|(prefix, med)| (prefix.parse().unwrap(), Arc::new(attributes(*med))))
        .collect()
}

#[test]
fn each_prefix_has_its_own_state() {
    let web = routes(&[("203.0.113.1/32", None)]);
    let (states, _) = states(session(), web, bgp::Routes::new());
    assert_eq!(
        states,
        [
            "198.51.100.0/24 pending",
            "203.0.113.1/32 announced",
            "2001:db8:5::1/128 no next hop"
        ]
    );
}

#[test]
fn a_peer_that_nothing_is_on_its_way_to_has_everything() {
    let mut quiet = session();
    quiet.families[0].pending = 0;
    let long = routes(&[("198.51.100.0/24", Some(10))]);
    let (states, _) = states(quiet, bgp::Routes::new(), long);
    assert_eq!(
        states,
        [
            "198.51.100.0/24 too long",
            "203.0.113.1/32 announced",
            "2001:db8:5::1/128 no next hop"
        ]
    );
}

#[test]
fn what_a_peer_has_with_other_attributes_is_pending() {
    let old = routes(&[("198.51.100.0/24", Some(20))]);
    let (states, _) = states(session(), old, bgp::Routes::new());
    assert_eq!(states[0], "198.51.100.0/24 pending");
}

#[test]
fn what_fits_no_message_is_too_long() {
    let route = routes(&[("198.51.100.0/24", Some(10))]);
    let (states, _) = states(session(), bgp::Routes::new(), route);
    assert_eq!(states[0], "198.51.100.0/24 too long");
}

#[test]
fn without_a_session_everything_is_down() {
    let down = bgp::SessionStatus {
        state: State::Active,
        ..session()
    };
    let (states, service) = states(down, bgp::Routes::new(), bgp::Routes::new());
    assert!(states.iter().all(|state| state.ends_with(" down")));
    assert_eq!(service, [0, 1]);
}

#[test]
fn a_service_is_announced_when_all_of_it_is() {
    let half = routes(&[("203.0.113.1/32", None)]);
    let whole = routes(&[("203.0.113.1/32", None), ("2001:db8:5::1/128", None)]);
    let mut able = session();
    able.families[1].next_hop = Some("2001:db8::71".parse().unwrap());
    let of = |advertised| states(able.clone(), advertised, bgp::Routes::new()).1;
    assert_eq!(of(half), [0, 1]);
    assert_eq!(of(whole), [1, 1]);
}
