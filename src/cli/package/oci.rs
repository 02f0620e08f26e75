//! Images of containers: the whole project in one, or one for each function.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::super::failure::Failure;
use super::super::probe::not_built;
use super::{Args, Report, Shown, labels, send, shorter, source_date};
use crate::live::{self, Compiled};
use crate::pack::export::of_emu_alone;
use crate::pack::files::{self, Files};
use crate::pack::image::{self, Image, Input};
use crate::pack::layout::Layout;
use crate::pack::system::Program;
use crate::project::{Function, Project};

pub fn make(args: &Args, project: &Project, runtime: &Runtime) -> Result<Report, Failure> {
    let layout = Layout::begin(args.output.as_deref())?;
    let program = Program::read(&std::env::current_exe()?)?;
    program.architecture()?;
    let compiled = runtime
        .block_on(live::compile(project))
        .map_err(|(name, error)| not_built(&name, &error))?;
    let files = files::collect(&project.root, &compiled.read, &project.env_files, layout.out())?;
    let passed: Vec<String> = project.env_names.iter().cloned().collect();
    let input = Input {
        program: &program,
        root: &project.root,
        files: &files,
        runtime: &compiled.runtime.iter().cloned().collect::<Vec<_>>(),
        base: args.base.as_deref(),
        compression: args.compression.unwrap_or_default(),
        time_s: source_date()?,
        tag: args.tag.as_deref().unwrap_or("latest"),
        images: images(args, project, &compiled, &passed),
    };
    let written = image::write(&input, &layout)?;
    let index: Vec<Value> = written.iter().map(|(_, descriptor)| descriptor.clone()).collect();
    let mut packages: Vec<Shown> = written.into_iter().map(|(written, _)| shown(written)).collect();
    let alone = packages.len() == 1;
    send(args, &layout, &mut packages, alone, runtime)?;
    Ok(Report {
        path: layout.finish(&index)?.map(|path| shorter(&path)),
        packages,
        warnings: warnings(args, project, &compiled, &files, &passed),
    })
}

fn images(args: &Args, project: &Project, compiled: &Compiled, passed: &[String]) -> Vec<Image> {
    let image = |name: &str, functions: Option<Vec<String>>| {
        let is_served = |name: &String| functions.as_ref().is_none_or(|list| list.contains(name));
        let code = compiled.functions.iter().filter(|(name, _)| is_served(name));
        let code: BTreeSet<PathBuf> = code.flat_map(|(_, code)| code).cloned().collect();
        let names = project.functions.keys().filter(|name| is_served(name));
        let names: Vec<&str> = names.map(String::as_str).collect();
        Image {
            name: name.to_owned(),
            labels: labels(args, name, &names),
            functions,
            code: code.into_iter().collect(),
            passed: passed.to_vec(),
        }
    };
    if args.per_function {
        let names = project.functions.keys();
        return names.map(|name| image(name, Some(vec![name.clone()]))).collect();
    }
    let functions = (!args.functions.is_empty()).then(|| project.functions.keys().cloned().collect());
    vec![image(&project.name, functions)]
}

fn warnings(args: &Args, project: &Project, compiled: &Compiled, files: &Files, passed: &[String]) -> Vec<String> {
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
        let names = function.env.keys().filter(|name| project.secrets.contains(*name));
        names.filter(|name| !passed.contains(name)).cloned().collect()
    };
    let secrets: BTreeSet<String> = project.functions.values().flat_map(own).collect();
    if !secrets.is_empty() {
        let names = secrets.into_iter().collect::<Vec<_>>().join(", ");
        warnings.push(format!(
            "emu.toml holds {names}, and is in the image: move secrets to an env file"
        ));
    }
    if compiled.runtime.is_empty() && compiled.functions.values().all(BTreeSet::is_empty) {
        let text = "no compiled code could be kept, so the image compiles when it starts: set EMU_CACHE_DIR";
        warnings.push(text.to_owned());
    }
    if args.per_function && project.dev.bus.is_none() {
        warnings.extend(project.functions.values().filter_map(apart));
    }
    warnings
}

/// What a function alone in its image has lost.
fn apart(function: &Function) -> Option<String> {
    let shared = of_emu_alone(function);
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
