//! Whether an HTTP server answers with 2xx or 3xx. No redirect is followed and no body is read.

use std::pin::pin;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::tcp::connect;
use crate::config::HttpProbe;

/// How long the head of an answer may be.
const HEAD: usize = 16 * 1024;
const USER_AGENT: &str = concat!("herald/", env!("CARGO_PKG_VERSION"));

/// What came of it, or what is wrong.
pub(super) async fn check(probe: &HttpProbe) -> Result<String, String> {
    let mut refused = String::new();
    for address in probe.addresses() {
        match connect(*address).await {
            Ok(stream) => return judge(ask(stream, probe).await?),
            Err(reason) => refused = reason,
        }
    }
    Err(refused)
}

fn judge(status: StatusCode) -> Result<String, String> {
    let text = format!("HTTP {}", status.as_u16());
    match status.is_success() || status.is_redirection() {
        true => Ok(text),
        false => Err(text),
    }
}

async fn ask(stream: TcpStream, probe: &HttpProbe) -> Result<StatusCode, String> {
    let request = Request::get(probe.path())
        .header(header::HOST, probe.host())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| why(&error))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It has ended, and what it has read is there to be had.
        _ = &mut connection => answer.await,
    };
    match answer {
        Ok(answer) => Ok(answer.status()),
        Err(error) => Err(why(&error)),
    }
}

fn why(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() {
        return "the connection was closed without an HTTP answer".to_owned();
    }
    if error.is_parse_too_large() {
        return format!("the head of the HTTP answer is longer than {HEAD} octets");
    }
    if error.is_parse() {
        return "the answer is not HTTP".to_owned();
    }
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    source.map_or_else(|| error.to_string(), super::words)
}
