//! What a peer's last session said and how it ended, also when that was of a former run of the daemon:
//! then the history knows.

use std::time::SystemTime;

use bgp::{Cause, Notification, SessionStatus};

use super::{NotificationStatus, ResetStatus, millis, text, time};
use crate::config::{Party, PeerName};
use crate::control::Snapshot;
use crate::history::{Record, Subject, What};

impl Snapshot {
    pub(super) fn last_reset(
        &self,
        name: &PeerName,
        session: Option<&SessionStatus>,
    ) -> Option<ResetStatus> {
        if let Some(reset) = session.and_then(|session| session.last_reset.as_ref()) {
            return Some(ResetStatus {
                at: self.time(reset.at),
                ago_ms: millis(self.ago(reset.at)),
                from: reset.from.to_string(),
                cause: reset.cause.to_string(),
            });
        }
        let lost = self.records_of(name).find(|record| record.what.is_down())?;
        let [from, _] = lost.what.states()?;
        Some(ResetStatus {
            at: time(lost.last),
            ago_ms: self.millis_since(lost.last),
            from,
            cause: lost.what.to_string(),
        })
    }

    pub(super) fn last_notification_sent(
        &self,
        name: &PeerName,
        session: Option<&SessionStatus>,
    ) -> Option<NotificationStatus> {
        if let Some((at, said)) = session.and_then(|it| it.last_notification_sent.as_ref()) {
            return Some(notification(self.time(*at), millis(self.ago(*at)), said));
        }
        self.remembered(name, |cause| match cause {
            Cause::NotificationSent(said) => Some(said),
            _ => None,
        })
    }

    pub(super) fn last_notification_received(
        &self,
        name: &PeerName,
        session: Option<&SessionStatus>,
    ) -> Option<NotificationStatus> {
        if let Some((at, said)) = session.and_then(|it| it.last_notification_received.as_ref()) {
            return Some(notification(self.time(*at), millis(self.ago(*at)), said));
        }
        self.remembered(name, |cause| match cause {
            Cause::NotificationReceived(said) => Some(said),
            _ => None,
        })
    }

    fn remembered(
        &self,
        name: &PeerName,
        said: fn(&Cause) -> Option<&Notification>,
    ) -> Option<NotificationStatus> {
        self.records_of(name).find_map(|record| match &record.what {
            What::Bgp { cause, .. } => {
                let ago = self.millis_since(record.last);
                said(cause).map(|said| notification(time(record.last), ago, said))
            }
            _ => None,
        })
    }

    /// What happened to its BGP session, the latest first.
    fn records_of(&self, name: &PeerName) -> impl Iterator<Item = &Record> {
        let records = self.history.get(&(Party::from(name), Subject::Bgp));
        records.into_iter().flat_map(|records| records.iter().rev())
    }

    fn millis_since(&self, at: SystemTime) -> u64 {
        millis(self.now.1.duration_since(at).unwrap_or_default())
    }
}

fn notification(at: String, ago_ms: u64, said: &Notification) -> NotificationStatus {
    NotificationStatus {
        at,
        ago_ms,
        text: said.to_string(),
        code: said.code,
        subcode: said.subcode,
        hard_reset_reason: text(said.hard_reset_reason()),
        communication: said.communication().map(str::to_owned),
    }
}
