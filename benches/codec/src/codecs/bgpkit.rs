use bgpkit_parser::error::ParserError;
use bgpkit_parser::models::{
    AsPathSegment, AsnLength, AttributeValue, BgpMessage, CapabilityValue, Community,
    NetworkPrefix, NextHopAddress, ParamValue,
};
use bgpkit_parser::parser::bgp::parse_bgp_message;
use bytes::Bytes;
use ipnet::IpNet;

use super::{Codec, Out};
use crate::checksum::Checksum;

pub struct Bgpkit;

impl Codec for Bgpkit {
    const NAME: &'static str = "bgpkit-parser";
    type Octets = Bytes;
    type Message = Result<BgpMessage, ParserError>;

    fn octets(message: &[u8]) -> Self::Octets {
        Bytes::copy_from_slice(message)
    }

    fn decode(&mut self, octets: &Self::Octets) -> Self::Message {
        parse_bgp_message(&mut octets.clone(), false, &AsnLength::Bits32)
    }

    fn walk(message: &Self::Message) -> u64 {
        let mut sum = Checksum::default();
        match message.as_ref().unwrap() {
            BgpMessage::Open(open) => {
                sum.number(u32::from(open.asn));
                sum.number(open.hold_time);
                sum.v4(open.bgp_identifier);
                for parameter in &open.opt_params {
                    let ParamValue::Capacities(capabilities) = &parameter.param_value else {
                        continue;
                    };
                    for capability in capabilities {
                        match &capability.value {
                            CapabilityValue::MultiprotocolExtensions(family) => {
                                sum.number(
                                    (family.afi as u32) << 8 | u32::from(u8::from(family.safi)),
                                );
                            }
                            CapabilityValue::FourOctetAs(asn) => sum.number(asn.asn),
                            _ => {}
                        }
                    }
                }
            }
            BgpMessage::Update(update) => {
                for attribute in &update.attributes {
                    walk_attribute(attribute, &mut sum);
                }
                walk_prefixes(&update.announced_prefixes, &mut sum);
            }
            _ => {}
        }
        sum.value()
    }

    fn encode(&mut self, message: &Self::Message, out: &mut Out) -> bool {
        out.allocated = message.as_ref().unwrap().encode(AsnLength::Bits32).unwrap();
        true
    }
}

fn walk_attribute(attribute: &AttributeValue, sum: &mut Checksum) {
    match attribute {
        AttributeValue::Origin(origin) => sum.number(*origin as u8),
        AttributeValue::AsPath(path) => {
            for segment in path.iter_segments() {
                if let AsPathSegment::AsSequence(asns) = segment {
                    asns.iter().for_each(|asn| sum.number(u32::from(*asn)));
                }
            }
        }
        AttributeValue::NextHop(address) => sum.address(*address),
        AttributeValue::Communities(communities) => {
            for community in communities {
                sum.number(match community {
                    Community::Custom(asn, value) => u32::from(*asn) << 16 | u32::from(*value),
                    Community::NoExport => 0xFFFF_FF01,
                    Community::NoAdvertise => 0xFFFF_FF02,
                    Community::NoExportSubConfed => 0xFFFF_FF03,
                });
            }
        }
        AttributeValue::MpReachNlri(nlri) => {
            match nlri.next_hop {
                Some(NextHopAddress::Ipv4(address)) => sum.v4(address),
                Some(NextHopAddress::Ipv6(address)) => sum.v6(address),
                _ => {}
            }
            walk_prefixes(&nlri.prefixes, sum);
        }
        _ => {}
    }
}

fn walk_prefixes(prefixes: &[NetworkPrefix], sum: &mut Checksum) {
    for prefix in prefixes {
        match prefix.prefix {
            IpNet::V4(prefix) => sum.net_v4(prefix),
            IpNet::V6(prefix) => sum.net_v6(prefix),
        }
    }
}
