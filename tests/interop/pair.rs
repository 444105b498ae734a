//! Two hosts on one cable: FRR in AS 64521 at .1, Herald in AS 64520 at .2.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::support::daemon::{Herald, socket_in};
use super::support::frr::Frr;
use super::support::{Lab, Namespace, ensure, namespace, wait_until};

pub(crate) const ROUTER_V4: &str = "10.10.0.1";
pub(crate) const ROUTER_V6: &str = "2001:db8:10::1";
pub(crate) const HOST_V4: &str = "10.10.0.2";
pub(crate) const HOST_V6: &str = "2001:db8:10::2";
/// Both as (the router's, the host's).
pub(crate) const BOTH: [(&str, &str); 2] = [(ROUTER_V4, HOST_V4), (ROUTER_V6, HOST_V6)];

/// How long a session may take to come up.
pub(crate) const COMES_UP: Duration = Duration::from_secs(30);
/// For how long one looks whether something does not happen.
pub(crate) const STAYS_AWAY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Pair {
    pub lab: Lab,
    pub router: Namespace,
    pub host: Namespace,
}

impl Pair {
    /// `None` where there is no laboratory.
    pub(crate) fn build(test: &str) -> Option<Self> {
        let lab = Lab::open(test)?;
        let (router, host) = (lab.namespace("router"), lab.namespace("host"));
        namespace::connect(
            (&router, "eth0", &["10.10.0.1/24", "2001:db8:10::1/64"]),
            (&host, "eth0", &["10.10.0.2/24", "2001:db8:10::2/64"]),
        );
        Some(Self { lab, router, host })
    }

    /// FRR with these lines about its neighbors, and every one of `activated` activated.
    #[track_caller]
    pub(crate) fn frr(&self, neighbors: &[String], activated: &[&str]) -> Frr {
        let config = frr_config(neighbors, activated);
        Frr::start(&self.lab, &self.router, "router", &config)
    }

    /// Where the daemon's files are.
    pub(crate) fn directory(&self) -> PathBuf {
        self.lab.directory("herald")
    }

    #[track_caller]
    pub(crate) fn herald(&self, peers: &str) -> Herald {
        Herald::start(&self.host, &self.directory(), &self.config(peers))
    }

    /// A configuration with these peers and a service in both families.
    pub(crate) fn config(&self, peers: &str) -> String {
        herald_config(&self.directory(), peers)
    }
}

/// FRR with these lines about its neighbors, and every one of `activated` activated.
pub(crate) fn frr_config(neighbors: &[String], activated: &[&str]) -> String {
    let activated = activated
        .iter()
        .map(|neighbor| format!("  neighbor {neighbor} activate\n"))
        .collect::<String>();
    let neighbors = neighbors
        .iter()
        .map(|line| format!(" neighbor {line}\n"))
        .collect::<String>();
    format!(
        "frr defaults traditional
hostname frr
log timestamp precision 3
debug bgp neighbor-events
!
router bgp 64521
 bgp router-id 10.10.0.1
 timers bgp 3 9
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
{neighbors} !
 address-family ipv4 unicast
{activated} exit-address-family
 address-family ipv6 unicast
{activated} exit-address-family
"
    )
}

/// A configuration with these peers and a service in both families.
pub(crate) fn herald_config(directory: &Path, peers: &str) -> String {
    format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"10.10.0.2\"\nlisten = [\"0.0.0.0:179\", \"[::]:179\"]\n\
         state-dir = {:?}\n[api]\nsocket = {:?}\n\
         [peer-defaults]\nconnect-retry-time = \"2s\"\nhold-time = \"9s\"\n{peers}\n\
         [[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\", \"2001:db8:53::1\"]\n",
        directory.join("state"),
        socket_in(directory),
    )
}

/// A `[[peer]]` of AS 64521.
pub(crate) fn peer(name: &str, address: &str, keys: &str) -> String {
    format!("[[peer]]\nname = {name:?}\naddress = {address:?}\nremote-as = 64521\n{keys}\n")
}

/// What the daemon tells of one peer.
#[track_caller]
pub(crate) fn status(herald: &Herald, name: &str) -> Value {
    let peers = herald.show("peers");
    let mut peer = peers.as_array().unwrap().iter();
    let found = peer.find(|peer| peer["name"] == name).cloned();
    found.unwrap_or_default()
}

#[track_caller]
pub(crate) fn wait_established(herald: &Herald, frr: &Frr, name: &str, address: &str) {
    let address: IpAddr = address.parse().unwrap();
    wait_until(&format!("{name} is up"), COMES_UP, || {
        frr.neighbor(address).ensure_established()?;
        let status = status(herald, name);
        ensure(status["state"] == "Established", || {
            format!("{:#}", status["last_reset"])
        })
    });
}

/// Looks for a while whether sessions come up that must not: their names, and what FRR calls them.
#[track_caller]
pub(crate) fn assert_stay_down(herald: &Herald, frr: &Frr, sessions: &[(&str, &str)]) {
    std::thread::sleep(STAYS_AWAY);
    for (name, address) in sessions {
        assert_ne!(
            frr.neighbor(address.parse().unwrap()).state(),
            "Established"
        );
        let status = status(herald, name);
        assert_ne!(status["state"], "Established");
        assert_eq!(status["established_count"], 0);
    }
}
