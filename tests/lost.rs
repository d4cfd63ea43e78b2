//! What a sender of ours meant to tell and nobody could read: it is on record, and whatever it was is fetched.

use serde_json::json;

use crate::control::{NO_LIMIT, start, status};
use crate::record::{at_rest, recent};
use crate::support::daemon::{Daemon, Running};
use crate::support::http::{Connection, Request};
use crate::support::recorder::Recorder;

const EVENT: &str = r#"{"user":"me","event":"messageNew","subject":"sesame"}"#;
const AUTH: &str = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";

fn good(daemon: &Running) -> Request {
    daemon.request().header("Authorization", "Basic Zm9vOmJhcg==")
}

fn command(name: &str, keys: &str, recorder: &Recorder) -> String {
    format!("[[handler]]\nname = \"{name}\"\n{keys}\ncommand = {}\n", recorder.command(&[]))
}

/// The handlers' names in an entry's deliveries.
fn delivered(entry: &serde_json::Value) -> Vec<&str> {
    let deliveries = entry["deliveries"].as_array().expect("a list");
    deliveries.iter().filter_map(|delivery| delivery["handler"].as_str()).collect()
}

#[test]
fn what_can_not_be_read_is_on_record_and_fetched_for() {
    let recipe = Daemon::new();
    let [fetch, other, never] = ["fetch", "other", "never"].map(|name| Recorder::new(&recipe, name));
    let handlers = [
        command("fetch", NO_LIMIT, &fetch),
        // Whoever it is for otherwise: nobody knows whose it was.
        command("other", &format!("user = \"nobody\"\nfolder = \"Lists/*\"\n{NO_LIMIT}"), &other),
        command("never", &format!("fetch = false\n{NO_LIMIT}"), &never),
        "[[handler]]\nname = \"popup\"\nnotify = true\n[[handler]]\nname = \"line\"\nlog = \"info\"\n".to_owned(),
    ];
    let daemon = start(&recipe.clone().config(&format!("max_body = \"1KiB\"\n{AUTH}{}", handlers.concat())));
    let padding = " ".repeat(2000);
    let chunked = format!("5\r\n{{\"use\r\n7d0\r\n{padding}\r\n0\r\n\r\n");
    let announced = good(&daemon).header("Content-Length", "2000").json("{\"user\":\"sesame");
    let requests = [
        (good(&daemon).json("sesame"), 400),
        (good(&daemon).json("{\"user\":\"sesame\",\"sesame\":"), 400),
        (good(&daemon).json(r#"{"user":"sesame","event":7,"subject":"sesame"}"#), 400),
        (good(&daemon).json(r#"[{"user":"sesame","event":"messageNew"},{"sesame":1}]"#), 400),
        (good(&daemon).json(""), 400),
        (good(&daemon).body(b"\xff\xfe\0sesame"), 400),
        (announced, 413),
        (good(&daemon).header("Transfer-Encoding", "chunked").json(&chunked), 413),
    ];
    for (number, (request, status)) in requests.iter().enumerate() {
        request.send(daemon.addr()).refused(*status);
        for recorder in [&fetch, &other] {
            assert_eq!(recorder.wait_starts(number + 1).len(), number + 1, "{request:?}");
        }
    }
    let entries = recent(&recipe, &["-n", "100"]);
    assert_eq!(entries.len(), requests.len());
    for entry in &entries {
        assert_eq!((&entry["event"], &entry["user"]), (&json!("Unreadable"), &json!("")), "{entry}");
        assert_eq!(delivered(entry), ["fetch", "other"], "{entry}");
        assert!(entry["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")), "{entry}");
    }
    assert_eq!(entries[0]["subject"], "the body is larger than 1024 bytes (`max_body`)");
    let lines = recipe.command(&["recent", "-n", "1"]).succeeded().stdout;
    assert!(lines.contains(" Unreadable: ") && lines.contains("is larger than 1024 bytes"), "{lines}");
    assert_eq!(status(&recipe)["new"], 0, "nobody knows whether it was mail");
    assert_eq!(never.starts(), []);

    // A good one goes where it always went, and its text is not what is kept of those.
    good(&daemon).json(&EVENT.replace("sesame", "marker")).send(daemon.addr()).accepted();
    never.wait_starts(1);
    assert_eq!((fetch.wait_starts(9).len(), other.starts().len()), (9, 8));
    assert_eq!(at_rest(&recipe, &["marker", "sesame"]), ["marker"]);
    let log = daemon.stop().stderr;
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn strangers_leave_no_trace_and_make_nothing_run() {
    let recipe = Daemon::new();
    let fetch = Recorder::new(&recipe, "fetch");
    let config = format!("max_body = \"1KiB\"\n{AUTH}{}", command("fetch", NO_LIMIT, &fetch));
    let daemon = start(&recipe.clone().config(&config));
    let too_large = " ".repeat(2000);
    for body in ["nonsense", &too_large, "", EVENT] {
        let check = |request: Request, status: u16| {
            let request = request.json(body);
            request.send(daemon.addr()).refused(status);
        };
        check(daemon.request(), 401);
        check(daemon.request().header("Authorization", "Basic Zm9vOmJheg=="), 401);
        check(good(&daemon).header("Origin", "null"), 403);
        check(good(&daemon).header("Sec-Fetch-Mode", "no-cors"), 403);
        check(good(&daemon).header("Content-Encoding", "gzip"), 415);
        check(Request::put("/elsewhere").header("Authorization", "Basic Zm9vOmJhcg=="), 404);
        check(Request::new("PATCH", "/notify").header("Authorization", "Basic Zm9vOmJhcg=="), 405);
        let foreign = String::from_utf8(daemon.request().json(body).bytes()).expect("it is text");
        let mut connection = Connection::open(daemon.addr());
        connection.send(foreign.replace("Host: 127.0.0.1", "Host: evil.example").as_bytes());
        connection.response().refused(403);
    }
    good(&daemon).json(EVENT).send(daemon.addr()).accepted();
    assert_eq!(fetch.wait_starts(1).len(), 1);
    let entries = recent(&recipe, &["-n", "100"]);
    assert_eq!((entries.len(), &entries[0]["event"]), (1, &json!("MessageNew")));
    daemon.stop();
}

#[test]
fn a_flood_of_nonsense_is_all_on_record_and_fetched_for_as_often_as_the_limit_lets() {
    let recipe = Daemon::new();
    let fetch = Recorder::new(&recipe, "fetch");
    let limit = "limit_period = \"1h\"\nlimit_burst = 2\n";
    let daemon = start(&recipe.clone().config(&command("fetch", limit, &fetch)));
    for number in 0..200 {
        daemon.push(&format!("nonsense {number}")).refused(400);
    }
    let entries = recent(&recipe, &["-n", "1000"]);
    assert_eq!(entries.len(), 200);
    assert!(entries.iter().all(|entry| entry["event"] == "Unreadable" && delivered(entry) == ["fetch"]));
    assert_eq!(fetch.wait_starts(2).len(), 2);
    // A person may.
    recipe.command(&["fetch"]).succeeded();
    assert_eq!(fetch.wait_starts(3).last().map(|start| start.trigger.as_str()), Some("fetch"));
    assert_eq!(fetch.starts().len(), 3);
    daemon.stop();
}
