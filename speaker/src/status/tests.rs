//! What is said of routes, services and peers, from what the sessions have sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bgp::{Family, FamilyStatus, RouteAttributes, State};

use crate::additions::Additions;
use crate::announcer::Announcer;
use crate::bfd_thread::BfdReports;
use crate::config::{Config, PeerName, ServiceName};
use crate::control::{LastReload, Snapshot};
use crate::history::{History, Subject, What};
use crate::services::{Services, Verdict};
use crate::status::ServiceStatus;

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

/// Of this file, with these sessions.
fn snapshot(file: &str, sessions: &[(&str, bgp::SessionStatus)], web: Verdict) -> Snapshot {
    let parsed = Config::parse(Path::new("herald.toml"), file).unwrap();
    let config = Arc::new(parsed.config);
    let mut services = Services::new(&config, &Additions::default());
    services.judge(&ServiceName::new("web").unwrap(), web);
    let announcer = Announcer::new(Arc::clone(&config), &services);
    let sessions = sessions.iter().cloned();
    Snapshot {
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
        unsendable: BTreeMap::new(),
        malformed: BTreeMap::new(),
        history: BTreeMap::new(),
        bgp: sessions
            .map(|(name, session)| (PeerName::new(name).unwrap(), session))
            .collect(),
        bfd: BfdReports::default(),
        hooks: Vec::new(),
        addresses: Arc::default(),
        transports: BTreeMap::new(),
        neighbors: BTreeMap::new(),
        tcp_drops: crate::tcp_drops::TcpDrops::default(),
        bfd_engine: bfd::engine::EngineStatus::default(),
    }
}

/// What `routes` says, prefix by prefix, and `services` of the one service.
fn states(
    session: bgp::SessionStatus,
    advertised: bgp::Routes,
    unsendable: bgp::Routes,
) -> (Vec<String>, [usize; 2]) {
    let snapshot = Snapshot {
        unsendable: [(tor(), unsendable)].into(),
        ..snapshot(FILE, &[("tor", session)], Verdict::Healthy)
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

/// A second peer for the service of `FILE`, down.
const ANOTHER_PEER: &str = r#"
    [[peer]]
    name = "another"
    address = "192.0.2.2"
    remote-as = 64521
"#;

fn web(snapshot: &Snapshot, advertised: bgp::Routes) -> ServiceStatus {
    let advertised = [(tor(), Arc::new(advertised))].into();
    snapshot.service("web", &advertised).unwrap()
}

#[test]
fn a_service_names_who_has_not_got_it_and_why() {
    let file = format!("{FILE}{ANOTHER_PEER}");
    let down = bgp::SessionStatus {
        state: State::Active,
        ..session()
    };
    let sessions = [("tor", session()), ("another", down)];
    let snapshot = snapshot(&file, &sessions, Verdict::Healthy);
    let service = web(&snapshot, routes(&[("203.0.113.1/32", None)]));
    assert_eq!((service.announced_to, service.peers), (0, 2));
    assert_eq!(service.unannounced, None);
    let lacking = service.lacking.iter();
    let lacking: Vec<_> = lacking
        .map(|it| format!("{} {}: {}", it.peer, it.state, it.reason))
        .collect();
    assert_eq!(
        lacking,
        [
            "another down: its session is Active",
            "tor no next hop: we have no ipv6-unicast address to name to it as the next hop of 2001:db8:5::1/128",
        ]
    );
}

#[test]
fn whoever_has_all_of_a_service_does_not_lack_it() {
    let mut able = session();
    able.families[1].next_hop = Some("2001:db8::71".parse().unwrap());
    let snapshot = snapshot(FILE, &[("tor", able)], Verdict::Healthy);
    let whole = routes(&[("203.0.113.1/32", None), ("2001:db8:5::1/128", None)]);
    assert_eq!(web(&snapshot, whole).lacking, []);
}

#[test]
fn a_service_that_is_not_announced_is_still_for_somebody() {
    let v4_only = r#"families = ["ipv4-unicast"]"#;
    let no_advertisement = "[[advertisement]]\nname = \"others\"\nservices = [\"other-*\"]\n";
    let fitting = "[[advertisement]]\npeers = [\"another\"]\n";
    for (verdict, more, peers, reason) in [
        (Verdict::Unhealthy, "", 2, "it is unhealthy"),
        (Verdict::Unknown, v4_only, 2, "it is unknown"),
        (Verdict::Unhealthy, fitting, 1, "it is unhealthy"),
        (
            Verdict::Healthy,
            no_advertisement,
            0,
            "no [[advertisement]] fits it",
        ),
    ] {
        let file = format!("{FILE}{ANOTHER_PEER}{more}");
        let snapshot = snapshot(&file, &[("tor", session())], verdict);
        let service = web(&snapshot, bgp::Routes::new());
        assert_eq!((service.announced_to, service.peers), (0, peers), "{more}");
        assert_eq!(service.unannounced.as_deref(), Some(reason), "{more}");
        assert_eq!(service.lacking, []);
    }
}

#[test]
fn a_service_without_an_address_or_a_peer_says_so() {
    let daemon = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.9\"\n";
    let pool = "[[pool]]\nname = \"p\"\naddresses = [\"198.51.100.0/24\"]\n";
    for (service, reason) in [
        ("[[service]]\nname = \"web\"\n", "it has no address"),
        (
            "[[service]]\nname = \"web\"\naddresses = [\"203.0.113.1\"]\n",
            "there is no peer",
        ),
    ] {
        let snapshot = snapshot(&format!("{daemon}{pool}{service}"), &[], Verdict::Healthy);
        let service = web(&snapshot, bgp::Routes::new());
        assert_eq!(service.unannounced.as_deref(), Some(reason));
    }
}

#[test]
fn a_peer_tells_what_is_held_back_from_it() {
    let snapshot = snapshot(FILE, &[("tor", session())], Verdict::Healthy);
    let snapshot = Snapshot {
        unsendable: [(tor(), routes(&[("198.51.100.0/24", Some(10))]))].into(),
        ..snapshot
    };
    let peer = snapshot.peer(&tor()).unwrap();
    assert!(
        peer.story[0].ends_with(
            "; 1 prefix of ipv6-unicast is held back, for there is no next hop; \
             1 prefix is held back, for the attributes leave no room in a message."
        ),
        "{:?}",
        peer.story
    );
}

#[test]
fn a_peer_is_down_since_it_was_lost_and_not_since_its_last_attempt() {
    let down = bgp::SessionStatus {
        state: State::Active,
        ..session()
    };
    let mut snapshot = snapshot(FILE, &[("tor", down)], Verdict::Healthy);
    assert_eq!(snapshot.peer(&tor()).unwrap().down_ms, None);

    let now = snapshot.now.1;
    let mut history = History::beginning(SystemTime::UNIX_EPOCH);
    for (from, to, ago) in [
        (State::OpenConfirm, State::Established, 600),
        (State::Established, State::Idle, 90),
        (State::Connect, State::Active, 1),
    ] {
        let cause = bgp::Cause::ConnectionLost;
        let what = What::Bgp { from, to, cause };
        let at = now - Duration::from_secs(ago);
        history.happened(at, &tor(), Subject::Bgp, what);
    }
    snapshot.history = history.of_sessions().clone();
    assert_eq!(snapshot.peer(&tor()).unwrap().down_ms, Some(90_000));
}
