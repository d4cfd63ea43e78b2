//! The HTTP client, and what is said about processes and logs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::support::daemon::{Signal, is_error};
use crate::support::http::{Connection, Request};
use crate::support::program::{self, Program};
use crate::support::wait::{holds, wait_until};

#[test]
fn http_client_reads_all_forms_of_answers() {
    let answers = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n\
        HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let request = Request::put("/notify").json("{}").bytes();
    let length = request.len();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = vec![0; length];
        stream.read_exact(&mut request).expect("the whole request");
        stream.write_all(answers.as_bytes()).expect("the other side listens");
        request
    });
    let mut connection = Connection::open(address);
    connection.send_in_pieces(&request, 7);
    let first = connection.response();
    assert_eq!((first.accepted().text().as_str(), first.interim.as_slice(), first.closed), ("ok", &[100][..], false));
    assert_eq!(connection.response().text(), "abcd");
    assert!(connection.response().refused(401).closed);
    let received = String::from_utf8(serving.join().expect("a request")).expect("text");
    assert!(received.ends_with("\r\nContent-Length: 2\r\n\r\n{}"), "{received}");
}

#[test]
fn processes_are_found_by_ancestry_and_by_environment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mark = directory.path().display().to_string();
    let mut command = Command::new("/bin/sh");
    command.env("RIG_MARK", &mark).args(["-c", "sleep 60 & echo started; wait"]);
    let (shell, line) = Program::start_and_hear(&mut command, &directory.path().join("log"));
    assert_eq!(line, "started");
    let children = program::descendants(shell.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    // While a process is becoming another program, its environment can't be read.
    wait_until("both to be found", || holds(program::started_with("RIG_MARK", &mark).len() == 2));

    // The child lives on without its parent: only the environment still tells whose it is.
    drop(shell);
    let left = program::started_with("RIG_MARK", &mark);
    assert!(left.len() == 1 && left[0].is_same(&children[0]), "{left:?}");
    program::signal(left[0].pid, Signal::KILL);
    wait_until("the child to end", || holds(program::started_with("RIG_MARK", &mark).is_empty()));
}

#[test]
fn errors_in_a_log_are_told_from_words_in_messages() {
    assert!(is_error("2026-01-02T03:04:05Z ERROR mailknock::app: a bug"));
    assert!(is_error(r#"{"timestamp":"2026-01-02T03:04:05Z","level":"ERROR","fields":{}}"#));
    assert!(is_error("thread 'tokio-runtime-worker' (4711) panicked at src/app.rs:1:2:"));
    assert!(!is_error("2026-01-02T03:04:05Z  WARN mailknock: the subject was ERROR"));
}
