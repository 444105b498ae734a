//! The sockets of the echo function. There are none while no session uses it.
//!
//! - Over IPv4 our echo packets are addressed to ourselves and handed to the neighbor, whose kernel or hardware forwards them
//!   back: see `link.rs`. The neighbor's are sent back by our kernel, which has to forward for that.
//! - Over IPv6 they go to the neighbor's UDP port 3785, which sends them back with one hop less, and we do the same for the
//!   neighbor's. That is what FRR does, and it works with link-local addresses, which nobody forwards.

mod inlet;
mod link;
mod neighbors;
mod reflector;
mod sys;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::io::Errno;

use self::inlet::Inlet;
use self::link::Link;
use self::neighbors::Neighbors;
use self::reflector::Reflector;
use super::sys::Batch;
use crate::echo_packet::RETURNED_TTL;
use crate::endpoint::{EchoMeta, Transmit, TransmitKind};
use crate::key::{SessionId, SessionKey, TRANSMIT_TTL};
use crate::packet::Micros;
use crate::session::{EchoConfig, EchoObstacles};

/// Why an echo packet was not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// This time.
    Refused,
    /// And none will be until something changes.
    Impossible(String),
}

/// All sockets of the echo function.
#[derive(Debug)]
pub(super) struct EchoSockets {
    /// Where to listen, over IPv6.
    listen: Vec<SocketAddr>,
    users: BTreeMap<SessionId, User>,
    /// For IPv4, by the index of the interface.
    links: BTreeMap<u32, Link>,
    neighbors: Option<Neighbors>,
    /// For IPv6.
    reflectors: Vec<Reflector>,
    /// What the kernel has dropped at sockets, those that were closed among them.
    drops: u64,
}

/// A session that uses the echo function.
#[derive(Debug)]
struct User {
    is_ipv4: bool,
    /// The interface whose link it sends from.
    link: Option<u32>,
    obstacles: EchoObstacles,
}

impl EchoSockets {
    /// Nothing is opened yet. Over IPv6, echo packets will be received where control packets are.
    pub(super) fn new(listen: &[SocketAddr]) -> Self {
        Self {
            listen: listen.to_vec(),
            users: BTreeMap::new(),
            links: BTreeMap::new(),
            neighbors: None,
            reflectors: Vec::new(),
            drops: 0,
        }
    }

    /// Opens what a session needs, as far as that is known, and says what is in the way.
    pub(super) fn admit(
        &mut self,
        id: SessionId,
        key: &SessionKey,
        config: &EchoConfig,
    ) -> EchoObstacles {
        let is_ipv4 = key.remote.is_ipv4();
        let (transmit, receive) = if is_ipv4 {
            let interface = key.interface.as_deref();
            let opened = self.open_neighbors().and_then(|()| self.reopen_link(id));
            (opened.err(), forwards_ipv4(interface).err())
        } else {
            let opened = self.open_reflectors().err();
            (opened.clone(), opened)
        };
        let obstacles = EchoObstacles {
            transmit: transmit.filter(|_| config.desired_min_tx_interval.is_some()),
            receive: receive.filter(|_| config.required_min_rx_interval != Micros::ZERO),
        };
        let user = self.users.entry(id).or_insert(User {
            is_ipv4,
            link: None,
            obstacles: EchoObstacles::default(),
        });
        user.obstacles = obstacles.clone();
        obstacles
    }

    /// Closes what only this session has used.
    pub(super) fn release(&mut self, id: SessionId) {
        if self.users.remove(&id).is_some() {
            self.close_unused();
        }
    }

    fn close_unused(&mut self) {
        self.count_drops();
        let users = &self.users;
        let is_used = |index: &u32| users.values().any(|user| user.link == Some(*index));
        self.links.retain(|index, _| is_used(index));
        if !users.values().any(|user| user.is_ipv4) {
            self.neighbors = None;
        }
        if users.values().all(|user| user.is_ipv4) {
            self.reflectors.clear();
        }
    }

    /// The sessions that use the echo function.
    pub(super) fn users(&self) -> Vec<SessionId> {
        self.users.keys().copied().collect()
    }

    /// What was in the way of a session when it was last looked at.
    pub(super) fn obstacles(&self, id: SessionId) -> EchoObstacles {
        let user = self.users.get(&id);
        user.map(|user| user.obstacles.clone()).unwrap_or_default()
    }

    fn inlets(&self) -> impl Iterator<Item = &Inlet> {
        let links = self.links.values().map(Link::inlet);
        links.chain(self.reflectors.iter().map(Reflector::inlet))
    }

    fn inlets_mut(&mut self) -> impl Iterator<Item = &mut Inlet> {
        let links = self.links.values_mut().map(Link::inlet_mut);
        links.chain(self.reflectors.iter_mut().map(Reflector::inlet_mut))
    }

    /// What to wait for.
    pub(super) fn sockets(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let awake = move |inlet: &&Inlet| inlet.rests_until(now).is_none();
        self.inlets().filter(awake).map(Inlet::socket)
    }

    /// Until when some of the sockets are no reason to wake.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.inlets()
            .filter_map(|inlet| inlet.rests_until(now))
            .min()
    }

    /// Takes a batch of what has come in at each socket, and says whether there may be more.
    pub(super) fn receive(
        &mut self,
        batch: &mut Batch,
        mut take: impl FnMut(EchoMeta, &[u8]),
    ) -> bool {
        let mut may_have_more = false;
        for link in self.links.values_mut() {
            may_have_more |= link.receive(&mut take);
        }
        for reflector in &mut self.reflectors {
            may_have_more |= reflector.receive(batch, &mut take);
        }
        may_have_more
    }

    /// Takes note that a turn has read what there was.
    pub(super) fn was_read(&mut self, now: Instant) {
        self.inlets_mut().for_each(|inlet| inlet.was_read(now));
    }

    /// How many datagrams the kernel has dropped at these sockets since the engine started.
    pub(super) fn count_drops(&mut self) -> u64 {
        self.drops += self.inlets_mut().map(Inlet::take_drops).sum::<u64>();
        self.drops
    }

    /// Sends an echo packet of either kind.
    pub(super) fn send(&mut self, transmit: &Transmit) -> Result<(), SendError> {
        let (interface_index, ttl) = match transmit.kind {
            TransmitKind::Echo { interface_index } => (interface_index, TRANSMIT_TTL),
            TransmitKind::EchoReturn { interface_index } => (interface_index, RETURNED_TTL),
            TransmitKind::Control => return Err(SendError::Refused),
        };
        match (transmit.destination, transmit.local) {
            (SocketAddr::V6(destination), local) => {
                let local = match local {
                    Some(IpAddr::V6(local)) => local,
                    _ => Ipv6Addr::UNSPECIFIED,
                };
                let reflector = self
                    .reflectors
                    .iter()
                    .find(|reflector| reflector.sends_from(local))
                    .ok_or(SendError::Refused)?;
                let from = (local, interface_index.unwrap_or(0));
                let socket = reflector.inlet().socket();
                sys::send_ipv6(socket, &transmit.payload, destination, from, ttl)
                    .map_err(|_| SendError::Refused)
            }
            (SocketAddr::V4(destination), Some(IpAddr::V4(local))) => {
                let interface_index = interface_index.ok_or(SendError::Refused)?;
                let (link, neighbors) = self.link(transmit.session, interface_index)?;
                let sent = neighbors.link_address(interface_index, *destination.ip());
                let sent = sent.and_then(|to| link.send(&transmit.payload, local, &to));
                sent.map_err(|error| {
                    if is_gone(&error) {
                        self.links.remove(&interface_index);
                    }
                    SendError::Refused
                })
            }
            (SocketAddr::V4(_), _) => Err(SendError::Refused),
        }
    }

    /// The packet socket of the interface that a session sends from, opened if need be.
    fn link(
        &mut self,
        id: SessionId,
        interface_index: u32,
    ) -> Result<(&Link, &Neighbors), SendError> {
        let user = self.users.get_mut(&id).ok_or(SendError::Refused)?;
        if user.link != Some(interface_index) {
            user.link = Some(interface_index);
            self.close_unused();
        }
        let link = match self.links.entry(interface_index) {
            Entry::Occupied(link) => link.into_mut(),
            Entry::Vacant(place) => {
                let opened = Link::open(interface_index);
                place.insert(opened.map_err(|error| match is_gone(&error) {
                    true => SendError::Refused,
                    false => SendError::Impossible(cannot_open(&error)),
                })?)
            }
        };
        let neighbors = self.neighbors.as_ref().ok_or(SendError::Refused)?;
        Ok((link, neighbors))
    }

    /// Finds out whether packet sockets may be opened, before the interface is known.
    fn open_neighbors(&mut self) -> Result<(), String> {
        if self.links.is_empty() {
            Link::probe().map_err(|error| cannot_open(&error))?;
        }
        if self.neighbors.is_none() {
            let neighbors = Neighbors::open()
                .map_err(|error| format!("cannot ask the kernel for its neighbors: {error}"))?;
            self.neighbors = Some(neighbors);
        }
        Ok(())
    }

    /// Tries again what a session has last tried to send from.
    fn reopen_link(&mut self, id: SessionId) -> Result<(), String> {
        let link = self.users.get(&id).and_then(|user| user.link);
        let Some(place) = link.filter(|index| !self.links.contains_key(index)) else {
            return Ok(());
        };
        match Link::open(place) {
            Ok(link) => {
                self.links.insert(place, link);
                Ok(())
            }
            // The next packet may have another.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(cannot_open(&error)),
        }
    }

    fn open_reflectors(&mut self) -> Result<(), String> {
        if !self.reflectors.is_empty() {
            return Ok(());
        }
        let addresses = self.listen.iter().filter_map(|address| match address.ip() {
            IpAddr::V6(local) => Some(local),
            IpAddr::V4(_) => None,
        });
        let opened = addresses.map(Reflector::open).collect::<Result<_, _>>();
        self.reflectors = opened?;
        Ok(())
    }
}

/// Whether the interface is gone, or has another index.
fn is_gone(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    [Some(Errno::NXIO), Some(Errno::NODEV)].contains(&error)
}

fn cannot_open(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; IPv4 echo needs CAP_NET_RAW (AmbientCapabilities=CAP_NET_RAW in a systemd unit)"
        }
        _ => "",
    };
    format!("cannot open a packet socket for BFD echo: {error}{hint}")
}

/// Whether the kernel sends back the echo packets that come in at this interface, or at any.
fn forwards_ipv4(interface: Option<&str>) -> Result<(), String> {
    let interface = interface.filter(|name| !name.contains('/'));
    let (path, name) = match interface {
        Some(name) => (
            format!("/proc/sys/net/ipv4/conf/{name}/forwarding"),
            format!("net.ipv4.conf.{name}.forwarding"),
        ),
        None => (
            "/proc/sys/net/ipv4/ip_forward".to_owned(),
            "net.ipv4.ip_forward".to_owned(),
        ),
    };
    match fs::read_to_string(path) {
        Ok(value) if value.trim() == "0" => Err(format!(
            "{name} is 0, and so the kernel would not send the neighbor's echo packets back: `sysctl -w {name}=1`"
        )),
        // Where it cannot be read, nothing is known to be in the way.
        _ => Ok(()),
    }
}
