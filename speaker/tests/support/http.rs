//! Requests by hand, so that they can be wrong.

use std::io::{Read, Write};

use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a refusal says.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(
            self.head
                .contains("\r\ncontent-type: application/problem+json\r\n"),
            "{self:?}"
        );
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

/// One request; the connection is closed behind it.
pub(crate) fn ask(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: herald\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    // It may be refused before all of it is read.
    let _ = stream.write_all(request.as_bytes());
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    let text = String::from_utf8_lossy(&octets);
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer with a head");
    let head = format!("{}\r\n", head.to_lowercase());
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = match head.contains("\r\ntransfer-encoding: chunked\r\n") {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Answer {
        status: status.expect("a status"),
        head,
        body,
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        if length == 0 {
            break;
        }
        body.push_str(&more[..length]);
        rest = &more[length + 2..];
    }
    body
}
