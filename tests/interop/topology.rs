//! The network of the acceptance scenario:
//!
//! ```text
//!                                  192.168.133.0/24, 2001:db8:133::/64
//!   client .2 ──────────── .1 router .1 ───┬───────────┬─── the bridge
//!     198.51.100.0/24         AS 64521     │           │
//!     2001:db8:100::/64                 host .71    host .72    AS 64520, both with
//!                                                               192.168.133.150/32 and 2001:db8:133::150/128
//! ```

use std::net::{IpAddr, SocketAddr};

use super::support::http::Server;
use super::support::routes::NextHops;
use super::support::{Lab, Lan, Link, Namespace, namespace};

/// The service, in both families.
pub(crate) const SERVICE_V4: &str = "192.168.133.150";
pub(crate) const SERVICE_V6: &str = "2001:db8:133::150";
/// Their routes, as `ip route` writes them: a host route has no length.
pub(crate) const SERVICES: [&str; 2] = [SERVICE_V4, SERVICE_V6];

const HTTP: u16 = 80;

/// What the hosts' BGP and BFD sessions run over; either carries the routes of both families.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    V4,
    V6,
}

impl Transport {
    /// The router's address.
    pub(crate) fn router(self) -> &'static str {
        match self {
            Self::V4 => "192.168.133.1",
            Self::V6 => "2001:db8:133::1",
        }
    }

    /// A host's address.
    pub(crate) fn of(self, host: &Host) -> IpAddr {
        match self {
            Self::V4 => host.v4,
            Self::V6 => host.v6,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Topology {
    pub router: Namespace,
    pub client: Namespace,
    /// .71 and .72.
    pub hosts: [Host; 2],
    _lan: Lan,
}

/// A host that serves the service.
#[derive(Debug)]
pub(crate) struct Host {
    pub namespace: Namespace,
    pub v4: IpAddr,
    pub v6: IpAddr,
    pub link: Link,
    _server: Server,
}

impl Topology {
    pub(crate) fn build(lab: &Lab) -> Self {
        let lan = lab.lan("lan");
        let router = lab.namespace("router");
        let client = lab.namespace("client");
        router.become_router();
        lan.attach(
            &router,
            "eth0",
            &["192.168.133.1/24", "2001:db8:133::1/64"],
            "to-router",
        );
        namespace::connect(
            (&router, "eth1", &["198.51.100.1/24", "2001:db8:100::1/64"]),
            (&client, "eth0", &["198.51.100.2/24", "2001:db8:100::2/64"]),
        );
        client.ip("route add default via 198.51.100.1");
        client.ip("route add default via 2001:db8:100::1");
        let hosts = [Host::build(lab, &lan, 71), Host::build(lab, &lan, 72)];
        Self {
            router,
            client,
            hosts,
            _lan: lan,
        }
    }

    /// The next hops of a service's route when these hosts are announcing it.
    pub(crate) fn next_hops(service: &str, hosts: &[&Host]) -> NextHops {
        hosts.iter().map(|host| host.address(service)).collect()
    }
}

impl Host {
    fn build(lab: &Lab, lan: &Lan, number: u8) -> Self {
        let (v4, v6) = (
            format!("192.168.133.{number}"),
            format!("2001:db8:133::{number}"),
        );
        let namespace = lab.namespace(&format!("host{number}"));
        let link = lan.attach(
            &namespace,
            "eth0",
            &[&format!("{v4}/24"), &format!("{v6}/64")],
            &format!("to-host{number}"),
        );
        namespace.ip("route add default via 192.168.133.1");
        namespace.ip("route add default via 2001:db8:133::1");
        namespace.add_address("lo", &format!("{SERVICE_V4}/32"));
        namespace.add_address("lo", &format!("{SERVICE_V6}/128"));
        let server = Server::start(
            &namespace,
            &[server_of(SERVICE_V4), server_of(SERVICE_V6)],
            &v4,
        );
        Self {
            namespace,
            v4: v4.parse().unwrap(),
            v6: v6.parse().unwrap(),
            link,
            _server: server,
        }
    }

    /// The address of this host in the family of a service.
    pub(crate) fn address(&self, service: &str) -> IpAddr {
        if service.contains(':') {
            self.v6
        } else {
            self.v4
        }
    }

    /// What the HTTP server behind the service says on this host.
    pub(crate) fn name(&self) -> String {
        self.v4.to_string()
    }
}

/// Where the client asks for a service.
pub(crate) fn server_of(service: &str) -> SocketAddr {
    SocketAddr::new(service.parse().unwrap(), HTTP)
}
