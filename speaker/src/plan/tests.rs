//! Examples for the words and the effects, and properties over arbitrary pairs of configurations.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::speaker::peer_setup;

fn config(text: &str) -> Config {
    Config::parse(Path::new("herald.toml"), text)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .config
}

/// The plan from a `[[peer]]` with some keys to the same with others.
fn peer_plan(running: &str, wanted: &str) -> Vec<String> {
    let whole = |keys: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\n\
             [[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n{keys}"
        ))
    };
    words(&plan(&whole(running), &whole(wanted)))
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_part_of_the_open_restarts_the_session() {
    assert_eq!(
        peer_plan(
            "hold-time = \"90s\"",
            "hold-time = \"15s\"\nkeepalive-time = \"5s\""
        ),
        ["peer tor: session restarts: hold-time 90s -> 15s, keepalive-time default -> 5s"]
    );
    assert_eq!(
        peer_plan("", "families = [\"ipv4-unicast\"]"),
        ["peer tor: session restarts: families [ipv4-unicast, ipv6-unicast] -> [ipv4-unicast]"]
    );
}

#[test]
fn what_is_part_of_the_transport_restarts_the_session() {
    assert_eq!(
        peer_plan("", "port = 1179"),
        ["peer tor: session restarts: port 179 -> 1179"]
    );
}

#[test]
fn a_key_changes_in_place_and_is_not_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    let keys = format!("password-file = {file:?}");
    let text = format!(
        "[speaker]\nlocal-as = 64520\n[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n{keys}\n"
    );
    std::fs::write(&file, "first").unwrap();
    let running = config(&text);
    std::fs::write(&file, "second").unwrap();
    let file = file.display();
    assert_eq!(
        words(&plan(&running, &config(&text))),
        [format!(
            "peer tor: updated in place: password-file {file} -> {file} (with another key) (the peer must have the new key within the hold time)"
        )]
    );
}

#[test]
fn bfd_keys_roll_over_in_place_and_are_not_said() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, secret: &str| std::fs::write(directory.path().join(name), secret);
    write("old", "s3cret").unwrap();
    write("new", "0ther").unwrap();
    let with = |auth_type: &str, keys: &[(u8, &str)]| {
        let keys = keys.iter().map(|(id, name)| {
            let file = directory.path().join(name);
            format!("{{ type = {auth_type:?}, key-id = {id}, key-file = {file:?} }}")
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let auth = match keys.as_str() {
            "" => String::new(),
            keys => format!("auth = [{keys}]"),
        };
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[bfd-profile]]\nname = \"keyed\"\n{auth}\n\
             [[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\nbfd-profile = \"keyed\"\n"
        ))
    };
    let sha1 = |keys: &[(u8, &str)]| with("keyed-sha1", keys);
    let told = |running: &Config, wanted: &Config| {
        let words = words(&plan(running, wanted)).join("; ");
        let directory = format!("{}/", directory.path().display());
        words.replace(&directory, "")
    };
    let (none, old, both) = (
        sha1(&[]),
        sha1(&[(1, "old")]),
        sha1(&[(1, "old"), (2, "new")]),
    );
    let rolled = sha1(&[(2, "new"), (1, "old")]);
    let in_place = "peer tor: updated in place: auth";
    let within = "(BFD goes down unless the peer does the same within the detection time)";
    let accepts = "(BFD goes down unless the peer accepts the key that we send with)";
    let taken = "(BFD goes down if the peer still sends with a key that we accept no longer)";
    let both_ways = "(BFD goes down unless the peer accepts the key that we send with, and sends with one that we still accept)";
    assert_eq!(
        told(&none, &old),
        format!("{in_place} none -> keyed-sha1 1 (old) {within}")
    );
    assert_eq!(
        told(&old, &both),
        format!("{in_place} keyed-sha1 1 (old) -> keyed-sha1 1 (old), 2 (new)")
    );
    assert_eq!(
        told(&both, &rolled),
        format!("{in_place} keyed-sha1 1 (old), 2 (new) -> keyed-sha1 2 (new), 1 (old)")
    );
    assert_eq!(
        told(&old, &with("keyed-md5", &[(1, "old")])),
        format!("{in_place} keyed-sha1 1 (old) -> keyed-md5 1 (old) {within}")
    );
    assert_eq!(
        told(&old, &sha1(&[(2, "new")])),
        format!(
            "{in_place} keyed-sha1 1 (old) -> keyed-sha1 2 (new), the first another key than before {both_ways}"
        )
    );
    assert_eq!(
        told(&rolled, &sha1(&[(2, "new")])),
        format!("{in_place} keyed-sha1 2 (new), 1 (old) -> keyed-sha1 2 (new) {taken}")
    );
    assert_eq!(
        told(&old, &sha1(&[(2, "new"), (1, "old")])),
        format!(
            "{in_place} keyed-sha1 1 (old) -> keyed-sha1 2 (new), 1 (old), the first another key than before {accepts}"
        )
    );
    // A key that is not the first, with another content.
    write("new", "s5cret").unwrap();
    assert_eq!(
        told(&both, &sha1(&[(1, "old"), (2, "new")])),
        format!(
            "{in_place} keyed-sha1 1 (old), 2 (new) -> keyed-sha1 1 (old), 2 (new), of which one that we accept is another {taken}"
        )
    );
    // The same files with another content.
    write("old", "third").unwrap();
    assert_eq!(
        told(&old, &sha1(&[(1, "old")])),
        format!(
            "{in_place} keyed-sha1 1 (old) -> keyed-sha1 1 (old), the first another key than before {both_ways}"
        )
    );
    assert_eq!(told(&both, &both), "");
}

#[test]
fn dynamic_peers_stay_as_far_as_the_file_would_have_them() {
    let with = |ranges: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\nlisten = [\"0.0.0.0:179\"]\n[peer-defaults]\nremote-as = 64521\n{ranges}"
        ))
    };
    let range = "[[peer-range]]\nname = \"leafs\"\nprefix = \"192.0.2.0/24\"\n";
    let mut running = with(range);
    let (name, peer) = running.dynamic_peer("192.0.2.7".parse().unwrap()).unwrap();
    running.peers.insert(name, peer);
    let changes = |ranges: &str| {
        let wanted = with_dynamic_peers(&running, with(ranges));
        words(&plan(&running, &wanted))
    };
    assert!(changes(range).is_empty());
    assert_eq!(
        changes(&format!("{range}hold-time = \"9s\"\n")),
        [
            "peer leafs@192.0.2.7: session restarts: hold-time 90s -> 9s",
            "peer-range leafs: updated: hold-time 90s -> 9s",
        ]
    );
    assert_eq!(
        changes("[[peer]]\nname = \"seven\"\naddress = \"192.0.2.7\"\n"),
        [
            "peer leafs@192.0.2.7: removed, its session ends",
            "peer seven: added",
            "peer-range leafs: removed",
        ]
    );
}

#[test]
fn bfd_timers_and_our_own_timers_change_in_place() {
    assert_eq!(
        peer_plan("bfd-profile = \"default\"", "bfd-profile = \"fast\""),
        [
            "peer tor: updated in place: bfd-profile default -> fast, transmit-interval 300ms -> 50ms"
        ]
    );
    assert_eq!(
        peer_plan("", "bfd-profile = \"fast\""),
        ["peer tor: updated in place: bfd-profile none -> fast"]
    );
    assert_eq!(
        peer_plan("bfd-profile = \"fast\"", ""),
        [
            "peer tor: updated in place: bfd-profile fast -> none (a router may end BGP when BFD goes, and wait for BFD to come back; FRR 10.3 does)"
        ]
    );
    assert_eq!(
        peer_plan("", "connect-retry-time = \"1s\""),
        ["peer tor: updated in place: connect-retry-time 5s -> 1s"]
    );
    assert_eq!(
        peer_plan(
            "bfd-profile = \"fast\"",
            "bfd-profile = \"fast\"\nbfd-strict = true"
        ),
        ["peer tor: session restarts: bfd-strict false -> true"]
    );
    assert_eq!(
        peer_plan("", "graceful-restart = {}"),
        ["peer tor: session restarts: graceful-restart false -> 120s"]
    );
    assert_eq!(
        peer_plan("", "delay-open-time = \"1s\""),
        ["peer tor: updated in place: delay-open-time 0s -> 1s"]
    );
}

#[test]
fn what_ends_bfd_beside_a_living_bgp_session_is_warned_of() {
    let plan_of = |wanted: &str| {
        peer_plan(
            "bfd-profile = \"fast\"",
            &format!("bfd-profile = \"fast\"\n{wanted}"),
        )
    };
    let advice =
        "(a router may end BGP when BFD goes, and wait for BFD to come back; FRR 10.3 does)";
    assert_eq!(
        plan_of("bfd-multihop = true\nbfd-port = 14784"),
        [format!(
            "peer tor: updated in place: bfd-multihop false -> true, bfd-port 3784 -> 14784 {advice}"
        )]
    );
}

#[test]
fn the_least_ttl_of_bfd_changes_in_place() {
    let with = |ttl: u8| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[bfd-profile]]\nname = \"far\"\nminimum-ttl = {ttl}\n\
             [[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\nbfd-profile = \"far\"\nbfd-multihop = true\n\
             [[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.9\"\nmultihop = true\nminimum-ttl = {ttl}\n"
        ))
    };
    let changes = plan(&with(250), &with(200));
    assert_eq!(
        words(&changes),
        [
            "peer tor: updated in place: minimum-ttl 250 -> 200",
            "bfd-session path: updated in place: minimum-ttl 250 -> 200"
        ]
    );
    assert!(!changes.iter().any(Change::interrupts));
}

#[test]
fn what_ends_a_bfd_session_interrupts() {
    let with = |keys: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n{keys}"
        ))
    };
    let path = "[[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.9\"\n";
    let interrupts = |running: &str, wanted: &str| {
        let changes = plan(&with(running), &with(wanted));
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes[0].interrupts()
    };
    let also = |keys: &str| format!("{path}{keys}");
    assert!(interrupts(path, ""));
    assert!(interrupts(path, &also("enabled = false\n")));
    assert!(interrupts(path, &also("source-address = \"192.0.2.71\"\n")));
    assert!(!interrupts("", path));
    assert!(!interrupts(path, &also("description = \"x\"\n")));
    assert!(interrupts("bfd-profile = \"default\"\n", ""));
    assert!(!interrupts("", "bfd-profile = \"default\"\n"));
}

#[test]
fn a_bfd_session_stays_unless_its_ends_change() {
    let with = |keys: &str| {
        config(&format!(
            "[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\n{keys}"
        ))
    };
    let path = "[[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.9\"\n";
    let from_to = |running: &str, wanted: &str| {
        let [running, wanted] = [running, wanted].map(|keys| with(&format!("{path}{keys}")));
        words(&plan(&running, &wanted))
    };
    assert_eq!(
        from_to("", "bfd-profile = \"fast\"\ndescription = \"x\""),
        [
            "bfd-session path: updated in place: bfd-profile default -> fast, \
          transmit-interval 300ms -> 50ms, description default -> x"
        ]
    );
    assert_eq!(
        from_to("", "source-address = \"192.0.2.71\"\nmultihop = true"),
        [
            "bfd-session path: begins anew between other ends: port 3784 -> 4784, \
          source-address default -> 192.0.2.71, multihop false -> true"
        ]
    );
    assert_eq!(
        from_to("", "enabled = false"),
        ["bfd-session path: enabled true -> false, it ends with AdminDown and stays down"]
    );
    let other = path
        .replace("192.0.2.9", "192.0.2.8")
        .replace("path", "other");
    assert_eq!(
        words(&plan(&with(path), &with(&other))),
        [
            "bfd-session path: removed, it ends with AdminDown",
            "bfd-session other: added"
        ]
    );
}

#[test]
fn a_bfd_range_changes_in_place() {
    let speaker = "[speaker]\nlocal-as = 64520\n";
    let with = |keys: &str| {
        config(&format!(
            "{speaker}[[bfd-range]]\nname = \"fabric\"\n{keys}"
        ))
    };
    let running = with("prefix = \"192.0.2.0/24\"");
    let wanted = with("prefix = \"192.0.2.0/25\"\nmax-sessions = 5\ninterface = \"eth1\"");
    let changes = plan(&running, &wanted);
    assert_eq!(
        words(&changes),
        [
            "bfd-range fabric: updated: prefix 192.0.2.0/24 -> 192.0.2.0/25, \
          interface default -> eth1, max-sessions 100 -> 5"
        ]
    );
    let mut applied = running.clone();
    apply(&mut applied, &wanted, &changes);
    assert_eq!(applied, wanted);
    assert_eq!(
        words(&plan(&running, &config(speaker))),
        ["bfd-range fabric: removed, its sessions end with AdminDown"]
    );
}

#[test]
fn a_router_id_restarts_every_session() {
    let text = |id: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"{id}\"\n[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n"
        ))
    };
    assert_eq!(
        words(&plan(&text("192.0.2.71"), &text("192.0.2.72"))),
        [
            "speaker: router-id 192.0.2.71 -> 192.0.2.72",
            "peer tor: session restarts: router-id 192.0.2.71 -> 192.0.2.72",
        ]
    );
}

#[test]
fn what_becomes_of_received_routes_changes_in_place() {
    assert_eq!(
        peer_plan(
            "max-prefixes = 10",
            "max-prefixes = { ipv6-unicast = 5 }\nmax-prefixes-restart = \"1min\"\nreceived-routes = \"kept\"\nenforce-first-as = false"
        ),
        [
            "peer tor: updated in place: received-routes counted -> kept (at most 100000, and 16777216 octets of attributes), \
             max-prefixes ipv4-unicast 10 and ipv6-unicast 10 -> ipv6-unicast 5, max-prefixes-restart never -> 1m, \
             enforce-first-as true -> false"
        ]
    );
}

#[test]
fn sockets_wait_for_the_next_start() {
    let running = config("[speaker]\nlocal-as = 64520\n");
    let wanted = config("[speaker]\nlocal-as = 64520\n[api]\nlisten = \"127.0.0.1:9120\"\n");
    assert_eq!(
        words(&plan(&running, &wanted)),
        ["takes a restart of the daemon: [api] listen default -> 127.0.0.1:9120"]
    );
}

/// What a service may depend on.
const HEALTH: [&str; 8] = [
    "",
    "",
    "[service.health]\nhttp = \"http://127.0.0.1:8080/\"\n",
    "[service.health]\nhttp = \"http://127.0.0.1:8080/\"\nhttp-host = \"www.example.com\"\n",
    "[service.health]\nhttp = \"http://127.0.0.1:8080/\"\ninterval = \"200ms\"\ntimeout = \"100ms\"\n",
    "[service.health]\ntcp = \"127.0.0.1:53\"\nfall = 5\nrise = 4\n",
    "[service.health]\nexec = [\"/bin/true\", \"an argument\"]\nbfd = \"storage\"\n",
    "[service.health]\nbfd = \"storage\"\n",
];

/// What there may be of other kinds; of those that begin with the same two lines, one.
const MORE: [&str; 16] = [
    "[[peer-range]]\nname = \"leafs\"\nprefix = \"172.16.0.0/24\"\nremote-as = 64530\n",
    "[[peer-range]]\nname = \"leafs\"\nprefix = \"172.16.0.0/25\"\nremote-as = 64531\nlimit = 7\nhold-time = \"9s\"\n",
    "[[peer-range]]\nname = \"spines\"\nprefix = \"172.17.0.0/24\"\nremote-as = \"external\"\nbfd-profile = \"fast\"\n",
    "[[bfd-range]]\nname = \"fabric\"\nprefix = \"172.18.0.0/24\"\n",
    "[[bfd-range]]\nname = \"fabric\"\nprefix = \"172.18.0.0/25\"\nmax-sessions = 5\nbfd-profile = \"fast\"\n",
    "[[bfd-range]]\nname = \"others\"\nprefix = \"fe80::/64\"\nenabled = false\ndescription = \"x\"\n",
    "[[hook]]\nname = \"pager\"\non = [\"peer\"]\nexec = [\"/bin/true\"]\n",
    "[[hook]]\nname = \"pager\"\non = [\"bfd\", \"service\"]\nexec = [\"/bin/true\"]\ntimeout = \"3s\"\n",
    "[[hook]]\non = [\"service\"]\nexec = [\"/bin/false\"]\n",
    "[[advertisement]]\nname = \"sums\"\npools = [\"base\"]\naggregation-length = 28\naggregation-length-v6 = 72\n",
    "[[advertisement]]\nname = \"sums\"\npools = [\"base\"]\ncommunities = [\"64520:7\", \"no-export\"]\n",
    "[[advertisement]]\nname = \"few\"\nservices = [\"s1\", \"s2\"]\nmed = 5\nas-path-prepend = 2\nnext-hop = [\"192.0.2.99\", \"2001:db8::99\"]\n",
    "[[advertisement]]\nname = \"few\"\nservices = [\"s2\", \"s3\"]\natomic-aggregate = true\naggregator = \"64520 192.0.2.71\"\ncommunities = [\"large:64520:1:2\", \"rt:64520:1\"]\n",
    "[[peer]]\ninterface = \"eth3\"\nremote-as = \"external\"\n",
    "[[peer]]\ninterface = \"eth3\"\nremote-as = \"internal\"\ngraceful-restart = {}\nrole = \"peer\"\n",
    "[[peer]]\naddress = \"192.0.2.200\"\nremote-as = 64540\nbfd-profile = \"fast\"\nbfd-multihop = true\nadd-path = \"both\"\n",
];

/// Configuration texts that differ in a bit of everything.
fn any_config() -> impl Strategy<Value = Config> {
    let speaker = (64512_u32..64515, 1_u8..4, any::<bool>(), 0_usize..3);
    let peer = (
        64512_u32..64515,
        prop::sample::select(vec!["9s", "15s", "90s"]),
        any::<bool>(),
        prop::sample::select(vec!["", "default", "fast"]),
        prop::sample::select(vec![
            "",
            "ebgp-multihop = 2\n",
            "passive = true\n",
            "enabled = false\n",
            "max-prefixes = { ipv4-unicast = 7 }\nmax-prefixes-restart = \"2min\"\nenforce-first-as = false\n",
            "received-routes = \"kept\"\nreceived-routes-limit = 9\n",
        ]),
    );
    let peers = prop::collection::btree_map(1_u8..5, peer, 0..4);
    let services = prop::collection::btree_map(1_u8..5, (1_u8..9, 0..HEALTH.len()), 0..4);
    let more = prop::collection::vec(0..MORE.len(), 0..4);
    let routes = prop::collection::btree_map(1_u8..5, 0_u32..3, 0..4);
    let pools = prop::collection::btree_map(1_u8..4, (1_u8..4, any::<bool>()), 0..3);
    let session = (
        1_u8..6,
        prop::sample::select(vec![
            "",
            "multihop = true\n",
            "multihop = true\nminimum-ttl = 200\n",
            "bfd-profile = \"fast\"\n",
            "enabled = false\n",
            "interface = \"eth7\"\ndescription = \"x\"\n",
            "source-address = \"192.0.2.71\"\nport = 13784\n",
        ]),
    );
    let sessions = prop::collection::btree_map(1_u8..5, session, 0..4);
    (speaker, peers, (pools, services, more), routes, 0_u32..3, sessions).prop_map(
        |((local_as, id, elsewhere, level), peers, (pools, services, more), routes, local_pref, sessions)| {
            let level = ["info", "debug", "warn"][level];
            let mut text = format!(
                "[speaker]\nlocal-as = {local_as}\nrouter-id = \"192.0.2.{id}\"\nlisten = [\"{}\"]\nstate-dir = \"/{id}\"\n\
                 on-exit = \"{}\"\ndrain-time = \"{local_pref}s\"\n{}[api]\nsocket-mode = \"{}\"\n[log]\nlevel = \"{level}\"\n[bfd]\nrealtime = {elsewhere}\nlock-memory = {}\n[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"{}ms\"\n",
                if elsewhere { "[::1]:1179" } else { "127.0.0.1:1179" },
                if elsewhere { "restart" } else { "withdraw" },
                if id == 1 { "address-interface = \"lo\"\n" } else { "" },
                if id == 2 { "0600" } else { "0660" },
                level == "warn",
                50 + local_pref,
            );
            for (number, (remote_as, hold_time, v6, profile, more)) in peers {
                let address = if v6 { format!("2001:db8::{number}") } else { format!("198.51.100.{number}") };
                write!(text, "[[peer]]\nname = \"p{number}\"\naddress = \"{address}\"\nremote-as = {remote_as}\nhold-time = \"{hold_time}\"\n{more}").unwrap();
                if !profile.is_empty() {
                    writeln!(text, "bfd-profile = \"{profile}\"").unwrap();
                }
            }
            text.push_str("[[bfd-session]]\nname = \"storage\"\naddress = \"192.0.2.250\"\n");
            for (number, (address, more)) in sessions {
                writeln!(text, "[[bfd-session]]\nname = \"b{number}\"\naddress = \"192.0.2.{}\"\n{more}", number * 10 + address).unwrap();
            }
            writeln!(text, "[[pool]]\nname = \"base\"\naddresses = [\"203.0.113.0/26\", \"2001:db8:{id}::/64\"]").unwrap();
            for (number, (last, flag)) in pools {
                writeln!(text, "[[pool]]\nname = \"a{number}\"\naddresses = [\"10.0.{number}.1-10.0.{number}.{last}\"]\nauto-assign = {flag}\navoid-buggy-ips = {}", !flag).unwrap();
            }
            let more: BTreeSet<usize> = more.into_iter().collect();
            let mut names = BTreeSet::new();
            for more in more.into_iter().map(|it| MORE[it]) {
                // The first of a name counts.
                if names.insert(more.lines().take(2).collect::<Vec<_>>()) {
                    text.push_str(more);
                }
            }
            for (number, (address, health)) in services {
                writeln!(text, "[[service]]\nname = \"s{number}\"").unwrap();
                match address {
                    8 => writeln!(text, "ip-families = [\"ipv6\"]"),
                    7 => writeln!(text, "pool = \"base\""),
                    6 => Ok(()),
                    _ => writeln!(text, "addresses = [\"203.0.113.{}\"]", number * 10 + address),
                }
                .unwrap();
                text.push_str(HEALTH[health]);
            }
            for (number, med) in routes {
                writeln!(text, "[[route]]\nprefix = \"10.{number}.0.0/16\"\nmed = {med}").unwrap();
            }
            if local_pref > 0 {
                writeln!(text, "[[advertisement]]\nlocal-pref = {local_pref}").unwrap();
            }
            config(&text)
        },
    )
}

proptest! {
    #[test]
    fn the_plan_to_itself_is_empty(config in any_config()) {
        prop_assert_eq!(plan(&config, &config), []);
    }

    #[test]
    fn applying_the_plan_gives_what_was_wanted(running in any_config(), wanted in any_config()) {
        let changes = plan(&running, &wanted);
        let mut reached = running.clone();
        apply(&mut reached, &wanted, &changes);
        let expected = Config {
            speaker: SpeakerConfig { state_dir: running.speaker.state_dir.clone(), ..wanted.speaker.clone() },
            api: running.api.clone(),
            ..wanted.clone()
        };
        prop_assert_eq!(&reached, &expected);
        // What is left is what takes a restart, and it is said again.
        let left = plan(&reached, &wanted);
        prop_assert!(left.iter().all(|change| matches!(change, Change::NextStart(_))), "{:?}", left);
    }

    /// What the plan says of a session is what the BGP thread does to it.
    #[test]
    fn sessions_restart_when_the_plan_says_so(running in any_config(), wanted in any_config()) {
        let setup = |config: &Config, name: &PeerName| {
            peer_setup(&config.peers[name], config.speaker.router_id.unwrap(), None)
        };
        for change in plan(&running, &wanted) {
            let (name, restarts) = match &change {
                Change::UpdatePeer(name, _) => (name, false),
                Change::RestartPeer(name, _) => (name, true),
                _ => continue,
            };
            let (old, new) = (setup(&running, name), setup(&wanted, name));
            let differs = old.session.needs_reset(&new.session) || old.transport != new.transport;
            prop_assert_eq!(differs, restarts, "{}", change);
        }
    }

    #[test]
    fn the_running_configuration_reads_back_as_it_is(config in any_config()) {
        let text = config.to_toml();
        let read = Config::parse(Path::new("running"), &text);
        prop_assert_eq!(read.map(|checked| checked.config), Ok(config), "{}", text);
    }

    /// One line for each, and it tells what is another.
    #[test]
    fn nothing_appears_twice_and_each_difference_is_one(running in any_config(), wanted in any_config()) {
        let mut seen = BTreeSet::new();
        for change in plan(&running, &wanted) {
            let (subject, differences) = told(&change);
            prop_assert!(seen.insert(subject), "{}", change);
            for Difference { key, from, to, .. } in differences {
                prop_assert_ne!(from, to, "{} in {}", key, change);
            }
        }
    }
}

/// What a change is about, and what it says of that.
fn told(change: &Change) -> (String, &[Difference]) {
    match change {
        Change::UpdateSpeaker(found)
        | Change::UpdateLog(found)
        | Change::UpdateBfd(found)
        | Change::UpdatePeer(_, found)
        | Change::RestartPeer(_, found)
        | Change::SwitchPeer(_, found)
        | Change::UpdateRange(_, found)
        | Change::UpdateBfdSession(_, found)
        | Change::RestartBfdSession(_, found)
        | Change::SwitchBfdSession(_, found)
        | Change::UpdateBfdRange(_, found)
        | Change::UpdatePool(_, found)
        | Change::UpdateService(_, found)
        | Change::NextStart(found) => (subject(change), found),
        _ => (subject(change), &[]),
    }
}

/// What stands before the colon, and none is in a name.
fn subject(change: &Change) -> String {
    let line = change.to_string();
    let (subject, _) = line.split_once(": ").unwrap();
    subject.to_owned()
}

#[test]
fn a_peer_that_is_switched_off_loses_its_session() {
    let peer = |keys: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[peer]]\nname = \"b\"\naddress = \"192.0.2.9\"\nremote-as = 64521\n{keys}"
        ))
    };
    let (on, off) = (peer(""), peer("enabled = false"));
    assert_eq!(
        words(&plan(&on, &off)),
        ["peer b: enabled true -> false, its session ends and stays down"]
    );
    assert_eq!(
        words(&plan(&off, &on)),
        ["peer b: enabled false -> true, its session begins"]
    );
}

#[test]
fn a_service_tells_which_addresses_come_and_go_and_that_arguments_do() {
    let service = |addresses: &str, argument: &str| {
        config(&format!(
            "[speaker]\nlocal-as = 64520\n[[service]]\nname = \"web\"\naddresses = [{addresses}]\n\
             health.exec = [\"/bin/sh\", \"-c\", \"{argument}\"]\n"
        ))
    };
    let before = service("\"192.0.2.150\", \"192.0.2.152\"", "secret");
    let after = service("\"192.0.2.151\", \"192.0.2.152\"", "other");
    let [told] = &words(&plan(&before, &after))[..] else {
        panic!("one step");
    };
    assert!(
        told.starts_with("service web: addresses +192.0.2.151 -192.0.2.150, and health check changes: check exec /bin/sh"),
        "{told}"
    );
    assert!(told.contains(" with other arguments; "), "{told}");
    assert!(!told.contains("secret") && !told.contains("->"), "{told}");

    let many: Vec<String> = (1..=9).map(|host| format!("\"192.0.2.{host}\"")).collect();
    let told = words(&plan(&after, &service(&many.join(","), "other")));
    assert_eq!(
        told,
        ["service web: addresses +9 -192.0.2.151 -192.0.2.152"]
    );
}
