//! `herald show peer`: everything about one neighbor, in the order in which one asks.

use super::age;
use super::page::{Page, TEXT, seconds};
use crate::malformed::listed;
use crate::status::{
    EventStatus, FamilyStatus, GracefulRestartStatus, ImportStatus, MessageCounts,
    NegotiatedStatus, PeerStatus, UpdateErrorStatus,
};

mod transport;

/// The whole page.
pub(super) fn page(peer: &PeerStatus, events: &[EventStatus]) -> String {
    let mut page = Page::default();
    page.head(peer);
    page.timers(peer);
    if let Some(negotiated) = &peer.negotiated {
        page.negotiated(negotiated);
        if let Some(restart) = &negotiated.graceful_restart {
            page.graceful_restart(restart);
        }
    }
    page.import(&peer.import);
    page.families(peer);
    page.messages(&peer.messages.sent, &peer.messages.received);
    page.history(peer);
    page.bfd(peer.bfd.as_ref());
    page.events(events);
    page.text()
}

impl Page {
    fn head(&mut self, peer: &PeerStatus) {
        let kind = peer
            .kind
            .as_deref()
            .unwrap_or("not yet known if internal or external");
        let remote_as = match peer.remote_as {
            Some(asn) => asn.to_string(),
            None => peer.remote_as_configured.clone(),
        };
        self.line(
            0,
            format_args!(
                "Peer {}: {}, AS {remote_as}, {kind}",
                peer.name, peer.address
            ),
        );
        if let Some(description) = &peer.description {
            self.line(2, format_args!("{description}"));
        }
        self.story(&peer.story);
        if let Some(range) = &peer.range {
            self.line(2, format_args!("Dynamic       of peer-range {range}"));
        }
        let down = match (&peer.shutdown, peer.enabled) {
            (_, false) => " (disabled in the configuration)".to_owned(),
            (None, true) => String::new(),
            (Some(shutdown), true) => match &shutdown.communication {
                Some(text) => format!(" (shut down by command: {text:?})"),
                None => " (shut down by command)".to_owned(),
            },
        };
        let since = match (&peer.since, peer.in_state_ms) {
            (Some(since), Some(ms)) => format!(", for {} since {since}", age(ms)),
            _ => String::new(),
        };
        self.line(2, format_args!("State         {}{down}{since}", peer.state));
        let drained = match peer.draining.as_deref() {
            Some("stop") => Some("before the daemon ends".to_owned()),
            Some("all") => Some("by command, as every peer; `herald undrain` ends that".to_owned()),
            Some(_) => Some(format!(
                "by command; `herald undrain {}` ends that",
                peer.name
            )),
            None => None,
        };
        if let Some(drained) = drained {
            self.line(2, format_args!("Drained       {drained}"));
        }
        if let Some(pending) = &peer.bfd_pending {
            self.line(16, format_args!("waiting for BFD ({pending})"));
        }
        if let Some(family) = &peer.over_max_prefixes {
            self.line(
                TEXT,
                format_args!(
                    "it announced more {family} prefixes than max-prefixes allows; `herald peer reset {}` lets it try again",
                    peer.name
                ),
            );
        }
        if let Some(ms) = peer.idle_for_ms {
            self.line(2, format_args!("Next attempt  in {}", age(ms)));
        }
        let unknown = "not connected";
        self.line(
            2,
            format_args!(
                "Local         {}, AS {}, id {}",
                peer.local_address.as_deref().unwrap_or(unknown),
                peer.local_as,
                peer.local_id.as_deref().unwrap_or("none"),
            ),
        );
        let hostname = peer.remote_hostname.as_ref();
        self.line(
            2,
            format_args!(
                "Remote        {}, id {}{}",
                peer.remote_address.as_deref().unwrap_or(unknown),
                peer.remote_id.as_deref().unwrap_or("unknown"),
                hostname.map_or_else(String::new, |name| format!(", host {name}")),
            ),
        );
        let mut transport = vec![format!("port {}", peer.port)];
        transport.extend(
            peer.source_address
                .as_ref()
                .map(|from| format!("from {from}")),
        );
        transport.extend(
            peer.source_interface
                .as_ref()
                .map(|name| format!("at {name}")),
        );
        transport.extend(
            peer.ebgp_multihop
                .map(|hops| format!("at most {hops} hops")),
        );
        if peer.passive {
            transport.push("passive".to_owned());
        }
        self.line(2, format_args!("Transport     {}", transport.join(", ")));
        self.transport(&peer.transport);
        if let Some(role) = &peer.role {
            let strict = if peer.role_strict { ", strict" } else { "" };
            self.line(2, format_args!("Role          {role}{strict}"));
        }
    }

    fn timers(&mut self, peer: &PeerStatus) {
        let timers = &peer.timers;
        let agreed = |ms: Option<u64>| match ms {
            None => "not agreed yet".to_owned(),
            Some(0) => "not used".to_owned(),
            Some(ms) => seconds(ms),
        };
        self.line(
            2,
            format_args!(
                "Hold time     {} (configured {})",
                agreed(timers.hold_time_ms),
                seconds(timers.hold_time_configured_ms),
            ),
        );
        self.line(
            2,
            format_args!(
                "Keepalive     {} (configured {})",
                agreed(timers.keepalive_time_ms),
                timers
                    .keepalive_time_configured_ms
                    .map_or_else(|| "a third of the hold time".to_owned(), seconds),
            ),
        );
        self.line(
            2,
            format_args!("Retry         {}", seconds(timers.connect_retry_time_ms)),
        );
        if timers.delay_open_time_ms > 0 {
            self.line(
                2,
                format_args!("Delay open    {}", seconds(timers.delay_open_time_ms)),
            );
        }
        let send_hold = timers.send_hold_time_configured_ms.map(seconds);
        self.line(
            2,
            format_args!(
                "Send hold     {}",
                send_hold
                    .as_deref()
                    .unwrap_or("the greater of 8m and twice the hold time")
            ),
        );
        let ago = |ms: Option<u64>| {
            ms.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", age(ms)))
        };
        self.line(
            2,
            format_args!(
                "Last message  read {}, written {}",
                ago(peer.last_read_ms),
                ago(peer.last_write_ms),
            ),
        );
    }

    fn import(&mut self, import: &ImportStatus) {
        let mut parts = vec![match import.kept_limit {
            Some(limit) => format!("kept, at most {limit} routes"),
            None => "counted, not kept".to_owned(),
        }];
        if !import.max_prefixes.is_empty() {
            let limits = import.max_prefixes.iter();
            let limits: Vec<String> = limits
                .map(|(family, limit)| format!("{limit} {family}"))
                .collect();
            let restart = import.max_prefixes_restart_ms.map(seconds);
            parts.push(format!(
                "at most {} prefixes (warning at {} %, restart {})",
                limits.join(" and "),
                import.max_prefixes_warning,
                restart.map_or_else(|| "never".to_owned(), |time| format!("after {time}")),
            ));
        }
        if !import.enforce_first_as {
            parts.push("paths need not begin with the peer's AS".to_owned());
        }
        self.line(2, format_args!("Received      {}", parts.join("; ")));
    }

    fn negotiated(&mut self, negotiated: &NegotiatedStatus) {
        self.line(2, format_args!("Capabilities"));
        let sent = &negotiated.capabilities_sent;
        let received = &negotiated.capabilities_received;
        for capability in sent {
            let (name, ours) = parts(capability);
            let theirs = received.iter().find(|theirs| parts(theirs).0 == name);
            match theirs.map(|theirs| parts(theirs).1) {
                None => self.line(4, format_args!("{capability:<28} sent")),
                Some(theirs) if theirs == ours => {
                    self.line(4, format_args!("{capability:<28} sent and received"));
                }
                Some(theirs) => {
                    self.line(4, format_args!("{name:<28} sent {ours}, received {theirs}"))
                }
            }
        }
        let is_sent = |name| sent.iter().any(|ours| parts(ours).0 == name);
        for capability in received {
            if !is_sent(parts(capability).0) {
                self.line(4, format_args!("{capability:<28} received"));
            }
        }
        for (what, families) in [
            ("told", &negotiated.add_path_send),
            ("taken", &negotiated.add_path_receive),
        ] {
            if !families.is_empty() {
                let families = families.join(", ");
                self.line(4, format_args!("several paths are {what}: {families}"));
            }
        }
    }

    /// RFC 4724, RFC 8538
    fn graceful_restart(&mut self, restart: &GracefulRestartStatus) {
        let notification = match restart.notification {
            true => ", also after a NOTIFICATION other than a Hard Reset",
            false => "",
        };
        self.line(
            2,
            format_args!("Restart       our routes stay with the peer{notification}"),
        );
        if restart.remote_families.is_empty() {
            return;
        }
        let restarting = match restart.remote_restarting {
            true => ", and has restarted",
            false => "",
        };
        self.line(
            16,
            format_args!(
                "the peer takes {} for its own{restarting}",
                seconds(restart.remote_restart_time_ms)
            ),
        );
    }

    fn families(&mut self, peer: &PeerStatus) {
        if peer.families.is_empty() {
            let offered = peer.families_configured.join(", ");
            self.line(2, format_args!("Families      offering {offered}"));
            return;
        }
        self.line(2, format_args!("Families"));
        for family in &peer.families {
            let done = |done: bool| if done { "yes" } else { "no" };
            self.line(
                4,
                format_args!(
                    "{}: {} advertised, {} pending, {} received",
                    family.family, family.advertised, family.pending, family.received,
                ),
            );
            self.received(family);
            let next_hop = family.next_hop.as_deref();
            self.line(
                6,
                format_args!(
                    "next hop {}; End-of-RIB sent: {}, received: {}",
                    next_hop.unwrap_or("unknown, so nothing is announced"),
                    done(family.end_of_rib_sent),
                    done(family.end_of_rib_received),
                ),
            );
        }
    }

    /// What is known of the routes that came in, beyond their number.
    fn received(&mut self, family: &FamilyStatus) {
        let mut parts = Vec::new();
        match (family.prefixes, family.max_prefixes) {
            (Some(prefixes), Some(max)) => parts.push(format!("{prefixes} of at most {max}")),
            (Some(prefixes), None) => parts.push(format!("{prefixes} different")),
            (None, _) => {}
        }
        if let Some(kept) = &family.kept {
            parts.push(format!("{} kept", kept.routes));
            parts.extend((kept.stale > 0).then(|| format!("{} stale", kept.stale)));
            let long_lived = kept.long_lived_stale;
            parts.extend((long_lived > 0).then(|| format!("{long_lived} of them long-lived")));
            let not_kept = kept.not_kept;
            parts.extend((not_kept > 0).then(|| format!("{not_kept} not kept for want of room")));
        }
        let loops = family.loops;
        parts.extend((loops > 0).then(|| format!("{loops} that lead back to us left out")));
        let leaks = family.leaks;
        parts.extend((leaks > 0).then(|| format!("{leaks} leaked to us left out")));
        if !parts.is_empty() {
            self.line(6, format_args!("received prefixes: {}", parts.join(", ")));
        }
    }

    fn messages(&mut self, sent: &MessageCounts, received: &MessageCounts) {
        self.line(
            2,
            format_args!("Messages      {:>10} {:>10}", "sent", "received"),
        );
        for (name, sent, received) in [
            ("OPEN", sent.open, received.open),
            ("UPDATE", sent.update, received.update),
            ("NOTIFICATION", sent.notification, received.notification),
            ("KEEPALIVE", sent.keepalive, received.keepalive),
            ("ROUTE-REFRESH", sent.route_refresh, received.route_refresh),
            ("total", sent.total, received.total),
        ] {
            self.line(4, format_args!("{name:<13}{sent:>9} {received:>10}"));
        }
    }

    fn history(&mut self, peer: &PeerStatus) {
        self.line(
            2,
            format_args!(
                "Established   {} times, dropped {} times; ConnectRetryCounter {}",
                peer.established_count, peer.dropped_count, peer.connect_retry_counter
            ),
        );
        if peer.update_errors > 0 {
            self.line(
                2,
                format_args!(
                    "Errors        {} UPDATEs with errors that RFC 7606 lets pass",
                    peer.update_errors
                ),
            );
        }
        if let Some(last) = &peer.last_update_error {
            self.update_error(last);
        }
        match &peer.last_reset {
            Some(reset) => self.line(
                2,
                format_args!(
                    "Last reset    {} ago, in {}: {}",
                    age(reset.ago_ms),
                    reset.from,
                    reset.cause
                ),
            ),
            None => self.line(2, format_args!("Last reset    never")),
        }
        self.line(2, format_args!("Last NOTIFICATION"));
        for (what, last) in [
            ("sent", &peer.last_notification_sent),
            ("received", &peer.last_notification_received),
        ] {
            match last {
                Some(last) => self.line(
                    4,
                    format_args!("{what} {} ago: {}", age(last.ago_ms), last.text),
                ),
                None => self.line(4, format_args!("{what}: none")),
            }
        }
    }

    fn update_error(&mut self, last: &UpdateErrorStatus) {
        let prefixes = listed(&last.prefixes, last.prefix_count);
        self.line(
            4,
            format_args!("last {}: {}", last.at, last.errors.join(", ")),
        );
        self.line(
            4,
            format_args!("for {prefixes}, in {} octets:", last.message_octets),
        );
        // 32 octets a line.
        let mut digits = last.message.as_str();
        while !digits.is_empty() {
            let (line, rest) = digits.split_at_checked(64).unwrap_or((digits, ""));
            self.line(6, format_args!("{line}"));
            digits = rest;
        }
    }
}

/// The name of a capability, and what it says.
fn parts(capability: &str) -> (&str, &str) {
    capability.split_once(' ').unwrap_or((capability, ""))
}

#[cfg(test)]
mod tests;
