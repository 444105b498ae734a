use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn name(number: usize) -> ServiceName {
    ServiceName::new(&format!("s{number}")).unwrap()
}

fn setup(probe: Probe, interval: Duration) -> Setup {
    Setup {
        config: Arc::new(CheckConfig {
            probe,
            interval,
            timeout: interval,
            fall: CheckConfig::DEFAULT_FALL,
            rise: CheckConfig::DEFAULT_RISE,
        }),
        addresses: Arc::default(),
        assumed: Verdict::Unknown,
        watch: WatchId::default(),
    }
}

fn tcp(interval: Duration) -> Setup {
    setup(Probe::Tcp("127.0.0.1:80".parse().unwrap()), interval)
}

fn exec(interval: Duration) -> Setup {
    setup(Probe::Exec(vec!["/bin/true".to_owned()]), interval)
}

fn is_program(start: &Start) -> bool {
    matches!(start.config.probe, Probe::Exec(_))
}

fn outcome(success: bool) -> Outcome {
    match success {
        true => Outcome {
            kind: Kind::Success,
            text: "HTTP 200".to_owned(),
        },
        false => Outcome {
            kind: Kind::Failure,
            text: "HTTP 503".to_owned(),
        },
    }
}

fn starts(checker: &mut Checker, now: Instant) -> Vec<Start> {
    let actions = std::iter::from_fn(|| checker.poll_action(now));
    let starts = actions.filter_map(|action| match action {
        Action::Start(start) => Some(start),
        Action::Abort(_) => None,
    });
    starts.collect()
}

/// Lets time pass until the next check of the only service, and ends that at once.
fn next(checker: &mut Checker, now: &mut Instant, success: bool) -> Option<String> {
    *now = checker.poll_timeout().unwrap().max(*now);
    for start in starts(checker, *now) {
        checker.handle_outcome(*now, start.run, outcome(success));
    }
    let found = checker.poll_found()?;
    Some(format!("{:?}: {}", found.verdict, found.cause))
}

#[test]
fn a_verdict_says_what_it_comes_from() {
    let (mut checker, mut now) = (Checker::new(1), Instant::now());
    checker.set(now, &name(0), tcp(SECOND));
    let mut story = Vec::new();
    for success in [true, false, false, false, false, true, true, true] {
        story.extend(next(&mut checker, &mut now, success));
    }
    assert_eq!(
        story,
        [
            "Healthy: HTTP 200 at the first check",
            "Unhealthy: HTTP 503 after 3 failures",
            "Healthy: HTTP 200 after 2 successes",
        ]
    );
    let (_, report) = checker.reports().next().unwrap();
    assert_eq!((report.successes, report.failures), (4, 4));
    assert_eq!(report.successes_in_a_row, 3);
}

#[test]
fn the_first_check_is_made_at_once_and_the_others_at_their_interval() {
    let (mut checker, start) = (Checker::new(1), Instant::now());
    checker.set(start, &name(0), tcp(SECOND));
    assert_eq!(checker.poll_timeout(), Some(start));
    let mut now = start;
    let mut times = Vec::new();
    for _ in 0..4 {
        next(&mut checker, &mut now, true);
        times.push(now);
    }
    assert_eq!(times[0], start);
    assert!(times[1] - times[0] < SECOND, "a part of the interval");
    assert_eq!([times[2] - times[1], times[3] - times[2]], [SECOND; 2]);
}

#[test]
fn services_that_begin_together_do_not_stay_in_step() {
    let (mut checker, now) = (Checker::new(1), Instant::now());
    for number in 0..1000 {
        checker.set(now, &name(number), tcp(SECOND));
    }
    loop {
        let begun = starts(&mut checker, now);
        if begun.is_empty() {
            break;
        }
        for start in begun {
            checker.handle_outcome(now, start.run, outcome(true));
        }
    }
    let tenths = (0..10_u32).map(|tenth| {
        let from = now + SECOND * tenth / 10;
        let to = now + SECOND * (tenth + 1) / 10;
        checker
            .due
            .iter()
            .filter(|(at, _)| (from..to).contains(at))
            .count()
    });
    assert!(
        tenths.clone().all(|number| (50..200).contains(&number)),
        "{:?}",
        tenths.collect::<Vec<_>>()
    );
}

#[test]
fn no_more_checks_are_under_way_than_is_good() {
    let (mut checker, now) = (Checker::new(1), Instant::now());
    for number in 0..2000 {
        let setup = if number % 2 == 0 {
            tcp(SECOND)
        } else {
            exec(SECOND)
        };
        checker.set(now, &name(number), setup);
    }
    let begun = starts(&mut checker, now);
    let programs = begun.iter().filter(|it| is_program(it));
    assert_eq!(
        (begun.len(), programs.count()),
        (CONNECTIONS + PROGRAMS, PROGRAMS)
    );
    assert_eq!(checker.poll_timeout(), None, "the others wait for a result");
    let later = now + SECOND;
    checker.handle_outcome(later, begun[0].run, outcome(true));
    let one_more = starts(&mut checker, later);
    assert_eq!(one_more.len(), 1);
    let late = checker.services[&one_more[0].service].report.late;
    assert_eq!(late, 1, "and it is late");
}

#[test]
fn a_check_that_takes_longer_than_the_interval_is_followed_by_one_only() {
    let (mut checker, mut now) = (Checker::new(1), Instant::now());
    checker.set(now, &name(0), tcp(SECOND));
    next(&mut checker, &mut now, true);
    now = checker.poll_timeout().unwrap();
    let run = starts(&mut checker, now)[0].run;
    assert_eq!(starts(&mut checker, now + 5 * SECOND), []);
    checker.handle_outcome(now + 5 * SECOND, run, outcome(true));
    assert_eq!(starts(&mut checker, now + 5 * SECOND).len(), 1);
}

#[test]
fn another_interval_keeps_what_has_counted() {
    let (mut checker, mut now) = (Checker::new(1), Instant::now());
    checker.set(now, &name(0), tcp(3600 * SECOND));
    next(&mut checker, &mut now, true);
    for _ in 0..2 {
        assert_eq!(next(&mut checker, &mut now, false), None);
    }
    checker.set(now, &name(0), tcp(SECOND));
    assert!(
        checker.poll_timeout().unwrap() <= now + SECOND,
        "not in an hour"
    );
    let found = next(&mut checker, &mut now, false);
    assert_eq!(
        found.as_deref(),
        Some("Unhealthy: HTTP 503 after 3 failures")
    );
}

#[test]
fn another_check_keeps_the_verdict_and_counts_anew() {
    let (mut checker, mut now) = (Checker::new(1), Instant::now());
    checker.set(now, &name(0), tcp(SECOND));
    next(&mut checker, &mut now, true);
    for _ in 0..2 {
        next(&mut checker, &mut now, false);
    }
    // One is under way.
    now = checker.poll_timeout().unwrap();
    let run = starts(&mut checker, now)[0].run;
    checker.set(now, &name(0), exec(SECOND));
    assert_eq!(checker.poll_action(now), Some(Action::Abort(run)));
    checker.handle_outcome(now, run, outcome(false));
    assert_eq!(checker.poll_found(), None);
    for _ in 0..2 {
        assert_eq!(next(&mut checker, &mut now, false), None);
    }
    assert!(next(&mut checker, &mut now, false).is_some());
}

#[test]
fn what_was_assumed_takes_as_many_results_as_a_verdict() {
    let (mut checker, mut now) = (Checker::new(1), Instant::now());
    let assumed = Verdict::Healthy;
    checker.set(
        now,
        &name(0),
        Setup {
            assumed,
            ..tcp(SECOND)
        },
    );
    for _ in 0..2 {
        assert_eq!(next(&mut checker, &mut now, false), None);
    }
    assert!(next(&mut checker, &mut now, false).is_some());
}

#[derive(Clone, Debug)]
enum Op {
    Set(usize, bool, u64),
    Remove(usize),
    Pass(u64),
    End(usize, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..40_usize, any::<bool>(), 1..50_u64).prop_map(|(a, b, c)| Op::Set(a, b, c)),
        (0..40_usize).prop_map(Op::Remove),
        (0..100_u64).prop_map(Op::Pass),
        (0..100_usize, any::<bool>()).prop_map(|(a, b)| Op::End(a, b)),
        (0..100_usize, any::<bool>()).prop_map(|(a, b)| Op::End(a, b)),
    ]
}

proptest! {
    /// Whatever happens: one check a service, bounded programs, nobody is forgotten, and a verdict
    /// is told when it turns and only then.
    #[test]
    fn everybody_is_checked_and_never_twice_at_a_time(
        ops in prop::collection::vec(op(), 0..300),
        seed: u64,
    ) {
        let (mut checker, mut now) = (Checker::new(seed), Instant::now());
        let mut running: Vec<Start> = Vec::new();
        let mut verdicts: BTreeMap<ServiceName, Verdict> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Set(number, program, millis) => {
                    let interval = Duration::from_millis(millis);
                    let setup = if program { exec(interval) } else { tcp(interval) };
                    checker.set(now, &name(number), setup);
                    verdicts.entry(name(number)).or_insert(Verdict::Unknown);
                }
                Op::Remove(number) => {
                    checker.remove(&name(number));
                    verdicts.remove(&name(number));
                }
                Op::Pass(millis) => now += Duration::from_millis(millis),
                Op::End(index, success) => {
                    if !running.is_empty() {
                        let ended = running.swap_remove(index % running.len());
                        checker.handle_outcome(now, ended.run, outcome(success));
                    }
                }
            }
            let mut aborted = BTreeSet::new();
            while let Some(action) = checker.poll_action(now) {
                match action {
                    Action::Start(start) => running.push(start),
                    Action::Abort(run) => drop(aborted.insert(run)),
                }
            }
            for start in running.extract_if(.., |start| aborted.contains(&start.run)) {
                checker.handle_outcome(now, start.run, outcome(false));
            }
            // Aborted ones have made room.
            while let Some(action) = checker.poll_action(now) {
                if let Action::Start(start) = action {
                    running.push(start);
                }
            }
            while let Some(found) = checker.poll_found() {
                let before = verdicts.insert(found.service, found.verdict);
                prop_assert!(before.is_some_and(|before| before != found.verdict));
            }
            let names: BTreeSet<_> = running.iter().map(|start| start.service.clone()).collect();
            prop_assert_eq!(names.len(), running.len());
            let programs = running.iter().filter(|it| is_program(it));
            prop_assert!(programs.count() <= PROGRAMS);
            prop_assert_eq!(checker.runs.len(), running.len());
            for (name, watched) in &checker.services {
                let is_known = match watched.stage {
                    Stage::Due(at) => at > now && checker.due.contains(&(at, name.clone())),
                    Stage::Waiting(_) => [&checker.programs, &checker.connections]
                        .iter()
                        .any(|lane| !lane.is_free() && lane.waiting.contains(name)),
                    Stage::Running(run, _) => running.iter().any(|start| start.run == run),
                };
                prop_assert!(is_known, "{}: {:?}", name, watched.stage);
                prop_assert_eq!(watched.tally.verdict(), verdicts[name]);
            }
        }
    }
}

/// Programs that hang keep others waiting, and whoever looks is told which.
#[test]
fn checks_that_hang_and_delay_others_are_named_once_a_minute() {
    let (mut checker, start) = (Checker::new(1), Instant::now());
    for number in 0..PROGRAMS + 2 {
        checker.set(start, &name(number), exec(SECOND));
    }
    let begun = starts(&mut checker, start);
    assert_eq!(begun.len(), PROGRAMS);
    assert_eq!(
        checker.poll_crowded(),
        None,
        "a place may still come free in time"
    );
    let later = start + 2 * SECOND;
    assert_eq!(starts(&mut checker, later), []);
    let crowded = checker.poll_crowded().unwrap();
    assert_eq!(crowded.late, 2 * SECOND);
    assert!(!begun.iter().any(|start| start.service == crowded.service));
    let said = crowded.to_string();
    assert!(
        said.starts_with("its check begins 2000 ms late: 16 programs of checks are under way, the most there may be; the longest: s0 (2000 ms), s1 (2000 ms), s"),
        "{said}"
    );
    let mut checks = Vec::new();
    for second in 3..62 {
        let now = start + second * SECOND;
        // One place is free each time, and the next waits again.
        if let Some(ended) = checks.pop() {
            checker.handle_outcome(now, ended, outcome(true));
        }
        checks.extend(starts(&mut checker, now).into_iter().map(|start| start.run));
        assert_eq!(checker.poll_crowded(), None);
    }
    starts(&mut checker, start + 62 * SECOND);
    assert!(checker.poll_crowded().is_some(), "it goes on");
}
