//! Where neighbors connect to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::socket;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for BGP on {address}: {source}{}", hint(source))]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
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
    tasks: BTreeMap<SocketAddr, AbortHandle>,
    accepted: UnboundedSender<TcpStream>,
}

impl Listeners {
    pub(super) fn new(accepted: UnboundedSender<TcpStream>) -> Self {
        Self {
            tasks: BTreeMap::new(),
            accepted,
        }
    }

    /// Listens on `addresses` and nowhere else. Where it listens already, nothing changes.
    pub(super) fn set(&mut self, addresses: &[SocketAddr]) -> Result<(), ListenError> {
        let mut added = BTreeMap::new();
        for address in addresses
            .iter()
            .filter(|address| !self.tasks.contains_key(address))
        {
            let listener = socket::listen(*address).map_err(|source| ListenError {
                address: *address,
                source,
            })?;
            added.insert(*address, listener);
        }
        self.tasks.retain(|address, task| {
            let stays = addresses.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for (address, listener) in added {
            let task = tokio::task::spawn_local(accept(listener, self.accepted.clone()));
            self.tasks.insert(address, task.abort_handle());
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        for (_, task) in std::mem::take(&mut self.tasks) {
            task.abort();
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
