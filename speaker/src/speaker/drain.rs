//! Draining (RFC 8326 §4): neighbors are asked to take other paths while ours still work, by command
//! or because the daemon is about to end. What was commanded survives a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::Speaker;
use crate::additions::Change;
use crate::config::{OnExit, PeerName};
use crate::control::{Lasting, Refusal};
use crate::drain::{Drain, Draining};

/// The daemon ends as soon as traffic has had the time to move.
#[derive(Debug)]
pub(super) struct Leaving {
    /// When that is.
    pub(super) at: Instant,
    /// For the neighbors' operators.
    pub(super) communication: Option<String>,
}

impl Speaker {
    /// Who is drained, and why.
    pub(super) fn draining(&self) -> Draining {
        Draining {
            commanded: self.kept.drain.clone(),
            stops_at: self.leaving.as_ref().map(|leaving| leaving.at),
        }
    }

    /// Drains these peers; all, also those to come, if none is named.
    pub(super) async fn drain(&mut self, peers: &BTreeSet<PeerName>) -> Result<Lasting, Refusal> {
        for name in peers {
            self.refuse_unknown(name)?;
        }
        let mut drain = self.kept.drain.clone();
        match peers.is_empty() {
            true => drain.all = true,
            false => drain.peers.extend(peers.iter().cloned()),
        }
        if drain == self.kept.drain {
            return Ok(Lasting::Kept);
        }
        let before = self.draining();
        let lasting = self.keep_if_possible([Change::Drain(drain)]).await;
        self.tell_of_command(&before);
        Ok(lasting)
    }

    /// Lets these peers be again; all, if none is named.
    pub(super) async fn undrain(&mut self, peers: &BTreeSet<PeerName>) -> Result<(), Refusal> {
        let mut drain = self.kept.drain.clone();
        for name in peers {
            // A dynamic peer may not be there at the time.
            if !drain.peers.remove(name) {
                self.refuse_unknown(name)?;
            }
        }
        if peers.is_empty() {
            drain = Drain::default();
        } else if drain.all {
            return Err(Refusal::Conflict(
                "every peer is drained; `herald undrain` without a name ends that, then `herald drain NAME` drains one"
                    .to_owned(),
            ));
        }
        if drain == self.kept.drain {
            return Ok(());
        }
        let before = self.draining();
        self.keep([Change::Drain(drain)]).await?;
        self.tell_of_command(&before);
        Ok(())
    }

    fn tell_of_command(&mut self, before: &Draining) {
        let drain = &self.kept.drain;
        self.drained_since = drain.all.then_some(self.drained_since).flatten();
        if drain.all && !before.commanded.all {
            self.drained_since = Some(Instant::now());
            self.say("every peer is drained by command");
        }
        if before.commanded.all && !self.kept.drain.all {
            self.say("peers are drained no longer, by command");
        }
        let [was, is] = [&before.commanded, &self.kept.drain].map(|drain| drain.peers.clone());
        for name in is.difference(&was) {
            self.act(name, "drained by command");
        }
        for name in was.difference(&is) {
            self.act(name, "drained no longer, by command");
        }
        self.tell_of_drain(before);
    }

    /// Every route of those concerned is announced anew; nothing is withdrawn.
    fn tell_of_drain(&mut self, before: &Draining) {
        let draining = self.draining();
        let config = Arc::clone(&self.config);
        for (name, peer) in &config.peers {
            if before.reason(name).is_some() != draining.reason(name).is_some() {
                // What went wrong is logged, shown, and tried again.
                let _ = self.set_peer(name, peer);
            }
        }
    }

    /// Whether a stop has to wait, and for how long: routes that are to be withdrawn are drained
    /// before. Whoever says stop once more does not want to wait, and a drain that was commanded in
    /// time has been waited for.
    pub(super) fn put_off(
        &mut self,
        how: OnExit,
        communication: Option<&String>,
    ) -> Option<Duration> {
        let now = Instant::now();
        let drained_for = self.drained_since.map(|since| now.duration_since(since));
        let drain_time = self.config.speaker.drain_time;
        let left = drain_time.saturating_sub(drained_for.unwrap_or_default());
        let has_to_wait = how == OnExit::Withdraw
            && self.leaving.is_none()
            && !self.established.is_empty()
            && !left.is_zero();
        if !has_to_wait {
            return None;
        }
        let before = self.draining();
        self.leaving = Some(Leaving {
            at: now + left,
            communication: communication.cloned(),
        });
        let left_text = humantime::format_duration(Duration::from_millis(
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        ));
        self.say(&format!(
            "stopping: every peer is drained for {left_text}; another SIGTERM or `herald stop` skips the rest"
        ));
        self.tell_of_drain(&before);
        Some(left)
    }

    /// Returns when the daemon is to end, if it has been told to: also when nobody is left to wait
    /// for.
    pub(super) async fn drain_is_over(leaving: Option<Instant>, has_neighbors: bool) {
        match leaving {
            Some(at) if has_neighbors => tokio::time::sleep_until(at.into()).await,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    fn say(&mut self, what: &str) {
        info!("{what}");
        self.note(what);
    }
}
