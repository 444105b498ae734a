//! F-87: a process that is stopped for long and goes on, as happens with a virtual machine that is moved.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bfd::engine::{Engine, EngineConfig};
use bfd::{Diagnostic, State};
use rustix::process::{Pid, Signal, kill_process};

use super::host::{Cable, Host, LEFT_V4, RIGHT_V4, brisk, to};

/// Many Detection Times.
const STOP: Duration = Duration::from_secs(3);
/// Three quarters of the interval, which is what jitter leaves of it at least.
const LEAST_INTERVAL: Duration = Duration::from_millis(37);

/// A process with one engine, which says what happens to its session, one line for each change.
struct Process(Child);

impl Process {
    fn start(cable: &Cable) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = cable.right.command(program.to_str().unwrap());
        let child = command
            .args([
                "--ignored",
                "--exact",
                "stop::the_process_that_is_stopped",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it, and says which states its session has been in.
    fn end(mut self) -> Vec<String> {
        drop(self.0.stdin.take());
        let output = BufReader::new(self.0.stdout.take().unwrap());
        let lines = output.lines().map_while(Result::ok);
        let states = lines.filter_map(|line| line.strip_prefix("state ").map(str::to_owned));
        let states = states.collect();
        self.0.wait().unwrap();
        states
    }
}

#[test]
#[ignore = "not a test of its own: what `Process` runs in a process that is stopped"]
fn the_process_that_is_stopped() {
    let config = EngineConfig {
        realtime: true,
        ..EngineConfig::default()
    };
    let say = |word: String| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\nstate {word}");
        let _ = out.flush();
    };
    let engine = Engine::start(config, move |change| say(change.to.to_string())).unwrap();
    let _session = engine.add(to(LEFT_V4), brisk()).unwrap();
    // Until whoever has started it lets go.
    let _ = std::io::stdin().lines().count();
    drop(engine);
}

#[test]
fn f_87_a_long_stop_is_one_down_and_no_storm() {
    let Some(cable) = Cable::lay("stop") else {
        return;
    };
    let (left, l) = Host::with(&cable.left, to(RIGHT_V4), brisk());
    let process = Process::start(&cable);
    left.wait_settled(l);

    process.signal(Signal::STOP);
    let silence = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
    assert_eq!(left.wait_for(l, State::Down).local_diag, silence);
    thread::sleep(STOP);
    let before = left.status(l).counters.packets_in;
    let awake = Instant::now();
    process.signal(Signal::CONT);
    left.wait_for(l, State::Up);
    let burst = left.status(l).counters.packets_in - before;
    // A packet for each change of state and each Poll, and what the timers allow until somebody looks, however busy
    // the machine is: not the sixty that it has missed.
    let allowed = 15 + awake.elapsed().as_millis() / LEAST_INTERVAL.as_millis();
    assert!(
        u128::from(burst) < allowed,
        "{burst} packets on the way back"
    );
    left.wait_settled(l);
    left.assert_downs(l, 1);

    let states = process.end();
    let downs = states.iter().filter(|state| *state == "Down").count();
    assert_eq!(downs, 1, "{states:?}");
}
