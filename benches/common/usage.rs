//! What processes have used, as the kernel counts it.
#![allow(dead_code, reason = "each bench uses its part")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Of several processes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// The sum of what each had resident at most.
    pub peak_kib: u64,
}

impl Usage {
    pub fn of(processes: &[Pid]) -> Self {
        let mut usage = Self::default();
        for &pid in processes {
            usage.cpu += cpu(pid);
            usage.peak_kib += peak_kib(pid);
        }
        usage
    }
}

/// Lets the peaks begin at what is resident.
pub fn reset_peak(processes: &[Pid]) {
    for pid in processes {
        fs::write(format!("/proc/{}/clear_refs", pid.as_raw_nonzero()), "5").unwrap();
    }
}

/// Waits until the processes have hardly done anything for a second: what they read at their start is read.
pub fn wait_until_idle(processes: &[Pid]) {
    let began = Instant::now();
    let mut before = Usage::of(processes).cpu;
    loop {
        thread::sleep(Duration::from_secs(1));
        let used = Usage::of(processes).cpu;
        if used.saturating_sub(before) < Duration::from_millis(20) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "the speaker never comes to rest"
        );
        before = used;
    }
}

/// The processor time of several processes together.
pub fn cpu_of(processes: &[Pid]) -> Duration {
    processes.iter().map(|pid| cpu(*pid)).sum()
}

/// The processor time of one thread of this process.
pub fn cpu_of_thread(thread: Pid) -> Duration {
    let task = format!("/proc/self/task/{}", thread.as_raw_nonzero());
    cpu_of_task(Path::new(&task)).unwrap_or_default()
}

fn cpu(pid: Pid) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(|task| cpu_of_task(&task.path())).sum()
}

fn cpu_of_task(task: &Path) -> Option<Duration> {
    let used = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds = used.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn peak_kib(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
