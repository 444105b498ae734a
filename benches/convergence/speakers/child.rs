//! A process of this same program in the speaker's namespace: so its usage is its own. It is told over its standard input.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};

use rustix::process::Pid;

use super::Speaker;
use crate::support::Namespace;

pub struct Child {
    process: std::process::Child,
    input: ChildStdin,
}

impl Child {
    pub fn start(role: &str, at: &Namespace, prefixes: u32, sinks: u8) -> Self {
        let program = std::env::current_exe().unwrap();
        // `ip netns exec` becomes the program: the child's number is its own.
        let mut command: Command = at.command(program.to_str().unwrap());
        let mut process = command
            .arg(format!("child={role}"))
            .args([prefixes.to_string(), sinks.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert_eq!(ready, "ready\n", "{role} has ended");
        let input = process.stdin.take().unwrap();
        Self { process, input }
    }
}

impl Speaker for Child {
    fn processes(&self) -> Vec<Pid> {
        vec![Pid::from_child(&self.process)]
    }

    fn change(&mut self, is_more: bool) {
        self.input
            .write_all(if is_more { b"+\n" } else { b"-\n" })
            .unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the child: says that sinks may come, and then calls `change` each time the parent wants one more or one less.
pub fn serve(mut change: impl FnMut(bool)) {
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        change(line == "+");
    }
}
