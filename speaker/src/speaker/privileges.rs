//! What a reload would need beyond what the daemon may do.

use super::Speaker;
use crate::config::Config;
use crate::plan::Change;
use crate::privileges::{self, Needs};

impl Speaker {
    fn needs(&self, config: &Config) -> Needs {
        privileges::needs(config, &self.file, &self.host, privileges::owner)
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
