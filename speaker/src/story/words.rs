//! Durations, times and causes, as people say them.

use std::time::{Duration, SystemTime};

use bgp::wire::code;
use bgp::wire::subcode::{cease, open};
use bgp::{Cause, Notification};

use crate::history::{BfdCause, BfdSight, What};

/// A duration to two units: `153 ms`, `4.2 s`, `12m 05s`, `3h 12m`, `2d 03h`.
pub(super) fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) if seconds == 0 => format!("{} ms", duration.as_millis()),
        (0, 0, 0) => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

/// The time of day; with the date, if that is another.
pub(super) fn clock(at: SystemTime, now: SystemTime) -> String {
    let text = |time| humantime::format_rfc3339_seconds(time).to_string();
    let parts = |text: &str| {
        let (date, time) = text.split_once('T').unwrap_or(("", text));
        (date.to_owned(), time.trim_end_matches('Z').to_owned())
    };
    let (date, time) = parts(&text(at));
    match date == parts(&text(now)).0 {
        true => format!("{time} UTC"),
        false => format!("{date} {time} UTC"),
    }
}

pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// Why a BGP session was lost; `bfd` is what BFD saw then.
pub(super) fn loss(cause: &Cause, bfd: Option<&BfdSight>) -> String {
    match cause {
        Cause::NotificationSent(said) => {
            let reason = said.hard_reset_reason();
            let why = sent(reason.as_ref().unwrap_or(said), bfd);
            match reason {
                Some(_) => format!("{why}, as a Hard Reset: it dropped our routes at once"),
                None => why,
            }
        }
        Cause::NotificationReceived(said) => {
            let reason = said.hard_reset_reason();
            received(reason.as_ref().unwrap_or(said))
        }
        Cause::ConnectionLost => "TCP was closed or broke, without a word from it".to_owned(),
        Cause::SendHoldTimerExpired => {
            "it took nothing from us for the send hold time, so we closed TCP".to_owned()
        }
        Cause::Restarting => {
            "we closed TCP for our own restart, to come back to the routes that it keeps".to_owned()
        }
        Cause::NeighborRestarted => {
            "it opened another connection, as one does that has restarted".to_owned()
        }
        Cause::Stopped => "it was stopped here".to_owned(),
        other => other.to_string(),
    }
}

fn sent(said: &Notification, bfd: Option<&BfdSight>) -> String {
    let text = said.communication();
    let told = text.map_or_else(String::new, |text| format!(", and told it {text:?}"));
    match (said.code, said.subcode) {
        (code::CEASE, cease::BFD_DOWN) => {
            let saw = bfd.map_or_else(|| "the path is down".to_owned(), sight);
            format!("BFD said that {saw}, so we closed with Cease/BFD Down")
        }
        (code::HOLD_TIMER_EXPIRED, _) => {
            "nothing came from it for the hold time, so we closed with Hold Timer Expired"
                .to_owned()
        }
        (code::CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => format!("we shut it down{told}"),
        (code::CEASE, cease::ADMINISTRATIVE_RESET) => format!("we reset it{told}"),
        (code::CEASE, cease::OTHER_CONFIGURATION_CHANGE) => {
            "our configuration changed in a way that takes a new session".to_owned()
        }
        (code::CEASE, cease::MAXIMUM_PREFIXES) => {
            "it announced more prefixes than max-prefixes allows".to_owned()
        }
        _ => format!("we closed with {said}"),
    }
}

fn received(said: &Notification) -> String {
    let text = said.communication();
    let told = text.map_or_else(String::new, |text| format!(" and says {text:?}"));
    match (said.code, said.subcode) {
        (code::CEASE, cease::BFD_DOWN) => {
            "its BFD saw the path fail, and it closed with Cease/BFD Down".to_owned()
        }
        (code::HOLD_TIMER_EXPIRED, _) => {
            "it heard nothing from us for the hold time, and closed with Hold Timer Expired"
                .to_owned()
        }
        (code::CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => {
            format!("its operator shut the session down{told}")
        }
        (code::CEASE, cease::ADMINISTRATIVE_RESET) => {
            format!("its operator reset the session{told}")
        }
        (code::CEASE, cease::PEER_DECONFIGURED) => {
            "we were taken out of its configuration".to_owned()
        }
        (code::CEASE, cease::MAXIMUM_PREFIXES) => {
            format!("we announce more prefixes than it allows us ({said})")
        }
        _ => format!("it closed with {said}"),
    }
}

/// The same in a few words, to be counted.
pub(super) fn brief(what: &What) -> String {
    let cause = match what {
        What::Bgp { cause, .. } => cause,
        What::Bfd { cause, .. } => return brief_of_bfd(cause),
        What::Service { .. } | What::CutOff(_) | What::Note(_) => return what.to_string(),
    };
    let named = |said: &Notification| {
        let reason = said.hard_reset_reason();
        let said = reason.as_ref().unwrap_or(said);
        match said.subcode_name() {
            "" => said.code_name().to_owned(),
            name => format!("{}/{name}", said.code_name()),
        }
    };
    match cause {
        Cause::NotificationSent(said) => format!("{} from us", named(said)),
        Cause::NotificationReceived(said) => format!("{} from it", named(said)),
        other => other.to_string(),
    }
}

fn brief_of_bfd(cause: &BfdCause) -> String {
    match cause {
        BfdCause::Protocol(sight) if sight.remote_state == ::bfd::State::AdminDown => {
            "AdminDown of the neighbor".to_owned()
        }
        BfdCause::Protocol(sight) => sight.local_diag.to_string(),
        BfdCause::Ours(text) => text.to_string(),
    }
}

/// What BFD saw, to go on behind "that".
pub(super) fn sight(sight: &BfdSight) -> String {
    use ::bfd::{Diagnostic, State};
    let reason = match sight.remote_diag {
        Diagnostic::NONE => String::new(),
        Diagnostic::CONTROL_DETECTION_TIME_EXPIRED => {
            ", for it heard nothing from us (control detection time expired there)".to_owned()
        }
        other => format!(" ({other})"),
    };
    match (sight.local_diag, sight.remote_state) {
        (_, State::AdminDown) => "the neighbor took its BFD session down (AdminDown)".to_owned(),
        (Diagnostic::CONTROL_DETECTION_TIME_EXPIRED, _) => {
            let silence = sight.silence.map_or_else(|| "too long".to_owned(), exactly);
            let allowed = sight.detection_time.map_or_else(String::new, |time| {
                format!(" (Detection Time {})", exactly(time))
            });
            format!("nothing came from the neighbor for {silence}{allowed}")
        }
        (Diagnostic::ECHO_FUNCTION_FAILED, _) => {
            "echo packets did not come back, while control packets did".to_owned()
        }
        (Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN, _) => {
            format!("the neighbor's BFD session went down{reason}")
        }
        (other, _) => other.to_string(),
    }
}

/// BFD counts in milliseconds, also above a second.
fn exactly(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..10_000 => format!("{millis} ms"),
        _ => lasting(duration),
    }
}

/// What there is to see of a neighbor that does not want us, or not yet.
pub(super) const HUNG_UP: &str = "it accepted TCP and hung up without a word";

/// Why no session came about, and what to look at.
pub(super) fn failure(cause: &Cause, local_as: u32, remote_as: &str) -> String {
    match cause {
        Cause::ConnectFailed(reason) => format!("{cause}{}", connect_advice(reason)),
        Cause::ConnectionLost => HUNG_UP.to_owned(),
        Cause::NotificationReceived(said) => {
            format!(
                "it said {said}{}",
                open_advice(said, true, local_as, remote_as)
            )
        }
        Cause::NotificationSent(said) => {
            format!(
                "we said {said}{}",
                open_advice(said, false, local_as, remote_as)
            )
        }
        other => other.to_string(),
    }
}

fn connect_advice(reason: &str) -> &'static str {
    let reason = reason.to_lowercase();
    if reason.contains("refused") {
        "; the host is there, and nothing listens at that port or a firewall refuses; see that BGP runs there and has our address as a neighbor"
    } else if reason.contains("timed out") {
        "; nobody answers: look at the address, the link, a firewall, and TTL security or TCP MD5 at its end"
    } else if reason.contains("unreachable") || reason.contains("no route") {
        "; this host has no way there: look at `ip route get` and the link"
    } else if reason.contains("assign requested address") {
        "; no interface of this host has source-address"
    } else {
        ""
    }
}

fn open_advice(said: &Notification, theirs: bool, local_as: u32, remote_as: &str) -> String {
    match (said.code, said.subcode, theirs) {
        (code::OPEN_MESSAGE, open::BAD_PEER_AS, true) => {
            format!("; we are AS {local_as} here, and it expects another")
        }
        (code::OPEN_MESSAGE, open::BAD_PEER_AS, false) => {
            format!("; remote-as is {remote_as}, and it has another AS")
        }
        (code::OPEN_MESSAGE, open::BAD_BGP_IDENTIFIER, _) => {
            "; both ends may have the same router id".to_owned()
        }
        (code::OPEN_MESSAGE, open::UNACCEPTABLE_HOLD_TIME, _) => {
            "; look at hold-time at both ends".to_owned()
        }
        (code::OPEN_MESSAGE, open::UNSUPPORTED_CAPABILITY, _) => {
            "; look at families at both ends".to_owned()
        }
        (code::OPEN_MESSAGE, open::ROLE_MISMATCH, _) => {
            "; look at role at both ends: customer goes with provider, peer with peer".to_owned()
        }
        (code::CEASE, cease::CONNECTION_REJECTED, true) => {
            "; it does not have us as a neighbor, or not from this address".to_owned()
        }
        _ => String::new(),
    }
}
