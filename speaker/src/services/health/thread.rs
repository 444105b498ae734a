//! The thread that checks. It is one of its own, so that neither the API nor a configuration that
//! is read keeps checks waiting, nor they a session of BGP or BFD. It starts with the first service
//! that has a check.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep_until, timeout};
use tracing::error;

use super::checker::{Action, CheckReport, Checker, Found, Outcome, RunId, Setup};
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

#[derive(Debug)]
struct Shared {
    commands: OnceLock<mpsc::UnboundedSender<Command>>,
    /// Until the thread has it, so that its end is seen at the other end.
    found: Mutex<Option<mpsc::Sender<Found>>>,
}

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
    pub fn new() -> (Self, mpsc::Receiver<Found>) {
        let (found, verdicts) = mpsc::channel(VERDICTS);
        let shared = Arc::new(Shared {
            commands: OnceLock::new(),
            found: Mutex::new(Some(found)),
        });
        (Self { shared }, verdicts)
    }

    /// Checks a service, or checks it otherwise.
    pub fn set(&self, name: &ServiceName, setup: Setup) {
        if let Err(error) = self.shared.start() {
            error!(service = %name, "no health check: cannot start the thread: {error}");
        }
        self.tell(Command::Set(name.clone(), setup));
    }

    /// Checks a service no more.
    pub fn remove(&self, name: &ServiceName) {
        self.tell(Command::Remove(name.clone()));
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

impl Shared {
    fn start(&self) -> io::Result<()> {
        let mut place = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = place.clone() else {
            return Ok(());
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("health".into())
            .spawn(move || runtime.block_on(Runner::new(found).run(inbox)))?;
        *place = None;
        let _ = self.commands.set(commands);
        Ok(())
    }
}

struct Runner {
    checker: Checker,
    tasks: JoinSet<(RunId, Outcome)>,
    under_way: BTreeMap<RunId, AbortHandle>,
    found: mpsc::Sender<Found>,
}

impl Runner {
    fn new(found: mpsc::Sender<Found>) -> Self {
        Self {
            checker: Checker::new(rand::random()),
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            found,
        }
    }

    /// Runs until it is told to stop, or nobody wants to know any more.
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            self.act();
            while let Some(found) = self.checker.poll_found() {
                if self.found.send(found).await.is_err() {
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
