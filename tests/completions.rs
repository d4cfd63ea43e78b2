//! The command line completed by the shells themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::help::Help;
use crate::support::require;

/// The script for a shell, in a file with the name that it looks for.
fn script(daemon: &Daemon, shell: &str, name: &str) -> PathBuf {
    let text = daemon.command(&["completions", shell]).succeeded().stdout;
    let file = daemon.home().join(name);
    std::fs::write(&file, text).expect("the home is ours");
    file
}

/// Runs a shell without the developer's settings. It must say nothing on stderr.
#[track_caller]
fn run(daemon: &Daemon, words: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").args(words).env_clear().current_dir(daemon.home()).env("HOME", daemon.home());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    let finished = command.output().expect("`timeout` belongs to the basic programs");
    assert!(finished.status.success() && finished.stderr.is_empty(), "{words:?}: {finished:?}");
    String::from_utf8(finished.stdout).expect("what we print is UTF-8")
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Asks a shell about each command; `complete` gives what it offers behind a line.
#[track_caller]
fn offers_what_help_tells(daemon: &Daemon, complete: impl Fn(&str) -> BTreeSet<String>) {
    for help in Help::of_all(daemon) {
        let command = help.command();
        assert_eq!(complete(&format!("{command} --")), help.options, "{command}");
        let offered = complete(&format!("{command} "));
        let words: BTreeSet<_> = offered.iter().filter(|word| !word.starts_with('-')).cloned().collect();
        if help.words.is_empty() {
            assert_eq!(words, help.commands, "{command}");
        }
        assert!(words.is_superset(&help.commands), "{command}: {words:?}");
    }
    assert_eq!(complete("mailknock auto"), set(&["autostart"]));
    assert!(complete("mailknock autostart ").is_superset(&set(&["enable", "disable", "status"])));
    let servers =
        Help::of_all(daemon).into_iter().find(|help| help.words == ["setup"]).expect("it is a command").values;
    assert!(servers.contains("dovecot-lua") && complete("mailknock setup ").is_superset(&servers));
    assert_eq!(complete("mailknock setup post"), set(&["postfix"]));
    assert_eq!(complete("mailknock status --format "), set(&["text", "waybar"]));
    for hidden in ["mailknock hol", "mailknock help hol", "mailknock send --detached"] {
        assert_eq!(complete(hidden), set(&[]), "{hidden}");
    }
    // Files stand only where a file is meant.
    std::fs::write(daemon.home().join("some.toml"), "").expect("the home is ours");
    assert_eq!(complete("mailknock -c some"), set(&["some.toml"]));
    assert_eq!(complete("mailknock check -c some"), set(&["some.toml"]));
    for elsewhere in ["mailknock recent --search some", "mailknock setup some"] {
        assert_eq!(complete(elsewhere), set(&[]), "{elsewhere}");
    }
}

#[test]
fn bash_completes_the_command_line() {
    if !require(&["bash"]) {
        return;
    }
    let daemon = Daemon::new();
    let script = script(&daemon, "bash", "mailknock").display().to_string();
    // As readline does: the function that is registered gets the line's words, the last one and the one before. What it
    // can do to the running completion it can't here.
    let ask = r#"
        compopt() { :; }
        source "$1"
        [[ $(complete -p mailknock) =~ -F\ ([^ ]+) ]] || exit
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" mailknock "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    offers_what_help_tells(&daemon, |line| {
        let words: Vec<&str> = line.split(' ').collect();
        let typed = words.last().copied().unwrap_or_default();
        let offered =
            run(&daemon, &[&["bash", "--norc", "--noprofile", "-c", ask, "bash", &script], &words[..]].concat());
        // What is typed already is no offer, where it is none of the names.
        let is_new = |word: &&str| !word.is_empty() && *word != typed;
        offered.lines().filter(is_new).map(str::to_owned).collect()
    });
}

#[test]
fn fish_completes_the_command_line() {
    if !require(&["fish"]) {
        return;
    }
    let daemon = Daemon::new();
    let script = script(&daemon, "fish", "mailknock.fish").display().to_string();
    offers_what_help_tells(&daemon, |line| {
        let ask = "source $argv[1]; complete -C $argv[2]";
        let offered = run(&daemon, &["fish", "--no-config", "-c", ask, &script, line]);
        // Behind a tab stands what it is.
        offered.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    });
}

/// Types at an interactive zsh, in a terminal of its own. Each line waits for what the one before printed, which no echo
/// of what is typed looks like.
const TYPE: &str = r#"
    zmodload zsh/zpty
    directory=$1 lines=("${@[2,-1]}") step=0
    follow() {
        zpty -w shell "print step-\$(($step + 0))-done"
        zpty -r shell heard "*step-$step-done*" || exit
        ((step += 1))
    }
    zpty shell zsh -f -i
    zpty -w shell "mailknock() { print -r -- \"\$@\" >> ${(q)directory}/ran }"
    zpty -w shell "fpath=(${(q)directory} \$fpath); autoload -Uz compinit; compinit -u -d ${(q)directory}/dump"
    zpty -w shell "print -r -- \$_comps[mailknock] >> ${(q)directory}/ran"
    follow
    for line in $lines; do
        zpty -w -n shell "$line"$'\t\n'
        follow
    done
"#;

#[test]
fn zsh_completes_the_command_line() {
    if !require(&["zsh"]) {
        return;
    }
    let daemon = Daemon::new();
    let script = script(&daemon, "zsh", "_mailknock");
    run(&daemon, &["zsh", "-n", &script.display().to_string()]);
    let mut expected = vec!["_mailknock".to_owned()];
    let mut lines = Vec::new();
    for (typed, completed) in [
        ("auto", "autostart"),
        ("autostart en", "autostart enable"),
        ("setup post", "setup postfix"),
        ("setup --scr", "setup --script"),
        ("status --fo", "status --fo"),
        ("status --format=way", "status --format=waybar"),
        ("send --uid-", "send --uid-validity"),
        // What the explanations hold isn't run.
        ("completions fi", "completions fish"),
        ("completions ", "completions"),
        ("help auto", "help autostart"),
        ("hol", "hol"),
        ("send --detache", "send --detache"),
    ] {
        lines.push(format!("mailknock {typed}"));
        expected.push(completed.to_owned());
    }
    let directory = daemon.home().display().to_string();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    run(&daemon, &[&["zsh", "-f", "-c", TYPE, "zsh", &directory], &lines[..]].concat());
    assert_eq!(ran(&daemon.home().join("ran")), expected);
}

/// The command lines that were run, without what stands at their ends.
fn ran(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.trim_end().trim_end_matches('=').to_owned()).collect()
}
