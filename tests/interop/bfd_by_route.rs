//! How far an internal peer is, which may be anywhere: its route says so, and BFD has to follow.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::bfd_network::{Network, PROMPTLY, Path, Routers, TIMERS, active, ends};
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

const PATHS: [Path; 4] = [Path::V4, Path::V6, Path::FarV4, Path::FarV6];

fn session(herald: &Herald, name: &str) -> Value {
    let sessions = herald.show("bfd");
    let mut sessions = sessions.as_array().unwrap().iter();
    let found = sessions.find(|session| session["name"] == name);
    found.unwrap().clone()
}

/// The routers have single-hop sessions on the link and multihop sessions behind the gateway, and we no key that says so.
#[test]
fn an_internal_peer_is_as_far_as_its_route_says() {
    let Some(network) = Network::start(
        "an_internal_peer_is_as_far_as_its_route_says",
        &Routers::default(),
    ) else {
        return;
    };
    let mut config = network.config(TIMERS, &[], active);
    for (name, address) in PATHS.into_iter().flat_map(ends) {
        let _ = write!(
            config,
            "[[peer]]\nname = {name:?}\naddress = {address:?}\nremote-as = \"internal\"\nbfd-profile = \"active\"\n"
        );
    }
    // As while a host starts: who is on-link is there, and there is no way yet to anybody else.
    for family in ["-4", "-6"] {
        network.host.ip(&format!("{family} route del default"));
    }
    let herald = network.start_herald(&config);
    let decided = |path: Path, expected: (bool, &str)| {
        for (name, _) in ends(path) {
            let shown = session(&herald, &name);
            let because = shown["hops_because"].as_str().unwrap();
            assert_eq!((shown["multihop"] == true, because), expected, "{shown:#}");
        }
    };
    network.wait_until_up(&herald, &[Path::V4, Path::V6]);
    for path in [Path::V4, Path::V6] {
        decided(path, (false, "on-link"));
    }

    network.host.ip("route add default via 10.133.71.1");
    network.host.ip("route add default via 2001:db8:133:71::1");
    let before = network.wait_until_up(&herald, &PATHS);
    for path in Path::FAR {
        decided(path, (true, "not on-link"));
    }

    // A session that has been up has proved how far its neighbor is, whatever becomes of the route.
    let (name, address) = &ends(Path::FarV4)[0];
    network.host.ip(&format!("route add {address}/32 dev eth2"));
    wait_until("the route has led astray", PROMPTLY, || {
        let shown = session(&herald, name);
        // The router, which we still hear, says Down and takes us on to Init.
        ensure(shown["state"] != "Up", || format!("{shown:#}"))
    });
    thread::sleep(Duration::from_secs(3));
    decided(Path::FarV4, (true, "not on-link"));
    network.host.ip(&format!("route del {address}/32 dev eth2"));
    let after = network.wait_until_up(&herald, &PATHS);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.ours.local_discr, after.ours.local_discr);
        let downs = u64::from(after.name == *name);
        assert_eq!(after.ours.downs, downs, "{}", after.name);
    }
}
