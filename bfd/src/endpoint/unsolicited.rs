//! Unsolicited BFD, the passive side (RFC 9468 §2): sessions with whoever begins one from a range of addresses.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Endpoint, Entry, Event, RxMeta};
use crate::authentication::Authenticator;
use crate::discard::Discard;
use crate::key::{Encapsulation, HopKind, SessionId, SessionKey, TRANSMIT_TTL};
use crate::network::Network;
use crate::packet::{ControlPacket, State};
use crate::session::{SessionConfig, StateChange};

/// For how long at least an accepted session that is not Up is kept: so long it can be looked at.
pub(super) const RETENTION: Duration = Duration::from_secs(60);
/// How often a full range is searched for a session that may give way.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is told that a range is full, or that its sessions fail.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Whom an endpoint accepts single-hop sessions from that nobody has added (RFC 9468 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// What names it: unique among the ranges of an endpoint.
    pub name: Arc<str>,
    /// Where the remote systems are; of several ranges, that with the longest prefix counts.
    pub networks: Vec<Network>,
    /// The interface that their packets must come in at; `None`: any.
    pub interface: Option<String>,
    /// Where the remote systems receive BFD, usually [`SINGLE_HOP_PORT`](crate::SINGLE_HOP_PORT).
    pub port: u16,
    /// Timers and keys of the sessions. They are passive, whatever it says.
    pub config: SessionConfig,
    /// How many sessions there may be.
    pub max_sessions: usize,
}

impl Range {
    /// The length of the longest prefix that has this sender.
    fn matches(&self, source: SocketAddr, interface: &str) -> Option<u8> {
        if self.interface.as_deref().is_some_and(|it| it != interface) {
            return None;
        }
        let networks = self.networks.iter();
        let with_source = networks.filter(|network| network.contains(source.ip()));
        with_source.map(Network::prefix_length).max()
    }

    fn session_config(&self) -> SessionConfig {
        SessionConfig {
            passive: true,
            ..self.config.clone()
        }
    }
}

/// An interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Each address that it has, with the prefix that is on the link; at a point-to-point link also the other end.
    pub networks: Vec<Network>,
}

/// A snapshot of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeStatus {
    /// Its name.
    pub name: Arc<str>,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many there may be.
    pub max_sessions: usize,
    /// Packets that began no session because there were as many already.
    pub refused: u64,
    /// Sessions that could not be opened: by the driver, see [`Endpoint::release_failed`].
    pub failed: u64,
}

/// A range, and what has come of it.
#[derive(Debug)]
struct Acceptor {
    range: Range,
    sessions: BTreeSet<SessionId>,
    refused: u64,
    failed: u64,
    /// When it was full and no session could give way.
    searched_at: Option<Instant>,
    told_full_at: Option<Instant>,
    told_failed_at: Option<Instant>,
}

impl Acceptor {
    fn new(range: Range) -> Self {
        Self {
            range,
            sessions: BTreeSet::new(),
            refused: 0,
            failed: 0,
            searched_at: None,
            told_full_at: None,
            told_failed_at: None,
        }
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= self.range.max_sessions
    }
}

/// Ranges, and the links that they need.
#[derive(Debug, Default)]
pub(super) struct Acceptance {
    acceptors: Vec<Acceptor>,
    links: Vec<Link>,
}

impl Acceptance {
    fn find(&mut self, name: &str) -> Option<&mut Acceptor> {
        let mut acceptors = self.acceptors.iter_mut();
        acceptors.find(|acceptor| *acceptor.range.name == *name)
    }

    /// The range for a packet, and the link it came in at. RFC 9468 §2: the source must be in a network of that link.
    fn range_for(&self, meta: &RxMeta) -> Result<(&Range, &Link), Discard> {
        let index = meta.interface_index.ok_or(Discard::NoSession)?;
        let link = self.links.iter().find(|link| link.index == index);
        let name = link.map_or("", |link| link.name.as_str());
        let ranges = self.acceptors.iter().map(|acceptor| &acceptor.range);
        let matching = ranges.filter_map(|range| Some((range.matches(meta.source, name)?, range)));
        let (_, range) = matching
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
            .ok_or(Discard::NoSession)?;
        // RFC 5881 §5, RFC 9468 §6.1: who is not on the link cannot have sent it.
        if meta.ttl != Some(TRANSMIT_TTL) {
            let (got, minimum) = (meta.ttl, TRANSMIT_TTL);
            return Err(Discard::Ttl { got, minimum });
        }
        let (source, destination) = (meta.source.ip(), meta.destination);
        let is_ours = |network: &Network| network.address() == destination;
        let is_here = |link: &Link| link.networks.iter().any(is_ours);
        link.filter(|link| link.networks.iter().any(|it| it.contains(source)))
            // What answers a broadcast has no address to answer from.
            .filter(|_| destination.is_loopback() || self.links.iter().any(is_here))
            .map(|link| (range, link))
            .ok_or(Discard::OffLink)
    }
}

/// What an accepted session knows of its origin.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) range: Arc<str>,
    /// When the session is given up; `None` while it is Up.
    pub(super) give_up_at: Option<Instant>,
}

impl Accepted {
    /// RFC 9468 §2: what goes down, or does not come up, is deleted after a time that is at least the Detection Time. What the
    /// remote system takes down for good is so at once, since it may say AdminDown for as long as it likes.
    pub(super) fn follow(&mut self, change: &StateChange, detection_time: Duration) {
        let patience = RETENTION.max(detection_time);
        self.give_up_at = match (change.to, change.remote_state) {
            (State::Up | State::AdminDown, _) => None,
            (State::Down, State::AdminDown) => Some(change.at),
            _ => self.give_up_at.or(Some(change.at + patience)),
        };
    }
}

impl Entry {
    /// Whether nobody has been there for long enough.
    pub(super) fn is_given_up(&self, now: Instant) -> bool {
        let accepted = self.accepted.as_ref();
        accepted.is_some_and(|accepted| accepted.give_up_at.is_some_and(|at| at <= now))
    }
}

impl Endpoint {
    /// Says whom to accept sessions from. Sessions of a range of the same name stay, and follow its configuration; those
    /// that no range of that name would accept any more say AdminDown and end. A lower limit ends none.
    pub fn set_ranges(&mut self, now: Instant, ranges: Vec<Range>) {
        let mut former = std::mem::take(&mut self.acceptance.acceptors);
        let mut acceptors: Vec<_> = ranges.into_iter().map(Acceptor::new).collect();
        let mut ended = BTreeSet::new();
        for acceptor in &mut former {
            let heir = acceptors
                .iter_mut()
                .find(|heir| heir.range.name == acceptor.range.name);
            let Some(heir) = heir else {
                ended.append(&mut acceptor.sessions);
                continue;
            };
            let accepts = |id: &SessionId| {
                self.sessions.get(id).is_some_and(|entry| {
                    let interface = entry.key.interface.as_deref().unwrap_or_default();
                    entry.key.remote.port() == heir.range.port
                        && heir.range.matches(entry.key.remote, interface).is_some()
                })
            };
            let sessions = std::mem::take(&mut acceptor.sessions).into_iter();
            let (stay, end): (BTreeSet<_>, BTreeSet<_>) = sessions.partition(accepts);
            ended.extend(end);
            heir.sessions = stay;
            heir.refused = acceptor.refused;
            heir.failed = acceptor.failed;
            heir.told_full_at = acceptor.told_full_at;
            heir.told_failed_at = acceptor.told_failed_at;
        }
        let kept: Vec<_> = acceptors
            .iter()
            .flat_map(|it| {
                it.sessions
                    .iter()
                    .map(|id| (*id, it.range.session_config()))
            })
            .collect();
        self.acceptance.acceptors = acceptors;
        for (id, config) in kept {
            self.set_config(now, id, config);
        }
        for id in ended {
            self.remove(now, id);
        }
    }

    /// Says which interfaces there are: without, no range accepts anything.
    pub fn set_links(&mut self, links: Vec<Link>) {
        self.acceptance.links = links;
    }

    /// Whether there are ranges to accept sessions from.
    pub fn has_ranges(&self) -> bool {
        !self.acceptance.acceptors.is_empty()
    }

    /// A snapshot of every range.
    pub fn range_status(&self) -> Vec<RangeStatus> {
        let acceptors = self.acceptance.acceptors.iter();
        let status = acceptors.map(|acceptor| RangeStatus {
            name: Arc::clone(&acceptor.range.name),
            sessions: acceptor.sessions.len(),
            max_sessions: acceptor.range.max_sessions,
            refused: acceptor.refused,
            failed: acceptor.failed,
        });
        status.collect()
    }

    /// The range that a session was accepted from; `None` if it was added, or is unknown.
    pub fn range_of(&self, id: SessionId) -> Option<&Arc<str>> {
        let accepted = self.sessions.get(&id)?.accepted.as_ref()?;
        Some(&accepted.range)
    }

    /// Frees an accepted session that its driver cannot send for, and says whether that is worth telling, as it is once in a
    /// while. Other sessions, and unknown ids, are ignored.
    pub fn release_failed(&mut self, now: Instant, id: SessionId) -> bool {
        let Some(range) = self.range_of(id).cloned() else {
            return false;
        };
        self.release(now, id);
        self.acceptance.find(&range).is_some_and(|acceptor| {
            acceptor.failed += 1;
            let told = is_recent(now, acceptor.told_failed_at, TELL_INTERVAL);
            acceptor.told_failed_at = if told {
                acceptor.told_failed_at
            } else {
                Some(now)
            };
            !told
        })
    }

    /// RFC 9468 §2: a packet that no session is found for, and that may begin one, does. It is still to be handled.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        packet: &ControlPacket,
    ) -> Result<SessionId, Discard> {
        if !self.has_ranges()
            || meta.encapsulation != Encapsulation::SingleHop
            || packet.state != State::Down
        {
            return Err(Discard::NoSession);
        }
        let (range, link) = self.acceptance.range_for(meta)?;
        let (name, config) = (Arc::clone(&range.name), range.session_config());
        let key = SessionKey {
            remote: SocketAddr::new(meta.source.ip(), range.port),
            local: Some(meta.destination),
            interface: Some(link.name.clone()),
            hop: HopKind::Single,
        };
        if self.is_covered(meta) {
            return Err(Discard::NoSession);
        }
        authenticate(&config, packet)?;
        self.make_room(now, &name)?;
        if self.is_leaving(meta) {
            return Err(Discard::AdminDown);
        }
        let id = self.insert(now, key, meta.interface_index, config, Some(&name));
        if let Some(acceptor) = self.acceptance.find(&name) {
            acceptor.sessions.insert(id);
        }
        self.agenda.events.push_back(Event::Accepted(id));
        Ok(id)
    }

    /// What was added knows its remote system better than a range does.
    fn is_covered(&self, meta: &RxMeta) -> bool {
        let place = (meta.encapsulation, meta.source.ip());
        let ids = self.by_remote.get(&place).into_iter().flatten();
        let mut entries = ids.filter_map(|id| self.sessions.get(id));
        entries.any(|entry| entry.accepted.is_none() && entry.is_at(meta.interface_index))
    }

    /// The remote system is still being told that there is no session.
    fn is_leaving(&self, meta: &RxMeta) -> bool {
        let mut entries = self.leaving.iter().filter_map(|id| self.sessions.get(id));
        entries.any(|entry| {
            entry.key.hop == HopKind::Single
                && entry.key.remote.ip() == meta.source.ip()
                && entry.is_at(meta.interface_index)
        })
    }

    /// RFC 9468 §6.1: as many as were allowed, whoever knocks. A session that has fallen silent gives way.
    fn make_room(&mut self, now: Instant, name: &str) -> Result<(), Discard> {
        let Some(acceptor) = self.acceptance.find(name).filter(|it| it.is_full()) else {
            return Ok(());
        };
        if !is_recent(now, acceptor.searched_at, SEARCH_INTERVAL) {
            let sessions = acceptor.sessions.iter();
            let silent = sessions.filter_map(|id| {
                let entry = self.sessions.get(id)?;
                let silent = entry.session.state() == State::Down && !entry.session.hears();
                silent.then_some((entry.accepted.as_ref()?.give_up_at, *id))
            });
            if let Some((_, id)) = silent.min() {
                self.release(now, id);
                return Ok(());
            }
            acceptor.searched_at = Some(now);
        }
        acceptor.refused += 1;
        let limit = acceptor.range.max_sessions;
        if !is_recent(now, acceptor.told_full_at, TELL_INTERVAL) {
            acceptor.told_full_at = Some(now);
            let range = Arc::clone(&acceptor.range.name);
            self.agenda.events.push_back(Event::RangeFull { range });
        }
        Err(Discard::RangeFull { limit })
    }

    /// What is added takes the place of what was accepted there.
    pub(super) fn release_covered(
        &mut self,
        now: Instant,
        key: &SessionKey,
        interface_index: Option<u32>,
    ) {
        let place = (key.hop.encapsulation(), key.remote.ip());
        let ids = self.by_remote.get(&place).into_iter().flatten();
        let covered = |entry: &Entry| {
            entry.accepted.is_some()
                && (interface_index.is_none() || interface_index == entry.interface_index)
        };
        let ids: Vec<_> = ids
            .copied()
            .filter(|id| self.sessions.get(id).is_some_and(covered))
            .collect();
        for id in ids {
            self.release(now, id);
        }
    }

    /// RFC 9468 §2: the passive side stops sending, and knows nothing any more.
    pub(super) fn release(&mut self, now: Instant, id: SessionId) {
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.rest = entry.session.longest_detection_time() * 2;
            self.forget_place(id);
            self.free(now, id);
        }
    }

    /// A session of a range is no longer one.
    pub(super) fn leave_range(&mut self, range: &str, id: SessionId) {
        if let Some(acceptor) = self.acceptance.find(range) {
            acceptor.sessions.remove(&id);
        }
    }
}

fn is_recent(now: Instant, at: Option<Instant>, interval: Duration) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < interval)
}

/// RFC 9468 §6.1, RFC 5880 §6.7: whoever has not the key begins nothing.
fn authenticate(config: &SessionConfig, packet: &ControlPacket) -> Result<(), Discard> {
    match &config.authentication {
        Some(authentication) => Authenticator::new(authentication.clone(), 0).verify(packet),
        None if packet.authentication.is_some() => Err(Discard::UnexpectedAuthentication),
        None => Ok(()),
    }
}
