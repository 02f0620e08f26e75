//! `emu bundle`: a function as a `wasi:http` component that needs no emu.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{data, say};
use super::probe::{function, not_built};
use super::settings::{self, RunArgs};
use super::{Global, json_line};
use crate::live;
use crate::project::{Function, Project, SourceKind};
use crate::report::number::{megabytes, plural};
use crate::report::style::{Style, Tone, Verbosity};

const EXAMPLES: &str = "\
Examples:
  emu bundle api -o api.wasm
  emu bundle api -o api.wasm --env STAGE=production --env API_KEY
  wasmtime serve api.wasm --max-instance-reuse-count 1

The component imports WASI only (0.2 and 0.3) and exports wasi:http/handler 0.3; wasmtime 48 and later serve it. It has the \
function's modules, packages and `env` in it. Values that look like secrets are left out unless --env names them. \
Queues, topics, key-value stores and other functions are the emulator's: calling one fails by name.";

/// Write a function as a wasi:http component that runs without emu
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The function, in JavaScript or TypeScript
    function: String,

    /// Where to [default: FUNCTION.wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A variable of the environment; without a value the one that emu.toml, env files or the shell have
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// With the data of Intl (12 MB) or without it [default: with it when a module mentions Intl or toLocale...]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no, num_args = 0..=1, default_missing_value = "yes")]
    intl: Option<bool>,

    /// A file of `NAME=value` lines, besides .env and .env.local; may be given again, the last wins
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,

    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written {
    function: String,
    path: PathBuf,
    bytes: usize,
    modules: usize,
    source_bytes: usize,
    intl: bool,
    warnings: Vec<String>,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let run = RunArgs {
        env_files: args.env_files.clone(),
        ..RunArgs::default()
    };
    let project = settings::open(global.project.as_deref(), &run)?.loaded.project;
    let mut function = function(&project, &args.function)?.clone();
    if function.kind == SourceKind::Wasm {
        return Err(
            Failure::new(format!("{} is WebAssembly already", function.source.display()))
                .remedy("a wasi:http component runs elsewhere as it is; emu bundle is for JavaScript and TypeScript"),
        );
    }
    let mut warnings = warnings(&function);
    let left_out = environment(&mut function, &project, &args.env)?;
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(String::as_str).collect();
        warnings.push(format!(
            "{} {} secret and {} left out: give {} to put {} into the file",
            names.join(", "),
            if names.len() == 1 { "looks" } else { "look" },
            if names.len() == 1 { "is" } else { "are" },
            names
                .iter()
                .map(|name| format!("--env {name}"))
                .collect::<Vec<_>>()
                .join(" "),
            if names.len() == 1 { "it" } else { "them" },
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let name = function.name.clone();
    let engine = live::engine().map_err(|error| not_built(&name, &error))?;
    let made = runtime.block_on(live::bundle(&engine, &project, &function, args.intl));
    runtime.shutdown_background();
    let made = match made {
        Ok(made) => made.map_err(|message| Failure::new(format!("{name} cannot be bundled: {message}")))?,
        Err(error) => return Err(not_built(&name, &error)),
    };
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
    write(&path, &made.component)?;
    let written = Written {
        function: name,
        path,
        bytes: made.component.len(),
        modules: made.modules,
        source_bytes: made.source_bytes,
        intl: made.has_intl,
        warnings,
    };
    if args.json {
        data(&json_line(&written)?)?;
    } else {
        tell(&written, &global.style());
    }
    Ok(ExitCode::SUCCESS)
}

/// Under another name first, so that whoever serves the file never sees half of it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("{} cannot be written: {error}", path.display())).remedy("give another file with --output")
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    Ok(crate::pack::layer::keep(file, path)?)
}

/// What the function has in emu and not in a bundle.
fn warnings(function: &Function) -> Vec<String> {
    let lost = |bound: &String| format!("{bound} is the emulator's: a call of it fails in the bundle");
    let mut warnings: Vec<String> = function.bound().iter().map(lost).collect();
    let triggers = [
        (function.queue.is_some(), "queue"),
        (function.topic.is_some(), "topic"),
        (!function.crons.is_empty(), "cron"),
    ];
    for (_, kind) in triggers.into_iter().filter(|(has, _)| *has) {
        warnings.push(format!(
            "nothing calls the bundle by its {kind}: it answers HTTP requests only"
        ));
    }
    if function.payload_v1 {
        warnings
            .push("payload_format = \"1.0\" does not hold in a bundle: handlers get events of format 2.0".to_owned());
    }
    warnings
}

/// Puts `--env` into the function's environment and takes the secrets out that nobody asked for: their names.
pub(super) fn environment(
    function: &mut Function,
    project: &Project,
    given: &[String],
) -> Result<Vec<String>, Failure> {
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for entry in given {
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (
                entry.as_str(),
                function.env.get(entry).cloned().or_else(|| std::env::var(entry).ok()),
            ),
        };
        if name.is_empty() {
            return Err(Failure::usage(format!("--env {entry:?} has no name")).remedy("write --env NAME=VALUE"));
        }
        let value = value.ok_or_else(|| {
            Failure::usage(format!(
                "--env {name}: neither emu.toml, env files nor the shell have a value"
            ))
            .remedy(format!("write --env {name}=VALUE"))
        })?;
        asked.insert(name.to_owned(), value);
    }
    let secret: BTreeSet<String> = function
        .env
        .iter()
        .filter(|(name, value)| project.secret_values.0.contains(*value) && !asked.contains_key(*name))
        .map(|(name, _)| name.clone())
        .collect();
    function.env.retain(|name, _| !secret.contains(name));
    function.env.extend(asked);
    Ok(secret.into_iter().collect())
}

fn tell(written: &Written, style: &Style) {
    let mut text = String::new();
    for warning in &written.warnings {
        text.push_str(&format!("{}{warning}\n", style.paint(Tone::Warn, "warning: ")));
    }
    if style.verbosity > Verbosity::Quiet {
        let path = written.path.display();
        text.push_str(&format!(
            "{} {path}: {} MB, {} ({} of source), {}\n",
            style.paint(Tone::Good, "wrote"),
            megabytes(written.bytes as f64 / f64::from(1 << 20)),
            plural(written.modules as u64, "module", "modules"),
            kilobytes(written.source_bytes),
            if written.intl { "with Intl" } else { "without Intl" },
        ));
        text.push_str(&style.paint(
            Tone::Dim,
            &format!("run it: wasmtime serve {path} --max-instance-reuse-count 1\n"),
        ));
    }
    say(&text);
}

fn kilobytes(bytes: usize) -> String {
    format!("{} KB", bytes.div_ceil(1_024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_unless_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("functions")).expect("a folder");
        std::fs::write(folder.path().join("functions/api.js"), "export default {}").expect("a file");
        std::fs::write(folder.path().join(".env"), "API_KEY=sk-12345678\n").expect("a file");
        let manifest = "[functions.api]\nsource = \"functions/api.js\"\nenv = { STAGE = \"test\", API_KEY = \"\" }\n";
        std::fs::write(folder.path().join("emu.toml"), manifest).expect("a file");
        let project = settings::open(Some(folder.path()), &RunArgs::default())
            .expect("a project")
            .loaded
            .project;
        let with = |given: &[&str]| {
            let mut api = function(&project, "api").expect("it is there").clone();
            let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
            let left = environment(&mut api, &project, &given).map_err(|failure| failure.code);
            left.map(|left| (left, api.env))
        };
        let (left, env) = with(&["STAGE=live"]).expect("valid");
        assert_eq!(left, ["API_KEY"]);
        assert_eq!(env, BTreeMap::from([("STAGE".to_owned(), "live".to_owned())]));
        let (left, env) = with(&["API_KEY"]).expect("valid");
        assert!(left.is_empty());
        assert_eq!(env["API_KEY"], "sk-12345678");
        assert_eq!(with(&["NO_SUCH_VARIABLE_ANYWHERE"]), Err(2));
    }
}
