//! The last messages of a peer, as a file for Wireshark.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::handlers::Context;
use super::naming;
use super::request::{Answer, Options, Segment};
use crate::capture;
use crate::config::CaptureSize;
use crate::control::Refusal;

/// The number of the next piece of a capture.
pub(crate) const CAPTURE_NEXT: HeaderName = HeaderName::from_static("herald-next");
/// How many files there are at once. One may take many times of what is kept of a peer, as long as
/// whoever asked takes to read it; others wait meanwhile.
const FILES: usize = 4;

/// Places for files in memory.
#[derive(Clone, Debug)]
pub(super) struct Files(Arc<Semaphore>);

impl Default for Files {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FILES)))
    }
}

impl Files {
    async fn place(&self) -> Answer<Place> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        // It is never closed.
        Ok(Place(place.map_err(|_| Refusal::Stopping)?))
    }
}

#[derive(Debug)]
struct Place(
    #[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit,
);

/// A file, and its place, until it is read.
struct Held {
    file: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.file
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureOptions {
    #[serde(default)]
    from: u64,
}

/// What comes next is asked for with the number in [`CAPTURE_NEXT`].
pub(super) async fn captured(
    State(context): State<Context>,
    Segment(name): Segment,
    Options(CaptureOptions { from }): Options<CaptureOptions>,
) -> Answer<Response> {
    let config = context.control.config().await?;
    let name = naming::peer(&config, &name)?;
    let peer = config.peers.get(&name);
    if peer.is_some_and(|peer| peer.capture == CaptureSize::OFF) {
        return Err(Refusal::Conflict(format!(
            "nothing is kept of peer {name}: it has capture = \"off\"; set capture = \"{}\" in the file and reload, no session is reset",
            CaptureSize::default()
        ))
        .into());
    }
    let place = context.files.place().await?;
    let excerpt = context.control.captured(&name, from).await;
    let next = excerpt.next();
    let render = move || {
        let now = (Instant::now(), SystemTime::now());
        let file = capture::render(name.as_str(), now, &excerpt.pieces());
        Held {
            file,
            _place: place,
        }
    };
    let held = spawn_blocking(render).await;
    let held = held.map_err(|error| Refusal::Failed(error.to_string()))?;
    let kind = HeaderValue::from_static(capture::CONTENT_TYPE);
    let headers = [
        (header::CONTENT_TYPE, kind),
        (CAPTURE_NEXT, HeaderValue::from(next)),
    ];
    Ok((headers, Bytes::from_owner(held)).into_response())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_file_has_its_place_until_it_is_read() {
        let files = Files::default();
        let mut held = Vec::new();
        for _ in 0..FILES {
            let place = files.place().await.unwrap();
            held.push(Bytes::from_owner(Held {
                file: vec![0; 3],
                _place: place,
            }));
        }
        let mut further = pin!(files.place());
        let waits = poll_fn(|context| Poll::Ready(further.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        // A part that is still to be written is held too.
        let rest = held.pop().unwrap().split_off(1);
        let waits = poll_fn(|context| Poll::Ready(further.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        drop(rest);
        further.await.unwrap();
    }
}
