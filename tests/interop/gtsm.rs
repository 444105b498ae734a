//! GTSM (RFC 5082) with FRR at the other end.

use super::pair::{
    BOTH, HOST_V4, HOST_V6, Pair, ROUTER_V4, ROUTER_V6, assert_stay_down, peer, status,
    wait_established,
};
use super::support::namespace;
use super::support::{Lab, Namespace};

/// FRR connects to us and we to FRR, in both families.
#[test]
fn c_112_gtsm_with_frr() {
    let Some(pair) = Pair::build("c_112_gtsm_with_frr") else {
        return;
    };
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} ttl-security hops 1"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    // First FRR alone connects, then we alone.
    for keys in ["passive = true", "passive = false"] {
        if keys == "passive = false" {
            frr.configure(&[
                "router bgp 64521",
                &format!("neighbor {HOST_V4} passive"),
                &format!("neighbor {HOST_V6} passive"),
            ]);
        }
        let peers =
            BOTH.map(|(router, _)| peer(router, router, &format!("ttl-security = 1\n{keys}")));
        let herald = pair.herald(&peers.concat());
        for (router, host) in BOTH {
            wait_established(&herald, &frr, router, host);
            let transport = &status(&herald, router)["transport"];
            assert_eq!(transport["minimum_ttl"], 255);
            assert!(transport["hints"].as_array().unwrap().is_empty());
        }
    }
}

/// FRR does not send 255: the kernel drops what it says, and the page says why.
#[test]
fn c_112_a_neighbor_without_gtsm_is_not_heard() {
    let Some(pair) = Pair::build("c_112_a_neighbor_without_gtsm_is_not_heard") else {
        return;
    };
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    let peers = BOTH.map(|(router, _)| peer(router, router, "ttl-security = 1"));
    let herald = pair.herald(&peers.concat());
    assert_stay_down(&herald, &frr, &BOTH);
    for (router, _) in BOTH {
        let status = status(&herald, router);
        let hint = status["transport"]["hints"][0].as_str();
        let hint = hint.unwrap_or_else(|| panic!("a hint: {status:#}"));
        assert!(hint.contains("TTL of 255 and more"), "{hint}");
        assert!(!hint.contains("dropped 0 TCP segments"), "{hint}");
    }
}

/// A router between: one hop is too few, two are enough.
#[test]
fn c_112_a_neighbor_farther_than_allowed_is_not_heard() {
    let Some(lab) = Lab::open("c_112_a_neighbor_farther_than_allowed_is_not_heard") else {
        return;
    };
    let (pair, _between) = far_apart(lab);
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} ttl-security hops 2"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    let peers = |hops: u8| {
        BOTH.map(|(router, _)| peer(router, router, &format!("ttl-security = {hops}")))
            .concat()
    };
    let herald = pair.herald(&peers(1));
    assert_stay_down(&herald, &frr, &BOTH);
    let hint = &status(&herald, ROUTER_V4)["transport"]["hints"][0];
    assert!(hint.is_string(), "why is said");
    herald.write_config(&pair.config(&peers(2)));
    herald.command(&["reload"]);
    for (router, host) in BOTH {
        wait_established(&herald, &frr, router, host);
    }
}

/// The pair's addresses, on loopbacks with a router between.
fn far_apart(lab: Lab) -> (Pair, Namespace) {
    let (router, between, host) = (
        lab.namespace("router"),
        lab.namespace("between"),
        lab.namespace("host"),
    );
    between.become_router();
    namespace::connect(
        (&router, "eth0", &["10.1.0.1/24", "2001:db8:1::1/64"]),
        (&between, "eth0", &["10.1.0.9/24", "2001:db8:1::9/64"]),
    );
    namespace::connect(
        (&host, "eth0", &["10.2.0.2/24", "2001:db8:2::2/64"]),
        (&between, "eth1", &["10.2.0.9/24", "2001:db8:2::9/64"]),
    );
    for (namespace, own, other, v4, v6) in [
        (
            &router,
            (ROUTER_V4, ROUTER_V6),
            (HOST_V4, HOST_V6),
            "10.1.0.9",
            "2001:db8:1::9",
        ),
        (
            &host,
            (HOST_V4, HOST_V6),
            (ROUTER_V4, ROUTER_V6),
            "10.2.0.9",
            "2001:db8:2::9",
        ),
    ] {
        namespace.add_address("lo", &format!("{}/32", own.0));
        namespace.add_address("lo", &format!("{}/128", own.1));
        namespace.ip(&format!("route add {} via {v4} src {}", other.0, own.0));
        namespace.ip(&format!("route add {} via {v6} src {}", other.1, own.1));
    }
    between.ip(&format!("route add {ROUTER_V4} via 10.1.0.1"));
    between.ip(&format!("route add {ROUTER_V6} via 2001:db8:1::1"));
    between.ip(&format!("route add {HOST_V4} via 10.2.0.2"));
    between.ip(&format!("route add {HOST_V6} via 2001:db8:2::2"));
    (Pair { lab, router, host }, between)
}
