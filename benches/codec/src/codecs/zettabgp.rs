use zettabgp::prelude::*;

use super::{Codec, Out};
use crate::checksum::Checksum;

pub struct Zettabgp {
    session: BgpSessionParams,
}

pub enum Message {
    Open(BgpOpenMessage),
    Update(BgpUpdateMessage),
    Keepalive,
}

impl Default for Zettabgp {
    fn default() -> Self {
        let mut session = BgpSessionParams::new(
            64520,
            90,
            BgpTransportMode::IPv4,
            [192, 0, 2, 1].into(),
            vec![],
        );
        session.fuzzy_pathid = false; // no guess at what was negotiated, which costs time
        Self { session }
    }
}

impl Codec for Zettabgp {
    const NAME: &'static str = "zettabgp";
    type Octets = Vec<u8>;
    type Message = Message;

    fn octets(message: &[u8]) -> Self::Octets {
        message.to_vec()
    }

    fn decode(&mut self, octets: &Self::Octets) -> Message {
        let (kind, length) = self.session.decode_message_head(octets).unwrap();
        let body = &octets[19..19 + length];
        match kind {
            // Read where it will stay: a move would count against it.
            BgpMessageType::Open => {
                let mut message = Message::Open(BgpOpenMessage::new());
                if let Message::Open(open) = &mut message {
                    open.decode_from(&self.session, body).unwrap();
                }
                message
            }
            BgpMessageType::Update => {
                let mut message = Message::Update(BgpUpdateMessage::new());
                if let Message::Update(update) = &mut message {
                    update.decode_from(&self.session, body).unwrap();
                }
                message
            }
            _ => Message::Keepalive,
        }
    }

    fn walk(message: &Message) -> u64 {
        let mut sum = Checksum::default();
        match message {
            Message::Open(open) => {
                sum.number(open.as_num);
                sum.number(open.hold_time);
                sum.v4(open.router_id);
                for capability in &open.caps {
                    match capability {
                        BgpCapability::SafiIPv4u => sum.number(0x101_u32),
                        BgpCapability::SafiIPv6u => sum.number(0x201_u32),
                        BgpCapability::CapASN32(asn) => sum.number(*asn),
                        _ => {}
                    }
                }
            }
            Message::Update(update) => {
                for attribute in &update.attrs {
                    walk_attribute(attribute, &mut sum);
                }
                walk_prefixes(&update.updates, &mut sum);
            }
            Message::Keepalive => {}
        }
        sum.value()
    }

    fn encode(&mut self, message: &Message, out: &mut Out) -> bool {
        let body = &mut out.array[19..];
        let (kind, length) = match message {
            Message::Open(open) => (
                BgpMessageType::Open,
                open.encode_to(&self.session, body).unwrap(),
            ),
            Message::Update(update) => (
                BgpMessageType::Update,
                update.encode_to(&self.session, body).unwrap(),
            ),
            Message::Keepalive => (BgpMessageType::Keepalive, 0),
        };
        out.length = self
            .session
            .prepare_message_buf(&mut out.array[..], kind, length)
            .unwrap();
        true
    }
}

fn walk_attribute(attribute: &BgpAttrItem, sum: &mut Checksum) {
    match attribute {
        BgpAttrItem::Origin(origin) => sum.number(match origin.value {
            BgpAttrOrigin::Igp => 0_u8,
            BgpAttrOrigin::Egp => 1,
            BgpAttrOrigin::Incomplete => 2,
        }),
        BgpAttrItem::ASPath(path) => {
            for item in &path.value {
                match item {
                    BgpASitem::Seq(sequence) => {
                        sequence.value.iter().for_each(|asn| sum.number(asn.value));
                    }
                    BgpASitem::Set(set) => set.value.iter().for_each(|asn| sum.number(asn.value)),
                }
            }
        }
        BgpAttrItem::NextHop(next_hop) => sum.address(next_hop.value),
        BgpAttrItem::CommunityList(communities) => {
            for community in &communities.value {
                sum.number(community.value);
            }
        }
        BgpAttrItem::MPUpdates(updates) => {
            match &updates.nexthop {
                BgpAddr::V4(address) => sum.v4(*address),
                BgpAddr::V6(address) => sum.v6(*address),
                _ => {}
            }
            walk_prefixes(&updates.addrs, sum);
        }
        _ => {}
    }
}

fn walk_prefixes(prefixes: &BgpAddrs, sum: &mut Checksum) {
    match prefixes {
        BgpAddrs::IPV4U(prefixes) => {
            for prefix in prefixes {
                sum.prefix_v4(prefix.addr, prefix.prefixlen);
            }
        }
        BgpAddrs::IPV6U(prefixes) => {
            for prefix in prefixes {
                sum.prefix_v6(prefix.addr, prefix.prefixlen);
            }
        }
        _ => {}
    }
}
