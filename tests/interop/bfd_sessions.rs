//! The life of BFD sessions with FRR and BIRD, over both families, link-local addresses on two links, and through a router.

use std::time::Duration;

use super::bfd_network::{
    Network, PROMPTLY, Path, Routers, Seen, TIMERS, active, active_by_default, bird_config,
    frr_timers, passive,
};
use super::support::bfd::Parameters;
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

/// Diagnostic 1, Control Detection Time Expired.
const EXPIRED: u8 = 1;
/// Diagnostic 3, Neighbor Signaled Session Down.
const TOLD: u8 = 3;

/// Roles: on eth0 we are passive, behind the router they are, and on eth1 both: nobody speaks there until one is told to.
#[test]
fn c_147_passive_on_either_side() {
    let routers = Routers {
        passive: &["eth1", "eth2"],
        ..Routers::default()
    };
    let Some(network) = Network::start("c_147_passive_on_either_side", &routers) else {
        return;
    };
    let one_is_passive = [
        Path::V4,
        Path::V6,
        Path::LinkLocal,
        Path::FarV4,
        Path::FarV6,
    ];
    let both_are_passive = [Path::OtherLinkLocal];
    let config = network.config(TIMERS, &Path::ALL, |name, path| match path {
        Path::FarV4 | Path::FarV6 => active(name, path),
        _ => passive(name, path),
    });
    let herald = network.start_herald(&config);
    network.wait_until_up(&herald, &one_is_passive);
    for seen in network.sessions(&herald, &both_are_passive).unwrap() {
        seen.are(("Down", 0), ("Down", 0)).unwrap();
        let shown = herald.show("bfd");
        let mut shown = shown.as_array().unwrap().iter();
        let session = &shown.find(|shown| shown["name"] == seen.name).unwrap()["session"];
        assert_eq!(session["packets_out"], 0, "{session:#}");
        assert_eq!(session["packets_in"], 0, "{session:#}");
    }

    reload(&herald, &network.config(TIMERS, &Path::ALL, active));
    let sessions = network.wait_until_up(&herald, &Path::ALL);
    assert_undisturbed(&sessions);
}

/// RFC 9468: FRR and BIRD begin, over both families and link-local addresses, and we have nothing but ranges.
#[test]
fn c_172_routers_begin_sessions() {
    let Some(network) = Network::start("c_172_routers_begin_sessions", &Routers::default()) else {
        return;
    };
    let ranges = |more: &str| {
        let ranges = [
            ("v4", "192.168.133.0/24"),
            ("v6", "2001:db8:133::/64"),
            ("ll", "fe80::/64"),
        ];
        let ranges = ranges.map(|(name, prefix)| {
            format!("[[bfd-range]]\nname = {name:?}\nprefix = {prefix:?}\ninterface = \"eth0\"\nbfd-profile = \"active\"\n{more}")
        });
        network.config(TIMERS, &[], active) + &ranges.concat()
    };
    let herald = network.start_herald(&ranges(""));
    let names = || -> Vec<(String, String)> {
        let shown = herald.show("bfd");
        let shown = shown.as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        shown
            .map(|it| (text(&it["name"]), text(&it["state"])))
            .collect()
    };
    let expected = [
        "ll@fe80::1%eth0",
        "ll@fe80::2%eth0",
        "v4@192.168.133.1",
        "v4@192.168.133.2",
        "v6@2001:db8:133::1",
        "v6@2001:db8:133::2",
    ];
    let all_up = expected.map(|name| (name.to_owned(), "Up".to_owned()));
    wait_until("six sessions are up", PROMPTLY, || {
        let names = names();
        ensure(names == all_up, || format!("{names:?}"))
    });
    for router in network.routers() {
        let theirs = router.bfd_sessions();
        for path in [Path::V4, Path::V6] {
            let session = theirs.iter().find(|it| it.remote_address == path.host());
            session.unwrap().is_up().unwrap();
        }
    }
    reload(&herald, &ranges("enabled = false\n"));
    wait_until("no session is left", PROMPTLY, || {
        let names = names();
        ensure(names.is_empty(), || format!("{names:?}"))
    });
    // A router is there still, and begins again.
    reload(&herald, &ranges(""));
    wait_until("six sessions are up again", PROMPTLY, || {
        let names = names();
        ensure(names == all_up, || format!("{names:?}"))
    });
}

/// RFC 5880 §6.8.3: both ends agree on what either changes, by a Poll Sequence, and neither goes down.
#[test]
fn c_143_timers_change_on_either_side_while_up() {
    let Some(network) = Network::start(
        "c_143_timers_change_on_either_side_while_up",
        &Routers::default(),
    ) else {
        return;
    };
    let config = |timers| network.config(timers, &Path::ALL, active);
    let herald = network.start_herald(&config(TIMERS));
    network.wait_until_up(&herald, &Path::ALL);
    let discriminators = |sessions: &[Seen]| {
        let both = sessions
            .iter()
            .map(|seen| (seen.ours.local_discr, seen.theirs.local_discr));
        both.collect::<Vec<_>>()
    };
    let before = discriminators(&wait_until_agreed(&network, &herald, TIMERS, TIMERS));

    let slower = Parameters::new(150, 200, 4);
    for ours in [slower, TIMERS, Parameters::new(50, 60, 9)] {
        reload(&herald, &config(ours));
        wait_until_agreed(&network, &herald, ours, TIMERS);
    }
    let ours = Parameters::new(50, 60, 9);
    for theirs in [Parameters::new(250, 120, 6), TIMERS] {
        change_timers_of_routers(&network, theirs);
        wait_until_agreed(&network, &herald, ours, theirs);
    }
    let sessions = network.sessions(&herald, &Path::ALL).unwrap();
    assert_undisturbed(&sessions);
    assert_eq!(discriminators(&sessions), before);
}

/// RFC 5880 §6.8.4: who hears nothing says so with diagnostic 1, and who is heard reads it and says 3.
///
/// Who has heard nothing for a Detection Time says Down without Your Discriminator (§6.8.1). FRR 10.3 hears no such packet while it
/// is Up, and finds out for itself.
#[test]
fn c_140_a_cut_in_either_direction_is_noticed_at_both_ends() {
    let Some(network) = Network::start(
        "c_140_a_cut_in_either_direction_is_noticed_at_both_ends",
        &Routers::default(),
    ) else {
        return;
    };
    let herald = network.start_herald(&network.config(TIMERS, &Path::ALL, active));
    network.wait_until_up(&herald, &Path::ALL);

    let bfd = "udp dport { 3784, 4784 }";
    let cuts = [
        ("we hear nothing", EXPIRED, TOLD),
        ("they hear nothing", TOLD, EXPIRED),
        ("nobody hears anything", EXPIRED, EXPIRED),
    ];
    for (count, (cut, ours, theirs)) in (1..).zip(cuts) {
        match cut {
            "we hear nothing" => network.host.drop_incoming(bfd),
            "they hear nothing" => network.host.drop_outgoing(bfd),
            _ => network.host.drop_packets(bfd),
        }
        network.wait_until(&herald, cut, &Path::ALL, |seen| match seen.router {
            "frr" => seen.are_lost(ours, EXPIRED),
            _ => seen.are_lost(ours, theirs),
        });
        network.host.drop_nothing();
        let sessions = network.wait_until_up(&herald, &Path::ALL);
        for Seen {
            name, ours, theirs, ..
        } in sessions
        {
            assert_eq!((ours.ups, ours.downs), (count + 1, count), "{name} {cut}");
            assert_eq!(
                (theirs.ups, theirs.downs),
                (count + 1, count),
                "{name} {cut}"
            );
        }
    }
}

/// RFC 5880 §6.6: BIRD ceases its periodic packets and FRR goes on with them; both answer our polls, and nobody goes down for the
/// change. A dead path is found by a Poll that is not answered.
#[test]
fn c_139_demand_mode_of_ours() {
    let Some(network) = Network::start("c_139_demand_mode_of_ours", &Routers::default()) else {
        return;
    };
    let asynchronous = network.config(TIMERS, &Path::ALL, active);
    let demand = asynchronous.replace(
        "passive-mode = false\n",
        "passive-mode = false\ndemand-mode = true\ndemand-poll-interval = \"500ms\"\n",
    );
    let herald = network.start_herald(&asynchronous);
    network.wait_until_up(&herald, &Path::ALL);
    reload(&herald, &demand);
    let bird_sends = || {
        let shown = herald.show("bfd");
        let sessions = shown.as_array().unwrap().iter();
        let bird = sessions.filter(|shown| shown["name"].as_str().unwrap().starts_with("bird"));
        bird.map(|shown| {
            let session = &shown["session"];
            assert_eq!(session["demand_mode"], true, "{session:#}");
            session["packets_in"].as_u64().unwrap()
        })
        .collect::<Vec<_>>()
    };
    wait_until("BIRD is silent but for its answers", PROMPTLY, || {
        let before = bird_sends();
        std::thread::sleep(Duration::from_secs(3));
        let sent = bird_sends().into_iter().zip(before);
        let sent: Vec<u64> = sent.map(|(after, before)| after - before).collect();
        // Six to eight verifications, each with its answer. Where our Init took BIRD 3.1 to Up, it believes us in Init for
        // good (`show bfd sessions all`), and sends thirty and more: a neighbor is asked for silence, not made to keep it.
        let (silent, others): (Vec<u64>, Vec<u64>) =
            sent.iter().partition(|sent| (4..=12).contains(*sent));
        ensure(
            !silent.is_empty() && others.iter().all(|sent| *sent > 25),
            || format!("{sent:?} packets in 3 s"),
        )
    });
    assert_undisturbed(&network.sessions(&herald, &Path::ALL).unwrap());

    network.host.drop_packets("udp dport { 3784, 4784 }");
    network.wait_until(&herald, "nobody hears anything", &Path::ALL, |seen| {
        seen.are_lost(EXPIRED, EXPIRED)
    });
    network.host.drop_nothing();
    network.wait_until_up(&herald, &Path::ALL);

    reload(&herald, &asynchronous);
    let sessions = network.wait_until(&herald, "back to periodic packets", &Path::ALL, |seen| {
        seen.have_agreed(TIMERS, TIMERS)
    });
    for Seen { name, ours, .. } in sessions {
        assert_eq!((ours.ups, ours.downs), (2, 1), "{name}: {ours:?}");
    }
}

/// A daemon that has died and come back is another, with other discriminators: the session goes down once and comes up by itself.
#[test]
fn c_120_c_148_either_side_goes_and_comes_back() {
    let Some(network) = Network::start(
        "c_120_c_148_either_side_goes_and_comes_back",
        &Routers::default(),
    ) else {
        return;
    };
    let config = network.config(TIMERS, &Path::ALL, active);
    let mut herald = network.start_herald(&config);
    let mut before = network.wait_until_up(&herald, &Path::ALL);

    for orderly in [false, true] {
        for router in network.routers() {
            if orderly {
                router.stop_bfd();
            } else {
                router.kill_bfd();
            }
            router.launch_bfd();
        }
        let after = network.wait_until(&herald, "they are back", &Path::ALL, |seen| {
            let before = before.iter().find(|before| before.name == seen.name);
            let went_down = seen.ours.downs > before.unwrap().ours.downs;
            ensure(went_down, || "we have not noticed".into())?;
            seen.are_up()
        });
        for (before, after) in before.iter().zip(&after) {
            let name = &after.name;
            // FRR's are the same when it starts twice within a second.
            if after.router != "frr" {
                assert_ne!(
                    before.theirs.local_discr, after.theirs.local_discr,
                    "{name}"
                );
            }
            assert_eq!(before.ours.local_discr, after.ours.local_discr, "{name}");
            assert_eq!(after.ours.downs, before.ours.downs + 1, "{name}");
            assert_eq!(after.ours.ups, before.ours.ups + 1, "{name}");
        }
        before = after;
    }

    for orderly in [false, true] {
        if orderly {
            herald.command(&["stop"]);
            wait_until_told(&network);
        }
        // Unless it has ended by itself, it is killed.
        drop(herald);
        herald = network.start_herald(&config);
        let after = network.wait_until(&herald, "we are back", &Path::ALL, |seen| {
            let before = before.iter().find(|before| before.name == seen.name);
            let before = &before.unwrap().theirs;
            let went_down = seen.theirs.downs > before.downs;
            ensure(went_down, || "they have not noticed".into())?;
            seen.are_up()
        });
        for (before, after) in before.iter().zip(&after) {
            let name = &after.name;
            assert_ne!(before.ours.local_discr, after.ours.local_discr, "{name}");
            assert_eq!(
                before.theirs.local_discr, after.theirs.local_discr,
                "{name}"
            );
            assert_eq!((after.ours.ups, after.ours.downs), (1, 0), "{name}");
            assert_eq!(after.theirs.downs, before.theirs.downs + 1, "{name}");
            assert_eq!(after.theirs.ups, before.theirs.ups + 1, "{name}");
        }
        before = after;
    }

    // RFC 5880 §6.8.16: nor does it need the end of the daemon.
    let disabled = |name: &str, path| active(name, path) + "\nenabled = false";
    reload(&herald, &network.config(TIMERS, &Path::ALL, disabled));
    wait_until_told(&network);
    reload(&herald, &config);
    for seen in network.wait_until_up(&herald, &Path::ALL) {
        let before = before.iter().find(|before| before.name == seen.name);
        let before = &before.unwrap().theirs;
        assert_eq!(seen.theirs.downs, before.downs + 1, "{}", seen.name);
    }
}

/// RFC 5883 §5: what has crossed more routers than it may is nothing that was heard.
#[test]
fn c_156_the_least_ttl_is_demanded_at_both_ends() {
    let Some(network) = Network::start(
        "c_156_the_least_ttl_is_demanded_at_both_ends",
        &Routers::default(),
    ) else {
        return;
    };
    let by_default = |_: &str, path| active_by_default(path);
    let herald = network.start_herald(&network.config(TIMERS, &Path::FAR, by_default));
    let of = |router: &'static str, check: fn(&Seen) -> Result<(), String>| {
        move |seen: &Seen| {
            if seen.router == router {
                check(seen)
            } else {
                Ok(())
            }
        }
    };
    network.wait_until(&herald, "FRR's are up", &Path::FAR, of("frr", Seen::are_up));
    let discarded_for_ttl = || {
        let shown = herald.show("bfd");
        let shown = shown.as_array().unwrap().iter();
        let counts = shown.map(|shown| {
            let discarded = &shown["session"]["discarded"]["ttl"];
            (shown["name"].to_string(), discarded.as_u64().unwrap_or(0))
        });
        counts.collect::<Vec<_>>()
    };
    // BIRD sends what the system does by default, 64.
    wait_until("BIRD's packets are discarded", PROMPTLY, || {
        let counts = discarded_for_ttl();
        let are = counts
            .iter()
            .all(|(name, count)| (*count > 0) == name.contains("bird"));
        ensure(are, || format!("{counts:?}"))
    });
    reload(&herald, &network.config(TIMERS, &Path::FAR, active));
    network.wait_until_up(&herald, &Path::FAR);
    let before = discarded_for_ttl();

    // One router more, as far as the TTL tells, on the way to us and then on the way to them. BIRD minds it in neither.
    for (towards, ours) in [("to-host", EXPIRED), ("to-frr", TOLD)] {
        network.middle.nft(&format!(
            "table inet far {{ chain forward {{ type filter hook forward priority 0;
                oifname {towards:?} ip ttl > 200 ip ttl set 253
                oifname {towards:?} ip6 hoplimit > 200 ip6 hoplimit set 253
            }}; }}"
        ));
        network.wait_until(&herald, towards, &Path::FAR, |seen| {
            if seen.router == "frr" {
                seen.are_lost(ours, EXPIRED)
            } else {
                seen.are_up()
            }
        });
        network.middle.nft("delete table inet far");
        network.wait_until_up(&herald, &Path::FAR);
    }
    for ((name, after), (_, before)) in discarded_for_ttl().into_iter().zip(before) {
        assert_eq!(after > before, name.contains("frr"), "{name}");
    }
    let sessions = network.sessions(&herald, &Path::FAR).unwrap();
    for Seen { name, ours, .. } in sessions {
        let downs = if name.contains("frr") { 2 } else { 0 };
        assert_eq!(ours.downs, downs, "{name}");
    }
}

#[track_caller]
fn reload(herald: &Herald, config: &str) {
    herald.write_config(config);
    herald.command(&["reload"]);
}

/// Waits until the routers have heard that we have taken every session down.
#[track_caller]
fn wait_until_told(network: &Network) {
    wait_until("the routers are told", PROMPTLY, || {
        for router in network.routers() {
            for session in router.bfd_sessions() {
                session.is_for("Down", TOLD)?;
            }
        }
        Ok(())
    });
}

#[track_caller]
fn change_timers_of_routers(network: &Network, timers: Parameters) {
    for device in ["eth0", "eth1", "eth2"] {
        let profile = format!("profile {device}");
        let lines = frr_timers(timers);
        let lines = ["bfd", &profile, &lines[0], &lines[1], &lines[2]];
        network.frr.configure(&lines);
    }
    network.bird.configure(&bird_config(&Routers {
        timers,
        ..Routers::default()
    }));
}

/// Waits until both ends know of each other what either asks for, and act on it.
#[track_caller]
fn wait_until_agreed(
    network: &Network,
    herald: &Herald,
    ours: Parameters,
    theirs: Parameters,
) -> Vec<Seen> {
    let what = format!("agreed upon {ours:?} with {theirs:?}");
    let sessions = network.wait_until(herald, &what, &Path::ALL, |seen| {
        seen.have_agreed(ours, theirs)
    });
    let millis = |duration: Duration| serde_json::json!(duration.as_secs_f64() * 1000.0);
    wait_until(&what, PROMPTLY, || {
        for shown in herald.show("bfd").as_array().unwrap() {
            let session = &shown["session"];
            let in_force = session["transmit_interval_ms"]
                == millis(ours.transmit_interval(&theirs))
                && session["detection_time_ms"] == millis(ours.detection_time(&theirs))
                && session["polling"] == false;
            ensure(in_force, || format!("{shown:#}"))?;
        }
        Ok(())
    });
    wait_until(&what, PROMPTLY, || {
        let timers = network.bird.bfd_timers();
        let expected = (
            theirs.transmit_interval(&ours),
            theirs.detection_time(&ours),
        );
        let are = timers.iter().all(|timers| *timers == expected);
        ensure(are, || format!("BIRD: {timers:?}, not {expected:?}"))
    });
    sessions
}

/// Every session has come up once and not gone down, at both ends.
#[track_caller]
fn assert_undisturbed(sessions: &[Seen]) {
    for Seen {
        name, ours, theirs, ..
    } in sessions
    {
        assert_eq!((ours.ups, ours.downs), (1, 0), "{name}: {ours:?}");
        assert_eq!((theirs.ups, theirs.downs), (1, 0), "{name}: {theirs:?}");
    }
}
