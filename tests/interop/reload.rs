//! Reloads under a living session: FRR hears of each change once and of nothing else, and its session never ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::pair::{HOST_V4, Pair, ROUTER_V4, peer, status, wait_established};
use super::support::daemon::{Herald, socket_in};
use super::support::frr::{Frr, Neighbor};
use super::support::router::Router;
use super::support::{ensure, wait_until};

const NAME: &str = "tor";
const PREFIX: &str = "198.51.100.0/24";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the file says beside its peer.
struct File {
    speaker: &'static str,
    log: &'static str,
    transmit_interval: &'static str,
    peer: &'static str,
    /// By their numbers, which are part of both their addresses; with the lines that follow.
    services: BTreeMap<u8, &'static str>,
    rest: String,
}

impl File {
    fn text(&self, pair: &Pair) -> String {
        let Self {
            speaker,
            log,
            transmit_interval,
            peer: keys,
            services,
            rest,
        } = self;
        let services: String = services
            .iter()
            .map(|(number, more)| {
                format!(
                    "[[service]]\nname = \"service-{number}\"\n\
                     addresses = [\"203.0.113.{number}\", \"2001:db8:5::{number}\"]\n{more}\n"
                )
            })
            .collect();
        let directory = pair.directory();
        let keys = format!("bfd-profile = \"fast\"\n{keys}");
        format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"{HOST_V4}\"\nstate-dir = {:?}\n{speaker}\n\
             [api]\nsocket = {:?}\n[log]\nlevel = \"{log}\"\n\
             [peer-defaults]\nconnect-retry-time = \"1s\"\n{}\
             [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"{transmit_interval}\"\n\
             {services}{rest}\n",
            directory.join("state"),
            socket_in(&directory),
            peer(NAME, ROUTER_V4, &keys),
        )
    }
}

struct Scene {
    pair: Pair,
    frr: Frr,
    herald: Herald,
    file: File,
    /// How many UPDATEs FRR must have received.
    updates: u64,
}

impl Scene {
    #[track_caller]
    fn start(pair: Pair, file: File) -> Self {
        let neighbor = ["remote-as 64520", "timers connect 1", "bfd"];
        let lines = neighbor.map(|line| format!("{HOST_V4} {line}"));
        let frr = pair.frr(&lines, &[HOST_V4]);
        let herald = Herald::start(&pair.host, &pair.directory(), &file.text(&pair));
        wait_established(&herald, &frr, NAME, HOST_V4);
        wait_until("BFD is up", PATIENCE, || {
            frr.bfd_peer(host_address()).ensure_up()
        });
        let mut scene = Self {
            pair,
            frr,
            herald,
            file,
            updates: 0,
        };
        scene.wait_for_prefixes(&[]);
        // The routes of either family, and its End-of-RIB (RFC 4724 §2).
        scene.assert_heard("what there is", 4);
        scene
    }

    /// Changes the file, reloads it, and asserts how many UPDATEs FRR hears of it.
    #[track_caller]
    fn reload(&mut self, what: &str, updates: u64, change: impl FnOnce(&mut File)) {
        change(&mut self.file);
        self.write();
        let plan = self.herald.command(&["reload", "--dry-run"]);
        assert!(plan.lines().all(|line| !line.starts_with('!')), "{plan}");
        self.herald.command(&["reload"]);
        self.assert_heard(what, updates);
    }

    fn write(&self) {
        self.herald.write_config(&self.file.text(&self.pair));
    }

    /// What is told too late is counted with the next ones, and is too much there.
    #[track_caller]
    fn assert_heard(&mut self, what: &str, updates: u64) {
        self.updates += updates;
        wait_until(
            &format!("{updates} UPDATEs of {what}"),
            PATIENCE,
            || match self.neighbor().messages("updatesRecv") {
                heard if heard > self.updates => {
                    panic!("{what}: {} UPDATEs too many", heard - self.updates)
                }
                heard => ensure(heard == self.updates, || {
                    format!("{} less", self.updates - heard)
                }),
            },
        );
    }

    fn neighbor(&self) -> Neighbor {
        self.frr.neighbor(host_address())
    }

    fn path(&self, prefix: &str) -> Value {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let show = format!("show bgp {family} unicast {prefix} json");
        self.frr.vtysh_json(&show)["paths"][0].clone()
    }

    /// Waits until FRR has the addresses of the services, and these prefixes.
    #[track_caller]
    fn wait_for_prefixes(&self, others: &[&str]) {
        let numbers = self.file.services.keys();
        let addresses = numbers.flat_map(|number| {
            [
                format!("203.0.113.{number}/32"),
                format!("2001:db8:5::{number}/128"),
            ]
        });
        self.wait_for_exactly(&addresses.chain(texts(others)).collect());
    }

    #[track_caller]
    fn wait_for_exactly(&self, wanted: &BTreeSet<String>) {
        wait_until("FRR's prefixes", PATIENCE, || {
            let seen = self.frr.prefixes();
            ensure(seen == *wanted, || format!("{seen:?}, not {wanted:?}"))
        });
    }
}

fn host_address() -> IpAddr {
    HOST_V4.parse().unwrap()
}

fn texts(words: &[&str]) -> impl Iterator<Item = String> {
    words.iter().map(|&word| word.to_owned())
}

#[test]
fn frr_hears_of_what_a_reload_changes_and_of_nothing_else() {
    let test = "frr_hears_of_what_a_reload_changes_and_of_nothing_else";
    let Some(pair) = Pair::build(test) else {
        return;
    };
    let file = File {
        speaker: "",
        log: "info",
        transmit_interval: "300ms",
        peer: "",
        services: (1..=40).map(|number| (number, "")).collect(),
        rest: String::new(),
    };
    let mut scene = Scene::start(pair, file);
    let established = scene.neighbor().connections_established();

    change_routes(&mut scene);
    change_what_frr_has_no_part_in(&mut scene);
    change_services(&mut scene);
    change_advertisements(&mut scene);
    reload_by_signal_and_by_itself(&mut scene);

    let neighbor = scene.neighbor();
    neighbor.ensure_established().unwrap();
    assert_eq!(neighbor.connections_established(), established);
    assert_eq!(neighbor.connections_dropped(), 0, "{:#}", neighbor.0);
    assert_eq!(neighbor.messages("notificationsRecv"), 0);
    let peer = status(&scene.herald, NAME);
    assert_eq!(peer["established_count"], 1, "{peer:#}");
    scene.frr.bfd_peer(host_address()).ensure_up().unwrap();
}

fn change_routes(scene: &mut Scene) {
    scene.reload("a route", 1, |file| {
        file.rest = format!("[[route]]\nprefix = \"{PREFIX}\"\n");
    });
    scene.wait_for_prefixes(&[PREFIX]);
    scene.reload("its attributes", 1, |file| {
        file.rest += "communities = [\"64520:7\"]\nmed = 9\n";
    });
    let path = scene.path(PREFIX);
    assert_eq!(path["community"]["string"], "64520:7");
    assert_eq!(path["metric"], 9);
}

fn change_what_frr_has_no_part_in(scene: &mut Scene) {
    scene.reload("BFD's interval", 0, |file| file.transmit_interval = "100ms");
    wait_until("BFD's interval", PATIENCE, || {
        let peer = scene.frr.bfd_peer(host_address());
        let interval = peer.number("remote-transmit-interval");
        ensure(interval == 100, || format!("{interval} ms"))?;
        peer.ensure_up()
    });
    scene.reload("what is ours alone", 0, |file| {
        file.log = "debug";
        file.peer = "description = \"spine\"\nkeepalive-time = \"2s\"\nconnect-retry-time = \"9s\"";
        file.speaker = "on-exit = \"restart\"\ndrain-time = \"5s\"\nblackhole-length = 24";
        file.rest += "[[hook]]\non = [\"peer\"]\nexec = [\"/bin/true\"]\n\
                      [[bfd-session]]\nname = \"path\"\naddress = \"10.10.0.9\"\n";
    });
    const CHECKED: &str = "[service.health]\nexec = [\"/bin/true\"]\n";
    const CHECKED_OFTEN: &str =
        "[service.health]\nexec = [\"/bin/true\"]\ninterval = \"150ms\"\nfall = 9\nrise = 2\n";
    for checks in [[CHECKED, ""], [CHECKED_OFTEN, CHECKED], ["", CHECKED_OFTEN]] {
        scene.reload("checks of what is well", 0, |file| {
            for (number, check) in (1..).zip(checks) {
                file.services.insert(number, check);
            }
        });
    }
}

fn change_services(scene: &mut Scene) {
    // An UPDATE of each family announces or withdraws all that is alike.
    scene.reload("a service more", 2, |file| {
        file.services.insert(50, "");
    });
    scene.wait_for_prefixes(&[PREFIX]);
    scene.reload("ten services more", 2, |file| {
        file.services.extend((60..70).map(|number| (number, "")));
    });
    scene.wait_for_prefixes(&[PREFIX]);
    scene.reload("twenty services less", 2, |file| {
        file.services
            .retain(|number, _| !(21..=40).contains(number));
    });
    scene.wait_for_prefixes(&[PREFIX]);
    scene.reload("some come and some go", 4, |file| {
        file.services.retain(|number, _| *number < 60);
        file.services.insert(70, "");
        file.services.insert(71, "");
    });
    scene.wait_for_prefixes(&[PREFIX]);
}

fn change_advertisements(scene: &mut Scene) {
    let rest = scene.file.rest.clone();
    let communities = "[[advertisement]]\ncommunities = [\"64520:8\"]\n";
    scene.reload("communities of every service", 2, |file| {
        file.rest += communities;
    });
    assert_eq!(
        scene.path("203.0.113.1/32")["community"]["string"],
        "64520:8"
    );
    scene.reload("communities of one service", 2, |file| {
        file.rest += "[[advertisement]]\nservices = [\"service-5\"]\ncommunities = [\"64520:9\"]\n";
    });
    let path = scene.path("203.0.113.5/32");
    assert_eq!(path["community"]["string"], "64520:8 64520:9");

    const AGGREGATES: [&str; 3] = [PREFIX, "203.0.113.0/24", "2001:db8:5::/64"];
    let aggregates = texts(&AGGREGATES).collect();
    scene.reload("two aggregates for all of them", 4, |file| {
        file.rest =
            format!("{rest}{communities}aggregation-length = 24\naggregation-length-v6 = 64\n");
    });
    scene.wait_for_exactly(&aggregates);
    scene.reload("members that come and go", 0, |file| {
        file.services.retain(|number, _| *number > 10);
        file.services.extend((80..90).map(|number| (number, "")));
    });
    scene.wait_for_exactly(&aggregates);
    scene.reload("the addresses again", 4, |file| file.rest = rest);
    scene.wait_for_prefixes(&[PREFIX]);
}

fn reload_by_signal_and_by_itself(scene: &mut Scene) {
    scene.reload("nothing", 0, |_| ());
    scene.file.services.insert(99, "");
    scene.write();
    scene.herald.signal(Signal::HUP);
    scene.assert_heard("a service more", 2);
    scene.wait_for_prefixes(&[PREFIX]);

    scene.reload("how to reload", 0, |file| {
        file.speaker = "reload-on-change = true"
    });
    scene.file.rest = String::new();
    let directory = scene.pair.directory();
    let new = directory.join("herald.toml.new");
    fs::write(&new, scene.file.text(&scene.pair)).unwrap();
    fs::rename(&new, directory.join("herald.toml")).unwrap();
    scene.assert_heard("a route less", 1);
    scene.wait_for_prefixes(&[]);
    // What was told too late would come before it.
    scene.herald.command(&["announce", PREFIX]);
    scene.assert_heard("the last route", 1);
}
