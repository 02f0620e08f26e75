//! `.env`, `.env.local` and `--env-file`: what every function's environment has besides its own table in emu.toml.
//!
//! These files hold secrets, so nothing that is said about them shows a value.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::is_variable;
use super::diagnostic::{Diagnostic, Diagnostics, Source};
use super::dotenv::{self, Entry, Fault};
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
    warnings: Vec<Diagnostic>,
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
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let outer = |name: &str| self.values.get(name).cloned().or_else(|| std::env::var(name).ok());
        let entries = dotenv::parse(text, &outer);
        let mut masked = None;
        for Entry {
            line,
            name,
            value,
            unset,
        } in entries
        {
            let mut told = |problem: Diagnostic, remedy: &str| {
                let source = masked.get_or_insert_with(|| masked_source(path, text));
                problem.at(source, span_of(text, line)).remedy(remedy)
            };
            for unset in unset {
                let problem = Diagnostic::warning(format!(
                    "`{unset}` is set nowhere: it is empty in the value of `{name}`"
                ));
                let remedy = format!(
                    "write {name}='...' in single quotes if `$` is meant, or ${{{unset}:-}} if it may be empty"
                );
                self.warnings.push(told(problem, &remedy));
            }
            let value = match value {
                _ if !is_name(&name) => Err(no_name(&name)),
                Ok(value) if value.contains('\0') => {
                    let text = format!("the value of `{name}` has a NUL character");
                    Err((text, "a variable cannot hold one".to_owned()))
                }
                Ok(value) => Ok(value),
                Err(fault) => Err(about(&name, &fault)),
            };
            match value {
                Ok(value) => _ = self.values.insert(name, value),
                Err((message, remedy)) => {
                    let problem = told(Diagnostic::error(message), &remedy);
                    self.problems.push(problem);
                }
            }
        }
    }

    /// Puts the values into every function of a project, and what is wrong with the files beside what is wrong with it.
    ///
    /// # Errors
    /// When either has an error.
    pub fn into_functions_of(self, loaded: Result<Loaded, Diagnostics>) -> Result<Loaded, Diagnostics> {
        let found = [self.warnings, self.problems.clone()].concat();
        let mut loaded = match loaded {
            Ok(mut loaded) if self.problems.is_empty() => {
                loaded.warnings.extend(found);
                loaded
            }
            Ok(loaded) => return Err(Diagnostics([loaded.warnings, found].concat())),
            Err(Diagnostics(problems)) => return Err(Diagnostics([problems, found].concat())),
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

/// Where a line stands, from 1.
fn span_of(text: &str, line: usize) -> Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text[start..].lines().next().unwrap_or_default();
    start..start + line.len()
}

const LINE: &str = "a line is `NAME=value`: letters, digits and `_`, no digit first, and `#` before a comment";

/// What is wrong, and what to do about it.
fn no_name(name: &str) -> (String, String) {
    let what = match name {
        "" => "the line sets nothing".to_owned(),
        name => format!("`{name}` is no name for a variable"),
    };
    (what, LINE.to_owned())
}

fn about(name: &str, fault: &Fault) -> (String, String) {
    match fault {
        Fault::NoName => no_name(""),
        Fault::NotClosed(quote) => (
            format!("the value of `{name}` begins with {quote}, which is closed nowhere"),
            format!(
                "close it, or put the value into single quotes, which take everything up to the next one: {name}='...'"
            ),
        ),
        Fault::AfterQuote(quote) => {
            let other = if *quote == '\'' { '"' } else { '\'' };
            (
                format!("the value of `{name}` goes on behind its closing {quote}"),
                format!("if {quote} is part of it, take other quotes: {name}={other}...{other}"),
            )
        }
        Fault::Required(needed) => (
            format!("the value of `{name}` needs `{needed}`, which is not set"),
            format!("set `{needed}` above, or in the environment of emu"),
        ),
    }
}

/// The variable that a line sets, and where its value begins.
fn name_of(line: &str) -> Option<(&str, usize)> {
    let (name, value) = dotenv::split(line)?;
    is_name(name).then_some((name, line.len() - value.len()))
}

/// The file with names only, each value replaced by as many `*` as it has bytes.
fn masked_source(path: &Path, text: &str) -> Arc<Source> {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let kept = match name_of(line) {
            Some((_, value)) => value,
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
        let told = wrong("A=1\n\n# x\nAPI_KEY='hunter 22secret' more\nB=2\n", &[4]);
        assert!(
            told.contains("/p/.env:4:1") && told.contains("API_KEY=\"...\""),
            "{told}"
        );
        assert!(told.contains("API_KEY=**********************"), "{told}");
        let told = wrong("A=1\nno equals\n2B=x\nC=3", &[2, 3]);
        assert!(told.contains("NAME=value"), "{told}");
        let told = wrong("A=1\nKEY=\"never ended secret\nmore secret\n\n", &[2]);
        assert!(!told.contains("secret"), "{told}");
        let told = wrong("A='one\ntwo\nthree' four secret\n", &[1]);
        assert!(!told.contains("secret"), "{told}");
        wrong("A=1\0\n", &[1]);
        wrong("__proto__=1\n", &[1]);
    }

    #[test]
    fn a_reference_to_nothing_is_told_with_its_line_and_later_files_see_earlier_ones() {
        let mut files = parse("A=1\n");
        files.parse(Path::new("/p/.env.local"), "B=$A\nKEY=secret$NO_SUCH_VARIABLE\n");
        assert_eq!(
            (files.values["B"].as_str(), files.values["KEY"].as_str()),
            ("1", "secret")
        );
        let told: String = files.warnings.iter().map(|warning| warning.render(false)).collect();
        let parts = [
            "/p/.env.local:2:1",
            "`NO_SUCH_VARIABLE` is set nowhere",
            "single quotes if `$` is meant",
        ];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
