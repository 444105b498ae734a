//! A host with `herald`, FRR and BIRD, which have BFD sessions with it over each kind of path:
//!
//! ```text
//!   eth0  192.168.133.N/24, 2001:db8:133::N/64, fe80::N      one segment
//!   eth1  fe80::N                                            another, where the host is fe80::72
//!   eth2  10.133.N.2/24, 2001:db8:133:N::2/64                each to a router in the middle
//!
//!   N: FRR 1, BIRD 2, the host 71
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::support::bfd::{self, BfdRouter, BfdSession, Parameters};
use super::support::bird::Bird;
use super::support::daemon::{Herald, socket_in};
use super::support::frr::Frr;
use super::support::{Lab, Lan, Namespace, ensure, namespace, wait_until};

/// What everybody asks for unless a test says otherwise.
pub(crate) const TIMERS: Parameters = Parameters::new(100, 100, 5);

/// How long anything may take that takes no more than a second or two on a machine with nothing else to do.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(30);

/// What a session runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Path {
    V4,
    V6,
    /// Over `eth0`.
    LinkLocal,
    /// To the same address of the router's, over `eth1`.
    OtherLinkLocal,
    /// Through the router in the middle.
    FarV4,
    FarV6,
}

impl Path {
    pub(crate) const ALL: [Self; 6] = [
        Self::V4,
        Self::V6,
        Self::LinkLocal,
        Self::OtherLinkLocal,
        Self::FarV4,
        Self::FarV6,
    ];

    pub(crate) const BGP: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) const FAR: [Self; 2] = [Self::FarV4, Self::FarV6];

    /// The interface of each of the three that it leaves by.
    pub(crate) fn device(self) -> &'static str {
        match self {
            Self::V4 | Self::V6 | Self::LinkLocal => "eth0",
            Self::OtherLinkLocal => "eth1",
            Self::FarV4 | Self::FarV6 => "eth2",
        }
    }

    /// The address of one of them.
    fn address(self, number: u8) -> String {
        match self {
            Self::V4 => format!("192.168.133.{number}"),
            Self::V6 => format!("2001:db8:133::{number}"),
            Self::OtherLinkLocal if number == HOST => "fe80::72".into(),
            Self::LinkLocal | Self::OtherLinkLocal => format!("fe80::{number}"),
            Self::FarV4 => format!("10.133.{number}.2"),
            Self::FarV6 => format!("2001:db8:133:{number}::2"),
        }
    }

    /// As [`Self::address`], with its interface where that is part of it.
    fn scoped(self, number: u8) -> String {
        match self {
            Self::LinkLocal | Self::OtherLinkLocal => {
                format!("{}%{}", self.address(number), self.device())
            }
            _ => self.address(number),
        }
    }

    pub(crate) fn host(self) -> IpAddr {
        self.address(HOST).parse().unwrap()
    }

    fn label(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::LinkLocal => "link-local",
            Self::OtherLinkLocal => "other-link-local",
            Self::FarV4 => "far-v4",
            Self::FarV6 => "far-v6",
        }
    }
}

/// What `herald` calls the sessions over a path, and where they lead to.
pub(crate) fn ends(path: Path) -> [(String, String); 2] {
    [FRR, BIRD].map(|(router, number, _)| (session_name(router, path), path.scoped(number)))
}

const HOST: u8 = 71;
const FRR: (&str, u8, u32) = ("frr", 1, 64521);
const BIRD: (&str, u8, u32) = ("bird", 2, 64522);

/// What the routers do besides having BFD sessions with these timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routers {
    pub timers: Parameters,
    /// The interfaces whose sessions are passive.
    pub passive: &'static [&'static str],
    pub bgp: Bgp,
}

/// What the routers have of BGP, over [`Path::BGP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bgp {
    None,
    /// Sessions that know nothing of BFD.
    Beside,
    /// Sessions that follow their BFD sessions. There are no others then.
    Bound,
}

impl Default for Routers {
    fn default() -> Self {
        Self {
            timers: TIMERS,
            passive: &[],
            bgp: Bgp::None,
        }
    }
}

/// The two routers and the host, which has no `herald` yet.
#[derive(Debug)]
pub(crate) struct Network {
    pub frr: Frr,
    pub bird: Bird,
    pub host: Namespace,
    /// Between the ends of [`Path::FAR`]; its interfaces are `to-frr`, `to-bird` and `to-host`.
    pub middle: Namespace,
    directory: PathBuf,
    _routers: [Namespace; 2],
    _lans: [Lan; 2],
    _lab: Lab,
}

/// A session as both ends see it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// What `herald` calls it, e.g. `frr-v4`.
    pub name: String,
    /// `frr` or `bird`.
    pub router: &'static str,
    pub ours: BfdSession,
    pub theirs: BfdSession,
}

impl Seen {
    /// Each end is in this state for this reason.
    pub(crate) fn are(&self, ours: (&str, u8), theirs: (&str, u8)) -> Result<(), String> {
        self.ours.is_for(ours.0, ours.1)?;
        self.theirs.is_for(theirs.0, theirs.1)
    }

    /// Both are down, or on their way from there, for these reasons. BIRD forgets its own as it goes on to Init.
    pub(crate) fn are_lost(&self, ours: u8, theirs: u8) -> Result<(), String> {
        self.ours.is_lost(ours)?;
        match (self.router, self.theirs.state.as_str()) {
            ("bird", "Init") => Ok(()),
            _ => self.theirs.is_lost(theirs),
        }
    }

    /// Both are up, and each knows the other's discriminator.
    pub(crate) fn are_up(&self) -> Result<(), String> {
        self.ours.is_up()?;
        self.theirs.is_up()?;
        let know = |one: &BfdSession, other: &BfdSession| one.remote_discr == other.local_discr;
        ensure(
            know(&self.ours, &self.theirs) && know(&self.theirs, &self.ours),
            || format!("discriminators: {self:?}"),
        )
    }

    /// Both are up with these timers of ours and these of theirs.
    pub(crate) fn have_agreed(&self, ours: Parameters, theirs: Parameters) -> Result<(), String> {
        self.are_up()?;
        let asked = (self.ours.local, self.theirs.local) == (ours, theirs);
        let heard = (self.theirs.remote, self.ours.remote) == (ours, theirs);
        ensure(asked && heard, || format!("{self:?}"))
    }
}

impl Network {
    /// Starts the routers, or says why this machine cannot: then the test is skipped.
    pub(crate) fn start(test: &str, routers: &Routers) -> Option<Self> {
        let lab = Lab::open(test)?;
        let lans = ["lan0", "lan1"].map(|label| lab.lan(label));
        let middle = lab.namespace("middle");
        middle.become_router();
        let attach = |label: &str, number: u8| {
            let namespace = lab.namespace(label);
            // The link-local addresses are those that are given.
            namespace.sysctl("net/ipv6/conf/default/addr_gen_mode", "1");
            let near = [Path::V4, Path::V6, Path::LinkLocal];
            let near = near.map(|path| on_link(path, number));
            let near = near.each_ref().map(String::as_str);
            let port = format!("to-{label}");
            lans[0].attach(&namespace, "eth0", &near, &port);
            let other = on_link(Path::OtherLinkLocal, number);
            lans[1].attach(&namespace, "eth1", &[&other], &port);
            let far = Path::FAR.map(|path| on_link(path, number));
            let gateways = [
                format!("10.133.{number}.1"),
                format!("2001:db8:133:{number}::1"),
            ];
            let at_middle = [format!("{}/24", gateways[0]), format!("{}/64", gateways[1])];
            namespace::connect(
                (&namespace, "eth2", &far.each_ref().map(String::as_str)),
                (&middle, &port, &at_middle.each_ref().map(String::as_str)),
            );
            for gateway in &gateways {
                namespace.ip(&format!("route add default via {gateway}"));
            }
            namespace
        };
        let [frr_at, bird_at] = [FRR, BIRD].map(|(label, number, _)| attach(label, number));
        let host = attach("host", HOST);

        let (frr, bird) = thread::scope(|scope| {
            let config = bird_config(routers);
            let (lab, bird_at) = (&lab, &bird_at);
            let bird = scope.spawn(move || Bird::start(lab, bird_at, "bird", &config));
            let frr = Frr::start(lab, &frr_at, "frr", &frr_config(routers));
            (frr, bird.join().unwrap())
        });
        Some(Self {
            frr,
            bird,
            host,
            middle,
            directory: lab.directory("herald"),
            _routers: [frr_at, bird_at],
            _lans: lans,
            _lab: lab,
        })
    }

    pub(crate) fn routers(&self) -> [&dyn BfdRouter; 2] {
        [&self.frr, &self.bird]
    }

    /// A configuration with a session for each router and path, with the keys that `keys` gives for its name, and the profiles
    /// `active` and `passive` with these timers. Over [`Path::BGP`] it is a peer's, over the others it is there without BGP.
    pub(crate) fn config(
        &self,
        timers: Parameters,
        paths: &[Path],
        keys: impl Fn(&str, Path) -> String,
    ) -> String {
        let mut config = format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"10.133.71.2\"\nlisten = [\"0.0.0.0:179\", \"[::]:179\"]\nstate-dir = {:?}\n\
             [bfd]\nrealtime = true\n[api]\nsocket = {:?}\n\
             [peer-defaults]\nconnect-retry-time = \"1s\"\nhold-time = \"30s\"\n",
            self.directory.join("state"),
            socket_in(&self.directory),
        );
        for (name, passive) in [("active", false), ("passive", true)] {
            let _ = write!(
                config,
                "[[bfd-profile]]\nname = {name:?}\ntransmit-interval = \"{}ms\"\nreceive-interval = \"{}ms\"\n\
                 detect-multiplier = {}\npassive-mode = {passive}\n",
                timers.desired_min_tx_interval.as_millis(),
                timers.required_min_rx_interval.as_millis(),
                timers.detect_mult,
            );
        }
        for (router, number, remote_as) in [FRR, BIRD] {
            for path in paths {
                let name = session_name(router, *path);
                let (address, keys) = (path.scoped(number), keys(&name, *path));
                let _ = if Path::BGP.contains(path) {
                    write!(
                        config,
                        "[[peer]]\nname = {name:?}\naddress = {address:?}\nremote-as = {remote_as}\n{keys}\n"
                    )
                } else {
                    write!(
                        config,
                        "[[bfd-session]]\nname = {name:?}\naddress = {address:?}\n{keys}\n"
                    )
                };
            }
        }
        config
    }

    #[track_caller]
    pub(crate) fn start_herald(&self, config: &str) -> Herald {
        Herald::start(&self.host, &self.directory, config)
    }

    /// Every session with both routers over these paths, as both ends see it.
    #[track_caller]
    pub(crate) fn sessions(&self, herald: &Herald, paths: &[Path]) -> Result<Vec<Seen>, String> {
        let shown = herald.show("bfd");
        let shown = shown.as_array().into_iter().flatten();
        let ours: BTreeMap<&str, &Value> = shown
            .filter_map(|session| Some((session["name"].as_str()?, session)))
            .collect();
        let mut seen = Vec::new();
        for router in self.routers() {
            let theirs = router.bfd_sessions();
            for &path in paths {
                let name = session_name(router.label(), path);
                let session = ours.get(name.as_str());
                let session = session.ok_or_else(|| format!("{name} has no session"))?;
                let mut theirs = theirs.iter();
                let theirs = theirs.find(|session| session.remote_address == path.host());
                seen.push(Seen {
                    ours: bfd::of_herald(session)?,
                    theirs: theirs
                        .cloned()
                        .ok_or_else(|| format!("{name}: the router has no session"))?,
                    router: router.label(),
                    name,
                });
            }
        }
        Ok(seen)
    }

    /// Waits until something is true of every session with both routers over these paths; the sessions as they are then.
    #[track_caller]
    pub(crate) fn wait_until(
        &self,
        herald: &Herald,
        what: &str,
        paths: &[Path],
        is_true: impl Fn(&Seen) -> Result<(), String>,
    ) -> Vec<Seen> {
        wait_until(what, PROMPTLY, || {
            let sessions = self.sessions(herald, paths)?;
            for session in &sessions {
                is_true(session).map_err(|seen| format!("{}: {seen}", session.name))?;
            }
            Ok(sessions)
        })
    }

    /// Waits until every session is up at both ends.
    #[track_caller]
    pub(crate) fn wait_until_up(&self, herald: &Herald, paths: &[Path]) -> Vec<Seen> {
        self.wait_until(herald, "every session is up", paths, Seen::are_up)
    }
}

/// With the length of its network.
fn on_link(path: Path, number: u8) -> String {
    let address = path.address(number);
    let length = if address.contains(':') { 64 } else { 24 };
    format!("{address}/{length}")
}

pub(crate) fn session_name(router: &str, path: Path) -> String {
    format!("{router}-{}", path.label())
}

/// The keys of an active session that is as far away as its path says. BIRD sends multihop packets with the TTL of its system, 64.
pub(crate) fn active(name: &str, path: Path) -> String {
    let minimum_ttl = match path {
        Path::FarV4 | Path::FarV6 if name.starts_with("bird") => "minimum-ttl = 63",
        _ => "",
    };
    format!("{}{minimum_ttl}", active_by_default(path))
}

/// As [`active`], with the least TTL that is demanded by default.
pub(crate) fn active_by_default(path: Path) -> String {
    let multihop = Path::FAR.contains(&path);
    format!(
        "bfd-profile = \"active\"\n{}",
        if multihop { "multihop = true\n" } else { "" }
    )
}

/// As [`active`], for a session that waits to be spoken to.
pub(crate) fn passive(name: &str, path: Path) -> String {
    active(name, path).replace("\"active\"", "\"passive\"")
}

/// One profile for each interface, called as the interface is.
fn frr_config(routers: &Routers) -> String {
    let timers = routers.timers;
    let mut config = "frr defaults traditional
hostname frr
log timestamp precision 3
debug bgp bfd
debug bfd peer
!
bfd
"
    .to_owned();
    for device in ["eth0", "eth1", "eth2"] {
        let _ = write!(
            config,
            " profile {device}\n{}\n{}passive-mode\n !\n",
            frr_timers(timers).join("\n"),
            if routers.passive.contains(&device) {
                ""
            } else {
                "no "
            },
        );
    }
    if routers.bgp == Bgp::Bound {
        return config + &frr_bgp(" neighbor HOST bfd\n neighbor HOST bfd profile eth0\n");
    }
    for path in Path::ALL {
        let (host, device) = (path.host(), path.device());
        let local = path.address(FRR.1);
        let _ = match path {
            Path::FarV4 | Path::FarV6 => writeln!(
                config,
                " peer {host} multihop local-address {local}\n  profile {device}\n !"
            ),
            _ => writeln!(
                config,
                " peer {host} local-address {local} interface {device}\n  profile {device}\n !"
            ),
        };
    }
    match routers.bgp {
        Bgp::Beside => config + &frr_bgp(""),
        _ => config,
    }
}

/// The lines of a `profile`.
pub(crate) fn frr_timers(timers: Parameters) -> [String; 3] {
    [
        format!(
            "transmit-interval {}",
            timers.desired_min_tx_interval.as_millis()
        ),
        format!(
            "receive-interval {}",
            timers.required_min_rx_interval.as_millis()
        ),
        format!("detect-multiplier {}", timers.detect_mult),
    ]
}

/// With these lines about each neighbor, `HOST` standing for its address.
fn frr_bgp(about_neighbors: &str) -> String {
    let neighbors = Path::BGP.map(|path| {
        format!(
            " neighbor HOST remote-as 64520\n neighbor HOST timers connect 1\n{about_neighbors}"
        )
        .replace("HOST", &path.address(HOST))
    });
    format!(
        "!
router bgp {}
 bgp router-id 192.168.133.1
 timers bgp 10 30
 no bgp ebgp-requires-policy
{}",
        FRR.2,
        neighbors.concat()
    )
}

pub(crate) fn bird_config(routers: &Routers) -> String {
    let timers = |device: &str| {
        let Parameters {
            desired_min_tx_interval,
            required_min_rx_interval,
            detect_mult,
        } = routers.timers;
        let passive = routers.passive.contains(&device);
        format!(
            "min tx interval {} ms; min rx interval {} ms; idle tx interval 1 s; multiplier {detect_mult}; {}",
            desired_min_tx_interval.as_millis(),
            required_min_rx_interval.as_millis(),
            // BIRD 3.1.7 takes `passive no` for `passive yes`.
            if passive { "passive;" } else { "" },
        )
    };
    let mut config = "router id 192.168.133.2;\nprotocol device {}\n".to_owned();
    let _ = write!(
        config,
        "protocol bfd {BFD_PROTOCOL} {{ debug {{ states, events }};
    interface \"eth0\" {{ {} }};
    interface \"eth1\" {{ {} }};
    multihop {{ {} }};
",
        timers("eth0"),
        timers("eth1"),
        timers("eth2"),
    );
    if routers.bgp != Bgp::Bound {
        for path in Path::ALL {
            let (host, local) = (path.scoped(HOST), path.address(BIRD.1));
            let _ = match path {
                Path::V4 | Path::V6 => writeln!(config, "    neighbor {host} dev \"eth0\";"),
                Path::LinkLocal | Path::OtherLinkLocal => writeln!(config, "    neighbor {host};"),
                Path::FarV4 | Path::FarV6 => {
                    writeln!(config, "    neighbor {host} local {local} multihop;")
                }
            };
        }
    }
    config += "}\n";
    if routers.bgp != Bgp::None {
        let bfd = if routers.bgp == Bgp::Bound {
            "on"
        } else {
            "off"
        };
        for path in Path::BGP {
            let _ = write!(
                config,
                "protocol bgp {} {{
    local as {}; neighbor {} as 64520; bfd {bfd}; hold time 30;
    connect delay time 1; connect retry time 1; error wait time 1, 2;
    ipv4 {{ import all; export none; }};
    ipv6 {{ import all; export none; }};
}}
",
                bgp_protocol(path),
                BIRD.2,
                path.host(),
            );
        }
    }
    config
}

/// What BIRD calls its BFD.
pub(crate) const BFD_PROTOCOL: &str = "liveness";

/// What BIRD calls its BGP session over a path.
pub(crate) fn bgp_protocol(path: Path) -> String {
    format!("host_{}", path.label())
}
