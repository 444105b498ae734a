//! Addresses of pools while the daemon runs: written to disk first, then announced.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Speaker, not_found};
use crate::additions::{Change, Kept};
use crate::config::{Config, PoolName, PoolRequest, ServiceConfig, ServiceName};
use crate::control::{Given, Refusal};
use crate::history::Subject;
use crate::host_addresses;
use crate::services::Services;
use crate::services::pools::{Assigned, Choice, Holder, Pools, Reassignment};

/// Changes to what services have of the pools, by service.
pub(super) type Reassignments = BTreeMap<ServiceName, Reassignment>;

/// The books of what the file and the API say, begun with what was kept; what they say is kept from
/// then on.
pub(super) fn settle(
    config: &Config,
    kept: &mut Kept,
    running: Option<&Pools>,
) -> (Pools, Reassignments) {
    let asks = |services: &BTreeMap<_, Arc<ServiceConfig>>| {
        services.values().any(|service| service.request().is_some())
    };
    let is_idle = config.pools.is_empty() && kept.assigned.is_empty();
    if is_idle && !asks(&config.services) && !asks(&kept.additions.services) {
        return Default::default();
    }
    let services = Services::new(config, &kept.additions);
    let barred = barred(config);
    let books = Pools::of(&config.pools, &services, barred, kept.former());
    let changes = books.reassignments(&kept.assigned, running);
    kept.adopt(&books);
    (books, changes)
}

/// What no pool gives to anybody: addresses of neighbors, and those that this host has for itself.
fn barred(config: &Config) -> Vec<(IpAddr, Holder)> {
    if config.pools.is_empty() {
        return Vec::new();
    }
    let neighbors = config.neighbors().into_iter();
    let neighbors = neighbors.map(|(ip, party)| (ip, Holder::Neighbor(party)));
    let own = host_addresses::reserved().into_iter();
    neighbors.chain(own.map(|ip| (ip, Holder::Host))).collect()
}

impl Speaker {
    /// Carries out what [`settle`] has found, when that is kept.
    pub(super) fn adopt_pools(&mut self, books: Pools) {
        for (name, client) in books.clients() {
            self.give(name, client.assigned);
        }
        self.pools = Arc::new(books);
    }

    /// From here on a service has these addresses, and is checked with them.
    pub(super) fn give(&mut self, name: &ServiceName, assigned: Assigned) {
        let Some(service) = self.services.get(name) else {
            return;
        };
        if service.addresses().eq(assigned.addresses()) {
            return;
        }
        let (verdict, is_checked) = (service.verdict, service.spec.health.is_some());
        let services = self.services_mut();
        services.assign(name, assigned.addresses().collect());
        if is_checked {
            self.watch_service(name, verdict);
        }
    }

    /// What a service of the API was given, or lacks.
    pub(super) fn note_choice(&mut self, name: &ServiceName, choice: Option<&Choice>) {
        if let Some(choice) = choice {
            let home = choice.assigned.addresses().next();
            let change = Reassignment {
                lost: Vec::new(),
                gained: choice.assigned.addresses().collect(),
                pool: home.and_then(|ip| self.pools.pool_of(ip)).cloned(),
                lack: choice.lack.clone(),
            };
            self.note_reassignment(name, &change);
        }
    }

    pub(super) fn note_reassignment(&mut self, name: &ServiceName, change: &Reassignment) {
        match &change.lack {
            Some(_) => warn!(service = %name, "{change}"),
            None => info!(service = %name, "{change}"),
        }
        self.note_about(name, Subject::Service, change.to_string());
    }

    /// What a service of the API has of the pools, and what it is to have: chosen, and not entered.
    pub(super) fn choose(
        &self,
        name: &ServiceName,
        request: &PoolRequest,
    ) -> Result<Choice, Refusal> {
        if let Some(pool) = &request.pool {
            if !self.config.pools.contains_key(pool) {
                let known = self.config.pools.keys().map(PoolName::as_str);
                return Err(match not_found("pool", "pools", pool.as_str(), known) {
                    Refusal::NotFound(text) => Refusal::Invalid(format!("service {name}: {text}")),
                    other => other,
                });
            }
        } else if self.config.pools.is_empty() {
            return Err(Refusal::Invalid(format!(
                "service {name}: addresses: is missing; must be its addresses, for there is no [[pool]] to assign some from"
            )));
        }
        let had = match self.pools.client(name) {
            Some(client) => client.assigned,
            None => self.kept.released(name),
        };
        Ok(self.pools.choose(name, request, had))
    }

    /// Enters what a service of the API says and was given; what it had before is free then.
    pub(super) fn enter(
        &mut self,
        name: &ServiceName,
        service: &ServiceConfig,
        choice: Option<&Choice>,
    ) {
        self.strike_out(name);
        let books = Arc::make_mut(&mut self.pools);
        for ip in &service.addresses {
            books.reserve(*ip, Holder::Fixed(name.clone()));
        }
        if let (Some(request), Some(choice)) = (service.request(), choice) {
            books.enter(name, request, choice);
        }
    }

    /// Frees what a service has, before it is forgotten or says something else.
    pub(super) fn strike_out(&mut self, name: &ServiceName) {
        let books = Arc::make_mut(&mut self.pools);
        books.release(name);
        let former = self.services.get(name);
        for ip in former.iter().flat_map(|former| &former.spec.addresses) {
            books.unreserve(*ip, &Holder::Fixed(name.clone()));
        }
    }

    /// Gives what has become free to those who lack it. If that cannot be kept, they go on waiting.
    pub(super) async fn serve_waiting(&mut self) {
        if self.pools.waiting().len() == 0 {
            return;
        }
        let mut books = Pools::clone(&self.pools);
        let served = books.serve_waiting();
        if served.is_empty() {
            return;
        }
        let assign = served.iter();
        let assign = assign.map(|(name, choice)| Change::Assign(name.clone(), choice.assigned));
        if let Err(refusal) = self.keep(assign.collect::<Vec<_>>()).await {
            warn!("addresses that are free are not assigned: {refusal}");
            return;
        }
        let before = served
            .keys()
            .map(|name| (name.clone(), self.pools.assigned(name)))
            .collect();
        let mut changes = books.reassignments(&before, Some(&self.pools));
        changes.retain(|name, _| served.contains_key(name));
        self.pools = Arc::new(books);
        for (name, choice) in &served {
            self.give(name, choice.assigned);
        }
        self.announce_and_host(Self::announce);
        for (name, change) in &changes {
            self.note_reassignment(name, change);
        }
    }

    /// What a service has, for whoever has just put it.
    pub(super) fn given(&self, name: &ServiceName) -> Given {
        let service = self.services.get(name);
        let addresses: Vec<_> = service
            .iter()
            .flat_map(|service| service.addresses())
            .collect();
        let client = self.pools.client(name);
        let first = addresses.first();
        Given {
            pool: first.and_then(|ip| self.pools.pool_of(*ip)).cloned(),
            lack: client.and_then(|client| client.lack.clone()),
            addresses,
        }
    }
}
