//! What the daemon's process holds.

use std::fmt;
use std::fs;

use rustix::process::Pid;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    resident_kib: u64,
    files: usize,
}

impl Vitals {
    pub(crate) fn of(pid: Pid) -> Self {
        let process = format!("/proc/{}", pid.as_raw_nonzero());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|value| value.split_whitespace().next());
        Self {
            resident_kib: resident.unwrap().parse().unwrap(),
            files: fs::read_dir(format!("{process}/fd")).unwrap().count(),
        }
    }

    /// What is kept of events is bounded, and may not have been full; connections to the API come and go.
    #[track_caller]
    pub(crate) fn assert_not_grown(&self, before: &Self) {
        let allowed = before.resident_kib + before.resident_kib / 5 + 2048;
        assert!(self.resident_kib <= allowed, "{self}, and {before} before");
        assert!(
            self.files <= before.files + 4,
            "{self}, and {before} before"
        );
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB resident, {} files open",
            self.resident_kib, self.files
        )
    }
}
