//! `[http]`: who may call from other origins.

use crate::platform::time::Span;
use crate::project::Cors;
use crate::project::manifest::RawCors;
use crate::project::read::{At, Sink};
use crate::project::route::METHODS;

/// The Fetch standard's default.
const MAX_AGE_DEFAULT: Span = Span::from_secs(5);

pub fn cors(raw: &RawCors, sink: &mut Sink) -> Cors {
    let anything = || vec!["*".to_owned()];
    let origins = match &raw.origins {
        None => anything(),
        Some(list) => list.iter().filter_map(|origin| read_origin(origin, sink)).collect(),
    };
    if raw.credentials && origins.iter().any(|origin| origin == "*") {
        let span = raw
            .origins
            .as_ref()
            .and_then(|list| list.iter().find(|o| o.value == "*"))
            .map_or(&raw.span, |o| &o.span);
        sink.error(span, "browsers refuse credentials for all origins")
            .remedy("name the origins, such as `origins = [\"http://localhost:5173\"]`");
    }
    let methods = match &raw.methods {
        None => METHODS.iter().map(|method| (*method).to_owned()).collect(),
        Some(list) => list.iter().filter_map(|method| read_method(method, sink)).collect(),
    };
    let headers = match &raw.headers {
        None => anything(),
        Some(list) => list.iter().filter_map(|header| read_header(header, sink)).collect(),
    };
    Cors {
        origins,
        methods,
        headers,
        credentials: raw.credentials,
        max_age: raw.max_age.as_ref().map_or(MAX_AGE_DEFAULT, |age| age.value),
    }
}

/// `scheme://host[:port]` as browsers write it in `Origin`.
fn read_origin(origin: &At<String>, sink: &mut Sink) -> Option<String> {
    if origin.value == "*" {
        return Some("*".to_owned());
    }
    let meant = url::Url::parse(&origin.value)
        .ok()
        .filter(|url| url.has_host())
        .map(|url| url.origin().ascii_serialization());
    match meant {
        Some(exact) if exact == origin.value => Some(exact),
        Some(exact) if exact != "null" => {
            sink.error(
                &origin.span,
                format!("`{}` is not how a browser writes an origin", origin.value),
            )
            .remedy(format!("write `{exact}`"));
            None
        }
        Some(_) | None => {
            sink.error(&origin.span, format!("`{}` is no origin", origin.value))
                .remedy("write scheme, host and port, such as `http://localhost:5173`, or `*`");
            None
        }
    }
}

fn read_method(method: &At<String>, sink: &mut Sink) -> Option<String> {
    let upper = method.value.to_ascii_uppercase();
    if METHODS.contains(&method.value.as_str()) || method.value == "*" {
        return Some(upper);
    }
    let problem = sink.error(&method.span, format!("`{}` is no method", method.value));
    if METHODS.contains(&upper.as_str()) {
        problem.remedy(format!("write `{upper}`"));
    } else {
        problem.remedy(format!("methods are {}", METHODS.join(", ")));
    }
    None
}

fn read_header(header: &At<String>, sink: &mut Sink) -> Option<String> {
    let lower = header.value.to_ascii_lowercase();
    if lower == "*" || lower.parse::<http::HeaderName>().is_ok() {
        return Some(lower);
    }
    sink.error(&header.span, format!("`{}` is no header's name", header.value));
    None
}
