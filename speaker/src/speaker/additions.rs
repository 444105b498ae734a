//! What is added and removed while the daemon runs: checked against the file, kept, announced.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Speaker, not_found};
use crate::additions::Change;
use crate::config::{RouteConfig, ServiceConfig, ServiceName};
use crate::control::{Given, Lasting, Refusal, Stored};
use crate::history::Subject;
use crate::plan;
use crate::services::Source;
use crate::services::pools::Holder;

impl Speaker {
    pub(super) async fn put_service(
        &mut self,
        name: ServiceName,
        service: ServiceConfig,
    ) -> Result<(Stored, Given), Refusal> {
        self.refuse_in_the_file(&name)?;
        // What is there already costs no write, no event and no UPDATE.
        let stored = match self.kept.additions.services.get(&name) {
            Some(known) if **known == service => {
                return Ok((Stored::Unchanged, self.given(&name)));
            }
            Some(known) => Stored::Replaced(plan::service_words(known, &service)),
            None => Stored::Created,
        };
        for address in &service.addresses {
            self.refuse_taken(&name, *address)?;
        }
        self.refuse_unknown_path(&name, &service)?;
        let request = service.request();
        let choice = request.map(|request| self.choose(&name, request));
        let choice = choice.transpose()?;
        let assigned = choice.iter().flat_map(|choice| choice.assigned.addresses());
        self.refuse_conflict(&name, service.addresses.iter().copied().chain(assigned))?;
        let service = Arc::new(service);
        let pools = match &choice {
            Some(choice) => Some(Change::Assign(name.clone(), choice.assigned)),
            None => self.release(&name),
        };
        let put = Change::PutService(name.clone(), Arc::clone(&service));
        self.keep([put].into_iter().chain(pools)).await?;
        self.enter(&name, &service, choice.as_ref());
        self.set_service(&name, Source::Api, service);
        if let Some(choice) = &choice {
            self.give(&name, choice.assigned);
        }
        if let Some(event) = stored.event() {
            self.note_about(&name, Subject::Service, event);
        }
        self.note_choice(&name, choice.as_ref());
        self.announce_and_host(Self::announce);
        self.serve_waiting().await;
        Ok((stored, self.given(&name)))
    }

    fn refuse_taken(&self, name: &ServiceName, address: IpAddr) -> Result<(), Refusal> {
        let user = self.services.user(address);
        if let Some(user) = user.filter(|user| *user != name) {
            return Err(Refusal::Conflict(format!(
                "service {name}: {address} is an address of service {user}; must be in no other service"
            )));
        }
        if let Some(neighbor) = self.config.neighbors().get(&address) {
            return Err(Refusal::Conflict(format!(
                "service {name}: {address} is the address of {neighbor}; must be one that no neighbor has"
            )));
        }
        let prefix = IpNet::from(address);
        if self.services.route(&prefix).is_some() {
            return Err(Refusal::Conflict(format!(
                "service {name}: {prefix} is announced as a route; withdraw that first"
            )));
        }
        Ok(())
    }

    pub(super) async fn delete_service(&mut self, name: &ServiceName) -> Result<Lasting, Refusal> {
        self.refuse_in_the_file(name)?;
        if !self.kept.additions.services.contains_key(name) {
            let known = self.kept.additions.services.keys().map(ServiceName::as_str);
            return Err(not_found("service", "services", name.as_str(), known));
        }
        let delete = Change::DeleteService(name.clone());
        let release = self.release(name);
        // No router is kept waiting for the disk.
        self.strike_out(name);
        self.remove_service(name);
        self.announce_and_host(Self::announce);
        let lasting = self
            .keep_if_possible([delete].into_iter().chain(release))
            .await;
        self.serve_waiting().await;
        self.note_about(name, Subject::Service, "removed at run time");
        Ok(lasting)
    }

    pub(super) async fn put_route(
        &mut self,
        prefix: IpNet,
        route: RouteConfig,
    ) -> Result<Stored, Refusal> {
        self.refuse_route_in_the_file(&prefix)?;
        // What is there already costs no write, no event and no UPDATE.
        let stored = match self.kept.additions.routes.get(&prefix) {
            Some(known) if **known == route => return Ok(Stored::Unchanged),
            Some(known) => Stored::Replaced(plan::route_words(known, &route)),
            None => Stored::Created,
        };
        let blackhole = self.config.speaker.blackhole;
        blackhole
            .check(&prefix, &route.attributes)
            .map_err(|reason| Refusal::Invalid(format!("route {prefix}: {reason}")))?;
        for name in route.peers.iter().flatten() {
            if !self.config.ranges.contains_key(name) {
                self.refuse_unknown(name)?;
            }
        }
        let is_address = prefix.prefix_len() == prefix.max_prefix_len();
        let user = self.services.user(prefix.addr());
        if let Some(user) = user.filter(|_| is_address) {
            return Err(Refusal::Conflict(format!(
                "route {prefix}: service {user} announces this already"
            )));
        }
        let route = Arc::new(route);
        self.keep([Change::PutRoute(prefix, Arc::clone(&route))])
            .await?;
        let services = self.services_mut();
        services.put_route(prefix, Source::Api, route);
        if is_address {
            Arc::make_mut(&mut self.pools).reserve(prefix.addr(), Holder::Route);
        }
        self.announce();
        if let Some(event) = stored.event() {
            self.note_of_route(format!("route {prefix}: {event}"));
        }
        Ok(stored)
    }

    pub(super) async fn delete_route(&mut self, prefix: &IpNet) -> Result<Lasting, Refusal> {
        self.refuse_route_in_the_file(prefix)?;
        if !self.kept.additions.routes.contains_key(prefix) {
            return Err(Refusal::NotFound(format!(
                "route {prefix} was not announced at run time"
            )));
        }
        let is_address = prefix.prefix_len() == prefix.max_prefix_len();
        // No router is kept waiting for the disk.
        self.services_mut().remove_route(prefix);
        if is_address {
            Arc::make_mut(&mut self.pools).unreserve(prefix.addr(), &Holder::Route);
        }
        self.announce_and_host(Self::announce);
        let lasting = self.keep_if_possible([Change::DeleteRoute(*prefix)]).await;
        if is_address {
            self.serve_waiting().await;
        }
        self.note_of_route(format!("route {prefix}: removed at run time"));
        Ok(lasting)
    }

    /// What was removed is remembered for a while.
    pub(super) fn refuse_unknown_service(&self, name: &ServiceName) -> Result<(), Refusal> {
        let (file, added) = (&self.config.services, &self.kept.additions.services);
        let is_known = file.contains_key(name) || added.contains_key(name);
        if is_known || !self.history.records(Some(&name.into())).is_empty() {
            return Ok(());
        }
        let known = file.keys().chain(added.keys()).map(ServiceName::as_str);
        Err(not_found("service", "services", name.as_str(), known))
    }

    /// What a service had of the pools it has no more, if it had something.
    fn release(&self, name: &ServiceName) -> Option<Change> {
        let had = self.kept.assigned.contains_key(name);
        had.then(|| Change::Release(name.clone()))
    }

    fn refuse_conflict(
        &mut self,
        name: &ServiceName,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), Refusal> {
        match self.announcer.conflict(name, addresses) {
            Some(conflict) => Err(Refusal::Conflict(format!(
                "service {name}: {}",
                self.config.explain(&conflict)
            ))),
            None => Ok(()),
        }
    }

    fn refuse_in_the_file(&self, name: &ServiceName) -> Result<(), Refusal> {
        let service = self.services.get(name);
        match service.is_some_and(|service| service.source == Source::File) {
            true => Err(self.is_in_the_file("service", name.as_str())),
            false => Ok(()),
        }
    }

    fn refuse_route_in_the_file(&self, prefix: &IpNet) -> Result<(), Refusal> {
        let route = self.services.route(prefix);
        match route.is_some_and(|route| route.source == Source::File) {
            true => Err(self.is_in_the_file("route", &prefix.to_string())),
            false => Ok(()),
        }
    }

    fn is_in_the_file(&self, what: &str, name: &str) -> Refusal {
        Refusal::Conflict(format!(
            "{what} {name} is in {}; change it there and run `herald reload`",
            self.file.display()
        ))
    }
}
