//! A plan for the log: thousands of services are no thousands of lines.

use std::collections::BTreeMap;

use super::Change;

/// How many of a kind are told one by one.
const FEW: usize = 10;

/// The lines that tell of a plan: one for each change, but only one for all of a kind of which there are
/// many.
#[must_use]
pub fn summary(changes: &[Change]) -> Vec<String> {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, name) in changes.iter().filter_map(of_many) {
        kinds.entry(kind).or_default().push(name);
    }
    kinds.retain(|_, names| names.len() > FEW);
    let one_by_one = changes.iter().filter(|change| {
        let kind = of_many(change).map(|(kind, _)| kind);
        kind.is_none_or(|kind| !kinds.contains_key(kind))
    });
    let one_by_one = one_by_one.map(ToString::to_string);
    let together = kinds.iter().map(|(kind, names)| match names.as_slice() {
        [first, .., last] => format!("{} {kind}, from {first} to {last}", names.len()),
        _ => format!("{} {kind}", names.len()),
    });
    one_by_one.chain(together).collect()
}

/// The kind and the name, where there may be many of a kind.
fn of_many(change: &Change) -> Option<(&'static str, String)> {
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
