//! What other `[[advertisement]]`s cost: more is said of routes, or less, or to others, and no session is
//! touched.

use std::collections::BTreeSet;

use bgp::RouteAttributes;

use super::shown::{Named, Shown, Texts};
use super::{Change, Difference, compare};
use crate::config::{
    AdvertisementConfig, AggregationLengths, aggregator_text, community_texts, next_hop_texts,
};

/// What it is called: by its name, or its place in the file.
fn label(advertisement: &AdvertisementConfig, place: usize) -> String {
    let name = advertisement.name.clone();
    name.unwrap_or_else(|| (place + 1).to_string())
}

/// One of the running ones for each of the wanted, where there is one: of its name, or one without a name
/// that says the same, or else the next one without a name.
fn pairs(running: &[AdvertisementConfig], wanted: &[AdvertisementConfig]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; wanted.len()];
    let mut taken = BTreeSet::new();
    let is_same: [fn(&AdvertisementConfig, &AdvertisementConfig) -> bool; 3] = [
        |one, other| one.name.is_some() && one.name == other.name,
        |one, other| one == other,
        |one, other| one.name.is_none() && other.name.is_none(),
    ];
    for is_same in is_same {
        for (pair, wanted) in pairs.iter_mut().zip(wanted) {
            if pair.is_some() {
                continue;
            }
            let mut candidates = running.iter().enumerate();
            let found =
                candidates.find(|(place, it)| !taken.contains(place) && is_same(it, wanted));
            if let Some((place, _)) = found {
                taken.insert(place);
                *pair = Some(place);
            }
        }
    }
    pairs
}

pub(super) fn plan(running: &[AdvertisementConfig], wanted: &[AdvertisementConfig]) -> Vec<Change> {
    let pairs = pairs(running, wanted);
    let stay: Vec<usize> = pairs.iter().flatten().copied().collect();
    let gone = running.iter().enumerate();
    let gone = gone.filter(|(place, _)| !stay.contains(place));
    let mut changes: Vec<Change> = gone
        .map(|(place, it)| Change::RemoveAdvertisement(label(it, place)))
        .collect();
    for (place, (pair, wanted)) in pairs.iter().zip(wanted).enumerate() {
        let label = label(wanted, place);
        match pair.and_then(|place| running.get(place)) {
            None => changes.push(Change::AddAdvertisement(label)),
            Some(running) => {
                let found = differences(running, wanted);
                if !found.is_empty() {
                    changes.push(Change::UpdateAdvertisement(label, found));
                }
            }
        }
    }
    // Of an aggregate, the one that comes first says what only one can say.
    if !stay.is_sorted() {
        changes.push(Change::ReorderAdvertisements);
    }
    changes
}

fn differences(running: &AdvertisementConfig, wanted: &AdvertisementConfig) -> Vec<Difference> {
    let AdvertisementConfig {
        name: _,
        peers,
        services,
        pools,
        aggregation,
        attributes,
    } = wanted;
    let mut found = Vec::new();
    compare(&mut found, "peers", &All(&running.peers), &All(peers));
    compare(
        &mut found,
        "services",
        &All(&running.services),
        &All(services),
    );
    compare(&mut found, "pools", &All(&running.pools), &All(pools));
    let AggregationLengths { v4, v6 } = aggregation;
    let lengths = running.aggregation;
    compare(&mut found, "aggregation-length", &lengths.v4, v4);
    compare(&mut found, "aggregation-length-v6", &lengths.v6, v6);
    compare_attributes(&mut found, &running.attributes, attributes);
    found
}

pub(super) fn compare_attributes(
    found: &mut Vec<Difference>,
    running: &RouteAttributes,
    wanted: &RouteAttributes,
) {
    let RouteAttributes {
        // The file has no word for these.
        origin: _,
        unknown: _,
        additional_paths: _,
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
    } = wanted;
    compare(
        found,
        "local-pref",
        &Named(&running.local_pref),
        &Named(local_pref),
    );
    compare(
        found,
        "med",
        &Named(&running.multi_exit_disc),
        &Named(multi_exit_disc),
    );
    compare(
        found,
        "as-path-prepend",
        &running.as_path_prepend,
        as_path_prepend,
    );
    compare_texts(found, "communities", [running, wanted].map(community_texts));
    compare_texts(found, "next-hop", [running, wanted].map(next_hop_texts));
    compare(
        found,
        "atomic-aggregate",
        &running.atomic_aggregate,
        atomic_aggregate,
    );
    compare(
        found,
        "aggregator",
        &Named(&running.aggregator.map(aggregator_text)),
        &Named(&aggregator.map(aggregator_text)),
    );
}

fn compare_texts(
    found: &mut Vec<Difference>,
    key: &'static str,
    [running, wanted]: [Vec<String>; 2],
) {
    compare(found, key, &Texts(running), &Texts(wanted));
    // They may differ in what is not written out.
    let last = found.last_mut().filter(|last| last.key == key);
    if let Some(last) = last.filter(|last| last.from == last.to) {
        last.to.push_str(" (others among them)");
    }
}

/// Names, of which none means all there are.
#[derive(PartialEq)]
pub(super) struct All<'n, N>(pub(super) &'n Option<BTreeSet<N>>);

impl<N: std::fmt::Display> Shown for All<'_, N> {
    fn shown(&self) -> String {
        let Some(names) = self.0 else {
            return "all".to_owned();
        };
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        format!("[{}]", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PeerName;

    fn with_med(name: &str, med: u32) -> AdvertisementConfig {
        AdvertisementConfig {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            attributes: RouteAttributes {
                multi_exit_disc: Some(med),
                ..RouteAttributes::default()
            },
            ..AdvertisementConfig::default()
        }
    }

    fn words(running: &[AdvertisementConfig], wanted: &[AdvertisementConfig]) -> Vec<String> {
        let changes = plan(running, wanted);
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_advertisement_that_changes_is_one_line() {
        let running = [with_med("up", 10), with_med("old", 1), with_med("same", 5)];
        let mut up = with_med("up", 20);
        up.peers = Some(
            ["tor-a", "tor-b"]
                .map(|name| PeerName::new(name).unwrap())
                .into(),
        );
        up.aggregation.v4 = 24;
        up.attributes.local_pref = Some(200);
        let wanted = [up, with_med("same", 5), with_med("new", 1)];
        assert_eq!(
            words(&running, &wanted),
            [
                "advertisement old: removed",
                "advertisement up: peers all -> [tor-a, tor-b], aggregation-length 32 -> 24, \
                 local-pref none -> 200, med 10 -> 20",
                "advertisement new: added",
            ]
        );
    }

    #[test]
    fn those_without_a_name_are_known_by_what_they_say() {
        let running = [with_med("", 1), with_med("", 2)];
        assert_eq!(words(&running, &running), [""; 0]);
        assert_eq!(
            words(&running, &[with_med("", 2)]),
            ["advertisement 1: removed"]
        );
        let wanted = [with_med("", 3), with_med("", 1), with_med("", 2)];
        assert_eq!(words(&running, &wanted), ["advertisement 1: added"]);
        let wanted = [with_med("", 1), with_med("", 7)];
        assert_eq!(words(&running, &wanted), ["advertisement 2: med 2 -> 7"]);
    }

    #[test]
    fn another_order_is_a_change() {
        let (one, other) = (with_med("a", 1), with_med("b", 2));
        assert_eq!(
            words(&[one.clone(), other.clone()], &[other, one]),
            ["advertisements: in another order"]
        );
    }
}
