//! What `herald show routes` says, and what stands in a router's table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ensure;
use super::router::{ReceivedRoute, Router};

/// `Err` unless a router has exactly what `show routes` says of the peer that is called as its kind, and of its internal peer if there is
/// one, which has `-internal` behind its name. `own` are the addresses of the daemon in either family, which are its next hops.
pub fn ensure_agreed(router: &dyn Router, said: &Value, own: [&str; 2]) -> Result<(), String> {
    let external = router.kind().to_lowercase();
    let internal = format!("{external}-internal");
    let mut expected: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for route in said.as_array().unwrap() {
        let prefix = route["prefix"].as_str().unwrap();
        for told in route["peers"].as_array().unwrap() {
            let is_internal = told["peer"] == *internal;
            if is_internal || told["peer"] == *external {
                let what = || format!("{prefix} to {} is {}", told["peer"], told["state"]);
                ensure(told["state"] == "announced", what)?;
                let paths = expected.entry(prefix.into()).or_default();
                paths.push(Path::said(prefix, told, is_internal, own));
            }
        }
    }
    let found = router.table().into_iter().map(|(prefix, paths)| {
        let paths: Vec<Path> = paths.into_iter().map(Path::found).collect();
        (prefix, paths)
    });
    let mut found: BTreeMap<String, Vec<Path>> = found.collect();
    for paths in expected.values_mut().chain(found.values_mut()) {
        paths.sort();
    }
    let all: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for prefix in all {
        let (found, expected) = (found.get(prefix), expected.get(prefix));
        ensure(found == expected, || {
            let kind = router.kind();
            format!("{prefix}: {kind} has {found:#?}, and we say {expected:#?}")
        })?;
    }
    Ok(())
}

/// A path as both sides tell of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    pub as_path: String,
    pub next_hop: String,
    pub multi_exit_disc: Option<u32>,
    /// Of internal sessions: what an external one has is the router's own.
    pub local_pref: Option<u32>,
    /// Of every kind, as the file writes them, but well-known ones as numbers.
    pub communities: BTreeSet<String>,
}

impl Path {
    /// As `show routes` says it of a peer.
    fn said(prefix: &str, told: &Value, is_internal: bool, own: [&str; 2]) -> Self {
        let is_v6 = prefix.contains(':');
        let next_hops = told["next_hop"].as_array().into_iter().flatten();
        let of_family = next_hops
            .filter_map(Value::as_str)
            .find(|hop| hop.contains(':') == is_v6);
        let own = own[usize::from(is_v6)];
        let number = |key: &str| told[key].as_u64().map(|it| u32::try_from(it).unwrap());
        let prepended = told["as_path_prepend"].as_u64().unwrap_or(0);
        let communities = told["communities"].as_array().into_iter().flatten();
        Self {
            as_path: match is_internal {
                true => String::new(),
                false => vec!["64520"; 1 + usize::try_from(prepended).unwrap()].join(" "),
            },
            next_hop: of_family.unwrap_or(own).into(),
            multi_exit_disc: number("med"),
            local_pref: is_internal.then(|| number("local_pref").unwrap_or(100)),
            communities: communities
                .map(|community| as_number(community.as_str().unwrap()))
                .collect(),
        }
    }

    /// As it stands in a router's table.
    pub fn found(route: ReceivedRoute) -> Self {
        let large = route.large_communities.iter();
        let large = large.map(|community| format!("large:{community}"));
        let communities = route.communities.into_iter();
        Self {
            next_hop: route.next_hops[0].to_string(),
            multi_exit_disc: route.multi_exit_disc,
            local_pref: route
                .as_path
                .is_empty()
                .then_some(route.local_pref)
                .flatten(),
            as_path: route.as_path,
            communities: communities
                .chain(large)
                .chain(route.extended_communities)
                .collect(),
        }
    }
}

/// Well-known communities as the registry numbers them.
fn as_number(community: &str) -> String {
    match community {
        "accept-own" => "65535:1",
        "graceful-shutdown" => "65535:0",
        "no-llgr" => "65535:7",
        "no-export" => "65535:65281",
        "no-advertise" => "65535:65282",
        "no-export-subconfed" => "65535:65283",
        "no-peer" => "65535:65284",
        number => number,
    }
    .into()
}
