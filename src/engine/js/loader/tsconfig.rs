//! What a tsconfig.json (or jsconfig.json) says: names for paths, JSX, decorators, class fields.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Json;
use super::resolve::normalize;

/// Configurations that extend one another; more is a circle.
const EXTENDS_MAX: usize = 16;

/// How TypeScript and JSX are made JavaScript. Equal settings give equal code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiler {
    /// `"jsx": "react"`: calls of a factory instead of an import that emu adds.
    pub jsx_classic: bool,
    pub jsx_import_source: Option<String>,
    pub jsx_factory: Option<String>,
    pub jsx_fragment_factory: Option<String>,
    pub legacy_decorators: bool,
    pub decorator_metadata: bool,
    /// `"useDefineForClassFields": false`, or a target before ES2022.
    pub assigned_fields: bool,
    /// `"verbatimModuleSyntax"`: only `import type` goes.
    pub verbatim: bool,
}

#[derive(Debug, Default)]
pub struct Config {
    pub compiler: Compiler,
    /// `paths`: a pattern and its targets, as they stand in the folder they are relative to.
    paths: Vec<(String, Vec<PathBuf>)>,
    base: Option<PathBuf>,
    define_fields: Option<bool>,
}

impl Config {
    /// Files that a bare specifier may mean, the best first.
    pub fn candidates(&self, specifier: &str) -> Vec<PathBuf> {
        let mut best: Option<(usize, &str, &Vec<PathBuf>)> = None;
        for (pattern, targets) in &self.paths {
            match pattern.split_once('*') {
                None if pattern == specifier => {
                    best = Some((usize::MAX, "", targets));
                    break;
                }
                Some((before, after)) => {
                    let star = specifier.strip_prefix(before).and_then(|tail| tail.strip_suffix(after));
                    if let Some(star) = star
                        && best.is_none_or(|(known, _, _)| before.len() > known)
                    {
                        best = Some((before.len(), star, targets));
                    }
                }
                None => {}
            }
        }
        if let Some((_, star, targets)) = best {
            let filled = |target: &PathBuf| normalize(Path::new(&target.to_string_lossy().replace('*', star)));
            return targets.iter().map(filled).collect();
        }
        self.base.iter().map(|base| normalize(&base.join(specifier))).collect()
    }
}

/// Reads a configuration and all it extends. What was read goes into `read`.
///
/// # Errors
/// A fragment that names the file.
pub fn load(path: &Path, read: &mut BTreeSet<PathBuf>) -> Result<Arc<Config>, String> {
    let mut config = Config::default();
    apply(path, &mut config, read, 0)?;
    // Decorators of the older kind were written for fields that are assigned.
    config.compiler.assigned_fields = !config.define_fields.unwrap_or(true);
    Ok(Arc::new(config))
}

fn apply(path: &Path, config: &mut Config, read: &mut BTreeSet<PathBuf>, depth: usize) -> Result<(), String> {
    if depth > EXTENDS_MAX {
        return Err(format!("{}: \"extends\" goes round in a circle", path.display()));
    }
    read.insert(path.to_path_buf());
    let text = std::fs::read_to_string(path).map_err(|cause| format!("failed to read {}: {cause}", path.display()))?;
    let json: Json =
        serde_json::from_str(&without_comments(&text)).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let folder = path.parent().unwrap_or(path);
    let parents = match json.get("extends") {
        Some(Json::Text(parent)) => vec![parent.as_str()],
        Some(Json::List(parents)) => parents.iter().filter_map(Json::text).collect(),
        _ => Vec::new(),
    };
    for parent in parents {
        match parent_of(folder, parent) {
            Some(found) => apply(&found, config, read, depth + 1)?,
            // A missing base of a package is no reason to stop: it holds rules for the type checker, mostly.
            None => drop(read.insert(normalize(&folder.join(parent)))),
        }
    }
    if let Some(options) = json.get("compilerOptions") {
        apply_options(options, folder, config);
    }
    Ok(())
}

/// A file by path, or one of a package.
fn parent_of(folder: &Path, parent: &str) -> Option<PathBuf> {
    let forms = |base: PathBuf| {
        let with_extension = base.with_file_name(format!("{}.json", base.file_name()?.to_str()?));
        [base.clone(), with_extension, base.join("tsconfig.json")]
            .into_iter()
            .find(|path| path.is_file())
    };
    if parent.starts_with('.') || parent.starts_with('/') {
        return forms(normalize(&folder.join(parent)));
    }
    folder
        .ancestors()
        .find_map(|folder| forms(folder.join("node_modules").join(parent)))
}

fn apply_options(options: &Json, folder: &Path, config: &mut Config) {
    let flag = |name: &str| options.get(name).and_then(Json::flag);
    let text = |name: &str| options.get(name).and_then(Json::text).map(str::to_owned);
    let compiler = &mut config.compiler;
    if let Some(jsx) = text("jsx") {
        compiler.jsx_classic = jsx.eq_ignore_ascii_case("react");
    }
    for (name, field) in [
        ("jsxImportSource", &mut compiler.jsx_import_source),
        ("jsxFactory", &mut compiler.jsx_factory),
        ("jsxFragmentFactory", &mut compiler.jsx_fragment_factory),
    ] {
        if let Some(value) = text(name) {
            *field = Some(value);
        }
    }
    for (name, field) in [
        ("experimentalDecorators", &mut compiler.legacy_decorators),
        ("emitDecoratorMetadata", &mut compiler.decorator_metadata),
        ("verbatimModuleSyntax", &mut compiler.verbatim),
    ] {
        if let Some(value) = flag(name) {
            *field = value;
        }
    }
    if let Some(define) = flag("useDefineForClassFields") {
        config.define_fields = Some(define);
    } else if let Some(target) = text("target") {
        let target = target.to_ascii_lowercase();
        let year = target.strip_prefix("es").and_then(|year| year.parse::<u32>().ok());
        config.define_fields = Some(year.is_none_or(|year| year >= 2022));
    }
    if let Some(base) = text("baseUrl") {
        config.base = Some(normalize(&folder.join(base)));
    }
    if let Some(Json::Object(paths)) = options.get("paths") {
        let from = config.base.clone().unwrap_or_else(|| folder.to_path_buf());
        config.paths = paths
            .iter()
            .map(|(pattern, targets)| {
                let targets = match targets {
                    Json::List(targets) => targets
                        .iter()
                        .filter_map(Json::text)
                        .map(|target| from.join(target))
                        .collect(),
                    _ => Vec::new(),
                };
                (pattern.clone(), targets)
            })
            .collect();
    }
}

/// JSON of what editors write: `//` and `/* */` comments and commas before a closing bracket become spaces.
fn without_comments(text: &str) -> String {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    let mut comma = None;
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                comma = None;
                out.push(c);
                while let Some(c) = rest.next() {
                    out.push(c);
                    match c {
                        '\\' => out.extend(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if rest.peek() == Some(&'/') => {
                while rest.peek().is_some_and(|c| *c != '\n') {
                    rest.next();
                }
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut before = ' ';
                for c in rest.by_ref() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    if c == '\n' {
                        out.push(c);
                    }
                    before = c;
                }
            }
            ',' => {
                comma = Some(out.len());
                out.push(c);
            }
            ']' | '}' => {
                if let Some(at) = comma.take() {
                    out[at] = ' ';
                }
                out.push(c);
            }
            _ => {
                if !c.is_whitespace() {
                    comma = None;
                }
                out.push(c);
            }
        }
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_write_is_read() {
        let text = "\u{feff}{ // a\n \"a\": [1, 2,], /* b, } */ \"c\": \"// no\\\" comment,}\",\n}";
        let json: Json = serde_json::from_str(&without_comments(text)).unwrap();
        assert_eq!(json.get("c").and_then(Json::text), Some("// no\" comment,}"));
    }
}
