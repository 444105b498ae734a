//! FRR learns what services were given of a pool, and loses no session over it.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use super::pair::{BOTH, HOST_V4, HOST_V6, Pair, peer, wait_established};
use super::support::daemon::Herald;
use super::support::frr::Frr;
use super::support::{ensure, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn addresses_of_a_pool_move_and_come_back() {
    let Some(pair) = Pair::build("addresses_of_a_pool_move_and_come_back") else {
        return;
    };
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    let peers: String = [("v4", "ipv4"), ("v6", "ipv6")]
        .into_iter()
        .zip(BOTH)
        .map(|((name, family), (router, _))| {
            peer(name, router, &format!("families = [\"{family}-unicast\"]"))
        })
        .collect();
    let with_pool = |addresses: &str| {
        format!(
            "{peers}[[pool]]\nname = \"public\"\naddresses = [{addresses}, \"2001:db8:54::8/125\"]\n\
             [[service]]\nname = \"assigned\"\n"
        )
    };
    let mut herald = pair.herald(&with_pool("\"203.0.113.8/31\""));
    wait_up(&herald, &frr);
    wait_for(&frr, ["203.0.113.8/32", "2001:db8:54::8/128"]);

    herald.write_config(&pair.config(&with_pool("\"203.0.113.9-203.0.113.10\"")));
    herald.command(&["reload"]);
    wait_for(&frr, ["203.0.113.9/32", "2001:db8:54::8/128"]);
    for (_, host) in BOTH {
        let neighbor = frr.neighbor(host.parse().unwrap());
        assert_eq!(neighbor.messages("notificationsRecv"), 0);
    }

    // A lower one would be free from here on, and is not taken.
    herald.write_config(&pair.config(&with_pool("\"203.0.113.8-203.0.113.10\"")));
    herald.signal(Signal::KILL);
    herald.wait_exit(PATIENCE);
    let herald = pair.herald(&with_pool("\"203.0.113.8-203.0.113.10\""));
    wait_up(&herald, &frr);
    wait_for(&frr, ["203.0.113.9/32", "2001:db8:54::8/128"]);
}

#[track_caller]
fn wait_up(herald: &Herald, frr: &Frr) {
    for ((_, host), name) in BOTH.into_iter().zip(["v4", "v6"]) {
        wait_established(herald, frr, name, host);
    }
}

/// Waits until FRR has these prefixes, and those of the service with fixed addresses.
#[track_caller]
fn wait_for(frr: &Frr, assigned: [&str; 2]) {
    let fixed = ["192.0.2.1/32", "2001:db8:53::1/128"];
    let wanted: BTreeSet<String> = fixed
        .into_iter()
        .chain(assigned)
        .map(str::to_owned)
        .collect();
    wait_until(&format!("FRR has {assigned:?}"), PATIENCE, || {
        let learned: BTreeSet<String> = ["ipv4", "ipv6"]
            .into_iter()
            .flat_map(|family| prefixes(frr, family))
            .collect();
        ensure(learned == wanted, || format!("{learned:?}"))
    });
}

fn prefixes(frr: &Frr, family: &str) -> Vec<String> {
    let table = frr.vtysh_json(&format!("show bgp {family} unicast json"));
    let routes = table["routes"].as_object();
    routes
        .into_iter()
        .flat_map(|routes| routes.keys().cloned())
        .collect()
}
