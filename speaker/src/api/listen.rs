//! The sockets that the API listens on.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use axum::serve::Listener;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::debug;

use crate::config::{Account, ApiConfig};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;
/// What the daemon's process is called.
const PROGRAM: &str = "herald";
/// How long another daemon may take to begin to listen in the same directory.
const TURN: Duration = Duration::from_secs(1);
/// How long somebody at the socket may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(1);
/// How long a TCP connection may be silent before the other end is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How often it is asked once more, and how many times before it is taken to be gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A herald answers at the Unix socket.
    #[error("{}: another herald answers at this [api] socket; stop it (`herald stop`), or name another socket", .0.display())]
    Alive(PathBuf),
    /// Somebody has the Unix socket and takes no more connections, so that nothing tells who it is.
    #[error("{}: somebody has this [api] socket and lets nobody in: another herald that serves as many connections as it can, or another program; stop it (`ss -xlp` names it), or name another socket", .0.display())]
    Full(PathBuf),
    /// Somebody else has the Unix socket.
    #[error("{}: another program has this [api] socket; stop it (`ss -xlp` names it), or name another socket", .0.display())]
    Stranger(PathBuf),
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
    /// The socket cannot be given to whom the configuration names.
    #[error("{}: [api] {what} is refused: {source}{}", .path.display(), hand_over_hint(.source))]
    HandOver {
        /// The path.
        path: PathBuf,
        /// The key and its value.
        what: String,
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

fn hand_over_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; it takes root or CAP_CHOWN to give it to another user, or to a group that the daemon's user is not in"
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
    /// Device and inode: somebody may have put something else in its place.
    identity: Option<(u64, u64)>,
}

impl ControlSocket {
    /// Listens where the configuration says, in place of a daemon that has died there.
    ///
    /// # Errors
    /// When a living one answers there, or somebody else, or the system refuses.
    pub fn bind(api: &ApiConfig) -> Result<(Self, UnixListener), BindError> {
        let path = &api.socket;
        let unix = |source| BindError::Unix {
            path: path.clone(),
            source,
        };
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(unix)?;
        let _turn = turn(directory);
        refuse_taken(path, PROGRAM)?;
        let socket = bind(path).map_err(unix)?;
        // From here on it is removed when something goes wrong.
        let bound = Self {
            path: path.clone(),
            identity: identity(path),
        };
        hand_over(api)?;
        Ok((bound, listen(&socket).map_err(unix)?))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path) == self.identity {
            // It may be gone already, and that is all that is wanted.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Between binding and listening a socket looks as if its daemon had died: daemons that start at once
/// do that in turn. Everybody who may read the directory could keep it locked, and is not waited for
/// long; `None`: it goes on without.
fn turn(directory: &Path) -> Option<fs::File> {
    let directory = fs::File::open(directory).ok()?;
    for _ in 0..100 {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK) => sleep(TURN / 100),
            Err(_) => return None,
        }
    }
    None
}

/// `program` is what we are called.
fn refuse_taken(path: &Path, program: &str) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NoSocket(path.to_owned()));
    }
    let somebody = introduction(path);
    match somebody {
        Ok(Introduction { said, listener })
            if said.contains("\r\nserver: herald/") || listener.as_deref() == Some(program) =>
        {
            Err(BindError::Alive(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::Full(path.to_owned()))
        }
        // Only this says that nobody has it any more; a datagram socket, for one, says something else.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(BindError::Stranger(path.to_owned())),
    }
}

/// Who is at a socket.
struct Introduction {
    /// The answer to a question that every herald answers; nothing where it is silent.
    said: String,
    /// What the program is called that listens, as far as it can be seen from here.
    listener: Option<String>,
}

fn introduction(path: &Path) -> io::Result<Introduction> {
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One that accepts nobody must not keep us waiting.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(INTRODUCTION))?;
    socket.set_write_timeout(Some(INTRODUCTION))?;
    let mut octets = [0; 512];
    let asked = socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: herald\r\n\r\n");
    let length = asked.and_then(|()| socket.read(&mut octets)).unwrap_or(0);
    let said = octets.get(..length).unwrap_or_default();
    Ok(Introduction {
        said: String::from_utf8_lossy(said).to_lowercase(),
        listener: listener(socket),
    })
}

/// proc(5): a program in another PID namespace has no number here, and so no name.
fn listener(socket: Socket) -> Option<String> {
    socket.set_nonblocking(true).ok()?;
    let socket = UnixStream::from_std(socket.into()).ok()?;
    let process = socket.peer_cred().ok()?.pid()?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// In place of what a dead daemon has left. Nobody can connect before [`listen`], so that the mode of
/// a socket that is only bound lets nobody in.
fn bind(path: &Path) -> io::Result<Socket> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// To whom it belongs, and whom it lets in.
fn hand_over(api: &ApiConfig) -> Result<(), BindError> {
    let path = &api.socket;
    let refused = |source, what| BindError::HandOver {
        path: path.clone(),
        what,
        source,
    };
    for (key, owner, group) in [
        ("socket-owner", api.socket_owner.as_ref(), None),
        ("socket-group", None, api.socket_group.as_ref()),
    ] {
        let named = owner.or(group);
        let Some(account) = named else { continue };
        // Owner and group stay as they are where nothing is said.
        lchown(path, owner.map(Account::id), group.map(Account::id))
            .map_err(|source| refused(source, format!("{key} = \"{account}\"")))?;
    }
    let mode = fs::Permissions::from_mode(api.socket_mode.bits());
    fs::set_permissions(path, mode)
        .map_err(|source| refused(source, format!("socket-mode = \"{}\"", api.socket_mode)))
}

fn listen(socket: &Socket) -> io::Result<UnixListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.try_clone()?.into())
}

/// Listens for those who only look.
///
/// # Errors
/// When the system refuses.
pub async fn bind_tcp(address: SocketAddr) -> Result<Viewers, BindError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| BindError::Tcp { address, source })?;
    Ok(Viewers(listener))
}

/// Where those who only look come in. Who vanishes without a word is noticed.
#[derive(Debug)]
pub struct Viewers(TcpListener);

impl Viewers {
    /// To wait for them on another runtime.
    pub(super) fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.0.into_std()
    }

    pub(super) fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self)
    }
}

impl Listener for Viewers {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
            debug!("API connection of {address}: no keepalive: {error}");
        }
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::config::Config;

    /// `[api]` with this socket and these keys.
    fn api(path: &Path, keys: &str) -> ApiConfig {
        let text = format!("[speaker]\nlocal-as = 1\n[api]\nsocket = {path:?}\n{keys}\n");
        Config::parse(Path::new("test"), &text).unwrap().config.api
    }

    fn bind(path: &Path) -> Result<(ControlSocket, UnixListener), BindError> {
        ControlSocket::bind(&api(path, ""))
    }

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_alone_in_its_directory() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("run");
        let path = directory.join("herald.sock");
        let bound = bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        UnixStream::connect(&path).unwrap();
        drop(bound);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_socket_has_the_mode_and_the_owner_that_are_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        // Root may give it away; others keep it.
        let (owner, group) = match user.is_root() {
            true => (65_534, 65_533),
            false => (user.as_raw(), group.as_raw()),
        };
        let keys =
            format!("socket-mode = \"0606\"\nsocket-owner = {owner}\nsocket-group = \"{group}\"");
        let _bound = ControlSocket::bind(&api(&path, &keys)).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o606);
        assert_eq!((metadata.uid(), metadata.gid()), (owner, group));
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn every_path_that_the_system_takes_will_do() {
        let directory = tempfile::tempdir().unwrap();
        // unix(7): 108 octets with the NUL behind it.
        let name = |length: usize| "s".repeat(length - directory.path().as_os_str().len() - 1);
        bind(&directory.path().join(name(107))).unwrap();
        let refused = bind(&directory.path().join(name(108)));
        assert!(matches!(refused, Err(BindError::Unix { .. })));
    }

    #[tokio::test]
    async fn a_dead_daemon_s_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let _living = bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    /// Whether it is silent, takes no more connections, or is of another kind.
    #[tokio::test]
    async fn a_stranger_s_socket_is_left_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let silent = directory.path().join("silent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
        let full = directory.path().join("full.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&full).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _waiting = UnixStream::connect(&full).unwrap();
        let datagrams = directory.path().join("datagrams.sock");
        let _datagram = UnixDatagram::bind(&datagrams).unwrap();
        for path in [&silent, &full, &datagrams] {
            let before = identity(path);
            let refused = bind(path);
            match refused {
                Err(BindError::Full(_)) if path == &full => {}
                Err(BindError::Stranger(_)) if path != &full => {}
                other => panic!("{path:?}: {other:?}"),
            }
            assert_eq!(identity(path), before);
        }
        drop(listener);
        bind(&silent).unwrap();
    }

    #[tokio::test]
    async fn a_silent_one_of_our_name_is_another_herald() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let ours = fs::read_to_string("/proc/self/comm").unwrap();
        let refused = refuse_taken(&path, ours.trim_end());
        assert!(matches!(refused, Err(BindError::Alive(_))), "{refused:?}");
        let refused = refuse_taken(&path, "another");
        assert!(
            matches!(refused, Err(BindError::Stranger(_))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn one_that_is_about_to_listen_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        let first = turn(directory.path()).unwrap();
        let socket = super::bind(&path).unwrap();
        let before = identity(&path);
        let api = api(&path, "");
        let runtime = tokio::runtime::Handle::current();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let _entered = runtime.enter();
                refuse_in_turn(&api)
            });
            // It is at the door, or will be: nothing tells, and either way it must find us.
            std::thread::yield_now();
            socket.listen(BACKLOG).unwrap();
            drop(first);
            let refused = second.join().unwrap();
            assert!(
                matches!(refused, Err(BindError::Stranger(_))),
                "{refused:?}"
            );
        });
        assert_eq!(identity(&path), before);
        // Whoever keeps the directory locked keeps nobody away for long.
        drop(socket);
        let _rude = turn(directory.path()).unwrap();
        bind(&path).unwrap();
    }

    /// What binding begins with.
    fn refuse_in_turn(api: &ApiConfig) -> Result<(), BindError> {
        let _turn = turn(api.socket.parent().unwrap());
        refuse_taken(&api.socket, "another")
    }

    #[tokio::test]
    async fn what_stands_in_its_place_meanwhile_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("herald.sock");
        let bound = bind(&path).unwrap();
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(bound);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn who_vanishes_is_noticed() {
        let mut viewers = bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = viewers.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = viewers.accept().await;
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
    }
}
