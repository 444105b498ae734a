//! The addresses of services on an interface of this host: there before they are announced, and gone
//! after they are withdrawn.

use std::net::IpAddr;

use nix::net::if_::if_nametoindex;
use tracing::warn;

use super::{Speaker, StartError};
use crate::addresses::{Addresses, Presence, Wish};
use crate::config::{Config, OnExit};
use crate::history::Subject;
use crate::plan::Change;
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

    /// What a reload waits for that names another interface.
    pub(super) fn absent_interface(&self, wanted: &Config) -> Option<Change> {
        let interface = wanted.speaker.address_interface.as_ref()?;
        let is_new = self.config.speaker.address_interface.as_ref() != Some(interface);
        let is_absent = is_new && if_nametoindex(interface.as_str()).is_err();
        is_absent.then(|| Change::AwaitInterface(interface.clone()))
    }

    /// Tells peers what has changed. Addresses that are new are wished for before, and announced when they are on
    /// the host; those that have gone stay until peers have been told. It costs no more than what has changed, unless the interface is another one.
    pub(super) fn announce_and_host(&mut self, announce: impl FnOnce(&mut Self)) {
        let moved = self.services_mut().take_moved();
        let interface = &self.config.speaker.address_interface;
        if *interface != self.addresses.interface() {
            self.change_interface(announce);
            return;
        }
        let is_wanted = |address: &IpAddr| self.services.user(*address).is_some();
        let (come, gone): (Vec<IpAddr>, Vec<IpAddr>) = moved.into_iter().partition(is_wanted);
        self.addresses.want_besides(come);
        announce(self);
        self.addresses.want_no_more(&gone);
    }

    fn change_interface(&mut self, announce: impl FnOnce(&mut Self)) {
        let wish = wish(&self.config, &self.services);
        match (self.addresses.interface(), &wish.interface) {
            // What is announced stays so until it is known to be missing.
            (None, Some(_)) => self.services_mut().host(Some(wish.addresses.clone())),
            (Some(_), None) => self.services_mut().host(None),
            _ => {}
        }
        announce(self);
        if let Err(error) = self.addresses.want(wish) {
            warn!("[speaker] address-interface: no address can be added or removed: {error}");
            self.services_mut().host(None);
            self.announce();
        }
    }
}
