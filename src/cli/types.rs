//! `emu types`: the project's variables and bindings as TypeScript, for editors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Global;
use super::failure::{Failure, Outcome};
use super::{output, settings};
use crate::project::{Binding, Function, Loaded, Project, SourceKind};

/// The file's name in the project's folder.
const FILE: &str = "emu-env.d.ts";

/// What bindings and handlers are made of.
const TYPES: &str = include_str!("types.d.ts");

/// Write emu-env.d.ts: the variables and bindings of the project, for the editor
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The project's folder, or its emu.toml [default: the nearest folder upward]
    pub path: Option<PathBuf>,

    /// Write nothing; fail when the file is not what it should be, for CI
    #[arg(long)]
    pub check: bool,
}

/// Writes the file, or compares it.
///
/// # Errors
/// When the project has errors, or the file cannot be written.
pub fn run(args: &Args, global: &Global) -> Outcome {
    let options = settings::load_options(None, &[])?;
    let Loaded { project, .. } = Project::load_with(args.path.as_deref().or(global.project.as_deref()), &options)?;
    let text = declarations(&project);
    let path = project.root.join(FILE);
    let same = fs::read_to_string(&path).is_ok_and(|there| there == text);
    if args.check {
        // Nobody reads it where no function is a script.
        let unneeded = !path.exists()
            && project
                .functions
                .values()
                .all(|function| function.kind != SourceKind::Script);
        return if same || unneeded {
            Ok(ExitCode::SUCCESS)
        } else {
            Err(Failure::new(format!("{FILE} is not what emu.toml says")).remedy("run `emu types`"))
        };
    }
    if same {
        output::say(&format!("{FILE} is as it should be\n"));
        return Ok(ExitCode::SUCCESS);
    }
    fs::write(&path, text).map_err(|error| Failure::new(format!("failed to write {}: {error}", path.display())))?;
    output::say(&format!("wrote {}\n", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes the file for a project that has just been made.
///
/// # Errors
/// When the project has errors, or the file cannot be written.
pub fn refresh(dir: &Path) -> Result<(), Failure> {
    let Loaded { project, .. } = Project::load(Some(dir))?;
    let path = dir.join(FILE);
    fs::write(&path, declarations(&project))
        .map_err(|error| Failure::new(format!("failed to write {}: {error}", path.display())))
}

/// Members of an interface: names and types.
type Members = BTreeMap<String, BTreeSet<&'static str>>;

fn declarations(project: &Project) -> String {
    let mut out = format!(
        "// Made by `emu types` from {}: run it again after a change of variables or bindings.\n\n",
        if project.root.join("emu.toml").is_file() {
            "emu.toml"
        } else {
            "functions/"
        }
    );
    let mut all = Members::new();
    let mut variables = Members::new();
    for (name, function) in &project.functions {
        let members = members(function);
        interface(
            &mut out,
            &format!("What the function {name} has in `env`."),
            &interface_name(name),
            &members,
        );
        for (name, kinds) in members {
            all.entry(name).or_default().extend(kinds);
        }
        for name in function.env.keys() {
            variables.entry(name.clone()).or_default().insert("string");
        }
    }
    interface(&mut out, "What any function of the project has in `env`.", "Env", &all);
    out.push_str("declare namespace NodeJS {\n");
    let mut inner = String::new();
    interface(&mut inner, "`process.env`", "ProcessEnv", &variables);
    for line in inner.trim_end().lines() {
        let _ = writeln!(out, "  {line}");
    }
    out.push_str("}\n\n");
    out.push_str(TYPES);
    out
}

fn members(function: &Function) -> Members {
    let mut members = Members::new();
    for name in function.env.keys() {
        members.entry(name.clone()).or_default().insert("string");
    }
    for (name, binding) in &function.bind {
        let kind = match binding {
            Binding::Queue(_) => "EmuQueue",
            Binding::Topic(_) => "EmuTopic",
            Binding::Kv(_) => "EmuKeyValue",
            Binding::Function(_) => "EmuFunction",
        };
        // A binding wins over a variable of its name.
        members.insert(name.clone(), BTreeSet::from([kind]));
    }
    members
}

/// `order-mail` into `OrderMailEnv`.
fn interface_name(function: &str) -> String {
    let mut name = String::new();
    for part in function.split(['-', '_']) {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name + "Env"
}

fn interface(out: &mut String, doc: &str, name: &str, members: &Members) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "/** {doc} */\ninterface {name} {{");
    for (member, kinds) in members {
        let kinds: Vec<&str> = kinds.iter().copied().collect();
        let _ = writeln!(out, "  {member}: {};", kinds.join(" | "));
    }
    out.push_str("}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_become_interfaces() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "emu.toml",
            "[functions.api]\nsource = \"functions/api.ts\"\nbind = { ORDERS = \"queue:orders\", NOTES = \"kv:notes\" }\nenv = { A = \"1\" }\n\
             [functions.order-mail]\nsource = \"functions/api.ts\"\nqueue = \"orders\"\nbind = { API = \"function:api\" }\nenv = { NOTES = \"x\" }\n\
             [queues.orders]\n[kv.notes]\n",
        );
        write("functions/api.ts", "");
        write(".env", "SECRET_TOKEN=hidden\n");
        let Loaded { project, .. } = Project::load(Some(dir.path())).unwrap_or_else(|problems| panic!("{problems}"));
        let text = declarations(&project);
        for expected in [
            "interface ApiEnv {\n  A: string;\n  NOTES: EmuKeyValue;\n  ORDERS: EmuQueue;\n",
            "interface OrderMailEnv {\n  API: EmuFunction;\n  NOTES: string;\n",
            "  NOTES: EmuKeyValue | string;\n",
            "interface EmuKeyValue {",
            "SECRET_TOKEN: string;",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        assert!(!text.contains("hidden"), "values are not for editors");
    }
}
