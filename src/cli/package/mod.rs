//! `emu package`: a project as what others run. `oci` images of containers, `component` artefacts of WebAssembly, `lambda`
//! archives; here what they share.

mod component;
mod lambda;
mod oci;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{data, say};
use super::probe::function;
use super::settings::{self, RunArgs};
use super::{Global, env, json_line};
use crate::pack::layer::{Compression, Layer};
use crate::pack::layout::Layout;
use crate::pack::{PackError, cut, push};
use crate::project::{Function, Project, Target, find};
use crate::report::number::{megabytes, plural};
use crate::report::style::{Style, Tone, Verbosity};

const EXAMPLES: &str = "\
Examples:
  emu package -o shop.tar                  one image of the whole project: podman load -i shop.tar
  emu package -o shop                      the same as a folder, an OCI image layout
  emu package --per-function -o services   one image for each function, with their common layers once
  emu package api billing -o part.tar      one image of two functions, without the others
  emu package --push ghcr.io/me/shop:v1    to a registry
  emu package api --format wasm --push ghcr.io/me/api:v1
  emu package api --format zip -o api.zip  for Lambda's nodejs runtimes

An image holds emu, its libraries, compiled code, the packages' files that functions read, and the project without what \
.emuignore names. It runs `emu serve` as user 65532 on port 8080 or $PORT, and needs no network to start. Env files never go in: \
their variables are taken from the container's environment. The same input gives the same digest.";

/// Write a project as a container image, as WebAssembly artefacts, or as archives for Lambda
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Functions to package [default: all]
    functions: Vec<String>,

    /// Where to: a folder, or a file that ends in .tar (.zip for one function's archive)
    #[arg(short, long, value_name = "OUT", required_unless_present = "push")]
    output: Option<PathBuf>,

    /// What is made: `oci`, container images; `wasm`, artefacts of components; `zip`, archives for Lambda
    #[arg(long, value_name = "oci|wasm|zip", default_value = "oci", value_parser = format, hide_default_value = true)]
    format: Format,

    /// Send it to a registry, with the credentials of `docker login` or `podman login`. Several go to REPOSITORY/FUNCTION
    #[arg(long, value_name = "REGISTRY/REPOSITORY[:TAG]", value_parser = push::target)]
    push: Option<push::Target>,

    /// One image for each function, with what that needs and nothing of the others
    #[arg(long)]
    per_function: bool,

    /// An OCI image layout to build upon, instead of the libraries of this machine
    #[arg(long, value_name = "LAYOUT")]
    base: Option<PathBuf>,

    /// Name of the image within the layout, and in the registry unless --push has one [default: latest]
    #[arg(long, value_name = "TAG", value_parser = tag)]
    tag: Option<String>,

    /// A label, besides those of OCI; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// Layers packed or as they are, which is quicker to write
    #[arg(long, value_name = "gzip|none", value_parser = compression)]
    compression: Option<Compression>,

    /// A file of `NAME=value` lines, besides .env and .env.local: its names are taken from the container's environment
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,

    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Oci,
    Wasm,
    Zip,
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "oci" => Ok(Format::Oci),
        "wasm" => Ok(Format::Wasm),
        "zip" => Ok(Format::Zip),
        _ => Err("expected oci, wasm or zip".to_owned()),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err("expected gzip or none".to_owned()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// As registries take them.
fn tag(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    match starts_well && text.len() <= 128 && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("expected a tag such as latest or v1.2: letters, digits, `_`, `.` and `-`".to_owned()),
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Failure {
        let failure = Failure::new(error.message);
        match error.remedy {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    packages: Vec<Shown>,
    warnings: Vec<String>,
}

/// An image, an artefact, or an archive.
#[derive(Default, Serialize)]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    digest: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<ShownLayer>,
    /// Archives: the file, and what Lambda is to call in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<String>,
    /// In the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<String>,
}

#[derive(Serialize)]
struct ShownLayer {
    what: String,
    digest: String,
    bytes: u64,
}

impl From<&Layer> for ShownLayer {
    fn from(layer: &Layer) -> ShownLayer {
        ShownLayer {
            what: layer.what.clone(),
            digest: layer.digest.clone(),
            bytes: layer.bytes,
        }
    }
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let run = RunArgs {
        env_files: args.env_files.clone(),
        ..RunArgs::default()
    };
    let mut project = settings::open(global.project.as_deref(), &run)?.loaded.project;
    fits_together(args)?;
    let chosen = Chosen::of(args, global, &project)?;
    match args.format {
        Format::Oci => {
            let along = cut::along(&project, &chosen.names);
            project.functions.retain(|name, _| along.contains(name));
        }
        Format::Wasm | Format::Zip => project.functions.retain(|name, _| chosen.names.contains(name)),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = match args.format {
        Format::Oci => oci::make(args, &project, &chosen, &runtime),
        Format::Wasm => component::make(args, &project, &runtime),
        Format::Zip => lambda::make(args, &project, &runtime),
    };
    runtime.shutdown_background();
    let report = report?;
    if args.json {
        data(&json_line(&report)?)?;
    } else {
        tell(&report, &global.style());
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions that are asked for.
struct Chosen {
    names: BTreeSet<String>,
    /// The whole project, as it lies in its folder.
    is_all: bool,
}

impl Chosen {
    fn of(args: &Args, global: &Global, project: &Project) -> Result<Chosen, Failure> {
        for name in &args.functions {
            function(project, name)?;
        }
        if project.functions.is_empty() {
            return Err(Failure::new("the project has no functions")
                .remedy("create functions/hello.js, or name another folder with --project"));
        }
        let names: BTreeSet<String> = match args.functions.as_slice() {
            [] => project.functions.keys().cloned().collect(),
            some => some.iter().cloned().collect(),
        };
        let is_file = matches!(find(global.project.as_deref()), Ok(Target::File(_)));
        let is_all = names.len() == project.functions.len() && !is_file;
        Ok(Chosen { names, is_all })
    }
}

/// Flags that mean nothing to a format are mistakes.
fn fits_together(args: &Args) -> Result<(), Failure> {
    let images_only = [
        (args.per_function, "--per-function"),
        (args.base.is_some(), "--base"),
        (args.compression.is_some(), "--compression"),
    ];
    if args.format != Format::Oci
        && let Some((_, flag)) = images_only.iter().find(|(given, _)| *given)
    {
        return Err(
            Failure::usage(format!("{flag} is for images")).remedy("leave it out, or package with --format oci")
        );
    }
    if args.format == Format::Zip && args.push.is_some() {
        return Err(Failure::usage("registries take no archives").remedy("give --output, and upload the file"));
    }
    Ok(())
}

/// What everything is dated by, as reproducible builds agree on it.
fn source_date() -> Result<u64, Failure> {
    match env("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            Failure::usage(format!(
                "SOURCE_DATE_EPOCH holds {text:?}, which is no number of seconds"
            ))
            .remedy("set it by SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or unset it")
        }),
    }
}

fn labels(args: &Args, name: &str, functions: &[&str]) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), name.to_owned()),
        ("dev.emu.functions".to_owned(), functions.join(",")),
        ("dev.emu.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    labels.extend(args.label.iter().cloned());
    labels
}

/// Sends what the layout holds, before it moves to its place. `alone`: the repository is the package's own.
fn send(
    args: &Args,
    layout: &Layout,
    packages: &mut [Shown],
    alone: bool,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failure> {
    let Some(to) = &args.push else { return Ok(()) };
    for package in packages {
        let tag = to.tag.as_deref().or(args.tag.as_deref()).unwrap_or("latest");
        let repository = match alone {
            true => to.repository.clone(),
            false => format!("{}/{}", to.repository, package.name.to_lowercase()),
        };
        let to = oci_client::Reference::with_tag(to.registry.clone(), repository, tag.to_owned());
        package.pushed = Some(runtime.block_on(push::push(&layout.blobs(), &package.digest, &to))?);
    }
    Ok(())
}

/// Relative to where the command runs, when it is below.
fn shorter(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.unwrap_or_else(|| path.to_owned())
}

fn tell(report: &Report, style: &Style) {
    let mut text = String::new();
    for warning in &report.warnings {
        text.push_str(&format!("{}{warning}\n", style.paint(Tone::Warn, "warning: ")));
    }
    if style.verbosity > Verbosity::Quiet {
        for package in &report.packages {
            let name = style.paint(Tone::Strong, &package.name);
            let tag = package.tag.as_deref().map_or(String::new(), |tag| format!(" {tag}"));
            text.push_str(&format!("{name}{tag} {}, {}\n", size(package.bytes), package.digest));
            for layer in &package.layers {
                let line = format!("  {:<10} {:>9}  {}\n", layer.what, size(layer.bytes), layer.digest);
                text.push_str(&style.paint(Tone::Dim, &line));
            }
            if let (Some(file), Some(handler)) = (&package.file, &package.handler) {
                text.push_str(&format!("  {} with handler {handler}\n", file.display()));
            }
            if let Some(pushed) = &package.pushed {
                text.push_str(&format!("  {} {pushed}\n", style.paint(Tone::Good, "pushed")));
            }
        }
        if let Some(path) = &report.path {
            let many = plural(report.packages.len() as u64, "package", "packages");
            text.push_str(&format!(
                "{} {many} to {}\n",
                style.paint(Tone::Good, "wrote"),
                path.display()
            ));
        }
    }
    say(&text);
}

fn size(bytes: u64) -> String {
    match bytes {
        ..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => format!("{} MB", megabytes(bytes as f64 / 1e6)),
    }
}

/// A function without a handler for this format is left out when nobody named it, and is an error when somebody did.
fn left_out(args: &Args, project: &Project, function: &Function, why: &str) -> Result<String, Failure> {
    let message = format!("{} cannot be packaged: {why}", function.name);
    match args.functions.is_empty() && project.functions.len() > 1 {
        true => Ok(format!("left out: {message}")),
        false => Err(Failure::new(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_labels() {
        assert!(tag("v1.2-rc_3").is_ok());
        assert!(tag("-x").is_err());
        assert!(tag("a/b").is_err());
        assert!(label("team=shop").is_ok());
        assert!(label("=shop").is_err());
        assert_eq!(compression("none"), Ok(Compression::None));
        assert!(format("rpm").is_err());
        assert_eq!(size(1_500), "2 KB");
        assert_eq!(size(48_000_000), "48 MB");
    }
}
