//! Reloads under a living session: FRR sees each change, and its session never ends.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::neighborhood::{Neighborhood, Options};
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

const PREFIX: &str = "198.51.100.0/24";
const PATIENCE: Duration = Duration::from_secs(15);

/// What the file says beside its peers.
struct File {
    speaker: &'static str,
    log: &'static str,
    transmit_interval: &'static str,
    peer: &'static str,
    rest: String,
}

impl File {
    fn text(&self, neighborhood: &Neighborhood) -> String {
        let Self {
            speaker,
            log,
            transmit_interval,
            peer,
            rest,
        } = self;
        let text = neighborhood.config("");
        let (text, _) = text.split_once("[[peer]]\nname = \"bird\"").unwrap();
        let text = text.replace("[speaker]\n", &format!("[speaker]\n{speaker}\n"));
        format!(
            "{text}bfd-profile = \"fast\"\n{peer}\n[log]\nlevel = \"{log}\"\n\
             [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"{transmit_interval}\"\n{rest}\n"
        )
    }
}

struct Scene {
    neighborhood: Neighborhood,
    herald: Herald,
    file: File,
}

impl Scene {
    /// Changes the file, reloads it, and tells what the daemon says it has done.
    #[track_caller]
    fn reload(&mut self, change: impl FnOnce(&mut File)) -> String {
        change(&mut self.file);
        self.herald
            .write_config(&self.file.text(&self.neighborhood));
        let plan = self.herald.command(&["reload", "--dry-run"]);
        assert!(plan.lines().all(|line| !line.starts_with('!')), "{plan}");
        self.herald.command(&["reload"])
    }

    fn path(&self) -> Value {
        let show = format!("show bgp ipv4 unicast {PREFIX} json");
        self.neighborhood.frr.vtysh_json(&show)["paths"][0].clone()
    }

    #[track_caller]
    fn wait_for_path(&self, what: &str, is_right: impl Fn(&Value) -> bool) {
        wait_until(what, PATIENCE, || {
            let path = self.path();
            ensure(is_right(&path), || path.to_string())
        });
    }

    /// How often FRR has seen the session come up, and how many messages of a kind it has received.
    fn established(&self) -> u64 {
        let host = "192.168.133.71".parse().unwrap();
        self.neighborhood
            .frr
            .neighbor(host)
            .connections_established()
    }
}

#[test]
fn reloads_reach_frr_and_its_session_stays() {
    let options = Options {
        frr: " neighbor HOST bfd\n",
        ..Options::default()
    };
    let Some(neighborhood) =
        Neighborhood::start("reloads_reach_frr_and_its_session_stays", &options)
    else {
        return;
    };
    let file = File {
        speaker: "",
        log: "info",
        transmit_interval: "300ms",
        peer: "",
        rest: String::new(),
    };
    let herald = Herald::start(
        &neighborhood.host.namespace,
        neighborhood.host.file("").as_path(),
        &file.text(&neighborhood),
    );
    let mut scene = Scene {
        neighborhood,
        herald,
        file,
    };
    let host = "192.168.133.71".parse().unwrap();
    wait_until("BGP and BFD are up", Duration::from_secs(30), || {
        scene.neighborhood.frr.neighbor(host).ensure_established()?;
        scene.neighborhood.frr.bfd_peer(host).ensure_up()
    });
    let established = scene.established();

    scene.reload(|file| file.rest = format!("[[route]]\nprefix = \"{PREFIX}\"\n"));
    scene.wait_for_path("a route", Value::is_object);
    scene.reload(|file| {
        file.rest =
            format!("[[route]]\nprefix = \"{PREFIX}\"\ncommunities = [\"64520:7\"]\nmed = 9\n");
    });
    scene.wait_for_path("its attributes", |path| {
        path["community"]["string"] == "64520:7" && path["metric"] == 9
    });
    scene.reload(|file| file.transmit_interval = "100ms");
    wait_until("BFD's interval", PATIENCE, || {
        let peer = scene.neighborhood.frr.bfd_peer(host);
        let interval = peer.number("remote-transmit-interval");
        ensure(interval == 100, || format!("{interval} ms"))?;
        peer.ensure_up()
    });
    // What FRR has no part in.
    scene.reload(|file| {
        file.log = "debug";
        file.peer = "description = \"spine\"\nkeepalive-time = \"2s\"\nconnect-retry-time = \"9s\"";
        file.speaker = "on-exit = \"restart\"\ndrain-time = \"5s\"\nblackhole-length = 24";
        file.rest += "[[hook]]\non = [\"peer\"]\nexec = [\"/bin/true\"]\n\
                      [[bfd-session]]\nname = \"path\"\naddress = \"192.168.133.2\"\n";
    });
    // By itself, where that is asked for.
    scene.reload(|file| file.speaker = "reload-on-change = true");
    scene.file.rest = String::new();
    let text = scene.file.text(&scene.neighborhood);
    let new = scene.neighborhood.host.file("herald.toml.new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, scene.neighborhood.host.file("herald.toml")).unwrap();
    scene.wait_for_path("no route", Value::is_null);

    assert_eq!(scene.established(), established);
    let neighbor = scene.neighborhood.frr.neighbor(host);
    neighbor.ensure_established().unwrap();
    assert_eq!(neighbor.connections_dropped(), 0, "{:#}", neighbor.0);
    let peer = Neighborhood::peer(&scene.herald, &scene.neighborhood.frr);
    assert_eq!(peer["established_count"], 1, "{peer:#}");
    scene.neighborhood.frr.bfd_peer(host).ensure_up().unwrap();
}
