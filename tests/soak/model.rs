//! What ought to be: which services there are, and what every router has for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::health::Health;

/// How many services the file may have, and how many the API may add.
pub(crate) const IN_FILE: u16 = 250;
pub(crate) const ADDED: u16 = 250;

/// Those of the file whose health is checked.
pub(crate) fn is_checked(number: u16) -> bool {
    number.is_multiple_of(5)
}

/// The services of the configuration file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub services: BTreeSet<u16>,
    /// Of every route; each reload says another one.
    pub med: u32,
}

impl File {
    pub(crate) fn new() -> Self {
        Self {
            services: (0..IN_FILE).collect(),
            med: 1,
        }
    }

    /// What follows the peers in the configuration.
    pub(crate) fn config(&self) -> String {
        let mut config = format!("[[advertisement]]\nmed = {}\n", self.med);
        for number in &self.services {
            let addresses = file_addresses(*number);
            let _ = writeln!(
                config,
                "[[service]]\nname = \"file-{number}\"\naddresses = {addresses:?}"
            );
            if is_checked(*number) {
                let url = Health::url(*number);
                let _ = writeln!(
                    config,
                    "[service.health]\nhttp = {url:?}\ninterval = \"1s\"\nfall = 2\nrise = 1"
                );
            }
        }
        config
    }

    /// The prefixes that every router has for them.
    pub(crate) fn prefixes(&self, health: &Health) -> impl Iterator<Item = String> {
        let services = self.services.iter().copied();
        let announced = services.filter(|number| !is_checked(*number) || !health.is_ill(*number));
        let addresses = announced.flat_map(file_addresses);
        addresses.map(|address| prefix(&address))
    }
}

/// Every fourth one has IPv6 as well.
fn file_addresses(number: u16) -> Vec<String> {
    let v4 = format!("10.200.{}.{}", number / 200, number % 200);
    let v6 = number
        .is_multiple_of(4)
        .then(|| format!("2001:db8:200::{:x}", number + 1));
    [v4].into_iter().chain(v6).collect()
}

/// The address of one that the API adds.
pub(crate) fn added_address(number: u16) -> String {
    format!("10.201.{}.{}", number / 200, number % 200)
}

pub(crate) fn prefix(address: &str) -> String {
    let length = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{length}")
}
