//! Router Solicitation and Router Advertisement (RFC 4861 §4.1, §4.2).

/// A link-layer address as option: type, length in units of eight octets, address (RFC 4861 §4.6.1).
const SOURCE_LINK_LAYER_ADDRESS: [u8; 2] = [1, 1];
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
/// Without options.
const SOLICITATION_LENGTH: usize = 8;
const ADVERTISEMENT_LENGTH: usize = 16;
/// What has crossed no router.
const HOP_LIMIT: u8 = 255;

/// What a neighbor has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Solicitation,
    Advertisement,
}

impl Message {
    /// Reads an ICMPv6 message whose checksum the kernel has verified; `None` for any other, and for
    /// what a receiver discards (RFC 4861 §6.1.1, §6.1.2).
    pub(super) fn read(octets: &[u8], hop_limit: u8) -> Option<Self> {
        let (kind, length) = match *octets.first()? {
            ROUTER_SOLICITATION => (Self::Solicitation, SOLICITATION_LENGTH),
            ROUTER_ADVERTISEMENT => (Self::Advertisement, ADVERTISEMENT_LENGTH),
            _ => return None,
        };
        let code = *octets.get(1)?;
        let options = octets.get(length..)?;
        (hop_limit == HOP_LIMIT && code == 0 && are_options(options)).then_some(kind)
    }

    /// As it is sent; the kernel fills in the checksum. An advertisement says nothing but that we
    /// are there: its Router Lifetime is 0, and the rest unspecified.
    pub(super) fn octets(self, link_layer: Option<[u8; 6]>) -> Vec<u8> {
        let (kind, length) = match self {
            Self::Solicitation => (ROUTER_SOLICITATION, SOLICITATION_LENGTH),
            Self::Advertisement => (ROUTER_ADVERTISEMENT, ADVERTISEMENT_LENGTH),
        };
        let mut octets = vec![0; length];
        if let Some(first) = octets.first_mut() {
            *first = kind;
        }
        if let Some(address) = link_layer {
            octets.extend(SOURCE_LINK_LAYER_ADDRESS);
            octets.extend(address);
        }
        octets
    }
}

/// Every option has a length, and room for it.
fn are_options(mut octets: &[u8]) -> bool {
    while let [_, units, ..] = octets {
        match octets.get(usize::from(*units) * 8..) {
            Some(rest) if *units > 0 => octets = rest,
            _ => return false,
        }
    }
    octets.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_read_or_discarded(octets: Vec<u8>, hop_limit: u8) {
            let read = Message::read(&octets, hop_limit);
            prop_assert!(read.is_none() || hop_limit == 255);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for message in [Message::Solicitation, Message::Advertisement] {
            for link_layer in [None, Some([2, 0, 0, 0, 0, 1])] {
                let octets = message.octets(link_layer);
                assert_eq!(octets.len() % 8, 0);
                assert_eq!(Message::read(&octets, 255), Some(message));
            }
        }
    }

    #[test]
    fn an_advertisement_makes_us_nobodys_router() {
        let octets = Message::Advertisement.octets(None);
        assert_eq!(octets[6..8], [0, 0], "Router Lifetime");
        assert_eq!(
            octets[5] & 0xC0,
            0,
            "neither managed nor other configuration"
        );
    }

    /// RFC 4861 §6.1.1, §6.1.2.
    #[test]
    fn what_must_be_discarded_is() {
        let good = Message::Advertisement.octets(Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(Message::read(&good, 254), None, "it has crossed a router");
        let with = |at: usize, value: u8| {
            let mut octets = good.clone();
            octets[at] = value;
            Message::read(&octets, 255)
        };
        assert_eq!(with(0, 136), None, "another message");
        assert_eq!(with(1, 1), None, "a code");
        assert_eq!(with(17, 0), None, "an option without length");
        assert_eq!(with(17, 2), None, "an option without room");
        for length in 0..good.len() {
            let expected = (length == 16).then_some(Message::Advertisement);
            assert_eq!(Message::read(&good[..length], 255), expected, "{length}");
        }
    }
}
