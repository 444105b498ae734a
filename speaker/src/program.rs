//! Programs that the daemon runs for its operator: what they have of us, and their end.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process_group, pidfd_open, prlimit,
};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tracing::debug;

/// What a program has of our environment: the rest is ours alone, such as what a service manager
/// tells its services.
pub(crate) const ENVIRONMENT: [&str; 6] = ["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"];
/// How many files a program may open without asking for more: we raise our own limit, and one that
/// uses `select` cannot stand that.
const OPEN_FILES: u64 = 1024;

/// A program and what it has started. All of it is killed when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Group {
    /// The program itself.
    pub(crate) leader: Child,
    /// The group's number, while it cannot be another's: until the leader has been waited for.
    id: Option<Pid>,
}

impl Group {
    /// Starts a program in a process group of its own. Its output can be read; `variables` are what
    /// it has in its environment besides [`ENVIRONMENT`].
    pub(crate) fn start(
        exec: &[String],
        variables: impl IntoIterator<Item = (&'static str, impl AsRef<OsStr>)>,
        stdin: Stdio,
    ) -> io::Result<Self> {
        let (program, arguments) = exec.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let inherited = ENVIRONMENT.map(|name| Some((name, std::env::var_os(name)?)));
        let leader = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited.into_iter().flatten())
            .envs(variables)
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw);
        if let Some(id) = id {
            limit_open_files(id);
        }
        Ok(Self { leader, id })
    }

    /// Waits for the program's end. What it has started may go on.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await;
        self.id = None;
        status
    }

    /// Waits for the program's end, and ends what it has started.
    pub(crate) async fn wait_and_kill_the_rest(&mut self) -> io::Result<ExitStatus> {
        if let Some(id) = self.id {
            // Its number stays ours until it has been waited for: nobody else is killed.
            // It is no pipe. It becomes readable when the program ends, and that is all it is for: it is never
            // read from, and need not be non-blocking, which kernels before 5.10 refuse.
            let end = pidfd_open(id, PidfdFlags::empty())?;
            let end = pipe::Receiver::from_owned_fd_unchecked(end)?;
            end.readable().await?;
            self.kill();
        }
        self.leader.wait().await
    }

    /// Ends the program and what it has started.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = self.id.take() {
            // Who has ended meanwhile cannot be killed.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// It may have begun already: what it asks for itself counts, and it may have ended.
fn limit_open_files(program: Pid) {
    let own = getrlimit(Resource::Nofile);
    let current = own
        .current
        .map_or(OPEN_FILES, |limit| limit.min(OPEN_FILES));
    let limit = Rlimit {
        current: Some(current),
        ..own
    };
    if let Err(error) = prlimit(Some(program), Resource::Nofile, limit) {
        debug!("cannot set the limit of open files of a program: {error}");
    }
}
