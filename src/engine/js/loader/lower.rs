//! TypeScript, JSX, decorators and `using` into the JavaScript that QuickJS knows, by oxc, with the positions to find back.

use std::collections::BTreeSet;
use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::ast::{Declaration, Decorator, ImportDeclarationSpecifier, Program, Statement};
use oxc::ast_visit::Visit;
use oxc::codegen::{Codegen, CodegenOptions};
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::{SourceType, Span};
use oxc::transformer::{JsxRuntime, TransformOptions, Transformer};

use super::builtin::LOWERED;
use super::parsed::Invalid;
use super::positions::Positions;
use super::tsconfig::Compiler;

/// JavaScript, and where it comes from.
pub struct Lowered {
    pub code: String,
    pub positions: Option<Positions>,
    /// Exported types.
    pub types: BTreeSet<String>,
}

/// # Errors
/// The first mistake in the text.
pub fn lower(path: &Path, text: &str, source_type: SourceType, compiler: &Compiler) -> Result<Lowered, Invalid> {
    let allocator = Allocator::default();
    let mut parsed = Parser::new(&allocator, text, source_type).parse();
    if let Some(invalid) = Invalid::first(parsed.diagnostics) {
        return Err(invalid);
    }
    let checked = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .build(&parsed.program);
    if let Some(invalid) = Invalid::first(checked.diagnostics) {
        return Err(invalid);
    }
    if !compiler.legacy_decorators {
        let mut decorators = FirstDecorator(None);
        decorators.visit_program(&parsed.program);
        if let Some(span) = decorators.0 {
            return Err(Invalid {
                message:
                    "decorators need `\"experimentalDecorators\": true` under \"compilerOptions\" in tsconfig.json: \
                          emu knows those alone"
                        .to_owned(),
                help: None,
                span: Some((span.start, span.size())),
            });
        }
    }
    let types = exported_types(&parsed.program);
    let options = options(compiler);
    let transformed = Transformer::new(&allocator, path, &options)
        .build_with_scoping(checked.semantic.into_scoping(), &mut parsed.program);
    if let Some(invalid) = Invalid::first(transformed.diagnostics) {
        return Err(invalid);
    }
    let options = CodegenOptions {
        source_map_path: Some(path.to_path_buf()),
        ..CodegenOptions::default()
    };
    let printed = Codegen::new()
        .with_options(options)
        .with_source_text(text)
        .build(&parsed.program);
    let positions = printed.map.as_ref().map(Positions::of);
    Ok(Lowered {
        code: printed.code,
        positions,
        types,
    })
}

/// Names of types that a file exports where they are declared, or by a list.
fn exported_types(program: &Program<'_>) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    let mut listed = Vec::new();
    let mut local = BTreeSet::new();
    for statement in &program.body {
        match statement {
            Statement::ExportDeclaration(export) => match &export.declaration {
                Declaration::TSInterfaceDeclaration(declared) => drop(types.insert(declared.id.name.to_string())),
                Declaration::TSTypeAliasDeclaration(declared) => drop(types.insert(declared.id.name.to_string())),
                _ => {}
            },
            Statement::ExportNamedDeclaration(export) => {
                let all = export.export_kind.is_type();
                listed.extend(export.specifiers.iter().map(|one| (one, all)));
            }
            Statement::ExportFromDeclaration(export) => {
                let all = export.export_kind.is_type();
                let marked = export.specifiers.iter().filter(|one| all || one.export_kind.is_type());
                types.extend(marked.map(|one| one.exported.name().to_string()));
            }
            Statement::TSInterfaceDeclaration(declared) => drop(local.insert(declared.id.name.to_string())),
            Statement::TSTypeAliasDeclaration(declared) => drop(local.insert(declared.id.name.to_string())),
            Statement::ImportDeclaration(import) => {
                let all = import.import_kind.is_type();
                for specifier in import.specifiers.iter().flatten() {
                    let marked = matches!(specifier, ImportDeclarationSpecifier::ImportSpecifier(one) if one.import_kind.is_type());
                    if all || marked {
                        local.insert(specifier.local().name.to_string());
                    }
                }
            }
            _ => {}
        }
    }
    for (specifier, all) in listed {
        if all || specifier.export_kind.is_type() || local.contains(specifier.local.name().as_str()) {
            types.insert(specifier.exported.name().to_string());
        }
    }
    types
}

fn options(compiler: &Compiler) -> TransformOptions {
    let mut options = TransformOptions::default();
    options.helper_loader.module_name = LOWERED.into();
    options.env.es2026.explicit_resource_management = true;
    options.decorator.legacy = compiler.legacy_decorators;
    options.decorator.emit_decorator_metadata = compiler.decorator_metadata;
    options.typescript.only_remove_type_imports = compiler.verbatim;
    if compiler.assigned_fields {
        options.typescript.remove_class_fields_without_initializer = true;
        options.assumptions.set_public_class_fields = true;
    }
    options.jsx.import_source.clone_from(&compiler.jsx_import_source);
    if compiler.jsx_classic && compiler.jsx_import_source.is_none() {
        options.jsx.runtime = JsxRuntime::Classic;
        options.jsx.pragma.clone_from(&compiler.jsx_factory);
        options.jsx.pragma_frag.clone_from(&compiler.jsx_fragment_factory);
        if let Some(factory) = &compiler.jsx_factory {
            options.typescript.jsx_pragma = factory.clone().into();
        }
        if let Some(factory) = &compiler.jsx_fragment_factory {
            options.typescript.jsx_pragma_frag = factory.clone().into();
        }
    }
    options
}

struct FirstDecorator(Option<Span>);

impl<'ast> Visit<'ast> for FirstDecorator {
    fn visit_decorator(&mut self, decorator: &Decorator<'ast>) {
        self.0.get_or_insert(decorator.span);
    }
}
