use super::*;
use crate::event::EventKind;
use crate::store::Store;
use std::path::PathBuf;

/// A directory of its own for each test, gone afterwards.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("state/record.sqlite")
    }

    fn open(&self) -> (Record, Loaded, Option<String>) {
        Record::open(&self.path(), Retention::default())
    }
}

fn accept(store: &mut Store, user: &str, handlers: &[&str]) {
    let mut event = Event::new(EventKind::MessageNew, user);
    event.snippet = Some("a secret".into());
    event.subject = Some(crate::mime::subject("Grüße"));
    let handlers: Vec<Arc<str>> = handlers.iter().map(|name| Arc::from(*name)).collect();
    store.accept(event, &handlers, Timestamp::now(), crate::store::Known::All);
}

fn users(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.user.as_str()).collect()
}

#[test]
fn what_was_written_comes_back() {
    let home = Home::new();
    let (mut record, loaded, moved) = home.open();
    assert!(loaded.entries.is_empty() && moved.is_none() && record.fault().is_none());
    let mut store = Store::default();
    accept(&mut store, "a", &["fetch"]);
    accept(&mut store, "b", &["fetch", "notify"]);
    let (run, _) = store.start(&Arc::from("fetch"));
    let group = GroupId { id: 77, started: 5, boot: "b".into() };
    store.group(run, group.clone());
    assert!(record.write(&store.take_changes()));
    drop(record);

    let (mut record, loaded, _) = home.open();
    assert_eq!((users(&loaded.entries), loaded.last_entry, loaded.last_run), (vec!["a", "b"], 2, 1));
    assert_eq!(loaded.groups, [group]);
    assert_eq!(loaded.entries[0].deliveries[0].state, DeliveryState::Running(run));
    assert_eq!(loaded.entries[1].deliveries[1].state, DeliveryState::Waiting);
    store.finish(run, "done");
    record.write(&store.take_changes());
    drop(record);

    let (_, loaded, _) = home.open();
    assert!(loaded.groups.is_empty());
    assert_eq!(loaded.entries[0].deliveries[0].state, DeliveryState::Finished("done".into()));
    let (mut store, waiting, _) = Store::resume(loaded);
    assert_eq!(waiting, [Arc::from("notify")]);
    assert_eq!(users(&store.start(&Arc::from("notify")).1), ["b"]);
}

#[test]
fn repeats_are_known_across_restarts() {
    let home = Home::new();
    let mut message = Event::new(EventKind::MessageNew, "me");
    (message.folder, message.uid, message.uid_validity) = (Some("INBOX".into()), Some(1), Some(9));
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    store.accept(message.clone(), &[], Timestamp::now(), crate::store::Known::All);
    record.write(&store.take_changes());
    let (mut store, ..) = Store::resume(home.open().1);
    assert_eq!(
        store.accept(message, &[], Timestamp::now(), crate::store::Known::All),
        crate::store::Accepted::Repeat(None)
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    accept(&mut store, "a", &[]);
    record.write(&store.take_changes());
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(home.path().parent().expect("it has a directory")), 0o700);
    for file in fs::read_dir(home.path().parent().expect("it has a directory")).expect("readable").flatten() {
        assert_eq!(mode(&file.path()), 0o600, "{:?}", file.path());
    }
}

#[test]
fn snippets_are_not_at_rest_unless_asked_for() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    accept(&mut store, "a", &["never"]);
    record.write(&store.take_changes());
    let on_disk = |word: &str| {
        let files = fs::read_dir(home.path().parent().expect("it has a directory")).expect("readable").flatten();
        files
            .map(|file| fs::read(file.path()).expect("readable"))
            .any(|bytes| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    };
    assert!(on_disk("Grüße") && !on_disk("a secret"));
    record.retain(Retention { content: Content::Full, ..Retention::default() });
    accept(&mut store, "b", &["never"]);
    record.write(&store.take_changes());
    assert!(on_disk("a secret"));
}

#[test]
fn finished_entries_go_by_number_and_unfinished_ones_never() {
    let home = Home::new();
    let retention = Retention { keep: 10, ..Retention::default() };
    let (mut record, ..) = Record::open(&home.path(), retention);
    let mut store = Store::default();
    accept(&mut store, "kept", &["never"]);
    for at in 0..50 {
        accept(&mut store, &at.to_string(), &[]);
    }
    record.write(&store.take_changes());
    drop(record.tidy());
    let left = recent(&home.path(), 1000, |_| true).expect("readable");
    assert_eq!(left.len(), 10);
    assert_eq!((left[0].event.user.as_str(), left[9].event.user.as_str()), ("49", "kept"));
}

#[test]
fn a_clock_that_jumps_ahead_takes_no_more_than_a_few() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    for at in 0..100 {
        let event = Event::new(EventKind::MessageNew, at.to_string());
        store.accept(event, &[], Timestamp::UNIX_EPOCH, crate::store::Known::All);
    }
    record.write(&store.take_changes());
    drop(record.tidy());
    assert_eq!(recent(&home.path(), 1000, |_| true).expect("readable").len(), 80);
}

#[test]
fn a_damaged_record_is_moved_aside_and_a_new_one_begins() {
    let home = Home::new();
    fs::create_dir_all(home.path().parent().expect("it has a directory")).expect("created");
    fs::write(home.path(), b"this is no database, but it is long enough to be looked at as one".repeat(100))
        .expect("written");
    let (mut record, loaded, moved) = home.open();
    assert!(loaded.entries.is_empty() && record.fault().is_none());
    assert!(moved.expect("it was moved").contains("damaged"));
    let mut store = Store::default();
    accept(&mut store, "a", &[]);
    assert!(record.write(&store.take_changes()));
    assert_eq!(recent(&home.path(), 9, |_| true).expect("readable").len(), 1);
    assert!(home.path().with_extension("damaged").exists());
}

#[test]
fn tables_of_another_making_are_a_damaged_record() {
    let home = Home::new();
    create_private(&home.path()).expect("created");
    let connection = Connection::open(home.path()).expect("opened");
    connection.execute_batch("CREATE TABLE entry (x); PRAGMA user_version = 1").expect("written");
    drop(connection);
    let (record, _, moved) = home.open();
    assert!(moved.is_some() && record.fault().is_none());
}

#[test]
fn a_newer_record_is_left_alone() {
    let home = Home::new();
    create_private(&home.path()).expect("created");
    let connection = Connection::open(home.path()).expect("opened");
    connection.execute_batch("CREATE TABLE future (x); PRAGMA user_version = 99").expect("written");
    drop(connection);
    let before = fs::read(home.path()).expect("readable");
    let (mut record, _, moved) = home.open();
    assert_eq!((record.fault(), moved), (Some(&Fault::Newer), None));
    let mut store = Store::default();
    accept(&mut store, "a", &[]);
    assert!(!record.write(&store.take_changes()));
    assert_eq!(fs::read(home.path()).expect("readable"), before);
    assert!(recent(&home.path(), 9, |_| true).expect_err("it can't be read").contains("newer"));
}

#[test]
fn a_locked_disk_is_waited_for_less_than_a_second_and_caught_up_with() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let other = Connection::open(home.path()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let mut store = Store::default();
    accept(&mut store, "a", &["never"]);
    let begun = std::time::Instant::now();
    assert!(!record.write(&store.take_changes()));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(matches!(record.fault(), Some(Fault::Disk(_))) && record.is_behind());
    other.execute_batch("COMMIT").expect("unlocked");
    accept(&mut store, "b", &["never"]);
    store.take_changes();
    assert!(record.write(&store.snapshot()));
    assert!(record.fault().is_none() && !record.is_behind());
    assert_eq!(users(&recent(&home.path(), 9, |_| true).expect("readable")), ["b", "a"]);
}

#[test]
fn searching_looks_at_what_people_see_in_any_case() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    accept(&mut store, "alice", &[]);
    accept(&mut store, "bob", &[]);
    record.write(&store.take_changes());
    let found = |text: &str| recent(&home.path(), 9, |event| holds(event, text)).expect("readable").len();
    assert_eq!((found("GRÜSSE"), found("GRÜßE"), found("ALIC"), found("' OR 1 --"), found("%")), (0, 2, 1, 0, 0));
}

#[test]
fn clearing_leaves_what_is_not_finished_and_no_trace_of_the_rest() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    accept(&mut store, "long gone", &[]);
    accept(&mut store, "waiting", &["never"]);
    record.write(&store.take_changes());
    assert_eq!(clear(&home.path()), Ok(1));
    assert_eq!(users(&recent(&home.path(), 9, |_| true).expect("readable")), ["waiting"]);
    let bytes = fs::read(home.path()).expect("readable");
    assert!(!bytes.windows(9).any(|window| window == b"long gone"));
    accept(&mut store, "next", &[]);
    assert!(record.write(&store.take_changes()), "the writer goes on");
}

#[test]
fn a_checkpoint_leaves_an_empty_log_and_loses_nothing() {
    let home = Home::new();
    let (mut record, ..) = home.open();
    let mut store = Store::default();
    accept(&mut store, "a", &["never"]);
    record.write(&store.take_changes());
    assert!(record.is_untidy());
    record.tidy().expect("there is something to do")();
    assert!(!record.is_untidy() && record.tidy().is_none());
    accept(&mut store, "b", &["never"]);
    assert!(record.write(&store.take_changes()));
    assert_eq!(recent(&home.path(), 9, |_| true).expect("readable").len(), 2);
}
