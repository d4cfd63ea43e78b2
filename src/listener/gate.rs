//! Who may knock, judged by a request's head alone, on every path and method.
//!
//! A web page in the user's own browser can reach a loopback port: by a form, by `fetch`, by a name of its own that
//! resolves to 127.0.0.1. Browsers can't help telling: by `Host`, `Origin`, `Sec-Fetch-*` and the like.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use crate::config::{Auth, Config};
use crate::wire::{WireFormat, format_for};

/// What a request may do.
#[derive(Debug)]
pub enum Target {
    Notify {
        format: &'static dyn WireFormat,
    },
    /// Somebody wants to know whether we live.
    Alive,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub why: Cow<'static, str>,
    /// For 405: the methods that are taken.
    pub allowed: &'static str,
}

impl Refusal {
    pub fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into(), allowed: "" }
    }

    pub fn too_large(max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes (`max_body`)"))
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
    auth: Option<Auth>,
    pub max_body: usize,
}

impl Rules {
    pub fn new(config: &Config) -> Self {
        let mut hosts: Vec<String> = config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.push("localhost".to_owned());
        hosts.extend(crate::paths::host_name().map(|name| name.to_ascii_lowercase()));
        Self {
            allow: config.allow.clone(),
            hosts,
            endpoint: config.endpoint.clone(),
            auth: config.auth.clone(),
            max_body: config.max_body,
        }
    }
}

const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

/// The checks, in the order in which they decide.
pub fn judge(head: &Parts, peer: IpAddr, rules: &Rules) -> Result<Target, Refusal> {
    let peer = peer.to_canonical();
    if !rules.allow.iter().any(|network| network.contains(&peer)) {
        return Err(Refusal::new(FORBIDDEN, "this address is not in `allow`"));
    }
    let proven = rules.auth.as_ref().map(|auth| is_proven(&head.headers, auth));
    check_host(head, rules, proven == Some(true))?;
    if let Some(header) = head.headers.keys().map(header::HeaderName::as_str).find(|name| is_of_a_browser(name)) {
        return Err(Refusal::new(FORBIDDEN, format!("a browser's request (`{header}`)")));
    }
    let path = head.uri.path();
    let (methods, target): (&[Method], _) = match path {
        "/healthz" => (&[Method::GET, Method::HEAD], None),
        _ if path == rules.endpoint => (&[Method::PUT, Method::POST], Some(())),
        _ => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("nothing is here; the endpoint is {}", rules.endpoint),
            ));
        }
    };
    if !methods.contains(&head.method) {
        let allowed = if target.is_some() { "PUT, POST" } else { "GET, HEAD" };
        return Err(Refusal {
            allowed,
            ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("the methods here are {allowed}"))
        });
    }
    if proven == Some(false) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "the user or password is missing or wrong"));
    }
    match target {
        None => Ok(Target::Alive),
        Some(()) => check_body(&head.headers, rules.max_body),
    }
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
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > max_body as u64) {
        return Err(Refusal::too_large(max_body));
    }
    Ok(Target::Notify { format })
}

fn is_of_a_browser(header: &str) -> bool {
    matches!(header, "origin" | "referer" | "cookie")
        || header.starts_with("sec-fetch-")
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
    let is_ours = proven || address.parse::<IpAddr>().is_ok() || rules.hosts.contains(&host);
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

fn is_proven(headers: &HeaderMap, auth: &Auth) -> bool {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return false };
    let Some((scheme, credentials)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let given = STANDARD.decode(credentials.trim()).unwrap_or_default();
    is_same(&given, format!("{}:{}", auth.user, auth.pass).as_bytes())
}

/// Takes as long for every given text of one length, whatever the secret is.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let difference = given
        .iter()
        .zip(secret.iter().cycle())
        .fold(given.len() ^ secret.len(), |difference, (a, b)| difference | usize::from(a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn rules(config: &str) -> Rules {
        let (config, problems) = Config::parse("f", config);
        Rules::new(&config.unwrap_or_else(|| panic!("{problems:?}")))
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
        judge(&head, peer.parse().unwrap(), &rules(config)).map_err(|refusal| refusal.status.as_u16())
    }

    fn status(config: &str, request: &str) -> u16 {
        match judged(config, "127.0.0.1", request) {
            Ok(Target::Notify { .. }) => 200,
            Ok(Target::Alive) => 204,
            Err(status) => status,
        }
    }

    #[test]
    fn the_network_comes_first() {
        let request = "PUT /notify\nhost: 127.0.0.1";
        assert_eq!(judged("", "10.0.0.1", request).err(), Some(403));
        assert!(judged("", "::1", request).is_ok());
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
        assert_eq!(with("PUT /notify?x=y", &good), 200);
        assert_eq!(with("PUT /notify", "content-type: text/html"), 401);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-type: text/html")), 415);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-type: Application/JSON; charset=x")), 200);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-encoding: gzip")), 415);
        assert_eq!(with("PUT /notify", &format!("{good}\ncontent-length: 9999999")), 413);
    }

    #[test]
    fn only_the_right_password_is_right() {
        let given = |authorization: &str| {
            status(AUTH, &format!("PUT /notify\nhost: localhost\nauthorization: {authorization}"))
        };
        assert_eq!(given(GOOD), 200);
        assert_eq!(given("basic Zm9vOmJhcg=="), 200);
        for wrong in [
            "Basic Zm9vOmJheg==",
            "Basic Zm9vOmJhcjo=",
            "Basic Zm9v",
            "Basic",
            "Bearer Zm9vOmJhcg==",
            "Basic !!!",
            "Basic Zm9vOmJhcmZvbzpiYXI=",
        ] {
            assert_eq!(given(wrong), 401, "{wrong}");
        }
        assert_eq!(given(&format!("{GOOD}\nauthorization: {GOOD}")), 401);
    }
}
