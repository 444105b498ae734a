//! ROUTE-REFRESH (RFC 2918 §3).

use bytes::{BufMut, BytesMut};

use crate::types::Family;

/// A request to be sent a family's routes once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Of which family.
    pub family: Family,
    /// 0 is a plain request; others are RFC 7313's and are ignored unless they were agreed upon.
    pub subtype: u8,
}

impl RouteRefresh {
    pub(super) fn decode(body: &[u8]) -> Self {
        // Four octets, or the header's length would not have been accepted.
        let [afi_high, afi_low, subtype, safi] = body.first_chunk().copied().unwrap_or_default();
        Self {
            family: Family {
                afi: u16::from_be_bytes([afi_high, afi_low]),
                safi,
            },
            subtype,
        }
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_u16(self.family.afi);
        out.put_u8(self.subtype);
        out.put_u8(self.family.safi);
    }
}
