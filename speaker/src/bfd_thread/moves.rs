//! Who has come to a session and who has left one because of the configuration: the engine reports
//! neither, for it does not know whom its sessions run for.

use bfd::SessionId;

use super::place::Place;
use crate::config::Party;

/// What one step has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Those who have come to a session that was there, each with those who had it before.
    pub joined: Vec<(Party, Vec<Party>)>,
    /// Those whose session has ended, or runs for others only.
    pub left: Vec<Party>,
}

/// Who has a session, and which.
pub(super) type User = (Party, SessionId);

impl Moves {
    pub(super) fn between(before: &[User], after: &[User]) -> Self {
        let left = before.iter().filter(|had| !after.contains(had));
        let joined = after.iter().filter(|has| !before.contains(has));
        let joined = joined.filter_map(|(user, id)| {
            let others = before.iter().filter(|(_, other)| other == id);
            let others: Vec<Party> = others.map(|(other, _)| other.clone()).collect();
            (!others.is_empty()).then(|| (user.clone(), others))
        });
        Self {
            joined: joined.collect(),
            left: left.map(|(user, _)| user.clone()).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }
}

pub(super) fn users_of(place: &Place) -> Vec<User> {
    let sessions = place.sessions.values();
    let running = sessions.filter_map(|running| Some((running, *running.id.as_ref().ok()?)));
    let users = running.flat_map(|(running, id)| running.users.iter().map(move |user| (user, id)));
    users.map(|(user, id)| (user.clone(), id)).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::PeerName;

    fn user(name: &str, id: u32) -> (Party, SessionId) {
        let name = PeerName::new(name).unwrap();
        (
            Party::Peer(name),
            SessionId::new(NonZeroU32::new(id).unwrap()),
        )
    }

    fn party(name: &str) -> Party {
        user(name, 1).0
    }

    #[test]
    fn who_shares_a_session_from_here_on_has_joined_it() {
        let moves = Moves::between(&[user("a", 1)], &[user("a", 1), user("b", 1)]);
        assert_eq!(moves.joined, [(party("b"), vec![party("a")])]);
        assert_eq!(moves.left, []);
    }

    #[test]
    fn a_session_that_is_new_was_joined_by_nobody() {
        assert!(Moves::between(&[], &[user("a", 1)]).is_empty());
    }

    #[test]
    fn who_has_another_session_has_left_the_former() {
        let moves = Moves::between(&[user("a", 1), user("b", 1)], &[user("a", 2)]);
        assert_eq!(moves.left, [party("a"), party("b")]);
        assert_eq!(moves.joined, []);
    }

    #[test]
    fn a_session_goes_on_under_another_name() {
        let moves = Moves::between(&[user("a", 1)], &[user("b", 1)]);
        assert_eq!(moves.joined, [(party("b"), vec![party("a")])]);
        assert_eq!(moves.left, [party("a")]);
    }
}
