//! Dynamic peers: neighbors that a `[[peer-range]]` lets in. Each is a peer like any other from its
//! first connection on, until it has had none for a while.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bgp::State;
use tracing::{info, warn};

use super::Speaker;
use crate::announcer;
use crate::bgp_thread::RangeSetup;
use crate::config::{Config, PeerName};
use crate::history::{Subject, What};
use crate::services::pools::Holder;

/// How long a dynamic peer without a connection is remembered: its page tells why the session ended.
const GRACE: Duration = Duration::from_secs(15);

/// Since when each dynamic peer has had no connection.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<PeerName, Instant>);

impl Absent {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who has been away for too long.
    fn overdue(&self, now: Instant) -> Vec<PeerName> {
        let overdue = |since: &Instant| now.duration_since(*since) >= GRACE;
        let absent = self.0.iter().filter(|(_, since)| overdue(since));
        absent.map(|(name, _)| name.clone()).collect()
    }

    /// Who of a range has been away the longest.
    fn longest(&self, config: &Config, range: &PeerName) -> Option<PeerName> {
        let of_range = |name: &PeerName| {
            let peer = config.peers.get(name);
            peer.is_some_and(|peer| peer.range.as_ref() == Some(range))
        };
        let absent = self.0.iter().filter(|(name, _)| of_range(name));
        let longest = absent.min_by_key(|(_, since)| **since);
        longest.map(|(name, _)| name.clone())
    }
}

impl Speaker {
    /// Tells the BGP thread whom to let in.
    pub(super) fn set_ranges(&self) {
        let ranges = self.config.ranges.iter();
        let enabled = ranges.filter(|(_, range)| range.peer.enabled);
        let setups = enabled.map(|(name, range)| RangeSetup {
            name: name.clone(),
            prefix: range.prefix,
            password: range.peer.password.clone(),
            minimum_ttl: range
                .peer
                .ttl_security
                .map_or(0, crate::config::minimum_ttl),
        });
        self.bgp.set_ranges(setups.collect());
    }

    /// A connection waits that is from no peer yet, and from a range.
    pub(super) fn handle_arrival(&mut self, ip: IpAddr) {
        match self.admit(ip) {
            Ok(name) => self.announce_to(&name),
            Err(reason) => {
                self.bgp.turn_away(ip);
                let Some((range, _)) = self.config.range_of(ip) else {
                    return;
                };
                // Strangers may be many and knock often.
                let now = Instant::now();
                let said = self.errors_said.insert(range.clone(), now);
                if said.is_none_or(|said| now.duration_since(said) >= GRACE) {
                    warn!(%range, neighbor = %ip, "refused a dynamic peer: {reason}");
                }
            }
        }
    }

    /// Tells a new peer everything, and the others nothing.
    fn announce_to(&mut self, name: &PeerName) {
        self.announcer.set_peers(&self.config, &self.services);
        let announcements = self.announcer.announcements();
        let (routes, fellows) = announcer::routes_of(&self.config, announcements, name);
        self.bgp.add_to_fellows(name, fellows, routes);
    }

    fn admit(&mut self, ip: IpAddr) -> Result<PeerName, String> {
        let config = Arc::clone(&self.config);
        let (Some((range_name, range)), Some((name, peer))) =
            (config.range_of(ip), config.dynamic_peer(ip))
        else {
            return Err("the range does not have it any more".to_owned());
        };
        if let Some(service) = self.services.user(ip) {
            return Err(format!("{ip} is an address of service {service}"));
        }
        let of_range = config.peers.values();
        let of_range = of_range.filter(|peer| peer.range.as_ref() == Some(range_name));
        if of_range.count() >= usize::from(range.limit.get()) {
            let Some(absent) = self.absent.longest(&config, range_name) else {
                return Err(format!("there are {} already, its limit", range.limit));
            };
            self.dismiss(&absent);
        }
        info!(peer = %name, "dynamic peer: connected");
        self.note_of_range(range_name, format!("peer {name}: connected"));
        self.history.arrive(&(&name).into());
        Arc::make_mut(&mut self.pools).reserve(ip, Holder::Neighbor((&name).into()));
        let mut config = Config::clone(&self.config);
        config.peers.insert(name.clone(), peer.clone());
        self.config = Arc::new(config);
        // What went wrong is logged, shown, and tried again.
        let _ = self.set_peer(&name, &peer);
        Ok(name)
    }

    /// Remembers since when a dynamic peer has had no connection.
    pub(super) fn note_presence(&mut self, name: &PeerName, state: State) {
        let peer = self.config.peers.get(name);
        // One that is shut down is not away by its own will.
        let is_dynamic = peer.is_some_and(|peer| peer.range.is_some())
            && !self.kept.shutdowns.contains_key(name);
        match state {
            State::OpenSent | State::OpenConfirm | State::Established => {
                self.absent.0.remove(name);
            }
            State::Idle | State::Connect | State::Active if is_dynamic => {
                self.absent
                    .0
                    .entry(name.clone())
                    .or_insert_with(Instant::now);
            }
            State::Idle | State::Connect | State::Active => {}
        }
    }

    /// Forgets dynamic peers that have stayed away.
    pub(super) fn dismiss_absent(&mut self) {
        let overdue = self.absent.overdue(Instant::now());
        if overdue.is_empty() {
            return;
        }
        for name in overdue {
            self.dismiss(&name);
        }
        self.announcer.set_peers(&self.config, &self.services);
    }

    /// Strangers may come and go as often as they like: what is remembered of that has a place of
    /// its own, and pushes nothing out.
    fn note_of_range(&mut self, range: &PeerName, what: String) {
        let now = SystemTime::now();
        self.remember(now, range.into(), Subject::Herald, What::note(&what));
    }

    fn dismiss(&mut self, name: &PeerName) {
        info!(peer = %name, "dynamic peer: gone");
        let peer = self.config.peers.get(name);
        if let Some(ip) = peer.and_then(|peer| peer.address.ip) {
            let holder = Holder::Neighbor(name.into());
            Arc::make_mut(&mut self.pools).unreserve(ip, &holder);
        }
        if let Some(range) = peer.and_then(|peer| peer.range.clone()) {
            self.note_of_range(&range, format!("peer {name}: gone"));
        }
        let mut config = Config::clone(&self.config);
        config.peers.remove(name);
        self.config = Arc::new(config);
        self.end_peer(name);
        self.remember_departed(name.into());
    }

    pub(super) fn forget_presence(&mut self, name: &PeerName) {
        self.absent.0.remove(name);
    }
}
