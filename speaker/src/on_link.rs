//! Whether an address is on a link of this host: what single-hop BFD needs (RFC 5881 §2). The kernel
//! says so by its route there (rtnetlink(7)), which knows what netmasks do not: routes to an interface,
//! point-to-point links, rules.

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// struct nlmsghdr
const MESSAGE_HEADER: usize = 16;
/// struct rtmsg
const ROUTE_HEADER: usize = 12;
/// struct rtattr
const ATTRIBUTE_HEADER: usize = 4;

/// Whether packets go there, by this interface if there is one, without a gateway; `None` while there is
/// no route, or when the kernel does not say.
#[must_use]
pub fn is_on_link(ip: IpAddr, interface: Option<&str>) -> Option<bool> {
    let index = interface.map(nix::net::if_::if_nametoindex);
    read_answer(&ask(&request(ip, index.transpose().ok()?)).ok()?)
}

fn ask(request: &[u8]) -> io::Result<Vec<u8>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol means NETLINK_ROUTE, which is 0.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, request, SendFlags::empty(), &kernel)?;
    // A request of this kind has been answered when it has been sent.
    let mut answer = vec![0; 4096];
    let (received, _) = rustix::net::recv(&socket, answer.as_mut_slice(), RecvFlags::DONTWAIT)?;
    answer.truncate(received);
    Ok(answer)
}

fn request(ip: IpAddr, interface_index: Option<u32>) -> Vec<u8> {
    let (family, octets) = match ip {
        IpAddr::V4(ip) => (AddressFamily::INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AddressFamily::INET6, ip.octets().to_vec()),
    };
    let mut attributes = attribute(RTA_DST, &octets);
    if let Some(index) = interface_index {
        attributes.extend(attribute(RTA_OIF, &index.to_ne_bytes()));
    }
    let length = MESSAGE_HEADER + ROUTE_HEADER + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // The sequence, and the port, which the kernel fills in.
    message.extend([0; 8]);
    // Family and length of the destination; then what the kernel is to say.
    message.extend([family.as_raw() as u8, (octets.len() * 8) as u8]);
    message.extend([0; ROUTE_HEADER - 2]);
    message.extend(attributes);
    message
}

/// All that we send are multiples of four octets long, and need no padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;
    [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
}

fn read_answer(answer: &[u8]) -> Option<bool> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let body = answer.get(MESSAGE_HEADER..)?;
    match kind {
        RTM_NEWROUTE => match *body.get(7)? {
            RTN_LOCAL => Some(true),
            RTN_UNICAST => {
                let attributes = body.get(ROUTE_HEADER..)?;
                let via = [RTA_GATEWAY, RTA_VIA];
                Some(!via.iter().any(|via| has_attribute(attributes, *via)))
            }
            // Blackholes, broadcast and the like lead to no neighbor.
            _ => None,
        },
        // NLMSG_ERROR: there is no route.
        _ => None,
    }
}

fn has_attribute(mut attributes: &[u8], wanted: u16) -> bool {
    while let Some([a, b, c, d]) = attributes.first_chunk::<ATTRIBUTE_HEADER>().copied() {
        if u16::from_ne_bytes([c, d]) == wanted {
            return true;
        }
        let length = usize::from(u16::from_ne_bytes([a, b])).max(ATTRIBUTE_HEADER);
        attributes = attributes
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_on_link() {
        for ip in ["127.1.2.3", "::1"] {
            let ip = ip.parse().unwrap();
            assert_eq!(is_on_link(ip, None), Some(true));
            assert_eq!(is_on_link(ip, Some("lo")), Some(true));
            assert_eq!(is_on_link(ip, Some("no-such-one")), None);
        }
    }

    fn answer(kind: u16, route_type: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; MESSAGE_HEADER + ROUTE_HEADER];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[MESSAGE_HEADER + 7] = route_type;
        for (kind, value) in attributes {
            message.extend(attribute(*kind, value));
        }
        message
    }

    #[test]
    fn a_gateway_is_a_hop() {
        let (table, interface) = (
            (15, [254, 0, 0, 0].as_slice()),
            (RTA_OIF, [2, 0, 0, 0].as_slice()),
        );
        let gateway = (RTA_GATEWAY, [192, 0, 2, 1].as_slice());
        let via = (RTA_VIA, [10, 0, 0xfe, 0x80].as_slice());
        let read = |route_type, attributes: &[_]| {
            read_answer(&answer(RTM_NEWROUTE, route_type, attributes))
        };
        assert_eq!(read(RTN_UNICAST, &[table, interface]), Some(true));
        assert_eq!(read(RTN_UNICAST, &[table, gateway, interface]), Some(false));
        assert_eq!(read(RTN_UNICAST, &[table, via, interface]), Some(false));
        assert_eq!(read(RTN_LOCAL, &[table, interface]), Some(true));
        assert_eq!(read(6, &[table]), None, "a blackhole");
    }

    #[test]
    fn where_there_is_no_route_nobody_knows() {
        let mut unreachable = answer(2, 0, &[]);
        unreachable[MESSAGE_HEADER..MESSAGE_HEADER + 4].copy_from_slice(&(-101i32).to_ne_bytes());
        assert_eq!(read_answer(&unreachable), None);
        for length in 0..unreachable.len() {
            assert_eq!(read_answer(&unreachable[..length]), None);
        }
    }
}
