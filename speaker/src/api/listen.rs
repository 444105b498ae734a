//! The sockets that the API listens on.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

/// Owner and group.
const MODE: u32 = 0o660;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers at the Unix socket.
    #[error("{}: another herald answers at this [api] socket; stop it (`herald stop`), or name another socket", .0.display())]
    Alive(PathBuf),
    /// There is something else at that path.
    #[error("{}: cannot be the [api] socket, for there is a file that is no socket; name another path", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error("{}: cannot listen at this [api] socket: {source}{}", .path.display(), socket_hint(.source))]
    Unix {
        /// The path.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot listen for HTTP at [api] listen = \"{address}\": {source}{}", tcp_hint(*.address, .source))]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What it says.
        source: io::Error,
    },
}

fn socket_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; start herald as a user who may write there, or name another socket"
        }
        _ => "",
    }
}

fn tcp_hint(address: SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; `ss -ltnp 'sport = :{}'` names who has it",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => "; no interface has this address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => String::new(),
    }
}

/// The Unix socket, which is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, in place of a daemon that has died there.
    ///
    /// # Errors
    /// When a living one answers there, or the system refuses.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), BindError> {
        refuse_taken(path)?;
        let listener = listen(path).map_err(|source| BindError::Unix {
            path: path.to_owned(),
            source,
        })?;
        let path = path.to_owned();
        Ok((Self { path }, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // It may be gone already, and that is all that is wanted.
        let _ = fs::remove_file(&self.path);
    }
}

fn refuse_taken(path: &Path) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::Alive(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// In place of what a dead daemon has left. Nobody can connect before `listen`, so that the mode of
/// a socket that is only bound lets nobody in.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Listens for those who only look.
///
/// # Errors
/// When the system refuses.
pub async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError::Tcp { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_alone_in_its_directory() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("run");
        let path = directory.join("herald.sock");
        let bound = ControlSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        UnixStream::connect(&path).unwrap();
        drop(bound);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn every_path_that_the_system_takes_will_do() {
        let directory = tempfile::tempdir().unwrap();
        // unix(7): 108 octets with the NUL behind it.
        let name = |length: usize| "s".repeat(length - directory.path().as_os_str().len() - 1);
        ControlSocket::bind(&directory.path().join(name(107))).unwrap();
        let refused = ControlSocket::bind(&directory.path().join(name(108)));
        assert!(matches!(refused, Err(BindError::Unix { .. })));
    }

    #[tokio::test]
    async fn a_dead_daemon_s_socket_is_replaced_and_a_living_one_s_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let _living = ControlSocket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        let refused = ControlSocket::bind(&path);
        assert!(matches!(refused, Err(BindError::Alive(_))));
        UnixStream::connect(&path).unwrap();
    }
}
