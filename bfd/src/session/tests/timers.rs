//! Transmission, detection, Poll Sequences and administrative control (RFC 5880 §6.8.2 to §6.8.4, §6.8.7, §6.8.16).

use super::*;

#[test]
fn c_134_the_slower_of_both_sets_the_pace() {
    let rig = Rig::new();
    assert_eq!(rig.status().remote_min_rx_interval, Micros::new(1));
    assert_eq!(rig.session.tx_interval(), Some(SECOND));
    let mut rig = Rig::in_state(State::Up);
    for (remote, agreed) in [(100, 300), (300, 300), (700, 700)] {
        rig.hear(&ControlPacket {
            required_min_rx_interval: Micros::from_millis(remote),
            ..heard(State::Up)
        });
        assert_eq!(rig.session.tx_interval(), Some(millis(agreed)));
    }
}

#[test]
fn c_134_f_73_zero_required_min_rx_stops_periodic_packets() {
    let mut rig = Rig::in_state(State::Up);
    for _ in 0..20 {
        rig.hear(&ControlPacket {
            required_min_rx_interval: Micros::ZERO,
            ..heard(State::Up)
        });
        assert_eq!(rig.pass(millis(800)), []);
    }
    assert_eq!(rig.session.state(), State::Up);
    rig.hear(&heard(State::Up));
    assert!(!rig.pass(millis(400)).is_empty(), "and they come back");
}

#[test]
fn c_135_every_interval_is_jittered() {
    let mut rig = Rig::in_state(State::Up);
    let gaps = rig.gaps(2000);
    assert!(
        gaps.iter()
            .all(|gap| (millis(225)..=millis(300)).contains(gap))
    );
    let mean = gaps.iter().sum::<Duration>() / 2000;
    assert!((millis(260)..=millis(265)).contains(&mean), "{mean:?}");
    assert!(gaps.iter().any(|gap| *gap < millis(230)));
    assert!(gaps.iter().any(|gap| *gap > millis(295)));
}

#[test]
fn c_135_a_multiplier_of_one_leaves_a_tenth_of_room() {
    let config = SessionConfig {
        detect_mult: mult(1),
        ..SessionConfig::default()
    };
    let mut rig = Rig::with_config_in_state(config, State::Up);
    let gaps = rig.gaps(2000);
    assert!(
        gaps.iter()
            .all(|gap| (millis(225)..=millis(270)).contains(gap))
    );
    assert!(gaps.iter().any(|gap| *gap > millis(265)));
}

#[test]
fn c_136_a_late_loop_sends_one_packet_not_those_it_missed() {
    let mut rig = Rig::in_state(State::Up);
    rig.run_until_sent();
    rig.now += millis(850);
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.sent().len(), 1);
    let next = rig.session.transmission.next_at.unwrap();
    assert!(
        next >= rig.now + millis(225),
        "counted from the actual send"
    );
    assert_eq!(rig.status().counters.late_timers, 1);
}

#[test]
fn c_136_a_timer_is_late_beyond_half_an_interval() {
    for (late_by, late_timers) in [(millis(150), 0), (millis(151), 1)] {
        let mut rig = Rig::in_state(State::Up);
        rig.run_until_sent();
        rig.hear(&heard(State::Up));
        rig.now = rig.session.transmission.next_at.unwrap() + late_by;
        rig.session.handle_timeout(rig.now);
        assert_eq!(rig.status().counters.late_timers, late_timers);
    }
}

#[test]
fn f_87_a_long_stop_is_one_down_and_no_storm() {
    let mut rig = Rig::in_state(State::Up);
    rig.now += Duration::from_secs(10);
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.sent().len(), 1);
    assert_eq!(rig.change().to, State::Down);
    assert!(rig.pass(SECOND * 60).len() <= 81);
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn c_137_not_up_means_one_second_and_up_switches_with_a_poll() {
    for state in [State::AdminDown, State::Down, State::Init] {
        let mut rig = Rig::with_config(config(50, 50));
        let first = rig.sent();
        assert_eq!(first.len(), 1, "the first packet does not wait");
        assert_eq!(first[0].desired_min_tx_interval, Micros::ONE_SECOND);
        if state == State::Init {
            rig.hear(&heard(State::Down));
        } else if state == State::AdminDown {
            rig.session.disable(rig.now);
            rig.sent();
        }
        let sent = rig.pass(millis(2900));
        assert!((2..=4).contains(&sent.len()), "{state}: {}", sent.len());
        for (_, packet) in sent {
            assert!(packet.desired_min_tx_interval >= Micros::ONE_SECOND);
        }
    }
    let mut rig = Rig::with_config(config(50, 50));
    rig.sent();
    rig.hear(&heard(State::Down));
    let sent = rig.hear(&heard(State::Init));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].state, State::Up);
    assert_eq!(sent[0].desired_min_tx_interval, Micros::from_millis(50));
    assert_eq!(sent[0].poll_final, PollFinal::Poll);
    assert_eq!(
        rig.session.tx_interval(),
        Some(millis(300)),
        "as the remote system asks"
    );
}

#[test]
fn c_137_intervals_above_a_second_are_kept() {
    let rig = Rig::with_config(config(2000, 2000));
    assert_eq!(rig.session.tx_interval(), Some(SECOND * 2));
}

#[test]
fn c_138_detection_time_has_the_remote_multiplier_and_the_slower_interval() {
    let mut rig = Rig::in_state(State::Up);
    for (remote_mult, remote_tx, expected) in [
        (3, 300, millis(900)),
        (5, 100, millis(1500)),
        (2, 1000, millis(2000)),
        (1, 300, millis(300)),
    ] {
        rig.hear(&ControlPacket {
            detect_mult: mult(remote_mult),
            desired_min_tx_interval: Micros::from_millis(remote_tx),
            ..heard(State::Up)
        });
        assert_eq!(rig.session.detection_time(), Some(expected));
    }
}

#[test]
fn c_138_f_72_the_largest_values_do_not_overflow() {
    let largest = Micros::new(u32::MAX);
    let mut rig = Rig::with_config(SessionConfig {
        desired_min_tx_interval: largest,
        required_min_rx_interval: largest,
        detect_mult: mult(255),
        ..SessionConfig::default()
    });
    rig.sent();
    rig.hear(&ControlPacket {
        detect_mult: mult(255),
        desired_min_tx_interval: largest,
        required_min_rx_interval: largest,
        ..heard(State::Down)
    });
    let expected = Duration::from_micros(255 * u64::from(u32::MAX));
    assert_eq!(rig.session.detection_time(), Some(expected));
    assert_eq!(rig.session.farewell_time(), expected);
    assert!(rig.session.poll_timeout().is_some());
}

#[test]
fn f_74_a_zero_desired_min_tx_of_the_remote_leaves_our_own_interval() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        desired_min_tx_interval: Micros::ZERO,
        ..heard(State::Up)
    });
    assert_eq!(rig.session.detection_time(), Some(millis(900)));
}

#[test]
fn f_74_zero_intervals_of_ours_do_not_spin() {
    let mut rig = Rig::with_config_in_state(config(0, 0), State::Up);
    let idle = ControlPacket {
        desired_min_tx_interval: Micros::ZERO,
        required_min_rx_interval: Micros::new(1),
        ..heard(State::Up)
    };
    rig.hear(&idle);
    assert_eq!(rig.session.tx_interval(), Some(millis(1)));
    assert_eq!(rig.session.detection_time(), Some(millis(3)));
}

#[test]
fn c_140_detection_expires_once_in_init_and_up() {
    for state in [State::Init, State::Up] {
        let mut rig = Rig::in_state(state);
        rig.hear(&heard(if state == State::Up {
            State::Up
        } else {
            State::Down
        }));
        let deadline = rig.now + rig.session.detection_time().unwrap();
        rig.pass(deadline - rig.now - Duration::from_nanos(1));
        assert_eq!(rig.session.state(), state, "not before its time");
        let sent = rig.pass(Duration::from_nanos(1));
        let change = rig.change();
        assert_eq!((change.from, change.to), (state, State::Down));
        assert_eq!(
            change.local_diag,
            Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
        );
        assert_eq!(change.at, deadline);
        assert_eq!(change.silence, change.detection_time, "and by how much");
        let (_, packet) = sent.last().unwrap();
        assert_eq!(packet.state, State::Down, "told at once");
        assert_eq!(
            packet.diagnostic,
            Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
        );
        rig.pass(SECOND * 30);
        assert_eq!(rig.session.poll_event(), None);
    }
}

#[test]
fn c_140_silence_is_not_believed_while_packets_wait() {
    let mut rig = Rig::in_state(State::Up);
    rig.now += SECOND * 2;
    rig.session.handle_transmit_timeout(rig.now);
    assert_eq!(rig.sent().len(), 1);
    rig.hear(&heard(State::Up));
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.session.state(), State::Up);
    let margin = rig.status().counters.detection_margin.unwrap();
    assert_eq!((margin.left(), margin.percent_left()), (Duration::ZERO, 0));
}

#[test]
fn c_141_the_remote_discriminator_is_kept_for_a_detection_time() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.hear(&heard(State::Down));
    assert_eq!(
        sent[0].your_discriminator,
        Some(discr(REMOTE)),
        "kept when signaled down"
    );
    let detection_time = rig.session.detection_time().unwrap();
    rig.pass(detection_time - Duration::from_nanos(1));
    assert_eq!(rig.status().remote_discr, Some(discr(REMOTE)));
    rig.pass(Duration::from_nanos(1));
    assert_eq!(rig.status().remote_discr, None);
    assert_eq!(rig.run_until_sent()[0].your_discriminator, None);
}

#[test]
fn c_141_a_request_for_silence_does_not_outlive_its_sender() {
    let mut rig = Rig::in_state(State::Down);
    rig.hear(&ControlPacket {
        required_min_rx_interval: Micros::ZERO,
        demand: true,
        ..heard(State::AdminDown)
    });
    assert_eq!(rig.session.tx_interval(), None);
    rig.pass(SECOND * 5);
    assert_eq!(rig.session.tx_interval(), Some(SECOND));
    assert!(!rig.status().remote_demand_mode);
}

#[test]
fn c_143_raised_desired_min_tx_waits_for_the_final() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.configure(config(800, 300));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].desired_min_tx_interval, Micros::from_millis(800));
    assert_eq!(sent[0].poll_final, PollFinal::Poll);
    assert_eq!(rig.session.tx_interval(), Some(millis(300)));
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(rig.session.tx_interval(), Some(millis(800)));
}

#[test]
fn c_143_lowered_required_min_rx_waits_for_the_final() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        desired_min_tx_interval: Micros::from_millis(50),
        ..heard(State::Up)
    });
    let sent = rig.configure(config(300, 100));
    assert_eq!(sent[0].required_min_rx_interval, Micros::from_millis(100));
    assert_eq!(rig.session.detection_time(), Some(millis(900)));
    rig.hear(&ControlPacket {
        desired_min_tx_interval: Micros::from_millis(50),
        ..with(State::Up, PollFinal::Final)
    });
    assert_eq!(rig.session.detection_time(), Some(millis(300)));
}

#[test]
fn c_143_what_waits_counts_at_once_when_the_session_goes_down() {
    // Above a second, being Up or not makes no difference to what is advertised.
    let mut rig = Rig::with_config_in_state(config(2000, 2000), State::Up);
    rig.configure(config(3000, 1000));
    let status = rig.status();
    assert_eq!(
        (
            status.desired_min_tx_interval,
            status.required_min_rx_interval
        ),
        (Micros::from_millis(2000), Micros::from_millis(2000))
    );
    rig.hear(&heard(State::Down));
    let status = rig.status();
    assert_eq!(
        (
            status.desired_min_tx_interval,
            status.required_min_rx_interval
        ),
        (Micros::from_millis(3000), Micros::from_millis(1000))
    );
    assert_eq!(rig.session.tx_interval(), Some(SECOND * 3));
}

#[test]
fn c_143_the_safe_order_holds_in_both_directions_at_once() {
    let mut rig = Rig::in_state(State::Up);
    // Slower to send, quicker to receive; and before that is known, the reverse.
    rig.configure(config(900, 100));
    rig.configure(config(100, 900));
    let status = rig.status();
    assert_eq!(
        (
            status.desired_min_tx_interval,
            status.required_min_rx_interval
        ),
        (Micros::from_millis(100), Micros::from_millis(900)),
        "faster and more patient at once"
    );
    rig.configure(config(900, 100));
    let slow = |rig: &Rig| rig.status().required_min_rx_interval;
    assert_eq!(slow(&rig), Micros::from_millis(900));
    rig.run_until_sent();
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(slow(&rig), Micros::from_millis(900), "an older answer");
    rig.run_until_sent();
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(slow(&rig), Micros::from_millis(100));
    assert_eq!(rig.session.tx_interval(), Some(millis(900)));
}

#[test]
fn c_144_what_makes_us_faster_or_more_patient_applies_at_once() {
    let mut rig = Rig::in_state(State::Up);
    rig.hear(&ControlPacket {
        required_min_rx_interval: Micros::from_millis(10),
        ..heard(State::Up)
    });
    let sent = rig.configure(config(100, 500));
    assert_eq!(sent[0].poll_final, PollFinal::Poll);
    assert_eq!(rig.session.tx_interval(), Some(millis(100)));
    assert_eq!(rig.session.detection_time(), Some(millis(1500)));
}

#[test]
fn c_144_a_new_multiplier_needs_no_poll() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.configure(SessionConfig {
        detect_mult: mult(7),
        ..SessionConfig::default()
    });
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].detect_mult, mult(7));
    assert_eq!(sent[0].poll_final, PollFinal::Neither);
}

#[test]
fn c_145_a_poll_rides_on_scheduled_packets_until_its_final() {
    let mut rig = Rig::in_state(State::Up);
    rig.configure(config(200, 300));
    for _ in 0..10 {
        let before = rig.now;
        rig.hear(&heard(State::Up));
        let sent = rig.run_until_sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].poll_final, PollFinal::Poll);
        assert!(rig.now - before >= millis(225));
    }
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(rig.run_until_sent()[0].poll_final, PollFinal::Neither);
}

#[test]
fn c_145_a_change_during_a_poll_is_polled_again() {
    let mut rig = Rig::in_state(State::Up);
    rig.configure(config(800, 300));
    rig.configure(config(900, 300));
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(
        rig.session.tx_interval(),
        Some(millis(300)),
        "it may answer the first value"
    );
    assert_eq!(rig.run_until_sent()[0].poll_final, PollFinal::Poll);
    rig.hear(&with(State::Up, PollFinal::Final));
    assert_eq!(rig.session.tx_interval(), Some(millis(900)));
}

#[test]
fn c_146_a_change_is_told_at_once_and_once() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.hear(&heard(State::Down));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].state, State::Down);
    assert_eq!(rig.sent(), []);
    rig.configure(SessionConfig::default());
    assert_eq!(rig.sent(), [], "nothing is new");
}

#[test]
fn c_146_an_answer_that_tells_the_change_is_enough() {
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.hear(&with(State::Down, PollFinal::Poll));
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].state, sent[0].poll_final),
        (State::Down, PollFinal::Final)
    );
}

#[test]
fn received_packets_do_not_postpone_ours() {
    let mut rig = Rig::in_state(State::Up);
    rig.run_until_sent();
    let due = rig.session.transmission.next_at.unwrap();
    while rig.now + millis(1) < due {
        rig.now += millis(1);
        rig.hear(&heard(State::Up));
        assert_eq!(rig.session.transmission.next_at, Some(due));
    }
    rig.hear(&ControlPacket {
        required_min_rx_interval: Micros::from_millis(2000),
        ..heard(State::Up)
    });
    assert!(rig.session.transmission.next_at.unwrap() > due);
    rig.now += millis(700);
    rig.hear(&heard(State::Up));
    assert_eq!(
        rig.session.transmission.next_at,
        Some(rig.now),
        "overdue as soon as it may be"
    );
}

#[test]
fn c_147_passive_waits_to_be_spoken_to() {
    let mut rig = Rig::with_config(SessionConfig {
        passive: true,
        ..SessionConfig::default()
    });
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.pass(SECOND * 60), []);
    let sent = rig.hear(&heard(State::Down));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].state, State::Init);
    rig.pass(SECOND * 10);
    assert_eq!(rig.status().remote_discr, None);
    assert_eq!(
        rig.pass(SECOND * 60),
        [],
        "silent again when the other is gone"
    );
    assert!(!SessionConfig::default().passive);
}

#[test]
fn c_148_disable_says_admin_down_with_diagnostic_7() {
    let mut rig = Rig::in_state(State::Up);
    rig.session.disable(rig.now);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].state, State::AdminDown);
    assert_eq!(sent[0].diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert_eq!(rig.change().to, State::AdminDown);
    // The remote system has been told one second, times three.
    assert!(rig.session.farewell_time() >= SECOND * 3);
    assert!(rig.pass(SECOND * 3).len() >= 3);
    rig.session.enable(rig.now);
    assert_eq!(rig.change().to, State::Down);
    rig.session.enable(rig.now);
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn c_149_a_failure_found_elsewhere_takes_the_session_down() {
    for diagnostic in [Diagnostic::FORWARDING_PLANE_RESET, Diagnostic::PATH_DOWN] {
        let mut rig = Rig::in_state(State::Up);
        rig.session.take_down(rig.now, diagnostic);
        let change = rig.change();
        assert_eq!((change.to, change.local_diag), (State::Down, diagnostic));
        let sent = rig.sent();
        assert_eq!((sent.len(), sent[0].diagnostic), (1, diagnostic));
        rig.session.take_down(rig.now, diagnostic);
        assert_eq!(rig.session.poll_event(), None);
        rig.hear(&heard(State::Up));
        assert_eq!(
            rig.session.state(),
            State::Down,
            "until the remote system has noticed"
        );
        rig.hear(&heard(State::Down));
        rig.hear(&heard(State::Init));
        assert_eq!(rig.session.state(), State::Up);
    }
    let mut rig = Rig::in_state(State::AdminDown);
    rig.session.take_down(rig.now, Diagnostic::PATH_DOWN);
    assert_eq!(rig.session.state(), State::AdminDown);
}

#[test]
fn c_151_c_d_and_m_are_clear_unless_configured() {
    let mut rig = Rig::in_state(State::Up);
    for packet in rig.run_until_sent() {
        assert!(!packet.control_plane_independent);
        assert!(!packet.demand);
        assert_eq!(packet.encode()[1] & 1, 0);
    }
}

#[test]
fn c_151_the_c_bit_says_what_is_configured() {
    let config = SessionConfig {
        control_plane_independent: true,
        ..SessionConfig::default()
    };
    for state in [State::AdminDown, State::Down, State::Init, State::Up] {
        let mut rig = Rig::with_config_in_state(config.clone(), state);
        assert!(rig.run_until_sent()[0].control_plane_independent, "{state}");
    }
    let mut rig = Rig::in_state(State::Up);
    let sent = rig.configure(config);
    assert_eq!(sent.len(), 1, "told at once");
    assert!(sent[0].control_plane_independent);
    assert_eq!(sent[0].poll_final, PollFinal::Neither);
}

#[test]
fn f_93_a_clock_that_steps_back_is_held() {
    let mut rig = Rig::in_state(State::Up);
    rig.pass(millis(500));
    rig.session.handle_timeout(rig.now);
    let earlier = rig.now - millis(400);
    let expected = rig.now + millis(900);
    rig.session
        .handle_packet(earlier, &heard(State::Up))
        .unwrap();
    assert_eq!(rig.session.detection_deadline(), Some(expected));
    rig.session.handle_timeout(earlier);
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn an_early_timeout_changes_nothing() {
    let mut rig = Rig::in_state(State::Up);
    rig.run_until_sent();
    let before = (rig.status(), rig.session.poll_timeout());
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.sent(), []);
    assert_eq!((rig.status(), rig.session.poll_timeout()), before);
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let now = Instant::now();
    let run = |seed| {
        let id = SessionId::new(discr(LOCAL));
        let session = Session::new(now, id, SessionConfig::default(), seed);
        Rig { session, now }.pass(SECOND * 30)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
