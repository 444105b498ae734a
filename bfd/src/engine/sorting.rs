//! Which datagrams the kernel lays in which queue, as a program of the classic Berkeley Packet Filter.
//!
//! The program looks at nothing but a datagram's form and its TTL. It spares the thread work and keeps what matters apart from what
//! does not; it decides nothing: every datagram that is read meets all rules again in the endpoint.

use std::net::SocketAddr;

use super::sys::FilterStep;

/// The queues of a listen address, in the order in which their sockets are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Packets as those of sessions are. All of a remote system's are here, and so in order.
    Sessions,
    /// What no session may accept. It is read at leisure, so that it is counted by reason.
    Rejected,
}

impl Queue {
    pub(super) const ALL: [Self; 2] = [Self::Sessions, Self::Rejected];

    fn position(self) -> u32 {
        match self {
            Self::Sessions => 0,
            Self::Rejected => 1,
        }
    }
}

/// The mandatory section of a control packet (RFC 5880 §4.1).
const MANDATORY_SECTION: u32 = 24;
/// Version, in the three bits above the diagnostic.
const VERSION_OFFSET: u32 = 0;
const VERSION_SHIFT: u32 = 5;
const LENGTH_OFFSET: u32 = 3;
/// In the fixed header of either family; what comes between that and UDP does not move it.
const IPV4_TTL_OFFSET: u32 = 8;
const IPV6_HOP_LIMIT_OFFSET: u32 = 7;

/// The program for a socket at `local`, whose sessions demand at least `minimum_ttl` of a packet. Its result is the position
/// of a queue.
pub(super) fn program(local: SocketAddr, minimum_ttl: u8) -> Vec<FilterStep> {
    let ttl_offset = match local {
        SocketAddr::V4(_) => IPV4_TTL_OFFSET,
        SocketAddr::V6(_) => IPV6_HOP_LIMIT_OFFSET,
    };
    let reject = Queue::Rejected.position();
    let checks = [
        // RFC 5880 §6.8.6: the version is 1, and Length covers the mandatory section and no more than the payload.
        FilterStep::LoadPayloadLength,
        FilterStep::UnlessAtLeast(MANDATORY_SECTION, reject),
        FilterStep::Load(VERSION_OFFSET),
        FilterStep::ShiftRight(VERSION_SHIFT),
        FilterStep::UnlessEqual(1, reject),
        FilterStep::Load(LENGTH_OFFSET),
        FilterStep::UnlessAtLeast(MANDATORY_SECTION, reject),
        FilterStep::Keep,
        FilterStep::LoadPayloadLength,
        FilterStep::UnlessAtLeastKept(reject),
        // RFC 5881 §5, RFC 5883 §4.
        FilterStep::LoadFromIpHeader(ttl_offset),
        FilterStep::UnlessAtLeast(minimum_ttl.into(), reject),
        FilterStep::Return(Queue::Sessions.position()),
    ];
    checks.to_vec()
}
