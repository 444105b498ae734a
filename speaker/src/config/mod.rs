//! The configuration: one TOML file, read into types that cannot hold a wrong value.
//!
//! `document` knows TOML and lines, `value` single values, `read` the sections and what must fit
//! together. What comes out is a [`Config`] with every default applied and every reference
//! resolved; nothing after it parses or checks again.

mod account;
mod advertisement;
mod attributes;
mod bfd_auth;
mod bfd_range;
mod bfd_session;
mod capture;
mod document;
mod health;
mod hook;
mod name;
mod password;
mod pool;
mod problem;
mod read;
mod render;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bgp::wire::AddPathDirection;
use bgp::{
    Asn, BgpIdentifier, Family, HoldTime, LinkLocalNextHop, PrefixLimits, ReceivedRoutes, RemoteAs,
    RestartConfig, Role, RouteAttributes,
};
use ipnet::IpNet;

pub use account::{Account, SocketMode};
pub use advertisement::{AdvertisementConfig, AggregationLengths, Conflict};
pub use bfd_auth::{BfdAuth, BfdKey};
pub use bfd_range::BfdRangeConfig;
pub use bfd_session::BfdSessionConfig;
pub use capture::CaptureSize;
pub use health::{CheckConfig, HealthConfig, HttpProbe, Probe, parse_http_host, parse_tcp};
pub use hook::{HookConfig, HookSubject};
pub use name::{BfdName, Name, Party, PeerName, PoolName, ServiceName};
pub use password::Password;
pub use pool::{AddressRange, IpFamilies, IpFamily, PoolConfig, PoolRequest};
pub(crate) use pool::{ip_from_number, ip_to_number, is_buggy};
pub use problem::{ConfigError, Problem};
pub(crate) use render::link_local_next_hop_name;

pub use attributes::{AnyCommunity, BlackholeLengths, parse_community};
pub(crate) use attributes::{
    add_community, add_next_hop, aggregator_text, community_texts, next_hop_texts,
    parse_aggregator, parse_next_hop,
};
pub(crate) use document::nearest;
pub(crate) use value::is_link_local;
pub use value::{parse_prefix, parse_service_address};

/// Where the daemon looks for its configuration.
pub const DEFAULT_FILE: &str = "/etc/herald/herald.toml";
/// Where the daemon listens for commands.
pub const DEFAULT_SOCKET: &str = "/run/herald/herald.sock";
/// Where the daemon keeps what must survive it.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/herald";
/// The port of BGP.
pub const BGP_PORT: u16 = 179;
/// What BGP's packets are marked with: CS6, internetwork control (RFC 2474 §4.2.2.2, RFC 4594 §3.2).
pub const DEFAULT_DSCP: u8 = 48;
/// The port of single-hop BFD (RFC 5881 §4).
pub const BFD_PORT: u16 = 3784;
/// The port of multihop BFD (RFC 5883 §5).
pub const BFD_MULTIHOP_PORT: u16 = 4784;

/// The longest file that is read. Ten thousand services are a tenth of it.
const MAX_FILE: u64 = 16 << 20;

/// Everything the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[speaker]`
    pub speaker: SpeakerConfig,
    /// `[api]`
    pub api: ApiConfig,
    /// `[bfd]`
    pub bfd: BfdConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[[peer]]`, with `[peer-defaults]` and the BFD profile applied.
    pub peers: BTreeMap<PeerName, PeerConfig>,
    /// `[[peer-range]]`, likewise.
    pub ranges: BTreeMap<PeerName, RangeConfig>,
    /// `[[bfd-session]]`
    pub bfd_sessions: BTreeMap<BfdName, BfdSessionConfig>,
    /// `[[bfd-range]]`
    pub bfd_ranges: BTreeMap<BfdName, BfdRangeConfig>,
    /// `[[pool]]`
    pub pools: BTreeMap<PoolName, PoolConfig>,
    /// `[[service]]`
    pub services: BTreeMap<ServiceName, Arc<ServiceConfig>>,
    /// `[[route]]`
    pub routes: BTreeMap<IpNet, Arc<RouteConfig>>,
    /// `[[advertisement]]`, in the order of the file; none means every service to every peer.
    pub advertisements: Vec<AdvertisementConfig>,
    /// `[[hook]]`, in the order of the file.
    pub hooks: Vec<HookConfig>,
}

/// A configuration and what is doubtful about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Legal, and perhaps not meant.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn load(file: &Path) -> Result<Checked, ConfigError> {
        let unreadable = |text: String| ConfigError {
            file: file.to_owned(),
            problems: vec![Problem {
                line: None,
                section: String::new(),
                key: String::new(),
                text,
            }],
        };
        let octets = read_file(file).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "; create it, or name another with -c",
                _ => "",
            };
            unreadable(format!("cannot be read: {error}{hint}"))
        })?;
        let text = String::from_utf8(octets).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let newlines = error.as_bytes().iter().take(valid);
            let line = 1 + newlines.filter(|octet| **octet == b'\n').count();
            unreadable(format!(
                "line {line} is not UTF-8; a configuration file is UTF-8 text"
            ))
        })?;
        Self::parse(file, &text)
    }

    /// Checks a text; `file` is only named in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(file: &Path, text: &str) -> Result<Checked, ConfigError> {
        read::read(text).map_err(|problems| ConfigError {
            file: file.to_owned(),
            problems,
        })
    }
}

/// What a configuration file holds, right or wrong.
pub(crate) fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    read_bounded(file, MAX_FILE)
}

/// Memory stays bounded, whatever the path names.
fn read_bounded(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let opened = File::open(file)?;
    let mut octets = Vec::new();
    opened.take(limit + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it is longer than {} KiB",
            limit >> 10
        )));
    }
    Ok(octets)
}

/// `[speaker]`: who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// Our AS, where a peer does not say otherwise; `None`: there is no BGP, only BFD.
    pub local_as: Option<Asn>,
    /// Our BGP Identifier; `None`: derived once from the host's addresses, and kept.
    pub router_id: Option<BgpIdentifier>,
    /// Where we accept BGP connections; empty: we only connect.
    pub listen: Vec<SocketAddr>,
    /// Where we keep what must survive a restart.
    pub state_dir: PathBuf,
    /// What a stop means for the routes.
    pub on_exit: OnExit,
    /// How long neighbors are asked to take other paths (RFC 8326) before a stop withdraws ours.
    pub drain_time: Duration,
    /// The file is read again whenever it changes.
    pub reload_on_change: bool,
    /// The interface that the addresses of services are added to; `None`: none is touched.
    pub address_interface: Option<String>,
    /// The shortest prefixes that BLACKHOLE may go with.
    pub blackhole: BlackholeLengths,
}

/// What happens to our routes when the daemon stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// They are withdrawn: sessions end with Cease/2.
    #[default]
    Withdraw,
    /// They stay, where a neighbor keeps them while we are away (RFC 4724).
    Restart,
}

/// `[api]`: how we are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// The Unix socket for control.
    pub socket: PathBuf,
    /// Who may connect to it: permission bits, of which writing counts.
    pub socket_mode: SocketMode,
    /// The user that it belongs to; `None`: the daemon's.
    pub socket_owner: Option<Account>,
    /// The group that it belongs to; `None`: the daemon's.
    pub socket_group: Option<Account>,
    /// The TCP address for looking only.
    pub listen: Option<SocketAddr>,
}

/// `[bfd]`: where BFD packets are received, and what keeps BFD on time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdConfig {
    /// For single-hop sessions; `None`: every address of the host, port 3784.
    pub listen: Option<Vec<SocketAddr>>,
    /// For multihop sessions; `None`: every address of the host, port 4784.
    pub multihop_listen: Option<Vec<SocketAddr>>,
    /// BFD has real-time priority, where the system permits it.
    pub realtime: bool,
    /// The daemon's memory is not swapped out, where the system permits it.
    pub lock_memory: bool,
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// From which importance on.
    pub level: LogLevel,
    /// For whom.
    pub format: LogFormat,
}

/// How important a line must be to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are everybody's")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The timers of a BFD session: `[[bfd-profile]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdProfile {
    /// The profile's name, for display.
    pub name: String,
    /// How often we want to send.
    pub transmit_interval: Duration,
    /// How often we are able to receive.
    pub receive_interval: Duration,
    /// How many packets of ours may get lost before the neighbor declares the path down.
    pub detect_multiplier: NonZeroU8,
    /// Do not send before the neighbor does.
    pub passive_mode: bool,
    /// Ask the neighbor to cease periodic packets while the session is Up.
    pub demand_mode: bool,
    /// How often the path is verified in demand mode.
    pub demand_poll_interval: Duration,
    /// Send echo packets, which the neighbor's forwarding plane sends back. Single hop only.
    pub echo_mode: bool,
    /// How often we want to send them.
    pub echo_interval: Duration,
    /// How often the neighbor may send echo packets for us to send back; zero: not at all.
    pub echo_receive_interval: Duration,
    /// Multihop only: the least TTL of a packet that counts; `None`: what the peer's hops allow.
    pub minimum_ttl: Option<NonZeroU8>,
    /// The keys that packets are sent and accepted with.
    pub auth: Option<BfdAuth>,
}

impl BfdProfile {
    /// The name of the profile that always exists.
    pub const DEFAULT_NAME: &'static str = "default";

    /// What a peer names that is to have no BFD session.
    pub const NONE: &'static str = "none";

    /// Whether single-hop sessions have the echo function, in either direction.
    #[must_use]
    pub const fn has_echo(&self) -> bool {
        self.echo_mode || !self.echo_receive_interval.is_zero()
    }

    /// 300 ms both ways, three packets, active: what routers ship with.
    #[must_use]
    pub fn standard() -> Self {
        const THREE: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);
        Self {
            name: Self::DEFAULT_NAME.to_owned(),
            transmit_interval: Duration::from_millis(300),
            receive_interval: Duration::from_millis(300),
            detect_multiplier: THREE,
            passive_mode: false,
            demand_mode: false,
            demand_poll_interval: Duration::from_secs(1),
            echo_mode: false,
            echo_interval: Duration::from_millis(50),
            echo_receive_interval: Duration::ZERO,
            minimum_ttl: None,
            auth: None,
        }
    }
}

/// `[[peer]]`: one neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The range that it has come from; `None`: it is in the file.
    pub range: Option<PeerName>,
    /// Where it is.
    pub address: PeerAddress,
    /// Where it accepts BGP connections.
    pub port: u16,
    /// The AS it must have.
    pub remote_as: RemoteAs,
    /// The AS that we have for it.
    pub local_as: Asn,
    /// The hold time that we propose.
    pub hold_time: HoldTime,
    /// How often we say KEEPALIVE; `None`: a third of the negotiated hold time.
    pub keepalive_time: Option<Duration>,
    /// How long a connection attempt may take, and how long until the next.
    pub connect_retry_time: Duration,
    /// DelayOpenTime: how long to wait for the neighbor's OPEN before sending ours; zero: not at all.
    pub delay_open_time: Duration,
    /// Have the neighbor keep our routes while we restart (RFC 4724).
    pub graceful_restart: Option<RestartConfig>,
    /// How long TCP may take no byte (RFC 9687); `None`: the greater of 8 min and twice the hold
    /// time.
    pub send_hold_time: Option<Duration>,
    /// Our end of the connection.
    pub source_address: Option<IpAddr>,
    /// The interface the connection is bound to.
    pub source_interface: Option<String>,
    /// Wait for the neighbor to connect.
    pub passive: bool,
    /// How many hops away an external neighbor may be; `None`: on-link.
    pub ebgp_multihop: Option<NonZeroU8>,
    /// How many hops away the neighbor may be, with GTSM to make sure (RFC 5082); instead of
    /// [`ebgp_multihop`](Self::ebgp_multihop).
    pub ttl_security: Option<NonZeroU8>,
    /// What signs the TCP segments of both sides (RFC 2385).
    pub password: Option<Password>,
    /// The differentiated services code point of BGP's packets (RFC 2474).
    pub dscp: u8,
    /// The families that we offer, sorted, at least one.
    pub families: Vec<Family>,
    /// BFD beside it.
    pub bfd: Option<PeerBfd>,
    /// False: configured, and kept down.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
    /// Whether it is told what this host is called.
    pub hostname: bool,
    /// How much of what its sessions carry is kept for `herald capture`.
    pub capture: CaptureSize,
    /// What becomes of the routes that it announces.
    pub import: ImportConfig,
    /// What it is told of routes, and of us.
    pub export: ExportConfig,
}

/// What a peer is told of routes, and of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// The next hop of IPv4 routes; `None`: our address towards the peer.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop of IPv6 routes; `None`: our address towards the peer.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// How a next hop is written that has a link-local address only.
    pub link_local_next_hop: LinkLocalNextHop,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Which way several paths to a prefix may go (RFC 7911).
    pub add_path: Option<AddPathDirection>,
    /// What we are to the peer (RFC 9234).
    pub role: Option<Role>,
    /// A peer that does not say its role is refused.
    pub role_strict: bool,
}

/// What becomes of the routes that a peer announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportConfig {
    /// Whether they are kept, to be looked at.
    pub received_routes: ReceivedRoutes,
    /// How many there may be.
    pub prefix_limits: PrefixLimits,
    /// Only paths that begin with the peer's AS are believed.
    pub enforce_first_as: bool,
}

/// The least TTL that a packet may have from a neighbor at most `hops` away that sends 255 (RFC 5082
/// §3).
pub(crate) const fn minimum_ttl(hops: NonZeroU8) -> u8 {
    u8::MAX - (hops.get() - 1)
}

impl PeerConfig {
    /// Whether a list of peers and ranges means this one.
    #[must_use]
    pub fn is_one_of(&self, name: &PeerName, names: &BTreeSet<PeerName>) -> bool {
        let by_range = |range: &PeerName| names.contains(range);
        names.contains(name) || self.range.as_ref().is_some_and(by_range)
    }

    /// How many hops away the neighbor may be: 1 unless somebody says more.
    #[must_use]
    pub fn hops(&self) -> NonZeroU8 {
        let hops = self.ttl_security.or(self.ebgp_multihop);
        hops.unwrap_or(NonZeroU8::MIN)
    }

    /// Whether it is in our own AS, as far as that is known before it says so.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        [RemoteAs::Internal, RemoteAs::Is(self.local_as)].contains(&self.remote_as)
    }

    /// Its address; unspecified while that of an unnumbered peer is not known.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into())
    }

    /// Whether its address means something on one interface only.
    #[must_use]
    pub fn is_link_local(&self) -> bool {
        self.address.is_link_local()
    }

    /// The interface of an unnumbered peer.
    #[must_use]
    pub fn unnumbered(&self) -> Option<&str> {
        let scope = self.address.scope.as_deref();
        scope.filter(|_| self.address.ip.is_none())
    }

    /// The interface that its packets leave by, where that is not left to routing.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.source_interface
            .as_deref()
            .or(self.address.scope.as_deref())
    }
}

/// `[[peer-range]]`: neighbors that need not be configured one by one. Each becomes a peer when it
/// connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeConfig {
    /// Where they connect from.
    pub prefix: IpNet,
    /// How many there may be at a time.
    pub limit: NonZeroU16,
    /// What each of them is, but for its address.
    pub peer: PeerConfig,
}

impl RangeConfig {
    /// Enough for a large rack, and little to hold.
    pub const DEFAULT_LIMIT: NonZeroU16 = NonZeroU16::MIN.saturating_add(99);

    /// The neighbor with this address.
    #[must_use]
    pub fn peer_at(&self, ip: IpAddr) -> PeerConfig {
        PeerConfig {
            address: PeerAddress {
                ip: Some(ip),
                scope: None,
            },
            ..self.peer.clone()
        }
    }
}

impl Config {
    /// Whether there is, or may come, somebody to speak BGP with.
    #[must_use]
    pub fn speaks_bgp(&self) -> bool {
        !(self.peers.is_empty() && self.ranges.is_empty())
    }

    /// Whether somebody is here by name, or a range of that name is.
    #[must_use]
    pub fn knows(&self, party: &Party) -> bool {
        match party {
            Party::Peer(name) => self.peers.contains_key(name) || self.ranges.contains_key(name),
            Party::BfdSession(name) => {
                self.bfd_sessions.contains_key(name) || self.bfd_ranges.contains_key(name)
            }
            Party::Service(name) => self.services.contains_key(name),
        }
    }

    /// Whether a range would let in somebody of this name.
    #[must_use]
    pub fn may_come(&self, party: &Party) -> bool {
        let Some((range, ip)) = party.name().rsplit_once('@') else {
            return false;
        };
        match party {
            Party::Peer(name) => {
                let coming = ip.parse().ok().and_then(|ip| self.dynamic_peer(ip));
                coming.is_some_and(|(coming, _)| coming == *name)
            }
            Party::BfdSession(_) => {
                let range = BfdName::new(range);
                range.is_some_and(|range| self.bfd_ranges.contains_key(&range))
            }
            Party::Service(_) => false,
        }
    }

    /// The neighbors that are known by address, and whose each address is. None of them can be an address of a
    /// service: who adds it to this host speaks to himself from then on.
    #[must_use]
    pub fn neighbors(&self) -> BTreeMap<IpAddr, Party> {
        neighbors(&self.peers, &self.bfd_sessions)
    }

    /// The most specific range with an address.
    #[must_use]
    pub fn range_of(&self, ip: IpAddr) -> Option<(&PeerName, &RangeConfig)> {
        let ranges = self.ranges.iter();
        let ranges = ranges.filter(|(_, range)| range.prefix.contains(&ip));
        ranges.max_by_key(|(_, range)| range.prefix.prefix_len())
    }

    /// The peer that a neighbor with this address is, or becomes when it connects; a peer of the
    /// file goes before a range, and nobody connects from the address of a service.
    #[must_use]
    pub fn dynamic_peer(&self, ip: IpAddr) -> Option<(PeerName, PeerConfig)> {
        let mut peers = self.peers.values();
        if peers.any(|peer| peer.range.is_none() && peer.address.ip == Some(ip)) {
            return None;
        }
        let (range_name, range) = self.range_of(ip)?;
        if self.services.values().any(|it| it.addresses.contains(&ip)) {
            return None;
        }
        let name = PeerName::new(&format!("{range_name}@{ip}"))?;
        let taken = self.peers.get(&name).is_some_and(|it| it.range.is_none());
        (!taken).then(|| (name, range.peer_at(ip)))
    }
}

fn neighbors(
    peers: &BTreeMap<PeerName, PeerConfig>,
    bfd_sessions: &BTreeMap<BfdName, BfdSessionConfig>,
) -> BTreeMap<IpAddr, Party> {
    let of_sessions = bfd_sessions.iter();
    let of_sessions = of_sessions.map(|(name, session)| (session.address, Party::from(name)));
    let of_peers = peers.iter();
    let of_peers = of_peers.filter_map(|(name, peer)| Some((peer.address.ip?, Party::from(name))));
    // A peer is the better answer where both are at an address.
    of_sessions.chain(of_peers).collect()
}

/// Where a neighbor is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// The address; `None`: whatever it says on its interface.
    pub ip: Option<IpAddr>,
    /// The interface on which a link-local address means it, or that an unnumbered neighbor is on.
    pub scope: Option<String>,
}

impl PeerAddress {
    /// Whether it means something on its interface only.
    #[must_use]
    pub fn is_link_local(&self) -> bool {
        self.ip.is_none_or(is_link_local)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip, &self.scope) {
            (Some(ip), Some(scope)) => write!(f, "{ip}%{scope}"),
            (Some(ip), None) => write!(f, "{ip}"),
            (None, scope) => f.write_str(scope.as_deref().unwrap_or_default()),
        }
    }
}

/// The BFD session of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerBfd {
    /// Its timers.
    pub profile: BfdProfile,
    /// How far the neighbor is.
    pub hops: PeerHops,
    /// Where the neighbor receives BFD packets; `None`: at the port of the hops that its route says.
    pub port: Option<u16>,
    /// No BGP session before BFD is up, and how long to wait for that; `None`: BFD may come later.
    pub strict: Option<Duration>,
}

impl PeerBfd {
    /// Where a neighbor that is so far receives BFD packets.
    #[must_use]
    pub const fn port(&self, hops: BfdHops) -> u16 {
        match (self.port, hops) {
            (Some(port), _) => port,
            (None, BfdHops::Single) => BFD_PORT,
            (None, BfdHops::Multi { .. }) => BFD_MULTIHOP_PORT,
        }
    }
}

/// What says how far a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerHops {
    /// The configuration, or that an external peer is on-link unless it is said to be elsewhere.
    Fixed(BfdHops),
    /// The kernel's route: an internal peer may be anywhere.
    ByRoute {
        /// Of one that is not on-link.
        minimum_ttl: NonZeroU8,
    },
}

impl PeerHops {
    /// How far it is when the route says whether it is on-link (RFC 5881 §2, RFC 5883 §2).
    #[must_use]
    pub const fn when(self, on_link: bool) -> BfdHops {
        match self {
            Self::Fixed(hops) => hops,
            Self::ByRoute { .. } if on_link => BfdHops::Single,
            Self::ByRoute { minimum_ttl } => BfdHops::Multi { minimum_ttl },
        }
    }
}

/// How far a BFD neighbor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BfdHops {
    /// On-link (RFC 5881): only packets with TTL 255 count.
    Single,
    /// Behind routers (RFC 5883): only packets with at least this TTL count.
    Multi {
        /// From 1, for anything, to 255, for no router between.
        minimum_ttl: NonZeroU8,
    },
}

/// `[[service]]`: addresses that somebody on this host serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The addresses it names itself, each in no other service.
    pub addresses: BTreeSet<IpAddr>,
    /// What it asks the pools for if it names none.
    pub request: PoolRequest,
    /// What it depends on; `None`: it is taken to work always.
    pub health: Option<HealthConfig>,
}

impl ServiceConfig {
    /// What it asks the pools for; `None`: it names its addresses itself.
    #[must_use]
    pub fn request(&self) -> Option<&PoolRequest> {
        self.addresses.is_empty().then_some(&self.request)
    }

    /// The `[[bfd-session]]` without whose path it is of no use.
    #[must_use]
    pub fn path(&self) -> Option<&BfdName> {
        self.health.as_ref()?.bfd.as_ref()
    }
}

/// `[[route]]`: a prefix that belongs to no service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteConfig {
    /// What is said of it.
    pub attributes: RouteAttributes,
    /// To whom; `None`: to every peer.
    pub peers: Option<BTreeSet<PeerName>>,
}
