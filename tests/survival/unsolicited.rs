//! A host that has no session of its own, only a range that others may begin one from (RFC 9468).

use bfd::engine::EngineStatus;
use bfd::{Network, Range, SessionStatus, State};

use super::host::{
    Cable, Host, LEFT_V4, LEFT_V6, PATIENCE, RIGHT_V4, RIGHT_V6, brisk, from, over, to,
};
use super::support::{ensure, wait_until};

fn range(networks: &[(&str, u8)]) -> Range {
    let networks = networks.iter();
    let networks = networks.map(|(ip, length)| Network::new(ip.parse().unwrap(), *length).unwrap());
    Range {
        name: "fabric".into(),
        networks: networks.collect(),
        interface: None,
        port: bfd::SINGLE_HOP_PORT,
        config: brisk(),
        max_sessions: 10,
    }
}

#[track_caller]
fn wait_for(
    host: &Host,
    what: &str,
    reached: impl Fn(&[SessionStatus], &EngineStatus) -> bool,
) -> Vec<SessionStatus> {
    wait_until(what, PATIENCE, || {
        let (sessions, engine) = (host.engine.status(), host.engine.engine_status());
        ensure(reached(&sessions, &engine), || {
            format!("{sessions:#?} {engine:#?}")
        })?;
        Ok(sessions)
    })
}

#[test]
fn c_172_c_178_neighbors_begin_sessions_and_are_told_of_the_end() {
    let Some(cable) = Cable::lay("range") else {
        return;
    };
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    let fabric = range(&[("10.99.0.0", 24), ("2001:db8:99::", 64), ("fe80::", 64)]);
    left.engine.set_ranges(vec![fabric]).unwrap();
    let keys = [to(LEFT_V4), to(LEFT_V6), over("eth0", "fe80::1")];
    let ids = keys.map(|key| right.engine.add(key, brisk()).unwrap());
    for id in ids {
        right.wait_settled(id);
    }
    let sessions = wait_for(&left, "three sessions", |sessions, _| sessions.len() == 3);
    for session in &sessions {
        assert_eq!(session.range.as_deref(), Some("fabric"));
        assert_eq!(session.key.interface.as_deref(), Some("eth0"));
        assert_eq!(session.counters.transmit_errors, 0);
    }
    let remotes = sessions.iter().map(|session| session.key.remote.ip());
    let mut remotes: Vec<_> = remotes.map(|ip| ip.to_string()).collect();
    remotes.sort_unstable();
    assert_eq!(remotes, [RIGHT_V4, RIGHT_V6, "fe80::2"]);

    // Who says AdminDown has no session any more.
    right.engine.remove(ids[0]);
    wait_for(&left, "two sessions", |sessions, _| sessions.len() == 2);
    left.engine.set_ranges(Vec::new()).unwrap();
    for id in &ids[1..] {
        let change = right.wait_for(*id, State::Down);
        assert_eq!(change.remote_state, State::AdminDown);
    }
    wait_for(&left, "no session", |sessions, _| sessions.is_empty());
}

#[test]
fn c_173_a_sender_off_the_link_begins_nothing() {
    let Some(cable) = Cable::lay("offlink") else {
        return;
    };
    cable.right.add_address("eth0", "10.98.0.2/24");
    let (left, right) = (Host::start(&cable.left), Host::start(&cable.right));
    left.engine
        .set_ranges(vec![range(&[("10.0.0.0", 8)])])
        .unwrap();
    right
        .engine
        .add(from("10.98.0.2", LEFT_V4), brisk())
        .unwrap();
    wait_for(&left, "a discard", |_, engine| {
        engine.discards.get("off-link") > 1
    });
    assert_eq!(left.engine.status(), []);
    // A network may come to the link later.
    cable.left.add_address("eth0", "10.98.0.1/24");
    wait_for(&left, "a session that is up", |sessions, _| {
        sessions.iter().any(|it| it.session_state == State::Up)
    });
}
