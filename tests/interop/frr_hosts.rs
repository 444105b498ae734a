//! The harness tested against itself: FRR on the hosts, where `herald` will be. What fails here is the harness.

use std::time::Duration;

use super::failover::fail_over;
use super::support::frr::Frr;
use super::support::{Lab, announce, http};
use super::topology::{Host, SERVICES, Topology, Transport, server_of};
use super::upstream::{Upstream, wait_for_routes};

#[test]
fn harness_sees_routes_move_under_load() {
    let Some(lab) = Lab::open_alone("harness_sees_routes_move_under_load") else {
        return;
    };
    let topology = Topology::build(&lab);
    let router = Upstream::start(&lab, &topology, Transport::V4);
    router.frr.configure(&[
        // FRR names its link-local next hop first, Herald has none.
        "route-map global permit 10",
        "set ipv6 next-hop prefer-global",
        "exit",
        "router bgp 64521",
        "neighbor hosts timers connect 1",
        "address-family ipv6 unicast",
        "neighbor hosts route-map global in",
    ]);
    let _speakers = topology.hosts.each_ref().map(|host| {
        Frr::start(
            &lab,
            &host.namespace,
            &format!("frr-{}", host.v4),
            &config(host),
        )
    });
    let [failing, kept] = &topology.hosts;

    router.wait_for_sessions(&[failing, kept]);
    wait_for_routes(&topology, &[failing, kept]);
    for service in SERVICES {
        let answers = http::survey(&topology.client, server_of(service), 10_000..10_100);
        for host in &topology.hosts {
            assert!(
                answers.values().any(|name| *name == host.name()),
                "{} answers some: {answers:?}",
                host.v4
            );
        }
    }

    let outcomes = fail_over(&topology, failing, kept, || failing.link.cut());
    for outcome in outcomes {
        announce(&format!("FRR at both ends, link cut: {outcome}"));
        assert!(
            outcome.failed_requests > 0,
            "the cut must hurt until it is noticed"
        );
        assert!(
            outcome.time_to_gone() < Duration::from_millis(500),
            "{outcome}"
        );
    }
    failing.link.restore();
    wait_for_routes(&topology, &[failing, kept]);
}

fn config(host: &Host) -> String {
    format!(
        "frr defaults traditional
hostname host
log timestamp precision 3
!
router bgp 64520
 bgp router-id {}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 192.168.133.1 remote-as 64521
 neighbor 192.168.133.1 bfd profile fast
 neighbor 192.168.133.1 timers connect 1
 !
 address-family ipv4 unicast
  network 192.168.133.150/32
  neighbor 192.168.133.1 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:133::150/128
  neighbor 192.168.133.1 activate
 exit-address-family
!
bfd
 profile fast
  detect-multiplier 3
  transmit-interval 50
  receive-interval 50
",
        host.v4
    )
}
