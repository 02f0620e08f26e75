//! One file of source, made ready for QuickJS: TypeScript stripped or transformed, JSON and text wrapped, its imports
//! listed, and the positions by which stacks find back into the file.

use std::path::Path;
use std::sync::Arc;

use oxc::allocator::Allocator;
use oxc::ast::ast::{Expression, ImportExpression, Program, Statement};
use oxc::ast_visit::{Visit, walk};
use oxc::codegen::{Codegen, CodegenOptions};
use oxc::diagnostics::OxcDiagnostic;
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::{SourceType, Span};
use oxc::transformer::{TransformOptions, Transformer};

use super::positions::{Positions, line_and_column};

/// What a file is, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    JavaScript,
    TypeScript,
    Json,
    Text,
}

impl Kind {
    /// Extensions that a specifier may leave out, in the order in which they are tried.
    pub const IMPLIED: [&'static str; 5] = ["ts", "mts", "js", "mjs", "json"];

    pub fn of(path: &Path) -> Option<Kind> {
        match path.extension()?.to_str()? {
            "js" | "mjs" => Some(Kind::JavaScript),
            "ts" | "mts" => Some(Kind::TypeScript),
            "json" => Some(Kind::Json),
            "txt" | "html" | "css" | "sql" | "md" | "csv" | "xml" | "svg" => Some(Kind::Text),
            _ => None,
        }
    }
}

/// A module as QuickJS evaluates it.
#[derive(Debug)]
pub struct Module {
    pub code: Arc<str>,
    /// From `code` to the file; none when they are the same.
    pub positions: Option<Positions>,
    pub imports: Vec<Import>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub specifier: String,
    /// Where the specifier stands in the file: bytes from its start.
    pub offset: u32,
    /// `import()`: it may fail without harm.
    pub dynamic: bool,
}

/// Why a file is no module.
#[derive(Debug)]
pub struct Invalid {
    pub message: String,
    pub help: Option<String>,
    /// Bytes from the start of the file, and how many.
    pub span: Option<(u32, u32)>,
}

impl Module {
    /// Makes a module of a file's text.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn new(path: &Path, kind: Kind, text: &str) -> Result<Module, Invalid> {
        match kind {
            Kind::JavaScript => javascript(text),
            Kind::TypeScript => typescript(path, text),
            Kind::Json => json(text),
            Kind::Text => {
                let literal = serde_json::to_string(text).map_err(|error| Invalid::whole(error.to_string()))?;
                Ok(Module::bare(&format!("export default {literal};")))
            }
        }
    }

    fn bare(code: &str) -> Module {
        Module {
            code: code.into(),
            positions: None,
            imports: Vec::new(),
        }
    }
}

impl Invalid {
    fn whole(message: String) -> Invalid {
        Invalid {
            message,
            help: None,
            span: None,
        }
    }

    fn first(diagnostics: impl IntoIterator<Item = OxcDiagnostic>) -> Option<Invalid> {
        let diagnostic = diagnostics.into_iter().next()?;
        let span = diagnostic.labels.first().map(|label| (label.offset(), label.len()));
        Some(Invalid {
            message: format!("SyntaxError: {}", diagnostic.message),
            help: diagnostic.help.as_ref().map(ToString::to_string),
            span,
        })
    }
}

fn json(text: &str) -> Result<Module, Invalid> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
        let offset = offset_of(text, error.line(), error.column());
        Invalid {
            message: format!("invalid JSON: {error}"),
            help: None,
            span: Some((offset, 1)),
        }
    })?;
    Ok(Module::bare(&format!("export default {text};")))
}

fn offset_of(text: &str, line: usize, column: usize) -> u32 {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    u32::try_from((before + column.saturating_sub(1)).min(text.len())).unwrap_or(u32::MAX)
}

/// Modules of the older kind have neither `import` nor `export`, and speak of one of these.
const COMMON_JS: [&str; 3] = ["module.exports", "exports.", "require("];

fn javascript(text: &str) -> Result<Module, Invalid> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, SourceType::mjs()).parse();
    if !parsed.module_record.has_module_syntax && !parsed.panicked && COMMON_JS.iter().any(|word| text.contains(word)) {
        let message = "CommonJS modules are not loaded: write `export` and `import`, choose a package with an ES module \
                       build, or bundle it with a `build` command";
        return Err(Invalid {
            message: message.to_owned(),
            help: None,
            span: Some((0, 1)),
        });
    }
    if let Some(invalid) = Invalid::first(parsed.diagnostics) {
        return Err(invalid);
    }
    let checked = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .build(&parsed.program);
    if let Some(invalid) = Invalid::first(checked.diagnostics) {
        return Err(invalid);
    }
    Ok(Module {
        code: text.into(),
        positions: None,
        imports: imports(&parsed.program),
    })
}

fn typescript(path: &Path, text: &str) -> Result<Module, Invalid> {
    let allocator = Allocator::default();
    let mut parsed = Parser::new(&allocator, text, SourceType::ts().with_module(true)).parse();
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
    let options = TransformOptions::default();
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
    // Imports that only bring types are gone by now.
    let imports = imports(&parsed.program);
    let positions = printed.map.as_ref().map(Positions::of);
    Ok(Module {
        code: printed.code.into(),
        positions,
        imports,
    })
}

fn imports(program: &Program<'_>) -> Vec<Import> {
    let mut collector = Imports { found: Vec::new() };
    for statement in &program.body {
        let source = match statement {
            Statement::ImportDeclaration(import) => Some(&import.source),
            Statement::ExportAllDeclaration(export) => Some(&export.source),
            Statement::ExportFromDeclaration(export) => Some(&export.source),
            _ => None,
        };
        if let Some(source) = source {
            collector.push(source.value.as_str(), source.span, false);
        }
    }
    collector.visit_program(program);
    collector.found
}

struct Imports {
    found: Vec<Import>,
}

impl Imports {
    fn push(&mut self, specifier: &str, span: Span, dynamic: bool) {
        self.found.push(Import {
            specifier: specifier.to_owned(),
            offset: span.start,
            dynamic,
        });
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_import_expression(&mut self, import: &ImportExpression<'ast>) {
        if let Expression::StringLiteral(literal) = &import.source {
            self.push(literal.value.as_str(), literal.span, true);
        }
        walk::walk_import_expression(self, import);
    }
}

/// Where an offset of a text stands, from 1, and the line with a caret below.
pub fn point(text: &str, offset: u32, length: u32) -> (u32, u32, String) {
    let (line, column) = line_and_column(text, offset);
    let shown = text.lines().nth(line as usize - 1).unwrap_or("").replace('\t', " ");
    let left = (shown.chars().count() + 1).saturating_sub(column as usize).max(1);
    let caret = "^".repeat((length.max(1) as usize).min(left));
    let number = line.to_string();
    let gap = " ".repeat(number.len());
    let indent = " ".repeat(column as usize - 1);
    (line, column, format!("{number} | {shown}\n{gap} | {indent}{caret}"))
}
