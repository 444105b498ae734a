//! A host for one daemon: a network namespace and a directory, without routers.

use std::fs;
use std::path::{Path, PathBuf};

use super::daemon::{Herald, socket_in};
use super::lab::owned_name;
use super::{Namespace, or_skip};

/// A host, and where its daemon keeps its files.
#[derive(Debug)]
pub struct Host {
    pub namespace: Namespace,
    directory: PathBuf,
}

impl Host {
    /// `None`, with a word to the user, where there are no namespaces for us.
    pub fn create(label: &str) -> Option<Self> {
        let name = owned_name(label);
        let namespace = or_skip(label, Namespace::create(&name))?;
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        Some(Self {
            namespace,
            directory,
        })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A configuration with these lines in `[speaker]`, a peer that is switched off, and what else is said.
    pub fn config(&self, speaker: &str, rest: &str) -> String {
        format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\nstate-dir = {:?}\n{speaker}\n\
             [api]\nsocket = {:?}\n\
             [[peer]]\naddress = \"127.0.0.9\"\nremote-as = 64521\nenabled = false\n{rest}",
            self.directory.join("state"),
            socket_in(&self.directory),
        )
    }

    /// Starts the daemon with [such a configuration](Self::config).
    #[track_caller]
    pub fn start(&self, speaker: &str, rest: &str) -> Herald {
        let config = self.config(speaker, rest);
        Herald::start(&self.namespace, &self.directory, &config)
    }

    /// Whether an interface has an address.
    pub fn has(&self, device: &str, address: &str) -> bool {
        let listed = self.namespace.ip(&format!("-o addr show dev {device}"));
        listed
            .split_whitespace()
            .any(|word| word.split_once('/').is_some_and(|(it, _)| it == address))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
