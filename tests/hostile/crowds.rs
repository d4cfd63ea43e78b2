//! Many at once, and many things in one connection: heads and bodies at the edge of what HTTP allows.

use std::time::{Duration, Instant};

use super::{assert_refused, send_raw, start, stop_unharmed};
use crate::support::daemon::Running;
use crate::support::http::{Connection, Request, Response};
use crate::support::wait::{SOON, holds, wait_until};

fn event(subject: &str) -> String {
    format!(r#"{{"user":"me","event":"MessageNew","subject":"{subject}"}}"#)
}

/// A push whose first lines are these; the empty line is added. Nothing is added to the body.
#[track_caller]
fn send_head(daemon: &Running, head: &str, body: &str) -> Response {
    send_raw(daemon, format!("{head}\r\n\r\n{body}").as_bytes())
}

/// The subjects that were printed, in their order, without what nobody could read.
fn subjects(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| !line.contains(" Unreadable:")).filter_map(|line| line.rsplit(": ").next()).collect()
}

/// The connections that the program has open, and a few files.
fn descriptors(daemon: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs").count()
}

/// All the memory that the program uses, shared with nobody, in bytes.
fn memory(daemon: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn slow_senders_of_every_kind_at_once_are_all_sent_away_and_keep_nobody_waiting() {
    let daemon = start("timeout = \"2s\"");
    let (head, body) = daemon.request().json(r#"{"user":"sesame-4711"}"#).parts();
    let chunked = daemon.request().header("Transfer-Encoding", "chunked").json("5\r\n{\"us").bytes();
    let kinds =
        [head[..1].to_vec(), head[..head.len() / 2].to_vec(), head.clone(), [&head[..], &body[..5]].concat(), chunked];
    let mut slow: Vec<_> = kinds
        .iter()
        .cycle()
        .take(100)
        .map(|bytes| {
            let mut connection = Connection::open(daemon.addr());
            connection.send(bytes);
            connection
        })
        .collect();
    wait_until("all of them", || holds(descriptors(&daemon) > slow.len()));
    let started = Instant::now();
    let mut served = 0;
    // Half of them go on, byte by byte: that buys no time.
    while descriptors(&daemon) > 60 && started.elapsed() < SOON {
        for connection in slow.iter_mut().step_by(2) {
            let _ = connection.try_send(b"x");
        }
        daemon.push(&event("in between")).accepted();
        served += 1;
    }
    assert!(served > 10, "{served} others were served");
    for (index, connection) in slow.iter_mut().enumerate() {
        // The bytes that go on may be wrong, and what comes behind an answer makes of the end a reset, which may
        // overtake the answer.
        let goes_on = index % 2 == 0;
        match connection.try_response() {
            Ok(answer) if goes_on && answer.status == 400 => {}
            Ok(answer) => assert_refused(&answer, 408, &format!("number {index}")),
            Err(error) => assert!(goes_on, "number {index}: {error}"),
        }
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    stop_unharmed(daemon);
}

/// How long good requests take, each on a connection of its own.
fn times(daemon: &Running) -> [Duration; 25] {
    std::array::from_fn(|_| {
        let started = Instant::now();
        daemon.push(&event("timed")).accepted();
        started.elapsed()
    })
}

#[test]
fn a_crowd_at_most_doubles_the_time_of_good_requests() {
    let daemon = start("timeout = \"60s\"");
    let whole = daemon.request().json(r#"{"user":"sesame-4711"}"#).bytes();
    let half = &whole[..whole.len() - 5];
    daemon.push(&event("timed")).accepted();
    let quiet = descriptors(&daemon);
    // Turn by turn: what else the machine does comes over both alike.
    let round = || {
        let (mut alone, mut in_crowd) = (Vec::new(), Vec::new());
        for _ in 0..8 {
            alone.extend(times(&daemon));
            let crowd: Vec<_> = (0..364)
                .map(|number| {
                    let mut connection = Connection::open(daemon.addr());
                    if number < 64 {
                        connection.send(half);
                    }
                    connection
                })
                .collect();
            wait_until("the crowd", || holds(descriptors(&daemon) >= quiet + 200));
            in_crowd.extend(times(&daemon));
            drop(crowd);
            wait_until("the end of the crowd", || holds(descriptors(&daemon) < quiet + 10));
        }
        alone.sort_unstable();
        in_crowd.sort_unstable();
        (alone[alone.len() / 2], in_crowd[in_crowd.len() / 2])
    };
    let mut rounds = Vec::new();
    while rounds.len() < 3 {
        let (alone, in_crowd) = round();
        rounds.push((alone, in_crowd));
        if in_crowd <= alone * 2 + Duration::from_millis(2) {
            break;
        }
    }
    let (alone, in_crowd) = rounds.last().copied().expect("at least one round");
    assert!(in_crowd <= alone * 2 + Duration::from_millis(2), "alone and in the crowd: {rounds:?}");
    stop_unharmed(daemon);
}

#[test]
fn what_is_pipelined_is_answered_in_order_up_to_the_first_refusal() {
    let daemon = start("");
    let good = |subject: &str| daemon.request().json(&event(subject)).bytes();
    let bad = [
        ("404", 404, Request::put("/elsewhere").json(&event("bad")).bytes()),
        ("403", 403, daemon.request().header("Origin", "null").json(&event("bad")).bytes()),
        ("400", 400, daemon.request().json("{").bytes()),
        ("413", 413, daemon.request().header("Content-Length", "9999999").json("{").bytes()),
        ("415", 415, daemon.request().header("Content-Encoding", "gzip").json(&event("bad")).bytes()),
        ("431", 431, daemon.request().header("X", &"x".repeat(20_000)).json(&event("bad")).bytes()),
        ("no HTTP", 400, b"\0\0\0\r\n\r\n".to_vec()),
    ];
    let mut expected = Vec::new();
    for (case, status, bytes) in bad {
        let [first, second] = ["first", "second"].map(|place| format!("{place} before {case}"));
        let mut connection = Connection::open(daemon.addr());
        connection.send(&[good(&first), good(&second), bytes, good("behind"), good("behind")].concat());
        connection.response().accepted();
        connection.response().accepted();
        assert_refused(&connection.response(), status, case);
        expected.extend([first, second]);
    }
    // A hundred, and mixed with other good ones.
    let alive = Request::get("/healthz").bytes();
    let many: Vec<_> = (0..100).flat_map(|number| [good(&format!("number {number}")), alive.clone()]).collect();
    let mut connection = Connection::open(daemon.addr());
    connection.send(&many.concat());
    for number in 0..100 {
        assert_eq!((connection.response().status, connection.response().status), (200, 204), "{number}");
        expected.push(format!("number {number}"));
    }
    expected.push("marker".to_owned());
    assert_eq!(subjects(&stop_unharmed(daemon)), expected);
}

#[test]
fn old_and_odd_request_lines_have_one_meaning_or_none() {
    let daemon = start("");
    let body = event("taken");
    let length = format!("Content-Length: {}", body.len());
    let send = |head: &str| send_head(&daemon, &format!("{head}\r\n{length}"), &body);
    let mut taken = 0;
    for head in [
        "PUT /notify HTTP/1.0\r\nHost: localhost",
        "PUT http://127.0.0.1/notify HTTP/1.0\r\nHost: 127.0.0.1",
        "PUT http://127.0.0.1:1/notify HTTP/1.1\r\nHost: 127.0.0.1:2",
        "PUT HTTP://LOCALHOST/notify HTTP/1.1\r\nhost: localhost.",
        "PUT https://[::1]/notify HTTP/1.1\r\nHost: [::1]",
        "PUT http://127.0.0.1/notify?a=http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1",
    ] {
        send(head).accepted();
        taken += 1;
    }
    for (status, head) in [
        (400, "PUT /notify HTTP/1.0"),
        (400, "PUT http://127.0.0.1/notify HTTP/1.0"),
        (400, "PUT http://127.0.0.1/notify HTTP/1.1"),
        (400, "PUT http://127.0.0.1/notify HTTP/1.1\r\nHost: localhost"),
        (400, "PUT http://127.0.0.1/notify HTTP/1.1\r\nHost: evil.example"),
        (400, "PUT http://evil.example/notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (400, "PUT http://evil.example@127.0.0.1/notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (403, "PUT http://evil.example/notify HTTP/1.1\r\nHost: evil.example"),
        (404, "PUT http://127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1"),
        (404, "PUT //127.0.0.1/notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (404, "PUT /%6eotify HTTP/1.1\r\nHost: 127.0.0.1"),
        (404, "PUT /x/../notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (400, "PUT /notify\0 HTTP/1.1\r\nHost: 127.0.0.1"),
        (404, "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1"),
        (400, "PUT  /notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (400, "PUT notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (400, "PUT /notify HTTP/1.2\r\nHost: 127.0.0.1"),
        (400, "PUT /notify HTTP/0.9\r\nHost: 127.0.0.1"),
        (400, "PUT /notify\r\nHost: 127.0.0.1"),
        (405, "put /notify HTTP/1.1\r\nHost: 127.0.0.1"),
        (403, "PUT /notify HTTP/1.1\r\nHost: 127.0.0.1, evil.example"),
        (400, "PUT /notify HTTP/1.1\r\nHost: http://127.0.0.1"),
    ] {
        assert_refused(&send(head), status, head);
    }
    let printed = stop_unharmed(daemon);
    assert_eq!(subjects(&printed), [vec!["taken"; taken], vec!["marker"]].concat());
}

#[test]
fn who_asks_before_sending_gets_one_final_answer() {
    let daemon = start("[auth]\nuser = \"foo\"\npass = \"bar\"\n");
    let expecting = |value: &str| daemon.request().header("Expect", value);
    let good = |request: Request| request.header("Authorization", "Basic Zm9vOmJhcg==");
    // Only its head is sent.
    let heads = [
        (401, expecting("100-continue")),
        (403, good(expecting("100-continue")).header("Origin", "null")),
        (413, good(expecting("100-continue")).header("Content-Length", "99999999")),
        (415, good(expecting("100-continue")).header("Content-Encoding", "gzip")),
        (400, good(expecting("100-continue")).header("Host", "127.0.0.1")),
    ];
    for (status, request) in heads {
        let mut connection = Connection::open(daemon.addr());
        connection.send(&request.json(&event("refused")).parts().0);
        let answer = connection.response();
        assert_refused(&answer, status, "asked first");
        assert!(answer.interim.is_empty(), "{status}: it asked for a body that it then refused");
    }
    // Nobody need know another expectation (RFC 9110 section 10.1.1), and no sender waits for what it didn't ask for.
    let values = ["200-ok", "100-continue, x", "nothing"];
    for value in values {
        let answer = good(expecting(value)).json(&event(value)).send(daemon.addr());
        assert!(answer.accepted().closed && answer.interim.is_empty(), "{value}: {:?}", answer.interim);
    }
    // A body that is refused, after it was asked for.
    let (head, body) = good(expecting("100-continue")).json("{sesame-4711").parts();
    let mut connection = Connection::open(daemon.addr());
    connection.send(&head);
    assert_eq!(connection.interim(), 100);
    connection.send(&body);
    assert_refused(&connection.response(), 400, "a bad body");
    wait_until("the last of them", || holds(subjects(&daemon.stdout()).len() == values.len()));
    let printed = daemon.stop().stdout;
    assert_eq!(subjects(&printed), values);
}

#[test]
fn encoded_bodies_are_not_read_and_plain_ones_may_say_so() {
    let daemon = start("");
    // `gzip` of an event, as a server with a compressing client would send it.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*-N-R\xb2R\xcaMU\xd2QJ-K\xcd+\x01\xd2\xbe\xa9\xc5\xc5\x89\xe9\xa9~\xa9\xe5J\xb5\x00\x08\xe9\xf4f\x23\x00\x00\x00";
    let push = |encoding: &str, body: &[u8]| {
        let request =
            if encoding.is_empty() { daemon.request() } else { daemon.request().header("Content-Encoding", encoding) };
        request.header("Content-Type", "application/json").body(body).send(daemon.addr())
    };
    for encoding in
        ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "aes128gcm", "nonsense"]
    {
        assert_refused(&push(encoding, gzip), 415, encoding);
    }
    assert_refused(&push("", gzip), 400, "unsaid");
    assert_refused(&push("identity", gzip), 400, "denied");
    push("identity", event("plain").as_bytes()).accepted();
    push("Identity", event("plain").as_bytes()).accepted();
    let coded = |coding: &str, body: &[u8]| {
        let size = format!("{:x}\r\n", body.len());
        let body = [size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        let request = daemon.request().header("Content-Type", "application/json");
        request.header("Transfer-Encoding", coding).body(body).send(daemon.addr())
    };
    for coding in ["chunked, gzip", "chunked, identity", "identity", "\"chunked\"", "xchunked", "chunked;a=b", ""] {
        assert_refused(&coded(coding, event("coded").as_bytes()), 400, coding);
    }
    assert_refused(&coded("gzip, chunked", gzip), 400, "a compressed transfer");
    coded("Chunked", event("chunks").as_bytes()).accepted();
    assert_eq!(subjects(&stop_unharmed(daemon)), ["plain", "plain", "chunks", "marker"]);
}

#[test]
fn heads_have_a_size_and_an_alphabet() {
    let daemon = start("");
    let long = "x".repeat(64 << 10);
    let push = |request: Request| request.json(&event("head")).send(daemon.addr());
    let with = |value: &str| push(daemon.request().header("X", value));
    assert_refused(&push(daemon.request().header(&long, "x")), 431, "a name of 64 KiB");
    assert_refused(&push(Request::put(&format!("/notify?{long}"))), 431, "a target of 64 KiB");
    assert_refused(&push(Request::new(&long, "/notify")), 431, "a method of 64 KiB");
    assert_refused(&send_raw(&daemon, long.as_bytes()), 431, "a first line without an end");
    assert_refused(&send_raw(&daemon, "\r\n".repeat(32 << 10).as_bytes()), 431, "64 KiB of empty lines");
    let many = |count: usize| (0..count).fold(daemon.request(), |all, number| all.header(&format!("X-{number}"), "y"));
    assert_refused(&push(many(101)), 431, "more than a hundred headers");
    for (case, value) in [
        ("NUL", "a\0b"),
        ("a bare CR", "a\rb"),
        ("a bare CR before a header", "a\rOrigin: null"),
        ("DEL", "a\x7fb"),
        ("a fold", "a\r\n\tOrigin: null"),
    ] {
        assert_refused(&with(value), 400, case);
    }
    assert_refused(&push(daemon.request().header("X\0", "a")), 400, "NUL in a name");
    assert_refused(&push(daemon.request().header("", "a")), 400, "no name");
    let body = event("head");
    let raw = |head: &str| send_head(&daemon, &format!("PUT /notify HTTP/1.1\r\n{head}"), &body);
    let length = format!("Content-Length: {}", body.len());
    assert_refused(&raw(&format!("Host: 127.0.0.1\r\nOrigin\r\n{length}")), 400, "no colon");
    assert_refused(&raw(&format!("Host: 127.0.0.1\nOrigin: null\r\n{length}")), 403, "behind a bare LF");
    let framed = |head: &str| raw(&format!("Host: 127.0.0.1\r\n{head}"));
    assert_refused(&framed("Transfer-Encoding : chunked"), 400, "a blank before the colon");
    assert_refused(&framed(&format!("{length}, {}", body.len())), 400, "a list of equal lengths");
    for value in ["+52", "0x10", "18446744073709551668", "", "52 ;", "5 2"] {
        assert_refused(&framed(&format!("Content-Length: {value}")), 400, value);
    }
    let old = send_head(&daemon, "PUT /notify HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked", "0\r\n\r\n");
    assert_refused(&old, 400, "chunks in HTTP/1.0");

    let good = [
        with(&long[..15_000]),
        push(many(90)),
        with("a\tb"),
        with("gr\u{fc}n"),
        // Equal ones may count as one (RFC 9112 section 6.3).
        framed(&format!("{length}\r\n{length}")),
    ];
    for answer in &good {
        answer.accepted();
    }
    let printed = stop_unharmed(daemon);
    assert_eq!(subjects(&printed), [vec!["head"; good.len()], vec!["marker"]].concat());
}

#[test]
fn chunks_are_as_long_as_they_say_and_nothing_else_counts() {
    let daemon = start("timeout = \"2s\"");
    let body = event("chunks");
    let size = format!("{:x}", body.len());
    let long = "x".repeat(1 << 20);
    let send = |chunks: &str| {
        let mut connection = Connection::open(daemon.addr());
        // It may be refused before the end.
        let _ = connection.try_send(&daemon.request().header("Transfer-Encoding", "chunked").json(chunks).bytes());
        connection.response()
    };
    for (case, chunks) in [
        ("an extension of 1 MiB", format!("{size};{long}\r\n{body}\r\n0\r\n\r\n")),
        ("extensions everywhere", format!("1;{}\r\n \r\n", &long[..10_000]).repeat(10)),
        ("a bare LF in an extension", format!("{size};a\n{body}\r\n0\r\n\r\n")),
        ("a bare CR in an extension", format!("{size};a\rb\r\n{body}\r\n0\r\n\r\n")),
        ("a line of 1 MiB", format!("{size}{long}\r\n{body}\r\n0\r\n\r\n")),
        ("more than 64 bits", format!("ffffffffffffffff0{size}\r\n{body}\r\n0\r\n\r\n")),
        ("2^64 more", format!("100000000000000{size:0>2}\r\n{body}\r\n0\r\n\r\n")),
        ("a prefix", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a plus", format!("+{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a minus", format!("-{size}\r\n{body}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a blank before", format!(" {size}\r\n{body}\r\n0\r\n\r\n")),
        ("bare line feeds", format!("{size}\n{body}\n0\n\n")),
        ("too little", format!("1\r\n{body}\r\n0\r\n\r\n")),
        ("a trailer of 1 MiB", format!("{size}\r\n{body}\r\n0\r\nX: {long}\r\n\r\n")),
        ("many trailers", format!("{size}\r\n{body}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(5000))),
        ("a bare CR in a trailer", format!("{size}\r\n{body}\r\n0\r\nX: a\rb\r\n\r\n")),
        ("a folded trailer", format!("{size}\r\n{body}\r\n0\r\nX: a\r\n b\r\n\r\n")),
        ("a trailer that is none", format!("{size}\r\n{body}\r\n0\r\nX\r\n\r\n")),
    ] {
        assert_refused(&send(&chunks), 400, case);
    }
    for (case, chunks) in [
        ("all of 64 bits", format!("ffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ("too much", format!("{size}f\r\n{body}\r\n0\r\n\r\n")),
        ("no end of the trailers", format!("{size}\r\n{body}\r\n0\r\nX: a\r\n")),
    ] {
        assert_refused(&send(&chunks), 408, case);
    }
    let good = [
        format!("{size};{}\r\n{body}\r\n0\r\n\r\n", &long[..1024]),
        format!("0000{size} \r\n{body}\r\n00\r\n\r\n"),
        // What stands in a trailer says nothing about the request, nor about the next.
        format!("{size}\r\n{body}\r\n0\r\nContent-Length: 3\r\nOrigin: null\r\nHost: evil.example\r\n\r\n"),
    ];
    for chunks in &good {
        send(chunks).accepted();
    }
    let trailer = "0\r\nTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n";
    let first = daemon.request().header("Transfer-Encoding", "chunked").json(&format!("{size}\r\n{body}\r\n{trailer}"));
    let mut connection = Connection::open(daemon.addr());
    connection.send(&[first.bytes(), daemon.request().json(&event("behind")).bytes()].concat());
    connection.response().accepted();
    connection.response().accepted();
    let printed = stop_unharmed(daemon);
    assert_eq!(subjects(&printed), [vec!["chunks"; good.len() + 1], vec!["behind", "marker"]].concat());
}

/// As `connections::nothing_is_taken_behind_a_request_whose_end_is_in_doubt`, from senders who know how heads are told apart.
#[test]
fn doubt_about_an_end_can_not_be_hidden() {
    let daemon = start("");
    let both = "PUT /notify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\nContent-Length: 5";
    // The head's last line ends in a line feed alone; what is behind it comes later.
    let mut connection = Connection::open(daemon.addr());
    connection.send(format!("{both}\r\nExpect: 100-continue\n\r\n").as_bytes());
    assert_refused(&connection.response(), 400, "lines that end in different ways");

    // A trailer that looks like the end of the trailers, and like a head whose body hides the next one.
    let body = event("first");
    let chunks = |trailers: &str| format!("{:x}\r\n{body}\r\n0\r\n{trailers}\r\n", body.len());
    let hidden = format!("{both}\r\n\r\n");
    let trailers = format!("X: a\n\nPUT / HTTP/1.1\nContent-Length: {}\r\n", hidden.len());
    let first = daemon.request().header("Transfer-Encoding", "chunked").json(&chunks(&trailers)).bytes();
    let second = format!("{hidden}{}", chunks("").replace("first", "other"));
    let mut connection = Connection::open(daemon.addr());
    connection.send(&first);
    connection.response().accepted();
    connection.send(second.as_bytes());
    assert_refused(&connection.response(), 400, "hidden by a trailer");
    assert_eq!(subjects(&stop_unharmed(daemon)), ["first", "marker"]);
}

#[test]
fn great_bodies_without_an_end_have_a_bound_together_and_keep_nobody_waiting() {
    let daemon = start("timeout = \"8s\"");
    let whole = daemon.request().json(&" ".repeat(2 << 20)).bytes();
    daemon.push(&event("before")).accepted();
    let before = memory(&daemon);
    let address = daemon.addr();
    let senders: Vec<_> = (0..200)
        .map(|_| {
            let all_but_one = whole[..whole.len() - 1].to_vec();
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                let _ = connection.try_send(&all_but_one);
                connection.try_response().map(|answer| answer.status).ok()
            })
        })
        .collect();
    let (mut most, mut slowest) = (0, Duration::ZERO);
    while senders.iter().any(|sender| !sender.is_finished()) {
        let started = Instant::now();
        daemon.push(&event("good")).accepted();
        slowest = slowest.max(started.elapsed());
        most = most.max(memory(&daemon).saturating_sub(before));
    }
    for sender in senders {
        assert_eq!(sender.join().expect("it doesn't panic"), Some(408));
    }
    assert!(slowest < Duration::from_secs(4), "a good request took {slowest:?}");
    // 400 MiB are on offer. Of the bodies 32 MiB are taken; each is in a buffer that grows by doubling, and the
    // allocator keeps some.
    assert!(most > 8 << 20, "only {most} bytes were taken");
    assert!(most < 128 << 20, "{most} bytes were taken");
    stop_unharmed(daemon);
}
