//! The task itself, without neighbors.

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::additions::RouteSpec;
use crate::config::{RouteConfig, ServiceName};
use crate::control::Stored;
use crate::services::health::{Crowded, Found};
use crate::services::{Source, Verdict};

const CHECKED: &str = r#"
[[service]]
name = "web"
addresses = ["192.0.2.1"]
health = { tcp = "127.0.0.1:9" }
"#;

/// Nothing of it runs before the test has it so.
async fn started(services: &str) -> (TempDir, Speaker, Control) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("herald.toml");
    let state = dir.path().join("state");
    let text = format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\nlisten = []\nstate-dir = {state:?}\n{services}"
    );
    let config = Config::parse(&file, &text).unwrap().config;
    let level = LevelSwitch::disconnected();
    let (speaker, control) = Speaker::start(file, config, level).await.unwrap();
    (dir, speaker, control)
}

fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// What the check of [`web`] has come to.
fn found(speaker: &Speaker, verdict: Verdict) -> News {
    News::Found(Found {
        service: web(),
        watch: speaker.standings.get(&web()).unwrap().watch,
        verdict,
        cause: "it was asked".to_owned(),
    })
}

#[tokio::test]
async fn a_change_of_one_service_copies_no_others() {
    let (_dir, mut speaker, _control) = started(CHECKED).await;
    let before = Arc::as_ptr(&speaker.services);
    let spec = Arc::clone(&speaker.services.get(&web()).unwrap().spec);
    speaker.set_service(&web(), Source::File, spec);
    speaker.watch_services();
    assert_eq!(Arc::as_ptr(&speaker.services), before);
}

#[tokio::test]
async fn a_verdict_is_carried_out_before_commands_that_came_earlier() {
    let (_dir, mut speaker, control) = started(CHECKED).await;
    let (sender, verdicts) = mpsc::channel(1);
    speaker.verdicts = verdicts;
    let (reply, _answer) = oneshot::channel();
    let command = Command::Vitals(reply);
    control.commands.send(command).await.unwrap();
    sender
        .send(found(&speaker, Verdict::Healthy))
        .await
        .unwrap();
    let next = speaker.next(&mut interval(INTERFACE_CHECK)).await;
    assert!(matches!(next, Ok(Next::Command(_))));
    assert!(speaker.services.may_announce(&web()));
}

#[tokio::test]
async fn what_takes_a_capability_to_listen_at_waits_for_a_restart() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    // It is given up by this thread and those that it starts, as by a daemon that did not need it.
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::NET_BIND_SERVICE);
    set_capabilities(None, held).unwrap();
    let (dir, mut speaker, _control) = started(CHECKED).await;
    speaker.host.unprivileged_port = 1024;
    let file = dir.path().join("herald.toml");
    let text = format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\nlisten = [\"127.0.0.1:179\"]\nstate-dir = {:?}\n",
        dir.path().join("state"),
    );
    std::fs::write(&file, text).unwrap();
    for dry_run in [true, false] {
        let reloaded = speaker.reload_on_request(dry_run).await.unwrap();
        let lines: Vec<String> = reloaded.changes.iter().map(ToString::to_string).collect();
        let waits = "[speaker] listen = \"127.0.0.1:179\" needs CAP_NET_BIND_SERVICE, which the daemon does not hold: takes effect after a restart";
        assert!(lines.iter().any(|line| line == waits), "{lines:?}");
        assert_eq!(reloaded.failures, [""; 0]);
    }
    assert_eq!(speaker.config.speaker.listen, []);
    assert!(speaker.services.get(&web()).is_none(), "the rest is done");
}

#[tokio::test]
async fn a_verdict_beyond_what_is_carried_out_in_one_step_is_not_lost() {
    let (_dir, mut speaker, _control) = started(CHECKED).await;
    let (sender, verdicts) = mpsc::channel(health::AT_ONCE + 1);
    speaker.verdicts = verdicts;
    for _ in 0..health::AT_ONCE {
        let healthy = found(&speaker, Verdict::Healthy);
        sender.send(healthy).await.unwrap();
    }
    let unhealthy = found(&speaker, Verdict::Unhealthy);
    sender.send(unhealthy).await.unwrap();
    while let Ok(news) = speaker.verdicts.try_recv() {
        speaker.handle_checked(news);
    }
    assert!(!speaker.services.may_announce(&web()));
}

#[tokio::test]
async fn what_is_late_for_a_service_that_has_gone_is_not_remembered() {
    let (_dir, mut speaker, _control) = started(CHECKED).await;
    let gone = ServiceName::new("gone").unwrap();
    let crowded = Crowded {
        service: gone.clone(),
        late: Duration::from_secs(1),
        at_once: 1,
        programs: false,
        longest: Vec::new(),
    };
    speaker.handle_checked(News::Crowded(crowded));
    assert!(!speaker.history.remembers(&Party::from(&gone)));
}

/// A route as somebody adds it, and how that ends.
fn put(prefix: &str) -> (Command, oneshot::Receiver<Result<Stored, Refusal>>) {
    let (reply, answer) = oneshot::channel();
    let route = Box::new(RouteConfig::try_from(&RouteSpec::default()).unwrap());
    (
        Command::PutRoute(prefix.parse().unwrap(), route, reply),
        answer,
    )
}

/// Work that ends when the sender goes.
fn hanging() -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (disk, answer) = std::sync::mpsc::channel::<()>();
    let work = tokio::task::spawn_blocking(move || {
        let _ = answer.recv();
    });
    (disk, work)
}

#[tokio::test]
async fn while_the_disk_hangs_questions_are_answered_and_changes_wait() {
    let (_dir, mut speaker, control) = started("").await;
    let (disk, work) = hanging();
    let (change, mut changed) = put("198.51.100.1/32");
    control.commands.send(change).await.unwrap();
    let (question, answer) = oneshot::channel();
    let question = Command::Vitals(question);
    control.commands.send(question).await.unwrap();
    let answered = tokio::select! {
        _ = speaker.attend_until(work) => false,
        vitals = answer => vitals.is_ok(),
    };
    assert!(answered);
    assert!(changed.try_recv().is_err(), "it waits for the disk");
    drop(disk);
    let next = speaker.next(&mut interval(INTERFACE_CHECK)).await;
    assert!(matches!(next, Ok(Next::Command(Command::PutRoute(..)))));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_disk_that_hangs() {
    let (_dir, mut speaker, control) = started("").await;
    let (disk, work) = hanging();
    let (reply, _stopped) = oneshot::channel();
    let stop = Command::Stop {
        how: None,
        communication: None,
        reply,
    };
    control.commands.send(stop).await.unwrap();
    let result = speaker.attend_until(work).await;
    assert!(matches!(result, Err(keeping::Unfinished::Ending)));
    // Nobody asks the store any more, which whoever hangs has.
    assert!(speaker.keep([]).await.is_err());
    let next = speaker.next(&mut interval(INTERFACE_CHECK)).await;
    assert!(matches!(next, Ok(Next::Command(Command::Stop { .. }))));
    drop(disk);
}

#[tokio::test]
async fn however_many_commands_there_are_a_drain_ends() {
    let (_dir, mut speaker, control) = started("").await;
    let (change, _changed) = put("198.51.100.1/32");
    control.commands.send(change).await.unwrap();
    speaker.leaving = Some(Leaving {
        at: Instant::now(),
        communication: None,
    });
    let next = speaker.next(&mut interval(INTERFACE_CHECK)).await;
    assert!(matches!(next, Ok(Next::Drained)));
}
