//! The addresses of services on an interface of this host: there before they are announced, and gone
//! after they are withdrawn.

use tracing::warn;

use super::{Speaker, StartError};
use crate::addresses::{Addresses, Wish};
use crate::config::{Config, OnExit};
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
    /// Tells peers what has changed. Addresses that are new are on the host before, and those that have gone
    /// stay until then.
    pub(super) fn announce_and_host(&mut self, announce: impl FnOnce(&mut Self)) {
        let after = wish(&self.config, &self.services);
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
        }
    }
}
