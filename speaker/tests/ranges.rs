//! Dynamic peers, and strangers: real daemons on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use support::{Daemon, eventually, loopback, words};

/// A router that lets neighbors in from a range around `near`.
fn router(own: Ipv4Addr, ranges: &str) -> String {
    format!(
        "[speaker]\nlocal-as = 64521\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n\
         [peer-defaults]\nremote-as = 64520\nsource-address = \"{own}\"\nbfd-port = 13784\n{ranges}\n"
    )
}

fn host(own: Ipv4Addr, router: Ipv4Addr, more: &str) -> String {
    format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"{own}\"\n[bfd]\nlisten = [\"{own}:13784\"]\n\
         [[peer]]\nname = \"router\"\naddress = \"{router}\"\nport = 11179\nremote-as = 64521\n\
         source-address = \"{own}\"\nbfd-port = 13784\nconnect-retry-time = \"500ms\"\n{more}\n"
    )
}

fn range(name: &str, prefix: &str, more: &str) -> String {
    format!("[[peer-range]]\nname = {name:?}\nprefix = {prefix:?}\n{more}\n")
}

fn names(daemon: &Daemon) -> Vec<String> {
    let peers = daemon.show(&["peers"]);
    let peers = peers.as_array().unwrap().iter();
    peers
        .map(|peer| peer["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_neighbor_from_a_range_is_a_peer_while_it_is_there() {
    let [own, one, two] = [loopback(), loopback(), loopback()];
    let ranges = range("all", "127.0.0.0/8", "bfd-profile = \"default\"\nlimit = 1")
        + "[[route]]\nprefix = \"192.0.2.0/24\"\npeers = [\"all\"]\n";
    let router = Daemon::start(&router(own, &ranges));
    assert!(names(&router).is_empty());
    let host_one = Daemon::start(&host(one, own, "bfd-profile = \"default\""));
    host_one.wait_until_up("router");
    let name = format!("all@{one}");
    router.wait_until_up(&name);
    let status = router.show(&["peer", &name]);
    assert_eq!(status["range"], "all");
    assert_eq!(status["passive"], true);
    let page = router.ok(&["show", "peer", &name]);
    assert!(page.contains("Dynamic       of peer-range all"), "{page}");
    eventually("it has what its range is to have", || {
        router.show(&["peer", &name])["families"][0]["advertised"] == 1
    });

    // One is the limit.
    let host_two = Daemon::start(&host(two, own, ""));
    eventually("the second is refused", || {
        router.log().contains("there are 1 already, its limit")
    });
    assert_eq!(names(&router), std::slice::from_ref(&name));

    // Who is away makes room for who is there.
    drop(host_one);
    host_two.wait_until_established("router");
    let name = format!("all@{two}");
    assert_eq!(names(&router), std::slice::from_ref(&name));

    // And is forgotten after a while.
    drop(host_two);
    eventually("the last is forgotten", || names(&router).is_empty());
    let events = words(&router.ok(&["show", "events"]));
    assert!(events.contains(&format!("peer {name}: gone")), "{events}");
    // What happened to it is not, and is whole.
    let events = router.show(&["events", "--peer", &format!("all@{one}")]);
    let events = events.as_array().unwrap();
    for protocol in ["bgp", "bfd"] {
        let turns = events.iter().filter(|event| event["subject"] == protocol);
        let kinds: Vec<_> = turns.map(|event| &event["kind"]).collect();
        assert_eq!(kinds, ["up", "down"], "{events:?}");
    }
}

#[test]
fn the_file_goes_before_a_range_and_a_small_range_before_a_large_one() {
    let [own, one, two, three] = [loopback(), loopback(), loopback(), loopback()];
    let large = range("large", "127.0.0.0/8", "hold-time = \"30s\"");
    let small = range("small", &format!("{two}/32"), "hold-time = \"60s\"");
    let named = format!("[[peer]]\nname = \"named\"\naddress = \"{one}\"\npassive = true\n");
    let both = large.clone() + &small + &named;
    let router_daemon = Daemon::start(&router(own, &both));
    let hosts = [one, two, three].map(|ip| Daemon::start(&host(ip, own, "")));
    for host in &hosts {
        host.wait_until_established("router");
    }
    let (small_peer, large_peer) = (format!("small@{two}"), format!("large@{three}"));
    assert_eq!(
        names(&router_daemon),
        [large_peer.clone(), "named".to_owned(), small_peer.clone()]
    );
    let hold_time =
        |name: &str| router_daemon.show(&["peer", name])["timers"]["hold_time_ms"].clone();
    assert_eq!(hold_time(&small_peer), 60_000);
    assert_eq!(hold_time(&large_peer), 30_000);

    // A reload is a difference here, too.
    assert!(router_daemon.ok(&["reload"]).contains("nothing"));
    let other = range(
        "large",
        "127.0.0.0/8",
        "hold-time = \"30s\"\nlimit = 7\nconnect-retry-time = \"9s\"",
    );
    router_daemon.write(&router(own, &(other + &small + &named)));
    let said = router_daemon.ok(&["reload"]);
    assert!(
        said.contains("peer-range large: updated: limit 100 -> 7, connect-retry-time 5s -> 9s"),
        "{said}"
    );
    assert!(
        said.contains(&format!("peer {large_peer}: updated in place")),
        "{said}"
    );
    for host in &hosts {
        assert_eq!(host.show(&["peer", "router"])["established_count"], 1);
    }

    // Without their range, peers go; without the small one, its peer is of the large one.
    router_daemon.write(&router(own, &(large + &named)));
    router_daemon.ok(&["reload"]);
    hosts[1].wait_until_established("router");
    eventually("it is of the other range", || {
        names(&router_daemon).contains(&format!("large@{two}"))
    });
    router_daemon.write(&router(own, &named));
    router_daemon.ok(&["reload"]);
    assert_eq!(names(&router_daemon), ["named"]);
    assert_eq!(hosts[0].show(&["peer", "router"])["established_count"], 1);
}

#[test]
fn keys_of_ranges_are_demanded_of_their_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let key = |name: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, name).unwrap();
        format!("password-file = {file:?}\n")
    };
    let [own, one, two] = [loopback(), loopback(), loopback()];
    let ranges = range("large", "127.0.0.0/8", &key("first"))
        + &range("small", &format!("{two}/32"), &key("second"));
    let router = Daemon::start(&router(own, &ranges));
    let right = Daemon::start(&host(one, own, &key("first")));
    right.wait_until_established("router");
    let wrong = Daemon::start(&host(two, own, &key("first")));
    eventually("nobody answers", || {
        wrong.show(&["peer", "router"])["transport"]["unanswered_attempts"] != 0
    });
    assert_eq!(names(&router), [format!("large@{one}")]);
    wrong.write(&host(two, own, &key("second")));
    wrong.ok(&["reload"]);
    wrong.wait_until_established("router");
}

/// RFC 4271 leaves it open what strangers hear. They hear nothing, and nothing is kept of them.
#[test]
fn c_050_f_100_a_thousand_connects_cost_nothing() {
    let [own, one] = [loopback(), loopback()];
    let named = format!("[[peer]]\nname = \"named\"\naddress = \"{one}\"\npassive = true\n");
    let router = Daemon::start(&router(own, &named));
    let host = Daemon::start(&host(one, own, ""));
    host.wait_until_established("router");
    let before = router.resident_kib();
    let address = SocketAddr::new(own.into(), 11179);
    let mut strangers: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for stranger in &mut strangers {
        stranger
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut octets = Vec::new();
        // The end of the stream, or a reset.
        let _ = stranger.read_to_end(&mut octets);
        assert!(octets.is_empty());
    }
    assert_eq!(names(&router), ["named"]);
    assert_eq!(host.show(&["peer", "router"])["established_count"], 1);
    let grown = router.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB more");
}

/// A range takes as many as its limit says, however many knock at once.
#[test]
fn f_100_a_thousand_connects_from_a_range_make_as_many_peers_as_it_may_have() {
    let own = loopback();
    let router = Daemon::start(&router(own, &range("all", "127.0.0.0/8", "limit = 10")));
    let address: SocketAddr = (own, 11179).into();
    let strangers: Vec<TcpStream> = (0..1000u32)
        .map(|number| {
            let from = Ipv4Addr::from_bits(0x7F80_0000 + number);
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket
                .bind(&SocketAddr::new(from.into(), 0).into())
                .unwrap();
            socket.connect(&address.into()).unwrap();
            socket.into()
        })
        .collect();
    eventually("as many as may be", || names(&router).len() == 10);
    drop(strangers);
    eventually("they are forgotten", || names(&router).is_empty());
}
