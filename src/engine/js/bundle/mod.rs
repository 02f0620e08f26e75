//! A function as a `wasi:http` component of its own, for hosts that know nothing of emu.
//!
//! It is made of four components: `data` (the modules, generated here), the host (what the prelude asks for, by the same files as
//! the engine answers it) and the front (`wasi:http/handler`), both built by `scripts/build-bundle-shell`, and the runtime
//! that the engine runs too. `compose` puts them together, which takes milliseconds: nothing is compiled.

mod compose;
mod data;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::sandbox::{Version, settings_json};
use super::{Convention, artefact};
use crate::engine::Settings;
use compose::{Parts, compose};

/// What `bundle` made.
#[derive(Debug)]
pub struct Bundle {
    pub component: Vec<u8>,
    pub modules: usize,
    /// Bytes of the modules.
    pub source_bytes: usize,
    pub has_intl: bool,
}

/// `emu:shell/bundle.index`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    entry: &'a str,
    settings: Arc<str>,
    timeout_ms: f64,
    is_lambda: bool,
    allow_hosts: &'a [String],
    modules: BTreeMap<&'a str, (usize, usize)>,
    links: BTreeMap<&'a str, BTreeMap<&'a str, Link<'a>>>,
}

/// What an import leads to, or why it leads nowhere.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Link<'a> {
    To(&'a str),
    Why(&'a str),
}

/// Makes a component of a script. `intl`: whether it has `Intl`; `None`: if a module mentions it.
///
/// # Errors
/// When the script answers no requests.
pub fn bundle(version: &Version, settings: &Settings, intl: Option<bool>) -> Result<Bundle, String> {
    let offer = &version.offer;
    if offer.convention == Convention::Workers && !offer.handlers.iter().any(|handler| handler == "fetch") {
        return Err(format!(
            "{} has no fetch handler (it has {}), and a bundle answers HTTP requests",
            version.graph.entry,
            offer.handlers.join(", ")
        ));
    }
    let mut links = BTreeMap::new();
    let mut builtins = BTreeSet::new();
    for (referrer, all) in version.graph.links() {
        let mut of = BTreeMap::new();
        for (specifier, link) in all {
            let link = match link {
                Ok(name) => {
                    builtins.insert(&**name);
                    Link::To(name)
                }
                Err(why) => Link::Why(why),
            };
            of.insert(specifier.as_str(), link);
        }
        links.insert(&**referrer, of);
    }
    let mut codes: BTreeMap<&str, &str> = version.graph.modules().collect();
    let known: Vec<_> = codes.values().copied().collect();
    add_builtins(&mut codes, &known, builtins);

    let mut text = String::new();
    let mut modules = BTreeMap::new();
    for (name, code) in &codes {
        modules.insert(*name, (text.len(), code.len()));
        text.push_str(code);
    }
    let has_intl = intl.unwrap_or_else(|| known.iter().any(|code| mentions_intl(code)));
    let index = Index {
        entry: &version.graph.entry,
        settings: settings_json(settings),
        timeout_ms: settings.timeout.as_secs_f64() * 1e3,
        is_lambda: offer.convention == Convention::Lambda,
        allow_hosts: &settings.allow_hosts,
        modules,
        links,
    };
    let index = serde_json::to_string(&index).map_err(|error| format!("emu: {error}"))?;
    let damaged = |error: std::io::Error| format!("the parts of bundles are damaged: {error}");
    let parts = Parts {
        data: data::component(&index, &text)?,
        host: shell::host(has_intl).map_err(damaged)?,
        runtime: artefact::unpack().map_err(damaged)?,
        front: shell::front().map_err(damaged)?,
    };
    Ok(Bundle {
        component: compose(parts).map_err(|error| format!("the parts of bundles do not fit: {error:#}"))?,
        modules: codes.len(),
        source_bytes: text.len(),
        has_intl,
    })
}

/// Modules that emu brings: those that are imported, those that these import, and those that the code names.
fn add_builtins<'a>(codes: &mut BTreeMap<&'a str, &'a str>, known: &[&'a str], imported: BTreeSet<&'a str>) {
    let quoted = |code: &str, name: &str| code.contains(&format!("\"{name}\"")) || code.contains(&format!("'{name}'"));
    let all: Vec<(&'static str, &'static str)> = super::loader::builtin_sources().collect();
    let mut todo: Vec<(&'static str, &'static str)> = Vec::new();
    for (name, source) in &all {
        if imported.contains(name) || known.iter().any(|code| quoted(code, name)) {
            todo.push((name, source));
        }
    }
    while let Some((name, source)) = todo.pop() {
        if codes.insert(name, source).is_none() {
            let more = all.iter().filter(|(other, _)| quoted(source, other));
            todo.extend(more.copied());
        }
    }
}

fn mentions_intl(code: &str) -> bool {
    ["Intl", "toLocale", "localeCompare"]
        .iter()
        .any(|word| code.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builtins_import_comes_along() {
        let mut codes = BTreeMap::from([("f.js", "import { Readable } from 'node:stream';")]);
        let known: Vec<_> = codes.values().copied().collect();
        add_builtins(&mut codes, &known, BTreeSet::new());
        assert!(codes.contains_key("node:stream"), "{:?}", codes.keys());
        assert!(
            codes.contains_key("node:events"),
            "streams are emitters: {:?}",
            codes.keys()
        );
        assert!(!codes.contains_key("node:crypto"), "{:?}", codes.keys());
    }
}
