//! `openapi.json` describes the control API, and is its routing table as well: what is not in it is not served, so no path
//! goes without a description. `tests/it/openapi.rs` asks for each path that it names and holds the answers against it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::Value;

use crate::engine::Body;
use crate::live::bindings::nearest;
use crate::live::http::refuse;

const TEXT: &str = include_str!("openapi.json");

/// All paths below `/_emu/`, each with its methods in upper case.
static PATHS: LazyLock<Vec<Path>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(TEXT).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    let path = |(pattern, operations): (&String, &Value)| Path {
        segments: pattern.split('/').skip(1).map(str::to_owned).collect(),
        methods: operations
            .as_object()
            .into_iter()
            .flatten()
            .map(|(method, _)| method.to_uppercase())
            .collect(),
    };
    paths.map(path).collect()
});

struct Path {
    segments: Vec<String>,
    methods: Vec<String>,
}

impl Path {
    fn is(&self, path: &str) -> bool {
        let mut asked = path.split('/').skip(1);
        let fits = |segment: &String| match asked.next() {
            None | Some("") => false,
            Some(part) => segment.starts_with('{') || segment == part,
        };
        self.segments.iter().all(fits) && asked.next().is_none()
    }
}

/// The document of this version of emu.
pub fn document() -> String {
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    TEXT.replacen("\"version\": \"0.0.0\"", &version, 1)
}

/// Methods that a path takes; none: there is no such path.
pub fn methods(path: &str) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    // A literal path and one with a name in it may both fit.
    for path in PATHS.iter().filter(|known| known.is(path)) {
        found.extend(path.methods.iter().map(String::as_str));
    }
    found
}

/// The first parts of paths, for "did you mean".
pub fn names() -> Vec<String> {
    let first = PATHS.iter().filter_map(|path| path.segments.get(1).cloned());
    first.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The answer to what the document does not name. What is not below `/_emu/` is none of its business.
pub fn refusal(method: &Method, path: &str) -> Option<Response<Body>> {
    let below = path.strip_prefix("/_emu/")?;
    let methods = methods(path);
    let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
    if methods.contains(&wanted) {
        return None;
    }
    if methods.is_empty() {
        let message = format!("no {path}");
        return Some(refuse(StatusCode::NOT_FOUND, "not-found", &message, &hint(below)));
    }
    let (message, remedy) = match methods.contains(&"POST") {
        true => (
            format!("{path} does something: it takes POST"),
            "curl -X POST -H 'content-type: application/json'",
        ),
        false => (format!("{path} tells something: it takes GET"), "use GET"),
    };
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", &message, remedy);
    if let Ok(allow) = HeaderValue::try_from(methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Some(response)
}

/// What may have been meant by a path.
pub fn hint(below: &str) -> String {
    let known = names();
    let first = below.split('/').next().unwrap_or_default();
    match nearest(first, known.iter()) {
        Some(near) if near == first => format!("GET /_emu/openapi.json describes what there is below /_emu/{near}"),
        Some(near) => format!("did you mean {near}?"),
        None => known.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_their_methods() {
        for (path, expect) in [
            ("/_emu/health", &["GET"][..]),
            ("/_emu/queues/orders/messages", &["GET", "POST"]),
            ("/_emu/queues/orders/purge", &["POST"]),
            ("/_emu/queues/a%2Fb", &["GET"]),
            ("/_emu/queues/", &[]),
            ("/_emu/queues//messages", &[]),
            ("/_emu/queues/orders/messages/1", &[]),
            ("/_emu", &[]),
        ] {
            assert_eq!(methods(path), expect, "{path}");
        }
        assert!(refusal(&Method::GET, "/").is_none());
        assert!(refusal(&Method::GET, "/_emu/health").is_none());
        let refused = refusal(&Method::POST, "/_emu/health").expect("refused");
        assert_eq!(refused.status(), 405);
        assert_eq!(refused.headers()["allow"], "GET");
        assert_eq!(refusal(&Method::GET, "/_emu/helth").expect("refused").status(), 404);
        assert_eq!(hint("helth"), "did you mean health?");
    }

    #[test]
    fn the_document_is_whole() {
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{id} stands twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                let named = path.matches('{').count();
                let parameters = operation["parameters"].as_array();
                let given = parameters.map_or(0, |all| all.iter().filter(|one| one["in"] == "path").count());
                assert_eq!(named, given, "{method} {path}: parameters of the path");
            }
        }
        let mut missing = Vec::new();
        references(&document, &document, &mut missing);
        assert!(missing.is_empty(), "references to nothing: {missing:?}");
    }

    fn references(document: &Value, at: &Value, missing: &mut Vec<String>) {
        match at {
            Value::Object(members) => {
                if let Some(to) = members.get("$ref").and_then(Value::as_str)
                    && document.pointer(to.trim_start_matches('#')).is_none()
                {
                    missing.push(to.to_owned());
                }
                members.values().for_each(|value| references(document, value, missing));
            }
            Value::Array(items) => items.iter().for_each(|value| references(document, value, missing)),
            _ => {}
        }
    }
}
