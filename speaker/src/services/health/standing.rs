//! How each service stands: what its check says and what the path that it depends on says, put
//! together. All must hold; while one is not known, the service is not announced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::checker::{Found, WatchId};
use crate::config::{BfdName, HealthConfig, ServiceName};
use crate::services::Verdict;

/// How one service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What its check says; `None`: it has none.
    pub check: Option<Aspect>,
    /// The checking that this comes from.
    pub watch: WatchId,
    /// What its path says; `None`: it depends on none.
    pub path: Option<(BfdName, Aspect)>,
    /// Both together.
    pub verdict: Verdict,
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub cause: String,
    /// How often it has turned; the first verdict does not count.
    pub transitions: u64,
}

/// One of the things that a service depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// How it is.
    pub verdict: Verdict,
    /// Why.
    pub cause: String,
}

/// What a service stands at has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub service: ServiceName,
    /// How it stood.
    pub from: Verdict,
    /// How it stands.
    pub to: Verdict,
    /// Why.
    pub cause: String,
}

/// One path, which the session of a `[[bfd-session]]` watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Path {
    /// What is known of it; `None`: the session has not been up.
    known: Option<Aspect>,
    /// How long the session may take to come up, where services are announced meanwhile.
    patience: Duration,
}

/// All services that depend on something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    services: BTreeMap<ServiceName, Standing>,
    /// Paths, whether anything depends on them or not.
    paths: BTreeMap<BfdName, Path>,
    /// Paths that are not known, and until when they are assumed to work for the sake of what is
    /// announced.
    assumed: BTreeMap<BfdName, Instant>,
    dependents: BTreeMap<BfdName, BTreeSet<ServiceName>>,
    unknown: BTreeSet<ServiceName>,
    last_watch: WatchId,
}

impl Standings {
    /// Says what a service depends on. What is new in that is `assumed` to be so until it is known; of what
    /// it has depended on before, it stays as it is known. Only of what is announced anything is assumed,
    /// and of a path only for as long as its session may take to come up.
    pub fn set(
        &mut self,
        now: Instant,
        at: SystemTime,
        name: &ServiceName,
        health: Option<&HealthConfig>,
        assumed: Verdict,
    ) -> Option<Turn> {
        let former = self.take(name);
        let health = health?;
        let check = health.check.as_ref().map(|_| {
            let known = former.as_ref().and_then(|former| former.check.clone());
            known.unwrap_or_else(|| not_known(assumed, "no check has ended"))
        });
        let known_watch = former.as_ref().filter(|former| former.check.is_some());
        let watch = match known_watch {
            Some(former) => former.watch,
            None => {
                self.last_watch = self.last_watch.next();
                self.last_watch
            }
        };
        let on_path = health.bfd.as_ref().map(|bfd| {
            let known = former.as_ref().and_then(|former| former.path.clone());
            let known = known
                .filter(|(same, _)| same == bfd)
                .map(|(_, known)| known);
            let path = self.paths.entry(bfd.clone()).or_default();
            if path.known.is_none() && assumed == Verdict::Healthy {
                let until = now + path.patience;
                self.assumed.entry(bfd.clone()).or_insert(until);
            }
            let known = path.known.clone().or(known);
            let aspect = known.unwrap_or_else(|| path_is_not_known(bfd, assumed));
            (bfd.clone(), aspect)
        });
        if let Some(bfd) = &health.bfd {
            let dependents = self.dependents.entry(bfd.clone()).or_default();
            dependents.insert(name.clone());
        }
        let (from, transitions) = match &former {
            Some(former) => (former.verdict, former.transitions),
            None => (assumed, 0),
        };
        let mut standing = Standing {
            check,
            watch,
            path: on_path,
            verdict: from,
            since: former.as_ref().map_or(at, |former| former.since),
            cause: former.map_or_else(String::new, |former| former.cause),
            transitions,
        };
        let turn = standing.settle(at, name);
        self.note_unknown(name, standing.verdict);
        self.services.insert(name.clone(), standing);
        turn
    }

    /// Forgets a service.
    pub fn remove(&mut self, name: &ServiceName) {
        self.take(name);
    }

    /// What a service's check has found. What was found by a check that the service has no more says
    /// nothing of the one it has.
    pub fn handle_check(&mut self, at: SystemTime, found: Found) -> Option<Turn> {
        let Found {
            service: name,
            watch,
            verdict,
            cause,
        } = found;
        let standing = self.services.get_mut(&name)?;
        if standing.watch != watch {
            return None;
        }
        standing
            .check
            .as_mut()?
            .clone_from(&Aspect { verdict, cause });
        self.settle(at, &name)
    }

    /// What has happened to a path. Tells of every service for which that makes a difference.
    pub fn handle_path(
        &mut self,
        at: SystemTime,
        path: &BfdName,
        up: bool,
        why: &str,
    ) -> Vec<Turn> {
        let aspect = match up {
            true => path_is_up(path),
            false => path_is_down(path, why),
        };
        self.learn(at, path, &aspect)
    }

    /// The session of a path has ended because the neighbor says AdminDown: what was known of the path
    /// stays so (RFC 5882 §4.2), and whoever asks is told why.
    pub fn handle_admin_down(&mut self, at: SystemTime, path: &BfdName) -> Vec<Turn> {
        let known = self.paths.get(path).and_then(|path| path.known.as_ref());
        match known {
            Some(known) if known.verdict == Verdict::Healthy => {
                self.learn(at, path, &path_is_admin_down(path))
            }
            _ => Vec::new(),
        }
    }

    /// The session of a path begins, or begins anew: what an earlier one has said counts no more.
    /// It is given so much time to come up while services are announced that depend on it. `None`: it
    /// is disabled, and nothing that depends on it is announced.
    pub fn begin_path(
        &mut self,
        now: Instant,
        at: SystemTime,
        path: &BfdName,
        patience: Option<Duration>,
    ) -> Vec<Turn> {
        let Some(patience) = patience else {
            return self.learn(at, path, &path_is_disabled(path));
        };
        let known = None;
        self.paths.insert(path.clone(), Path { known, patience });
        self.assumed.remove(path);
        let mut turns = Vec::new();
        for name in self.dependents_of(path) {
            let Some(standing) = self.services.get_mut(&name) else {
                continue;
            };
            let assumed = standing.verdict;
            standing.path = Some((path.clone(), path_is_not_known(path, assumed)));
            if assumed == Verdict::Healthy {
                self.assumed.insert(path.clone(), now + patience);
            }
            turns.extend(self.settle(at, &name));
        }
        turns
    }

    /// Says how long the session of a path may take to come up from here on.
    pub fn set_patience(&mut self, path: &BfdName, patience: Duration) {
        self.paths.entry(path.clone()).or_default().patience = patience;
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.assumed.values().min().copied()
    }

    /// What has been assumed of paths ends with their time.
    pub fn handle_timeout(&mut self, now: Instant, at: SystemTime) -> Vec<Turn> {
        let due = self.assumed.iter().filter(|(_, until)| **until <= now);
        let due: Vec<BfdName> = due.map(|(path, _)| path.clone()).collect();
        let mut turns = Vec::new();
        for path in due {
            self.assumed.remove(&path);
            // Nobody waits for it any more.
            if !self.dependents.contains_key(&path) {
                continue;
            }
            let patience = self.paths.get(&path).map(|path| path.patience);
            let aspect = path_did_not_come_up(&path, patience.unwrap_or_default());
            turns.extend(self.learn(at, &path, &aspect));
        }
        turns
    }

    /// Nothing is known of a path any more: its session was removed.
    pub fn forget_path(&mut self, path: &BfdName) {
        self.paths.remove(path);
        self.assumed.remove(path);
    }

    fn learn(&mut self, at: SystemTime, path: &BfdName, aspect: &Aspect) -> Vec<Turn> {
        self.assumed.remove(path);
        let mut turns = Vec::new();
        for name in self.dependents_of(path) {
            if let Some(standing) = self.services.get_mut(&name) {
                standing.path = Some((path.clone(), aspect.clone()));
            }
            turns.extend(self.settle(at, &name));
        }
        self.paths.entry(path.clone()).or_default().known = Some(aspect.clone());
        turns
    }

    fn dependents_of(&self, path: &BfdName) -> BTreeSet<ServiceName> {
        self.dependents.get(path).cloned().unwrap_or_default()
    }

    /// How a service stands; `None` if it depends on nothing.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&Standing> {
        self.services.get(name)
    }

    /// Every service that depends on something.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Standing)> {
        self.services.iter()
    }

    /// Paths, and the services that depend on each.
    pub fn dependents(&self) -> impl Iterator<Item = (&BfdName, &BTreeSet<ServiceName>)> {
        self.dependents.iter()
    }

    /// Whether it is known of every service how it is: all first verdicts are in.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.unknown.is_empty()
    }

    fn settle(&mut self, at: SystemTime, name: &ServiceName) -> Option<Turn> {
        let standing = self.services.get_mut(name)?;
        let turn = standing.settle(at, name);
        let verdict = standing.verdict;
        self.note_unknown(name, verdict);
        turn
    }

    fn note_unknown(&mut self, name: &ServiceName, verdict: Verdict) {
        match verdict {
            Verdict::Unknown => drop(self.unknown.insert(name.clone())),
            _ => drop(self.unknown.remove(name)),
        }
    }

    fn take(&mut self, name: &ServiceName) -> Option<Standing> {
        let former = self.services.remove(name)?;
        self.unknown.remove(name);
        if let Some((bfd, _)) = &former.path
            && let Some(dependents) = self.dependents.get_mut(bfd)
        {
            dependents.remove(name);
            if dependents.is_empty() {
                self.dependents.remove(bfd);
            }
        }
        Some(former)
    }
}

impl Standing {
    fn settle(&mut self, at: SystemTime, name: &ServiceName) -> Option<Turn> {
        let (verdict, cause) = self.judge();
        let from = self.verdict;
        if verdict == from {
            // What was assumed may be known, and what has failed first may work while something else does not.
            self.cause = cause;
            return None;
        }
        self.transitions += u64::from(from != Verdict::Unknown);
        (self.verdict, self.since) = (verdict, at);
        self.cause.clone_from(&cause);
        Some(Turn {
            service: name.clone(),
            from,
            to: verdict,
            cause,
        })
    }

    /// What speaks against it says why; if nothing does, all have something to say.
    fn judge(&self) -> (Verdict, String) {
        let check = self.check.iter();
        let aspects: Vec<&Aspect> = check.chain(self.path.iter().map(|(_, it)| it)).collect();
        let mut verdict = Verdict::Healthy;
        for wanted in [Verdict::Unhealthy, Verdict::Unknown] {
            if aspects.iter().any(|aspect| aspect.verdict == wanted) {
                verdict = wanted;
                break;
            }
        }
        let saying = aspects.iter().filter(|aspect| aspect.verdict == verdict);
        let causes: Vec<&str> = saying.map(|aspect| aspect.cause.as_str()).collect();
        (verdict, causes.join(", "))
    }
}

/// Whether a change of a BFD session says that its path has failed. AdminDown, on either side, says
/// nothing about the path (RFC 5882 §4.2).
#[must_use]
pub fn has_failed(change: &bfd::StateChange) -> bool {
    use bfd::State::{AdminDown, Down, Up};
    (change.from, change.to) == (Up, Down) && change.remote_state != AdminDown
}

/// What is assumed of something that is not known yet, of a service that stands so.
fn not_known(assumed: Verdict, what: &str) -> Aspect {
    let verdict = assumed.or_unknown();
    let cause = match verdict {
        Verdict::Unknown => format!("{what} yet"),
        _ => format!("assumed, for the service was announced before: {what} yet"),
    };
    Aspect { verdict, cause }
}

fn path_is_not_known(path: &BfdName, assumed: Verdict) -> Aspect {
    not_known(assumed, &format!("BFD session {path} has not been up"))
}

fn path_is_disabled(path: &BfdName) -> Aspect {
    Aspect {
        verdict: Verdict::Unhealthy,
        cause: format!("BFD session {path} is disabled"),
    }
}

fn path_did_not_come_up(path: &BfdName, patience: Duration) -> Aspect {
    let patience = humantime::format_duration(patience);
    Aspect {
        verdict: Verdict::Unhealthy,
        cause: format!("BFD session {path} has not come up within {patience}"),
    }
}

fn path_is_up(path: &BfdName) -> Aspect {
    Aspect {
        verdict: Verdict::Healthy,
        cause: format!("BFD session {path} is up"),
    }
}

fn path_is_admin_down(path: &BfdName) -> Aspect {
    Aspect {
        verdict: Verdict::Healthy,
        cause: format!(
            "BFD session {path} is AdminDown at the neighbor, which is no failure; it was up before"
        ),
    }
}

fn path_is_down(path: &BfdName, why: &str) -> Aspect {
    Aspect {
        verdict: Verdict::Unhealthy,
        cause: format!("BFD session {path} is down: {why}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use std::sync::Arc;

    use super::*;
    use crate::config::{CheckConfig, Probe};

    const AT: SystemTime = SystemTime::UNIX_EPOCH;

    fn health(check: bool, bfd: Option<&str>) -> HealthConfig {
        let check = check.then(|| {
            Arc::new(CheckConfig {
                probe: Probe::Tcp("127.0.0.1:80".parse().unwrap()),
                interval: CheckConfig::DEFAULT_INTERVAL,
                timeout: CheckConfig::DEFAULT_INTERVAL,
                fall: CheckConfig::DEFAULT_FALL,
                rise: CheckConfig::DEFAULT_RISE,
            })
        });
        HealthConfig {
            check,
            bfd: bfd.map(|name| BfdName::new(name).unwrap()),
        }
    }

    fn web() -> ServiceName {
        ServiceName::new("web").unwrap()
    }

    fn storage() -> BfdName {
        BfdName::new("storage").unwrap()
    }

    /// What is told, and the time that it is.
    struct Story(Standings, Instant);

    const PATIENCE: Duration = Duration::from_secs(3);

    impl Story {
        fn new() -> Self {
            Self(Standings::default(), Instant::now())
        }

        fn begin(&mut self, patience: Option<Duration>) -> Option<String> {
            let turns = self.0.begin_path(self.1, AT, &storage(), patience);
            turns.into_iter().find_map(|turn| said(Some(turn)))
        }

        /// What happens by itself in that time.
        fn pass(&mut self, time: Duration) -> Option<String> {
            self.1 += time;
            let turns = self.0.handle_timeout(self.1, AT);
            turns.into_iter().find_map(|turn| said(Some(turn)))
        }

        fn cause(&self) -> &str {
            &self.0.get(&web()).unwrap().cause
        }

        fn set(&mut self, health: Option<&HealthConfig>, assumed: Verdict) -> Option<String> {
            said(self.0.set(self.1, AT, &web(), health, assumed))
        }

        fn check(&mut self, healthy: bool) -> Option<String> {
            let (verdict, cause) = match healthy {
                true => (Verdict::Healthy, "HTTP 200"),
                false => (Verdict::Unhealthy, "HTTP 503"),
            };
            let watch = self.0.get(&web()).unwrap().watch;
            said(self.0.handle_check(AT, found(watch, verdict, cause)))
        }

        fn path(&mut self, up: bool) -> Option<String> {
            let turns = self
                .0
                .handle_path(AT, &storage(), up, "detection time expired");
            turns.into_iter().find_map(|turn| said(Some(turn)))
        }
    }

    fn found(watch: WatchId, verdict: Verdict, cause: &str) -> Found {
        Found {
            service: web(),
            watch,
            verdict,
            cause: cause.to_owned(),
        }
    }

    fn said(turn: Option<Turn>) -> Option<String> {
        let Turn {
            from, to, cause, ..
        } = turn?;
        Some(format!("{from} -> {to}: {cause}"))
    }

    #[test]
    fn a_check_and_a_path_must_both_hold() {
        let mut story = Story::new();
        let both = health(true, Some("storage"));
        assert_eq!(story.set(Some(&both), Verdict::Unknown), None);
        assert_eq!(story.check(true), None);
        assert!(!story.0.are_known());
        assert_eq!(
            story.path(true).as_deref(),
            Some("unknown -> healthy: HTTP 200, BFD session storage is up")
        );
        assert!(story.0.are_known());
        assert_eq!(
            story.path(false).as_deref(),
            Some("healthy -> unhealthy: BFD session storage is down: detection time expired")
        );
        assert_eq!(story.check(false), None);
        assert_eq!(story.path(true), None);
        assert_eq!(
            story.check(true).as_deref(),
            Some("unhealthy -> healthy: HTTP 200, BFD session storage is up")
        );
        assert_eq!(story.0.get(&web()).unwrap().transitions, 2);
    }

    #[test]
    fn the_cause_is_what_fails_at_present() {
        let mut story = Story::new();
        story.set(Some(&health(true, Some("storage"))), Verdict::Unknown);
        story.check(true);
        story.path(true);
        story.path(false);
        assert_eq!(story.check(false), None);
        assert_eq!(
            story.cause(),
            "HTTP 503, BFD session storage is down: detection time expired"
        );
        assert_eq!(story.path(true), None);
        assert_eq!(story.cause(), "HTTP 503");
    }

    #[test]
    fn what_fails_is_known_whatever_else_is_not() {
        let mut story = Story::new();
        story.set(Some(&health(true, Some("storage"))), Verdict::Unknown);
        assert_eq!(
            story.check(false).as_deref(),
            Some("unknown -> unhealthy: HTTP 503")
        );
        assert!(story.0.are_known());
    }

    #[test]
    fn a_service_that_was_there_without_a_check_keeps_its_announcement_until_one_fails() {
        let mut story = Story::new();
        assert_eq!(story.set(None, Verdict::Healthy), None);
        assert_eq!(story.set(Some(&health(true, None)), Verdict::Healthy), None);
        let standing = story.0.get(&web()).unwrap();
        assert_eq!(standing.verdict, Verdict::Healthy);
        assert!(standing.cause.starts_with("assumed"), "{}", standing.cause);
        assert!(story.check(false).is_some());
    }

    #[test]
    fn what_a_former_check_has_found_says_nothing_of_the_next() {
        for verdict in [Verdict::Healthy, Verdict::Unhealthy] {
            let mut story = Story::new();
            let checked = health(true, None);
            story.set(Some(&checked), Verdict::Unknown);
            let late = found(story.0.get(&web()).unwrap().watch, verdict, "late");
            story.set(None, Verdict::Unknown);
            story.set(Some(&checked), Verdict::Unknown);
            assert_eq!(said(story.0.handle_check(AT, late)), None);
            assert!(story.check(true).is_some());
        }
    }

    #[test]
    fn a_check_that_changes_goes_on_with_its_watch() {
        let mut story = Story::new();
        story.set(Some(&health(true, None)), Verdict::Unknown);
        let under_way = found(
            story.0.get(&web()).unwrap().watch,
            Verdict::Healthy,
            "HTTP 200",
        );
        story.set(Some(&health(true, Some("storage"))), Verdict::Unknown);
        story.path(true);
        assert!(story.0.handle_check(AT, under_way).is_some());
    }

    #[test]
    fn a_check_that_an_unhealthy_service_gets_is_not_known_before_its_first_result() {
        let mut story = Story::new();
        story.path(false);
        let path = Some("storage");
        story.set(Some(&health(false, path)), Verdict::Unknown);
        story.set(Some(&health(true, path)), Verdict::Unhealthy);
        let standing = story.0.get(&web()).unwrap();
        assert_eq!(standing.check.as_ref().unwrap().verdict, Verdict::Unknown);
        assert_eq!(
            story.path(true).as_deref(),
            Some("unhealthy -> unknown: no check has ended yet")
        );
    }

    #[test]
    fn what_is_depended_on_no_more_has_no_say() {
        let mut story = Story::new();
        story.set(Some(&health(true, Some("storage"))), Verdict::Unknown);
        story.check(true);
        story.path(false);
        let turn = story.set(Some(&health(true, None)), Verdict::Unknown);
        assert_eq!(turn.as_deref(), Some("unhealthy -> healthy: HTTP 200"));
        assert_eq!(story.0.dependents().count(), 0);
        story.0.remove(&web());
        story.0.forget_path(&storage());
        let last_watch = story.0.last_watch;
        let empty = Standings {
            last_watch,
            ..Standings::default()
        };
        assert_eq!(story.0, empty);
    }

    #[test]
    fn a_path_that_is_known_counts_at_once() {
        let mut story = Story::new();
        story.path(true);
        let depends = health(false, Some("storage"));
        assert_eq!(
            story.set(Some(&depends), Verdict::Unknown).as_deref(),
            Some("unknown -> healthy: BFD session storage is up")
        );
        story.0.remove(&web());
        story.path(false);
        assert_eq!(
            story.set(Some(&depends), Verdict::Healthy).as_deref(),
            Some("healthy -> unhealthy: BFD session storage is down: detection time expired")
        );
    }

    /// A service on a path that is up.
    fn on_a_path() -> Story {
        let mut story = Story::new();
        story.begin(Some(PATIENCE));
        story.set(Some(&health(false, Some("storage"))), Verdict::Unknown);
        assert!(story.path(true).is_some());
        story
    }

    #[test]
    fn the_verdict_of_a_path_does_not_outlive_its_session() {
        let mut story = on_a_path();
        assert_eq!(story.begin(Some(PATIENCE)), None, "it stays announced");
        assert!(story.cause().starts_with("assumed"), "{}", story.cause());
        assert_eq!(story.pass(PATIENCE - Duration::from_millis(1)), None);
        assert_eq!(
            story.pass(Duration::from_millis(1)).as_deref(),
            Some("healthy -> unhealthy: BFD session storage has not come up within 3s")
        );
        assert_eq!(story.0.poll_timeout(), None);
        assert!(story.path(true).is_some(), "it may come later");
    }

    /// RFC 5882 §4.2.
    #[test]
    fn a_path_that_is_admin_down_at_the_neighbor_has_not_failed_and_says_so() {
        let mut story = on_a_path();
        assert_eq!(story.0.handle_admin_down(AT, &storage()), []);
        let admin_down = "BFD session storage is AdminDown at the neighbor, which is no failure; it was up before";
        assert_eq!(story.cause(), admin_down);
        // Also to whoever comes to depend on it.
        story.0.remove(&web());
        let depends = health(false, Some("storage"));
        assert_eq!(
            story.set(Some(&depends), Verdict::Unknown),
            Some(format!("unknown -> healthy: {admin_down}"))
        );
        assert_eq!(story.path(true), None);
        assert_eq!(story.cause(), "BFD session storage is up");
    }

    #[test]
    fn admin_down_at_the_neighbor_makes_no_path_work_that_did_not() {
        let mut story = Story::new();
        story.begin(Some(PATIENCE));
        story.set(Some(&health(false, Some("storage"))), Verdict::Unknown);
        assert_eq!(story.0.handle_admin_down(AT, &storage()), []);
        assert_eq!(story.cause(), "BFD session storage has not been up yet");
        story.path(false);
        assert_eq!(story.0.handle_admin_down(AT, &storage()), []);
        assert!(story.cause().contains("is down"), "{}", story.cause());
    }

    #[test]
    fn a_session_that_comes_up_in_its_time_costs_nothing() {
        let mut story = on_a_path();
        story.begin(Some(PATIENCE));
        assert_eq!(story.pass(PATIENCE / 2), None);
        assert_eq!(story.path(true), None);
        assert_eq!(story.cause(), "BFD session storage is up");
        assert_eq!(story.0.poll_timeout(), None);
        assert_eq!(story.pass(PATIENCE), None);
    }

    #[test]
    fn of_what_is_not_announced_nothing_is_assumed() {
        let mut story = on_a_path();
        story.path(false);
        assert_eq!(
            story.begin(Some(PATIENCE)).as_deref(),
            Some("unhealthy -> unknown: BFD session storage has not been up yet")
        );
        assert_eq!(story.0.poll_timeout(), None);
        assert!(story.path(true).is_some());
    }

    #[test]
    fn what_depends_on_a_session_that_is_disabled_is_not_announced() {
        let mut story = on_a_path();
        let disabled = "unhealthy: BFD session storage is disabled";
        assert_eq!(story.begin(None), Some(format!("healthy -> {disabled}")));
        let enabled = story.begin(Some(PATIENCE));
        assert!(enabled.is_some_and(|turn| turn.starts_with("unhealthy -> unknown")));
        assert!(story.path(true).is_some());

        // Also where it was disabled before.
        let mut story = Story::new();
        story.begin(None);
        let turn = story.set(Some(&health(false, Some("storage"))), Verdict::Healthy);
        assert_eq!(turn, Some(format!("healthy -> {disabled}")));
    }

    #[test]
    fn a_path_that_an_announced_service_gets_is_assumed_to_work_for_a_while_only() {
        let mut story = Story::new();
        story.begin(Some(PATIENCE));
        assert_eq!(story.pass(PATIENCE), None, "nobody waits for it");
        let depends = health(false, Some("storage"));
        assert_eq!(story.set(Some(&depends), Verdict::Healthy), None);
        // To say it again does not begin it again.
        assert_eq!(story.pass(PATIENCE / 2), None);
        assert_eq!(story.set(Some(&depends), Verdict::Healthy), None);
        assert!(story.pass(PATIENCE / 2).is_some());
        // Whoever comes after that has nothing to hope for.
        story.0.remove(&web());
        assert!(story.set(Some(&depends), Verdict::Healthy).is_some());
    }

    #[test]
    fn nothing_is_said_of_a_path_that_nobody_depends_on_any_more() {
        let mut story = on_a_path();
        story.begin(Some(PATIENCE));
        story.set(None, Verdict::Healthy);
        assert_eq!(story.pass(PATIENCE), None);
        let depends = health(false, Some("storage"));
        assert_eq!(story.set(Some(&depends), Verdict::Healthy), None);
    }
}
