//! The engine, in a process of this same program in the speaker's namespace: so its usage is its own.

use std::io::Read;
use std::num::NonZeroU8;
use std::process::{Command, Stdio};

use bfd::engine::{Engine, EngineConfig, Grant};
use bfd::{Micros, SessionConfig, SessionKey};
use clap::Args;
use rustix::process::Pid;

use super::Speaker;
use crate::load::{self, Load};
use crate::network;
use crate::responder::Setup;
use crate::support::Namespace;

/// What the process is told.
#[derive(Args, Debug)]
pub struct Arguments {
    sessions: u16,
    interval_us: u32,
    detect_mult: NonZeroU8,
    #[arg(long)]
    realtime: bool,
}

pub struct Child(std::process::Child);

impl Child {
    pub fn start(at: &Namespace, setup: Setup, load: Load) -> Self {
        let program = std::env::current_exe().unwrap();
        // `ip netns exec` becomes the program: the child's number is its own.
        let mut command: Command = at.command(program.to_str().unwrap());
        let interval = setup.interval.as_micros();
        command
            .arg("engine")
            .args([setup.sessions.to_string(), interval.to_string()])
            .arg(setup.detect_mult.to_string())
            .args(load.realtime.then_some("--realtime"));
        // It ends when the pipe does, whatever becomes of this process.
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }
}

impl Speaker for Child {
    fn processes(&self) -> Vec<Pid> {
        vec![Pid::from_child(&self.0)]
    }

    /// Its thread, and only that, has taken it.
    fn prioritize(&self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the child: runs the sessions until nobody is interested any more.
pub fn run(arguments: &Arguments) {
    load::be_a_session();
    crate::raise_limit_of_files();
    let interval = Micros::new(arguments.interval_us);
    let config = SessionConfig {
        desired_min_tx_interval: interval,
        required_min_rx_interval: interval,
        detect_mult: arguments.detect_mult,
        ..SessionConfig::default()
    };
    let privileges = EngineConfig {
        realtime: arguments.realtime,
        lock_memory: arguments.realtime,
        ..EngineConfig::default()
    };
    let engine = Engine::start(privileges, |_| {}).unwrap();
    let is_refused = matches!(engine.engine_status().realtime, Grant::Refused(_));
    assert!(!is_refused, "no real-time priority here");
    for session in 0..arguments.sessions {
        let key = SessionKey::single_hop(network::peer(session).into());
        engine.add(key, config.clone()).unwrap();
    }
    let _ = std::io::stdin().read(&mut [0]);
}
