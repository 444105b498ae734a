//! ROUTE-REFRESH (RFC 2918): theirs is answered, and ours can be asked for.

use std::time::Instant;

use bytes::BytesMut;

use super::Session;
use super::event::ConnId;
use super::status::State;
use crate::types::Family;
use crate::wire::{MAX_LENGTH, Message, RouteRefresh, WireContext, route_refresh};

/// Why a neighbor cannot be asked for its routes once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// There is nobody to ask.
    #[error("the session is not established")]
    NotEstablished,
    /// It has not offered the route refresh capability (RFC 2918 §2).
    #[error("the neighbor does not offer route refresh")]
    NotOffered,
    /// There are no routes of this family on the session.
    #[error("{0} was not agreed upon")]
    NotNegotiated(Family),
}

impl Session {
    /// Asks the neighbor for its routes of `family` once more (RFC 2918 §4).
    ///
    /// # Errors
    /// When that is not possible; nothing is sent then.
    pub fn request_refresh(&mut self, now: Instant, family: Family) -> Result<(), RefreshError> {
        self.advance(now);
        let connection = self
            .connections
            .furthest_mut()
            .filter(|connection| connection.state == State::Established)
            .ok_or(RefreshError::NotEstablished)?;
        let agreed = connection
            .negotiated
            .as_ref()
            .ok_or(RefreshError::NotEstablished)?;
        if !agreed.route_refresh {
            return Err(RefreshError::NotOffered);
        }
        if !agreed.families.contains(&family) {
            return Err(RefreshError::NotNegotiated(family));
        }
        connection.push(&demarcation(family, route_refresh::REQUEST));
        self.record.sent.route_refresh += 1;
        Ok(())
    }

    pub(super) fn handle_route_refresh(
        &mut self,
        now: Instant,
        conn: ConnId,
        refresh: RouteRefresh,
    ) {
        self.restart_hold_timer(now, conn);
        let negotiated = self
            .connections
            .by_id(conn)
            .and_then(|connection| connection.negotiated.as_ref());
        // A family that was not agreed upon is ignored (RFC 2918 §4).
        let agreed = negotiated.filter(|agreed| agreed.families.contains(&refresh.family));
        let Some(enhanced) = agreed.map(|agreed| agreed.enhanced_route_refresh) else {
            return;
        };
        match refresh.subtype {
            route_refresh::REQUEST => self.repeat(conn, refresh.family, enhanced),
            route_refresh::BEGIN if enhanced => self.begin_refresh(now, refresh.family),
            route_refresh::END if enhanced => self.end_refresh(refresh.family),
            _ => {} // RFC 7313 §5
        }
    }

    /// Announces a family once more, between Begin-of-RR and End-of-RR; not before End-of-RIB, which
    /// is what all that goes out now is followed by (RFC 7313 §4). Who asks again before End-of-RR
    /// gets everything behind the one Begin-of-RR.
    fn repeat(&mut self, conn: ConnId, family: Family, enhanced: bool) {
        let may_begin = enhanced && self.rib.progress(family).end_of_rib_sent;
        if may_begin
            && let Some(connection) = self.connections.by_id_mut(conn)
            && self.refreshed.insert(family)
        {
            connection.push(&demarcation(family, route_refresh::BEGIN));
            self.record.sent.route_refresh += 1;
        }
        self.rib.refresh(family);
    }

    /// Everything has been announced, what was asked for once more too.
    pub(super) fn put_end_of_refresh(&mut self, out: &mut BytesMut) {
        for family in std::mem::take(&mut self.refreshed) {
            let end = demarcation(family, route_refresh::END);
            // Four octets behind a header.
            let too_long = end.encode(WireContext::default(), MAX_LENGTH, out);
            debug_assert_eq!(too_long, Ok(()));
            self.record.sent.route_refresh += 1;
        }
    }
}

const fn demarcation(family: Family, subtype: u8) -> Message {
    Message::RouteRefresh(RouteRefresh { family, subtype })
}
