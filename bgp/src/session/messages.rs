//! Messages that come in (RFC 4271 §8.2.2, Events 19 to 28).

use std::time::Instant;

use super::event::{ConnId, Event};
use super::status::{Cause, Negotiated, State};
use super::transitions::is_orderly_end;
use super::{BackOff, Session, collision, negotiation};
use crate::wire::{Message, MessageType, Notification, Open, code, subcode};

impl Session {
    pub(super) fn handle_message(
        &mut self,
        now: Instant,
        conn: ConnId,
        kind: MessageType,
        body: &[u8],
    ) {
        self.record.last_read = Some(now);
        self.count_received(kind);
        let Some(connection) = self.connections.by_id(conn) else {
            return;
        };
        let context = connection.wire_context(&self.config);
        let is_pending = connection.pending.is_some();
        if let Some(error) = unexpected(connection.state, is_pending, kind) {
            return self.fail(now, conn, error, BackOff::Lengthen);
        }
        match Message::decode(kind, body, context) {
            Ok(Message::Open(open)) => self.handle_open(now, conn, &open),
            Ok(Message::Keepalive) => self.handle_keepalive(now, conn),
            Ok(Message::Update(update)) => self.handle_update(now, conn, update, body),
            Ok(Message::RouteRefresh(refresh)) => self.handle_route_refresh(now, conn, refresh),
            Ok(Message::Notification(notification)) => {
                self.handle_notification(now, conn, notification)
            }
            Err(notification) => self.fail(now, conn, notification, BackOff::Lengthen),
        }
    }

    fn handle_open(&mut self, now: Instant, conn: ConnId, open: &Open) {
        let negotiated = match negotiation::negotiate(&self.config, self.offered(conn), open) {
            Ok(negotiated) => negotiated,
            Err(notification) => return self.fail(now, conn, notification, BackOff::Lengthen),
        };
        let outlives = self.end_outlived(conn);
        if !outlives && !self.survives_collision(conn, &negotiated) {
            return self.fail(now, conn, collision::notification(), BackOff::Keep);
        }
        if self
            .connections
            .by_id(conn)
            .is_some_and(|connection| connection.waiting.is_some())
        {
            self.send_open(now, conn); // RFC 4271 §8.2.2, Connect and Active, Event 20
        }
        let wait = self.wait_for_path(negotiated.hold_time);
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.negotiated = Some(negotiated);
        }
        match wait {
            Some(patience) => self.await_path(now, conn, patience),
            None => self.confirm(now, conn),
        }
        let cause = match outlives {
            true => Cause::NeighborRestarted,
            false => Cause::OpenReceived,
        };
        self.settle(now, cause);
    }

    /// The neighbor's OPEN is answered.
    pub(super) fn confirm(&mut self, now: Instant, conn: ConnId) {
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.state = State::OpenConfirm;
        }
        self.restart_hold_timer(now, conn);
        if let Some(connection) = self.connections.by_id_mut(conn) {
            connection.confirmed(now);
        }
        self.send_keepalive(now, conn);
    }

    /// Whether `conn` goes on beside another connection; if it does, the other ends. The neighbor's
    /// identifier is the same on both, so that one OPEN is enough to decide, even if the other
    /// connection still waits for its own (RFC 4271 §6.8).
    fn survives_collision(&mut self, conn: ConnId, negotiated: &Negotiated) -> bool {
        let others = self.connections.ids().into_iter().filter(|id| *id != conn);
        let local = (self.config.local_identifier, self.config.local_as);
        let remote = (negotiated.remote_identifier, negotiated.remote_as);
        let survivor = collision::survivor(local, remote);
        for other in others {
            if self
                .connections
                .by_id(conn)
                .is_some_and(|connection| connection.direction != survivor)
            {
                return false;
            }
            self.end(other, Some(collision::notification()));
        }
        true
    }

    fn handle_keepalive(&mut self, now: Instant, conn: ConnId) {
        if self.confirm_pending(conn) {
            return;
        }
        self.restart_hold_timer(now, conn);
        let connection = self.connections.by_id(conn);
        if connection.is_some_and(|connection| connection.state == State::OpenConfirm) {
            self.establish(now, conn);
        }
    }

    pub(super) fn establish(&mut self, now: Instant, conn: ConnId) {
        self.abort_connect();
        self.connect_retry = None;
        self.restart_hold_timer(now, conn);
        for other in self.connections.ids().into_iter().filter(|id| *id != conn) {
            self.end(other, Some(collision::notification()));
        }
        let Some(connection) = self.connections.by_id_mut(conn) else {
            return;
        };
        connection.state = State::Established;
        self.rib.begin(connection.dialect(&self.config));
        let negotiated = connection.negotiated.clone();
        self.past_is_over();
        self.record.established += 1;
        self.record.families.clear();
        if let Some(negotiated) = &negotiated {
            self.begin_to_refresh_stale(now, negotiated);
        }
        self.settle(now, Cause::KeepaliveReceived);
        self.events.extend(negotiated.map(Event::Established));
    }

    fn handle_notification(&mut self, now: Instant, conn: ConnId, notification: Notification) {
        let state = self
            .connections
            .by_id(conn)
            .map_or(State::Idle, |connection| connection.state);
        self.record.last_notification_received = Some((now, notification.clone()));
        self.end(conn, None); // RFC 4271 §6.4: never in reply to a NOTIFICATION
        // RFC 4271 §8.2.2, Event 24: before Established, another version is no failure that counts.
        let is_version = notification.code == code::OPEN_MESSAGE
            && notification.subcode == subcode::open::UNSUPPORTED_VERSION_NUMBER;
        if !is_version || state == State::Established {
            self.record.connect_retry_counter += 1;
        }
        self.events
            .push_back(Event::NotificationReceived(notification.clone()));
        let lost_collision =
            collision::is_notification(&notification) && state < State::Established;
        let reason = notification.hard_reset_reason();
        let reason = reason.as_ref().unwrap_or(&notification);
        let found_by_bfd = (reason.code, reason.subcode) == (code::CEASE, subcode::cease::BFD_DOWN);
        let is_orderly = state == State::Established && is_orderly_end(reason);
        let back_off = match found_by_bfd || is_orderly {
            true => BackOff::Keep,
            false => BackOff::Lengthen,
        };
        let cause = Cause::NotificationReceived(notification);
        match lost_collision {
            true => self.fall_back(now, cause),
            false => self.retreat(now, cause, back_off),
        }
    }

    fn count_received(&mut self, kind: MessageType) {
        let counters = &mut self.record.received;
        *match kind {
            MessageType::Open => &mut counters.open,
            MessageType::Update => &mut counters.update,
            MessageType::Notification => &mut counters.notification,
            MessageType::Keepalive => &mut counters.keepalive,
            MessageType::RouteRefresh => &mut counters.route_refresh,
        } += 1;
    }
}

/// The Finite State Machine Error for a message that has no place in `state` (RFC 6608);
/// NOTIFICATION has one in each.
fn unexpected(state: State, is_pending: bool, kind: MessageType) -> Option<Notification> {
    let is_expected = match state {
        _ if kind == MessageType::Notification => true,
        State::OpenSent if is_pending => kind == MessageType::Keepalive,
        State::Connect | State::Active | State::OpenSent => kind == MessageType::Open,
        State::OpenConfirm => kind == MessageType::Keepalive,
        _ => kind != MessageType::Open,
    };
    let subcode = match state {
        // RFC 6608 has no word for a message in answer to no OPEN.
        State::Connect | State::Active => 0,
        State::OpenSent => subcode::fsm::UNEXPECTED_MESSAGE_IN_OPEN_SENT,
        State::OpenConfirm => subcode::fsm::UNEXPECTED_MESSAGE_IN_OPEN_CONFIRM,
        _ => subcode::fsm::UNEXPECTED_MESSAGE_IN_ESTABLISHED,
    };
    (!is_expected)
        .then(|| Notification::with_data(code::FINITE_STATE_MACHINE, subcode, &[kind as u8]))
}
