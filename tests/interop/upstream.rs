//! The upstream router: FRR, as a network engineer would set it up for hosts that announce services.

use std::time::Duration;

use super::support::frr::Frr;
use super::support::{Lab, routes, wait_until};
use super::topology::{Host, SERVICES, Topology};

/// Starts FRR on the router, with both hosts as neighbors.
pub(crate) fn start(lab: &Lab, topology: &Topology) -> Frr {
    Frr::start(lab, &topology.router, "router", &config(topology))
}

/// Waits until each host has a BGP and a BFD session.
#[track_caller]
pub(crate) fn wait_for_sessions(router: &Frr, hosts: &[&Host]) {
    for host in hosts {
        let what = |protocol| format!("{protocol} with {} is up", host.v4);
        wait_until(&what("BGP"), Duration::from_secs(30), || {
            router.neighbor(host.v4).ensure_established()
        });
        wait_until(&what("BFD"), Duration::from_secs(10), || {
            router.bfd_peer(host.v4).ensure_up()
        });
    }
}

/// Waits until the kernel sends each service to exactly these hosts.
#[track_caller]
pub(crate) fn wait_for_routes(topology: &Topology, hosts: &[&Host]) {
    for service in SERVICES {
        routes::wait_for(
            &topology.router,
            service,
            &Topology::next_hops(service, hosts),
            Duration::from_secs(30),
        );
        assert_eq!(
            routes::count(&topology.router, service),
            1,
            "one equal-cost route"
        );
    }
}

fn config(topology: &Topology) -> String {
    let for_each_host = |lines: &str| {
        topology
            .hosts
            .iter()
            .map(|host| lines.replace("HOST", &host.v4.to_string()))
            .collect::<String>()
    };
    let neighbors =
        for_each_host(" neighbor HOST peer-group hosts\n neighbor HOST bfd profile fast\n");
    let activated = for_each_host("  neighbor HOST next-hop-self\n  neighbor HOST activate\n");
    format!(
        "frr defaults traditional
hostname frr-upstream
log timestamp precision 3
debug bgp neighbor-events
debug bfd peer
ip forwarding
ipv6 forwarding
!
router bgp 64521
 bgp router-id 192.168.133.1
 timers bgp 3 15
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor hosts peer-group
 neighbor hosts remote-as 64520
{neighbors} !
 address-family ipv4 unicast
{activated} exit-address-family
 address-family ipv6 unicast
{activated} exit-address-family
!
bfd
 profile fast
  detect-multiplier 3
  transmit-interval 50
  receive-interval 50
"
    )
}
