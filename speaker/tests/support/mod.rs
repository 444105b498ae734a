//! Daemons of the real binary, on loopback and unprivileged ports.

#![allow(dead_code, reason = "each test target uses its own part")]

pub(crate) mod http;
pub(crate) mod schema;

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) fn herald() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command
        .env_remove("HERALD_SOCKET")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A loopback address that no other test of this machine uses at the time.
pub(crate) fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id() % 4096;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::from_bits(0x7F10_0000 + (process << 8) + 1 + number)
}

/// The words of a page, wherever it breaks its lines.
pub(crate) fn words(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon with a directory of its own; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    directory: TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one. `config` says everything but the paths.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// The same, with something in its environment.
    pub(crate) fn start_with(config: &str, environment: &[(&str, &OsStr)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut daemon = Self {
            directory,
            child: None,
        };
        daemon.write(config);
        daemon.launch_with(environment);
        daemon
    }

    /// Replaces the configuration file.
    pub(crate) fn write(&self, config: &str) {
        let config = config.replace(
            "[speaker]",
            &format!("[speaker]\nstate-dir = {:?}", self.path("state")),
        );
        let paths = format!("[api]\nsocket = {:?}\n", self.socket());
        let config = match config.split_once("[api]\n") {
            Some((before, after)) => format!("{before}{paths}{after}"),
            None => format!("{config}\n{paths}"),
        };
        fs::write(self.file(), config).expect("the file can be written");
    }

    /// Starts the daemon once more.
    pub(crate) fn launch(&mut self) {
        self.launch_with(&[]);
    }

    fn launch_with(&mut self, environment: &[(&str, &OsStr)]) {
        let log = fs::File::create(self.path("log")).expect("the log can be written");
        let child = herald()
            .args(["run", "-c"])
            .arg(self.file())
            .envs(environment.iter().copied())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        self.child = Some(child);
        eventually("the daemon answers", || {
            if let Some(status) = self.exited() {
                panic!("the daemon ended: {status}\n{}", self.log());
            }
            self.herald(&["show", "status"]).status.success()
        });
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("herald.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("herald.sock")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs a command against this daemon.
    pub(crate) fn herald(&self, arguments: &[&str]) -> Output {
        run(herald().arg("--socket").arg(self.socket()).args(arguments))
    }

    /// The same, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.herald(arguments);
        assert!(
            output.status.success(),
            "herald {arguments:?}: {}\n{}",
            stderr(&output),
            self.log()
        );
        stdout(&output)
    }

    /// The same, which must fail with this code; what it says.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.herald(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stderr(&output)
    }

    /// `herald show … -o json`
    #[track_caller]
    pub(crate) fn show(&self, arguments: &[&str]) -> Value {
        let arguments = [&["show", "-o", "json"], arguments].concat();
        serde_json::from_str(&self.ok(&arguments)).expect("JSON")
    }

    /// Waits until the peer's BGP and BFD sessions are up.
    #[track_caller]
    pub(crate) fn wait_until_up(&self, peer: &str) {
        let start = Instant::now();
        loop {
            let status = self.show(&["peer", peer]);
            let states = [&status["state"], &status["bfd"]["state"]];
            if states == ["Established", "Up"] {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "not both sessions are up within {PATIENCE:?}, but {states:?}: {status:#}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the peer's BGP session is up.
    #[track_caller]
    pub(crate) fn wait_until_established(&self, peer: &str) {
        eventually("the session is established", || {
            self.show(&["peer", peer])["state"] == "Established"
        });
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// How much of the process is in memory.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        let id = nix::unistd::Pid::from_raw(id.try_into().expect("a process id"));
        nix::sys::signal::kill(id, signal).expect("the signal is delivered");
    }

    /// Ends the process without a word.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.exited();
            status.is_some()
        });
        self.child = None;
        status.expect("it has ended")
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("it is our child")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.file().display(), self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes a file into a directory of its own.
pub(crate) fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("herald.toml");
    fs::write(&path, text).expect("the file can be written");
    (directory, path)
}

/// `text` with the directory taken out, to compare messages.
pub(crate) fn without(text: &str, path: &Path) -> String {
    text.replace(&path.display().to_string(), "FILE")
}
