//! `herald show status`: the daemon itself.

use super::age;
use super::page::Page;
use crate::status::{BfdThreadStatus, DaemonStatus, HookStatus, PrivilegesStatus};

/// The whole page.
pub(super) fn page(daemon: &DaemonStatus) -> String {
    let mut page = Page::default();
    // After an upgrade the daemon may still be the former one.
    let this = match env!("CARGO_PKG_VERSION") {
        own if own == daemon.version => String::new(),
        own => format!(" (this command is {own})"),
    };
    page.line(
        0,
        format_args!(
            "herald {}{this}, up {} since {}",
            daemon.version,
            age(daemon.uptime_ms),
            daemon.started
        ),
    );
    let local_as = daemon.local_as.map(|asn| asn.to_string());
    page.line(
        0,
        format_args!(
            "AS {}, router id {}",
            local_as.as_deref().unwrap_or("none"),
            daemon.router_id.as_deref().unwrap_or("none")
        ),
    );
    page.bfd_thread(&daemon.bfd);
    page.drain(daemon);
    page.privileges(&daemon.privileges);
    for hook in &daemon.hooks {
        page.hook(hook);
    }
    page.text().trim_end().to_owned()
}

impl Page {
    fn bfd_thread(&mut self, bfd: &BfdThreadStatus) {
        self.line(0, format_args!("BFD: real-time priority {}", bfd.realtime));
        self.line(5, format_args!("locked memory {}", bfd.lock_memory));
        self.line(
            5,
            format_args!(
                "datagrams for no session {}, dropped by the kernel {} (late {}, rejected {}, echo {})",
                bfd.discarded.values().sum::<u64>(),
                bfd.dropped_late + bfd.dropped_rejected + bfd.dropped_echo,
                bfd.dropped_late,
                bfd.dropped_rejected,
                bfd.dropped_echo,
            ),
        );
    }

    fn drain(&mut self, daemon: &DaemonStatus) {
        if let Some(ms) = daemon.stops_in_ms {
            let left = age(ms);
            self.line(
                0,
                format_args!("stopping: every peer is drained, for {left} more"),
            );
        } else if daemon.draining.is_some() {
            self.line(
                0,
                format_args!("every peer is drained; `herald undrain` ends that"),
            );
        }
    }

    /// What is missing is what counts.
    fn privileges(&mut self, privileges: &PrivilegesStatus) {
        let held = match privileges.held.as_slice() {
            [] => "none".to_owned(),
            held => held.join(", "),
        };
        self.line(0, format_args!("capabilities: {held}"));
        for need in &privileges.needed {
            let missing = if need.held { "" } else { ", and is missing" };
            for reason in &need.reasons {
                self.line(
                    2,
                    format_args!("{} is for {reason}{missing}", need.capability),
                );
            }
        }
    }

    fn hook(&mut self, hook: &HookStatus) {
        self.line(
            0,
            format_args!(
                "hook {}: runs {}, failures {}, timeouts {}, dropped {}, waiting {}",
                hook.name, hook.runs, hook.failures, hook.timeouts, hook.dropped, hook.waiting
            ),
        );
    }
}
