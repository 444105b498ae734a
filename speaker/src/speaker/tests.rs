//! The task itself, without neighbors.

use tempfile::TempDir;

use super::*;
use crate::config::ServiceName;
use crate::services::Source;

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
