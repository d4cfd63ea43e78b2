//! Who may knock, judged by a request's head alone, on every path and method.
//!
//! A web page in the user's own browser can reach a loopback port: by a form, by `fetch`, by a name of its own that
//! resolves to 127.0.0.1. Browsers can't help telling: by `Host`, `Origin`, `Sec-Fetch-*` and the like.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use ipnet::IpNet;

use super::tls::Identity;
use crate::config::Config;
use crate::wire::{WireFormat, format_for};

/// What a request may do.
#[derive(Debug)]
pub enum Target {
    Notify {
        format: &'static dyn WireFormat,
    },
    /// Somebody wants to know whether we live.
    Alive,
    /// We ourselves want to know whether a way leads here, and told nobody else this word.
    Probe {
        nonce: String,
    },
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub why: Cow<'static, str>,
    /// For 405: the methods that are taken.
    pub allowed: &'static str,
    /// A sender of ours meant to tell something, and won't try again.
    pub is_lost: bool,
}

impl Refusal {
    pub fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into(), allowed: "", is_lost: false }
    }

    pub fn too_large(max: usize) -> Self {
        let why = format!("the body is larger than {max} bytes (`max_body`)");
        Self { is_lost: true, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, why) }
    }

    pub fn not_understood(why: String) -> Self {
        Self { is_lost: true, ..Self::new(StatusCode::BAD_REQUEST, why) }
    }

    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping")
    }
}

/// The configuration as far as requests are judged by it.
pub struct Rules {
    allow: Vec<IpNet>,
    /// Lower case.
    hosts: Vec<String>,
    endpoint: String,
    identity: RwLock<Option<Arc<Identity>>>,
    pub max_body: usize,
}

impl Rules {
    pub fn new(config: &Config, identity: Option<Arc<Identity>>) -> Self {
        let mut hosts: Vec<String> = config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.push("localhost".to_owned());
        hosts.extend(crate::paths::host_name().map(|name| name.to_ascii_lowercase()));
        Self {
            allow: config.allow.clone(),
            hosts,
            endpoint: config.endpoint.clone(),
            identity: RwLock::new(identity),
            max_body: config.max_body,
        }
    }

    /// The certificate that we show; none where we speak plain HTTP.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn show(&self, identity: Arc<Identity>) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }
}

/// A nonce follows.
pub const PROBE: &str = "/healthz/";
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

/// Whether a password can make a difference: not to other networks, and not to browsers.
pub fn may_prove(head: &Parts, peer: Option<IpAddr>, rules: &Rules) -> bool {
    peer.is_none_or(|peer| is_allowed(peer, rules)) && browsers_header(head).is_none()
}

fn is_allowed(peer: IpAddr, rules: &Rules) -> bool {
    rules.allow.iter().any(|network| network.contains(&peer.to_canonical()))
}

fn browsers_header(head: &Parts) -> Option<&str> {
    head.headers.keys().map(header::HeaderName::as_str).find(|name| is_of_a_browser(name))
}

/// The checks, in the order in which they decide. `peer` is absent for a Unix socket, which lets in its owner alone;
/// `proven` says whether the password was given, and is absent where none is asked for.
pub fn judge(head: &Parts, peer: Option<IpAddr>, proven: Option<bool>, rules: &Rules) -> Result<Target, Refusal> {
    if !peer.is_none_or(|peer| is_allowed(peer, rules)) {
        return Err(Refusal::new(FORBIDDEN, "this address is not in `allow`"));
    }
    check_host(head, rules, proven == Some(true))?;
    if let Some(header) = browsers_header(head) {
        return Err(Refusal::new(FORBIDDEN, format!("a browser's request (`{header}`)")));
    }
    let path = head.uri.path();
    let (methods, target): (&[Method], _) = match path {
        "/healthz" => (&[Method::GET, Method::HEAD], Some(Target::Alive)),
        _ if path == rules.endpoint => (&[Method::PUT, Method::POST], None),
        _ => match path.strip_prefix(PROBE) {
            Some(nonce) => (&[Method::GET, Method::HEAD], Some(Target::Probe { nonce: nonce.to_owned() })),
            None => return Err(nothing_here(rules)),
        },
    };
    if !methods.contains(&head.method) {
        let allowed = if target.is_none() { "PUT, POST" } else { "GET, HEAD" };
        return Err(Refusal {
            allowed,
            ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("the methods here are {allowed}"))
        });
    }
    // The word in a probe is its password: it goes through other hands, where ours has no business.
    if proven == Some(false) && !matches!(target, Some(Target::Probe { .. })) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "the user or password is missing or wrong"));
    }
    match target {
        Some(target) => Ok(target),
        None => check_body(&head.headers, rules.max_body),
    }
}

pub fn nothing_here(rules: &Rules) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("nothing is here; the endpoint is {}", rules.endpoint))
}

/// Type, encoding and length of what is about to come.
fn check_body(headers: &HeaderMap, max_body: usize) -> Result<Target, Refusal> {
    let media_type = match headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) {
        None => String::new(),
        Some(Ok(value)) => value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        Some(Err(_)) => return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is no text")),
    };
    let Some(format) = format_for(&media_type) else {
        let why = format!("`{media_type}` is not understood; send application/json");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    };
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    if encodings.iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded bodies are not taken"));
    }
    // Where other codings are named too, hyper takes the body apart by the last one alone.
    let codings = headers.get_all(header::TRANSFER_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings.iter().count() > 1 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the only transfer encoding is `chunked`"));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > max_body as u64) {
        return Err(Refusal::too_large(max_body));
    }
    Ok(Target::Notify { format })
}

fn is_of_a_browser(header: &str) -> bool {
    // The last one comes with navigations that tell nothing else.
    matches!(header, "origin" | "referer" | "cookie" | "upgrade-insecure-requests")
        || header.starts_with("sec-")
        || header.starts_with("access-control-request-")
}

/// Against DNS rebinding: a page's own name that resolves to our address is not ours.
fn check_host(head: &Parts, rules: &Rules, proven: bool) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "there must be exactly one `Host`"));
    };
    let host = host.to_str().ok().and_then(without_port);
    let Some(host) = host else { return Err(Refusal::new(StatusCode::BAD_REQUEST, "`Host` is no host name")) };
    if let Some(authority) = head.uri.authority()
        && without_port(authority.as_str()).as_ref() != Some(&host)
    {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the target and `Host` disagree"));
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_certified = || rules.identity().is_some_and(|identity| identity.names(&host));
    let is_ours = proven || address.parse::<IpAddr>().is_ok() || rules.hosts.contains(&host) || is_certified();
    match is_ours {
        true => Ok(()),
        false => Err(Refusal::new(FORBIDDEN, "this `Host` is not ours; list it in `hosts` if it is")),
    }
}

/// The host in lower case, without port and final dot.
fn without_port(host: &str) -> Option<String> {
    let end = match host.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = port.is_empty() || (port.starts_with(':') && port[1..].bytes().all(|digit| digit.is_ascii_digit()));
    let name = name.strip_suffix('.').unwrap_or(name);
    (is_port && !name.is_empty() && !name.contains('@')).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn rules(config: &str) -> Rules {
        let (config, problems) = Config::parse("f", config);
        Rules::new(&config.unwrap_or_else(|| panic!("{problems:?}")), None)
    }

    const AUTH: &str = "[auth]\nuser = \"foo\"\npass = \"bar\"";
    const GOOD: &str = "Basic Zm9vOmJhcg==";

    /// Judges a request whose first line and headers are given, one a line.
    fn judged(config: &str, peer: &str, request: &str) -> Result<Target, u16> {
        let mut lines = request.lines().map(str::trim);
        let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap();
        let mut built = Request::builder().method(method).uri(target);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            built = built.header(name, value);
        }
        let (head, ()) = built.body(()).unwrap().into_parts();
        let proven = (config == AUTH).then(|| head.headers.get("authorization").is_some_and(|given| given == GOOD));
        judge(&head, peer.parse().ok(), proven, &rules(config)).map_err(|refusal| refusal.status.as_u16())
    }

    fn status(config: &str, request: &str) -> u16 {
        match judged(config, "127.0.0.1", request) {
            Ok(Target::Notify { .. }) => 200,
            Ok(Target::Alive | Target::Probe { .. }) => 204,
            Err(status) => status,
        }
    }

    #[test]
    fn the_network_comes_first() {
        let request = "PUT /notify\nhost: 127.0.0.1";
        assert_eq!(judged("", "10.0.0.1", request).err(), Some(403));
        assert!(judged("", "::1", request).is_ok());
        assert!(judged("allow = [\"10.0.0.1\"]", "a Unix socket", request).is_ok());
        assert!(judged("", "::ffff:127.0.0.1", request).is_ok(), "mapped addresses are canonical");
        assert!(judged("allow = [\"10.0.0.1\"]", "10.0.0.1", request).is_ok());
        assert_eq!(judged(AUTH, "10.0.0.1", &format!("{request}\nauthorization: {GOOD}")).err(), Some(403));
    }

    #[test]
    fn only_hosts_that_are_ours() {
        for host in ["127.0.0.1:12525", "[::1]:7", "localhost", "LOCALHOST.:80", "10.1.2.3", "mine.example"] {
            assert_eq!(status("hosts = [\"Mine.example\"]", &format!("PUT /notify\nhost: {host}")), 200, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example"] {
            assert_eq!(status("", &format!("PUT /notify\nhost: {host}")), 403, "{host}");
            assert_eq!(status("", &format!("GET /healthz\nhost: {host}")), 403, "{host}");
        }
        for host in ["", "a@127.0.0.1", "127.0.0.1:80x", "[::1"] {
            assert_eq!(status("", &format!("PUT /notify\nhost: {host}")), 400, "{host:?}");
        }
        assert_eq!(status("", "PUT /notify"), 400);
        assert_eq!(status("", "PUT /notify\nhost: 127.0.0.1\nhost: 127.0.0.1"), 400);
        let named = "PUT /notify\nhost: desktop.example";
        assert_eq!(status(AUTH, &format!("{named}\nauthorization: {GOOD}")), 200, "who knows the password may");
    }

    #[test]
    fn an_absolute_target_must_agree() {
        assert_eq!(status("", "PUT http://127.0.0.1:1/notify\nhost: 127.0.0.1"), 200);
        assert_eq!(status("", "PUT http://localhost/notify\nhost: 127.0.0.1"), 400);
        assert_eq!(status("", "PUT http://evil.example/notify\nhost: evil.example"), 403);
    }

    #[test]
    fn browsers_are_turned_away_everywhere() {
        for header in [
            "origin: null",
            "sec-fetch-mode: no-cors",
            "referer: x",
            "cookie: a=b",
            "sec-purpose: prefetch",
            "upgrade-insecure-requests: 1",
            "access-control-request-method: PUT",
        ] {
            for first in ["PUT /notify", "OPTIONS /notify", "GET /healthz", "GET /favicon.ico"] {
                assert_eq!(status("", &format!("{first}\nhost: localhost\n{header}")), 403, "{first} {header}");
            }
        }
    }

    #[test]
    fn paths_methods_passwords_and_types_in_this_order() {
        let with = |first: &str, more: &str| status(AUTH, &format!("{first}\nhost: localhost\n{more}"));
        let good = format!("authorization: {GOOD}");
        assert_eq!(with("PUT /elsewhere", &good), 404);
        assert_eq!(with("GET /elsewhere", ""), 404);
        assert_eq!(with("GET /notify", ""), 405);
        assert_eq!(with("PUT /healthz", ""), 405);
        assert_eq!(with("PUT /notify", ""), 401);
        assert_eq!(with("GET /healthz", ""), 401);
        assert_eq!(with("GET /healthz", &good), 204);
        assert_eq!((with("GET /healthz/0f", ""), with("POST /healthz/0f", "")), (204, 405), "its word is its password");
        assert_eq!(with("PUT /notify?x=y", &good), 200);
        assert_eq!(with("PUT /notify", "content-type: text/html"), 401);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-type: text/html")), 415);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-type: Application/JSON; charset=x")), 200);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-encoding: gzip")), 415);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-length: 9999999")), 413);
        assert_eq!(with("PUT /notify", &format!("{good}\ntransfer-encoding: Chunked")), 200);
        for codings in ["gzip, chunked", "chunked, chunked", "identity", "chunked\ntransfer-encoding: chunked"] {
            assert_eq!(with("PUT /notify", &format!("{good}\ntransfer-encoding: {codings}")), 400, "{codings}");
        }
    }
}
