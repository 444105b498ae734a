//! A program that runs beside the test: its output is kept with times, and it dies with its owner.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{announce, wait_until};

/// A line of output and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
}

/// A running program; killed when dropped. When the test fails, what it said is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    /// A tool's output is of no interest when a test fails.
    is_tool: bool,
}

impl Process {
    #[track_caller]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        keep_lines(child.stdout.take().unwrap(), lines.clone());
        keep_lines(child.stderr.take().unwrap(), lines.clone());
        Self {
            name: name.into(),
            child,
            lines,
            is_tool: false,
        }
    }

    /// One whose output is not shown when the test fails.
    #[track_caller]
    pub fn spawn_tool(name: &str, command: &mut Command) -> Self {
        let mut process = Self::spawn(name, command);
        process.is_tool = true;
        process
    }

    /// What it has said so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// Everything it has said so far, as one text.
    pub fn output(&self) -> String {
        self.lines()
            .into_iter()
            .map(|line| line.text + "\n")
            .collect()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        wait_until(&format!("{} has ended", self.name), timeout, || {
            self.child
                .try_wait()
                .unwrap()
                .ok_or_else(|| "it runs".into())
        })
    }

    /// `Err` with its exit status and its output if it has ended.
    pub fn ensure_running(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => Err(format!(
                "{} has ended: {status}\n{}",
                self.name,
                self.output()
            )),
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && !self.is_tool {
            announce(&format!("---- {} said:\n{}----", self.name, self.output()));
        }
    }
}

fn keep_lines(output: impl Read + Send + 'static, lines: Arc<Mutex<Vec<Line>>>) {
    thread::spawn(move || {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(Line {
                at: Instant::now(),
                text,
            });
        }
    });
}
