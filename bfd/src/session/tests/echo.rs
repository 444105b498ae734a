//! The echo function.

use super::*;

const INTERVAL: Duration = Duration::from_millis(50);

fn echoing() -> SessionConfig {
    SessionConfig {
        echo: Some(EchoConfig::both_ways(Micros::from_millis(50))),
        ..SessionConfig::default()
    }
}

/// What the remote system says when it sends echo packets back.
fn allowing(millis: u32) -> ControlPacket {
    ControlPacket {
        required_min_echo_rx_interval: Micros::from_millis(millis),
        ..heard(State::Up)
    }
}

/// A session that is Up and whose remote system sends back every echo packet.
fn active() -> Rig {
    let mut rig = Rig::with_config_in_state(echoing(), State::Up);
    rig.hear(&allowing(50));
    rig
}

impl Rig {
    fn echoes(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.session.poll_echo_transmit(self.now)).collect()
    }

    /// Lets time pass; the remote system goes on saying that it is Up, and sends back the echo packets or does not. Says when
    /// echo packets were sent.
    fn pass_echoing(&mut self, time: Duration, come_back: bool) -> Vec<Instant> {
        let end = self.now + time;
        let mut sent_at = Vec::new();
        loop {
            for packet in self.echoes() {
                sent_at.push(self.now);
                if come_back {
                    self.session.handle_echo(self.now, &packet).unwrap();
                }
            }
            self.sent();
            let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            if self.session.state() == State::Up {
                let min_echo = self.session.remote.min_echo_rx_interval;
                self.hear(&ControlPacket {
                    required_min_echo_rx_interval: min_echo,
                    ..heard(State::Up)
                });
            }
            self.session.handle_timeout(self.now);
        }
        self.now = end;
        sent_at
    }

    fn echo(&self) -> EchoStatus {
        self.status().echo.unwrap()
    }
}

#[test]
fn c_123_echo_stops_at_once_when_the_remote_system_asks_for_none() {
    let mut rig = active();
    assert_eq!(rig.echoes().len(), 1, "the first goes out at once");
    assert_eq!(rig.echo().tx_interval, Some(INTERVAL));
    rig.hear(&heard(State::Up));
    assert_eq!(rig.echo().tx_interval, None);
    assert_eq!(rig.pass_echoing(SECOND, false), []);
    assert_eq!(rig.session.state(), State::Up, "nothing was to come back");
}

#[test]
fn c_149_echo_that_does_not_come_back_is_diagnostic_2() {
    let mut rig = active();
    rig.pass_echoing(SECOND, true);
    assert_eq!(rig.session.state(), State::Up);
    let began = rig.now;
    rig.pass_echoing(SECOND, false);
    let change = rig.change();
    assert_eq!((change.from, change.to), (State::Up, State::Down));
    assert_eq!(change.local_diag, Diagnostic::ECHO_FUNCTION_FAILED);
    let took = change.at - began;
    assert!(took > INTERVAL * 2 && took <= INTERVAL * 3, "{took:?}");
    assert!(rig.echo().packets_lost >= 3);
    assert_eq!(rig.echo().tx_interval, None);
}

#[test]
fn c_149_echo_that_has_never_come_back_fails_too() {
    let mut rig = active();
    let began = rig.now;
    rig.pass_echoing(SECOND, false);
    let change = rig.change();
    assert_eq!(change.local_diag, Diagnostic::ECHO_FUNCTION_FAILED);
    assert_eq!(change.at - began, INTERVAL * 3);
}

#[test]
fn c_140_silence_that_takes_echo_with_it_is_one_down() {
    let mut rig = Rig::with_config_in_state(echoing(), State::Up);
    // Both detection times are 900 ms, and begin here.
    rig.hear(&allowing(300));
    rig.echoes();
    for _ in 0..4 {
        rig.now += millis(225);
        rig.session.handle_transmit_timeout(rig.now);
        rig.echoes();
        rig.sent();
    }
    rig.session.handle_timeout(rig.now);
    let change = rig.change();
    assert_eq!((change.from, change.to), (State::Up, State::Down));
    let expired = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
    assert_eq!(change.local_diag, expired);
    assert_eq!(rig.sent()[0].diagnostic, expired);
}

#[test]
fn c_152_echo_is_asked_for_only_where_it_is_configured() {
    let packet = |config| Rig::with_config(config).sent().remove(0);
    let asked = |config| packet(config).required_min_echo_rx_interval;
    assert_eq!(asked(SessionConfig::default()), Micros::ZERO);
    assert_eq!(asked(echoing()), Micros::from_millis(50));
    let sends_only = EchoConfig {
        required_min_rx_interval: Micros::ZERO,
        ..EchoConfig::both_ways(Micros::from_millis(50))
    };
    let echo = Some(sends_only);
    assert_eq!(asked(SessionConfig { echo, ..echoing() }), Micros::ZERO);
}

#[test]
fn echo_is_sent_only_while_up_and_allowed() {
    for state in [State::AdminDown, State::Down, State::Init] {
        let mut rig = Rig::with_config_in_state(echoing(), state);
        let packet = ControlPacket {
            required_min_echo_rx_interval: Micros::from_millis(50),
            ..heard(State::AdminDown)
        };
        let _ = rig.session.handle_packet(rig.now, &packet);
        assert_eq!(rig.echoes(), Vec::<Vec<u8>>::new(), "{state}");
    }
    let mut rig = Rig::with_config_in_state(echoing(), State::Up);
    assert_eq!(
        rig.echoes().len(),
        0,
        "the remote system has not allowed it"
    );
    rig.hear(&allowing(50));
    assert_eq!(rig.echoes().len(), 1);
}

#[test]
fn echo_runs_at_the_slower_interval_less_jitter() {
    for (theirs, agreed) in [(10, 50), (50, 50), (200, 200)] {
        let mut rig = active();
        rig.hear(&allowing(theirs));
        let agreed = millis(agreed);
        assert_eq!(rig.echo().tx_interval, Some(agreed));
        assert_eq!(rig.echo().detection_time, Some(agreed * 3));
        let sent_at = rig.pass_echoing(agreed * 200, true);
        let gaps = || sent_at.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps().all(|gap| gap >= agreed * 3 / 4 && gap <= agreed));
        assert!(gaps().min() < Some(agreed * 8 / 10) && gaps().max() > Some(agreed * 95 / 100));
    }
}

#[test]
fn only_a_packet_that_is_under_way_counts_and_only_once() {
    let mut rig = active();
    let packet = rig.echoes().remove(0);
    for octet in 0..packet.len() {
        let mut forged = packet.clone();
        forged[octet] ^= 1;
        let refused = rig.session.handle_echo(rig.now, &forged);
        assert_eq!(refused, Err(Discard::EchoUnknown), "octet {octet}");
    }
    rig.now += millis(2);
    assert_eq!(rig.session.handle_echo(rig.now, &packet), Ok(()));
    assert_eq!(rig.echo().last_round_trip, Some(millis(2)));
    let replayed = rig.session.handle_echo(rig.now, &packet);
    assert_eq!(replayed, Err(Discard::EchoUnknown));
    let counters = rig.status().counters;
    assert_eq!(counters.discarded.get("echo-unknown"), 25);
    let echo = rig.echo();
    assert_eq!((echo.packets_out, echo.packets_in), (1, 1));
}

#[test]
fn a_packet_that_returns_after_a_detection_time_is_lost() {
    let mut rig = active();
    let late = rig.echoes().remove(0);
    rig.pass_echoing(INTERVAL * 5, true);
    let refused = rig.session.handle_echo(rig.now, &late);
    assert_eq!(refused, Err(Discard::EchoUnknown));
    assert_eq!(rig.echo().packets_lost, 1);
}

#[test]
fn what_a_stopped_host_did_not_send_is_not_missed() {
    let mut rig = active();
    rig.pass_echoing(SECOND, true);
    rig.now += SECOND / 2;
    rig.hear(&allowing(50));
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.session.state(), State::Up);
    rig.pass_echoing(SECOND, true);
    assert_eq!(rig.session.state(), State::Up);
    rig.pass_echoing(SECOND, false);
    assert_eq!(
        rig.session.state(),
        State::Down,
        "but what it then sends is"
    );
}

#[test]
fn what_the_driver_cannot_do_is_neither_done_nor_asked_for() {
    let mut rig = active();
    let obstacles = EchoObstacles {
        transmit: Some("not permitted".to_owned()),
        receive: Some("not forwarded".to_owned()),
    };
    rig.session.set_echo_obstacles(rig.now, obstacles.clone());
    assert_eq!(rig.pass_echoing(SECOND, false), []);
    assert_eq!(rig.session.state(), State::Up);
    assert_eq!(rig.echo().obstacles, obstacles);
    assert_eq!(rig.echo().required_min_rx_interval, Micros::ZERO);
    let said = rig.run_until_sent();
    assert_eq!(said[0].required_min_echo_rx_interval, Micros::ZERO);
    assert_eq!(rig.session.return_echo(rig.now), Err(Discard::EchoUnwanted));
    rig.session
        .set_echo_obstacles(rig.now, EchoObstacles::default());
    assert_eq!(
        rig.sent()[0].required_min_echo_rx_interval,
        Micros::from_millis(50)
    );
    assert_eq!(rig.echoes().len(), 1);
}

#[test]
fn the_remote_systems_echo_goes_back_no_faster_than_it_may_come() {
    let mut rig = active();
    let mut returned = 0;
    for _ in 0..1000 {
        rig.now += millis(5);
        returned += u32::from(rig.session.return_echo(rig.now).is_ok());
    }
    // 5 s at three quarters of 50 ms, and what may come at once.
    assert!((133..=133 + 16).contains(&returned), "{returned}");
    assert!(rig.status().counters.discarded.get("echo-rate") > 800);
    assert_eq!(rig.echo().packets_returned, u64::from(returned));
    let mut down = Rig::with_config(echoing());
    assert_eq!(
        down.session.return_echo(down.now),
        Err(Discard::EchoUnwanted)
    );
}

#[test]
fn the_remote_systems_echo_is_limited_however_short_its_interval() {
    let config = SessionConfig {
        echo: Some(EchoConfig::both_ways(Micros::new(1))),
        ..SessionConfig::default()
    };
    let mut rig = Rig::with_config_in_state(config, State::Up);
    let advertised = rig.echo().required_min_rx_interval;
    assert_eq!(advertised, SessionConfig::MIN_INTERVAL);
    let outcomes: Vec<_> = (0..100).map(|_| rig.session.return_echo(rig.now)).collect();
    let returned = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(returned, 16, "what may come at once");
}

#[test]
fn echo_comes_and_goes_without_a_flap() {
    let mut rig = active();
    rig.pass_echoing(SECOND, true);
    let said = rig.configure(SessionConfig::default());
    assert_eq!(said[0].required_min_echo_rx_interval, Micros::ZERO);
    assert_eq!(said[0].poll_final, PollFinal::Neither);
    assert_eq!(rig.status().echo, None);
    assert_eq!(rig.pass_echoing(SECOND, false), []);
    rig.configure(echoing());
    rig.hear(&allowing(50));
    assert!(rig.pass_echoing(SECOND, true).len() > 15);
    assert_eq!(rig.session.poll_event(), None);
}

#[test]
fn what_the_system_did_not_send_is_not_missed() {
    let mut rig = active();
    rig.pass_echoing(INTERVAL * 10, true);
    let before = rig.echo();
    let end = rig.now + INTERVAL * 20;
    while rig.now < end {
        rig.now += INTERVAL;
        rig.hear(&allowing(50));
        rig.session.handle_timeout(rig.now);
        for _ in rig.echoes() {
            rig.session.refuse_echo();
        }
    }
    assert_eq!(rig.session.state(), State::Up);
    let after = rig.echo();
    assert_eq!(after.packets_out, before.packets_out);
    assert_eq!(after.packets_lost, before.packets_lost);
    assert!(rig.status().counters.transmit_errors >= 20);
    // They are missed again when they are sent again.
    rig.pass_echoing(INTERVAL * 20, false);
    assert_ne!(rig.session.state(), State::Up);
}

#[test]
fn c_149_a_multiplier_of_one_leaves_room_for_a_longer_round_trip() {
    let mut rig = active();
    rig.configure(SessionConfig {
        detect_mult: mult(1),
        ..echoing()
    });
    let sent_at = rig.pass_echoing(INTERVAL * 1000, true);
    let gaps = || sent_at.windows(2).map(|pair| pair[1] - pair[0]).skip(1);
    assert!(gaps().all(|gap| gap >= INTERVAL * 3 / 4 && gap <= INTERVAL * 9 / 10));
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn c_149_changes_of_the_interval_do_not_postpone_detection() {
    let mut rig = active();
    rig.pass_echoing(SECOND, true);
    let began = rig.now;
    for turn in 0..20 {
        rig.hear(&allowing([60, 50][turn % 2]));
        rig.pass_echoing(millis(20), false);
    }
    let change = rig.change();
    assert_eq!(change.local_diag, Diagnostic::ECHO_FUNCTION_FAILED);
    assert!(change.at - began <= millis(180));
}

#[test]
fn c_149_a_shorter_interval_leaves_its_detection_time() {
    let mut rig = active();
    rig.hear(&allowing(1000));
    rig.pass_echoing(SECOND * 10, true);
    rig.pass_echoing(millis(700), true);
    let began = rig.now;
    rig.hear(&allowing(50));
    rig.pass_echoing(SECOND, false);
    assert_eq!(rig.change().at - began, INTERVAL * 3);
}
