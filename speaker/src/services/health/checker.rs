//! Which check is made when, and what comes of it: a value without clock and sockets, as the
//! engines are. Starts come out of it, results go in, verdicts come out.
//!
//! A service has one check under way at most. Checks of services that begin together do not stay
//! in step: the second of each comes after a random part of the interval, the others at their
//! interval from there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::crowd::{Crowded, LastSaid, NAMED};
use super::tally::{Tally, Thresholds};
use crate::config::{CheckConfig, Probe, ServiceName};
use crate::services::Verdict;

/// How many connections there are at a time.
const CONNECTIONS: usize = 256;
/// How many programs run at a time.
const PROGRAMS: usize = 16;
/// A start that is late by more than this, and by a tenth of the interval, is counted.
const LATE: Duration = Duration::from_millis(10);

/// What is to be checked, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What, and when it decides.
    pub config: Arc<CheckConfig>,
    /// The addresses of the service, for programs.
    pub addresses: Arc<[IpAddr]>,
    /// What is assumed of a service that is new here.
    pub assumed: Verdict,
    /// Whose verdicts are asked for: what was found for another has come too late.
    pub watch: WatchId,
}

/// The checking of one service, from when it has a check until it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

impl WatchId {
    /// One that has not been before.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One check, from its start to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Check, and hand in the result.
    Start(Start),
    /// Nobody waits for the result of this any more; it is to end at once.
    Abort(RunId),
}

/// A check that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What the result belongs to.
    pub run: RunId,
    /// Which service is checked.
    pub service: ServiceName,
    /// How, and how long it may take.
    pub config: Arc<CheckConfig>,
    /// Its addresses.
    pub addresses: Arc<[IpAddr]>,
    /// What is known of it so far.
    pub verdict: Verdict,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All is well.
    Success,
    /// It is not.
    Failure,
    /// Nobody knows, and that is not well either.
    Timeout,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In a word.
    pub kind: Kind,
    /// For people: `HTTP 503`.
    pub text: String,
}

/// A verdict was found, or has turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Of which service.
    pub service: ServiceName,
    /// For which checking of it.
    pub watch: WatchId,
    /// What.
    pub verdict: Verdict,
    /// Why: `HTTP 503 after 3 failures`.
    pub cause: String,
}

/// How a service's check has fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Successes in a row, up to the last result.
    pub successes_in_a_row: u64,
    /// Failures in a row, up to the last result.
    pub failures_in_a_row: u64,
    /// The last check that has ended.
    pub last: Option<LastCheck>,
    /// Checks that went well.
    pub successes: u64,
    /// Checks that did not.
    pub failures: u64,
    /// Checks that did not end in time; not among the failures.
    pub timeouts: u64,
    /// Checks that began late, for too many were under way or this host was busy.
    pub late: u64,
}

/// A check that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// When.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// See the module's description.
#[derive(Debug)]
pub struct Checker {
    services: BTreeMap<ServiceName, Watched>,
    due: BTreeSet<(Instant, ServiceName)>,
    runs: BTreeMap<RunId, Run>,
    connections: Lane,
    programs: Lane,
    next_run: u64,
    aborts: VecDeque<RunId>,
    found: VecDeque<Found>,
    crowded: VecDeque<Crowded>,
    random: SmallRng,
}

#[derive(Debug)]
struct Watched {
    setup: Setup,
    tally: Tally,
    stage: Stage,
    /// Its checks have a rhythm of their own.
    in_rhythm: bool,
    report: CheckReport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is among those that are due at this time.
    Due(Instant),
    /// It was due at this time, and waits for its lane.
    Waiting(Instant),
    /// It is being checked, and was due at this time.
    Running(RunId, Instant),
}

#[derive(Debug)]
struct Run {
    /// `None`: nobody waits for the result.
    service: Option<ServiceName>,
    started: Instant,
    program: bool,
}

/// Checks of one kind, of which there are so many at a time.
#[derive(Debug)]
struct Lane {
    at_once: usize,
    running: usize,
    waiting: VecDeque<ServiceName>,
    said_crowded: LastSaid,
}

impl Lane {
    const fn new(at_once: usize) -> Self {
        Self {
            at_once,
            running: 0,
            waiting: VecDeque::new(),
            said_crowded: LastSaid::never(),
        }
    }

    const fn is_free(&self) -> bool {
        self.running < self.at_once
    }
}

impl Checker {
    /// Without services. Equal seeds make equal rhythms.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            services: BTreeMap::new(),
            due: BTreeSet::new(),
            runs: BTreeMap::new(),
            connections: Lane::new(CONNECTIONS),
            programs: Lane::new(PROGRAMS),
            next_run: 0,
            aborts: VecDeque::new(),
            found: VecDeque::new(),
            crowded: VecDeque::new(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Checks a service, or checks it otherwise. A verdict stays until results say otherwise; what
    /// counted for it counts on, unless it is something else that is checked from here on.
    pub fn set(&mut self, now: Instant, name: &ServiceName, setup: Setup) {
        let Some(watched) = self.services.get_mut(name) else {
            let watched = Watched {
                tally: Tally::new(setup.assumed),
                setup,
                stage: Stage::Due(now),
                in_rhythm: false,
                report: CheckReport::default(),
            };
            self.services.insert(name.clone(), watched);
            self.due.insert((now, name.clone()));
            return;
        };
        let former = std::mem::replace(&mut watched.setup, setup);
        let other_probe = former.config.probe != watched.setup.config.probe;
        let interval = watched.setup.config.interval;
        match watched.stage {
            _ if other_probe => {
                watched.tally.restart();
                self.begin_anew(now, name);
            }
            Stage::Due(at) if interval != former.config.interval => {
                let sooner = at.min(now + interval);
                self.due.remove(&(at, name.clone()));
                self.due.insert((sooner, name.clone()));
                watched.stage = Stage::Due(sooner);
            }
            _ => {}
        }
    }

    /// Checks it no more.
    pub fn remove(&mut self, name: &ServiceName) {
        self.leave(name);
        self.services.remove(name);
    }

    /// What is to be done at this time; to be asked until there is nothing.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if let Some(run) = self.aborts.pop_front() {
            return Some(Action::Abort(run));
        }
        self.call_due(now);
        for program in [false, true] {
            self.note_crowd(now, program);
            if let Some(start) = self.next_start(now, program) {
                return Some(Action::Start(start));
            }
        }
        None
    }

    /// Takes the result of a check. One that nobody waits for only makes room.
    pub fn handle_outcome(&mut self, now: Instant, id: RunId, outcome: Outcome) {
        if let Some(program) = self.runs.get(&id).map(|run| run.program) {
            self.note_crowd(now, program);
        }
        let Some(run) = self.runs.remove(&id) else {
            return;
        };
        self.lane(run.program).running -= 1;
        let service = run.service;
        let Some((name, watched)) =
            service.and_then(|name| Some((name.clone(), self.services.get_mut(&name)?)))
        else {
            return;
        };
        let Stage::Running(_, was_due) = watched.stage else {
            return;
        };
        let interval = watched.setup.config.interval;
        let pause = match std::mem::replace(&mut watched.in_rhythm, true) {
            true => interval,
            false => interval.mul_f64(self.random.random_range(0.0..1.0)),
        };
        // What was missed is not made up for.
        let next = (was_due + pause).max(now);
        watched.stage = Stage::Due(next);
        self.due.insert((next, name.clone()));
        let took = now.saturating_duration_since(run.started);
        self.found
            .extend(watched.conclude(now, took, outcome, name));
    }

    /// A check that nobody waits for has ended.
    pub fn handle_aborted(&mut self, id: RunId) {
        if let Some(run) = self.runs.remove(&id) {
            self.lane(run.program).running -= 1;
        }
    }

    /// A verdict that was found.
    pub fn poll_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// That checks wait for others.
    pub fn poll_crowded(&mut self) -> Option<Crowded> {
        self.crowded.pop_front()
    }

    /// When there is something to do next without a result or a change.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How each service's check has fared.
    pub fn reports(&self) -> impl Iterator<Item = (&ServiceName, &CheckReport)> {
        let services = self.services.iter();
        services.map(|(name, watched)| (name, &watched.report))
    }

    const fn lane(&mut self, program: bool) -> &mut Lane {
        match program {
            true => &mut self.programs,
            false => &mut self.connections,
        }
    }

    /// Whatever it was about to do, it is to be checked at once.
    fn begin_anew(&mut self, now: Instant, name: &ServiceName) {
        self.leave(name);
        if let Some(watched) = self.services.get_mut(name) {
            watched.stage = Stage::Due(now);
            self.due.insert((now, name.clone()));
        }
    }

    fn leave(&mut self, name: &ServiceName) {
        match self.services.get(name).map(|watched| watched.stage) {
            Some(Stage::Due(at)) => drop(self.due.remove(&(at, name.clone()))),
            Some(Stage::Waiting(_)) => {
                for lane in [&mut self.connections, &mut self.programs] {
                    lane.waiting.retain(|other| other != name);
                }
            }
            Some(Stage::Running(id, _)) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.service = None;
                    self.aborts.push_back(id);
                }
            }
            None => {}
        }
    }

    /// Who is due waits for the lane from here on.
    fn call_due(&mut self, now: Instant) {
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((at, name)) = self.due.pop_first()
        {
            if let Some(watched) = self.services.get_mut(&name) {
                watched.stage = Stage::Waiting(at);
                let program = matches!(watched.setup.config.probe, Probe::Exec(_));
                self.lane(program).waiting.push_back(name);
            }
        }
    }

    /// Who has waited the longest for a place, if that is too long.
    fn note_crowd(&mut self, now: Instant, programs: bool) {
        let lane = match programs {
            true => &mut self.programs,
            false => &mut self.connections,
        };
        let at_once = lane.at_once;
        let Some(service) = lane.waiting.front().filter(|_| lane.running >= at_once) else {
            return;
        };
        let Some(late) = self.services.get(service).and_then(|it| it.too_late(now)) else {
            return;
        };
        let service = service.clone();
        if !lane.said_crowded.may_say(now) {
            return;
        }
        let runs = self.runs.values().filter(|run| run.program == programs);
        let mut longest: Vec<_> = runs
            .filter_map(|run| Some((run.started, run.service.clone()?)))
            .collect();
        longest.sort();
        longest.truncate(NAMED);
        let longest = longest
            .into_iter()
            .map(|(started, service)| (service, now.saturating_duration_since(started)));
        self.crowded.push_back(Crowded {
            service,
            late,
            at_once,
            programs,
            longest: longest.collect(),
        });
    }

    fn next_start(&mut self, now: Instant, program: bool) -> Option<Start> {
        let lane = self.lane(program);
        if !lane.is_free() {
            return None;
        }
        let service = lane.waiting.pop_front()?;
        lane.running += 1;
        let run = RunId(self.next_run);
        self.next_run += 1;
        self.runs.insert(
            run,
            Run {
                service: Some(service.clone()),
                started: now,
                program,
            },
        );
        let watched = self.services.get_mut(&service)?;
        if let Stage::Waiting(at) = watched.stage {
            watched.report.late += u64::from(watched.too_late(now).is_some());
            watched.stage = Stage::Running(run, at);
        }
        Some(Start {
            run,
            service,
            config: Arc::clone(&watched.setup.config),
            addresses: Arc::clone(&watched.setup.addresses),
            verdict: watched.tally.verdict(),
        })
    }
}

impl Watched {
    /// How long it has waited, if that is longer than can be helped.
    fn too_late(&self, now: Instant) -> Option<Duration> {
        let Stage::Waiting(at) = self.stage else {
            return None;
        };
        let late = now.saturating_duration_since(at);
        let tolerated = LATE.max(self.setup.config.interval / 10);
        (late > tolerated).then_some(late)
    }

    fn conclude(
        &mut self,
        now: Instant,
        took: Duration,
        outcome: Outcome,
        service: ServiceName,
    ) -> Option<Found> {
        let is_first = self.tally.verdict() == Verdict::Unknown;
        let success = outcome.kind == Kind::Success;
        let config = &self.setup.config;
        let turned = self.tally.count(
            success,
            Thresholds {
                fall: config.fall,
                rise: config.rise,
            },
        );
        let report = &mut self.report;
        *match outcome.kind {
            Kind::Success => &mut report.successes,
            Kind::Failure => &mut report.failures,
            Kind::Timeout => &mut report.timeouts,
        } += 1;
        report.successes_in_a_row = self.tally.successes();
        report.failures_in_a_row = self.tally.failures();
        let found = turned.then(|| Found {
            service,
            watch: self.setup.watch,
            verdict: self.tally.verdict(),
            cause: match (is_first, success) {
                (true, _) => format!("{} at the first check", outcome.text),
                (false, true) => said(&outcome.text, self.tally.successes(), "success", "es"),
                (false, false) => said(&outcome.text, self.tally.failures(), "failure", "s"),
            },
        });
        report.last = Some(LastCheck {
            at: now,
            took,
            outcome,
        });
        found
    }
}

fn said(text: &str, number: u64, what: &str, plural: &str) -> String {
    let plural = if number == 1 { "" } else { plural };
    format!("{text} after {number} {what}{plural}")
}

#[cfg(test)]
mod tests;
