//! What a new configuration means for a running speaker: a pure difference, said in words before it
//! is applied.
//!
//! Every field is classified by destructuring, so that a new one does not compile until somebody
//! has decided what its change costs. Only what is part of the OPEN or of the transport restarts a
//! session; the rest is changed in place.

mod bfd_session;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use bgp::wire::AddPathDirection;
use bgp::{
    Asn, BgpIdentifier, Family, HoldTime, LinkLocalNextHop, PrefixLimits, ReceivedRoutes, RemoteAs,
    RestartConfig, Role,
};
use ipnet::IpNet;

use crate::config::{
    ApiConfig, BfdAuth, BfdConfig, BfdHops, BfdName, BfdProfile, Config, ExportConfig,
    ImportConfig, LogConfig, OnExit, Password, PeerAddress, PeerBfd, PeerConfig, PeerHops,
    PeerName, RangeConfig, ServiceName, SpeakerConfig, link_local_next_hop_name,
};

/// The key whose change concerns both ends.
const PASSWORD_FILE: &str = "password-file";
const BFD_AUTH: &str = "auth";
/// What is said of a key that we send with and did not accept before.
const ANOTHER_BFD_KEY: &str = ", the first another key than before";

/// One step from the running configuration to the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
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
    /// Addresses are announced.
    AddService(ServiceName),
    /// Addresses are withdrawn.
    RemoveService(ServiceName),
    /// Some addresses are announced, others are withdrawn.
    UpdateService(ServiceName),
    /// A prefix is announced.
    AddRoute(IpNet),
    /// A prefix is withdrawn.
    RemoveRoute(IpNet),
    /// A prefix is announced with other attributes, or to others.
    UpdateRoute(IpNet),
    /// Services are announced with other attributes, or to others.
    UpdateAdvertisements,
    /// Other programs are run, or they are run otherwise.
    UpdateHooks,
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
}

impl Difference {
    fn ends_bfd(&self) -> bool {
        self.key == "bfd-profile" && self.to == BfdProfile::NONE
    }

    /// What the neighbor has to do when keys change. The type is the first word of either value.
    fn bfd_auth_advice(&self) -> Option<&'static str> {
        if self.key != BFD_AUTH {
            return None;
        }
        let auth_type = |text: &str| text.split(' ').next().map(str::to_owned);
        if auth_type(&self.from) != auth_type(&self.to) {
            Some("BFD goes down unless the peer does the same within the detection time")
        } else if self.to.ends_with(ANOTHER_BFD_KEY) {
            Some("BFD goes down unless the peer accepts the key that we send with")
        } else {
            None
        }
    }
}

impl Change {
    /// Whether routers lose our routes for a moment.
    #[must_use]
    pub const fn interrupts(&self) -> bool {
        matches!(
            self,
            Self::RemovePeer(_) | Self::RestartPeer(..) | Self::SwitchPeer(..)
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpdateSpeaker(differences) => write!(f, "speaker: {}", Listed(differences)),
            Self::UpdateLog(differences) => write!(f, "log: {}", Listed(differences)),
            Self::UpdateBfd(differences) => write!(f, "bfd: {}", Listed(differences)),
            Self::AddPeer(name) => write!(f, "peer {name}: added"),
            Self::RemovePeer(name) => write!(f, "peer {name}: removed, its session ends"),
            Self::UpdatePeer(name, differences) => {
                write!(f, "peer {name}: updated in place: {}", Listed(differences))?;
                if differences.iter().any(Difference::ends_bfd) {
                    f.write_str(" (a router may end BGP when BFD goes, and wait for BFD to come back; FRR 10.3 does)")?;
                }
                if let Some(advice) = differences.iter().find_map(Difference::bfd_auth_advice) {
                    write!(f, " ({advice})")?;
                }
                if differences.iter().any(|it| it.key == PASSWORD_FILE) {
                    f.write_str(" (the peer must have the new key within the hold time)")?;
                }
                Ok(())
            }
            Self::RestartPeer(name, differences) => {
                write!(f, "peer {name}: session restarts: {}", Listed(differences))
            }
            Self::SwitchPeer(name, differences) => {
                write!(f, "peer {name}: {}", Listed(differences))
            }
            Self::AddRange(name) => write!(f, "peer-range {name}: added"),
            Self::RemoveRange(name) => write!(f, "peer-range {name}: removed"),
            Self::UpdateRange(name, differences) => {
                write!(f, "peer-range {name}: updated: {}", Listed(differences))
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
                if let Some(advice) = differences.iter().find_map(Difference::bfd_auth_advice) {
                    write!(f, " ({advice})")?;
                }
                Ok(())
            }
            Self::RestartBfdSession(name, differences) => write!(
                f,
                "bfd-session {name}: begins anew between other ends: {}",
                Listed(differences)
            ),
            Self::SwitchBfdSession(name, differences) => {
                write!(f, "bfd-session {name}: {}", Listed(differences))
            }
            Self::AddService(name) => write!(f, "service {name}: added"),
            Self::RemoveService(name) => write!(f, "service {name}: removed"),
            Self::UpdateService(name) => write!(f, "service {name}: addresses changed"),
            Self::AddRoute(prefix) => write!(f, "route {prefix}: added"),
            Self::RemoveRoute(prefix) => write!(f, "route {prefix}: removed"),
            Self::UpdateRoute(prefix) => write!(f, "route {prefix}: attributes or peers changed"),
            Self::UpdateAdvertisements => f.write_str("advertisements: changed"),
            Self::UpdateHooks => f.write_str("hooks: changed"),
            Self::NextStart(differences) => {
                write!(f, "takes a restart of the daemon: {}", Listed(differences))
            }
        }
    }
}

struct Listed<'d>(&'d [Difference]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Difference { key, from, to }) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{key} {from} -> {to}")?;
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
            differences.change(name)
        },
    ));
    changes.extend(plan_map(
        &running.ranges,
        ranges,
        Change::AddRange,
        Change::RemoveRange,
        |name, running, wanted| {
            let found = range_differences(running, wanted);
            (!found.is_empty()).then_some(Change::UpdateRange(name, found))
        },
    ));
    changes.extend(bfd_session::plan(&running.bfd_sessions, bfd_sessions));
    changes.extend(plan_map(
        &running.services,
        services,
        Change::AddService,
        Change::RemoveService,
        |name, running, wanted| (running != wanted).then_some(Change::UpdateService(name)),
    ));
    changes.extend(plan_map(
        &running.routes,
        routes,
        Change::AddRoute,
        Change::RemoveRoute,
        |prefix, running, wanted| (running != wanted).then_some(Change::UpdateRoute(prefix)),
    ));
    if running.advertisements != *advertisements {
        changes.push(Change::UpdateAdvertisements);
    }
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
            Change::AddService(name)
            | Change::RemoveService(name)
            | Change::UpdateService(name) => adopt(&mut running.services, &wanted.services, name),
            Change::AddRoute(prefix)
            | Change::RemoveRoute(prefix)
            | Change::UpdateRoute(prefix) => adopt(&mut running.routes, &wanted.routes, prefix),
            Change::UpdateAdvertisements => {
                running.advertisements.clone_from(&wanted.advertisements);
            }
            Change::UpdateHooks => running.hooks.clone_from(&wanted.hooks),
            Change::NextStart(_) => {}
        }
    }
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
    let ApiConfig { socket, listen } = wanted;
    compare(next_start, "[api] socket", &running.socket, socket);
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
    update: impl Fn(K, &V, &V) -> Option<Change>,
) -> Vec<Change> {
    let gone = running.keys().filter(|key| !wanted.contains_key(key));
    let gone: Vec<Change> = gone.cloned().map(remove).collect();
    let rest = wanted
        .iter()
        .filter_map(|(key, value)| match running.get(key) {
            Some(running) => update(key.clone(), running, value),
            None => Some(add(key.clone())),
        });
    gone.into_iter().chain(rest).collect()
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
    compare_import(&mut found, &old.import, import);
    compare_export(&mut found, &old.export, export);
    compare_bfd(&mut found, old.bfd.as_ref(), bfd.as_ref());
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
        found.compare(Effect::InPlace, PASSWORD_FILE, &from, &to);
    }
}

/// A roll-over needs no reset: the engine sends with the first key and accepts each. What the keys are, is not said.
fn compare_bfd_auth(found: &mut Differences, running: Option<&BfdAuth>, wanted: Option<&BfdAuth>) {
    if running == wanted {
        return;
    }
    let text = |auth: Option<&BfdAuth>| auth.map_or_else(|| "none".to_owned(), ToString::to_string);
    let (from, mut to) = (text(running), text(wanted));
    if let (Some(running), Some(wanted)) = (running, wanted)
        && wanted.sends_what_is_new_to(running)
    {
        to.push_str(ANOTHER_BFD_KEY);
    } else if from == to {
        to.push_str(", of which one that we accept is another");
    }
    found.compare(Effect::InPlace, BFD_AUTH, &from, &to);
}

/// A BFD session that goes, goes as AdminDown, which is no failure (RFC 5882 §4.2). BGP stays in either case.
fn compare_bfd(found: &mut Differences, running: Option<&PeerBfd>, wanted: Option<&PeerBfd>) {
    use Effect::InPlace;
    // It is in the OPEN.
    let is_strict = |bfd: Option<&PeerBfd>| bfd.is_some_and(|bfd| bfd.strict.is_some());
    let (strict_before, strict) = (is_strict(running), is_strict(wanted));
    found.compare(Effect::Restart, "bfd-strict", &strict_before, &strict);
    let (Some(running), Some(wanted)) = (running, wanted) else {
        let name = |bfd: Option<&PeerBfd>| {
            bfd.map_or_else(
                || BfdProfile::NONE.to_owned(),
                |bfd| bfd.profile.name.clone(),
            )
        };
        found.compare(InPlace, "bfd-profile", &name(running), &name(wanted));
        return;
    };
    let PeerBfd {
        profile,
        hops,
        port,
        strict,
    } = wanted;
    if let (Some(running), Some(wanted)) = (running.strict, *strict) {
        found.compare(InPlace, "bfd-strict-hold-time", &running, &wanted);
    }
    found.compare(InPlace, "bfd-multihop", &running.hops, hops);
    found.compare(InPlace, "bfd-port", &running.port, port);
    compare_profile(found, &running.profile, profile);
}

/// New timers are agreed upon by a Poll Sequence (RFC 5880 §6.8.3).
fn compare_profile(found: &mut Differences, old: &BfdProfile, wanted: &BfdProfile) {
    use Effect::InPlace;
    let BfdProfile {
        name,
        transmit_interval,
        receive_interval,
        detect_multiplier,
        passive_mode,
        demand_mode,
        demand_poll_interval,
        echo_mode,
        echo_interval,
        echo_receive_interval,
        minimum_ttl,
        auth,
    } = wanted;
    found.compare(InPlace, "bfd-profile", &old.name, name);
    found.compare(
        InPlace,
        "transmit-interval",
        &old.transmit_interval,
        transmit_interval,
    );
    found.compare(
        InPlace,
        "receive-interval",
        &old.receive_interval,
        receive_interval,
    );
    found.compare(
        InPlace,
        "detect-multiplier",
        &old.detect_multiplier.get(),
        &detect_multiplier.get(),
    );
    found.compare(InPlace, "passive-mode", &old.passive_mode, passive_mode);
    found.compare(InPlace, "demand-mode", &old.demand_mode, demand_mode);
    found.compare(
        InPlace,
        "demand-poll-interval",
        &old.demand_poll_interval,
        demand_poll_interval,
    );
    found.compare(InPlace, "echo-mode", &old.echo_mode, echo_mode);
    found.compare(InPlace, "echo-interval", &old.echo_interval, echo_interval);
    found.compare(
        InPlace,
        "echo-receive-interval",
        &old.echo_receive_interval,
        echo_receive_interval,
    );
    let [old_ttl, minimum_ttl] =
        [&old.minimum_ttl, minimum_ttl].map(|ttl| ttl.map(|ttl| ttl.get()));
    found.compare(InPlace, "minimum-ttl", &old_ttl, &minimum_ttl);
    compare_bfd_auth(found, old.auth.as_ref(), auth.as_ref());
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
        });
    }
}

/// How a value is written in a plan: as it is in the file.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown_as_displayed {
    ($($type:ty)*) => {$(
        impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

shown_as_displayed! { AddPathDirection Ipv4Addr Ipv6Addr Role
    u8 u16 bool String Asn BgpIdentifier Family PeerAddress SocketAddr std::net::IpAddr
    std::num::NonZeroU8 std::num::NonZeroU16 IpNet crate::config::LogLevel crate::config::LogFormat
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref()
            .map_or_else(|| "default".to_owned(), Shown::shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> String {
        let parts: Vec<String> = self.iter().map(Shown::shown).collect();
        format!("[{}]", parts.join(", "))
    }
}

impl Shown for std::path::PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Shown for HoldTime {
    fn shown(&self) -> String {
        format!("{}s", self.as_secs())
    }
}

impl Shown for RemoteAs {
    fn shown(&self) -> String {
        match self {
            Self::Is(asn) => asn.to_string(),
            Self::Internal => "internal".to_owned(),
            Self::External => "external".to_owned(),
        }
    }
}

impl Shown for LinkLocalNextHop {
    fn shown(&self) -> String {
        link_local_next_hop_name(*self).to_owned()
    }
}

impl Shown for OnExit {
    fn shown(&self) -> String {
        match self {
            Self::Withdraw => "withdraw".to_owned(),
            Self::Restart => "restart".to_owned(),
        }
    }
}

impl Shown for Option<RestartConfig> {
    fn shown(&self) -> String {
        let Some(restart) = self else {
            return "false".to_owned();
        };
        let restart_time = restart.restart_time.as_secs();
        match restart.long_lived_stale_time.as_secs() {
            0 => format!("{restart_time}s"),
            stale_time => format!("{restart_time}s and {stale_time}s"),
        }
    }
}

impl Shown for ReceivedRoutes {
    fn shown(&self) -> String {
        match self {
            Self::Counted | Self::Reported => "counted".to_owned(),
            Self::Kept(limit) => format!(
                "kept (at most {}, and {} octets of attributes)",
                limit.routes, limit.attribute_octets
            ),
        }
    }
}

impl Shown for BTreeMap<Family, NonZeroU32> {
    fn shown(&self) -> String {
        let limits = self
            .iter()
            .map(|(family, limit)| format!("{family} {limit}"));
        match limits.collect::<Vec<_>>() {
            limits if limits.is_empty() => "0".to_owned(),
            limits => limits.join(" and "),
        }
    }
}

/// A time that may never come.
#[derive(PartialEq)]
struct Never(Option<Duration>);

impl Shown for Never {
    fn shown(&self) -> String {
        self.0
            .as_ref()
            .map_or_else(|| "never".to_owned(), Shown::shown)
    }
}

impl Shown for PeerHops {
    fn shown(&self) -> String {
        match self {
            Self::Fixed(hops) => hops.shown(),
            Self::ByRoute { .. } => "as the route says".to_owned(),
        }
    }
}

impl Shown for BfdHops {
    fn shown(&self) -> String {
        match self {
            Self::Single => "false".to_owned(),
            Self::Multi { minimum_ttl } => format!("true (minimum TTL {minimum_ttl})"),
        }
    }
}

#[cfg(test)]
mod tests;
