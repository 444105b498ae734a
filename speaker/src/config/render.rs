//! A configuration as a file again, with every default written out. What is read from it is the
//! same configuration.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp::{LinkLocalNextHop, PrefixLimits, ReceivedRoutes, RemoteAs, RouteAttributes};

use super::{
    AggregationLengths, ApiConfig, BfdConfig, BfdHops, BfdKey, BfdProfile, BfdRangeConfig,
    BfdSessionConfig, BlackholeLengths, CheckConfig, Config, ExportConfig, HealthConfig,
    HookConfig, ImportConfig, LogConfig, OnExit, PeerBfd, PeerConfig, PeerHops, PoolConfig,
    PoolRequest, Probe, ServiceConfig, SpeakerConfig, aggregator_text, community_texts,
    next_hop_texts,
};

impl Config {
    /// The configuration as TOML, defaults and profiles applied.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.render()
    }

    /// Likewise, with the programs of checks and hooks but without their arguments, which may hold
    /// secrets.
    #[must_use]
    pub fn to_toml_without_arguments(&self) -> String {
        let mut config = self.clone();
        for hook in &mut config.hooks {
            hook.exec.truncate(1);
        }
        for service in config.services.values_mut() {
            let health = service.health.as_ref();
            let check = health.and_then(|health| health.check.as_deref());
            let Some((check, Probe::Exec(exec))) = check.map(|check| (check, &check.probe)) else {
                continue;
            };
            let mut check = check.clone();
            check.probe = Probe::Exec(exec.iter().take(1).cloned().collect());
            if let Some(health) = &mut Arc::make_mut(service).health {
                health.check = Some(Arc::new(check));
            }
        }
        config.render()
    }

    fn render(&self) -> String {
        let mut out = Writer::default();
        self.write_daemon(&mut out);
        self.write_profiles(&mut out);
        for (name, peer) in &self.peers {
            if peer.range.is_some() {
                continue;
            }
            out.section("[[peer]]");
            out.text("name", name);
            match peer.unnumbered() {
                Some(interface) => out.text("interface", interface),
                None => out.text("address", &peer.address),
            }
            write_peer(&mut out, peer);
            out.plain("passive", peer.passive);
        }
        for (name, range) in &self.ranges {
            out.section("[[peer-range]]");
            out.text("name", name);
            out.text("prefix", range.prefix);
            out.plain("limit", range.limit);
            write_peer(&mut out, &range.peer);
        }
        for (name, session) in &self.bfd_sessions {
            out.section("[[bfd-session]]");
            out.text("name", name);
            write_bfd_session(&mut out, session);
        }
        for (name, range) in &self.bfd_ranges {
            out.section("[[bfd-range]]");
            out.text("name", name);
            write_bfd_range(&mut out, range);
        }
        for (name, pool) in &self.pools {
            let PoolConfig {
                addresses,
                auto_assign,
                avoid_buggy_ips,
            } = pool;
            out.section("[[pool]]");
            out.text("name", name);
            out.texts("addresses", addresses);
            out.plain("auto-assign", auto_assign);
            out.plain("avoid-buggy-ips", avoid_buggy_ips);
        }
        for (name, service) in &self.services {
            out.section("[[service]]");
            out.text("name", name);
            write_service(&mut out, service);
        }
        for (prefix, route) in &self.routes {
            out.section("[[route]]");
            out.text("prefix", prefix);
            write_attributes(&mut out, &route.attributes);
            if let Some(peers) = &route.peers {
                out.texts("peers", peers);
            }
        }
        for advertisement in &self.advertisements {
            out.section("[[advertisement]]");
            if let Some(name) = &advertisement.name {
                out.text("name", name);
            }
            if let Some(peers) = &advertisement.peers {
                out.texts("peers", peers);
            }
            if let Some(services) = &advertisement.services {
                out.texts("services", services);
            }
            if let Some(pools) = &advertisement.pools {
                out.texts("pools", pools);
            }
            let (lengths, host) = (advertisement.aggregation, AggregationLengths::default());
            if lengths.v4 != host.v4 {
                out.plain("aggregation-length", lengths.v4);
            }
            if lengths.v6 != host.v6 {
                out.plain("aggregation-length-v6", lengths.v6);
            }
            write_attributes(&mut out, &advertisement.attributes);
        }
        self.write_hooks(&mut out);
        out.0
    }

    fn write_daemon(&self, out: &mut Writer) {
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
        } = &self.speaker;
        out.section("[speaker]");
        if let Some(local_as) = local_as {
            out.plain("local-as", local_as);
        }
        if let Some(id) = router_id {
            out.text("router-id", id);
        }
        out.texts("listen", listen);
        out.text("state-dir", state_dir.display());
        out.text(
            "on-exit",
            match on_exit {
                OnExit::Withdraw => "withdraw",
                OnExit::Restart => "restart",
            },
        );
        out.duration("drain-time", *drain_time);
        out.plain("reload-on-change", reload_on_change);
        if let Some(interface) = address_interface {
            out.text("address-interface", interface);
        }
        let BlackholeLengths { v4, v6 } = blackhole;
        out.plain("blackhole-length", v4);
        out.plain("blackhole-length-v6", v6);
        let ApiConfig {
            socket,
            socket_mode,
            socket_owner,
            socket_group,
            listen,
        } = &self.api;
        out.section("[api]");
        out.text("socket", socket.display());
        out.text("socket-mode", socket_mode);
        if let Some(owner) = socket_owner {
            out.text("socket-owner", owner);
        }
        if let Some(group) = socket_group {
            out.text("socket-group", group);
        }
        if let Some(listen) = listen {
            out.text("listen", listen);
        }
        let BfdConfig {
            listen,
            multihop_listen,
            realtime,
            lock_memory,
        } = &self.bfd;
        out.section("[bfd]");
        if let Some(listen) = listen {
            out.texts("listen", listen);
        }
        if let Some(listen) = multihop_listen {
            out.texts("multihop-listen", listen);
        }
        out.plain("realtime", realtime);
        out.plain("lock-memory", lock_memory);
        let LogConfig { level, format } = self.log;
        out.section("[log]");
        out.text("level", level);
        out.text("format", format);
    }

    fn write_hooks(&self, out: &mut Writer) {
        for hook in &self.hooks {
            let HookConfig {
                name,
                on,
                names,
                exec,
                timeout,
            } = hook;
            out.section("[[hook]]");
            out.text("name", name.as_str());
            out.texts("on", on);
            out.texts("exec", exec);
            out.duration("timeout", *timeout);
            if let Some(names) = names {
                out.texts("names", names);
            }
        }
    }

    /// The profiles that are used; two users cannot have different ones of one name.
    fn write_profiles(&self, out: &mut Writer) {
        let of_ranges = self.ranges.values().map(|range| &range.peer);
        let peers = self.peers.values().chain(of_ranges);
        let used = peers.filter_map(|peer| peer.bfd.as_ref());
        let of_peers = used.map(|bfd| &bfd.profile);
        let of_sessions = self.bfd_sessions.values().map(|session| &session.profile);
        let of_bfd_ranges = self.bfd_ranges.values().map(|range| &range.profile);
        let mut profiles: Vec<&BfdProfile> =
            of_peers.chain(of_sessions).chain(of_bfd_ranges).collect();
        profiles.sort_by(|a, b| a.name.cmp(&b.name));
        profiles.dedup();
        for profile in profiles {
            out.section("[[bfd-profile]]");
            out.text("name", &profile.name);
            out.duration("transmit-interval", profile.transmit_interval);
            out.duration("receive-interval", profile.receive_interval);
            out.plain("detect-multiplier", profile.detect_multiplier);
            out.plain("passive-mode", profile.passive_mode);
            out.plain("demand-mode", profile.demand_mode);
            if profile.demand_mode {
                out.duration("demand-poll-interval", profile.demand_poll_interval);
            }
            out.plain("echo-mode", profile.echo_mode);
            if profile.echo_mode {
                out.duration("echo-interval", profile.echo_interval);
            }
            out.duration("echo-receive-interval", profile.echo_receive_interval);
            if let Some(minimum_ttl) = profile.minimum_ttl {
                out.plain("minimum-ttl", minimum_ttl);
            }
            if let Some(auth) = &profile.auth {
                let keys: Vec<String> = auth.keys().iter().map(bfd_key_text).collect();
                out.plain("auth", format_args!("[{}]", keys.join(", ")));
            }
        }
    }
}

fn bfd_key_text(key: &BfdKey) -> String {
    format!(
        "{{ type = {}, key-id = {}, key-file = {} }}",
        quoted(key.auth_type()),
        key.id(),
        quoted(key.file().display())
    )
}

/// Beside its name, where it is, and `passive`, which ranges do not have.
fn write_peer(out: &mut Writer, peer: &PeerConfig) {
    let PeerConfig {
        range: _,
        address: _,
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
        passive: _,
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
    } = peer;
    out.plain("port", port);
    match remote_as {
        RemoteAs::Is(asn) => out.plain("remote-as", asn),
        RemoteAs::Internal => out.text("remote-as", "internal"),
        RemoteAs::External => out.text("remote-as", "external"),
    }
    out.plain("local-as", local_as);
    out.duration("hold-time", Duration::from_secs(hold_time.as_secs().into()));
    match keepalive_time {
        Some(time) => out.duration("keepalive-time", *time),
        None => out.line(format_args!(
            "# keepalive-time: a third of the negotiated hold time"
        )),
    }
    out.duration("connect-retry-time", *connect_retry_time);
    out.duration("delay-open-time", *delay_open_time);
    match graceful_restart {
        Some(restart) => out.plain(
            "graceful-restart",
            format_args!(
                "{{ restart-time = \"{}s\", long-lived-stale-time = \"{}s\" }}",
                restart.restart_time.as_secs(),
                restart.long_lived_stale_time.as_secs()
            ),
        ),
        None => out.plain("graceful-restart", false),
    }
    match send_hold_time {
        Some(time) => out.duration("send-hold-time", *time),
        None => out.line(format_args!(
            "# send-hold-time: 8min, or twice the negotiated hold time if that is more"
        )),
    }
    if let Some(address) = source_address {
        out.text("source-address", address);
    }
    if let Some(interface) = source_interface {
        out.text("source-interface", interface);
    }
    if let Some(hops) = ebgp_multihop {
        out.plain("ebgp-multihop", hops);
    }
    if let Some(hops) = ttl_security {
        out.plain("ttl-security", hops);
    }
    if let Some(password) = password {
        out.text("password-file", password.file().display());
    }
    out.plain("dscp", dscp);
    out.texts("families", families);
    match bfd {
        Some(bfd) => write_peer_bfd(out, bfd),
        None => out.text("bfd-profile", BfdProfile::NONE),
    }
    out.plain("enabled", enabled);
    if let Some(description) = description {
        out.text("description", description);
    }
    out.plain("hostname", hostname);
    out.text("capture", capture);
    write_import(out, import);
    write_export(out, export);
}

fn write_peer_bfd(out: &mut Writer, bfd: &PeerBfd) {
    let PeerBfd {
        profile,
        hops,
        port,
        strict,
    } = bfd;
    out.text("bfd-profile", &profile.name);
    if let PeerHops::Fixed(hops) = hops {
        out.plain("bfd-multihop", *hops != BfdHops::Single);
    }
    if let Some(port) = port {
        out.plain("bfd-port", port);
    }
    out.plain("bfd-strict", strict.is_some());
    if let Some(time) = strict {
        out.duration("bfd-strict-hold-time", *time);
    }
}

fn write_service(out: &mut Writer, service: &ServiceConfig) {
    let ServiceConfig {
        addresses,
        request,
        health,
    } = service;
    if !addresses.is_empty() {
        out.texts("addresses", addresses);
    }
    let PoolRequest { pool, ip_families } = request;
    if let Some(pool) = pool {
        out.text("pool", pool);
    }
    if let Some(families) = ip_families {
        out.texts("ip-families", families.iter());
    }
    if let Some(health) = health {
        write_health(out, health);
    }
}

fn write_health(out: &mut Writer, health: &HealthConfig) {
    let HealthConfig { check, bfd } = health;
    out.line(format_args!("[service.health]"));
    if let Some(name) = bfd {
        out.text("bfd", name);
    }
    let Some(check) = check else { return };
    let CheckConfig {
        probe,
        interval,
        timeout,
        fall,
        rise,
    } = &**check;
    match probe {
        Probe::Http(http) => {
            out.text("http", http.url());
            if let Some(host) = http.other_host() {
                out.text("http-host", host);
            }
        }
        Probe::Tcp(address) => out.text("tcp", address),
        Probe::Exec(exec) => out.texts("exec", exec),
    }
    out.duration("interval", *interval);
    out.duration("timeout", *timeout);
    out.plain("fall", fall);
    out.plain("rise", rise);
}

fn write_bfd_session(out: &mut Writer, session: &BfdSessionConfig) {
    let BfdSessionConfig {
        address,
        interface,
        port,
        source_address,
        hops,
        profile,
        enabled,
        description,
    } = session;
    out.text("address", address);
    if let Some(interface) = interface {
        out.text("interface", interface);
    }
    out.plain("port", port);
    if let Some(address) = source_address {
        out.text("source-address", address);
    }
    match hops {
        BfdHops::Single => out.plain("multihop", false),
        BfdHops::Multi { minimum_ttl } => {
            out.plain("multihop", true);
            out.plain("minimum-ttl", minimum_ttl);
        }
    }
    out.text("bfd-profile", &profile.name);
    out.plain("enabled", enabled);
    if let Some(description) = description {
        out.text("description", description);
    }
}

fn write_bfd_range(out: &mut Writer, range: &BfdRangeConfig) {
    let BfdRangeConfig {
        prefix,
        interface,
        port,
        profile,
        max_sessions,
        enabled,
        description,
    } = range;
    out.text("prefix", prefix);
    if let Some(interface) = interface {
        out.text("interface", interface);
    }
    out.plain("port", port);
    out.text("bfd-profile", &profile.name);
    out.plain("max-sessions", max_sessions);
    out.plain("enabled", enabled);
    if let Some(description) = description {
        out.text("description", description);
    }
}

fn write_export(out: &mut Writer, export: &ExportConfig) {
    let next_hops = [
        export.next_hop_v4.map(IpAddr::V4),
        export.next_hop_v6.map(IpAddr::V6),
    ];
    let next_hops: Vec<IpAddr> = next_hops.into_iter().flatten().collect();
    if !next_hops.is_empty() {
        out.texts("next-hop", &next_hops);
    }
    out.text(
        "link-local-next-hop",
        link_local_next_hop_name(export.link_local_next_hop),
    );
    out.plain("extended-next-hop", export.extended_next_hop);
    if let Some(direction) = export.add_path {
        out.text("add-path", direction);
    }
    if let Some(role) = export.role {
        out.text("role", role);
        out.plain("role-strict", export.role_strict);
    }
}

/// As in the file.
pub(crate) const fn link_local_next_hop_name(form: LinkLocalNextHop) -> &'static str {
    match form {
        LinkLocalNextHop::Double => "double",
        LinkLocalNextHop::Single => "single",
        LinkLocalNextHop::Native => "native",
    }
}

fn write_import(out: &mut Writer, import: &ImportConfig) {
    match import.received_routes {
        ReceivedRoutes::Counted | ReceivedRoutes::Reported => {
            out.text("received-routes", "counted");
        }
        ReceivedRoutes::Kept(limit) => {
            out.text("received-routes", "kept");
            out.plain("received-routes-limit", limit.routes);
            out.plain("received-attributes-limit", limit.attribute_octets);
        }
    }
    let PrefixLimits {
        families,
        warning_percent,
        restart,
    } = &import.prefix_limits;
    let limits: Vec<String> = families
        .iter()
        .map(|(family, limit)| format!("{family} = {limit}"))
        .collect();
    match limits.is_empty() {
        true => out.plain("max-prefixes", 0),
        false => out.plain("max-prefixes", format_args!("{{ {} }}", limits.join(", "))),
    }
    out.plain("max-prefixes-warning", warning_percent);
    match restart {
        Some(time) => out.duration("max-prefixes-restart", *time),
        None => out.text("max-prefixes-restart", "never"),
    }
    out.plain("enforce-first-as", import.enforce_first_as);
}

fn write_attributes(out: &mut Writer, attributes: &RouteAttributes) {
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
    } = attributes;
    if let Some(med) = multi_exit_disc {
        out.plain("med", med);
    }
    if let Some(local_pref) = local_pref {
        out.plain("local-pref", local_pref);
    }
    if *as_path_prepend > 0 {
        out.plain("as-path-prepend", as_path_prepend);
    }
    let communities = community_texts(attributes);
    if !communities.is_empty() {
        out.texts("communities", &communities);
    }
    let next_hops = next_hop_texts(attributes);
    if !next_hops.is_empty() {
        out.texts("next-hop", &next_hops);
    }
    if *atomic_aggregate {
        out.plain("atomic-aggregate", true);
    }
    if let Some(aggregator) = aggregator {
        out.text("aggregator", aggregator_text(*aggregator));
    }
}

#[derive(Default)]
struct Writer(String);

impl Writer {
    fn section(&mut self, head: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}{head}"));
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn text(&mut self, key: &str, value: impl std::fmt::Display) {
        let text = quoted(value);
        self.plain(key, text);
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.text(key, humantime::format_duration(value));
    }

    fn texts<T: std::fmt::Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        let texts: Vec<String> = values.into_iter().map(quoted).collect();
        self.plain(key, format_args!("[{}]", texts.join(", ")));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A TOML basic string.
fn quoted(value: impl std::fmt::Display) -> String {
    let mut out = String::from("\"");
    for c in value.to_string().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
