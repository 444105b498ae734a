//! A plan for the log: thousands of services are no thousands of lines.

use std::collections::BTreeMap;
use std::fmt;

use super::Change;

/// How many of a kind are told one by one.
const FEW: usize = 10;

/// The lines that tell of a plan: one for each change, but only one for all of a kind of which there are
/// many.
#[must_use]
pub fn summary(changes: &[Change]) -> Vec<String> {
    summarized(
        changes
            .iter()
            .map(|change| (change.to_string(), of_many(change))),
    )
}

/// Likewise, of the text of each step with what [`of_many`] says of it.
pub(crate) fn summarized<K: Ord + fmt::Display>(
    steps: impl IntoIterator<Item = (String, Option<(K, String)>)>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut kinds: BTreeMap<K, Vec<(usize, String, String)>> = BTreeMap::new();
    for (at, (text, of_many)) in steps.into_iter().enumerate() {
        match of_many {
            Some((kind, name)) => kinds.entry(kind).or_default().push((at, text, name)),
            None => lines.push((at, text)),
        }
    }
    let mut together = Vec::new();
    for (kind, steps) in kinds {
        match steps.as_slice() {
            [(_, _, first), .., (_, _, last)] if steps.len() > FEW => {
                together.push(format!("{} {kind}, from {first} to {last}", steps.len()));
            }
            _ => lines.extend(steps.into_iter().map(|(at, text, _)| (at, text))),
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    lines
        .into_iter()
        .map(|(_, text)| text)
        .chain(together)
        .collect()
}

/// The kind and the name, where there may be many of a kind.
pub(crate) fn of_many(change: &Change) -> Option<(&'static str, String)> {
    Some(match change {
        Change::AddService(name) => ("services added", name.to_string()),
        Change::RemoveService(name) => ("services removed", name.to_string()),
        Change::UpdateService(name, _) => ("services changed", name.to_string()),
        Change::AddRoute(prefix) => ("routes added", prefix.to_string()),
        Change::RemoveRoute(prefix) => ("routes removed", prefix.to_string()),
        Change::UpdateRoute(prefix) => ("routes changed", prefix.to_string()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PeerName, ServiceName};

    #[test]
    fn many_of_a_kind_are_one_line() {
        let service = |number: usize| ServiceName::new(&format!("s{number:02}")).unwrap();
        let few: Vec<Change> = (0..FEW).map(|it| Change::AddService(service(it))).collect();
        assert_eq!(summary(&few).len(), FEW);
        assert_eq!(summary(&few)[0], "service s00: added");
        let mut many: Vec<Change> = (0..=FEW)
            .map(|it| Change::RemoveService(service(it)))
            .collect();
        many.insert(3, Change::AddPeer(PeerName::new("tor").unwrap()));
        many.push(Change::AddService(service(90)));
        assert_eq!(
            summary(&many),
            [
                "peer tor: added",
                "service s90: added",
                "11 services removed, from s00 to s10"
            ]
        );
    }
}
