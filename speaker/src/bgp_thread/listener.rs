//! Where neighbors connect to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::socket;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refuses it.
    #[error("cannot listen for BGP on {address}: {source}{}", hint(source))]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is nobody left who could listen.
    #[error("cannot listen for BGP: the BGP thread has ended")]
    Ended,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another BGP speaker may be running on this host: stop it, or choose another address or port in [speaker] listen"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has that address",
        _ => "",
    }
}

/// The listening sockets; each has a task that hands on what it accepts.
pub(super) struct Listeners {
    tasks: BTreeMap<SocketAddr, JoinHandle<()>>,
    accepted: UnboundedSender<TcpStream>,
}

impl Listeners {
    pub(super) fn new(accepted: UnboundedSender<TcpStream>) -> Self {
        Self {
            tasks: BTreeMap::new(),
            accepted,
        }
    }

    /// Listens on `addresses` and nowhere else. Where it listens already, nothing changes; if it
    /// cannot, nothing changes at all.
    pub(super) async fn set(&mut self, addresses: &[SocketAddr]) -> Result<(), ListenError> {
        let before = self.tasks.keys().copied().collect::<Vec<_>>();
        // What is in the way of a new address may be an old one, such as 0.0.0.0.
        self.close_all_but(addresses).await;
        let outcome = self.open(addresses);
        if outcome.is_err() {
            self.close_all_but(&before).await;
            self.open(&before)?;
        }
        outcome
    }

    pub(super) async fn close(&mut self) {
        self.close_all_but(&[]).await;
    }

    fn open(&mut self, addresses: &[SocketAddr]) -> Result<(), ListenError> {
        for address in addresses {
            if !self.tasks.contains_key(address) {
                let listener = socket::listen(*address).map_err(|source| ListenError::Bind {
                    address: *address,
                    source,
                })?;
                let task = tokio::task::spawn_local(accept(listener, self.accepted.clone()));
                self.tasks.insert(*address, task);
            }
        }
        Ok(())
    }

    async fn close_all_but(&mut self, addresses: &[SocketAddr]) {
        let closing = self
            .tasks
            .keys()
            .filter(|address| !addresses.contains(address));
        for address in closing.copied().collect::<Vec<_>>() {
            if let Some(task) = self.tasks.remove(&address) {
                task.abort();
                // The socket is closed when the task has ended, and only then.
                let _ = task.await;
            }
        }
    }
}

async fn accept(listener: TcpListener, accepted: UnboundedSender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = accepted.send(stream);
            }
            Err(error) => {
                // Out of descriptors or the like: to try again at once would only burn the
                // processor.
                tracing::warn!(%error, "cannot accept a BGP connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}
