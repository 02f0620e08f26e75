//! The data component of a bundle: `emu:shell/bundle` over text that lies in its memory.

use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component, ComponentAliasSection,
    ComponentExportKind, ComponentExportSection, ComponentInstanceSection, ComponentTypeSection, ConstExpr,
    DataSection, ExportKind, ExportSection, Function, FunctionSection, InstanceSection, MemorySection, MemoryType,
    Module, ModuleArg, ModuleSection, PrimitiveValType, TypeSection, ValType,
};

/// Where the text begins; before it lies the answer of a call, pointer and length.
const TEXT_AT: u32 = 16;
const PAGE_BYTES: u64 = 64 << 10;

/// A component that answers with `index` and with pieces of `text`.
///
/// # Errors
/// When the text is larger than a memory.
pub fn component(index: &str, text: &str) -> Result<Vec<u8>, String> {
    let end = u64::from(TEXT_AT) + index.len() as u64 + text.len() as u64;
    let too_large = || "the function's modules are too large for a bundle".to_owned();
    let index_length = u32::try_from(index.len()).map_err(|_| too_large())?;
    if end >= u64::from(u32::MAX) / 2 {
        return Err(too_large());
    }
    let module = core(index, text, index_length, end.div_ceil(PAGE_BYTES));
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    let mut instances = InstanceSection::new();
    instances.instantiate::<[(&str, ModuleArg); 0], &str>(0, []);
    component.section(&instances);
    let mut aliases = ComponentAliasSection::new();
    for (name, kind) in [
        ("memory", ExportKind::Memory),
        ("index", ExportKind::Func),
        ("text", ExportKind::Func),
    ] {
        aliases.alias(Alias::CoreInstanceExport {
            instance: 0,
            kind,
            name,
        });
    }
    component.section(&aliases);
    let mut types = ComponentTypeSection::new();
    let parameters: [&[(&str, PrimitiveValType)]; 2] = [
        &[],
        &[("start", PrimitiveValType::U32), ("length", PrimitiveValType::U32)],
    ];
    for parameters in parameters {
        let mut function = types.function();
        function
            .params(parameters.iter().copied())
            .result(Some(PrimitiveValType::String.into()));
    }
    component.section(&types);
    let mut functions = CanonicalFunctionSection::new();
    for function in [0, 1] {
        functions.lift(function, function, [CanonicalOption::Memory(0), CanonicalOption::UTF8]);
    }
    component.section(&functions);
    let mut instances = ComponentInstanceSection::new();
    instances.export_items([
        ("index", ComponentExportKind::Func, 0),
        ("text", ComponentExportKind::Func, 1),
    ]);
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export("emu:shell/bundle", ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    Ok(component.finish())
}

/// Two functions and a memory: `index()` and `text(start, length)` answer with where pointer and length lie.
fn core(index: &str, text: &str, index_length: u32, pages: u64) -> Module {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    module.section(&types);
    let mut functions = FunctionSection::new();
    functions.function(0).function(1);
    module.section(&functions);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: pages,
        maximum: Some(pages),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    module.section(&memories);
    let mut exports = ExportSection::new();
    exports
        .export("memory", ExportKind::Memory, 0)
        .export("index", ExportKind::Func, 0)
        .export("text", ExportKind::Func, 1);
    module.section(&exports);

    let at = |offset: u64| wasm_encoder::MemArg {
        offset,
        align: 2,
        memory_index: 0,
    };
    // Both are below half of the address space.
    let (text_at, signed_length) = ((TEXT_AT + index_length).cast_signed(), index_length.cast_signed());
    let mut code = CodeSection::new();
    let mut answer = Function::new([]);
    answer
        .instructions()
        .i32_const(0)
        .i32_const(TEXT_AT.cast_signed())
        .i32_store(at(0))
        .i32_const(0)
        .i32_const(signed_length)
        .i32_store(at(4))
        .i32_const(0)
        .end();
    code.function(&answer);
    let mut answer = Function::new([]);
    answer
        .instructions()
        .i32_const(0)
        .local_get(0)
        .i32_const(text_at)
        .i32_add()
        .i32_store(at(0))
        .i32_const(0)
        .local_get(1)
        .i32_store(at(4))
        .i32_const(0)
        .end();
    code.function(&answer);
    module.section(&code);
    let mut data = DataSection::new();
    let bytes = [index.as_bytes(), text.as_bytes()].concat();
    data.active(0, &ConstExpr::i32_const(TEXT_AT.cast_signed()), bytes);
    module.section(&data);
    module
}
