//! IP networks, as prefixes of ranges and of interfaces.

use std::fmt;
use std::net::IpAddr;

/// An IP prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix_length: u8,
}

impl Network {
    /// The network with this prefix; the bits of `address` beyond it play no part. `None` if the address has not as many bits.
    pub fn new(address: IpAddr, prefix_length: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix_length <= bits).then_some(Self {
            address,
            prefix_length,
        })
    }

    /// An address of it: the one it was made with.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    pub fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// Whether it has this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let length = u32::from(self.prefix_length);
        match (self.address, ip) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()).leading_zeros() >= length
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()).leading_zeros() >= length
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefix_length: u8) -> Network {
        Network::new(address.parse().unwrap(), prefix_length).unwrap()
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            (network("192.0.2.7", 24), "192.0.2.255", "192.0.3.0"),
            (network("192.0.2.7", 32), "192.0.2.7", "192.0.2.6"),
            (network("0.0.0.0", 0), "255.255.255.255", "::"),
            (
                network("2001:db8::1", 64),
                "2001:db8::f:0",
                "2001:db8:0:1::",
            ),
            (network("::", 0), "ffff::", "0.0.0.0"),
        ] {
            assert!(network.contains(inside.parse().unwrap()), "{network}");
            assert!(!network.contains(outside.parse().unwrap()), "{network}");
        }
        assert_eq!(Network::new("192.0.2.1".parse().unwrap(), 33), None);
        assert_eq!(Network::new("::".parse().unwrap(), 129), None);
    }
}
