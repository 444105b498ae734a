//! A host with `herald` and three routers, each of another make, on one Ethernet segment:
//!
//! ```text
//!   192.168.133.0/24, 2001:db8:133::/64
//!   ────┬───────────┬──────────┬──────────┬────
//!     FRR .1      BIRD .2   GoBGP .3    host .71   AS 64520
//!     AS 64521    AS 64522  AS 64523
//! ```

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::support::bird::Bird;
use super::support::daemon::{Herald, socket_in};
use super::support::frr::Frr;
use super::support::gobgp::Gobgp;
use super::support::router::{ReceivedRoute, Router};
use super::support::{Lab, Lan, Link, Namespace, ensure, wait_until};

/// The host's addresses.
pub(crate) const HOST_V4: &str = "192.168.133.71";
pub(crate) const HOST_V6: &str = "2001:db8:133::71";

/// The numbers in the addresses of FRR, BIRD and GoBGP.
pub(crate) const ROUTERS: [u8; 3] = [1, 2, 3];

/// What BIRD calls its session with the host.
pub(crate) const PROTOCOL: &str = "host";

/// What the sessions run over; either carries the routes of both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    V4,
    V6,
    /// Addresses that mean nothing without their interface (RFC 4291 §2.5.6).
    LinkLocal,
}

impl Transport {
    /// The address of the machine with this number, with its interface where that is part of it.
    pub(crate) fn address(self, number: u8) -> String {
        match self {
            Self::V4 => format!("192.168.133.{number}"),
            Self::V6 => format!("2001:db8:133::{number}"),
            Self::LinkLocal => format!("fe80::{number}%eth0"),
        }
    }

    /// As [`Self::address`], without the interface.
    fn bare_address(self, number: u8) -> String {
        self.address(number).replace("%eth0", "")
    }
}

/// How the routers are set up: [`Options::default`] is a session over IPv4 with both families.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub transport: Transport,
    /// The AS that FRR, BIRD and GoBGP expect of the host.
    pub host_as: [u32; 3],
    /// Lines about the neighbor in FRR's `router bgp`, `HOST` standing for its name.
    pub frr: &'static str,
    /// Options of BIRD's `protocol bgp`, each with its semicolon.
    pub bird: &'static str,
    /// Options of its IPv4 channel, and of its IPv6 channel.
    pub bird_channels: [&'static str; 2],
    /// Protocols beside it.
    pub bird_protocols: &'static str,
    /// Keys of GoBGP's `[neighbors.config]`.
    pub gobgp_config: &'static str,
    /// Tables of each of GoBGP's `[[neighbors.afi-safis]]`.
    pub gobgp_family: &'static str,
    /// Tables of GoBGP's `[[neighbors]]`, and neighbors beside it.
    pub gobgp: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: Transport::V4,
            host_as: [64520; 3],
            frr: "",
            bird: "",
            bird_channels: [""; 2],
            bird_protocols: "",
            gobgp_config: "",
            gobgp_family: "",
            gobgp: "",
        }
    }
}

/// The three routers and the host, which has no `herald` yet.
#[derive(Debug)]
pub(crate) struct Neighborhood {
    pub frr: Frr,
    pub bird: Bird,
    pub gobgp: Gobgp,
    pub host: Host,
    transport: Transport,
    _namespaces: [Namespace; 3],
    _lan: Lan,
    _lab: Lab,
}

/// Where `herald` runs.
#[derive(Debug)]
pub(crate) struct Host {
    pub namespace: Namespace,
    #[allow(dead_code, reason = "only the soak cuts it")]
    pub link: Link,
    directory: PathBuf,
}

impl Host {
    /// A file beside the daemon's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Neighborhood {
    /// Starts the routers, or says why this machine cannot: then the test is skipped.
    pub(crate) fn start(test: &str, options: &Options) -> Option<Self> {
        let lab = Lab::open(test)?;
        let lan = lab.lan("lan");
        let attach = |label: &str, number: u8| {
            let namespace = lab.namespace(label);
            // One link-local address, and that a known one.
            namespace.sysctl("net/ipv6/conf/default/addr_gen_mode", "1");
            let addresses = [
                format!("192.168.133.{number}/24"),
                format!("2001:db8:133::{number}/64"),
                format!("fe80::{number}/64"),
            ];
            let addresses = addresses.each_ref().map(String::as_str);
            let link = lan.attach(&namespace, "eth0", &addresses, &format!("to-{label}"));
            (namespace, link)
        };
        let [frr_at, bird_at, gobgp_at] =
            [("frr", 1), ("bird", 2), ("gobgp", 3)].map(|(label, number)| attach(label, number).0);
        let (host, link) = attach("host", 71);

        let configs = [
            frr_config(options),
            bird_config(options),
            gobgp_config(options),
        ];
        let (frr, bird, gobgp) = thread::scope(|scope| {
            let bird = scope.spawn(|| Bird::start(&lab, &bird_at, "bird", &configs[1]));
            let gobgp = scope.spawn(|| Gobgp::start(&lab, &gobgp_at, "gobgp", &configs[2]));
            let frr = Frr::start(&lab, &frr_at, "frr", &configs[0]);
            (frr, bird.join().unwrap(), gobgp.join().unwrap())
        });
        Some(Self {
            frr,
            bird,
            gobgp,
            host: Host {
                namespace: host,
                link,
                directory: lab.directory("herald"),
            },
            transport: options.transport,
            _namespaces: [frr_at, bird_at, gobgp_at],
            _lan: lan,
            _lab: lab,
        })
    }

    /// The routers, and what each of them calls the host.
    pub(crate) fn routers(&self) -> [(&dyn Router, String); 3] {
        let address = self.transport.bare_address(71);
        let gobgp = self.transport.address(71);
        [
            (&self.frr, address),
            (&self.bird, PROTOCOL.into()),
            (&self.gobgp, gobgp),
        ]
    }

    /// What `herald show peer` tells about its session with a router.
    #[track_caller]
    pub(crate) fn peer(herald: &Herald, router: &dyn Router) -> Value {
        let name = router.kind().to_lowercase();
        let shown = herald.command(&["show", "peer", &name, "-o", "json"]);
        serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error} in {shown:?}"))
    }

    /// Asserts that each session has come up once and is up.
    #[track_caller]
    pub(crate) fn assert_undisturbed(&self, herald: &Herald) {
        for (router, host) in self.routers() {
            router.ensure_established(&host).unwrap();
            let peer = Self::peer(herald, router);
            assert_eq!(peer["established_count"], 1, "{}: {peer:#}", router.kind());
        }
    }

    /// Starts `herald` on the host and waits for its three sessions.
    #[track_caller]
    pub(crate) fn start_herald(&self, config: &str) -> Herald {
        let herald = Herald::start(&self.host.namespace, &self.host.directory, config);
        self.wait_for_sessions();
        herald
    }

    /// The start of a configuration: `[speaker]`, `[api]` and a peer for each router, called by its name in small letters.
    ///
    /// `peer` is added to every peer.
    pub(crate) fn config(&self, peer: &str) -> String {
        let peers = [("frr", 1, 64521), ("bird", 2, 64522), ("gobgp", 3, 64523)].map(
            |(name, number, remote_as)| {
                let address = self.transport.address(number);
                format!(
                    "[[peer]]\nname = \"{name}\"\naddress = \"{address}\"\nremote-as = {remote_as}\n{peer}\n"
                )
            },
        );
        format!(
            "[speaker]
local-as = 64520
router-id = \"{HOST_V4}\"
state-dir = \"{state}\"

[api]
socket = \"{socket}\"

[peer-defaults]
connect-retry-time = \"1s\"

{peers}
",
            state = self.host.directory.join("state").display(),
            socket = socket_in(&self.host.directory).display(),
            peers = peers.join("\n"),
        )
    }

    #[track_caller]
    pub(crate) fn wait_for_sessions(&self) {
        for (router, host) in self.routers() {
            let what = format!("the session of {} is up", router.kind());
            wait_until(&what, Duration::from_secs(30), || {
                router.ensure_established(&host)
            });
        }
    }

    /// Waits until each router has exactly one path to a prefix; what it looks like there.
    #[track_caller]
    pub(crate) fn wait_for_route(&self, prefix: &str) -> [ReceivedRoute; 3] {
        self.routers().map(|(router, _)| {
            let what = format!("{} has {prefix}", router.kind());
            wait_until(&what, Duration::from_secs(30), || match <[_; 1]>::try_from(
                router.received(prefix),
            ) {
                Ok([route]) => Ok(route),
                Err(routes) => Err(format!("{routes:?}")),
            })
        })
    }

    /// Waits until no router has a path to a prefix.
    #[track_caller]
    pub(crate) fn wait_for_no_route(&self, prefix: &str) {
        for (router, _) in self.routers() {
            let what = format!("{} has lost {prefix}", router.kind());
            wait_until(&what, Duration::from_secs(30), || {
                let routes = router.received(prefix);
                ensure(routes.is_empty(), || format!("{routes:?}"))
            });
        }
    }
}

fn frr_config(options: &Options) -> String {
    let host = options.transport.bare_address(71);
    let interface = match options.transport {
        Transport::LinkLocal => " neighbor HOST interface eth0\n",
        Transport::V4 | Transport::V6 => "",
    };
    format!(
        "frr defaults traditional
hostname frr
log timestamp precision 3
debug bgp neighbor-events
!
router bgp 64521
 bgp router-id 192.168.133.1
 timers bgp 3 15
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor HOST remote-as {host_as}
 neighbor HOST timers connect 1
{interface}{more}
 address-family ipv4 unicast
  neighbor HOST activate
 exit-address-family
 address-family ipv6 unicast
  neighbor HOST activate
 exit-address-family
",
        host_as = options.host_as[0],
        more = options.frr
    )
    .replace("HOST", &host)
}

fn bird_config(options: &Options) -> String {
    let host = options.transport.address(71);
    format!(
        "router id 192.168.133.2;
protocol device {{}}
protocol bgp {PROTOCOL} {{
    local as 64522;
    neighbor {host} as {host_as};
    hold time 15;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
    ipv4 {{ import all; export none; {ipv4} }};
    ipv6 {{ import all; export none; {ipv6} }};
    {more}
}}
{protocols}
",
        host_as = options.host_as[1],
        protocols = options.bird_protocols,
        ipv4 = options.bird_channels[0],
        ipv6 = options.bird_channels[1],
        more = options.bird
    )
}

fn gobgp_config(options: &Options) -> String {
    let host = options.transport.address(71);
    format!(
        r#"[global.config]
as = 64523
router-id = "192.168.133.3"

[[neighbors]]
[neighbors.config]
neighbor-address = "{host}"
peer-as = {host_as}
{config}
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
hold-time = 15
keepalive-interval = 3
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
{family}
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
{family}
{more}
"#,
        host_as = options.host_as[2],
        config = options.gobgp_config,
        family = options.gobgp_family,
        more = options.gobgp
    )
}
