use bytes::Bytes;
use rustbgpd_wire::{
    AsPathSegment, Capability, DecodeError, Ipv4UnicastMode, Message, OpenMessage, ParsedUpdate,
    PathAttribute, Prefix, UpdateMessage, decode_message, encode_message,
};

use super::{Codec, Out};
use crate::checksum::Checksum;

pub struct Rustbgpd;

/// Its own `Message` holds an UPDATE as octets.
pub enum Parsed {
    Open(OpenMessage),
    Update(Result<ParsedUpdate, DecodeError>),
    Keepalive,
}

impl Codec for Rustbgpd {
    const NAME: &'static str = "rustbgpd-wire";
    type Octets = Bytes;
    type Message = Parsed;

    fn octets(message: &[u8]) -> Self::Octets {
        Bytes::copy_from_slice(message)
    }

    fn decode(&mut self, octets: &Self::Octets) -> Parsed {
        match decode_message(&mut octets.clone(), 4096).unwrap() {
            Message::Open(open) => Parsed::Open(open),
            Message::Update(update) => Parsed::Update(update.parse(true, false, &[])),
            _ => Parsed::Keepalive,
        }
    }

    fn walk(message: &Parsed) -> u64 {
        let mut sum = Checksum::default();
        match message {
            Parsed::Open(open) => {
                sum.number(open.my_as);
                sum.number(open.hold_time);
                sum.v4(open.bgp_identifier);
                for capability in &open.capabilities {
                    match capability {
                        Capability::MultiProtocol { afi, safi } => {
                            sum.number((*afi as u32) << 8 | *safi as u32);
                        }
                        Capability::FourOctetAs { asn } => sum.number(*asn),
                        _ => {}
                    }
                }
            }
            Parsed::Update(update) => {
                let update = update.as_ref().unwrap();
                for attribute in &update.attributes {
                    walk_attribute(attribute, &mut sum);
                }
                for entry in &update.announced {
                    sum.prefix_v4(entry.prefix.addr, entry.prefix.len);
                }
            }
            Parsed::Keepalive => {}
        }
        sum.value()
    }

    fn encode(&mut self, message: &Parsed, out: &mut Out) -> bool {
        out.allocated = match message {
            Parsed::Open(open) => encode_open(open),
            Parsed::Update(update) => {
                let update = update.as_ref().unwrap();
                encode_message(&Message::Update(UpdateMessage::build(
                    &update.announced,
                    &update.withdrawn,
                    &update.attributes,
                    true,
                    false,
                    Ipv4UnicastMode::Body,
                )))
            }
            Parsed::Keepalive => encode_message(&Message::Keepalive),
        }
        .unwrap()
        .freeze();
        true
    }
}

/// As its `encode_message`, which would need a copy of the OPEN.
fn encode_open(open: &OpenMessage) -> Result<bytes::BytesMut, rustbgpd_wire::EncodeError> {
    let mut octets = bytes::BytesMut::with_capacity(open.encoded_len());
    open.encode(&mut octets)?;
    Ok(octets)
}

fn walk_attribute(attribute: &PathAttribute, sum: &mut Checksum) {
    match attribute {
        PathAttribute::Origin(origin) => sum.number(*origin as u8),
        PathAttribute::AsPath(path) => {
            for segment in &path.segments {
                if let AsPathSegment::AsSequence(asns) = segment {
                    asns.iter().for_each(|asn| sum.number(*asn));
                }
            }
        }
        PathAttribute::NextHop(address) => sum.v4(*address),
        PathAttribute::Communities(communities) => {
            for community in communities {
                sum.number(*community);
            }
        }
        PathAttribute::MpReachNlri(reach) => {
            sum.address(reach.next_hop);
            for entry in &reach.announced {
                match entry.prefix {
                    Prefix::V4(prefix) => sum.prefix_v4(prefix.addr, prefix.len),
                    Prefix::V6(prefix) => sum.prefix_v6(prefix.addr, prefix.len),
                }
            }
        }
        _ => {}
    }
}
