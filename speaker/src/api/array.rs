//! Answers with one element for each of very many things: written as they are read, so that neither
//! is the whole answer in memory, nor does the daemon do anything else for long.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;

use crate::allocator;

/// Octets that are sent at once.
const CHUNK: usize = 64 * 1024;
/// Chunks that may wait for whoever asked.
const CHUNKS: usize = 2;

/// A JSON array that is being sent.
pub(super) struct Array {
    body: Sender<Bytes>,
    text: Vec<u8>,
    /// Octets that were sent.
    sent: usize,
    is_empty: bool,
}

impl Array {
    /// The array, and the answer that it becomes.
    pub(super) fn new() -> (Self, Response) {
        let (body, answer) = Channel::new(CHUNKS);
        let array = Self {
            body,
            text: vec![b'['],
            sent: 0,
            is_empty: true,
        };
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (array, (kind, Body::new(answer)).into_response())
    }

    /// Appends an element; `None` when nobody reads any more.
    pub(super) async fn push(&mut self, element: &impl Serialize) -> Option<()> {
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(b',');
        }
        // What is sent consists of texts and numbers, which always serialize.
        serde_json::to_writer(&mut self.text, element).ok()?;
        match self.text.len() < CHUNK {
            true => Some(()),
            false => self.send().await,
        }
    }

    pub(super) async fn finish(mut self) {
        self.text.push(b']');
        // Whoever asked may have gone away meanwhile.
        let _ = self.send().await;
        allocator::was_answered(self.sent);
    }

    async fn send(&mut self) -> Option<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.text));
        self.sent += chunk.len();
        self.body.send_data(chunk).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn sent(count: usize) -> Vec<String> {
        let (mut array, answer) = Array::new();
        tokio::spawn(async move {
            for number in 0..count {
                array.push(&format!("element {number}")).await?;
            }
            array.finish().await;
            Some(())
        });
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn every_element_arrives_however_many_there_are() {
        for count in [0, 1, 2, 20_000] {
            let elements = sent(count).await;
            assert_eq!(elements.len(), count);
            assert_eq!(elements.last().is_some(), count > 0);
        }
    }

    #[tokio::test]
    async fn nothing_is_written_that_nobody_reads() {
        let (mut array, answer) = Array::new();
        drop(answer);
        let mut written = 0;
        while array.push(&"element").await.is_some() {
            written += 1;
        }
        assert!(written < 20_000, "{written}");
    }
}
