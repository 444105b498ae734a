//! The lines about TCP.

use super::Page;
use crate::status::TransportStatus;

impl Page {
    pub(super) fn transport(&mut self, transport: &TransportStatus) {
        if let Some(interface) = &transport.interface {
            let neighbor = transport.neighbor.as_deref().unwrap_or("nobody yet");
            self.line(
                2,
                format_args!("Unnumbered    on {interface}: found {neighbor}"),
            );
        }
        if let (Some(hops), Some(ttl)) = (transport.ttl_security, transport.minimum_ttl) {
            self.line(
                2,
                format_args!(
                    "GTSM          at most {hops} hops: sends TTL 255, takes {ttl} and more"
                ),
            );
        }
        if let Some(file) = &transport.password_file {
            self.line(2, format_args!("Password      TCP MD5, key from {file}"));
        }
        if transport.unanswered_attempts > 0 {
            self.line(
                2,
                format_args!(
                    "Unanswered    {} connection attempts",
                    transport.unanswered_attempts
                ),
            );
        }
        if transport.lost_events > 0 {
            self.line(
                2,
                format_args!(
                    "Lost          {} events that came too fast to be remembered",
                    transport.lost_events
                ),
            );
        }
        for hint in &transport.hints {
            self.line(4, format_args!("{hint}"));
        }
    }
}
