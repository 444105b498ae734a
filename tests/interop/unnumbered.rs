//! Neighbors that find each other by router advertisements, on links without any configured address.

use std::time::Duration;

use super::pair::{COMES_UP, frr_config, herald_config, status};
use super::support::daemon::Herald;
use super::support::frr::Frr;
use super::support::{Lab, Namespace, ensure, namespace, wait_until};

const PEER: &str = "[[peer]]\nname = \"other\"\ninterface = \"eth0\"\nremote-as = \"external\"\nbfd-profile = \"default\"\n";

/// FRR with `neighbor eth0 interface remote-as external`: sessions of BGP and BFD, routes of both families, and all of it again after the
/// link was down.
#[test]
fn unnumbered_with_frr() {
    let Some(lab) = Lab::open("unnumbered_with_frr") else {
        return;
    };
    let (router, host) = (lab.namespace("router"), lab.namespace("host"));
    namespace::connect((&router, "eth0", &[]), (&host, "eth0", &[]));
    router.become_router();
    let neighbors = ["interface remote-as external", "timers connect 1", "bfd"];
    let neighbors = neighbors.map(|line| format!("eth0 {line}"));
    let frr = Frr::start(&lab, &router, "router", &frr_config(&neighbors, &["eth0"]));
    let directory = lab.directory("herald");
    let herald = Herald::start(&host, &directory, &herald_config(&directory, PEER));
    wait_for_session(&herald, &frr);
    let transport = &status(&herald, "other")["transport"];
    assert_eq!(transport["interface"], "eth0");
    assert!(
        transport["neighbor"]
            .as_str()
            .unwrap()
            .starts_with("fe80::"),
        "{transport}"
    );
    wait_for_routes(&frr);

    host.ip("link set eth0 down");
    wait_until("the session is gone", COMES_UP, || {
        let state = status(&herald, "other")["state"].clone();
        ensure(state != "Established", || state.to_string())
    });
    host.ip("link set eth0 up");
    wait_for_session(&herald, &frr);
    wait_for_routes(&frr);
}

/// Two of us; one has no interface at first.
#[test]
fn two_heralds_find_each_other() {
    let Some(lab) = Lab::open("two_heralds_find_each_other") else {
        return;
    };
    let namespaces = ["left", "right"].map(|label| lab.namespace(label));
    let start = |namespace: &Namespace, label: &str, local_as: u32| {
        let directory = lab.directory(label);
        let config = herald_config(&directory, PEER)
            .replace("local-as = 64520", &format!("local-as = {local_as}"))
            .replace("10.10.0.2", &format!("10.10.0.{}", local_as - 64500));
        Herald::start(namespace, &directory, &config)
    };
    let heralds = [
        start(&namespaces[0], "left", 64520),
        start(&namespaces[1], "right", 64521),
    ];
    let hint = &status(&heralds[0], "other")["transport"]["hints"][0];
    assert!(
        hint.as_str()
            .unwrap()
            .contains("there is no interface eth0"),
        "{hint}"
    );
    let waiting = status(&heralds[0], "other");
    assert_ne!(waiting["bfd"]["state"], "Failed", "{:#}", waiting["bfd"]);

    for _ in 0..2 {
        namespace::connect((&namespaces[0], "eth0", &[]), (&namespaces[1], "eth0", &[]));
        for herald in &heralds {
            wait_until("both sessions are up", COMES_UP, || {
                let status = status(herald, "other");
                let states = (&status["state"], &status["bfd"]["state"]);
                ensure(states.0 == "Established" && states.1 == "Up", || {
                    format!("{states:?} {:#}", status["transport"])
                })
            });
        }
        // Then it comes anew, with another index and another address.
        namespaces[0].ip("link del eth0");
        wait_until("the session is gone", COMES_UP, || {
            let state = status(&heralds[0], "other")["state"].clone();
            ensure(state != "Established", || state.to_string())
        });
    }
}

#[track_caller]
fn wait_for_session(herald: &Herald, frr: &Frr) {
    wait_until("the sessions are up", Duration::from_secs(40), || {
        let status = status(herald, "other");
        let neighbor = frr.vtysh_json("show bgp neighbors eth0 json");
        let states = (
            &status["state"],
            &status["bfd"]["state"],
            &neighbor["eth0"]["bgpState"],
        );
        let up = states.0 == "Established" && states.1 == "Up" && states.2 == "Established";
        ensure(up, || {
            format!(
                "{states:?} {:#} {:#}",
                status["transport"], status["last_reset"]
            )
        })
    });
}

/// IPv4 too has a link-local next hop (RFC 8950).
#[track_caller]
fn wait_for_routes(frr: &Frr) {
    for (family, prefix) in [("ipv4", "192.0.2.1/32"), ("ipv6", "2001:db8:53::1/128")] {
        wait_until(prefix, Duration::from_secs(30), || {
            let route = frr.vtysh_json(&format!("show bgp {family} unicast {prefix} json"));
            let next_hops = route["paths"][0]["nexthops"].as_array();
            let mut next_hops = next_hops.into_iter().flatten();
            let is_ours = next_hops.any(|next_hop| {
                let ip = next_hop["ip"].as_str().unwrap_or_default();
                ip.starts_with("fe80::")
            });
            ensure(is_ours && route["paths"][0]["valid"] == true, || {
                format!("{route:#}")
            })
        });
    }
}
