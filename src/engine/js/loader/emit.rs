//! The code that QuickJS evaluates: files as they are, with what they need put into their first line; CommonJS files wrapped
//! so that they run when they are first required; and for such files a module that stands for them where they are imported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::builtin::{ASYNC_HOOKS, BUFFER, COMMON_JS};
use super::parsed::{Format, Parsed};
use super::positions::{Insertion, Shifts};

/// Before a module's name in generated code, where no specifier of a user can say the same.
pub const FILE: &str = "emu-file:";
/// After the name of a CommonJS file: the module that is imported for it. The second kind is for importers of Node's kind.
pub const FACADE: &str = "?import";
pub const FACADE_LIKE_NODE: &str = "?import-like-node";

/// What `require` of a specifier leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Required {
    /// A file of the same kind: it runs when it is asked for.
    File(Arc<str>),
    /// Of the newer kind: it has been imported before.
    Module(Arc<str>),
    /// JSON or text, which is its default export.
    Value(Arc<str>),
    Builtin(&'static str),
    /// It fails when it is asked for, with this text.
    Missing(String),
}

/// Specifiers of a file's `require` calls.
pub type Requires = BTreeMap<String, Required>;

/// Code, and where it moved columns.
#[derive(Debug)]
pub struct Emitted {
    pub code: Arc<str>,
    pub shifts: Shifts,
}

/// A string literal.
fn quoted(text: &str) -> String {
    // JSON strings are JavaScript strings.
    serde_json::Value::from(text).to_string()
}

/// Imports for `require` and the object that holds its links.
fn links(requires: &Requires) -> (String, String) {
    let (mut imports, mut object) = (String::new(), String::from("{"));
    for (at, (specifier, required)) in requires.iter().enumerate() {
        let specifier = quoted(specifier);
        // Writing to a string cannot fail.
        let _ = match required {
            Required::File(name) => {
                let _ = write!(imports, "import{};", quoted(&format!("{FILE}{name}")));
                write!(object, "[{specifier}]:{},", quoted(name))
            }
            Required::Module(name) => {
                let _ = write!(imports, "import*as $emuR{at} from{};", quoted(&format!("{FILE}{name}")));
                write!(object, "[{specifier}]:$emuR{at},")
            }
            Required::Value(name) => {
                let _ = write!(imports, "import $emuR{at} from{};", quoted(&format!("{FILE}{name}")));
                write!(object, "[{specifier}]:{{builtin:$emuR{at}}},")
            }
            Required::Builtin(name) => {
                let _ = write!(imports, "import $emuR{at} from{};", quoted(name));
                write!(object, "[{specifier}]:{{builtin:$emuR{at}}},")
            }
            Required::Missing(why) => write!(object, "[{specifier}]:[{}],", quoted(why)),
        };
    }
    object.push('}');
    (imports, object)
}

fn push(insertions: &mut Vec<Insertion>, offset: usize, text: String) {
    if !text.is_empty() {
        insertions.push(Insertion {
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            text: text.into(),
        });
    }
}

fn finish(code: &str, insertions: &[Insertion]) -> Emitted {
    let (code, shifts) = Shifts::insert(code, insertions);
    Emitted {
        code: code.into(),
        shifts,
    }
}

/// `contexts` says whether someone imports `AsyncLocalStorage`.
pub fn file(name: &str, parsed: &Parsed, requires: &Requires, names: &BTreeSet<String>, contexts: bool) -> Emitted {
    match parsed.format {
        Format::Module => with_types(module(name, parsed, requires, contexts), names),
        Format::CommonJs { sloppy } => common_js(name, parsed, requires, contexts, sloppy),
        Format::Json => plain(
            format!("const json=JSON.parse({});export default json;", quoted(&parsed.code)),
            names,
        ),
        Format::Text => plain(format!("export default {};", quoted(&parsed.code)), &BTreeSet::new()),
    }
}

/// TypeScript lets a file pass a type on as if it were a value; something must be there under its name.
fn with_types(mut emitted: Emitted, types: &BTreeSet<String>) -> Emitted {
    if !types.is_empty() {
        let mut code = emitted.code.to_string();
        code.push_str("\nlet $emuT;");
        for name in types {
            let _ = write!(code, "export{{$emuT as {}}};", quoted(name));
        }
        emitted.code = code.into();
    }
    emitted
}

/// JSON: its members can be imported by name.
fn plain(mut code: String, names: &BTreeSet<String>) -> Emitted {
    let members = names.iter().filter(|name| *name != "default");
    for (at, name) in members.enumerate() {
        let _ = write!(
            code,
            "const $emuN{at}=json[{0}];export{{$emuN{at} as {0}}};",
            quoted(name)
        );
    }
    Emitted {
        code: code.into(),
        shifts: Shifts::default(),
    }
}

fn context_imports(parsed: &Parsed, contexts: bool) -> String {
    if !contexts || parsed.contexts.is_empty() {
        return String::new();
    }
    format!("import{{$emuA,$emuB,$emuS}}from{};", quoted(ASYNC_HOOKS))
}

/// A first line for the operating system is a comment for us.
fn after_hashbang(code: &str) -> usize {
    if code.starts_with("#!") {
        code.find('\n').map_or(code.len(), |at| at + 1)
    } else {
        0
    }
}

fn module(name: &str, parsed: &Parsed, requires: &Requires, contexts: bool) -> Emitted {
    let uses = &parsed.uses;
    let mut before = String::new();
    if uses.buffer {
        let _ = write!(before, "import{};", quoted(BUFFER));
    }
    before.push_str(&context_imports(parsed, contexts));
    if uses.require {
        let (imports, object) = links(requires);
        let _ = write!(
            before,
            "{imports}import{{requireFrom as $emuR}}from{};const require=$emuR({},{object});",
            quoted(COMMON_JS),
            quoted(name)
        );
    } else if !requires.is_empty() {
        let (imports, object) = links(requires);
        let _ = write!(
            before,
            "{imports}import{{link as $emuL}}from{};$emuL({},{object});",
            quoted(COMMON_JS),
            quoted(name)
        );
    }
    let (path, folder) = file_names(name);
    if uses.import_meta {
        let _ = write!(
            before,
            "import.meta.url??={};import.meta.filename??={};import.meta.dirname??={};",
            quoted(&format!("file://{path}")),
            quoted(&path),
            quoted(&folder)
        );
    }
    if uses.file_names {
        let _ = write!(
            before,
            "const __filename={},__dirname={};",
            quoted(&path),
            quoted(&folder)
        );
    }
    let kept: &[Insertion] = if contexts { &parsed.contexts } else { &[] };
    if before.is_empty() && kept.is_empty() {
        return Emitted {
            code: Arc::clone(&parsed.code),
            shifts: Shifts::default(),
        };
    }
    let mut insertions = Vec::with_capacity(kept.len() + 1);
    push(&mut insertions, after_hashbang(&parsed.code), before);
    insertions.extend_from_slice(kept);
    finish(&parsed.code, &insertions)
}

/// Where a file and its folder are, for what asks.
fn file_names(name: &str) -> (String, String) {
    let path = format!("/{name}");
    let folder = match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
    };
    (path, folder)
}

fn common_js(name: &str, parsed: &Parsed, requires: &Requires, contexts: bool, sloppy: bool) -> Emitted {
    let (imports, object) = links(requires);
    let mut before = format!("import{{define as $emuD}}from{};{imports}", quoted(COMMON_JS));
    if parsed.uses.buffer {
        let _ = write!(before, "import{};", quoted(BUFFER));
    }
    let start = format!("$emuD({},{object},", quoted(name));
    let function = "function(exports,require,module,__filename,__dirname){";
    if sloppy {
        // Evaluated from a text it is no part of a module, which would be strict.
        let text = quoted(&format!(
            "({function}{}\n}})",
            &parsed.code[after_hashbang(&parsed.code)..]
        ));
        return Emitted {
            code: format!("{before}{start}(0,eval)({text}));").into(),
            shifts: Shifts::default(),
        };
    }
    before.push_str(&context_imports(parsed, contexts));
    let kept: &[Insertion] = if contexts { &parsed.contexts } else { &[] };
    let mut insertions = Vec::with_capacity(kept.len() + 2);
    push(
        &mut insertions,
        after_hashbang(&parsed.code),
        format!("{before}{start}{function}"),
    );
    insertions.extend_from_slice(kept);
    let mut emitted = finish(&parsed.code, &insertions);
    // A comment may stand at the end.
    emitted.code = format!("{}\n}});", emitted.code).into();
    emitted
}

/// The module that is imported for a CommonJS file, with these exports beside the default.
pub fn facade(name: &str, names: &BTreeSet<String>, like_node: bool) -> Emitted {
    let mut code = format!(
        "import{};import{{load,defaultOf,exportOf}}from{};const all=load({});export default defaultOf(all,{like_node});",
        quoted(&format!("{FILE}{name}")),
        quoted(COMMON_JS),
        quoted(name)
    );
    let others = names.iter().filter(|name| *name != "default");
    for (at, name) in others.enumerate() {
        let _ = write!(
            code,
            "const $emuN{at}=exportOf(all,{0});export{{$emuN{at} as {0}}};",
            quoted(name)
        );
    }
    Emitted {
        code: code.into(),
        shifts: Shifts::default(),
    }
}
