//! The addresses of services on an interface of this host: there before they are announced, and gone
//! after they are withdrawn.

use std::net::IpAddr;

use tracing::warn;

use super::{Speaker, StartError};
use crate::addresses::{Addresses, Presence, Wish};
use crate::config::{Config, OnExit};
use crate::history::Subject;
use crate::services::Services;

/// What is wanted on which interface.
pub(super) fn wish(config: &Config, services: &Services) -> Wish {
    let Some(interface) = config.speaker.address_interface.clone() else {
        return Wish::default();
    };
    let all = services.iter();
    let addresses = all.flat_map(|(_, service)| service.addresses());
    Wish {
        interface: Some(interface),
        addresses: addresses.collect(),
    }
}

/// Who may not add addresses must not announce them either: what routers send there would be lost.
pub(super) async fn refuse_forbidden(addresses: Addresses) -> Result<Addresses, StartError> {
    let report = addresses.report();
    let Some(interface) = report.interface.clone().filter(|_| report.refused) else {
        return Ok(addresses);
    };
    addresses.end(OnExit::Withdraw).await;
    Err(StartError::Forbidden { interface })
}

impl Speaker {
    /// Announces what is on this host, and withdraws what is not.
    pub(super) fn handle_hosted(&mut self) {
        let [former, report] = self.addresses.news();
        // It may be about another interface, or about none any more.
        if report.interface != self.config.speaker.address_interface {
            return;
        }
        self.services_mut().host(report.hosted());
        for (address, presence) in &report.addresses {
            let known = former.addresses.get(address);
            if known != Some(presence)
                && let Some(name) = self.services.user(*address).cloned()
                && let Some(text) = self.hosting_news(*address, known, presence)
            {
                self.note_about(&name, Subject::Service, text);
            }
        }
        self.announce();
    }

    /// In words, where it makes a difference to what is announced. That an address comes with its service
    /// is no news.
    fn hosting_news(
        &self,
        address: IpAddr,
        known: Option<&Presence>,
        presence: &Presence,
    ) -> Option<String> {
        match (known, presence) {
            (None | Some(Presence::Missing(_)), Presence::Missing(reason))
                if !self.services.is_hosted(address) =>
            {
                Some(format!(
                    "{address} is not on this host, not announced: {reason}"
                ))
            }
            (Some(_), Presence::Missing(reason)) if !self.services.is_hosted(address) => Some(
                format!("{address} is not on this host, withdrawn: {reason}"),
            ),
            (Some(Presence::Missing(_)), Presence::Added | Presence::Foreign(_)) => {
                Some(format!("{address} is on this host again"))
            }
            _ => None,
        }
    }

    /// Tells peers what has changed. Addresses that are new are on the host before, and those that have gone
    /// stay until then.
    pub(super) fn announce_and_host(&mut self, announce: impl FnOnce(&mut Self)) {
        let after = wish(&self.config, &self.services);
        match (&self.addresses.wish().interface, &after.interface) {
            // What is announced stays so until it is known to be missing.
            (None, Some(_)) => self.services_mut().host(Some(after.addresses.clone())),
            (Some(_), None) => self.services_mut().host(None),
            _ => {}
        }
        let before = self.addresses.wish();
        if before.interface == after.interface {
            let both = &before.addresses | &after.addresses;
            self.want_addresses(Wish {
                addresses: both,
                ..after.clone()
            });
        }
        announce(self);
        self.want_addresses(after);
    }

    fn want_addresses(&mut self, wish: Wish) {
        if let Err(error) = self.addresses.want(wish) {
            warn!("[speaker] address-interface: no address can be added or removed: {error}");
            self.services_mut().host(None);
            self.announce();
        }
    }
}
