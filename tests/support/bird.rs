//! BIRD in a container, and what it says about its protocols and routes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::bfd::{self, BfdRouter, BfdSession, Parameters};
use super::container::Container;
use super::lab::Lab;
use super::namespace::Namespace;
use super::router::{ReceivedRoute, Router, last_line};
use super::{announce_log, ensure, wait_until};

/// Starts the daemon; it outlives the shell.
const LAUNCH: &str =
    "setsid bird -f -c /etc/bird/bird.conf -s /etc/bird/bird.ctl >>/etc/bird/bird.log 2>&1 &";

/// A router that runs BIRD. When the test fails, its log is printed.
#[derive(Debug)]
pub struct Bird {
    label: String,
    container: Container,
    directory: PathBuf,
}

impl Bird {
    /// Starts BIRD on this `bird.conf` and waits until it answers. Its log is kept: the configuration need not say `log`.
    #[track_caller]
    pub fn start(lab: &Lab, namespace: &Namespace, label: &str, config: &str) -> Self {
        let directory = lab.directory(label);
        write_config(&directory, config);
        let script = format!(
            "bird -p -c /etc/bird/bird.conf >/etc/bird/check.log 2>&1; echo $? >/etc/bird/check.status
             {LAUNCH}
             exec sleep infinity"
        );
        let mounts = [(directory.as_path(), "/etc/bird")];
        let bird = Self {
            label: label.into(),
            container: Container::start(lab.bird(), namespace, label, &mounts, &script),
            directory,
        };
        bird.wait_until_it_answers();
        bird
    }

    /// What a command of `birdc` prints that changes nothing, e.g. `show("protocols all left")`.
    #[track_caller]
    pub fn show(&self, what: &str) -> String {
        self.birdc(&["-r", "show"], what)
    }

    /// What any command of `birdc` prints.
    #[track_caller]
    pub fn command(&self, command: &str) -> String {
        self.birdc(&[], command)
    }

    /// Writes another configuration and has BIRD read it.
    #[track_caller]
    pub fn configure(&self, config: &str) {
        write_config(&self.directory, config);
        let said = self.command("configure");
        assert!(
            said.contains("Reconfigured") || said.contains("Reconfiguration in progress"),
            "BIRD {} refuses its configuration:\n{said}\n{config}",
            self.label
        );
    }

    /// What `show protocols all` tells about a protocol.
    #[track_caller]
    pub fn protocol(&self, name: &str) -> Protocol {
        Protocol(self.show(&format!("protocols all {name}")))
    }

    /// How often each of its BFD sessions sends, and after how long silence it is down.
    #[track_caller]
    pub fn bfd_timers(&self) -> Vec<(Duration, Duration)> {
        let shown = self.show("bfd sessions all");
        // `Transmit timer:       0.009 / 0.100`: what is left, and of what.
        let timers = |key: &str| {
            let lines = shown.lines().map(str::trim);
            let of_key = lines.filter(|line| line.starts_with(key));
            let whole = of_key.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap());
            whole.map(Duration::from_secs_f64).collect::<Vec<_>>()
        };
        let (transmit, detect) = (timers("Transmit timer"), timers("Detect timer"));
        transmit.into_iter().zip(detect).collect()
    }

    /// Starts the daemon after a kill, `arguments` to `bird` added, e.g. `-R` to recover from a graceful restart.
    #[track_caller]
    pub fn launch_with(&self, arguments: &str) {
        let launch = LAUNCH.replacen("bird -f", &format!("bird -f {arguments}"), 1);
        self.container.launch(&launch);
        self.wait_until_it_answers();
    }

    /// Where it takes commands, seen from outside.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("bird.ctl")
    }

    /// The daemon's process.
    pub fn processes(&self) -> Vec<Pid> {
        self.container.processes("bird")
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("bird.log")).unwrap_or_default()
    }

    #[track_caller]
    fn birdc(&self, arguments: &[&str], command: &str) -> String {
        let words = command.split_whitespace();
        let arguments = ["-s", "/etc/bird/bird.ctl"]
            .into_iter()
            .chain(arguments.iter().copied())
            .chain(words)
            .collect::<Vec<_>>();
        // Its status tells refusals, which are answers too. What it greets with is none.
        let output = self.container.command("birdc").args(arguments).output();
        let said = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
        assert!(said.contains("ready."), "birdc {command}: {said}");
        said.lines()
            .filter(|line| !line.ends_with("ready.") && *line != "Access restricted")
            .flat_map(|line| [line, "\n"])
            .collect()
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        let read = |file| fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        let what = format!("BIRD {} has read its configuration", self.label);
        wait_until(&what, Duration::from_secs(30), || {
            let (status, said) = (read("check.status"), read("check.log"));
            assert!(
                !status.ends_with('\n') || status.trim() == "0",
                "BIRD {} refuses its configuration:\n{said}\n{}",
                self.label,
                read("bird.conf")
            );
            let mut birdc = self.container.command("birdc");
            let answer = birdc.args(["-s", "/etc/bird/bird.ctl", "-r", "show", "status"]);
            let answer = super::try_run(answer)?;
            let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
            ensure(answer.contains("Daemon is up and running"), || answer)
        });
    }
}

impl Router for Bird {
    fn kind(&self) -> &'static str {
        "BIRD"
    }

    fn state(&self, neighbor: &str) -> String {
        self.protocol(neighbor).state().into()
    }

    fn received(&self, prefix: &str) -> Vec<ReceivedRoute> {
        let mut table = read_table(&self.show(&format!("route {prefix} all")));
        table.remove(prefix).unwrap_or_default()
    }

    fn table(&self) -> BTreeMap<String, Vec<ReceivedRoute>> {
        read_table(&self.show("route all"))
    }

    fn request_refresh(&self, neighbor: &str) {
        self.command(&format!("reload bgp in {neighbor}"));
    }

    fn reset(&self, neighbor: &str, text: &str) {
        self.command(&format!("restart {neighbor} \"{text}\""));
    }

    fn disable(&self, neighbor: &str) {
        self.command(&format!("disable {neighbor}"));
    }

    fn enable(&self, neighbor: &str) {
        self.command(&format!("enable {neighbor}"));
    }

    fn kill(&self) {
        self.container.signal("bird", Signal::KILL);
    }

    fn launch(&self) {
        self.launch_with("");
    }

    fn last_error(&self, neighbor: &str) -> String {
        // `show protocols` forgets it with the next session.
        last_line(&self.log(), |line| {
            let is_told = |what| line.contains(&format!("> {neighbor}{what}"));
            [": Received:", ": Error:"].into_iter().any(is_told)
        })
    }
}

impl BfdRouter for Bird {
    fn label(&self) -> &'static str {
        "bird"
    }

    /// It counts nothing: the protocol must log its events (`debug { events }`).
    fn bfd_sessions(&self) -> Vec<BfdSession> {
        let log = self.log();
        let shown = self.show("bfd sessions all");
        let sessions = shown.split("  Address:").skip(1);
        sessions
            .map(|session| bfd_session(session.trim_start(), &log))
            .collect()
    }

    fn kill_bfd(&self) {
        self.container.signal("bird", Signal::KILL);
    }

    fn stop_bfd(&self) {
        self.container.signal("bird", Signal::TERM);
    }

    fn launch_bfd(&self) {
        self.container.wait_until_gone("bird");
        self.launch_with("");
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        announce_log(
            &format!("BIRD {}", self.label),
            &self.directory.join("bird.log"),
        );
    }
}

/// A BGP protocol as `show protocols all` writes it.
#[derive(Clone, Debug)]
pub struct Protocol(pub String);

impl Protocol {
    /// `Established`, `Active`, …
    pub fn state(&self) -> &str {
        self.value("BGP state").unwrap_or("Down")
    }

    /// What follows `KEY:`, the first time it is there.
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut lines = self.0.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(value.trim())
    }

    /// Whether the neighbor has sent a capability, e.g. `Enhanced refresh`.
    pub fn has_received(&self, capability: &str) -> bool {
        let neighbors = self.0.split("Neighbor capabilities").nth(1);
        let neighbors = neighbors.unwrap_or_default().lines();
        neighbors
            .map(str::trim)
            .take_while(|line| !line.starts_with("Session"))
            .any(|line| line.split(':').next() == Some(capability))
    }

    /// The numbers of a channel's line of statistics, e.g. of `ipv4` and `Import updates`: received, rejected, filtered, ignored, and so on.
    pub fn statistics(&self, channel: &str, line: &str) -> Vec<u64> {
        let channel = self.0.split(&format!("Channel {channel}\n")).nth(1);
        let mut lines = channel.unwrap_or_default().lines().map(str::trim);
        let numbers = lines.find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        numbers
            .unwrap_or_else(|| panic!("no {line} in {}", self.0))
            .split_whitespace()
            .map(|number| number.parse().unwrap_or(0))
            .collect()
    }
}

/// A session as `show bfd sessions all` writes it, from its address on.
fn bfd_session(shown: &str, log: &str) -> BfdSession {
    let (ours, theirs) = shown
        .split_once("Remote parameters:")
        .unwrap_or((shown, ""));
    let value = |part: &str, key: &str| {
        let mut lines = part.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.map(str::trim).unwrap_or_default().to_owned()
    };
    let parameters = |part: &str| {
        let seconds = |key| Duration::from_secs_f64(value(part, key).parse().unwrap_or(0.0));
        Parameters {
            desired_min_tx_interval: seconds("Min TX interval"),
            required_min_rx_interval: seconds("Min RX interval"),
            detect_mult: value(part, "Multiplier").parse().unwrap_or(0),
        }
    };
    let number = |key| value(ours, key).parse().unwrap_or(0);
    let address = shown.split_whitespace().next().unwrap_or_default();
    let changes = |what: &str| {
        let change = format!(": Session to {address} changed state from {what}");
        log.lines().filter(|line| line.contains(&change)).count() as u64
    };
    BfdSession {
        remote_address: address.parse().unwrap(),
        state: value(ours, "Session state"),
        local_discr: number("Local discriminator"),
        remote_discr: number("Remote discriminator"),
        local_diag: bfd::diagnostic(&value(ours, "Local diagnostic")),
        remote_diag: bfd::diagnostic(&value(ours, "Remote diagnostic")),
        local: parameters(ours),
        remote: parameters(theirs),
        ups: changes("Init to Up") + changes("Down to Up"),
        downs: changes("Up to "),
    }
}

/// The paths of `show route all`: a line that begins one is followed by its attributes, one to a line and indented. The first line of a
/// prefix begins with it, those of its other paths with spaces.
fn read_table(shown: &str) -> BTreeMap<String, Vec<ReceivedRoute>> {
    let mut table: BTreeMap<String, Vec<ReceivedRoute>> = BTreeMap::new();
    let mut prefix = String::new();
    for line in shown.lines() {
        if line.contains("unicast [") {
            let first = line.split(' ').next().unwrap_or_default();
            if !first.is_empty() {
                prefix = first.into();
            }
            let paths = table.entry(prefix.clone()).or_default();
            paths.push(ReceivedRoute::default());
        } else if let Some(route) = table.get_mut(&prefix).and_then(|paths| paths.last_mut())
            && let Some((name, value)) = line.trim().split_once(':')
        {
            note(route, name, value.trim());
        }
    }
    table
}

/// Takes an attribute into the route, as `show route all` writes it.
fn note(route: &mut ReceivedRoute, name: &str, value: &str) {
    match name {
        "bgp_origin" if value == "Incomplete" => route.origin = "incomplete".into(),
        "bgp_origin" => route.origin = value.into(),
        "bgp_path" => route.as_path = value.into(),
        "bgp_next_hop" => {
            route.next_hops = value
                .split_whitespace()
                .map(|hop| hop.parse().unwrap())
                .collect();
        }
        "bgp_med" => route.multi_exit_disc = Some(value.parse().unwrap()),
        "bgp_local_pref" => route.local_pref = Some(value.parse().unwrap()),
        "bgp_community" => route.communities = tuples(value),
        "bgp_large_community" => route.large_communities = tuples(value),
        "bgp_ext_community" => {
            let origin = |tuple: String| tuple.replacen("ro:", "soo:", 1);
            route.extended_communities = tuples(value).into_iter().map(origin).collect();
        }
        _ => {}
    }
}

/// `["1:2", "3:4"]` of `(1,2) (3, 4)`.
fn tuples(text: &str) -> Vec<String> {
    let inner = text.split(['(', ')']).map(str::trim);
    inner
        .filter(|tuple| !tuple.is_empty())
        .map(|tuple| tuple.replace(", ", ":").replace(',', ":"))
        .collect()
}

fn write_config(directory: &std::path::Path, config: &str) {
    let config = format!("log stderr all;\n{config}");
    fs::write(directory.join("bird.conf"), config).unwrap();
}
