//! `herald run`: the daemon.

use std::path::Path;
use std::pin::pin;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{FAILURE, SUCCESS, USAGE, complain};
use crate::addresses;
use crate::allocator;
use crate::api::{self, ApiThread, ControlSocket};
use crate::config::{Checked, Config};
use crate::control::Control;
use crate::logging;
use crate::privileges::{self, Capability, Host};
use crate::service_manager::ServiceManager;
use crate::speaker::{Speaker, StartError, ThreadEnded};

/// Runs until it is told to stop.
pub(super) fn run(file: &Path) -> u8 {
    let Checked { config, warnings } = match Config::load(file) {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("{error}");
            return USAGE;
        }
    };
    let level = logging::start(config.log);
    raise_descriptor_limit();
    for warning in warnings {
        warn!("{}", warning.in_file(file));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start: {error}"));
            return FAILURE;
        }
    };
    runtime.block_on(async {
        match daemon(file, config, level).await {
            Ok(()) => SUCCESS,
            Err(error) => {
                complain(&error);
                // Also where no router id can be derived: an address may come.
                FAILURE
            }
        }
    })
}

/// Each BFD session has a socket of its own, and the usual limit of 1024 is for programs that use
/// `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!("cannot raise the limit of open files: {error}");
    }
}

#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Bind(#[from] api::BindError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Ended(#[from] ThreadEnded),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot start the API's thread: {0}")]
    Thread(std::io::Error),
    #[error("the API's thread has ended unexpectedly; what it wrote before tells why")]
    ApiEnded,
}

async fn daemon(
    file: &Path,
    config: Config,
    level: logging::LevelSwitch,
) -> Result<(), DaemonError> {
    let api = config.api.clone();
    // The sockets come first: whoever is in the way is named before a router hears of us.
    let (_socket, listener) = ControlSocket::bind(&api)?;
    let viewers = match api.listen {
        Some(address) => Some(api::bind_tcp(address).await?),
        None => None,
    };
    let signals = Signals::new().map_err(DaemonError::Signals)?;
    // No thread but this one is there yet.
    let mut needs = privileges::needs(&config, file, &Host::here(), privileges::owner);
    if addresses::are_left_behind(&config.speaker.state_dir) {
        let reason = "addresses that an earlier run has added".to_owned();
        needs
            .entry(Capability::NetAdmin)
            .or_default()
            .insert(reason);
    }
    privileges::give_up(&needs, privileges::runs_programs(&config));
    let (speaker, control) = Speaker::start(file.to_owned(), config, level).await?;
    let server = ApiThread::start(listener, viewers, control.clone(), file);
    let mut server = server.map_err(DaemonError::Thread)?;
    info!(socket = %api.socket.display(), "herald {} runs", env!("CARGO_PKG_VERSION"));
    let manager = ServiceManager::from_environment();
    let speaker = speaker.with_service_manager(manager.clone());
    manager.ready();
    let informing = tokio::spawn(manager.keep_informed(control.clone()));
    let keeping_small = tokio::spawn(allocator::keep_small());
    let obeying = tokio::spawn(signals.obey(control.clone()));
    let mut running = pin!(speaker.run());
    let ended = tokio::select! {
        ended = running.as_mut() => ended.map_err(DaemonError::from),
        // What nobody can ask or command is ended as by SIGTERM, so that it is started anew.
        () = server.ended() => {
            error!("{}", DaemonError::ApiEnded);
            let (ended, _) = tokio::join!(running, control.stop(None, None));
            ended.map_err(DaemonError::from).and(Err(DaemonError::ApiEnded))
        }
    };
    obeying.abort();
    informing.abort();
    keeping_small.abort();
    server.close().await;
    ended
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Somebody listens, so that a file that may not grow is an error, and not the end.
    _too_long: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_long: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// SIGHUP reloads; SIGTERM and SIGINT end, and skip the drain if it has begun.
    async fn obey(mut self, control: Control) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // What came of it is logged where it happened.
                    let _ = control.reload(false).await;
                    continue;
                }
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if let Err(refusal) = control.stop(None, None).await {
                error!("{refusal}");
            }
        }
    }
}
