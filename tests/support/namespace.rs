//! Network namespaces, and the links between them.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{run, try_run};

/// A network namespace with its loopback up; gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one of this name.
    ///
    /// # Errors
    ///
    /// When the kernel or the user's rights do not allow it.
    pub fn create(name: &str) -> Result<Self, String> {
        try_run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self { name: name.into() };
        namespace.ip("link set lo up");
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the kernel shows it.
    pub fn path(&self) -> PathBuf {
        format!("/var/run/netns/{}", self.name).into()
    }

    /// `ip ARGUMENTS` here, e.g. `ip("addr add 192.0.2.1/24 dev eth0")`.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip")
            .args(["-n", &self.name])
            .args(arguments.split_whitespace()))
    }

    /// Many lines of arguments to `ip`, one after the other in one process.
    #[track_caller]
    pub fn ip_batch(&self, lines: &str) {
        let mut ip = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = ip.stdin.take().unwrap();
        input.write_all(lines.as_bytes()).unwrap();
        drop(input);
        assert!(ip.wait().unwrap().success(), "ip refuses: {lines}");
    }

    /// Adds an address; an IPv6 address is usable at once.
    #[track_caller]
    pub fn add_address(&self, device: &str, address: &str) {
        let without_detection = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!(
            "addr add {address} dev {device} {without_detection}"
        ));
    }

    /// Writes a kernel setting, e.g. `sysctl("net/ipv4/ip_forward", "1")`.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/{key}"), value.to_owned());
        self.enter(move || {
            fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"))
        });
    }

    /// Forwards packets, and spreads those of one route over all its next hops by addresses and ports.
    pub fn become_router(&self) {
        self.sysctl("net/ipv4/ip_forward", "1");
        self.sysctl("net/ipv6/conf/all/forwarding", "1");
        self.sysctl("net/ipv4/fib_multipath_hash_policy", "1");
        self.sysctl("net/ipv6/fib_multipath_hash_policy", "1");
    }

    /// Drops the packets that an nftables expression matches, in and out, e.g. `udp dport 3784`, until [`Self::drop_nothing`].
    #[track_caller]
    pub fn drop_packets(&self, expression: &str) {
        self.nft(&format!(
            "table inet herald_test {{
                chain in {{ type filter hook input priority 0; {expression} drop; }}
                chain out {{ type filter hook output priority 0; {expression} drop; }}
            }}"
        ));
    }

    /// As [`Self::drop_packets`], for what comes in alone.
    #[track_caller]
    pub fn drop_incoming(&self, expression: &str) {
        self.drop_at("input", expression);
    }

    /// As [`Self::drop_packets`], for what goes out alone.
    #[track_caller]
    pub fn drop_outgoing(&self, expression: &str) {
        self.drop_at("output", expression);
    }

    #[track_caller]
    fn drop_at(&self, hook: &str, expression: &str) {
        self.nft(&format!(
            "table inet herald_test {{ chain {hook} {{ type filter hook {hook} priority 0; {expression} drop; }}; }}"
        ));
    }

    #[track_caller]
    pub fn drop_nothing(&self) {
        self.nft("delete table inet herald_test");
    }

    /// Loads nftables rules, as `nft -f` would.
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        let mut nft = self
            .command("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin
            .take()
            .unwrap()
            .write_all(rules.as_bytes())
            .unwrap();
        assert!(nft.wait().unwrap().success(), "nft refuses: {rules}");
    }

    /// A command that will run here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a command here to its end; its standard output.
    #[track_caller]
    pub fn exec(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        run(self.command(words.next().unwrap()).args(words))
    }

    /// Runs a closure on a thread of its own here, and waits for it.
    #[track_caller]
    pub fn enter<T: Send + 'static>(&self, inside: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn_thread(inside)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread here. Sockets that it opens stay here, threads that it starts too.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = File::open(self.path()).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            inside()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// The namespaces that `ip netns` knows.
pub fn names() -> Vec<String> {
    let directory = fs::read_dir("/var/run/netns")
        .into_iter()
        .flatten()
        .flatten();
    directory
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Removes a namespace by name, as far as it can be, and kills what still runs there: it has lost its owner.
pub fn remove(name: &str) {
    let listed = Command::new("ip")
        .args(["netns", "pids", name])
        .stderr(Stdio::null())
        .output();
    let listed = listed
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    for pid in listed
        .lines()
        .filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?))
    {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = Command::new("ip")
        .args(["netns", "del", name])
        .stderr(Stdio::null())
        .status();
}

/// A cable between two namespaces, with an address or two at each end.
pub fn connect(left: (&Namespace, &str, &[&str]), right: (&Namespace, &str, &[&str])) {
    left.0.ip(&format!(
        "link add {} type veth peer name {} netns {}",
        left.1, right.1, right.0.name
    ));
    for (namespace, device, addresses) in [left, right] {
        for address in addresses {
            namespace.add_address(device, address);
        }
        namespace.ip(&format!("link set {device} up"));
    }
}

/// An Ethernet segment: a bridge in a namespace of its own.
#[derive(Debug)]
pub struct Lan {
    namespace: Namespace,
}

impl Lan {
    pub(super) fn new(namespace: Namespace) -> Self {
        namespace.ip("link add br0 type bridge");
        namespace.ip("link set br0 up");
        Self { namespace }
    }

    /// Plugs a namespace in, over a device with these addresses. `port` is what the bridge's end is called.
    pub fn attach(
        &self,
        namespace: &Namespace,
        device: &str,
        addresses: &[&str],
        port: &str,
    ) -> Link {
        connect((namespace, device, addresses), (&self.namespace, port, &[]));
        self.namespace.ip(&format!("link set {port} master br0"));
        Link {
            bridge: self.namespace.name.clone(),
            port: port.into(),
        }
    }
}

/// A plug in a [`Lan`].
#[derive(Clone, Debug)]
pub struct Link {
    bridge: String,
    port: String,
}

impl Link {
    /// Cuts the link at the bridge's end: the other end loses its carrier and keeps its addresses and routes.
    #[track_caller]
    pub fn cut(&self) {
        self.set("down");
    }

    #[track_caller]
    pub fn restore(&self) {
        self.set("up");
    }

    #[track_caller]
    fn set(&self, state: &str) {
        run(Command::new("ip").args(["-n", &self.bridge, "link", "set", &self.port, state]));
    }
}
