//! What one command changes of what is kept, and how it is written down.

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Kept, RouteSpec, ServiceSpec};
use crate::config::{PeerName, RouteConfig, ServiceConfig, ServiceName, parse_prefix};
use crate::drain::Drain;
use crate::services::pools::Assigned;

/// One step from what is kept to what is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A service was added, or says something else.
    PutService(ServiceName, Arc<ServiceConfig>),
    /// It was removed.
    DeleteService(ServiceName),
    /// A route was added, or says something else.
    PutRoute(IpNet, Arc<RouteConfig>),
    /// It was removed.
    DeleteRoute(IpNet),
    /// What a service has of the pools.
    Assign(ServiceName, Assigned),
    /// It has nothing of them any more.
    Release(ServiceName),
    /// A peer is shut down, and what its operator was told.
    ShutDown(PeerName, Option<String>),
    /// It may start again.
    Enable(PeerName),
    /// Who is drained.
    Drain(Drain),
}

impl Kept {
    /// Takes the steps, one after the other.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_one(change);
        }
    }

    fn apply_one(&mut self, change: &Change) {
        let additions = &mut self.additions;
        match change {
            Change::PutService(name, service) => {
                additions.services.insert(name.clone(), Arc::clone(service));
            }
            Change::DeleteService(name) => drop(additions.services.remove(name)),
            Change::PutRoute(prefix, route) => {
                additions.routes.insert(*prefix, Arc::clone(route));
            }
            Change::DeleteRoute(prefix) => drop(additions.routes.remove(prefix)),
            Change::Assign(name, assigned) => self.assign(name, *assigned),
            Change::Release(name) => self.release(name),
            Change::ShutDown(name, communication) => {
                self.shutdowns.insert(name.clone(), communication.clone());
            }
            Change::Enable(name) => drop(self.shutdowns.remove(name)),
            Change::Drain(drain) => self.drain = drain.clone(),
        }
    }
}

/// A [`Change`] as it is written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeText {
    PutService(ServiceName, ServiceSpec),
    DeleteService(ServiceName),
    PutRoute(String, RouteSpec),
    DeleteRoute(String),
    Assign(ServiceName, Assigned),
    Release(ServiceName),
    ShutDown(PeerName, Option<String>),
    Enable(PeerName),
    Drain(Drain),
}

impl From<&Change> for ChangeText {
    fn from(change: &Change) -> Self {
        match change.clone() {
            Change::PutService(name, service) => Self::PutService(name, (&*service).into()),
            Change::DeleteService(name) => Self::DeleteService(name),
            Change::PutRoute(prefix, route) => Self::PutRoute(prefix.to_string(), (&*route).into()),
            Change::DeleteRoute(prefix) => Self::DeleteRoute(prefix.to_string()),
            Change::Assign(name, assigned) => Self::Assign(name, assigned),
            Change::Release(name) => Self::Release(name),
            Change::ShutDown(name, communication) => Self::ShutDown(name, communication),
            Change::Enable(name) => Self::Enable(name),
            Change::Drain(drain) => Self::Drain(drain),
        }
    }
}

impl TryFrom<ChangeText> for Change {
    type Error = String;

    fn try_from(text: ChangeText) -> Result<Self, String> {
        Ok(match text {
            ChangeText::PutService(name, spec) => {
                let service = ServiceConfig::try_from(&spec)
                    .map_err(|error| format!("service {name}: {error}"))?;
                Self::PutService(name, Arc::new(service))
            }
            ChangeText::DeleteService(name) => Self::DeleteService(name),
            ChangeText::PutRoute(text, spec) => {
                let route = RouteConfig::try_from(&spec)
                    .map_err(|error| format!("route {text}: {error}"))?;
                Self::PutRoute(prefix(&text)?, Arc::new(route))
            }
            ChangeText::DeleteRoute(text) => Self::DeleteRoute(prefix(&text)?),
            ChangeText::Assign(name, assigned) => Self::Assign(name, assigned),
            ChangeText::Release(name) => Self::Release(name),
            ChangeText::ShutDown(name, communication) => Self::ShutDown(name, communication),
            ChangeText::Enable(name) => Self::Enable(name),
            ChangeText::Drain(drain) => Self::Drain(drain),
        })
    }
}

pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    parse_prefix(text).map_err(|expected| format!("route: found {text:?}; must be {expected}"))
}
