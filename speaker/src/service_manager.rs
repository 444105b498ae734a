//! What the service manager is told: that we are ready, reload, stop, live (sd_notify(3)).
//!
//! It is reached at the socket that `NOTIFY_SOCKET` names; without one nobody is told anything. We live
//! while the speaker task answers, and it answers when the BGP and the BFD thread have answered it.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

use crate::control::{Control, Vitals};

/// How often the status line is looked at where nobody watches over us.
const AT_LEISURE: Duration = Duration::from_secs(10);

/// The service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager(Option<Arc<Link>>);

#[derive(Debug)]
struct Link {
    socket: UnixDatagram,
    is_stopping: AtomicBool,
}

impl ServiceManager {
    /// Whom the environment names.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match connect(name.as_bytes()) {
            Ok(socket) => Self(Some(Arc::new(Link {
                socket,
                is_stopping: AtomicBool::new(false),
            }))),
            Err(error) => {
                warn!(
                    "the service manager cannot be told anything: NOTIFY_SOCKET is {name:?}: {error}"
                );
                Self::default()
            }
        }
    }

    /// Everything is opened, and the sessions begin.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read anew; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// The end has begun. It takes as long as it takes, and is no failure.
    pub fn stopping(&self) {
        if let Some(link) = &self.0 {
            link.is_stopping.store(true, Ordering::Relaxed);
        }
        self.tell("STOPPING=1");
    }

    /// Says again and again that we live, as long as we do, and how we are.
    pub async fn keep_informed(self, control: Control) {
        let Some(link) = self.0.clone() else { return };
        let watchdog = watchdog();
        // Two chances in each period, as sd_watchdog_enabled(3) advises.
        let period = watchdog.map_or(AT_LEISURE, |watchdog| watchdog / 2);
        let mut said = None;
        loop {
            let vitals = tokio::time::timeout(period, control.vitals()).await;
            let is_alive = match vitals {
                Ok(Ok(vitals)) => {
                    if said != Some(vitals) {
                        self.tell(&status(vitals));
                        said = Some(vitals);
                    }
                    true
                }
                Ok(Err(_)) | Err(_) => link.is_stopping.load(Ordering::Relaxed),
            };
            if is_alive && watchdog.is_some() {
                self.tell("WATCHDOG=1");
            }
            tokio::time::sleep(period).await;
        }
    }

    /// Whoever does not listen misses it.
    fn tell(&self, state: &str) {
        if let Some(link) = &self.0 {
            let _ = link.socket.send(state.as_bytes());
        }
    }
}

fn status(vitals: Vitals) -> String {
    let Vitals {
        peers,
        established,
        services,
    } = vitals;
    format!("STATUS={established} of {peers} peers established, {services} services")
}

/// A path, or with `@` a name in the abstract namespace (unix(7)).
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that is busy does not stop us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How long we may be silent at most, if that is meant for this process.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let period = number("WATCHDOG_USEC").filter(|period| is_ours && *period > 0)?;
    Some(Duration::from_micros(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_paths_or_abstract_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("herald-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, name) in [
            (by_path, path.as_os_str().as_bytes().to_vec()),
            (by_name, format!("@{name}").into_bytes()),
        ] {
            connect(&name).unwrap().send(b"READY=1").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
        assert!(connect(b"/nowhere/notify").is_err());
    }
}
