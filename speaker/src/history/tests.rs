use std::time::UNIX_EPOCH;

use bgp::State::{Active, Connect, Established, Idle, OpenSent};

use super::notes::PER_SORT;
use super::stored::{Line, Stored};
use super::*;
use crate::additions::StateDir;
use crate::config::{BfdName, PeerName, ServiceName};

fn peer() -> Party {
    Party::Peer(PeerName::new("tor").unwrap())
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn tell(history: &mut History, second: u64, from: bgp::State, to: bgp::State, cause: Cause) {
    let what = What::Bgp { from, to, cause };
    history.happened(at(second), peer(), Subject::Bgp, what);
}

fn refused() -> Cause {
    Cause::ConnectFailed("refused".to_owned())
}

fn bfd_down() -> What {
    What::Bfd {
        from: bfd::State::Up,
        to: bfd::State::Down,
        cause: BfdCause::Protocol(BfdSight {
            local_diag: Diagnostic::CONTROL_DETECTION_TIME_EXPIRED,
            remote_diag: Diagnostic::NONE,
            remote_state: bfd::State::Up,
            silence: Some(Duration::from_micros(153_007)),
            detection_time: None,
        }),
    }
}

#[test]
fn what_repeats_pushes_nothing_out() {
    let mut history = History::beginning(UNIX_EPOCH);
    let down = Notification::new(6, 10);
    tell(
        &mut history,
        1,
        Established,
        Idle,
        Cause::NotificationSent(down),
    );
    for second in 2..1000 {
        tell(&mut history, second, Connect, Active, refused());
        tell(&mut history, second, OpenSent, Idle, Cause::ConnectionLost);
    }
    let records = history.records(Some(&peer()));
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].what.to_string(), "sent 6/10 Cease, BFD Down");
    assert_eq!(records[1].count, 998);
    assert_eq!(records[2].last, at(999));
}

#[test]
fn each_flap_has_its_time() {
    let mut history = History::beginning(UNIX_EPOCH);
    for second in 0..10 {
        tell(
            &mut history,
            2 * second,
            OpenSent,
            Established,
            Cause::KeepaliveReceived,
        );
        tell(
            &mut history,
            2 * second + 1,
            Established,
            Idle,
            Cause::ConnectionLost,
        );
    }
    let records = history.records(Some(&peer()));
    let times: Vec<SystemTime> = records.iter().map(|record| record.last).collect();
    assert_eq!(times, (0..20).map(at).collect::<Vec<_>>());
}

#[test]
fn it_is_bounded_for_each_session() {
    let mut history = History::beginning(UNIX_EPOCH);
    history.happened(at(0), peer(), Subject::Bfd, bfd_down());
    for second in 0..1000 {
        tell(
            &mut history,
            second,
            Established,
            Idle,
            Cause::ConnectionLost,
        );
        history.note(UNIX_EPOCH, "note");
    }
    let records = history.records(Some(&peer()));
    assert_eq!(records.len(), PER_SESSION + 1);
    assert_eq!(records[0].what, bfd_down(), "BGP pushes nothing of BFD out");
    assert_eq!(history.records(None).len(), PER_SESSION + 1 + PER_SORT);
    history.forget(peer());
    assert_eq!(history.records(None).len(), PER_SORT);
}

#[test]
fn a_neighbor_does_not_fill_the_memory_with_what_it_says() {
    let mut history = History::beginning(UNIX_EPOCH);
    let said = Notification::with_data(3, 1, &[0; 4000]);
    tell(
        &mut history,
        0,
        Established,
        Idle,
        Cause::NotificationReceived(said),
    );
    let records = history.records(None);
    let What::Bgp {
        cause: Cause::NotificationReceived(said),
        ..
    } = &records[0].what
    else {
        panic!("{records:?}")
    };
    assert_eq!(said.data.len(), NOTIFICATION_DATA);
    let size = size_of::<Record>();
    assert!(size <= 160, "{size} octets for each record");
}

#[test]
fn the_longest_text_for_an_operator_is_kept_whole() {
    let text = "x".repeat(255);
    let reason = Notification::cease_with_communication(2, &text);
    let what = What::Bgp {
        from: Established,
        to: Idle,
        cause: Cause::NotificationReceived(Notification::hard_reset(&reason)),
    };
    assert!(what.bounded().to_string().contains(&text));
}

#[test]
fn the_reason_of_bfd_is_told() {
    let told = |to, remote_state, remote_diag| {
        let sight = BfdSight {
            local_diag: Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN,
            remote_diag,
            remote_state,
            silence: None,
            detection_time: None,
        };
        let (from, cause) = (Up, BfdCause::Protocol(sight));
        What::Bfd { from, to, cause }.to_string()
    };
    use bfd::State::{AdminDown, Down, Up};
    assert_eq!(
        told(Down, Down, Diagnostic::CONTROL_DETECTION_TIME_EXPIRED),
        "neighbor signaled session down (its reason: control detection time expired)"
    );
    assert_eq!(
        told(Down, AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN),
        "the peer took it down (administratively down)"
    );
    assert_eq!(told(Up, Up, Diagnostic::NONE), "both ends hear each other");
}

/// Everything that is written is read back as it was.
#[test]
fn every_record_survives_as_it_is() {
    let notification = Notification::cease_with_communication(4, "rack 12 \"moves\"");
    let causes = [
        Cause::Start,
        Cause::Stopped,
        Cause::Connected,
        refused(),
        Cause::ConnectRetry,
        Cause::DelayOpen,
        Cause::OpenReceived,
        Cause::BfdUp,
        Cause::KeepaliveReceived,
        Cause::ConnectionLost,
        Cause::NotificationReceived(Notification::hard_reset(&notification)),
        Cause::NotificationSent(Notification::new(4, 0)),
        Cause::SendHoldTimerExpired,
        Cause::Restarting,
        Cause::NeighborRestarted,
    ];
    let of_bgp = causes.map(|cause| What::Bgp {
        from: OpenSent,
        to: Idle,
        cause,
    });
    let ours = What::Bfd {
        from: bfd::State::AdminDown,
        to: bfd::State::Init,
        cause: BfdCause::Ours("we have done so".into()),
    };
    let of_service = What::Service {
        from: Verdict::Unknown,
        to: Verdict::Unhealthy,
        cause: "500 Internal Server Error".into(),
    };
    let others = [bfd_down(), ours, of_service, What::note("a \"word\"\n")];
    for what in of_bgp.into_iter().chain(others) {
        let mut before = History::beginning(UNIX_EPOCH);
        before.happened(at(1_700_000_000), peer(), Subject::Bgp, what);
        let record = &before.records(None)[0];
        let line = serde_json::to_vec(&Line::Happened(Stored::from(record))).unwrap();
        assert!(!line.contains(&b'\n'));
        let mut history = History::beginning(UNIX_EPOCH);
        history.recall(serde_json::from_slice(&line).unwrap(), |_| true);
        let id = history.records(None)[0].id;
        assert_eq!(
            history.records(None),
            [Record {
                id,
                ..record.clone()
            }]
        );
    }
}

#[tokio::test]
async fn it_survives_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = Arc::new(StateDir::open(directory.path()).unwrap());
    let gone = Party::BfdSession(BfdName::new("gone").unwrap());
    let again = Party::BfdSession(BfdName::new("again").unwrap());
    let mut history = Journal::read(&state_dir, UNIX_EPOCH, |_| true);
    assert_eq!(history.records(None), []);

    let journal = Journal::start(&state_dir);
    for party in [&peer(), &gone, &again] {
        history.happened(at(7), party.clone(), Subject::Bfd, bfd_down());
        journal.tell(history.latest(party, Subject::Bfd).unwrap());
    }
    journal.tell_forgotten(&again);
    journal.tell(&history.note(at(8), "stopped"));
    let done = history.note_about(at(9), Some(gone.clone()), Subject::Bfd, "removed");
    journal.tell(&done);
    journal.finish().await;

    // What a crash leaves of a line does no harm.
    let file = state_dir.path("history.jsonl");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"happened\":{\"at\":17");
    std::fs::write(&file, text).unwrap();
    let recalled = Journal::read(&state_dir, UNIX_EPOCH, |party| *party != gone);
    assert_eq!(
        recalled.records(Some(&gone)).len(),
        1,
        "what was done to it"
    );
    assert_eq!(recalled.records(Some(&again)), []);
    let texts: Vec<String> = recalled
        .records(None)
        .iter()
        .map(|record| record.what.to_string())
        .collect();
    assert_eq!(
        texts,
        ["control detection time expired", "stopped", "removed"]
    );
}

#[tokio::test]
async fn its_files_are_bounded_and_what_is_latest_is_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = Arc::new(StateDir::open(directory.path()).unwrap());
    let mut history = History::beginning(UNIX_EPOCH);
    for round in 0..40 {
        let journal = Journal::start(&state_dir);
        for number in 0..200 {
            let note = history.note(at(round), &format!("{number:060}, round {round}"));
            journal.tell(&note);
        }
        journal.finish().await;
    }
    let files = std::fs::read_dir(directory.path()).unwrap();
    let length: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(length < 400 * 1024, "{length}");
    let recalled = Journal::read(&state_dir, UNIX_EPOCH, |_| true).records(None);
    assert_eq!(recalled.len(), PER_SORT);
    assert!(
        recalled[PER_SORT - 1]
            .what
            .to_string()
            .ends_with("round 39")
    );
}

#[test]
fn ids_grow_and_go_with_the_last_time() {
    let mut history = History::beginning(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    tell(&mut history, 1, Connect, Active, refused());
    history.note(UNIX_EPOCH, "started");
    tell(&mut history, 2, Connect, Active, refused());
    let records = history.records(None);
    let causes: Vec<String> = records
        .iter()
        .map(|record| record.what.to_string())
        .collect();
    assert_eq!(causes, ["started", "TCP connection failed: refused"]);
    assert_eq!(records[1].id, records[0].id + 1);
    assert!(records[0].id > 1_700_000_000_000_000, "{}", records[0].id);
}

#[test]
fn kinds_are_told_by_the_states() {
    let mut history = History::beginning(UNIX_EPOCH);
    tell(
        &mut history,
        1,
        OpenSent,
        Established,
        Cause::KeepaliveReceived,
    );
    tell(&mut history, 2, Established, Idle, Cause::ConnectionLost);
    tell(&mut history, 3, Connect, Active, refused());
    let warning = What::note("nearly too many prefixes");
    history.happened(at(4), peer(), Subject::Bgp, warning);
    let what = What::Bfd {
        from: bfd::State::Down,
        to: bfd::State::Init,
        cause: BfdCause::Ours("nothing".into()),
    };
    history.happened(at(5), peer(), Subject::Bfd, what);
    let recovered = What::Service {
        from: Verdict::Unknown,
        to: Verdict::Healthy,
        cause: "200 OK".into(),
    };
    history.happened(at(6), peer(), Subject::Service, recovered);
    let kinds = history.records(None).into_iter().map(|record| record.kind);
    use Kind::{Down, Failed, State, Up, Warning};
    assert!(kinds.eq([Up, Down, Failed, Warning, State, Up]));
}

#[test]
fn who_follows_gets_what_was_missed_and_then_the_rest() {
    let mut history = History::beginning(UNIX_EPOCH);
    for second in 0..3 {
        tell(
            &mut history,
            second,
            Established,
            Idle,
            Cause::ConnectionLost,
        );
    }
    let first = history.records(None)[0].id;
    let mut followed = history.follow(Some(&peer()), Some(first));
    let times = followed.before.iter().map(|record| record.last);
    assert!(times.eq([at(1), at(2)]));
    assert!(!followed.is_incomplete);
    tell(&mut history, 3, Established, Idle, Cause::ConnectionLost);
    assert_eq!(followed.live.try_recv().unwrap().last, at(3));
    assert!(history.follow(None, None).before.is_empty());
}

#[test]
fn what_cannot_be_made_up_for_is_said() {
    let mut history = History::beginning(UNIX_EPOCH + Duration::from_secs(1));
    tell(&mut history, 0, Established, Idle, Cause::ConnectionLost);
    let first = history.records(None)[0].id;
    assert!(!history.follow(None, Some(first)).is_incomplete);
    // An id of a former run, and one of a clock that was set back since.
    assert!(history.follow(None, Some(first - 2)).is_incomplete);
    let later = history.follow(None, Some(first + 1));
    assert!(later.is_incomplete);
    assert_eq!(later.before.len(), 1);
    for _ in 0..1000 {
        tell(&mut history, 1, Established, Idle, Cause::ConnectionLost);
    }
    assert!(history.follow(None, Some(first)).is_incomplete);
}

#[test]
fn a_slow_follower_slows_nobody_and_is_told_what_it_lost() {
    let mut history = History::beginning(UNIX_EPOCH);
    let mut followed = history.follow(None, None);
    for number in 0..FEED + 10 {
        history.note(UNIX_EPOCH, &number.to_string());
    }
    let lost = followed.live.try_recv().unwrap_err();
    assert_eq!(lost, broadcast::error::TryRecvError::Lagged(10));
    let next = followed.live.try_recv().unwrap();
    assert_eq!(next.what.to_string(), "10");
}

#[test]
fn notes_about_somebody_outlive_it() {
    let mut history = History::beginning(UNIX_EPOCH);
    history.note_about(UNIX_EPOCH, Some(peer()), Subject::Bgp, "reset");
    history.forget(peer());
    assert_eq!(history.records(Some(&peer())).len(), 1);
}

#[test]
fn who_is_forgotten_is_so_in_every_respect_and_alone() {
    let mut history = History::beginning(at(0));
    let others = ["a", "torb"].map(|name| Party::Peer(PeerName::new(name).unwrap()));
    for party in others.iter().chain([&peer()]) {
        for subject in [
            Subject::Bgp,
            Subject::Bfd,
            Subject::Service,
            Subject::Herald,
        ] {
            history.happened(at(1), party.clone(), subject, What::note("came"));
        }
    }
    let since = history.last_id - 1;
    history.forget(peer());
    assert!(history.records(Some(&peer())).is_empty());
    assert_eq!(history.sessions.len(), 8);
    assert!(history.follow(None, Some(since)).is_incomplete);
}

fn service(number: usize) -> Party {
    Party::Service(ServiceName::new(&format!("web-{number}")).unwrap())
}

fn turn_of_service(number: usize) -> What {
    What::Service {
        from: Verdict::Healthy,
        to: Verdict::Unhealthy,
        cause: format!("500 Internal Server Error, for the {number:03}rd time").into(),
    }
}

#[test]
fn what_is_done_to_services_pushes_nothing_out_of_peers_and_the_daemon() {
    let mut history = History::beginning(UNIX_EPOCH);
    history.note(at(0), "started");
    history.note_about(at(1), Some(peer()), Subject::Bgp, "shut down by command");
    for number in 0..2 * PER_SORT {
        let party = Some(service(number));
        history.note_about(at(2), party, Subject::Service, "added at run time");
        history.note_about(at(2), None, Subject::Service, "route 192.0.2.0/24: added");
    }
    let records = history.records(None);
    let first: Vec<String> = records
        .iter()
        .map(|it| it.what.to_string())
        .take(2)
        .collect();
    assert_eq!(first, ["started", "shut down by command"]);
    assert_eq!(records.len(), 2 + PER_SORT);
    for _ in 0..2 * PER_SORT {
        history.note_about(at(3), Some(peer()), Subject::Bgp, "reset by command");
    }
    assert_eq!(history.records(None)[0].what.to_string(), "started");
}

/// The whole file of a session's life is not lost because others have a bad night.
#[tokio::test]
async fn flapping_services_and_sessions_push_no_other_session_out_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = Arc::new(StateDir::open(directory.path()).unwrap());
    let mut history = History::beginning(UNIX_EPOCH);
    let quiet = peer();
    let flapping = Party::Peer(PeerName::new("flapping").unwrap());
    let lost = What::Bgp {
        from: Established,
        to: Idle,
        cause: Cause::NotificationReceived(Notification::cease_with_communication(2, "bye")),
    };
    for round in 0..20 {
        let journal = Journal::start(&state_dir);
        let mut tell = |second, party: &Party, subject, what: What| {
            history.happened(at(second), party.clone(), subject, what);
            journal.tell(history.latest(party, subject).unwrap());
        };
        if round == 0 {
            tell(1, &quiet, Subject::Bgp, lost.clone());
        }
        for number in 0..400 {
            let second = 2 + round * 400 + number;
            tell(second, &flapping, Subject::Bgp, lost.clone());
            let number = usize::try_from(number).unwrap();
            let what = turn_of_service(number);
            tell(second, &service(number), Subject::Service, what);
        }
        journal.finish().await;
    }
    let recalled = Journal::read(&state_dir, UNIX_EPOCH, |_| true);
    let of = |party: &Party| recalled.records(Some(party));
    assert_eq!(of(&quiet).len(), 1);
    assert_eq!(of(&quiet)[0].what, lost);
    let times = of(&flapping).into_iter().map(|record| record.last);
    assert!(
        times.eq((8002 - 100..8002).map(at)),
        "the last hundred, once each"
    );
    // By time, though they are of two files.
    let all = recalled.records(None);
    assert!(all.is_sorted_by_key(|record| record.last));
    let files = std::fs::read_dir(directory.path()).unwrap();
    let length: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(length < 3 * 128 * 1024 + 100 * 1024, "{length}");
}

/// The queue holds 1024, and nobody takes from it before the test waits.
#[tokio::test]
async fn what_a_burst_loses_is_counted_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = Arc::new(StateDir::open(directory.path()).unwrap());
    let mut history = History::beginning(UNIX_EPOCH);
    let journal = Journal::start(&state_dir);
    for number in 0..1500 {
        let party = service(number);
        history.happened(
            at(7),
            party.clone(),
            Subject::Service,
            turn_of_service(number),
        );
        journal.tell(history.latest(&party, Subject::Service).unwrap());
    }
    journal.tell(&history.note_about(at(8), Some(peer()), Subject::Bgp, "reset by command"));
    journal.finish().await;
    let recalled = Journal::read(&state_dir, UNIX_EPOCH, |_| true).records(None);
    let texts: Vec<String> = recalled.iter().map(|it| it.what.to_string()).collect();
    assert!(
        texts.contains(&"reset by command".to_owned()),
        "a service takes no place from a peer"
    );
    let lost = "476 events are missing here: they could not be written down";
    assert!(texts.contains(&lost.to_owned()), "{:?}", texts.last());
    assert_eq!(texts.len(), 1024 + 2);
}

#[test]
fn who_came_by_a_range_is_remembered_after_it_has_gone_and_strangers_are_bounded() {
    let mut history = History::beginning(UNIX_EPOCH);
    let guest = |number: usize| Party::Peer(PeerName::new(&format!("rack@{number}")).unwrap());
    let came = |history: &mut History, number| {
        history.arrive(&guest(number));
        history.happened(at(1), guest(number), Subject::Bgp, What::note("came"));
        history.depart(guest(number))
    };
    assert_eq!(history.depart(guest(7)), [], "nothing is known of it");
    for number in 0..departed::RECORDS {
        assert_eq!(came(&mut history, number), []);
    }
    // Who comes back is not among those that have been gone the longest.
    history.arrive(&guest(0));
    history.happened(at(2), guest(0), Subject::Bgp, What::note("came back"));
    assert_eq!(history.depart(guest(0)), [guest(1)]);
    assert_eq!(came(&mut history, departed::RECORDS), [guest(2)]);
    assert_eq!(history.records(Some(&guest(0))).len(), 2);
    assert!(!history.remembers(&guest(1)));
    history.forget(guest(0));
    assert_eq!(came(&mut history, departed::RECORDS + 1), []);
}
