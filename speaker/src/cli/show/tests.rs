//! Every table and every page, with the longest that is legal in each place.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::status::DaemonStatus;

/// A name may have 64 characters.
const NAME: &str = "name-of-somebody-who-likes-long-names-and-uses-all-64-characters";
/// The longest that an address is, with the longest name that an interface has.
const ADDRESS: &str = "2001:db8:1234:5678:9abc:def0:1234:5678";
const LINK_LOCAL: &str = "fe80::1234:5678:9abc:def0%enp129s0f1np123";
const PREFIX: &str = "2001:db8:1234:5678:9abc:def0:1234:5678/128";
const CAUSE: &str = "received 6/2 Cease, Administrative Shutdown: \"somebody has written a text that is as long as a text can be\"";
const TIME: &str = "2026-11-22T18:46:01.123Z";

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// `value` with these instead of what it has.
fn with(mut value: Value, other: &[(&str, Value)]) -> Value {
    for (path, other) in other {
        let slot = value.pointer_mut(path);
        *slot.unwrap_or_else(|| panic!("nothing at {path}")) = other.clone();
    }
    value
}

/// One that has come from a range, at the end of the longest name that there can be.
fn long_peer() -> PeerStatus {
    let peer = serde_json::from_str(include_str!("peer/established.json")).unwrap();
    of(with(
        peer,
        &[
            ("/name", json!(format!("{NAME}@{ADDRESS}"))),
            ("/address", json!(LINK_LOCAL)),
            ("/description", json!(CAUSE)),
            ("/remote_as", json!(u32::MAX)),
            ("/local_as", json!(u32::MAX)),
            ("/state", json!("OpenConfirm")),
            ("/remote_hostname", json!(NAME)),
            ("/down_ms", json!(86_400_000_u64 * 9999)),
            ("/local_address", json!(format!("[{LINK_LOCAL}]:65535"))),
            ("/remote_address", json!(format!("[{LINK_LOCAL}]:65535"))),
            ("/families/0/advertised", json!(4_294_967_295_u64)),
            ("/families/0/next_hop", json!(ADDRESS)),
            ("/messages/sent/total", json!(u64::MAX)),
            ("/last_reset/cause", json!(CAUSE)),
            ("/bfd/name", json!(format!("{NAME}@{ADDRESS}"))),
            ("/bfd/remote", json!(LINK_LOCAL)),
            ("/bfd/profile", json!(NAME)),
            ("/bfd/state", json!("AdminDown")),
            ("/bfd/session/local_diag", json!("concatenated path down")),
            (
                "/bfd/session/remote_diag",
                json!("reverse concatenated path down"),
            ),
            ("/bfd/session/local_discr", json!(u32::MAX)),
        ],
    ))
}

fn long_routes() -> Vec<RouteStatus> {
    let peers = |number: usize| {
        let peer = |index: usize| {
            let state = if index.is_multiple_of(2) {
                "announced"
            } else {
                "no next hop"
            };
            json!({"peer": format!("{NAME}@{ADDRESS}"), "state": state,
                "advertisements": [NAME, NAME], "med": u32::MAX, "local_pref": u32::MAX, "as_path_prepend": 10,
                "communities": ["large:4294967295:4294967295:4294967295", "graceful-shutdown"],
                "next_hop": [ADDRESS], "atomic_aggregate": true, "aggregator": "4294967295 192.0.2.171"})
        };
        (0..number).map(peer).collect::<Vec<_>>()
    };
    of(json!([
        {"prefix": PREFIX, "service": NAME, "services": [NAME], "source": "file", "peers": peers(NAMED_PEERS)},
        {"prefix": PREFIX, "service": null, "services": vec![NAME; 1000], "source": "api", "peers": peers(64)},
        {"prefix": PREFIX, "service": null, "services": [], "source": "api", "peers": []},
    ]))
}

fn long_service() -> ServiceStatus {
    of(json!({
        "name": NAME, "addresses": [ADDRESS, ADDRESS, "192.0.2.150"], "pool": NAME,
        "lack": format!("no IPv4 address of pool {NAME} is free"),
        "hosted": [{"address": ADDRESS, "state": "missing", "interface": "enp129s0f1np123", "reason": CAUSE}],
        "source": "file", "state": "unhealthy",
        "health": {
            "cause": CAUSE, "since": TIME, "in_state_ms": u64::MAX / 2, "transitions": u64::MAX,
            "check": {
                "probe": format!("http http://[{ADDRESS}]:65535/{}", "long/".repeat(40)),
                "state": "unhealthy", "interval_ms": 86_399_999, "timeout_ms": 86_399_999, "fall": 255,
                "rise": 255, "successes_in_a_row": 0, "failures_in_a_row": u64::MAX, "successes": u64::MAX,
                "failures": u64::MAX, "timeouts": u64::MAX, "late": u64::MAX,
                "last": {"at": TIME, "ago_ms": u64::MAX / 2, "took_us": u64::MAX, "result": "failure", "text": CAUSE},
            },
            "bfd": {"bfd_session": NAME, "state": "unhealthy", "cause": CAUSE},
        },
        "announced_to": 10_000, "peers": 10_000, "unannounced": CAUSE,
        "lacking": [],
    }))
}

fn long_events() -> Vec<EventStatus> {
    let event = |who: &str, name: &str| {
        let mut event = json!({"id": u64::MAX, "at": TIME, "first_at": TIME, "count": u64::MAX, "kind": "failed",
            "subject": "service", "peer": null, "from": "OpenConfirm", "to": "Established", "cause": CAUSE,
            "text": ""});
        event[who] = json!(name);
        event
    };
    of(json!([
        event("peer", &format!("{NAME}@{ADDRESS}")),
        event("bfd_session", NAME),
        event("service", NAME),
        event("nobody", "")
    ]))
}

fn long_daemon() -> DaemonStatus {
    of(json!({
        "version": "10.20.30-rc.4", "started": TIME, "uptime_ms": u64::MAX / 2, "local_as": u32::MAX,
        "router_id": "255.255.255.255", "draining": "all",
        "bfd": {"realtime": "refused: the limit of RLIMIT_RTPRIO is 0, and there is no CAP_SYS_NICE",
            "lock_memory": "refused: the limit of RLIMIT_MEMLOCK is 65536, and there is no CAP_IPC_LOCK",
            "discarded": {"x": u64::MAX}, "dropped_late": 1_u64 << 60, "dropped_rejected": 1_u64 << 60, "dropped_echo": 1_u64 << 60},
        "privileges": {"held": ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_NICE", "CAP_IPC_LOCK"],
            "needed": [{"capability": "CAP_NET_BIND_SERVICE", "held": false,
                "reasons": [format!("[speaker] listen = \"[{ADDRESS}]:179\""), format!("[[peer]] {NAME:?}: password-file")]}],
            "no_new_privs": true},
        "hooks": [{"name": NAME, "runs": u64::MAX, "failures": u64::MAX, "timeouts": u64::MAX,
            "dropped": u64::MAX, "waiting": 10_000}],
    }))
}

/// What each of them writes.
fn all(wide: bool) -> Vec<(&'static str, String)> {
    let peer = long_peer();
    let session = || peer.bfd.clone().unwrap();
    let pools = of::<Vec<_>>(
        json!([{"name": NAME, "auto_assign": true, "avoid_buggy_ips": true, "families": [{
        "ip_family": "ipv6", "addresses": [format!("{ADDRESS}-{ADDRESS}"), PREFIX], "size": i64::MAX,
        "in_use": u32::MAX, "free": i64::MAX,
        "holders": [{"address": ADDRESS, "service": NAME, "holder": NAME, "assigned": false}]}]}]),
    );
    let received = of::<Vec<_>>(
        json!([{"prefix": PREFIX, "path_id": u32::MAX, "next_hop": ADDRESS,
        "link_local_next_hop": "fe80::1234:5678:9abc:def0", "origin": "incomplete", "as_path": vec![u32::MAX; 60],
        "med": u32::MAX, "local_pref": u32::MAX, "communities": vec!["large:4294967295:4294967295:4294967295"; 30],
        "other_attributes": ["AS_PATHLIMIT (21): 0102"], "stale": true, "long_lived_stale": true}]),
    );
    let advertised = of::<Vec<_>>(json!([{"prefix": PREFIX, "session_next_hop": ADDRESS,
        "communities": vec!["large:4294967295:4294967295:4294967295"; 30]}]));
    vec![
        ("status", status::page(&long_daemon())),
        ("peers", peers(std::slice::from_ref(&peer), wide)),
        ("bfd", bfd::table(&[session()], wide)),
        ("routes", routes(&long_routes(), wide)),
        ("advertised", advertised::routes(NAME, &advertised, wide)),
        ("received", received::routes(NAME, &received, wide)),
        ("services", services(&[long_service()], wide)),
        ("pools", pools::table(&pools, wide)),
        ("events", events(&long_events(), wide)),
        ("peer NAME", peer::page(&peer, &long_events())),
        ("bfd NAME", bfd::page(&session(), &long_events())),
        (
            "service NAME",
            service::page(&long_service(), &long_events()),
        ),
    ]
}

#[test]
fn everything_fits_80_columns() {
    for (what, text) in all(false) {
        for line in text.lines() {
            let columns = line.chars().count();
            // A page breaks no word, for it may be wanted elsewhere.
            let is_word = what.contains("NAME") && !line.trim().contains(' ');
            assert!(
                columns <= 80 || is_word,
                "show {what}: {columns}: {line}\n{text}"
            );
        }
    }
}

/// Half a number is another number.
#[test]
fn numbers_and_states_are_not_broken() {
    let all = all(false);
    let text = |what: &str| {
        all.iter()
            .find(|(name, _)| *name == what)
            .unwrap()
            .1
            .clone()
    };
    let (peers, bfd) = (text("peers"), text("bfd"));
    for word in ["4294967295", "OpenConfirm", "AdminDown", "9999d00h"] {
        assert!(peers.contains(word), "{word}:\n{peers}");
    }
    for word in ["AdminDown", "100ms/100ms", "500ms"] {
        assert!(bfd.contains(word), "{word}:\n{bfd}");
    }
}

#[test]
fn peers_tell_for_how_long_they_have_been_up_or_down() {
    let peer = |state: &str, down_ms: Value| -> PeerStatus {
        let peer = serde_json::from_str(include_str!("peer/established.json")).unwrap();
        of(with(
            peer,
            &[
                ("/state", json!(state)),
                ("/in_state_ms", json!(700)),
                ("/down_ms", down_ms),
            ],
        ))
    };
    assert_eq!(up_or_down(&peer("Established", json!(null))), "0.7s");
    // Connect and Active take turns every few seconds.
    assert_eq!(up_or_down(&peer("Active", json!(89_000))), "1m29s");
    assert_eq!(up_or_down(&peer("Connect", json!(null))), "never");
}

fn service(other: &[(&str, Value)]) -> ServiceStatus {
    let web = json!({
        "name": "web", "addresses": ["192.0.2.150"], "pool": null, "lack": null, "source": "file",
        "state": "healthy", "health": null, "announced_to": 1, "peers": 3, "unannounced": null,
        "lacking": [
            {"peer": "b", "prefix": "192.0.2.150/32", "state": "down", "reason": "its session is Active"},
            {"peer": "c", "prefix": "192.0.2.150/32", "state": "pending", "reason": "192.0.2.150/32 is on its way"},
        ],
    });
    of(with(web, other))
}

#[test]
fn those_who_have_not_got_a_service_are_named() {
    let page = service::page(&service(&[]), &[]);
    let expected = "  Announced     to 1 of 3 peers
                not to b: its session is Active
                not to c: 192.0.2.150/32 is on its way
";
    assert!(page.contains(expected), "{page}");
    let table = services(&[service(&[])], true);
    assert!(
        table.contains("1 of 3 peers, not b (down), c (pending)"),
        "{table}"
    );
}

#[test]
fn a_service_of_nobody_says_why() {
    let unhealthy = service(&[
        ("/state", json!("unhealthy")),
        ("/announced_to", json!(0)),
        ("/unannounced", json!("HTTP 503 after 3 failures")),
        ("/lacking", json!([])),
    ]);
    let page = service::page(&unhealthy, &[]);
    let expected = "  Announced     to nobody: HTTP 503 after 3 failures
                it is for 3 peers
";
    assert!(page.contains(expected), "{page}");
    let table = services(&[unhealthy], true);
    assert!(
        table.contains("nobody: HTTP 503 after 3 failures"),
        "{table}"
    );
    assert!(!table.contains("0 of"), "{table}");
}

/// Wide ones have a line for each thing, and no word of it broken.
#[test]
fn nothing_is_cut_where_it_may_be_wide() {
    for (what, text) in all(true) {
        if !what.contains("NAME") && what != "status" {
            let names = [NAME, ADDRESS];
            assert!(
                names.iter().any(|name| text.contains(name)),
                "show {what} -o wide:\n{text}"
            );
            assert!(!text.contains("  \n"), "show {what} -o wide:\n{text}");
        }
    }
}

#[test]
fn what_is_not_there_says_what_to_do() {
    for text in [
        peers(&[], false),
        bfd::table(&[], false),
        routes(&[], false),
        services(&[], false),
        pools::table(&[], false),
        advertised::routes("tor-a", &[], false),
        received::routes("tor-a", &[], false),
    ] {
        assert!(text.starts_with("no ") || text.starts_with("tor-a has no "));
        assert!(
            text.contains("add a [[") || text.contains("herald ") || text.contains("bfd-profile")
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn ages_have_two_units() {
    let cases = [
        (0, "0.0s"),
        (1_250, "1.2s"),
        (59_999, "59s"),
        (61_000, "1m01s"),
        (3_600_000, "1h00m"),
        (90_000_000, "1d01h"),
    ];
    for (ms, text) in cases {
        assert_eq!(age(ms), text);
    }
}

#[test]
fn what_is_not_said_to_all_is_told_with_those_to_whom_it_is() {
    let route = |prepended: [u8; 3]| -> RouteStatus {
        let peers = ["a", "b", "c"].iter().zip(prepended).map(|(peer, times)| {
            json!({
                "peer": peer, "state": "announced", "advertisements": [], "as_path_prepend": times
            })
        });
        let route = json!({
            "prefix": "192.0.2.0/24", "source": "file", "peers": peers.collect::<Vec<_>>()
        });
        serde_json::from_value(route).unwrap()
    };
    assert_eq!(attributes(&route([0, 0, 0])), "");
    assert_eq!(attributes(&route([3, 3, 3])), "prepend 3");
    assert_eq!(
        attributes(&route([0, 3, 0])),
        "nothing to a, c; prepend 3 to b"
    );
    assert_eq!(by(&route([0, 3, 0])), "");
}
