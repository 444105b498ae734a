//! Records as lines of JSON, for the journal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bgp::Notification;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BfdCause, BfdSight, CutOff, Kind, Record, Subject, What};
use crate::config::Party;
use crate::services::Verdict;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Happened(Stored),
    /// Somebody was removed; who comes back under that name is another.
    Forgotten(Party),
    /// More happened than could be written.
    Lost {
        /// Microseconds since 1970.
        at: u64,
        count: u64,
    },
}

impl Line {
    pub(super) fn lost(at: SystemTime, count: u64) -> Self {
        let at = micros_of(at);
        Self::Lost { at, count }
    }

    /// When, if it says so.
    pub(super) fn at(&self) -> Option<SystemTime> {
        match self {
            Self::Happened(stored) => stored.at(),
            Self::Lost { at, .. } => UNIX_EPOCH.checked_add(Duration::from_micros(*at)),
            Self::Forgotten(_) => None,
        }
    }
}

/// A record that was new.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Microseconds since 1970.
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) party: Option<Party>,
    pub(super) subject: Subject,
    /// It is what somebody did.
    #[serde(default)]
    pub(super) is_note: bool,
    #[serde(with = "WhatForm")]
    pub(super) what: What,
}

impl Stored {
    pub(super) fn at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_micros(self.at))
    }
}

impl From<&Record> for Stored {
    fn from(record: &Record) -> Self {
        Self {
            at: micros_of(record.last),
            party: record.party.clone(),
            subject: record.subject,
            is_note: record.kind == Kind::Note,
            what: record.what.clone(),
        }
    }
}

fn micros_of(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "What", rename_all = "snake_case")]
enum WhatForm {
    Bgp {
        #[serde(with = "BgpState")]
        from: bgp::State,
        #[serde(with = "BgpState")]
        to: bgp::State,
        #[serde(with = "CauseForm")]
        cause: bgp::Cause,
    },
    Bfd {
        #[serde(with = "BfdState")]
        from: bfd::State,
        #[serde(with = "BfdState")]
        to: bfd::State,
        #[serde(with = "BfdCauseForm")]
        cause: BfdCause,
    },
    Service {
        #[serde(with = "VerdictForm")]
        from: Verdict,
        #[serde(with = "VerdictForm")]
        to: Verdict,
        cause: Box<str>,
    },
    CutOff(CutOff),
    Note(Box<str>),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Verdict")]
enum VerdictForm {
    Healthy,
    Unhealthy,
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "bgp::State")]
enum BgpState {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "bfd::State")]
enum BfdState {
    AdminDown,
    Down,
    Init,
    Up,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "bgp::Cause", rename_all = "snake_case")]
enum CauseForm {
    Start,
    Stopped,
    Connected,
    ConnectFailed(String),
    ConnectRetry,
    DelayOpen,
    OpenReceived,
    BfdUp,
    KeepaliveReceived,
    ConnectionLost,
    NotificationReceived(#[serde(with = "NotificationForm")] Notification),
    NotificationSent(#[serde(with = "NotificationForm")] Notification),
    SendHoldTimerExpired,
    Restarting,
    NeighborRestarted,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Notification")]
struct NotificationForm {
    code: u8,
    subcode: u8,
    #[serde(
        default,
        skip_serializing_if = "Bytes::is_empty",
        serialize_with = "put_octets",
        deserialize_with = "take_octets"
    )]
    data: Bytes,
}

fn put_octets<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    octets.as_ref().serialize(serializer)
}

fn take_octets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Vec::deserialize(deserializer).map(Bytes::from)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BfdCause", rename_all = "snake_case")]
enum BfdCauseForm {
    Protocol(#[serde(with = "BfdSightForm")] BfdSight),
    Ours(Box<str>),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BfdSight")]
struct BfdSightForm {
    #[serde(with = "diagnostic")]
    local_diag: bfd::Diagnostic,
    #[serde(with = "diagnostic")]
    remote_diag: bfd::Diagnostic,
    #[serde(with = "BfdState")]
    remote_state: bfd::State,
    #[serde(with = "micros", default, skip_serializing_if = "Option::is_none")]
    silence: Option<Duration>,
    #[serde(with = "micros", default, skip_serializing_if = "Option::is_none")]
    detection_time: Option<Duration>,
}

mod diagnostic {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        diagnostic: &bfd::Diagnostic,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        diagnostic.code().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<bfd::Diagnostic, D::Error> {
        let code = u8::deserialize(deserializer)?;
        bfd::Diagnostic::new(code).ok_or_else(|| serde::de::Error::custom("no diagnostic"))
    }
}

mod micros {
    use std::time::Duration;

    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        duration.map(micros).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let micros = Option::<u64>::deserialize(deserializer)?;
        Ok(micros.map(Duration::from_micros))
    }
}
