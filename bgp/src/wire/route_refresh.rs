//! ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3.2).

use bytes::{BufMut, BytesMut};

use super::framing::bad_length;
use super::notification::{Notification, code, subcode};
use super::{HEADER_LENGTH, MessageType};
use crate::types::Family;

/// A request to be sent a family's routes once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Of which family.
    pub family: Family,
    /// [`REQUEST`], [`BEGIN`] or [`END`]; others are ignored (RFC 7313 §5).
    pub subtype: u8,
}

/// Send the routes once more (RFC 2918 §3).
pub const REQUEST: u8 = 0;
/// Begin-of-RR: here they come (RFC 7313 §3.2).
pub const BEGIN: u8 = 1;
/// End-of-RR: these were all (RFC 7313 §3.2).
pub const END: u8 = 2;

impl RouteRefresh {
    /// # Errors
    /// What ends the session where the body is not four octets long: 7/1 for what marks a beginning or
    /// an end (RFC 7313 §5), else Bad Message Length (RFC 4271 §6.1).
    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        if let &[afi_high, afi_low, subtype, safi] = body {
            let afi = u16::from_be_bytes([afi_high, afi_low]);
            return Ok(Self {
                family: Family { afi, safi },
                subtype,
            });
        }
        let length = u16::try_from(HEADER_LENGTH + body.len()).unwrap_or(u16::MAX);
        let length = length.to_be_bytes();
        let kind = [MessageType::RouteRefresh as u8];
        let header = [&[0xFF; 16][..], &length, &kind].concat();
        Err(match body.get(2) {
            Some(&(BEGIN | END)) => Notification::with_data(
                code::ROUTE_REFRESH_MESSAGE,
                subcode::route_refresh::INVALID_MESSAGE_LENGTH,
                &[&header, body].concat(),
            ),
            _ => bad_length(&header),
        })
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_u16(self.family.afi);
        out.put_u8(self.subtype);
        out.put_u8(self.family.safi);
    }
}
