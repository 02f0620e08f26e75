//! One file of source, made ready for QuickJS: its kind, its code as JavaScript, and what it imports, exports and uses.

use std::path::Path;
use std::sync::Arc;

use oxc::allocator::Allocator;
use oxc::diagnostics::OxcDiagnostic;
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::SourceType;

use super::facts::{Exports, Import, Scanned, Uses, blank, module_exports};
use super::lower::lower;
use super::positions::{Insertion, Positions, line_and_column, offset_of};
use super::resolve::is_installed;
use super::scan::scan;
use super::tsconfig::Compiler;

/// What a file is, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By extension both are possible: what it says and its package decide.
    JavaScript,
    /// `.mjs`
    Module,
    /// `.cjs`
    CommonJs,
    /// TypeScript or JSX, which take the same way.
    Lowered {
        typescript: bool,
        jsx: bool,
        module: Option<bool>,
    },
    Json,
    Text,
}

const fn lowered(typescript: bool, jsx: bool, module: Option<bool>) -> Kind {
    Kind::Lowered {
        typescript,
        jsx,
        module,
    }
}

impl Kind {
    /// Extensions that a specifier may leave out, in the order in which they are tried.
    const IMPLIED: [&'static str; 9] = ["ts", "tsx", "mts", "js", "jsx", "mjs", "cjs", "cts", "json"];
    /// The same within packages, which ship JavaScript.
    const IMPLIED_INSTALLED: [&'static str; 6] = ["js", "mjs", "cjs", "json", "ts", "tsx"];

    pub fn implied(path: &Path) -> &'static [&'static str] {
        if is_installed(path) {
            &Self::IMPLIED_INSTALLED
        } else {
            &Self::IMPLIED
        }
    }

    pub fn of(path: &Path) -> Option<Kind> {
        let Some(extension) = path.extension() else {
            return is_installed(path).then_some(Kind::JavaScript);
        };
        match extension.to_str()? {
            "js" => Some(Kind::JavaScript),
            "mjs" => Some(Kind::Module),
            "cjs" => Some(Kind::CommonJs),
            "ts" => Some(lowered(true, false, None)),
            "tsx" => Some(lowered(true, true, None)),
            "mts" => Some(lowered(true, false, Some(true))),
            "cts" => Some(lowered(true, false, Some(false))),
            "jsx" => Some(lowered(false, true, None)),
            "json" => Some(Kind::Json),
            "txt" | "html" | "htm" | "css" | "sql" | "md" | "csv" | "xml" | "svg" | "graphql" | "gql" | "yaml"
            | "yml" | "toml" | "pem" => Some(Kind::Text),
            _ => None,
        }
    }
}

/// How a file is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Module,
    /// With `require` and `module.exports`. The sloppy kind does what strict code may not.
    CommonJs {
        sloppy: bool,
    },
    Json,
    Text,
}

/// What one file gives; nothing of it depends on other files.
#[derive(Debug)]
pub struct Parsed {
    pub format: Format,
    pub code: Arc<str>,
    /// From `code` to the file; none when they are the same.
    pub positions: Option<Positions>,
    pub imports: Vec<Import>,
    pub exports: Exports,
    pub uses: Uses,
    /// What keeps `AsyncLocalStorage` across each `await`.
    pub contexts: Vec<Insertion>,
}

/// What decides, beside the text, what a file becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub compiler: Compiler,
    /// `"type": "module"` in the file's package.
    pub module_package: bool,
    /// What `process.env.NODE_ENV` will be: branches for other values are not followed.
    pub node_env: String,
}

/// Why a file is no module.
#[derive(Debug)]
pub struct Invalid {
    pub message: String,
    pub help: Option<String>,
    /// Bytes from the start of the file, and how many.
    pub span: Option<(u32, u32)>,
}

impl Invalid {
    pub fn first(diagnostics: impl IntoIterator<Item = OxcDiagnostic>) -> Option<Invalid> {
        let diagnostic = diagnostics.into_iter().next()?;
        let span = diagnostic.labels.first().map(|label| (label.offset(), label.len()));
        Some(Invalid {
            message: format!("SyntaxError: {}", diagnostic.message),
            help: diagnostic.help.as_ref().map(ToString::to_string),
            span,
        })
    }
}

impl Parsed {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn new(path: &Path, kind: Kind, text: &Arc<str>, options: &Options) -> Result<Parsed, Invalid> {
        match kind {
            Kind::JavaScript => javascript(path, text, None, options),
            Kind::Module => javascript(path, text, Some(true), options),
            Kind::CommonJs => javascript(path, text, Some(false), options),
            Kind::Lowered {
                typescript,
                jsx,
                module,
            } => {
                let base = if typescript {
                    SourceType::ts()
                } else {
                    SourceType::mjs()
                };
                let source_type = match module {
                    Some(false) => base.with_commonjs(true),
                    _ => base.with_module(true),
                };
                via_lowering(path, text, source_type.with_jsx(jsx), module, options)
            }
            Kind::Json => json(text),
            Kind::Text => Ok(bare(Format::Text, Arc::clone(text))),
        }
    }

    /// An offset of the code as an offset of the file's text.
    pub fn offset_in_text(&self, text: &str, offset: u32) -> u32 {
        let Some(positions) = &self.positions else {
            return offset;
        };
        let (line, column) = line_and_column(&self.code, offset);
        let place = positions.find(line, column);
        place.map_or(0, |(line, column)| offset_of(text, line, column))
    }
}

fn bare(format: Format, code: Arc<str>) -> Parsed {
    Parsed {
        format,
        code,
        positions: None,
        imports: Vec::new(),
        exports: Exports::default(),
        uses: Uses::default(),
        contexts: Vec::new(),
    }
}

fn json(text: &Arc<str>) -> Result<Parsed, Invalid> {
    let json = text.trim_start_matches('\u{feff}');
    serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(error.column()).unwrap_or(u32::MAX);
        Invalid {
            message: format!("invalid JSON: {error}"),
            help: None,
            span: Some((offset_of(text, line, column), 1)),
        }
    })?;
    Ok(bare(Format::Json, json.into()))
}

fn via_lowering(
    path: &Path,
    text: &str,
    source_type: SourceType,
    module: Option<bool>,
    options: &Options,
) -> Result<Parsed, Invalid> {
    let lowered = lower(path, text, source_type, &options.compiler)?;
    let code: Arc<str> = lowered.code.into();
    // What oxc printed, it can read.
    let mut parsed = javascript(path, &code, module, options)?;
    parsed.positions = lowered.positions;
    parsed.exports.types = lowered.types;
    Ok(parsed)
}

/// `module` is what the extension says, if it says something.
fn javascript(path: &Path, text: &Arc<str>, module: Option<bool>, options: &Options) -> Result<Parsed, Invalid> {
    let scanned = match scanned(text, SourceType::mjs(), options) {
        Ok(scanned) => scanned,
        // Old code does what modules may not. What uses `import` and `export` is told its own mistake.
        Err(invalid) => match scanned(text, SourceType::cjs(), options) {
            Ok(scanned) if module != Some(true) => Scanned {
                sloppy: true,
                ..scanned
            },
            _ => return Err(invalid),
        },
    };
    if scanned.must_lower {
        // Decorators and `using` in JavaScript.
        return via_lowering(
            path,
            text,
            SourceType::mjs().with_module(scanned.module_syntax),
            module,
            options,
        );
    }
    let installed_script = || is_installed(path) && !options.module_package;
    let common_js = !scanned.module_syntax
        && match module {
            Some(module) => !module,
            None => scanned.sloppy || scanned.uses.common_js() || installed_script(),
        };
    let code = match blank(text, &scanned.blanks) {
        Some(code) => code.into(),
        None => Arc::clone(text),
    };
    Ok(Parsed {
        format: if common_js {
            Format::CommonJs { sloppy: scanned.sloppy }
        } else {
            Format::Module
        },
        code,
        positions: None,
        imports: scanned.imports,
        exports: scanned.exports,
        uses: scanned.uses,
        contexts: scanned.contexts,
    })
}

fn scanned(text: &str, source_type: SourceType, options: &Options) -> Result<Scanned, Invalid> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, source_type).parse();
    if let Some(invalid) = Invalid::first(parsed.diagnostics) {
        return Err(invalid);
    }
    let checked = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .build(&parsed.program);
    if let Some(invalid) = Invalid::first(checked.diagnostics) {
        return Err(invalid);
    }
    let scoping = checked.semantic.into_scoping();
    let mut scanned = scan(&parsed.program, &scoping, &options.node_env);
    scanned.module_syntax = parsed.module_record.has_module_syntax;
    if scanned.module_syntax {
        scanned.exports = module_exports(&parsed.module_record);
    }
    Ok(scanned)
}
