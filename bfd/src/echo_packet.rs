//! What our echo packets contain. RFC 5880 §5 leaves it to us: nobody else reads them.

use crate::key::SessionId;

/// The UDP destination port of echo packets (RFC 5881 §4).
pub const ECHO_PORT: u16 = 3785;
/// The TTL or hop limit of an echo packet on its way back: the remote system has forwarded it once.
pub const RETURNED_TTL: u8 = 254;

/// An echo packet of ours.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Version = 1  |  Length = 24  |               0               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       My Discriminator                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      Sequence (64 bits)                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Cookie (64 bits)                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// The first eight octets, and the length, are those of FRR: its reflector drops what is shorter. The cookie is drawn anew for
/// each packet, which counts once: who has not seen the packet cannot answer for it, and who has cannot do so twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EchoPacket {
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
    pub(crate) cookie: u64,
}

impl EchoPacket {
    pub(crate) const LEN: usize = 24;
    const VERSION: u8 = 1;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(Self::LEN);
        octets.extend([Self::VERSION, Self::LEN as u8, 0, 0]);
        octets.extend(self.session.local_discr().get().to_be_bytes());
        octets.extend(self.sequence.to_be_bytes());
        octets.extend(self.cookie.to_be_bytes());
        octets
    }

    /// `None` if these octets are none that [`encode`](Self::encode) makes.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; Self::LEN] = octets.try_into().ok()?;
        let (head, rest) = octets.split_first_chunk::<4>()?;
        let (discriminator, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, cookie) = rest.split_first_chunk::<8>()?;
        if *head != [Self::VERSION, Self::LEN as u8, 0, 0] {
            return None;
        }
        Some(Self {
            session: SessionId::new(u32::from_be_bytes(*discriminator).try_into().ok()?),
            sequence: u64::from_be_bytes(*sequence),
            cookie: u64::from_be_bytes(cookie.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_parsed_and_nothing_else() {
        let packet = EchoPacket {
            session: SessionId::new(0x1234_5678.try_into().unwrap()),
            sequence: 7,
            cookie: u64::MAX - 1,
        };
        let octets = packet.encode();
        assert_eq!(octets.len(), EchoPacket::LEN);
        assert_eq!(EchoPacket::parse(&octets), Some(packet));
        for len in 0..octets.len() {
            assert_eq!(EchoPacket::parse(&octets[..len]), None, "{len} octets");
        }
        for position in [0, 1, 2, 3] {
            let mut octets = octets.clone();
            octets[position] ^= 0x10;
            assert_eq!(EchoPacket::parse(&octets), None, "octet {position}");
        }
        let mut of_nobody = octets;
        of_nobody[4..8].fill(0);
        assert_eq!(EchoPacket::parse(&of_nobody), None);
    }
}
