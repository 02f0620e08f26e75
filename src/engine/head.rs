//! What the head of a message says of the message: whose host it names, and how long its body is.
//!
//! Guests copy heads of one message to another, and clients write what they like; neither may decide where a message ends.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::Body;

/// Whether a `Host` header names a host, maybe with a port, and nothing else.
pub fn names_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let Some(rest) = text.strip_prefix(authority.host()) else {
        return false;
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !authority.host().is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether a head leaves no doubt whom its request is for. It may leave the host out.
pub fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map_or(Some(""), |host| host.to_str().ok());
    let one = hosts.next().is_none() && host.is_some_and(|host| host.is_empty() || names_host(host));
    let authority = request.uri().authority();
    one && authority.is_none_or(|authority| names_host(authority.as_str()))
}

/// The length that a head tells, when it tells one.
fn told(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let value = values.next()?.to_str().ok()?;
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits && values.next().is_none())
}

/// Makes the length that a request tells that of its body. Of a body whose length is not known, its sender's word counts.
pub fn tell_length(request: &mut Request<Body>) {
    let length = request.body().size_hint().exact();
    let may_have_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    let headers = request.headers_mut();
    match length {
        None if told(headers).is_some() => {}
        Some(length) if length > 0 || may_have_body => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        _ => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// Takes a length away that is not that of the response's body; the connection then tells the right one. The answer to
/// HEAD, and 304, tell the length of a body that does not come.
pub fn check_length(response: &mut Response<Body>, to_head: bool) {
    if !response.headers().contains_key(CONTENT_LENGTH) {
        return;
    }
    let bodiless = to_head || response.status() == StatusCode::NOT_MODIFIED;
    let length = response.body().size_hint().exact();
    let right = told(response.headers()).is_some_and(|told| bodiless || length.is_none_or(|length| length == told));
    if !right {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    fn body(text: &'static str) -> Body {
        Full::new(Bytes::from_static(text.as_bytes()))
            .map_err(|never| match never {})
            .boxed_unsync()
    }

    fn endless() -> Body {
        StreamBody::new(futures::stream::pending()).boxed_unsync()
    }

    #[test]
    fn a_host_is_a_name_and_a_port() {
        for host in ["a.example", "localhost:3680", "[::1]:80", "127.0.0.1", "a-b_c.example"] {
            assert!(names_host(host), "{host}");
        }
        for other in [
            "", "x/admin?", "x/admin", "x?", "x#", "user@x", "u:1@x", "x:", ":80", "x:99999", "x:+80", "a b", "x\\y",
        ] {
            assert!(!names_host(other), "{other}");
        }
    }

    #[test]
    fn a_request_tells_the_length_of_its_own_body() {
        let length = |method: Method, told: Option<&str>, body: Body| {
            let mut request = Request::new(body);
            *request.method_mut() = method;
            if let Some(told) = told {
                request
                    .headers_mut()
                    .insert(CONTENT_LENGTH, told.parse().expect("a value"));
            }
            tell_length(&mut request);
            let length = request.headers().get(CONTENT_LENGTH);
            length.map(|length| length.to_str().expect("text").to_owned())
        };
        assert_eq!(length(Method::POST, Some("3"), body("longer")).as_deref(), Some("6"));
        assert_eq!(length(Method::POST, None, body("longer")).as_deref(), Some("6"));
        assert_eq!(length(Method::POST, Some("8"), body("")).as_deref(), Some("0"));
        assert_eq!(length(Method::GET, Some("8"), body("")), None);
        assert_eq!(length(Method::POST, Some("8"), endless()).as_deref(), Some("8"));
        assert_eq!(length(Method::POST, Some("8, 9"), endless()), None);
    }

    #[test]
    fn a_response_keeps_no_length_but_its_bodys() {
        let kept = |told: &[&str], body: Body, status: u16, to_head: bool| {
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for told in told {
                response
                    .headers_mut()
                    .append(CONTENT_LENGTH, told.parse().expect("a value"));
            }
            check_length(&mut response, to_head);
            response.headers().contains_key(CONTENT_LENGTH)
        };
        assert!(kept(&["5"], body("hello"), 200, false));
        assert!(!kept(&["5"], body("hello and more"), 200, false));
        assert!(!kept(&["50"], body("hello"), 200, false));
        assert!(kept(&["50"], body(""), 200, true));
        assert!(kept(&["50"], body(""), 304, false));
        assert!(kept(&["50"], endless(), 200, false));
        assert!(!kept(&["50", "50"], endless(), 200, true));
        assert!(!kept(&["many"], endless(), 200, false));
    }
}
