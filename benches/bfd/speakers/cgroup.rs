//! Containers get shares of the processor of their own. Here nobody has more of it than another.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// Moves processes to where this one is.
pub fn join_ours(processes: &[Pid]) {
    let Some(ours) = ours() else {
        return;
    };
    for process in processes {
        // One that ends meanwhile is nobody's rival.
        let _ = fs::write(&ours, process.as_raw_nonzero().to_string());
    }
}

/// The list of processes of the group that shares out the processor.
fn ours() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut lists = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_ours = controllers.is_empty() || controllers.split(',').any(|name| name == "cpu");
        let path = path.trim_start_matches('/');
        let list = Path::new("/sys/fs/cgroup").join(controllers).join(path);
        is_ours.then(|| list.join("cgroup.procs"))
    });
    // Version 2 has no controllers there, and is mounted elsewhere where version 1 has the processor.
    lists.rfind(|list| list.is_file())
}
