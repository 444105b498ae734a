//! FRR in a container, and what it says about its neighbors.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::bfd::{self, BfdRouter, BfdSession, Parameters};
use super::container::Container;
use super::lab::Lab;
use super::namespace::Namespace;
use super::router::{ReceivedRoute, Router, community_by_name};
use super::{announce_log, ensure, run, try_run, wait_until};

/// The daemons, in the order in which `frrinit.sh` starts them: the first two hold what the others ask for.
const DAEMONS: &str = "mgmtd zebra staticd bfdd bgpd";

/// A router that runs FRR. When the test fails, its log is printed.
#[derive(Debug)]
pub struct Frr {
    label: String,
    container: Container,
    log: PathBuf,
}

impl Frr {
    /// Starts FRR on this `frr.conf` and waits until it has read it.
    #[track_caller]
    pub fn start(lab: &Lab, namespace: &Namespace, label: &str, config: &str) -> Self {
        let directory = lab.directory(label);
        fs::write(directory.join("frr.conf"), config).unwrap();
        fs::write(
            directory.join("vtysh.conf"),
            "service integrated-vtysh-config\n",
        )
        .unwrap();

        // No watchfrr: a daemon that dies is a test that fails.
        let script = format!(
            "for daemon in {DAEMONS}; do {} || exit; done
             vtysh -b >/etc/frr/boot.log 2>&1; echo $? >/etc/frr/boot.status
             exec sleep infinity",
            launch("$daemon")
        );
        let container = Container::start(
            lab.frr(),
            namespace,
            label,
            &[(&directory, "/etc/frr")],
            &script,
        );
        let frr = Self {
            label: label.into(),
            container,
            log: directory.join("frr.log"),
        };

        wait_until(
            &format!("FRR {label} has read its configuration"),
            Duration::from_secs(30),
            || {
                fs::read_to_string(directory.join("boot.status"))
                    .map_err(|_| frr.container.logs())
                    .and_then(|status| {
                        let said =
                            fs::read_to_string(directory.join("boot.log")).unwrap_or_default();
                        ensure(status.ends_with('\n'), || said.clone())?;
                        assert!(
                            status.trim() == "0" && !said.contains("% "),
                            "FRR {label} refuses its configuration:\n{said}\n{config}"
                        );
                        Ok(())
                    })
            },
        );
        frr
    }

    /// Starts FRR for measuring: only what the one daemon needs, logging what it does by default; the daemon reads the file itself, and
    /// nobody waits until it has.
    #[track_caller]
    pub fn launch_quiet(
        lab: &Lab,
        namespace: &Namespace,
        label: &str,
        daemon: &str,
        config: &str,
    ) -> Self {
        let directory = lab.directory(label);
        fs::write(directory.join("frr.conf"), config).unwrap();
        fs::write(
            directory.join("vtysh.conf"),
            "service integrated-vtysh-config\n",
        )
        .unwrap();
        let script = format!(
            "/usr/lib/frr/mgmtd -d; /usr/lib/frr/zebra -d
            /usr/lib/frr/{daemon} -d -f /etc/frr/frr.conf
            exec sleep infinity"
        );
        let mounts = [(directory.as_path(), "/etc/frr")];
        Self {
            label: label.into(),
            container: Container::start(lab.frr(), namespace, label, &mounts, &script),
            log: directory.join("frr.log"),
        }
    }

    /// As [`Self::launch_quiet`] with `bgpd`, and waits until it answers.
    #[track_caller]
    pub fn start_quiet(lab: &Lab, namespace: &Namespace, label: &str, config: &str) -> Self {
        let frr = Self::launch_quiet(lab, namespace, label, "bgpd", config);
        wait_until("FRR answers", Duration::from_secs(120), || {
            let mut vtysh = frr.command("vtysh");
            let answer = try_run(vtysh.args(["-c", "show bgp summary json"]))?;
            ensure(answer.stdout.starts_with(b"{"), || format!("{answer:?}"))
        });
        frr
    }

    /// A command that will run in its container.
    pub fn command(&self, program: &str) -> Command {
        self.container.command(program)
    }

    /// The processes of its daemons.
    pub fn processes(&self) -> Vec<Pid> {
        let daemons = DAEMONS.split(' ');
        daemons
            .flat_map(|daemon| self.container.processes(daemon))
            .collect()
    }

    /// What a command of vtysh's prints.
    #[track_caller]
    pub fn vtysh(&self, command: &str) -> String {
        self.container.exec("vtysh", &["-c", command])
    }

    /// What a `show … json` command prints.
    #[track_caller]
    pub fn vtysh_json(&self, command: &str) -> Value {
        let printed = self.vtysh(command);
        serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("{command}: {error} in {printed:?}"))
    }

    /// Enters configuration lines, as after `configure terminal`.
    #[track_caller]
    pub fn configure(&self, lines: &[&str]) {
        let mut vtysh = self.container.command("vtysh");
        for line in ["configure terminal"].iter().chain(lines) {
            vtysh.args(["-c", line]);
        }
        run(&mut vtysh);
    }

    /// What `show bgp neighbors` tells about one.
    #[track_caller]
    pub fn neighbor(&self, address: IpAddr) -> Neighbor {
        self.neighbor_named(&address.to_string())
    }

    /// As [`Self::neighbor`], where it may be named by an interface too.
    #[track_caller]
    pub fn neighbor_named(&self, name: &str) -> Neighbor {
        let mut neighbors = self.vtysh_json(&format!("show bgp neighbors {name} json"));
        Neighbor(neighbors[name].take())
    }

    /// The line that leads into the configuration of BGP.
    fn router_line(&self) -> String {
        let config = fs::read_to_string(self.log.with_file_name("frr.conf")).unwrap();
        let mut lines = config.lines();
        let line = lines.find(|line| line.starts_with("router bgp "));
        line.expect("FRR speaks BGP").into()
    }

    /// What `show bfd peer` tells about the session with this address.
    #[track_caller]
    pub fn bfd_peer(&self, address: IpAddr) -> BfdPeer {
        let peers = self.vtysh_json("show bfd peers json");
        let of_address = peers
            .as_array()
            .into_iter()
            .flatten()
            .find(|peer| peer["peer"] == address.to_string());
        BfdPeer(of_address.cloned().unwrap_or_default())
    }
}

impl Router for Frr {
    fn kind(&self) -> &'static str {
        "FRR"
    }

    fn state(&self, neighbor: &str) -> String {
        self.neighbor_named(neighbor).state().into()
    }

    fn received(&self, prefix: &str) -> Vec<ReceivedRoute> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let shown = self.vtysh_json(&format!("show bgp {family} unicast {prefix} json"));
        let paths = shown["paths"].as_array();
        paths.into_iter().flatten().map(received).collect()
    }

    fn table(&self) -> BTreeMap<String, Vec<ReceivedRoute>> {
        let tables = ["ipv4", "ipv6"]
            .map(|family| self.vtysh_json(&format!("show bgp {family} unicast json detail")));
        let routes = tables
            .iter()
            .filter_map(|table| table["routes"].as_object());
        routes
            .flatten()
            .map(|(prefix, shown)| {
                let paths = shown["paths"].as_array().into_iter().flatten();
                (prefix.clone(), paths.map(received).collect())
            })
            .collect()
    }

    fn request_refresh(&self, neighbor: &str) {
        for family in ["ipv4", "ipv6"] {
            self.vtysh(&format!("clear bgp {family} unicast {neighbor} soft in"));
        }
    }

    fn reset(&self, neighbor: &str, text: &str) {
        // `clear` sends no text; a shutdown does, and its end is a second command.
        let shutdown = format!("neighbor {neighbor} shutdown message {text}");
        self.configure(&[&self.router_line(), &shutdown]);
        self.enable(neighbor);
    }

    fn disable(&self, neighbor: &str) {
        let shutdown = format!("neighbor {neighbor} shutdown");
        self.configure(&[&self.router_line(), &shutdown]);
    }

    fn enable(&self, neighbor: &str) {
        let no_shutdown = format!("no neighbor {neighbor} shutdown");
        self.configure(&[&self.router_line(), &no_shutdown]);
    }

    fn kill(&self) {
        self.container.signal("bgpd", Signal::KILL);
    }

    fn launch(&self) {
        let line = format!("{} >/dev/null 2>&1; vtysh -b -d bgpd", launch("bgpd"));
        self.container.launch(&line);
    }

    fn last_error(&self, neighbor: &str) -> String {
        self.neighbor_named(neighbor).last_reset()
    }
}

impl BfdRouter for Frr {
    fn label(&self) -> &'static str {
        "frr"
    }

    /// Its own counters end with the daemon, and count attempts too: `bfdd` must log what becomes of its peers (`debug bfd peer`).
    fn bfd_sessions(&self) -> Vec<BfdSession> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let peers = self.vtysh_json("show bfd peers json");
        let peers = peers.as_array().into_iter().flatten();
        peers.map(|peer| bfd_session(peer, &log)).collect()
    }

    fn kill_bfd(&self) {
        self.container.signal("bfdd", Signal::KILL);
    }

    fn stop_bfd(&self) {
        self.container.signal("bfdd", Signal::TERM);
    }

    fn launch_bfd(&self) {
        self.container.wait_until_gone("bfdd");
        let line = format!("{} >/dev/null 2>&1; vtysh -b -d bfdd", launch("bfdd"));
        self.container.launch(&line);
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        announce_log(&format!("FRR {}", self.label), &self.log);
    }
}

/// The line of shell that starts a daemon.
fn launch(daemon: &str) -> String {
    format!(
        "/usr/lib/frr/{daemon} -d -A 127.0.0.1 --log file:/etc/frr/frr.log --log-level debugging"
    )
}

/// A BGP neighbor as FRR sees it; the keys are those of `show bgp neighbors json`.
#[derive(Clone, Debug)]
pub struct Neighbor(pub Value);

impl Neighbor {
    /// `Established`, `Active`, …
    pub fn state(&self) -> &str {
        self.0["bgpState"].as_str().unwrap_or("unknown neighbor")
    }

    pub fn ensure_established(&self) -> Result<(), String> {
        ensure(self.state() == "Established", || {
            format!("{} after {}", self.state(), self.last_reset())
        })
    }

    /// How long the session has been up, in whole seconds.
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.number("bgpTimerUpMsec"))
    }

    /// How often the session has come up.
    pub fn connections_established(&self) -> u64 {
        self.number("connectionsEstablished")
    }

    pub fn connections_dropped(&self) -> u64 {
        self.number("connectionsDropped")
    }

    /// Why it went down last.
    pub fn last_reset(&self) -> String {
        [
            "lastResetDueTo",
            "lastNotificationReason",
            "lastShutdownDescription",
        ]
        .iter()
        .filter_map(|key| self.0[key].as_str())
        .collect::<Vec<_>>()
        .join(", ")
    }

    /// As negotiated.
    pub fn hold_time(&self) -> Duration {
        Duration::from_millis(self.number("bgpTimerHoldTimeMsecs"))
    }

    /// As negotiated.
    pub fn keepalive_interval(&self) -> Duration {
        Duration::from_millis(self.number("bgpTimerKeepAliveIntervalMsecs"))
    }

    /// What is said of a capability, e.g. `4byteAs`.
    pub fn capability(&self, key: &str) -> &Value {
        &self.0["neighborCapabilities"][key]
    }

    /// A message counter, e.g. `opensSent`.
    pub fn messages(&self, key: &str) -> u64 {
        self.0["messageStats"][key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key} in {}", self.0["messageStats"]))
    }

    /// How many prefixes of a family were accepted, e.g. `ipv4Unicast`.
    pub fn accepted_prefixes(&self, family: &str) -> u64 {
        self.0["addressFamilyInfo"][family]["acceptedPrefixCounter"]
            .as_u64()
            .unwrap_or(0)
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key} in {:#}", self.0))
    }
}

/// A path as `show bgp … PREFIX json` writes it.
fn received(path: &Value) -> ReceivedRoute {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().map(|number| u32::try_from(number).unwrap());
    let words = |value: &Value, of_word: fn(&str) -> String| -> Vec<String> {
        let text = value["string"].as_str().unwrap_or_default();
        text.split_whitespace().map(of_word).collect()
    };
    let mut hops: Vec<&Value> = path["nexthops"].as_array().into_iter().flatten().collect();
    hops.sort_by_key(|hop| hop["scope"] == "link-local");
    let hops = hops.into_iter().filter_map(|hop| hop["ip"].as_str());
    // An empty path is that of a route from within the AS.
    let as_path = text(&path["aspath"]["string"]).replace("Local", "");
    ReceivedRoute {
        next_hops: hops.map(|hop| hop.parse().unwrap()).collect(),
        origin: text(&path["origin"]),
        as_path,
        multi_exit_disc: number(&path["metric"]),
        local_pref: number(&path["locPrf"]),
        communities: words(&path["community"], community_by_name),
        large_communities: words(&path["largeCommunity"], str::to_owned),
        extended_communities: words(&path["extendedCommunity"], str::to_lowercase),
    }
}

/// A session as `show bfd peers json` writes it, and the log.
fn bfd_session(peer: &Value, log: &str) -> BfdSession {
    let number = |key: &str| peer[key].as_u64().unwrap_or(0);
    let words = |key: &str| bfd::diagnostic(peer[key].as_str().unwrap_or("ok"));
    let parameters = |prefix: &str| {
        let detect_mult = number(&format!("{prefix}detect-multiplier"));
        Parameters::new(
            number(&format!("{prefix}transmit-interval")),
            number(&format!("{prefix}receive-interval")),
            u32::try_from(detect_mult).unwrap(),
        )
    };
    let state = match peer["status"].as_str().unwrap_or_default() {
        "up" => "Up",
        "init" => "Init",
        "down" => "Down",
        "shutdown" => "AdminDown",
        other => other,
    };
    let address = peer["peer"].as_str().unwrap_or_default();
    let of_peer = format!(" peer:{address} ");
    let changes = |which: &str| {
        let changes = log.lines().filter(|line| line.contains("state-change: ["));
        let of_peer = changes.filter(|line| line.contains(&of_peer) && line.contains(which));
        of_peer.count() as u64
    };
    BfdSession {
        remote_address: address.parse().unwrap(),
        state: state.into(),
        local_discr: number("id"),
        remote_discr: number("remote-id"),
        local_diag: words("diagnostic"),
        remote_diag: words("remote-diagnostic"),
        local: parameters(""),
        remote: parameters("remote-"),
        ups: changes(" -> up"),
        downs: changes("] up -> "),
    }
}

/// A BFD session as FRR sees it; the keys are those of `show bfd peers json`.
#[derive(Clone, Debug)]
pub struct BfdPeer(pub Value);

impl BfdPeer {
    /// `up`, `down`, `init` or `shutdown`.
    pub fn status(&self) -> &str {
        self.0["status"].as_str().unwrap_or("no session")
    }

    pub fn ensure_up(&self) -> Result<(), String> {
        ensure(self.status() == "up", || {
            format!("{} ({})", self.status(), self.0["diagnostic"])
        })
    }

    /// A number, e.g. `remote-receive-interval` (milliseconds).
    pub fn number(&self, key: &str) -> u64 {
        self.0[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key} in {:#}", self.0))
    }
}
