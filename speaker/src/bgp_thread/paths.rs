//! What is of no use without a path that BFD watches. The BGP thread withdraws it on its own, and
//! the speaker hears of the path a little later: what either of them says meanwhile must neither
//! announce it again too early nor leave it withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Addressees, Dependents};

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Paths {
    dependents: Dependents,
    /// Sessions whose paths have failed, and that have not been up since.
    failed: BTreeSet<bfd::SessionId>,
    /// What was withdrawn here and not by the speaker, which has not spoken of it since.
    withheld: BTreeSet<IpNet>,
}

impl Paths {
    /// Replaces what depends on each session. Returns what was withheld and depends on nothing that
    /// has failed: the speaker is to say again what is to become of it.
    pub(super) fn set_dependents(&mut self, dependents: Dependents) -> BTreeSet<IpNet> {
        self.dependents = dependents;
        let withheld = std::mem::take(&mut self.withheld);
        let (withheld, released) = withheld.into_iter().partition(|prefix| self.is_cut(prefix));
        self.withheld = withheld;
        released
    }

    /// A path has failed. Returns what is to be withdrawn.
    pub(super) fn handle_failed(&mut self, session: bfd::SessionId) -> BTreeSet<IpNet> {
        self.failed.insert(session);
        let lost = self.dependents.get(&session).cloned().unwrap_or_default();
        self.withheld.extend(&lost);
        lost
    }

    /// A path works, or its session has been ended by us.
    pub(super) fn handle_recovered(&mut self, session: bfd::SessionId) {
        self.failed.remove(&session);
    }

    /// What becomes of changes that the speaker may have wanted before it heard of a failure.
    pub(super) fn admit(&mut self, changes: &mut BTreeMap<IpNet, Arc<Addressees>>) {
        if !self.withheld.is_empty() {
            self.withheld.retain(|prefix| !changes.contains_key(prefix));
        }
        for (prefix, peers) in changes {
            if !peers.is_empty() && self.is_cut(prefix) {
                *peers = Arc::default();
                self.withheld.insert(*prefix);
            }
        }
    }

    /// What is not to be announced, whoever was told so.
    pub(super) fn cut(&self) -> BTreeSet<IpNet> {
        let sessions = self.failed.iter();
        let cut = sessions.filter_map(|session| self.dependents.get(session));
        cut.flatten().copied().collect()
    }

    /// Of routes that were set anew, these were withdrawn at once.
    pub(super) fn withhold(&mut self, prefixes: &BTreeSet<IpNet>) {
        self.withheld.extend(prefixes);
    }

    fn is_cut(&self, prefix: &IpNet) -> bool {
        let mut sessions = self.failed.iter();
        sessions.any(|session| {
            let dependents = self.dependents.get(session);
            dependents.is_some_and(|dependents| dependents.contains(prefix))
        })
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

    fn on(number: u32) -> Dependents {
        [(session(number), [prefix()].into())].into()
    }

    fn depending_on(number: u32) -> Paths {
        let mut paths = Paths::default();
        assert!(paths.set_dependents(on(number)).is_empty());
        paths
    }

    /// Whether the prefix is announced when the speaker says so.
    fn is_admitted(paths: &mut Paths) -> bool {
        let peer = PeerName::new("tor1").unwrap();
        let peers: Addressees = [(peer, Arc::default())].into();
        let mut changes = [(prefix(), Arc::new(peers))].into();
        paths.admit(&mut changes);
        changes.values().all(|peers| !peers.is_empty())
    }

    #[test]
    fn what_was_withdrawn_and_depends_on_it_no_more_is_said_again() {
        let mut paths = depending_on(1);
        assert_eq!(paths.handle_failed(session(1)), [prefix()].into());
        assert_eq!(paths.set_dependents(Dependents::new()), [prefix()].into());
        assert!(is_admitted(&mut paths));
        assert!(paths.set_dependents(Dependents::new()).is_empty());
    }

    #[test]
    fn what_was_withdrawn_is_said_again_when_the_session_is_another() {
        let mut paths = depending_on(1);
        paths.handle_failed(session(1));
        assert_eq!(paths.set_dependents(on(2)), [prefix()].into());
        assert!(is_admitted(&mut paths));
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
        assert!(!is_admitted(&mut paths));
        assert!(paths.set_dependents(on(1)).is_empty(), "it still depends");
        paths.handle_recovered(session(1));
        assert!(is_admitted(&mut paths));
        assert!(paths.set_dependents(Dependents::new()).is_empty());
    }
}
