//! A record that isn't what we left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::push;
use crate::control::wait_status;
use crate::record::{AT_ONCE, LATER, database, files, subjects};
use crate::support::daemon::Daemon;

fn recipe() -> Daemon {
    Daemon::new().config(&format!("{AT_ONCE}{LATER}"))
}

/// A record with some history, in one file: its name and bytes.
fn sound() -> (PathBuf, Vec<u8>) {
    let daemon = recipe().start();
    let event = |number| format!(r#"{{"user":"me","event":"messageNew","subject":"old {number}"}}"#);
    daemon.push(&format!("[{}]", (0..200).map(event).collect::<Vec<_>>().join(","))).accepted();
    daemon.push(r#"{"user":"later","event":"messageNew","subject":"waits"}"#).accepted();
    let recipe = daemon.recipe().clone();
    daemon.stop();
    let path = database(&recipe);
    let connection = Connection::open(&path).expect("it can be opened");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody else has it open");
    drop(connection);
    (PathBuf::from(path.file_name().expect("it has a name")), fs::read(&path).expect("it is ours"))
}

/// A program that finds these bytes in place of its record.
fn with(name: &Path, bytes: &[u8]) -> Daemon {
    let recipe = recipe();
    fs::create_dir_all(recipe.path("state/mailknock")).expect("the directory is ours");
    fs::write(recipe.path("state/mailknock").join(name), bytes).expect("the directory is ours");
    recipe
}

#[test]
fn a_damaged_record_is_moved_aside_and_a_new_one_begun() {
    let (name, sound) = sound();
    let flipped = |range: std::ops::Range<usize>| {
        let mut bytes = sound.clone();
        bytes[range].iter_mut().for_each(|byte| *byte ^= 0xff);
        bytes
    };
    let middle = sound.len() / 2;
    let mut cases = vec![
        ("garbage".to_owned(), b"this is no database\n".repeat(1000), true),
        ("a short word".to_owned(), b"no".to_vec(), true),
        ("a flipped head".to_owned(), flipped(0..100), true),
        ("a flipped first page".to_owned(), flipped(100..4096), true),
    ];
    for length in [0, 1, 50, 100, 4096, 5000, middle, sound.len() - 1] {
        cases.push((format!("cut to {length}"), sound[..length].to_vec(), false));
    }
    for at in (4096..sound.len()).step_by(4096) {
        cases.push((format!("flipped at {at}"), flipped(at..at + 64), false));
        cases.push((format!("flipped behind {at}"), flipped(at + 3000..at + 3100), false));
    }
    for (case, bytes, is_surely_damaged) in cases {
        let recipe = with(&name, &bytes);
        let mut daemon = recipe.start();
        push(&daemon, "first");
        push(&daemon, "second");
        push(&daemon, "third");
        if is_surely_damaged {
            daemon.wait_log("the record was damaged; it is now ");
            let aside = files(&recipe).into_iter().find(|file| file.extension().is_some_and(|end| end == "damaged"));
            assert_eq!(fs::read(aside.expect("it is kept")).expect("it is ours"), bytes, "{case}");
        }
        let log = daemon.log();
        assert!(daemon.is_alive(), "{case}:\n{log}");
        daemon.stop();
        let newest = subjects(&recipe, &["-n", "3"]);
        assert_eq!(newest, ["third", "second", "first"], "{case}:\n{log}");
        // The next start finds nothing wrong any more.
        let daemon = recipe.start();
        push(&daemon, "fourth");
        let again = daemon.stop().stderr;
        assert!(!again.contains("damaged") && !again.contains("can't be"), "{case}:\n{log}\nand again:\n{again}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_costs_no_other() {
    let (name, bytes) = sound();
    let last = "(SELECT max(id) FROM entry)";
    for damage in [
        format!("UPDATE entry SET event = '{{' WHERE id = {last}"),
        format!("UPDATE entry SET event = CAST(x'7bff' AS TEXT) WHERE id = {last}"),
        format!("UPDATE entry SET event = 5 WHERE id = {last}"),
        format!("UPDATE entry SET at = 'soon' WHERE id = {last}"),
        format!("UPDATE entry SET at = 9223372036854775807 WHERE id = {last}"),
    ] {
        let recipe = with(&name, &bytes);
        let connection = Connection::open(database(&recipe)).expect("it can be opened");
        connection.execute_batch(&damage).expect("the layout is as it was");
        drop(connection);
        let daemon = recipe.start();
        push(&daemon, "first");
        assert_eq!(subjects(&recipe, &["-n", "2"]), ["first", "old 199"], "{damage}");
        let log = daemon.stop().stderr;
        assert!(!log.contains("can't be") && !log.contains("damaged"), "{damage}:\n{log}");
    }
}

#[test]
fn a_newer_programs_record_is_left_as_it_is() {
    let (name, bytes) = sound();
    let recipe = with(&name, &bytes);
    let path = database(&recipe);
    let connection = Connection::open(&path).expect("it can be opened");
    connection.pragma_update(None, "user_version", 99).expect("it can be written");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody else has it open");
    drop(connection);
    let newer = fs::read(&path).expect("it is ours");
    let mut daemon = recipe.start();
    daemon.wait_log("the record was written by a newer version; events are kept in memory only");
    push(&daemon, "first");
    push(&daemon, "second");
    let shown = recipe.command(&["recent"]).ended_with(1);
    assert!(shown.stderr.contains("newer version"), "{shown:?}");
    let cleared = recipe.command(&["recent", "--clear"]).ended_with(1);
    assert!(cleared.stderr.contains("newer version"), "{cleared:?}");
    daemon.stop();
    assert!(fs::read(&path).expect("it is ours") == newer, "it was touched");
}

#[test]
fn another_programs_lock_delays_nobody_and_is_caught_up_with() {
    let recipe = recipe();
    let mut daemon = recipe.start();
    push(&daemon, "before");
    let connection = Connection::open(database(&recipe)).expect("it can be opened");
    for round in ["first", "second"] {
        let seen = daemon.log_length();
        connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else holds it");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(2) {
            push(&daemon, round);
        }
        // The log tells the same once a minute.
        wait_status(&recipe, "the fault", |status| status["record"] == "memory");
        connection.execute_batch("ROLLBACK").expect("it is ours");
        push(&daemon, &format!("after the {round}"));
        daemon.wait_log_after(seen, "the record is written again");
        let names = subjects(&recipe, &["-n", "3"]);
        assert_eq!(names, [&format!("after the {round}"), round, round]);
    }
    daemon.stop();

    // The same from the start: what waited before must not be lost over it.
    let daemon = recipe.start();
    daemon.push(r#"{"user":"later","event":"messageNew","subject":"waits"}"#).accepted();
    daemon.kill();
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("nobody else holds it");
    let mut daemon = recipe.start();
    push(&daemon, "locked out");
    daemon.wait_log("the record can't be written");
    drop(connection);
    push(&daemon, "let in");
    daemon.wait_log("the record is written again");
    assert_eq!(subjects(&recipe, &["-n", "3"]), ["let in", "locked out", "waits"]);
    daemon.stop();
}
