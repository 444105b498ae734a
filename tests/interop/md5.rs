//! TCP MD5 (RFC 2385) with others at the other end.

use std::fs;
use std::path::Path;

use super::neighborhood::{Neighborhood, Options, Transport};
use super::pair::{
    BOTH, HOST_V4, HOST_V6, Pair, ROUTER_V4, ROUTER_V6, assert_stay_down, peer, status,
    wait_established,
};
use super::support::daemon::Herald;
use super::support::frr::Frr;
use super::support::{Lab, namespace};

/// Herald connects to FRR, BIRD and GoBGP, and they to Herald, in both families.
#[test]
fn c_111_keys_with_every_router() {
    for transport in [Transport::V4, Transport::V6] {
        let options = Options {
            transport,
            frr: " neighbor HOST password s3cret\n",
            bird: "password \"s3cret\";",
            gobgp_config: "auth-password = \"s3cret\"",
            ..Options::default()
        };
        let Some(neighborhood) = Neighborhood::start("c_111_keys_with_every_router", &options)
        else {
            return;
        };
        let key = neighborhood.host.file("key");
        fs::write(&key, "s3cret\n").unwrap();
        // First the host alone connects, for it does not listen; then the routers alone.
        let listening = "local-as = 64520\nlisten = [\"0.0.0.0:179\", \"[::]:179\"]";
        for (passive, speaker) in [(false, "local-as = 64520"), (true, listening)] {
            let config =
                neighborhood.config(&format!("password-file = {key:?}\npassive = {passive}"));
            let _herald = neighborhood.start_herald(&config.replace("local-as = 64520", speaker));
        }
    }
}

/// Two links with a neighbor of the same address each, and a key of its own.
#[test]
fn c_111_keys_of_link_local_neighbors() {
    let Some(lab) = Lab::open("c_111_keys_of_link_local_neighbors") else {
        return;
    };
    let routers = ["left", "right"].map(|label| lab.namespace(label));
    let host = lab.namespace("host");
    for namespace in [&routers[0], &routers[1], &host] {
        namespace.sysctl("net/ipv6/conf/default/addr_gen_mode", "1");
    }
    for (router, device) in routers.iter().zip(["eth0", "eth1"]) {
        let ends = ["fe80::1/64", "fe80::2/64"];
        namespace::connect((router, "eth0", &ends[..1]), (&host, device, &ends[1..]));
    }
    let mut frrs = Vec::new();
    for (router, (label, password)) in routers.iter().zip([("left", "one"), ("right", "two")]) {
        let neighbor = [
            "fe80::2 remote-as 64520".to_owned(),
            "fe80::2 interface eth0".to_owned(),
            format!("fe80::2 password {password}"),
            "fe80::2 timers connect 1".to_owned(),
        ];
        let config = super::pair::frr_config(&neighbor, &["fe80::2"]);
        frrs.push(Frr::start(&lab, router, label, &config));
    }
    let directory = lab.directory("herald");
    for password in ["one", "two"] {
        fs::write(directory.join(password), password).unwrap();
    }
    let peers = |passive: bool| {
        [("left", "eth0", "one"), ("right", "eth1", "two")].map(|(name, device, password)| {
            let key = directory.join(password);
            let keys = format!("password-file = {key:?}\npassive = {passive}");
            peer(name, &format!("fe80::1%{device}"), &keys)
        })
    };
    for passive in [true, false] {
        let config = super::pair::herald_config(&directory, &peers(passive).concat());
        let herald = Herald::start(&host, &directory, &config);
        for (frr, name) in frrs.iter().zip(["left", "right"]) {
            wait_established(&herald, frr, name, "fe80::2");
        }
        for frr in &frrs {
            frr.configure(&["router bgp 64521", "neighbor fe80::2 passive"]);
        }
    }
}

/// Neither the wrong key nor one on one side only; then the right one, without a restart.
#[test]
fn c_111_without_the_right_key_nobody_is_heard() {
    let Some(pair) = Pair::build("c_111_without_the_right_key_nobody_is_heard") else {
        return;
    };
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} timers connect 1"),
        ]
    });
    let mut neighbors = neighbors.concat();
    neighbors.push(format!("{HOST_V4} password s3cret"));
    let frr = pair.frr(&neighbors, &[HOST_V4, HOST_V6]);
    let key = pair.directory().join("key");
    let keyed = |name: &str| peer(name, name, &format!("password-file = {key:?}"));
    let unkeyed = |name: &str| peer(name, name, "");

    fs::write(&key, "another").unwrap();
    let herald = pair.herald(&(keyed(ROUTER_V4) + &keyed(ROUTER_V6)));
    assert_stay_down(&herald, &frr, &BOTH);
    for router in [ROUTER_V4, ROUTER_V6] {
        let hint = &status(&herald, router)["transport"]["hints"][0];
        assert!(
            hint.as_str().unwrap().contains("not signed with this key"),
            "{hint}"
        );
    }

    // The key is read again, and taken away from who needs none.
    reload(
        &herald,
        &key,
        "s3cret",
        &pair.config(&(keyed(ROUTER_V4) + &unkeyed(ROUTER_V6))),
    );
    for (router, host) in BOTH {
        wait_established(&herald, &frr, router, host);
    }
    assert_no_secret(&herald, "s3cret");

    // FRR has one that we have not.
    let herald_without = unkeyed(ROUTER_V4) + &unkeyed(ROUTER_V6);
    drop(herald);
    let herald = pair.herald(&herald_without);
    wait_established(&herald, &frr, ROUTER_V6, HOST_V6);
    assert_stay_down(&herald, &frr, &[(ROUTER_V4, HOST_V4)]);
    let hint = &status(&herald, ROUTER_V4)["transport"]["hints"][0];
    assert!(
        hint.as_str().unwrap().contains("password-file is not set"),
        "{hint}"
    );
}

#[track_caller]
fn reload(herald: &Herald, key: &Path, password: &str, config: &str) {
    fs::write(key, password).unwrap();
    herald.write_config(config);
    herald.command(&["reload"]);
}

#[track_caller]
fn assert_no_secret(herald: &Herald, secret: &str) {
    let shown = herald.command(&["show", "config"])
        + &herald.command(&["show", "peer", ROUTER_V4])
        + &herald.command(&["show", "events"]);
    assert!(!shown.contains(secret), "{shown}");
    for line in herald.log() {
        assert!(!format!("{line:?}").contains(secret), "{line:?}");
    }
}
