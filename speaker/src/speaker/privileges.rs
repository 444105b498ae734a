//! What a reload would need beyond what the daemon may do.

use std::net::SocketAddr;

use super::Speaker;
use crate::config::Config;
use crate::plan::Change;
use crate::privileges::{self, Capability, Needs};

impl Speaker {
    fn needs(&self, config: &Config) -> Needs {
        privileges::needs(config, &self.file, &self.host, privileges::owner)
    }

    /// To listen at a port that takes a capability which the daemon does not hold waits for a restart; until then
    /// it listens where it did.
    pub(super) fn defer_listening(&self, wanted: &mut Config) {
        let listen = &mut wanted.speaker.listen;
        let running = &self.config.speaker.listen;
        let is_held = privileges::held().contains(&Capability::NetBindService);
        let is_forbidden = |address: &SocketAddr| {
            !running.contains(address) && self.host.is_privileged(address.port())
        };
        if !is_held && listen.iter().any(is_forbidden) {
            listen.clone_from(running);
        }
    }

    /// What is wanted and does not work before the daemon is started again.
    pub(super) fn unprivileged(&self, wanted: &Config) -> Vec<Change> {
        let held = privileges::held();
        let running = self.needs(&self.config);
        let mut changes = Vec::new();
        for (capability, reasons) in self.needs(wanted) {
            let known = running.get(&capability);
            let is_new = |reason: &String| known.is_none_or(|known| !known.contains(reason));
            if held.contains(&capability) {
                continue;
            }
            changes.extend(reasons.into_iter().filter(is_new).map(|reason| {
                Change::Unprivileged(format!(
                    "{reason} needs {capability}, which the daemon does not hold: takes effect after a restart"
                ))
            }));
        }
        let has_programs = privileges::runs_programs(&self.config);
        if !has_programs && privileges::runs_programs(wanted) && privileges::has_no_new_privs() {
            changes.push(Change::Unprivileged(
                "sudo and the like do not work in programs until the daemon is restarted: it has given up new privileges".to_owned(),
            ));
        }
        changes
    }
}
