//! Real-time priority and locked memory: had where permitted, done without where not. One test, for they belong to the process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::thread;

use herald_bfd::engine::{Engine, EngineConfig, Grant, REALTIME_PRIORITY};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;

/// Scheduling policy and real-time priority of the engine's thread: fields 41 and 40 of proc(5).
fn scheduling() -> (u32, u32) {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_bfd = |path: std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "bfd")
    };
    let task = tasks
        .map(|task| task.path())
        .find(|path| is_bfd(path.clone()))
        .unwrap();
    let stat = fs::read_to_string(task.join("stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[38].parse().unwrap(), fields[37].parse().unwrap())
}

fn locked_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn wishes() -> EngineConfig {
    EngineConfig {
        realtime: true,
        lock_memory: true,
        ..EngineConfig::default()
    }
}

/// The sockets and threads that follow have none of these capabilities.
fn give_up(given_up: CapabilitySet) {
    let mut sets = capabilities(None).unwrap();
    sets.effective &= !given_up;
    sets.permitted &= !given_up;
    set_capabilities(None, sets).unwrap();
}

#[test]
fn privileges_are_had_where_permitted_and_done_without_where_not() {
    let engine = Engine::start(EngineConfig::default(), |_| {}).unwrap();
    let status = engine.engine_status();
    assert_eq!(
        (status.realtime, status.lock_memory),
        (Grant::NotAsked, Grant::NotAsked)
    );
    assert_eq!(scheduling(), (SCHED_OTHER, 0));
    drop(engine);

    let both = CapabilitySet::SYS_NICE | CapabilitySet::IPC_LOCK;
    if capabilities(None).unwrap().effective.contains(both) {
        let engine = Engine::start(wishes(), |_| {}).unwrap();
        let status = engine.engine_status();
        assert_eq!(
            (status.realtime, status.lock_memory),
            (Grant::Granted, Grant::Granted)
        );
        assert_eq!(scheduling(), (SCHED_FIFO, REALTIME_PRIORITY.into()));
        assert!(locked_kilobytes() > 0);
        engine.set_privileges(false, false);
        let status = engine.engine_status();
        assert_eq!(
            (status.realtime, status.lock_memory),
            (Grant::NotAsked, Grant::NotAsked)
        );
        assert_eq!((scheduling(), locked_kilobytes()), ((SCHED_OTHER, 0), 0));
        engine.set_privileges(true, false);
        assert_eq!(engine.engine_status().realtime, Grant::Granted);
        assert_eq!(scheduling(), (SCHED_FIFO, REALTIME_PRIORITY.into()));
    }

    thread::spawn(move || {
        give_up(both);
        let engine = Engine::start(wishes(), |_| {}).unwrap();
        let status = engine.engine_status();
        // A generous limit permits them all the same.
        for (grant, capability, limit) in [
            (status.realtime, "CAP_SYS_NICE", "LimitRTPRIO=40"),
            (status.lock_memory, "CAP_IPC_LOCK", "LimitMEMLOCK=infinity"),
        ] {
            let Some(reason) = grant.refusal() else {
                continue;
            };
            assert!(
                reason.contains(capability) && reason.contains(limit),
                "{reason}"
            );
        }
        assert!(engine.is_running());
    })
    .join()
    .unwrap();
}
