//! The function in the bundle: its modules, what imports what, and its settings.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::emu::shell::bundle;

/// How names of files begin where generated code asks for them.
const FILE: &str = "emu-file:";
/// After the name of a CommonJS file: the module that is imported for it.
const FACADE: &str = "?import";
/// What may be missing at the end of a computed name.
const IMPLIED: [&str; 9] = ["", ".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs", ".json"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    pub entry: String,
    /// For the prelude, as emu writes them.
    pub settings: String,
    pub timeout_ms: f64,
    pub is_lambda: bool,
    pub allow_hosts: Vec<String>,
    /// Where a module's code begins and how long it is, in bytes.
    modules: BTreeMap<String, (u32, u32)>,
    links: BTreeMap<String, BTreeMap<String, Link>>,
}

/// What an import leads to.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Link {
    To(String),
    Why(String),
}

impl Sources {
    pub fn read() -> Sources {
        match serde_json::from_str(&bundle::index()) {
            Ok(sources) => sources,
            Err(error) => panic!("the bundle is damaged: {error}"),
        }
    }

    /// As emu's `Graph::resolve`.
    pub fn resolve(&self, referrer: &str, specifier: &str) -> Result<String, String> {
        match self.links.get(referrer).and_then(|links| links.get(specifier)) {
            Some(Link::To(name)) => return Ok(name.clone()),
            Some(Link::Why(why)) => return Err(why.clone()),
            None => {}
        }
        let bare = specifier.strip_prefix(FILE).unwrap_or(specifier);
        let is_ours = |name: &str| self.modules.contains_key(name);
        if is_ours(bare) {
            return Ok(bare.to_owned());
        }
        // Those that emu brings build upon the prelude, whose modules the interpreter already has.
        let is_builtin = referrer.starts_with("node:") || referrer.starts_with("emu:") || referrer.starts_with("cloudflare:");
        if is_builtin && specifier.starts_with("emu:") {
            return Ok(specifier.to_owned());
        }
        if let Some(name) = self.find_computed(referrer, specifier) {
            return Ok(name);
        }
        Err(format!("cannot find {specifier:?} imported from {referrer}: computed imports reach only files that are also imported by name"))
    }

    fn find_computed(&self, referrer: &str, specifier: &str) -> Option<String> {
        let mut path: Vec<&str> = referrer.split('/').collect();
        path.pop();
        for part in specifier.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(path.pop()),
                part => path.push(part),
            }
        }
        let name = path.join("/");
        let names = IMPLIED.iter().flat_map(|end| [format!("{name}{end}{FACADE}"), format!("{name}{end}")]);
        names.into_iter().find(|name| self.modules.contains_key(name))
    }

    pub fn code(&self, name: &str) -> Result<String, String> {
        let (start, length) = self.modules.get(name).ok_or_else(|| format!("no module {name}"))?;
        Ok(bundle::text(*start, *length))
    }

    /// A request as an event of API Gateway, format 2.0.
    pub fn gateway(&self, request: &str, body: &[u8], id: &str) -> String {
        let mut lines = request.split('\n');
        let (method, address) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
        let url = url::Url::parse(address).ok();
        let path = url.as_ref().map_or("/", |url| url.path());
        let query = url.as_ref().and_then(|url| url.query()).unwrap_or_default();
        let mut headers = Map::new();
        let mut cookies = Vec::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("cookie") {
                cookies.extend(value.split("; ").map(Value::from));
                continue;
            }
            let name = name.to_ascii_lowercase();
            let joined = match headers.get(&name).and_then(Value::as_str) {
                Some(before) => format!("{before},{value}"),
                None => value.to_owned(),
            };
            headers.insert(name, joined.into());
        }
        let header = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "emu",
                "domainName": header("host"),
                "domainPrefix": header("host").split('.').next().unwrap_or_default(),
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": header("user-agent") },
                "requestId": id,
                "routeKey": "$default",
                "stage": "$default",
                "timeEpoch": wasip3::clocks::system_clock::now().seconds.saturating_mul(1000),
            },
            "isBase64Encoded": false,
        });
        if !query.is_empty() {
            let mut parameters = Map::new();
            for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                let joined = match parameters.get(&*name).and_then(Value::as_str) {
                    Some(before) => format!("{before},{value}"),
                    None => value.into_owned(),
                };
                parameters.insert(name.into_owned(), joined.into());
            }
            event["queryStringParameters"] = parameters.into();
        }
        if !body.is_empty() {
            match std::str::from_utf8(body) {
                Ok(text) => event["body"] = text.into(),
                Err(_) => {
                    event["body"] = BASE64.encode(body).into();
                    event["isBase64Encoded"] = true.into();
                }
            }
        }
        event["headers"] = headers.into();
        if !cookies.is_empty() {
            event["cookies"] = cookies.into();
        }
        event.to_string()
    }
}

/// A request's head with its address as `Request.url` shows it: without dot segments, with letters escaped.
pub fn parsed(request: String) -> String {
    let (first, rest) = request.split_at(request.find('\n').unwrap_or(request.len()));
    let parsed = first.split_once(' ').and_then(|(method, address)| Some((method, url::Url::parse(address).ok()?)));
    match parsed {
        Some((method, url)) => format!("{method} {url}{rest}"),
        None => request,
    }
}

/// An error as the prelude tells it, for the log: name, message and stack.
pub fn told(thrown: &str) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Thrown {
        name: String,
        message: String,
        stack: String,
    }
    let thrown: Thrown = serde_json::from_str(thrown).unwrap_or_default();
    let head = format!("{}: {}", thrown.name, thrown.message);
    match thrown.stack.trim_end() {
        "" => head,
        stack => format!("{head}\n{stack}"),
    }
}
