//! `.env`, `.env.local` and `--env-file`: what every function's environment has besides its own table in emu.toml.
//!
//! These files hold secrets, so nothing that is said about them shows a value.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::check::is_variable;
use super::diagnostic::{Diagnostic, Diagnostics, Source};
use super::load::{Loaded, shown};
use super::secrets::SecretValues;

/// In the project's root, each optional; the later one wins.
const FILES: [&str; 2] = [".env", ".env.local"];
/// A larger file is refused rather than read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the files hold together.
#[derive(Debug, Default)]
pub struct EnvFiles {
    /// All that was looked for.
    paths: Vec<PathBuf>,
    values: BTreeMap<String, String>,
    problems: Vec<Diagnostic>,
}

impl EnvFiles {
    /// Reads the files of the root, then the named ones, which must be there.
    pub fn read(root: &Path, named: &[PathBuf]) -> EnvFiles {
        let mut files = EnvFiles::default();
        for name in FILES {
            let path = root.join(name);
            // Some keep a virtual environment of Python under this name.
            if path.is_file() {
                files.add(&path);
            }
            files.paths.push(path);
        }
        for path in named {
            files.add(path);
            files.paths.push(path.clone());
        }
        files
    }

    fn add(&mut self, path: &Path) {
        match read(path) {
            Ok(text) => self.parse(path, &text),
            Err(problem) => self.problems.push(*problem),
        }
    }

    fn parse(&mut self, path: &Path, text: &str) {
        let mut text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        // The parser misses the end of a last line that nothing ends.
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let given = Rc::new(Cell::new(0));
        let lines = Lines {
            rest: text.as_bytes(),
            given: given.clone(),
        };
        let mut masked = None;
        for item in dotenvy::Iter::new(lines) {
            let last = given.get();
            let fault = match item {
                Ok((name, _)) if !is_name(&name) => Some((last, format!("`{name}` is no name for a variable"))),
                Ok((name, value)) if value.contains('\0') => {
                    Some((last, format!("the value of `{name}` has a NUL character")))
                }
                Ok((name, value)) => {
                    self.values.insert(name, value);
                    None
                }
                Err(dotenvy::Error::LineParse(part, _)) => {
                    let first = last.saturating_sub(part.strip_suffix('\n').unwrap_or(&part).matches('\n').count());
                    Some((first, "the line cannot be read".to_owned()))
                }
                Err(error) => Some((last, format!("the file cannot be read: {error}"))),
            };
            if let Some((line, message)) = fault {
                let source = masked.get_or_insert_with(|| masked_source(path, &text));
                let (span, remedy) = about(&text, line);
                self.problems
                    .push(Diagnostic::error(message).at(source, span).remedy(remedy));
            }
        }
    }

    /// Puts the values into every function of a project, and what is wrong with the files beside what is wrong with it.
    ///
    /// # Errors
    /// When either has an error.
    pub fn into_functions_of(self, loaded: Result<Loaded, Diagnostics>) -> Result<Loaded, Diagnostics> {
        let mut loaded = match loaded {
            Ok(loaded) if self.problems.is_empty() => loaded,
            Ok(loaded) => return Err(Diagnostics([loaded.warnings, self.problems].concat())),
            Err(Diagnostics(problems)) => return Err(Diagnostics([problems, self.problems].concat())),
        };
        let project = &mut loaded.project;
        project.secret_values = SecretValues::of(project, &self.values);
        for function in project.functions.values_mut() {
            let values = self.values.iter();
            function
                .env
                .extend(values.map(|(name, value)| (name.clone(), value.clone())));
        }
        project.env_files = self.paths;
        project.env_names = self.values.into_keys().collect();
        Ok(loaded)
    }
}

/// As in emu.toml, and with the dots that the files' parser takes.
fn is_name(name: &str) -> bool {
    is_variable(&name.replace('.', "_")) && name != "__proto__"
}

fn read(path: &Path) -> Result<String, Box<Diagnostic>> {
    let cannot = |what: &dyn std::fmt::Display| {
        Box::new(Diagnostic::error(format!(
            "the env file {} cannot be read: {what}",
            shown(path)
        )))
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let problem = Diagnostic::error(format!("there is no env file {}", shown(path)));
            return Err(Box::new(
                problem.remedy("--env-file names a file with lines `NAME=value`"),
            ));
        }
        Err(error) => return Err(cannot(&error)),
    };
    // It is read again after each change.
    if !metadata.is_file() {
        return Err(cannot(&"it is no regular file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(cannot(&"it is larger than 1MB"));
    }
    let bytes = fs::read(path).map_err(|error| cannot(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let problem = Diagnostic::error(format!("{}:{line}: not valid UTF-8", shown(path)));
        Box::new(problem.remedy("save the file as UTF-8"))
    })
}

/// Where a line stands (from 1), and what to do about it.
fn about(text: &str, line: usize) -> (Range<usize>, String) {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text[start..].lines().next().unwrap_or_default();
    let remedy = match name_of(line) {
        Some(name) => format!(
            "put the value into single quotes, which take everything up to the next one, and close them: {name}='...'"
        ),
        None => "a line is `NAME=value`: letters, digits and `_`, no digit first, and `#` before a comment".to_owned(),
    };
    (start..start + line.len(), remedy)
}

/// The variable that a line sets.
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim);
    is_name(name).then_some(name)
}

/// The file with names only, each value replaced by as many `*` as it has bytes.
fn masked_source(path: &Path, text: &str) -> Arc<Source> {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let kept = match name_of(line) {
            Some(_) => line.find('=').map_or(0, |at| at + 1),
            None => 0,
        };
        masked.push_str(&line[..kept]);
        masked.extend(line[kept..].bytes().map(|byte| match byte {
            b'\n' | b'\r' => byte as char,
            _ => '*',
        }));
    }
    Arc::new(Source {
        name: shown(path),
        path: path.to_owned(),
        text: masked,
    })
}

/// Hands out one line at a time: the parser names no lines, but it has read no further than the one it is at.
struct Lines<'a> {
    rest: &'a [u8],
    given: Rc<Cell<usize>>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n');
        let count = line.map_or(self.rest.len(), |at| at + 1).min(buffer.len());
        let (part, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(part);
        self.rest = rest;
        if part.ends_with(b"\n") {
            self.given.set(self.given.get() + 1);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> EnvFiles {
        let mut files = EnvFiles::default();
        files.parse(Path::new("/p/.env"), text);
        files
    }

    fn values(text: &str) -> Vec<(String, String)> {
        let files = parse(text);
        assert!(files.problems.is_empty(), "{:?}", files.problems);
        files.values.into_iter().collect()
    }

    #[test]
    fn what_files_hold() {
        let text = "\u{feff}# comment\nA=1\nexport B='two words' # and more\n\nC=\"one\nline more\"\nD=\nE=${A}2\nA.B=x\nZ=last ";
        let expect = [
            ("A", "1"),
            ("A.B", "x"),
            ("B", "two words"),
            ("C", "one\nline more"),
            ("D", ""),
            ("E", "12"),
            ("Z", "last"),
        ];
        assert_eq!(
            values(text),
            expect.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[track_caller]
    fn wrong(text: &str, places: &[usize]) -> String {
        let files = parse(text);
        let lines: Vec<usize> = files
            .problems
            .iter()
            .map(|problem| problem.place.as_ref().expect("a place").start().line)
            .collect();
        assert_eq!(lines, places, "{text:?}");
        files.problems.iter().map(|problem| problem.render(false)).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_value() {
        let told = wrong("A=1\n\n# x\nAPI_KEY=hunter 22secret\nB=2\n", &[4]);
        assert!(told.contains("/p/.env:4:1") && told.contains("API_KEY='...'"), "{told}");
        assert!(told.contains("API_KEY=*************"), "{told}");
        let told = wrong("A=1\nno equals\n2B=x\nC=3", &[2, 3]);
        assert!(told.contains("NAME=value"), "{told}");
        let told = wrong("A=1\nKEY=\"never ended secret\nmore secret\n\n", &[2]);
        assert!(!told.contains("secret"), "{told}");
        let told = wrong("A='one\ntwo\nthree' four secret\n", &[1]);
        assert!(!told.contains("secret"), "{told}");
        wrong("A=1\0\n", &[1]);
        wrong("__proto__=1\n", &[1]);
    }
}
