//! Where neighbors connect to, and what the kernel demands of them there.
//!
//! TCP MD5 (RFC 2385) begins with the SYN, so the listening sockets must know the key of every
//! neighbor. A key belongs to an address; the kernel knows no interface beside it. Link-local
//! neighbors with keys therefore get listeners of their own, one for each interface.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::{socket, sys};
use crate::config::{Password, PeerName, is_link_local};

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refuses it.
    #[error("cannot listen for BGP on {address}: {source}{}", hint(source))]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is nobody left who could listen.
    #[error("cannot listen for BGP: the BGP thread has ended")]
    Ended,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another BGP speaker may be running on this host: stop it, or choose another address or port in [speaker] listen"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has that address",
        _ => "",
    }
}

/// What connections from some addresses must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// From where.
    pub(super) from: IpNet,
    /// On which interface, by name and index, where the addresses mean nothing without.
    pub(super) interface: Option<(String, u32)>,
    /// Signed with this key.
    pub(super) password: Option<Password>,
    /// TTL or hop limit; 0: any.
    pub(super) minimum_ttl: u8,
}

/// The listening sockets; each has a task that hands on what it accepts.
pub(super) struct Listeners {
    /// Where to listen.
    addresses: Vec<SocketAddr>,
    demands: BTreeMap<PeerName, Demand>,
    open: BTreeMap<Place, Listening>,
    /// What could not be demanded, and why not.
    troubles: BTreeMap<PeerName, String>,
    /// What was said of that before.
    said: BTreeMap<PeerName, String>,
    accepted: Sender<TcpStream>,
}

/// An address, on one interface only or on all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: SocketAddr,
    interface: Option<(String, u32)>,
}

struct Listening {
    listener: Rc<TcpListener>,
    task: JoinHandle<()>,
    keys: BTreeMap<IpNet, Password>,
}

impl Listeners {
    pub(super) fn new(accepted: Sender<TcpStream>) -> Self {
        Self {
            addresses: Vec::new(),
            demands: BTreeMap::new(),
            open: BTreeMap::new(),
            troubles: BTreeMap::new(),
            said: BTreeMap::new(),
            accepted,
        }
    }

    /// Listens on `addresses` and nowhere else. Where it listens already, nothing changes; if it
    /// cannot, nothing changes at all.
    pub(super) async fn set(&mut self, addresses: &[SocketAddr]) -> Result<(), ListenError> {
        let before = std::mem::replace(&mut self.addresses, addresses.to_vec());
        let outcome = self.listen().await;
        if outcome.is_err() {
            self.addresses = before;
            self.listen().await?;
        }
        outcome
    }

    /// Replaces what is demanded of a neighbor; `None`: nothing, and connections from it are no
    /// business of the kernel's.
    pub(super) async fn demand(&mut self, name: &PeerName, demand: Option<Demand>) {
        if self.demands.get(name) == demand.as_ref() {
            return;
        }
        let is_keyed = |demand: Option<&Demand>| demand.is_some_and(|it| it.password.is_some());
        let before = match demand {
            Some(demand) => self.demands.insert(name.clone(), demand),
            None => self.demands.remove(name),
        };
        if is_keyed(before.as_ref()) || is_keyed(self.demands.get(name)) {
            // Its addresses are open already; what concerns interfaces is told as trouble.
            let _ = self.listen().await;
        } else {
            self.set_minimum_ttl();
        }
    }

    /// Why what was demanded of a neighbor cannot be.
    pub(super) fn trouble(&self, name: &PeerName) -> Option<&String> {
        self.troubles.get(name)
    }

    pub(super) async fn close(&mut self) {
        self.addresses.clear();
        self.close_all_but(&BTreeSet::new()).await;
    }

    async fn listen(&mut self) -> Result<(), ListenError> {
        self.said = std::mem::take(&mut self.troubles);
        let wide = self.addresses.iter().map(|address| Place {
            address: *address,
            interface: None,
        });
        let narrow = self.places_on_interfaces();
        let wanted = wide.chain(narrow.keys().cloned()).collect();
        // What is in the way of a new address may be an old one, such as 0.0.0.0.
        self.close_all_but(&wanted).await;
        for place in wanted {
            if self.open.contains_key(&place) {
                continue;
            }
            let opened = self.open(&place);
            if let Err(source) = opened {
                let Some(name) = narrow.get(&place) else {
                    let address = place.address;
                    return Err(ListenError::Bind { address, source });
                };
                let interface = place.interface.map(|(name, _)| name).unwrap_or_default();
                let trouble = format!("cannot listen on {interface} alone: {source}");
                self.complain(name, trouble);
            }
        }
        self.set_minimum_ttl();
        self.set_keys();
        Ok(())
    }

    /// Where link-local neighbors with keys connect to, each with one such neighbor.
    fn places_on_interfaces(&self) -> BTreeMap<Place, PeerName> {
        let keyed = self.demands.iter();
        let keyed = keyed.filter(|(_, demand)| demand.password.is_some());
        let mut places = BTreeMap::new();
        for (name, demand) in keyed {
            let Some((interface, index)) = &demand.interface else {
                continue;
            };
            let addresses = self.addresses.iter();
            let addresses = addresses.filter(|address| may_be_asked_for(address, &demand.from));
            for address in addresses.filter(|_| *index != 0) {
                let place = Place {
                    address: *address,
                    interface: Some((interface.clone(), *index)),
                };
                places.insert(place, name.clone());
            }
        }
        places
    }

    fn open(&mut self, place: &Place) -> io::Result<()> {
        let listener = match &place.interface {
            None => socket::listen(place.address)?,
            Some((interface, _)) => {
                let at = self.open.iter();
                let beside = at.filter(|(other, _)| other.address == place.address);
                let beside: Vec<_> = beside.map(|(_, open)| &*open.listener).collect();
                socket::listen_beside(place.address, interface, &beside)?
            }
        };
        let listener = Rc::new(listener);
        let task = accept(Rc::clone(&listener), self.accepted.clone());
        let listening = Listening {
            listener,
            task: tokio::task::spawn_local(task),
            keys: BTreeMap::new(),
        };
        self.open.insert(place.clone(), listening);
        Ok(())
    }

    async fn close_all_but(&mut self, places: &BTreeSet<Place>) {
        let closing = self.open.keys().filter(|place| !places.contains(place));
        for place in closing.cloned().collect::<Vec<_>>() {
            if let Some(listening) = self.open.remove(&place) {
                listening.task.abort();
                // The socket is closed when the task has ended, and only then.
                let _ = listening.task.await;
            }
        }
    }

    /// What is demanded of every neighbor can be demanded of a stranger: a SYN from afar is then not
    /// even answered (RFC 5082 §3).
    fn set_minimum_ttl(&self) {
        for (place, listening) in &self.open {
            let is_ipv6 = place.address.is_ipv6();
            let demands = self.demands.values();
            let same = demands.filter(|demand| demand.from.addr().is_ipv6() == is_ipv6);
            let lowest = same.map(|demand| demand.minimum_ttl).min().unwrap_or(0);
            // Each connection has its own all the same.
            let _ = sys::set_minimum_ttl(listening.listener.as_fd(), is_ipv6, lowest);
        }
    }

    fn set_keys(&mut self) {
        let mut troubles = Vec::new();
        for (place, listening) in &mut self.open {
            let demands = self.demands.iter();
            let wanted: BTreeMap<IpNet, (&PeerName, &Password)> = demands
                .filter(|(_, demand)| concerns(place, demand))
                .filter_map(|(name, demand)| Some((demand.from, (name, demand.password.as_ref()?))))
                .collect();
            let socket = listening.listener.as_fd();
            listening.keys.retain(|from, _| {
                // A key that is not there any more is what is wanted.
                wanted.contains_key(from) || sys::remove_md5_key(socket, *from).is_err()
            });
            for (from, (name, password)) in wanted {
                if listening.keys.get(&from) == Some(password) {
                    continue;
                }
                match sys::set_md5_key(socket, from, password.key()) {
                    Ok(()) => drop(listening.keys.insert(from, password.clone())),
                    Err(error) => troubles.push((name.clone(), error.to_string())),
                }
            }
        }
        for (name, trouble) in troubles {
            self.complain(&name, trouble);
        }
    }

    fn complain(&mut self, name: &PeerName, trouble: String) {
        if self.said.get(name) != Some(&trouble) {
            tracing::warn!(peer = %name, "connections of this peer are refused: {trouble}");
        }
        self.troubles.insert(name.clone(), trouble);
    }
}

/// Whether a listener is to know the key of this neighbor: a link-local one is known on its own
/// interface only.
fn concerns(place: &Place, demand: &Demand) -> bool {
    may_be_asked_for(&place.address, &demand.from)
        && (demand.interface.is_none() || demand.interface == place.interface)
}

/// Whether a neighbor may connect to a listener's address.
fn may_be_asked_for(address: &SocketAddr, from: &IpNet) -> bool {
    address.is_ipv6() == from.addr().is_ipv6()
}

/// The interface on which an address means something, by name and index, if it means something on
/// one only.
pub(super) fn scope_of(ip: IpAddr, interface: Option<&str>) -> Option<(String, u32)> {
    let interface = interface.filter(|_| is_link_local(ip))?;
    let index = nix::net::if_::if_nametoindex(interface).unwrap_or(0);
    Some((interface.to_owned(), index))
}

async fn accept(listener: Rc<TcpListener>, accepted: Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // When too many wait, the rest waits in the kernel, which has a limit.
                let _ = accepted.send(stream).await;
            }
            Err(error) => {
                // Out of descriptors or the like: to try again at once would only burn the
                // processor.
                tracing::warn!(%error, "cannot accept a BGP connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}
