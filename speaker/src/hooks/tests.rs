//! Real programs, small ones.

use std::collections::BTreeSet;

use super::*;
use crate::config::Name;

fn hook(directory: &std::path::Path, script: &str, timeout: Duration) -> HookConfig {
    HookConfig {
        name: Name::new("test").unwrap(),
        on: BTreeSet::from([HookSubject::Bfd]),
        names: None,
        exec: vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            format!("cd {}; {script}", directory.display()),
        ],
        timeout,
    }
}

fn occurrence(number: usize) -> Occurrence {
    Occurrence {
        at: SystemTime::UNIX_EPOCH,
        party: Party::Peer(PeerName::new("tor").unwrap()),
        range: None,
        bfd_range: None,
        subject: HookSubject::Bfd,
        up: false,
        states: ["Up".to_owned(), "Down".to_owned()],
        cause: format!("cause {number}"),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_program_is_told_by_json_and_by_variables() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let mut hooks = Hooks::default();
        let script = "cat > told; echo \"$HERALD_SUBJECT $HERALD_EVENT $HERALD_NAME $HERALD_CAUSE, $HERALD_PEER, $HERALD_PEER_RANGE, ${HERALD_BFD_SESSION-unset}\" > variables";
        hooks.set(&[hook(directory.path(), script, Duration::from_secs(60))]);
        hooks.tell(&Occurrence {
            range: PeerName::new("leafs"),
            ..occurrence(1)
        });
        hooks.finish().await;
    });
    let told = std::fs::read_to_string(directory.path().join("told")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["at"], "1970-01-01T00:00:00.000Z");
    assert_eq!(
        (&told["name"], &told["peer"]),
        (&"tor".into(), &"tor".into())
    );
    assert_eq!((&told["from"], &told["to"]), (&"Up".into(), &"Down".into()));
    let variables = std::fs::read_to_string(directory.path().join("variables")).unwrap();
    assert_eq!(variables, "bfd down tor cause 1, tor, leafs, \n");
}

#[test]
fn runs_are_in_order_and_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let mut hooks = Hooks::default();
        let script = "echo \"begin $HERALD_CAUSE\" >> log; sleep 0.1; echo end >> log";
        hooks.set(&[hook(directory.path(), script, Duration::from_secs(60))]);
        for number in 0..3 {
            hooks.tell(&occurrence(number));
        }
        hooks.finish().await;
    });
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    assert_eq!(
        log,
        "begin cause 0\nend\nbegin cause 1\nend\nbegin cause 2\nend\n"
    );
}

#[test]
fn what_takes_too_long_is_killed_with_what_it_started() {
    let directory = tempfile::tempdir().unwrap();
    // On a busy host a program may be killed before it has started anything, which shows nothing.
    let mut timeouts = (0..7).map(|doublings| Duration::from_millis(500) * (1 << doublings));
    let child = timeouts.find_map(|timeout| {
        let counts = block_on(async {
            let mut hooks = Hooks::default();
            let script = "sleep 1000 & echo $! > child; wait";
            hooks.set(&[hook(directory.path(), script, timeout)]);
            hooks.tell(&occurrence(1));
            let hook = hooks.current.remove(0);
            hook.shared.close();
            hook.task.await.unwrap();
            hook.shared.counts()
        });
        assert_eq!((counts.runs, counts.timeouts, counts.failures), (1, 1, 0));
        let child = std::fs::read_to_string(directory.path().join("child")).ok()?;
        Some(child.strip_suffix('\n')?.to_owned())
    });
    let child = child.expect("the program starts something within half a minute");
    let is_alive = || {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat"));
        state.is_ok_and(|stat| !stat.contains(") Z "))
    };
    // What was killed takes a moment to be gone.
    let start = std::time::Instant::now();
    while is_alive() {
        let patience = Duration::from_secs(30);
        assert!(start.elapsed() < patience, "the child {child} lives");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn failures_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let counts = block_on(async {
        let mut hooks = Hooks::default();
        let failing = hook(directory.path(), "exit 3", Duration::from_secs(60));
        let missing = HookConfig {
            exec: vec!["/nonexistent".to_owned()],
            ..failing.clone()
        };
        hooks.set(&[failing, missing]);
        hooks.tell(&occurrence(1));
        let shared: Vec<_> = hooks
            .current
            .iter()
            .map(|hook| Arc::clone(&hook.shared))
            .collect();
        hooks.finish().await;
        shared.iter().map(|it| it.counts()).collect::<Vec<_>>()
    });
    for counts in counts {
        assert_eq!((counts.runs, counts.failures), (1, 1));
    }
}

#[test]
fn the_oldest_give_way() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let mut hooks = Hooks::default();
        let script = "echo \"$HERALD_CAUSE\" >> log";
        hooks.set(&[hook(directory.path(), script, Duration::from_secs(60))]);
        // The task has had no chance yet.
        for number in 0..QUEUE + 2 {
            hooks.tell(&occurrence(number));
        }
        let (_, counts) = hooks.counts().remove(0);
        assert_eq!((counts.dropped, counts.waiting), (2, QUEUE));
        let mut state = hooks.current[0].shared.state();
        assert!(state.overflows);
        assert_eq!(state.queue.pop_front().unwrap().cause, "cause 2");
    });
}

#[test]
fn only_those_are_told_whom_it_concerns() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = hook(directory.path(), "", Duration::from_secs(1));
    let mut occurrence = occurrence(1);
    assert!(occurrence.concerns(&config));
    config.names = Some(BTreeSet::from(["leafs".to_owned()]));
    assert!(!occurrence.concerns(&config));
    occurrence.range = PeerName::new("leafs");
    assert!(occurrence.concerns(&config));
    occurrence.subject = HookSubject::Peer;
    assert!(!occurrence.concerns(&config));
}

/// Waits until a file is there.
async fn appears(file: &std::path::Path) {
    for _ in 0..2000 {
        if file.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} did not appear", file.display());
}

fn log_of(directory: &std::path::Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

#[test]
fn a_hook_that_is_changed_does_not_run_beside_its_former_self() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let counts = block_on(async {
        let mut hooks = Hooks::default();
        let script = "touch begun; until [ -e go ]; do sleep 0.02; done; echo \"former $HERALD_CAUSE\" >> log";
        hooks.set(&[hook(path, script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(1));
        hooks.tell(&occurrence(2));
        appears(&path.join("begun")).await;
        let script = "echo \"changed $HERALD_CAUSE\" >> log";
        hooks.set(&[hook(path, script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(3));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(log_of(path), "");
        std::fs::write(path.join("go"), "").unwrap();
        let shared = Arc::clone(&hooks.current[0].shared);
        hooks.finish().await;
        shared.counts()
    });
    assert_eq!(
        log_of(path),
        "former cause 1\nchanged cause 2\nchanged cause 3\n"
    );
    assert_eq!(counts.runs, 3);
}

#[test]
fn a_hook_that_is_taken_away_comes_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    block_on(async {
        let mut hooks = Hooks::default();
        let script = "touch begun; sleep 0.3; echo \"$HERALD_CAUSE\" >> log";
        hooks.set(&[hook(path, script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(1));
        hooks.tell(&occurrence(2));
        appears(&path.join("begun")).await;
        hooks.set(&[]);
        hooks.tell(&occurrence(3));
        hooks.finish().await;
    });
    assert_eq!(log_of(path), "cause 1\ncause 2\n");
}

#[test]
fn what_waits_for_a_hook_that_is_gone_is_dropped_at_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    block_on(async {
        let mut hooks = Hooks::default();
        let script = "touch begun; sleep 0.3; echo \"$HERALD_CAUSE\" >> log";
        hooks.set(&[hook(path, script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(1));
        hooks.tell(&occurrence(2));
        appears(&path.join("begun")).await;
        hooks.set(&[]);
        hooks.set(&[]);
        assert_eq!(hooks.former.len(), 1);
        hooks.finish().await;
    });
    assert_eq!(log_of(path), "cause 1\n");
}

#[test]
fn a_program_has_its_own_environment_and_limits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // Cargo has set it.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    block_on(async {
        let mut hooks = Hooks::default();
        // What is told comes after the limit has been set.
        let script = "read told; env > environment; ulimit -Sn > files";
        hooks.set(&[hook(path, script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(1));
        hooks.finish().await;
    });
    let environment = std::fs::read_to_string(path.join("environment")).unwrap();
    let mut names: Vec<_> = environment
        .lines()
        .filter_map(|it| it.split_once('='))
        .collect();
    names.retain(|(name, _)| !name.starts_with("HERALD_"));
    // Those of the shell's own making are in there as well.
    let others = ["OLDPWD", "PWD", "SHLVL", "_"];
    for (name, _) in names {
        assert!(
            crate::program::ENVIRONMENT.contains(&name) || others.contains(&name),
            "{name}"
        );
    }
    let files = std::fs::read_to_string(path.join("files")).unwrap();
    assert!(files.trim().parse::<u64>().unwrap() <= 1024, "{files}");
}

/// Its number is not free for others before.
#[test]
fn a_program_is_not_waited_for_before_its_output_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let counts = block_on(async {
        let mut hooks = Hooks::default();
        // What has a group of its own keeps the output open, and goes when it is told.
        let keeper = format!(
            "cd {}; until [ -e go ]; do sleep 0.02; done",
            path.display()
        );
        let script = format!("setsid sh -c '{keeper}' & echo $$ > leader; exit 0");
        hooks.set(&[hook(path, &script, Duration::from_secs(60))]);
        hooks.tell(&occurrence(1));
        let leader = loop {
            let leader = std::fs::read_to_string(path.join("leader")).unwrap_or_default();
            if let Some(leader) = leader.strip_suffix('\n') {
                break leader.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let state = || std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
        while !state().contains(") Z ") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Long enough for whoever would wait for it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(state().contains(") Z "));
        std::fs::write(path.join("go"), "").unwrap();
        let shared = Arc::clone(&hooks.current[0].shared);
        hooks.finish().await;
        shared.counts()
    });
    assert_eq!((counts.runs, counts.timeouts, counts.failures), (1, 0, 0));
}
