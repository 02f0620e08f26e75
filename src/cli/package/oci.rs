//! Images of containers: the whole project in one, or of what some functions need, which may be one for each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::super::failure::Failure;
use super::super::probe::not_built;
use super::{Args, Chosen, Report, Shown, labels, send, shorter, size, source_date};
use crate::live::{self, Compiled};
use crate::pack::export::of_emu_alone;
use crate::pack::files::{self, Files};
use crate::pack::image::{self, Image, Input};
use crate::pack::layout::Layout;
use crate::pack::system::Program;
use crate::pack::{PackError, cut};
use crate::project::{BusUrl, Function, Project, SourceKind};

/// Sources are smaller.
const LARGE_BYTES: u64 = 20_000_000;

/// `chosen`: functions that an image is for; those that they call are in the project besides.
pub fn make(args: &Args, project: &Project, chosen: &Chosen, runtime: &Runtime) -> Result<Report, Failure> {
    let layout = Layout::begin(args.output.as_deref())?;
    let program = Program::read(&std::env::current_exe()?)?;
    program.architecture()?;
    let compiled = runtime
        .block_on(live::compile(project))
        .map_err(|(name, error)| not_built(&name, &error))?;
    let files = files::collect(&project.root, &compiled.read(), &project.env_files, layout.out())?;
    let passed: Vec<String> = project.env_names.iter().cloned().collect();
    let warnings = warnings(args, project, chosen, &compiled, &files, &passed);
    let input = Input {
        program: &program,
        root: &project.root,
        runtime: &compiled.runtime.iter().cloned().collect::<Vec<_>>(),
        base: args.base.as_deref(),
        compression: args.compression.unwrap_or_default(),
        time_s: source_date()?,
        tag: args.tag.as_deref().unwrap_or("latest"),
        images: Images {
            args,
            project,
            compiled: &compiled,
            passed: &passed,
        }
        .of(chosen, files)?,
    };
    let written = image::write(&input, &layout)?;
    let index: Vec<Value> = written.iter().map(|(_, descriptor)| descriptor.clone()).collect();
    let mut packages: Vec<Shown> = written.into_iter().map(|(written, _)| shown(written)).collect();
    let alone = packages.len() == 1;
    send(args, &layout, &mut packages, alone, runtime)?;
    Ok(Report {
        path: layout.finish(&index)?.map(|path| shorter(&path)),
        packages,
        warnings,
    })
}

/// What images are made from.
struct Images<'a> {
    args: &'a Args,
    project: &'a Project,
    compiled: &'a Compiled,
    passed: &'a [String],
}

impl Images<'_> {
    /// One of the whole project as it lies there, or of what functions need.
    fn of(&self, chosen: &Chosen, files: Files) -> Result<Vec<Image>, PackError> {
        if self.args.per_function {
            let each = chosen.names.iter();
            return each
                .map(|name| self.part(name, &BTreeSet::from([name.clone()])))
                .collect();
        }
        if !chosen.is_all {
            return Ok(vec![self.part(&self.project.name, &chosen.names)?]);
        }
        Ok(vec![self.image(&self.project.name, &chosen.names, None, files, None)])
    }

    fn part(&self, name: &str, chosen: &BTreeSet<String>) -> Result<Image, PackError> {
        let along = cut::along(self.project, chosen);
        let manifest = cut::manifest(self.project, chosen, &along)?;
        let read = along.iter().filter_map(|name| self.compiled.functions.get(name));
        let read = read.flat_map(|parts| &parts.read).cloned().collect();
        let files = files::read_only(&self.project.root, &read, &self.project.env_files);
        let functions = Some(along.iter().cloned().collect());
        Ok(self.image(name, &along, functions, files, Some(manifest)))
    }

    fn image(
        &self,
        name: &str,
        served: &BTreeSet<String>,
        functions: Option<Vec<String>>,
        files: Files,
        manifest: Option<String>,
    ) -> Image {
        let code = served.iter().filter_map(|name| self.compiled.functions.get(name));
        let code: BTreeSet<PathBuf> = code.flat_map(|parts| &parts.code).cloned().collect();
        let is_script = |name: &String| {
            let function = self.project.functions.get(name);
            function.is_some_and(|function| function.kind == SourceKind::Script)
        };
        let names: Vec<&str> = served.iter().map(String::as_str).collect();
        Image {
            name: name.to_owned(),
            labels: labels(self.args, name, &names),
            functions,
            files,
            manifest,
            has_scripts: served.iter().any(is_script),
            code: code.into_iter().collect(),
            passed: self.passed.to_vec(),
        }
    }
}

fn warnings(
    args: &Args,
    project: &Project,
    chosen: &Chosen,
    compiled: &Compiled,
    files: &Files,
    passed: &[String],
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut absent = Vec::new();
    if !files.env_files.is_empty() {
        absent.push(format!("not in the image: {}", files.env_files.join(", ")));
    }
    // Their file may lie elsewhere.
    if !passed.is_empty() {
        absent.push(format!("give the container {}", passed.join(", ")));
    }
    if !absent.is_empty() {
        warnings.push(absent.join("; "));
    }
    let own = |function: &Function| -> Vec<String> {
        let names = function
            .env
            .iter()
            .filter(|(name, value)| project.is_secret(name, value));
        let names = names.map(|(name, _)| name.clone());
        names.filter(|name| !passed.contains(name)).collect()
    };
    let secrets: BTreeSet<String> = project.functions.values().flat_map(own).collect();
    if project.dev.bus.as_ref().is_some_and(BusUrl::has_login) {
        let text = "[bus] url holds a login, and emu.toml is in the image: give the container EMU_BUS instead";
        warnings.push(text.to_owned());
    }
    if !secrets.is_empty() {
        let names = secrets.into_iter().collect::<Vec<_>>().join(", ");
        warnings.push(format!(
            "emu.toml holds {names}, and is in the image: move secrets to an env file"
        ));
    }
    if chosen.is_all && !args.per_function {
        warnings.extend(suspicious(project, compiled, files));
    }
    if compiled.runtime.is_empty() && compiled.functions.values().all(|parts| parts.code.is_empty()) {
        let text = "no compiled code could be kept, so the image compiles when it starts: set EMU_CACHE_DIR";
        warnings.push(text.to_owned());
    }
    if args.per_function && project.dev.bus.is_none() {
        let functions = chosen.names.iter().filter_map(|name| project.functions.get(name));
        warnings.extend(functions.filter_map(apart));
    }
    warnings
}

/// Files of the project that nobody may want in an image: keys, and large ones that no function reads.
fn suspicious(project: &Project, compiled: &Compiled, files: &Files) -> Vec<String> {
    let read = compiled.read();
    let (mut secret, mut large) = (Vec::new(), Vec::new());
    for path in &files.own {
        let file = project.root.join(path);
        if read.contains(&file) {
            continue;
        }
        let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        if files::holds_secrets(&file) {
            secret.push(path.clone());
        } else if bytes > LARGE_BYTES {
            large.push(format!("{path} ({})", size(bytes)));
        }
    }
    let mut warnings = Vec::new();
    for (list, what) in [
        (secret, "holds secrets, it seems"),
        (large, "is large, and no function reads it"),
    ] {
        if let [first, others @ ..] = list.as_slice() {
            let more = match others.len() {
                0 => String::new(),
                more => format!(", like {more} more"),
            };
            warnings.push(format!(
                "{first} is in the image and {what}{more}: .emuignore leaves files out"
            ));
        }
    }
    warnings
}

/// What a function alone in its image has lost.
fn apart(function: &Function) -> Option<String> {
    // Those that it calls are with it.
    let shared: Vec<String> = of_emu_alone(function)
        .into_iter()
        .filter(|what| !what.contains("(function "))
        .collect();
    (!shared.is_empty()).then(|| {
        let name = &function.name;
        let shared = shared.join(", ");
        format!("{name}: without a bus (EMU_BUS) each image has queues, topics and stores of its own: {shared}")
    })
}

fn shown(written: image::Written) -> Shown {
    Shown {
        bytes: written.base_bytes + written.layers.iter().map(|layer| layer.bytes).sum::<u64>(),
        layers: written.layers.iter().map(Into::into).collect(),
        name: written.name,
        tag: Some(written.reference),
        digest: written.digest,
        ..Shown::default()
    }
}
