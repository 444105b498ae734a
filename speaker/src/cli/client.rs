//! Requests to the daemon, over its Unix socket.

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderName;
use hyper::http::request;
use hyper::{HeaderMap, Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::FAILURE;
use super::follow::Frames;
use crate::api::{Problem, SERVER};
use crate::config::DEFAULT_SOCKET;
use crate::hooks;

/// A reload waits for nothing.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A stop waits for the last words of BGP, and for BFD and hooks, which have ten seconds for theirs.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const _: () = assert!(STOP_TIMEOUT.as_secs() >= 2 * hooks::FAREWELL.as_secs());

/// For completions, while somebody types.
const HASTE: Duration = Duration::from_millis(500);
/// A daemon that has nothing to say about events says that four times a minute.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the daemon has ended.
const END_CHECK: Duration = Duration::from_millis(100);

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
    /// It was there, and is not any more.
    Gone,
    /// Somebody answers who is no herald.
    Stranger {
        socket: PathBuf,
        reason: String,
    },
    Refused(Problem),
    /// The daemon is of another version, which may be why.
    Different {
        daemon: String,
        error: Box<Self>,
    },
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
            Self::Gone => f.write_str(
                "the daemon has ended without a word; `herald status` tells whether it is back",
            ),
            Self::Stranger { socket, reason } => write!(
                f,
                "{}: this is not a herald's socket: {reason}; name herald's with --socket or HERALD_SOCKET",
                socket.display()
            ),
            Self::Refused(problem) => f.write_str(&problem.detail),
            Self::Different { daemon, error } => write!(
                f,
                "{error}; the daemon is {daemon} and this command {SERVER}: start the daemon anew, or use the command of its version"
            ),
        }
    }
}

impl ClientError {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Different { error, .. } => error.code(),
            // The daemon refused a file or a request that is wrong in itself.
            Self::Refused(Problem { status: 422, .. }) => super::USAGE,
            _ => FAILURE,
        }
    }
}

/// The daemon, as the command line sees it.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    timeout: Duration,
    /// What the daemon calls itself.
    daemon: OnceCell<String>,
}

impl Client {
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            timeout: TIMEOUT,
            daemon: OnceCell::new(),
        }
    }

    /// One that would rather have no answer than wait for it.
    pub(super) fn hasty(socket: PathBuf) -> Self {
        Self {
            timeout: HASTE,
            ..Self::new(socket)
        }
    }

    /// One that waits for as long as a daemon takes to stop.
    pub(super) fn patient(&self) -> Self {
        Self {
            timeout: STOP_TIMEOUT,
            ..Self::new(self.socket.clone())
        }
    }

    /// The answer's JSON as it came.
    pub(super) fn fetch(&self, path: &str) -> Result<Bytes, ClientError> {
        self.ask(Method::GET, path, Bytes::new())
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.understood(&self.fetch(path)?)
    }

    pub(super) fn put(&self, path: &str, body: &impl Serialize) -> Result<Bytes, ClientError> {
        self.ask(Method::PUT, path, json(body))
    }

    pub(super) fn delete(&self, path: &str) -> Result<Bytes, ClientError> {
        self.ask(Method::DELETE, path, Bytes::new())
    }

    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<Bytes, ClientError> {
        self.ask(Method::POST, path, json(body))
    }

    /// Returns when nobody answers any more; the daemon ends after this time, and a few seconds.
    pub(super) fn wait_for_end(&self, after: Duration) -> Result<(), ClientError> {
        let latest = Instant::now() + after + TIMEOUT;
        while Instant::now() < latest {
            match self.fetch("/healthz") {
                Err(ClientError::NotRunning { .. }) => return Ok(()),
                // It may hang up on us while it ends.
                Ok(_) | Err(_) => std::thread::sleep(END_CHECK),
            }
        }
        Err(self.broken(format!(
            "the daemon still answers {TIMEOUT:?} after it was to end"
        )))
    }

    pub(super) fn understood<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| {
            let error = format!("the answer is not what this version expects: {error}");
            self.different(self.broken(error))
        })
    }

    /// Tells `each` event's name and data as they come, after the one with this id, until it has
    /// enough.
    pub(super) fn follow(
        &self,
        path: &str,
        since: u64,
        mut each: impl FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let since = since.to_string();
        self.runtime()?.block_on(async {
            let request = Request::get(path).header("last-event-id", since);
            let answered = self.send(request, Bytes::new());
            let answered = tokio::time::timeout(self.timeout, answered).await;
            let (response, _driving) = answered.map_err(|_| self.silent(self.timeout))??;
            if !response.status().is_success() {
                return self.accepted(response).await.map(drop);
            }
            let mut body = response.into_body();
            let mut frames = Frames::default();
            loop {
                let frame = tokio::time::timeout(SILENCE, body.frame()).await;
                let frame = frame.map_err(|_| self.silent(SILENCE))?;
                // It says so where it ends by itself.
                let Some(Ok(frame)) = frame else {
                    return Err(ClientError::Gone);
                };
                for (kind, data) in frames.push(frame.data_ref().unwrap_or(&Bytes::new())) {
                    if each(&kind, &data).is_break() {
                        return Ok(());
                    }
                }
            }
        })
    }

    /// The answer as it came, and what one of its headers says.
    pub(super) fn fetch_with(
        &self,
        path: &str,
        name: &HeaderName,
    ) -> Result<(Bytes, Option<String>), ClientError> {
        self.ask_for(Method::GET, path, Bytes::new(), |headers| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        })
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let (answer, ()) = self.ask_for(method, path, body, |_| ())?;
        Ok(answer)
    }

    fn ask_for<T>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        of_headers: impl FnOnce(&HeaderMap) -> T,
    ) -> Result<(Bytes, T), ClientError> {
        self.runtime()?.block_on(async {
            let exchange = async {
                let request = Request::builder().method(method).uri(path);
                let (response, _driving) = self.send(request, body).await?;
                let said = of_headers(response.headers());
                Ok((self.accepted(response).await?, said))
            };
            match tokio::time::timeout(self.timeout, exchange).await {
                Ok(result) => result,
                Err(_) => Err(self.silent(self.timeout)),
            }
        })
    }

    fn runtime(&self) -> Result<tokio::runtime::Runtime, ClientError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.broken(error.to_string()))
    }

    /// The answer's head, and what keeps its body coming.
    async fn send(
        &self,
        request: request::Builder,
        body: Bytes,
    ) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unconnected(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.hung_up(&error))?;
        let mut driving = JoinSet::new();
        driving.spawn(connection);
        let request = request
            .header(header::HOST, "herald")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.hung_up(&error))?;
        let daemon = response.headers().get(header::SERVER);
        if let Some(daemon) = daemon.and_then(|daemon| daemon.to_str().ok()) {
            let _ = self.daemon.set(daemon.to_owned());
        }
        Ok((response, driving))
    }

    /// The answer's body, if it is a good one.
    async fn accepted(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| self.hung_up(&error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice(&body) {
            // Another version may not know the path, the method or the key.
            Ok(problem) if matches!(status.as_u16(), 400 | 404 | 405 | 422) => {
                Err(self.different(ClientError::Refused(problem)))
            }
            Ok(problem) => Err(ClientError::Refused(problem)),
            Err(_) => Err(ClientError::Stranger {
                socket: self.socket.clone(),
                reason: format!("it answered {status}"),
            }),
        }
    }

    /// What went wrong may be due to the daemon's version, if that is another one.
    fn different(&self, error: ClientError) -> ClientError {
        match self.daemon.get() {
            Some(daemon) if daemon != SERVER => ClientError::Different {
                daemon: daemon.clone(),
                error: Box::new(error),
            },
            _ => error,
        }
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

    fn hung_up(&self, error: &hyper::Error) -> ClientError {
        self.broken(format!("the daemon hung up: {error}"))
    }

    fn silent(&self, time: Duration) -> ClientError {
        self.broken(format!("no answer within {time:?}"))
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
