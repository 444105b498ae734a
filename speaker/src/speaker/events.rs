//! What the BGP and BFD threads report: said in the log once, and remembered.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bgp::{Cause, Event, MalformedUpdate, State, Transition};
use ipnet::IpNet;
use tracing::{debug, error_span, info, warn};

use super::Speaker;
use crate::bfd_thread::Moves;
use crate::bgp_thread::BgpEvent;
use crate::config::{HookSubject, Party, PeerName};
use crate::history::{BfdCause, Novelty, Subject, What};
use crate::hooks::Occurrence;
use crate::malformed::Malformed;

/// How much time there is at least between two lines about errors in the UPDATEs of a peer.
const ERRORS_APART: Duration = Duration::from_secs(10);

impl Speaker {
    /// A peer that was removed may have said something before it knew.
    pub(super) fn handle_bgp(&mut self, BgpEvent { peer, event, .. }: BgpEvent) {
        let Some(config) = self.config.peers.get(&peer) else {
            return;
        };
        if let Event::Established(_) = &event {
            *self.sessions.entry(peer.clone()).or_default() += 1;
        }
        let session = self.sessions.get(&peer).copied().unwrap_or_default();
        // At the level that is always written, so that whatever is said here says about whom.
        let span = error_span!("bgp", remote = %config.address, session);
        let _entered = span.enter();
        match event {
            Event::StateChanged(transition) => self.handle_transition(&peer, &transition),
            Event::Established(negotiated) => info!(
                %peer,
                remote_as = %negotiated.remote_as,
                remote_id = %negotiated.remote_identifier,
                hold_time = ?negotiated.hold_time.unwrap_or_default(),
                "BGP session established"
            ),
            Event::MalformedUpdate(update) => self.handle_malformed(&peer, &update),
            Event::PrefixLimitNear {
                family,
                count,
                limit,
            } => {
                let what = format!(
                    "announces {count} {family} prefixes, nearly the {limit} that max-prefixes allows"
                );
                warn!(%peer, "{what}");
                let at = SystemTime::now();
                self.remember(at, (&peer).into(), Subject::Bgp, What::note(&what));
            }
            Event::Unsendable(prefix) => self.handle_unsendable(&peer, prefix),
            _ => {}
        }
    }

    fn handle_transition(&mut self, peer: &PeerName, transition: &Transition) {
        let Transition {
            from, to, cause, ..
        } = transition;
        // One that has announced too many prefixes is not to be forgotten, and let in anew.
        if !is_prefix_limit(cause) {
            self.note_presence(peer, *to);
        }
        let lost = *from == State::Established;
        if *to == State::Established {
            self.established.insert(peer.clone());
        } else {
            self.established.remove(peer);
            self.unsendable.remove(peer);
        }
        if !lost && *to != State::Established && !is_failure(cause) {
            debug!(%peer, %from, %to, "BGP: {cause}");
            return;
        }
        let states = [from.to_string(), to.to_string()];
        if lost != (*to == State::Established) {
            self.tell_hooks(HookSubject::Peer, &peer.into(), !lost, &states, cause);
        }
        let what = What::Bgp {
            from: *from,
            to: *to,
            cause: cause.clone(),
        };
        let at = time_of_day(transition.at);
        let novelty = self.remember(at, peer.into(), Subject::Bgp, what);
        match (lost, novelty) {
            (true, _) if is_our_will(cause) => info!(%peer, "BGP session ended: {cause}"),
            (true, _) => warn!(%peer, "BGP session lost: {cause}"),
            (false, _) if *to == State::Established => {}
            (false, Novelty::New) => {
                warn!(%peer, %from, "BGP session not established: {cause}; further attempts are logged when this changes");
            }
            (false, Novelty::Repeated) => debug!(%peer, %from, %to, "BGP: {cause}"),
        }
    }

    /// RFC 7606 §8: what is wrong, with which prefixes, and the whole message. Said when it is other
    /// than before, and not too often; counted always.
    fn handle_malformed(&mut self, peer: &PeerName, update: &MalformedUpdate) {
        let now = Instant::now();
        let malformed = Arc::new(Malformed::new(SystemTime::now(), update));
        let errors = malformed.errors.join(", ");
        let before = self.malformed.insert(peer.clone(), Arc::clone(&malformed));
        let same = before.is_some_and(|before| before.errors == malformed.errors);
        let said = self.errors_said.get(peer);
        if !same && said.is_some_and(|said| now.duration_since(*said) < ERRORS_APART) {
            debug!(%peer, "UPDATE with errors: {errors}");
            return;
        }
        let what = format!("received an UPDATE with errors: {errors}");
        let what = What::note(&what);
        let novelty = self.remember(malformed.at, peer.into(), Subject::Bgp, what);
        if novelty == Novelty::Repeated {
            debug!(%peer, "UPDATE with errors: {errors}");
            return;
        }
        self.errors_said.insert(peer.clone(), now);
        warn!(
            %peer,
            prefixes = malformed.prefix_list(),
            message = malformed.hex(),
            "received an UPDATE with errors that do not end the session: {errors}; more of the kind are only counted"
        );
    }

    /// Said once for all routes with the same attributes.
    fn handle_unsendable(&mut self, peer: &PeerName, prefix: IpNet) {
        let said = self.announcer.announcements().get(&prefix);
        let said = said.and_then(|said| said.peers.get(peer));
        let Some(attributes) = said.cloned() else {
            return;
        };
        let unsendable = self.unsendable.entry(peer.clone()).or_default();
        let known = unsendable.values().any(|other| *other == attributes);
        unsendable.insert(prefix, attributes);
        if known {
            debug!(%peer, %prefix, "route not announced: its attributes are too long");
            return;
        }
        let cause = format!(
            "route {prefix} is not announced, nor are others with its attributes: they leave no room for a prefix in a BGP message; give it fewer communities"
        );
        let at = SystemTime::now();
        match self.remember(at, peer.into(), Subject::Bgp, What::note(&cause)) {
            Novelty::New => warn!(%peer, "{cause}"),
            Novelty::Repeated => debug!(%peer, "{cause}"),
        }
    }

    pub(super) fn handle_bfd_change(&mut self, change: &bfd::StateChange) {
        if change.to == bfd::State::Up {
            self.bfd.note_up(change.session);
        }
        for party in self.bfd.users(change.session).to_vec() {
            if self.is_known(&party) {
                self.note_bfd(&party, change);
            }
        }
    }

    /// Also one that came by a range, and whose sessions end after it has gone.
    fn is_known(&self, party: &Party) -> bool {
        self.is_configured(party) || self.history.remembers(party)
    }

    fn is_configured(&self, party: &Party) -> bool {
        match party {
            Party::Peer(name) => self.config.peers.contains_key(name),
            Party::BfdSession(name) => {
                self.config.bfd_sessions.contains_key(name) || self.bfd.range_of(party).is_some()
            }
            Party::Service(name) => self.refuse_unknown_service(name).is_ok(),
        }
    }

    /// The end of a session that our own configuration or command has ended, and that somebody
    /// shares one which was up already.
    pub(super) fn note_bfd_moves(&mut self) {
        for Moves { joined, left } in self.bfd.take_moves() {
            self.paths_changed = true;
            let is_up = |party: &Party| self.up.contains_key(&(HookSubject::Bfd, party.clone()));
            let joined = joined
                .into_iter()
                .filter(|(_, others)| others.iter().any(is_up));
            let joined: Vec<Party> = joined.map(|(party, _)| party).collect();
            let left: Vec<Party> = left.into_iter().filter(is_up).collect();
            let (up, ended) = (bfd::State::Up, bfd::State::AdminDown);
            for party in left {
                self.note_bfd_move(&party, [up, ended], "ended by our configuration or command");
            }
            for party in joined {
                self.note_bfd_move(&party, [ended, up], "shares a session that was up already");
            }
        }
    }

    /// The end of a session that was up, and that the BFD thread has not told of.
    pub(super) fn note_bfd_end(&mut self, party: &Party, cause: &str) {
        if self.up.contains_key(&(HookSubject::Bfd, party.clone())) {
            let states = [bfd::State::Up, bfd::State::AdminDown];
            self.note_bfd_move(party, states, cause);
        }
    }

    fn note_bfd_move(&mut self, party: &Party, [from, to]: [bfd::State; 2], cause: &str) {
        let peer = party.peer().map(tracing::field::display);
        let bfd_session = party.bfd_session().map(tracing::field::display);
        let up = to == bfd::State::Up;
        match up {
            true => info!(peer, bfd_session, "BFD session up: {cause}"),
            false => info!(peer, bfd_session, "BFD session ended: {cause}"),
        }
        let states = [from.to_string(), to.to_string()];
        self.tell_hooks(HookSubject::Bfd, party, up, &states, &cause);
        if up && let Some(name) = party.bfd_session() {
            self.path_changed(name, true, cause);
        }
        // What was removed is forgotten.
        if self.is_known(party) {
            let what = What::Bfd {
                from,
                to,
                cause: BfdCause::Ours(cause.into()),
            };
            self.remember(SystemTime::now(), party.clone(), Subject::Bfd, what);
        }
    }

    /// What the BGP session of a peer that was removed says last finds nobody who remembers it.
    pub(super) fn tell_hooks_of_removal(&mut self, peer: &PeerName) {
        let states = [State::Established, State::Idle].map(|state| state.to_string());
        let cause = "the peer was removed";
        self.tell_hooks(HookSubject::Peer, &peer.into(), false, &states, &cause);
    }

    fn note_bfd(&mut self, party: &Party, change: &bfd::StateChange) {
        let (from, to) = (change.from, change.to);
        let peer = party.peer().map(tracing::field::display);
        let bfd_session = party.bfd_session().map(tracing::field::display);
        let remote = self.bfd.remote(change.session);
        let remote = remote.map(tracing::field::display);
        let span = error_span!("bfd", remote, session = change.session.local_discr().get());
        let _entered = span.enter();
        let cause = What::from(change);
        let states = [from.to_string(), to.to_string()];
        match (from, to) {
            (_, bfd::State::Up) => info!(peer, bfd_session, "BFD session up"),
            (bfd::State::Up, _) if change.remote_state == bfd::State::AdminDown => {
                info!(peer, bfd_session, "BFD session ended: {cause}");
            }
            (bfd::State::Up, bfd::State::Down) => {
                warn!(peer, bfd_session, "BFD session DOWN: {cause}")
            }
            _ => debug!(peer, bfd_session, %from, %to, "BFD: {cause}"),
        }
        if from == bfd::State::Up || to == bfd::State::Up {
            let up = to == bfd::State::Up;
            self.tell_hooks(HookSubject::Bfd, party, up, &states, &cause);
        }
        let at = time_of_day(change.at);
        let text = cause.to_string();
        self.remember(at, party.clone(), Subject::Bfd, cause);
        self.note_path(party, change, &text);
    }

    /// Something comes up once, and goes down once after that.
    pub(super) fn tell_hooks(
        &mut self,
        subject: HookSubject,
        party: &Party,
        up: bool,
        states: &[String; 2],
        cause: &impl ToString,
    ) {
        let peer = party.peer().and_then(|name| self.config.peers.get(name));
        let range = peer.and_then(|peer| peer.range.clone());
        let key = (subject, party.clone());
        let range = match (up, self.up.remove(&key)) {
            (true, before) => {
                self.up.insert(key, range.clone());
                if before.is_some() {
                    return;
                }
                range
            }
            // A peer that was removed is not in the configuration.
            (false, Some(before)) => range.or(before),
            (false, None) => return,
        };
        self.hooks.tell(&Occurrence {
            at: SystemTime::now(),
            party: party.clone(),
            range,
            bfd_range: self.bfd.range_of(party).cloned(),
            subject,
            up,
            states: states.clone(),
            cause: cause.to_string(),
        });
    }
}

/// What the clock on the wall said then.
fn time_of_day(at: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}

/// Whether a session that was not there yet did not come about.
const fn is_failure(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectFailed(_)
            | Cause::ConnectionLost
            | Cause::NotificationReceived(_)
            | Cause::NotificationSent(_)
            | Cause::SendHoldTimerExpired
    )
}

/// Whether the operator of this host wanted it: a restart, or Cease other than for BFD Down, whatever is around
/// it (RFC 8538 §3).
fn is_our_will(cause: &Cause) -> bool {
    use bgp::wire::code;
    use bgp::wire::subcode::cease;
    let sent = match cause {
        Cause::Restarting => return true,
        Cause::NotificationSent(notification) => notification,
        _ => return false,
    };
    let reason = sent.hard_reset_reason();
    let reason = reason.as_ref().unwrap_or(sent);
    reason.code == code::CEASE
        && matches!(
            reason.subcode,
            cease::ADMINISTRATIVE_SHUTDOWN
                ..=cease::ADMINISTRATIVE_RESET | cease::OTHER_CONFIGURATION_CHANGE
        )
}

fn is_prefix_limit(cause: &Cause) -> bool {
    matches!(cause, Cause::NotificationSent(notification) if notification.prefix_limit().is_some())
}

#[cfg(test)]
mod tests {
    use bgp::Notification;
    use bgp::wire::code;
    use bgp::wire::subcode::cease;

    use super::*;

    #[test]
    fn a_planned_end_is_our_will() {
        let cease = |subcode| Notification::with_data(code::CEASE, subcode, &[]);
        let ended = [
            cease(cease::ADMINISTRATIVE_SHUTDOWN),
            cease(cease::PEER_DECONFIGURED),
            Notification::hard_reset(&cease(cease::ADMINISTRATIVE_SHUTDOWN)),
            Notification::hard_reset(&cease(cease::ADMINISTRATIVE_RESET)),
        ];
        for notification in ended {
            let cause = Cause::NotificationSent(notification);
            assert!(is_our_will(&cause), "{cause}");
        }
        assert!(is_our_will(&Cause::Restarting));

        let lost = [
            cease(cease::BFD_DOWN),
            Notification::hard_reset(&cease(cease::BFD_DOWN)),
            Notification::with_data(code::HOLD_TIMER_EXPIRED, 0, &[]),
        ];
        for notification in lost {
            let cause = Cause::NotificationSent(notification);
            assert!(!is_our_will(&cause), "{cause}");
        }
        let theirs = cease(cease::ADMINISTRATIVE_SHUTDOWN);
        assert!(!is_our_will(&Cause::NotificationReceived(theirs)));
        assert!(!is_our_will(&Cause::NeighborRestarted));
    }
}
