//! `emu export`: descriptors of other platforms, from emu.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{data, say};
use super::probe::not_built;
use super::settings::{self, RunArgs};
use super::{Global, json_line};
use crate::live;
use crate::pack::export::{self, Export, Input, Note, Target};
use crate::project::Project;
use crate::project::diagnostic::nearest;
use crate::report::number::plural;
use crate::report::style::{Style, Tone, Verbosity};

const EXAMPLES: &str = "\
Examples:
  emu export --target compose deploy       deploy/compose.yaml
  emu export --target knative deploy --image ghcr.io/me/shop:v1
  emu export --target sam deploy           deploy/template.yaml

What a target cannot express is a comment in its file, and is told here too. Values of env files never go in.";

/// Write deployment descriptors for other platforms
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Who is to run it: compose, knative, sam, spin, wasmcloud
    #[arg(long, value_name = "TARGET", value_parser = target)]
    target: Target,

    /// Where the image or the artefacts are [default: PROJECT:latest]
    #[arg(long, value_name = "REGISTRY/REPOSITORY[:TAG]")]
    image: Option<String>,

    /// Replace files that are there
    #[arg(long)]
    force: bool,

    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

fn target(text: &str) -> Result<Target, String> {
    let found = Target::ALL.iter().find(|(name, _)| *name == text);
    let names: Vec<&str> = Target::ALL.iter().map(|(name, _)| *name).collect();
    found
        .map(|(_, target)| *target)
        .ok_or_else(|| match nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("expected one of {}", names.join(", ")),
        })
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    files: Vec<PathBuf>,
    notes: &'a [Note],
    steps: &'a [String],
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let project = settings::open(global.project.as_deref(), &RunArgs::default())?
        .loaded
        .project;
    if project.functions.is_empty() {
        return Err(Failure::new("the project has no functions")
            .remedy("create functions/hello.js, or name another folder with --project"));
    }
    let handlers = match args.target {
        Target::Sam => handlers(&project)?,
        _ => BTreeMap::new(),
    };
    let input = Input {
        project: &project,
        image: args
            .image
            .clone()
            .unwrap_or_else(|| format!("{}:latest", export::dns_name(&project.name))),
        handlers,
    };
    let mut export = export::export(args.target, &input)?;
    once(&mut export.notes);
    let files = write(args, &export)?;
    let report = Report {
        files,
        notes: &export.notes,
        steps: &export.steps,
    };
    if args.json {
        data(&json_line(&report)?)?;
    } else {
        tell(&report, &global.style());
    }
    Ok(ExitCode::SUCCESS)
}

/// What Lambda would call in each function's archive.
fn handlers(project: &Project) -> Result<BTreeMap<String, Result<String, String>>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let engine = live::engine().map_err(|error| not_built(&project.name, &error))?;
    let mut handlers = BTreeMap::new();
    for (name, function) in &project.functions {
        let plain = runtime.block_on(live::plain_files(&engine, project, function));
        let plain = plain.map_err(|error| not_built(name, &error))?;
        handlers.insert(name.clone(), plain.map(|plain| format!("{}.handler", plain.entry)));
    }
    runtime.shutdown_background();
    Ok(handlers)
}

/// The first of those that say the same.
fn once(notes: &mut Vec<Note>) {
    let mut seen = BTreeSet::new();
    notes.retain(|note| seen.insert((note.about.clone(), note.text.clone())));
}

fn write(args: &Args, export: &Export) -> Result<Vec<PathBuf>, Failure> {
    let paths: Vec<PathBuf> = export.files.keys().map(|name| args.folder.join(name)).collect();
    if !args.force
        && let Some(there) = paths.iter().find(|path| path.exists())
    {
        return Err(Failure::new(format!("{} is there already", there.display()))
            .remedy("give another folder, or --force to replace it"));
    }
    let failed = |error: std::io::Error| Failure::new(format!("{} cannot be written: {error}", args.folder.display()));
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    for (path, text) in paths.iter().zip(export.files.values()) {
        std::fs::write(path, text).map_err(failed)?;
    }
    Ok(paths)
}

fn tell(report: &Report<'_>, style: &Style) {
    let mut text = String::new();
    for note in report.notes {
        let about = match note.about.as_str() {
            "" => String::new(),
            about => format!("{}: ", style.paint(Tone::Strong, about)),
        };
        text.push_str(&format!("{}{about}{}\n", style.paint(Tone::Info, "note: "), note.text));
    }
    if style.verbosity > Verbosity::Quiet {
        for file in &report.files {
            text.push_str(&format!("{} {}\n", style.paint(Tone::Good, "wrote"), file.display()));
        }
        let many = plural(report.notes.len() as u64, "thing", "things");
        text.push_str(&format!(
            "{many} that the target does otherwise stand in the file as comments; then:\n"
        ));
        for step in report.steps {
            text.push_str(&style.paint(Tone::Dim, &format!("  {step}\n")));
        }
    }
    say(&text);
}
