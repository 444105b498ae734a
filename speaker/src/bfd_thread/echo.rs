//! What is in the way of the echo function: told once when it begins, and once when it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bfd::{EchoObstacles, SessionId};

/// The BFD thread looks no more often either.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What has happened to an obstacle of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EchoNews {
    /// It is in the way.
    Begins(String),
    /// It was in the way, and is not.
    Ends(String),
}

/// What was told.
#[derive(Debug, Default)]
pub(super) struct EchoWatch {
    looked_at: Option<Instant>,
    known: BTreeMap<SessionId, BTreeSet<String>>,
}

impl EchoWatch {
    /// Whether it is time to look again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .looked_at
            .is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL);
        if due {
            self.looked_at = Some(now);
        }
        due
    }

    /// What is new of all sessions that have the echo function. Nothing is told of those that are
    /// gone.
    pub(super) fn news(
        &mut self,
        sessions: impl IntoIterator<Item = (SessionId, EchoObstacles)>,
    ) -> Vec<(SessionId, EchoNews)> {
        let before = std::mem::take(&mut self.known);
        let mut news = Vec::new();
        for (id, EchoObstacles { transmit, receive }) in sessions {
            // The same may be in the way of both.
            let found: BTreeSet<String> = [transmit, receive].into_iter().flatten().collect();
            let known = before.get(&id).cloned().unwrap_or_default();
            let begins = found.difference(&known).cloned().map(EchoNews::Begins);
            let ends = known.difference(&found).cloned().map(EchoNews::Ends);
            news.extend(begins.chain(ends).map(|news| (id, news)));
            self.known.insert(id, found);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacles(transmit: Option<&str>, receive: Option<&str>) -> EchoObstacles {
        EchoObstacles {
            transmit: transmit.map(str::to_owned),
            receive: receive.map(str::to_owned),
        }
    }

    #[test]
    fn an_obstacle_is_told_once_when_it_begins_and_once_when_it_ends() {
        let id = SessionId::new(7.try_into().unwrap());
        let mut watch = EchoWatch::default();
        let mut news = |transmit, receive| -> Vec<EchoNews> {
            let news = watch.news([(id, obstacles(transmit, receive))]);
            news.into_iter().map(|(_, news)| news).collect()
        };
        let begins = |what: &str| EchoNews::Begins(what.to_owned());
        let ends = |what: &str| EchoNews::Ends(what.to_owned());
        assert_eq!(news(None, None), []);
        assert_eq!(news(None, Some("sysctl")), [begins("sysctl")]);
        assert_eq!(news(None, Some("sysctl")), []);
        let both = news(Some("port"), Some("port"));
        assert_eq!(both, [begins("port"), ends("sysctl")]);
        assert_eq!(news(Some("port"), None), []);
        assert_eq!(news(None, None), [ends("port")]);
        assert_eq!(news(None, Some("sysctl")), [begins("sysctl")]);
        assert_eq!(watch.news([]), [], "the session is gone");
        assert_eq!(watch.known, BTreeMap::new());
    }

    #[test]
    fn it_is_not_looked_at_more_often_than_every_five_seconds() {
        let mut watch = EchoWatch::default();
        let now = Instant::now();
        assert!(watch.is_due(now));
        assert!(!watch.is_due(now + Duration::from_secs(4)));
        assert!(watch.is_due(now + Duration::from_secs(5)));
    }
}
