//! `GET /v1/events`: what happened; and as server-sent events, what happens.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval, timeout};

use super::handlers::Context;
use super::lease::Lease;
use super::naming;
use super::problem::Problem;
use super::request::{Answer, Options, named};
use crate::config::{Config, Party};
use crate::history::{Followed, Record};
use crate::status::EventStatus;

/// How many may follow at each listener: as many connections are left for questions.
pub(super) const FOLLOWERS: usize = 32;
/// How often somebody who follows hears from us at least.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events may wait for a connection to take them; the rest waits in the feed, and is lost
/// there for those who are too slow.
pub(super) const WAITING: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFilter {
    #[serde(default)]
    follow: bool,
    peer: Option<String>,
    bfd_session: Option<String>,
    service: Option<String>,
}

impl EventFilter {
    fn party(&self, config: &Config) -> Answer<Option<Party>> {
        let peer = self.peer.as_deref();
        let peer = peer.map(|text| naming::peer_or_name(config, text));
        let peer = peer.transpose()?;
        let bfd_session = self.bfd_session.as_deref().map(named).transpose()?;
        let service = self.service.as_deref().map(named).transpose()?;
        let peer = peer.map(Party::Peer);
        let bfd_session = bfd_session.map(Party::BfdSession);
        let service = service.map(Party::Service);
        let mut parties = [peer, bfd_session, service].into_iter().flatten();
        match (parties.next(), parties.next()) {
            (party, None) => Ok(party),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "must be one of peer, bfd_session and service, not several",
            )),
        }
    }
}

pub(super) async fn events(
    State(context): State<Context>,
    Options(filter): Options<EventFilter>,
    Extension(lease): Extension<Lease>,
    headers: HeaderMap,
) -> Answer<Response> {
    let party = filter.party(&*context.control.config().await?)?;
    if !filter.follow {
        let records = context.control.events(party).await?;
        let events: Vec<EventStatus> = records.iter().map(EventStatus::from).collect();
        return Ok(Json(events).into_response());
    }
    let since = last_event_id(&headers)?;
    let place = Arc::clone(&context.followers).try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{FOLLOWERS} connections follow the events already; close one of them"),
        )
    })?;
    let followed = context.control.follow(party.clone(), since).await?;
    let (body, answer) = Channel::new(WAITING);
    lease.extend();
    tokio::spawn(Stream::new(body, party, place, lease).run(followed));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // The connection has outlived the time that others have.
        (header::CONNECTION, "close"),
    ];
    Ok((headers, Body::new(answer)).into_response())
}

/// Where somebody who comes back left off.
fn last_event_id(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let id = text.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("Last-Event-ID: found {text:?}; must be the id of an event, a number"),
        )
    });
    id.map(Some)
}

/// One who follows. When nobody reads any more, what writes says so with `None`.
pub(super) struct Stream {
    body: Sender<Bytes>,
    /// Whose events are wanted; `None`: everybody's.
    party: Option<Party>,
    keep_alive: Interval,
    lease: Lease,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(
        body: Sender<Bytes>,
        party: Option<Party>,
        place: OwnedSemaphorePermit,
        lease: Lease,
    ) -> Self {
        Self {
            body,
            party,
            keep_alive: interval(KEEP_ALIVE),
            lease,
            _place: place,
        }
    }

    pub(super) async fn run(mut self, followed: Followed) -> Option<()> {
        let Followed {
            before,
            is_incomplete,
            mut live,
        } = followed;
        if is_incomplete {
            self.lost(None).await?;
        }
        for record in &before {
            self.event(record).await?;
        }
        loop {
            let received = tokio::select! {
                received = live.recv() => received,
                _ = self.keep_alive.tick() => {
                    self.send(": keep-alive\n\n".to_owned()).await?;
                    continue;
                }
            };
            match received {
                Ok(record) if self.wants(&record) => self.event(&record).await?,
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => self.lost(Some(count)).await?,
                Err(RecvError::Closed) => break,
            }
        }
        self.send("event: end\ndata: {\"reason\":\"the daemon has ended\"}\n\n".to_owned())
            .await
    }

    fn wants(&self, record: &Record) -> bool {
        self.party.is_none() || self.party == record.party
    }

    async fn event(&mut self, record: &Record) -> Option<()> {
        let event = EventStatus::from(record);
        // Texts and numbers always serialize, and JSON has no line breaks.
        let data = serde_json::to_string(&event).ok()?;
        let EventStatus { id, kind, .. } = event;
        self.send(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"))
            .await
    }

    /// Of everybody's events: whose they were is not known any more.
    async fn lost(&mut self, count: Option<u64>) -> Option<()> {
        let count = count.map_or_else(|| "null".to_owned(), |count| count.to_string());
        self.send(format!("event: lost\ndata: {{\"count\":{count}}}\n\n"))
            .await
    }

    async fn send(&mut self, text: String) -> Option<()> {
        self.keep_alive.reset();
        let sent = self.body.send_data(text.into());
        match timeout(self.lease.limits().unread, sent).await {
            Ok(sent) => sent.ok(),
            Err(_) => {
                self.lease.revoke();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::super::lease::Limits;
    use super::*;
    use crate::history::History;

    #[tokio::test]
    async fn whoever_reads_slowly_is_told_what_it_lost() {
        let mut history = History::beginning(UNIX_EPOCH);
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let (body, answer) = Channel::new(WAITING);
        let followed = history.follow(None, None);
        let lease = Lease::new(Limits::default(), Arc::default());
        tokio::spawn(Stream::new(body, None, place, lease).run(followed));
        for number in 0..5000 {
            history.note(UNIX_EPOCH, &number.to_string());
            tokio::task::yield_now().await;
        }
        drop(history);
        let text = answer.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text);
        let told = text.matches("\nevent: note\n").count();
        let (_, lost) = text.split_once("event: lost\ndata: {\"count\":").unwrap();
        let (lost, _) = lost.split_once('}').unwrap();
        let lost: usize = lost.parse().unwrap();
        assert!(told < 2000, "{told}");
        assert_eq!(told + lost, 5000);
        assert!(text.ends_with("event: end\ndata: {\"reason\":\"the daemon has ended\"}\n\n"));
        assert_eq!(places.available_permits(), 1);
    }
}
