//! Which addresses we have added, where the next daemon finds it: a small file in the state directory,
//! written before the first address is added and after the last is removed.
//!
//! Addresses do not survive a boot, and so neither does what is said here: who has added an address
//! since then is not us.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::difference::Place;
use super::interface_name;
use crate::additions::{StateDir, StateError};
use crate::last_run::boot;

const FILE: &str = "addresses.json";

/// What is ours.
#[derive(Debug)]
pub(super) struct Ledger {
    state_dir: Arc<StateDir>,
    places: BTreeSet<Place>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct LedgerFile {
    boot: String,
    addresses: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    interface: String,
    address: IpAddr,
}

impl Ledger {
    /// What is written of the last run. What cannot be read counts as nothing: an address too many is
    /// better than one that was somebody else's.
    pub(super) fn read(state_dir: Arc<StateDir>) -> Self {
        let file = match state_dir.read(FILE) {
            Ok(file) => file.unwrap_or_default(),
            Err(error) => {
                warn!("which addresses the last run has added cannot be read: {error}");
                Vec::new()
            }
        };
        let places = match serde_json::from_slice::<LedgerFile>(&file) {
            Ok(file) if file.boot == boot() => places(file.addresses),
            Err(error) if !file.is_empty() => {
                warn!("{FILE} in the state directory is not understood: {error}");
                BTreeSet::new()
            }
            _ => BTreeSet::new(),
        };
        Self { state_dir, places }
    }

    pub(super) const fn places(&self) -> &BTreeSet<Place> {
        &self.places
    }

    /// Replaces what is ours, on disk first.
    pub(super) fn write(&mut self, places: BTreeSet<Place>) -> Result<(), StateError> {
        if places == self.places {
            return Ok(());
        }
        let named = places.iter().map(|(index, address)| Entry {
            interface: interface_name(*index),
            address: *address,
        });
        let file = LedgerFile {
            boot: boot(),
            addresses: named.collect(),
        };
        // Texts have a form in JSON.
        let text = serde_json::to_vec(&file).unwrap_or_default();
        self.state_dir.write(FILE, &text)?;
        self.places = places;
        Ok(())
    }
}

/// Whether a run before this one has left addresses behind, as far as this state directory knows.
pub(super) fn has_leftovers(state_dir: &Path) -> bool {
    let file = std::fs::read(state_dir.join(FILE)).unwrap_or_default();
    let file = serde_json::from_slice::<LedgerFile>(&file).unwrap_or_default();
    file.boot == boot() && !file.addresses.is_empty()
}

/// On an interface that has gone there is none left.
fn places(entries: Vec<Entry>) -> BTreeSet<Place> {
    let entries = entries.into_iter();
    let places = entries.filter_map(|entry| {
        let index = if_nametoindex(entry.interface.as_str()).ok()?;
        Some((index, entry.address))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(directory: &tempfile::TempDir) -> Ledger {
        Ledger::read(Arc::new(StateDir::open(directory.path()).unwrap()))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let places = BTreeSet::from([
            (1, "192.0.2.1".parse().unwrap()),
            (1, "2001:db8::1".parse().unwrap()),
        ]);
        assert!(ledger(&directory).places().is_empty());
        ledger(&directory).write(places.clone()).unwrap();
        assert_eq!(*ledger(&directory).places(), places);
    }

    #[test]
    fn another_boot_or_no_sense_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let other = r#"{"boot":"another","addresses":[{"interface":"lo","address":"192.0.2.1"}]}"#;
        let gone = r#"{"boot":"BOOT","addresses":[{"interface":"gone0","address":"192.0.2.1"}]}"#;
        for text in [other, &gone.replace("BOOT", &boot()), "{", "[]"] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            assert!(ledger(&directory).places().is_empty(), "{text}");
        }
    }
}
