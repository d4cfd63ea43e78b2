//! The manual page, as man shows it.

use std::collections::HashMap;
use std::io::{Seek, Write};
use std::process::{Command, Output, Stdio};

use crate::support::daemon::Daemon;
use crate::support::help::Help;
use crate::support::{repository_file, require};

fn page() -> String {
    Daemon::new().command(&["man"]).succeeded().stdout
}

/// A program that reads the page, where nothing of the developer's settings reaches it.
fn read_by(program: &str, arguments: &[&str], page: &str) -> Output {
    let mut input = tempfile::tempfile().expect("there is room");
    input.write_all(page.as_bytes()).and_then(|()| input.rewind()).expect("the file is ours");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::from(input)).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([("LC_ALL", "C.UTF-8"), ("MANROFFSEQ", ""), ("MANWIDTH", "80")]);
    command.output().expect("it is installed")
}

/// As it is read at a terminal.
fn rendered(page: &str) -> String {
    let shown = read_by("man", &["-l", "-"], page);
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).expect("it was told to write UTF-8")
}

/// In one line, as it doesn't matter where lines end.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text below each heading of a kind, which is told by how far in it stands.
fn below_headings(text: &str, indent: usize) -> HashMap<&str, String> {
    let mut found: HashMap<&str, String> = HashMap::new();
    let mut heading = "";
    for line in text.lines() {
        let inner = line.trim_start();
        if !inner.is_empty() && line.len() - inner.len() <= indent {
            heading = inner;
        }
        let text = found.entry(heading).or_default();
        text.push_str(line);
        text.push('\n');
    }
    found
}

#[test]
fn man_finds_nothing_wrong_with_the_page() {
    if !require(&["man", "groff", "mandoc"]) {
        return;
    }
    let page = page();
    let checked = |page: &str| read_by("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"], page);
    let found = checked(&page);
    assert!(found.status.success() && found.stderr.is_empty(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(!checked(&format!("{page}.nonsense\n")).stderr.is_empty(), "warnings are heard");

    let found = read_by("mandoc", &["-T", "lint", "-W", "warning"], &page);
    let found = String::from_utf8(found.stdout).unwrap();
    // The same program prints the same page, whenever it was built.
    let found: Vec<_> = found.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_page_tells_of_every_command_and_option() {
    if !require(&["man", "groff"]) {
        return;
    }
    let daemon = Daemon::new();
    let shown = rendered(&page());
    let (sections, commands) = (below_headings(&shown, 0), below_headings(&shown, 3));
    let everywhere = Help::of_all(&daemon).swap_remove(0).options;
    for option in &everywhere {
        assert!(sections["OPTIONS"].contains(option), "{option}: {}", sections["OPTIONS"]);
    }
    for help in Help::of_all(&daemon) {
        // The commands below it have a part each.
        if !help.commands.is_empty() {
            continue;
        }
        let name = help.words.join(" ");
        let text = commands.get(name.as_str()).unwrap_or_else(|| panic!("no `{name}` in\n{shown}"));
        let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches([',', '[', ']'])).collect();
        for word in help.options.difference(&everywhere).chain(&help.values).chain(&help.option_values) {
            assert!(words.contains(&word.as_str()), "{name}: no {word} in\n{text}");
        }
        assert!(in_one_line(text).contains(&help.command()), "{name}: no synopsis in\n{text}");
    }
    assert!(!commands.contains_key("hold") && !shown.contains("--detached"), "{shown}");
}

#[test]
fn the_page_has_the_parts_that_pages_have() {
    if !require(&["man", "groff"]) {
        return;
    }
    let shown = rendered(&page());
    let headings = shown.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let headings: Vec<_> = headings.filter(|line| !line.contains('(')).collect();
    let expected = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "FILES", "ENVIRONMENT"];
    assert_eq!(headings, [&expected[..], &["SEE ALSO"]].concat());
    let sections = below_headings(&shown, 0);
    assert!(in_one_line(&sections["NAME"]).starts_with("NAME mailknock - Desktop notifications, "), "{shown}");
    let own = Daemon::new().config_path();
    let own = own.file_name().and_then(|name| name.to_str()).expect("it is UTF-8");
    assert!(sections["FILES"].contains(&format!("~/.config/mailknock/{own}\n")), "{shown}");
}

#[test]
fn the_exit_codes_on_the_page_are_those_of_the_readme() {
    if !require(&["man", "groff"]) {
        return;
    }
    let shown = in_one_line(&rendered(&page()));
    let readme = std::fs::read_to_string(repository_file("README.md")).expect("it is part of the repository");
    let (_, table) = readme.split_once("| command | exit code |\n").expect("the table is there");
    let mut rows = 0;
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let row = row.replace(['`', '*'], "");
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(shown.contains(&cells.join(" ")), "no {cells:?} in\n{shown}");
        rows += 1;
    }
    assert!(rows > 10, "only {rows} rows were seen");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    for arguments in [&["man"][..], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailknock"));
        let finished = command.args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(finished.status.success() && finished.stderr.is_empty(), "{arguments:?}: {finished:?}");
    }
}
