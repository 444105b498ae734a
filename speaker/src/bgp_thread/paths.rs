//! What is of no use without a path that BFD watches. The BGP thread withdraws it on its own, and
//! the speaker hears of the path a little later: what either of them says meanwhile must neither
//! announce it again too early nor leave it withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Addressees, Dependents, RouteChange};
use crate::config::BfdName;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The session that watches each path.
    sessions: BTreeMap<BfdName, bfd::SessionId>,
    dependents: Dependents,
    /// On which path each of them depends.
    paths: BTreeMap<IpNet, BfdName>,
    /// Sessions whose paths have failed, and that have not been up since.
    failed: BTreeSet<bfd::SessionId>,
    /// What was withdrawn here and not by the speaker, which has not spoken of it since.
    withheld: BTreeSet<IpNet>,
}

impl Paths {
    /// Replaces the sessions that watch the paths. Returns what was withheld and depends on nothing
    /// that has failed: the speaker is to say again what is to become of it.
    pub(super) fn set_sessions(
        &mut self,
        sessions: BTreeMap<BfdName, bfd::SessionId>,
    ) -> BTreeSet<IpNet> {
        self.sessions = sessions;
        self.release()
    }

    /// Replaces what depends on each path, and returns the like.
    pub(super) fn set_dependents(&mut self, dependents: Dependents) -> BTreeSet<IpNet> {
        let by_path = dependents.iter();
        let paths = by_path.flat_map(|(path, prefixes)| {
            let prefixes = prefixes.iter();
            prefixes.map(|prefix| (*prefix, path.clone()))
        });
        self.paths = paths.collect();
        self.dependents = dependents;
        self.release()
    }

    /// A path has failed. Returns what is to be withdrawn.
    pub(super) fn handle_failed(&mut self, session: bfd::SessionId) -> BTreeSet<IpNet> {
        self.failed.insert(session);
        let lost: BTreeSet<IpNet> = self.dependents_on(session).copied().collect();
        self.withheld.extend(&lost);
        lost
    }

    /// A path works, or its session has been ended by us.
    pub(super) fn handle_recovered(&mut self, session: bfd::SessionId) {
        self.failed.remove(&session);
    }

    /// What becomes of changes that the speaker may have wanted before it heard of a failure.
    pub(super) fn admit(
        &mut self,
        changes: BTreeMap<IpNet, RouteChange>,
    ) -> BTreeMap<IpNet, Arc<Addressees>> {
        let admitted = changes.into_iter().map(|(prefix, change)| {
            self.withheld.remove(&prefix);
            self.depend(prefix, change.path);
            if change.peers.is_empty() || !self.is_cut(&prefix) {
                return (prefix, change.peers);
            }
            self.withheld.insert(prefix);
            (prefix, Arc::default())
        });
        admitted.collect()
    }

    /// What is not to be announced, whoever was told so.
    pub(super) fn cut(&self) -> BTreeSet<IpNet> {
        let sessions = self.failed.iter();
        let cut = sessions.flat_map(|session| self.dependents_on(*session));
        cut.copied().collect()
    }

    /// Of routes that were set anew, these were withdrawn at once.
    pub(super) fn withhold(&mut self, prefixes: &BTreeSet<IpNet>) {
        self.withheld.extend(prefixes);
    }

    fn depend(&mut self, prefix: IpNet, path: Option<BfdName>) {
        if self.paths.get(&prefix) == path.as_ref() {
            return;
        }
        if let Some(former) = self.paths.remove(&prefix)
            && let Some(dependents) = self.dependents.get_mut(&former)
        {
            dependents.remove(&prefix);
            if dependents.is_empty() {
                self.dependents.remove(&former);
            }
        }
        if let Some(path) = path {
            let dependents = self.dependents.entry(path.clone()).or_default();
            dependents.insert(prefix);
            self.paths.insert(prefix, path);
        }
    }

    fn release(&mut self) -> BTreeSet<IpNet> {
        let withheld = std::mem::take(&mut self.withheld);
        let (withheld, released) = withheld.into_iter().partition(|prefix| self.is_cut(prefix));
        self.withheld = withheld;
        released
    }

    fn dependents_on(&self, session: bfd::SessionId) -> impl Iterator<Item = &IpNet> {
        let paths = self.sessions.iter().filter(move |(_, id)| **id == session);
        paths
            .filter_map(|(path, _)| self.dependents.get(path))
            .flatten()
    }

    fn is_cut(&self, prefix: &IpNet) -> bool {
        let path = self.paths.get(prefix);
        let session = path.and_then(|path| self.sessions.get(path));
        session.is_some_and(|session| self.failed.contains(session))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use bfd::SessionId;

    use super::*;
    use crate::config::PeerName;

    fn session(number: u32) -> SessionId {
        SessionId::new(NonZeroU32::new(number).unwrap())
    }

    fn prefix() -> IpNet {
        "192.0.2.1/32".parse().unwrap()
    }

    fn storage() -> BfdName {
        BfdName::new("storage").unwrap()
    }

    /// The path, watched by this session.
    fn on(number: u32) -> BTreeMap<BfdName, SessionId> {
        [(storage(), session(number))].into()
    }

    fn depending_on(number: u32) -> Paths {
        let mut paths = Paths::default();
        assert!(paths.set_sessions(on(number)).is_empty());
        let dependents = [(storage(), [prefix()].into())].into();
        assert!(paths.set_dependents(dependents).is_empty());
        paths
    }

    /// Whether the prefix is announced when the speaker says so.
    fn is_admitted(paths: &mut Paths, path: Option<BfdName>) -> bool {
        let peer = PeerName::new("tor1").unwrap();
        let peers: Addressees = [(peer, Arc::default())].into();
        let peers = Arc::new(peers);
        let admitted = paths.admit([(prefix(), RouteChange { peers, path })].into());
        admitted.values().all(|peers| !peers.is_empty())
    }

    #[test]
    fn what_was_withdrawn_and_depends_on_it_no_more_is_said_again() {
        let mut paths = depending_on(1);
        assert_eq!(paths.handle_failed(session(1)), [prefix()].into());
        assert_eq!(paths.set_dependents(Dependents::new()), [prefix()].into());
        assert!(is_admitted(&mut paths, None));
        assert!(paths.set_dependents(Dependents::new()).is_empty());
    }

    #[test]
    fn what_depends_on_it_no_more_is_announced_with_the_same_word() {
        let mut paths = depending_on(1);
        paths.handle_failed(session(1));
        assert!(is_admitted(&mut paths, None));
        assert!(paths.cut().is_empty());
        assert!(paths.handle_failed(session(1)).is_empty());
        assert!(!is_admitted(&mut paths, Some(storage())));
        assert_eq!(paths.cut(), [prefix()].into());
    }

    #[test]
    fn what_was_withdrawn_is_said_again_when_the_session_is_another() {
        let mut paths = depending_on(1);
        paths.handle_failed(session(1));
        assert_eq!(paths.set_sessions(on(2)), [prefix()].into());
        assert!(is_admitted(&mut paths, Some(storage())));
    }

    #[test]
    fn a_path_that_has_been_up_since_does_not_hide_that_something_was_withdrawn() {
        let mut paths = depending_on(1);
        paths.handle_failed(session(1));
        paths.handle_recovered(session(1));
        assert_eq!(paths.set_dependents(Dependents::new()), [prefix()].into());
    }

    #[test]
    fn what_the_speaker_wanted_before_it_heard_of_the_failure_waits() {
        let mut paths = depending_on(1);
        paths.handle_failed(session(1));
        assert!(!is_admitted(&mut paths, Some(storage())));
        assert!(paths.set_sessions(on(1)).is_empty(), "it still depends");
        paths.handle_recovered(session(1));
        assert!(is_admitted(&mut paths, Some(storage())));
        assert!(paths.set_dependents(Dependents::new()).is_empty());
    }
}
