//! The thread on which requests are answered: what there is to say of very many services takes a while to write, and a
//! verdict about one of them is not to wait for that.

use std::io;
use std::path::Path;
use std::thread;

use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::handlers::{control, viewing};
use super::listen::Viewers;
use super::server::Server;
use crate::control::Control;

/// Answers until it is closed.
#[derive(Debug)]
pub struct ApiThread {
    closing: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
    /// That was heard already, and cannot be heard again.
    has_ended: bool,
}

impl ApiThread {
    /// Serves everything at `socket`, and what changes nothing at `viewers`. `file` is the configuration file, to name it.
    ///
    /// # Errors
    /// When the system has no thread left, or not what it takes to wait for connections.
    pub fn start(
        socket: UnixListener,
        viewers: Option<Viewers>,
        control: Control,
        file: &Path,
    ) -> io::Result<Self> {
        let everything = self::control(control.clone(), file.to_owned());
        let views = viewing(control, file.to_owned());
        let socket = socket.into_std()?;
        let viewers = viewers.map(Viewers::into_std).transpose()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // They are waited for on that thread.
        let entered = runtime.enter();
        let socket = UnixListener::from_std(socket)?;
        let viewers = viewers.map(Viewers::from_std).transpose()?;
        drop(entered);
        let (closing, close) = oneshot::channel();
        let (ended, closed) = oneshot::channel();
        let serve = async move {
            let mut server = Server::default();
            server.serve(socket, everything);
            if let Some(viewers) = viewers {
                server.serve(viewers, views);
            }
            tokio::select! {
                // It ends as well when nobody is left who could close it.
                _ = close => {}
                () = server.lost_listener() => {}
            }
            server.close().await;
            let _ = ended.send(());
        };
        thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self {
            closing,
            closed,
            has_ended: false,
        })
    }

    /// Returns when nobody answers any more, though it was not closed.
    pub async fn ended(&mut self) {
        // Who has panicked says nothing.
        let _ = (&mut self.closed).await;
        self.has_ended = true;
    }

    /// Accepts no more, and waits for the answers under way.
    pub async fn close(self) {
        if self.has_ended {
            return;
        }
        // It may have ended by itself.
        let _ = self.closing.send(());
        let _ = self.closed.await;
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener;

    use super::*;

    /// Accepts nobody, and ends.
    struct Broken;

    impl Listener for Broken {
        type Io = tokio::net::UnixStream;
        type Addr = ();

        async fn accept(&mut self) -> (Self::Io, ()) {
            panic!("broken")
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_listener_that_ends_by_itself_is_noticed() {
        let mut server = Server::default();
        server.serve(Broken, axum::Router::new());
        server.lost_listener().await;
    }

    #[tokio::test]
    async fn a_thread_that_ends_by_itself_is_noticed() {
        let (closing, close) = oneshot::channel();
        let (ended, closed) = oneshot::channel();
        let mut thread = ApiThread {
            closing,
            closed,
            has_ended: false,
        };
        drop((close, ended));
        thread.ended().await;
        thread.close().await;
    }
}
