//! Sessions that remote systems begin (RFC 9468): each gets its socket when its first packet has been taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::links::links;
use super::sockets::{SourcePort, Transmitter};
use super::worker::Worker;
use super::{EngineError, EngineEvent};
use crate::endpoint::Range;
use crate::key::{HopKind, SessionId};

/// How often the addresses of interfaces are looked at.
const LINK_CHECK: Duration = Duration::from_secs(2);

impl<F: Fn(&EngineEvent)> Worker<F> {
    pub(super) fn set_ranges(
        &mut self,
        now: Instant,
        ranges: Vec<Range>,
    ) -> Result<(), EngineError> {
        if self.leave_at.is_some() {
            return Err(EngineError::Stopped);
        }
        let networks = ranges.iter().flat_map(|range| &range.networks);
        for is_ipv4 in networks.map(|network| network.address().is_ipv4()) {
            self.listen(HopKind::Single, is_ipv4)?;
        }
        self.endpoint.set_ranges(now, ranges);
        self.link_check = self.endpoint.has_ranges().then_some(now);
        self.check_links(now);
        for id in self.endpoint.ids() {
            if self.endpoint.range_of(id).is_some() {
                self.prepare_echo(now, id);
            }
        }
        Ok(())
    }

    /// Who is on a link is known by the addresses of its interface, which come and go.
    pub(super) fn check_links(&mut self, now: Instant) {
        if self.link_check.is_none_or(|at| now < at) {
            return;
        }
        self.link_check = Some(now + LINK_CHECK);
        // What cannot be found out is not believed.
        self.endpoint.set_links(links().unwrap_or_default());
    }

    /// Whoever has gone again meanwhile is not worth telling of.
    pub(super) fn tell_of(&mut self, session: SessionId) {
        if let (Some(key), Some(range)) =
            (self.endpoint.key(session), self.endpoint.range_of(session))
        {
            let (key, range) = (key.clone(), Arc::clone(range));
            (self.on_event)(&EngineEvent::Accepted {
                session,
                key,
                range,
            });
        }
    }

    /// Gives a session that has just been accepted what it needs; what cannot have it is no session.
    pub(super) fn equip(&mut self, now: Instant, id: SessionId) {
        if self.transmitters.contains_key(&id) {
            return;
        }
        let (Some(key), Some(range)) = (self.endpoint.key(id), self.endpoint.range_of(id)) else {
            return;
        };
        let (key, range) = (key.clone(), Arc::clone(range));
        let port = SourcePort::random(self.endpoint.draw_seed());
        match Transmitter::open(&key, port) {
            Ok(transmitter) => {
                self.keep(now, id, transmitter);
                self.prepare_echo(now, id);
            }
            Err(error) => {
                if self.endpoint.release_failed(now, id) {
                    let error = error.to_string();
                    (self.on_event)(&EngineEvent::AcceptFailed { key, range, error });
                }
            }
        }
    }
}
