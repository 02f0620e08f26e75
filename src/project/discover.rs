//! What `functions/` holds, and which file stands behind a `source`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::SourceKind;
use super::diagnostic::Diagnostic;

/// The folder whose files and folders are functions.
pub const FOLDER: &str = "functions";

/// Extensions in order of preference for an index file.
pub const EXTENSIONS: [&str; 10] = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs", "wasm", "wat"];

/// What people write functions in that emu runs only after a build.
const NEEDS_BUILD: [(&str, &str); 9] = [
    ("py", "componentize-py componentize ... -o NAME.wasm"),
    ("rs", "cargo build --release --target wasm32-wasip2"),
    ("go", "tinygo build -target=wasip2 -o NAME.wasm"),
    ("rb", "a tool that makes a WASI component"),
    ("java", "a tool that makes a WASI component"),
    ("cs", "dotnet publish with componentize-dotnet"),
    ("c", "clang --target=wasm32-wasip1 -o NAME.wasm"),
    ("php", "a tool that makes a WASI component"),
    ("kt", "a tool that makes a WASI component"),
];

/// The functions that a folder holds without a manifest's help.
#[derive(Debug, Default)]
pub struct Discovered {
    /// By function name: the file, relative to the root, with `/` between parts.
    pub sources: BTreeMap<String, Vec<PathBuf>>,
    pub warnings: Vec<Diagnostic>,
}

/// What a source's extension says.
pub fn kind_of(path: &Path) -> Option<SourceKind> {
    match path.extension()?.to_str()? {
        "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => Some(SourceKind::Script),
        "wasm" | "wat" => Some(SourceKind::Wasm),
        _ => None,
    }
}

/// Longest name of a function, queue or topic: a label of a host name.
pub const NAME_LENGTH_MAX: usize = 63;

/// Whether a name may stand for a function, queue or topic: it becomes part of paths and host names.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Left out of `functions/`: helpers, tests, declarations.
fn is_left_out(name: &str) -> bool {
    name.starts_with(['_', '.'])
        || name.contains(".test.")
        || name.contains(".spec.")
        || [".d.ts", ".d.mts", ".d.cts"].iter().any(|end| name.ends_with(end))
        || matches!(name, "node_modules" | "__tests__" | "target")
}

/// Looks through `functions/` below the root. A missing folder is an empty one.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn discover(root: &Path) -> io::Result<Discovered> {
    let mut found = Discovered::default();
    let folder = root.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name());
    }
    names.sort();
    for os_name in names {
        let Some(name) = os_name.to_str() else {
            found.warnings.push(
                Diagnostic::warning(format!(
                    "{FOLDER}/{} is not served: its name is not UTF-8",
                    os_name.display()
                ))
                .remedy("rename it"),
            );
            continue;
        };
        if is_left_out(name) {
            continue;
        }
        let path = folder.join(name);
        if path.is_symlink() && !path.exists() {
            let shown = format!("{FOLDER}/{name}");
            let what = format!("{shown} is a symbolic link to a file that is not there; it is not served");
            found
                .warnings
                .push(Diagnostic::warning(what).remedy(format!("remove {shown}, or make what it points to")));
            continue;
        }
        if path.is_dir() {
            look_into(name, &path, &mut found);
        } else {
            look_at_file(name, &mut found);
        }
    }
    Ok(found)
}

fn add(name: &str, source: PathBuf, found: &mut Discovered) {
    if is_name(name) {
        found.sources.entry(name.to_owned()).or_default().push(source);
        return;
    }
    let fitting: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect::<String>();
    let fitting = fitting.trim_matches(['-', '_']);
    let fitting = if fitting.is_empty() { "NAME" } else { fitting };
    found.warnings.push(
        Diagnostic::warning(format!(
            "{} is not served: `{name}` is no name for a function",
            slashed(&source)
        ))
        .remedy(format!(
            "names have letters, digits, `-` and `_`; rename it to `{fitting}`, or begin it with `_` if it is none"
        )),
    );
}

fn look_at_file(name: &str, found: &mut Discovered) {
    let path = Path::new(FOLDER).join(name);
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(name)
        .to_owned();
    if kind_of(&path).is_some() {
        add(&stem, path, found);
        return;
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let served = "emu runs JavaScript, TypeScript and WebAssembly";
    let message = format!("{} is not served: {served}", slashed(&path));
    if let Some((_, command)) = NEEDS_BUILD.iter().find(|(known, _)| *known == extension) {
        let command = command.replace("NAME", &stem);
        found.warnings.push(Diagnostic::warning(message).remedy(format!(
            "declare `[functions.{stem}]` in emu.toml with `source` (the .wasm file) and `build = \"{command}\"`"
        )));
    }
}

fn look_into(name: &str, folder: &Path, found: &mut Discovered) {
    let relative = Path::new(FOLDER).join(name);
    let candidates = EXTENSIONS
        .iter()
        .map(|extension| format!("index.{extension}"))
        .chain([format!("{name}.wasm"), format!("{name}.wat")]);
    let here: Vec<PathBuf> = candidates
        .filter(|candidate| folder.join(candidate).is_file())
        .map(|candidate| relative.join(candidate))
        .collect();
    if !here.is_empty() {
        for source in here {
            add(name, source, found);
        }
        return;
    }
    let shown = slashed(&relative);
    let warning = Diagnostic::warning(format!(
        "{shown} is not served: it has no index.ts, index.js or {name}.wasm"
    ));
    found.warnings.push(if folder.join("Cargo.toml").is_file() {
        warning.remedy(format!(
            "declare `[functions.{name}]` in emu.toml with `source` (the .wasm file) and \
             `build = {{ command = \"cargo build --release --target wasm32-wasip2\", dir = \"{shown}\" }}`"
        ))
    } else {
        warning.remedy(format!(
            "add one, or rename the folder to `_{name}` if it is no function"
        ))
    });
}

/// A path with `/` between its parts, as manifests and messages write it.
pub fn slashed(path: &Path) -> String {
    path.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}
