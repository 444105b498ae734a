//! Connections, and what they may cost.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::serve::Listener;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::lease::{Lease, Limits, Load};
use crate::allocator;

/// Who answers, in each answer: a command of another version can say so.
pub(crate) const SERVER: &str = concat!("herald/", env!("CARGO_PKG_VERSION"));
/// How long answers under way may take once the daemon ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Listeners and their connections.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    load: Arc<Load>,
    closing: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Default for Server {
    fn default() -> Self {
        Self::with_limits(Limits::default())
    }
}

impl Server {
    fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            load: Arc::default(),
            closing: watch::Sender::new(false),
            listeners: JoinSet::new(),
        }
    }

    /// Serves every connection of `listener`.
    pub fn serve<L: Listener>(&mut self, listener: L, router: Router)
    where
        L::Addr: std::fmt::Debug,
    {
        let doorkeeper = Doorkeeper {
            limits: self.limits,
            load: Arc::clone(&self.load),
            router,
            closing: self.closing.subscribe(),
        };
        self.listeners.spawn(doorkeeper.accept(listener));
    }

    /// Returns when a listener has ended that was not told to.
    pub(super) async fn lost_listener(&mut self) {
        match self.listeners.join_next().await {
            Some(_) => {}
            None => std::future::pending().await,
        }
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

/// Lets connections of one listener in.
struct Doorkeeper {
    limits: Limits,
    load: Arc<Load>,
    router: Router,
    closing: watch::Receiver<bool>,
}

impl Doorkeeper {
    async fn accept<L: Listener>(mut self, mut listener: L) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                let (io, _) = listener.accept().await;
                (place, io)
            };
            tokio::select! {
                (place, io) = next => {
                    let lease = Lease::new(self.limits, Arc::clone(&self.load));
                    let connection = connection::<L>(io, self.router.clone(), lease, self.closing.clone());
                    connections.spawn(async move {
                        let _place = place;
                        connection.await;
                    });
                }
                _ = self.closing.changed() => break,
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn connection<L: Listener>(
    io: L::Io,
    router: Router,
    lease: Lease,
    mut closing: watch::Receiver<bool>,
) {
    let limits = lease.limits();
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(lease.clone());
        let answer = router.call(request);
        async {
            let mut answer = answer.await?;
            let octets = answer.body().size_hint().exact().unwrap_or_default();
            allocator::was_answered(usize::try_from(octets).unwrap_or(usize::MAX));
            let server = HeaderValue::from_static(SERVER);
            answer.headers_mut().insert(header::SERVER, server);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.buffer)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = lease.expired() => {
            connection.as_mut().graceful_shutdown();
            let Ok(served) = timeout(limits.answer, connection).await else {
                debug!("API connection: cut off, for it took longer than {:?}", limits.connection);
                lease.load().cut_off_slow();
                return;
            };
            served
        }
        () = lease.revoked() => {
            debug!("API connection: cut off, for the events were left unread for {:?}", limits.unread);
            lease.load().cut_off_unread();
            return;
        }
    };
    if let Err(error) = served {
        debug!("API connection: {error}");
    }
}

#[cfg(test)]
mod tests;
