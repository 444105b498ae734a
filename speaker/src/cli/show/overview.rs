//! `herald show`: everything at a glance.

use serde_json::{Map, Value};

use super::super::client::{Client, ClientError};
use super::{bfd, events, peers, services, status};
use crate::status::{BfdStatus, EventStatus, PeerStatus, ServiceStatus};

/// How many of the last events are shown.
const EVENTS: usize = 5;

pub(super) fn tables(client: &Client, wide: bool) -> Result<String, ClientError> {
    let mut parts = vec![status::page(&client.get("/v1/status")?)];
    parts.push(peers(&client.get::<Vec<PeerStatus>>("/v1/peers")?, wide));
    let sessions: Vec<BfdStatus> = client.get("/v1/bfd")?;
    if !sessions.is_empty() {
        parts.push(bfd::table(&sessions, wide));
    }
    let all: Vec<ServiceStatus> = client.get("/v1/services")?;
    parts.push(services(&all, wide));
    let all: Vec<EventStatus> = client.get("/v1/events")?;
    let last = all.get(all.len().saturating_sub(EVENTS)..);
    parts.push(events(last.unwrap_or_default(), wide));
    Ok(parts.join("\n\n"))
}

/// One object of what the API says.
pub(super) fn json(client: &Client) -> Result<String, ClientError> {
    let mut all = Map::new();
    for key in ["status", "peers", "bfd", "services", "events"] {
        let value: Value = client.get(&format!("/v1/{key}"))?;
        all.insert(key.to_owned(), value);
    }
    Ok(format!("{:#}", Value::Object(all)))
}
