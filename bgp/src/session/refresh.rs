//! ROUTE-REFRESH (RFC 2918): theirs is answered, and ours can be asked for.

use std::time::Instant;

use super::Session;
use super::event::ConnId;
use super::status::State;
use crate::types::Family;
use crate::wire::{Message, RouteRefresh};

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
        connection.push(&Message::RouteRefresh(RouteRefresh { family, subtype: 0 }));
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
        // A family that was not agreed upon is ignored (RFC 2918 §4), and so is what RFC 7313 makes
        // of the subtype.
        if refresh.subtype == 0
            && negotiated.is_some_and(|agreed| agreed.families.contains(&refresh.family))
        {
            self.rib.refresh(refresh.family);
        }
    }
}
