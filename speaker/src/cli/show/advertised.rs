//! `herald show routes --advertised`: what a neighbor has from us.

use comfy_table::Cell;

use super::{or_dash, said, table};
use crate::status::AdvertisedRouteStatus;

pub(super) fn routes(peer: &str, routes: &[AdvertisedRouteStatus], wide: bool) -> String {
    let rows = routes.iter().map(|route| {
        let own = route.attributes.next_hop.iter().map(ToString::to_string);
        let next_hop = own.reduce(|all, next| format!("{all} {next}"));
        vec![
            Cell::new(&route.prefix),
            or_dash(next_hop.or_else(|| route.session_next_hop.clone())),
            or_dash(Some(said(&route.attributes)).filter(|text| !text.is_empty())),
        ]
    });
    let heads = ["PREFIX", "NEXT HOP", "ATTRIBUTES"];
    let empty =
        format!("{peer} has no routes from us; `herald show peer {peer}` tells how it stands");
    table(&heads, rows, wide, &empty)
}
