use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::capabilities::BgpCapability;
use netgauze_bgp_pkt::open::BgpOpenMessageParameter;
use netgauze_bgp_pkt::path_attribute::{AsPath, MpReach, PathAttributeValue};
use netgauze_bgp_pkt::wire::deserializer::{BgpMessageParsingError, BgpParsingContext};
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

use super::{Codec, Out};
use crate::checksum::Checksum;

#[derive(Default)]
pub struct Netgauze {
    context: BgpParsingContext,
}

impl Codec for Netgauze {
    const NAME: &'static str = "netgauze-bgp-pkt";
    type Octets = Vec<u8>;
    type Message = Result<BgpMessage, BgpMessageParsingError>;

    fn octets(message: &[u8]) -> Self::Octets {
        message.to_vec()
    }

    fn decode(&mut self, octets: &Self::Octets) -> Self::Message {
        BgpMessage::parse(&mut SliceReader::new(octets), &mut self.context)
    }

    fn walk(message: &Self::Message) -> u64 {
        let mut sum = Checksum::default();
        match message.as_ref().unwrap() {
            BgpMessage::Open(open) => {
                sum.number(open.my_as());
                sum.number(open.hold_time());
                sum.v4(open.bgp_id());
                for BgpOpenMessageParameter::Capabilities(capabilities) in open.params() {
                    for capability in capabilities {
                        match capability {
                            BgpCapability::MultiProtocolExtensions(multiprotocol) => {
                                let family = multiprotocol.address_type();
                                let afi = family.address_family() as u32;
                                let safi = family.subsequent_address_family() as u32;
                                sum.number(afi << 8 | safi);
                            }
                            BgpCapability::FourOctetAs(asn) => sum.number(asn.asn4()),
                            _ => {}
                        }
                    }
                }
            }
            BgpMessage::Update(update) => {
                for attribute in update.path_attributes() {
                    walk_attribute(attribute.value(), &mut sum);
                }
                for prefix in update.nlri() {
                    sum.net_v4(prefix.network().address());
                }
            }
            _ => {}
        }
        sum.value()
    }

    fn encode(&mut self, message: &Self::Message, out: &mut Out) -> bool {
        message.as_ref().unwrap().write(&mut out.vec).unwrap();
        true
    }
}

fn walk_attribute(attribute: &PathAttributeValue, sum: &mut Checksum) {
    match attribute {
        PathAttributeValue::Origin(origin) => sum.number(*origin as u8),
        PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
            for segment in segments {
                for asn in segment.as_numbers() {
                    sum.number(*asn);
                }
            }
        }
        PathAttributeValue::NextHop(next_hop) => sum.v4(next_hop.next_hop()),
        PathAttributeValue::Communities(communities) => {
            for community in communities.communities() {
                sum.number(community.value());
            }
        }
        PathAttributeValue::MpReach(MpReach::Ipv6Unicast {
            next_hop_global,
            nlri,
            ..
        }) => {
            sum.v6(*next_hop_global);
            for prefix in nlri {
                sum.net_v6(prefix.network().address());
            }
        }
        _ => {}
    }
}
