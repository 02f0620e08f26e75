//! From a `.wasm` or `.wat` file to a version: text parsed, core modules made components, the world found by its exports.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::{Component, InstancePre};

use super::compile::WASM_BYTES_MAX;
use super::host::Guest;
use super::runtime::{Engine, Kind, Loaded, Version};
use super::{LoadError, LoadPhases, Place, Source, command, component, preview1};

pub(super) async fn load(engine: &Engine, source: &Source) -> Result<Loaded, LoadError> {
    let started = Instant::now();
    let file = source.entry.clone();
    let shown = shown(source);
    let read = tokio::task::spawn_blocking(move || read(&file, &shown)).await;
    let read = read.map_err(|error| failed(source, format!("reading failed: {error}")))?;
    let Read {
        component,
        package_bytes,
    } = read.map_err(|error| error.at(source))?;
    let read_took = started.elapsed();

    let compiled = engine.compiler().component(component).await;
    let compiled =
        compiled.map_err(|error| failed(source, format!("`{}` does not compile: {error}", self::shown(source))))?;

    let linking = Instant::now();
    let kind = link(engine, &compiled.component).map_err(|message| failed(source, message))?;
    Ok(Loaded {
        version: Version(Arc::new(kind)),
        phases: LoadPhases {
            read: read_took,
            compile: compiled.took,
            compile_cached: compiled.cached,
            link: linking.elapsed(),
        },
        watch: vec![source.entry.clone()],
        package_bytes,
    })
}

/// The source as a component.
pub fn component(source: &Source) -> Result<Bytes, LoadError> {
    let read = read(&source.entry, &shown(source)).map_err(|error| error.at(source))?;
    Ok(read.component)
}

/// The file's path as the author knows it.
fn shown(source: &Source) -> String {
    source
        .entry
        .strip_prefix(&source.project_root)
        .unwrap_or(&source.entry)
        .display()
        .to_string()
}

fn failed(source: &Source, message: String) -> LoadError {
    LoadError {
        message,
        place: None,
        detail: None,
        watch: vec![source.entry.clone()],
    }
}

struct Read {
    /// Binary, a component.
    component: Bytes,
    package_bytes: u64,
}

/// A [`LoadError`] before it knows its source.
struct ReadError {
    message: String,
    place: Option<Place>,
    detail: Option<String>,
}

impl ReadError {
    fn at(self, source: &Source) -> LoadError {
        let Self { message, place, detail } = self;
        LoadError {
            message,
            place,
            detail,
            watch: vec![source.entry.clone()],
        }
    }
}

impl From<String> for ReadError {
    fn from(message: String) -> Self {
        Self {
            message,
            place: None,
            detail: None,
        }
    }
}

fn read(file: &Path, shown: &str) -> Result<Read, ReadError> {
    let bytes = stable_bytes(file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let package_bytes = bytes.len() as u64;
    if package_bytes > WASM_BYTES_MAX {
        return Err(format!("`{shown}` has {package_bytes} bytes, at most {WASM_BYTES_MAX} are taken").into());
    }
    let binary = if bytes.starts_with(b"\0asm") {
        bytes
    } else {
        parse_text(&bytes, shown)?
    };
    // The preamble's version and layer: 1, 0 for a core module.
    let is_module = binary.get(4..8) == Some(&[1, 0, 0, 0]);
    let component = if is_module {
        componentize(&binary, shown)?
    } else {
        binary
    };
    Ok(Read {
        component: component.into(),
        package_bytes,
    })
}

/// A compiler may still be writing: the bytes count when two looks at the file agree.
fn stable_bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    const LOOKS_MAX: u32 = 20;
    const LOOK_AGAIN: Duration = Duration::from_millis(10);
    let mut bytes = std::fs::read(file)?;
    for _ in 0..LOOKS_MAX {
        let whole = std::fs::metadata(file)?.len() == bytes.len() as u64 && !bytes.is_empty();
        if whole {
            break;
        }
        std::thread::sleep(LOOK_AGAIN);
        bytes = std::fs::read(file)?;
    }
    Ok(bytes)
}

fn parse_text(bytes: &[u8], shown: &str) -> Result<Vec<u8>, ReadError> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| format!("`{shown}` is neither WebAssembly nor its text form"))?;
    let encode = || {
        let mut buffer = wast::parser::ParseBuffer::new(text)?;
        buffer.track_instr_spans(true);
        let mut wat = wast::parser::parse::<wast::Wat>(&buffer)?;
        let mut options = wast::core::EncodeOptions::new();
        // Lines of the text in the stack of a trap. By the path within the project, so that the same text is the same component,
        // and finds its compiled code, wherever the project lies.
        options.dwarf(Path::new(shown), text, wast::core::GenerateDwarf::Lines);
        options.encode_wat(&mut wat)
    };
    encode().map_err(|mut error: wast::Error| {
        error.set_text(text);
        error.set_path(Path::new(shown));
        let (line, column) = error.span().linecol_in(text);
        let number = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        ReadError {
            message: error.message(),
            place: Some(Place {
                file: shown.to_owned(),
                line: number(line),
                column: number(column),
            }),
            detail: Some(error.to_string()),
        }
    })
}

/// Wraps a core module, so that all guests run as components.
fn componentize(module: &[u8], shown: &str) -> Result<Vec<u8>, ReadError> {
    preview1::componentize(module).map_err(|error| {
        let hint = if preview1::is_command(module) {
            ""
        } else {
            "; a WASI command exports `_start`"
        };
        format!("`{shown}` is a core module that cannot run as a function: {error:#}{hint}").into()
    })
}

/// Finds what the component can do. HTTP comes before commands, newer before older.
fn link(engine: &Engine, component: &Component) -> Result<Kind, String> {
    let kind = component.component_type();
    let exports: Vec<String> = kind
        .exports(engine.wasmtime())
        .map(|(name, _)| name.to_owned())
        .collect();
    let has = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    let slots = Engine::slots_of(component);
    let pre: InstancePre<Guest> = engine.linker().instantiate_pre(component).map_err(|error| {
        format!("the component imports what emu does not offer: {error:#}; emu has WASI 0.2 and 0.3, wasi:http, wasi:config and wasi:keyvalue")
    })?;
    let not_fitting = |error: wasmtime::Error| format!("the component's exports do not fit: {error:#}");
    if has("wasi:http/handler@0.3") {
        component::Version::p3(pre, slots)
            .map(|version| Kind::Component(Arc::new(version)))
            .map_err(not_fitting)
    } else if has("wasi:http/incoming-handler@0.2") {
        component::Version::p2(pre, slots)
            .map(|version| Kind::Component(Arc::new(version)))
            .map_err(not_fitting)
    } else if has("wasi:cli/run@0.3") {
        command::Version::p3(pre, slots)
            .map(|version| Kind::Command(Arc::new(version)))
            .map_err(not_fitting)
    } else if has("wasi:cli/run@0.2") {
        command::Version::p2(pre, slots)
            .map(|version| Kind::Command(Arc::new(version)))
            .map_err(not_fitting)
    } else {
        let found = if exports.is_empty() {
            "nothing".to_owned()
        } else {
            exports.join(", ")
        };
        Err(format!(
            "no handler: the component exports {found}; a function exports wasi:http/incoming-handler@0.2, \
             wasi:http/handler@0.3 or wasi:cli/run"
        ))
    }
}
