//! A script as other runtimes of JavaScript read it: the author's files, each in the JavaScript that it was lowered to, with
//! relative imports that name files. Packages stay imports of packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::loader::{FACADE, Format, Linked, Parsed, builtin_source};
use super::sandbox::Version;

/// What `files` makes.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    /// The file that is to be imported, without its extension.
    pub entry: String,
    /// Text by path, with `/`.
    pub files: BTreeMap<String, String>,
    /// Packages that these files import, and from which folder.
    pub packages: BTreeSet<(String, String)>,
}

/// # Errors
/// When it imports what only emu or Cloudflare has.
pub fn files(version: &Version) -> Result<Plain, String> {
    let graph = &version.graph;
    let own: Vec<(&str, &Parsed)> = graph.parsed().filter(|(name, _)| !is_package(name)).collect();
    let names = names(&own);
    let mut plain = Plain::default();
    for (name, parsed) in &own {
        let to = names.get(name).map_or(*name, String::as_str);
        let text = match parsed.format {
            Format::Module | Format::CommonJs { .. } => {
                let mut replaced = parsed.code.to_string();
                let mut imports: Vec<_> = parsed.imports.iter().collect();
                // From the end, so that places before stay where they are.
                imports.sort_by_key(|import| std::cmp::Reverse(import.offset));
                for import in imports {
                    let link = graph.linked(name, &import.specifier);
                    let new = match link {
                        Some(Linked::File(file)) => {
                            let file = file.split(FACADE).next().unwrap_or_default();
                            target(to, file, &import.specifier, &names, &mut plain)
                        }
                        Some(Linked::Builtin(builtin)) => module(to, builtin, &import.specifier, name, &mut plain)?,
                        Some(Linked::Missing(_)) | None => None,
                    };
                    if let Some(new) = new {
                        put(&mut replaced, import.offset as usize, &import.specifier, &new);
                    }
                }
                replaced
            }
            // The lowered code of both is a value.
            Format::Json => format!("export default {};\n", parsed.code.trim()),
            Format::Text => {
                let text = serde_json::to_string(&*parsed.code).map_err(|error| error.to_string())?;
                format!("export default {text};\n")
            }
        };
        plain.files.insert(to.to_owned(), text);
        if parsed.format == Format::Json {
            // For `require`, which takes it as it is.
            plain.files.insert((*name).to_owned(), parsed.code.to_string());
        }
    }
    let entry = names.get(&*graph.entry).map_or(&*graph.entry, String::as_str);
    plain.entry = entry.rsplit_once('.').map_or(entry, |(stem, _)| stem).to_owned();
    Ok(plain)
}

fn is_package(name: &str) -> bool {
    name.split('/').any(|part| part == "node_modules")
}

/// What each file is called, by how it is to be read.
fn names<'a>(own: &[(&'a str, &Parsed)]) -> BTreeMap<&'a str, String> {
    let mut taken = BTreeSet::new();
    let mut names = BTreeMap::new();
    for (name, parsed) in own {
        let end = match parsed.format {
            Format::Module => "mjs",
            Format::CommonJs { .. } => "cjs",
            Format::Json | Format::Text => {
                names.insert(*name, format!("{name}.mjs"));
                continue;
            }
        };
        let stem = name.rsplit_once('.').map_or(*name, |(stem, _)| stem);
        let mut new = format!("{stem}.{end}");
        if !taken.insert(new.clone()) {
            new = format!("{name}.{end}");
        }
        names.insert(*name, new);
    }
    names
}

/// What to write for an import of a file; none: what stands there.
fn target(
    from: &str,
    file: &str,
    specifier: &str,
    names: &BTreeMap<&str, String>,
    plain: &mut Plain,
) -> Option<String> {
    let folder = Path::new(from)
        .parent()
        .map_or(String::new(), |folder| folder.to_string_lossy().into_owned());
    if is_package(file) && !specifier.starts_with('.') {
        plain.packages.insert((folder, package_of(specifier)));
        return None;
    }
    Some(relative(&folder, names.get(file).map_or(file, String::as_str)))
}

/// `zod` of `zod/v4`, `@a/b` of `@a/b/c`.
fn package_of(specifier: &str) -> String {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    specifier.split('/').take(parts).collect::<Vec<_>>().join("/")
}

/// What to write for an import of a module that emu has.
fn module(
    from: &str,
    builtin: &'static str,
    specifier: &str,
    name: &str,
    plain: &mut Plain,
) -> Result<Option<String>, String> {
    if builtin.starts_with("node:") {
        return Ok(None);
    }
    let source = builtin_source(builtin).filter(|_| builtin.starts_with("emu:"));
    let source = source.ok_or_else(|| format!("{name} imports {specifier:?}, which only Cloudflare and emu have"))?;
    let file = format!("_emu/{}.mjs", builtin.replace([':', '/'], "-"));
    plain.files.insert(file.clone(), source.to_owned());
    let folder = Path::new(from)
        .parent()
        .map_or(String::new(), |folder| folder.to_string_lossy().into_owned());
    Ok(Some(relative(&folder, &file)))
}

/// `../lib/a.mjs`, from a folder to a file, both from the same root.
fn relative(folder: &str, file: &str) -> String {
    let from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = file.split('/').collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = match from.len() - common {
        0 => "./".to_owned(),
        many => "../".repeat(many),
    };
    up + &to[common..].join("/")
}

/// Replaces a specifier where it stands; one that is written with escapes stays.
fn put(code: &mut String, offset: usize, specifier: &str, new: &str) {
    let quoted = code
        .get(offset..)
        .is_some_and(|rest| rest.starts_with(['"', '\'', '`']));
    let at = if quoted { offset + 1 } else { offset };
    if code.get(at..).is_some_and(|rest| rest.starts_with(specifier)) {
        code.replace_range(at..at + specifier.len(), new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_name_files() {
        assert_eq!(relative("functions", "lib/a.mjs"), "../lib/a.mjs");
        assert_eq!(relative("functions", "functions/b/c.mjs"), "./b/c.mjs");
        assert_eq!(relative("", "a.mjs"), "./a.mjs");
        assert_eq!(relative("a/b", "c.mjs"), "../../c.mjs");
        assert_eq!(package_of("@hono/zod-validator/x"), "@hono/zod-validator");
        assert_eq!(package_of("zod/v4"), "zod");
        let mut code = "import a from './a'; import b from \"./b\";".to_owned();
        put(&mut code, 36, "./b", "./b.mjs");
        put(&mut code, 14, "./a", "../a.mjs");
        put(&mut code, 0, "./c", "./no.mjs");
        assert_eq!(code, "import a from '../a.mjs'; import b from \"./b.mjs\";");
    }
}
