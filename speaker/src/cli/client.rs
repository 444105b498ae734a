//! Requests to the daemon, over its Unix socket.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::FAILURE;
use crate::api::Problem;
use crate::config::DEFAULT_SOCKET;

/// A reload waits for nothing and a stop for a few seconds at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What has to be escaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One text as a segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Why there is no answer, or no good one.
#[derive(Debug)]
pub(super) enum ClientError {
    NotRunning {
        socket: PathBuf,
        reason: &'static str,
    },
    NotAllowed {
        socket: PathBuf,
    },
    Connection {
        socket: PathBuf,
        reason: String,
    },
    Refused(Problem),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { socket, reason } => write!(
                f,
                "the daemon is not running: {reason} at {}; start it with `herald run`, or name another socket with --socket or HERALD_SOCKET",
                socket.display()
            ),
            Self::NotAllowed { socket } => write!(
                f,
                "{}: permission denied; run this as the daemon's user or in its group, for instance with sudo",
                socket.display()
            ),
            Self::Connection { socket, reason } => {
                write!(f, "{}: {reason}", socket.display())?;
                if socket.as_os_str() != DEFAULT_SOCKET {
                    f.write_str("; is this a herald's socket?")?;
                }
                Ok(())
            }
            Self::Refused(problem) => f.write_str(&problem.detail),
        }
    }
}

impl ClientError {
    pub(super) const fn code(&self) -> u8 {
        match self {
            // The daemon refused a file or a request that is wrong in itself.
            Self::Refused(problem) if problem.status == 422 => super::USAGE,
            _ => FAILURE,
        }
    }
}

/// The daemon, as the command line sees it.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The answer's JSON as it came.
    pub(super) fn fetch(&self, path: &str) -> Result<Bytes, ClientError> {
        self.ask(Method::GET, path, Bytes::new())
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.understood(&self.fetch(path)?)
    }

    pub(super) fn put(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.ask(Method::PUT, path, json(body)).map(drop)
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.ask(Method::DELETE, path, Bytes::new()).map(drop)
    }

    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<Bytes, ClientError> {
        self.ask(Method::POST, path, json(body))
    }

    pub(super) fn understood<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| {
            self.broken(format!(
                "the answer is not what this version expects: {error}"
            ))
        })
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.broken(error.to_string()))?;
        runtime.block_on(async {
            let exchange = self.exchange(method, path, body);
            match tokio::time::timeout(TIMEOUT, exchange).await {
                Ok(result) => result,
                Err(_) => Err(self.broken(format!("no answer within {TIMEOUT:?}"))),
            }
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unconnected(&error))?;
        let broken = |error: hyper::Error| self.broken(format!("the daemon hung up: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "herald")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        driving.abort();
        if status.is_success() {
            return Ok(body);
        }
        Err(match serde_json::from_slice(&body) {
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => self.broken(format!(
                "answered {status}: {}",
                String::from_utf8_lossy(&body)
            )),
        })
    }

    fn unconnected(&self, error: &io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound => ClientError::NotRunning {
                socket,
                reason: "no socket",
            },
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
                socket,
                reason: "nobody answers",
            },
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket },
            _ => self.broken(error.to_string()),
        }
    }

    fn broken(&self, reason: String) -> ClientError {
        ClientError::Connection {
            socket: self.socket.clone(),
            reason,
        }
    }
}

/// What is sent consists of texts and numbers, which always serialize.
fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}
