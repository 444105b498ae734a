//! What routers announce to `herald`, and what operators of both sides tell each other.

use std::time::Duration;

use serde_json::{Value, json};

use super::neighborhood::{Neighborhood, Options};
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

/// What nobody waits for in vain.
const PROMPTLY: Duration = Duration::from_secs(30);

/// Two prefixes of FRR's, in its `router bgp`.
const NETWORKS: &str = " network 10.9.0.0/24\n network 10.9.1.0/24\n";

fn peer(herald: &Herald, name: &str) -> Value {
    let printed = herald.command(&["show", "peer", name, "-o", "json"]);
    serde_json::from_str(&printed).unwrap()
}

fn received(herald: &Herald, name: &str) -> Value {
    let arguments = ["show", "routes", "--received", name, "-o", "json"];
    serde_json::from_str(&herald.command(&arguments)).unwrap()
}

#[track_caller]
fn wait_for(herald: &Herald, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
    wait_until(&format!("{name}: {what}"), PROMPTLY, || {
        let peer = peer(herald, name);
        ensure(holds(&peer), || format!("{peer:#}"))
    });
}

#[test]
fn operators_read_each_other_s_words() {
    let options = Options::default();
    let Some(neighborhood) = Neighborhood::start("operators_read_each_other_s_words", &options)
    else {
        return;
    };
    let herald = neighborhood.start_herald(&neighborhood.config(""));
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let (name, _) = name.split_once('.').unwrap_or((&name, ""));
    let neighbor = neighborhood.frr.neighbor("192.168.133.71".parse().unwrap());
    assert_eq!(neighbor.capability("hostName")["rcvHostName"], name);
    assert_eq!(peer(&herald, "frr")["remote_hostname"], "frr");
    let text = "herald moves to rack 12";
    for ((router, host), name) in neighborhood.routers().iter().zip(["frr", "bird", "gobgp"]) {
        herald.command(&["peer", "shutdown", name, "--message", text]);
        wait_until(&format!("{name} reads why"), PROMPTLY, || {
            let said = match name {
                "frr" => router.last_error(host),
                // The next attempt to connect takes the place of the error.
                "bird" => neighborhood.bird.log(),
                _ => neighborhood.gobgp.log(),
            };
            ensure(said.contains(text), || said.clone())
        });
        let state = peer(&herald, name);
        assert_eq!(state["state"], "Idle");
        assert_eq!(state["shutdown"]["communication"], text);
        herald.command(&["peer", "enable", name]);
        wait_until(&format!("{name} is back"), Duration::from_secs(30), || {
            router.ensure_established(host)
        });

        let answer = format!("{name} takes its turn");
        router.reset(host, &answer);
        wait_for(&herald, name, "its operator's words", |peer| {
            let cause = peer["last_reset"]["cause"].as_str().unwrap_or_default();
            cause.contains(&format!("{answer:?}"))
        });
    }
    neighborhood.wait_for_sessions();
}

#[test]
fn what_frr_announces_is_shown_repeated_and_limited() {
    let options = Options {
        frr: NETWORKS,
        ..Options::default()
    };
    let test = "what_frr_announces_is_shown_repeated_and_limited";
    let Some(neighborhood) = Neighborhood::start(test, &options) else {
        return;
    };
    let config = neighborhood.config("received-routes = \"kept\"\nmax-prefixes = 3\n");
    let herald = neighborhood.start_herald(&config);
    wait_for(&herald, "frr", "two prefixes", |peer| {
        peer["families"][0]["prefixes"] == 2
    });
    let routes = received(&herald, "frr");
    for (index, prefix) in ["10.9.0.0/24", "10.9.1.0/24"].iter().enumerate() {
        assert_eq!(routes[index]["prefix"], *prefix);
        assert_eq!(routes[index]["as_path"], json!([64521]));
        assert_eq!(routes[index]["next_hop"], "192.168.133.1");
        assert_eq!(routes[index]["origin"], "igp");
    }
    assert_eq!(received(&herald, "bird"), json!([]));

    let counted = peer(&herald, "frr")["families"][0]["received"].clone();
    let asked = herald.command(&["peer", "refresh", "frr", "--family", "ipv4-unicast"]);
    assert_eq!(asked, "frr: asked for ipv4-unicast\n");
    wait_for(&herald, "frr", "both once more", |peer| {
        let family = &peer["families"][0];
        family["received"].as_u64() == counted.as_u64().map(|count| count + 2)
            && family["prefixes"] == 2
    });

    // Cease/1, and not again until somebody says so.
    let (frr, host) = (&neighborhood.frr, "192.168.133.71".parse().unwrap());
    let more = ["network 10.9.2.0/24", "network 10.9.3.0/24"];
    frr.configure(&["router bgp 64521", more[0], more[1]]);
    wait_for(&herald, "frr", "too many prefixes", |peer| {
        peer["over_max_prefixes"] == "ipv4-unicast" && peer["state"] == "Idle"
    });
    wait_until("FRR knows why", PROMPTLY, || {
        let said = frr.neighbor(host).last_reset();
        ensure(said.contains("Maximum Number of Prefixes"), || said.clone())
    });
    let fewer = more.map(|network| format!("no {network}"));
    frr.configure(&["router bgp 64521", &fewer[0], &fewer[1]]);
    herald.command(&["peer", "reset", "frr"]);
    neighborhood.wait_for_sessions();
    wait_for(&herald, "frr", "two prefixes again", |peer| {
        peer["families"][0]["prefixes"] == 2
    });
}
