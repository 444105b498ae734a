//! What happens to the daemon and to its neighbors, one thing after the other, each of which has its known consequences: every session
//! that ends is one that was ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::Value;

use super::flapper::Flapper;
use super::health::Health;
use super::model::{self, FOR_FILE, File};
use super::neighborhood::{HOST_V4, HOST_V6, Neighborhood, Options};
use super::support::agreement;
use super::support::daemon::{Herald, socket_in};
use super::support::{announce, ensure, wait_until};
use super::vitals::Vitals;

/// What no busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every session has it at both ends: a link that is cut is noticed in as much.
const HOLD_TIME: &str = "9s";

const PEERS: [&str; 3] = ["frr", "bird", "gobgp"];

pub(crate) struct Chaos {
    neighborhood: Neighborhood,
    herald: Option<Herald>,
    flapper: Option<Flapper>,
    file: File,
    health: Health,
    added: BTreeSet<u16>,
    is_drained: bool,
    /// What is to happen next, the last one first.
    deck: Vec<Event>,
    /// How often each session of this life of the daemon was ended.
    ended: BTreeMap<&'static str, u64>,
    chance: SmallRng,
    requests: u64,
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The file gets other services and says something else of all; it is read by command or on SIGHUP.
    Reload,
    /// We end a session.
    Reset,
    /// A router ends it.
    ResetByRouter,
    Cut,
    /// As before an upgrade.
    Restart,
    Kill,
    /// Our routes are asked to be avoided, or no longer are.
    Drain,
}

impl Event {
    /// Each happens once, in any order, before one happens again.
    const DECK: [Self; 8] = [
        Self::Reload,
        Self::Reset,
        Self::ResetByRouter,
        Self::Cut,
        Self::Restart,
        Self::Kill,
        Self::Drain,
        Self::Reload,
    ];

    const fn restarts(self) -> bool {
        matches!(self, Self::Restart | Self::Kill)
    }
}

impl Chaos {
    /// Starts everybody, or says why this machine cannot: then the test is skipped.
    pub(crate) fn start(test: &str, seed: u64) -> Option<Self> {
        let options = Options {
            bird: "graceful restart on;",
            gobgp: "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n",
            gobgp_family: "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n",
            ..Options::default()
        };
        let neighborhood = Neighborhood::start(test, &options)?;
        let mut chaos = Self {
            herald: None,
            flapper: None,
            file: File::new(),
            health: Health::start(&neighborhood.host.namespace),
            added: BTreeSet::new(),
            is_drained: false,
            deck: Vec::new(),
            ended: BTreeMap::new(),
            chance: SmallRng::seed_from_u64(seed),
            requests: 0,
            neighborhood,
        };
        chaos.begin_life();
        chaos.flap();
        Some(chaos)
    }

    /// Has something happen, and waits for what follows of it while services come and go.
    pub(crate) fn turn(&mut self, may_restart: bool) {
        let event = loop {
            let event = self.next_event();
            if may_restart || !event.restarts() {
                break event;
            }
        };
        match event {
            Event::Reload => self.reload(),
            Event::Reset => {
                let peer = self.any_peer();
                announce(&format!("soak: we reset {peer}"));
                self.herald().command(&["peer", "reset", peer]);
                self.was_ended(&[peer]);
            }
            Event::ResetByRouter => {
                let index = self.chance.random_range(0..PEERS.len());
                announce(&format!("soak: {} resets us", PEERS[index]));
                let (router, host) = &self.neighborhood.routers()[index];
                router.reset(host, "soak");
                self.was_ended(&[PEERS[index]]);
            }
            Event::Cut => self.cut(),
            Event::Restart => {
                announce("soak: the daemon is restarted");
                self.end_life(|herald| {
                    herald.command(&["stop", "--restart"]);
                });
                self.begin_life();
            }
            Event::Kill => {
                announce("soak: the daemon is killed");
                self.end_life(|herald| herald.signal(Signal::KILL));
                self.begin_life();
            }
            Event::Drain => self.drain(),
        }
    }

    fn next_event(&mut self) -> Event {
        if self.deck.is_empty() {
            self.deck = Event::DECK.into();
            self.deck.shuffle(&mut self.chance);
        }
        self.deck.pop().unwrap()
    }

    /// Has nothing more happen, waits until everybody agrees, and goes on.
    pub(crate) fn settle(&mut self) {
        let (added, requests) = self.flapper.take().unwrap().stop();
        self.added = added;
        self.requests += requests;
        self.assert_agreed();
        self.flap();
    }

    pub(crate) fn vitals(&self) -> Vitals {
        Vitals::of(self.herald().pid())
    }

    /// The end: nothing has panicked, and no session has ended for a reason that nobody knows.
    pub(crate) fn end(mut self) {
        self.settle();
        announce(&format!("soak: {} services came or went", self.requests));
        self.flapper.take().unwrap().stop();
        self.end_life(|herald| {
            herald.command(&["stop"]);
        });
    }

    fn herald(&self) -> &Herald {
        self.herald.as_ref().unwrap()
    }

    fn config(&self) -> String {
        let keys =
            format!("hold-time = \"{HOLD_TIME}\"\ngraceful-restart = {{ restart-time = \"60s\" }}");
        self.neighborhood.config(&keys) + &self.file.config()
    }

    fn flap(&mut self) {
        let socket = socket_in(&self.neighborhood.host.file(""));
        let seed = self.chance.random();
        self.flapper = Some(Flapper::start(
            socket,
            seed,
            self.added.clone(),
            self.health.clone(),
        ));
    }

    fn any_peer(&mut self) -> &'static str {
        PEERS[self.chance.random_range(0..PEERS.len())]
    }

    fn begin_life(&mut self) {
        self.herald = Some(self.neighborhood.start_herald(&self.config()));
        self.ended.clear();
        self.was_ended(&[]);
    }

    /// Ends the daemon, which must have had nothing to complain of.
    fn end_life(&mut self, end: impl FnOnce(&Herald)) {
        self.assert_sessions_explained().unwrap();
        let mut herald = self.herald.take().unwrap();
        end(&herald);
        herald.wait_exit(PATIENCE);
        for line in herald.log() {
            let is_bad = line.text.contains("panicked") || line.text.contains(" ERROR ");
            assert!(!is_bad, "{}", line.text);
        }
    }

    fn reload(&mut self) {
        self.file.med += 1;
        let services = &mut self.file.services;
        let absent = (0..FOR_FILE).filter(|number| !services.contains(number));
        let coming = absent.sample(&mut self.chance, 20);
        let going = services.iter().copied().sample(&mut self.chance, 20);
        services.retain(|number| !going.contains(number));
        services.extend(coming);
        self.herald().write_config(&self.config());
        if self.chance.random() {
            announce("soak: the file is read");
            self.herald().command(&["reload"]);
        } else {
            announce("soak: the file is read on SIGHUP");
            self.herald().signal(Signal::HUP);
        }
        wait_until("the file is read", PATIENCE, || {
            self.ensure_said().map(drop)
        });
    }

    fn drain(&mut self) {
        self.is_drained = !self.is_drained;
        let command = if self.is_drained { "drain" } else { "undrain" };
        announce(&format!("soak: {command}"));
        self.herald().command(&[command]);
    }

    /// Cuts the host's link until nobody knows of a session any more.
    fn cut(&mut self) {
        announce("soak: the link is cut");
        let host = &self.neighborhood.host;
        host.link.cut();
        wait_until("every session is lost", PATIENCE, || {
            for (router, host) in self.neighborhood.routers() {
                let state = router.state(&host);
                ensure(state != "Established", || router.kind().into())?;
            }
            for name in PEERS {
                let peer = self.peer(name);
                ensure(peer["state"] != "Established", || name.into())?;
            }
            Ok(())
        });
        host.link.restore();
        self.was_ended(&PEERS);
    }

    fn peer(&self, name: &str) -> Value {
        let shown = self.herald().command(&["show", "peer", name, "-o", "json"]);
        serde_json::from_str(&shown).unwrap()
    }

    /// Waits until the sessions with these peers have come back, and all others are as they were.
    fn was_ended(&mut self, peers: &[&'static str]) {
        for peer in peers {
            *self.ended.entry(peer).or_default() += 1;
        }
        wait_until("every session is up again", PATIENCE, || {
            self.assert_sessions_explained()
        });
    }

    /// Every session is up, and has come up once more than it was ended.
    fn assert_sessions_explained(&self) -> Result<(), String> {
        for ((router, host), name) in self.neighborhood.routers().iter().zip(PEERS) {
            let peer = self.peer(name);
            let expected = 1 + self.ended.get(name).copied().unwrap_or(0);
            let count = peer["established_count"].as_u64().unwrap();
            let events = || self.herald().command(&["show", "events", "--peer", name]);
            assert!(
                count <= expected,
                "{name} has come up {count} times, not {expected}:\n{}",
                events()
            );
            ensure(count == expected && peer["state"] == "Established", || {
                format!("{name} is {}, {count} times of {expected}", peer["state"])
            })?;
            router.ensure_established(host)?;
        }
        Ok(())
    }

    /// The daemon says what the model says, and every router has what the daemon says.
    fn assert_agreed(&self) {
        self.assert_sessions_explained().unwrap();
        let expected = model::prefixes(&self.file, &self.added, &self.health);
        announce(&format!("soak: {} prefixes are expected", expected.len()));
        wait_until("everybody agrees", PATIENCE, || {
            let said = self.ensure_said()?;
            let prefixes = said.as_array().unwrap().iter();
            let prefixes = prefixes.map(|route| route["prefix"].as_str().unwrap().to_owned());
            ensure_same(&expected, &prefixes.collect())?;
            for (router, _) in self.neighborhood.routers() {
                agreement::ensure_agreed(router, &said, [HOST_V4, HOST_V6])?;
            }
            Ok(())
        });
    }

    /// What the daemon says of its routes: to every peer what is in the file, and whether they are drained.
    fn ensure_said(&self) -> Result<Value, String> {
        let said = self.herald().show("routes");
        for route in said.as_array().unwrap() {
            let told = route["peers"].as_array().unwrap();
            let is_drained = |told: &Value| {
                let communities = told["communities"].as_array();
                communities.is_some_and(|all| all.contains(&"graceful-shutdown".into()))
            };
            let is_right =
                |told: &Value| told["med"] == self.file.med && is_drained(told) == self.is_drained;
            ensure(
                told.len() == PEERS.len() && told.iter().all(is_right),
                || format!("{route:#}"),
            )?;
        }
        Ok(said)
    }
}

/// `Err` names what is missing and what should not be there.
fn ensure_same(expected: &BTreeSet<String>, seen: &BTreeSet<String>) -> Result<(), String> {
    ensure(expected == seen, || {
        let missing: Vec<_> = expected.difference(seen).take(10).collect();
        let surplus: Vec<_> = seen.difference(expected).take(10).collect();
        format!("missing {missing:?}, surplus {surplus:?}")
    })
}
