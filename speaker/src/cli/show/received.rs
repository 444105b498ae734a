//! `herald show routes --received`: what a neighbor has announced.

use comfy_table::Cell;

use super::{faint, or_dash, table};
use crate::status::ReceivedRouteStatus;

pub(super) fn routes(peer: &str, routes: &[ReceivedRouteStatus], wide: bool) -> String {
    let mut heads = vec!["PREFIX", "NEXT HOP", "AS PATH", "ORIGIN"];
    if wide {
        heads.extend([
            "PATH ID",
            "MED",
            "LOCAL PREF",
            "COMMUNITIES",
            "OTHER",
            "STALE",
        ]);
    }
    let rows = routes.iter().map(|route| {
        let mut row = vec![
            match staleness(route) {
                Some(staleness) => faint(&format!("{} ({staleness})", route.prefix)),
                None => Cell::new(&route.prefix),
            },
            or_dash(next_hop(route)),
            or_dash(listed(&route.as_path, " ")),
            or_dash(route.origin.clone()),
        ];
        if wide {
            row.extend([
                or_dash(route.path_id.map(|id| id.to_string())),
                or_dash(route.med.map(|med| med.to_string())),
                or_dash(route.local_pref.map(|value| value.to_string())),
                or_dash(listed(&route.communities, " ")),
                or_dash(listed(&route.other_attributes, ", ")),
                or_dash(staleness(route).map(str::to_owned)),
            ]);
        }
        row
    });
    let empty = format!("no routes of {peer}; `herald show peer {peer}` tells how it stands");
    table(&heads, rows, wide, &empty)
}

fn staleness(route: &ReceivedRouteStatus) -> Option<&'static str> {
    match (route.long_lived_stale, route.stale) {
        (true, _) => Some("long-lived stale"),
        (false, true) => Some("stale"),
        (false, false) => None,
    }
}

fn next_hop(route: &ReceivedRouteStatus) -> Option<String> {
    let global = route.next_hop.clone()?;
    Some(match &route.link_local_next_hop {
        Some(link_local) => format!("{global} {link_local}"),
        None => global,
    })
}

fn listed<T: ToString>(values: &[T], between: &str) -> Option<String> {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(between))
}
