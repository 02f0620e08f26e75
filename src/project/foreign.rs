//! What to say where no project is: what was looked for and, where another tool's configuration lies, the lines to write.

use std::fs;
use std::path::Path;

use super::diagnostic::Diagnostic;
use super::discover::{FOLDER, is_name, kind_of};
use super::load::{MANIFEST, shown};

/// Read at most so much of a foreign file.
const BYTES_MAX: usize = 256 * 1024;

/// Other tools' files in the order in which they are looked for.
const KNOWN: [(&str, Tool); 8] = [
    ("wrangler.toml", Tool::WranglerToml),
    ("wrangler.jsonc", Tool::WranglerJson),
    ("wrangler.json", Tool::WranglerJson),
    ("serverless.yml", Tool::Serverless),
    ("serverless.yaml", Tool::Serverless),
    ("template.yaml", Tool::Sam),
    ("template.yml", Tool::Sam),
    ("samconfig.toml", Tool::SamConfig),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    WranglerToml,
    WranglerJson,
    Serverless,
    Sam,
    SamConfig,
}

/// A function of another tool's configuration, as far as a simple reading goes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Handler {
    name: String,
    /// Relative to the folder, with its extension when the file is there.
    source: String,
    routes: Vec<String>,
    cron: Option<String>,
}

/// The problem with a folder that is no project.
pub fn nothing_found(folder: &Path, upward: bool) -> Diagnostic {
    let wher = if upward { "nor in any folder above" } else { "" };
    let problem = Diagnostic::error(format!(
        "no project in {}{}{wher}",
        folder.display(),
        if upward { ", " } else { "" }
    ))
    .note(format!(
        "looked for {MANIFEST} and for a folder {FOLDER}/ with JavaScript, TypeScript or .wasm files"
    ));
    for (file, tool) in KNOWN {
        let path = folder.join(file);
        let Ok(bytes) = fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]).into_owned();
        let example = translate(tool, &text, folder);
        return problem
            .note(format!("found {}, which emu does not read", shown(&path)))
            .remedy(format!(
                "write these lines into {}, and mend what the short reading missed:",
                shown(&folder.join(MANIFEST))
            ))
            .example(example);
    }
    let scripts = loose_scripts(folder);
    match scripts.first() {
        Some(first) => problem.remedy(format!(
            "`emu dev {first}` serves that file alone; `emu new DIR` makes a new project"
        )),
        None => problem.remedy("`emu new DIR` makes a new project; `emu dev FILE` serves one file"),
    }
}

/// Files of the folder that could be served alone.
fn loose_scripts(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.retain(|name| kind_of(Path::new(name)).is_some() && !name.contains(".config."));
    names.sort();
    names
}

/// The lines of emu.toml for another tool's configuration.
fn translate(tool: Tool, text: &str, folder: &Path) -> String {
    let (name, provider, handlers) = match tool {
        Tool::WranglerToml => wrangler_toml(text),
        Tool::WranglerJson => wrangler_json(text),
        Tool::Serverless => (yaml_top(text, "service"), "aws-lambda", yaml_handlers(text)),
        Tool::Sam => (None, "aws-lambda", yaml_handlers(text)),
        Tool::SamConfig => (None, "aws-lambda", Vec::new()),
    };
    let mut lines = vec!["[project]".to_owned()];
    if let Some(name) = name {
        lines.push(format!("name = {}", quoted(&name)));
    }
    lines.push(format!("provider = {}", quoted(provider)));
    let handlers = if handlers.is_empty() {
        vec![Handler {
            name: "api".into(),
            source: "src/index.js".into(),
            routes: vec!["/*".into()],
            cron: None,
        }]
    } else {
        handlers
    };
    for handler in handlers {
        let name = if is_name(&handler.name) {
            handler.name
        } else {
            "api".to_owned()
        };
        lines.push(String::new());
        lines.push(format!("[functions.{name}]"));
        lines.push(format!("source = {}", quoted(&with_extension(&handler.source, folder))));
        match handler.routes.as_slice() {
            [] => {}
            [one] => lines.push(format!("http = {}", quoted(one))),
            many => {
                let all: Vec<String> = many.iter().map(|route| quoted(route)).collect();
                lines.push(format!("http = [{}]", all.join(", ")));
            }
        }
        if let Some(cron) = handler.cron {
            lines.push(format!("cron = {}", quoted(&cron)));
        }
    }
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A handler names a module without its extension; the file that is there tells it.
fn with_extension(source: &str, folder: &Path) -> String {
    let source = source.trim_start_matches("./");
    if kind_of(Path::new(source)).is_some() {
        return source.to_owned();
    }
    let found = ["ts", "mts", "js", "mjs", "tsx", "cjs"]
        .iter()
        .map(|ext| format!("{source}.{ext}"))
        .find(|file| folder.join(file).is_file());
    found.unwrap_or_else(|| format!("{source}.js"))
}

type Read = (Option<String>, &'static str, Vec<Handler>);

fn wrangler(name: Option<String>, main: Option<String>, crons: Vec<String>) -> Read {
    let source = main.unwrap_or_else(|| "src/index.ts".to_owned());
    let function = name
        .clone()
        .filter(|name| is_name(name))
        .unwrap_or_else(|| "worker".to_owned());
    let handler = Handler {
        name: function,
        source,
        routes: vec!["/*".to_owned()],
        cron: crons.into_iter().next(),
    };
    (name, "cloudflare-workers", vec![handler])
}

fn wrangler_toml(text: &str) -> Read {
    let table: toml::Table = text.parse().unwrap_or_default();
    let get = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let crons = table
        .get("triggers")
        .and_then(|t| t.get("crons"))
        .and_then(|c| c.as_array());
    let crons = crons
        .into_iter()
        .flatten()
        .filter_map(|cron| cron.as_str().map(str::to_owned))
        .collect();
    wrangler(get("name"), get("main"), crons)
}

fn wrangler_json(text: &str) -> Read {
    let value: serde_json::Value = serde_json::from_str(&without_comments(text)).unwrap_or_default();
    let get = |key: &str| value.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let crons = value.pointer("/triggers/crons").and_then(|c| c.as_array());
    let crons = crons
        .into_iter()
        .flatten()
        .filter_map(|cron| cron.as_str().map(str::to_owned))
        .collect();
    wrangler(get("name"), get("main"), crons)
}

/// JSON with comments and trailing commas, made plain JSON.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                plain.push(c);
                plain.extend(chars.next());
            }
            '"' => {
                in_string = !in_string;
                plain.push(c);
            }
            '/' if !in_string && chars.peek() == Some(&'/') => {
                for skipped in chars.by_ref() {
                    if skipped == '\n' {
                        plain.push('\n');
                        break;
                    }
                }
            }
            '/' if !in_string && chars.peek() == Some(&'*') => {
                let mut last = ' ';
                chars.next();
                for skipped in chars.by_ref() {
                    if last == '*' && skipped == '/' {
                        break;
                    }
                    last = skipped;
                }
            }
            ']' | '}' if !in_string => {
                let kept = plain.trim_end().trim_end_matches(',').len();
                plain.truncate(kept);
                plain.push(c);
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// The value of `key:` at the left margin.
fn yaml_top(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| yaml_pair(line).filter(|(k, v)| *k == key && !line.starts_with(' ') && !v.is_empty()))
        .map(|(_, v)| v.to_owned())
}

/// `key: value` of a line, the value without quotes and comments.
fn yaml_pair(line: &str) -> Option<(&str, &str)> {
    let trimmed = line.trim().trim_start_matches("- ");
    let (key, value) = trimmed.split_once(':')?;
    let value = value.trim();
    let value = value.split(" #").next().unwrap_or(value).trim();
    Some((key.trim(), value.trim_matches(['"', '\''])))
}

/// Goes through serverless.yml or a SAM template line by line: whatever has a `handler` is a function, named by the nearest
/// line above that is less indented (in SAM, the one above `Properties`).
fn yaml_handlers(text: &str) -> Vec<Handler> {
    let mut handlers: Vec<Handler> = Vec::new();
    // Open keys by indentation.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut code_uri: Option<(String, String)> = None;
    // A path or method whose other half comes next.
    let mut half: Option<(String, String)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let Some((key, value)) = yaml_pair(line) else { continue };
        open.retain(|(at, _)| *at < indent);
        let owner = open
            .iter()
            .rev()
            .map(|(_, key)| key.as_str())
            .find(|key| *key != "Properties")
            .unwrap_or_default()
            .to_owned();
        match key.to_ascii_lowercase().as_str() {
            "handler" if !value.is_empty() => {
                let module = value.rsplit_once('.').map_or(value, |(module, _)| module);
                let folder = code_uri
                    .as_ref()
                    .filter(|(of, _)| *of == owner)
                    .map(|(_, folder)| folder.as_str());
                handlers.push(Handler {
                    name: owner,
                    source: joined(folder, module),
                    ..Handler::default()
                });
            }
            "codeuri" => {
                let folder = value.trim_end_matches('/').to_owned();
                if let Some(last) = handlers.last_mut().filter(|last| last.name == owner) {
                    last.source = joined(Some(&folder), &last.source);
                }
                code_uri = Some((owner, folder));
            }
            "httpapi" | "http" if value.contains(' ') => add_route(&mut handlers, value),
            "path" | "method" if !value.is_empty() => {
                // One of the two waits for the other, in whichever order they stand.
                let (kind, other) = half.take().unwrap_or_default();
                match (kind.as_str(), key.to_ascii_lowercase().as_str()) {
                    ("path", "method") => add_route(&mut handlers, &format!("{value} {other}")),
                    ("method", "path") => add_route(&mut handlers, &format!("{other} {value}")),
                    (_, key) => half = Some((key.to_owned(), value.to_owned())),
                }
            }
            "schedule" if value.contains('(') => {
                if let Some(last) = handlers.last_mut() {
                    last.cron = Some(value.to_owned());
                }
            }
            _ => {}
        }
        if value.is_empty() {
            open.push((indent, key.to_owned()));
        }
    }
    handlers
}

fn joined(folder: Option<&str>, module: &str) -> String {
    match folder.map(|folder| folder.trim_start_matches("./")) {
        Some("" | ".") | None => module.to_owned(),
        Some(folder) => format!("{folder}/{module}"),
    }
}

/// Adds `METHOD /path` in the way of another tool to the last function.
fn add_route(handlers: &mut [Handler], written: &str) {
    let Some(last) = handlers.last_mut() else { return };
    let (method, path) = written.split_once(' ').unwrap_or(("*", written));
    let path = format!("/{}", path.trim().trim_start_matches('/'));
    let method = method.to_ascii_uppercase();
    let route = if matches!(method.as_str(), "*" | "ANY") {
        path
    } else {
        format!("{method} {path}")
    };
    if super::Route::parse(&route).is_ok() {
        last.routes.push(route);
    }
}
