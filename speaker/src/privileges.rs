//! The capabilities that a configuration needs (capabilities(7)), and giving up all others.
//!
//! Capabilities belong to threads. They are given up before the first thread is started, and every
//! thread has what the first one had. What takes a capability only once, such as giving the API's
//! socket to another user, comes before that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tokio::task::JoinError;
use tracing::{info, warn};

use crate::config::{BfdProfile, Config, PeerConfig, Probe};

/// The receive buffer that BFD would like to have; with CAP_NET_ADMIN it may be greater than
/// `net.core.rmem_max`.
const BFD_BUFFER: u64 = 4 << 20;
/// So many BFD sessions fit into the buffer that every host gives.
const FEW_SESSIONS: usize = 100;

/// A capability that Herald has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// To use files of other users.
    DacOverride,
    /// To end processes of other users.
    Kill,
    /// To listen at ports such as 179.
    NetBindService,
    /// To change addresses, and to have large buffers.
    NetAdmin,
    /// To send and receive other things than TCP and UDP.
    NetRaw,
    /// To keep memory from being swapped out.
    IpcLock,
    /// To have real-time priority.
    SysNice,
}

impl Capability {
    const ALL: [Self; 7] = [
        Self::DacOverride,
        Self::Kill,
        Self::NetBindService,
        Self::NetAdmin,
        Self::NetRaw,
        Self::IpcLock,
        Self::SysNice,
    ];

    const fn bit(self) -> CapabilitySet {
        match self {
            Self::DacOverride => CapabilitySet::DAC_OVERRIDE,
            Self::Kill => CapabilitySet::KILL,
            Self::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::NetRaw => CapabilitySet::NET_RAW,
            Self::IpcLock => CapabilitySet::IPC_LOCK,
            Self::SysNice => CapabilitySet::SYS_NICE,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DacOverride => "CAP_DAC_OVERRIDE",
            Self::Kill => "CAP_KILL",
            Self::NetBindService => "CAP_NET_BIND_SERVICE",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::IpcLock => "CAP_IPC_LOCK",
            Self::SysNice => "CAP_SYS_NICE",
        })
    }
}

/// Capabilities, and the keys that need them.
pub type Needs = BTreeMap<Capability, BTreeSet<String>>;

/// What a daemon may do, and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Of those that Herald has a use for.
    pub held: Vec<Capability>,
    /// What the running configuration needs.
    pub needs: Needs,
    /// Programs that it starts gain nothing by sudo and the like.
    pub no_new_privs: bool,
}

impl Privileges {
    /// What the calling thread may do, and what this running configuration needs, which was read from `file`.
    /// Whose the files are that it names, a disk may take long to say: others are attended to
    /// meanwhile.
    ///
    /// # Errors
    /// When that could not be found out.
    pub async fn here(config: Arc<Config>, file: Arc<PathBuf>) -> Result<Self, JoinError> {
        Self::with(move || needs(&config, &file, &Host::here(), owner)).await
    }

    /// With what this finds out, which may take long.
    async fn with(needs: impl FnOnce() -> Needs + Send + 'static) -> Result<Self, JoinError> {
        Ok(Self {
            held: held(),
            needs: tokio::task::spawn_blocking(needs).await?,
            no_new_privs: has_no_new_privs(),
        })
    }
}

/// What it depends on beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The lowest port that everybody may listen at.
    pub unprivileged_port: u16,
    /// Everybody may bind a socket to an interface (Linux 5.7).
    pub interfaces_are_free: bool,
    /// The largest receive buffer that everybody may have.
    pub largest_buffer: u64,
    /// The user that the daemon runs as.
    pub user: u32,
}

impl Host {
    /// This one. What cannot be read is as on most hosts.
    #[must_use]
    pub fn here() -> Self {
        let number = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
            text.trim().parse().ok()
        };
        let port = number("ipv4/ip_unprivileged_port_start");
        Self {
            unprivileged_port: port
                .and_then(|port: u64| u16::try_from(port).ok())
                .unwrap_or(1024),
            interfaces_are_free: is_at_least_5_7(rustix::system::uname().release().to_bytes()),
            largest_buffer: number("core/rmem_max").unwrap_or(0),
            user: rustix::process::geteuid().as_raw(),
        }
    }
}

impl Host {
    /// Whether to listen at a port takes CAP_NET_BIND_SERVICE.
    #[must_use]
    pub const fn is_privileged(&self, port: u16) -> bool {
        port != 0 && port < self.unprivileged_port
    }
}

/// "6.18.44-generic"
fn is_at_least_5_7(release: &[u8]) -> bool {
    let release = String::from_utf8_lossy(release);
    let mut numbers = release
        .split(|sign: char| !sign.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    version >= (Some(5), Some(7))
}

/// What a running daemon with this configuration needs. `owner` tells whose a file is, if it is there.
#[must_use]
pub fn needs(
    config: &Config,
    file: &Path,
    host: &Host,
    owner: impl Fn(&Path) -> Option<u32>,
) -> Needs {
    let mut needs = Needs::new();
    let mut need = |capability, reason: String| {
        needs.entry(capability).or_default().insert(reason);
    };
    let speaker = &config.speaker;
    // Listeners of link-local peers are opened when their interface comes.
    for address in &speaker.listen {
        if host.is_privileged(address.port()) {
            need(
                Capability::NetBindService,
                format!("[speaker] listen = \"{address}\""),
            );
        }
    }
    let bfd_listen = config.bfd.listen.iter().chain(&config.bfd.multihop_listen);
    for address in bfd_listen.flatten() {
        if address.port() < host.unprivileged_port {
            need(
                Capability::NetBindService,
                format!("[bfd] listen = \"{address}\""),
            );
        }
    }
    if let Some(interface) = &speaker.address_interface {
        need(
            Capability::NetAdmin,
            format!("[speaker] address-interface = {interface:?}"),
        );
    }
    let sessions = bfd_sessions(config);
    if sessions > FEW_SESSIONS && host.largest_buffer < BFD_BUFFER {
        need(
            Capability::NetAdmin,
            format!("{sessions} BFD sessions, while net.core.rmem_max is below {BFD_BUFFER}"),
        );
    }
    for (name, peer) in &config.peers {
        if let Some(interface) = peer.unnumbered() {
            need(
                Capability::NetRaw,
                format!("[[peer]] {name:?}: interface = {interface:?}"),
            );
        }
    }
    for profile in profiles(config).filter(|profile| profile.echo_mode) {
        need(
            Capability::NetRaw,
            format!("[[bfd-profile]] {:?}: echo-mode", profile.name),
        );
    }
    if !host.interfaces_are_free
        && let Some(key) = bound_to_interface(config)
    {
        need(Capability::NetRaw, key);
    }
    if config.bfd.realtime {
        need(Capability::SysNice, "[bfd] realtime".to_owned());
    }
    if config.bfd.lock_memory {
        need(Capability::IpcLock, "[bfd] lock-memory".to_owned());
    }
    // Root has a way to files of others only by this.
    if host.user == 0 {
        let foreign = files(config, file)
            .into_iter()
            .find(|path| owner(path).is_some_and(|owner| owner != 0));
        if let Some(path) = foreign {
            need(
                Capability::DacOverride,
                format!("{} is another user's", path.display()),
            );
        }
        // What a user starts by sudo is as little its own to end as it is that of any other.
        if runs_programs(config) {
            need(
                Capability::Kill,
                "[[hook]] or exec: ending a program that has become another user's".to_owned(),
            );
        }
    }
    needs
}

/// Whose a file is.
#[must_use]
pub fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.uid())
}

fn profiles(config: &Config) -> impl Iterator<Item = &BfdProfile> {
    let of_peers = peers(config).filter_map(|peer| Some(&peer.bfd.as_ref()?.profile));
    let of_sessions = config.bfd_sessions.values().map(|it| &it.profile);
    let of_ranges = config.bfd_ranges.values().map(|it| &it.profile);
    of_peers.chain(of_sessions).chain(of_ranges)
}

fn peers(config: &Config) -> impl Iterator<Item = &PeerConfig> {
    let of_ranges = config.ranges.values().map(|range| &range.peer);
    config.peers.values().chain(of_ranges)
}

/// How many there may be.
fn bfd_sessions(config: &Config) -> usize {
    let of_peers = config.peers.values().filter(|peer| peer.bfd.is_some());
    let of_peer_ranges = config.ranges.values().filter(|it| it.peer.bfd.is_some());
    let of_peer_ranges = of_peer_ranges.map(|it| usize::from(it.limit.get()));
    let of_ranges = config.bfd_ranges.values();
    let of_ranges = of_ranges.map(|it| usize::from(it.max_sessions.get()));
    of_peers.count()
        + config.bfd_sessions.len()
        + of_peer_ranges.sum::<usize>()
        + of_ranges.sum::<usize>()
}

fn bound_to_interface(config: &Config) -> Option<String> {
    let of_peers = peers(config).filter_map(PeerConfig::interface);
    let sessions = config.bfd_sessions.values();
    let of_sessions = sessions.filter_map(|it| it.interface.as_deref());
    let ranges = config.bfd_ranges.values();
    let of_ranges = ranges.filter_map(|it| it.interface.as_deref());
    let interface = of_peers.chain(of_sessions).chain(of_ranges).next()?;
    Some(format!("sockets of {interface}, before Linux 5.7"))
}

/// What is read and written while the daemon runs.
fn files(config: &Config, file: &Path) -> Vec<PathBuf> {
    let mut files = vec![file.to_owned(), config.speaker.state_dir.clone()];
    files.extend(config.api.socket.parent().map(Path::to_owned));
    let passwords = peers(config).filter_map(|peer| peer.password.as_ref());
    files.extend(passwords.map(|password| password.file().to_owned()));
    let auths = profiles(config).filter_map(|profile| profile.auth.as_ref());
    let keys = auths.flat_map(|auth| auth.keys());
    files.extend(keys.map(|key| key.file().to_owned()));
    files
}

/// Whether programs are started that are not Herald.
#[must_use]
pub fn runs_programs(config: &Config) -> bool {
    let health = config.services.values().filter_map(|it| it.health.as_ref());
    let mut checks = health.filter_map(|health| health.check.as_ref());
    !config.hooks.is_empty() || checks.any(|check| matches!(check.probe, Probe::Exec(_)))
}

/// Of those that Herald has a use for, what the calling thread has.
#[must_use]
pub fn held() -> Vec<Capability> {
    // Every process may ask for its own.
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let all = Capability::ALL.into_iter();
    all.filter(|capability| effective.contains(capability.bit()))
        .collect()
}

/// Whether programs that the calling thread starts gain nothing by sudo and the like.
#[must_use]
pub fn has_no_new_privs() -> bool {
    no_new_privs().unwrap_or(false)
}

/// Gives up what is not among `needs`, for this thread and all that it starts. Without `programs`, nothing
/// that the daemon could be made to run has more either; where there are programs, they may have their own
/// means, such as sudo, but get none from us.
pub fn give_up(needs: &Needs, programs: bool) {
    let kept = needs
        .keys()
        .fold(CapabilitySet::empty(), |all, one| all | one.bit());
    let outcome = if programs {
        Ok(())
    } else {
        give_up_bounding(kept).and_then(|()| set_no_new_privs(true))
    };
    let outcome = outcome.and_then(|()| clear_ambient()).and_then(|()| {
        let held = capabilities(None)?;
        let permitted = held.permitted & kept;
        set_capabilities(
            None,
            CapabilitySets {
                permitted,
                effective: permitted,
                inheritable: CapabilitySet::empty(),
            },
        )
    });
    if let Err(error) = outcome {
        warn!("capabilities that are not needed cannot be given up: {error}");
    }
    let held = held();
    if !held.is_empty() {
        let names: Vec<String> = held.iter().map(ToString::to_string).collect();
        info!("capabilities: {}", names.join(", "));
    }
}

/// Only who may set capabilities may do this; whoever runs us otherwise has done it, or not wanted it.
fn give_up_bounding(kept: CapabilitySet) -> Result<(), Errno> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // There is none of this number, nor of a higher one.
            Err(Errno::INVAL) => break,
            Err(Errno::PERM) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Before Linux 4.3 there are none.
fn clear_ambient() -> Result<(), Errno> {
    match clear_ambient_capability_set() {
        Err(Errno::INVAL) => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_disk_keeps_nobody_else_waiting() {
        let (answer, disk) = mpsc::channel();
        let needs = move || disk.recv_timeout(Duration::from_secs(30)).unwrap();
        // On the same thread, which is not to be blocked.
        let others = async move { answer.send(Needs::new()).unwrap() };
        let (privileges, ()) = tokio::join!(Privileges::with(needs), others);
        assert_eq!(privileges.unwrap().needs, Needs::new());
    }

    const HOST: Host = Host {
        unprivileged_port: 1024,
        interfaces_are_free: true,
        largest_buffer: 212_992,
        user: 998,
    };

    fn config(text: &str) -> Config {
        let text = match text.contains("[speaker]") {
            true => text.to_owned(),
            false => format!("[speaker]\nlocal-as = 64520\n{text}"),
        };
        let checked = Config::parse(Path::new("herald.toml"), &text).unwrap();
        checked.config
    }

    fn needed_on(host: &Host, text: &str) -> Vec<Capability> {
        let needs = needs(&config(text), Path::new("herald.toml"), host, |_| None);
        needs.into_keys().collect()
    }

    fn needed(text: &str) -> Vec<Capability> {
        needed_on(&HOST, text)
    }

    const PEER: &str = "[[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n";

    #[test]
    fn who_only_connects_needs_nothing() {
        assert_eq!(needed(PEER), []);
        assert_eq!(needed(&format!("{PEER}bfd-profile = \"default\"")), []);
        assert_eq!(needed(&format!("{PEER}source-interface = \"eth0\"")), []);
    }

    #[test]
    fn port_179_takes_net_bind_service() {
        let listen =
            |port: u16| format!("[speaker]\nlocal-as = 64520\nlisten = [\"0.0.0.0:{port}\"]\n");
        assert_eq!(needed(&listen(179)), [Capability::NetBindService]);
        assert_eq!(needed(&listen(1179)), []);
        let open = Host {
            unprivileged_port: 0,
            ..HOST
        };
        assert_eq!(needed_on(&open, &listen(179)), []);
    }

    #[test]
    fn addresses_take_net_admin() {
        let text = "[speaker]\nlocal-as = 64520\naddress-interface = \"lo\"\n";
        assert_eq!(needed(text), [Capability::NetAdmin]);
    }

    #[test]
    fn many_bfd_sessions_take_net_admin_where_buffers_are_small() {
        let text =
            "[[bfd-range]]\nname = \"hosts\"\nprefix = \"10.0.0.0/16\"\nmax-sessions = 500\n";
        assert_eq!(needed(text), [Capability::NetAdmin]);
        let large = Host {
            largest_buffer: BFD_BUFFER,
            ..HOST
        };
        assert_eq!(needed_on(&large, text), []);
    }

    #[test]
    fn echo_and_unnumbered_peers_take_net_raw() {
        let echo = format!(
            "[[bfd-profile]]\nname = \"echo\"\necho-mode = true\n{PEER}bfd-profile = \"echo\"\n"
        );
        assert_eq!(needed(&echo), [Capability::NetRaw]);
        let unnumbered = "[[peer]]\ninterface = \"eth1\"\nremote-as = \"external\"\n";
        assert_eq!(needed(unnumbered), [Capability::NetRaw]);
    }

    #[test]
    fn before_linux_5_7_interfaces_take_net_raw() {
        let old = Host {
            interfaces_are_free: false,
            ..HOST
        };
        let text = format!("{PEER}source-interface = \"eth0\"");
        assert_eq!(needed_on(&old, &text), [Capability::NetRaw]);
        for (release, is_new) in [
            ("6.18.44-fc", true),
            ("5.7.0", true),
            ("5.10", true),
            ("5.4.0-200-generic", false),
            ("4.19.300", false),
            ("", false),
        ] {
            assert_eq!(is_at_least_5_7(release.as_bytes()), is_new, "{release}");
        }
    }

    #[test]
    fn bfd_on_time_takes_sys_nice_and_ipc_lock() {
        let text = "[bfd]\nrealtime = true\nlock-memory = true\n";
        assert_eq!(needed(text), [Capability::IpcLock, Capability::SysNice]);
    }

    #[test]
    fn hooks_and_checks_are_programs() {
        let service =
            "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\"]\n[service.health]\n";
        for (text, runs) in [
            (PEER.to_owned(), false),
            (format!("{service}tcp = \"127.0.0.1:80\""), false),
            (format!("{service}exec = [\"/bin/true\"]"), true),
            (
                format!("{PEER}[[hook]]\nname = \"page\"\non = [\"peer\"]\nexec = [\"/bin/true\"]"),
                true,
            ),
        ] {
            assert_eq!(runs_programs(&config(&text)), runs, "{text}");
        }
    }

    #[test]
    fn programs_take_kill_of_root_only() {
        let hook = format!("{PEER}[[hook]]\non = [\"peer\"]\nexec = [\"/bin/true\"]");
        let root = Host { user: 0, ..HOST };
        assert_eq!(needed_on(&root, &hook), [Capability::Kill]);
        assert_eq!(needed_on(&HOST, &hook), []);
        assert_eq!(needed_on(&root, PEER), []);
    }

    #[test]
    fn files_of_others_take_dac_override_of_root_only() {
        let config = config(PEER);
        let owner = |path: &Path| (path == Path::new("/var/lib/herald")).then_some(998);
        let root = Host { user: 0, ..HOST };
        let file = Path::new("herald.toml");
        let of_root: Vec<_> = needs(&config, file, &root, owner).into_keys().collect();
        assert_eq!(of_root, [Capability::DacOverride]);
        assert!(needs(&config, file, &HOST, owner).is_empty());
        assert!(needs(&config, file, &root, |_| Some(0)).is_empty());
    }
}
