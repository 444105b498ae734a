//! What a peer's task tells the rest of the daemon, and how much of it may be on its way.
//!
//! A neighbor decides how often something happens, so that what waits to be heard must be bounded
//! for each. Changes of state are never lost, but those in a hurry become one; routes that were asked
//! for keep the neighbor waiting; anything else that does not fit is counted.

use std::sync::Arc;

use bgp::{Event, State, Transition};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BgpEvent;
use crate::config::PeerName;

/// How much of a peer may be on its way; a change of state counts 1.
const ROOM: usize = 64;
/// What an UPDATE with errors counts, for it may be a whole message and all of its prefixes.
const MALFORMED: u32 = 16;

/// Room that something on its way takes; what it took is free when this is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

#[derive(Debug)]
pub(super) struct Reports {
    peer: PeerName,
    events: UnboundedSender<BgpEvent>,
    room: Arc<Semaphore>,
    /// A change of state that waits for room, perhaps made of several.
    late: Option<Transition>,
    /// Routes were told for which there was no room.
    overflowed: bool,
    lost: u64,
}

impl Reports {
    pub(super) fn new(peer: PeerName, events: UnboundedSender<BgpEvent>) -> Self {
        Self {
            peer,
            events,
            room: Arc::new(Semaphore::new(ROOM)),
            late: None,
            overflowed: false,
            lost: 0,
        }
    }

    /// Events that nobody was told of.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether what the neighbor says may be read: routes that were asked for are not heaped up.
    pub(super) const fn may_read(&self) -> bool {
        !self.overflowed
    }

    /// Whether something waits for room.
    pub(super) const fn waits(&self) -> bool {
        self.late.is_some() || self.overflowed
    }

    /// Returns when there is room again.
    pub(super) fn room_again(&self) -> impl Future<Output = ()> + use<> {
        let room = Arc::clone(&self.room);
        async move {
            // An error would mean that the semaphore was closed, which it never is.
            let _ = room.acquire().await;
        }
    }

    pub(super) fn report(&mut self, event: Event) {
        self.catch_up();
        let weight = match event {
            Event::MalformedUpdate(_) => MALFORMED,
            _ => 1,
        };
        let permit = match self.late {
            None => Arc::clone(&self.room).try_acquire_many_owned(weight).ok(),
            Some(_) => None,
        };
        match (permit, event) {
            (Some(permit), event) => self.send(event, Some(permit)),
            (None, Event::StateChanged(transition)) => self.put_off(transition),
            (None, event @ Event::Update(_)) => {
                self.overflowed = true;
                self.send(event, None);
            }
            (None, _) => self.lost += 1,
        }
    }

    /// Tells what was put off, if there is room.
    pub(super) fn catch_up(&mut self) {
        self.overflowed &= self.room.available_permits() == 0;
        let Some(transition) = self.late.take() else {
            return;
        };
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => self.send(Event::StateChanged(transition), Some(permit)),
            Err(_) => self.late = Some(transition),
        }
    }

    /// From where the first one left to where the last one led, for the last reason.
    fn put_off(&mut self, transition: Transition) {
        let Some(before) = self.late.take() else {
            self.late = Some(transition);
            return;
        };
        self.lost += 1;
        let was_up = [before.from, before.to].contains(&State::Established);
        let merged = Transition {
            from: before.from,
            // That a session was lost says more than that the next attempt failed.
            cause: match (was_up, transition.to) {
                (true, to) if to != State::Established => before.cause,
                _ => transition.cause,
            },
            ..transition
        };
        self.late = Some(merged);
    }

    fn send(&self, event: Event, permit: Option<OwnedSemaphorePermit>) {
        // Without anybody who listens there is nobody to tell.
        let _ = self.events.send(BgpEvent {
            peer: self.peer.clone(),
            event,
            _taken: Taken {
                _permit: permit.map(Arc::new),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bgp::{Cause, MalformedUpdate};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn reports() -> (Reports, UnboundedReceiver<BgpEvent>) {
        let (sender, events) = unbounded_channel();
        (Reports::new(PeerName::new("tor").unwrap(), sender), events)
    }

    fn change(from: State, to: State, cause: Cause) -> Event {
        Event::StateChanged(Transition {
            at: Instant::now(),
            from,
            to,
            cause,
        })
    }

    fn malformed() -> Event {
        Event::MalformedUpdate(Box::new(MalformedUpdate {
            errors: Vec::new(),
            prefixes: Vec::new(),
            body: Default::default(),
        }))
    }

    fn told(event: BgpEvent) -> (State, State, Cause) {
        match event.event {
            Event::StateChanged(change) => (change.from, change.to, change.cause),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flood_of_errors_is_counted_and_not_heaped_up() {
        let (mut reports, mut events) = reports();
        for _ in 0..1000 {
            reports.report(malformed());
        }
        assert_eq!(events.len(), 4);
        assert_eq!(reports.lost(), 996);
        drop(events.try_recv().unwrap());
        reports.report(malformed());
        assert_eq!((events.len(), reports.lost()), (4, 996));
    }

    #[test]
    fn changes_of_state_are_never_lost_but_become_one() {
        use State::{Active, Established, Idle, OpenSent};
        let (mut reports, mut events) = reports();
        for _ in 0..ROOM {
            reports.report(change(Active, OpenSent, Cause::Connected));
        }
        reports.report(change(Established, Idle, Cause::ConnectionLost));
        for _ in 0..1000 {
            reports.report(change(Idle, Active, Cause::Start));
            reports.report(change(Active, Idle, Cause::Stopped));
        }
        assert_eq!(events.len(), ROOM);
        assert!(reports.waits() && reports.may_read());
        reports.catch_up();
        assert_eq!(events.len(), ROOM, "there is no room yet");
        events.try_recv().unwrap();
        reports.catch_up();
        let mut last = None;
        while let Ok(event) = events.try_recv() {
            last = Some(told(event));
        }
        assert_eq!(last, Some((Established, Idle, Cause::ConnectionLost)));
        assert!(!reports.waits());
    }

    #[test]
    fn routes_that_were_asked_for_are_told_and_keep_the_neighbor_waiting() {
        let (mut reports, events) = reports();
        for _ in 0..2 * ROOM {
            reports.report(Event::Update(Box::default()));
        }
        assert_eq!(events.len(), 2 * ROOM);
        assert!(!reports.may_read());
        drop(events);
        reports.catch_up();
        assert!(reports.may_read());
    }

    #[tokio::test]
    async fn room_comes_again_when_something_was_heard() {
        let (mut reports, mut events) = reports();
        for _ in 0..5 {
            reports.report(malformed());
        }
        let room = reports.room_again();
        let listener = tokio::spawn(async move {
            drop(events.recv().await);
            events
        });
        room.await;
        reports.report(malformed());
        assert_eq!(reports.lost(), 1);
        listener.await.unwrap();
    }
}
