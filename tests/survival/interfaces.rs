//! Interfaces that go and come, and addresses that move.

use std::thread;
use std::time::Duration;

use bfd::{Diagnostic, SessionConfig, SessionKey, State};

use super::host::{
    Cable, Host, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, brisk, from, over, patient, to,
};

#[test]
fn an_interface_down_for_long_is_one_down_and_comes_back() {
    let Some(cable) = Cable::lay("down") else {
        return;
    };
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let pairs = [(LEFT_V4, RIGHT_V4), (LEFT_V6, RIGHT_V6)].map(|(l, r)| {
        (
            left.engine.add(to(r), brisk()).unwrap(),
            right.engine.add(to(l), brisk()).unwrap(),
        )
    });
    for (l, r) in pairs {
        left.wait_settled(l);
        right.wait_settled(r);
    }
    cable.left.ip("link set eth0 down");
    for (l, r) in pairs {
        for change in [
            left.wait_for(l, State::Down),
            right.wait_for(r, State::Down),
        ] {
            let silence = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
            assert_eq!(change.local_diag, silence);
        }
    }
    thread::sleep(Duration::from_secs(1));
    cable.left.ip("link set eth0 up");
    for (l, r) in pairs {
        left.wait_settled(l);
        right.wait_settled(r);
        left.assert_downs(l, 1);
        right.assert_downs(r, 1);
        let errors = left.status(l).counters.transmit_errors;
        assert!(errors > 0, "what could not be sent is counted");
    }
}

#[test]
fn an_interface_down_for_less_than_the_detection_time_is_no_down() {
    let Some(cable) = Cable::lay("blink") else {
        return;
    };
    let (left, l) = Host::with(&cable.left, to(RIGHT_V4), patient());
    let (right, r) = Host::with(&cable.right, to(LEFT_V4), patient());
    left.wait_settled(l);
    right.wait_settled(r);
    for _ in 0..3 {
        cable.left.ip("link set eth0 down");
        thread::sleep(Duration::from_millis(200));
        cable.left.ip("link set eth0 up");
        thread::sleep(Duration::from_millis(400));
    }
    left.assert_downs(l, 0);
    right.assert_downs(r, 0);
}

/// The device goes with all it had, and another of its name comes.
fn outlives_its_interface(
    label: &str,
    key: SessionKey,
    neighbor: SessionKey,
    config: &SessionConfig,
) {
    let Some(cable) = Cable::lay(label) else {
        return;
    };
    let (left, l) = Host::with(&cable.left, key, config.clone());
    let (right, r) = Host::with(&cable.right, neighbor, brisk());
    left.wait_settled(l);
    right.wait_settled(r);
    cable.left.ip("link del eth0");
    left.wait_for(l, State::Down);
    right.wait_for(r, State::Down);
    // Takes the place of the former index.
    cable.left.ip("link add other0 type bridge");
    cable.right.ip("link add other0 type bridge");
    thread::sleep(Duration::from_secs(1));
    cable.plug("eth0");
    left.wait_settled(l);
    right.wait_settled(r);
    left.assert_downs(l, 1);
    right.assert_downs(r, 1);
}

#[test]
fn a_session_of_an_interface_follows_it_to_another_index() {
    let (key, neighbor) = (over("eth0", RIGHT_V4), over("eth0", LEFT_V4));
    outlives_its_interface("anew4", key, neighbor, &brisk());
}

#[test]
fn c_158_a_link_local_session_follows_its_interface_to_another_index() {
    let (key, neighbor) = (over("eth0", "fe80::2"), over("eth0", "fe80::1"));
    outlives_its_interface("anewll", key, neighbor, &brisk());
}

/// Nobody sends, so nobody meets an error that would tell of the new index.
#[test]
fn a_passive_session_follows_its_interface_to_another_index() {
    let (key, neighbor) = (over("eth0", "fe80::2"), over("eth0", "fe80::1"));
    let passive = SessionConfig {
        passive: true,
        ..brisk()
    };
    outlives_its_interface("anewpass", key, neighbor, &passive);
}

/// E 5: the session's address is left to routing, and routing changes its mind.
#[test]
fn another_source_address_is_no_down() {
    let Some(cable) = Cable::lay("renumber") else {
        return;
    };
    // Where the neighbor sends; it stays.
    cable.left.add_address("eth0", "10.99.0.5/32");
    let (left, l) = Host::with(&cable.left, to(RIGHT_V4), patient());
    let (right, r) = Host::with(&cable.right, to("10.99.0.5"), patient());
    left.wait_settled(l);
    right.wait_settled(r);
    cable.left.add_address("eth0", "10.99.0.3/24");
    cable
        .left
        .sysctl("net/ipv4/conf/eth0/promote_secondaries", "1");
    cable.left.ip("addr del 10.99.0.1/24 dev eth0");
    let before = right.status(r).counters.packets_in;
    right.wait_until(r, "packets from the other address", |status| {
        status.counters.packets_in > before + 60
    });
    left.assert_downs(l, 0);
    right.assert_downs(r, 0);
}

#[test]
fn a_local_address_that_goes_and_comes_is_one_down() {
    for (label, l, r, prefix) in [
        ("local4", LEFT_V4, RIGHT_V4, 24),
        ("local6", LEFT_V6, RIGHT_V6, 64),
    ] {
        let Some(cable) = Cable::lay(label) else {
            return;
        };
        let (left, ours) = Host::with(&cable.left, from(l, r), brisk());
        let (right, theirs) = Host::with(&cable.right, from(r, l), brisk());
        left.wait_settled(ours);
        right.wait_settled(theirs);
        cable.left.ip(&format!("addr del {l}/{prefix} dev eth0"));
        left.wait_for(ours, State::Down);
        right.wait_for(theirs, State::Down);
        thread::sleep(Duration::from_secs(1));
        cable.left.add_address("eth0", &format!("{l}/{prefix}"));
        left.wait_settled(ours);
        right.wait_settled(theirs);
        left.assert_downs(ours, 1);
        right.assert_downs(theirs, 1);
    }
}

/// E 6: fe80::2 is somebody else on every link.
#[test]
fn one_address_on_several_links_is_several_sessions() {
    let Some(cable) = Cable::lay("several") else {
        return;
    };
    cable.plug("eth1");
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let pairs = ["eth0", "eth1"].map(|device| {
        (
            left.engine.add(over(device, "fe80::2"), brisk()).unwrap(),
            right.engine.add(over(device, "fe80::1"), brisk()).unwrap(),
        )
    });
    for (l, r) in pairs {
        left.wait_settled(l);
        right.wait_settled(r);
    }
    cable.left.ip("link set eth1 down");
    left.wait_for(pairs[1].0, State::Down);
    right.wait_for(pairs[1].1, State::Down);
    left.assert_downs(pairs[0].0, 0);
    right.assert_downs(pairs[0].1, 0);
    cable.left.ip("link set eth1 up");
    // The kernel keeps no link-local address over that.
    cable.left.add_address("eth1", "fe80::1/64");
    left.wait_settled(pairs[1].0);
    left.assert_downs(pairs[0].0, 0);
}
