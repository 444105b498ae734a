//! What a neighbor that knows AS numbers of two octets hands on in four: AS4_PATH and
//! AS4_AGGREGATOR (RFC 6793 §4.2).

use super::as_path::AsPath;
use super::attribute::{Aggregator, Attribute};
use crate::types::Asn;

/// Puts what AS4_PATH and AS4_AGGREGATOR say where it belongs, and leaves them out.
pub(super) fn merge(attributes: &mut Vec<Attribute>) {
    let (mut as4_path, mut as4_aggregator) = (None, None);
    attributes.retain_mut(|attribute| match attribute {
        Attribute::As4Path(path) => {
            as4_path = Some(std::mem::take(path));
            false
        }
        Attribute::As4Aggregator(aggregator) => {
            as4_aggregator = Some(*aggregator);
            false
        }
        _ => true,
    });
    // Somebody formed an aggregate without knowing of either, so that they tell of what was before.
    let is_stale = attributes.iter().any(|attribute| {
        matches!(attribute, Attribute::Aggregator(aggregator) if !is_stand_in(aggregator))
    });
    if is_stale && as4_aggregator.is_some() {
        return;
    }
    for attribute in attributes {
        match attribute {
            Attribute::AsPath(path) => {
                if let Some(as4_path) = as4_path.take() {
                    *path = merged(path, as4_path);
                }
            }
            Attribute::Aggregator(aggregator) => {
                *aggregator = as4_aggregator.take().unwrap_or(*aggregator);
            }
            _ => {}
        }
    }
}

/// What is to be said beside `attributes`, whose AS numbers do not all fit two octets (RFC 6793
/// §4.2.2).
pub(super) fn companions(attributes: &[Attribute]) -> impl Iterator<Item = Attribute> {
    attributes.iter().filter_map(|attribute| match attribute {
        Attribute::AsPath(path) if path.needs_four_octets() => {
            Some(Attribute::As4Path(path.clone()))
        }
        Attribute::Aggregator(aggregator) if aggregator.asn > u32::from(u16::MAX) => {
            Some(Attribute::As4Aggregator(*aggregator))
        }
        _ => None,
    })
}

fn is_stand_in(aggregator: &Aggregator) -> bool {
    aggregator.asn == u32::from(Asn::AS_TRANS)
}

/// `as4_path`, behind what only `path` knows of: the ASes that were added by those who know two
/// octets. A path that is shorter than AS4_PATH has lost some, and AS4_PATH is not believed.
fn merged(path: &AsPath, as4_path: AsPath) -> AsPath {
    let (length, as4_length) = (path.asns().count(), as4_path.asns().count());
    let Some(added) = length.checked_sub(as4_length) else {
        return path.clone();
    };
    let asns = path.asns().take(added).chain(as4_path.asns());
    AsPath::sequence(&asns.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(asns: &[u32]) -> Attribute {
        Attribute::AsPath(AsPath::sequence(asns))
    }

    fn as4_path(asns: &[u32]) -> Attribute {
        Attribute::As4Path(AsPath::sequence(asns))
    }

    fn by(asn: u32) -> Aggregator {
        Aggregator {
            asn,
            address: [192, 0, 2, 1].into(),
        }
    }

    fn after<const N: usize>(attributes: [Attribute; N]) -> Vec<Attribute> {
        let mut attributes = attributes.into();
        merge(&mut attributes);
        attributes
    }

    const TRANS: u32 = Asn::AS_TRANS as u32;
    const WIDE: u32 = 4_200_000_000;

    #[test]
    fn c_065_as4_path_goes_behind_what_was_added_to_as_path() {
        assert_eq!(
            after([path(&[64521, TRANS, 64522]), as4_path(&[WIDE, 64522])]),
            [path(&[64521, WIDE, 64522])]
        );
        // In whatever order they come.
        assert_eq!(
            after([as4_path(&[WIDE]), path(&[64521, TRANS])]),
            [path(&[64521, WIDE])]
        );
        assert_eq!(after([path(&[TRANS]), as4_path(&[WIDE])]), [path(&[WIDE])]);
        assert_eq!(
            after([path(&[64521, TRANS]), as4_path(&[])]),
            [path(&[64521, TRANS])]
        );
    }

    #[test]
    fn c_065_as4_path_that_is_longer_is_not_believed() {
        assert_eq!(
            after([path(&[64521]), as4_path(&[WIDE, 64522])]),
            [path(&[64521])]
        );
    }

    #[test]
    fn c_066_an_aggregator_of_two_octets_makes_both_stale() {
        let narrow = || [path(&[64521, TRANS]), Attribute::Aggregator(by(64521))];
        let [first, second] = narrow();
        assert_eq!(
            after([
                first,
                second,
                as4_path(&[WIDE]),
                Attribute::As4Aggregator(by(WIDE))
            ]),
            narrow()
        );
        // AS4_PATH alone is not.
        let [first, second] = narrow();
        assert_eq!(
            after([first, second, as4_path(&[WIDE])]),
            [path(&[64521, WIDE]), Attribute::Aggregator(by(64521))]
        );
        assert_eq!(
            after([
                path(&[TRANS]),
                Attribute::Aggregator(by(TRANS)),
                as4_path(&[WIDE]),
                Attribute::As4Aggregator(by(WIDE)),
            ]),
            [path(&[WIDE]), Attribute::Aggregator(by(WIDE))]
        );
        // Without an AGGREGATOR it says nothing.
        assert_eq!(
            after([path(&[TRANS]), Attribute::As4Aggregator(by(WIDE))]),
            [path(&[TRANS])]
        );
    }
}
