//! GoBGP in a container, and what it says about its neighbors and routes.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::container::Container;
use super::lab::Lab;
use super::namespace::Namespace;
use super::router::{ReceivedRoute, Router, community, last_line};
use super::{announce_log, ensure, wait_until};

/// Starts the daemon; it outlives the shell.
const LAUNCH: &str = "setsid gobgpd --config-strict --pprof-disable --log-plain --log-level=LEVEL \
    -f /etc/gobgp/gobgpd.toml >>/etc/gobgp/gobgpd.log 2>&1 &";

/// A router that runs GoBGP. When the test fails, its log is printed.
#[derive(Debug)]
pub struct Gobgp {
    label: String,
    container: Container,
    directory: PathBuf,
}

impl Gobgp {
    /// Starts GoBGP on this `gobgpd.toml` and waits until it answers.
    #[track_caller]
    pub fn start(lab: &Lab, namespace: &Namespace, label: &str, config: &str) -> Self {
        Self::start_logging("debug", lab, namespace, label, config)
    }

    /// As [`Self::start`], for measuring: it logs what it does by default.
    #[track_caller]
    pub fn start_quiet(lab: &Lab, namespace: &Namespace, label: &str, config: &str) -> Self {
        Self::start_logging("info", lab, namespace, label, config)
    }

    #[track_caller]
    fn start_logging(
        level: &str,
        lab: &Lab,
        namespace: &Namespace,
        label: &str,
        config: &str,
    ) -> Self {
        let directory = lab.directory(label);
        fs::write(directory.join("gobgpd.toml"), config).unwrap();
        let script = format!(
            "gobgpd --config-strict -d -f /etc/gobgp/gobgpd.toml >/etc/gobgp/check.log 2>&1; echo $? >/etc/gobgp/check.status
             {launch}
             exec sleep infinity",
            launch = LAUNCH.replace("LEVEL", level)
        );
        let mounts = [(directory.as_path(), "/etc/gobgp")];
        let gobgp = Self {
            label: label.into(),
            container: Container::start(lab.gobgp(), namespace, label, &mounts, &script),
            directory,
        };
        gobgp.wait_until_it_answers();
        gobgp
    }

    /// Its own command, to be given arguments and run.
    pub fn cli(&self) -> Command {
        self.container.command("gobgp")
    }

    /// The daemon's process.
    pub fn processes(&self) -> Vec<Pid> {
        self.container.processes("gobgpd")
    }

    /// Runs a line of shell in its container to its end.
    #[track_caller]
    pub fn shell(&self, line: &str) {
        self.container.exec("/bin/sh", &["-c", line]);
    }

    /// What a command of `gobgp` prints, e.g. `command("neighbor 192.0.2.1")`.
    #[track_caller]
    pub fn command(&self, command: &str) -> String {
        let words = command.split_whitespace().collect::<Vec<_>>();
        self.container.exec("gobgp", &words)
    }

    /// As [`Self::command`], with `-j`.
    #[track_caller]
    pub fn json(&self, command: &str) -> Value {
        let printed = self.command(&format!("-j {command}"));
        serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("{command}: {error} in {printed:?}"))
    }

    /// Writes another configuration and has GoBGP read it: neighbors and policies change, the rest stays as it was at the start.
    #[track_caller]
    pub fn configure(&self, config: &str) {
        fs::write(self.directory.join("gobgpd.toml"), config).unwrap();
        let read = |log: &str| log.matches("Finished reading the config file").count();
        let before = read(&self.log());
        self.container.signal("gobgpd", Signal::HUP);
        wait_until(
            "GoBGP reads its configuration",
            Duration::from_secs(5),
            || {
                let log = self.log();
                ensure(read(&log) > before, || log)
            },
        );
    }

    /// What `gobgp neighbor ADDRESS` tells.
    #[track_caller]
    pub fn neighbor(&self, address: &str) -> Neighbor {
        Neighbor(self.command(&format!("neighbor {address}")))
    }

    /// Starts the daemon after a kill, `arguments` to `gobgpd` added, e.g. `-r` to recover from a graceful restart.
    #[track_caller]
    pub fn launch_with(&self, arguments: &str) {
        let launch = LAUNCH.replace("LEVEL", "debug");
        let launch = launch.replacen("gobgpd", &format!("gobgpd {arguments}"), 1);
        self.container.launch(&launch);
        self.wait_until_it_answers();
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("gobgpd.log")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        let read = |file| fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        let what = format!("GoBGP {} has read its configuration", self.label);
        wait_until(&what, Duration::from_secs(30), || {
            let (status, said) = (read("check.status"), read("check.log"));
            assert!(
                !status.ends_with('\n') || status.trim() == "0",
                "GoBGP {} refuses its configuration:\n{said}\n{}",
                self.label,
                read("gobgpd.toml")
            );
            let mut gobgp = self.container.command("gobgp");
            super::try_run(gobgp.args(["-j", "neighbor"])).map(drop)
        });
    }
}

impl Router for Gobgp {
    fn kind(&self) -> &'static str {
        "GoBGP"
    }

    fn state(&self, neighbor: &str) -> String {
        self.neighbor(neighbor).state().into()
    }

    fn received(&self, prefix: &str) -> Vec<ReceivedRoute> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let table = self.json(&format!("global rib -a {family}"));
        let paths = table[prefix].as_array();
        paths.into_iter().flatten().map(received).collect()
    }

    fn table(&self) -> BTreeMap<String, Vec<ReceivedRoute>> {
        let tables = ["ipv4", "ipv6"].map(|family| self.json(&format!("global rib -a {family}")));
        let routes = tables.iter().filter_map(Value::as_object).flatten();
        routes
            .map(|(prefix, paths)| {
                let paths = paths.as_array().into_iter().flatten();
                (prefix.clone(), paths.map(received).collect())
            })
            .collect()
    }

    fn request_refresh(&self, neighbor: &str) {
        panic!("GoBGP keeps what it has received, and asks nobody: not {neighbor} either");
    }

    fn reset(&self, neighbor: &str, text: &str) {
        let reset = ["neighbor", neighbor, "reset", "--reason", text];
        self.container.exec("gobgp", &reset);
    }

    fn disable(&self, neighbor: &str) {
        self.command(&format!("neighbor {neighbor} disable"));
    }

    fn enable(&self, neighbor: &str) {
        self.command(&format!("neighbor {neighbor} enable"));
    }

    fn kill(&self) {
        self.container.signal("gobgpd", Signal::KILL);
    }

    fn launch(&self) {
        self.launch_with("");
    }

    fn last_error(&self, neighbor: &str) -> String {
        // A NOTIFICATION is followed by `Peer Down`, which has no text.
        last_line(&self.log(), |line| {
            line.contains(&format!("Key={neighbor} ")) && line.contains("notification\"")
        })
    }
}

impl Drop for Gobgp {
    fn drop(&mut self) {
        announce_log(
            &format!("GoBGP {}", self.label),
            &self.directory.join("gobgpd.log"),
        );
    }
}

/// A neighbor as `gobgp neighbor ADDRESS` writes it.
#[derive(Clone, Debug)]
pub struct Neighbor(pub String);

impl Neighbor {
    /// In the RFC's words, e.g. `Established`.
    pub fn state(&self) -> &'static str {
        let line = self.0.lines().find(|line| line.contains("BGP state = "));
        match line.and_then(|line| line.split([' ', ',']).nth(5)) {
            Some("IDLE") => "Idle",
            Some("CONNECT") => "Connect",
            Some("ACTIVE") => "Active",
            Some("OPENSENT") => "OpenSent",
            Some("OPENCONFIRM") => "OpenConfirm",
            Some("ESTABLISHED") => "Established",
            _ => "unknown",
        }
    }

    /// How often the session has been lost.
    pub fn flops(&self) -> u64 {
        let after = self.0.split("Flops = ").nth(1).unwrap_or_default();
        let digits = after.split(|character: char| !character.is_ascii_digit());
        digits.into_iter().next().unwrap().parse().unwrap()
    }

    /// What is said of a capability, e.g. `advertised and received` of `route-refresh`.
    pub fn capability(&self, name: &str) -> &str {
        let mut lines = self.0.lines().map(str::trim);
        let said = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        said.unwrap_or("neither").trim()
    }

    /// How many messages of a kind, e.g. `Updates`, were sent and received.
    pub fn messages(&self, kind: &str) -> (u64, u64) {
        let mut lines = self.0.lines().map(str::trim);
        let numbers = lines.find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'));
        let numbers = numbers.unwrap_or_else(|| panic!("no {kind} in {}", self.0));
        let mut numbers = numbers
            .split_whitespace()
            .map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

/// A path as `gobgp -j global rib` writes it: its attributes are known by their numbers.
fn received(path: &Value) -> ReceivedRoute {
    let number = |value: &Value| value.as_u64().map(|number| u32::try_from(number).unwrap());
    let mut route = ReceivedRoute::default();
    for attribute in path["attrs"].as_array().into_iter().flatten() {
        match attribute["type"].as_u64() {
            Some(1) => {
                let origin = attribute["value"].as_u64().unwrap_or(0);
                route.origin = ["IGP", "EGP", "incomplete"][usize::try_from(origin).unwrap()].into()
            }
            Some(2) => {
                let segments = attribute["as_paths"].as_array().into_iter().flatten();
                let numbers =
                    segments.flat_map(|segment| segment["asns"].as_array().into_iter().flatten());
                route.as_path = numbers.map(Value::to_string).collect::<Vec<_>>().join(" ");
            }
            Some(3) => route.next_hops.extend(address(&attribute["nexthop"])),
            Some(4) => route.multi_exit_disc = number(&attribute["metric"]),
            Some(5) => route.local_pref = number(&attribute["value"]),
            Some(8) => {
                let values = attribute["communities"].as_array().into_iter().flatten();
                route.communities = values.filter_map(number).map(community).collect();
            }
            Some(14) => {
                route.next_hops.extend(address(&attribute["nexthop"]));
                route
                    .next_hops
                    .extend(address(&attribute["link_local_nexthop"]));
            }
            Some(16) => {
                let values = attribute["value"].as_array().into_iter().flatten();
                route.extended_communities = values.map(extended_community).collect();
            }
            Some(32) => {
                let values = attribute["value"].as_array().into_iter().flatten();
                route.large_communities = values
                    .map(|value| {
                        format!(
                            "{}:{}:{}",
                            value["ASN"], value["LocalData1"], value["LocalData2"]
                        )
                    })
                    .collect();
            }
            _ => {}
        }
    }
    route
}

/// `rt:64520:1` of a route target, by its subtype (RFC 4360 §4), and `soo:…` of a site of origin (§5).
fn extended_community(community: &Value) -> String {
    let value = community["value"].as_str().unwrap_or_default();
    // It writes an AS of four octets as two numbers (RFC 5396).
    let as_dot = value.split_once(':').and_then(|(administrator, rest)| {
        let (high, low) = administrator.split_once('.')?;
        let asn = u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?);
        Some(format!("{asn}:{rest}"))
    });
    let value = as_dot.unwrap_or_else(|| value.into());
    match community["subtype"].as_u64() {
        Some(2) => format!("rt:{value}"),
        Some(3) => format!("soo:{value}"),
        _ => community.to_string(),
    }
}

fn address(text: &Value) -> Option<IpAddr> {
    text.as_str()?.parse().ok()
}
