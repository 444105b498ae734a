//! Connection collision (RFC 4271 §6.8, RFC 6286 §2.3): both sides connected, one connection must
//! go, and both sides must pick the same one.

use std::cmp::Ordering;

use super::event::Direction;
use crate::types::{Asn, BgpIdentifier};
use crate::wire::{Notification, subcode};

/// Who opened the connection that survives: the side with the higher BGP Identifier, or, where
/// these are equal, the higher AS.
pub(super) fn survivor(local: (BgpIdentifier, Asn), remote: (BgpIdentifier, Asn)) -> Direction {
    match local.cmp(&remote) {
        Ordering::Greater => Direction::Outgoing,
        Ordering::Less | Ordering::Equal => Direction::Incoming,
    }
}

/// What the connection that does not survive ends with.
pub(super) const fn notification() -> Notification {
    Notification::cease(subcode::cease::CONNECTION_COLLISION_RESOLUTION)
}

pub(super) fn is_notification(said: &Notification) -> bool {
    let ours = notification();
    (said.code, said.subcode) == (ours.code, ours.subcode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(identifier: [u8; 4], asn: u32) -> (BgpIdentifier, Asn) {
        (
            BgpIdentifier::new(identifier.into()).unwrap(),
            Asn::new(asn).unwrap(),
        )
    }

    #[test]
    fn c_051_the_higher_identifier_as_an_unsigned_number_wins() {
        let low = speaker([10, 0, 0, 2], 65000);
        let high = speaker([192, 0, 2, 1], 64512);
        assert_eq!(survivor(high, low), Direction::Outgoing);
        assert_eq!(survivor(low, high), Direction::Incoming);
    }

    #[test]
    fn c_053_with_equal_identifiers_the_higher_as_wins() {
        let low = speaker([192, 0, 2, 1], 65535);
        let high = speaker([192, 0, 2, 1], 4_200_000_000);
        assert_eq!(survivor(high, low), Direction::Outgoing);
        assert_eq!(survivor(low, high), Direction::Incoming);
    }
}
