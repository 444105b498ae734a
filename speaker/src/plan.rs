//! What a new configuration means for a running speaker: a pure difference, said in words before it
//! is applied.
//!
//! Every field is classified by destructuring, so that a new one does not compile until somebody
//! has decided what its change costs. Only what is part of the OPEN or of the transport restarts a
//! session; the rest is changed in place.

mod advertisement;
mod bfd;
mod bfd_range;
mod bfd_session;
mod pool;
mod route;
mod service;
mod shown;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bgp::{Asn, PrefixLimits};
use ipnet::IpNet;

pub(crate) use self::route::words as route_words;
pub(crate) use self::service::words as service_words;
use self::shown::{Never, Shown};
pub use self::summary::summary;
pub(crate) use self::summary::{of_many, summarized};
use crate::config::{
    ApiConfig, BfdConfig, BfdName, Config, ExportConfig, ImportConfig, LogConfig, Password,
    PeerConfig, PeerName, PoolName, RangeConfig, ServiceName, SpeakerConfig,
};
use crate::services::pools::Reassignment;

const PASSWORD_ADVICE: &str = "the peer must have the new key within the hold time";

/// One step from the running configuration to the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A service or route that was added at run time goes: the file has it, or what it is in the way of.
    Supersede(String),
    /// Something that concerns no single peer.
    UpdateSpeaker(Vec<Difference>),
    /// Lines of another importance are written.
    UpdateLog(Vec<Difference>),
    /// The BFD thread takes up or gives up a privilege; no session notices.
    UpdateBfd(Vec<Difference>),
    /// A session begins.
    AddPeer(PeerName),
    /// A session ends with Cease/3.
    RemovePeer(PeerName),
    /// A peer changes, and its session stays.
    UpdatePeer(PeerName, Vec<Difference>),
    /// A session ends with Cease/6 and begins anew.
    RestartPeer(PeerName, Vec<Difference>),
    /// A session ends with Cease/2 and stays down, or begins again.
    SwitchPeer(PeerName, Vec<Difference>),
    /// Neighbors from a prefix are let in.
    AddRange(PeerName),
    /// They are not let in any more; those that are there are removed one by one.
    RemoveRange(PeerName),
    /// They are let in otherwise; those that are there are changed one by one.
    UpdateRange(PeerName, Vec<Difference>),
    /// A BFD session that belongs to no peer begins.
    AddBfdSession(BfdName),
    /// It ends with AdminDown.
    RemoveBfdSession(BfdName),
    /// It changes, and stays.
    UpdateBfdSession(BfdName, Vec<Difference>),
    /// It ends with AdminDown and begins anew between other ends.
    RestartBfdSession(BfdName, Vec<Difference>),
    /// It ends with AdminDown and stays down, or begins again.
    SwitchBfdSession(BfdName, Vec<Difference>),
    /// Neighbors from a prefix may begin BFD sessions.
    AddBfdRange(BfdName),
    /// They may not any more; their sessions end with AdminDown.
    RemoveBfdRange(BfdName),
    /// Their sessions change, and stay; those that are outside of the range from then on end with AdminDown.
    UpdateBfdRange(BfdName, Vec<Difference>),
    /// Services may be given these addresses.
    AddPool(PoolName),
    /// They may not any more.
    RemovePool(PoolName),
    /// They may be given others.
    UpdatePool(PoolName, Vec<Difference>),
    /// Addresses are announced.
    AddService(ServiceName),
    /// Addresses are withdrawn.
    RemoveService(ServiceName),
    /// Some addresses are announced, others are withdrawn; or it is checked otherwise.
    UpdateService(ServiceName, Vec<Difference>),
    /// A service has other addresses of the pools, or lacks some.
    Reassign(ServiceName, Reassignment),
    /// A service that was added at run time is announced no more, or cannot be: advertisements contradict each other about
    /// it. In words.
    Contradict(ServiceName, String),
    /// A prefix is announced.
    AddRoute(IpNet),
    /// A prefix is withdrawn.
    RemoveRoute(IpNet),
    /// A prefix is announced with other attributes, or to others.
    UpdateRoute(IpNet),
    /// More is said of services, or to more peers. By the name of the advertisement, or its place in the file.
    AddAdvertisement(String),
    /// Less is said of them.
    RemoveAdvertisement(String),
    /// Something else is said of them, or to others.
    UpdateAdvertisement(String, Vec<Difference>),
    /// Where advertisements of different services differ about an aggregate, another one goes first.
    ReorderAdvertisements,
    /// Other programs are run, or they are run otherwise.
    UpdateHooks,
    /// This interface is not there; addresses stay where they are, and are added to it when it comes.
    AwaitInterface(String),
    /// Something does not work until the daemon is started again: it takes a privilege that was given up.
    Unprivileged(String),
    /// This has to wait until the daemon is started again.
    NextStart(Vec<Difference>),
}

/// One key with its old and its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// As it is written in the file.
    pub key: &'static str,
    /// The running value.
    pub from: String,
    /// The wanted value.
    pub to: String,
    /// What it may cost that does not lie in our hands, or asks of the neighbor.
    pub advice: Option<&'static str>,
}

impl Change {
    /// Whether something ends that somebody relies on: routers lose our routes for a moment, a path is not watched, or a
    /// service goes that nobody has removed.
    #[must_use]
    pub fn interrupts(&self) -> bool {
        match self {
            Self::RemovePeer(_)
            | Self::RestartPeer(..)
            | Self::SwitchPeer(..)
            | Self::RemoveBfdSession(_)
            | Self::RestartBfdSession(..)
            | Self::SwitchBfdSession(..)
            | Self::Contradict(..)
            | Self::AwaitInterface(_) => true,
            Self::UpdatePeer(_, differences) => differences.iter().any(bfd::ends_session),
            _ => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supersede(what) => f.write_str(what),
            Self::UpdateSpeaker(differences) => write!(f, "speaker: {}", Listed(differences)),
            Self::UpdateLog(differences) => write!(f, "log: {}", Listed(differences)),
            Self::UpdateBfd(differences) => write!(f, "bfd: {}", Listed(differences)),
            Self::AddPeer(name) => write!(f, "peer {name}: added"),
            Self::RemovePeer(name) => write!(f, "peer {name}: removed, its session ends"),
            Self::UpdatePeer(name, differences) => {
                write!(f, "peer {name}: updated in place: {}", Listed(differences))?;
                write_advice(f, differences)
            }
            Self::RestartPeer(name, differences) => {
                write!(f, "peer {name}: session restarts: {}", Listed(differences))
            }
            Self::SwitchPeer(name, differences) => {
                write!(f, "peer {name}: {}", Listed(differences))?;
                f.write_str(switched(
                    differences,
                    [", its session ends and stays down", ", its session begins"],
                ))
            }
            Self::AddRange(name) => write!(f, "peer-range {name}: added"),
            Self::RemoveRange(name) => write!(f, "peer-range {name}: removed"),
            Self::UpdateRange(name, differences) => {
                write!(f, "peer-range {name}: updated: {}", Listed(differences))?;
                write_advice(f, differences)
            }
            Self::AddBfdSession(name) => write!(f, "bfd-session {name}: added"),
            Self::RemoveBfdSession(name) => {
                write!(f, "bfd-session {name}: removed, it ends with AdminDown")
            }
            Self::UpdateBfdSession(name, differences) => {
                write!(
                    f,
                    "bfd-session {name}: updated in place: {}",
                    Listed(differences)
                )?;
                write_advice(f, differences)
            }
            Self::RestartBfdSession(name, differences) => write!(
                f,
                "bfd-session {name}: begins anew between other ends: {}",
                Listed(differences)
            ),
            Self::SwitchBfdSession(name, differences) => {
                write!(f, "bfd-session {name}: {}", Listed(differences))?;
                f.write_str(switched(
                    differences,
                    [", it ends with AdminDown and stays down", ", it begins"],
                ))
            }
            Self::AddBfdRange(name) => write!(f, "bfd-range {name}: added"),
            Self::RemoveBfdRange(name) => {
                write!(
                    f,
                    "bfd-range {name}: removed, its sessions end with AdminDown"
                )
            }
            Self::UpdateBfdRange(name, differences) => {
                write!(f, "bfd-range {name}: updated: {}", Listed(differences))
            }
            Self::AddPool(name) => write!(f, "pool {name}: added"),
            Self::RemovePool(name) => write!(f, "pool {name}: removed"),
            Self::UpdatePool(name, differences) => {
                write!(f, "pool {name}: {}", Listed(differences))
            }
            Self::AddService(name) => write!(f, "service {name}: added"),
            Self::RemoveService(name) => write!(f, "service {name}: removed"),
            Self::UpdateService(name, differences) => service::write_update(f, name, differences),
            Self::Reassign(name, reassignment) => write!(f, "service {name}: {reassignment}"),
            Self::AwaitInterface(name) => write!(
                f,
                "address-interface: there is no interface {name}; addresses stay where they are, and are added to it when it comes"
            ),
            Self::Contradict(name, text) => write!(f, "service {name}: {text}"),
            Self::AddRoute(prefix) => write!(f, "route {prefix}: added"),
            Self::RemoveRoute(prefix) => write!(f, "route {prefix}: removed"),
            Self::UpdateRoute(prefix) => write!(f, "route {prefix}: attributes or peers changed"),
            Self::AddAdvertisement(label) => write!(f, "advertisement {label}: added"),
            Self::RemoveAdvertisement(label) => write!(f, "advertisement {label}: removed"),
            Self::UpdateAdvertisement(label, differences) => {
                write!(f, "advertisement {label}: {}", Listed(differences))
            }
            Self::ReorderAdvertisements => f.write_str("advertisements: in another order"),
            Self::UpdateHooks => f.write_str("hooks: changed"),
            Self::Unprivileged(text) => f.write_str(text),
            Self::NextStart(differences) => {
                write!(f, "takes a restart of the daemon: {}", Listed(differences))
            }
        }
    }
}

/// Each advice once.
fn write_advice(f: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    let all: BTreeSet<&str> = differences.iter().filter_map(|it| it.advice).collect();
    all.iter().try_for_each(|advice| write!(f, " ({advice})"))
}

/// What it means that `enabled` turns `false`, or `true`.
fn switched(differences: &[Difference], means: [&'static str; 2]) -> &'static str {
    let [off, on] = means;
    let enabled = differences.iter().find(|it| it.key == "enabled");
    match enabled.map(|it| it.to.as_str()) {
        Some("false") => off,
        Some(_) => on,
        None => "",
    }
}

struct Listed<'d>(&'d [Difference]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            let Difference { key, from, to, .. } = difference;
            let comma = if index > 0 { ", " } else { "" };
            // Arguments of programs may be secrets, and are not shown.
            match from == to {
                true => write!(f, "{comma}{key} {from} with other arguments")?,
                false => write!(f, "{comma}{key} {from} -> {to}")?,
            }
        }
        Ok(())
    }
}

/// The steps from one configuration to the other, in the order in which they are best taken: what
/// goes, goes first.
#[must_use]
pub fn plan(running: &Config, wanted: &Config) -> Vec<Change> {
    let Config {
        speaker,
        api,
        bfd,
        log,
        peers,
        ranges,
        bfd_sessions,
        bfd_ranges,
        pools,
        services,
        routes,
        advertisements,
        hooks,
    } = wanted;
    let mut changes = Vec::new();
    let mut next_start = Vec::new();
    plan_speaker(&running.speaker, speaker, &mut changes, &mut next_start);
    plan_log(running.log, *log, &mut changes, &mut next_start);
    plan_api(&running.api, api, &mut next_start);
    plan_bfd(&running.bfd, bfd, &mut changes, &mut next_start);
    changes.extend(plan_map(
        &running.peers,
        peers,
        Change::AddPeer,
        Change::RemovePeer,
        |name, running_peer, wanted_peer| {
            let mut differences = peer_differences(running_peer, wanted_peer);
            differences.compare(
                Effect::Restart,
                "router-id",
                &running.speaker.router_id,
                &speaker.router_id,
            );
            differences.change(name.clone())
        },
    ));
    changes.extend(plan_map(
        &running.ranges,
        ranges,
        Change::AddRange,
        Change::RemoveRange,
        |name, running, wanted| {
            let found = range_differences(running, wanted);
            (!found.is_empty()).then(|| Change::UpdateRange(name.clone(), found))
        },
    ));
    changes.extend(bfd_session::plan(&running.bfd_sessions, bfd_sessions));
    changes.extend(bfd_range::plan(&running.bfd_ranges, bfd_ranges));
    changes.extend(pool::plan(&running.pools, pools));
    changes.extend(plan_map(
        &running.services,
        services,
        Change::AddService,
        Change::RemoveService,
        service::update,
    ));
    changes.extend(plan_map(
        &running.routes,
        routes,
        Change::AddRoute,
        Change::RemoveRoute,
        |prefix, running, wanted| (running != wanted).then_some(Change::UpdateRoute(*prefix)),
    ));
    changes.extend(advertisement::plan(&running.advertisements, advertisements));
    if running.hooks != *hooks {
        changes.push(Change::UpdateHooks);
    }
    if !next_start.is_empty() {
        changes.push(Change::NextStart(next_start));
    }
    changes
}

/// Gives a configuration that comes from a file the dynamic peers of the running one, each as the
/// file would have it; those whom it would not let in are left out.
#[must_use]
pub fn with_dynamic_peers(running: &Config, mut wanted: Config) -> Config {
    let dynamic = running.peers.values().filter(|peer| peer.range.is_some());
    for peer in dynamic {
        if let Some((name, peer)) = wanted.dynamic_peer(peer.ip())
            && peer.enabled
        {
            wanted.peers.insert(name, peer);
        }
    }
    wanted
}

fn range_differences(running: &RangeConfig, wanted: &RangeConfig) -> Vec<Difference> {
    let RangeConfig {
        prefix,
        limit,
        peer,
    } = wanted;
    let mut found = Vec::new();
    compare(&mut found, "prefix", &running.prefix, prefix);
    compare(&mut found, "limit", &running.limit, limit);
    let of_peer = peer_differences(&running.peer, peer).found;
    // The address stands for the prefix.
    found.extend(of_peer.into_iter().filter(|it| it.key != "address"));
    found
}

/// Carries the steps over into the running configuration. What takes a restart of the daemon stays
/// as it runs.
pub fn apply(running: &mut Config, wanted: &Config, changes: &[Change]) {
    for change in changes {
        match change {
            Change::UpdateSpeaker(_) => {
                running.speaker = SpeakerConfig {
                    state_dir: running.speaker.state_dir.clone(),
                    ..wanted.speaker.clone()
                };
            }
            Change::UpdateLog(_) => running.log.level = wanted.log.level,
            Change::UpdateBfd(_) => {
                running.bfd.realtime = wanted.bfd.realtime;
                running.bfd.lock_memory = wanted.bfd.lock_memory;
            }
            Change::AddPeer(name)
            | Change::RemovePeer(name)
            | Change::UpdatePeer(name, _)
            | Change::RestartPeer(name, _)
            | Change::SwitchPeer(name, _) => adopt(&mut running.peers, &wanted.peers, name),
            Change::AddRange(name) | Change::RemoveRange(name) | Change::UpdateRange(name, _) => {
                adopt(&mut running.ranges, &wanted.ranges, name);
            }
            Change::AddBfdSession(name)
            | Change::RemoveBfdSession(name)
            | Change::UpdateBfdSession(name, _)
            | Change::RestartBfdSession(name, _)
            | Change::SwitchBfdSession(name, _) => {
                adopt(&mut running.bfd_sessions, &wanted.bfd_sessions, name);
            }
            Change::AddBfdRange(name)
            | Change::RemoveBfdRange(name)
            | Change::UpdateBfdRange(name, _) => {
                adopt(&mut running.bfd_ranges, &wanted.bfd_ranges, name);
            }
            Change::AddPool(name) | Change::RemovePool(name) | Change::UpdatePool(name, _) => {
                adopt(&mut running.pools, &wanted.pools, name);
            }
            Change::AddService(name)
            | Change::RemoveService(name)
            | Change::UpdateService(name, _) => {
                adopt(&mut running.services, &wanted.services, name)
            }
            Change::AddRoute(prefix)
            | Change::RemoveRoute(prefix)
            | Change::UpdateRoute(prefix) => adopt(&mut running.routes, &wanted.routes, prefix),
            Change::AddAdvertisement(_)
            | Change::RemoveAdvertisement(_)
            | Change::UpdateAdvertisement(..)
            | Change::ReorderAdvertisements => {
                running.advertisements.clone_from(&wanted.advertisements);
            }
            Change::UpdateHooks => running.hooks.clone_from(&wanted.hooks),
            Change::Supersede(_)
            | Change::Reassign(..)
            | Change::Contradict(..)
            | Change::AwaitInterface(_)
            | Change::Unprivileged(_)
            | Change::NextStart(_) => {}
        }
    }
}

/// Says beside what makes it so what services have of the pools from then on.
pub fn add_reassignments(
    changes: &mut Vec<Change>,
    reassignments: BTreeMap<ServiceName, Reassignment>,
) {
    let reassignments = reassignments.into_iter();
    let reassignments = reassignments.map(|(name, it)| Change::Reassign(name, it));
    let at = changes.iter().position(|change| {
        use Change::{
            AddAdvertisement, AddRoute, NextStart, RemoveAdvertisement, RemoveRoute,
            ReorderAdvertisements, UpdateAdvertisement, UpdateHooks, UpdateRoute,
        };
        matches!(
            change,
            AddRoute(_)
                | RemoveRoute(_)
                | UpdateRoute(_)
                | AddAdvertisement(_)
                | RemoveAdvertisement(_)
                | UpdateAdvertisement(..)
                | ReorderAdvertisements
                | UpdateHooks
                | NextStart(_)
        )
    });
    let at = at.unwrap_or(changes.len());
    changes.splice(at..at, reassignments);
}

fn adopt<K: Ord + Clone, V: Clone>(running: &mut BTreeMap<K, V>, wanted: &BTreeMap<K, V>, key: &K) {
    match wanted.get(key) {
        Some(value) => running.insert(key.clone(), value.clone()),
        None => running.remove(key),
    };
}

fn plan_speaker(
    running: &SpeakerConfig,
    wanted: &SpeakerConfig,
    changes: &mut Vec<Change>,
    next_start: &mut Vec<Difference>,
) {
    let SpeakerConfig {
        local_as,
        router_id,
        listen,
        state_dir,
        on_exit,
        drain_time,
        reload_on_change,
        address_interface,
        blackhole,
    } = wanted;
    let mut found = Vec::new();
    let asn = |asn: &Option<Asn>| asn.map_or_else(|| "none".to_owned(), |asn| asn.to_string());
    compare(
        &mut found,
        "local-as",
        &asn(&running.local_as),
        &asn(local_as),
    );
    compare(&mut found, "router-id", &running.router_id, router_id);
    compare(&mut found, "listen", &running.listen, listen);
    compare(&mut found, "on-exit", &running.on_exit, on_exit);
    compare(&mut found, "drain-time", &running.drain_time, drain_time);
    compare(
        &mut found,
        "reload-on-change",
        &running.reload_on_change,
        reload_on_change,
    );
    let interface = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    compare(
        &mut found,
        "address-interface",
        &interface(&running.address_interface),
        &interface(address_interface),
    );
    compare(
        &mut found,
        "blackhole-length",
        &running.blackhole.v4,
        &blackhole.v4,
    );
    compare(
        &mut found,
        "blackhole-length-v6",
        &running.blackhole.v6,
        &blackhole.v6,
    );
    if !found.is_empty() {
        changes.push(Change::UpdateSpeaker(found));
    }
    compare(
        next_start,
        "[speaker] state-dir",
        &running.state_dir,
        state_dir,
    );
}

fn plan_log(
    running: LogConfig,
    wanted: LogConfig,
    changes: &mut Vec<Change>,
    next_start: &mut Vec<Difference>,
) {
    let LogConfig { level, format } = wanted;
    let mut found = Vec::new();
    compare(&mut found, "level", &running.level, &level);
    if !found.is_empty() {
        changes.push(Change::UpdateLog(found));
    }
    compare(next_start, "[log] format", &running.format, &format);
}

fn plan_api(running: &ApiConfig, wanted: &ApiConfig, next_start: &mut Vec<Difference>) {
    let ApiConfig {
        socket,
        socket_mode,
        socket_owner,
        socket_group,
        listen,
    } = wanted;
    compare(next_start, "[api] socket", &running.socket, socket);
    compare(
        next_start,
        "[api] socket-mode",
        &running.socket_mode,
        socket_mode,
    );
    compare(
        next_start,
        "[api] socket-owner",
        &running.socket_owner,
        socket_owner,
    );
    compare(
        next_start,
        "[api] socket-group",
        &running.socket_group,
        socket_group,
    );
    compare(next_start, "[api] listen", &running.listen, listen);
}

fn plan_bfd(
    running: &BfdConfig,
    wanted: &BfdConfig,
    changes: &mut Vec<Change>,
    next_start: &mut Vec<Difference>,
) {
    let BfdConfig {
        listen,
        multihop_listen,
        realtime,
        lock_memory,
    } = wanted;
    let mut found = Vec::new();
    compare(&mut found, "realtime", &running.realtime, realtime);
    compare(&mut found, "lock-memory", &running.lock_memory, lock_memory);
    if !found.is_empty() {
        changes.push(Change::UpdateBfd(found));
    }
    compare(next_start, "[bfd] listen", &running.listen, listen);
    compare(
        next_start,
        "[bfd] multihop-listen",
        &running.multihop_listen,
        multihop_listen,
    );
}

fn plan_map<K: Ord + Clone, V>(
    running: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    add: impl Fn(K) -> Change,
    remove: impl Fn(K) -> Change,
    update: impl Fn(&K, &V, &V) -> Option<Change>,
) -> Vec<Change> {
    let (mut gone, mut rest) = (Vec::new(), Vec::new());
    // Both are in order: there may be very many, of which few differ.
    let mut running = running.iter().peekable();
    for (key, value) in wanted {
        while let Some((former, _)) = running.next_if(|(former, _)| *former < key) {
            gone.push(remove(former.clone()));
        }
        rest.extend(match running.next_if(|(former, _)| *former == key) {
            Some((_, running)) => update(key, running, value),
            None => Some(add(key.clone())),
        });
    }
    gone.extend(running.map(|(former, _)| remove(former.clone())));
    gone.append(&mut rest);
    gone
}

/// What a difference costs, the dearer the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    InPlace,
    Restart,
    Switch,
}

#[derive(Debug, Default)]
struct Differences {
    effect: Option<Effect>,
    found: Vec<Difference>,
}

impl Differences {
    /// Takes note where the values differ.
    fn compare<T: PartialEq + Shown>(
        &mut self,
        effect: Effect,
        key: &'static str,
        running: &T,
        wanted: &T,
    ) {
        if running != wanted {
            compare(&mut self.found, key, running, wanted);
            self.effect = self.effect.max(Some(effect));
        }
    }

    fn names(&self, key: &str) -> bool {
        self.found.iter().any(|difference| difference.key == key)
    }

    /// [`compare`](Self::compare), with something to say of the difference.
    fn compare_advising<T: PartialEq + Shown>(
        &mut self,
        effect: Effect,
        key: &'static str,
        running: &T,
        wanted: &T,
        advice: &'static str,
    ) {
        if running != wanted {
            self.compare(effect, key, running, wanted);
            if let Some(found) = self.found.last_mut() {
                found.advice = Some(advice);
            }
        }
    }

    fn change(self, name: PeerName) -> Option<Change> {
        Some(match self.effect? {
            Effect::InPlace => Change::UpdatePeer(name, self.found),
            Effect::Restart => Change::RestartPeer(name, self.found),
            Effect::Switch => Change::SwitchPeer(name, self.found),
        })
    }
}

fn peer_differences(running: &PeerConfig, wanted: &PeerConfig) -> Differences {
    use Effect::{InPlace, Restart, Switch};
    let PeerConfig {
        range: _,
        address,
        port,
        remote_as,
        local_as,
        hold_time,
        keepalive_time,
        connect_retry_time,
        delay_open_time,
        graceful_restart,
        send_hold_time,
        source_address,
        source_interface,
        passive,
        ebgp_multihop,
        ttl_security,
        password,
        dscp,
        families,
        bfd,
        enabled,
        description,
        hostname,
        capture,
        import,
        export,
    } = wanted;
    let mut found = Differences::default();
    let old = running;
    found.compare(Switch, "enabled", &old.enabled, enabled);
    // The transport.
    found.compare(Restart, "address", &old.address, address);
    found.compare(Restart, "port", &old.port, port);
    found.compare(
        Restart,
        "source-address",
        &old.source_address,
        source_address,
    );
    found.compare(
        Restart,
        "source-interface",
        &old.source_interface,
        source_interface,
    );
    found.compare(Restart, "ebgp-multihop", &old.ebgp_multihop, ebgp_multihop);
    found.compare(Restart, "ttl-security", &old.ttl_security, ttl_security);
    found.compare(Restart, "dscp", &old.dscp, dscp);
    // The OPEN (RFC 4271 §4.2), and whom we accept one from.
    found.compare(Restart, "local-as", &old.local_as, local_as);
    found.compare(Restart, "remote-as", &old.remote_as, remote_as);
    found.compare(Restart, "hold-time", &old.hold_time, hold_time);
    found.compare(Restart, "families", &old.families, families);
    // Both sides must change it before the hold timer of either ends.
    compare_password(&mut found, old.password.as_ref(), password.as_ref());
    found.compare(
        Restart,
        "graceful-restart",
        &old.graceful_restart,
        graceful_restart,
    );
    // Ours alone.
    found.compare(
        InPlace,
        "keepalive-time",
        &old.keepalive_time,
        keepalive_time,
    );
    found.compare(
        InPlace,
        "connect-retry-time",
        &old.connect_retry_time,
        connect_retry_time,
    );
    found.compare(
        InPlace,
        "delay-open-time",
        &old.delay_open_time,
        delay_open_time,
    );
    found.compare(
        InPlace,
        "send-hold-time",
        &old.send_hold_time,
        send_hold_time,
    );
    found.compare(InPlace, "passive", &old.passive, passive);
    found.compare(InPlace, "description", &old.description, description);
    // The next OPEN says it, and it is worth no session.
    found.compare(InPlace, "hostname", &old.hostname, hostname);
    found.compare(InPlace, "capture", &old.capture, capture);
    compare_import(&mut found, &old.import, import);
    compare_export(&mut found, &old.export, export);
    bfd::compare_peer(&mut found, old.bfd.as_ref(), bfd.as_ref());
    found
}

/// Where it takes routes that have gone by, the peer is asked for them once more (RFC 2918).
fn compare_export(found: &mut Differences, running: &ExportConfig, wanted: &ExportConfig) {
    use Effect::{InPlace, Restart};
    let ExportConfig {
        next_hop_v4,
        next_hop_v6,
        link_local_next_hop,
        extended_next_hop,
        add_path,
        role,
        role_strict,
    } = wanted;
    let old = running;
    found.compare(InPlace, "next-hop", &old.next_hop_v4, next_hop_v4);
    found.compare(InPlace, "next-hop", &old.next_hop_v6, next_hop_v6);
    found.compare(
        InPlace,
        "link-local-next-hop",
        &old.link_local_next_hop,
        link_local_next_hop,
    );
    // The OPEN says these.
    found.compare(
        Restart,
        "extended-next-hop",
        &old.extended_next_hop,
        extended_next_hop,
    );
    found.compare(Restart, "add-path", &old.add_path, add_path);
    found.compare(Restart, "role", &old.role, role);
    // It decides about the neighbor's next OPEN.
    found.compare(InPlace, "role-strict", &old.role_strict, role_strict);
}

fn compare_import(found: &mut Differences, running: &ImportConfig, wanted: &ImportConfig) {
    use Effect::InPlace;
    let ImportConfig {
        received_routes,
        prefix_limits,
        enforce_first_as,
    } = wanted;
    found.compare(
        InPlace,
        "received-routes",
        &running.received_routes,
        received_routes,
    );
    let PrefixLimits {
        families,
        warning_percent,
        restart,
    } = prefix_limits;
    let old = &running.prefix_limits;
    found.compare(InPlace, "max-prefixes", &old.families, families);
    found.compare(
        InPlace,
        "max-prefixes-warning",
        &old.warning_percent,
        warning_percent,
    );
    found.compare(
        InPlace,
        "max-prefixes-restart",
        &Never(old.restart),
        &Never(*restart),
    );
    found.compare(
        InPlace,
        "enforce-first-as",
        &running.enforce_first_as,
        enforce_first_as,
    );
}

/// The key changes on running connections. What it is, is not said.
fn compare_password(
    found: &mut Differences,
    running: Option<&Password>,
    wanted: Option<&Password>,
) {
    if running != wanted {
        let file = |password: Option<&Password>| {
            password.map_or_else(|| "none".to_owned(), ToString::to_string)
        };
        let (from, mut to) = (file(running), file(wanted));
        if from == to {
            to.push_str(" (with another key)");
        }
        found.compare_advising(
            Effect::InPlace,
            "password-file",
            &from,
            &to,
            PASSWORD_ADVICE,
        );
    }
}

fn compare<T: PartialEq + Shown>(
    found: &mut Vec<Difference>,
    key: &'static str,
    running: &T,
    wanted: &T,
) {
    if running != wanted {
        found.push(Difference {
            key,
            from: running.shown(),
            to: wanted.shown(),
            advice: None,
        });
    }
}

#[cfg(test)]
mod tests;
