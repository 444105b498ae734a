//! Demand mode of the local system, and verification of the path (RFC 5880 §6.6, §6.8.4, §6.8.7, §6.8.14).

use super::*;

fn demanding() -> SessionConfig {
    SessionConfig {
        demand_mode: true,
        ..SessionConfig::default()
    }
}

/// A session in demand mode, which the remote system knows.
fn rig_in_demand_mode() -> Rig {
    let rig = Rig::with_config_in_state(demanding(), State::Up);
    assert!(rig.status().demand_mode);
    assert!(!rig.status().polling);
    rig
}

fn answer(rig: &mut Rig) {
    rig.hear(&with(State::Up, PollFinal::Final));
}

#[test]
fn c_151_d_only_when_configured_and_both_are_up() {
    let mut rig = Rig::with_config(demanding());
    assert!(!rig.sent()[0].demand);
    assert!(!rig.hear(&heard(State::Down))[0].demand);
    let sent = rig.hear(&heard(State::Init));
    assert_eq!((sent[0].state, sent[0].demand), (State::Up, false));
    let sent = rig.hear(&heard(State::Up));
    assert_eq!(sent.len(), 1, "told at once");
    assert!(sent[0].demand);
    assert_eq!(sent[0].poll_final, PollFinal::Poll);
    // The remote system falls back, or asks for no packets at all: it could not be polled then.
    assert!(!rig.hear(&heard(State::Init))[0].demand);
    assert!(rig.hear(&heard(State::Up))[0].demand);
    let silent = ControlPacket {
        required_min_rx_interval: Micros::ZERO,
        ..heard(State::Up)
    };
    assert!(!rig.hear(&silent)[0].demand);
    assert!(rig.hear(&heard(State::Up))[0].demand);
    assert!(!rig.hear(&heard(State::Down))[0].demand);
}

#[test]
fn c_139_silence_means_nothing_in_demand_mode() {
    let mut rig = rig_in_demand_mode();
    let sent = rig.pass(SECOND * 3600);
    assert_eq!(rig.session.state(), State::Up);
    assert!(
        sent.len() > 3600 * 3,
        "the remote system has not asked for silence"
    );
    assert!(
        sent.iter()
            .all(|(_, packet)| packet.poll_final == PollFinal::Neither)
    );
    assert_eq!(rig.status().remote_discr, Some(discr(REMOTE)));
}

#[test]
fn c_139_an_unanswered_poll_takes_the_session_down_by_our_own_interval() {
    let mut rig = Rig::with_config_in_state(
        SessionConfig {
            detect_mult: mult(4),
            ..demanding()
        },
        State::Up,
    );
    rig.hear(&ControlPacket {
        detect_mult: mult(50),
        desired_min_tx_interval: Micros::from_millis(5000),
        required_min_rx_interval: Micros::from_millis(400),
        ..heard(State::Up)
    });
    assert_eq!(rig.session.detection_time(), Some(millis(4 * 400)));
    rig.pass(SECOND * 20);
    rig.session.poll(rig.now);
    assert_eq!(rig.sent(), [], "it rides on what is sent anyway (§6.5)");
    let sent = rig.run_until_sent();
    assert_eq!(sent[0].poll_final, PollFinal::Poll);
    let initiated = rig.now;
    rig.pass(millis(1600) - Duration::from_nanos(1));
    assert_eq!(rig.session.state(), State::Up);
    rig.pass(Duration::from_nanos(1));
    let change = rig.change();
    assert_eq!(
        (change.to, change.at),
        (State::Down, initiated + millis(1600))
    );
    assert_eq!(
        change.local_diag,
        Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
    );
}

#[test]
fn c_139_only_a_final_answers_a_poll() {
    let mut rig = rig_in_demand_mode();
    rig.session.poll(rig.now);
    rig.run_until_sent();
    let deadline = rig.now + millis(900);
    while rig.now + millis(100) < deadline {
        rig.pass(millis(100));
        rig.hear(&heard(State::Up));
    }
    rig.pass(deadline - rig.now);
    assert_eq!(rig.change().to, State::Down);
    assert_eq!(
        rig.status().remote_discr,
        Some(discr(REMOTE)),
        "it is heard all the same"
    );
    rig.pass(SECOND);
    assert_eq!(rig.status().remote_discr, None);
}

#[test]
fn c_139_polls_are_repeated_and_answered_ones_end() {
    let mut rig = rig_in_demand_mode();
    for _ in 0..20 {
        rig.session.poll(rig.now);
        let first = rig.run_until_sent();
        let second = rig.run_until_sent();
        assert_eq!(first[0].poll_final, PollFinal::Poll);
        assert_eq!(second[0].poll_final, PollFinal::Poll);
        answer(&mut rig);
        assert!(!rig.status().polling);
        rig.pass(SECOND * 10);
    }
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn c_139_the_path_is_verified_at_the_configured_interval() {
    let mut rig = Rig::with_config_in_state(
        SessionConfig {
            demand_poll_interval: Some(SECOND * 10),
            ..demanding()
        },
        State::Up,
    );
    for _ in 0..10 {
        let ended = rig.now;
        while rig.run_until_sent()[0].poll_final != PollFinal::Poll {}
        let waited = rig.now - ended;
        assert!(
            (SECOND * 7 + millis(500)..=SECOND * 10 + millis(300)).contains(&waited),
            "{waited:?}"
        );
        answer(&mut rig);
    }
    // A shorter interval counts at once.
    rig.configure(SessionConfig {
        demand_poll_interval: Some(SECOND),
        ..demanding()
    });
    rig.run_until_sent();
    let polled = rig.pass(SECOND * 2);
    assert!(
        polled
            .iter()
            .any(|(_, packet)| packet.poll_final == PollFinal::Poll)
    );
}

#[test]
fn demand_mode_comes_and_goes_without_a_flap() {
    let mut rig = Rig::in_state(State::Up);
    for _ in 0..5 {
        let sent = rig.configure(demanding());
        assert_eq!(sent.len(), 1, "told at once");
        assert!(sent[0].demand);
        assert_eq!(sent[0].poll_final, PollFinal::Poll, "§6.6");
        answer(&mut rig);
        rig.pass(SECOND * 100);

        // The remote system learns of the end late: the first two packets are lost.
        let sent = rig.configure(SessionConfig::default());
        assert!(!sent[0].demand);
        assert_eq!(sent[0].poll_final, PollFinal::Poll);
        rig.run_until_sent();
        assert_eq!(rig.session.state(), State::Up);
        answer(&mut rig);
        assert_eq!(rig.session.detection_time(), Some(millis(900)));
        let deadline = rig.now + millis(900);
        assert_eq!(rig.session.detection_deadline(), Some(deadline));
        rig.pass(millis(300));
        rig.hear(&heard(State::Up));
    }
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn the_end_of_demand_mode_is_no_way_to_live_on_a_dead_path() {
    let mut rig = rig_in_demand_mode();
    rig.pass(SECOND * 100);
    rig.configure(SessionConfig::default());
    rig.pass(millis(900));
    assert_eq!(rig.change().to, State::Down);
}

#[test]
fn f_86_both_sides_in_demand_mode_are_silent_and_verify_when_they_please() {
    let both = |poll_final| ControlPacket {
        demand: true,
        ..with(State::Up, poll_final)
    };
    let mut rig = rig_in_demand_mode();
    rig.hear(&both(PollFinal::Neither));
    assert_eq!(rig.pass(SECOND * 3600), []);
    assert_eq!(rig.session.poll_timeout(), None, "and cost nothing");
    // The remote system verifies the path, and then we do.
    assert_eq!(
        rig.hear(&both(PollFinal::Poll))[0].poll_final,
        PollFinal::Final
    );
    rig.pass(SECOND);
    rig.session.poll(rig.now);
    let sent = rig.pass(Duration::ZERO);
    assert_eq!(
        sent[0].1.poll_final,
        PollFinal::Poll,
        "at once: nothing else was due"
    );
    let repeated = rig.pass(millis(700));
    assert!(repeated.len() >= 2);
    rig.hear(&both(PollFinal::Final));
    assert_eq!(rig.pass(SECOND * 3600), []);
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn in_demand_mode_of_either_each_change_is_acknowledged() {
    let faster = |config: SessionConfig| SessionConfig {
        detect_mult: mult(9),
        ..config
    };
    let mut rig = rig_in_demand_mode();
    let sent = rig.configure(faster(demanding()));
    assert_eq!(sent[0].poll_final, PollFinal::Poll, "§6.6");
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        demand: true,
        ..heard(State::Up)
    });
    let sent = rig.configure(faster(SessionConfig::default()));
    assert_eq!((sent.len(), sent[0].poll_final), (1, PollFinal::Poll));
    assert!(!rig.pass(millis(600)).is_empty(), "until it is answered");
}

#[test]
fn c_145_a_change_told_in_an_answer_is_polled_all_the_same() {
    let both = |poll_final| ControlPacket {
        demand: true,
        ..with(State::Up, poll_final)
    };
    let mut rig = rig_in_demand_mode();
    rig.hear(&both(PollFinal::Neither));
    rig.pass(SECOND * 10);
    let poll = both(PollFinal::Poll);
    rig.session.handle_packet(rig.now, &poll).unwrap();
    let sent = rig.configure(SessionConfig {
        detect_mult: mult(9),
        ..demanding()
    });
    assert_eq!(sent[0].poll_final, PollFinal::Final);
    assert_eq!(sent[0].detect_mult, mult(9));
    let polls = rig.pass(SECOND);
    assert!(!polls.is_empty(), "§6.6: the change is to be acknowledged");
    assert_eq!(polls[0].1.poll_final, PollFinal::Poll);
}

#[test]
fn gaps_are_not_measured_while_silence_is_asked_for() {
    let mut rig = rig_in_demand_mode();
    let before = rig.status().counters;
    rig.pass(SECOND * 100);
    rig.hear(&heard(State::Up));
    let after = rig.status().counters;
    assert_eq!(after.receive_gaps, before.receive_gaps);
    assert_eq!(after.detection_margin, before.detection_margin);
}

#[test]
fn a_poll_verifies_the_path_in_asynchronous_mode_too() {
    let mut rig = Rig::in_state(State::Up);
    rig.session.poll(rig.now);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.run_until_sent()[0].poll_final, PollFinal::Poll);
    answer(&mut rig);
    assert!(!rig.status().polling);
    for state in [State::AdminDown, State::Down, State::Init] {
        let mut rig = Rig::in_state(state);
        rig.session.poll(rig.now);
        assert!(!rig.status().polling, "{state}");
    }
}

#[test]
fn c_139_a_poll_has_the_patience_that_it_began_with() {
    let mut rig = rig_in_demand_mode();
    let slow = ControlPacket {
        required_min_rx_interval: Micros::from_millis(1000),
        ..heard(State::Up)
    };
    rig.hear(&slow);
    rig.session.poll(rig.now);
    rig.run_until_sent();
    let initiated = rig.now;
    rig.pass(millis(1500));
    rig.hear(&heard(State::Up));
    assert_eq!(rig.session.detection_time(), Some(millis(900)));
    rig.pass(millis(1499));
    assert_eq!(rig.session.state(), State::Up, "its polls were slow so far");
    rig.pass(millis(1));
    assert_eq!(rig.change().at, initiated + SECOND * 3);
    // More polls for a slower pace.
    let mut rig = rig_in_demand_mode();
    rig.session.poll(rig.now);
    rig.run_until_sent();
    rig.hear(&slow);
    rig.pass(millis(2999));
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn c_139_polls_from_before_demand_mode_are_not_held_against_it() {
    let mut rig = Rig::in_state(State::Up);
    rig.configure(config(400, 300));
    for _ in 0..20 {
        rig.run_until_sent();
        rig.hear(&heard(State::Up));
    }
    assert!(rig.status().polling, "the answers get lost");
    let begun = rig.now;
    rig.configure(SessionConfig {
        demand_mode: true,
        ..config(400, 300)
    });
    rig.pass(rig.session.detection_time().unwrap());
    assert_eq!(rig.change().at, begun + millis(900));
}

/// A session that has been in demand mode and without packets for long.
fn long_silent_rig(config: SessionConfig) -> Rig {
    let mut rig = Rig::with_config_in_state(config, State::Up);
    rig.pass(SECOND * 100);
    rig
}

/// For a Detection Time from here on the remote system is told, as itself; and is then forgotten.
fn assert_is_told_for_a_detection_time(rig: &mut Rig, state: State) {
    let sent = rig.pass(millis(899));
    assert_eq!(rig.session.state(), state);
    for (_, packet) in &sent {
        assert_eq!(packet.state, state);
        assert_eq!(packet.your_discriminator, Some(discr(REMOTE)));
    }
    assert_eq!(rig.status().remote_discr, Some(discr(REMOTE)));
    rig.pass(millis(1));
    assert_eq!(rig.status().remote_discr, None);
}

#[test]
fn c_148_who_was_asked_for_silence_is_told_of_the_end_of_it_all_the_same() {
    for passive in [false, true] {
        let mut rig = long_silent_rig(SessionConfig {
            passive,
            ..demanding()
        });
        rig.session.disable(rig.now);
        assert_eq!(rig.session.farewell_time(), millis(3000));
        assert_is_told_for_a_detection_time(&mut rig, State::AdminDown);
        let mut rig = long_silent_rig(SessionConfig {
            passive,
            ..demanding()
        });
        let diagnostic = Diagnostic::FORWARDING_PLANE_RESET;
        rig.session.take_down(rig.now, diagnostic);
        assert_is_told_for_a_detection_time(&mut rig, State::Down);
    }
}

#[test]
fn c_141_the_silence_of_demand_mode_does_not_count_when_echo_fails() {
    let mut rig = Rig::with_config_in_state(
        SessionConfig {
            echo: Some(EchoConfig::both_ways(Micros::from_millis(50))),
            ..demanding()
        },
        State::Up,
    );
    rig.hear(&ControlPacket {
        required_min_echo_rx_interval: Micros::from_millis(50),
        ..heard(State::Up)
    });
    let cut_at = rig.now + SECOND * 5;
    while rig.session.state() == State::Up {
        while let Some(echo) = rig.session.poll_echo_transmit(rig.now) {
            if rig.now < cut_at {
                rig.session.handle_echo(rig.now, &echo).unwrap();
            }
        }
        rig.sent();
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now);
    }
    assert_eq!(rig.change().local_diag, Diagnostic::ECHO_FUNCTION_FAILED);
    assert_is_told_for_a_detection_time(&mut rig, State::Down);
}

#[test]
fn c_141_who_left_a_poll_unanswered_and_says_nothing_is_forgotten_at_once() {
    let mut rig = long_silent_rig(demanding());
    rig.session.poll(rig.now);
    while rig.session.state() == State::Up {
        rig.run_until_sent();
    }
    assert_eq!(rig.status().remote_discr, None);
}
