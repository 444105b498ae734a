//! The sections of the file, and what must fit together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bgp::RouteAttributes;
use ipnet::IpNet;
use nix::net::if_::if_nametoindex;
use toml::de::{DeTable, DeValue};

mod advertisement;
mod bfd_auth;
mod bfd_range;
mod bfd_session;
mod export;
mod health;
mod hook;
mod import;
mod peer;
mod pool;
mod range;
mod service;

use self::advertisement::{check_advertisements, read_advertisements};
use self::bfd_auth::read_auth;
use self::bfd_range::read_bfd_ranges;
use self::bfd_session::read_bfd_sessions;
use self::hook::read_hooks;
use self::peer::{PEER_PLANS, PeerKeys, Peers, read_peers};
use self::pool::read_pools;
use self::range::{check_keys, read_ranges};
use self::service::read_services;
use super::attributes::{BlackholeLengths, add_community, add_next_hop};
use super::document::{Lines, Located, Report, Section, nearest};
use super::problem::Problem;
use super::{
    ApiConfig, BfdConfig, BfdProfile, Checked, Config, DEFAULT_SOCKET, DEFAULT_STATE_DIR,
    LogConfig, Name, OnExit, PeerName, RouteConfig, ServiceConfig, ServiceName, SpeakerConfig,
    account, value,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// BFD below this needs a quiet host.
const AMBITIOUS_BFD_INTERVAL: Duration = Duration::from_millis(50);

const NO_PROFILE_NAME: &str = "another name, for bfd-profile = \"none\" is for peers without BFD";

/// Reads a whole file. Syntax errors are reported alone: what follows from them would only confuse.
pub(super) fn read(text: &str) -> Result<Checked, Vec<Problem>> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| syntax(text, error, &lines))
            .collect());
    }
    let report = Report::default();
    let config = read_document(Section::new("", 1, table.into_inner(), &lines, &report));
    let (mut errors, mut warnings) = (report.errors.into_inner(), report.warnings.into_inner());
    errors.sort_by_key(|problem| problem.line);
    warnings.sort_by_key(|problem| problem.line);
    match config {
        Some(config) if errors.is_empty() => Ok(Checked { config, warnings }),
        _ => Err(errors),
    }
}

fn syntax(text: &str, error: &toml::de::Error, lines: &Lines) -> Problem {
    let span = error.span();
    let there = span
        .clone()
        .and_then(|span| text.get(span))
        .map(|text| text.trim())
        .filter(|text| (1..=40).contains(&text.len()) && !text.contains('\n'));
    let there = there.map_or_else(String::new, |text| format!(" at `{text}`"));
    Problem {
        line: span.map(|span| lines.line(span.start)),
        section: String::new(),
        key: String::new(),
        text: format!("not TOML: {}{there}", error.message().replace('\n', ", ")),
    }
}

fn read_document(mut document: Section<'_>) -> Option<Config> {
    let has_any = |keys: [&str; 2]| keys.iter().any(|key| document.has(key));
    let speaks_bgp = has_any(["peer", "peer-range"]) || !has_any(["bfd-session", "bfd-range"]);
    let mut daemon = document.take_table("speaker");
    let (speaker, on_exit) = read_speaker(&mut daemon, speaks_bgp);
    let api = read_api(document.take_table("api"));
    let bfd = read_bfd(document.take_table("bfd"));
    let log = read_log(document.take_table("log"));
    let profiles = read_profiles(document.take_tables("bfd-profile", &["name"]));
    let defaults = PeerKeys::read(&mut document.take_table("peer-defaults").plans(PEER_PLANS));
    let mut peers = read_peers(
        document.take_tables("peer", &["name", "address", "interface"]),
        &defaults,
        speaker.as_ref(),
        &bfd,
        &profiles,
    );
    read_ranges(
        document.take_tables("peer-range", &["name", "prefix"]),
        &defaults,
        speaker.as_ref(),
        &bfd,
        &profiles,
        &mut peers,
    );
    let mut names = peers.names.clone();
    let bfd_sessions = read_bfd_sessions(
        document.take_tables("bfd-session", &["name", "address"]),
        &bfd,
        &profiles,
        &peers,
        &mut names,
    );
    let bfd_ranges = read_bfd_ranges(
        document.take_tables("bfd-range", &["name", "prefix"]),
        &profiles,
        &mut names,
    );
    check_keys(&peers, &document);
    warn_if_nobody_keeps(&daemon, on_exit.as_ref(), &peers);
    let pools = read_pools(document.take_tables("pool", &["name"]));
    let services = read_services(
        document.take_tables("service", &["name"]),
        &pools,
        &bfd_sessions,
        &peers,
    );
    let routes = read_routes(
        document.take_tables("route", &["prefix"]),
        &peers,
        &services,
        speaker.as_ref(),
    );
    let (advertisements, advertising) = read_advertisements(
        document.take_tables("advertisement", &["name"]),
        &peers,
        &pools,
        &services,
    );
    let hooks = read_hooks(document.take_tables("hook", &["name"]), &names, &services);
    document.finish();
    let config = Config {
        speaker: speaker?,
        api,
        bfd,
        log,
        peers: peers.configs,
        ranges: peers.ranges,
        bfd_sessions,
        bfd_ranges,
        pools: pools.configs,
        services,
        routes,
        advertisements,
        hooks,
    };
    check_advertisements(&config, &advertising);
    Some(config)
}

/// Who speaks BFD only needs no AS.
fn read_speaker(
    section: &mut Section<'_>,
    speaks_bgp: bool,
) -> (Option<SpeakerConfig>, Option<Located<OnExit>>) {
    let local_as = match speaks_bgp {
        true => section.require(
            "local-as",
            "the AS number of this host, such as 64520",
            value::asn,
        ),
        false => section.take("local-as", value::asn),
    };
    let router_id = section.take("router-id", value::router_id);
    let listen = section.take_list("listen", value::socket_address);
    let state_dir = section.take("state-dir", value::path);
    let on_exit = section.take("on-exit", value::on_exit);
    let drain_time = value::duration_between(Duration::ZERO, 3600 * SECOND);
    let drain_time = section.take("drain-time", drain_time);
    let reload_on_change = section.take("reload-on-change", value::boolean);
    let address_interface = section.take("address-interface", value::interface);
    if let Some(interface) = &address_interface
        && if_nametoindex(interface.value.as_str()).is_err()
    {
        let text = format!(
            "there is no interface {:?} on this host; what is not on the host is not announced before it comes",
            interface.value
        );
        section.warning(interface.line, "address-interface", text);
    }
    let blackhole_v4 = section.take("blackhole-length", value::number_between::<u8>(0, 32));
    let blackhole_v6 = section.take("blackhole-length-v6", value::number_between::<u8>(0, 128));
    let blackhole = BlackholeLengths::default();
    section.finish();
    let is_readable = local_as.is_some() || !speaks_bgp;
    let config = is_readable.then(|| SpeakerConfig {
        local_as: local_as.map(|local_as| local_as.value),
        router_id: router_id.map(|id| id.value),
        listen: values(listen.unwrap_or_default()),
        state_dir: state_dir.map_or_else(|| DEFAULT_STATE_DIR.into(), |dir| dir.value),
        on_exit: on_exit
            .as_ref()
            .map(|on_exit| on_exit.value)
            .unwrap_or_default(),
        drain_time: drain_time.map_or(Duration::ZERO, |time| time.value),
        reload_on_change: reload_on_change.is_some_and(|reload| reload.value),
        address_interface: address_interface.map(|interface| interface.value),
        blackhole: BlackholeLengths {
            v4: blackhole_v4.map_or(blackhole.v4, |length| length.value),
            v6: blackhole_v6.map_or(blackhole.v6, |length| length.value),
        },
    });
    (config, on_exit)
}

/// RFC 4724 §4.2: routes stay with peers that were told beforehand that we may restart.
fn warn_if_nobody_keeps(section: &Section<'_>, on_exit: Option<&Located<OnExit>>, peers: &Peers) {
    let of_ranges = peers.ranges.values().map(|range| &range.peer);
    let mut all = peers.configs.values().chain(of_ranges);
    if let Some(on_exit) = on_exit
        && on_exit.value == OnExit::Restart
        && all.all(|peer| peer.graceful_restart.is_none())
    {
        section.warning(
            on_exit.line,
            "on-exit",
            "\"restart\" does nothing while no [[peer]] and no [[peer-range]] has graceful-restart: \
             nobody would keep our routes"
                .to_owned(),
        );
    }
}

fn read_api(mut section: Section<'_>) -> ApiConfig {
    let socket = section.take("socket", value::path);
    let mode = section.take("socket-mode", account::socket_mode);
    let owner = section.take("socket-owner", account::user);
    let group = section.take("socket-group", account::group);
    let listen = section.take("listen", value::socket_address);
    section.finish();
    if let Some(mode) = &mode
        && mode.value.lets_everybody_in()
    {
        let text = format!(
            "{} lets every user of this host control the daemon; \"0660\" is for its user and group",
            mode.found
        );
        section.warning(mode.line, "socket-mode", text);
    }
    ApiConfig {
        socket: socket.map_or_else(|| DEFAULT_SOCKET.into(), |socket| socket.value),
        socket_mode: mode.map(|mode| mode.value).unwrap_or_default(),
        socket_owner: owner.map(|owner| owner.value),
        socket_group: group.map(|group| group.value),
        listen: listen.map(|listen| listen.value),
    }
}

fn read_bfd(mut section: Section<'_>) -> BfdConfig {
    let listen = section.take_list("listen", value::socket_address);
    let multihop_listen = section.take_list("multihop-listen", value::socket_address);
    let realtime = section.take("realtime", value::boolean);
    let lock_memory = section.take("lock-memory", value::boolean);
    section.finish();
    // Whoever names the addresses for one kind does not want every address for the other.
    let multihop_default = listen.as_ref().map(|_| Vec::new());
    BfdConfig {
        listen: listen.map(values),
        multihop_listen: multihop_listen.map(values).or(multihop_default),
        realtime: realtime.is_some_and(|realtime| realtime.value),
        lock_memory: lock_memory.is_some_and(|lock_memory| lock_memory.value),
    }
}

fn read_log(mut section: Section<'_>) -> LogConfig {
    let level = section.take("level", value::log_level);
    let format = section.take("format", value::log_format);
    section.finish();
    LogConfig {
        level: level.map(|level| level.value).unwrap_or_default(),
        format: format.map(|format| format.value).unwrap_or_default(),
    }
}

fn read_profiles(sections: Vec<Section<'_>>) -> BTreeMap<String, BfdProfile> {
    let mut profiles = BTreeMap::new();
    let mut lines = BTreeMap::new();
    for mut section in sections {
        let interval = value::duration_between(10 * MILLISECOND, 60 * SECOND);
        let name = section.require("name", "the name that peers refer to", value::name::<Name>);
        let transmit_interval = section.take("transmit-interval", &interval);
        let receive_interval = section.take("receive-interval", &interval);
        let detect_multiplier = section.take("detect-multiplier", value::nonzero_octet);
        let passive_mode = section.take("passive-mode", value::boolean);
        let demand_mode = section.take("demand-mode", value::boolean);
        let poll_interval = value::duration_between(100 * MILLISECOND, 3600 * SECOND);
        let demand_poll_interval = section.take("demand-poll-interval", poll_interval);
        let echo_mode = section.take("echo-mode", value::boolean);
        let echo_interval = section.take("echo-interval", &interval);
        let echo_receive_interval = section.take("echo-receive-interval", echo_receive);
        let minimum_ttl = section.take("minimum-ttl", value::nonzero_octet);
        let auth = read_auth(&mut section);
        section.finish();
        for (key, interval) in [
            ("transmit-interval", &transmit_interval),
            ("receive-interval", &receive_interval),
            ("echo-interval", &echo_interval),
        ] {
            warn_if_ambitious(&section, key, interval.as_ref());
        }
        let demand_mode = demand_mode.is_some_and(|demand| demand.value);
        if let (Some(interval), false) = (&demand_poll_interval, demand_mode) {
            section.warning(
                interval.line,
                "demand-poll-interval",
                "means nothing without demand-mode = true".to_owned(),
            );
        }
        let echo_mode = echo_mode.is_some_and(|echo| echo.value);
        if let (Some(interval), false) = (&echo_interval, echo_mode) {
            section.warning(
                interval.line,
                "echo-interval",
                "means nothing without echo-mode = true".to_owned(),
            );
        }
        let echo_interval = echo_interval.map(|interval| interval.value);
        let Some(name) = name else { continue };
        let text = name.value.as_str().to_owned();
        if text == BfdProfile::NONE {
            section.refuse("name", &name, NO_PROFILE_NAME);
        }
        if !unique(&section, "name", &name, text.clone(), &mut lines) {
            continue;
        }
        let standard = BfdProfile::standard();
        profiles.insert(
            text.clone(),
            BfdProfile {
                name: text,
                transmit_interval: transmit_interval
                    .map_or(standard.transmit_interval, |interval| interval.value),
                receive_interval: receive_interval
                    .map_or(standard.receive_interval, |interval| interval.value),
                detect_multiplier: detect_multiplier
                    .map_or(standard.detect_multiplier, |multiplier| multiplier.value),
                passive_mode: passive_mode.is_some_and(|passive| passive.value),
                demand_mode,
                demand_poll_interval: demand_poll_interval
                    .map_or(standard.demand_poll_interval, |interval| interval.value),
                echo_mode,
                echo_interval: echo_interval.unwrap_or(standard.echo_interval),
                echo_receive_interval: match echo_receive_interval {
                    Some(interval) => interval.value,
                    // MetalLB's and FRR's users give one interval for both ways.
                    None if echo_mode => echo_interval.unwrap_or(standard.echo_interval),
                    None => standard.echo_receive_interval,
                },
                minimum_ttl: minimum_ttl.map(|ttl| ttl.value),
                auth,
            },
        );
    }
    profiles
        .entry(BfdProfile::DEFAULT_NAME.to_owned())
        .or_insert_with(BfdProfile::standard);
    profiles
}

/// 0s, for not at all, or from 10 ms to a minute.
fn echo_receive(value: &DeValue<'_>) -> value::Parsed<Duration> {
    let none = |value: &DeValue<'_>| value::duration_between(Duration::ZERO, Duration::ZERO)(value);
    none(value).or_else(|_| {
        value::duration_between(10 * MILLISECOND, 60 * SECOND)(value)
            .map_err(|_| "\"0s\", for none, or a duration from 10ms to 1m, with its unit".into())
    })
}

fn warn_if_ambitious(section: &Section<'_>, key: &str, interval: Option<&Located<Duration>>) {
    if let Some(interval) = interval
        && interval.value < AMBITIOUS_BFD_INTERVAL
    {
        section.warning(
            interval.line,
            key,
            format!(
                "{} is below 50ms: a busy host or router may see failures where there are none",
                interval.found
            ),
        );
    }
}

fn read_routes(
    sections: Vec<Section<'_>>,
    peers: &Peers,
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
    speaker: Option<&SpeakerConfig>,
) -> BTreeMap<IpNet, Arc<RouteConfig>> {
    let blackhole = speaker.map(|speaker| speaker.blackhole).unwrap_or_default();
    let mut routes = BTreeMap::new();
    let mut prefixes = BTreeMap::new();
    let users = services.iter().rev().filter(|_| !sections.is_empty());
    let users: HashMap<IpNet, &ServiceName> = users
        .flat_map(|(name, service)| {
            let addresses = service.addresses.iter();
            addresses.map(move |address| (IpNet::from(*address), name))
        })
        .collect();
    for mut section in sections {
        let prefix = section.require(
            "prefix",
            "the prefix to announce, such as \"198.51.100.0/24\"",
            value::prefix,
        );
        let attributes = read_attributes(&mut section);
        let peers = read_peer_names(&mut section, peers);
        section.finish();
        let Some(prefix) = prefix else { continue };
        if let Err(reason) = blackhole.check(&prefix.value, &attributes) {
            section.error(prefix.line, "communities", reason);
        }
        if let Some(service) = users.get(&prefix.value) {
            section.refuse(
                "prefix",
                &prefix,
                &format!("a prefix that no service announces; [[service]] {service:?} does"),
            );
        }
        if unique(
            &section,
            "prefix",
            &prefix,
            prefix.value.to_string(),
            &mut prefixes,
        ) {
            routes.insert(prefix.value, Arc::new(RouteConfig { attributes, peers }));
        }
    }
    routes
}

fn read_peer_names(section: &mut Section<'_>, peers: &Peers) -> Option<BTreeSet<PeerName>> {
    let wanted = section.take_list("peers", value::name::<PeerName>)?;
    for name in &wanted {
        if peers.names.contains_key(name.value.as_str()) {
            continue;
        }
        let known = peers.names.keys().map(String::as_str);
        let what = "the name of a [[peer]] or [[peer-range]]";
        let expected = one_of(what, name.value.as_str(), known);
        section.refuse("peers", name, &expected);
    }
    Some(wanted.into_iter().map(|name| name.value).collect())
}

fn read_attributes(section: &mut Section<'_>) -> RouteAttributes {
    let local_pref = section.take("local-pref", value::number::<u32>);
    let med = section.take("med", value::number::<u32>);
    let as_path_prepend = section.take("as-path-prepend", value::number_between::<u8>(0, 10));
    let communities = section.take_list("communities", value::community);
    let next_hops = section.take("next-hop", value::next_hops);
    let atomic_aggregate = section.take("atomic-aggregate", value::boolean);
    let aggregator = section.take("aggregator", value::aggregator);
    let mut attributes = RouteAttributes {
        local_pref: local_pref.map(|value| value.value),
        multi_exit_disc: med.map(|value| value.value),
        as_path_prepend: as_path_prepend.map_or(0, |value| value.value),
        atomic_aggregate: atomic_aggregate.is_some_and(|value| value.value),
        aggregator: aggregator.map(|value| value.value),
        ..RouteAttributes::default()
    };
    for community in values(communities.unwrap_or_default()) {
        add_community(&mut attributes, community);
    }
    if let Some(next_hops) = next_hops {
        for next_hop in &next_hops.value {
            if let Err(expected) = add_next_hop(&mut attributes, *next_hop) {
                let text = format!("found {next_hop}; must be {expected}");
                section.error(next_hops.line, "next-hop", text);
            }
        }
    }
    attributes
}

/// Reports a value that was there before; `seen` has the lines of the first ones.
fn unique<T>(
    section: &Section<'_>,
    key: &str,
    value: &Located<T>,
    text: String,
    seen: &mut BTreeMap<String, usize>,
) -> bool {
    match seen.get(&text) {
        Some(line) => {
            refuse_again(section, key, value, *line);
            false
        }
        None => {
            seen.insert(text, value.line);
            true
        }
    }
}

/// Reports a value that was there before, in this line.
fn refuse_again<T>(section: &Section<'_>, key: &str, value: &Located<T>, line: usize) {
    let expected = format!("unique; line {line} has it already");
    section.refuse(key, value, &expected);
}

fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|located| located.value).collect()
}

/// What a name must be: with the one that was probably meant, or else with all there are.
fn one_of<'k>(what: &str, found: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match nearest(found, known.clone()) {
        Some(near) => format!("{what}; the nearest is {near:?}"),
        None => format!("{what}: {}", quoted(known)),
    }
}

fn quoted<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.map(|text| format!("{text:?}")).collect();
    match texts.as_slice() {
        [] => "there is none".to_owned(),
        _ => texts.join(", "),
    }
}
