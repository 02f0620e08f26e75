//! `[trace]`: requests of a recorded trace, for as many functions as it names. The only `[functions.NAME]` says what holds
//! for each of them.

use std::path::{Path, PathBuf};

use super::super::trace::{self, Files, Trace};
use super::super::{Function, Load};
use super::keys;
use crate::platform::config::FunctionSpec;
use crate::project::read::{At, Field, Section, Sink};

/// More than the public traces have; each takes some kilobytes.
const FUNCTIONS_MAX: usize = 1_000_000;

/// Reads the table, and the files through.
pub fn read(field: &Field<'_>, sink: &mut Sink) -> Option<Trace> {
    let section = Section::of(field, &keys::TRACE, sink)?;
    let folder = sink.source.path.parent().map(Path::to_owned).unwrap_or_default();
    let paths = |name: &'static str, sink: &mut Sink| -> Vec<PathBuf> {
        let texts = section.texts(name, sink).map(|texts| texts.value).unwrap_or_default();
        texts.iter().map(|text| folder.join(&text.value)).collect()
    };
    let files = Files {
        requests: paths("files", sink),
        durations: paths("durations", sink),
        memory: paths("memory", sink),
        functions_max: section
            .integer("functions", sink)
            .map_or(FUNCTIONS_MAX, |n| usize::try_from(n.value).unwrap_or(FUNCTIONS_MAX)),
    };
    section.done();
    if files.requests.is_empty() {
        return None;
    }
    match trace::open(&files) {
        Ok(trace) => Some(trace),
        Err(fault) => {
            let problem = sink.error(&field.span(), format!("the trace cannot be used: {fault}"));
            problem.remedy("README.md, Traces, shows the formats");
            None
        }
    }
}

/// A function for each of the trace, after the one that the file describes.
pub fn functions(
    at: &At<()>,
    trace: &Trace,
    described: Vec<(Function, FunctionSpec)>,
    sink: &mut Sink,
) -> Vec<(Function, FunctionSpec)> {
    let [(function, spec)] = described.as_slice() else {
        if !sink.list.iter().any(crate::project::Diagnostic::is_error) {
            let problem = sink.error(&at.span, "beside `[trace]` there must be one function, and one only");
            problem.remedy(
                "write `[functions.each]` with `service = \"1s\"` for those whose durations the trace does not tell",
            );
        }
        return Vec::new();
    };
    let each = trace.functions.iter().map(|traced| {
        let memory_mb = traced.memory_mb.unwrap_or(spec.memory_mb).max(spec.memory_mb);
        let function = Function {
            name: traced.name.clone(),
            load: Load::None,
            service: traced.service.clone().unwrap_or_else(|| function.service.clone()),
            memory_used_mb: traced.memory_mb.unwrap_or(function.memory_used_mb),
            ..function.clone()
        };
        let spec = FunctionSpec {
            name: traced.name.as_str().into(),
            memory_mb,
            ..spec.clone()
        };
        (function, spec)
    });
    each.collect()
}
