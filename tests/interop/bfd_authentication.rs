//! BFD authentication (RFC 5880 §6.7) with BIRD at the other end.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::pair::{HOST_V4, HOST_V6, Pair, ROUTER_V4, ROUTER_V6, peer};
use super::support::bird::Bird;
use super::support::daemon::Herald;
use super::support::{ensure, wait_until};

/// As Herald calls it, as BIRD does.
const TYPES: [(&str, &str); 5] = [
    ("simple", "simple"),
    ("keyed-md5", "keyed md5"),
    ("meticulous-keyed-md5", "meticulous keyed md5"),
    ("keyed-sha1", "keyed sha1"),
    ("meticulous-keyed-sha1", "meticulous keyed sha1"),
];
const BOTH: [(&str, &str); 2] = [("v4", ROUTER_V4), ("v6", ROUTER_V6)];
/// With restarts in between, the sequence number of the former run has to be forgotten first.
const COMES_UP: Duration = Duration::from_secs(30);

/// BIRD with BFD alone, with these options of its interface.
fn bird_config(options: &str) -> String {
    format!(
        "router id 10.10.0.1;
         protocol device {{}}
         protocol bfd {{
           interface \"eth0\" {{ interval 100 ms; multiplier 5; {options} }};
           neighbor {HOST_V4} dev \"eth0\" local {ROUTER_V4};
           neighbor {HOST_V6} dev \"eth0\" local {ROUTER_V6};
         }}\n"
    )
}

fn passwords(auth_type: &str, ids: &[u8]) -> String {
    let passwords = ids
        .iter()
        .map(|id| format!("password \"{}\" {{ id {id}; }}; ", secret(*id)));
    let passwords: String = passwords.collect();
    format!("authentication {auth_type}; passwords {{ {passwords} }};")
}

fn secret(id: u8) -> String {
    format!("s3cret {id}")
}

/// Herald with a BFD session per family; `auth` is that of their profile.
fn herald_config(pair: &Pair, auth: &str) -> String {
    let peers = BOTH.map(|(name, address)| peer(name, address, "bfd-profile = \"keyed\""));
    let profile = format!(
        "[[bfd-profile]]\nname = \"keyed\"\ntransmit-interval = \"100ms\"\nreceive-interval = \"100ms\"\n\
         detect-multiplier = 5\n{auth}\n"
    );
    pair.config(&(peers.concat() + &profile))
}

/// The value of `auth`. Each key is written into a file of its own.
fn auth(pair: &Pair, auth_type: &str, keys: &[(u8, String)]) -> String {
    let keys = keys.iter().map(|(id, secret)| {
        let file = pair.directory().join(format!("{id}.key"));
        fs::write(&file, secret).unwrap();
        format!("{{ type = {auth_type:?}, key-id = {id}, key-file = {file:?} }}")
    });
    format!("auth = [{}]", keys.collect::<Vec<_>>().join(", "))
}

fn right(ids: &[u8]) -> Vec<(u8, String)> {
    ids.iter().map(|id| (*id, secret(*id))).collect()
}

fn sessions(herald: &Herald) -> Vec<Value> {
    herald.show("bfd").as_array().unwrap().clone()
}

#[track_caller]
fn wait_up(herald: &Herald, bird: &Bird, what: &str) {
    wait_until(&format!("BFD with {what} is up"), COMES_UP, || {
        for session in sessions(herald) {
            ensure(session["state"] == "Up", || format!("{session:#}"))?;
        }
        let there = bird.show("bfd sessions");
        let up = there.lines().filter(|line| line.contains(" Up ")).count();
        ensure(up == 2, || there.clone())
    });
}

/// Packets of both sessions are discarded, and nothing comes of them.
#[track_caller]
fn assert_stays_down(herald: &Herald, bird: &Bird, discarded: &str) {
    wait_until(
        &format!("packets are discarded: {discarded}"),
        COMES_UP,
        || {
            for session in sessions(herald) {
                let count = session["session"]["discarded"][discarded].as_u64();
                ensure(count >= Some(2), || format!("{session:#}"))?;
            }
            Ok(())
        },
    );
    for session in sessions(herald) {
        let session = &session["session"];
        assert_eq!(session["packets_in"], 0, "{session:#}");
        assert_eq!(session["up_count"], 0, "{session:#}");
    }
    let there = bird.show("bfd sessions");
    assert!(!there.contains(" Up "), "{there}");
}

/// BIRD 3.1 may die of a reconfiguration that changes the type: each has one of its own.
fn start_bird(pair: &Pair, options: &str) -> Bird {
    Bird::start(&pair.lab, &pair.router, "bird", &bird_config(options))
}

/// Five types, both families, and who has another key stays down.
#[test]
fn c_163_every_type_with_bird() {
    let Some(pair) = Pair::build("c_163_every_type_with_bird") else {
        return;
    };
    for (ours, theirs) in TYPES {
        let bird = start_bird(&pair, &passwords(theirs, &[7]));
        let config = herald_config(&pair, &auth(&pair, ours, &right(&[7])));
        let herald = Herald::start(&pair.host, &pair.directory(), &config);
        wait_up(&herald, &bird, ours);
        for session in sessions(&herald) {
            let authentication = &session["session"]["authentication"];
            assert_eq!(authentication["type"], ours);
            assert_eq!(authentication["received_key_id"], 7);
        }
        drop(herald);

        let wrong = auth(&pair, ours, &[(7, "s3cret 8".to_owned())]);
        let herald = Herald::start(&pair.host, &pair.directory(), &herald_config(&pair, &wrong));
        assert_stays_down(&herald, &bird, "authentication-digest");
    }
}

/// Who has another key's number, another type, or nothing at all where the other has something.
#[test]
fn c_163_who_says_something_else_stays_down() {
    let Some(pair) = Pair::build("c_163_who_says_something_else_stays_down") else {
        return;
    };
    let bird = start_bird(&pair, &passwords("meticulous keyed sha1", &[7]));
    let wrong_id = auth(&pair, "meticulous-keyed-sha1", &right(&[8]));
    let wrong_type = auth(&pair, "meticulous-keyed-md5", &right(&[7]));
    for (auth, discarded) in [
        (wrong_id.as_str(), "authentication-key-id"),
        (&wrong_type, "authentication-type"),
        ("", "unexpected-authentication"),
    ] {
        let config = herald_config(&pair, auth);
        let herald = Herald::start(&pair.host, &pair.directory(), &config);
        assert_stays_down(&herald, &bird, discarded);
    }
    drop(bird);
    let bird = start_bird(&pair, "");
    let config = herald_config(&pair, &wrong_id);
    let herald = Herald::start(&pair.host, &pair.directory(), &config);
    assert_stays_down(&herald, &bird, "missing-authentication");
}

/// From one key to the next while the sessions are up, by reloads alone.
#[test]
fn c_163_a_key_rolls_over_with_bird() {
    let Some(pair) = Pair::build("c_163_a_key_rolls_over_with_bird") else {
        return;
    };
    for (ours, theirs) in [TYPES[4], TYPES[1], TYPES[0]] {
        let bird_accepts = |ids: &[u8]| bird_config(&passwords(theirs, ids));
        let we_accept = |ids: &[u8]| herald_config(&pair, &auth(&pair, ours, &right(ids)));
        let bird = Bird::start(&pair.lab, &pair.router, "bird", &bird_accepts(&[1]));
        let herald = Herald::start(&pair.host, &pair.directory(), &we_accept(&[1]));
        wait_up(&herald, &bird, ours);
        let reload = |ids: &[u8]| {
            herald.write_config(&we_accept(ids));
            let said = herald.command(&["reload"]);
            assert!(!said.contains("s3cret"), "{said}");
        };
        let settle = |received: u8| {
            let is_received = || {
                for session in sessions(&herald) {
                    let session = &session["session"];
                    assert_eq!(session["down_count"], 0, "{session:#}");
                    let key_id = &session["authentication"]["received_key_id"];
                    ensure(*key_id == received, || format!("{session:#}"))?;
                }
                Ok(())
            };
            wait_until(
                &format!("the key {received} is received"),
                COMES_UP,
                is_received,
            );
            // What is not accepted would be noticed after a Detection Time.
            std::thread::sleep(Duration::from_secs(1));
            is_received().unwrap();
        };
        bird.configure(&bird_accepts(&[1, 2]));
        reload(&[1, 2]);
        settle(1);
        reload(&[2, 1]);
        settle(1);
        bird.configure(&bird_accepts(&[2, 1]));
        settle(2);
        reload(&[2]);
        bird.configure(&bird_accepts(&[2]));
        settle(2);
        assert!(
            herald
                .log()
                .iter()
                .all(|line| !line.text.contains("s3cret"))
        );
        wait_up(&herald, &bird, ours);
    }
}
