//! `herald show routes PREFIX`: who has one route; who has it not, and why.

use super::page::Page;
use super::said;
use crate::status::{RouteDetailStatus, RouteLackStatus, RoutePeerStatus, RouteStatus};

/// The whole page.
pub(super) fn page(detail: &RouteDetailStatus) -> String {
    let RouteDetailStatus { route, lacking } = detail;
    let mut page = Page::default();
    page.line(0, format_args!("Route {}", route.prefix));
    page.line(2, format_args!("From          {}", origin(route)));
    let has_it = |peer: &&RoutePeerStatus| peer.state == "announced";
    let having = route.peers.iter().filter(has_it);
    let mut having: Vec<String> = having.map(told).collect();
    if having.is_empty() {
        having.push("nobody".to_owned());
    }
    let lacking = lacking
        .iter()
        .map(|RouteLackStatus { peer, reason }| format!("{peer}: {reason}"));
    page.labelled("Announced to", having.into_iter());
    page.labelled("Not to", lacking);
    page.text()
}

impl Page {
    /// A line for each, the first with the label.
    fn labelled(&mut self, label: &str, lines: impl Iterator<Item = String>) {
        for (index, line) in lines.enumerate() {
            let label = if index == 0 { label } else { "" };
            self.line(2, format_args!("{label:<14}{line}"));
        }
    }
}

fn origin(route: &RouteStatus) -> String {
    let source = match route.source.as_str() {
        "api" => "added at run time",
        _ => "in the file",
    };
    match route.services.as_slice() {
        [] => format!("a route, {source}"),
        [service] => format!("service {service}, {source}"),
        services => format!("services {}", services.join(", ")),
    }
}

/// To whom, what is said, and by which advertisements.
fn told(peer: &RoutePeerStatus) -> String {
    let said = match said(&peer.attributes) {
        said if said.is_empty() => "with no attributes of its own".to_owned(),
        said => format!("with {said}"),
    };
    match peer.advertisements.as_slice() {
        [] => format!("{}, {said}", peer.peer),
        by => format!("{}, {said}; by advertisement {}", peer.peer, by.join(", ")),
    }
}
