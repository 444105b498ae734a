//! The life of a session, as each make of router sees it: timers, refreshes, ends and new beginnings.

use std::thread;
use std::time::{Duration, Instant};

use super::neighborhood::{HOST_V4, Neighborhood, Options, Transport};
use super::support::router::Router;
use super::support::{ensure, wait_until};

const SERVICE: &str = r#"
[[service]]
name = "web"
addresses = ["192.168.133.150", "2001:db8:133::150"]
"#;

const PREFIXES: [&str; 2] = ["192.168.133.150/32", "2001:db8:133::150/128"];

#[test]
fn a_router_that_asks_again_is_told_again() {
    let Some(neighborhood) = Neighborhood::start(
        "a_router_that_asks_again_is_told_again",
        &Options::default(),
    ) else {
        return;
    };
    let herald = neighborhood.start_herald(&(neighborhood.config("") + SERVICE));
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }

    // GoBGP keeps what it has received, and never asks.
    for (router, host) in neighborhood.routers().into_iter().take(2) {
        let peer = || Neighborhood::peer(&herald, router)["messages"].clone();
        let (before, kind) = (peer(), router.kind());
        assert_eq!(before["received"]["route_refresh"], 0, "{kind}");
        router.request_refresh(&host);
        // One for each family, and each is answered with the family's one route.
        wait_until(
            &format!("{kind} asks and is answered"),
            Duration::from_secs(5),
            || {
                let after = peer();
                let updates = |messages: &serde_json::Value| messages["sent"]["update"].as_u64();
                let asked = after["received"]["route_refresh"].as_u64() >= Some(2);
                let answered = updates(&after) >= updates(&before).map(|count| count + 2);
                // Begin-of-RR and End-of-RR around each answer (RFC 7313 §4).
                let demarcated = after["sent"]["route_refresh"] == 4;
                ensure(asked && answered && demarcated, || after.to_string())
            },
        );
    }
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }

    for (router, _) in neighborhood.routers() {
        let name = router.kind().to_lowercase();
        let sent = || {
            let peer = Neighborhood::peer(&herald, router);
            peer["messages"]["sent"]["route_refresh"].as_u64().unwrap()
        };
        let before = sent();
        herald.command(&["peer", "refresh", &name]);
        assert_eq!(sent() - before, 2, "once for each family: {name}");
    }
    let (_, gobgp_was_asked) = neighborhood
        .gobgp
        .neighbor(HOST_V4)
        .messages("Route Refresh");
    assert_eq!(gobgp_was_asked, 2);
    neighborhood.assert_undisturbed(&herald);
}

#[test]
fn no_hold_time_means_no_keepalives() {
    let Some(neighborhood) =
        Neighborhood::start("no_hold_time_means_no_keepalives", &Options::default())
    else {
        return;
    };
    let config = neighborhood.config("hold-time = \"0s\"") + SERVICE;
    let herald = neighborhood.start_herald(&config);
    thread::sleep(Duration::from_secs(4));
    for (router, _) in neighborhood.routers() {
        let peer = Neighborhood::peer(&herald, router);
        let what = format!("{}: {peer:#}", router.kind());
        assert_eq!(peer["timers"]["hold_time_ms"], 0, "{what}");
        // The one that confirms the OPEN.
        assert_eq!(peer["messages"]["sent"]["keepalive"], 1, "{what}");
        assert_eq!(peer["messages"]["received"]["keepalive"], 1, "{what}");
    }
    neighborhood.assert_undisturbed(&herald);
}

#[test]
fn the_shortest_hold_time_is_kept_on_both_sides() {
    let Some(neighborhood) = Neighborhood::start(
        "the_shortest_hold_time_is_kept_on_both_sides",
        &Options::default(),
    ) else {
        return;
    };
    let config = neighborhood.config("hold-time = \"3s\"") + SERVICE;
    let herald = neighborhood.start_herald(&config);
    // How many were sent at some instant between the two.
    let counted = |router| {
        let before = Instant::now();
        let peer = Neighborhood::peer(&herald, router);
        let sent = peer["messages"]["sent"]["keepalive"].as_f64().unwrap();
        (peer, sent, before, Instant::now())
    };
    let first = neighborhood.routers().map(|(router, _)| counted(router));
    thread::sleep(Duration::from_secs(7));
    for ((router, _), (_, sent_before, begun, counting)) in neighborhood.routers().iter().zip(first)
    {
        let (peer, sent, counting_again, ended) = counted(*router);
        let what = format!("{}: {peer:#}", router.kind());
        assert_eq!(peer["timers"]["hold_time_ms"], 3000, "{what}");
        assert_eq!(peer["timers"]["keepalive_time_ms"], 1000, "{what}");
        let sent = sent - sent_before;
        // One in 0.75 s to 1 s, and a quarter more on a machine that is busy.
        let [at_least, at_most] =
            [counting_again - counting, ended - begun].map(|elapsed| elapsed.as_secs_f64());
        let expected = (at_least / 1.25 - 1.0)..=(at_most / 0.75 + 1.0);
        assert!(
            expected.contains(&sent),
            "{sent} are not {expected:?}: {what}"
        );
    }
    neighborhood.assert_undisturbed(&herald);
}

#[test]
fn each_side_reads_why_the_other_ended_the_session() {
    let Some(neighborhood) = Neighborhood::start(
        "each_side_reads_why_the_other_ended_the_session",
        &Options::default(),
    ) else {
        return;
    };
    let herald = neighborhood.start_herald(&(neighborhood.config("") + SERVICE));

    // RFC 9003: a text goes with Administrative Shutdown and Administrative Reset.
    for (router, host) in neighborhood.routers() {
        let (kind, name) = (router.kind(), router.kind().to_lowercase());
        let text = format!("new cables for {name}");
        herald.command(&["peer", "reset", &name, "-m", &text]);
        wait_until(
            &format!("{kind} reads the text"),
            Duration::from_secs(5),
            || {
                let error = router.last_error(&host);
                ensure(error.contains(&text), || error)
            },
        );
    }
    neighborhood.wait_for_sessions();

    for (router, host) in neighborhood.routers() {
        let text = "maintenance, back at noon";
        router.reset(&host, text);
        wait_until(
            &format!("the text of {} is read", router.kind()),
            Duration::from_secs(5),
            || {
                let reset = Neighborhood::peer(&herald, router)["last_reset"].clone();
                let is_theirs = reset["from"] == "Established" && reset.to_string().contains(text);
                ensure(is_theirs, || reset.to_string())
            },
        );
    }
    neighborhood.wait_for_sessions();
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }
}

#[test]
fn a_router_that_dies_is_told_everything_when_it_is_back() {
    let Some(neighborhood) = Neighborhood::start(
        "a_router_that_dies_is_told_everything_when_it_is_back",
        &Options::default(),
    ) else {
        return;
    };
    let herald = neighborhood.start_herald(&(neighborhood.config("") + SERVICE));
    for (router, _) in neighborhood.routers() {
        router.kill();
        wait_until(
            &format!("the death of {} is seen", router.kind()),
            Duration::from_secs(5),
            || {
                let state = Neighborhood::peer(&herald, router)["state"].to_string();
                ensure(!state.contains("Established"), || state)
            },
        );
    }
    for (router, _) in neighborhood.routers() {
        router.launch();
    }
    neighborhood.wait_for_sessions();
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }
    for (router, _) in neighborhood.routers() {
        let peer = Neighborhood::peer(&herald, router);
        assert_eq!(peer["established_count"], 2, "{}: {peer:#}", router.kind());
    }
}

/// RFC 5082: each side sends with TTL 255, and takes nothing that has less.
#[test]
fn each_router_is_as_near_as_ttl_security_says() {
    for transport in [Transport::V4, Transport::V6] {
        let options = Options {
            transport,
            frr: " neighbor HOST ttl-security hops 1\n",
            bird: "ttl security on;",
            gobgp: "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n",
            ..Options::default()
        };
        let test = "each_router_is_as_near_as_ttl_security_says";
        let Some(neighborhood) = Neighborhood::start(test, &options) else {
            return;
        };
        let config = neighborhood.config("ttl-security = 1") + SERVICE;
        let herald = neighborhood.start_herald(&config);
        for prefix in PREFIXES {
            neighborhood.wait_for_route(prefix);
        }
        neighborhood.assert_undisturbed(&herald);
    }
}

/// RFC 4724 §4.1, §4.2: our routes stay where they are while we restart, and a router that restarts gets them anew.
#[test]
fn every_router_keeps_our_routes_while_we_restart() {
    let options = Options {
        bird: "graceful restart on;",
        gobgp: "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 20\n",
        gobgp_family: "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n",
        ..Options::default()
    };
    let test = "every_router_keeps_our_routes_while_we_restart";
    let Some(neighborhood) = Neighborhood::start(test, &options) else {
        return;
    };
    let config = neighborhood.config("graceful-restart = { restart-time = \"20s\" }") + SERVICE;
    let mut herald = neighborhood.start_herald(&config);
    let all_are_there = |when: &str| {
        for prefix in PREFIXES {
            for (router, _) in neighborhood.routers() {
                let routes = router.received(prefix);
                assert_eq!(routes.len(), 1, "{} {when}: {prefix}", router.kind());
            }
        }
    };
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }

    // Nobody has a reason to wait for End-of-RIB any more.
    thread::sleep(Duration::from_secs(1));
    herald.command(&["stop", "--restart"]);
    herald.wait_exit(Duration::from_secs(5));
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(200));
        all_are_there("while we are away");
    }
    let herald = neighborhood.start_herald(&config);
    all_are_there("when we are back");
    thread::sleep(Duration::from_secs(2));
    all_are_there("after End-of-RIB");

    neighborhood.bird.kill();
    neighborhood.gobgp.kill();
    neighborhood.frr.kill();
    neighborhood.bird.launch_with("-R");
    neighborhood.gobgp.launch_with("-r");
    neighborhood.frr.launch();
    neighborhood.wait_for_sessions();
    for prefix in PREFIXES {
        neighborhood.wait_for_route(prefix);
    }
    for (router, _) in neighborhood.routers() {
        let peer = Neighborhood::peer(&herald, router);
        assert_eq!(peer["established_count"], 2, "{}: {peer:#}", router.kind());
    }
}

/// RFC 6793 §4.2.2: a router that knows no AS of four octets sees AS_TRANS in the place of ours.
///
/// FRR says no capability at all. It would refuse a path that begins with AS_TRANS if it looked at the first AS; and it overlooks AS4_PATH,
/// for it has read our capability. BIRD without its own refuses a neighbor with such an AS: it gets another one.
#[test]
fn a_router_of_two_octet_ases_sees_as_trans() {
    const AS_TRANS: u32 = 23456;
    const OURS: u32 = 4_200_000_001;
    const FOR_BIRD: u32 = 64520;
    let options = Options {
        host_as: [OURS, FOR_BIRD, OURS],
        frr: " neighbor HOST dont-capability-negotiate
 neighbor HOST override-capability
 no neighbor HOST enforce-first-as
",
        bird: "enable as4 off;",
        ..Options::default()
    };
    let Some(neighborhood) =
        Neighborhood::start("a_router_of_two_octet_ases_sees_as_trans", &options)
    else {
        return;
    };
    let config = neighborhood
        .config("")
        .replacen("local-as = 64520", &format!("local-as = {OURS}"), 1)
        .replacen(
            "name = \"bird\"",
            &format!("name = \"bird\"\nlocal-as = {FOR_BIRD}"),
            1,
        );
    let herald = neighborhood.start_herald(&(config + SERVICE));

    for ((router, _), is_wide) in neighborhood.routers().iter().zip([false, false, true]) {
        let peer = Neighborhood::peer(&herald, *router);
        let negotiated = &peer["negotiated"]["four_octet_as"];
        assert_eq!(*negotiated, is_wide, "{}: {peer:#}", router.kind());
    }
    let routes = neighborhood.wait_for_route(PREFIXES[0]);
    for (route, our_as) in routes.iter().zip([AS_TRANS, FOR_BIRD, OURS]) {
        assert_eq!(route.as_path, our_as.to_string(), "{route:?}");
    }
    neighborhood.assert_undisturbed(&herald);
}
