//! Containers: a root file system that `scripts/rootfs` made, run by podman and runc in a namespace of the test's.
//!
//! The file system is shared by all containers and never written to: each has an overlay of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::namespace::Namespace;
use super::{ensure, run, try_run, wait_until};

/// A root file system on disk.
#[derive(Clone, Debug)]
pub struct Rootfs {
    path: PathBuf,
}

impl Rootfs {
    /// The one that `scripts/rootfs NAME` builds.
    ///
    /// # Errors
    ///
    /// When it has not been built.
    pub fn find(name: &str) -> Result<Self, String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/rootfs");
        let output = try_run(Command::new(script).args(["--path", name]))?;
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if path.is_dir() {
            Ok(Self { path })
        } else {
            Err(format!(
                "the root file system {} does not exist (scripts/rootfs {name} builds it)",
                path.display()
            ))
        }
    }

    /// Runs a line of shell in it to its end, without a container; its standard output.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        run(Command::new("chroot")
            .arg(&self.path)
            .args(["/bin/sh", "-c", line]))
    }

    /// As podman's argument: with an overlay, so that the original stays as it is.
    fn overlay(&self) -> String {
        format!("{}:O", self.path.display())
    }
}

/// A running container; gone when dropped.
#[derive(Debug)]
pub struct Container {
    name: String,
    pid: String,
}

impl Container {
    /// Starts `/bin/sh -c SCRIPT` in a fresh overlay of the file system, with the namespace as its network.
    #[track_caller]
    pub fn start(
        rootfs: &Rootfs,
        namespace: &Namespace,
        label: &str,
        mounts: &[(&Path, &str)],
        script: &str,
    ) -> Self {
        let name = format!("{}-{label}", namespace.name());
        let mut podman = podman_run(namespace);
        podman.args(["--detach", "--name", &name, "--hostname", label]);
        for (outside, inside) in mounts {
            podman.arg(format!("--volume={}:{inside}", outside.display()));
        }
        // `--rootfs` ends podman's options: what follows is the command.
        run(podman
            .arg("--rootfs")
            .arg(rootfs.overlay())
            .args(["/bin/sh", "-c", script]));
        let mut container = Self {
            name,
            pid: String::new(),
        };
        container.pid =
            run(podman_command().args(["inspect", "--format", "{{.State.Pid}}", &container.name]))
                .trim()
                .into();
        container
    }

    /// A command that will run inside.
    ///
    /// It enters the container's namespaces itself: `podman exec` takes ten times as long, which matters to tests that poll.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &self.pid, "--mount", "--root", "--uts", "--net", "--", program,
        ]);
        command
    }

    /// Runs a command inside to its end; its standard output.
    #[track_caller]
    pub fn exec(&self, program: &str, arguments: &[&str]) -> String {
        run(self.command(program).args(arguments))
    }

    /// Runs a line of shell that leaves a daemon behind: one that ends when the container does.
    #[track_caller]
    pub fn launch(&self, line: &str) {
        run(Command::new("nsenter").args([
            "--target", &self.pid, "--mount", "--root", "--uts", "--net", "--pid", "--", "/bin/sh",
            "-c", line,
        ]));
    }

    /// The processes inside that run a program, by the numbers that they have outside.
    pub fn processes(&self, program: &str) -> Vec<Pid> {
        let namespace_of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let inside = namespace_of(&self.pid);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
        numbers
            .filter(|pid| {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                comm.trim_end() == program && namespace_of(pid) == inside
            })
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    }

    /// Sends a signal to the processes inside that run a program.
    #[track_caller]
    pub fn signal(&self, program: &str, signal: Signal) {
        let processes = self.processes(program);
        assert!(!processes.is_empty(), "no {program} runs in {}", self.name);
        for process in processes {
            let _ = kill_process(process, signal);
        }
    }

    /// Waits until no process inside runs a program. One that has ended and that nobody asks about is gone too.
    #[track_caller]
    pub fn wait_until_gone(&self, program: &str) {
        let runs = |pid: &Pid| {
            let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
            words.is_ok_and(|words| !words.is_empty())
        };
        wait_until(
            &format!("{program} has ended in {}", self.name),
            Duration::from_secs(20),
            || {
                let left = self.processes(program).into_iter().filter(runs).count();
                ensure(left == 0, || format!("{left} of them run"))
            },
        );
    }

    /// What its first process and the daemons have printed.
    pub fn logs(&self) -> String {
        let output = podman_command()
            .args(["logs", &self.name])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Runs `true` in a container.
///
/// # Errors
///
/// What podman said against it.
pub fn probe(rootfs: &Rootfs, namespace: &Namespace) -> Result<(), String> {
    try_run(
        podman_run(namespace)
            .arg("--rm")
            .arg("--rootfs")
            .arg(rootfs.overlay())
            .arg("/bin/true"),
    )
    .map(drop)
}

/// The containers that podman knows.
pub fn names() -> Vec<String> {
    let listed = podman_command()
        .args(["ps", "--all", "--format", "{{.Names}}"])
        .output();
    let listed = listed
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    listed.lines().map(str::to_owned).collect()
}

/// Removes a container by name, as far as it can be.
pub fn remove(name: &str) {
    let _ = podman_command()
        .args(["rm", "--force", "--time", "0", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

fn podman_command() -> Command {
    let mut podman = Command::new("podman");
    podman.args(["--runtime", "runc", "--cgroup-manager=cgroupfs"]);
    podman
}

fn podman_run(namespace: &Namespace) -> Command {
    let mut podman = podman_command();
    podman.args([
        "run",
        "--privileged",
        "--ulimit=nofile=20000:20000",
        "--ulimit=nproc=10000:10000",
        // A router has processors of its own: beside a busy machine's other work it must not starve, and see failures that are none.
        "--cgroup-parent=/",
        "--cpu-shares=262144",
    ]);
    podman.arg(format!("--network=ns:{}", namespace.path().display()));
    podman
}
