//! What BGP makes of BFD sessions that somebody takes down on purpose, and of those that are not there yet.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::bfd_network::{
    BFD_PROTOCOL, Bgp, Network, PROMPTLY, Path, Routers, TIMERS, active, bgp_protocol, session_name,
};
use super::support::daemon::Herald;
use super::support::router::Router;
use super::support::{ensure, wait_until};

/// For how long one looks whether something does not happen.
const STAYS_AWAY: Duration = Duration::from_secs(3);

/// Diagnostic 3, Neighbor Signaled Session Down.
const TOLD: u8 = 3;

/// RFC 5882 §4.2. The routers' BGP knows nothing of their BFD, so what ends is ended by us.
#[test]
fn c_165_who_takes_bfd_down_keeps_bgp() {
    let routers = Routers {
        bgp: Bgp::Beside,
        ..Routers::default()
    };
    let Some(network) = Network::start("c_165_who_takes_bfd_down_keeps_bgp", &routers) else {
        return;
    };
    let with_bfd = network.config(TIMERS, &Path::BGP, active);
    let without_bfd = network.config(TIMERS, &Path::BGP, |_, _| String::new());
    let herald = network.start_herald(&with_bfd);
    assert_established(&network, &herald, 1);
    network.wait_until_up(&herald, &Path::BGP);

    // FRR's operator shuts its BFD down, and says so in AdminDown.
    let frr = |command: &str| network.frr.configure(&["bfd", "profile eth0", command]);
    frr("shutdown");
    network.wait_until(
        &herald,
        "FRR takes BFD down",
        &Path::BGP,
        |seen| match seen.router {
            "frr" => seen.are(("Down", TOLD), ("AdminDown", 0)),
            _ => seen.are_up(),
        },
    );
    frr("no shutdown");
    for seen in network.wait_until_up(&herald, &Path::BGP) {
        let downs = u64::from(seen.router == "frr");
        assert_eq!(seen.ours.downs, downs, "{}", seen.name);
    }
    assert_established(&network, &herald, 1);

    // Ours takes BFD out of the configuration.
    reload(&herald, &without_bfd);
    wait_until_told(&network);
    assert_established(&network, &herald, 1);
    reload(&herald, &with_bfd);
    network.wait_until_up(&herald, &Path::BGP);
    assert_established(&network, &herald, 1);

    // Ours shuts the whole peer down.
    for (name, _) in peers(&network) {
        herald.command(&["peer", "shutdown", &name]);
    }
    wait_until_told(&network);
    for (name, _) in peers(&network) {
        herald.command(&["peer", "enable", &name]);
    }
    network.wait_until_up(&herald, &Path::BGP);
    assert_established(&network, &herald, 2);

    // BIRD's operator disables its BFD, and BIRD says nothing: that is a path that has died.
    network.bird.command(&format!("disable {BFD_PROTOCOL}"));
    for path in Path::BGP {
        let name = session_name("bird", path);
        wait_until(&format!("{name} ends and begins anew"), PROMPTLY, || {
            let peer = show_peer(&herald, &name);
            let reset = peer["last_reset"]["cause"].to_string();
            let is_back = peer["state"] == "Established" && reset.contains("BFD Down");
            ensure(is_back, || format!("{reset} {}", peer["state"]))
        });
    }
    network.bird.command(&format!("enable {BFD_PROTOCOL}"));
    network.wait_until_up(&herald, &Path::BGP);
    for path in Path::BGP {
        let frr = show_peer(&herald, &session_name("frr", path));
        assert_eq!(frr["established_count"], 2, "{frr:#}");
    }
}

/// RFC 5882 §4.2: BIRD keeps BGP when we take BFD out of the configuration. FRR 10.3 ends it and stays away until BFD is back, and the
/// plan warns of that.
#[test]
fn c_170_bfd_leaves_the_configuration_and_comes_back() {
    let routers = Routers {
        bgp: Bgp::Bound,
        ..Routers::default()
    };
    let test = "c_170_bfd_leaves_the_configuration_and_comes_back";
    let Some(network) = Network::start(test, &routers) else {
        return;
    };
    let with_bfd = network.config(TIMERS, &Path::BGP, active);
    let without_bfd = network.config(TIMERS, &Path::BGP, |_, _| String::new());
    let herald = network.start_herald(&with_bfd);
    network.wait_until_up(&herald, &Path::BGP);
    wait_for_bgp(&network, &herald);

    herald.write_config(&without_bfd);
    let plan = herald.command(&["reload", "--dry-run"]);
    let warned = plan
        .lines()
        .filter(|line| line.contains("may end BGP when BFD goes, and wait"));
    assert_eq!(warned.count(), 4, "{plan}");
    // FRR overlooks what BFD says in the very second in which BGP has come up.
    thread::sleep(STAYS_AWAY);
    let before = established(&network, &herald);
    herald.command(&["reload"]);
    for path in Path::BGP {
        let name = session_name("frr", path);
        wait_until(&format!("{name} ends"), PROMPTLY, || {
            let state = show_peer(&herald, &name)["state"].to_string();
            ensure(!state.contains("Established"), || state)
        });
        let reset = show_peer(&herald, &name)["last_reset"]["cause"].to_string();
        assert!(reset.contains("BFD Down"), "{name}: {reset}");
    }
    reload(&herald, &with_bfd);
    network.wait_until_up(&herald, &Path::BGP);
    wait_for_bgp(&network, &herald);
    for (name, count) in established(&network, &herald) {
        if name.starts_with("frr") {
            assert!(count > before[&name], "{name}");
        } else {
            assert_eq!(count, before[&name], "{name}");
        }
    }
}

/// RFC 5882 §4.1: with `bfd-strict` no session before BFD is up, though neither router has the capability; without it there is one.
#[test]
fn c_169_strict_mode_with_routers_that_have_none() {
    let routers = Routers {
        bgp: Bgp::Bound,
        ..Routers::default()
    };
    let test = "c_169_strict_mode_with_routers_that_have_none";
    let Some(network) = Network::start(test, &routers) else {
        return;
    };
    let strict = network.config(TIMERS, &Path::BGP, |name, path| {
        format!("{}\nbfd-strict = true", active(name, path))
    });
    let cut = || network.host.drop_packets("udp dport 3784");
    cut();
    let herald = network.start_herald(&strict);
    wait_until("BIRD waits for us", PROMPTLY, || {
        let states = Path::BGP.map(|path| network.bird.state(&bgp_protocol(path)));
        ensure(states.iter().all(|state| state == "OpenConfirm"), || {
            format!("{states:?}")
        })
    });
    thread::sleep(STAYS_AWAY);
    for (name, count) in established(&network, &herald) {
        assert_eq!(count, 0, "{name}");
    }
    network.host.drop_nothing();
    network.wait_until_up(&herald, &Path::BGP);
    wait_for_bgp(&network, &herald);

    // It ends with BFD, and does not come back before it.
    cut();
    for (name, _) in peers(&network) {
        wait_until(&format!("{name} ends"), PROMPTLY, || {
            let state = show_peer(&herald, &name)["state"].to_string();
            ensure(!state.contains("Established"), || state)
        });
    }
    let before = established(&network, &herald);
    thread::sleep(STAYS_AWAY);
    assert_eq!(established(&network, &herald), before);

    // Without it BGP comes up without BFD, save with FRR, which neither connects nor listens to us until BFD is up.
    reload(&herald, &network.config(TIMERS, &Path::BGP, active));
    wait_until("BIRD does without BFD", PROMPTLY, || {
        let states = Path::BGP.map(|path| network.bird.state(&bgp_protocol(path)));
        ensure(states.iter().all(|state| state == "Established"), || {
            format!("{states:?}")
        })
    });
    for (name, count) in established(&network, &herald) {
        let expected = before[&name] + u64::from(name.starts_with("bird"));
        assert_eq!(count, expected, "{name}");
    }
    network.host.drop_nothing();
    network.wait_until_up(&herald, &Path::BGP);
    wait_for_bgp(&network, &herald);
}

/// The host's peers, and what state the router has of each.
fn peers(network: &Network) -> [(String, Box<dyn Fn() -> String + '_>); 4] {
    let of_frr = Path::BGP.map(|path| {
        let state = move || network.frr.state(&path.host().to_string());
        (
            session_name("frr", path),
            Box::new(state) as Box<dyn Fn() -> String>,
        )
    });
    let of_bird = Path::BGP.map(|path| {
        let state = move || network.bird.state(&bgp_protocol(path));
        (
            session_name("bird", path),
            Box::new(state) as Box<dyn Fn() -> String>,
        )
    });
    let [frr_v4, frr_v6] = of_frr;
    let [bird_v4, bird_v6] = of_bird;
    [frr_v4, frr_v6, bird_v4, bird_v6]
}

fn show_peer(herald: &Herald, name: &str) -> Value {
    let shown = herald.command(&["show", "peer", name, "-o", "json"]);
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error} in {shown:?}"))
}

#[track_caller]
fn reload(herald: &Herald, config: &str) {
    herald.write_config(config);
    herald.command(&["reload"]);
}

/// Waits until every BGP session is up at both ends.
#[track_caller]
fn wait_for_bgp(network: &Network, herald: &Herald) {
    wait_until("every BGP session is up", PROMPTLY, || {
        for (name, router) in peers(network) {
            let state = show_peer(herald, &name)["state"].to_string();
            let is_up = state.contains("Established") && router() == "Established";
            ensure(is_up, || format!("{name}: {state} {}", router()))?;
        }
        Ok(())
    });
}

/// How often each BGP session has come up since the start, by its name.
///
/// Those with a FRR that binds them to BFD may have done so once more than expected: it begins BFD anew as BGP comes up.
fn established(network: &Network, herald: &Herald) -> BTreeMap<String, u64> {
    let counts = peers(network).map(|(name, _)| {
        let count = show_peer(herald, &name)["established_count"].as_u64();
        (name, count.unwrap())
    });
    counts.into()
}

/// Every BGP session is up, and has come up so often.
#[track_caller]
fn assert_established(network: &Network, herald: &Herald, times: u64) {
    wait_for_bgp(network, herald);
    for (name, count) in established(network, herald) {
        assert_eq!(count, times, "{name}");
    }
}

/// Waits until both routers have heard that we have taken every session down.
#[track_caller]
fn wait_until_told(network: &Network) {
    wait_until("the routers are told", PROMPTLY, || {
        for router in network.routers() {
            let sessions = router.bfd_sessions().into_iter();
            let hosts = Path::BGP.map(Path::host);
            for session in sessions.filter(|session| hosts.contains(&session.remote_address)) {
                session.is_for("Down", TOLD)?;
            }
        }
        Ok(())
    });
}
