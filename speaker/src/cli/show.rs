//! `herald show`: tables for people, JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table};

use super::client::{Client, ClientError, segment};
use super::{Output, SUCCESS, What, complain, follow, say, watch};
use crate::additions::RouteSpec;
use crate::api::ConfigStatus;
use crate::logging;
use crate::status::{
    BfdStatus, EventStatus, HealthStatus, HostedStatus, PeerStatus, RoutePeerStatus, RouteStatus,
    ServiceStatus,
};

mod advertised;
mod bfd;
mod overview;
mod page;
mod peer;
mod pools;
mod received;
mod route;
mod service;
mod status;

/// What people's terminals have at least, and scripts are written for.
const COLUMNS: u16 = 80;
/// States, times and numbers, which have up to so many characters, are not broken.
const WHOLE: u16 = 11;
/// How many peers of a route are named before they are counted.
const NAMED_PEERS: usize = 4;

/// Without anything to show, everything at a glance.
pub(super) fn run(
    client: &Client,
    what: Option<&What>,
    output: Output,
    watch: Option<Duration>,
) -> u8 {
    let render = || match (what, output) {
        (Some(what), Output::Json) => json(client, what),
        (Some(what), output) => tables(client, what, output == Output::Wide),
        (None, Output::Json) => overview::json(client),
        (None, output) => overview::tables(client, output == Output::Wide),
    };
    if let Some(interval) = watch {
        return watch::run(interval, render);
    }
    match render() {
        Ok(text) => {
            say(text.trim_end());
            SUCCESS
        }
        Err(error) => {
            complain(&error);
            error.code()
        }
    }
}

fn path(what: &What) -> String {
    match what {
        What::Peers => "/v1/peers".to_owned(),
        What::Peer { name } => format!("/v1/peers/{}", segment(name)),
        What::Bfd { name: None } => "/v1/bfd".to_owned(),
        What::Bfd { name: Some(name) } => format!("/v1/bfd/{}", segment(name)),
        What::Routes {
            received: Some(name),
            ..
        } => format!("/v1/peers/{}/received", segment(name)),
        What::Routes {
            advertised: Some(name),
            ..
        } => format!("/v1/peers/{}/advertised", segment(name)),
        What::Routes {
            prefix: Some(prefix),
            ..
        } => format!("/v1/routes/{}", segment(prefix)),
        What::Routes { .. } => "/v1/routes".to_owned(),
        What::Services { name: None } => "/v1/services".to_owned(),
        What::Services { name: Some(name) } => format!("/v1/services/{}", segment(name)),
        What::Pools => "/v1/pools".to_owned(),
        What::Events(of) => follow::path(of),
        What::Config => "/v1/config".to_owned(),
        What::Status => "/v1/status".to_owned(),
    }
}

fn json(client: &Client, what: &What) -> Result<String, ClientError> {
    let mut value: serde_json::Value = client.get(&path(what))?;
    if let (What::Events(of), Some(events)) = (what, value.as_array_mut()) {
        let all = std::mem::take(events);
        *events = follow::wanted(of, all, |event| event["at"].as_str().unwrap_or_default());
    }
    Ok(format!("{value:#}"))
}

fn tables(client: &Client, what: &What, wide: bool) -> Result<String, ClientError> {
    let path = path(what);
    Ok(match what {
        What::Peers => peers(&client.get::<Vec<_>>(&path)?, wide),
        What::Bfd { name: None } => bfd::table(&client.get::<Vec<_>>(&path)?, wide),
        What::Bfd { name: Some(_) } => {
            let status: BfdStatus = client.get(&path)?;
            bfd::page(&status, &bfd_events(client, &status)?)
        }
        What::Routes {
            received: Some(name),
            ..
        } => received::routes(name, &client.get::<Vec<_>>(&path)?, wide),
        What::Routes {
            advertised: Some(name),
            ..
        } => advertised::routes(name, &client.get::<Vec<_>>(&path)?, wide),
        What::Routes {
            prefix: Some(_), ..
        } => route::page(&client.get(&path)?),
        What::Routes { .. } => routes(&client.get::<Vec<_>>(&path)?, wide),
        What::Services { name: Some(name) } => {
            let status: ServiceStatus = client.get(&path)?;
            let path = format!("/v1/events?service={}", segment(name));
            service::page(&status, &client.get::<Vec<_>>(&path)?)
        }
        What::Services { name: None } => services(&client.get::<Vec<_>>(&path)?, wide),
        What::Pools => pools::table(&client.get::<Vec<_>>(&path)?, wide),
        What::Events(of) => {
            let all: Vec<EventStatus> = client.get(&path)?;
            events(&follow::wanted(of, all, |event| &event.at), wide)
        }
        What::Config => {
            let ConfigStatus { file, running } = client.get(&path)?;
            format!("# {}, defaults applied\n{running}", file.display())
        }
        What::Status => status::page(&client.get(&path)?),
        What::Peer { name } => {
            let status: PeerStatus = client.get(&path)?;
            let path = format!("/v1/events?peer={}", segment(name));
            peer::page(&status, &client.get::<Vec<_>>(&path)?)
        }
    })
}

/// What happened to a BFD session, which may run for a peer among whose events its own are.
fn bfd_events(client: &Client, bfd: &BfdStatus) -> Result<Vec<EventStatus>, ClientError> {
    let path = match (&bfd.peer, &bfd.bfd_session) {
        (Some(name), _) => format!("/v1/events?peer={}", segment(name)),
        (None, Some(name)) => format!("/v1/events?bfd_session={}", segment(name)),
        (None, None) => return Ok(Vec::new()),
    };
    let mut events: Vec<EventStatus> = client.get(&path)?;
    events.retain(|event| event.subject == "bfd");
    Ok(events)
}

fn peers(peers: &[PeerStatus], wide: bool) -> String {
    let mut heads = vec!["PEER", "ADDRESS", "AS", "STATE", "FOR", "PFX", "BFD"];
    if wide {
        heads.extend(["HOST", "LOCAL", "RECEIVED", "SENT", "UP/DOWN", "LAST RESET"]);
    }
    let rows = peers.iter().map(|peer| {
        let advertised: usize = peer.families.iter().map(|family| family.advertised).sum();
        let remote_as = peer.remote_as.map(|asn| asn.to_string());
        let mut row = vec![
            Cell::new(&peer.name),
            Cell::new(&peer.address),
            Cell::new(remote_as.as_ref().unwrap_or(&peer.remote_as_configured)),
            state(peer),
            Cell::new(up_or_down(peer)),
            Cell::new(advertised),
            peer.bfd.as_ref().map_or_else(|| Cell::new("-"), bfd_state),
        ];
        if wide {
            row.extend([
                or_dash(peer.remote_hostname.clone()),
                or_dash(peer.local_address.clone()),
                Cell::new(peer.messages.received.total),
                Cell::new(peer.messages.sent.total),
                Cell::new(format!("{}/{}", peer.established_count, peer.dropped_count)),
                or_dash(
                    peer.last_reset
                        .as_ref()
                        .map(|reset| format!("{} ago: {}", age(reset.ago_ms), reset.cause)),
                ),
            ]);
        }
        row
    });
    let empty = "no peers; add a [[peer]] to the configuration file";
    table(&heads, rows, wide, empty)
}

/// For how long it has been Established, or has not: the states on the way there come and go.
fn up_or_down(peer: &PeerStatus) -> String {
    let lasting = match peer.state.as_str() {
        "Established" => peer.in_state_ms,
        _ => peer.down_ms,
    };
    lasting.map_or_else(|| "never".to_owned(), age)
}

fn state(peer: &PeerStatus) -> Cell {
    match peer.state.as_str() {
        _ if !peer.enabled => faint("disabled"),
        _ if peer.shutdown.is_some() => faint("shut down"),
        "Established" if peer.draining.is_some() => faint("Established (drained)"),
        "Established" => good("Established"),
        state if peer.over_max_prefixes.is_some() => bad(&format!("{state} (max-prefixes)")),
        state => bad(state),
    }
}

fn routes(routes: &[RouteStatus], wide: bool) -> String {
    let mut heads = vec!["PREFIX", "SERVICE", "FROM", "ANNOUNCED TO"];
    if wide {
        heads.extend(["BY", "ATTRIBUTES"]);
    }
    let rows = routes.iter().map(|route| {
        let mut row = vec![
            Cell::new(&route.prefix),
            of_services(route),
            Cell::new(&route.source),
            addressees(route, wide),
        ];
        if wide {
            row.extend([Cell::new(by(route)), Cell::new(attributes(route))]);
        }
        row
    });
    let empty = "no routes; add a [[service]], or use `herald announce`";
    table(&heads, rows, wide, empty)
}

/// Whose addresses are in it; only how many they are where there are several.
fn of_services(route: &RouteStatus) -> Cell {
    match route.services.len() {
        0 | 1 => or_dash(route.service.clone()),
        number => Cell::new(format!("{number} services")),
    }
}

/// Which advertisements say so, with those to whom only some do.
fn by(route: &RouteStatus) -> String {
    by_peers(route, "", |peer| peer.advertisements.join(", "))
}

/// What is said of a route, with those to whom only some of it is.
fn attributes(route: &RouteStatus) -> String {
    by_peers(route, "nothing", |peer| said(&peer.attributes))
}

/// What holds for every peer; or for which of them, where it is not the same for all, `none` standing for no text.
fn by_peers(route: &RouteStatus, none: &str, text: impl Fn(&RoutePeerStatus) -> String) -> String {
    let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for peer in &route.peers {
        said.entry(text(peer)).or_default().push(&peer.peer);
    }
    if said.len() < 2 {
        return said.into_keys().next().unwrap_or_default();
    }
    let texts = said.iter().map(|(text, peers)| {
        let text = if text.is_empty() { none } else { text };
        (text, peers.join(", "))
    });
    let texts = texts.filter(|(text, _)| !text.is_empty());
    let texts = texts.map(|(text, peers)| format!("{text} to {peers}"));
    texts.collect::<Vec<_>>().join("; ")
}

/// Those who have the route by name, the others with what keeps them from it; only their number
/// where names would fill the page.
fn addressees(route: &RouteStatus, wide: bool) -> Cell {
    let has_it = |peer: &&RoutePeerStatus| peer.state == "announced";
    let announced = route.peers.iter().filter(has_it).count();
    let text = match route.peers.len() {
        0 => "nobody".to_owned(),
        number if number > NAMED_PEERS && !wide => format!("{announced} of {number} peers"),
        _ => named(&route.peers),
    };
    if announced == 0 {
        bad(&text)
    } else {
        Cell::new(text)
    }
}

fn named(peers: &[RoutePeerStatus]) -> String {
    let texts: Vec<String> = peers
        .iter()
        .map(|peer| match peer.state.as_str() {
            "announced" => peer.peer.clone(),
            state => format!("{} ({state})", peer.peer),
        })
        .collect();
    texts.join(", ")
}

/// What is said of a route, in words; nothing where there is nothing to say.
fn said(spec: &RouteSpec) -> String {
    let mut parts = Vec::new();
    parts.extend(spec.med.map(|med| format!("med {med}")));
    parts.extend(spec.local_pref.map(|value| format!("local-pref {value}")));
    if spec.as_path_prepend > 0 {
        parts.push(format!("prepend {}", spec.as_path_prepend));
    }
    parts.extend(spec.communities.iter().cloned());
    parts.extend(
        spec.next_hop
            .iter()
            .map(|address| format!("next-hop {address}")),
    );
    parts.extend(spec.atomic_aggregate.then(|| "atomic-aggregate".to_owned()));
    parts.extend(
        spec.aggregator
            .iter()
            .map(|by| format!("aggregated by {by}")),
    );
    parts.join(" ")
}

fn services(services: &[ServiceStatus], wide: bool) -> String {
    let are_hosted = services.iter().any(|service| !service.hosted.is_empty());
    let mut heads = vec!["SERVICE", "STATE", "ADDRESSES", "FROM", "ANNOUNCED TO"];
    if are_hosted {
        heads.insert(3, "ON HOST");
    }
    if wide {
        heads.extend(["POOL", "FOR", "CHECK", "LAST CHECK"]);
    }
    let rows = services.iter().map(|service| {
        let mut row = vec![
            Cell::new(&service.name),
            match (&service.health, service.state.as_str()) {
                (None, _) => faint("not checked"),
                (Some(_), "healthy") => good("healthy"),
                (Some(_), state) => bad(state),
            },
            service_addresses(service),
        ];
        row.extend(are_hosted.then(|| Cell::new(on_host(service))));
        row.extend([Cell::new(&service.source), has_it(service, wide)]);
        if wide {
            let health = service.health.as_ref();
            let check = health.and_then(|health| health.check.as_ref());
            let last = check.and_then(|check| check.last.as_ref());
            row.extend([
                or_dash(service.pool.clone()),
                or_dash(health.map(|health| age(health.in_state_ms))),
                or_dash(health.and_then(depends_on)),
                or_dash(last.map(|last| format!("{} ago: {}", age(last.ago_ms), last.text))),
            ]);
        }
        row
    });
    let empty = "no services; add a [[service]], or use `herald service add`";
    table(&heads, rows, wide, empty)
}

/// How many peers have it, and who has not; why, if nobody is to have it.
fn has_it(service: &ServiceStatus, wide: bool) -> Cell {
    if let Some(reason) = &service.unannounced {
        return bad(&format!("nobody: {reason}"));
    }
    let ratio = format!("{} of {} peers", service.announced_to, service.peers);
    let lacking: Vec<String> = service
        .lacking
        .iter()
        .map(|lacking| format!("{} ({})", lacking.peer, lacking.state))
        .collect();
    match lacking.len() {
        0 => good(&ratio),
        number if number > NAMED_PEERS && !wide => bad(&ratio),
        _ => bad(&format!("{ratio}, not {}", lacking.join(", "))),
    }
}

/// The probe, and the path.
fn depends_on(health: &HealthStatus) -> Option<String> {
    let check = health.check.as_ref().map(|check| check.probe.clone());
    let path = health.bfd.as_ref();
    let path = path.map(|path| format!("bfd-session {}", path.bfd_session));
    check
        .into_iter()
        .chain(path)
        .reduce(|all, one| format!("{all}, {one}"))
}

fn service_addresses(service: &ServiceStatus) -> Cell {
    let addresses = service.addresses.iter().cloned();
    let lack = service
        .lack
        .as_ref()
        .map(|lack| format!("lacks an address: {lack}"));
    let lines: Vec<String> = addresses.chain(lack).collect();
    let text = lines.join("\n");
    match service.lack {
        Some(_) => bad(&text),
        None => Cell::new(text),
    }
}

/// A line for each address.
fn on_host(service: &ServiceStatus) -> String {
    let lines = service.hosted.iter().map(where_it_is);
    lines.collect::<Vec<_>>().join("\n")
}

fn where_it_is(hosted: &HostedStatus) -> String {
    let interface = &hosted.interface;
    match (hosted.state.as_str(), &hosted.reason) {
        ("foreign", _) => format!("{interface}, not by us"),
        ("elsewhere", Some(reason)) => format!("{interface}: {reason}"),
        ("missing", Some(reason)) => format!("no: {reason}"),
        ("unknown", Some(reason)) => format!("unknown: {reason}"),
        _ => interface.clone(),
    }
}

fn events(events: &[EventStatus], wide: bool) -> String {
    let rows = events.iter().map(|event| {
        vec![
            Cell::new(&event.at),
            or_dash(name(event).map(str::to_owned)),
            Cell::new(&event.subject),
            Cell::new(event_text(event)),
        ]
    });
    table(&["TIME", "NAME", "WHAT", "EVENT"], rows, wide, "no events")
}

/// To whom it happened.
fn name(event: &EventStatus) -> Option<&str> {
    let names = [&event.peer, &event.bfd_session, &event.service];
    names.into_iter().flatten().map(String::as_str).next()
}

/// An event on a line of its own.
pub(super) fn sentence(event: &EventStatus) -> String {
    match event.text.as_str() {
        "" => event_text(event),
        text => text.to_owned(),
    }
}

/// What happened, why, and how often.
fn event_text(event: &EventStatus) -> String {
    let change = match (&event.from, &event.to) {
        (Some(from), Some(to)) => format!("{from} -> {to}: {}", event.cause),
        _ => event.cause.clone(),
    };
    match event.count {
        1 => change,
        count => format!("{change} ({count} times since {})", event.first_at),
    }
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<Cell>>, wide: bool, empty: &str) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(heads.to_vec());
    if !logging::colors_are_welcome() {
        table.force_no_tty();
    }
    for row in rows {
        table.add_row(row);
    }
    if table.is_empty() {
        return empty.to_owned();
    }
    if wide {
        table.set_content_arrangement(ContentArrangement::Disabled);
    } else {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(COLUMNS);
    }
    let widths = table.column_max_content_widths();
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, 2));
        if width <= WHOLE {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn or_dash(text: Option<String>) -> Cell {
    Cell::new(text.as_deref().unwrap_or("-"))
}

fn bfd_state(bfd: &BfdStatus) -> Cell {
    match bfd.state.as_str() {
        "Up" => good("Up"),
        _ if !bfd.enabled => faint("disabled"),
        "AdminDown" => faint("AdminDown"),
        state => bad(state),
    }
}

fn good(text: &str) -> Cell {
    Cell::new(text).fg(Color::Green)
}

fn bad(text: &str) -> Cell {
    Cell::new(text).fg(Color::Red)
}

fn faint(text: &str) -> Cell {
    Cell::new(text).fg(Color::DarkGrey)
}

/// A duration to two units, as routers write it.
fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

fn ms(value: f64) -> String {
    humantime::format_duration(Duration::from_micros((value * 1000.0) as u64)).to_string()
}

#[cfg(test)]
mod tests;
