use bgp::wire::{Attribute, MAX_LENGTH, Message, MpNextHop, Prefixes, WireContext};
use bgp::{Capability, Notification};

use super::{Codec, Out};
use crate::checksum::Checksum;

const CONTEXT: WireContext = WireContext {
    four_octet_as: true,
    internal: false,
    path_ids_v4: false,
    path_ids_v6: false,
};

pub struct Herald;

impl Codec for Herald {
    const NAME: &'static str = "herald-bgp";
    type Octets = Vec<u8>;
    type Message = Result<Message, Notification>;

    fn octets(message: &[u8]) -> Self::Octets {
        message.to_vec()
    }

    fn decode(&mut self, octets: &Self::Octets) -> Self::Message {
        Message::from_octets(octets, CONTEXT, MAX_LENGTH)
    }

    fn walk(message: &Self::Message) -> u64 {
        let mut sum = Checksum::default();
        match message.as_ref().unwrap() {
            Message::Open(open) => {
                sum.number(open.my_as);
                sum.number(open.hold_time.as_secs());
                sum.number(open.bgp_identifier.to_bits());
                for capability in &open.capabilities {
                    match capability {
                        Capability::Multiprotocol(family) => {
                            sum.number(u32::from(family.afi) << 8 | u32::from(family.safi));
                        }
                        Capability::FourOctetAs(asn) => sum.number(asn.value()),
                        _ => {}
                    }
                }
            }
            Message::Update(update) => {
                for attribute in &update.attributes {
                    walk_attribute(attribute, &mut sum);
                }
                for prefix in &update.nlri {
                    sum.net_v4(*prefix);
                }
            }
            _ => {}
        }
        sum.value()
    }

    fn encode(&mut self, message: &Self::Message, out: &mut Out) -> bool {
        let message = message.as_ref().unwrap();
        message.encode(CONTEXT, MAX_LENGTH, &mut out.bytes).unwrap();
        true
    }
}

fn walk_attribute(attribute: &Attribute, sum: &mut Checksum) {
    match attribute {
        Attribute::Origin(origin) => sum.number(*origin as u8),
        Attribute::AsPath(path) => {
            for segment in path.segments() {
                for asn in segment {
                    sum.number(*asn);
                }
            }
        }
        Attribute::NextHop(address) => sum.v4(*address),
        Attribute::Communities(communities) => {
            for community in communities {
                sum.number(community.0);
            }
        }
        Attribute::MpReach(reach) => {
            match reach.next_hop {
                MpNextHop::V4(address) => sum.v4(address),
                MpNextHop::V6(address) => sum.v6(address),
                MpNextHop::V6WithLinkLocal(global, _) => sum.v6(global),
            }
            match &reach.nlri {
                Prefixes::V4(prefixes) => prefixes.iter().for_each(|prefix| sum.net_v4(*prefix)),
                Prefixes::V6(prefixes) => prefixes.iter().for_each(|prefix| sum.net_v6(*prefix)),
            }
        }
        _ => {}
    }
}
