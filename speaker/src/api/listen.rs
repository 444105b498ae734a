//! The sockets that the API listens on.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

/// Owner and group.
const MODE: u32 = 0o660;

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
        let listener = bind_over(path).map_err(|source| BindError::Unix {
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

/// Binds beside the path and moves it there, so that nobody finds a socket with other permissions,
/// or none.
fn bind_over(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(MODE))?;
    fs::rename(&beside, path)?;
    Ok(listener)
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
