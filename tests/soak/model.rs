//! What ought to be: which services there are, and what every router has for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::health::Health;

/// How many services the file has, of how many it chooses them from, and of how many the API adds and removes: 500 at a time.
pub(crate) const IN_FILE: u16 = 400;
pub(crate) const FOR_FILE: u16 = 500;
pub(crate) const FOR_API: u16 = 200;

/// A service, by what its health is asked about: a number of the file's, or one of the API's behind them.
pub(crate) const fn asked_about(added: u16) -> u16 {
    FOR_FILE + added
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
            let (addresses, url) = (file_addresses(*number), Health::url(*number));
            let _ = writeln!(
                config,
                "[[service]]\nname = \"file-{number}\"\naddresses = {addresses:?}\n\
                 [service.health]\nhttp = {url:?}\ninterval = \"2s\"\nfall = 1\nrise = 1"
            );
        }
        config
    }
}

/// The prefixes that every router has, of the services of the file and those that were added.
pub(crate) fn prefixes(file: &File, added: &BTreeSet<u16>, health: &Health) -> BTreeSet<String> {
    let of_file = file.services.iter().filter(|it| !health.is_ill(**it));
    let of_file = of_file.flat_map(|number| file_addresses(*number));
    let added = added.iter().filter(|it| !health.is_ill(asked_about(**it)));
    let added = added.map(|number| added_address(*number));
    of_file
        .chain(added)
        .map(|address| prefix(&address))
        .collect()
}

/// What the API is asked to add.
pub(crate) fn added_service(number: u16) -> String {
    let (address, url) = (added_address(number), Health::url(asked_about(number)));
    format!(
        "{{\"addresses\": [{address:?}], \
         \"health\": {{\"http\": {url:?}, \"interval_ms\": 2000, \"fall\": 1, \"rise\": 1}}}}"
    )
}

/// Every fourth one has IPv6 as well.
fn file_addresses(number: u16) -> Vec<String> {
    let v4 = format!("10.200.{}.{}", number / 200, number % 200);
    let v6 = number
        .is_multiple_of(4)
        .then(|| format!("2001:db8:200::{:x}", number + 1));
    [v4].into_iter().chain(v6).collect()
}

fn added_address(number: u16) -> String {
    format!("10.201.{}.{}", number / 200, number % 200)
}

fn prefix(address: &str) -> String {
    let length = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{length}")
}
