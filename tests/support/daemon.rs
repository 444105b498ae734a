//! The `herald` binary: built from this tree, run in a namespace, asked over its own command line.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::namespace::Namespace;
use super::process::{Line, Process};
use super::{announce, try_run, wait_until};

/// The binary, built from the sources as they are: a test never meets one that is older.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--bin", "herald", "--message-format", "json"]);
        cargo.args(if cfg!(debug_assertions) {
            // A test among what is built has the dependencies built as `cargo test` builds them, and not once more.
            ["--workspace", "--all-features", "--test", "architecture"].as_slice()
        } else {
            // As it is shipped.
            &["--package", "herald", "--release"]
        });
        let built = try_run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")))
            .unwrap_or_else(|error| panic!("{error}"));
        let path = String::from_utf8_lossy(&built.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == "herald")
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .expect("cargo names the executable it built");
        announce(&format!("herald is {}", path.display()));
        path
    })
}

/// A running daemon. Its directory holds its configuration `herald.toml`, its socket `herald.sock`, and what else the configuration puts
/// there. When the test fails, its log is printed.
#[derive(Debug)]
pub struct Herald {
    directory: PathBuf,
    process: Process,
}

impl Herald {
    /// Starts the daemon in a namespace, and waits until it answers. The configuration must put the socket at [`socket_in`] its directory.
    #[track_caller]
    pub fn start(namespace: &Namespace, directory: &Path, config: &str) -> Self {
        Self::start_from(binary(), namespace, directory, config)
    }

    /// As [`Self::start`], from a binary that is elsewhere.
    #[track_caller]
    pub fn start_from(
        binary: &Path,
        namespace: &Namespace,
        directory: &Path,
        config: &str,
    ) -> Self {
        let config_file = directory.join("herald.toml");
        fs::write(&config_file, config).unwrap();
        let _ = fs::remove_file(socket_in(directory));

        let mut command = namespace.command(binary.to_str().unwrap());
        command.args([OsStr::new("run"), OsStr::new("-c"), config_file.as_os_str()]);
        let process = Process::spawn(&format!("herald in {}", namespace.name()), &mut command);
        let mut herald = Self {
            directory: directory.into(),
            process,
        };
        wait_until("herald answers", Duration::from_secs(30), || {
            herald
                .process
                .ensure_running()
                .unwrap_or_else(|ended| panic!("{ended}"));
            herald
                .try_command(&["show", "peers", "-o", "json"])
                .map(drop)
        });
        herald
    }

    /// Replaces the configuration file; nothing happens until the daemon is told to read it.
    pub fn write_config(&self, config: &str) {
        fs::write(self.directory.join("herald.toml"), config).unwrap();
    }

    /// `herald ARGUMENTS --socket …`, e.g. `command(&["announce", "192.0.2.1/32"])`; its standard output.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = self
            .try_command(arguments)
            .unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Self::command`], where failing is an answer too.
    pub fn try_command(&self, arguments: &[&str]) -> Result<Output, String> {
        try_run(
            Command::new(binary())
                .args(arguments)
                .arg("--socket")
                .arg(socket_in(&self.directory)),
        )
    }

    /// `herald show WHAT -o json`, e.g. `show("peers")`.
    #[track_caller]
    pub fn show(&self, what: &str) -> Value {
        let printed = self.command(&["show", what, "-o", "json"]);
        serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("show {what}: {error} in {printed:?}"))
    }

    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    #[track_caller]
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        self.process.wait_exit(timeout)
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<Line> {
        self.process.lines()
    }
}

/// Where the control socket of the daemon with this directory is.
pub fn socket_in(directory: &Path) -> PathBuf {
    directory.join("herald.sock")
}
