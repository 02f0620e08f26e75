//! `emu validate`: everything that is wrong with a project, without running it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Global;
use super::failure::{Outcome, USAGE};
use super::output;
use super::settings;
use crate::project::diagnostic::{JsonDiagnostic, render_all};
use crate::project::{Diagnostic, Diagnostics, Loaded, Project, shown};

/// Check emu.toml and the functions' files, and name every problem
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The project's folder, its emu.toml, or one function's file [default: the nearest folder upward]
    pub path: Option<PathBuf>,

    /// Check against this provider's limits instead of the manifest's
    #[arg(long, value_name = "ID")]
    pub provider: Option<String>,

    /// Check this file as well, as `emu dev --env-file` does
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<PathBuf>,

    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,

    /// Print one JSON object to stdout
    #[arg(long)]
    pub json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    /// Absolute; null when there is no usable project.
    root: Option<String>,
    name: Option<&'a str>,
    functions: Vec<&'a str>,
    diagnostics: Vec<JsonDiagnostic<'a>>,
}

/// Exit code 0 for a valid project, 2 for another.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, global: &Global) -> Outcome {
    let options = settings::load_options(args.provider.as_deref(), &args.env_files)?;
    let outcome = Project::load_with(args.path.as_deref().or(global.project.as_deref()), &options);
    let (project, problems) = match outcome {
        Ok(Loaded { project, warnings }) => (Some(project), warnings),
        Err(Diagnostics(list)) => (None, list),
    };
    let valid = project.is_some() && (!args.strict || problems.is_empty());
    if args.json {
        print_json(valid, project.as_ref(), &problems)?;
    } else {
        let text = in_words(valid, project.as_ref(), &problems, global.style().color);
        output::say(&text);
    }
    Ok(if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(USAGE)
    })
}

fn print_json(valid: bool, project: Option<&Project>, problems: &[Diagnostic]) -> io::Result<()> {
    let report = Report {
        valid,
        root: project.map(|project| project.root.display().to_string()),
        name: project.map(|project| project.name.as_str()),
        functions: project
            .map(|project| project.functions.keys().map(String::as_str).collect())
            .unwrap_or_default(),
        diagnostics: problems.iter().map(JsonDiagnostic::from).collect(),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn in_words(valid: bool, project: Option<&Project>, problems: &[Diagnostic], color: bool) -> String {
    let mut text = String::new();
    if !problems.is_empty() {
        text.push_str(&format!("{}\n\n", render_all(problems, color)));
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let found = [count(errors, "error"), count(problems.len() - errors, "warning")];
    let found: Vec<String> = found.into_iter().flatten().collect();
    match project {
        Some(project) if valid => {
            let parts = [
                count(project.functions.len(), "function"),
                count(project.queues.len(), "queue"),
                count(project.topics.len(), "topic"),
                count(project.kv.len(), "key-value store"),
                count(problems.len(), "warning"),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let what = project.manifest.as_deref().map_or_else(|| shown(&project.root), shown);
            let parts = if parts.is_empty() {
                "nothing in it".to_owned()
            } else {
                parts.join(", ")
            };
            text.push_str(&format!("{what} is valid: {parts}\n"));
        }
        Some(_) | None => text.push_str(&format!(
            "the project is not valid: {}
",
            found.join(", ")
        )),
    }
    text
}

/// `3 functions`, or nothing for none.
fn count(number: usize, word: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    }
}
