//! Web pages in a real browser, on this machine and with names that resolve to it: none of them rings.

use crate::support::browser::{Browser, Page, Seen, Web};
use crate::support::daemon::{Daemon, Running};
use crate::support::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

/// All ways of `attempts.js`, by the names that the requests carry.
const WAYS: &[&str] = &[
    "beacon-text",
    "beacon-typeless",
    "blob-beacon",
    "blob-cors",
    "blob-fetch",
    "blob-form",
    "data-beacon",
    "data-cors",
    "data-fetch",
    "data-form",
    "event-source",
    "fetch-authorization",
    "fetch-cors-text",
    "fetch-get",
    "fetch-get-authorization",
    "fetch-get-no-referrer-include",
    "fetch-get-no-referrer-omit",
    "fetch-keepalive",
    "fetch-moved",
    "fetch-no-referrer-include",
    "fetch-no-referrer-omit",
    "fetch-post-json",
    "fetch-put-json",
    "fetch-text-include",
    "fetch-text-omit",
    "fetch-typeless-include",
    "fetch-typeless-omit",
    "fetch-urlencoded-include",
    "fetch-urlencoded-omit",
    "font",
    "form-get",
    "form-moved",
    "form-multipart",
    "form-noreferrer",
    "form-text",
    "form-top",
    "form-urlencoded",
    "frame",
    "frame-refresh",
    "image",
    "image-no-referrer",
    "location",
    "modulepreload",
    "object",
    "open",
    "open-noreferrer",
    "ping",
    "policy",
    "prefetch",
    "preload",
    "sandbox-beacon",
    "sandbox-cors",
    "sandbox-fetch",
    "sandbox-form",
    "script",
    "service-worker",
    "stylesheet",
    "video",
    "websocket",
    "worker",
    "xhr-post",
    "xhr-put",
];

/// A page that tries them all, and whom it tries them on.
struct Attacker {
    name: &'static str,
    target: String,
}

/// Lets the page try everything on `attacker.target`, and returns where it is below `web`.
fn install(web: &Web, home: &str, attacker: &Attacker) -> String {
    let Attacker { name, target } = attacker;
    let address = |how: &str| format!("{target}/notify?page={name}&how={how}");
    let no_referrer = if *name == "loopback" { "" } else { "<meta name=referrer content=no-referrer>" };
    let constants = format!("const [name, target, home] = ['{name}', '{target}', '{home}'];");
    let script = "<script src=/page/attempts.js></script>";
    let page = format!("<!doctype html>{no_referrer}<body><script>{constants}</script>{script}");
    web.page(&format!("/page/{name}"), Page::html(&page));
    web.page("/page/attempts.js", Page::script(include_str!("browser/attempts.js")));
    for how in ["form-moved", "fetch-moved"] {
        web.page(&format!("/page/moved/{name}/{how}"), Page::moved(&address(how)));
    }
    let policy = format!("img-src 'none'; report-uri {}", address("policy"));
    let page = Page::html("<img src=/forbidden.png>").header("Content-Security-Policy", &policy);
    web.page(&format!("/page/policy/{name}"), page);
    let worker =
        format!("fetch('{}', {{ method: 'POST', mode: 'no-cors', body: '{{}}' }});", address("service-worker"));
    web.page(&format!("/page/worker/{name}"), Page::script(&worker));
    format!("/page/{name}")
}

/// Which page a request is from, and in which way it was made.
fn origin(seen: &Seen) -> Option<(&str, &str)> {
    seen.target.strip_prefix("/notify?page=")?.split_once("&how=")
}

/// A form appends its fields.
fn way(how: &str) -> &str {
    how.split('&').next().unwrap_or(how)
}

/// Opens pages that try everything, until all of it was answered, and returns that.
fn attack(daemon: &Running) -> Vec<Seen> {
    let site = Web::start(None);
    let rebound = Web::start(Some(daemon.addr()));
    let (site_port, port) = (site.port(), rebound.port());
    let home = format!("http://127.0.0.1:{site_port}");
    let at = |host: &str| format!("http://{host}:{port}");
    let pages = [
        ("loopback", at("127.0.0.1"), &site, home.clone()),
        ("foreign", at("localhost"), &site, format!("http://evil.example:{site_port}")),
        // The name led to the page's own server when the page was loaded, and to ours afterwards.
        ("rebound", at("evil.example"), &rebound, at("evil.example")),
        ("named", at("desk.example"), &site, format!("http://evil.example:{site_port}")),
    ];
    let mut openings = String::new();
    for (name, target, web, from) in pages {
        let path = install(web, &home, &Attacker { name, target });
        openings.push_str(&format!("open('{from}{path}', '_blank', 'noopener');"));
    }
    site.page("/page/start", Page::html(&format!("<script>{openings}</script>")));
    let browser = Browser::open(&format!("{home}/page/start"), &["evil.example", "desk.example"]);
    let missing = || {
        let seen = rebound.seen();
        let told = site.unknown();
        let mut missing = Vec::new();
        for page in ["loopback", "foreign", "rebound", "named"] {
            if !told.contains(&format!("/told/{page}/done")) {
                missing.push(format!("{page} is not done"));
            }
            let came: Vec<_> = seen.iter().filter_map(origin).filter(|(from, _)| *from == page).collect();
            // Browsers give service workers to loopback pages only, without TLS.
            let ways = WAYS.iter().filter(|way| page == "loopback" || **way != "service-worker");
            let ways = ways.filter(|expected| !came.iter().any(|(_, how)| way(how) == **expected));
            missing.extend(ways.map(|way| format!("{page} {way}")));
        }
        missing
    };
    let log = || format!("missing: {:#?}\ntold: {:#?}\n{}", missing(), site.unknown(), browser.log());
    wait_at_most(EVENTUALLY, "all attempts of all pages", log, || missing().is_empty().then_some(()));
    rebound.seen()
}

#[track_caller]
fn nothing_rings(config: &str, authorization: Option<&str>) {
    let config = format!("hosts = [\"desk.example\"]\n{config}\n[log]\nmax_level = \"debug\"\nlevel = true\n");
    let daemon = Daemon::new().args(&["run", "--print"]).config(&config).start();
    let seen = attack(&daemon);
    for request in &seen {
        // Under a name of ours that isn't a loopback one, and under any with the password, nothing tells that a page
        // without a referrer asked: but only where nothing can be said with it.
        let page = origin(request).map(|(page, _)| page);
        let is_named = page == Some("named") || request.header("authorization").is_some();
        let is_mute = request.method == "GET" && request.body.is_empty();
        let is_refused = request.status == 403 || (request.status == 405 && is_named && is_mute);
        assert!(is_refused, "{request:#?}");
        assert!(!request.answer_headers.iter().any(|(name, _)| name.starts_with("access-control")), "{request:#?}");
    }
    let refused = || daemon.log().lines().filter(|line| line.contains("refused: ")).count();
    wait_until("all refusals in the log", || holds(refused() >= seen.len()));
    let marker = daemon.request().json(r#"{"user":"me","event":"MessageNew","subject":"marker"}"#);
    let marker = authorization.iter().fold(marker, |marker, value| marker.header("Authorization", value));
    marker.send(daemon.addr()).accepted();
    let printed = wait_until("the marker", || Some(daemon.stdout()).filter(|printed| printed.contains("marker")));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    daemon.stop();
}

#[test]
fn no_page_rings_where_no_password_is_asked_for() {
    if Browser::available() {
        nothing_rings("", None);
    }
}

#[test]
fn no_page_rings_even_if_it_knows_the_password() {
    if Browser::available() {
        nothing_rings("[auth]\nuser = \"foo\"\npass = \"bar\"", Some("Basic Zm9vOmJhcg=="));
    }
}
