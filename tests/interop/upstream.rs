//! The upstream router: FRR, as a network engineer would set it up for hosts that announce services.

use std::time::Duration;

use super::support::frr::{BfdPeer, Frr, Neighbor};
use super::support::{Lab, ensure, routes, wait_until};
use super::topology::{Host, SERVICES, Topology, Transport};

/// FRR on the router, with both hosts as neighbors.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub frr: Frr,
    transport: Transport,
}

impl Upstream {
    pub(crate) fn start(lab: &Lab, topology: &Topology, transport: Transport) -> Self {
        let frr = Frr::start(
            lab,
            &topology.router,
            "router",
            &config(topology, transport),
        );
        Self { frr, transport }
    }

    /// A host as a BGP neighbor.
    #[track_caller]
    pub(crate) fn neighbor(&self, host: &Host) -> Neighbor {
        self.frr.neighbor(self.transport.of(host))
    }

    /// A host as a BFD peer.
    #[track_caller]
    pub(crate) fn bfd_peer(&self, host: &Host) -> BfdPeer {
        self.frr.bfd_peer(self.transport.of(host))
    }

    /// Waits until each host has a BGP and a BFD session that FRR will act upon.
    ///
    /// FRR 10.3 recreates its BFD session when BGP comes up, and disregards what BFD says in the same second as BGP's coming up.
    #[track_caller]
    pub(crate) fn wait_for_sessions(&self, hosts: &[&Host]) {
        for host in hosts {
            let what = |protocol| format!("{protocol} with {} is up", host.name());
            wait_until(&what("BGP"), Duration::from_secs(30), || {
                let neighbor = self.neighbor(host);
                neighbor.ensure_established()?;
                ensure(neighbor.uptime() >= Duration::from_secs(2), || {
                    format!("for {:?}", neighbor.uptime())
                })
            });
            wait_until(&what("BFD"), Duration::from_secs(30), || {
                self.bfd_peer(host).ensure_up()
            });
        }
    }
}

/// Waits until the kernel of the router sends each service to exactly these hosts.
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

fn config(topology: &Topology, transport: Transport) -> String {
    let for_each_host = |lines: &str| {
        topology
            .hosts
            .iter()
            .map(|host| lines.replace("HOST", &transport.of(host).to_string()))
            .collect::<String>()
    };
    let neighbors =
        for_each_host(" neighbor HOST peer-group hosts\n neighbor HOST bfd profile fast\n");
    let activated = for_each_host("  neighbor HOST next-hop-self\n  neighbor HOST activate\n");
    format!(
        "frr defaults traditional
hostname frr-upstream
log timestamp precision 3
debug bgp bfd
debug bfd peer
debug bfd zebra
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
