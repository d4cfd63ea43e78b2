//! Mailknock's own tunnel while what it leads through goes away and comes back: sshd, the cable, the packets on it, the
//! desktop itself.

use std::time::{Duration, Instant};

use crate::support::daemon::Signal;
use crate::support::dovecot::Dovecot;
use crate::support::network::Network;
use crate::support::program;
use crate::support::sshd::Sshd;
use crate::support::tunnel::{HEALED, KNOWN, Link, PUSH_URL, QUICK, table};
use crate::support::wait::{holds, wait_at_most};

/// Between two fetches of what may have been missed.
const BETWEEN_FETCHES: Duration = Duration::from_secs(5 * 60);
/// A gap that is fetched for.
const GAP: Duration = Duration::from_secs(30);

/// Waits until a fault has lasted so long.
fn wait_lasted(since: Instant, length: Duration) {
    wait_at_most(length + HEALED, "time to pass", String::new, || holds(since.elapsed() >= length));
}

#[test]
fn an_sshd_that_is_not_there_yet_is_found_when_it_comes() {
    if !Link::available() {
        return;
    }
    let network = Network::new();
    let mut sshd = Sshd::start_alive(&network, 1, 3);
    sshd.stop();
    let started = Instant::now();
    let mut link = Link::start(network, sshd, &QUICK);
    let down = link.wait_down() - started;
    link.wait_reason("Connection refused");
    link.push_refused("to nobody");
    assert_eq!(link.fetch.starts(), [], "there is nothing to fetch from yet");
    let remedy = Instant::now();
    link.sshd.start_again();
    let up = link.wait_first_up() - remedy;
    link.push("found");
    table("sshd not there at the start", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn an_end_of_sshds_listener_alone_goes_unnoticed() {
    if !Link::available() {
        return;
    }
    let mut link = Link::up(&QUICK);
    let ssh = link.ssh();
    link.push("before");
    link.sshd.kill_listener_only();
    link.look();
    link.push("meanwhile");
    link.sshd.start_again();
    link.look();
    link.push("after");
    assert_eq!((link.ssh(), link.states()), (ssh, vec!["connecting".to_owned(), "up".to_owned()]), "{}", link.log());
    table("listener of sshd ended, connections not", None, None);
    link.stop(1);
}

#[test]
fn when_sshd_ends_its_connections_that_is_known_at_once_and_healed_when_it_is_back() {
    if !Link::available() {
        return;
    }
    let mut link = Link::up(&QUICK);
    let first = link.ssh();
    link.push("before");
    let fault = Instant::now();
    link.sshd.stop();
    let down = link.wait_down() - fault;
    link.wait_reason("closed by remote host");
    link.push_refused("meanwhile");
    // It tries in vain.
    link.wait_reason("Connection refused");
    let remedy = Instant::now();
    link.sshd.start_again();
    let up = link.wait_up() - remedy;
    assert!(!link.ssh().is_same(&first));
    link.push("after");
    table("sshd and its connections ended", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn a_cable_that_is_out_for_longer_than_the_keep_alive_is_healed_when_it_is_back() {
    if !Link::available() {
        return;
    }
    let link = Link::up(&QUICK);
    link.push("before");
    let fault = Instant::now();
    link.network.cut();
    let down = link.wait_down() - fault;
    link.wait_reason("Timeout, server 10.77.0.1 not responding");
    link.sshd.wait_log("Timeout, client not responding");
    link.push_refused("meanwhile");
    // It tries in vain.
    link.wait_reason("connect to host 10.77.0.1 port 2222");
    let remedy = Instant::now();
    link.network.restore();
    let up = link.wait_up() - remedy;
    link.push("after");
    table("cable out, keep-alive 2 s x 2", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn packets_that_are_lost_without_a_word_are_known_of_within_a_minute() {
    if !Link::available() {
        return;
    }
    let link = Link::up(&[]);
    let first = link.ssh();
    link.push("before");
    // The worst moment: the next try is 45 seconds away.
    link.look();
    let fault = Instant::now();
    link.network.drop_all();
    let down = link.wait_down() - fault;
    assert!(down <= KNOWN, "{down:?}");
    link.push_refused("meanwhile");
    link.wait_gone(&first);
    link.wait_reason("Timeout, server 10.77.0.1 not responding");
    let reasons = link.reasons();
    assert!(reasons[0].contains("nothing comes through"), "we know before ssh does: {reasons:#?}");
    let remedy = Instant::now();
    link.network.let_through();
    let up = link.wait_up() - remedy;
    link.push("after");
    table("packets lost, default keep-alive, until ssh gave up", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn a_loss_of_packets_that_ends_before_ssh_gives_up_is_healed_with_the_same_ssh() {
    if !Link::available() {
        return;
    }
    let network = Network::new();
    // Neither side gives up.
    let sshd = Sshd::start_alive(&network, 15, 4);
    let link = Link::start(network, sshd, &[]);
    link.wait_first_up();
    let ssh = link.ssh();
    link.push("before");
    let fault = Instant::now();
    link.network.drop_all();
    // Somebody wants to know: a try of our own would come within 45 seconds.
    let look = link.look_later();
    let mut late = link.push_unanswered(&link.mail("late"), "late").expect("the server's end is there");
    let down = link.wait_down() - fault;
    look.wait();
    link.wait_reason("nothing comes through");
    let remedy = Instant::now();
    link.network.let_through();
    let up = link.wait_up() - remedy;
    assert_eq!(link.ssh(), ssh, "{}", link.log());
    late.response().accepted();
    link.accept("late");
    link.wait_popup("late");
    link.push("after");
    table("packets lost for 10 s, default keep-alive", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn a_long_gap_is_fetched_for_five_minutes_after_the_last_fetch_and_a_short_one_never() {
    if !Link::available() {
        return;
    }
    let short = Link::up(&QUICK);
    // It came first: what it would fetch for it would fetch for first.
    let long = Link::up(&QUICK);
    let fetched = Instant::now();
    for link in [&short, &long] {
        link.push("before");
    }
    short.look();
    let fault = Instant::now();
    short.network.drop_all();
    let down = short.wait_down() - fault;
    let remedy = Instant::now();
    short.network.let_through();
    let end = short.wait_up();
    assert!(end - fault < GAP, "the gap was to be a short one: {:?}\n{}", end - fault, short.log());
    table("packets lost for a moment, keep-alive 2 s x 2", Some(down), Some(end - remedy));
    short.push("after");

    // Twice: that too is one fetch.
    for subject in ["after one", "after two"] {
        let fault = Instant::now();
        long.network.cut();
        let down = long.wait_down() - fault;
        wait_lasted(fault, GAP);
        let remedy = Instant::now();
        long.network.restore();
        let up = long.wait_up() - remedy;
        table("cable out for 30 s, keep-alive 2 s x 2", Some(down), Some(up));
        long.push(subject);
    }
    assert_eq!(long.fetch.starts().len(), 1);
    let log = || long.log();
    wait_at_most(BETWEEN_FETCHES, "the fetch after a gap", log, || holds(long.fetch.starts().len() == 2));
    let between = fetched.elapsed();
    let is_right = between + Duration::from_secs(10) > BETWEEN_FETCHES && between < BETWEEN_FETCHES + KNOWN;
    assert!(is_right, "{between:?} between two fetches");
    println!("TUNNEL-TABLE | between the first fetch and that for a gap: {between:.1?} | | |");
    long.stop(2);
    short.stop(1);
}

#[test]
fn a_session_that_freezes_for_longer_than_the_server_waits_comes_back_when_it_thaws() {
    if !Link::available() {
        return;
    }
    let link = Link::up(&[]);
    link.push("before");
    let ssh = link.ssh();
    let signal_both = |signal| [link.daemon().pid(), ssh.pid].into_iter().for_each(|pid| program::signal(pid, signal));
    signal_both(Signal::STOP);
    let mail = link.mail("frozen");
    let mut unanswered = link.push_unanswered(&mail, "frozen").expect("the server's end is there");
    link.sshd.wait_log("Timeout, client not responding");
    unanswered.try_response().expect_err("nobody was there to answer");
    let served = || holds(link.sshd.connections().is_empty());
    wait_at_most(HEALED, "the server's end to be free", || link.log(), served);
    link.push_refused("meanwhile");
    let thaw = Instant::now();
    signal_both(Signal::CONT);
    let down = link.wait_down() - thaw;
    let up = link.wait_up() - thaw;
    assert!(!link.ssh().is_same(&ssh));
    // The server tries again what it may have told of already.
    link.push_mail(&mail, "frozen");
    link.wait_popup("frozen");
    link.push("after");
    table("session frozen; both since the thaw", Some(down), Some(up));
    link.stop(1);
}

#[test]
fn mail_in_dovecot_becomes_popups_through_the_tunnel_before_and_after_a_fault() {
    if !Link::available() || !Dovecot::available() {
        return;
    }
    let link = Link::up(&QUICK);
    let dovecot = link.network.in_mail(|| Dovecot::start(PUSH_URL));
    let message = |subject: &str| format!("From: Bob <bob@example.org>\nSubject: {subject}\n\nA long way.\n");
    let deliver = |subject: &str| {
        let begun = Instant::now();
        dovecot.deliver("alice", message(subject).as_bytes());
        begun.elapsed()
    };
    let heard = |subject: &str| {
        link.accept(subject);
        link.wait_popup(subject);
    };
    deliver("before");
    heard("before");
    link.network.in_mail(|| dovecot.deliver_with_lda("alice", message("by a local program").as_bytes()));
    heard("by a local program");
    assert!(!dovecot.log().contains("rror"), "{}", dovecot.log());

    let fault = Instant::now();
    link.network.drop_all();
    // The tunnel's end takes it and leads nowhere. The mail is taken all the same.
    let held_up = deliver("into the dark");
    assert!(held_up < Duration::from_secs(10), "{held_up:?}");
    let down = link.wait_down() - fault;
    link.sshd.wait_log("Timeout, client not responding");
    deliver("to nobody");
    let remedy = Instant::now();
    link.network.let_through();
    let up = link.wait_up() - remedy;
    deliver("after");
    heard("after");
    println!("TUNNEL-TABLE | a delivery into the dead tunnel took {held_up:.1?} | | |");
    table("packets lost, keep-alive 2 s x 2, with Dovecot", Some(down), Some(up));
    let count = dovecot.doveadm(&["search", "-u", "alice", "mailbox", "INBOX", "all"]).lines().count();
    assert_eq!(count, 5);
    drop(dovecot);
    link.stop(1);
}
