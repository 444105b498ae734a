//! What was added at run time, and the state directory, where it survives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgp::{BgpIdentifier, RouteAttributes};
use ipnet::IpNet;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::config::{
    Config, HealthConfig, IpFamilies, IpFamily, Party, PeerName, PoolName, PoolRequest,
    RouteConfig, ServiceConfig, ServiceName, add_community, add_next_hop, aggregator_text,
    community_texts, next_hop_texts, parse_aggregator, parse_community, parse_next_hop,
    parse_service_address,
};
use crate::drain::Drain;
use crate::services::pools::{Assigned, Former, Pools};

pub use change::Change;
pub use health::HealthSpec;
pub use store::Store;

mod change;
mod health;
mod store;

const LOCK: &str = "lock";

/// Services and routes that came through the API rather than from the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// By name; none of them is in the file too.
    pub services: BTreeMap<ServiceName, Arc<ServiceConfig>>,
    /// By prefix; none of them is in the file too.
    pub routes: BTreeMap<IpNet, Arc<RouteConfig>>,
}

impl Additions {
    /// Takes out what `config` has as well: the file is what somebody wrote down. Says what that
    /// was, why it goes, and what is lost with it.
    pub fn give_way(&mut self, config: &Config) -> Vec<String> {
        let taken = Taken::by(config);
        let mut gone = Vec::new();
        self.services.retain(|name, service| {
            let why = taken.why_service(name, service);
            gone.extend(why.as_ref().map(|why| format!("service {name}: {why}")));
            why.is_none()
        });
        self.routes.retain(|prefix, _| {
            let why = taken.why_route(prefix);
            gone.extend(why.as_ref().map(|why| format!("route {prefix}: {why}")));
            why.is_none()
        });
        gone
    }
}

/// What the file has, and nobody else can.
struct Taken<'c> {
    config: &'c Config,
    services: BTreeMap<IpAddr, &'c ServiceName>,
    neighbors: BTreeMap<IpAddr, Party>,
}

impl<'c> Taken<'c> {
    fn by(config: &'c Config) -> Self {
        let services = config.services.iter();
        let addresses = services.flat_map(|(name, service)| {
            let addresses = service.addresses.iter();
            addresses.map(move |address| (*address, name))
        });
        Self {
            config,
            services: addresses.collect(),
            neighbors: config.neighbors(),
        }
    }

    /// Why a service that was added cannot stay, and which of its addresses nobody has then.
    fn why_service(&self, name: &ServiceName, service: &ServiceConfig) -> Option<String> {
        let addresses = service.addresses.iter();
        let user = |address: &IpAddr| Some((*address, self.user(address)?));
        let mut used: Vec<(IpAddr, String)> = addresses.clone().filter_map(user).collect();
        let mut why = match self.config.services.contains_key(name) {
            true => "was added at run time, and gives way to the one in the file".to_owned(),
            false => {
                used.dedup_by(|later, first| later.1 == first.1);
                let causes = used.iter();
                let causes: Vec<_> = causes.map(|(ip, user)| format!("{ip} is {user}")).collect();
                if causes.is_empty() {
                    return None;
                }
                format!(
                    "was added at run time, and is removed, for {}",
                    causes.join(" and ")
                )
            }
        };
        let lost = addresses.filter(|address| self.user(address).is_none());
        let lost: Vec<String> = lost.map(ToString::to_string).collect();
        match lost.len() {
            0 => {}
            1 => why.push_str(&format!("; {} is withdrawn", lost.join(", "))),
            _ => why.push_str(&format!("; {} are withdrawn", lost.join(", "))),
        }
        Some(why)
    }

    /// Who has an address, to go on behind "is".
    fn user(&self, address: &IpAddr) -> Option<String> {
        if let Some(service) = self.services.get(address) {
            return Some(format!("an address of service {service} in the file"));
        }
        if let Some(neighbor) = self.neighbors.get(address) {
            return Some(format!("the address of {neighbor}"));
        }
        let is_route = self.config.routes.contains_key(&IpNet::from(*address));
        is_route.then(|| "announced by a [[route]] of the file".to_owned())
    }

    fn why_route(&self, prefix: &IpNet) -> Option<String> {
        if self.config.routes.contains_key(prefix) {
            return Some("was added at run time, and gives way to the one in the file".to_owned());
        }
        let is_address = prefix.prefix_len() == prefix.max_prefix_len();
        let service = self.services.get(&prefix.addr()).filter(|_| is_address)?;
        Some(format!(
            "was added at run time, and is removed, for it is an address of service {service} in the file"
        ))
    }
}

/// The addresses of all these services.
pub(crate) fn addresses(
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
) -> impl Iterator<Item = IpAddr> {
    services
        .values()
        .flat_map(|service| service.addresses.iter().copied())
}

/// A service as the API takes it and the state file keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its addresses; none: it is given some of a pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Of this one; absent: of any with `auto-assign`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
    /// `ipv4`, `ipv6` or both; absent: what the pool has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_families: Option<Vec<String>>,
    /// What it depends on; absent: it is taken to work always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
}

/// A route as the API takes it and the state file keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RouteSpec {
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF, for internal peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// How often our AS is prepended, at most 10 times.
    #[serde(skip_serializing_if = "is_zero")]
    pub as_path_prepend: u8,
    /// As in the file: `64520:100`, `no-export`, `large:64520:1:2`, `rt:64520:1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// Addresses; none: our own towards each peer. Of several of a family, each is a path, and those
    /// after the first are for peers that take several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next_hop: Vec<String>,
    /// ATOMIC_AGGREGATE.
    #[serde(skip_serializing_if = "is_false")]
    pub atomic_aggregate: bool,
    /// AGGREGATOR: `64520 192.0.2.71`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// To whom; absent: to every peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<PeerName>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl TryFrom<&ServiceSpec> for ServiceConfig {
    type Error = String;

    fn try_from(spec: &ServiceSpec) -> Result<Self, String> {
        let mut addresses = BTreeSet::new();
        for text in &spec.addresses {
            let address = parse_service_address(text)
                .map_err(|expected| format!("addresses: found {text:?}; must be {expected}"))?;
            addresses.insert(address);
        }
        let asks = spec.pool.is_some() || spec.ip_families.is_some();
        if asks && !addresses.is_empty() {
            return Err("pool, ip_families: must be left out where there are addresses: a pool is for a service without".to_owned());
        }
        let health = spec.health.as_ref().map(HealthConfig::try_from);
        let health = health.transpose()?;
        let request = PoolRequest {
            pool: spec.pool.clone(),
            ip_families: spec.ip_families.as_deref().map(ip_families).transpose()?,
        };
        Ok(Self {
            addresses,
            request,
            health,
        })
    }
}

fn ip_families(texts: &[String]) -> Result<IpFamilies, String> {
    let families = texts.iter().map(|text| IpFamily::named(text));
    let families = families
        .collect::<Option<Vec<_>>>()
        .and_then(IpFamilies::of);
    families.ok_or_else(|| {
        format!(
            "ip_families: found {texts:?}; must be [\"ipv4\"], [\"ipv6\"] or [\"ipv4\", \"ipv6\"]"
        )
    })
}

impl From<&ServiceConfig> for ServiceSpec {
    fn from(service: &ServiceConfig) -> Self {
        let ServiceConfig {
            addresses,
            request,
            health,
        } = service;
        let PoolRequest { pool, ip_families } = request;
        Self {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            pool: pool.clone(),
            ip_families: ip_families.map(|it| it.iter().map(|it| it.to_string()).collect()),
            health: health.as_ref().map(HealthSpec::from),
        }
    }
}

impl TryFrom<&RouteSpec> for RouteConfig {
    type Error = String;

    fn try_from(spec: &RouteSpec) -> Result<Self, String> {
        if spec.as_path_prepend > 10 {
            return Err(format!(
                "as_path_prepend: found {}; must be a number from 0 to 10",
                spec.as_path_prepend
            ));
        }
        let mut attributes = RouteAttributes {
            multi_exit_disc: spec.med,
            local_pref: spec.local_pref,
            as_path_prepend: spec.as_path_prepend,
            atomic_aggregate: spec.atomic_aggregate,
            ..RouteAttributes::default()
        };
        if let Some(text) = &spec.aggregator {
            let aggregator = parse_aggregator(text)
                .map_err(|expected| format!("aggregator: found {text:?}; must be {expected}"))?;
            attributes.aggregator = Some(aggregator);
        }
        for text in &spec.communities {
            let community = parse_community(text)
                .map_err(|expected| format!("communities: found {text:?}; must be {expected}"))?;
            add_community(&mut attributes, community);
        }
        for text in spec.next_hop.iter().filter(|text| *text != "self") {
            parse_next_hop(text)
                .and_then(|next_hop| add_next_hop(&mut attributes, next_hop))
                .map_err(|expected| format!("next_hop: found {text:?}; must be {expected}"))?;
        }
        Ok(Self {
            attributes,
            peers: spec.peers.clone().map(|peers| peers.into_iter().collect()),
        })
    }
}

impl From<&RouteConfig> for RouteSpec {
    fn from(route: &RouteConfig) -> Self {
        let RouteAttributes {
            origin: _,
            multi_exit_disc,
            local_pref,
            as_path_prepend,
            next_hop_v4: _,
            next_hop_v6: _,
            atomic_aggregate,
            aggregator,
            communities: _,
            large_communities: _,
            extended_communities: _,
            ipv6_extended_communities: _,
            unknown: _,
            additional_paths: _,
        } = &route.attributes;
        Self {
            med: *multi_exit_disc,
            local_pref: *local_pref,
            as_path_prepend: *as_path_prepend,
            communities: community_texts(&route.attributes),
            next_hop: next_hop_texts(&route.attributes),
            atomic_aggregate: *atomic_aggregate,
            aggregator: aggregator.map(aggregator_text),
            peers: route.peers.clone().map(|peers| peers.into_iter().collect()),
        }
    }
}

/// Why the state directory does not serve.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not there and cannot be made.
    #[error("{}: cannot be used as [speaker] state-dir: {source}; create it for this user, or name another", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("{}: another herald uses this [speaker] state-dir; stop it, or name another directory", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody has put a link where one of its files belongs.
    #[error("{}: is a symbolic link, and herald writes through none in its state-dir; remove it", .path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Its file is there and cannot be read.
    #[error("{}: cannot be read: {reason}; it holds what was added at run time: restore it, or move it away to start without", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its file cannot be written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The state directory of a running daemon, which no other daemon may use meanwhile.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// What survived the last daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The router id that was derived, if one was.
    pub router_id: Option<BgpIdentifier>,
    /// What was added at run time.
    pub additions: Additions,
    /// Peers that were shut down by command, and what their operators were told (RFC 9003).
    pub shutdowns: BTreeMap<PeerName, Option<String>>,
    /// Who was drained by command.
    pub drain: Drain,
    /// Which addresses of a pool each service has that names none itself.
    pub assigned: BTreeMap<ServiceName, Assigned>,
    /// What services had that were removed, the latest last.
    pub released: Vec<(ServiceName, Assigned)>,
}

/// So many of those who were removed are remembered.
const MAX_RELEASED: usize = 256;

impl Kept {
    /// Notes what a service has; nothing is forgotten that it had.
    pub fn assign(&mut self, name: &ServiceName, assigned: Assigned) {
        self.released.retain(|(other, _)| other != name);
        match assigned.is_empty() {
            true => self.assigned.remove(name),
            false => self.assigned.insert(name.clone(), assigned),
        };
    }

    /// Notes that a service has nothing any more, and remembers what it had in case that it comes
    /// back.
    pub fn release(&mut self, name: &ServiceName) {
        if let Some(had) = self.assigned.remove(name) {
            self.released.retain(|(other, _)| other != name);
            self.released.push((name.clone(), had));
            let surplus = self.released.len().saturating_sub(MAX_RELEASED);
            self.released.drain(..surplus);
        }
    }

    /// What a service had that was removed.
    #[must_use]
    pub fn released(&self, name: &ServiceName) -> Assigned {
        let mut released = self.released.iter();
        let had = released.find(|(other, _)| other == name);
        had.map(|(_, assigned)| *assigned).unwrap_or_default()
    }

    /// Notes what the books of the pools say.
    pub fn adopt(&mut self, pools: &Pools) {
        let gone: Vec<ServiceName> = self
            .assigned
            .keys()
            .filter(|name| pools.client(name).is_none())
            .cloned()
            .collect();
        for name in &gone {
            self.release(name);
        }
        self.released
            .retain(|(name, _)| pools.client(name).is_none());
        let clients = pools
            .clients()
            .filter(|(_, client)| !client.assigned.is_empty());
        self.assigned = clients
            .map(|(name, client)| (name.clone(), client.assigned))
            .collect();
    }

    /// What the books of the pools begin with.
    #[must_use]
    pub fn former(&self) -> Former<'_> {
        Former {
            assigned: &self.assigned,
            released: &self.released,
        }
    }
}

impl Kept {
    /// Whether somebody was added at run time.
    pub(crate) fn knows(&self, party: &Party) -> bool {
        let service = party.service();
        service.is_some_and(|name| self.additions.services.contains_key(name))
    }
}

impl StateDir {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another daemon has it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let directory = |source| StateError::Directory {
            path: path.to_owned(),
            source,
        };
        make_directory(path).map_err(directory)?;
        let lock_path = path.join(LOCK);
        let lock =
            open(&lock_path, OFlags::CREATE | OFlags::RDWR).map_err(|errno| match errno {
                Errno::LOOP => StateError::Link { path: lock_path },
                errno => directory(errno.into()),
            })?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(StateError::InUse {
                path: path.to_owned(),
            }),
            Err(error) => Err(directory(error.into())),
        }
    }

    /// What a file holds; `None` when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(name);
        let mut octets = Vec::new();
        let read = match open(&path, OFlags::RDONLY) {
            Ok(mut file) => file.read_to_end(&mut octets),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(StateError::Link { path }),
            Err(errno) => Err(errno.into()),
        };
        match read {
            Ok(_) => Ok(Some(octets)),
            Err(error) => Err(StateError::Unreadable {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Replaces a file as a whole, for good.
    pub(crate) fn write(&self, name: &str, text: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        self.replace(&path, text)
            .map_err(|source| StateError::Unwritable { path, source })
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("json.new");
        // What a crash has left there, or a link that somebody has put there.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let mut file = open(&temporary, new)?;
        let replaced = file
            .write_all(text)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, path));
        if replaced.is_err() {
            // A disk that is full needs the room. It is removed before the next attempt otherwise.
            let _ = fs::remove_file(&temporary);
        }
        replaced?;
        self.sync()
    }

    /// Which files there are survives a power failure from here on.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// For this user only; what is above it, as usual.
fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent()
        && !parent.exists()
    {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file of this user only that grows, and whose end can be read; made if need be.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let how = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND;
    Ok(open(path, how)?)
}

/// Opens a file of this user only, and never one somewhere else that a link names.
fn open(path: &Path, how: OFlags) -> Result<File, Errno> {
    let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    /// Whether it is taken; then it is kept, and read as the same.
    fn is_taken_and_kept<Spec, Config>(body: &[u8]) -> bool
    where
        Spec: Serialize + DeserializeOwned + for<'a> From<&'a Config>,
        Config: for<'a> TryFrom<&'a Spec, Error = String> + Debug + PartialEq,
    {
        let read = |json: &[u8]| {
            let spec: Spec = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            Config::try_from(&spec)
        };
        let Ok(config) = read(body) else { return false };
        let kept = serde_json::to_vec(&Spec::from(&config)).unwrap();
        assert_eq!(read(&kept), Ok(config), "{}", body.escape_ascii());
        true
    }

    /// What the fuzz target of this name looks for, in what it starts from.
    #[test]
    fn api_body() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/api_body");
        for seed in fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            let body = fs::read(&path).unwrap();
            let is_service = is_taken_and_kept::<ServiceSpec, ServiceConfig>(&body);
            let is_route = is_taken_and_kept::<RouteSpec, RouteConfig>(&body);
            // Programs are the file's alone.
            let is_refused = path.ends_with("service_with_exec.json");
            assert_eq!(is_service || is_route, !is_refused, "{}", path.display());
        }
    }
}
