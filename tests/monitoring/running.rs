//! What a running daemon with something of everything exports, and what Prometheus thinks of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::daemon::{Herald, socket_in};
use super::support::lab::owned_name;
use super::support::{Namespace, ensure, or_skip, wait_until};
use super::{named, promtool_or_skip, read};

const PATIENCE: Duration = Duration::from_secs(30);
const HERE: &str = "127.0.0.2";
const ROUTER: &str = "127.0.0.3";

/// A daemon and its router, in a namespace of their own, so that the addresses of services are added to no interface of this host.
struct Scraped {
    namespace: Namespace,
    directory: PathBuf,
    _daemons: [Herald; 2],
}

impl Scraped {
    fn start() -> Option<Self> {
        let name = owned_name("metrics");
        let namespace = or_skip("metrics of a running daemon", Namespace::create(&name))?;
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        let own = |label: &str| {
            let own = directory.join(label);
            fs::create_dir_all(&own).unwrap();
            own
        };
        let config = |label: &str, own: &str, other: &str, asn: u32, speaker: &str, more: &str| {
            let place = directory.join(label);
            format!(
                "[speaker]\nlocal-as = {asn}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\nstate-dir = {:?}\n{speaker}\n\
                 [bfd]\nlisten = [\"{own}:13784\"]\n\
                 [peer-defaults]\nbfd-profile = \"default\"\nbfd-port = 13784\nport = 11179\nsource-address = \"{own}\"\nconnect-retry-time = \"500ms\"\n\
                 [[peer]]\nname = \"other\"\naddress = \"{other}\"\nremote-as = \"external\"\nmax-prefixes = 100\n\
                 {more}[api]\nsocket = {:?}\n",
                place.join("state"),
                socket_in(&place),
            )
        };
        let there = config("there", ROUTER, HERE, 64521, "", "");
        let there = Herald::start(&namespace, &own("there"), &there);
        let more = format!(
            "[[bfd-session]]\nname = \"storage\"\naddress = \"127.0.0.4\"\n\
             [[route]]\nprefix = \"198.51.100.0/24\"\n\
             [[pool]]\nname = \"public\"\naddresses = [\"192.0.2.64/30\", \"2001:db8::/126\"]\n\
             [[hook]]\nname = \"page\"\non = [\"peer\", \"service\"]\nexec = [\"/bin/true\"]\n\
             [[service]]\nname = \"pooled\"\npool = \"public\"\n\
             [[service]]\nname = \"web\"\naddresses = [\"192.0.2.1\"]\n\
             [service.health]\ntcp = \"{HERE}:9120\"\ninterval = \"200ms\"\n\
             [[service]]\nname = \"stored\"\naddresses = [\"192.0.2.2\"]\n\
             [service.health]\nbfd = \"storage\"\n"
        );
        let speaker = "address-interface = \"lo\"";
        let here = config("here", HERE, ROUTER, 64520, speaker, &more);
        let here = here + &format!("listen = \"{HERE}:9120\"\n");
        let here = Herald::start(&namespace, &own("here"), &here);
        wait_until("everything is up", PATIENCE, || {
            let peer = &here.show("peers")[0];
            let services = here.show("services");
            let is_web = |it: &&serde_json::Value| it["name"] == "web";
            let web = services.as_array().unwrap().iter().find(is_web);
            let is_well = web.is_some_and(|web| web.to_string().contains("\"healthy\""));
            let is_up = peer["state"] == "Established" && peer["bfd"]["state"] == "Up";
            ensure(is_up && is_well, || format!("{peer:#} {web:#?}"))
        });
        let scraped = Self {
            namespace,
            directory,
            _daemons: [here, there],
        };
        scraped.send_from_afar();
        Some(scraped)
    }

    /// A control packet for the session with the router that has crossed another router: of packets that are discarded there is a
    /// metric once there are any.
    fn send_from_afar(&self) {
        let timers = [300_000_u32; 3].map(u32::to_be_bytes).concat();
        let packet = [
            &[0x20, 0x40, 3, 24, 0, 0, 0, 1, 0, 0, 0, 0],
            timers.as_slice(),
        ]
        .concat();
        self.namespace.enter(move || {
            let socket = UdpSocket::bind((ROUTER, 0)).unwrap();
            socket.set_ttl(64).unwrap();
            socket.send_to(&packet, (HERE, 13784)).unwrap();
        });
        wait_until("it is discarded and counted", PATIENCE, || {
            let counted = self.scrape("text/plain");
            ensure(
                counted.contains("herald_bfd_session_discards_total{"),
                || counted.clone(),
            )
        });
    }

    /// What is exported to who accepts this.
    fn scrape(&self, accept: &str) -> String {
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {HERE}\r\nAccept: {accept}\r\n\r\n");
        let answer = self.namespace.enter(move || {
            let mut stream = TcpStream::connect((HERE, 9120)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{head}");
        body.to_owned()
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

#[test]
fn a_running_daemon_exports_what_is_asked_for_and_prometheus_finds_no_fault() {
    let Some(scraped) = Scraped::start() else {
        return;
    };
    let classic = scraped.scrape("text/plain");
    let samples = classic.lines().filter(|line| !line.starts_with('#'));
    let exported: BTreeSet<String> = samples.flat_map(named).collect();
    for file in [
        "examples/prometheus/alerts.yml",
        "examples/grafana/herald.json",
    ] {
        let missing: Vec<_> = named(&read(file)).difference(&exported).cloned().collect();
        assert!(
            missing.is_empty(),
            "{file} asks for {missing:?}, which are not exported"
        );
    }
    let openmetrics = scraped.scrape("application/openmetrics-text");
    assert!(openmetrics.ends_with("# EOF\n"));
    let openmetrics = openmetrics.lines().filter(|line| !line.starts_with('#'));
    let same: BTreeSet<String> = openmetrics.flat_map(named).collect();
    assert_eq!(same, exported);

    let Some(promtool) = promtool_or_skip("metrics of a running daemon") else {
        return;
    };
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(classic.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
