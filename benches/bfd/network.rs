//! The speaker's namespace, the responder's, and the cable between them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::support::{self, Lab, Namespace};

/// Where the speaker under test is.
pub const SPEAKER: Ipv4Addr = Ipv4Addr::new(10, 98, 255, 1);
/// RFC 5881 §4.
pub const PORT: u16 = 3784;
/// As many as the responder can be.
pub const MOST_SESSIONS: u16 = 4000;

/// The device at either end.
pub const DEVICE: &str = "eth0";
const RESPONDER_MAC: &str = "02:00:00:00:00:02";

/// The address of a session's remote system, counted from 0.
pub fn peer(session: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A62_0001 + u32::from(session))
}

/// The session that an address belongs to.
pub fn session(peer: Ipv4Addr) -> Option<u16> {
    let session = peer.to_bits().checked_sub(0x0A62_0001)?;
    u16::try_from(session).ok()
}

pub struct Network {
    pub speaker: Namespace,
    pub responder: Namespace,
}

impl Network {
    pub fn build(lab: &Lab) -> Self {
        let (speaker, responder) = (lab.namespace("speaker"), lab.namespace("responder"));
        support::namespace::connect(
            (&speaker, DEVICE, &[&format!("{SPEAKER}/16")]),
            (&responder, DEVICE, &["10.98.254.1/16"]),
        );
        responder.ip(&format!("link set {DEVICE} address {RESPONDER_MAC}"));
        // Every peer's address is the responder's, without having been added one by one.
        responder.ip("route add local 10.98.0.0/17 dev lo");
        // Known neighbors do not count towards the limit that the whole machine has (`gc_thresh3`, 1024), and nobody asks for them.
        let neighbors = (0..MOST_SESSIONS).fold(String::new(), |mut lines, session| {
            let peer = peer(session);
            let _ = writeln!(
                lines,
                "neigh replace {peer} lladdr {RESPONDER_MAC} dev {DEVICE} nud permanent"
            );
            lines
        });
        speaker.ip_batch(&neighbors);
        Self { speaker, responder }
    }
}
