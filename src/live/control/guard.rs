//! Who may talk to the control API: DNS rebinding and cross-site requests are how local servers get broken into.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Uri};

use crate::engine::{Body, cloudevents};
use crate::live::http::refuse;

use super::{assets, openapi};

/// What the guard knows of this server.
#[derive(Clone, Debug)]
pub struct Guard {
    pub port: u16,
    /// The address it was told to listen at, when that is not loopback.
    pub host: Option<IpAddr>,
    pub token: Option<String>,
}

/// The parts of a request that the guard judges.
pub struct Asked<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
}

impl Guard {
    /// The refusal of a request that must not be served.
    pub fn check(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        self.check_host(asked)
            .or_else(|| self.check_origin(asked))
            .or_else(|| check_fetch_site(asked))
            .or_else(|| openapi::refusal(asked.method, asked.uri.path()))
            .or_else(|| check_content_type(asked))
            .or_else(|| self.check_token(asked))
    }

    fn check_host(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        let mut hosts = asked.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Some(bad_host("the request has no Host header, or several"));
        };
        let Some((name, port)) = host.to_str().ok().and_then(split_host) else {
            return Some(bad_host("the Host header cannot be read"));
        };
        if port == Some(self.port) && self.is_own_name(name) {
            return None;
        }
        Some(refuse(
            StatusCode::FORBIDDEN,
            "foreign-host",
            "the control API answers to its own address only",
            &format!("use http://127.0.0.1:{0} or http://localhost:{0}", self.port),
        ))
    }

    fn is_own_name(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        match bare.parse::<IpAddr>() {
            // With a host of its own the machine may be known by any of its addresses; a name could be rebound.
            Ok(address) => address.is_loopback() || self.host.is_some(),
            Err(_) => false,
        }
    }

    fn check_origin(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        let origin = asked.headers.get(header::ORIGIN)?;
        let own = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://"))
            .and_then(split_host)
            .is_some_and(|(name, port)| port == Some(self.port) && self.is_own_name(name));
        if own {
            return None;
        }
        Some(refuse(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "a page of another origin may not use the control API",
            "call it from a script, a command line, or the dashboard itself",
        ))
    }

    fn check_token(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        let token = self.token.as_ref()?;
        // The page asks for the token, and then for data with it.
        if assets::is_page(asked.method, asked.uri.path()) {
            return None;
        }
        let given = asked
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
            return None;
        }
        let mut response = refuse(
            StatusCode::UNAUTHORIZED,
            "token-required",
            "this control API was started with a token",
            "send `authorization: Bearer TOKEN`; commands take --control-token or EMU_CONTROL_TOKEN",
        );
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(response)
    }
}

fn bad_host(message: &str) -> Response<Body> {
    refuse(
        StatusCode::BAD_REQUEST,
        "bad-host",
        message,
        "send one Host header with name and port",
    )
}

/// `name`, `name:port`, `[v6]:port`. A missing port is none, a malformed one is an error.
fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.rfind(']') {
        Some(end) => (host.get(..=end)?, host.get(end + 1..)?.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port = match port {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    (!name.is_empty()).then_some((name, port))
}

fn check_fetch_site(asked: &Asked<'_>) -> Option<Response<Body>> {
    let site = asked.headers.get("sec-fetch-site")?;
    if site == "same-origin" || site == "none" {
        return None;
    }
    // Somebody followed a link to the page: it shows itself, and reads data by requests of its own.
    let navigation = asked
        .headers
        .get("sec-fetch-mode")
        .is_some_and(|mode| mode == "navigate");
    if navigation && asked.method == Method::GET && asked.uri.path() == "/" {
        return None;
    }
    Some(refuse(
        StatusCode::FORBIDDEN,
        "cross-site",
        "a page of another site may not use the control API",
        "call it from a script, a command line, or the dashboard itself",
    ))
}

/// A form can post text and multipart across sites without asking; it cannot post JSON or CloudEvents, and a header of
/// theirs needs the leave of a preflight, which emu never gives.
fn check_content_type(asked: &Asked<'_>) -> Option<Response<Body>> {
    if matches!(*asked.method, Method::GET | Method::HEAD) {
        return None;
    }
    if asked.method != Method::POST {
        let mut response = refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "the control API takes GET and POST",
            "use POST",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        return Some(response);
    }
    let json = asked
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if json || cloudevents::is_announced(asked.headers) {
        return None;
    }
    Some(refuse(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "json-required",
        "a POST to the control API has content type application/json, or is a CloudEvent",
        "add `-H 'content-type: application/json'`",
    ))
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// On every answer of the control port.
pub fn harden(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        ),
    );
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, method: Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                *name,
                HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
            );
        }
        let uri: Uri = path.parse().expect("a path");
        let asked = Asked {
            method: &method,
            uri: &uri,
            headers: &map,
        };
        guard.check(&asked).map_or(200, |response| response.status().as_u16())
    }

    #[test]
    fn hosts() {
        let guard = Guard {
            port: 3681,
            host: None,
            token: None,
        };
        for (host, expect) in [
            ("127.0.0.1:3681", 200),
            ("localhost:3681", 200),
            ("LOCALHOST:3681", 200),
            ("[::1]:3681", 200),
            ("127.0.0.1:3680", 403),
            ("127.0.0.1", 403),
            ("evil.example:3681", 403),
            ("localhost.evil.example:3681", 403),
            ("127.0.0.1.nip.io:3681", 403),
            ("192.168.1.2:3681", 403),
            ("localhost:x", 400),
            ("localhost:99999", 400),
            ("", 400),
            ("[::1", 400),
            ("\u{e9}", 400),
        ] {
            assert_eq!(
                status(&guard, Method::GET, "/_emu/health", &[("host", host)]),
                expect,
                "host {host:?}"
            );
        }
        assert_eq!(status(&guard, Method::GET, "/", &[]), 400);
        assert_eq!(
            status(
                &guard,
                Method::GET,
                "/",
                &[("host", "localhost:3681"), ("host", "evil:1")]
            ),
            400
        );
    }

    #[test]
    fn origins_and_sites() {
        let guard = Guard {
            port: 3681,
            host: None,
            token: None,
        };
        let own = ("host", "localhost:3681");
        for (headers, path, expect) in [
            (&[own, ("origin", "http://localhost:3681")][..], "/_emu/ready", 200),
            (&[own, ("origin", "https://localhost:3681")], "/_emu/ready", 403),
            (&[own, ("origin", "http://localhost:3680")], "/_emu/ready", 403),
            (&[own, ("origin", "null")], "/_emu/ready", 403),
            (&[own, ("origin", "http://evil.example")], "/_emu/ready", 403),
            (&[own, ("sec-fetch-site", "same-origin")], "/_emu/ready", 200),
            (&[own, ("sec-fetch-site", "none")], "/_emu/ready", 200),
            (&[own, ("sec-fetch-site", "same-site")], "/_emu/ready", 403),
            (&[own, ("sec-fetch-site", "cross-site")], "/_emu/ready", 403),
            (
                &[own, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                "/",
                200,
            ),
            (
                &[own, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                "/_emu/bill",
                403,
            ),
        ] {
            assert_eq!(status(&guard, Method::GET, path, headers), expect, "{path} {headers:?}");
        }
    }

    #[test]
    fn posts_are_json_and_tokens_count() {
        let guard = Guard {
            port: 1,
            host: None,
            token: Some("s3cret".into()),
        };
        let own = ("host", "localhost:1");
        let json = ("content-type", "application/json; charset=utf-8");
        let right = ("authorization", "Bearer s3cret");
        assert_eq!(status(&guard, Method::POST, "/_emu/reset", &[own, json, right]), 200);
        assert_eq!(status(&guard, Method::POST, "/_emu/reset", &[own, right]), 415);
        assert_eq!(
            status(
                &guard,
                Method::POST,
                "/_emu/reset",
                &[own, ("content-type", "text/plain"), right]
            ),
            415
        );
        for event in [
            ("content-type", "application/cloudevents+json"),
            ("content-type", "application/cloudevents-batch+json; charset=utf-8"),
            ("ce-specversion", "1.0"),
        ] {
            assert_eq!(
                status(&guard, Method::POST, "/_emu/cloudevents", &[own, event, right]),
                200,
                "{event:?}"
            );
            let foreign = ("sec-fetch-site", "cross-site");
            assert_eq!(
                status(&guard, Method::POST, "/_emu/cloudevents", &[own, event, foreign, right]),
                403
            );
        }
        for form in ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"] {
            assert_eq!(
                status(
                    &guard,
                    Method::POST,
                    "/_emu/cloudevents",
                    &[own, ("content-type", form), right]
                ),
                415
            );
        }
        assert_eq!(status(&guard, Method::OPTIONS, "/_emu/cloudevents", &[own, right]), 405);
        assert_eq!(status(&guard, Method::PUT, "/_emu/reset", &[own, json, right]), 405);
        assert_eq!(status(&guard, Method::GET, "/_emu/bill", &[own]), 401);
        // The page itself holds nothing, and asks for the token.
        assert_eq!(status(&guard, Method::GET, "/", &[own]), 200);
        assert_eq!(status(&guard, Method::GET, "/dashboard/app.js", &[own]), 200);
        assert_eq!(status(&guard, Method::POST, "/", &[own, json]), 401);
        assert_eq!(
            status(
                &guard,
                Method::GET,
                "/_emu/bill",
                &[own, ("authorization", "Bearer s3creT")]
            ),
            401
        );
    }
}
