//! A view, not a value: each accessor reads the octets again. It has no encoder for values.

use inetnum::addr::Prefix;
use routecore::bgp::ParseError;
use routecore::bgp::message::{Message, SessionConfig};
use routecore::bgp::nlri::afisafi::{AfiSafiNlri, Nlri};
use routecore::bgp::nlri::nexthop::NextHop;
use std::net::IpAddr;

use super::{Codec, Out};
use crate::checksum::Checksum;

pub struct Routecore {
    session: SessionConfig,
}

impl Default for Routecore {
    fn default() -> Self {
        Self {
            session: SessionConfig::modern(),
        }
    }
}

impl Codec for Routecore {
    const NAME: &'static str = "routecore";
    type Octets = &'static [u8];
    type Message = Result<Message<&'static [u8]>, ParseError>;

    fn octets(message: &[u8]) -> Self::Octets {
        message.to_vec().leak()
    }

    fn decode(&mut self, octets: &Self::Octets) -> Self::Message {
        Message::from_octets(*octets, Some(&self.session))
    }

    fn walk(message: &Self::Message) -> u64 {
        let mut sum = Checksum::default();
        match message.as_ref().unwrap() {
            Message::Open(open) => {
                // `my_asn` would look for the four-octet one first.
                let octets = open.octets();
                sum.number(u16::from_be_bytes([octets[20], octets[21]]));
                sum.number(open.holdtime());
                let identifier = open.identifier().try_into().unwrap();
                sum.number(u32::from_be_bytes(identifier));
                for capability in open.capabilities() {
                    let value = capability.value();
                    match (u8::from(capability.typ()), value) {
                        (1, &[afi_high, afi_low, _, safi]) => {
                            sum.number(u32::from_be_bytes([0, afi_high, afi_low, safi]));
                        }
                        (65, &[a, b, c, d]) => sum.number(u32::from_be_bytes([a, b, c, d])),
                        _ => {}
                    }
                }
            }
            Message::Update(update) => {
                if let Some(origin) = update.origin().unwrap() {
                    sum.number(u8::from(origin));
                }
                if let Some(path) = update.aspath().unwrap() {
                    for segment in path.segments() {
                        for asn in segment.asns() {
                            sum.number(asn.into_u32());
                        }
                    }
                }
                if let Some(next_hop) = update.conventional_next_hop().unwrap() {
                    walk_next_hop(&next_hop, &mut sum);
                }
                if let Some(communities) = update.communities().unwrap() {
                    for community in communities {
                        sum.number(community.to_u32());
                    }
                }
                if let Some(next_hop) = update.mp_next_hop().unwrap() {
                    walk_next_hop(&next_hop, &mut sum);
                }
                for nlri in update.announcements().unwrap() {
                    match nlri.unwrap() {
                        Nlri::Ipv4Unicast(nlri) => walk_prefix(nlri.nlri(), &mut sum),
                        Nlri::Ipv6Unicast(nlri) => walk_prefix(nlri.nlri(), &mut sum),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        sum.value()
    }

    fn encode(&mut self, _message: &Self::Message, _out: &mut Out) -> bool {
        false
    }
}

fn walk_next_hop(next_hop: &NextHop, sum: &mut Checksum) {
    match next_hop {
        NextHop::Unicast(address) => sum.address(*address),
        NextHop::Ipv6LL { global, .. } => sum.v6(*global),
        _ => {}
    }
}

fn walk_prefix(prefix: &Prefix, sum: &mut Checksum) {
    match prefix.addr() {
        IpAddr::V4(address) => sum.prefix_v4(address, prefix.len()),
        IpAddr::V6(address) => sum.prefix_v6(address, prefix.len()),
    }
}
