//! Connections, and what they may cost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

/// How many connections a listener serves at once; others wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, unless it follows the events.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Who answers, in each answer: a command of another version can say so.
pub(crate) const SERVER: &str = concat!("herald/", env!("CARGO_PKG_VERSION"));
/// How long answers under way may take once the daemon ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may last: a request on it may have that extended.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease(Arc<AtomicBool>);

impl Lease {
    /// Until the answer to this request ends.
    pub(super) fn extend(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_extended(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listeners and their connections.
#[derive(Debug)]
pub struct Server {
    closing: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            closing: watch::Sender::new(false),
            listeners: JoinSet::new(),
        }
    }
}

impl Server {
    /// Serves every connection of `listener`.
    pub fn serve<L: Listener>(&mut self, listener: L, router: Router)
    where
        L::Addr: std::fmt::Debug,
    {
        let closing = self.closing.subscribe();
        self.listeners.spawn(accept(listener, router, closing));
    }

    /// Accepts no more, and waits for the answers under way.
    pub async fn close(mut self) {
        // Without listeners nobody needs to know.
        let _ = self.closing.send(true);
        let all = async { while self.listeners.join_next().await.is_some() {} };
        if timeout(CLOSE_TIMEOUT, all).await.is_err() {
            debug!("API connections were cut off");
        }
    }
}

async fn accept<L: Listener>(mut listener: L, router: Router, mut closing: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            let (io, _) = listener.accept().await;
            (place, io)
        };
        tokio::select! {
            (place, io) = next => {
                let connection = connection::<L>(io, router.clone(), closing.clone());
                connections.spawn(async move {
                    let _place = place;
                    connection.await;
                });
            }
            _ = closing.changed() => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection<L: Listener>(io: L::Io, router: Router, mut closing: watch::Receiver<bool>) {
    let lease = Lease::default();
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(lease.clone());
        let answer = router.call(request);
        async {
            let mut answer = answer.await?;
            let server = HeaderValue::from_static(SERVER);
            answer.headers_mut().insert(header::SERVER, server);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            result = connection.as_mut() => result,
            _ = closing.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let mut served = std::pin::pin!(served);
    let result = match timeout(CONNECTION_TIMEOUT, served.as_mut()).await {
        Err(_) if lease.is_extended() => Ok(served.await),
        result => result,
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("API connection: {error}"),
        Err(_) => debug!("API connection: cut off after {CONNECTION_TIMEOUT:?}"),
    }
}
