//! Two endpoints in virtual time, each with a clock of its own that runs a little fast or slow, over a link that loses, delays,
//! reorders and duplicates.
//!
//! Each run has a seed, and prints it when it fails; `HERALD_SEED=n` runs that one alone, `HERALD_SEEDS=10000` that many of each
//! scenario. Whatever happens, every host is watched: see [`Host::judge`].
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use herald_bfd::{
    AuthType, Authentication, AuthenticationKey, ControlPacket, Diagnostic, EchoConfig, EchoMeta,
    EchoStatus, Encapsulation, Endpoint, Event, Micros, PollFinal, RETURNED_TTL, RxMeta, Session,
    SessionConfig, SessionId, SessionKey, SessionStatus, State, StateChange, TRANSMIT_TTL,
    TransmitKind,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How many runs the scenario that contains all others gets, and how many each of these.
const SEEDS: u64 = 10_000;
const SEEDS_OF_A_CASE: u64 = 300;
/// Ten times what a bad quartz does.
const MAX_DRIFT_PPM: i32 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// What a link does to datagrams, in either direction.
#[derive(Debug, Clone, Copy)]
struct Link {
    loss: f64,
    duplication: f64,
    /// The delay of each datagram is drawn from here, so that they overtake each other.
    delay: (Duration, Duration),
}

impl Link {
    /// Loses nothing and keeps the order, as a link between neighbors does. Without authentication BFD cannot tell a packet
    /// that was overtaken from a change of mind, and may flap on one.
    const CLEAN: Self = Self {
        loss: 0.0,
        duplication: 0.0,
        delay: (Duration::from_micros(300), Duration::from_micros(300)),
    };
    const CUT: Self = Self {
        loss: 1.0,
        ..Self::CLEAN
    };

    fn terrible(rng: &mut SmallRng) -> Self {
        Self {
            loss: rng.random_range(0.0..0.9),
            duplication: rng.random_range(0.0..0.3),
            delay: (
                Duration::ZERO,
                Duration::from_millis(rng.random_range(1..2000)),
            ),
        }
    }
}

/// A clock that is a few parts in a million too fast, or too slow.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
    ppm: i32,
}

impl Clock {
    const MILLION: u128 = 1_000_000;

    fn rate(self) -> u128 {
        u128::try_from(1_000_000 + i64::from(self.ppm)).unwrap()
    }

    /// What it shows at this time.
    fn shows(self, at: Instant) -> Instant {
        let nanos = (at - self.start).as_nanos() * self.rate() / Self::MILLION;
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap())
    }

    /// When it shows this.
    fn when(self, shown: Instant) -> Instant {
        let nanos = (shown - self.start).as_nanos() * Self::MILLION;
        self.start + Duration::from_nanos(u64::try_from(nanos.div_ceil(self.rate())).unwrap())
    }
}

struct Host {
    endpoint: Endpoint,
    session: SessionId,
    address: IpAddr,
    clock: Clock,
    changes: Vec<StateChange>,
    seen: Seen,
}

/// What could be seen of a session from outside.
#[derive(Debug, Default)]
struct Seen {
    /// The latest packet that was accepted, by the host's clock.
    heard: Option<(Instant, State)>,
    /// The first Poll since the last Final, by the host's clock.
    polled: Option<Instant>,
    /// Silence is asked for, or it is not known yet that it is not.
    demand: bool,
    /// Before the latest input.
    detection_time: Option<Duration>,
    /// Of the echo function, while it runs.
    echo: Option<SeenEcho>,
}

/// What could be seen of the echo function of a session that sends echo packets.
#[derive(Debug, Clone, Copy)]
struct SeenEcho {
    /// The latest packet that came back, or else the first that was sent, by the host's clock.
    since: Option<Instant>,
    came_back: bool,
    /// Before the latest input.
    detection_time: Duration,
    /// The longest Detection Time since then: what makes a session less patient leaves it no less patient than it was.
    patience: Duration,
}

impl Host {
    fn session(&self) -> Option<&Session> {
        self.endpoint.session(self.session)
    }

    fn status(&self) -> SessionStatus {
        self.endpoint.status().remove(0)
    }

    fn state(&self) -> State {
        self.session().map_or(State::AdminDown, Session::state)
    }

    fn note_sent(&mut self, at: Instant, payload: &[u8]) {
        let packet = ControlPacket::parse(payload).unwrap();
        if packet.demand && !self.seen.demand {
            self.seen.polled = Some(at);
        }
        if packet.poll_final == PollFinal::Poll {
            self.seen.polled.get_or_insert(at);
        }
        self.seen.demand |= packet.demand;
        self.seen.demand &= packet.state == State::Up;
    }

    fn note_heard(&mut self, at: Instant, payload: &[u8]) {
        let packet = ControlPacket::parse(payload).unwrap();
        self.seen.heard = Some((at, packet.state));
        if packet.poll_final == PollFinal::Final {
            self.seen.polled = None;
            // One that answers an older Poll leaves another to be answered.
            let status = self.status();
            self.seen.demand &= status.demand_mode || status.polling;
        }
        self.seen.demand &= packet.state == State::Up;
    }

    fn note_echo_sent(&mut self, at: Instant) {
        self.note_echo_times();
        let echo = self.seen.echo.as_mut().unwrap();
        echo.since.get_or_insert(at);
    }

    fn note_echo_returned(&mut self, at: Instant) {
        let echo = self.seen.echo.as_mut().unwrap();
        (echo.since, echo.came_back) = (Some(at), true);
        echo.patience = echo.detection_time;
    }

    /// Behind each input.
    fn note_echo_times(&mut self) {
        let mut status = self.endpoint.status().into_iter();
        let detection_time = status.find_map(|session| session.echo?.detection_time);
        self.seen.echo = detection_time.map(|detection_time| {
            let former = self.seen.echo;
            SeenEcho {
                since: former.and_then(|echo| echo.since),
                came_back: former.is_some_and(|echo| echo.came_back),
                detection_time,
                patience: former.map_or(detection_time, |echo| echo.patience.max(detection_time)),
            }
        });
    }

    /// Whether the path of echo packets is known to be good since then, if any are sent.
    fn is_echoed_since(&self, repaired: Instant) -> bool {
        let since = self.clock.shows(repaired);
        let came_back = |echo: SeenEcho| echo.came_back && echo.since.is_some_and(|at| at > since);
        self.seen.echo.is_none_or(came_back)
    }

    /// A session goes Down when nothing was heard for the Detection Time, or no echo packet came back for that of echo, or when
    /// the other side says so; for no other reason, and not before.
    fn judge(&self, change: &StateChange) {
        if change.to != State::Down || change.from == State::AdminDown {
            return;
        }
        let (heard_at, heard) = self.seen.heard.unwrap();
        if change.local_diag == Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN {
            assert_eq!(change.at, heard_at);
            assert_eq!(change.remote_state, heard, "AdminDown is told apart");
            assert!(matches!(heard, State::Down | State::AdminDown));
            return;
        }
        if change.local_diag == Diagnostic::ECHO_FUNCTION_FAILED {
            let echo = self.seen.echo.unwrap();
            let silence = change.at - echo.since.unwrap();
            assert_eq!(change.from, State::Up);
            assert!(silence >= echo.detection_time, "{silence:?}: {echo:?}");
            return;
        }
        assert_eq!(
            change.local_diag,
            Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
        );
        let since = match self.seen.demand {
            true => self.seen.polled.unwrap(),
            false => heard_at,
        };
        assert!(
            change.at - since >= self.seen.detection_time.unwrap(),
            "Down {:?} after {since:?}: {:?}",
            change.at - since,
            self.seen
        );
    }

    /// And it does go Down when nothing was heard, or no echo packet came back.
    fn check_silence(&mut self, now: Instant) {
        self.note_echo_times();
        if let Some(echo) = self.seen.echo {
            let silence = now - echo.since.unwrap();
            assert!(silence < echo.patience, "silence of {silence:?}: {echo:?}");
        }
        self.seen.detection_time = self.session().and_then(Session::detection_time);
        if matches!(self.state(), State::Init | State::Up) && !self.seen.demand {
            let silence = now - self.seen.heard.unwrap().0;
            let limit = self.seen.detection_time.unwrap();
            assert!(silence < limit, "silence of {silence:?}: {:?}", self.seen);
        }
    }

    fn echo(&self) -> EchoStatus {
        self.status().echo.unwrap()
    }
}

struct Simulation {
    rng: SmallRng,
    auth_type: Option<AuthType>,
    now: Instant,
    hosts: [Host; 2],
    /// By direction: from the first host, from the second.
    links: [Link; 2],
    /// Arrival time and a serial number, to the host with this index.
    in_flight: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    /// Echo packets on their way back to the host with this index: the other's kernel forwards them.
    echo_in_flight: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    loses_echo: bool,
    serial: u64,
}

/// Two keys, of which either comes first: each reconfiguration may roll them over.
fn random_keys(rng: &mut SmallRng, auth_type: AuthType) -> Authentication {
    let first = rng.random_range(1..=2);
    let key = |id| AuthenticationKey::new(auth_type, id, &[b'k', id]).unwrap();
    Authentication::new([key(first), key(3 - first)]).unwrap()
}

fn random_config(rng: &mut SmallRng, passive: bool, auth_type: Option<AuthType>) -> SessionConfig {
    let interval = |rng: &mut SmallRng| {
        let choices = [10, 50, 100, 300, 1000, 3000];
        Micros::from_millis(choices[rng.random_range(0..choices.len())])
    };
    SessionConfig {
        desired_min_tx_interval: interval(rng),
        required_min_rx_interval: interval(rng),
        detect_mult: NonZeroU8::new(rng.random_range(1..6)).unwrap(),
        passive,
        authentication: auth_type.map(|auth_type| random_keys(rng, auth_type)),
        ..SessionConfig::default()
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let now = Instant::now();
        let addresses: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        let one_is_passive = rng.random_bool(0.2);
        let authenticated = rng.random_bool(0.3);
        let auth_type = authenticated.then(|| AuthType::ALL[rng.random_range(0..5)]);
        let mut host = |me: usize| {
            let mut endpoint = Endpoint::new(rng.random());
            let key = SessionKey::single_hop(addresses[1 - me]);
            let config = random_config(&mut rng, one_is_passive && me == 0, auth_type);
            let session = endpoint.add(now, key, None, config).unwrap();
            Host {
                endpoint,
                session,
                address: addresses[me],
                clock: Clock {
                    start: now,
                    ppm: rng.random_range(-MAX_DRIFT_PPM..=MAX_DRIFT_PPM),
                },
                changes: Vec::new(),
                seen: Seen::default(),
            }
        };
        let hosts = [host(0), host(1)];
        Self {
            rng,
            auth_type,
            now,
            hosts,
            links: [Link::CLEAN; 2],
            in_flight: BTreeMap::new(),
            echo_in_flight: BTreeMap::new(),
            loses_echo: false,
            serial: 0,
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let Some(next) = self.next_event().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.in_flight.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, payload) = entry.remove();
                self.deliver(to, &payload);
            }
            while let Some(entry) = self.echo_in_flight.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, payload) = entry.remove();
                self.deliver_echo(to, &payload);
            }
            for host in &mut self.hosts {
                host.endpoint.handle_timeout(host.clock.shows(self.now));
            }
            self.exchange();
            for host in &mut self.hosts {
                host.check_silence(host.clock.shows(self.now));
            }
        }
        self.now = end;
    }

    fn run_until(&mut self, what: &str, limit: Duration, reached: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !reached(self) {
            assert!(
                self.now < end,
                "no {what}: {:#?}",
                self.hosts.each_ref().map(Host::status)
            );
            self.run(Duration::from_millis(5));
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let timeouts = self
            .hosts
            .iter()
            .filter_map(|host| Some(host.clock.when(host.endpoint.poll_timeout()?)));
        let arrivals = [&self.in_flight, &self.echo_in_flight];
        let arrivals = arrivals.map(|arrivals| arrivals.first_key_value().map(|((at, _), _)| *at));
        timeouts.chain(arrivals.into_iter().flatten()).min()
    }

    fn exchange(&mut self) {
        for from in [0, 1] {
            let local = self.hosts[from].clock.shows(self.now);
            while let Some(event) = self.hosts[from].endpoint.poll_event() {
                if let Event::StateChanged(change) = event {
                    self.hosts[from].judge(&change);
                    self.hosts[from].changes.push(change);
                }
            }
            while let Some(transmit) = self.hosts[from].endpoint.poll_transmit(local) {
                match transmit.kind {
                    TransmitKind::Control => {
                        self.hosts[from].note_sent(local, &transmit.payload);
                        self.send(from, &transmit.payload);
                    }
                    TransmitKind::Echo { .. } => {
                        self.hosts[from].note_echo_sent(local);
                        self.send_echo(from, transmit.payload);
                    }
                    TransmitKind::EchoReturn { .. } => unreachable!("the kernel does it"),
                }
            }
        }
    }

    fn send(&mut self, from: usize, payload: &[u8]) {
        let link = self.links[from];
        let copies = 1 + usize::from(self.rng.random_bool(link.duplication));
        for _ in 0..copies {
            if self.rng.random_bool(link.loss) {
                continue;
            }
            let delay = self.rng.random_range(link.delay.0..=link.delay.1);
            self.serial += 1;
            let key = (self.now + delay, self.serial);
            self.in_flight.insert(key, (1 - from, payload.to_vec()));
        }
    }

    /// There and back.
    fn send_echo(&mut self, from: usize, payload: Vec<u8>) {
        let mut delay = Duration::ZERO;
        for link in self.links {
            if self.loses_echo || self.rng.random_bool(link.loss) {
                return;
            }
            delay += self.rng.random_range(link.delay.0..=link.delay.1);
        }
        self.serial += 1;
        let key = (self.now + delay, self.serial);
        self.echo_in_flight.insert(key, (from, payload));
    }

    fn deliver_echo(&mut self, to: usize, payload: &[u8]) {
        let meta = EchoMeta {
            source: SocketAddr::new(self.hosts[to].address, 3785),
            destination: None,
            interface_index: Some(2),
            ttl: Some(RETURNED_TTL),
        };
        // Discards are counted inside.
        let host = &mut self.hosts[to];
        let local = host.clock.shows(self.now);
        let outcome = host.endpoint.handle_echo_datagram(local, &meta, payload);
        if outcome.is_ok() {
            host.note_echo_returned(local);
        }
    }

    /// Both send echo packets, and agree on how often.
    fn settle_with_echo(&mut self) {
        for host in 0..2 {
            let choices = [10, 50, 300];
            let interval = choices[self.rng.random_range(0..choices.len())];
            let former = self.hosts[host].session().unwrap().config().clone();
            let config = SessionConfig {
                echo: Some(EchoConfig::both_ways(Micros::from_millis(interval))),
                ..former
            };
            self.at(host, |endpoint, local, session| {
                endpoint.set_config(local, session, config);
            });
        }
        self.settle();
        self.run_until("echo", SECOND * 5, |simulation| {
            simulation
                .hosts
                .iter()
                .all(|host| host.echo().packets_in > 3)
        });
    }

    fn deliver(&mut self, to: usize, payload: &[u8]) {
        let meta = RxMeta {
            source: SocketAddr::new(self.hosts[1 - to].address, 50000),
            destination: self.hosts[to].address,
            interface_index: Some(2),
            ttl: Some(TRANSMIT_TTL),
            encapsulation: Encapsulation::SingleHop,
        };
        let host = &mut self.hosts[to];
        let local = host.clock.shows(self.now);
        if host.endpoint.handle_datagram(local, &meta, payload).is_ok() {
            host.note_heard(local, payload);
            self.exchange();
        }
        self.hosts[to].note_echo_times();
    }

    fn has_sequence_numbers(&self) -> bool {
        let auth_type = self.auth_type;
        auth_type.is_some_and(|auth_type| auth_type != AuthType::SimplePassword)
    }

    /// Does something to a host, by its clock.
    fn at(&mut self, host: usize, input: impl FnOnce(&mut Endpoint, Instant, SessionId)) {
        let host = &mut self.hosts[host];
        let local = host.clock.shows(self.now);
        input(&mut host.endpoint, local, host.session);
        host.seen.detection_time = host.session().and_then(Session::detection_time);
        host.note_echo_times();
    }

    fn reconfigure(&mut self, host: usize) {
        let former = self.hosts[host].session().unwrap().config().clone();
        let config = change_one_field(&mut self.rng, self.auth_type, former);
        self.at(host, |endpoint, now, id| {
            endpoint.set_config(now, id, config);
        });
    }

    /// A host forgets everything, and starts anew.
    fn crash(&mut self, host: usize, config: SessionConfig) {
        let seed = self.rng.random();
        let key = SessionKey::single_hop(self.hosts[1 - host].address);
        let host = &mut self.hosts[host];
        host.endpoint = Endpoint::new(seed);
        let local = host.clock.shows(self.now);
        host.session = host.endpoint.add(local, key, None, config).unwrap();
        host.seen = Seen::default();
    }

    /// A session is removed and added again before it is gone.
    fn replace(&mut self, host: usize, config: SessionConfig) {
        let key = SessionKey::single_hop(self.hosts[1 - host].address);
        let host = &mut self.hosts[host];
        let local = host.clock.shows(self.now);
        host.endpoint.remove(local, host.session);
        while host.endpoint.poll_transmit(local).is_some() {}
        while host.endpoint.poll_event().is_some() {}
        host.session = host.endpoint.add(local, key, None, config).unwrap();
        host.seen = Seen::default();
    }

    fn both(&self, state: State) -> bool {
        self.hosts.iter().all(|host| host.state() == state)
    }

    /// Up at both ends, nothing left to negotiate, and nothing left under way.
    fn settled(&self) -> bool {
        let status = self.hosts.each_ref().map(Host::status);
        let agree = |one: &SessionStatus, other: &SessionStatus| {
            let interval = one
                .config
                .desired_min_tx_interval
                .max(other.config.required_min_rx_interval)
                .as_duration();
            // In demand mode of the other, nothing is sent, and what it detects is its own affair.
            let silent = other.config.demand_mode;
            let detection_time = interval * u32::from(one.detect_mult.get());
            one.tx_interval == (!silent).then_some(interval)
                && (silent || other.detection_time == Some(detection_time))
                && one.remote_demand_mode == silent
                && one.remote_discr == Some(other.local_discr)
                && !one.polling
        };
        self.both(State::Up) && agree(&status[0], &status[1]) && agree(&status[1], &status[0])
    }

    fn settle(&mut self) {
        self.links = [Link::CLEAN; 2];
        self.loses_echo = false;
        // What an earlier link still holds back would arrive as news.
        let latest = self.now + Link::CLEAN.delay.1;
        self.in_flight.retain(|(at, _), _| *at <= latest);
        self.run(Link::CLEAN.delay.1);
        // Nor is it to count what was lost before.
        let repaired = self.now;
        self.run_until("agreement", SECOND * 60, |simulation| {
            let is_heard = |host: &Host| {
                let heard = host.seen.heard;
                host.seen.demand || heard.is_some_and(|(at, _)| at > host.clock.shows(repaired))
            };
            let is_echoed = |host: &Host| host.is_echoed_since(repaired);
            let mut hosts = simulation.hosts.iter();
            hosts.clone().all(is_heard) && hosts.all(is_echoed) && simulation.settled()
        });
    }

    fn forget_changes(&mut self) {
        for host in &mut self.hosts {
            host.changes.clear();
        }
    }
}

/// Runs a scenario for every seed.
fn for_each_seed(scenario: impl Fn(&mut Simulation)) {
    for_seeds(SEEDS_OF_A_CASE, scenario);
}

fn for_seeds(count: u64, scenario: impl Fn(&mut Simulation)) {
    let number = |name| Some(std::env::var(name).ok()?.parse().unwrap());
    let seeds = match number("HERALD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HERALD_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let run = AssertUnwindSafe(|| scenario(&mut Simulation::new(seed)));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("failed with HERALD_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

fn random_echo(rng: &mut SmallRng) -> EchoConfig {
    let interval = |rng: &mut SmallRng| Micros::from_millis(rng.random_range(5..500));
    EchoConfig {
        desired_min_tx_interval: rng.random_bool(0.7).then(|| interval(rng)),
        required_min_rx_interval: match rng.random_bool(0.9) {
            true => interval(rng),
            false => Micros::ZERO,
        },
    }
}

/// One thing about a configuration becomes another, so that all that there is meets all else.
fn change_one_field(
    rng: &mut SmallRng,
    auth_type: Option<AuthType>,
    former: SessionConfig,
) -> SessionConfig {
    let other = random_config(rng, false, auth_type);
    let mut config = former;
    match rng.random_range(0..8) {
        0 => config.desired_min_tx_interval = other.desired_min_tx_interval,
        1 => config.required_min_rx_interval = other.required_min_rx_interval,
        2 => config.detect_mult = other.detect_mult,
        3 => config.passive = rng.random_bool(0.2),
        4 => config.authentication = other.authentication,
        5 | 6 => config.echo = rng.random_bool(0.8).then(|| random_echo(rng)),
        _ => {
            config.demand_mode = rng.random_bool(0.7);
            config.demand_poll_interval = Some(SECOND);
        }
    }
    config
}

/// Everything that can happen to one of two hosts, or to the link between them.
fn mishap(simulation: &mut Simulation) {
    let host = simulation.rng.random_range(0..2);
    let config = random_config(&mut simulation.rng, false, simulation.auth_type);
    match simulation.rng.random_range(0..14) {
        0 => {
            simulation.links = [Link::CLEAN; 2];
            simulation.loses_echo = false;
        }
        1 => simulation.links[host] = Link::CUT,
        2 => simulation.links[host] = Link::terrible(&mut simulation.rng),
        3..=7 => simulation.reconfigure(host),
        8 => simulation.loses_echo = true,
        9 => simulation.at(host, |endpoint, now, id| endpoint.poll(now, id)),
        10 => simulation.at(host, |endpoint, now, id| {
            endpoint.set_admin_down(now, id, true)
        }),
        11 => simulation.at(host, |endpoint, now, id| {
            endpoint.set_admin_down(now, id, false)
        }),
        12 => simulation.replace(host, config),
        _ => simulation.crash(host, config),
    }
}

#[test]
fn whatever_happens_the_rules_hold_and_timers_converge() {
    for_seeds(SEEDS, |simulation| {
        if simulation.rng.random_bool(0.5) {
            simulation.settle_with_echo();
        }
        for _ in 0..simulation.rng.random_range(1..12) {
            mishap(simulation);
            let pause = Duration::from_millis(simulation.rng.random_range(0..1500));
            simulation.run(pause);
        }
        for host in [0, 1] {
            simulation.at(host, |endpoint, now, id| {
                endpoint.set_admin_down(now, id, false);
                let config = endpoint.session(id).unwrap().config().clone();
                let active = SessionConfig {
                    passive: false,
                    ..config
                };
                endpoint.set_config(now, id, active);
            });
        }
        simulation.settle();
        simulation.forget_changes();
        simulation.run(SECOND);
        for host in &simulation.hosts {
            assert_eq!(host.changes, [], "never Down while packets arrive in time");
        }
        // And always Down within the Detection Time when they do not, or when the path is verified.
        let limits = simulation.hosts.each_ref().map(|host| {
            let status = host.status();
            let detection_time = status.detection_time.unwrap();
            // A Poll waits for the next verification, and for its turn to be sent.
            let verified = match status.demand_mode {
                true => SECOND + detection_time / u32::from(status.detect_mult.get()),
                false => Duration::ZERO,
            };
            (detection_time + verified).mul_f64(1.01)
        });
        simulation.links = [Link::CUT; 2];
        simulation.in_flight.clear();
        simulation.echo_in_flight.clear();
        simulation.run(limits[0].max(limits[1]));
        assert!(simulation.both(State::Down));
    });
}

#[test]
fn whatever_the_link_did_both_come_up_once_it_behaves() {
    for_each_seed(|simulation| {
        for _ in 0..3 {
            simulation.links = [
                Link::terrible(&mut simulation.rng),
                Link::terrible(&mut simulation.rng),
            ];
            simulation.run(SECOND * 20);
        }
        simulation.settle();
        for host in &simulation.hosts {
            assert!(
                host.changes
                    .windows(2)
                    .all(|pair| pair[0].to == pair[1].from)
            );
        }
    });
}

#[test]
fn a_clean_link_never_flaps_whatever_is_reconfigured() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.forget_changes();
        for _ in 0..20 {
            let host = simulation.rng.random_range(0..2);
            let config = random_config(&mut simulation.rng, false, simulation.auth_type);
            simulation.at(host, |endpoint, now, session| {
                endpoint.set_config(now, session, config);
            });
            let pause = Duration::from_millis(simulation.rng.random_range(0..3000));
            simulation.run(pause);
        }
        simulation.settle();
        for host in &simulation.hosts {
            assert_eq!(host.changes, []);
        }
    });
}

#[test]
fn a_cut_is_found_exactly_one_detection_time_after_the_last_packet() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.run(SECOND * 5);
        simulation.forget_changes();
        simulation.links = [Link::CUT; 2];
        simulation.in_flight.clear();
        let expected = [0, 1].map(|host| {
            simulation.hosts[host].seen.heard.unwrap().0
                + simulation.hosts[host].status().detection_time.unwrap()
        });
        simulation.run(SECOND * 60);
        for (host, at) in simulation.hosts.iter().zip(expected) {
            assert_eq!(host.changes.len(), 1, "one Down, and no more");
            // A fast clock leaves out a nanosecond at times.
            let rounded = at + Duration::from_nanos(1);
            assert!((at..=rounded).contains(&host.changes[0].at));
            assert_eq!(
                host.changes[0].local_diag,
                Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
            );
        }
        simulation.settle();
        assert!(
            simulation
                .hosts
                .iter()
                .all(|host| host.status().generation == 2)
        );
    });
}

#[test]
fn a_path_cut_one_way_takes_both_down() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.forget_changes();
        simulation.links[0] = Link::CUT;
        simulation.run_until(
            "Down at the end that hears nothing",
            SECOND * 60,
            |simulation| simulation.hosts[1].state() == State::Down,
        );
        simulation.run(SECOND * 2);
        let [deaf_to, deaf] = simulation.hosts.each_ref().map(|host| host.changes[0]);
        assert_eq!(deaf.local_diag, Diagnostic::CONTROL_DETECTION_TIME_EXPIRED);
        assert_eq!(
            deaf_to.local_diag,
            Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN
        );
        assert_ne!(deaf_to.remote_state, State::AdminDown);
        assert!(!simulation.both(State::Up));
        simulation.settle();
    });
}

#[test]
fn removal_is_never_taken_for_a_failure() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.run(SECOND);
        simulation.forget_changes();
        simulation.at(0, |endpoint, now, session| endpoint.remove(now, session));
        simulation.run(SECOND * 60);
        assert!(simulation.hosts[0].endpoint.is_empty());
        let stayed = &simulation.hosts[1];
        let downs: Vec<_> = stayed
            .changes
            .iter()
            .filter(|change| change.from == State::Up)
            .collect();
        assert_eq!(downs.len(), 1);
        assert_eq!(downs[0].remote_state, State::AdminDown);
        assert_eq!(downs[0].remote_diag, Diagnostic::ADMINISTRATIVELY_DOWN);
        assert_eq!(stayed.state(), State::Down);
        assert_eq!(stayed.status().remote_discr, None);
    });
}

#[test]
fn a_crashed_and_restarted_remote_system_is_noticed_and_comes_back() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.forget_changes();
        // It comes back at once, with new discriminators, and says Down before the detection time is over.
        let config = SessionConfig {
            passive: false,
            ..simulation.hosts[0].status().config
        };
        simulation.crash(0, config);
        if simulation.has_sequence_numbers() {
            // Its new sequence numbers are not believed before the old ones are forgotten: silence tells.
            simulation.run_until("Down", SECOND * 60, |simulation| {
                simulation.hosts[1].state() == State::Down
            });
        } else {
            simulation.run(Duration::from_millis(5));
        }
        assert_eq!(simulation.hosts[1].changes[0].to, State::Down);
        simulation.settle();
        assert_eq!(simulation.hosts[1].status().generation, 2);
    });
}

#[test]
fn c_149_a_link_that_loses_only_echo_is_found_by_echo_and_not_before() {
    for_each_seed(|simulation| {
        simulation.settle_with_echo();
        simulation.run(SECOND * 10);
        simulation.forget_changes();
        let times = simulation.hosts.each_ref().map(Host::echo);
        assert!(times.iter().all(|echo| echo.packets_lost == 0));
        let detection_times = times.map(|echo| echo.detection_time.unwrap());
        simulation.loses_echo = true;
        let cut_at = simulation.now;
        simulation.run(*detection_times.iter().max().unwrap() + SECOND);
        let first = simulation.hosts.iter().map(|host| {
            let change = host.changes[0];
            (host.clock.when(change.at), change)
        });
        let (found_at, found) = first.min_by_key(|(at, _)| *at).unwrap();
        assert_eq!(found.local_diag, Diagnostic::ECHO_FUNCTION_FAILED);
        assert_eq!((found.from, found.to), (State::Up, State::Down));
        let detection_time = detection_times.into_iter().min().unwrap();
        // The last echo packet came back at most an interval before the cut; and their clocks drift.
        assert!(found_at <= cut_at + detection_time + Duration::from_millis(2));
        assert!(found_at + Duration::from_millis(310) >= cut_at + detection_time);
        simulation.settle_with_echo();
    });
}

#[test]
fn echo_on_a_clean_link_makes_nothing_flap_whatever_is_reconfigured() {
    for_each_seed(|simulation| {
        simulation.settle();
        simulation.forget_changes();
        for _ in 0..10 {
            let host = simulation.rng.random_range(0..2);
            let rng = &mut simulation.rng;
            let config = SessionConfig {
                echo: rng.random_bool(0.7).then(|| random_echo(rng)),
                ..random_config(rng, false, simulation.auth_type)
            };
            simulation.at(host, |endpoint, local, session| {
                endpoint.set_config(local, session, config);
            });
            let pause = Duration::from_millis(simulation.rng.random_range(0..3000));
            simulation.run(pause);
        }
        for host in &simulation.hosts {
            assert_eq!(host.changes, []);
        }
    });
}

#[test]
fn an_idle_session_costs_what_it_should() {
    for_each_seed(|simulation| {
        simulation.settle();
        let before = simulation
            .hosts
            .each_ref()
            .map(|host| host.status().counters);
        simulation.run(SECOND * 60);
        for (host, before) in simulation.hosts.iter().zip(before) {
            let status = host.status();
            let sent = status.counters.packets_out - before.packets_out;
            let interval = status.tx_interval.unwrap().as_secs_f64();
            let expected = 60.0 / interval / 0.875;
            assert!((sent as f64) <= 60.0 / interval / 0.75 + 1.0);
            assert!((sent as f64) >= expected * 0.9 - 3.0);
            assert_eq!(status.counters.late_timers, 0);
            assert_eq!(status.counters.downs, before.downs);
        }
    });
}

#[test]
fn packets_carry_what_the_sender_is() {
    // The simulation moves real octets; one look at them.
    let mut simulation = Simulation::new(0);
    simulation.exchange();
    let (_, payload) = simulation.in_flight.first_key_value().unwrap().1;
    let packet = ControlPacket::parse(payload).unwrap();
    assert_eq!(packet.state, State::Down);
    assert_eq!(packet.your_discriminator, None);
}
