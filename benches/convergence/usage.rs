//! What processes have used, as the kernel counts it.

use std::fs;
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

fn cpu(pid: Pid) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let nanoseconds = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let used = fs::read_to_string(task.path().join("schedstat")).ok()?;
        used.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn peak_kib(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
