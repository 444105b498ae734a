//! The addresses of services, on an interface of this host (`[speaker] address-interface`).
//!
//! They are there while their service is configured, healthy or not: a check against an address that is
//! taken away could never succeed again. What was there before us is left as it is, and what somebody
//! else takes away is added again.
//!
//! All of it happens on a thread of its own, which runs once there is something to do; the rest of the
//! daemon says what it wants, and reads what has become of it.

mod difference;
mod ledger;
mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::net::if_::{if_indextoname, if_nametoindex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use self::difference::{Difference, Found, difference};
use self::ledger::Ledger;
use self::netlink::{Changes, Kernel};
use crate::additions::StateDir;
use crate::config::OnExit;

/// Between two looks at what somebody else has changed. Whoever fights over an address with us does so at
/// leisure.
const LEISURE: Duration = Duration::from_secs(1);
/// Until what did not work is tried again, unless something changes before.
const RETRY: Duration = Duration::from_secs(10);
/// More addresses than this are counted rather than named in a line of the log.
const NAMED: usize = 8;

/// What the daemon wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Where addresses are added; `None`: nowhere.
    pub interface: Option<String>,
    /// Those of every service.
    pub addresses: BTreeSet<IpAddr>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where addresses are added; `None`: nowhere.
    pub interface: Option<String>,
    /// Each address that is wanted.
    pub addresses: BTreeMap<IpAddr, Presence>,
    /// How often an address was added again that somebody else had taken away.
    pub restored: u64,
    /// An address could not be added for want of CAP_NET_ADMIN.
    pub refused: bool,
}

/// Whether an address is on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// We have added it.
    Added,
    /// It is on this interface, and we have not added it.
    Foreign(String),
    /// We have added it to another interface, and it stays there for as long as it cannot be where it is wanted.
    Elsewhere {
        /// Where it is.
        interface: String,
        /// Why it cannot be where it is wanted.
        reason: String,
    },
    /// It is not there, for this reason.
    Missing(String),
    /// The kernel has never said, for this reason.
    Unknown(String),
}

impl Report {
    /// Those that may be announced, where addresses are added at all: routers should not send here what
    /// nobody takes. What is not known is taken to be there; and who must not add addresses cannot tell
    /// what should be, and leaves things as they are without us.
    #[must_use]
    pub fn hosted(&self) -> Option<BTreeSet<IpAddr>> {
        self.interface.as_ref()?;
        let is_there = |presence: &Presence| match presence {
            Presence::Added
            | Presence::Foreign(_)
            | Presence::Elsewhere { .. }
            | Presence::Unknown(_) => true,
            Presence::Missing(_) => self.refused,
        };
        let all = self.addresses.iter();
        let there = all.filter(|(_, presence)| is_there(presence));
        Some(there.map(|(address, _)| *address).collect())
    }
}

/// A handle to the thread.
#[derive(Debug)]
pub(crate) struct Addresses {
    state_dir: Arc<StateDir>,
    thread: Option<Thread>,
    /// The latest counts: whoever is slow has no queue to work off.
    wish: watch::Sender<Wish>,
    /// The report that was news last.
    known: Arc<Report>,
}

#[derive(Debug)]
struct Thread {
    commands: mpsc::Sender<Command>,
    report: watch::Receiver<Arc<Report>>,
}

#[derive(Debug)]
enum Command {
    /// Answered when everything that was wished before has been done.
    Settled(oneshot::Sender<()>),
    End(OnExit, oneshot::Sender<()>),
}

impl Addresses {
    /// With what the last run has left behind, which goes unless it is wanted.
    ///
    /// # Errors
    /// When the system has no thread left, or does not let us ask for its addresses.
    pub(crate) async fn start(state_dir: Arc<StateDir>, wish: Wish) -> io::Result<Self> {
        let has_work =
            wish.interface.is_some() || !Ledger::read(Arc::clone(&state_dir)).places().is_empty();
        let mut addresses = Self {
            state_dir,
            thread: None,
            wish: watch::Sender::default(),
            known: Arc::default(),
        };
        if has_work {
            addresses.have(wish)?;
            addresses.settled().await;
        }
        Ok(addresses)
    }

    /// Where addresses are wanted.
    pub(crate) fn interface(&self) -> Option<String> {
        self.wish.borrow().interface.clone()
    }

    /// Replaces what is wanted.
    ///
    /// # Errors
    /// When a thread is needed, and cannot be started.
    pub(crate) fn want(&mut self, wish: Wish) -> io::Result<()> {
        if wish == *self.wish.borrow() {
            return Ok(());
        }
        self.have(wish)
    }

    fn have(&mut self, wish: Wish) -> io::Result<()> {
        if self.thread.is_none() {
            let wishes = self.wish.subscribe();
            self.thread = Some(Thread::start(Arc::clone(&self.state_dir), wishes)?);
        }
        self.wish.send_replace(wish);
        Ok(())
    }

    /// Wants these too, if any are wanted.
    pub(crate) fn want_besides(&self, come: Vec<IpAddr>) {
        self.wish.send_if_modified(|wish| {
            let before = wish.addresses.len();
            if wish.interface.is_some() {
                wish.addresses.extend(come);
            }
            wish.addresses.len() != before
        });
    }

    /// Wants these no more.
    pub(crate) fn want_no_more(&self, gone: &[IpAddr]) {
        self.wish.send_if_modified(|wish| {
            let gone = gone.iter().map(|address| wish.addresses.remove(address));
            gone.filter(|was_wanted| *was_wanted).count() > 0
        });
    }

    /// Returns when everything has been done, or has turned out to be impossible.
    pub(crate) async fn settled(&self) {
        let (reply, done) = oneshot::channel();
        self.tell(Command::Settled(reply)).await;
        // An error means that there is no thread, and nothing to wait for.
        let _ = done.await;
    }

    /// What has become of the addresses.
    pub(crate) fn report(&self) -> Arc<Report> {
        let thread = self.thread.as_ref();
        thread.map_or_else(Arc::default, |thread| Arc::clone(&thread.report.borrow()))
    }

    /// Returns when there is another report; never, where nothing is to be reported. `None` says that the
    /// thread has ended, which it must not.
    pub(crate) async fn changed(&mut self) -> Option<()> {
        match &mut self.thread {
            Some(thread) => thread.report.changed().await.ok(),
            None => std::future::pending().await,
        }
    }

    /// The report that was asked for here before, and the present one.
    pub(crate) fn news(&mut self) -> [Arc<Report>; 2] {
        let report = self.report();
        [
            std::mem::replace(&mut self.known, Arc::clone(&report)),
            report,
        ]
    }

    /// The daemon ends, and with it the addresses, unless it comes back.
    pub(crate) async fn end(&self, how: OnExit) {
        let (reply, done) = oneshot::channel();
        self.tell(Command::End(how, reply)).await;
        // An error means that there is no thread, and nothing to remove.
        let _ = done.await;
    }

    async fn tell(&self, command: Command) {
        if let Some(thread) = &self.thread {
            // It ends only when it was told to.
            let _ = thread.commands.send(command).await;
        }
    }
}

impl Thread {
    fn start(state_dir: Arc<StateDir>, wishes: watch::Receiver<Wish>) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel(1);
        let (told, report) = watch::channel(Arc::default());
        let kernel = Kernel::open()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let changes = {
            let _inside = runtime.enter();
            Changes::open()?
        };
        std::thread::Builder::new()
            .name("addresses".into())
            .spawn(move || {
                let keeper = Keeper {
                    kernel,
                    ledger: Ledger::read(state_dir),
                    wish: Wish::default(),
                    report: Report::default(),
                    told,
                    added_before: BTreeSet::new(),
                    silence: None,
                };
                runtime.block_on(keeper.run(wishes, inbox, changes));
            })?;
        Ok(Self { commands, report })
    }
}

/// What runs on the thread.
struct Keeper {
    kernel: Kernel,
    ledger: Ledger,
    wish: Wish,
    report: Report,
    told: watch::Sender<Arc<Report>>,
    /// What was on the interface by our doing when it was looked last.
    added_before: BTreeSet<IpAddr>,
    /// Why the kernel did not say anything the last time; it is logged once.
    silence: Option<String>,
}

impl Keeper {
    async fn run(
        mut self,
        mut wishes: watch::Receiver<Wish>,
        mut inbox: mpsc::Receiver<Command>,
        changes: Changes,
    ) {
        let mut looked = Instant::now();
        let mut due: Option<Instant> = None;
        loop {
            let alarm = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A command is about what was wished before it.
                biased;
                changed = wishes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wish = wishes.borrow_and_update().clone();
                    if wish.interface != self.wish.interface {
                        self.added_before.clear();
                    }
                    self.wish = wish;
                }
                command = inbox.recv() => match command {
                    Some(Command::Settled(reply)) => {
                        // Whoever asked may have gone.
                        let _ = reply.send(());
                        continue;
                    }
                    Some(Command::End(how, reply)) => {
                        self.end(how);
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                },
                () = alarm => {}
                () = changes.next() => {
                    due = Some(looked + LEISURE);
                    continue;
                }
            }
            let is_complete = self.look();
            looked = Instant::now();
            due = (!is_complete).then_some(looked + RETRY);
        }
    }

    /// What the next daemon needs stays.
    fn end(&mut self, how: OnExit) {
        if how == OnExit::Withdraw {
            self.wish.addresses.clear();
            self.look();
        }
    }

    /// Makes the host as it is wanted, as far as it can be, and says what has come of it; whether all is
    /// well.
    fn look(&mut self) -> bool {
        let name = self.wish.interface.as_deref();
        let index = name.and_then(|name| if_nametoindex(name).ok());
        let wanted = match name {
            Some(_) => self.wish.addresses.clone(),
            None => BTreeSet::new(),
        };
        let host = match self.kernel.addresses() {
            Ok(host) => host,
            Err(error) => {
                let reason = format!("the kernel does not say which addresses there are: {error}");
                self.tell_unknown(&wanted, &reason);
                return false;
            }
        };
        let mut found = difference(&wanted, index, &host, self.ledger.places());
        let mut addresses: BTreeMap<IpAddr, Presence> = BTreeMap::new();
        for (address, on) in &found.foreign {
            addresses.insert(*address, Presence::Foreign(interface_name(*on)));
        }
        for (_, address) in &found.keep {
            addresses.insert(*address, Presence::Added);
        }
        let refused = self.add(&found, index, &mut addresses);
        leave(&mut found, &mut addresses);
        self.remove(&found, index);
        let is_to_come = |presence: &Presence| {
            matches!(presence, Presence::Missing(_) | Presence::Elsewhere { .. })
        };
        let is_complete = !addresses.values().any(is_to_come);
        self.silence = None;
        self.tell(addresses, refused);
        is_complete
    }

    /// Adds what is missing; whether that is forbidden.
    fn add(
        &mut self,
        found: &Difference,
        index: Option<u32>,
        addresses: &mut BTreeMap<IpAddr, Presence>,
    ) -> bool {
        if found.add.is_empty() {
            return false;
        }
        let name = self.wish.interface.clone().unwrap_or_default();
        let all_missing = |reason: String| {
            let missing = found.add.iter();
            missing.map(move |address| (*address, Presence::Missing(reason.clone())))
        };
        let Some(index) = index else {
            addresses.extend(all_missing(format!("there is no interface {name}")));
            return false;
        };
        // Whoever comes after a crash must know of them.
        let ours = found.keep.iter().chain(&found.remove).copied();
        let ours = ours.chain(found.add.iter().map(|address| (index, *address)));
        if let Err(error) = self.ledger.write(ours.collect()) {
            addresses.extend(all_missing(error.to_string()));
            return false;
        }
        let mut refused = false;
        let mut added = Vec::new();
        for address in &found.add {
            let presence = match self.kernel.add(*address, index) {
                Ok(()) => {
                    added.push(*address);
                    Presence::Added
                }
                Err(error) => {
                    refused |= error.kind() == io::ErrorKind::PermissionDenied
                        && error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error());
                    Presence::Missing(refusal(&error, &name))
                }
            };
            addresses.insert(*address, presence);
        }
        let (restored, new): (Vec<IpAddr>, Vec<IpAddr>) = added
            .into_iter()
            .partition(|address| self.added_before.contains(address));
        if !new.is_empty() {
            info!("{} added to {name}", listed(&new));
        }
        if !restored.is_empty() {
            self.report.restored += restored.len() as u64;
            warn!(
                "{} had been taken from {name} by somebody else, and is added again",
                listed(&restored)
            );
        }
        refused
    }

    fn remove(&mut self, found: &Difference, index: Option<u32>) {
        let mut removed: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        let mut ours = self.ledger.places().clone();
        for (index, address) in &found.remove {
            match self.kernel.remove(*address, *index) {
                Ok(()) => removed.entry(*index).or_default().push(*address),
                // Somebody was faster.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) => {
                    let name = interface_name(*index);
                    let reason = refusal(&error, &name);
                    warn!("{address} cannot be removed from {name}: {reason}");
                    continue;
                }
            }
            ours.remove(&(*index, *address));
        }
        for (index, addresses) in removed {
            info!(
                "{} removed from {}",
                listed(&addresses),
                interface_name(index)
            );
        }
        // What is neither there nor wanted may be somebody else's the next time.
        ours.retain(|place| {
            found.keep.contains(place)
                || found.remove.contains(place)
                || (index == Some(place.0) && found.add.contains(&place.1))
        });
        ours.extend(&found.keep);
        if let Err(error) = self.ledger.write(ours) {
            warn!("{error}");
        }
    }

    /// What was known is the best guess.
    fn tell_unknown(&mut self, wanted: &BTreeSet<IpAddr>, reason: &str) {
        if self.silence.as_deref() != Some(reason) {
            warn!("{reason}");
            self.silence = Some(reason.to_owned());
        }
        let known = &self.report.addresses;
        let presence = |address| match known.get(address) {
            Some(known) => known.clone(),
            None => Presence::Unknown(reason.to_owned()),
        };
        let all = wanted.iter().map(|address| (*address, presence(address)));
        self.tell(all.collect(), self.report.refused);
    }

    /// Each reason is logged once, with how many it concerns.
    fn tell(&mut self, addresses: BTreeMap<IpAddr, Presence>, refused: bool) {
        let before = &self.report.addresses;
        let mut news: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (address, presence) in &addresses {
            if before.get(address) != Some(presence)
                && let Presence::Missing(reason) | Presence::Elsewhere { reason, .. } = presence
            {
                news.entry(reason.clone()).or_default().push(*address);
            }
        }
        let interface = self.wish.interface.as_deref().unwrap_or_default();
        for (reason, missing) in news {
            warn!(
                "{} cannot be added to {interface}: {reason}",
                listed(&missing)
            );
        }
        for (address, presence) in &addresses {
            if let Presence::Foreign(on) = presence
                && before.get(address) != Some(presence)
            {
                info!("{address} is on {on} already, and is left as it is there");
            }
        }
        let added = addresses.iter();
        let added = added.filter(|(_, presence)| **presence == Presence::Added);
        self.added_before = added.map(|(address, _)| *address).collect();
        let report = Report {
            interface: self.wish.interface.clone(),
            addresses,
            restored: self.report.restored,
            refused,
        };
        if report != **self.told.borrow() {
            self.told.send_replace(Arc::new(report.clone()));
        }
        self.report = report;
    }
}

/// The addresses on this host that a herald has added, this one or another: they are of services, and name no
/// host.
pub(crate) fn of_services(state_dir: &Arc<StateDir>) -> BTreeSet<IpAddr> {
    let ledger = Ledger::read(Arc::clone(state_dir));
    let remembered = ledger.places().iter().map(|(_, address)| *address);
    let there = Kernel::open().and_then(|mut kernel| kernel.addresses());
    let there = there.unwrap_or_default().into_iter();
    let marked = there.filter(Found::is_marked).map(|found| found.address);
    remembered.chain(marked).collect()
}

/// What cannot be where it is wanted stays where it was.
fn leave(found: &mut Difference, addresses: &mut BTreeMap<IpAddr, Presence>) {
    for (index, address) in std::mem::take(&mut found.remove) {
        if let Some(presence) = addresses.get_mut(&address)
            && let Presence::Missing(reason) = presence
        {
            *presence = Presence::Elsewhere {
                interface: interface_name(index),
                reason: std::mem::take(reason),
            };
            found.keep.insert((index, address));
        } else {
            found.remove.insert((index, address));
        }
    }
}

/// Whether a run before this one has left addresses behind: to remove them takes CAP_NET_ADMIN, whatever the
/// configuration says.
#[must_use]
pub fn are_left_behind(state_dir: &Path) -> bool {
    ledger::has_leftovers(state_dir)
}

/// What the kernel's word means, and what would help.
fn refusal(error: &io::Error, interface: &str) -> String {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::PERM) => format!(
            "it takes CAP_NET_ADMIN to change the addresses of {interface}, which the daemon does not have"
        ),
        Some(Errno::ACCESS) => format!("IPv6 is disabled on {interface}"),
        Some(Errno::NODEV) => format!("there is no interface {interface}"),
        _ => error.to_string(),
    }
}

/// A few by name, many by number.
fn listed(addresses: &[IpAddr]) -> String {
    if addresses.len() > NAMED {
        return format!("{} addresses", addresses.len());
    }
    joined(addresses.iter())
}

fn joined(addresses: impl Iterator<Item = impl Display>) -> String {
    let texts: Vec<String> = addresses.map(|address| address.to_string()).collect();
    texts.join(", ")
}

/// Empty when there is none of this index any more.
fn interface_name(index: u32) -> String {
    let name = if_indextoname(index).ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> Addresses {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = StateDir::open(directory.path()).unwrap();
        Addresses {
            state_dir: Arc::new(state_dir),
            thread: None,
            wish: watch::Sender::default(),
            known: Arc::default(),
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wish_is_what_has_come_and_not_gone() {
        let addresses = handle();
        addresses.wish.send_replace(Wish {
            interface: Some("lo".to_owned()),
            addresses: [address("192.0.2.1")].into(),
        });
        let mut wishes = addresses.wish.subscribe();
        addresses.want_besides(vec![address("192.0.2.1")]);
        addresses.want_no_more(&[address("192.0.2.9")]);
        assert!(
            !wishes.has_changed().unwrap(),
            "nobody is woken for nothing"
        );
        addresses.want_besides(vec![address("192.0.2.2"), address("192.0.2.3")]);
        addresses.want_no_more(&[address("192.0.2.1"), address("192.0.2.3")]);
        assert!(wishes.has_changed().unwrap());
        let wish = wishes.borrow_and_update().clone();
        assert_eq!(wish.addresses, [address("192.0.2.2")].into());
    }

    #[test]
    fn nothing_is_wanted_where_there_is_no_interface() {
        let addresses = handle();
        addresses.want_besides(vec![address("192.0.2.1")]);
        assert_eq!(*addresses.wish.borrow(), Wish::default());
    }
}
