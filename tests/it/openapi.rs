//! The control API is what its OpenAPI document says: every operation is asked for, and every answer is held against it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Emu, Project, emu, request};

const FUNCTION: &str = "
export default {
  fetch: () => { console.log('asked'); return new Response('hello'); },
  scheduled: () => {},
  async queue(batch) { throw new Error('never'); },
};";

const MANIFEST: &str = "
[functions.api]
http = '/api'
cron = '0 0 1 1 *'
max_retries = 0
[functions.worker]
queue = 'jobs'
[queues.jobs]
delay = '1h'
max_receives = 1
dead_letter = 'dead'
[queues.dead]
[queues.box]
[topics.news]
queues = ['box']
[kv.cache]
ttl = '1h'
";

/// A step of the conversation: the path with its names and query, and the body of a POST.
fn conversation() -> Vec<(&'static str, Option<Value>)> {
    let event = json!({"specversion": "1.0", "id": "1", "source": "/t", "type": "news", "data": 1});
    vec![
        ("/_emu/openapi.json", None),
        ("/_emu/health", None),
        ("/_emu/ready", None),
        ("/_emu/functions/api/invoke", Some(json!({"a": 1}))),
        ("/_emu/functions/api/invoke-async", Some(json!(null))),
        ("/_emu/crons/api/fire", Some(json!({}))),
        ("/_emu/functions", None),
        ("/_emu/functions/api", None),
        ("/_emu/instances", None),
        ("/_emu/members", None),
        ("/_emu/invocations?function=api&since=1h&limit=10", None),
        ("/_emu/invocations/{invocation}", None),
        ("/_emu/invocations/{invocation}/replay", Some(json!({}))),
        ("/_emu/recording?since=1h&limit=5", None),
        ("/_emu/logs?limit=5", None),
        ("/_emu/history?kind=invocation,log", None),
        ("/_emu/why/{invocation}", None),
        (
            "/_emu/queues/jobs/messages",
            Some(json!({"body": {"n": 1}, "attributes": {"a": "b"}})),
        ),
        (
            "/_emu/queues/box/messages",
            Some(json!([{"body": "text"}, {"body": 2}])),
        ),
        ("/_emu/queues", None),
        ("/_emu/queues/jobs", None),
        ("/_emu/queues/jobs/messages?max=5", None),
        ("/_emu/queues/box/messages", None),
        ("/_emu/queues/box/receive", Some(json!({"max": 1, "visibility": "1m"}))),
        (
            "/_emu/queues/box/visibility",
            Some(json!({"receipt": "{receipt}", "visibility": "2m"})),
        ),
        ("/_emu/queues/box/delete", Some(json!({"receipt": "{receipt}"}))),
        ("/_emu/queues/box/purge", Some(json!({}))),
        ("/_emu/queues/dead/redrive", Some(json!({}))),
        ("/_emu/topics", None),
        ("/_emu/topics/news", None),
        ("/_emu/topics/news/messages", Some(json!({"body": "hi"}))),
        ("/_emu/cloudevents?topic=news", Some(event)),
        (
            "/_emu/kv/cache/put",
            Some(json!({"key": "a", "value": "1", "metadata": {"by": "me"}})),
        ),
        ("/_emu/kv/cache/put", Some(json!({"key": "b", "base64": "/w=="}))),
        ("/_emu/kv", None),
        ("/_emu/kv/cache?prefix=&limit=1", None),
        ("/_emu/kv/cache/value?key=a", None),
        ("/_emu/kv/cache/value?key=b", None),
        ("/_emu/kv/cache/delete", Some(json!({"key": "b"}))),
        ("/_emu/snapshots/one/save", Some(json!({"force": true}))),
        ("/_emu/snapshots", None),
        ("/_emu/snapshots/one/load", Some(json!({}))),
        ("/_emu/snapshots/one/delete", Some(json!({}))),
        (
            "/_emu/faults",
            Some(json!({"fail": 0, "delay": {"probability": 0, "by": "2s"}, "seed": 7})),
        ),
        ("/_emu/faults", None),
        ("/_emu/crons", None),
        ("/_emu/crons/api", None),
        ("/_emu/bill?provider=gcp-functions", None),
        ("/_emu/clock", None),
        ("/_emu/idle?timeout=60s&before=1m", None),
        ("/_emu/settings", None),
        (
            "/_emu/settings",
            Some(json!({"functions": {"api": {"keep_alive": "1m"}}})),
        ),
        ("/_emu/settings", Some(json!({"reset": true}))),
        ("/_emu/load", None),
        (
            "/_emu/load",
            Some(json!({"function": "api", "rate": 1.0, "duration": "10m"})),
        ),
        ("/_emu/load", Some(json!({"stop": true}))),
        ("/_emu/load", None),
        (
            "/_emu/request",
            Some(json!({"path": "/api", "headers": [["x-a", "b"]]})),
        ),
        ("/_emu/reload", Some(json!({}))),
        ("/_emu/reset", Some(json!({}))),
    ]
}

fn ask(emu: &Emu, path: &str, body: Option<&Value>) -> Answer {
    let Some(body) = body else {
        return request(Method::GET, &format!("{}{path}", emu.control_url()), &[], String::new());
    };
    if !path.starts_with("/_emu/cloudevents") {
        return emu.control_post(path, body);
    }
    let kind = [("content-type", "application/cloudevents+json")];
    request(
        Method::POST,
        &format!("{}{path}", emu.control_url()),
        &kind,
        body.to_string(),
    )
}

#[test]
fn every_operation_answers_as_the_document_says() {
    let emu = Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", FUNCTION),
        ("functions/worker.js", FUNCTION),
    ])
    .start();
    let document = emu.control("/_emu/openapi.json");
    let mut left = operations(&document);
    let (mut invocation, mut receipt) = (String::new(), String::new());
    for (path, body) in conversation() {
        let path = path.replace("{invocation}", &invocation);
        let body = body.map(|body| {
            let text = body.to_string().replace("{receipt}", &receipt);
            serde_json::from_str::<Value>(&text).expect("JSON")
        });
        let method = if body.is_some() { "post" } else { "get" };
        let answer = ask(&emu, &path, body.as_ref());
        let (known, operation) = find(&document, method, path.split('?').next().expect("a path"));
        left.remove(&(method.to_owned(), known));
        let asked = format!("{method} {path}: {} {}", answer.status, answer.text());
        assert!(answer.status.is_success(), "{asked}");
        let described = &operation["responses"][answer.status.as_str()];
        assert!(described.is_object(), "this status is not in the document: {asked}");
        let schema = &described["content"]["application/json"]["schema"];
        let value = answer.json();
        if let Err(fault) = holds(&document, schema, &value, "answer") {
            panic!("{fault}\n{asked}");
        }
        if let Some(id) = value["invocation"]["id"].as_str() {
            id.clone_into(&mut invocation);
        }
        if let Some(of) = value[0]["receipt"].as_str() {
            of.clone_into(&mut receipt);
        }
    }
    assert_eq!(events_head(&emu), "HTTP/1.1 200 OK");
    left.remove(&("get".to_owned(), "/_emu/events".to_owned()));
    left.remove(&("post".to_owned(), "/_emu/clock".to_owned()));
    moves_a_clock(&document);
    assert!(left.is_empty(), "nothing in `conversation` asks for {left:?}");
}

/// What only a manual clock answers.
fn moves_a_clock(document: &Value) {
    let emu = Project::new(&[("functions/api.js", FUNCTION)]).start_with(&["--clock", "manual"]);
    emu.get("/api");
    for body in [
        json!({ "advance": "1m" }),
        json!({ "run_until_idle": true, "max_invocations": 5 }),
    ] {
        let answer = ask(&emu, "/_emu/clock", Some(&body));
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let (_, operation) = find(document, "post", "/_emu/clock");
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if let Err(fault) = holds(document, schema, &answer.json(), "answer") {
            panic!("{body}: {fault}");
        }
    }
}

#[test]
fn what_the_document_does_not_name_is_not_served() {
    let files = [("functions/api.js", FUNCTION), ("emu.toml", "[queues.box]")];
    let emu = Project::new(&files).start();
    let document = emu.control("/_emu/openapi.json");
    let errors = &document["components"]["responses"]["Refused"]["content"]["application/json"]["schema"];
    for (path, body, status) in [
        ("/_emu/helth", None, 404),
        ("/_emu/queues/none", None, 404),
        ("/_emu/functions/api/invoke", None, 405),
        ("/_emu/health", Some(json!({})), 405),
        ("/_emu/functions/api/invok", Some(json!({})), 404),
        ("/_emu/invocations?limit=many", None, 400),
        ("/elsewhere", None, 404),
        // Found by schemathesis: a list was taken as an object's members in order.
        ("/_emu/queues/box/receive", Some(json!([1, null])), 400),
        ("/_emu/queues/box/messages", Some(json!([["text"]])), 400),
    ] {
        let answer = ask(&emu, path, body.as_ref());
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        if let Err(fault) = holds(&document, errors, &answer.json(), "answer") {
            panic!("{path}: {fault}");
        }
        assert_eq!(status == 405, !answer.header("allow").is_empty(), "{path}");
    }
    let head = request(
        Method::HEAD,
        &format!("{}/_emu/health", emu.control_url()),
        &[],
        String::new(),
    );
    assert_eq!(head.status, 200);
}

#[test]
fn the_command_prints_the_document_and_the_readme_tells_of_its_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = emu(folder.path())
        .args(["schema", "--openapi"])
        .output()
        .expect("run emu");
    assert!(run.status.success(), "{run:?}");
    let document: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("README.md");
    for (method, path) in operations(&document) {
        assert!(
            readme.contains(&format!("`{path}")),
            "README.md does not tell of {method} {path}"
        );
    }
}

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let of = |(path, operations): (&String, &Value)| {
        let methods = operations.as_object().expect("operations").keys();
        methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
    };
    paths.flat_map(of).collect()
}

/// The operation that a path is of: of several, the one with most literal parts.
fn find<'a>(document: &'a Value, method: &str, path: &str) -> (String, &'a Value) {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |pattern: &str| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        pattern.len() == parts.len()
            && pattern
                .iter()
                .zip(&parts)
                .all(|(p, part)| p.starts_with('{') || p == part)
    };
    let known = document["paths"].as_object().expect("paths");
    let found = known
        .iter()
        .filter(|(pattern, of)| fits(pattern) && of[method].is_object());
    let (pattern, of) = found
        .min_by_key(|(pattern, _)| pattern.matches('{').count())
        .unwrap_or_else(|| panic!("{method} {path} is not in the document"));
    (pattern.clone(), &of[method])
}

/// Status line of the endless stream of events.
fn events_head(emu: &Emu) -> String {
    let address = Emu::address(&emu.control_url());
    let mut stream = TcpStream::connect(&address).expect("connect");
    write!(stream, "GET /_emu/events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("ask");
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).expect("an answer") == 1 && byte[0] != b'\r' {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

/// Whether a value is as a schema says. Stricter than JSON Schema in one point: what `properties` does not name is a fault
/// unless `additionalProperties` allows it, so that no field goes without a description.
fn holds(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(to) = schema["$ref"].as_str() {
        let schema = document
            .pointer(to.trim_start_matches('#'))
            .ok_or_else(|| format!("{at}: no {to}"))?;
        return holds(document, schema, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults: Vec<String> = any
            .iter()
            .filter_map(|one| holds(document, one, value, at).err())
            .collect();
        return if faults.len() < any.len() {
            Ok(())
        } else {
            Err(faults.join("; or "))
        };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|kind| is_of(kind, value)) {
        return Err(format!("{at} is {value}, not {}", types.join(" or ")));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Err(format!("{at} is {value}, none of {choices:?}"));
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        for (n, item) in items.iter().enumerate() {
            holds(document, &schema["items"], item, &format!("{at}[{n}]"))?;
        }
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return Ok(());
    };
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !members.contains_key(name) {
            return Err(format!("{at} has no {name}"));
        }
    }
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => holds(document, schema, member, &format!("{at}.{name}"))?,
            None if schema["additionalProperties"] == true => {}
            None => return Err(format!("{at}.{name} is not in the document")),
        }
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
