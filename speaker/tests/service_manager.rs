//! What a service manager hears of the daemon: the real binary, and a socket that plays systemd.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use support::{Daemon, loopback};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// Many times what may lie between two signs of life here.
const SILENCE: Duration = Duration::from_secs(2);

/// Hears what is said to the service manager.
struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { directory, socket }
    }

    /// A daemon that reports here, and is watched over.
    fn daemon(&self, config: &str) -> Daemon {
        let path = self.directory.path().join("notify");
        Daemon::start_with(
            config,
            &[
                ("NOTIFY_SOCKET", path.as_os_str()),
                ("WATCHDOG_USEC", "400000".as_ref()),
            ],
        )
    }

    /// What is said next; `None` when nothing is.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    #[track_caller]
    fn wait_for(&self, word: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(said) = self.hear(PATIENCE).filter(|said| said.starts_with(word)) {
                return said;
            }
        }
        panic!("{word} was not said");
    }

    /// Waits until nothing is said for long.
    #[track_caller]
    fn wait_for_silence(&self) {
        let start = Instant::now();
        while self.hear(SILENCE).is_some() {
            assert!(start.elapsed() < PATIENCE, "it goes on talking");
        }
    }
}

fn config(own: std::net::Ipv4Addr) -> String {
    format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n\
         [[peer]]\naddress = \"127.0.0.9\"\nremote-as = 64521\npassive = true\n\
         [[bfd-session]]\nname = \"path\"\naddress = \"127.0.0.9\"\nport = 13784\n"
    )
}

#[test]
fn ready_reloading_and_stopping_are_said_in_their_time() {
    let manager = Manager::start();
    let own = loopback();
    let mut daemon = manager.daemon(&config(own));
    manager.wait_for("READY=1");
    UnixStream::connect(daemon.socket()).unwrap();
    TcpStream::connect((own, 11179)).unwrap();
    assert_eq!(
        manager.wait_for("STATUS="),
        "STATUS=0 of 1 peers established, 0 services"
    );
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    daemon.ok(&["reload"]);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    daemon.write("nonsense");
    daemon.fails(2, &["reload"]);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    daemon.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    assert!(daemon.wait().success());
}

#[test]
fn a_thread_that_hangs_is_not_alive() {
    let manager = Manager::start();
    let daemon = manager.daemon(&config(loopback()));
    let process = daemon.id();
    for name in ["herald", "bgp", "bfd"] {
        manager.wait_for("WATCHDOG=1");
        let thread = thread(process, name);
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        manager.wait_for_silence();
        ptrace::detach(thread, None).unwrap();
    }
    manager.wait_for("WATCHDOG=1");
}

/// The thread of this name.
fn thread(process: u32, name: &str) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let task = tasks.flatten().find(|task| {
        let comm = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        comm.trim() == name
    });
    let task = task.unwrap_or_else(|| panic!("there is no thread {name}"));
    let id: i32 = task.file_name().to_str().unwrap().parse().unwrap();
    Pid::from_raw(id)
}
