//! The task itself, without neighbors.

use tempfile::TempDir;

use super::*;
use crate::config::ServiceName;
use crate::services::health::Found;
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
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let command = Command::Vitals(reply);
    control.commands.send(command).await.unwrap();
    let found = Found {
        service: web(),
        watch: speaker.standings.get(&web()).unwrap().watch,
        verdict: Verdict::Healthy,
        cause: "connected".to_owned(),
    };
    sender.send(News::Found(found)).await.unwrap();
    let next = speaker.next(&mut interval(INTERFACE_CHECK)).await;
    assert!(matches!(next, Ok(Next::Command(_))));
    assert!(speaker.services.may_announce(&web()));
}
