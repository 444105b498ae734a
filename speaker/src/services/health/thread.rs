//! The thread that checks. It is one of its own, so that neither the API nor a configuration that
//! is read keeps checks waiting, nor they a session of BGP or BFD. It starts with the first service
//! that has a check.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep_until, timeout};
use tracing::{error, info};

use super::checker::{Action, CheckReport, Checker, Found, Outcome, RunId, Setup};
use super::crowd::Crowded;
use super::probe;
use crate::config::ServiceName;

/// How many verdicts may wait for the speaker. Checks wait with them.
const VERDICTS: usize = 1024;
/// How long is waited for programs that were killed.
const FAREWELL: Duration = Duration::from_secs(1);

/// A handle to the thread. Calls return at once and take effect in their order.
#[derive(Clone, Debug)]
pub struct HealthThread {
    shared: Arc<Shared>,
}

/// What the thread has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A verdict was found, or has turned.
    Found(Found),
    /// Checks begin late.
    Crowded(Crowded),
}

struct Shared {
    commands: OnceLock<mpsc::UnboundedSender<Command>>,
    absent: Mutex<Absent>,
    spawn: Spawn,
}

/// What there is as long as there is no thread.
#[derive(Debug)]
struct Absent {
    /// Until the thread has it, so that its end is seen at the other end.
    news: Option<mpsc::Sender<News>>,
    /// What it is to check when it is there.
    wanted: BTreeMap<ServiceName, Setup>,
}

/// Has a thread do this.
type Spawn = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

#[derive(Debug)]
enum Command {
    Set(ServiceName, Setup),
    Remove(ServiceName),
    Report(oneshot::Sender<BTreeMap<ServiceName, CheckReport>>),
    Stop(oneshot::Sender<()>),
}

impl HealthThread {
    /// No thread yet, and where its verdicts will come.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<News>) {
        Self::with(|task| {
            let thread = std::thread::Builder::new().name("health".into());
            thread.spawn(task).map(drop)
        })
    }

    fn with(spawn: Spawn) -> (Self, mpsc::Receiver<News>) {
        let (sender, news) = mpsc::channel(VERDICTS);
        let shared = Arc::new(Shared {
            commands: OnceLock::new(),
            absent: Mutex::new(Absent {
                news: Some(sender),
                wanted: BTreeMap::new(),
            }),
            spawn,
        });
        (Self { shared }, news)
    }

    /// Checks a service, or checks it otherwise.
    pub fn set(&self, name: &ServiceName, setup: Setup) {
        if self.shared.commands.get().is_none() {
            self.shared.absent().wanted.insert(name.clone(), setup);
            if let Err(error) = self.shared.start() {
                error!(service = %name, "no health check: cannot start the thread: {error}; it is tried again every second");
            }
            return;
        }
        self.tell(Command::Set(name.clone(), setup));
    }

    /// Whether there is something to check and no thread for it: the system had none to give.
    #[must_use]
    pub fn lacks_thread(&self) -> bool {
        self.shared.commands.get().is_none() && !self.shared.absent().wanted.is_empty()
    }

    /// Tries again.
    pub fn retry(&self) {
        if self.lacks_thread() && self.shared.start().is_ok() {
            info!("health checks have begun");
        }
    }

    /// Checks a service no more.
    pub fn remove(&self, name: &ServiceName) {
        match self.shared.commands.get() {
            Some(_) => self.tell(Command::Remove(name.clone())),
            None => drop(self.shared.absent().wanted.remove(name)),
        }
    }

    /// How the checks have fared.
    pub async fn reports(&self) -> BTreeMap<ServiceName, CheckReport> {
        let (reply, reports) = oneshot::channel();
        self.tell(Command::Report(reply));
        reports.await.unwrap_or_default()
    }

    /// Ends every check and the thread.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Stop(reply));
        // Without a thread there is nothing to wait for.
        let _ = done.await;
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = self.shared.commands.get() {
            // It ends only when it was told to stop.
            let _ = commands.send(command);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("absent", &self.absent)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn start(&self) -> io::Result<()> {
        let mut absent = self.absent();
        let Some(news) = absent.news.clone() else {
            return Ok(());
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut idle = Idle(Some(runtime));
        (self.spawn)(Box::new(move || {
            if let Some(runtime) = idle.0.take() {
                runtime.block_on(Runner::new(news).run(inbox));
            }
        }))?;
        absent.news = None;
        for (name, setup) in std::mem::take(&mut absent.wanted) {
            // It ends only when it was told to stop.
            let _ = commands.send(Command::Set(name, setup));
        }
        let _ = self.commands.set(commands);
        Ok(())
    }

    fn absent(&self) -> MutexGuard<'_, Absent> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A runtime that no thread has taken. Dropping it as it is would wait, and whoever has asked for it
/// must not.
struct Idle(Option<Runtime>);

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

struct Runner {
    checker: Checker,
    tasks: JoinSet<(RunId, Outcome)>,
    under_way: BTreeMap<RunId, AbortHandle>,
    news: mpsc::Sender<News>,
}

impl Runner {
    fn new(news: mpsc::Sender<News>) -> Self {
        Self {
            checker: Checker::new(rand::random()),
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            news,
        }
    }

    /// Runs until it is told to stop, or nobody wants to know any more.
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            self.act();
            while let Some(news) = self.poll_news() {
                if self.news.send(news).await.is_err() {
                    return;
                }
            }
            let next = self.checker.poll_timeout().map(Into::into);
            let wake = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Set(name, setup)) => {
                        self.checker.set(Instant::now(), &name, setup);
                    }
                    Some(Command::Remove(name)) => self.checker.remove(&name),
                    Some(Command::Report(reply)) => {
                        let reports = self.checker.reports();
                        let reports = reports.map(|(name, it)| (name.clone(), it.clone()));
                        let _ = reply.send(reports.collect());
                    }
                    Some(Command::Stop(done)) => {
                        let _ = timeout(FAREWELL, self.tasks.shutdown()).await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((run, outcome)) = ended {
                        self.under_way.remove(&run);
                        self.checker.handle_outcome(Instant::now(), run, outcome);
                    } else if let Err(error) = ended && error.is_panic() {
                        // A service that nobody checks must not look healthy.
                        std::panic::resume_unwind(error.into_panic());
                    }
                },
                () = wake => {}
            }
        }
    }

    fn poll_news(&mut self) -> Option<News> {
        let found = self.checker.poll_found().map(News::Found);
        found.or_else(|| self.checker.poll_crowded().map(News::Crowded))
    }

    fn act(&mut self) {
        while let Some(action) = self.checker.poll_action(Instant::now()) {
            match action {
                Action::Start(start) => {
                    let run = start.run;
                    let task = async move { (run, probe::check(&start).await) };
                    self.under_way.insert(run, self.tasks.spawn(task));
                }
                Action::Abort(run) => {
                    if let Some(task) = self.under_way.remove(&run) {
                        task.abort();
                    }
                    self.checker.handle_aborted(run);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::{CheckConfig, Probe};
    use crate::services::Verdict;
    use crate::services::health::checker::WatchId;

    /// A system that has no thread to give for the first two times.
    fn spawn(task: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        static TRIES: AtomicUsize = AtomicUsize::new(0);
        match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(io::ErrorKind::WouldBlock.into()),
            _ => std::thread::Builder::new().spawn(task).map(drop),
        }
    }

    #[tokio::test]
    async fn what_was_to_be_checked_is_when_there_is_a_thread_at_last() {
        let (health, mut news) = HealthThread::with(spawn);
        assert!(!health.lacks_thread(), "nothing is to be checked");
        let setup = Setup {
            config: Arc::new(CheckConfig {
                probe: Probe::Exec(vec!["/bin/true".to_owned()]),
                interval: Duration::from_secs(60),
                timeout: Duration::from_secs(30),
                fall: CheckConfig::DEFAULT_FALL,
                rise: CheckConfig::DEFAULT_RISE,
            }),
            addresses: Arc::default(),
            assumed: Verdict::Unknown,
            watch: WatchId::default(),
        };
        let [web, gone] = ["web", "gone"].map(|name| ServiceName::new(name).unwrap());
        health.set(&web, setup.clone());
        health.set(&gone, setup);
        health.remove(&gone);
        assert!(health.lacks_thread());
        assert!(health.reports().await.is_empty(), "nobody waits for ever");
        health.retry();
        let Some(News::Found(found)) = news.recv().await else {
            panic!("no verdict")
        };
        assert_eq!((found.service, found.verdict), (web, Verdict::Healthy));
        assert!(!health.lacks_thread());
        assert_eq!(health.reports().await.len(), 1);
        health.stop().await;
    }
}
