//! What is known of a file by its syntax: imports, exports, free names.

use std::collections::BTreeSet;

use oxc::span::Span;
use oxc::syntax::module_record::{ExportExportName, ModuleRecord};

use super::positions::Insertion;

/// How a file asks for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Import,
    /// `import()`: it may fail without harm.
    Dynamic,
    Require {
        /// Within a function, a condition or `try`: it may never run, or fail without harm.
        optional: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub specifier: String,
    /// Where the specifier stands in the code: bytes from its start.
    pub offset: u32,
    pub how: How,
    /// `with { type: "text" }`
    pub as_text: bool,
    /// Exports that are asked for by name: they must be there.
    pub names: BTreeSet<String>,
    /// Members of `import * as all` that the file speaks of.
    pub members: BTreeSet<String>,
    /// All exports are asked for, by `import *`, `export *` or `import()`.
    pub whole: bool,
}

/// What a file exports; of a CommonJS file, as far as it can be seen without running it.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    pub names: BTreeSet<String>,
    /// Specifiers whose exports are its own too.
    pub of_others: Vec<String>,
    /// Types, which TypeScript lets others import by name and which are not there when the code runs.
    pub types: BTreeSet<String>,
}

/// Free names that a file speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uses {
    pub require: bool,
    pub exports: bool,
    pub file_names: bool,
    /// `Buffer`, without looking first whether there is one.
    pub buffer: bool,
    pub import_meta: bool,
}

impl Uses {
    /// Whether a file without `import` and `export` is of the older kind.
    pub fn common_js(&self) -> bool {
        self.require || self.exports || self.file_names
    }
}

#[derive(Debug, Default)]
pub struct Scanned {
    pub imports: Vec<Import>,
    pub exports: Exports,
    pub uses: Uses,
    pub contexts: Vec<Insertion>,
    /// Import attributes, which QuickJS need not see.
    pub blanks: Vec<Span>,
    pub module_syntax: bool,
    /// It assigns to names that it does not declare, or cannot be read as strict code.
    pub sloppy: bool,
    /// It has decorators or `using`.
    pub must_lower: bool,
}

/// What a module exports, by its syntax.
pub fn module_exports(record: &ModuleRecord<'_>) -> Exports {
    let mut exports = Exports::default();
    let local = record
        .local_export_entries
        .iter()
        .chain(&record.indirect_export_entries);
    for entry in local.filter(|entry| !entry.is_type) {
        match &entry.export_name {
            ExportExportName::Name(name) => drop(exports.names.insert(name.name.to_string())),
            ExportExportName::Default(_) => drop(exports.names.insert("default".to_owned())),
            ExportExportName::Null => {}
        }
    }
    let stars = record.star_export_entries.iter();
    exports.of_others = stars
        .filter_map(|entry| entry.module_request.as_ref().map(|request| request.name.to_string()))
        .collect();
    exports
}

/// The text with spaces in these places; none when there are none.
pub fn blank(text: &str, spans: &[Span]) -> Option<String> {
    let mut bytes = (!spans.is_empty()).then(|| text.as_bytes().to_vec())?;
    for span in spans {
        for byte in bytes.get_mut(span.start as usize..span.end as usize)? {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).ok()
}
