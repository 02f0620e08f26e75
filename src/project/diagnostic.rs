//! Problems of a project, each with the place it stands at and the way out of it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// A text that diagnostics point into.
#[derive(Debug)]
pub struct Source {
    /// As shown to people: relative to the working directory where that is possible.
    pub name: String,
    pub path: PathBuf,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The project cannot be used.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// A range of bytes in a source.
#[derive(Clone, Debug)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

/// One problem. `message` is a lowercase fragment; `remedy` says what to do about it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    pub place: Option<Place>,
    /// Shown beside the carets.
    pub label: Option<String>,
    /// A second place with what it has to do with the problem.
    pub related: Option<(Place, String)>,
    pub notes: Vec<String>,
    pub remedy: Option<String>,
    /// Lines to copy, shown as they are below the rest.
    pub example: Option<String>,
}

/// Everything that is wrong with a project, at least one error; warnings come along.
#[derive(Clone, Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// One-based line and column (in characters) of a byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Source {
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Place {
    pub fn start(&self) -> Position {
        self.source.position(self.span.start)
    }

    pub fn end(&self) -> Position {
        self.source.position(self.span.end)
    }
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: None,
            related: None,
            notes: Vec::new(),
            remedy: None,
            example: None,
        }
    }

    pub fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(message)
        }
    }

    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Diagnostic {
        self.place = Some(Place {
            source: Arc::clone(source),
            span,
        });
        self
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Diagnostic {
        self.remedy = Some(remedy.into());
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    #[must_use]
    pub fn example(mut self, lines: impl Into<String>) -> Diagnostic {
        self.example = Some(lines.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Several lines with the source and carets, without a line end at the end.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = match &self.place {
            Some(place) => title.element(self.snippet(place)),
            None => Group::with_title(title),
        };
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(remedy) = &self.remedy {
            group = group.element(Level::HELP.message(remedy.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.render(&[group]);
        if let Some(example) = &self.example {
            text.push_str("\n\n");
            text.push_str(example.trim_end());
        }
        text
    }

    fn snippet<'a>(&'a self, place: &'a Place) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let primary = AnnotationKind::Primary
            .span(visible(place))
            .label(self.label.as_deref());
        let snippet = Snippet::source(place.source.text.as_str())
            .path(place.source.name.as_str())
            .annotation(primary);
        match &self.related {
            Some((other, what)) if Arc::ptr_eq(&other.source, &place.source) => {
                snippet.annotation(AnnotationKind::Context.span(visible(other)).label(what.as_str()))
            }
            Some(_) | None => snippet,
        }
    }
}

/// A span cut to its first line: a table that is wrong as a whole is pointed at, not underlined over pages.
fn visible(place: &Place) -> Range<usize> {
    let text = &place.source.text;
    let start = place.span.start.min(text.len());
    let end = place.span.end.clamp(start, text.len());
    let line_end = text
        .get(start..end)
        .and_then(|part| part.find(['\n', '\r']))
        .map_or(end, |at| start + at);
    start..line_end
}

impl Diagnostics {
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|d| d.is_error()).count()
    }

    /// All of them with an empty line between, and a count below when there are several errors.
    pub fn render(&self, color: bool) -> String {
        let mut text = render_all(&self.0, color);
        let errors = self.errors();
        if errors > 1 {
            text.push_str(&format!("\n\n{errors} errors in the project"));
        }
        text
    }
}

/// Each rendered, with an empty line between.
pub fn render_all(list: &[Diagnostic], color: bool) -> String {
    list.iter().map(|d| d.render(color)).collect::<Vec<_>>().join("\n\n")
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// The form of `emu validate --json`: one-based lines and columns in characters, null without a place.
#[derive(Debug, Serialize)]
pub struct JsonDiagnostic<'a> {
    pub severity: Severity,
    pub message: &'a str,
    pub file: Option<&'a str>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub end_line: Option<usize>,
    pub end_column: Option<usize>,
    pub label: Option<&'a str>,
    pub notes: &'a [String],
    pub remedy: Option<&'a str>,
    pub example: Option<&'a str>,
}

impl<'a> From<&'a Diagnostic> for JsonDiagnostic<'a> {
    fn from(d: &'a Diagnostic) -> JsonDiagnostic<'a> {
        let start = d.place.as_ref().map(Place::start);
        let end = d.place.as_ref().map(Place::end);
        JsonDiagnostic {
            severity: d.severity,
            message: &d.message,
            file: d.place.as_ref().map(|place| place.source.name.as_str()),
            line: start.map(|p| p.line),
            column: start.map(|p| p.column),
            end_line: end.map(|p| p.line),
            end_column: end.map(|p| p.column),
            label: d.label.as_deref(),
            notes: &d.notes,
            remedy: d.remedy.as_deref(),
            example: d.example.as_deref(),
        }
    }
}

/// The one of `known` that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = typed.to_lowercase();
    let bound = (typed.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= bound)
        // People seldom miss the first letters.
        .min_by_key(|(distance, name)| (*distance, std::cmp::Reverse(common_start(&lower, name)), *name))
        .map(|(_, name)| name)
}

/// How many characters two names begin with alike.
fn common_start(lower: &str, name: &str) -> usize {
    let alike = lower.chars().zip(name.chars().flat_map(char::to_lowercase));
    alike.take_while(|(a, b)| a == b).count()
}

/// `a`, `a or b`, `a, b or c`, each in backticks.
pub fn list_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source {
            name: "emu.toml".into(),
            path: "emu.toml".into(),
            text: text.into(),
        })
    }

    #[test]
    fn positions_count_characters_and_survive_odd_offsets() {
        let source = source("a = 1\n\u{e9}\u{e9}b = 2\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(10), Position { line: 2, column: 3 });
        assert_eq!(source.position(7), Position { line: 2, column: 1 });
        assert_eq!(source.position(999), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_problem_is_drawn_with_carets() {
        let source = source("[functions.api]\nmemroy = \"1GB\"\n");
        let text = Diagnostic::error("unknown key `memroy`")
            .at(&source, 16..22)
            .remedy("did you mean `memory`?")
            .render(false);
        assert_eq!(
            text,
            "error: unknown key `memroy`\n --> emu.toml:2:1\n  |\n2 | memroy = \"1GB\"\n  | ^^^^^^\n  |\n  = help: did you mean `memory`?"
        );
    }

    #[test]
    fn of_two_that_are_as_near_the_one_that_begins_alike_was_meant() {
        assert_eq!(nearest("rat", ["at", "rate", "for"]), Some("rate"));
        assert_eq!(nearest("memroy", ["memory"]), Some("memory"));
        assert_eq!(nearest("x", ["memory"]), None);
    }

    #[test]
    fn spans_past_the_end_do_not_panic() {
        let source = source("x");
        assert!(
            Diagnostic::error("end")
                .at(&source, 40..50)
                .render(false)
                .contains("error: end")
        );
    }

    #[test]
    fn the_nearest_name() {
        assert_eq!(nearest("memroy", ["source", "memory"]), Some("memory"));
        assert_eq!(nearest("Orders", ["orders"]), Some("orders"));
        assert_eq!(nearest("zzz", ["memory"]), None);
        assert_eq!(nearest("q", ["queues"]), None);
    }
}
