//! Reception and the state machine (RFC 5880 §6.2, §6.5, §6.8.6).

use super::*;

#[test]
fn state_machine_exhaustively() {
    use State::{AdminDown, Down, Init, Up};
    let table = [
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
    ];
    for (local, received, after) in table {
        let mut rig = Rig::in_state(local);
        rig.session
            .handle_packet(rig.now, &heard(received))
            .unwrap();
        assert_eq!(rig.session.state(), after, "{local} hears {received}");
        let changes = usize::from(local != after);
        let events = std::iter::from_fn(|| rig.session.poll_event()).count();
        assert_eq!(events, changes, "{local} hears {received}");
    }
    for received in [AdminDown, Down, Init, Up] {
        let mut rig = Rig::in_state(AdminDown);
        assert_eq!(rig.refuse(&heard(received)), Discard::AdminDown);
        assert_eq!(rig.session.state(), AdminDown);
    }
}

#[test]
fn c_120_a_rebooted_peer_takes_us_down_at_once() {
    let mut rig = Rig::in_state(State::Up);
    let rebooted = ControlPacket {
        my_discriminator: discr(0x8888),
        your_discriminator: None,
        ..heard(State::Down)
    };
    let sent = rig.hear(&rebooted);
    assert_eq!(
        rig.change().local_diag,
        Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN
    );
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].your_discriminator, Some(discr(0x8888)));
}

#[test]
fn c_121_authenticated_packets_are_discarded_before_anything_is_written() {
    let mut rig = Rig::in_state(State::Up);
    let before = rig.status();
    let authenticated = ControlPacket {
        authentication: AuthenticationSection::new(1, vec![1, 2, 3]),
        my_discriminator: discr(0x9999),
        ..heard(State::Down)
    };
    assert_eq!(
        rig.refuse(&authenticated),
        Discard::UnexpectedAuthentication
    );
    let mut after = rig.status();
    assert_eq!(after.counters.discarded.get("unexpected-authentication"), 1);
    after.counters = before.counters.clone();
    assert_eq!(after, before);
}

#[test]
fn c_122_the_remote_variables_are_stored() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        diagnostic: Diagnostic::new(30).unwrap(),
        demand: true,
        detect_mult: mult(9),
        my_discriminator: discr(0x4242),
        desired_min_tx_interval: Micros::new(1234),
        required_min_rx_interval: Micros::new(5678),
        ..heard(State::Init)
    });
    let status = rig.status();
    assert_eq!(status.remote_discr, Some(discr(0x4242)));
    assert_eq!(status.remote_session_state, State::Init);
    assert_eq!(status.remote_diag.code(), 30);
    assert!(status.remote_demand_mode);
    assert_eq!(status.remote_detect_mult, Some(mult(9)));
    assert_eq!(status.remote_desired_min_tx_interval, Micros::new(1234));
    assert_eq!(status.remote_min_rx_interval, Micros::new(5678));
}

#[test]
fn c_123_a_final_ends_a_poll_and_is_ignored_without_one() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&with(State::Up, PollFinal::Final));
    assert!(!rig.status().polling);
    rig.configure(config(200, 300));
    assert!(rig.status().polling);
    rig.hear(&with(State::Up, PollFinal::Final));
    assert!(!rig.status().polling);
}

#[test]
fn c_124_intervals_follow_every_packet() {
    let mut rig = Rig::in_state(State::Up);
    for interval in [100, 2000, 300] {
        rig.hear(&ControlPacket {
            desired_min_tx_interval: Micros::from_millis(interval),
            required_min_rx_interval: Micros::from_millis(interval),
            ..heard(State::Up)
        });
        let agreed = millis(u64::from(interval).max(300));
        assert_eq!(rig.session.detection_time(), Some(agreed * 3));
        assert_eq!(rig.session.tx_interval(), Some(agreed));
    }
}

#[test]
fn c_125_admin_down_answers_no_poll() {
    let mut rig = Rig::in_state(State::AdminDown);
    assert_eq!(
        rig.refuse(&with(State::Up, PollFinal::Poll)),
        Discard::AdminDown
    );
    assert!(
        rig.sent()
            .iter()
            .all(|packet| packet.poll_final != PollFinal::Final)
    );
    assert_eq!(rig.status().counters.discarded.get("admin-down"), 1);
}

#[test]
fn c_126_received_admin_down_is_told_apart_from_a_failure() {
    for state in [State::Init, State::Up] {
        let mut rig = Rig::in_state(state);
        rig.hear(&heard(State::AdminDown));
        let change = rig.change();
        assert_eq!((change.from, change.to), (state, State::Down));
        assert_eq!(
            change.local_diag,
            Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN
        );
        assert_eq!(change.remote_state, State::AdminDown);
    }
    let mut rig = Rig::in_state(State::Down);
    rig.hear(&heard(State::AdminDown));
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn c_129_received_down_while_up_is_diagnostic_3() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        diagnostic: Diagnostic::CONTROL_DETECTION_TIME_EXPIRED,
        ..heard(State::Down)
    });
    let change = rig.change();
    assert_eq!(
        change.local_diag,
        Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN
    );
    assert_eq!(
        change.remote_diag,
        Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
    );
    assert_eq!(change.remote_state, State::Down);
}

#[test]
fn c_130_demand_mode_of_the_remote_is_honoured() {
    let demanding = ControlPacket {
        demand: true,
        ..heard(State::Up)
    };
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&demanding);
    assert_eq!(rig.session.tx_interval(), None);
    for _ in 0..20 {
        assert_eq!(
            rig.pass(millis(500)),
            [],
            "not even what had been scheduled"
        );
        rig.hear(&demanding);
    }
    // A Poll Sequence runs all the same, and packets come periodically until it ends.
    rig.configure(config(250, 300));
    assert_eq!(rig.session.tx_interval(), Some(millis(300)));
    assert!(!rig.pass(millis(600)).is_empty());
    rig.hear(&ControlPacket {
        poll_final: PollFinal::Final,
        ..demanding.clone()
    });
    assert_eq!(rig.session.tx_interval(), None);
    // And whenever one of the two is not Up.
    rig.hear(&ControlPacket {
        demand: true,
        ..heard(State::Init)
    });
    assert_eq!(rig.session.tx_interval(), Some(millis(300)));
}

#[test]
fn c_131_a_poll_is_answered_at_once_whatever_else() {
    let demanding_silence = ControlPacket {
        demand: true,
        required_min_rx_interval: Micros::ZERO,
        ..with(State::Up, PollFinal::Poll)
    };
    let mut rig = Rig::in_state(State::Up);
    for packet in [with(State::Up, PollFinal::Poll), demanding_silence] {
        for _ in 0..3 {
            let sent = rig.hear(&packet);
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0].poll_final, PollFinal::Final);
        }
    }
    for state in [State::Down, State::Init] {
        let mut rig = Rig::in_state(state);
        let sent = rig.hear(&with(State::AdminDown, PollFinal::Poll));
        assert_eq!(sent[0].poll_final, PollFinal::Final, "in state {state}");
    }
}

#[test]
fn c_131_answers_leave_the_transmit_timer_alone() {
    let mut rig = Rig::in_state(State::Up);
    rig.run_until_sent();
    let due = rig.session.transmission.next_at;
    rig.now += millis(10);
    rig.hear(&with(State::Up, PollFinal::Poll));
    assert_eq!(rig.session.transmission.next_at, due);
}

#[test]
fn c_132_only_packets_that_are_accepted_postpone_detection() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&heard(State::Up));
    let deadline = rig.session.detection_deadline();
    rig.now += millis(100);
    rig.refuse(&ControlPacket {
        authentication: AuthenticationSection::new(5, vec![]),
        ..heard(State::Up)
    });
    assert_eq!(rig.session.detection_deadline(), deadline);
    rig.hear(&heard(State::Up));
    assert_eq!(
        rig.session.detection_deadline(),
        deadline.map(|at| at + millis(100))
    );
}

#[test]
fn c_132_poll_and_final_are_never_sent_together() {
    // One field holds both bits; what is left to check is that a poll under way does not swallow an answer, or the reverse.
    let mut rig = Rig::in_state(State::Up);
    rig.session.set_config(rig.now, config(200, 200));
    let sent = rig.hear(&with(State::Up, PollFinal::Poll));
    assert_eq!(sent.len(), 1, "the answer has told what is new");
    assert_eq!(sent[0].poll_final, PollFinal::Final);
    assert_eq!(rig.run_until_sent()[0].poll_final, PollFinal::Poll);
}

#[test]
fn c_152_f_80_no_echo_is_offered_and_none_is_minded() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.hear(&ControlPacket {
        required_min_echo_rx_interval: Micros::from_millis(50),
        ..with(State::Up, PollFinal::Poll)
    });
    assert_eq!(sent[0].required_min_echo_rx_interval, Micros::ZERO);
}

#[test]
fn c_166_generations_number_the_up_periods() {
    let mut rig = Rig::new();
    rig.hear(&heard(State::Down));
    assert_eq!(rig.change().generation, 0);
    for generation in 1..4 {
        rig.hear(&heard(State::Init));
        assert_eq!(rig.change().generation, generation);
        rig.hear(&heard(State::Down));
        assert_eq!(rig.change().generation, generation);
    }
    let counters = rig.status().counters;
    assert_eq!((counters.ups, counters.downs), (3, 3));
}

#[test]
fn f_84_a_peer_restarted_with_its_old_discriminator_comes_back() {
    let mut rig = Rig::in_state(State::Up);
    let fresh = ControlPacket {
        your_discriminator: None,
        ..heard(State::Down)
    };
    rig.hear(&fresh);
    assert_eq!(rig.session.state(), State::Down);
    rig.hear(&fresh);
    assert_eq!(rig.session.state(), State::Init);
    rig.hear(&heard(State::Up));
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn gaps_between_packets_are_measured_while_up() {
    let mut rig = Rig::in_state(State::Up);
    let up_at = rig.now;
    let before = rig.status().counters.receive_gaps.total();
    for gap in [250, 300, 710, 290] {
        rig.now += millis(gap);
        rig.hear(&heard(State::Up));
    }
    let counters = rig.status().counters;
    assert_eq!(counters.receive_gaps.total() - before, 4);
    let margin = counters.detection_margin.unwrap();
    assert_eq!(margin.gap, millis(710));
    assert_eq!(margin.detection_time, millis(900));
    assert_eq!((margin.left(), margin.percent_left()), (millis(190), 21));
    assert_eq!(margin.at, up_at + millis(1260));
    assert!(margin.since <= up_at);

    // The next Up period begins anew; the histogram goes on.
    rig.now += millis(100);
    rig.hear(&heard(State::Down));
    let counted = rig.status().counters.receive_gaps.total();
    for state in [State::Down, State::Init] {
        rig.now += SECOND * 2;
        rig.session.handle_transmit_timeout(rig.now);
        rig.hear(&heard(state));
    }
    let counters = rig.status().counters;
    assert_eq!(counters.detection_margin, None);
    assert_eq!(counters.receive_gaps.total(), counted, "not while Down");
}

#[test]
fn the_worst_gap_is_the_one_closest_to_its_detection_time() {
    let mut rig = Rig::in_state(State::Up);
    let slow = ControlPacket {
        desired_min_tx_interval: Micros::from_millis(2000),
        ..heard(State::Up)
    };
    rig.hear(&slow);
    rig.now += millis(1500);
    rig.hear(&slow);
    rig.hear(&heard(State::Up));
    rig.now += millis(600);
    rig.hear(&heard(State::Up));
    let margin = rig.status().counters.detection_margin.unwrap();
    assert_eq!(margin.gap, millis(600), "of 900, and not 1500 of 6000");
}
