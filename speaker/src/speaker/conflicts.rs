//! Addresses that cannot be announced, for two advertisements disagree about them: a file that says so is
//! refused, but services of the API, addresses of pools and dynamic peers come later.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::Family;
use tracing::{info, warn};

use super::Speaker;
use crate::additions::Additions;
use crate::config::{Config, Conflict, ServiceName};
use crate::history::Subject;
use crate::plan::Change;
use crate::services::pools::Pools;

impl Speaker {
    /// What a configuration would do to services that were added at run time: of those that the file names it is known
    /// that it does not.
    pub(super) fn contradictions(
        &self,
        wanted: &Config,
        added: &Additions,
        books: &Pools,
    ) -> Vec<Change> {
        if wanted.advertisements.len() < 2 {
            return Vec::new();
        }
        let mut known = BTreeMap::new();
        let mut conflict = |family, places: Vec<usize>| {
            let found = known.entry((family, places));
            let found = found.or_insert_with_key(|(family, all)| wanted.conflict(*family, all));
            found.clone()
        };
        let mut changes = Vec::new();
        for (name, service) in &added.services {
            let assigned = books.assigned(name);
            let addresses = service.addresses.iter().copied();
            let mut addresses = addresses.chain(assigned.addresses());
            let found = addresses.find_map(|address| {
                let is_new = !self.conflicts.contains_key(&address);
                let prefixes = wanted.advertised_as(name, address).into_iter();
                let mut prefixes = prefixes.filter(|_| is_new);
                prefixes.find_map(|(prefix, places)| conflict(Family::of(&prefix), places))
            });
            if let Some(conflict) = found {
                let what = match self.services.may_announce(name) {
                    true => "will be withdrawn",
                    false => "cannot be announced",
                };
                let why = wanted.explain(&conflict);
                changes.push(Change::Contradict(name.clone(), format!("{what}: {why}")));
            }
        }
        changes
    }

    /// One line for each two that disagree, however many addresses they are about.
    pub(super) fn tell_of_conflicts(&mut self) {
        if *self.announcer.conflicts() == self.conflicts {
            return;
        }
        let found = self.announcer.conflicts().clone();
        let before = std::mem::replace(&mut self.conflicts, found.clone());
        let begun = found.iter();
        let begun = begun.filter(|(address, conflict)| before.get(*address) != Some(*conflict));
        for ((first, service), conflict, more) in self.grouped(begun) {
            let why = self.config.explain(&conflict);
            let text = format!("{first}{more} not announced: {why}");
            warn!(service = %service, "{text}");
            self.note_about(&service, Subject::Service, text);
        }
        let ended = before.iter();
        let ended = ended.filter(|(address, _)| !found.contains_key(*address));
        for ((first, service), _, more) in self.grouped(ended) {
            let text = format!("{first}{more} held back by contradicting advertisements no more");
            info!(service = %service, "{text}");
            self.note_about(&service, Subject::Service, text);
        }
    }

    /// The first address of each conflict with its service, and how many more there are. Those that no service has any more do
    /// not count.
    fn grouped<'c>(
        &self,
        addresses: impl Iterator<Item = (&'c IpAddr, &'c Conflict)>,
    ) -> Vec<((IpAddr, ServiceName), Conflict, String)> {
        let mut groups: BTreeMap<&Conflict, (IpAddr, ServiceName, usize)> = BTreeMap::new();
        for (address, conflict) in addresses {
            if let Some(service) = self.services.user(*address) {
                let group = groups.entry(conflict);
                group
                    .and_modify(|(_, _, more)| *more += 1)
                    .or_insert_with(|| (*address, service.clone(), 0));
            }
        }
        let groups = groups.into_iter();
        let groups = groups.map(|(conflict, (address, service, more))| {
            let more = match more {
                0 => " is".to_owned(),
                more => format!(" and {more} more addresses are"),
            };
            ((address, service), conflict.clone(), more)
        });
        groups.collect()
    }
}
