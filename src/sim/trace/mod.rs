//! Requests from a trace: Azure's public ones of 2019 (counts by the minute) and 2021 (an invocation a line), and plain CSV. A
//! file is read through once to learn its functions, and then again as the simulation goes on, so that what is in memory does
//! not grow with its length. A file that is cut short between the two ends the stream.

mod minutes;
mod rows;
pub mod synthetic;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use super::distribution::Distribution;
use crate::platform::time::Span;

/// Where a trace is.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Of several days one after the other.
    pub requests: Vec<PathBuf>,
    /// Azure 2019: how long functions run.
    pub durations: Vec<PathBuf>,
    /// Azure 2019: what applications take.
    pub memory: Vec<PathBuf>,
    /// Only the first so many functions of the files.
    pub functions_max: usize,
}

/// A trace, read through once.
#[derive(Clone)]
pub struct Trace {
    pub functions: Vec<Traced>,
    pub requests: u64,
    /// From its first request to the end of its last one.
    pub lasts: Span,
    /// It is of a provider's customers, so that no account's limits hold for all of it.
    pub many_accounts: bool,
    pub source: Arc<dyn Source>,
}

/// A function of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    pub name: String,
    /// `None`: the trace says it of each request, or not at all.
    pub service: Option<Distribution>,
    pub memory_mb: Option<u32>,
}

/// What is wrong with a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    pub line: Option<u64>,
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.what),
            None => write!(f, "{}: {}", self.file.display(), self.what),
        }
    }
}

/// Reads a trace through; its heading tells what it is.
///
/// # Errors
/// What is wrong with the first file that is.
pub fn open(files: &Files) -> Result<Trace, Fault> {
    let Some(first) = files.requests.first() else {
        return Err(fault(Path::new("trace"), None, "no file is named"));
    };
    let heading = headings(&mut reader(first)?, first)?;
    let has = |name: &str| heading.iter().any(|column| column == name);
    if has("HashFunction") {
        return minutes::open(files);
    }
    if has("end_timestamp") || (has("time") && has("function")) {
        return rows::open(files);
    }
    Err(fault(
        first,
        Some(1),
        "the heading is none of `HashOwner,HashApp,HashFunction,Trigger,1,...` (Azure 2019), \
         `app,func,end_timestamp,duration` (Azure 2021) and `time,function,duration`",
    ))
}

fn fault(file: &Path, line: Option<u64>, what: impl Into<String>) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        what: what.into(),
    }
}

type Reader = csv::Reader<File>;

fn reader(path: &Path) -> Result<Reader, Fault> {
    let file = File::open(path).map_err(|error| fault(path, None, format!("cannot be read: {error}")))?;
    let gzip = file.metadata().is_ok_and(|meta| meta.is_file()) && {
        let mut magic = [0u8; 2];
        (&file).take(2).read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b]
    };
    if gzip {
        return Err(fault(path, None, "is compressed; unpack it first, as with `gunzip`"));
    }
    let file = File::open(path).map_err(|error| fault(path, None, format!("cannot be read: {error}")))?;
    Ok(csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .buffer_capacity(1 << 18)
        .from_reader(file))
}

fn headings(reader: &mut Reader, path: &Path) -> Result<Vec<String>, Fault> {
    let heading = reader.headers().map_err(|error| unreadable(path, &error))?;
    Ok(heading.iter().map(str::to_owned).collect())
}

fn unreadable(path: &Path, error: &csv::Error) -> Fault {
    let line = error.position().map(csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells where the heading has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is no UTF-8".to_owned(),
        _ => error.to_string(),
    };
    fault(path, line, what)
}

fn column(heading: &[String], name: &str, path: &Path) -> Result<usize, Fault> {
    let at = heading.iter().position(|column| column == name);
    at.ok_or_else(|| fault(path, Some(1), format!("the heading lacks `{name}`")))
}

/// The beginnings of hashes, which are as long as a line.
fn short(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| part.chars().take(12).collect()).collect();
    parts.join("/")
}
