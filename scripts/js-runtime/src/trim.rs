//! Takes from the QuickJS runtime what a function never uses: files, standard streams, environment, polling. Each import
//! of a component costs time in every instance, and an import that is not there cannot be reached.

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    MemArg, MemoryType, Module, RawSection, TypeSection,
};
use wasmparser::{FuncType, Parser, Payload, TypeRef};

/// What stays an import: the clocks, which `Date` reads.
const KEPT: [&str; 2] = ["wasi:clocks/wall-clock@0.2.0#now", "wasi:clocks/monotonic-clock@0.2.0#now"];

/// These are called while QuickJS starts. They answer "empty": a list of nothing.
const EMPTY: [&str; 2] =
    ["wasi:cli/environment@0.2.0#get-environment", "wasi:filesystem/preopens@0.2.0#get-directories"];

/// Called for the seed of Rust's hash maps; a constant, so that the same inputs give the same snapshot.
const SEED: &str = "wasi:random/insecure-seed@0.2.9#insecure-seed";

/// The runtime with its imports cut down, and the library that takes their place.
pub struct Trimmed {
    pub runtime: Vec<u8>,
    pub stubs: Vec<u8>,
}

struct Stub {
    name: String,
    ty: FuncType,
}

pub fn trim(runtime: &[u8]) -> Result<Trimmed> {
    let mut out = Module::new();
    let mut types: Vec<FuncType> = Vec::new();
    let mut stubs = Vec::new();
    for payload in Parser::new(0).parse_all(runtime) {
        let payload = payload?;
        if let Payload::TypeSection(reader) = &payload {
            for group in reader.clone() {
                for ty in group?.into_types() {
                    types.push(ty.unwrap_func().clone());
                }
            }
        }
        if let Payload::ImportSection(reader) = payload {
            let mut imports = ImportSection::new();
            for import in reader.into_imports() {
                let import = import?;
                let name = format!("{}#{}", import.module, import.name);
                if import.module.starts_with("wasi") && !KEPT.contains(&name.as_str()) {
                    let TypeRef::Func(index) = import.ty else { bail!("{name} is not a function") };
                    let ty = types.get(index as usize).context("the import has no type")?.clone();
                    imports.import("env", &name, EntityType::Function(index));
                    stubs.push(Stub { name, ty });
                } else {
                    imports.import(import.module, import.name, RoundtripReencoder.entity_type(import.ty)?);
                }
            }
            out.section(&imports);
        } else if let Some((id, range)) = payload.as_section() {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            out.section(&RawSection { id, data: &runtime[range] });
        }
    }
    Ok(Trimmed { runtime: out.finish(), stubs: library(&stubs)? })
}

/// A shared library (without data or table of its own) that exports the stubs.
fn library(stubs: &[Stub]) -> Result<Vec<u8>> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, stub) in (0..).zip(stubs) {
        let ty = RoundtripReencoder.func_type(stub.ty.clone())?;
        types.ty().func_type(&ty);
        functions.function(index);
        exports.export(&stub.name, ExportKind::Func, index);
        code.function(&body(stub));
    }

    let mut imports = ImportSection::new();
    let memory =
        MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imports.import("env", "memory", memory);

    // Subsection 1 (memory and table needs) of five zeros: nothing is needed.
    let link = CustomSection { name: "dylink.0".into(), data: (&[1u8, 4, 0, 0, 0, 0]).into() };
    let mut module = Module::new();
    module.section(&link).section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    Ok(module.finish())
}

fn body(stub: &Stub) -> Function {
    let mut body = Function::new([]);
    let mut code = body.instructions();
    let silent = stub.name.contains("[resource-drop]") || stub.name.ends_with("#reset_adapter_state");
    if EMPTY.contains(&stub.name.as_str()) {
        code.local_get(0).i64_const(0).i64_store(MemArg { offset: 0, align: 2, memory_index: 0 });
    } else if stub.name == SEED {
        for offset in [0, 8] {
            code.local_get(0).i64_const(SEED_HALF).i64_store(MemArg { offset, align: 3, memory_index: 0 });
        }
    } else if !silent {
        code.unreachable();
    }
    code.end();
    body
}

/// Any number does.
const SEED_HALF: i64 = 0x0123_4567_89ab_cdef;
