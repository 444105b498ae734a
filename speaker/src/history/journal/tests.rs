use super::*;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn note(second: u64, text: &str) -> Record {
    History::beginning(UNIX_EPOCH).note(at(second), text)
}

/// A line of a note.
fn line(second: u64, text: &str) -> Vec<u8> {
    lines(vec![News::Happened(note(second, text))], 0)
}

fn recalled(state_dir: &StateDir) -> Vec<String> {
    let history = Journal::read(state_dir, UNIX_EPOCH, |_| true);
    let records = history.records(None);
    records
        .iter()
        .map(|record| record.what.to_string())
        .collect()
}

fn open(directory: &tempfile::TempDir) -> Arc<StateDir> {
    Arc::new(StateDir::open(directory.path()).unwrap())
}

#[test]
fn what_is_written_behind_half_a_line_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = open(&directory);
    let mut pen = Pen::new(OF_SESSIONS, Arc::clone(&state_dir));
    pen.append(&line(1, "whole")).unwrap();
    let mut file = open_to_append(&state_dir.path(OF_SESSIONS.present)).unwrap();
    file.write_all(&line(2, "torn")[..20]).unwrap();
    pen.append(&line(3, "after")).unwrap();
    pen.append(&line(4, "and after")).unwrap();
    assert_eq!(recalled(&state_dir), ["whole", "after", "and after"]);
}

#[tokio::test]
async fn what_could_not_be_written_is_counted_once_it_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = open(&directory);
    let present = state_dir.path(OF_SESSIONS.present);
    std::fs::create_dir(&present).unwrap();
    let mut pen = Pen::new(OF_SESSIONS, Arc::clone(&state_dir));
    pen.append(&line(0, "cannot be")).unwrap_err();
    let mut writing = Writing::new(pen);
    let news = |second, text| vec![News::Happened(note(second, text))];
    writing.write(news(1, "not kept"), 2).await;
    writing.write(news(2, "not kept"), 0).await;
    writing.write(news(3, "not kept"), 0).await;
    std::fs::remove_dir(&present).unwrap();
    writing.write(news(4, "kept"), 0).await;
    writing.write(news(5, "kept too"), 0).await;
    assert_eq!(
        recalled(&state_dir),
        [
            "kept",
            "5 events are missing here: they could not be written down",
            "kept too"
        ]
    );
}

#[tokio::test]
async fn where_nothing_can_be_written_it_ends_nevertheless() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = open(&directory);
    std::fs::create_dir(state_dir.path(OF_SESSIONS.present)).unwrap();
    let pen = Pen::new(OF_SESSIONS, state_dir);
    let (news, waiting) = mpsc::channel(QUEUE);
    news.send(News::Happened(note(1, "not kept")))
        .await
        .unwrap();
    drop(news);
    Writing::new(pen).run(waiting, Arc::default()).await;
}

#[test]
fn what_was_lost_is_told_once() {
    let mut history = History::beginning(UNIX_EPOCH);
    let crashed = History::beginning(UNIX_EPOCH);
    let lost = || Line::lost(at(7), 3);
    history.recall(lost(), |_| true);
    // What was condensed, with a crash before the present file was emptied.
    history.recall(lost(), |_| true);
    assert_eq!(crashed.records(None).len() + 1, history.records(None).len());
}

/// It is retried now and then, and what would be overwritten is not given up at once.
#[test]
fn a_file_that_cannot_be_condensed_does_not_grow_without_bound() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = open(&directory);
    let [present, former] =
        [OF_SESSIONS.present, OF_SESSIONS.former].map(|name| state_dir.path(name));
    let text = line(1, &"x".repeat(1000)).repeat(64);
    // Something that is in the way of what is condensed, but not of a file that is renamed.
    let temporary = former.with_extension("json.new");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::write(&former, line(0, "before")).unwrap();
    let mut pen = Pen::new(OF_SESSIONS, Arc::clone(&state_dir));
    let mut longest = 0;
    while std::fs::metadata(&former).unwrap().len() < LIMIT {
        pen.append(&text).unwrap();
        let length = std::fs::metadata(&present).unwrap().len();
        longest = length.max(longest);
        assert!(length < OVERFULL + LIMIT, "{length}");
    }
    assert!(longest >= OVERFULL, "{longest}");
    // Where nothing at all can be done, nothing is added.
    std::fs::remove_file(&former).unwrap();
    std::fs::create_dir(&former).unwrap();
    let refused = (0..40).find(|_| pen.append(&text).is_err());
    assert!(refused.is_some());
    assert!(std::fs::metadata(&present).unwrap().len() < OVERFULL + LIMIT);
    // And it goes on when it can be.
    std::fs::remove_dir(&former).unwrap();
    std::fs::remove_dir(&temporary).unwrap();
    pen.append(&text).unwrap();
    assert!(std::fs::metadata(&present).unwrap().len() < LIMIT);
}
