//! What a configuration file may say, and the exact words for each way of getting it wrong.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::path::Path;
use std::time::Duration;

use bgp::wire::AddPathDirection;
use bgp::{AdjRibInLimit, Family, LinkLocalNextHop, ReceivedRoutes, RemoteAs, Role};
use herald::config::{BfdHops, Config, PeerHops};
use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

const SPEAKER: &str = "[speaker]\nlocal-as = 64520\n";

fn problems(text: &str) -> Vec<String> {
    let error = Config::parse(Path::new("herald.toml"), text).expect_err("must be refused");
    error.to_string().lines().map(str::to_owned).collect()
}

/// Behind a `[speaker]` of two lines.
#[track_caller]
fn refused(text: &str, messages: &[&str]) {
    refused_whole(&format!("{SPEAKER}{text}"), messages);
}

#[track_caller]
fn refused_whole(text: &str, messages: &[&str]) {
    assert_eq!(problems(text), messages);
}

#[track_caller]
fn accepted(text: &str) -> Config {
    let text = format!("{SPEAKER}{text}");
    match Config::parse(Path::new("herald.toml"), &text) {
        Ok(checked) => checked.config,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    let file = Path::new("herald.toml");
    let text = format!("{SPEAKER}{text}");
    let checked = Config::parse(file, &text).unwrap_or_else(|error| panic!("{error}"));
    checked
        .warnings
        .iter()
        .map(|warning| warning.in_file(file).to_string())
        .collect()
}

#[test]
fn the_smallest_useful_file() {
    let config = accepted(
        r#"
        [[peer]]
        address = "192.168.133.1"
        remote-as = 64521
        bfd-profile = "default"

        [[service]]
        name = "web"
        addresses = ["192.168.133.150", "2001:db8::150"]
        "#,
    );
    let peer = &config.peers["192.168.133.1"];
    assert_eq!(peer.port, 179);
    assert_eq!(peer.hold_time.as_secs(), 90);
    assert_eq!(peer.connect_retry_time, Duration::from_secs(5));
    assert_eq!(peer.families, [Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let bfd = peer.bfd.as_ref().unwrap();
    assert_eq!(bfd.profile.transmit_interval, Duration::from_millis(300));
    assert_eq!(bfd.profile.detect_multiplier.get(), 3);
    assert_eq!(bfd.hops, PeerHops::Fixed(BfdHops::Single));
    assert_eq!(bfd.port, Some(3784));
    assert_eq!(config.services["web"].addresses.len(), 2);
    assert_eq!(config.speaker.listen, []);
    assert_eq!(config.api.socket, Path::new("/run/herald/herald.sock"));
}

#[test]
fn graceful_restart_has_defaults_and_can_be_refused() {
    let restart_of = |keys: &str| {
        let config = accepted(&format!(
            "[peer-defaults]\ngraceful-restart = {{ restart-time = \"60s\" }}\n[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n{keys}\n"
        ));
        let restart = config.peers["192.0.2.1"].graceful_restart?;
        Some((
            restart.restart_time.as_secs(),
            restart.long_lived_stale_time.as_secs(),
        ))
    };
    assert_eq!(restart_of(""), Some((60, 0)));
    assert_eq!(restart_of("graceful-restart = {}"), Some((120, 0)));
    assert_eq!(
        restart_of("graceful-restart = { long-lived-stale-time = \"1h\" }"),
        Some((120, 3600))
    );
    assert_eq!(restart_of("graceful-restart = false"), None);
}

#[test]
fn peer_defaults_apply_where_a_peer_is_silent() {
    let config = accepted(
        r#"
        [peer-defaults]
        remote-as = "external"
        hold-time = "15s"
        bfd-profile = "fast"

        [[bfd-profile]]
        name = "fast"
        transmit-interval = "50ms"
        receive-interval = "60ms"

        [[peer]]
        address = "192.0.2.1"

        [[peer]]
        name = "far"
        address = "2001:db8::1"
        remote-as = "internal"
        hold-time = "9s"
        "#,
    );
    let near = &config.peers["192.0.2.1"];
    assert_eq!(near.remote_as, RemoteAs::External);
    assert_eq!(near.hold_time.as_secs(), 15);
    let far = &config.peers["far"];
    assert_eq!(far.remote_as, RemoteAs::Internal);
    assert_eq!(far.hold_time.as_secs(), 9);
    let profile = &far.bfd.as_ref().unwrap().profile;
    assert_eq!(profile.receive_interval, Duration::from_millis(60));
}

#[test]
fn a_peer_may_do_without_the_bfd_of_the_defaults() {
    let config = accepted(
        r#"
        [peer-defaults]
        remote-as = 64521
        bfd-profile = "default"
        [[peer]]
        address = "192.0.2.1"
        bfd-profile = "none"
        "#,
    );
    assert_eq!(config.peers["192.0.2.1"].bfd, None);
}

#[test]
fn a_peer_that_says_how_far_it_is_takes_neither_default_about_it() {
    let config = accepted(
        r#"
        [peer-defaults]
        remote-as = 64521
        ebgp-multihop = 3
        [[peer]]
        address = "192.0.2.1"
        ttl-security = 2
        bfd-profile = "default"
        [[peer]]
        address = "192.0.2.2"
        "#,
    );
    let [near, far] = ["192.0.2.1", "192.0.2.2"].map(|name| &config.peers[name]);
    assert_eq!((near.ebgp_multihop, near.hops().get()), (None, 2));
    assert_eq!((far.ttl_security, far.hops().get()), (None, 3));
    let minimum_ttl = std::num::NonZeroU8::new(254).unwrap();
    let hops = near.bfd.as_ref().unwrap().hops;
    assert_eq!(hops, PeerHops::Fixed(BfdHops::Multi { minimum_ttl }));
}

#[test]
fn multihop_peers_have_multihop_bfd() {
    let config = accepted(
        r#"
        [peer-defaults]
        remote-as = 64521
        bfd-profile = "default"
        [[peer]]
        address = "192.0.2.1"
        ebgp-multihop = 3
        [[peer]]
        address = "192.0.2.2"
        ebgp-multihop = 3
        bfd-multihop = false
        [[peer]]
        address = "192.0.2.3"
        bfd-multihop = true
        "#,
    );
    let bfd = |name: &str| config.peers[name].bfd.clone().unwrap();
    let minimum = |ttl| {
        PeerHops::Fixed(BfdHops::Multi {
            minimum_ttl: std::num::NonZeroU8::new(ttl).unwrap(),
        })
    };
    assert_eq!(
        (bfd("192.0.2.1").hops, bfd("192.0.2.1").port),
        (minimum(253), Some(4784))
    );
    let single = PeerHops::Fixed(BfdHops::Single);
    assert_eq!(bfd("192.0.2.2").hops, single);
    assert_eq!(bfd("192.0.2.3").hops, minimum(254));
}

/// A profile as operators have it: 35 ms times 37, echo both ways, and far more routers than there are.
const ECHO_PROFILE: &str = r#"
        [[bfd-profile]]
        name = "echo"
        detect-multiplier = 37
        transmit-interval = "35ms"
        receive-interval = "35ms"
        echo-mode = true
        passive-mode = true
        minimum-ttl = 10
"#;

#[test]
fn a_profile_with_everything_is_taken_as_written() {
    let config = accepted(&format!(
        "{ECHO_PROFILE}
        [[peer]]
        address = \"192.0.2.1\"
        remote-as = 64521
        bfd-profile = \"echo\""
    ));
    let bfd = config.peers["192.0.2.1"].bfd.clone().unwrap();
    // On a link the TTL is 255 (RFC 5881 §5), whatever is required of multihop sessions.
    assert_eq!(bfd.hops, PeerHops::Fixed(BfdHops::Single));
    let millis = Duration::from_millis;
    let profile = bfd.profile;
    assert_eq!(profile.detect_multiplier.get(), 37);
    assert_eq!(profile.transmit_interval, millis(35));
    assert_eq!(profile.receive_interval, millis(35));
    assert_eq!(profile.echo_interval, millis(50));
    assert_eq!(profile.echo_receive_interval, millis(50));
    assert!(profile.echo_mode && profile.passive_mode);
    assert_eq!(profile.minimum_ttl.unwrap().get(), 10);
}

#[test]
fn the_minimum_ttl_of_a_profile_is_that_of_multihop_sessions_without_one() {
    let config = accepted(&format!(
        "{ECHO_PROFILE}
        [peer-defaults]
        remote-as = 64521
        bfd-profile = \"echo\"
        [[peer]]
        address = \"192.0.2.1\"
        bfd-multihop = true
        [[bfd-session]]
        name = \"from-the-profile\"
        address = \"192.0.2.2\"
        multihop = true
        bfd-profile = \"echo\"
        [[bfd-session]]
        name = \"its-own\"
        address = \"192.0.2.3\"
        multihop = true
        minimum-ttl = 200
        bfd-profile = \"echo\"
        [[bfd-session]]
        name = \"from-neither\"
        address = \"192.0.2.4\"
        multihop = true
        [[bfd-session]]
        name = \"single-hop\"
        address = \"192.0.2.5\"
        bfd-profile = \"echo\""
    ));
    let minimum = |ttl| BfdHops::Multi {
        minimum_ttl: std::num::NonZeroU8::new(ttl).unwrap(),
    };
    let session = |name: &str| config.bfd_sessions[name].hops;
    assert_eq!(
        config.peers["192.0.2.1"].bfd.clone().unwrap().hops,
        PeerHops::Fixed(minimum(10))
    );
    assert_eq!(session("from-the-profile"), minimum(10));
    assert_eq!(session("its-own"), minimum(200));
    assert_eq!(session("from-neither"), minimum(254));
    assert_eq!(session("single-hop"), BfdHops::Single);
}

#[test]
fn echo_is_nothing_for_multihop_sessions() {
    let profile = "[[bfd-profile]]\nname = \"echo\"\necho-mode = true\n";
    let peer = "[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\nbfd-profile = \"echo\"\n";
    let session = "[[bfd-session]]\naddress = \"192.0.2.2\"\nbfd-profile = \"echo\"\n";
    assert_eq!(
        warnings(&format!("{profile}{peer}{session}")),
        Vec::<String>::new()
    );
    let refusal = "asks for echo, which a multihop session cannot have: it runs without;";
    assert_eq!(
        warnings(&format!(
            "{profile}{peer}bfd-multihop = true\n{session}multihop = true\n"
        )),
        [
            format!(
                "herald.toml:9: [[peer]] \"192.0.2.1\": bfd-profile: profile \"echo\" {refusal} bfd-multihop = false makes it single hop"
            ),
            format!(
                "herald.toml:13: [[bfd-session]] \"192.0.2.2\": bfd-profile: profile \"echo\" {refusal} multihop = false makes it single hop"
            ),
        ]
    );
}

#[test]
fn the_route_says_how_far_an_internal_peer_is_unless_a_key_does() {
    let config = accepted(
        r#"
        [[bfd-profile]]
        name = "near"
        minimum-ttl = 250
        [peer-defaults]
        remote-as = "internal"
        bfd-profile = "default"
        [[peer]]
        address = "192.0.2.1"
        [[peer]]
        address = "192.0.2.2"
        bfd-profile = "near"
        bfd-port = 13784
        [[peer]]
        address = "192.0.2.3"
        bfd-multihop = false
        [[peer]]
        address = "192.0.2.4"
        ttl-security = 1
        [[peer]]
        address = "192.0.2.5"
        ttl-security = 2
        [[peer]]
        address = "fe80::1%eth0"
        "#,
    );
    let bfd = |name: &str| config.peers[name].bfd.clone().unwrap();
    let minimum_ttl = |ttl| std::num::NonZeroU8::new(ttl).unwrap();
    let single = PeerHops::Fixed(BfdHops::Single);
    let by_route = |ttl| PeerHops::ByRoute {
        minimum_ttl: minimum_ttl(ttl),
    };
    let anywhere = bfd("192.0.2.1");
    assert_eq!((anywhere.hops, anywhere.port), (by_route(1), None));
    let [near, far] = [true, false].map(|on_link| anywhere.hops.when(on_link));
    assert_eq!([near, far].map(|hops| anywhere.port(hops)), [3784, 4784]);
    let near = bfd("192.0.2.2");
    assert_eq!((near.hops, near.port), (by_route(250), Some(13784)));
    assert_eq!(bfd("192.0.2.3").hops, single);
    assert_eq!(bfd("192.0.2.4").hops, single);
    let behind_one = BfdHops::Multi {
        minimum_ttl: minimum_ttl(254),
    };
    assert_eq!(bfd("192.0.2.5").hops, PeerHops::Fixed(behind_one));
    assert_eq!(bfd("fe80::1%eth0").hops, single);
}

#[test]
fn what_a_peer_announces_is_counted_unless_it_is_to_be_kept_and_limited() {
    let config = accepted(
        r#"
        [peer-defaults]
        remote-as = 64521
        max-prefixes = 1000
        max-prefixes-restart = "5min"
        [[peer]]
        address = "192.0.2.1"
        [[peer]]
        address = "192.0.2.2"
        received-routes = "kept"
        received-routes-limit = 50
        max-prefixes = { ipv4-unicast = 0, ipv6-unicast = 10 }
        max-prefixes-restart = "never"
        enforce-first-as = false
        "#,
    );
    let import = |name: &str| config.peers[name].import.clone();
    let limit = |number| std::num::NonZeroU32::new(number).unwrap();
    let plain = import("192.0.2.1");
    assert_eq!(plain.received_routes, ReceivedRoutes::Counted);
    assert_eq!(plain.prefix_limits.restart, Some(Duration::from_secs(300)));
    let each = [
        (Family::IPV4_UNICAST, limit(1000)),
        (Family::IPV6_UNICAST, limit(1000)),
    ];
    assert_eq!(plain.prefix_limits.families, each.into());
    assert!(plain.enforce_first_as);
    let kept = import("192.0.2.2");
    let room = AdjRibInLimit {
        routes: 50,
        ..AdjRibInLimit::default()
    };
    assert_eq!(kept.received_routes, ReceivedRoutes::Kept(room));
    let ipv6 = [(Family::IPV6_UNICAST, limit(10))];
    assert_eq!(kept.prefix_limits.families, ipv6.into());
    assert_eq!(kept.prefix_limits.restart, None);
    assert!(!kept.enforce_first_as);
}

#[test]
fn a_link_local_peer_carries_its_interface() {
    let config = accepted("[[peer]]\naddress = \"fe80::1%eth0\"\nremote-as = 64521\n");
    let peer = &config.peers["fe80::1%eth0"];
    assert_eq!(peer.address.scope.as_deref(), Some("eth0"));
}

#[test]
fn attributes_are_read_in_the_order_of_the_wire() {
    let config = accepted(
        r#"
        [[route]]
        prefix = "198.51.100.0/24"
        med = 10
        local-pref = 200
        communities = ["64520:100", "large:64520:1:2", "no-export", "64520:100"]
        "#,
    );
    let attributes = &config.routes[&"198.51.100.0/24".parse().unwrap()].attributes;
    assert_eq!(attributes.multi_exit_disc, Some(10));
    assert_eq!(attributes.local_pref, Some(200));
    let communities: Vec<String> = attributes
        .communities
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(communities, ["64520:100", "no-export"]);
    assert_eq!(attributes.large_communities[0].to_string(), "64520:1:2");
}

#[test]
fn everything_that_can_be_said_of_a_route_is_read_and_rendered() {
    let text = r#"
        [[route]]
        prefix = "198.51.100.0/24"
        communities = ["soo:192.0.2.1:7", "rt:64520:1", "rt:[2001:db8::1]:1", "ext:0x4004fc0849742400"]
        next-hop = ["192.0.2.71", "2001:db8::71", "192.0.2.72"]
        atomic-aggregate = true
        aggregator = "4200000000 192.0.2.71"
        "#;
    let config = accepted(text);
    let attributes = &config.routes[&"198.51.100.0/24".parse().unwrap()].attributes;
    let extended = attributes.extended_communities.iter();
    let extended: Vec<String> = extended.map(ToString::to_string).collect();
    assert_eq!(
        extended,
        ["rt:64520:1", "soo:192.0.2.1:7", "ext:0x4004fc0849742400"]
    );
    assert_eq!(
        attributes.ipv6_extended_communities[0].to_string(),
        "rt:[2001:db8::1]:1"
    );
    assert_eq!(attributes.next_hop_v4, Some([192, 0, 2, 71].into()));
    assert_eq!(
        attributes.next_hop_v6,
        Some("2001:db8::71".parse().unwrap())
    );
    let [path] = &attributes.additional_paths[..] else {
        panic!("{attributes:?}");
    };
    assert_eq!(path.next_hop_v4, Some([192, 0, 2, 72].into()));
    assert_eq!(path.next_hop_v6, None);
    assert_eq!(path.extended_communities, attributes.extended_communities);
    assert!(attributes.atomic_aggregate && path.atomic_aggregate);
    let aggregator = attributes.aggregator.unwrap();
    assert_eq!(aggregator.asn.value(), 4_200_000_000);
    let rendered = config.to_toml();
    let again = Config::parse(Path::new("herald.toml"), &rendered);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{rendered}"));
    assert_eq!(again.config, config);
}

#[test]
fn what_a_peer_is_told_is_read_and_rendered() {
    let config = accepted(
        r#"
        [[peer]]
        name = "a"
        address = "192.0.2.1"
        remote-as = 64521
        next-hop = ["192.0.2.71", "2001:db8::71"]
        role = "customer"
        role-strict = true
        add-path = "send"
        [[peer]]
        name = "b"
        address = "fe80::1%eth0"
        remote-as = 64521
        link-local-next-hop = "native"
        "#,
    );
    let (a, b) = (&config.peers["a"].export, &config.peers["b"].export);
    assert_eq!(a.next_hop_v4, Some([192, 0, 2, 71].into()));
    assert_eq!(a.next_hop_v6, Some("2001:db8::71".parse().unwrap()));
    assert_eq!((a.role, a.role_strict), (Some(Role::Customer), true));
    assert!(!a.extended_next_hop);
    assert_eq!(a.add_path, Some(AddPathDirection::Send));
    assert!(b.extended_next_hop, "by default, for it is link-local");
    assert_eq!(b.link_local_next_hop, LinkLocalNextHop::Native);
    let again = Config::parse(Path::new("herald.toml"), &config.to_toml());
    assert_eq!(again.unwrap().config, config);
}

#[test]
fn a_role_within_our_as_says_nothing() {
    assert_eq!(
        warnings("[[peer]]\naddress = \"192.0.2.1\"\nremote-as = \"internal\"\nrole = \"peer\"\n"),
        [
            "herald.toml:6: [[peer]] \"192.0.2.1\": role: \"peer\" says nothing here: the peer is in our AS (RFC 9234)"
        ]
    );
}

#[test]
fn c_085_blackhole_goes_with_host_routes_unless_configured() {
    let text = |speaker: &str, prefix: &str| {
        format!(
            "{SPEAKER}{speaker}\n[[route]]\nprefix = \"{prefix}\"\ncommunities = [\"blackhole\"]\n"
        )
    };
    for (speaker, prefix, is_right) in [
        ("", "198.51.100.1/32", true),
        ("", "198.51.100.0/31", false),
        ("", "2001:db8::1/128", true),
        ("", "2001:db8::/64", false),
        ("blackhole-length = 24", "198.51.100.0/24", true),
        ("blackhole-length = 24", "198.51.100.0/23", false),
        ("blackhole-length = 24", "2001:db8::/64", false),
        ("blackhole-length-v6 = 64", "2001:db8::/64", true),
    ] {
        let outcome = Config::parse(Path::new("herald.toml"), &text(speaker, prefix));
        assert_eq!(outcome.is_ok(), is_right, "{speaker} {prefix}");
    }
}

#[test]
fn every_mistake_is_reported_in_the_order_of_the_file() {
    refused(
        r#"
[[peer]]
name = "tor-a"
address = "192.0.2.1"
remote-as = 64521
hold-time = "2s"
keepalive-tme = "3s"

[[service]]
name = "web"
addresses = ["192.0.2.300"]
"#,
        &[
            "herald.toml:8: [[peer]] \"tor-a\": hold-time: found \"2s\"; must be 0s or 3s to 65535s",
            "herald.toml:9: [[peer]] \"tor-a\": keepalive-tme: unknown key; the nearest known one is \"keepalive-time\"",
            "herald.toml:13: [[service]] \"web\": addresses: found \"192.0.2.300\"; must be an address, such as \"192.0.2.1\" or \"2001:db8::1\"",
        ],
    );
}

#[test]
fn a_file_that_is_not_toml() {
    refused(
        "[[peer]\nname = \"a\"\n",
        &["herald.toml:3: not TOML: unclosed array table, expected `]`"],
    );
}

#[test]
fn intervals_below_50_ms_are_doubtful() {
    assert_eq!(
        warnings("[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"10ms\"\n"),
        [
            "herald.toml:5: [[bfd-profile]] \"fast\": transmit-interval: \"10ms\" is below 50ms: a busy host or router may see failures where there are none"
        ]
    );
}

#[test]
fn a_key_that_everybody_may_read_is_doubtful() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "s3cret").unwrap();
    let text =
        format!("[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\npassword-file = {file:?}\n");
    for (mode, doubtful) in [(0o600, false), (0o640, false), (0o644, true)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let warnings = warnings(&text);
        assert_eq!(!warnings.is_empty(), doubtful, "{mode:o}: {warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|it| it.contains("has mode 0644; 0600 is better"))
        );
    }
}

#[test]
fn a_restart_in_which_nobody_keeps_the_routes_is_doubtful() {
    let peer = "[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n";
    let range = "[[peer-range]]\nname = \"leafs\"\nprefix = \"10.0.0.0/24\"\nremote-as = 64521\n";
    let listen = "listen = [\"0.0.0.0:179\"]\n";
    let restart = &format!("{listen}on-exit = \"restart\"\n");
    let keeps = "graceful-restart = { restart-time = \"60s\" }\n";
    assert_eq!(
        warnings(&format!("{restart}{peer}{range}")),
        [
            "herald.toml:4: [speaker]: on-exit: \"restart\" does nothing while no [[peer]] and no [[peer-range]] has graceful-restart: nobody would keep our routes"
        ]
    );
    for config in [
        format!("{restart}{peer}{keeps}{range}"),
        format!("{restart}{peer}{range}{keeps}"),
        format!("on-exit = \"withdraw\"\n{peer}"),
        peer.to_owned(),
    ] {
        assert_eq!(warnings(&config), [""; 0], "{config}");
    }
}

#[test]
fn a_service_that_the_file_does_not_have_is_doubtful() {
    assert_eq!(
        warnings(
            "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\"]\n[[advertisement]]\nservices = [\"wbe\"]\n"
        ),
        [
            "herald.toml:6: [[advertisement]] 1: services: neither this nor another [[advertisement]] fits service web: announced to nobody",
            "herald.toml:7: [[advertisement]] 1: services: \"wbe\" is no [[service]] of this file; the nearest name is \"web\""
        ]
    );
}

#[test]
fn an_advertisement_that_fits_no_service_of_the_file_is_doubtful() {
    let file = |service: &str, pools: &str| {
        let pool = "[[pool]]\nname = \"public\"\naddresses = [\"198.51.100.0/24\"]\n";
        warnings(&format!(
            "{pool}[[advertisement]]\npools = {pools}\n{service}"
        ))
    };
    let web = |keys: &str| format!("[[service]]\nname = \"web\"\n{keys}\n");
    assert_eq!(
        file(&web("addresses = [\"192.0.2.1\"]"), "[\"public\"]"),
        [
            "herald.toml:6: [[advertisement]] 1: services: neither this nor another [[advertisement]] fits service web: announced to nobody",
            "herald.toml:6: [[advertisement]] 1: pools: no [[service]] of this file has, or may be given, an address of these; only services that are added at run time can be announced by it"
        ]
    );
    for service in [
        web("addresses = [\"198.51.100.7\"]"),
        web("pool = \"public\""),
        web(""),
        String::new(),
    ] {
        assert_eq!(file(&service, "[\"public\"]"), [""; 0], "{service}");
    }
}

/// As MetalLB has it: localPref of two advertisements may differ where no route follows both.
#[test]
fn advertisements_that_no_route_follows_both_may_differ() {
    let peers = "[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n\
        [[peer]]\nname = \"b\"\naddress = \"192.0.2.2\"\nremote-as = 64521\n\
        [[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n\
        [[service]]\nname = \"dns\"\naddresses = [\"192.0.2.151\"]\n";
    let parse = |one: &str, other: &str| {
        let text = format!(
            "[speaker]\nlocal-as = 64520\n{peers}[[advertisement]]\nlocal-pref = 1\n{one}\n[[advertisement]]\nlocal-pref = 2\n{other}\n"
        );
        Config::parse(Path::new("herald.toml"), &text).is_ok()
    };
    assert!(!parse("", ""));
    assert!(parse("peers = [\"a\"]", "peers = [\"b\"]"));
    assert!(!parse("peers = [\"a\"]", "peers = [\"a\", \"b\"]"));
    assert!(parse("aggregation-length = 24", ""));
    assert!(
        !parse("aggregation-length-v6 = 64", ""),
        "it has IPv4 addresses"
    );
    assert!(parse("services = [\"web\"]", "services = [\"dns\"]"));
    assert!(!parse("services = [\"web\"]", ""));
    assert!(!parse("aggregation-length = 24", "aggregation-length = 24"));
}

#[test]
fn a_route_hides_an_aggregate() {
    assert_eq!(
        warnings(
            "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\"]\n[[route]]\nprefix = \"192.0.2.0/24\"\n[[advertisement]]\naggregation-length = 24\n"
        ),
        [
            "herald.toml:8: [[advertisement]] 1: aggregation-length: makes 192.0.2.0/24 of a service's address, and there is a [[route]] 192.0.2.0/24: what that says counts"
        ]
    );
}

#[test]
fn who_only_watches_paths_needs_no_as() {
    let file = Path::new("herald.toml");
    let text = "[[bfd-session]]\naddress = \"192.0.2.9\"\n";
    let config = Config::parse(file, text).unwrap().config;
    assert_eq!(config.speaker.local_as, None);
    assert!(!config.speaks_bgp());
    let session = &config.bfd_sessions["192.0.2.9"];
    assert_eq!((session.hops, session.port), (BfdHops::Single, 3784));
    assert_eq!(session.profile.name, "default");
    let again = Config::parse(file, &config.to_toml());
    assert_eq!(again.map(|again| again.config), Ok(config));
    // One peer, and it is needed.
    let text = format!("{text}[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n");
    assert_eq!(
        problems(&text),
        [
            "herald.toml:1: [speaker]: local-as: is missing; must be the AS number of this host, such as 64520"
        ]
    );
}

#[test]
fn a_bfd_range_has_a_name_of_its_own_and_a_network() {
    let file = Path::new("herald.toml");
    let text = "[[bfd-range]]\nname = \"fabric\"\nprefix = \"10.0.0.0/24\"\n";
    let config = Config::parse(file, text).unwrap().config;
    assert!(!config.speaks_bgp());
    let range = &config.bfd_ranges["fabric"];
    assert_eq!((range.max_sessions.get(), range.port), (100, 3784));
    assert!(range.enabled);
    let again = Config::parse(file, &config.to_toml());
    assert_eq!(again.map(|again| again.config), Ok(config));

    let session = "[[bfd-session]]\nname = \"fabric\"\naddress = \"10.0.0.9\"\n";
    let all = problems(&format!(
        "{session}{text}{}",
        text.replace("fabric", "more")
    ));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].contains("[[bfd-range]] \"fabric\": name"), "{all:?}");
    assert!(all[1].contains("[[bfd-range]] \"more\": prefix"), "{all:?}");
    let all = problems(
        "[[bfd-range]]\nprefix = \"10.0.0.1/24\"\nmax-sessions = 0\nbfd-profile = \"fest\"\n",
    );
    for word in [": name:", ": prefix:", ": max-sessions:", ": bfd-profile:"] {
        assert!(
            all.iter().any(|problem| problem.contains(word)),
            "{word} {all:?}"
        );
    }
    assert_eq!(all.len(), 4, "{all:?}");
}

#[test]
fn two_bfd_sessions_cannot_be_one_with_that_of_a_peer() {
    refused(
        "[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nsource-address = \"192.0.2.9\"\nremote-as = 64521\nbfd-profile = \"default\"\n\
         [[bfd-session]]\nname = \"one\"\naddress = \"192.0.2.1\"\n\
         [[bfd-session]]\nname = \"two\"\naddress = \"192.0.2.1\"\nsource-address = \"192.0.2.9\"\n",
        &[
            "herald.toml:12: [[bfd-session]] \"two\": address: is that of peer tor, whose BFD session is the one of line 9 too; must be there once",
        ],
    );
}

#[test]
fn doubtful_health_checks_are_warned_of() {
    let health = |keys: &str| {
        warnings(&format!(
            "[[bfd-session]]\nname = \"storage\"\naddress = \"192.0.2.1\"\nenabled = false\n[[service]]\nname = \"web\"\n\
             addresses = [\"192.0.2.150\"]\n[service.health]\n{keys}\n"
        ))
    };
    let tcp = "tcp = \"127.0.0.1:80\"\n";
    assert_eq!(health(tcp), Vec::<String>::new());
    let at = |line: usize, text: &str| [format!("herald.toml:{line}: [[service]] \"web\"{text}")];
    assert_eq!(
        health(&format!("{tcp}timeout = \"2s\"")),
        at(
            12,
            " health: timeout: \"2s\" is longer than the interval of 1s: a service that hangs is checked every 2s only"
        )
    );
    assert_eq!(
        health(&format!("{tcp}fall = 10\ninterval = \"10s\"")),
        at(
            12,
            " health: fall: a service that hangs is announced for up to 1m 45s more: fall 10, interval 10s, timeout 5s"
        )
    );
    assert_eq!(
        health("exec = [\"/nonexistent\"]"),
        at(
            11,
            " health: exec: /nonexistent: cannot be run here: No such file or directory (os error 2); every check fails until it can"
        )
    );
    assert_eq!(
        health("exec = [\"/etc/passwd\"]"),
        at(
            11,
            " health: exec: /etc/passwd: cannot be run here: it is not executable for this user; every check fails until it can"
        )
    );
    let path = health("bfd = \"storage\"\nfall = 3\nhttp-host = \"a\"");
    assert_eq!(path.len(), 3, "{path:?}");
    assert!(path[0].contains("which has enabled = false"), "{path:?}");
    assert!(path[1].contains("fall: means nothing without"), "{path:?}");
    assert!(
        path[2].contains("http-host: means nothing without http"),
        "{path:?}"
    );
}

#[test]
fn a_bfd_session_beside_that_of_a_peer_is_said_to_be_one_with_it() {
    let peer = "[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\nbfd-profile = \"default\"\n\
                [[bfd-profile]]\nname = \"slow\"\nreceive-interval = \"1s\"\n\
                [[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.1\"\n";
    assert_eq!(warnings(peer), Vec::<String>::new());
    assert_eq!(
        warnings(&format!("{peer}bfd-profile = \"slow\"\n")),
        [
            "herald.toml:14: [[bfd-session]] \"path\": bfd-profile: peer tor has a BFD session with the same address, and both are one: the peer's bfd-profile \"default\" counts"
        ]
    );
    assert_eq!(
        warnings(&format!("{peer}source-address = \"192.0.2.71\"\n")),
        [
            "herald.toml:14: [[bfd-session]] \"path\": source-address: is other than that of peer tor, which has a BFD session with the same address: there will be two, and the other end must tell them apart"
        ]
    );
    // Far away it is another one.
    assert_eq!(
        warnings(&format!("{peer}multihop = true\n")),
        Vec::<String>::new()
    );
}

const EVERYTHING: &str = include_str!("everything.toml");

#[test]
fn every_key_is_understood() {
    let file = Path::new("everything.toml");
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("tor-a.key");
    std::fs::write(&key, "s3cret\n").unwrap();
    let text = EVERYTHING.replace("/etc/herald/tor-a.key", key.to_str().unwrap());
    let checked = Config::parse(file, &text).unwrap_or_else(|error| panic!("{error}"));
    let shown = checked.config.to_toml();
    assert!(!shown.contains("s3cret"), "{shown}");
    let again = Config::parse(file, &shown);
    assert_eq!(again.map(|again| again.config), Ok(checked.config));
}

/// What is wrong with `auth` of a profile, whose key files are all one.
fn bfd_auth_problem(content: &str, auth: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("bfd.key");
    std::fs::write(&key, content).expect("a key file");
    let key = key.to_str().expect("a path in UTF-8");
    let text = format!(
        "[speaker]\nlocal-as = 64520\n[[bfd-profile]]\nname = \"fast\"\nauth = {}\n",
        auth.replace("KEY", &format!("key-file = {key:?}"))
    );
    let error = Config::parse(Path::new("herald.toml"), &text).expect_err("must be refused");
    error.to_string().replace(key, "bfd.key")
}

#[test]
fn bfd_keys_have_the_length_of_their_type_and_go_together() {
    for (auth_type, longest) in [("simple", 16), ("keyed-md5", 16), ("keyed-sha1", 20)] {
        let problem = bfd_auth_problem(
            &"x".repeat(longest + 1),
            &format!("{{ type = {auth_type:?}, key-id = 1, KEY }}"),
        );
        let told = format!(
            "bfd.key holds {} octets; must hold a key of 1 to {longest} octets on one line",
            longest + 1
        );
        assert!(problem.contains(&told), "{problem}");
    }
    let key = |auth_type: &str, id: u8| format!("{{ type = {auth_type:?}, key-id = {id}, KEY }}");
    for (one, other, told) in [
        (
            key("keyed-sha1", 1),
            key("keyed-md5", 2),
            "found keyed-sha1 beside keyed-md5; must be one type in all of the list",
        ),
        (
            key("keyed-sha1", 1),
            key("keyed-sha1", 1),
            "found key-id 1 twice; must be different",
        ),
    ] {
        let problem = bfd_auth_problem("s3cret", &format!("[{one}, {other}]"));
        assert!(problem.contains(told), "{problem}");
    }
}

/// The part of docs/configuration.md about a section.
fn documentation(section: &str) -> &'static str {
    const PAGE: &str = include_str!("../../docs/configuration.md");
    let head = format!("[{section}]");
    let mut parts = PAGE.split("\n## ");
    let part = parts.find(|part| part.lines().next().is_some_and(|line| line.contains(&head)));
    part.unwrap_or_else(|| panic!("docs/configuration.md says nothing about {head}"))
}

fn assert_documented(section: &str, table: &DeTable<'_>) {
    for key in table.keys() {
        let key = key.get_ref();
        assert!(
            documentation(section).contains(&format!("`{key}`")),
            "docs/configuration.md says nothing about {key} of [{section}]"
        );
    }
}

#[test]
fn every_key_is_documented() {
    let everything = DeTable::parse(EVERYTHING).unwrap();
    for (section, value) in everything.get_ref() {
        let section = section.get_ref();
        match value.get_ref() {
            DeValue::Table(table) => assert_documented(section, table),
            DeValue::Array(tables) => {
                for table in tables {
                    assert_documented(section, table.get_ref().as_table().unwrap());
                }
            }
            _ => panic!("{section} is no section"),
        }
    }
}

proptest! {
    /// What comes of a file that somebody is in the middle of typing, or that is none.
    #[test]
    fn no_text_makes_it_panic(
        cut in 0..EVERYTHING.len(),
        length in 0_usize..40,
        replacement in "[\\PC\n]{0,12}",
    ) {
        let mut text = EVERYTHING.as_bytes().to_vec();
        let end = (cut + length).min(text.len());
        text.splice(cut..end, replacement.bytes());
        let text = String::from_utf8_lossy(&text);
        if let Err(error) = Config::parse(Path::new("herald.toml"), &text) {
            prop_assert!(!error.problems.is_empty());
        }
    }
}

#[test]
fn local_as_of_zero() {
    refused_whole(
        r#"
[speaker]
local-as = 0
"#,
        &[
            r#"herald.toml:3: [speaker]: local-as: found 0; must be an AS number from 1 to 4294967295, other than 23456 (AS_TRANS)"#,
        ],
    );
}

#[test]
fn local_as_missing() {
    refused_whole(
        r#"
[speaker]
router-id = "192.0.2.1"
"#,
        &[
            r#"herald.toml:2: [speaker]: local-as: is missing; must be the AS number of this host, such as 64520"#,
        ],
    );
}

#[test]
fn speaker_missing() {
    refused_whole(
        r#"
[log]
level = "info"
"#,
        &[
            r#"herald.toml:1: [speaker]: local-as: is missing; must be the AS number of this host, such as 64520"#,
        ],
    );
}

#[test]
fn a_section_that_is_a_value() {
    refused(
        r#"
x = 1
[api]
socket = 5
"#,
        &[
            r#"herald.toml:4: [speaker]: x: unknown key; must be one of local-as, router-id, listen, state-dir, on-exit, drain-time, reload-on-change, address-interface, blackhole-length, blackhole-length-v6"#,
            r#"herald.toml:6: [api]: socket: found 5; must be a path, such as "/var/lib/herald""#,
        ],
    );
}

/// A mistake a row: its name, the file behind a `[speaker]` of two lines, and what is said of it
/// behind the file's name.
macro_rules! mistakes {
    ($($name:ident: $text:literal => $message:literal;)*) => {$(
        #[test]
        fn $name() {
            refused($text, &[concat!("herald.toml:", $message)]);
        }
    )*};
}

mistakes! {
    hook_without_a_program: r#"
[[hook]]
on = ["bfd"]
"#
        => r#"4: [[hook]] 1: exec: is missing; must be the program and its arguments, such as ["/usr/local/bin/page-me"]"#;

    hook_on_nothing: r#"
[[hook]]
exec = ["/usr/local/bin/page-me"]
"#
        => r#"4: [[hook]] 1: on: is missing; must be what to tell of: ["peer"], ["bfd"], ["service"] or several of them"#;

    hook_on_routes: r#"
[[hook]]
on = ["bfd", "route"]
exec = ["/usr/local/bin/page-me"]
"#
        => r#"5: [[hook]] 1: on: found "route"; must be "peer", "bfd" or "service""#;

    health_of_nothing: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
interval = "1s"
"#
        => r#"8: [[service]] "web" health: is missing; must be what the service depends on: http = "http://127.0.0.1:8080/healthz", tcp = "127.0.0.1:8080", exec = ["/usr/local/bin/check"] or bfd = "NAME""#;

    health_over_https: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
health = { http = "https://127.0.0.1/" }
"#
        => r#"7: [[service]] "web" health: http: found "https://127.0.0.1/"; must be an URL with an address in it, such as "http://127.0.0.1:8080/healthz" or "http://[::1]:8080/": herald checks over plain HTTP only; check an unencrypted port, or tcp = "ADDRESS:PORT", or in the configuration file exec = ["/usr/bin/curl", "--fail", …]"#;

    health_of_a_name: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
http = "http://www.example.com/"
"#
        => r#"8: [[service]] "web" health: http: found "http://www.example.com/"; must be an URL with an address in it, such as "http://127.0.0.1:8080/healthz" or "http://[::1]:8080/": a health check looks up no names; write the address, and http-host = "www.example.com" beside it"#;

    health_of_a_port: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
tcp = 80
"#
        => r#"8: [[service]] "web" health: tcp: found 80; must be an address and a port, such as "127.0.0.1:8080" or "[::1]:53"; no name is looked up"#;

    health_twice: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
http = "http://127.0.0.1/"
tcp = "127.0.0.1:80"
"#
        => r#"9: [[service]] "web" health: tcp: is there beside http; must be one of http, tcp and exec; one exec can do what several would"#;

    health_by_a_program_that_is_to_be_looked_for: r#"
[[service]]
name = "dns"
addresses = ["192.0.2.150"]
[service.health]
exec = ["dig", "@127.0.0.1"]
"#
        => r#"8: [[service]] "dns" health: exec: found "dig"; must be the absolute path of a program, such as "/usr/local/bin/page-me""#;

    health_too_often: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
tcp = "127.0.0.1:80"
interval = "5ms"
"#
        => r#"9: [[service]] "web" health: interval: found "5ms"; must be a duration from 10ms to 1h, with its unit"#;

    health_with_a_typing_mistake: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
tcp = "127.0.0.1:80"
intervall = "1s"
"#
        => r#"9: [[service]] "web" health: intervall: unknown key; the nearest known one is "interval""#;

    health_of_an_unknown_path: r#"
[[bfd-session]]
name = "storage"
address = "192.0.2.1"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
bfd = "storag"
"#
        => r#"11: [[service]] "web": health: found bfd = "storag"; must be the name of a [[bfd-session]]; the nearest is "storage""#;

    health_of_a_peer: r#"
[[peer]]
name = "tor"
address = "192.0.2.1"
remote-as = 64521
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[service.health]
bfd = "tor"
"#
        => r#"12: [[service]] "web": health: found bfd = "tor"; must be the name of a [[bfd-session]], and tor is a peer: add a [[bfd-session]] of another name with its address"#;

    health_that_is_no_table: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
health = "http://127.0.0.1/"
"#
        => r#"7: [[service]] "web": health: found something else; must be a table: [service.health] with http, tcp, exec or bfd in it"#;

    hook_that_is_to_be_looked_for: r#"
[[hook]]
on = ["bfd"]
exec = ["page-me"]
"#
        => r#"6: [[hook]] 1: exec: found "page-me"; must be the absolute path of a program, such as "/usr/local/bin/page-me""#;

    hook_about_nobody: r#"
[[bfd-session]]
name = "path"
address = "192.0.2.1"
[[hook]]
on = ["bfd"]
exec = ["/usr/local/bin/page-me"]
names = ["paht"]
"#
        => r#"10: [[hook]] 1: names: found "paht"; must be the name of a [[peer]], a [[peer-range]], a [[bfd-session]], a [[bfd-range]] or a [[service]]; the nearest is "path""#;

    hook_twice: r#"
[[hook]]
on = ["bfd"]
exec = ["/usr/local/bin/page-me"]
[[hook]]
on = ["peer"]
exec = ["/usr/local/bin/page-me"]
"#
        => r#"9: [[hook]] 2: name: found "/usr/local/bin/page-me"; must be unique; line 6 has it already"#;

    bfd_session_without_an_address: r#"
[[bfd-session]]
name = "path"
"#
        => r#"4: [[bfd-session]] "path": address: is missing; must be where the other end is, such as "192.0.2.1""#;

    bfd_session_with_the_name_of_a_peer: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
[[bfd-session]]
address = "192.0.2.1"
"#
        => r#"7: [[bfd-session]] "192.0.2.1": name: is missing; must be there, for "192.0.2.1" is the name of something else (line 5)"#;

    bfd_session_twice: r#"
[[bfd-session]]
name = "a"
address = "192.0.2.1"
[[bfd-session]]
name = "b"
address = "192.0.2.1"
"#
        => r#"9: [[bfd-session]] "b": address: found "192.0.2.1"; must be unique; line 6 has it already"#;

    bfd_session_with_a_ttl_on_the_link: r#"
[[bfd-session]]
address = "192.0.2.1"
minimum-ttl = 250
"#
        => r#"6: [[bfd-session]] "192.0.2.1": minimum-ttl: found 250; must be absent without multihop = true: on a link, TTL 255 is required"#;

    bfd_session_without_a_scope: r#"
[[bfd-session]]
address = "fe80::1"
"#
        => r#"5: [[bfd-session]] "fe80::1": address: found "fe80::1"; must be followed by its interface, such as "fe80::1%eth0", for it is link-local"#;

    bfd_session_with_two_interfaces: r#"
[[bfd-session]]
address = "fe80::1%eth0"
interface = "eth1"
"#
        => r#"6: [[bfd-session]] "fe80::1%eth0": interface: found "eth1"; must be "eth0", the scope of the address, or absent"#;

    bfd_session_from_the_other_family: r#"
[[bfd-session]]
address = "192.0.2.1"
source-address = "2001:db8::1"
"#
        => r#"6: [[bfd-session]] "192.0.2.1": source-address: found "2001:db8::1"; must be an IPv4 address, as the address 192.0.2.1 is"#;

    bfd_session_of_an_unknown_profile: r#"
[[bfd-session]]
address = "192.0.2.1"
bfd-profile = "defalt"
"#
        => r#"6: [[bfd-session]] "192.0.2.1": bfd-profile: found "defalt"; must be the name of a [[bfd-profile]]; the nearest is "default""#;

    bfd_session_far_away_without_ears: r#"
[bfd]
listen = ["192.0.2.71:3784"]
[[bfd-session]]
address = "192.0.2.1"
multihop = true
"#
        => r#"8: [[bfd-session]] "192.0.2.1": multihop: multihop BFD needs an address to receive on; [bfd] listen is set, so multihop-listen must be set too"#;

    router_id_of_zero: r#"
router-id = "0.0.0.0"
"#
        => r#"4: [speaker]: router-id: found "0.0.0.0"; must be four octets written as an IPv4 address, other than "0.0.0.0", such as "192.0.2.1""#;

    listen_without_a_port: r#"
listen = ["0.0.0.0:179", "::"]
"#
        => r#"4: [speaker]: listen: found "::"; must be an address and a port, such as "0.0.0.0:179" or "[::]:179""#;

    listen_that_is_no_array: r#"
listen = "0.0.0.0:179"
"#
        => r#"4: [speaker]: listen: found "0.0.0.0:179"; must be an array: ["…", "…"]"#;

    on_exit_that_is_none: r#"
on-exit = "reboot"
"#
        => r#"4: [speaker]: on-exit: found "reboot"; must be "withdraw" or "restart""#;

    a_drain_time_that_is_too_long: r#"
drain-time = "2h"
"#
        => r#"4: [speaker]: drain-time: found "2h"; must be a duration from 0s to 1h, with its unit"#;

    an_unknown_section: r#"
[[peers]]
address = "192.0.2.1"
"#
        => r#"4: peers: unknown key; the nearest known one is "peer""#;

    an_unknown_key_like_no_other: r#"
[log]
xyz = 1
"#
        => "5: [log]: xyz: unknown key; must be one of level, format";

    a_table_where_an_array_belongs: r#"
[peer]
address = "192.0.2.1"
"#
        => "4: peer: found a table; must be an array of tables: [[peer]]";

    log_level: r#"
[log]
level = "verbose"
"#
        => r#"5: [log]: level: found "verbose"; must be "error", "warn", "info", "debug" or "trace""#;

    log_format: r#"
[log]
format = "xml"
"#
        => r#"5: [log]: format: found "xml"; must be "text" or "json""#;

    api_listen: r#"
[api]
listen = "9120"
"#
        => r#"5: [api]: listen: found "9120"; must be an address and a port, such as "0.0.0.0:179" or "[::]:179""#;

    max_prefixes_that_are_no_number: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
max-prefixes = "many"
"#
        => r#"7: [[peer]] "192.0.2.1": max-prefixes: found "many"; must be a number from 0, for any number, to 4294967295, or one by family: { ipv4-unicast = 1000, ipv6-unicast = 500 }"#;

    max_prefixes_of_a_family_that_is_none: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
max-prefixes = { ipv4 = 1000 }
"#
        => r#"7: [[peer]] "192.0.2.1": max-prefixes: found a table; must be a number from 0, for any number, to 4294967295, or one by family: { ipv4-unicast = 1000, ipv6-unicast = 500 }"#;

    max_prefixes_restart_without_a_unit: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
max-prefixes-restart = 60
"#
        => r#"7: [[peer]] "192.0.2.1": max-prefixes-restart: found 60; must be "never", or a duration from 1s to 1day, with its unit"#;

    max_prefixes_warning_out_of_range: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
max-prefixes-warning = 0
"#
        => r#"7: [[peer]] "192.0.2.1": max-prefixes-warning: found 0; must be a number from 1 to 100"#;

    received_routes_that_are_neither: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
received-routes = true
"#
        => r#"7: [[peer]] "192.0.2.1": received-routes: found true; must be "counted" or "kept""#;

    received_attributes_limit_too_low: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
received-attributes-limit = 100
"#
        => r#"7: [[peer]] "192.0.2.1": received-attributes-limit: found 100; must be a number from 4096 to 1073741824"#;

    peer_without_an_address: r#"
[[peer]]
remote-as = 64521
"#
        => r#"4: [[peer]] 1: address: is missing; must be the address of the neighbor, such as "192.0.2.1", or there must be an interface that it is on, such as interface = "eth1""#;

    peer_without_a_remote_as: r#"
[[peer]]
address = "192.0.2.1"
"#
        => r#"4: [[peer]] "192.0.2.1": remote-as: is missing; must be the neighbor's AS number, "internal" or "external""#;

    peer_address_that_is_a_name: r#"
[[peer]]
address = "router.example"
remote-as = 64521
"#
        => r#"5: [[peer]] "router.example": address: found "router.example"; must be an address, such as "192.0.2.1", "2001:db8::1" or "fe80::1%eth0" (names are not looked up)"#;

    peer_address_that_is_multicast: r#"
[[peer]]
address = "224.0.0.5"
remote-as = 64521
"#
        => r#"5: [[peer]] "224.0.0.5": address: found "224.0.0.5"; must be the unicast address of one router"#;

    peer_address_link_local_without_interface: r#"
[[peer]]
address = "fe80::1"
remote-as = 64521
"#
        => r#"5: [[peer]] "fe80::1": address: found "fe80::1"; must be followed by its interface, such as "fe80::1%eth0", for it is link-local"#;

    peer_address_with_a_needless_scope: r#"
[[peer]]
address = "2001:db8::1%eth0"
remote-as = 64521
"#
        => r#"5: [[peer]] "2001:db8::1%eth0": address: found "2001:db8::1%eth0"; must be "2001:db8::1", for only link-local addresses have a scope"#;

    peer_interface_that_contradicts_the_scope: r#"
[[peer]]
address = "fe80::1%eth0"
source-interface = "eth1"
remote-as = 64521
"#
        => r#"6: [[peer]] "fe80::1%eth0": source-interface: found "eth1"; must be "eth0", the scope of the address, or absent"#;

    remote_as_that_is_a_word: r#"
[[peer]]
address = "192.0.2.1"
remote-as = "extern"
"#
        => r#"6: [[peer]] "192.0.2.1": remote-as: found "extern"; must be an AS number, "internal" or "external""#;

    remote_as_that_is_as_trans: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 23456
"#
        => r#"6: [[peer]] "192.0.2.1": remote-as: found 23456; must be an AS number from 1 to 4294967295, other than 23456 (AS_TRANS), or "internal", or "external""#;

    remote_as_out_of_range: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 4294967296
"#
        => r#"6: [[peer]] "192.0.2.1": remote-as: found 4294967296; must be an AS number from 1 to 4294967295, other than 23456 (AS_TRANS), or "internal", or "external""#;

    port_out_of_range: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
port = 70000
"#
        => r#"7: [[peer]] "192.0.2.1": port: found 70000; must be a number from 1 to 65535"#;

    duration_without_a_unit: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
connect-retry-time = 5
"#
        => r#"7: [[peer]] "192.0.2.1": connect-retry-time: found 5; must be a duration from 100ms to 1h, with its unit"#;

    bfd_strict_without_bfd: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
bfd-strict = true
"#
        => r#"7: [[peer]] "192.0.2.1": bfd-strict: found true; must be false as long as bfd-profile is not set, for without BFD there would never be a session"#;

    restart_time_that_the_open_cannot_hold: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
graceful-restart = { restart-time = "2h" }
"#
        => r#"7: [[peer]] "192.0.2.1": graceful-restart: found a table; must be false, or a table { restart-time = "120s", long-lived-stale-time = "0s" } with up to 4095s and up to 16777215s, in whole seconds"#;

    graceful_restart_with_a_key_that_is_none: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
graceful-restart = { stale-time = "2h" }
"#
        => r#"7: [[peer]] "192.0.2.1": graceful-restart: found a table; must be false, or a table { restart-time = "120s", long-lived-stale-time = "0s" } with up to 4095s and up to 16777215s, in whole seconds"#;

    delay_open_time_beyond_the_wait_for_an_open: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
delay-open-time = "5min"
"#
        => r#"7: [[peer]] "192.0.2.1": delay-open-time: found "5min"; must be a duration from 0s to 4m, with its unit"#;

    hold_time_with_a_fraction: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
hold-time = "3500ms"
"#
        => r#"7: [[peer]] "192.0.2.1": hold-time: found "3500ms"; must be 0s or 3s to 65535s"#;

    keepalive_time_of_the_hold_time: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
hold-time = "9s"
keepalive-time = "9s"
"#
        => r#"8: [[peer]] "192.0.2.1": keepalive-time: found "9s"; must be less than the hold-time of 9s, and best a third of it"#;

    send_hold_time_below_the_hold_time: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
send-hold-time = "30s"
"#
        => r#"7: [[peer]] "192.0.2.1": send-hold-time: found "30s"; must be more than the hold-time of 90s"#;

    source_address_of_the_other_family: r#"
[[peer]]
address = "2001:db8::1"
remote-as = 64521
source-address = "192.0.2.71"
"#
        => r#"7: [[peer]] "2001:db8::1": source-address: found "192.0.2.71"; must be an IPv6 address, as the peer's 2001:db8::1 is"#;

    families_empty: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
families = []
"#
        => r#"4: [[peer]] "192.0.2.1": families: found an empty array; must be "ipv4-unicast", "ipv6-unicast" or both"#;

    families_unknown: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
families = ["ipv4-unicast", "l2vpn-evpn"]
"#
        => r#"7: [[peer]] "192.0.2.1": families: found "l2vpn-evpn"; must be "ipv4-unicast" or "ipv6-unicast""#;

    families_twice: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
families = ["ipv4-unicast", "ipv4-unicast"]
"#
        => r#"7: [[peer]] "192.0.2.1": families: found "ipv4-unicast"; must be named once"#;

    ebgp_multihop_of_zero: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
ebgp-multihop = 0
"#
        => r#"7: [[peer]] "192.0.2.1": ebgp-multihop: found 0; must be a number from 1 to 255"#;

    both_ways_to_say_the_distance: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
ebgp-multihop = 2
ttl-security = 1
"#
        => r#"8: [[peer]] "192.0.2.1": ttl-security: found 1; must be absent beside ebgp-multihop: either says how far the neighbor may be"#;

    bfd_auth_that_is_a_key: r#"
[[bfd-profile]]
name = "fast"
auth = "s3cret"
"#
        => r#"6: [[bfd-profile]] "fast": auth: found something else; must be { type = "meticulous-keyed-sha1", key-id = 7, key-file = "/etc/herald/bfd.key" }, or a list of such tables"#;

    bfd_auth_of_an_unknown_type: r#"
[[bfd-profile]]
name = "fast"
auth = { type = "sha1", key-id = 7, key-file = "/etc/hostname" }
"#
        => r#"6: [[bfd-profile]] "fast" auth: type: found "sha1"; must be "meticulous-keyed-sha1", "keyed-sha1", "meticulous-keyed-md5", "keyed-md5" or "simple""#;

    bfd_auth_with_a_key_in_the_place_of_a_file: r#"
[[bfd-profile]]
name = "fast"
auth = { type = "keyed-sha1", key-id = 7, key-file = "s3cret" }
"#
        => r#"6: [[bfd-profile]] "fast" auth: key-file: found something else; must be the absolute path of a file with a key, such as "/etc/herald/bfd.key""#;

    bfd_auth_without_a_key_id: r#"
[[bfd-profile]]
name = "fast"
auth = [
    { type = "keyed-sha1", key-id = 255, key-file = "/etc/hostname" },
    { type = "keyed-sha1", key-file = "/etc/hostname" },
]
"#
        => r#"8: [[bfd-profile]] "fast" auth 2: key-id: is missing; must be a number from 0 to 255"#;

    bfd_auth_without_a_file: r#"
[[bfd-profile]]
name = "fast"
auth = { type = "keyed-sha1", key-id = 7, key-file = "/nonexistent/bfd.key" }
"#
        => r#"6: [[bfd-profile]] "fast" auth: key-file: found "/nonexistent/bfd.key"; must be the path of a file with a key: /nonexistent/bfd.key cannot be read: No such file or directory (os error 2)"#;

    bfd_auth_of_nothing: r#"
[[bfd-profile]]
name = "fast"
auth = []
"#
        => r#"6: [[bfd-profile]] "fast": auth: the list is empty; must hold a key, or go away for BFD without authentication"#;

    password_file_of_a_relative_path: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
password-file = "tor.key"
"#
        => r#"7: [[peer]] "192.0.2.1": password-file: found something else; must be the absolute path of a file with a key, such as "/etc/herald/tor.key""#;

    password_file_that_is_not_there: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
password-file = "/nonexistent/tor.key"
"#
        => r#"7: [[peer]] "192.0.2.1": password-file: found "/nonexistent/tor.key"; must be the path of a file with a key: /nonexistent/tor.key cannot be read: No such file or directory (os error 2)"#;

    a_range_without_listen: r#"
[[peer-range]]
name = "leafs"
prefix = "10.0.0.0/24"
remote-as = 64521
"#
        => r#"4: [[peer-range]] "leafs": prefix: needs [speaker] listen, for these neighbors connect to us"#;

    a_range_with_host_bits: r#"
[[peer-range]]
name = "leafs"
prefix = "10.0.0.1/24"
remote-as = 64521
"#
        => r#"6: [[peer-range]] "leafs": prefix: found "10.0.0.1/24"; must be "10.0.0.0/24", for a prefix has no host bits"#;

    a_range_of_link_local_addresses: r#"
[[peer-range]]
name = "leafs"
prefix = "fe80::/64"
remote-as = 64521
"#
        => r#"6: [[peer-range]] "leafs": prefix: found "fe80::/64"; must be a prefix that means the same everywhere; the neighbor on a link is a [[peer]] with interface"#;

    a_peer_with_address_and_interface: r#"
[[peer]]
address = "192.0.2.1"
interface = "eth1"
remote-as = 64521
"#
        => r#"6: [[peer]] "192.0.2.1": interface: found "eth1"; must be absent beside address; a link-local address has its interface behind it, such as "fe80::1%eth0""#;

    an_unnumbered_peer_far_away: r#"
[[peer]]
interface = "eth1"
remote-as = 64521
ebgp-multihop = 2
"#
        => r#"7: [[peer]] "eth1": ebgp-multihop: found 2; must be 1 or absent: the neighbor is on the link"#;

    peer_name_twice: r#"
[[peer]]
name = "a"
address = "192.0.2.1"
remote-as = 64521
[[peer]]
name = "a"
address = "192.0.2.2"
remote-as = 64521
"#
        => r#"9: [[peer]] "a": name: found "a"; must be unique; line 5 has it already"#;

    peer_address_twice: r#"
[[peer]]
name = "a"
address = "192.0.2.1"
remote-as = 64521
[[peer]]
name = "b"
address = "192.0.2.1"
remote-as = 64521
"#
        => r#"10: [[peer]] "b": address: found "192.0.2.1"; must be unique; line 6 has it already"#;

    peer_name_with_a_space: r#"
[[peer]]
name = "tor a"
address = "192.0.2.1"
remote-as = 64521
"#
        => r#"5: [[peer]] "tor a": name: found "tor a"; must be a name of 1 to 64 printable characters, without spaces, quotes and slashes"#;

    bfd_profile_that_does_not_exist: r#"
[[bfd-profile]]
name = "fast"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
bfd-profile = "fats"
"#
        => r#"9: [[peer]] "192.0.2.1": bfd-profile: found "fats"; must be the name of a [[bfd-profile]]; the nearest is "fast""#;

    bfd_profile_like_no_other: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
bfd-profile = "xyz"
"#
        => r#"7: [[peer]] "192.0.2.1": bfd-profile: found "xyz"; must be the name of a [[bfd-profile]]: "default""#;

    bfd_profile_twice: r#"
[[bfd-profile]]
name = "fast"
[[bfd-profile]]
name = "fast"
"#
        => r#"7: [[bfd-profile]] "fast": name: found "fast"; must be unique; line 5 has it already"#;

    bfd_profile_with_the_name_none: r#"
[[bfd-profile]]
name = "none"
"#
        => r#"5: [[bfd-profile]] "none": name: found "none"; must be another name, for bfd-profile = "none" is for peers without BFD"#;

    bfd_interval_too_short: r#"
[[bfd-profile]]
name = "fast"
transmit-interval = "5ms"
"#
        => r#"6: [[bfd-profile]] "fast": transmit-interval: found "5ms"; must be a duration from 10ms to 1m, with its unit"#;

    bfd_detect_multiplier: r#"
[[bfd-profile]]
name = "fast"
detect-multiplier = 256
"#
        => r#"6: [[bfd-profile]] "fast": detect-multiplier: found 256; must be a number from 1 to 255"#;

    bfd_multihop_without_a_listener: r#"
[bfd]
listen = ["192.0.2.71:3784"]
[[peer]]
address = "198.51.100.1"
remote-as = 64521
ebgp-multihop = 3
bfd-profile = "default"
"#
        => r#"10: [[peer]] "198.51.100.1": bfd-profile: multihop BFD needs an address to receive on; [bfd] listen is set, so multihop-listen must be set too"#;

    service_without_a_name: r#"
[[service]]
addresses = ["192.0.2.150"]
"#
        => r#"4: [[service]] 1: name: is missing; must be the name of the service, such as "web""#;

    service_without_addresses: r#"
[[service]]
name = "web"
"#
        => r#"4: [[service]] "web": addresses: is missing; must be the addresses of the service, such as ["192.0.2.1", "2001:db8::1"]; to have some assigned, add a [[pool]]"#;

    service_with_an_empty_array_of_addresses: r#"
[[service]]
name = "web"
addresses = []
"#
        => r#"4: [[service]] "web": addresses: found an empty array; must have an address, or be left out, to have some assigned from a [[pool]]"#;

    service_with_addresses_and_a_pool: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
[[service]]
name = "web"
addresses = ["192.0.2.150"]
pool = "public"
"#
        => r#"10: [[service]] "web": pool: must be left out: this service has addresses; a pool is for one without"#;

    service_of_an_unknown_pool: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
[[service]]
name = "web"
pool = "pubic"
"#
        => r#"9: [[service]] "web": pool: found "pubic"; must be the name of a [[pool]]; the nearest is "public""#;

    service_without_a_pool_where_none_has_auto_assign: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
auto-assign = false
[[service]]
name = "web"
"#
        => r#"8: [[service]] "web": pool: is missing; must be the name of a [[pool]], for none has auto-assign: "public""#;

    service_of_a_family_that_its_pool_has_not: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
[[service]]
name = "web"
pool = "public"
ip-families = ["ipv4", "ipv6"]
"#
        => r#"10: [[service]] "web": ip-families: found an array; must be of ipv4, for [[pool]] "public" has no others"#;

    service_of_a_family_that_no_pool_has: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
[[service]]
name = "web"
ip-families = ["ipv6"]
"#
        => r#"9: [[service]] "web": ip-families: found an array; must be families that some [[pool]] with auto-assign has addresses of"#;

    service_of_no_family: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24"]
[[service]]
name = "web"
ip-families = []
"#
        => r#"9: [[service]] "web": ip-families: found an empty array; must be ["ipv4"], ["ipv6"] or ["ipv4", "ipv6"]"#;

    pool_of_addresses_that_are_all_avoided: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0", "192.0.2.255"]
avoid-buggy-ips = true
[[service]]
name = "web"
pool = "public"
"#
        => r#"10: [[service]] "web": pool: found "public"; must be a [[pool]] that has addresses besides those that its avoid-buggy-ips leaves out"#;

    pool_without_a_name: r#"
[[pool]]
addresses = ["192.0.2.0/24"]
"#
        => r#"4: [[pool]] 1: name: is missing; must be the name that services refer to, such as "public""#;

    pool_without_addresses: r#"
[[pool]]
name = "public"
"#
        => r#"4: [[pool]] "public": addresses: is missing; must be the addresses of the pool, such as ["192.0.2.10-192.0.2.20", "2001:db8:5::/120"]"#;

    pool_name_twice: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/25"]
[[pool]]
name = "public"
addresses = ["192.0.2.128/25"]
"#
        => r#"8: [[pool]] "public": name: found "public"; must be unique; line 5 has it already"#;

    pool_range_that_ends_before_it_begins: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.20-192.0.2.10"]
"#
        => r#"6: [[pool]] "public": addresses: found "192.0.2.20-192.0.2.10"; must be a range that ends behind its start, such as "192.0.2.10-192.0.2.20""#;

    pool_range_of_both_families: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.20-2001:db8::1"]
"#
        => r#"6: [[pool]] "public": addresses: found "192.0.2.20-2001:db8::1"; must be a range within one family; addresses of the other are a range of their own"#;

    pool_prefix_with_host_bits: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.1/24"]
"#
        => r#"6: [[pool]] "public": addresses: found "192.0.2.1/24"; must be "192.0.2.0/24", for a prefix has no host bits"#;

    pool_of_something_else: r#"
[[pool]]
name = "public"
addresses = [7]
"#
        => r#"6: [[pool]] "public": addresses: found 7; must be a range or a prefix, such as "192.0.2.10-192.0.2.20", "198.51.100.0/28" or "2001:db8:5::/120""#;

    pool_of_addresses_that_no_service_can_have: r#"
[[pool]]
name = "public"
addresses = ["fe80::/64"]
"#
        => r#"6: [[pool]] "public": addresses: found "fe80::/64"; must be addresses that services can have: fe80::/10 are link-local addresses"#;

    pools_that_overlap: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/24", "2001:db8:5::/64"]
[[pool]]
name = "other"
addresses = ["198.51.100.0/24", "192.0.1.200-192.0.2.9"]
"#
        => r#"9: [[pool]] "other": addresses: found "192.0.1.200-192.0.2.9"; must be apart from all others; it overlaps "192.0.2.0/24" of [[pool]] "public" (line 6)"#;

    pool_that_overlaps_itself: r#"
[[pool]]
name = "public"
addresses = [
  "2001:db8::/32",
  "2001:db8:5::/64",
]
"#
        => r#"8: [[pool]] "public": addresses: found "2001:db8:5::/64"; must be apart from all others; it overlaps "2001:db8::/32" of [[pool]] "public" (line 7)"#;

    service_address_with_a_length: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150/32"]
"#
        => r#"6: [[service]] "web": addresses: found "192.0.2.150/32"; must be a single address without a length; prefixes belong into [[route]]"#;

    service_address_that_is_loopback: r#"
[[service]]
name = "web"
addresses = ["127.0.0.1"]
"#
        => r#"6: [[service]] "web": addresses: found "127.0.0.1"; must be a unicast address that means the same everywhere: no loopback, link-local or multicast address"#;

    service_address_twice: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[[service]]
name = "dns"
addresses = ["192.0.2.150"]
"#
        => r#"9: [[service]] "dns": addresses: found "192.0.2.150"; must be an address that no other service has; [[service]] "web" has it (line 6)"#;

    service_address_of_a_peer: r#"
[[peer]]
name = "frr"
address = "10.9.0.1"
remote-as = 64521
[[service]]
name = "web"
addresses = ["10.9.0.1"]
"#
        => r#"10: [[service]] "web": addresses: found "10.9.0.1"; must be an address that no neighbor has; peer frr has it"#;

    service_address_of_a_bfd_session: r#"
[[service]]
name = "web"
addresses = ["2001:db8::9"]
[[bfd-session]]
name = "storage"
address = "2001:db8::9"
"#
        => r#"6: [[service]] "web": addresses: found "2001:db8::9"; must be an address that no neighbor has; bfd-session storage has it"#;

    service_name_twice: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[[service]]
name = "web"
addresses = ["192.0.2.151"]
"#
        => r#"8: [[service]] "web": name: found "web"; must be unique; line 5 has it already"#;

    advertisement_that_contradicts_another: r#"
[[peer]]
name = "tor-a"
address = "192.0.2.1"
remote-as = 64520
[[service]]
name = "web"
addresses = ["192.0.2.150", "2001:db8::150"]
[[advertisement]]
name = "all"
local-pref = 100
[[advertisement]]
services = ["web"]
peers = ["tor-a"]
local-pref = 200
"#
        => r#"14: [[advertisement]] 2: local-pref: differs from that of [[advertisement]] "all" (line 11), and both fit service web at peer tor-a; must be the same, or be said in one of them only"#;

    advertisement_name_twice: r#"
[[advertisement]]
name = "all"
[[advertisement]]
name = "all"
"#
        => r#"7: [[advertisement]] "all": name: found "all"; must be unique; line 5 has it already"#;

    aggregation_length_of_nothing: r#"
[[advertisement]]
aggregation-length = 33
"#
        => r#"5: [[advertisement]] 1: aggregation-length: found 33; must be a number from 1 to 32"#;

    advertisement_of_an_unknown_pool: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.0/28"]
[[advertisement]]
pools = ["publik"]
"#
        => r#"8: [[advertisement]] 1: pools: found "publik"; must be the name of a [[pool]]; the nearest is "public""#;

    aggregate_that_a_pool_does_not_have: r#"
[[pool]]
name = "public"
addresses = ["192.0.2.10-192.0.2.20", "198.51.100.0/24"]
[[advertisement]]
pools = ["public"]
aggregation-length = 28
"#
        => r#"7: [[advertisement]] 1: aggregation-length: found 28; must be the length of a prefix within each range of the pools, and 192.0.2.10-192.0.2.20 of [[pool]] "public" has none so short"#;

    advertisements_of_a_pool_that_contradict: r#"
[[peer]]
name = "tor-a"
address = "192.0.2.1"
remote-as = 64521
[[pool]]
name = "public"
addresses = ["198.51.100.0/24"]
[[service]]
name = "web"
pool = "public"
[[advertisement]]
med = 10
[[advertisement]]
pools = ["public"]
med = 20
"#
        => r#"16: [[advertisement]] 2: med: differs from that of [[advertisement]] 1 (line 14), and both fit service web at peer tor-a; must be the same, or be said in one of them only"#;

    blackhole_of_an_aggregate: r#"
[[advertisement]]
aggregation-length = 24
communities = ["blackhole"]
"#
        => r#"4: [[advertisement]] 1: aggregation-length: found 24; must be 32 or more with "blackhole", for routers drop all traffic to such a prefix; blackhole-length = 24 in [speaker] allows it"#;

    route_with_host_bits: r#"
[[route]]
prefix = "198.51.100.7/24"
"#
        => r#"5: [[route]] "198.51.100.7/24": prefix: found "198.51.100.7/24"; must be "198.51.100.0/24", for a prefix has no host bits"#;

    route_without_a_length: r#"
[[route]]
prefix = "198.51.100.7"
"#
        => r#"5: [[route]] "198.51.100.7": prefix: found "198.51.100.7"; must be a prefix with its length, such as "198.51.100.7/32""#;

    route_twice: r#"
[[route]]
prefix = "198.51.100.0/24"
[[route]]
prefix = "198.51.100.0/24"
"#
        => r#"7: [[route]] "198.51.100.0/24": prefix: found "198.51.100.0/24"; must be unique; line 5 has it already"#;

    route_of_a_service: r#"
[[service]]
name = "web"
addresses = ["192.0.2.150"]
[[route]]
prefix = "192.0.2.150/32"
"#
        => r#"8: [[route]] "192.0.2.150/32": prefix: found "192.0.2.150/32"; must be a prefix that no service announces; [[service]] "web" does"#;

    community: r#"
[[route]]
prefix = "198.51.100.0/24"
communities = ["64520:100", "no-exprot"]
"#
        => r#"6: [[route]] "198.51.100.0/24": communities: found "no-exprot"; must be a community, such as "64520:100" or "no-export", or one of another kind, such as "large:64520:1:2" or "rt:64520:1""#;

    large_community: r#"
[[route]]
prefix = "198.51.100.0/24"
communities = ["large:64520:1"]
"#
        => r#"6: [[route]] "198.51.100.0/24": communities: found "large:64520:1"; must be a large community: "large:" and three numbers of 0-4294967295, as in "large:64520:1:2""#;

    extended_community: r#"
[[route]]
prefix = "198.51.100.0/24"
communities = ["rt:4200000000:70000"]
"#
        => r#"6: [[route]] "198.51.100.0/24": communities: found "rt:4200000000:70000"; must be an extended community: "rt:64520:1", "soo:192.0.2.1:1" (below 65536 behind an address or an AS above 65535), or "ext:0x" and 16 hexadecimal digits"#;

    blackhole_of_a_whole_network: r#"
[[route]]
prefix = "198.51.100.0/24"
communities = ["blackhole"]
"#
        => r#"5: [[route]] "198.51.100.0/24": communities: "blackhole" goes with /32 and longer: routers drop all traffic to such a prefix; 198.51.100.0/24 can have it with blackhole-length = 24 in [speaker]"#;

    aggregator: r#"
[[route]]
prefix = "198.51.100.0/24"
aggregator = "64520"
"#
        => r#"6: [[route]] "198.51.100.0/24": aggregator: found "64520"; must be the AS and the BGP Identifier of who formed the aggregate: "64520 192.0.2.71""#;

    role: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
role = "upstream"
"#
        => r#"7: [[peer]] "192.0.2.1": role: found "upstream"; must be a role: "customer", "provider", "peer", "rs-server" or "rs-client""#;

    strict_without_a_role: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
role-strict = true
"#
        => r#"7: [[peer]] "192.0.2.1": role-strict: found true; must be false as long as role is not set, for then the peer's is not looked at"#;

    link_local_next_hop: r#"
[[peer]]
address = "fe80::1%eth0"
remote-as = 64521
link-local-next-hop = "twice"
"#
        => r#"7: [[peer]] "fe80::1%eth0": link-local-next-hop: found "twice"; must be "double" (the address twice), "single" (once) or "native" (behind ::)"#;

    next_hop_twice: r#"
[[route]]
prefix = "198.51.100.0/24"
next-hop = ["192.0.2.71", "192.0.2.72", "192.0.2.71"]
"#
        => r#"6: [[route]] "198.51.100.0/24": next-hop: found 192.0.2.71; must be named once"#;

    next_hops_of_a_peer: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
next-hop = ["192.0.2.71", "192.0.2.72"]
"#
        => r#"7: [[peer]] "192.0.2.1": next-hop: found 192.0.2.72; must be the only address of its family"#;

    add_path: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
add-path = true
"#
        => r#"7: [[peer]] "192.0.2.1": add-path: found true; must be "send", "receive" or "both""#;

    as_path_prepend: r#"
[[route]]
prefix = "198.51.100.0/24"
as-path-prepend = 11
"#
        => r#"6: [[route]] "198.51.100.0/24": as-path-prepend: found 11; must be a number from 0 to 10"#;

    advertisement_to_an_unknown_peer: r#"
[[peer]]
name = "tor-a"
address = "192.0.2.1"
remote-as = 64521
[[advertisement]]
peers = ["tor-b"]
"#
        => r#"9: [[advertisement]] 1: peers: found "tor-b"; must be the name of a [[peer]] or [[peer-range]]; the nearest is "tor-a""#;

    next_hop_that_is_no_host: r#"
[[advertisement]]
next-hop = "127.0.0.1"
"#
        => r#"5: [[advertisement]] 1: next-hop: found "127.0.0.1"; must be "self", or addresses that routers can reach, such as ["192.0.2.71", "2001:db8::71"]"#;

    passive_without_a_listener: r#"
[[peer]]
address = "192.0.2.1"
remote-as = 64521
passive = true
"#
        => r#"7: [[peer]] "192.0.2.1": passive: found true; must be false as long as [speaker] listen is not set, for then neither side would connect"#;

    a_key_twice: r#"
[log]
level = "info"
level = "warn"
"#
        => "6: not TOML: duplicate key at `level`";
}

#[test]
fn the_socket_belongs_to_accounts_that_exist() {
    let api = |keys: &str| {
        let text = format!("[speaker]\nlocal-as = 64520\n[api]\n{keys}\n");
        Config::parse(Path::new("herald.toml"), &text)
            .map(|checked| checked.config.api)
            .map_err(|error| error.to_string())
    };
    let config = api("socket-owner = \"root\"\nsocket-group = 4711\nsocket-mode = \"0o600\"");
    let config = config.unwrap();
    assert_eq!(config.socket_owner.map(|owner| owner.id()), Some(0));
    assert_eq!(config.socket_group.map(|group| group.id()), Some(4711));
    assert_eq!(config.socket_mode.bits(), 0o600);
    assert_eq!(api("").unwrap().socket_mode.bits(), 0o660);
    for (keys, told) in [
        (
            "socket-owner = \"roott\"",
            "[api]: socket-owner: found \"roott\"; must be the name or the number of a user of this host; the nearest user is \"root\"",
        ),
        (
            "socket-group = \"no such group here\"",
            "[api]: socket-group: found \"no such group here\"; must be the name or the number of a group of this host",
        ),
        (
            "socket-owner = -1",
            "found -1; must be the name or the number of a user of this host",
        ),
        (
            "socket-mode = 660",
            "[api]: socket-mode: found 660; must be three or four octal digits as a text, such as \"0660\"",
        ),
        (
            "socket-mode = \"0888\"",
            "found \"0888\"; must be three or four octal digits",
        ),
        (
            "socket-mode = \"1777\"",
            "found \"1777\"; must be three or four octal digits",
        ),
    ] {
        let error = api(keys).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_hook_that_cannot_be_run_is_a_warning() {
    let hook = |program: &str| {
        warnings(&format!(
            "[[hook]]\nname = \"page\"\non = [\"peer\"]\nexec = [{program:?}]\n"
        ))
    };
    assert_eq!(
        hook("/nonexistent/page-me"),
        [
            "herald.toml:6: [[hook]] \"page\": exec: /nonexistent/page-me: cannot be run here: No such file or directory (os error 2); nobody is told until it can"
        ]
    );
    assert_eq!(hook("/bin/sh"), [""; 0]);
}

#[test]
fn a_socket_for_everybody_is_a_warning() {
    let mode = |mode: &str| warnings(&format!("[api]\nsocket-mode = {mode:?}\n"));
    assert_eq!(
        mode("0666"),
        [
            "herald.toml:4: [api]: socket-mode: \"0666\" lets every user of this host control the daemon; \"0660\" is for its user and group"
        ]
    );
    assert_eq!(mode("0664"), [""; 0]);
}

#[test]
fn a_service_that_no_advertisement_fits_is_a_warning() {
    let service = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\"]\n";
    let other = service
        .replace("web", "dns")
        .replace("192.0.2.1", "192.0.2.53");
    let one = "[[advertisement]]\nname = \"one\"\nservices = [\"dns\"]\n";
    assert_eq!(
        warnings(&format!("{service}{other}{one}")),
        [
            "herald.toml:9: [[advertisement]] \"one\": services: neither this nor another [[advertisement]] fits service web: announced to nobody"
        ]
    );
    let all = "[[advertisement]]\nname = \"all\"\n";
    assert_eq!(warnings(&format!("{service}{other}{one}{all}")), [""; 0]);
}

#[test]
fn a_pool_that_is_too_small_is_a_warning() {
    let pool = "[[pool]]\nname = \"public\"\naddresses = [\"192.0.2.1\"]\n";
    let one = "[[service]]\nname = \"one\"\n";
    let two = "[[service]]\nname = \"two\"\npool = \"public\"\n";
    assert_eq!(warnings(&format!("{pool}{one}")), [""; 0]);
    assert_eq!(
        warnings(&format!("{pool}{one}{two}")),
        [
            "herald.toml:8: [[service]] \"two\": pool: [[pool]] \"public\" has 1 ipv4 address, and more services than that ask for one"
        ]
    );
}

#[test]
fn an_address_interface_that_is_not_there_is_a_warning() {
    let text = "[speaker]\nlocal-as = 64520\naddress-interface = \"nowhere9\"\n";
    let checked = Config::parse(Path::new("herald.toml"), text).unwrap();
    let [warning] = checked.warnings.as_slice() else {
        panic!("{:?}", checked.warnings);
    };
    assert!(
        warning.text.contains("no interface \"nowhere9\""),
        "{warning:?}"
    );
}
