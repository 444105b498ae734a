//! Neighbors without configured addresses: who is on the other end of a link says so by IPv6 router
//! advertisements (RFC 4861), and so do we.
//!
//! Ours have a Router Lifetime of 0: they make no host send packets our way. Each interface has a
//! task, which follows the interface as it comes, goes and gets another address. A link has one
//! neighbor; where there are several, the first is kept as long as it is heard.

mod link;
mod message;
mod socket;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// What is known of the other end of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The interface.
    pub interface: String,
    /// The neighbor's link-local address, or why it is not known.
    pub neighbor: Result<Ipv6Addr, String>,
}

/// The interfaces that are looked at.
#[derive(Debug)]
pub struct Discovery {
    links: BTreeMap<String, AbortHandle>,
    sightings: UnboundedSender<Sighting>,
}

impl Discovery {
    /// Looks at no interface yet. What is seen goes to `sightings`.
    #[must_use]
    pub const fn new(sightings: UnboundedSender<Sighting>) -> Self {
        Self {
            links: BTreeMap::new(),
            sightings,
        }
    }

    /// Looks at these interfaces and no others. Must be called within a tokio runtime.
    pub fn look_at<'i>(&mut self, interfaces: impl IntoIterator<Item = &'i str>) {
        let mut before = std::mem::take(&mut self.links);
        for interface in interfaces {
            let link = before.remove(interface).unwrap_or_else(|| {
                let task = link::run(interface.to_owned(), self.sightings.clone());
                tokio::spawn(task).abort_handle()
            });
            self.links.insert(interface.to_owned(), link);
        }
        for (_, link) in before {
            link.abort();
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.look_at([]);
    }
}
