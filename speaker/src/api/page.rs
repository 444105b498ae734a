//! The page for people: everything at a glance, without a script.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::control::{ByPeer, Snapshot};
use crate::privileges::Privileges;
use crate::status::DaemonStatus;

const STYLE: &str = "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}\
table{border-collapse:collapse;width:100%;margin-bottom:2em}th,td{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid #ccc}\
.good{color:#060}.bad{color:#a00;font-weight:bold}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}.good{color:#6d6}.bad{color:#f66}}";

/// The whole page.
pub(super) fn render(snapshot: &Snapshot, advertised: &ByPeer<Arc<bgp::Routes>>) -> String {
    let daemon = DaemonStatus::new(snapshot, &Privileges::default());
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <title>herald</title><style>{STYLE}</style><h1>herald</h1>\
         <p>AS {}, router id {}, version {}, up {}</p>",
        daemon
            .local_as
            .map_or_else(|| "none".to_owned(), |asn| asn.to_string()),
        escaped(daemon.router_id.as_deref().unwrap_or("none")),
        daemon.version,
        humantime::format_duration(std::time::Duration::from_secs(daemon.uptime_ms / 1000)),
    );
    table(
        &mut page,
        "Peers",
        &[
            "Name",
            "Address",
            "AS",
            "State",
            "Prefixes",
            "BFD",
            "Last reset",
        ],
        snapshot.peers().into_iter().map(|peer| {
            let advertised: usize = peer.families.iter().map(|family| family.advertised).sum();
            vec![
                escaped(&peer.name),
                escaped(&peer.address),
                escaped(
                    &peer
                        .remote_as
                        .map_or_else(String::new, |asn| asn.to_string()),
                ),
                state(&peer.state, peer.state == "Established"),
                escaped(&advertised.to_string()),
                peer.bfd
                    .map_or_else(String::new, |bfd| state(&bfd.state, bfd.state == "Up")),
                escaped(&peer.last_reset.map_or_else(String::new, |reset| {
                    format!("{}: {}", reset.at, reset.cause)
                })),
            ]
        }),
    );
    table(
        &mut page,
        "BFD sessions",
        &["Name", "Remote", "State", "Since", "Diagnostic"],
        snapshot.bfd().into_iter().map(|bfd| {
            let diag = bfd.session.map(|session| session.local_diag);
            vec![
                escaped(&bfd.name),
                escaped(&bfd.remote),
                state(&bfd.state, bfd.state == "Up" || !bfd.enabled),
                escaped(&bfd.since.unwrap_or_default()),
                escaped(&bfd.error.or(bfd.warning).or(diag).unwrap_or_default()),
            ]
        }),
    );
    table(
        &mut page,
        "Services",
        &["Name", "Addresses", "From", "Announced to"],
        snapshot.services(advertised).into_iter().map(|service| {
            vec![
                escaped(&service.name),
                escaped(&service.addresses.join(", ")),
                escaped(&service.source),
                state(
                    &format!("{} of {} peers", service.announced_to, service.peers),
                    service.announced_to == service.peers,
                ),
            ]
        }),
    );
    table(
        &mut page,
        "Pools",
        &["Name", "Addresses", "In use", "Free"],
        snapshot.pool_statuses().into_iter().flat_map(|pool| {
            let families = pool.families.into_iter();
            families.map(move |family| {
                vec![
                    escaped(&pool.name),
                    escaped(&family.addresses.join(", ")),
                    escaped(&family.in_use.to_string()),
                    state(&family.free.to_string(), family.free > 0),
                ]
            })
        }),
    );
    table(
        &mut page,
        "Routes",
        &["Prefix", "Service", "Peers"],
        snapshot.routes(advertised).map(|route| {
            let peers: Vec<String> = route
                .peers
                .iter()
                .map(|peer| state(&peer.peer, peer.state == "announced"))
                .collect();
            vec![
                escaped(&route.prefix),
                escaped(route.service.as_deref().unwrap_or_default()),
                peers.join(", "),
            ]
        }),
    );
    page.push_str("<p><a href=/metrics>metrics</a> <a href=/v1/peers>peers</a> <a href=/v1/bfd>bfd</a> <a href=/v1/events>events</a></p></html>\n");
    page
}

fn table(page: &mut String, title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "<h2>{title}</h2><table><tr>");
    for head in heads {
        let _ = write!(page, "<th>{head}</th>");
    }
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{cell}</td>");
        }
    }
    page.push_str("</table>");
}

fn state(text: &str, good: bool) -> String {
    let class = if good { "good" } else { "bad" };
    format!("<span class={class}>{}</span>", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
