//! Artefacts of WebAssembly: components as they are, scripts bundled.

use serde_json::Value;
use tokio::runtime::Runtime;

use super::super::bundle::environment;
use super::super::failure::Failure;
use super::super::probe::not_built;
use super::{Args, Report, Shown, labels, left_out, send, shorter, source_date};
use crate::engine::Engine;
use crate::live;
use crate::pack::image::rfc3339;
use crate::pack::layout::Layout;
use crate::pack::wasm;
use crate::project::{Function, Project, SourceKind};

pub fn make(args: &Args, project: &Project, runtime: &Runtime) -> Result<Report, Failure> {
    let layout = Layout::begin(args.output.as_deref())?;
    let created = rfc3339(source_date()?);
    let engine = live::engine().map_err(|error| not_built(&project.name, &error))?;
    let mut report = Report::default();
    let mut index: Vec<Value> = Vec::new();
    for function in project.functions.values() {
        let component = match component(&engine, project, function, runtime, &mut report.warnings)? {
            Ok(component) => component,
            Err(why) => {
                report.warnings.push(left_out(args, project, function, &why)?);
                continue;
            }
        };
        let tag = args.tag.as_deref().unwrap_or("latest");
        let reference = match project.functions.len() {
            1 => tag.to_owned(),
            _ => format!("{}-{tag}", function.name),
        };
        let labels = labels(args, &function.name, &[&function.name]);
        let (written, descriptor) = wasm::write(&layout, &component, &labels, &created, &reference)?;
        index.push(descriptor);
        report.packages.push(Shown {
            name: function.name.clone(),
            tag: Some(reference),
            digest: written.digest,
            bytes: written.bytes,
            ..Shown::default()
        });
    }
    if report.packages.is_empty() {
        return Err(Failure::new(report.warnings.join("\n")));
    }
    // One of several keeps its own repository when the others are left out.
    let alone = project.functions.len() == 1;
    send(args, &layout, &mut report.packages, alone, runtime)?;
    report.path = layout.finish(&index)?.map(|path| shorter(&path));
    Ok(report)
}

/// The function as a component, or why there is none.
fn component(
    engine: &Engine,
    project: &Project,
    function: &Function,
    runtime: &Runtime,
    warnings: &mut Vec<String>,
) -> Result<Result<Vec<u8>, String>, Failure> {
    let name = &function.name;
    let bound = function.bound();
    if !bound.is_empty() {
        warnings.push(format!("{name}: a call of {} fails outside of emu", bound.join(", ")));
    }
    if function.kind == SourceKind::Wasm {
        let component = runtime.block_on(live::component(engine, project, function));
        let component = component.map_err(|error| not_built(name, &error))?;
        return Ok(Ok(component.to_vec()));
    }
    let mut function = function.clone();
    let secrets = environment(&mut function, project, &[])?;
    if !secrets.is_empty() {
        warnings.push(format!(
            "{name}: {} {} secret and {} left out: `emu bundle {name}` takes --env NAME for each that shall be in it",
            secrets.join(", "),
            if secrets.len() == 1 { "looks" } else { "look" },
            if secrets.len() == 1 { "is" } else { "are" },
        ));
    }
    let made = runtime.block_on(live::bundle(engine, project, &function, None));
    let made = made.map_err(|error| not_built(name, &error))?;
    Ok(made.map(|bundle| bundle.component))
}
