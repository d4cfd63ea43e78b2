//! What is given to people for ssh, as the real programs understand it: what `setup ssh` prints, and the service.

mod port;
mod service;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::daemon::Daemon;
use crate::support::local_sshd::{AUTH, LocalSshd, PROGRAMS, new_key};
use crate::support::{find_program, require};

/// Runs it to its end, and gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the test has required it");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A step of the page, without its title: that is in the title.
#[track_caller]
fn step<'a>(page: &'a str, title: &str) -> &'a str {
    let mut steps = page.split("\n# ==== ").filter_map(|step| step.split_once('\n'));
    let found = steps.find(|(found, _)| found.contains(title));
    found.unwrap_or_else(|| panic!("no step `{title}` in\n{page}")).1
}

#[test]
fn the_printed_block_is_in_effect_for_the_tunnels_account_alone() {
    if !require(&["sshd", "ssh-keygen"]) {
        return;
    }
    let tunnel = "[tunnel]\nhost = \"tun@mail.example.org\"\nremote = \"[::1]:7\"\n";
    let recipe = Daemon::new().config(&format!("{AUTH}{tunnel}"));
    let page = recipe.command(&["setup", "ssh"]).succeeded().stdout;
    let block = recipe.path("block");
    std::fs::write(&block, step(&page, "administrator of mail.example.org")).expect("the directory is ours");
    let key = recipe.path("host-key");
    new_key(&key);
    let sshd = |words: &[&str]| {
        let mut command = Command::new(find_program("sshd").expect("the test has required it"));
        run(command.arg("-f").arg(&block).arg("-h").arg(&key).args(words))
    };
    assert_eq!(sshd(&["-t"]), "");
    let effective = |user: &str| sshd(&["-T", "-C", &format!("user={user},host=h,addr=10.0.0.1")]);
    let (ours, others) = (effective("tun"), effective("alice"));
    for line in [
        "permitlisten [::1]:7",
        "permitopen [::1]:7",
        "permittty no",
        "allowstreamlocalforwarding no",
        "allowagentforwarding no",
        "clientaliveinterval 15",
        "clientalivecountmax 2",
    ] {
        assert!(ours.lines().any(|found| found == line), "no `{line}` in\n{ours}");
        assert!(!others.lines().any(|found| found == line), "`{line}` in\n{others}");
    }
}

#[test]
fn with_the_printed_line_the_key_keeps_its_tunnel_and_opens_no_other_port() {
    if !require(&PROGRAMS) {
        return;
    }
    let recipe = Daemon::new();
    let server = LocalSshd::start(&recipe);
    let recipe = recipe.config(&server.config());
    let page = recipe.command(&["setup", "ssh"]).succeeded().stdout;
    assert!(!page.contains("PRIVATE") && !page.contains("localhost"), "{page}");
    let step = step(&page, "authorized_keys");
    let line = step.lines().next().expect("the step has lines");
    let keys = recipe.path("authorized_keys");
    std::fs::write(&keys, line).expect("the directory is ours");
    let fingerprint =
        |file: &Path| run(Command::new("ssh-keygen").arg("-lf").arg(file)).split(' ').nth(1).map(str::to_owned);
    let own = fingerprint(&server.key().with_extension("pub"));
    assert!(own.is_some() && fingerprint(&keys) == own, "{line}");

    server.authorize_line(line);
    let found = recipe.command(&["doctor"]).succeeded().stdout;
    assert!(found.contains(&format!("ok       tunnel to {}: what the mail server sends", server.host())), "{found}");
    assert!(!found.contains("any port"), "{found}");

    // As it is for an account that somebody uses: the tunnel stands, and the key runs nothing.
    let lock = step_word(step, "command=");
    server.authorize_line(&format!("{lock}{line}"));
    recipe.command(&["doctor"]).succeeded();
    let mut ssh = Command::new("ssh");
    ssh.args(server.options()).args(["-o", "BatchMode=yes", &server.host(), "echo it runs"]).stdin(Stdio::null());
    let output = ssh.output().expect("the test has required it");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("it runs"), "{output:?}");
}

/// The word of a text that begins so.
#[track_caller]
fn step_word<'a>(text: &'a str, start: &str) -> &'a str {
    let found = text.split_whitespace().find(|word| word.starts_with(start));
    found.unwrap_or_else(|| panic!("no `{start}` in\n{text}"))
}
