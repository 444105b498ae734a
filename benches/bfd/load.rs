//! What else goes on: busy processes that nobody gives way to, and threads with real-time priority that need not mind them.

use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, set_parent_process_death_signal, setsid};

use crate::responder::Responder;
use crate::speakers::Speaker;

/// What Herald's engine takes.
const PRIORITY: &str = "40";

/// Under which conditions a part is measured.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Load {
    /// Busy processes for each processor.
    #[arg(long, default_value_t = 0)]
    pub busy: usize,
    /// Give speaker and responder real-time priority (SCHED_FIFO).
    #[arg(long)]
    pub realtime: bool,
}

impl Load {
    /// For the title of a table.
    pub fn describe(self) -> String {
        let priority = if self.realtime {
            "real-time"
        } else {
            "ordinary"
        };
        match self.busy {
            0 => format!("idle machine, {priority} priority"),
            busy => format!("{busy} busy processes per processor, {priority} priority"),
        }
    }

    /// Speaker and responder alike.
    pub fn prioritize(self, speaker: &dyn Speaker, responder: &Responder) {
        if self.realtime {
            speaker.prioritize();
            change_priority(&[], responder.task());
        }
    }

    pub fn prioritize_thread(self, thread: Pid) {
        if self.realtime {
            change_priority(&[], thread);
        }
    }
}

/// Gives processes that cannot do it themselves real-time priority.
pub fn prioritize_processes(processes: &[Pid]) {
    for process in processes {
        change_priority(&["--all-tasks"], *process);
    }
}

fn change_priority(options: &[&str], task: Pid) {
    let mut chrt = Command::new("chrt");
    let number = task.as_raw_nonzero().to_string();
    chrt.args(options)
        .args(["--fifo", "--pid", PRIORITY, &number]);
    assert!(
        chrt.status().unwrap().success(),
        "no real-time priority here"
    );
}

/// Busy processes; gone when dropped.
pub struct Busy(Vec<Child>);

impl Busy {
    pub fn start(load: Load) -> Self {
        let processors = thread::available_parallelism().unwrap().get();
        let program = std::env::current_exe().unwrap();
        let start = |_| {
            let mut command = Command::new(&program);
            command.arg("busy").stdin(Stdio::null()).spawn().unwrap()
        };
        Self((0..load.busy * processors).map(start).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In the child: is busy until it is killed, or its parent is.
pub fn be_busy() -> ! {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    be_a_session();
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(3) + 1);
    }
}

/// The kernel shares processors out between sessions first, where it groups by them (`sched_autogroup_enabled`): each process gets one
/// of its own, as daemons have.
pub fn be_a_session() {
    // It fails for one that leads a group already, and then it is one.
    let _ = setsid();
}
