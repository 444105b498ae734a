//! What every codec's walk must add up to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// FNV-1a over words of 64 bits: the order counts, and so does every value.
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Checksum {
    #[inline(always)]
    pub fn number(&mut self, value: impl Into<u64>) {
        self.0 = (self.0 ^ value.into()).wrapping_mul(0x0000_0100_0000_01B3);
    }

    #[inline(always)]
    pub fn v4(&mut self, address: Ipv4Addr) {
        self.number(address.to_bits());
    }

    #[inline(always)]
    pub fn v6(&mut self, address: Ipv6Addr) {
        let bits = address.to_bits();
        self.number((bits >> 64) as u64);
        self.number(bits as u64);
    }

    #[inline(always)]
    pub fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4(address),
            IpAddr::V6(address) => self.v6(address),
        }
    }

    #[inline(always)]
    pub fn prefix_v4(&mut self, address: Ipv4Addr, length: u8) {
        self.number(u64::from(address.to_bits()) << 8 | u64::from(length));
    }

    #[inline(always)]
    pub fn prefix_v6(&mut self, address: Ipv6Addr, length: u8) {
        self.v6(address);
        self.number(length);
    }

    #[inline(always)]
    pub fn net_v4(&mut self, prefix: Ipv4Net) {
        self.prefix_v4(prefix.addr(), prefix.prefix_len());
    }

    #[inline(always)]
    pub fn net_v6(&mut self, prefix: Ipv6Net) {
        self.prefix_v6(prefix.addr(), prefix.prefix_len());
    }

    pub fn value(self) -> u64 {
        self.0
    }
}
